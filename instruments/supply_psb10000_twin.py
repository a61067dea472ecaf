"""Twin of the EA Elektro-Automatik PSB 10000: one bidirectional unit, spoken to in SCPI or in Modbus.

What it does by itself: remote control has one owner and nothing can be set without it; protections and
supervised thresholds switch the DC terminal off and stay as alarms until they are acknowledged, which reading
the error queue does; interface monitoring takes remote control from an owner that falls silent.

Sources: nominal-io/instro 1.22.0, ea_psb10000; Michaelis33-BS/PSB-10000, src/ea_psb10000 (status bits, alarm
counters, thresholds, monitoring); ami3go/RobotFrameworks_hw_drivers, rf_ea_ps9000t, which quotes the EA
programming guide PGMBEN rev. 17 (error numbers, acknowledgement, limits, `*RST`). Not in any document seen,
hence project defaults: ratings, accuracy, decimals of the answers, what a refused lock answers, power-on
values, and that SCPI and Modbus on one network socket are two owners (the guides name owners by interface).

It draws only from a terminal that has `sink_current_a`; otherwise the sink side is stored. In resistance mode
(UIR) the sink holds its resistance; the range of resistance is scaled from that of the PSB 10080-60 (0.04 to
80 ohm: nominal-io/instro, tests/psu/ea/test_ea_psb10000_hardware.py). Left out: internal resistance of the
source side, which is stored, function generator, master-slave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.power_readings import of_rating
from instruments.scpi import Command, Dialect, Interpreter, status_commands
from instruments.scpi_parameters import Boolean, Choice, Number, Style, Text
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.supply_psb10000_menu import COMMANDS as MENU
from instruments.supply_psb10000_menu import NETWORK
from instruments.supply_psb10000_registers import MAKER, RegisterFace
from instruments.terminals import SourceTerminal

#: Bits of STATus:QUEStionable that hold the terminal off, from Michaelis33-BS/PSB-10000, status.py.
ALARMS = {0: "OVP", 1: "OCP", 2: "OPP", 3: "OT", 4: "OVD", 5: "UVD", 6: "OCD", 7: "UCD", 8: "OPD", 13: "PF"}
_BIT = {name: bit for bit, name in ALARMS.items()}
_LOCAL, _REMOTE, _ON = 1 << 9, 1 << 10, 1 << 11
_TIMED_OUT, _CV, _CC, _CP, _SINKING = 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 12

#: What the counters are called: SYSTem:ALARm:COUNt:<name>.
COUNTERS = {"OVP": "OVOLtage", "OCP": "OCURrent", "OPP": "OPOWer", "OT": "OTEMperature", "PF": "PFAil"}

_UNSEEN = "project default: no data sheet seen"
#: Of a PSB 10200-420. Other models: the same shares of their rating.
ACCURACY = {
    "voltage_v": Accuracy("V", (Band(200.0, 2e-4, 3e-4),), _UNSEEN, "unverified"),
    "current_a": Accuracy("A", (Band(420.0, 5e-4, 5e-4),), _UNSEEN, "unverified"),
}

#: Hardware reacts in microseconds; the terminal changes once per plant step, so looking more often is idle.
_TICK_S = 0.01
_FIRMWARE = "KE 3.10 HMI 4.09 DR 1.0.7"


class Psb10000Options(BaseModel):
    """The `[roles.<name>.options]` table of a PSB 10000. Ratings: copy them from the type plate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "PSB 10200-420"
    serial: str = "2120440001"
    rated_v: Annotated[float, Field(gt=0)] = 200.0
    rated_a: Annotated[float, Field(gt=0)] = 420.0
    rated_w: Annotated[float, Field(gt=0)] = 30_000.0
    ovp_margin: Annotated[float, Field(gt=1.0, le=1.1)] = 1.05
    ocp_margin: Annotated[float, Field(gt=1.0, le=1.1)] = 1.1
    monitoring_s: Annotated[int, Field(ge=1, le=36_000)] = 10
    unit_id: Annotated[int, Field(ge=0, le=247)] = 1
    aperture_s: Annotated[float, Field(gt=0)] = 0.02
    latency_s: Annotated[float, Field(ge=0)] = 0.003


_DECIMALS = {"V": 2, "A": 2, "W": 1, "Ohm": 3}


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.{_DECIMALS[unit]}f} {unit}"


@dataclass(frozen=True, slots=True)
class Quantity(Number):
    """A number that is answered with its unit. Limits: a setting's name, or a share of nominal: "1.02 V"."""

    def bound(self, which: str, twin: Any) -> float:
        limit = {"MIN": self.minimum, "MAX": self.maximum, "DEF": self.default}[which]
        return float(twin.bound(limit) if isinstance(limit, str) else limit)

    def write(self, value: float, style: Style) -> str:
        return _with_unit(value, self.unit)


