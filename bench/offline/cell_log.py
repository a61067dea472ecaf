"""The log of one cell on the times of its current, as estimators take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.foreign_log import Flag, ForeignLog
from bench.foreign_log.timebase import newest
from bench.record import Floats

#: Temperature where none was measured [degC].
ASSUMED_DEGC = 25.0
#: Current on so many of the rows makes the rows its time base; on fewer, the table has several rates.
_DENSE = 0.5


@dataclass(frozen=True, slots=True)
class CellLog:
    """Current, voltage and temperature on one time base, shape (time,), nan where nothing was measured.

    Parameters
    ----------
    t_s
        Strictly increasing.
    row
        For each row of the log, the sample that it shows, shape (rows,); -1 before the first.
    """

    t_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    row: NDArray[np.int64]
    flags: tuple[Flag, ...]


def cell_log(log: ForeignLog, *, temperature_degc: float | None = None) -> CellLog:
    """Put current, voltage and temperature of one cell on the times of the current.

    A voltage counts once, at the first sample of the current that is not before it: held any longer it would
    be no measurement. Temperature is held, since it moves slowly.

    Parameters
    ----------
    temperature_degc
        Of the cell, where the log holds none; default: 25 °C, which is flagged.

    Raises
    ------
    InvalidInput
        If the log has not one column each of current and voltage, or several of temperature.
    """
    current, voltage = log.only("i"), log.only("v")
    rows = np.unique(log.t_s)
    dense = len(current.t_s) > _DENSE * len(rows)
    t_s = rows if dense else current.t_s
    flags: list[Flag] = []
    current_a = np.full(len(t_s), np.nan)
    current_a[np.searchsorted(t_s, current.t_s)] = current.value
    at = newest(voltage.t_s, t_s)
    fresh = (at >= 0) & (np.diff(at, prepend=-1) > 0)
    voltage_v = np.where(fresh, voltage.value[np.maximum(at, 0)], np.nan)
    age_s = np.where(fresh, t_s - voltage.t_s[np.maximum(at, 0)], 0.0)
    if age_s.max() > 0.0:
        text = (
            f"{voltage.name} was sampled up to {age_s.max():.3g} s before {current.name}; it is used with "
            "the next current"
        )
        flags.append(Flag("held", float(t_s[np.argmax(age_s)]), 0, text))
    degc = _temperature(log, t_s, temperature_degc, flags)
    return CellLog(t_s, current_a, voltage_v, degc, newest(t_s, log.t_s), tuple(flags))


def _temperature(log: ForeignLog, t_s: Floats, stated_degc: float | None, flags: list[Flag]) -> Floats:
    if log.of("T"):
        column = log.only("T")
        if stated_degc is not None:
            text = f"--temperature {stated_degc:g} is not used: the log has its own, {column.name}"
            flags.append(Flag("unused", np.nan, 0, text))
        degc = column.held(t_s)
        degc[np.isnan(degc)] = column.value[0]  # before the first sample
        return degc
    if stated_degc is None:
        text = f"no column T and no --temperature: {ASSUMED_DEGC:g} degC assumed"
        flags.append(Flag("temperature", np.nan, 0, text))
    return np.full(len(t_s), ASSUMED_DEGC if stated_degc is None else stated_degc)
