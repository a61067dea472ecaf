"""Each phenomenon: sound data and confounders leave nothing due; a fault does, at the right time.

The hand-computed time of a fault is that at which half the sum of squares of its standardised means reaches
the logarithm of the number of looks between two false alarms: there a likelihood ratio decides.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import Inconclusive, InvalidInput
from bench.reference.prognosis import (
    Sensing,
    due_windows,
    imbalance_growth,
    judge,
    unstable_current,
    warnings_of,
)
from bench.reference.prognosis.imbalance_growth import slope, spread_indication
from bench.reference.prognosis.local_heating import RULE as HEATING
from bench.reference.prognosis.local_heating import heating_indication, lagged
from bench.reference.prognosis.resistance_growth import RULE as RESISTANCE
from bench.reference.prognosis.resistance_growth import cell_indication, pack_indication
from bench.reference.prognosis.unstable_current import ripple
from bench.reference.prognosis.voltage_drift import RULE as DRIFT
from bench.reference.prognosis.voltage_drift import SOC_RULE, drift_indication, leak_a
from tests.prognosis_packs import (
    AMPERE,
    CELL_V,
    DAY_S,
    DEGC,
    HOUR_S,
    RELATIVE,
    SOC,
    after,
    currents,
    levels,
    resistances,
    temperatures,
    voltages,
)

IMBALANCE, RIPPLE = imbalance_growth.RULE, unstable_current.RULE


def drift_due(pack, **more):
    return due_windows(drift_indication(**pack, **more), sensing=CELL_V, rule=DRIFT)


def heating_due(pack, **more):
    return due_windows(heating_indication(**pack, **more), sensing=DEGC, rule=HEATING)


def resistance_due(pack):
    return due_windows(cell_indication(**pack), sensing=RELATIVE, rule=RESISTANCE)


def imbalance_due(pack):
    return due_windows(spread_indication(**pack), sensing=SOC, rule=IMBALANCE)


def ripple_of(pack, *, sigma_a=0.1, asked=True):
    given_ = pack if asked else {key: pack[key] for key in ("t_s", "current_a")}
    return ripple(**given_, nominal_a=1.0, sensor_sigma_a=sigma_a)


def current_due(pack, **more):
    return unstable_current.due_windows(ripple_of(pack, **more), sensing=AMPERE, rule=RIPPLE)


# ---------------------------------------------------------------- nothing is wrong


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_pack_is_due_no_warning(seed):
    assert drift_due(voltages(seed=seed)) == ()
    assert heating_due(temperatures(seed=seed)) == ()
    assert resistance_due(resistances(seed=seed)) == ()
    assert imbalance_due(levels(seed=seed)) == ()
    assert current_due(currents(seed=seed)) == ()
    assert current_due(currents(seed=seed), asked=False) == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_dut_warns_of_no_sound_pack(seed):
    # With the noise of the DUT: one false alarm in 10 000 h, so 0.01 are expected here in all.
    assert warnings_of(drift_indication(**voltages(seed=seed, sigma=5e-3)), sigma=5e-3, rule=DRIFT) == ()
    assert (
        warnings_of(heating_indication(**temperatures(seed=seed, sigma=0.5)), sigma=0.5, rule=HEATING) == ()
    )
    found = ripple_of(currents(seed=seed, sigma=0.5), sigma_a=0.5)
    assert unstable_current.warnings_of(found, sigma_a=0.5, rule=RIPPLE) == ()


# ---------------------------------------------------------------- voltage drift


def test_a_drift_is_due_when_its_indication_decides():
    pack = voltages(rate_v_per_h=2e-3)

    (due,) = drift_due(pack)

    # 60 samples of 5 mV in 600 s: 0.645 mV. 2 mV/h is 0.333 mV a block, so the means are 0.52 (i + 1/2). A
    # false alarm in 24 cells x 2 sides x 10 000 h x 6 blocks/h = 2.9e6 looks: ln = 14.9. Half the squares:
    # 0.033, 0.33, 1.2, 2.8, 5.5, 9.5, 15.1: the seventh block decides, at 24 h + 70 min.
    assert due.channel == 7
    assert due.magnitude == pytest.approx(-2e-3, rel=0.02)
    assert due.onset_s == pytest.approx(24 * HOUR_S, abs=1200)
    assert due.demanded
    assert 24 * HOUR_S + 70 * 60 in due.window
    assert due.window.latest - due.window.earliest < 2.5 * HOUR_S


def test_the_warning_of_a_sound_dut_hits():
    dues = drift_due(voltages(rate_v_per_h=2e-3))
    warnings = warnings_of(
        drift_indication(**voltages(seed=9, sigma=5e-3, rate_v_per_h=2e-3)), sigma=5e-3, rule=DRIFT
    )

    assert [outcome.kind for outcome in judge(dues, warnings)] == ["hit"]


def test_a_drift_below_what_is_abnormal_is_permitted_and_not_demanded():
    (due,) = drift_due(voltages(rate_v_per_h=3e-4))

    assert not due.demanded
    assert due.window.earliest > 24 * HOUR_S


def test_a_drift_that_the_bench_cannot_tell_from_normal_is_not_demanded():
    indication = drift_indication(**voltages(rate_v_per_h=0.55e-3, sigma=1e-5))
    close, coarse = (
        due_windows(indication, sensing=Sensing(5e-3, bench_v), rule=DRIFT)[0] for bench_v in (1e-3, 30e-3)
    )

    # Abnormal is 0.5 mV/h: it takes an uncertainty below 0.05 mV/h to be sure.
    assert close.uncertainty < 0.05e-3 < coarse.uncertainty
    assert close.demanded
    assert not coarse.demanded


def test_a_drift_below_what_is_tolerated_is_no_reason():
    assert drift_due(voltages(rate_v_per_h=0.5e-4, hours=72)) == ()


@settings(max_examples=8, deadline=None)
@given(rate=st.floats(0.7e-3, 3e-3), more=st.floats(0.2e-3, 3e-3))
def test_a_larger_drift_is_due_no_later(rate, more):
    (small,) = drift_due(voltages(rate_v_per_h=rate, sigma=1e-5))
    (large,) = drift_due(voltages(rate_v_per_h=rate + more, sigma=1e-5))

    assert large.window.latest <= small.window.latest
    assert large.window.earliest <= small.window.earliest


def test_offset_and_resistance_that_appear_are_no_drift():
    pack = voltages()
    later = pack["t_s"] >= 24 * HOUR_S
    offset, resistance = pack["cell_v"].copy(), pack["cell_v"].copy()
    offset[later, 7] -= 5e-3
    resistance[later, 7] += 0.2e-3 * pack["current_a"][later]

    assert drift_due(pack | {"cell_v": offset}) == ()
    assert drift_due(pack | {"cell_v": resistance}) == ()


def test_a_constant_offset_a_dead_sensor_and_a_gap_are_no_drift():
    pack = voltages()
    cell_v = pack["cell_v"].copy()
    cell_v[:, 3] += 0.050
    cell_v[:, 11] = np.nan
    there = (pack["t_s"] < 10 * HOUR_S) | (pack["t_s"] > 20 * HOUR_S)

    assert drift_due({key: value[there] for key, value in (pack | {"cell_v": cell_v}).items()}) == ()


def test_a_dead_sensor_does_not_hide_the_drift_of_another_cell():
    pack = voltages(rate_v_per_h=2e-3)
    pack["cell_v"][:, 3] = np.nan

    assert [due.channel for due in drift_due(pack)] == [7]


def test_unequal_charge_is_no_drift_where_the_slope_of_the_ocv_is_known():
    # A day's swing of the state of charge over a slope between 0.2 and 1 V; cell 7 is 2 % below the others.
    pack = voltages()
    slope_v = 0.6 + 0.4 * np.sin(2.0 * np.pi * pack["t_s"] / DAY_S)
    pack["cell_v"][:, 7] -= 0.02 * slope_v
    leaking = pack["cell_v"].copy()
    leaking[:, 7] -= 4e-3 / HOUR_S * after(pack["t_s"], 24 * HOUR_S) * slope_v

    def found(cell_v):
        indication = drift_indication(**(pack | {"cell_v": cell_v}), ocv_slope_v=slope_v)
        return due_windows(indication, sensing=CELL_V, rule=SOC_RULE)

    assert found(pack["cell_v"]) == ()
    (due,) = found(leaking)
    assert (due.channel, due.unit) == (7, "1/h")
    assert due.magnitude == pytest.approx(-4e-3, rel=0.03)


def test_a_cell_that_falls_far_does_not_drag_the_others_along():
    for seed in range(4):
        pack = voltages(seed=seed, sigma=5e-3, rate_v_per_h=10e-3)
        warnings = warnings_of(drift_indication(**pack), sigma=5e-3, rule=DRIFT)

        assert [warning.channel for warning in warnings] == [7]


def unlike_cells(seed: int, *, sigma: float) -> dict[str, np.ndarray]:
    """12 cells whose resistances differ by 10 %: 4 mV at 40 A; one drifts by 0.8 mV/h from 12 h to 36 h."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0.0, 36 * HOUR_S, 20.0)
    current_a = np.repeat(rng.choice([-40.0, 0.0, 25.0], 36), 180)
    cell_v = 3.6 + 0.010 * rng.normal(size=12) + np.outer(current_a, 1e-3 * (1 + 0.1 * rng.normal(size=12)))
    cell_v[:, 5] += 0.8e-3 * after(t_s, 12 * HOUR_S) / HOUR_S
    noise = sigma * np.random.default_rng(seed + 1000).normal(size=cell_v.shape)
    return {"t_s": t_s, "current_a": current_a, "cell_v": cell_v + noise}


