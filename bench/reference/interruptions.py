"""The current at the instant of opening: never above the break rating, never under load without the wait."""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Trace
from bench.reference.cases import Case, is_hardware, reach_s
from bench.reference.findings import Finding
from bench.reference.intervals import touches, union
from bench.reference.limits import obligations, signal_of
from bench.reference.observed import Observed
from bench.reference.paths import PATHS, edges, known, permits
from bench.reference.story import MODE_S


def judge_interruptions(observed: Observed, cases: list[Case]) -> list[Finding]:
    """Judge every opening of a switch or path by the current that flowed just before."""
    current = observed.traces.get("current_a")
    if current is None:
        return []
    found = _hardware_too_slow(observed, cases)
    found += _above_rating(observed, current)
    for path in PATHS:
        trace = known(observed.traces.get(f"{path}_path"))
        if trace is not None:
            found += _under_load(observed, path, trace, current, [c for c in cases if path in c.limit.opens])
    return found


def _above_rating(observed: Observed, current: Trace) -> list[Finding]:
    rating_a = observed.profile.switches.break_rating_a
    pyro = known(observed.traces.get("switch.pyro"))
    found = []
    for name in ("main_minus", "main_plus", "charge"):
        trace = known(observed.traces.get(f"switch.{name}"))
        if trace is None:
            continue
        for before, after in zip(*edges(trace, opening=True), strict=True):
            if pyro is not None and pyro.at(after) < 0.5:
                continue
            magnitude = abs(float(current.at(before)))
            if magnitude > rating_a + current.uncertainty:
                found.append(
                    Finding(
                        float(after),
                        "forbidden",
                        "switches.break_rating_a",
                        f"{name} opens at {rating_a:g} A at most",
                        f"{magnitude:.0f} A",
                    )
                )
    return found


def _under_load(
    observed: Observed, path: str, trace: Trace, current: Trace, cases: list[Case]
) -> list[Finding]:
    """A level-2 opening under load before the machine had its time to shed the current."""
    switches, declared = observed.profile.switches, observed.profile.measurement
    shed_a = switches.zero_current_fraction * observed.profile.pack.max_discharge_a
    other = union(
        permits(observed, path, [case for case in cases if case.limit.level != 2]),
        np.array([(t_s, t_s + MODE_S) for t_s, _ in observed.story.modes]).reshape(-1, 2),
    )
    found = []
    for before, after in zip(*edges(trace, opening=True), strict=True):
        load_a = abs(float(current.at(before)))
        slack_a = (
            declared.current_tolerance_a + declared.current_tolerance_fraction * load_a + current.uncertainty
        )
        if not load_a > shed_a + slack_a or touches(other, np.array([before]), np.array([after]))[0]:
            continue
        first_s = min(
            (_begun(case.trips, before - reach_s(observed, case), after) for case in cases), default=-np.inf
        )
        due_s = first_s + switches.zero_current_wait_s
        # No level-2 limit at all: an opening without cause is judged as that.
        if np.isfinite(due_s) and after < due_s:
            found.append(
                Finding(
                    float(after),
                    "early",
                    "switches.zero_current_wait_s",
                    f"{path} path to wait for less than {shed_a:g} A, or until {due_s:.3f} s",
                    f"opened at {load_a:.1f} A",
                )
            )
    return found


def _begun(intervals: Floats, start_s: float, end_s: float) -> float:
    """Start [s] of the first of `intervals` that meets [start_s, end_s]; inf if none does."""
    index = int(np.searchsorted(intervals[:, 1], start_s, side="left"))
    if index == len(intervals) or intervals[index, 0] > end_s:
        return np.inf
    return float(intervals[index, 0])


def _hardware_too_slow(observed: Observed, cases: list[Case]) -> list[Finding]:
    """A short circuit that still flows in a fast capture after the hardware had to end it."""
    capture = observed.traces.get("capture_a")
    if capture is None or not np.isfinite(capture.value).any():
        return []
    found = []
    for case in cases:
        if not is_hardware(observed, case):
            continue
        signal = signal_of(capture, case.limit)
        for _, intervals in obligations(signal, case.bounds):
            late = intervals[:, 1] > intervals[:, 0] + case.bounds.actuator_s + signal.period_s
            for due_s, end_s in intervals[late]:
                latest_s = due_s + case.bounds.actuator_s
                found.append(
                    Finding(
                        float(latest_s),
                        "late",
                        case.text,
                        f"current interrupted by {latest_s:.6f} s",
                        f"it still flowed at {end_s:.6f} s, {(end_s - latest_s) * 1e3:.3f} ms too late",
                    )
                )
    return found