def _level(
    header: str, name: str, unit: str, default: str | float = 0.0, *, low: bool
) -> tuple[Command, ...]:
    """A set value, its adjustment limits and its protection threshold."""
    base = name.rpartition("_")[0]
    lowest = f"{base}_low" if low else 0.0
    rows = [
        Command(header, name, (Quantity(unit, lowest, f"{base}_high", default),)),
        Command(
            f"{header}:LIMit:HIGH", f"{base}_high", (Quantity(unit, name, f"1.02 {unit}", f"1.02 {unit}"),)
        ),
        Command(
            f"{header}:PROTection[:LEVel]", f"{base}_trip", (Quantity(unit, 0, f"1.1 {unit}", f"1.1 {unit}"),)
        ),
    ]
    if low:
        rows.append(Command(f"{header}:LIMit:LOW", f"{base}_low", (Quantity(unit, 0, name, 0),)))
    return tuple(rows)


def _supervised(side: str, name: str, unit: str) -> tuple[Command, ...]:
    """A threshold of supervision, and what happens beyond it."""
    header = f"SYSTem:{side}CONFig:{name}"
    key = f"{'sink_' if side else ''}{name.lower()}"
    default = 0.0 if name.startswith("U") else f"1.1 {unit}"
    actions = Choice(("NONE", "SIGNal", "WARNing", "ALARM"), "NONE")
    return (
        Command(header, key, (Quantity(unit, 0, f"1.1 {unit}", default),)),
        Command(f"{header}:ACTion", f"{key}_action", (actions,)),
    )


#: Shares of nominal voltage over nominal current.
_LEAST_OHM, _MOST_OHM = "0.03 Ohm", "60.0 Ohm"
_OHM_HIGH = Quantity("Ohm", _LEAST_OHM, _MOST_OHM, _MOST_OHM)
_AUTO_OFF = Choice(("AUTO", "OFF"), "OFF")
_SECONDS = (Number("s", 1, 36_000, 5, integer=True),)

