"""Every byte that crossed a wire, with its bench time.

Wires write, evidence reads; it also settles arguments with vendors. Nothing here interprets, drivers do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Direction = Literal[">", "<"]


class Entry(NamedTuple):
    """One message on one wire.

    Parameters
    ----------
    t_s
        Bench time [s] at which it was sent, or had arrived completely.
    role
        Role of the station file whose wire it was.
    direction
        ">" from the bench to the partner, "<" from the partner to the bench.
    data
        The bytes as they were, terminators included.
    """

    t_s: float
    role: str
    direction: Direction
    data: bytes

    def __str__(self) -> str:
        return f"{self.t_s:.6f} {self.role} {self.direction} {self.data!r}"


class Transcript:
    """Collects the messages of all wires of one station, in the order in which they crossed.

    Parameters
    ----------
    observer
        Called with each entry as it is added, for writers that stream to a file. Default: nobody.
    """

    def __init__(self, observer: Callable[[Entry], object] | None = None) -> None:
        self.entries: list[Entry] = []
        self._observer = observer

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return f"Transcript({len(self.entries)} entries)"

    def observe(self, observer: Callable[[Entry], object] | None) -> None:
        """Call `observer` from now on, in the place of the one before."""
        self._observer = observer

    def add(self, t_s: float, role: str, direction: Direction, data: bytes) -> None:
        """Write down that `data` crossed the wire of `role` at bench time `t_s` [s]."""
        entry = Entry(t_s, role, direction, bytes(data))
        self.entries.append(entry)
        if self._observer is not None:
            self._observer(entry)

    def of(self, role: str) -> list[Entry]:
        """The entries of one role, in order."""
        return [entry for entry in self.entries if entry.role == role]

    def sent(self, role: str) -> list[bytes]:
        """What the bench sent on the wire of `role`, in order."""
        return [entry.data for entry in self.entries if entry.role == role and entry.direction == ">"]
