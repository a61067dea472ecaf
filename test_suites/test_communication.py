"""CM: communication."""

from __future__ import annotations

import numpy as np

from bench.collector import Judge, ObservedReference
from bench.errors import NotApplicable
from bench.procedure import Bench
from bench.scenario import requirement
from dut_profiles.protocols import hd_can


@requirement("SAE J1939-71", scenario="CM-01")
def test_cm_01_periods_and_contents(calm: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Every broadcast message keeps its period, its counter and its check."""
    bench, link = calm, calm.profile.communication
    if link.transport != "can":
        raise NotApplicable(f"{bench.profile.identity.model} is asked, it does not broadcast")
    start_s = bench.now_s
    bench.wait(10.0)
    times: dict[tuple[int, int], list[float]] = {}
    for t_s, can_id, data in bench.dut.frames():
        if t_s >= start_s and can_id >= 0x300:
            times.setdefault((can_id, data[0] if can_id in (0x310, 0x311) else -1), []).append(t_s)
    groups = {
        hd_can.CELL_VOLTAGES: bench.profile.pack.cells,
        hd_can.CELL_TEMPERATURES: bench.profile.pack.sensors,
    }
    expected = [
        (can_id, group)
        for can_id in hd_can.messages()
        if can_id >= 0x300 and hd_can.is_protected(can_id)
        for group in (range(-(-groups[can_id] // 3)) if can_id in groups else (-1,))
    ]
    missing = [f"0x{can_id:X}" for can_id, group in expected if (can_id, group) not in times]
    assert float(len(missing)) in judge.at_most(
        0.0,
        unit="1",
        what="messages never sent",
        reason=f"declared messages; {', '.join(missing) or 'all'} there",
    )
    for (can_id, group), stamps in sorted(times.items()):
        periods_s = np.diff(stamps)
        where = f"0x{can_id:X}" + (f" group {group}" if group >= 0 else "")
        tolerance_s = link.period_tolerance_fraction * link.period_s
        for what, value in (("shortest", periods_s.min()), ("longest", periods_s.max())):
            assert float(value) in judge.around(
                link.period_s,
                tolerance_s,
                unit="s",
                what=f"{what} period of {where}",
                reason="declared period",
            )
    rejected = float(bench.dut.log.wrong_crc + bench.dut.log.repeated + bench.dut.log.lost)
    assert rejected in judge.at_most(
        0.0,
        unit="1",
        what="frames with a wrong check, a repeated or a missing counter",
        reason="CRC-8 SAE J1850 and rolling counter",
    )
    assert reference.explains(bench.record)


@requirement("SAE J1939-71", "ISO 26262", scenario="CM-02")
def test_cm_02_host_falls_silent(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """When the host falls silent, the DUT goes to its safe state in the declared time, and not before."""
    bench, link = driving, driving.profile.communication
    bench.needs("host_timeout")
    assert link.host_timeout_s is not None
    start_s = bench.now_s
    bench.silence_host()
    bench.wait(link.host_timeout_s + 2.0)
    opened_s = bench.record.discharge_path.opened_s
    latest_s = link.host_timeout_s + link.host_timeout_tolerance_s
    latest_s += bench.profile.switches.zero_current_wait_s + bench.profile.switches.opening_s + 0.02
    assert opened_s - start_s in judge.within(
        link.host_timeout_s - link.host_timeout_tolerance_s - link.period_s,
        latest_s,
        unit="s",
        what="discharge path open after the last message",
        reason="declared time-out; the last message may be one period old",
    )
    assert reference.explains(bench.record)


@requirement("IEC 60730-1 Annex H", "ISO 26262", scenario="CM-03")
def test_cm_03_frames_with_wrong_check(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """Host frames with a wrong check or a frozen counter count as none."""
    bench, link = driving, driving.profile.communication
    bench.needs("host_timeout")
    assert link.host_timeout_s is not None
    for fault in ("wrong_crc", "frozen_counter"):
        start_s = bench.now_s
        bench.record.note("host", f"host sends frames with {fault}", talking=False, fault=fault)
        bench.dut.host_fault = fault
        bench.wait(link.host_timeout_s + 2.0)
        alarms = bench.dut.alarms()
        openings_s = bench.record.discharge_path.openings_s
        opened_s = float(next(iter(openings_s[openings_s > start_s]), float("nan")))
        assert opened_s - start_s in judge.within(
            link.host_timeout_s - link.host_timeout_tolerance_s - link.period_s,
            link.host_timeout_s
            + link.host_timeout_tolerance_s
            + bench.profile.switches.zero_current_wait_s
            + 0.15,
            unit="s",
            what=f"discharge path open with {fault}",
            reason="a frame that is not valid counts as none; declared time-out",
        )
        assert "host_frame_rejected" in alarms
        bench.record.note("host", "host sends sound frames again", talking=True)
        bench.dut.host_fault = None
        bench.rest()
        bench.wait(1.0)
        bench.reset_fault()
        bench.mode("standby")
        bench.mode("drive")
        bench.discharge(0.2 * bench.profile.pack.max_discharge_a)
    assert reference.explains(bench.record)


@requirement("SAE J1939-71", "ISO 26262", scenario="CM-05")
def test_cm_05_commands_out_of_range(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A mode that does not exist, and a service reset with a wrong key, change nothing."""
    bench = driving
    bench.needs("service_reset")
    start_s = bench.now_s
    bench.record.note(
        "host", "host sends a service reset with a wrong key, and mode 9", talking=True, fault="range"
    )
    bench.dut.send_raw(hd_can.SERVICE_RESET, bytes(8))
    for counter in range(5):
        bench.dut.send_raw(
            hd_can.HOST_COMMAND, hd_can.protect(hd_can.HOST_COMMAND, bytes([9, 0, 0, 0, 0, 0, 0]), counter)
        )
    bench.wait(1.0)
    closed = bench.record["discharge_path"].between(start_s, bench.now_s).value
    assert float(closed.min()) in judge.at_least(
        1.0, unit="1", what="discharge path stays closed", reason="a command out of range is refused"
    )
    assert bench.dut.state() == "drive"
    assert reference.explains(bench.record)
