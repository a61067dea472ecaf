"""A first open-circuit voltage, from a slow discharge and a slow charge or from a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import InvalidInput
from bench.fit.axes import GRID_SOC, Floats
from bench.fit.log import Log

#: A branch has to span this much of the SOC to be one.
SHORTEST_SPAN = 0.9
#: Half the distance of the branches where only one was measured, or where they cross [V].
LEAST_HALF_V = 0.002


@dataclass(frozen=True, slots=True)
class FirstOcv:
    """Both branches on `GRID_SOC` [V], with the polarisation of the slow current still in them."""

    discharge_v: Floats
    charge_v: Floats

    @property
    def mean_v(self) -> Floats:
        """Half way between the branches [V], rising."""
        rising: Floats = np.maximum.accumulate(0.5 * (self.discharge_v + self.charge_v))
        return rising + 1e-6 * np.arange(len(rising))

    @property
    def half_v(self) -> Floats:
        """Half the distance of the branches [V], above 0."""
        half: Floats = np.maximum(0.5 * (self.charge_v - self.discharge_v), LEAST_HALF_V)
        return half


def first_ocv(discharge: Log, charge: Log | None = None) -> FirstOcv:
    """Both branches from slow logs; without a charge, the branches lie `LEAST_HALF_V` off the discharge.

    Raises
    ------
    InvalidInput
        A log that does not go from full to empty (or back) in one direction.
    """
    down_v = _branch(discharge, -1.0)
    if charge is None:
        return FirstOcv(down_v - LEAST_HALF_V, down_v + LEAST_HALF_V)
    return FirstOcv(down_v, _branch(charge, 1.0))


def tabled_ocv(soc: Floats, discharge_v: Floats, charge_v: Floats) -> FirstOcv:
    """Both branches from a table over `soc`, rising, all shape (points,)."""
    return FirstOcv(np.interp(GRID_SOC, soc, discharge_v), np.interp(GRID_SOC, soc, charge_v))


def _branch(log: Log, sign: float) -> Floats:
    flowing = sign * log.current_a > 0
    soc, volts = log.soc_trace[flowing], log.voltage_v[flowing]
    wrong = float(np.abs(log.moved_ah[sign * log.current_a < 0]).sum()) / log.capacity_ah
    span = float(np.ptp(soc)) if len(soc) else 0.0
    direction = "charge" if sign > 0 else "discharge"
    if wrong > 0.01 or span < SHORTEST_SPAN:
        raise InvalidInput(
            f"log {log.name}",
            expected=f"a slow {direction} alone, over {100 * SHORTEST_SPAN:.0f} % of the SOC at least",
            found=f"{100 * span:.1f} %, and {100 * wrong:.1f} % in the other direction",
        )
    order = np.argsort(soc, kind="stable")
    return np.interp(GRID_SOC, soc[order], volts[order])
