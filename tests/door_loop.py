"""Doors in an event loop of their own thread, as a process that serves them has it, and a box behind them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench.clock import Clock
from bench.wires.transcript import Transcript
from bench.wires.twin import Reply
from bench.wires.visa import open_visa
from instruments.scpi import Command, Dialect, Interpreter
from instruments.scpi_parameters import Number, Text

#: Long enough for any machine; nothing here waits for it to pass.
PATIENCE_S = 20.0

_T = TypeVar("_T")

_DIALECT = Dialect(
    commands=(
        Command("VOLTage", "voltage_v", (Number("V", 0, 60, 1.0),)),
        Command("DISPlay:TEXT", "text", (Text(),)),
        Command("SYSTem:ERRor", query="next_error"),
    ),
    number=lambda value: f"{value:.3f}",
    no_error='0,"No error"',
)


class Box:
    """A SCPI instrument that takes `delay_s` for each answer and counts its triggers."""

    def __init__(self, identification: str = "Maker,Box,1,2.0", delay_s: float = 0.0) -> None:
        self.identification, self.delay_s = identification, delay_s
        self.triggers = 0
        self.heard: list[bytes] = []
        self.ieee488 = Interpreter(_DIALECT, self)
        self.ieee488.execute(b"*CLS")

    def handle(self, message: bytes) -> Reply | None:
        self.heard.append(message)
        answer = self.ieee488.execute(message)
        return None if answer is None else Reply(answer, self.delay_s)

    def reset(self) -> None:
        self.delay_s = 0.0

    def trigger(self) -> None:
        self.triggers += 1

    def next_error(self) -> str:
        return self.ieee488.next_error()


class DoorLoop:
    """An event loop in a thread. Leaving it closes its doors and ends the thread."""

    def __init__(self) -> None:
        self.clock = Clock(virtual=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._doors: list[Any] = []
        self._opened: list[Any] = []

    def __enter__(self) -> DoorLoop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self._opened:
            wire.close()
        for door in self._doors:
            self.do(door.close)
        self.wait(self._settled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` returns in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def do(self, act: Callable[[], _T]) -> _T:
        """What `act` returns when it is called in the loop."""

        async def work() -> _T:
            return act()

        return self.wait(work())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds in the loop."""
        patience = Clock(virtual=False)
        assert patience.until(lambda: self.do(condition), timeout_s=PATIENCE_S, step_s=0.001)

    def open(self, door: Any) -> Any:
        """Open `door` and close it in the end."""
        self._doors.append(door)
        self.wait(door.open())
        return door

    def client(self, address: str, timeout_s: float = PATIENCE_S, probe: str | None = None) -> Any:
        """A pyvisa resource at `address`."""
        wire = open_visa(
            address,
            clock=self.clock,
            role="box",
            transcript=Transcript(),
            timeout_s=timeout_s,
            probe=probe,
        )
        self._opened.append(wire)
        return wire

    def connect(self, port: int) -> socket.socket:
        """A plain connection to a port of this host."""
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._opened.append(connection)
        return connection

    async def _settled(self) -> None:
        """Let what is on its way out go."""
        for _ in range(3):
            await asyncio.sleep(0)


def receive(connection: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes, or what came before the other side closed."""
    data = bytearray()
    while len(data) < count and (more := connection.recv(min(count - len(data), 1 << 20))):
        data += more
    return bytes(data)


def closed_by_the_other_side(connection: socket.socket) -> bool:
    """Whether nothing more will come; waits for that."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True
