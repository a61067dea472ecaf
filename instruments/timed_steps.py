"""Steps that an instrument runs by its own clock once it has been triggered; no host is needed any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bench.clock import Clock, Job


class TimedSteps:
    """Runs one sequence of levels at a time.

    Each step ends at its own instant counted from the start, so a late job does not delay those after it.

    Parameters
    ----------
    clock
        Whose time the steps take.
    name
        Of its jobs.
    enter
        Called with the level of a step when the step begins.
    done
        Called when the last step is over; not after `stop`.
    """

    def __init__(
        self, clock: Clock, *, name: str, enter: Callable[[float], object], done: Callable[[], object]
    ) -> None:
        self._clock, self._name, self._enter, self._done = clock, name, enter, done
        self._left: Iterator[tuple[float, float]] | None = None
        self._job: Job | None = None
        self._due_ns = 0

    @property
    def running(self) -> bool:
        return self._left is not None

    def start(self, steps: Iterable[tuple[float, float]]) -> None:
        """Begin with the first of `steps`: level and duration [s]; there may be endlessly many."""
        self.stop()
        self._left, self._due_ns = iter(steps), self._clock.now_ns
        self._next()

    def stop(self) -> None:
        """Run no further."""
        self._left = None
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _next(self) -> None:
        if self._left is None:
            return
        step = next(self._left, None)
        if step is None:
            self.stop()
            self._done()
            return
        level, duration_s = step
        self._due_ns += round(duration_s * 1e9)
        delay_s = (self._due_ns - self._clock.now_ns) * 1e-9
        self._job = self._clock.after(delay_s, self._next, name=self._name)
        self._enter(level)
