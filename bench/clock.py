"""Time: the one place where it passes.

A clock holds jobs. `sleep` runs the due ones, in order, in the caller's thread. A virtual clock jumps to
the next due job; a wall clock waits for it. Nothing runs in the background, so the order is the same in
both, and a virtual run is a function of its inputs. Time is kept in integer nanoseconds.
"""

from __future__ import annotations

import heapq
import math
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_NS = 1_000_000_000

#: For how long a paced clock catches up at most, and in which steps of bench time it does [ns].
_PATIENCE_NS, _SLICE_NS = 20_000_000, 10_000_000

#: Bench time 0 of every virtual run. A real date, because log formats lose stamps near 1970.
VIRTUAL_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Job:
    """Work that falls due every `period_ns`. `overruns` counts the periods it missed."""

    name: str
    period_ns: int
    order: int
    run: Callable[[], object]
    due_ns: int
    registered: int = 0
    overruns: int = 0
    running: bool = field(default=False, repr=False)
    cancelled: bool = field(default=False, repr=False)

    def cancel(self) -> None:
        """Never run again."""
        self.cancelled = True


class Lateness(NamedTuple):
    """How late jobs ran: their number, the median, the 99.9th percentile and the largest, in [s]."""

    jobs: int
    median_s: float
    p999_s: float
    largest_s: float


