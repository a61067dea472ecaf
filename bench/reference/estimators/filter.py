"""The Kalman bank: extended Kalman filters from many starts over the same samples, weighed by likelihood.

A filter knows that its cell file is wrong. Beside SOC, RC voltages and hysteresis it carries the current's
offset, the errors of the resistances and of the capacity, a passing voltage error, and the error of the
open-circuit curve at KNOTS points of SOC. So a voltage that fits badly is blamed on what is least certain,
and where the curve is flat it says next to nothing about SOC. Compiled; `soc.py` prepares what goes in.
"""

from __future__ import annotations

from math import asinh, erf, exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Where each part of the state lies.
SOC, PAIR, HYSTERESIS, OFFSET_A, R0_ERROR, PAIR_ERROR = 0, 1, 4, 5, 6, 7
CAPACITY_ERROR, PASSING_V, CURVE_V = 10, 11, 12
PAIRS = 3
#: Points of SOC, evenly over 0..1, at which the open-circuit curve of the file may be off.
KNOTS = 15
STATES = CURVE_V + KNOTS

#: Columns that `run_bank` fills.
OUTPUTS = 9
#: Below this weight a filter is not run on.
LEAST_WEIGHT = 1e-5
#: An innovation beyond this many standard deviations counts as an outlier; the sample is trusted less.
OUTLIER = 4.0


class Curves(NamedTuple):
    """The cell's tables on one even grid of SOC, and of temperature where a first axis says so."""

    soc_first: float
    soc_step: float
    mean_v: Floats
    half_v: Floats
    entropy_v_per_k: Floats
    hysteresis_rate: float
    r0_ohm: Floats  # (temperatures, socs)
    pair_ohm: Floats  # (PAIRS, temperatures, socs)
    open_: Floats  # 1 where a voltage may correct SOC and offset, else 0


class Samples(NamedTuple):
    """What is known at each sample, all shape (time,) unless said; no nan but in `voltage_v`."""

    step_s: Floats
    current_a: Floats
    current_sd_a: Floats  # of the mean current since the sample before
    voltage_v: Floats
    voltage_sd_v: Floats
    warmth_k: Floats  # temperature above 25 °C
    row: NDArray[np.int64]  # of the temperature grid
    part: Floats  # way to the next row
    capacity_as: Floats
    transferred_a: Floats  # (time, PAIRS)
    linear_a: Floats  # (time, PAIRS), inf where a pair obeys Ohm's law
    decay: Floats  # (time, PAIRS)
    measured: NDArray[np.bool_]  # whether there is a voltage


class Doubts(NamedTuple):
    """What the filters assume of errors while they run; see `bank.ModelDoubt`."""

    offset_walk_a: float  # per square root of an hour
    resistance_walk: float  # per square root of full charge moved
    hysteresis: float
    passing_v: float
    passing_fraction: float  # of the polarisation
    passing_s: float
    evidence: float  # what a likelihood counts for the bound
    curve_walk: Floats  # (KNOTS, KNOTS) [V2/s]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _on_grid(table: Floats, place: float) -> float:
    k = min(max(int(place), 0), len(table) - 2)
    return float(table[k] + (place - k) * (table[k + 1] - table[k]))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _on_grids(table: Floats, row: int, part: float, place: float) -> float:
    place = min(max(place, 0.0), table.shape[1] - 1.0)
    return float(_on_grid(table[row], place) * (1.0 - part) + _on_grid(table[row + 1], place) * part)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _rest_v(curves: Curves, soc: float, branch: float, warmth_k: float) -> float:
    place = (soc - curves.soc_first) / curves.soc_step
    rested = _on_grid(curves.mean_v, place) + branch * _on_grid(curves.half_v, place)
    return float(rested + warmth_k * _on_grid(curves.entropy_v_per_k, place))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _transferred(current_a: float, linear_a: float) -> float:
    """Current that would give a pair its steady voltage if it obeyed Ohm's law (Butler-Volmer)."""
    return float(current_a if linear_a == np.inf else linear_a * asinh(current_a / linear_a))


