"""`bmsbench check`: who answers on a station, where its wires lead, whether it can be made safe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.program import STATION_HELP, AsJson, DutOption, SimOption, StationOption, app, console

if TYPE_CHECKING:
    from bench.bringup.checking import Checked
    from bench.bringup.inspection import RoleShown
    from bench.bringup.rows import Row

_STYLE = {"ok": "green", "note": "yellow", "wrong": "bold red"}


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(metavar="[STATION]", help=STATION_HELP)] = None,
    station: StationOption = "emulated",
    dut: DutOption = "hd_lfp_24s",
    wiring: Annotated[
        bool, typer.Option("--wiring", help="Follow each channel to where it arrives, at millivolts.")
    ] = False,
    drill: Annotated[
        bool, typer.Option("--drill", help="Switch a little on, make safe, and read back that it is.")
    ] = False,
    sim: SimOption = "",
    as_json: AsJson = False,
) -> None:
    """Hold every instrument against the station file: identity, calibration, ceilings. Energises nothing.

    With --wiring and --drill a little energy follows, only if everything before was right. Exit code 40: not
    ready, with every finding; 50: could not be made safe.
    """
    from bench.bringup.checking import check as check_bench
    from bench.bringup.served import bench_of

    with bench_of(name or station, dut, manifest=sim) as bench:
        checked = check_bench(bench, wiring=wiring, drill=drill)
    if as_json:
        print(json.dumps(_as_json(checked), indent=1))
    else:
        _print(checked)
    for row in checked.findings:
        typer.echo(f"NotReady: {row}.", err=True)
    if checked.unsafe:
        typer.echo(f"UnsafeState: {checked.unsafe}", err=True)
    raise typer.Exit(checked.exit_code)


def _as_json(checked: Checked) -> dict[str, object]:
    return {
        "station": checked.station,
        "dut": checked.dut,
        "ready": checked.exit_code == 0,
        "roles": [asdict(role) for role in checked.roles],
        "rows": [asdict(row) for row in checked.rows],
        "findings": [str(row) for row in checked.findings],
        "unsafe": checked.unsafe or None,
    }


def _print(checked: Checked) -> None:
    screen = console()
    screen.print(_instruments(f"{checked.station} with {checked.dut}", checked.roles))
    screen.print(_rows(checked.rows))
    count = len(checked.findings)
    if checked.unsafe:
        screen.print("NOT SAFE, look", style="bold red")
    elif count:
        screen.print(f"not ready: {count} finding{'s' if count > 1 else ''}", style="bold red")
    else:
        screen.print("ready", style="green")


def _instruments(title: str, roles: Iterable[RoleShown]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("role", "driver", "weakest exchange", "ceilings", "rating", "watchdog"):
        table.add_column(heading, overflow="fold")
    for role in roles:
        table.add_row(
            role.role,
            role.driver.partition(":")[2],
            role.label,
            _limits(role.ceilings),
            _limits(role.ratings),
            role.watchdog.partition(":")[0],
        )
    return table


def _limits(values: dict[str, float]) -> str:
    """`150 V, 240 A`; a temperature range as `-40 to 130 °C`."""
    parts = [f"{v:g} {key[-1].upper()}" for key, v in values.items() if not key.endswith("degc")]
    range_degc = [f"{v:g}" for key, v in values.items() if key.endswith("degc")]
    return ", ".join([*parts, *([f"{' to '.join(range_degc)} °C"] if range_degc else [])])


def _rows(rows: Iterable[Row]) -> Table:
    table = Table()
    for heading in ("where", "what", "expected", "found", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = [escape(text) for text in (row.where, row.what, row.expected, row.found)]
        table.add_row(*cells, f"[{_STYLE[row.mark]}]{row.mark}[/]")
    return table
