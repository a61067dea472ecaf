"""Shorts, worn joints, overheated cells: each law against numbers by hand, and the runaway they make."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec
from tests.made_cells import HEAT_CAPACITY_J_PER_K, R0_OHM, write_cell

LFP_J_PER_K = 5400.0


def loaded(current_a: float, **spec: object) -> Plant:
    """A plant that a load draws `current_a` from, its bus settled."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[0, 1]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, current_a
    plant.step(0.1)
    return plant


def imbalance_j(plant: Plant, before: dict[str, float]) -> float:
    change = {key: value - before[key] for key, value in plant.truth.energy_j.items()}
    return change.pop("charger") + change.pop("regen") - change.pop("load") - sum(change.values())


def test_an_internal_short_draws_its_current_from_its_own_cell(tmp_path):
    plant = Plant(PlantSpec(cells=3, cell=write_cell(tmp_path)))
    plant.conditions.set("internal_short_ohm", 1.0, group=1)
    plant.step(0.01)

    # 3.5 V over 1 ohm and 10 mohm
    assert plant.truth.cell_a == pytest.approx([0.0, -3.4653, 0.0], abs=5e-3)
    assert plant.port.cell_v == pytest.approx([3.5, 3.4653, 3.5], abs=5e-4)
    assert plant.truth.short_ohm.tolist() == [math.inf, 1.0, math.inf]

    plant.step(600.0)
    # About 3.37 V behind the pair: 11.3 W, in the short and in the cell alike
    rise_k = 600.0 * 3.37 * 3.5 / HEAT_CAPACITY_J_PER_K
    assert plant.truth.temperature_degc[1] - 25.0 == pytest.approx(rise_k, rel=0.02)
    assert plant.truth.temperature_degc[0] == 25.0
    assert 0.5 - plant.truth.soc[1] == pytest.approx(3.37 * 600.0 / 36_000.0, rel=0.02)


def test_a_short_that_is_taken_out_leaves_a_cell_that_recovers(tmp_path):
    plant = Plant(PlantSpec(cells=2, cell=write_cell(tmp_path)))
    plant.conditions.set("internal_short_ohm", 0.5, group=0)
    plant.step(60.0)
    plant.conditions.clear("internal_short_ohm", group=0)
    soc = float(plant.truth.soc[0])
    plant.step(200.0)

    assert plant.truth.soc[0] == pytest.approx(soc, abs=1e-12)
    assert plant.port.cell_v[0] == pytest.approx(3.0 + soc, abs=1e-4)


def test_a_short_feeds_on_parallel_cells_too(tmp_path):
    plant = Plant(PlantSpec(cells=1, parallel=2, cell=write_cell(tmp_path)))
    plant.conditions.set("internal_short_ohm", 0.1, group=0, member=1)
    plant.step(0.01)

    # 3.5 V behind two cells in parallel, 5 mohm, over 105 mohm: half of 33.33 A each
    assert plant.truth.cell_a == pytest.approx([-16.67, -16.67], abs=0.05)
    plant.step(60.0)
    # The heat of the short is in the second cell alone: 33 A x 3.3 V for a minute
    assert plant.truth.temperature_degc[1] - plant.truth.temperature_degc[0] > 20.0


def test_a_short_behind_an_open_bond_drains_only_its_own_cell(tmp_path):
    plant = Plant(PlantSpec(cells=1, parallel=2, cell=write_cell(tmp_path)))
    plant.conditions.set("internal_short_ohm", 1.0, group=0, member=1)
    plant.conditions.set("bond_open", True, group=0, member=1)
    plant.step(0.01)

    assert plant.truth.cell_a == pytest.approx([0.0, -3.4653], abs=5e-3)
    assert plant.port.cell_v[0] == pytest.approx(3.5)
    before = plant.truth.energy_j
    plant.step(100.0)
    assert imbalance_j(plant, before) == pytest.approx(0.0, abs=1.0)


