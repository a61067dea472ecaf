"""Who made the DUT, and the pack that it guards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dut_profiles.profile.section import Positive, Section, Source


class Identity(Section):
    """Who made the DUT. Printed on the certificate."""

    vendor: str
    model: str
    hardware: str
    firmware: str
    serial: str = "unknown"
    source: Source


class AbsoluteMaximum(Section):
    """What damages the DUT, however short; no scenario may ask for more. What is not stated is not judged."""

    cell_v: Positive | None = Field(default=None, description="at the input of one cell [V]")
    pack_v: Positive | None = Field(default=None, description="across the pack's terminals [V]")
    min_degc: float | None = Field(default=None, description="of the air around it [degC]")
    max_degc: float | None = Field(default=None, description="of the air around it [degC]")
    source: Source


class Pack(Section):
    """The pack: `cells` in series, one string."""

    cells: Annotated[int, Field(ge=1, le=240)]
    chemistry: Literal["LFP", "NMC"]
    cell: str = Field(description="cell file: a name in bench/cells, or the path of a TOML file")
    capacity_ah: Positive
    nominal_v: Positive
    upper_limit_charging_v: Positive = Field(
        description="per cell (ULCV); IEC 62619 8.2.2 is judged against it"
    )
    lower_limit_discharging_v: Positive = Field(description="per cell, declared by the cell maker")
    charge_v: Positive = Field(description="set voltage of the charger, whole pack")
    max_charge_a: Positive
    max_discharge_a: Positive
    sensor_cells: list[int] = Field(
        min_length=1, description="index (from 0) of the cell that carries sensor j"
    )
    source: Source

    @property
    def sensors(self) -> int:
        """Number of temperature sensors."""
        return len(self.sensor_cells)
