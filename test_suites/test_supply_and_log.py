"""SY: supply, reset, memory, log."""

from __future__ import annotations

import numpy as np

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement


@requirement("ISO 26262", scenario="SY-01")
def test_sy_01_supply_lost_while_driving(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Without auxiliary supply the contactors open and stay open until the host asks again."""
    bench = driving
    start_s = bench.now_s
    bench.cut_power()
    bench.wait(1.0)
    assert bench.record.discharge_path.opened_s - start_s in judge.at_most(
        0.1 + 2 * bench.profile.switches.opening_s,
        unit="s",
        what="discharge path open after the supply was lost",
        reason="contactors drop out; declared opening time and the relay of the fault box",
    )
    bench.rest()
    # The host goes on asking for drive, as if nothing had been.
    bench.restore_power()
    back_s = bench.now_s
    bench.wait(4.0)
    bench.request("standby")
    bench.wait(2.0)
    closings = float((bench.record.discharge_path.closings_s > back_s).sum())
    assert closings in judge.around(
        0.0,
        0.0,
        unit="1",
        what="closings after the supply came back",
        reason="no start without a new request",
    )
    assert float(len(bench.dut.alarms())) in judge.around(
        0.0, 0.0, unit="1", what="alarms after the supply came back", reason="the pack was well all the time"
    )
    bench.mode("drive")
    assert reference.explains(bench.record)


@requirement("ISO/IEC 17025:2017 7.6", scenario="SY-05")
def test_sy_05_full_log_and_power_cut(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A full log gives up its oldest entry, keeps the newest trip once, and survives a power cut."""
    bench, limit = driving, driving.limit("cell_undervoltage")
    bench.needs("log")
    _fill_log(bench)
    bench.cells.set(voltage_v=limit.trip - 0.02, cell=3)
    bench.wait(limit.delay_s + 1.0)
    bench.rest()

    log = bench.dut.read_log()
    assert float(len(log)) in judge.around(
        float(bench.profile.log.entries), 0.0, unit="1", what="entries of a full log", reason="declared size"
    )
    stamps_s = [entry.t_s for entry in log]
    assert stamps_s == sorted(stamps_s)
    before = [entry for entry in log if entry.code == limit.alarm and entry.kind == "trip"]
    assert float(len(before)) in judge.around(
        1.0,
        0.0,
        unit="1",
        what="newest trip in the full log",
        reason="the oldest entry gives way, not the newest",
    )
    bench.cut_power()
    bench.wait(1.0)
    bench.restore_power()
    bench.wait(4.0)
    kept = [entry for entry in bench.dut.read_log() if entry.t_utc == before[0].t_utc]
    same = [entry for entry in kept if entry.code == limit.alarm and entry.index == before[0].index]
    assert float(len(same)) in judge.around(
        1.0,
        0.0,
        unit="1",
        what="the same entry after the power cut",
        reason="stored once, not lost, not torn",
    )
    assert reference.explains(bench.record)


def _fill_log(bench: Bench) -> None:
    """Let two warnings come and go until the log has no room left."""
    high, low = bench.limit("cell_overvoltage_warning"), bench.limit("cell_undervoltage_warning")
    middle_v = 0.5 * (high.trip + low.trip)
    longest_s = max(high.delay_s + high.delay_tolerance_s, low.delay_s + low.delay_tolerance_s) + 0.4
    for _ in range(bench.profile.log.entries // 4 + 2):
        bench.cells.set(voltage_v=high.trip + 0.02, cell=0)
        bench.cells.set(voltage_v=low.trip - 0.02, cell=1)
        bench.wait(longest_s)
        bench.cells.set(voltage_v=middle_v)
        bench.wait(longest_s)


@requirement("ISO/IEC 17025:2017 7.6", scenario="SY-06")
def test_sy_06_freeze_frame_at_trip(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """The log entry of a trip holds what was measured then, its cell, and the right time."""
    bench, limit = driving, driving.limit("cell_undervoltage")
    bench.needs("log")
    declared = bench.profile.measurement
    bench.discharge(0.5 * bench.profile.pack.max_discharge_a)
    bench.wait(1.0)
    start_s = bench.now_s
    bench.cells.set(voltage_v=limit.trip - 0.02, cell=17)
    bench.wait(limit.delay_s + 1.0)
    record = bench.record
    opened_s = record.discharge_path.opened_s
    warning = bench.limit("cell_undervoltage_warning")
    log = bench.dut.read_log()
    for one in (warning, limit):
        entries = [entry for entry in log if entry.code == one.alarm and entry.kind == "trip"]
        assert float(len(entries)) in judge.around(
            1.0, 0.0, unit="1", what=f"entries of {one.name}", reason="each event once"
        )
        assert float(entries[0].level) in judge.around(
            float(one.level), 0.0, unit="1", what=f"level of {one.name}", reason="declared level"
        )
    entry = entries[0]

    stamp_s = entry.t_s
    voltage = record.cell_v.channel(17).between(start_s, bench.now_s)
    window = reference.trip_window(voltage, limit)
    assert stamp_s in judge.within(
        window.earliest - bench.profile.log.stamp_tolerance_s,
        min(opened_s, window.latest) + bench.profile.log.stamp_tolerance_s,
        unit="s",
        what="time stamp of the trip",
        reason="between the earliest trip and the measured opening; declared stamp tolerance",
    )
    assert float(entry.index) in judge.around(
        17.0, 0.0, unit="1", what="cell in the log", reason="the cell that was moved"
    )
    before_s = stamp_s - 0.02
    measured_a = float(record.current_a.at(before_s))
    assert entry.current_a in judge.around(
        measured_a,
        declared.current_tolerance_a + declared.current_tolerance_fraction * abs(measured_a) + 0.5,
        unit="A",
        what="current in the freeze frame",
        reason="current at the trip, before the path opened",
    )
    assert entry.lowest_cell_v in judge.around(
        float(record.cell_v.at(before_s).min()),
        declared.cell_tolerance_v + record.cell_v.uncertainty,
        unit="V",
        what="lowest cell in the freeze frame",
        reason="measured at the trip",
    )
    assert reference.explains(record)


@requirement("IEC 62619:2022 system lock", scenario="SY-08")
def test_sy_08_system_lock(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A cell that left its operating region locks the system; only service resets it."""
    bench, limit = driving, driving.limit("cell_undervoltage_lock")
    bench.needs("reset", "service_reset")
    start_s = bench.now_s
    bench.cells.set(voltage_v=limit.trip - 0.05, cell=8)
    bench.wait(limit.delay_s + 2.0)
    assert bench.record.discharge_path.opened_s > start_s
    assert bench.dut.state() == "locked"

    bench.rest()
    bench.cells.set(voltage_v=3.30)
    bench.wait(3.0)
    bench.reset_fault()
    bench.request("drive")
    bench.wait(5.0)
    bench.cut_power()
    bench.wait(1.0)
    bench.restore_power()
    bench.wait(5.0)
    closings = float((bench.record.discharge_path.closings_s > start_s).sum())
    assert closings in judge.around(
        0.0, 0.0, unit="1", what="closings after user reset and restart", reason="IEC 62619:2022 system lock"
    )
    assert bench.dut.state() == "locked"
    bench.request("standby")
    bench.service_reset()
    bench.wait(1.0)
    bench.mode("drive")
    assert float(bench.record.discharge_path.closed) in judge.around(
        1.0, 0.0, unit="1", what="closed after the service reset", reason="service may unlock"
    )
    assert np.isfinite(bench.record.discharge_path.opened_s)
    assert reference.explains(bench.record)
