"""VXI-11: a SCPI twin behind ONC remote procedure calls, core and abort channel on one port.

Source: VXI-11 revision 1.0 as the public client pyvisa-py 0.8.1, pyvisa_py/protocols/vxi11.py, and the public
server coburnw/python-vxi11-server implement it. Unverified against the document: error 11 for a link that
asks for the lock it has, error 17 for a second read while one waits, error 9 for a message that never ends.
Left out: service requests; `device_enable_srq` is accepted, an interrupt channel is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial

from bench.clock import Clock
from bench.doors import rpc
from bench.doors.door import ReplyQueue
from bench.doors.locks import Grant, Locks
from bench.doors.tcp_door import LONGEST_MESSAGE, TcpClient, TcpDoor
from bench.wires.twin import MessageTwin

CORE_PROGRAM, ABORT_PROGRAM = 0x0607AF, 0x0607B0
VERSION = 1
DEVICE = "inst0"
#: What one `device_write` may carry [bytes]; longer messages come in several.
MOST_PER_WRITE = 16_384

_WAIT_LOCK, _END, _TERMCHAR_SET = 1, 8, 128
_QUERY_INTERRUPTED, _QUERY_UNTERMINATED = -410, -420


class Error(IntEnum):
    """First word of every result."""

    NONE = 0
    NOT_ACCESSIBLE = 3
    INVALID_LINK = 4
    PARAMETER = 5
    NO_CHANNEL = 6
    NOT_SUPPORTED = 8
    OUT_OF_RESOURCES = 9
    LOCKED_BY_ANOTHER = 11
    NO_LOCK_HELD = 12
    IO_TIMEOUT = 15
    IO_ERROR = 17
    ABORT = 23


class Reason(IntEnum):
    """Why a read ended; they add up."""

    REQUESTED_COUNT = 1
    TERMINATION_CHARACTER = 2
    END = 4


@dataclass(eq=False, slots=True)
class _Link:
    """One client's way to the instrument.

    Parameters
    ----------
    number
        Link identifier.
    replies
        Responses that are not yet due.
    message
        A program message that is half in.
    response
        What is there to be read.
    reader
        The read that waits for it; called with an error to end it.
    """

    number: int
    replies: ReplyQueue
    message: bytearray = field(default_factory=bytearray)
    response: bytearray = field(default_factory=bytearray)
    reader: Callable[[Error], None] | None = None

    def clear(self) -> None:
        """Forget messages, half in or not yet out."""
        self.replies.clear()
        self.message.clear()
        self.response.clear()


class Vxi11Door(TcpDoor):
    """A SCPI twin behind VXI-11. A client that takes no port needs a `Portmapper` beside it."""

    def __init__(self, twin: MessageTwin, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(twin, clock=clock, host=host, port=port)
        self.locks = Locks()
        self.links: dict[int, _Link] = {}
        self._last_link = 0

    def client(self) -> TcpClient:
        return _Client(self)

    def resource_name(self) -> str:
        return f"TCPIP::{self.host},{self.port}::{DEVICE}::INSTR"

    def link(self) -> _Link:
        """A new link."""
        self._last_link += 1
        link = _Link(self._last_link, ReplyQueue(self.attendant))
        self.links[link.number] = link
        return link

    def end(self, link: _Link) -> None:
        """The link goes, and its lock with it."""
        self.links.pop(link.number, None)
        link.clear()
        self.locks.forget(link)
        if link.reader is not None:
            link.reader(Error.ABORT)


class _Client(rpc.RpcClient):
    """One connection: carries out one call after the other, some of which have to wait."""

    def __init__(self, door: Vxi11Door) -> None:
        super().__init__(door)
        self.door, self.locks, self.links = door, door.locks, door.links
        self._own: list[_Link] = []
        self._transaction: int | None = None
        self._procedures: dict[tuple[int, int], Callable[[rpc.Reader], None]] = {
            (CORE_PROGRAM, 0): self._null,
            (CORE_PROGRAM, 10): self._create_link,
            (CORE_PROGRAM, 11): self._write,
            (CORE_PROGRAM, 12): self._read,
            (CORE_PROGRAM, 13): partial(self._generic, self._read_status_byte, 1),
            (CORE_PROGRAM, 14): partial(self._generic, self._trigger, 0),
            (CORE_PROGRAM, 15): partial(self._generic, self._clear, 0),
            (CORE_PROGRAM, 16): partial(self._generic, self._nothing, 0),  # remote: there is no front panel
            (CORE_PROGRAM, 17): partial(self._generic, self._nothing, 0),  # local
            (CORE_PROGRAM, 18): self._lock,
            (CORE_PROGRAM, 19): self._unlock,
            (CORE_PROGRAM, 20): self._enable_service_request,
            (CORE_PROGRAM, 22): self._command,
            (CORE_PROGRAM, 23): self._destroy_link,
            (CORE_PROGRAM, 25): lambda _: self._result(Error.NOT_SUPPORTED),
            (CORE_PROGRAM, 26): lambda _: self._result(Error.NO_CHANNEL),
            (ABORT_PROGRAM, 0): self._null,
            (ABORT_PROGRAM, 1): self._abort,
        }

    def gone(self) -> None:
        super().gone()
        self._transaction = None
        while self._own:
            self.door.end(self._own.pop())

    def record(self, record: bytes) -> None:
        call = rpc.read_call(record, {CORE_PROGRAM: VERSION, ABORT_PROGRAM: VERSION})
        if not isinstance(call, rpc.Call):
            if call is not None:
                self.reply(call)
            return
        procedure = self._procedures.get((call.program, call.procedure))
        if procedure is None:
            self.reply(rpc.unavailable(call.transaction, rpc.PROCEDURE_UNAVAILABLE))
            return
        self._transaction = call.transaction
        try:
            procedure(call.arguments)
        except rpc.GarbageArguments:
            self._transaction = None
            self.reply(rpc.unavailable(call.transaction, rpc.GARBAGE_ARGUMENTS))
        if self._transaction is not None:
            self.hold("call")  # carried out later, and nothing else before that

    def _result(self, *values: int, data: bytes = b"") -> None:
        """Answer the call that is being carried out."""
        if self._transaction is None:
            return
        transaction, self._transaction = self._transaction, None
        self.reply(rpc.accepted(transaction, rpc.words(*values) + data))
        self.release("call")

    def _locked(
        self,
        link: _Link,
        flags: int,
        lock_timeout_ms: int,
        act: Callable[[], None],
        refuse: Callable[[], None],
    ) -> None:
        """Act unless another link has the lock; wait for that if the flags say so."""
        timeout_s = lock_timeout_ms / 1000 if flags & _WAIT_LOCK else 0.0

        def then(free: bool) -> None:
            (act if free else refuse)()

        self.locks.wait(link, lambda: not self.locks.bars(link), timeout_s, then)

    # Links and locks.

    def _null(self, arguments: rpc.Reader) -> None:
        self._result()

    def _create_link(self, arguments: rpc.Reader) -> None:
        _client, wants_lock, lock_timeout_ms = arguments.i32(), arguments.u32(), arguments.u32()
        if arguments.opaque().lower() != DEVICE.encode():
            self._result(Error.NOT_ACCESSIBLE, 0, 0, 0)
            return
        link = self.door.link()
        self._own.append(link)

        def done(granted: bool) -> None:
            if granted:
                self._result(Error.NONE, link.number, self.door.port, MOST_PER_WRITE)
            else:
                self._end(link)
                self._result(Error.LOCKED_BY_ANOTHER, 0, 0, 0)

        if wants_lock:
            self._request_lock(link, lock_timeout_ms / 1000, done)
        else:
            done(True)

    def _request_lock(self, link: _Link, timeout_s: float, then: Callable[[bool], object]) -> None:
        self.locks.wait(link, lambda: self.locks.request(link) is Grant.GRANTED, timeout_s, then)

    def _end(self, link: _Link) -> None:
        if link in self._own:
            self._own.remove(link)
        self.door.end(link)

    def _destroy_link(self, arguments: rpc.Reader) -> None:
        link = self.links.get(arguments.i32())
        if link is not None:
            self._end(link)
        self._result(Error.INVALID_LINK if link is None else Error.NONE)

    def _lock(self, arguments: rpc.Reader) -> None:
        link, flags, lock_timeout_ms = self.links.get(arguments.i32()), arguments.i32(), arguments.u32()
        if link is None:
            self._result(Error.INVALID_LINK)
            return
        timeout_s = lock_timeout_ms / 1000 if flags & _WAIT_LOCK and self.locks.exclusive is not link else 0.0
        self._request_lock(
            link, timeout_s, lambda granted: self._result(Error.NONE if granted else Error.LOCKED_BY_ANOTHER)
        )

    def _unlock(self, arguments: rpc.Reader) -> None:
        link = self.links.get(arguments.i32())
        if link is None:
            self._result(Error.INVALID_LINK)
        else:
            self._result(Error.NONE if self.locks.release(link) else Error.NO_LOCK_HELD)

    # Messages and responses.

    def _write(self, arguments: rpc.Reader) -> None:
        link = self.links.get(arguments.i32())
        _io_timeout_ms, lock_timeout_ms, flags = arguments.u32(), arguments.u32(), arguments.i32()
        data = arguments.opaque()
        if link is None:
            self._result(Error.INVALID_LINK, 0)
        elif len(data) > MOST_PER_WRITE:
            self._result(Error.PARAMETER, 0)
        else:
            act = partial(self._take_in, link, data, bool(flags & _END))
            refuse = partial(self._result, Error.LOCKED_BY_ANOTHER, 0)
            self._locked(link, flags, lock_timeout_ms, act, refuse)

    def _take_in(self, link: _Link, data: bytes, end: bool) -> None:
        if len(link.message) + len(data) > LONGEST_MESSAGE:
            link.message.clear()
            self._result(Error.OUT_OF_RESOURCES, 0)
            return
        self._interrupt(link)
        *ended, rest = data.split(b"\n")
        for part in ended:
            link.message += part
            self._ask(link)
        link.message += rest
        if end and link.message:
            self._ask(link)
        self._result(Error.NONE, len(data))

    def _interrupt(self, link: _Link) -> None:
        """A message ends whatever response was not read (IEEE 488.2: query INTERRUPTED)."""
        if link.response or link.replies:
            link.response.clear()
            link.replies.clear()
            self.attendant.query_error(_QUERY_INTERRUPTED)

    def _ask(self, link: _Link) -> None:
        """Hand on the message that is whole now."""
        self._interrupt(link)
        message = bytes(link.message)
        link.message.clear()
        reply = self.attendant.ask(message.removesuffix(b"\r"))
        if reply is not None:
            link.replies.put(reply.delay_s, partial(self._respond, link, reply.data))

    def _respond(self, link: _Link, data: bytes) -> None:
        link.response += data
        if link.reader is not None:
            link.reader(Error.NONE)

    def _read(self, arguments: rpc.Reader) -> None:
        link, size = self.links.get(arguments.i32()), arguments.u32()
        io_timeout_ms, lock_timeout_ms, flags = arguments.u32(), arguments.u32(), arguments.i32()
        termination = bytes([arguments.i32() & 0xFF]) if flags & _TERMCHAR_SET else None
        refuse = partial(self._result, data=rpc.opaque(b""))
        if link is None:
            refuse(Error.INVALID_LINK, 0)
            return
        act = partial(self._read_from, link, size, io_timeout_ms / 1000, termination)
        self._locked(link, flags, lock_timeout_ms, act, partial(refuse, Error.LOCKED_BY_ANOTHER, 0))

    def _read_from(self, link: _Link, size: int, timeout_s: float, termination: bytes | None) -> None:
        """Give out what is there, or as soon as it is there."""
        if link.reader is not None:
            self._result(Error.IO_ERROR, 0, data=rpc.opaque(b""))
            return
        if link.response:
            self._give_out(link, size, termination)
            return

        def ready(error: Error) -> None:
            timer.cancel()
            link.reader = None
            if error is Error.NONE:
                self._give_out(link, size, termination)
            else:
                self._result(error, 0, data=rpc.opaque(b""))

        def too_late() -> None:
            if not link.replies:  # nothing was asked; a response that is only late stays to be read
                self.attendant.query_error(_QUERY_UNTERMINATED)
            ready(Error.IO_TIMEOUT)

        timer = asyncio.get_running_loop().call_later(timeout_s, too_late)
        link.reader = ready

    def _give_out(self, link: _Link, size: int, termination: bytes | None) -> None:
        found = link.response.find(termination) + 1 if termination else 0
        count = min(size, found or len(link.response))
        data = bytes(link.response[:count])
        del link.response[:count]
        reason = 0 if link.response else int(Reason.END)
        if count == size:
            reason |= Reason.REQUESTED_COUNT
        if found and count == found:
            reason |= Reason.TERMINATION_CHARACTER
        self._result(Error.NONE, reason, data=rpc.opaque(data))

    # What IEEE 488 has beside messages.

    def _generic(self, act: Callable[[_Link], None], values: int, arguments: rpc.Reader) -> None:
        """A call that names a link and nothing else; `values` numbers follow the error in its result."""
        link, flags = self.links.get(arguments.i32()), arguments.i32()
        lock_timeout_ms, _io_timeout_ms = arguments.u32(), arguments.u32()
        none = [0] * values
        if link is None:
            self._result(Error.INVALID_LINK, *none)
            return
        refuse = partial(self._result, Error.LOCKED_BY_ANOTHER, *none)
        self._locked(link, flags, lock_timeout_ms, partial(act, link), refuse)

    def _read_status_byte(self, link: _Link) -> None:
        self._result(Error.NONE, self.attendant.status_byte(message_available=bool(link.response)))

    def _trigger(self, link: _Link) -> None:
        self.attendant.trigger()
        self._result(Error.NONE)

    def _clear(self, link: _Link) -> None:
        link.clear()
        self.attendant.device_clear()
        self._result(Error.NONE)

    def _nothing(self, link: _Link) -> None:
        self._result(Error.NONE)

    def _enable_service_request(self, arguments: rpc.Reader) -> None:
        link, _enable, _handle = self.links.get(arguments.i32()), arguments.u32(), arguments.opaque()
        self._result(Error.INVALID_LINK if link is None else Error.NONE)

    def _command(self, arguments: rpc.Reader) -> None:
        self._result(Error.NOT_SUPPORTED, data=rpc.opaque(b""))

    def _abort(self, arguments: rpc.Reader) -> None:
        """End what a link waits for; comes on a connection of its own."""
        link = self.links.get(arguments.i32())
        if link is not None and link.reader is not None:
            link.reader(Error.ABORT)
        self._result(Error.INVALID_LINK if link is None else Error.NONE)
