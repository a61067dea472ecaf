"""CT: contactors, precharge, interlock, insulation."""

from __future__ import annotations

import numpy as np
import pytest

from bench.collector import Judge, ObservedReference
from bench.errors import Inconclusive
from bench.procedure import Bench
from bench.scenario import requirement


@requirement("ISO 26262", scenario="CT-01")
def test_ct_01_closing_order_and_precharge(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Minus closes first, then precharge; plus closes onto a bus that is within the declared difference."""
    bench, declared = calm, calm.profile.precharge
    start_s = bench.now_s
    bench.mode("drive")

    record = bench.record
    closed_s = {
        name: record[f"switch.{name}"].between(start_s, bench.now_s).first(lambda closed: closed > 0.5)
        for name in ("main_minus", "precharge", "main_plus")
    }
    assert closed_s["precharge"] - closed_s["main_minus"] in judge.at_least(
        0.0, unit="s", what="precharge after minus", reason="order minus, precharge, plus"
    )
    assert closed_s["main_plus"] - closed_s["precharge"] in judge.within(
        0.0, declared.timeout_s, unit="s", what="duration of precharge", reason="declared timeout"
    )
    period_s = record["link_v"].period_s
    if period_s > closed_s["main_plus"] - closed_s["precharge"]:
        raise Inconclusive(
            f"the bus voltage is measured every {period_s:.2f} s, and precharge took less: where it ended "
            "was not seen"
        )
    before_s = closed_s["main_plus"] - period_s
    link_v, pack_v = float(record["link_v"].at(before_s)), float(record.cell_v.at(before_s).sum())
    assert (pack_v - link_v) / pack_v in judge.at_most(
        declared.done_fraction + bench.profile.measurement.pack_tolerance_fraction,
        unit="1",
        what="bus below pack voltage when plus closes",
        reason="declared end of precharge and the DUT's accuracy",
    )
    inrush_a = float(np.abs(record.current_a.between(start_s, bench.now_s).value).max())
    assert inrush_a in judge.at_most(
        bench.profile.pack.max_discharge_a,
        unit="A",
        what="inrush current",
        reason="declared greatest discharge current",
    )
    assert reference.explains(record)


@requirement("ISO 26262", scenario="CT-02")
def test_ct_02_precharge_cannot_finish(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """With an open precharge resistor the DUT gives up after its tries, says so, and never closes plus."""
    bench, declared = calm, calm.profile.precharge
    bench.insert("precharge_resistor_open")
    start_s = bench.now_s
    bench.request("drive")
    bench.wait((declared.tries + 2) * (declared.timeout_s + declared.pause_s + 0.5))

    record = bench.record
    precharge = record["switch.precharge"].between(start_s, bench.now_s)
    state = precharge.value > 0.5
    tries = float((~state[:-1] & state[1:]).sum())
    assert tries in judge.within(
        1.0, float(declared.tries), unit="1", what="tries to precharge", reason="declared number of tries"
    )
    closed = float(record["switch.main_plus"].between(start_s, bench.now_s).value.max())
    assert closed in judge.at_most(0.0, unit="1", what="main plus closed", reason="the bus never charged")
    assert float("precharge_failed" in bench.dut.alarms()) in judge.around(
        1.0, 0.0, unit="1", what="failed precharge reported", reason="the host must know"
    )
    assert reference.explains(record)


@requirement("ISO 26262", scenario="CT-04")
def test_ct_04_welded_contactor(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A welded main contactor is found when it should open, latched, and the next close is refused."""
    bench = driving
    bench.rest()
    bench.insert("weld_main_plus")
    bench.request("standby")
    bench.wait(2.0)
    assert float("contactor_weld" in bench.dut.alarms()) in judge.around(
        1.0, 0.0, unit="1", what="weld reported after opening", reason="the contact is measured closed"
    )
    start_s = bench.now_s
    bench.request("drive")
    bench.wait(5.0)
    minus = float(bench.record["switch.main_minus"].between(start_s, bench.now_s).value.max())
    assert minus in judge.at_most(
        0.0, unit="1", what="main minus closed with a weld", reason="close is refused"
    )

    # A weld that came loose may come back: service or at least a reset has to look at it.
    bench.request("standby")
    bench.remove("weld_main_plus")
    bench.wait(6.0)
    assert float("contactor_weld" in bench.dut.alarms()) in judge.around(
        1.0, 0.0, unit="1", what="weld kept until it is reset", reason="latched"
    )
    assert reference.explains(bench.record)


@requirement("ISO 26262", scenario="CT-05")
@pytest.mark.parametrize("loaded", [True, False], ids=["under load", "at rest"])
def test_ct_05_feedback_contradicts(
    driving: Bench, reference: ObservedReference, judge: Judge, loaded: bool
) -> None:
    """Feedback that says open while the contactor is closed is a fault within the declared time."""
    bench, declared = driving, driving.profile.plausibility
    # Without current the contact alone can tell.
    telling = ("contactor_feedback", "current_on_open_path")[: 2 if loaded else 1]
    bench.needs_alarms(*telling)
    if not loaded:
        bench.rest()
        bench.wait(0.5)
    bench.insert("feedback_open_main_plus")
    start_s = bench.now_s
    bench.wait(declared.feedback_s + 1.5)
    flags = [bench.record[f"dut.alarm.{name}"].between(start_s, bench.now_s) for name in telling]
    first_s = float(np.fmin.reduce([trace.first(lambda flag: flag > 0.5) for trace in flags]))
    assert first_s - start_s in judge.at_most(
        declared.feedback_s + 2 * bench.profile.communication.period_s,
        unit="s",
        what="contradicting feedback reported",
        reason="declared time and two broadcasts",
    )
    assert reference.explains(bench.record)


@requirement("UN R100-03 6.7", "SAE J1939-71", scenario="CT-07")
def test_ct_07_interlock_opens(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """An open interlock opens the contactors."""
    bench = driving
    bench.needs_alarms("hvil_open")
    start_s = bench.now_s
    bench.insert("hvil_open")
    bench.wait(2.0)
    opened_s = bench.record.discharge_path.opened_s
    assert opened_s - start_s in judge.within(
        0.0,
        bench.profile.plausibility.feedback_s + bench.profile.switches.zero_current_wait_s + 0.1,
        unit="s",
        what="discharge path open after the interlock",
        reason="declared time of plausibility faults, and the time to shed the load",
    )
    assert "hvil_open" in bench.dut.alarms()
    assert reference.explains(bench.record)


@requirement("UN R100-03 6.7", "UL 2580:2022 31", scenario="CT-08")
def test_ct_08_insulation_lost(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Insulation below 100 Ω/V opens the contactors and is reported."""
    bench, limit = driving, driving.limit("insulation_fault")
    start_s = bench.now_s
    bench.insert("insulation_negative_5k")
    bench.wait(bench.profile.insulation.measuring_s + limit.delay_s + 3.0)
    opened_s = bench.record.discharge_path.opened_s
    latest_s = bench.profile.insulation.measuring_s + limit.delay_s + limit.delay_tolerance_s
    latest_s += bench.profile.switches.zero_current_wait_s + bench.profile.switches.opening_s
    assert opened_s - start_s in judge.within(
        0.0,
        latest_s,
        unit="s",
        what="discharge path open after insulation was lost",
        reason="declared measuring time, delay, and time to shed the load",
    )
    assert limit.alarm in bench.dut.alarms()
    if limit.latched:
        _latched(bench, judge, "insulation_negative_5k", limit.alarm)
    assert reference.explains(bench.record)


def _latched(bench: Bench, judge: Judge, fault: str, alarm: str) -> None:
    """With its cause gone, a latched fault stays until it is reset."""
    bench.rest()
    bench.remove(fault)
    bench.wait(bench.profile.insulation.measuring_s + 5.0)
    bench.request("standby")
    bench.wait(1.0)
    bench.request("drive")
    bench.wait(4.0)
    assert float(bench.record.discharge_path.closed) in judge.around(
        0.0, 0.0, unit="1", what=f"closed again with {alarm} not reset", reason="declared: latched"
    )
    assert float(alarm in bench.dut.alarms()) in judge.around(
        1.0, 0.0, unit="1", what=f"{alarm} kept until it is reset", reason="declared: latched"
    )
    bench.request("standby")
    bench.reset_fault()
    bench.wait(1.0)
    bench.mode("drive")


@requirement("ISO 26262", scenario="CT-10")
def test_ct_10_current_is_shed_before_opening(
    driving: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """A fault first asks for zero current; with a machine that obeys, the contactors open without load."""
    bench, declared = driving, driving.profile.switches
    bench.needs("limits")
    bench.discharge(0.5 * bench.profile.pack.max_discharge_a)
    bench.wait(1.0)
    start_s = bench.now_s
    # No derating leads up to an open interlock: what is shed now is shed because of the fault.
    bench.insert("hvil_open")

    # The host obeys: as soon as the broadcast limit is zero, the load goes.
    def asked_for_zero() -> bool:
        return bool(bench.dut.telemetry().discharge_limit_a < 1.0)

    latest_s = bench.profile.plausibility.feedback_s + bench.profile.communication.period_s
    assert bench.clock.until(asked_for_zero, timeout_s=latest_s + 0.1, step_s=0.01)
    bench.rest()
    bench.wait(1.5)

    record = bench.record
    opened_s = record.discharge_path.opened_s
    assert opened_s - start_s in judge.at_most(
        latest_s + declared.zero_current_wait_s + declared.opening_s,
        unit="s",
        what="discharge path open after the interlock",
        reason="declared time of plausibility faults, a broadcast, and the time to shed the load",
    )
    last_closed_s = opened_s - record["discharge_path"].period_s
    at_opening_a = float(np.abs(record.current_a.at(last_closed_s)))
    assert at_opening_a in judge.at_most(
        declared.zero_current_fraction * bench.profile.pack.max_discharge_a + record.current_a.uncertainty,
        unit="A",
        what="current when the contactor opens",
        reason="declared fraction that counts as shed",
    )
    assert reference.explains(record)
