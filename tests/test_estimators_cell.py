"""The reference model's own cell gives back its tables, and keeps to its laws between them."""

import math

import numpy as np
import pytest

from bench.cells import load_cell
from bench.reference.estimators.cell import CellModel, arrhenius, over_both


def test_at_the_points_of_a_table_the_table_comes_back():
    cell = load_cell("nmc_58ah")
    model = CellModel(cell)

    soc, degc = np.meshgrid(cell.r0.soc, cell.r0.temperature_degc)

    assert model.r0_ohm(soc, degc) == pytest.approx(cell.r0.ohm)
    assert model.open_circuit_v(cell.ocv.soc, branch=-1.0) == pytest.approx(cell.ocv.discharge_v)
    assert model.open_circuit_v(cell.ocv.soc, branch=1.0) == pytest.approx(cell.ocv.charge_v)


def test_the_branches_go_on_beyond_full_and_empty():
    model = CellModel(load_cell("lfp_280ah"))

    over = model.open_circuit_v(1.01) - model.open_circuit_v(1.0)
    under = model.open_circuit_v(-0.01) - model.open_circuit_v(0.0)

    assert over == pytest.approx(0.12), "12 V per unit of SOC"
    assert under == pytest.approx(-0.30), "30 V per unit of SOC"


def test_an_arrhenius_law_is_met_between_and_beyond_its_points():
    def law(degc):
        return 0.002 * math.exp(20e3 / 8.314 * (1 / (degc + 273.15) - 1 / 298.15))

    axis = np.array([0.0, 25.0, 40.0])
    values = np.array([law(degc) for degc in axis])

    for degc in (-20.0, 0.0, 12.0, 33.0, 60.0):
        assert arrhenius(degc, axis, values) == pytest.approx(law(degc))


def test_one_temperature_holds_everywhere():
    found = over_both(0.25, -10.0, np.array([0.0, 1.0]), np.array([25.0]), np.array([[1.0, 3.0]]))

    assert found == pytest.approx(1.5)


def test_soc_at_a_rested_voltage_undoes_the_open_circuit_voltage():
    model = CellModel(load_cell("nmc_58ah"))
    soc = np.linspace(0.05, 0.95, 19)

    assert model.soc_at(model.open_circuit_v(soc)) == pytest.approx(soc, abs=1e-4)


def test_resistance_grows_by_the_factor_and_not_with_the_capacity():
    cell = load_cell("lfp_280ah")
    new, old = CellModel(cell), CellModel(cell, capacity_ah=224.0, resistance_factor=1.5)

    assert old.r0_ohm(0.5, 25.0) == pytest.approx(1.5 * new.r0_ohm(0.5, 25.0))
    assert old.pair(1, 0.5, 25.0)[0] == pytest.approx(1.5 * new.pair(1, 0.5, 25.0)[0])
    assert old.usable_ah(25.0) == pytest.approx(224.0)
