"""Modbus side of the PSB 10000: its registers and coils, over the state of the twin.

Scale: 0xCCCC is 100 % of nominal; set values end at 53477 (102 %). Sources: SengerM/ElectroAutomatikGmbHPy,
register_list.csv and ElectroAutomatikGmbHPowerSupply.py (map, scale, bits 7 and 11 of the state);
MaxThePrisberry/battery-tester, psb10000.h (sink side, adjustment limits, other bits of the state). Seen
nowhere, hence unverified: thresholds of the protections (550, 553, 556), the coil that acknowledges (411),
which exception answers a client without remote control, and the class of the device.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any, Protocol

from bench.wires.modbus_server import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    ModbusServer,
    Refusal,
    Table,
)
from bench.wires.twin import Reply
from instruments.scpi_status import ScpiError

MAKER = "EA Elektro-Automatik GmbH & Co. KG"
FULL = 0xCCCC

REMOTE, OUTPUT, AFTER_POWER_ON, ACKNOWLEDGE = 402, 405, 408, 411
NOMINAL, STATE, ACTUAL = 121, 505, 507
#: Bits of the state.
ON_BIT, REMOTE_BIT, SINK_BIT, ALARM_BIT = 1 << 7, 1 << 11, 1 << 12, 1 << 15
_REGULATION = {"": 0, "CV": 0, "CR": 1 << 9, "CC": 2 << 9, "CP": 3 << 9}
_LOCATION_LOCAL, _LOCATION_NETWORK = 1, 6  # the second is a project default

#: Register to the setting behind it and its unit.
SETTINGS = {
    498: ("sink_power_w", "W"),
    499: ("sink_current_a", "A"),
    500: ("voltage_v", "V"),
    501: ("current_a", "A"),
    502: ("power_w", "W"),
    550: ("voltage_trip", "V"),
    553: ("current_trip", "A"),
    556: ("power_trip", "W"),
    9000: ("voltage_high", "V"),
    9001: ("voltage_low", "V"),
    9002: ("current_high", "A"),
    9003: ("current_low", "A"),
    9004: ("power_high", "W"),
    9005: ("sink_power_high", "W"),
    9008: ("sink_current_high", "A"),
    9009: ("sink_current_low", "A"),
}
_TEXT_REGISTERS = 20
_COIL_ON = 0xFF00


class Unit(Protocol):
    """What the registers need of the twin."""

    options: Any
    settings: dict[str, Any]
    nominal: dict[str, float]
    on: bool
    local: bool
    owner: str
    alarms: set[str]

    @property
    def regulation(self) -> str: ...

    def hear(self, face: str) -> None: ...

    def take(self, face: str) -> bool: ...

    def leave(self, face: str) -> bool: ...

    def switch(self, on: bool) -> None: ...

    def put(self, name: str, value: float, resolution: float) -> None: ...

    def acknowledge(self) -> None: ...

    def readings(self) -> tuple[float, float]: ...

    def apply(self) -> None: ...


class RegisterFace:
    """The Modbus connector of a PSB 10000. A `MessageTwin`, and the register map behind it.

    Parameters
    ----------
    unit
        The twin.
    firmware
        Versions of KE, HMI and DR, as in the answer to `*IDN?`.
    """

    def __init__(self, unit: Unit, firmware: str) -> None:
        self._unit = unit
        self._server = ModbusServer(
            self, device_ids=range(1, 248), framing="tcp", delay_s=unit.options.latency_s
        )
        versions = re.findall(r"(?:KE|HMI|DR) [\d.]+", firmware)
        texts = {1: unit.options.model, 21: MAKER, 151: unit.options.serial}
        texts |= dict(zip((191, 211, 231), versions, strict=True))
        self._fixed = {0: 0}
        for start, text in texts.items():
            self._fixed |= dict(enumerate(_text_words(text), start))
        for address, unit_name in zip(range(NOMINAL, NOMINAL + 6, 2), "VAW", strict=True):
            words = struct.unpack(">HH", struct.pack(">f", unit.nominal[unit_name]))
            self._fixed |= dict(enumerate(words, address))

    def handle(self, message: bytes) -> Reply | None:
        """Answer one frame. Unit 0, which EA names, is answered like any other; none if Modbus is off."""
        if self._unit.settings["modbus"] == "DISABLE":
            return None
        self._unit.hear("modbus")
        to_zero = len(message) > 6 and message[6] == 0
        reply = self._server.handle(_readdressed(message, 1) if to_zero else message)
        self._unit.apply()
        return Reply(_readdressed(reply.data, 0), reply.delay_s) if reply and to_zero else reply

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """Registers, and coils as bits."""
        words = self._fixed | self._changing()
        wanted = range(address, address + count)
        if table == "coil" and set(wanted) <= {REMOTE, OUTPUT, AFTER_POWER_ON}:
            return [words[each] >> 15 for each in wanted]
        if table != "holding_register" or not set(wanted) <= words.keys():
            raise Refusal(ILLEGAL_ADDRESS)
        return [words[each] for each in wanted]

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """Set values, limits, thresholds and switches; all of one request or none."""
        before = dict(self._unit.settings)
        try:
            for register, value in enumerate(values, address):
                if register in SETTINGS and table == "holding_register":
                    self._put(register, value)
                else:
                    self._switch(register, value if table == "holding_register" else value * _COIL_ON)
        except Refusal:
            self._unit.settings.update(before)
            raise

    def _put(self, register: int, value: int) -> None:
        self._must_own()
        name, unit_name = SETTINGS[register]
        step = self._unit.nominal[unit_name] / FULL
        try:
            self._unit.put(name, value * step, step)
        except ScpiError as error:
            raise Refusal(ILLEGAL_VALUE) from error

    def _switch(self, register: int, value: int) -> None:
        if register not in (REMOTE, OUTPUT, AFTER_POWER_ON, ACKNOWLEDGE):
            raise Refusal(ILLEGAL_ADDRESS)
        if value not in (0, _COIL_ON):
            raise Refusal(ILLEGAL_VALUE)
        on = bool(value)
        if register == REMOTE:
            if not (self._unit.take("modbus") if on else self._unit.leave("modbus")):
                raise Refusal(DEVICE_FAILURE)
            return
        self._must_own()
        if register == OUTPUT:
            try:
                self._unit.switch(on)
            except ScpiError as error:
                raise Refusal(DEVICE_FAILURE) from error
        elif register == AFTER_POWER_ON:
            self._unit.settings["restore"] = "AUTO" if on else "OFF"
        elif on:
            self._unit.acknowledge()

    def _must_own(self) -> None:
        if self._unit.owner != "modbus":
            raise Refusal(DEVICE_FAILURE)

    def _changing(self) -> dict[int, int]:
        """The registers that follow the state, as it is now."""
        unit = self._unit
        voltage_v, current_a = unit.readings()
        words = {
            REMOTE: _COIL_ON * bool(unit.owner),
            OUTPUT: _COIL_ON * unit.on,
            AFTER_POWER_ON: _COIL_ON * (unit.settings["restore"] == "AUTO"),
            ACTUAL: self._count(voltage_v, "V"),
            ACTUAL + 1: self._count(current_a, "A"),
            ACTUAL + 2: self._count(voltage_v * current_a, "W"),
        }
        words |= {
            register: self._count(unit.settings[name], unit_name)
            for register, (name, unit_name) in SETTINGS.items()
        }
        words |= dict(enumerate(_text_words(unit.settings["user_text"]), 171))
        words[STATE], words[STATE + 1] = divmod(self._state(current_a), 1 << 16)
        return words

    def _state(self, current_a: float) -> int:
        unit = self._unit
        location = _LOCATION_LOCAL if unit.local else _LOCATION_NETWORK if unit.owner else 0
        return (
            location
            | ON_BIT * unit.on
            | _REGULATION[unit.regulation]
            | REMOTE_BIT * bool(unit.owner)
            | SINK_BIT * (unit.on and current_a < 0.0)
            | ALARM_BIT * bool(unit.alarms)
        )

    def _count(self, value: float, unit_name: str) -> int:
        return min(0xFFFF, round(abs(value) / self._unit.nominal[unit_name] * FULL))


def _text_words(text: str) -> list[int]:
    data = text.encode("latin-1", "replace")[: 2 * _TEXT_REGISTERS].ljust(2 * _TEXT_REGISTERS, b"\0")
    return list(struct.unpack(f">{_TEXT_REGISTERS}H", data))


def _readdressed(frame: bytes, unit_id: int) -> bytes:
    return frame[:6] + bytes([unit_id]) + frame[7:]
