"""What a cell file gives over temperature and SOC, as tables that the kernel looks up.

All quantities are brought to the union of the file's own axes, so at the file's points the kernel has the
file's values. Between and beyond its temperatures the Arrhenius law through the two nearest holds (the
logarithm is straight in 1/T), from LOW_DEGC to HIGH_DEGC; along SOC the straight line, held at the ends.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.cells import CellFile
from bench.plant.layout import (
    AT_KELVIN,
    AT_SOC,
    AXIS_LOG_LINEAR1_A,
    AXIS_LOG_TAU1,
    AXIS_PER_KELVIN,
    AXIS_ROWS,
    AXIS_SOC,
    AXIS_V_PER_K,
    DECAY1,
    LINEAR1_A,
    PAIRS_J,
    POLARISES_PER_S,
    R0,
    R1,
    R_FACTOR,
    SOC,
    STEP_S,
    TAU1,
    TEMPERATURE,
    U1,
    V_PER_K,
)

Floats = NDArray[np.float64]

LOW_DEGC, HIGH_DEGC = -40.0, 100.0
KELVIN = 273.15


def cell_tables(file: CellFile, *, capacity_scale: float = 1.0) -> tuple[Floats, Floats]:
    """The tables of a cell file for the kernel.

    Returns resistances [ohm], shape (1 + pairs, temperatures, points of SOC), R0 first, not scaled (each
    cell has its factor); and the rows of `layout` over one axis, shape (AXIS_ROWS, longest axis), where the
    charge-transfer current is scaled by `capacity_scale`.
    """
    tables = [file.r0, *file.rc]
    entropy = file.entropy
    temperatures = [table.temperature_degc for table in tables]
    socs = [table.soc for table in tables]
    if entropy is not None:
        socs.append(entropy.soc)
    degc = np.unique(np.concatenate(temperatures))
    if len(degc) == 1:
        degc = np.array([degc[0], degc[0] + 10.0])  # alike at every temperature
    soc = np.unique(np.concatenate([*socs, [0.0, 1.0]]))

    ohm = np.empty((len(tables), len(degc), len(soc)))
    axis = np.full((AXIS_ROWS, max(len(degc), len(soc))), np.nan)
    axis[AXIS_PER_KELVIN, : len(degc)] = 1.0 / (degc + KELVIN)
    axis[AXIS_SOC, : len(soc)] = soc
    for k, table in enumerate(tables):
        along = np.array([np.interp(soc, table.soc, row) for row in table.ohm])
        ohm[k] = np.exp(_arrhenius(degc, table.temperature_degc, np.log(along)))
    for k, pair in enumerate(file.rc):
        log_tau = np.log(pair.tau_s)[:, None]
        axis[AXIS_LOG_TAU1 + k, : len(degc)] = _arrhenius(degc, pair.temperature_degc, log_tau)[:, 0]
        if pair.linear_a is not None:
            log_a = np.log(pair.linear_a * capacity_scale)[:, None]
            axis[AXIS_LOG_LINEAR1_A + k, : len(degc)] = _arrhenius(degc, pair.temperature_degc, log_a)[:, 0]
    axis[AXIS_V_PER_K, : len(soc)] = 0.0 if entropy is None else np.interp(soc, entropy.soc, entropy.v_per_k)
    return ohm, axis


def _arrhenius(at_degc: Floats, degc: Floats, log: Floats) -> Floats:
    """Rows of `log`, shape (temperatures, columns), straight in 1/T between and beyond `degc`."""
    if len(degc) == 1:
        return np.repeat(log, len(at_degc), axis=0)
    x, at = 1.0 / (degc + KELVIN), 1.0 / (at_degc + KELVIN)
    k = np.clip(np.searchsorted(degc, at_degc, side="right") - 1, 0, len(degc) - 2)
    part = ((at - x[k]) / (x[k + 1] - x[k]))[:, None]
    found: Floats = log[k] + part * (log[k + 1] - log[k])
    return found


@njit  # type: ignore[untyped-decorator]
def place(value: float, row: int, last: int, start: int, axis: Floats) -> int:
    """The interval of an axis, rising or falling, that holds `value`; looked for from `start`, held at the
    ends."""
    sign = 1.0 if axis[row, last] > axis[row, 0] else -1.0
    k = start
    while k < last - 1 and sign * (value - axis[row, k + 1]) > 0.0:
        k += 1
    while k > 0 and sign * (value - axis[row, k]) < 0.0:
        k -= 1
    return k


@njit  # type: ignore[untyped-decorator]
def refresh_resistances(cell: Floats, ohm: Floats, axis: Floats, state: Floats) -> None:
    """Look up what changes slowly, at each cell's SOC and temperature: resistances, time constants, entropy.

    A pair that obeys Ohm's law has no linear current: not a number in its row, 0 in the cell. The pairs keep
    their voltages meanwhile; by how much the energy in them then seems to change is booked. How fast the
    pairs answer to a held voltage says how short a step has to be.
    """
    pairs, temperatures, socs = ohm.shape[0] - 1, ohm.shape[1], ohm.shape[2]
    quickest = 0.0
    for k in range(cell.shape[1]):
        degc = min(max(cell[TEMPERATURE, k], LOW_DEGC), HIGH_DEGC)
        per_kelvin = 1.0 / (degc + KELVIN)
        i = place(per_kelvin, AXIS_PER_KELVIN, temperatures - 1, int(cell[AT_KELVIN, k]), axis)
        a = (per_kelvin - axis[AXIS_PER_KELVIN, i]) / (
            axis[AXIS_PER_KELVIN, i + 1] - axis[AXIS_PER_KELVIN, i]
        )
        soc = min(max(cell[SOC, k], 0.0), 1.0)
        j = place(soc, AXIS_SOC, socs - 1, int(cell[AT_SOC, k]), axis)
        b = (soc - axis[AXIS_SOC, j]) / (axis[AXIS_SOC, j + 1] - axis[AXIS_SOC, j])
        cell[AT_KELVIN, k], cell[AT_SOC, k] = i, j
        stored = 0.0
        for p in range(pairs):
            if cell[U1 + p, k] != 0.0:
                stored += 0.5 * cell[U1 + p, k] ** 2 * cell[TAU1 + p, k] / cell[R1 + p, k]
        for p in range(pairs + 1):
            low = ohm[p, i, j] + b * (ohm[p, i, j + 1] - ohm[p, i, j])
            high = ohm[p, i + 1, j] + b * (ohm[p, i + 1, j + 1] - ohm[p, i + 1, j])
            cell[R0 + p, k] = cell[R_FACTOR, k] * low * math.exp(a * math.log(high / low))
        ohm_per_s = 0.0
        for p in range(pairs):
            row = AXIS_LOG_TAU1 + p
            cell[TAU1 + p, k] = math.exp(axis[row, i] + a * (axis[row, i + 1] - axis[row, i]))
            ohm_per_s += cell[R1 + p, k] / cell[TAU1 + p, k]
            row = AXIS_LOG_LINEAR1_A + p
            if not math.isnan(axis[row, 0]):
                cell[LINEAR1_A + p, k] = math.exp(axis[row, i] + a * (axis[row, i + 1] - axis[row, i]))
            if cell[U1 + p, k] != 0.0:
                stored -= 0.5 * cell[U1 + p, k] ** 2 * cell[TAU1 + p, k] / cell[R1 + p, k]
        quickest = max(quickest, ohm_per_s / cell[R0, k])
        state[PAIRS_J] += stored
        cell[V_PER_K, k] = axis[AXIS_V_PER_K, j] + b * (axis[AXIS_V_PER_K, j + 1] - axis[AXIS_V_PER_K, j])
    state[POLARISES_PER_S] = quickest
    state[STEP_S] = -1.0


@njit  # type: ignore[untyped-decorator]
def refresh_decays(h: float, pairs: int, cell: Floats, state: Floats) -> None:
    """Keep exp(-h / tau) while the step length stays the same."""
    if abs(h - state[STEP_S]) < 1e-12:
        return
    for k in range(cell.shape[1]):
        for p in range(pairs):
            cell[DECAY1 + p, k] = math.exp(-h / cell[TAU1 + p, k])
    state[STEP_S] = h
