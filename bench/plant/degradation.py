"""Slow damage inside the cells: self-discharge, and lithium plating when charged too fast or too cold.

Self-discharge is a current that no wire carries: leak(T) = leak(25 °C) exp(-E/R (1/T - 1/298.15 K)). It ends
at 0 V.
A cell plates what it is charged with above i(T, SOC) = i(25 °C) exp(-E/R (1/T - 1/298.15 K)) s(SOC), where s
falls straight from 1 at SOC 0.2 to 0.3 at 1. Part of what is plated is lost with its capacity, the rest
strips while the cell does not plate. All constants here are project defaults.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.cells import REFERENCE_DEGC, open_circuit
from bench.plant.layout import (
    CAPACITY_C,
    CELL_HEAT_J,
    CHEMICAL_J,
    HEAT_J,
    K_OVER_V,
    K_PLATING_A,
    K_UNDER_V,
    LEAK_A,
    LOST_C,
    MOVED_C,
    PLATED_C,
    SOC,
    TEMPERATURE,
    V_PER_K,
)
from bench.plant.tables import KELVIN

Floats = NDArray[np.float64]

GAS_CONSTANT = 8.314462618  # J/(mol K)
MONTH_S = 30.4375 * 86_400.0
#: Doubles from 25 to 35 °C, the rule of thumb for self-discharge.
LEAK_J_PER_MOL = 53e3
PLATING_J_PER_MOL = 50e3
#: Share of its value at low SOC that the limit keeps at SOC 1.
PLATING_AT_FULL = 0.3
PLATING_FALLS_FROM_SOC = 0.2
#: Of what is plated, what is lost at once; how fast the rest strips.
LOST_SHARE = 0.3
STRIPPING_S = 1800.0


@njit  # type: ignore[untyped-decorator]
def over_25_degc(degc: float, energy_j_per_mol: float) -> float:
    """How much faster than at 25 °C."""
    colder_per_k = 1.0 / (degc + KELVIN) - 1.0 / (REFERENCE_DEGC + KELVIN)
    return math.exp(-energy_j_per_mol / GAS_CONSTANT * colder_per_k)


@njit  # type: ignore[untyped-decorator]
def plating_limit_a(at_25_degc_a: float, degc: float, soc: float) -> float:
    """Charge current above which a cell plates lithium [A]."""
    full = min(max((soc - PLATING_FALLS_FROM_SOC) / (1.0 - PLATING_FALLS_FROM_SOC), 0.0), 1.0)
    kept = 1.0 - (1.0 - PLATING_AT_FULL) * full
    limit: float = at_25_degc_a * over_25_degc(degc, PLATING_J_PER_MOL) * kept
    return limit


@njit  # type: ignore[untyped-decorator]
def advance_degradation(h: float, cell: Floats, ocv: Floats, constant: Floats, state: Floats) -> None:
    """Let `h` [s] pass at the mean current since the last call."""
    for k in range(cell.shape[1]):
        charge_c = cell[MOVED_C, k]
        cell[MOVED_C, k] = 0.0
        leaked_c = lost_c = above_c = middle_v = 0.0
        if cell[LEAK_A, k] > 0.0:
            middle_v, _ = open_circuit(cell[SOC, k], ocv, constant[K_OVER_V], constant[K_UNDER_V])
            if middle_v > 0.0:
                leaked_c = h * cell[LEAK_A, k] * over_25_degc(cell[TEMPERATURE, k], LEAK_J_PER_MOL)
        if charge_c > 0.0:
            limit_a = plating_limit_a(constant[K_PLATING_A], cell[TEMPERATURE, k], cell[SOC, k])
            above_c = max(charge_c - limit_a * h, 0.0)
        if above_c > 0.0:
            lost_c = LOST_SHARE * above_c
            cell[PLATED_C, k] += above_c - lost_c
        elif cell[PLATED_C, k] > 0.0:
            cell[PLATED_C, k] *= math.exp(-h / STRIPPING_S)
        if leaked_c + lost_c > 0.0:
            held_c = cell[SOC, k] * cell[CAPACITY_C, k] - leaked_c - lost_c
            cell[LOST_C, k] += lost_c
            cell[CAPACITY_C, k] -= lost_c
            cell[SOC, k] = held_c / cell[CAPACITY_C, k]
            # What leaks becomes heat; the energy of lost lithium stays bound in it.
            heat_j = leaked_c * (middle_v - (REFERENCE_DEGC + KELVIN) * cell[V_PER_K, k])
            cell[HEAT_J, k] += heat_j
            state[CELL_HEAT_J] += heat_j
            state[CHEMICAL_J] -= heat_j
