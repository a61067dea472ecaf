"""Capacity state of health from short current pulses, by a Gaussian process learnt from reference cells.

The voltages are those of five pulses of 5 s at +0.5, -0.5, +1, -1 and +1.5 C, each followed by a rest, 21 in
all: before the first pulse (after rest), then start and end of each pulse and start and end of the rest after
it. Pulse voltages know the state of health of cells *like those learnt from*; nothing here replaces a
discharge. No fitted parameters are kept in this package: learn from cells of the type under test.

A model learns best from one row per cell: one state of charge, or the features of several put side by side
(`by_cell`). Where a cell has several rows, `learn` has to be told which: they are not independent, and its
bound comes from leaving out whole cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, stats

from bench.errors import InvalidInput
from bench.record import Floats

#: Rates of the five pulses [1/h], charge positive.
RATES_C = (0.5, -0.5, 1.0, -1.0, 1.5)
#: Columns of `pulse_features`: volts, and volts per C.
FEATURES = ("rest_v", "ohmic", "growth", "relaxation", "shift", "ohmic_slope", "ohmic_asymmetry")
#: What does not contain the ohmic drop, and so not the contact resistance of the clamps.
WITHOUT_CONTACT = ("rest_v", "relaxation", "shift")
#: Width (natural logarithm) of the prior of each hyperparameter: a factor of 7 for one standard deviation.
_PRIOR_WIDTH = 2.0
#: Prior medians of: linear weight, nonlinear weight, length, noise; all relative to spread of SOH, features.
_PRIOR = np.log([0.3, 0.1, 3.0, 0.3])


@dataclass(frozen=True, slots=True)
class SohPrediction:
    """State of health of each row, shape (rows,), as a fraction of nominal capacity.

    Parameters
    ----------
    soh, uncertainty
        Mean and standard uncertainty of the prediction for a cell not learnt from.
    bound
        Half width that holds the truth with 95 %.
    extrapolated
        True where some feature is outside what the reference cells showed, by more than a tenth of its range.
    """

    soh: Floats
    uncertainty: Floats
    bound: Floats
    extrapolated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SohModel:
    """A Gaussian process with a linear and, if asked for, a smooth nonlinear part; see `learn`.

    Parameters
    ----------
    low, high, mean, scale
        Range, mean and spread of each feature over the reference rows, shape (features,).
    soh_mean, soh_scale
        Mean and spread of the reference SOH.
    theta
        Logarithms of linear weight, nonlinear weight, length and noise, shape (4,).
    rows
        Standardised reference rows, shape (rows, features).
    weights, factor
        ``K^-1 y`` and the Cholesky factor of ``K``, shapes (rows,), (rows, rows).
    log_density
        Mean logarithm of the density that the model gives to each reference row when its cell is left out.
    widening
        By how much the standard uncertainty is widened, from the left-out cells; 1 at least.
    cells
        Number of reference cells.
    """

    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    soh_mean: float
    soh_scale: float
    theta: Floats
    rows: Floats
    weights: Floats
    factor: Floats
    log_density: float
    widening: float
    cells: int

    def __repr__(self) -> str:
        return f"SohModel({len(self.rows)} rows of {self.rows.shape[1]} features)"


def pulse_features(pulse_v: Floats) -> Floats:
    """Return what the 21 voltages say, as voltages per C wherever a current flows.

    Parameters
    ----------
    pulse_v
        U1 to U21 [V], shape (rows, 21), as in the head of this module.

    Returns
    -------
    Floats
        Shape (rows, 7), columns as in `FEATURES`: rest voltage; drop at once, mean of switching on and off;
        growth during the pulse; relaxation during the rest after it; what is left at its end (mean over the
        first four pulses); ohmic drop per C at 1.5 C less that at 0.5 C; charge less discharge.

    Raises
    ------
    InvalidInput
        If there are not 21 columns, or a voltage is missing (nan): no row is dropped silently.
    """
    volts = np.asarray(pulse_v, dtype=np.float64)
    if volts.ndim != 2 or volts.shape[1] != 21:
        raise InvalidInput("pulse_v", expected="shape (rows, 21)", found=f"{volts.shape}")
    if not np.isfinite(volts).all():
        raise InvalidInput("pulse_v", expected="21 measured voltages in each row", found="nan or inf")
    before, rest_end = volts[:, 0:20:4], volts[:, 4::4]
    on, end, off = volts[:, 1::4], volts[:, 2::4], volts[:, 3::4]
    rates = np.array(RATES_C)
    ohmic = 0.5 * ((on - before) + (end - off)) / rates
    columns = (
        volts[:, 0],
        ohmic.mean(axis=1),
        ((end - on) / rates).mean(axis=1),
        ((off - rest_end) / rates).mean(axis=1),
        ((rest_end - before) / rates)[:, :4].mean(axis=1),
        ohmic[:, 4] - ohmic[:, 0],
        0.5 * (ohmic[:, 0] + ohmic[:, 2] - ohmic[:, 1] - ohmic[:, 3]),
    )
    return np.column_stack(columns)


def by_cell(features: Floats, soc: Floats, cell: NDArray[np.int_]) -> tuple[Floats, NDArray[np.int_]]:
    """Put the rows of each cell side by side, in the order of their state of charge.

    Parameters
    ----------
    features
        Shape (rows, features).
    soc, cell
        Level of charge and cell of each row, shape (rows,). Every cell must have every level once.

    Returns
    -------
    tuple
        Features, shape (cells, levels * features), and the cells, shape (cells,), ascending.

    Raises
    ------
    InvalidInput
        If a cell misses a level or has one twice.
    """
    cells, levels = np.unique(cell), np.unique(soc)
    order = np.lexsort((soc, cell))
    complete = len(order) == len(cells) * len(levels)
    if not complete or not np.array_equal(soc[order], np.tile(levels, len(cells))):
        raise InvalidInput("pulses", expected=f"{len(levels)} levels once for each cell", found="others")
    return features[order].reshape(len(cells), -1), cells


def learn(
    features: Floats, soh: Floats, cell: NDArray[np.int_] | None = None, *, nonlinear: bool = False
) -> SohModel:
    """Learn the state of health from reference cells.

    The prior covariance of two rows is ``a² (1 + x·x'/n) + b² exp(-|x-x'|²/(2 n l²))`` over n standardised
    features (b = 0 if not `nonlinear`: that is ridge regression), plus noise. Its weights are those of the
    largest marginal likelihood times a wide log-normal prior, so nothing has to be tuned by hand.

    Parameters
    ----------
    features
        Shape (rows, features).
    soh
        Measured capacity over nominal capacity, shape (rows,).
    cell
        Which cell each row is of, shape (rows,); default: every row is a cell of its own.
    nonlinear
        Whether to allow for a smooth nonlinear part.

    Raises
    ------
    InvalidInput
        If shapes do not match, there are fewer than five cells, or a value is missing.
    """
    table, target = np.asarray(features, dtype=np.float64), np.asarray(soh, dtype=np.float64)
    groups = np.arange(len(table)) if cell is None else np.asarray(cell)
    if table.ndim != 2 or not target.shape == groups.shape == table.shape[:1] or len(np.unique(groups)) < 5:
        found = f"{table.shape}, {target.shape}, {groups.shape}"
        raise InvalidInput("reference rows", expected="(rows, features), five cells or more", found=found)
    if not (np.isfinite(table).all() and np.isfinite(target).all()):
        raise InvalidInput("reference rows", expected="measured values only", found="nan or inf")
    mean, scale = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-9)
    soh_mean, soh_scale = float(target.mean()), max(float(target.std()), 1e-6)
    rows, y = (table - mean) / scale, (target - soh_mean) / soh_scale
    theta = _fitted(rows, y, nonlinear)
    factor = linalg.cholesky(_kernel(theta, rows, rows) + _noise(theta, len(y)), lower=True)
    weights = linalg.cho_solve((factor, True), y)
    error, variance = _left_out(factor, weights, groups)
    density = float(np.mean(stats.norm.logpdf(error, scale=np.sqrt(variance))) - np.log(soh_scale))
    return SohModel(
        low=table.min(axis=0),
        high=table.max(axis=0),
        mean=mean,
        scale=scale,
        soh_mean=soh_mean,
        soh_scale=soh_scale,
        theta=theta,
        rows=rows,
        weights=weights,
        factor=factor,
        log_density=density,
        widening=max(1.0, float(np.sqrt(np.mean(error**2 / variance)))),
        cells=len(np.unique(groups)),
    )


def predict(model: SohModel, features: Floats) -> SohPrediction:
    """State of health of cells that were not learnt from.

    Parameters
    ----------
    features
        Shape (rows, features), as learnt.

    Raises
    ------
    InvalidInput
        If the number of features is another, or a value is missing.
    """
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != model.rows.shape[1] or not np.isfinite(table).all():
        raise InvalidInput(
            "features", expected=f"measured values, (rows, {model.rows.shape[1]})", found=f"{table.shape}"
        )
    rows = (table - model.mean) / model.scale
    cross = _kernel(model.theta, rows, model.rows)
    noise = np.exp(2.0 * model.theta[3])
    prior = np.array([_kernel(model.theta, row[None], row[None])[0, 0] for row in rows])
    explained = linalg.solve_triangular(model.factor, cross.T, lower=True)
    variance = np.maximum(prior - np.sum(explained**2, axis=0), 0.0) + noise
    uncertainty = np.sqrt(variance) * model.soh_scale * model.widening
    margin = 0.1 * (model.high - model.low)
    outside: NDArray[np.bool_] = np.any((table < model.low - margin) | (table > model.high + margin), axis=1)
    factor = float(stats.t.ppf(0.975, model.cells - 1))
    return SohPrediction(
        model.soh_mean + model.soh_scale * (cross @ model.weights), uncertainty, factor * uncertainty, outside
    )


def choose(
    candidates: Sequence[Floats],
    soh: Floats,
    cell: NDArray[np.int_] | None = None,
    *,
    nonlinear: bool = False,
) -> int:
    """Index of the feature table that predicts left-out reference cells best, by mean log density.

    It sees the reference cells only, so an error measured on other cells stays honest.

    Parameters
    ----------
    candidates
        Tables of the same rows, each (rows, features).
    soh, cell
        As in `learn`.
    """
    return int(np.argmax([learn(table, soh, cell, nonlinear=nonlinear).log_density for table in candidates]))


def _kernel(theta: Floats, left: Floats, right: Floats) -> Floats:
    features = left.shape[1]
    linear, smooth, length = np.exp(theta[:3])
    covariance: Floats = linear**2 * (1.0 + left @ right.T / features)
    if smooth > 0.0:
        covariance = covariance + smooth**2 * np.exp(-0.5 * _distance(left, right) / length**2)
    return covariance


def _distance(left: Floats, right: Floats) -> Floats:
    """Mean squared distance over the features, shape (left, right)."""
    squares = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1) - 2.0 * left @ right.T
    mean: Floats = np.maximum(squares, 0.0) / left.shape[1]
    return mean


def _noise(theta: Floats, rows: int) -> Floats:
    noise: Floats = np.eye(rows) * (np.exp(2.0 * theta[3]) + 1e-10)
    return noise


def _left_out(factor: Floats, weights: Floats, groups: NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Error of each row and its variance when the rows of its cell are not learnt from, in closed form."""
    precision = linalg.cho_solve((factor, True), np.eye(len(weights)))
    error, variance = np.empty_like(weights), np.empty_like(weights)
    for group in np.unique(groups):
        (own,) = np.nonzero(groups == group)
        covariance = linalg.inv(precision[np.ix_(own, own)])
        error[own], variance[own] = covariance @ weights[own], np.diag(covariance)
    return error, variance


