"""Terminals: what instruments are wired to. Twins set and read these attributes, nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.plant.layout import CAPTURE, CAPTURE_LEVEL_A, CAPTURE_PERIOD_S, CAPTURE_T0_S
from bench.plant.port import Port

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CAPTURE_LIMIT = 5_000_000  # samples: 40 MB


class SourceTerminal:
    """A CC/CV source at the charge port or at the link bus.

    Set `enabled`, `voltage_v`, `current_a` (limit, not negative). Read `actual_voltage_v` at its terminals
    and `actual_current_a` out of it; it never sinks. The limit follows its setting with a first-order lag.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.voltage_v = 0.0
        self.current_a = 0.0
        self.actual_voltage_v = 0.0
        self.actual_current_a = 0.0

    def __repr__(self) -> str:
        return f"SourceTerminal({self.actual_voltage_v:.2f} V, {self.actual_current_a:.2f} A)"


class LoadTerminal:
    """A constant-current load at the link bus.

    Set `enabled`, `current_a` (not negative) and `slew_a_per_s` (inf: at once). Read `actual_voltage_v`,
    `actual_current_a`. Below 1 V at the bus the current falls with the voltage.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.current_a = 0.0
        self.slew_a_per_s = math.inf
        self.actual_voltage_v = 0.0
        self.actual_current_a = 0.0

    def __repr__(self) -> str:
        return f"LoadTerminal({self.actual_voltage_v:.2f} V, {self.actual_current_a:.2f} A)"


class CellTerminals:
    """One channel for each cell; a connected channel replaces its cell. Arrays have shape (cells,).

    Set `connected`, `voltage_v` (below 0: reversed) and `opened`: then neither cell nor channel is between
    the taps, and what the BMS has there lets them float. Read `actual_voltage_v` (at the tap, connected or
    not) and `actual_current_a` out of the channel: bleed and sense current, the pack current goes past it.
    """

    def __init__(
        self,
        *,
        connected: Bools,
        opened: Bools,
        voltage_v: Floats,
        actual_voltage_v: Floats,
        actual_current_a: Floats,
    ) -> None:
        self.connected, self.opened, self.voltage_v = connected, opened, voltage_v
        self.actual_voltage_v, self.actual_current_a = actual_voltage_v, actual_current_a


class NtcTerminals:
    """The thermistor inputs of the BMS. Arrays have shape (sensors,).

    Set `connected` and `voltage_v`, driven onto the input in the place of the pack's own sensor; read
    `actual_voltage_v` at the input.
    """

    def __init__(self, *, connected: Bools, voltage_v: Floats, actual_voltage_v: Floats) -> None:
        self.connected, self.voltage_v, self.actual_voltage_v = connected, voltage_v, actual_voltage_v


class AuxiliaryTerminal:
    """The low-voltage supply of the BMS, in the place of the rack's own while `connected`.

    Set `connected`, `enabled`, `voltage_v` and `current_a` (limit, not negative). Read `actual_voltage_v` and
    `actual_current_a`. The BMS draws constant power: a limit below its demand lets the voltage break down.
    """

    def __init__(self, own_v: float) -> None:
        self.connected = self.enabled = False
        self.voltage_v = self.current_a = 0.0
        self.actual_voltage_v = self.actual_current_a = 0.0
        self._own_v = own_v

    def deliver(self, demand_w: float) -> float:
        """Voltage [V] at the BMS while it asks for `demand_w` [W]."""
        if not self.connected:
            self.actual_voltage_v = self.actual_current_a = 0.0
            return self._own_v
        wanted_a = demand_w / self.voltage_v if self.voltage_v > 0.0 else 0.0
        holds = self.enabled and wanted_a <= self.current_a
        self.actual_voltage_v = self.voltage_v if holds else 0.0
        self.actual_current_a = (wanted_a if holds else self.current_a) if self.enabled else 0.0
        return self.actual_voltage_v


class ShuntTerminal:
    """The shunt input of a board that has no shunt: an instrument holds its millivolts.

    Set `connected` and `voltage_v`, positive when the current charges. Read `actual_voltage_v` and
    `current_a`, which is what the board takes it for.
    """

    def __init__(self, ohm: float) -> None:
        self.connected = False
        self.voltage_v = 0.0
        self.ohm = ohm
        self.tripped, self.trip_s = False, math.nan
        self._above_s = math.nan

    @property
    def actual_voltage_v(self) -> float:
        return self.voltage_v if self.connected else 0.0

    @property
    def current_a(self) -> float:
        return self.actual_voltage_v / self.ohm

    def compare(self, port: Port, dt_s: float, time_s: float) -> None:
        """The board's short-circuit comparator on this signal, which holds still within a step; latched."""
        if port.comparator_reset or port.supply_v <= 0.0:
            self.tripped, self._above_s = False, math.nan
        elif not -port.shunt_a >= port.comparator_threshold_a:
            self._above_s = math.nan
        elif not self.tripped:
            if math.isnan(self._above_s):
                self._above_s = time_s - dt_s
            if time_s - self._above_s >= port.comparator_delay_s:
                self.tripped, self.trip_s = True, self._above_s + port.comparator_delay_s


