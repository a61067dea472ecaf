"""Daly Smart BMS over UART or RS-485, 13-byte frames that start with 0xA5, both directions.

    A5 | address | command | 08 | d0 .. d7 | sum of the twelve bytes, lowest 8 bits

Requests carry 0x40 (RS-485, UART) or 0x80 (Bluetooth) for board 1, 0x41 for board 2 and so on; replies carry
the number of the board. What the eight bytes mean is in `daly_data`. What this leaves out: when to ask, and
what to do if nobody answers.

Source: dreadnought/python-daly-bms (dalybms/daly_bms.py), jblance/mpp-solar (mppsolar/protocols/daly.py),
fl4p/batmon-ha (bmslib/models/daly_uart.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.errors import FrameInvalid
from dut_profiles.protocols import daly_data
from dut_profiles.protocols.daly_data import DATA_LENGTH, FIELDS, REQUEST_FIELDS
from dut_profiles.protocols.exchange import Exchange, Label

TITLE: Final = "Daly UART/RS-485 A5: 9600 baud, 13-byte frames, request and reply"
PROTOCOL: Final = "daly_uart_a5"

START, FRAME_LENGTH = 0xA5, 13
HOST_RS485, HOST_BLUETOOTH, BOARD_1 = 0x40, 0x80, 0x01


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: who is spoken to or speaks, about what, and the eight bytes."""

    address: int
    command: int
    data: bytes = bytes(DATA_LENGTH)

    @property
    def from_host(self) -> bool:
        """Whether it is a request."""
        return self.address >= HOST_RS485

    def __bytes__(self) -> bytes:
        head = bytes((START, self.address, self.command, DATA_LENGTH)) + self.data
        return head + bytes((sum(head) & 0xFF,))


def build(frame: Frame) -> bytes:
    """The 13 bytes of `frame`."""
    return bytes(frame)


def parse(data: bytes) -> Frame:
    """Check the 13 bytes of one frame.

    Raises
    ------
    FrameInvalid
        If start, length, address or checksum are wrong.
    """
    if len(data) != FRAME_LENGTH:
        raise FrameInvalid(PROTOCOL, data, expected=f"{FRAME_LENGTH} bytes", found=str(len(data)))
    if data[0] != START or data[3] != DATA_LENGTH:
        raise FrameInvalid(PROTOCOL, data, expected="A5 .. .. 08", found=data[:4].hex(" ").upper())
    if not 0 < data[1] < 0xC0:
        raise FrameInvalid(PROTOCOL, data, expected="an address from 0x01 to 0xBF", found=f"0x{data[1]:02X}")
    if sum(data[:12]) & 0xFF != data[12]:
        right = f"checksum 0x{sum(data[:12]) & 0xFF:02X}"
        raise FrameInvalid(PROTOCOL, data, expected=right, found=f"0x{data[12]:02X}")
    return Frame(data[1], data[2], bytes(data[4:12]))


def parse_all(data: bytes) -> list[Frame]:
    """Frames that follow each other without a gap, as a reader that waited long enough has them.

    Raises
    ------
    FrameInvalid
        If it is not a whole number of good frames; `Stream` is for the rest.
    """
    if not data:
        raise FrameInvalid(PROTOCOL, data, expected="at least one frame", found="nothing")
    return [parse(data[at : at + FRAME_LENGTH]) for at in range(0, len(data), FRAME_LENGTH)]


class Stream:
    """Frames out of a byte stream that comes in fragments and may hold garbage.

    Attributes
    ----------
    skipped
        Bytes that belonged to no good frame, so far.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._waiting = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that may be the beginning of a frame."""
        return len(self._waiting)

    def feed(self, data: bytes) -> list[Frame]:
        """Take `data` in; return the frames that are complete now."""
        waiting, found = self._waiting, []
        waiting += data
        at = 0
        while (at := waiting.find(START, at)) >= 0 and len(waiting) - at >= FRAME_LENGTH:
            try:
                frame = parse(bytes(waiting[at : at + FRAME_LENGTH]))
            except FrameInvalid:
                # 0xA5 is also a value: go on with the next byte, or a false start would eat a good frame.
                at += 1
                continue
            found.append(frame)
            self.skipped += at
            del waiting[: at + FRAME_LENGTH]
            at = 0
        at = len(waiting) if at < 0 else at
        self.skipped += at
        del waiting[:at]
        return found


def request(
    command: int, values: Mapping[str, float] | None = None, *, host: int = HOST_RS485, fill: int = 0
) -> bytes:
    """A request with `values` as in `REQUEST_FIELDS`; all other data is `fill` (clients use 0x00 or 0xAA)."""
    data = daly_data.pack(REQUEST_FIELDS.get(command, ()), values or {}, fill=fill)
    return bytes(Frame(host, command, data))


def reply(command: int, values: Mapping[str, float], *, board: int = BOARD_1) -> bytes:
    """A reply of one frame with `values` as in `FIELDS`; what is left out is 0."""
    return bytes(Frame(board, command, daly_data.pack(FIELDS[command], values)))


def replies(command: int, data: Sequence[bytes], *, board: int = BOARD_1) -> bytes:
    """A reply that is a list; `daly_data.pack_cells`, `pack_temperatures` and `pack_bits` make the data."""
    return b"".join(bytes(Frame(board, command, field)) for field in data)


