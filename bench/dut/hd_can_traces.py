"""What an `hd_can` DUT reported, as traces: whole arrays of frames at a time, and only when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.dut.columns import Columns
from bench.dut.frame_log import Chunk
from bench.record import Floats, Trace
from dut_profiles.protocols import hd_can
from dut_profiles.protocols.signals import Field, Words

#: Trace, unit, message, signals of the database, divisor to SI.
_TRACES: Final = (
    ("dut.state", "1", hd_can.PACK_STATE, ("state",), 1.0),
    ("dut.soc", "1", hd_can.PACK_STATE, ("soc",), 100.0),
    ("dut.soh", "1", hd_can.PACK_STATE, ("soh",), 100.0),
    ("dut.fault_index", "1", hd_can.PACK_STATE, ("fault_index",), 1.0),
    ("dut.charge_allowed", "1", hd_can.PACK_STATE, ("charge_allowed",), 1.0),
    ("dut.discharge_allowed", "1", hd_can.PACK_STATE, ("discharge_allowed",), 1.0),
    ("dut.switch.main_minus", "1", hd_can.PACK_STATE, ("main_minus",), 1.0),
    ("dut.switch.main_plus", "1", hd_can.PACK_STATE, ("main_plus",), 1.0),
    ("dut.switch.precharge", "1", hd_can.PACK_STATE, ("precharge",), 1.0),
    ("dut.switch.charge", "1", hd_can.PACK_STATE, ("charge",), 1.0),
    ("dut.pyro_fired", "1", hd_can.PACK_STATE, ("pyro_fired",), 1.0),
    ("dut.hvil_closed", "1", hd_can.PACK_STATE, ("hvil_closed",), 1.0),
    ("dut.fan", "1", hd_can.PACK_STATE, ("fan",), 1.0),
    ("dut.heater", "1", hd_can.PACK_STATE, ("heater",), 1.0),
    ("dut.pack_v", "V", hd_can.PACK_VALUES, ("pack_v",), 1.0),
    ("dut.current_a", "A", hd_can.PACK_VALUES, ("current",), 1.0),
    ("dut.link_v", "V", hd_can.PACK_VALUES, ("link_v",), 1.0),
    ("dut.charge_limit_a", "A", hd_can.LIMITS, ("charge_limit",), 1.0),
    ("dut.discharge_limit_a", "A", hd_can.LIMITS, ("discharge_limit",), 1.0),
    ("dut.regen_limit_a", "A", hd_can.LIMITS, ("regen_limit",), 1.0),
    ("dut.charge_v", "V", hd_can.LIMITS, ("charge_v",), 1.0),
    ("dut.highest_cell_v", "V", hd_can.CELL_EXTREMES, ("max",), 1000.0),
    ("dut.highest_cell", "1", hd_can.CELL_EXTREMES, ("max_index",), 1.0),
    ("dut.lowest_cell_v", "V", hd_can.CELL_EXTREMES, ("min",), 1000.0),
    ("dut.lowest_cell", "1", hd_can.CELL_EXTREMES, ("min_index",), 1.0),
    ("dut.hottest_degc", "degC", hd_can.TEMPERATURE_EXTREMES, ("max",), 1.0),
    ("dut.coldest_degc", "degC", hd_can.TEMPERATURE_EXTREMES, ("min",), 1.0),
    ("dut.board_degc", "degC", hd_can.TEMPERATURE_EXTREMES, ("board",), 1.0),
    ("dut.insulation_ohm", "ohm", hd_can.INSULATION, ("positive", "negative"), 0.001),
    ("dut.charger_v", "V", hd_can.INSULATION, ("charger_v",), 1.0),
    ("dut.discharge_10s_w", "W", hd_can.POWER, ("discharge_10s",), 1.0),
    ("dut.charge_10s_w", "W", hd_can.POWER, ("charge_10s",), 1.0),
    ("dut.remaining_ah", "Ah", hd_can.POWER, ("remaining",), 1.0),
    ("dut.cycles", "1", hd_can.COUNTERS, ("cycles",), 1.0),
    ("dut.charged_ah", "Ah", hd_can.COUNTERS, ("charged",), 1.0),
    ("dut.discharged_ah", "Ah", hd_can.COUNTERS, ("discharged",), 1.0),
)  # fmt: skip


#: Channels of one multiplexed frame.
_SLOTS: Final = 3
_ALARM_BITS: Final = np.arange(len(hd_can.ALARMS), dtype=np.uint64)


class _Plain:
    """One message: a column per signal of `_TRACES`."""

    def __init__(self, can_id: int) -> None:
        fields = hd_can.messages()[can_id].fields
        rows = [row for row in _TRACES if row[2] == can_id]
        self._fields = [(fields[signal], divisor) for *_, signals, divisor in rows for signal in signals]
        self.columns = Columns(len(self._fields))
        self._named: list[tuple[str, str, int | slice]] = []
        at = 0
        for name, unit, _, signals, _ in rows:
            self._named.append((name, unit, at if len(signals) == 1 else slice(at, at + len(signals))))
            at += len(signals)

    def add(self, t_s: Floats, data: Words) -> None:
        self.columns.extend(
            t_s, np.column_stack([field.values(data) / divisor for field, divisor in self._fields])
        )

    def traces(self) -> Iterable[Trace]:
        return (self.columns.trace(*named) for named in self._named)


class _Alarms:
    """0x303: a column per alarm."""

    def __init__(self) -> None:
        self.columns = Columns(len(hd_can.ALARMS))

    def add(self, t_s: Floats, data: Words) -> None:
        self.columns.extend(t_s, ((data[:, None] >> _ALARM_BITS) & np.uint64(1)).astype(np.float64))

    def traces(self) -> Iterable[Trace]:
        return (self.columns.trace(f"dut.alarm.{name}", "1", bit) for bit, name in enumerate(hd_can.ALARMS))


class _Groups:
    """A multiplexed message: one sample when all groups of a broadcast are in, at the time of the last.

    Groups come in ascending order; a broadcast with a missing group gives no sample.
    """

    def __init__(
        self, can_id: int, channels: int, named: tuple[tuple[str, str, tuple[Field, ...], float], ...]
    ) -> None:
        self._group = hd_can.messages()[can_id].fields["group"]
        self._channels, self._named = channels, named
        self._groups = -(-channels // _SLOTS)
        self.columns = Columns(channels * len(named))
        self._rest: tuple[Floats, Words] = (np.empty(0), np.empty(0, np.uint64))

    def add(self, t_s: Floats, data: Words) -> None:
        t_s, data = np.concatenate((self._rest[0], t_s)), np.concatenate((self._rest[1], data))
        group = self._group.values(data)
        mine = group < self._groups
        t_s, data, group = t_s[mine], data[mine], group[mine]
        if not len(group):
            return
        broadcast = np.cumsum(np.concatenate(([False], group[1:] <= group[:-1])))
        complete = np.bincount(broadcast) == self._groups
        used = complete[broadcast]
        # The last broadcast may still be coming in.
        keep = (broadcast == broadcast[-1]) & ~used
        self._rest = t_s[keep], data[keep]
        if used.any():
            self.columns.extend(t_s[used].reshape(-1, self._groups)[:, -1], self._values(data[used]))

    def _values(self, data: Words) -> Floats:
        """Samples, shape (broadcasts, columns)."""
        parts = []
        for _, _, fields, divisor in self._named:
            slots = np.column_stack([field.values(data) / divisor for field in fields])
            parts.append(slots.reshape(-1, self._groups * _SLOTS)[:, : self._channels])
        return np.hstack(parts)

    def traces(self) -> Iterable[Trace]:
        for index, (name, unit, *_) in enumerate(self._named):
            part = slice(index * self._channels, (index + 1) * self._channels)
            yield self.columns.trace(name, unit, part)


class Reports:
    """The reported traces of one DUT.

    Parameters
    ----------
    cells, sensors
        How many the profile declares; the dialect itself does not say.
    """

    def __init__(self, cells: int, sensors: int) -> None:
        messages = hd_can.messages()
        # Every group has the layout of the first, so its fields serve packs of any size.
        cell, sensor = messages[hd_can.CELL_VOLTAGES].fields, messages[hd_can.CELL_TEMPERATURES].fields
        voltages = tuple(cell[f"cell_{slot}"] for slot in range(_SLOTS))
        bleeds = tuple(cell[f"cell_{slot}_bleeds"] for slot in range(_SLOTS))
        degc = tuple(sensor[f"sensor_{slot}"] for slot in range(_SLOTS))
        self._parts: dict[int, _Plain | _Alarms | _Groups] = {
            **{can_id: _Plain(can_id) for can_id in dict.fromkeys(row[2] for row in _TRACES)},
            hd_can.ALARM_FLAGS: _Alarms(),
            hd_can.CELL_VOLTAGES: _Groups(
                hd_can.CELL_VOLTAGES,
                cells,
                (("dut.cell_v", "V", voltages, 1000.0), ("dut.bleeds", "1", bleeds, 1.0)),
            ),
            hd_can.CELL_TEMPERATURES: _Groups(
                hd_can.CELL_TEMPERATURES, sensors, (("dut.temperature_degc", "degC", degc, 1.0),)
            ),
        }
        self._traces: dict[str, Trace] = {}

    def add(self, chunks: list[Chunk]) -> None:
        """Take in frames that may be believed."""
        if not chunks:
            return
        good = [chunk.good for chunk in chunks]
        t_s = np.concatenate([chunk.t_s[g] for chunk, g in zip(chunks, good, strict=True)])
        can_id: NDArray[np.uint32] = np.concatenate([c.can_id[g] for c, g in zip(chunks, good, strict=True)])
        data = np.concatenate([chunk.data[g] for chunk, g in zip(chunks, good, strict=True)])
        for this, part in self._parts.items():
            here = can_id == this
            if here.any():
                part.add(t_s[here], data[here])
        self._traces = {
            trace.name: trace for part in self._parts.values() for trace in part.traces() if len(trace)
        }

    def traces(self) -> dict[str, Trace]:
        """Everything so far, by standard name."""
        return dict(self._traces)

    def last(self, name: str) -> Floats:
        """The newest sample of a trace; nan, shape (), before the first."""
        trace = self._traces.get(name)
        return np.array(np.nan) if trace is None else trace.last
