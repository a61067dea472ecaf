"""Twin of the Rigol DL3021: parses its dialect, drives a load terminal, times lists and transients itself.

Commands and the form of answers as in public drivers and in settings recorded from a DL3021A (`EXCHANGES` of
`load_dl3021.py`). Not in any document seen, hence project defaults: accuracy, slew, status bits, protection
at 105 % of the rating which holds until the input is switched on again, what a limit does (input off), the
order of levels in a transient, the error number of a range below its level, units of capacity and energy
(Ah, Wh), and the shortest time of a level.

Left out: the tests for over-current and over-power protection (their settings are kept, but the input does
not switch on), the waveform display, and other keys than the one that toggles the short circuit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.load_input import LoadInput
from instruments.ranges import Range
from instruments.scpi import Command, Dialect, Interpreter
from instruments.scpi_parameters import Boolean, Choice, Number, Style
from instruments.scpi_status import ScpiError
from instruments.terminals import LoadTerminal
from instruments.timed_steps import TimedSteps

#: Protections by bit of the questionable status.
PROTECTIONS = {0: "OVP", 1: "OCP", 2: "OPP", 4: "REV"}
_BIT = {name: bit for bit, name in PROTECTIONS.items()}

_DEFAULTS = "project default: no data sheet of a DL3021 has been seen"
ACCURACY = {
    "voltage_v": Accuracy("V", (Band(15.0, 5e-4, 2e-4), Band(150.0, 5e-4, 2e-4)), _DEFAULTS, "unverified"),
    "current_a": Accuracy("A", (Band(4.0, 5e-4, 5e-4), Band(40.0, 5e-4, 5e-4)), _DEFAULTS, "unverified"),
}

#: Steps of one list (jvanderberg/signal-drift, server/devices/drivers/rigol-dl3021.ts).
MOST_STEPS = 512
#: Fewest and most seconds of one level.
SHORTEST_S, LONGEST_S = 1e-3, 3600.0

_TICK_S = 0.01
_MARGIN = 1.05
_REVERSED_V = -1.0
_RANGES_A, _RANGES_V, _RANGES_OHM = (4.0, 40.0), (15.0, 150.0), (15.0, 15_000.0)
#: Least resistance of the low range (DL3000 Performance Verification Manual, constant resistance).
_LEAST_OHM = 0.08
_OPEN_OHM = 15_000.0
_SHORT_KEY = 33
_MODES = {"CURR": "CC", "VOLT": "CV", "RES": "CR", "POW": "CP"}


class Dl3021Options(BaseModel):
    """The `[roles.<name>.options]` table of a DL3021. Ratings: copy them from the type plate.

    `serial` is the twin's serial number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "DL3021"
    serial: str = "DL3A000000000"
    rated_v: Annotated[float, Field(gt=0)] = 150.0
    rated_a: Annotated[float, Field(gt=0)] = 40.0
    rated_w: Annotated[float, Field(gt=0)] = 200.0
    slew_a_per_us: Annotated[float, Field(ge=0.001, le=2.5)] = 0.5
    aperture_s: Annotated[float, Field(gt=0)] = 0.02
    latency_s: Annotated[float, Field(ge=0)] = 0.005


@dataclass(frozen=True, slots=True)
class Digits(Number):
    """A number that is answered with `decimals` digits after the point."""

    decimals: int = 4

    def write(self, value: float, style: Style) -> str:
        return f"{value:.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class PlainRange(Range):
    """A range that is answered without digits after the point."""

    def write(self, value: float, style: Style) -> str:
        return f"{value:g}"


def _range(unit: str, ranges: tuple[float, float], default: float) -> PlainRange:
    return PlainRange(unit, ranges[0], ranges[-1], default, ranges=ranges)


def _amperes(highest: float | str, default: float = 0.0) -> Digits:
    return Digits("A", 0.0, highest, default, decimals=4)


def _limits(header: str, prefix: str) -> tuple[Command, ...]:
    """Voltage and current limit of one function; both defaults as recorded from a DL3021A."""
    return (
        Command(f"[SOURce:]{header}:VLIMt", f"{prefix}_v", (Digits("V", 0.0, 155.0, 155.0, decimals=3),)),
        Command(f"[SOURce:]{header}:ILIMt", f"{prefix}_a", (_amperes(70.0, 70.0),)),
    )


