"""EA Elektro-Automatik PSB 10000 as a source, in SCPI: driver, and the exchanges both sides obey.

It could also sink; the driver sets the sink side to zero, discharging is the load's part. The same unit in
Modbus is in `supply_psb10000_modbus.py`, the twin of both in `supply_psb10000_twin.py`.

Two things differ from other supplies. Nothing can be set without remote control, which one connector has at a
time: all SCPI sessions are one owner, a Modbus client is another. And what helps when the owner falls silent
is *interface monitoring*: it takes remote control away, and the terminal then does what "state after remote"
says. `prepare` sets both so that silence switches off.
"""

from __future__ import annotations

from dataclasses import replace

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Trace
from instruments.exchange import Exchange
from instruments.power_readings import PowerReadings, refuse_outside
from instruments.scpi_dialogue import Dialogue
from instruments.supply_psb10000_twin import ACCURACY, ALARMS, COUNTERS, Psb10000Options, Psb10000Twin

__all__ = ["ACCURACY", "EXCHANGES", "Psb10000"]

_INSTRO = "nominal-io/instro 1.22.0, psu/drivers/ea_psb10000.py"
_PSB = "Michaelis33-BS/PSB-10000, src/ea_psb10000"
_PST = "ami3go/RobotFrameworks_hw_drivers, rf_ea_ps9000t, from the EA guide PGMBEN rev. 17"
_DIGITS = "decimals: unverified"

#: Counters of alarms since power-on, and the alarms that are there now, in one message of five commands.
_ALARM_QUERY = (
    "SYST:ALAR:COUN:OVOL?;:SYST:ALAR:COUN:OCUR?;:SYST:ALAR:COUN:OPOW?;:SYST:ALAR:COUN:OTEM?;:STAT:QUES:COND?"
)
_COUNTED = [alarm for alarm in COUNTERS if alarm != "PF"]

