"""Self-discharge, plating, outliers and short charge peaks of the plant's cells, against numbers by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.plant import Outlier, Plant, PlantSpec
from bench.plant.degradation import plating_limit_a
from tests.made_cells import CAPACITY_AH, write_cell

HOURS_PER_MONTH = 730.5


def charging(current_a: float, **spec: object) -> Plant:
    """A plant that is charged with `current_a`, far from the charger's voltage."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[0, 3]] = True
    plant.step(0.1)
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 10.0 * plant.spec.cells, current_a
    return plant


def test_self_discharge_drains_a_cell_that_no_current_flows_through():
    leaking = Outlier(cell=1, self_discharge_per_month=0.12)
    plant = Plant(PlantSpec(cells=2, self_discharge_per_month=0.03, outliers=(leaking,)))
    plant.step(3600.0)

    assert 0.5 - plant.truth.soc == pytest.approx(np.array([0.03, 0.12]) / HOURS_PER_MONTH, rel=3e-3)
    assert plant.truth.charge_ah == 0.0
    # All of its energy has become heat
    energy = plant.truth.energy_j
    assert energy["cell_heat"] == pytest.approx(-energy["chemical"])
    assert energy["cell_heat"] == pytest.approx(0.15 / HOURS_PER_MONTH * 280 * 3600 * 3.308, rel=0.01)


def test_self_discharge_doubles_in_ten_kelvin():
    def lost(degc: float) -> float:
        spec = PlantSpec(cells=1, self_discharge_per_month=0.03, temperature_degc=degc, ambient_degc=degc)
        plant = Plant(spec)
        plant.step(600.0)
        return 0.5 - float(plant.truth.soc[0])

    # 53 kJ/mol over 8.314 J/(mol K) x (1/298.15 K - 1/308.15 K) = 0.6939; e to that is 2.001
    assert lost(35.0) / lost(25.0) == pytest.approx(2.001, rel=1e-3)
    assert lost(-10.0) < 0.1 * lost(25.0)


def test_a_sound_cell_keeps_its_charge():
    plant = Plant(PlantSpec(cells=1))
    plant.step(3600.0)

    assert plant.truth.soc[0] == 0.5


def test_the_plating_limit_at_its_corners():
    # -10 °C: exp(-50 kJ/mol / R x (1/263.15 K - 1/298.15 K)) = exp(-2.6828) = 0.06837
    assert plating_limit_a(840.0, 25.0, 0.1) == pytest.approx(840.0)
    assert plating_limit_a(840.0, 25.0, 1.0) == pytest.approx(252.0)
    assert plating_limit_a(840.0, 25.0, 0.6) == pytest.approx(840.0 * 0.65)
    assert plating_limit_a(840.0, -10.0, 0.0) == pytest.approx(57.43, rel=1e-3)


@given(st.floats(-40.0, 60.0), st.floats(0.0, 30.0), st.floats(-0.1, 1.1), st.floats(0.0, 1.0))
def test_the_plating_limit_falls_in_the_cold_and_towards_full(degc, warmer_k, soc, fuller):
    here = plating_limit_a(100.0, degc, soc)

    assert 0.0 < here <= plating_limit_a(100.0, degc + warmer_k, soc)
    assert plating_limit_a(100.0, degc, soc + fuller) <= here


def test_a_cold_cell_plates_what_it_is_charged_with_above_its_limit():
    plant = charging(100.0, cells=1, soc=0.1, temperature_degc=-10.0, ambient_degc=-10.0)
    held_ah = float(plant.truth.soc[0] * plant.truth.capacity_ah[0])
    counted_ah = plant.truth.charge_ah
    plant.step(60.0)

    # 42.57 A above the limit for 60 s: 0.7095 Ah, 30 % of it lost; the cell warms by some 0.2 K meanwhile
    truth = plant.truth
    assert truth.lost_ah[0] == pytest.approx(0.3 * 0.7095, rel=0.02)
    assert truth.plated_ah[0] == pytest.approx(0.7 * 0.7095, rel=0.02)
    assert truth.capacity_ah[0] == pytest.approx(280.0 - truth.lost_ah[0], rel=1e-9)
    moved_ah = float(truth.soc[0] * truth.capacity_ah[0]) - held_ah
    assert moved_ah + truth.lost_ah[0] == pytest.approx(truth.charge_ah - counted_ah, rel=1e-6)


