"""Resistance from current steps in a log, its temperature correction and its growth; health from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.reference.estimators.capacity import Capacity
from bench.reference.estimators.health import agreed, health
from bench.reference.estimators.resistance import (
    Resistance,
    Step,
    StepRules,
    activation_energy,
    at_25_degc,
    find_steps,
    growth,
    mean_resistance,
)
from tests.measured import measured

R0, R1, TAU_S = 0.002, 0.001, 5.0


def log(*, noise_v: float = 0.0, drift_v_per_s: float = 0.0, step_a: float = -50.0, period_s: float = 0.1):
    """20 s of rest, 20 s of current, 20 s of rest: R0 and one RC pair in closed form."""
    t_s = np.arange(0.0, 60.0, period_s)
    on, off = t_s >= 20.0, t_s >= 40.0
    current_a = np.where(on & ~off, step_a, 0.0)
    rc_v = np.where(on, 1.0 - np.exp(-(t_s - 20.0) / TAU_S), 0.0)
    rc_v = rc_v - np.where(off, 1.0 - np.exp(-(t_s - 40.0) / TAU_S), 0.0)
    noise = noise_v * np.random.default_rng(8).normal(size=len(t_s))
    return t_s, current_a, 3.3 + R0 * current_a + R1 * step_a * rc_v + drift_v_per_s * t_s + noise


def rules(**changes: float) -> StepRules:
    return StepRules(**{"least_step_a": 5.0, "voltage_noise_v": 1e-4, "max_gap_s": 1.0} | changes)


def test_both_edges_of_a_pulse_are_found_with_their_resistances():
    (on, off), rejected = find_steps(*log(), rules())

    assert rejected == []
    assert (on.t_s, off.t_s) == pytest.approx((19.9, 39.9))
    assert (on.step_a, off.step_a) == (-50.0, 50.0)
    assert on.interval_s == pytest.approx(0.1)
    # The first sample at the new current is at the jump itself.
    assert on.ohmic_ohm == pytest.approx(R0, rel=1e-6)
    # The sample 10 s after the last one before, 9.9 s after the jump.
    assert on.pulse_ohm == pytest.approx(R0 + R1 * (1.0 - np.exp(-9.9 / TAU_S)), rel=1e-6)
    # Off after four time constants: the pair is still charged to 1 - exp(-4), and slopes by 50 A * R1 / 5 s
    # * exp(-4), which the drift before takes off.
    assert off.ohmic_ohm == pytest.approx(R0, rel=2e-2)


def test_a_drift_before_the_step_is_taken_out_of_the_pulse():
    # 0.1 mV/s for 10 s would be 0.7 % of the answer of 50 A.
    good, _ = find_steps(*log(drift_v_per_s=1e-4), rules())

    assert good[0].pulse_ohm == pytest.approx(R0 + R1 * (1.0 - np.exp(-9.9 / TAU_S)), rel=2e-3)


def test_noise_stays_within_the_stated_uncertainty():
    errors = []
    for seed in range(200):
        t_s, current_a, volts = log()
        volts = volts + 1e-3 * np.random.default_rng(seed).normal(size=len(t_s))
        on = find_steps(t_s, current_a, volts, rules(voltage_noise_v=1e-3))[0][0]
        errors.append((on.ohmic_ohm - R0) / on.ohmic_uncertainty_ohm)

    # The drift is taken for half wrong on top, so the stated uncertainty may be too large, not too small.
    assert np.mean(np.abs(errors) <= 2.0) >= 0.93
    assert 0.5 < np.std(errors) < 1.1


@given(r=st.floats(1e-4, 1e-1), step_a=st.floats(20.0, 200.0), down=st.booleans(), rest_v=st.floats(2.5, 4.2))
def test_a_pure_resistance_is_found_whatever_the_step(r, step_a, down, rest_v):
    t_s = np.arange(0.0, 40.0, 0.5)
    current_a = np.where(t_s >= 20.0, -step_a if down else step_a, 0.0)

    (step,), _ = find_steps(t_s, current_a, rest_v + r * current_a, rules(voltage_noise_v=1e-6))

    assert step.ohmic_ohm == pytest.approx(r, rel=1e-6)
    assert step.pulse_ohm == pytest.approx(r, rel=1e-6)


@pytest.mark.parametrize(
    ("made", "rule", "reason"),
    [
        (log(step_a=-8.0), {"voltage_noise_v": 2e-3}, "noise"),
        (log(drift_v_per_s=-5e-3), {}, "moving"),
        (log(), {"pulse_s": 30.0}, "unsteady"),
        (log(), {"before_s": 25.0}, "short"),
        (log(period_s=2.0), {}, "gap"),
    ],
)
def test_a_step_that_says_nothing_is_rejected_with_its_reason(made, rule, reason):
    good, rejected = find_steps(*made, rules(**rule))

    assert reason in {one.reason for one in rejected}
    assert not any(step.t_s < 30.0 for step in good)


def test_missing_samples_beside_a_step_are_a_gap():
    t_s, current_a, volts = log()
    volts[210:240] = np.nan

    good, rejected = find_steps(t_s, current_a, volts, rules())

    assert [one.reason for one in rejected] == ["gap"]
    assert [step.step_a for step in good] == [50.0]


@pytest.mark.parametrize("t_s", [np.zeros(600), np.arange(599.0)])
def test_a_log_that_makes_no_sense_is_refused(t_s):
    _, current_a, volts = log()

    with pytest.raises(InvalidInput, match="resistance log"):
        find_steps(t_s, current_a, volts, rules())


def step(ohmic_ohm: float, uncertainty_ohm: float) -> Step:
    return Step(0.0, 0.1, 10.0, ohmic_ohm, uncertainty_ohm, 2.0 * ohmic_ohm, uncertainty_ohm, 25.0)


def test_steps_are_weighed_by_their_uncertainty():
    found = mean_resistance([step(1.0e-3, 1e-5), step(1.02e-3, 2e-5)])

    # Weights 4 to 1: 1.004 mohm; 1 / sqrt(1.25e10).
    assert found.resistance_ohm == pytest.approx(1.004e-3)
    assert found.uncertainty_ohm == pytest.approx(1.25e10**-0.5)
    assert mean_resistance([step(1e-3, 1e-5)], "pulse").resistance_ohm == pytest.approx(2e-3)


def test_steps_that_scatter_more_than_they_say_widen_the_uncertainty():
    found = mean_resistance([step(1e-3, 1e-6), step(1.1e-3, 1e-6)])

    # Half of 0.1 mohm: the standard error of two values that far apart.
    assert found.uncertainty_ohm == pytest.approx(0.05e-3)


def test_no_step_has_no_resistance():
    with pytest.raises(InvalidInput, match="one good step"):
        mean_resistance([])


def test_a_cold_resistance_is_smaller_at_25_degc_by_arrhenius():
    # k = 8.617e-5 eV/K; 0.3 eV: exp(0.3 / 8.617333e-5 * (1/298.15 - 1/273.15)) = 0.343458.
    found = at_25_degc(Resistance(2e-3, 2e-5), 0.0, activation_bound_ev=0.0, temperature_bound_k=0.0)

    assert found.resistance_ohm == pytest.approx(2e-3 * 0.343458, rel=1e-4)
    assert found.uncertainty_ohm == pytest.approx(2e-5 * 0.343458, rel=1e-4)


def test_at_25_degc_only_the_thermometer_adds_doubt():
    near = at_25_degc(Resistance(2e-3, 0.0), 25.0, temperature_bound_k=1.0)

    assert near.resistance_ohm == pytest.approx(2e-3)
    # 0.3 / 8.617e-5 / 298.15^2 = 3.92 % per kelvin, over sqrt 3.
    assert near.uncertainty_ohm / 2e-3 == pytest.approx(0.03916 / 3**0.5, rel=1e-3)


@given(degc=st.floats(-20.0, 55.0), energy_ev=st.floats(0.1, 0.8))
def test_the_doubt_about_the_energy_grows_away_from_25_degc(degc, energy_ev):
    at = [
        at_25_degc(Resistance(1e-3, 1e-5), t, activation_ev=energy_ev, temperature_bound_k=0.0)
        for t in (25.0, degc)
    ]

    relative = [one.uncertainty_ohm / one.resistance_ohm for one in at]
    assert relative[1] >= relative[0] * (1.0 - 1e-9)


def test_a_resistance_without_temperature_is_not_corrected():
    with pytest.raises(InvalidInput, match="measured temperature"):
        at_25_degc(Resistance(1e-3, 1e-5), np.nan)


@given(energy_ev=st.floats(0.1, 0.8))
def test_the_activation_energy_is_found_again(energy_ev):
    kelvin = np.array([273.15, 298.15, 318.15])

    found = activation_energy(1e-3 * np.exp(energy_ev / 8.617333262e-5 / kelvin), kelvin - 273.15)

    assert found == pytest.approx(energy_ev, rel=1e-6)


@pytest.mark.parametrize("degc", [[10.0, np.nan], [10.0, 25.0, np.nan], [-273.15, 25.0]])
def test_an_unknown_temperature_has_no_activation_energy(degc):
    with pytest.raises(InvalidInput, match="two temperatures or more"):
        activation_energy(np.full(len(degc), 0.01), np.array(degc))


@pytest.mark.parametrize("ohm", [0.0, -0.01, np.nan])
def test_what_is_no_resistance_is_neither_corrected_nor_compared(ohm):
    with pytest.raises(InvalidInput, match="above 0"):
        at_25_degc(Resistance(ohm, 0.001), 10.0)
    with pytest.raises(InvalidInput, match="above 0"):
        growth(Resistance(ohm, 0.001), 0.5, np.array([0.0, 1.0]), np.array([0.01, 0.01]))


@pytest.mark.parametrize(
    ("soc", "ohm"),
    [
        ([], []),
        ([0.0, 1.0], [0.01, 0.01, 0.01]),
        ([0.0, 0.9, 0.3, 1.0], [0.01] * 4),
        ([0.0, 1.0], [0.01, 0.0]),
        ([0.0, 1.0], [0.01, np.nan]),
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(soc, ohm):
    with pytest.raises(InvalidInput, match="a reference of increasing SOC"):
        growth(Resistance(0.02, 0.001), 0.2, np.array(soc), np.array(ohm))


def test_a_log_of_a_whole_pack_is_refused():
    cells_v = np.ones((30, 2))

    with pytest.raises(InvalidInput, match=r"shape \(time,\), found \(30,\), \(30,\), \(30, 2\)"):
        find_steps(np.arange(30.0), np.ones(30), cells_v, StepRules(1.0, 1e-3))


def test_one_temperature_has_no_activation_energy():
    with pytest.raises(InvalidInput, match="two temperatures"):
        activation_energy(np.ones(2), np.array([25.0, 25.0]))


def test_growth_is_against_the_new_cell_at_the_same_soc():
    soc, new = np.array([0.0, 0.5, 1.0]), np.array([4e-3, 2e-3, 2e-3])

    found = growth(Resistance(4.5e-3, 0.045e-3), 0.25, soc, new)

    assert found.resistance_ohm == pytest.approx(1.5)
    assert found.uncertainty_ohm == pytest.approx(0.015)
    with pytest.raises(InvalidInput, match="SOC of 0 to 1"):
        growth(Resistance(4.5e-3, 0.0), 1.1, soc, new)


def test_health_keeps_capacity_and_resistance_apart():
    found = health(nominal_ah=100.0, capacity=Capacity(85.0, 1.0, 2.0), growth=Resistance(1.5, 0.1))

    assert (found.capacity.low, found.capacity.value, found.capacity.high) == pytest.approx(
        (0.83, 0.85, 0.87)
    )
    assert (found.resistance_growth.low, found.resistance_growth.high) == pytest.approx((1.3, 1.7))
    # 1 as new, 0 at twice the resistance.
    assert (found.resistance.low, found.resistance.value, found.resistance.high) == pytest.approx(
        (0.3, 0.5, 0.7)
    )
    assert found.capacity.contains(0.84)
    assert not found.capacity.contains(0.88)
    assert found.worn_out is False


@pytest.mark.parametrize(
    ("capacity", "grown", "worn"),
    [
        (Capacity(77.0, 1.0, 2.0), None, True),
        (Capacity(79.0, 1.0, 2.0), None, None),
        (Capacity(83.0, 1.0, 2.0), None, False),
        (Capacity(83.0, 1.0, 2.0), Resistance(2.5, 0.2), True),
        (Capacity(83.0, 1.0, 2.0), Resistance(1.9, 0.2), None),
        (None, Resistance(1.2, 0.1), False),
    ],
)
def test_worn_out_is_said_only_where_the_bounds_decide(capacity, grown, worn):
    assert health(nominal_ah=100.0, capacity=capacity, growth=grown).worn_out is worn


def test_what_was_not_measured_is_not_known():
    found = health(nominal_ah=100.0, capacity=Capacity(85.0, 1.0, 2.0))

    assert np.isnan(found.resistance.value)
    assert not found.resistance.contains(1.0)
    with pytest.raises(InvalidInput, match="neither"):
        health(nominal_ah=100.0)


def test_independent_capacities_are_weighed_unless_they_contradict():
    found = agreed([Capacity(100.0, 1.0, 2.0), Capacity(101.5, 0.5, 1.0)])

    # Weights 1 to 4.
    assert found.capacity_ah == pytest.approx(101.2)
    assert found.uncertainty_ah == pytest.approx(5.0**-0.5)
    with pytest.raises(InvalidInput, match="at least 103 Ah and one of at most 102 Ah"):
        agreed([Capacity(100.0, 1.0, 2.0), Capacity(104.0, 0.5, 1.0)])


@pytest.mark.parametrize("other", [Capacity(np.nan, 0.1, 0.2), Capacity(8.0, np.nan, 0.2)])
def test_an_estimate_that_is_not_known_agrees_with_none(other):
    with pytest.raises(InvalidInput, match="one or more measured"):
        agreed([Capacity(8.0, 0.1, 0.2), other])


def test_the_ends_of_measured_discharge_and_charge_pulses_agree():
    """Leaf cell, 25 degC: a 30 A discharge pulse ends, a 22 A charge pulse turns into a 10 A discharge."""
    file = measured("leaf_33ah/hppc_25degC.csv")
    table = np.genfromtxt(file, delimiter=",", names=True, usecols=("t_s", "i_A", "v_V"))
    found, _ = find_steps(
        table["t_s"], -table["i_A"], table["v_V"],
        StepRules(2.0, 1e-3, before_s=5.0, pulse_s=9.0, max_gap_s=11.0),
    )  # fmt: skip

    alike = np.array([(one.step_a, one.ohmic_ohm) for one in found if one.interval_s > 0.9])
    up, down = alike[alike[:, 0] > 0.0, 1], alike[alike[:, 0] < 0.0, 1]

    assert len(up) >= 6
    assert len(down) >= 6
    # Within the standard uncertainty of one step (0.04 mohm) of each other.
    assert abs(up.mean() - down.mean()) < 0.04e-3
