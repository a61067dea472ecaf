"""The DUT's broadcast: its refresh period, and its reaction to a host that fell silent."""

from __future__ import annotations

import numpy as np

from bench.record import Floats
from bench.reference.findings import Finding, Kind
from bench.reference.intervals import inside, nothing, union
from bench.reference.observed import TASK_S, Observed
from bench.reference.story import RECOVERY_S
from bench.verdict import Window
from dut_profiles.profile import Profile

#: A value may be missed this often in a row before it counts as stale, project default: "never stale for more
#: than 2 periods".
STALE_PERIODS = 2.0


def timeout_window(profile: Profile, silent_s: float, *, actuator: bool = True) -> Window:
    """When the DUT must react to a host whose last message came at `silent_s` [s].

    Earliest: ``host_timeout_s - tolerance`` after the last message, less one message period, as the bench
    does not know when the last one was sent. Latest: ``host_timeout_s + tolerance``, plus one task, plus, for
    an opening, zero-current wait and opening time.
    """
    declared, switches = profile.communication, profile.switches
    if declared.host_timeout_s is None:
        return Window(
            np.inf, np.nan, what="reaction to a silent host", reason="the profile declares no timeout"
        )
    actuator_s = switches.zero_current_wait_s + switches.opening_s if actuator else 0.0
    return Window(
        silent_s + declared.host_timeout_s - declared.host_timeout_tolerance_s - declared.period_s,
        silent_s + declared.host_timeout_s + declared.host_timeout_tolerance_s + TASK_S + actuator_s,
        what="reaction to a silent host",
        reason=f"host silent from {silent_s:.3f} s, timeout {declared.host_timeout_s:g} s",
    )


def silence_permits(observed: Observed) -> Floats:
    """When a DUT may open paths because it does not hear its host, shape (intervals, 2) [s]."""
    if observed.profile.communication.host_timeout_s is None:
        return nothing()
    spans = [
        (timeout_window(observed.profile, float(start)).earliest, end + RECOVERY_S)
        for start, end in observed.story.silent
    ]
    return union(np.array(spans, dtype=np.float64).reshape(-1, 2))


def judge_refresh(observed: Observed) -> list[Finding]:
    """No reported trace may pause for longer than its period allows, while the DUT is powered.

    The period is the declared one, or the bench's own if it looked less often.
    """
    declared = observed.profile.communication
    # A fault on the bus or a dark DUT excuses; a wiring fault of cells does not, but may restart an AFE.
    excused = union(observed.story.dark, observed.story.faulty())
    found = []
    for name, trace in observed.traces.items():
        if not name.startswith("dut.") or len(trace) < 3:
            continue
        step_s = np.diff(trace.t_s)
        period_s = max(
            declared.period_s * (1.0 + declared.period_tolerance_fraction), float(np.median(step_s))
        )
        gaps = np.flatnonzero(step_s > (STALE_PERIODS + 1.0) * period_s)
        gaps = gaps[~inside(excused, trace.t_s[gaps]) & ~inside(excused, trace.t_s[gaps + 1])]
        for index in gaps[:1]:
            found.append(
                Finding(
                    float(trace.t_s[index]),
                    "late",
                    "communication.period_s",
                    f"{name} every {declared.period_s:g} s",
                    f"nothing for {step_s[index]:.3f} s ({len(gaps)} such gaps)",
                )
            )
    return found


def judge_silence(observed: Observed) -> list[Finding]:
    """A host that is silent for longer than the timeout must be noticed: the alarm is raised."""
    alarm = observed.traces.get("dut.alarm.host_timeout")
    if alarm is None:
        return []
    found = []
    for start, end in observed.story.silent:
        window = timeout_window(observed.profile, float(start), actuator=False)
        latest = window.latest + observed.profile.communication.period_s * 1.1 + observed.period_s(alarm.name)
        if not np.isfinite(latest) or end < latest or observed.end_s < latest:
            continue
        if inside(union(observed.story.dark, observed.story.faulty()), np.array([start, latest])).any():
            continue
        part = alarm.between(float(start), max(float(latest), float(end)))
        on = part.first(lambda value: value >= 0.5)
        if not on <= latest:
            seen = "never reported" if np.isnan(on) else f"reported at {on:.3f} s"
            kind: Kind = "missed" if np.isnan(on) else "late"
            found.append(Finding(float(latest), kind, "host_timeout", f"reported by {latest:.3f} s", seen))
    return found
