"""The panel: a station in the hands of a person, one command at a time.

Every command goes through the station and its envelope, so the ceilings of the station file hold here too. A
command that fails says so and changes nothing else; whatever ends the panel, the station is made safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from bench.bringup.readings import ceilings_text, measured_text
from bench.dut.api import Mode
from bench.errors import BenchError, InvalidInput, NotApplicable, NotReady
from bench.station import Station
from instruments import roles

#: What a setting has before it is measured [s].
SETTLE_S = 0.5
#: How long a mode may take [s].
MODE_S = 10.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A table for whoever shows it."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Say = Callable[[str | Shown], object]


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: how it is written, what it does."""

    usage: str
    help: str
    do: Callable[[Panel, Sequence[str]], None]
    least: int = 0
    most: int = 0


class Panel:
    """Commands on an open station.

    Parameters
    ----------
    station
        Open.
    say
        Takes every line and table that a command has to say.
    """

    def __init__(self, station: Station, say: Say) -> None:
        self.station, self.say = station, say
        self._set: dict[str, str] = {}

    def greet(self) -> None:
        """What stands here, and whether the DUT talks."""
        file = self.station.file
        names = ", ".join(self.station.by_role)
        self.say(f"{file.name} with {self.station.profile.identity.model}: {names}")
        try:
            self.station.dut.start()
        except BenchError as error:
            self.say(f"the DUT does not answer yet: {error}")
        else:
            self.say(f"the DUT answers: {self.station.dut.state()}")
        self.say("everything is off; 'help' lists the commands, 'quit' makes safe")

    def obey(self, line: str) -> bool:
        """Do what a line says; whether the panel goes on. What goes wrong is said, never raised."""
        name, *given = line.split()
        if name in ("quit", "exit"):
            return False
        try:
            self._do(name, given)
        except (BenchError, NotApplicable) as error:
            self.say(f"{type(error).__name__}: {error}")
        except Exception as error:  # a mistake in a driver must not leave the bench energised without a hand
            self.say(f"{type(error).__name__}: {error} (a mistake of the bench; the panel goes on)")
        return True

    def _do(self, name: str, given: Sequence[str]) -> None:
        verb = VERBS.get(name) or self._role_verb(name)
        if verb is None:
            own = [role for role in self.station.instruments if self._role_verb(role)]
            known = ", ".join([*own, *VERBS, "quit"])
            raise InvalidInput("command", expected=f"one of {known}", found=repr(name))
        if not verb.least <= len(given) <= verb.most:
            raise InvalidInput(name, expected=f"'{verb.usage}'", found=f"{len(given)} values")
        verb.do(self, [name, *given] if name not in VERBS else given)

    def _role_verb(self, name: str) -> Verb | None:
        """The command that has the name of a source or load of this station."""
        instrument = self.station.instruments.get(name)
        # A source first: a load's verbs do not contain a source's.
        if isinstance(instrument, roles.Supply):
            return Verb(f"{name} <V> <A>", "hold a voltage, push at most a current", Panel.source, 2, 2)
        if isinstance(instrument, roles.Load):
            return Verb(f"{name} <A>", "draw a current", Panel.sink, 1, 1)
        return None

    # -- sources and loads ------------------------------------------------------------------------------

    def source(self, given: Sequence[str]) -> None:
        name, volts, amperes = given
        voltage_v, current_a = _number(name, volts), _number(name, amperes)
        self.station.role(name).source(voltage_v=voltage_v, current_a=current_a)
        self._settled(name, f"{voltage_v:g} V, at most {current_a:g} A")

    def sink(self, given: Sequence[str]) -> None:
        name, amperes = given
        current_a = _number(name, amperes)
        self.station.role(name).sink(current_a=current_a)
        self._settled(name, f"draws {current_a:g} A")

    def _settled(self, name: str, text: str) -> None:
        """Note what was set, and say what is measured a moment later."""
        self._set[name] = text
        self.station.clock.sleep(SETTLE_S)
        self.say(f"{name}: {text}; {measured_text(name, self.station.role(name))}")

    # -- cells, sensors, chamber -------------------------------------------------------------------------

    def cells(self, given: Sequence[str]) -> None:
        voltage_v = _number("cells", given[0])
        self.station.role("cells").set(voltage_v=voltage_v)
        self._settled("cells", f"all at {voltage_v:g} V")

    def cell(self, given: Sequence[str]) -> None:
        number, voltage_v = _index("cell", given[0]), _number("cell", given[1])
        self.station.role("cells").set(voltage_v=voltage_v, cell=number)
        self._settled("cells", f"cell {number} at {voltage_v:g} V")

    def sensors(self, given: Sequence[str]) -> None:
        temperature_degc = _number("sensors", given[0])
        self.station.role("thermistors").set(temperature_degc=temperature_degc)
        self._settled("thermistors", f"all at {temperature_degc:g} °C")

    def sensor(self, given: Sequence[str]) -> None:
        number, temperature_degc = _index("sensor", given[0]), _number("sensor", given[1])
        self.station.role("thermistors").set(temperature_degc=temperature_degc, sensor=number)
        self._settled("thermistors", f"sensor {number} at {temperature_degc:g} °C")

    def chamber(self, given: Sequence[str]) -> None:
        temperature_degc = _number("chamber", given[0])
        rate = _number("chamber", given[1]) if len(given) > 1 else None
        self.station.role("chamber").control(temperature_degc=temperature_degc, rate_k_per_min=rate)
        self._settled("chamber", f"to {temperature_degc:g} °C" + (f" at {rate:g} K/min" if rate else ""))

    # -- faults --------------------------------------------------------------------------------------------

    def insert(self, given: Sequence[str]) -> None:
        self.station.fault_box(given[0]).insert(given[0])
        self.say(f"{given[0]} is in")

    def remove(self, given: Sequence[str]) -> None:
        self.station.fault_box(given[0]).remove(given[0])
        self.say(f"{given[0]} is out")

    def faults(self, _: Sequence[str]) -> None:
        boxes = {n: i for n, i in self.station.instruments.items() if isinstance(i, roles.FaultBox)}
        rows = tuple((name, ", ".join(box.faults)) for name, box in boxes.items())
        self.say(Shown("faults", ("box", "can insert"), rows))

    # -- the DUT -------------------------------------------------------------------------------------------

    def dut(self, _: Sequence[str]) -> None:
        told = self.station.dut.telemetry()
        cells = [f"{volts:.3f}" for volts in told.cell_v]
        sensors = [f"{degc:.1f}" for degc in told.temperature_degc]
        rows = (
            ("state", told.state),
            ("alarms", ", ".join(sorted(told.alarms)) or "none"),
            ("pack", f"{told.pack_v:.2f} V, {told.current_a:.2f} A, SOC {told.soc:.1%}"),
            ("cells 0 to ...", "  ".join(cells) + " V"),
            ("sensors 0 to ...", "  ".join(sensors) + " °C"),
            ("report", f"{told.age_s:.2f} s old"),
        )
        self.say(Shown("the DUT says", ("", ""), rows))

    def mode(self, given: Sequence[str]) -> None:
        if given[0] not in get_args(Mode):
            raise InvalidInput("mode", expected=f"one of {', '.join(get_args(Mode))}", found=repr(given[0]))
        mode = cast("Mode", given[0])
        dut = self.station.dut
        dut.start()
        dut.request(mode)
        reached = dut.wait_for(mode, MODE_S)
        alarms = ", ".join(sorted(dut.alarms())) or "none"
        how = "the DUT is in" if reached else f"{MODE_S:g} s later the DUT is still in"
        self.say(f"asked for {mode}: {how} {dut.state()}, alarms: {alarms}")

    def reset(self, given: Sequence[str]) -> None:
        if given and given[0] != "service":
            raise InvalidInput("reset", expected="'reset' or 'reset service'", found=repr(given[0]))
        dut = self.station.dut
        dut.start()
        (dut.service_reset if given else dut.reset_fault)()
        self.station.clock.sleep(1.0)
        self.say(f"reset: the DUT is in {dut.state()}, alarms: {', '.join(sorted(dut.alarms())) or 'none'}")

    # -- all of it -----------------------------------------------------------------------------------------

    def show(self, _: Sequence[str]) -> None:
        rows = tuple(self._row(name) for name in self.station.instruments)
        headings = ("role", "state", "set here", "measured", "ceilings")
        self.say(Shown(f"{self.station.file.name} at {self.station.clock.now_s:.1f} s", headings, rows))

    def _row(self, name: str) -> tuple[str, ...]:
        instrument = self.station.instruments[name]
        ceilings = ceilings_text(self.station.file.roles[name])
        try:
            state = "off" if instrument.is_off() else "ON"
            return name, state, self._set.get(name, ""), measured_text(name, instrument), ceilings
        except BenchError as error:
            return name, "?", self._set.get(name, ""), f"{type(error).__name__}: {error}", ceilings

    def wait(self, given: Sequence[str]) -> None:
        duration_s = _number("wait", given[0])
        if not 0.0 <= duration_s <= 3600.0:
            raise InvalidInput("wait", expected="0 to 3600 s", found=f"{duration_s:g}")
        self.station.clock.sleep(duration_s)
        self.say(f"{self.station.clock.now_s:.1f} s")

    def off(self, given: Sequence[str]) -> None:
        if not given:
            self.safe(given)
            return
        role = self.station.role(given[0])
        role.off()
        self._set.pop(given[0], None)
        if self.station.model is not None and self.station.model.role(given[0]) is not None:
            self.say(f"{given[0]}: handed back to the pack model, which stays on")
            return
        if not role.is_off():
            raise NotReady(f"{given[0]} was told to be off and says that it is not: try 'safe'")
        self.say(f"{given[0]}: off, read back")

    def safe(self, _: Sequence[str]) -> None:
        report = self.station.make_safe("asked to at the panel")
        self._set.clear()
        self.say(f"{report}, read back" if report.confirmed else str(report))

    def help(self, _: Sequence[str]) -> None:
        own = (self._role_verb(name) for name in self.station.instruments)
        verbs = [*(verb for verb in own if verb), *VERBS.values()]
        rows = [(verb.usage, verb.help) for verb in verbs] + [("quit", "make safe, read back, end")]
        self.say(Shown("commands", ("", ""), tuple(rows)))


