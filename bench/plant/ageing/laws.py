"""How fast capacity goes and resistance grows under one stress: the form of a law, and the stress it takes.

Every way in which a cell ages (a *mode*) follows one trajectory y = shape((kappa x)^p), x being days or
equivalent full cycles. So a mode needs one number to remember, its clock u = sum(kappa dx), whatever
stresses came in which order: steps add up exactly, and ageing twice as fast is a clock twice as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GAS_CONSTANT_J_PER_MOL_K = 8.3144
ZERO_DEGC_K = 273.15
#: The loss of negative sites of a Kokam 75 Ah cell grows towards the cold with this energy (Smith, Saxon,
#: Keyser, Lundstrom, "Life Prediction Model for Grid-Connected Li-ion Battery Energy Storage System", as
#: transcribed in a public script; the paper itself was not seen). Project defaults: that it holds for the
#: loss by cycling of any cell, below the coldest test of its law, in proportion to the charge rate over 1 C.
COLD_J_PER_MOL = 48.26e3
#: Active material that a fresh cell has beyond what its lithium fills, and the electrode's resistance over
#: what is left of it. Source: BLAST-Lite 1.1.1, blast/models/nmc111_gr_Kokam75Ah_2017.py.
SPARE_MATERIAL, ELECTRODE_OFFSET, ELECTRODE_SLOPE = 0.01, -0.08, 1.09


@dataclass(frozen=True, slots=True)
class Stress:
    """What cells go through while nothing changes from day to day.

    Parameters
    ----------
    temperature_k, temperature_share
        Temperatures [K], shape (cells, bins, 1), and their shares of the time, (bins,).
    soc, soc_share
        States of charge over a day, shape (cells, 1, samples), and their shares, (cells, samples).
    depth
        Depth of the cycles as a fraction of what the cell still holds, shape (cells, 1, 1).
    rate_c, charge_rate_c
        Mean |current| that the laws take, (cells, 1, 1), and current of charging, both over the capacity
        when new [1/h].
    """

    temperature_k: Array
    temperature_share: Array
    soc: Array
    soc_share: Array
    depth: Array
    rate_c: Array
    charge_rate_c: float

    @property
    def soc_mean(self) -> Array:
        """Mean state of charge, shape (cells, 1, 1)."""
        mean: Array = np.sum(self.soc[:, 0, :] * self.soc_share, axis=1)
        return mean[:, None, None]

    @property
    def anode_v(self) -> Array:
        """Potential of the graphite against lithium [V], shape (cells, 1, samples).

        Source: Safari and Delacourt, doi:10.1149/1.3567007, with the stoichiometry of Schimpe et al.,
        doi:10.1149/2.1181714jes, both as in BLAST-Lite 1.1.1, blast/models/degradation_model.py.
        """
        x = 8.5e-3 + self.soc * (0.78 - 8.5e-3)
        volts: Array = (
            0.6379
            + 0.5416 * np.exp(-305.5309 * x)
            + 0.044 * np.tanh((0.1958 - x) / 0.1088)
            + 0.1978 * np.tanh((1.0571 - x) / 0.0854)
            - 0.6875 * np.tanh((x + 0.0117) / 0.0529)
            + 0.0175 * np.tanh((0.5692 - x) / 0.0875)
        )
        return volts


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of ageing: y = k x^p with k = kappa^p, or a sigmoid of it.

    Parameters
    ----------
    acts_on
        What y takes from the capacity, adds to the resistance, or takes from the active material.
    over, unit
        x is the time in `unit` days, or the throughput in `unit` equivalent full cycles.
    power
        p.
    factor
        From a stress to k, broadcasting to (cells, bins, samples).
    saturates
        y = tanh(k x^p / 2) instead, which stays near zero and then rises steeply.
    """

    acts_on: Literal["capacity", "resistance", "active_material"]
    over: Literal["days", "cycles"]
    power: float
    factor: Callable[[Stress], Array]
    unit: float = 1.0
    saturates: bool = False

    def rate(self, stress: Stress, accelerated: Array | float = 1.0) -> Array:
        """Return kappa per day or per equivalent full cycle, shape (cells,).

        k is a mean over the states of charge of a day, as BLAST takes it; kappa is one over the
        temperatures, which may be seasons, so that a histogram ages like the same days in any order.
        `accelerated` multiplies k, (cells, bins).
        """
        cells, samples = stress.soc_share.shape
        over_a_day = np.broadcast_to(self.factor(stress), (cells, stress.temperature_share.size, samples))
        k = np.einsum("cbs,cs->cb", over_a_day, stress.soc_share)
        kappa: Array = np.maximum(k * accelerated, 0.0) ** (1 / self.power) / self.unit
        return kappa @ stress.temperature_share

    def extent(self, clock: Array) -> Array:
        """Return y at a clock, shape (cells,)."""
        y: Array = clock**self.power
        return np.tanh(y / 2) if self.saturates else y


