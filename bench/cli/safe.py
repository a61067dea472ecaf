"""`bmsbench safe`: the panic button. Energy off and read back, whether or not a run holds the bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.program import DUT_HELP, STATION_HELP, AsJson, app


@app.command()
def safe(
    station: Annotated[str, typer.Argument(help=STATION_HELP)],
    dut: Annotated[str, typer.Option("--dut", envvar="BENCH_DUT", help=DUT_HELP)] = "hd_lfp_24s",
    sim: Annotated[
        Path | None,
        typer.Option("--sim", envvar="BENCH_SIM", help="What `bmsbench sim --json` printed, as a file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a station safe now, read back that it is, and say so. Exit code 0 if confirmed, else 50.

    A run that holds the bench on this host is ended.
    """
    from bench.errors import UnsafeState
    from bench.guard.button import press
    from bench.station_file import load_station
    from dut_profiles.profile import load_profile

    file, profile = load_station(station), load_profile(dut)
    addresses = _addresses(sim) if sim else None
    report = press(file, profile, addresses, lambda text: typer.echo(text, err=as_json))
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        for name, value in report["readings"].items():
            typer.echo(f"{name:<28} {value:.6g}")
        typer.echo(report["sentence"])
    raise typer.Exit(0 if report["confirmed"] else UnsafeState.exit_code)


def _addresses(sim: Path) -> dict[str, str]:
    """Of a manifest; read here, because importing the sim takes longer than making a bench safe."""
    from bench.errors import InvalidInput

    try:
        return dict(json.loads(sim.read_text(encoding="utf-8"))["addresses"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            str(sim), expected="a file that `bmsbench sim --json` wrote", found=repr(error)
        ) from error
