"""What every verb shares: the program itself, options that come again, the console, the way out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.errors import BenchError, FrameInvalid, InvalidInput

app = typer.Typer(
    help="Validate a battery management system, real or emulated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ROOT = Path(__file__).parents[2]
#: How a verdict is printed.
STYLE = {
    "pass": "green",
    "fail": "bold red",
    "error": "bold magenta",
    "inconclusive": "yellow",
    "skipped": "dim",
}

STATION_HELP = "A name in bench/stations, or a TOML file."
DUT_HELP = "A name in dut_profiles, or a TOML file."
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
StationOption = Annotated[str, typer.Option("--station", envvar="BENCH_STATION", help=STATION_HELP)]
DutOption = Annotated[str, typer.Option("--dut", envvar="BENCH_DUT", help=DUT_HELP)]
SimOption = Annotated[
    str, typer.Option("--sim", envvar="BENCH_SIM", help="Manifest of a running sim. Default: start one.")
]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder.")]


def console() -> Console:
    """A console that does not fold tables to 80 columns where nobody sees a terminal."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def guarded(command: Callable[[], object]) -> int:
    """Run `command`; its exit code. An error of the bench becomes one line on standard error."""
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
