"""OC: over-current and short circuit."""

from __future__ import annotations

import numpy as np
import pytest

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement
from dut_profiles.profile import Limit
from instruments.roles import Step


@requirement("IEC 62619:2022 8.2.3", "GB 44240-2024 8.4", "UL 1973:2022 16", scenario="OC-01")
def test_oc_01_charger_ignores_the_limit(charging: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A charger at 1.2 times the greatest charge current is disconnected."""
    bench, limit = charging, charging.limit("charge_overcurrent")
    current_a = 1.2 * bench.profile.pack.max_charge_a

    bench.charge(current_a)
    bench.wait(limit.delay_s + 2.0)

    record = bench.record
    assert record.charge_path.opened_s in reference.trip_window(record.current_a, limit)
    after = record.current_a.between(record.charge_path.opened_s + 0.1, bench.now_s)
    assert float(np.abs(after.value).max()) in judge.at_most(
        bench.profile.measurement.current_tolerance_a + record.current_a.uncertainty,
        unit="A",
        what="current after the charge path opened",
        reason="IEC 62619:2022 8.2.3: the current is controlled below the maximum; measured zero",
    )
    assert reference.explains(record)


@requirement("GB 38031-2025 8.2.12", "UN R100-03 6.10", scenario="OC-02")
def test_oc_02_charge_current_rises_within_five_seconds(
    charging: Bench, reference: ObservedReference
) -> None:
    """A charge current that rises to over-current within 5 s trips."""
    bench, limit = charging, charging.limit("charge_overcurrent")
    start_a, below_a, end_a = 0.2 * limit.trip, 0.93 * limit.trip, 1.08 * limit.trip

    for step in range(1, 20):
        bench.charge(start_a + (below_a - start_a) * step / 19)
        bench.wait(0.2)
    bench.charge(end_a)
    bench.wait(limit.delay_s + 1.5)

    record = bench.record
    assert record.charge_path.opened_s in reference.trip_window(record.current_a, limit)
    assert limit.alarm in bench.dut.alarms()
    assert reference.explains(record)


@requirement("ISO 26262", "GB/T 34131-2023", scenario="OC-03")
@pytest.mark.parametrize(
    "level", ["discharge_overcurrent_1", "discharge_overcurrent_2", "discharge_overcurrent_3"]
)
def test_oc_03_discharge_levels(
    driving: Bench, reference: ObservedReference, judge: Judge, level: str
) -> None:
    """Each discharge level acts after its own delay; a higher level wins."""
    bench, limit = driving, driving.limit(level)
    start_s = bench.now_s

    bench.discharge(1.04 * limit.trip)
    bench.wait(limit.delay_s + limit.delay_tolerance_s + 1.5)

    record = bench.record
    current = record.current_a.between(start_s, bench.now_s)
    if limit.opens:
        assert record.discharge_path.opened_s in reference.trip_window(current, limit)
    else:
        warned_s = record[f"dut.alarm.{limit.alarm}"].first(lambda flag: flag > 0.5)
        assert warned_s in reference.alarm_window(current, limit)
        assert not record.discharge_path.opened
        _holds_until_released(bench, limit, judge)
    assert reference.explains(record)


def _holds_until_released(bench: Bench, limit: Limit, judge: Judge) -> None:
    """Just outside its release level the warning stays; below it, it goes."""
    if limit.release is None:
        return
    declared = bench.profile.measurement
    margin_a = limit.tolerance + declared.current_tolerance_a + bench.record.current_a.uncertainty
    margin_a += declared.current_tolerance_fraction * limit.release
    for level_a, expected in ((limit.release + margin_a, 1.0), (limit.release - margin_a, 0.0)):
        bench.discharge(level_a)
        bench.wait(limit.delay_s + limit.delay_tolerance_s + 1.0)
        assert float(limit.alarm in bench.dut.alarms()) in judge.around(
            expected, 0.0, unit="1", what=f"warning at {level_a:.1f} A", reason=f"release {limit.release:g} A"
        )


@requirement("UL 1973:2022 18", "UL 2580:2022 26", scenario="OC-04")
def test_oc_04_hold_below_the_trip(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Nine tenths of a trip current, and just below it, never trip."""
    bench = driving
    for name in ("discharge_overcurrent_1", "discharge_overcurrent_2", "discharge_overcurrent_3"):
        limit = bench.limit(name)
        # The lower levels must not end the test of a higher one: stay below their delay.
        lower = [other for other in bench.profile.limits.values() if _is_lower(other, limit)]
        longest_s = min([0.7 * other.delay_s for other in lower], default=30.0)
        for level_a in (0.9 * limit.trip, _just_below(bench, limit)):
            start_s = bench.now_s
            bench.discharge(level_a)
            bench.wait(longest_s)
            closed = bench.record["discharge_path"].between(start_s, bench.now_s).value
            assert float(closed.min()) in judge.at_least(
                1.0,
                unit="1",
                what=f"discharge path at {level_a / limit.trip:.1%} of {name}",
                reason="UL 1973:2022 18: no trip at 90 %, nor below the trip level less its tolerance",
            )
            assert limit.alarm not in bench.dut.alarms()
            bench.discharge(0.2 * bench.profile.pack.max_discharge_a)
            bench.wait(2.0)
    assert reference.explains(bench.record)


@requirement("UL 2580:2022 26", scenario="OC-04")
def test_oc_04_hold_below_the_charge_trip(
    charging: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """Just below the charge over-current level, for ten delays, charge goes on."""
    bench, limit = charging, charging.limit("charge_overcurrent")
    level_a = _just_below(bench, limit)
    start_s = bench.now_s
    bench.charge(level_a)
    bench.wait(10 * limit.delay_s)
    closed = bench.record["charge_path"].between(start_s, bench.now_s).value
    assert float(closed.min()) in judge.at_least(
        1.0,
        unit="1",
        what=f"charge path at {level_a / limit.trip:.1%} of {limit.name}",
        reason="no trip below the trip level less its tolerance, for ten delays",
    )
    assert limit.alarm not in bench.dut.alarms()
    assert reference.explains(bench.record)


def _just_below(bench: Bench, limit: Limit) -> float:
    """Largest current [A] that is below `limit` beyond doubt, the overshoot of a source included."""
    declared = bench.profile.measurement
    margin_a = limit.tolerance + bench.record.current_a.uncertainty + declared.current_tolerance_a
    return 0.995 * (limit.trip - margin_a - declared.current_tolerance_fraction * limit.trip)


def _is_lower(other: Limit, limit: Limit) -> bool:
    """Whether `other` acts on the same current, below `limit`."""
    return (
        other.quantity == limit.quantity == "discharge_current"
        and bool(other.opens)
        and other.trip < limit.trip
    )


@requirement("GB 38031-2025 8.2.13", "UN R100-03 6.6", "UL 1973:2022 17", scenario="OC-07")
def test_oc_07_external_short(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A 5 mΩ short is interrupted within its delay; peak and duration are on record."""
    bench, limit = driving, driving.limit("short_circuit")
    bench.cells.off()
    bench.rest()
    bench.wait(1.0)
    bench.meter.arm(level_a=0.5 * limit.trip, duration_s=0.02)

    bench.insert("short_circuit")
    assert bench.clock.until(bench.meter.captured, timeout_s=2.0, step_s=0.05)

    capture = bench.record["capture_a"]
    discharge_a = -capture.value
    above_s = capture.t_s[discharge_a > limit.trip]
    peak_a = float(discharge_a.max())
    assert above_s.size
    assert peak_a in judge.at_least(
        limit.trip, unit="A", what="peak current of the short", reason="the stimulus must be a short circuit"
    )
    duration_s = float(above_s[-1] - above_s[0])
    latest_s = limit.delay_s + limit.delay_tolerance_s + bench.profile.switches.pyro_opening_s
    assert duration_s in judge.within(
        limit.delay_s - limit.delay_tolerance_s,
        latest_s + 2 * capture.period_s,
        unit="s",
        what="time above the short-circuit level",
        reason=f"short_circuit at {limit.trip:g} A: delay, its tolerance and the pyrotechnic switch",
    )
    bench.wait(1.0)
    assert not bench.record.discharge_path.closed
    assert limit.alarm in bench.dut.alarms()
    assert reference.explains(bench.record)


@requirement("ISO 26262", scenario="OC-08")
def test_oc_08_inrush_shorter_than_the_delay(
    driving: Bench, reference: ObservedReference, judge: Judge
) -> None:
    """A large current step below the short-circuit level does not fire the short-circuit trip."""
    bench, limit = driving, driving.limit("short_circuit")
    third = bench.limit("discharge_overcurrent_3")
    bench.draw(
        Step(1.5 * third.trip, 0.4 * (third.delay_s - third.delay_tolerance_s)),
        Step(0.2 * bench.profile.pack.max_discharge_a, 1.0),
    )

    intact = bench.record["switch.pyro"].value
    assert float(intact.min()) in judge.at_least(
        1.0,
        unit="1",
        what="pyrotechnic switch intact",
        reason=f"peak below {limit.trip:g} A and shorter than L3",
    )
    assert not bench.record.discharge_path.opened
    assert reference.explains(bench.record)


@requirement("UN R100-03 6.10", "SAE J1939-71", scenario="OC-11")
def test_oc_11_charge_current_while_driving(driving: Bench, reference: ObservedReference) -> None:
    """The protection follows the measured sign: regeneration above the charge limit trips in drive."""
    bench, limit = driving, driving.limit("charge_overcurrent")
    bench.rest()
    bench.wait(0.5)

    bench.regenerate(1.1 * limit.trip)
    bench.wait(limit.delay_s + 2.0)

    record = bench.record
    assert record.discharge_path.opened_s in reference.trip_window(record.current_a, limit)
    assert reference.explains(record)
