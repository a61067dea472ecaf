"""Whether fan and heater run when they have to, and only when they may."""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Trace
from bench.reference.estimators.thermal_plan import Duty, Extent, cooling_duty, heating_duty
from bench.reference.findings import Finding, Kind
from bench.reference.intervals import Mask, inside, runs, sliding, union
from bench.reference.observed import TASK_S, Observed
from dut_profiles.profile import ThermalManagement

#: A fan slower than this stands [1/min], project default.
RUNS_RPM = 200.0
#: What each rule is judged by; see docs/reference/record.md.
NEEDS = {"cooling": ("temperature_degc", "fan_rpm"), "heating": ("temperature_degc", "heater")}
_STATES = {"standby": 1, "drive": 3, "charge": 4}
_EXCUSES = ("fan_stopped", "heater_stuck", "dut_supply")


def judge_thermal_management(observed: Observed) -> list[Finding]:
    """Judge the measured fan and heater against what the profile declares; nothing if it declares nothing."""
    declared, heat = observed.profile.thermal_management, observed.traces.get("temperature_degc")
    if declared is None or heat is None:
        return []
    t_s, extent = heat.t_s, _extent(observed)
    found = []
    fan = observed.traces.get("fan_rpm")
    if fan is not None:
        turning = fan.value > RUNS_RPM + fan.uncertainty
        found += _judge(observed, t_s, cooling_duty(declared, extent), fan, turning, "cooling")
    heater = observed.traces.get("heater")
    if heater is not None:
        surely, maybe = _in_use(observed, declared, t_s)
        duty = heating_duty(declared, extent, surely, maybe)
        found += _judge(observed, t_s, duty, heater, heater.value >= 0.5, "heating")
    return found


def _extent(observed: Observed) -> Extent:
    """Coldest and hottest as the DUT may have seen them; anywhere while it was blind."""
    extremes = observed.extremes("temperature_degc")
    assert extremes is not None
    u, blind = extremes.uncertainty, inside(observed.story.blind("temperature"), extremes.t_s)
    least, most = np.fmin.reduce(extremes.measured, axis=1), np.fmax.reduce(extremes.measured, axis=1)
    return Extent(
        coldest_low=np.where(blind, -np.inf, extremes.low - u),
        coldest_high=np.where(blind | np.isnan(least), np.inf, least + u),
        hottest_low=np.where(blind | np.isnan(most), -np.inf, most - u),
        hottest_high=np.where(blind, np.inf, extremes.high + u),
    )


def _in_use(observed: Observed, declared: ThermalManagement, t_s: Floats) -> tuple[Mask, Mask]:
    """Whether the pack surely was, and may have been, in a mode in which the heater may heat."""
    state = observed.traces.get("dut.state")
    if state is None:
        return np.zeros(len(t_s), dtype=np.bool_), np.ones(len(t_s), dtype=np.bool_)
    using = np.isin(state.value, [_STATES[mode] for mode in declared.heating_modes]).astype(np.float64)
    # A report is as old as one broadcast: the state may be that of the one before or the one after.
    period_s = observed.profile.communication.period_s
    least, most = sliding(state.t_s, using, t_s - 2.0 * period_s, t_s + 2.0 * period_s)
    return least > 0.5, (most > 0.5) | np.isnan(most)


def _judge(
    observed: Observed, t_s: Floats, duty: Duty, seen: Trace, running: Mask, what: str
) -> list[Finding]:
    """Runs of samples at which it stood although due, or ran although not permitted, for too long."""
    declared = observed.profile.thermal_management
    assert declared is not None
    delay_s = (
        declared.reaction_s + observed.period_s("temperature_degc") + observed.period_s(seen.name) + TASK_S
    )
    must, _ = sliding(t_s, duty.due.astype(np.float64), seen.t_s - delay_s, seen.t_s)
    _, may = sliding(t_s, duty.permitted.astype(np.float64), seen.t_s - delay_s, seen.t_s)
    story = observed.story
    judged = ~inside(union(story.dark, story.faulty(*_EXCUSES)), seen.t_s) & np.isfinite(seen.value)
    judged &= seen.t_s >= max(observed.awake_s, float(t_s[0])) + delay_s
    rule = f"thermal_management.{what}"
    on, off = _levels(declared, what)
    needless: Kind = "forbidden" if what == "heating" else "spurious"
    judgements: tuple[tuple[Mask, Kind, str], ...] = (
        (~running & (must > 0.5), "missed", f"{what}: due at {on}"),
        (running & (may < 0.5), needless, f"no {what}: {off}"),
    )
    found = []
    for wrong, kind, expected in judgements:
        first, last = runs(wrong & judged)
        if len(first):
            shown = f"{seen.value[first[0]]:.0f} {seen.unit}, until {seen.t_s[last[-1]]:.3f} s"
            found.append(Finding(float(seen.t_s[first[0]]), kind, rule, expected, f"{seen.name} {shown}"))
    return found


def _levels(declared: ThermalManagement, what: str) -> tuple[str, str]:
    if what == "cooling":
        return f"{declared.cooling_on_degc:g} °C", f"all sensors below {declared.cooling_off_degc:g} °C"
    modes = " or ".join(declared.heating_modes)
    return (
        f"{declared.heating_on_degc:g} °C in {modes}",
        f"warmer than {declared.heating_off_degc:g} °C, or not in {modes}",
    )
