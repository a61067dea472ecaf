"""SE: state of charge under heavy duty."""

from __future__ import annotations

import numpy as np

from bench.collector import Judge, ObservedReference
from bench.errors import NotApplicable
from bench.procedure import Bench
from bench.record import Trace
from bench.reference.soc import soc_error, soc_trace
from bench.scenario import pack, requirement
from test_suites.duties import load_duty

#: Sampling of the measured traces in long runs [s].
SLOW_S = 0.1
#: Where the open-circuit voltage of an LFP cell says something, outside the flat zone of the profiles.
TRUE_SOC = 0.10
#: Resolution of the throughput counters [Ah].
COUNT_AH = 1.0


def _soc_error(bench: Bench, soc_0: float) -> float:
    """Largest difference of the reported SOC and the coulombs that the bench counted from a known start."""
    estimate = soc_trace(bench.record, soc_0, 0.001, bench.profile.pack.capacity_ah)
    error, _ = soc_error(bench.record, estimate)
    return float(np.nanmax(np.abs(error)))


def _largest_jump_per_s(soc: Trace) -> float:
    """Largest change of a reported SOC within a second; one between rarer reports counts as if in one."""
    return float((np.abs(np.diff(soc.value)) / np.maximum(np.diff(soc.t_s), 1.0)).max())


def _charge_ah(current: Trace) -> float:
    """Charge [Ah] that a measured current carried, positive into the pack."""
    return float(np.trapezoid(current.value, current.t_s)) / 3600.0


def _follow(bench: Bench, power_w: np.ndarray) -> None:
    """Make load and regeneration follow a power, one value a second; positive charges the pack."""
    pack_v = bench.profile.pack.nominal_v
    regenerating = False
    for power in power_w:
        current_a = float(power) / pack_v
        if current_a < -0.5:
            if regenerating:
                bench.regen.off()
            regenerating = False
            bench.load.sink(current_a=-current_a)
        else:
            bench.load.off()
            if current_a > 0.5:
                bench.regen.source(voltage_v=bench.profile.pack.cells * 3.6, current_a=current_a)
            elif regenerating:
                bench.regen.off()
            regenerating = current_a > 0.5
        bench.wait(1.0)
        pack_v = float(bench.record["pack_v"].last)


