"""HiSLIP (IVI-6.1), version 1.0, synchronised mode: messages, status byte, clear, trigger, locks on one port.

Rules are cited as the public server tridentsx/hislip (server/*.go) cites revision 2 of the standard; where it
and the public client pyvisa-py 0.8.1 say nothing, the behaviour is a project default: texts of errors, and
which fatal error an unknown sub-address gets. Left out: overlap mode, service requests, TLS.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench.clock import Clock
from bench.doors.door import ReplyQueue
from bench.doors.hislip_frames import (
    FIRST_ID,
    FIRST_VENDOR_KIND,
    HEADER_SIZE,
    ID_STEP,
    Fatal,
    Fault,
    Frame,
    Kind,
    header,
)
from bench.doors.locks import Grant, Locks
from bench.doors.tcp_door import LONGEST_MESSAGE, TcpClient, TcpDoor
from bench.errors import FrameInvalid
from bench.wires.twin import MessageTwin, Reply

SUB_ADDRESS = "hislip0"
_VERSION = 0x0100
#: Not registered with anybody.
_VENDOR = int.from_bytes(b"BB", "big")
_RELEASE, _REQUEST = 0, 1
_REMOTE_LOCAL_CONTROLS = range(7)
_RMT_DELIVERED = 1
_QUERY_INTERRUPTED = -410
_SIZE = struct.Struct("!Q")


class HislipDoor(TcpDoor):
    """A SCPI twin behind HiSLIP."""

    def __init__(self, twin: MessageTwin, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(twin, clock=clock, host=host, port=port)
        self.locks = Locks()
        self.sessions: dict[int, _Session] = {}
        self._last_session = 0

    def client(self) -> TcpClient:
        return _Channel(self)

    def resource_name(self) -> str:
        return f"TCPIP::{self.host}::{SUB_ADDRESS},{self.port}::INSTR"

    def begin(self, channel: _Channel) -> _Session:
        """A session of which `channel` is the synchronous one."""
        while not 0 < self._last_session < 0x1_0000 or self._last_session in self.sessions:
            self._last_session = self._last_session % 0xFFFF + 1
        session = _Session(self._last_session, self, channel)
        self.sessions[session.number] = session
        return session


class _Channel(TcpClient):
    """One of the two connections of a session."""

    def __init__(self, door: HislipDoor) -> None:
        super().__init__(door)
        self.door = door
        self.session: _Session | None = None
        self._skip = 0

    def step(self) -> bool:
        if self._skip:
            skipped = min(self._skip, len(self.inbox))
            del self.inbox[:skipped]
            self._skip -= skipped
            return not self._skip
        try:
            found = header(self.inbox)
        except FrameInvalid:
            self.fatal(Fatal.POORLY_FORMED_HEADER, "a header begins with HS")
            return False
        if found is None:
            return False
        frame, length = found
        if length > LONGEST_MESSAGE:
            del self.inbox[:HEADER_SIZE]
            self._skip = length
            self.error(Fault.MESSAGE_TOO_LARGE, f"{length} bytes, at most {LONGEST_MESSAGE}")
            return True
        if len(self.inbox) < HEADER_SIZE + length or (self.session and self.session.must_wait(self)):
            return False
        payload = bytes(self.inbox[HEADER_SIZE : HEADER_SIZE + length])
        del self.inbox[: HEADER_SIZE + length]
        self._act(replace(frame, payload=payload))
        return True

    def forget(self) -> None:
        super().forget()
        self._skip = 0
        if self.session is not None:
            self.session.forget()

    def gone(self) -> None:
        super().gone()
        if self.session is not None:
            self.session.end()

    def reply(self, kind: Kind, control: int = 0, parameter: int = 0, payload: bytes = b"") -> None:
        self.send(Frame(kind, control, parameter, payload).encode())

    def error(self, fault: Fault, text: str) -> None:
        self.reply(Kind.ERROR, fault, payload=text.encode())

    def fatal(self, fatal: Fatal, text: str) -> None:
        """Say why, and end the session."""
        self.reply(Kind.FATAL_ERROR, fatal, payload=text.encode())
        self.transport.close()
        self.gone()

    def _act(self, frame: Frame) -> None:
        if self.session is not None:
            self.session.act(self, frame)
        elif frame.kind == Kind.INITIALIZE:
            self._initialize(frame)
        elif frame.kind == Kind.ASYNC_INITIALIZE:
            self._async_initialize(frame)
        else:
            self.fatal(Fatal.INVALID_INITIALIZATION, "the first message has to be Initialize")

    def _initialize(self, frame: Frame) -> None:
        if frame.payload.lower() not in (b"", SUB_ADDRESS.encode()):
            self.fatal(Fatal.INVALID_INITIALIZATION, f"the only sub-address is {SUB_ADDRESS}")
            return
        self.session = self.door.begin(self)
        self.reply(Kind.INITIALIZE_RESPONSE, parameter=_VERSION << 16 | self.session.number)

    def _async_initialize(self, frame: Frame) -> None:
        session = self.door.sessions.get(frame.parameter)
        if session is None or session.asynchronous is not None:
            self.fatal(Fatal.INVALID_INITIALIZATION, f"no session {frame.parameter} waits for its channel")
            return
        self.session, session.asynchronous = session, self
        self.reply(Kind.ASYNC_INITIALIZE_RESPONSE, parameter=_VENDOR)


class _Session:
    """One client with its two channels.

    Parameters
    ----------
    number
        Session identifier.
    door, synchronous
        Where it lives, and the channel that came first.
    """

    def __init__(self, number: int, door: HislipDoor, synchronous: _Channel) -> None:
        self.number, self.synchronous = number, synchronous
        self.asynchronous: _Channel | None = None
        self._sessions, self._locks, self._attendant = door.sessions, door.locks, door.attendant
        self._replies = ReplyQueue(door.attendant)
        self._most_payload = LONGEST_MESSAGE - HEADER_SIZE
        self._clearing = False
        self._reset()

    def _reset(self) -> None:
        self._input = bytearray()
        self._too_long = False
        self._last_id = FIRST_ID - ID_STEP
        # IVI-6.1, 3.1.1: set by the DataEnd of a response, cleared when the client says it has read it.
        self._unread = False
        self._replies.clear()

    def forget(self) -> None:
        """Forget a message that is half in, and with it what the client says in it of the last response."""
        self._input.clear()
        self._unread = False

    def end(self) -> None:
        """Both connections go, and with them all locks. Any number of times."""
        if self._sessions.pop(self.number, None) is None:
            return
        self._replies.clear()
        self._locks.forget(self)
        for channel in (self.synchronous, self.asynchronous):
            if channel is not None and not channel.transport.is_closing():
                channel.drop()

    def must_wait(self, channel: _Channel) -> bool:
        """Whether others hold a lock; then messages of the synchronous channel wait until it is released."""
        if channel is not self.synchronous or self._clearing or not self._locks.bars(self):
            return False
        channel.hold("lock")
        self._locks.wait(
            self, lambda: not self._locks.bars(self), math.inf, lambda _: channel.release("lock")
        )
        return True

    def act(self, channel: _Channel, frame: Frame) -> None:
        """Act on one message of either channel."""
        asynchronous = self.asynchronous
        if asynchronous is None:
            channel.fatal(Fatal.NOT_BOTH_CHANNELS, "the asynchronous channel is missing")
            return
        if frame.kind in (Kind.INITIALIZE, Kind.ASYNC_INITIALIZE):
            channel.fatal(Fatal.INVALID_INITIALIZATION, "this session is initialised")
        elif frame.kind == Kind.FATAL_ERROR:
            self.end()
        elif frame.kind == Kind.ERROR:
            pass  # the client did not understand something; there is nothing to repeat
        elif (handler := self._handlers(channel, asynchronous).get(frame.kind)) is not None:
            handler(frame)
        elif frame.kind >= FIRST_VENDOR_KIND:
            channel.error(Fault.UNRECOGNIZED_VENDOR_MESSAGE, f"message {frame.kind}")
        else:
            channel.error(Fault.UNRECOGNIZED_KIND, f"message {frame.kind} on this channel")

    def _handlers(self, channel: _Channel, asynchronous: _Channel) -> dict[int, Callable[[Frame], None]]:
        if channel is self.synchronous:
            return {
                Kind.DATA: partial(self._data, asynchronous),
                Kind.DATA_END: partial(self._data, asynchronous),
                Kind.TRIGGER: partial(self._trigger, asynchronous),
                Kind.DEVICE_CLEAR_COMPLETE: self._complete_clear,
            }
        return {
            Kind.ASYNC_LOCK: partial(self._lock, asynchronous),
            Kind.ASYNC_LOCK_INFO: partial(self._lock_info, asynchronous),
            Kind.ASYNC_REMOTE_LOCAL_CONTROL: partial(self._remote_local, asynchronous),
            Kind.ASYNC_MAXIMUM_MESSAGE_SIZE: partial(self._maximum_size, asynchronous),
            Kind.ASYNC_DEVICE_CLEAR: partial(self._begin_clear, asynchronous),
            Kind.ASYNC_STATUS_QUERY: partial(self._after_messages, partial(self._status, asynchronous)),
        }

    # Messages and responses.

    def _data(self, asynchronous: _Channel, frame: Frame) -> None:
        if self._clearing:
            return
        self._arrived(asynchronous, frame)
        if not self._too_long:
            self._input += frame.payload
            self._too_long = len(self._input) > LONGEST_MESSAGE
        if frame.kind == Kind.DATA:
            return
        message, too_long = bytes(self._input), self._too_long
        self._input.clear()
        self._too_long = False
        if too_long:
            self.synchronous.error(Fault.MESSAGE_TOO_LARGE, f"at most {LONGEST_MESSAGE} bytes altogether")
        else:
            self._ask(asynchronous, message, frame.parameter)

    def _ask(self, asynchronous: _Channel, text: bytes, message_id: int) -> None:
        """Hand on what DataEnd made whole. A line feed inside ends a program message, too, and what comes
        after it interrupts the response.
        """
        reply: Reply | None = None
        for message in text.removesuffix(b"\n").split(b"\n"):
            if reply is not None:
                self._interrupt(asynchronous, message_id)
            reply = self._attendant.ask(message.removesuffix(b"\r"))
        if reply is not None:
            self._replies.put(reply.delay_s, partial(self._respond, reply.data, message_id))

    def _arrived(self, asynchronous: _Channel, frame: Frame) -> None:
        """IVI-6.1, 3.1.1: a message while a response is still to come, or was not read, interrupts it."""
        delivered = bool(frame.control & _RMT_DELIVERED)
        if self._replies:
            self._interrupt(asynchronous, frame.parameter)
        elif self._unread and not delivered:
            # Rule 2: the response is out already; the client drops it by its identifier and is not told.
            self._attendant.query_error(_QUERY_INTERRUPTED)
        self._unread = False
        self._last_id = frame.parameter

    def _interrupt(self, asynchronous: _Channel, message_id: int) -> None:
        """Rule 1: the response is discarded, and both channels hear which message did it."""
        self._replies.clear()
        self._attendant.query_error(_QUERY_INTERRUPTED)
        asynchronous.reply(Kind.ASYNC_INTERRUPTED, parameter=message_id)
        self.synchronous.reply(Kind.INTERRUPTED, parameter=message_id)

    def _respond(self, data: bytes, message_id: int) -> None:
        last = max(0, len(data) - 1) // self._most_payload * self._most_payload
        for start in range(0, last, self._most_payload):
            self.synchronous.reply(
                Kind.DATA, parameter=message_id, payload=data[start : start + self._most_payload]
            )
        self.synchronous.reply(Kind.DATA_END, parameter=message_id, payload=data[last:])
        self._unread = True

    def _trigger(self, asynchronous: _Channel, frame: Frame) -> None:
        if not self._clearing:
            self._arrived(asynchronous, frame)
            self._attendant.trigger()

    # Device clear (IVI-6.1, 6.12): what the synchronous channel brings until DeviceClearComplete is ignored.

    def _begin_clear(self, asynchronous: _Channel, frame: Frame) -> None:
        self._clearing = True
        self._reset()
        asynchronous.reply(Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)
        self.synchronous.release("lock")

    def _complete_clear(self, frame: Frame) -> None:
        self._reset()
        self._clearing = False
        self._attendant.device_clear()
        self.synchronous.reply(Kind.DEVICE_CLEAR_ACKNOWLEDGE)

    # What the asynchronous channel asks.

    def _after_messages(self, act: Callable[[Frame], None], frame: Frame) -> None:
        """Act after what the client sent before on the other channel.

        Then that is here too, but its turn in the event loop may come later.
        """
        asyncio.get_running_loop().call_soon(act, frame)

    def _status(self, asynchronous: _Channel, frame: Frame) -> None:
        if frame.control & _RMT_DELIVERED:
            self._unread = False
        # IVI-6.1, 6.14.1: no message is available to who asks about another message than the last one here.
        # pyvisa-py 0.8.1 sends the identifier that it is going to use next, so that is taken too.
        known = frame.parameter in (self._last_id, (self._last_id + ID_STEP) % (1 << 32))
        status = self._attendant.status_byte(message_available=self._unread and known)
        asynchronous.reply(Kind.ASYNC_STATUS_RESPONSE, control=status)

    def _maximum_size(self, asynchronous: _Channel, frame: Frame) -> None:
        """The client's limit holds for what it gets; the answer is the limit for what it sends."""
        if len(frame.payload) == _SIZE.size:
            (size,) = _SIZE.unpack(frame.payload)
            self._most_payload = min(max(1, size - HEADER_SIZE), LONGEST_MESSAGE)
        own = _SIZE.pack(LONGEST_MESSAGE)
        asynchronous.reply(Kind.ASYNC_MAXIMUM_MESSAGE_SIZE_RESPONSE, payload=own)

    def _remote_local(self, asynchronous: _Channel, frame: Frame) -> None:
        """Twins have no front panel: remote or local makes no difference."""
        if frame.control in _REMOTE_LOCAL_CONTROLS:
            asynchronous.reply(Kind.ASYNC_REMOTE_LOCAL_RESPONSE)
        else:
            asynchronous.error(Fault.UNRECOGNIZED_CONTROL, f"remote/local {frame.control}")

    def _lock(self, asynchronous: _Channel, frame: Frame) -> None:
        if frame.control == _REQUEST:
            self._request_lock(asynchronous, frame.payload.decode("latin-1"), frame.parameter / 1000)
        elif frame.control == _RELEASE:
            self._after_messages(partial(self._release_lock, asynchronous), frame)
        else:
            asynchronous.error(Fault.UNRECOGNIZED_CONTROL, f"lock {frame.control}")

    def _request_lock(self, asynchronous: _Channel, key: str, timeout_s: float) -> None:
        grant = Grant.HELD

        def attempt() -> bool:
            nonlocal grant
            grant = self._locks.request(self, key)
            return grant is not Grant.HELD

        def answer(_: bool) -> None:
            control = {Grant.HELD: 0, Grant.GRANTED: 1, Grant.NONSENSE: 3}[grant]
            asynchronous.reply(Kind.ASYNC_LOCK_RESPONSE, control=control)

        self._locks.wait(self, attempt, timeout_s, answer)

    def _release_lock(self, asynchronous: _Channel, frame: Frame) -> None:
        released = self._locks.release(self)
        control = {"exclusive": 1, "shared": 2, None: 3}[released]
        asynchronous.reply(Kind.ASYNC_LOCK_RESPONSE, control=control)

    def _lock_info(self, asynchronous: _Channel, frame: Frame) -> None:
        exclusive = self._locks.exclusive is not None
        asynchronous.reply(
            Kind.ASYNC_LOCK_INFO_RESPONSE, control=int(exclusive), parameter=self._locks.holders
        )
