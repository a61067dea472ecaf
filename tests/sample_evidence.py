"""Sample evidence for the tests of evidence and reports: made when asked for, from synthetic traces."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.evidence import (
    Clause,
    DutInfo,
    EvidenceWriter,
    RoleInfo,
    RunInfo,
    ScenarioResult,
    StationInfo,
    Trip,
)
from bench.record import Event, Origin, Trace
from bench.verdict import Judgement, Verdict, Window, at_most

PROFILE = '[identity]\nvendor = "Sample"\nmodel = "S-24"\n'
STATION = 'name = "emulated"\nclock = "virtual"\n'
LIMIT_V, DELAY_S = 3.600, 1.0
OVERCHARGE, SHORT = "IEC 62619:2022 8.2.2", "UN R100-03 6.6"


def run_info(**changes: object) -> RunInfo:
    """A run on twins against an emulated DUT."""
    role = RoleInfo(
        "charger", "instruments.supply_psx:Psx", "twin://charger", "MAKER,PSX-80,1234,2.1", "manual"
    )
    cells = replace(role, role="cells", driver="instruments.cells_x:CellsX", address="twin://cells")
    cells = replace(cells, identity="MAKER,CX-24,77,1.0", label="unverified", calibration="due 2027-03-31")
    dut = DutInfo(
        "Sample", "S-24", "emulated", "1.0.0", "EMU-1", True, "sample_24s.toml",
        hashlib.sha256(PROFILE.encode()).hexdigest(),
    )  # fmt: skip
    run = RunInfo(
        run="nightly",
        started_utc="2026-11-20T20:00:00Z",
        bmsbench_version="0.1.0",
        python="3.11.7",
        platform="Linux-6.1-x86_64",
        seed=7,
        decision_rule="simple",
        station=StationInfo("emulated", "virtual", (role, cells)),
        dut=dut,
        command_line="bmsbench run --station emulated",
        clauses=(
            Clause(OVERCHARGE, "Overcharge control of voltage", "public digest"),
            Clause("GB 44240-2024 8.3", "Overcharge", "public digest"),
            Clause("ISO 26262", "Reaction within the fault tolerant time interval", "unverified"),
        ),
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def overvoltage_traces(*, opened_s: float, seed: int = 7) -> dict[str, Trace]:
    """24 cells; cell 7 rises by 10 mV/s through the limit at 6 s; the path opens at `opened_s` [s]."""
    noise = np.random.default_rng(seed)
    t_s = np.arange(0, 12.0, 0.02)
    cell_v = np.full((t_s.size, 24), 3.35)
    cell_v[:, 7] = np.minimum(LIMIT_V + 0.010 * (t_s - 6.0), LIMIT_V + 0.05)
    measured = cell_v + noise.normal(0, 0.0002, cell_v.shape)
    closed = (t_s < opened_s).astype(float)
    late = np.arange(0.05, 12.0, 0.1)
    reported = np.round(cell_v[np.searchsorted(t_s, late)] * 1000) / 1000
    reported[:3] = math.nan
    cells, meter, dut = Origin("measured", "cells"), Origin("measured", "meter"), Origin("reported", "dut")
    return {
        "cell_v": Trace("cell_v", "V", t_s, measured, cells, 0.001),
        "current_a": Trace("current_a", "A", t_s, 56.0 * closed, meter, 0.1),
        "charge_path": Trace("charge_path", "1", t_s, closed, meter),
        "discharge_path": Trace("discharge_path", "1", t_s, np.ones_like(t_s), meter),
        "dut.cell_v": Trace("dut.cell_v", "V", late, reported, dut, 0.005),
        "dut.charge_path": Trace("dut.charge_path", "1", late, (late < opened_s).astype(float), dut),
    }


def overvoltage_window() -> Window:
    return Window(6.4, 7.72, "s", "charge path opens", "cell_overvoltage at 3.600 V for 1.0 s", 0.02)


def overvoltage_result(*, opened_s: float, scenario: str = "OV-02", **changes: object) -> ScenarioResult:
    judgement = overvoltage_window().judge(opened_s)
    highest = at_most(3.65, unit="V", what="highest cell", reason="ULCV", uncertainty=0.001).judge(3.614)
    trip = Trip("charge path opens", "cell_v", 7, LIMIT_V, 6.4, 7.72, opened_s, 0.005, "charge_path")
    result = ScenarioResult(
        id=scenario,
        nodeid=f"test_suites/test_overcharge.py::test_{scenario}",
        title="One cell above its limit for the delay stops charge; discharge stays available",
        clauses=(OVERCHARGE, "GB 44240-2024 8.3"),
        hazard="OV",
        verdict=judgement.verdict,
        message="" if judgement.verdict is Verdict.PASS else judgement.reason,
        judgements=(judgement, highest),
        events=(
            Event(0.5, "stimulus", "charger.source", {"voltage_v": 85.2, "current_a": 56.0}),
            Event(1.0, "stimulus", "cells[7].ramp", {"to_v": 3.65}),
            Event(7.4, "alarm", "cell_overvoltage", {"cell": 7}),
        ),
        duration_s=12.0,
        parameters={"cell": 7},
        trips=(trip,),
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def inconclusive_result() -> ScenarioResult:
    window = replace(overvoltage_window(), latest=math.nan, reason="cell_v[7] stayed below 3.595 V")
    judgement = window.judge(math.nan)
    return ScenarioResult(
        id="OV-05",
        nodeid="test_suites/test_overcharge.py::test_slope",
        title="The threshold is the same at each slope",
        clauses=(OVERCHARGE,),
        hazard="OV",
        verdict=Verdict.INCONCLUSIVE,
        message=judgement.reason,
        judgements=(judgement,),
        start_s=36.0,
        duration_s=8.0,
    )


def error_result() -> ScenarioResult:
    return ScenarioResult(
        id="OC-07",
        nodeid="test_suites/test_overcurrent.py::test_short",
        title="A short circuit is cut within the declared delay",
        clauses=(SHORT, "ISO 26262"),
        hazard="OC",
        verdict=Verdict.ERROR,
        message='InstrumentRefused: load "main" (twin://load) refused "CURR 220.000" at 12.340 s: -222.',
        findings=("spurious: charge path opened at 3.100 s outside every window",),
        start_s=44.0,
        duration_s=12.34,
    )


def skipped_result() -> ScenarioResult:
    return ScenarioResult(
        id="CT-11",
        nodeid="test_suites/test_contactors.py::test_strings",
        title="Two strings close only below the limit of their difference",
        clauses=("ISO 26262",),
        hazard="CT",
        verdict=Verdict.SKIPPED,
        message="the profile declares one string",
        start_s=56.34,
    )


def never_result() -> ScenarioResult:
    """A BMS that never opened: nan, in no window."""
    return overvoltage_result(opened_s=math.nan, scenario="OV-01", start_s=24.0)


def exchanges() -> Iterable[dict[str, object]]:
    yield {"t_s": 0.5, "role": "charger", "sent": b"VOLT 85.200\n", "received": b""}
    yield {"t_s": 0.6, "role": "charger", "sent": b"SYST:ERR?\n", "received": b'0,"No error"\n'}


def build(folder: Path, run: RunInfo | None = None, *, seal: bool = True) -> Path:
    """Write a run with every verdict into `folder`; return `folder`."""
    writer = EvidenceWriter(folder, run or run_info(), PROFILE, STATION)
    first, second = overvoltage_result(opened_s=7.3), overvoltage_result(opened_s=8.94, start_s=12.0)
    writer.scenario(first, overvoltage_traces(opened_s=7.3), exchanges(), b"LOGG-not-really")
    writer.scenario(replace(second, id="OV-10"), overvoltage_traces(opened_s=8.94, seed=8))
    writer.scenario(never_result(), overvoltage_traces(opened_s=math.inf))
    writer.scenario(inconclusive_result())
    writer.scenario(error_result())
    writer.scenario(skipped_result())
    writer.attach("notes.txt", b"room 21 degC\n")
    if seal:
        writer.seal()
    return folder


def judged(measured: float, low: float, high: float, unit: str = "s") -> Judgement:
    return Window(low, high, unit, "value").judge(measured)
