"""How far the plant, with a cell file, is from a measured log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.cells import CellFile
from bench.cells.cell_file import FitError
from bench.fit.axes import Floats
from bench.fit.log import Log
from bench.plant.simulate import simulate


def error_v(cell: CellFile, log: Log) -> Floats:
    """Voltage of the plant less that measured [V], shape (time,); only the current drives the plant."""
    simulated = simulate(
        cell,
        log.t_s,
        log.current_a,
        temperature_degc=log.temperature_degc,
        soc=log.soc,
        hysteresis=log.hysteresis,
        capacity_ah=log.capacity_ah,
    )
    return simulated.voltage_v - log.voltage_v


def fit_error(cell: CellFile, log: Log, fitted: Sequence[str], *, from_s: float = 0.0) -> FitError:
    """Root mean square and largest error over the whole log, or from `from_s` after its start on."""
    error = error_v(cell, log)[log.t_s - log.t_s[0] >= from_s]
    return FitError(
        fitted=list(fitted),
        tested=log.name,
        rms_mv=1e3 * float(np.sqrt(np.mean(error**2))),
        max_mv=1e3 * float(np.abs(error).max()),
    )
