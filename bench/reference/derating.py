"""Permitted broadcast currents: derating tables over what the DUT may have measured.

For each table the axis is known only within the DUT's declared accuracy plus the bench's uncertainty, so the
table is evaluated over that band: at its ends and at every point of the table in between, which is exact for
a piecewise linear one. The minimum over the tables bounds the current; ``tolerance_fraction`` of the maximum
current is added on both sides. Until `derating.settle_s` after a change, the value before it is permitted
too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.errors import Inconclusive
from bench.record import Floats, Record
from bench.reference.cases import PREFIX, Case
from bench.reference.findings import Finding
from bench.reference.intervals import EPSILON_S, grown, inside, runs, sliding, union
from bench.reference.observed import Observed, report_age_s
from bench.reference.plausibility import settling
from bench.verdict import Window
from dut_profiles.profile import DeratingTable, PathName, Profile


@dataclass(frozen=True, slots=True)
class Envelope:
    """Lowest and highest permitted broadcast limit [A] at each time, all shape (time,)."""

    t_s: Floats
    lowest_a: Floats
    highest_a: Floats


def banded(table: DeratingTable, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Least and greatest fraction of `table` over each band [low, high] of its axis, shapes (time,), (time,).

    Linear between the points of the table, held outside them. A band with a nan edge may be anywhere.
    """
    axis, fraction = np.asarray(table.axis), np.asarray(table.fraction)
    low = np.where(np.isnan(low), -np.inf, low)
    high = np.where(np.isnan(high), np.inf, high)
    least = np.minimum(np.interp(low, axis, fraction), np.interp(high, axis, fraction))
    most = np.maximum(np.interp(low, axis, fraction), np.interp(high, axis, fraction))
    for point, value in zip(axis, fraction, strict=True):
        within = (low <= point) & (point <= high)
        least = np.where(within, np.minimum(least, value), least)
        most = np.where(within, np.maximum(most, value), most)
    return least, most


def steady_envelope(observed: Observed, direction: PathName) -> Envelope | None:
    """Envelope of a DUT that follows at once; None if neither cells nor temperatures are known."""
    profile = observed.profile
    tables = getattr(profile.derating, direction)
    maximum_a = profile.pack.max_charge_a if direction == "charge" else profile.pack.max_discharge_a
    known = [observed.extremes(name) for name in ("temperature_degc", "cell_v")]
    base = next((extremes for extremes in known if extremes is not None), None)
    if base is None or not tables:
        return None
    # A derating is slow: ten looks in a second are enough, and the extremes in between are kept by `sliding`.
    stride = max(1, round(0.1 / base.period_s)) if base.period_s > 0 else 1
    t_s = base.t_s[::stride]
    least, most = np.ones(len(t_s)), np.ones(len(t_s))
    tolerance = 0.0
    for table in tables.values():
        low, high = _axis_band(observed, table, t_s)
        table_least, table_most = banded(table, low, high)
        least, most = np.minimum(least, table_least), np.minimum(most, table_most)
        tolerance = max(tolerance, table.tolerance_fraction)
    return Envelope(t_s, (least - tolerance) * maximum_a, (most + tolerance) * maximum_a)


def limit_envelope(observed: Observed, direction: PathName) -> Envelope | None:
    """Envelope of the broadcast: the steady one over the last `derating.settle_s` and the age of a report."""
    steady = steady_envelope(observed, direction)
    if steady is None:
        return None
    age_s = observed.profile.derating.settle_s + report_age_s(observed.profile, 0.0)
    start_s = np.maximum(steady.t_s - age_s, steady.t_s[0])
    lowest, _ = sliding(steady.t_s, steady.lowest_a, start_s, steady.t_s)
    _, highest = sliding(steady.t_s, steady.highest_a, start_s, steady.t_s)
    return Envelope(steady.t_s, lowest, highest)


def limit_window(observed: Observed, direction: PathName, t_s: float) -> Window:
    """Permitted broadcast current [A] at bench time `t_s` [s].

    Raises
    ------
    Inconclusive
        If nothing that the tables look at is known at that time.
    """
    envelope = limit_envelope(observed, direction)
    if envelope is None or not envelope.t_s[0] <= t_s + EPSILON_S:
        raise Inconclusive(
            f"derating.{direction}: nothing was measured by {t_s:.3f} s that its tables look at"
        )
    index = int(np.searchsorted(envelope.t_s, t_s + EPSILON_S, side="right")) - 1
    low, high = float(envelope.lowest_a[index]), float(envelope.highest_a[index])
    names = ", ".join(getattr(observed.profile.derating, direction))
    return Window(
        max(low, 0.0), high, "A", f"{direction} limit", f"derating.{direction} ({names}) at {t_s:.3f} s"
    )


def envelope_of(profile: Profile, record: Record, direction: PathName) -> Envelope | None:
    """As `limit_envelope`, from a record."""
    return limit_envelope(Observed(record, profile), direction)


def judge_limits(observed: Observed, cases: list[Case]) -> list[Finding]:
    """Judge the broadcast limits of both directions, and the regeneration limit against that of charge."""
    found = _judge(observed, cases, "charge", "dut.charge_limit_a", states=(4,))
    found += _judge(observed, cases, "discharge", "dut.discharge_limit_a", states=(3,))
    return found + _judge(observed, cases, "charge", "dut.regen_limit_a", states=())


