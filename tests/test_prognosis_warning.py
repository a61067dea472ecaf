"""Warnings are held against what is due."""

import numpy as np
import pytest

from bench.errors import InvalidInput
from bench.reference.prognosis import Due, Rule, Sensing, Warned, allowed_false_alarms, judge
from bench.reference.prognosis.due import episodes
from bench.verdict import Verdict, Window


def due(*, channel=3, demanded=True, until_s=np.inf):
    window = Window(200.0, 300.0 if demanded else 1000.0, "s", must=demanded)
    return Due("voltage drift", channel, 100.0, until_s, 1e-3, 1e-4, "V/h", window)


def kinds(dues, *warnings):
    return [outcome.kind for outcome in judge(dues, warnings)]


@pytest.mark.parametrize(
    ("t_s", "kind"), [(100.0, "early"), (199.9, "early"), (200.0, "hit"), (300.0, "hit"), (300.1, "late")]
)
def test_a_warning_is_early_right_or_late(t_s, kind):
    assert kinds([due()], Warned(t_s, 3)) == [kind]


def test_a_demanded_warning_that_never_comes_is_missed():
    assert kinds([due()]) == ["missed"]
    assert kinds([due(demanded=False)]) == ["undemanded"]


def test_a_permitted_warning_may_come_at_any_later_time():
    assert kinds([due(demanded=False)], Warned(900.0, 3)) == ["hit"]


def test_a_warning_before_the_onset_or_of_another_cell_is_a_false_alarm():
    assert kinds([due()], Warned(99.0, 3), Warned(250.0, 4)) == ["missed", "false", "false"]
    assert kinds([], Warned(1.0)) == ["false"]


def test_a_warning_that_names_no_cell_counts_for_any():
    assert kinds([due()], Warned(250.0)) == ["hit"]
    assert kinds([due(channel=-1)], Warned(250.0, 7)) == ["hit"]


def test_repeats_are_not_judged_until_the_fault_is_over():
    assert kinds([due(until_s=500.0)], Warned(250.0, 3), Warned(400.0, 3)) == ["hit"]
    assert kinds([due(until_s=500.0)], Warned(250.0, 3), Warned(501.0, 3)) == ["hit", "false"]


def test_a_warning_that_never_came_is_none():
    assert kinds([], Warned(np.nan, 3)) == []
    assert kinds([due()], Warned(np.nan, 3)) == ["missed"]


def test_the_window_itself_is_inconclusive_where_nothing_was_demanded():
    assert due(demanded=False).window.judge(np.nan).verdict is Verdict.INCONCLUSIVE
    assert due().window.judge(np.nan).verdict is Verdict.FAIL
    assert due().window.judge(250.0).verdict is Verdict.PASS


def test_false_alarms_are_allowed_as_many_as_chance_explains():
    # Poisson with a mean of 1: 0.368, 0.736, 0.920, 0.981.
    assert allowed_false_alarms(duration_s=100.0, false_alarm_s=100.0) == 3
    assert allowed_false_alarms(duration_s=100.0, false_alarm_s=100.0, confidence=0.9) == 2
    assert allowed_false_alarms(duration_s=1.0, false_alarm_s=1e6) == 0


def test_an_episode_lasts_from_the_alarm_to_the_return_to_nothing():
    statistic = np.array([0.0, 2.0, 4.0, 4.0, 1.0, 0.0, -3.0, -4.0, -4.0])

    assert episodes(statistic, 4.0) == [(0, 2, 5), (6, 7, 8)]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Rule(abnormal=1.0, tolerated=1.0), "rule: tolerated"),
        (lambda: Rule(abnormal=1.0, tolerated=0.1, could=0.99, must=0.5), "rule: could, must"),
        (lambda: Rule(abnormal=np.inf, tolerated=0.1), "rule: tolerated"),
        (lambda: Rule(abnormal=1.0, tolerated=0.1, false_alarm_s=-1.0), "rule: false_alarm_s"),
        (lambda: Rule(abnormal=1.0, tolerated=0.1, report_s=np.nan), "rule: false_alarm_s, report_s"),
        (lambda: allowed_false_alarms(duration_s=np.nan, false_alarm_s=1.0), "duration_s 0 or more"),
        (lambda: allowed_false_alarms(duration_s=1.0, false_alarm_s=0.0), "false_alarm_s above 0"),
        (lambda: Sensing(dut_sigma=0.0, bench_sigma=1.0), "sensing: dut_sigma"),
        (lambda: Sensing(dut_sigma=1.0, bench_sigma=np.nan), "sensing: bench_sigma"),
    ],
)
def test_what_makes_no_sense_is_refused(make, match):
    with pytest.raises(InvalidInput, match=match):
        make()
