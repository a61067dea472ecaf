"""Twin of the Keysight 34461A: a multimeter whose voltage input is wired to one point of the bench.

Only the voltage input is connected. The current input sees nothing and reads zero, a resistance or a diode
that is not there reads overload, an alternating part or a frequency is not in the plant and reads zero.
Commands and the form of answers as in public drivers (`EXCHANGES` of `voltmeter_34461a.py`). Not in any
document seen, hence project defaults: accuracy, latency, automatic trigger delay of 0 s, the automatic zero
doubling the time of a reading, and a memory of 10,000 readings that is also the most a query reads.

The value of a reading is that of the moment at which it is asked for; it is answered when it would be there.
Left out: limits, statistics and other mathematics, null, ratio, and the sensors of temperature.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.clock import Clock, Job
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.points import probe
from instruments.ranges import ranges_of
from instruments.scpi import Command, Dialect, Interpreter, expand, status_commands
from instruments.scpi_parameters import Boolean, Choice, Number, Style, Text
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.terminals import MeterTerminal

ACCURACY = {
    "voltage_v": Accuracy(
        "V",
        (
            Band(0.1, 5.0e-5, 3.5e-5),
            Band(1.0, 4.0e-5, 7.0e-6),
            Band(10.0, 3.5e-5, 5.0e-6),
            Band(100.0, 4.5e-5, 6.0e-6),
            Band(1000.0, 4.5e-5, 1.0e-5),
        ),
        "project default: the data sheet of the 34461A has not been seen",
        "unverified",
        of_reading_per_k=5e-6,
        of_range_per_k=1e-6,
    )
}

#: Integration times [power line cycles] and the resolution each gives, relative to the range
#: (PythonEquipmentDrivers, hp_34401a.py).
RESOLUTIONS = {0.02: 1e-4, 0.2: 1e-5, 1.0: 3e-6, 10.0: 1e-6, 100.0: 3e-7}
OVERLOAD = 9.9e37

_MEMORY = 10_000
_OVER_RANGE = 1.2
_HIGHEST_V = 1050.0
_MEASURING, _WAITING = 1 << 4, 1 << 5


@dataclass(frozen=True, slots=True)
class Function:
    """One measuring function: its name as answered, header, unit, ranges; whether it has an NPLC."""

    name: str
    header: str
    unit: str
    ranges: tuple[float, ...] = ()
    integrates: bool = False
    range_header: str = ""


_VOLTS, _VOLTS_AC = (0.1, 1.0, 10.0, 100.0, 1000.0), (0.1, 1.0, 10.0, 100.0, 750.0)
_AMPERES = (1e-4, 1e-3, 0.01, 0.1, 1.0, 3.0, 10.0)
_OHMS = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
FUNCTIONS = {
    function.name: function
    for function in (
        Function("VOLT", "VOLTage[:DC]", "VDC", _VOLTS, integrates=True),
        Function("VOLT:AC", "VOLTage:AC", "VAC", _VOLTS_AC),
        Function("CURR", "CURRent[:DC]", "ADC", _AMPERES, integrates=True),
        Function("CURR:AC", "CURRent:AC", "AAC", _AMPERES),
        Function("RES", "RESistance", "OHM", _OHMS, integrates=True),
        Function("FRES", "FRESistance", "OHM", _OHMS, integrates=True),
        Function("FREQ", "FREQuency", "HZ", _VOLTS_AC, range_header="FREQuency:VOLTage"),
        Function("PER", "PERiod", "S", _VOLTS_AC, range_header="PERiod:VOLTage"),
        Function("CAP", "CAPacitance", "F", (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)),
        Function("CONT", "CONTinuity", "OHM"),
        Function("DIOD", "DIODe", "VDC"),
        Function("TEMP", "TEMPerature", "C"),
    )
}
_SPELLED = {spelling: name for name, function in FUNCTIONS.items() for spelling in expand(function.header)}
_OPEN = ("RES", "FRES", "CAP", "CONT", "DIOD", "TEMP")


class Dmm34461AOptions(BaseModel):
    """The `[roles.<name>.options]` table of a 34461A.

    Parameters
    ----------
    point
        Where its input is wired, as in `instruments.points`; names the trace.
    nplc
        Integration time in power line cycles: 0.02, 0.2, 1, 10 or 100.
    line_hz
        Frequency of the mains.
    range_v
        Range at the input [V]; None: the instrument chooses.
    scale, unit
        What one volt at the input stands for, and in which unit: 0.001 V/A of a shunt are 1000 and "A".
        Empty: the unit of the point.
    scale_accuracy
        Of the shunt or divider, relative.
    serial
        Of the twin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    point: str = "pack_v"
    nplc: float = 1.0
    line_hz: Literal[50, 60] = 50
    range_v: Annotated[float, Field(gt=0, le=1000)] | None = None
    scale: float = 1.0
    unit: str = ""
    scale_accuracy: Annotated[float, Field(ge=0)] = 0.0
    serial: str = "MY00000000"
    latency_s: Annotated[float, Field(ge=0)] = 0.001

    @field_validator("nplc")
    @classmethod
    def _is_one_of_its_own(cls, nplc: float) -> float:
        if nplc not in RESOLUTIONS:
            raise ValueError(f"expected {', '.join(f'{known:g}' for known in RESOLUTIONS)}, found {nplc:g}")
        return nplc

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, scale: float) -> float:
        if scale == 0.0:
            raise ValueError("expected what one volt at the input stands for, found 0")
        return scale


