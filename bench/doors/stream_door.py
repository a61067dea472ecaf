"""Doors that pass bytes as they come: plain TCP, as telnet-like instruments have it, and a serial port.

The twin puts the pieces together. One on TCP may have `greet() -> bytes`, sent to each new client, and
`session() -> MessageTwin`, which then serves one connection and may greet in its place.
"""

from __future__ import annotations

from pathlib import Path

from bench.clock import Clock
from bench.doors.door import Attendant
from bench.doors.line import Answers, LineTcpDoor, Outlet, Talk
from bench.doors.pty_line import PtyLine
from bench.wires.twin import MessageTwin


class StreamTalk(Talk):
    """Gives a twin what comes, and the client what the twin answers."""

    def __init__(self, attendant: Attendant, outlet: Outlet, *, baud: int | None = None) -> None:
        twin = attendant.twin
        partner: MessageTwin = twin.session() if hasattr(twin, "session") else twin
        self._greet = getattr(partner, "greet", getattr(twin, "greet", None))
        self._outlet = outlet
        self._answers = Answers(Attendant(partner, attendant.clock), outlet, baud)

    def begin(self) -> None:
        if self._greet is not None:
            self._outlet.send(self._greet())

    def received(self, data: bytes) -> None:
        self._answers.ask(data)

    def end(self) -> None:
        self._answers.clear()


class StreamDoor(LineTcpDoor):
    """Plain TCP: bytes to the twin, bytes back."""

    def talk(self, outlet: Outlet) -> Talk:
        return StreamTalk(self.attendant, outlet)

    def resource_name(self) -> str:
        return f"socket://{self.host}:{self.port}"


class PtyDoor(PtyLine):
    """A serial port: bytes to the twin, bytes back.

    Parameters
    ----------
    twin
        Who answers.
    clock
        A wall clock; see `Attendant`.
    folder, name
        The address is the symbolic link `<folder>/<name>`; without a folder the terminal itself.
    baud
        What a character takes in bench time, both ways [bit/s]; None: nothing, as on a USB device.
    """

    def __init__(
        self,
        twin: MessageTwin,
        *,
        clock: Clock,
        folder: Path | None = None,
        name: str = "serial",
        baud: int | None = None,
    ) -> None:
        super().__init__(twin, clock=clock, folder=folder, name=name)
        self._baud = baud

    def talk(self, outlet: Outlet) -> Talk:
        return StreamTalk(self.attendant, outlet, baud=self._baud)