@pytest.mark.parametrize("seed", range(4))
def test_a_drift_through_a_crowd_of_unlike_cells_leaves_the_others_where_they_are(seed):
    (due,) = drift_due(unlike_cells(seed, sigma=1e-3))
    warnings = warnings_of(drift_indication(**unlike_cells(seed, sigma=5e-3)), sigma=5e-3, rule=DRIFT)

    assert due.channel == 5
    # U is 0.4 % here; what the median still moves comes on top.
    assert due.magnitude == pytest.approx(0.8e-3, rel=0.012)
    assert [warning.channel for warning in warnings] == [5]


def test_a_leak_is_the_drift_over_the_slope_times_the_capacity():
    # 1 mV/h at 0.5 V per state of charge is 0.2 % an hour of 280 Ah.
    assert leak_a(drift_v_per_h=-1e-3, ocv_slope_v=0.5, capacity_ah=280.0) == pytest.approx(0.56)


# ---------------------------------------------------------------- local heating


def test_a_sensor_that_warms_alone_is_due():
    (due,) = heating_due(temperatures(rate_k_per_min=1.0))

    # 12 samples of 0.5 K at 5 s with 60 s of correlation count for 12 / 24 = 0.5: 0.71 K a block. Means
    # 1.41 (i + 1/2): half the squares 0.25, 2.5, 8.7, 21; ln(8 sensors x 10 000 h x 60 blocks) = 15.4: the
    # fourth minute decides.
    assert due.channel == 2
    assert due.magnitude == pytest.approx(1.0, rel=0.05)
    assert due.demanded
    assert 10 * HOUR_S + 4 * 60 in due.window
    assert due.window.latest - due.window.earliest < 600


