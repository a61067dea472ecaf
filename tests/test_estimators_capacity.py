"""Capacity from charge moved between known SOCs, between two voltages, and at another temperature."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.reference.estimators.capacity import (
    Capacity,
    Piece,
    RunningCapacity,
    combine,
    counted,
    from_piece,
    piece,
)
from bench.reference.estimators.capacity_temperature import TemperatureRelation
from bench.reference.estimators.charge_window import (
    capacity_from_window,
    learn_relation,
    window_charge,
)
from bench.reference.estimators.rest import soc_at_rest
from tests.measured import measured


def noisy_pieces(n: int, seed: int, *, capacity_ah: float = 100.0, soc_bound: float = 0.03) -> list[Piece]:
    """Pieces of 10 % to 50 % up or down, each SOC change and charge off by anything within its bound."""
    rng = np.random.default_rng(seed)
    moved = rng.uniform(0.1, 0.5, n) * rng.choice([-1.0, 1.0], n)
    return [
        Piece(
            capacity_ah * x + rng.uniform(-0.5, 0.5), 0.5, x + rng.uniform(-soc_bound, soc_bound), soc_bound
        )
        for x in moved
    ]


def test_an_hour_of_ten_amperes_is_ten_ampere_hours():
    t_s = np.arange(0.0, 3601.0, 10.0)

    one = piece(
        t_s, np.full(361, -10.0), 0.9, 0.8, soc_start_bound=0.01, soc_end_bound=0.02,
        current_offset_a=0.05, current_gain_fraction=0.001,
    )  # fmt: skip

    assert one.charge_ah == pytest.approx(-10.0)
    assert one.soc_change == pytest.approx(-0.1)
    assert one.soc_bound == pytest.approx(0.03)
    # 0.05 A for an hour, and a thousandth of 10 Ah.
    assert one.charge_bound_ah == pytest.approx(0.05 + 0.01)


def test_a_jump_of_the_current_between_samples_is_in_the_bound():
    # 0 A, then 36 A: the jump may be anywhere in the 10 s, so 0.05 Ah is off by 0.05 Ah at most.
    assert counted(np.array([0.0, 10.0]), np.array([0.0, 36.0])) == pytest.approx((0.05, 0.05))


def test_capacity_of_one_piece_is_the_quotient_and_its_worst_case():
    found = from_piece(Piece(-20.0, 0.2, -0.2, 0.02))

    assert found.capacity_ah == pytest.approx(100.0)
    # (20 + 0.2) / (0.2 - 0.02) = 112.22
    assert found.bound_ah == pytest.approx(20.2 / 0.18 - 100.0)
    # Rectangles: 1 % and 10 % over sqrt 3, added as squares.
    assert found.uncertainty_ah == pytest.approx(100.0 * np.hypot(0.01, 0.1) / np.sqrt(3.0))
    assert found.contains(111.0)
    assert not found.contains(113.0)


@given(
    capacity_ah=st.floats(1.0, 500.0), moved=st.floats(0.1, 0.9), charge=st.floats(-1.0, 1.0),
    soc=st.floats(-1.0, 1.0), down=st.booleans(),
)  # fmt: skip
def test_the_bound_of_a_piece_holds_whatever_the_errors_within_theirs(capacity_ah, moved, charge, soc, down):
    sign = -1.0 if down else 1.0
    charge_bound_ah, soc_bound = 0.02 * capacity_ah, 0.05

    found = from_piece(
        Piece(
            sign * (capacity_ah * moved + charge * charge_bound_ah), charge_bound_ah,
            sign * (moved + soc * soc_bound), soc_bound,
        )
    )  # fmt: skip

    assert abs(found.capacity_ah - capacity_ah) <= found.bound_ah * (1.0 + 1e-9)


@pytest.mark.parametrize("one", [Piece(1.0, 0.1, 0.02, 0.02), Piece(-5.0, 0.1, 0.2, 0.01)])
def test_a_piece_that_did_not_surely_move_or_moved_against_its_charge_is_refused(one):
    with pytest.raises(InvalidInput, match="surely moved with the charge"):
        from_piece(one)


@pytest.mark.parametrize(
    ("t_s", "current_a", "says"),
    [
        ([0.0, 1.0, 2.0], [1.0, np.nan, 1.0], "nan"),
        ([0.0, 1.0, 100.0], [1.0, 1.0, 1.0], "a gap of 99 s after 1 s"),
        ([0.0, 1.0, 1.0], [1.0, 1.0, 1.0], "a step back at 1 s"),
        ([0.0], [1.0], "two samples"),
        ([0.0, 1.0], [1.0], "two samples"),
    ],
)
def test_charge_is_not_counted_across_what_is_not_known(t_s, current_a, says):
    with pytest.raises(InvalidInput, match=says):
        counted(np.array(t_s), np.array(current_a))


def test_an_soc_beyond_full_is_refused():
    with pytest.raises(InvalidInput, match="SOC of 0 to 1"):
        piece(np.arange(3.0), np.ones(3), 0.9, 1.1, soc_start_bound=0.0, soc_end_bound=0.0)


@pytest.mark.parametrize(
    "doubt",
    [
        {"soc_end_bound": np.nan},
        {"soc_start_bound": -0.1},
        {"current_offset_a": np.nan},
        {"current_gain_fraction": np.nan},
    ],
)
def test_a_bound_that_is_not_known_is_refused(doubt):
    bounds = {"soc_start_bound": 0.01, "soc_end_bound": 0.01} | doubt

    with pytest.raises(InvalidInput, match="bounds of 0 or more"):
        piece(np.arange(3.0), np.ones(3), 0.1, 0.2, **bounds)


@pytest.mark.parametrize("name", ["charge_ah", "charge_bound_ah", "soc_change", "soc_bound"])
def test_a_piece_with_nan_gives_no_capacity(name):
    one = replace(Piece(20.0, 0.2, 0.2, 0.01), **{name: np.nan})

    with pytest.raises(InvalidInput, match="nan"):
        from_piece(one)
    with pytest.raises(InvalidInput, match="nan"):
        combine([one])
    with pytest.raises(InvalidInput, match="nan"):
        RunningCapacity(1.0).add(one)


@pytest.mark.parametrize(("ratio_ah", "forgetting"), [(0.0, 1.0), (np.nan, 1.0), (1.0, 0.0), (1.0, 1.1)])
def test_a_running_estimate_out_of_range_is_refused(ratio_ah, forgetting):
    with pytest.raises(InvalidInput, match="ratio_ah above 0, forgetting above 0 to 1"):
        RunningCapacity(ratio_ah, forgetting).add(Piece(20.0, 0.2, 0.2, 0.01))


def test_many_pieces_are_better_than_one_and_not_biased():
    """Plain least squares is low by the share of SOC noise in the spread: here 0.3 % for 0.03 bounds."""
    found = [combine(noisy_pieces(100, seed)) for seed in range(60)]

    values = np.array([one.capacity_ah for one in found])
    # Mean of 60, each about 0.6 Ah off: the mean is within three times 0.08 Ah.
    assert abs(values.mean() - 100.0) < 0.25
    assert np.mean([one.contains(100.0) for one in found]) >= 0.9
    assert values.std() == pytest.approx(np.mean([one.uncertainty_ah for one in found]), rel=0.35)


def test_plain_least_squares_would_be_biased_where_total_least_squares_is_not():
    pieces = noisy_pieces(4000, 1, soc_bound=0.2)
    x, y = np.array([(one.soc_change, one.charge_ah) for one in pieces]).T

    plain_ah, total_ah = float(x @ y / (x @ x)), combine(pieces).capacity_ah

    assert plain_ah < 92.0
    assert total_ah == pytest.approx(100.0, abs=1.5)


def test_one_piece_combined_is_the_quotient():
    assert combine([Piece(-20.0, 0.2, -0.2, 0.02)]).capacity_ah == pytest.approx(100.0, rel=1e-6)


def test_pieces_that_contradict_each_other_widen_the_bound():
    agree, contradict = (
        [Piece(20.0, 0.1, 0.2, 0.001)] * 4,
        [Piece(q, 0.1, 0.2, 0.001) for q in (19, 21, 19, 21)],
    )

    assert combine(contradict).bound_ah > 5.0 * combine(agree).bound_ah


def test_what_all_pieces_get_wrong_alike_does_not_shrink_with_their_number():
    # Given a current sensor that reads 1 % too much or too little, never known which and how much.
    held, blind, running_held = [], [], []
    for seed in range(60):
        gain = np.random.default_rng(1000 + seed).uniform(-0.01, 0.01)
        pieces = [replace(one, charge_ah=one.charge_ah * (1.0 + gain)) for one in noisy_pieces(200, seed)]
        running = RunningCapacity(ratio_ah=0.5 / 0.03)
        for one in pieces:
            running = running.add(one)

        held.append(combine(pieces, shared_fraction=0.01).contains(100.0))
        blind.append(combine(pieces).contains(100.0))
        running_held.append(running.capacity(shared_fraction=0.01).contains(100.0))

    assert np.mean(blind) < 0.9
    assert np.mean(held) >= 0.95
    assert np.mean(running_held) >= 0.95


def test_a_shared_error_is_added_to_the_bound_and_in_squares_to_the_uncertainty():
    pieces = [Piece(20.0, 0.2, 0.2, 0.001)] * 4
    alone, shared = combine(pieces), combine(pieces, shared_fraction=0.03)

    # 3 % of 100 Ah; as a rectangle 3 / sqrt 3 = 1.732 Ah.
    assert shared.bound_ah == pytest.approx(alone.bound_ah + 3.0, abs=1e-4)
    assert shared.uncertainty_ah == pytest.approx((alone.uncertainty_ah**2 + 3.0) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, np.nan])
def test_a_shared_error_out_of_range_is_refused(fraction):
    with pytest.raises(InvalidInput, match="shared_fraction: expected 0 to below 1"):
        combine([Piece(20.0, 0.1, 0.2, 0.001)], shared_fraction=fraction)


def test_a_capacity_that_falls_is_followed_by_forgetting():
    faded = [Piece(q * 0.4, 0.05, 0.4, 0.01) for q in np.concatenate((np.full(50, 100.0), np.full(20, 80.0)))]

    assert combine(faded, forgetting=0.8).capacity_ah == pytest.approx(80.0, abs=0.6)
    assert combine(faded).capacity_ah > 90.0


def test_running_sums_give_what_all_pieces_give_when_uncertainties_are_proportional():
    pieces = noisy_pieces(50, 2)
    running = RunningCapacity(ratio_ah=0.5 / 0.03, forgetting=0.95)
    for one in pieces:
        running = running.add(one)

    found, whole = running.capacity(), combine(pieces, forgetting=0.95)

    assert found.capacity_ah == pytest.approx(whole.capacity_ah, rel=1e-6)
    assert found.uncertainty_ah == pytest.approx(whole.uncertainty_ah, rel=1e-3)
    assert found.pieces == 50


@pytest.mark.parametrize("forgetting", [0.0, 1.1])
def test_a_forgetting_out_of_range_is_refused(forgetting):
    with pytest.raises(InvalidInput, match="forgetting above 0 to 1"):
        combine([Piece(20.0, 0.1, 0.2, 0.001)], forgetting=forgetting)


def test_nothing_is_said_of_no_piece_at_all():
    with pytest.raises(InvalidInput):
        combine([])
    with pytest.raises(InvalidInput):
        RunningCapacity(1.0).capacity()


def test_a_piece_without_doubt_has_no_place_in_a_running_estimate():
    with pytest.raises(InvalidInput, match="bounds above 0"):
        RunningCapacity(1.0).add(Piece(20.0, 0.0, 0.2, 0.01))


def test_soc_at_rest_is_as_doubtful_as_the_curve_is_flat():
    soc, volts = np.array([0.0, 0.2, 0.8, 1.0]), np.array([3.0, 3.3, 3.3, 3.5])

    # Steep: 3.15 V is 10 %, and 15 mV are 1 % of SOC.
    assert soc_at_rest(3.15, 0.015, soc, volts) == pytest.approx((0.1, 0.01))
    # Flat: from 15 mV below the plateau (19 %) to 15 mV above it (81.5 %).
    assert soc_at_rest(3.3, 0.015, soc, volts) == pytest.approx((0.5025, 0.3125))


def test_soc_at_rest_on_a_plateau_is_the_whole_plateau():
    soc, volts = np.array([0.0, 0.2, 0.8, 1.0]), np.array([3.0, 3.3, 3.3, 3.5])

    assert soc_at_rest(3.3, 0.0, soc, volts) == pytest.approx((0.5, 0.3))
    assert soc_at_rest(3.0, 0.0, soc, volts) == pytest.approx((0.0, 0.0))
    assert soc_at_rest(3.5, 0.0, soc, volts) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize(("rest_v", "table_v"), [(3.6, [3.0, 3.5]), (3.2, [3.5, 3.0])])
def test_a_rest_voltage_off_the_table_is_refused(rest_v, table_v):
    with pytest.raises(InvalidInput, match="voltage"):
        soc_at_rest(rest_v, 0.01, np.array([0.0, 1.0]), np.array(table_v))


@pytest.mark.parametrize(
    ("table_soc", "table_v", "bound_v", "says"),
    [
        ([0.0, 0.5, 1.0], [3.0, np.nan, 4.0], 0.01, "increasing SOC and voltage"),
        ([0.0, 0.5, 0.5], [3.0, 3.5, 4.0], 0.01, "increasing SOC and voltage"),
        ([0.0, 0.5, 1.0], [3.0, 4.0], 0.01, "two points or more"),
        ([0.0, 0.5, 1.0], [3.0, 3.5, 4.0], np.nan, "0 V or more"),
        ([0.0, 0.5, 1.0], [3.0, 3.5, 4.0], -0.01, "0 V or more"),
    ],
)
def test_a_table_or_bound_that_makes_no_sense_is_refused(table_soc, table_v, bound_v, says):
    with pytest.raises(InvalidInput, match=says):
        soc_at_rest(3.4, bound_v, np.array(table_soc), np.array(table_v))


def test_a_table_that_does_not_reach_full_is_not_read_at_its_end():
    soc, volts = np.array([0.1, 0.5]), np.array([3.0, 3.4])

    assert soc_at_rest(3.39, 0.01, soc, volts) == pytest.approx((0.49, 0.01))
    for rest_v in (3.395, 3.005):
        with pytest.raises(InvalidInput, match="where the table is known"):
            soc_at_rest(rest_v, 0.01, soc, volts)


def test_a_cold_capacity_is_brought_to_25_degc_with_the_doubt_of_the_relation():
    relation = TemperatureRelation(np.array([-10.0, 25.0]), np.array([0.8, 1.0]), 0.01)

    found = relation.at_25_degc(Capacity(0.9, 0.009, 0.018), 7.5)

    assert found.capacity_ah == pytest.approx(1.0)
    # 0.018 / 0.9 = 0.02 of the measurement, 0.01 / 0.9 of the relation, over 1 - 0.0111.
    assert found.bound_ah == pytest.approx((0.02 + 0.01 / 0.9) / (1.0 - 0.01 / 0.9))
    with pytest.raises(InvalidInput, match="-10 to 25 degC"):
        relation.at_25_degc(Capacity(0.9, 0.009, 0.018), 40.0)


def test_an_unknown_temperature_widens_the_bound():
    relation = TemperatureRelation(np.array([-10.0, 25.0]), np.array([0.8, 1.0]), 0.0)

    sure, unsure = (relation.at_25_degc(Capacity(0.9, 0.0, 0.0), 7.5, k) for k in (0.0, 3.5))

    assert sure.bound_ah == pytest.approx(0.0)
    # 3.5 K of 35 K for 20 %: 2 % of 0.9.
    assert unsure.bound_ah == pytest.approx((0.02 / 0.9) / (1.0 - 0.02 / 0.9))


def falling(start_v: float = 4.0, end_v: float = 3.0, samples: int = 101) -> tuple[np.ndarray, ...]:
    """An hour of 2 A discharge whose voltage falls as a straight line."""
    return np.linspace(0.0, 3600.0, samples), np.full(samples, -2.0), np.linspace(start_v, end_v, samples)


@pytest.mark.parametrize("samples", [101, 38])
def test_charge_of_a_window_is_interpolated_between_samples(samples):
    found = window_charge(
        *falling(samples=samples), from_v=3.8, to_v=3.4, max_gap_s=100.0, voltage_bound_v=0.005
    )

    # 0.4 V of 1 V of 2 Ah; 5 mV at each end are 0.005 of 2 Ah, twice.
    assert found.charge_ah == pytest.approx(0.8)
    assert found.bound_ah == pytest.approx(0.02)
    assert found.current_a == pytest.approx(-2.0)


def test_a_charge_runs_its_window_upwards():
    t_s, current_a, volts = falling()

    found = window_charge(t_s, -current_a, volts[::-1], from_v=3.4, to_v=3.8, max_gap_s=100.0)

    assert found.charge_ah == pytest.approx(0.8)
    assert found.current_a == pytest.approx(2.0)


@pytest.mark.parametrize(("start_v", "end_v"), [(3.7, 3.0), (4.0, 3.5), (4.0, 3.85)])
def test_a_window_that_was_not_run_through_has_no_charge(start_v, end_v):
    found = window_charge(*falling(start_v, end_v), from_v=3.8, to_v=3.4, max_gap_s=100.0)

    assert np.isnan(found.charge_ah)
    assert np.isnan(found.bound_ah)


def test_a_drop_from_switching_on_does_not_begin_a_window():
    t_s, current_a, volts = falling(3.7, 3.0)
    t_s, current_a, volts = np.append(-36.0, t_s), np.append(0.0, current_a), np.append(4.1, volts)

    found = window_charge(t_s, current_a, volts, from_v=3.8, to_v=3.4, max_gap_s=100.0)

    assert np.isnan(found.charge_ah)
    # Further down the same log, the window is run through under load.
    assert window_charge(
        t_s, current_a, volts, from_v=3.6, to_v=3.4, max_gap_s=100.0
    ).charge_ah == pytest.approx(2.0 * 0.2 / 0.7)


def test_a_window_with_a_gap_a_pause_or_a_missing_sample_is_refused():
    t_s, current_a, volts = falling()
    gap, pause, missing = np.delete(t_s, range(40, 50)), current_a.copy(), volts.copy()
    pause[50], missing[50] = 0.0, np.nan

    with pytest.raises(InvalidInput, match="steps of 100 s at most"):
        window_charge(
            gap, np.delete(current_a, range(40, 50)), np.delete(volts, range(40, 50)),
            from_v=3.8, to_v=3.4, max_gap_s=100.0,
        )  # fmt: skip
    with pytest.raises(InvalidInput, match="steady current"):
        window_charge(t_s, pause, volts, from_v=3.8, to_v=3.4, max_gap_s=100.0)
    with pytest.raises(InvalidInput, match="nan"):
        window_charge(t_s, current_a, missing, from_v=3.8, to_v=3.4, max_gap_s=100.0)


def test_a_window_of_columns_that_do_not_fit_together_is_refused():
    t_s, current_a, voltage_v = np.arange(50.0), np.full(50, -1.0), np.linspace(4.0, 3.0, 50)
    bounds = {"from_v": 3.8, "to_v": 3.4, "max_gap_s": 5.0}

    with pytest.raises(InvalidInput, match=r"shape \(time,\), found \(50,\), \(3,\), \(50,\)"):
        window_charge(t_s, current_a[:3], voltage_v, **bounds)
    with pytest.raises(InvalidInput, match="two different voltages"):
        window_charge(t_s, current_a, voltage_v, **bounds | {"from_v": np.nan})
    with pytest.raises(InvalidInput, match="strictly increasing time"):
        window_charge(t_s[::-1], current_a, voltage_v, **bounds)


@pytest.mark.parametrize(
    ("charge_ah", "current_a"), [(np.full(40, 0.5), -1.0), (np.linspace(0.4, 0.8, 40), np.nan)]
)
def test_windows_that_are_all_alike_or_of_unknown_current_teach_nothing(charge_ah, current_a):
    with pytest.raises(InvalidInput, match="a known current, charges that differ"):
        learn_relation(charge_ah, np.linspace(0.8, 1.1, 40), current_a)


def test_a_relation_is_learnt_and_not_continued():
    charge = np.linspace(0.4, 0.8, 60)
    noise = 0.01 * np.random.default_rng(1).normal(size=60)
    relation = learn_relation(charge, 0.2 + charge + 0.5 * charge**2 + noise, -1.0)

    found = capacity_from_window(relation, np.array([0.6, 0.3, 0.9, np.nan]), -1.0)

    assert found.capacity_ah[0] == pytest.approx(0.2 + 0.6 + 0.18, abs=0.008)
    assert np.isnan(found.capacity_ah[1:]).all()
    # Two-sided 95 % of a normal spread of 0.01.
    assert found.bound_ah[0] == pytest.approx(0.0196, rel=0.3)


def test_a_relation_for_another_current_is_not_used():
    charge = np.linspace(0.4, 0.8, 60)
    relation = learn_relation(charge, charge, -1.0)

    with pytest.raises(InvalidInput, match="as learnt"):
        capacity_from_window(relation, np.array([0.6]), -2.0)
    with pytest.raises(InvalidInput, match="as learnt"):
        capacity_from_window(relation, np.array([0.6]), 1.0)


@pytest.mark.parametrize("charge", [np.ones(10), np.full(60, np.nan)])
def test_too_little_to_learn_from_is_refused(charge):
    with pytest.raises(InvalidInput, match="reference windows"):
        learn_relation(charge, charge, -1.0)


@pytest.mark.parametrize(("known", "new"), [("CS2_35", "CS2_37"), ("CS2_37", "CS2_35")])
def test_capacity_of_one_measured_cell_follows_from_another(known, new):
    tables = [
        np.genfromtxt(measured(f"calce_cs2/{name}_cycles.csv"), delimiter=",", names=True)
        for name in (known, new)
    ]
    (charge, capacity), (charge_new, capacity_new) = [
        (table["partial_capacity_3p8_3p4_V_Ah"], table["discharge_capacity_Ah"]) for table in tables
    ]

    found = capacity_from_window(learn_relation(charge, capacity, -1.1), charge_new, -1.1)

    # Rows outside what the first cell showed are refused; all others count, outliers too. Nominal: 1.1 Ah.
    kept = np.isfinite(found.capacity_ah)
    error = found.capacity_ah[kept] - capacity_new[kept]
    assert kept.mean() > 0.97
    assert np.sqrt(np.mean(error**2)) <= 0.02 * 1.1
    assert np.mean(np.abs(error) <= found.bound_ah[kept]) >= 0.9
