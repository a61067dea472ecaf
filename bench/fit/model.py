"""Voltage of the model over a log, and its derivative by every unknown.

The equations are the plant's, written a second time because the plant knows no derivatives; the error of a
cell file is measured with the plant. Resistances, time constants, linear currents, the rate and
the half distance of the branches enter by their logarithm: they cannot become negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.fit.axes import GRID_SOC, Axes, Floats, arrhenius, hat
from bench.fit.log import Log

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A log with what does not depend on the unknowns worked out, and which of its samples are compared.

    `soc` is the mean over each step.
    """

    log: Log
    soc: Floats
    base_v: Floats
    keep: Integers


def prepare(log: Log, base_v: Floats, every: int = 1) -> Prepared:
    """Work out what is the same for all unknowns; `base_v` is a first OCV on `GRID_SOC`."""
    soc = log.soc_trace - 0.5 * log.moved_ah / log.capacity_ah
    return Prepared(log, soc, _extended(soc, base_v), np.arange(every - 1, len(soc), every))


def _extended(soc: Floats, base_v: Floats) -> Floats:
    """OCV with the slope of the file's defaults beyond 0 and 1."""
    return np.interp(soc, GRID_SOC, base_v) + 12.0 * np.maximum(soc - 1, 0) + 30.0 * np.minimum(soc, 0)


def voltage(unknowns: Floats, axes: Axes, prepared: Prepared) -> tuple[Floats, Floats]:
    """Voltage at the kept samples [V], shape (kept,), and its derivative, shape (kept, unknowns)."""
    log, soc, keep = prepared.log, prepared.soc, prepared.keep
    jacobian = np.zeros((len(keep), len(unknowns)))
    volts = prepared.base_v + _mean(unknowns, axes, soc, keep, jacobian)
    volts += _branch(unknowns, axes, prepared, jacobian)
    if len(axes.entropy_soc):
        volts += _entropy(unknowns, axes, prepared, jacobian)
    r0, cells, values = _table(unknowns, axes, "r0", axes.r0_soc, log, soc)
    volts += r0 * log.current_a
    _add(jacobian, cells[keep], values[keep] * log.current_a[keep, None])
    for k in range(1, len(axes.rc_soc) + 1):
        volts += _pair(unknowns, axes, k, prepared, jacobian)
    return volts[keep], jacobian


def _add(jacobian: Floats, columns: Integers, values: Floats) -> None:
    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    np.add.at(jacobian, (rows, columns), values)


def _mean(unknowns: Floats, axes: Axes, soc: Floats, keep: Integers, jacobian: Floats) -> Floats:
    below, above = hat(soc, axes.ocv_soc)
    start, block = axes.slices["mean"].start, axes.block(unknowns, "mean")
    _add(jacobian, start + np.stack([below, below + 1], 1)[keep], np.stack([1 - above, above], 1)[keep])
    return (1 - above) * block[below] + above * block[below + 1]


def _entropy(unknowns: Floats, axes: Axes, prepared: Prepared, jacobian: Floats) -> Floats:
    below, above = hat(prepared.soc, axes.entropy_soc)
    start, block = axes.slices["entropy"].start, axes.block(unknowns, "entropy")
    warmer = prepared.log.temperature_degc - 25.0
    values = np.stack([(1 - above) * warmer, above * warmer], 1)
    _add(jacobian, start + np.stack([below, below + 1], 1)[prepared.keep], values[prepared.keep])
    return ((1 - above) * block[below] + above * block[below + 1]) * warmer


def _branch(unknowns: Floats, axes: Axes, prepared: Prepared, jacobian: Floats) -> Floats:
    log, keep = prepared.log, prepared.keep
    below, above = hat(prepared.soc, axes.half_soc)
    node_v = np.exp(axes.block(unknowns, "half"))
    low, high = (1 - above) * node_v[below], above * node_v[below + 1]
    rate = float(np.exp(axes.block(unknowns, "rate")[0]))
    moved = rate * log.moved_ah / log.capacity_ah
    h, by_rate = _walk(moved, log.hysteresis)
    start = axes.slices["half"].start
    values = np.stack([low * h, high * h], 1)
    _add(jacobian, start + np.stack([below, below + 1], 1)[keep], values[keep])
    jacobian[:, axes.slices["rate"].start] += ((low + high) * by_rate)[keep]
    volts: Floats = (low + high) * h
    return volts


def _table(
    unknowns: Floats, axes: Axes, name: str, nodes: Floats, log: Log, soc: Floats
) -> tuple[Floats, Integers, Floats]:
    """Resistance, shape (time,), the four unknowns behind it and its derivative by each, (time, 4)."""
    ohm = np.exp(axes.block(unknowns, name))
    below, above = hat(soc, nodes)
    colder, warm = arrhenius(log.temperature_degc, axes.temperature_degc)
    warmer = np.minimum(colder + 1, len(axes.temperature_degc) - 1)
    parts = np.stack([(1 - above) * ohm[colder, below], above * ohm[colder, below + 1],
                      (1 - above) * ohm[warmer, below], above * ohm[warmer, below + 1]], 1)  # fmt: skip
    cold_ohm, warm_ohm = parts[:, 0] + parts[:, 1], parts[:, 2] + parts[:, 3]
    result = cold_ohm ** (1 - warm) * warm_ohm**warm
    share_cold, share_warm = result * (1 - warm) / cold_ohm, result * warm / warm_ohm
    values = parts * np.stack([share_cold, share_cold, share_warm, share_warm], 1)
    width, start = len(nodes), axes.slices[name].start
    cells = start + np.stack([colder * width + below, colder * width + below + 1,
                              warmer * width + below, warmer * width + below + 1], 1)  # fmt: skip
    return result, cells, values


