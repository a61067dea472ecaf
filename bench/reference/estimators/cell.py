"""The reference model's own cell: a cell file as functions of SOC, temperature and current.

Open-circuit voltage with a hysteresis branch and entropic shift, ohmic resistance, up to three RC pairs, with
or without Butler-Volmer charge transfer. The plant has equations of its own for the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.cells import CellFile

Floats = NDArray[np.float64]

KELVIN = 273.15
REFERENCE_DEGC = 25.0


@dataclass(frozen=True, slots=False)
class CellModel:
    """One cell of a type, as large and as aged as it is.

    Parameters
    ----------
    file
        Tables of the cell type.
    capacity_ah
        Present capacity [Ah]; default: that of the type. Resistances do not follow it.
    resistance_factor
        Multiplies every resistance of the type (ageing, size, parallel cells).
    """

    file: CellFile
    capacity_ah: float = float("nan")
    resistance_factor: float = 1.0

    def __post_init__(self) -> None:
        if np.isnan(self.capacity_ah):
            object.__setattr__(self, "capacity_ah", self.file.capacity_ah)

    @property
    def pairs(self) -> int:
        """Number of RC pairs."""
        return len(self.file.rc)

    def open_circuit_v(
        self, soc: ArrayLike, *, temperature_degc: ArrayLike = REFERENCE_DEGC, branch: ArrayLike = 0.0
    ) -> Floats:
        """Open-circuit voltage [V].

        Parameters
        ----------
        soc
            State of charge; outside 0..1 the branches go on with the slopes of the file.
        temperature_degc
            Cell temperature [°C]; shifts by the entropic coefficient, if the file has one.
        branch
            -1 discharge branch, 0 mean, +1 charge branch.
        """
        ocv = self.file.ocv
        z = np.asarray(soc, dtype=np.float64)
        outside = ocv.overcharge_v_per_soc * np.maximum(z - 1.0, 0.0)
        outside += ocv.overdischarge_v_per_soc * np.minimum(z, 0.0)
        mean, half = np.interp(z, ocv.soc, self._mean_v), np.interp(z, ocv.soc, self._half_v)
        shift = self.entropy_v_per_k(z) * (np.asarray(temperature_degc) - REFERENCE_DEGC)
        found: Floats = mean + outside + np.asarray(branch) * half + shift
        return found

    def slope_v(self, soc: ArrayLike, *, width: float = 0.02) -> Floats:
        """Slope of the mean open-circuit voltage [V per unit of SOC], over `width` of SOC."""
        z = np.asarray(soc, dtype=np.float64)
        rise = self.open_circuit_v(z + 0.5 * width) - self.open_circuit_v(z - 0.5 * width)
        found: Floats = rise / width
        return found

    def soc_at(self, voltage_v: ArrayLike, *, branch: float = 0.0) -> Floats:
        """SOC at a rested voltage [V] on one branch at 25 °C, held to 0..1."""
        curve = np.maximum.accumulate(self._mean_v + branch * self._half_v)
        # The inverse of a flat piece is its middle only if equal voltages are told apart by a hair.
        curve = curve + 1e-9 * np.arange(len(curve))
        found: Floats = np.interp(np.asarray(voltage_v), curve, self.file.ocv.soc)
        return found

    def hysteresis_half_v(self, soc: ArrayLike) -> Floats:
        """Half the distance of the branches [V]."""
        return np.asarray(np.interp(np.asarray(soc), self.file.ocv.soc, self._half_v))

    def entropy_v_per_k(self, soc: ArrayLike) -> Floats:
        """Entropic coefficient dU/dT [V/K]; 0 if the file has none."""
        z = np.asarray(soc, dtype=np.float64)
        table = self.file.entropy
        return np.zeros_like(z) if table is None else np.asarray(np.interp(z, table.soc, table.v_per_k))

    def usable_ah(self, temperature_degc: ArrayLike) -> Floats:
        """Capacity that a slow discharge delivers at a temperature [Ah]."""
        degc = np.asarray(temperature_degc, dtype=np.float64)
        table = self.file.usable
        if table is None:
            return np.full_like(degc, self.capacity_ah)
        return self.capacity_ah * np.asarray(np.interp(degc, table.temperature_degc, table.fraction))

    def r0_ohm(self, soc: ArrayLike, temperature_degc: ArrayLike) -> Floats:
        """Ohmic resistance [ohm]."""
        table = self.file.r0
        return self.resistance_factor * over_both(
            soc, temperature_degc, table.soc, table.temperature_degc, table.ohm
        )

    def pair(self, k: int, soc: ArrayLike, temperature_degc: ArrayLike) -> tuple[Floats, Floats]:
        """Resistance [ohm] and time constant [s] of RC pair `k`, 0 the fastest."""
        table = self.file.rc[k]
        ohm = over_both(soc, temperature_degc, table.soc, table.temperature_degc, table.ohm)
        tau = arrhenius(temperature_degc, table.temperature_degc, table.tau_s)
        return self.resistance_factor * ohm, np.broadcast_to(tau, ohm.shape)

    def transferred_a(self, k: int, current_a: ArrayLike, temperature_degc: ArrayLike) -> Floats:
        """Current [A] that would give pair `k` the same steady voltage if it obeyed Ohm's law."""
        i = np.asarray(current_a, dtype=np.float64)
        if self.file.rc[k].linear_a is None:
            return i
        knee = self.linear_a(k, temperature_degc)
        found: Floats = knee * np.arcsinh(i / knee)
        return found

    def linear_a(self, k: int, temperature_degc: ArrayLike) -> Floats:
        """Current [A] up to which pair `k` obeys Ohm's law; inf if it always does."""
        table = self.file.rc[k]
        if table.linear_a is None:
            return np.full_like(np.asarray(temperature_degc, dtype=np.float64), np.inf)
        scale = self.capacity_ah / self.file.capacity_ah
        return scale * arrhenius(temperature_degc, table.temperature_degc, table.linear_a)

    @cached_property
    def _mean_v(self) -> Floats:
        return self.file.ocv.mean_v

    @cached_property
    def _half_v(self) -> Floats:
        return self.file.ocv.half_v