@settings(max_examples=12)
@given(ohm=st.floats(0.02, 20.0), current_a=st.floats(0.0, 30.0), parallel=st.sampled_from([1, 2]))
def test_energy_balances_with_a_short(ohm, current_a, parallel):
    plant = loaded(current_a, cells=3, parallel=parallel, capacity_ah=100.0)
    plant.conditions.set("internal_short_ohm", ohm, group=1)
    plant.step(0.1)
    before = plant.truth.energy_j
    plant.step(30.0)

    heat_j = plant.truth.energy_j["cell_heat"] - before["cell_heat"]
    # The currents are held for 0.1 s: half of that times what the EMF moves
    assert imbalance_j(plant, before) == pytest.approx(0.0, abs=2e-3 * heat_j + 0.5)


@given(ohm=st.floats(1e-3, 100.0), lower=st.floats(0.1, 0.9))
def test_a_lower_short_resistance_draws_more(ohm, lower):
    plants = [Plant(PlantSpec(cells=1)) for _ in range(2)]
    for plant, value in zip(plants, (ohm, ohm * lower), strict=True):
        plant.conditions.set("internal_short_ohm", value, group=0)
        plant.step(0.01)

    assert plants[1].truth.cell_a[0] < plants[0].truth.cell_a[0] < 0.0
    assert plants[1].port.cell_v[0] < plants[0].port.cell_v[0]


@pytest.mark.parametrize(("current_a", "sign"), [(100.0, -1.0), (0.0, 0.0)])
def test_a_worn_joint_shows_in_the_reading_of_its_cell(current_a, sign):
    plant = loaded(current_a, cells=4)
    plant.conditions.set("joint_ohm", 1e-3, group=2)
    plant.step(0.1)

    # 1 mohm x 100 A
    others_v = plant.port.cell_v[[0, 1, 3]]
    assert plant.port.cell_v[2] - others_v == pytest.approx(np.full(3, sign * 0.1), abs=2e-4)
    assert plant.port.pack_v == pytest.approx(
        plant.port.cell_v.sum() + 3 * 20e-6 * plant.port.shunt_a, abs=2e-3
    )


def test_a_worn_joint_heats_the_cells_on_both_sides():
    plant = loaded(100.0, cells=5)
    plant.conditions.set("joint_ohm", 1e-3, group=2)
    before = plant.truth.energy_j
    plant.step(60.0)

    # 10 W for 60 s, half to each; some of it has gone on to their neighbours
    rise_k = plant.truth.temperature_degc - plant.truth.temperature_degc[0]
    assert rise_k[2] == pytest.approx(300.0 / LFP_J_PER_K, rel=0.06)
    assert rise_k[2] == pytest.approx(rise_k[3], rel=0.02)
    assert rise_k[1] < 0.1 * rise_k[2]
    assert imbalance_j(plant, before) == pytest.approx(0.0, abs=2.0)


def test_the_topmost_joint_heats_the_top_cell():
    plant = loaded(100.0, cells=3)
    plant.conditions.set("joint_ohm", 1e-3, group=2)
    plant.step(60.0)

    rise_k = plant.truth.temperature_degc - plant.truth.temperature_degc[0]
    assert rise_k[2] == pytest.approx(600.0 / LFP_J_PER_K, rel=0.06)


def test_a_heater_warms_one_cell(tmp_path):
    plant = Plant(PlantSpec(cells=3, cell=write_cell(tmp_path)))
    plant.conditions.set("heater_w", 20.0, group=1)
    plant.step(100.0)

    assert plant.truth.temperature_degc == pytest.approx([25.0, 35.0, 25.0], abs=0.03)
    assert plant.truth.energy_j["cell_heat"] == 0.0


