"""Eyes: who sees what the bench drives: the DUT by what it reports, a scanner by its taps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import numpy as np

from bench.record import Floats
from bench.station import Station
from instruments import roles

#: How long a fresh report may take beyond its period [s]; project default.
PATIENCE_S = 3.0
_TAP = re.compile(r"cell_v\[(\d+)\]")


class Eyes(Protocol):
    """Somebody who sees all cells, or all sensors."""

    name: str

    def look(self) -> Floats:
        """What every input reads, as it was after this was called, (inputs,); nan where nothing is read."""
        ...


class DutEyes:
    """The DUT: what it reports.

    Parameters
    ----------
    station
        Open, its DUT started.
    trace
        `dut.cell_v` or `dut.temperature_degc`.
    inputs
        How many of them.
    sampling_s
        How often the DUT samples them [s], as its profile declares.
    """

    name = "the DUT"

    def __init__(self, station: Station, trace: str, inputs: int, sampling_s: float) -> None:
        self._station, self._trace, self._inputs = station, trace, inputs
        # One sampling period, and the report that was being put together meanwhile.
        self._settle_s = sampling_s + 2.0 * station.profile.communication.period_s

    def look(self) -> Floats:
        clock = self._station.clock
        fresh_s = clock.now_s + self._settle_s

        def reported() -> bool:
            trace = self._station.dut.traces().get(self._trace)
            return trace is not None and len(trace) > 0 and float(trace.t_s[-1]) >= fresh_s

        if not clock.until(reported, timeout_s=self._settle_s + PATIENCE_S, step_s=0.02):
            return np.full(self._inputs, np.nan)
        return np.array(self._station.dut.traces()[self._trace].last, dtype=np.float64)


class ScannerEyes:
    """A scanner whose channels are wired to the taps of cells."""

    def __init__(self, role: str, scan: Callable[[], dict[str, float]], inputs: int) -> None:
        self.name, self._scan, self._inputs = role, scan, inputs

    def look(self) -> Floats:
        seen = np.full(self._inputs, np.nan)
        for cell, value in taps(self._scan()).items():
            if cell < self._inputs:
                seen[cell] = value
        return seen


def taps(scanned: dict[str, float]) -> dict[int, float]:
    """The cells among what a scanner measured: cell to voltage [V]."""
    found = ((_TAP.fullmatch(name), value) for name, value in scanned.items())
    return {int(match[1]): value for match, value in found if match}


def scanners_of(station: Station) -> list[ScannerEyes]:
    """Every scanner of a station that is wired to taps of cells."""
    found = []
    for name, instrument in station.by_role.items():
        if isinstance(instrument, roles.Scanner) and taps(instrument.scan()):
            found.append(ScannerEyes(name, instrument.scan, station.profile.pack.cells))
    return found
