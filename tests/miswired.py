"""Benches with wires where they should not be: `tests.miswired:<class>` as a driver in a station file.

What a channel puts out reaches the taps through a harness: a matrix from channels to cells.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from instruments.cells_bs1200 import EXCHANGES, Bs1200
from instruments.cells_bs1200_twin import Bs1200Twin
from instruments.thermistors_waveshare_ao8 import WaveshareAo8

__all__ = ["EXCHANGES", "DeadCells", "ReversedCell", "SwappedCells", "SwappedSensors", "SwappedWires"]


class _Harness(Bs1200Twin):
    """The stand-in at the end of a harness of its own."""

    def __init__(self, terminal: Any, **kept: Any) -> None:
        self._taps, cells = terminal.cells, len(terminal.cells.connected)
        self.matrix = self.wired(np.eye(cells))
        self._plugs = SimpleNamespace(
            connected=np.zeros(cells, dtype=bool),
            opened=np.zeros(cells, dtype=bool),
            voltage_v=np.zeros(cells),
            actual_voltage_v=np.zeros(cells),
            actual_current_a=np.zeros(cells),
        )
        super().__init__(SimpleNamespace(cells=self._plugs, meter=terminal.meter), **kept)
        self.clock.every(0.002, self._carry, name="harness")

    def wired(self, matrix: np.ndarray) -> np.ndarray:
        return matrix

    def _carry(self) -> None:
        taps, plugs = self._taps, self._plugs
        taps.voltage_v[:] = self.matrix @ plugs.voltage_v
        taps.connected[:] = np.abs(self.matrix) @ plugs.connected.astype(float) > 0.0
        plugs.actual_voltage_v[:] = plugs.voltage_v * plugs.connected


class _Swapped(_Harness):
    def wired(self, matrix: np.ndarray) -> np.ndarray:
        matrix[[7, 8]] = matrix[[8, 7]]
        return matrix


class _Reversed(_Harness):
    def wired(self, matrix: np.ndarray) -> np.ndarray:
        matrix[3, 3] = -1.0
        return matrix


class _Dead(_Harness):
    def wired(self, matrix: np.ndarray) -> np.ndarray:
        matrix[11, 11] = 0.0
        return matrix


class _Wires(_Harness):
    """The wires at both ends of cell 5 are swapped: it is reversed, its neighbours have it on top."""

    def wired(self, matrix: np.ndarray) -> np.ndarray:
        matrix[5, 5] = -1.0
        matrix[4, 5] = matrix[6, 5] = 1.0
        return matrix


class SwappedCells(Bs1200):
    """Channels 7 and 8 are swapped."""

    twin = _Swapped


class ReversedCell(Bs1200):
    """Channel 3 is the wrong way round."""

    twin = _Reversed


class DeadCells(Bs1200):
    """Channel 11 is not connected."""

    twin = _Dead


class SwappedWires(Bs1200):
    """Two neighbouring sense wires are swapped."""

    twin = _Wires


class SwappedSensors(WaveshareAo8):
    """Outputs 1 and 6 are swapped."""

    def set(self, *, temperature_degc: Any, sensor: int | None = None) -> None:
        if sensor is None and not isinstance(temperature_degc, int | float):
            temperature_degc = list(temperature_degc)
            temperature_degc[1], temperature_degc[6] = temperature_degc[6], temperature_degc[1]
        super().set(temperature_degc=temperature_degc, sensor={1: 6, 6: 1}.get(sensor, sensor))
