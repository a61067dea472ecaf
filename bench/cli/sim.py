"""`bmsbench sim`: serve the stand-ins of a station through real ports, for any client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from bench.cli.program import DUT_HELP, STATION_HELP, AsJson, app, console

if TYPE_CHECKING:
    from bench.sim import Manifest


@app.command()
def sim(
    station: Annotated[str, typer.Argument(help=f"{STATION_HELP} Its addresses are sim+<door>://...")],
    dut: Annotated[str, typer.Option("--dut", envvar="BENCH_DUT", help=DUT_HELP)] = "hd_lfp_24s",
    speed: Annotated[float, typer.Option(help="Bench seconds per second.")] = 1.0,
    real_ports: Annotated[
        bool, typer.Option("--real-ports", help="Ports of the real devices, on 127.0.0.2, 127.0.0.3, ...")
    ] = False,
    every_connector: Annotated[
        bool, typer.Option("--every-connector", help="Also the connectors that the station does not use.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Serve every stand-in of a station through a real port until Ctrl-C; print where.

    The stand-ins share one emulated pack and BMS. Any client may talk to them: this project's drivers, those
    of other libraries, a terminal.
    """
    from bench.sim.process import check_speed, serve
    from bench.station_file import load_station
    from dut_profiles.profile import load_profile

    file, profile = load_station(station), load_profile(dut)
    asyncio.run(
        serve(
            file,
            profile,
            announce=_as_json if as_json else _as_table,
            speed=check_speed(speed),
            host=host,
            real_ports=real_ports,
            every_connector=every_connector,
            lifeline=lifeline,
        )
    )


def _as_json(manifest: Manifest) -> None:
    print(manifest.to_json(), flush=True)


def _as_table(manifest: Manifest) -> None:
    table = Table("role", "address", title=f"{manifest.station} with {manifest.dut}", title_justify="left")
    for role, address in {**manifest.addresses, **manifest.connectors}.items():
        table.add_row(role, address)
    console().print(table)
    console().print(f"control line {manifest.control}, process {manifest.pid}; Ctrl-C ends it", style="dim")
