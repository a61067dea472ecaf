"""Rows: one thing that was looked at, what was expected there and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: "note" asks for nothing: something to know, or something that could not be looked at.
Mark = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at.

    Parameters
    ----------
    where
        Role, "dut", or a group of channels.
    what
        Was looked at.
    expected, found
        In words, with units.
    mark
        What came of it.
    """

    where: str
    what: str
    expected: str
    found: str
    mark: Mark = "ok"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: expected {self.expected}, found {self.found}"


def judged(ok: bool) -> Mark:
    """The mark of something that is either right or wrong."""
    return "ok" if ok else "wrong"


def wrong(rows: Iterable[Row]) -> list[Row]:
    """Those that keep a bench from being used."""
    return [row for row in rows if row.mark == "wrong"]
