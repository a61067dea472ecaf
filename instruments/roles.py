"""Roles: what a test may ask of an instrument, whoever made it.

Each verb is documented here once. Drivers satisfy these protocols by structure and inherit from nothing.
Every driver also has the constants `transport` ("visa", "serial", "modbus" or "can"), `twin` (the class of
its stand-in), `face` (which connector of the twin, "" if it has but one), `watchdog` (what happens when the
bench falls silent) and `Options` (a pydantic model of its `[roles.<name>.options]` table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
        """Take energy (or the stimulus) away. Safe in any state, any number of times.

        Works on a driver that was just opened and never prepared, beside another connection that may hold the
        instrument: whoever makes a bench safe after a crash has no time to ask.
        """
        ...

    def is_off(self) -> bool:
        """Read back from the instrument that `off` is true. Works without `prepare`, as `off` does."""
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


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an armed sequence: `current_a` [A] for `duration_s` [s]."""

    current_a: float
    duration_s: float


@runtime_checkable
class ArmedLoad(Load, Protocol):
    """A load that keeps time by itself: a sequence is stored first, and runs at a trigger."""

    def arm(self, steps: Sequence[Step]) -> None:
        """Store `steps` and wait for `fire`; the load draws nothing yet.

        Raises
        ------
        InstrumentRefused
            A current above the rating or `max_a`, a step shorter or a sequence longer than the load can do.
        """
        ...

    def fire(self) -> None:
        """Start the armed sequence. Afterwards the load draws nothing."""
        ...

    def fired(self) -> bool:
        """Whether the sequence is over."""
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
class ShuntSimulator(Instrument, Protocol):
    """Stands in for the shunt of a BMS board: millivolts for amperes. `off`: no current.

    Trace: `<role>.current_a` [A], positive when it charges: what the board is made to see, commanded.
    """

    range_a: float
    """Largest magnitude that it can stand for [A]."""

    def set(self, *, current_a: float) -> None:
        """Make the pack current look like `current_a` [A].

        Raises
        ------
        InstrumentRefused
            Above `range_a` or the station's `max_a`.
        """
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


@runtime_checkable
class Voltmeter(Instrument, Protocol):
    """A multimeter on one point of the bench. `off`: it measures by nobody's order."""

    def measure(self) -> float:
        """One reading now, in the unit of its trace."""
        ...


@runtime_checkable
class Scanner(Instrument, Protocol):
    """A scanning multimeter: many points, one after the other. `off`: no scan, every relay open.

    Traces: as wired in its options, each stamped when its channel was measured.
    """

    def scan(self) -> dict[str, float]:
        """Measure every wired channel once: trace name (`temperature_degc[3]`) to value."""
        ...


@runtime_checkable
class Chamber(Instrument, Protocol):
    """A temperature chamber around the DUT. `off`: no conditioning, the air drifts to the room.

    Trace: `chamber_degc` [°C], measured by the chamber.
    """

    def control(self, *, temperature_degc: float, rate_k_per_min: float | None = None) -> None:
        """Bring the air to `temperature_degc` [°C], at most at `rate_k_per_min`; returns at once.

        Raises
        ------
        InstrumentRefused
            Outside what the chamber, or the station's `min_degc` and `max_degc`, allow.
        """
        ...

    def measure(self) -> float:
        """Temperature of the air now [°C]."""
        ...
