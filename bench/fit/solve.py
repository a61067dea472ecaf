"""Least squares over all logs at once: which unknowns give back the measured voltages best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bench.fit.axes import KELVIN, Axes, Floats
from bench.fit.log import Log
from bench.fit.model import Prepared, prepare, voltage


@dataclass(frozen=True, slots=True)
class Weights:
    """What the sum of squares holds beside the voltage errors, and how it weighs those.

    Parameters
    ----------
    scale_v
        Errors well above it count by their size, no longer by their square (soft L1).
    empty_soc, empty_factor
        Below this SOC the expected error grows, up to this factor at SOC 0.
    smooth_soc, smooth_temperature
        Expected change of the slope of ln R from one SOC interval to the next, and along 1/T.
    ocv_v, entropy_v_per_k, first_guess
        How far the OCV may leave the first one, dU/dT zero, and time constants, linear currents and
        rate (as logarithms) their first guess, each one standard deviation.
    noise_v
        Expected error of a voltage sample, model included. It balances data against all of the above.
    """

    scale_v: float = 0.02
    empty_soc: float = 0.1
    empty_factor: float = 3.0
    smooth_soc: float = 0.3
    smooth_temperature: float = 0.5
    ocv_v: float = 0.1
    entropy_v_per_k: float = 1e-3
    first_guess: float = 3.0
    noise_v: float = 0.1


DEFAULT = Weights()


def solve(
    logs: Sequence[Log],
    axes: Axes,
    base_v: Floats,
    guess: Floats,
    *,
    weights: Weights = DEFAULT,
    every: int = 4,
    rounds: int = 30,
) -> Floats:
    """Return the unknowns with the least sum of weighted squares (Levenberg and Marquardt, re-weighted).

    Parameters
    ----------
    base_v
        First open-circuit voltage on `axes.GRID_SOC`, half way between the branches.
    guess
        Vector of unknowns to start from.
    every
        Only each so many samples are compared; all are simulated.
    """
    prepared = [prepare(log, base_v, every if len(log.t_s) > 40 * every else 1) for log in logs]
    now, damping = guess.copy(), 1e-3
    cost, normal, gradient = _assembled(now, guess, axes, prepared, weights)
    for _ in range(rounds):
        step = -cho_solve(cho_factor(normal + damping * np.diag(np.diag(normal))), gradient)
        trial = now + np.clip(step, -1.0, 1.0)
        then = _assembled(trial, guess, axes, prepared, weights)
        if then[0] >= cost:
            damping *= 5.0
            if damping > 1e6:
                break
            continue
        done = cost - then[0] < 1e-5 * cost
        now, (cost, normal, gradient) = trial, then
        damping = max(damping / 5.0, 1e-9)
        if done:
            break
    return now


def _assembled(
    unknowns: Floats, guess: Floats, axes: Axes, prepared: Sequence[Prepared], weights: Weights
) -> tuple[float, Floats, Floats]:
    """Cost, normal matrix and gradient."""
    rows, offsets = _priors(axes, guess, weights)
    wrong = rows @ unknowns - offsets
    cost, normal, gradient = float(wrong @ wrong), rows.T @ rows, rows.T @ wrong
    for one in prepared:
        simulated, jacobian = voltage(unknowns, axes, one)
        error = simulated - one.log.voltage_v[one.keep]
        low = np.clip(1.0 - one.soc[one.keep] / weights.empty_soc, 0.0, 1.0)
        factor = np.sqrt(one.log.weight) / (1.0 + (weights.empty_factor - 1.0) * low)
        relative = error * factor / weights.scale_v
        root = np.sqrt(1.0 + relative**2)
        gain = (weights.scale_v / weights.noise_v) ** 2
        cost += gain * float(np.sum(2.0 * (root - 1.0)))
        share = factor**2 / root / weights.noise_v**2
        weighted = jacobian * share[:, None]
        normal += weighted.T @ jacobian
        gradient += weighted.T @ error
    return cost, normal, gradient


def _priors(axes: Axes, guess: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Rows and offsets of what is expected of the unknowns before any measurement."""
    rows: list[Floats] = []
    offsets: list[float] = []

    def expect(columns: Sequence[int], factors: Sequence[float], sigma: float, value: float = 0.0) -> None:
        row = np.zeros(axes.unknowns)
        row[list(columns)] = np.asarray(factors) / sigma
        rows.append(row)
        offsets.append(value / sigma)

    for name, nodes in _tables(axes).items():
        index = np.arange(axes.unknowns)[axes.slices[name]].reshape(axes.sizes[name])
        for along in np.atleast_2d(index):
            for columns, factors in _bends(nodes, along):
                expect(columns, factors, weights.smooth_soc)
            if name[0] == "r":
                expect([int(along[0])], [1.0], 3.0, float(guess[along[0]]))
        for along in np.atleast_2d(index).T if index.ndim == 2 else []:
            for columns, factors in _bends(1e3 / (axes.temperature_degc + KELVIN), along):
                expect(columns, factors, weights.smooth_temperature)
    for name, place in axes.slices.items():
        for at in range(place.start, place.stop):
            if name == "mean":
                expect([at], [1.0], weights.ocv_v)
            elif name == "entropy":
                expect([at], [1.0], weights.entropy_v_per_k)
            elif name in ("rate", "half") or name.startswith(("tau", "linear")):
                expect([at], [1.0], weights.first_guess, float(guess[at]))
    return np.array(rows), np.array(offsets)


def _tables(axes: Axes) -> dict[str, Floats]:
    pairs = {f"r{k}": soc for k, soc in enumerate(axes.rc_soc, 1)}
    return {"r0": axes.r0_soc, **pairs, "half": axes.half_soc}


def _bends(nodes: Floats, columns: Floats) -> list[tuple[list[int], list[float]]]:
    """For each inner node how far its value lies from the straight line of its neighbours, as factors."""
    found = []
    for k in range(1, len(nodes) - 1):
        share = float((nodes[k] - nodes[k - 1]) / (nodes[k + 1] - nodes[k - 1]))
        found.append(([int(c) for c in columns[k - 1 : k + 2]], [share - 1.0, 1.0, -share]))
    return found
