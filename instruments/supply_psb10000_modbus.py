"""EA Elektro-Automatik PSB 10000 as a source, in Modbus TCP: driver, and the exchanges both sides obey.

The same unit in SCPI is in `supply_psb10000.py`, which says how remote control and its owner work; the
registers and their sources are in `supply_psb10000_registers.py`. No public source names registers for
interface monitoring or "state after remote": set both at the panel (or once over SCPI), or silence switches
nothing off.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from pymodbus.client.base import ModbusBaseSyncClient
from pymodbus.pdu import ModbusPDU

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady
from bench.record import Trace
from bench.wires.modbus import raise_modbus_errors
from instruments.exchange import Exchange, Label
from instruments.power_readings import PowerReadings, refuse_outside
from instruments.supply_psb10000_registers import (
    ACKNOWLEDGE,
    AFTER_POWER_ON,
    ALARM_BIT,
    FULL,
    NOMINAL,
    ON_BIT,
    OUTPUT,
    REMOTE,
    REMOTE_BIT,
    SINK_BIT,
    STATE,
)
from instruments.supply_psb10000_twin import ACCURACY, Psb10000Options, Psb10000Twin

__all__ = ["ACCURACY", "EXCHANGES", "Psb10000Modbus"]

_SENGER = "SengerM/ElectroAutomatikGmbHPy, register_list.csv"
_PRISBERRY = "MaxThePrisberry/battery-tester, psb10000.h"
_UNSEEN = "no source seen"


def _frame(pdu: str, reply: str | None, source: str, note: str, label: Label = "public driver") -> Exchange:
    """Modbus TCP frames to unit 1 with transaction 1, from function and data."""

    def framed(text: str) -> bytes:
        data = bytes.fromhex(text)
        return struct.pack(">HHHB", 1, 0, len(data) + 1, 1) + data

    return Exchange(framed(pdu), framed(reply) if reply else None, source, label, note, face="modbus")


#: Whole frames, as the default unit (200 V, 420 A, 30 kW) answers them.
EXCHANGES = (
    _frame("03 0079 0006", "03 0C 43480000 43D20000 46EA6000", _SENGER, "nominal V, A, W as float32"),
    _frame("03 0097 0014", None, _SENGER, "serial number, 40 characters"),
    _frame("05 0192 FF00", "05 0192 FF00", _SENGER, "remote control on"),
    _frame("05 0195 0000", "05 0195 0000", _SENGER, "DC terminal off"),
    _frame("05 019B FF00", "05 019B FF00", _UNSEEN, "acknowledge alarms", "unverified"),
    _frame("05 0198 0000", "05 0198 0000", _SENGER, "off after power-on; as a coil: unverified"),
    _frame("06 2329 0000", "06 2329 0000", _PRISBERRY, "lower limit of the voltage: 0"),
    _frame("06 01F2 0000", "06 01F2 0000", _PRISBERRY, "sink power: 0"),
    _frame("06 01F3 0000", "06 01F3 0000", _PRISBERRY, "sink current: 0"),
    _frame("06 01F4 6666", "06 01F4 6666", _SENGER, "50 % of nominal voltage: 100 V"),
    _frame("03 01F4 0001", "03 02 6666", _SENGER, "read back"),
    _frame("06 2328 6666", "06 2328 6666", _PRISBERRY, "upper limit of the voltage: 50 %"),
    _frame("06 0226 6B85", "06 0226 6B85", _UNSEEN, "over-voltage protection at 52.5 %", "unverified"),
    _frame("03 01F9 0005", None, _SENGER, "state u32, actual V, A, W"),
)


class Psb10000Modbus:
    """PSB 10000 as a `roles.Supply`, over Modbus TCP.

    Parameters
    ----------
    wire
        pymodbus client, TCP, port 502.
    clock
        Bench time.
    role
        Role of the station file; names the traces.
    max_v, max_a
        What the station allows [V], [A]; limits and protections are set from them.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "modbus"
    framing = "tcp"
    face = "modbus"
    twin = Psb10000Twin
    Options = Psb10000Options
    idn = ("elektro-automatik", "psb 1")
    watchdog = "none: interface monitoring has no known register; arm it at the panel, or use SCPI"

    def __init__(
        self,
        wire: ModbusBaseSyncClient,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: Psb10000Options | None = None,
    ) -> None:
        self._wire, self._clock, self._role = wire, clock, role
        self._max_v, self._max_a = max_v, max_a
        self._options = rated = options or Psb10000Options()
        self._nominal = {"V": rated.rated_v, "A": rated.rated_a, "W": rated.rated_w}
        self._armed = False
        self._busy = False
        self._readings = PowerReadings(
            role, ACCURACY, rated_v=rated.rated_v, rated_a=rated.rated_a, max_v=max_v, max_a=max_a
        )

    def identity(self) -> str:
        """Maker, type, serial number and the versions of KE, HMI and DR."""
        return ", ".join(self._text(address) for address in (21, 1, 151, 191, 211, 231))

    def prepare(self) -> None:
        """Take remote control, then set limits and protections and read all back.

        Raises
        ------
        InstrumentRefused
            If another connector has remote control, the unit is rated otherwise than the station file says,
            or something reads back otherwise than it was set.
        """
        self._armed = False
        self._take()
        self._switch(OUTPUT, False)
        self._check_rating()
        self._switch(ACKNOWLEDGE, True)
        self._switch(AFTER_POWER_ON, False)
        for register, value, unit in self._safe_settings():
            self._set(register, value, unit)
        state, _, _ = self._look()
        if not state & REMOTE_BIT or state & (ON_BIT | ALARM_BIT):
            raise self._refusal(
                "prepare", f"remote control, terminal off and no alarm, found state {state:#x}"
            )
        self._armed = True

    def source(self, *, voltage_v: float, current_a: float) -> None:
        if not self._armed:
            raise NotReady(f"{self._role}: source() before prepare(): protection is not armed")
        refuse_outside(self._role, "voltage_v", voltage_v, self._max_v, "V", clock=self._clock)
        refuse_outside(self._role, "current_a", current_a, self._max_a, "A", clock=self._clock)
        # The current first: a higher voltage never meets an old, higher current.
        self._set(501, current_a, "A")
        self._set(500, voltage_v, "V")
        if self.tripped():
            raise self._refusal("switch on", "no alarm. Remove the cause, then prepare() again")
        self._switch(OUTPUT, True)
        if not self._look()[0] & ON_BIT:
            raise self._refusal("stay on", "no alarm. Remove the cause, then prepare() again")

    def tripped(self) -> tuple[str, ...]:
        """("alarm",) while one holds the terminal off; which one it is, only the panel and SCPI tell."""
        return ("alarm",) if self._look()[0] & ALARM_BIT else ()

    def measure(self) -> tuple[float, float]:
        _, voltage_v, current_a = self._look()
        return voltage_v, current_a

    def poll(self) -> None:
        """Measure once into the traces, unless another answer is awaited."""
        if self._busy:
            return
        t_s = self._clock.now_s
        self._readings.append(t_s, *self.measure())

    def off(self) -> None:
        """Switch the terminal off, taking remote control if it is free or held by another Modbus client.

        Raises
        ------
        InstrumentRefused
            If a SCPI session or the panel has the unit. Then its interface monitoring is what switches off.
        """
        self._take()
        self._switch(OUTPUT, False)

    def is_off(self) -> bool:
        """Terminal off, and no more current than the ammeter's own error."""
        state, _, current_a = self._look()
        return not state & ON_BIT and abs(current_a) <= self._readings.dead_a

    def traces(self) -> dict[str, Trace]:
        return self._readings.traces()

    def _take(self) -> None:
        try:
            self._switch(REMOTE, True)
        except InstrumentRefused as error:
            raise InstrumentRefused(
                f"{error} Another connector (a SCPI session?) or the panel has the unit, and only that can "
                "switch the terminal off. If interface monitoring is on, the unit goes off by itself once "
                "that client has been silent for its time; else close the client, or use the panel or REM-SB."
            ) from error

    def _safe_settings(self) -> list[tuple[int, float, str]]:
        """Register, value and unit, in an order in which no limit ever excludes a set value."""
        options = self._options
        most_v, most_a = min(self._max_v, options.rated_v), min(self._max_a, options.rated_a)
        most_w = min(most_v * most_a, options.rated_w)
        zeros = [
            (9001, "V"),
            (9003, "A"),
            (9009, "A"),
            (500, "V"),
            (501, "A"),
            (499, "A"),
            (498, "W"),
            (502, "W"),
        ]
        return [
            *((register, 0.0, unit) for register, unit in zeros),
            (9000, most_v, "V"),
            (9002, most_a, "A"),
            (9004, most_w, "W"),
            (502, most_w, "W"),
            (550, min(options.ovp_margin * most_v, 1.1 * options.rated_v), "V"),
            (553, min(options.ocp_margin * most_a, 1.1 * options.rated_a), "A"),
            (556, min(options.ocp_margin * most_w, 1.1 * options.rated_w), "W"),
        ]

    def _check_rating(self) -> None:
        words = self._read(NOMINAL, 6, "read the nominal values")
        found = struct.unpack(">fff", struct.pack(">6H", *words))
        wanted = tuple(self._nominal[unit] for unit in "VAW")
        if any(abs(has - said) > 0.01 * said for has, said in zip(found, wanted, strict=True)):
            raise self._refusal(
                "match its station file", f"rated {wanted} V, A, W, found {tuple(round(x, 3) for x in found)}"
            )

    def _look(self) -> tuple[int, float, float]:
        """State, voltage [V] and current [A], positive out of the unit."""
        high, low, volts, amps, _ = self._read(STATE, 5, "read state and actual values")
        state = high << 16 | low
        current_a = amps / FULL * self._nominal["A"]
        return state, volts / FULL * self._nominal["V"], -current_a if state & SINK_BIT else current_a

    def _set(self, register: int, value: float, unit: str) -> None:
        """Write a quantity and read it back."""
        count = min(round(value / self._nominal[unit] * FULL), 0xFFFF)
        what = f"set register {register} to {value:g} {unit}"
        self._do(lambda: self._wire.write_register(register, count, device_id=self._options.unit_id), what)
        found = self._read(register, 1, f"read register {register}")[0]
        if abs(found - count) > 1:
            raise self._refusal(what, f"{count} back, found {found}")

    def _switch(self, coil: int, on: bool) -> None:
        what = f"set coil {coil} {'on' if on else 'off'}"
        self._do(lambda: self._wire.write_coil(coil, on, device_id=self._options.unit_id), what)

    def _text(self, address: int) -> str:
        words = self._read(address, 20, f"read the text at register {address}")
        return struct.pack(">20H", *words).decode("latin-1").rstrip("\0 ")

    def _read(self, address: int, count: int, what: str) -> list[int]:
        unit_id = self._options.unit_id
        return self._do(
            lambda: self._wire.read_holding_registers(address, count=count, device_id=unit_id), what
        )

    def _do(self, request: Callable[[], ModbusPDU], what: str) -> list[int]:
        # While an answer is awaited, clock jobs run; a poll among them must not take it.
        before, self._busy = self._busy, True
        try:
            return raise_modbus_errors(request(), role=self._role, request=what, clock=self._clock)
        finally:
            self._busy = before

    def _refusal(self, what: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused to {what} at {self._clock.now_s:.3f} s: expected {expected}."
        )
