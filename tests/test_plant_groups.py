"""Groups of parallel cells: how current splits, what stays conserved, what a broken bond does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec
from tests.made_cells import CAPACITY_AH, R0_OHM, write_cell


def loaded(current_a: float, **spec: object) -> Plant:
    """A plant that a load draws `current_a` from, its bus settled."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[0, 1]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, current_a
    plant.step(0.1)
    return plant


def test_current_splits_by_conductance(tmp_path):
    # The second cell of each group has three times the resistance: it carries a quarter.
    plant = loaded(
        20.0, cells=2, parallel=2, cell=write_cell(tmp_path), resistance_growth=(0.0, 2.0, 0.0, 2.0)
    )

    share = plant.truth.cell_a / plant.truth.cell_a.reshape(2, 2).sum(axis=1).repeat(2)
    # The pairs have begun to even that out: u1 of the better cell after 0.1 s is 20 mohm x 15 A x 1 %
    assert share == pytest.approx([0.75, 0.25, 0.75, 0.25], abs=0.01)
    assert plant.truth.cell_a.sum() == pytest.approx(2 * plant.port.shunt_a, rel=1e-9)


def test_unequal_cells_even_out_through_their_resistance(tmp_path):
    plant = Plant(PlantSpec(cells=1, parallel=2, cell=write_cell(tmp_path), soc_per_cell=(0.6, 0.4)))
    plant.step(0.01)

    # 0.2 V over two times 10 mohm, less what the pairs took in 10 ms: 20 mohm x 10 A / 1000, twice
    assert plant.truth.cell_a == pytest.approx([-9.98, 9.98], rel=1e-3)
    assert plant.truth.cell_v[0] == pytest.approx(3.5, abs=1e-4)
    plant.step(20_000.0)
    assert plant.truth.soc == pytest.approx([0.5, 0.5], abs=1e-3)
    assert plant.truth.energy_j["cell_heat"] > 0.0


def test_equal_cells_in_parallel_are_one_larger_cell(tmp_path):
    path = write_cell(tmp_path, more_pairs=((4e-3, 60.0),))
    two = loaded(20.0, cells=3, parallel=2, cell=path)
    large = loaded(20.0, cells=3, cell=path, capacity_ah=2 * CAPACITY_AH)
    for plant in (two, large):
        plant.step(600.0)

    assert two.port.cell_v == pytest.approx(large.port.cell_v, abs=1e-6)
    assert two.truth.soc == pytest.approx(np.repeat(large.truth.soc, 2), abs=1e-9)
    assert two.truth.temperature_degc == pytest.approx(np.repeat(large.truth.temperature_degc, 2), abs=1e-3)


def test_a_broken_bond_leaves_the_others_with_its_current(tmp_path):
    plant = loaded(30.0, cells=2, parallel=3, cell=write_cell(tmp_path))
    before_v = plant.port.cell_v.copy()
    plant.conditions.set("bond_open", True, group=1, member=0)
    held = plant.truth.soc[3]
    plant.step(100.0)

    assert plant.truth.cell_a == pytest.approx([-10.0, -10.0, -10.0, 0.0, -15.0, -15.0], rel=1e-3)
    assert plant.truth.soc[3] == held
    # Two of three conductances are left: R0 / 2 in the place of R0 / 3, at once
    assert plant.truth.soc[4] < plant.truth.soc[0]
    assert plant.port.cell_v[1] - plant.port.cell_v[0] < -0.9 * 30.0 * R0_OHM * (1 / 2 - 1 / 3)
    assert before_v[0] == pytest.approx(before_v[1])

    plant.conditions.clear("bond_open", group=1, member=0)
    plant.step(0.1)
    assert plant.truth.cell_a[3] < -15.0  # it is fuller than its neighbours


def test_the_last_cell_of_a_group_cannot_be_taken_out():
    plant = Plant(PlantSpec(cells=2, parallel=2))
    plant.conditions.set("bond_open", True, group=0, member=1)

    with pytest.raises(InvalidInput, match="keeps one cell at least"):
        plant.conditions.set("bond_open", True, group=0, member=0)
    with pytest.raises(InvalidInput, match="group below 2, member below 2"):
        plant.conditions.set("bond_open", True, group=2, member=0)


def test_the_rest_of_the_bench_sees_groups():
    plant = Plant(
        PlantSpec(cells=4, parallel=3, sensor_cells=(0, 3), temperature_spread_k=2.0, soc_spread=0.01)
    )
    plant.port.bleed[2] = True
    plant.step(1.0)

    assert plant.port.cell_v.shape == plant.port.bleed.shape == plant.truth.bleed_a.shape == (4,)
    assert plant.truth.soc.shape == plant.truth.temperature_degc.shape == (12,)
    assert plant.truth.sensor_degc == pytest.approx(plant.truth.temperature_degc[[0, 9]], abs=0.01)
    assert plant.truth.cell_a.reshape(4, 3).sum(axis=1) == pytest.approx([0, 0, -0.195, 0], abs=0.01)
    assert plant.truth.capacity_ah.shape == (12,)


