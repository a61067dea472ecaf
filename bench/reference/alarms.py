"""Reported alarms, held against what may and must stand tripped.

An alarm that is on must have been possible at some time in the last broadcast; one that is off must not have
been certain for all of it. Both allow the DUT one broadcast period, one task, and the bench one sample.
"""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Trace
from bench.reference.cases import PREFIX, Case
from bench.reference.findings import Finding, Kind
from bench.reference.intervals import grown, inside, runs, touches, union
from bench.reference.observed import Observed, report_age_s
from bench.reference.paths import known
from bench.reference.plausibility import causes, certain_sum_of_cells, settling


def judge_alarms(observed: Observed, cases: list[Case]) -> list[Finding]:
    """Judge every alarm that the DUT reports."""
    by_alarm: dict[str, list[Case]] = {}
    for case in cases:
        by_alarm.setdefault(case.alarm, []).append(case)
    found: list[Finding] = []
    for name, raw in observed.traces.items():
        trace = known(raw) if name.startswith(PREFIX) else None
        if trace is None:
            continue
        alarm = name.removeprefix(PREFIX)
        mine = by_alarm.get(alarm)
        if mine:
            found += _of_limits(observed, trace, alarm, mine)
        else:
            found += _without_cause(observed, trace, alarm)
    return found


def _lag_s(observed: Observed, trace: Trace, sampling_s: float = 0.0) -> float:
    period_s = trace.period_s if len(trace) > 1 else 0.0
    return report_age_s(observed.profile, sampling_s) + period_s


def _of_limits(observed: Observed, trace: Trace, alarm: str, cases: list[Case]) -> list[Finding]:
    signal_s = max((case.signal.period_s for case in cases if case.signal is not None), default=0.0)
    lag_s = _lag_s(observed, trace) + signal_s
    hidden = union(*(observed.blind(case.limit) for case in cases), settling(observed))
    possible = union(*(case.possible for case in cases), hidden)
    # A decision may fall at the end of an opportunity and be sampled a little later.
    slack_s = lag_s + max(case.bounds.sampling_s for case in cases)
    found = _on_without_cause(trace, grown(possible, 0.0, slack_s), alarm, cases)
    certain = union(*(case.certain for case in cases))
    return found + _off_in_spite(observed, trace, certain, lag_s, alarm, cases[0].text)


def _on_without_cause(trace: Trace, allowed: Floats, alarm: str, cases: list[Case]) -> list[Finding]:
    wrong = (trace.value >= 0.5) & ~inside(allowed, trace.t_s)
    first, _ = runs(wrong)
    found = []
    for index in first:
        t_s = float(trace.t_s[index])
        if index > 0 and trace.value[index - 1] >= 0.5:
            due = allowed[allowed[:, 1] < t_s, 1]
            expected = f"{alarm} cleared by {due[-1]:.3f} s" if len(due) else f"{alarm} cleared"
            found.append(Finding(t_s, "late", cases[0].text, expected, "still reported"))
            continue
        early = any(inside(case.attempts, np.array([t_s]))[0] for case in cases)
        kind: Kind = "early" if early else "spurious"
        expected = f"{alarm} not reported" + (" before its delay" if early else "")
        found.append(Finding(t_s, kind, cases[0].text, expected, f"reported at {t_s:.3f} s"))
    return found


def _off_in_spite(
    observed: Observed, trace: Trace, certain: Floats, lag_s: float, alarm: str, text: str
) -> list[Finding]:
    """One finding per certain interval in which the alarm was off after the time to report it."""
    due = np.column_stack((certain[:, 0] + lag_s, certain[:, 1]))
    due = due[due[:, 0] <= due[:, 1]]
    off = (trace.value < 0.5) & inside(due, trace.t_s) & ~inside(observed.story.dark, trace.t_s)
    if not np.any(off):
        return []
    found = []
    for start, end in due:
        mine = off & (trace.t_s >= start) & (trace.t_s <= end)
        if not np.any(mine):
            continue
        t_s = float(trace.t_s[np.argmax(mine)])
        on = trace.between(float(start), float(end)).first(lambda value: value >= 0.5)
        if np.isnan(on):
            found.append(Finding(t_s, "missed", text, f"{alarm} reported by {start:.3f} s", "never reported"))
        elif on > t_s:
            seen = f"reported at {on:.3f} s, {on - start:.3f} s too late"
            found.append(Finding(t_s, "late", text, f"{alarm} reported by {start:.3f} s", seen))
        else:
            found.append(
                Finding(t_s, "early", text, f"{alarm} held until {end:.3f} s at least", "no longer reported")
            )
    return found


def _without_cause(observed: Observed, trace: Trace, alarm: str) -> list[Finding]:
    """Judge an alarm that no limit stands behind."""
    lag_s = _lag_s(observed, trace) + 1.0
    found: list[Finding] = []
    first, _ = runs(trace.value >= 0.5)
    if len(first):
        start = trace.t_s[first]
        allowed = union(causes(observed, alarm), settling(observed))
        # It may stay on as long as it likes once it had cause: the profile declares no release.
        found += [
            Finding(float(t), "spurious", alarm, f"{alarm} not reported", f"reported at {t:.3f} s")
            for t in start[~touches(allowed, start - lag_s, start)]
        ]
    if alarm == "sum_of_cells":
        certain = certain_sum_of_cells(observed)
        found += _off_in_spite(observed, trace, certain, lag_s, alarm, alarm)
    return found