def test_plated_lithium_strips_at_rest_and_what_is_lost_stays_lost():
    plant = charging(100.0, cells=1, soc=0.1, temperature_degc=-10.0, ambient_degc=-10.0)
    plant.step(60.0)
    plant.terminal("charger").enabled = False
    plant.step(1.0)
    plated_ah, lost_ah = float(plant.truth.plated_ah[0]), float(plant.truth.lost_ah[0])
    plant.step(1800.0)

    assert plant.truth.plated_ah[0] == pytest.approx(plated_ah * math.exp(-1.0), rel=1e-3)
    assert plant.truth.lost_ah[0] == lost_ah


def test_energy_balances_while_a_cell_plates():
    plant = charging(200.0, cells=2, soc=0.3, temperature_degc=-20.0, ambient_degc=-20.0)
    before = plant.truth.energy_j
    plant.step(300.0)

    change = {key: value - before[key] for key, value in plant.truth.energy_j.items()}
    came = change.pop("charger") + change.pop("regen") - change.pop("load")
    assert plant.truth.lost_ah.min() > 3.0
    assert came == pytest.approx(sum(change.values()), rel=1e-3)


def test_a_warm_cell_at_1c_does_not_plate():
    plant = charging(280.0, cells=1, soc=0.2)
    plant.step(1800.0)

    assert plant.truth.soc[0] > 0.65
    assert plant.truth.plated_ah[0] == plant.truth.lost_ah[0] == 0.0


def test_an_outlier_differs_from_all_others_in_what_it_says():
    outlier = Outlier(cell=2, capacity_fade=0.25, resistance_growth=1.0, soc=0.3, warmer_k=5.0)
    odd = Plant(PlantSpec(cells=4, capacity_spread=0.01, resistance_spread=0.05, seed=4, outliers=(outlier,)))
    even = Plant(PlantSpec(cells=4, capacity_spread=0.01, resistance_spread=0.05, seed=4))
    rest = [0, 1, 3]

    assert odd.truth.capacity_ah[2] == pytest.approx(0.75 * even.truth.capacity_ah[2])
    assert odd.truth.soc[2] == 0.3
    assert odd.truth.temperature_degc[2] == 30.0
    # It is warmer too, which takes some of its resistance away
    assert 1.6 < odd.truth.r0_ohm[2] / even.truth.r0_ohm[2] < 2.0
    assert (odd.truth.capacity_ah[rest] == even.truth.capacity_ah[rest]).all()
    assert (odd.truth.r0_ohm[rest] == even.truth.r0_ohm[rest]).all()


def test_an_outlier_can_be_one_of_several_parallel_cells():
    plant = Plant(PlantSpec(cells=3, parallel=2, outliers=(Outlier(cell=1, member=1, capacity_fade=0.5),)))

    assert plant.truth.capacity_ah == pytest.approx([280.0, 280.0, 280.0, 140.0, 280.0, 280.0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cells": 2, "outliers": (Outlier(cell=2),)}, "outliers: expected cell below 2, member below 1"),
        ({"cells": 2, "outliers": (Outlier(cell=0, capacity_fade=1.0),)}, "capacity_fade below 1"),
        ({"cells": 2, "outliers": (Outlier(cell=0, self_discharge_per_month=2.0),)}, "expected 0 to 1"),
        ({"outliers": (Outlier(cell=0, soc=math.nan),)}, "outliers: expected finite numbers"),
        ({"outliers": (Outlier(cell=0, warmer_k=math.inf),)}, "outliers: expected finite numbers"),
        ({"self_discharge_per_month": -0.1}, "self_discharge_per_month: expected 0 to 1"),
        ({"plating_c_rate": 0.0}, "plating_c_rate: expected a positive number"),
    ],
)
def test_damage_that_is_none_is_refused(spec, message):
    with pytest.raises(InvalidInput, match=message):
        PlantSpec(**spec)


