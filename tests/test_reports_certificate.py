"""The certificate prints what was judged, and does not hide what was not."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdf
import pytest

from bench.evidence import Evidence, EvidenceWriter, RunInfo, ScenarioResult, Trip, load
from bench.record import Origin, Trace
from bench.verdict import Verdict
from reports import certificate, plots
from reports.certificate import certificate_data
from reports.drawing import thinned
from reports.numbers import decimals_for, number
from tests import sample_evidence as sample


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return load(sample.build(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def text(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _text(certificate.render(evidence, tmp_path_factory.mktemp("out")))


def _text(path: Path) -> str:
    pages = [page.extract_text() for page in pypdf.PdfReader(path).pages]
    return re.sub(r"\s+", " ", " ".join(pages).replace("\u200b", ""))


def _of(tmp_path: Path, *results: ScenarioResult, run: RunInfo | None = None) -> Evidence:
    writer = EvidenceWriter(tmp_path / "run", run or sample.run_info(), sample.PROFILE, sample.STATION)
    for result in results:
        writer.scenario(result, sample.overvoltage_traces(opened_s=7.3) if result.trips else None)
    writer.seal()
    return load(tmp_path / "run")


@pytest.mark.parametrize(
    "sentence",
    [
        "The device under test is emulated.",
        "No physical instrument stood behind charger and cells",
        "ILAC-G8:09/2019, 4.2.1",
        "Criteria on fire, leak, rupture and explosion",
        "need real packs in a laboratory",
        "public digest of the standards",
        "It is not a certificate of an accredited laboratory.",
        "MAKER,PSX-80,1234,2.1",
        "due 2027-03-31",
        "seed 7",
        "page 1 of ",
    ],
)
def test_it_says(text: str, sentence: str) -> None:
    assert sentence in text


def test_a_development_run_says_so_on_its_first_page_and_why(tmp_path: Path) -> None:
    doubts = (
        "no certification was asked for (--bench-certify).",
        "emulated, not real: charger, cells, dut.",
        "[roles.cells] calibration: expected a due date and a certificate, found none.",
    )
    run = sample.run_info(doubts=doubts)
    path = certificate.render(_of(tmp_path, sample.overvoltage_result(opened_s=7.3), run=run), tmp_path)

    first = re.sub(r"\s+", " ", pypdf.PdfReader(path).pages[0].extract_text().replace("\u200b", ""))
    assert "DEVELOPMENT RUN" in first
    assert "Not a certification run. What speaks against one:" in first
    assert doubts[0] in first
    assert doubts[2] in first
    # Emulated parts have notes of their own.
    assert "emulated, not real" not in first
    assert "The device under test is emulated." in first


def test_a_certification_has_no_such_mark(tmp_path: Path) -> None:
    run = sample.run_info(kind="certification")
    result = sample.overvoltage_result(opened_s=7.3)

    found = _text(certificate.render(_of(tmp_path, result, run=run), tmp_path))

    assert "DEVELOPMENT RUN" not in found
    assert "Not a certification run" not in found
    assert "certification run nightly" in found  # the head of each further page


def test_the_seal_and_the_profile_hash_are_printed_in_full(text: str, evidence: Evidence) -> None:
    squeezed = text.replace(" ", "")
    assert evidence.seal.head in squeezed
    assert evidence.run.dut.profile_sha256 in squeezed


def test_every_scenario_has_a_row_with_expected_measured_and_reported(evidence: Evidence, text: str) -> None:
    found = {row["id"]: row for row in certificate_data(evidence)["rows"]}  # type: ignore[attr-defined]

    late = found["OV-10"]
    assert (late["expected"], late["measured"], late["reported"]) == ("6.400 to 7.720", "8.940", "8.950")
    assert (late["margin"], late["unit"], late["verdict"]) == ("−1.220", "s", "fail")
    assert found["OV-01"]["measured"] == "never"
    assert found["OV-05"]["expected"] == "not called for"
    assert found["OV-02"]["expected"] == "≤ 3.6500"
    for row in found.values():
        assert row["id"] in text


def test_a_scope_sentence_stands_in_every_group_of_clauses(text: str) -> None:
    for standard in ("IEC 62619:2022", "GB 44240-2024", "ISO 26262", "UN R100-03"):
        assert f"What a bench proves of {standard}." in text


def test_a_clause_that_nobody_vouches_for_is_unverified(evidence: Evidence) -> None:
    groups = certificate_data(evidence)["groups"]
    labels = {c["ref"]: c["label"] for group in groups for c in group["clauses"]}  # type: ignore[attr-defined]

    assert labels["IEC 62619:2022 8.2.2"] == "public digest"
    assert labels["ISO 26262"] == "unverified"  # listed as such
    assert labels["UN R100-03 6.6"] == "unverified"  # traced to and not listed at all


def test_what_was_not_judged_is_listed(evidence: Evidence) -> None:
    found = [item["what"] for item in certificate_data(evidence)["not_judged"]]  # type: ignore[attr-defined]

    assert found == ["OV-05", "OC-07", "CT-11", "ISO 26262", "UN R100-03 6.6"]


def test_a_real_dut_on_real_instruments_has_no_such_notes(tmp_path: Path) -> None:
    run = sample.run_info()
    roles = tuple(replace(role, address="TCPIP::192.0.2.1::5025::SOCKET") for role in run.station.roles)
    real = replace(
        run, dut=replace(run.dut, emulated=False, hardware="B"), station=replace(run.station, roles=roles),
        decision_rule="guarded",
    )  # fmt: skip

    found = _text(
        certificate.render(_of(tmp_path, sample.overvoltage_result(opened_s=7.3), run=real), tmp_path)
    )

    assert "is emulated" not in found
    assert "No physical instrument" not in found
    assert "guard band, ILAC-G8:09/2019, 4.2.2" in found


def test_a_twin_behind_a_real_address_is_named(tmp_path: Path) -> None:
    run = sample.run_info()
    role = replace(run.station.roles[0], address="TCPIP::127.0.0.1::5025::SOCKET", twin=True)
    served = replace(run, station=replace(run.station, roles=(role,)))

    assert certificate_data(_of(tmp_path, run=served))["twins"] == ["charger"]


def test_a_seeded_defect_is_shown(tmp_path: Path) -> None:
    found = _of(tmp_path, sample.overvoltage_result(opened_s=7.3), run=sample.run_info(defect="ov_offset"))

    assert "A defect was seeded on purpose: ov_offset" in _text(certificate.render(found, tmp_path))


def test_markup_in_a_message_is_text(tmp_path: Path) -> None:
    nasty = '#panic("x") $a_b$ *bold* [\\] <label> @ref "quote" `raw` 漢字'
    result = replace(sample.error_result(), message=nasty, title=nasty, findings=(nasty,), clauses=(nasty,))

    found = _text(certificate.render(_of(tmp_path, result), tmp_path))

    assert '#panic("x") $a_b$ *bold*' in found


def test_characters_without_a_glyph_are_printed_as_codes(tmp_path: Path) -> None:
    everything = "".join(map(chr, [*range(0x500), *range(0x2000, 0x2300), 0x6F22, 0x1F50B, 0xFFFD, 0xE000]))
    result = replace(sample.error_result(), message=everything, findings=("漢\x1b",))

    found = _text(certificate.render(_of(tmp_path, result), tmp_path))

    assert "\\u6f22\\x1b" in found


def test_passing_repeats_are_drawn_once_and_failing_ones_all(tmp_path: Path) -> None:
    passing = [sample.overvoltage_result(opened_s=t) for t in (7.0, 7.6, 6.9)]
    failing = [sample.overvoltage_result(opened_s=t, scenario="OV-01") for t in (8.0, math.nan)]

    drawn = certificate_data(_of(tmp_path, *passing, *failing))["trips"]

    assert [trip["name"] for trip in drawn] == ["OV-02-2", "OV-01", "OV-01-2"]  # type: ignore[attr-defined]


def test_a_trip_that_names_no_channel_shows_the_one_that_moved(tmp_path: Path) -> None:
    result = sample.overvoltage_result(opened_s=7.3)
    (trip,) = result.trips
    whole = replace(result, trips=(replace(trip, channel=None),))

    (drawn,) = certificate_data(_of(tmp_path, whole))["trips"]  # type: ignore[misc]

    assert drawn["lines"][0][0] == "cell_v[7] at the response [V]"


def test_a_trip_with_a_dollar_and_a_tag_in_its_name_is_drawn(tmp_path: Path) -> None:
    result = sample.overvoltage_result(opened_s=7.3)
    named = replace(result, trips=(replace(result.trips[0], what="opens -- $x_ <b> \x07 at 5 $"),))

    assert certificate.render(_of(tmp_path, named), tmp_path).stat().st_size


def test_empty_traces_and_gaps_are_drawn_as_such(tmp_path: Path) -> None:
    origin = Origin("measured", "thermistors")
    t_s = np.arange(0.0, 12.0, 0.001)
    traces = sample.overvoltage_traces(opened_s=7.3) | {
        "cell_v": Trace("cell_v", "V", np.zeros(0), np.zeros((0, 24)), origin),
        "temperature_degc": Trace("temperature_degc", "degC", t_s, np.full((t_s.size, 8), np.nan), origin),
    }
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(sample.overvoltage_result(opened_s=7.3), traces)
    writer.seal()
    (scenario,) = load(tmp_path).scenarios

    assert [name for name, _ in plots.pictures(scenario)] == ["OV-02_overview"]


def test_numbers_have_the_digits_of_their_uncertainty() -> None:
    assert number(-1.22, 3) == "−1.220"
    assert number(-0.0004, 3) == "0.000"
    assert number(math.nan, 3) == "never"
    assert decimals_for(0.02) == 3
    assert decimals_for(0.0011) == 4
    assert decimals_for(25.0) == 0
    assert decimals_for(0.0, 0.0005, math.inf) == 6
    assert decimals_for(0.0, 85.0) == 1
    assert decimals_for(0.0, 0.0) == 0


def test_a_plot_keeps_the_peaks_of_a_long_trace() -> None:
    t_s = np.arange(100_000) / 1000
    value = np.zeros_like(t_s)
    value[54_321], value[70_000] = 5.0, math.nan

    drawn_t_s, drawn = thinned(t_s, value)

    assert len(drawn) < 3000
    assert drawn[np.flatnonzero(drawn_t_s == 54.321)] == 5.0
    assert np.all(np.diff(drawn_t_s) > 0)
    assert (drawn_t_s[0], drawn_t_s[-1]) == (t_s[0], t_s[-1])


def test_a_short_circuit_is_drawn_in_microseconds(tmp_path: Path) -> None:
    t_s = 3.0 + np.arange(2000) * 1e-6
    current_a = np.where((t_s > 3.0005) & (t_s < 3.0009), -3000.0, -10.0)
    traces = {"capture_a": Trace("capture_a", "A", t_s, current_a, Origin("measured", "meter"), 15.0)}
    trip = Trip("short circuit is cut", "capture_a", None, -1400.0, 3.0005, 3.0012, 3.0009)
    result = ScenarioResult("OC-07", "a.py::b", "t", (), "overcurrent", Verdict.PASS, trips=(trip,))
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(result, traces)
    writer.seal()
    (scenario,) = load(tmp_path).scenarios

    view = plots._zoom(traces["capture_a"], trip, math.nan)

    assert view.label.endswith("[µs]")
    assert (view.start_s, view.end_s) == pytest.approx((3.00029, 3.00141), abs=1e-6)
    assert plots.trip_svg(scenario, trip) is not None
    assert plots.trip_svg(scenario, replace(trip, trace="missing")) is None
