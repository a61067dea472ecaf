"""The heat of a cell is found again in a temperature that was made with known numbers."""

import numpy as np
import pytest

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.fit.heat import ThermalLog, fit_heat

CELL = load_cell("nmc_58ah")
#: J/K, W/K, V/K of the made-up cell; 20 mohm of loss.
TRUE_C, TRUE_G, TRUE_ENTROPY, OHM = 900.0, 1.2, 0.2e-3, 0.002


def made_log(current_a: float, soc: float, seconds: int = 2400) -> ThermalLog:
    """Euler steps of 1 s; voltage 2 mohm from the mean open-circuit voltage."""
    degc, temperature, socs = 25.0, [], []
    for _ in range(seconds):
        temperature.append(degc)
        socs.append(soc)
        heat_w = OHM * current_a**2 + current_a * (degc + 273.15) * TRUE_ENTROPY
        degc += (heat_w + TRUE_G * (25.0 - degc)) / TRUE_C
        soc += current_a / 3600.0 / 58.0
    soc_at = np.array(socs)
    voltage_v = np.interp(soc_at, CELL.ocv.soc, CELL.ocv.mean_v) + OHM * current_a
    return ThermalLog(
        1.0,
        np.full(seconds, current_a),
        voltage_v,
        soc_at,
        np.array(temperature),
        np.full(seconds, 25.0),
    )


def test_capacity_cooling_and_entropy_are_found_again():
    found = fit_heat([made_log(58.0, 0.15), made_log(-58.0, 0.85)], CELL)

    assert found.heat_capacity_j_per_k == pytest.approx(TRUE_C, rel=0.03)
    assert found.ambient_w_per_k == pytest.approx(TRUE_G, rel=0.03)
    inner = (found.entropy_soc >= 0.2) & (found.entropy_soc <= 0.8)
    assert found.entropy_v_per_k[inner] == pytest.approx(TRUE_ENTROPY, rel=0.1)
    assert found.rms_k < 0.02


def test_without_current_there_is_nothing_to_fit():
    log = made_log(0.0, 0.5, 60)

    with pytest.raises(InvalidInput, match="a log in which current flows"):
        fit_heat([log], CELL)


def test_a_log_with_a_hole_is_refused():
    log = made_log(10.0, 0.5, 60)
    holed = log.cell_degc.copy()
    holed[7] = np.nan

    with pytest.raises(InvalidInput, match="finite"):
        ThermalLog(1.0, log.current_a, log.voltage_v, log.soc, holed, log.ambient_degc)
