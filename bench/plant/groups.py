"""Groups of parallel cells: how a group's current splits, and the group as one source to the circuit.

The cells of a group share one voltage: v = (I + sum(e_j / R_j)) / (sum(1 / R_j) + sum(S_j)), with EMF e_j and
resistance R_j of cell j and the conductance S_j of a short across it held over the step. So cell j carries a
share of the group's current, and a current that circulates inside. A worn joint is in series with its group.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    BONDED,
    CELL_V,
    CELLS_EMF_V,
    CELLS_OHM,
    CIRCULATING_A,
    CONNECTED,
    EMF,
    GROUP_EMF,
    GROUP_OHM,
    HEAT_J,
    JOINT_OHM,
    R0,
    SENSE_A,
    SEPARATOR_S,
    SHARE,
    SHORT_S,
    SPLIT,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit  # type: ignore[untyped-decorator]
def short_s(cell: Floats, k: int) -> float:
    """Conductance across the electrodes of cell k [S]."""
    siemens: float = cell[SHORT_S, k] + cell[SEPARATOR_S, k]
    return siemens


@njit  # type: ignore[untyped-decorator]
def short_w(cell: Floats, group: Floats, k: int, g: int, mean_a: float, square_a2: float) -> float:
    """Mean power [W] in the short across cell k of group g, at the group's mean and mean square current."""
    short = short_s(cell, k)
    if cell[BONDED, k] == 0.0:
        alone: float = short * (cell[EMF, k] / (1.0 + cell[R0, k] * short)) ** 2
        return alone
    emf, ohm = group[GROUP_EMF, g], group[GROUP_OHM, g] - group[JOINT_OHM, g]
    power: float = short * (emf * emf + 2.0 * emf * ohm * mean_a + ohm * ohm * square_a2)
    return power


@njit  # type: ignore[untyped-decorator]
def joint_heat(g: int, heat_j: float, cell: Floats, parallel: int) -> None:
    """Put the heat of the joint above group g into the cells on both sides of it."""
    last = min((g + 2) * parallel, cell.shape[1])
    for k in range(g * parallel, last):
        cell[HEAT_J, k] += heat_j / (last - g * parallel)


@njit  # type: ignore[untyped-decorator]
def join_groups(cell: Floats, group: Floats, state: Floats) -> None:
    """Each group as one source behind one resistance, and the split of its current."""
    if state[SPLIT] == 0.0:
        for k in range(group.shape[1]):
            group[GROUP_EMF, k] = cell[EMF, k]
            group[GROUP_OHM, k] = cell[R0, k] + group[JOINT_OHM, k]
        return
    parallel = cell.shape[1] // group.shape[1]
    for g in range(group.shape[1]):
        first = g * parallel
        siemens = ampere = 0.0
        for k in range(first, first + parallel):
            part = cell[BONDED, k] / cell[R0, k]
            siemens += part + cell[BONDED, k] * short_s(cell, k)
            ampere += part * cell[EMF, k]
        emf = ampere / siemens
        group[GROUP_EMF, g] = emf
        group[GROUP_OHM, g] = 1.0 / siemens + group[JOINT_OHM, g]
        for k in range(first, first + parallel):
            part = cell[BONDED, k] / cell[R0, k]
            cell[SHARE, k] = part / siemens
            cell[CIRCULATING_A, k] = part * (emf - cell[EMF, k])
            if cell[BONDED, k] == 0.0:
                short = short_s(cell, k)
                cell[CIRCULATING_A, k] = -cell[EMF, k] * short / (1.0 + cell[R0, k] * short)


@njit  # type: ignore[untyped-decorator]
def sum_stack(group: Floats, group_flag: Bools, state: Floats) -> None:
    """EMF and resistance that the circuit sees; a replaced group is a source that holds its voltage."""
    emf = ohm = 0.0
    for k in range(group.shape[1]):
        if group_flag[CONNECTED, k]:
            emf += group[CELL_V, k]
        else:
            emf += group[GROUP_EMF, k] - group[GROUP_OHM, k] * group[SENSE_A, k]
            ohm += group[GROUP_OHM, k]
    state[CELLS_EMF_V] = emf
    state[CELLS_OHM] = ohm


@njit  # type: ignore[untyped-decorator]
def terminal_voltages(current_a: float, group: Floats) -> None:
    """Voltages of the groups at a stack current of `current_a` [A]."""
    for k in range(group.shape[1]):
        group[CELL_V, k] = group[GROUP_EMF, k] + group[GROUP_OHM, k] * (current_a - group[SENSE_A, k])
