"""One table of measured figures, with its goals, as text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Parameters
    ----------
    case
        What was measured, e.g. "LG HG2, 25 degC, US06".
    fitted, tested
        The files or cells that parameters came from, and those that the figure is about.
    value, goal
        In the unit of the table; `goal` is the most that is asked for, nan if nothing is asked.
    note
        What a reader has to know to believe the figure.
    """

    case: str
    fitted: str
    tested: str
    value: float
    goal: float = math.nan
    note: str = ""

    @property
    def reached(self) -> str:
        """yes or no; empty without a goal."""
        if math.isnan(self.goal):
            return ""
        return "yes" if self.value <= self.goal else "NO"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind of figure."""

    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)

    @property
    def missed(self) -> list[Row]:
        """Rows whose goal was not reached."""
        return [row for row in self.rows if row.reached == "NO"]

    def __str__(self) -> str:
        head = ("case", "fitted on", "tested on", f"value [{self.unit}]", "goal", "reached", "note")
        lines = [
            (
                row.case,
                row.fitted,
                row.tested,
                f"{row.value:.3g}",
                "" if math.isnan(row.goal) else f"{row.goal:g}",
                row.reached,
                row.note,
            )
            for row in self.rows
        ]
        widths = [max(len(line[k]) for line in (head, *lines)) for k in range(len(head))]
        text = [
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
            for line in (head, tuple("-" * width for width in widths), *lines)
        ]
        return "\n".join((self.title, *text))
