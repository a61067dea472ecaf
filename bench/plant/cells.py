"""One step of the cells' electrical model.

v = ocv(soc) + h * half(soc) + dU/dT(soc) * (T - 25) + u1 + u2 + u3 + R0 i, where i > 0 charges. Each pair
goes with its time constant to R f(i): f(i) = i, but i0 asinh(i / i0) in the first pair of a file with charge
transfer. h moves towards the sign of the current by 1 - exp(-rate * dAh / Ah) (G. Plett's enhanced
self-correcting model, which the data set behind `lfp_280ah` was made for). The state of charge is not
clamped: outside 0..1 the branches go on with the file's steep slopes, as an overcharged or overdischarged
cell's voltage does.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.groups import joint_heat, short_s, short_w
from bench.plant.layout import (
    CAPACITY_C,
    CELL_HEAT_J,
    CHEMICAL_J,
    CIRCULATING_A,
    CONNECTED,
    DECAY1,
    EMF,
    HEAT_J,
    HYSTERESIS,
    JOINT_OHM,
    K_HYSTERESIS_RATE,
    K_OVER_V,
    K_PAIRS,
    K_UNDER_V,
    LINEAR1_A,
    MOVED_C,
    R0,
    R1,
    SENSE_A,
    SHARE,
    SOC,
    SPLIT,
    TEMPERATURE,
    U1,
    V_PER_K,
)
from bench.plant.tables import KELVIN, refresh_decays

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REVERSED_V = -1.5  # a cell driven backwards does not go below this
REFERENCE_DEGC = 25.0  # of the open-circuit voltage of every cell file


@njit  # type: ignore[untyped-decorator]
def open_circuit(soc: float, ocv: Floats, over_v: float, under_v: float) -> tuple[float, float]:
    """Mean open-circuit voltage and half the distance of the branches at `soc` [V]; `ocv` (2, points)."""
    last = ocv.shape[1] - 1
    if soc >= 1.0:
        return ocv[0, last] + over_v * (soc - 1.0), ocv[1, last]
    if soc <= 0.0:
        return max(ocv[0, 0] + under_v * soc, REVERSED_V), ocv[1, 0]
    place = soc * last
    k = int(place)
    part = place - k
    mean = ocv[0, k] + part * (ocv[0, k + 1] - ocv[0, k])
    return mean, ocv[1, k] + part * (ocv[1, k + 1] - ocv[1, k])


@njit  # type: ignore[untyped-decorator]
def pair_heat(u: float, w: float, ohm: float) -> float:
    """Mean power [W] that a pair's resistor makes while its voltage goes from `u` to `w`."""
    return (u * u + u * w + w * w) / (3.0 * ohm)


@njit  # type: ignore[untyped-decorator]
def advance_cells(
    h: float,
    mean_a: float,
    square_a2: float,
    cell: Floats,
    group: Floats,
    group_flag: Bools,
    ocv: Floats,
    constant: Floats,
    state: Floats,
) -> None:
    """Let `h` [s] pass at a stack current of mean `mean_a` and mean square `square_a2`.

    A replaced group rests: the pack current has its own path past it.
    """
    pairs = int(constant[K_PAIRS])
    refresh_decays(h, pairs, cell, state)
    split = state[SPLIT] != 0.0
    over_v, under_v, rate = constant[K_OVER_V], constant[K_UNDER_V], constant[K_HYSTERESIS_RATE]
    parallel = cell.shape[1] // group.shape[1]
    heat_j = chemical_j = 0.0
    for g in range(group.shape[1]):
        sense = group[SENSE_A, g]
        group_a = mean_a - sense
        group_a2 = square_a2 - 2.0 * sense * mean_a + sense * sense
        if group_flag[CONNECTED, g]:
            group_a = group_a2 = 0.0
        if group[JOINT_OHM, g] != 0.0:
            lost_j = group[JOINT_OHM, g] * group_a2 * h
            joint_heat(g, lost_j, cell, parallel)
            heat_j += lost_j
        for k in range(g * parallel, (g + 1) * parallel):
            share, circulating = cell[SHARE, k], cell[CIRCULATING_A, k]
            i = share * group_a + circulating
            square = share * share * group_a2 + circulating * (2.0 * share * group_a + circulating)
            moved = i * h / cell[CAPACITY_C, k]
            soc = cell[SOC, k] + moved
            middle_v, middle_half = open_circuit(soc - 0.5 * moved, ocv, over_v, under_v)
            branch = cell[HYSTERESIS, k]
            if moved != 0.0:
                towards = 1.0 if moved > 0.0 else -1.0
                branch = towards + (branch - towards) * math.exp(-rate * abs(moved))
            v_per_k, degc = cell[V_PER_K, k], cell[TEMPERATURE, k]
            mean_v, half_v = open_circuit(soc, ocv, over_v, under_v)
            emf = mean_v + branch * half_v + v_per_k * (degc - REFERENCE_DEGC)
            # Reversible heat besides what is lost; without the temperature, it is the cell's to keep.
            heat_w = cell[R0, k] * square + i * (
                0.5 * (branch + cell[HYSTERESIS, k]) * middle_half + (degc + KELVIN) * v_per_k
            )
            chemical_j += (middle_v - (REFERENCE_DEGC + KELVIN) * v_per_k) * i * h

            for p in range(pairs):
                linear_a = cell[LINEAR1_A + p, k]
                pushed = i if linear_a == 0.0 else linear_a * math.asinh(i / linear_a)
                u, r, a = cell[U1 + p, k], cell[R1 + p, k], cell[DECAY1 + p, k]
                w = a * u + (1.0 - a) * r * pushed
                heat_w += pair_heat(u, w, r) + 0.5 * (u + w) * (i - pushed)
                cell[U1 + p, k] = w
                emf += w
            if split and short_s(cell, k) != 0.0:
                heat_w += short_w(cell, group, k, g, group_a, group_a2)
            cell[SOC, k], cell[HYSTERESIS, k], cell[EMF, k] = soc, branch, emf
            cell[MOVED_C, k] += i * h
            cell[HEAT_J, k] += heat_w * h
            heat_j += heat_w * h
    state[CELL_HEAT_J] += heat_j
    state[CHEMICAL_J] += chemical_j
