"""ONC RPC, server side, as far as VXI-11 and the port mapper need it: XDR, calls, replies and record marks.

Source: RFC 1057 as the public client pyvisa-py 0.8.1, pyvisa_py/protocols/rpc.py, implements it. Credentials
are read over and not checked.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from bench.doors.tcp_door import LONGEST_MESSAGE, TcpClient, TcpDoor

_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_CALL, _REPLY = 0, 1
_RPC_VERSION = 2
_ACCEPTED, _DENIED = 0, 1
_SUCCESS, PROGRAM_UNAVAILABLE, PROGRAM_MISMATCH, PROCEDURE_UNAVAILABLE, GARBAGE_ARGUMENTS = range(5)
_RPC_MISMATCH = 0
_NO_VERIFIER = bytes(8)
_LAST_FRAGMENT = 0x8000_0000
_MARK_SIZE = 4

#: Largest record [bytes]: a message with the arguments around it.
_LARGEST_RECORD = LONGEST_MESSAGE + 4096


class GarbageArguments(ValueError):
    """The arguments of a call are not what its procedure takes."""


class Reader:
    """Takes XDR values out of bytes, in order. Each method raises `GarbageArguments` if they run out."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def u32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def i32(self) -> int:
        (value,) = _I32.unpack(self._take(4))
        return int(value)

    def opaque(self) -> bytes:
        """Bytes with their length before them, filled up to a multiple of 4."""
        length = self.u32()
        data = self._take(length)
        self._take(-length % 4)
        return data

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise GarbageArguments(f"expected {count} more bytes, found {len(self._data) - self._at}")
        data, self._at = self._data[self._at : end], end
        return data


def words(*values: int) -> bytes:
    """Unsigned numbers as XDR."""
    return b"".join(_U32.pack(value) for value in values)


def opaque(data: bytes) -> bytes:
    """Bytes as XDR: with their length, filled up to a multiple of 4."""
    return _U32.pack(len(data)) + data + bytes(-len(data) % 4)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that can be carried out."""

    transaction: int
    program: int
    procedure: int
    arguments: Reader


def accepted(transaction: int, result: bytes) -> bytes:
    """Reply: carried out, with its result."""
    return words(transaction, _REPLY, _ACCEPTED) + _NO_VERIFIER + words(_SUCCESS) + result


def unavailable(transaction: int, why: int, *more: int) -> bytes:
    """Reply: understood as a call, and not carried out; `why` is one of the numbers above."""
    return words(transaction, _REPLY, _ACCEPTED) + _NO_VERIFIER + words(why, *more)


def read_call(record: bytes, versions: Mapping[int, int]) -> Call | bytes | None:
    """The call in `record`; a reply that declines it; None if it is no call at all.

    Parameters
    ----------
    record
        One message, without record marks.
    versions
        Programs that are served here, and which version of each.
    """
    reader = Reader(record)
    try:
        transaction, kind = reader.u32(), reader.u32()
        if kind != _CALL:
            return None
        if reader.u32() != _RPC_VERSION:
            return words(transaction, _REPLY, _DENIED, _RPC_MISMATCH, _RPC_VERSION, _RPC_VERSION)
        program, version, procedure = reader.u32(), reader.u32(), reader.u32()
        for _ in ("credential", "verifier"):
            reader.u32()
            reader.opaque()
    except GarbageArguments:
        return None
    if program not in versions:
        return unavailable(transaction, PROGRAM_UNAVAILABLE)
    if version != versions[program]:
        return unavailable(transaction, PROGRAM_MISMATCH, versions[program], versions[program])
    return Call(transaction, program, procedure, reader)


def marked(record: bytes) -> bytes:
    """`record` as one last fragment, ready for a stream."""
    return _U32.pack(_LAST_FRAGMENT | len(record)) + record


class RpcClient(TcpClient):
    """A connection that carries records: each is cut into fragments, the last of which has bit 31 set."""

    def __init__(self, door: TcpDoor) -> None:
        super().__init__(door)
        self._fragments = bytearray()

    def record(self, record: bytes) -> None:
        """Act on one whole record."""
        raise NotImplementedError

    def step(self) -> bool:
        if len(self.inbox) < _MARK_SIZE:
            return False
        (mark,) = _U32.unpack_from(self.inbox)
        length = mark & ~_LAST_FRAGMENT
        if len(self._fragments) + length > _LARGEST_RECORD:
            self.drop()  # too long, or no record at all: there is no way to find the next one
            return False
        end = _MARK_SIZE + length
        if len(self.inbox) < end:
            return False
        self._fragments += self.inbox[_MARK_SIZE:end]
        del self.inbox[:end]
        if mark & _LAST_FRAGMENT:
            record = bytes(self._fragments)
            self._fragments.clear()
            self.record(record)
        return True

    def forget(self) -> None:
        super().forget()
        self._fragments.clear()

    def reply(self, record: bytes) -> None:
        """Send one record."""
        self.send(marked(record))
