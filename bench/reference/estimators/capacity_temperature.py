"""What a capacity measured at one temperature would have been at 25 degC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.estimators.capacity import Capacity

_SQRT_3 = float(np.sqrt(3.0))


@dataclass(frozen=True, slots=True)
class TemperatureRelation:
    """Capacity at a temperature over capacity at 25 degC, measured on reference cells at one current.

    Parameters
    ----------
    temperature_degc, ratio
        Shape (points,), temperature increasing.
    ratio_bound
        How wrong the ratio may be for another cell of the type.
    """

    temperature_degc: Floats
    ratio: Floats
    ratio_bound: float

    def at_25_degc(
        self, measured: Capacity, temperature_degc: float, temperature_bound_k: float = 0.0
    ) -> Capacity:
        """What a capacity measured at `temperature_degc` [degC] would have been at 25 degC.

        Raises
        ------
        InvalidInput
            If the temperature is outside the table: the relation is not continued.
        """
        table = self.temperature_degc
        if not table[0] <= temperature_degc <= table[-1]:
            expected = f"{table[0]:g} to {table[-1]:g} degC"
            raise InvalidInput("capacity temperature", expected=expected, found=f"{temperature_degc:g} degC")
        around = temperature_degc + temperature_bound_k * np.array([-1.0, 0.0, 1.0])
        ratios = np.interp(around, table, self.ratio)
        doubt = (self.ratio_bound + float(np.abs(ratios - ratios[1]).max())) / float(ratios[1])
        capacity_ah = measured.capacity_ah / float(ratios[1])
        uncertainty_ah = np.hypot(measured.uncertainty_ah / float(ratios[1]), capacity_ah * doubt / _SQRT_3)
        bound_ah = (measured.bound_ah / float(ratios[1]) + capacity_ah * doubt) / max(1.0 - doubt, 0.1)
        return Capacity(capacity_ah, float(uncertainty_ah), float(bound_ah), measured.pieces)
