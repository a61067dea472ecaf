"""Chroma 63200A electronic load in constant current: driver, and the exchanges both sides obey.

The family has no watchdog: a rail that this load discharges needs another way to be opened. Armed sequences
run in its dynamic mode, so they are two levels in turn, any number of times. Constant resistance, power and
voltage are there in the twin, which is in `load_63200a_twin.py`; the driver has no use for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Origin, Samples, Trace
from instruments.accuracy import Accuracy
from instruments.exchange import Exchange
from instruments.load_63200a_twin import (
    ACCURACY,
    LONGEST_S,
    MOST_REPEATS,
    PROTECTIONS,
    SHORTEST_S,
    Load63200AOptions,
    Load63200ATwin,
    rated,
)
from instruments.roles import Step
from instruments.scpi_dialogue import Dialogue

_MANUAL = "Chroma 63200A Series user manual"
_MANUAL_63600 = "Chroma 63600 Series operation and programming manual, version 2.2"
_PED = "AnnaGiasson/PythonEquipmentDrivers 2.12.1, Chroma_63206A"
_DIGITS = "digits of the answer: unverified"

__all__ = ["ACCURACY", "EXCHANGES", "Load63200A"]

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
    Exchange(b"MODE CCDH", None, _PED, "public driver", "mode CCD, range H"),
    Exchange(b"MODE?", b"CCDH", _PED, "public driver"),
    Exchange(b"CURR:DYN:L1 12.5", None, _PED, "public driver"),
    Exchange(b"CURR:DYN:L1?", b"12.5000", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:L2 0.0", None, _PED, "public driver"),
    Exchange(b"CURR:DYN:L2?", b"0.0000", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:T1 0.25", None, _PED, "public driver", "in s"),
    Exchange(b"CURR:DYN:T1?", b"0.2500", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:T2 0.01", None, _PED, "public driver", "in s"),
    Exchange(b"CURR:DYN:T2?", b"0.0100", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:RISE 2.5", None, _PED, "public driver", "in A/us"),
    Exchange(b"CURR:DYN:RISE?", b"2.5000", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:FALL 2.5", None, _PED, "public driver", "in A/us"),
    Exchange(b"CURR:DYN:FALL?", b"2.5000", _PED, "public driver", _DIGITS),
    Exchange(b"CURR:DYN:REP 3", None, _PED, "public driver", "then it switches itself off; 0: never"),
    Exchange(b"CURR:DYN:REP?", b"3", _PED, "public driver"),
    Exchange(b"MODE CRH", None, _PED, "public driver"),
    Exchange(b"RES:STAT:L1 4.0", None, _PED, "public driver"),
    Exchange(b"RES:STAT:L1?", b"4.0000", _PED, "public driver", _DIGITS),
    Exchange(b"MODE CVH", None, f"{_PED}: VOLT:STAT:L1", "unverified", "the word is guessed from CC, CR, CP"),
    Exchange(b"VOLT:STAT:L1 60.0", None, _PED, "public driver"),
    Exchange(b"VOLT:STAT:L1?", b"60.0000", _PED, "public driver", _DIGITS),
    Exchange(b"VOLT:STAT:ILIM 30.0", None, _PED, "public driver"),
    Exchange(b"VOLT:STAT:ILIM?", b"30.0000", _PED, "public driver", _DIGITS),
    Exchange(b"MODE CPH", None, _PED, "public driver"),
    Exchange(b"POW:STAT:L1 20.0", None, _PED, "public driver"),
    Exchange(b"POW:STAT:L1?", b"20.0000", _PED, "public driver", _DIGITS),
    Exchange(b"POW:STAT:FALL 2.5", None, f"{_MANUAL_63600}, p. 202", "unverified", "manual of a sibling"),
    Exchange(b"LOAD:SHOR 0", None, _PED, "public driver"),
    Exchange(b"LOAD:SHOR?", b"0", _PED, "public driver"),
    Exchange(b"LOAD 0", None, _PED, "public driver"),
    Exchange(b"LOAD?", b"OFF", _PED, "public driver", "ON if on"),
    Exchange(b"LOAD 1", None, _PED, "public driver"),
    Exchange(b"LOAD?", b"ON", _PED, "public driver"),
    Exchange(b"LOAD:PROT:CLE", None, f"{_MANUAL}, p. 4-7", "manual", "named under *RST"),
    Exchange(b"MEAS:VOLT?", None, _PED, "public driver"),
    Exchange(b"MEAS:CURR?", None, _PED, "public driver"),
    Exchange(b"FETC:VOLT?", None, _PED, "public driver", "the last sample again"),
    Exchange(b"FETC:CURR?", None, _PED, "public driver"),
    Exchange(b"FETC:POW?", None, _PED, "public driver"),
    Exchange(
        b"STAT:CHAN:COND?", b"0", f"{_MANUAL_63600}, p. 5-86", "unverified", "2048 in the example there"
    ),
)


class Load63200A:
    """Chroma 63200A as a `roles.Load` and a `roles.ArmedLoad`.

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
    idn = ("chroma", "632")
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
        self._prepared = self._dynamic = False
        origin = Origin("measured", role)
        self._voltage_v = Samples(
            f"{role}.voltage_v", "V", origin, uncertainty=self._accuracy("voltage_v").uncertainty(max_v)
        )
        self._current_a = Samples(
            f"{role}.current_a", "A", origin, uncertainty=self._accuracy("current_a").uncertainty(max_a)
        )

    def _accuracy(self, quantity: str) -> Accuracy:
        """Of the range that is used: it holds the rating and what the station allows."""
        options = self._options
        highest = {
            "voltage_v": max(options.rated_v, self._max_v),
            "current_a": max(options.total_a, self._max_a),
        }
        return rated(quantity, highest[quantity])

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Reset, then choose constant current and slew at zero current and read all back.

        Over-current, over-power and over-voltage protection of this family follow the rating and are always
        armed. The short-circuit function is switched off: it ignores the current setting.
        """
        dialogue, options = self._dialogue, self._options
        self._prepared = self._dynamic = False
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
        self._prepared = True

    def sink(self, *, current_a: float) -> None:
        self._allow(current_a)
        if self._dynamic:
            self._dialogue.tell("LOAD 0")
            self._dialogue.tell("MODE CCH")
            self._dynamic = False
        self._dialogue.tell(f"CURR:STAT:L1 {current_a:.3f}")
        self._switch_on()

    def _switch_on(self) -> None:
        self._dialogue.tell("LOAD 1")
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps its input off at {self._clock.now_s:.3f} s: {', '.join(tripped)} "
                "latched. Remove the cause, then prepare() again."
            )

    def _allow(self, current_a: float) -> None:
        if not self._prepared:
            raise NotReady(f"{self._role}: a current before prepare(): mode and slew are not confirmed")
        if not 0.0 <= current_a <= self._max_a:
            raise InstrumentRefused(
                f"{self._role}: current_a {current_a:g} A at {self._clock.now_s:.3f} s is outside 0 to "
                f"{self._max_a:g} A, what [roles.{self._role}] allows; nothing was sent."
            )

    def arm(self, steps: Sequence[Step]) -> None:
        """Store the two levels in the dynamic mode; the input goes off and waits for `fire`."""
        for step in steps:
            self._allow(step.current_a)
        first, second, repeats = self._alternation(steps)
        dialogue, slew = self._dialogue, self._options.slew_a_per_us
        dialogue.tell("LOAD 0")
        for command, query, expected in (
            ("MODE CCDH", "MODE?", "CCDH"),
            (f"CURR:DYN:L1 {first.current_a:.3f}", "CURR:DYN:L1?", first.current_a),
            (f"CURR:DYN:L2 {second.current_a:.3f}", "CURR:DYN:L2?", second.current_a),
            (f"CURR:DYN:T1 {first.duration_s:.6f}", "CURR:DYN:T1?", first.duration_s),
            (f"CURR:DYN:T2 {second.duration_s:.6f}", "CURR:DYN:T2?", second.duration_s),
            (f"CURR:DYN:RISE {slew:.4f}", "CURR:DYN:RISE?", slew),
            (f"CURR:DYN:FALL {slew:.4f}", "CURR:DYN:FALL?", slew),
            (f"CURR:DYN:REP {repeats}", "CURR:DYN:REP?", float(repeats)),
        ):
            self._dynamic = True
            dialogue.tell(command)
            dialogue.confirm(query, expected, tolerance=1e-3)

    def _alternation(self, steps: Sequence[Step]) -> tuple[Step, Step, int]:
        """Both levels and how often: all that the dynamic mode can do."""
        pulse = len(steps) == 1
        first, second = (*steps, Step(0.0, SHORTEST_S))[:2] if steps else (Step(0.0, 0.0),) * 2
        repeats = 1 if pulse else len(steps) // 2
        alternates = pulse or list(steps) == [first, second] * repeats
        in_time = all(SHORTEST_S <= step.duration_s <= LONGEST_S for step in (first, second))
        if not (steps and alternates and in_time and repeats <= MOST_REPEATS):
            raise InstrumentRefused(
                f"{self._role}: {len(steps)} steps at {self._clock.now_s:.3f} s: expected one, or two in "
                f"turn up to {MOST_REPEATS} times, each {SHORTEST_S:g} to {LONGEST_S:g} s, as the dynamic "
                "mode has them; nothing was sent."
            )
        return first, second, repeats

    def fire(self) -> None:
        if not self._dynamic:
            raise NotReady(f"{self._role}: fire() before arm(): there is no sequence")
        self._switch_on()

    def fired(self) -> bool:
        """Whether the load has switched itself off again.

        Raises
        ------
        InstrumentRefused
            If a protection did so.
        """
        if self._dialogue.ask("LOAD?") != "OFF":
            return False
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role}: the sequence ended before its time, seen at {self._clock.now_s:.3f} s: "
                f"{', '.join(tripped)} latched."
            )
        return True

    def tripped(self) -> tuple[str, ...]:
        """The protections that hold the input off: "OCP", "OPP", "OVP", ..."""
        condition = int(self._dialogue.numbers("STAT:CHAN:COND?")[0])
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
        return abs(current_a) <= 2 * self._accuracy("current_a").limit(0.0, full_scale=self._options.total_a)

    def traces(self) -> dict[str, Trace]:
        return {
            samples.name: samples.trace() for samples in (self._voltage_v, self._current_a) if len(samples)
        }
