"""What a station allows: each command is held against it before it is sent, each measurement afterwards.

The limits are those of the station file, by role: `max_v`, `max_a`, `max_w`, `max_wh`, `min_degc` and
`max_degc`. Drivers keep their own refusals; this is one place for all of them, whatever a driver forgets. It
also knows every fault box, and so keeps the rules of `bench.fault_rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.clock import Clock, Job
from bench.envelope.gates import Gate, gate_class
from bench.errors import EnvelopeLeft, InstrumentRefused
from bench.fault_rules import FaultRules, Live
from bench.rack import ORDER_POLL
from bench.record import Trace
from bench.station_file import StationFile
from instruments import roles

Floats = NDArray[np.float64]

#: Quantity of a command to its unit, and the keys of the station file that bound it.
BOUNDS: dict[str, tuple[str, str, str]] = {
    "voltage_v": ("V", "", "max_v"),
    "current_a": ("A", "", "max_a"),
    "power_w": ("W", "", "max_w"),
    "temperature_degc": ("degC", "min_degc", "max_degc"),
}

#: Roles that move pack current: they go off together when the envelope is left.
POWER = ("charger", "regen", "load")

#: How often measurements are held against the envelope [s]; project default.
LOOK_S = 0.25
#: How long a relay waits for a fresh reading of the pack current, and for that to die away after a source was
#: switched off [s]; project default.
FRESH_S = 0.5


@dataclass(slots=True)
class Extreme:
    """The lowest and the highest value that was commanded, and when [s]."""

    lowest: float = math.inf
    highest: float = -math.inf
    lowest_s: float = math.nan
    highest_s: float = math.nan

    def take(self, value: float, t_s: float) -> None:
        """Widen to hold `value`."""
        if value < self.lowest:
            self.lowest, self.lowest_s = value, t_s
        if value > self.highest:
            self.highest, self.highest_s = value, t_s


class Envelope:
    """The envelope of one station, for one scenario.

    Parameters
    ----------
    file
        Says what each role may.
    clock
        Bench time.
    enforce
        False: note what would be refused, and let it pass. For a rehearsal on stand-ins, never on a bench.
    """

    def __init__(self, file: StationFile, *, clock: Clock, enforce: bool = True) -> None:
        self._file, self._clock, self._enforce = file, clock, enforce
        self._drivers: dict[str, roles.Instrument] = {}
        self._channels_on = False
        self._job: Job | None = None
        #: Why nothing may be energised any more; "" while the envelope is whole.
        self.left = ""
        #: What was commanded, by role and quantity.
        self.commanded: dict[tuple[str, str], Extreme] = {}
        #: What the fault rules would have refused.
        self.objections: list[str] = []
        self.rules = FaultRules(
            file.fault_rules,
            rest_current_a=file.safe_state.rest_current_a,
            live=Live(self._pack_current_a, self._pack_voltage_v, lambda: self._channels_on),
        )

    def around(self, role: str, driver: roles.Instrument) -> Any:
        """What stands in the place of `driver`: the same verbs, each held against the envelope first."""
        self._drivers[role] = driver
        return gate_class(driver)(role, driver, self)

    def watch(self) -> None:
        """Look at what is measured from now on, if the station bounds any of it."""
        if self._enforce and any(self._watched(role) for role in self._drivers):
            self._job = self._clock.every(LOOK_S, self.look, name="envelope", order=ORDER_POLL + 1)

    def unwatch(self) -> None:
        """Look no more: the bench is being made safe, and nothing may interrupt that."""
        if self._job is not None:
            self._job.cancel()

    # -- before a command is sent -----------------------------------------------------------------

    def allow(self, role: str, quantity: str, value: float) -> None:
        """Hold one commanded value against the station.

        Raises
        ------
        InstrumentRefused
            Outside of what the station allows, or after the envelope was left. Nothing was sent.
        """
        now_s = self._clock.now_s
        self.commanded.setdefault((role, quantity), Extreme()).take(value, now_s)
        if not self._enforce:
            return
        self.demand_whole(role)
        unit, floor, ceiling = BOUNDS[quantity]
        entry = self._file.roles[role]
        lowest = getattr(entry, floor) if floor else None
        highest = getattr(entry, ceiling)
        # A value that is no number lies within nothing.
        if highest is not None and not value <= highest:
            raise self._refusal(role, quantity, value, f"above {highest:g} {unit}", ceiling)
        if lowest is not None and not value >= lowest:
            raise self._refusal(role, quantity, value, f"below {lowest:g} {unit}", floor)

    def demand_whole(self, role: str) -> None:
        """Let nothing be energised any more once the envelope was left. Raises `InstrumentRefused`."""
        if self.left:
            raise InstrumentRefused(
                f"{role} refused at {self._clock.now_s:.3f} s: {self.left} Nothing was sent."
            )

    def allow_fault(self, role: str, fault: str, *, inserting: bool) -> None:
        """Hold a fault relay against the rules.

        Raises
        ------
        InstrumentRefused
            If it must not move now. Nothing was sent.
        """
        if self._enforce and inserting:
            self.demand_whole(role)
        objection = self.rules.objection(fault, role, self._drivers[role], inserting=inserting)
        if not objection:
            return
        verb = "insert" if inserting else "remove"
        said = (
            f"{role} refused to {verb} {fault} at {self._clock.now_s:.3f} s: {objection}. Nothing was sent."
        )
        if self._enforce:
            raise InstrumentRefused(said)
        self.objections.append(said)

    def note_cells(self) -> None:
        """The cell emulator holds voltages from now on."""
        self._channels_on = True

    def note_off(self, role: str) -> None:
        """An instrument was switched off: its relays are out, its channels let go."""
        self.rules.all_out(role)
        if isinstance(self._drivers[role], roles.CellEmulator):
            self._channels_on = False

    def last_voltage_v(self, role: str) -> float:
        """What a role measured last at its terminals [V]; nan if nothing yet."""
        return self._newest(f"{role}.voltage_v")[1]

    # -- after a measurement ----------------------------------------------------------------------

    def look(self) -> None:
        """Hold what was measured against the envelope.

        Raises
        ------
        EnvelopeLeft
            After that instrument, and everything that moves pack current, was switched off.
        """
        if self.left:
            return
        for role, driver in self._drivers.items():
            if self._watched(role) and (found := self._measured_beyond(role, driver.traces())):
                self._leave(role, found)

    def _watched(self, role: str) -> bool:
        entry = self._file.roles[role]
        bounded = entry.max_wh is not None or entry.max_w is not None
        return bounded or (entry.max_degc is not None and _measures_temperature(self._drivers[role]))

    def _measured_beyond(self, role: str, traces: Mapping[str, Trace]) -> str:
        """What of a role's measurements the station does not allow, in words."""
        entry = self._file.roles[role]
        if (found := power_of(role, traces)) is not None:
            t_s, power_w = found
            energy = energy_wh(t_s, power_w)
            if entry.max_wh is not None and energy > entry.max_wh:
                counted = f"{energy:.4g} Wh went through it"
                return self._beyond(role, counted, f"{entry.max_wh:g} Wh", "max_wh")
            if entry.max_w is not None and len(power_w) and power_w[-1] > entry.max_w:
                return self._beyond(role, f"{power_w[-1]:.4g} W measured", f"{entry.max_w:g} W", "max_w")
        if entry.max_degc is not None and _measures_temperature(self._drivers[role]):
            hottest = _hottest(traces)
            if hottest is not None and hottest[1] > entry.max_degc:
                measured = f"{hottest[0]} is {hottest[1]:.1f} degC"
                return self._beyond(role, measured, f"{entry.max_degc:g} degC", "max_degc")
        return ""

    def _beyond(self, role: str, found: str, limit: str, key: str) -> str:
        return (
            f"{role}: {found} at {self._clock.now_s:.3f} s, above {limit}, {key} of [roles.{role}] in "
            f"{self._file.path}."
        )

    def _leave(self, role: str, found: str) -> None:
        """Switch off what moves pack current and the role itself, and end the scenario."""
        self.left = f"the envelope was left: {found}"
        power = [name for name in self._drivers if name.partition("_")[0] in POWER]
        complaints = []
        for name in dict.fromkeys([*power, role]):
            try:
                self._drivers[name].off()
            except Exception as error:  # the others must go off all the same
                complaints.append(f"{name} could not be switched off: {type(error).__name__}: {error}")
            self.note_off(name)
        done = "; ".join(complaints) or "it and all sources and loads were switched off"
        raise EnvelopeLeft(f"{found[:-1]}; {done}.")

    # -- what is measured now ---------------------------------------------------------------------

    def _newest(self, name: str) -> tuple[float, float]:
        """Time [s] and value of the newest sample of a trace; (-inf, nan) if there is none."""
        for driver in self._drivers.values():
            trace = driver.traces().get(name)
            if trace is not None and len(trace):
                return float(trace.t_s[-1]), float(trace.last)
        return -math.inf, math.nan

    def _pack_current_a(self, at_most_a: float) -> float:
        """Pack current [A] as measured after the question; else the largest of the sources' own readings."""
        asked_s = self._clock.now_s

        def died_away() -> bool:
            t_s, current_a = self._newest("current_a")
            return t_s >= asked_s and abs(current_a) <= at_most_a

        if math.isfinite(self._newest("current_a")[0]):
            self._clock.until(died_away, timeout_s=FRESH_S)
            t_s, current_a = self._newest("current_a")
            if t_s >= asked_s:
                return current_a
        measuring = [d for name, d in self._drivers.items() if name.partition("_")[0] in POWER]
        readings = [abs(d.measure()[1]) for d in measuring if isinstance(d, roles.Supply | roles.Load)]
        return max(readings, default=math.nan)

    def _pack_voltage_v(self) -> float:
        return self._newest("pack_v")[1]

    def _refusal(self, role: str, quantity: str, value: float, how: str, key: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{role} refused {quantity} {value:g} {BOUNDS[quantity][0]} at {self._clock.now_s:.3f} s: it is "
            f"{how}, {key} of [roles.{role}] in {self._file.path}; nothing was sent."
        )