_SLEW = Digits("A/us", 0.001, 2.5, 0.5, decimals=3)
_VOLTS = Digits("V", 0.0, "rated_v", 0.0, decimals=3)
_WATTS = Digits("W", 0.0, "rated_w", 0.0, decimals=3)
_SECONDS = Digits("s", 0.0, LONGEST_S, 0.0, decimals=6)
_STEP = Number("", 0, MOST_STEPS - 1, integer=True)
_DELAY_MS = Number("ms", 0, 100_000, 500, integer=True)

_CURRENT = (
    Command("[SOURce:]CURRent[:LEVel][:IMMediate]", "level_a", (_amperes("range_a"),)),
    Command("[SOURce:]CURRent:RANGe", "range_a", (_range("A", _RANGES_A, 4.0),), run="lower_current"),
    Command("[SOURce:]CURRent:SLEW[:BOTH]", "slew", (_SLEW,), run="set_both_slews"),
    Command("[SOURce:]CURRent:SLEW:POSitive", "rise", (_SLEW,)),
    Command("[SOURce:]CURRent:SLEW:NEGative", "fall", (_SLEW,)),
    Command("[SOURce:]CURRent:VON", "von", (_VOLTS,)),
    *_limits("CURRent", "current_limit"),
    Command(
        "[SOURce:]CURRent:TRANsient:MODE", "pattern", (Choice(("CONTinuous", "PULSe", "TOGGle"), "CONT"),)
    ),
    Command("[SOURce:]CURRent:TRANsient:ALEVel", "a_level", (_amperes("range_a"),)),
    Command("[SOURce:]CURRent:TRANsient:BLEVel", "b_level", (_amperes("range_a"),)),
    Command("[SOURce:]CURRent:TRANsient:AWIDth", "a_width", (_SECONDS,)),
    Command("[SOURce:]CURRent:TRANsient:BWIDth", "b_width", (_SECONDS,)),
    Command(
        "[SOURce:]CURRent:TRANsient:FREQuency",
        "frequency",
        (Digits("Hz", 0.001, 1000.0, 0.001, decimals=6),),
        run="set_frequency",
    ),
    Command(
        "[SOURce:]CURRent:TRANsient:PERiod",
        "period",
        (Digits("s", 0.001, 1000.0, 1000.0, decimals=6),),
        run="set_period",
    ),
    Command("[SOURce:]CURRent:TRANsient:ADUTy", "duty", (Number("%", 5, 95, 50, integer=True),)),
)

_OTHERS = (
    Command("[SOURce:]VOLTage[:LEVel][:IMMediate]", "level_v", (_VOLTS,)),
    Command("[SOURce:]VOLTage:RANGe", "range_v", (_range("V", _RANGES_V, 150.0),)),
    *_limits("VOLTage", "voltage_limit"),
    Command(
        "[SOURce:]RESistance[:LEVel][:IMMediate]",
        "level_ohm",
        (Digits("OHM", _LEAST_OHM, 15_000.0, 2.0, decimals=3),),
    ),
    # Refused below the level: nominal-io/instro, tests/eload/rigol/test_rigol_dl3000_hardware.py.
    Command(
        "[SOURce:]RESistance:RANGe",
        "range_ohm",
        (_range("OHM", _RANGES_OHM, 15_000.0),),
        run="check_resistance",
    ),
    *_limits("RESistance", "resistance_limit"),
    Command("[SOURce:]POWer[:LEVel][:IMMediate]", "level_w", (_WATTS,)),
    *_limits("POWer", "power_limit"),
)

