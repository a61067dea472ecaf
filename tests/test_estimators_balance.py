"""Balancing amounts and schedules, by hand and against a plain integration of what they do to the cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec
from bench.reference.estimators.balance import (
    Active,
    Passive,
    active_change_ah,
    active_schedule,
    passive_schedule,
    soc_from_rest,
    to_bleed_ah,
)
from bench.reference.estimators.cell import CellModel

SOC = np.array([0.90, 0.92, 0.91])
CAPACITY_AH = np.array([100.0, 100.0, 90.0])
#: Lacking 10, 8 and 8.1 Ah.
BLEED_AH = [0.0, 2.0, 1.9]


def hours_to_full(soc, capacity_ah, *, current_a=10.0, step_h=1e-4):
    """When each cell of a string is full [h]: charge counted in small steps, nothing else."""
    full_h = np.full(len(soc), np.nan)
    charge_ah, t_h = soc * capacity_ah, 0.0
    while np.isnan(full_h).any():
        charge_ah = charge_ah + current_a * step_h
        t_h += step_h
        full_h = np.where(np.isnan(full_h) & (charge_ah >= capacity_ah), t_h, full_h)
    return full_h


def test_amounts_are_what_the_others_lack_more():
    found = to_bleed_ah(SOC, CAPACITY_AH)

    assert found.lacking_ah == pytest.approx([10.0, 8.0, 8.1])
    assert found.expected_ah == pytest.approx(BLEED_AH)
    assert found.sure_ah == pytest.approx(BLEED_AH)
    assert found.most_ah == pytest.approx(BLEED_AH)


def test_after_the_amounts_all_cells_are_full_together():
    bled = SOC - to_bleed_ah(SOC, CAPACITY_AH).expected_ah / CAPACITY_AH

    before, after = hours_to_full(SOC, CAPACITY_AH), hours_to_full(bled, CAPACITY_AH)

    assert np.ptp(before) == pytest.approx(0.2, abs=2e-4), "2 Ah at 10 A"
    assert np.ptp(after) < 3e-4, "two steps of the integration"


def test_a_target_below_full_weighs_capacities_otherwise():
    """To 50 %: lacking 10, 20 and 9 Ah."""
    found = to_bleed_ah([0.4, 0.4, 0.4], [100.0, 200.0, 90.0], target_soc=0.5)

    assert found.expected_ah == pytest.approx([10.0, 0.0, 11.0])


def test_uncertainty_leaves_what_is_sure_and_what_is_possible():
    """± 0.5 % of 100 Ah: cell 1 lacks 7.5 to 8.5 Ah, the neediest 9.5 to 10.5."""
    found = to_bleed_ah([0.90, 0.92], 100.0, soc_uncertainty=0.005)

    assert found.sure_ah == pytest.approx([0.0, 1.0])
    assert found.expected_ah == pytest.approx([0.0, 2.0])
    assert found.most_ah == pytest.approx([0.0, 3.0])


def test_a_cell_of_unknown_soc_gives_nothing_and_is_not_waited_for():
    found = to_bleed_ah([0.90, np.nan, 0.92], 100.0)

    assert found.expected_ah == pytest.approx([0.0, 0.0, 2.0])
    assert np.isnan(found.lacking_ah[1])
    assert to_bleed_ah([np.nan, 0.9], 100.0).most_ah == pytest.approx([0.0, 0.0])


def test_a_flat_curve_gives_no_soc_and_a_steep_one_does():
    """LFP at 60 % and 5 mV: no. NMC at 80 %, 11.5 mV per % on its table: 2 mV are 0.2 %."""
    lfp, nmc = CellModel(load_cell("lfp_280ah")), CellModel(load_cell("nmc_58ah"))

    flat, _ = soc_from_rest(lfp, lfp.open_circuit_v([0.6, 0.65]), uncertainty_v=0.005)
    steep, bound = soc_from_rest(
        nmc, nmc.open_circuit_v([0.8]), uncertainty_v=0.002, branch=0.0, branch_uncertainty=0.0
    )

    assert np.isnan(flat).all()
    assert steep == pytest.approx([0.8], abs=5e-4)
    assert bound == pytest.approx([0.002 / 1.14], abs=2e-4)


def test_a_rested_voltage_bounds_the_soc_that_made_it():
    model = CellModel(load_cell("nmc_58ah"))
    soc = np.linspace(0.1, 0.95, 30)

    for branch in (-1.0, 0.3, 1.0):
        found, bound = soc_from_rest(
            model,
            model.open_circuit_v(soc, branch=branch) + 0.001,
            uncertainty_v=0.002,
            most_uncertainty=0.05,
        )
        known = np.isfinite(found)
        assert known.sum() > 15
        assert (np.abs(found - soc)[known] <= bound[known] + 1e-6).all()


def test_one_channel_takes_as_long_as_its_charge():
    """2 Ah at 0.2 A are 10 h; at half the duty 20 h, less the pause of the last slot."""
    alone = passive_schedule([2.0, 0.0], 3.4, Passive(0.2, 12))
    half = passive_schedule([2.0, 0.0], 3.4, Passive(0.2, 12, duty=0.5))

    assert alone.time_s == pytest.approx(36000.0)
    assert half.time_s == pytest.approx(2 * 36000.0 - 30.0)
    assert [alone.lost_wh, half.lost_wh] == pytest.approx([6.8, 6.8])


@pytest.mark.parametrize(
    "how",
    [
        Passive(0.2, 12),
        Passive(0.2, 2),
        Passive(0.2, 12, odd_even=True),
        Passive(0.2, 12, duty=0.8, heat_w=1.5),
    ],
)
def test_a_passive_schedule_keeps_its_limits_and_balances(how):
    rng = np.random.default_rng(3)
    soc = 0.9 + 0.004 * rng.standard_normal(12)
    amounts = to_bleed_ah(soc, 100.0)

    plan = passive_schedule(amounts.expected_ah, 3.4, how)

    on = plan.on_s > 0.0
    assert -plan.change_ah.sum(axis=0) == pytest.approx(amounts.expected_ah, abs=1e-9)
    assert on.sum(axis=1).max() <= how.channels
    assert plan.on_s.max() <= 60.0 * how.duty + 1e-9
    assert on.sum(axis=1).max() * 0.2 * 3.4 <= how.heat_w
    if how.odd_even:
        assert not (on[:, ::2].any(axis=1) & on[:, 1::2].any(axis=1)).any()
    assert np.ptp(hours_to_full(soc + plan.change_ah.sum(axis=0) / 100.0, np.full(12, 100.0))) < 3e-4


@settings(max_examples=30, deadline=None)
@given(
    bleed=st.lists(st.floats(0.0, 0.5), min_size=2, max_size=8),
    channels=st.integers(1, 4),
    odd_even=st.booleans(),
)
def test_no_schedule_is_faster_than_current_and_channels_allow(bleed, channels, odd_even):
    how = Passive(0.2, channels, odd_even=odd_even)

    plan = passive_schedule(bleed, 3.4, how)

    least_s = max(max(bleed), sum(bleed) / channels) * 3600.0 / 0.2
    # With turns each half waits for the other; with few channels the last slots are not full.
    assert least_s - 1e-6 <= plan.time_s <= 2.0 * (sum(bleed) * 3600.0 / 0.2 / channels + least_s) + 240.0
    assert plan.lost_wh == pytest.approx(sum(bleed) * 3.4)


def test_the_spread_closes_slot_by_slot():
    """1 Ah apart at 0.5 A: half an Ah after an hour."""
    plan = passive_schedule([0.0, 1.0], 3.4, Passive(0.5, 1))

    assert plan.converged_s([2.0, 1.0], within_ah=0.5) == pytest.approx(3600.0)
    assert plan.converged_s([2.0, 1.0], within_ah=1.0) == 0.0
    assert np.isnan(plan.converged_s([5.0, 1.0], within_ah=0.5))


def test_cell_to_cell_meets_where_what_arrives_is_enough():
    """0 and 9 Ah lacking, 80 %: c with 0.8 c = 9 - c is 5 Ah. 5 leave, 4 arrive, 1 Ah at 3.4 V is lost."""
    how = Active("cell_to_cell", current_a=5.0, efficiency=0.8)

    assert active_change_ah([0.0, 9.0], how) == pytest.approx([-5.0, 4.0])
    plan = active_schedule([0.0, 9.0], how, cell_v=3.4)
    assert plan.time_s == pytest.approx(3600.0)
    assert plan.lost_wh == pytest.approx(3.4)


def test_cell_to_pack_gives_each_cell_its_share():
    """Cell 0 lacks 4 Ah less than both others: it gives 4, and each of three gets 90 % of a third."""
    how = Active("cell_to_pack", current_a=2.0, efficiency=0.9)

    change = active_change_ah([1.0, 5.0, 5.0], how)

    assert change == pytest.approx([-4.0 + 1.2, 1.2, 1.2])
    plan = active_schedule([1.0, 5.0, 5.0], how, cell_v=3.2)
    assert plan.change_ah.sum(axis=0) == pytest.approx(change)
    assert (plan.time_s, plan.lost_wh) == (pytest.approx(7200.0), pytest.approx(0.1 * 4.0 * 3.2))


@pytest.mark.parametrize("topology", ["cell_to_cell", "cell_to_pack"])
@pytest.mark.parametrize("transfers", [1, 3])
def test_an_active_schedule_balances_within_its_current(topology, transfers):
    rng = np.random.default_rng(4)
    soc, capacity = 0.8 + 0.01 * rng.standard_normal(10), 100.0 + rng.standard_normal(10)
    how = Active(topology, current_a=5.0, efficiency=0.85, transfers=transfers)

    plan = active_schedule(to_bleed_ah(soc, capacity).lacking_ah, how, cell_v=3.4)

    assert np.ptp(hours_to_full(soc + plan.change_ah.sum(axis=0) / capacity, capacity)) < 3e-4
    assert ((plan.on_s > 0.0).sum(axis=1) <= transfers).all()
    assert (-plan.change_ah).max() <= 5.0 / 60.0 + 1e-12
    passive_wh = to_bleed_ah(soc, capacity).expected_ah.sum() * 3.4
    assert plan.lost_wh < passive_wh, "what moving loses is less than what bleeding burns"


def test_balanced_cells_need_no_schedule():
    plan = passive_schedule([0.0, 0.0], 3.4, Passive(0.2, 1))

    assert (plan.time_s, plan.lost_wh, len(plan.on_s)) == (0.0, 0.0, 0)
    assert active_schedule([3.0, 3.0], Active("cell_to_cell", 1.0, 0.9), cell_v=3.4).time_s == 0.0


def test_the_plant_loses_what_the_schedule_says_and_is_closer_together():
    """Four cells at about 3.33 V, 0.2 A at 3.4 V: an hour of the schedule on the plant's own resistors."""
    soc = (0.700, 0.702, 0.700, 0.701)
    plant = Plant(PlantSpec(cells=4, soc_per_cell=soc, bleed_current_a=0.2, nominal_cell_v=3.4))
    capacity_ah = np.full(4, 280.0)
    cell_v = float(plant.port.cell_v.mean())
    amounts = to_bleed_ah(soc, capacity_ah)
    plan = passive_schedule(amounts.expected_ah, cell_v, Passive(0.2 * cell_v / 3.4, 2), slot_s=600.0)

    for on_s in plan.on_s:
        for part_s in np.diff(np.unique(np.concatenate(([0.0, 600.0], on_s)))):
            plant.port.bleed[:] = on_s > 0.0
            plant.step(float(part_s))
            on_s = np.maximum(on_s - part_s, 0.0)

    after = to_bleed_ah(plant.truth.soc, capacity_ah).expected_ah
    assert amounts.expected_ah == pytest.approx([0.0, 0.56, 0.0, 0.28])
    assert plan.time_s == pytest.approx(0.56 / (0.2 * cell_v / 3.4) * 3600.0)
    assert after.max() < 0.01 * amounts.expected_ah.max(), "1 %: the voltage moves while it bleeds"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: to_bleed_ah([0.5], [0.0]), "capacity_ah: expected positive numbers"),
        (lambda: Passive(0.2, 0), "Passive.channels: expected one at least, found 0"),
        (lambda: Passive(0.2, 1, duty=1.5), "Passive.duty: expected above 0, at most 1, found 1.5"),
        (lambda: Active("ring", 1.0, 0.9), "Active.topology: expected cell_to_pack or cell_to_cell"),
        (
            lambda: passive_schedule([1.0], 3.4, Passive(1.0, 1, heat_w=3.0)),
            "Passive.heat_w: expected 3.4 W for one channel, found 3.0",
        ),
        (
            lambda: passive_schedule([1e3], 3.4, Passive(0.01, 1), slot_s=1.0),
            "slot_s: expected long enough",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(InvalidInput, match=said):
        call()
