"""The clock: order, arithmetic and nesting of jobs, without waiting."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import VIRTUAL_EPOCH, Clock


def test_virtual_time_passes_only_when_asked():
    clock = Clock()

    assert clock.now_s == 0.0
    clock.sleep(1.5)
    assert clock.now_ns == 1_500_000_000
    assert clock.utc == VIRTUAL_EPOCH + timedelta(seconds=1.5)


def test_ten_years_in_hundred_nanoseconds_are_exact():
    clock = Clock()
    clock.sleep(315_576_000.0)
    clock.sleep(1e-7)

    assert clock.now_ns == 315_576_000 * 10**9 + 100


def test_a_negative_sleep_is_none():
    clock = Clock()
    clock.sleep(-1.0)

    assert clock.now_ns == 0


def test_a_job_runs_at_its_period_and_at_the_end_of_the_sleep():
    clock, seen = Clock(), []
    clock.every(0.1, lambda: seen.append(clock.now_ns), name="sampling")

    clock.sleep(0.3)

    assert seen == [100_000_000, 200_000_000, 300_000_000]


def test_a_first_delay_of_nothing_runs_as_soon_as_time_may_pass():
    clock, seen = Clock(), []
    clock.every(1.0, lambda: seen.append(clock.now_s), name="now", first_s=0.0)
    assert seen == []

    clock.sleep(0.0)

    assert seen == [0.0]


def test_jobs_of_one_instant_run_by_order_then_by_registration():
    clock, seen = Clock(), []
    for name, order in (("b", 0), ("c", 0), ("plant", -1), ("last", 9)):
        clock.every(0.5, lambda name=name: seen.append(name), name=name, order=order)

    clock.sleep(1.0)

    assert seen == ["plant", "b", "c", "last"] * 2


def test_the_order_of_registration_holds_for_jobs_of_different_periods():
    clock, seen = Clock(), []
    clock.every(0.1, lambda: seen.append("fast"), name="fast")
    clock.every(0.2, lambda: seen.append("slow"), name="slow")

    clock.sleep(0.4)

    assert seen == ["fast", "fast", "slow"] * 2


def test_a_period_below_a_microsecond_is_refused():
    with pytest.raises(ValueError, match="job fast: expected a period of at least 1e-6 s, found 1e-07 s"):
        Clock().every(1e-7, print, name="fast")


def test_a_cancelled_job_does_not_run_even_if_it_cancels_itself():
    clock, seen = Clock(), []
    job = clock.every(0.1, lambda: (seen.append(clock.now_s), job.cancel()), name="once")

    clock.sleep(1.0)

    assert seen == [0.1]


def test_after_runs_once():
    clock, seen = Clock(), []
    clock.after(0.25, lambda: seen.append(clock.now_s), name="reply")
    cancelled = clock.after(0.5, lambda: seen.append(-1.0), name="watchdog")
    clock.sleep(0.4)
    cancelled.cancel()

    clock.sleep(5.0)

    assert seen == [0.25]


def test_a_job_that_sleeps_lets_the_others_run_and_is_not_entered_twice():
    clock, seen = Clock(), []

    def slow() -> None:
        seen.append(("slow starts", clock.now_s))
        clock.sleep(0.25)
        seen.append(("slow ends", clock.now_s))

    job = clock.every(0.1, slow, name="slow")
    clock.every(0.2, lambda: seen.append(("tick", clock.now_s)), name="tick")

    clock.sleep(0.4)

    assert seen == [
        ("slow starts", 0.1),
        ("tick", 0.2),
        ("slow ends", pytest.approx(0.35)),
        ("slow starts", pytest.approx(0.4)),
        ("tick", 0.4),
        ("tick", pytest.approx(0.6)),
        ("slow ends", pytest.approx(0.65)),
    ]
    assert job.overruns == 4  # 0.2, 0.3, then 0.5 and 0.6


def test_a_job_that_fails_stays_registered_and_leaves_time_where_it_was():
    clock, calls = Clock(), []

    def fails_once() -> None:
        calls.append(clock.now_s)
        if len(calls) == 1:
            raise RuntimeError("broken wire")

    clock.every(0.1, fails_once, name="poll")
    with pytest.raises(RuntimeError, match="broken wire"):
        clock.sleep(1.0)
    assert clock.now_s == 0.1

    clock.sleep(0.1)
    assert calls == [0.1, 0.2]


def test_until_stops_at_the_first_look_that_holds():
    clock = Clock()

    assert clock.until(lambda: clock.now_s >= 0.035, timeout_s=1.0, step_s=0.01)
    assert clock.now_s == 0.04


def test_until_gives_up_exactly_at_its_timeout():
    clock = Clock()

    assert not clock.until(lambda: False, timeout_s=0.025, step_s=0.01)
    assert clock.now_s == 0.025


def test_until_looks_before_time_passes_and_survives_a_step_of_nothing():
    clock = Clock()

    assert clock.until(lambda: True, timeout_s=1.0)
    assert clock.now_ns == 0
    assert not clock.until(lambda: False, timeout_s=1e-5, step_s=0.0)


@given(
    periods_ms=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    sleeps_ms=st.lists(st.integers(0, 120), min_size=1, max_size=6),
)
def test_every_job_runs_once_per_whole_period_however_the_time_is_cut(periods_ms, sleeps_ms):
    clock = Clock()
    counts = [0] * len(periods_ms)
    times: list[int] = []

    def job(index: int) -> None:
        counts[index] += 1
        times.append(clock.now_ns)

    for index, period_ms in enumerate(periods_ms):
        clock.every(period_ms * 1e-3, lambda index=index: job(index), name=str(index))
    for sleep_ms in sleeps_ms:
        clock.sleep(sleep_ms * 1e-3)

    assert counts == [sum(sleeps_ms) // period for period in periods_ms]
    assert times == sorted(times)
    assert clock.now_ns == sum(sleeps_ms) * 1_000_000


def test_a_wall_clock_waits_and_keeps_the_order():
    clock, seen = Clock(virtual=False), []
    clock.every(0.002, lambda: seen.append("a"), name="a")
    clock.every(0.004, lambda: seen.append("b"), name="b", order=-1)
    before = datetime.now(UTC)

    clock.sleep(0.009)

    # A job registered a moment later is due a moment later, so only the count of each is certain.
    assert seen.count("a") == 4
    assert seen.count("b") == 2
    assert datetime.now(UTC) - before >= timedelta(seconds=0.0085)
    assert math.isclose((clock.utc - before).total_seconds(), 0.009, abs_tol=0.5)


def test_next_due_is_in_wall_time_and_passes_over_cancelled_jobs():
    clock = Clock(virtual=False, speed=1e-6)  # as good as standing still
    assert clock.next_due_s() == math.inf

    clock.every(1e-6, lambda: None, name="cancelled").cancel()
    clock.every(2e-6, lambda: None, name="waiting")

    assert 1.0 < clock.next_due_s() <= 2.0  # 2 µs of bench time are 2 s of wall time


def test_catching_up_runs_what_is_due_and_does_not_wait():
    clock, seen = Clock(), []
    clock.every(0.1, lambda: seen.append(clock.now_ns), name="due now", first_s=0.0)

    clock.catch_up()

    assert seen == [0]
    assert clock.now_ns == 0


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_clock_needs_a_positive_speed(speed):
    with pytest.raises(ValueError, match="speed"):
        Clock(virtual=False, speed=speed)


def test_a_paced_clock_runs_late_jobs_at_the_time_at_which_they_were_due():
    clock, seen = Clock(virtual=False, paced=True, speed=1e3), []
    clock.every(0.01, lambda: seen.append(clock.now_ns), name="tick")
    while len(seen) < 3:
        clock.catch_up()

    assert seen == [10_000_000 * (k + 1) for k in range(len(seen))]
    assert clock.lateness_s().jobs == 0  # nothing was late, as they saw it
    assert clock.now_ns >= seen[-1]


def test_a_clock_takes_over_the_time_of_another():
    first = Clock(virtual=False, speed=2.0)
    second = Clock(virtual=False)
    second.every(1.0, lambda: None, name="of yesterday")

    second.restart(epoch=first.epoch, began_ns=first.began_ns, speed=first.speed)

    before_ns = first.now_ns
    assert before_ns <= second.now_ns <= first.now_ns
    assert second.utc >= first.epoch
    assert second.next_due_s() == math.inf
    with pytest.raises(ValueError, match="wall clock"):
        Clock().restart(epoch=first.epoch, began_ns=0, speed=1.0)


def test_a_wall_clock_knows_how_late_its_jobs_ran():
    clock = Clock(virtual=False, speed=1e3)
    clock.every(0.01, lambda: None, name="tick")

    clock.sleep(1.0)

    late = clock.lateness_s()
    assert late.jobs == 100
    assert 0.0 <= late.median_s <= late.p999_s <= late.largest_s


def test_nothing_is_late_in_virtual_time():
    clock = Clock()
    clock.every(0.01, lambda: None, name="tick")

    clock.sleep(1.0)

    assert clock.lateness_s().jobs == 0
    assert math.isnan(clock.lateness_s().p999_s)


def test_a_job_slower_than_its_period_on_a_wall_clock_leaves_out_what_it_missed():
    clock, runs = Clock(virtual=False, speed=1e3), []

    def slow() -> None:
        runs.append(clock.now_s)
        while clock.now_s < runs[-1] + 2.5:  # as a driver does that waits for a dead instrument
            pass

    job = clock.every(1.0, slow, name="slow")

    clock.sleep(20.0)

    # Once in three periods, and not once for each of the periods that have passed meanwhile.
    assert len(runs) <= 8
    assert job.overruns >= 10
    assert clock.now_s < 30.0


def test_a_job_that_was_held_up_by_another_runs_for_each_of_its_periods():
    clock, seen = Clock(virtual=False, speed=1e3), []

    def hog() -> None:
        until_s = clock.now_s + 5.0
        while clock.now_s < until_s:
            pass

    clock.every(10.0, hog, name="hog")
    clock.every(1.0, lambda: seen.append(1), name="counts its periods")

    clock.sleep(19.5)

    assert len(seen) >= 19


def test_a_paced_clock_that_cannot_keep_up_returns_and_says_how_far_behind_it_is():
    clock = Clock(virtual=False, paced=True, speed=1e9)  # a second is thirty years
    clock.every(0.01, lambda: None, name="tick")

    clock.catch_up()

    assert clock.behind_s > 0.0
    assert clock.now_s < 1e6


def test_only_a_paced_clock_is_behind():
    assert Clock().behind_s == 0.0
    assert Clock(virtual=False).behind_s == 0.0
