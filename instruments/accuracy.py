"""Accuracy as a data sheet states it, and how a twin errs within it.

A driver module has `ACCURACY`: what it measures or sets, by the name of the quantity, to its `Accuracy`. From
there come the uncertainty of every trace and the errors of the twin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import InvalidInput
from instruments.exchange import Label

#: Interval since calibration that holds when nothing else is known [d].
ONE_YEAR_D = 365


@dataclass(frozen=True, slots=True)
class Band:
    """One line of an accuracy table: ± (`of_reading` x reading + `of_range` x `full_scale`).

    Parameters
    ----------
    full_scale
        The range it speaks of, in the unit of the table.
    of_reading, of_range
        Relative: 0.003 % is 3e-5.
    within_days
        For how long after calibration it holds [d].
    """

    full_scale: float
    of_reading: float
    of_range: float
    within_days: int = ONE_YEAR_D


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The accuracy of one function of an instrument.

    Parameters
    ----------
    unit
        Of readings and ranges.
    bands
        One per range and calibration interval.
    source, label
        Where it is printed, and how well that is known, as in an `Exchange`.
    at_degc
        Ambient temperatures at which `bands` hold [°C]; outside, each kelvin adds the next two.
    of_reading_per_k, of_range_per_k
        Temperature coefficient outside `at_degc`, relative [1/K].
    """

    unit: str
    bands: tuple[Band, ...]
    source: str
    label: Label
    at_degc: tuple[float, float] = (18.0, 28.0)
    of_reading_per_k: float = 0.0
    of_range_per_k: float = 0.0

    def limit(
        self,
        value: float,
        *,
        full_scale: float | None = None,
        days: int = ONE_YEAR_D,
        ambient_degc: float = 23.0,
    ) -> float:
        """The most by which a sound instrument errs at `value`, in `unit`.

        Parameters
        ----------
        value
            Reading or setting, in `unit`.
        full_scale
            Range it was taken in; default the smallest that holds the value.
        days
            Since calibration [d].
        ambient_degc
            Around the instrument [°C].

        Raises
        ------
        InvalidInput
            If no line of the table holds for that range and interval.
        """
        magnitude = abs(value)
        wanted = magnitude if full_scale is None else full_scale
        # An over-range of 20 % is common, and belongs to the range below.
        fits = [band for band in self.bands if band.full_scale * 1.2 >= wanted and band.within_days >= days]
        if not fits:
            known = ", ".join(
                f"{band.full_scale:g} {self.unit} for {band.within_days} d" for band in self.bands
            )
            raise InvalidInput(
                f"accuracy ({self.source})", expected=known, found=f"{wanted:g} {self.unit} after {days} d"
            )
        band = min(fits, key=lambda band: (band.full_scale, band.within_days))
        low, high = self.at_degc
        kelvin = max(0.0, low - ambient_degc, ambient_degc - high)
        of_reading = band.of_reading + kelvin * self.of_reading_per_k
        return of_reading * magnitude + (band.of_range + kelvin * self.of_range_per_k) * band.full_scale

    def uncertainty(
        self,
        value: float,
        *,
        full_scale: float | None = None,
        days: int = ONE_YEAR_D,
        ambient_degc: float = 23.0,
    ) -> float:
        """Expanded uncertainty (k = 2) of a reading of `value`, in `unit`.

        The limit is taken as the half width of a rectangular distribution: the standard uncertainty is the
        limit divided by the square root of 3.
        """
        limit = self.limit(value, full_scale=full_scale, days=days, ambient_degc=ambient_degc)
        return float(2.0 * limit / np.sqrt(3.0))


class Deviation:
    """The error of one measuring or setting function of a twin: part of it stays, part of it is noise.

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
        self._most = offset
        self._generator = generator

    @classmethod
    def within(
        cls, accuracy: Accuracy, generator: np.random.Generator, *, full_scale: float | None = None
    ) -> Deviation:
        """One inside the one-year band of `accuracy` for the range `full_scale`, by default the largest."""
        largest = max(band.full_scale for band in accuracy.bands)
        chosen = largest if full_scale is None else full_scale
        offset = accuracy.limit(0.0, full_scale=chosen)
        gain = (accuracy.limit(chosen, full_scale=chosen) - offset) / chosen
        return cls(gain, offset, generator)

    def set(self, value: float) -> float:
        """What an output does when told `value`."""
        return value * self._factor

    def read(self, value: float) -> float:
        """What a reading of `value` shows."""
        noise = self._sigma * float(self._generator.standard_normal())
        return value * self._factor + min(max(noise, -self._most), self._most)


def expanded_uncertainty(gain: float, offset: float, full_scale: float) -> float:
    """Expanded uncertainty (k = 2) of one reading up to `full_scale`, from a declared accuracy.

    As `Accuracy.uncertainty`, for instruments whose accuracy a station file states.
    """
    return float(2.0 * (gain * abs(full_scale) + offset) / np.sqrt(3.0))