@requirement("GB/T 34131-2023", scenario="SE-02")
@pack(soc=0.75, temperature_degc=25.0)
def test_se_02_truck_cruise(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """State of charge stays within its bound over a measured truck cycle, with no jump."""
    bound = bench.profile.soc
    bench.start()
    bench.mode("drive")
    bench.publish_every(SLOW_S)
    _, power_w = load_duty("hhddt_cruise_power")
    bench.record.note("stimulus", "duty hhddt_cruise: power of a truck with regeneration")
    _follow(bench, power_w)
    bench.rest()
    bench.wait(2.0)

    assert _soc_error(bench, 0.75) in judge.at_most(
        bound.error_bound, unit="1", what="largest error of the reported SOC", reason="declared bound"
    )
    reported = bench.record["dut.soc"]
    assert _largest_jump_per_s(reported) in judge.at_most(
        bound.jump_bound_per_s,
        unit="1",
        what="largest jump of the reported SOC in 1 s",
        reason="declared bound",
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="SE-04")
@pack(soc=0.60)
def test_se_04_power_cut_in_drive(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """State of charge survives a power cut in the middle of a discharge."""
    bench.start()
    bench.mode("drive")
    bench.publish_every(SLOW_S)
    bench.discharge(0.8 * bench.profile.pack.max_discharge_a)
    bench.wait(120.0)
    before = float(bench.dut.telemetry().soc)
    bench.cut_power()
    bench.wait(2.0)
    bench.rest()
    bench.request("standby")
    bench.restore_power()
    bench.wait(5.0)
    after = float(bench.dut.telemetry().soc)
    assert after in judge.around(
        before,
        bench.profile.soc.restored_within,
        unit="1",
        what="SOC after the power cut",
        reason="declared: restored within this of the value before",
    )
    assert _soc_error(bench, 0.60) in judge.at_most(
        bench.profile.soc.error_bound,
        unit="1",
        what="largest error of the reported SOC",
        reason="declared bound",
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="SE-05")
@pack(soc=TRUE_SOC, known_soc=0.19)
def test_se_05_correction_at_rest(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """After a rest where the open-circuit voltage is informative, SOC moves towards the truth."""
    bound = bench.profile.soc
    bench.start()
    bench.mode("standby")
    bench.publish_every(1.0)
    first_error = abs(float(bench.dut.telemetry().soc) - TRUE_SOC)
    assert first_error > bound.error_bound
    bench.wait(bound.rest_s)

    def corrected() -> bool:
        return abs(float(bench.dut.telemetry().soc) - TRUE_SOC) <= bound.error_bound

    bench.clock.until(corrected, timeout_s=bound.converges_s, step_s=5.0)
    bench.wait(60.0)

    reported = bench.record["dut.soc"]
    assert _largest_jump_per_s(reported) in judge.at_most(
        bound.jump_bound_per_s, unit="1", what="largest jump in 1 s", reason="declared bound"
    )
    assert abs(float(reported.last) - TRUE_SOC) in judge.at_most(
        bound.error_bound,
        unit="1",
        what="error after rest and correction",
        reason=f"declared bound, within {bound.converges_s:g} s of a rest of {bound.rest_s:g} s",
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="SE-06")
@pack(soc=0.50)
def test_se_06_small_current_for_long(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A current just below 1 % of the greatest is counted, and its offset does not run away."""
    capacity_ah, declared = bench.profile.pack.capacity_ah, bench.profile.measurement
    bench.start()
    bench.mode("drive")
    bench.publish_every(1.0)
    bench.discharge(0.0093 * bench.profile.pack.max_discharge_a)
    bench.wait(2.0)
    start_s, first = bench.now_s, float(bench.dut.telemetry().soc)
    bench.wait(1500.0)

    current = bench.record.current_a.between(start_s, bench.now_s)
    counted_ah = _charge_ah(current)
    duration_h = (bench.now_s - start_s) / 3600.0
    tolerance_ah = (declared.current_tolerance_a + current.uncertainty) * duration_h + 0.001 * capacity_ah
    assert (float(bench.dut.telemetry().soc) - first) * capacity_ah in judge.around(
        counted_ah,
        tolerance_ah,
        unit="Ah",
        what="charge that the reported SOC says was drawn by a small current",
        reason="declared current offset over the time, and the resolution of the SOC",
    )
    assert reference.explains(bench.record)


@requirement("DIN DKE SPEC 99100 6.7.6", scenario="SE-10")
@pack(soc=0.65)
def test_se_10_counted_charge(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """The charge counted over a quarter of the capacity agrees with what the bench counted."""
    capacity_ah, declared = bench.profile.pack.capacity_ah, bench.profile.measurement
    bench.start()
    bench.mode("drive")
    bench.publish_every(SLOW_S)
    bench.wait(1.0)
    start_s, first = bench.now_s, float(bench.dut.telemetry().soc)
    bench.discharge(0.95 * bench.profile.pack.max_discharge_a)
    bench.wait(0.25 * capacity_ah / (0.95 * bench.profile.pack.max_discharge_a) * 3600.0)
    bench.rest()
    bench.wait(2.0)

    current = bench.record.current_a.between(start_s, bench.now_s)
    counted_ah = _charge_ah(current)
    reported_ah = (float(bench.dut.telemetry().soc) - first) * capacity_ah
    duration_h = (bench.now_s - start_s) / 3600.0
    resolution_ah = 2 * 0.001 * capacity_ah
    tolerance_ah = declared.current_tolerance_fraction * abs(counted_ah)
    tolerance_ah += (declared.current_tolerance_a + current.uncertainty) * duration_h + resolution_ah
    assert reported_ah in judge.around(
        counted_ah,
        tolerance_ah,
        unit="Ah",
        what="charge that the reported SOC says was drawn",
        reason="declared gain and offset of the current over the time, and the resolution of the SOC",
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="SE-10")
@pack(soc=0.60)
def test_se_10_throughput_counters(bench: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Counted charge in and out follows what flowed, never backwards."""
    bench.start()
    if "dut.discharged_ah" not in bench.record.traces():
        raise NotApplicable(f"{bench.profile.identity.model} does not report its throughput")
    bench.mode("charge")
    bench.publish_every(SLOW_S)
    start_s, pack_ = bench.now_s, bench.profile.pack
    bench.discharge(0.95 * pack_.max_discharge_a)
    bench.wait(60.0)
    bench.rest()
    bench.charge(0.95 * pack_.max_charge_a)
    bench.wait(100.0)
    bench.rest()
    bench.wait(2.0)

    current = bench.record.current_a.between(start_s, bench.now_s)
    steps_h = np.diff(current.t_s) / 3600.0
    declared = bench.profile.measurement
    for name, sign in (("dut.charged_ah", 1.0), ("dut.discharged_ah", -1.0)):
        flow_a = np.maximum(sign * current.value, 0.0)
        made_ah = float((0.5 * (flow_a[1:] + flow_a[:-1]) * steps_h).sum())
        counted = bench.record[name].between(start_s, bench.now_s).value
        hours = float(steps_h.sum())
        doubt_ah = (declared.current_tolerance_a + current.uncertainty) * hours
        assert float(counted[-1] - counted[0]) in judge.around(
            made_ah,
            0.01 * made_ah + declared.current_tolerance_fraction * made_ah + doubt_ah + COUNT_AH,
            unit="Ah",
            what=f"{name.removeprefix('dut.')} over the scenario",
            reason="1 % of the truth, the declared accuracy of the current and one count",
        )
        assert float(np.diff(counted).min()) in judge.at_least(
            0.0, unit="Ah", what=f"smallest step of {name}", reason="a counter never goes back"
        )
    assert reference.explains(bench.record)
