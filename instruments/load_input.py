"""Input of an electronic load's twin: four ways of drawing current from a terminal that knows only current.

Constant resistance, power and voltage are loops around the terminal's voltage, closed once per tick. A real
load closes them in microseconds; here a loop follows within some ten ticks, and constant voltage within about
a second. A level is above 0 except for constant current. A terminal is told what changes and nothing else, so
that of two loads which share one, the idle one does not take it from the other.
"""

from __future__ import annotations

from instruments.accuracy import Deviation
from instruments.terminals import LoadTerminal

#: Below this a constant power would ask for more than there is [V].
_LOWEST_V = 0.1
#: Share of the rated current by which one tick of the constant-voltage loop may change the current, and the
#: least change that says something about the source's resistance.
_LARGEST, _TELLING = 0.05, 1e-4


class LoadInput:
    """Draws what mode and level ask for, never more than `limit_a`.

    Parameters
    ----------
    terminal
        Where it draws from. If it has `slew_a_per_s`, that is set too.
    rated_v, rated_a
        Of the load [V], [A].
    error
        Of the current it draws.
    """

    def __init__(self, terminal: LoadTerminal, *, rated_v: float, rated_a: float, error: Deviation) -> None:
        self.terminal, self._error = terminal, error
        self._rated_a, self._source_ohm = rated_a, rated_v / rated_a
        self._held_a = 0.0
        self._seen = (0.0, 0.0)
        self._told: tuple[float, bool, float] | None = None
        self.mode, self.level, self.limit_a, self.starts_v = "CC", 0.0, rated_a, 0.0
        self.enabled = False
        self.slew_a_per_s = float("inf")

    def apply(self) -> None:
        """Bring the terminal in line with mode and level."""
        terminal = self.terminal
        wanted_a = self.level if self.mode == "CC" else self._held_a
        if not self.enabled or terminal.actual_voltage_v < self.starts_v:
            wanted_a = 0.0
        told = self._error.set(min(max(wanted_a, 0.0), self.limit_a)), self.enabled, self.slew_a_per_s
        if told == self._told:
            return
        self._told = told
        if hasattr(terminal, "slew_a_per_s"):
            terminal.slew_a_per_s = self.slew_a_per_s
        terminal.current_a, terminal.enabled = told[:2]

    def tick(self) -> None:
        """Close the loop once."""
        voltage_v = max(self.terminal.actual_voltage_v, 0.0)
        if not self.enabled:
            self._held_a = 0.0
        elif self.mode == "CV":
            self._held_a += self._towards(voltage_v)
        elif self.mode == "CR":
            self._held_a += 0.5 * (voltage_v / self.level - self._held_a)
        elif self.mode == "CP":
            wanted_a = self.level / voltage_v if voltage_v > _LOWEST_V else 0.0
            self._held_a += 0.5 * (wanted_a - self._held_a)
        self._held_a = min(max(self._held_a, 0.0), self.limit_a)
        self.apply()

    def _towards(self, voltage_v: float) -> float:
        """By how much to change the current [A] for the set voltage, from how the source gave way before."""
        change_a, given_v = self._held_a - self._seen[0], self._seen[1] - voltage_v
        self._seen = (self._held_a, voltage_v)
        if abs(change_a) > _TELLING * self._rated_a and given_v / change_a > 0.0:
            self._source_ohm = given_v / change_a
        most_a = _LARGEST * self._rated_a
        return min(max(0.5 * (voltage_v - self.level) / self._source_ohm, -most_a), most_a)