@njit(cache=True)  # type: ignore[untyped-decorator]
def _predict(x: Floats, p: Floats, k: int, s: Samples, curves: Curves, doubts: Doubts) -> None:
    """Move one filter over the step that ends with sample `k`."""
    step_s, current_a = s.step_s[k], s.current_a[k] - x[OFFSET_A]
    place = (x[SOC] - curves.soc_first) / curves.soc_step
    by_current = step_s / s.capacity_as[k]
    moved = current_a * by_current
    # Rows and columns of P change one after the other: F is the identity but for a few entries.
    x[SOC] += moved * (1.0 + x[CAPACITY_ERROR])
    for j in range(STATES):
        p[SOC, j] += -by_current * p[OFFSET_A, j] + moved * p[CAPACITY_ERROR, j]
    for j in range(STATES):
        p[j, SOC] += -by_current * p[j, OFFSET_A] + moved * p[j, CAPACITY_ERROR]
    p[SOC, SOC] += (s.current_sd_a[k] * by_current) ** 2
    for n in range(PAIRS):
        ohm = _on_grids(curves.pair_ohm[n], s.row[k], s.part[k], place)
        keep = s.decay[k, n]
        drive = _transferred(current_a, s.linear_a[k, n])
        # The offset may be larger than the current at which the pair bends: the chord over its doubt.
        doubt_a = max(sqrt(p[OFFSET_A, OFFSET_A]), 1e-6)
        slope = _transferred(current_a + doubt_a, s.linear_a[k, n])
        slope = (slope - _transferred(current_a - doubt_a, s.linear_a[k, n])) / (2.0 * doubt_a)
        x[PAIR + n] = keep * x[PAIR + n] + (1.0 - keep) * ohm * drive
        turn = (1.0 - keep) * ohm * slope
        for j in range(STATES):
            p[PAIR + n, j] = keep * p[PAIR + n, j] - turn * p[OFFSET_A, j]
        for j in range(STATES):
            p[j, PAIR + n] = keep * p[j, PAIR + n] - turn * p[j, OFFSET_A]
        p[PAIR + n, PAIR + n] += (turn * s.current_sd_a[k]) ** 2
    _scale(x, p, HYSTERESIS, exp(-curves.hysteresis_rate * abs(moved)), doubts.hysteresis**2)
    x[HYSTERESIS] += np.sign(moved) * (1.0 - exp(-curves.hysteresis_rate * abs(moved)))
    polarised_v = abs(x[PAIR] + x[PAIR + 1] + x[PAIR + 2])
    passing = doubts.passing_v**2 + (doubts.passing_fraction * polarised_v) ** 2
    _scale(x, p, PASSING_V, exp(-step_s / doubts.passing_s), passing)
    walk = doubts.resistance_walk**2 * abs(moved)
    p[R0_ERROR, R0_ERROR] += walk
    for n in range(PAIRS):
        p[PAIR_ERROR + n, PAIR_ERROR + n] += walk
    for i in range(KNOTS):
        for j in range(KNOTS):
            p[CURVE_V + i, CURVE_V + j] += step_s * doubts.curve_walk[i, j]
    p[OFFSET_A, OFFSET_A] += doubts.offset_walk_a**2 * step_s / 3600.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _scale(x: Floats, p: Floats, n: int, keep: float, steady: float) -> None:
    """Let part `n` fade to 0 and its variance go to `steady`."""
    x[n] *= keep
    for j in range(STATES):
        p[n, j] *= keep
    for j in range(STATES):
        p[j, n] *= keep
    p[n, n] += (1.0 - keep * keep) * steady


