"""How long control charts run before they alarm: mean and distribution, for independent normal samples.

Everything is in units of the noise: a sample is ``x ~ N(mean, sigma)`` with sigma 1 while nothing is wrong.
The statistic of a chart is a Markov chain on a grid (Brook and Evans); the mean run length solves a linear
system, its distribution comes from stepping the chain, which also holds for a mean that changes over time.

Source: D. Brook, D. A. Evans, Biometrika 59 (1972), 539-548, as cited by the R package spc
(`xcusum.arl`), whose examples give the published tables that the tests hold this module against.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from bench.errors import InvalidInput
from bench.record import Floats

#: States of the chain. Against the tables, 121 states are good to 0.1 % of the mean run length.
STATES = 121
#: Longest mean run length [samples] for which the linear system is still well conditioned.
LONGEST = 1e10


def cusum_chain(*, k: float, h: float, mean: float, sigma: float = 1.0, states: int = STATES) -> Floats:
    """Return the transition probabilities between the states below `h` of an upper CUSUM.

    The statistic is ``S = max(0, S + x - k)``. State 0 is S = 0 and has half a cell, state i has its centre
    at ``i * w`` with ``w = 2 h / (2 states - 1)``.

    Returns
    -------
    Floats
        Shape (states, states); what a row lacks to 1 is the probability of an alarm.
    """
    width = 2.0 * h / (2 * states - 1)
    step = np.arange(-states, states) + 0.5
    below = ndtr((step * width + k - mean) / sigma)
    index = np.arange(states)
    apart = index[None, :] - index[:, None] + states
    chain = below[apart] - below[apart - 1]
    chain[:, 0] = below[apart[:, 0]]
    return np.asarray(chain, dtype=np.float64)


def _mean_run(chain: Floats, start: int) -> float:
    with np.errstate(all="ignore"):
        runs = np.linalg.solve(np.eye(len(chain)) - chain, np.ones(len(chain)))
    return float(runs[start])


def cusum_arl(*, k: float, h: float, mean: float, sigma: float = 1.0) -> float:
    """Return the mean run length [samples] of an upper CUSUM that starts at 0.

    Two grids, extrapolated for an error that falls with the square of the number of states.
    """
    fine = _mean_run(cusum_chain(k=k, h=h, mean=mean, sigma=sigma), 0)
    coarse = _mean_run(cusum_chain(k=k, h=h, mean=mean, sigma=sigma, states=STATES // 2), 0)
    ratio = (STATES / (STATES // 2)) ** 2
    return fine + (fine - coarse) / (ratio - 1.0)


def both_sides(up: float, down: float) -> float:
    """Mean run length of two one-sided charts that run side by side: rates of alarm add.

    Source: support.sas.com and jmp.com, statistical details for the average run length of CUSUM charts.
    """
    return 1.0 / (1.0 / up + 1.0 / down)


def siegmund_arl(*, k: float, h: float, mean: float) -> float:
    """Return Siegmund's closed approximation of `cusum_arl`, with ``b = h + 1.166``.

    Source: Siegmund (1985) as public code restates it (Hawkins and Olwell, eq. 3.7); the book was not seen.
    """
    drift, b = mean - k, h + 1.166
    if abs(drift) < 1e-9:
        return b * b
    exponent = min(-2.0 * drift * b, 700.0)
    return float((np.exp(exponent) + 2.0 * drift * b - 1.0) / (2.0 * drift * drift))


@lru_cache(maxsize=256)
def cusum_threshold(*, k: float, arl0: float) -> float:
    """Return the threshold h at which an upper CUSUM runs `arl0` samples on average while nothing is wrong.

    Raises
    ------
    InvalidInput
        If `k` is not above 0, or `arl0` is not in 2 to `LONGEST`.
    """
    if not k > 0.0:
        raise InvalidInput("cusum_threshold: k", expected="above 0", found=f"{k:g}")
    if not 2.0 <= arl0 <= LONGEST:
        raise InvalidInput(
            "cusum_threshold: samples between false alarms",
            expected=f"2 to {LONGEST:g}",
            found=f"{arl0:g}; change the block length or the time between false alarms",
        )

    def excess(h: float) -> float:
        return float(np.log(cusum_arl(k=k, h=h, mean=0.0) / arl0))

    top = 0.5
    while excess(top) < 0.0:
        top *= 1.5
    return float(brentq(excess, 1e-3, top, xtol=1e-6)) if excess(1e-3) < 0.0 else 1e-3


@lru_cache(maxsize=64)
def steady_state(*, k: float, h: float) -> Floats:
    """Distribution over the states of an upper CUSUM that has run long without an alarm, shape (states,)."""
    chain = cusum_chain(k=k, h=h, mean=0.0)
    for _ in range(14):
        # 2 ** 14 samples: some ten times the memory of the slowest chart in use (k = 1/8).
        chain = chain @ chain
        chain /= chain.sum(axis=1).max()
    state: Floats = chain[0] / chain[0].sum()
    state.setflags(write=False)
    return state


def alarm_probability(
    *, k: float, h: float, mean: Floats, sigma: Floats | float = 1.0, steady: bool
) -> Floats:
    """Return the probability that an upper CUSUM has alarmed by each sample, shape (samples,).

    Parameters
    ----------
    k, h
        Reference value and threshold, in sigma.
    mean, sigma
        Mean and standard deviation of each sample, shape (samples,); a nan mean is a sample that is missing.
    steady
        Start from the steady state without alarm; else from 0, the latest that a chart can start.
    """
    mean = np.asarray(mean, dtype=np.float64)
    spread = np.broadcast_to(np.asarray(sigma, dtype=np.float64), mean.shape)
    state = steady_state(k=k, h=h) if steady else np.eye(1, STATES)[0]
    found = np.empty(len(mean))
    chain, last = cusum_chain(k=k, h=h, mean=0.0), (0.0, 1.0)
    for index, (m, s) in enumerate(zip(mean, spread, strict=True)):
        if np.isfinite(m):
            if (m, s) != last:
                # Ten sigma beyond the threshold is an alarm for sure; a bound keeps the chain finite.
                chain, last = cusum_chain(k=k, h=h, mean=min(m, h + k + 10.0 * s), sigma=s), (m, s)
            state = state @ chain
        found[index] = 1.0 - state.sum()
        if state.sum() < 1e-9:
            found[index:] = 1.0
            break
    return np.clip(found, 0.0, 1.0)


def ewma_arl(*, weight: float, width: float, mean: float, states: int = STATES) -> float:
    """Return the mean run length [samples] of a two-sided EWMA that starts at 0.

    The statistic is ``Z = (1 - weight) Z + weight x``, the limits are plus and minus `width` times its
    asymptotic standard deviation ``sqrt(weight / (2 - weight))``.

    Source: Markov chain as for the CUSUM; tables of Crowder (1989) as the R package spc prints them.
    """
    limit = width * np.sqrt(weight / (2.0 - weight))
    edges = np.linspace(-limit, limit, states + 1)
    centre = 0.5 * (edges[1:] + edges[:-1])
    below = ndtr((edges[None, :] - (1.0 - weight) * centre[:, None]) / weight - mean)
    return _mean_run(np.diff(below, axis=1), states // 2)


@lru_cache(maxsize=64)
def ewma_width(*, weight: float, arl0: float) -> float:
    """Return the width of the limits at which a sound EWMA runs `arl0` samples on average."""
    if not 0.0 < weight <= 1.0:
        raise InvalidInput("ewma_width: weight", expected="above 0, at most 1", found=f"{weight:g}")
    if not 2.0 <= arl0 <= LONGEST:
        raise InvalidInput(
            "ewma_width: samples between false alarms", expected=f"2 to {LONGEST:g}", found=f"{arl0:g}"
        )

    def excess(width: float) -> float:
        return float(np.log(ewma_arl(weight=weight, width=width, mean=0.0) / arl0))

    return float(brentq(excess, 0.05, 8.0, xtol=1e-6))
