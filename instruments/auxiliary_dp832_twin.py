"""Twin of the Rigol DP832: three channels, of which one feeds the DUT; the others are open.

Both dialects are live: channels named in the command (`SOUR2:VOLT`, `OUTP CH2,ON`, `MEAS:VOLT? CH2`), and the
channel chosen by `INSTrument` for commands without one. Readings are refreshed 2.5 times a second (the real
unit, firmware 00.01.16: 2 to 3 times, lxi-tools wiki): what is asked between two is the older one.

Commands and answers: nominal-io/instro 1.22.0, psu/drivers/rigol_dp800.py; qcodes 0.58.0, DP8xx.py. Ranges:
qcodes, Rigol_DP832.py. Not in any document seen, hence project defaults: accuracy, digits, what `*RST` sets,
what a tripped channel answers to being switched on, and the form of `APPLy?` and `INSTrument?`. Left out:
tracking, timer, delayer, recorder, analyzer, monitor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.power_readings import of_rating
from instruments.scpi import Command, Dialect, Interpreter, status_commands
from instruments.scpi_parameters import Boolean, Channel, Number, Style
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.terminals import AuxiliaryTerminal

#: Rated voltage [V] and current [A] of the channels.
CHANNELS = {1: (30.0, 3.0), 2: (30.0, 3.0), 3: (5.0, 3.0)}
#: What can be set at most [V], [A]: as somebody noted from the DP800 programming guide for the DP832A.
SETTABLE = {1: (32.0, 3.2), 2: (32.0, 3.2), 3: (5.3, 3.2)}
#: The slowest that readings of the real unit are refreshed [s].
REFRESH_S = 0.5

_UNSEEN = "project default: no data sheet seen"
#: Of channels 1 and 2. Channel 3: the same shares of its rating.
ACCURACY = {
    "voltage_v": Accuracy("V", (Band(30.0, 5e-4, 3.3e-4),), _UNSEEN, "unverified"),
    "current_a": Accuracy("A", (Band(3.0, 1.5e-3, 1.7e-3),), _UNSEEN, "unverified"),
}

_TICK_S = 0.01
_TWIN_REFRESH_S = 0.4
_CONSTANT_CURRENT, _CONSTANT_VOLTAGE = 1, 2
_TRIP_BITS = {"OVP": 1 << 2, "OCP": 1 << 3}
#: *RST: 0 V and 1 A.
_DEFAULT_A = 1.0


class Dp832Options(BaseModel):
    """The `[roles.<name>.options]` table of a DP832: `channel` feeds the DUT."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serial: str = "DP8C000000001"
    channel: Annotated[int, Field(ge=1, le=3)] = 1
    ovp_margin: Annotated[float, Field(gt=1.0, le=1.1)] = 1.1
    ocp_margin: Annotated[float, Field(gt=1.0, le=1.1)] = 1.1
    latency_s: Annotated[float, Field(ge=0)] = 0.02

    @property
    def rated_v(self) -> float:
        """Rated voltage of the channel [V]."""
        return CHANNELS[self.channel][0]

    @property
    def rated_a(self) -> float:
        """Rated current of the channel [A]."""
        return CHANNELS[self.channel][1]


@dataclass(frozen=True, slots=True)
class _Unread:
    """What the twin reads itself, when it knows of which channel."""

    def read(self, text: str, twin: Any) -> str:
        return text

    def write(self, value: str, style: Style) -> str:
        return value


CHANNEL = Channel(3)
_ON = Boolean()
_VALUE = (_Unread(),)
_SOURCE = "[SOURce<n>:]"

