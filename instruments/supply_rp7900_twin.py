"""Twin of the Keysight RP7900: parses SCPI, drives a source terminal, trips and latches like the real one.

Protections and status bits as in the operating and service guide, p. 128, 226, 238 and 241 to 242. Not
in any document seen, hence project defaults: ratings, accuracy, range of over-voltage protection (120 %),
threshold of over-power (105 %), range of the output resistance, the temperature margin (50 K less 35 K at
full power), and that the watchdog runs only while the output is on.

It pushes; it draws only from a terminal that has `sink_current_a`. The output resistance is a loop of its own
here, settled in half a second. Left out: lists, transients, arbitrary waveforms, digital port.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.power_readings import of_rating
from instruments.scpi import Command, Dialect, Interpreter, status_commands
from instruments.scpi_parameters import Boolean, Choice, Number
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.terminals import SourceTerminal

#: Latching protections by status group and bit: QUEStionable1 and QUEStionable2.
PROTECTIONS: tuple[dict[int, str], dict[int, str]] = (
    {0: "OV", 1: "OC", 2: "PF", 3: "CP+", 4: "OT", 5: "CP-", 6: "OV-", 9: "INH", 11: "PROT", 12: "EDP"},
    {3: "CSF", 4: "MSP", 5: "SDP", 6: "UV"},
)
_BIT = {name: (group, bit) for group, bits in enumerate(PROTECTIONS) for bit, name in bits.items()}
_CV, _CC, _OFF = 1 << 0, 1 << 1, 1 << 2
_LIM_POSITIVE = 1 << 7

_UNSEEN = "project default: no data sheet seen"
#: Of an RP7936A. Other models: the same shares of their rating.
ACCURACY = {
    "voltage_v": Accuracy("V", (Band(160.0, 2.5e-4, 1.25e-4),), _UNSEEN, "unverified"),
    "current_a": Accuracy("A", (Band(125.0, 1e-3, 8e-4),), _UNSEEN, "unverified"),
}

#: Hardware reacts in microseconds; the terminal changes once per plant step, so looking more often is idle.
_TICK_S = 0.01
_OVER_POWER = 1.05
_NO_SLEW = 9.9e37
#: Share of the way to the wanted voltage that the loop of the output resistance goes in a tick. It stays
#: stable for output resistances up to 19 times that of the pack.
_RESISTANCE_GAIN = 0.1
_IDLE_MARGIN_K, _FULL_POWER_K = 50.0, 35.0


class Rp7900Options(BaseModel):
    """The `[roles.<name>.options]` table of an RP7900. Ratings: copy them from the type plate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "RP7936A"
    serial: str = "MY00000000"
    rated_v: Annotated[float, Field(gt=0)] = 160.0
    rated_a: Annotated[float, Field(gt=0)] = 125.0
    rated_w: Annotated[float, Field(gt=0)] = 10_000.0
    parallel_units: Annotated[int, Field(ge=1, le=10)] = 1
    ovp_margin: Annotated[float, Field(gt=1.0, le=1.2)] = 1.05
    watchdog_s: Annotated[int, Field(ge=1, le=3600)] = 10
    aperture_s: Annotated[float, Field(gt=0)] = 0.02
    latency_s: Annotated[float, Field(ge=0)] = 0.001

    @property
    def total_a(self) -> float:
        """Rated current of all parallel units [A]."""
        return self.rated_a * self.parallel_units

    @property
    def total_w(self) -> float:
        """Rated power of all parallel units [W]."""
        return self.rated_w * self.parallel_units

    @property
    def highest_ovp_v(self) -> float:
        """Highest level of over-voltage protection [V]."""
        return 1.2 * self.rated_v


_VOLTS = Number("V", 0.0, "highest_v")
_LIMIT_POSITIVE = Number("A", 0.0, "highest_a", "lowest_limit_a")

