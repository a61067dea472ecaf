"""How a scenario can end beyond pass and fail: in setup, in teardown, by giving up, several at once."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from bench import procedure
from bench.collector import Collector
from bench.run import Outcome
from bench.verdict import Verdict
from reports import junit
from tests.tiny_suites import PASSES, Run, run, scenario

pytest_plugins = ["pytester"]

STUCK = """
@pytest.fixture
def {name}(bench):
    yield bench
    raise {error}
"""
MISS = '9.0 in judge.at_most(5.0, unit="V", what="a voltage", reason="clause 1")'


def junit_counts(pytester: pytest.Pytester, done: Run) -> tuple[int, int]:
    assert done.evidence is not None
    root = ElementTree.parse(junit.render(done.evidence, pytester.path)).getroot()
    return len(root.findall(".//failure")), len(root.findall(".//error"))


def test_junit_calls_a_failure_a_failure_and_an_error_an_error(pytester: pytest.Pytester) -> None:
    assert junit_counts(pytester, run(pytester, scenario("assert 1 == 2"))) == (1, 0)
    assert junit_counts(pytester, run(pytester, scenario("raise BenchError('odd')"))) == (0, 1)


@pytest.mark.parametrize("sentence", ['pytest.fail("wrong")', "with pytest.raises(KeyError):\n    pass"])
def test_what_pytest_calls_failed_is_a_failure(pytester: pytest.Pytester, sentence: str) -> None:
    assert run(pytester, scenario(f"{PASSES}\n{sentence}")).verdicts == [Verdict.FAIL]


def test_a_window_that_was_missed_and_not_asserted_is_a_failure(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(f"{PASSES}\n{MISS}", arguments="judge"))

    assert (done.exit_code, done.verdicts) == (1, [Verdict.FAIL])
    assert "a voltage" in done.messages[0]
    assert "1 failed" in done.text


@pytest.mark.parametrize("error", ["BenchError('odd')", "AssertionError('odd')"])
def test_what_breaks_in_setup_is_an_error(pytester: pytest.Pytester, error: str) -> None:
    fixture = f"\n@pytest.fixture\ndef broken():\n    raise {error}\n"
    done = run(pytester, fixture, scenario(PASSES, arguments="broken"))

    assert (done.exit_code, done.verdicts) == (1, [Verdict.ERROR])


@pytest.mark.parametrize("error", ["BenchError('odd')", "AssertionError('odd')"])
@pytest.mark.parametrize("body", [PASSES, "assert 1 == 2"])
def test_what_breaks_in_teardown_is_an_error_whatever_the_test_said(
    pytester: pytest.Pytester, error: str, body: str
) -> None:
    done = run(pytester, STUCK.format(name="stuck", error=error), scenario(body, arguments="stuck"))

    assert (done.exit_code, done.verdicts) == (1, [Verdict.ERROR])


def test_two_broken_fixtures_do_not_hide_that_one_was_unsafe(pytester: pytest.Pytester) -> None:
    fixtures = STUCK.format(name="one", error="UnsafeState('still on')")
    fixtures += STUCK.format(name="two", error="ValueError('x')")
    done = run(pytester, fixtures, scenario(PASSES, arguments="one, two"))

    assert (done.exit_code, done.verdicts) == (50, [Verdict.ERROR])


def test_an_assertion_of_the_bench_itself_says_nothing_about_the_dut(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def wait(self, duration_s):\n    assert duration_s < 0, 'a bug of the bench'\n"
    exec(source, vars(procedure), found := {})
    monkeypatch.setattr(procedure.Bench, "wait", found["wait"])

    done = run(pytester, scenario(f"{PASSES}\nbench.wait(1.0)", arguments="bench"))

    assert done.verdicts == [Verdict.ERROR]


@pytest.mark.parametrize(
    "leave", ["raise NotApplicable('no')", "pytest.skip('no')"], ids=["not applicable", "skip"]
)
def test_giving_up_after_a_miss_does_not_hide_the_miss(pytester: pytest.Pytester, leave: str) -> None:
    done = run(pytester, scenario(f"{MISS}\n{leave}", arguments="judge"))

    assert (done.exit_code, done.verdicts) == (1, [Verdict.FAIL])


def test_giving_up_after_something_held_is_no_pass(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(f"{PASSES}\nraise NotApplicable('no')"))

    assert (done.exit_code, done.verdicts) == (5, [Verdict.SKIPPED])


def test_a_marked_skip_opens_nothing_and_is_not_green(pytester: pytest.Pytester) -> None:
    done = run(pytester, '\n@pytest.mark.skip(reason="no")' + scenario(PASSES, arguments="bench"))

    assert (done.exit_code, done.verdicts) == (5, [Verdict.SKIPPED])
    assert done.evidence is not None
    assert done.evidence.run.station.roles[0].identity == "not asked"


ENDINGS = {
    "pass": PASSES,
    "skip": "raise NotApplicable('no')",
    "inconclusive": "raise Inconclusive('who knows')",
    "fail": "assert 1 == 2",
    "error": "raise BenchError('odd')",
    "not ready": "raise NotReady('no')",
    "unsafe": "raise UnsafeState('still on')",
}


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("pass", "skip", 0),
        ("pass", "inconclusive", 20),
        ("inconclusive", "skip", 20),
        ("inconclusive", "fail", 1),
        ("fail", "error", 1),
        ("fail", "not ready", 40),
        ("not ready", "unsafe", 50),
        ("pass", "unsafe", 50),
    ],
)
@pytest.mark.parametrize("turn", [1, -1], ids=["in this order", "the other way round"])
def test_when_several_happen_the_worst_decides(
    pytester: pytest.Pytester, first: str, second: str, code: int, turn: int
) -> None:
    one, two = (first, second)[::turn]
    sources = scenario(ENDINGS[one]), scenario(ENDINGS[two], name="xx_02", number="XX-02")

    assert run(pytester, *sources).exit_code == code


def test_an_ordinary_test_that_fails_beside_good_scenarios_keeps_the_run_red(
    pytester: pytest.Pytester,
) -> None:
    done = run(pytester, scenario(PASSES), "\ndef test_ordinary():\n    assert 1 == 2\n")

    assert (done.exit_code, done.verdicts) == (1, [Verdict.PASS])


def test_a_suite_without_a_scenario_is_pytest_as_ever(pytester: pytest.Pytester) -> None:
    done = run(pytester, "\ndef test_ordinary():\n    assert 1 == 1\n")

    assert (done.exit_code, done.evidence) == (0, None)
    assert "bmsbench:" not in done.text


def test_a_selection_that_matches_nothing_is_not_green(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(PASSES), options=("-k", "nothing_like_it"))

    assert (done.exit_code, done.evidence) == (5, None)


def test_a_test_that_takes_the_bench_without_a_requirement_is_told_so(pytester: pytest.Pytester) -> None:
    done = run(pytester, scenario(PASSES), "\ndef test_ordinary(bench):\n    pass\n")

    assert done.exit_code == 1
    assert "for tests marked with bench.scenario.requirement" in done.text


def test_the_bench_stays_in_the_hands_of_fixtures_when_a_run_is_stopped(pytester: pytest.Pytester) -> None:
    """What a project's fixture does with the bench on its way out still meets an open bench."""
    fixture = """
@pytest.fixture
def shunted(bench):
    yield bench
    bench.load.sink(current_a=1.0)
    pytest.seen_by_fixture = bench.station
"""
    pytester.makepyfile(
        test_tiny="import pytest\nfrom bench.scenario import requirement\n"
        + fixture
        + scenario("raise KeyboardInterrupt", arguments="shunted")
    )
    (pytester.path / "requirements.toml").write_text('["X 1"]\ntitle = "t"\nsource = "s"\n')
    result = pytester.inline_run("-p", "no:cacheprovider", no_reraise_ctrlc=True)
    station = pytest.seen_by_fixture  # type: ignore[attr-defined]

    assert int(result.ret) == int(pytest.ExitCode.INTERRUPTED)
    assert not station.rack.plant.terminal("load").enabled


def test_the_worst_of_one_scenario_wins_whatever_comes_first() -> None:
    for errors in ([AssertionError("a"), ValueError("b")], [ValueError("b"), AssertionError("a")]):
        outcome = Outcome("XX-01", "", "", (), Collector())
        for error in errors:
            outcome.raised(error, during="call")
        assert outcome.verdict is Verdict.ERROR
        assert outcome.message == "ValueError: b"
