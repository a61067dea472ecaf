"""What a run of scenarios says: verdicts, exit codes, evidence, and that energy is off whatever happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.evidence import load
from bench.verdict import Verdict
from tests.tiny_suites import CLAUSES, HEAD, PASSES
from tests.tiny_suites import scenario as tiny

pytest_plugins = ["pytester"]


class Run:
    """One run of pytest over scenarios written for it."""

    def __init__(self, result: pytest.RunResult, folder: Path) -> None:
        self.code, self.text = int(result.ret), result.stdout.str() + result.stderr.str()
        runs = [path for path in folder.glob("results/2*") if path.is_dir()]
        self.evidence = load(runs[0]) if runs else None

    def verdict(self, scenario: str) -> Verdict:
        assert self.evidence is not None, self.text
        return {s.result.id: s.result.verdict for s in self.evidence.scenarios}[scenario]

    def message(self, scenario: str) -> str:
        assert self.evidence is not None, self.text
        return {s.result.id: s.result.message for s in self.evidence.scenarios}[scenario]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Any:
    """Run scenario functions, given as source, with extra arguments."""

    def go(body: str, *arguments: str, requirements: str = CLAUSES) -> Run:
        pytester.makefile(".toml", requirements=requirements)
        pytester.makepyfile(test_x=HEAD + body)
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
        return Run(result, pytester.path)

    return go


def scenario(name: str, body: str, *, decorators: str = "") -> str:
    """Source of one scenario with the id `X-<name>`."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f'\n@requirement("X 1", scenario="X-{name}")\n{decorators}'
        f'def test_x_{name}(bench, judge, reference):\n    """Scenario {name}."""\n{lines}\n'
    )


GOOD = scenario("01", 'assert 1.0 in judge.at_most(2.0, unit="V", what="a value", reason="because")')
BAD = scenario("02", 'assert 3.0 in judge.at_most(2.0, unit="V", what="a value", reason="because")')
BROKEN = scenario("03", 'raise BenchError("the wire broke")')


def test_what_passes_is_green_and_its_margin_is_kept(run: Any) -> None:
    found = run(GOOD)

    assert found.code == 0
    assert found.verdict("X-01") is Verdict.PASS
    (judgement,) = found.evidence.scenarios[0].result.judgements
    assert (judgement.measured, judgement.margin, judgement.unit) == (1.0, 1.0, "V")


def test_a_plain_assertion_that_holds_counts_as_judged(run: Any) -> None:
    found = run(scenario("04", "assert bench.profile.pack.cells == 24"))

    assert found.code == 0
    assert found.verdict("X-04") is Verdict.PASS


def test_a_failed_assertion_is_the_dut_and_says_what_was_wrong(run: Any) -> None:
    found = run(GOOD + BAD)

    assert found.code == 1
    assert found.verdict("X-02") is Verdict.FAIL
    assert found.message("X-02").startswith("a value: 3 V; 1.000 V above")


@pytest.mark.parametrize("raised", ['BenchError("broke")', 'ValueError("a bug")', "ZeroDivisionError()"])
def test_what_is_no_assertion_is_an_error_of_the_bench(run: Any, raised: str) -> None:
    found = run(scenario("05", f"raise {raised}"))

    assert found.code == 1
    assert found.verdict("X-05") is Verdict.ERROR


def test_an_error_outweighs_what_was_judged_before_it(run: Any) -> None:
    body = 'assert 3.0 not in judge.at_most(2.0, unit="V", what="v", reason="r")\nraise BenchError("broke")'
    found = run(scenario("06", body))

    assert found.verdict("X-06") is Verdict.ERROR


def test_a_scenario_that_judged_nothing_is_an_error(run: Any) -> None:
    found = run(scenario("07", "bench.wait(0.1)"))

    assert found.code == 1
    assert found.verdict("X-07") is Verdict.ERROR
    assert "judged nothing" in found.message("X-07")


@pytest.mark.parametrize(
    ("body", "code", "verdict"),
    [
        ('raise Inconclusive("cannot tell")', 20, Verdict.INCONCLUSIVE),
        ('raise NotReady("no such role")', 40, Verdict.ERROR),
        ('raise UnsafeState("still on")', 50, Verdict.ERROR),
        ('bench.needs("telepathy")', 5, Verdict.SKIPPED),
        ('pytest.skip("not today")', 5, Verdict.SKIPPED),
    ],
)
def test_each_outcome_has_its_exit_code(run: Any, body: str, code: int, verdict: Verdict) -> None:
    found = run(scenario("08", body))

    assert (found.code, found.verdict("X-08")) == (code, verdict)


def test_the_worst_exit_code_wins(run: Any) -> None:
    not_ready = scenario("09", 'raise NotReady("no such role")')
    inconclusive = scenario("10", 'raise Inconclusive("cannot tell")')
    skipped = scenario("11", 'bench.needs("telepathy")')

    assert run(GOOD + skipped).code == 0
    assert run(GOOD + skipped + inconclusive).code == 20
    assert run(GOOD + inconclusive + BAD).code == 1
    assert run(GOOD + BAD + BROKEN + not_ready).code == 40


def test_a_stimulus_that_never_had_to_trip_is_inconclusive(run: Any) -> None:
    body = (
        "bench.cells.set(voltage_v=3.3)\nbench.start()\nbench.mode('charge')\n"
        "limit = bench.limit('cell_overvoltage')\n"
        "assert bench.record.charge_path.opened_s in reference.trip_window(bench.record.cell_v, limit)"
    )
    found = run(scenario("12", body))

    assert (found.code, found.verdict("X-12")) == (20, Verdict.INCONCLUSIVE)


