"""Registers of an N83624: where each value is, how its four bytes lie, and the twin's answers.

The unit number is the channel. Only functions 0x03 and 0x10; addresses and counts are even, for every value
takes two registers. Each word is sent high byte first as always, but the low word first: 0x12345678 goes as
56 78 12 34 (Modbus guide V20240130). Currents are in mA, voltages in V; that measured power is in W, and the
protections' units are those of SCPI, is unverified.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.wires.modbus_server import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ModbusServer,
    Refusal,
    Table,
)
from bench.wires.twin import Reply
from instruments.cells_n83624_channels import Channels
from instruments.cells_n83624_data import ALL, QUANTITIES

_FUNCTIONS = (0x03, 0x10)


@dataclass(frozen=True, slots=True)
class Register:
    """One value: its address, how its bytes are read, and the setting or reading it is."""

    address: int
    kind: Literal["u32", "f32"]
    name: str
    writable: bool = False


REGISTERS = (
    Register(2, "u32", "state"),
    Register(6, "f32", "volts"),
    Register(8, "f32", "milliamperes"),
    Register(10, "f32", "watts"),
    Register(12, "f32", "milliohms"),
    Register(14, "f32", "mah"),
    Register(20, "u32", "on", True),
    Register(22, "u32", "mode", True),
    Register(24, "u32", "range", True),
    Register(40, "f32", "source_v", True),
    Register(42, "f32", "source_ma", True),
    Register(60, "f32", "charge_v", True),
    Register(62, "f32", "charge_ma", True),
    Register(64, "f32", "charge_mohm", True),
    Register(180, "u32", "relay", True),
    Register(200, "f32", "ovp_v", True),
    Register(202, "f32", "ocp_ma", True),
    Register(204, "f32", "opp_mw", True),
    Register(382, "u32", "reset", True),
)
BY_NAME = {register.name: register for register in REGISTERS}
_BY_ADDRESS = {register.address: register for register in REGISTERS}
_QUANTITY = {q.name: q for q in QUANTITIES if not q.program}


def words(value: float, kind: str) -> list[int]:
    """The two registers of a value, the low word first."""
    raw = struct.pack(">f", value) if kind == "f32" else struct.pack(">I", int(value))
    high, low = struct.unpack(">HH", raw)
    return [low, high]


def value(registers: Sequence[int], kind: str) -> float:
    """The value of two registers, the low word first."""
    low, high = registers
    raw = struct.pack(">HH", high, low)
    (found,) = struct.unpack(">f" if kind == "f32" else ">I", raw)
    return float(found)


class ModbusFace:
    """What answers on Modbus TCP. A `MessageTwin`, and the register map behind it.

    Parameters
    ----------
    channels
        The device.
    latency_s
        Of one answer [s].
    reset
        Does the factory reset.
    """

    def __init__(self, channels: Channels, *, latency_s: float, reset: Callable[[], object]) -> None:
        self._channels, self._reset = channels, reset
        self._server = ModbusServer(self, device_ids=ALL, framing="tcp", delay_s=latency_s)

    def handle(self, message: bytes) -> Reply | None:
        """Answer one frame; another function than the two it knows is declined."""
        if len(message) >= 8 and message[7] not in _FUNCTIONS and message[6] in ALL:
            reply = message[:4] + bytes((0, 3, message[6], message[7] | 0x80, ILLEGAL_FUNCTION))
            return Reply(reply, self._server.delay_s)
        return self._server.handle(message)

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """Registers of one channel; an address that the map does not have reads as 0."""
        _must_be_even(address, count)
        if address + count > 384:
            raise Refusal(ILLEGAL_ADDRESS)
        found: list[int] = []
        for place in range(address, address + count, 2):
            register = _BY_ADDRESS.get(place)
            found += words(self._get(register.name, device_id - 1), register.kind) if register else [0, 0]
        return found

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """Set registers of one channel, all of them or none."""
        _must_be_even(address, len(values))
        orders: list[tuple[str, float]] = []
        for k in range(0, len(values), 2):
            register = _BY_ADDRESS.get(address + k)
            if register is None or not register.writable:
                raise Refusal(ILLEGAL_ADDRESS)
            orders.append((register.name, value(values[k : k + 2], register.kind)))
            _must_be_allowed(*orders[-1])
        for name, wanted in orders:
            if name == "reset":
                self._reset()
            else:
                self._channels.put("", name, (device_id - 1,), wanted)

    def _get(self, name: str, channel: int) -> float:
        channels = self._channels
        readings: dict[str, Callable[[int], float]] = {
            "state": channels.status,
            "volts": channels.volts,
            "milliamperes": lambda k: channels.amperes(k) * 1e3,
            "watts": lambda k: channels.volts(k) * channels.amperes(k),
            "milliohms": channels.milliohms,
            "mah": lambda k: float(channels.capacity_mah[k]),
            "reset": lambda _: 0.0,
        }
        return readings[name](channel) if name in readings else channels.get("", name, channel)


def _must_be_even(address: int, count: int) -> None:
    if address % 2:
        raise Refusal(ILLEGAL_ADDRESS)
    if count % 2:
        raise Refusal(ILLEGAL_VALUE)


def _must_be_allowed(name: str, wanted: float) -> None:
    quantity = _QUANTITY.get(name)
    if quantity is None:
        return
    # A comparison that nan fails.
    if not quantity.minimum <= wanted <= quantity.maximum * (1 + 1e-6):
        raise Refusal(ILLEGAL_VALUE)
    if quantity.allowed and wanted not in quantity.allowed:
        raise Refusal(ILLEGAL_VALUE)
