"""Groups of parallel cells: how a group's current splits, and the group as one source to the circuit.

The cells of a group share one voltage: v = (I + sum(e_j / R_j)) / sum(1 / R_j), with e_j and R_j of cell j
held over the step. So cell j carries a share of the group's current, and a current that circulates inside.
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
    R0,
    SENSE_A,
    SHARE,
    SPLIT,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit  # type: ignore[untyped-decorator]
def join_groups(cell: Floats, group: Floats, state: Floats) -> None:
    """Each group as one source behind one resistance, and the split of its current."""
    if state[SPLIT] == 0.0:
        for k in range(group.shape[1]):
            group[GROUP_EMF, k] = cell[EMF, k]
            group[GROUP_OHM, k] = cell[R0, k]
        return
    parallel = cell.shape[1] // group.shape[1]
    for g in range(group.shape[1]):
        first = g * parallel
        siemens = ampere = 0.0
        for k in range(first, first + parallel):
            part = cell[BONDED, k] / cell[R0, k]
            siemens += part
            ampere += part * cell[EMF, k]
        emf = ampere / siemens
        group[GROUP_EMF, g], group[GROUP_OHM, g] = emf, 1.0 / siemens
        for k in range(first, first + parallel):
            part = cell[BONDED, k] / cell[R0, k]
            cell[SHARE, k] = part / siemens
            cell[CIRCULATING_A, k] = part * (emf - cell[EMF, k])


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
