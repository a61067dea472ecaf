"""The host's end of a Daly's serial line: requests in a queue, one under way at a time, nobody waits for it.

A round of questions takes half a second at 9600 baud. A clock job that waited so long would hold up every
other job that waits for its own instrument just then; so this one only looks, every few milliseconds, at what
has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bench.clock import Clock, Job
from dut_profiles.protocols import daly_uart_a5 as daly
from dut_profiles.protocols.daly_uart_a5 import FRAME_LENGTH, Frame

#: After the plant and the instruments' own jobs of the same instant.
ORDER: Final = 50
#: How often the line is looked at [s]; a byte takes 1 ms.
LOOK_S: Final = 0.005
#: Before each request [s]: without a pause a Daly "is not ready" and drops it (fl4p/batmon-ha, daly_uart.py).
SETTLE_S: Final = 0.02
#: Fill of requests: zeros give the receiver of a Daly no edges to find the bits by (same source).
FILL: Final = 0xAA
#: How long a reply may take to begin, and the silence that ends one of unknown length [s]; project default.
BEGIN_S, PAUSE_S = 0.2, 0.1
TRIES: Final = 2
_BITS_PER_CHARACTER: Final = 10

#: Gets the frames of an answer; an empty list if there was none, asked for twice.
OnAnswer = Callable[[list[Frame]], object]


@dataclass(slots=True)
class Request:
    """One question, and what came so far. `frames` 0: as many as come before the line falls silent."""

    command: int
    frames: int
    on_answer: OnAnswer
    values: Mapping[str, float] = field(default_factory=dict)
    found: list[Frame] = field(default_factory=list)
    tries: int = 0


class DalyLine:
    """Requests and replies.

    Attributes
    ----------
    unanswered
        Requests without a usable answer, so far.
    """

    def __init__(self, wire: Any, clock: Clock, *, baud: float) -> None:
        self.unanswered = 0
        self._wire, self._clock = wire, clock
        self._character_s = _BITS_PER_CHARACTER / baud
        self._waiting: deque[Request] = deque()
        self._now: Request | None = None
        self._stream = daly.Stream()
        self._deadline_s = self._free_s = 0.0
        self._job: Job | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return self._now is None and not self._waiting

    def ask(
        self,
        command: int,
        on_answer: OnAnswer,
        *,
        frames: int = 1,
        values: Mapping[str, float] | None = None,
        first: bool = False,
    ) -> None:
        """Queue a request; `first` in front of all that wait."""
        request = Request(command, frames, on_answer, values or {})
        (self._waiting.appendleft if first else self._waiting.append)(request)
        if self._job is None:
            self._job = self._clock.every(LOOK_S, self._look, name="DUT line", order=ORDER)

    def forget(self) -> None:
        """Drop what waits; what is under way is still heard."""
        self._waiting.clear()

    def _look(self) -> None:
        if self._now is not None:
            self._hear(self._now)
        if self._now is None and self._waiting and self._clock.now_s >= self._free_s:
            self._send(self._waiting.popleft())

    def _send(self, request: Request) -> None:
        self._now = request
        request.tries += 1
        request.found.clear()
        self._stream = daly.Stream()
        self._wire.reset_input_buffer()
        fill = 0 if request.values else FILL
        self._wire.write(daly.request(request.command, request.values, fill=fill))
        # A reply of known length may take its whole line time; a fixed short wait would cut it
        # (jblance/mpp-solar issue 516).
        line_s = FRAME_LENGTH * max(1, request.frames) * self._character_s
        self._deadline_s = self._clock.now_s + BEGIN_S + line_s

    def _hear(self, request: Request) -> None:
        number = self._wire.in_waiting
        if number:
            # Half-duplex adapters echo the request, which is then no answer.
            request.found += [
                frame
                for frame in self._stream.feed(self._wire.read(number))
                if frame.command == request.command and not frame.from_host
            ]
            if not request.frames:
                self._deadline_s = self._clock.now_s + PAUSE_S
        complete = request.frames and len(request.found) >= request.frames
        if not complete and self._clock.now_s < self._deadline_s:
            return
        self._now, self._free_s = None, self._clock.now_s + SETTLE_S
        if complete or (request.found and not request.frames):
            request.on_answer(request.found)
        elif request.tries < TRIES:
            self._waiting.appendleft(request)
        else:
            self.unanswered += 1
            request.on_answer([])
