"""Fan, heater, a fan that does not turn, and the signature of a thermal runaway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID, NO_INDEX

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


class Thermal:
    """Runs once a second.

    Attributes
    ----------
    fan_permille, heater
        What the outputs are told.
    runaway, runaway_sensor
        Finding, until a reset, and the sensor that showed it.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.forget()

    def forget(self) -> None:
        """As after power-up."""
        self.fan_permille = 0
        self.heater = False
        self.runaway = False
        self.runaway_sensor = NO_INDEX
        self._last_ddegc: list[int] = []
        self._rising_s: list[int] = []

    def run(self) -> None:
        """Decide about fan and heater, and look at the rise of every sensor."""
        self.decide_fan()
        self.decide_heater()
        self._bms.outputs.fan.write(self.fan_permille)
        self._bms.outputs.heater.write(self.heater)
        self.watch_runaway()

    def decide_fan(self) -> None:
        """Proportional between start and full, with a hysteresis at the start."""
        parameters, hottest = self._bms.parameters.thermal, self._bms.seen.hottest_ddegc
        if hottest == INVALID:
            self.fan_permille = 1000
            return
        start = parameters.fan_start_ddegc - (parameters.fan_hysteresis_ddegc if self.fan_permille else 0)
        if hottest < start:
            self.fan_permille = 0
            return
        width = parameters.fan_full_ddegc - parameters.fan_start_ddegc
        self.fan_permille = max(300, min(1000, 1000 * (hottest - parameters.fan_start_ddegc) // width))

    def decide_heater(self) -> None:
        """Warm a cold pack while it is in use; never one that is anywhere warm, never in a fault."""
        bms, parameters = self._bms, self._bms.parameters.thermal
        coldest = bms.seen.coldest_ddegc
        usable = bms.state.name.lower() in parameters.heater_modes and coldest != INVALID
        hot = bms.seen.hottest_ddegc > parameters.heater_hottest_ddegc
        if not usable or hot or coldest >= parameters.heater_off_ddegc:
            self.heater = False
        elif coldest <= parameters.heater_on_ddegc:
            self.heater = True

    def fan_is_slow(self) -> bool:
        """Whether the fan is told to run and does not."""
        parameters = self._bms.parameters.thermal
        return (
            self.fan_permille >= parameters.fan_watched_permille
            and self._bms.readings.fan_rpm.value < parameters.fan_least_rpm
        )

    def watch_runaway(self) -> None:
        """A sensor that rises by 1 K/s for 3 s while one cell falls away from the others.

        The rate is compared with a fifth less, for the resolution and noise of the sensors. Source: rate and
        duration as thermal runaway is commonly told in traction battery rules (unverified); voltage part:
        project default.
        """
        bms, parameters = self._bms, self._bms.parameters.thermal
        now, last = bms.readings.temperature_ddegc.value, self._last_ddegc
        self._last_ddegc = list(now)
        if len(last) != len(now):
            self._rising_s = [0] * len(now)
            return
        rise, seen = parameters.runaway_rise_ddegc_per_s, bms.seen
        self._rising_s = [
            count + 1 if t != INVALID and old != INVALID and t - old >= rise else 0
            for t, old, count in zip(now, last, self._rising_s, strict=True)
        ]
        if max(self._rising_s) < parameters.runaway_s or seen.lowest_mv == INVALID:
            return
        if (seen.mean_mv - seen.lowest_mv) * 1000 >= seen.mean_mv * parameters.runaway_drop_permille:
            self.runaway = True
            self.runaway_sensor = self._rising_s.index(max(self._rising_s))