def _fitted(rows: Floats, y: Floats, nonlinear: bool) -> Floats:
    """Hyperparameters of the largest posterior density, shape (4,)."""
    gram, apart, unit = 1.0 + rows @ rows.T / rows.shape[1], _distance(rows, rows), np.eye(len(y))

    def cost(theta: Floats) -> tuple[float, Floats]:
        linear, smooth, length, noise = np.exp(theta)
        line = linear**2 * gram
        bump = smooth**2 * np.exp(-0.5 * apart / length**2) * (1.0 if nonlinear else 0.0)
        factor = linalg.cholesky(line + bump + (noise**2 + 1e-10) * unit, lower=True)
        weights = linalg.cho_solve((factor, True), y)
        pull = np.outer(weights, weights) - linalg.cho_solve((factor, True), unit)
        slopes = (2 * line, 2 * bump, bump * apart / length**2, 2 * noise**2 * unit)
        away = (theta - _PRIOR) / _PRIOR_WIDTH
        value = 0.5 * y @ weights + np.log(np.diag(factor)).sum() + 0.5 * away @ away
        return float(value), np.array([-0.5 * np.sum(pull * slope) for slope in slopes]) + away / _PRIOR_WIDTH

    limits = [(middle - 6.0, middle + 6.0) for middle in _PRIOR]
    found = optimize.minimize(cost, _PRIOR, jac=True, method="L-BFGS-B", bounds=limits)
    return np.asarray(found.x) if nonlinear else np.where([0, 1, 0, 0], -np.inf, found.x)
