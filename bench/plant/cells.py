"""The cells: what each deviates from its preset, and one step of their electrical model.

Two RC pairs and a one-state hysteresis: v = ocv(soc) + h * half(soc) + u1 + u2 + R0 i, where i > 0 charges.
h moves towards the sign of the current by 1 - exp(-rate * dAh / Ah) (G. Plett's enhanced self-correcting
model, which the data set behind `lfp_280ah` was made for). The state of charge is not clamped: outside 0..1
the branches go on with the preset's steep slopes, as an overcharged or overdischarged cell's voltage does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    CAPACITY_C,
    CELL_HEAT_J,
    CELL_V,
    CHEMICAL_J,
    CONNECTED,
    DECAY1,
    DECAY2,
    EMF,
    GRID_LOW_DEGC,
    GRID_SOCS,
    GRID_STEP_K,
    GRID_TEMPERATURES,
    HEAT_J,
    HYSTERESIS,
    K_HYSTERESIS_RATE,
    K_OVER_V,
    K_UNDER_V,
    R0,
    R1,
    R2,
    R_FACTOR,
    SENSE_A,
    SOC,
    STEP_S,
    TAU1,
    TAU2,
    TEMPERATURE,
    U1,
    U2,
)
from bench.plant.presets import CellPreset

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REVERSED_V = -1.5  # a cell driven backwards does not go below this


@dataclass(frozen=True, slots=True, eq=False)
class CellParameters:
    """What the cells of one pack are, each array shape (cells,).

    Parameters
    ----------
    capacity_ah
        Present capacity, with spread and fade.
    resistance_factor
        Multiplies R0, R1 and R2 of the preset; with scale, spread and growth.
    soc, temperature_degc
        At the start.
    """

    capacity_ah: Floats
    resistance_factor: Floats
    soc: Floats
    temperature_degc: Floats


def resistance_tables(preset: CellPreset) -> tuple[Floats, Floats]:
    """The preset's tables on the kernel's uniform grids.

    Returns R0 [ohm], shape (GRID_TEMPERATURES, GRID_SOCS), and R1, R2 [ohm], tau1, tau2 [s], shape
    (4, GRID_TEMPERATURES). Resistances are interpolated in their logarithm, which is nearly straight in 1/T.
    """
    degc: Floats = GRID_LOW_DEGC + GRID_STEP_K * np.arange(GRID_TEMPERATURES, dtype=np.float64)
    soc = np.linspace(0.0, 1.0, GRID_SOCS)
    over_soc = np.array([np.interp(soc, preset.r0_soc, row) for row in preset.r0_ohm])
    r0 = np.array([_log_interp(degc, preset.r0_temperature_degc, column) for column in over_soc.T]).T
    pairs = [_log_interp(degc, preset.rc_temperature_degc, row) for row in preset.rc_ohm]
    pairs += [np.interp(degc, preset.rc_temperature_degc, row) for row in preset.rc_tau_s]
    return np.ascontiguousarray(r0), np.array(pairs)


def _log_interp(at: Floats, x: Floats, y: Floats) -> Floats:
    found: Floats = np.exp(np.interp(at, x, np.log(y)))
    return found


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
def refresh_resistances(cell: Floats, r0_table: Floats, rc_table: Floats, state: Floats) -> None:
    """Look up R0, R1, R2 and both time constants at each cell's state; they change slowly."""
    for k in range(cell.shape[1]):
        row = (cell[TEMPERATURE, k] - GRID_LOW_DEGC) / GRID_STEP_K
        row = min(max(row, 0.0), GRID_TEMPERATURES - 1.001)
        i = int(row)
        a = row - i
        column = min(max(cell[SOC, k], 0.0), 1.0) * (GRID_SOCS - 1)
        j = min(int(column), GRID_SOCS - 2)
        b = column - j
        low = r0_table[i, j] + b * (r0_table[i, j + 1] - r0_table[i, j])
        high = r0_table[i + 1, j] + b * (r0_table[i + 1, j + 1] - r0_table[i + 1, j])
        factor = cell[R_FACTOR, k]
        cell[R0, k] = factor * (low + a * (high - low))
        cell[R1, k] = factor * (rc_table[0, i] + a * (rc_table[0, i + 1] - rc_table[0, i]))
        cell[R2, k] = factor * (rc_table[1, i] + a * (rc_table[1, i + 1] - rc_table[1, i]))
        cell[TAU1, k] = rc_table[2, i] + a * (rc_table[2, i + 1] - rc_table[2, i])
        cell[TAU2, k] = rc_table[3, i] + a * (rc_table[3, i + 1] - rc_table[3, i])
    state[STEP_S] = -1.0


