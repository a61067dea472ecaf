"""The profile of a device under test: limits, delays, tolerances and signals, each with its source.

A profile is what the maker declares. The reference model judges against it, drivers and suites read it,
and an emulated BMS is configured from it. It knows nothing of any of them.
"""

from dut_profiles.profile.board import Measurement, Precharge, Switches, Thermistor
from dut_profiles.profile.communication import Communication, Log
from dut_profiles.profile.derating import Derating, DeratingTable
from dut_profiles.profile.document import SCHEMA, Profile
from dut_profiles.profile.functions import Balancing, Insulation, Plausibility, Soc, ThermalManagement
from dut_profiles.profile.limits import (
    CellSpreadLimit,
    CellVoltageLimit,
    CurrentLimit,
    InsulationLimit,
    Limit,
    TemperatureLimit,
    TemperatureSpreadLimit,
)
from dut_profiles.profile.loading import PROFILE_DIR, find_profile, load_profile
from dut_profiles.profile.pack import Identity, Pack
from dut_profiles.profile.section import PathName, SwitchName

__all__ = [
    "PROFILE_DIR",
    "SCHEMA",
    "Balancing",
    "CellSpreadLimit",
    "CellVoltageLimit",
    "Communication",
    "CurrentLimit",
    "Derating",
    "DeratingTable",
    "Identity",
    "Insulation",
    "InsulationLimit",
    "Limit",
    "Log",
    "Measurement",
    "Pack",
    "PathName",
    "Plausibility",
    "Precharge",
    "Profile",
    "Soc",
    "SwitchName",
    "Switches",
    "TemperatureLimit",
    "TemperatureSpreadLimit",
    "ThermalManagement",
    "Thermistor",
    "find_profile",
    "load_profile",
]