def test_more_heat_is_due_no_later():
    latest = [
        heating_due(temperatures(rate_k_per_min=rate))[0].window.latest for rate in (0.4, 0.7, 1.0, 2.0)
    ]

    assert latest == sorted(latest, reverse=True)


def test_hot_ambient_load_step_dead_sensor_and_jump_are_no_heating():
    hot, step, dead, jump = (temperatures(ambient_degc=45.0), temperatures(), temperatures(), temperatures())
    hot["temperature_degc"] += 10.0 * -np.expm1(-after(hot["t_s"], 8 * HOUR_S) / HOUR_S)[:, None]
    # The load begins only after five hours: nothing of the heat has been seen before.
    late = step["t_s"] >= 5 * HOUR_S
    calm = temperatures(sigma=0.0)
    rng = np.random.default_rng(3)
    step["current_a"] = np.where(late, step["current_a"], 0.0)
    share = (calm["temperature_degc"] - calm["temperature_degc"][:1]) * (calm["t_s"] >= 5 * HOUR_S)[:, None]
    start = int(np.argmax(late))
    share[late] -= share[start]
    step["temperature_degc"] = 20.0 + share + rng.normal(0.0, 0.1, share.shape)
    dead["temperature_degc"][:, 5] = np.nan
    jump["temperature_degc"][jump["t_s"] >= 10 * HOUR_S, 2] += 8.0

    assert heating_due(hot) == ()
    assert heating_due(step) == ()
    assert heating_due(dead) == ()
    assert heating_due(jump) == ()


