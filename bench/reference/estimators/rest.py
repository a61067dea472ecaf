"""The state of charge that a voltage at rest tells, and within what."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.errors import InvalidInput
from bench.record import Floats


def soc_at_rest(
    rest_v: float, rest_bound_v: float, table_soc: Floats, table_v: Floats
) -> tuple[float, float]:
    """SOC of a voltage at rest, and how wrong it may be, from an open-circuit table.

    Where the table is flat the bound grows by itself: it is the range of SOC whose voltage lies within
    `rest_bound_v`. Beyond an end of the table nothing is known, unless that end is empty (0) or full (1).

    Parameters
    ----------
    rest_v, rest_bound_v
        Voltage at rest [V], and how far it may be from the table (instrument, rest, hysteresis, table).
    table_soc, table_v
        SOC, 0..1, and open-circuit voltage [V], both increasing (voltage not strictly), shape (points,).

    Returns
    -------
    tuple
        Middle and half width of the range of SOC.

    Raises
    ------
    InvalidInput
        If the table does not increase or holds nan, the bound is not 0 or more, the voltage is outside the
        table by more than the bound, or the range reaches past an end that is neither empty nor full.
    """
    soc, table = np.asarray(table_soc, dtype=np.float64), np.asarray(table_v, dtype=np.float64)
    if soc.ndim != 1 or soc.shape != table.shape or len(soc) < 2:
        found = f"{soc.shape} and {table.shape}"
        raise InvalidInput("open-circuit table", expected="two points or more, shape (points,)", found=found)
    # A difference with nan is not above 0.
    if not ((np.diff(soc) > 0.0).all() and (np.diff(table) >= 0.0).all()):
        found = f"SOC {soc} and {table} V"
        raise InvalidInput("open-circuit table", expected="increasing SOC and voltage", found=found)
    if not rest_bound_v >= 0.0:
        raise InvalidInput("rest voltage: bound", expected="0 V or more", found=f"{rest_bound_v:g} V")
    # An end at empty or full ends the range as well; at another SOC the cell may be beyond it.
    least_v = table[0] + (-rest_bound_v if soc[0] <= 0.0 else rest_bound_v)
    most_v = table[-1] + (rest_bound_v if soc[-1] >= 1.0 else -rest_bound_v)
    if not least_v <= rest_v <= most_v:
        expected = f"{least_v:g} to {most_v:g} V, where the table is known"
        raise InvalidInput("rest voltage", expected=expected, found=f"{rest_v:g} V")
    low = _soc(rest_v - rest_bound_v, soc, table, "left")
    high = _soc(rest_v + rest_bound_v, soc, table, "right")
    return (low + high) / 2.0, (high - low) / 2.0


def _soc(voltage_v: float, table_soc: Floats, table_v: Floats, side: Literal["left", "right"]) -> float:
    """First (left) or last (right) SOC of a voltage; the table's end beyond it."""
    k = int(np.searchsorted(table_v, voltage_v, side=side))
    if k in (0, len(table_v)):
        return float(table_soc[min(k, len(table_v) - 1)])
    share = (voltage_v - table_v[k - 1]) / (table_v[k] - table_v[k - 1])
    return float(table_soc[k - 1] + share * (table_soc[k] - table_soc[k - 1]))
