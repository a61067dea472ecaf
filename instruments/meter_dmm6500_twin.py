"""Twin of the Keithley DMM6500 behind a current transducer: its digitizer, and it as a plain multimeter.

It knows the trigger model as far as a triggered capture needs it: clear a buffer, wait for the analog
trigger, digitize. Commands as in `EXCHANGES` of `meter_dmm6500.py` and in `meter_dmm6500_functions.py`. Not
in any document seen for this model, hence project defaults: the digitizer's accuracy and resolution, most of
the voltmeter's (`ACCURACY`), latency, errors, and a first reading at the trigger instant.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band, Deviation
from instruments.meter_dmm6500_functions import COMMANDS, OPEN, VOLTS
from instruments.reading_buffer import ReadingBuffer
from instruments.scpi import Command, Dialect, Interpreter, status_commands
from instruments.scpi_parameters import Choice, Number, Text
from instruments.scpi_status import ScpiError, StatusGroup
from instruments.terminals import MeterTerminal

ACCURACY = {
    "digitized_v": Accuracy(
        "V",
        tuple(Band(range_v, 5e-4, 1e-4) for range_v in VOLTS),
        "project default: the digitizer's data sheet has not been seen",
        "unverified",
    ),
    "voltage_v": Accuracy(
        "V",
        (
            Band(0.1, 3.0e-5, 3.5e-5),
            Band(1.0, 2.5e-5, 6e-6),
            Band(10.0, 2.5e-5, 5e-6),
            Band(100.0, 4.0e-5, 6e-6),
            Band(1000.0, 4.0e-5, 6e-6),
        ),
        "10 V: Calibration and Adjustment Manual, DMM6500-905-01 Rev. A, p. 2-4; else project default",
        "unverified",
    ),
}

_OVERFLOW = 9.9e37
_BUFFERS = ("defbuffer1", "defbuffer2")
#: A wait block shows as RUNNING for so long (2450 reference manual, p. 6-166).
_RUNNING_S = 0.1
_CLOCK_ERROR_NS = 5_000_000_000
#: About 10 Mbit/s of text.
_SECONDS_PER_BYTE = 1e-6


class Dmm6500Options(BaseModel):
    """The `[roles.<name>.options]` table of a DMM6500 that sees the pack current through a transducer.

    `transducer_accuracy` is that of the transducer alone, relative; `serial` and `line_hz` are the twin's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensitivity_v_per_a: float = 0.001
    range_v: Annotated[float, Field(gt=0, le=1000)] = 10.0
    rate_hz: Annotated[float, Field(ge=1000, le=1e6)] = 100_000.0
    latency_s: Annotated[float, Field(ge=0)] = 0.001
    transducer_accuracy: Annotated[float, Field(ge=0)] = 1e-3
    serial: str = "00000000"
    line_hz: Literal[50, 60] = 60


_VOLTS = Number("V", -1000.0, 1000.0)
_INDEX = Number("", 1, 7_000_000, integer=True)
_EVENTS = Choice(("ATRigger", "COMMand", "DISPlay", "EXTernal"))
_ELEMENTS = ("READing", "SEConds", "FRACtional", "RELative")

