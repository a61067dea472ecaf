"""Openings and closings of the current paths, held against everything that permits or demands them.

An opening seen between two samples lies in a *permit*: the opportunity of any limit that opens this path
(plus sampling, zero-current wait and opening time), a mode that does not use it, a dark or unheard DUT, a
wiring fault, a plausibility rule. A *demand* is met if the path is open, for whatever reason, at its
deadline. So a higher level wins, and what is already open is moot.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bench.record import Floats, Trace
from bench.reference.cases import PREFIX, Case, reach_s
from bench.reference.communication import silence_permits
from bench.reference.findings import Finding
from bench.reference.intervals import Mask, inside, runs, touches, union
from bench.reference.observed import TASK_S, Observed
from bench.reference.plausibility import opening_reasons
from bench.reference.story import MODE_S

#: Modes that use each path.
USES = {"charge": "charge", "discharge": "drive"}
PATHS = ("charge", "discharge")
#: A host must have asked for standby for so long [s] that the DUT has heard it, project default.
ASKED_S = 0.3


def judge_paths(observed: Observed, cases: list[Case]) -> list[Finding]:
    """Judge both paths; a path that nobody measured has no findings."""
    found: list[Finding] = []
    for path in PATHS:
        trace = known(observed.traces.get(f"{path}_path"))
        if trace is None:
            continue
        mine = [case for case in cases if path in case.limit.opens]
        found += _openings(observed, path, trace, mine)
        found += _demands(path, trace, mine)
        found += _closings(observed, path, trace, mine)
        found += _modes(observed, path, trace)
        found += _refusals(observed, path, trace)
    return found


def known(trace: Trace | None) -> Trace | None:
    """A 0/1 trace without its nan samples; None if nothing is left."""
    if trace is None:
        return None
    keep = np.isfinite(trace.value)
    if not np.any(keep):
        return None
    if np.all(keep):
        return trace
    return Trace(trace.name, trace.unit, trace.t_s[keep], trace.value[keep], trace.origin, trace.uncertainty)


def edges(trace: Trace, *, opening: bool) -> tuple[Floats, Floats]:
    """Last sample before and first sample after each change, two arrays (changes,) [s]."""
    closed = trace.value >= 0.5
    change = closed[:-1] & ~closed[1:] if opening else ~closed[:-1] & closed[1:]
    index = np.flatnonzero(change)
    return trace.t_s[index], trace.t_s[index + 1]


def permits(observed: Observed, path: str, cases: list[Case]) -> Floats:
    """When `path` may be seen to open: by one of `cases`, or by anything that is no limit."""
    story = observed.story
    parts = [np.column_stack((c.trips[:, 0], c.trips[:, 1] + reach_s(observed, c))) for c in cases]
    other = [(t_s, t_s + MODE_S) for t_s, mode in story.modes if mode != USES[path]]
    asked = np.array(other, dtype=np.float64).reshape(-1, 2)
    parts += [asked, story.dark, story.opening_faults()]
    parts += [silence_permits(observed), opening_reasons(observed)]
    return union(*parts)


def _openings(observed: Observed, path: str, trace: Trace, cases: list[Case]) -> list[Finding]:
    before, after = edges(trace, opening=True)
    if not len(after):
        return []
    fine = touches(permits(observed, path, cases), before, after)
    found = []
    for t_s in after[~fine]:
        found.append(_unexplained(observed, path, float(t_s), cases))
    return found


def _unexplained(observed: Observed, path: str, t_s: float, cases: list[Case]) -> Finding:
    """Name an opening that nothing permits: early or late for the nearest limit, or spurious."""
    seen = f"{path} path opened at {t_s:.3f} s"
    for case in cases:
        under_way = inside(case.attempts, np.array([t_s, t_s - reach_s(observed, case)]))
        if np.any(under_way):
            start = case.attempts[np.searchsorted(case.attempts[:, 0], t_s, side="right") - 1, 0]
            expected = f"not before {start + case.bounds.shortest_s:.3f} s"
            return Finding(t_s, "early", case.text, expected, seen)
    for case in cases:
        ended = case.trips[np.isfinite(case.trips[:, 1]) & (case.trips[:, 1] < t_s), 1]
        if len(ended) and t_s - ended[-1] < reach_s(observed, case) + MODE_S:
            return Finding(t_s, "late", case.text, f"by {ended[-1] + reach_s(observed, case):.3f} s", seen)
    return Finding(t_s, "spurious", f"{path} path", "closed: no limit was exceeded for its delay", seen)


def _demands(path: str, trace: Trace, cases: list[Case]) -> list[Finding]:
    """Demands whose deadline finds the path closed, and closed ever since the decision was due."""
    first, last = runs(trace.value >= 0.5)
    if not len(first):
        return []
    starts, ends = trace.t_s[first], trace.t_s[last]
    period_s = trace.period_s if len(trace) > 1 else 0.0
    found = []
    for case in cases:
        if not len(case.demands):
            continue
        due = case.demands[:, 0]
        deadline = due + case.bounds.actuator_s + period_s + TASK_S
        if case.signal is not None:
            deadline = deadline + case.signal.period_s
        index = np.searchsorted(starts, deadline, side="right") - 1
        held = (index >= 0) & (starts[np.maximum(index, 0)] <= due) & (ends[np.maximum(index, 0)] > deadline)
        for k in np.flatnonzero(held):
            end_s = float(ends[index[k]])
            expected = f"{path} path open by {deadline[k]:.3f} s"
            still = end_s >= trace.t_s[-1]
            seen = (
                "still closed at the end"
                if still
                else f"open after {end_s:.3f} s, {end_s - deadline[k]:.3f} s too late"
            )
            soon = not still and end_s <= case.demands[k, 1] + period_s + case.bounds.actuator_s
            found.append(Finding(float(deadline[k]), "late" if soon else "missed", case.text, expected, seen))
    return found


def _closings(observed: Observed, path: str, trace: Trace, cases: list[Case]) -> list[Finding]:
    before, after = edges(trace, opening=False)
    if not len(after):
        return []
    decided = before - observed.profile.switches.closing_s - TASK_S - observed.profile.communication.period_s
    ignore = inside(observed.story.faulty("weld_", "feedback_"), after)
    found = []
    for case in cases:
        barred = inside(case.certain, after) & inside(case.certain, decided) & ~ignore
        # One interval must hold from the decision to the contact: a release in between permits it.
        barred &= ~_gap_between(case.certain, decided, after)
        for t_s in after[barred]:
            why = "latched and not reset" if case.limit.latched else "not yet released"
            found.append(
                Finding(
                    float(t_s), "forbidden", case.text, f"{path} path open: {why}", f"closed at {t_s:.3f} s"
                )
            )
    for t_s in after[~ignore & ~inside(observed.story.dark, after)]:
        mode = observed.story.mode_at(float(t_s) - MODE_S)
        now = observed.story.mode_at(float(t_s))
        if mode == now == "standby":
            found.append(
                Finding(
                    float(t_s), "forbidden", "mode", f"{path} path open in standby", f"closed at {t_s:.3f} s"
                )
            )
    return found


def _gap_between(intervals: Floats, start_s: Floats, end_s: Floats) -> Mask:
    """Whether an interval ends between each start and end."""
    ended = np.searchsorted(intervals[:, 1], end_s, side="left")
    found: Mask = ended > np.searchsorted(intervals[:, 1], start_s, side="left")
    return found


def _modes(observed: Observed, path: str, trace: Trace) -> list[Finding]:
    """A path must be open `MODE_S` after standby was asked for, until another mode is asked for."""
    story = observed.story
    found = []
    ends = [*(t_s for t_s, _ in story.modes), observed.end_s][1:]
    for (t_s, mode), end_s in zip(story.modes, ends, strict=True):
        due_s = t_s + MODE_S
        part = trace.between(due_s, end_s)
        if mode != "standby" or not len(part) or part.value[0] < 0.5:
            continue
        excused = union(story.dark, story.silent, story.faulty())
        if not inside(excused, part.t_s[:1])[0]:
            found.append(
                Finding(
                    due_s, "missed", "mode", f"{path} path open {MODE_S:g} s after standby", "still closed"
                )
            )
    return found


def _refusals(observed: Observed, path: str, trace: Trace) -> list[Finding]:
    """A path that is asked for after standby closes, unless the DUT says why it does not."""
    story, precharge = observed.story, observed.profile.precharge
    within_s = precharge.tries * precharge.timeout_s + (precharge.tries - 1) * precharge.pause_s + 1.0
    alarms = [t for name, t in observed.traces.items() if name.startswith(PREFIX) and np.any(t.value >= 0.5)]
    found = []
    for (asked_s, before), (t_s, mode) in pairwise(story.modes):
        due_s = t_s + within_s
        part = trace.between(t_s, due_s)
        if mode != USES[path] or before != "standby" or t_s - asked_s < ASKED_S or observed.end_s < due_s:
            continue
        if not len(part) or np.any(part.value >= 0.5) or story.mode_at(due_s) != mode:
            continue
        excused = union(story.dark, story.silent, story.faulty())
        if touches(excused, np.array([asked_s]), np.array([due_s]))[0]:
            continue
        if any(np.any(alarm.between(t_s - MODE_S, due_s).value >= 0.5) for alarm in alarms):
            continue
        expected = f"{path} path closed within {within_s:g} s of being asked for, or an alarm"
        found.append(Finding(due_s, "missed", "mode", expected, "neither"))
    return found
