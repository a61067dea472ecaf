"""Sense wires, bleed currents, channels, thermistors and their faults, against hand-computed values."""

import math

import numpy as np
import pytest

from bench.plant import Plant, PlantSpec

CELLS = 8


def plant_with(*faults: str, **spec: object) -> Plant:
    plant = Plant(PlantSpec(**({"cells": CELLS} | spec)))
    plant.step(0.01)
    for fault in faults:
        plant.terminal("faults").set(fault, True)
    return plant


def pulled(plant: Plant, direction: int) -> list[float]:
    plant.port.open_wire_current = direction
    plant.step(0.02)
    reading = plant.port.cell_v.tolist()
    plant.port.open_wire_current = 0
    return reading


def test_sound_wires_show_the_cells_whatever_is_pulled():
    plant = plant_with(soc_spread=0.05)

    assert (plant.port.cell_v == plant.truth.cell_v).all()
    for direction in (1, -1):
        assert pulled(plant, direction) == pytest.approx(plant.truth.cell_v.tolist(), abs=1e-4)


@pytest.mark.parametrize("tap", range(1, CELLS))
def test_an_inner_open_tap_follows_the_test_current(tap):
    plant = plant_with(f"open_sense_wire_{tap}")
    both_v = float(plant.truth.cell_v[tap - 1] + plant.truth.cell_v[tap])

    up = pulled(plant, 1)
    down = pulled(plant, -1)

    assert (up[tap - 1], up[tap]) == pytest.approx((both_v, 0.0), abs=0.01)
    assert (down[tap - 1], down[tap]) == pytest.approx((0.0, both_v), abs=0.01)
    others = [k for k in range(CELLS) if k not in (tap - 1, tap)]
    assert [up[k] for k in others] == pytest.approx([plant.truth.cell_v[k] for k in others], abs=1e-3)


def test_open_taps_at_the_ends_show_in_one_direction_only():
    bottom, top = plant_with("open_sense_wire_0"), plant_with(f"open_sense_wire_{CELLS}")

    assert pulled(bottom, 1)[0] == pytest.approx(0.0, abs=0.01)
    assert pulled(bottom, -1)[0] == pytest.approx(bottom.truth.cell_v[0], abs=0.01)
    assert pulled(top, 1)[-1] == pytest.approx(top.truth.cell_v[-1], abs=0.01)
    assert pulled(top, -1)[-1] == pytest.approx(0.0, abs=0.01)


def test_an_open_tap_holds_for_a_while_and_then_drifts():
    plant = plant_with("open_sense_wire_4")
    rest_v = float(plant.truth.cell_v[3])

    plant.step(0.1)
    assert plant.port.cell_v[3] == pytest.approx(rest_v, abs=0.1)
    for _ in range(100):
        plant.step(0.1)

    # 50 nA of bias through two input resistances of 20 Mohm in parallel: half a volt down
    assert plant.port.cell_v[3] == pytest.approx(rest_v - 0.5, abs=0.02)
    assert plant.port.cell_v[4] == pytest.approx(rest_v + 0.5, abs=0.02)


def test_a_repaired_tap_reads_its_cell_again():
    plant = plant_with("open_sense_wire_4")
    pulled(plant, -1)
    plant.terminal("faults").set("open_sense_wire_4", False)
    plant.step(0.01)

    assert plant.port.cell_v == pytest.approx(plant.truth.cell_v, abs=1e-6)


