"""A record as the reference reads it: each trace once, the story, and the signal of each limit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.record import Event, Floats, Record, Trace
from bench.reference.intervals import Mask, inside, nothing, runs, sliding, union
from bench.reference.limits import Bounds, Signal, bounds, mirror
from bench.reference.story import Story, read_story
from dut_profiles.profile import Limit, Profile

#: The trace that holds the quantity of a limit; the DUT's own carries the prefix `dut.`.
TRACE_OF = {
    "cell_voltage": "cell_v",
    "cell_spread": "cell_v",
    "temperature": "temperature_degc",
    "temperature_spread": "temperature_degc",
    "charge_current": "current_a",
    "discharge_current": "current_a",
    "insulation": "insulation_ohm_per_v",
}
_SPREADS = ("cell_spread", "temperature_spread")


@dataclass(frozen=True, slots=True)
class Extremes:
    """Lowest and highest of a quantity over its channels, as far as anybody knows.

    Parameters
    ----------
    t_s
        Times [s], shape (time,).
    low, high
        Shape (time,). A channel that no instrument measured is taken from the DUT's own report, widened by
        the declared accuracy; -inf and +inf where nobody reported it either. Permits, never obliges.
    measured
        Measured values, shape (time, channels), nan where not measured.
    """

    t_s: Floats
    low: Floats
    high: Floats
    measured: Floats
    uncertainty: float
    period_s: float


class Observed:
    """One record, read once.

    Parameters
    ----------
    record
        Traces and events. Empty traces count as absent.
    profile
        What the DUT's maker declares.
    """

    def __init__(self, record: Record, profile: Profile) -> None:
        self.profile = profile
        self.traces = {name: trace for name, trace in record.traces().items() if len(trace)}
        self._events = list(record.events)
        self._extremes: dict[str, Extremes | None] = {}

    @cached_property
    def start_s(self) -> float:
        """Time [s] of the first sample of any trace."""
        return min((float(trace.t_s[0]) for trace in self.traces.values()), default=float("nan"))

    @cached_property
    def end_s(self) -> float:
        """Time [s] of the last sample of any trace."""
        return max((float(trace.t_s[-1]) for trace in self.traces.values()), default=float("nan"))

    @cached_property
    def awake_s(self) -> float:
        """Time [s] of the DUT's first report; the start of the record if it reports nothing."""
        reported = [float(t.t_s[0]) for name, t in self.traces.items() if name.startswith("dut.")]
        return min(reported, default=self.start_s)

    @cached_property
    def story(self) -> Story:
        """What was done to the DUT."""
        return read_story(self._events, end_s=self.end_s)

    @cached_property
    def known_soc(self) -> list[Event]:
        """Events that say what the true SOC was."""
        return [e for e in self._events if e.kind == "soc" and "soc" in e.data and np.isfinite(e.t_s)]

    def period_s(self, name: str) -> float:
        """Sampling period [s] of a trace; 0 if it is absent or has one sample."""
        trace = self.traces.get(name)
        return trace.period_s if trace is not None and len(trace) > 1 else 0.0

    def bounds(self, limit: Limit) -> Bounds:
        """Levels and times of a limit of the profile."""
        return bounds(self.profile, limit)

    def blind(self, limit: Limit) -> Floats:
        """When the DUT saw the quantity of `limit` otherwise than the bench did."""
        if limit.quantity == "insulation" and "insulation_ohm_per_v" in self.traces:
            # The inserted resistance is then a stimulus that was measured, not an unknown.
            return self.story.dark
        return self.story.blind(limit.quantity)

    def asleep(self, limit: Limit) -> Floats:
        """When `limit` obliges to nothing: blind, or not yet awake."""
        return union(self.blind(limit), np.array([[-np.inf, self.awake_s]]))

    def signal(self, limit: Limit) -> Signal | None:
        """What `limit` looks at; None if nobody measured or reported it at any time."""
        extremes = self.extremes(TRACE_OF[limit.quantity])
        if extremes is None:
            return None
        sign = mirror(limit)
        uncertainty, columns = extremes.uncertainty, extremes.measured
        if limit.quantity in _SPREADS:
            columns = _spread(columns)[:, None]
            permit = extremes.high - extremes.low
            uncertainty *= 2.0
        elif limit.quantity == "discharge_current":
            sign = -sign
            permit = -extremes.low if sign < 0 else extremes.high
        else:
            permit = extremes.high if sign > 0 else -extremes.low
        permit = np.where(inside(self.blind(limit), extremes.t_s), np.inf, permit)
        return Signal(extremes.t_s, permit, columns, sign, uncertainty, extremes.period_s)

    def extremes(self, name: str) -> Extremes | None:
        """Lowest and highest of a measured quantity over its channels, from a cache."""
        if name not in self._extremes:
            self._extremes[name] = self._find_extremes(name)
        return self._extremes[name]

    def gaps(self, limit: Limit) -> Mask | None:
        """Samples of the signal of `limit` that oblige to nothing; None if it has no signal."""
        extremes = self.extremes(TRACE_OF[limit.quantity])
        return None if extremes is None else inside(self.asleep(limit), extremes.t_s)

    def _find_extremes(self, name: str) -> Extremes | None:
        measured, reported = self.traces.get(name), self.traces.get(f"dut.{name}")
        base = measured or reported
        if base is None:
            return None
        value = base.value if base.value.ndim == 2 else base.value[:, None]
        if measured is None:
            value = np.full_like(value, np.nan)
        low = np.minimum.reduce(value, axis=1)
        high = np.maximum.reduce(value, axis=1)
        holes = np.isnan(low)
        if np.any(holes):
            known = np.where(
                np.isnan(value[holes]), self._stand_in(name, base.t_s[holes], value.shape[1]), 0.0
            )
            worst = np.where(np.isnan(known), np.inf, self._accuracy(name, known))
            here = value[holes]
            centre = np.where(np.isnan(here), np.nan_to_num(known), here)
            slack = np.where(np.isnan(here), worst, 0.0)
            low[holes] = np.min(centre - slack, axis=1)
            high[holes] = np.max(centre + slack, axis=1)
        period_s = base.period_s if len(base) > 1 else 0.0
        return Extremes(base.t_s, low, high, value, base.uncertainty if measured else 0.0, period_s)

    def _stand_in(self, name: str, t_s: Floats, channels: int) -> Floats:
        """The DUT's newest report at each time, shape (time, channels); nan where there is none."""
        reported = self.traces.get(f"dut.{name}")
        if reported is None:
            return np.full((len(t_s), channels), np.nan)
        value = reported.value if reported.value.ndim == 2 else reported.value[:, None]
        if value.shape[1] != channels:
            return np.full((len(t_s), channels), np.nan)
        index = np.searchsorted(reported.t_s, t_s, side="right") - 1
        found: Floats = np.where((index >= 0)[:, None], value[np.maximum(index, 0)], np.nan)
        return found

    def _accuracy(self, name: str, value: Floats) -> Floats:
        """Declared accuracy of what the DUT reports, in the unit of the trace."""
        declared = self.profile.measurement
        match name:
            case "cell_v":
                return np.full_like(value, declared.cell_tolerance_v)
            case "temperature_degc":
                return np.full_like(value, declared.temperature_tolerance_k)
            case "current_a":
                return declared.current_tolerance_a + declared.current_tolerance_fraction * np.abs(value)
            case _:
                return np.full_like(value, np.inf)


