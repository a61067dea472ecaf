"""Round trips per second on each wire: this project's wires beside the bare libraries, on the same partner.

    python -m benchmarks.round_trips [--rounds N]

Both sides take turns within one run, so that what else the machine does counts for both; the fastest turn of
each is compared. A round trip is one question and its answer; on CAN, where nobody answers, it is one frame
from one client to another. The bare side does what the library's manual shows and nothing else; ours also
keeps a transcript, checks that the wire is not busy, and turns failures into errors of the bench.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from timeit import default_timer
from typing import Any

import can
import pyvisa
import serial
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from rich.console import Console
from rich.table import Table

from bench.clock import Clock
from bench.wires.can import drain, open_can, send
from bench.wires.modbus import open_modbus
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.visa import open_visa
from benchmarks.partner import BAUD, REQUEST
from instruments.scpi_dialogue import Dialogue

Turn = Callable[[int], None]
TURNS = 7
#: How much slower than the bare library a wire may be.
MOST_OVERHEAD = 0.15
#: Frames in flight between two CAN clients.
_BURST = 500


@contextmanager
def partner() -> Iterator[dict[str, list[str]]]:
    """A partner process; wire to addresses."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.partner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def _common() -> dict[str, Any]:
    return {"clock": Clock(virtual=False), "role": "role", "transcript": Transcript()}


def _visa(addresses: list[str]) -> tuple[Turn, Turn]:
    manager = pyvisa.ResourceManager("@py")
    bare: Any = manager.open_resource(addresses[0], read_termination="\n", write_termination="\n")
    common = _common()
    ours = Dialogue(open_visa(addresses[0], **common), clock=common["clock"], role="role")
    question = REQUEST.decode()

    def ask_bare(rounds: int) -> None:
        for _ in range(rounds):
            bare.query(question)

    def ask_ours(rounds: int) -> None:
        for _ in range(rounds):
            ours.ask(question)

    return ask_bare, ask_ours


def _serial(addresses: list[str]) -> tuple[Turn, Turn]:
    bare = serial.Serial(addresses[0], baudrate=BAUD, timeout=1.0)
    ours = open_serial(addresses[1], baud=BAUD, **_common())

    def ask(port: Any) -> Turn:
        def turn(rounds: int) -> None:
            for _ in range(rounds):
                port.write(REQUEST)
                port.read_until(b"\n")

        return turn

    return ask(bare), ask(ours)


def _modbus(addresses: list[str]) -> tuple[Turn, Turn]:
    host, _, port = addresses[0].removeprefix("tcp://").partition(":")
    bare = ModbusTcpClient(host, port=int(port))
    bare.connect()
    return _read_ten(bare), _read_ten(open_modbus(addresses[0], **_common()))


def _rtu(addresses: list[str]) -> tuple[Turn, Turn]:
    bare = ModbusSerialClient(addresses[0], baudrate=BAUD)
    bare.connect()
    return _read_ten(bare), _read_ten(open_modbus(addresses[1], baud=BAUD, **_common()))


def _read_ten(client: Any) -> Turn:
    def turn(rounds: int) -> None:
        for _ in range(rounds):
            client.read_holding_registers(0, count=10, device_id=1)

    return turn


def _can(addresses: list[str]) -> tuple[Turn, Turn]:
    clock = Clock(virtual=False)
    if "socketcand" in addresses[0]:
        query = dict(part.split("=") for part in addresses[0].partition("?")[2].split("&"))
        options = {"interface": "socketcand", "host": query["host"], "port": int(query["port"])}
        bare = [can.Bus(channel="can0", **options) for _ in "ab"]
        mine = addresses[1:] * 2
    else:
        bare = [
            can.Bus(interface="slcan", channel=address.removeprefix("can:slcan:"), bitrate=1_000_000)
            for address in addresses[:2]
        ]
        mine = addresses[2:]
    ours = [
        open_can(address, bitrate=1_000_000, clock=clock, role="role", transcript=Transcript())
        for address in mine
    ]

    def bare_turn(rounds: int) -> None:
        for first in range(0, rounds, _BURST):
            for k in range(min(_BURST, rounds - first)):
                bare[0].send(can.Message(arbitration_id=0x123, data=bytes((k % 256,)), is_extended_id=False))
            for _ in range(min(_BURST, rounds - first)):
                if bare[1].recv(5.0) is None:
                    raise SystemExit("a frame was lost")

    def our_turn(rounds: int) -> None:
        for first in range(0, rounds, _BURST):
            burst = min(_BURST, rounds - first)
            send(ours[0], ((0x123, bytes((k % 256,))) for k in range(burst)))
            got = 0
            while got < burst:
                clock.sleep(0.0005)  # drivers look from time to time, they do not spin
                got += len(drain(ours[1], clock))

    return bare_turn, our_turn


WIRES: dict[str, Callable[[list[str]], tuple[Turn, Turn]]] = {
    "socket": _visa,
    "hislip": _visa,
    "vxi11": _visa,
    "serial": _serial,
    "modbus": _modbus,
    "rtu": _rtu,
    "socketcand": _can,
    "slcan": _can,
}


def _best_s(turns: tuple[Turn, Turn], rounds: int) -> tuple[float, float]:
    """Seconds per round trip of the bare library and of ours, the fastest turn of each."""
    best = [float("inf"), float("inf")]
    for turn in turns:
        turn(rounds // 10 + 1)
    for _ in range(TURNS):
        for k, turn in enumerate(turns):
            start_s = default_timer()
            turn(rounds)
            best[k] = min(best[k], (default_timer() - start_s) / rounds)
    return best[0], best[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000, help="round trips per turn (RTU: a tenth)")
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    table = Table("wire", "bare [1/s]", "ours [1/s]", "overhead", title=f"best of {TURNS} turns")
    worst = 0.0
    with partner() as addresses:
        for wire, prepare in WIRES.items():
            bare_s, ours_s = _best_s(
                prepare(addresses[wire]), max(1, rounds // 10 if wire == "rtu" else rounds)
            )
            overhead = ours_s / bare_s - 1.0
            worst = max(worst, overhead)
            table.add_row(wire, f"{1 / bare_s:.0f}", f"{1 / ours_s:.0f}", f"{overhead:+.1%}")
    Console(width=100).print(table)
    print(f"largest overhead {worst:+.1%}, goal at most {MOST_OVERHEAD:.0%}")
    return 0 if worst <= MOST_OVERHEAD else 1


if __name__ == "__main__":
    raise SystemExit(main())