DIALECT = Dialect(
    commands=(
        *_level("[SOURce:]VOLTage", "voltage_v", "V", low=True),
        *_level("[SOURce:]CURRent", "current_a", "A", "1.0 A", low=True),
        *_level("[SOURce:]POWer", "power_w", "W", "1.0 W", low=False),
        *_level("SINK:CURRent", "sink_current_a", "A", "1.0 A", low=True),
        *_level("SINK:POWer", "sink_power_w", "W", "1.0 W", low=False),
        Command("[SOURce:]RESistance", "resistance_ohm", (Quantity("Ohm", 0.0, "resistance_high", 0.0),)),
        Command("[SOURce:]RESistance:LIMit:HIGH", "resistance_high", (_OHM_HIGH,)),
        Command(
            "SINK:RESistance",
            "sink_resistance_ohm",
            (Quantity("Ohm", _LEAST_OHM, "sink_resistance_high", _MOST_OHM),),
        ),
        Command("SINK:RESistance:LIMit:HIGH", "sink_resistance_high", (_OHM_HIGH,)),
        Command("SYSTem:CONFig:MODE", "mode", (Choice(("UIP", "UIR"), "UIP"),)),
        *_supervised("", "OVD", "V"),
        *_supervised("", "UVD", "V"),
        *_supervised("", "OCD", "A"),
        *_supervised("", "UCD", "A"),
        *_supervised("", "OPD", "W"),
        *_supervised("SINK:", "OCD", "A"),
        *_supervised("SINK:", "UCD", "A"),
        *_supervised("SINK:", "OPD", "W"),
        Command("OUTPut[:STATe]", parameters=(Boolean(),), run="switch", query="output"),
        Command("SYSTem:LOCK[:STATe]", parameters=(Boolean(),), run="lock", query="locked"),
        Command("SYSTem:LOCK:OWNer", query="lock_owner"),
        Command("POWer:STAGe:AFTer:REMote", "after_remote", (Choice(("AUTO", "OFF"), "AUTO"),)),
        Command("SYSTem:CONFig:OUTPut:RESTore", "restore", (_AUTO_OFF,)),
        Command("SYSTem:ALARm:ACTion:PFAil", "after_power_fail", (_AUTO_OFF,)),
        Command("SYSTem:ALARm:ACTion:OTEMperature", "after_heat", (_AUTO_OFF,)),
        # Public drivers spell it both ways: TIME and, for TIMeout, TIM.
        Command("SYSTem:COMMunicate:MONitoring:TIME", "monitoring_s", _SECONDS),
        Command("SYSTem:COMMunicate:MONitoring:TIMeout", "monitoring_s", _SECONDS),
        Command("SYSTem:COMMunicate:MONitoring:ACTion", "monitoring", (Boolean(),)),
        Command("SYSTem:CONFig:USER:TEXT", "user_text", (Text(),)),
        Command("SYSTem:NOMinal:VOLTage", query="nominal_voltage"),
        Command("SYSTem:NOMinal:CURRent", query="nominal_current"),
        Command("SYSTem:NOMinal:POWer", query="nominal_power"),
        Command("SYSTem:NOMinal:RESistance:MINimum", query="nominal_resistance", bound=(_LEAST_OHM,)),
        Command("SYSTem:NOMinal:RESistance:MAXimum", query="nominal_resistance", bound=(_MOST_OHM,)),
        *MENU,
        Command("MEASure[:SCALar]:VOLTage[:DC]", query="measure_voltage"),
        Command("MEASure[:SCALar]:CURRent[:DC]", query="measure_current"),
        Command("MEASure[:SCALar]:POWer[:DC]", query="measure_power"),
        Command("MEASure[:SCALar]:ARRay", query="measure_array"),
        *(
            Command(f"SYSTem:ALARm:COUNt:{name}", query=f"count_{alarm.lower()}")
            for alarm, name in COUNTERS.items()
        ),
        *status_commands("STATus:OPERation", "operation"),
        *status_commands("STATus:QUEStionable", "questionable"),
        *status_commands("STATus:SECond:QUEStionable", "second_questionable"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
        Command("SYSTem:ERRor:ALL", query="all_errors"),
    ),
    number=lambda value: f"{value:.2f}",
    off_on=("OFF", "ON"),
    no_error='0,"No error"',
    reset_settings=False,
)

#: What this family says for errors of the SCPI standard that it does not tell apart.
_COMMAND_UNKNOWN, _PARAMETER = (-100, "Command unknown"), (-220, "Parameter error")
_OWN_ERRORS = {
    -113: _COMMAND_UNKNOWN,
    -114: _COMMAND_UNKNOWN,
    -104: _PARAMETER,
    -109: _PARAMETER,
    -131: _PARAMETER,
}
_MOST_ERRORS_AT_ONCE = 5


class Psb10000Twin:
    """Device side of a PSB 10000 on a source terminal. At the connector "scpi" it is itself what answers.

    Parameters
    ----------
    terminal
        Where it feeds the pack; one with `sink_current_a` (most current into the unit [A]) can be drawn from.
    clock
        Protections and interface monitoring run on it.
    options
        Ratings and name of the unit it stands in for.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: SourceTerminal, *, clock: Clock, options: Psb10000Options, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        generator = np.random.default_rng(seed)
        of_voltage = of_rating(ACCURACY["voltage_v"], options.rated_v)
        of_current = of_rating(ACCURACY["current_a"], options.rated_a)
        self._voltmeter = Deviation.within(of_voltage, generator)
        self._ammeter = Deviation.within(of_current, generator)
        self._output_v = Deviation.within(of_voltage, generator)
        self._output_a = Deviation.within(of_current, generator)
        self.nominal = {"V": options.rated_v, "A": options.rated_a, "W": options.rated_w}
        self.nominal["Ohm"] = options.rated_v / options.rated_a
        self.on = False
        self.local = False
        """Somebody at the panel has chosen "Local": remote control is refused."""
        self.owner = ""
        """Connector that holds remote control, "" for none."""
        self._timed_out = False
        self._heard_s = clock.now_s
        self.alarms: set[str] = set()
        self._counts = dict.fromkeys(ALARMS.values(), 0)
        self._second = StatusGroup()
        self._power_limited = False
        self._busy_s = 0.0
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)
        self.settings = self._scpi.settings
        self.faces: dict[str, Any] = {"scpi": self, "modbus": RegisterFace(self, _FIRMWARE)}
        self.apply()
        clock.every(_TICK_S, self.tick, name=f"{options.model} twin")

    @property
    def identification(self) -> str:
        options = self.options
        return f"{MAKER}, {options.model}, {options.serial}, {_FIRMWARE}, {self.settings['user_text']}"

    def handle(self, message: bytes) -> Reply | None:
        """Run one SCPI program message."""
        self.hear("scpi")
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        self.apply()
        return None if answer is None else Reply(answer, self._busy_s)

    # What both connectors use.

    def hear(self, face: str) -> None:
        """A message came in: monitoring starts anew, if it was from the owner."""
        if face == self.owner:
            self._heard_s = self.clock.now_s

    def take(self, face: str) -> bool:
        """Give remote control to `face`, if nobody else has it and nobody forbids it."""
        if self.local or self.owner not in ("", face):
            return False
        self.owner, self._heard_s, self._timed_out = face, self.clock.now_s, False
        return True

    def leave(self, face: str) -> bool:
        """End remote control, if `face` has it. The terminal stays as it is or goes off, as is set."""
        if self.owner not in ("", face):
            return False
        if self.owner and self.settings["after_remote"] == "OFF":
            self.on = False
        self.owner = ""
        return True

    def switch(self, on: bool) -> None:
        """Set the DC terminal. An alarm that is not acknowledged holds it off."""
        if on and self.alarms:
            raise ScpiError(-221)
        self.on = on

    def put(self, name: str, value: float, resolution: float) -> None:
        """Set a quantity by the name of its setting, within its limits as they are now.

        To a client that writes in steps of `resolution`, a value less than half a step beyond a limit is the
        limit.
        """
        parameter = next(command.parameters[0] for command in DIALECT.commands if command.setting == name)
        assert isinstance(parameter, Quantity)
        low, high = parameter.bound("MIN", self), parameter.bound("MAX", self)
        if not low - 0.5 * resolution <= value <= high + 0.5 * resolution:
            raise ScpiError(-222)
        self.settings[name] = min(max(value, low), high)

    def bound(self, name: str) -> float:
        """A setting, or a share of a nominal value: "1.02 V"."""
        share, _, unit = name.partition(" ")
        return float(share) * self.nominal[unit] if unit else float(self.settings[name])

    def acknowledge(self) -> None:
        """Forget the alarms whose cause is gone."""
        self.alarms &= self._causes()

    def readings(self) -> tuple[float, float]:
        """Voltage [V] and current [A], positive out of the unit, with its errors."""
        terminal = self.terminal
        return (
            self._voltmeter.read(terminal.actual_voltage_v),
            self._ammeter.read(terminal.actual_current_a),
        )

    @property
    def regulation(self) -> str:
        """CV, CC or CP; "" when off."""
        if not self.on:
            return ""
        # At its limit to within the resolution of the loop.
        if self.terminal.actual_current_a < 0.998 * self.terminal.current_a - 1e-3:
            return "CV"
        return "CP" if self._power_limited else "CC"

    # What it does by itself.

    def tick(self) -> None:
        """Protections, supervision and interface monitoring."""
        if self.on:
            for name in self._causes():
                self._trip(name)
        silent_s = self.clock.now_s - self._heard_s
        if self.owner and self.settings["monitoring"] and silent_s >= self.settings["monitoring_s"]:
            self._timed_out = True
            self.leave(self.owner)
        self.apply()

    def _trip(self, name: str) -> None:
        if name not in self.alarms:
            self._counts[name] += 1
        self.alarms.add(name)
        self.on = False

    def _causes(self) -> set[str]:
        """The alarms for which there is a reason at the terminal now."""
        settings, terminal = self.settings, self.terminal
        voltage_v, current_a = terminal.actual_voltage_v, terminal.actual_current_a
        power_w = voltage_v * current_a
        found = {
            "OVP": voltage_v > settings["voltage_trip"],
            "OCP": current_a > settings["current_trip"] or -current_a > settings["sink_current_trip"],
            "OPP": power_w > settings["power_trip"] or -power_w > settings["sink_power_trip"],
        }
        return {name for name, true in found.items() if true} | self._beyond("ALARM")

    def _beyond(self, action: str) -> set[str]:
        """The supervised thresholds with `action` that are passed; supervision sleeps while off."""
        if not self.on:
            return set()
        settings, terminal = self.settings, self.terminal
        voltage_v, current_a = terminal.actual_voltage_v, terminal.actual_current_a
        side, amount_a = ("sink_", -current_a) if current_a < 0 else ("", current_a)
        passed = {
            "ovd": voltage_v > settings["ovd"],
            "uvd": voltage_v < settings["uvd"],
            f"{side}ocd": amount_a > settings[f"{side}ocd"],
            f"{side}ucd": amount_a < settings[f"{side}ucd"],
            f"{side}opd": voltage_v * amount_a > settings[f"{side}opd"],
        }
        return {
            name.removeprefix("sink_").upper()
            for name, true in passed.items()
            if true and settings[f"{name}_action"] == action
        }

    def apply(self) -> None:
        """Bring the terminal and the status registers in line with settings and alarms."""
        settings, terminal = self.settings, self.terminal
        # The power stage lowers the current until voltage times current is the set power.
        at_power_a = settings["power_w"] / max(terminal.actual_voltage_v, 0.01 * self.nominal["V"])
        self._power_limited = at_power_a < settings["current_a"]
        terminal.voltage_v = self._output_v.set(settings["voltage_v"])
        terminal.current_a = self._output_a.set(min(settings["current_a"], at_power_a))
        terminal.enabled = self.on
        if hasattr(terminal, "sink_current_a"):
            drawn_a = settings["sink_power_w"] / max(terminal.actual_voltage_v, 0.01 * self.nominal["V"])
            if settings["mode"] == "UIR":
                drawn_a = min(drawn_a, max(terminal.actual_voltage_v, 0.0) / settings["sink_resistance_ohm"])
            terminal.sink_current_a = self._output_a.set(min(settings["sink_current_a"], drawn_a))
        self._report()

    def _report(self) -> None:
        shown = self.alarms | self._beyond("SIGN") | self._beyond("WARN")
        bits = sum(1 << _BIT[name] for name in shown)
        bits |= _ON * self.on | _REMOTE * bool(self.owner) | _LOCAL * self.local
        self._scpi.status.questionable[0].update(bits)
        mode = {"CV": _CV, "CC": _CC, "CP": _CP, "": 0}[self.regulation]
        sinking = _SINKING * (self.terminal.actual_current_a < 0)
        self._scpi.status.operation.update(mode | sinking | _TIMED_OUT * self._timed_out)

    # What the table names.

    def admit(self, command: Command) -> None:
        """Nothing can be set without remote control; status masks, and the lock itself, can."""
        if self.owner != "scpi" and not command.group and not command.header.startswith("SYSTem:LOCK"):
            raise ScpiError(-201, "Invalid while in local")

    def reset(self) -> None:
        """`*RST`: remote control, terminal off, alarms and status cleared; set values stay."""
        if not self.take("scpi"):
            raise ScpiError(-221)
        self.on = False
        self.acknowledge()
        self._scpi.status.clear()

    def lock(self, on: bool) -> None:
        if not (self.take("scpi") if on else self.leave("scpi")):
            raise ScpiError(-221)

    def locked(self) -> str:
        return "ON" if self.owner == "scpi" else "OFF"

    def lock_owner(self) -> str:
        return "LOCAL" if self.local else "REMOTE" if self.owner else "NONE"

    def output(self) -> str:
        return "ON" if self.on else "OFF"

    def nominal_voltage(self) -> str:
        return _with_unit(self.nominal["V"], "V")

    def nominal_current(self) -> str:
        return _with_unit(self.nominal["A"], "A")

    def nominal_power(self) -> str:
        return _with_unit(self.nominal["W"], "W")

    def nominal_resistance(self, share: str) -> str:
        return _with_unit(self.bound(share), "Ohm")

    def module(self) -> str:
        """No module is in the slot."""
        return "255"

    def network(self, name: str) -> str:
        return NETWORK[name]

    def measure_voltage(self) -> str:
        return self.measure_array().split(", ")[0]

    def measure_current(self) -> str:
        return self.measure_array().split(", ")[1]

    def measure_power(self) -> str:
        return self.measure_array().split(", ")[2]

    def measure_array(self) -> str:
        self._busy_s += self.options.aperture_s
        voltage_v, current_a = self.readings()
        values = ((voltage_v, "V"), (current_a, "A"), (voltage_v * current_a, "W"))
        return ", ".join(_with_unit(value, unit) for value, unit in values)

    def count_ovp(self) -> int:
        return self._counts["OVP"]

    def count_ocp(self) -> int:
        return self._counts["OCP"]

    def count_opp(self) -> int:
        return self._counts["OPP"]

    def count_ot(self) -> int:
        return self._counts["OT"]

    def count_pf(self) -> int:
        return self._counts["PF"]

    def operation(self) -> StatusGroup:
        return self._scpi.status.operation

    def questionable(self) -> StatusGroup:
        return self._scpi.status.questionable[0]

    def second_questionable(self) -> StatusGroup:
        return self._second

    def next_error(self) -> str:
        """The oldest error. Reading the queue also acknowledges alarms."""
        self.acknowledge()
        errors = self._scpi.status.errors
        return _worded(errors.popleft()) if errors else DIALECT.no_error

    def all_errors(self) -> str:
        count = min(_MOST_ERRORS_AT_ONCE, len(self._scpi.status.errors))
        return ", ".join(self.next_error() for _ in range(max(1, count)))


def _worded(error: ScpiError) -> str:
    code, text = _OWN_ERRORS.get(error.code, (error.code, error.text))
    return f'{code},"{text}"'
