"""When a limit permits a trip, and when it demands one: pure functions of a sampled signal.

Everything is written for a signal that trips *upwards*; a limit on the other side is mirrored first.
The band around the trip level is ``tolerance + U``: the DUT's declared tolerance plus the expanded
uncertainty (k = 2) of the bench's own reading. They are added, not combined as squares, because the first
is a bound that the maker guarantees and not a spread.

Between two samples of the bench the signal is unknown but taken to lie between them, so a run beyond a level
may have begun just after the last sample that was not beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import Inconclusive
from bench.record import Floats, Trace
from bench.reference.intervals import EPSILON_S, Mask, bridged, nothing, runs, union
from dut_profiles.profile import Limit, Profile


@dataclass(frozen=True, slots=True)
class Signal:
    """What a limit looks at, as the bench saw it, mirrored so that it trips upwards.

    Parameters
    ----------
    t_s
        Times of the samples [s], shape (time,).
    permit
        Highest value over the channels that it may have had, shape (time,); +inf where nobody knows.
    columns
        Measured values, not mirrored, shape (time, channels); nan where not measured.
    sign
        +1 or -1: ``sign * columns`` trips upwards.
    uncertainty
        Expanded uncertainty (k = 2) of one value.
    period_s
        Sampling period of the bench [s]; 0 if a single sample.
    """

    t_s: Floats
    permit: Floats
    columns: Floats
    sign: float
    uncertainty: float
    period_s: float

    def rows(self, channel: int) -> Floats:
        """Mirrored values of one channel, shape (time,)."""
        mirrored: Floats = self.sign * self.columns[:, channel]
        return mirrored

    def peaks(self) -> Floats:
        """Highest mirrored value of each channel over time, shape (channels,); nan if never measured."""
        if self.sign > 0:
            high: Floats = np.fmax.reduce(self.columns, axis=0)
            return high
        low: Floats = -np.fmin.reduce(self.columns, axis=0)
        return low


@dataclass(frozen=True, slots=True)
class Bounds:
    """Levels and times of one limit on a mirrored signal, from the profile.

    `sampling_s` is the DUT's own sampling period: a change is seen that much later at the latest, and a dip
    shorter than it may not be seen at all.
    """

    trip: float
    release: float
    tolerance: float
    shortest_s: float
    longest_s: float
    sampling_s: float
    actuator_s: float
    report_s: float

    @property
    def decided_s(self) -> float:
        """Longest time [s] from a certain crossing to the DUT's decision."""
        return self.longest_s + self.sampling_s


def mirror(limit: Limit) -> float:
    """+1 for a limit that trips above its level, -1 for one that trips below."""
    return 1.0 if limit.side == "above" else -1.0


def sampling_s(profile: Profile, limit: Limit) -> float:
    """The DUT's sampling period [s] for the quantity of `limit`; 0 for a limit faster than sampling."""
    measurement = profile.measurement
    match limit.quantity:
        case "cell_voltage" | "cell_spread":
            return measurement.cell_period_s
        case "temperature" | "temperature_spread":
            return measurement.temperature_period_s
        case "insulation":
            return profile.insulation.measuring_s
        case _:
            return 0.0 if in_hardware(profile, limit) else measurement.current_period_s


def in_hardware(profile: Profile, limit: Limit) -> bool:
    """Whether `limit` is too fast for the DUT's sampling, and so must be a circuit of its own."""
    current = limit.quantity in ("charge_current", "discharge_current")
    return current and limit.delay_s < profile.measurement.current_period_s


def bounds(profile: Profile, limit: Limit) -> Bounds:
    """Levels and times of `limit` on a mirrored signal.

    The actuator takes `switches.opening_s`; before a level-2 opening the DUT may first wait
    `switches.zero_current_wait_s` for the machine to shed its current.
    """
    sign = mirror(limit)
    switches, communication = profile.switches, profile.communication
    actuator_s = switches.opening_s + (switches.zero_current_wait_s if limit.level == 2 else 0.0)
    if in_hardware(profile, limit):
        actuator_s = switches.pyro_opening_s
    return Bounds(
        trip=sign * limit.trip,
        release=sign * (limit.trip if limit.release is None else limit.release),
        tolerance=limit.tolerance,
        shortest_s=max(0.0, limit.delay_s - limit.delay_tolerance_s),
        longest_s=limit.delay_s + limit.delay_tolerance_s,
        sampling_s=sampling_s(profile, limit),
        actuator_s=actuator_s,
        report_s=communication.period_s * (1.0 + communication.period_tolerance_fraction),
    )


