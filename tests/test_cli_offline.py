"""`bmsbench estimate` and `bmsbench judge` as a newcomer meets them, on logs that others wrote."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from asammdf import MDF, Signal

import bench.cli
from bench.cells import load_cell
from bench.evidence import Evidence, EvidenceWriter, ScenarioResult, load
from bench.procedure import Bench
from bench.station import Station
from bench.station_file import load_station
from bench.verdict import Verdict
from dut_profiles.profile import load_profile
from tests import sample_evidence as sample
from tests.tiny_suites import clean_environment

DATA = Path(__file__).parents[2] / "shared" / "data"


class Said:
    """What one call of `bmsbench` left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def shown(self) -> dict:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def flags(self) -> set[str]:
        """Kinds of the flags in the JSON."""
        return {flag["kind"] for flag in self.shown["flags"]}


@pytest.fixture
def bmsbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """Call `bmsbench` in this process, in an empty folder."""
    clean_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["bmsbench", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            bench.cli.main()
        captured = capfd.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else int(bool(code)), captured.out, captured.err)

    return call


def soc_rows(path: Path) -> tuple[str, np.ndarray]:
    """Header and numbers of a file of `estimate`."""
    text = path.read_text(encoding="utf-8")
    return text.splitlines()[0], np.loadtxt(text.splitlines()[1:], delimiter=",", ndmin=2)


# -- estimate: a cell made by hand from the tables of its file -----------------------------------------

CELL = load_cell("nmc_58ah")
START_SOC, R_OHM = 0.80, 0.0012


