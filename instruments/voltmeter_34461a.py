"""Keysight 34461A multimeter on one point of the bench: driver, and the exchanges both sides obey.

It measures a DC voltage: of the point itself, or of a shunt or divider on it, whose factor is in the options.
The twin is in `voltmeter_34461a_twin.py`.
"""

from __future__ import annotations

import math

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import NotReady, StationInvalid
from bench.record import Origin, Samples, Trace
from instruments.exchange import Exchange
from instruments.points import UNITS, split
from instruments.scpi_dialogue import Dialogue
from instruments.voltmeter_34461a_twin import ACCURACY, Dmm34461AOptions, Dmm34461ATwin

_INSTRO = "nominal-io/instro 1.22.0, dmm/drivers/keysight_34461a.py"
_PED = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, hp_34401a.py"
_PED_34461A = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, keysight_34461a.py"
_QCODES = "QCoDeS 0.58.0, Keysight_344xxA_submodules.py"
_PYMEASURE = "pymeasure 0.16.0, hp/hp34401A.py"
_488 = "IEEE 488.2 common command"
_DIGITS = "digits of the answer: unverified"

__all__ = ["ACCURACY", "EXCHANGES", "Dmm34461A"]

EXCHANGES = (
    Exchange(b"*IDN?", None, _QCODES, "public driver", "it takes the model from the second field: 34461A"),
    Exchange(b"*RST", None, _QCODES, "public driver"),
    Exchange(b"*CLS", None, _INSTRO, "public driver"),
    Exchange(b"*OPC?", b"1", _QCODES, "public driver", "after *RST"),
    Exchange(b"SYST:ERR?", b'+0,"No error"', _INSTRO, "public driver", "+0 there, from the service guide"),
    Exchange(b"*OPT?", b"0", _QCODES, "public driver", "no option"),
    Exchange(b'FUNC "VOLT"', None, _INSTRO, "public driver"),
    Exchange(b"FUNC?", b'"VOLT"', _QCODES, "public driver", "SENSe:FUNCtion? there, with quotes"),
    Exchange(b"VOLT:DC:RANG 1.000000e+02", None, _INSTRO, "public driver"),
    Exchange(b"VOLT:DC:RANG?", b"+1.00000000E+02", _PED, "unverified", _DIGITS),
    Exchange(b"SENSe:VOLT:RANGe:AUTO?", b"0", _QCODES, "public driver", "a fixed range ends it"),
    Exchange(b"VOLT:DC:RANG:AUTO ON", None, _INSTRO, "public driver"),
    Exchange(b"VOLT:DC:RANG:AUTO?", b"1", _QCODES, "public driver"),
    Exchange(b"VOLT:DC:NPLC 1.0000", None, _INSTRO, "public driver"),
    Exchange(b"VOLT:DC:NPLC?", b"+1.00000000E+00", _QCODES, "unverified", _DIGITS),
    Exchange(b"SENSe:VOLT:ZERO:AUTO?", b"1", _QCODES, "public driver", "after *RST"),
    Exchange(b"SENSe:VOLTage:DC:RESolution?", None, _QCODES, "public driver"),
    Exchange(b"VOLT:DC:RES 1.0e-04", None, _QCODES, "public driver"),
    Exchange(b"ZERO:AUTO ON", None, _PYMEASURE, "public driver", "34401A: of the function that is chosen"),
    Exchange(b"INP:IMP:AUTO 0", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b"DET:BAND 20", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b"TRIG:SOUR IMM", None, _QCODES, "public driver"),
    Exchange(b"TRIG:SOUR?", b"IMM", _PED, "public driver"),
    Exchange(b"TRIG:DEL 0.01", None, _PED, "public driver"),
    Exchange(b"TRIG:DEL:AUTO 1", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b"TRIG:COUN 1", None, _PED, "public driver"),
    Exchange(b"TRIG:COUN?", b"+1.00000000E+00", _QCODES, "public driver", f"a float there; {_DIGITS}"),
    Exchange(b"SAMP:COUN 2", None, _PED, "public driver"),
    Exchange(b"SAMP:COUN?", b"2", _QCODES, "public driver", "an integer there"),
    Exchange(b"SAMPle:TIMer? MIN", None, _QCODES, "public driver"),
    Exchange(b"READ?", None, _INSTRO, "public driver", "as many readings as SAMP:COUN, with commas"),
    Exchange(b"FETC?", None, _PED, "public driver", "the same readings again"),
    Exchange(b"DATA:POIN?", b"+2", _PYMEASURE, "public driver", "34401A; the sign is unverified"),
    Exchange(b"R? 1", None, "no source seen", "unverified", "#215 and 15 characters"),
    Exchange(b"SAMP:COUN 1", None, _PED, "public driver"),
    Exchange(b"INIT", None, _QCODES, "public driver"),
    Exchange(b"ABOR", None, _QCODES, "public driver"),
    Exchange(b"STAT:OPER:COND?", b"0", "SCPI-99", "unverified", "bit 4 measuring, bit 5 waiting for trigger"),
    Exchange(
        b"MEAS:VOLT:DC? 1.000000e+02,1.000000e-03", None, f"{_INSTRO}: agilent_a34401a", "public driver"
    ),
    Exchange(b"MEAS:CURR:DC? DEF,DEF", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b"CONF:VOLT:DC 100", None, _PED, "public driver"),
    Exchange(b"SENS:VOLT:DC:NPLC 0.02", None, _PED, "public driver"),
    Exchange(b'SENSe:FUNCtion "VOLT:AC"', None, _QCODES, "public driver"),
    Exchange(b"SENSe:VOLT:AC:RANGe:AUTO?", b"1", _QCODES, "public driver"),
    Exchange(b"FREQ:VOLT:RANG 10", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b'DISP:TEXT "WAIT"', None, _PED_34461A, "public driver"),
    Exchange(b"DISP:TEXT?", b'"WAIT"', _PED_34461A, "public driver"),
    Exchange(b"DISPLay:TEXT:CLEar", None, _QCODES, "public driver"),
    Exchange(b"DISP:WIND:STAT 1", None, "QCoDeS 0.58.0, _Agilent_344xxA.py", "public driver", "34401A"),
    Exchange(b"DISP:VIEW TCH", None, _PED_34461A, "public driver"),
    Exchange(b'SYSTEM:LABEL "pack"', None, _PED_34461A, "public driver"),
    Exchange(b"SYSTEM:LABEL?", b'"pack"', _PED_34461A, "public driver"),
    Exchange(b"SYST:BEEP:STAT 0", None, _PYMEASURE, "public driver", "34401A"),
    Exchange(b"SYST:REM", None, f"{_INSTRO}: agilent_a34401a", "public driver", "34401A on RS-232"),
    Exchange(b"SYSTem:LOCal", None, _PED, "public driver"),
    Exchange(b"SYSTem:LFRequency?", b"+50", _QCODES, "public driver", "+60 elsewhere; sign unverified"),
    Exchange(b"ROUT:TERM?", b"FRON", _PYMEASURE, "public driver", "or REAR"),
)

