"""The board: sensors with their accuracy, switches, precharge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dut_profiles.profile.section import (
    Fraction,
    NotNegative,
    Positive,
    Section,
    Source,
    SwitchName,
)


class Thermistor(Section):
    """NTC and its input: voltage = reference_v * R / (R + pullup_ohm), R by the beta equation."""

    r25_ohm: Positive
    beta_k: Positive
    pullup_ohm: Positive
    reference_v: Positive
    source: Source


class Measurement(Section):
    """Declared accuracy of what the DUT reports, and how often it looks."""

    cell_tolerance_v: Positive
    pack_tolerance_fraction: Positive
    current_tolerance_a: Positive = Field(description="offset part")
    current_tolerance_fraction: NotNegative = Field(description="gain part")
    temperature_tolerance_k: Positive
    cell_period_s: Positive
    current_period_s: Positive
    temperature_period_s: Positive
    insulation_tolerance_fraction: Positive
    source: Source


class Switches(Section):
    """Actuators: which switches make a path, and how long they take."""

    charge_path: list[SwitchName]
    discharge_path: list[SwitchName]
    closing_s: Positive
    opening_s: Positive = Field(description="longest time from command to open contacts")
    pyro_opening_s: Positive = Field(description="longest time from the fire command to no current")
    break_rating_a: Positive = Field(description="a contactor opened above this is damaged")
    zero_current_wait_s: NotNegative = Field(
        description="longest wait for the machine to shed its current before a level-2 opening"
    )
    zero_current_fraction: Fraction = Field(description="of max_discharge_a: counts as shed")
    feedback_timeout_s: Positive
    source: Source


class Precharge(Section):
    """Bus precharge: order minus, precharge, plus."""

    resistor_ohm: Positive
    done_fraction: Fraction = Field(description="(pack - bus) / pack at which the main contactor may close")
    timeout_s: Positive
    tries: Annotated[int, Field(ge=1)]
    pause_s: NotNegative = Field(description="between tries")
    source: Source
