"""What every kind of file gives: columns by name, as text or as numbers, with the line of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.record import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about a log that whoever uses it has to know.

    Parameters
    ----------
    kind
        One word: gap, missing, repeated, stuck, sign, ...
    t_s
        Time [s] in the log at which it shows first; nan if it is about all of it.
    line
        Line of the file (row of a channel in MF4), from 1; 0 if it is about all of it.
    text
        What was found, what was done with it, what to try.
    """

    kind: str
    t_s: float
    line: int
    text: str

    def __str__(self) -> str:
        at = f" line {self.line}:" if self.line else ""
        return f"{self.kind}:{at} {self.text}"


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column as the file has it.

    Parameters
    ----------
    name
        As in the file.
    unit
        What the file itself says about the unit, in a row of units or in the channel; "" if nothing.
    cells
        Text of each row, or numbers, shape (rows,).
    line
        Line of each row, shape (rows,).
    t_s
        Times [s] of a channel that has its own; None where a column of the file holds the time.
    """

    name: str
    unit: str
    cells: Sequence[str] | Floats
    line: Ints
    t_s: Floats | None = None


class Table(Protocol):
    """A file that was opened: what columns it has, and how to read some of them."""

    @property
    def names(self) -> Sequence[str]:
        """Every column that can be asked for."""
        ...

    @property
    def decimal_comma(self) -> bool:
        """Whether numbers are written 3,30."""
        ...

    def read(self, names: Sequence[str]) -> tuple[list[RawColumn], list[Flag]]:
        """These columns, in this order, and what was noticed on the way."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