@dataclass(frozen=True, slots=True)
class Once(Boolean):
    """ON, OFF or ONCE; ONCE does it now and is then OFF."""

    def read(self, text: str, twin: Any) -> bool:
        return text.upper() != "ONCE" and Boolean.read(self, text, twin)


@dataclass(frozen=True, slots=True)
class FunctionName(Text):
    """A quoted measuring function in any spelling, kept as it is answered."""

    def read(self, text: str, twin: Any) -> str:
        name = _SPELLED.get(Text.read(self, text, twin).upper())
        if name is None:
            raise ScpiError(-224)
        return name


@dataclass(frozen=True, slots=True)
class Count(Number):
    """How many; INFinity where `endless`, which is kept as infinite and answered as overload."""

    endless: bool = False

    def read(self, text: str, twin: Any) -> float:
        if self.endless and text.upper() in ("INF", "INFINITY"):
            return float("inf")
        return Number.read(self, text, twin)

    def write(self, value: float, style: Style) -> str:
        return style.number(value if value < OVERLOAD else OVERLOAD)


@dataclass(frozen=True, slots=True)
class Raw:
    """Any word; the method that gets it knows what it means."""

    def read(self, text: str, twin: Any) -> str:
        return text

    def write(self, value: str, style: Style) -> str:
        return value


def _settings_of(function: Function) -> list[Command]:
    """The rows of one function: range, autorange, resolution, integration, automatic zero."""
    name, sense = function.name, f"[SENSe:]{function.header}"
    rows = [
        Command(
            f"CONFigure:{function.header}",
            parameters=(Raw(), Raw()),
            required=0,
            run="configure",
            bound=(name,),
        ),
        Command(f"MEASure:{function.header}", query="measure", bound=(name,)),
    ]
    if function.ranges:
        ranged = f"[SENSe:]{function.range_header or function.header}:RANGe"
        ranges = ranges_of(function.unit, function.ranges, function.ranges[-1])
        rows += [
            Command(f"{ranged}[:UPPer]", f"{name} range", (ranges,), run="fix_range", bound=(name,)),
            Command(f"{ranged}:AUTO", f"{name} auto", (Once(True),)),
        ]
    if function.ranges and not function.range_header:
        resolution = Number("", 0.0, 1e9)
        rows += [
            Command(
                f"{sense}:RESolution",
                parameters=(resolution,),
                run="resolve",
                query="resolution",
                bound=(name,),
            )
        ]
    if function.integrates:
        cycles = ranges_of("", tuple(RESOLUTIONS), 10.0, lowest=min(RESOLUTIONS))
        rows += [
            Command(f"{sense}:NPLCycles", f"{name} nplc", (cycles,)),
            Command(f"{sense}:ZERO:AUTO", f"{name} zero", (Once(True),)),
        ]
    if name in ("FREQ", "PER"):
        rows += [Command(f"{sense}:APERture", f"{name} aperture", (Number("s", 0.001, 1.0, 0.1),))]
    if name in ("VOLT:AC", "CURR:AC"):
        rows += [Command(f"{sense}:BANDwidth", f"{name} band", (Number("Hz", 3.0, 200.0, 20.0),))]
    return rows