def test_the_sei_reacts_by_its_arrhenius_law(tmp_path):
    plant = Plant(PlantSpec(cells=1, cell=write_cell(tmp_path), temperature_degc=90.0, ambient_degc=90.0))
    plant.step(60.0)

    # k = 1.667e15 exp(-135080 / (8.3145 x 363.15)) = 6.21e-5 per s; 10.23 K in all
    share = 1.0 - math.exp(-60.0 * 6.21e-5)
    assert 1.0 - plant.truth.sei[0] == pytest.approx(share, rel=0.01)
    assert plant.truth.temperature_degc[0] - 90.0 == pytest.approx(10.23 * share, rel=0.01)
    assert plant.truth.decomposition_j == pytest.approx(10.23 * share * HEAT_CAPACITY_J_PER_K, rel=0.01)
    assert plant.truth.anode[0] == 1.0


def test_the_heat_of_the_reactions_is_finite(tmp_path):
    plant = Plant(PlantSpec(cells=1, cell=write_cell(tmp_path), temperature_degc=250.0))
    plant.step(600.0)

    # SEI 10.23 K and anode 341.2 K of the cell's heat capacity, and no more
    assert plant.truth.decomposition_j == pytest.approx((10.23 + 341.2) * HEAT_CAPACITY_J_PER_K, rel=1e-3)
    assert plant.truth.sei[0] < 1e-9


def test_self_heating_begins_between_80_and_130_degrees():
    def rate_k_per_s(degc: float) -> float:
        plant = Plant(PlantSpec(cells=1, temperature_degc=degc, ambient_degc=degc))
        plant.step(10.0)
        return float(plant.truth.temperature_degc[0] - degc) / 10.0

    # 0.02 K/min is what an accelerating-rate calorimeter takes for an onset (project default)
    onset_k_per_s = 0.02 / 60.0
    assert rate_k_per_s(50.0) == 0.0
    assert rate_k_per_s(80.0) < onset_k_per_s < rate_k_per_s(90.0)
    assert rate_k_per_s(129.0) > 10 * onset_k_per_s


@given(st.floats(60.0, 125.0), st.floats(1.0, 4.0))
def test_a_hotter_cell_reacts_faster(degc, hotter_k):
    plants = [Plant(PlantSpec(cells=1, temperature_degc=t, ambient_degc=t)) for t in (degc, degc + hotter_k)]
    for plant in plants:
        plant.step(1.0)

    assert plants[0].truth.decomposition_j < plants[1].truth.decomposition_j


def test_a_cell_that_is_cooled_in_time_does_not_run_away():
    plant = Plant(PlantSpec(cells=3, soc=0.9, sensor_cells=(1,)))
    plant.conditions.set("heater_w", 2000.0, group=1)
    while plant.truth.temperature_degc[1] < 110.0:
        plant.step(1.0)
    plant.conditions.clear("heater_w", group=1)
    plant.step(3600.0)

    assert plant.truth.temperature_degc.max() < 110.0
    assert plant.truth.sei[1] < 1.0
    assert np.isinf(plant.truth.short_ohm).all()


def test_a_molten_separator_does_not_heal(tmp_path):
    plant = Plant(PlantSpec(cells=1, cell=write_cell(tmp_path), temperature_degc=139.0, ambient_degc=20.0))
    plant.step(0.2)

    # (139 - 130) / 30 of it: 9 % of the full conductance, which is that of 5 x 10 mohm
    ohm = float(plant.truth.short_ohm[0])
    assert ohm == pytest.approx(5 * R0_OHM / 0.09, rel=0.03)
    assert plant.truth.cell_a[0] == pytest.approx(-3.5 / (ohm + R0_OHM), rel=0.02)


