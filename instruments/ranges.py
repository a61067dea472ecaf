"""Measuring ranges as a SCPI parameter: the instrument takes the smallest that holds what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from instruments.scpi_parameters import Number


@dataclass(frozen=True, slots=True)
class Range(Number):
    """One of `ranges`, ascending; anything from `lowest` up to the last of them is understood."""

    ranges: tuple[float, ...] = ()
    lowest: float = 0.0

    def read(self, text: str, twin: Any) -> float:
        asked = Number(self.unit, self.lowest, self.ranges[-1], self.default).read(text, twin)
        return next(limit for limit in self.ranges if limit >= asked * (1.0 - 1e-9))


def ranges_of(unit: str, ranges: tuple[float, ...], default: float, *, lowest: float = 0.0) -> Range:
    """The parameter for `ranges` in `unit`; MIN and MAX are the outermost."""
    return Range(unit, ranges[0], ranges[-1], default, ranges=ranges, lowest=lowest)
