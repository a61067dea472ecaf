"""`bmsbench decode`: what one frame of a dialect says."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Annotated

import typer

from bench.cli.program import app
from bench.errors import InvalidInput


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
