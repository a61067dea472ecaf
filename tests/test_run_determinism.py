"""A virtual run is a function of station, profile and seed: the same bytes in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.evidence import load
from tests.tiny_suites import runs_in

ROOT = Path(__file__).parents[1]

#: Who ran, when and where; and what is chained to it.
OF_THE_RUN = {"run.json", "chain.jsonl", "seal.json"}


def evidence_of(folder: Path, *, seed: int, hash_seed: str) -> Path:
    """Run two scenarios of the suite in a process of its own; return the evidence folder."""
    command = [
        *(sys.executable, "-m", "pytest", "test_suites", "-q", "-p", "no:cacheprovider"),
        *("-k", "ct_04 or ov_04", f"--bench-seed={seed}", f"--bench-results={folder}"),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    (run,) = runs_in(folder)
    assert len(load(run).scenarios) == 2, done.stdout
    return run / "evidence"


def files(evidence: Path) -> dict[str, bytes]:
    return {
        path.relative_to(evidence).as_posix(): path.read_bytes()
        for path in sorted(evidence.rglob("*"))
        if path.is_file() and path.name not in OF_THE_RUN
    }


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evidence_of(tmp_path_factory.mktemp("first"), seed=5, hash_seed="1")


def test_the_same_seed_gives_the_same_bytes_in_another_process(first: Path, tmp_path: Path) -> None:
    second = evidence_of(tmp_path, seed=5, hash_seed="2")

    assert {"traces", "exchanges", "can", "scenarios"} <= {name.split("/")[0] for name in files(first)}
    assert files(first) == files(second)
    # Only the last line of the chain, that of run.json, knows the day.
    chains = [(folder / "chain.jsonl").read_text().splitlines() for folder in (first, second)]
    assert chains[0][:-1] == chains[1][:-1]
    assert json.loads(chains[0][-1])["file"] == "run.json"


def test_another_seed_gives_other_measurements_and_the_same_verdicts(first: Path, tmp_path: Path) -> None:
    other = evidence_of(tmp_path, seed=6, hash_seed="1")
    one, two = files(first), files(other)

    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one if name.startswith("traces/"))
    assert one["profile.toml"] == two["profile.toml"]
    assert [s.result.verdict for s in load(first).scenarios] == [
        s.result.verdict for s in load(other).scenarios
    ]
