"""What every door is: opened and closed, unplugged and plugged in, with a twin that can be exchanged."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from bench.clock import Clock
from bench.wires.twin import Ieee488, MessageTwin, Reply


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
        Who answers; may be exchanged. What it has beside messages it offers as `ieee488`; one that has
        nothing of the kind has no status but a message that waits, no trigger, and nothing to forget.
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

    def status_byte(self, *, message_available: bool) -> int:
        """What a serial poll reads now."""
        self.clock.catch_up()
        if (ieee488 := self._ieee488()) is None:
            return message_available << 4
        return ieee488.status_byte(message_available=message_available)

    def device_clear(self) -> None:
        """Device clear, beyond the messages that the door itself forgets."""
        self.clock.catch_up()
        if (ieee488 := self._ieee488()) is not None:
            ieee488.device_clear()

    def trigger(self) -> None:
        """Group execute trigger."""
        self.clock.catch_up()
        if (ieee488 := self._ieee488()) is not None:
            ieee488.trigger()

    def query_error(self, code: int) -> None:
        """Tell the twin that the exchange of messages broke: -410 interrupted, -420 unterminated."""
        if (ieee488 := self._ieee488()) is not None:
            ieee488.query_error(code)

    def _ieee488(self) -> Ieee488 | None:
        return getattr(self.twin, "ieee488", None)


class ReplyQueue:
    """Answers of one connection: each when it is due, none before the one ahead of it.

    An instrument does one thing after the other, so the times of answers add up. What falls due while the
    cable is out is lost.
    """

    def __init__(self, attendant: Attendant) -> None:
        self._attendant = attendant
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delay_s: float, send: Callable[[], object]) -> None:
        """Call `send` `delay_s` [s] of bench time after now, or after the answer ahead."""
        busy_ns = self._waiting[-1][0] if self._waiting else 0
        due_ns = max(self._attendant.clock.now_ns, busy_ns) + round(delay_s * 1e9)
        self._waiting.append((due_ns, send))
        if self._timer is None:
            self._deliver()

    def clear(self) -> None:
        """Forget what is not yet sent."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deliver(self) -> None:
        self._timer = None
        clock = self._attendant.clock
        while self._waiting:
            early_ns = self._waiting[0][0] - clock.now_ns
            if early_ns > 0:
                wait_s = early_ns / 1e9 / clock.speed
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._deliver)
                return
            _, send = self._waiting.popleft()
            if self._attendant.plugged:
                send()
