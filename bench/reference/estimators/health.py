"""State of health: what is left of the capacity and how far the resistance has grown, each with its bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import InvalidInput
from bench.reference.estimators.capacity import Capacity
from bench.reference.estimators.resistance import Resistance

#: Resistance over that of the new cell at which it is called worn out, project default.
END_GROWTH = 2.0
#: Capacity over nominal capacity at which the cell is called worn out, project default.
END_CAPACITY = 0.8


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the range that holds the truth with about 95 %. nan: not known."""

    value: float
    low: float
    high: float

    def contains(self, value: float) -> bool:
        """Whether a value is in the range; never if it is not known."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class Health:
    """What is left of a cell or pack.

    Parameters
    ----------
    capacity
        Capacity over nominal capacity; 1 as declared, above 1 for a cell that holds more.
    resistance_growth
        Resistance over that of the new cell at the same SOC and temperature; 1 as new.
    resistance
        The same as a share that is left: 1 as new, 0 at `END_GROWTH`, straight in between.
    """

    capacity: Interval
    resistance_growth: Interval
    resistance: Interval

    @property
    def worn_out(self) -> bool | None:
        """True or False if the bounds decide it, None if they do not."""
        worn = [self.capacity.high < END_CAPACITY, self.resistance.high < 0.0]
        sound = [self.capacity.low >= END_CAPACITY, self.resistance.low >= 0.0]
        known = [np.isfinite(self.capacity.value), np.isfinite(self.resistance.value)]
        if any(worn):
            return True
        fit = all(good for good, there in zip(sound, known, strict=True) if there)
        return False if fit and any(known) else None


def health(
    *,
    nominal_ah: float,
    capacity: Capacity | None = None,
    growth: Resistance | None = None,
    end_growth: float = END_GROWTH,
) -> Health:
    """Combine what is known of capacity and resistance into a state of health.

    The two are kept apart: a mean of them says nothing about either. What was not measured is nan.

    Parameters
    ----------
    nominal_ah
        Declared capacity [Ah].
    capacity
        Present capacity, at the temperature and rate of the declared one.
    growth
        Resistance growth, from `resistance.growth`.
    end_growth
        Growth at which the resistance is worn out, above 1.

    Raises
    ------
    InvalidInput
        If `nominal_ah` or `end_growth` is out of range, or neither capacity nor growth is given.
    """
    if not (nominal_ah > 0.0 and end_growth > 1.0):
        found = f"{nominal_ah:g} Ah and {end_growth:g}"
        raise InvalidInput("health", expected="nominal_ah above 0, end_growth above 1", found=found)
    if capacity is None and growth is None:
        raise InvalidInput("health", expected="a capacity or a resistance growth", found="neither")
    left, grown, share = UNKNOWN, UNKNOWN, UNKNOWN
    if capacity is not None:
        left = _around(capacity.capacity_ah / nominal_ah, capacity.bound_ah / nominal_ah)
    if growth is not None:
        grown = _around(growth.resistance_ohm, growth.bound_ohm)
        # More resistance is less health: the ends change places.
        ends = [(end_growth - x) / (end_growth - 1.0) for x in (grown.value, grown.high, grown.low)]
        share = Interval(*ends)
    return Health(left, grown, share)


def agreed(estimates: list[Capacity]) -> Capacity:
    """One capacity of several independent estimates (piece, window, pulse), weighed by their uncertainty.

    Raises
    ------
    InvalidInput
        If there is none, one has no uncertainty, or two contradict each other beyond their bounds: then one
        of them is wrong, and a mean would hide it.
    """
    known = all(np.isfinite(one.capacity_ah) and one.uncertainty_ah > 0.0 for one in estimates)
    if not estimates or not known:
        expected = "one or more measured, uncertainty above 0"
        raise InvalidInput("capacities", expected=expected, found=f"{estimates}")
    low = max(one.capacity_ah - one.bound_ah for one in estimates)
    high = min(one.capacity_ah + one.bound_ah for one in estimates)
    if low > high:
        found = f"one of at least {low:.4g} Ah and one of at most {high:.4g} Ah"
        raise InvalidInput("capacities", expected="estimates whose bounds overlap", found=found)
    value = np.array([one.capacity_ah for one in estimates])
    weight = 1.0 / np.array([one.uncertainty_ah for one in estimates]) ** 2
    mean_ah = float(weight @ value / weight.sum())
    uncertainty_ah = float(weight.sum() ** -0.5)
    pieces = sum(one.pieces for one in estimates)
    return Capacity(mean_ah, uncertainty_ah, 2.0 * uncertainty_ah, pieces)


def _around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)