def _over_temperature(unknowns: Floats, axes: Axes, name: str, log: Log) -> tuple[Floats, Integers, Floats]:
    """Value, shape (time,), the two unknowns behind it and the derivative of its logarithm, (time, 2)."""
    block, start = axes.block(unknowns, name), axes.slices[name].start
    colder, warm = arrhenius(log.temperature_degc, axes.temperature_degc)
    warmer = np.minimum(colder + 1, len(block) - 1)
    value = np.exp((1 - warm) * block[colder] + warm * block[warmer])
    return value, start + np.stack([colder, warmer], 1), np.stack([1 - warm, warm], 1)


def _goal(
    unknowns: Floats, axes: Axes, k: int, prepared: Prepared
) -> tuple[Floats, list[tuple[Integers, Floats]]]:
    """Voltage that pair `k` tends to, shape (time,), and by which unknowns it changes how much."""
    log = prepared.log
    ohm, cells, by_ohm = _table(unknowns, axes, f"r{k}", axes.rc_soc[k - 1], log, prepared.soc)
    if k not in axes.bent:
        return ohm * log.current_a, [(cells, by_ohm * log.current_a[:, None])]
    i0, i0_cells, by_i0 = _over_temperature(unknowns, axes, f"linear{k}", log)
    ratio = log.current_a / i0
    through = i0 * np.arcsinh(ratio)
    bent_v = ohm * (through - log.current_a / np.sqrt(1 + ratio**2))
    return ohm * through, [(cells, by_ohm * through[:, None]), (i0_cells, by_i0 * bent_v[:, None])]


def _pair(unknowns: Floats, axes: Axes, k: int, prepared: Prepared, jacobian: Floats) -> Floats:
    keep = prepared.keep
    goal_v, slopes = _goal(unknowns, axes, k, prepared)
    tau, tau_cells, by_tau = _over_temperature(unknowns, axes, f"tau{k}", prepared.log)
    steps = prepared.log.step_s / tau
    stay = np.exp(-steps)
    # The mean of exp(-t/tau) over a step: what a block mean sees of the state before it.
    left = np.where(steps > 0, (1 - stay) / np.where(steps > 0, steps, 1.0), 1.0)
    for cells, slope in slopes:
        inflow, seen = (1 - stay)[:, None] * slope, (1 - left)[:, None] * slope
        _lag_into(jacobian, stay, left, inflow, seen, cells, keep)
    behind_v = _before(stay, goal_v) - goal_v
    inflow, seen = by_tau * (stay * steps * behind_v)[:, None], by_tau * ((left - stay) * behind_v)[:, None]
    _lag_into(jacobian, stay, left, inflow, seen, tau_cells, keep)
    volts: Floats = goal_v + left * behind_v
    return volts


@njit(cache=True)  # type: ignore[untyped-decorator]
def _before(stay: Floats, goal: Floats) -> Floats:
    """First-order lag of `goal`, from 0, as it is before each sample."""
    out = np.empty(len(goal))
    now = 0.0
    for n in range(len(goal)):
        out[n] = now
        now = stay[n] * now + (1.0 - stay[n]) * goal[n]
    return out


@njit(cache=True)  # type: ignore[untyped-decorator]
def _lag_into(
    jacobian: Floats,
    stay: Floats,
    left: Floats,
    inflow: Floats,
    seen: Floats,
    columns: Integers,
    keep: Integers,
) -> None:
    """Add the lag of derivatives: `inflow[n]` joins the state of `columns[n]`, `seen[n]` the block mean."""
    first, last = columns.min(), columns.max() + 1
    state = np.zeros(last - first)
    row = 0
    for n in range(len(stay)):
        if row < len(keep) and keep[row] == n:
            for c in range(last - first):
                jacobian[row, first + c] += left[n] * state[c]
            for j in range(columns.shape[1]):
                jacobian[row, columns[n, j]] += seen[n, j]
            row += 1
        for c in range(last - first):
            state[c] *= stay[n]
        for j in range(columns.shape[1]):
            state[columns[n, j] - first] += inflow[n, j]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _walk(moved: Floats, start: float) -> tuple[Floats, Floats]:
    """Branch over time and its derivative by ln(rate); `moved` is rate times charge moved."""
    h, slope = start, 0.0
    hs, slopes = np.empty(len(moved)), np.empty(len(moved))
    for n in range(len(moved)):
        stay = np.exp(-abs(moved[n]))
        towards = np.sign(moved[n])
        slope = stay * slope + (towards - h) * stay * abs(moved[n])
        h = stay * h + (1.0 - stay) * towards
        hs[n], slopes[n] = h, slope
    return hs, slopes
