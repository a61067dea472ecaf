"""The largest value that keeps many bounds at once, found between zero and a highest value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: A value is found to this part of the highest.
STEPS = 131072
#: Cuts of the bracket before it is halved instead.
_CUTS = 12
#: Excess that is none, for bounds that are met exactly.
_ROUNDING = 1e-12


def largest(excess: Callable[[Floats], Floats], highest: float, shape: tuple[int, ...]) -> Floats:
    """Largest multiple of `highest` / `STEPS` that leaves no bound, to within the steps; shape `shape`.

    The bracket is cut where a straight line through the excess at its ends meets zero (Illinois: an end that
    stays counts half), and halved if that takes long. Whatever the cuts, it ends at the same multiple, so
    the result never rises where any excess does.

    Parameters
    ----------
    excess
        Value, shape `shape`, to the excess over each bound, shape (bounds, *shape).
    """
    low, high = np.zeros(shape), np.full(shape, float(STEPS))
    at_low, at_high = excess(low), excess(high * (highest / STEPS))
    low = np.where(_fits(at_high), high, low)
    high = np.where(_fits(at_low), high, low)
    for tried in range(60):
        if (high - low <= 1.0).all():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(at_high > 0.0, at_low / (at_low - at_high), 1.0).min(axis=0)
        part = np.nan_to_num(np.clip(part, 0.0, 1.0), nan=0.5) if tried < _CUTS else 0.5
        middle = np.floor(low + part * (high - low))
        middle = np.clip(middle, np.minimum(low + 1.0, high), np.maximum(high - 1.0, low))
        there = excess(middle * (highest / STEPS))
        fits = _fits(there)
        at_low, at_high = np.where(fits, there, 0.5 * at_low), np.where(fits, 0.5 * at_high, there)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low * (highest / STEPS)


def _fits(excess: Floats) -> NDArray[np.bool_]:
    fits: NDArray[np.bool_] = excess.max(axis=0) <= _ROUNDING
    return fits
