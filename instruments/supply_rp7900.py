"""Keysight RP7900 regenerative power system, used as a source: driver, and the exchanges both sides obey.

Voltage priority: it holds a voltage and limits the current. It could also sink; the driver programs the
negative current limit to zero, discharging is the load's part. The twin is in `supply_rp7900_twin.py`.
"""

from __future__ import annotations

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Origin, Samples, Trace
from instruments.accuracy import expanded_uncertainty
from instruments.exchange import Exchange
from instruments.scpi_dialogue import Dialogue
from instruments.supply_rp7900_twin import PROTECTIONS, Rp7900Options, Rp7900Twin

_GUIDE = "Keysight RP7900 Series Operating and Service Guide"
_PED = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, Keysight_RP7900"
_RP7954 = "IvmInstruments 0.2.2, KeySight_RP7954.py"
_488 = "IEEE 488.2 common command"

EXCHANGES = (
    Exchange(b"*IDN?", None, _PED, "public driver", "it requires 'keysight' and 'rp79' in the answer"),
    Exchange(b"*RST", None, _488, "unverified"),
    Exchange(b"*CLS", None, _488, "unverified"),
    Exchange(b"*OPC?", b"1", _488, "unverified"),
    Exchange(b"SYST:ERR?", b'+0,"No error"', "nominal-io/instro 1.22.0", "public driver", "empty queue"),
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
    Exchange(b"OUTP:STAT 1", None, _PED, "public driver"),
    Exchange(b"MEAS:VOLT?", None, f"{_GUIDE}, p. 208", "manual"),
    Exchange(b"MEAS:CURR?", None, f"{_GUIDE}, p. 208", "manual", "the example there is MEAS:CURR?"),
    Exchange(
        b"STAT:QUES1:COND?", None, f"{_GUIDE}, p. 241", "unverified", "bits as printed; header spelling"
    ),
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
        origin = Origin("measured", role)
        gain, offset = self._options.voltage_accuracy
        self._voltage_v = Samples(
            f"{role}.voltage_v", "V", origin, uncertainty=expanded_uncertainty(gain, offset, max_v)
        )
        gain, offset = self._options.current_accuracy
        self._current_a = Samples(
            f"{role}.current_a", "A", origin, uncertainty=expanded_uncertainty(gain, offset, max_a)
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
        self._within("voltage_v", voltage_v, self._max_v, "V")
        self._within("current_a", current_a, self._max_a, "A")
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
        voltage_v, current_a = self.measure()
        self._voltage_v.append(t_s, voltage_v)
        self._current_a.append(t_s, current_a)

    def off(self) -> None:
        self._dialogue.urge("OUTP:STAT 0")

    def is_off(self) -> bool:
        """Programmed off, and no more current at the terminals than the ammeter's own error."""
        if float(self._dialogue.ask("OUTP:STAT?")) != 0:
            return False
        _, current_a = self.measure()
        return abs(current_a) <= 2 * self._options.current_accuracy[1]

    def traces(self) -> dict[str, Trace]:
        return {
            samples.name: samples.trace() for samples in (self._voltage_v, self._current_a) if len(samples)
        }

    def _within(self, name: str, value: float, limit: float, unit: str) -> None:
        if not 0.0 <= value <= limit:
            raise InstrumentRefused(
                f"{self._role}: {name} {value:g} {unit} at {self._clock.now_s:.3f} s is outside 0 to "
                f"{limit:g} {unit}, what [roles.{self._role}] allows; nothing was sent."
            )
