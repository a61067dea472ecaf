"""Closing the main contactors: minus, precharge, plus; the bus voltage at that instant; bounded tries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.record import Floats, Trace
from bench.reference.findings import Finding
from bench.reference.intervals import inside, runs, sliding, union
from bench.reference.observed import TASK_S, Observed
from bench.reference.paths import edges, known
from bench.reference.story import MODE_S
from bench.verdict import Window
from dut_profiles.profile import Profile


@dataclass(frozen=True, slots=True)
class Try:
    """One precharge: closing and opening of its switch [s], and when main plus closed (nan: never)."""

    start_s: float
    end_s: float
    main_closed_s: float


def tries_of(precharge: Trace, main_plus: Trace) -> list[Try]:
    """Every precharge in the switch traces, in order."""
    first, last = runs(precharge.value >= 0.5)
    _, closed = edges(main_plus, opening=False)
    found = []
    for a, b in zip(first, last, strict=True):
        start, end = float(precharge.t_s[a]), float(precharge.t_s[b])
        slack_s = 2.0 * precharge.period_s if len(precharge) > 1 else 0.0
        mine = closed[(closed >= start) & (closed <= end + slack_s)]
        found.append(Try(start, end, float(mine[0]) if len(mine) else float("nan")))
    return found


def bus_window(profile: Profile, pack_v: float, *, uncertainty_v: float = 0.0) -> Window:
    """Bus voltage [V] at which main plus may close on a pack of `pack_v` [V].

    ``(pack - bus) / pack`` is at most `precharge.done_fraction`, as the DUT measures both: each within
    `pack_tolerance_fraction`. The bench's own uncertainty is added.
    """
    share = profile.precharge.done_fraction + 2.0 * profile.measurement.pack_tolerance_fraction
    lowest = (1.0 - share) * pack_v - uncertainty_v
    return Window(
        lowest,
        np.inf,
        "V",
        "bus at closing",
        f"pack {pack_v:.2f} V, done at {profile.precharge.done_fraction:.0%}",
    )


def judge_precharge(observed: Observed) -> list[Finding]:
    """Judge each closing of main plus, and each precharge, from the switch traces."""
    names = ("main_minus", "main_plus", "precharge")
    traces = {name: known(observed.traces.get(f"switch.{name}")) for name in names}
    plus, precharge, minus = traces["main_plus"], traces["precharge"], traces["main_minus"]
    if plus is None or precharge is None:
        return []
    # A bridged contactor or a shorted auxiliary wire makes the switch traces something else than commands.
    excused = observed.story.faulty("weld_", "feedback_", "dut_supply")
    found: list[Finding] = []
    before, after = edges(plus, opening=False)
    keep = ~inside(excused, after)
    for b, a in zip(before[keep], after[keep], strict=True):
        found += _closing(observed, float(b), float(a), precharge, minus)
    return found + _tries(observed, tries_of(precharge, plus), excused) + _refusals(observed, plus, precharge)


def _closing(
    observed: Observed, before_s: float, after_s: float, precharge: Trace, minus: Trace | None
) -> list[Finding]:
    """Main plus closed between two samples: what stood before?"""
    closing_s = observed.profile.switches.closing_s
    where = f"main_plus closed at {after_s:.3f} s"
    found = []
    recent = precharge.between(before_s - closing_s - TASK_S, after_s)
    if not len(recent) or not np.any(recent.value >= 0.5):
        found.append(Finding(after_s, "forbidden", "precharge order", "precharge before main_plus", where))
    if minus is not None and minus.at(before_s) < 0.5:
        found.append(Finding(after_s, "forbidden", "precharge order", "main_minus before main_plus", where))
    link, pack = observed.traces.get("link_v"), observed.traces.get("pack_v")
    if link is None or pack is None or link.t_s[-1] < before_s:
        return found  # nobody measured the bus then, or later
    # The contactor closed between two samples; from then on the bus is at pack voltage whatever was before.
    decided, seen = np.array([before_s - closing_s - TASK_S]), np.array([before_s])
    _, link_v = sliding(link.t_s, link.value, decided, seen)
    pack_low, _ = sliding(pack.t_s, pack.value, decided, seen)
    window = bus_window(
        observed.profile, float(pack_low[0]), uncertainty_v=link.uncertainty + pack.uncertainty
    )
    if link_v[0] < window.earliest:
        expected = f"bus at {window.earliest:.2f} V or more"
        found.append(Finding(after_s, "forbidden", "precharge.done_fraction", expected, f"{link_v[0]:.2f} V"))
    return found


def _tries(observed: Observed, tries: list[Try], excused: Floats) -> list[Finding]:
    """No precharge longer than its timeout, no more in a row than declared, a pause between two."""
    declared, switches = observed.profile.precharge, observed.profile.switches
    longest_s = declared.timeout_s * 1.1 + switches.closing_s + switches.opening_s + 2.0 * TASK_S
    longest_s += 2.0 * observed.period_s("switch.precharge")
    found: list[Finding] = []
    failed, previous = 0, None
    requests = np.array([t for t, _ in observed.story.modes] + [t for t, _ in observed.story.resets])
    for attempt in tries:
        if inside(excused, np.array([attempt.start_s]))[0]:
            previous = None
            continue
        length_s = attempt.end_s - attempt.start_s
        if length_s > longest_s:
            expected = f"precharge for {longest_s:.2f} s at most"
            found.append(Finding(attempt.end_s, "late", "precharge.timeout_s", expected, f"{length_s:.2f} s"))
        asked = previous is not None and np.any((requests > previous.start_s) & (requests <= attempt.start_s))
        if previous is None or asked or np.isfinite(previous.main_closed_s):
            failed = 0
        else:
            pause_s = attempt.start_s - previous.end_s
            if pause_s < 0.9 * declared.pause_s - 2.0 * observed.period_s("switch.precharge"):
                expected = f"{declared.pause_s:g} s between two tries"
                found.append(
                    Finding(attempt.start_s, "early", "precharge.pause_s", expected, f"{pause_s:.3f} s")
                )
        if not np.isfinite(attempt.main_closed_s):
            failed += 1
        if failed == declared.tries + 1:
            expected = f"{declared.tries} tries at most"
            found.append(
                Finding(
                    attempt.start_s,
                    "forbidden",
                    "precharge.tries",
                    expected,
                    f"try {failed} without a new request",
                )
            )
        previous = attempt
    return found


def _refusals(observed: Observed, plus: Trace, precharge: Trace) -> list[Finding]:
    """Drive was asked for, nothing stood against it, and the DUT did not even try."""
    story = observed.story
    alarms = [t for name, t in observed.traces.items() if name.startswith("dut.alarm.")]
    found = []
    ends = [*(t_s for t_s, _ in story.modes), observed.end_s][1:]
    for (t_s, mode), end_s in zip(story.modes, ends, strict=True):
        due_s = t_s + MODE_S
        if mode != "drive" or end_s < due_s or plus.t_s[-1] < due_s:
            continue
        if touched(union(story.dark, story.silent, story.faulty()), t_s, due_s):
            continue
        if any(np.any(alarm.between(t_s - MODE_S, due_s).value >= 0.5) for alarm in alarms):
            continue
        moved = np.concatenate((plus.between(t_s, due_s).value, precharge.between(t_s, due_s).value))
        if len(moved) and not np.any(moved >= 0.5):
            found.append(
                Finding(
                    due_s, "missed", "mode", f"a precharge within {MODE_S:g} s of drive", "no switch closed"
                )
            )
    return found


def touched(intervals: Floats, start_s: float, end_s: float) -> bool:
    """Whether any of `intervals` meets [start_s, end_s]."""
    return bool(np.any((intervals[:, 0] <= end_s) & (intervals[:, 1] >= start_s)))
