"""Twin of an HP/Agilent/Keysight 34970A, 34972A or DAQ970A with its plug-in cards, in SCPI.

A scan runs in bench time: relays close one after the other, each channel is measured when its turn has come,
and readings wait in memory. `READ?`, `MEASure?` and `FETCh?` of a running scan are answered when it would be
over, and what is then still to come is measured when they are asked: a twin's answer is made at once.

Commands and answers as in `EXCHANGES` of `scanner_34970a.py`. Not seen in any document, hence unverified:
texts and numbers of the errors, that CONFigure redefines the scan list, the bit of a running scan. Left out:
alarms beyond their mark on a reading, totalizer, other transducers than thermocouples, states, `SYST:ALAR?`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.relay_contacts import Contacts
from instruments.scanner_34970a_channels import CARDS, OVERLOAD, Daq970aOptions, Inputs, Setting
from instruments.scanner_34970a_commands import DIALECT, FIELDS, INTEGRATIONS, block, function_named, nplc_for
from instruments.scanner_34970a_scan import MEMORY, Reading, Scan
from instruments.scpi import Interpreter
from instruments.scpi_parameters import ChannelList, Choice, Number
from instruments.scpi_status import ScpiError, StatusGroup

#: Beside the integration: 0.02 periods take 2 ms, 1 period with its zero 43 ms, 10 periods 398 ms; times
#: that a public 34972A driver lists (Device_34972A, resolution_2_readnumbers), at 50 Hz.
_READING_S = 0.002


class Daq970aTwin:
    """Device side of the mainframe and its cards.

    Parameters
    ----------
    terminal
        Has what the wired points need, see `instruments.points.probe`; for relays also `faults`.
    clock
        Scans run on it, and contacts take their time.
    options
        As the driver's.
    seed
        Of its errors.
    """

    def __init__(self, terminal: Any, *, clock: Clock, options: Daq970aOptions, seed: int = 0) -> None:
        self.clock, self.options = clock, options
        self.identification = {
            "34970A": "HEWLETT-PACKARD,34970A,0,13-2-2",
            "DAQ970A": "Keysight Technologies,DAQ970A,MY00000000,A.01.00",
        }[options.model]
        self._cards = {slot: CARDS[name] for slot, name in options.plugged().items()}
        self.inputs = self._numbers("multiplexer")
        self.switches = self._numbers("multiplexer") + self._numbers("relays")
        self._front = Inputs(terminal, options, seed)
        self._contacts: Contacts | None = None
        if options.relays:
            faults = getattr(terminal, "faults", terminal)
            self._contacts = Contacts(faults, clock=clock, options=options, seed=seed)
        self._scan = Scan(clock, measure=self._measured, takes_s=self._channel_s)
        self._restore()
        self._scpi = self.ieee488 = Interpreter(DIALECT, self)

    def _numbers(self, kind: str) -> list[int]:
        return [
            100 * slot + number
            for slot, card in sorted(self._cards.items())
            for number in getattr(card, kind)
        ]

    def _restore(self) -> None:
        self._settings = {number: Setting() for number in self.inputs}
        self._temperature_unit = dict.fromkeys(self.inputs, "C")
        self._dac = dict.fromkeys(self._numbers("analog_out"), 0.0)
        self._ports = dict.fromkeys(self._numbers("digital"), 0)
        self._closed: set[int] = set()
        self._monitored = 0

    def handle(self, message: bytes) -> Reply | None:
        """Run one program message."""
        self._delay_s = self.options.latency_s
        answer = self._scpi.execute(message)
        if answer is None:
            return None
        if self.options.interface == "rs232":
            answer = answer.replace(b"\n", b"\r\n")
        return Reply(answer, self._delay_s)

    # Channel lists and settings.

    def _on(self, texts: Sequence[str]) -> tuple[list[str], tuple[int, ...]]:
        """Parameters before a channel list, and the channels; without a list, those of the scan list."""
        values = [text for text in texts if text]
        if values and values[-1].startswith("("):
            return values[:-1], self._listed(values[-1], self.inputs)
        return values, self._scan.channels

    def _listed(self, text: str, among: Sequence[int]) -> tuple[int, ...]:
        return ChannelList(among).read(text, self)

    def set_field(self, name: str, *texts: str) -> None:
        self.check_idle()
        values, channels = self._on(texts)
        if len(values) != 1:
            raise ScpiError(-109)
        value = FIELDS[name].read(values[0], self)
        if name == "auto":
            name, value = "range", 0.0
        elif name == "nplc":
            value = next(step for step in INTEGRATIONS if step >= value * (1.0 - 1e-9))
        elif name == "function":
            value = function_named(value)
        self._scan.memory.clear()
        for channel in channels:
            setattr(self._settings[channel], name, value)

    def ask_field(self, name: str, *texts: str) -> str:
        values, channels = self._on(texts)
        if values:
            raise ScpiError(-108)
        if not channels:
            raise ScpiError(-221)
        answers = []
        for channel in channels:
            setting = self._settings[channel]
            value = setting.range == 0.0 if name == "auto" else getattr(setting, name)
            if name == "range" and value == 0.0:
                value = 300.0 if setting.function.startswith("VOLT") else 1.0
            answers.append(FIELDS[name].write(value, DIALECT))
        return ",".join(answers)

    def configure(self, function: str, *texts: str) -> None:
        """Set channels to measure something, with defaults, and make them the scan list."""
        self.check_idle()
        values, channels = self._on(texts)
        setting = self._configured(function, values)
        for channel in channels:
            delay_s = self._settings[channel].delay_s
            self._settings[channel] = replace(setting, delay_s=delay_s)
        self._scan.channels = tuple(sorted(set(channels)))
        self._scan.memory.clear()

    def _configured(self, function: str, values: list[str]) -> Setting:
        if function == "TEMP":
            if len(values) > 4:  # transducer, type, 1, resolution
                raise ScpiError(-108)
            transducer = FIELDS["transducer"].read(values[0], self) if values else "TC"
            if transducer != "TC":
                return Setting("TEMP", transducer=transducer)
            kind = values[1] if len(values) > 1 and values[1].upper() not in ("DEF", "1") else "J"
            return Setting("TEMP", thermocouple=FIELDS["thermocouple"].read(kind, self), label="C")
        if len(values) > 2:
            raise ScpiError(-108)
        chosen = values[0].upper() if values else "AUTO"
        limit = {"VOLT": 300.0, "VOLT:AC": 300.0, "CURR": 1.0, "CURR:AC": 1.0}.get(function, 1e9)
        full_scale = 0.0 if chosen in ("AUTO", "DEF") else Number("", 0.0, limit).read(values[0], self)
        resolution = values[1] if len(values) > 1 else "DEF"
        return Setting(function, range=full_scale, nplc=nplc_for(resolution, full_scale or 10.0, self))

    def configuration(self, *texts: str) -> str:
        _, channels = self._on(texts)
        shown = [
            f'"{s.function} {DIALECT.number(s.range)},{DIALECT.number(s.resolution)}"'
            for s in (self._settings[channel] for channel in channels)
        ]
        return ",".join(shown)

    def set_unit(self, *texts: str) -> None:
        values, channels = self._on(texts)
        if len(values) != 1:
            raise ScpiError(-109)
        unit = Choice(("C", "F", "K")).read(values[0], self)
        self._temperature_unit.update(dict.fromkeys(channels, unit))

    def units(self, *texts: str) -> str:
        return ",".join(self._temperature_unit[channel] for channel in self._on(texts)[1])

    def junctions(self, *texts: str) -> str:
        return ",".join(DIALECT.number(self._front.junction(channel)) for channel in self._on(texts)[1])

    # The scan.

    def check_idle(self, *_: object) -> None:
        """Settings that a running scan uses cannot change."""
        if self._scan.running:
            raise ScpiError(-221)

    def set_scan(self, text: str) -> None:
        self.check_idle()
        empty = text.replace(" ", "") == "(@)"
        self._scan.channels = () if empty else tuple(sorted(set(self._listed(text, self.inputs))))
        self._scan.memory.clear()

    def scan_list(self) -> str:
        return block(f"(@{','.join(map(str, self._scan.channels))})")

    def scan_size(self) -> str:
        return f"+{len(self._scan.channels)}"

    def set_count(self, text: str) -> None:
        self.check_idle()
        infinite = text.upper() in ("INF", "INFINITY")
        self._scan.count = math.inf if infinite else Number("", 1, 50_000, integer=True).read(text, self)

    def count(self) -> str:
        return DIALECT.number(OVERLOAD if math.isinf(self._scan.count) else self._scan.count)

    def initiate(self) -> None:
        settings = self._scpi.settings
        self._scan.start(settings["source"], settings["timer_s"])

    def trigger(self) -> None:
        """`*TRG`."""
        self._scan.trigger()

    def abort(self) -> None:
        self._scan.abort()

    def _measured(self, channel: int, t_s: float) -> Reading:
        setting = self._settings[channel]
        value, unit = self._front.measure(channel, setting)
        if setting.function == "TEMP" and abs(value) < OVERLOAD:
            unit = self._temperature_unit[channel]
            value = {"C": value, "F": value * 1.8 + 32.0, "K": value + 273.15}[unit]
        if setting.scaled and abs(value) < OVERLOAD:
            value, unit = value * setting.gain + setting.offset, setting.label
        alarm = 1 if setting.low_on and value < setting.low else 0
        alarm = 2 if setting.high_on and value > setting.high else alarm
        return Reading(channel, value, unit, t_s, alarm)

    def _channel_s(self, channel: int) -> float:
        """From one channel to the next [s]: relay, delay, integration, and its zero from one period on."""
        setting, options = self._settings[channel], self.options
        zero = 2.0 if setting.zero and setting.nplc >= 1.0 else 1.0
        return options.channel_s + setting.delay_s + zero * setting.nplc / options.line_hz + _READING_S

    # Readings.

    def read(self, *texts: str) -> str:
        if texts:
            self.set_scan(texts[-1])
        self.initiate()
        return self.fetch()

    def measure(self, function: str, *texts: str) -> str:
        self.configure(function, *texts)
        self._scpi.settings["source"], self._scan.count = "IMM", 1.0
        return self.read()

    def fetch(self) -> str:
        if self._scan.running:
            self._delay_s += self._scan.finish()
        if not self._scan.memory:
            raise ScpiError(-230)
        return self._shown(list(self._scan.memory))

    def points(self) -> str:
        return f"+{len(self._scan.memory)}"

    def remove(self, text: str) -> str:
        count = int(Number("", 1, MEMORY, integer=True).read(text, self))
        if count > len(self._scan.memory):
            raise ScpiError(-222)
        return self._shown([self._scan.memory.popleft() for _ in range(count)])

    def take_block(self, text: str = "50000") -> str:
        count = int(Number("", 1, MEMORY, integer=True).read(text, self))
        return block(
            self._shown([self._scan.memory.popleft() for _ in range(min(count, len(self._scan.memory)))])
        )

    def last(self, *texts: str) -> str:
        values, channels = self._on(texts)
        count = int(Number("", 1, MEMORY, integer=True).read(values[0], self)) if values else 1
        found: list[Reading] = []
        for channel in channels:
            found += [reading for reading in self._scan.memory if reading.channel == channel][-count:]
        if not found:
            raise ScpiError(-230)
        return self._shown(found)

    def _shown(self, readings: Sequence[Reading]) -> str:
        settings = self._scpi.settings
        fields = []
        for reading in readings:
            unit = f" {reading.unit}" if settings["show_unit"] else ""
            fields.append(DIALECT.number(reading.value) + unit)
            if settings["show_time"]:
                fields.append(self._stamp(reading.t_s, settings["time_type"]))
            if settings["show_channel"]:
                fields.append(str(reading.channel))
            if settings["show_alarm"]:
                fields.append(str(reading.alarm))
        return ",".join(fields)

    def _stamp(self, t_s: float, kind: str) -> str:
        if kind == "REL":
            return f"{t_s - self._scan.started_s:012.3f}"
        moment = self.clock.utc.timestamp() + t_s - self.clock.now_s
        whole = type(self.clock.utc).fromtimestamp(moment, tz=self.clock.utc.tzinfo)
        return f"{whole:%Y,%m,%d,%H,%M,%S}.{whole.microsecond // 1000:03d}"

    def monitor(self, channels: tuple[int, ...]) -> None:
        if len(channels) != 1:
            raise ScpiError(-222)
        self._monitored = channels[0]

    def monitored(self) -> str:
        return block(f"(@{self._monitored or ''})")

    def monitor_data(self) -> str:
        if not self._monitored:
            raise ScpiError(-221)
        reading = self._measured(self._monitored, self.clock.now_s)
        self._delay_s += self._channel_s(self._monitored)
        return self._shown([reading])

    # Switches, outputs.

    def close(self, channels: tuple[int, ...]) -> None:
        if set(channels) & set(self._scan.channels):
            raise ScpiError(-221)
        for channel in channels:
            self._switch(channel, True)

    def close_alone(self, channels: tuple[int, ...]) -> None:
        slots = {channel // 100 for channel in channels}
        self.open(tuple(channel for channel in self.switches if channel // 100 in slots))
        self.close(channels)

    def open(self, channels: tuple[int, ...]) -> None:
        for channel in channels:
            self._switch(channel, False)

    def _switch(self, channel: int, on: bool) -> None:
        (self._closed.add if on else self._closed.discard)(channel)
        if self._contacts is not None:
            self._contacts.switch(channel, on)

    def closed(self, text: str) -> str:
        return ",".join(str(int(channel in self._closed)) for channel in self._listed(text, self.switches))

    def opened(self, text: str) -> str:
        return ",".join(
            str(int(channel not in self._closed)) for channel in self._listed(text, self.switches)
        )

    def set_dac(self, volts: str, text: str) -> None:
        value = Number("V", -12.0, 12.0).read(volts, self)
        self._dac.update(dict.fromkeys(self._listed(text, tuple(self._dac)), value))

    def dac(self, text: str) -> str:
        return ",".join(
            DIALECT.number(self._dac[channel]) for channel in self._listed(text, tuple(self._dac))
        )

    def set_port(self, data: str, text: str) -> None:
        value = int(Number("", 0, 255, integer=True).read(data, self))
        self._ports.update(dict.fromkeys(self._listed(text, tuple(self._ports)), value))

    def port(self, text: str) -> str:
        return ",".join(f"+{self._ports[channel]}" for channel in self._listed(text, tuple(self._ports)))

    def check_digital(self, *texts: str) -> None:
        """A port or counter is there; what it counts is left out."""
        self._listed(texts[-1], tuple(self._ports))

    # The mainframe.

    def reset(self) -> None:
        """`*RST`: no scan, every relay open, defaults."""
        self._scan.restore()
        self.open(tuple(self.switches))
        self._restore()

    def reset_cards(self, text: str) -> None:
        """`SYST:CPON`: open the relays of one slot, or of ALL."""
        slot = 0 if text.upper() == "ALL" else int(Number("", 100, 300, integer=True).read(text, self)) // 100
        self.open(tuple(channel for channel in self.switches if slot in (0, channel // 100)))

    def preset_status(self) -> None:
        self._scan.operation.enable = 0

    def operation(self) -> StatusGroup:
        return self._scan.operation

    def questionable(self) -> StatusGroup:
        return self._scpi.status.questionable[0]

    def card(self, text: str) -> str:
        slot = int(Number("", 100, 300, integer=True).read(text, self)) // 100
        name = self.options.plugged().get(slot, "0")
        return f"HEWLETT-PACKARD,{name},0,{'2.3' if name != '0' else '0'}"

    def next_error(self) -> str:
        return self._scpi.next_error()

    def date(self) -> str:
        return f"{self.clock.utc:%Y,%m,%d}"

    def time(self) -> str:
        return f"{self.clock.utc:%H,%M,%S}.{self.clock.utc.microsecond // 1000:03d}"

    def scan_time(self) -> str:
        return self._stamp(self._scan.started_s, "ABS")

    def line_frequency(self) -> str:
        return str(self.options.line_hz)

    def version(self) -> str:
        return "1994.0"

    def installed(self) -> str:
        return "1"

    def done(self) -> str:
        return "1"

    def nothing(self) -> None:
        """Front panel and remote state: nobody looks at them here."""
