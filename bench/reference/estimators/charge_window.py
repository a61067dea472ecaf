"""Capacity from the charge moved between two voltages at a stated current, by a relation learnt from cells.

A cell that has lost capacity moves less charge between the same two voltages, since part of the loss shifts
and shrinks its curve and part of it is voltage lost in its resistance. How much less is not a law but a
relation that reference cells of the type have to show, at the same current and temperature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from scipy import stats

from bench.errors import InvalidInput
from bench.record import Floats

#: How far the current may wander inside a window and still be called constant, project default.
STEADY_FRACTION = 0.05
#: Blocks that the reference rows are cut into to find the order of the relation. Neighbours in a life are
#: nearly the same measurement, so single rows left out would always ask for the highest order.
_BLOCKS = 10
_MOST_ORDER = 5


@dataclass(frozen=True, slots=True)
class WindowCharge:
    """Charge between two voltages.

    Parameters
    ----------
    charge_ah
        Magnitude [Ah]; nan if the window was not run through: it did not begin outside, or never ended.
    bound_ah
        How wrong it may be [Ah], from sampling and from the voltage error.
    current_a
        Mean current in the window [A], positive when it charges.
    """

    charge_ah: float
    bound_ah: float
    current_a: float


@dataclass(frozen=True, slots=True)
class WindowRelation:
    """Capacity as a polynomial of the window's charge; see `learn_relation`.

    Parameters
    ----------
    polynomial
        Capacity [Ah] of charge [Ah].
    low_ah, high_ah
        Range of charge that the reference cells showed.
    uncertainty_ah
        Spread [Ah] of reference rows about a relation that was not learnt from their block.
    current_a
        Current at which it was learnt, positive when it charges.
    rows
        How many went in.
    """

    polynomial: Polynomial
    low_ah: float
    high_ah: float
    uncertainty_ah: float
    current_a: float
    rows: int


@dataclass(frozen=True, slots=True)
class WindowCapacity:
    """Capacity [Ah] of each row with its 95 % bound, shape (rows,).

    Outside the learnt range both are nan: the relation is not continued.
    """

    capacity_ah: Floats
    bound_ah: Floats


def window_charge(
    t_s: Floats,
    current_a: Floats,
    voltage_v: Floats,
    *,
    from_v: float,
    to_v: float,
    max_gap_s: float,
    voltage_bound_v: float = 0.0,
) -> WindowCharge:
    """Charge moved while the voltage goes from `from_v` to `to_v`, downwards or upwards.

    The window begins with the last crossing of `from_v` before the first crossing of `to_v`; both ends are
    interpolated between samples. A run that starts inside the window gives nan, not a smaller charge; so does
    one whose current, when switched on, takes the voltage there at once.

    Parameters
    ----------
    t_s, current_a, voltage_v
        Times [s], strictly increasing, current [A] and voltage [V] of one charge or discharge, shape (time,).
    from_v, to_v
        Ends of the window [V].
    max_gap_s
        Longest step between two samples of the window [s].
    voltage_bound_v
        How wrong the voltage may be [V].

    Raises
    ------
    InvalidInput
        If a value is nan, time does not increase, or inside the window there is a gap or the current is not
        steady within `STEADY_FRACTION`.
    """
    table = _checked(t_s, current_a, voltage_v)
    if not abs(to_v - from_v) > 0.0:
        found = f"{from_v:g} and {to_v:g} V"
        raise InvalidInput("charge window", expected="two different voltages", found=found)
    # Look at it as going upwards.
    sign = 1.0 if to_v > from_v else -1.0
    level, lower, upper = sign * table[2], sign * from_v, sign * to_v
    ends = np.flatnonzero((level[:-1] < upper) & (level[1:] >= upper))
    starts = np.flatnonzero((level[:-1] <= lower) & (level[1:] > lower))
    starts = starts[starts <= ends[0]] if len(ends) else starts[:0]
    if not len(starts):
        return WindowCharge(np.nan, np.nan, np.nan)
    first, last = int(starts[-1]), int(ends[0])
    # Switching on takes the voltage through `from_v` at once: the discharge itself began inside.
    if abs(table[1, first] - table[1, first + 1]) > STEADY_FRACTION * abs(table[1, first + 1]):
        return WindowCharge(np.nan, np.nan, np.nan)
    begin_s = _crossing(table[0], level, first, lower)
    end_s = _crossing(table[0], level, last, upper)
    t_inside = np.concatenate(([begin_s], table[0, first + 1 : last + 1], [end_s]))
    # The current is that of the samples inside: the one before may still be at rest.
    inside = table[1, first + 1 : last + 2]
    _check_steady(table[0, first : last + 2], inside, max_gap_s)
    i_inside = np.interp(t_inside, table[0, first + 1 : last + 2], inside)
    mean_a = float(np.trapezoid(i_inside, t_inside) / (end_s - begin_s))
    slopes = np.array([np.diff(level[k : k + 2])[0] / np.diff(table[0, k : k + 2])[0] for k in (first, last)])
    bound_ah = abs(mean_a) * float(np.sum(voltage_bound_v / slopes)) / 3600.0
    bound_ah += 0.5 * float(np.ptp(inside)) * (end_s - begin_s) / 3600.0
    return WindowCharge(abs(mean_a) * (end_s - begin_s) / 3600.0, bound_ah, mean_a)


def _checked(t_s: Floats, current_a: Floats, voltage_v: Floats) -> Floats:
    """The three columns as one table, shape (3, time)."""
    columns = [np.asarray(column, dtype=np.float64) for column in (t_s, current_a, voltage_v)]
    shapes = [column.shape for column in columns]
    if len(set(shapes)) > 1 or columns[0].ndim != 1 or len(columns[0]) < 2:
        found = ", ".join(map(str, shapes))
        raise InvalidInput("charge window", expected="two samples or more, shape (time,)", found=found)
    table = np.array(columns)
    if not np.isfinite(table).all():
        at = int(np.argmin(np.isfinite(table).all(axis=0)))
        raise InvalidInput(
            "charge window", expected="measured values only", found=f"nan or inf at sample {at}"
        )
    if np.any(np.diff(table[0]) <= 0.0):
        at_s = float(table[0, int(np.argmax(np.diff(table[0]) <= 0.0))])
        raise InvalidInput(
            "charge window", expected="strictly increasing time", found=f"a step at {at_s:g} s"
        )
    return table


def _crossing(t_s: Floats, level: Floats, k: int, at: float) -> float:
    share = (at - level[k]) / (level[k + 1] - level[k])
    return float(t_s[k] + share * (t_s[k + 1] - t_s[k]))


def _check_steady(t_s: Floats, current_a: Floats, max_gap_s: float) -> None:
    longest_s, mean_a = float(np.diff(t_s).max()), float(np.mean(current_a))
    if longest_s > max_gap_s:
        raise InvalidInput(
            "charge window", expected=f"steps of {max_gap_s:g} s at most", found=f"{longest_s:g} s"
        )
    if np.abs(current_a - mean_a).max() > STEADY_FRACTION * abs(mean_a):
        found = f"{current_a.min():g} to {current_a.max():g} A"
        raise InvalidInput("charge window", expected=f"a steady current near {mean_a:g} A", found=found)


def learn_relation(charge_ah: Floats, capacity_ah: Floats, current_a: float) -> WindowRelation:
    """Learn how capacity follows from the charge of a window.

    The order of the polynomial, 1 to 5, is the one that predicts left-out blocks of neighbouring rows best.

    Parameters
    ----------
    charge_ah, capacity_ah
        Of reference cells over their life, shape (rows,).
    current_a
        At which all of them were measured, positive when it charges.

    Raises
    ------
    InvalidInput
        If there are fewer than 20 rows, a value is nan, or all charges are the same.
    """
    charge, capacity = np.asarray(charge_ah, dtype=np.float64), np.asarray(capacity_ah, dtype=np.float64)
    if charge.shape != capacity.shape or charge.ndim != 1 or len(charge) < 2 * _BLOCKS:
        expected, found = f"{2 * _BLOCKS} rows or more", f"{charge.shape} and {capacity.shape}"
        raise InvalidInput("reference windows", expected=expected, found=found)
    if not (np.isfinite(charge).all() and np.isfinite(capacity).all()):
        raise InvalidInput("reference windows", expected="measured values only", found="nan or inf")
    if not (np.isfinite(current_a) and np.ptp(charge) > 0.0):
        found = f"{current_a:g} A, {charge.min():g} to {charge.max():g} Ah"
        raise InvalidInput("reference windows", expected="a known current, charges that differ", found=found)
    spread = [_left_out_spread(charge, capacity, order) for order in range(1, _MOST_ORDER + 1)]
    order = 1 + int(np.argmin(spread))
    return WindowRelation(
        Polynomial.fit(charge, capacity, order),
        float(charge.min()),
        float(charge.max()),
        spread[order - 1],
        current_a,
        len(charge),
    )


def _left_out_spread(charge: Floats, capacity: Floats, order: int) -> float:
    blocks = np.array_split(np.arange(len(charge)), _BLOCKS)
    errors = [
        Polynomial.fit(np.delete(charge, block), np.delete(capacity, block), order)(charge[block])
        - capacity[block]
        for block in blocks
    ]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def capacity_from_window(
    relation: WindowRelation, charge_ah: Floats, current_a: float, charge_bound_ah: float = 0.0
) -> WindowCapacity:
    """Capacity of cells from the charge of their windows.

    Parameters
    ----------
    charge_ah
        Shape (rows,); nan (window not run through) stays nan.
    current_a
        At which they were measured.
    charge_bound_ah
        How wrong each charge may be [Ah].

    Raises
    ------
    InvalidInput
        If the current differs by more than `STEADY_FRACTION` from the learnt one: the voltage lost in the
        resistance would be another.
    """
    if not abs(current_a - relation.current_a) <= STEADY_FRACTION * abs(relation.current_a):
        expected, found = f"{relation.current_a:g} A, as learnt", f"{current_a:g} A"
        raise InvalidInput("charge window", expected=expected, found=found)
    charge = np.asarray(charge_ah, dtype=np.float64)
    known = (charge >= relation.low_ah - charge_bound_ah) & (charge <= relation.high_ah + charge_bound_ah)
    capacity = np.where(known, relation.polynomial(charge), np.nan)
    slope = np.abs(relation.polynomial.deriv()(charge))
    factor = float(stats.norm.ppf(0.975))
    bound = np.where(known, factor * relation.uncertainty_ah + slope * charge_bound_ah, np.nan)
    return WindowCapacity(capacity, bound)