def test_bleeding_drops_voltage_on_the_shared_wires():
    plant = plant_with(nominal_cell_v=3.4)
    cells = plant.terminal("cells")
    cells.connected[:], cells.voltage_v[:] = True, 3.4
    plant.port.bleed[3] = True
    plant.step(0.01)
    plant.step(0.01)

    # 3.4 V over 17 ohm and two wires of 50 mohm: 0.1988 A; 9.9 mV in each wire
    assert cells.actual_current_a[3] == pytest.approx(0.1988, abs=1e-4)
    assert cells.actual_voltage_v[3] == pytest.approx(3.4 - 0.1988 * 5e-3, abs=1e-5)
    assert plant.port.cell_v[2:5] - cells.actual_voltage_v[2:5] == pytest.approx(
        [0.0099, -0.0199, 0.0099], abs=1e-4
    )
    assert cells.actual_current_a[[0, 7]] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_bleeding_discharges_only_its_cell():
    plant = plant_with(soc=0.5)
    plant.port.bleed[3] = True
    for _ in range(3600):
        plant.step(1.0)

    # About 3.3 V over 17.1 ohm for one hour: 0.193 Ah of 280
    assert 0.5 - plant.truth.soc[3] == pytest.approx(0.193 / 280.0, rel=0.01)
    assert plant.truth.soc[4] == pytest.approx(0.5, abs=1e-6)
    assert plant.truth.energy_j["bleed"] == pytest.approx(0.193 * 3600 * 3.3, rel=0.01)


def test_a_kiloohm_in_a_sense_wire_shows_only_under_current():
    plant = plant_with("series_sense_wire_4")
    plant.step(0.1)
    assert plant.port.cell_v == pytest.approx(plant.truth.cell_v, abs=1e-3)

    # The test current of 100 µA drops 0.1 V in it
    assert pulled(plant, 1)[3] - plant.truth.cell_v[3] == pytest.approx(0.1, abs=0.005)
    plant.port.bleed[3] = True
    plant.step(0.01)
    # 17 ohm in series with 1 kohm: the cell seems almost empty, its neighbour takes what is missing
    assert plant.port.cell_v[3] == pytest.approx(3.31 * 17.0 / 1017.1, abs=0.01)
    assert plant.port.cell_v[4] == pytest.approx(2 * 3.31 - plant.port.cell_v[3], abs=0.01)


def channels_on(plant: Plant, voltage_v: float):
    cells = plant.terminal("cells")
    cells.connected[:], cells.voltage_v[:] = True, voltage_v
    plant.step(0.01)
    return cells


def test_an_opened_channel_lets_its_taps_float_on_what_the_bms_has_there():
    plant = plant_with()
    cells = channels_on(plant, 3.7)

    cells.opened[3] = True
    # 20 Mohm empty 47 nF with a time constant of 0.94 s.
    for _ in range(94):
        plant.step(0.01)

    assert cells.actual_voltage_v[3] == pytest.approx(3.7 * math.exp(-1.0), rel=1e-6)
    assert plant.port.cell_v[3] == cells.actual_voltage_v[3]
    assert np.delete(plant.port.cell_v, 3) == pytest.approx([3.7] * (CELLS - 1))
    assert cells.actual_current_a[3] == 0.0


def test_bleeding_empties_an_opened_channel_at_once():
    plant = plant_with()
    cells = channels_on(plant, 3.7)

    cells.opened[3], plant.port.bleed[3] = True, True
    plant.step(0.01)

    assert plant.port.cell_v[3] == pytest.approx(0.0, abs=1e-3)
    assert plant.port.cell_v[4] == pytest.approx(3.7, abs=0.01)
    assert cells.actual_current_a[3] == 0.0


@pytest.mark.parametrize("direction", [1, -1])
def test_the_open_wire_test_empties_an_opened_channel_whichever_way_it_pulls(direction):
    plant = plant_with()
    channels_on(plant, 3.7).opened[3] = True

    seen = pulled(plant, direction)

    assert seen[3] == pytest.approx(0.0, abs=1e-3)
    assert [seen[2], seen[4]] == pytest.approx([3.7, 3.7], abs=1e-3)


def test_an_opened_relay_does_nothing_where_the_packs_own_cell_is_sensed():
    plant = plant_with()
    plant.terminal("cells").opened[3] = True
    plant.step(0.1)

    assert plant.port.cell_v[3] == plant.truth.cell_v[3]


