"""Twin of the Keysight RP7900: parses SCPI, drives a source terminal, trips and latches like the real one.

Protections and status bits as in the operating and service guide, p. 128, 226, 238 and 241 to 242. Not
in any document seen, hence project defaults: ratings, accuracy, range of over-voltage protection (120 %),
threshold of over-power (105 %), and that the watchdog runs only while the output is on.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Deviation
from instruments.scpi import Command, Dialect, Interpreter
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

#: Hardware reacts in microseconds; the terminal changes once per plant step, so looking more often is idle.
_TICK_S = 0.01
_OVER_POWER = 1.05
_NO_SLEW = 9.9e37


class Rp7900Options(BaseModel):
    """The `[roles.<name>.options]` table of an RP7900. Ratings: copy them from the type plate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "RP7936A"
    rated_v: Annotated[float, Field(gt=0)] = 160.0
    rated_a: Annotated[float, Field(gt=0)] = 125.0
    rated_w: Annotated[float, Field(gt=0)] = 10_000.0
    parallel_units: Annotated[int, Field(ge=1, le=10)] = 1
    ovp_margin: Annotated[float, Field(gt=1.0, le=1.2)] = 1.05
    watchdog_s: Annotated[int, Field(ge=1, le=3600)] = 10
    aperture_s: Annotated[float, Field(gt=0)] = 0.02
    latency_s: Annotated[float, Field(ge=0)] = 0.001
    voltage_accuracy: tuple[float, float] = (2.5e-4, 0.02)
    current_accuracy: tuple[float, float] = (1e-3, 0.1)

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
        Command("MEASure[:SCALar]:VOLTage[:DC]", query="measure_voltage"),
        Command("MEASure[:SCALar]:CURRent[:DC]", query="measure_current"),
        Command("MEASure[:SCALar]:POWer[:DC]", query="measure_power"),
        Command("STATus:OPERation:CONDition", query="operation_condition"),
        Command("STATus:OPERation[:EVENt]", query="operation_event"),
        Command("STATus:QUEStionable<n>:CONDition", query="questionable_condition"),
        Command("STATus:QUEStionable<n>[:EVENt]", query="questionable_event"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
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
        self._voltmeter = Deviation(*options.voltage_accuracy, generator)
        self._ammeter = Deviation(*options.current_accuracy, generator)
        self._output_v = Deviation(*options.voltage_accuracy, generator)
        self._output_a = Deviation(*options.current_accuracy, generator)
        self.highest_v, self.highest_a = 1.02 * options.rated_v, 1.02 * options.total_a
        self.lowest_a, self.lowest_limit_a = -self.highest_a, 0.02 * options.total_a
        self.ovp_max_v = options.highest_ovp_v
        self.identification = f"Keysight Technologies,{options.model},MY00000000,B.03.02.1232"
        self._latched = [0, 0]
        self._heard_s = self._applied_s = clock.now_s
        self._ramp_v = 0.0
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
            self._ramp_v = 0.0
        else:
            self._ramp_v += float(np.clip(target_v - self._ramp_v, -step_v, step_v))
        limit_a = settings["limit_a"] if by_voltage else max(0.0, settings["current_a"])
        terminal.voltage_v = self._output_v.set(self._ramp_v)
        terminal.current_a = self._output_a.set(limit_a)
        terminal.enabled = self.output_on
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
        if self.output_on and function != self._scpi.settings["function"]:
            raise ScpiError(-221)

    def switch(self, on: bool) -> None:
        self._limiting_s = self._low_s = 0.0

    def clear_protection(self) -> None:
        """Clear the latches; the output returns to what is programmed."""
        self._latched = [0, 0]

    def measure_voltage(self) -> str:
        self._busy_s += self.options.aperture_s
        return DIALECT.number(self._voltmeter.read(self.terminal.actual_voltage_v))

    def measure_current(self) -> str:
        self._busy_s += self.options.aperture_s
        return DIALECT.number(self._ammeter.read(self.terminal.actual_current_a))

    def measure_power(self) -> str:
        self._busy_s += self.options.aperture_s
        voltage_v = self._voltmeter.read(self.terminal.actual_voltage_v)
        return DIALECT.number(voltage_v * self._ammeter.read(self.terminal.actual_current_a))

    def operation_condition(self) -> int:
        return self._operation()

    def operation_event(self) -> int:
        return self._scpi.status.operation.read_event()

    def questionable_condition(self, group: int) -> int:
        return self._group(group).condition

    def questionable_event(self, group: int) -> int:
        return self._group(group).read_event()

    def next_error(self) -> str:
        return self._scpi.next_error()

    def _group(self, group: int) -> StatusGroup:
        if group not in (1, 2):
            raise ScpiError(-114)
        return self._scpi.status.questionable[group - 1]