def test_a_model_replaces_the_neighbours():
    model = temperatures(sigma=0.0)["temperature_degc"][:, 2]
    pack = temperatures(rate_k_per_min=1.0)
    alone = {**pack, "temperature_degc": pack["temperature_degc"][:, 2]}

    (due,) = heating_due(alone, model_degc=model)

    assert due.magnitude == pytest.approx(1.0, rel=0.05)
    with pytest.raises(InvalidInput, match="3 sensors or more, or a model"):
        heating_due(alone)


def test_a_lag_is_exact_between_its_blocks():
    t_s = np.array([60.0, 120.0, 240.0])

    found = lagged(t_s=t_s, value=np.array([1.0, np.nan, 1.0]), lag_s=60.0, start=0.0)

    assert found == pytest.approx([1 - np.exp(-1), 1 - np.exp(-1), 1 - np.exp(-3)])


# ---------------------------------------------------------------- resistance growth


def test_a_cell_whose_resistance_runs_away_is_due():
    (due,) = resistance_due(resistances(per_day=0.01))

    # Means 0.01 / 0.02 (i + 1/2), ln(24 cells x 1000 d) = 10.1; half the squares 0.03, 0.31, 1.1, 2.6, 5.2,
    # 8.9, 14.2: the seventh day decides.
    assert due.channel == 5
    assert due.magnitude == pytest.approx(0.01, rel=0.05)
    assert due.demanded
    assert 67 * DAY_S in due.window


@pytest.mark.parametrize("seed", range(6))
def test_a_growth_that_the_season_hides_for_a_while_is_due_once(seed):
    # Given a spring and summer that warm up and cool down again while the resistance keeps growing.
    rng = np.random.default_rng(seed)
    day = np.arange(100.0)
    degc = 25.0 + 8.0 * np.sin(day / 15.0) + rng.normal(size=100)
    ohm = 1e-3 * np.exp(3600.0 * (1.0 / (degc + 273.15) - 1.0 / 298.15))[:, None] * np.ones((100, 16))
    ohm[:, 3] *= np.exp(0.012 * after(day, 22.0))
    ohm *= np.exp(0.004 * rng.normal(size=ohm.shape))

    (due,) = due_windows(
        cell_indication(t_s=day * DAY_S, resistance_ohm=ohm, temperature_degc=degc),
        sensing=Sensing(0.02, 0.004),
        rule=RESISTANCE,
    )

    assert (due.channel, due.until_s) == (3, np.inf)
    assert due.magnitude == pytest.approx(0.012, rel=0.03)


def test_growth_of_all_is_found_in_the_pack_and_in_no_cell():
    pack = resistances(pack_per_day=0.01)

    (due,) = due_windows(pack_indication(**pack), sensing=RELATIVE, rule=RESISTANCE)

    # 24 cells: the noise is 0.02 / 4.9. Means 2.45 (i + 1/2), ln(1000) = 6.9: 0.75, 7.5: the second day.
    assert due.magnitude == pytest.approx(0.01, rel=0.03)
    assert 62 * DAY_S in due.window
    assert resistance_due(pack) == ()


def test_ageing_cold_and_outliers_are_no_growth():
    ageing = resistances(pack_per_day=2e-4, onset_d=0.0)
    cold = resistances()
    winter = (cold["t_s"] > 70 * DAY_S) & (cold["t_s"] < 90 * DAY_S)
    cold["resistance_ohm"][winter] *= np.exp(
        3800.0 * (1 / 258.15 - 1 / (cold["temperature_degc"][winter] + 273.15))
    )[:, None]
    cold["temperature_degc"][winter] = -15.0
    odd = resistances()
    odd["resistance_ohm"][[20, 50, 80], [1, 5, 9]] *= [4.0, 0.3, 2.0]
    odd["resistance_ohm"][:, 13] = np.nan

    assert due_windows(pack_indication(**ageing), sensing=RELATIVE, rule=RESISTANCE) == ()
    assert due_windows(pack_indication(**cold), sensing=RELATIVE, rule=RESISTANCE) == ()
    assert resistance_due(cold) == ()
    assert resistance_due(odd) == ()


