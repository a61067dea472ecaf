"""FI: sensor and wiring faults."""

from __future__ import annotations

import numpy as np
import pytest

from bench.collector import Judge, ObservedReference
from bench.procedure import Bench
from bench.scenario import requirement


@requirement("IEC 60730-1 Annex H", "ISO 26262", scenario="FI-01")
@pytest.mark.parametrize("where", ["bottom", "second", "middle", "near the top", "top"])
def test_fi_01_open_sense_wire(calm: Bench, reference: ObservedReference, judge: Judge, where: str) -> None:
    """An open sense wire is found in time and place, and no invalid value passes for a valid one."""
    bench, declared = calm, calm.profile.plausibility
    cells = bench.profile.pack.cells
    wires = {"bottom": 0, "second": 1, "middle": cells // 2, "near the top": cells - 2, "top": cells}
    tap = wires[where]
    bench.mode("drive")
    start_s = bench.now_s
    bench.insert(f"open_sense_wire_{tap}")
    bench.wait(declared.open_wire_s + 1.0)

    flags = bench.record["dut.alarm.open_sense_wire"].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) - start_s in judge.at_most(
        declared.open_wire_s + 2 * bench.profile.communication.period_s,
        unit="s",
        what=f"open wire {tap} reported",
        reason="declared time and two broadcasts",
    )
    telemetry = bench.dut.telemetry()
    assert telemetry.fault_index in judge.within(
        float(max(tap - 1, 0)),
        float(min(tap, cells - 1)),
        unit="1",
        what=f"cell named for wire {tap}",
        reason="a wire is shared by the cell below and the cell above",
    )
    measured_v = bench.record.cell_v.last
    valid = ~np.isnan(telemetry.cell_v)
    error_v = float(np.abs(telemetry.cell_v - measured_v)[valid].max()) if valid.any() else 0.0
    assert error_v in judge.at_most(
        bench.profile.measurement.cell_tolerance_v,
        unit="V",
        what="error of a cell voltage that is reported as valid",
        reason="declared accuracy; a cell that cannot be measured is not available",
        uncertainty=bench.record.cell_v.uncertainty,
    )
    assert not bench.record.discharge_path.closed
    assert reference.explains(bench.record)


@requirement("IEC 60730-1 Annex H", "GB/T 34131-2023", scenario="FI-05")
@pytest.mark.parametrize("fault", ["ntc_open_2", "ntc_short_5"])
def test_fi_05_broken_thermistor(calm: Bench, reference: ObservedReference, judge: Judge, fault: str) -> None:
    """A thermistor that is open or shorted is a fault, and its value is not used."""
    bench, declared = calm, calm.profile.plausibility
    sensor = int(fault.rsplit("_", 1)[1])
    bench.mode("drive")
    start_s = bench.now_s
    bench.insert(fault)
    bench.wait(declared.thermistor_s + 1.0)

    flags = bench.record["dut.alarm.thermistor_fault"].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) - start_s in judge.at_most(
        declared.thermistor_s + 2 * bench.profile.communication.period_s,
        unit="s",
        what=f"{fault} reported",
        reason="declared time and two broadcasts",
    )
    reported_degc = float(bench.dut.telemetry().temperature_degc[sensor])
    assert float(np.isnan(reported_degc)) in judge.around(
        1.0,
        0.0,
        unit="1",
        what="value of the broken sensor withheld",
        reason="invalid data is marked, not used",
    )
    assert reference.explains(bench.record)


@requirement("ISO 26262", "GB/T 34131-2023", scenario="FI-06")
def test_fi_06_current_sensor_lost(driving: Bench, reference: ObservedReference, judge: Judge) -> None:
    """A current sensor that reads nothing while the load draws current is found."""
    bench = driving
    bench.cells.off()
    bench.discharge(0.7 * bench.profile.pack.max_discharge_a)
    bench.wait(2.0)
    start_s = bench.now_s
    bench.insert("current_sensor_open")
    bench.wait(bench.profile.plausibility.current_sensor_s + 2.0)
    flags = bench.record["dut.alarm.current_sensor"].between(start_s, bench.now_s)
    assert flags.first(lambda flag: flag > 0.5) - start_s in judge.at_most(
        bench.profile.plausibility.current_sensor_s + 2 * bench.profile.communication.period_s,
        unit="s",
        what="lost current sensor reported",
        reason="declared time and two broadcasts",
    )
    assert reference.explains(bench.record)