def signal_of(trace: Trace, limit: Limit) -> Signal:
    """What `limit` looks at in one measured trace.

    Parameters
    ----------
    trace
        Measured quantity in the limit's unit, shape (time,) or (time, channels). Current is positive when it
        charges; a limit on discharge current turns it over.
    limit
        Limit of the profile.

    Raises
    ------
    Inconclusive
        If the trace is empty or has no single finite value.
    ValueError
        If time does not strictly rise.
    """
    if len(trace) and np.any(np.diff(trace.t_s) <= 0):
        raise ValueError(f"{trace!r}: expected strictly rising times")
    if not np.any(np.isfinite(trace.value)):
        raise Inconclusive(f"{limit.name}: {trace!r} holds no measured value")
    columns = trace.value if trace.value.ndim == 2 else trace.value[:, None]
    uncertainty = trace.uncertainty
    if limit.quantity in ("temperature_spread", "cell_spread") and columns.shape[1] > 1:
        columns = (np.fmax.reduce(columns, axis=1) - np.fmin.reduce(columns, axis=1))[:, None]
        uncertainty *= 2.0
    sign = mirror(limit)
    if limit.quantity == "discharge_current":
        sign = -sign
    seen = columns[:, np.isfinite(columns).any(axis=0)]
    permit = np.where(np.isnan(seen).any(axis=1), np.inf, np.max(sign * seen, axis=1))
    period_s = trace.period_s if len(trace) > 1 else 0.0
    return Signal(trace.t_s, permit, columns, sign, uncertainty, period_s)


def opportunities(signal: Signal, limits: Bounds) -> Floats:
    """Intervals in which a DUT may decide to trip, shape (intervals, 2) [s].

    From the shortest delay after the earliest instant at which the signal may have been beyond
    ``trip - tolerance - U`` for good, to the first sample at which it was certainly not. Dips that were seen
    for less than the DUT's sampling period do not count: it may have missed them. A run that stands at the
    first sample may have begun long before (-inf).
    """
    t_s = signal.t_s
    beyond = signal.permit >= limits.trip - limits.tolerance - signal.uncertainty - _ROUNDING
    first, last = runs(bridged(t_s, beyond, limits.sampling_s))
    begun = np.where(first > 0, t_s[np.maximum(first - 1, 0)], -np.inf)
    over = np.where(last < len(t_s) - 1, t_s[np.minimum(last + 1, len(t_s) - 1)], np.inf)
    return union(np.column_stack((begun + limits.shortest_s, over + EPSILON_S)))


def obligations(signal: Signal, limits: Bounds, ignore: Mask | None = None) -> list[tuple[int, Floats]]:
    """Intervals in which a DUT must have decided to trip, per channel that has any.

    A channel that was beyond ``trip + tolerance + U`` for ``delay + delay tolerance + sampling period``
    without a break must have been acted on by then; the interval runs on to the last sample of the run.

    Parameters
    ----------
    signal, limits
        As in `opportunities`.
    ignore
        Samples that oblige to nothing, shape (time,): the DUT was dark, or saw something else.

    Returns
    -------
    list
        (channel, intervals of shape (intervals, 2) [s]).
    """
    level = limits.trip + limits.tolerance + signal.uncertainty + _ROUNDING
    found = []
    for channel in np.flatnonzero(signal.peaks() >= level):
        beyond = signal.rows(int(channel)) >= level
        if ignore is not None:
            beyond &= ~ignore
        first, last = runs(beyond)
        due = signal.t_s[first] + limits.decided_s
        # Strictly longer: a DUT that decides at the same instant as the signal falls back may be right.
        long = signal.t_s[last] > due + EPSILON_S
        if np.any(long):
            found.append((int(channel), np.column_stack((due, signal.t_s[last]))[long]))
    return found


def begun_s(signal: Signal, limits: Bounds, chance: Floats) -> float:
    """When a channel last came surely beyond the limit in the run behind one opportunity [s], or nan.

    `chance` is one row of `opportunities`. A DUT that looks at each channel alone, and saw every dip, counts
    its delay from there, however short the rest of the run was.
    """
    level = limits.trip + limits.tolerance + signal.uncertainty + _ROUNDING
    within = (signal.t_s >= chance[0] - limits.shortest_s) & (signal.t_s <= chance[1])
    beyond = (signal.sign * signal.columns[within] >= level).astype(np.int8)
    rises = np.flatnonzero((np.diff(beyond, axis=0, prepend=0) > 0).any(axis=1))
    return float(signal.t_s[within][rises[-1]]) if rises.size else float("nan")


def demanded(found: list[tuple[int, Floats]]) -> Floats:
    """All obligations of all channels, merged, shape (intervals, 2) [s]."""
    return union(*(intervals for _, intervals in found)) if found else nothing()


def surely_inside(signal: Signal, limits: Bounds, level: float) -> Mask:
    """Where every channel was certainly on the safe side of `level`, shape (time,)."""
    mask: Mask = signal.permit <= level - limits.tolerance - signal.uncertainty - _ROUNDING
    return mask


def maybe_inside(signal: Signal, limits: Bounds, level: float, channel: int) -> Mask:
    """Where one channel may have been on the safe side of `level`, or was not measured, shape (time,)."""
    value = signal.rows(channel)
    mask: Mask = ~(value > level + limits.tolerance + signal.uncertainty + _ROUNDING)
    return mask


#: Two floating-point expressions of one level differ by less than this (V, A, K, ohm/V).
_ROUNDING = 1e-9
