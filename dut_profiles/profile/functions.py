"""What the DUT does beside protecting: balancing, cooling and heating, SOC, insulation, plausibility."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dut_profiles.profile.section import Fraction, NotNegative, Positive, Section, Source


class Balancing(Section):
    """Passive balancing."""

    start_v: Positive = Field(description="no cell below this bleeds")
    start_spread_v: Positive = Field(description="a cell this far above the lowest starts to bleed")
    stop_spread_v: NotNegative
    current_a: Positive = Field(description="at nominal_cell_v")
    nominal_cell_v: Positive
    current_tolerance_fraction: Fraction
    max_channels: Annotated[int, Field(ge=1)] = Field(description="at the same time")
    max_temperature_degc: float
    reaction_s: Positive = Field(description="longest time from the condition to the first bleed")
    modes: list[Literal["standby", "charge", "drive"]] = Field(
        description="modes in which bleeding is permitted"
    )
    max_current_a: Positive = Field(description="pack current above which nothing bleeds while not charging")
    source: Source


class ThermalManagement(Section):
    """At which temperatures fan and heater run. Optional: without it, neither is judged."""

    cooling_on_degc: float = Field(description="the fan runs once any sensor is this hot")
    cooling_off_degc: float = Field(description="and until all are below this")
    heating_on_degc: float = Field(description="the heater heats once any sensor is this cold")
    heating_off_degc: float = Field(description="and until all are above this")
    heating_hottest_degc: float | None = Field(
        default=None, description="no heating while any sensor is hotter; absent: no such rule"
    )
    heating_modes: list[Literal["standby", "charge", "drive"]] = Field(
        default=["charge", "drive"], description="modes in which the heater may heat"
    )
    tolerance_k: Positive = Field(description="of each of these temperatures, measurement included")
    reaction_s: Positive = Field(description="longest time from the condition to the fan or heater")
    source: Source

    @model_validator(mode="after")
    def _in_order(self) -> ThermalManagement:
        order = (self.heating_on_degc, self.heating_off_degc, self.cooling_off_degc, self.cooling_on_degc)
        if not all(low < high for low, high in pairwise(order)):
            raise ValueError(
                "heating_on_degc < heating_off_degc < cooling_off_degc < cooling_on_degc|"
                + " ".join(f"{degc:g}" for degc in order)
            )
        return self


class Soc(Section):
    """State of charge."""

    error_bound: Fraction
    jump_bound_per_s: Fraction
    restored_within: Fraction = Field(description="after a power cut")
    converges_s: Positive = Field(description="from a wrong start, at rest where the OCV is informative")
    rest_s: Positive = Field(description="rest before an OCV correction")
    rest_current_a: Positive = Field(description="current below which the pack rests")
    flat_zone: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = Field(
        description="SOC range in which OCV must not be trusted"
    )
    source: Source


class Insulation(Section):
    """Insulation monitoring."""

    measuring_s: Positive = Field(description="longest time from a change to the reported value")
    source: Source


class Plausibility(Section):
    """Faults of sensors and wiring that the DUT must find, with the longest time it may take."""

    open_wire_s: Positive
    thermistor_s: Positive
    sum_of_cells_fraction: Fraction = Field(description="|sum of cells - pack voltage| / pack voltage")
    sum_of_cells_s: Positive
    frozen_cell_s: Positive
    current_sensor_s: Positive
    feedback_s: Positive
    source: Source
