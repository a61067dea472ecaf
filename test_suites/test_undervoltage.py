"""UV: over-discharge."""

from __future__ import annotations

from collections.abc import Callable

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement

SURELY_V = 0.015


@requirement("GB 44240-2024 8.5", "UN R100-03 6.8", "GB 38031-2025 8.2.15", scenario="UV-01")
def test_uv_01_one_cell_empty(
    driving: Bench, reference: ObservedReference, judge: Judge, recover: Callable[[str], None]
) -> None:
    """Each single cell below its limit stops discharge and is named."""
    bench, limit = driving, driving.limit("cell_undervoltage")

    for cell in range(bench.profile.pack.cells):
        start_s = bench.now_s
        bench.cells.set(voltage_v=limit.trip - SURELY_V, cell=cell)
        bench.wait(limit.delay_s + 1.0)

        record = bench.record
        openings_s = record.discharge_path.openings_s
        opened_s = float(next(iter(openings_s[openings_s > start_s]), float("nan")))
        voltage = record.cell_v.channel(cell).between(start_s, bench.now_s)
        assert opened_s in reference.trip_window(voltage, limit)
        assert bench.dut.telemetry().fault_index in judge.around(
            cell, 0, unit="1", what="cell named", reason=f"cell {cell} was moved"
        )
        recover("drive")
        bench.discharge(0.2 * bench.profile.pack.max_discharge_a)
    assert reference.explains(bench.record)


@requirement("GB 38031-2025 8.2.15", "UN R100-03 6.8", scenario="UV-02")
def test_uv_02_all_cells_empty(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Discharge at the greatest current ends long before a quarter of the nominal voltage."""
    bench, limit = driving, driving.limit("cell_undervoltage")
    pack = bench.profile.pack

    start_s = bench.now_s
    bench.cells.set(voltage_v=limit.trip + 0.35)
    bench.discharge(pack.max_discharge_a)
    bench.wait(2.0)
    bench.cells.ramp(to_v=limit.trip - 0.06, rate_v_per_s=0.05)
    bench.wait(2.0)

    record = bench.record
    opened_s = record.discharge_path.opened_s
    assert opened_s in reference.trip_window(record.cell_v, limit)
    lowest_v = float(record.cell_v.between(start_s, opened_s).value.sum(axis=1).min())
    assert lowest_v in judge.at_least(
        0.25 * pack.nominal_v,
        unit="V",
        what="lowest pack voltage until the discharge path is open",
        reason="GB 38031-2025 8.2.15: the test stops at 25 % of the rated voltage",
    )
    assert reference.explains(record)


@requirement("GB/T 34131-2023", scenario="UV-03")
def test_uv_03_hold_and_short_sags(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Just above the limit for ten delays, and sags shorter than the delay, discharge goes on."""
    bench, limit = driving, driving.limit("cell_undervoltage")
    above_v = limit.trip + limit.tolerance + bench.record.cell_v.uncertainty + 0.001
    above_v += bench.profile.measurement.cell_tolerance_v
    start_s = bench.now_s

    bench.cells.set(voltage_v=above_v)
    bench.wait(10 * limit.delay_s)
    for _ in range(3):
        bench.cells.set(voltage_v=limit.trip - 0.1)
        bench.wait(0.7 * (limit.delay_s - limit.delay_tolerance_s))
        bench.cells.set(voltage_v=above_v)
        bench.wait(1.0)

    closed = bench.record["discharge_path"].between(start_s, bench.now_s).value
    assert float(closed.min()) in judge.at_least(
        1.0,
        unit="1",
        what="discharge path stays closed",
        reason=f"{above_v:.4f} V, and sags shorter than the delay",
    )
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="UV-04")
def test_uv_04_release_after_recovery(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """The load is not taken up again below the release level, and may be above it."""
    bench, limit = driving, driving.limit("cell_undervoltage")
    assert limit.release is not None
    bench.cells.set(voltage_v=limit.trip - SURELY_V, cell=11)
    bench.wait(limit.delay_s + 1.0)
    assert bench.record.discharge_path.opened
    bench.rest()

    margin_v = bench.record.cell_v.uncertainty + bench.profile.measurement.cell_tolerance_v
    bench.cells.set(voltage_v=limit.release - margin_v - 0.01)
    start_s = bench.now_s
    bench.wait(5.0)
    bench.request("drive")
    bench.wait(5.0)
    closings = float((bench.record.discharge_path.closings_s > start_s).sum())
    assert closings in judge.around(
        0.0, 0.0, unit="1", what="closings below the release level", reason=f"release {limit.release} V"
    )
    bench.cells.set(voltage_v=limit.release + margin_v + 0.01)
    bench.wait(3.0)
    bench.mode("standby")
    bench.mode("drive")
    assert float(bench.record.discharge_path.closed) in judge.around(
        1.0, 0.0, unit="1", what="closed again above the release level", reason=f"release {limit.release} V"
    )
    assert reference.explains(bench.record)