DIALECT = Dialect(
    commands=(
        Command(
            "[SOURce:]FUNCtion", "function", (Choice(("VOLTage", "CURRent"), "VOLT"),), run="change_function"
        ),
        Command("[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", "voltage_v", (_VOLTS,)),
        Command("[SOURce:]VOLTage:LIMit[:POSitive]", "voltage_limit_v", (Number("V", 0, "highest_v"),)),
        Command("[SOURce:]VOLTage:LIMit:LOW", "lower_limit_v", (Number("V", 0, "highest_v"),)),
        Command(
            "[SOURce:]VOLTage:RESistance[:LEVel][:IMMediate][:AMPLitude]",
            "resistance_ohm",
            (Number("Ohm", 0, "highest_ohm"),),
        ),
        Command("[SOURce:]VOLTage:RESistance:STATe", "resistance", (Boolean(),)),
        Command("[SOURce:]VOLTage:PROTection[:LEVel]", "ovp_v", (Number("V", 0, "ovp_max_v", "ovp_max_v"),)),
        Command("[SOURce:]VOLTage:PROTection:LOW[:LEVel]", "uvp_v", (_VOLTS,)),
        Command(
            "[SOURce:]VOLTage:PROTection:LOW:DELay", "uvp_delay_s", (Number("s", 2.048e-5, 2611, 2.048e-5),)
        ),
        Command("[SOURce:]VOLTage:PROTection:LOW:STATe", "uvp", (Boolean(),)),
        Command("[SOURce:]VOLTage:SLEW[:IMMediate]", "slew", (Number("V/s", 0.1, _NO_SLEW, _NO_SLEW),)),
        Command(
            "[SOURce:]CURRent[:LEVel][:IMMediate][:AMPLitude]",
            "current_a",
            (Number("A", "lowest_a", "highest_a"),),
        ),
        Command("[SOURce:]CURRent:LIMit[:POSitive]", "limit_a", (_LIMIT_POSITIVE,)),
        Command(
            "[SOURce:]CURRent:LIMit:NEGative", "negative_limit_a", (Number("A", "lowest_a", 0.0, "lowest_a"),)
        ),
        Command("[SOURce:]CURRent:PROTection:STATe", "ocp", (Boolean(),)),
        Command("[SOURce:]CURRent:PROTection:DELay", "ocp_delay_s", (Number("s", 0, 0.255, 0.02),)),
        Command("OUTPut[:STATe]", "output", (Boolean(),), run="switch"),
        Command("OUTPut:PROTection:CLEar", run="clear_protection"),
        Command("OUTPut:PROTection:WDOG[:STATe]", "watchdog", (Boolean(),)),
        Command("OUTPut:PROTection:WDOG:DELay", "watchdog_s", (Number("s", 1, 3600, 60, integer=True),)),
        Command("OUTPut:PROTection:TEMPerature:MARGin", query="temperature_margin"),
        Command("OUTPut:INHibit:MODE", "inhibit", (Choice(("LATChing", "LIVE", "OFF"), "LATC"),)),
        Command("MEASure[:SCALar]:VOLTage[:DC]", query="measure_voltage"),
        Command("MEASure[:SCALar]:CURRent[:DC]", query="measure_current"),
        Command("MEASure[:SCALar]:POWer[:DC]", query="measure_power"),
        Command("FETCh[:SCALar]:VOLTage[:DC]", query="fetch_voltage"),
        Command("FETCh[:SCALar]:CURRent[:DC]", query="fetch_current"),
        Command("FETCh[:SCALar]:POWer[:DC]", query="fetch_power"),
        *status_commands("STATus:OPERation", "operation"),
        *status_commands("STATus:QUEStionable<n>", "questionable"),
        Command("STATus:PRESet", run="preset_status"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
        Command("SYSTem:VERSion", query="scpi_version"),
        Command("SYSTem:COMMunicate:RLSTate", "remote", (Choice(("LOCal", "REMote", "RWLock"), "REM"),)),
    ),
    number=lambda value: f"{value:+.8E}",
    error_sign="+",
    questionable_groups=2,
)


class Rp7900Twin:
    """Device side of an RP7900 on a source terminal.

    Parameters
    ----------
    terminal
        Where it feeds the pack.
    clock
        Protections, slew and watchdog run on it.
    options
        Ratings and accuracy of the unit it stands in for.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: SourceTerminal, *, clock: Clock, options: Rp7900Options, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        of_voltage = of_rating(ACCURACY["voltage_v"], options.rated_v)
        of_current = of_rating(ACCURACY["current_a"], options.total_a)
        self._voltmeter = Deviation.within(of_voltage, generator)
        self._ammeter = Deviation.within(of_current, generator)
        self._output_v = Deviation.within(of_voltage, generator)
        self._output_a = Deviation.within(of_current, generator)
        self.highest_v, self.highest_a = 1.02 * options.rated_v, 1.02 * options.total_a
        self.lowest_a, self.lowest_limit_a = -self.highest_a, 0.02 * options.total_a
        self.ovp_max_v = options.highest_ovp_v
        self.highest_ohm = 0.1 * options.rated_v / options.total_a
        self.identification = f"Keysight Technologies,{options.model},{options.serial},B.03.02.1232"
        self._latched = [0, 0]
        self._heard_s = self._applied_s = clock.now_s
        self._ramp_v = self._drop_v = 0.0
        self._fetched = (0.0, 0.0)
        self._limiting_s = self._low_s = 0.0
        self._busy_s = 0.0
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)
        self._apply()
        clock.every(_TICK_S, self.tick, name=f"{options.model} twin")

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message. Any message restarts the watchdog, understood or not."""
        self._heard_s = self.clock.now_s
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        self._apply()
        return None if answer is None else Reply(answer, self._busy_s)

    @property
    def output_on(self) -> bool:
        """Programmed on and not held off by a protection."""
        return bool(self._scpi.settings["output"]) and not any(self._latched)

    def tick(self) -> None:
        """Look at the terminals while the output is on: protections, watchdog, slew, status."""
        if self.output_on:
            self._protect()
            self._settle()
            self._apply()

    def _protect(self) -> None:
        settings, terminal = self._scpi.settings, self.terminal
        limiting = bool(self._operation() & _CC)
        low = settings["uvp"] and terminal.actual_voltage_v < settings["uvp_v"]
        self._limiting_s = self._limiting_s + _TICK_S if limiting else 0.0
        self._low_s = self._low_s + _TICK_S if low else 0.0
        if terminal.actual_voltage_v > settings["ovp_v"]:
            self._trip("OV")
        if settings["ocp"] and self._limiting_s > settings["ocp_delay_s"]:
            self._trip("OC")
        if terminal.actual_voltage_v * terminal.actual_current_a > _OVER_POWER * self.options.total_w:
            self._trip("CP+")
        if self._low_s > settings["uvp_delay_s"]:
            self._trip("UV")
        if settings["watchdog"] and self.clock.now_s - self._heard_s >= settings["watchdog_s"]:
            self._trip("PROT")

    def _trip(self, name: str) -> None:
        group, bit = _BIT[name]
        self._latched[group] |= 1 << bit

    def _apply(self) -> None:
        """Bring the terminal and the status registers in line with settings and latches."""
        settings, terminal = self._scpi.settings, self.terminal
        by_voltage = settings["function"] == "VOLT"
        target_v = settings["voltage_v"] if by_voltage else settings["voltage_limit_v"]
        elapsed_s, self._applied_s = self.clock.now_s - self._applied_s, self.clock.now_s
        step_v = settings["slew"] * (elapsed_s if settings["slew"] < _NO_SLEW else 1.0)
        if not self.output_on:
            self._ramp_v = self._drop_v = 0.0
        else:
            self._ramp_v += float(np.clip(target_v - self._ramp_v, -step_v, step_v))
        limit_a = settings["limit_a"] if by_voltage else max(0.0, settings["current_a"])
        terminal.voltage_v = self._output_v.set(max(0.0, self._ramp_v - self._drop_v))
        terminal.current_a = self._output_a.set(limit_a)
        terminal.enabled = self.output_on
        if hasattr(terminal, "sink_current_a"):
            sink_a = settings["negative_limit_a"] if by_voltage else min(0.0, settings["current_a"])
            terminal.sink_current_a = self._output_a.set(-sink_a)
        self._report()

    def _settle(self) -> None:
        """One step of the loop that makes the output behave as if a resistance was in it."""
        settings = self._scpi.settings
        active = settings["resistance"] and settings["function"] == "VOLT"
        wanted_v = settings["resistance_ohm"] * self.terminal.actual_current_a if active else 0.0
        self._drop_v += _RESISTANCE_GAIN * (wanted_v - self._drop_v)

    def _report(self) -> None:
        """Bring the status registers in line."""
        operation = self._operation()
        self._scpi.status.operation.update(operation)
        limiting = _LIM_POSITIVE if operation & _CC else 0
        for group, bits in zip(
            self._scpi.status.questionable, (self._latched[0] | limiting, self._latched[1]), strict=True
        ):
            group.update(bits)

    def _operation(self) -> int:
        if not self._scpi.settings["output"]:
            return _OFF
        if not self.output_on:
            return 0
        # At its limit to within the resolution of the loop.
        limiting = self.terminal.actual_current_a >= 0.998 * self.terminal.current_a - 1e-3
        return _CC if limiting else _CV

    # What the table names.

    def reset(self) -> None:
        """`*RST`: settings are back at their defaults, output off; latches stay."""
        self._limiting_s = self._low_s = 0.0

    def change_function(self, function: str) -> None:
        """Another priority: the output goes off and the settings of the source return to their defaults.

        Source: MytraAI/mytest, hardware notes on the N6974A of the sister family, measured there.
        """
        settings = self._scpi.settings
        if function == settings["function"]:
            return
        kept = {name: settings[name] for name in ("watchdog", "watchdog_s", "remote")}
        self._scpi.restore_defaults()
        settings.update(kept)

    def switch(self, on: bool) -> None:
        self._limiting_s = self._low_s = 0.0

    def clear_protection(self) -> None:
        """Clear the latches; the output returns to what is programmed."""
        self._latched = [0, 0]

    def measure_voltage(self) -> str:
        self._acquire()
        return self.fetch_voltage()

    def measure_current(self) -> str:
        self._acquire()
        return self.fetch_current()

    def measure_power(self) -> str:
        self._acquire()
        return self.fetch_power()

    def fetch_voltage(self) -> str:
        return DIALECT.number(self._fetched[0])

    def fetch_current(self) -> str:
        return DIALECT.number(self._fetched[1])

    def fetch_power(self) -> str:
        return DIALECT.number(self._fetched[0] * self._fetched[1])

    def temperature_margin(self) -> str:
        """Kelvin until over-temperature: less, the more power goes through."""
        power_w = abs(self.terminal.actual_voltage_v * self.terminal.actual_current_a)
        return DIALECT.number(_IDLE_MARGIN_K - _FULL_POWER_K * power_w / self.options.total_w)

    def scpi_version(self) -> str:
        return "1999.0"

    def operation(self) -> StatusGroup:
        return self._scpi.status.operation

    def questionable(self, group: int) -> StatusGroup:
        if group not in (1, 2):
            raise ScpiError(-114)
        return self._scpi.status.questionable[group - 1]

    def preset_status(self) -> None:
        """Enables 0, every rise passes, no fall; events stay (SCPI-99, STATus:PRESet)."""
        for group in (self.operation(), *self._scpi.status.questionable):
            group.enable = group.negative = 0
            group.positive = 0xFFFF

    def next_error(self) -> str:
        return self._scpi.next_error()

    def _acquire(self) -> None:
        self._busy_s += self.options.aperture_s
        terminal = self.terminal
        self._fetched = (
            self._voltmeter.read(terminal.actual_voltage_v),
            self._ammeter.read(terminal.actual_current_a),
        )
