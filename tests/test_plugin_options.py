"""Options: where they come from, and one clear sentence for each that cannot be used."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from bench.emulated_bms.defects import SeededDefect
from bench.station import Station
from instruments.supply_rp7900 import Rp7900
from tests.tiny_suites import CLAUSES, PASSES, clean_environment, run, runs_in, scenario

pytest_plugins = ["pytester"]

DEFECT = """
class Deaf:
    name = "deaf_to_overvoltage"
    description = "Overvoltage of a cell is not looked at."

    def apply(self, bms):
        bms.mark = "applied"
"""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_environment(monkeypatch)


@pytest.fixture
def nothing_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if a station is opened."""

    def opened(_: Station) -> None:
        raise AssertionError("a station was opened")

    monkeypatch.setattr(Station, "open", opened)


# -- where an option comes from -----------------------------------------------------------------------


def seed_of(pytester: pytest.Pytester, *options: str) -> int:
    done = run(pytester, scenario(PASSES), options=options)
    assert done.evidence is not None
    return done.evidence.run.seed


def test_command_line_goes_before_environment_before_ini_before_default(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seed_of(pytester) == 7  # the station's

    pytester.makeini("[pytest]\nbench_seed = 11\n")
    assert seed_of(pytester) == 11

    monkeypatch.setenv("BENCH_SEED", "12")
    assert seed_of(pytester) == 12

    assert seed_of(pytester, "--bench-seed=13") == 13


def test_results_go_where_they_are_wanted(pytester: pytest.Pytester, tmp_path: Path) -> None:
    run(pytester, scenario(PASSES), options=(f"--bench-results={tmp_path / 'here' / 'there'}",))

    assert len(runs_in(tmp_path / "here" / "there")) == 1
    assert runs_in(pytester.path / "results") == []


def test_the_rule_reaches_every_window(pytester: pytest.Pytester) -> None:
    body = 'assert 4.9 in judge.at_most(5.0, unit="V", what="v", reason="r", uncertainty=0.2)'
    source = scenario(body, arguments="judge")

    assert run(pytester, source).exit_code == 0
    assert run(pytester, source, options=("--bench-rule=guarded",)).exit_code == 1


# -- what cannot be used ------------------------------------------------------------------------------

WRONG = {
    "station": (
        ("--bench-station=nope",),
        "StationInvalid: station: expected a TOML file or one of: emulated, ",
        "found 'nope'.",
    ),
    "profile": (
        ("--bench-dut=nope",),
        "ProfileInvalid: DUT profile: expected a TOML file or one of: hd_lfp_24s, ",
        "found 'nope'.",
    ),
    "defect": (
        ("--bench-defect=nope",),
        "DefectInvalid: --bench-defect: expected one of D01_overvoltage_threshold_gross, ",
        "found nope.",
    ),
    "rule": (
        ("--bench-rule=nope",),
        "InvalidInput: --bench-rule: expected simple or guarded, found 'nope'.",
        "",
    ),
    "seed": (
        ("--bench-seed=-1",),
        "InvalidInput: --bench-seed: expected a whole number from 0, found '-1'.",
        "",
    ),
    "defects file": (
        ("--bench-defects-from=none.py",),
        "DefectInvalid: none.py: expected a Python file with defects, found no such file.",
        "",
    ),
    "requirements": (
        ("--bench-requirements=none.toml",),
        "InvalidInput: --bench-requirements: expected a TOML file of clauses, found none.toml.",
        "",
    ),
    "results": (
        ("--bench-results=requirements.toml",),
        "InvalidInput: --bench-results: expected a folder that can be made, found ",
        "requirements.toml",
    ),
}


def assert_refused(done: object, *texts: str) -> None:
    """One line on standard error, exit code 4, no stack trace, no evidence."""
    exit_code, errors, out = done.exit_code, done.errors, done.text  # type: ignore[attr-defined]
    said = [line for line in errors.splitlines() if line.strip()]
    assert exit_code == 4, errors
    assert len(said) == 1, errors
    for text in texts:
        assert text in said[0]
    assert "Traceback" not in errors + out
    assert "INTERNALERROR" not in errors + out


@pytest.mark.usefixtures("nothing_opens")
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_used_is_one_clear_sentence(pytester: pytest.Pytester, what: str) -> None:
    options, *texts = WRONG[what]
    done = run(pytester, scenario(f"{PASSES}", arguments="bench"), options=options)

    assert_refused(done, *texts)
    assert runs_in(pytester.path / "results") == []


@pytest.mark.usefixtures("nothing_opens")
@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        ("import pathlib\n", "at least one object with name, description and apply(bms)", "found none."),
        ("def (:\n", "expected a file that runs", "SyntaxError"),
        ("raise OSError('boom')\n", "expected a file that runs", "boom"),
        (DEFECT + DEFECT.replace("Deaf", "Twice"), "expected each name once", "'deaf_to_overvoltage' again"),
    ],
)
def test_a_file_of_defects_that_cannot_be_used_says_why(
    pytester: pytest.Pytester, content: str, expected: str, found: str
) -> None:
    (pytester.path / "mine.py").write_text(content, encoding="utf-8")
    done = run(pytester, scenario(PASSES), options=("--bench-defects-from=mine.py",))

    assert_refused(done, "DefectInvalid: mine.py", expected, found)


