"""Twin of the Chroma 63200A: parses its dialect, drives a load terminal, trips and latches.

Commands as in public drivers, status bits as in the 63600 manual, p. 5-86. Not in any document seen, hence
project defaults: ratings, accuracy, share of the ranges, protections at 105 % of the rating, temperature of
over-temperature protection, limits of times and repeats, slew, and the form of numbers and errors. Times of
the dynamic mode are 1 ms or longer here; the real one is faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.load_input import LoadInput
from instruments.scpi import Command, Dialect, Interpreter
from instruments.scpi_parameters import Boolean, Choice, Number
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.terminals import LoadTerminal
from instruments.timed_steps import TimedSteps

#: Latching protections by bit of the channel status.
PROTECTIONS = {0: "OTP", 1: "OVP", 2: "OPP", 3: "REV", 5: "OCP", 7: "FAN", 8: "REMOTE INHIBIT"}
_BIT = {name: bit for bit, name in PROTECTIONS.items()}

_DEFAULTS = "project default: no data sheet of a 63200A has been seen"
#: For the ratings of `Load63200AOptions`; `rated` scales it to others.
ACCURACY = {
    "voltage_v": Accuracy("V", (Band(150.0, 2.5e-4, 2.5e-4),), _DEFAULTS, "unverified"),
    "current_a": Accuracy("A", (Band(2000.0, 5e-4, 2e-4),), _DEFAULTS, "unverified"),
}

#: Fewest and most seconds of one level of the dynamic mode, and how often it may repeat.
SHORTEST_S, LONGEST_S, MOST_REPEATS = 1e-3, 100.0, 65535

_TICK_S = 0.01
_MARGIN = 1.05
#: Share of the rating that the low, the middle and the high range reach.
_RANGES = {"L": 0.01, "M": 0.1, "H": 1.0}
_REVERSED_V = -1.0
#: The heat sink: how much warmer at rated power [K], how fast [s], and when it is too hot [°C].
_WARMER_K, _WARMS_S, _TOO_HOT_DEGC = 45.0, 60.0, 90.0


def rated(quantity: str, full_scale: float) -> Accuracy:
    """The accuracy of `quantity` for a unit, or units in parallel, rated `full_scale` [V] or [A]."""
    accuracy = ACCURACY[quantity]
    return replace(accuracy, bands=tuple(replace(band, full_scale=full_scale) for band in accuracy.bands))


class Load63200AOptions(BaseModel):
    """The `[roles.<name>.options]` table of a 63200A. Ratings: copy them from the type plate.

    `serial` and `ambient_degc` are the twin's: its serial number, and the air at its inlet [°C].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "63224A-150-2000"
    serial: str = "00000000"
    rated_v: Annotated[float, Field(gt=0)] = 150.0
    rated_a: Annotated[float, Field(gt=0)] = 2000.0
    rated_w: Annotated[float, Field(gt=0)] = 24_000.0
    parallel_units: Annotated[int, Field(ge=1, le=10)] = 1
    slew_a_per_us: Annotated[float, Field(gt=0)] = 1.0
    aperture_s: Annotated[float, Field(gt=0)] = 0.01
    latency_s: Annotated[float, Field(ge=0)] = 0.001
    ambient_degc: float = 25.0

    @property
    def total_a(self) -> float:
        """Rated current of all parallel units [A]."""
        return self.rated_a * self.parallel_units

    @property
    def total_w(self) -> float:
        """Rated power of all parallel units [W]."""
        return self.rated_w * self.parallel_units


_MODES = tuple(kind + share for kind in ("CC", "CR", "CV", "CP", "CCD") for share in _RANGES)
_AMPERES = Number("A", 0.0, "range_a")
_OHMS = Number("OHM", 1e-3, 1e4, 1e4)
_VOLTS = Number("V", 0.0, "highest_v", "highest_v")
_WATTS = Number("W", 0.0, "range_w")
_SLEW = Number("A/us", 1e-4, "fastest", "fastest")
_TIME = Number("s", SHORTEST_S, LONGEST_S, SHORTEST_S)

