"""Serial lines: pyserial's own objects, with a real port or a twin at the far end of the cable.

On a twin's line a character takes 10 bits of bench time (start, 8 data, stop) in each direction. `write`
returns when the last bit is out, as `write` and `flush` together do on a real port.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import serial

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.transcript import Transcript
from bench.wires.twin import MessageTwin

_BITS_PER_CHARACTER = 10
_LF = b"\n"
_SILENCE_S = 60.0
#: How often a waiting `read` looks at a line on which nothing is under way [ns].
_LOOK_NS = 1_000_000


class TwinSerial(serial.SerialBase):  # type: ignore[misc]  # pyserial has no types
    """A pyserial port whose far end is a twin.

    Parameters
    ----------
    twin
        Gets the bytes of each `write`. Its `Reply.delay_s` counts from the last bit of the request to the
        first of the answer: the line time of both is added here.
    clock
        Whose time passes.
    role
        For messages and `name`.
    baudrate
        [bit/s].
    timeout
        How long [s] a `read` waits; None: a minute, where a real port waits for ever.
    """

    def __init__(
        self,
        twin: MessageTwin,
        *,
        clock: Clock,
        role: str,
        baudrate: int = 9600,
        timeout: float | None = 1.0,
    ) -> None:
        self._twin, self._clock = twin, clock
        #: Bytes on the way: each with the bench time [ns] at which its last bit is in.
        self._incoming: deque[tuple[int, int]] = deque()
        self._line_free_ns = 0
        super().__init__(port=f"twin://{role}", baudrate=baudrate, timeout=timeout)

    def open(self) -> None:
        """Start to listen."""
        self.is_open = True

    def close(self) -> None:
        """Drop what is on the way."""
        self._incoming.clear()
        self.is_open = False

    @property
    def in_waiting(self) -> int:
        """Bytes that `read` would give at once."""
        now_ns = self._clock.now_ns
        return sum(arrival_ns <= now_ns for arrival_ns, _ in self._incoming)

    def write(self, b: Any, /) -> int:
        """Send `b`, let the line time pass, and let the twin act on it."""
        self._must_be_open()
        data = bytes(b)
        self._clock.sleep_until(self._clock.now_ns + len(data) * self._character_ns)
        reply = self._twin.handle(data)
        if reply is not None:
            self.feed(reply.data, delay_s=reply.delay_s)
        return len(data)

    def feed(self, data: bytes, *, delay_s: float = 0.0) -> None:
        """Let the twin's side send `data`, starting in `delay_s` [s]: replies, and what nobody asked for."""
        character_ns = self._character_ns
        at_ns = max(self._clock.now_ns + round(delay_s * 1e9), self._line_free_ns)
        for byte in data:
            at_ns += character_ns
            self._incoming.append((at_ns, byte))
        self._line_free_ns = at_ns

    def read(self, size: int = 1, /) -> bytes:
        """Up to `size` bytes: all of them, or what came before the time-out."""
        self._must_be_open()
        clock, incoming = self._clock, self._incoming
        wait_s = _SILENCE_S if self.timeout is None else self.timeout
        end_ns = clock.now_ns + round(wait_s * 1e9)
        while clock.now_ns < end_ns:
            # Jobs may feed the line while this waits, so it looks again and again.
            complete = len(incoming) >= size
            due_ns = incoming[size - 1][0] if complete else clock.now_ns + _LOOK_NS
            if complete and due_ns <= clock.now_ns:
                break
            clock.sleep_until(min(due_ns, end_ns))
        arrived = bytearray()
        while incoming and len(arrived) < size and incoming[0][0] <= clock.now_ns:
            arrived.append(incoming.popleft()[1])
        return bytes(arrived)

    def reset_input_buffer(self) -> None:
        """Forget what has arrived, not what is still on the line."""
        now_ns = self._clock.now_ns
        while self._incoming and self._incoming[0][0] <= now_ns:
            self._incoming.popleft()

    def reset_output_buffer(self) -> None:
        """Nothing to forget: `write` returns when all is out."""

    def flush(self) -> None:
        """Nothing to wait for: `write` returns when all is out."""

    @property
    def _character_ns(self) -> int:
        return round(_BITS_PER_CHARACTER * 1e9 / int(self.baudrate))

    def _must_be_open(self) -> None:
        if not self.is_open:
            raise serial.PortNotOpenError

    def _reconfigure_port(self) -> None:
        """Settings take effect with the next character."""

    def _update_rts_state(self) -> None:
        """No twin looks at the modem lines."""

    _update_dtr_state = _update_break_state = _update_rts_state