@pytest.mark.parametrize(("cell", "heater_w"), [("lfp_280ah", 2000.0), ("nmc_58ah", 400.0)])
def test_runaway_shows_as_a_kelvin_per_second_and_a_falling_voltage(cell, heater_w):
    plant = Plant(PlantSpec(cells=4, cell=cell, soc=0.9, sensor_cells=(0, 1, 2, 3)))
    plant.conditions.set("heater_w", heater_w, group=1)
    history = [(25.0, float(plant.truth.cell_v[1]))]
    while history[-1][0] < 200.0:
        plant.step(1.0)
        history.append((float(plant.truth.temperature_degc[1]), float(plant.truth.cell_v[1])))
        assert len(history) < 600
        if history[-1][0] > 145.0:
            plant.conditions.clear("heater_w", group=1)  # goes on by itself

    degc, cell_v = np.array(history).T
    k_per_s, drop_v = np.diff(degc), cell_v[0] - cell_v[1:]
    signature = (k_per_s >= 1.0) & (drop_v >= 0.02 * cell_v[0])
    assert not signature[degc[1:] < 130.0].any()
    assert signature[degc[1:] > 155.0].all()
    assert drop_v[-1] > 0.04 * cell_v[0]
    # The neighbours' voltages tell nothing
    assert plant.truth.cell_v[[0, 3]] == pytest.approx(np.full(2, cell_v[0]), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "where", "message"),
    [
        ("internal_short_ohm", 0.0, {"group": 0}, "expected 0.0001 to inf"),
        ("self_discharge_per_month", math.nan, {"group": 0}, "expected 0 to 1"),
        ("joint_ohm", -1.0, {"group": 0}, "expected 0 to 0.1"),
        ("nail", 1.0, {"group": 0}, "expected one of internal_short_ohm, .*bond_open"),
        ("heater_w", 1.0, {"group": 2}, "group below 2, member below 1"),
        ("bond_open", 0.5, {"group": 0}, "expected 0 or 1"),
        ("bond_open", 1.0, {"group": 0}, "keeps one cell at least"),
    ],
)
def test_a_condition_that_is_none_is_refused(name, value, where, message):
    with pytest.raises(InvalidInput, match=message):
        Plant(PlantSpec(cells=2)).conditions.set(name, value, **where)


def test_every_condition_can_be_set_and_cleared():
    plant = Plant(PlantSpec(cells=2, parallel=2))
    values = {"internal_short_ohm": 10.0, "self_discharge_per_month": 0.5, "joint_ohm": 1e-3}
    for name in plant.conditions.names:
        plant.conditions.set(name, values.get(name, 1.0), group=1, member=1)
    plant.step(10.0)
    for name in plant.conditions.names:
        plant.conditions.clear(name, group=1, member=1)
    soc = plant.truth.soc[3]
    plant.step(10.0)

    assert np.isinf(plant.truth.short_ohm).all()
    assert plant.truth.soc[3] >= soc  # charged by its neighbour, drained no more


@settings(max_examples=25)
@given(
    parallel=st.sampled_from([1, 3]),
    short_ohm=st.floats(1e-4, 1.0),
    joint_ohm=st.floats(0.0, 0.1),
    heater_w=st.floats(0.0, 20e3),
    current_a=st.floats(0.0, 400.0),
    degc=st.floats(-40.0, 120.0),
    soc=st.floats(0.0, 1.05),
)
def test_the_worst_of_everything_leaves_finite_numbers(
    parallel, short_ohm, joint_ohm, heater_w, current_a, degc, soc
):
    plant = loaded(current_a, cells=3, parallel=parallel, soc=soc, temperature_degc=degc)
    plant.conditions.set("internal_short_ohm", short_ohm, group=0)
    plant.conditions.set("joint_ohm", joint_ohm, group=1)
    plant.conditions.set("heater_w", heater_w, group=2)
    plant.step(60.0)

    truth = plant.truth
    for found in (truth.soc, truth.temperature_degc, truth.cell_a, truth.emf_v, plant.port.cell_v):
        assert np.isfinite(found).all()
    assert ((truth.sei >= 0.0) & (truth.sei <= 1.0) & (truth.anode >= 0.0)).all()
    # Nothing can give more than all that was in the cells, the load's share and the heater's
    assert truth.temperature_degc.max() < 4000.0


def test_self_discharge_can_be_set_while_the_plant_runs():
    plant = Plant(PlantSpec(cells=2))
    plant.conditions.set("self_discharge_per_month", 0.5, group=0)
    plant.step(600.0)

    assert 0.5 - plant.truth.soc == pytest.approx([0.5 / 6 / 730.5, 0.0], rel=5e-3, abs=1e-12)