@njit(cache=True)  # type: ignore[untyped-decorator]
def _correct(
    x: Floats, p: Floats, h: Floats, gain: Floats, k: int, s: Samples, curves: Curves, doubts: Doubts
) -> float:
    """Correct one filter by the voltage of sample `k`; returns the logarithm of its likelihood."""
    soc, spread = x[SOC], min(max(sqrt(p[SOC, SOC]), 0.005), 0.05)
    branch = min(max(x[HYSTERESIS], -1.0), 1.0)
    place = (soc - curves.soc_first) / curves.soc_step
    low = _rest_v(curves, soc - spread, branch, s.warmth_k[k])
    middle = _rest_v(curves, soc, branch, s.warmth_k[k])
    high = _rest_v(curves, soc + spread, branch, s.warmth_k[k])
    slope, bend = (high - low) / (2.0 * spread), 0.5 * (high + low) - middle
    r0 = _on_grids(curves.r0_ohm, s.row[k], s.part[k], place)
    current_a = s.current_a[k] - x[OFFSET_A]
    polarised_v = 0.0
    h[:] = 0.0
    h[SOC] = slope
    for n in range(PAIRS):
        h[PAIR + n] = 1.0 + x[PAIR_ERROR + n]
        h[PAIR_ERROR + n] = x[PAIR + n]
        polarised_v += h[PAIR + n] * x[PAIR + n]
    h[HYSTERESIS] = _on_grid(curves.half_v, place)
    h[OFFSET_A] = -(1.0 + x[R0_ERROR]) * r0
    h[R0_ERROR] = r0 * current_a
    h[PASSING_V] = 1.0
    knot = min(max(soc, 0.0), 1.0) * (KNOTS - 1)
    left = min(int(knot), KNOTS - 2)
    h[CURVE_V + left] = 1.0 - (knot - left)
    h[CURVE_V + left + 1] = knot - left
    expected = middle + (1.0 + x[R0_ERROR]) * r0 * current_a + polarised_v + x[PASSING_V]
    expected += h[CURVE_V + left] * x[CURVE_V + left] + h[CURVE_V + left + 1] * x[CURVE_V + left + 1]
    innovation = s.voltage_v[k] - expected
    noise = s.voltage_sd_v[k] ** 2 + 0.5 * bend * bend
    # Voltage is of this moment, current may be the mean since the last: off by the whole jump.
    noise += (2.0 * (r0 + _on_grids(curves.pair_ohm[0], s.row[k], s.part[k], place)) * s.current_sd_a[k]) ** 2
    total = noise
    for i in range(STATES):
        gain[i] = 0.0
        for j in range(STATES):
            gain[i] += p[i, j] * h[j]
        total += h[i] * gain[i]
    if innovation * innovation > OUTLIER**2 * total:
        total = innovation * innovation / OUTLIER**2
    found = -0.5 * (innovation * innovation / total + log(total))
    if _on_grid(curves.open_, place) < 0.5:
        # The weights must not do by choosing among filters what the gate forbids each of them.
        _held_back(x, p, gain, innovation, total)
        return 0.0
    for i in range(STATES):
        x[i] += gain[i] / total * innovation
    for i in range(STATES):
        for j in range(STATES):
            p[i, j] -= gain[i] * gain[j] / total
    return float(found)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _held_back(x: Floats, p: Floats, gain: Floats, innovation: float, total: float) -> None:
    """Correct all but SOC and offset, whose doubt is still felt by the others (Schmidt's consider filter)."""
    for i in range(STATES):
        if i not in (SOC, OFFSET_A):
            x[i] += gain[i] / total * innovation
    for i in range(STATES):
        for j in range(STATES):
            if not (i in (SOC, OFFSET_A) and j in (SOC, OFFSET_A)):
                p[i, j] -= gain[i] * gain[j] / total


