"""Modbus RTU on a pseudo terminal or over TCP: requests cut by their function, and by silence after damage.

A frame ends with silence, which a pseudo terminal and TCP do not keep. So a request is cut where its function
says that it ends; silence ends a request whose function is unknown, and what damage has left.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.clock import Clock
from bench.doors.door import Attendant
from bench.doors.line import BITS_PER_CHARACTER, Answers, LineTcpDoor, Outlet, Talk
from bench.doors.pty_line import PtyLine
from bench.wires.modbus_server import crc16
from bench.wires.twin import MessageTwin

#: Whole frames [byte], device id and check included; of the others the length is told in the frame.
_LENGTHS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, 43: 7}
#: Function to where its byte count stands; the count, that byte and the check follow.
_COUNTS = {15: 6, 16: 6, 20: 2, 21: 2, 23: 10}
_LONGEST = 256
_SILENT_CHARACTERS = 3.5
#: The shortest silence [s] that a client may not make by accident. Project default: a process that is put
#: aside between two writes can be silent for some milliseconds.
_LEAST_SILENCE_S = 0.02


def request_length(start: bytes) -> int | None:
    """Bytes of the request that begins with `start`; 0 if its function is unknown, None if it is too early.

    Source: the requests of pymodbus 3.16, pymodbus/pdu.
    """
    if len(start) < 2:
        return None
    function = start[1]
    if function in _LENGTHS:
        return _LENGTHS[function]
    if function not in _COUNTS:
        return 0
    at = _COUNTS[function]
    return None if len(start) <= at else at + 1 + start[at] + 2


class RtuCutter:
    """Cuts what arrives into requests with a good check."""

    def __init__(self) -> None:
        self._received = b""
        self._lost_track = False
        #: Frames with a bad check, and beginnings without an end.
        self.damaged = 0

    @property
    def waits_for_silence(self) -> bool:
        """Whether something is not yet whole, or beyond repair."""
        return bool(self._received) or self._lost_track

    def feed(self, data: bytes) -> list[bytes]:
        """The requests that are whole now."""
        if self._lost_track:
            return []
        self._received += data
        frames = []
        while length := request_length(self._received):
            if len(self._received) < length:
                break
            frame, self._received = self._received[:length], self._received[length:]
            if crc16(frame[:-2]) != frame[-2:]:
                self._lose_track()
                break
            frames.append(frame)
        if len(self._received) > _LONGEST:
            self._lose_track()
        return frames

    def silence(self) -> list[bytes]:
        """What the silence has ended: a request of an unknown function, if its check is good."""
        received, self._received = self._received, b""
        self._lost_track = False
        if not received:
            return []
        if request_length(received) != 0 or crc16(received[:-2]) != received[-2:]:
            self.damaged += 1
            return []
        return [received]

    def forget(self) -> None:
        """Start anew."""
        self._received, self._lost_track = b"", False

    def _lose_track(self) -> None:
        self.damaged += 1
        self._received, self._lost_track = b"", True


class RtuTalk(Talk):
    """Requests of one line."""

    def __init__(self, attendant: Attendant, outlet: Outlet, *, baud: int, silence_s: float | None) -> None:
        self._cutter = RtuCutter()
        self._answers = Answers(attendant, outlet, baud)
        self._silence_s = silence_of(baud) if silence_s is None else silence_s
        self._timer: asyncio.TimerHandle | None = None

    def received(self, data: bytes) -> None:
        for frame in self._cutter.feed(data):
            self._answers.ask(frame)
        self._stop_timer()
        if self._cutter.waits_for_silence:
            self._timer = asyncio.get_running_loop().call_later(self._silence_s, self._silent)

    def forget(self) -> None:
        self._stop_timer()
        self._cutter.forget()

    def end(self) -> None:
        self._stop_timer()
        self._answers.clear()

    def _silent(self) -> None:
        for frame in self._cutter.silence():
            self._answers.ask(frame)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def silence_of(baud: int) -> float:
    """The silence that ends a frame, 3.5 characters [s], but not less than a process makes by accident."""
    return max(_SILENT_CHARACTERS * BITS_PER_CHARACTER / baud, _LEAST_SILENCE_S)


class ModbusRtuDoor(PtyLine):
    """A Modbus RTU line on a pseudo terminal, for a twin that takes whole frames.

    Parameters
    ----------
    twin
        Who answers: `ModbusServer` with framing "rtu".
    clock
        A wall clock; see `Attendant`.
    folder, name
        The address is the symbolic link `<folder>/<name>`; without a folder the terminal itself.
    baud
        What a character takes in bench time, both ways [bit/s].
    silence_s
        What ends a frame [s of the wall clock]; None: 3.5 characters, at least 20 ms.
    """

    def __init__(
        self,
        twin: MessageTwin,
        *,
        clock: Clock,
        folder: Path | None = None,
        name: str = "modbus",
        baud: int = 9600,
        silence_s: float | None = None,
    ) -> None:
        super().__init__(twin, clock=clock, folder=folder, name=name)
        self._baud, self._silence_s = baud, silence_s

    def talk(self, outlet: Outlet) -> Talk:
        return RtuTalk(self.attendant, outlet, baud=self._baud, silence_s=self._silence_s)


class ModbusRtuTcpDoor(LineTcpDoor):
    """RTU frames over TCP: a gateway with a serial line behind it.

    Parameters
    ----------
    twin, clock, baud, silence_s
        As of `ModbusRtuDoor`.
    host, port
        Where to listen; port 0: any free one.
    """

    def __init__(
        self,
        twin: MessageTwin,
        *,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        baud: int = 9600,
        silence_s: float | None = None,
    ) -> None:
        super().__init__(twin, clock=clock, host=host, port=port)
        self._baud, self._silence_s = baud, silence_s

    def talk(self, outlet: Outlet) -> Talk:
        return RtuTalk(self.attendant, outlet, baud=self._baud, silence_s=self._silence_s)

    def resource_name(self) -> str:
        return f"rtu+tcp://{self.host}:{self.port}"