def test_estimates_count_by_their_uncertainty():
    pack = resistances(sigma=0.0)
    doubtful = np.zeros(len(pack["t_s"]), dtype=bool)
    doubtful[1::2] = True
    noise = np.random.default_rng(4).normal(0.0, 1.0, pack["resistance_ohm"].shape)
    relative = np.where(doubtful[:, None], 0.04, 0.004) * np.ones_like(noise)
    pack["resistance_ohm"] *= np.exp(relative * noise)

    indication = cell_indication(**pack, relative_uncertainty=relative, block_s=DAY_S)

    # The median is half way: sigma 0.022 stands for a weight of 1.
    residual = indication.residuals()[10:] / float(np.median(relative))
    assert np.nanstd(residual[doubtful[10:]]) == pytest.approx(1.0, abs=0.1)
    assert np.nanstd(residual[~doubtful[10:]]) == pytest.approx(1.0, abs=0.1)


def test_a_resistance_of_nothing_is_refused():
    pack = resistances()
    pack["resistance_ohm"][3, 3] = 0.0

    with pytest.raises(InvalidInput, match="resistance_ohm: expected above 0"):
        cell_indication(**pack)


# ---------------------------------------------------------------- imbalance growth


def test_a_spread_that_grows_is_due():
    (due,) = imbalance_due(levels(per_day=3e-3))

    # 24 samples of 2 % a day, two cells: 0.58 %. Means 0.52 (i + 1/2), ln(1000) = 6.9: half the squares 0.03,
    # 0.31, 1.2, 2.8, 5.6, 9.7: the sixth day decides.
    assert due.magnitude == pytest.approx(3e-3, rel=0.03)
    assert due.demanded
    assert 36 * DAY_S in due.window


def test_a_spread_that_stays_or_jumps_once_is_not_due():
    wide, jump = levels(), levels()
    wide["level"][:, 4] -= 0.08
    jump["level"][jump["t_s"] >= 40 * DAY_S, 4] -= 0.03
    jump["level"][:, 9] = np.nan

    assert imbalance_due(wide) == ()
    assert imbalance_due(jump) == ()


def test_the_slope_of_a_spread_comes_with_its_bound():
    found = slope(spread_indication(**levels(per_day=1e-3, onset_d=0.0)), sigma=0.004)
    calm = slope(spread_indication(**levels(seed=2)), sigma=0.004)

    # 80 days of sqrt(2 / 24) * 0.4 %: 2 sigma / sqrt(80^3 / 12) = 1.1e-5 a day.
    assert found.uncertainty == pytest.approx(1.1e-5, rel=0.03)
    assert abs(found.per_day - 1e-3) < 2.0 * found.uncertainty
    assert abs(calm.per_day) < 2.0 * calm.uncertainty


# ---------------------------------------------------------------- unstable current


def test_a_chatter_is_due_within_two_windows():
    (due,) = current_due(currents(chatter_a=6.0))

    # Its variance is 36 + 1 + 0.25 instead of 1.25: the first window of 10 s leaves no doubt.
    assert due.magnitude == pytest.approx(6.0, rel=0.02)
    assert due.onset_s == 900.0
    assert due.demanded
    assert 910.0 in due.window
    assert due.window.latest < 930.0


def test_a_chatter_is_due_without_knowing_what_was_asked():
    # At 3.3 Hz each third of a period is a sample: the middle of a triple bends by 1.22 times the amplitude.
    (due,) = current_due(currents(chatter_a=20.0, hertz=3.3), asked=False)

    assert due.demanded
    assert 910.1 in due.window


def test_a_small_ripple_is_permitted_and_not_demanded():
    (due,) = current_due(currents(chatter_a=3.0))

    assert not due.demanded
    assert 950.0 in due.window


def test_load_steps_ramps_and_missing_samples_are_no_chatter():
    pack = currents()
    pack["current_a"][5000:5400] = np.nan
    ramp = currents()
    ramp["current_a"] += 0.05 * ramp["t_s"]

    assert current_due(pack) == ()
    assert current_due(pack, asked=False) == ()
    assert current_due(ramp, asked=False) == ()