def test_energy_is_off_after_a_failure_and_after_an_error(run: Any) -> None:
    proof = """
STATIONS = []

def energise(bench):
    STATIONS.append(bench.station)
    bench.cells.set(voltage_v=3.3)
    bench.start()
    bench.mode("charge")
    bench.charge(20.0)
    bench.wait(1.0)
    assert bench.station.rack.plant.terminal("charger").actual_current_a > 19.0
"""
    fails = scenario("13", "energise(bench)\nassert bench.now_s < 0")
    breaks = scenario("14", 'energise(bench)\nraise ValueError("a bug")')
    dark = scenario(
        "15",
        "assert len(STATIONS) == 2\n"
        "for station in STATIONS:\n"
        "    plant = station.rack.plant\n"
        "    assert not plant.terminal('charger').enabled\n"
        "    assert abs(plant.terminal('charger').actual_current_a) < 0.1\n"
        "    assert not plant.terminal('cells').connected.any()",
    )
    found = run(proof + fails + breaks + dark)

    assert found.verdict("X-13") is Verdict.FAIL
    assert found.verdict("X-14") is Verdict.ERROR
    assert found.verdict("X-15") is Verdict.PASS, found.message("X-15")


def test_energy_is_off_after_ctrl_c(pytester: pytest.Pytester) -> None:
    body = (
        "bench.cells.set(voltage_v=3.3)\nbench.start()\nbench.mode('charge')\nbench.charge(20.0)\n"
        "bench.wait(1.0)\npytest.charger = bench.station.rack.plant.terminal('charger')\n"
        "assert pytest.charger.actual_current_a > 19.0\nraise KeyboardInterrupt"
    )
    pytester.makefile(".toml", requirements=CLAUSES)
    pytester.makepyfile(test_x=HEAD + scenario("16", body))
    pytester.makeconftest(
        "import pytest\ndef pytest_unconfigure():\n"
        "    print('charger', pytest.charger.enabled, round(abs(pytest.charger.actual_current_a), 1))\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*stopped by KeyboardInterrupt*", "charger False 0.0"])


def test_an_instrument_that_stays_on_is_an_unsafe_state(run: Any) -> None:
    body = (
        "bench.cells.set(voltage_v=3.3)\n"
        "bench.station.instruments['charger'].is_off = lambda: False\n"
        "assert bench.now_s > 0"
    )
    found = run(scenario("17", body))

    assert (found.code, found.verdict("X-17")) == (50, Verdict.ERROR)
    assert "charger says that it is still on" in found.message("X-17")


def test_one_instrument_that_fails_to_switch_off_does_not_stop_the_others(run: Any) -> None:
    body = (
        "def refuse():\n    raise OSError('cable pulled')\n"
        "pytest.station = bench.station\n"
        "bench.cells.set(voltage_v=3.3)\n"
        "bench.station.instruments['charger'].off = refuse\n"
        "assert bench.now_s > 0"
    )
    found = run(scenario("18", body))
    station = pytest.station  # type: ignore[attr-defined]

    assert found.code == 50
    assert "cable pulled" in found.message("X-18")
    assert not station.rack.plant.terminal("cells").connected.any()


def test_two_runs_with_one_seed_agree_byte_by_byte(run: Any, pytester: pytest.Pytester) -> None:
    body = (
        "bench.cells.set(voltage_v=3.3)\nbench.start()\nbench.mode('drive')\nbench.discharge(50.0)\n"
        "bench.wait(1.0)\nassert reference.explains(bench.record)"
    )
    files = []
    for seed in (3, 3, 4):
        run(scenario("20", body), f"--bench-seed={seed}", f"--bench-results=r{len(files)}")
        (folder,) = (path for path in (pytester.path / f"r{len(files)}").glob("2*") if path.is_dir())
        names = sorted(path for path in (folder / "evidence").rglob("*") if path.is_file())
        files.append(
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in names
                if path.name not in ("run.json", "chain.jsonl", "seal.json")
            }
        )

    assert files[0] == files[1]
    assert files[0]["evidence/traces/X-20.npz"] != files[2]["evidence/traces/X-20.npz"]


def test_a_summary_is_there_after_a_plain_pytest_run(pytester: pytest.Pytester) -> None:
    root = Path(__file__).parents[1]
    pytester.makefile(".toml", requirements=CLAUSES)
    pytester.makepyfile(test_x=HEAD + GOOD)
    pytester.makeconftest((root / "conftest.py").read_text(encoding="utf-8"))
    pytester.runpytest_inprocess("-p", "no:cacheprovider")
    summary = json.loads((pytester.path / "results/latest/summary.json").read_text(encoding="utf-8"))

    assert summary["verdict"] == "pass"
    assert {"id", "title", "clauses", "verdict", "measured", "limit", "margin", "unit"} <= set(
        summary["scenarios"][0]
    )


def test_a_plain_assert_counts_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """As a user runs it: a process of its own, no ini file, nothing of this repository around."""
    (tmp_path / "test_mine.py").write_text(HEAD + tiny(PASSES), encoding="utf-8")
    (tmp_path / "requirements.toml").write_text(CLAUSES, encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "bmsbench: pass: 1 pass" in ended.stdout
