"""Rigol DL3021 electronic load in constant current: driver, and the exchanges both sides obey.

A small load (150 V, 40 A, but 200 W): at 80 V it draws 2.5 A at most, and the driver says so before anything
is sent. It has no watchdog: a rail that it discharges needs another way to be opened. The short circuit is a
key that toggles and cannot be queried, so the driver leaves it alone. Armed sequences run in the load's list
mode. The twin is in `load_dl3021_twin.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Origin, Samples, Trace
from instruments.exchange import Exchange
from instruments.load_dl3021_twin import (
    ACCURACY,
    LONGEST_S,
    MOST_STEPS,
    PROTECTIONS,
    SHORTEST_S,
    Dl3021Options,
    Dl3021Twin,
)
from instruments.roles import Step
from instruments.scpi_dialogue import Dialogue

_INSTRO = "nominal-io/instro 1.22.0, eload/drivers/rigol_dl30xx.py"
_INSTRO_BENCH = "nominal-io/instro, tests/contrib/eload/rigol_dl3031a/test_rigol_dl3031a_hardware.py"
_CHARKSTER = "charkster/rigol_dl3021a, rigol_dl3021a.py: settings of a DL3021A after power-on"
_DRIFT = "jvanderberg/signal-drift, server/devices/drivers/rigol-dl3021.ts"
_FACEBOOK = "RajdeepMallick21/FB-DL3021, LabInstruments/DL3000.py"
_488 = "IEEE 488.2 common command"
_DIGITS = "digits as recorded"

__all__ = ["ACCURACY", "EXCHANGES", "Dl3021"]

EXCHANGES = (
    Exchange(
        b"*IDN?", None, f"{_INSTRO}, and others", "public driver", "RIGOL TECHNOLOGIES,DL3021,DL3A...,..."
    ),
    Exchange(b"*CLS", None, _488, "unverified"),
    Exchange(b"*RST", None, _FACEBOOK, "public driver"),
    Exchange(b"*OPC?", b"1", _488, "unverified"),
    Exchange(b"SYST:ERR?", b'0,"No error"', _INSTRO, "public driver", "it wants a 0 in front"),
    Exchange(b"INP 0", None, _INSTRO, "public driver"),
    Exchange(b"INP?", b"0", _CHARKSTER, "capture", "SOURce:INPut:STATe? there"),
    Exchange(b"OCP:ISET 0.5", None, _INSTRO, "public driver"),
    Exchange(b"FUNC:MODE?", b"OCP", _INSTRO_BENCH, "public driver", "the setting selects the test"),
    Exchange(b"WAVe:TIMe ADD", None, _INSTRO, "public driver"),
    Exchange(b"FUNC:MODE?", b"WAV", _INSTRO_BENCH, "public driver", "it selects the display"),
    Exchange(b"FUNC:MODE FIX", None, _INSTRO, "public driver"),
    Exchange(b"FUNC:MODE?", b"FIX", _CHARKSTER, "capture", "WAV there, after power-on"),
    Exchange(b"FUNC CURR", None, _INSTRO, "public driver"),
    Exchange(b"FUNC?", b"CC", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:RANGe?", b"4", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:LEVel:IMMediate?", b"0.0000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:VON?", b"0.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:VLIMt?", b"155.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:ILIMt?", b"70.0000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:TRANsient:ALEVel?", b"0.0000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:CURRent:TRANsient:AWIDth?", b"0.000000", _CHARKSTER, "capture", "unit unverified: s"),
    Exchange(b"SOURce:CURRent:TRANsient:FREQuency?", b"0.001000", _CHARKSTER, "capture", "unit: Hz"),
    Exchange(b"SOURce:CURRent:TRANsient:PERiod?", b"1000.000000", _CHARKSTER, "capture", "unit: s"),
    Exchange(b"SOURce:CURRent:TRANsient:ADUTy?", b"50", _CHARKSTER, "capture"),
    Exchange(b"SOURce:TRANsient?", b"0", _CHARKSTER, "capture"),
    Exchange(b"SOURce:VOLTage:LEVel:IMMediate?", b"0.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:VOLTage:RANGe?", b"150", _CHARKSTER, "capture"),
    Exchange(b"SOURce:RESistance:LEVel:IMMediate?", b"2.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:RESistance:RANGe?", b"15000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:POWer:LEVel:IMMediate?", b"0.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:BATTary:RANGe?", b"40", _CHARKSTER, "capture", "Battary is how it is spelled"),
    Exchange(b"SOURce:BATTary:VON?", b"0.500", _CHARKSTER, "capture"),
    Exchange(b"SOURce:BATTary:TIMestop?", b"0", _CHARKSTER, "capture"),
    Exchange(b"SOURce:OCP:ISTep?", b"1.0000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:OPP:PMAX?", b"100.000", _CHARKSTER, "capture"),
    Exchange(b"SOURce:SENSe?", b"0", _CHARKSTER, "capture"),
    Exchange(b"CURR:RANG 40", None, _INSTRO, "public driver"),
    Exchange(b"CURR:RANG?", b"40", _CHARKSTER, "capture", "4 there"),
    Exchange(b"CURR:LEV:IMM 1.25", None, _INSTRO, "public driver"),
    Exchange(b"CURR:LEV:IMM?", b"1.2500", _CHARKSTER, "capture", _DIGITS),
    Exchange(b"CURR:SLEW:BOTH 0.25", None, _INSTRO, "public driver", "in A/us"),
    Exchange(b"CURR:SLEW:BOTH?", b"0.250", _CHARKSTER, "capture", _DIGITS),
    Exchange(b"CURR:VLIM 105.0", None, _INSTRO, "public driver", "what it does beyond: unverified"),
    Exchange(b"CURR:VLIM?", b"105.000", _CHARKSTER, "capture", _DIGITS),
    Exchange(b"CURR:ILIM 5.5", None, _INSTRO, "public driver", "what it does beyond: unverified"),
    Exchange(b"CURR:ILIM?", b"5.5000", _CHARKSTER, "capture", _DIGITS),
    Exchange(b"CURRent:TRANsient:MODE PULSe", None, _INSTRO, "public driver"),
    Exchange(b"CURRent:TRANsient:BLEVel 2.0", None, _INSTRO, "public driver"),
    Exchange(b"CURRent:TRANsient:BWIDth 0.1", None, _INSTRO, "public driver"),
    Exchange(b"TRANsient:STATe 1", None, _INSTRO, "public driver"),
    Exchange(b"TRANsient:STATe 0", None, _INSTRO, "public driver"),
    Exchange(b"FUNC:MODE LIST", None, _INSTRO, "public driver"),
    Exchange(b"LIST:MODE CC", None, _INSTRO, "public driver", f"CURR in {_DRIFT}"),
    Exchange(b"LIST:RANG 40", None, _INSTRO, "public driver"),
    Exchange(b"LIST:COUN 1", None, _INSTRO, "public driver", f"0 is for ever ({_DRIFT})"),
    Exchange(b"LIST:STEP 2", None, _INSTRO, "public driver"),
    Exchange(b"LIST:STEP?", b"2", _INSTRO, "unverified"),
    Exchange(b"LIST:LEV 0,1.5", None, _DRIFT, "public driver", f"the first step is 0; so in {_FACEBOOK}"),
    Exchange(b"LIST:WID 0,0.25", None, _DRIFT, "public driver", "in s"),
    Exchange(b"LIST:SLEW 0,0.25", None, _DRIFT, "public driver"),
    Exchange(b"LIST:END OFF", None, _INSTRO, "public driver"),
    Exchange(b"TRIG:SOUR BUS", None, _INSTRO, "public driver"),
    Exchange(b"TRIG:SOUR?", b"BUS", _CHARKSTER, "capture", "NULL there, after power-on"),
    Exchange(b"INP 1", None, _INSTRO, "public driver"),
    Exchange(b"INP?", b"1", _CHARKSTER, "capture", "0 there"),
    Exchange(b"TRIG:IMM", None, _INSTRO, "public driver"),
    Exchange(b"MEAS:VOLT?", None, f"{_INSTRO}; {_FACEBOOK}", "public driver", "0.000067 there"),
    Exchange(b"MEAS:CURR?", None, f"{_INSTRO}; {_FACEBOOK}", "public driver"),
    Exchange(b"MEAS:POW?", None, _FACEBOOK, "public driver"),
    Exchange(b"MEAS:RES?", None, _FACEBOOK, "public driver"),
    Exchange(b"MEAS:CAP?", None, "no source seen", "unverified", "unit: Ah"),
    Exchange(b"MEAS:WATT?", None, "no source seen", "unverified", "unit: Wh"),
    Exchange(b"STAT:QUES:COND?", b"0", "no source seen", "unverified", "header and bits"),
)

#: The limit at which the load switches off lies so far above what the station allows.
_MARGIN = 1.05


class Dl3021:
    """Rigol DL3021 as a `roles.Load` and a `roles.ArmedLoad`.

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
    port = 5555
    twin = Dl3021Twin
    Options = Dl3021Options
    idn = ("rigol", "dl302")
    watchdog = "none"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Dl3021Options | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role = clock, role
        self._options = options or Dl3021Options()
        self._max_v = min(max_v, self._options.rated_v)
        self._max_a = min(max_a, self._options.rated_a)
        self._prepared = self._listed = False
        origin = Origin("measured", role)
        self._voltage_v = Samples(
            f"{role}.voltage_v", "V", origin, uncertainty=ACCURACY["voltage_v"].uncertainty(self._max_v)
        )
        self._current_a = Samples(
            f"{role}.current_a",
            "A",
            origin,
            uncertainty=ACCURACY["current_a"].uncertainty(self._max_a, full_scale=40.0),
        )

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Reset, then constant current in the high range at zero current, slew and limits; all read back."""
        dialogue, slew = self._dialogue, self._options.slew_a_per_us
        self._prepared = self._listed = False
        dialogue.ask("*OPC?")
        dialogue.errors()
        for command in ("*RST", "*CLS", "INP 0"):
            dialogue.tell(command)
        limit_v, limit_a = min(_MARGIN * self._max_v, 155.0), _MARGIN * self._max_a
        for command, query, expected in (
            ("FUNC CURR", "FUNC?", "CC"),
            ("FUNC:MODE FIX", "FUNC:MODE?", "FIX"),
            ("CURR:RANG 40", "CURR:RANG?", 40.0),
            ("CURR:LEV:IMM 0.0000", "CURR:LEV:IMM?", 0.0),
            (f"CURR:SLEW:BOTH {slew:.3f}", "CURR:SLEW:BOTH?", slew),
            (f"CURR:VLIM {limit_v:.3f}", "CURR:VLIM?", limit_v),
            (f"CURR:ILIM {limit_a:.4f}", "CURR:ILIM?", limit_a),
        ):
            dialogue.tell(command)
            dialogue.confirm(query, expected, tolerance=1e-3)
        dialogue.confirm("INP?", 0.0)
        self._prepared = True

    def sink(self, *, current_a: float) -> None:
        self._allow([current_a])
        if self._listed:
            self._dialogue.tell("INP 0")
            self._dialogue.tell("FUNC:MODE FIX")
            self._listed = False
        self._dialogue.tell(f"CURR:LEV:IMM {current_a:.4f}")
        self._switch_on()

    def _switch_on(self) -> None:
        self._dialogue.tell("INP 1")
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps its input off at {self._clock.now_s:.3f} s: {', '.join(tripped)}. "
                "Remove the cause, then try again."
            )

    def _allow(self, currents_a: Sequence[float]) -> None:
        """Refuse what is above the station's limit, or above the rated power at the voltage of now."""
        if not self._prepared:
            raise NotReady(f"{self._role}: a current before prepare(): range and limits are not confirmed")
        for current_a in currents_a:
            if not 0.0 <= current_a <= self._max_a:
                raise InstrumentRefused(
                    f"{self._role}: current_a {current_a:g} A at {self._clock.now_s:.3f} s is outside 0 to "
                    f"{self._max_a:g} A, what [roles.{self._role}] and the rating allow; nothing was sent."
                )
        voltage_v, highest_a = self._dialogue.numbers("MEAS:VOLT?")[0], max(currents_a, default=0.0)
        if voltage_v * highest_a > self._options.rated_w:
            allowed_a = self._options.rated_w / voltage_v
            raise InstrumentRefused(
                f"{self._role}: current_a {highest_a:g} A at {self._clock.now_s:.3f} s is more than the "
                f"{self._options.rated_w:g} W of this load allow: {allowed_a:.2f} A at the {voltage_v:.2f} V "
                "on its terminals; nothing was set."
            )

    def arm(self, steps: Sequence[Step]) -> None:
        """Store the steps as a list that ends with the input off; the input goes off and waits for `fire`."""
        in_time = all(SHORTEST_S <= step.duration_s <= LONGEST_S for step in steps)
        if not (0 < len(steps) <= MOST_STEPS and in_time):
            raise InstrumentRefused(
                f"{self._role}: {len(steps)} steps at {self._clock.now_s:.3f} s: expected 1 to {MOST_STEPS}, "
                f"each {SHORTEST_S:g} to {LONGEST_S:g} s; nothing was sent."
            )
        self._allow([step.current_a for step in steps])
        tell, slew = self._dialogue.tell, self._options.slew_a_per_us
        tell("INP 0")
        self._listed = True
        for command in ("FUNC:MODE LIST", "LIST:MODE CC", "LIST:RANG 40", "LIST:COUN 1", "LIST:END OFF"):
            tell(command)
        tell(f"LIST:STEP {len(steps)}")
        for number, step in enumerate(steps):  # the display counts from 1, the commands from 0
            tell(f"LIST:LEV {number},{step.current_a:.4f}")
            tell(f"LIST:WID {number},{step.duration_s:.6f}")
            tell(f"LIST:SLEW {number},{slew:.3f}")
        tell("TRIG:SOUR BUS")
        self._dialogue.confirm("FUNC:MODE?", "LIST")
        self._dialogue.confirm("LIST:STEP?", float(len(steps)))
        self._dialogue.confirm("TRIG:SOUR?", "BUS")

    def fire(self) -> None:
        if not self._listed:
            raise NotReady(f"{self._role}: fire() before arm(): there is no sequence")
        self._switch_on()
        self._dialogue.tell("TRIG:IMM")

    def fired(self) -> bool:
        """Whether the load has switched itself off again.

        Raises
        ------
        InstrumentRefused
            If a protection did so.
        """
        if self._dialogue.ask("INP?") != "0":
            return False
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role}: the sequence ended before its time, seen at {self._clock.now_s:.3f} s: "
                f"{', '.join(tripped)}."
            )
        return True

    def tripped(self) -> tuple[str, ...]:
        """The protections that switched the input off: "OCP", "OPP", "OVP", ..."""
        condition = int(self._dialogue.numbers("STAT:QUES:COND?")[0])
        return tuple(name for bit, name in PROTECTIONS.items() if condition >> bit & 1)

    def measure(self) -> tuple[float, float]:
        return self._dialogue.numbers("MEAS:VOLT?")[0], self._dialogue.numbers("MEAS:CURR?")[0]

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited."""
        if self._dialogue.busy:
            return
        t_s = self._clock.now_s
        voltage_v, current_a = self.measure()
        self._voltage_v.append(t_s, voltage_v)
        self._current_a.append(t_s, current_a)

    def off(self) -> None:
        self._dialogue.urge("INP 0")

    def is_off(self) -> bool:
        """Input off, and no more current than the ammeter's own error."""
        if self._dialogue.ask("INP?") != "0":
            return False
        _, current_a = self.measure()
        return abs(current_a) <= 2 * ACCURACY["current_a"].limit(0.0, full_scale=40.0)

    def traces(self) -> dict[str, Trace]:
        return {
            samples.name: samples.trace() for samples in (self._voltage_v, self._current_a) if len(samples)
        }