def braking(current_a: float, voltage_v: float, **spec: object) -> Plant:
    """A plant on whose bus a machine brakes with at most `current_a`."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[0, 1]] = True
    plant.step(0.5)
    regen = plant.terminal("regen")
    regen.enabled, regen.voltage_v, regen.current_a = True, voltage_v, current_a
    return plant


def test_a_braking_peak_shows_what_the_cell_polarises_in_it():
    plant = braking(560.0, 120.0, cells=24)
    rest_v = plant.port.cell_v.copy()
    plant.step(2.0)

    # 560 A x (150 + 107.4 x (1 - exp(-2/20)) + 223.7 x (1 - exp(-2/160))) µohm = 91.3 mV; 0.1 % of the
    # charge moves OCV and branch by some 0.5 mV
    assert plant.port.shunt_a == pytest.approx(560.0, rel=1e-3)
    assert plant.port.cell_v - rest_v == pytest.approx(np.full(24, 0.0913), abs=1.5e-3)

    plant.terminal("regen").enabled = False
    plant.step(0.2)
    left_v = plant.port.cell_v - rest_v
    # R0 is gone at once, the pairs remain: 7.3 mV of them
    assert left_v == pytest.approx(np.full(24, 0.0073), abs=1.5e-3)


def test_braking_into_a_full_pack_ends_in_the_machines_voltage():
    plant = braking(560.0, 24 * 3.55, cells=24, soc=0.98)
    plant.step(5.0)

    assert 0.0 < plant.port.shunt_a < 560.0
    assert plant.port.link_v < 24 * 3.55
    assert plant.port.cell_v.max() < 3.55
    assert plant.truth.soc.max() < 0.99


def test_the_same_peak_harms_a_cold_cell_and_not_a_warm_one():
    warm, cold = (
        braking(560.0, 200.0, cells=4, temperature_degc=degc, ambient_degc=degc) for degc in (25.0, 0.0)
    )
    for plant in (warm, cold):
        plant.step(2.0)

    # At SOC 0.5: 619.5 A at 25 °C, and 0.1578 of that at 0 °C, 97.8 A. So 462 A for 2 s plate
    assert (warm.truth.plated_ah == 0.0).all()
    assert cold.truth.plated_ah + cold.truth.lost_ah == pytest.approx(np.full(4, 462.2 * 2 / 3600), rel=0.02)


def test_a_pulse_train_heats_by_its_mean_square_and_charges_by_its_mean(tmp_path):
    plant = braking(0.0, 100.0, cells=2, cell=write_cell(tmp_path))
    counted, heat = plant.truth.charge_ah, plant.truth.energy_j["cell_heat"]
    regen, load = plant.terminal("regen"), plant.terminal("load")
    for _ in range(30):
        regen.current_a, load.enabled = 40.0, False
        plant.step(1.0)
        regen.current_a, load.enabled, load.current_a = 0.0, True, 40.0
        plant.step(1.0)

    moved_ah = plant.truth.charge_ah - counted
    heat_j = plant.truth.energy_j["cell_heat"] - heat
    # 2 cells x 10 mohm x 40 A x 40 A x 60 s = 1920 J in R0; pairs of 10 s take little of a pulse of 1 s
    assert abs(moved_ah) < 0.01 * 40.0 / CAPACITY_AH
    assert 1900.0 < heat_j < 1920.0 * 1.2


def test_self_discharge_ends_when_nothing_is_left():
    spec = PlantSpec(
        cells=1, soc=-0.06, self_discharge_per_month=1.0, temperature_degc=55.0, ambient_degc=55.0
    )
    plant = Plant(spec)
    plant.step(3 * 3600.0)

    # Seven times as fast as at 25 °C: 2.9 % of the charge, with 1.2 % left down to 0 V
    assert plant.truth.soc[0] < -0.07
    assert plant.port.cell_v[0] == pytest.approx(0.0, abs=0.01)
    assert plant.truth.temperature_degc[0] >= 55.0


def test_plated_lithium_strips_in_both_of_two_parallel_cells():
    plant = charging(
        300.0,
        cells=1,
        parallel=2,
        soc=0.3,
        resistance_growth=(0.0, 0.3),
        temperature_degc=-10.0,
        ambient_degc=-10.0,
    )
    plant.step(600.0)
    plant.terminal("charger").enabled = False
    plant.step(1.0)
    plated_ah = plant.truth.plated_ah.copy()
    plant.step(1800.0)

    # One still charges the other, far below what plates
    assert plant.truth.cell_a[1] > 0.1
    assert plant.truth.plated_ah == pytest.approx(plated_ah * math.exp(-1.0), rel=1e-3)
