"""A foreign log as it was read: each column with its own samples, in the project's units and sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput
from bench.foreign_log.keys import Mapping
from bench.foreign_log.table import Flag, Ints
from bench.foreign_log.timebase import newest
from bench.record import Floats


@dataclass(frozen=True, slots=True)
class Column:
    """One mapped column.

    Parameters
    ----------
    key, index
        What it was mapped to, and of which cell or sensor; None if the key has none.
    name
        In the file.
    unit, unit_from
        As written in the file, and who says so: "stated", "name", "file" or "default".
    reported
        Whether the DUT said it; False: an instrument measured it.
    t_s
        Times [s], strictly increasing, shape (samples,).
    value
        In the project's unit, charge positive, finite, shape (samples,).
    line
        Line of the file, shape (samples,).
    """

    key: str
    index: int | None
    name: str
    unit: str
    unit_from: str
    reported: bool
    t_s: Floats
    value: Floats
    line: Ints

    def __str__(self) -> str:
        return f"{self.key}{'' if self.index is None else self.index}"

    @property
    def period_s(self) -> float:
        """Median distance of the samples [s]; inf for one sample."""
        return float(np.median(np.diff(self.t_s))) if len(self.t_s) > 1 else float("inf")

    def held(self, t_s: Floats, *, max_age_s: float = float("inf")) -> Floats:
        """The newest sample at each of `t_s` [s], nan before the first and where it is older than allowed."""
        index = newest(self.t_s, t_s)
        age_s = t_s - self.t_s[np.maximum(index, 0)]
        known = (index >= 0) & (age_s <= max_age_s)
        value: Floats = np.where(known, self.value[np.maximum(index, 0)], np.nan)
        return value


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """A log that was read and whose times are in order; `flags` is what its user has to know.

    Parameters
    ----------
    path
        The file.
    t_s
        Time of each row [s] as in the log, shape (rows,), not decreasing; in MF4 the times of the current, or
        of the first channel.
    line
        Line of each row, shape (rows,).
    gap
        Rows after a pause of more than `gap_factor` median periods of the fastest column, shape (rows,).
    columns
        Every mapped column but the time.
    clock
        Name and unit of the column of the time, and who says the unit; None if each channel has its own.
    """

    path: str
    t_s: Floats
    line: Ints
    gap: NDArray[np.bool_]
    gap_factor: float
    columns: tuple[Column, ...]
    mapping: Mapping
    flags: tuple[Flag, ...] = field(default=())
    clock: tuple[str, str, str] | None = None

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.columns))
        return f"ForeignLog({self.path}, {len(self.t_s)} rows, {names}, {len(self.flags)} flags)"

    def of(self, key: str, *, reported: bool = False) -> tuple[Column, ...]:
        """The columns of a key, by their number."""
        found = [c for c in self.columns if c.key == key and c.reported == reported]
        return tuple(sorted(found, key=lambda column: column.index or 0))

    def only(self, key: str) -> Column:
        """The one measured column of a key.

        Raises
        ------
        InvalidInput
            There is none, or there are several.
        """
        found = self.of(key)
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} of them; name one of {listed([c.name for c in found])}" if found else "none"
        raise InvalidInput(
            f"{self.path}, {self.mapping.option}", expected=f"one column for {key} ({key}=NAME)", found=what
        )


def listed(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
