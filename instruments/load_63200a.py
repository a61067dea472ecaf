"""Chroma 63200A electronic load in constant current: driver, and the exchanges both sides obey.

The family has no watchdog: a rail that this load discharges needs another way to be opened. The twin is in
`load_63200a_twin.py`.
"""

from __future__ import annotations

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Origin, Samples, Trace
from instruments.accuracy import expanded_uncertainty
from instruments.exchange import Exchange
from instruments.load_63200a_twin import PROTECTIONS, Load63200AOptions, Load63200ATwin
from instruments.scpi_dialogue import Dialogue

_MANUAL = "Chroma 63200A Series user manual"
_MANUAL_63600 = "Chroma 63600 Series operation and programming manual, version 2.2"
_PED = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, Chroma_63206A"

EXCHANGES = (
    Exchange(
        b"*IDN?", None, "Chroma 63200 Series manual", "unverified", "there: Chroma,63203,12345678,01.00"
    ),
    Exchange(b"*RST", None, f"{_MANUAL}, p. 4-7", "manual", "forces ABORt, *CLS and LOAD:PROT:CLE"),
    Exchange(b"*CLS", None, "IEEE 488.2 common command", "unverified"),
    Exchange(b"*OPC?", b"1", "Chroma 63200 Series manual", "unverified", "the older family"),
    Exchange(b"SYST:ERR?", b'0,"No error"', "no source seen", "unverified"),
    Exchange(b"MODE CCH", None, _PED, "public driver"),
    Exchange(b"MODE?", b"CCH", _PED, "public driver"),
    Exchange(b"CURR:STAT:L1 0.0", None, _PED, "public driver"),
    Exchange(b"CURR:STAT:L1?", b"0.0000", _PED, "public driver", "digits of the answer: unverified"),
    Exchange(b"CURR:STAT:RISE 2.5", None, _MANUAL_63600, "unverified", "in A/us; there for POW:STAT, p. 202"),
    Exchange(b"CURR:STAT:RISE?", b"2.5000", _MANUAL_63600, "unverified", "digits: unverified"),
    Exchange(b"CURR:STAT:FALL 2.5", None, _MANUAL_63600, "unverified", "in A/us; there for POW:STAT, p. 202"),
    Exchange(b"CURR:STAT:FALL?", b"2.5000", _MANUAL_63600, "unverified", "digits: unverified"),
    Exchange(b"LOAD:SHOR 0", None, _PED, "public driver"),
    Exchange(b"LOAD:SHOR?", b"0", _PED, "public driver"),
    Exchange(b"LOAD 0", None, _PED, "public driver"),
    Exchange(b"LOAD?", b"OFF", _PED, "public driver", "ON if on"),
    Exchange(b"LOAD 1", None, _PED, "public driver"),
    Exchange(b"LOAD:PROT:CLE", None, f"{_MANUAL}, p. 4-7", "manual", "named under *RST"),
    Exchange(b"MEAS:VOLT?", None, _PED, "public driver"),
    Exchange(b"MEAS:CURR?", None, _PED, "public driver"),
    Exchange(
        b"STAT:CHAN:COND?", b"0", f"{_MANUAL_63600}, p. 5-86", "unverified", "2048 in the example there"
    ),
)


class Load63200A:
    """Chroma 63200A as a `roles.Load`.

    Parameters
    ----------
    wire
        VISA resource, LF terminated.
    clock
        Bench time.
    role
        Role of the station file; names the traces.
    max_v, max_a
        What the station allows [V], [A].
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    twin = Load63200ATwin
    Options = Load63200AOptions
    watchdog = "none"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Load63200AOptions | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role, self._max_v, self._max_a = clock, role, max_v, max_a
        self._options = options or Load63200AOptions()
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
        """Reset, then choose constant current and slew at zero current and read all back.

        Over-current, over-power and over-voltage protection of this family follow the rating and are always
        armed. The short-circuit function is switched off: it ignores the current setting.
        """
        dialogue, options = self._dialogue, self._options
        self._armed = False
        dialogue.ask("*OPC?")
        dialogue.errors()
        for command in ("*RST", "*CLS", "LOAD 0", "LOAD:PROT:CLE"):
            dialogue.tell(command)
        slew = f"{options.slew_a_per_us:.4f}"
        for command, query, expected in (
            ("MODE CCH", "MODE?", "CCH"),
            ("CURR:STAT:L1 0.000", "CURR:STAT:L1?", 0.0),
            (f"CURR:STAT:RISE {slew}", "CURR:STAT:RISE?", options.slew_a_per_us),
            (f"CURR:STAT:FALL {slew}", "CURR:STAT:FALL?", options.slew_a_per_us),
            ("LOAD:SHOR 0", "LOAD:SHOR?", 0.0),
        ):
            dialogue.tell(command)
            dialogue.confirm(query, expected, tolerance=1e-3)
        dialogue.confirm("LOAD?", "OFF")
        self._armed = True

    def sink(self, *, current_a: float) -> None:
        if not self._armed:
            raise NotReady(f"{self._role}: sink() before prepare(): mode and slew are not confirmed")
        if not 0.0 <= current_a <= self._max_a:
            raise InstrumentRefused(
                f"{self._role}: current_a {current_a:g} A at {self._clock.now_s:.3f} s is outside 0 to "
                f"{self._max_a:g} A, what [roles.{self._role}] allows; nothing was sent."
            )
        self._dialogue.tell(f"CURR:STAT:L1 {current_a:.3f}")
        self._dialogue.tell("LOAD 1")
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps its input off at {self._clock.now_s:.3f} s: {', '.join(tripped)} "
                "latched. Remove the cause, then prepare() again."
            )

    def tripped(self) -> tuple[str, ...]:
        """The protections that hold the input off: "OCP", "OPP", "OVP", ..."""
        condition = int(self._dialogue.ask("STAT:CHAN:COND?"))
        return tuple(name for bit, name in PROTECTIONS.items() if condition >> bit & 1)

    def measure(self) -> tuple[float, float]:
        voltage_v, current_a = self._dialogue.numbers("MEAS:VOLT?;:MEAS:CURR?")
        return voltage_v, current_a

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited."""
        if self._dialogue.busy:
            return
        t_s = self._clock.now_s
        voltage_v, current_a = self.measure()
        self._voltage_v.append(t_s, voltage_v)
        self._current_a.append(t_s, current_a)

    def off(self) -> None:
        self._dialogue.urge("LOAD 0")

    def is_off(self) -> bool:
        """Input off, and no more current than the ammeter's own error."""
        if self._dialogue.ask("LOAD?") != "OFF":
            return False
        _, current_a = self.measure()
        return abs(current_a) <= 2 * self._options.current_accuracy[1]

    def traces(self) -> dict[str, Trace]:
        return {
            samples.name: samples.trace() for samples in (self._voltage_v, self._current_a) if len(samples)
        }
