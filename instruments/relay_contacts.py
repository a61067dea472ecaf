"""Relays that put faults into the wiring: what all fault boxes share, on the driver's and the twin's side.

A relay module knows its coils. What the contacts do, that they take time, and that faults which share a wire
exclude each other, is the same for every module and stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.record import Origin, Samples, Trace
from instruments.terminals import FaultTerminal


class RelayOptions(BaseModel):
    """What the `[roles.<name>.options]` table of every fault box has.

    Parameters
    ----------
    relays
        Fault to relay, as the module numbers them.
    exclusive
        Groups of faults of which at most one may be in: their relays share a wire.
    hot_switching
        Whether a contact may move while it carries current. If not, the bench has to take energy away first.
    contact_v, contact_a
        Rating of a contact: the DC voltage that it breaks [V], the current that it carries [A]. Project
        defaults, where a module's own options cite nothing.
    travel_s
        How long a contact takes to move and stop bouncing [s]. Project default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relays: dict[str, Annotated[int, Field(ge=0)]]
    exclusive: tuple[tuple[str, ...], ...] = ()
    hot_switching: bool = False
    contact_v: Annotated[float, Field(gt=0)] = 30.0
    contact_a: Annotated[float, Field(gt=0)] = 7.0
    travel_s: Annotated[float, Field(ge=0)] = 0.010

    @model_validator(mode="after")
    def _one_relay_each(self) -> RelayOptions:
        numbers = list(self.relays.values())
        if len(set(numbers)) < len(numbers):
            raise ValueError("expected a relay of its own for each fault, found one named twice")
        if unknown := {name for group in self.exclusive for name in group} - set(self.relays):
            raise ValueError(f"expected faults of `relays` in `exclusive`, found {sorted(unknown)}")
        return self

    def rivals(self, fault: str) -> set[str]:
        """The faults that must be out before `fault` goes in."""
        return {name for group in self.exclusive if fault in group for name in group} - {fault}


def relay_beyond(options: RelayOptions, first: int, last: int) -> None:
    """Refuse a relay that the module does not have; for the validators of options."""
    if any(not first <= number <= last for number in options.relays.values()):
        raise ValueError(f"expected a relay of {first} to {last} of its own for each fault")


class Contacts:
    """Twin side: coils of a module, and the contacts that follow them on a fault terminal.

    Faults that exclude each other share a wire through changeover contacts: a relay that picks up while a
    rival holds the wire switches nothing, though the module reads it as on.

    Parameters
    ----------
    terminal
        Where the contacts are.
    clock
        Contacts take their time on it.
    options
        Which relay makes which fault.
    seed
        Of how fast each relay is: it takes 0.6 to 1 of `travel_s`.

    Raises
    ------
    StationInvalid
        If a relay is wired to a fault that the terminal does not have.
    """

    def __init__(self, terminal: FaultTerminal, *, clock: Clock, options: RelayOptions, seed: int) -> None:
        if unknown := set(options.relays) - set(terminal.names):
            raise StationInvalid(
                "options of the fault box", expected="faults of the wiring", found=", ".join(sorted(unknown))
            )
        self.terminal, self._clock, self._options = terminal, clock, options
        generator = np.random.default_rng(seed)
        numbers = sorted(options.relays.values())
        self._fault_of = {number: name for name, number in options.relays.items()}
        self._travel_s = {number: generator.uniform(0.6, 1.0) * options.travel_s for number in numbers}
        self._energised: set[int] = set()

    def switch(self, number: int, on: bool) -> None:
        """Energise or release the coil of relay `number`; its contact follows in its time."""
        if (number in self._energised) == on:
            return
        (self._energised.add if on else self._energised.discard)(number)
        if number in self._fault_of:
            fault = self._fault_of[number]
            self._clock.after(self._travel_s[number], partial(self._move, fault), name=f"relay {number}")

    def energised(self, number: int) -> bool:
        """Whether the coil of relay `number` is on; where the contact is nobody can ask the module."""
        return number in self._energised

    def _move(self, fault: str) -> None:
        """Bring the contact to where its coil is now."""
        on = self._options.relays[fault] in self._energised
        rivals = self._options.rivals(fault)
        blocked = on and any(self.terminal.active(rival) for rival in rivals)
        self.terminal.set(fault, on and not blocked)
        if not on:
            # The wire is free for a rival that has been waiting with its coil on.
            for rival in sorted(rivals):
                if self._options.relays[rival] in self._energised and not self.terminal.active(rival):
                    self._move(rival)


class Faults:
    """Driver side: which faults are in, what may join them, and their traces.

    Parameters
    ----------
    options
        Which relay makes which fault.
    clock
        Bench time.
    role
        Role of the station file, in messages and as origin of the traces.
    """

    def __init__(self, options: RelayOptions, *, clock: Clock, role: str) -> None:
        self._options, self._clock, self._role = options, clock, role
        self.names = tuple(options.relays)
        self._in: set[str] = set()
        origin = Origin("measured", role)
        self._samples = {fault: Samples(f"fault.{fault}", "1", origin) for fault in self.names}

    def relay(self, fault: str) -> int:
        """The relay of `fault`. Raises `InstrumentRefused` if there is none."""
        if fault not in self._options.relays:
            raise InstrumentRefused(
                f"{self._role} has no relay for {fault!r}; [roles.{self._role}.options] relays has "
                f"{', '.join(self.names) or 'none'}."
            )
        return self._options.relays[fault]

    def join(self, fault: str) -> int:
        """The relay to close for `fault`, which counts as in from now on: it may be, whatever comes next.

        Raises
        ------
        InstrumentRefused
            If there is none, or another fault on the same wire is in.
        """
        number = self.relay(fault)
        if rivals := self._options.rivals(fault) & self._in:
            raise InstrumentRefused(
                f"{self._role} refused to insert {fault} at {self._clock.now_s:.3f} s: "
                f"{', '.join(sorted(rivals))} is in, and its relay shares a wire. Remove it first."
            )
        self._in.add(fault)
        return number

    def settle(self, fault: str, read_back: Callable[[], bool], expected: bool) -> None:
        """Wait until the contact has moved, and make sure that the relay is where it should be.

        Raises
        ------
        WireError
            If it reads back otherwise.
        """
        self._clock.sleep(self._options.travel_s)
        if read_back() != expected:
            words = {True: "on", False: "off"}
            raise WireError(
                f"{self._role}: expected the relay of {fault} to read back {words[expected]}, found "
                f"{words[not expected]!r} at {self._clock.now_s:.3f} s."
            )
        if not expected:
            self._in.discard(fault)
        self._samples[fault].append(self._clock.now_s, float(expected))

    def all_out(self) -> None:
        """Every relay was told to open: wait for the contacts, and note it."""
        self._clock.sleep(self._options.travel_s)
        self._in.clear()
        for samples in self._samples.values():
            samples.append(self._clock.now_s, 0.0)

    def traces(self) -> dict[str, Trace]:
        """`fault.<name>`: 1 from when it was read back in, to when it was read back out."""
        return {samples.name: samples.trace() for samples in self._samples.values() if len(samples)}


def check_current(role: str, options: RelayOptions, *, max_v: float, max_a: float) -> None:
    """Refuse a station that lets more current onto a contact than it carries. Raises `StationInvalid`."""
    if max_a > options.contact_a:
        raise StationInvalid(
            f"[roles.{role}] max_a",
            expected=f"at most {options.contact_a:g} A, the rating of a contact",
            found=f"{max_a:g} A at up to {max_v:g} V",
        )