DIALECT = Dialect(
    commands=(
        Command("[SENSe:]DIGitize:FUNCtion[:ON]", "function", (Text("VOLT"),), run="check_function"),
        Command(
            "[SENSe:]DIGitize:VOLTage:RANGe[:UPPer]",
            "range_v",
            (Number("V", 0.0, 1000.0, 10.0),),
            run="check_idle",
        ),
        Command("[SENSe:]DIGitize:VOLTage:SRATe", "rate_hz", (Number("Hz", 1000.0, 1e6, 1e6),)),
        Command("[SENSe:]DIGitize:VOLTage:APERture", "aperture", (Choice(("AUTO",), "AUTO"),)),
        Command("[SENSe:]DIGitize:COUNt", "count", (Number("", 1, 7_000_000, 1, integer=True),)),
        Command(
            "[SENSe:]DIGitize:VOLTage:ATRigger:MODE",
            "trigger_mode",
            (Choice(("OFF", "EDGE", "WINDow"), "OFF"),),
        ),
        Command("[SENSe:]DIGitize:VOLTage:ATRigger:WINDow:LEVel:HIGH", "high_v", (_VOLTS,), run="check_high"),
        Command("[SENSe:]DIGitize:VOLTage:ATRigger:WINDow:LEVel:LOW", "low_v", (_VOLTS,), run="check_low"),
        Command(
            "[SENSe:]DIGitize:VOLTage:ATRigger:WINDow:DIRection",
            "direction",
            (Choice(("ENTer", "LEAVe"), "ENT"),),
        ),
        Command("READ:DIGitize", query="read_one"),
        Command(
            "TRACe:POINts",
            parameters=(Number("", 10, 7_000_000, integer=True), Text()),
            required=1,
            run="resize",
            query="points",
        ),
        Command("TRACe:CLEar", parameters=(Text(),), required=0, run="clear"),
        Command("TRACe:ACTual", query="actual"),
        Command("TRACe:ACTual:STARt", query="first_index"),
        Command("TRACe:ACTual:END", query="actual"),
        Command("TRACe:DATA", query="data"),
        Command("TRIGger:LOAD", parameters=(Text(),), run="load"),
        Command("TRIGger:BLOCk:BUFFer:CLEar", parameters=(_INDEX, Text()), required=1, run="block_clear"),
        Command("TRIGger:BLOCk:WAIT", parameters=(_INDEX, _EVENTS), run="block_wait"),
        Command("TRIGger:BLOCk:MDIGitize", parameters=(_INDEX, Text(), _INDEX), run="block_digitize"),
        Command("TRIGger:STATe", query="state"),
        Command("INITiate[:IMMediate]", run="initiate"),
        Command("ABORt", run="abort"),
        Command("SYSTem:ERRor[:NEXT]", query="next_error"),
        *COMMANDS,
        *status_commands("STATus:OPERation", "operation_group"),
        *status_commands("STATus:QUEStionable", "questionable_group"),
    ),
    # Settings, which pymeasure's test with a device compares as 8.33e-6, 0.0166667 and 273e-3.
    number=lambda value: f"{value:.6g}",
    no_error='0,"No error"',
)


