"""What every door is: opened and closed, unplugged and plugged in, with a twin that can be exchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from bench.clock import Clock
from bench.wires.twin import MessageTwin, Reply


class Door(Protocol):
    """A connector of a served instrument.

    `address` is what a client writes to reach it (`TCPIP::127.0.0.1::40123::SOCKET`), valid after `open`.
    """

    address: str

    async def open(self) -> None:
        """Start to listen. Raises `OSError` if the port is taken or not permitted."""
        ...

    def close(self) -> None:
        """Stop to listen and drop every client, as a device does whose power fails. Any number of times."""
        ...

    def pull(self) -> None:
        """The cable is out: connections stay, nothing gets through either way, no new one is answered."""
        ...

    def plug(self) -> None:
        """The cable is back; what was sent meanwhile is lost."""
        ...

    def serve(self, twin: Any) -> None:
        """Put another twin behind the door and drop the clients of the last one."""
        ...


class Attendant:
    """Hands messages to a twin in bench time, and what it answers back when that is due.

    Parameters
    ----------
    twin
        Who answers; may be exchanged.
    clock
        A wall clock, fast or slow, whose jobs are the plant and the twins. It is brought up to date before
        each message, so that the twin sees the present.
    """

    def __init__(self, twin: MessageTwin, clock: Clock) -> None:
        self.twin, self.clock = twin, clock
        self.plugged = True

    def ask(self, message: bytes) -> Reply | None:
        """What the twin answers to one message; None also while the cable is out."""
        if not self.plugged:
            return None
        self.clock.catch_up()
        return self.twin.handle(message)

    def after(self, delay_s: float, send: Callable[[], object]) -> None:
        """Call `send` in `delay_s` [s] of bench time, unless the cable is out by then."""

        def due() -> None:
            if self.plugged:
                send()

        if delay_s <= 0.0:
            due()
        else:
            asyncio.get_running_loop().call_later(delay_s / self.clock.speed, due)