_SYSTEM = (
    Command("DISPlay[:WINDow<n>][:STATe]", "display", (Boolean(True),)),
    Command("DISPlay[:WINDow<n>]:TEXT[:DATA]", "text", (Text(),)),
    Command("DISPlay[:WINDow<n>]:TEXT:CLEar", run="clear_text"),
    Command("DISPlay:VIEW", "view", (Choice(("NUMeric", "HISTogram", "TCHart", "METer"), "NUM"),)),
    Command("ROUTe:TERMinals", query="terminals"),
    Command("SYSTem:ERRor[:NEXT]", query="next_error"),
    Command("SYSTem:VERSion", query="version"),
    Command("SYSTem:LFRequency", query="line_frequency"),
    Command("SYSTem:LABel", "label", (Text(),)),
    Command("SYSTem:BEEPer[:IMMediate]", run="beep"),
    Command("SYSTem:BEEPer:STATe", "beeper", (Boolean(True),)),
    Command("SYSTem:LOCal", run="set_remote", bound=(False,)),
    Command("SYSTem:REMote", run="set_remote", bound=(True,)),
    Command("SYSTem:RWLock", run="set_remote", bound=(True,)),
    Command("SYSTem:LICense:CATalog", query="licenses"),
    *status_commands("STATus:OPERation", "operation_group"),
    *status_commands("STATus:QUEStionable", "questionable_group"),
)

DIALECT = Dialect(
    commands=(
        Command("[SENSe:]FUNCtion[:ON]", "function", (FunctionName("VOLT"),), run="change_function"),
        *(row for function in FUNCTIONS.values() for row in _settings_of(function)),
        Command("CONFigure", query="configuration"),
        Command("[SENSe:]ZERO:AUTO", parameters=(Once(True),), run="zero", query="zeroed"),
        Command("[SENSe:]DETector:BANDwidth", "detector_hz", (Number("Hz", 3.0, 200.0, 20.0),)),
        Command("INPut:IMPedance:AUTO", "high_impedance", (Boolean(),)),
        Command("[SENSe:]VOLTage[:DC]:IMPedance:AUTO", "high_impedance", (Boolean(),)),
        Command("SAMPle:COUNt", "samples", (Number("", 1, 1_000_000, 1, integer=True),)),
        Command("SAMPle:TIMer", "sample_s", (Number("s", 0.0, 3600.0, 0.0),)),
        Command("SAMPle:SOURce", "sample_source", (Choice(("IMMediate", "TIMer"), "IMM"),)),
        Command("TRIGger:SOURce", "source", (Choice(("IMMediate", "BUS", "EXTernal", "INTernal"), "IMM"),)),
        Command("TRIGger:COUNt", "triggers", (Count("", 1, 1_000_000, 1, integer=True, endless=True),)),
        Command("TRIGger:DELay", "delay_s", (Number("s", 0.0, 3600.0, 0.0),), run="fix_delay"),
        Command("TRIGger:DELay:AUTO", "delay_auto", (Boolean(True),)),
        Command("TRIGger:SLOPe", "slope", (Choice(("POSitive", "NEGative"), "NEG"),)),
        Command("INITiate[:IMMediate]", run="initiate"),
        Command("ABORt", run="abort"),
        Command("READ", query="read"),
        Command("FETCh", query="fetch"),
        Command("R", query="take"),
        Command("DATA:POINts", query="points"),
        Command("DATA:LAST", query="last"),
        Command("DATA:REMove", query="remove"),
        *_SYSTEM,
    ),
    number=lambda value: f"{value:+.8E}",
    error_sign="+",
)


