"""The resistance of one cell, or of the whole pack, grows faster than ageing explains.

From resistance estimates at irregular times with their uncertainties. The logarithm makes growth a straight
line, and the temperature a term: it is corrected by the Arrhenius law, and what the declared activation
temperature gets wrong is learned. A cell is held against the median of all, so that what all share (ageing,
cold) is no indication; the pack is held against how it has aged so far.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.prognosis.indication import Growth, Indication
from bench.reference.prognosis.samples import (
    above_zero,
    apart_from_median,
    checked,
    for_each,
    without_outliers,
)
from bench.reference.prognosis.warning import Rule

DAY_S = 86_400.0
#: Growth of the logarithm per day, project default: 1 % in two days; 0.05 % per day is normal ageing.
RULE = Rule(abnormal=5e-3, tolerated=5e-4, false_alarm_s=1000.0 * DAY_S)
#: Activation temperature of a cell's resistance [K], project default, near 30 kJ/mol.
ACTIVATION_K = 3600.0
_REFERENCE_K = 298.15


def cell_indication(
    *,
    t_s: ArrayLike,
    resistance_ohm: ArrayLike,
    temperature_degc: ArrayLike,
    relative_uncertainty: ArrayLike | None = None,
    activation_k: float = ACTIVATION_K,
    block_s: float = DAY_S,
) -> Indication:
    """Return the growth of each cell's resistance against the median of all.

    Parameters
    ----------
    t_s
        Times of the estimates [s], shape (time,).
    resistance_ohm
        Estimates [ohm], shape (time, cells); nan where there is none.
    temperature_degc
        Temperature of the cells at that time [degC], shape (time,) or (time, cells).
    relative_uncertainty
        Relative uncertainty of each estimate, shape (time, cells); only the ratios matter: an estimate counts
        by the inverse square of it against the median one. None: all alike.
    activation_k
        Activation temperature Ea / R [K].
    block_s
        Estimates within this time [s] are averaged.
    """
    times, logs, weight, inverse = _prepared(
        t_s, resistance_ohm, temperature_degc, relative_uncertainty, activation_k
    )
    if logs.shape[1] < 3:
        raise InvalidInput("resistance growth: cells", expected="3 or more", found=str(logs.shape[1]))
    return _indication("cell", times, apart_from_median(logs), weight, inverse, block_s)


def pack_indication(
    *,
    t_s: ArrayLike,
    resistance_ohm: ArrayLike,
    temperature_degc: ArrayLike,
    relative_uncertainty: ArrayLike | None = None,
    activation_k: float = ACTIVATION_K,
    block_s: float = DAY_S,
) -> Indication:
    """Return the growth of the pack's resistance: the mean of the cells' logarithms.

    Parameters are those of `cell_indication`. How fast the pack has aged so far is learned, so the indication
    and its magnitude are about what comes on top of that; a pack that has aged too fast from its first day on
    is none.
    """
    times, logs, weight, inverse = _prepared(
        t_s, resistance_ohm, temperature_degc, relative_uncertainty, activation_k
    )
    square = np.where(np.isfinite(logs), weight**2, 0.0)
    total = square.sum(axis=1, keepdims=True)
    weighted = np.nansum(logs * square, axis=1, keepdims=True)
    mean = np.where(total > 0.0, weighted / np.maximum(total, 1e-300), np.nan)
    indication = _indication("pack", times, mean, np.sqrt(total), inverse, block_s)
    age = (indication.t_s - indication.t_s[0]) / DAY_S
    return replace(indication, regressors=np.column_stack((indication.regressors, age)))


def _prepared(
    t_s: ArrayLike,
    resistance_ohm: ArrayLike,
    temperature_degc: ArrayLike,
    relative_uncertainty: ArrayLike | None,
    activation_k: float,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Times, corrected logarithms, weights (time, cells), and mean inverse temperature (time,)."""
    where = "resistance growth"
    times, (ohm, degc) = checked(
        where, t_s, ("resistance_ohm", resistance_ohm), ("temperature_degc", temperature_degc)
    )
    ohm = ohm if ohm.ndim == 2 else ohm[:, None]
    if (ohm <= 0.0).any():
        raise InvalidInput(
            f"{where}: resistance_ohm", expected="above 0, or nan", found=f"{np.nanmin(ohm):g} ohm"
        )
    degc = for_each(where, "temperature_degc", degc, ohm.shape)
    if (degc <= -273.15).any():
        found = f"{np.nanmin(degc):g} degC"
        raise InvalidInput(f"{where}: temperature_degc", expected="above -273.15 degC, or nan", found=found)
    inverse = 1.0 / (degc + 273.15) - 1.0 / _REFERENCE_K
    weight = np.ones_like(ohm)
    if relative_uncertainty is not None:
        _, (given,) = checked(where, t_s, ("relative_uncertainty", relative_uncertainty))
        given = for_each(where, "relative_uncertainty", given, ohm.shape)
        if (given <= 0.0).any():
            found = f"{np.nanmin(given):g}"
            raise InvalidInput(f"{where}: relative_uncertainty", expected="above 0, or nan", found=found)
        weight = float(np.nanmedian(given)) / given
    # Outliers are sought after the correction: a cold morning is none.
    logs = without_outliers(np.log(ohm) - activation_k * inverse, weight=weight)
    count = np.isfinite(inverse).sum(axis=1)
    mean = np.where(count > 0, np.nansum(inverse, axis=1) / np.maximum(count, 1), np.nan)
    return times, logs, weight, mean


def _indication(
    of: str, times: Floats, value: Floats, weight: Floats, inverse: Floats, block_s: float
) -> Indication:
    above_zero("resistance growth", block_s=block_s)
    number = np.floor((times - times[0]) / block_s + 1e-9).astype(np.int64)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    use = np.isfinite(value) & np.isfinite(weight) & np.isfinite(inverse)[:, None]
    square = np.where(use, weight**2, 0.0)
    total = np.add.reduceat(square, first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(use, value, 0.0) * square, first, axis=0) / total
    some = np.isfinite(inverse)
    warmth = np.add.reduceat(np.where(some, inverse, 0.0), first) / np.maximum(
        np.add.reduceat(some.astype(np.float64), first), 1.0
    )
    return Indication(
        phenomenon=f"resistance growth of a {of}" if of == "cell" else "resistance growth of the pack",
        unit="1/d",
        t_s=times[0] + (number[first] + 1) * block_s,
        block_s=block_s,
        value=mean,
        weight=np.where(total > 0.0, np.sqrt(total), np.nan),
        regressors=np.column_stack((np.ones(len(first)), warmth)),
        growth=Growth("ramp", unit_s=DAY_S),
        rivals=(Growth("step"),),
        sides="up",
    )
