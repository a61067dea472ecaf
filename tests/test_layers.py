"""The layers of `pyproject.toml` hold, name every module, and would notice a breach."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: the linter must read the packages of `root`, not the ones imported here.
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()",
         "--no-cache"],
        cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_import_contracts_are_kept():
    found = lint(ROOT)

    assert found.returncode == 0, found.stdout + found.stderr


def test_every_module_of_bench_has_its_row():
    (layers,) = (contract["layers"] for contract in CONFIG["contracts"] if contract["type"] == "layers")
    named = {name.strip(" ()") for row in layers for name in row.replace("|", ":").split(":")}
    modules = {
        f"bench.{path.stem}"
        for path in (ROOT / "bench").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and not path.name.startswith("__")
    }

    assert modules <= named


@pytest.mark.parametrize(
    ("module", "breach", "contract"),
    [
        ("bench/reference/__init__.py", "import bench.plant", "The oracle never meets what it judges BROKEN"),
        ("reports/__init__.py", "import bench.emulated_bms", "A report is a function of the evidence BROKEN"),
        ("bench/clock.py", "import bench.verdict", "never from above BROKEN"),
    ],
)
def test_a_breach_is_noticed(tmp_path, module, breach, contract):
    for package in CONFIG["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source = tmp_path / module
    source.write_text(source.read_text(encoding="utf-8") + f"\n{breach}\n", encoding="utf-8")

    found = lint(tmp_path)

    assert found.returncode == 1
    assert contract in found.stdout
