"""Twin of a Numato Ethernet relay module: logs clients in over telnet, and obeys the text of its USB kin.

Each connection is a `session` of its own on the same relays. On a serial wire in process there are no
connections: one session is implied, and greets with the first bytes that it gets.

Not seen in any document, hence unverified: the title, what a wrong password is answered, that a second client
is let in while another is there, and the answer to a command without a value. Nothing is wired to the GPIOs.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.faultbox_numato_twin import NumatoOptions, NumatoTwin
from instruments.terminals import FaultTerminal

USER_PROMPT, PASSWORD_PROMPT, PROMPT, NEW_LINE = b"User Name: ", b"Password: ", b">", b"\r\n"
WELCOME = b"Logged in successfully"
_DENIED = b"Access denied"
_CR, _LF, _IAC = 0x0D, 0x0A, 0xFF
#: Telnet negotiation: IAC, a verb from WILL to DONT and an option, or IAC and another verb.
NEGOTIATION = re.compile(rb"\xff(?:[\xfb-\xfe].|[\xf0-\xfa])", re.DOTALL)
#: User name and password: PyPI numato_eth 0.0.1, eth.py.
_FACTORY_LOGIN = "admin"
_GPIOS = 8
#: A line that is longer is nobody's command.
_LONGEST_LINE = 256


class NumatoEthernetOptions(NumatoOptions):
    """The `[roles.<name>.options]` table of a Numato Ethernet module; relays count from 0.

    Parameters
    ----------
    user, password
        Of the telnet login; as from the factory. They stand in the transcript.
    greeting_s
        How long the module may take to greet [s]. Project default.
    contact_a
        Rating of a contact [A]. Project default: that of the USB module.
    baud
        Of the implied line of a twin; TCP has none.
    """

    channels: Annotated[int, Field(ge=8, le=32, multiple_of=8)] = 16
    user: Annotated[str, Field(min_length=1, max_length=8, pattern=r"^[!-~]+$")] = _FACTORY_LOGIN
    password: Annotated[str, Field(min_length=1, max_length=8, pattern=r"^[!-~]+$")] = _FACTORY_LOGIN
    greeting_s: Annotated[float, Field(gt=0)] = 0.5
    baud: Annotated[int, Field(gt=0)] = 115_200


class NumatoEthernetTwin:
    """Device side: the module, with a session for each client.

    Parameters
    ----------
    terminal
        Where the contacts are.
    clock
        Contacts take their time on it.
    options
        As the driver's.
    seed
        Of how fast each relay is.
    """

    def __init__(
        self, terminal: FaultTerminal, *, clock: Clock, options: NumatoEthernetOptions, seed: int = 0
    ) -> None:
        self.board = NumatoTwin(terminal, clock=clock, options=options, seed=seed)
        self.options = options
        self._names = {"usr": options.user, "pass": options.password, "id": "00000000"}
        self._driven, self._inputs, self._mask = 0, (1 << _GPIOS) - 1, (1 << _GPIOS) - 1
        self._notify = "disabled"
        self._implied: Session | None = None

    def session(self) -> Session:
        """What serves one more client."""
        return Session(self)

    def handle(self, message: bytes) -> Reply | None:
        """Serve the client of a line that has no connections."""
        if self._implied is not None:
            return self._implied.handle(message)
        self._implied = self.session()
        first = self._implied.handle(message.lstrip(NEW_LINE))
        return Reply(self._implied.greet() + (first.data if first is not None else b""))

    def knows(self, user: str, password: str) -> bool:
        """Whether that login is let in."""
        return (user, password) == (self._names["usr"], self._names["pass"])

    def run(self, command: str) -> str | None:
        """Obey one command; its value, None if it has none."""
        match command.split():
            case ["ver"]:
                return "00000005"
            case ["info"]:
                # The public driver cuts one character more from this answer than from the others.
                return f"{self.options.channels} Channel Ethernet Relay Module "
            case [("usr" | "pass" | "id") as name, "get"]:
                return self._names[name]
            case [("usr" | "pass" | "id") as name, "set", value] if len(value) <= 8:
                self._names[name] = value
            case ["reboot"]:
                return self.board.run("reset")
            case ["gpio", *words]:
                return self._gpio(words)
            case ["adc", "read", name] if name in "0123456789":
                return "0000"
            case _:
                return self.board.run(command)
        return None

    def _gpio(self, words: list[str]) -> str | None:
        match words:
            case [("set" | "clear" | "read" | "status") as verb, name] if name in "01234567" and name:
                bit = 1 << int(name)
                if verb == "set":
                    self._driven |= bit
                elif verb == "clear":
                    self._driven &= ~bit
                else:
                    return str(int(bool(self._driven & ~self._inputs & bit)))
                # Setting or clearing a pin makes it an output.
                self._inputs &= ~bit
            case ["readall"]:
                return f"{self._driven & ~self._inputs:02x}"
            case [("writeall" | "iodir" | "iomask") as verb, text] if re.fullmatch("[0-9A-Fa-f]{2}", text):
                value = int(text, 16)
                if verb == "writeall":
                    self._driven = self._driven & ~self._mask | value & self._mask
                elif verb == "iodir":
                    self._inputs = self._inputs & ~self._mask | value & self._mask
                else:
                    self._mask = value
            case ["notify", ("on" | "off") as state]:
                self._notify = "enabled" if state == "on" else "disabled"
                return self._notify
            case ["notify", "get"]:
                return self._notify
        return None


class Session:
    """One client of the module, from the greeting on. A `MessageTwin`."""

    def __init__(self, module: NumatoEthernetTwin) -> None:
        self._module = module
        self._user: str | None = None
        self._logged_in = False
        self._line = bytearray()
        self._ended_by = 0
        self._pending = b""

    def greet(self) -> bytes:
        """What the module sends first."""
        title = f"Numato Lab {self._module.options.channels} Channel Ethernet Relay Module"
        return NEW_LINE + title.encode() + NEW_LINE + NEW_LINE + USER_PROMPT

    def handle(self, message: bytes) -> Reply | None:
        """Take characters; answer each line."""
        answer = b"".join(self._take(byte) for byte in self._without_negotiation(message))
        return Reply(answer) if answer else None

    def _without_negotiation(self, message: bytes) -> bytes:
        """The text in `message`; the start of a negotiation at its end waits for its rest."""
        data = NEGOTIATION.sub(b"", self._pending + message)
        cut = data.find(_IAC, max(0, len(data) - 2))
        self._pending = b"" if cut < 0 else data[cut:]
        return data if cut < 0 else data[:cut]

    def _take(self, byte: int) -> bytes:
        if byte not in (_CR, _LF):
            self._ended_by = 0
            if len(self._line) < _LONGEST_LINE:
                self._line.append(byte)
            return b""
        # CR LF and LF CR end one line, not two.
        if not self._line and self._ended_by not in (0, byte):
            self._ended_by = 0
            return b""
        self._ended_by = byte
        line = self._line.decode("ascii", "replace")
        self._line.clear()
        return self._answer(line)

    def _answer(self, line: str) -> bytes:
        if self._logged_in:
            value = self._module.run(line)
            return (b"" if value is None else value.encode() + NEW_LINE) + PROMPT
        if self._user is None:
            self._user = line or None
            return PASSWORD_PROMPT if line else USER_PROMPT
        user, self._user = self._user, None
        self._logged_in = self._module.knows(user, line)
        if self._logged_in:
            return NEW_LINE + WELCOME + NEW_LINE + PROMPT
        return NEW_LINE + _DENIED + NEW_LINE + NEW_LINE + USER_PROMPT
