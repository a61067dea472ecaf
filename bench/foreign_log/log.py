"""A foreign log as it was read: each column with its own samples, in the project's units and sign."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput
from bench.foreign_log.binding import unit_for
from bench.foreign_log.csv_table import open_csv
from bench.foreign_log.keys import Key, Mapping, Wanted, key_of, matches, resolve
from bench.foreign_log.mf4_table import Mf4Table, is_mf4
from bench.foreign_log.table import Flag, Ints, RawColumn, Table
from bench.foreign_log.timebase import demand_order, longer_than, newest
from bench.foreign_log.units import Unit
from bench.foreign_log.values import is_stamped, numbers, stamps, states
from bench.record import Floats

#: A pause longer than this many median periods is a gap, project default.
GAP_FACTOR = 10.0
#: Largest share of rows that may repeat the stamp of the row before, project default.
MOST_REPEATED = 0.5


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
        Rows that follow a pause of more than `gap_factor` median periods, shape (rows,).
    columns
        Every mapped column but the time.
    """

    path: str
    t_s: Floats
    line: Ints
    gap: NDArray[np.bool_]
    gap_factor: float
    columns: tuple[Column, ...]
    mapping: Mapping
    flags: tuple[Flag, ...] = field(default=())

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
        what = f"{len(found)} of them" if found else "none"
        raise InvalidInput(
            f"{self.path}, {self.mapping.option}", expected=f"one column for {key} ({key}=NAME)", found=what
        )


def read_log(
    path: Path | str, mapping: Mapping, reported: Mapping | None = None, *, gap_factor: float = GAP_FACTOR
) -> ForeignLog:
    """Read the mapped columns of a CSV, MF4 or MDF file.

    Parameters
    ----------
    mapping
        Columns that an instrument measured, and the time.
    reported
        Columns that the DUT reported.
    gap_factor
        A pause longer than this many median periods is a gap.

    Returns
    -------
    ForeignLog
        Not yet checked for plausibility: see `checks.checked`.

    Raises
    ------
    InvalidInput
        Names file, line and column, what was expected, what was found and what to try.
    """
    if not gap_factor > 1.0:
        raise InvalidInput("--gap-factor", expected="a number above 1", found=f"{gap_factor:g}")
    path = Path(path)
    entries = [*mapping.columns, *(reported.columns if reported else ())]
    table: Table = Mf4Table(path) if is_mf4(path) else open_csv(
        path, lambda names: matches(entries, names), len(entries)
    )  # fmt: skip
    with closing(table):
        asked = _asked(table, mapping, reported, str(path))
        names = list(dict.fromkeys(wanted.column for wanted, _ in asked))
        raw, noticed = table.read(names)
    clock = next((wanted for wanted, _ in asked if wanted.key == "t"), None)
    found = dict(zip(names, raw, strict=True))
    flags = list(noticed)
    reader = _Reader(str(path), table.decimal_comma, mapping, gap_factor, flags)
    rows = reader.times(found[clock.column], clock) if clock else None
    columns = tuple(
        reader.column(found[wanted.column], wanted, rows, is_reported=said)
        for wanted, said in asked
        if wanted.key != "t"
    )
    if not columns:
        raise InvalidInput(f"{path}, {mapping.option}", expected="columns beside the time", found="none")
    if rows is None:
        first = next((column for column in columns if column.key == "i"), columns[0])
        rows = first.t_s, first.line
    gap = longer_than(rows[0], gap_factor)
    return ForeignLog(str(path), *rows, gap, gap_factor, columns, mapping, tuple(flags))