def test_a_dut_that_warns_of_chatter_hits():
    dues = current_due(currents(chatter_a=6.0))
    seen = ripple_of(currents(seed=8, sigma=0.5, chatter_a=6.0), sigma_a=0.5)

    warnings = unstable_current.warnings_of(seen, sigma_a=0.5, rule=RIPPLE)

    assert [outcome.kind for outcome in judge(dues, warnings)] == ["hit"]


# ---------------------------------------------------------------- bad input


def test_a_record_in_which_nothing_can_be_judged_decides_nothing():
    # The load never settles; the current was never measured.
    restless, blind = voltages(hours=4), currents()
    restless["current_a"] = np.where(np.arange(len(restless["t_s"])) % 2, 20.0, 0.0)
    blind["current_a"][:] = np.nan

    with pytest.raises(Inconclusive, match="nothing in them to judge"):
        drift_due(restless)
    with pytest.raises(Inconclusive, match="nothing in them to judge"):
        current_due(blind)


@pytest.mark.parametrize(
    ("make", "pack"),
    [(drift_indication, voltages), (heating_indication, temperatures), (cell_indication, resistances),
     (spread_indication, levels), (ripple_of, currents)],
)  # fmt: skip
def test_time_that_runs_backwards_is_refused_everywhere(make, pack):
    arrays = pack()
    arrays["t_s"] = arrays["t_s"][::-1]

    with pytest.raises(InvalidInput, match="strictly rising"):
        make(arrays) if make is ripple_of else make(**arrays)


DAYS_S, OHM, MILD_DEGC = np.arange(40) * DAY_S, np.full((40, 5), 1e-3), np.full(40, 25.0)
TIMES_S = np.arange(40.0)


@pytest.mark.parametrize(
    ("make", "given_", "says"),
    [
        (
            cell_indication,
            {"temperature_degc": np.ones((40, 2))},
            "temperature_degc: expected 1 or 5 columns",
        ),
        (
            cell_indication,
            {"temperature_degc": MILD_DEGC - 300.0},
            "above -273.15 degC, or nan, found -275 degC",
        ),
        (
            cell_indication,
            {"relative_uncertainty": np.zeros((40, 5))},
            "relative_uncertainty: expected above 0",
        ),
        (
            cell_indication,
            {"relative_uncertainty": np.ones((40, 3))},
            "relative_uncertainty: expected 1 or 5",
        ),
        (pack_indication, {"block_s": 0.0}, "block_s: expected above 0, found 0"),
        (
            drift_indication,
            {"current_a": np.ones((40, 2))},
            r"current_a: expected one for the pack, found \(40, 2",
        ),
        (drift_indication, {"correlation_s": np.nan}, "correlation_s: expected 0 s or more, found nan s"),
        (heating_indication, {"model_degc": np.ones((40, 3))}, "model_degc: expected 1 or 5 columns"),
        (heating_indication, {"lags_s": (300.0, 0.0)}, r"lags_s\[1\]: expected above 0, found 0"),
        (heating_indication, {"excess_s": np.nan}, "excess_s: expected above 0, found nan"),
        (spread_indication, {"valid": np.ones(5, dtype=bool)}, "valid: expected one for each of 40 samples"),
        (ripple, {"t_s": [0.0, 1.0], "current_a": [1.0, 1.0]}, "expected three times or more, found 2"),
        (ripple, {"correlation_s": -1.0}, "correlation_s: expected 0 s or more, found -1 s"),
    ],
)
def test_arrays_that_do_not_fit_and_numbers_that_make_no_sense_are_refused(make, given_, says):
    sound = {
        cell_indication: {"t_s": DAYS_S, "resistance_ohm": OHM, "temperature_degc": MILD_DEGC},
        pack_indication: {"t_s": DAYS_S, "resistance_ohm": OHM, "temperature_degc": MILD_DEGC},
        drift_indication: {"t_s": TIMES_S, "current_a": MILD_DEGC, "cell_v": OHM},
        heating_indication: {"t_s": TIMES_S, "current_a": MILD_DEGC, "temperature_degc": OHM},
        spread_indication: {"t_s": DAYS_S, "level": OHM, "unit": "1"},
        ripple: {"t_s": TIMES_S, "current_a": MILD_DEGC, "nominal_a": 1.0, "sensor_sigma_a": 0.5},
    }[make]

    make(**sound)
    with pytest.raises(InvalidInput, match=says):
        make(**sound | given_)
