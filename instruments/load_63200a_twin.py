"""Twin of the Chroma 63200A: parses its dialect, drives a load terminal, trips and latches.

Commands as in public drivers, status bits as in the 63600 manual, p. 5-86. Not in any document seen, hence
project defaults: ratings, accuracy, protections at 105 % of the rating, and the form of numbers and errors.
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
from instruments.scpi_status import ScpiError
from instruments.terminals import LoadTerminal

#: Latching protections by bit of the channel status.
PROTECTIONS = {0: "OTP", 1: "OVP", 2: "OPP", 3: "REV", 5: "OCP", 7: "FAN", 8: "REMOTE INHIBIT"}
_BIT = {name: bit for bit, name in PROTECTIONS.items()}

_TICK_S = 0.01
_MARGIN = 1.05
#: Share of the rated current that the low and the middle range reach.
_RANGES = {"L": 0.01, "M": 0.1, "H": 1.0}


class Load63200AOptions(BaseModel):
    """The `[roles.<name>.options]` table of a 63200A. Ratings: copy them from the type plate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "63224A-150-2000"
    rated_v: Annotated[float, Field(gt=0)] = 150.0
    rated_a: Annotated[float, Field(gt=0)] = 2000.0
    rated_w: Annotated[float, Field(gt=0)] = 24_000.0
    parallel_units: Annotated[int, Field(ge=1, le=10)] = 1
    slew_a_per_us: Annotated[float, Field(gt=0)] = 1.0
    aperture_s: Annotated[float, Field(gt=0)] = 0.01
    latency_s: Annotated[float, Field(ge=0)] = 0.001
    voltage_accuracy: tuple[float, float] = (2.5e-4, 0.04)
    current_accuracy: tuple[float, float] = (5e-4, 0.4)

    @property
    def total_a(self) -> float:
        """Rated current of all parallel units [A]."""
        return self.rated_a * self.parallel_units

    @property
    def total_w(self) -> float:
        """Rated power of all parallel units [W]."""
        return self.rated_w * self.parallel_units


_LEVEL = Number("A", 0.0, "range_a")
_SLEW = Number("A/us", 1e-4, "fastest", "fastest")

DIALECT = Dialect(
    commands=(
        Command("MODE", "mode", (Choice(("CCL", "CCM", "CCH"), "CCH"),), run="change_mode"),
        Command("CURRent:STATic:L1", "level_a", (_LEVEL,)),
        Command("CURRent:STATic:L2", "level_2_a", (_LEVEL,)),
        Command("CURRent:STATic:RISE", "rise", (_SLEW,)),
        Command("CURRent:STATic:FALL", "fall", (_SLEW,)),
        Command("LOAD[:STATe]", parameters=(Boolean(),), run="switch", query="state"),
        Command("LOAD:SHORt[:STATe]", "short", (Boolean(),)),
        Command("LOAD:PROTection:CLEar", run="clear_protection"),
        Command("MEASure:VOLTage", query="measure_voltage"),
        Command("MEASure:CURRent", query="measure_current"),
        Command("MEASure:POWer", query="measure_power"),
        Command("FETCh:VOLTage", query="fetch_voltage"),
        Command("FETCh:CURRent", query="fetch_current"),
        Command("STATus:CHANnel:CONDition", query="channel_condition"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
    ),
    number=lambda value: f"{value:.4f}",
    no_error='0,"No error"',
)


class Load63200ATwin:
    """Device side of a 63200A on a load terminal.

    Parameters
    ----------
    terminal
        Where it draws from. If it has `slew_a_per_s`, that is set too.
    clock
        Protections run on it.
    options
        Ratings and accuracy of the unit it stands in for.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: LoadTerminal, *, clock: Clock, options: Load63200AOptions, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        self._voltmeter = Deviation(*options.voltage_accuracy, generator)
        self._ammeter = Deviation(*options.current_accuracy, generator)
        self._input_a = Deviation(*options.current_accuracy, generator)
        self.range_a = options.total_a
        self.fastest = options.total_a / 100.0  # full scale in 100 us
        self.identification = f"Chroma,{options.model},00000000,01.00"
        self._on = False
        self._latched = 0
        self._busy_s = 0.0
        self._fetched = (0.0, 0.0)
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)
        self._apply()
        clock.every(_TICK_S, self.tick, name=f"{options.model} twin")

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        self._apply()
        return None if answer is None else Reply(answer, self._busy_s)

    def tick(self) -> None:
        """Look at the terminals: protections follow the rating and latch; they switch the input off."""
        terminal, options = self.terminal, self.options
        voltage_v, current_a = terminal.actual_voltage_v, terminal.actual_current_a
        if voltage_v > _MARGIN * options.rated_v:
            self._trip("OVP")
        if voltage_v < -1.0:
            self._trip("REV")
        if self._on and current_a > _MARGIN * options.total_a:
            self._trip("OCP")
        if self._on and voltage_v * current_a > _MARGIN * options.total_w:
            self._trip("OPP")

    def _trip(self, name: str) -> None:
        self._latched |= 1 << _BIT[name]
        self._on = False
        self._apply()

    def _apply(self) -> None:
        settings, terminal = self._scpi.settings, self.terminal
        # The short-circuit function draws what the rating allows, whatever is set.
        level_a = self.options.total_a if settings["short"] else settings["level_a"]
        if hasattr(terminal, "slew_a_per_s"):
            terminal.slew_a_per_s = 1e6 * min(settings["rise"], settings["fall"])
        terminal.current_a = self._input_a.set(level_a)
        terminal.enabled = self._on

    # What the table names.

    def reset(self) -> None:
        """`*RST`: defaults, input off, and protections cleared as the manual says."""
        self._on, self._latched = False, 0
        self.range_a = self.options.total_a

    def change_mode(self, mode: str) -> None:
        """The last letter is the range; a level above it comes down with it."""
        self.range_a = _RANGES[mode[-1]] * self.options.total_a
        for level in ("level_a", "level_2_a"):
            self._scpi.settings[level] = min(self._scpi.settings[level], self.range_a)

    def switch(self, on: bool) -> None:
        if on and self._latched:
            raise ScpiError(-221)
        self._on = on

    def state(self) -> str:
        return "ON" if self._on else "OFF"

    def clear_protection(self) -> None:
        self._latched = 0

    def measure_voltage(self) -> str:
        self._acquire()
        return self.fetch_voltage()

    def measure_current(self) -> str:
        self._acquire()
        return self.fetch_current()

    def measure_power(self) -> str:
        self._acquire()
        return DIALECT.number(self._fetched[0] * self._fetched[1])

    def fetch_voltage(self) -> str:
        return DIALECT.number(self._fetched[0])

    def fetch_current(self) -> str:
        return DIALECT.number(self._fetched[1])

    def _acquire(self) -> None:
        self._busy_s += self.options.aperture_s
        terminal = self.terminal
        self._fetched = (
            self._voltmeter.read(terminal.actual_voltage_v),
            self._ammeter.read(terminal.actual_current_a),
        )

    def channel_condition(self) -> int:
        return self._latched

    def next_error(self) -> str:
        return self._scpi.next_error()
