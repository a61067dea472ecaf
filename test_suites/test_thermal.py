"""TH: temperature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.collector import Judge, ObservedReference
from bench.errors import NotApplicable
from bench.procedure import Bench
from bench.scenario import requirement

#: Beyond a trip level beyond doubt: declared sensor accuracy and a margin [K].
SURELY_K = 3.5
#: Longest time until a fan that stands still is reported [s]; project default.
REPORT_FAN_S = 15.0


@requirement("IEC 62619:2022 8.2.4", "GB 44240-2024 8.6", scenario="TH-01")
def test_th_01_overheating_ends_the_charge(
    charging: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """At 5 K above the greatest operating temperature, with cooling lost, charge has ended."""
    bench, limit = charging, charging.limit("charge_overtemperature")
    bench.insert("fan_stopped")
    bench.charge(0.5 * bench.profile.pack.max_charge_a)

    for temperature in np.arange(46.0, limit.trip + 5.1, 1.0):
        bench.set_temperature(float(temperature))
        bench.wait(1.0)
    bench.wait(3.0)

    record = bench.record
    assert record.charge_path.opened_s in reference.trip_window(record.temperature_degc, limit)
    current_a = float(np.abs(record.current_a.between(bench.now_s - 1.0, bench.now_s).value).max())
    assert current_a in judge.at_most(
        bench.profile.measurement.current_tolerance_a + record.current_a.uncertainty,
        unit="A",
        what="current 5 K above the limit",
        reason="IEC 62619:2022 8.2.4: the BMS ends charging",
    )
    assert reference.explains(record)


@requirement("GB 38031-2025 8.2.11", "UN R100-03 6.9", scenario="TH-02")
@pytest.mark.parametrize("name", ["charge_overtemperature", "discharge_overtemperature"])
def test_th_02_too_hot_per_direction(calm: Bench, reference: ObservedReference, name: str) -> None:
    """Charge and discharge end at their own temperatures."""
    bench, limit = calm, calm.limit(name)
    path = "charge" if name.startswith("charge") else "drive"
    bench.mode("charge" if path == "charge" else "drive")
    start_s = bench.now_s

    bench.set_temperature(limit.trip - 4.0)
    bench.wait(4.0)
    assert not bench.record.discharge_path.opened
    bench.set_temperature(limit.trip + SURELY_K)
    bench.wait(limit.delay_s + 2.5)

    record = bench.record
    answered = record.charge_path if path == "charge" else record.discharge_path
    temperature = record.temperature_degc.between(start_s, bench.now_s)
    assert answered.opened_s in reference.trip_window(temperature, limit)
    assert reference.explains(record)


@requirement("UN R100-03 6.9", scenario="TH-03")
def test_th_03_too_cold_to_charge(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Below 0 °C charge is blocked and discharge stays available."""
    bench, limit = charging, charging.limit("charge_undertemperature")
    bench.rest()
    bench.set_temperature(limit.trip + 4.0)
    bench.wait(4.0)
    start_s = bench.now_s
    bench.set_temperature(limit.trip - SURELY_K)
    bench.wait(limit.delay_s + 2.5)

    record = bench.record
    temperature = record.temperature_degc.between(start_s, bench.now_s)
    assert record.charge_path.opened_s in reference.trip_window(temperature, limit)
    assert float(record.discharge_path.closed) in judge.around(
        1.0, 0.0, unit="1", what="discharge path in the cold", reason="declared: opens charge only"
    )
    if "limits" in bench.dut.features:
        assert bench.dut.telemetry().charge_limit_a in judge.at_most(
            0.5, unit="A", what="charge limit in the cold", reason="no charge below 0 °C; half a count"
        )
    assert reference.explains(record)


@requirement("UN R100-03 6.9", "GB/T 34131-2023", scenario="TH-03")
def test_th_03_too_cold_to_drive(driving: Bench, reference: ObservedReference) -> None:
    """Below its own limit discharge ends too."""
    bench, limit = driving, driving.limit("discharge_undertemperature")
    bench.rest()
    bench.set_temperature(limit.trip + 4.0)
    bench.wait(5.0)
    assert not bench.record.discharge_path.opened
    start_s = bench.now_s
    bench.set_temperature(limit.trip - SURELY_K)
    bench.wait(limit.delay_s + 2.5)
    record = bench.record
    temperature = record.temperature_degc.between(start_s, bench.now_s)
    assert record.discharge_path.opened_s in reference.trip_window(temperature, limit)
    assert reference.explains(record)


@requirement("GB/T 34131-2023", scenario="TH-02")
@pytest.mark.parametrize(
    "name",
    [
        "charge_overtemperature",
        "discharge_overtemperature",
        "charge_undertemperature",
        "discharge_undertemperature",
    ],
)
def test_th_02_release_waits_for_the_hysteresis(
    calm: Bench, reference: ObservedReference, judge: Judge, name: str
) -> None:
    """The alarm stays just outside the release level and goes inside it."""
    bench, limit = calm, calm.limit(name)
    if limit.release is None:
        raise NotApplicable(f"{name} has no release level of its own")
    outwards = 1.0 if limit.side == "above" else -1.0
    margin_k = limit.tolerance + bench.record.temperature_degc.uncertainty
    margin_k += bench.profile.measurement.temperature_tolerance_k
    settle_s = 2 * (limit.delay_s + limit.delay_tolerance_s) + 1.0
    bench.set_temperature(limit.trip + outwards * SURELY_K)
    bench.wait(settle_s)
    for level_degc, expected in (
        (limit.release + outwards * margin_k, 1.0),
        (limit.release - outwards * margin_k, 0.0),
    ):
        bench.set_temperature(level_degc)
        bench.wait(settle_s)
        assert float(limit.alarm in bench.dut.alarms()) in judge.around(
            expected,
            0.0,
            unit="1",
            what=f"alarm at {level_degc:.1f} °C",
            reason=f"release {limit.release:g} °C",
        )
    assert reference.explains(bench.record)