class DevicePort(serial.Serial):  # type: ignore[misc]  # pyserial has no types
    """A serial device, or a pseudo terminal in its place, which has no RTS and DTR to set."""

    def reset_input_buffer(self) -> None:
        """Forget what has arrived; a device that is gone is told as by every other call."""
        try:
            super().reset_input_buffer()
        except OSError:
            raise
        except Exception as error:  # the terminal's own class of errors, which is no OSError
            raise serial.SerialException(str(error)) from error

    def _update_rts_state(self) -> None:
        with _no_modem_lines():
            super()._update_rts_state()

    def _update_dtr_state(self) -> None:
        with _no_modem_lines():
            super()._update_dtr_state()


@contextlib.contextmanager
def _no_modem_lines() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise


def open_serial(
    address: str,
    *,
    baud: int,
    clock: Clock,
    role: str,
    transcript: Transcript,
    twin: MessageTwin | None = None,
    timeout_s: float = 1.0,
) -> serial.SerialBase:
    """Open `address` as a pyserial port, 8N1.

    Parameters
    ----------
    address
        A device (`/dev/ttyACM0`, `COM3`), a pyserial URL (`socket://10.0.0.5:4001`), or `twin://<name>`.
    baud
        [bit/s]. A USB device that only pretends to be a serial port ignores it.
    clock
        Whose time the transcript shows, and passes on a twin's line.
    role
        For the transcript and for messages.
    transcript
        Takes every write and every read.
    twin
        Who is at a `twin://` address.
    timeout_s
        How long [s] a read waits.

    Raises
    ------
    WireError
        If the port cannot be opened.
    StationInvalid
        If a `twin://` address comes without a twin.
    """
    if address.startswith("twin://"):
        if twin is None:
            raise StationInvalid(
                f"[roles.{role}] address", expected="a twin for it", found=f"only {address!r}"
            )
        port = TwinSerial(twin, clock=clock, role=role, baudrate=baud, timeout=timeout_s)
    else:
        port = _open_port(address, baud, timeout_s, role, clock)
    _record(port, clock, role, transcript)
    return port


def _open_port(address: str, baud: int, timeout_s: float, role: str, clock: Clock) -> serial.SerialBase:
    opener = serial.serial_for_url if "://" in address else DevicePort
    try:
        port = opener(address, baudrate=baud, timeout=timeout_s, write_timeout=timeout_s)
    except (serial.SerialException, OSError, ValueError) as error:
        raise WireError(
            f"{role}: expected an open serial port at {address}, found {error} at {clock.now_s:.3f} s. "
            "Is it plugged in, and not held by another program?"
        ) from error
    # Without this a write followed by a read waits about 44 ms for the far end's delayed acknowledgement.
    line = getattr(port, "_socket", None)
    if line is not None:
        with contextlib.suppress(OSError):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain_close = port.close

        def close() -> None:
            plain_close()
            line.close()

        # pyserial forgets the socket when the far end has closed it first.
        port.close = close
    return port


def _record(port: serial.SerialBase, clock: Clock, role: str, transcript: Transcript) -> None:
    """Write down what crosses `port`, and turn its failures into `WireError`."""
    plain_write, plain_read, plain_reset = port.write, port.read, port.reset_input_buffer

    def guarded(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError as error:
            raise WireError(
                f"{role} ({port.port}): expected an open line, found {error} at {clock.now_s:.3f} s."
            ) from error

    def write(data: Any) -> int:
        transcript.add(clock.now_s, role, ">", bytes(data))
        sent: int = guarded(lambda: plain_write(data))
        return sent

    def read(size: int = 1) -> bytes:
        data = bytes(guarded(lambda: plain_read(size)))
        if data:
            transcript.add(clock.now_s, role, "<", data)
        return data

    def read_until(expected: bytes = _LF, size: int | None = None) -> bytes:
        """Up to and with `expected`, at most `size` bytes, or what came before the time-out."""
        data = bytearray()

        def collect() -> None:
            while not data.endswith(expected) and (size is None or len(data) < size):
                byte = plain_read(1)
                if not byte:
                    break
                data.extend(byte)

        guarded(collect)
        if data:
            transcript.add(clock.now_s, role, "<", bytes(data))
        return bytes(data)

    def reset_input_buffer() -> None:
        guarded(plain_reset)

    port.write, port.read, port.read_until = write, read, read_until
    port.reset_input_buffer = reset_input_buffer
