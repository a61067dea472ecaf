"""Keysight RP7900 regenerative power system, used as a source: driver, and the exchanges both sides obey.

Voltage priority: it holds a voltage and limits the current. It could also sink; the driver programs the
negative current limit to zero, discharging is the load's part. The twin is in `supply_rp7900_twin.py`.
"""

from __future__ import annotations

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Trace
from instruments.exchange import Exchange
from instruments.power_readings import PowerReadings, refuse_outside
from instruments.scpi_dialogue import Dialogue
from instruments.supply_rp7900_twin import ACCURACY, PROTECTIONS, Rp7900Options, Rp7900Twin

__all__ = ["ACCURACY", "EXCHANGES", "Rp7900"]

_GUIDE = "Keysight RP7900 Series Operating and Service Guide"
_PED = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, Keysight_RP7900"
_RP7954 = "IvmInstruments 0.2.2, KeySight_RP7954.py"
_PYINSTR = "schottm/pyinstr, KeysightSupplyMixin for the RP79xx"
_488 = "IEEE 488.2 common command"
_SCPI = "SCPI-99, status and system subsystems"

EXCHANGES = (
    Exchange(b"*IDN?", None, _PED, "public driver", "it requires 'keysight' and 'rp79' in the answer"),
    Exchange(b"*RST", None, _488, "unverified"),
    Exchange(b"*CLS", None, _488, "unverified"),
    Exchange(b"*OPC?", b"1", _488, "unverified"),
    Exchange(b"SYST:ERR?", b'+0,"No error"', "nominal-io/instro 1.22.0", "public driver", "empty queue"),
    Exchange(b"SYST:VERS?", None, _SCPI, "unverified"),
    Exchange(b"FUNC CURR", None, _RP7954, "public driver"),
    Exchange(b"FUNC?", b"CURR", _PYINSTR, "public driver"),
    Exchange(b"SOUR:CURR:LEV 7.5", None, _PED, "public driver", "in current priority"),
    Exchange(b"SOUR:CURR:LEV?", b"+7.50000000E+00", _PED, "public driver", "digits: unverified"),
    Exchange(b"SOUR:VOLT:LIM 60", None, _PED, "public driver", "in current priority"),
    Exchange(b"VOLT:LIM:LOW 0", None, _RP7954, "public driver", "in current priority, while it sinks"),
    Exchange(b"SOUR:FUNC VOLT", None, _PED, "public driver"),
    Exchange(b"SOUR:VOLT:LEV 12.5", None, _PED, "public driver"),
    Exchange(
        b"SOUR:VOLT:LEV?", b"+1.25000000E+01", _PED, "public driver", "digits of the answer: unverified"
    ),
    Exchange(b"SOUR:CURR:LIM 10.0", None, _PED, "public driver"),
    Exchange(
        b"SOUR:CURR:LIM?", b"+1.00000000E+01", _PED, "public driver", "digits of the answer: unverified"
    ),
    Exchange(b"CURR:LIM:NEG 0", None, _RP7954, "public driver", "the sign of other values is unverified"),
    Exchange(b"CURR:LIM:NEG?", b"+0.00000000E+00", "no source seen", "unverified"),
    Exchange(b"VOLT:PROT 50", None, _RP7954, "public driver"),
    Exchange(b"SOUR:VOLT:PROT?", b"+5.00000000E+01", _PED, "public driver", "digits: unverified"),
    Exchange(b"SOUR:CURR:PROT:STATE 0", None, _PED, "public driver"),
    Exchange(b"SOUR:CURR:PROT:STATE?", b"0", _PED, "public driver"),
    Exchange(b"VOLT:PROT:LOW:DEL 0.2", None, f"{_GUIDE}, p. 238", "manual"),
    Exchange(b"VOLT:PROT:LOW:STAT ON", None, f"{_GUIDE}, p. 238", "manual"),
    Exchange(b"OUTP:PROT:WDOG:DEL 600", None, f"{_GUIDE}, p. 226", "manual"),
    Exchange(b"OUTP:PROT:WDOG:DEL?", b"600", f"{_GUIDE}, p. 226", "manual", "digits: unverified"),
    Exchange(b"OUTP:PROT:WDOG ON", None, f"{_GUIDE}, p. 226", "manual"),
    Exchange(b"OUTP:PROT:WDOG?", b"1", f"{_GUIDE}, p. 226", "manual"),
    Exchange(b"OUTP:PROT:WDOG OFF", None, f"{_GUIDE}, p. 226", "manual"),
    Exchange(b"OUTP:PROT:CLE", None, f"{_GUIDE}, p. 226", "manual", "its notes"),
    Exchange(b"OUTP:STAT 0", None, _PED, "public driver"),
    Exchange(b"OUTP:STAT?", b"0", _PED, "public driver"),
    Exchange(b"VOLT:RES 0.05", None, _GUIDE, "manual", "output resistance, in voltage priority"),
    Exchange(b"VOLT:RES?", b"+5.00000000E-02", _GUIDE, "manual", "digits: unverified"),
    Exchange(
        b"VOLT:RES:STAT 1", None, "a public driver's *RST list of the N69xx sister family", "unverified"
    ),
    Exchange(
        b"VOLT:RES:STAT 0", None, "a public driver's *RST list of the N69xx sister family", "unverified"
    ),
    Exchange(b"OUTP:PROT:TEMP:MARG?", None, _GUIDE, "manual"),
    Exchange(b"OUTP:INH:MODE LIVE", None, "Keysight N6700 programmer's reference", "manual", "sister family"),
    Exchange(b"OUTP:STAT 1", None, _PED, "public driver"),
    Exchange(b"MEAS:VOLT?", None, f"{_GUIDE}, p. 208", "manual"),
    Exchange(b"MEAS:CURR?", None, f"{_GUIDE}, p. 208", "manual", "the example there is MEAS:CURR?"),
    Exchange(b"MEAS:POW?", None, _RP7954, "public driver"),
    Exchange(b"STAT:OPER:COND?", None, _PYINSTR, "public driver"),
    Exchange(b"STAT:OPER:PTR 6", None, _SCPI, "unverified"),
    Exchange(b"STAT:OPER:NTR 0", None, _SCPI, "unverified"),
    Exchange(b"STAT:OPER:ENAB 6", None, _SCPI, "unverified"),
    Exchange(b"STAT:OPER:ENAB?", b"6", _SCPI, "unverified"),
    Exchange(b"STAT:QUES1:ENAB 3", None, _SCPI, "unverified"),
    Exchange(b"STAT:QUES1:ENAB?", b"3", _SCPI, "unverified"),
    Exchange(b"STAT:QUES1:COND?", None, f"{_GUIDE}, p. 241; {_PYINSTR}", "public driver"),
    Exchange(
        b"STAT:QUES2:COND?", None, f"{_GUIDE}, p. 242", "unverified", "bits as printed; header spelling"
    ),
)


