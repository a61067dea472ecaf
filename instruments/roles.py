"""Roles: what a test may ask of an instrument, whoever made it.

Each verb is documented here once. Drivers satisfy these protocols by structure and inherit from nothing.
Every driver also has the constants `transport` ("visa", "serial", "modbus" or "can"), `twin` (the class of
its stand-in) and `Options` (a pydantic model of its `[roles.<name>.options]` table).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from bench.record import Trace


@runtime_checkable
class Instrument(Protocol):
    """What every role has."""

    def identity(self) -> str:
        """Ask the instrument who it is: maker, model, serial number, firmware, as far as it can say.

        Raises
        ------
        WireError
            If nobody answers.
        """
        ...

    def prepare(self) -> None:
        """Bring a freshly opened instrument into a known, de-energised state; arm limits and watchdog."""
        ...

    def off(self) -> None:
        """Take energy (or the stimulus) away. Safe in any state, any number of times."""
        ...

    def is_off(self) -> bool:
        """Read back from the instrument that `off` is true."""
        ...

    def traces(self) -> dict[str, Trace]:
        """What it measured so far, by standard trace name."""
        ...


@runtime_checkable
class Supply(Instrument, Protocol):
    """A DC source: charger, or the machine that feeds back."""

    def source(self, *, voltage_v: float, current_a: float) -> None:
        """Hold `voltage_v` [V] at the terminals and never push more than `current_a` [A].

        Raises
        ------
        InstrumentRefused
            Above the rating or the station's `max_v`, `max_a`.
        """
        ...

    def measure(self) -> tuple[float, float]:
        """Voltage [V] and current [A] (positive out of the supply) at its terminals, now."""
        ...


@runtime_checkable
class Load(Instrument, Protocol):
    """An electronic load."""

    def sink(self, *, current_a: float) -> None:
        """Draw `current_a` [A], constant current.

        Raises
        ------
        InstrumentRefused
            Above the rating or the station's `max_a`.
        """
        ...

    def measure(self) -> tuple[float, float]:
        """Voltage [V] and current [A] (positive into the load), now."""
        ...


@runtime_checkable
class CellEmulator(Instrument, Protocol):
    """One channel in the place of each cell. `off`: channels disconnected, the pack's own cells are sensed.

    Traces: `cell_v` [V] and `cell_a` [A] (what flows out of each channel: the bleed current), (time, cells).
    """

    cells: int

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        """Put `voltage_v` [V] on one `cell` (index from 0), or on all (one value or one per cell)."""
        ...


@runtime_checkable
class Thermistors(Instrument, Protocol):
    """Stands in for the DUT's temperature sensors. `off`: the DUT sees the pack's own sensors.

    Traces: `temperature_degc` [°C], (time, sensors): what the inputs are driven to, nan where handed back.
    """

    sensors: int

    def set(self, *, temperature_degc: float | Sequence[float], sensor: int | None = None) -> None:
        """Make one `sensor` (index from 0), or all, look like `temperature_degc` [°C]."""
        ...


@runtime_checkable
class FaultBox(Instrument, Protocol):
    """Relays that put faults into the wiring. `off`: every fault removed."""

    faults: tuple[str, ...]

    def insert(self, fault: str) -> None:
        """Put a fault in, by its name in the station file (`open_sense_wire_3`, `short_circuit`)."""
        ...

    def remove(self, fault: str) -> None:
        """Take it out again."""
        ...


@runtime_checkable
class Meter(Instrument, Protocol):
    """A digitizer on the pack current, for what is faster than polling.

    Trace: `capture_a` [A], the last armed capture, positive when it charges the pack.
    """

    def arm(self, *, level_a: float, duration_s: float) -> None:
        """Record `duration_s` [s] of pack current from the moment its magnitude crosses `level_a` [A]."""
        ...

    def captured(self) -> bool:
        """Whether the armed capture is complete."""
        ...