def power_of(role: str, traces: Mapping[str, Trace]) -> tuple[Floats, Floats] | None:
    """Times [s] and magnitude of the power [W] that a role measured, both shape (time,); None: it does not.

    Over all channels, for a cell emulator.
    """
    pair = (f"{role}.voltage_v", f"{role}.current_a")
    voltage, current = (traces.get(name) for name in (pair if pair[0] in traces else ("cell_v", "cell_a")))
    if voltage is None or current is None or voltage.origin.source != role:
        return None
    count = min(len(voltage), len(current))
    power_w = np.abs(np.nan_to_num(voltage.value[:count] * current.value[:count]))
    return current.t_s[:count], power_w.reshape(count, -1).sum(axis=1)


def energy_wh(t_s: Floats, power_w: Floats) -> float:
    """Energy [Wh] of a measured power (time,) over its times [s], by trapezoids."""
    return float(np.trapezoid(power_w, t_s)) / 3600.0


def _measures_temperature(driver: roles.Instrument) -> bool:
    """Whether `max_degc` of an instrument bounds what it measures, and not what it is told to make."""
    return not isinstance(driver, roles.Chamber | roles.Thermistors)


def _hottest(traces: Mapping[str, Trace]) -> tuple[str, float] | None:
    """The trace with the hottest newest sample, and that temperature [degC]; None if there is none."""
    found = [
        (float(np.nanmax(trace.last)), name)
        for name, trace in traces.items()
        if trace.unit == "degC" and len(trace) and not np.isnan(trace.last).all()
    ]
    return max(found)[::-1] if found else None


__all__ = ["Envelope", "Extreme", "Gate", "energy_wh", "power_of"]
