"""The whole profile of one DUT."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.errors import ProfileInvalid
from dut_profiles.profile.board import Measurement, Precharge, Switches, Thermistor
from dut_profiles.profile.communication import Communication, Log
from dut_profiles.profile.derating import Derating
from dut_profiles.profile.functions import Balancing, Insulation, Plausibility, Soc, ThermalManagement
from dut_profiles.profile.limits import Limit
from dut_profiles.profile.pack import AbsoluteMaximum, Identity, Pack
from dut_profiles.profile.section import Section

SCHEMA = "bmsbench-profile/1"


class Profile(Section):
    """Everything that the maker of one DUT declares."""

    schema_: Literal["bmsbench-profile/1"] = Field(alias="schema")
    identity: Identity
    pack: Pack
    absolute_maximum: AbsoluteMaximum | None = None
    thermistor: Thermistor
    measurement: Measurement
    switches: Switches
    precharge: Precharge
    limits: dict[str, Limit]
    derating: Derating
    balancing: Balancing
    thermal_management: ThermalManagement | None = None
    soc: Soc
    insulation: Insulation
    plausibility: Plausibility
    communication: Communication
    log: Log

    def limit(self, name: str) -> Limit:
        """The limit called `name`.

        Raises
        ------
        ProfileInvalid
            If the profile declares no such limit.
        """
        if name not in self.limits:
            raise ProfileInvalid(
                f"profile {self.identity.model}: limits.{name}",
                expected=f"one of {', '.join(self.limits)}",
                found="no such table",
            )
        return self.limits[name]

    @model_validator(mode="after")
    def _sensors_sit_on_cells(self) -> Profile:
        off = [cell for cell in self.pack.sensor_cells if not 0 <= cell < self.pack.cells]
        if off:
            raise ValueError(f"pack.sensor_cells from 0 to {self.pack.cells - 1}|{off}")
        return self