@pytest.mark.usefixtures("nothing_opens")
@pytest.mark.parametrize(
    ("clauses", "expected", "found"),
    [
        ("", 'expected a table ["X 1"] with title and source', "found none."),
        ('"X 1" = "only text"\n', 'expected a table ["X 1"] with title and source', "'only text'"),
        ("not toml\n", "expected TOML", "line 1"),
    ],
)
def test_a_clause_that_nobody_knows_is_named_with_its_scenario(
    pytester: pytest.Pytester, clauses: str, expected: str, found: str
) -> None:
    done = run(pytester, scenario(PASSES), clauses=clauses)

    assert_refused(done, "requirements.toml", expected, found)
    if "table" in expected:
        assert "scenario XX-01" in done.errors


@pytest.mark.usefixtures("nothing_opens")
def test_a_station_whose_driver_does_not_exist_is_refused_before_anything_opens(
    pytester: pytest.Pytester,
) -> None:
    shipped = (Path(__file__).parents[1] / "bench/stations/emulated.toml").read_text(encoding="utf-8")
    (pytester.path / "mine.toml").write_text(shipped.replace("Rp7900", "Rp79"), encoding="utf-8")
    done = run(pytester, scenario(PASSES, arguments="bench"), options=("--bench-station=mine.toml",))

    assert_refused(
        done, "mine.toml: [roles.charger] driver", "module:Class", "instruments.supply_rp7900:Rp79"
    )


def test_a_bare_marker_is_refused(pytester: pytest.Pytester) -> None:
    done = run(pytester, "\n@pytest.mark.bench_scenario\ndef test_bare():\n    assert 1 == 1\n")

    assert_refused(done, "test_tiny.py::test_bare", "@requirement(", "found a bare marker")


@pytest.mark.usefixtures("nothing_opens")
def test_an_option_that_swallowed_the_next_argument_says_so(pytester: pytest.Pytester) -> None:
    (pytester.path / "suite").mkdir()
    done = run(pytester, scenario(PASSES, arguments="bench"), options=("--bench-plan", "suite"))

    assert_refused(done, "--bench-plan: expected on or only or off, found 'suite'.", "--bench-plan=only.")


# -- seeded defects -----------------------------------------------------------------------------------


def test_a_defect_of_the_catalogue_is_seeded_and_noted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[str] = []
    monkeypatch.setattr(SeededDefect, "apply", lambda self, bms: seeded.append(self.name))
    done = run(pytester, scenario(PASSES, arguments="bench"), options=("--bench-defect=D06_no_debounce",))

    assert (done.exit_code, seeded) == (0, ["D06_no_debounce"])
    assert done.evidence is not None
    assert done.evidence.run.defect == "D06_no_debounce"


