"""Heat in the plant against hand-computed balances."""

import math

import pytest

from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec

#: Of `lfp_280ah`: heat capacity, still air, what the fan adds.
CAPACITY_J_PER_K, AIR_W_PER_K, FAN_W_PER_K = 5400.0, 0.35, 1.4


def test_a_heated_pack_reaches_its_steady_temperature():
    plant = Plant(PlantSpec(cells=4, heater_w=200.0))
    plant.port.heater, plant.port.fan = True, 1.0
    assert plant.terminal("meter").heater_on is False
    tau_s = CAPACITY_J_PER_K / (AIR_W_PER_K + FAN_W_PER_K)

    plant.step(tau_s)
    assert plant.terminal("meter").heater_on
    rise_k = 200.0 / 4 / 1.75
    assert plant.truth.temperature_degc[0] == pytest.approx(25 + rise_k * (1 - math.exp(-1)), abs=0.1)
    plant.step(9 * tau_s)

    assert plant.truth.temperature_degc == pytest.approx([25 + rise_k] * 4, abs=0.05)


def test_a_stopped_fan_cools_less():
    plant = Plant(PlantSpec(cells=2, heater_w=20.0))
    plant.terminal("faults").set("fan_stopped", True)
    plant.terminal("faults").set("heater_stuck", True)
    plant.port.fan = 1.0
    plant.step(10 * CAPACITY_J_PER_K / AIR_W_PER_K)

    assert plant.port.fan_rpm == 0.0
    assert plant.terminal("meter").heater_on
    assert plant.truth.temperature_degc[0] == pytest.approx(25 + 10.0 / AIR_W_PER_K, abs=0.1)


