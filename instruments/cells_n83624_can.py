"""NGI N83624 by CAN: driver of one unit, and its exchanges.

CAN has no acknowledgement: what a channel does shows in what the unit uploads, which the driver switches on.
Left out, because no register for them is known: operation mode, protections and fault relays. They are set by
another connector; a channel that is on in another mode than source is not told apart here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import can

from bench.clock import Clock
from bench.errors import WireError
from bench.wires.can import drain, send
from instruments import cells_n83624_can_frames as frames
from instruments.cells_n83624_can_frames import can_id
from instruments.cells_n83624_data import ACCURACY, ALL, N83624Options
from instruments.cells_n83624_twin import N83624Twin
from instruments.cells_n83624_unit import N83624Unit, Order
from instruments.exchange import Exchange

__all__ = ["ACCURACY", "EXCHANGES", "N83624Can"]

_GUIDE = "N83624 Series Programming Guide, CAN-DBC V20230904: identifiers and scales, frame made by hand"


def _frame(frame: bytes, note: str) -> Exchange:
    return Exchange(frame, None, _GUIDE, "unverified", f"{note}; byte order not seen", face="can")


#: As `<identifier>#<data>` in hexadecimal.
EXCHANGES = (
    _frame(b"00030014#20753800", "3.7 V on channel 3: 3 700 000 counts"),
    _frame(b"00030015#00CA9A3B", "limit 1000 mA on channel 3: 1 000 000 000 counts"),
    _frame(b"0003000A#01000000", "channel 3 on"),
    _frame(b"00030071#64000000", "channel 3 uploads every 100 ms"),
)

_REGISTERS = {"on": (frames.SET_ON, 1.0), "upload_ms": (frames.SET_UPLOAD, 1.0)}
_REGISTERS["source_v"] = (frames.SET_V, 1 / frames.SET_VOLT_PER_COUNT)
_REGISTERS["source_ma"] = (frames.SET_A, 1 / frames.SET_MILLIAMPERE_PER_COUNT)
_ANSWER_S = 1.0
#: What a `prepare` takes of a bus at 250 kbit/s: 96 frames of 0.45 ms.
_ALL_ORDERS_S = 0.05


class CanLink:
    """The uploads of 24 channels, and orders to them. See `cells_n83624_unit.Link`."""

    def __init__(self, wire: can.BusABC, *, clock: Clock, role: str, options: N83624Options) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self._unit, self._period_ms = options.device_number, round(options.sample_s * 1e3)
        self._seen: dict[int, dict[int, tuple[float, bytes]]] = {frames.STATE: {}, frames.READING: {}}
        self._place = {
            can_id(channel, register, unit=self._unit, from_unit=True): (register, channel)
            for register in self._seen
            for channel in ALL
        }
        self.busy = False

    def identity(self) -> str:
        """CAN tells neither serial number nor firmware; that all channels upload is all that can be said."""
        self._await(frames.STATE, ALL)
        first = can_id(ALL[0], 0, unit=self._unit) >> 16
        return f"NGI N83624 on CAN, unit {self._unit}, channels {first} to {first + len(ALL) - 1}"

    def clear(self) -> None:
        """Forget what was uploaded before, and have every channel upload."""
        self.drain()
        self._order_uploads()

    def put(self, orders: Sequence[Order]) -> None:
        for name, channels, values in orders:
            if name not in _REGISTERS:
                continue
            register, counts = _REGISTERS[name]
            send(
                self._wire,
                [
                    (can_id(channel, register, unit=self._unit), struct.pack("<I", round(wanted * counts)))
                    for channel, wanted in zip(channels, values, strict=True)
                ],
            )

    def get(self, name: str, channels: Sequence[int]) -> list[float]:
        if name == "relay":  # not known here, see above
            return [0.0] * len(channels)
        self._await(frames.STATE, channels)
        states = [struct.unpack_from("<I", self._seen[frames.STATE][k][1])[0] for k in channels]
        return [float(state & 1) if name == "on" else float(state) for state in states]

    def off(self) -> None:
        self.put([("on", ALL, [0.0] * len(ALL))])

    def measure(self, channels: Sequence[int]) -> tuple[float, list[float], list[float]]:
        """The next upload, stamped with the first frame of it."""
        self._await(frames.READING, channels)
        return self.newest(channels)

    def newest(self, channels: Sequence[int]) -> tuple[float, list[float], list[float]]:
        """What every channel uploaded last."""
        kept = self._seen[frames.READING]
        counts = [struct.unpack_from("<ii", kept[k][1]) for k in channels]
        volts = [v * frames.VOLT_PER_COUNT for v, _ in counts]
        amperes = [a * frames.MILLIAMPERE_PER_COUNT / 1e3 for _, a in counts]
        return min(kept[k][0] for k in channels), volts, amperes

    def drain(self) -> list[tuple[float, int]]:
        """Take what arrived out of the adapter; stamp and channel of each reading."""
        readings = []
        for t_s, frame_id, frame in drain(self._wire, self._clock):
            register, channel = self._place.get(frame_id, (0, 0))
            if register and len(frame) == 8:
                self._seen[register][channel] = (t_s, frame)
                if register == frames.READING:
                    readings.append((t_s, channel))
        return readings

    def _order_uploads(self) -> None:
        self.put([("upload_ms", ALL, [float(self._period_ms)] * len(ALL))])

    def _await(self, register: int, channels: Sequence[int]) -> None:
        """Until each channel has uploaded a sample taken after now."""
        self._order_uploads()
        # An upload that begins before all orders are out was sampled before some of them were obeyed.
        asked_s = self._clock.now_s + _ALL_ORDERS_S + self._period_ms / 1e3
        seen = self._seen[register]

        def arrived() -> bool:
            self.drain()
            return all(seen.get(channel, (-1.0, b""))[0] > asked_s for channel in channels)

        if not self._clock.until(arrived, timeout_s=_ANSWER_S + 2 * self._period_ms / 1e3):
            missing = [str(k) for k in channels if seen.get(k, (-1.0, b""))[0] <= asked_s]
            raise WireError(
                f"{self._role}: expected an upload of channels {', '.join(missing)} within {_ANSWER_S:g} s, "
                f"found none at {self._clock.now_s:.3f} s. Is the unit on, its number {self._unit}, "
                "the bit rate its own?"
            )


class N83624Can(N83624Unit):
    """An N83624 by CAN, without its fault relays.

    Parameters
    ----------
    wire
        python-can bus at the unit's bit rate.
    clock, role, max_v, max_a, options
        As of `N83624Unit`.
    """

    transport = "can"
    face = "can"
    twin = N83624Twin
    Options = N83624Options
    watchdog = "none: the channels hold their voltage when the host falls silent"

    def __init__(
        self,
        wire: can.BusABC,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: N83624Options | None = None,
    ) -> None:
        options = options or N83624Options()
        self._uploads = CanLink(wire, clock=clock, role=role, options=options)
        super().__init__(self._uploads, clock=clock, role=role, max_v=max_v, max_a=max_a, options=options)
        self.faults = ()

    def poll(self) -> None:
        """Take the uploads that arrived, and make a row of those that belong together."""
        readings = self._uploads.drain()
        if {channel for _, channel in readings} >= set(self._channels):
            self._keep(*self._uploads.newest(self._channels))