class Dmm34461ATwin:
    """Device side of a 34461A on one point of the bench.

    Parameters
    ----------
    terminal
        Has what `point` needs, see `instruments.points.probe`.
    clock
        Readings that nobody waits for are taken by it.
    options
        Point and scale.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: MeterTerminal, *, clock: Clock, options: Dmm34461AOptions, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        self._probe = probe("options.point", terminal, options.point)
        generator = np.random.default_rng(seed)
        self._voltmeter = {
            range_v: Deviation.within(ACCURACY["voltage_v"], generator, full_scale=range_v)
            for range_v in _VOLTS
        }
        self.identification = f"Keysight Technologies,34461A,{options.serial},A.02.14-02.40-02.14-00.49-02-01"
        self._readings: deque[tuple[float, str]] = deque(maxlen=_MEMORY)
        self._triggers_left = self._samples_left = 0.0
        self._job: Job | None = None
        self._busy_s = 0.0
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        self._update_status()
        return None if answer is None else Reply(answer, self._busy_s)

    def _update_status(self) -> None:
        waiting = self._triggers_left > 0 and not self._samples_left
        self._scpi.status.operation.update(
            (_MEASURING if self._samples_left else 0) | (_WAITING if waiting else 0)
        )

    # A reading and the time it takes.

    def _reading(self) -> float:
        settings, name = self._scpi.settings, self._scpi.settings["function"]
        if name != "VOLT":
            return OVERLOAD if name in _OPEN else 0.0
        volts = self._probe() / self.options.scale
        if settings["VOLT auto"]:
            settings["VOLT range"] = next((v for v in _VOLTS if abs(volts) <= self._most_v(v)), _VOLTS[-1])
        range_v = settings["VOLT range"]
        if abs(volts) > self._most_v(range_v):
            return float(np.copysign(OVERLOAD, volts))
        step_v = RESOLUTIONS[settings["VOLT nplc"]] * range_v
        return float(round(self._voltmeter[range_v].read(volts) / step_v) * step_v)

    def _most_v(self, range_v: float) -> float:
        return min(_OVER_RANGE * range_v, _HIGHEST_V)

    def _reading_s(self) -> float:
        """From one reading to the next [s]; the automatic zero integrates a second time."""
        settings, name = self._scpi.settings, self._scpi.settings["function"]
        if f"{name} nplc" in settings:
            integrations = 2 if settings[f"{name} zero"] else 1
            busy_s = integrations * settings[f"{name} nplc"] / self.options.line_hz
        else:
            busy_s = settings.get(f"{name} aperture", 0.1)
        timed_s = settings["sample_s"] if settings["sample_source"] == "TIM" else 0.0
        return float(max(busy_s, timed_s, 1e-5))

    def _store(self) -> str:
        text = DIALECT.number(self._reading())
        self._readings.append((self.clock.now_s, text))
        return text

    def _sample(self) -> None:
        """The clock's job: one reading of those that INITiate asked for."""
        self._store()
        self._samples_left -= 1
        if self._samples_left > 0:
            return
        self._stop_job()
        self._triggers_left -= 1
        if self._triggers_left > 0 and self._scpi.settings["source"] == "IMM":
            self._start_samples()
        self._update_status()

    def _stop_job(self) -> None:
        self._samples_left = 0
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _start_samples(self) -> None:
        settings = self._scpi.settings
        self._samples_left = settings["samples"]
        period_s = self._reading_s()
        self._job = self.clock.every(
            period_s, self._sample, name="34461A reading", first_s=settings["delay_s"] + period_s
        )

    # What the table names.

    def reset(self) -> None:
        """`*RST`: defaults; nothing is measured, the memory is empty."""
        self.abort()
        self._readings.clear()

    def change_function(self, _: str) -> None:
        self.abort()

    def fix_range(self, name: str, _: float) -> None:
        self._scpi.settings[f"{name} auto"] = False

    def resolve(self, name: str, resolution: float) -> None:
        """The fastest integration that resolves as finely as that."""
        settings = self._scpi.settings
        share = resolution / settings[f"{name} range"]
        if FUNCTIONS[name].integrates:
            fine = (nplc for nplc, step in RESOLUTIONS.items() if step <= share * (1.0 + 1e-9))
            settings[f"{name} nplc"] = next(fine, max(RESOLUTIONS))

    def resolution(self, name: str, which: str = "") -> str:
        settings = self._scpi.settings
        steps = {"MIN": min(RESOLUTIONS.values()), "MAX": max(RESOLUTIONS.values())}
        if which and which.upper()[:3] not in steps:
            raise ScpiError(-108)
        now = RESOLUTIONS[settings[f"{name} nplc"]] if FUNCTIONS[name].integrates else 1e-6
        return DIALECT.number(steps.get(which.upper()[:3], now) * settings[f"{name} range"])

    def configure(self, name: str, range_: str = "AUTO", resolution: str = "DEF") -> None:
        """`CONFigure`: the function with everything else at its default, and one immediate reading."""
        self.abort()
        settings, function = self._scpi.settings, FUNCTIONS[name]
        for command in DIALECT.commands:
            mine = command.setting.startswith(f"{name} ")
            if mine or command.setting in ("samples", "triggers", "source", "delay_s", "delay_auto"):
                parameter: Any = command.parameters[0]
                settings[command.setting] = parameter.default
        if function.ranges and range_.upper() not in ("AUTO", "DEF", "DEFAULT"):
            settings[f"{name} range"] = ranges_of(function.unit, function.ranges, 0.0).read(range_, self)
            settings[f"{name} auto"] = False
        if function.ranges and resolution.upper() not in ("DEF", "DEFAULT"):
            word = {"MIN": "0", "MAX": "1E9"}.get(resolution.upper()[:3], resolution)
            self.resolve(name, Number("", 0.0, 1e9).read(word, self))
        settings["function"] = name

    def configuration(self) -> str:
        name = self._scpi.settings["function"]
        if not FUNCTIONS[name].ranges or FUNCTIONS[name].range_header:
            return f'"{name}"'
        range_ = DIALECT.number(self._scpi.settings[f"{name} range"])
        return f'"{name} {range_},{self.resolution(name)}"'

    def measure(self, name: str, range_: str = "AUTO", resolution: str = "DEF") -> str:
        self.configure(name, range_, resolution)
        return self.read()

    def zero(self, on: bool) -> None:
        """Of the function that is chosen, as the 34401A has it."""
        self._scpi.settings[f"{self._integrating()} zero"] = on

    def zeroed(self) -> str:
        return DIALECT.off_on[self._scpi.settings[f"{self._integrating()} zero"]]

    def _integrating(self) -> str:
        name: str = self._scpi.settings["function"]
        if not FUNCTIONS[name].integrates:
            raise ScpiError(-221)
        return name

    def fix_delay(self, _: float) -> None:
        self._scpi.settings["delay_auto"] = False

    def initiate(self) -> None:
        """Leave idle: measure at once, or wait for the trigger; the memory is cleared."""
        if self._triggers_left > 0:
            raise ScpiError(-213)
        self._readings.clear()
        self._triggers_left = self._scpi.settings["triggers"]
        if self._scpi.settings["source"] == "IMM":
            self._start_samples()

    def trigger(self) -> None:
        """`*TRG`: the trigger from the bus."""
        waiting = self._triggers_left > 0 and not self._samples_left
        if not waiting or self._scpi.settings["source"] != "BUS":
            raise ScpiError(-211)
        self._start_samples()

    def abort(self) -> None:
        self._stop_job()
        self._triggers_left = 0

    def read(self) -> str:
        """`READ?`: all readings from now on; there is no answer without an immediate trigger."""
        settings = self._scpi.settings
        if self._triggers_left > 0:
            raise ScpiError(-213)
        if settings["source"] != "IMM":
            raise ScpiError(-214, "Trigger deadlock")
        count = settings["samples"] * settings["triggers"]
        if count > _MEMORY:
            raise ScpiError(-225, "Out of memory")
        self._readings.clear()
        self._busy_s += settings["triggers"] * settings["delay_s"] + count * self._reading_s()
        return ",".join(self._store() for _ in range(int(count)))

    def fetch(self) -> str:
        """`FETCh?`: all readings of the last INITiate, once they are there."""
        if self._samples_left:
            missing = self._samples_left + max(self._triggers_left - 1, 0) * self._scpi.settings["samples"]
            if missing > _MEMORY:
                raise ScpiError(-225, "Out of memory")
            self.abort()
            self._busy_s += missing * self._reading_s()
            for _ in range(int(missing)):
                self._store()
        if self._triggers_left > 0:
            raise ScpiError(-214, "Trigger deadlock")
        if not self._readings:
            raise ScpiError(-230)
        return ",".join(text for _, text in self._readings)

    def take(self, most: str = "MAX") -> str:
        """`R?`: the readings so far, at most that many, out of the memory, as a block."""
        count = int(Number("", 1, _MEMORY, _MEMORY, integer=True).read(most, self))
        texts = [self._readings.popleft()[1] for _ in range(min(count, len(self._readings)))]
        block = ",".join(texts)
        size = str(len(block))
        return f"#{len(size)}{size}{block}"

    def points(self) -> str:
        return f"{len(self._readings):+d}"

    def last(self) -> str:
        if not self._readings:
            return f"{DIALECT.number(9.91e37)}"
        return f"{self._readings[-1][1]} {FUNCTIONS[self._scpi.settings['function']].unit}"

    def remove(self, count: str) -> str:
        """`DATA:REMove?`: the oldest readings, out of the memory."""
        wanted = int(Number("", 1, _MEMORY, integer=True).read(count, self))
        if wanted > len(self._readings):
            raise ScpiError(-222)
        return ",".join(self._readings.popleft()[1] for _ in range(wanted))

    def clear_text(self, window: int) -> None:
        self._scpi.settings["text"] = ""

    def terminals(self) -> str:
        return "FRON"

    def version(self) -> str:
        return "1994.0"

    def line_frequency(self) -> str:
        return f"{self.options.line_hz:+d}"

    def licenses(self) -> str:
        return '""'

    def beep(self) -> None:
        """There is nobody to hear it."""

    def set_remote(self, remote: bool) -> None:
        """Keys are locked or not; there is nobody to press them."""

    def operation_group(self) -> StatusGroup:
        self._update_status()
        return self._scpi.status.operation

    def questionable_group(self) -> StatusGroup:
        return self._scpi.status.questionable[0]

    def next_error(self) -> str:
        return self._scpi.next_error()