#: What the instrument needs beyond integrating before it answers [s].
_PATIENCE_S = 1.0


class Dmm34461A:
    """Keysight 34461A as a `roles.Voltmeter`.

    Trace: named after the point it is wired to (`pack_v`), each value stamped in the middle of its
    integration. What is beyond the range is nan.

    Parameters
    ----------
    wire
        VISA resource, LF terminated.
    clock
        Bench time.
    role
        Role of the station file.
    max_v, max_a
        The most to expect at the point [V], [A]: the declared uncertainty is for that.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    twin = Dmm34461ATwin
    Options = Dmm34461AOptions
    idn = ("34461a",)
    watchdog = "not needed: it only listens"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Dmm34461AOptions | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role = clock, role
        self._options = options = options or Dmm34461AOptions()
        self._integration_s = options.nplc / options.line_hz
        # The automatic zero integrates a second time.
        wire.timeout = max(wire.timeout, 1000.0 * (2.0 * self._integration_s + _PATIENCE_S))
        self._prepared = False
        where = f"[roles.{role}.options] point"
        unit = options.unit or UNITS[split(where, options.point)[0]]
        if unit == "1":  # a contact is open or closed; the trace of a voltmeter is neither
            raise StationInvalid(where, expected="a point with a voltage or a current", found=options.point)
        self._samples = Samples(
            options.point,
            unit,
            Origin("measured", role),
            uncertainty=self._uncertainty(max_a if unit == "A" else max_v),
        )

    def _uncertainty(self, highest: float) -> float:
        """Expanded uncertainty (k = 2) up to `highest`: of the meter, and of the shunt or divider."""
        options, scale = self._options, abs(self._options.scale)
        volts = min(highest / scale, 1.2 * (options.range_v or 1000.0))
        meter = scale * ACCURACY["voltage_v"].uncertainty(volts, full_scale=options.range_v)
        factor = 2.0 / math.sqrt(3.0) * options.scale_accuracy * highest
        return math.hypot(meter, factor)

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Reset, then DC voltage with the range and integration of the options, read back."""
        dialogue, options = self._dialogue, self._options
        dialogue.errors()
        for command in ("ABOR", "*RST", "*CLS", 'FUNC "VOLT"'):
            dialogue.tell(command)
        dialogue.confirm("FUNC?", '"VOLT"')
        if options.range_v is None:
            dialogue.tell("VOLT:DC:RANG:AUTO ON")
            dialogue.confirm("VOLT:DC:RANG:AUTO?", "1")
        else:
            dialogue.tell(f"VOLT:DC:RANG {options.range_v:.6e}")
        dialogue.tell(f"VOLT:DC:NPLC {options.nplc:.4f}")
        dialogue.confirm("VOLT:DC:NPLC?", float(options.nplc), tolerance=1e-6)
        self._prepared = True

    def measure(self) -> float:
        return self._take()[1]

    def _take(self) -> tuple[float, float]:
        """Bench time [s] of the middle of an integration, and its reading in the unit of the trace."""
        if not self._prepared:
            raise NotReady(f"{self._role}: a reading before prepare(): range and integration are not set")
        t_s = self._clock.now_s + 0.5 * self._integration_s
        return t_s, self._dialogue.numbers("READ?")[0] * self._options.scale

    def poll(self) -> None:
        """Measure once into the trace, unless another answer is awaited."""
        if not self._dialogue.busy:
            self._samples.append(*self._take())

    def off(self) -> None:
        """Back to idle."""
        self._dialogue.urge("ABOR")

    def is_off(self) -> bool:
        """It neither measures nor waits for a trigger."""
        return int(self._dialogue.numbers("STAT:OPER:COND?")[0]) & 0x30 == 0

    def traces(self) -> dict[str, Trace]:
        return {self._samples.name: self._samples.trace()} if len(self._samples) else {}
