"""The command line: `bmsbench` and `python -m bench`. Thin over pytest, the reports and the codecs.

Each verb imports what it needs when it runs, so that `decode` does not wait for the plant to load.
"""

from __future__ import annotations

import json
import pkgutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.errors import BenchError, FrameInvalid, InvalidInput

app = typer.Typer(
    help="Validate a battery management system, real or emulated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ROOT = Path(__file__).parents[1]
_STYLE = {
    "pass": "green",
    "fail": "bold red",
    "error": "bold magenta",
    "inconclusive": "yellow",
    "skipped": "dim",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_STATION_HELP = "A name in bench/stations, or a TOML file."
_DUT_HELP = "A name in dut_profiles, or a TOML file."
StationOption = Annotated[str, typer.Option("--station", envvar="BENCH_STATION", help=_STATION_HELP)]
DutOption = Annotated[str, typer.Option("--dut", envvar="BENCH_DUT", help=_DUT_HELP)]


@app.command()
def run(
    station: Annotated[str | None, typer.Option(help=f"{_STATION_HELP} Default: emulated.")] = None,
    dut: Annotated[str | None, typer.Option(help=f"{_DUT_HELP} Default: hd_lfp_24s.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of the emulated parts.")] = None,
    defect: Annotated[str | None, typer.Option(help="Seed this defect into the emulated BMS.")] = None,
    defects_from: Annotated[str | None, typer.Option(help="A Python file with further defects.")] = None,
    rule: Annotated[str | None, typer.Option(help="Decision rule: simple (default) or guarded.")] = None,
    select: Annotated[
        str, typer.Option("--select", "-k", help="Only scenarios that match, as pytest -k.")
    ] = "",
    suite: Annotated[Path, typer.Option(help="Folder or file with scenarios.")] = ROOT / "test_suites",
    results: Annotated[Path | None, typer.Option(help="Folder for results. Default: results.")] = None,
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
    code, folder = _run_pytest(arguments, quiet=as_json)
    if folder is None:
        raise typer.Exit(code)
    paths = _render_all(folder, folder, _report_names())
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


def _run_pytest(arguments: list[str], *, quiet: bool) -> tuple[int, Path | None]:
    """Run pytest in this process; its exit code and the run's folder."""
    import pytest

    class Sealed:
        folder: Path | None = None

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
    return code, sealed.folder


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(help="A run's folder.")] = Path("results/latest"),
    out: Annotated[Path | None, typer.Option(help="Where to write; default: the run's folder.")] = None,
    only: Annotated[str, typer.Option(help="Only this one: a module of reports/, such as summary.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the reports of a run again, from its sealed evidence."""
    if only and not _is_report(only):
        raise InvalidInput("--only", expected=f"one of {', '.join(_report_names())}", found=repr(only))
    _demand_run(run_folder)
    paths = _render_all(run_folder, out or run_folder, [only] if only else _report_names())
    if as_json:
        print(json.dumps({name: str(path) for name, path in paths.items()}, indent=1))
    else:
        for name, path in paths.items():
            typer.echo(f"{name:<12} {path}")


def _report_names() -> list[str]:
    """Every module of `reports` that says what it writes, in alphabetical order, the summary first."""
    # By name, because nothing may import the reports: they are leaves, and one more is one more file.
    modules = (module.name for module in pkgutil.iter_modules(import_module("reports").__path__))
    return sorted(filter(_is_report, modules), key=lambda name: (name != "summary", name))


def _is_report(name: str) -> bool:
    if not name.isidentifier() or find_spec(f"reports.{name}") is None:
        return False
    module = import_module(f"reports.{name}")
    return hasattr(module, "render") and hasattr(module, "OUTPUT")


def _demand_run(folder: Path) -> None:
    if not folder.is_dir():
        raise InvalidInput(
            str(folder), expected="the folder of a run, as `bmsbench run` leaves it", found="no such folder"
        )


def _render_all(folder: Path, out: Path, names: Sequence[str]) -> dict[str, Path]:
    from bench.evidence import load

    evidence = load(folder)
    out.mkdir(parents=True, exist_ok=True)
    return {name: import_module(f"reports.{name}").render(evidence, out) for name in names}


@app.command("verify")
def verify_command(
    run_folder: Annotated[Path, typer.Argument(help="A run's folder.")] = Path("results/latest"),
    seal: Annotated[str, typer.Option(help="The seal's hash as printed on the certificate.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check that the evidence of a run is complete and unaltered."""
    from bench.evidence import verify

    _demand_run(run_folder)
    found = verify(run_folder, head=seal or None)
    if as_json:
        print(json.dumps({"intact": True, "files": found.entries, "seal": found.head}))
    else:
        typer.echo(f"intact: {found.entries} files, seal {found.head}")


@app.command()
def check(
    station: StationOption = "emulated",
    dut: DutOption = "hd_lfp_24s",
    as_json: AsJson = False,
) -> None:
    """Read a station and a profile, open every instrument, say who answers, energise nothing."""
    from bench.station import Station
    from bench.station_file import load_station
    from dut_profiles.profile import load_profile

    file, profile = load_station(station), load_profile(dut)
    with Station(file, profile) as bench:
        rows = [
            {"role": name, "address": entry.address, "identity": bench.identities[name]}
            for name, entry in file.roles.items()
        ]
    if as_json:
        print(json.dumps({"station": file.name, "dut": profile.identity.model, "roles": rows}, indent=1))
    else:
        table = Table("role", "address", "identity", title=f"{file.name} with {profile.identity.model}")
        for row in rows:
            table.add_row(row["role"], row["address"], row["identity"])
        _console().print(table)


@app.command()
def decode(
    protocol: Annotated[str, typer.Option(help="A dialect in dut_profiles/protocols, e.g. daly_uart_a5.")],
    hexadecimal: Annotated[str, typer.Option("--hex", help="The bytes, e.g. 'A5 01 90 08 ...'.")],
    can_id: Annotated[str, typer.Option("--id", help="CAN identifier, e.g. 0x301, for CAN dialects.")] = "",
) -> None:
    """Print what a frame says, as JSON: SI units, current positive when it charges the pack."""
    from dut_profiles.protocols import names

    if protocol not in names():
        raise InvalidInput("--protocol", expected=f"one of {', '.join(names())}", found=repr(protocol))
    try:
        data = bytes.fromhex(hexadecimal.replace(":", " ").replace("0x", " "))
    except ValueError as error:
        raise InvalidInput(
            "--hex", expected="pairs of hexadecimal digits", found=repr(hexadecimal)
        ) from error
    try:
        number = int(can_id, 0) if can_id else None
    except ValueError as error:
        raise InvalidInput("--id", expected="a number such as 0x301", found=repr(can_id)) from error
    decoder = import_module(f"dut_profiles.protocols.{protocol}").decode
    print(json.dumps(decoder(data, can_id=number), indent=1, default=str))


@app.command()
def score(
    dut: DutOption = "hd_lfp_24s",
    defects_from: Annotated[
        str, typer.Option("--defects-from", help="A Python file with further defects.")
    ] = "",
    only: Annotated[list[str] | None, typer.Option(help="Score only this defect; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=0, help="Seeds on which the sound BMS must have no finding.")] = 3,
    listed: Annotated[
        bool, typer.Option(help="Run only the scenarios that a defect names as its catchers.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Run the suite against every seeded defect and against the sound BMS: what is caught, what is missed."""
    from bench.score import Scorer, score_rows

    scorer = Scorer(dut=dut, defects_from=defects_from, listed=listed, jobs=jobs)
    done: list[Any] = []
    for row in scorer.run(only=only or [], seeds=seeds):
        done.append(row)
        typer.echo(row.line(), err=True)
    result = score_rows(done)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        table = Table("defect", "seen as", "by", title="Score", show_lines=False)
        for row in done:
            table.add_row(row.name, row.verdict, ", ".join(row.scenarios) or "-")
        _console().print(table)
        caught = f"caught {result['caught']} of {result['defects']}"
        typer.echo(f"{caught}, sound BMS: {result['false_findings']} findings")
    raise typer.Exit(0 if result["green"] else 1)


def _print_verdicts(summary: dict[str, Any]) -> None:
    table = Table(title=f"Verdict: {summary['verdict']}", title_style=_STYLE.get(summary["verdict"], ""))
    table.add_column("id")
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=64)
    table.add_column("verdict")
    for name in ("measured", "limit", "margin", "unit"):
        table.add_column(name, justify="right")
    for row in summary["scenarios"]:
        style = _STYLE.get(row["verdict"], "")
        numbers = ["" if row[key] is None else f"{row[key]:.4g}" for key in ("measured", "limit", "margin")]
        table.add_row(row["id"], row["title"], f"[{style}]{row['verdict']}[/]", *numbers, row["unit"] or "")
    _console().print(table)


def _console() -> Console:
    """A console that does not fold tables to 80 columns where nobody sees a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def main() -> None:
    """Entry point. An error of the bench is one line and an exit code, not a stack trace."""
    raise SystemExit(_guarded(app))


def _guarded(command: Callable[[], object]) -> int:
    try:
        command()
    except FrameInvalid as error:
        typer.echo(f"FrameInvalid: {error}", err=True)
        return 4
    except BenchError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        return error.exit_code
    except OSError as error:
        # A folder that cannot be written, a disk that is full.
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        return InvalidInput.exit_code
    return 0
