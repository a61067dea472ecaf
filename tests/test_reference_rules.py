"""Derating, balancing, precharge, SOC and intervals: the rules of the reference beside the limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import Inconclusive
from bench.record import Origin, Record, Trace
from bench.reference import Reference
from bench.reference.balancing import held, permission
from bench.reference.derating import banded, envelope_of
from bench.reference.intervals import bridged, inside, runs, sliding, touches, union, without
from bench.reference.observed import Observed
from bench.reference.precharge import tries_of
from bench.reference.soc import count, soc_trace
from bench.reference.thermal import rate_k_per_s
from dut_profiles.profile import load_profile
from tests.reference_records import Story, quiet

PROFILE = load_profile("hd_lfp_24s")
REFERENCE = Reference(PROFILE)


def findings(story: Story) -> list[str]:
    return [str(finding) for finding in REFERENCE.explains(story.record())]


# Derating


def test_a_table_is_evaluated_over_the_whole_band():
    hot = PROFILE.derating.charge["hot"]  # 40: 1.00, 45: 0.75, 50: 0.50, 55: 0.00

    least, most = banded(hot, np.array([40.0, 49.0, 60.0, np.nan]), np.array([42.0, 52.0, 70.0, np.nan]))

    np.testing.assert_allclose(least, [0.90, 0.30, 0.0, 0.0])
    np.testing.assert_allclose(most, [1.00, 0.55, 0.0, 1.0])


@given(st.floats(-40, 90), st.floats(0, 5), st.floats(0, 5))
def test_a_wider_band_never_narrows_the_fraction(centre, narrow, more):
    table = PROFILE.derating.discharge["hot"]
    tight = banded(table, np.array([centre - narrow]), np.array([centre + narrow]))
    wide = banded(table, np.array([centre - narrow - more]), np.array([centre + narrow + more]))

    assert wide[0] <= tight[0] + 1e-12
    assert wide[1] >= tight[1] - 1e-12


def test_the_limit_window_is_the_least_table_with_its_tolerances():
    story = quiet(PROFILE, 30.0)
    heat = np.full((len(story.t_s), PROFILE.pack.sensors), 25.0)
    heat[1000:, 3] = 50.0
    story.measure("temperature_degc", heat, uncertainty=0.5)

    before = REFERENCE.charge_limit_window(9.0, story.record())
    during = REFERENCE.charge_limit_window(11.0, story.record())
    settled = REFERENCE.charge_limit_window(20.0, story.record())

    # hottest 50 +- 2.5 K: 0.625 at 47.5 and 0.25 at 52.5, +- 0.05, of 140 A
    assert (before.earliest, before.latest) == (pytest.approx(133.0), pytest.approx(147.0))
    assert (during.earliest, during.latest) == (pytest.approx(28.0), pytest.approx(147.0))
    assert (settled.earliest, settled.latest) == (pytest.approx(28.0), pytest.approx(94.5))
    assert envelope_of(PROFILE, story.record(), "discharge").highest_a[-1] == pytest.approx(
        (0.9 + 0.05) * 280.0
    )


def test_a_limit_window_needs_a_measurement():
    with pytest.raises(Inconclusive, match=r"derating.charge: nothing was measured by 5.000 s"):
        REFERENCE.charge_limit_window(5.0, Record())


def test_a_stale_limit_is_found():
    story = quiet(PROFILE, 30.0)
    heat = np.full((len(story.t_s), PROFILE.pack.sensors), 25.0)
    heat[1000:] = 48.0
    story.measure("temperature_degc", heat)
    story.report("temperature_degc", np.where(story.report_s >= 10.0, 48.0, 25.0)[:, None].repeat(8, axis=1))

    # 48 - 2 K: 0.70 + 0.05 of 140 A, two seconds, a sample, a report and 0.1 s after the step
    assert (
        "derating.charge: expected dut.charge_limit_a at most 105.0 A; saw 140.0 A from 12.353 s"
        in findings(story)[0]
    )


# Balancing


def balancing(spread_v: float = 0.050, *, cell_v: float = 3.41, cell: int = 5) -> Story:
    story = quiet(PROFILE, 60.0)
    value = np.full((len(story.t_s), PROFILE.pack.cells), cell_v)
    value[:, cell] += spread_v
    story.measure("cell_v", value)
    story.report("cell_v", value[np.searchsorted(story.t_s, story.report_s)])
    story.measure("pack_v", value.sum(axis=1))
    story.report("pack_v", float(value[0].sum()))
    return story


def bleed(story: Story, cell: int, current_a: float, start_s: float = 20.0, end_s: float = 40.0) -> None:
    bled = np.zeros((len(story.t_s), PROFILE.pack.cells))
    bled[(story.t_s >= start_s) & (story.t_s < end_s), cell] = current_a
    story.measure("cell_a", bled)
    flags = np.zeros((len(story.report_s), PROFILE.pack.cells))
    flags[(story.report_s >= start_s) & (story.report_s < end_s), cell] = 1.0
    story.report("bleeds", flags)


def of_balancing(story: Story) -> list[str]:
    return [line for line in findings(story) if "balancing" in line or "bleeds" in line]


def test_the_high_cell_may_bleed_and_its_neighbour_may_not():
    right, wrong = balancing(), balancing()
    bleed(right, 5, 0.2035)  # 0.2 A * 3.46 / 3.40
    bleed(wrong, 6, 0.2006)

    assert of_balancing(right) == []
    assert of_balancing(wrong) == [
        "20.000 s forbidden balancing: expected cell 6 not to bleed; saw 0.201 A, until 39.990 s"
    ]


@pytest.mark.parametrize(
    ("story", "state"),
    [(balancing(cell_v=3.30), 4.0), (balancing(spread_v=0.004), 4.0), (balancing(), 3.0), (balancing(), 5.0)],
    ids=["below start_v", "no spread", "drive", "fault"],
)
def test_nothing_bleeds_without_leave(story, state):
    story.report("state", state)
    bleed(story, 5, 0.2035)

    assert any("forbidden balancing: expected cell 5 not to bleed" in line for line in of_balancing(story))


def test_heat_and_a_discharge_current_stop_bleeding():
    hot, driven = balancing(), balancing()
    hot.measure("temperature_degc", np.full((len(hot.t_s), 8), 52.5))
    driven.measure("current_a", -20.0)
    driven.report("state", 1.0)
    for story in (hot, driven):
        bleed(story, 5, 0.2035)

        assert any("forbidden balancing" in line for line in of_balancing(story))


@pytest.mark.parametrize(
    ("current_a", "sound"), [(0.184, True), (0.182, False), (0.223, True), (0.225, False)]
)
def test_the_bleed_current_is_within_a_tenth(current_a, sound):
    story = balancing()
    bleed(story, 5, current_a)

    assert (of_balancing(story) == []) == sound


def test_a_cell_must_bleed_only_where_balancing_is_enabled():
    asked, unasked = balancing(), balancing()
    asked.note(10.0, "balancing", enabled=True)

    assert of_balancing(unasked) == []
    assert of_balancing(asked) == [
        "15.000 s missed balancing: expected cell 5 to bleed within 5 s; saw no bleed current"
    ]
    asked_of = permission(Observed(asked.record(), PROFILE))
    assert np.flatnonzero(asked_of.must[-1]).tolist() == [5]
    assert np.flatnonzero(asked_of.may[-1]).tolist() == [5]


def test_no_more_channels_than_declared():
    story = balancing()
    value = np.full((len(story.t_s), PROFILE.pack.cells), 3.41)
    value[:, :13] = 3.46
    story.measure("cell_v", value)
    bled = np.where(value > 3.45, 0.2035, 0.0) * (story.t_s > 20.0)[:, None]
    story.measure("cell_a", bled)

    assert any(
        "forbidden balancing.max_channels: expected 12 channels at most; saw 13 at once" in line
        for line in of_balancing(story)
    )


def test_a_flag_that_no_current_follows_is_found():
    story = balancing()
    bleed(story, 5, 0.2035)
    story.measure("cell_a", np.zeros((len(story.t_s), PROFILE.pack.cells)))

    assert any(
        "inaccurate dut.bleeds: expected cell 5 as measured; saw reported, and no current flows" in line
        for line in of_balancing(story)
    )


def test_set_and_reset_per_channel():
    start = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], bool)
    stop = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], bool)

    assert held(start, stop).astype(int).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


# Precharge


def closing(*, bus_v: float = 77.0, precharge=(5.0, 6.0), minus_s: float = 4.8, plus_s: float = 5.9) -> Story:
    """Drive: minus, precharge, plus on a pack of 79.2 V."""
    story = quiet(PROFILE)
    t_s = story.t_s
    closed = (t_s >= plus_s).astype(float)
    story.measure("switch.main_minus", (t_s >= minus_s).astype(float))
    story.measure("switch.precharge", ((t_s >= precharge[0]) & (t_s < precharge[1])).astype(float))
    story.measure("switch.main_plus", closed)
    story.measure("link_v", np.where(t_s >= plus_s, 79.2, np.interp(t_s, [5.0, plus_s], [0.0, bus_v])))
    story.measure("discharge_path", closed)
    story.measure("charge_path", 0.0)
    story.measure("switch.charge", 0.0)
    story.note(4.5, "mode", mode="drive")
    return story


def of_precharge(story: Story) -> list[str]:
    return [line for line in findings(story) if "precharge" in line]


def test_a_closing_in_order_onto_a_charged_bus_is_explained():
    # 79.2 V * (1 - 0.05 - 0.02) = 73.66 V
    assert of_precharge(closing()) == []


@pytest.mark.parametrize(
    ("story", "text"),
    [
        (closing(bus_v=70.0), "forbidden precharge.done_fraction: expected bus at 73.66 V or more; saw"),
        (closing(precharge=(99.0, 99.0)), "forbidden precharge order: expected precharge before main_plus"),
        (closing(minus_s=7.0), "forbidden precharge order: expected main_minus before main_plus"),
        (closing(precharge=(5.0, 9.0)), "late precharge.timeout_s: expected precharge for 2.3"),
    ],
)
def test_a_closing_out_of_order_is_forbidden(story, text):
    assert any(text in line for line in of_precharge(story)), findings(story)


def tried(starts_s: list[float]) -> Story:
    story = closing(plus_s=99.0)
    value = np.zeros(len(story.t_s))
    for start_s in starts_s:
        value[(story.t_s >= start_s) & (story.t_s < start_s + 2.0)] = 1.0
    story.measure("switch.precharge", value)
    return story


def test_tries_are_counted_and_paused():
    assert of_precharge(tried([5.0, 8.0, 11.0])) == []
    assert any(
        "precharge.tries: expected 3 tries at most; saw try 4" in line
        for line in of_precharge(tried([5.0, 8.0, 11.0, 14.0]))
    )
    assert any(
        "precharge.pause_s: expected 1 s between two tries; saw 0.510 s" in line
        for line in of_precharge(tried([5.0, 7.5]))
    )
    attempts = tries_of(tried([5.0]).traces["switch.precharge"], closing().traces["switch.main_plus"])
    assert [(a.start_s, a.main_closed_s) for a in attempts] == [(pytest.approx(5.0), pytest.approx(5.9))]


def test_a_dut_that_does_not_even_try_is_found():
    assert any(
        "missed mode: expected a precharge within 2 s of drive; saw no switch closed" in line
        for line in findings(tried([]))
    )


# SOC


def current(value, *, period_s=1.0, uncertainty=0.0) -> Trace:
    value = np.asarray(value, float)
    return Trace(
        "current_a", "A", np.arange(len(value)) * period_s, value, Origin("measured", "meter"), uncertainty
    )


def test_an_hour_at_a_tenth_of_the_capacity_is_a_tenth():
    estimate = count(current(np.full(3601, 28.0), uncertainty=0.28), 0.5, 0.01, 280.0, 0.02)

    assert estimate.soc[-1] == pytest.approx(0.6)
    # 0.01, plus 0.28 Ah of 280 Ah, plus 2 % of 0.1
    assert estimate.bound[-1] == pytest.approx(0.01 + 0.001 + 0.002)


def test_the_bound_grows_with_time_and_with_what_may_lie_between_samples():
    steady, wobbling = current(np.full(100, 50.0), uncertainty=0.1), current(np.tile([0.0, 100.0], 50))

    assert np.all(np.diff(count(steady, 0.5, 0.01, 280.0).bound) > 0)
    assert count(wobbling, 0.5, 0.0, 280.0).bound[-1] == pytest.approx(99 * 50.0 / 3600 / 280)


def test_soc_error_is_reported_less_counted():
    story = quiet(PROFILE, 60.0)
    story.report("soc", 0.52)

    error = REFERENCE.soc_error(story.record(), soc_0=0.5)

    # 40 A for 60 s are 0.0024 of 280 Ah
    assert error.value[0] == pytest.approx(0.02, abs=1e-4)
    assert error.value[-1] == pytest.approx(0.02 - 0.0024, abs=1e-4)
    with pytest.raises(Inconclusive, match="no measured current_a"):
        soc_trace(Record(), 0.5, 0.0, 280.0)


# Thermal and intervals


def test_the_fastest_rise_over_the_sensors():
    t_s = np.arange(301) * 0.1
    value = np.column_stack((np.full(301, 25.0), 25.0 + np.clip(t_s - 10.0, 0.0, None) * 1.5))
    trace = Trace("temperature_degc", "degC", t_s, value, Origin("measured", "ntc"))

    assert rate_k_per_s(trace)[-1] == pytest.approx(1.5, abs=0.02)
    assert rate_k_per_s(trace)[50] == pytest.approx(0.0)


def test_intervals_by_hand():
    merged = union(np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[0.5, 2.0], [9.0, 8.0]]))

    assert merged.tolist() == [[0.0, 2.0], [3.0, 4.0]]
    assert inside(merged, np.array([-0.1, 0.0, 2.0, 2.5, 4.0, 4.1])).tolist() == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    assert touches(merged, np.array([2.1, 2.1]), np.array([2.9, 3.0])).tolist() == [False, True]
    assert without(merged, np.array([[0.5, 3.5]])).tolist() == [[0.0, 0.5], [3.5, 4.0]]
    first, last = runs(np.array([True, False, True, True]))
    assert (first.tolist(), last.tolist()) == ([0, 2], [0, 3])
    t_s = np.arange(6.0)
    mask = np.array([False, True, False, False, True, False])
    assert bridged(t_s, mask, 1.5).tolist() == [False, True, True, True, True, False]
    assert bridged(t_s, mask, 1.0).tolist() == mask.tolist()


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50), st.floats(-5, 60), st.floats(0, 20))
def test_sliding_extremes_hold_every_sample_in_the_interval(values, start, length):
    t_s, value = np.arange(float(len(values))), np.array(values)
    low, high = sliding(t_s, value, np.array([start]), np.array([start + length]))
    mine = value[(t_s >= start) & (t_s <= start + length)]

    if start + length < 0.0:
        assert math.isnan(low[0])
    elif mine.size:
        assert low[0] <= mine.min()
        assert high[0] >= mine.max()
