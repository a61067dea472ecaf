"""A child process with one partner per wire, for benchmarks: it answers at once, so the wire is measured.

    python -m benchmarks.partner        prints wire and addresses as JSON and serves until its input ends

A serial port has one user, so there are several of these. On the CAN buses nobody answers: who measures
there connects twice.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.clock import Clock
from bench.doors.hislip import HislipDoor
from bench.doors.modbus_rtu import ModbusRtuDoor
from bench.doors.modbus_tcp import ModbusTcpDoor
from bench.doors.slcan import SlcanDoor
from bench.doors.socket_door import SocketDoor
from bench.doors.socketcand import SocketcandDoor
from bench.doors.stream_door import PtyDoor
from bench.doors.vxi11 import Vxi11Door
from bench.wires.can import CanHub
from bench.wires.modbus_server import ModbusServer
from bench.wires.twin import Reply

REQUEST, ANSWER = b"*IDN?", b"bmsbench,partner,1,1\n"
BAUD = 115_200


class Partner:
    """Answers every line with the same line."""

    def handle(self, message: bytes) -> Reply | None:
        return Reply(ANSWER)


class Registers:
    """Ten registers."""

    def read(self, table: str, device_id: int, address: int, count: int) -> list[int]:
        return list(range(count))

    def write(self, table: str, device_id: int, address: int, values: object) -> None:
        return


async def _serve() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, stop.set)
    clock = Clock(virtual=False)
    hubs = [CanHub(clock, 1_000_000) for _ in range(4)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        doors = {
            "socket": [SocketDoor(Partner(), clock=clock)],
            "hislip": [HislipDoor(Partner(), clock=clock)],
            "vxi11": [Vxi11Door(Partner(), clock=clock)],
            "serial": [PtyDoor(Partner(), clock=clock, folder=folder, name=f"serial{k}") for k in range(2)],
            "modbus": [ModbusTcpDoor(ModbusServer(Registers(), framing="tcp"), clock=clock)],
            "rtu": [
                ModbusRtuDoor(
                    ModbusServer(Registers()), clock=clock, folder=folder, name=f"rtu{k}", baud=BAUD
                )
                for k in range(2)
            ],
            "socketcand": [SocketcandDoor(hub, clock=clock) for hub in hubs[:2]],
            "slcan": [
                SlcanDoor(hubs[2 + k // 2], clock=clock, folder=folder, name=f"slcan{k}") for k in range(4)
            ],
        }
        for door in (door for wire in doors.values() for door in wire):
            await door.open()
        print(json.dumps({wire: [d.address for d in served] for wire, served in doors.items()}), flush=True)

        def turn() -> None:
            clock.catch_up()
            loop.call_later(min(0.001, clock.next_due_s()), turn)

        turn()
        await stop.wait()
        for door in (door for wire in doors.values() for door in wire):
            door.close()


if __name__ == "__main__":
    asyncio.run(_serve())
