"""SCPI on a plain TCP socket, as on port 5025: a line feed ends a message.

Left out, as on the wire itself: serial poll, device clear, trigger and locks. Several clients talk to one
instrument at once, and each gets the answers to its own questions.
"""

from __future__ import annotations

from functools import partial

from bench.doors.door import ReplyQueue
from bench.doors.tcp_door import LONGEST_MESSAGE, TcpClient, TcpDoor

_LF, _CR = b"\n", b"\r"

#: Answers that may be due to one client; a busy instrument takes in no more, and TCP tells the client.
_MOST_DUE = 100


class SocketDoor(TcpDoor):
    """A SCPI twin on a TCP port. A client whose message is longer than 1 MiB is dropped."""

    def client(self) -> TcpClient:
        return _SocketClient(self)

    def resource_name(self) -> str:
        return f"TCPIP::{self.host}::{self.port}::SOCKET"


class _SocketClient(TcpClient):
    def __init__(self, door: SocketDoor) -> None:
        super().__init__(door)
        self._replies = ReplyQueue(door.attendant)
        self._searched = 0
        self._no_more_comes = False

    def step(self) -> bool:
        end = self.inbox.find(_LF, self._searched)
        if end < 0:
            self._searched = len(self.inbox)
            if self._searched > LONGEST_MESSAGE:
                self.drop()
            return False
        message = bytes(self.inbox[:end]).removesuffix(_CR)
        del self.inbox[: end + 1]
        self._searched = 0
        reply = self.attendant.ask(message)
        if reply is not None:
            self._replies.put(reply.delay_s, partial(self._answer, reply.data))
            if len(self._replies) >= _MOST_DUE:
                self.hold("answers due")
        return True

    def work(self) -> None:
        super().work()
        self._end_if_done()

    def gone(self) -> None:
        super().gone()
        self._replies.clear()

    def forget(self) -> None:
        super().forget()
        self._searched = 0

    def eof_received(self) -> bool:
        # `echo '*IDN?' | nc` closes its half at once and still wants the answer.
        self._no_more_comes = True
        return bool(self._replies or self._holds)

    def _answer(self, data: bytes) -> None:
        self.send(data)
        self.release("answers due")
        self._end_if_done()

    def _end_if_done(self) -> None:
        done = self._no_more_comes and not (self._replies or self._holds or _LF in self.inbox)
        if done and not self.transport.is_closing():
            self.transport.close()
