"""Every report is a function of the evidence: rendered twice, the bytes agree."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.evidence import Evidence, load
from tests import sample_evidence as sample

NAMES = [
    module.name
    for module in pkgutil.iter_modules(reports.__path__)
    if hasattr(importlib.import_module(f"reports.{module.name}"), "render")
]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return load(sample.build(tmp_path_factory.mktemp("run")))


def _bytes_below(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_every_report_is_found() -> None:
    assert {"summary", "junit", "allure", "plots", "certificate"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_twice_gives_the_same_bytes(name: str, evidence: Evidence, tmp_path: Path) -> None:
    render = importlib.import_module(f"reports.{name}").render

    first, second = render(evidence, tmp_path / "a"), render(evidence, tmp_path / "b")

    assert _bytes_below(first)
    assert _bytes_below(first) == _bytes_below(second)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_again_into_the_same_folder_leaves_nothing_behind(
    name: str, evidence: Evidence, tmp_path: Path
) -> None:
    render = importlib.import_module(f"reports.{name}").render

    before = _bytes_below(render(evidence, tmp_path))

    assert _bytes_below(render(evidence, tmp_path)) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_scenarios_is_reported_too(name: str, tmp_path: Path) -> None:
    from bench.evidence import EvidenceWriter

    EvidenceWriter(tmp_path, sample.run_info(), sample.PROFILE, sample.STATION).seal()

    assert importlib.import_module(f"reports.{name}").render(load(tmp_path), tmp_path / "out").exists()


def test_plots_leave_no_global_state(evidence: Evidence, tmp_path: Path) -> None:
    import matplotlib

    from reports import plots

    before = dict(matplotlib.rcParams)
    plots.render(evidence, tmp_path)

    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_the_report_of_the_how_to_works(evidence: Evidence, tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/how-to/add-report.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    module: dict[str, Any] = {"__name__": "reports.margins"}
    exec(compile(code, "margins.py", "exec"), module)

    lines = module["render"](evidence, tmp_path).read_text().splitlines()

    assert lines[0] == "id,verdict,margin,unit"
    assert lines[2].startswith("OV-10,fail,-1.2")
    assert lines[2].endswith(",s")
    assert len(lines) == 7
