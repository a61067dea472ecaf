"""Times of a log: in order, finite, not all the same; where they pause; what was newest when."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput
from bench.foreign_log.table import Flag, Ints, RawColumn
from bench.foreign_log.values import is_stamped
from bench.record import Floats

#: Nothing that is measured is larger, in any unit that is known here; sums of such values stay finite.
LARGEST = 1e15


def demand_order(t_s: Floats, raw: RawColumn, path: str, most_repeated: float, flags: list[Flag]) -> None:
    """Refuse times that are missing or run backwards; flag those that stand still.

    Parameters
    ----------
    t_s
        Times [s], shape (rows,).
    most_repeated
        Largest share of rows that may repeat the stamp before.

    Raises
    ------
    InvalidInput
        Names the line.
    """
    if not len(t_s):
        raise InvalidInput(f"{path}, column {raw.name!r}", expected="samples", found="none")
    bad = np.flatnonzero(~(np.abs(t_s) <= LARGEST))
    if len(bad):
        raise InvalidInput(
            f"{path}:{raw.line[bad[0]]}, column {raw.name!r}",
            expected="a time in every row",
            found=f"none in {len(bad)} of {len(t_s)} rows; remove them, or the rest of a broken export",
        )
    step_s = np.diff(t_s)
    back = np.flatnonzero(step_s < 0.0)
    if len(back):
        k = int(back[0]) + 1
        raise InvalidInput(
            f"{path}:{raw.line[k]}, column {raw.name!r}",
            expected=f"a time not before {t_s[k - 1]:g} s, that of the row above",
            found=f"{t_s[k]:g} s; sort the rows, or give each recording of a joined file on its own"
            + _clock(raw),
        )
    same = np.flatnonzero(step_s == 0.0)
    if not len(same):
        return
    line = int(raw.line[same[0] + 1])
    if len(same) > most_repeated * len(step_s):
        raise InvalidInput(
            f"{path}:{line}, column {raw.name!r}",
            expected="stamps that part the rows",
            found=f"{len(same)} of {len(t_s)} rows with the stamp of the row above; export finer stamps",
        )
    text = f"{len(same)} rows repeat the stamp of the row above; of each stamp the last row counts"
    flags.append(Flag("repeated", float(t_s[same[0]]), line, text))


def _clock(raw: RawColumn) -> str:
    if not is_stamped(raw):
        return ""
    return "; a clock that passes midnight needs the date, one that is put back an hour its time zone"


def longer_than(t_s: Floats, factor: float) -> NDArray[np.bool_]:
    """Which times follow a pause longer than `factor` median periods, shape (rows,)."""
    step_s = np.diff(t_s)
    moving = step_s[step_s > 0.0]
    limit_s = factor * float(np.median(moving)) if len(moving) else np.inf
    return np.concatenate(([False], step_s > limit_s))


def newest(have_s: Floats, at_s: Floats) -> Ints:
    """Index of the newest of `have_s` not later than each of `at_s`; -1 before the first."""
    found: Ints = np.searchsorted(have_s, at_s, side="right") - 1
    return found
