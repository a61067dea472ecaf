"""`bmsbench discover`: what answers, which driver is for it, and the entry of a station file to paste."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.program import AsJson, app, console

if TYPE_CHECKING:
    from bench.bringup.probes import Answer


@app.command()
def discover(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            help="VISA names, serial devices, socket://<host>:<port>, tcp://<host>:<port> for Modbus, "
            "can:<interface>:<channel>[?bitrate=<bit/s>]."
        ),
    ] = None,
    only_given: Annotated[
        bool, typer.Option("--only-given", help="Look at no address but those given here.")
    ] = False,
    listen: Annotated[float, typer.Option(help="Seconds to listen on a CAN bus.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Ask who is there: USB and GPIB, serial ports, CAN adapters, and the addresses given.

    Asks for names and reads registers; sends nothing on CAN; never searches a network. Prints an entry
    for each instrument that a driver knows. Exit code 0 if there is one, else 40.
    """
    from bench.bringup.listing import can_channels, serial_ports, visa_names
    from bench.bringup.probes import probe
    from bench.bringup.proposal import proposals
    from bench.errors import NotReady

    given = list(dict.fromkeys(addresses or []))
    listed = [] if only_given else [*visa_names(), *serial_ports()]
    # A bus is not opened at a guessed bit rate: that would disturb everybody on it.
    unopened = [] if only_given else [a for a in can_channels() if not a.startswith("can:socketcan:")]
    if not only_given:
        listed += [a for a in can_channels() if a.startswith("can:socketcan:")]
    answers = [probe(address, listen_s=listen) for address in dict.fromkeys([*given, *listed])]
    entries = proposals(answers)
    if as_json:
        rows = [_as_json(answer) for answer in answers]
        adapters = [address for address in unopened if address not in given]
        shown = {"answers": rows, "adapters": adapters, "roles": dict(entries)}
        print(json.dumps(shown, indent=1))
    else:
        _print(answers)
        for address in unopened:
            typer.echo(
                f"{address}: an adapter; give it with its bit rate to listen: {address}?bitrate=500000"
            )
        for _, text in entries:
            typer.echo(f"\n{text}", nl=False)
    raise typer.Exit(0 if entries else NotReady.exit_code)


def _as_json(answer: Answer) -> dict[str, object]:
    return {
        "address": answer.address,
        "identity": answer.identity,
        "drivers": [known.name for known in answer.drivers],
        "label": answer.drivers[0].label if answer.drivers else None,
        "remark": answer.remark,
    }


def _print(answers: list[Answer]) -> None:
    table = Table()
    for heading in ("address", "identity", "driver", "weakest exchange"):
        table.add_column(heading, overflow="fold")
    for answer in answers:
        identity = escape(answer.identity)
        if answer.remark:
            identity += ("; " if identity else "") + f"[dim]{escape(answer.remark)}[/]"
        names = ", ".join(known.name.partition(":")[2] for known in answer.drivers) or "none"
        label = answer.drivers[0].label if answer.drivers else ""
        table.add_row(escape(answer.address), identity, names, label)
    console().print(table)
