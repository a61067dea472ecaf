"""Terminals that are not part of the power circuit: auxiliary supply, chamber, thermocouples."""

import numpy as np
import pytest

from bench.plant.plant import Plant, PlantSpec


def test_the_racks_own_supply_feeds_the_bms_until_another_is_connected():
    plant = Plant(PlantSpec(supply_v=24.0))
    auxiliary = plant.terminal("auxiliary")

    plant.step(0.01)
    assert plant.port.supply_v == 24.0

    auxiliary.connected = True
    plant.step(0.01)
    assert plant.port.supply_v == 0.0

    auxiliary.enabled, auxiliary.voltage_v, auxiliary.current_a = True, 12.0, 5.0
    plant.step(0.01)
    assert plant.port.supply_v == 12.0
    # 6 W of electronics, no coil: 0.5 A at 12 V.
    assert auxiliary.actual_current_a == pytest.approx(0.5)


def test_coils_draw_from_the_auxiliary_supply_and_a_low_limit_breaks_it_down():
    plant = Plant(PlantSpec(supply_w=6.0, coil_w=12.0))
    auxiliary = plant.terminal("auxiliary")
    auxiliary.connected = auxiliary.enabled = True
    auxiliary.voltage_v, auxiliary.current_a = 12.0, 3.0

    plant.port.coil[0] = plant.port.coil[1] = True
    plant.step(0.01)
    assert auxiliary.actual_current_a == pytest.approx(2.5)  # (6 + 2 * 12) W at 12 V

    auxiliary.current_a = 2.4
    plant.step(0.01)
    assert plant.port.supply_v == 0.0
    assert auxiliary.actual_current_a == 2.4


@pytest.mark.parametrize(("voltage_v", "closes"), [(8.0, True), (7.9, False)])
def test_contactors_need_the_auxiliary_supply(voltage_v, closes):
    plant = Plant(PlantSpec(supply_dropout_v=8.0))
    auxiliary = plant.terminal("auxiliary")
    auxiliary.connected = auxiliary.enabled = True
    auxiliary.voltage_v, auxiliary.current_a = voltage_v, 10.0

    plant.port.coil[0] = True
    plant.step(0.5)

    assert plant.terminal("meter").switch_closed[0] == closes


def test_a_closed_chamber_cools_the_cells_and_thermocouples_follow():
    plant = Plant(PlantSpec(cells=24, temperature_degc=25.0, ambient_degc=25.0))
    chamber, thermocouples = plant.terminal("chamber"), plant.terminal("thermocouples")
    assert chamber.room_degc == 25.0

    chamber.air_degc = -20.0
    plant.step(600.0)
    assert thermocouples.temperature_degc == pytest.approx(np.full(24, 25.0), abs=0.1)

    chamber.closed = True
    plant.step(600.0)
    seen_degc = thermocouples.temperature_degc
    assert seen_degc.shape == (24,)
    assert (seen_degc < 24.5).all()
    assert (seen_degc > -20.0).all()