class Clock:
    """Bench time and the jobs that fall due in it.

    Parameters
    ----------
    virtual
        True: jump from job to job. False: wait for the wall clock.
    epoch
        Calendar time of bench time 0. Default: `VIRTUAL_EPOCH` if virtual, else now.
    speed
        Bench seconds per second of the wall clock, for emulated partners only; a virtual clock has none.
    paced
        For an emulated partner that an event loop drives by `catch_up`: a job that runs late still finds the
        time at which it was due, so that what it emulates is as punctual as if nothing had been late.

    Raises
    ------
    ValueError
        If `speed` is not a positive, finite number.
    """

    def __init__(
        self, *, virtual: bool = True, epoch: datetime | None = None, speed: float = 1.0, paced: bool = False
    ) -> None:
        if not 0.0 < speed < math.inf:
            raise ValueError(f"clock: expected a speed above 0 and finite, found {speed}")
        self.virtual, self.speed, self.paced = virtual, speed, paced
        self.epoch = epoch or (VIRTUAL_EPOCH if virtual else datetime.now(UTC))
        self._now_ns = 0
        self._wall_start_ns = time.monotonic_ns()
        self._late_ns = array("q")
        self._registered = 0
        self._queue: list[tuple[int, int, int, Job]] = []

    def __repr__(self) -> str:
        return f"Clock({'virtual' if self.virtual else 'wall'}, now={self.now_s:.6f} s)"

    @property
    def began_ns(self) -> int:
        """When bench time was 0, on the monotonic clock that all processes of this machine share [ns]."""
        return self._wall_start_ns

    def restart(self, *, epoch: datetime, began_ns: int, speed: float) -> None:
        """Forget every job and take over the time of another wall clock of this machine.

        Parameters
        ----------
        epoch, speed
            As of a new clock.
        began_ns
            The other's `began_ns`.
        """
        if self.virtual:
            raise ValueError("restart: expected a wall clock, found a virtual one")
        self.epoch, self.speed, self._wall_start_ns, self._now_ns = epoch, speed, began_ns, 0
        self._queue.clear()

    @property
    def now_ns(self) -> int:
        """Bench time [ns]."""
        if self.virtual or self.paced:
            return self._now_ns
        return max(self._now_ns, self._elapsed_ns())

    @property
    def now_s(self) -> float:
        """Bench time [s] since the clock was made."""
        return self.now_ns / _NS

    @property
    def utc(self) -> datetime:
        """Calendar time of this instant."""
        return self.epoch + timedelta(microseconds=self.now_ns / 1000)

    def every(
        self,
        period_s: float,
        run: Callable[[], object],
        *,
        name: str,
        order: int = 0,
        first_s: float | None = None,
    ) -> Job:
        """Run `run` every `period_s` [s].

        Parameters
        ----------
        period_s
            Period [s], at least 1 µs.
        run
            Called without arguments. It may sleep; a job is never entered twice at the same time.
        name
            For messages and for the overrun count.
        order
            Jobs due at the same instant run by ascending `order`, then in the order of registration.
        first_s
            Delay [s] to the first run; default one period.

        Raises
        ------
        ValueError
            If `period_s` is shorter than 1 µs.
        """
        period_ns = round(period_s * _NS)
        if period_ns < 1000:
            raise ValueError(f"job {name}: expected a period of at least 1e-6 s, found {period_s} s")
        delay_ns = period_ns if first_s is None else round(first_s * _NS)
        self._registered += 1
        job = Job(name, period_ns, order, run, self.now_ns + delay_ns, self._registered)
        self._push(job)
        return job

    def after(self, delay_s: float, run: Callable[[], object], *, name: str, order: int = 0) -> Job:
        """Run `run` once, `delay_s` [s] from now; 0: as soon as time passes. The job can be cancelled."""

        def once() -> None:
            job.cancel()
            run()

        job = self.every(1e-6, once, name=name, order=order, first_s=max(0.0, delay_s))
        return job

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` [s] of bench time pass and run every job that falls due in it."""
        self.sleep_until(self.now_ns + max(0, round(duration_s * _NS)))

    def until(self, condition: Callable[[], bool], *, timeout_s: float, step_s: float = 0.01) -> bool:
        """Let time pass until `condition()` holds, at most `timeout_s` [s]; return whether it held.

        The condition is looked at now and then every `step_s` [s], at least 1 µs.
        """
        step_ns = max(1000, round(step_s * _NS))
        end_ns = self.now_ns + round(timeout_s * _NS)
        while not condition():
            left_ns = end_ns - self.now_ns
            if left_ns <= 0:
                return False
            self.sleep_until(self.now_ns + min(left_ns, step_ns))
        return True

    def catch_up(self) -> None:
        """Run every job that is due by now and do not wait: for who sleeps in an event loop.

        A paced clock whose jobs take longer than the time they stand for stays `behind_s`, after a moment,
        so that its event loop gets to do something else.
        """
        if not self.paced:
            self.sleep_until(self.now_ns)
            return
        end_ns, began_ns = self._elapsed_ns(), time.monotonic_ns()
        while self._now_ns < end_ns and time.monotonic_ns() - began_ns < _PATIENCE_NS:
            self.sleep_until(min(end_ns, self._now_ns + _SLICE_NS))

    @property
    def behind_s(self) -> float:
        """By how much of the wall clock's time a paced clock is late [s]."""
        return max(0, self._elapsed_ns() - self._now_ns) / _NS / self.speed if self.paced else 0.0

    def next_due_s(self) -> float:
        """Time to the next job in seconds of the wall clock, 0 if it is overdue; inf if there is none."""
        while self._queue and self._queue[0][3].cancelled:
            heapq.heappop(self._queue)
        if not self._queue:
            return math.inf
        now_ns = self._elapsed_ns() if self.paced else self.now_ns
        return max(0, self._queue[0][0] - now_ns) / _NS / self.speed

    def sleep_until(self, end_ns: int) -> None:
        """Let time pass until bench time `end_ns` [ns] and run every job that falls due."""
        queue = self._queue
        while queue and queue[0][0] <= end_ns:
            due_ns, _, _, job = heapq.heappop(queue)
            if job.cancelled:
                continue
            if due_ns != job.due_ns:  # it was put off meanwhile
                self._push(job)
                continue
            self._wait_until(job.due_ns)
            if not (self.virtual or self.paced):
                self._late_ns.append(self._elapsed_ns() - job.due_ns)
            job.due_ns += job.period_ns
            if job.running:
                job.overruns += 1
                self._push(job)
                continue
            self._push(job)
            job.running, began_ns = True, self.now_ns
            try:
                job.run()
            finally:
                job.running = False
                self._put_off(job, self.now_ns - began_ns)
        self._wait_until(end_ns)

    def _put_off(self, job: Job, took_ns: int) -> None:
        """Leave out what a job that takes longer than its period has missed: it would never catch up.

        One that was only held up by others still runs for each of its periods: it may count them.
        """
        behind_ns = self.now_ns - job.due_ns
        if took_ns > job.period_ns and behind_ns > 0:
            missed = behind_ns // job.period_ns + 1
            job.due_ns += missed * job.period_ns
            job.overruns += missed

    def _wait_until(self, due_ns: int) -> None:
        if not (self.virtual or self.paced):
            while (early_ns := due_ns - self._elapsed_ns()) > 0:
                time.sleep(early_ns / _NS / self.speed)  # noqa: TID251  (this is bench/clock.py)
        self._now_ns = max(self._now_ns, due_ns)

    def lateness_s(self) -> Lateness:
        """How late the jobs of a wall clock ran so far; nan if none did, as always in virtual time."""
        late = sorted(self._late_ns)
        if not late:
            return Lateness(0, math.nan, math.nan, math.nan)
        median, rare = (late[min(len(late) - 1, int(share * len(late)))] / _NS for share in (0.5, 0.999))
        return Lateness(len(late), median, rare, late[-1] / _NS)

    def _elapsed_ns(self) -> int:
        elapsed_ns = time.monotonic_ns() - self._wall_start_ns
        return elapsed_ns if self.speed == 1.0 else round(elapsed_ns * self.speed)

    def _push(self, job: Job) -> None:
        heapq.heappush(self._queue, (job.due_ns, job.order, job.registered, job))