def test_a_shorted_and_a_reversed_channel_are_seen_as_they_are():
    plant = plant_with()
    cells = channels_on(plant, 3.7)

    cells.voltage_v[[2, 5]] = 0.0, -3.7
    plant.step(0.01)

    assert plant.port.cell_v == pytest.approx([3.7, 3.7, 0.0, 3.7, 3.7, -3.7, 3.7, 3.7])
    assert plant.terminal("meter").pack_v == pytest.approx(4 * 3.7 + 2 * 3.7 - 3.7)


def test_the_thermistor_divider_gives_the_hand_computed_voltage():
    warm = Plant(PlantSpec(cells=1, temperature_degc=50.0, ambient_degc=50.0))

    assert Plant(PlantSpec(cells=1)).port.ntc_v[0] == pytest.approx(2.5)
    # R = 10k exp(3435 (1/323.15 - 1/298.15)) = 4101.4 ohm; 5 V x R / (R + 10k)
    assert warm.port.ntc_v[0] == pytest.approx(5.0 * 4101.4 / 14101.4, abs=2e-4)


def test_thermistor_faults_are_seen_at_the_input():
    plant = plant_with("ntc_open_0", "ntc_short_1", "ntc_offset_2", sensor_cells=(0, 1, 2, 3))
    plant.step(0.01)

    # 10 K more than 25 °C: R = 10k exp(3435 (1/308.15 - 1/298.15)) = 6880 ohm
    assert plant.port.ntc_v == pytest.approx([5.0, 0.0, 5.0 * 6880.0 / 16880.0, 2.5], abs=2e-3)


def test_a_driven_thermistor_input_goes_through_the_fault_box():
    plant = plant_with("ntc_offset_1", "ntc_open_2", sensor_cells=(0, 1, 2, 3))
    ntc = plant.terminal("thermistors")
    ntc.connected[:3], ntc.voltage_v[:] = True, 2.5
    ntc.voltage_v[0] = 1.25
    plant.step(0.01)

    assert ntc.actual_voltage_v == pytest.approx([1.25, 5.0 * 6880.0 / 16880.0, 5.0, 2.5], abs=2e-3)
    assert (plant.port.ntc_v == ntc.actual_voltage_v).all()


def test_insulation_faults_lie_in_parallel_to_the_sound_resistance():
    plant = plant_with("insulation_positive_30k")
    port = plant.port
    assert port.insulation_ohm == pytest.approx([1 / (1 / 5e6 + 1 / 30e3), 5e6])

    plant.terminal("faults").set("insulation_negative_5k", True)
    plant.terminal("faults").set("insulation_positive_30k", False)

    assert port.insulation_ohm == pytest.approx([5e6, 1 / (1 / 5e6 + 1 / 5e3)])


def test_the_interlock_opens():
    plant = plant_with("hvil_open")
    plant.step(0.01)

    assert not plant.port.hvil_closed


def test_every_fault_of_the_contract_exists():
    names = set(plant_with(sensor_cells=(0, 3)).terminal("faults").names)

    expected = {f"{kind}_sense_wire_{k}" for kind in ("open", "series") for k in range(CELLS + 1)}
    expected |= {f"ntc_{kind}_{j}" for kind in ("open", "short", "offset") for j in (0, 1)}
    expected |= {f"insulation_{rail}_{ohm}" for rail in ("positive", "negative") for ohm in ("30k", "5k")}
    switches = ("main_minus", "main_plus", "precharge", "charge")
    expected |= {f"weld_{switch}" for switch in switches}
    expected |= {f"feedback_{how}_{s}" for how in ("open", "closed") for s in (*switches, "pyro")}
    expected |= {"hvil_open", "dut_supply_open", "short_circuit", "precharge_resistor_open"}
    expected |= {"fan_stopped", "heater_stuck", "current_sensor_open"}
    assert names == expected


def test_an_unknown_fault_or_terminal_is_a_key_error():
    faults = plant_with().terminal("faults")
    with pytest.raises(KeyError):
        faults.set("open_sense_wire_99", True)
    with pytest.raises(KeyError):
        faults.active("nothing")
    with pytest.raises(KeyError, match="charger"):
        plant_with().terminal("oven")