def blur_s(measured: Trace, age_s: float) -> float:
    """How far [s] a measured row reaches beyond its stamp; 0 for what is measured as fast as reports age.

    In a scan slower than that, each channel had its turn up to half a period from the stamp of the row, and
    what came and went between two turns was not seen: a DUT can be held against it only while it is steady.
    """
    period_s = measured.period_s if len(measured) > 1 else 0.0
    return period_s if period_s > age_s else 0.0


def followed(observed: Observed, measured: Trace, t_s: Floats, age_s: float) -> Mask:
    """Whether `measured` was fast enough for what happened around each report at `t_s` [s], shape (reports,).

    A slow scan misses a pulse of current and what cells answer to it; a faster ammeter, if there is one,
    tells of it.
    """
    blur, current = blur_s(measured, age_s), observed.traces.get("current_a")
    if blur == 0.0 or current is None or current.period_s > age_s:
        return np.ones(len(t_s), dtype=np.bool_)
    low, high = sliding(current.t_s, current.value, t_s - age_s - blur, t_s + blur)
    with np.errstate(invalid="ignore"):
        still: Mask = high - low <= STILL * observed.profile.pack.max_discharge_a
    return still


#: Share of the greatest current by which a current may move and cells still count as left alone.
STILL = 0.05


def report_age_s(profile: Profile, sampling_s: float) -> float:
    """How old [s] a reported value may be: one sample, and one broadcast that came as late as declared."""
    communication = profile.communication
    return sampling_s + communication.period_s * (1.0 + communication.period_tolerance_fraction) + TASK_S


#: A DUT's own task between sampling and sending [s], project default: one 10 ms task.
TASK_S = 0.02


def path_trace(observed: Observed, path: str) -> Trace | None:
    """The measured state of one path ("charge" or "discharge"), 1 closed."""
    return observed.traces.get(f"{path}_path")


def closed_throughout(trace: Trace) -> Floats:
    """Intervals in which a 0/1 trace was seen closed without a break, shape (intervals, 2) [s]."""
    first, last = runs(trace.value >= 0.5)
    return np.column_stack((trace.t_s[first], trace.t_s[last])) if len(first) else nothing()


def _spread(columns: Floats) -> Floats:
    """Highest less lowest over the channels that were measured, shape (time,); nan if none was."""
    found: Floats = np.fmax.reduce(columns, axis=1) - np.fmin.reduce(columns, axis=1)
    return found
