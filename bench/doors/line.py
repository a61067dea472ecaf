"""What doors on byte streams share: who talks with a client, over TCP or a pseudo terminal alike.

A `Talk` is the protocol of a door, one for each client; an `Outlet` is its way back.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from typing import Protocol

from bench.doors.door import Attendant, ReplyQueue
from bench.doors.tcp_door import TcpClient, TcpDoor

#: 8N1: start, 8 data, stop.
BITS_PER_CHARACTER = 10


class Outlet(Protocol):
    """The way back to one client."""

    #: The client does not take what it has got.
    full: bool

    def send(self, data: bytes) -> None:
        """Send `data`; lost if the outlet is full, the cable out, or the client gone."""
        ...

    def drop(self) -> None:
        """Let the client go."""
        ...


class Talk(ABC):
    """The door's side of one client, from `begin` to `end`."""

    def begin(self) -> None:  # noqa: B027  (most clients speak first)
        """The client is there and hears."""

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Bytes came, cut anywhere."""

    def forget(self) -> None:  # noqa: B027  (not all keep what is half in)
        """What is half in stays so: the cable is out."""

    def writable(self) -> None:  # noqa: B027  (few have something waiting)
        """The outlet was full and has room again."""

    @abstractmethod
    def end(self) -> None:
        """The client is gone. Any number of times."""


class Answers:
    """What a twin answers to one client, in order, each when it is due.

    Parameters
    ----------
    attendant
        Who asks the twin.
    outlet
        Where the answers go.
    baud
        Line speed [bit/s]: each character of a question and its answer then takes 10 bits of bench time.
        None: the line takes no time.
    """

    def __init__(self, attendant: Attendant, outlet: Outlet, baud: int | None = None) -> None:
        self._attendant, self._outlet = attendant, outlet
        self._character_s = BITS_PER_CHARACTER / baud if baud else 0.0
        self._replies = ReplyQueue(attendant)

    def ask(self, message: bytes) -> None:
        """Let the twin act on `message`, and send what it answers when that is due."""
        reply = self._attendant.ask(message)
        if reply is not None and reply.data:
            line_s = (len(message) + len(reply.data)) * self._character_s
            self._replies.put(reply.delay_s + line_s, partial(self._outlet.send, reply.data))

    def clear(self) -> None:
        """Send nothing of what is still due."""
        self._replies.clear()


class LineTcpDoor(TcpDoor, ABC):
    """A `TcpDoor` with a `Talk` for each client."""

    #: Between `open` and `close`. A connection that was accepted before `close` may be made after it.
    listens = False

    async def open(self) -> None:
        self.listens = True
        await super().open()

    def close(self) -> None:
        self.listens = False
        super().close()

    @abstractmethod
    def talk(self, outlet: Outlet) -> Talk:
        """What serves a new client."""

    def client(self) -> TcpClient:
        return _LineClient(self)

    def plug(self) -> None:
        """The cable is back; who connected meanwhile is greeted now."""
        super().plug()
        for client in tuple(self.clients):
            if isinstance(client, _LineClient):
                client.begin()


class _LineClient(TcpClient):
    """One connection; the `Outlet` of its talk."""

    def __init__(self, door: LineTcpDoor) -> None:
        super().__init__(door)
        self._line_door = door
        self.full = False
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Not earlier: the twin may have been exchanged since the connection was accepted.
        self._talk = self._line_door.talk(self)
        if not self._line_door.listens:
            self.drop()
        elif self.attendant.plugged:
            self.begin()

    def begin(self) -> None:
        """Greet, once."""
        if not self._begun:
            self._begun = True
            self._talk.begin()

    def step(self) -> bool:
        data = bytes(self.inbox)
        self.inbox.clear()
        self._talk.received(data)
        return False

    def send(self, data: bytes) -> None:
        if not self.full:
            super().send(data)

    def forget(self) -> None:
        super().forget()
        self._talk.forget()

    def gone(self) -> None:
        super().gone()
        self._talk.end()

    # Bytes that nobody takes are lost, as on a line; what the client says is heard all the same.

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if not self.transport.is_closing():
            self._talk.writable()
