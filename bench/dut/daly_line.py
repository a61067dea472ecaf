"""The host's end of a Daly's serial line: one request at a time, its answer out of whatever comes."""

from __future__ import annotations

from typing import Any, Final

from bench.clock import Clock
from dut_profiles.protocols import daly_uart_a5 as daly
from dut_profiles.protocols.daly_uart_a5 import FRAME_LENGTH, Frame

#: Before each request [s]: without a pause a Daly "is not ready" and drops it (fl4p/batmon-ha, daly_uart.py).
SETTLE_S: Final = 0.02
#: Fill of requests: zeros give the receiver of a Daly no edges to find the bits by (same source).
FILL: Final = 0xAA
#: How long a reply may take to begin, and how long it may pause [s]; project default.
BEGIN_S, PAUSE_S = 0.2, 0.1
TRIES: Final = 2
_BITS_PER_CHARACTER: Final = 10


class DalyLine:
    """Requests and replies.

    Attributes
    ----------
    busy
        Whether somebody waits for an answer; jobs that find it so come back later.
    unanswered
        Requests without a usable answer, so far.
    """

    def __init__(self, wire: Any, clock: Clock, *, baud: float) -> None:
        self.busy, self.unanswered = False, 0
        self._wire, self._clock = wire, clock
        self._character_s = _BITS_PER_CHARACTER / baud
        self._stream = daly.Stream()

    def ask(self, command: int, *, frames: int = 1, values: dict[str, float] | None = None) -> list[Frame]:
        """The `frames` of the answer; none if they did not come, asked for twice. Takes bench time."""
        self.busy = True
        try:
            for _ in range(TRIES):
                found = self._answer(command, frames, values or {})
                if len(found) >= frames:
                    return found
        finally:
            self.busy = False
        self.unanswered += 1
        return []

    def count(self, command: int) -> int:
        """How many frames this firmware answers with: ask, and listen until the line falls silent."""
        self.busy = True
        try:
            self._send(command, {})
            number, timeout_s = 0, BEGIN_S + FRAME_LENGTH * self._character_s
            while (fresh := self._hear(command, FRAME_LENGTH, timeout_s)) is not None:
                number, timeout_s = number + len(fresh), PAUSE_S
        finally:
            self.busy = False
        return number

    def _answer(self, command: int, frames: int, values: dict[str, float]) -> list[Frame]:
        self._send(command, values)
        found: list[Frame] = []
        while len(found) < frames:
            # All at once: a fixed short wait would cut long replies (jblance/mpp-solar issue 516).
            left = max(1, FRAME_LENGTH * (frames - len(found)) - self._stream.waiting)
            fresh = self._hear(command, left, BEGIN_S + left * self._character_s)
            if fresh is None:
                break
            found += fresh
        return found

    def _send(self, command: int, values: dict[str, float]) -> None:
        self._clock.sleep(SETTLE_S)
        self._wire.reset_input_buffer()
        self._stream = daly.Stream()
        self._wire.write(daly.request(command, values, fill=0 if values else FILL))

    def _hear(self, command: int, number: int, timeout_s: float) -> list[Frame] | None:
        """Read `number` bytes; the frames among them that answer `command`, or None if nothing came."""
        self._wire.timeout = timeout_s
        data = self._wire.read(number)
        if not data:
            return None
        # Half-duplex adapters echo the request, which is then no answer.
        return [
            frame for frame in self._stream.feed(data) if frame.command == command and not frame.from_host
        ]