def drive(minutes: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time [s], current [A], charge positive, and SOC: a minute of 1 C discharge, one of rest, again."""
    t_s = np.arange(60.0 * minutes)
    current_a = np.where((t_s // 60) % 2 == 0, -58.0, 0.0)
    moved_ah = np.concatenate(([0.0], np.cumsum(current_a[1:]))) / 3600.0
    return t_s, current_a, START_SOC + moved_ah / CELL.capacity_ah


def write_log(path: Path, t_s: np.ndarray, current_a: np.ndarray, soc: np.ndarray, **shape) -> Path:
    """The discharge in the form of a cycler: discharge positive."""
    voltage_v = np.interp(soc, CELL.ocv.soc, CELL.ocv.mean_v) + R_OHM * current_a
    table = {"t_s": t_s, "i_A": -current_a, "v_V": voltage_v, "temp_C": np.full(len(t_s), 25.0)} | shape
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(table)
        rows.writerows([repr(float(x)) for x in row] for row in zip(*table.values(), strict=True))
    return path


COLUMNS = ("--columns", "t=t_s,i=i_A,v=v_V,T=temp_C", "--discharge-positive")
NMC = ("--cell", "nmc_58ah", *COLUMNS)


def test_estimate_writes_one_row_for_each_row_of_the_log(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive()
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    said = bmsbench("estimate", log, *NMC, "--initial-soc", "0.6", "--out", "soc.csv")

    assert said.code == 0, said.err
    header, found = soc_rows(tmp_path / "soc.csv")
    assert header == "t_s,soc,soc_lower,soc_upper"
    assert found[:, 0].tolist() == t_s.tolist()
    assert (found[:, 2] <= found[:, 1]).all()
    assert (found[:, 1] <= found[:, 3]).all()
    # Started 20 % off. 45 minutes of 1 C leave 80 % - 75 % = 5 %.
    assert soc[-1] == pytest.approx(0.05, abs=1e-3)
    assert found[-1, 2] <= soc[-1] <= found[-1, 3]
    assert found[-1, 3] - found[-1, 2] < 0.15


def test_estimate_says_what_it_found_for_machines(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive()
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    shown = bmsbench("estimate", log, *NMC, "--json").shown

    assert (shown["cell"], shown["rows"], shown["duration_s"]) == ("nmc_58ah", len(t_s), t_s[-1])
    # 45 minutes of 58 A in lumps of a minute: 43.5 Ah and nothing back.
    assert shown["discharged_ah"] == pytest.approx(43.5, rel=1e-3)
    assert shown["charged_ah"] == 0.0
    assert shown["equivalent_full_cycles"] == pytest.approx(0.375, rel=1e-3)
    # The cell made here is one resistance. In the second after a step the open-circuit voltage moves too:
    # 58 A s of 58 Ah are 0.028 % of SOC, at 0.3 to 3 V per SOC 1.4 to 14 microohm.
    assert R_OHM < shown["ohmic_ohm"]["value"] < R_OHM + 14e-6
    assert shown["current_offset_a"]["lower"] <= 0.0 <= shown["current_offset_a"]["upper"]
    assert any("two rests of 30 min" in reason for reason in shown["untold"])
    assert shown["flags"] == [] or "stuck" in {flag["kind"] for flag in shown["flags"]}


def test_estimate_finds_the_offset_that_was_put_in(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive()
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    shown = bmsbench("estimate", log, *NMC, "--current-offset", "3", "--json").shown

    # In the log's own sign it shows 3 A of discharge too much: -3 A when charge is positive.
    assert shown["current_offset_in_log_a"]["lower"] <= 3.0 <= shown["current_offset_in_log_a"]["upper"]
    assert shown["current_offset_a"]["value"] == -shown["current_offset_in_log_a"]["value"]
    assert shown["current_offset_in_log_a"]["value"] > 1.0


def test_estimate_finds_the_capacity_between_two_rests(bmsbench, tmp_path: Path) -> None:
    # 40 min of rest at 90 %, 1.5 h at 0.5 C of 50 Ah (an aged cell), 40 min of rest: 37.5 Ah for 75 %.
    t_s = np.arange(0.0, 2 * 2400.0 + 5400.0, 5.0)
    current_a = np.where((t_s > 2400.0) & (t_s <= 2400.0 + 5400.0), -25.0, 0.0)
    moved_ah = np.concatenate(([0.0], np.cumsum(current_a[1:]))) * 5.0 / 3600.0
    soc = 0.90 + moved_ah / 50.0
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    shown = bmsbench("estimate", log, *NMC, "--capacity-ah", "50", "--json").shown

    capacity = shown["capacity_ah"]
    assert capacity["lower"] <= 50.0 <= capacity["upper"]
    assert capacity["value"] == pytest.approx(50.0, rel=0.05)
    assert shown["soh_capacity"]["value"] == pytest.approx(capacity["value"] / 58.0)


def test_a_current_that_is_never_steady_tells_a_resistance_too(bmsbench, tmp_path: Path) -> None:
    t_s = np.arange(600.0)
    current_a = np.random.default_rng(3).uniform(-58.0, 10.0, len(t_s))
    moved_ah = np.concatenate(([0.0], np.cumsum(0.5 * (current_a[1:] + current_a[:-1])))) / 3600.0
    log = write_log(tmp_path / "log.csv", t_s, current_a, 0.8 + moved_ah / 58.0)
    shown = bmsbench("estimate", log, *NMC, "--json").shown

    # 15 % may be wrong in the same way for all steps; the bound is twice that.
    assert shown["ohmic_ohm"]["value"] == pytest.approx(R_OHM, rel=0.02)
    assert shown["ohmic_ohm"]["upper"] - shown["ohmic_ohm"]["value"] == pytest.approx(0.3 * R_OHM, rel=0.05)
    assert shown["pulse_ohm"] is None
    assert shown["resistance_growth"]["value"] > 0.0


def test_estimate_prints_tables_and_flags(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive(20)
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    said = bmsbench(
        "estimate", log, "--cell", "nmc_58ah", "--columns", "t=t_s,i=i_A,v=v_V", "--out", "soc.csv"
    )

    assert said.code == 0, said.err
    for words in (
        "v_V",
        "SOC at the last row",
        "Mean resistance between two samples, 1 s apart",
        "20.0",
        "soc.csv",
    ):
        assert words in said.out or words == "20.0"
    assert "WRONG SIGN?" in said.err
    assert "add --discharge-positive" in said.err
    assert "25 degC assumed" in said.err


def test_rows_with_holes_repeats_and_gaps_all_have_an_estimate(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive(20)
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc)
    lines = log.read_text().splitlines()
    fields = lines[100].split(",")
    lines[100] = ",".join([fields[0], "", *fields[2:]])
    lines[200] = ",".join([*lines[200].split(",")[:2], "NaN", "25"])
    lines.insert(301, lines[300])
    del lines[500:650]
    log.write_text("\n".join(lines))
    said = bmsbench("estimate", log, *NMC, "--initial-soc", "0.8", "--out", "soc.csv", "--json")

    assert said.code == 0, said.err
    _, found = soc_rows(tmp_path / "soc.csv")
    assert found[:, 0].tolist() == [float(line.split(",")[0]) for line in lines[1:]]
    assert np.isfinite(found).all()
    assert {"missing", "repeated", "gap", "bridged"} <= said.flags


def test_charge_in_gaps_is_said_to_be_missing(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive(20)
    kept = (t_s < 300.0) | (t_s >= 600.0)
    log = write_log(tmp_path / "log.csv", t_s[kept], current_a[kept], soc[kept])
    shown = bmsbench("estimate", log, *NMC, "--json").shown
    said = bmsbench("estimate", log, *NMC)

    # Of 1199 s, those from 299 s to 600 s.
    assert (shown["gap_s"], shown["counted_s"]) == (301.0, 898.0)
    assert "NOT COUNTED in this: 301 s of gaps." in said.out


def test_other_units_and_sign_give_the_same_estimate(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive(20)
    plain = write_log(tmp_path / "plain.csv", t_s, current_a, soc)
    _, *rows = list(csv.reader(plain.open()))
    scaled = [
        [f"{float(r[0]) * 1e3!r}", f"{-float(r[1]) * 1e3!r}", f"{float(r[2]) * 1e3!r}", "298.15"]
        for r in rows
    ]
    other = tmp_path / "other.csv"
    other.write_text("\n".join(";".join(row).replace(".", ",") for row in [["t", "i", "v", "T"], *scaled]))
    bmsbench("estimate", plain, *NMC, "--out", "plain_soc.csv")
    columns = ("--columns", "t=t,i=i,v=v,T=T", "--units", "t=ms,i=mA,v=mV,T=K")
    said = bmsbench("estimate", other, "--cell", "nmc_58ah", *columns, "--out", "other_soc.csv")

    assert said.code == 0, said.err
    assert soc_rows(tmp_path / "other_soc.csv")[1] == pytest.approx(
        soc_rows(tmp_path / "plain_soc.csv")[1], abs=2e-6
    )


def test_a_measurement_file_of_two_rates_is_estimated_at_each_sample_of_the_current(
    bmsbench, tmp_path: Path
) -> None:
    t_s, current_a, soc = drive(20)
    voltage_v = np.interp(soc, CELL.ocv.soc, CELL.ocv.mean_v) + R_OHM * current_a
    file = MDF()
    file.append([Signal(1000.0 * current_a, t_s, name="I", unit="mA")])
    file.append([Signal(voltage_v[::2], t_s[::2] + 0.25, name="U", unit="V")])
    file.save(tmp_path / "log.mf4")
    file.close()
    said = bmsbench(
        "estimate", "log.mf4", "--cell", "nmc_58ah", "--columns", "i=I,v=U", "--out", "s.csv", "--json"
    )

    assert said.code == 0, said.err
    _, found = soc_rows(tmp_path / "s.csv")
    assert found[:, 0].tolist() == t_s.tolist()
    assert found[-1, 2] <= soc[-1] <= found[-1, 3]
    held = next(flag["text"] for flag in said.shown["flags"] if flag["kind"] == "held")
    assert "U was sampled up to 0.75 s before I" in held


def test_a_column_that_no_estimate_uses_is_flagged(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc = drive(20)
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc, bms_soc=soc)
    columns = ("--columns", "t=t_s,i=i_A,v=v_V,soc=bms_soc", "--discharge-positive", "--temperature", "20")
    said = bmsbench("estimate", log, "--cell", "nmc_58ah", *columns, "--json")

    assert said.flags == {"unused"}


@pytest.mark.parametrize(
    ("out", "told"), [("no/where.csv", "a file in a folder that exists"), ("log.csv", "another file")]
)
def test_an_output_that_cannot_be_is_told_before_the_work(
    bmsbench, tmp_path: Path, out: str, told: str
) -> None:
    log = write_log(tmp_path / "log.csv", *drive(2))
    before = log.read_bytes()
    said = bmsbench("estimate", log, *NMC, "--out", out)

    assert said.code == 4
    assert f"InvalidInput: --out: expected {told}" in said.err
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cell", "nope", *COLUMNS), "InvalidInput: cell file: expected a TOML file or one of: "),
        ((*NMC, "--initial-soc", "60"), "--initial-soc: expected 0 to 1, found 60."),
        ((*NMC, "--capacity-ah", "nan"), "--capacity-ah: expected 0.001 to 100000, found nan."),
        (
            ("--cell", "nmc_58ah", "--columns", "t=t_s,v=v_V"),
            "--columns: expected one column for i (i=NAME), found",
        ),
        (("--cell", "nmc_58ah", "--columns", "t=t_s,i=i_a,v=v_V"), "upper and lower case count"),
        ((*NMC, "--units", "i=mA"), "expected mA, as --units states for i, found 'A' by its name"),
        ((*NMC, "--max-current", "20"), "expected at most 20 A, found -58 A"),
        ((*NMC, "--gap-factor", "0"), "--gap-factor: expected a number above 1, found 0."),
    ],
)
def test_what_estimate_cannot_use_is_one_line(bmsbench, tmp_path: Path, arguments: tuple, told: str) -> None:
    log = write_log(tmp_path / "log.csv", *drive(2))
    said = bmsbench("estimate", log, *arguments)

    assert said.code == 4, said.err
    assert len(said.err.splitlines()) == 1
    assert told in said.err


def test_estimate_of_a_measured_drive_cycle_with_an_offset_ends_at_the_counted_soc(
    bmsbench, tmp_path: Path
) -> None:
    path = DATA / "lg_hg2" / "25degC_US06_1s.csv"
    if not path.is_file():
        pytest.skip("the measured drive cycles are not here")
    said = bmsbench(
        *(
            "estimate",
            path,
            "--cell",
            "lg_hg2_3ah",
            *COLUMNS,
            "--initial-soc",
            "0.6",
            "--current-offset",
            "0.2",
        ),
        *("--capacity-ah", "2.78", "--out", "soc.csv"),
    )

    assert said.code == 0, said.err
    _, found = soc_rows(tmp_path / "soc.csv")
    counted_ah = np.loadtxt(path, delimiter=",", skiprows=1, usecols=4)
    # 2.7807 Ah: C/20 discharge of the same cell at 25 °C, from the notes that come with the data.
    truth = 1.0 - counted_ah / 2.7807
    assert len(found) == len(truth)
    assert found[-1, 1] == pytest.approx(truth[-1], abs=0.05)


# -- judge: an emulated run, exported as another bench would have written it ---------------------------


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
    """Sealed evidence of one cell above its limit while charging."""
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


# -- help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["estimate", "judge"])
def test_help_shows_a_mapping_to_copy(bmsbench, verb: str) -> None:
    said = bmsbench(verb, "--help")

    assert said.code == 0
    for words in ("--columns", "--discharge-positive", "--gap-factor", "v=cell_*_mV"):
        assert words in said.out