def test_a_channel_stands_for_the_whole_group():
    plant = loaded(100.0, cells=3, parallel=2)
    cells = plant.terminal("cells")
    cells.connected[1], cells.voltage_v[1] = True, 3.0
    soc = plant.truth.soc.copy()
    plant.step(30.0)

    assert plant.port.cell_v[1] == pytest.approx(3.0, abs=1e-6)
    assert plant.truth.soc[2:4] == pytest.approx(soc[2:4], abs=1e-9)
    assert (plant.truth.soc[:2] < soc[:2] - 1e-3).all()


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    parallel=st.integers(2, 4),
    current_a=st.floats(1.0, 200.0),
    soc_spread=st.floats(0.0, 0.05),
)
def test_charge_and_energy_are_conserved_in_any_group(seed, parallel, current_a, soc_spread):
    plant = Plant(
        PlantSpec(
            cells=3,
            parallel=parallel,
            capacity_ah=100.0,
            soc_spread=soc_spread,
            capacity_spread=0.05,
            resistance_spread=0.2,
            seed=seed,
        )
    )
    plant.port.coil[[0, 1]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, current_a
    held_ah, energy = plant.truth.soc * plant.truth.capacity_ah, plant.truth.energy_j
    counted_ah = plant.truth.charge_ah
    plant.step(60.0)

    moved_ah = (plant.truth.soc * plant.truth.capacity_ah - held_ah).reshape(3, parallel).sum(axis=1)
    assert moved_ah == pytest.approx(np.full(3, plant.truth.charge_ah - counted_ah), rel=1e-6, abs=1e-9)
    change = {key: value - energy[key] for key, value in plant.truth.energy_j.items()}
    came = change.pop("charger") + change.pop("regen") - change.pop("load")
    assert came == pytest.approx(sum(change.values()), abs=2e-3 * change["cell_heat"] + 0.05)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"parallel": 0}, "PlantSpec.parallel: expected 1 to 100"),
        ({"cells": 2, "parallel": 3, "soc_per_cell": (0.5,) * 3}, "soc_per_cell: expected 2 or 6 values"),
    ],
)
def test_a_group_that_is_none_is_refused(spec, message):
    with pytest.raises(InvalidInput, match=message):
        PlantSpec(**spec)


STIFF_PAIR = (0.2, 0.2)  # 200 mohm, 0.2 s: twenty times R0, over in a moment


def test_parallel_cells_with_a_stiff_pair_come_to_rest(tmp_path):
    path = write_cell(tmp_path, more_pairs=(STIFF_PAIR,))
    plant = Plant(PlantSpec(cells=1, parallel=2, cell=path, soc_per_cell=(0.6, 0.4)))
    plant.step(1.0)

    # Half of 0.2 V for each cell, over 10 mohm and the 200 mohm that follow within 10 ms, less what the slow
    # 20 mohm have taken of it in a second: they go to 0.1 V x 20 / 230 with 10 s x 210 / 230
    slow_v = 0.1 * 20 / 230 * (1.0 - np.exp(-1.0 / (10.0 * 210 / 230)))
    expected_a = (0.1 - slow_v) / (R0_OHM + 0.2)
    assert plant.truth.cell_a == pytest.approx([-expected_a, expected_a], rel=0.01)


def test_a_voltage_source_on_a_stiff_pair_does_not_depend_on_the_tick(tmp_path):
    path = write_cell(tmp_path, more_pairs=(STIFF_PAIR,))

    def charged_ah(tick_s: float) -> float:
        plant = Plant(PlantSpec(cells=1, cell=path))
        plant.port.coil[[0, 3]] = True
        plant.step(0.1)
        charger = plant.terminal("charger")
        charger.enabled, charger.voltage_v, charger.current_a = True, 3.6, 100.0
        for _ in range(round(2.0 / tick_s)):
            plant.step(tick_s)
        return plant.truth.charge_ah

    fine_ah = charged_ah(0.001)
    assert charged_ah(1.0) == pytest.approx(fine_ah, rel=0.02)
    assert charged_ah(0.01) == pytest.approx(fine_ah, rel=0.02)


@pytest.mark.parametrize("cell", ["leaf_33ah", "lg_hg2_3ah", "a123_2ah_lfp", "nmc_58ah"])
@pytest.mark.parametrize("degc", [-40.0, 100.0])
def test_parallel_cells_even_out_without_swinging_at_any_temperature(cell, degc):
    plant = Plant(
        PlantSpec(
            cells=1,
            parallel=2,
            cell=cell,
            soc_per_cell=(0.5, 0.48),
            temperature_degc=degc,
            ambient_degc=degc,
        )
    )
    current_a = []
    for _ in range(20):
        plant.step(0.1)
        current_a.append(abs(float(plant.truth.cell_a[0])))

    assert (np.diff(current_a) <= 1e-9).all(), "what evens out only falls"
