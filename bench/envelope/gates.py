"""Gates: what a scenario holds in the place of a driver. Same verbs; a verb that energises asks first.

A driver may fill more than one role (a cell emulator with fault relays), so its gate is put together from one
part for each role that it fills, and claims no other. Whatever else a driver has passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from bench.record import Trace
from instruments import roles


class Decides(Protocol):
    """Who says whether a command may be sent: `bench.envelope.Envelope`."""

    def allow(self, role: str, quantity: str, value: float) -> None: ...
    def demand_whole(self, role: str) -> None: ...
    def allow_fault(self, role: str, fault: str, *, inserting: bool) -> None: ...
    def note_cells(self) -> None: ...
    def note_off(self, role: str) -> None: ...
    def last_voltage_v(self, role: str) -> float: ...

    @property
    def rules(self) -> Any: ...


class Gate:
    """What every role has; passes through.

    Parameters
    ----------
    role
        Name in the station file.
    driver
        What stands behind.
    envelope
        Who decides.
    """

    def __init__(self, role: str, driver: Any, envelope: Decides) -> None:
        self._role, self._driver, self._envelope = role, driver, envelope

    def __repr__(self) -> str:
        return f"{type(self._driver).__name__} as {self._role}, within the envelope"

    def __getattr__(self, name: str) -> Any:
        if name in ("_role", "_driver", "_envelope"):  # a copy asks before they are set
            raise AttributeError(name)
        return getattr(self._driver, name)

    def identity(self) -> str:
        return str(self._driver.identity())

    def prepare(self) -> None:
        self._driver.prepare()

    def off(self) -> None:
        self._driver.off()
        self._envelope.note_off(self._role)

    def is_off(self) -> bool:
        return bool(self._driver.is_off())

    def traces(self) -> dict[str, Trace]:
        found: dict[str, Trace] = self._driver.traces()
        return found


class _SupplyGate(Gate):
    def source(self, *, voltage_v: float, current_a: float) -> None:
        self._envelope.allow(self._role, "voltage_v", voltage_v)
        self._envelope.allow(self._role, "current_a", current_a)
        self._envelope.allow(self._role, "power_w", voltage_v * current_a)
        self._driver.source(voltage_v=voltage_v, current_a=current_a)

    def measure(self) -> tuple[float, float]:
        voltage_v, current_a = self._driver.measure()
        return voltage_v, current_a


class _LoadGate(Gate):
    def sink(self, *, current_a: float) -> None:
        self._allow_current(current_a)
        self._driver.sink(current_a=current_a)

    def measure(self) -> tuple[float, float]:
        voltage_v, current_a = self._driver.measure()
        return voltage_v, current_a

    def _allow_current(self, current_a: float) -> None:
        """A load is not told a voltage: its power is that current at what it measured last."""
        self._envelope.allow(self._role, "current_a", current_a)
        voltage_v = self._envelope.last_voltage_v(self._role)
        if voltage_v == voltage_v:
            self._envelope.allow(self._role, "power_w", voltage_v * current_a)


class _ArmedLoadGate(_LoadGate):
    def arm(self, steps: Sequence[roles.Step]) -> None:
        for step in steps:
            self._allow_current(step.current_a)
        self._driver.arm(steps)

    def fire(self) -> None:
        self._envelope.demand_whole(self._role)
        self._driver.fire()

    def fired(self) -> bool:
        return bool(self._driver.fired())


class _CellsGate(Gate):
    @property
    def cells(self) -> int:
        return int(self._driver.cells)

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        values = [voltage_v] if isinstance(voltage_v, int | float) else list(voltage_v)
        for value in {min(values), max(values), *(value for value in values if value != value)}:
            self._envelope.allow(self._role, "voltage_v", value)
        self._envelope.note_cells()
        self._driver.set(voltage_v=voltage_v, cell=cell)


class _ThermistorsGate(Gate):
    @property
    def sensors(self) -> int:
        return int(self._driver.sensors)

    def set(self, *, temperature_degc: float | Sequence[float], sensor: int | None = None) -> None:
        values = [temperature_degc] if isinstance(temperature_degc, int | float) else temperature_degc
        for value in values:
            self._envelope.allow(self._role, "temperature_degc", value)
        self._driver.set(temperature_degc=temperature_degc, sensor=sensor)


class _ShuntGate(Gate):
    @property
    def range_a(self) -> float:
        return float(self._driver.range_a)

    def set(self, *, current_a: float) -> None:
        self._envelope.allow(self._role, "current_a", abs(current_a))
        self._driver.set(current_a=current_a)


class _FaultBoxGate(Gate):
    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(self._driver.faults)

    def insert(self, fault: str) -> None:
        self._envelope.allow_fault(self._role, fault, inserting=True)
        # It counts as in from here on: whatever happens next, its contact may have moved.
        self._envelope.rules.moved(fault, self._role, inserted=True)
        self._driver.insert(fault)

    def remove(self, fault: str) -> None:
        self._envelope.allow_fault(self._role, fault, inserting=False)
        self._driver.remove(fault)
        self._envelope.rules.moved(fault, self._role, inserted=False)


class _MeterGate(Gate):
    def arm(self, *, level_a: float, duration_s: float) -> None:
        self._driver.arm(level_a=level_a, duration_s=duration_s)

    def captured(self) -> bool:
        return bool(self._driver.captured())


class _VoltmeterGate(Gate):
    def measure(self) -> float:
        return float(self._driver.measure())


class _ScannerGate(Gate):
    def scan(self) -> dict[str, float]:
        found: dict[str, float] = self._driver.scan()
        return found


class _ChamberGate(Gate):
    def control(self, *, temperature_degc: float, rate_k_per_min: float | None = None) -> None:
        self._envelope.allow(self._role, "temperature_degc", temperature_degc)
        self._driver.control(temperature_degc=temperature_degc, rate_k_per_min=rate_k_per_min)

    def measure(self) -> float:
        return float(self._driver.measure())


#: Role to its part of a gate, the more particular first. A role that another one contains (a voltmeter only
#: measures, as a supply does) counts only if none before it fits.
_PARTS: tuple[tuple[type, type[Gate], bool], ...] = (
    (roles.ArmedLoad, _ArmedLoadGate, False),
    (roles.Load, _LoadGate, True),
    (roles.Supply, _SupplyGate, False),
    (roles.CellEmulator, _CellsGate, False),
    (roles.Thermistors, _ThermistorsGate, False),
    (roles.ShuntSimulator, _ShuntGate, False),
    (roles.FaultBox, _FaultBoxGate, False),
    (roles.Chamber, _ChamberGate, False),
    (roles.Meter, _MeterGate, False),
    (roles.Scanner, _ScannerGate, False),
    (roles.Voltmeter, _VoltmeterGate, True),
)


def gate_class(driver: roles.Instrument) -> type[Gate]:
    """The gate for a driver: one part for each role that it fills."""
    parts: list[type[Gate]] = []
    for protocol, part, only_alone in _PARTS:
        if isinstance(driver, protocol) and not (only_alone and parts):
            parts.append(part)
    return _joined(tuple(parts))


@cache
def _joined(parts: tuple[type[Gate], ...]) -> type[Gate]:
    return type("Gate", parts or (Gate,), {})
