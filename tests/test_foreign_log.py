"""Foreign logs: whatever a logger writes is read as it was meant, or refused with line, column and remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from asammdf import MDF, Signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.foreign_log import ForeignLog, checked, read_log, read_mapping
from bench.foreign_log.units import unit_in_name
from tests.measured import measured

COLUMNS = "t=t_s,i=i_A,v=v_V,T=temp_C"


def log_of(tmp_path: Path, text: str | bytes, columns: str = COLUMNS, **stated) -> ForeignLog:
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(path, read_mapping(columns, **stated))


def values(log: ForeignLog) -> dict[str, list[float]]:
    return {str(column): column.value.tolist() for column in log.columns}


def kinds(log: ForeignLog) -> set[str]:
    return {flag.kind for flag in log.flags}


# -- as loggers write ---------------------------------------------------------------------------------

PLAIN = {"i": [-1.5, 2.0], "v": [3.7, 3.71], "T": [25.0, 24.5]}
WRITTEN = {
    "plain": "t_s,i_A,v_V,temp_C\n0,-1.5,3.7,25\n1,2,3.71,24.5\n",
    "semicolons and decimal commas": "t_s;i_A;v_V;temp_C\n0;-1,5;3,7;25\n1;2;3,71;24,5\n",
    "tabs": "t_s\ti_A\tv_V\ttemp_C\n0\t-1.5\t3.7\t25\n1\t2\t3.71\t24.5\n",
    "byte-order mark, CRLF": "\ufefft_s,i_A,v_V,temp_C\r\n0,-1.5,3.7,25\r\n1,2,3.71,24.5\r\n",
    "line ends of old Macs": "t_s,i_A,v_V,temp_C\r0,-1.5,3.7,25\r1,2,3.71,24.5\r",
    "a word for the spreadsheet": "sep=;\nt_s;i_A;v_V;temp_C\n0;-1,5;3,7;25\n1;2;3,71;24,5\n",
    "quotes": '"t_s","i_A","v_V","temp_C"\n"0","-1.5","3.7","25"\n"1","2","3.71","24.5"\n',
    "quoted decimal commas": 't_s;i_A;v_V;temp_C\n"0";"-1,5";"3,7";"25"\n"1";"2";"3,71";"24,5"\n',
    "comments": "# cycler 7\nt_s,i_A,v_V,temp_C\n# begins\n0,-1.5,3.7,25\n\n1,2,3.71,24.5\n# ends\n",
    "header in a comment": "# t_s,i_A,v_V,temp_C\n0,-1.5,3.7,25\n1,2,3.71,24.5\n",
    "words above": "Cycler;X\nOperator, date\n\nt_s,i_A,v_V,temp_C\n0,-1.5,3.7,25\n1,2,3.71,24.5\n",
    "a row of units": "t_s,i_A,v_V,temp_C\ns,A,V,°C\n0,-1.5,3.7,25\n1,2,3.71,24.5\n",
    "other columns": "n,mode,t_s,temp_C,v_V,i_A\n1,CHG,0,25,3.7,-1.5\n2,,1,24.5,3.71,2\n",
    "a comma at the end": "t_s,i_A,v_V,temp_C,\n0,-1.5,3.7,25,\n1,2,3.71,24.5,\n",
}


@pytest.mark.parametrize("make", WRITTEN)
def test_every_make_of_csv_reads_the_same(tmp_path: Path, make: str) -> None:
    log = log_of(tmp_path, WRITTEN[make])

    assert log.t_s.tolist() == [0.0, 1.0]
    assert values(log) == PLAIN


def test_text_in_utf_16_and_in_latin_1_is_read(tmp_path: Path) -> None:
    text = "t_s,i_A,v_V,T/°C\n0,-1.5,3.7,25\n1,2,3.71,24.5\n"
    columns = "t=t_s,i=i_A,v=v_V,T=T/°C"

    assert values(log_of(tmp_path, text.encode("utf-16"), columns)) == PLAIN
    assert values(log_of(tmp_path, text.encode("latin-1"), columns)) == PLAIN


#: In the manner of cyclers: names with units in brackets or behind a stroke, clocks, rows of units.
MANNERS = {
    "brackets": (
        "n,Test_Time(s),Current(A),Voltage(V),Aux_1 (C)\n1,0.0,-1.5,3.7,25\n2,1.0,2,3.71,24.5\n",
        "t=Test_Time(s),i=Current(A),v=Voltage(V),T=Aux_1 (C)",
    ),
    "strokes, tabs, decimal commas, words above": (
        "ASCII FILE\r\nNb header lines : 3\r\nmode\ttime/s\tEcell/V\t<I>/mA\tT/°C\r\n"
        "1\t0,0E+00\t3,70E+00\t-1,50E+03\t25,0\r\n1\t1,0E+00\t3,71E+00\t2,0E+03\t24,5\r\n",
        "t=time/s,i=<I>/mA,v=Ecell/V,T=T/°C",
    ),
    "a clock, mV and mA": (
        "\ufeffID,Time(h:min:s.ms),Voltage(mV),Current(mA),T(℃)\n"
        "1,0:00:00.000,3700,-1500,25\n2,0:00:01.000,3710,2000,24.5\n",
        "t=Time(h:min:s.ms),i=Current(mA),v=Voltage(mV),T=T(℃)",
    ),
    "hours and a row of units": (
        "#Cell: X\nStep;Test Time;Voltage;Current;Temp\n;h;V;A;°C\n"
        "1;0;3,7;-1,5;25\n1;0,00027777778;3,71;2;24,5\n",
        "t=Test Time,i=Current,v=Voltage,T=Temp",
    ),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_what_cyclers_write_needs_no_units_stated(tmp_path: Path, manner: str) -> None:
    text, columns = MANNERS[manner]
    log = log_of(tmp_path, text, columns)

    assert log.t_s == pytest.approx([0.0, 1.0], abs=1e-6)
    for key, expected in PLAIN.items():
        assert log.only(key).value == pytest.approx(expected)


@pytest.mark.parametrize(
    "stamps",
    [
        ("2026-03-29T00:59:59.5+00:00", "2026-03-29T03:00:01+02:00"),  # over the change to summer time
        ("2026-03-31 23:59:59.500", "2026-04-01 00:00:01.000"),
        ("2026/03/31 12:00:00.5", "2026/03/31 12:00:02"),
        ("0:59:59.5", "1:00:01"),
        ("1d 00:00:00.5", "1d 00:00:02"),
    ],
)
def test_dates_and_clocks_count_from_the_first_row(tmp_path: Path, stamps: tuple[str, str]) -> None:
    log = log_of(tmp_path, "when,i_A\n" + "\n".join(f"{s},1" for s in stamps), "t=when,i=i_A")

    assert log.t_s == pytest.approx([0.0, 1.5], abs=1e-9)
    assert "stamps" in kinds(log)


def test_cells_of_a_pack_by_pattern_are_counted_from_0_by_number_not_by_text(tmp_path: Path) -> None:
    names = ",".join(f"cell_{n}_mV" for n in (10, 1, 2, 9, 3, 4, 5, 6, 7, 8))
    row = ",".join(str(3300 + n) for n in (10, 1, 2, 9, 3, 4, 5, 6, 7, 8))
    log = log_of(tmp_path, f"t,{names},cell_max_mV\n0,{row},3310\n", "t=t,v=cell_*_mV")

    assert [column.name for column in log.of("v")] == [f"cell_{n}_mV" for n in range(1, 11)]
    assert [column.value[0] for column in log.of("v")] == pytest.approx(
        [3.3 + n / 1000 for n in range(1, 11)]
    )


def test_a_pattern_on_both_sides_takes_names_over(tmp_path: Path) -> None:
    log = log_of(tmp_path, "t,flag_ov,flag_uv\n0,0,off\n1,1,ON\n", "t=t,alarm.*=flag_*")

    assert values(log) == {"alarm.ov": [0.0, 1.0], "alarm.uv": [0.0, 1.0]}


# -- units and sign -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "unit"),
    [("v_V", "V"), ("cell_1_mV", "mV"), ("Voltage (V)", "V"), ("I [mA]", "mA"), ("T/°C", "degC"),
     ("time_h", "h"), ("soc_percent", "percent"), ("SOC [%]", "percent"), ("T_F", "degF"),
     ("cell_1", None), ("voltage", None), ("soc_ref", None), ("ah_discharged", None)],
)  # fmt: skip
def test_the_end_of_a_name_says_the_unit(column: str, unit: str | None) -> None:
    assert unit_in_name(column) == unit


# Hand-computed: 32 °F is 0 °C, 212 °F is 100 °C; 0 K is -273.15 °C.
SCALES = [
    ("i", "mA", 2500.0, 2.5), ("i", "kA", 0.2, 200.0), ("v", "mV", 3300.0, 3.3), ("T", "K", 298.15, 25.0),
    ("T", "degF", 32.0, 0.0), ("T", "degF", 212.0, 100.0), ("soc", "percent", 55.0, 0.55),
]  # fmt: skip


@pytest.mark.parametrize(("key", "unit", "written", "physical"), SCALES)
def test_units_stated_named_or_in_a_row_give_the_same(
    tmp_path: Path, key: str, unit: str, written: float, physical: float
) -> None:
    stated = log_of(tmp_path, f"t,x\n0,{written}\n", f"t=t,{key}=x", units=f"{key}={unit}")
    named = log_of(tmp_path, f"t,x_{unit}\n0,{written}\n", f"t=t,{key}=x_{unit}")
    in_a_row = log_of(tmp_path, f"t,x\ns,{unit}\n0,{written}\n", f"t=t,{key}=x")

    for log, origin in ((stated, "stated"), (named, "name"), (in_a_row, "file")):
        assert log.only(key).value[0] == pytest.approx(physical)
        assert (log.only(key).unit, log.only(key).unit_from) == (unit, origin)


@pytest.mark.parametrize(("unit", "seconds"), [("ms", 0.09), ("min", 5400.0), ("h", 324000.0)])
def test_time_in_other_units_becomes_seconds(tmp_path: Path, unit: str, seconds: float) -> None:
    log = log_of(tmp_path, "t,i\n0,1\n90,1\n", "t=t,i=i", units=f"t={unit}")

    assert log.t_s.tolist() == pytest.approx([0.0, seconds])


def test_current_is_factor_times_raw_plus_offset_and_then_turned(tmp_path: Path) -> None:
    # 1500 mA of discharge, offset 0.2 A in the log's own sign: 1.7 A of discharge, -1.7 A of charge.
    text = "t_s,i_mA\n0,1500\n"
    log = log_of(tmp_path, text, "t=t_s,i=i_mA", discharge_positive=True, current_offset_a=0.2)

    assert log.only("i").value.tolist() == pytest.approx([-1.7])


def test_insisting_overrules_the_name_of_a_column(tmp_path: Path) -> None:
    log = log_of(tmp_path, "t,cell_A\n0,3.3\n", "t=t,v=cell_A", units="v==V")

    assert log.only("v").value.tolist() == [3.3]


# -- refused ------------------------------------------------------------------------------------------

HEADER = "t_s,i_A,v_V,temp_C\n"
REFUSED = {
    "no such column": (HEADER + "0,1,3.7,25\n", {"columns": "t=t_s,i=I_A"}, "'I_A' for i", "mean 'i_A'"),
    "no time": (HEADER + "0,1,3.7,25\n", {"columns": "i=i_A"}, "the column of the time (t=NAME)"),
    "nothing but time": (HEADER + "0,1,3.7,25\n", {"columns": "t=t_s"}, "columns beside the time"),
    "two columns of a name": ("t,i,i\n0,1,2\n", {"columns": "t=t,i=i"}, "log.csv:1", "one column 'i'"),
    "an empty file": ("", {}, "names of the columns"),
    "a header alone": (HEADER, {}, "rows of numbers"),
    "a word for a number": (HEADER + "0,1,3.7,25\n1,x,3.7,25\n", {}, "log.csv:3, column 'i_A'", "'x'"),
    "a comma in a number": (HEADER + '0,"1,5",3.7,25\n', {}, "log.csv:2", "decimal comma"),
    "two marks in a number": ("t_s;i_A;v_V;temp_C\n0;1.000,5;3,7;25\n", {}, "log.csv:2", "'1.000,5'"),
    "more fields than names": (HEADER + "0,1,3,7,25\n", {}, "log.csv:2", "4 fields", "found 5"),
    "an open quote": (HEADER + '0,1,"3.7,25\n1,1,3.7,25\n2,1,3.7,25\n', {}, "log.csv:2", "quote"),
    "a row without a time": (HEADER + "0,1,3.7,25\n,1,3.7,25\n", {}, "log.csv:3, column 't_s'", "none in 1"),
    "time backwards": (HEADER + "5,1,3.7,25\n4,1,3.7,25\n", {}, "log.csv:3", "not before 5 s", "found 4 s"),
    "stamps too coarse": (HEADER + "0,1,3.7,25\n" * 9, {}, "8 of 9 rows", "finer stamps"),
    "an empty column": (HEADER + "0,,3.7,25\n1,,3.7,25\n", {}, "column 'i_A'", "none in any row"),
    "a unit against the name": (
        HEADER + "0,1,3.7,25\n", {"units": "i=mA"}, "'A' by its name", "--units i==mA",
    ),
    "a name of another quantity": ("t,x_A\n0,1\n", {"columns": "t=t,v=x_A"}, "unit of voltage", "'A' by its"),
    "a unit row against the name": (
        "t,x_V\ns,mV\n0,1\n", {"columns": "t=t,v=x_V"}, "'V' by its name and 'mV'",
    ),
    "an unknown unit": (HEADER + "0,1,3.7,25\n", {"units": "i=furlong"}, "--units i", "A, mA, uA, kA"),
    "a unit for dates": ("t,i\n2026-01-01,1\n", {"columns": "t=t,i=i", "units": "t=ms"}, "--units t"),
    "a state that is none": (
        "t,p\n0,1\n1,2\n", {"columns": "t=t,charge_path=p"}, "log.csv:3", "open or closed",
    ),
    "a hole in the cells": ("t,c1,c3\n0,3,3\n", {"columns": "t=t,v=c*"}, "3 after 1", "v0=..., v1=..."),
    "cells from 7": ("t,c7,c8\n0,3,3\n", {"columns": "t=t,v=c*"}, "from 0 or 1", "found 7"),
    "cell 1 without cell 0": ("t,c\n0,3\n", {"columns": "t=t,v1=c"}, "v0 missing"),
    "separators of thousands": (
        't_s,i_A,v_V,temp_C\n0,"1,000.5",3.7,25\n', {}, "separators of thousands, and with a decimal point",
    ),
    "a date of another form": ("t,i\n31.03.2026 12:00:00,1\n", {"columns": "t=t,i=i"}, "ISO 8601 is read"),
    "a clock through midnight": (
        "t,i\n23:59:59,1\n00:00:00,1\n", {"columns": "t=t,i=i"}, "log.csv:3", "midnight needs the date",
    ),
    "binary data": (HEADER + "0,\x001,3.7,25\n", {}, "text (CSV) or an MF4 file", "binary data"),
    "a workbook": ("PK\x03\x04,1,3.7,25\n", {}, "a workbook", "save it as CSV"),
    "an offset that is none": (HEADER, {"current_offset_a": float("inf")}, "--current-offset", "found inf"),
    "zones now and then": (
        "t,i\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:01,1\n", {"columns": "t=t,i=i"}, "zone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_place_and_remedy(tmp_path: Path, case: str) -> None:
    text, stated, *told = REFUSED[case]

    with pytest.raises(InvalidInput) as refusal:
        log_of(tmp_path, text, **stated)

    for words in told:
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("columns", "units", "told"),
    [
        ("t", "", "key=column,key=column"),
        ("q=x", "", "a key of t, i, v, T"),
        ("pack=x", "", "did you mean pack_v?"),
        ("t=a,t=b", "", "found t twice"),
        ("i0=a", "", "a key of"),
        ('"t=a', "", "--columns: expected key=column"),
        ("t=a", "volt=mV", "--units: expected key=unit"),
    ],
)
def test_a_mapping_that_says_nothing_usable_is_refused(columns: str, units: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_mapping(columns, units)

    assert told in str(refusal.value)


@pytest.mark.parametrize("name", ["log.csv", "log.mf4"])
def test_a_folder_is_no_log(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InvalidInput, match="expected a log that can be read, found Is a directory"):
        read_log(tmp_path / name, read_mapping("i=i"))


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.mf4", ""])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="expected a log that can be read"):
        read_log(tmp_path / name, read_mapping("i=i"))


# -- flagged ------------------------------------------------------------------------------------------


def test_cells_without_a_value_are_left_out_and_flagged(tmp_path: Path) -> None:
    log = log_of(tmp_path, HEADER + "0,1,3.7,25\n1,,3.7,NaN\n2,inf,-,25\n3,4,3.7,25\n")

    assert values(log) == {"i": [1.0, 4.0], "v": [3.7, 3.7, 3.7], "T": [25.0, 25.0, 25.0]}
    assert [str(flag) for flag in log.flags] == [
        "missing: line 3: i_A, temp_C: 1 of 4 rows without a value, left out",
        "non-finite: line 4: i_A: 1 of 4 rows infinite or beyond all measure, left out",
        "missing: line 4: v_V: 1 of 4 rows without a value, left out",
    ]


def test_of_rows_with_one_stamp_the_last_counts(tmp_path: Path) -> None:
    log = log_of(tmp_path, HEADER + "0,1,3.7,25\n1,2,3.7,25\n1,3,3.7,25\n2,4,3.7,25\n")

    assert log.t_s.tolist() == [0.0, 1.0, 1.0, 2.0]
    assert log.only("i").t_s.tolist() == [0.0, 1.0, 2.0]
    assert log.only("i").value.tolist() == [1.0, 3.0, 4.0]
    assert "repeated" in kinds(log)


@pytest.mark.parametrize(("pause_s", "is_gap"), [(10.0, False), (10.1, True)])
def test_a_pause_of_more_than_ten_periods_is_a_gap(tmp_path: Path, pause_s: float, is_gap: bool) -> None:
    rows = [*range(20), *(19 + pause_s + k for k in range(20))]
    log = log_of(tmp_path, HEADER + "".join(f"{t},1,3.7,25\n" for t in rows))

    assert ("gap" in kinds(log)) is is_gap
    assert np.flatnonzero(log.gap).tolist() == ([20] if is_gap else [])


def test_a_row_that_broke_off_counts_as_missing_and_is_flagged(tmp_path: Path) -> None:
    log = log_of(tmp_path, HEADER + "0,1,3.7,25\n1,2,3.7,25\n2,3")

    assert values(log)["v"] == [3.7, 3.7]
    assert {"short row", "missing"} <= kinds(log)


def test_a_value_is_held_and_grows_too_old() -> None:
    from bench.foreign_log.log import Column

    column = Column(
        "v", None, "v", "V", "default", False, np.array([1.0, 3.0]), np.array([3.3, 3.4]), np.array([2, 4])
    )
    at_s = np.array([0.0, 1.0, 2.9, 3.0, 5.0, 5.1])

    assert column.held(at_s, max_age_s=2.0) == pytest.approx(
        [np.nan, 3.3, 3.3, 3.4, 3.4, np.nan], nan_ok=True
    )


# -- measurement files --------------------------------------------------------------------------------


@pytest.fixture
def mf4(tmp_path: Path) -> Path:
    """Current every second in mA, voltage every 2 s, a second U in another group, a switch in words."""
    file = MDF()
    t_s = np.arange(6.0)
    file.append([Signal(t_s * 100.0, t_s, name="I", unit="mA")])
    file.append(
        [Signal(np.array([3300, 3310, 3320], np.uint16), np.array([0.5, 2.5, 4.5]), name="U", unit="mV")]
    )
    file.append([Signal(np.array([80.0]), np.array([0.0]), name="U", unit="V")])
    file.append([Signal(np.array([b"open", b"closed"]), np.array([0.0, 3.0]), name="S", encoding="utf-8")])
    file.save(tmp_path / "log.mf4")
    file.close()
    return tmp_path / "log.mf4"


def test_channels_keep_their_own_times(mf4: Path) -> None:
    log = read_log(mf4, read_mapping("t=time,i=I,v=U@1,charge_path=S"))

    assert log.t_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert log.only("i").value.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert log.only("v").t_s.tolist() == [0.5, 2.5, 4.5]
    assert log.only("v").value.tolist() == pytest.approx([3.30, 3.31, 3.32])
    assert log.only("charge_path").value.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("i=I,v=U", "several groups have one, name it U@1 or U@2"),
        ("t=t_s,i=I", "expected no t: each channel"),
        ("i=S", "log.mf4:1, column 'S'"),
    ],
)
def test_what_a_measurement_file_cannot_give_is_refused(mf4: Path, columns: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_log(mf4, read_mapping(columns))

    assert told in str(refusal.value)


def test_a_damaged_measurement_file_is_refused(mf4: Path) -> None:
    whole = mf4.read_bytes()
    for size in (4, 64, 200, len(whole) // 2):
        mf4.write_bytes(whole[:size])
        with pytest.raises(InvalidInput, match=r"log\.mf4: expected an intact MDF file"):
            read_log(mf4, read_mapping("i=I"))


def test_a_measurement_file_is_not_opened_for_writing(mf4: Path) -> None:
    mf4.chmod(0o444)
    before = mf4.read_bytes()
    read_log(mf4, read_mapping("i=I"))

    assert mf4.read_bytes() == before


def test_without_asammdf_it_is_told_what_to_install(mf4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asammdf", None)

    with pytest.raises(InvalidInput, match=r"pip install bmsbench\[mf4\]"):
        read_log(mf4, read_mapping("i=I"))


# -- properties ---------------------------------------------------------------------------------------

finite = st.floats(-500.0, 500.0).map(lambda x: round(x, 6))
SAFE_NAMES = st.text("abcdefgh XYZ-.", min_size=1, max_size=8).map(lambda s: f"c{s.strip()}q")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(finite, st.floats(2.0, 4.5), st.floats(-40.0, 90.0)), min_size=2, max_size=20),
    names=st.lists(SAFE_NAMES, min_size=4, max_size=4, unique=True),
    order=st.permutations(range(4)),
    units=st.tuples(
        st.sampled_from([("s", 1.0, 0.0), ("ms", 1e3, 0.0), ("min", 1 / 60.0, 0.0)]),
        st.sampled_from([("A", 1.0, 0.0), ("mA", 1e3, 0.0), ("kA", 1e-3, 0.0)]),
        st.sampled_from([("V", 1.0, 0.0), ("mV", 1e3, 0.0)]),
        st.sampled_from([("degC", 1.0, 0.0), ("K", 1.0, 273.15), ("degF", 1.8, 32.0)]),
    ),
    form=st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]),
    discharge_positive=st.booleans(),
    offset_a=st.floats(-2.0, 2.0),
)
def test_what_is_written_in_any_mapping_unit_and_sign_is_read_back(
    tmp_path: Path, rows, names, order, units, form, discharge_positive, offset_a
) -> None:
    """Written by the reverse of what is documented: raw = (± physical - offset) in the log's unit."""
    t_s = np.arange(len(rows)) * 1.5
    current_a, voltage_v, temperature_degc = (np.array(column) for column in zip(*rows, strict=True))
    raw_a = (-current_a if discharge_positive else current_a) - offset_a
    table = [
        physical * factor + shift
        for physical, (_, factor, shift) in zip((t_s, raw_a, voltage_v, temperature_degc), units, strict=True)
    ]
    delimiter, mark = form
    lines = [delimiter.join(names[k] for k in order)]
    lines += [
        delimiter.join(repr(float(table[k][n])).replace(".", mark) for k in order) for n in range(len(t_s))
    ]
    keys = ("t", "i", "v", "T")
    log = log_of(
        tmp_path,
        "\n".join(lines),
        ",".join(f"{key}={name}" for key, name in zip(keys, names, strict=True)),
        units=",".join(f"{key}={unit[0]}" for key, unit in zip(keys, units, strict=True)),
        discharge_positive=discharge_positive,
        current_offset_a=offset_a,
    )

    assert log.t_s == pytest.approx(t_s)
    assert log.only("i").value == pytest.approx(current_a, abs=1e-9)
    assert log.only("v").value == pytest.approx(voltage_v)
    assert log.only("T").value == pytest.approx(temperature_degc, abs=1e-9)


