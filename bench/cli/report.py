"""`bmsbench report`: the reports of a run, again and elsewhere, from its sealed evidence."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.program import AsJson, RunFolder, app
from bench.errors import InvalidInput


@app.command()
def report(
    run_folder: RunFolder = Path("results/latest"),
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the run's folder.")] = None,
    only: Annotated[str, typer.Option(help="Only this one: a module of reports/, such as summary.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the reports of a run again, from its sealed evidence."""
    if only and not _is_report(only):
        raise InvalidInput("--only", expected=f"one of {', '.join(report_names())}", found=repr(only))
    demand_run(run_folder)
    paths = render_all(run_folder, out or run_folder, [only] if only else report_names())
    if as_json:
        print(json.dumps({name: str(path) for name, path in paths.items()}, indent=1))
    else:
        for name, path in paths.items():
            typer.echo(f"{name:<12} {path}")


def report_names() -> list[str]:
    """Every module of `reports` that says what it writes, in alphabetical order, the summary first."""
    # By name, because nothing may import the reports: they are leaves, and one more is one more file.
    modules = (module.name for module in pkgutil.iter_modules(import_module("reports").__path__))
    return sorted(filter(_is_report, modules), key=lambda name: (name != "summary", name))


def _is_report(name: str) -> bool:
    if not name.isidentifier() or find_spec(f"reports.{name}") is None:
        return False
    module = import_module(f"reports.{name}")
    return hasattr(module, "render") and hasattr(module, "OUTPUT")


def demand_run(folder: Path) -> None:
    """Raise `InvalidInput` if there is no such folder."""
    if not folder.is_dir():
        raise InvalidInput(
            str(folder), expected="the folder of a run, as `bmsbench run` leaves it", found="no such folder"
        )


def render_all(folder: Path, out: Path, names: Sequence[str]) -> dict[str, Path]:
    """Write the reports `names` of the run in `folder` to `out`; the path of each."""
    from bench.evidence import load

    evidence = load(folder)
    out.mkdir(parents=True, exist_ok=True)
    return {name: import_module(f"reports.{name}").render(evidence, out) for name in names}
