"""From the text of cells to numbers, times and switch states; what is none is told with its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.table import RawColumn
from bench.record import Floats

#: What loggers write where they have no value.
MISSING = {"", "-", "--", "---", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "?", "1.#qnan"}
#: Words for the two states of a switch or an alarm.
STATES = {
    "1": 1.0, "true": 1.0, "on": 1.0, "closed": 1.0, "close": 1.0, "yes": 1.0, "active": 1.0, "set": 1.0,
    "0": 0.0, "false": 0.0, "off": 0.0, "open": 0.0, "no": 0.0, "inactive": 0.0, "clear": 0.0,
}  # fmt: skip

_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$", re.ASCII)
#: 1,234.5 or 1.234,5 or 1 234,5 or 1'234.5
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}([., '\u00a0\u202f])\d{3}(\1\d{3})*([.,]\d*)?$", re.ASCII)
#: 31.03.2026, 3/31/26
_OTHER_DATE = re.compile(r"^\d{1,2}([./-])\d{1,2}\1\d{2,4}(\D|$)", re.ASCII)
_INFINITE = re.compile(r"^[+-]?(inf|infinity)$", re.IGNORECASE)
_CLOCK = re.compile(r"^(?:(\d{1,6})[d. ]\s*)?(\d{1,7}):(\d{1,2})(?::(\d{1,2}(?:[.,]\d*)?))?$", re.ASCII)
_DATE = re.compile(r"^\d{4}[-/]?\d{2}[-/]?\d{2}([T ]|$)", re.ASCII)


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, a time of the clock or a date, rather than words."""
    patterns = (_NUMBER, _INFINITE, _CLOCK, _DATE)
    return cell.strip().lower() in MISSING - {"-", ""} or any(p.match(cell.strip()) for p in patterns)


def numbers(column: RawColumn, where: str, *, decimal_comma: bool) -> Floats:
    """The column as numbers, nan where it holds none by its own word; infinite values stay.

    Raises
    ------
    InvalidInput
        Names line and column of the first cell that is neither.
    """
    if isinstance(column.cells, np.ndarray):
        return column.cells
    try:
        if not any("_" in cell for cell in column.cells):
            return np.array(list(map(float, column.cells)), dtype=np.float64)
    except ValueError:
        pass
    return np.array([_number(cell, k, column, where, decimal_comma) for k, cell in enumerate(column.cells)])


def _number(cell: str, k: int, column: RawColumn, where: str, decimal_comma: bool) -> float:
    bare = cell.strip()
    if bare.lower() in MISSING:
        return np.nan
    if _INFINITE.match(bare):
        return float(bare)
    if _NUMBER.match(bare) and ("," not in bare or decimal_comma):
        return float(bare.replace(",", "."))
    raise _no(column, k, where, "a number", cell, _hint(bare, decimal_comma))


def _hint(bare: str, decimal_comma: bool) -> str:
    """What to do about a cell that is nearly a number."""
    if _OTHER_DATE.match(bare):
        return "; of dates ISO 8601 is read: 2026-03-31T12:00:00"
    if _THOUSANDS.match(bare):
        return "; write numbers without separators of thousands" + (
            "" if decimal_comma or "," not in bare else ", and with a decimal point"
        )
    return (
        "; a decimal comma needs ; or a tab between the columns" if "," in bare and not decimal_comma else ""
    )


def states(column: RawColumn, where: str) -> Floats:
    """The column as 0 (open, off) and 1 (closed, on), nan where it holds nothing.

    Raises
    ------
    InvalidInput
        A cell is neither, `2` and `0.5` included.
    """
    cells = column.cells if not isinstance(column.cells, np.ndarray) else [f"{v:g}" for v in column.cells]
    known: dict[str, float] = {}
    for k, cell in enumerate(cells):
        if cell in known:
            continue
        bare = cell.strip().lower()
        state = np.nan if bare in MISSING else STATES.get(bare)
        if state is None and _NUMBER.match(bare):
            state = STATES.get(f"{float(bare.replace(',', '.')):g}")
        if state is None:
            raise _no(column, k, where, "0 or 1, open or closed, off or on, false or true", cell)
        known[cell] = state
    return np.array([known[cell] for cell in cells], dtype=np.float64)


def is_stamped(column: RawColumn) -> bool:
    """Whether the times are written as dates or as h:mm:ss, so that a unit of time means nothing."""
    if isinstance(column.cells, np.ndarray):
        return False
    first = next((cell.strip() for cell in column.cells if cell.strip()), "")
    return not _NUMBER.match(first) and bool(_CLOCK.match(first) or _DATE.match(first))


def stamps(column: RawColumn, where: str) -> Floats:
    """Seconds since the first row, from ISO 8601 dates or from h:mm:ss.

    Raises
    ------
    InvalidInput
        A cell is no date and no time of the clock, or some dates say their zone and others do not.
    """
    cells: Sequence[str] = [] if isinstance(column.cells, np.ndarray) else column.cells
    read = _clock if _CLOCK.match(next((c.strip() for c in cells if c.strip()), "")) else _date
    # Whole microseconds: seconds since any far epoch have lost their last digits in float64.
    us = np.empty(len(cells), dtype=np.int64)
    zones = set()
    for k, cell in enumerate(cells):
        found = read(cell.strip())
        if found is None:
            raise _no(column, k, where, "a stamp such as 2026-03-31T12:00:00.5 or 0:01:30.5", cell)
        us[k], zone = found
        zones.add(zone)
        if len(zones) > 1:
            raise _no(column, k, where, "stamps that all say their time zone, or none", cell)
    t_s: Floats = (us - us[0]) * 1e-6
    return t_s


def _clock(cell: str) -> tuple[int, bool] | None:
    found = _CLOCK.match(cell)
    if not found:
        return None
    day, hour, minute = (int(part or 0) for part in found.groups()[:3])
    second = float((found.group(4) or "0").replace(",", "."))
    return ((day * 24 + hour) * 60 + minute) * 60_000_000 + round(second * 1e6), False


def _date(cell: str) -> tuple[int, bool] | None:
    try:
        stamp = datetime.fromisoformat(cell.replace("/", "-").replace(",", "."))
        zoned = stamp.tzinfo is not None
        since = (stamp if zoned else stamp.replace(tzinfo=UTC)) - datetime(2000, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return since // timedelta(microseconds=1), zoned


def _no(column: RawColumn, k: int, where: str, expected: str, cell: str, hint: str = "") -> InvalidInput:
    shown = cell if len(cell) <= 40 else cell[:37] + "..."
    found = f"{shown!r}{hint}" if cell.strip() else "an empty cell"
    return InvalidInput(f"{where}:{column.line[k]}, column {column.name!r}", expected=expected, found=found)
