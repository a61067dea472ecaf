"""An event loop in a thread of its own, as a process that serves doors has it, and bare clients."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench.clock import Clock

T = TypeVar("T")
#: How long anything may take before a test is given up [s].
GIVE_UP_S = 30.0
_LONGEST_NAP_S = 0.01


class DoorThread:
    """Runs a wall clock and the doors on it; a virtual clock is left to the test."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.problems: list[str] = []
        self._doors: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.problems.append(str(context)))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._driver = None if clock.virtual else self.call(lambda: self._loop.create_task(self._drive()))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, done in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(GIVE_UP_S)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What `function` returns, called in the loop: doors and twins are touched from there only."""

        async def called() -> T:
            return function(*arguments)

        return self.wait(called())

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop go on until `condition` holds."""

        async def look() -> None:
            while not condition():
                await asyncio.sleep(0)

        self.wait(look())

    def opened(self, door: Any) -> Any:
        """The door, open until the end of the test."""
        self._doors.append(door)
        self.wait(door.open())
        return door

    def close(self) -> None:
        """Close what is open; what went wrong in the loop and nobody saw fails here."""
        for door in self._doors:
            self.call(door.close)
        if self._driver is not None:
            self.call(self._driver.cancel)
        # Transports say goodbye in a later round of the loop.
        for _ in range(3):
            self.call(lambda: None)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GIVE_UP_S)
        self._loop.close()
        assert not self.problems, self.problems

    async def _drive(self) -> None:
        while True:
            self.clock.catch_up()
            await asyncio.sleep(min(self.clock.next_due_s(), _LONGEST_NAP_S))


def read_exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := line.recv(size - len(data))):
        data += piece
    return data


def connected(address: str) -> socket.socket:
    """A bare client of a door on TCP."""
    host, _, number = address.rpartition("//")[2].partition(":")
    return socket.create_connection((host, int(number)), GIVE_UP_S)
