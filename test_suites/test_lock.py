"""SY: the system lock of each quantity, beyond the level that a user may reset."""

from __future__ import annotations

import pytest

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement
from dut_profiles.profile import Limit

#: Beyond a trip level beyond doubt [V], [K].
SURELY_V, SURELY_K = 0.03, 3.5


@requirement("IEC 62619:2022 system lock", scenario="SY-08")
@pytest.mark.parametrize("name", ["cell_overvoltage_lock", "cell_undervoltage_lock", "overtemperature_lock"])
def test_sy_08_each_lock_holds(driving: Bench, reference: ObservedReference, judge: Judge, name: str) -> None:
    """Just inside, and for less than the delay, nothing locks; beyond, both paths open until service."""
    bench, limit = driving, driving.limit(name)
    bench.needs("reset", "service_reset", "state")
    bench.rest()
    alarm = f"dut.alarm.{limit.alarm or limit.name}"
    sign = 1.0 if limit.side == "above" else -1.0

    _drive_to(bench, limit, limit.trip - sign * _margin(bench, limit))
    bench.wait(10 * limit.delay_s)
    assert bench.dut.state() != "locked"
    _drive_to(bench, limit, _far(limit))
    bench.wait(0.6 * (limit.delay_s - limit.delay_tolerance_s))
    _drive_to(bench, limit, limit.trip - sign * _margin(bench, limit))
    bench.wait(2.0)
    assert not bench.record[alarm].ever(lambda flag: flag > 0.5)

    start_s = bench.now_s
    _drive_to(bench, limit, _far(limit))
    bench.wait(limit.delay_s + 2.5)
    measured = bench.record["cell_v" if limit.unit == "V" else "temperature_degc"].between(
        start_s, bench.now_s
    )
    flags = bench.record[alarm].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) in reference.alarm_window(measured, limit)
    assert bench.dut.state() == "locked"
    _stays_open(bench, judge, "after the lock")

    _drive_to(bench, limit, 3.30 if limit.unit == "V" else 25.0)
    bench.wait(5.0)
    bench.reset_fault()
    for mode in ("standby", "drive", "standby", "charge", "standby"):
        bench.request(mode)  # type: ignore[arg-type]
        bench.wait(2.5)
        _stays_open(bench, judge, f"locked and asked for {mode}")
    bench.service_reset()
    bench.wait(1.0)
    bench.mode("drive")
    assert reference.explains(bench.record)


def _drive_to(bench: Bench, limit: Limit, level: float) -> None:
    if limit.unit == "V":
        bench.cells.set(voltage_v=level)
    else:
        bench.set_temperature(level)


def _margin(bench: Bench, limit: Limit) -> float:
    """Inside the level beyond doubt: tolerance, accuracy of the DUT and uncertainty of the bench."""
    declared, record = bench.profile.measurement, bench.record
    if limit.unit == "V":
        return limit.tolerance + declared.cell_tolerance_v + record.cell_v.uncertainty + 0.001
    return limit.tolerance + declared.temperature_tolerance_k + record.temperature_degc.uncertainty + 0.1


def _far(limit: Limit) -> float:
    surely = SURELY_V if limit.unit == "V" else SURELY_K
    return limit.trip + (surely if limit.side == "above" else -surely)


def _stays_open(bench: Bench, judge: Judge, when: str) -> None:
    closed = float(bench.record.charge_path.closed) + float(bench.record.discharge_path.closed)
    assert closed in judge.at_most(
        0.0, unit="1", what=f"paths closed {when}", reason="IEC 62619:2022 system lock"
    )
