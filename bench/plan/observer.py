"""What a rehearsal does to instruments, fuse, harness and contactors, as the emulated rack knows it.

Readings of a poll would miss what lies between two of them.
"""

from __future__ import annotations

import math

import numpy as np

from bench.clock import Clock
from bench.plan.demand import Figure
from bench.rack import ORDER_PHYSICS, TICK_S, Rack
from bench.station.drivers import kind_of
from bench.station_file import StationFile

#: How slowly a cable follows its current [s]: one body, warmed by the square of the current. Project default.
THERMAL_S = 60.0

#: Contacts that a break rating is declared for: all but the pyrotechnic switch, the last one.
_CONTACTORS = slice(0, 4)

#: Terminals that have one voltage and one current, and the kinds of role that feed or load them. A voltmeter
#: may sit there too.
_POWER = ("charger", "regen", "load", "auxiliary")


class Observer:
    """Follows the plant of one rehearsal.

    Parameters
    ----------
    rack
        Emulated rack of the rehearsal.
    clock
        Its clock.
    file
        Station of the rehearsal: which roles are where, and what its fuse carries for ever.
    """

    def __init__(self, rack: Rack, clock: Clock, file: StationFile) -> None:
        self._plant, self._clock = rack.plant, clock
        self._terminals = {
            name: rack.terminal(str(file.path), entry.terminal)
            for name, entry in file.roles.items()
            if entry.terminal in _POWER and kind_of(name) in _POWER
        }
        self._energy_j = dict.fromkeys(self._terminals, 0.0)
        ratings = file.ratings
        self._meter = rack.plant.terminal("meter")
        self._carried_a2 = (ratings.fuse_a or 0.0) ** 2
        self._has_fuse = ratings.fuse_a is not None
        self._square_a2s = self._plant.truth.square_a2s
        self._overload_a2s = self._warm_a2 = 0.0
        self._closed = self._meter.switch_closed.copy()
        self._current_a = 0.0
        self._worst: dict[tuple[str, str, str], tuple[float, float]] = {}
        clock.every(TICK_S, self._follow, name="plan", order=ORDER_PHYSICS + 1)

    def figures(self) -> list[Figure]:
        """The worst of everything so far."""
        found = [Figure(*key, value, t_s) for key, (value, t_s) in self._worst.items()]
        found += [Figure(role, "energy", "Wh", joule / 3600.0) for role, joule in self._energy_j.items()]
        return [*found, Figure("pack", "peak current", "A", self._plant.truth.peak_a, math.nan)]

    def _follow(self) -> None:
        for role, terminal in self._terminals.items():
            voltage_v, current_a = terminal.actual_voltage_v, terminal.actual_current_a
            self._note(role, "highest reached voltage", "V", voltage_v)
            self._note(role, "highest reached current", "A", current_a)
            self._note(role, "highest reached power", "W", voltage_v * current_a)
            self._energy_j[role] += voltage_v * current_a * TICK_S
        self._follow_stack()

    def _follow_stack(self) -> None:
        meter, square_a2s = self._meter, self._plant.truth.square_a2s
        done_a2s, self._square_a2s = square_a2s - self._square_a2s, square_a2s
        # Exponential mean of the square: what a body with one time constant feels.
        share = TICK_S / THERMAL_S
        self._warm_a2 += done_a2s / THERMAL_S - share * self._warm_a2
        self._note("harness", "thermal current", "A", math.sqrt(max(0.0, self._warm_a2)))
        if self._has_fuse:
            self._overload_a2s = max(0.0, self._overload_a2s + done_a2s - self._carried_a2 * TICK_S)
            self._note("fuse", "overload", "A2s", self._overload_a2s)
        self._note("harness", "voltage", "V", max(meter.pack_v, meter.link_v, meter.charger_v))
        closed = meter.switch_closed
        if np.any(self._closed[_CONTACTORS] & ~closed[_CONTACTORS]):
            # What flowed before the tick in which a contact opened, is what it interrupted.
            self._note("contactors", "interrupted current", "A", self._current_a)
        self._closed[:] = closed
        self._current_a = abs(meter.current_a)

    def _note(self, where: str, what: str, unit: str, value: float) -> None:
        key = (where, what, unit)
        if key not in self._worst or value > self._worst[key][0]:
            self._worst[key] = (value, self._clock.now_s)
