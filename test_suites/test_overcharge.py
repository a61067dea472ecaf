"""OV: overcharge."""

from __future__ import annotations

from collections.abc import Callable

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement

#: A cell this far above its trip level is above it beyond doubt [V].
SURELY_V = 0.015


@requirement(
    "IEC 62619:2022 8.2.2", "UN R100-03 6.7", "GB 38031-2025 8.2.14", "GB 44240-2024 8.3", scenario="OV-01"
)
def test_ov_01_all_cells_overcharged(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Charge stops before any cell exceeds its upper limit charging voltage."""
    bench, limit = charging, charging.limit("cell_overvoltage")
    ulcv_v = bench.profile.pack.upper_limit_charging_v

    bench.cells.set(voltage_v=limit.trip - 0.050)
    bench.charge(bench.profile.pack.max_charge_a)
    bench.wait(2.0)
    bench.cells.ramp(to_v=limit.trip + 0.045, rate_v_per_s=0.010)
    bench.wait(2.0)

    record = bench.record
    opened_s = record.charge_path.opened_s
    assert opened_s in reference.trip_window(record.cell_v, limit)
    highest_v = float(record.cell_v.between(0.0, opened_s).value.max())
    assert highest_v in judge.at_most(
        ulcv_v - record.cell_v.uncertainty,
        unit="V",
        what="highest cell voltage until the charge path is open",
        reason=f"IEC 62619:2022 8.2.2: charging ends before ULCV {ulcv_v} V, less the uncertainty",
    )
    assert not record.discharge_path.opened
    assert limit.alarm in bench.dut.alarms()
    assert reference.explains(record)


@requirement("IEC 62619:2022 8.2.2", scenario="OV-02")
def test_ov_02_one_cell_overcharged(
    charging: Bench, reference: ObservedReference, judge: Judge, recover: Callable[[str], None]
) -> None:
    """Each single cell above its limit stops charge, is named, and nothing else happens."""
    bench, limit = charging, charging.limit("cell_overvoltage")

    for cell in range(bench.profile.pack.cells):
        start_s = bench.now_s
        bench.cells.set(voltage_v=limit.trip - 0.20)
        bench.cells[cell].set(voltage_v=limit.trip + SURELY_V)
        bench.wait(limit.delay_s + 1.0)

        record = bench.record
        openings_s = record.charge_path.openings_s
        opened_s = float(next(iter(openings_s[openings_s > start_s]), float("nan")))
        voltage = record.cell_v.channel(cell).between(start_s, bench.now_s)
        assert opened_s in reference.trip_window(voltage, limit)
        named = bench.dut.telemetry().fault_index
        assert named in judge.around(cell, 0, unit="1", what="cell named", reason=f"cell {cell} was moved")
        recover("charge")
        bench.charge(0.2 * bench.profile.pack.max_charge_a)
    assert not bench.record["switch.pyro"].ever(lambda closed: closed < 0.5)
    assert reference.explains(bench.record)


@requirement("IEC 62619:2022 8.2.2", "UL 3030 32.6", scenario="OV-03")
def test_ov_03_hold_below_the_threshold(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Just below the limit, for ten delays, charge goes on."""
    bench, limit = charging, charging.limit("cell_overvoltage")
    lsb_v = 0.001
    below_v = limit.trip - limit.tolerance - bench.record.cell_v.uncertainty - lsb_v
    below_v -= bench.profile.measurement.cell_tolerance_v

    bench.cells.set(voltage_v=below_v)
    start_s = bench.now_s
    bench.wait(10 * limit.delay_s)

    closed = bench.record["charge_path"].between(start_s, bench.now_s).value
    assert float(closed.min()) in judge.at_least(
        1.0, unit="1", what="charge path stays closed", reason=f"no trip at {below_v:.4f} V for ten delays"
    )
    assert limit.alarm not in bench.dut.alarms()
    assert reference.explains(bench.record)


@requirement("ISO 26262", scenario="OV-04")
def test_ov_04_pulses_around_the_delay(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Pulses shorter than the delay do not add up; one longer than the delay trips."""
    bench, limit = charging, charging.limit("cell_overvoltage")
    bench.cells.set(voltage_v=limit.trip - 0.20)
    low_v, high_v = limit.trip - 0.05, limit.trip + SURELY_V
    shortest_s = limit.delay_s - limit.delay_tolerance_s

    for fraction in (0.5, 0.9, 0.5, 0.9, 0.9):
        bench.cells[5].set(voltage_v=high_v)
        bench.wait(fraction * shortest_s - 0.05)
        bench.cells[5].set(voltage_v=low_v)
        bench.wait(0.4)
    openings = float(bench.record.charge_path.openings_s.size)
    assert openings in judge.at_most(
        0.0,
        unit="1",
        what="openings by pulses shorter than the delay",
        reason="the counter starts anew each time",
    )

    start_s = bench.now_s
    bench.cells[5].set(voltage_v=high_v)
    bench.wait(limit.delay_s + limit.delay_tolerance_s + 0.8)
    voltage = bench.record.cell_v.channel(5).between(start_s, bench.now_s)
    assert bench.record.charge_path.opened_s in reference.trip_window(voltage, limit)
    assert reference.explains(bench.record)


@requirement("SAE J1939-71", "UN R100-03 6.7", scenario="OV-06")
def test_ov_06_warning_and_reduction_come_first(
    charging: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """The warning precedes the trip, and the broadcast charge limit is zero at or before the trip."""
    bench = charging
    warning, limit = bench.limit("cell_overvoltage_warning"), bench.limit("cell_overvoltage")
    bench.needs("limits")

    bench.cells.set(voltage_v=warning.trip - 0.05)
    bench.wait(2.0)
    bench.cells.ramp(to_v=limit.trip + 0.045, rate_v_per_s=0.010)
    bench.wait(2.0)

    record = bench.record
    opened_s = record.charge_path.opened_s
    assert opened_s in reference.trip_window(record.cell_v, limit)
    warned_s = record[f"dut.alarm.{warning.alarm}"].first(lambda flag: flag > 0.5)
    assert warned_s in reference.alarm_window(record.cell_v, warning)
    assert warned_s in judge.at_most(
        opened_s, unit="s", what="warning before the trip", reason="L1 precedes L2"
    )
    zero_s = record["dut.charge_limit_a"].between(warned_s - 5.0, bench.now_s).first(lambda a: a <= 0.5)
    assert zero_s in judge.at_most(
        opened_s, unit="s", what="charge limit at zero before the trip", reason="reduce before disconnect"
    )
    assert reference.explains(record)


@requirement("GB/T 34131-2023", scenario="OV-07")
def test_ov_07_release_waits_for_the_hysteresis(
    charging: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """Charge stays blocked above the release level and is permitted again below it, once."""
    bench, limit = charging, charging.limit("cell_overvoltage")
    assert limit.release is not None
    bench.cells.set(voltage_v=limit.trip + SURELY_V)
    bench.wait(limit.delay_s + 1.0)
    assert bench.record.charge_path.opened

    margin_v = bench.record.cell_v.uncertainty + bench.profile.measurement.cell_tolerance_v
    bench.cells.set(voltage_v=limit.release + margin_v + 0.005)
    bench.wait(5.0)
    assert float(limit.alarm in bench.dut.alarms()) in judge.around(
        1.0, 0.0, unit="1", what="alarm kept above the release level", reason=f"release {limit.release} V"
    )
    bench.cells.set(voltage_v=limit.release - margin_v - 0.005)
    bench.wait(5.0)
    assert float(limit.alarm in bench.dut.alarms()) in judge.around(
        0.0, 0.0, unit="1", what="alarm gone below the release level", reason=f"release {limit.release} V"
    )
    bench.mode("charge")
    openings = float(bench.record.charge_path.openings_s.size)
    assert openings in judge.around(
        1.0, 0.0, unit="1", what="openings for one crossing", reason="one open and close per crossing"
    )
    assert reference.explains(bench.record)


@requirement("GB 44240-2024 8.3", scenario="OV-10")
def test_ov_10_three_repeats(
    charging: Bench, reference: ObservedReference, judge: Judge, recover: Callable[[str], None]
) -> None:
    """Three repeats trip alike."""
    bench, limit = charging, charging.limit("cell_overvoltage")
    delays_s = []
    for _ in range(3):
        bench.cells.set(voltage_v=limit.trip - 0.05)
        bench.wait(2.0)
        start_s = bench.now_s
        bench.cells.set(voltage_v=limit.trip + SURELY_V)
        bench.wait(limit.delay_s + 1.0)
        record = bench.record
        openings_s = record.charge_path.openings_s
        opened_s = float(next(iter(openings_s[openings_s > start_s]), float("nan")))
        assert opened_s in reference.trip_window(record.cell_v.between(start_s, bench.now_s), limit)
        delays_s.append(opened_s - start_s)
        recover("charge")
        bench.charge(0.2 * bench.profile.pack.max_charge_a)
    spread_s = max(delays_s) - min(delays_s)
    assert spread_s in judge.at_most(
        2 * limit.delay_tolerance_s,
        unit="s",
        what="spread of three trips",
        reason="twice the declared tolerance",
    )
    assert reference.explains(bench.record)
