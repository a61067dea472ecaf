"""Bloomy BS1200 cell emulators on CAN: driver of one or more boxes, and the exchanges both sides obey.

CAN has no acknowledgement of a command: what a box does shows in what it publishes. The spare inputs of the
boxes carry the pack's other signals, so that all of them share the time stamps of one bus. The twin is in
`cells_bs1200_twin.py`, identifiers and options are in `cells_bs1200_frames.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import can
import numpy as np

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError
from bench.record import Origin, Trace
from bench.wires.can import TwinBus, drain, send
from instruments import cells_bs1200_frames as frames
from instruments.cells_bs1200_frames import ACCURACY, CELLS_PER_BOX, Bs1200Options
from instruments.cells_bs1200_signals import tables
from instruments.cells_bs1200_twin import Bs1200Twin
from instruments.exchange import Exchange

_RECORDED = "recorded run of PyPI bs1200 1.3.6, box 1"
_PACKAGE = "PyPI bs1200 1.3.6, can_frames.py, called for box 1"
_DRIVER = "PyPI bs1200 1.3.6, driver.py"

#: As `<identifier>#<data>` in hexadecimal.
EXCHANGES = (
    Exchange(b"541#01", None, _RECORDED, "capture", "enable all channels"),
    Exchange(b"501#8890", None, _RECORDED, "capture", "3.7 V on all channels"),
    Exchange(b"511#0210A4", None, _RECORDED, "capture", "4.2 V on channel 3"),
    Exchange(b"551#0201", None, _PACKAGE, "public driver", "enable channel 3"),
    Exchange(b"481#8813A00F", None, _PACKAGE, "public driver", "sink 0.5 A, source 0.4 A, all channels"),
    Exchange(b"4A1#028813", None, _PACKAGE, "public driver", "sink 0.5 A, channel 3"),
    Exchange(b"4B1#028813", None, _PACKAGE, "public driver", "source 0.5 A, channel 3"),
    Exchange(b"201#0103", None, _PACKAGE, "public driver", "lines 1 and 2 are outputs, 1 is high"),
    Exchange(b"081#00", None, _PACKAGE, "public driver", "leave HIL mode"),
    Exchange(b"401#030700", None, _PACKAGE, "public driver", "publish DIO and analog inputs in HIL mode"),
    Exchange(b"0A1#00430042003C0038", None, _PACKAGE, "public driver", "HIL: 3.5, 3, 1, 0.5 V on 1 to 4"),
)

_DRAIN_S, _TWIN_DRAIN_S = 0.01, 1.0
_DRAIN_ORDER = 50
_ANSWER_S = 1.0


class Bs1200:
    """Bloomy BS1200 boxes as a `roles.CellEmulator`, and as the bench's sampler of the signals wired to them.

    Parameters
    ----------
    wire
        python-can bus at 1 Mbit/s (or what the boxes are set to) that the boxes have to themselves.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v, max_a
        What the station allows per cell [V], [A].
    options
        The `[roles.<name>.options]` table.
    """

    transport = "can"
    twin = Bs1200Twin
    Options = Bs1200Options
    idn = ("bloomy", "bs1200")
    watchdog = "none: the channels hold their voltage, at most 0.5 A each, when the host falls silent"

    def __init__(
        self,
        wire: can.BusABC,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Bs1200Options | None = None,
    ) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self._options = options or Bs1200Options()
        self.max_v, self._max_a = min(max_v, frames.FULL_SCALE_V), max_a
        self.cells, self.first_cell = self._options.cells, self._options.first_cell
        self._publish_s = self._options.publish_s
        self._off_s = dict.fromkeys(self._boxes, float("nan"))
        self._status: dict[int, tuple[float, bytes]] = {}
        self._tables = tables(self._options)
        self._table_of = {can_id: table for table in self._tables for can_id in table.can_ids}
        # A hub keeps what nobody fetches; an adapter's buffer overflows.
        period_s = _TWIN_DRAIN_S if isinstance(wire, TwinBus) else _DRAIN_S
        clock.every(period_s, self.drain, name=f"{role} drain", order=_DRAIN_ORDER)

    @staticmethod
    def heard(sent: Iterable[tuple[int, bytes]]) -> str:
        """Who the boxes on a bus are, from what they publish by themselves; "" if there are none."""
        identifiers = {can_id for can_id, data in sent if data}
        boxes = [box for box in range(1, 16) if {frames.STATUS + box, frames.CELL_V[0] + box} <= identifiers]
        return f"Bloomy BS1200 {', '.join(f'box {box}' for box in boxes)}" if boxes else ""

    def identity(self) -> str:
        """Which boxes publish; over CAN a BS1200 tells neither serial number nor firmware."""
        self._await_status()
        fans = {box: "ok" if self._status[box][1][0] == frames.FANS_OK else "failed" for box in self._boxes}
        return "Bloomy BS1200 " + ", ".join(f"box {box} (fans {state})" for box, state in fans.items())

    def prepare(self) -> None:
        """Leave HIL mode, disconnect all channels, make all digital lines inputs, set the current limits."""
        options = self._options
        self.off()
        sink, source = (
            round(min(limit_a, self._max_a) / frames.AMPERE_PER_COUNT)
            for limit_a in (options.sink_limit_a, options.source_limit_a)
        )
        for box in self._boxes:
            self._send(
                (frames.HIL_RUN + box, b"\0"),
                (frames.CONFIGURE + box, b"\x03\x07\x00"),
                (frames.SET_DIO + box, b"\0\0"),
                (frames.SET_LIMITS + box, struct.pack("<HH", sink, source)),
            )
        self._await_status()

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        if cell is not None:
            if not 0 <= cell < self.cells:
                raise self._refusal(f"cell {cell}", f"one of 0 to {self.cells - 1}")
            count = self._counts(voltage_v)  # type: ignore[arg-type]  # one cell takes one value
            box, channel = self._boxes[cell // CELLS_PER_BOX], cell % CELLS_PER_BOX
            self._send(
                (frames.SET_ONE_V + box, struct.pack("<BH", channel, count)),
                (frames.ENABLE_ONE + box, bytes((channel, 1))),
            )
            return
        wanted = [voltage_v] * self.cells if isinstance(voltage_v, (int, float)) else list(voltage_v)
        if len(wanted) != self.cells:
            raise self._refusal(f"{len(wanted)} voltages", f"{self.cells}, one for each cell")
        counts = [self._counts(volts) for volts in wanted]
        for k, box in enumerate(self._boxes):
            self._set_box(box, counts[CELLS_PER_BOX * k : CELLS_PER_BOX * (k + 1)])

    def set_publish_period(self, publish_s: float) -> None:
        """Publish every `publish_s` [s] from now on.

        Raises
        ------
        InstrumentRefused
            By a real box: Write_Period_ms is in a file on the box, which takes effect at a restart. The one
            public way to it is FTP or SSH (PyPI bs1200 1.3.6, `ConfigTools.apply_can_config`), not CAN.
        """
        hub = self._wire.hub if isinstance(self._wire, TwinBus) else None
        setter = hub.service_ports.get("bs1200.publish_s") if hub else None
        if setter is None:
            raise self._refusal(
                "a publishing period over CAN",
                "Write_Period_ms to be set in the box's configuration, over Ethernet and with a restart",
            )
        self.drain()
        setter(publish_s)
        self._publish_s = max(publish_s, self._publish_s)

    def off(self) -> None:
        for box in self._boxes:
            self._send((frames.ENABLE_ALL + box, b"\0"))

    def is_off(self) -> bool:
        """Whether "off" was the last that each box was told, and no channel has carried current since.

        A BS1200 does not publish the state of its output relays. But everybody on the bus hears what a box is
        told: an order of another host counts as one of this driver's own. Who has just come and has heard
        none does not know, and says no.
        """
        self.drain()
        if np.isnan(list(self._off_s.values())).any():
            return False
        # A row on the wire now was sampled before; the one after the next was not.
        sampled_s = self._clock.now_s + 1.5 * self._publish_s
        limit_a = 2 * ACCURACY["cell_a"].limit(0.0)

        def published() -> bool:
            amperes = self.traces().get("cell_a")
            return amperes is not None and bool(amperes.t_s[-1] > sampled_s)

        if not self._clock.until(published, timeout_s=_ANSWER_S + 2 * self._publish_s):
            raise self._silence("cell currents")
        return bool((np.abs(self.traces()["cell_a"].last) <= limit_a).all())

    def traces(self) -> dict[str, Trace]:
        self.drain()
        origin = Origin("measured", self._role)
        found: dict[str, Trace] = {}
        for table in self._tables:
            found.update(table.traces(origin, window_s=1.5 * self._publish_s))
        return found

    def newest(self, name: str) -> float:
        """The newest value of a trace of the spare inputs, without decoding the others; nan if none came.

        Raises
        ------
        KeyError
            If no input makes such a trace.
        """
        self.drain()
        table = next((t for t in self._tables if any(s.name == name for s in t.signals)), None)
        if table is None:
            raise KeyError(name)
        return table.newest(name)

    def drain(self) -> None:
        """Take what arrived out of the adapter; decoding waits until somebody looks."""
        table_of = self._table_of
        for t_s, can_id, data in drain(self._wire, self._clock):
            table = table_of.get(can_id)
            if table is not None:
                table.append(t_s, can_id, data)
            elif can_id - frames.STATUS in self._boxes and data:
                self._status[can_id - frames.STATUS] = (t_s, data)
            else:
                self._note_order(t_s, can_id, data)

    @property
    def _boxes(self) -> tuple[int, ...]:
        return self._options.boxes

    def _set_box(self, box: int, counts: list[int]) -> None:
        if len(set(counts)) == 1:
            self._send((frames.SET_ALL_V + box, struct.pack("<H", counts[0])))
        else:
            self._send(*((frames.SET_ONE_V + box, struct.pack("<BH", k, n)) for k, n in enumerate(counts)))
        self._send((frames.ENABLE_ALL + box, b"\x01"))

    def _counts(self, voltage_v: float) -> int:
        if not 0.0 <= voltage_v <= self.max_v:
            raise self._refusal(f"{voltage_v:g} V", f"0 to {self.max_v:g} V, the least of rating and max_v")
        return round(voltage_v / frames.VOLT_PER_COUNT)

    def _send(self, *batch: tuple[int, bytes]) -> None:
        self.drain()  # what others ordered before
        send(self._wire, batch)
        for can_id, data in batch:
            self._note_order(self._clock.now_s, can_id, data)

    def _note_order(self, t_s: float, can_id: int, data: bytes) -> None:
        """Keep in mind whether a box was told to switch its channels off, or one of them on."""
        if not data:
            return
        if (box := can_id - frames.ENABLE_ALL) in self._off_s:
            self._off_s[box] = float("nan") if data[0] else t_s
        elif (box := can_id - frames.ENABLE_ONE) in self._off_s and data[-1]:
            self._off_s[box] = float("nan")

    def _await_status(self) -> None:
        asked_s = self._clock.now_s

        def all_published() -> bool:
            self.drain()
            return all(self._status.get(box, (-1.0, b""))[0] >= asked_s for box in self._boxes)

        if not self._clock.until(all_published, timeout_s=_ANSWER_S + self._publish_s):
            missing = [box for box in self._boxes if self._status.get(box, (-1.0, b""))[0] < asked_s]
            raise self._silence(f"the status of box {', '.join(map(str, missing))}")

    def _silence(self, what: str) -> WireError:
        return WireError(
            f"{self._role}: expected {what} to be published within {_ANSWER_S:g} s, found none at "
            f"{self._clock.now_s:.3f} s. Are the boxes on, their numbers {self._boxes}, the bit rate theirs?"
        )

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}; "
            "nothing was sent."
        )