@njit(cache=True)  # type: ignore[untyped-decorator]
def _quantile(weight: Floats, mean: Floats, sd: Floats, level: float) -> float:
    """Quantile of a mixture of normal distributions, by bisection."""
    low, high = 1e9, -1e9
    for n in range(len(weight)):
        if weight[n] > 0.0:
            low, high = min(low, mean[n] - 6.0 * sd[n]), max(high, mean[n] + 6.0 * sd[n])
    while high - low > 2e-4:
        middle, below = 0.5 * (low + high), 0.0
        for n in range(len(weight)):
            if weight[n] > 0.0:
                below += 0.5 * weight[n] * (1.0 + erf((middle - mean[n]) / (sd[n] * sqrt(2.0))))
        if below < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _shares(log_weight: Floats, alive: NDArray[np.bool_], weight: Floats) -> None:
    """Weights that add up to 1 from their logarithms; 0 for a filter that is not run on."""
    top = -np.inf
    for n in range(len(weight)):
        if alive[n]:
            top = max(top, log_weight[n])
    for n in range(len(weight)):
        weight[n] = exp(log_weight[n] - top) if alive[n] else 0.0
    weight /= weight.sum()


@njit(cache=True)  # type: ignore[untyped-decorator]
def _merged(weight: Floats, x: Floats, p: Floats, part: int) -> tuple[float, float]:
    """Mean and standard deviation of one part of the state over all filters."""
    mean, square = 0.0, 0.0
    for n in range(len(weight)):
        mean += weight[n] * x[n, part]
    for n in range(len(weight)):
        square += weight[n] * ((x[n, part] - mean) ** 2 + p[n, part, part])
    return mean, sqrt(square)


@njit(cache=True)  # type: ignore[untyped-decorator]
def run_bank(
    x: Floats, p: Floats, log_prior: Floats, s: Samples, curves: Curves, doubts: Doubts, out: Floats
) -> None:
    """Run the bank over all samples.

    Parameters
    ----------
    x, p
        States (filters, STATES) and covariances (filters, STATES, STATES); both are changed.
    log_prior
        Logarithms of the weights before the first sample, for the estimate and for the bound, shape
        (2, filters).
    s, curves, doubts
        The samples, the cell, and what is not known of it.
    out
        Filled, shape (time, OUTPUTS): SOC, its 2.5 % and 97.5 % quantile, offset [A], its standard deviation;
        relative error of the ohmic resistance and of what a charge moves, each with its standard deviation.
    """
    filters, samples = len(x), len(s.step_s)
    h, gain = np.zeros(STATES), np.zeros(STATES)
    chosen, believed, sd = np.zeros(filters), np.zeros(filters), np.zeros(filters)
    log_likelihood, alive = np.zeros(filters), np.ones(filters, np.bool_)
    for k in range(samples):
        for n in range(filters):
            if not alive[n]:
                continue
            if k > 0:
                _predict(x[n], p[n], k, s, curves, doubts)
            if s.measured[k]:
                log_likelihood[n] += _correct(x[n], p[n], h, gain, k, s, curves, doubts)
            sd[n] = sqrt(max(p[n, SOC, SOC], 1e-10))
        _shares(log_prior[0] + log_likelihood, alive, chosen)
        _shares(log_prior[1] + doubts.evidence * log_likelihood, alive, believed)
        offset, offset_square, mean = 0.0, 0.0, 0.0
        for n in range(filters):
            alive[n] = chosen[n] > LEAST_WEIGHT or believed[n] > LEAST_WEIGHT
            mean += chosen[n] * x[n, SOC]
            offset += chosen[n] * x[n, OFFSET_A]
        for n in range(filters):
            apart_a = x[n, OFFSET_A] - offset
            offset_square += believed[n] * (apart_a * apart_a + p[n, OFFSET_A, OFFSET_A])
        out[k, 0] = mean
        out[k, 1] = min(mean, _quantile(believed, x[:, SOC], sd, 0.025))
        out[k, 2] = max(mean, _quantile(believed, x[:, SOC], sd, 0.975))
        out[k, 3] = offset
        out[k, 4] = sqrt(offset_square)
        out[k, 5], out[k, 6] = _merged(believed, x, p, R0_ERROR)
        out[k, 7], out[k, 8] = _merged(believed, x, p, CAPACITY_ERROR)
