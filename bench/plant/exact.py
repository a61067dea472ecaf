"""Closed forms: exact steps of linear systems, means of products, and the line of a limited source."""

from __future__ import annotations

import math

from numba import njit


@njit  # type: ignore[untyped-decorator]
def exact_step(
    a11: float, a12: float, a21: float, a22: float, b1: float, b2: float, x1: float, x2: float, h: float
) -> tuple[float, float, float, float, float, float]:
    """State after `h` [s], its mean over `h`, and its steady value, for x' = A x + b with stable A.

    The matrix exponential of a 2x2 matrix in closed form: exp(A h) = c I + s (A - m I), m half the trace.
    """
    m = 0.5 * (a11 + a22)
    det = a11 * a22 - a12 * a21
    d = m * m - det
    if d > 0.0:
        # The small eigenvalue from the product of both: the difference would cancel when A is stiff.
        low = m - math.sqrt(d)
        high = det / low
        e_high, e_low = math.exp(high * h), math.exp(low * h)
        c = 0.5 * (e_high + e_low)
        s = (e_high - e_low) / (high - low)
    elif d < 0.0:
        w = math.sqrt(-d)
        e = math.exp(m * h)
        c = e * math.cos(w * h)
        s = e * math.sin(w * h) / w
    else:
        c = math.exp(m * h)
        s = h * c
    steady1 = (a12 * b2 - a22 * b1) / det
    steady2 = (a21 * b1 - a11 * b2) / det
    d1, d2 = x1 - steady1, x2 - steady2
    y1 = steady1 + c * d1 + s * ((a11 - m) * d1 + a12 * d2)
    y2 = steady2 + c * d2 + s * (a21 * d1 + (a22 - m) * d2)
    r1, r2 = (y1 - x1) / h, (y2 - x2) / h
    mean1 = steady1 + (a22 * r1 - a12 * r2) / det
    mean2 = steady2 + (a11 * r2 - a21 * r1) / det
    return y1, y2, mean1, mean2, steady1, steady2


@njit  # type: ignore[untyped-decorator]
def lag_mean(start: float, target: float, ratio: float) -> tuple[float, float]:
    """End and mean of a first-order lag after `ratio` time constants."""
    # expm1, because a bus that only leaks has a far target and a tiny ratio.
    gone = -math.expm1(-ratio)
    return start + (target - start) * gone, target + (start - target) * gone / ratio


@njit  # type: ignore[untyped-decorator]
def mean_product(a0: float, am: float, a1: float, b0: float, bm: float, b1: float) -> float:
    """Mean of the product of two curves given by both ends and mean (Simpson through the parabolas)."""
    return (a0 * b0 + 0.25 * (6.0 * am - a0 - a1) * (6.0 * bm - b0 - b1) + a1 * b1) / 6.0


@njit  # type: ignore[untyped-decorator]
def source_line(open_v: float, ohm: float, limit_a: float, v: float) -> tuple[float, float]:
    """The line i = p - q v on which a source works at voltage `v`: off, constant voltage or current."""
    current = (open_v - v) / ohm
    if current <= 0.0:
        return 0.0, 0.0
    if current >= limit_a:
        return limit_a, 0.0
    return open_v / ohm, 1.0 / ohm


@njit  # type: ignore[untyped-decorator]
def source_error(open_v: float, ohm: float, limit_a: float, v: float, p: float, q: float) -> float:
    """How far the line (p, q) is from the source's true current at `v` [A]."""
    return abs(min(max((open_v - v) / ohm, 0.0), limit_a) - (p - q * v))