DIALECT = Dialect(
    commands=(
        Command("MODE", "mode", (Choice(_MODES, "CCH"),), run="change_mode"),
        Command("CURRent:STATic:L1", "level_a", (_AMPERES,)),
        Command("CURRent:STATic:L2", "level_2_a", (_AMPERES,)),
        Command("CURRent:STATic:RISE", "rise", (_SLEW,)),
        Command("CURRent:STATic:FALL", "fall", (_SLEW,)),
        Command("CURRent:DYNamic:L1", "dynamic_1_a", (_AMPERES,)),
        Command("CURRent:DYNamic:L2", "dynamic_2_a", (_AMPERES,)),
        Command("CURRent:DYNamic:T1", "dynamic_1_s", (_TIME,)),
        Command("CURRent:DYNamic:T2", "dynamic_2_s", (_TIME,)),
        Command("CURRent:DYNamic:RISE", "dynamic_rise", (_SLEW,)),
        Command("CURRent:DYNamic:FALL", "dynamic_fall", (_SLEW,)),
        Command("CURRent:DYNamic:REPeat", "repeats", (Number("", 0, MOST_REPEATS, 0, integer=True),)),
        Command("RESistance:STATic:L1", "level_ohm", (_OHMS,)),
        Command("RESistance:STATic:L2", "level_2_ohm", (_OHMS,)),
        Command("RESistance:STATic:RISE", "resistance_rise", (_SLEW,)),
        Command("RESistance:STATic:FALL", "resistance_fall", (_SLEW,)),
        Command("VOLTage:STATic:L1", "level_v", (_VOLTS,)),
        Command("VOLTage:STATic:L2", "level_2_v", (_VOLTS,)),
        Command("VOLTage:STATic:ILIMit", "voltage_limit_a", (Number("A", 0.0, "total_a", "total_a"),)),
        Command("POWer:STATic:L1", "level_w", (_WATTS,)),
        Command("POWer:STATic:L2", "level_2_w", (_WATTS,)),
        Command("POWer:STATic:RISE", "power_rise", (_SLEW,)),
        Command("POWer:STATic:FALL", "power_fall", (_SLEW,)),
        Command("LOAD[:STATe]", parameters=(Boolean(),), run="switch", query="state"),
        Command("LOAD:SHORt[:STATe]", "short", (Boolean(),)),
        Command("LOAD:PROTection:CLEar", run="clear_protection"),
        Command("MEASure:VOLTage", query="measure", bound=(0,)),
        Command("MEASure:CURRent", query="measure", bound=(1,)),
        Command("MEASure:POWer", query="measure", bound=(2,)),
        Command("FETCh:VOLTage", query="fetch", bound=(0,)),
        Command("FETCh:CURRent", query="fetch", bound=(1,)),
        Command("FETCh:POWer", query="fetch", bound=(2,)),
        Command("STATus:CHANnel:CONDition", query="channel_condition"),
        Command("STATus:CHANnel[:EVENt]", query="channel_event"),
        Command("STATus:CHANnel:ENABle", "channel_enable", (Number("", 0, 65535, integer=True),)),
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
        Protections and the dynamic mode run on it.
    options
        Ratings of the unit it stands in for.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: LoadTerminal, *, clock: Clock, options: Load63200AOptions, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        volts, amperes = rated("voltage_v", options.rated_v), rated("current_a", options.total_a)
        self._voltmeter = Deviation.within(volts, generator)
        self._ammeter = Deviation.within(amperes, generator)
        self._input = LoadInput(
            terminal,
            rated_v=options.rated_v,
            rated_a=options.total_a,
            error=Deviation.within(amperes, generator),
        )
        self._steps = TimedSteps(
            clock, name=f"{options.model} dynamic", enter=self._enter, done=self._dynamic_over
        )
        self.total_a = self.range_a = options.total_a
        self.range_w = options.total_w
        self.highest_v = options.rated_v
        self.fastest = options.total_a / 100.0  # full scale in 100 us
        self.identification = f"Chroma,{options.model},{options.serial},01.00"
        self._on = False
        self._latched = 0
        self._channel = StatusGroup()
        self._heat_sink_degc = options.ambient_degc
        self._busy_s = 0.0
        self._fetched = (0.0, 0.0, 0.0)
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
        share = voltage_v * current_a / options.total_w if self._on else 0.0
        settles_degc = options.ambient_degc + _WARMER_K * max(share, 0.0)
        self._heat_sink_degc += (settles_degc - self._heat_sink_degc) * _TICK_S / _WARMS_S
        if self._heat_sink_degc > _TOO_HOT_DEGC:
            self._trip("OTP")
        if voltage_v > _MARGIN * options.rated_v:
            self._trip("OVP")
        if voltage_v < _REVERSED_V:
            self._trip("REV")
        if self._on and current_a > _MARGIN * options.total_a:
            self._trip("OCP")
        if share > _MARGIN:
            self._trip("OPP")
        self._channel.update(self._latched)
        self._input.tick()

    def _trip(self, name: str) -> None:
        self._latched |= 1 << _BIT[name]
        self._off()
        self._apply()

    def _off(self) -> None:
        self._on = False
        self._steps.stop()

    def _apply(self) -> None:
        settings, load = self._scpi.settings, self._input
        mode = settings["mode"][:2]
        levels = {"CC": "level_a", "CR": "level_ohm", "CV": "level_v", "CP": "level_w"}
        if settings["short"]:
            # The short-circuit function draws what the rating allows, whatever is set.
            load.mode, load.level = "CC", self.options.total_a
        elif settings["mode"].startswith("CCD"):
            load.mode = "CC"
        else:
            load.mode, load.level = mode, settings[levels[mode]]
        load.limit_a = settings["voltage_limit_a"] if mode == "CV" else self.options.total_a
        load.slew_a_per_s = 1e6 * min(settings[name] for name in self._slews())
        load.enabled = self._on
        load.apply()

    def _slews(self) -> tuple[str, str]:
        mode: str = self._scpi.settings["mode"]
        prefix = {"CCD": "dynamic_", "CR": "resistance_", "CP": "power_"}.get(mode[:-1], "")
        return f"{prefix}rise", f"{prefix}fall"

    def _enter(self, current_a: float) -> None:
        self._input.level = current_a
        self._apply()

    def _dynamic_over(self) -> None:
        self._off()
        self._apply()

    def _dynamic(self) -> Iterator[tuple[float, float]]:
        """Both levels in turn, as they are set when they begin; 0 repeats: for ever."""
        settings = self._scpi.settings
        repeats = int(settings["repeats"])
        for _ in range(repeats) if repeats else itertools.count():
            yield settings["dynamic_1_a"], settings["dynamic_1_s"]
            yield settings["dynamic_2_a"], settings["dynamic_2_s"]

    # What the table names.

    def reset(self) -> None:
        """`*RST`: defaults, input off, and protections cleared as the manual says."""
        self._off()
        self._latched = 0
        self.range_a, self.range_w = self.options.total_a, self.options.total_w

    def change_mode(self, mode: str) -> None:
        """The last letter is the range; a level above it comes down with it. The input goes off."""
        if mode != self._scpi.settings["mode"]:
            self._off()
        share = _RANGES[mode[-1]]
        if mode.startswith("CC"):
            self.range_a = share * self.options.total_a
            self._lower(self.range_a, "level_a", "level_2_a", "dynamic_1_a", "dynamic_2_a")
        if mode.startswith("CP"):
            self.range_w = share * self.options.total_w
            self._lower(self.range_w, "level_w", "level_2_w")

    def _lower(self, limit: float, *names: str) -> None:
        for name in names:
            self._scpi.settings[name] = min(self._scpi.settings[name], limit)

    def switch(self, on: bool) -> None:
        if on and self._latched:
            raise ScpiError(-221)
        if not on:
            self._off()
        elif not self._on:
            self._on = True
            if self._scpi.settings["mode"].startswith("CCD"):
                self._steps.start(self._dynamic())

    def state(self) -> str:
        return "ON" if self._on else "OFF"

    def clear_protection(self) -> None:
        self._latched = 0
        self._channel.update(0)

    def measure(self, which: int) -> str:
        """A fresh sample: voltage, current or power."""
        self._busy_s += self.options.aperture_s
        voltage_v = self._voltmeter.read(self.terminal.actual_voltage_v)
        current_a = self._ammeter.read(self.terminal.actual_current_a)
        self._fetched = (voltage_v, current_a, voltage_v * current_a)
        return self.fetch(which)

    def fetch(self, which: int) -> str:
        """The last sample again."""
        return DIALECT.number(self._fetched[which])

    def channel_condition(self) -> int:
        return self._latched

    def channel_event(self) -> int:
        return self._channel.read_event()

    def next_error(self) -> str:
        return self._scpi.next_error()
