"""Modbus: pymodbus's own synchronous clients, with a real device or a twin behind them.

`read_holding_registers(address, count=..., device_id=...)` and its like work as pymodbus documents them, with
two differences: nobody's answer is a `WireError` and a damaged one a `FrameInvalid`, at once and with clear
text. A device that declines still answers with pymodbus's exception response: see `raise_modbus_errors`.
"""

from __future__ import annotations

from typing import Any, cast

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.client.base import ModbusBaseSyncClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU
from pymodbus.transport import CommParams, CommType

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, StationInvalid, WireError
from bench.wires.modbus_server import EXCEPTION_NAMES, Framing
from bench.wires.transcript import Transcript
from bench.wires.twin import MessageTwin, Reply

#: 8N1: start, 8 data, stop. And the silence that ends an RTU frame, as in pymodbus's frame layout.
_BITS_PER_CHARACTER = 10
_SILENT_CHARACTERS = 3.5


class _Line:
    """Who is at the other end of a client, and what crossed since the last request."""

    def __init__(
        self, address: str, timeout_s: float, clock: Clock, role: str, transcript: Transcript
    ) -> None:
        self.address, self.timeout_s, self.clock, self.role = address, timeout_s, clock, role
        self._transcript = transcript
        self.received = b""

    def trace_packet(self, sending: bool, data: bytes) -> bytes:
        """pymodbus shows what it sends, and its growing buffer of what it received."""
        if sending:
            self.received = b""
            self._transcript.add(self.clock.now_s, self.role, ">", data)
        else:
            self.received = data
        return data

    def note_answer(self) -> None:
        if self.received:
            self._transcript.add(self.clock.now_s, self.role, "<", self.received)

    def error(self, request: ModbusPDU, cause: Exception) -> WireError:
        where = f"{self.role} ({self.address})"
        if self.received:
            return FrameInvalid(
                "Modbus",
                self.received,
                expected=f"the answer of device {request.dev_id} to function {request.function_code} "
                f"from {where} with a valid check",
                found=f"something else at {self.clock.now_s:.3f} s",
            )
        return WireError(
            f"{where}: expected device {request.dev_id} to answer function {request.function_code} "
            f"at address {request.address} within {self.timeout_s:g} s, "
            f"found silence at {self.clock.now_s:.3f} s "
            f"({cause}). Is it on, and are its id and line settings right?"
        )


class _Checked(ModbusBaseSyncClient):
    """Turns pymodbus's failures into the bench's, and writes the transcript."""

    line: _Line

    def execute(self, no_response_expected: bool, request: ModbusPDU) -> ModbusPDU:
        self.line.received = b""
        try:
            response = super().execute(no_response_expected, request)
        except (ModbusException, OSError) as error:
            self.line.note_answer()
            raise self.line.error(request, error) from error
        self.line.note_answer()
        return response


class _TcpClient(_Checked, ModbusTcpClient):
    """A real device on a network."""


class _SerialClient(_Checked, ModbusSerialClient):
    """A real device on a serial line."""