def arrhenius(temperature_degc: ArrayLike, axis_degc: Floats, value: Floats) -> Floats:
    """Positive values over temperature: the logarithm straight in 1/T through the two nearest of `axis_degc`.

    Parameters
    ----------
    temperature_degc
        Where [°C], any shape.
    axis_degc, value
        Where the values are given and what they are, shape (temperatures,).
    """
    degc = np.asarray(temperature_degc, dtype=np.float64)
    if len(axis_degc) == 1:
        return np.full_like(degc, value[0])
    k = np.clip(np.searchsorted(axis_degc, degc) - 1, 0, len(axis_degc) - 2)
    part = _share(degc, axis_degc, k)
    log = np.log(value)
    found: Floats = np.exp(log[k] + part * (log[k + 1] - log[k]))
    return found


def over_both(
    soc: ArrayLike, temperature_degc: ArrayLike, soc_axis: Floats, degc_axis: Floats, table: Floats
) -> Floats:
    """A positive table (temperatures, socs) at points: straight along SOC, Arrhenius along temperature."""
    z, degc = np.broadcast_arrays(np.asarray(soc, np.float64), np.asarray(temperature_degc, np.float64))
    if len(degc_axis) == 1:
        return np.asarray(np.interp(z, soc_axis, table[0]), dtype=np.float64)
    k = np.clip(np.searchsorted(degc_axis, degc) - 1, 0, len(degc_axis) - 2)
    part = _share(degc, degc_axis, k)
    rows = np.array([np.interp(z, soc_axis, row) for row in table])
    low = np.take_along_axis(rows, k[None], axis=0)[0]
    high = np.take_along_axis(rows, k[None] + 1, axis=0)[0]
    found: Floats = np.exp(np.log(low) + part * (np.log(high) - np.log(low)))
    return found


def _share(degc: Floats, axis_degc: Floats, k: NDArray[np.intp]) -> Floats:
    """How far each temperature lies between its two neighbours, counted in 1/T; on beyond the ends."""
    inverse = 1.0 / (axis_degc + KELVIN)
    found: Floats = (1.0 / (degc + KELVIN) - inverse[k]) / (inverse[k + 1] - inverse[k])
    return found
