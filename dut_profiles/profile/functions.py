"""What the DUT does beside protecting: balancing, state of charge, insulation, plausibility."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