def test_a_defect_of_the_users_own_file_is_seeded(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.py").write_text(DEFECT, encoding="utf-8")
    done = run(
        pytester,
        scenario('assert bench.station.rack.bms.mark == "applied"', arguments="bench"),
        options=("--bench-defects-from=mine.py", "--bench-defect=deaf_to_overvoltage"),
    )

    assert done.exit_code == 0
    assert done.evidence is not None
    assert done.evidence.run.defect == "deaf_to_overvoltage"


def test_a_defect_is_not_for_a_real_dut(pytester: pytest.Pytester) -> None:
    text = """
name = "real"
clock = "wall"
[dut]
address = "can:virtual:nowhere"
[roles]
"""
    (pytester.path / "real.toml").write_text(text, encoding="utf-8")
    done = run(
        pytester,
        scenario(PASSES, arguments="bench"),
        options=("--bench-station=real.toml", "--bench-defect=D06_no_debounce"),
    )

    assert_refused(done, "real.toml", "[dut] address: expected an emulated BMS", "can:virtual:nowhere")


# -- certification ------------------------------------------------------------------------------------


def test_a_run_that_nobody_asked_to_certify_is_development_and_says_why(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario("bench.wait(0.1)\nassert 1 == 1", arguments="bench"))

    assert done.evidence is not None
    assert done.evidence.run.kind == "development"
    assert [doubt.partition(":")[0] for doubt in done.evidence.run.doubts] == [
        "no certification was asked for (--bench-certify).",
        "emulated, not real",
    ]


def test_a_plan_that_was_declined_is_on_record(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(PASSES), options=("--bench-plan=off",))

    assert done.evidence is not None
    assert "the plan was skipped (--bench-plan=off)." in done.evidence.run.doubts


def test_a_certification_does_not_start_on_stand_ins(pytester: pytest.Pytester) -> None:
    options = ("--bench-plan=off", "--bench-certify")
    done = run(pytester, scenario(PASSES, arguments="bench"), options=options)

    assert done.exit_code == 40
    assert done.evidence is None
    assert "  - the plan was skipped (--bench-plan=off)." in done.text
    assert "  - emulated, not real: charger, regen, load, " in done.text
    assert "no certification; nothing was energised" in done.text


def test_a_certification_asks_the_instruments_and_prepares_none(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(Rp7900, "prepare", lambda self: prepared.append("charger"))
    shipped = (Path(__file__).parents[1] / "bench/stations/emulated.toml").read_text(encoding="utf-8")
    text = shipped.replace('"twin://charger"', '"twin://charger"\nserial = "MY99"', 1)
    (pytester.path / "mine.toml").write_text(text, encoding="utf-8")
    options = ("--bench-station=mine.toml", "--bench-certify")
    done = run(pytester, scenario(PASSES, arguments="bench"), options=options)

    assert done.exit_code == 40
    assert "  - [roles.charger] at twin://charger: expected serial 'MY99', found identity " in done.text
    assert prepared == []


# -- manners ------------------------------------------------------------------------------------------


def test_the_plugin_gives_the_signal_handler_back(pytester: pytest.Pytester) -> None:
    def ours(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, ours)
    try:
        body = "import signal\nassert signal.getsignal(signal.SIGTERM).__name__ == '_stop'"
        assert run(pytester, scenario(body)).exit_code == 0
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_collecting_only_opens_nothing_and_leaves_nothing(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(PASSES), options=("--collect-only", "--bench-station=nope"))

    assert (done.exit_code, done.evidence) == (0, None)


def test_every_clause_of_the_run_is_in_the_evidence(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(PASSES), clauses=CLAUSES + '\n["X 2"]\ntitle = "unused"\n')

    assert done.evidence is not None
    assert [(clause.ref, clause.title) for clause in done.evidence.run.clauses] == [
        ("X 1", "The first clause")
    ]