class ChamberTerminal:
    """The air around the pack. Set `closed` (the pack is in the chamber) and `air_degc`; read `room_degc`."""

    def __init__(self, room_degc: float) -> None:
        self.closed = False
        self.air_degc = self.room_degc = room_degc


class ThermocoupleTerminal:
    """Thermocouples on the cells, one per parallel group: `temperature_degc` now, shape (cells,)."""

    def __init__(self, read: Callable[[], Floats]) -> None:
        self._read = read

    @property
    def temperature_degc(self) -> Floats:
        return self._read()


class FaultTerminal:
    """Relays that put faults into wiring and power circuit; `names` lists them."""

    def __init__(self, slots: dict[str, int], fault: Bools, changed: Callable[[], None]) -> None:
        self.names = tuple(slots)
        self._slots, self._fault, self._changed = slots, fault, changed

    def set(self, name: str, active: bool) -> None:
        """Put a fault in or take it out. Raises `KeyError` for a name that is not in `names`."""
        self._fault[self._slots[name]] = active
        self._changed()

    def active(self, name: str) -> bool:
        """Whether a fault is in. Raises `KeyError` for a name that is not in `names`."""
        return bool(self._fault[self._slots[name]])


class MeterTerminal:
    """Measuring points for instruments, and a digitizer on the pack current.

    Read `current_a` (pack current, positive when it charges), `pack_v`, `link_v`, `charger_v`, `fan_rpm`,
    `heater_on` and `switch_closed` (5,), the true state of the main contacts.
    """

    def __init__(self, *, switch_closed: Bools, state: Floats) -> None:
        self.switch_closed = switch_closed
        self.current_a = self.pack_v = self.link_v = self.charger_v = self.fan_rpm = 0.0
        self.heater_on = False
        self.capture_ready = False
        self.buffer = np.zeros(1)
        self._state = state

    def arm_capture(self, level_a: float, duration_s: float, rate_hz: float) -> None:
        """Record `duration_s` [s] at `rate_hz` from the moment the current's magnitude reaches `level_a`.

        Raises
        ------
        ValueError
            If level, duration or rate is not positive, or more than CAPTURE_LIMIT samples are asked for.
        """
        if not (level_a >= 0 and duration_s > 0 and rate_hz > 0):
            raise ValueError(f"capture of {duration_s} s at {rate_hz} Hz from {level_a} A: expected positive")
        samples = max(1, round(duration_s * rate_hz))
        if samples > CAPTURE_LIMIT:
            raise ValueError(f"capture of {samples} samples: expected at most {CAPTURE_LIMIT}")
        self.buffer = np.zeros(samples)
        self.capture_ready = False
        self._state[CAPTURE] = 1.0
        self._state[CAPTURE_LEVEL_A] = level_a
        self._state[CAPTURE_PERIOD_S] = 1.0 / rate_hz

    def capture(self) -> tuple[float, Floats]:
        """Plant time of the first sample [s], and the samples [A], shape (samples,).

        Raises
        ------
        ValueError
            If the capture is not complete.
        """
        if self._state[CAPTURE] != 3.0:
            raise ValueError("no complete capture; arm_capture, then wait for capture_ready")
        return float(self._state[CAPTURE_T0_S]), self.buffer.copy()
