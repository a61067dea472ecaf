"""Twin of a Weiss or Vötsch chamber behind its SIMSERV server (S!MPAC control), such as a LabEvent.

A command is its number, the chamber and arguments with 0xB6 between them, ended by CR; the answer is a code,
values likewise, CR LF. Numbers and meanings: GitHub IzaakWN/ClimateChamberMonitor, commands.py, and PyPI
basil_daq 3.3.0, HL/weiss_labevent.py; codes -1 to -4 and a leading delimiter: F. Guescini's module for
Vötsch and Weiss chambers.

Not seen in any document, hence unverified: how temperatures are printed, the texts of messages, what 17012
answers, that a start in an alarm is taken and does nothing, and that a manual start ends a program.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band
from instruments.chamber_air import ChamberAir, ChamberInside
from instruments.terminals import ChamberTerminal

ACCURACY = {
    "chamber_degc": Accuracy(
        "degC",
        (Band(full_scale=200.0, of_reading=0.0, of_range=0.0025),),
        "no data sheet seen: ±0.5 K over the working space is a project default",
        "unverified",
    )
}

DELIMITER, CR, CR_LF = b"\xb6", b"\r", b"\r\n"
ACCEPTED, NOTHING, NO_CHAMBER, BAD_CHAMBER, ABSENT = 1, -1, -2, -3, -4
UNKNOWN, PARAMETERS, NOT_FOUND = -5, -6, -8
IDLE, RUNNING, WARNINGS, ALARMS = 1, 3, 4, 8
_LONGEST_COMMAND = 512
_PROGRAM_STEP_S = 1.0
_OUTPUTS = ("Condensation protection", "Output 2", "Output 3", "Compressed air", "Air dryer", "Output 6")
ALARM, WARNING = 1, 2


class ChamberProgram(BaseModel):
    """A program stored in the chamber: ramps to temperatures [°C], each with its duration [min]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ramps: tuple[tuple[float, Annotated[float, Field(gt=0)]], ...] = Field(min_length=1)

    def wanted_degc(self, start_degc: float, minute: float) -> float:
        """Set point [°C] at `minute` of one run that started at `start_degc` [°C]."""
        before = start_degc
        for degc, minutes in self.ramps:
            if minute < minutes:
                return before + (degc - before) * minute / minutes
            minute, before = minute - minutes, degc
        return before

    @property
    def minutes(self) -> float:
        """How long one run takes [min]."""
        return sum(minutes for _, minutes in self.ramps)


