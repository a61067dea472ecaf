"""How a measuring twin errs: a gain error that stays, and noise, both inside the declared accuracy."""

from __future__ import annotations

import numpy as np


class Accuracy:
    """The error of one measuring or setting function.

    Parameters
    ----------
    gain
        Accuracy of the gain, relative. Half of it is used up by an error that is drawn once.
    offset
        Accuracy of the offset, in the unit of the value. The noise has a sixth of it as standard deviation.
    generator
        Source of both.
    """

    def __init__(self, gain: float, offset: float, generator: np.random.Generator) -> None:
        self._factor = 1.0 + 0.5 * gain * generator.uniform(-1.0, 1.0)
        self._sigma = offset / 6.0
        self._generator = generator

    def set(self, value: float) -> float:
        """What an output does when told `value`."""
        return value * self._factor

    def read(self, value: float) -> float:
        """What a reading of `value` shows."""
        return value * self._factor + self._sigma * float(self._generator.standard_normal())


def expanded_uncertainty(gain: float, offset: float, full_scale: float) -> float:
    """Expanded uncertainty (k = 2) of one reading up to `full_scale`, from a declared accuracy.

    The accuracy is taken as the half width of a rectangular distribution: the standard uncertainty is the
    accuracy divided by the square root of 3.
    """
    return float(2.0 * (gain * abs(full_scale) + offset) / np.sqrt(3.0))
