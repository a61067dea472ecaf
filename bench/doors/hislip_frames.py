"""HiSLIP messages as bytes: the header of 16 bytes and its payload.

     0      2      3         4           8                16
    +------+------+---------+-----------+----------------+---------
    | "HS" | kind | control | parameter | payload length | payload
    +------+------+---------+-----------+----------------+---------

Sources: IVI-6.1 as the public client pyvisa-py 0.8.1, pyvisa_py/protocols/hislip.py, implements it (numbers
of messages, errors and controls), and the header vectors in tridentsx/hislip, internal/vectors/headers.txt.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from bench.errors import FrameInvalid

PROLOGUE = b"HS"
_HEADER = struct.Struct("!2sBBIQ")
HEADER_SIZE = _HEADER.size

#: Identifier of a client's first message; each further one is 2 more, modulo 2^32.
FIRST_ID = 0xFFFF_FF00
ID_STEP = 2


class Kind(IntEnum):
    """What a message is for. 26 and 28 to 38 belong to version 2 and are not spoken here."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    INTERRUPTED = 13
    ASYNC_INTERRUPTED = 14
    ASYNC_MAXIMUM_MESSAGE_SIZE = 15
    ASYNC_MAXIMUM_MESSAGE_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_SERVICE_REQUEST = 20
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


#: From this kind on a message is some vendor's own.
FIRST_VENDOR_KIND = 128


class Fatal(IntEnum):
    """Why a server ends a connection."""

    POORLY_FORMED_HEADER = 1
    NOT_BOTH_CHANNELS = 2
    INVALID_INITIALIZATION = 3


class Fault(IntEnum):
    """Why a server ignores a message."""

    UNRECOGNIZED_KIND = 1
    UNRECOGNIZED_CONTROL = 2
    UNRECOGNIZED_VENDOR_MESSAGE = 3
    MESSAGE_TOO_LARGE = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, its payload included."""

    kind: int
    control: int = 0
    parameter: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """The message as bytes."""
        return _HEADER.pack(PROLOGUE, *self._numbers(), len(self.payload)) + self.payload

    def _numbers(self) -> tuple[int, int, int]:
        return self.kind, self.control, self.parameter


def header(data: bytes | bytearray) -> tuple[Frame, int] | None:
    """Message without its payload, and how long [bytes] that is; None if the header is not whole.

    Raises
    ------
    FrameInvalid
        If it is no HiSLIP header; the first two bytes are enough to see that.
    """
    if not PROLOGUE.startswith(data[:2]):
        raise FrameInvalid("HiSLIP", bytes(data), expected="a header that begins with HS", found="none")
    if len(data) < HEADER_SIZE:
        return None
    _, kind, control, parameter, length = _HEADER.unpack_from(data)
    return Frame(kind, control, parameter), length
