"""`bmsbench estimate` as a newcomer meets it, on logs that others wrote."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from asammdf import MDF, Signal

from bench.cells import load_cell
from tests.cli_calls import Said, caller
from tests.measured import measured


@pytest.fixture
def bmsbench(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Call `bmsbench` in this process, in an empty folder."""
    return caller(monkeypatch, capfd, tmp_path)


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
    assert shown["capacity_ah"]["lower"] <= CELL.capacity_ah <= shown["capacity_ah"]["upper"]
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


def aged(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Time, current, SOC and voltage of the cell with 90 % of its capacity and 1.3 times its resistances.

    The tables at 25 °C, straight between their points; no hysteresis, no heat.
    """
    rng = np.random.default_rng(seed)
    t_s = np.arange(3000.0)
    current_a = np.repeat(rng.uniform(-160.0, 50.0, 600), 5)
    current_a[0] = 0.0
    soc = 0.95 + np.cumsum(current_a) / 3600.0 / (0.9 * CELL.capacity_ah)
    voltage_v = np.interp(soc, CELL.ocv.soc, CELL.ocv.mean_v) + 0.0005 * rng.standard_normal(len(t_s))
    row = int(np.argmin(np.abs(CELL.r0.temperature_degc - 25.0)))
    voltage_v += 1.3 * np.interp(soc, CELL.r0.soc, CELL.r0.ohm[row]) * current_a
    for pair in CELL.rc:
        row = int(np.argmin(np.abs(pair.temperature_degc - 25.0)))
        ohm, keep = 1.3 * np.interp(soc, pair.soc, pair.ohm[row]), float(np.exp(-1.0 / pair.tau_s[row]))
        over_v = 0.0
        for k in range(len(t_s)):
            over_v = keep * over_v + (1.0 - keep) * ohm[k] * current_a[k]
            voltage_v[k] += over_v
    kept = soc > 0.05
    end = len(t_s) if kept.all() else int(np.argmin(kept))
    return t_s[:end], current_a[:end], soc[:end], voltage_v[:end]


def test_use_without_any_rest_tells_the_resistance_and_the_capacity_of_an_aged_cell(
    bmsbench, tmp_path: Path
) -> None:
    t_s, current_a, soc, voltage_v = aged(1)
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc, v_V=voltage_v)
    shown = bmsbench("estimate", log, *NMC, "--initial-soc", "0.8", "--json").shown

    assert shown["soh_capacity"]["lower"] <= 0.9 <= shown["soh_capacity"]["upper"]
    assert shown["soh_capacity"]["upper"] - shown["soh_capacity"]["lower"] <= 0.4
    assert shown["resistance_growth"]["lower"] <= 1.3 <= shown["resistance_growth"]["upper"]
    assert shown["resistance_growth"]["value"] == pytest.approx(1.3, abs=0.1)


def test_use_that_hardly_moves_the_soc_tells_no_capacity(bmsbench, tmp_path: Path) -> None:
    t_s, current_a, soc, voltage_v = (column[:300] for column in aged(1))
    log = write_log(tmp_path / "log.csv", t_s, current_a, soc, v_V=voltage_v)
    shown = bmsbench("estimate", log, *NMC, "--json").shown

    assert shown["capacity_ah"] is None
    (reason,) = (text for text in shown["untold"] if text.startswith("capacity"))
    assert "or use that tells it within 20 %" in reason
    assert "the SOC must move farther" in reason


def test_estimate_prints_tables(bmsbench, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", *drive(20))
    said = bmsbench("estimate", log, *NMC, "--out", "soc.csv")

    assert said.code == 0, said.err
    for words in ("v_V", "SOC at the last row", "Mean resistance between two samples, 1 s apart", "soc.csv"):
        assert words in said.out


def test_estimate_flags_the_wrong_sign_and_tells_no_resistance_from_it(bmsbench, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", *drive(20))
    said = bmsbench("estimate", log, "--cell", "nmc_58ah", "--columns", "t=t_s,i=i_A,v=v_V")

    assert said.code == 0, said.err
    assert said.err.count("WRONG SIGN?") == 1
    assert "add --discharge-positive" in said.err
    assert "25 degC assumed" in said.err
    assert "Not told: resistance: expected a voltage that rises with the current, found -1.2" in said.out


def test_a_stated_temperature_beside_a_measured_one_is_flagged(bmsbench, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", *drive(20))
    said = bmsbench("estimate", log, *NMC, "--temperature", "0")

    assert "--temperature 0 is not used: the log has its own, temp_C" in said.err


def test_a_pack_is_not_one_cell(bmsbench, tmp_path: Path) -> None:
    (tmp_path / "pack.csv").write_text("t,i,c1,c2\n" + "".join(f"{k},0,3.7,3.7\n" for k in range(20)))
    said = bmsbench("estimate", "pack.csv", "--cell", "nmc_58ah", "--columns", "t=t,i=i,v=c*")

    assert said.code == 4
    assert "expected one column for v (v=NAME), found 2 of them; name one of c1, c2" in said.err


def test_a_cell_of_another_chemistry_is_flagged(bmsbench, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", *drive(20))
    said = bmsbench("estimate", log, "--cell", "lfp_280ah", *COLUMNS)

    assert "is --cell of another chemistry?" in said.err


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
        ((*NMC, "--initial-soc-uncertainty", "0.1"), "expected an --initial-soc with it, found none."),
        ((*NMC, "--current-offset", "nan"), "--current-offset: expected a number of ampere, found nan."),
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
    path = measured("lg_hg2/25degC_US06_1s.csv")
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


# -- help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["estimate", "judge", "fit-cell"])
def test_help_shows_a_mapping_to_copy(bmsbench, verb: str) -> None:
    said = bmsbench(verb, "--help")

    assert said.code == 0
    for words in ("--columns", "--discharge-positive", "--gap-factor", "v=cell_*_mV", "More in docs/how-to/"):
        assert words in said.out
