"""The score: what counts as caught, as missed, as found in the sound BMS, and when the sum is green."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, DefectInvalid, ProfileInvalid
from bench.evidence import EvidenceWriter, ScenarioResult
from bench.score import Row, Scorer, score_rows
from bench.verdict import Verdict
from tests import sample_evidence as sample

DEFECT = "D06_no_debounce"


def result(scenario: str, verdict: Verdict) -> ScenarioResult:
    return replace(sample.skipped_result(), id=scenario, verdict=verdict)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch):
    """Let every candidate end with given results; return the commands that were run."""

    def results(*found: ScenarioResult) -> list[list[str]]:
        commands: list[list[str]] = []

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            (folder,) = (word.partition("=")[2] for word in command if word.startswith("--bench-results="))
            if found:
                writer = EvidenceWriter(
                    Path(folder) / "run", sample.run_info(), sample.PROFILE, sample.STATION
                )
                for each in found:
                    writer.scenario(each)
                writer.seal()
            return subprocess.CompletedProcess(command, 4, "", "ERROR: StationInvalid: said why.\n")

        monkeypatch.setattr("bench.score.subprocess.run", run)
        return commands

    return results


def score(*, only: str = DEFECT, seeds: int = 0, listed: bool = False) -> Row:
    scorer = Scorer(dut="hd_lfp_24s", defects_from="", listed=listed, jobs=1)
    rows = list(scorer.run(only=[only], seeds=seeds))
    return rows[0] if not seeds else next(row for row in rows if row.name.startswith("sound"))


@pytest.mark.parametrize(
    ("verdicts", "seen_as", "by"),
    [
        ({"OV-04": Verdict.FAIL, "OV-01": Verdict.PASS}, "caught", ("OV-04",)),
        ({"OV-04": Verdict.PASS}, "missed", ()),
        ({"OV-04": Verdict.INCONCLUSIVE}, "missed", ()),
        ({"OV-04": Verdict.SKIPPED}, "missed", ()),
        ({"OV-04": Verdict.ERROR}, "error", ("OV-04",)),
        ({"OV-04": Verdict.ERROR, "OV-01": Verdict.FAIL}, "caught", ("OV-01",)),
    ],
)
def test_only_a_failure_catches_a_defect(
    pretend, verdicts: dict[str, Verdict], seen_as: str, by: tuple[str, ...]
) -> None:
    pretend(*(result(name, verdict) for name, verdict in verdicts.items()))

    assert (score().verdict, score().scenarios) == (seen_as, by)


@pytest.mark.parametrize("verdicts", [(Verdict.FAIL, Verdict.PASS), (Verdict.PASS, Verdict.FAIL)])
def test_a_scenario_with_several_parameters_counts_by_its_worst(
    pretend, verdicts: tuple[Verdict, ...]
) -> None:
    pretend(*(result("OV-04", verdict) for verdict in verdicts))

    assert score().verdict == "caught"


@pytest.mark.parametrize(
    ("verdict", "seen_as"),
    [
        (Verdict.PASS, "sound"),
        (Verdict.SKIPPED, "sound"),
        (Verdict.FAIL, "finding"),
        (Verdict.ERROR, "finding"),
        (Verdict.INCONCLUSIVE, "finding"),
    ],
)
def test_the_sound_bms_must_leave_nothing_open(pretend, verdict: Verdict, seen_as: str) -> None:
    pretend(result("OV-04", verdict))

    assert score(seeds=1).verdict == seen_as


def test_listed_runs_only_what_the_defect_names(pretend) -> None:
    commands = pretend(result("OV-04", Verdict.FAIL))

    score(listed=True)
    assert commands[0][-2:] == ["-k", "OV_04"]
    assert f"--bench-defect={DEFECT}" in commands[0]

    score(listed=False)
    assert "-k" not in commands[1]


def test_each_sound_run_has_a_seed_of_its_own_and_no_defect(pretend) -> None:
    commands = pretend(result("OV-04", Verdict.PASS))
    list(Scorer(dut="hd_lfp_24s", defects_from="", listed=True, jobs=2).run(only=[DEFECT], seeds=3))

    sound = [command for command in commands if not any("--bench-defect=" in word for word in command)]
    assert sorted(word for command in sound for word in command if "seed" in word) == [
        "--bench-seed=1",
        "--bench-seed=2",
        "--bench-seed=3",
    ]


def test_a_run_that_leaves_no_evidence_is_an_error_that_says_what_pytest_said(pretend) -> None:
    pretend()

    with pytest.raises(BenchError) as caught:
        score()

    assert (
        "expected evidence of one run, found 0; pytest ended with 4 and said: ERROR: StationInvalid"
        in str(caught.value)
    )
    assert "\n" not in str(caught.value)


def test_a_broken_candidate_does_not_let_all_others_run_first(pretend) -> None:
    commands = pretend()

    with pytest.raises(BenchError):
        list(Scorer(dut="hd_lfp_24s", defects_from="", listed=False, jobs=1).run(only=[], seeds=3))

    assert len(commands) < 10


def test_what_cannot_be_scored_is_told_before_anything_runs(pretend) -> None:
    commands = pretend()

    with pytest.raises(DefectInvalid, match=r"--only: expected one of D01_.*, found nope\."):
        score(only="nope")
    with pytest.raises(ProfileInvalid, match="found 'nope'"):
        Scorer(dut="nope", defects_from="", listed=False, jobs=1)
    assert commands == []


@pytest.mark.parametrize(
    ("rows", "green"),
    [
        ([Row("D1", "caught", ("OV-01",)), Row("s", "sound", ())], True),
        ([Row("D1", "missed", ()), Row("s", "sound", ())], False),
        ([Row("D1", "error", ("OV-01",)), Row("s", "sound", ())], False),
        ([Row("D1", "caught", ("OV-01",)), Row("s", "finding", ("OV-02", "OV-03"))], False),
        ([], False),
    ],
    ids=["all caught", "one missed", "one broken", "findings in the sound one", "nothing scored"],
)
def test_green_means_all_caught_and_nothing_found_in_the_sound_bms(rows: list[Row], green: bool) -> None:
    assert score_rows(rows)["green"] is green


def test_the_sum_counts_every_finding() -> None:
    rows = [Row("s", "finding", ("OV-02", "OV-03")), Row("D2", "missed", ()), Row("D1", "caught", ("OV-01",))]
    found = score_rows(rows)

    assert (found["defects"], found["caught"], found["missed"]) == (2, 1, ["D2"])
    assert (found["sound_runs"], found["false_findings"]) == (1, 2)
    assert [row["name"] for row in found["rows"]] == ["D1", "D2", "s"]  # type: ignore[index,attr-defined]
