"""What an overheated cell does: exothermal reactions, and a separator that gives way. The start of runaway.

Two reactions, each with a finite heat, dx/dt = -A x exp(-E / R T): the solid-electrolyte interphase (SEI)
decomposes; below two thirds of it the anode reacts with the electrolyte, held back by exp(-SEI). From
SEPARATOR_DEGC on the separator melts, up to COLLAPSED_DEGC: the conductance of the short that it leaves grows
with the square of how far that has gone, and does not come back. Venting, fire and the cathode are left out.

Source of both reactions: Hu et al., ACS Omega (2020), doi 10.1021/acsomega.0c01862, as the public library
LiionTR transcribes it (its module `hu2020`; the paper itself was not seen): A, E; heat 257 and 1714 J/g
of 610.4 kg/m3, of which 0.15 and 0.75 can react. Per volume of a cell of 2300 kg/m3 and 1000 J/(kg K)
(project default) they warm it by 10.2 and 341 K. Separator and short: project defaults.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    ANODE,
    DECOMPOSITION_J,
    HEAT_J,
    HEATER_W,
    K_COLLAPSED_OHM,
    K_HEAT_CAPACITY,
    R_FACTOR,
    SEI,
    SEPARATOR_S,
    SPLIT,
    TEMPERATURE,
)
from bench.plant.tables import KELVIN

Floats = NDArray[np.float64]

REACTION_K = 135_080.0 / 8.314462618  # activation energy of both over the gas constant
SEI_PER_S, ANODE_PER_S = 1.667e15, 2.5e13
_CELL_J_PER_M3_K = 2300.0 * 1000.0
SEI_RISE_K = 610.4 * 0.15 * 257e3 / _CELL_J_PER_M3_K
ANODE_RISE_K = 610.4 * 0.75 * 1714e3 / _CELL_J_PER_M3_K
ANODE_BELOW_SEI = 0.10 / 0.15
QUIET_DEGC = 60.0  # below, the faster reaction takes a day for 1 K; not computed
SEPARATOR_DEGC, COLLAPSED_DEGC = 130.0, 160.0
#: Across the electrodes when the separator is gone, in units of R0 at 25 °C and SOC 0.5.
COLLAPSED_OVER_R0 = 5.0


@njit  # type: ignore[untyped-decorator]
def advance_abuse(h: float, cell: Floats, constant: Floats, state: Floats) -> None:
    """Let `h` [s] pass: what reacts in hot cells, and what a heater on a single cell brings in."""
    for k in range(cell.shape[1]):
        if cell[HEATER_W, k] != 0.0:
            cell[HEAT_J, k] += h * cell[HEATER_W, k]
        degc = cell[TEMPERATURE, k]
        if degc < QUIET_DEGC:
            continue
        arrhenius = math.exp(-REACTION_K / (degc + KELVIN))
        sei, anode = cell[SEI, k], cell[ANODE, k]
        cell[SEI, k] = sei * math.exp(-h * SEI_PER_S * arrhenius)
        if sei < ANODE_BELOW_SEI:
            cell[ANODE, k] = anode * math.exp(-h * ANODE_PER_S * arrhenius * math.exp(-sei))
        rise_k = SEI_RISE_K * (sei - cell[SEI, k]) + ANODE_RISE_K * (anode - cell[ANODE, k])
        heat_j = rise_k * constant[K_HEAT_CAPACITY]
        cell[HEAT_J, k] += heat_j
        state[DECOMPOSITION_J] += heat_j
        if degc > SEPARATOR_DEGC:
            melted = min((degc - SEPARATOR_DEGC) / (COLLAPSED_DEGC - SEPARATOR_DEGC), 1.0)
            siemens = melted * melted / (constant[K_COLLAPSED_OHM] * cell[R_FACTOR, k])
            cell[SEPARATOR_S, k] = max(cell[SEPARATOR_S, k], siemens)
            state[SPLIT] = 1.0