class Dmm6500Twin:
    """Device side of a DMM6500 with a transducer on the pack current.

    Parameters
    ----------
    terminal
        What it senses.
    clock
        Its time stamps are this clock's calendar time, plus the error of a real-time clock nobody has set.
    options
        Transducer and range.
    seed
        Of its errors and noise.
    """

    def __init__(
        self, terminal: MeterTerminal, *, clock: Clock, options: Dmm6500Options, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        self.identification = f"KEITHLEY INSTRUMENTS,MODEL DMM6500,{options.serial},1.7.12b"
        self._generator = np.random.default_rng(seed)
        # The transducer's error and the digitizer's gain stay; its noise is the digitizer's offset.
        gain = ACCURACY["digitized_v"].bands[0].of_reading
        self._transducer = 1.0 + 0.5 * options.transducer_accuracy * self._generator.uniform(-1.0, 1.0)
        self._factor = self._transducer * (1.0 + 0.5 * gain * self._generator.uniform(-1.0, 1.0))
        self._voltmeter = {
            range_v: Deviation.within(ACCURACY["voltage_v"], self._generator, full_scale=range_v)
            for range_v in VOLTS
        }
        # Integration times are at most 15 cycles at 60 Hz, 12 at 50 Hz (pymeasure, keithleyDMM6500.py).
        # pymeasure 0.16.0, keithleyDMM6500.py and its test with a device, which was at 60 Hz.
        self.most_cycles = 15.0 if options.line_hz == 60 else 12.0
        self.cycle_s = 1.0 / options.line_hz
        self.least_aperture_s = 8.33e-6 if options.line_hz == 60 else 1e-5
        self.most_aperture_s = self.most_cycles * self.cycle_s
        self._timers: dict[tuple[str, int], str] = {}
        self._busy_s = 0.0
        self._set_ns = round(clock.epoch.timestamp() * 1e9) + int(
            self._generator.integers(-_CLOCK_ERROR_NS, _CLOCK_ERROR_NS)
        )
        self._blocks: dict[int, tuple[str, str, int]] = {}
        self._buffers = {name: ReadingBuffer() for name in _BUFFERS}
        self._state, self._block = "EMPTY", 0
        self._started_s = clock.now_s
        self._pending: tuple[str, int] | None = None
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        self._collect()
        self._busy_s = self.options.latency_s
        answer = self._scpi.execute(message)
        if answer is None:
            return None
        return Reply(answer, self._busy_s + len(answer) * _SECONDS_PER_BYTE)

    def _collect(self) -> None:
        """Take over a capture that is complete."""
        if self._pending is None or not self.terminal.capture_ready:
            return
        name, count = self._pending
        start_s, current_a = self.terminal.capture()
        rate_hz = self._scpi.settings["rate_hz"]
        self._buffers[name].fill(
            self._set_ns + round(start_s * 1e9), 1e9 / rate_hz, self._digitize(current_a[:count])
        )
        self._pending = None
        self._state = "IDLE"

    def _digitize(self, current_a: NDArray[np.float64]) -> NDArray[np.float64]:
        range_v = next(limit for limit in VOLTS if limit >= self._scpi.settings["range_v"])
        sigma_v = ACCURACY["digitized_v"].limit(0.0, full_scale=range_v) / 6.0
        noise_v = sigma_v * self._generator.standard_normal(len(current_a))
        volts = current_a * self.options.sensitivity_v_per_a * self._factor + noise_v
        step_v = 2.4 * range_v / 65536  # 16 bits over 120 % of the range, both signs
        rounded: NDArray[np.float64] = np.round(volts / step_v) * step_v
        return np.where(np.abs(volts) <= 1.2 * range_v, rounded, np.sign(volts) * _OVERFLOW)

    # What the table names.

    def reset(self) -> None:
        """`*RST`: defaults, no trigger model, empty buffers."""
        self.abort()
        self._blocks.clear()
        self._state, self._block = "EMPTY", 0
        for buffer in self._buffers.values():
            buffer.clear()

    def check_function(self, function: str) -> None:
        self.check_idle()
        if function.upper() not in ("VOLT", "VOLTAGE"):
            raise ScpiError(-224)

    def check_idle(self, _: float = 0.0) -> None:
        if self._pending is not None:
            raise ScpiError(-221)

    def check_high(self, high_v: float) -> None:
        if high_v <= self._scpi.settings["low_v"]:
            raise ScpiError(-221)

    def check_low(self, low_v: float) -> None:
        if low_v >= self._scpi.settings["high_v"]:
            raise ScpiError(-221)

    def read_one(self, name: str, *elements: str) -> str:
        self.check_idle()
        buffer = self._buffer(Text().read(name, self))
        now_ns = self._set_ns + self.clock.now_ns
        buffer.fill(now_ns, 0.0, self._digitize(np.array([self.terminal.current_a])))
        return self._rows(buffer, 0, 1, elements)

    def resize(self, points: float, name: str = "defbuffer1") -> None:
        buffer = self._buffer(name)
        buffer.clear()
        buffer.points = int(points)

    def points(self, name: str = '"defbuffer1"') -> str:
        return str(self._buffer(Text().read(name, self)).points)

    def clear(self, name: str = "defbuffer1") -> None:
        self._buffer(name).clear()

    def first_index(self, name: str = '"defbuffer1"') -> str:
        return str(min(1, len(self._buffer(Text().read(name, self)))))

    def actual(self, name: str = '"defbuffer1"') -> str:
        return str(len(self._buffer(Text().read(name, self))))

    def data(self, first: str = "", last: str = "", name: str = '"defbuffer1"', *elements: str) -> str:
        if not first or not last:
            raise ScpiError(-109)
        buffer = self._buffer(Text().read(name, self))
        start, end = int(_INDEX.read(first, self)), int(_INDEX.read(last, self))
        if end < start or end > len(buffer):
            raise ScpiError(-222)
        return self._rows(buffer, start - 1, end, elements)

    def _rows(self, buffer: ReadingBuffer, start: int, end: int, elements: tuple[str, ...]) -> str:
        names = [Choice(_ELEMENTS).read(element, self) for element in elements] or ["READ"]
        return buffer.rows(start, end, names)

    def _buffer(self, name: str) -> ReadingBuffer:
        if name not in self._buffers:
            raise ScpiError(-224)
        return self._buffers[name]

    def load(self, template: str) -> None:
        self.check_idle()
        if template.upper() != "EMPTY":
            raise ScpiError(-224)
        self._blocks.clear()
        self._state, self._block = "EMPTY", 0

    def block_clear(self, number: float, name: str = "defbuffer1") -> None:
        self._add(number, "CLE", name, 0)

    def block_wait(self, number: float, event: str) -> None:
        self._add(number, "WAIT", event, 0)

    def block_digitize(self, number: float, name: str, count: float) -> None:
        self._add(number, "MDIG", name, int(count))

    def _add(self, number: float, kind: str, name: str, count: int) -> None:
        self.check_idle()
        if kind != "WAIT":
            self._buffer(name)
        self._blocks[int(number)] = (kind, name, count)
        self._state, self._block = "BUILDING", 0

    def initiate(self) -> None:
        """Start the trigger model. Blocks run in order; what follows a digitize block is not supported."""
        if self._pending is not None:
            raise ScpiError(-213)
        level_a = 0.0
        for number in sorted(self._blocks):
            kind, name, count = self._blocks[number]
            if kind == "CLE":
                self._buffers[name].clear()
            elif kind == "WAIT":
                level_a, self._block = self._level_a(name), number
            else:
                rate_hz = self._scpi.settings["rate_hz"]
                try:
                    self.terminal.arm_capture(level_a, count / rate_hz, rate_hz)
                except ValueError as error:  # more than the terminal can record
                    raise ScpiError(-222) from error
                self._pending, self._state = (name, count), "RUNNING"
                self._started_s = self.clock.now_s
                return
        raise ScpiError(-200)

    def _level_a(self, event: str) -> float:
        settings = self._scpi.settings
        symmetric = settings["high_v"] == -settings["low_v"]
        if event != "ATR" or settings["trigger_mode"] != "WIND" or settings["direction"] != "LEAV":
            raise ScpiError(-221)
        if not symmetric:
            raise ScpiError(-221)
        return float(settings["high_v"] / abs(self.options.sensitivity_v_per_a))

    def abort(self) -> None:
        if self._pending is not None:
            self._pending, self._state = None, "ABORTED"

    def state(self) -> str:
        state = self._state
        if state == "RUNNING" and self.clock.now_s - self._started_s > _RUNNING_S:
            state = "WAITING"
        return f"{state};{state};{self._block}"

    def next_error(self) -> str:
        return self._scpi.next_error()

    # The multimeter.

    def _reading(self) -> float:
        settings, name = self._scpi.settings, self._scpi.settings["measured"]
        if name != "VOLT:DC":
            return _OVERFLOW if name in OPEN else 0.0
        volts = self.terminal.current_a * self.options.sensitivity_v_per_a * self._transducer
        if settings["VOLT:DC auto"]:
            fits = (range_v for range_v in VOLTS if abs(volts) <= 1.2 * range_v)
            settings["VOLT:DC range"] = next(fits, VOLTS[-1])
        range_v = settings["VOLT:DC range"]
        if abs(volts) > 1.2 * range_v:
            return math.copysign(_OVERFLOW, volts)
        reading_v = self._voltmeter[range_v].read(volts)
        return reading_v - (settings["VOLT:DC offset"] if settings["VOLT:DC offset on"] else 0.0)

    def _reading_s(self) -> float:
        """Of one reading [s]; the automatic zero measures twice more (zero and reference)."""
        settings, name = self._scpi.settings, self._scpi.settings["measured"]
        cycles = settings.get(f"{name} nplc", 1.0) * (3 if settings.get(f"{name} zero") else 1)
        averaged = settings[f"{name} averaged"] if settings[f"{name} average"] else 1
        return float(cycles * averaged / self.options.line_hz)

    def change_function(self, _: str) -> None:
        self.check_idle()

    def fix_range(self, name: str, _: float) -> None:
        self._scpi.settings[f"{name} auto"] = False

    def set_aperture(self, name: str, aperture_s: float) -> None:
        """Integration time [s]: the same thing as power line cycles."""
        self._scpi.settings[f"{name} nplc"] = aperture_s * self.options.line_hz

    def aperture(self, name: str) -> str:
        return DIALECT.number(self._scpi.settings[f"{name} nplc"] / self.options.line_hz)

    def acquire_offset(self, name: str) -> None:
        """Take the present value for zero."""
        settings = self._scpi.settings
        if name != settings["measured"]:
            raise ScpiError(-221)
        settings[f"{name} offset on"] = False
        settings[f"{name} offset"] = self._reading()
        settings[f"{name} offset on"] = True

    def zero_once(self) -> None:
        """Zero and reference are measured; the twin's do not drift. From now on they are no more."""
        self._scpi.settings[f"{self._scpi.settings['measured']} zero"] = False

    def read(self, name: str = '"defbuffer1"', *elements: str) -> str:
        """Measure as often as the count says into a buffer; the answer is the last reading."""
        self.check_idle()
        buffer = self._buffer(Text().read(name, self))
        count, period_s = int(self._scpi.settings["count_measured"]), self._reading_s()
        if count > buffer.points:
            raise ScpiError(-222)
        self._busy_s += count * period_s
        readings = np.array([self._reading() for _ in range(count)])
        buffer.fill(self._set_ns + self.clock.now_ns, 1e9 * period_s, readings)
        return self._rows(buffer, count - 1, count, elements)

    def fetch(self, name: str = '"defbuffer1"', *elements: str) -> str:
        buffer = self._buffer(Text().read(name, self))
        if not len(buffer):
            raise ScpiError(-230)
        return self._rows(buffer, len(buffer) - 1, len(buffer), elements)

    def measure(self, function: str, name: str = '"defbuffer1"', *elements: str) -> str:
        self.check_idle()
        self._scpi.settings["measured"] = function
        return self.read(name, *elements)

    def set_timer(self, which: str, number: int, value: float | str) -> None:
        if not 1 <= number <= 4:
            raise ScpiError(-114)
        text = DIALECT.number(value) if isinstance(value, float) else value
        self._timers[which, number] = text

    def timer(self, which: str, number: int) -> str:
        if not 1 <= number <= 4:
            raise ScpiError(-114)
        return self._timers.get((which, number), "NONE" if which == "stimulus" else DIALECT.number(0.0))

    def show(self, *_: object) -> None:
        """Nobody looks at the panel, nobody hears it."""

    def terminals(self) -> str:
        return "FRON"

    def line_frequency(self) -> str:
        return str(self.options.line_hz)

    def version(self) -> str:
        return "1999.0"

    def time(self, form: str = "") -> str:
        """Seconds since 1970, or with 1 as text."""
        now = datetime.fromtimestamp(0, UTC) + timedelta(
            microseconds=(self._set_ns + self.clock.now_ns) // 1000
        )
        return now.strftime("%a %b %d %H:%M:%S %Y") if form == "1" else str(int(now.timestamp()))

    def set_time(self, *parts: float) -> None:
        """Year, month, day, hour, minute, second; or the last three of today."""
        today = datetime.fromtimestamp((self._set_ns + self.clock.now_ns) // 1_000_000_000, UTC)
        numbers = [int(part) for part in parts]
        if len(numbers) == 3:
            numbers = [today.year, today.month, today.day, *numbers]
        try:
            year, month, day, hour, minute, second = numbers
            instant = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError as error:
            raise ScpiError(-224) from error
        self._set_ns = int(instant.timestamp()) * 1_000_000_000 - self.clock.now_ns

    def card(self, slot: int) -> str:
        return "Empty Slot"

    def card_number(self, slot: int) -> str:
        return "0"

    def operation_group(self) -> StatusGroup:
        return self._scpi.status.operation

    def questionable_group(self) -> StatusGroup:
        return self._scpi.status.questionable[0]
