"""Rigol DP832 as the low-voltage supply of the DUT, 12 or 24 V: driver, and the exchanges both sides obey.

One channel is used; the driver never touches the others, so there is no `*RST`. The unit refreshes its
readings only 2 to 3 times a second: `measure` waits until a reading cannot be older than the last change, and
a trace is stamped in the middle of the time in which its reading may have been taken. The twin is in
`auxiliary_dp832_twin.py`.
"""

from __future__ import annotations

from pyvisa.resources import MessageBasedResource

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Trace
from instruments.auxiliary_dp832_twin import ACCURACY, REFRESH_S, Dp832Options, Dp832Twin
from instruments.exchange import Exchange
from instruments.power_readings import PowerReadings, refuse_outside
from instruments.scpi_dialogue import Dialogue

__all__ = ["ACCURACY", "EXCHANGES", "Dp832"]

_INSTRO = "nominal-io/instro 1.22.0, psu/drivers/rigol_dp800.py"
_QCODES = "qcodes 0.58.0, rigol/private/DP8xx.py"
_VXI11 = "a public vxi11 driver of the DP800"
_DIGITS = "digits: unverified"

EXCHANGES = (
    Exchange(b"*IDN?", None, _INSTRO, "public driver", "RIGOL TECHNOLOGIES,DP832,..."),
    Exchange(b"*OPT?", b"0", _QCODES, "public driver"),
    Exchange(b"*CLS", None, "IEEE 488.2 common command", "unverified"),
    Exchange(b":SYST:ERR?", b'0,"No error"', _INSTRO, "public driver"),
    Exchange(b":SOUR1:VOLT? MIN", b"0.000", _INSTRO, "public driver", _DIGITS),
    Exchange(b":SOUR1:VOLT? MAX", b"32.000", _INSTRO, "public driver", "32 V as noted from the guide"),
    Exchange(b"OUTP CH1,OFF", None, _INSTRO, "public driver"),
    Exchange(b"OUTP? CH1", b"OFF", _INSTRO, "public driver"),
    Exchange(b"OUTP:OVP:CLEAR CH1", None, _INSTRO, "public driver"),
    Exchange(b"OUTP:OCP:CLEAR CH1", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:VOLT 12.000", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:VOLT?", b"12.000", _INSTRO, "public driver", _DIGITS),
    Exchange(b"SOUR1:CURR 2.000", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:CURR?", b"2.000", _INSTRO, "public driver", _DIGITS),
    Exchange(b"SOUR1:VOLT:PROT 13.200", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:VOLT:PROT:LEV?", b"13.200", _INSTRO, "public driver", _DIGITS),
    Exchange(b"SOUR1:VOLT:PROT:STAT ON", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:VOLT:PROT:STAT?", b"ON", _INSTRO, "public driver"),
    Exchange(b"SOUR1:CURR:PROT 2.200", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:CURR:PROT:LEV?", b"2.200", _INSTRO, "public driver", _DIGITS),
    Exchange(b"SOUR1:CURR:PROT:STAT ON", None, _INSTRO, "public driver"),
    Exchange(b"SOUR1:CURR:PROT:STAT?", b"ON", _INSTRO, "public driver"),
    Exchange(b"OUTP CH1,ON", None, _INSTRO, "public driver"),
    Exchange(b"OUTP:OVP:QUES? CH1", b"NO", _INSTRO, "public driver"),
    Exchange(b"OUTP:OCP:QUES? CH1", b"NO", _INSTRO, "public driver"),
    Exchange(b"MEAS:ALL? CH1", None, _VXI11, "public driver", "volts, amperes, watts"),
    Exchange(b":MEAS:VOLT? CH1", None, _INSTRO, "public driver"),
    Exchange(b"OUTP:MODE? CH1", None, _QCODES, "public driver", "CV, CC or UR; CV when off, says instro"),
    Exchange(
        b":STAT:QUES:INST:ISUM1:COND?", None, _INSTRO, "public driver", "0 off, 1 CC, 2 CV; 4 OVP, 8 OCP"
    ),
    Exchange(b":OUTP:SENS? CH1", b"NONE", _INSTRO, "public driver", "where there are no sense terminals"),
    Exchange(b"APPL CH3,5.000,1.000", None, _VXI11, "public driver", "selects the channel, too"),
    Exchange(b"APPL? CH3", b"CH3:5V/3A,5.000,1.000", _VXI11, "public driver", _DIGITS),
    Exchange(b":INST:NSEL?", b"3", _VXI11, "public driver"),
    Exchange(
        b":INSTrument:NSELect 2; :SOURce:VOLTage:LEVel:IMMediate:AMPLitude 24",
        None,
        _QCODES,
        "public driver",
        "the other dialect, blank after the semicolon included",
    ),
    Exchange(
        b":INSTrument:NSELect 2; :SOURce:VOLTage:LEVel:IMMediate:AMPLitude?",
        b"24.000",
        _QCODES,
        "public driver",
    ),
    Exchange(b":INSTrument:NSELect 2; :OUTPut:STATe?", b"OFF", _QCODES, "public driver"),
)


class Dp832:
    """Rigol DP832 as a `roles.Supply`, for the role `auxiliary`. `off` leaves the DUT without supply.

    Parameters
    ----------
    wire
        VISA resource, LF terminated. LAN: raw socket 5555 or VXI-11.
    clock
        Bench time.
    role
        Role of the station file; names the traces.
    max_v, max_a
        What the station allows [V], [A]; protections are armed a little above.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "visa"
    port = 5555
    twin = Dp832Twin
    Options = Dp832Options
    idn = ("rigol", "dp83")
    watchdog = "none: the output holds when the host falls silent"

    #: A voltage at the terminals from which no DUT of 12 V runs [V].
    DEAD_V = 1.0

    def __init__(
        self,
        wire: MessageBasedResource,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Dp832Options | None = None,
    ) -> None:
        self._dialogue = Dialogue(wire, clock=clock, role=role)
        self._clock, self._role, self._max_v, self._max_a = clock, role, max_v, max_a
        self._options = rated = options or Dp832Options()
        self._channel = rated.channel
        self._armed = False
        # Somebody may have changed something just before.
        self._changed_s, self._noted_s = clock.now_s, -REFRESH_S
        self._readings = PowerReadings(
            role, ACCURACY, rated_v=rated.rated_v, rated_a=rated.rated_a, max_v=max_v, max_a=max_a
        )

    def identity(self) -> str:
        return self._dialogue.ask("*IDN?")

    def prepare(self) -> None:
        """Switch the channel off, then arm over-voltage and over-current protection and read all back.

        Both stand a little above what is allowed; below, the channel regulates.
        """
        dialogue, options, n = self._dialogue, self._options, self._channel
        self._armed = False
        dialogue.errors()
        self._changed_s = self._clock.now_s
        for command in ("*CLS", f"OUTP CH{n},OFF", f"OUTP:OVP:CLEAR CH{n}", f"OUTP:OCP:CLEAR CH{n}"):
            dialogue.tell(command)
        ovp_v = min(options.ovp_margin * self._max_v, 1.1 * options.rated_v)
        ocp_a = min(options.ocp_margin * self._max_a, 1.1 * options.rated_a)
        for command, query, value in (
            (f"SOUR{n}:VOLT 0.000", f"SOUR{n}:VOLT?", 0.0),
            (f"SOUR{n}:CURR 0.000", f"SOUR{n}:CURR?", 0.0),
            (f"SOUR{n}:VOLT:PROT {ovp_v:.3f}", f"SOUR{n}:VOLT:PROT:LEV?", ovp_v),
            (f"SOUR{n}:CURR:PROT {ocp_a:.3f}", f"SOUR{n}:CURR:PROT:LEV?", ocp_a),
        ):
            dialogue.tell(command)
            dialogue.confirm(query, value, tolerance=0.011)
        for quantity in ("VOLT", "CURR"):
            dialogue.tell(f"SOUR{n}:{quantity}:PROT:STAT ON")
            dialogue.confirm(f"SOUR{n}:{quantity}:PROT:STAT?", "ON")
        dialogue.confirm(f"OUTP? CH{n}", "OFF")
        self._armed = True

    def source(self, *, voltage_v: float, current_a: float) -> None:
        if not self._armed:
            raise NotReady(f"{self._role}: source() before prepare(): protection is not armed")
        refuse_outside(self._role, "voltage_v", voltage_v, self._max_v, "V", clock=self._clock)
        refuse_outside(self._role, "current_a", current_a, self._max_a, "A", clock=self._clock)
        if tripped := self.tripped():
            raise InstrumentRefused(
                f"{self._role} keeps channel {self._channel} off at {self._clock.now_s:.3f} s: "
                f"{', '.join(tripped)} latched. Remove the cause, then prepare() again."
            )
        # The current first: a higher voltage never meets an old, higher limit.
        self._dialogue.tell(f"SOUR{self._channel}:CURR {current_a:.3f}")
        self._dialogue.tell(f"SOUR{self._channel}:VOLT {voltage_v:.3f}")
        self._dialogue.tell(f"OUTP CH{self._channel},ON")
        self._changed_s = self._clock.now_s

    def tripped(self) -> tuple[str, ...]:
        """The protections that hold the channel off: "OVP", "OCP"."""
        return tuple(
            name
            for name in ("OVP", "OCP")
            if self._dialogue.ask(f"OUTP:{name}:QUES? CH{self._channel}") == "YES"
        )

    def measure(self) -> tuple[float, float]:
        """Voltage [V] and current [A]; waits until the reading is younger than the last change (0.5 s)."""
        fresh_s = self._changed_s + REFRESH_S - self._clock.now_s
        if fresh_s > 0.0:
            self._clock.sleep(fresh_s)
        return self._look()

    def poll(self) -> None:
        """Note one reading, unless another answer is awaited or the one shown may be an old one."""
        t_s = self._clock.now_s
        if self._dialogue.busy or t_s - max(self._changed_s, self._noted_s) < REFRESH_S:
            return
        self._noted_s = t_s
        # Taken at some time in the last REFRESH_S.
        self._readings.append(t_s - REFRESH_S / 2, *self._look())

    def off(self) -> None:
        self._changed_s = self._clock.now_s
        self._dialogue.urge(f"OUTP CH{self._channel},OFF")

    def is_off(self) -> bool:
        """Channel off, no more current than the ammeter's own error, and no voltage that a DUT runs from."""
        if self._dialogue.ask(f"OUTP? CH{self._channel}") != "OFF":
            return False
        voltage_v, current_a = self.measure()
        return abs(voltage_v) <= self.DEAD_V and abs(current_a) <= self._readings.dead_a

    def traces(self) -> dict[str, Trace]:
        return self._readings.traces()

    def _look(self) -> tuple[float, float]:
        voltage_v, current_a, _ = self._dialogue.numbers(f"MEAS:ALL? CH{self._channel}")
        return voltage_v, current_a