class SimservOptions(BaseModel):
    """The `[roles.<name>.options]` table of a SIMSERV chamber.

    Parameters
    ----------
    chamber
        Index of the chamber on its server.
    coldest_degc, hottest_degc
        What it can be set to [°C]. -70 °C and 5 K/min: as a LabEvent T/210/70/5 is called; the rest project
        defaults.
    gradient_k_per_min
        The fastest ramp that is asked of it [K/min].
    limiter_degc
        Where its over-temperature limiter is set [°C], by hand on the real one. Project default: 10 K above
        the hottest set point.
    programs
        Stored in the twin; a real chamber has its own.
    baud
        Of the line of a twin in process; TCP has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chamber: Annotated[int, Field(ge=1, le=9)] = 1
    coldest_degc: float = -70.0
    hottest_degc: float = 180.0
    gradient_k_per_min: Annotated[float, Field(gt=0)] = 5.0
    limiter_degc: float = 190.0
    programs: tuple[ChamberProgram, ...] = ()
    baud: Annotated[int, Field(gt=0)] = 115_200

    @model_validator(mode="after")
    def _limits_in_order(self) -> SimservOptions:
        if not self.coldest_degc < self.hottest_degc:
            raise ValueError("expected coldest_degc below hottest_degc")
        return self


class _Refused(Exception):
    """The command is answered with this code."""

    def __init__(self, code: int) -> None:
        self.code = code


class SimservTwin:
    """Device side: one chamber and its server. Several clients talk to the same chamber.

    Parameters
    ----------
    terminal
        The air around the pack.
    clock
        Whose time the air takes.
    options
        As the driver's.
    seed
        Of the sensor's error.
    """

    def __init__(
        self, terminal: ChamberTerminal, *, clock: Clock, options: SimservOptions, seed: int = 0
    ) -> None:
        self.clock, self.options = clock, options
        self.inside = ChamberInside(
            terminal,
            clock=clock,
            air=ChamberAir(coldest_degc=options.coldest_degc),
            accuracy=ACCURACY["chamber_degc"],
            seed=seed,
        )
        self.inside.limiter_degc = options.limiter_degc
        self.inside.target_degc = 23.0
        self.inside.up_k_per_min = self.inside.down_k_per_min = options.gradient_k_per_min
        self._outputs = [False] * len(_OUTPUTS)
        self._program = 0
        self._paused = False
        self._runs, self._runs_done, self._elapsed_s, self._start_degc = 1, 0, 0.0, 0.0
        self._lead_s, self._started = 0.0, clock.utc
        self._implied = SimservSession(self)
        clock.every(_PROGRAM_STEP_S, self._run_program, name="chamber program")
        self._commands = self._table()

    def session(self) -> SimservSession:
        """What serves one more client."""
        return SimservSession(self)

    def handle(self, message: bytes) -> Reply | None:
        """Serve the client of a line that has no connections."""
        return self._implied.handle(message)

    def answer(self, line: bytes) -> bytes:
        """What one command without its CR is answered."""
        try:
            values = self._execute(line.strip(b"\n"))
        except _Refused as refused:
            return b"%d" % refused.code + CR_LF
        return DELIMITER.join([b"%d" % ACCEPTED, *(value.encode("latin-1") for value in values)]) + CR_LF

    def _execute(self, line: bytes) -> list[str]:
        if not line:
            raise _Refused(NOTHING)
        # One public driver sends a delimiter before the number too.
        number, *arguments = line.removeprefix(DELIMITER).decode("latin-1").split("\xb6")
        if not arguments:
            raise _Refused(NO_CHAMBER)
        if not arguments[0].isdecimal() or not 1 <= int(arguments[0][:9]) <= 9:
            raise _Refused(BAD_CHAMBER)
        if int(arguments[0]) != self.options.chamber:
            raise _Refused(ABSENT)
        command = self._commands.get(number)
        if command is None:
            raise _Refused(UNKNOWN)
        return command(arguments[1:])

    def _table(self) -> dict[str, Callable[[list[str]], list[str]]]:
        options, inside = self.options, self.inside
        low, high = _shown(options.coldest_degc), _shown(options.hottest_degc)
        return {
            "99997": lambda _: ["LabEvent T/210/70/5"],
            "10012": lambda _: [str(self._status())],
            "11018": lambda _: ["1"],
            "11026": lambda a: [_of_temperature(a, "Temperature")],
            "11023": lambda a: [_of_temperature(a, "\xb0C")],
            "11001": self._set_temperature,
            "11002": lambda a: [_of_temperature(a, _shown(inside.target_degc))],
            "11004": lambda a: [_of_temperature(a, _shown(inside.measure()))],
            "11007": lambda a: [_of_temperature(a, low)],
            "11009": lambda a: [_of_temperature(a, high)],
            "11014": lambda a: [_of_temperature(a, _shown(options.coldest_degc - 10.0))],
            "11015": lambda a: [_of_temperature(a, _shown(options.limiter_degc))],
            "11016": lambda a: [_of_temperature(a, _shown(options.coldest_degc - 5.0))],
            "11017": lambda a: [_of_temperature(a, _shown(self._warning_degc))],
            "11066": lambda a: [_of_temperature(a, _shown(inside.up_k_per_min))],
            "11068": lambda a: self._set_gradient(a, "up_k_per_min"),
            "11070": lambda a: [_of_temperature(a, _shown(inside.down_k_per_min))],
            "11072": lambda a: self._set_gradient(a, "down_k_per_min"),
            "12012": lambda _: ["0"],
            "13007": lambda _: ["0"],
            "15004": lambda _: ["0"],
            "14007": lambda _: [str(len(_OUTPUTS))],
            "14010": lambda a: [_OUTPUTS[_index(a, 0, len(_OUTPUTS)) - 1]],
            "14001": self._set_output,
            "14003": self._read_output,
            "17002": lambda _: [str(len(self._messages()))],
            "17005": lambda a: [str(self._message(a)[0])],
            "17007": lambda a: [self._message(a)[1]],
            "17009": lambda a: [str(int(self._message(a)[2]))],
            "17111": lambda a: ["1" if self._message(a)[0] == ALARM else "0"],
            "17012": self._reset_errors,
            "19003": self._set_runs,
            "19004": lambda _: [str(self._runs), "0"],
            "19006": lambda _: [str(self._runs_done), "0"],
            "19009": lambda _: [str(round(self._lead_s))],
            "19010": self._set_lead,
            "19014": self._start_program,
            "19015": self._stop_program,
            "19021": lambda _: [str(round(self._elapsed_s))],
            "19031": lambda a: [options.programs[_index(a, 0, len(options.programs)) - 1].name],
            "19204": lambda _: [str(self._program)],
            "19207": lambda _: [self._started.strftime("%Y-%m-%d-%H-%M-%S")],
            "19209": self._control_program,
            "19210": lambda _: [str(self._program_state())],
        }

    # Status and messages.

    @property
    def _warning_degc(self) -> float:
        return (self.options.hottest_degc + self.options.limiter_degc) / 2.0

    def _status(self) -> int:
        active = {kind for kind, _, on in self._messages() if on}
        status = RUNNING if self.inside.running else IDLE
        return status + (WARNINGS if WARNING in active else 0) + (ALARMS if ALARM in active else 0)

    def _messages(self) -> list[tuple[int, str, bool]]:
        """Kind, text and whether it is active, of every message that there is."""
        too_hot = self.inside.measure() > self._warning_degc
        return [
            (ALARM, "Temperature limiter", self.inside.tripped),
            (WARNING, "Temperature above warning limit", too_hot),
        ]

    def _message(self, arguments: list[str]) -> tuple[int, str, bool]:
        messages = self._messages()
        return messages[_index(arguments, 0, len(messages)) - 1]

    def _reset_errors(self, _: list[str]) -> list[str]:
        active = [str(number) for number, message in enumerate(self._messages(), start=1) if message[2]]
        self.inside.reset_limiter()
        return active

    # Temperature and outputs.

    def _set_temperature(self, arguments: list[str]) -> list[str]:
        _of_temperature(arguments, "")
        wanted_degc = _number(arguments, 1)
        if not self.options.coldest_degc <= wanted_degc <= self.options.hottest_degc:
            raise _Refused(PARAMETERS)
        self.inside.target_degc = wanted_degc
        return []

    def _set_gradient(self, arguments: list[str], which: str) -> list[str]:
        _of_temperature(arguments, "")
        if (k_per_min := _number(arguments, 1)) <= 0.0:
            raise _Refused(PARAMETERS)
        setattr(self.inside, which, k_per_min)
        return []

    def _set_output(self, arguments: list[str]) -> list[str]:
        """Output 1 is the manual mode, the others follow from 2 on."""
        number = _index(arguments, 0, len(_OUTPUTS) + 1)
        value = _number(arguments, 1)
        if value not in (0.0, 1.0):
            raise _Refused(PARAMETERS)
        if number > 1:
            self._outputs[number - 2] = bool(value)
            return []
        self._program = 0
        if value:
            self.inside.start()
        else:
            self.inside.stop()
        return []

    def _read_output(self, arguments: list[str]) -> list[str]:
        number = _index(arguments, 0, len(_OUTPUTS) + 1)
        if number > 1:
            return [str(int(self._outputs[number - 2]))]
        return [str(int(self.inside.running and not self._program))]

    # Programs.

    def _set_runs(self, arguments: list[str]) -> list[str]:
        self._runs = _index(arguments, 0, 999)
        return []

    def _set_lead(self, arguments: list[str]) -> list[str]:
        if (lead_s := _number(arguments, 0)) < 0.0:
            raise _Refused(PARAMETERS)
        self._lead_s = lead_s
        return []

    def _start_program(self, arguments: list[str]) -> list[str]:
        number = _index(arguments, 0, len(self.options.programs))
        self._runs = _index(arguments, 1, 999) if len(arguments) > 1 else 1
        self.inside.start()
        if self.inside.running:
            self._program, self._paused, self._runs_done = number, False, 0
            self._elapsed_s, self._start_degc = -self._lead_s, self.inside.wanted_degc
            self._started = self.clock.utc + dt.timedelta(seconds=self._lead_s)
            # A program's ramps are its own.
            self.inside.up_k_per_min = self.inside.down_k_per_min = math.inf
        return []

    def _stop_program(self, _: list[str]) -> list[str]:
        if self._program:
            self._program = 0
            self.inside.stop()
        return []

    def _control_program(self, arguments: list[str]) -> list[str]:
        value = _number(arguments, 0)
        if value not in (2.0, 4.0):
            raise _Refused(PARAMETERS)
        self._paused = value == 2.0
        return []

    def _program_state(self) -> int:
        if not self._program:
            return 0
        return 1 + 2 * self._paused + 16 * (self._elapsed_s < 0.0)

    def _run_program(self) -> None:
        if not self._program or self._paused:
            return
        if not self.inside.running:  # the limiter took the power
            self._program = 0
            return
        self._elapsed_s += _PROGRAM_STEP_S
        program = self.options.programs[self._program - 1]
        minute = max(0.0, self._elapsed_s / 60.0 - self._runs_done * program.minutes)
        self.inside.target_degc = program.wanted_degc(self._start_degc, minute)
        if minute >= program.minutes:
            self._runs_done += 1
            self._start_degc = self.inside.target_degc
            if self._runs_done >= self._runs:
                self._stop_program([])


class SimservSession:
    """One client: its bytes as they come, cut anywhere. A `MessageTwin`."""

    def __init__(self, twin: SimservTwin) -> None:
        self._twin = twin
        self._line = bytearray()

    def handle(self, message: bytes) -> Reply | None:
        """Take bytes; answer each command that a CR ends."""
        self._line += message
        answer = bytearray()
        while CR in self._line:
            line, _, rest = bytes(self._line).partition(CR)
            self._line[:] = rest
            answer += self._twin.answer(line)
        del self._line[:-_LONGEST_COMMAND]
        return Reply(bytes(answer)) if answer else None


def _shown(value: float) -> str:
    return f"{value:.2f}"


def _number(arguments: list[str], position: int) -> float:
    """Argument `position` as a number. Raises `_Refused`."""
    try:
        value = float(arguments[position])
    except (IndexError, ValueError):
        raise _Refused(PARAMETERS) from None
    if not math.isfinite(value):
        raise _Refused(PARAMETERS)
    return value


def _index(arguments: list[str], position: int, most: int) -> int:
    """Argument `position` as the number of one of `most` things. Raises `_Refused`."""
    value = _number(arguments, position)
    if value != int(value):
        raise _Refused(PARAMETERS)
    if not 1 <= value <= most:
        raise _Refused(NOT_FOUND)
    return int(value)


def _of_temperature(arguments: list[str], value: str) -> str:
    """`value`, if the first argument names the one control variable that there is."""
    _index(arguments, 0, 1)
    return value
