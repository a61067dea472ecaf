"""What a DUT says beside its measurements, held against what was measured: it must agree with itself too.

Extremes and their places, states of the contactors, operating state, permissions, charge voltage, charge left
and power promised. A value that the dialect does not have is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bench.record import Floats, Trace
from bench.reference.cases import PREFIX, Case
from bench.reference.findings import Finding
from bench.reference.intervals import Mask, inside, runs, sliding, union
from bench.reference.observed import Observed, blur_s, followed, report_age_s
from bench.reference.paths import PATHS, known
from bench.reference.plausibility import settling
from bench.reference.story import MODE_S

#: Numbers of `dut.state` as in docs/reference/hd_can.md.
STANDBY, DRIVE, CHARGE, FAULT, LOCKED = 1, 3, 4, 5, 6
#: Resolution of the charge remaining [Ah] and of a share (SOC, SOH), at most.
RESOLUTION_AH, RESOLUTION = 0.1, 0.005


def judge_broadcast(observed: Observed, cases: list[Case]) -> list[Finding]:
    """Judge everything in the broadcast that is no plain measurement."""
    parts = (_extremes, _switches, _state, _charge_voltage, _remaining, _power)
    found = [finding for part in parts for finding in part(observed)]
    return found + list(_permissions(observed, cases))


def _extremes(observed: Observed) -> Iterator[Finding]:
    """Highest and lowest cell, hottest and coldest sensor: value, and place where it is said."""
    declared = observed.profile.measurement
    cell_v, kelvin = declared.cell_tolerance_v, declared.temperature_tolerance_k
    upper: Callable[[Floats], Floats] = lambda x: np.max(x, axis=1)  # noqa: E731
    lower: Callable[[Floats], Floats] = lambda x: np.min(x, axis=1)  # noqa: E731
    for name, place, of, quantity, tolerance, period_s, pick in (
        ("highest_cell_v", "highest_cell", "cell_v", "cell_voltage", cell_v, declared.cell_period_s, upper),
        ("lowest_cell_v", "lowest_cell", "cell_v", "cell_voltage", cell_v, declared.cell_period_s, lower),
        ("hottest_degc", "", "temperature_degc", "temperature", kelvin, declared.temperature_period_s, upper),
        ("coldest_degc", "", "temperature_degc", "temperature", kelvin, declared.temperature_period_s, lower),
    ):
        measured, said = observed.traces.get(of), observed.traces.get(f"dut.{name}")
        if measured is None or said is None or measured.value.ndim != 2:
            continue
        slack = tolerance + measured.uncertainty
        low, high = _recent(observed, measured, said.t_s, period_s)
        judged = _judged(observed, said, measured, quantity, period_s)
        with np.errstate(invalid="ignore"):
            if blur_s(measured, report_age_s(observed.profile, period_s)):
                judged = judged & (pick(high) - pick(low) <= slack)
            wrong = (said.value > pick(high) + slack) | (said.value < pick(low) - slack)
        yield from _first(said, wrong & judged, f"measurement of {of}", f"dut.{name} as measured")
        where = observed.traces.get(f"dut.{place}")
        if where is None or len(where) != len(said):
            continue
        index = np.clip(np.nan_to_num(where.value, nan=-1.0).astype(np.int64), -1, low.shape[1] - 1)
        rows = np.arange(len(index))
        at_low, at_high = low[rows, index], high[rows, index]
        # Both the cell named and the true extreme may be off by the accuracy, in opposite directions.
        with np.errstate(invalid="ignore"):
            off = at_high < pick(low) - 2 * slack if pick is upper else at_low > pick(high) + 2 * slack
        yield from _first(
            where, (off | (index < 0)) & judged, f"measurement of {of}", f"dut.{place} in place"
        )


def _switches(observed: Observed) -> Iterator[Finding]:
    """The contacts as the DUT sees them are as they are measured, unless their wires are disturbed."""
    switches = observed.profile.switches
    moving_s = max(switches.closing_s, switches.opening_s)
    disturbed = observed.story.faulty("feedback_", "weld_", "short_circuit")
    for name in ("main_minus", "main_plus", "precharge", "charge"):
        measured, said = (
            known(observed.traces.get(f"switch.{name}")),
            observed.traces.get(f"dut.switch.{name}"),
        )
        if measured is None or said is None:
            continue
        period_s = measured.period_s if len(measured) > 1 else 0.0
        low, high = _recent(observed, measured, said.t_s, moving_s + period_s, after_s=period_s)
        wrong = (said.value > high + 0.5) | (said.value < low - 0.5)
        wrong &= _judged(observed, said, measured, "switch", moving_s) & ~inside(disturbed, said.t_s)
        yield from _first(said, wrong, f"switch.{name}", f"dut.switch.{name} as measured")


def _state(observed: Observed) -> Iterator[Finding]:
    """A state that uses a path stands with a path closed, one that does not with both open.

    A DUT that reports an alarm may keep the state that it will go back to.
    """
    said = observed.traces.get("dut.state")
    paths = [known(observed.traces.get(f"{path}_path")) for path in ("charge", "discharge")]
    if said is None or paths[0] is None or paths[1] is None:
        return
    excused = union(settling(observed), observed.story.dark, observed.story.faulty())
    spans = [sliding(path.t_s, path.value, said.t_s - MODE_S, said.t_s) for path in paths if path is not None]
    covered = (said.t_s - MODE_S >= max(float(p.t_s[0]) for p in paths if p is not None)) & ~inside(
        excused, said.t_s
    )
    # The state, too, must have been the same for as long as the paths are looked at.
    least, most = sliding(said.t_s, said.value, said.t_s - MODE_S, said.t_s)
    covered &= least == most
    never_closed: Mask = (spans[0][1] < 0.5) & (spans[1][1] < 0.5)
    always_closed: Mask = (spans[0][0] > 0.5) | (spans[1][0] > 0.5)
    in_use = np.isin(said.value, (DRIVE, CHARGE)) & ~_alarmed(observed, said.t_s)
    idle = np.isin(said.value, (STANDBY, FAULT, LOCKED))
    yield from _first(said, covered & in_use & never_closed, "state", "a path closed in drive or charge")
    yield from _first(said, covered & idle & always_closed, "state", "paths open in standby, fault and lock")


def _permissions(observed: Observed, cases: list[Case]) -> Iterator[Finding]:
    """A direction that a limit certainly blocks is not said to be allowed."""
    age_s = report_age_s(observed.profile, 0.0)
    hidden = union(observed.story.dark, settling(observed))
    for path in PATHS:
        said = observed.traces.get(f"dut.{path}_allowed")
        blocking = [case.certain for case in cases if path in case.limit.opens]
        if said is None or not blocking:
            continue
        blocked = union(*(np.column_stack((c[:, 0] + age_s, c[:, 1])) for c in blocking))
        blocked = blocked[blocked[:, 0] < blocked[:, 1]]
        wrong = (said.value >= 0.5) & inside(blocked, said.t_s) & ~inside(hidden, said.t_s)
        yield from _first(said, _repeated(wrong), f"{path} path", f"dut.{path}_allowed off while blocked")


def _charge_voltage(observed: Observed) -> Iterator[Finding]:
    """The voltage that a charger is asked for is not above the declared one."""
    said = observed.traces.get("dut.charge_v")
    if said is None:
        return
    most = observed.profile.pack.charge_v * (1.0 + observed.profile.measurement.pack_tolerance_fraction)
    yield from _first(said, said.value > most, "pack.charge_v", f"dut.charge_v at most {most:.2f} V")


def _remaining(observed: Observed) -> Iterator[Finding]:
    """Charge remaining = SOC times SOH times capacity, within the bound of the SOC."""
    soc, soh = observed.traces.get("dut.soc"), observed.traces.get("dut.soh")
    said = observed.traces.get("dut.remaining_ah")
    if soc is None or said is None:
        return
    capacity_ah = observed.profile.pack.capacity_ah
    share = _at(soc, said.t_s) * (_at(soh, said.t_s) if soh is not None else 1.0)
    bound_ah = (observed.profile.soc.error_bound + RESOLUTION) * capacity_ah + RESOLUTION_AH
    with np.errstate(invalid="ignore"):
        wrong = np.abs(said.value - share * capacity_ah) > bound_ah
    wrong &= ~inside(union(settling(observed), observed.story.dark), said.t_s)
    yield from _first(said, _repeated(wrong), "soc", "dut.remaining_ah = SOC x SOH x capacity")


def _power(observed: Observed) -> Iterator[Finding]:
    """No promised power needs a current that the DUT itself would trip on within the ten seconds."""
    pack_v = observed.traces.get("pack_v")
    if pack_v is None:
        return
    for direction in ("discharge", "charge"):
        said = observed.traces.get(f"dut.{direction}_10s_w")
        trips = [
            limit.trip + limit.tolerance
            for limit in observed.profile.limits.values()
            if limit.quantity == f"{direction}_current" and limit.opens and limit.delay_s < 10.0
        ]
        if said is None or not trips:
            continue
        _, high = sliding(pack_v.t_s, pack_v.value, said.t_s - 2.0, said.t_s)
        highest_v = observed.profile.pack.cells * observed.profile.pack.upper_limit_charging_v
        most_w = min(trips) * (np.fmax(high, highest_v) if direction == "charge" else high)
        with np.errstate(invalid="ignore"):
            wrong = (said.value > most_w * 1.05) & ~inside(settling(observed), said.t_s)
        expected = f"dut.{direction}_10s_w below {min(trips):g} A at the pack's voltage"
        yield from _first(said, _repeated(wrong), "power", expected)


def _alarmed(observed: Observed, t_s: Floats) -> Mask:
    """Whether any alarm was reported within `MODE_S` before each time."""
    mask = np.zeros(len(t_s), dtype=np.bool_)
    for name, trace in observed.traces.items():
        if name.startswith(PREFIX) and np.any(trace.value >= 0.5):
            _, most = sliding(trace.t_s, trace.value, t_s - MODE_S, t_s)
            mask |= most >= 0.5
    return mask


def _recent(
    observed: Observed, measured: Trace, t_s: Floats, sampling_s: float, *, after_s: float = 0.0
) -> tuple[Floats, Floats]:
    """Least and greatest measured value over the age that a report may have."""
    age_s = report_age_s(observed.profile, sampling_s)
    blur = blur_s(measured, age_s)
    return sliding(measured.t_s, measured.value, t_s - age_s - blur, t_s + max(after_s, blur))


def _judged(observed: Observed, said: Trace, measured: Trace, quantity: str, sampling_s: float) -> Mask:
    """Reports whose whole age was measured, and that no fault falsified."""
    age_s = report_age_s(observed.profile, sampling_s)
    period_s = measured.period_s if len(measured) > 1 else 0.0
    covered = (said.t_s - age_s >= measured.t_s[0]) & (said.t_s <= measured.t_s[-1] + period_s)
    judged: Mask = covered & ~inside(union(observed.story.blind(quantity), settling(observed)), said.t_s)
    return judged & followed(observed, measured, said.t_s, age_s)


def _repeated(wrong: Mask) -> Mask:
    """Two wrong reports in a row: one may still be under way."""
    again: Mask = wrong & np.concatenate(([False], wrong[:-1]))
    return again


def _at(trace: Trace, t_s: Floats) -> Floats:
    """The newest sample at each time; nan before the first."""
    index = np.searchsorted(trace.t_s, t_s, side="right") - 1
    found: Floats = np.where(index >= 0, trace.value[np.maximum(index, 0)], np.nan)
    return found


def _first(said: Trace, wrong: Mask, rule: str, expected: str) -> Iterator[Finding]:
    """One finding for all of `wrong`, at its first report."""
    first, _ = runs(wrong)
    if len(first):
        k = int(first[0])
        seen = f"{said.value[k]:.6g} ({int(wrong.sum())} reports)"
        yield Finding(float(said.t_s[k]), "inaccurate", rule, expected, seen)
