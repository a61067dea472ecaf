"""`bmsbench judge` as a newcomer meets it, on logs that another bench might have written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from asammdf import MDF, Signal

from bench.evidence import Evidence, EvidenceWriter, ScenarioResult, load
from bench.procedure import Bench
from bench.station import Station
from bench.station_file import load_station
from bench.verdict import Verdict
from dut_profiles.profile import load_profile
from tests import sample_evidence as sample
from tests.cli_calls import Said, caller


@pytest.fixture
def bmsbench(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Call `bmsbench` in this process, in an empty folder."""
    return caller(monkeypatch, capfd, tmp_path)


class LateOvervoltage:
    """Overvoltage acts half a second late."""

    name = "late_overvoltage"
    description = "Overvoltage acts 0.5 s late."

    def apply(self, bms) -> None:
        bms.parameters.limits["cell_overvoltage"].delay_ms += 500


LEFT_OUT = ("fault.", "charger.", "load.", "regen.", "heater")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sound.csv` and `late.csv`, a file of events for each, and their sealed evidence."""
    folder = tmp_path_factory.mktemp("foreign")
    for name, defects in (("sound", ()), ("late", (LateOvervoltage(),))):
        export(overcharged(folder / name, defects), folder / f"{name}.csv")
    return folder


def overcharged(folder: Path, defects: tuple) -> Evidence:
    """Sealed evidence of one cell above its limit while charging, up to where energy is off."""
    with Station(load_station("emulated"), load_profile("hd_lfp_24s"), seed=7, defects=defects) as station:
        bench = Bench(station)
        limit = bench.limit("cell_overvoltage")
        bench.cells.set(voltage_v=3.30)
        bench.set_temperature(25.0)
        bench.wait(0.5)
        bench.start()
        bench.mode("standby")
        bench.mode("charge")
        bench.charge(28.0)
        bench.wait(0.5)
        bench.cells[5].set(voltage_v=limit.trip + 0.020)
        bench.wait(limit.delay_s + 1.0)
    traces, events = station.traces(), tuple(station.record.events)
    writer = EvidenceWriter(folder, sample.run_info(), sample.PROFILE, sample.STATION)
    result = ScenarioResult(
        "XX-01", "x::y", "One cell is overcharged.", (), "XX", Verdict.PASS, events=events
    )
    writer.scenario(result, traces)
    writer.seal()
    return load(folder)


def export(evidence: Evidence, path: Path) -> None:
    """One CSV of every rate: a row for each time, empty where a trace has no sample."""
    (stored,) = evidence.scenarios
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, trace in stored.traces.items():
        if name.startswith(LEFT_OUT):
            continue
        table = trace.value if trace.value.ndim == 2 else trace.value[:, None]
        names = [f"{name}_{k}" for k in range(table.shape[1])] if trace.value.ndim == 2 else [name]
        columns |= {label: (trace.t_s, table[:, k]) for k, label in enumerate(names)}
    rows = np.unique(np.concatenate([t_s for t_s, _ in columns.values()]))
    cells = np.full((len(rows), len(columns)), "", dtype=object)
    for k, (t_s, value) in enumerate(columns.values()):
        cells[np.searchsorted(rows, t_s), k] = ["" if np.isnan(x) else repr(float(x)) for x in value]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["t_s", *columns])
        writer.writerows([repr(float(t)), *row] for t, row in zip(rows, cells, strict=True))
    events = [{"t_s": e.t_s, "kind": e.kind, "text": e.text, **e.data} for e in stored.result.events]
    path.with_suffix(".events").write_text("\n".join(json.dumps(event) for event in events))


MEASURED = (
    "t=t_s,i=current_a,v=cell_v_*,T=temperature_degc_*,cell_a=cell_a_*,pack_v=pack_v,link_v=link_v,"
    "charge_path=charge_path,discharge_path=discharge_path,switch.*=switch.*"
)
REPORTED = (
    "v=dut.cell_v_*,T=dut.temperature_degc_*,i=dut.current_a,soc=dut.soc,pack_v=dut.pack_v,state=dut.state,"
    "alarm.*=dut.alarm.*,charge_limit_a=dut.charge_limit_a,discharge_limit_a=dut.discharge_limit_a"
)
JUDGED = ("--profile", "hd_lfp_24s", "--columns", MEASURED, "--reported", REPORTED)
UNCERTAIN = ("--uncertainty", "v=0.002,i=0.5,T=1")


def test_a_sound_log_passes_and_says_what_it_was_judged_by(bmsbench, foreign: Path) -> None:
    said = bmsbench(
        *("judge", foreign / "sound.csv", *JUDGED, *UNCERTAIN, "--events", foreign / "sound.events", "--json")
    )

    assert said.code == 0, said.out + said.err
    assert said.shown["verdict"] == "pass"
    assert said.shown["findings"] == []
    assert {"cell_overvoltage", "charge_overcurrent", "dut.cell_v", "soc"} <= set(said.shown["judged"])
    assert "insulation_fault: insulation_ohm_per_v was not measured" in said.shown["undecided"]
    assert said.shown["stretches"] == 1
    assert "stuck" in said.flags  # a cell emulator holds its voltage whatever current flows


def test_what_the_bench_does_at_its_end_is_no_fault_of_the_dut(
    bmsbench, foreign: Path, tmp_path: Path
) -> None:
    """Its switches open there, since the bench asks for standby: with no word of it, that looks spurious."""
    lines = (foreign / "sound.events").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["kind"] != "end"]
    assert len(lines) - len(kept) == 1
    (tmp_path / "no_end.events").write_text("\n".join(kept))
    said = bmsbench(
        *("judge", foreign / "sound.csv", *JUDGED, *UNCERTAIN, "--events", "no_end.events", "--json")
    )

    assert said.code == 1
    assert {finding["kind"] for finding in said.shown["findings"]} == {"spurious"}
    assert all(finding["t_s"] > json.loads(lines[-1])["t_s"] for finding in said.shown["findings"])


def test_a_late_trip_is_found_in_a_foreign_log(bmsbench, foreign: Path) -> None:
    said = bmsbench(
        *("judge", foreign / "late.csv", *JUDGED, *UNCERTAIN, "--events", foreign / "late.events", "--json")
    )

    assert said.code == 1
    assert said.shown["verdict"] == "fail"
    kinds = {(finding["kind"], finding["protection"].split(" ")[0]) for finding in said.shown["findings"]}
    assert ("late", "cell_overvoltage") in kinds
    assert all("cell_overvoltage" in f["protection"] for f in said.shown["findings"])


def test_findings_are_printed_with_time_expected_and_seen(bmsbench, foreign: Path) -> None:
    said = bmsbench("judge", foreign / "late.csv", *JUDGED, "--events", foreign / "late.events")

    assert said.code == 1
    for words in (
        "Findings",
        "t in s",
        "late",
        "cell_overvoltage",
        "expected",
        "seen",
        "Verdict against HD-LFP-24S",
    ):
        assert words in said.out
    assert "No --uncertainty was stated: the instruments count as exact." in said.out


def test_a_doubt_as_large_as_the_excess_takes_the_obligation_away(bmsbench, foreign: Path) -> None:
    """20 mV above a limit of 10 mV tolerance: whoever measures to 15 mV cannot say that a trip was due."""
    said = bmsbench(
        *("judge", foreign / "late.csv", *JUDGED, "--uncertainty", "v=0.015,i=0.5,T=1"),
        *("--events", foreign / "late.events", "--json"),
    )

    assert said.code == 0, said.out
    assert "cell_overvoltage" in said.shown["judged"]


def test_without_measured_voltages_a_late_trip_is_not_judged(bmsbench, foreign: Path) -> None:
    said = bmsbench(
        *(
            "judge",
            foreign / "late.csv",
            "--profile",
            "hd_lfp_24s",
            "--columns",
            "t=t_s,charge_path=charge_path",
        ),
        *("--reported", "v=dut.cell_v_*", "--json"),
    )

    assert "cell_overvoltage: cell_v was not measured" in said.shown["undecided"]
    assert "cell_overvoltage" not in said.shown["judged"]


def test_a_log_that_holds_nothing_to_judge_is_inconclusive(bmsbench, foreign: Path) -> None:
    said = bmsbench(
        "judge", foreign / "sound.csv", "--profile", "hd_lfp_24s", "--columns", "t=t_s,i=current_a"
    )

    assert said.code == 20
    assert "Judged: nothing" in said.out
    assert "inconclusive" in said.out


def test_nothing_is_concluded_across_a_gap(bmsbench, foreign: Path, tmp_path: Path) -> None:
    """The logger sleeps from before the cell rises until after the late trip: nobody can call it late."""
    header, *rows = list(csv.reader((foreign / "late.csv").open()))
    path_at, cell_at = header.index("charge_path"), header.index("cell_v_5")
    rose_s = next(float(row[0]) for row in rows if row[cell_at] and float(row[cell_at]) > 3.55)
    opened_s = next(
        float(r[0]) for r in rows if r[path_at] and float(r[0]) > rose_s and float(r[path_at]) == 0.0
    )
    kept = [row for row in rows if not rose_s - 0.1 < float(row[0]) < opened_s + 0.2]
    with (tmp_path / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    said = bmsbench(
        *("judge", "log.csv", *JUDGED, *UNCERTAIN, "--events", foreign / "late.events", "--json"),
    )

    assert said.code == 0, said.out
    assert said.shown["stretches"] == 2
    assert "gap" in said.flags


def test_a_measurement_file_in_which_each_channel_has_its_own_rate_is_judged_the_same(
    bmsbench, foreign: Path, tmp_path: Path
) -> None:
    for name, code in (("sound", 0), ("late", 1)):
        file = MDF()
        for label, trace in load(foreign / name).scenarios[0].traces.items():
            if label.startswith(LEFT_OUT):
                continue
            table = trace.value if trace.value.ndim == 2 else trace.value[:, None]
            names = [f"{label}_{k}" for k in range(table.shape[1])] if trace.value.ndim == 2 else [label]
            file.append([Signal(table[:, k], trace.t_s, name=n) for k, n in enumerate(names)])
        file.save(tmp_path / f"{name}.mf4")
        file.close()
        events = ("--events", foreign / f"{name}.events")
        judged = [MEASURED.removeprefix("t=t_s,") if word == MEASURED else word for word in JUDGED]
        said = bmsbench("judge", f"{name}.mf4", *judged, *UNCERTAIN, *events, "--json")
        assert said.code == code, said.out + said.err
        as_csv = bmsbench("judge", foreign / f"{name}.csv", *JUDGED, *UNCERTAIN, *events, "--json")
        assert said.shown["findings"] == as_csv.shown["findings"]
        assert said.shown["judged"] == as_csv.shown["judged"]


def test_the_events_of_sealed_evidence_are_read_too(bmsbench, foreign: Path) -> None:
    (events,) = (foreign / "sound" / "evidence" / "scenarios").iterdir()
    said = bmsbench("judge", foreign / "sound.csv", *JUDGED, *UNCERTAIN, "--events", events, "--json")

    assert said.code == 0, said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--profile", "nope", "--columns", "t=t_s,i=current_a"), "ProfileInvalid: "),
        ((*JUDGED, "--uncertainty", "x=1"), "--uncertainty: expected key=number with a key of v, i, T"),
        (
            (*JUDGED, "--uncertainty", "v=-1"),
            "--uncertainty: expected v=a number that is not negative, found 'v=-1'",
        ),
        ((*JUDGED, "--max-current", "10"), "expected at most 10 A, found "),
        ((*JUDGED, "--max-current", "nan"), "--max-current: expected a number above 0, found nan."),
        ((*JUDGED, "--events", "nowhere"), "expected a file of events that can be read"),
        ((*JUDGED, "--events", "bad.events"), 'bad.events:2: expected "t_s", a number'),
        (("--profile", "hd_lfp_24s", "--columns", "t=t_s,v=dut.alarm.c*"), "expected a column that fits"),
        (
            ("--profile", "hd_lfp_24s", "--columns", MEASURED, "--reported", "t=t_s"),
            "expected the time in --columns",
        ),
    ],
)
def test_what_judge_cannot_use_is_one_line(
    bmsbench, foreign: Path, tmp_path: Path, arguments: tuple, told: str
) -> None:
    (tmp_path / "bad.events").write_text('{"t_s": 1, "kind": "mode", "mode": "charge"}\n{"kind": "mode"}\n')
    said = bmsbench("judge", foreign / "sound.csv", *arguments)

    assert said.code == 4, said.out
    assert len(said.err.splitlines()) == 1
    assert told in said.err
    assert said.out == ""


def test_more_cells_than_the_profile_has_are_refused_and_fewer_are_flagged(bmsbench, tmp_path: Path) -> None:
    for count in (25, 23):
        names = ",".join(f"c{k}" for k in range(count))
        row = ",".join(["3.3"] * count)
        (tmp_path / f"{count}.csv").write_text(
            f"t,p,{names}\n" + "".join(f"{k},1,{row}\n" for k in range(20))
        )
    columns = ("--profile", "hd_lfp_24s", "--columns", "t=t,charge_path=p,v=c*")
    more, fewer = bmsbench("judge", "25.csv", *columns), bmsbench("judge", "23.csv", *columns, "--json")

    assert more.code == 4
    assert "expected 24 columns, as many as the profile has, found 25" in more.err
    assert "channels" in fewer.flags
