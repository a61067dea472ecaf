"""Capacity from charge moved between two known states of charge: one piece, or many put together.

A piece is a stretch of measured current between two times at which the SOC is known (from a full charge, or
from an open-circuit voltage after rest). Both the charge and the SOC change are uncertain, so plain least
squares of charge against SOC change would be biased low (Plett 2011): pieces are combined by total least
squares, weighted by both. Here are no cell models; what else than a piece can tell the capacity is in
`charge_window` and `pulses`, what temperature does to it in `capacity_temperature`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from bench.errors import InvalidInput
from bench.record import Floats

#: Longest time between two samples [s] that is not taken for a gap, project default.
MAX_GAP_S = 10.0
#: Number of standard uncertainties in the bound of a combination.
COVERAGE = 2.0
_SQRT_3 = float(np.sqrt(3.0))


@dataclass(frozen=True, slots=True)
class Piece:
    """Charge moved, and what the SOC did meanwhile. All signs positive when charging.

    Parameters
    ----------
    charge_ah, charge_bound_ah
        Charge into the cell [Ah], and the most that it may be wrong.
    soc_change, soc_bound
        SOC at the end less SOC at the start, 0..1, and the most that it may be wrong.
    """

    charge_ah: float
    charge_bound_ah: float
    soc_change: float
    soc_bound: float

    @property
    def charge_uncertainty_ah(self) -> float:
        """Standard uncertainty [Ah]: nothing is known within the bound (rectangle, bound / sqrt 3)."""
        return self.charge_bound_ah / _SQRT_3

    @property
    def soc_uncertainty(self) -> float:
        """Standard uncertainty of the SOC change; rectangle, as the charge."""
        return self.soc_bound / _SQRT_3


@dataclass(frozen=True, slots=True)
class Capacity:
    """A capacity [Ah], its standard uncertainty and its bound (half width), and from how many pieces."""

    capacity_ah: float
    uncertainty_ah: float
    bound_ah: float
    pieces: int = 1

    def contains(self, capacity_ah: float) -> bool:
        """Whether a capacity [Ah] is within the bound."""
        return abs(capacity_ah - self.capacity_ah) <= self.bound_ah


def piece(
    t_s: Floats,
    current_a: Floats,
    soc_start: float,
    soc_end: float,
    *,
    soc_start_bound: float,
    soc_end_bound: float,
    current_offset_a: float = 0.0,
    current_gain_fraction: float = 0.0,
    max_gap_s: float = MAX_GAP_S,
) -> Piece:
    """Count the charge of one piece, with the most that it may be wrong.

    Parameters
    ----------
    t_s, current_a
        Times [s], strictly increasing, and current [A], shape (time,).
    soc_start, soc_end, soc_start_bound, soc_end_bound
        SOC at the first and last sample, 0..1, and how wrong each may be.
    current_offset_a, current_gain_fraction
        How wrong the current may be all the time: offset [A], and share of its value.
    max_gap_s
        Longest step between samples [s].

    Raises
    ------
    InvalidInput
        If a value is nan, time does not increase, a gap is longer than `max_gap_s` (the current in it is not
        known), an SOC is outside 0..1, or a bound is negative.
    """
    charge_ah, wobble_ah = counted(t_s, current_a, max_gap_s=max_gap_s)
    bounds = (soc_start_bound, soc_end_bound, current_offset_a, current_gain_fraction)
    # One by one: the least of several numbers hides a nan among them.
    if not (0.0 <= soc_start <= 1.0 and 0.0 <= soc_end <= 1.0 and all(bound >= 0.0 for bound in bounds)):
        found = f"SOC {soc_start:g} and {soc_end:g}, bounds {bounds}"
        raise InvalidInput("capacity piece", expected="SOC of 0 to 1, bounds of 0 or more", found=found)
    drift_ah = current_offset_a * float(t_s[-1] - t_s[0]) / 3600.0
    through_ah = float(np.trapezoid(np.abs(current_a), t_s)) / 3600.0
    charge_bound_ah = wobble_ah + drift_ah + current_gain_fraction * through_ah
    return Piece(charge_ah, charge_bound_ah, soc_end - soc_start, soc_start_bound + soc_end_bound)


def counted(t_s: Floats, current_a: Floats, *, max_gap_s: float = MAX_GAP_S) -> tuple[float, float]:
    """Charge [Ah] by trapezoids, and the most that sampling may have hidden [Ah].

    Between two samples the current may have changed at any time: off by half the difference at most.

    Raises
    ------
    InvalidInput
        As `piece`.
    """
    t_s, current_a = np.asarray(t_s, dtype=np.float64), np.asarray(current_a, dtype=np.float64)
    if t_s.ndim != 1 or t_s.shape != current_a.shape or len(t_s) < 2:
        found = f"{t_s.shape} and {current_a.shape}"
        raise InvalidInput("current", expected="two samples or more, shape (time,)", found=found)
    if not (np.isfinite(t_s).all() and np.isfinite(current_a).all()):
        raise InvalidInput("current", expected="measured values only", found="nan or inf")
    step_s = np.diff(t_s)
    if step_s.min() <= 0.0:
        at = float(t_s[int(np.argmin(step_s))])
        raise InvalidInput("current", expected="strictly increasing time", found=f"a step back at {at:g} s")
    if step_s.max() > max_gap_s:
        at = float(t_s[int(np.argmax(step_s))])
        found = f"a gap of {step_s.max():g} s after {at:g} s"
        raise InvalidInput("current", expected=f"samples every {max_gap_s:g} s at least", found=found)
    wobble = 0.5 * np.abs(np.diff(current_a)) @ step_s
    return float(np.trapezoid(current_a, t_s)) / 3600.0, float(wobble) / 3600.0


def from_piece(one: Piece) -> Capacity:
    """Capacity of a single piece: ``charge / SOC change``, with the bound of the quotient.

    Raises
    ------
    InvalidInput
        If the SOC did not surely move (change within its own bound), charge and SOC moved apart, or a value
        is nan.
    """
    moved, charge_ah = abs(one.soc_change), one.charge_ah * np.sign(one.soc_change)
    if not (moved > one.soc_bound >= 0.0 and charge_ah > 0.0 and one.charge_bound_ah >= 0.0):
        change = f"{one.soc_change:.4f} +- {one.soc_bound:.4f}"
        found = f"{change} for {one.charge_ah:.4f} +- {one.charge_bound_ah:.4f} Ah"
        raise InvalidInput("capacity piece", expected="an SOC that surely moved with the charge", found=found)
    capacity_ah = charge_ah / moved
    relative = np.hypot(one.charge_uncertainty_ah / charge_ah, one.soc_uncertainty / moved)
    # The quotient is farther off above than below, since the SOC change is in the denominator.
    most_ah = (charge_ah + one.charge_bound_ah) / (moved - one.soc_bound)
    return Capacity(float(capacity_ah), float(capacity_ah * relative), float(most_ah - capacity_ah))


def combine(pieces: list[Piece], *, forgetting: float = 1.0, shared_fraction: float = 0.0) -> Capacity:
    """Capacity of many pieces by weighted total least squares.

    Minimises ``sum w (q - Q s)² / (u_q² + Q² u_s²)`` over Q, with ``w = forgetting**age``. The standard
    uncertainty is that of the curvature at the minimum, widened where the pieces scatter more than they say.

    Parameters
    ----------
    pieces
        In the order of time, the newest last.
    forgetting
        Weight of a piece relative to the one after it, above 0 to 1.
    shared_fraction
        The most that all pieces may be wrong alike, as a share of the capacity: the gain of the current
        sensor, say. It does not shrink with the number of pieces, so it belongs here and not in their bounds.

    Raises
    ------
    InvalidInput
        If there is no piece, `forgetting` or `shared_fraction` is out of range, or the pieces do not fix a
        capacity.
    """
    if not pieces or not 0.0 < forgetting <= 1.0:
        found = f"{len(pieces)} pieces, forgetting {forgetting:g}"
        raise InvalidInput("capacity pieces", expected="one or more, forgetting above 0 to 1", found=found)
    charge, soc, charge_u, soc_u = _columns(pieces)
    weight = forgetting ** np.arange(len(pieces) - 1.0, -1.0, -1.0)
    start_ah = float(weight @ (charge * soc)) / max(float(weight @ soc**2), 1e-12)
    if start_ah <= 0.0:
        found = f"{start_ah:g} Ah"
        raise InvalidInput("capacity pieces", expected="charge that moves with the SOC", found=found)

    def misfit(capacity_ah: float) -> float:
        return float(
            weight @ ((charge - capacity_ah * soc) ** 2 / (charge_u**2 + (capacity_ah * soc_u) ** 2))
        )

    found_ah = optimize.minimize_scalar(
        misfit, bounds=(0.3 * start_ah, 3.0 * start_ah), method="bounded", options={"xatol": 1e-9 * start_ah}
    )
    capacity_ah, scatter = float(found_ah.x), float(found_ah.fun)
    step_ah = 1e-3 * capacity_ah
    sides = misfit(capacity_ah + step_ah) + misfit(capacity_ah - step_ah)
    curvature = (sides - 2.0 * scatter) / step_ah**2
    one = _combined(capacity_ah, curvature, scatter, float(weight.sum()), len(pieces))
    return _widened(one, shared_fraction)


@dataclass(frozen=True, slots=True)
class RunningCapacity:
    """Approximate weighted total least squares: six sums instead of all pieces, for a log without end.

    Each piece is drawn to the nearest point of the line ``q = Q s`` in coordinates where its two
    uncertainties are alike; with ``x = s``, ``y = q / ratio_ah`` this leaves a quartic in Q. It equals
    `combine` if every piece has ``u_q / u_s = ratio_ah``.

    Parameters
    ----------
    ratio_ah
        Typical charge uncertainty over SOC uncertainty [Ah]; sets the coordinates.
    forgetting
        As in `combine`.
    sums
        Of ``x²/u_y²``, ``xy/u_y²``, ``y²/u_y²``, ``x²/u_x²``, ``xy/u_x²``, ``y²/u_x²``; of the weights.
    pieces
        How many went in.

    Source: G. L. Plett, Recursive approximate weighted total least squares estimation of battery cell total
    capacity, J. Power Sources 196 (2011) 2319-2331, doi:10.1016/j.jpowsour.2010.09.048 (abstract seen;
    sums and quartic derived here).
    """

    ratio_ah: float
    forgetting: float = 1.0
    sums: tuple[float, ...] = (0.0,) * 7
    pieces: int = 0

    def add(self, one: Piece) -> RunningCapacity:
        """The estimate with one more piece.

        Raises
        ------
        InvalidInput
            If the piece has no uncertainty (it would have infinite weight) or a value is nan; if `ratio_ah`
            or `forgetting` is out of range.
        """
        if not (self.ratio_ah > 0.0 and 0.0 < self.forgetting <= 1.0):
            found = f"{self.ratio_ah:g} Ah and {self.forgetting:g}"
            raise InvalidInput(
                "running capacity", expected="ratio_ah above 0, forgetting above 0 to 1", found=found
            )
        _columns([one])
        if not (one.charge_uncertainty_ah > 0.0 and one.soc_uncertainty > 0.0):
            raise InvalidInput("capacity piece", expected="bounds above 0", found=f"{one}")
        x, y = one.soc_change, one.charge_ah / self.ratio_ah
        products = np.array([x * x, x * y, y * y])
        across = products / (one.charge_uncertainty_ah / self.ratio_ah) ** 2
        along = products / one.soc_uncertainty**2
        sums = self.forgetting * np.array(self.sums) + np.concatenate((across, along, [1.0]))
        return RunningCapacity(self.ratio_ah, self.forgetting, tuple(map(float, sums)), self.pieces + 1)

    def capacity(self, *, shared_fraction: float = 0.0) -> Capacity:
        """The present estimate; `shared_fraction` as in `combine`.

        Raises
        ------
        InvalidInput
            If no piece has gone in, or the pieces do not fix a positive capacity.
        """
        c1, c2, c3, c4, c5, c6, weight = self.sums
        # Numerator of d(misfit)/dQ, misfit = (c4 Q^4 - 2 c5 Q^3 + (c1 + c6) Q^2 - 2 c2 Q + c3) / (1 + Q^2)^2.
        slope = (c5, 2.0 * c4 - c1 - c6, 3.0 * (c2 - c5), c1 + c6 - 2.0 * c3, -c2)
        roots = np.roots(slope) if any(slope) else np.array([])
        real = roots[(np.abs(roots.imag) < 1e-6 * np.abs(roots)) & (roots.real > 0.0)].real
        if not len(real):
            found = f"{self.pieces} pieces without one"
            raise InvalidInput("capacity pieces", expected="a positive capacity", found=found)
        level = np.poly1d([c4, -2.0 * c5, c1 + c6, -2.0 * c2, c3])
        ratio = float(real[np.argmin(level(real) / (1.0 + real**2) ** 2)])
        step = 1e-3 * ratio
        misfit = [float(level(q) / (1.0 + q**2) ** 2) for q in (ratio - step, ratio, ratio + step)]
        curvature = (misfit[0] + misfit[2] - 2.0 * misfit[1]) / step**2 / self.ratio_ah**2
        one = _combined(ratio * self.ratio_ah, curvature, misfit[1], weight, self.pieces)
        return _widened(one, shared_fraction)


def _combined(capacity_ah: float, curvature: float, scatter: float, weight: float, pieces: int) -> Capacity:
    if not curvature > 0.0:
        found = f"no minimum near {capacity_ah:g} Ah"
        raise InvalidInput("capacity pieces", expected="pieces that fix a capacity", found=found)
    # More scatter than stated: the stated uncertainties were too small (Birge ratio).
    birge = max(1.0, scatter / (weight - 1.0)) if weight > 1.5 else 1.0
    uncertainty_ah = (2.0 * birge / curvature) ** 0.5
    return Capacity(capacity_ah, uncertainty_ah, COVERAGE * uncertainty_ah, pieces)


def _widened(one: Capacity, shared_fraction: float) -> Capacity:
    if not 0.0 <= shared_fraction < 1.0:
        found = f"{shared_fraction:g}"
        raise InvalidInput("capacity: shared_fraction", expected="0 to below 1", found=found)
    shared_ah = shared_fraction * one.capacity_ah
    uncertainty_ah = float(np.hypot(one.uncertainty_ah, shared_ah / _SQRT_3))
    return Capacity(one.capacity_ah, uncertainty_ah, one.bound_ah + shared_ah, one.pieces)


def _columns(pieces: list[Piece]) -> tuple[Floats, Floats, Floats, Floats]:
    columns = np.array(
        [(one.charge_ah, one.soc_change, one.charge_uncertainty_ah, one.soc_uncertainty) for one in pieces]
    )
    usable = (
        np.isfinite(columns).all(axis=1)
        & (columns[:, 2:] >= 0.0).all(axis=1)
        & (columns[:, 2:].sum(axis=1) > 0.0)
    )
    if not usable.all():
        found = f"{pieces[int(np.argmin(usable))]}"
        raise InvalidInput("capacity pieces", expected="measured values with bounds above 0", found=found)
    return columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3]
