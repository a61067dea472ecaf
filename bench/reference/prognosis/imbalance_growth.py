"""The spread between the cells grows from day to day.

The level of a cell is its state of charge, or its rest voltage at about the same state of charge; what grows
is highest less lowest. A spread that is there and stays is no indication, nor is one that jumps once, as
when a cell or a sense input is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.reference.intervals import Mask
from bench.reference.prognosis.indication import Growth, Indication
from bench.reference.prognosis.samples import block_means, checked
from bench.reference.prognosis.warning import Rule

DAY_S = 86_400.0
#: Growth of the spread of the state of charge in 1/d, project default.
RULE = Rule(abnormal=2e-3, tolerated=4e-4, false_alarm_s=1000.0 * DAY_S)
#: The same for rest voltages, in V/d, project default.
VOLTAGE_RULE = Rule(abnormal=2e-3, tolerated=4e-4, false_alarm_s=1000.0 * DAY_S)


@dataclass(frozen=True, slots=True)
class Slope:
    """Slope of a spread over a whole record, with its expanded uncertainty (k = 2), both per day."""

    per_day: float
    uncertainty: float


def spread_indication(
    *,
    t_s: ArrayLike,
    level: ArrayLike,
    unit: str,
    valid: Mask | None = None,
    block_s: float = DAY_S,
    correlation_s: float = 0.0,
) -> Indication:
    """Return the growth of the spread of the pack: one channel.

    Parameters
    ----------
    t_s
        Bench time [s], shape (time,).
    level
        State of charge [1] or rest voltage [V] of each cell, shape (time, cells); nan where not known. A cell
        that is missing in a block is left out of the spread of that block.
    unit
        "1" or "V".
    valid
        Samples to use, shape (time,): at rest, at comparable states of charge. None: all of them.
    block_s
        Length of a block [s].
    correlation_s
        Correlation time of the noise of one cell [s].

    Notes
    -----
    The noise of a difference of two cells is the root of two times that of one; where the cells are alike the
    range of the noise is narrower, and its mean is not 0, but it does not grow.
    """
    times, (cells,) = checked("imbalance growth", t_s, ("level", level))
    if cells.ndim != 2 or cells.shape[1] < 2:
        raise InvalidInput(
            "imbalance growth: level", expected="(time, 2 cells or more)", found=f"{cells.shape}"
        )
    if unit not in ("1", "V"):
        raise InvalidInput("imbalance growth: unit", expected="1 or V", found=unit)
    blocks = block_means(t_s=times, value=cells, valid=valid, block_s=block_s)
    enough = np.isfinite(blocks.value).sum(axis=1) > 1
    known = np.where(enough[:, None], blocks.value, 0.0)
    spread = np.where(enough, np.nanmax(known, axis=1) - np.nanmin(known, axis=1), np.nan)
    weight = blocks.weight(correlation_s=correlation_s, period_s=float(np.median(np.diff(times))))
    least = np.where(enough, np.nanmin(np.where(enough[:, None], weight, 0.0), axis=1), np.nan)
    return Indication(
        phenomenon="imbalance growth",
        unit=f"{unit}/d",
        t_s=blocks.t_s,
        block_s=block_s,
        value=spread[:, None],
        weight=least[:, None] / np.sqrt(2.0),
        regressors=np.ones((len(spread), 1)),
        growth=Growth("ramp", unit_s=DAY_S),
        rivals=(Growth("step"),),
        sides="up",
    )


def slope(indication: Indication, *, sigma: float) -> Slope:
    """Return the straight line through all of the spread by least squares, and how well it is known.

    Parameters
    ----------
    sigma
        Noise of one sample of one cell, standard deviation.
    """
    use = np.isfinite(indication.value[:, 0]) & np.isfinite(indication.weight[:, 0])
    if use.sum() < 2:
        raise InvalidInput("imbalance growth: blocks", expected="2 or more", found=str(int(use.sum())))
    day = indication.t_s[use] / DAY_S
    square = indication.weight[use, 0] ** 2
    day = day - np.sum(day * square) / np.sum(square)
    spread = np.sum(day**2 * square)
    return Slope(
        float(np.sum(day * square * indication.value[use, 0]) / spread), float(2.0 * sigma / np.sqrt(spread))
    )