def _judge(
    observed: Observed, cases: list[Case], direction: PathName, name: str, *, states: tuple[int, ...]
) -> list[Finding]:
    reported, envelope = observed.traces.get(name), limit_envelope(observed, direction)
    if reported is None or envelope is None:
        return []
    t_s, value = reported.t_s, reported.value
    index = np.clip(np.searchsorted(envelope.t_s, t_s, side="right") - 1, 0, None)
    low = np.where(_reduces(observed, cases, t_s, states), 0.0, envelope.lowest_a[index])
    high = envelope.highest_a[index]
    slack_s = observed.profile.derating.settle_s + report_age_s(observed.profile, 0.0)
    barring = [case.certain for case in cases if direction in case.limit.opens]
    barred = union(*(np.column_stack((c[:, 0] + slack_s, c[:, 1])) for c in barring)) if barring else None
    tolerance_a = max(t.tolerance_fraction for t in getattr(observed.profile.derating, direction).values())
    tolerance_a *= (
        observed.profile.pack.max_charge_a if direction == "charge" else observed.profile.pack.max_discharge_a
    )
    if barred is not None:
        high = np.where(inside(barred, t_s), np.minimum(high, tolerance_a), high)
    judged = ~inside(union(settling(observed), observed.story.dark), t_s) & np.isfinite(value)
    judged &= (t_s >= envelope.t_s[0] + slack_s) & (t_s <= envelope.t_s[-1] + slack_s)
    found = []
    for wrong, word, edge in ((value > high, "at most", high), (value < low, "at least", low)):
        first, last = runs(wrong & judged)
        # One report may still be under way; the settling time is in the envelope already.
        for a, b in zip(first, last, strict=True):
            if b > a:
                seen = f"{value[a]:.1f} A from {t_s[a]:.3f} s to {t_s[b]:.3f} s"
                found.append(
                    Finding(
                        float(t_s[a]),
                        "inaccurate",
                        f"derating.{direction}",
                        f"{name} {word} {edge[a]:.1f} A",
                        seen,
                    )
                )
    return found[:_SHOWN]


#: No more than this many findings of one kind on one trace.
_SHOWN = 5


def _reduces(observed: Observed, cases: list[Case], t_s: Floats, states: tuple[int, ...]) -> np.ndarray:
    """When less is right too: an alarm on or possible, a fault in, a state that does not use the path."""
    mask = inside(union(observed.story.dark, observed.story.silent, observed.story.faulty()), t_s)
    slack_s = observed.profile.derating.settle_s + report_age_s(observed.profile, 0.0)
    # A trip that the DUT does not report is no reason to reduce, where it reports that alarm at all.
    mute = [case for case in cases if case.seen and PREFIX + case.alarm not in observed.traces]
    trips = [grown(case.possible, 0.0, slack_s) for case in mute]
    mask |= inside(union(*trips), t_s) if trips else False
    for name, trace in observed.traces.items():
        if name.startswith(PREFIX) and np.any(trace.value >= 0.5):
            mask |= inside(_on(trace.t_s, trace.value >= 0.5, slack_s), t_s)
    state = observed.traces.get("dut.state")
    if not states or state is None:
        return np.ones(len(t_s), dtype=np.bool_)
    in_use = np.isin(state.value, states)
    return mask | inside(_on(state.t_s, ~in_use, slack_s), t_s)


def _on(t_s: Floats, mask: np.ndarray, after_s: float) -> Floats:
    first, last = runs(mask)
    return union(np.column_stack((t_s[first] - after_s, t_s[last] + after_s)))


def _axis_band(observed: Observed, table: DeratingTable, t_s: Floats) -> tuple[Floats, Floats]:
    """Band [low, high] of the table's axis as the DUT may have measured it, shapes (time,), (time,)."""
    declared = observed.profile.measurement
    pick: Callable[[Floats], Floats]
    if table.temperature_degc is not None:
        name, slack = "temperature_degc", declared.temperature_tolerance_k
    elif table.cell_v is not None:
        name, slack = "cell_v", declared.cell_tolerance_v
    else:
        unknown = np.full(len(t_s), np.nan)
        return unknown, unknown
    extremes = observed.extremes(name)
    if extremes is None:
        unknown = np.full(len(t_s), np.nan)
        return unknown, unknown
    hole = inside(observed.story.blind("temperature" if name != "cell_v" else "cell_voltage"), extremes.t_s)
    pick = (lambda x: x[:, 0]) if table.uses in ("coldest", "lowest") else (lambda x: x[:, 1])
    edge = pick(np.column_stack((extremes.low, extremes.high)))
    # A channel that nobody measured widens the band the other way as well.
    other = np.where(np.isnan(extremes.measured).any(axis=1) | hole, np.nan, edge)
    span_s = np.maximum(t_s - declared.temperature_period_s, extremes.t_s[0])
    low, high = sliding(extremes.t_s, other, span_s, t_s)
    slack += extremes.uncertainty
    return low - slack, high + slack
