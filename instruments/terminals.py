"""Terminals: where a twin touches the plant.

The plant offers objects of these shapes; twins take them by structure and never import the plant. A terminal
is the copper behind the instrument: it obeys what is set and says what is there. Attributes are set and read
between two steps of the plant.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class SourceTerminal(Protocol):
    """Where a DC source feeds the pack: the charge port, or the link bus."""

    enabled: bool
    voltage_v: float
    """Voltage to hold [V]."""
    current_a: float
    """Most current out of the source [A], >= 0."""

    @property
    def actual_voltage_v(self) -> float:
        """Voltage at the terminal now [V], also when disabled."""
        ...

    @property
    def actual_current_a(self) -> float:
        """Current out of the source now [A], >= 0."""
        ...


class LoadTerminal(Protocol):
    """Where an electronic load draws from the link bus."""

    enabled: bool
    current_a: float
    """Current to draw [A], >= 0. A dead bus gives less."""

    @property
    def actual_voltage_v(self) -> float:
        """Voltage at the terminal now [V], also when disabled."""
        ...

    @property
    def actual_current_a(self) -> float:
        """Current into the load now [A], >= 0."""
        ...


class CellTerminals(Protocol):
    """One channel in the place of each cell; shapes (cells,)."""

    connected: Bools
    opened: Bools
    """Where a connected channel has let go: neither it nor the cell is between the taps."""
    voltage_v: Floats
    """Voltage to hold [V]; below 0 when the channel is reversed."""

    @property
    def actual_voltage_v(self) -> Floats:
        """Voltage across each channel now [V]."""
        ...

    @property
    def actual_current_a(self) -> Floats:
        """Current out of each channel now [A]: bleed and sense current, not pack current."""
        ...


class NtcTerminals(Protocol):
    """The inputs to which temperature sensors connect; shapes (sensors,)."""

    connected: Bools
    voltage_v: Floats

    @property
    def actual_voltage_v(self) -> Floats:
        """Voltage at each input now [V]."""
        ...


class AuxiliaryTerminal(Protocol):
    """The low-voltage supply of the DUT, in the place of the rack's own while `connected`."""

    connected: bool
    enabled: bool
    voltage_v: float
    """Voltage to hold [V]."""
    current_a: float
    """Most current [A], >= 0; a DUT that wants more breaks the voltage down."""

    @property
    def actual_voltage_v(self) -> float:
        """Voltage at the DUT now [V]."""
        ...

    @property
    def actual_current_a(self) -> float:
        """Current into the DUT now [A]."""
        ...


class ChamberTerminal(Protocol):
    """The air around the pack."""

    closed: bool
    """Whether the pack is in the chamber; else the room is around it."""
    air_degc: float
    """Temperature of the chamber's air [°C]."""

    @property
    def room_degc(self) -> float:
        """Temperature of the room [°C]."""
        ...


class ThermocoupleTerminal(Protocol):
    """Thermocouples on the cells."""

    @property
    def temperature_degc(self) -> Floats:
        """Of each cell now [°C], shape (cells,)."""
        ...


class ShuntTerminal(Protocol):
    """The shunt input of a BMS board that has no shunt."""

    connected: bool
    voltage_v: float
    """Voltage to hold [V], positive when the current it stands for charges."""

    @property
    def actual_voltage_v(self) -> float:
        """Voltage at the input now [V]."""
        ...


class FaultTerminal(Protocol):
    """Relays in the wiring, by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every fault there is."""
        ...

    def set(self, name: str, active: bool) -> None:
        """Insert or remove a fault. Raises `KeyError` for a name that is not in `names`."""
        ...

    def active(self, name: str) -> bool:
        """Whether it is inserted."""
        ...


class MeterTerminal(Protocol):
    """What instruments may sense without touching it."""

    @property
    def current_a(self) -> float:
        """Pack current now [A], positive when it charges."""
        ...

    @property
    def pack_v(self) -> float:
        """Voltage of the stack [V]."""
        ...

    @property
    def link_v(self) -> float:
        """Voltage of the link bus [V]."""
        ...

    @property
    def charger_v(self) -> float:
        """Voltage at the charge port [V]."""
        ...

    @property
    def switch_closed(self) -> Bools:
        """True state of the main contacts: main_minus, main_plus, precharge, charge, pyro; shape (5,)."""
        ...

    @property
    def fan_rpm(self) -> float:
        """Speed of the fan [1/min]."""
        ...

    @property
    def heater_on(self) -> bool:
        """Whether the heater carries current."""
        ...

    def arm_capture(self, level_a: float, duration_s: float, rate_hz: float) -> None:
        """Record `duration_s` [s] at `rate_hz` [Hz] from when the current crosses +-`level_a` [A]."""
        ...

    @property
    def capture_ready(self) -> bool:
        """Whether the armed capture is complete."""
        ...

    def capture(self) -> tuple[float, Floats]:
        """Bench time of the first sample [s], and the samples [A], shape (time,)."""
        ...
