"""Throughput, cycles of SOC and thermal history, and what gaps do to each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.reference.estimators.cycles import (
    ThermalLimits,
    soc_cycles,
    thermal_history,
    throughput,
)

LIMITS = ThermalLimits(low_degc=-10.0, high_degc=45.0, charge_low_degc=0.0, charge_high_degc=40.0)
EDGES = np.array([-20.0, 0.0, 20.0, 40.0, 60.0])


def test_an_hour_in_and_an_hour_out_are_one_cycle():
    t_s = np.array([0.0, 3600.0, 3600.001, 7200.001])
    current_a = np.array([50.0, 50.0, -50.0, -50.0])

    found = throughput(t_s, current_a, np.array([3.4, 3.4, 3.2, 3.2]), max_gap_s=4000.0)

    assert found.charged_ah == pytest.approx(50.0, rel=1e-6)
    assert found.discharged_ah == pytest.approx(50.0, rel=1e-6)
    assert found.charged_wh == pytest.approx(170.0, rel=1e-6)
    assert found.discharged_wh == pytest.approx(160.0, rel=1e-6)
    assert found.equivalent_full_cycles(50.0) == pytest.approx(1.0, rel=1e-6)
    assert found.gap_s == 0.0


def test_a_current_that_changes_sign_between_samples_counts_both_ways():
    # From +30 to -10 A in 8 s: 6 s of +15 A in the mean, 2 s of -5 A.
    found = throughput(np.array([0.0, 8.0]), np.array([30.0, -10.0]))

    assert found.charged_ah == pytest.approx(90.0 / 3600.0)
    assert found.discharged_ah == pytest.approx(10.0 / 3600.0)
    assert np.isnan(found.charged_wh)


@settings(max_examples=40)
@given(current=st.lists(st.floats(-300.0, 300.0), min_size=6, max_size=6))
def test_in_less_out_is_the_integral_and_doubles_with_the_current(current):
    t_s, current_a = np.cumsum(np.linspace(0.5, 3.0, 6)), np.array(current)

    once, twice = throughput(t_s, current_a), throughput(t_s, 2.0 * current_a)

    assert once.charged_ah - once.discharged_ah == pytest.approx(
        np.trapezoid(current_a, t_s) / 3600.0, abs=1e-9
    )
    assert once.charged_ah >= 0.0
    assert once.discharged_ah >= 0.0
    assert twice.charged_ah == pytest.approx(2.0 * once.charged_ah, abs=1e-9)


def test_integer_samples_count_as_their_values_do():
    # 200 * -200 does not fit 16 bits, 200 * 200 neither: as numbers they would seem to change sign.
    t_s, current = np.arange(3), np.array([200, 200, -200], dtype=np.int16)

    # 200 A s, and two triangles of 50 A s.
    found = throughput(t_s, current)

    assert found.charged_ah == pytest.approx(250.0 / 3600.0)
    assert found.discharged_ah == pytest.approx(50.0 / 3600.0)


def test_offset_and_what_sampling_may_hide_are_in_the_bound_of_the_charge():
    # Half of 10 A up and 10 A down for 1 s each, and 0.5 A of offset for 2 s.
    found = throughput(np.arange(3.0), np.array([0.0, 10.0, 0.0]), current_offset_a=0.5)

    assert found.bound_ah == pytest.approx(11.0 / 3600.0)


def test_lists_do_as_well_as_arrays():
    t_s, current_a, degc = [0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [20.0, 30.0, 30.0]
    edges = np.array([0.0, 25.0, 50.0])

    charge = throughput(t_s, current_a, [3.0, 3.0, 3.0])
    heat = thermal_history(t_s, degc, LIMITS, edges_degc=edges, current_a=current_a)

    assert charge.charged_wh == pytest.approx(6.0 / 3600.0)
    assert heat.band_s.tolist() == [1.0, 1.0]


def test_columns_of_several_cells_are_refused():
    with pytest.raises(InvalidInput, match=r"found \(3,\), \(3, 2\)"):
        throughput(np.arange(3.0), np.ones((3, 2)))
    with pytest.raises(InvalidInput, match=r"\(time, sensors\), found \(3, 1, 1\)"):
        thermal_history(np.arange(3.0), np.ones((3, 1, 1)), LIMITS, edges_degc=np.array([0.0, 50.0]))


def test_gaps_and_missing_samples_are_not_filled_in_but_told():
    t_s = np.array([0.0, 10.0, 20.0, 30.0, 130.0, 140.0])
    current_a = np.array([36.0, 36.0, np.nan, 36.0, 36.0, 36.0])

    found = throughput(t_s, current_a, current_offset_a=0.1)

    # 0 to 10 s and 130 to 140 s count; 10 to 30 s for the nan and 30 to 130 s for the gap do not.
    assert found.counted_s == 20.0
    assert found.gap_s == 120.0
    assert found.charged_ah == pytest.approx(0.2)
    assert found.bound_ah == pytest.approx(0.1 * 20.0 / 3600.0)


@pytest.mark.parametrize(
    ("t_s", "current_a", "says"),
    [
        ([0.0, 100.0], [1.0, 1.0], "only gaps and nan"),
        ([0.0, 0.0], [1.0, 1.0], "increasing time"),
        ([0.0, np.nan], [1.0, 1.0], "increasing time"),
        ([0.0, 1.0], [1.0], "one length"),
        ([0.0], [1.0], "two samples"),
    ],
)
def test_a_history_that_cannot_be_counted_is_refused(t_s, current_a, says):
    with pytest.raises(InvalidInput, match=says):
        throughput(np.array(t_s), np.array(current_a))


def test_cycles_are_counted_against_a_capacity_above_zero():
    with pytest.raises(InvalidInput, match="above 0 Ah"):
        throughput(np.array([0.0, 1.0]), np.ones(2)).equivalent_full_cycles(0.0)


def test_rainflow_counts_the_example_of_the_standard():
    """ASTM E1049-85, figure 6: -2, 1, -3, 5, -1, 3, -4, 4, -2, brought to 0..1 by (x + 5) / 10."""
    peaks = (np.array([-2.0, 1.0, -3.0, 5.0, -1.0, 3.0, -4.0, 4.0, -2.0]) + 5.0) / 10.0

    found = soc_cycles(peaks)

    # Ranges 3, 4, 8, 9, 8, 6 as halves and 4 as a whole, all over 10.
    halves = sorted(found.depth[found.count == 0.5])
    assert halves == pytest.approx([0.3, 0.4, 0.6, 0.8, 0.8, 0.9])
    assert found.depth[found.count == 1.0] == pytest.approx([0.4])
    assert found.mean_soc[found.count == 1.0] == pytest.approx([0.6])
    assert found.equivalent_full_cycles == pytest.approx(0.5 * 3.8 + 0.4)
    assert found.deeper_than(0.75) == 1.5


def test_shallow_ripple_is_left_out_when_asked():
    ripple = 0.5 + 0.4 * np.sin(np.linspace(0.0, 8.0 * np.pi, 400)) + 0.02 * np.cos(np.arange(400) * np.pi)

    assert len(soc_cycles(ripple).depth) > 100
    kept = soc_cycles(ripple, least_depth=0.05)
    assert kept.deeper_than(0.7) == pytest.approx(4.0, abs=0.5)
    assert kept.depth.min() >= 0.05


@settings(max_examples=40)
@given(thousandths=st.lists(st.integers(0, 1000), min_size=2, max_size=20))
def test_rainflow_neither_makes_nor_loses_movement(thousandths):
    soc = np.array(thousandths) / 1000.0

    found = soc_cycles(soc)

    # Every way up or down is half a depth: the total way is twice the depths by their counts.
    assert found.equivalent_full_cycles == pytest.approx(np.abs(np.diff(soc)).sum() / 2.0, abs=1e-9)
    assert found.depth.max(initial=0.0) <= np.ptp(soc) + 1e-12


@pytest.mark.parametrize("soc", [[0.1, np.nan, 0.5], [0.5], [10.0, 90.0], [-0.2, 0.5]])
def test_an_soc_with_holes_or_in_percent_is_refused(soc):
    with pytest.raises(InvalidInput, match="soc"):
        soc_cycles(np.array(soc))


def test_time_is_told_by_band_and_beyond_limits():
    t_s = np.arange(0.0, 60.0, 10.0)
    degc = np.array([-15.0, 10.0, 20.0, 42.0, 50.0, 99.0])
    current_a = np.array([5.0, -5.0, 5.0, 5.0, -5.0, 5.0])

    found = thermal_history(t_s, degc, LIMITS, edges_degc=EDGES, current_a=current_a)

    # Five steps of 10 s, each at the temperature and current of its first sample; 20 degC opens its band.
    assert found.band_s.tolist() == [10.0, 10.0, 10.0, 20.0]
    assert (found.above_s, found.below_s) == (10.0, 10.0)
    assert (found.charging_above_s, found.charging_below_s) == (10.0, 10.0)
    assert (found.counted_s, found.gap_s) == (50.0, 0.0)


def test_of_several_sensors_the_hottest_and_the_coldest_count():
    degc = np.array([[46.0, -11.0], [46.0, -11.0], [20.0, 20.0]])

    found = thermal_history(np.array([0.0, 1.0, 2.0]), degc, LIMITS, edges_degc=EDGES)

    assert (found.above_s, found.below_s) == (2.0, 2.0)
    assert found.band_s.tolist() == [0.0, 0.0, 0.0, 2.0]
    assert np.isnan(found.charging_above_s)


def test_one_missing_sensor_makes_the_sample_unknown():
    degc = np.array([[20.0, 20.0], [20.0, np.nan], [20.0, 20.0], [20.0, 20.0]])

    found = thermal_history(np.array([0.0, 1.0, 2.0, 3.0]), degc, LIMITS, edges_degc=EDGES)

    assert (found.counted_s, found.gap_s) == (1.0, 2.0)


def test_time_at_25_degc_weighs_itself_and_heat_weighs_more():
    t_s = np.array([0.0, 10.0])

    def weigh(degc: float) -> float:
        return thermal_history(t_s, np.full(2, degc), LIMITS, edges_degc=EDGES).equivalent_s

    assert weigh(25.0) == pytest.approx(10.0)
    # 0.53 eV / 8.617333e-5 eV/K * (1/298.15 - 1/308.15) = 0.66943, exp of it 1.9531.
    assert weigh(35.0) == pytest.approx(19.531, rel=1e-3)
    assert weigh(15.0) < 6.0


def test_bands_that_do_not_increase_are_refused():
    with pytest.raises(InvalidInput, match="edges_degc"):
        thermal_history(np.array([0.0, 1.0]), np.ones(2), LIMITS, edges_degc=np.array([10.0, 0.0]))
