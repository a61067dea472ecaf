"""VISA: open an address as pyvisa's own object, with a real instrument or its twin behind it.

A twin is reached through a VISA library in process, so that `query`, terminations and time-outs are
pyvisa's. An answer takes the twin's time; silence takes the time-out; both are bench time. Raw sockets and
twins have neither device clear nor serial poll, so drivers use `*STB?`. HiSLIP and VXI-11 (`INSTR`) have
both, and mark the end of a message themselves; the line feed stays, so that a driver sends the same bytes.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any, cast

import pyvisa
from pyvisa import constants
from pyvisa.highlevel import VisaLibraryBase
from pyvisa.resources import MessageBasedResource
from pyvisa.typing import VISARMSession, VISASession
from pyvisa_py.protocols.rpc import RPCError

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.transcript import Transcript
from bench.wires.twin import MessageTwin

_OK = constants.StatusCode.success
_MAX_COUNT = constants.StatusCode.success_max_count_read
_TERMINATED = constants.StatusCode.success_termination_character_read
_MANAGER_SESSION = VISARMSession(1)
_DEVICE_SESSION = VISASession(2)
_LF = b"\n"


def open_visa(
    address: str,
    *,
    clock: Clock,
    role: str,
    transcript: Transcript,
    twin: MessageTwin | None = None,
    timeout_s: float = 2.0,
    probe: str | None = "*IDN?",
) -> MessageBasedResource:
    """Open `address` and make sure that somebody answers there.

    Parameters
    ----------
    address
        A VISA resource name (`TCPIP::192.168.0.21::5025::SOCKET`, `TCPIP::192.168.0.21::hislip0::INSTR`,
        `TCPIP::192.168.0.21::inst0::INSTR`, `ASRL/dev/ttyUSB0::INSTR`), opened with pyvisa-py, or
        `twin://<name>`.
    clock
        Whose time the transcript shows, and in which a twin answers.
    role
        Role of the station file, for the transcript and for messages.
    twin
        Who answers at a `twin://` address.
    timeout_s
        How long [s] a read waits.
    probe
        Query that must be answered before this returns; None asks nothing. A closed TCP port opens without an
        error in pyvisa-py, only the first query finds out.

    Raises
    ------
    WireError
        If nobody answers at `address`.
    StationInvalid
        If the address is no VISA name, or a `twin://` address comes without a twin.
    """
    manager, name = _manager(address, clock, role, twin)
    try:
        resource = cast(
            MessageBasedResource,
            manager.open_resource(name, read_termination="\n", write_termination="\n"),
        )
    except Exception as error:  # pyvisa-py has a class for some reasons only: a link refused is none of them
        raise WireError(
            f"{role} ({address}) could not be opened at {clock.now_s:.3f} s: {_words(error)}. Is it on, "
            "connected, and not held by another program?"
        ) from error
    resource.timeout = timeout_s * 1000
    _send_without_delay(resource)
    resource.visalib = cast(
        VisaLibraryBase, _Recorder(resource.visalib, clock=clock, role=role, transcript=transcript)
    )
    try:
        if probe is not None:
            resource.query(probe)
    except (pyvisa.errors.InvalidSession, pyvisa.errors.VisaIOError, OSError, ValueError) as error:
        resource.close()
        raise WireError(
            f"{role} ({address}) did not answer {probe!r} within {timeout_s:g} s at {clock.now_s:.3f} s: "
            f"{_words(error)}. Is it on, connected, and not held by another program?"
        ) from error
    return resource


def _words(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _manager(
    address: str, clock: Clock, role: str, twin: MessageTwin | None
) -> tuple[pyvisa.ResourceManager, str]:
    if not address.startswith("twin://"):
        return pyvisa.ResourceManager("@py"), address
    if twin is None:
        raise StationInvalid(f"[roles.{role}] address", expected="a twin for it", found=f"only {address!r}")
    library = _TwinLibrary.of(_Link(twin, clock))
    # The name only has to parse; a socket is what a twin behaves like: a stream, LF ends a message.
    return pyvisa.ResourceManager(library), f"TCPIP::{address.removeprefix('twin://')}::5025::SOCKET"


def _send_without_delay(resource: MessageBasedResource) -> bool:
    """Switch Nagle's algorithm off; whether there was a TCP socket to do so on.

    A write followed by a query otherwise waits about 44 ms for the instrument's delayed acknowledgement.
    pyvisa-py has no public way to the option, its session table holds the socket.
    """
    session = getattr(resource.visalib, "sessions", {}).get(resource.session)
    interface = getattr(session, "interface", None)
    if not isinstance(interface, socket.socket) or interface.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return True


class _Recorder:
    """Stands before a VISA library and writes down what crosses it.

    Where pyvisa-py has no VISA status for an `INSTR` session whose partner is gone, it is given one.
    """

    def __init__(self, library: VisaLibraryBase, *, clock: Clock, role: str, transcript: Transcript) -> None:
        self._library, self._clock, self._role = library, clock, role
        self._add, self._write, self._read = transcript.add, library.write, library.read
        self._is_twin = isinstance(library, _TwinLibrary)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._library, name)
        if callable(found):  # asked for several times in each exchange
            self.__dict__[name] = found
        return found

    def write(self, session: VISASession, data: bytes) -> tuple[int, constants.StatusCode]:
        self._add(self._clock.now_s, self._role, ">", data)
        try:
            return self._write(session, data)
        except (RuntimeError, RPCError) as error:
            if self._is_twin:  # then it is a mistake in the twin
                raise
            raise pyvisa.errors.VisaIOError(constants.StatusCode.error_connection_lost) from error

    def read(self, session: VISASession, count: int) -> tuple[bytes, constants.StatusCode]:
        try:
            data, status = self._read(session, count)
        except (RuntimeError, RPCError) as error:
            if self._is_twin:  # then it is a mistake in the twin
                raise
            raise pyvisa.errors.VisaIOError(constants.StatusCode.error_connection_lost) from error
        self._add(self._clock.now_s, self._role, "<", data)
        return data, status


class _Link:
    """The two directions between pyvisa and one twin: bytes in, answers that fall due."""

    def __init__(self, twin: MessageTwin, clock: Clock) -> None:
        self.twin, self.clock = twin, clock
        self._request = bytearray()
        self._replies: deque[tuple[int, bytes]] = deque()
        self._arrived = bytearray()

    def send(self, data: bytes) -> None:
        self._request += data
        while _LF in self._request:
            message, _, rest = bytes(self._request).partition(_LF)
            self._request[:] = rest
            reply = self.twin.handle(message.removesuffix(b"\r"))
            if reply is not None:
                busy_ns = self._replies[-1][0] if self._replies else 0
                due_ns = max(self.clock.now_ns, busy_ns) + round(reply.delay_s * 1e9)
                self._replies.append((due_ns, reply.data))

    def receive(self, count: int, timeout_s: float, termination: bytes | None) -> bytes | None:
        """At most `count` bytes up to `termination`; None after `timeout_s` [s], and what came is lost.

        That is how pyvisa-py reads a socket: half an answer without its termination is thrown away.
        """
        give_up_ns = self.clock.now_ns + round(timeout_s * 1e9)
        while not self._whole(count, termination):
            if not self._replies or self._replies[0][0] > give_up_ns:
                self.clock.sleep_until(give_up_ns)
                self._arrived.clear()
                return None
            self.clock.sleep_until(self._replies[0][0])
            self._arrived += self._replies.popleft()[1]
        end = self._arrived.find(termination) + 1 if termination else 0
        size = min(count, end or len(self._arrived))
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        return data

    def _whole(self, count: int, termination: bytes | None) -> bool:
        if termination is None:
            return bool(self._arrived)
        return termination in self._arrived or len(self._arrived) >= count


class _TwinLibrary(VisaLibraryBase):
    """A VISA library with one device: the twin at the other end of its link."""

    link: _Link
    _attributes: dict[constants.ResourceAttribute, Any]

    @classmethod
    def of(cls, link: _Link) -> _TwinLibrary:
        # pyvisa keeps one library per class and path. The link lives as long as its library, so its id
        # is a path that no other living library has.
        library = cls(f"twin-{id(link):x}")
        library.link = link
        library._attributes = {
            constants.ResourceAttribute.timeout_value: 2000,
            constants.ResourceAttribute.termchar: ord(_LF),
            constants.ResourceAttribute.termchar_enabled: False,
        }
        return library

    def open_default_resource_manager(self) -> tuple[VISARMSession, constants.StatusCode]:
        return _MANAGER_SESSION, _OK

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int = constants.VI_TMO_IMMEDIATE,
    ) -> tuple[VISASession, constants.StatusCode]:
        return _DEVICE_SESSION, _OK

    def close(self, session: Any) -> constants.StatusCode:
        return _OK

    def disable_event(self, *_: Any) -> constants.StatusCode:
        return _OK

    def discard_events(self, *_: Any) -> constants.StatusCode:
        return _OK

    def get_attribute(self, session: Any, attribute: Any) -> tuple[Any, constants.StatusCode]:
        if attribute not in self._attributes:
            self.handle_return_value(session, constants.StatusCode.error_nonsupported_attribute)
        return self._attributes[attribute], _OK

    def set_attribute(
        self, session: VISASession, attribute: constants.ResourceAttribute, attribute_state: Any
    ) -> constants.StatusCode:
        self._attributes[attribute] = attribute_state
        return _OK

    def write(self, session: VISASession, data: bytes) -> tuple[int, constants.StatusCode]:
        self.link.send(data)
        return len(data), _OK

    def read(self, session: VISASession, count: int) -> tuple[bytes, constants.StatusCode]:
        attributes = self._attributes
        timeout_s = attributes[constants.ResourceAttribute.timeout_value] / 1000
        termination = None
        if attributes[constants.ResourceAttribute.termchar_enabled]:
            termination = bytes([attributes[constants.ResourceAttribute.termchar]])
        data = self.link.receive(count, timeout_s, termination)
        if data is None:
            self.handle_return_value(session, constants.StatusCode.error_timeout)
            raise AssertionError("unreachable: a negative status raises")
        if termination is not None and data.endswith(termination):
            return data, _TERMINATED
        return data, _MAX_COUNT if len(data) == count else _OK
