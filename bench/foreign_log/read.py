"""Read the mapped columns of a foreign log, whatever file it is in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.binding import unit_for
from bench.foreign_log.csv_table import open_csv
from bench.foreign_log.keys import Key, Mapping, Wanted, key_of, matches, resolve
from bench.foreign_log.log import Column, ForeignLog, listed
from bench.foreign_log.mf4_table import Mf4Table, is_mf4
from bench.foreign_log.table import Flag, Ints, RawColumn, Table
from bench.foreign_log.timebase import LARGEST, demand_order, longer_than
from bench.foreign_log.units import Unit
from bench.foreign_log.values import is_stamped, numbers, stamps, states
from bench.record import Floats

#: A pause longer than this many median periods is a gap, project default.
GAP_FACTOR = 10.0
#: Currents whose sign is that of the pack: the others are magnitudes, or have a sign of their own.
_PACK_CURRENTS = ("current_a", "capture_a")
#: Largest share of rows that may repeat the stamp of the row before, project default.
MOST_REPEATED = 0.5


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
    reader = _Reader(str(path), table.decimal_comma, mapping, flags)
    rows, clock_as = reader.times(found[clock.column], clock) if clock else (None, None)
    columns = tuple(
        reader.column(found[wanted.column], wanted, rows, reported if said else None)
        for wanted, said in asked
        if wanted.key != "t"
    )
    reader.flag_holes()
    if not columns:
        raise InvalidInput(f"{path}, {mapping.option}", expected="columns beside the time", found="none")
    _flag_pauses(columns, gap_factor, flags)
    if rows is None:
        first = next((column for column in columns if column.key == "i"), columns[0])
        rows, period_s = (first.t_s, first.line), first.period_s
    else:
        # A table of several rates has a row for each, so the distance of rows says nothing.
        period_s = min(column.period_s for column in columns)
    gap = np.append(False, np.diff(rows[0]) > gap_factor * period_s)
    return ForeignLog(str(path), *rows, gap, gap_factor, columns, mapping, tuple(flags), clock_as)


def _flag_pauses(columns: Sequence[Column], gap_factor: float, flags: list[Flag]) -> None:
    """One flag for all columns that pause at the same times."""
    together: dict[tuple[int, int, float, int], list[Column]] = {}
    for column in columns:
        at = np.flatnonzero(longer_than(column.t_s, gap_factor))
        if len(at):
            pauses_s = column.t_s[at] - column.t_s[at - 1]
            worst = int(np.argmax(pauses_s))
            place = (len(at), int(column.line[at[0]]), float(pauses_s[worst]), int(column.line[at[worst]]))
            together.setdefault(place, []).append(column)
    for (count, line, longest_s, end), paused in together.items():
        text = (
            f"{listed([column.name for column in paused])}: {count} pause{'s' if count > 1 else ''} longer "
            f"than {gap_factor:g} median periods; the longest, {longest_s:g} s, ends in line {end}. If the "
            "logger thins out what does not change, state a larger --gap-factor"
        )
        t_s = float(paused[0].t_s[np.searchsorted(paused[0].line, line)])
        flags.append(Flag("gap", t_s, line, text))


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
    flags: list[Flag]
    holes: dict[tuple[str, float, int, int, int], list[str]] = field(default_factory=dict)

    def times(self, raw: RawColumn, wanted: Wanted) -> tuple[tuple[Floats, Ints], tuple[str, str, str]]:
        """Times [s] and lines of every row, in order; and name and unit of the column, and who says it."""
        if is_stamped(raw):
            if "t" in self.mapping.units:
                raise InvalidInput(
                    "--units t", expected="nothing, as t holds dates or h:mm:ss", found="a unit"
                )
            t_s, written = stamps(raw, self.path), ("stamps", "file")
            self.flags.append(
                Flag("stamps", 0.0, int(raw.line[0]), "times count from this row, which is 0 s")
            )
        else:
            unit, who = unit_for(wanted, "time", self.mapping, raw, self.path)
            written = unit.name, who
            t_s = numbers(raw, self.path, decimal_comma=self.decimal_comma) * unit.factor
        demand_order(t_s, raw, self.path, MOST_REPEATED, self.flags)
        return (t_s, raw.line), (raw.name, *written)

    def column(
        self, raw: RawColumn, wanted: Wanted, rows: tuple[Floats, Ints] | None, reported: Mapping | None
    ) -> Column:
        """One column in the project's unit and sign; cells without a number are left out, and flagged.

        `reported` is the mapping of what the DUT said, where it said this one.
        """
        mapping = reported or self.mapping
        key = key_of(wanted.key)
        assert key is not None, "the mapping was read with known keys"
        unit, unit_from = unit_for(wanted, key.quantity, mapping, raw, self.path)
        if raw.unit and unit_from == "default" and key.quantity not in ("number", "switch"):
            text = f"{wanted}: {raw.unit!r} is no unit known here, read as {unit.name}"
            self.flags.append(Flag("unit", np.nan, 0, text))
        value = self._physical(raw, key, unit, mapping)
        if rows is not None:
            t_s, line = rows
        else:
            assert raw.t_s is not None, "a channel has times of its own"
            t_s, line = raw.t_s, raw.line
            demand_order(t_s, raw, self.path, MOST_REPEATED, self.flags)
        kept = self._known(value, t_s, raw, wanted)
        # Of rows with one stamp the last counts: it is what the log ends that time with.
        last = np.append(np.diff(t_s[kept]) > 0.0, True)
        kept = kept[last]
        return Column(
            wanted.key, wanted.index, raw.name, unit.name, unit_from, reported is not None,
            t_s[kept], value[kept], line[kept],
        )  # fmt: skip

    def _physical(self, raw: RawColumn, key: Key, unit: Unit, mapping: Mapping) -> Floats:
        if key.quantity == "switch":
            return states(raw, self.path)
        value = numbers(raw, self.path, decimal_comma=self.decimal_comma) * unit.factor + unit.offset
        if key.trace in _PACK_CURRENTS:
            value = value + mapping.current_offset_a
            # Adding 0.0 turns the -0.0 of a resting cycler into 0.0.
            value = (-value if mapping.discharge_positive else value) + 0.0
        return value

    def _known(self, value: Floats, t_s: Floats, raw: RawColumn, wanted: Wanted) -> Ints:
        """Indices of the finite values; the others are kept in mind for `flag_holes`."""
        for kind, holes in (("missing", np.isnan(value)), ("non-finite", np.abs(value) > LARGEST)):
            hit = np.flatnonzero(holes)
            if len(hit):
                k = int(hit[0])
                place = (kind, float(t_s[k]), int(raw.line[k]), len(hit), len(value))
                self.holes.setdefault(place, []).append(raw.name)
        kept = np.flatnonzero(np.abs(value) <= LARGEST)
        if not len(kept):
            raise InvalidInput(
                f"{self.path}, column {raw.name!r}", expected=f"values of {wanted}", found="none in any row"
            )
        return kept

    def flag_holes(self) -> None:
        """One flag for all columns with the same holes: a table of several rates has many."""
        for (kind, t_s, line, count, rows), names in self.holes.items():
            what = "without a value" if kind == "missing" else "infinite or beyond all measure"
            text = f"{listed(names)}: {count} of {rows} rows {what}, left out"
            self.flags.append(Flag(kind, t_s, line, text))
