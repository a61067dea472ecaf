"""Summary, JUnit and Allure say what the evidence says, each in its own words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from bench.evidence import Evidence, EvidenceWriter, load
from bench.verdict import Verdict
from reports import allure, junit, summary
from reports.rows import reported_response_s, rows, run_verdict, standard_of
from tests import sample_evidence as sample


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return load(sample.build(tmp_path_factory.mktemp("run")))


def test_summary_has_one_entry_per_scenario_with_these_keys(evidence: Evidence, tmp_path: Path) -> None:
    found = json.loads(summary.render(evidence, tmp_path).read_text())

    assert found["verdict"] == "error"
    assert found["counts"] == {"pass": 1, "fail": 2, "inconclusive": 1, "error": 1, "skipped": 1}
    assert found["run"]["seed"] == 7
    assert found["run"]["seal"] == evidence.seal.head
    assert [entry["id"] for entry in found["scenarios"]] == [
        "OV-02",
        "OV-10",
        "OV-01",
        "OV-05",
        "OC-07",
        "CT-11",
    ]
    late = found["scenarios"][1]
    assert list(late) == ["id", "title", "clauses", "verdict", "measured", "limit", "margin", "unit"]
    assert (late["verdict"], late["measured"], late["limit"], late["unit"]) == ("fail", 8.94, 7.72, "s")
    assert late["margin"] == pytest.approx(-1.22)
    never = found["scenarios"][2]
    assert (never["verdict"], never["measured"], never["limit"], never["margin"]) == (
        "fail",
        None,
        7.72,
        None,
    )


def test_results_of_one_id_become_one_row_with_the_worst(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    for opened_s in (7.3, 8.94, 9.5, 6.9):
        traces = sample.overvoltage_traces(opened_s=opened_s)
        writer.scenario(sample.overvoltage_result(opened_s=opened_s), traces)
    writer.seal()

    (row,) = rows(load(tmp_path))

    assert row.verdict is Verdict.FAIL
    assert row.judgement is not None
    assert row.judgement.measured == 9.5
    assert row.reported == pytest.approx(9.55)  # first telemetry sample after it, every 0.1 s from 0.05 s
    assert len(row.scenarios) == 4


def test_a_plain_failed_assertion_shows_no_number(tmp_path: Path) -> None:
    result = replace(sample.overvoltage_result(opened_s=7.3), verdict=Verdict.FAIL, message="wrong alarm")
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(result)
    writer.seal()

    found = json.loads(summary.render(load(tmp_path), tmp_path / "out").read_text())["scenarios"][0]

    assert (found["verdict"], found["measured"], found["margin"]) == ("fail", None, None)


def test_nothing_judged_is_an_error(tmp_path: Path) -> None:
    EvidenceWriter(tmp_path / "a", sample.run_info(), sample.PROFILE, sample.STATION).seal()
    skipping = EvidenceWriter(tmp_path / "b", sample.run_info(), sample.PROFILE, sample.STATION)
    skipping.scenario(sample.skipped_result())
    skipping.seal()

    assert run_verdict(load(tmp_path / "a")) is Verdict.ERROR
    assert run_verdict(load(tmp_path / "b")) is Verdict.ERROR


def test_the_reported_opening_is_the_one_of_the_window(evidence: Evidence) -> None:
    scenario = evidence.scenarios[0]
    (trip,) = scenario.result.trips

    assert reported_response_s(scenario, trip) == pytest.approx(7.35)
    assert math.isnan(reported_response_s(scenario, replace(trip, path="")))


@pytest.mark.parametrize(
    ("ref", "standard"),
    [
        ("IEC 62619:2022 8.2.2", "IEC 62619:2022"),
        ("GB 38031-2025 8.2.14", "GB 38031-2025"),
        ("UL 2580:2022 s.25", "UL 2580:2022"),
        ("UN R100-03 6.6", "UN R100-03"),
        ("UN 38.3 T.5", "UN 38.3"),
        ("ISO 26262", "ISO 26262"),
        ("IEC 60730-1 H.11.12.7", "IEC 60730-1"),
        ("EU 2023/1542 Art. 14", "EU 2023/1542"),
        ("DIN DKE SPEC 99100 6.7.2.4", "DIN DKE SPEC 99100"),
        ("DIN DKE SPEC 99100", "DIN DKE SPEC 99100"),
        ("IEC 62619:2022 8.2.2 (unverified)", "IEC 62619:2022"),
    ],
)
def test_the_standard_of_a_clause(ref: str, standard: str) -> None:
    assert standard_of(ref) == standard


def test_junit_never_shows_inconclusive_as_green(evidence: Evidence, tmp_path: Path) -> None:
    root = Xml.fromstring(junit.render(evidence, tmp_path).read_bytes())

    assert root.attrib["tests"] == "6"
    assert (root.attrib["failures"], root.attrib["errors"], root.attrib["skipped"]) == ("2", "2", "1")
    cases = {case.attrib["name"].split()[0]: case for case in root.iter("testcase")}
    assert cases["OV-02"].find("failure") is None
    assert cases["OV-10"].find("failure") is not None
    inconclusive = cases["OV-05"].find("error")
    assert inconclusive is not None
    assert inconclusive.attrib["type"] == "inconclusive"
    assert inconclusive.attrib["message"].startswith("inconclusive: the stimulus never had to")
    clauses = [p.attrib["value"] for p in cases["OV-02"].iter("property") if p.attrib["name"] == "clause"]
    assert clauses == ["IEC 62619:2022 8.2.2", "GB 44240-2024 8.3"]
    margins = [p.attrib["value"] for p in cases["OV-10"].iter("property") if p.attrib["name"] == "margin"]
    assert margins == ["-1.22 s"]


def test_junit_survives_control_characters(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    writer.scenario(replace(sample.error_result(), message="got \x00\x1b[31m<&>"))
    writer.seal()

    root = Xml.fromstring(junit.render(load(tmp_path), tmp_path / "out").read_bytes())

    error = root.find(".//error")
    assert error is not None
    assert error.attrib["message"] == "got \ufffd\ufffd[31m<&>"


def _allure(evidence: Evidence, out: Path) -> tuple[Path, dict[str, dict]]:
    folder = allure.render(evidence, out)
    found = [json.loads(path.read_text()) for path in folder.glob("*-result.json")]
    return folder, {result["name"].split(":")[0]: result for result in found}


def test_allure_tells_a_wrong_dut_from_a_broken_bench(evidence: Evidence, tmp_path: Path) -> None:
    folder, found = _allure(evidence, tmp_path)

    assert {name: result["status"] for name, result in found.items()} == {
        "OV-02": "passed", "OV-10": "failed", "OV-01": "failed", "OV-05": "broken", "OC-07": "broken",
        "CT-11": "skipped",
    }  # fmt: skip
    assert found["OV-05"]["statusDetails"]["message"].startswith("inconclusive: ")
    names = [category["name"] for category in json.loads((folder / "categories.json").read_text())]
    assert names == ["The DUT is wrong", "Inconclusive", "The bench broke"]
    assert "DUT.emulated=true\n" in (folder / "environment.properties").read_text()


def test_allure_has_steps_in_order_of_time(evidence: Evidence, tmp_path: Path) -> None:
    _, found = _allure(evidence, tmp_path)

    result = found["OV-10"]
    steps = result["steps"]
    assert [step["name"].split()[0] for step in steps[:3]] == ["0.500", "1.000", "7.400"]
    assert [step["status"] for step in steps[3:]] == ["failed", "passed"]
    starts = [step["start"] for step in steps]
    assert starts == sorted(starts)
    assert result["start"] <= starts[0]
    assert starts[-1] <= result["stop"]
    assert result["stop"] - result["start"] == 12000
    assert result["start"] == found["OV-02"]["stop"]  # the second scenario of the run


def test_repeats_are_not_taken_for_retries(tmp_path: Path) -> None:
    writer = EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION)
    for _ in range(3):
        writer.scenario(sample.error_result())
    writer.seal()
    evidence = load(tmp_path)

    folder = allure.render(evidence, tmp_path / "out")

    found = [json.loads(path.read_text())["historyId"] for path in folder.glob("*-result.json")]
    assert len(set(found)) == 3


def test_allure_attachments_exist(evidence: Evidence, tmp_path: Path) -> None:
    folder, found = _allure(evidence, tmp_path)

    attached = {entry["name"]: folder / entry["source"] for entry in found["OV-02"]["attachments"]}
    assert set(attached) == {"OV-02_trip1", "OV-02_overview", "exchanges with the instruments", "CAN log"}
    assert all(path.stat().st_size for path in attached.values())
    used = {e["source"] for result in found.values() for e in result.get("attachments", [])}
    assert used == {path.name for path in folder.glob("*-attachment.*")}


def test_allure_labels_say_standard_hazard_and_severity(evidence: Evidence, tmp_path: Path) -> None:
    _, found = _allure(evidence, tmp_path)

    labels = [(label["name"], label["value"]) for label in found["OV-02"]["labels"]]
    assert ("epic", "IEC 62619:2022") in labels
    assert ("suite", "Overcharge") in labels
    assert ("severity", "critical") in labels
    links = [link["name"] for link in found["OV-02"]["links"]]
    assert links == ["IEC 62619:2022 8.2.2", "GB 44240-2024 8.3"]
    parameters = {entry["name"]: entry["value"] for entry in found["OV-02"]["parameters"]}
    assert parameters == {
        "cell": "7", "station": "emulated", "seed": "7", "defect": "none",
        "dut": "S-24 EMU-1, firmware 1.0.0",
    }  # fmt: skip
