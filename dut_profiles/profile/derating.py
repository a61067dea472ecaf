"""Derating: how the permitted current falls with temperature, state of charge or cell voltage."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from dut_profiles.profile.section import Fraction, Positive, Section, Source


class DeratingTable(Section):
    """Permitted fraction of a maximum current over one axis; linear between points, held outside them."""

    temperature_degc: list[float] | None = None
    soc: list[Fraction] | None = None
    cell_v: list[Positive] | None = None
    fraction: list[Fraction]
    uses: Literal["hottest", "coldest", "highest", "lowest", "pack"]
    tolerance_fraction: Positive = Field(description="of the maximum current")
    source: Source

    @property
    def axis(self) -> list[float]:
        """The one axis that is given."""
        (axis,) = (a for a in (self.temperature_degc, self.soc, self.cell_v) if a is not None)
        return axis

    @model_validator(mode="after")
    def _one_rising_axis(self) -> DeratingTable:
        given = [a for a in (self.temperature_degc, self.soc, self.cell_v) if a is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one axis (temperature_degc, soc or cell_v)|{len(given)} of them")
        axis = given[0]
        if len(axis) != len(self.fraction) or any(b <= a for a, b in pairwise(axis)):
            raise ValueError(f"a strictly rising axis as long as fraction ({len(self.fraction)})|{axis}")
        return self


class Derating(Section):
    """Tables whose lowest value limits the current in each direction."""

    charge: dict[str, DeratingTable]
    discharge: dict[str, DeratingTable]
    settle_s: Positive = Field(description="longest time from a step of the axis to the new broadcast limit")