_LIST = (
    Command("[SOURce:]LIST:MODE", "list_mode", (Choice(("CC", "CV", "CR", "CP", *_MODES), "CC"),)),
    Command("[SOURce:]LIST:RANGe", "list_range", (Digits("A", 0.0, 15_000.0, 40.0, decimals=3),)),
    Command("[SOURce:]LIST:COUNt", "list_count", (Number("", 0, 99_999, 1, integer=True),)),
    Command("[SOURce:]LIST:STEP", "list_steps", (Number("", 1, MOST_STEPS, 2, integer=True),)),
    Command("[SOURce:]LIST:END", "list_end", (Choice(("LAST", "OFF"), "OFF"),)),
    Command(
        "[SOURce:]LIST:LEVel",
        parameters=(_STEP, Number("", 0.0, 15_000.0)),
        run="set_step",
        query="step",
        bound=("level",),
    ),
    Command(
        "[SOURce:]LIST:WIDth",
        parameters=(_STEP, Number("s", SHORTEST_S, LONGEST_S)),
        run="set_step",
        query="step",
        bound=("width",),
    ),
    Command("[SOURce:]LIST:SLEW", parameters=(_STEP, _SLEW), run="set_step", query="step", bound=("slew",)),
)

_BATTERY = (
    Command("[SOURce:]BATTary:RANGe", "battery_range_a", (_range("A", _RANGES_A, 40.0),)),
    Command("[SOURce:]BATTary[:LEVel][:IMMediate]", "battery_a", (_amperes("battery_range_a"),)),
    Command("[SOURce:]BATTary:VSTop", "battery_stop_v", (_VOLTS,)),
    Command("[SOURce:]BATTary:CSTop", "battery_stop_ah", (Digits("AH", 0.0, 9999.0, decimals=3),)),
    Command("[SOURce:]BATTary:TIMestop", "battery_stop_s", (Number("s", 0, 359_999, 0, integer=True),)),
    Command("[SOURce:]BATTary:VON", "battery_von", (Digits("V", 0.0, "rated_v", 0.5, decimals=3),)),
    Command("[SOURce:]BATTary:VENabstop", "battery_by_v", (Boolean(),)),
    Command("[SOURce:]BATTary:CENabstop", "battery_by_ah", (Boolean(),)),
    Command("[SOURce:]BATTary:TENabstop", "battery_by_s", (Boolean(),)),
)


def _protection_test(
    name: str, letter: str, level: Digits, defaults: tuple[float, ...]
) -> tuple[Command, ...]:
    """Settings of the test for over-current (I) or over-power (P) protection; each selects the test."""
    step, most, least = defaults
    watts_or_amperes = [(f"{letter}SET", "set", level)]
    for header, key, default in (("STep", "step", step), ("MAX", "most", most), ("MIN", "least", least)):
        limit = Digits(level.unit, 0.0, level.maximum, default, decimals=level.decimals)
        watts_or_amperes.append((f"{letter}{header}", key, limit))
    settings: list[tuple[str, str, Number]] = [
        ("VON", "von", Digits("V", 0.0, "rated_v", 0.01, decimals=3)),
        ("VONDelay", "von_delay", _DELAY_MS),
        *watts_or_amperes,
        (f"{letter}DELaystep", "delay", _DELAY_MS),
        (f"V{name}", "v", Digits("V", 0.0, "rated_v", 0.5, decimals=3)),
        (f"T{name}", "time", _DELAY_MS),
    ]
    return tuple(
        Command(f"[SOURce:]{name}:{header}", f"{name}_{key}", (parameter,), run="choose", bound=(name,))
        for header, key, parameter in settings
    )