def test_ohmic_heat_stays_in_the_cells():
    plant = Plant(PlantSpec(cells=4))
    plant.port.coil[[0, 1]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, 280.0
    before = plant.truth.temperature_degc.copy()
    plant.step(60.0)

    heat_j = plant.truth.energy_j["cell_heat"]
    # R0 alone: 4 x 280² x 150 µohm x 60 s = 2822 J; the RC pairs warm up to some more
    assert 2822.0 < heat_j < 2 * 2822.0
    rise_k = heat_j / (4 * CAPACITY_J_PER_K)
    assert plant.truth.temperature_degc - before == pytest.approx([rise_k] * 4, rel=0.01)


def test_heat_flows_to_the_neighbour():
    plant = Plant(PlantSpec(cells=2, temperature_spread_k=10.0, seed=1))
    start = plant.truth.temperature_degc.copy()
    plant.step(600.0)

    # Two equal bodies: the difference falls with C / (2 G neighbour + G air) = 5400 / 6.35 s
    expected = (start[0] - start[1]) * math.exp(-600.0 * 6.35 / CAPACITY_J_PER_K)
    found = plant.truth.temperature_degc
    assert found[0] - found[1] == pytest.approx(expected, rel=0.01)


def test_a_sensor_follows_its_cell_with_its_lag():
    plant = Plant(PlantSpec(cells=1, heater_w=5400.0))
    plant.port.heater = True
    plant.step(30.0)

    # 1 K/s for 30 s with a lag of 3 s: 3 K behind
    assert plant.truth.temperature_degc[0] - plant.truth.sensor_degc[0] == pytest.approx(3.0, rel=0.05)


def test_the_board_warms_by_what_bleeds():
    plant = Plant(PlantSpec(cells=12))
    plant.port.bleed[:] = True
    plant.step(600.0)

    # 12 x 17 ohm x (3.3 V / 17 ohm)² x 3 K/W = 23 K
    assert plant.port.board_degc == pytest.approx(25 + 12 * 3.3**2 / 17.0 * 3.0, abs=0.5)


def test_the_ambient_can_be_moved():
    plant = Plant(PlantSpec(cells=1))
    plant.ambient_degc = -10.0
    plant.step(10 * CAPACITY_J_PER_K / AIR_W_PER_K)

    assert plant.truth.temperature_degc[0] == pytest.approx(-10.0, abs=0.01)


PLATE_W_PER_K = 6.0


def plate_cooled(**changed: float) -> Plant:
    """Four cells that a stuck heater warms with 200 W in all, cooled by a plate at full flow."""
    given = {"cells": 4, "heater_w": 200.0, "coolant_w_per_k": 300.0, "radiator_w_per_k": 80.0, **changed}
    plant = Plant(PlantSpec(**given))
    plant.terminal("faults").set("heater_stuck", True)
    plant.port.fan = 1.0
    return plant


def test_all_heat_goes_through_the_radiator_in_the_end():
    plant = plate_cooled()
    plant.step(4 * 3600.0)

    # 200 W, less the little that still air takes from four cells (0.35 W/K each)
    to_air_w = sum(0.35 * (degc - 25.0) for degc in plant.truth.temperature_degc)
    through_w = 80.0 * (plant.truth.coolant_degc - 25.0)
    assert through_w + to_air_w == pytest.approx(200.0, rel=1e-3)


def test_cells_down_the_flow_are_warmer():
    plant = plate_cooled()
    plant.step(4 * 3600.0)
    degc = plant.truth.temperature_degc

    assert (degc[1:] > degc[:-1]).all()
    # Coolant takes some 45 W from each cell, 0.15 K; neighbours even out part of it
    assert 0.1 < degc[3] - degc[0] < 0.45


def test_without_flow_the_plate_takes_nothing():
    still, dry = plate_cooled(), plate_cooled(coolant_w_per_k=0.0)
    still.port.fan = dry.port.fan = 0.0
    still.step(1800.0)
    dry.step(1800.0)

    assert still.truth.temperature_degc == pytest.approx(dry.truth.temperature_degc)
    assert still.truth.coolant_degc == 25.0


def test_one_cell_on_a_strong_flow_sees_its_plate_alone():
    plant = plate_cooled(cells=1, heater_w=60.0, coolant_w_per_k=1e5, radiator_w_per_k=1e5)
    plant.step(10 * CAPACITY_J_PER_K / PLATE_W_PER_K)

    # 60 W through 6 W/K of plate and 0.35 W/K of air
    assert plant.truth.temperature_degc[0] == pytest.approx(25.0 + 60.0 / 6.35, abs=0.02)


def test_a_stopped_pump_is_a_stopped_fan():
    plant = plate_cooled()
    plant.terminal("faults").set("fan_stopped", True)
    plant.step(600.0)

    assert plant.port.fan_rpm == 0.0
    assert plant.truth.coolant_degc == 25.0


def test_a_loop_that_turns_over_within_a_step_is_refused():
    with pytest.raises(InvalidInput, match=r"coolant_j_per_k: expected at least 0\.1 s of"):
        PlantSpec(coolant_w_per_k=300.0, radiator_w_per_k=1e6)


def test_cells_without_a_plate_cannot_be_cooled_by_one():
    with pytest.raises(InvalidInput, match="cells on a cold plate, found a123_2ah_lfp"):
        Plant(PlantSpec(cell="a123_2ah_lfp", coolant_w_per_k=300.0))


@pytest.mark.parametrize("step_s", [0.01, 0.1, 7.3])
def test_what_the_plate_takes_from_the_cells_is_in_the_coolant(step_s):
    plant = plate_cooled(coolant_w_per_k=50.0, radiator_w_per_k=1e-9)
    to_air_j = gone_s = 0.0
    while gone_s < 300.0:
        before_degc = plant.truth.temperature_degc.copy()
        plant.step(step_s)
        gone_s += step_s
        above_k = 0.5 * (before_degc + plant.truth.temperature_degc) - 25.0
        to_air_j += 0.35 * float(above_k.sum()) * step_s

    in_cells_j = CAPACITY_J_PER_K * float((plant.truth.temperature_degc - 25.0).sum())
    in_coolant_j = 20e3 * (plant.truth.coolant_degc - 25.0)
    assert in_coolant_j > 1000.0
    # Up to one step of the heater is still on its way
    assert in_cells_j + in_coolant_j + to_air_j == pytest.approx(200.0 * gone_s, abs=25.0)
