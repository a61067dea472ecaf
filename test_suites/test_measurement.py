"""M: measurement."""

from __future__ import annotations

import numpy as np

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.record import Trace
from bench.scenario import requirement


@requirement("GB/T 38661-2020", "ISO/IEC 17025:2017 7.6", scenario="M-01")
def test_m_01_cell_voltage_accuracy(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Every channel reports within its declared accuracy over the operating region."""
    bench, tolerance_v = calm, calm.profile.measurement.cell_tolerance_v
    low = bench.limit("cell_undervoltage_lock").trip
    high = bench.limit("cell_overvoltage_lock").trip
    for level_v in np.linspace(low + 0.2, high - 0.03, 8):
        bench.cells.set(voltage_v=float(level_v))
        bench.wait(1.5)
        measured_v = bench.record.cell_v.between(bench.now_s - 0.5, bench.now_s).value.mean(axis=0)
        reported_v = bench.dut.telemetry().cell_v
        worst_v = float(np.nanmax(np.abs(reported_v - measured_v)))
        assert not np.isnan(reported_v).any()
        assert worst_v in judge.at_most(
            tolerance_v,
            unit="V",
            what=f"largest error of a reported cell voltage at {level_v:.2f} V",
            reason="declared accuracy, against the emulator's own reading",
            uncertainty=bench.record.cell_v.uncertainty,
        )
    assert reference.explains(bench.record)


@requirement("GB/T 38661-2020", "ISO 26262", scenario="M-02")
def test_m_02_cell_map(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Each cell is reported in its own place."""
    bench = calm
    pattern_v = [3.20 + 0.010 * cell for cell in range(bench.profile.pack.cells)]
    bench.cells.set(voltage_v=pattern_v)
    bench.wait(1.5)
    measured_v = bench.record.cell_v.last
    reported_v = bench.dut.telemetry().cell_v
    nearest = np.abs(reported_v[:, None] - measured_v[None, :]).argmin(axis=1)
    misplaced = float((nearest != np.arange(len(nearest))).sum())
    assert misplaced in judge.around(
        0.0, 0.0, unit="1", what="cells reported in a wrong place", reason="10 mV steps, each voltage unique"
    )
    assert reference.explains(bench.record)


@requirement("GB/T 38661-2020", scenario="M-03")
def test_m_03_pack_voltage(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """The pack voltage is within its accuracy and agrees with the sum of cells."""
    bench, fraction = calm, calm.profile.measurement.pack_tolerance_fraction
    full_scale_v = bench.profile.pack.cells * bench.profile.pack.upper_limit_charging_v
    for level_v in (2.6, 3.0, 3.3, 3.55):
        bench.cells.set(voltage_v=level_v)
        bench.wait(1.5)
        telemetry = bench.dut.telemetry()
        measured_v = float(bench.record.cell_v.last.sum())
        assert telemetry.pack_v in judge.around(
            measured_v,
            fraction * full_scale_v,
            unit="V",
            what=f"reported pack voltage at {level_v} V a cell",
            reason="declared fraction of full scale, against the sum of measured cells",
        )
        assert telemetry.pack_v in judge.around(
            float(np.sum(telemetry.cell_v)),
            fraction * full_scale_v,
            unit="V",
            what="reported pack voltage against the reported cells",
            reason="declared fraction of full scale",
        )
    assert reference.explains(bench.record)


@requirement("GB/T 38661-2020", scenario="M-04")
def test_m_04_current_accuracy(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Current is reported with its sign and within its accuracy, in both directions and at zero."""
    bench, declared = calm, calm.profile.measurement
    bench.mode("charge")
    points_a = [0.0, 5.0, 0.5 * bench.profile.pack.max_charge_a, 0.99 * bench.profile.pack.max_charge_a]
    points_a += [-5.0, -0.5 * bench.profile.pack.max_discharge_a, -0.99 * bench.profile.pack.max_discharge_a]
    for current_a in points_a:
        bench.rest()
        bench.wait(0.2)
        if current_a > 0:
            bench.charge(current_a)
        elif current_a < 0:
            bench.discharge(-current_a)
        settled_s = 4 * bench.profile.communication.period_s
        bench.wait(1.0 + settled_s)
        measured_a = float(bench.record.current_a.between(bench.now_s - settled_s, bench.now_s).value.mean())
        reported_a = float(
            bench.record["dut.current_a"].between(bench.now_s - settled_s, bench.now_s).value.mean()
        )
        tolerance_a = declared.current_tolerance_a + declared.current_tolerance_fraction * abs(measured_a)
        assert reported_a in judge.around(
            measured_a,
            tolerance_a + bench.record.current_a.uncertainty,
            unit="A",
            what=f"reported current at {current_a:g} A",
            reason="declared offset and gain, plus the uncertainty of the bench",
        )
    assert reference.explains(bench.record)


@requirement("GB/T 38661-2020", scenario="M-05")
def test_m_05_temperature_map_and_accuracy(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Each sensor reports its own temperature, below zero too."""
    bench, tolerance_k = calm, calm.profile.measurement.temperature_tolerance_k
    sensors = bench.profile.pack.sensors
    for base_degc, step_k in ((-18.0, 1.0), (-3.0, 1.0), (20.0, 1.0), (42.0, 1.0)):
        bench.set_temperature([base_degc + step_k * sensor for sensor in range(sensors)])
        bench.wait(2.0)
        made_degc = bench.record.temperature_degc.last
        reported_degc = bench.dut.telemetry().temperature_degc
        error_k = float(np.nanmax(np.abs(reported_degc - made_degc)))
        assert not np.isnan(reported_degc).any()
        assert error_k in judge.at_most(
            tolerance_k,
            unit="K",
            what=f"largest error of a reported temperature from {base_degc:g} °C",
            reason="declared accuracy, each sensor at a temperature of its own",
            uncertainty=bench.record.temperature_degc.uncertainty,
        )
    # Neighbours further apart than two errors: an exchange shows.
    apart_k = 2.0 * tolerance_k + 1.0
    bench.set_temperature([5.0 + apart_k * sensor for sensor in range(sensors)])
    bench.wait(2.0)
    made_degc, reported_degc = bench.record.temperature_degc.last, bench.dut.telemetry().temperature_degc
    nearest = np.abs(reported_degc[:, None] - made_degc[None, :]).argmin(axis=1)
    assert float((nearest != np.arange(sensors)).sum()) in judge.around(
        0.0,
        0.0,
        unit="1",
        what="sensors reported in a wrong place",
        reason=f"{apart_k:g} K steps, each unique",
    )
    assert reference.explains(bench.record)


def _all_above(trace: Trace, level_v: float) -> float:
    """When every cell first stood above a level [s]; nan if never."""
    return float(next(iter(trace.t_s[(trace.value > level_v).all(axis=1)]), float("nan")))


@requirement("GB/T 34131-2023", scenario="M-06")
def test_m_06_refresh_after_a_step(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """After a step of all cells, the new values are out within sampling plus broadcast, none mixed later."""
    bench = calm
    link, declared = bench.profile.communication, bench.profile.measurement
    for offset_s in (0.0, 0.013, 0.037, 0.071):
        bench.cells.set(voltage_v=3.20)
        bench.wait(1.0 + offset_s)
        step_v = 3.40
        bench.cells.set(voltage_v=step_v)
        bench.wait(1.0)
        measured = bench.record.cell_v.between(bench.now_s - 1.2, bench.now_s)
        stepped_s = _all_above(measured, 3.30)
        seen_s = _all_above(bench.record["dut.cell_v"].between(stepped_s, bench.now_s), 3.30)
        assert seen_s - stepped_s in judge.at_most(
            declared.cell_period_s + link.period_s * (1 + link.period_tolerance_fraction) + measured.period_s,
            unit="s",
            what="age of the reported step",
            reason="declared sampling and broadcast periods, and one sample of the bench",
        )
    assert reference.explains(bench.record)


@requirement("GB 38031-2025 5.2", "UN R100-03 6.7", scenario="M-08")
def test_m_08_insulation(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Insulation resistance is reported on the right rail and warns below its limit."""
    bench = calm
    bench.needs("insulation")
    declared, warning = bench.profile.measurement, bench.limit("insulation_warning")
    for rail, fault in enumerate(("insulation_positive_30k", "insulation_negative_30k")):
        bench.insert(fault)
        bench.wait(bench.profile.insulation.measuring_s + warning.delay_s + 2.0)
        reported_ohm = bench.dut.telemetry().insulation_ohm
        assert float(reported_ohm[rail]) in judge.around(
            30e3,
            declared.insulation_tolerance_fraction * 30e3,
            unit="ohm",
            what=f"reported insulation resistance, {fault}",
            reason="resistor of the fault box, declared fraction",
        )
        assert float(warning.alarm in bench.dut.alarms()) in judge.around(
            1.0,
            0.0,
            unit="1",
            what="insulation warning",
            reason=f"30 kohm at {bench.profile.pack.nominal_v} V",
        )
        bench.remove(fault)
        bench.wait(bench.profile.insulation.measuring_s + warning.delay_s + 2.0)
    assert warning.alarm not in bench.dut.alarms()
    assert reference.explains(bench.record)