DIALECT = Dialect(
    commands=(
        Command(
            f"{_SOURCE}VOLTage[:LEVel][:IMMediate][:AMPLitude]",
            "",
            _VALUE,
            run="set_voltage",
            query="voltage",
        ),
        Command(
            f"{_SOURCE}CURRent[:LEVel][:IMMediate][:AMPLitude]",
            "",
            _VALUE,
            run="set_current",
            query="current",
        ),
        Command(f"{_SOURCE}VOLTage:PROTection[:LEVel]", "", _VALUE, run="set_ovp", query="ovp"),
        Command(f"{_SOURCE}CURRent:PROTection[:LEVel]", "", _VALUE, run="set_ocp", query="ocp"),
        Command(f"{_SOURCE}VOLTage:PROTection:STATe", "", (_ON,), run="arm_ovp", query="ovp_armed"),
        Command(f"{_SOURCE}CURRent:PROTection:STATe", "", (_ON,), run="arm_ocp", query="ocp_armed"),
        Command("APPLy", "", (CHANNEL, _Unread(), _Unread()), 2, run="apply", query="applied"),
        Command("INSTrument:NSELect", "", (Number("", 1, 3, integer=True),), run="select", query="selected"),
        Command("INSTrument[:SELect]", "", (CHANNEL,), run="select", query="selected_name"),
        Command("OUTPut[:STATe]", "", (CHANNEL, _ON), run="switch", query="state"),
        Command("OUTPut:MODE", query="mode"),
        Command("OUTPut:CVCC", query="mode"),
        Command("OUTPut:SENSe", "", (CHANNEL, _ON), run="sense", query="sensed"),
        Command("OUTPut:OVP[:STATe]", "", (CHANNEL, _ON), run="arm_ovp", query="ovp_state"),
        Command("OUTPut:OCP[:STATe]", "", (CHANNEL, _ON), run="arm_ocp", query="ocp_state"),
        Command("OUTPut:OVP:VALue", "", (CHANNEL, *_VALUE), run="set_ovp", query="ovp_value"),
        Command("OUTPut:OCP:VALue", "", (CHANNEL, *_VALUE), run="set_ocp", query="ocp_value"),
        Command("OUTPut:OVP:QUES", query="ovp_tripped"),
        Command("OUTPut:OCP:QUES", query="ocp_tripped"),
        Command("OUTPut:OVP:ALAR", query="ovp_tripped"),
        Command("OUTPut:OCP:ALAR", query="ocp_tripped"),
        Command("OUTPut:OVP:CLEAR", "", (CHANNEL,), run="clear_ovp"),
        Command("OUTPut:OCP:CLEAR", "", (CHANNEL,), run="clear_ocp"),
        Command("MEASure[:SCALar][:VOLTage][:DC]", query="measure_voltage"),
        Command("MEASure[:SCALar]:CURRent[:DC]", query="measure_current"),
        Command("MEASure[:SCALar]:POWEr[:DC]", query="measure_power"),
        Command("MEASure[:SCALar]:ALL[:DC]", query="measure_all"),
        *status_commands("STATus:QUEStionable", "questionable"),
        *status_commands("STATus:QUEStionable:INSTrument:ISUMmary<n>", "summary"),
        Command("SYSTem:OTP", "otp", (Boolean(True),)),
        Command("SYSTem:BEEPer[:STATe]", "beeper", (Boolean(True),)),
        Command("SYSTem:REMote", run="ignore"),
        Command("SYSTem:LOCal", run="ignore"),
        Command("SYSTem:RWLock", run="ignore"),
        Command("SYSTem:VERSion", query="scpi_version"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
    ),
    number=lambda value: f"{value:.3f}",
    off_on=("OFF", "ON"),
    no_error='0,"No error"',
    missing_suffix=0,
)


@dataclass(slots=True)
class Output:
    """One channel: what is set, what tripped, and what its display shows."""

    rated_v: float
    rated_a: float
    most_v: float
    most_a: float
    levels: dict[str, float] = field(init=False)
    armed: dict[str, bool] = field(init=False)
    on: bool = field(init=False)
    tripped: set[str] = field(init=False, default_factory=set)
    shown: tuple[float, float] = field(init=False, default=(0.0, 0.0))
    status: StatusGroup = field(init=False, default_factory=StatusGroup)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As `*RST` leaves it; what tripped stays."""
        self.levels = {
            "voltage": 0.0,
            "current": _DEFAULT_A,
            "OVP": 1.1 * self.rated_v,
            "OCP": 1.1 * self.rated_a,
        }
        self.armed = {"OVP": False, "OCP": False}
        self.on = False

    def range_of(self, level: str) -> Number:
        """What may be set: a little above the rating, for protections 110 % of it and not zero."""
        if level == "voltage":
            return Number("V", 0.0, self.most_v)
        if level == "current":
            return Number("A", 0.0, self.most_a, _DEFAULT_A)
        if level == "OVP":
            return Number("V", 0.01, 1.1 * self.rated_v, 1.1 * self.rated_v)
        return Number("A", 0.001, 1.1 * self.rated_a, 1.1 * self.rated_a)


class Dp832Twin:
    """Device side of a DP832 whose channel `options.channel` is the supply of the DUT.

    From the moment it exists, the DUT hangs on it: the rack's own supply is disconnected.

    Parameters
    ----------
    terminal
        The low-voltage supply of the DUT.
    clock
        Protections and the refreshing of readings run on it.
    options
        Which channel, and the serial number.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: AuxiliaryTerminal, *, clock: Clock, options: Dp832Options, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        of_voltage = of_rating(ACCURACY["voltage_v"], options.rated_v)
        of_current = of_rating(ACCURACY["current_a"], options.rated_a)
        self._voltmeter = Deviation.within(of_voltage, generator)
        self._ammeter = Deviation.within(of_current, generator)
        self._output_v = Deviation.within(of_voltage, generator)
        self._output_a = Deviation.within(of_current, generator)
        self.outputs = {number: Output(*CHANNELS[number], *SETTABLE[number]) for number in CHANNELS}
        self.selected_channel = 1
        self.identification = f"RIGOL TECHNOLOGIES,DP832,{options.serial},00.01.14"
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)
        terminal.connected = True
        self._obey()
        self.refresh()
        clock.every(_TICK_S, self.tick, name="DP832 twin")
        clock.every(_TWIN_REFRESH_S, self.refresh, name="DP832 twin readings")

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        answer = self._scpi.execute(message)
        self._obey()
        return None if answer is None else Reply(answer, self.options.latency_s)

    def tick(self) -> None:
        """Look at the outputs: protections trip, latch, and switch their channel off."""
        for number, output in self.outputs.items():
            if not output.on:
                continue
            voltage_v, current_a = self._truth(number)
            if output.armed["OVP"] and voltage_v > output.levels["OVP"]:
                self._trip(output, "OVP")
            if output.armed["OCP"] and current_a > output.levels["OCP"]:
                self._trip(output, "OCP")
        self._obey()

    def refresh(self) -> None:
        """Take the readings that are shown until the next time; they have no sign."""
        for number, output in self.outputs.items():
            voltage_v, current_a = self._truth(number)
            output.shown = (
                max(0.0, self._voltmeter.read(voltage_v)),
                max(0.0, self._ammeter.read(current_a)),
            )

    def _truth(self, number: int) -> tuple[float, float]:
        """Voltage [V] and current [A] at a channel; an open one holds its set voltage without current."""
        if number == self.options.channel:
            return self.terminal.actual_voltage_v, self.terminal.actual_current_a
        output = self.outputs[number]
        return (output.levels["voltage"] if output.on else 0.0), 0.0

    @staticmethod
    def _trip(output: Output, name: str) -> None:
        output.tripped.add(name)
        output.on = False

    def _obey(self) -> None:
        """Bring the terminal and the status registers in line with the channels."""
        output, terminal = self.outputs[self.options.channel], self.terminal
        terminal.voltage_v = self._output_v.set(output.levels["voltage"])
        terminal.current_a = self._output_a.set(output.levels["current"])
        terminal.enabled = output.on
        for number, each in self.outputs.items():
            trips = sum(_TRIP_BITS[name] for name in each.tripped)
            each.status.update(self._regulation(number) | trips)

    def _regulation(self, number: int) -> int:
        output = self.outputs[number]
        if not output.on:
            return 0
        voltage_v, current_a = self._truth(number)
        limited = current_a >= 0.998 * output.levels["current"] or voltage_v < 0.98 * output.levels["voltage"]
        return _CONSTANT_CURRENT if limited else _CONSTANT_VOLTAGE

    def _of(self, number: int) -> Output:
        """The channel of a header's suffix; 0, which is none, is the selected one."""
        number = number or self.selected_channel
        if number not in self.outputs:
            raise ScpiError(-114)
        return self.outputs[number]

    def _named(self, text: str) -> Output:
        return self.outputs[CHANNEL.read(text, self)]

    def _set(self, output: Output, level: str, text: str) -> None:
        output.levels[level] = output.range_of(level).read(text, self)

    def _answer(self, output: Output, level: str, word: str) -> str:
        if not word:
            return DIALECT.number(output.levels[level])
        if word.upper()[:3] not in ("MIN", "MAX", "DEF"):
            raise ScpiError(-108)
        return DIALECT.number(output.range_of(level).bound(word.upper()[:3], self))

    # What the table names.

    def reset(self) -> None:
        for output in self.outputs.values():
            output.reset()
        self.selected_channel = 1

    def select(self, number: float) -> None:
        self.selected_channel = int(number)

    def selected(self) -> int:
        return self.selected_channel

    def selected_name(self) -> str:
        output = self.outputs[self.selected_channel]
        return f"CH{self.selected_channel}:{output.rated_v:.0f}V/{output.rated_a:.0f}A"

    def set_voltage(self, number: int, text: str) -> None:
        self._set(self._of(number), "voltage", text)

    def set_current(self, number: int, text: str) -> None:
        self._set(self._of(number), "current", text)

    def set_ovp(self, number: int, text: str) -> None:
        self._set(self._of(number), "OVP", text)

    def set_ocp(self, number: int, text: str) -> None:
        self._set(self._of(number), "OCP", text)

    def voltage(self, number: int, word: str = "") -> str:
        return self._answer(self._of(number), "voltage", word)

    def current(self, number: int, word: str = "") -> str:
        return self._answer(self._of(number), "current", word)

    def ovp(self, number: int, word: str = "") -> str:
        return self._answer(self._of(number), "OVP", word)

    def ocp(self, number: int, word: str = "") -> str:
        return self._answer(self._of(number), "OCP", word)

    def ovp_value(self, channel: str = "") -> str:
        return self._answer(self._named(channel), "OVP", "")

    def ocp_value(self, channel: str = "") -> str:
        return self._answer(self._named(channel), "OCP", "")

    def arm_ovp(self, number: int, on: bool) -> None:
        self._of(number).armed["OVP"] = on

    def arm_ocp(self, number: int, on: bool) -> None:
        self._of(number).armed["OCP"] = on

    def ovp_armed(self, number: int) -> str:
        return _word(self._of(number).armed["OVP"])

    def ocp_armed(self, number: int) -> str:
        return _word(self._of(number).armed["OCP"])

    def ovp_state(self, channel: str = "") -> str:
        return _word(self._named(channel).armed["OVP"])

    def ocp_state(self, channel: str = "") -> str:
        return _word(self._named(channel).armed["OCP"])

    def ovp_tripped(self, channel: str = "") -> str:
        return "YES" if "OVP" in self._named(channel).tripped else "NO"

    def ocp_tripped(self, channel: str = "") -> str:
        return "YES" if "OCP" in self._named(channel).tripped else "NO"

    def clear_ovp(self, number: int) -> None:
        self._of(number).tripped.discard("OVP")

    def clear_ocp(self, number: int) -> None:
        self._of(number).tripped.discard("OCP")

    def apply(self, number: int, voltage: str, current: str = "") -> None:
        """Select the channel and set both; nothing of it if one of them cannot be."""
        output = self.outputs[number]
        wanted = {"voltage": voltage} | ({"current": current} if current else {})
        output.levels |= {level: output.range_of(level).read(text, self) for level, text in wanted.items()}
        self.selected_channel = number

    def applied(self, channel: str = "") -> str:
        number = CHANNEL.read(channel, self)
        output = self.outputs[number]
        rating = f"CH{number}:{output.rated_v:.0f}V/{output.rated_a:.0f}A"
        return ",".join([rating, *(DIALECT.number(output.levels[level]) for level in ("voltage", "current"))])

    def switch(self, number: int, on: bool) -> None:
        output = self.outputs[number]
        if on and output.tripped:
            raise ScpiError(-221)
        output.on = on

    def state(self, channel: str = "") -> str:
        return _word(self._named(channel).on)

    def mode(self, channel: str = "") -> str:
        """CV or CC; a channel that is off answers CV, too (instro, docs/psu/RigolDP800.md)."""
        return "CC" if self._regulation(CHANNEL.read(channel, self)) == _CONSTANT_CURRENT else "CV"

    def sense(self, number: int, on: bool) -> None:
        """This model has no sense terminals."""
        raise ScpiError(-221)

    def sensed(self, channel: str = "") -> str:
        self._named(channel)
        return "NONE"

    def measure_voltage(self, channel: str = "") -> str:
        return f"{self._named(channel).shown[0]:.4f}"

    def measure_current(self, channel: str = "") -> str:
        return f"{self._named(channel).shown[1]:.4f}"

    def measure_power(self, channel: str = "") -> str:
        voltage_v, current_a = self._named(channel).shown
        return f"{voltage_v * current_a:.3f}"

    def measure_all(self, channel: str = "") -> str:
        return ",".join(
            (self.measure_voltage(channel), self.measure_current(channel), self.measure_power(channel))
        )

    def questionable(self) -> StatusGroup:
        return self._scpi.status.questionable[0]

    def summary(self, number: int) -> StatusGroup:
        return self._of(number).status

    def ignore(self) -> None:
        """Remote or local: the twin has no keys."""

    def scpi_version(self) -> str:
        return "1999.0"

    def next_error(self) -> str:
        return self._scpi.next_error()


def _word(on: bool) -> str:
    return "ON" if on else "OFF"
