"""Charts keep the false-alarm rate and the delay that they state.

Expected run lengths are the published ones that the examples of the R package spc print: Brook and Evans
(1972), Lucas and Crosier (1982), Vance (1986), Crowder (1989).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.reference.prognosis.detection import Cusum, Ewma, design_cusum, design_ewma
from bench.reference.prognosis.indication import recursive_residuals
from bench.reference.prognosis.run_length import (
    alarm_probability,
    cusum_arl,
    cusum_threshold,
    ewma_width,
    siegmund_arl,
)
from bench.reference.prognosis.samples import (
    apart_from_median,
    block_means,
    checked,
    effective_samples,
    prewhitened,
    steady,
    without_outliers,
)

HOUR_S = 3600.0


def correlated(rng: np.random.Generator, shape: tuple[int, int], phi: float) -> np.ndarray:
    """Stationary first-order autoregression with standard deviation 1."""
    noise = rng.normal(0.0, np.sqrt(1.0 - phi * phi), shape)
    noise[0] = rng.normal(0.0, 1.0, shape[1])
    for index in range(1, shape[0]):
        noise[index] += phi * noise[index - 1]
    return noise


@pytest.mark.parametrize(
    ("k", "h", "mean", "published"),
    [
        (0.5, 3.0, 0.0, 117.57), (0.5, 3.0, 1.5, 3.75), (0.5, 3.0, 0.5, 17.35), (0.5, 3.0, -0.5, 1963.0),
        (0.0, 10.0, -0.25, 2071.51), (0.0, 10.0, 0.0, 124.66), (0.0, 10.0, 0.5, 20.37),
        (0.0, 10.0, 1.0, 10.75),
    ],
)  # fmt: skip
def test_run_lengths_of_one_side_are_the_published_ones(k, h, mean, published):
    assert cusum_arl(k=k, h=h, mean=mean) == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize(
    ("shift", "published"),
    [
        (0.0, 168.0),
        (0.25, 74.2),
        (0.5, 26.6),
        (0.75, 13.3),
        (1.0, 8.38),
        (1.5, 4.75),
        (2.0, 3.34),
        (3.0, 2.19),
    ],
)
def test_run_lengths_of_both_sides_are_the_published_ones(shift, published):
    assert Cusum(0.5, 4.0).arl(shift) == pytest.approx(published, rel=3e-3)


@pytest.mark.parametrize(
    ("weight", "published"), [(0.05, 2.32), (0.1, 2.55), (0.15, 2.65), (0.2, 2.72), (0.25, 2.76)]
)
def test_limits_of_an_ewma_are_the_published_ones(weight, published):
    assert ewma_width(weight=weight, arl0=250.0) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize(("h", "mean"), [(4.0, 0.0), (5.0, 0.0), (5.0, 1.0), (8.0, 0.0), (8.0, 0.5)])
def test_siegmund_agrees_with_the_chain_to_two_percent(h, mean):
    assert siegmund_arl(k=0.5, h=h, mean=mean) == pytest.approx(cusum_arl(k=0.5, h=h, mean=mean), rel=0.02)


@pytest.mark.parametrize("k", [0.125, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("arl0", [1e2, 1e5, 1e8])
def test_a_threshold_gives_the_run_length_that_it_was_made_for(k, arl0):
    assert cusum_arl(k=k, h=cusum_threshold(k=k, arl0=arl0), mean=0.0) == pytest.approx(arl0, rel=1e-3)


def test_a_design_shares_its_rate_over_channels_and_sides():
    # One false alarm in 100 h, looked at each hour by 24 cells on both sides: each side runs 4800 hours.
    chart = design_cusum(shift=1.0, period_s=HOUR_S, channels=24, false_alarm_s=100.0 * HOUR_S)

    assert chart.k == 0.5
    assert cusum_arl(k=0.5, h=chart.h, mean=0.0) == pytest.approx(4800.0, rel=1e-3)
    assert chart.arl() == pytest.approx(2400.0, rel=1e-3)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_a_cusum_keeps_its_false_alarm_rate_on_noise(shift):
    rng = np.random.default_rng(20)
    chart = design_cusum(shift=shift, period_s=1.0, false_alarm_s=200.0)

    alarms = chart.alarms(rng.normal(size=(1000, 1000))).sum()

    # A million samples, 5000 alarms expected, standard deviation 71 of about a Poisson count: four of them.
    assert abs(alarms - 5000) < 4 * 71 + 50


def test_an_ewma_keeps_its_false_alarm_rate_on_noise():
    rng = np.random.default_rng(21)
    chart = design_ewma(weight=0.2, period_s=1.0, false_alarm_s=200.0)

    alarms = chart.alarms(rng.normal(size=(1000, 1000))).sum()

    assert abs(alarms - 5000) < 4 * 71 + 50


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_the_delay_of_a_shift_is_the_computed_one(shift):
    rng = np.random.default_rng(22)
    chart = design_cusum(shift=1.0, period_s=1.0, false_alarm_s=1e3)

    hits = chart.alarms(rng.normal(shift, 1.0, size=(400, 2000)))
    delay = hits.argmax(axis=0) + 1.0

    assert hits.any(axis=0).all()
    assert delay.mean() == pytest.approx(chart.arl(shift), abs=4.0 * delay.std() / np.sqrt(2000))


def test_the_probability_of_an_alarm_on_a_ramp_is_the_simulated_one():
    rng = np.random.default_rng(23)
    chart = Cusum(0.5, 6.0, "up")
    mean = np.linspace(0.0, 2.0, 40)

    hits = chart.alarms(rng.normal(size=(40, 4000)) + mean[:, None])
    simulated = np.maximum.accumulate(hits, axis=0).mean(axis=1)

    # Four standard deviations of a proportion of 4000, at most 0.032.
    assert np.abs(alarm_probability(k=0.5, h=6.0, mean=mean, steady=False) - simulated).max() < 0.032


def test_a_step_beyond_all_bounds_alarms_at_once_and_nothing_never_does():
    surely = alarm_probability(k=0.5, h=5.0, mean=np.array([np.nan, 100.0, 0.0]), steady=False)
    never = alarm_probability(k=0.5, h=5.0, mean=np.full(50, -5.0), steady=False)

    assert surely[0] == 0.0
    assert surely[1:] == pytest.approx([1.0, 1.0])
    assert never.max() < 1e-6


@settings(max_examples=25, deadline=None)
@given(
    mean=st.lists(st.floats(0.0, 2.0), min_size=5, max_size=40),
    more=st.floats(0.0, 2.0),
    steady_start=st.booleans(),
)
def test_a_larger_change_is_found_no_later(mean, more, steady_start):
    small = alarm_probability(k=0.5, h=5.0, mean=np.array(mean), steady=steady_start)
    large = alarm_probability(k=0.5, h=5.0, mean=np.array(mean) + more, steady=steady_start)

    assert (large >= small - 1e-9).all()
    assert (np.diff(small) >= -1e-12).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.floats(0.0, 3.0), more=st.floats(0.0, 3.0))
def test_a_larger_drift_in_the_same_noise_is_found_no_later(seed, shift, more):
    noise = np.random.default_rng(seed).normal(size=(100, 1))
    ramp = np.linspace(0.0, 1.0, 100)[:, None]
    chart = Cusum(0.5, 5.0, "up")

    small = chart.upper(noise + shift * ramp)
    large = chart.upper(noise + (shift + more) * ramp)

    assert (large >= small - 1e-12).all()


@pytest.mark.parametrize("chart", [Cusum(0.5, 4.0), Ewma(0.2, 2.7)])
def test_missing_samples_make_a_chart_stand_still(chart):
    rng = np.random.default_rng(24)
    value = rng.normal(0.5, 1.0, size=(200, 3))
    holes = np.insert(value, np.repeat(np.arange(0, 200, 7), 3), np.nan, axis=0)
    valid = np.isfinite(holes).all(axis=1)

    assert (chart.alarms(holes)[valid] == chart.alarms(value)).all()
    assert not chart.alarms(holes)[~valid].any()


def test_the_signed_statistic_shows_the_side():
    value = np.concatenate((np.zeros(5), np.full(10, -2.0)))[:, None]

    statistic = Cusum(0.5, 4.0).signed(value)[:, 0]

    # Minus 1.5 a sample from the sixth on, held at the threshold.
    assert statistic[4:9] == pytest.approx([0.0, -1.5, -3.0, -4.0, -4.0])


def test_correlated_noise_alarms_too_often_unless_it_is_reckoned_with():
    rng = np.random.default_rng(25)
    phi = 0.8
    raw = correlated(rng, (12_000, 200), phi)
    chart = design_cusum(shift=1.0, period_s=1.0, false_alarm_s=200.0)

    naive = chart.alarms(raw[:1000]).sum() / 1000.0
    blocks = block_means(t_s=np.arange(12_000.0), value=raw, block_s=60.0)
    weight = blocks.weight(correlation_s=-1.0 / np.log(phi), period_s=1.0)
    by_blocks = chart.alarms(blocks.value * weight).sum() / 200.0
    whitened = chart.alarms(prewhitened(raw[:1000], phi=phi)).sum() / 1000.0

    # 200 channels, one alarm in 200 samples each: one a sample. A block counts by the noise of many of them,
    # which is more than its own, so the rate stays a little below.
    assert naive > 3.0
    assert 0.75 < by_blocks < 1.15
    assert 0.85 < whitened < 1.15


@pytest.mark.parametrize(
    ("count", "phi", "expected"),
    [
        (10, 0.0, 10.0),
        (2, 0.5, 4.0 / 3.0),  # variance of the mean (1 + 1 + 2 * 0.5) / 4
        (3, 0.5, 9.0 / 5.5),  # (3 + 4 * 0.5 + 2 * 0.25) / 9
        (1, 0.9, 1.0),
        (100_000, 0.5, 100_000 / 3.0),
    ],
)
def test_correlated_samples_count_for_fewer(count, phi, expected):
    assert effective_samples(count, phi=phi) == pytest.approx(expected, rel=1e-4)


def test_blocks_are_means_of_what_is_valid_and_gaps_have_none():
    t_s = np.array([0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0])
    value = np.array([1.0, 3.0, np.nan, 5.0, 7.0, np.nan, np.nan, np.nan])

    blocks = block_means(t_s=t_s, value=value, block_s=4.0)

    # Blocks from 0 to 4, 8 to 12 (two samples at 10 and 11) and 12 to 16; too few samples make a nan.
    assert blocks.t_s == pytest.approx([4.0, 12.0, 16.0])
    assert blocks.value[0, 0] == pytest.approx(3.0)
    assert np.isnan(blocks.value[1:, 0]).all()
    assert blocks.count[:, 0] == pytest.approx([3.0, 1.0, 0.0])


def test_current_is_steady_only_after_it_has_settled():
    t_s = np.arange(10.0)
    current = np.array([0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0, 9.0, np.nan])

    found = steady(t_s=t_s, value=current, span_s=2.0, within=0.5)

    assert found.tolist() == [False, False, True, True, False, False, True, True, True, False]


def test_time_that_runs_backwards_is_refused():
    with pytest.raises(InvalidInput, match=r"strictly rising times, found 1 s after 2 s"):
        checked("drift", [0.0, 2.0, 1.0])


@pytest.mark.parametrize("t_s", [[0.0], [0.0, np.nan], [0.0, 0.0], [[0.0, 1.0]]])
def test_times_that_are_none_are_refused(t_s):
    with pytest.raises(InvalidInput, match="drift: t_s"):
        checked("drift", t_s)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(InvalidInput, match="current_a: expected 2 rows"):
        checked("drift", [0.0, 1.0], ("current_a", [1.0]))


@pytest.mark.parametrize(
    "given_", [{"k": 0.0, "arl0": 100.0}, {"k": 0.5, "arl0": 1.0}, {"k": 0.5, "arl0": 1e12}]
)
def test_a_chart_that_cannot_be_made_is_refused(given_):
    with pytest.raises(InvalidInput, match="cusum_threshold"):
        cusum_threshold(**given_)


def test_an_outlier_goes_and_a_step_stays():
    value = np.concatenate((np.full(20, 1.0), np.full(20, 2.0)))
    value += 0.001 * np.cos(np.arange(40) * 2.4)
    value[[7, 30]] = (5.0, 0.1)

    found = without_outliers(value[:, None])[:, 0]

    assert np.flatnonzero(np.isnan(found)).tolist() == [7, 30]


def test_the_median_leaves_out_a_cell_that_is_missing():
    value = np.array([[1.0, 2.0, 3.0, np.nan], [np.nan, np.nan, np.nan, 4.0]])

    found = apart_from_median(value)

    assert found[0, :3] == pytest.approx([-1.0, 0.0, 1.0])
    assert np.isnan(found[0, 3])
    assert np.isnan(found[1]).all()


def test_a_cell_that_goes_missing_does_not_move_the_others():
    value = np.tile([1.0, 2.0, 4.0, 8.0], (5, 1))
    value[3, 3] = np.nan

    found = apart_from_median(value)

    # The median of 1, 2, 4 and 8 is 3; without the last cell it would be 2.
    assert found[:, 0] == pytest.approx(np.full(5, -2.0))


def test_recursive_residuals_are_those_of_a_running_mean():
    # Less the mean of all before, over the root of 1 + 1 / count: (3 - 1) / sqrt(2), (5 - 2) / sqrt(1.5).
    value = np.array([[1.0], [3.0], [np.nan], [5.0]])

    found = recursive_residuals(value=value, weight=np.ones((4, 1)), regressors=np.ones((4, 1)))[:, 0]

    assert found[[1, 3]] == pytest.approx([2.0 / np.sqrt(2.0), 3.0 / np.sqrt(1.5)], rel=1e-4)
    assert abs(found[0]) < 1e-4
    assert np.isnan(found[2])


def test_recursive_residuals_are_independent_whatever_the_regressors():
    rng = np.random.default_rng(26)
    regressors = np.column_stack((np.ones(60), np.sin(np.arange(60) / 5.0), rng.normal(size=60)))
    value = regressors @ np.array([[3.0], [-2.0], [1.0]]) + rng.normal(0.0, 0.1, (60, 4000))

    found = recursive_residuals(value=value, weight=np.ones_like(value), regressors=regressors)[3:]

    assert found.std(axis=1) == pytest.approx(np.full(57, 0.1), rel=0.05)
    assert np.abs(np.corrcoef(found)[~np.eye(57, dtype=bool)]).max() < 0.08
    assert abs(found.mean()) < 0.001
