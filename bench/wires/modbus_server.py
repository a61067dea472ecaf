"""The device side of Modbus: a request's bytes in, the answer's bytes out, for twins and emulated DUTs.

Functions 1 to 6, 15 and 16 on the four tables, RTU and TCP framing, exceptions 1 to 4. What is in the tables
is the business of a `RegisterMap`. Layout, limits and exceptions of functions 15 and 16: MODBUS Application
Protocol Specification V1.1b3, pages 29 to 31; of the others and of the RTU frame: as in pymodbus 3.16.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from bench.wires.twin import Reply

Framing = Literal["rtu", "tcp"]
Table = Literal["coil", "discrete_input", "holding_register", "input_register"]

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
EXCEPTION_NAMES = {
    ILLEGAL_FUNCTION: "illegal function",
    ILLEGAL_ADDRESS: "illegal data address",
    ILLEGAL_VALUE: "illegal data value",
    DEVICE_FAILURE: "server device failure",
    5: "acknowledge, still working",
    6: "server device busy",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}

_READ: dict[int, tuple[Table, int]] = {
    1: ("coil", 2000),
    2: ("discrete_input", 2000),
    3: ("holding_register", 125),
    4: ("input_register", 125),
}
_WRITE_ONE: dict[int, Table] = {5: "coil", 6: "holding_register"}
_WRITE_MANY: dict[int, tuple[Table, int]] = {15: ("coil", 1968), 16: ("holding_register", 123)}
_BROADCAST = 0


class Refusal(Exception):
    """The device answers with an exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"Modbus exception {code}, {EXCEPTION_NAMES.get(code, 'unknown')}")


class RegisterMap(Protocol):
    """What is behind the addresses of one device or of several on one line."""

    def read(self, table: Table, device_id: int, address: int, count: int) -> Sequence[int]:
        """`count` values from `address`: 0..65535, or 0..1 in a table of bits. Raises `Refusal`."""
        ...

    def write(self, table: Table, device_id: int, address: int, values: Sequence[int]) -> None:
        """Put `values` at `address`, all of them or none. Raises `Refusal`."""
        ...


def crc16(data: bytes) -> bytes:
    """The check of an RTU frame, low byte first: polynomial 0xA001 reflected, start 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def rtu(device_id: int, pdu: bytes) -> bytes:
    """An RTU frame."""
    frame = bytes([device_id]) + pdu
    return frame + crc16(frame)


class ModbusServer:
    """Answers Modbus requests from a register map. A `MessageTwin`.

    Parameters
    ----------
    registers
        What is read and written.
    device_ids
        Which devices are on this line; nobody answers for another.
    framing
        "rtu" or "tcp".
    delay_s
        From the end of a request to the start of the answer [s].
    """

    def __init__(
        self,
        registers: RegisterMap,
        *,
        device_ids: Collection[int] = (1,),
        framing: Framing = "rtu",
        delay_s: float = 0.0,
    ) -> None:
        self.registers, self.device_ids = registers, device_ids
        self.framing: Framing = framing
        self.delay_s = delay_s

    def handle(self, message: bytes) -> Reply | None:
        """Answer one frame; a damaged one, a foreign one and a broadcast get none."""
        if self.framing == "rtu":
            if len(message) < 4 or crc16(message[:-2]) != message[-2:]:
                return None
            pdu = self._answer(message[0], message[1:-2])
            return None if pdu is None else Reply(rtu(message[0], pdu), self.delay_s)
        if len(message) < 8:
            return None
        transaction, protocol, length, device_id = struct.unpack_from(">HHHB", message)
        if protocol != 0 or length != len(message) - 6:
            return None
        pdu = self._answer(device_id, message[7:])
        if pdu is None:
            return None
        return Reply(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, device_id) + pdu, self.delay_s)

    def _answer(self, device_id: int, request: bytes) -> bytes | None:
        if device_id == _BROADCAST:
            for each in self.device_ids:
                self._execute(each, request)
            return None
        return self._execute(device_id, request) if device_id in self.device_ids else None

    def _execute(self, device_id: int, request: bytes) -> bytes:
        function = request[0]
        try:
            if function in _READ:
                return self._read(device_id, request)
            if function in _WRITE_ONE:
                return self._write_one(device_id, request)
            if function in _WRITE_MANY:
                return self._write_many(device_id, request)
            raise Refusal(ILLEGAL_FUNCTION)
        except Refusal as refusal:
            return bytes([function | 0x80, refusal.code])

    def _read(self, device_id: int, request: bytes) -> bytes:
        table, most = _READ[request[0]]
        address, count = _two_words(request)
        if not 1 <= count <= most:
            raise Refusal(ILLEGAL_VALUE)
        values = self.registers.read(table, device_id, address, count)
        data = _pack_bits(values) if most == 2000 else struct.pack(f">{count}H", *values)
        return bytes([request[0], len(data)]) + data

    def _write_one(self, device_id: int, request: bytes) -> bytes:
        table = _WRITE_ONE[request[0]]
        address, value = _two_words(request)
        if table == "coil":
            if value not in (0x0000, 0xFF00):
                raise Refusal(ILLEGAL_VALUE)
            value = value >> 15
        self.registers.write(table, device_id, address, [value])
        return request

    def _write_many(self, device_id: int, request: bytes) -> bytes:
        table, most = _WRITE_MANY[request[0]]
        if len(request) < 6:
            raise Refusal(ILLEGAL_VALUE)
        address, count, size = struct.unpack_from(">HHB", request, 1)
        data = request[6:]
        expected = (count + 7) // 8 if table == "coil" else 2 * count
        if not 1 <= count <= most or size != expected or len(data) != expected:
            raise Refusal(ILLEGAL_VALUE)
        values = (
            [data[k // 8] >> k % 8 & 1 for k in range(count)]
            if table == "coil"
            else list(struct.unpack(f">{count}H", data))
        )
        self.registers.write(table, device_id, address, values)
        return request[:5]


def _two_words(request: bytes) -> tuple[int, int]:
    if len(request) != 5:
        raise Refusal(ILLEGAL_VALUE)
    first, second = struct.unpack_from(">HH", request, 1)
    return first, second


def _pack_bits(values: Sequence[int]) -> bytes:
    packed = bytearray((len(values) + 7) // 8)
    for k, value in enumerate(values):
        packed[k // 8] |= bool(value) << k % 8
    return bytes(packed)