@requirement("ISO 26262", scenario="TH-04")
def test_th_04_each_sensor_alone(
    calm: Bench, reference: ObservedReference, judge: Judge, recover: Callable[[str], None]
) -> None:
    """One hot sensor among cool ones trips, whichever it is, and is named."""
    bench, limit = calm, calm.limit("charge_overtemperature")
    for sensor in range(bench.profile.pack.sensors):
        bench.mode("charge")
        start_s = bench.now_s
        bench.set_temperature(limit.trip + SURELY_K, sensor=sensor)
        bench.wait(limit.delay_s + 2.5)
        record = bench.record
        openings_s = record.charge_path.openings_s
        opened_s = float(next(iter(openings_s[openings_s > start_s]), float("nan")))
        hot = record.temperature_degc.channel(sensor).between(start_s, bench.now_s)
        assert opened_s in reference.trip_window(hot, limit)
        assert bench.dut.telemetry().fault_index in judge.around(
            sensor, 0, unit="1", what="sensor named", reason=f"sensor {sensor} was heated"
        )
        recover("standby")
    assert reference.explains(bench.record)


@requirement("GB/T 34131-2023", scenario="TH-05")
def test_th_05_spread_between_sensors(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A spread beyond the declared one warns, and does not disconnect."""
    bench, limit = calm, calm.limit("temperature_spread")
    bench.mode("drive")
    start_s = bench.now_s
    bench.set_temperature(25.0 + limit.trip + limit.tolerance + 2.0, sensor=3)
    bench.wait(limit.delay_s + 3.0)

    record = bench.record
    warned_s = record[f"dut.alarm.{limit.alarm}"].first(lambda flag: flag > 0.5)
    assert warned_s in reference.alarm_window(record.temperature_degc.between(start_s, bench.now_s), limit)
    assert float(record.discharge_path.closed) in judge.around(
        1.0, 0.0, unit="1", what="discharge path with a spread", reason="declared: warns only"
    )
    assert reference.explains(record)


@requirement("GB 38031-2025 8.2.11", scenario="TH-06")
def test_th_06_signature_of_a_runaway(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A sensor that rises by over 1 K/s while its cell collapses is reported, and the pack disconnected."""
    bench = driving
    bench.needs_alarms("thermal_runaway")
    sensor = bench.profile.pack.sensors // 2
    start_s, rate_k_per_s, span_s = bench.now_s, 1.5, 12
    bench.cells.set(voltage_v=2.85, cell=bench.profile.pack.sensor_cells[sensor])
    for step in range(1, 2 * span_s + 1):
        bench.set_temperature(25.0 + rate_k_per_s * step / 2, sensor=sensor)
        bench.wait(0.5)
    bench.wait(1.0)
    flags = bench.record["dut.alarm.thermal_runaway"].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) - start_s in judge.at_most(
        float(span_s),
        unit="s",
        what="runaway reported",
        reason="project default: while the sensor is still below every limit of its own",
    )
    assert float(bench.record.discharge_path.closed) in judge.around(
        0.0, 0.0, unit="1", what="discharge path after a runaway", reason="contactors open"
    )
    assert reference.explains(bench.record)


@requirement("UL 1973:2022 20", scenario="TH-10")
def test_th_10_fan_stands_still(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A fan that does not turn although the pack is hot is reported."""
    bench = calm
    bench.needs_alarms("cooling_failure")
    bench.set_temperature(48.0)
    bench.wait(5.0)
    assert "cooling_failure" not in bench.dut.alarms()
    bench.insert("fan_stopped")
    start_s = bench.now_s
    bench.wait(REPORT_FAN_S)
    flags = bench.record["dut.alarm.cooling_failure"].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) - start_s in judge.at_most(
        REPORT_FAN_S, unit="s", what="stopped fan reported", reason="project default"
    )
    assert reference.explains(bench.record)


@requirement("SAE J1939-71", scenario="TH-08")
def test_th_08_derating_over_temperature(calm: Bench, reference: ObservedReference) -> None:
    """The broadcast limits follow the declared derating curve on a 5 K grid."""
    bench = calm
    bench.needs("limits")
    bench.mode("drive")
    for temperature in np.arange(-15.0, 57.6, 5.0):
        bench.set_temperature(float(temperature) + 2.5)
        bench.wait(bench.profile.derating.settle_s + 1.0)
        telemetry = bench.dut.telemetry()
        assert telemetry.charge_limit_a in reference.charge_limit_window(bench.now_s)
        assert telemetry.discharge_limit_a in reference.discharge_limit_window(bench.now_s)
    # One sensor away from the others decides, not their mean.
    for degc, sensor in ((49.0, 0), (4.0, bench.profile.pack.sensors - 1)):
        bench.set_temperature(25.0)
        bench.set_temperature(degc, sensor=sensor)
        bench.wait(bench.profile.derating.settle_s + 3.0)
        telemetry = bench.dut.telemetry()
        assert telemetry.charge_limit_a in reference.charge_limit_window(bench.now_s)
        assert telemetry.discharge_limit_a in reference.discharge_limit_window(bench.now_s)
    assert reference.explains(bench.record)