_SAID = (
    Exchange(b"*IDN?", None, _PST, "public driver", "maker, model, serial, firmware, user text"),
    Exchange(b"*STB?", None, _PST, "public driver"),
    Exchange(b"SYST:ERR?", b'0,"No error"', _INSTRO, "public driver", "acknowledges alarms, too"),
    Exchange(b"SYST:ERR:ALL?", b'0,"No error"', _PSB, "public driver", "up to five at once"),
    Exchange(b"SYST:NOM:VOLT?", b"200.00 V", _PSB, "public driver", _DIGITS),
    Exchange(b"SYST:NOM:CURR?", b"420.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"SYST:NOM:RES:MIN?", b"0.014 Ohm", _PSB, "public driver", f"{_DIGITS}, and the value"),
    Exchange(b"SYST:NOM:RES:MAX?", b"28.571 Ohm", _PSB, "public driver", f"{_DIGITS}, and the value"),
    Exchange(b"RES:LIM:HIGH?", b"28.571 Ohm", _PSB, "public driver", _DIGITS),
    Exchange(b"SINK:RES:LIM:HIGH?", b"28.571 Ohm", _PSB, "public driver", _DIGITS),
    Exchange(b"SYST:CONF:CONT:SPE?", b"NORM", _PSB, "public driver", "value: unverified"),
    Exchange(b"SYST:COMM:INT:CODE?", b"255", _PSB, "public driver", "no module in the slot"),
    Exchange(b"SYST:COMM:LAN:IND?", b"2", _PSB, "public driver", "the built-in one"),
    Exchange(b"SYST:LOCK:OWN?", b"NONE", _PSB, "public driver"),
    Exchange(b"SYST:LOCK ON", None, _INSTRO, "public driver"),
    Exchange(b"SYST:LOCK:OWN?", b"REMOTE", _INSTRO, "public driver"),
    Exchange(b"*RST", None, _PST, "public driver"),
    Exchange(b"*CLS", None, _PST, "public driver"),
    Exchange(b"OUTP OFF", None, _INSTRO, "public driver"),
    Exchange(b"OUTP?", b"OFF", _INSTRO, "public driver"),
    Exchange(b"POW:STAG:AFT:REM OFF", None, _PSB, "public driver"),
    Exchange(b"POW:STAG:AFT:REM?", b"OFF", _PSB, "public driver"),
    Exchange(b"SYST:CONF:OUTP:REST OFF", None, _PSB, "public driver"),
    Exchange(b"SYST:CONF:OUTP:REST?", b"OFF", _PSB, "public driver"),
    Exchange(b"SYST:CONF:MODE UIR", None, _PSB, "public driver"),
    Exchange(b"SINK:RES 5.000", None, _PSB, "public driver"),
    Exchange(b"SINK:RES?", b"5.000 Ohm", _PSB, "public driver", _DIGITS),
    Exchange(b"SYST:CONF:MODE UIP", None, _PSB, "public driver"),
    Exchange(b"VOLT:LIM:LOW 0", None, _PSB, "public driver"),
    Exchange(b"VOLT:LIM:LOW?", b"0.00 V", _PSB, "public driver", _DIGITS),
    Exchange(b"CURR:LIM:LOW 0", None, _PSB, "public driver"),
    Exchange(b"CURR:LIM:LOW?", b"0.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"SINK:CURR:LIM:LOW 0", None, _PSB, "public driver"),
    Exchange(b"SINK:CURR:LIM:LOW?", b"0.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"SINK:CURR 0.000", None, _INSTRO, "public driver"),
    Exchange(b"SINK:CURR?", b"0.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"SINK:POW 0", None, _PSB, "public driver"),
    Exchange(b"SINK:POW?", b"0.0 W", _PSB, "public driver", _DIGITS),
    Exchange(b"VOLT 48.120", None, _INSTRO, "public driver"),
    Exchange(b"VOLT?", b"48.12 V", _PSB, "public driver", _DIGITS),
    Exchange(b"CURR 20.000", None, _INSTRO, "public driver"),
    Exchange(b"CURR?", b"20.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"POW 1500", None, _PSB, "public driver"),
    Exchange(b"POW?", b"1500.0 W", _PSB, "public driver", _DIGITS),
    Exchange(b"VOLT:LIM:HIGH 100", None, _PSB, "public driver"),
    Exchange(b"VOLT:LIM:HIGH?", b"100.00 V", _PSB, "public driver", _DIGITS),
    Exchange(b"CURR:LIM:HIGH 100", None, _PSB, "public driver"),
    Exchange(b"CURR:LIM:HIGH?", b"100.00 A", _PSB, "public driver", _DIGITS),
    Exchange(b"POW:LIM:HIGH 10000", None, _PSB, "public driver"),
    Exchange(b"POW:LIM:HIGH?", b"10000.0 W", _PSB, "public driver", _DIGITS),
    Exchange(b"VOLT:PROT 105.000", None, _INSTRO, "public driver"),
    Exchange(b"VOLT:PROT?", b"105.00 V", _INSTRO, "public driver", _DIGITS),
    Exchange(b"CURR:PROT 110.000", None, _INSTRO, "public driver"),
    Exchange(b"CURR:PROT?", b"110.00 A", _INSTRO, "public driver", _DIGITS),
    Exchange(b"POW:PROT 11000", None, _PSB, "public driver"),
    Exchange(b"POW:PROT?", b"11000.0 W", _PSB, "public driver", _DIGITS),
    Exchange(b"SYST:CONF:UVD 10", None, _PSB, "public driver"),
    Exchange(b"SYST:CONF:UVD:ACT ALARM", None, _PSB, "public driver"),
    Exchange(b"SYST:CONF:UVD:ACT NONE", None, _PSB, "public driver"),
    Exchange(
        b"SYST:COMM:MON:TIME 10", None, _PSB, "public driver", "other public code says TIM; no guide seen"
    ),
    Exchange(b"SYST:COMM:MON:TIME?", b"10", _PSB, "public driver", "likewise"),
    Exchange(b"SYST:COMM:MON:TIM 10", None, "public code without a manual beside it", "unverified"),
    Exchange(b"SYST:COMM:MON:TIM?", b"10", "public code without a manual beside it", "unverified"),
    Exchange(b"SYST:COMM:MON:ACT ON", None, _PSB, "public driver", "in every public driver seen"),
    Exchange(b"SYST:COMM:MON:ACT?", b"ON", _PSB, "public driver"),
    Exchange(b"SYST:COMM:MON:ACT OFF", None, _PSB, "public driver"),
    Exchange(b"OUTP ON", None, _INSTRO, "public driver"),
    Exchange(b"OUTP?", b"ON", _INSTRO, "public driver"),
    Exchange(b"MEAS:VOLT?", None, _INSTRO, "public driver", "43.50V in its comment"),
    Exchange(b"MEAS:CURR?", None, _INSTRO, "public driver", "positive out of the unit"),
    Exchange(b"MEAS:ARR?", None, _PSB, "public driver", "48.00 V, 1.00 A, 48.0 W"),
    Exchange(b"STAT:OPER:COND?", None, _PSB, "public driver"),
    Exchange(
        _ALARM_QUERY.encode(), None, _PSB, "public driver", "the counters are cleared by power-off only"
    ),
    Exchange(b"SYST:LOCK OFF", None, _INSTRO, "public driver"),
)
EXCHANGES = tuple(replace(exchange, face="scpi") for exchange in _SAID)

#: Both spellings that public drivers use for the time of interface monitoring; no EA guide was seen for it.
_MONITORING = ("SYST:COMM:MON:TIME", "SYST:COMM:MON:TIM")


class Psb10000:
    """PSB 10000 as a `roles.Supply`, over SCPI.

    Parameters
    ----------
    wire
        VISA resource, LF terminated. LAN: raw socket 5025.
    clock
        Bench time.
    role
        Role of the station file; names the traces.
    max_v, max_a
        What the station allows [V], [A]; limits and protections are set from them.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    face = "scpi"
    twin = Psb10000Twin
    Options = Psb10000Options
    idn = ("elektro-automatik", "psb 1")
    watchdog = "instrument: terminal off after `monitoring_s` without a message (interface monitoring)"

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Psb10000Options | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role, self._max_v, self._max_a = clock, role, max_v, max_a
        self._options = rated = options or Psb10000Options()
        self._armed = False
        self._counted: list[int] | None = None
        self._readings = PowerReadings(
            role, ACCURACY, rated_v=rated.rated_v, rated_a=rated.rated_a, max_v=max_v, max_a=max_a
        )

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Take remote control, then arm limits, protections and interface monitoring and read all back.

        Alarms that are there are acknowledged. Over-current and over-power protection stand a little above
        what is allowed: the set values regulate first.
        """
        dialogue, options = self._dialogue, self._options
        self._armed = False
        dialogue.errors()
        self._lock()
        dialogue.confirm("SYST:LOCK:OWN?", "REMOTE")
        dialogue.tell("OUTP OFF")
        for query, nominal, unit in (
            ("SYST:NOM:VOLT?", options.rated_v, "V"),
            ("SYST:NOM:CURR?", options.rated_a, "A"),
        ):
            dialogue.confirm(query, nominal, tolerance=0.01 * nominal, unit=unit)
        for command, word in (
            ("POW:STAG:AFT:REM", "OFF"),
            ("SYST:CONF:OUTP:REST", "OFF"),
        ):
            dialogue.tell(f"{command} {word}")
            dialogue.confirm(f"{command}?", word)
        for header, value, unit in self._safe_settings():
            dialogue.tell(f"{header} {value:.3f}")
            # The unit rounds to the decimals of its display.
            dialogue.confirm(f"{header}?", value, tolerance=0.001 * max(10.0, value), unit=unit)
        self._monitor()
        dialogue.confirm("OUTP?", "OFF")
        self._counted = self._counters()[0]
        self._armed = True

    def source(self, *, voltage_v: float, current_a: float) -> None:
        if not self._armed:
            raise NotReady(f"{self._role}: source() before prepare(): protection is not armed")
        refuse_outside(self._role, "voltage_v", voltage_v, self._max_v, "V", clock=self._clock)
        refuse_outside(self._role, "current_a", current_a, self._max_a, "A", clock=self._clock)
        # Before the first setting: the error query after it would acknowledge the alarm.
        self._refuse_tripped()
        # The current first: a higher voltage never meets an old, higher current.
        self._dialogue.tell(f"CURR {current_a:.3f}")
        self._dialogue.tell(f"VOLT {voltage_v:.3f}")
        self._dialogue.tell("OUTP ON")
        self._refuse_tripped()

    def tripped(self) -> tuple[str, ...]:
        """The alarms there were since `prepare`, and those that hold the terminal off now."""
        counts, condition = self._counters()
        before = self._counted or counts
        seen = {name for name, now, then in zip(_COUNTED, counts, before, strict=True) if now > then}
        seen |= {name for bit, name in ALARMS.items() if condition >> bit & 1}
        return tuple(name for name in ALARMS.values() if name in seen)

    def measure(self) -> tuple[float, float]:
        voltage_v, current_a, _ = self._dialogue.numbers("MEAS:ARR?", units=("V", "A", "W"))
        return voltage_v, current_a

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited. It feeds interface monitoring."""
        if self._dialogue.busy:
            return
        t_s = self._clock.now_s
        self._readings.append(t_s, *self.measure())

    def off(self) -> None:
        """Switch the terminal off, taking remote control if it is free or held by another SCPI session.

        Raises
        ------
        InstrumentRefused
            If a Modbus client or the panel has the unit. Then interface monitoring is what switches off, once
            that client is silent.
        """
        self._lock()
        self._dialogue.urge("OUTP OFF")

    def is_off(self) -> bool:
        """Terminal off, and no more current than the ammeter's own error."""
        if self._dialogue.ask("OUTP?") != "OFF":
            return False
        _, current_a = self.measure()
        return abs(current_a) <= self._readings.dead_a

    def traces(self) -> dict[str, Trace]:
        return self._readings.traces()

    def _lock(self) -> None:
        try:
            self._dialogue.urge("SYST:LOCK ON")
        except InstrumentRefused as error:
            raise InstrumentRefused(
                f"{error}. Another connector (a Modbus client?) or the panel has the unit, and only that can "
                "switch the terminal off. If interface monitoring is on, the unit goes off by itself once "
                "that client has been silent for its time; else close the client, or use the panel or REM-SB."
            ) from error

    def _safe_settings(self) -> list[tuple[str, float, str]]:
        """Header, value and unit, in an order in which no limit ever excludes a set value."""
        options = self._options
        most_v, most_a = min(self._max_v, options.rated_v), min(self._max_a, options.rated_a)
        most_w = min(most_v * most_a, options.rated_w)
        return [
            ("VOLT:LIM:LOW", 0.0, "V"),
            ("CURR:LIM:LOW", 0.0, "A"),
            ("SINK:CURR:LIM:LOW", 0.0, "A"),
            ("VOLT", 0.0, "V"),
            ("CURR", 0.0, "A"),
            ("SINK:CURR", 0.0, "A"),
            ("SINK:POW", 0.0, "W"),
            ("POW", 0.0, "W"),
            ("VOLT:LIM:HIGH", most_v, "V"),
            ("CURR:LIM:HIGH", most_a, "A"),
            ("POW:LIM:HIGH", most_w, "W"),
            ("POW", most_w, "W"),
            ("VOLT:PROT", min(options.ovp_margin * most_v, 1.1 * options.rated_v), "V"),
            ("CURR:PROT", min(options.ocp_margin * most_a, 1.1 * options.rated_a), "A"),
            ("POW:PROT", min(options.ocp_margin * most_w, 1.1 * options.rated_w), "W"),
        ]

    def _monitor(self) -> None:
        """Set the time of interface monitoring in the spelling that the unit takes, and switch it on."""
        dialogue, time_s = self._dialogue, self._options.monitoring_s
        for header in _MONITORING:
            try:
                dialogue.tell(f"{header} {time_s}")
            except InstrumentRefused:
                if header == _MONITORING[-1]:
                    raise
                continue
            dialogue.confirm(f"{header}?", float(time_s))
            break
        dialogue.tell("SYST:COMM:MON:ACT ON")
        dialogue.confirm("SYST:COMM:MON:ACT?", "ON")

    def _counters(self) -> tuple[list[int], int]:
        """Counts of the alarms in `_COUNTED`, and the questionable condition."""
        *counts, condition = (round(number) for number in self._dialogue.numbers(_ALARM_QUERY))
        return counts, condition

    def _refuse_tripped(self) -> None:
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps its terminal off at {self._clock.now_s:.3f} s: alarm "
                f"{', '.join(tripped)} since prepare(). Remove the cause, then prepare() again."
            )
