"""The suite tells a wrong BMS from a sound one: one seeded defect per hazard, one scenario that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.emulated_bms.defects import CATALOGUE
from bench.evidence import load
from bench.verdict import Verdict, worst
from tests.test_repository import SCENARIOS
from tests.tiny_suites import clean_environment, runs_in

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]

#: One cheap scenario per hazard, and a defect that it has to find.
PAIRS = {
    "M-01": "D36_cell_gain_gross",
    "OV-04": "D06_no_debounce",
    "UV-01": "D03_undervoltage_threshold_gross",
    "OC-07": "D18_short_circuit_off",
    "TH-03": "D25_temperature_limits_swapped",
    "TH-08": "fan_never_runs",
    "BA-03": "D49_balances_in_any_mode",
    "CT-04": "D66_weld_not_found",
    "FI-01": "D42_open_wire_not_found",
    "CM-02": "D73_host_timeout_late",
    "SY-05": "D79_log_loses_newest",
}


def verdict_of(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, scenario: str, *options: str
) -> tuple[Verdict, int]:
    """Verdict and exit code of exactly one scenario of the suite."""
    clean_environment(monkeypatch)
    nodes = [f"{path}::{node.name}" for path, node, found, _ in SCENARIOS if found == scenario]
    results = pytester.path / f"results{len(list(pytester.path.iterdir()))}"
    done = pytester.inline_run(
        *nodes, f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}", f"--bench-results={results}", "-q",
        "-p", "no:cacheprovider", *options,
    )  # fmt: skip
    (folder,) = runs_in(results)
    stored = load(folder).scenarios
    assert {each.result.id for each in stored} == {scenario}
    return worst(each.result.verdict for each in stored), int(done.ret)


@pytest.mark.parametrize(("scenario", "defect"), PAIRS.items(), ids=PAIRS)
def test_a_defect_is_a_failure_and_the_sound_bms_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, scenario: str, defect: str
) -> None:
    assert scenario in CATALOGUE[defect].caught_by

    assert verdict_of(pytester, monkeypatch, scenario) == (Verdict.PASS, 0)
    assert verdict_of(pytester, monkeypatch, scenario, f"--bench-defect={defect}") == (Verdict.FAIL, 1)


def test_every_scenario_that_a_defect_names_exists() -> None:
    known = {scenario for _, _, scenario, _ in SCENARIOS}
    unknown = {name: sorted({*defect.caught_by} - known) for name, defect in CATALOGUE.items()}

    assert {name: ids for name, ids in unknown.items() if ids} == {}


def test_every_defect_names_at_least_one_scenario() -> None:
    assert [name for name, defect in CATALOGUE.items() if not defect.caught_by] == []


def test_a_defect_is_called_by_one_name() -> None:
    assert {name: defect.name for name, defect in CATALOGUE.items() if name != defect.name} == {}
