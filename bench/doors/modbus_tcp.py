"""Modbus TCP: cuts the stream into frames by their MBAP header, and drops who sends something else."""

from __future__ import annotations

import struct

from bench.doors.door import Attendant
from bench.doors.line import Answers, LineTcpDoor, Outlet, Talk

_HEAD = 6
#: Unit identifier and function at least; 253 bytes of function and data at most.
_SHORTEST, _LONGEST = 2, 254


class MbapTalk(Talk):
    """Frames of one client."""

    def __init__(self, attendant: Attendant, outlet: Outlet) -> None:
        self._outlet = outlet
        self._answers = Answers(attendant, outlet)
        self._received = b""

    def received(self, data: bytes) -> None:
        received = self._received + data
        while len(received) >= _HEAD:
            _, protocol, length = struct.unpack_from(">HHH", received)
            if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
                # Nothing marks where the next frame would begin.
                self._outlet.drop()
                return
            if len(received) < _HEAD + length:
                break
            frame, received = received[: _HEAD + length], received[_HEAD + length :]
            self._answers.ask(frame)
        self._received = received

    def forget(self) -> None:
        self._received = b""

    def end(self) -> None:
        self._answers.clear()


class ModbusTcpDoor(LineTcpDoor):
    """A Modbus TCP server for a twin that takes whole frames, as `ModbusServer` with framing "tcp"."""

    def talk(self, outlet: Outlet) -> Talk:
        return MbapTalk(self.attendant, outlet)

    def resource_name(self) -> str:
        return f"tcp://{self.host}:{self.port}"
