"""HP/Agilent/Keysight 34970A, 34972A and DAQ970A as scanner: driver, and the exchanges it obeys.

Multiplexer channels are wired to points of the bench; relays of a switch card can insert faults. The driver
starts a scan, lets it run, and takes the readings out of memory with the time at which each was taken. The
twin is in `scanner_34970a_twin.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.record import Origin, Samples, Trace
from instruments.exchange import Exchange
from instruments.points import split
from instruments.relay_contacts import Faults, check_current
from instruments.scanner_34970a_channels import (
    ACCURACY,
    RANGES_V,
    Daq970aOptions,
    Wiring,
    uncertainty_v,
)
from instruments.scanner_34970a_twin import Daq970aTwin
from instruments.scpi_dialogue import Dialogue

__all__ = ["ACCURACY", "EXCHANGES", "Daq970a"]

_DAQMON = "PyPI daqmon 0.1.1, instrument.py and scanner.py"
_PED = "GitHub AnnaGiasson/PythonEquipmentDrivers, agilent_34972a.py"
_LIST = "the same file, its list of commands"


def _known(request: str, reply: str | None = None, source: str = _DAQMON, note: str = "") -> Exchange:
    answer = None if reply is None else reply.encode()
    return Exchange(request.encode(), answer, source, "public driver", note)


#: In the order of a session, settings before their queries.
EXCHANGES = (
    _known("*IDN?", "HEWLETT-PACKARD,34970A,0,13-2-2", note="other firmware, other last field"),
    _known("*CLS"),
    _known("*RST"),
    _known("*OPC?", "1"),
    _known("ABOR"),
    Exchange(b"SYST:ERR?", b'+0,"No error"', f"{_PED}; form of the answer: no source seen", "unverified"),
    _known("ROUT:SCAN?", "#13(@)", _PED, "empty; the form is that of a list with channels"),
    _known("CONF:VOLT:DC 10,(@101,102)"),
    _known("VOLT:DC:NPLC 1,(@101,102)"),
    _known("VOLT:DC:NPLC? (@101)", "+1.00000000E+00"),
    _known("SENS:FUNC? (@101)", '"VOLT"', "PyPI daqmon 0.1.1, backup.py"),
    _known("CONF:TEMP TC,K,(@104)"),
    _known("TEMP:NPLC 1,(@104)"),
    _known("TEMP:TRAN:TC:TYPE? (@104)", "K"),
    _known("TEMP:TRAN:TC:RJUN:TYPE INT,(@104)"),
    _known("TEMP:TRAN:TC:RJUN:TYPE? (@104)", "INT"),
    _known("ROUT:CHAN:DELAY 0.000,(@101)"),
    _known("ROUT:SCAN (@101,102)"),
    _known("ROUT:SCAN?", "#210(@101,102)", _PED),
    _known("ROUT:SCAN:SIZE?", None, f"{_PED}: {_LIST}"),
    _known("TRIG:SOUR IMM", None, _PED),
    _known("TRIG:SOUR?", "IMM", _PED),
    _known("TRIG:TIM 10.000"),
    _known("TRIG:COUN INF"),
    _known("TRIG:COUN?", "+9.90000000E+37", note="no end"),
    _known("TRIG:COUN 1"),
    _known("FORM:READ:CHAN ON"),
    Exchange(b"FORM:READ:TIME ON", None, f"{_PED}: {_LIST}", "public driver"),
    Exchange(b"FORM:READ:TIME:TYPE REL", None, f"{_PED}: {_LIST}", "public driver"),
    Exchange(b"FORM:READ:UNIT OFF", None, f"{_PED}: {_LIST}", "public driver"),
    Exchange(b"FORM:READ:ALAR OFF", None, f"{_PED}: {_LIST}", "public driver"),
    _known("DATA:POIN?", None, note="+0"),
    _known("INIT"),
    Exchange(
        b"STAT:OPER:COND?",
        None,
        f"{_PED}: {_LIST}; which bit is a running scan: no source seen",
        "unverified",
    ),
    _known("FETC?", None, _PED),
    _known("DATA:REM? 2", None, note="value,channel pairs with FORM:READ:CHAN ON"),
    _known("ROUT:OPEN (@201)", None, _PED),
    _known("ROUT:CLOS (@201)", None, _PED),
    Exchange(b"ROUT:CLOS? (@201)", b"1", f"{_PED}; form of the answer: no source seen", "unverified"),
    Exchange(b"ROUT:OPEN? (@201)", b"0", f"{_PED}; form of the answer: no source seen", "unverified"),
)

#: Bit of the operation condition register: a scan is running.
_SCANNING_BIT = 1 << 4
#: Between two looks at how many readings there are [s].
_LOOK_S = 0.02
#: A scan that takes longer than this beyond its due time has stopped [s].
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Input:
    """A wired channel: its point, and the range it is measured in [V], 0 for a thermocouple."""

    wiring: Wiring
    range_v: float
    uncertainty: float


class Daq970a:
    """A 34970A or its kin as a `roles.Scanner`; with `relays` also a `roles.FaultBox`.

    Parameters
    ----------
    wire
        VISA resource: GPIB, LAN, or a serial port.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v
        What the wiring may put on an input or a contact [V]; it decides the range of all but cells.
    max_a
        And through a contact [A].
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    twin = Daq970aTwin
    Options = Daq970aOptions
    idn = ("34970a|34972a|daq970a",)
    watchdog = "none: a scan goes on and relays stay as they are when the host falls silent"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float = 300.0,
        max_a: float = 1.0,
        options: Daq970aOptions,
    ) -> None:
        if max_v > options.rated_v:
            raise StationInvalid(
                f"[roles.{role}] max_v",
                expected=f"at most {options.rated_v:g} V, the rating of an input",
                found=f"{max_v:g} V",
            )
        if options.relays:
            check_current(role, options, max_v=max_v, max_a=max_a)
        self._clock, self._role, self.options = clock, role, options
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._inputs = {number: _input(wiring, max_v, options) for number, wiring in options.channels.items()}
        self._scan_list = tuple(sorted(self._inputs))
        self._faults = Faults(options, clock=clock, role=role)
        self.faults = self._faults.names
        self._started_s: float | None = None
        self._scanning, self._stopped = False, False
        origin = Origin("measured", role)
        self._samples = {
            number: Samples(entry.wiring.point, entry.wiring.unit, origin, uncertainty=entry.uncertainty)
            for number, entry in self._inputs.items()
        }
        self._cells = _cell_channels(options)
        self._rows = Samples(
            "cell_v",
            "V",
            origin,
            channels=len(self._cells),
            uncertainty=max((self._inputs[number].uncertainty for number in self._cells), default=0.0),
        )

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Stop scans, open relays, set every wired channel up, and read the scan list back."""
        dialogue = self._dialogue
        dialogue.tell("*CLS")
        dialogue.tell("ABOR")
        dialogue.tell("*RST")
        self._started_s, self._stopped = None, False
        self._faults.all_out()
        for command in self._set_up():
            dialogue.tell(command)
        dialogue.confirm("ROUT:SCAN?", _block(_listed(self._scan_list)))

    def scan(self) -> dict[str, float]:
        """Measure every wired channel once; returns when the last one is done.

        Raises
        ------
        WireError
            If the readings do not come, or are not those of the scan list.
        """
        self._scanning, self._stopped = True, False
        try:
            self._abort()
            self._start()
            due_s = self._clock.now_s + self._scan_s() + _PATIENCE_S
            while self._points() < len(self._scan_list):
                if self._clock.now_s > due_s:
                    raise WireError(
                        f"{self._role}: expected {len(self._scan_list)} readings within "
                        f"{self._scan_s() + _PATIENCE_S:.1f} s, found {self._points()} at "
                        f"{self._clock.now_s:.3f} s. Is the meter of the mainframe switched on?"
                    )
                self._clock.sleep(_LOOK_S)
            return self._collect()
        finally:
            self._scanning = False

    def poll(self) -> None:
        """Take over a scan that is complete and start the next, without waiting for it; not after `off`."""
        if self._scanning or self._stopped or self._dialogue.busy or not self._scan_list:
            return
        if self._started_s is not None:
            if self._points() < len(self._scan_list):
                return
            self._collect()
        self._start()

    def off(self) -> None:
        """Open every relay with a fault, and stop scanning until somebody asks for a scan again."""
        self._started_s, self._stopped = None, True
        if not self._dialogue.busy:
            self._dialogue.errors()  # what somebody else left is no refusal of this
        if self.options.relays:
            self._dialogue.urge(f"ROUT:OPEN {_listed(self.options.relays.values())}")
            self._faults.all_out()
        self._dialogue.urge("ABOR")

    def is_off(self) -> bool:
        """Whether no scan runs, and every relay with a fault reads back as open."""
        if int(self._dialogue.numbers("STAT:OPER:COND?")[0]) & _SCANNING_BIT:
            return False
        if not self.options.relays:
            return True
        return all(self._dialogue.numbers(f"ROUT:OPEN? {_listed(self.options.relays.values())}"))

    def insert(self, fault: str) -> None:
        number = self._faults.join(fault)
        self._dialogue.tell(f"ROUT:CLOS (@{number})")
        self._faults.settle(fault, lambda: self._is_closed(number), True)

    def remove(self, fault: str) -> None:
        number = self._faults.relay(fault)
        self._dialogue.tell(f"ROUT:OPEN (@{number})")
        self._faults.settle(fault, lambda: self._is_closed(number), False)

    def traces(self) -> dict[str, Trace]:
        """One per point, each sample at the time at which its channel was measured.

        If all cells are wired: `cell_v`, (time, cells), instead of one for each; a row has the time of the
        middle of its cells' turns.
        """
        found = {
            samples.name: samples.trace()
            for number, samples in self._samples.items()
            if len(samples) and number not in self._cells
        }
        if len(self._rows):
            found["cell_v"] = self._rows.trace()
        return {**found, **self._faults.traces()}

    def _set_up(self) -> list[str]:
        options = self.options
        commands = []
        volts = {n: entry for n, entry in self._inputs.items() if not entry.wiring.is_thermocouple}
        for range_v in sorted({entry.range_v for entry in volts.values()}):
            listed = _listed(n for n, entry in volts.items() if entry.range_v == range_v)
            commands += [f"CONF:VOLT:DC {range_v:g},{listed}", f"VOLT:DC:NPLC {options.nplc:g},{listed}"]
        if hot := [number for number in self._inputs if number not in volts]:
            listed = _listed(hot)
            commands += [
                f"CONF:TEMP TC,K,{listed}",
                f"TEMP:NPLC {options.nplc:g},{listed}",
                f"TEMP:TRAN:TC:RJUN:TYPE INT,{listed}",
            ]
        return [
            *commands,
            f"ROUT:SCAN {_listed(self._scan_list)}",
            "TRIG:SOUR IMM",
            "TRIG:COUN 1",
            "FORM:READ:CHAN ON",
            "FORM:READ:TIME ON",
            "FORM:READ:TIME:TYPE REL",
            "FORM:READ:UNIT OFF",
            "FORM:READ:ALAR OFF",
        ]

    def _scan_s(self) -> float:
        """About how long one scan takes [s]: the integration, as often again for zero, and the relays."""
        options = self.options
        return len(self._scan_list) * (2.0 * options.nplc / options.line_hz + options.channel_s + 0.01)

    def _start(self) -> None:
        if not self._scan_list:
            raise InstrumentRefused(
                f"{self._role}: [roles.{self._role}.options] channels wires nothing to measure."
            )
        # Times of the readings count from here.
        self._started_s = self._clock.now_s
        self._dialogue.tell("INIT")

    def _abort(self) -> None:
        if self._started_s is not None:
            self._started_s = None
            self._dialogue.tell("ABOR")

    def _points(self) -> int:
        return int(self._dialogue.numbers("DATA:POIN?")[0])

    def _collect(self) -> dict[str, float]:
        """Take the readings of a scan out of memory."""
        count, started_s = len(self._scan_list), self._started_s
        self._started_s = None
        fields = self._dialogue.numbers(f"DATA:REM? {count}")
        channels = [int(number) for number in fields[2::3]] if len(fields) == 3 * count else []
        if sorted(channels) != list(self._scan_list) or started_s is None:
            raise WireError(
                f"{self._role}: expected value, time and channel of {_listed(self._scan_list)} at "
                f"{self._clock.now_s:.3f} s, found {len(fields)} numbers for channels {channels}"
            )
        times_s = dict(zip(channels, (started_s + t_s for t_s in fields[1::3]), strict=True))
        values = dict(zip(channels, fields[0::3], strict=True))
        found: dict[str, float] = {}
        for number, entry in self._inputs.items():
            value = values[number] * entry.wiring.scale
            if entry.wiring.unit == "1":
                # A contact passes its voltage on or it does not; halfway is the threshold.
                value = float(value >= 0.5)
            found[entry.wiring.point] = value
            self._samples[number].append(times_s[number], value)
        if self._cells:
            row = [found[self._inputs[number].wiring.point] for number in self._cells]
            self._rows.append(float(np.mean([times_s[number] for number in self._cells])), row)
        return found

    def _is_closed(self, number: int) -> bool:
        return bool(self._dialogue.numbers(f"ROUT:CLOS? (@{number})")[0])


def _input(wiring: Wiring, max_v: float, options: Daq970aOptions) -> _Input:
    """The range that holds what may be there, and how well it is measured."""
    if wiring.is_thermocouple:
        return _Input(wiring, 0.0, ACCURACY["thermocouple_k"].uncertainty(0.0))
    most_v: float = 5.0 if wiring.point.startswith("cell_v") else max_v / wiring.scale
    range_v = next((limit for limit in RANGES_V if limit >= most_v), RANGES_V[-1])
    return _Input(wiring, range_v, uncertainty_v(range_v, options.nplc, most_v) * wiring.scale)


def _cell_channels(options: Daq970aOptions) -> tuple[int, ...]:
    """The channels of the cells in their order, if all cells are wired; else none."""
    numbers = {
        split("channels", wiring.point)[1]: number
        for number, wiring in options.channels.items()
        if wiring.point.startswith("cell_v")
    }
    if options.cells is None or set(numbers) != set(range(options.cells)):
        return ()
    return tuple(numbers[cell] for cell in range(options.cells))


def _listed(numbers: Iterable[int]) -> str:
    return f"(@{','.join(str(number) for number in sorted(numbers))})"


def _block(text: str) -> str:
    """A definite length block."""
    return f"#{len(str(len(text)))}{len(text)}{text}"
