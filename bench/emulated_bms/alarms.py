"""Names of alarms, states and log codes, and the bits they have on the wire (docs/reference/hd_can.md)."""

from __future__ import annotations

from enum import IntEnum

#: Alarm names in the order of their bits.
ALARMS = (
    "cell_overvoltage_warning", "cell_overvoltage", "cell_overvoltage_lock",
    "cell_undervoltage_warning", "cell_undervoltage", "cell_undervoltage_lock",
    "charge_overcurrent",
    "discharge_overcurrent_1", "discharge_overcurrent_2", "discharge_overcurrent_3", "short_circuit",
    "charge_overtemperature", "discharge_overtemperature", "overtemperature_lock",
    "charge_undertemperature", "discharge_undertemperature",
    "temperature_spread", "cell_imbalance", "insulation_warning", "insulation_fault",
    "open_sense_wire", "thermistor_fault", "sum_of_cells", "frozen_cell", "current_sensor",
    "contactor_feedback", "contactor_weld", "precharge_failed", "hvil_open",
    "host_timeout", "host_frame_rejected",
    "cooling_failure", "memory_fault", "afe_fault", "supply_undervoltage", "thermal_runaway",
    "balancing_fault", "current_on_open_path",
)  # fmt: skip

ALARM_BIT = {name: bit for bit, name in enumerate(ALARMS)}

#: "No cell, no sensor" in log entries and frames.
NO_INDEX = 0xFF
#: A reading that is not available, in mV and in 0.1 °C alike.
INVALID = -32768


class State(IntEnum):
    """Operating state, with its number on the wire."""

    OFF = 0
    STANDBY = 1
    PRECHARGE = 2
    DRIVE = 3
    CHARGE = 4
    FAULT = 5
    LOCKED = 6


#: Host command -> state it asks for.
MODES = {"standby": State.STANDBY, "drive": State.DRIVE, "charge": State.CHARGE}

LOG_POWER_UP, LOG_MODE, LOG_RESET, LOG_POWER_LOST = 0xF0, 0xF1, 0xF2, 0xF3
KIND_TRIP, KIND_RELEASE, KIND_OTHER = 0, 1, 2
