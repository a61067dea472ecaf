"""Suites of a few lines, run in process with the plugin: what comes of them, and their evidence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import pytest

# Imported here, outside the inner runs: pytester forgets what was first imported in one.
import bench.run  # noqa: F401
import instruments.cells_bs1200
import instruments.faultbox_numato
import instruments.load_63200a
import instruments.meter_dmm6500
import instruments.supply_rp7900
import instruments.thermistors_waveshare_ao8  # noqa: F401
from bench.evidence import Evidence, load
from bench.verdict import Verdict
from reports import junit, summary  # noqa: F401

CLAUSES = """
["X 1"]
title = "The first clause"
source = "unverified"
"""

HEAD = """
import pytest
from bench.errors import BenchError, Inconclusive, InstrumentRefused, NotApplicable, NotReady, UnsafeState
from bench.scenario import pack, requirement
from bench.verdict import Window
"""

#: The shortest scenario that judges something, without opening the bench.
PASSES = "assert 1 + 1 == 2"


def scenario(body: str, *, name: str = "xx_01", number: str = "XX-01", arguments: str = "") -> str:
    """The source of one scenario with `body`."""
    return (
        f'\n@requirement("X 1", scenario="{number}")\ndef test_{name}({arguments}):\n'
        f'    """{number} does what its body says."""\n{indent(dedent(body).strip(), "    ")}\n'
    )


@dataclass(frozen=True)
class Run:
    """One finished run."""

    exit_code: int
    text: str
    errors: str
    evidence: Evidence | None

    @property
    def verdicts(self) -> list[Verdict]:
        """In the order of the run."""
        assert self.evidence is not None
        return [scenario.result.verdict for scenario in self.evidence.scenarios]

    @property
    def messages(self) -> list[str]:
        """In the order of the run."""
        assert self.evidence is not None
        return [scenario.result.message for scenario in self.evidence.scenarios]


def runs_in(results: Path) -> list[Path]:
    """The folders of the runs in a results folder."""
    found = results.iterdir() if results.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def run(
    pytester: pytest.Pytester, *sources: str, options: tuple[str, ...] = (), clauses: str = CLAUSES
) -> Run:
    """Run scenarios of the given sources in this process."""
    pytester.makepyfile(test_tiny=HEAD + "".join(sources))
    (pytester.path / "requirements.toml").write_text(clauses, encoding="utf-8")
    before = runs_in(pytester.path / "results")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
    new = [folder for folder in runs_in(pytester.path / "results") if folder not in before]
    return Run(
        int(result.ret), result.stdout.str(), result.stderr.str(), load(new[0]) if len(new) == 1 else None
    )


def clean_environment(patch: pytest.MonkeyPatch) -> None:
    """No option of the plugin from outside."""
    for name in [name for name in os.environ if name.startswith("BENCH_")]:
        patch.delenv(name)