@dataclass(frozen=True, slots=True)
class Law:
    """The modes of one cell, and the conditions that they were fitted on.

    Parameters
    ----------
    name, source
        What to call it; cell and document of each part.
    modes
        In the order in which `bench.plant.ageing.Wear` keeps their clocks.
    temperature_range_degc
        Of the cycling tests. Outside of it, cycling ages as at its edge (project default); time does not.
    depth_range, charge_limit_c, discharge_limit_c
        Of the cycling tests; beyond them the formulas go on.
    resistance_per_fade
        Growth of the resistance per loss of capacity, where no law over time and throughput is known.
    cold_loss
        Whether charging below `temperature_range_degc` accelerates the loss by cycling (project default).
    """

    name: str
    source: str
    modes: tuple[Mode, ...]
    temperature_range_degc: tuple[float, float]
    depth_range: tuple[float, float]
    charge_limit_c: float
    discharge_limit_c: float
    resistance_per_fade: float = 0.0
    cold_loss: bool = True

    def rates(self, stress: Stress) -> Array:
        """Return kappa of each mode, shape (modes, cells)."""
        edges_k = np.asarray(self.temperature_range_degc) + ZERO_DEGC_K
        tested = replace(stress, temperature_k=np.clip(stress.temperature_k, *edges_k))
        cold = _cold_factor(stress, edges_k[0]) if self.cold_loss else 1.0
        return np.stack(
            [
                mode.rate(stress)
                if mode.over == "days"
                else mode.rate(tested, cold if mode.acts_on == "capacity" else 1.0)
                for mode in self.modes
            ]
        )

    def capacity(self, clocks: Array) -> Array:
        """Return the relative capacity, shape (cells,): the least of what lithium and material allow."""
        material = 1 + SPARE_MATERIAL - self._sum("active_material", clocks)
        return np.minimum(1 - self._sum("capacity", clocks), material)

    def resistance(self, clocks: Array) -> Array:
        """Return the relative resistance, shape (cells,): of films, or of the electrode if that is more."""
        material = 1 + SPARE_MATERIAL - self._sum("active_material", clocks)
        electrode = ELECTRODE_OFFSET + ELECTRODE_SLOPE / material
        films = 1 + self._sum("resistance", clocks) + self.resistance_per_fade * (1 - self.capacity(clocks))
        return np.maximum(films, electrode)

    def _sum(self, acts_on: str, clocks: Array) -> Array:
        total = np.zeros(clocks.shape[1])
        for mode, clock in zip(self.modes, clocks, strict=True):
            if mode.acts_on == acts_on:
                total += mode.extent(clock)
        return total


def _cold_factor(stress: Stress, edge_k: float) -> Array:
    """By how much charging in the cold multiplies the loss by cycling, shape (cells, bins)."""
    below = np.maximum(1 / stress.temperature_k[..., 0] - 1 / edge_k, 0.0)
    factor: Array = np.exp(COLD_J_PER_MOL / GAS_CONSTANT_J_PER_MOL_K * below * stress.charge_rate_c)
    return factor