PIECES = st.sampled_from(
    [b"t_s", b"i_A", b",", b";", b"\t", b"\n", b"\r", b'"', b"#", b"1", b"-2.5", b"1e999", b"nan", b"\x00",
     b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"2026-01-01", b"9999999999:00:00", b"0:00:01", b"_", b"*", b" ",
     b"MDF     "]
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join)),
    with_header=st.booleans(),
)
def test_any_bytes_are_a_log_or_are_refused(tmp_path: Path, data: bytes, with_header: bool) -> None:
    try:
        log = checked(log_of(tmp_path, b"t_s,i_A\n" * with_header + data, "t=t_s,i=i_A"))
    except InvalidInput:
        return
    assert np.isfinite(log.t_s).all()
    assert np.isfinite(log.only("i").value).all()
    assert (np.diff(log.only("i").t_s) > 0.0).all()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_called_mf4_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log.mf4").write_bytes(b"MDF     4.10    " + data)

    with pytest.raises(InvalidInput):
        read_log(tmp_path / "log.mf4", read_mapping("i=I"))


WORDS = st.sampled_from(
    ["t", "i", "v", "v0", "v1", "T", "=", "=", ",", "c*", "c1", "*", "a.*", "alarm.*", "alarm.", "switch.x",
     '"', "==", "mV", "K", " ", "\n", "é", "soc", "pack_v"]
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=st.lists(WORDS, max_size=14).map("".join), units=st.lists(WORDS, max_size=6).map("".join))
def test_any_mapping_is_understood_or_is_refused(tmp_path: Path, columns: str, units: str) -> None:
    text = "t,i,c1,c2,T1,a.b,*\n0,1,3,3,25,0,1\n1,2,3,3,25,1,0\n"
    try:
        log = log_of(tmp_path, text, f"t=t,{columns}", units=units)
    except InvalidInput:
        return
    assert log.columns
    assert {column.name for column in log.columns} <= {"t", "i", "c1", "c2", "T1", "a.b", "*"}


# -- real logs ----------------------------------------------------------------------------------------


def test_a_real_log_reads_whole(tmp_path: Path) -> None:
    path = measured("lg_hg2/25degC_US06_1s.csv")
    log = checked(read_log(path, read_mapping(COLUMNS, discharge_positive=True)))

    # Row 2 of the file, by eye: 1.0,0.088,4.18361,23.87.
    assert (log.t_s[0], *(log.only(key).value[0] for key in "ivT")) == (1.0, -0.088, 4.18361, 23.87)
    assert len(log.t_s) == 4016
    assert log.flags == ()
