"""The inside of a temperature chamber, for the twins of chambers: air, walls, power, sensors, controller.

Two heat capacities, air (with fan and heat exchanger) and walls, in a case that leaks to the room. Heater and
refrigeration have finite power that takes time to come and go; the refrigeration weakens with the cold. A PI
controller on the chamber's own sensor follows a set point that moves at a gradient; nothing lets the air jump
to where it is told to be. A limiter with a sensor of its own takes the power away.

All numbers of `ChamberAir` are project defaults, for a bench-top chamber of about 200 l. Left out: humidity,
and the heat of the pack, which no terminal tells; the air does not feel the pack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench.clock import Clock
from instruments.accuracy import Accuracy, Deviation
from instruments.terminals import ChamberTerminal

#: Step of the model [s]: small beside its fastest time constant.
STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class ChamberAir:
    """What a chamber is made of; project defaults.

    Parameters
    ----------
    air_j_per_k, walls_j_per_k
        Heat capacities [J/K].
    film_w_per_k
        From air to walls [W/K].
    leak_w_per_k
        From walls to the room [W/K].
    heating_w, cooling_w
        Most power [W]; the cooling power is that at 20 °C and above.
    coldest_degc, cooling_w_at_coldest
        At this temperature [°C] so much of the cooling power is left [W].
    lag_s
        Time constant with which power comes and goes [s].
    sensor_s
        Time constant of the sensors [s].
    gain_w_per_k, reset_s
        Proportional gain [W/K] and integral time [s] of the controller.
    """

    air_j_per_k: float = 5000.0
    walls_j_per_k: float = 12_500.0
    film_w_per_k: float = 60.0
    leak_w_per_k: float = 4.0
    heating_w: float = 2500.0
    cooling_w: float = 2000.0
    coldest_degc: float = -70.0
    cooling_w_at_coldest: float = 600.0
    lag_s: float = 8.0
    sensor_s: float = 3.0
    gain_w_per_k: float = 250.0
    reset_s: float = 200.0

    def most_cooling_w(self, air_degc: float) -> float:
        """What the refrigeration can take out at `air_degc` [W]."""
        share = (20.0 - air_degc) / (20.0 - self.coldest_degc)
        return self.cooling_w + (self.cooling_w_at_coldest - self.cooling_w) * min(max(share, 0.0), 1.0)


class ChamberInside:
    """A chamber at work on a terminal.

    Parameters
    ----------
    terminal
        The pack's surroundings. From the first start on the pack is in the chamber, and stays there when the
        chamber is switched off: then the air drifts to the room through the walls.
    clock
        Runs the model.
    air
        What the chamber is made of.
    accuracy
        Of the chamber's sensor.
    seed
        Of the sensor's error.

    Attributes
    ----------
    running
        Whether the air is conditioned.
    target_degc
        Where the air shall go [°C].
    up_k_per_min, down_k_per_min
        How fast the set point moves on the way there [K/min]; inf: at once.
    limiter_degc
        From this temperature on the limiter takes the power away [°C], until `reset_limiter`.
    tripped
        Whether it did.
    """

    def __init__(
        self, terminal: ChamberTerminal, *, clock: Clock, air: ChamberAir, accuracy: Accuracy, seed: int
    ) -> None:
        self._terminal, self._made_of = terminal, air
        self._error = Deviation.within(accuracy, np.random.default_rng(seed))
        self.running = False
        self.target_degc = self.wanted_degc = self._air_degc = self._walls_degc = terminal.air_degc
        self._sensor_degc = self._limiter_sensor_degc = self._told_degc = terminal.air_degc
        self.up_k_per_min = self.down_k_per_min = math.inf
        self.limiter_degc = math.inf
        self.tripped = False
        self._power_w = self._integral_w = 0.0
        clock.every(STEP_S, self._step, name="chamber air")

    def start(self) -> None:
        """Condition the air, starting with a set point where it is; refused silently while tripped."""
        self._terminal.closed = True
        if self.tripped:
            return
        if not self.running:
            self.wanted_degc, self._integral_w = self._sensor_degc, 0.0
        self.running = True

    def stop(self) -> None:
        """Let go."""
        self.running = False

    def reset_limiter(self) -> bool:
        """Let the power come back, if it is cool enough again; whether it is."""
        if self._limiter_sensor_degc < self.limiter_degc:
            self.tripped = False
        return not self.tripped

    def measure(self) -> float:
        """What the chamber's sensor shows now [°C]."""
        return self._error.read(self._sensor_degc)

    def _step(self) -> None:
        made_of, dt_s = self._made_of, STEP_S
        self._move_set_point(dt_s)
        demand_w = self._controlled(dt_s) if self.running else 0.0
        self._power_w += (demand_w - self._power_w) * dt_s / made_of.lag_s
        film_w = made_of.film_w_per_k * (self._air_degc - self._walls_degc)
        leak_w = made_of.leak_w_per_k * (self._walls_degc - self._terminal.room_degc)
        self._air_degc += (self._power_w - film_w) * dt_s / made_of.air_j_per_k
        self._walls_degc += (film_w - leak_w) * dt_s / made_of.walls_j_per_k
        share = dt_s / made_of.sensor_s
        self._sensor_degc += (self._air_degc - self._sensor_degc) * share
        self._limiter_sensor_degc += (self._air_degc - self._limiter_sensor_degc) * share
        if self._limiter_sensor_degc >= self.limiter_degc:
            self.tripped, self.running = True, False
        if self._air_degc != self._told_degc:  # an idle chamber leaves the pack to another one
            self._told_degc = self._terminal.air_degc = self._air_degc

    def _move_set_point(self, dt_s: float) -> None:
        missing_k = self.target_degc - self.wanted_degc
        most_k = (self.up_k_per_min if missing_k > 0 else self.down_k_per_min) / 60.0 * dt_s
        self.wanted_degc += math.copysign(min(abs(missing_k), most_k), missing_k)

    def _controlled(self, dt_s: float) -> float:
        """Power that the PI controller asks for [W]; the integral stands still while there is no more."""
        made_of = self._made_of
        missing_k = self.wanted_degc - self._sensor_degc
        proportional_w = made_of.gain_w_per_k * missing_k
        lowest_w, highest_w = -made_of.most_cooling_w(self._air_degc), made_of.heating_w
        demand_w = min(max(proportional_w + self._integral_w, lowest_w), highest_w)
        if demand_w == proportional_w + self._integral_w:
            self._integral_w += made_of.gain_w_per_k * missing_k * dt_s / made_of.reset_s
        return demand_w
