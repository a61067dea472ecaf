"""Keithley DMM6500 as a digitizer on the pack current: driver, and the exchanges both sides obey.

A transducer (shunt amplifier, fluxgate) makes the pack current a voltage. An analog window trigger starts the
capture when the magnitude leaves the window; readings and their times come back from the instrument's memory,
so nothing is timed by the host. The twin is in `meter_dmm6500_twin.py`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, WireError
from bench.record import Origin, Samples, Trace
from instruments.exchange import Exchange
from instruments.meter_dmm6500_twin import ACCURACY, Dmm6500Options, Dmm6500Twin
from instruments.scpi_dialogue import Dialogue

_7510 = "Keithley DMM7510 reference manual DMM7510-901-01 Rev. B"
_2450 = "Keithley 2450 reference manual 2450-901-01 Rev. B"
_2461 = "Keithley 2461 reference manual 2461-901-01 Rev. A"
_STLAB = "steelelab-delft/stlab devices/Keithley_6500.py"
_SIBLING = "printed for a sibling; that the DMM6500 agrees is unverified"
_QCODES = "QCoDeS 0.58.0, Keithley_6500.py"
_PYMEASURE = "pymeasure 0.16.0, keithley/keithleyDMM6500.py"
_PYMEASURE_BENCH = "pymeasure, tests/instruments/keithley/test_keithleyDMM6500_with_device.py"
_SIX_DIGITS = f"no more than six digits ({_PYMEASURE_BENCH})"
_CAPTURE, _SINGLE = '"defbuffer1"', '"defbuffer2"'

__all__ = ["ACCURACY", "EXCHANGES", "Dmm6500"]

EXCHANGES = (
    Exchange(b"*IDN?", None, "QCoDeS 0.58.0", "public driver", "KEITHLEY INSTRUMENTS,MODEL DMM6500,sn,fw"),
    Exchange(b"*LANG?", b"SCPI", _QCODES, "public driver", "TSP if it speaks that"),
    Exchange(b"*RST", None, f"{_7510}, p. 6-13", "unverified", _SIBLING),
    Exchange(b"*CLS", None, "IEEE 488.2 common command", "unverified"),
    Exchange(b"SYST:ERR?", b'0,"No error"', "no source seen", "unverified"),
    Exchange(b'DIG:FUNC "VOLTage"', None, f"{_7510}, p. 6-13", "unverified", _SIBLING),
    Exchange(b"DIG:VOLT:RANG 10", None, "no source seen", "unverified"),
    Exchange(b"DIG:VOLT:SRAT 100000", None, "no source seen", "unverified"),
    Exchange(b"DIG:VOLT:APER AUTO", None, "no source seen", "unverified"),
    Exchange(b"DIG:COUN 1", None, f"{_7510}, p. 6-13", "unverified", f"SENS:DIG:COUN there; {_SIBLING}"),
    Exchange(
        b"DIG:VOLT:ATR:MODE WIND", None, f"{_7510}, p. 6-66", "unverified", f"for CURR there; {_SIBLING}"
    ),
    Exchange(b"DIG:VOLT:ATR:WIND:LEV:HIGH 2.5", None, f"{_7510}, p. 6-66", "unverified", _SIBLING),
    Exchange(b"DIG:VOLT:ATR:WIND:LEV:LOW -2.5", None, f"{_7510}, p. 6-66", "unverified", _SIBLING),
    Exchange(b"DIG:VOLT:ATR:WIND:DIR LEAV", None, f"{_7510}, p. 6-66", "unverified", _SIBLING),
    Exchange(b'READ:DIG? "defbuffer2", SEC, FRAC, READ', None, f"{_7510}, p. 6-13", "unverified", _SIBLING),
    Exchange(b'TRAC:POIN 5000, "defbuffer1"', None, "no source seen", "unverified"),
    Exchange(b'TRIG:LOAD "Empty"', None, _STLAB, "public driver"),
    Exchange(b"TRIG:STAT?", b"EMPTY;EMPTY;0", f"{_2450}, p. 6-166", "unverified", "IDLE;IDLE;9 there"),
    Exchange(b'TRIG:BLOC:BUFF:CLEAR 1, "defbuffer1"', None, _STLAB, "public driver", "without buffer there"),
    Exchange(
        b"TRIG:BLOC:WAIT 2, ATR", None, f"{_2461}, p. 6-209", "unverified", "event name: TRIG:LOAD examples"
    ),
    Exchange(b'TRIG:BLOC:MDIG 3, "defbuffer1", 5000', None, "no source seen", "unverified"),
    Exchange(b"INIT", None, _STLAB, "public driver"),
    Exchange(b"ABOR", None, "SCPI-99", "unverified"),
    Exchange(b'TRAC:ACT? "defbuffer1"', b"0", "no source seen", "unverified", "an empty buffer"),
    Exchange(b'TRAC:DATA? 1, 1, "defbuffer2", READ, REL', None, _STLAB, "public driver"),
    Exchange(b"SENS:FUNC 'VOLT:DC'", None, _QCODES, "public driver"),
    Exchange(b"SENS:FUNC?", b"VOLT:DC", _QCODES, "public driver", "without quotes there"),
    Exchange(b":SENS:VOLT:RANG:AUTO 0;:SENS:VOLT:RANG 10", None, _PYMEASURE, "public driver"),
    Exchange(b"volt:dc:rang?", b"10", _QCODES, "public driver", _SIX_DIGITS),
    Exchange(b"volt:dc:rang:auto?", b"0", _QCODES, "public driver"),
    Exchange(b"VOLT:DC:RANG:AUTO 0;UPP 10", None, _PYMEASURE, "public driver"),
    Exchange(b"volt:dc:nplc 0.1", None, _QCODES, "public driver"),
    Exchange(b"volt:dc:aver:tcon moving", None, _QCODES, "public driver"),
    Exchange(b"volt:dc:aver:tcon?", b"MOV", _QCODES, "public driver", "case: it lowers the answer"),
    Exchange(b"volt:dc:aver:coun 5", None, _QCODES, "public driver"),
    Exchange(b"volt:dc:aver:stat 1", None, _QCODES, "public driver"),
    Exchange(b"VOLT:DC:AZER 0", None, _PYMEASURE, "public driver"),
    Exchange(b"VOLT:DC:AZER 1", None, _PYMEASURE, "public driver"),
    Exchange(b"AZER:ONCE", None, _PYMEASURE, "public driver"),
    Exchange(b"VOLT:DC:AZER?", b"0", _PYMEASURE_BENCH, "public driver", "once, and then no more"),
    Exchange(b"VOLT:DC:APER DEF", None, _PYMEASURE_BENCH, "public driver"),
    Exchange(b"VOLT:DC:APER?", b"0.0166667", _PYMEASURE_BENCH, "public driver", "one cycle of 60 Hz"),
    Exchange(b"VOLT:DC:APER MIN", None, _PYMEASURE_BENCH, "public driver"),
    Exchange(b"VOLT:DC:APER?", b"8.33e-06", _PYMEASURE_BENCH, "public driver", "case of E: unverified"),
    Exchange(b":SENS:VOLT:REL:ACQ", None, _PYMEASURE, "public driver"),
    Exchange(b":SENS:VOLT:REL:STAT?", b"1", _PYMEASURE, "public driver"),
    Exchange(b"READ?", None, _QCODES, "public driver"),
    Exchange(b":TRAC:ACT:STAR?", b"1", _PYMEASURE, "public driver"),
    Exchange(b":TRAC:ACT:END?", b"1", _PYMEASURE, "public driver"),
    Exchange(b":TRAC:DATA? 1, 1", None, _PYMEASURE, "public driver"),
    Exchange(b":TRAC:POIN 100", None, _PYMEASURE, "public driver"),
    Exchange(b":TRAC:POIN?", b"100", _PYMEASURE, "public driver"),
    Exchange(b"FORM:DATA ASCII", None, _QCODES, "public driver"),
    Exchange(b"DISP:LIGH:STAT ON75", None, _QCODES, "public driver"),
    Exchange(b"DISP:LIGH:STAT?", b"ON75", _QCODES, "public driver"),
    Exchange(b"DISP:VOLT:DC:DIG?", b"6", _QCODES, "public driver"),
    Exchange(b"ROUT:SCAN:COUN:SCAN?", b"1", _QCODES, "public driver"),
    Exchange(b"ROUT:SCAN:COUN:SCAN inf", None, _QCODES, "public driver"),
    Exchange(b"ROUT:SCAN:COUN:SCAN?", b"0", _PYMEASURE, "public driver", "0 is until aborted"),
    Exchange(b"ROUT:SCAN:INT 2.5", None, _QCODES, "public driver"),
    Exchange(b"TRIG:TIM2:DEL 0.5", None, _QCODES, "public driver"),
    Exchange(b"TRIG:TIM2:STAR:STIM TIM1", None, _QCODES, "public driver"),
    Exchange(b"TRIG:TIM2:STAR:STIM?", b"TIM1", _QCODES, "public driver"),
    Exchange(b"ROUT:TERM?", b"FRON", _PYMEASURE, "public driver", "or REAR"),
    Exchange(b":SYST:LFR?", b"60", _PYMEASURE, "public driver", "or 50"),
    Exchange(b":SYST:CARD1:IDN?", b"Empty Slot", _PYMEASURE, "unverified", "with no card in the slot"),
    Exchange(b":DISP:SCR SWIPE_USER", None, _PYMEASURE, "public driver"),
    Exchange(b':DISP:USER1:TEXT "bench"', None, _PYMEASURE, "public driver"),
    Exchange(b":SYST:BEEP 1000, 0.1", None, _PYMEASURE, "public driver"),
)

#: Readings per answer; a longer line is slow to take in at once.
_CHUNK = 10_000
_RESTING = ("IDLE", "EMPTY", "BUILDING", "ABORTED", "FAILED")


class Dmm6500:
    """Keithley DMM6500 as a `roles.Meter`.

    Parameters
    ----------
    wire
        VISA resource, LF terminated; the instrument speaks SCPI, not TSP (`*LANG SCPI`).
    clock
        Bench time.
    role
        Role of the station file; names the polled trace.
    max_v, max_a
        What the station allows; a level above `max_a` [A] is refused.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    twin = Dmm6500Twin
    Options = Dmm6500Options
    idn = ("keithley", "dmm6500")
    watchdog = "not needed: it only listens"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Dmm6500Options | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role, self._max_a = clock, role, max_a
        self._options = options or Dmm6500Options()
        self._armed = False
        self._capture: Trace | None = None
        # Instrument time [ns] at a bench time [s], taken together.
        self._instant: tuple[int, float] = (0, 0.0)
        self._uncertainty = self._expanded(max_a)
        self._current_a = Samples(
            f"{role}.current_a", "A", Origin("measured", role), uncertainty=self._uncertainty
        )

    def _expanded(self, highest_a: float) -> float:
        """Expanded uncertainty (k = 2) [A] up to `highest_a`: of the digitizer, and of the transducer."""
        options = self._options
        sensitivity = abs(options.sensitivity_v_per_a)
        volts = min(highest_a * sensitivity, options.range_v)
        digitizer = ACCURACY["digitized_v"].uncertainty(volts, full_scale=options.range_v) / sensitivity
        transducer = 2.0 / math.sqrt(3.0) * options.transducer_accuracy * highest_a
        return math.hypot(digitizer, transducer)

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Make sure that it speaks SCPI, reset and set up the digitizer; nothing is armed."""
        dialogue, options = self._dialogue, self._options
        self._armed = False
        dialogue.confirm("*LANG?", "SCPI")
        dialogue.errors()
        for command in (
            "ABOR",
            "*RST",
            "*CLS",
            'DIG:FUNC "VOLTage"',
            f"DIG:VOLT:RANG {options.range_v:g}",
            f"DIG:VOLT:SRAT {options.rate_hz:.0f}",
            "DIG:VOLT:APER AUTO",
            "DIG:COUN 1",
        ):
            dialogue.tell(command)

    def arm(self, *, level_a: float, duration_s: float) -> None:
        options = self._options
        level_v = level_a * abs(options.sensitivity_v_per_a)
        if not 0.0 < level_a <= self._max_a or level_v > options.range_v:
            raise InstrumentRefused(
                f"{self._role}: level_a {level_a:g} A at {self._clock.now_s:.3f} s is outside 0 to "
                f"{min(self._max_a, options.range_v / abs(options.sensitivity_v_per_a)):g} A, what "
                f"[roles.{self._role}] and the range allow; nothing was sent."
            )
        count = max(10, round(duration_s * options.rate_hz))
        self.off()
        self._capture = None
        bench_s = self._clock.now_s
        stamp_ns, _ = self._read_one()
        self._instant = (stamp_ns, bench_s)
        for command in (
            "DIG:VOLT:ATR:MODE WIND",
            f"DIG:VOLT:ATR:WIND:LEV:HIGH {level_v:.6g}",
            f"DIG:VOLT:ATR:WIND:LEV:LOW {-level_v:.6g}",
            "DIG:VOLT:ATR:WIND:DIR LEAV",
            f"TRAC:POIN {count}, {_CAPTURE}",
            'TRIG:LOAD "Empty"',
            f"TRIG:BLOC:BUFF:CLEAR 1, {_CAPTURE}",
            "TRIG:BLOC:WAIT 2, ATR",
            f"TRIG:BLOC:MDIG 3, {_CAPTURE}, {count}",
            "INIT",
        ):
            self._dialogue.tell(command)
        self._armed = True

    def captured(self) -> bool:
        """Whether the armed capture is complete; the first time it is, it is fetched."""
        if not self._armed:
            return self._capture is not None
        state = self._state()
        if state in ("ABORTED", "FAILED"):
            self._armed = False
            raise InstrumentRefused(f"{self._role}: capture {state} at {self._clock.now_s:.3f} s")
        if state != "IDLE":
            return False
        self._armed = False
        self._capture = self._fetch()
        return True

    def poll(self) -> None:
        """Read the current once into the traces, unless a capture is armed or an answer awaited."""
        if self._dialogue.busy or self._armed:
            return
        t_s = self._clock.now_s
        _, current_a = self._read_one()
        self._current_a.append(t_s, current_a)

    def off(self) -> None:
        """Disarm."""
        self._dialogue.urge("ABOR")
        self._armed = False

    def is_off(self) -> bool:
        """Nothing is armed."""
        return self._state() in _RESTING

    def traces(self) -> dict[str, Trace]:
        found = {} if self._capture is None else {"capture_a": self._capture}
        if len(self._current_a):
            found[self._current_a.name] = self._current_a.trace()
        return found

    def _state(self) -> str:
        return self._dialogue.ask("TRIG:STAT?").partition(";")[0]

    def _read_one(self) -> tuple[int, float]:
        """Instrument time [ns] and current [A] of a fresh reading."""
        answer = self._dialogue.ask(f"READ:DIG? {_SINGLE}, SEC, FRAC, READ")
        seconds, fraction, reading_v = self._fields(answer, 3)
        return _nanoseconds(seconds, fraction), float(reading_v) / self._options.sensitivity_v_per_a

    def _fields(self, answer: str, count: int) -> list[str]:
        fields = answer.split(",")
        if len(fields) != count:
            raise WireError(f"{self._role}: expected {count} fields in a reading, found {answer[:80]!r}")
        return fields

    def _fetch(self) -> Trace:
        count = int(self._dialogue.ask(f"TRAC:ACT? {_CAPTURE}"))
        seconds, fraction = self._fields(self._dialogue.ask(f"TRAC:DATA? 1, 1, {_CAPTURE}, SEC, FRAC"), 2)
        stamp_ns, bench_s = self._instant
        start_s = bench_s + (_nanoseconds(seconds, fraction) - stamp_ns) * 1e-9
        readings_v: list[float] = []
        for first in range(1, count + 1, _CHUNK):
            last = min(count, first + _CHUNK - 1)
            readings_v += self._dialogue.numbers(f"TRAC:DATA? {first}, {last}, {_CAPTURE}, READ")
        t_s: NDArray[np.float64] = start_s + np.arange(count) / self._options.rate_hz
        current_a = np.array(readings_v) / self._options.sensitivity_v_per_a
        return Trace("capture_a", "A", t_s, current_a, Origin("measured", self._role), self._uncertainty)


def _nanoseconds(seconds: str, fraction: str) -> int:
    """Time stamp [ns]; a float of seconds since 1970 would lose the microseconds."""
    return int(seconds) * 1_000_000_000 + round(float(fraction) * 1e9)
