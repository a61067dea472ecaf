"""Modbus relay modules that insert faults, one coil per relay: drivers for TCP and RS-485, and the exchanges.

What the modules of several makers have in common, as Waveshare's: coils from address 0, read with function 1,
written with 5 and 15. The twin is in `faultbox_modbus_coils_twin.py`.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from pymodbus.client.base import ModbusBaseSyncClient
from pymodbus.pdu import ModbusPDU

from bench.clock import Clock
from bench.record import Trace
from bench.wires.modbus import raise_modbus_errors
from bench.wires.modbus_server import Framing, rtu
from instruments.exchange import Exchange
from instruments.faultbox_modbus_coils_twin import ModbusCoilsOptions, ModbusCoilsTwin
from instruments.relay_contacts import Faults, check_current

_COILS = (
    "ROS package cl_modbus_tcp_relay: coils 0 to 7, unit 1, functions 1, 5 and 15; "
    "layout: MODBUS Application Protocol Specification V1.1b3"
)


def _exchange(request: str, reply: str, note: str) -> tuple[Exchange, Exchange]:
    """One for each connector, at unit 1: with the header of Modbus TCP, and with address and CRC of RTU."""
    asked, answered = bytes.fromhex(request), bytes.fromhex(reply)
    return (
        Exchange(_tcp(asked), _tcp(answered), _COILS, "public driver", note, face="tcp"),
        Exchange(rtu(1, asked), rtu(1, answered), _COILS, "public driver", note, face="rtu"),
    )


def _tcp(pdu: bytes) -> bytes:
    return struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu


#: Whole frames, in the order of a session with 8 coils.
EXCHANGES = (
    *_exchange("01 0000 0008", "01 01 00", "all off"),
    *_exchange("05 0005 FF00", "05 0005 FF00", "coil 5 on"),
    *_exchange("01 0000 0008", "01 01 20", "after that"),
    *_exchange("05 0005 0000", "05 0005 0000", "coil 5 off"),
    *_exchange("0F 0000 0008 01 00", "0F 0000 0008", "all off"),
)


class ModbusCoils:
    """A relay module on Modbus TCP as a `roles.FaultBox`; the address is `tcp://<host>:502`.

    A fault is in when the relay has been read back on and its contact had time to move; faults that exclude
    each other are refused until the first is out.

    Parameters
    ----------
    wire
        pymodbus client.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    max_v, max_a
        What the wiring may put on a contact [V], [A]; `max_a` must be within the rating of the contacts.
    options
        The `[roles.<name>.options]` table.
    """

    transport = "modbus"
    framing: Framing = "tcp"
    face = "tcp"
    twin = ModbusCoilsTwin
    Options = ModbusCoilsOptions
    idn = ("modbus relay module",)
    idn_options: ClassVar[dict[str, Any]] = {"relays": {}}
    nameless = True
    watchdog = "none: relays stay as they are when the host falls silent; they drop out without power"

    def __init__(
        self,
        wire: ModbusBaseSyncClient,
        *,
        clock: Clock,
        role: str,
        max_v: float,
        max_a: float,
        options: ModbusCoilsOptions,
    ) -> None:
        check_current(role, options, max_v=max_v, max_a=max_a)
        self._wire, self._clock, self._role, self.options = wire, clock, role, options
        self._faults = Faults(options, clock=clock, role=role)
        self.faults = self._faults.names

    def identity(self) -> str:
        """That somebody has that many coils: these modules have no name to ask for."""
        self._coils()
        return f"Modbus relay module at device {self.options.device_id} with {self.options.coils} coils"

    def prepare(self) -> None:
        """Open all relays."""
        self.off()

    def insert(self, fault: str) -> None:
        number = self._faults.join(fault)
        self._write(number, True)
        self._faults.settle(fault, lambda: self._coils()[number], True)

    def remove(self, fault: str) -> None:
        number = self._faults.relay(fault)
        self._write(number, False)
        self._faults.settle(fault, lambda: self._coils()[number], False)

    def off(self) -> None:
        response = self._wire.write_coils(0, [False] * self.options.coils, device_id=self.options.device_id)
        self._check(response, "open all relays")
        self._faults.all_out()

    def is_off(self) -> bool:
        """Whether all coils of the module read back as off, those without a fault too."""
        return not any(self._coils())

    def traces(self) -> dict[str, Trace]:
        return self._faults.traces()

    def _write(self, number: int, on: bool) -> None:
        response = self._wire.write_coil(number, on, device_id=self.options.device_id)
        self._check(response, f"switch coil {number}")

    def _coils(self) -> list[bool]:
        count = self.options.coils
        response = self._wire.read_coils(0, count=count, device_id=self.options.device_id)
        self._check(response, f"read {count} coils")
        # Whole bytes come: what is beyond the last coil says nothing.
        return [bool(bit) for bit in response.bits[:count]]

    def _check(self, response: ModbusPDU, request: str) -> None:
        raise_modbus_errors(response, role=self._role, request=request, clock=self._clock)


class ModbusCoilsRtu(ModbusCoils):
    """The same on RS-485, or through a gateway that passes RTU frames (`rtu+tcp://<host>:<port>`)."""

    framing: Framing = "rtu"
    face = "rtu"
