"""Every limit of the profile, worked out over one record: what it permits and what it demands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.record import Floats
from bench.reference.hysteresis import certain_states, possible_states
from bench.reference.intervals import nothing, runs, union, without
from bench.reference.limits import (
    Bounds,
    Signal,
    demanded,
    in_hardware,
    obligations,
    opportunities,
    signal_of,
)
from bench.reference.observed import TASK_S, TRACE_OF, Observed
from bench.reference.story import RECOVERY_S
from dut_profiles.profile import Limit

#: How the trace of an alarm begins.
PREFIX = "dut.alarm."

_ALWAYS = np.array([[-np.inf, np.inf]])


@dataclass(frozen=True, slots=True)
class Case:
    """One limit over one record; all intervals are sorted and disjoint, shape (intervals, 2) [s].

    Parameters
    ----------
    trips
        When the DUT may decide to trip.
    demands
        When it must have decided to trip.
    possible, certain
        When it may, and must, stand tripped.
    attempts
        When the signal may have been beyond the level at all, however short: tells *early* from *spurious*.
    seen
        Whether an instrument measured the quantity, so that a missed trip would show.
    """

    limit: Limit
    bounds: Bounds
    signal: Signal | None
    trips: Floats
    demands: Floats
    possible: Floats
    certain: Floats
    attempts: Floats
    seen: bool

    @property
    def alarm(self) -> str:
        """Name of its alarm in telemetry."""
        return self.limit.alarm or self.limit.name

    @property
    def text(self) -> str:
        """The limit in words."""
        limit = self.limit
        return f"{limit.name} ({limit.side} {limit.trip:g} {limit.unit} for {limit.delay_s:g} s)"


def cases_of(observed: Observed) -> list[Case]:
    """Work out every limit of the profile."""
    return [_case(observed, limit) for limit in observed.profile.limits.values()]


def _case(observed: Observed, limit: Limit) -> Case:
    signal, limits = observed.signal(limit), observed.bounds(limit)
    if signal is None:
        # Nobody looked. An insulation fault is there only if it was put in; anything else is possible.
        unknown = _ALWAYS if limit.quantity != "insulation" else observed.blind(limit)
        possible = _until_reset(observed, unknown) if limit.latched else unknown
        return Case(limit, limits, None, unknown, nothing(), possible, nothing(), unknown, seen=False)
    trips = _trips(observed, limit, signal, limits)
    unseen = _unsampled(signal, limits)
    duties = obligations(signal, limits, observed.gaps(limit))
    resets = _resets(observed, limit)
    latched_before = limit.latched and _reported_at_start(observed, limit)
    possible = possible_states(
        signal,
        limits,
        trips,
        resets_s=resets[0],
        tripped_before=latched_before or not limit.latched,
    )
    certain = without(certain_states(signal, limits, duties, resets_s=resets[1]), _hides(observed, limit))
    beyond = signal.permit >= limits.trip - limits.tolerance - signal.uncertainty
    first, last = runs(beyond)
    begun = signal.t_s[np.maximum(first - 1, 0)]
    attempts = np.column_stack((begun, signal.t_s[last])) if len(first) else nothing()
    measured = bool(np.isfinite(signal.columns).any())
    return Case(
        limit, limits, signal, union(trips, unseen), demanded(duties), possible, certain, attempts, measured
    )


def _until_reset(observed: Observed, tripped: Floats) -> Floats:
    """Each interval drawn out to the first reset after it, and the time that this takes to be seen."""
    resets = np.append(np.sort([t_s for t_s, _ in observed.story.resets]), np.inf)
    ends = resets[np.searchsorted(resets[:-1], tripped[:, 1], side="left")] + RECOVERY_S
    return union(np.column_stack((tripped[:, 0], ends)))


def _trips(observed: Observed, limit: Limit, signal: Signal, limits: Bounds) -> Floats:
    """Opportunities of the signal, and of a fast capture beside it."""
    found = [opportunities(signal, limits)]
    capture = observed.traces.get("capture_a")
    if capture is not None and TRACE_OF[limit.quantity] == "current_a" and np.isfinite(capture.value).any():
        # A capture shows what lies between two samples of the meter. It is silent about the rest.
        clipped = opportunities(signal_of(capture, limit), limits)
        span = capture.t_s[[0, -1]]
        found.append(
            np.column_stack((np.maximum(clipped[:, 0], span[0]), np.minimum(clipped[:, 1], span[1])))
        )
    return union(*found)


def _unsampled(signal: Signal, limits: Bounds) -> Floats:
    """When the signal was not sampled, so that a DUT may have had reason to trip."""
    after_s = signal.t_s[-1] + 2.0 * signal.period_s + limits.shortest_s
    return np.array([[-np.inf, signal.t_s[0]], [after_s, np.inf]])


def _resets(observed: Observed, limit: Limit) -> tuple[list[float] | None, list[float] | None]:
    """For a latched limit: times [s] at which a reset surely was, and may have been, of the right kind.

    Level 3 is left by a service reset only, and a power cycle does not clear it. Level 2 yields to any reset
    and may be lost with the supply.
    """
    if not limit.latched:
        return None, None
    story = observed.story
    restarts = [float(end) for end in story.dark[:, 1]] + [float(start) for start in story.dark[:, 0]]
    if limit.level >= 3:
        sure = [t for t, service in story.resets if service]
        return sure, [t for t, service in story.resets if service is not False]
    return [t for t, service in story.resets if not service], [t for t, _ in story.resets] + restarts


def _reported_at_start(observed: Observed, limit: Limit) -> bool:
    """Whether the DUT reported the alarm of `limit` from its first report on."""
    alarm = observed.traces.get(PREFIX + (limit.alarm or limit.name))
    return alarm is not None and bool(alarm.value[0] >= 0.5)


def _hides(observed: Observed, limit: Limit) -> Floats:
    """When nobody can say whether the limit stands tripped: the DUT is dark, or sees something else.

    A lock outlasts the dark and the fault, so only the time inside them is hidden.
    """
    blind = observed.blind(limit)
    if limit.latched:
        return observed.story.dark
    # A short blindness may have released it; what is certain afterwards starts from a new demand.
    return union(blind, np.array([[-np.inf, observed.awake_s]]))


def reach_s(observed: Observed, case: Case) -> float:
    """Longest time [s] from a decision to contacts seen open, without the bench's own sampling.

    Also for a limit in hardware, whose contactors follow the pyrotechnic switch.
    """
    switches = observed.profile.switches
    wait_s = switches.zero_current_wait_s if case.limit.level == 2 else 0.0
    return case.bounds.sampling_s + wait_s + switches.opening_s + TASK_S


def is_hardware(observed: Observed, case: Case) -> bool:
    """Whether the case's limit works without the DUT's sampling."""
    return in_hardware(observed.profile, case.limit)