class Rp7900:
    """Keysight RP7900 as a `roles.Supply`.

    Parameters
    ----------
    wire
        VISA resource, LF terminated. LAN: raw socket 5025.
    clock
        Bench time.
    role
        Role of the station file; names the traces.
    max_v, max_a
        What the station allows [V], [A]; over-voltage protection is armed a little above.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    twin = Rp7900Twin
    Options = Rp7900Options
    idn = ("keysight", "rp79")
    watchdog = "instrument: output off after `watchdog_s` without SCPI traffic"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Rp7900Options | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role, self._max_v, self._max_a = clock, role, max_v, max_a
        self._options = options or Rp7900Options()
        self._armed = False
        self._readings = PowerReadings(
            role,
            ACCURACY,
            rated_v=self._options.rated_v,
            rated_a=self._options.total_a,
            max_v=max_v,
            max_a=max_a,
        )

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Reset, then arm over-voltage protection and watchdog and read both back.

        Over-current protection stays off: on this family it trips in constant current (guide, p. 128), and
        that is how a charger works. `max_a` is kept by the current limit.
        """
        dialogue, options = self._dialogue, self._options
        self._armed = False
        dialogue.ask("*OPC?")
        dialogue.errors()
        # Off before the latch is cleared: clearing restores the output state from before the fault.
        for command in ("*RST", "*CLS", "OUTP:STAT 0", "OUTP:PROT:CLE"):
            dialogue.tell(command)
        ovp_v = min(self._max_v * options.ovp_margin, options.highest_ovp_v)
        for command, query, value in (
            ("SOUR:FUNC VOLT", "", 0.0),
            ("SOUR:VOLT:LEV 0.000", "SOUR:VOLT:LEV?", 0.0),
            ("SOUR:CURR:LIM 0.000", "SOUR:CURR:LIM?", 0.0),
            ("CURR:LIM:NEG 0", "CURR:LIM:NEG?", 0.0),
            (f"VOLT:PROT {ovp_v:.3f}", "SOUR:VOLT:PROT?", ovp_v),
            ("SOUR:CURR:PROT:STATE 0", "SOUR:CURR:PROT:STATE?", 0.0),
            (f"OUTP:PROT:WDOG:DEL {options.watchdog_s}", "OUTP:PROT:WDOG:DEL?", float(options.watchdog_s)),
            ("OUTP:PROT:WDOG ON", "OUTP:PROT:WDOG?", 1.0),
        ):
            dialogue.tell(command)
            if query:
                # The instrument rounds to its own resolution.
                dialogue.confirm(query, value, tolerance=0.001 * max(1.0, value))
        dialogue.confirm("OUTP:STAT?", 0.0)
        self._armed = True

    def source(self, *, voltage_v: float, current_a: float) -> None:
        if not self._armed:
            raise NotReady(f"{self._role}: source() before prepare(): protection is not armed")
        refuse_outside(self._role, "voltage_v", voltage_v, self._max_v, "V", clock=self._clock)
        refuse_outside(self._role, "current_a", current_a, self._max_a, "A", clock=self._clock)
        # The current limit first: a higher voltage never meets an old, higher limit.
        self._dialogue.tell(f"SOUR:CURR:LIM {current_a:.3f}")
        self._dialogue.tell(f"SOUR:VOLT:LEV {voltage_v:.3f}")
        self._dialogue.tell("OUTP:STAT 1")
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps its output off at {self._clock.now_s:.3f} s: {', '.join(tripped)} "
                "latched. Remove the cause, then prepare() again."
            )

    def tripped(self) -> tuple[str, ...]:
        """The protections that hold the output off: "OV", "OC", "PROT" (watchdog), ..."""
        found: list[str] = []
        for group, names in enumerate(PROTECTIONS, start=1):
            condition = int(self._dialogue.ask(f"STAT:QUES{group}:COND?"))
            found += [name for bit, name in names.items() if condition >> bit & 1]
        return tuple(found)

    def measure(self) -> tuple[float, float]:
        voltage_v, current_a = self._dialogue.numbers("MEAS:VOLT?;:MEAS:CURR?")
        return voltage_v, current_a

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited. It feeds the watchdog."""
        if self._dialogue.busy:
            return
        # The acquisition starts with the query; its aperture is short against what is judged from polls.
        t_s = self._clock.now_s
        self._readings.append(t_s, *self.measure())

    def off(self) -> None:
        self._dialogue.urge("OUTP:STAT 0")

    def is_off(self) -> bool:
        """Programmed off, and no more current at the terminals than the ammeter's own error."""
        if float(self._dialogue.ask("OUTP:STAT?")) != 0:
            return False
        _, current_a = self.measure()
        return abs(current_a) <= self._readings.dead_a

    def traces(self) -> dict[str, Trace]:
        return self._readings.traces()
