"""The scan of a 34970A twin: channel after channel in bench time, sweep after sweep, and the memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bench.clock import Clock, Job
from instruments.scpi_status import ScpiError, StatusGroup

#: Readings that fit into memory; the oldest give way.
MEMORY = 50_000
#: Bit of the operation condition: a scan is under way.
_SCANNING_BIT = 1 << 4


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading in memory: `t_s` is bench time [s], `alarm` 0 none, 1 low, 2 high."""

    channel: int
    value: float
    unit: str
    t_s: float
    alarm: int


class Scan:
    """Channels, sweeps and memory.

    Parameters
    ----------
    clock
        Channels take their turns on it.
    measure
        Makes the reading of a channel as of now, stamped with the given time [s].
    takes_s
        How long a channel's turn takes [s].

    Attributes
    ----------
    channels
        The scan list, in ascending order.
    count
        Sweeps of a scan; may be inf.
    started_s
        Bench time at which the scan began [s].
    """

    def __init__(
        self, clock: Clock, *, measure: Callable[[int, float], Reading], takes_s: Callable[[int], float]
    ) -> None:
        self._clock, self._measure, self._takes_s = clock, measure, takes_s
        self.operation = StatusGroup()
        self._job: Job | None = None
        self.restore()

    def restore(self) -> None:
        """No scan, no scan list, nothing in memory."""
        self.channels: tuple[int, ...] = ()
        self.count = 1.0
        self.memory: deque[Reading] = deque(maxlen=MEMORY)
        self.started_s = self._sweep_s = self._clock.now_s
        self._source, self._timer_s = "IMM", 0.0
        self.abort()

    @property
    def running(self) -> bool:
        """Whether sweeps are under way or still due."""
        return self._left > 0

    def start(self, source: str, timer_s: float) -> None:
        """Forget old readings and begin, at once or with the first trigger. Raises `ScpiError`."""
        if self.running:
            raise ScpiError(-213)
        if not self.channels:
            raise ScpiError(-221)
        self.memory.clear()
        self.started_s, self._left = self._clock.now_s, self.count
        self._source, self._timer_s = source, timer_s
        self._waiting = source not in ("IMM", "TIM")
        if not self._waiting:
            self._begin_sweep()
        self._tell()

    def trigger(self) -> None:
        """One sweep, where the bus is the trigger. Raises `ScpiError` if none is waited for."""
        if not self._waiting or self._source != "BUS":
            raise ScpiError(-211)
        self._waiting = False
        self._begin_sweep()

    def abort(self) -> None:
        """Stop; what is in memory stays."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._left, self._position, self._waiting = 0.0, 0, False
        self._tell()

    def finish(self) -> float:
        """Take what is still to come of a finite scan now, with the stamps it would have.

        Returns how long that would have taken [s]. Raises `ScpiError` for a scan without an end. Sweeps that
        wait for a trigger go on waiting.
        """
        if math.isinf(self._left):
            raise ScpiError(-221)
        due_s = self._clock.now_s
        while self._job is not None:
            due_s = self._job.due_ns / 1e9
            self._job.cancel()
            self._job = None
            self._next(due_s)
            if self._job is not None:
                # Planned from now on, but it belongs after what was just taken.
                self._job.due_ns += round((due_s - self._clock.now_s) * 1e9)
        return due_s - self._clock.now_s

    def _begin_sweep(self) -> None:
        self._sweep_s, self._position = self._clock.now_s, 0
        self._plan(self._takes_s(self.channels[0]))

    def _plan(self, delay_s: float) -> None:
        self._job = self._clock.after(delay_s, lambda: self._next(self._clock.now_s), name="scan")

    def _next(self, t_s: float) -> None:
        """Measure the channel whose turn it is at `t_s` [s], or begin the next sweep."""
        self._job = None
        if self._position < 0:
            self._begin_sweep()
            self._sweep_s = t_s
            return
        self.memory.append(self._measure(self.channels[self._position], t_s))
        self._position += 1
        if self._position < len(self.channels):
            self._plan(self._takes_s(self.channels[self._position]))
            return
        self._left -= 1
        if self._left > 0:
            self._go_on(t_s)
        self._tell()

    def _go_on(self, t_s: float) -> None:
        if self._source == "IMM":
            self._begin_sweep()
        elif self._source == "TIM":
            self._position = -1
            self._plan(max(0.0, self._sweep_s + self._timer_s - t_s))
        else:
            self._waiting = True

    def _tell(self) -> None:
        self.operation.update(_SCANNING_BIT if self.running else 0)