class TwinClient(_Checked):
    """A pymodbus client whose device is a twin, in bench time.

    Parameters
    ----------
    twin
        Gets frames (RTU or TCP) and answers frames. Its `Reply.delay_s` counts from the end of the request to
        the start of the answer.
    line
        Names and clock.
    framing
        "rtu": each character takes 10 bits of bench time, each frame 3.5 characters more. "tcp": the line
        takes no time.
    baud
        [bit/s], for "rtu".
    retries
        How often pymodbus asks again.
    """

    def __init__(self, twin: MessageTwin, line: _Line, *, framing: Framing, baud: int, retries: int) -> None:
        is_rtu = framing == "rtu"
        super().__init__(
            FramerType.RTU if is_rtu else FramerType.SOCKET,
            retries,
            CommParams(
                comm_type=CommType.SERIAL,
                host=line.address,
                baudrate=baud,
                timeout_connect=line.timeout_s,
            ),
            line.trace_packet,
            None,
            None,
        )
        self.line, self._twin = line, twin
        self._character_s = _BITS_PER_CHARACTER / baud if is_rtu else 0.0
        self._reply: Reply | None = None

    @property
    def connected(self) -> bool:
        """A twin is always there; whether it answers is another matter."""
        return True

    def connect(self) -> bool:
        """Nothing to do."""
        return True

    def send(self, request: bytes, addr: tuple[Any, ...] | None = None) -> int:
        """Let the line time of `request` pass, and the twin act on it."""
        self.line.clock.sleep(self._line_time_s(request))
        self._reply = self._twin.handle(bytes(request))
        return len(request)

    def recv(self, size: int | None) -> bytes:
        """The whole answer when it has arrived, or nothing after the time-out."""
        reply, self._reply = self._reply, None
        wait_s = self.line.timeout_s if reply is None else reply.delay_s + self._line_time_s(reply.data)
        # pymodbus takes an empty answer as time-out and asks again at once: the time must have passed here.
        self.line.clock.sleep(min(wait_s, self.line.timeout_s))
        return b"" if reply is None or wait_s > self.line.timeout_s else reply.data

    def _line_time_s(self, frame: bytes) -> float:
        return (len(frame) + _SILENT_CHARACTERS) * self._character_s


def open_modbus(
    address: str,
    *,
    clock: Clock,
    role: str,
    transcript: Transcript,
    twin: MessageTwin | None = None,
    framing: Framing = "rtu",
    baud: int = 9600,
    timeout_s: float = 1.0,
    retries: int = 0,
) -> ModbusBaseSyncClient:
    """Open `address` as a pymodbus client.

    Parameters
    ----------
    address
        `tcp://<host>[:<port>]`, `rtu+tcp://<host>:<port>` for RTU frames through a gateway, a serial device
        (`/dev/ttyUSB0`, `COM3`) for RTU, or `twin://<name>`.
    clock
        Whose time passes, and shows in the transcript.
    role
        For the transcript and for messages.
    transcript
        Takes every frame.
    twin
        Who is at a `twin://` address.
    framing, baud
        Of a twin's line; `baud` [bit/s] also of a serial device, 8N1.
    timeout_s
        How long [s] an answer may take.
    retries
        How often a request that nobody answered is repeated.

    Raises
    ------
    WireError
        If the port or the connection cannot be opened.
    StationInvalid
        If a `twin://` address comes without a twin, or the port of a network address is no number.
    """
    line = _Line(address, timeout_s, clock, role, transcript)
    if address.startswith("twin://"):
        if twin is None:
            raise StationInvalid(
                f"[roles.{role}] address", expected="a twin for it", found=f"only {address!r}"
            )
        return TwinClient(twin, line, framing=framing, baud=baud, retries=retries)
    options: dict[str, Any] = {"timeout": timeout_s, "retries": retries, "trace_packet": line.trace_packet}
    scheme, found, rest = address.partition("://")
    client: _Checked
    if found and scheme in ("tcp", "rtu+tcp"):
        host, _, port = rest.partition(":")
        if port and not port.isdigit():
            raise StationInvalid(
                f"[roles.{role}] address", expected=f"{scheme}://<host>:<port>", found=address
            )
        framer = FramerType.SOCKET if scheme == "tcp" else FramerType.RTU
        client = _TcpClient(host, port=int(port or 502), framer=framer, **options)
    else:
        client = _SerialClient(address, baudrate=baud, **options)
    client.line = line
    if not client.connect():
        raise WireError(
            f"{role}: expected a Modbus line at {address}, found none at {clock.now_s:.3f} s. "
            "Is it plugged in or listening, and not held by another program?"
        )
    return client


def raise_modbus_errors(response: ModbusPDU, *, role: str, request: str, clock: Clock) -> list[int]:
    """Return the registers of `response`, unless the device declined.

    Raises
    ------
    InstrumentRefused
        With the exception code that the device gave.
    """
    if response.isError():
        code = int(getattr(response, "exception_code", 0))
        raise InstrumentRefused(
            f"{role} refused to {request} at {clock.now_s:.3f} s: "
            f"Modbus exception {code}, {EXCEPTION_NAMES.get(code, 'unknown')}."
        )
    return cast("list[int]", list(getattr(response, "registers", [])))
