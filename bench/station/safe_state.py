"""The safe state: energy off in the station's order, and what was read back afterwards.

The run itself, the watchman and the panic button go through the same steps; only who runs them differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.clock import Clock
from bench.errors import UnsafeState
from bench.station.drivers import kind_of
from bench.station_file import SafeStateEntry
from instruments import roles

#: Energy first: sources, then loads, then what could still feed the DUT. Its own supply is the last, so that
#: it sees and logs how it was switched off.
CLOSING_ORDER = (
    *("charger", "regen", "load", "shunt", "faults", "cells", "thermistors"),
    *("chamber", "meter", "voltmeter", "scanner", "auxiliary"),
)

#: What a DUT that was asked for standby has before the host falls silent [s]; project default.
OPENS_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class SafeStep:
    """What was done to whom, when [s since the start], and what went wrong with it ("": nothing)."""

    role: str
    action: str
    t_s: float
    complaint: str = ""

    def __str__(self) -> str:
        return f"{self.role}: {self.action}: {self.complaint or 'done'}"


@dataclass(slots=True)
class SafeReport:
    """What was done to make a bench safe, and what was read back.

    Parameters
    ----------
    cause
        Why it was done.
    steps
        In the order in which they ended.
    readings
        What instruments measured afterwards: `charger.current_a` to its value in SI units.
    took_s
        From the cause, as far as it is known, to the last reading [s].
    """

    cause: str
    steps: list[SafeStep] = field(default_factory=list)
    readings: dict[str, float] = field(default_factory=dict)
    took_s: float = math.nan

    @property
    def complaints(self) -> list[str]:
        """What went wrong, in words."""
        return [f"{step.role}: {step.action}: {step.complaint}" for step in self.steps if step.complaint]

    @property
    def confirmed(self) -> bool:
        """Whether everything was switched off and read back as off."""
        return bool(self.steps) and not self.complaints

    def __str__(self) -> str:
        if not self.confirmed:
            return f"NOT CONFIRMED, look: {'; '.join(self.complaints) or 'nothing was done'}"
        currents = [abs(v) for name, v in self.readings.items() if name.rpartition(".")[2] == "current_a"]
        parts = [f"safe after {self.took_s:.2f} s"]
        if currents:
            parts.append(f"{max(currents):.1f} A")
        closed = closed_contacts(self.readings)
        if closed is not None:
            parts.append("contactors open" if not closed else f"closed: {', '.join(closed)}")
        return ", ".join(parts)


def closed_contacts(readings: Mapping[str, float]) -> list[str] | None:
    """Which contacts are measured to be closed; None if nobody measures any.

    A pyrotechnic switch is a fuse, not a contactor: it stays closed unless it was fired.
    """
    contacts = {name.rpartition("switch.")[2]: v for name, v in readings.items() if "switch." in name}
    contacts.pop("pyro", None)
    return [name for name, value in contacts.items() if value] if contacts else None


def order_of(names: Mapping[str, object], entry: SafeStateEntry) -> list[str]:
    """The roles in the order in which they are switched off: the station's, then the usual one."""
    stated = [name for name in entry.order if name in names]
    rest = [name for name in names if name not in stated]
    return [*stated, *sorted(rest, key=lambda name: CLOSING_ORDER.index(kind_of(name)))]


def attempt(step: Callable[[], object]) -> str:
    """Run one step of making safe; what went wrong. Nothing in it may keep the others from running."""
    for _ in range(2):
        try:
            step()
        except KeyboardInterrupt:
            continue  # an impatient second Ctrl-C must not leave the bench on: the step is done again
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""
    return "interrupted twice"


def demand_off(role: str, instrument: roles.Instrument) -> None:
    """Read back that an instrument is off. Raises `UnsafeState` if it says otherwise."""
    if not instrument.is_off():
        raise UnsafeState(f"{role} says that it is still on")


def demand_no_current(cells: roles.Instrument, clock: Clock, entry: SafeStateEntry) -> float:
    """Another instrument than the sources must see that no current flows; the current [A], nan if unknown.

    Raises
    ------
    UnsafeState
        If current still flows after `rest_within_s`.
    """

    def current_a() -> float:
        traces = cells.traces()
        return float(traces["current_a"].last) if "current_a" in traces else math.nan

    def dead() -> bool:
        return not abs(current_a()) >= entry.rest_current_a

    if not clock.until(dead, timeout_s=entry.rest_within_s, step_s=0.05):
        raise UnsafeState(f"expected less than {entry.rest_current_a:g} A, still {current_a():.1f} A")
    return current_a()


def readings_of(role: str, instrument: roles.Instrument) -> dict[str, float]:
    """What an instrument measures now, or measured last: voltage, current, contacts, temperature."""
    found: dict[str, float] = {}
    if isinstance(instrument, (roles.Supply, roles.Load)):
        found[f"{role}.voltage_v"], found[f"{role}.current_a"] = instrument.measure()
    elif isinstance(instrument, roles.Chamber):
        found[f"{role}.temperature_degc"] = instrument.measure()
    for name, trace in instrument.traces().items():
        if len(trace) and (name in ("current_a", "pack_v", "link_v") or name.startswith("switch.")):
            found[f"{role}.{name}"] = float(trace.last)
    return found
