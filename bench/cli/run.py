"""`bmsbench run`: the suite under pytest, then every report from the sealed evidence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from bench.cli.program import DUT_HELP, ROOT, STATION_HELP, STYLE, AsJson, app, console
from bench.cli.report import render_all, report_names

if TYPE_CHECKING:
    from bench.plan import Plan


@app.command()
def run(
    station: Annotated[str | None, typer.Option(help=f"{STATION_HELP} Default: emulated.")] = None,
    dut: Annotated[str | None, typer.Option(help=f"{DUT_HELP} Default: hd_lfp_24s.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of the emulated parts.")] = None,
    defect: Annotated[str | None, typer.Option(help="Seed this defect into the emulated BMS.")] = None,
    defects_from: Annotated[str | None, typer.Option(help="A Python file with further defects.")] = None,
    rule: Annotated[str | None, typer.Option(help="Decision rule: simple (default) or guarded.")] = None,
    select: Annotated[
        str, typer.Option("--select", "-k", help="Only scenarios that match, as pytest -k.")
    ] = "",
    suite: Annotated[Path, typer.Option(help="Folder or file with scenarios.")] = ROOT / "test_suites",
    results: Annotated[Path | None, typer.Option(help="Folder for results. Default: results.")] = None,
    plan: Annotated[
        bool | None,
        typer.Option(
            "--plan/--no-plan", help="Only plan; or run a real station without. Default: plan, then run it."
        ),
    ] = None,
    longest: Annotated[float | None, typer.Option(help="Leave out scenarios that take longer [s].")] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="Start only if nothing speaks against a certification.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the suite, then write every report from the sealed evidence.

    What is not given comes from the environment (BENCH_STATION, BENCH_DUT, ...), then from pytest's ini file.
    """
    given = {
        "station": station,
        "dut": dut,
        "seed": seed,
        "defect": defect,
        "defects-from": defects_from,
        "rule": rule,
        "results": results,
        "plan": {True: "only", False: "off", None: None}[plan],
        "longest": longest,
        "certify": "yes" if certify else None,
    }
    arguments = [
        str(suite),
        "-q",
        "--no-header",
        "--no-summary",
        "-p",
        "no:cacheprovider",
        *(f"--bench-{name}={value}" for name, value in given.items() if value is not None),
        *(["-k", select] if select else []),
    ]
    code, folder, planned = _run_pytest(arguments, quiet=as_json)
    if folder is None:
        if as_json and planned is not None:
            print(planned.as_json())
        raise typer.Exit(code)
    paths = render_all(folder, folder, report_names())
    summary = json.loads(paths["summary"].read_text(encoding="utf-8"))
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        _print_verdicts(summary)
        latest = folder.parent / "latest"
        shown = latest if latest.exists() else folder
        names = ", ".join(path.name for path in paths.values())
        typer.echo(f"Artefacts in {shown}/: {names}, evidence/")
    raise typer.Exit(code)


def _run_pytest(arguments: list[str], *, quiet: bool) -> tuple[int, Path | None, Plan | None]:
    """Run pytest in this process; its exit code, the run's folder, and the plan if one was made."""
    import pytest

    class Sealed:
        folder: Path | None = None
        plan: Plan | None = None

        def pytest_bench_planned(self, plan: Plan) -> None:
            self.plan = plan

        def pytest_bench_sealed(self, run_folder: Path) -> None:
            self.folder = run_folder

    sealed = Sealed()
    stdout = sys.stdout
    if quiet:
        sys.stdout = sys.stderr
    try:
        code = int(pytest.main(arguments, plugins=[sealed]))
    finally:
        sys.stdout = stdout
    return code, sealed.folder, sealed.plan


def _print_verdicts(summary: dict[str, Any]) -> None:
    title = f"Verdict: {summary['verdict']} ({summary['run']['kind']} run)"
    table = Table(title=title, title_style=STYLE.get(summary["verdict"], ""))
    table.add_column("id")
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=64)
    table.add_column("verdict")
    for name in ("measured", "limit", "margin", "unit"):
        table.add_column(name, justify="right")
    for row in summary["scenarios"]:
        style = STYLE.get(row["verdict"], "")
        numbers = ["" if row[key] is None else f"{row[key]:.4g}" for key in ("measured", "limit", "margin")]
        table.add_row(row["id"], row["title"], f"[{style}]{row['verdict']}[/]", *numbers, row["unit"] or "")
    console().print(table)