def _asked(table: Table, mapping: Mapping, reported: Mapping | None, where: str) -> list[tuple[Wanted, bool]]:
    """Each real column that is asked for, and whether the DUT reported it."""
    measured = mapping.columns
    if isinstance(table, Mf4Table):
        measured = tuple(wanted for wanted in measured if wanted.key != "t")
        clock = next((wanted.column for wanted in mapping.columns if wanted.key == "t"), None)
        if clock is not None and clock not in table.clocks:
            raise InvalidInput(
                f"{where}, {mapping.option}",
                expected="no t: each channel of an MDF file has its own times",
                found=f"t={clock}",
            )
    asked = [(w, False) for w in resolve(measured, table.names, where, mapping.option)]
    if reported:
        found = resolve(reported.columns, table.names, where, reported.option)
        if any(wanted.key == "t" for wanted in found):
            raise InvalidInput(reported.option, expected=f"the time in {mapping.option}", found="a t here")
        asked += [(w, True) for w in found]
    if not isinstance(table, Mf4Table) and not any(wanted.key == "t" for wanted, _ in asked):
        raise InvalidInput(mapping.option, expected="the column of the time (t=NAME)", found="no t")
    return asked


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns raw columns into columns, and notes what it notices."""

    path: str
    decimal_comma: bool
    mapping: Mapping
    gap_factor: float
    flags: list[Flag]

    def times(self, raw: RawColumn, wanted: Wanted) -> tuple[Floats, Ints]:
        """Times [s] and lines of every row, in order."""
        if is_stamped(raw):
            if "t" in self.mapping.units:
                raise InvalidInput(
                    "--units t", expected="nothing, as t holds dates or h:mm:ss", found="a unit"
                )
            t_s = stamps(raw, self.path)
            self.flags.append(
                Flag("stamps", 0.0, int(raw.line[0]), "times count from this row, which is 0 s")
            )
        else:
            unit, _ = unit_for(wanted, "time", self.mapping, raw, self.path)
            t_s = numbers(raw, self.path, decimal_comma=self.decimal_comma) * unit.factor
        demand_order(t_s, raw, self.path, MOST_REPEATED, self.flags)
        self._flag_gaps(t_s, raw.line, "")
        return t_s, raw.line

    def column(
        self, raw: RawColumn, wanted: Wanted, rows: tuple[Floats, Ints] | None, *, is_reported: bool
    ) -> Column:
        """One column in the project's unit and sign; cells without a number are left out, and flagged."""
        key = key_of(wanted.key)
        assert key is not None, "the mapping was read with known keys"
        unit, unit_from = unit_for(wanted, key.quantity, self.mapping, raw, self.path)
        if raw.unit and unit_from == "default" and key.quantity not in ("number", "switch"):
            text = f"{wanted}: {raw.unit!r} is no unit known here, read as {unit.name}"
            self.flags.append(Flag("unit", np.nan, 0, text))
        value = self._physical(raw, key, unit)
        if rows is not None:
            t_s, line = rows
        else:
            assert raw.t_s is not None, "a channel has times of its own"
            t_s, line = raw.t_s, raw.line
            demand_order(t_s, raw, self.path, MOST_REPEATED, self.flags)
            self._flag_gaps(t_s, line, f"{wanted}: ")
        kept = self._known(value, t_s, raw, wanted)
        # Of rows with one stamp the last counts: it is what the log ends that time with.
        last = np.append(np.diff(t_s[kept]) > 0.0, True)
        kept = kept[last]
        return Column(
            wanted.key, wanted.index, raw.name, unit.name, unit_from, is_reported,
            t_s[kept], value[kept], line[kept],
        )  # fmt: skip

    def _physical(self, raw: RawColumn, key: Key, unit: Unit) -> Floats:
        if key.quantity == "switch":
            return states(raw, self.path)
        value = numbers(raw, self.path, decimal_comma=self.decimal_comma) * unit.factor + unit.offset
        if key.trace == "current_a":
            value = value + self.mapping.current_offset_a
            # Adding 0.0 turns the -0.0 of a resting cycler into 0.0.
            value = (-value if self.mapping.discharge_positive else value) + 0.0
        return value

    def _known(self, value: Floats, t_s: Floats, raw: RawColumn, wanted: Wanted) -> Ints:
        """Indices of the finite values; the others are flagged."""
        for kind, holes, text in (
            ("missing", np.isnan(value), "without a value"),
            ("non-finite", np.isinf(value), "infinite"),
        ):
            hit = np.flatnonzero(holes)
            if len(hit):
                told = f"{wanted} ({raw.name}): {len(hit)} of {len(value)} rows {text}, left out"
                self.flags.append(Flag(kind, float(t_s[hit[0]]), int(raw.line[hit[0]]), told))
        kept = np.flatnonzero(np.isfinite(value))
        if not len(kept):
            raise InvalidInput(
                f"{self.path}, column {raw.name!r}", expected=f"values of {wanted}", found="none in any row"
            )
        return kept

    def _flag_gaps(self, t_s: Floats, line: Ints, who: str) -> None:
        gaps = np.flatnonzero(longer_than(t_s, self.gap_factor))
        if not len(gaps):
            return
        pauses_s = t_s[gaps] - t_s[gaps - 1]
        longest = gaps[np.argmax(pauses_s)]
        text = (
            f"{who}{len(gaps)} pause{'s' if len(gaps) > 1 else ''} longer than {self.gap_factor:g} median "
            f"periods; the longest, {pauses_s.max():g} s, ends in line {line[longest]}. If the logger "
            f"thins out what does not change, state a larger --gap-factor"
        )
        self.flags.append(Flag("gap", float(t_s[gaps[0]]), int(line[gaps[0]]), text))


def columns_named(columns: Sequence[Column]) -> str:
    """Which columns these are, for a message: the first few by name."""
    names = [column.name for column in columns]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
