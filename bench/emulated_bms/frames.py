"""CAN frames on their way out: payload, filters, rolling counter, check byte.

Bytes are put together here by hand, from docs/reference/hd_can.md, and share nothing with the host's decoder.
"""

from __future__ import annotations

from collections.abc import Callable

PayloadFilter = Callable[[int, int], "int | None"]
FrameFilter = Callable[[int, bytes], "bytes | None"]


def _crc_table() -> tuple[int, ...]:
    """CRC-8 SAE J1850: polynomial 0x1D, most significant bit first."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x1D if crc & 0x80 else crc << 1
        table.append(crc & 0xFF)
    return tuple(table)


_CRC = _crc_table()


def crc8(data: bytes) -> int:
    """CRC-8 SAE J1850 of `data`: initial and final XOR 0xFF."""
    crc = 0xFF
    for byte in data:
        crc = _CRC[crc ^ byte]
    return crc ^ 0xFF


def protected_crc(can_id: int, data: bytes) -> int:
    """Check byte of a protected message: over identifier low, identifier high and data bytes 0 to 6."""
    return crc8(bytes((can_id & 0xFF, can_id >> 8)) + data[:7])


class Frames:
    """The way out of every frame.

    Attributes
    ----------
    payload_filters
        Functions `(can_id, payload) -> payload or None`, before counter and check are added; `payload` is the
        integer of the 52 signal bits, bit 0 first. None: the frame is not sent.
    filters
        Functions `(can_id, data) -> data or None` on the finished 8 bytes, of every frame.
    counter
        Rolling counter of the next frame, by identifier.
    sent
        Number of frames sent.
    """

    def __init__(self, send: Callable[[int, bytes], None] | None) -> None:
        self.send = send
        self.payload_filters: list[PayloadFilter] = []
        self.filters: list[FrameFilter] = []
        self.counter: dict[int, int] = {}
        self.sent = 0
        self._started: dict[int, int] = {}

    def filter(self, function: FrameFilter) -> None:
        """Let the bytes of every later frame pass through `function`."""
        self.filters.append(function)

    def filter_payload(self, function: PayloadFilter) -> None:
        """Let the signals of every later protected frame pass through `function`, before its check."""
        self.payload_filters.append(function)

    def protect(self, can_id: int, payload: int) -> None:
        """Add counter and check to a payload of 52 bits, and send it."""
        for change in self.payload_filters:
            changed = change(can_id, payload)
            if changed is None:
                return
            payload = changed
        counter = self.counter.get(can_id, 0)
        self.counter[can_id] = (counter + 1) & 0xF
        seven = (payload & 0xFFFFFFFFFFFFF | counter << 52).to_bytes(7, "little")
        crc = self._started.get(can_id)
        if crc is None:
            crc = self._started[can_id] = _CRC[_CRC[0xFF ^ (can_id & 0xFF)] ^ (can_id >> 8)]
        for byte in seven:
            crc = _CRC[crc ^ byte]
        self.put(can_id, seven + bytes((crc ^ 0xFF,)))

    def put(self, can_id: int, data: bytes) -> None:
        """Send 8 bytes as they are, but for the filters."""
        for change in self.filters:
            changed = change(can_id, data)
            if changed is None:
                return
            data = changed
        if self.send is not None:
            self.sent += 1
            self.send(can_id, data)