VERBS: dict[str, Verb] = {
    "show": Verb("show", "every role: state, what is measured, ceilings", Panel.show),
    "cells": Verb("cells <V>", "all cells to a voltage", Panel.cells, 1, 1),
    "cell": Verb("cell <number> <V>", "one cell, counted from 0", Panel.cell, 2, 2),
    "sensors": Verb("sensors <°C>", "all thermistors to a temperature", Panel.sensors, 1, 1),
    "sensor": Verb("sensor <number> <°C>", "one thermistor, counted from 0", Panel.sensor, 2, 2),
    "chamber": Verb("chamber <°C> [<K/min>]", "the chamber to a temperature", Panel.chamber, 1, 2),
    "faults": Verb("faults", "what can be inserted", Panel.faults),
    "insert": Verb("insert <fault>", "put a fault in", Panel.insert, 1, 1),
    "remove": Verb("remove <fault>", "take a fault out", Panel.remove, 1, 1),
    "dut": Verb("dut", "what the DUT says", Panel.dut),
    "mode": Verb("mode <mode>", "ask for standby, drive or charge, and wait", Panel.mode, 1, 1),
    "reset": Verb("reset [service]", "clear faults that may be cleared", Panel.reset, 0, 1),
    "wait": Verb("wait <s>", "let time pass", Panel.wait, 1, 1),
    "off": Verb("off [<role>]", "one role off, or all", Panel.off, 0, 1),
    "safe": Verb("safe", "everything off, the DUT to standby, read back", Panel.safe),
    "help": Verb("help", "this list", Panel.help),
}


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value:
        raise InvalidInput(what, expected="a number", found=repr(text))
    return value


def _index(what: str, text: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(what, expected="a number, counted from 0", found=repr(text))
    return int(text)
