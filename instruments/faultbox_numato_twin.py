"""Twin of a Numato USB relay module: repeats and obeys its text, and moves contacts on a fault terminal."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bench.clock import Clock
from bench.wires.twin import Reply
from instruments.relay_contacts import Contacts, RelayOptions, relay_beyond
from instruments.terminals import FaultTerminal

#: Names of the relays: "A is relay 10, and so on", beyond F (GitHub numato/samplecode, relayread.py).
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_CR, _PROMPT, _NEW_LINE = b"\r", b">", b"\n\r"


class NumatoOptions(RelayOptions):
    """The `[roles.<name>.options]` table of a Numato module; relays count from 0.

    Parameters
    ----------
    channels
        Of the module.
    contact_a
        Rating of a contact [A]. 7 A: numato.com/docs/32-channel-usb-relay-module, features.
    """

    channels: Annotated[int, Field(ge=8, le=32, multiple_of=8)] = 32
    contact_a: Annotated[float, Field(gt=0)] = 7.0
    baud: Annotated[int, Field(gt=0)] = 19_200

    @model_validator(mode="after")
    def _relays_exist(self) -> NumatoOptions:
        relay_beyond(self, 0, self.channels - 1)
        return self


class NumatoTwin:
    """Device side: relays on a fault terminal, with the contacts of `instruments.relay_contacts`.

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

    Raises
    ------
    StationInvalid
        If a relay is wired to a fault that the terminal does not have.
    """

    def __init__(
        self, terminal: FaultTerminal, *, clock: Clock, options: NumatoOptions, seed: int = 0
    ) -> None:
        self.terminal, self.clock, self.options = terminal, clock, options
        self._contacts = Contacts(terminal, clock=clock, options=options, seed=seed)
        self._coils = 0
        self._line = bytearray()

    def handle(self, message: bytes) -> Reply | None:
        """Repeat the characters, and run each command that a CR ends."""
        answer = bytearray()
        for byte in message:
            if byte != _CR[0]:
                self._line.append(byte)
                answer.append(byte)
                continue
            # What a terminal adds to its CR is no part of the command.
            value = self.run(self._line.replace(b"\n", b"").decode("ascii", "replace"))
            self._line.clear()
            answer += _NEW_LINE + (value.encode() + _NEW_LINE if value is not None else b"") + _PROMPT
        return Reply(bytes(answer)) if answer else None

    def run(self, command: str) -> str | None:
        """Obey one command of the board; its value, None if it has none."""
        digits = self.options.channels // 4
        match command.split():
            case ["ver"]:
                return "00000008"
            case ["id", "get"]:
                return "00000000"
            case ["reset"]:
                self._switch(0)
            case ["relay", ("on" | "off" | "read") as verb, name] if self._number(name) is not None:
                bit = 1 << int(self._number(name) or 0)
                if verb == "read":
                    return "on" if self._coils & bit else "off"
                self._switch(self._coils | bit if verb == "on" else self._coils & ~bit)
            case ["relay", "readall"]:
                return f"{self._coils:0{digits}x}"
            case ["relay", "writeall", mask] if len(mask) == digits:
                try:
                    self._switch(int(mask, 16))
                except ValueError:
                    return None
        return None

    def _number(self, name: str) -> int | None:
        number = DIGITS.find(name) if len(name) == 1 else -1
        return number if 0 <= number < self.options.channels else None

    def _switch(self, coils: int) -> None:
        self._coils = coils
        for number in range(self.options.channels):
            self._contacts.switch(number, bool(coils >> number & 1))
