"""What doors on TCP share: the listening port, its connections, the cable, and no wait for Nagle's algorithm.

Left out: a pulled cable cannot keep the kernel from completing a new connection; nothing is answered on it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from bench.clock import Clock
from bench.doors.door import Attendant
from bench.wires.twin import MessageTwin

#: Longest message [bytes] without its end; whoever sends more is out of step or means harm.
LONGEST_MESSAGE = 1 << 20

#: What may pile up [bytes] of a client that does not read its answers or has to wait for a lock.
_MOST_HELD = 2 * LONGEST_MESSAGE

#: Messages of one client that are acted on before the others, the plant and the control line have their turn.
_MOST_AT_ONCE = 100

#: Connections that may wait to be accepted. A client that finds no place tries again only after a second.
_WAITING = 1024


def send_at_once(connection: socket.socket) -> None:
    """Switch Nagle's algorithm off at this end."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(connection: socket.socket) -> None:
    """Acknowledge the next segment without delay.

    A client that leaves Nagle's algorithm on sends its second small message only after the first is
    acknowledged, by default some 40 ms later. Linux forgets the option by itself, so it has to be set again
    after every receive; other systems do not have it.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class TcpClient(asyncio.Protocol):
    """One connection of a TCP door. A kind of door says in `step` what a message is and what it does."""

    transport: asyncio.Transport

    def __init__(self, door: TcpDoor) -> None:
        self._door = door
        self.attendant = door.attendant
        self.inbox = bytearray()
        self._holds: set[str] = set()

    def step(self) -> bool:
        """Take one whole message out of the inbox and act on it; False if there is none."""
        raise NotImplementedError

    def gone(self) -> None:
        """The connection ended, or is about to. May be called more than once."""
        self._door.clients.discard(self)

    def forget(self) -> None:
        """Forget a message that is half in: its rest will not come."""
        self.inbox.clear()

    def send(self, data: bytes) -> None:
        """Send `data`, unless the cable is out."""
        if self.attendant.plugged and not self.transport.is_closing():
            self.transport.write(data)

    def drop(self) -> None:
        """End the connection without more ado."""
        self.gone()
        self.transport.abort()

    def hold(self, reason: str) -> None:
        """Act on no further message until `reason` is released."""
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Go on, unless there is another reason not to."""
        if reason not in self._holds:
            return
        self._holds.remove(reason)
        if self._holds or self.transport.is_closing():
            return
        self.work()
        if not (self._must_pause() or self.transport.is_closing()):
            self.transport.resume_reading()

    def _must_pause(self) -> bool:
        return bool(self._holds) and len(self.inbox) > _MOST_HELD

    def work(self) -> None:
        """Act on every message that is whole, and let others in between when there are many."""
        for _ in range(_MOST_AT_ONCE):
            if self._holds or self.transport.is_closing() or not self.step():
                return
        self.hold("others")
        asyncio.get_running_loop().call_soon(self.release, "others")

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.connection: socket.socket = transport.get_extra_info("socket")
        send_at_once(self.connection)
        self._door.clients.add(self)

    def data_received(self, data: bytes) -> None:
        acknowledge_at_once(self.connection)
        if not self.attendant.plugged:
            return
        self.inbox += data
        self.work()
        if self._must_pause():
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.hold("answers not read")

    def resume_writing(self) -> None:
        self.release("answers not read")

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone()


class TcpDoor:
    """A `Door` on a TCP port.

    Parameters
    ----------
    twin
        Who answers.
    clock
        A wall clock; see `Attendant`.
    host, port
        Where to listen; port 0: any free one. Closed and opened again, the door has the same port.
    """

    def __init__(self, twin: MessageTwin, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        self.attendant = Attendant(twin, clock)
        self.host, self.port = host, port
        self.address = ""
        self.clients: set[TcpClient] = set()
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address or 'closed'}, {len(self.clients)} clients)"

    def client(self) -> TcpClient:
        """What serves a new connection."""
        raise NotImplementedError

    def resource_name(self) -> str:
        """What a client writes to get here."""
        raise NotImplementedError

    async def open(self) -> None:
        """Start to listen. Raises `OSError` if the port is taken or not permitted."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.client, self.host, self.port, backlog=_WAITING)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = self.resource_name()

    def close(self) -> None:
        """Stop to listen and drop every client. Any number of times."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._drop_clients()

    def pull(self) -> None:
        """The cable is out: connections stay, nothing gets through either way."""
        self.attendant.plugged = False
        for client in self.clients:
            client.forget()

    def plug(self) -> None:
        """The cable is back; what was sent meanwhile is lost."""
        self.attendant.plugged = True

    def serve(self, twin: Any) -> None:
        """Put another twin behind the door and drop the clients of the last one."""
        self._drop_clients()
        self.attendant.twin = twin

    def _drop_clients(self) -> None:
        for client in list(self.clients):
            client.drop()
