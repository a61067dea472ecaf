"""BA: balancing."""

from __future__ import annotations

import numpy as np

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement

#: A channel that carries more than this bleeds; the sense inputs draw far less [A].
BLEEDS_A = 0.02


def _bleeding(bench: Bench, duration_s: float) -> np.ndarray:
    """Greatest current [A] of each channel in the last `duration_s` [s], shape (cells,)."""
    found: np.ndarray = (
        bench.record["cell_a"].between(bench.now_s - duration_s, bench.now_s).value.max(axis=0)
    )
    return found


@requirement("GB/T 34131-2023", scenario="BA-01")
def test_ba_01_only_the_high_cell_bleeds(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A single cell above the rest bleeds with the declared current, and no other does."""
    bench, declared = calm, calm.profile.balancing
    level_v = declared.start_v + 0.03
    # As little above the start as both readings may be off.
    accuracy_v = bench.profile.measurement.cell_tolerance_v + bench.record.cell_v.uncertainty
    start_v = declared.start_spread_v + 2 * accuracy_v + 0.001
    for cell in (0, 7, bench.profile.pack.cells - 1):
        bench.cells.set(voltage_v=level_v)
        bench.wait(declared.reaction_s + 2.0)
        bench.cells.set(voltage_v=level_v + start_v, cell=cell)
        bench.wait(declared.reaction_s + 3.0)
        current_a = _bleeding(bench, 2.0)
        expected_a = declared.current_a * (level_v + start_v) / declared.nominal_cell_v
        assert float(current_a[cell]) in judge.around(
            expected_a,
            declared.current_tolerance_fraction * expected_a,
            unit="A",
            what=f"bleed current of cell {cell}",
            reason="declared current at its voltage, measured at the emulator",
            uncertainty=bench.record["cell_a"].uncertainty,
        )
        others_a = np.delete(current_a, cell)
        assert float(others_a.max()) in judge.at_most(
            BLEEDS_A, unit="A", what="current of every other cell", reason="only the high cell bleeds"
        )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="BA-02")
def test_ba_02_start_and_stop_levels(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Nothing bleeds below the start level; bleeding ends at the stop level."""
    bench, declared = calm, calm.profile.balancing
    level_v = declared.start_v + 0.03
    accuracy_v = 2 * bench.profile.measurement.cell_tolerance_v
    bench.cells.set(voltage_v=level_v)
    bench.cells.set(voltage_v=level_v + max(declared.start_spread_v - accuracy_v - 0.002, 0.0), cell=9)
    bench.wait(declared.reaction_s + 10.0)
    assert float(_bleeding(bench, 10.0).max()) in judge.at_most(
        BLEEDS_A, unit="A", what="current below the start level", reason=f"start {declared.start_spread_v} V"
    )
    bench.cells.set(voltage_v=level_v + declared.start_spread_v + 0.02, cell=9)
    bench.wait(declared.reaction_s + 3.0)
    assert float(_bleeding(bench, 2.0)[9]) in judge.at_least(
        5 * BLEEDS_A,
        unit="A",
        what="current above the start level",
        reason=f"start {declared.start_spread_v} V",
    )
    bench.cells.set(voltage_v=level_v - 0.012, cell=9)
    bench.wait(declared.reaction_s + 3.0)
    assert float(_bleeding(bench, 2.0)[9]) in judge.at_most(
        BLEEDS_A, unit="A", what="current below the stop level", reason=f"stop {declared.stop_spread_v} V"
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", "ISO 26262", scenario="BA-03")
def test_ba_03_no_balancing_where_not_permitted(
    calm: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """Nothing bleeds below the balancing voltage, while driving, or when too hot."""
    bench, declared = calm, calm.profile.balancing
    wait_s = declared.reaction_s + 5.0

    bench.cells.set(voltage_v=declared.start_v - 0.08)
    bench.cells.set(voltage_v=declared.start_v - 0.03, cell=4)
    bench.wait(wait_s)
    assert float(_bleeding(bench, wait_s - 1.0).max()) in judge.at_most(
        BLEEDS_A, unit="A", what="current below the balancing voltage", reason=f"start {declared.start_v} V"
    )

    bench.mode("drive")
    bench.discharge(0.2 * bench.profile.pack.max_discharge_a)
    bench.cells.set(voltage_v=declared.start_v + 0.02)
    bench.cells.set(voltage_v=declared.start_v + 0.08, cell=4)
    bench.wait(1.0)
    bench.wait(wait_s)
    assert float(_bleeding(bench, wait_s - 1.0).max()) in judge.at_most(
        BLEEDS_A, unit="A", what="current while driving", reason=f"permitted in {', '.join(declared.modes)}"
    )

    bench.rest()
    bench.mode("standby")
    bench.mode("charge")
    bench.discharge(max(3.0 * declared.max_current_a, 20.0))
    bench.wait(2.0)
    bench.wait(wait_s)
    if np.isfinite(bench.record.discharge_path.closed) and bench.record.discharge_path.closed:
        assert float(_bleeding(bench, wait_s - 1.0).max()) in judge.at_most(
            BLEEDS_A,
            unit="A",
            what="current while the load draws",
            reason=f"at most {declared.max_current_a:g} A while not charging",
        )

    bench.rest()
    bench.mode("standby")
    bench.set_temperature(declared.max_temperature_degc + 3.5)
    bench.wait(4.0)
    bench.wait(wait_s)
    assert float(_bleeding(bench, wait_s - 1.0).max()) in judge.at_most(
        BLEEDS_A, unit="A", what="current when too hot", reason=f"at most {declared.max_temperature_degc} °C"
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="BA-04")
def test_ba_04_readings_while_bleeding(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A bleeding cell and its neighbours are still reported within the declared accuracy."""
    bench, declared = calm, calm.profile.balancing
    level_v = declared.start_v + 0.03
    bench.cells.set(voltage_v=level_v)
    bench.cells.set(voltage_v=level_v + 0.05, cell=12)
    bench.wait(declared.reaction_s + 3.0)
    start_s = bench.now_s
    bench.wait(5.0)

    reported = bench.record["dut.cell_v"].between(start_s, bench.now_s).value
    measured = bench.record.cell_v.between(start_s, bench.now_s).value.mean(axis=0)
    assert float(_bleeding(bench, 4.0)[12]) in judge.at_least(
        5 * BLEEDS_A, unit="A", what="bleed current of cell 12", reason="the scenario needs a bleeding cell"
    )
    error_v = float(np.nanmax(np.abs(reported - measured)))
    assert error_v in judge.at_most(
        bench.profile.measurement.cell_tolerance_v,
        unit="V",
        what="largest error of a reported cell voltage while bleeding",
        reason="declared accuracy holds while balancing",
        uncertainty=bench.record.cell_v.uncertainty,
    )
    assert reference.explains(bench.record)


@requirement("UL 1973:2022 20", scenario="BA-05")
def test_ba_05_many_cells_at_once(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """However many cells are high, no more channels bleed at once than declared."""
    bench, declared = calm, calm.profile.balancing
    level_v = declared.start_v + 0.08
    bench.cells.set(voltage_v=level_v)
    bench.cells.set(voltage_v=level_v - 0.06, cell=2)
    bench.wait(declared.reaction_s + 2.0)
    start_s = bench.now_s
    bench.wait(20.0)

    current = bench.record["cell_a"].between(start_s, bench.now_s).value
    most = float((current > BLEEDS_A).sum(axis=1).max())
    assert most in judge.within(
        1.0,
        float(declared.max_channels),
        unit="1",
        what="channels that bleed at once",
        reason="declared heat limit; some must bleed",
    )
    assert reference.explains(bench.record)


@requirement("UL 1973:2022 20", scenario="BA-07")
def test_ba_07_one_cell_far_ahead(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A cell far ahead of the rest is reported, and ends the charge before its upper limit."""
    bench, imbalance, limit = charging, charging.limit("cell_imbalance"), charging.limit("cell_overvoltage")
    assert imbalance.release is not None
    record, cell = bench.record, 10
    slack_v = imbalance.tolerance + 2 * record.cell_v.uncertainty + 0.002
    settle_s = 2 * (imbalance.delay_s + imbalance.delay_tolerance_s) + 1.0
    bench.cells.set(voltage_v=3.20)
    for spread_v, expected in (
        (imbalance.trip - slack_v, 0.0),
        (imbalance.trip + slack_v, 1.0),
        (imbalance.release + slack_v, 1.0),
        (imbalance.release - slack_v, 0.0),
    ):
        start_s = bench.now_s
        bench.cells.set(voltage_v=3.20 + spread_v, cell=cell)
        bench.wait(settle_s)
        assert float(imbalance.alarm in bench.dut.alarms()) in judge.around(
            expected,
            0.0,
            unit="1",
            what=f"imbalance reported at {spread_v:.3f} V",
            reason=f"warns at {imbalance.trip:g} V, releases at {imbalance.release:g} V",
        )
    bench.cells[cell].ramp(to_v=limit.trip + 0.045, rate_v_per_s=0.02)
    bench.wait(2.0)
    voltage = record.cell_v.channel(cell).between(start_s, bench.now_s)
    assert record.charge_path.opened_s in reference.trip_window(voltage, limit)
    highest_v = float(record.cell_v.between(0.0, record.charge_path.opened_s).value.max())
    assert highest_v in judge.at_most(
        bench.profile.pack.upper_limit_charging_v,
        unit="V",
        what="highest cell voltage until the charge path is open",
        reason="no cell over its upper limit charging voltage",
    )
    assert reference.explains(record)
