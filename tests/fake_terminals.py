"""Small terminals with just enough physics to catch a driver that believes its own set point.

One per Protocol of `instruments/terminals.py`. A source meets a battery behind a resistance, so current comes
from compliance; a load meets the same battery; nothing here is a plant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class FakeSource:
    """A battery of `emf_v` behind `ohm` at the terminals of a source."""

    emf_v: float = 80.0
    ohm: float = 0.1
    enabled: bool = False
    voltage_v: float = 0.0
    current_a: float = 0.0

    @property
    def actual_current_a(self) -> float:
        if not self.enabled:
            return 0.0
        return float(np.clip((self.voltage_v - self.emf_v) / self.ohm, 0.0, self.current_a))

    @property
    def actual_voltage_v(self) -> float:
        return self.emf_v + self.ohm * self.actual_current_a


@dataclass
class FakeLoad:
    """A battery of `emf_v` behind `ohm` at the terminals of a load; a dead one gives nothing."""

    emf_v: float = 80.0
    ohm: float = 0.1
    enabled: bool = False
    current_a: float = 0.0

    @property
    def actual_current_a(self) -> float:
        return min(self.current_a, self.emf_v / self.ohm) if self.enabled else 0.0

    @property
    def actual_voltage_v(self) -> float:
        return self.emf_v - self.ohm * self.actual_current_a


@dataclass
class FakeCells:
    """Cells of `emf_v` that a connected channel replaces; each channel feeds `ohm` (sense and bleed)."""

    emf_v: np.ndarray
    ohm: float = 1000.0
    connected: np.ndarray = field(init=False)
    opened: np.ndarray = field(init=False)
    voltage_v: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.connected = np.zeros(len(self.emf_v), dtype=bool)
        self.opened = np.zeros(len(self.emf_v), dtype=bool)
        self.voltage_v = np.zeros(len(self.emf_v))

    @property
    def actual_voltage_v(self) -> np.ndarray:
        return np.where(self.connected, np.where(self.opened, 0.0, self.voltage_v), self.emf_v)

    @property
    def actual_current_a(self) -> np.ndarray:
        return np.where(self.connected & ~self.opened, self.voltage_v / self.ohm, 0.0)


@dataclass
class FakeNtcs:
    """Sensor inputs at `own_v` until they are driven."""

    own_v: np.ndarray
    connected: np.ndarray = field(init=False)
    voltage_v: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.connected = np.zeros(len(self.own_v), dtype=bool)
        self.voltage_v = np.zeros(len(self.own_v))

    @property
    def actual_voltage_v(self) -> np.ndarray:
        return np.where(self.connected, self.voltage_v, self.own_v)


@dataclass
class FakeShunt:
    """The shunt input of a board."""

    connected: bool = False
    voltage_v: float = 0.0

    @property
    def actual_voltage_v(self) -> float:
        return self.voltage_v if self.connected else 0.0


@dataclass
class FakeFaults:
    """Relays that remember."""

    names: tuple[str, ...] = ("open_sense_wire_0", "open_sense_wire_1", "short_circuit", "hvil_open")
    inserted: set[str] = field(default_factory=set)

    def set(self, name: str, active: bool) -> None:
        if name not in self.names:
            raise KeyError(name)
        (self.inserted.add if active else self.inserted.discard)(name)

    def active(self, name: str) -> bool:
        if name not in self.names:
            raise KeyError(name)
        return name in self.inserted


@dataclass
class FakeMeter:
    """A pack whose current a test sets; a capture is complete when the test says so."""

    current_a: float = 0.0
    pack_v: float = 80.0
    link_v: float = 0.0
    charger_v: float = 0.0
    switch_closed: np.ndarray = field(default_factory=lambda: np.zeros(5, dtype=bool))
    fan_rpm: float = 0.0
    heater_on: bool = False
    armed: tuple[float, float, float] | None = None
    recorded: tuple[float, np.ndarray] | None = None

    def arm_capture(self, level_a: float, duration_s: float, rate_hz: float) -> None:
        self.armed, self.recorded = (level_a, duration_s, rate_hz), None

    @property
    def capture_ready(self) -> bool:
        return self.recorded is not None

    def capture(self) -> tuple[float, np.ndarray]:
        assert self.recorded is not None
        return self.recorded

    def happen(self, t_s: float, peak_a: float) -> None:
        """A short circuit at `t_s` [s] that decays from `-peak_a` [A], recorded as armed."""
        assert self.armed is not None
        _, duration_s, rate_hz = self.armed
        time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
        self.recorded = (t_s, -peak_a * np.exp(-time_s / 0.01))


@dataclass
class FakeAuxiliary:
    """A DUT that draws constant power from its low-voltage supply, and lets go below its demand."""

    demand_w: float = 6.0
    connected: bool = False
    enabled: bool = False
    voltage_v: float = 0.0
    current_a: float = 0.0

    @property
    def actual_voltage_v(self) -> float:
        on = self.connected and self.enabled and self.voltage_v > 0.0
        return self.voltage_v if on and self.demand_w / self.voltage_v <= self.current_a else 0.0

    @property
    def actual_current_a(self) -> float:
        return self.demand_w / self.actual_voltage_v if self.actual_voltage_v else 0.0


@dataclass
class FakeChamber:
    """Air that is where the chamber puts it."""

    room_degc: float = 22.0
    closed: bool = False
    air_degc: float = 22.0


@dataclass
class FakeThermocouples:
    """Cells at temperatures that a test sets."""

    temperature_degc: np.ndarray
