"""Open a CSV file of any make: delimiter, decimal comma, comments, rows of units, byte-order mark, quotes.

Nothing is guessed from the numbers: the header is the first row that holds the columns which the mapping
names, read with the delimiter under which it does.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.table import Flag, RawColumn
from bench.foreign_log.units import unit_named
from bench.foreign_log.values import is_number

DELIMITERS = (",", ";", "\t")
COMMENT = ("#", "%", "//")
#: The header stands in the first so many lines, under whatever a cycler writes above it.
HEADER_LINES = 200
#: How an Excel workbook begins, the newer one in an archive.
WORKBOOK = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
#: Bytes that no text holds, in UTF-8 and in Latin 1, and how far they are looked for.
_NEVER_IN_TEXT, _LOOKED_AT = bytes(range(8)), 65536
#: Rows below the header that hold no number in any column asked for: units, remarks.
_ROWS_OF_WORDS = 2


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file whose header was found."""

    path: str
    text: str
    delimiter: str
    header_line: int
    names: tuple[str, ...]

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma may stand in a number: it does not where it parts the columns."""
        return self.delimiter != ","

    def read(self, names: Sequence[str]) -> tuple[list[RawColumn], list[Flag]]:
        """Read these columns of every row. A row of units gives the units, comments are left out.

        Raises
        ------
        InvalidInput
            A name that several columns have, a row with more fields than the header, a quote that is not
            closed, or no rows.
        """
        for name in names:
            if self.names.count(name) > 1:
                raise InvalidInput(
                    f"{self.path}:{self.header_line}",
                    expected=f"one column {name!r}",
                    found=f"{self.names.count(name)}; rename those that are not meant",
                )
        where = [self.names.index(name) for name in names]
        lines: list[int] = []
        known: dict[str, str] = {}
        columns: list[list[str]] = [[] for _ in names]
        units: dict[str, str] = {}
        flags: list[Flag] = []
        words = 0
        for line, row in self._body():
            cells = [row[k].strip() if k < len(row) else "" for k in where]
            if not lines and words < _ROWS_OF_WORDS and _is_of_words(cells):
                words += 1
                units |= {n: unit for n, cell in zip(names, cells, strict=True) if (unit := unit_named(cell))}
                flags.append(
                    Flag("words", np.nan, line, f"read as units or remarks: {', '.join(cells)[:60]}")
                )
                continue
            if not self._is_whole(row, line, flags):
                continue
            lines.append(line)
            for column, cell in zip(columns, cells, strict=True):
                # Readings are quantised: a long log has few different texts, and each is kept once.
                column.append(known.setdefault(cell, cell))
        if not lines:
            raise InvalidInput(self.path, expected="rows of numbers below the header", found="none")
        numbers = np.array(lines, dtype=np.int64)
        read = [
            RawColumn(name, units.get(name, ""), cells, numbers)
            for name, cells in zip(names, columns, strict=True)
        ]
        return read, flags

    def close(self) -> None:
        """Nothing is open: the text was read at once."""

    def _body(self) -> Iterator[tuple[int, list[str]]]:
        rows = _rows(self.path, self.text, self.delimiter)
        return ((line, row) for line, row in rows if line > self.header_line)

    def _is_whole(self, row: list[str], line: int, flags: list[Flag]) -> bool:
        """Whether it is a row of data; a short one is, and is flagged."""
        extra = len(row) - len(self.names)
        if extra > 0 and any(cell.strip() for cell in row[len(self.names) :]):
            raise InvalidInput(
                f"{self.path}:{line}",
                expected=f"{len(self.names)} fields as in the header (line {self.header_line})",
                found=f"{len(row)}; decimal commas need another delimiter (;) or quotes",
            )
        if [cell.strip() for cell in row] == list(self.names):
            flags.append(Flag("header", np.nan, line, "the header again, left out"))
            return False
        if extra < 0:
            text = f"{len(row)} fields instead of {len(self.names)}; what is not there counts as missing"
            flags.append(Flag("short row", np.nan, line, text))
        return True


def open_csv(path: Path, fits: Callable[[Sequence[str]], int], wanted: int) -> CsvTable:
    """Find delimiter and header.

    Parameters
    ----------
    fits
        How many of the wanted columns a row of names satisfies.
    wanted
        How many there are. The first row that satisfies most of them is the header; if it lacks one, the
        message about that column shows what was found.

    Raises
    ------
    InvalidInput
        It cannot be read as text, or no row looks like a header.
    """
    text = _decoded(path)
    best: tuple[int, int, CsvTable] | None = None
    for delimiter in DELIMITERS:
        for line, names in _header_candidates(str(path), text, delimiter):
            rank = (fits(names), len(names))
            if best is None or rank > best[:2]:
                best = (*rank, CsvTable(str(path), text, delimiter, line, names))
            if rank[0] == wanted:
                break
    if best is None:
        raise InvalidInput(str(path), expected="a row with the names of the columns", found="no text at all")
    return best[2]


def _header_candidates(path: str, text: str, delimiter: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    head = "".join(text.splitlines(keepends=True)[:HEADER_LINES])
    try:
        for line, row in _rows(path, head, delimiter, comments=True):
            yield line, tuple(cell.strip() for cell in row)
    except InvalidInput:
        # With the wrong delimiter a quote may well seem open. With the right one all is read again.
        return


def _rows(path: str, text: str, delimiter: str, *, comments: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row that is not empty. `comments`: those too, without their mark."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInput(
                f"{path}:{reader.line_num}", expected="rows of a CSV file", found=str(error)
            ) from error
        first, line = before + 1, reader.line_num
        before = line
        if not any(cell.strip() for cell in row):
            continue
        if row[0].lstrip().startswith(COMMENT):
            if not comments:
                continue
            row[0] = row[0].lstrip().lstrip("#%/")
        if line > first and not comments:
            raise InvalidInput(
                f"{path}:{first}", expected="one row in one line", found="a quote that is not closed"
            )
        yield line, row


def _is_of_words(cells: Sequence[str]) -> bool:
    """Whether no cell holds a number, and one at least holds a word."""
    return any(cells) and not any(is_number(cell) for cell in cells)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise InvalidInput(str(path), expected="a log that can be read", found=found) from error
    if data.startswith(WORKBOOK):
        raise InvalidInput(
            str(path), expected="a CSV or MF4 file", found="a workbook or archive; save it as CSV"
        )
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
                       (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
        if data.startswith(mark):
            return _text(path, data, name)
    if any(byte in data[:_LOOKED_AT] for byte in _NEVER_IN_TEXT):
        raise InvalidInput(
            str(path), expected="text (CSV) or an MF4 file", found="binary data; export it as CSV or MF4"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Older loggers write °C in Latin 1. It maps every byte, so nothing else can be told from it.
        return _text(path, data, "latin-1")


def _text(path: Path, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            str(path), expected=f"text in {encoding}", found=f"byte {error.start} that is none"
        ) from error
    return text