DIALECT = Dialect(
    commands=(
        Command(
            "[SOURce:]FUNCtion",
            "function",
            (Choice(("CURRent", "RESistance", "VOLTage", "POWer"), "CURR"),),
            run="leave",
            query="function",
        ),
        Command(
            "[SOURce:]FUNCtion:MODE",
            "regulation",
            (Choice(("FIXed", "LIST", "WAVe", "BATTery", "OCP", "OPP"), "FIX"),),
            run="leave",
        ),
        *_CURRENT,
        *_OTHERS,
        *_LIST,
        *_BATTERY,
        Command(
            "[SOURce:]OCP:RANGe",
            "ocp_range_a",
            (_range("A", _RANGES_A, 40.0),),
            run="choose",
            bound=("OCP",),
        ),
        *_protection_test("OCP", "I", _amperes("rated_a"), (1.0, 10.0, 9.0)),
        *_protection_test("OPP", "P", _WATTS, (1.0, 100.0, 90.0)),
        Command("[SOURce:]WAVe:TIMe", parameters=(Choice(("ADD", "SUB")),), run="change_window"),
        Command(
            "[SOURce:]WAVe:TSTep", "window_step", (Choice(("1", "10"), "1"),), run="choose", bound=("WAV",)
        ),
        Command("[SOURce:]SENSe[:STATe]", "sense", (Boolean(),)),
        Command("[SOURce:]TRANsient[:STATe]", "transient", (Boolean(),), run="leave"),
        Command("[SOURce:]INPut[:STATe]", parameters=(Boolean(),), run="switch", query="state"),
        Command("TRIGger:SOURce", "trigger_source", (Choice(("BUS", "EXTernal", "MANual"), "MAN"),)),
        Command("TRIGger[:IMMediate]", run="trigger"),
        Command("MEASure:VOLTage[:DC]", query="measure", bound=("voltage",)),
        Command("MEASure:CURRent[:DC]", query="measure", bound=("current",)),
        Command("MEASure:POWer[:DC]", query="measure", bound=("power",)),
        Command("MEASure:RESistance[:DC]", query="measure", bound=("resistance",)),
        Command("MEASure:CAPability", query="measure", bound=("capacity",)),
        Command("MEASure:WATThours", query="measure", bound=("energy",)),
        Command("MEASure:DISChargingTime", query="measure", bound=("time",)),
        Command("STATus:QUEStionable:CONDition", query="condition"),
        Command("STATus:QUEStionable[:EVENt]", query="event"),
        Command("SYSTem:KEY", parameters=(Number("", 0, 99, integer=True),), run="press"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
    ),
    number=lambda value: f"{value:.6f}",
    no_error='0,"No error"',
)


class Dl3021Twin:
    """Device side of a DL3021 on a load terminal.

    Parameters
    ----------
    terminal
        Where it draws from. If it has `slew_a_per_s`, that is set too.
    clock
        Protections, lists, transients and battery discharge run on it.
    options
        Ratings of the unit it stands in for.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: LoadTerminal, *, clock: Clock, options: Dl3021Options, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        self._voltmeter = Deviation.within(ACCURACY["voltage_v"], generator)
        self._ammeter = Deviation.within(ACCURACY["current_a"], generator)
        self._input = LoadInput(
            terminal,
            rated_v=options.rated_v,
            rated_a=options.rated_a,
            error=Deviation.within(ACCURACY["current_a"], generator),
        )
        self._steps = TimedSteps(
            clock, name=f"{options.model} steps", enter=self._enter, done=self._steps_over
        )
        self.rated_v, self.rated_a, self.rated_w = options.rated_v, options.rated_a, options.rated_w
        self.identification = f"RIGOL TECHNOLOGIES,{options.model},{options.serial},00.01.05.00.01"
        self._on = self._short = self._at_b = False
        self._latched = 0
        self._step = -1
        self._list: dict[int, dict[str, float]] = {}
        self._discharged_s = self._discharged_ah = self._discharged_wh = 0.0
        self._busy_s = 0.0
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)
        self._apply()
        clock.every(_TICK_S, self.tick, name=f"{options.model} twin")

    @property
    def range_a(self) -> float:
        """Highest current of the range that is chosen [A]."""
        return min(float(self._scpi.settings["range_a"]), self.options.rated_a)

    @property
    def battery_range_a(self) -> float:
        """As `range_a`, of the battery discharge [A]."""
        return min(float(self._scpi.settings["battery_range_a"]), self.options.rated_a)

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        self._apply()
        if self._on:
            self._protect()
        return None if answer is None else Reply(answer, self._busy_s)

    def tick(self) -> None:
        """Look at the terminals: limits and ratings switch the input off; a discharge is counted."""
        self._protect()
        if self._on and self._scpi.settings["regulation"] == "BATT":
            self._discharge(self.terminal.actual_voltage_v, self.terminal.actual_current_a)
        self._input.tick()

    def _protect(self) -> None:
        terminal, options = self.terminal, self.options
        voltage_v, current_a = terminal.actual_voltage_v, terminal.actual_current_a
        limit_v, limit_a = self._limits()
        if voltage_v > min(limit_v, _MARGIN * options.rated_v):
            self._trip("OVP")
        if voltage_v < _REVERSED_V:
            self._trip("REV")
        if self._on and current_a > min(limit_a, _MARGIN * options.rated_a):
            self._trip("OCP")
        if self._on and voltage_v * current_a > _MARGIN * options.rated_w:
            self._trip("OPP")

    def _limits(self) -> tuple[float, float]:
        settings = self._scpi.settings
        prefix = {"CURR": "current", "VOLT": "voltage", "RES": "resistance", "POW": "power"}[
            settings["function"]
        ]
        return settings[f"{prefix}_limit_v"], settings[f"{prefix}_limit_a"]

    def _trip(self, name: str) -> None:
        self._latched |= 1 << _BIT[name]
        self._scpi.status.questionable[0].update(self._latched)
        self._off()
        self._apply()

    def _off(self) -> None:
        self._on = self._short = False
        self._step = -1
        self._steps.stop()

    def _discharge(self, voltage_v: float, current_a: float) -> None:
        settings = self._scpi.settings
        self._discharged_s += _TICK_S
        self._discharged_ah += current_a * _TICK_S / 3600.0
        self._discharged_wh += voltage_v * current_a * _TICK_S / 3600.0
        if (
            (settings["battery_by_v"] and voltage_v <= settings["battery_stop_v"])
            or (settings["battery_by_ah"] and self._discharged_ah >= settings["battery_stop_ah"])
            or (settings["battery_by_s"] and self._discharged_s >= settings["battery_stop_s"])
        ):
            self._off()

    def _apply(self) -> None:
        settings, load = self._scpi.settings, self._input
        load.mode = _MODES[settings["function"]]
        load.starts_v = settings["battery_von"] if settings["regulation"] == "BATT" else settings["von"]
        load.limit_a = self.options.rated_a
        if self._short:
            load.mode, load.level = "CC", self.options.rated_a
        elif settings["regulation"] == "BATT":
            load.mode, load.level = "CC", settings["battery_a"]
        elif settings["regulation"] == "LIST":
            self._apply_list()
        elif settings["transient"] and settings["function"] == "CURR":
            load.level = settings["b_level"] if self._at_b else settings["a_level"]
        else:
            level = {"CURR": "level_a", "VOLT": "level_v", "RES": "level_ohm", "POW": "level_w"}
            load.level = settings[level[settings["function"]]]
        slew = min(settings["rise"], settings["fall"]) if settings["transient"] else settings["slew"]
        load.slew_a_per_s = 1e6 * self._list.get(self._step, {}).get("slew", slew)
        load.enabled = self._on
        load.apply()

    def _apply_list(self) -> None:
        """The step that runs, or was the last; nothing before the trigger."""
        mode, load = self._scpi.settings["list_mode"], self._input
        if self._step < 0:
            load.mode, load.level = "CC", 0.0
            return
        load.mode, load.level = _MODES.get(mode, mode), self._list.get(self._step, {}).get("level", 0.0)
        if load.mode == "CR":
            load.level = max(load.level, _LEAST_OHM)

    def _enter(self, step: float) -> None:
        """A step begins: of a list, its number; of a transient, 1 if it is level B."""
        if self._scpi.settings["regulation"] == "LIST":
            self._step = int(step)
        else:
            self._at_b = bool(step)
        self._apply()

    def _steps_over(self) -> None:
        if self._scpi.settings["regulation"] != "LIST":
            self._at_b = False
        elif self._scpi.settings["list_end"] == "OFF":
            self._off()
        self._apply()

    def _list_steps(self) -> Iterator[tuple[float, float]]:
        settings = self._scpi.settings
        count = int(settings["list_count"])
        for _ in range(count) if count else itertools.count():
            for number in range(int(settings["list_steps"])):
                yield number, self._list.get(number, {}).get("width", SHORTEST_S)

    def _transient_steps(self) -> Iterator[tuple[float, float]]:
        """Widths if both are set, else period and duty."""
        settings = self._scpi.settings
        while True:
            a_s, b_s = settings["a_width"], settings["b_width"]
            if not (a_s and b_s):
                a_s = settings["period"] * settings["duty"] / 100.0
                b_s = settings["period"] - a_s
            yield 0.0, max(a_s, SHORTEST_S)
            yield 1.0, max(b_s, SHORTEST_S)

    # What the table names.

    def reset(self) -> None:
        """`*RST`: defaults, empty list, input off; what was discharged is forgotten."""
        self._off()
        self._at_b = False
        self._latched = 0
        self._list.clear()
        self._discharged_s = self._discharged_ah = self._discharged_wh = 0.0

    def leave(self, _: object) -> None:
        """Another function, regulation or transient: what ran by itself stops, and the input is off."""
        self._off()
        self._at_b = False

    def function(self) -> str:
        return _MODES[self._scpi.settings["function"]]

    def lower_current(self, range_a: float) -> None:
        for name in ("level_a", "a_level", "b_level"):
            self._scpi.settings[name] = min(self._scpi.settings[name], range_a)

    def set_both_slews(self, slew: float) -> None:
        self._scpi.settings["rise"] = self._scpi.settings["fall"] = slew

    def set_frequency(self, frequency_hz: float) -> None:
        self._scpi.settings["period"] = 1.0 / frequency_hz

    def set_period(self, period_s: float) -> None:
        self._scpi.settings["frequency"] = 1.0 / period_s

    def set_step(self, which: str, number: float, value: float) -> None:
        self._list.setdefault(int(number), {})[which] = value

    def step(self, which: str, number: str) -> str:
        values = self._list.get(int(_STEP.read(number, self)), {})
        return DIALECT.number(values.get(which, 0.0))

    def change_window(self, direction: str) -> None:
        """The waveform display has no effect on the input; to use it selects it."""
        self.choose("WAV", direction)

    def choose(self, regulation: str, _: object) -> None:
        """A setting of the display or of a test selects it, and with that the input is off."""
        if self._scpi.settings["regulation"] != regulation:
            self.leave(regulation)
            self._scpi.settings["regulation"] = regulation

    def check_resistance(self, range_ohm: float) -> None:
        """A range has to hold the level that is set."""
        if range_ohm < self._scpi.settings["level_ohm"]:
            raise ScpiError(-221)

    def switch(self, on: bool) -> None:
        """Switch on or off; a protection is forgotten and trips again if its cause is still there."""
        settings = self._scpi.settings
        if not on:
            self._off()
            return
        if settings["regulation"] in ("OCP", "OPP"):
            raise ScpiError(-221)
        if self._on:
            return
        self._on, self._latched = True, 0
        self._scpi.status.questionable[0].update(0)
        if settings["regulation"] != "LIST" and settings["transient"] and settings["pattern"] == "CONT":
            self._steps.start(self._transient_steps())

    def state(self) -> str:
        return "1" if self._on else "0"

    def trigger(self) -> None:
        """`*TRG` and `TRIGger`: start the list, a pulse, or the other level.

        With neither transient nor input on, it switches both on first, as the key on the panel does.
        """
        settings = self._scpi.settings
        if settings["trigger_source"] != "BUS" or (settings["regulation"] == "LIST" and not self._on):
            raise ScpiError(-211)
        if settings["regulation"] == "LIST":
            self._steps.start(self._list_steps())
            return
        settings["transient"] = True
        if not self._on:
            self.switch(True)
            return
        if settings["pattern"] == "PULS":
            self._steps.start([(1.0, max(settings["b_width"], SHORTEST_S))])
        elif settings["pattern"] == "TOGG":
            self._at_b = not self._at_b

    def press(self, key: float) -> None:
        """A key of the front panel: only that of the short circuit, which nothing can query."""
        if int(key) != _SHORT_KEY:
            raise ScpiError(-224)
        self._short = not self._short

    def measure(self, which: str) -> str:
        self._busy_s += self.options.aperture_s
        voltage_v = self._voltmeter.read(self.terminal.actual_voltage_v)
        current_a = self._ammeter.read(self.terminal.actual_current_a)
        values = {
            "voltage": voltage_v,
            "current": current_a,
            "power": voltage_v * current_a,
            "resistance": min(voltage_v / current_a, _OPEN_OHM) if current_a > 0.0 else _OPEN_OHM,
            "capacity": self._discharged_ah,
            "energy": self._discharged_wh,
            "time": self._discharged_s,
        }
        return DIALECT.number(values[which])

    def condition(self) -> int:
        return self._latched

    def event(self) -> int:
        return self._scpi.status.questionable[0].read_event()

    def next_error(self) -> str:
        return self._scpi.next_error()
