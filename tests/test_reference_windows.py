"""The windows of the reference, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import Inconclusive
from bench.record import Origin, Trace
from bench.reference import Reference
from bench.verdict import Verdict, Window
from dut_profiles.profile import load_profile

PROFILE = load_profile("hd_lfp_24s")
REFERENCE = Reference(PROFILE)
OVERVOLTAGE = PROFILE.limit("cell_overvoltage")  # 3.600 +- 0.005 V for 1.0 +- 0.1 s, level 2, release 3.45 V
SAMPLING_S, WAIT_S, OPENING_S = 0.05, 0.2, 0.03


def trace(value, *, period_s=0.01, uncertainty=0.0, start_s=0.0, name="cell_v"):
    value = np.asarray(value, float)
    t_s = start_s + np.arange(len(value)) * period_s
    return Trace(name, "V", t_s, value, Origin("measured", "cells"), uncertainty)


def step(low, high, *, at=500, until=2000, length=2000, **how):
    value = np.full(length, low)
    value[at:until] = high
    return trace(value, **how)


def test_a_step_far_beyond_gives_the_declared_window():
    window = REFERENCE.trip_window(step(3.3, 3.7), OVERVOLTAGE)

    # last sample below at 4.99 s; first above at 5.00 s
    assert window.earliest == pytest.approx(4.99 + 0.9)
    assert window.latest == pytest.approx(5.00 + 1.1 + SAMPLING_S + WAIT_S + OPENING_S + 0.01)
    assert repr(window) == "[5.890 s, 6.390 s] (cell_overvoltage at 3.6 V for 1 s)"
    assert window.what == "charge path opens"


def test_a_level_three_limit_does_not_wait_for_the_current():
    lock = PROFILE.limit("cell_overvoltage_lock")  # 3.75 V for 0.3 +- 0.05 s

    window = REFERENCE.trip_window(step(3.3, 3.8), lock)

    assert window.earliest == pytest.approx(4.99 + 0.25)
    assert window.latest == pytest.approx(5.00 + 0.35 + SAMPLING_S + OPENING_S + 0.01)


def test_the_decision_alone_leaves_the_actuator_out():
    window = REFERENCE.trip_window(step(3.3, 3.7), OVERVOLTAGE, path_open=False)

    assert window.latest == pytest.approx(5.00 + 1.1 + SAMPLING_S + 0.01)


def test_a_limit_in_hardware_has_no_sampling_and_fires_the_pyrotechnic_switch():
    short = PROFILE.limit("short_circuit")  # 2000 +- 100 A for 0.3 +- 0.1 ms
    current = step(-100.0, -3000.0, at=1000, period_s=1e-5)

    window = REFERENCE.trip_window(current, short)

    assert window.earliest == pytest.approx(0.00999 + 0.0002)
    assert window.latest == pytest.approx(0.01 + 0.0004 + PROFILE.switches.pyro_opening_s + 1e-5)


def test_an_alarm_is_seen_one_broadcast_task_and_sample_later():
    window = REFERENCE.alarm_window(step(3.3, 3.7), OVERVOLTAGE)

    assert window.earliest == pytest.approx(4.99 + 0.9)
    assert window.latest == pytest.approx(5.00 + 1.1 + SAMPLING_S + 0.11 + 0.02 + 0.01)


@pytest.mark.parametrize(
    ("high", "permitted", "demanded"),
    [
        (3.5929, False, False),  # below 3.600 - 0.005 - 0.002
        (3.593, True, False),  # at it
        (3.607, True, False),  # at 3.600 + 0.005 + 0.002: still within what the DUT may be off
        (3.6071, True, True),
    ],
)
def test_the_band_is_tolerance_plus_uncertainty(high, permitted, demanded):
    window = REFERENCE.trip_window(step(3.3, high, uncertainty=0.002), OVERVOLTAGE)

    assert math.isfinite(window.earliest) == permitted
    assert (window.must and math.isfinite(window.latest)) == demanded


@pytest.mark.parametrize(
    ("samples", "permitted", "demanded"),
    [
        (88, False, False),  # between 4.99 and 5.88: 0.89 s at most
        (89, True, False),  # 0.90 s at most, the shortest delay
        (116, True, False),  # seen for 1.15 s: may fall back as the DUT decides
        (117, True, True),  # seen for 1.16 s: longer than 1.1 s and one sample of the DUT
    ],
)
def test_the_length_of_a_pulse_decides(samples, permitted, demanded):
    window = REFERENCE.trip_window(step(3.3, 3.7, until=500 + samples), OVERVOLTAGE)

    assert math.isfinite(window.earliest) == permitted
    assert (window.must and math.isfinite(window.latest)) == demanded


def test_a_dip_that_the_dut_may_miss_does_not_restart_the_earliest_delay():
    value = np.full(2000, 3.3)
    value[500:900] = 3.7
    short, long = value.copy(), value.copy()
    short[540:544] = 3.3  # 30 ms seen
    long[540:550] = 3.3  # 90 ms seen, more than one period of 50 ms

    assert REFERENCE.trip_window(trace(short), OVERVOLTAGE).earliest == pytest.approx(4.99 + 0.9)
    assert REFERENCE.trip_window(trace(long), OVERVOLTAGE).earliest == pytest.approx(5.49 + 0.9)
    assert REFERENCE.trip_window(trace(short), OVERVOLTAGE).latest == pytest.approx(5.44 + 1.39)


def test_any_channel_may_trip_and_each_alone_must():
    value = np.full((2000, 3), 3.3)
    value[500:560, 0] = value[560:620, 1] = 3.7

    window = REFERENCE.trip_window(trace(value), OVERVOLTAGE)

    # together beyond for 1.2 s: a DUT that looks at the highest may trip, one that looks at each need not
    assert window.earliest == pytest.approx(5.89)
    assert not window.must
    assert window.latest == pytest.approx(5.60 + 1.39)


def test_a_stimulus_that_the_dut_ends_by_acting_still_has_a_latest_time():
    current = np.full(2000, -100.0)
    current[200:230] = -500.0  # too short
    current[500:605] = -500.0  # ended by the opening at 6.05 s, before a trip was due

    window = REFERENCE.trip_window(trace(current), "discharge_overcurrent_2")

    assert not window.must
    assert 6.05 in window
    assert window.latest == pytest.approx(5.0 + 1.1 + 0.01 + WAIT_S + OPENING_S + 0.01)


def test_limits_below_and_discharge_currents_are_mirrored():
    under = REFERENCE.trip_window(step(3.3, 2.4), "cell_undervoltage")
    over = REFERENCE.trip_window(step(-100.0, -500.0), "discharge_overcurrent_2")
    charging = REFERENCE.trip_window(step(100.0, 500.0), "discharge_overcurrent_2")

    assert under.latest == pytest.approx(6.39)
    # current is sampled every 10 ms
    assert over.latest == pytest.approx(5.0 + 1.1 + 0.01 + WAIT_S + OPENING_S + 0.01)
    assert math.isinf(charging.earliest)


def test_a_spread_counts_the_uncertainty_twice():
    value = np.full((2000, 2), 25.0)
    value[500:, 1] = 25.0 + 12.0 + 0.3
    limit = PROFILE.limit("temperature_spread")  # 10 +- 2 K for 5 +- 0.5 s

    assert math.isfinite(REFERENCE.alarm_window(trace(value, uncertainty=0.1), limit).latest)
    assert math.isnan(REFERENCE.alarm_window(trace(value, uncertainty=0.2), limit).latest)


def test_a_stimulus_that_never_had_to_trip_is_inconclusive():
    window = REFERENCE.trip_window(step(3.3, 3.4), OVERVOLTAGE)

    with pytest.raises(Inconclusive, match="the stimulus never had to cause it"):
        assert float("nan") in window
    assert window.judge(7.0).verdict is Verdict.FAIL


def test_what_was_permitted_and_not_demanded_proves_nothing():
    window = REFERENCE.trip_window(step(3.3, 3.6), OVERVOLTAGE)

    assert window.judge(5.8).verdict is Verdict.FAIL
    assert window.judge(6.1).verdict is Verdict.INCONCLUSIVE
    assert window.judge(float("nan")).verdict is Verdict.INCONCLUSIVE


def test_a_gap_permits_and_does_not_demand():
    value = np.full(2000, 3.3)
    value[500:] = 3.7
    value[550:560] = np.nan
    alone = np.full(2000, 3.3)
    alone[500:700] = np.nan

    across = REFERENCE.trip_window(trace(value), OVERVOLTAGE)
    only = REFERENCE.trip_window(trace(alone), OVERVOLTAGE)

    assert across.earliest == pytest.approx(5.89)
    assert across.latest == pytest.approx(5.60 + 1.39)
    assert only.earliest == pytest.approx(5.89)
    assert math.isnan(only.latest)


def test_a_run_that_stands_at_the_first_sample_may_be_as_old_as_it_likes():
    window = REFERENCE.trip_window(trace(np.full(500, 3.7)), OVERVOLTAGE)

    assert window.earliest == -math.inf
    assert window.latest == pytest.approx(1.39)


def test_a_trace_without_values_is_inconclusive_and_one_out_of_order_an_error():
    with pytest.raises(Inconclusive, match=r"cell_overvoltage: .* holds no measured value"):
        REFERENCE.trip_window(trace(np.full(10, np.nan)), OVERVOLTAGE)
    backwards = Trace("cell_v", "V", np.array([1.0, 0.5]), np.array([3.3, 3.3]), Origin("measured", "cells"))
    with pytest.raises(ValueError, match="strictly rising times"):
        REFERENCE.trip_window(backwards, OVERVOLTAGE)


def test_release_waits_for_the_hysteresis():
    value = np.full(3000, 3.3)
    value[500:1000] = 3.7
    value[1000:1500] = 3.46  # inside the trip level, not inside the release of 3.45 V by 5 mV for sure
    value[1500:] = 3.40

    window = REFERENCE.release_window(trace(value), OVERVOLTAGE)
    maybe = REFERENCE.release_window(trace(np.where(value == 3.46, 3.455, value)), OVERVOLTAGE)

    assert window.earliest == pytest.approx(14.99)
    assert window.latest == pytest.approx(15.0 + 1.1 + SAMPLING_S + 0.11 + 0.02 + 0.01)
    assert maybe.earliest == pytest.approx(9.99)


def test_a_latched_limit_is_not_released():
    window = REFERENCE.release_window(step(3.3, 3.8), "cell_overvoltage_lock")

    assert "only a reset clears it" in window.reason
    assert window.judge(9.0).verdict is Verdict.FAIL


def test_holds_is_true_only_without_an_opportunity():
    assert REFERENCE.holds(step(3.3, 3.594), OVERVOLTAGE)
    assert not REFERENCE.holds(step(3.3, 3.595), OVERVOLTAGE)
    assert REFERENCE.holds(step(3.3, 3.9, until=550), OVERVOLTAGE)


def test_only_channels_that_were_beyond_for_long_enough_may_be_named():
    value = np.full((2000, 4), 3.3)
    value[500:, 1] = 3.7
    value[500:550, 2] = 3.7
    value[500:, 3] = 3.596

    assert REFERENCE.faulty_index(trace(value), OVERVOLTAGE) == {1, 3}


def test_the_observer_hears_of_every_window():
    seen = []
    reference = Reference(PROFILE, observer=seen.append)

    assert 6.1 in reference.trip_window(step(3.3, 3.7), OVERVOLTAGE)
    assert 6.8 not in reference.trip_window(step(3.3, 3.7), OVERVOLTAGE)

    assert [judgement.verdict for judgement in seen] == [Verdict.PASS, Verdict.FAIL]
    assert seen[1].reason == "0.410 s too late; cell_overvoltage at 3.6 V for 1 s"


def test_other_windows():
    timeout = REFERENCE.timeout_window(10.0)  # 1.0 +- 0.2 s
    bleed = REFERENCE.bleed_current_window(3.57)  # 0.2 A at 3.4 V, +- 10 %
    bus = REFERENCE.bus_window(80.0)  # 5 % and twice 1 %

    assert (timeout.earliest, timeout.latest) == (pytest.approx(10.7), pytest.approx(11.2 + 0.02 + 0.23))
    assert (bleed.earliest, bleed.latest) == (pytest.approx(0.189), pytest.approx(0.231))
    assert bus.earliest == pytest.approx(74.4)


runs_of_levels = st.lists(
    st.tuples(st.sampled_from([3.3, 3.59, 3.6, 3.604, 3.7]), st.integers(1, 150)), min_size=1, max_size=12
)


def window_of(parts, *, shift_s=0.0, uncertainty=0.0, **changed):
    value = np.concatenate([np.full(length, level) for level, length in parts])
    limit = OVERVOLTAGE.model_copy(update=changed)
    return REFERENCE.trip_window(trace(value, uncertainty=uncertainty, start_s=shift_s), limit)


def inside(inner: Window, outer: Window) -> bool:
    later = math.isnan(outer.latest) or not outer.must or inner.latest <= outer.latest + 1e-9
    return outer.earliest <= inner.earliest + 1e-9 and later


@settings(max_examples=60, deadline=None)
@given(runs_of_levels, st.floats(0.005, 0.02), st.floats(0.1, 0.5), st.floats(0.0, 0.01))
def test_more_tolerance_never_shrinks_a_window(parts, tolerance_v, delay_tolerance_s, uncertainty):
    tight = window_of(parts)

    assert inside(tight, window_of(parts, trip_tolerance_v=tolerance_v))
    assert inside(tight, window_of(parts, delay_tolerance_s=delay_tolerance_s))
    assert inside(tight, window_of(parts, uncertainty=uncertainty))


@settings(max_examples=60, deadline=None)
@given(runs_of_levels, st.integers(1, 100_000))
def test_shifting_time_shifts_the_window(parts, shift):
    before, after = window_of(parts), window_of(parts, shift_s=shift * 0.01)

    assert after.earliest == pytest.approx(before.earliest + shift * 0.01, nan_ok=True, abs=1e-6)
    assert after.latest == pytest.approx(before.latest + shift * 0.01, nan_ok=True, abs=1e-6)
