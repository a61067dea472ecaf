"""Verdicts and windows: edges, decision rules, and what a reader is told."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Inconclusive
from bench.verdict import Verdict, Window, around, at_least, at_most, worst

NAN = float("nan")
OPENS = Window(6.3, 7.72, "s", "charge path opens", "cell_overvoltage at 3.65 V for 2.0 s")


def test_the_worst_verdict_wins():
    assert worst([Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]) is Verdict.FAIL
    assert worst([Verdict.PASS, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.FAIL, Verdict.ERROR]) is Verdict.ERROR
    assert worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS


def test_nothing_judged_is_an_error():
    assert worst([]) is Verdict.ERROR


@pytest.mark.parametrize(
    ("opened_s", "verdict", "margin", "limit"),
    [
        (6.3, Verdict.PASS, 0.0, 6.3),
        (7.0, Verdict.PASS, 0.7, 6.3),
        (7.72, Verdict.PASS, 0.0, 7.72),
        (6.299, Verdict.FAIL, -0.001, 6.3),
        (8.94, Verdict.FAIL, -1.22, 7.72),
    ],
)
def test_a_window_is_closed_and_its_margin_is_the_way_to_the_nearest_edge(opened_s, verdict, margin, limit):
    judgement = OPENS.judge(opened_s)

    assert judgement.verdict is verdict
    assert judgement.margin == pytest.approx(margin)
    assert judgement.limit == limit
    assert (opened_s in OPENS) == (verdict is Verdict.PASS)


def test_the_message_says_how_late_and_against_what():
    assert OPENS.judge(8.94).reason == "1.220 s too late; cell_overvoltage at 3.65 V for 2.0 s"
    assert OPENS.judge(6.0).reason.startswith("0.300 s too early")
    assert at_most(60.0, unit="degC", what="t", reason="r").judge(61.0).reason == "1.000 degC above; r"
    assert repr(OPENS) == "[6.300 s, 7.720 s] (cell_overvoltage at 3.65 V for 2.0 s)"


def test_what_never_happened_is_in_no_window():
    judgement = OPENS.judge(NAN)

    assert NAN not in OPENS
    assert judgement.verdict is Verdict.FAIL
    assert math.isnan(judgement.margin)
    assert "never happened; due in [6.300 s, 7.720 s]" in judgement.reason


def test_a_stimulus_that_never_had_to_cause_it_decides_nothing():
    never = Window(6.0, NAN, "s", "charge path opens", "for 2.0 s")

    with pytest.raises(Inconclusive, match="charge path opens: the stimulus never had to cause it"):
        assert NAN in never
    assert never.judge(NAN).verdict is Verdict.INCONCLUSIVE


def test_an_action_that_nothing_called_for_fails():
    assert Window(NAN, NAN, "s").judge(3.0).verdict is Verdict.FAIL


def test_guarded_acceptance_moves_both_edges_inwards():
    # 3.600 +- 0.010 V with U = 0.002 V: accept from 3.592 to 3.608
    simple = around(3.6, 0.01, unit="V", what="trip level", reason="declared", uncertainty=0.002)
    guarded = Window(3.59, 3.61, "V", uncertainty=0.002, rule="guarded")

    assert simple.judge(3.609).verdict is Verdict.PASS
    assert guarded.judge(3.609).verdict is Verdict.FAIL
    assert guarded.judge(3.609).margin == pytest.approx(-0.001)
    assert guarded.judge(3.607).verdict is Verdict.PASS
    assert guarded.judge(3.591).verdict is Verdict.FAIL


def test_a_guard_wider_than_the_window_accepts_nothing():
    assert Window(1.0, 2.0, uncertainty=0.6, rule="guarded").judge(1.5).verdict is Verdict.FAIL


def test_one_sided_windows():
    assert at_most(5.0, unit="V", what="w", reason="r").judge(5.0).verdict is Verdict.PASS
    assert at_most(5.0, unit="V", what="w", reason="r").judge(-1e9).limit == 5.0
    assert at_least(5.0, unit="V", what="w", reason="r").judge(4.999).verdict is Verdict.FAIL
    assert at_least(5.0, unit="V", what="w", reason="r").judge(1e9).limit == 5.0


def test_a_decision_reaches_the_observer_once_whatever_it_is():
    seen = []
    window = OPENS.observed_by(seen.append, what="renamed")

    assert 7.0 in window
    assert 9.0 not in window

    assert [(j.what, j.measured, j.verdict) for j in seen] == [
        ("renamed", 7.0, Verdict.PASS),
        ("renamed", 9.0, Verdict.FAIL),
    ]
    assert OPENS.observer is None


def test_an_undecided_question_reaches_the_observer_too():
    seen = []
    with pytest.raises(Inconclusive):
        assert NAN in Window(6.0, NAN).observed_by(seen.append)

    assert [judgement.verdict for judgement in seen] == [Verdict.INCONCLUSIVE]


def test_a_judgement_as_json_has_no_nan_and_no_infinity():
    row = at_most(5.0, unit="V", what="w", reason="r").judge(NAN).as_dict()

    assert row["measured"] is None
    assert row["earliest"] is None
    assert row["latest"] == 5.0
    assert row["verdict"] == "fail"


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(0.0, 1e6),
    value=st.floats(-3e6, 3e6),
    uncertainty=st.floats(0.0, 10.0),
)
def test_a_guard_never_accepts_what_simple_acceptance_refuses(low, width, value, uncertainty):
    simple = Window(low, low + width, uncertainty=uncertainty)
    guarded = Window(low, low + width, uncertainty=uncertainty, rule="guarded")

    assert (value in simple) == (low <= value <= low + width)
    if value in guarded:
        assert value in simple
    assert guarded.judge(value).margin <= simple.judge(value).margin
