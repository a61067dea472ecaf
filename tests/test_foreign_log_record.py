"""A foreign log as records: channels side by side, pauses that say nothing, events that still hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.foreign_log import ForeignLog, checked, read_log, read_mapping
from bench.foreign_log.events import read_events
from bench.foreign_log.keys import KEYS
from bench.foreign_log.record import records_of, traces_of
from bench.offline import judge_log
from bench.record import Event
from dut_profiles.profile import load_profile


def log_of(tmp_path: Path, text: str, columns: str, reported: str = "", **stated: float) -> ForeignLog:
    (tmp_path / "log.csv").write_text(text)
    said = read_mapping(reported, option="--reported")
    return read_log(tmp_path / "log.csv", read_mapping(columns), said, **stated)


def rows(times: list[float], value: str = "1") -> str:
    return "t,x\n" + "".join(f"{t},{value}\n" for t in times)


def test_measured_and_reported_columns_become_traces_under_their_standard_names(tmp_path: Path) -> None:
    text = "t,i_A,c1,c2,bms1,bms2,ov,K1\n" + "".join(f"{t},5,3.3,3.4,3.29,3.41,0,closed\n" for t in range(5))
    log = log_of(tmp_path, text, "t=t,i=i_A,v=c*,charge_path=K1", "v=bms*,alarm.cell_overvoltage=ov")
    traces, flags = traces_of(log, channels={"v": 2}, uncertainty={"v": 0.002})

    assert set(traces) == {"current_a", "cell_v", "charge_path", "dut.cell_v", "dut.alarm.cell_overvoltage"}
    assert traces["cell_v"].value.tolist() == [[3.3, 3.4]] * 5
    assert traces["dut.cell_v"].value.tolist() == [[3.29, 3.41]] * 5
    assert (traces["cell_v"].uncertainty, traces["dut.cell_v"].uncertainty) == (0.002, 0.0)
    assert (traces["cell_v"].origin.kind, traces["dut.cell_v"].origin.kind) == ("measured", "reported")
    assert (traces["current_a"].unit, traces["cell_v"].unit, traces["charge_path"].unit) == ("A", "V", "1")
    assert traces["charge_path"].value.tolist() == [1.0] * 5
    assert flags == []


def test_every_trace_that_the_reference_model_reads_has_a_key() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "record.md").read_text(encoding="utf-8")
    tables, _, _ = page.partition("## Events")
    rows = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([\w.<>]+)`", row)}
    keyed = {key.trace for key in KEYS.values()}

    assert len(documented) > 20
    unknown = {name for name in documented if name.removeprefix("dut.") not in keyed}
    assert {name for name in unknown if not name.startswith(("switch.", "dut.alarm."))} == set()


def test_channels_that_are_not_mapped_count_as_not_measured(tmp_path: Path) -> None:
    log = log_of(tmp_path, "t,c0\n0,3.3\n1,3.3\n", "t=t,v=c*")
    traces, flags = traces_of(log, channels={"v": 3}, uncertainty={})

    assert traces["cell_v"].value.shape == (2, 3)
    assert np.isnan(traces["cell_v"].value[:, 1:]).all()
    assert [flag.kind for flag in flags] == ["channels"]
    with pytest.raises(InvalidInput, match="expected 0 columns"):
        traces_of(log, channels={"v": 0}, uncertainty={})


def test_cells_sampled_in_turn_are_held_for_two_and_a_half_periods(tmp_path: Path) -> None:
    # Cell 0 every second; cell 1 half a second later, and silent from 3.5 s on.
    lines = ["t,c0,c1"]
    for second in range(8):
        lines.append(f"{second},{3.0 + second / 10},")
        if second < 4:
            lines.append(f"{second}.5,,{3.0 + second / 10}")
    log = log_of(tmp_path, "\n".join(lines), "t=t,v=c*")
    traces, flags = traces_of(log, channels={"v": 2}, uncertainty={})

    nan = np.nan
    assert traces["cell_v"].t_s.tolist() == [float(s) for s in range(8)]
    held = [nan, 3.0, 3.1, 3.2, 3.3, 3.3, 3.3, nan]  # at 6 s the sample of 3.5 s is 2.5 s old
    assert traces["cell_v"].value[:, 1] == pytest.approx(held, nan_ok=True)
    assert [flag.kind for flag in flags] == ["held"]


def test_a_pause_of_one_measured_column_gets_a_sample_that_says_nothing(tmp_path: Path) -> None:
    lines = ["t,x,y", *(f"{t},{'' if 20 < t < 40 else 5},1" for t in range(60))]
    log = log_of(tmp_path, "\n".join(lines), "t=t,i=x,pack_v=y", "i=x")
    traces, _ = traces_of(log, channels={}, uncertainty={})
    (record,) = records_of(log, traces, [])

    assert not log.gap.any()
    assert record.current_a.t_s.tolist() == [*range(21), 21.0, *range(40, 60)]
    assert np.flatnonzero(np.isnan(record.current_a.value)).tolist() == [21]
    assert record["dut.current_a"].t_s.tolist() == [*range(21), *range(40, 60)]
    assert not np.isnan(record["pack_v"].value).any()


def test_a_log_is_cut_at_its_gaps_and_events_before_a_stretch_still_hold(tmp_path: Path) -> None:
    log = log_of(tmp_path, rows([*range(10), *range(100, 110), 500, *range(900, 910)]), "t=t,i=x")
    traces, _ = traces_of(log, channels={}, uncertainty={})
    events = [Event(1.0, "mode", "charge"), Event(105.0, "reset", "reset")]
    first, second, last = records_of(log, traces, events)

    assert [len(record.current_a) for record in (first, second, last)] == [10, 10, 10]
    assert (second.current_a.t_s[0], second.current_a.t_s[-1]) == (100.0, 109.0)
    assert [len(record.events) for record in (first, second, last)] == [1, 2, 2]


def test_a_wider_gap_factor_leaves_the_log_whole(tmp_path: Path) -> None:
    text = rows([*range(10), *range(100, 110)])

    for factor, stretches in ((10.0, 2), (90.9, 2), (91.1, 1)):
        log = log_of(tmp_path, text, "t=t,i=x", gap_factor=factor)
        traces, _ = traces_of(log, channels={}, uncertainty={})
        assert len(records_of(log, traces, [])) == stretches


def test_a_table_of_two_rates_has_no_gap(tmp_path: Path) -> None:
    """100 rows within 10 ms every second, as a bus logger writes them, are one log of one rate."""
    lines = ["t,x,y"]
    for second in range(20):
        lines += [f"{second}.{k:04d},{5 if k == 0 else ''},{1 if k == 50 else ''}" for k in range(100)]
    log = log_of(tmp_path, "\n".join(lines), "t=t,i=x,pack_v=y")

    assert not log.gap.any()


def near(low: float, high: float) -> st.SearchStrategy[str]:
    """Mostly a number of that range; now and then what loggers write where they have none, or nonsense."""
    odd = st.sampled_from(["", "nan", "inf", "65.535", "1e308", "-1e-320"])
    return st.integers(0, 40).flatmap(lambda k: odd if k == 0 else st.floats(low, high).map(repr))


STEPS = st.sampled_from([0.0, 0.1, *[1.0] * 8, 100.0, 1e5, 1e9])
ROWS = st.lists(st.tuples(STEPS, near(-50, 50), near(2.6, 4.1), near(-10, 50)), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=ROWS)
def test_any_numbers_can_be_judged_or_are_refused(tmp_path: Path, steps: list[tuple]) -> None:
    t_s = np.cumsum([step[0] for step in steps]).tolist()
    text = "t,i,v,T\n" + "".join(f"{t!r},{','.join(step[1:])}\n" for t, step in zip(t_s, steps, strict=True))
    try:
        log = checked(log_of(tmp_path, text, "t=t,i=i,v=v,T=T", "i=i,v=v"))
        found = judge_log(log, load_profile("hd_lfp_24s"), uncertainty={"v": 0.01})
    except InvalidInput:
        return
    assert found.verdict == ("fail" if found.findings else "pass" if found.judged else "inconclusive")
    assert all(np.isfinite(finding.t_s) for finding in found.findings)


# -- events -------------------------------------------------------------------------------------------


def test_events_are_read_from_lines_and_from_a_scenario_of_evidence(tmp_path: Path) -> None:
    mode = '{"t_s": 4.5, "kind": "mode", "mode": "charge"}'
    reset = '{"t_s": 5, "kind": "reset", "data": {"service": true}}'
    stored = '{"t_s": 4.5, "kind": "mode", "text": "asks", "data": {"mode": "charge"}}'
    (tmp_path / "flat").write_text(f"{mode}\n\n{reset}\n")
    (tmp_path / "whole").write_text(f'{{"id": "OV-01", "events": [{stored}]}}')

    assert read_events(tmp_path / "flat") == [
        Event(4.5, "mode", "mode", {"mode": "charge"}), Event(5.0, "reset", "reset", {"service": True}),
    ]  # fmt: skip
    assert read_events(tmp_path / "whole") == [Event(4.5, "mode", "asks", {"mode": "charge"})]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mode charge", ":1: expected a JSON object such as"),
        ("[1, 2]", ":1: expected a JSON object such as"),
        ('{"kind": "mode"}', ':1: expected "t_s"'),
        ('{"t_s": true, "kind": "mode"}', ':1: expected "t_s"'),
        ('{"t_s": NaN, "kind": "mode"}', ':1: expected "t_s"'),
        ('\n{"t_s": 1}', ':2: expected "kind"'),
        ('{"events": [{"t_s": 1}]}', 'event 1: expected "kind"'),
    ],
)
def test_events_that_cannot_be_read_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "events").write_text(text)

    with pytest.raises(InvalidInput) as refusal:
        read_events(tmp_path / "events")
    assert told in str(refusal.value)


def test_the_end_of_a_scenario_ends_what_is_judged(tmp_path: Path) -> None:
    log = log_of(tmp_path, rows([0.0, 1.0, 2.0, 3.0, 4.0]), "t=t,charge_path=x")
    traces, _ = traces_of(log, channels={}, uncertainty={})
    events = [Event(0.5, "mode", "charge", {"mode": "charge"}), Event(2.5, "end", "bench switches off", {})]
    (record,) = records_of(log, traces, events)
    (whole,) = records_of(log, traces, events[:1])

    assert record.traces()["charge_path"].t_s.tolist() == [0.0, 1.0, 2.0]
    assert [event.kind for event in record.events] == ["mode"]
    assert whole.traces()["charge_path"].t_s.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_stretches_behind_the_end_of_a_scenario_are_left_out(tmp_path: Path) -> None:
    log = log_of(tmp_path, rows([0.0, 1.0, 2.0, 60.0, 61.0, 120.0, 121.0]), "t=t,charge_path=x")
    traces, _ = traces_of(log, channels={}, uncertainty={})
    records = records_of(log, traces, [Event(90.0, "end", "bench switches off", {})])

    assert [record.traces()["charge_path"].t_s.tolist() for record in records] == [
        [0.0, 1.0, 2.0],
        [60.0, 61.0],
    ]