@njit  # type: ignore[untyped-decorator]
def refresh_decays(h: float, cell: Floats, state: Floats) -> None:
    """Keep exp(-h / tau) while the step length stays the same."""
    if abs(h - state[STEP_S]) < 1e-12:
        return
    for k in range(cell.shape[1]):
        cell[DECAY1, k] = math.exp(-h / cell[TAU1, k])
        cell[DECAY2, k] = math.exp(-h / cell[TAU2, k])
    state[STEP_S] = h


@njit  # type: ignore[untyped-decorator]
def advance_cells(
    h: float,
    mean_a: float,
    square_a2: float,
    cell: Floats,
    cell_flag: Bools,
    ocv: Floats,
    constant: Floats,
    state: Floats,
) -> None:
    """Let `h` [s] pass at a stack current of mean `mean_a` and mean square `square_a2`.

    A replaced cell rests: the pack current has its own path past it.
    """
    refresh_decays(h, cell, state)
    over_v, under_v, rate = constant[K_OVER_V], constant[K_UNDER_V], constant[K_HYSTERESIS_RATE]
    heat_j = chemical_j = 0.0
    for k in range(cell.shape[1]):
        sense = cell[SENSE_A, k]
        i = mean_a - sense
        square = square_a2 - 2.0 * sense * mean_a + sense * sense
        if cell_flag[CONNECTED, k]:
            i = square = 0.0
        moved = i * h / cell[CAPACITY_C, k]
        soc = cell[SOC, k] + moved
        middle_v, middle_half = open_circuit(soc - 0.5 * moved, ocv, over_v, under_v)
        branch = cell[HYSTERESIS, k]
        if moved != 0.0:
            towards = 1.0 if moved > 0.0 else -1.0
            branch = towards + (branch - towards) * math.exp(-rate * abs(moved))
        u1, u2 = cell[U1, k], cell[U2, k]
        r1, r2 = cell[R1, k], cell[R2, k]
        a1, a2 = cell[DECAY1, k], cell[DECAY2, k]
        w1, w2 = a1 * u1 + (1.0 - a1) * r1 * i, a2 * u2 + (1.0 - a2) * r2 * i
        mean_v, half_v = open_circuit(soc, ocv, over_v, under_v)
        heat = h * (
            cell[R0, k] * square
            + (u1 * u1 + u1 * w1 + w1 * w1) / (3.0 * r1)
            + (u2 * u2 + u2 * w2 + w2 * w2) / (3.0 * r2)
            + 0.5 * (branch + cell[HYSTERESIS, k]) * middle_half * i
        )
        cell[SOC, k], cell[HYSTERESIS, k], cell[U1, k], cell[U2, k] = soc, branch, w1, w2
        cell[EMF, k] = mean_v + branch * half_v + w1 + w2
        cell[HEAT_J, k] += heat
        heat_j += heat
        chemical_j += middle_v * i * h
    state[CELL_HEAT_J] += heat_j
    state[CHEMICAL_J] += chemical_j


@njit  # type: ignore[untyped-decorator]
def terminal_voltages(current_a: float, cell: Floats) -> None:
    """Cell voltages at a stack current of `current_a` [A]."""
    for k in range(cell.shape[1]):
        cell[CELL_V, k] = cell[EMF, k] + cell[R0, k] * (current_a - cell[SENSE_A, k])