def values(frame: Frame) -> dict[str, float | int | bool]:
    """The numbers of one frame by name; empty for commands that carry none or are not in the tables."""
    fields = (REQUEST_FIELDS if frame.from_host else FIELDS).get(frame.command, ())
    return daly_data.read(fields, frame.data)


def decode(data: bytes, *, can_id: int | None = None) -> dict[str, object]:
    """One or more frames in SI units, see `dut_profiles.protocols.Dialect`; `can_id` must be None."""
    if can_id is not None:
        raise FrameInvalid(PROTOCOL, data, expected="a serial line", found=f"CAN identifier 0x{can_id:X}")
    frames = parse_all(data)
    if len({frame.from_host for frame in frames}) > 1:
        raise FrameInvalid(PROTOCOL, data, expected="frames of one direction", found="requests and replies")
    commands = list(dict.fromkeys(frame.command for frame in frames))
    told: dict[str, object] = {
        "protocol": PROTOCOL,
        "direction": "host->bms" if frames[0].from_host else "bms->host",
        "address": frames[0].address,
        "command": commands[0] if len(commands) == 1 else commands,
        "frames": len(frames),
    }
    for command in commands:
        fields = [frame.data for frame in frames if frame.command == command]
        told |= daly_data.explain(command, fields, from_host=frames[0].from_host)
    return told


_MPP_TEST: Final = "jblance/mpp-solar, tests/integration/test_protocol_daly.py"
_MPP: Final = "jblance/mpp-solar, mppsolar/protocols/daly.py"
_BATMON: Final = "fl4p/batmon-ha, bmslib/test/data/daly_uart_fixtures.py"
_ISSUE: Final = "ForrestFire0/GenericBMSArduino, issue 4"


def _asked(frame: str, source: str, **means: object) -> Exchange:
    return Exchange(bytes.fromhex(frame), None, source, "public driver", means=tuple(means.items()))


def _answered(frame: str, source: str, label: Label = "capture", note: str = "", **means: object) -> Exchange:
    return Exchange(b"", bytes.fromhex(frame), source, label, note, means=tuple(means.items()))


_ENVELOPE: Final = "payload captured, envelope added by the source"

EXCHANGES: Final = (
    _asked("A5 40 90 08 00 00 00 00 00 00 00 00 7D", _BATMON, command=0x90, direction="host->bms"),
    _asked("A5 40 95 08 00 00 00 00 00 00 00 00 82", _BATMON, command=0x95),
    _asked("A5 40 94 08 AA AA AA AA AA AA AA AA D1", _BATMON, command=0x94),
    _asked("A5 41 90 08 AA AA AA AA AA AA AA AA CE", _BATMON, command=0x90, address=0x41),
    _answered("A5 01 90 08 02 14 00 00 75 45 03 78 89", _MPP_TEST,
              pack_voltage_v=53.2, current_a=-2.1, soc=0.888),
    _answered("A5 01 90 08 01 09 00 00 75 CF 03 0A 99", _MPP,
              pack_voltage_v=26.5, current_a=-15.9, soc=0.778),
    _answered("A5 01 90 08 01 01 00 00 75 30 01 46 2C", _ISSUE,
              pack_voltage_v=25.7, current_a=0.0, soc=0.326),
    _answered("A5 01 91 08 0D 00 0F 0C FE 01 03 78 E1", _MPP_TEST,
              max_cell_voltage_v=3.328, max_cell_number=15, min_cell_voltage_v=3.326, min_cell_number=1),
    _answered("A5 01 92 08 37 01 37 01 FE 01 03 78 2A", _MPP,
              max_temperature_degc=15, min_temperature_number=1),
    _answered("A5 01 93 08 02 01 01 78 00 03 CB 40 CB", _MPP, mode=2, charge_fet=True, discharge_fet=True,
              bms_life=120, remaining_ah=248.64),
    _answered("A5 01 93 08 00 01 01 9A 00 02 A2 D8 59", _MPP_TEST, mode_name="idle", remaining_ah=172.76),
    _answered("A5 01 93 08 01 01 01 CA 00 03 DD 38 26", _BATMON, note=_ENVELOPE, mode=1, remaining_ah=253.24),
    _answered("A5 01 94 08 10 01 00 00 00 00 03 40 96", _MPP_TEST, cells=16, temperature_sensors=1, cycles=3),
    _answered("A5 01 94 08 08 01 00 00 02 00 35 DC 5E", _BATMON, note=_ENVELOPE, cells=8, cycles=53,
              digital_io=["DI2"], charger_connected=False),
    _answered("A5 01 95 08 01 0C A3 0C A7 0C A6 F9 51 A5 01 95 08 02 0C A8 0C A5 0C A4 F9 53"
              "A5 01 95 08 03 0C A5 0C A6 00 00 F9 A2", _MPP, note="the first 3 of 16 frames, 8 cells",
              cell_voltages_v=[3.235, 3.239, 3.238, 3.24, 3.237, 3.236, 3.237, 3.238], frames=3),
    _answered("A5 01 96 08 01 37 00 00 00 00 00 00 7C A5 01 96 08 02 00 00 00 00 00 00 00 46", _MPP,
              temperatures_degc=[15.0], frames=2),
)  # fmt: skip
