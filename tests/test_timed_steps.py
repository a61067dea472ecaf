"""Steps that run by an instrument's own clock: each at its instant, until stopped or over."""

from __future__ import annotations

import itertools

import pytest

from bench.clock import Clock
from instruments.timed_steps import TimedSteps


class Seen:
    """What the steps did, and when; entering a step may take `busy_s` [s] of the caller's time."""

    def __init__(self, busy_s: float = 0.0) -> None:
        self.clock, self.busy_s = Clock(), busy_s
        self.entered: list[tuple[float, float]] = []
        self.done_s: list[float] = []
        self.steps = TimedSteps(self.clock, name="steps", enter=self.enter, done=self.done)

    def enter(self, level: float) -> None:
        self.entered.append((round(self.clock.now_s, 9), level))
        self.clock.sleep(self.busy_s)

    def done(self) -> None:
        self.done_s.append(round(self.clock.now_s, 9))


@pytest.mark.parametrize("busy_s", [0.0, 0.03])
def test_each_step_begins_at_its_own_instant_however_long_the_one_before_kept_it(busy_s: float):
    seen = Seen(busy_s)
    seen.clock.sleep(1.0)

    seen.steps.start([(5.0, 0.1), (2.0, 0.25), (7.0, 0.05)])
    seen.clock.sleep(1.0)

    assert seen.entered == [(1.0, 5.0), (1.1, 2.0), (1.35, 7.0)]
    assert seen.done_s == [1.4]
    assert not seen.steps.running


def test_stop_ends_it_without_calling_it_done():
    seen = Seen()
    seen.steps.start([(1.0, 0.1), (2.0, 0.1)])
    seen.clock.sleep(0.05)

    seen.steps.stop()
    seen.clock.sleep(1.0)

    assert seen.entered == [(0.0, 1.0)]
    assert seen.done_s == []


def test_starting_again_replaces_what_ran():
    seen = Seen()
    seen.steps.start([(1.0, 0.1), (2.0, 0.1)])
    seen.clock.sleep(0.05)

    seen.steps.start([(3.0, 0.1)])
    seen.clock.sleep(1.0)

    assert seen.entered == [(0.0, 1.0), (0.05, 3.0)]
    assert seen.done_s == [0.15]


def test_endless_steps_go_on_until_they_are_stopped():
    seen = Seen()

    seen.steps.start((level, 0.1) for level in itertools.cycle((1.0, 0.0)))
    seen.clock.sleep(10.05)

    assert len(seen.entered) == 101
    assert seen.steps.running
    assert seen.done_s == []


def test_done_may_start_the_next():
    seen = Seen()
    again = iter([[(2.0, 0.1)]])
    seen.steps = TimedSteps(
        seen.clock, name="steps", enter=seen.enter, done=lambda: seen.steps.start(next(again, []))
    )

    seen.steps.start([(1.0, 0.1)])
    seen.clock.sleep(0.15)

    assert seen.entered == [(0.0, 1.0), (0.1, 2.0)]
