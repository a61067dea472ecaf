"""Evidence survives a round trip, repeats byte for byte, and shows every alteration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.errors import EvidenceInvalid
from bench.evidence import EvidenceWriter, TraceFile, headline, load, relative_margin, verify
from bench.evidence.traces import pack_traces
from bench.record import Event, Origin, Trace
from bench.verdict import Verdict, Window, at_most
from tests import sample_evidence as sample


def test_what_was_written_is_read(tmp_path: Path) -> None:
    evidence = load(sample.build(tmp_path / "run"))

    assert evidence.run == sample.run_info()
    assert evidence.profile_text == sample.PROFILE
    assert evidence.station_text == sample.STATION
    assert [s.name for s in evidence.scenarios] == ["OV-02", "OV-10", "OV-01", "OV-05", "OC-07", "CT-11"]
    assert evidence.scenarios[0].result == sample.overvoltage_result(opened_s=7.3)
    assert evidence.scenarios[4].result == sample.error_result()


def test_nan_and_infinity_survive(tmp_path: Path) -> None:
    evidence = load(sample.build(tmp_path / "run"))

    never = evidence.scenarios[2].result
    assert math.isnan(never.judgements[0].measured)
    assert math.isnan(never.trips[0].response_s)
    assert never.judgements[1].earliest == -math.inf
    assert math.isnan(evidence.scenarios[3].result.judgements[0].latest)


def test_traces_survive_with_unit_origin_and_uncertainty(tmp_path: Path) -> None:
    traces = sample.overvoltage_traces(opened_s=7.3)

    stored = load(sample.build(tmp_path / "run")).scenarios[0].traces

    assert sorted(stored) == sorted(traces)
    for name, trace in traces.items():
        found = stored[name]
        assert (found.name, found.unit, found.origin) == (trace.name, trace.unit, trace.origin)
        assert found.uncertainty == trace.uncertainty
        assert found.value.dtype == np.float64
        np.testing.assert_array_equal(found.t_s, trace.t_s)
        np.testing.assert_array_equal(found.value, trace.value)


def test_numpy_opens_the_trace_file(tmp_path: Path) -> None:
    sample.build(tmp_path)

    with np.load(tmp_path / "evidence/traces/OV-02.npz") as found:
        assert found["cell_v"].shape == (600, 24)


def test_traces_sampled_together_share_one_time_axis() -> None:
    import io
    import zipfile

    packed = pack_traces(sample.overvoltage_traces(opened_s=7.3))

    members = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert [m for m in members if m.startswith("time.")] == ["time.0.npy", "time.1.npy"]


@given(
    arrays.arrays(
        np.float64,
        st.one_of(st.tuples(st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(1, 4))),
        elements=st.floats(width=64),
    )
)
def test_any_float_survives(tmp_path_factory: pytest.TempPathFactory, value: np.ndarray) -> None:
    trace = Trace("x", "1", np.arange(len(value), dtype=float), value, Origin("commanded", "test"), math.nan)
    path = tmp_path_factory.mktemp("t") / "x.npz"
    path.write_bytes(pack_traces({"x": trace}))

    found = TraceFile(path)["x"]

    assert found.value.tobytes() == value.tobytes()
    assert found.value.shape == value.shape
    assert math.isnan(found.uncertainty)


def test_a_trace_with_fewer_values_than_times_is_refused() -> None:
    trace = Trace("x", "V", np.zeros(3), np.zeros(2), Origin("measured", "cells"))

    with pytest.raises(ValueError, match="trace x: 3 times and 2 values"):
        pack_traces({"x": trace})


def test_two_runs_differ_only_in_the_run_file(tmp_path: Path) -> None:
    sample.build(tmp_path / "a")
    sample.build(tmp_path / "b", sample.run_info(started_utc="2027-01-01T00:00:00Z"))

    a, b = tmp_path / "a/evidence", tmp_path / "b/evidence"
    names = sorted(p.relative_to(a).as_posix() for p in a.rglob("*") if p.is_file())
    differ = [n for n in names if (a / n).read_bytes() != (b / n).read_bytes()]
    assert differ == ["chain.jsonl", "run.json", "seal.json"]
    lines = [(f / "chain.jsonl").read_text().splitlines() for f in (a, b)]
    assert lines[0][:-1] == lines[1][:-1]
    assert json.loads(lines[0][-1])["file"] == "run.json"


def test_a_second_result_of_one_scenario_gets_a_number(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), "", "")

    names = [writer.scenario(sample.overvoltage_result(opened_s=7.3)) for _ in range(3)]

    assert names == ["OV-02", "OV-02-2", "OV-02-3"]


def test_numbers_of_numpy_and_bytes_become_plain(tmp_path: Path) -> None:
    event = Event(
        1.0, "stimulus", "set", {"cell_v": np.array([3.3, np.nan]), "on": np.bool_(True), "raw": b"\x01"}
    )
    writer = EvidenceWriter(tmp_path, sample.run_info(), "", "")
    writer.scenario(replace(sample.error_result(), events=(event,)))
    writer.seal()

    assert load(tmp_path).scenarios[0].result.events[0].data == {
        "cell_v": [3.3, "nan"], "on": True, "raw": "01",
    }  # fmt: skip


def test_exchanges_and_attachments_are_found_again(tmp_path: Path) -> None:
    evidence = load(sample.build(tmp_path))

    assert next(evidence.scenarios[0].exchanges())["sent"] == b"VOLT 85.200\n".hex()
    assert evidence.scenarios[0].can_file is not None
    assert (evidence.folder / "attachments/notes.txt").read_bytes() == b"room 21 degC\n"


def _alter(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"pass", b"fail", 1) + b" ")


def _relink(folder: Path) -> None:
    lines = (folder / "chain.jsonl").read_text().splitlines()
    (folder / "chain.jsonl").write_text("\n".join(lines[:2] + lines[3:]) + "\n")


def _add_key(folder: Path) -> None:
    lines = (folder / "chain.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace("{", '{"note": 1, ', 1)
    (folder / "chain.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("tamper", "where", "expected", "found"),
    [
        (lambda f: _alter(f / "scenarios/OV-02.json"), "OV-02.json", "SHA-256 ", ""),
        (lambda f: (f / "traces/OV-02.npz").unlink(), "OV-02.npz", "SHA-256", "no such file"),
        (
            lambda f: (f / "scenarios/OV-99.json").write_text("{}"),
            "OV-99.json",
            "only files",
            "an extra file",
        ),
        (lambda f: (f / "seal.json").unlink(), "evidence", "a sealed run", "no seal"),
        (lambda f: (f / "chain.jsonl").unlink(), "chain.jsonl", "evidence with a chain", "no such file"),
        (lambda f: (f / "seal.json").write_text("{}"), "seal.json", "", ""),
        (lambda f: (f / "seal.json").write_text("?"), "seal.json", "JSON", ""),
        (lambda f: (f / "chain.jsonl").write_text("?\n"), "line 1", "an entry", "?"),
        (_relink, "line 3", "an unbroken chain", ""),
        (_add_key, "line 1", "an unbroken chain", "keys note"),
    ],
    ids=[
        "altered",
        "missing",
        "extra",
        "unsealed",
        "no chain",
        "bad seal",
        "no json",
        "no entry",
        "cut out",
        "a key too many",
    ],
)
def test_an_alteration_is_named(
    tmp_path: Path, tamper: Callable[[Path], object], where: str, expected: str, found: str
) -> None:
    folder = sample.build(tmp_path / "run")
    verify(folder)

    tamper(folder / "evidence")

    with pytest.raises(EvidenceInvalid) as caught:
        verify(folder)
    assert where in caught.value.where
    assert expected in caught.value.expected
    assert found in caught.value.found
    with pytest.raises(EvidenceInvalid):
        load(folder)


def test_an_altered_file_is_named_with_both_hashes(tmp_path: Path) -> None:
    import hashlib

    folder = sample.build(tmp_path / "run")
    path = folder / "evidence/station.toml"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text('name = "other"\n')

    with pytest.raises(EvidenceInvalid) as caught:
        verify(folder)

    assert before in caught.value.expected
    assert caught.value.found == hashlib.sha256(b'name = "other"\n').hexdigest()


def test_a_chain_made_anew_has_another_seal(tmp_path: Path) -> None:
    noted = verify(sample.build(tmp_path / "a")).head
    forged = sample.build(tmp_path / "b", sample.run_info(seed=8))

    verify(tmp_path / "a", head=noted)
    with pytest.raises(EvidenceInvalid, match="the noted seal"):
        verify(forged, head=noted)


def test_an_unsealed_run_is_not_evidence(tmp_path: Path) -> None:
    with pytest.raises(EvidenceInvalid, match="no seal"):
        load(sample.build(tmp_path, seal=False))


def test_nothing_follows_the_seal(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), "", "")
    writer.seal()

    with pytest.raises(EvidenceInvalid, match="open evidence"):
        writer.scenario(sample.error_result())
    with pytest.raises(EvidenceInvalid, match="open evidence"):
        writer.seal()
    verify(tmp_path)


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    sample.build(tmp_path)

    with pytest.raises(EvidenceInvalid, match="a new folder"):
        EvidenceWriter(tmp_path, sample.run_info(), "", "")


def test_an_attachment_is_never_overwritten(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), "", "")
    writer.attach("a.txt", b"1")

    with pytest.raises(EvidenceInvalid, match="a name not used yet"):
        writer.attach("a.txt", b"2")


def test_a_path_outside_the_folder_cannot_be_attached(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), "", "")

    assert writer.attach("../../x.txt", b"") == "attachments/x.txt"


def test_the_headline_is_the_worst_then_the_tightest() -> None:
    wide, tight = sample.judged(5.0, 0.0, 10.0), sample.judged(0.9, 0.0, 1.0)
    failed = sample.judged(11.0, 0.0, 10.0)

    assert headline([wide, tight]) is tight  # 1.0 and 0.2 of half the window
    assert headline([wide, failed, tight]) is failed
    assert headline([]) is None


def test_relative_margin_is_a_fraction_of_half_the_window_or_of_the_limit() -> None:
    assert relative_margin(sample.judged(2.0, 0.0, 10.0)) == pytest.approx(0.4)
    assert relative_margin(at_most(3.65, unit="V", what="", reason="").judge(3.285)) == pytest.approx(0.1)
    assert relative_margin(sample.judged(1.0, 1.0, 1.0)) == math.inf
    assert relative_margin(sample.judged(0.0, 1.0, 1.0)) == math.inf
    assert relative_margin(sample.judged(math.nan, 1.0, 2.0)) == -math.inf


def test_no_number_explains_a_verdict_worse_than_every_judgement() -> None:
    passed = Window(0.0, 1.0, "s").judge(0.5)

    result = replace(sample.error_result(), judgements=(passed,))

    assert result.headline is None
    assert replace(result, verdict=Verdict.PASS).headline is passed
