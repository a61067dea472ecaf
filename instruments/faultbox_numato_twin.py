"""Twin of a Numato USB relay module: repeats and obeys its text, and moves contacts on a fault terminal."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.clock import Clock
from bench.errors import StationInvalid
from bench.wires.twin import Reply
from instruments.terminals import FaultTerminal

#: Names of the relays: "A is relay 10, and so on", beyond F (GitHub numato/samplecode, relayread.py).
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_CR, _PROMPT, _NEW_LINE = b"\r", b">", b"\n\r"


class NumatoOptions(BaseModel):
    """The `[roles.<name>.options]` table of a Numato module.

    Parameters
    ----------
    relays
        Fault to relay, from 0.
    exclusive
        Groups of faults of which at most one may be in: their relays share a wire.
    channels
        Of the module.
    contact_a
        Rating of a contact [A]. 7 A: numato.com/docs/32-channel-usb-relay-module, features.
    travel_s
        How long a contact takes to move and stop bouncing [s]. Project default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relays: dict[str, Annotated[int, Field(ge=0, le=31)]]
    exclusive: tuple[tuple[str, ...], ...] = ()
    channels: Annotated[int, Field(ge=8, le=32, multiple_of=8)] = 32
    contact_a: Annotated[float, Field(gt=0)] = 7.0
    travel_s: Annotated[float, Field(ge=0)] = 0.010
    baud: Annotated[int, Field(gt=0)] = 19_200

    @model_validator(mode="after")
    def _one_relay_each(self) -> NumatoOptions:
        numbers = sorted(self.relays.values())
        if len(set(numbers)) < len(numbers) or any(number >= self.channels for number in numbers):
            raise ValueError(f"expected a relay of 0 to {self.channels - 1} of its own for each fault")
        if unknown := {name for group in self.exclusive for name in group} - set(self.relays):
            raise ValueError(f"expected faults of `relays` in `exclusive`, found {sorted(unknown)}")
        return self

    def rivals(self, fault: str) -> set[str]:
        """The faults that must be out before `fault` goes in."""
        return {name for group in self.exclusive if fault in group for name in group} - {fault}


class NumatoTwin:
    """Device side: relays on a fault terminal.

    Faults that exclude each other share a wire through changeover contacts: a relay that picks up while a
    rival holds the wire switches nothing, though the module reads it as on.

    Parameters
    ----------
    terminal
        Where the contacts are.
    clock
        Contacts take their time on it.
    options
        As the driver's.
    seed
        Of how fast each relay is: it takes 0.6 to 1 of `travel_s`.

    Raises
    ------
    StationInvalid
        If a relay is wired to a fault that the terminal does not have.
    """

    def __init__(
        self, terminal: FaultTerminal, *, clock: Clock, options: NumatoOptions, seed: int = 0
    ) -> None:
        if unknown := set(options.relays) - set(terminal.names):
            raise StationInvalid(
                "options of the fault box", expected="faults of the wiring", found=", ".join(sorted(unknown))
            )
        self.terminal, self.clock, self.options = terminal, clock, options
        self._fault_of = {number: name for name, number in options.relays.items()}
        self._travel_s = np.random.default_rng(seed).uniform(0.6, 1.0, options.channels) * options.travel_s
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
            value = self._run(self._line.replace(b"\n", b"").decode("ascii", "replace"))
            self._line.clear()
            answer += _NEW_LINE + (value.encode() + _NEW_LINE if value is not None else b"") + _PROMPT
        return Reply(bytes(answer)) if answer else None

    def _run(self, command: str) -> str | None:
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
        changed, self._coils = self._coils ^ coils, coils
        for number, fault in self._fault_of.items():
            if changed >> number & 1:
                travel_s = float(self._travel_s[number])
                self.clock.after(travel_s, partial(self._move, fault), name=f"relay {number}")

    def _move(self, fault: str) -> None:
        """Bring the contact to where its coil is now."""
        on = bool(self._coils >> self.options.relays[fault] & 1)
        rivals = self.options.rivals(fault)
        blocked = on and any(self.terminal.active(rival) for rival in rivals)
        self.terminal.set(fault, on and not blocked)
        if not on:
            # The wire is free for a rival that has been waiting with its coil on.
            for rival in sorted(rivals):
                if self._coils >> self.options.relays[rival] & 1 and not self.terminal.active(rival):
                    self._move(rival)
