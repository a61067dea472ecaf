"""What the verbs on foreign logs share: the options of the mapping, and how mapping and flags are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.program import console
from bench.errors import InvalidInput

if TYPE_CHECKING:
    from bench.foreign_log import Flag, ForeignLog

LogFile = Annotated[
    Path, typer.Argument(metavar="LOG", help="A CSV file (delimiter , ; or tab) or an MF4 or MDF file.")
]
COLUMNS_HELP = (
    "Which column is what: key=NAME,key=NAME. Keys: t, i, v, T, pack_v, soc, ... A star numbers cells or "
    "sensors: v=cell_*_mV."
)
Columns = Annotated[str, typer.Option("--columns", help=COLUMNS_HELP)]
Units = Annotated[
    str,
    typer.Option(
        "--units",
        help="Units of the log: t=ms,i=mA,v=mV,T=K. Default: what the column's name or a row of units says, "
        "else s, A, V, degC. v==mV (two =) insists against the name.",
    ),
]
DischargePositive = Annotated[
    bool, typer.Option("--discharge-positive", help="The log counts current positive when it discharges.")
]
CurrentOffset = Annotated[
    float,
    typer.Option(
        "--current-offset",
        help="Ampere, added to the current as written, in the log's own sign. Corrects a known offset, or "
        "rehearses a sensor with one.",
    ),
]
GapFactor = Annotated[
    float, typer.Option("--gap-factor", help="A pause longer than this many median periods is a gap.")
]


def quantities(text: str, option: str, keys: Iterable[str]) -> dict[str, float]:
    """Read `v=0.002,i=0.5`.

    Raises
    ------
    InvalidInput
        An unknown key, or no finite number that is not negative.
    """
    known = list(keys)
    found: dict[str, float] = {}
    for field in filter(None, (part.strip() for part in text.split(","))):
        key, _, number = (part.strip() for part in field.partition("="))
        if key not in known:
            raise InvalidInput(
                option, expected=f"key=number with a key of {', '.join(known)}", found=repr(field)
            )
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0.0 <= value < float("inf"):
            raise InvalidInput(option, expected=f"{key}=a number that is not negative", found=repr(field))
        found[key] = value
    return found


def mapping_rows(log: ForeignLog) -> list[dict[str, Any]]:
    """One row for each key: which columns, in which unit, and who says so."""
    rows: list[dict[str, Any]] = []
    if log.clock is not None:
        name, unit, who = log.clock
        rows.append(
            {"key": "t", "columns": [name], "unit": unit, "unit_from": who, "by": "", "samples": len(log.t_s)}
        )
    for reported in (False, True):
        for key in dict.fromkeys(column.key for column in log.columns if column.reported == reported):
            columns = log.of(key, reported=reported)
            rows.append(
                {
                    "key": key,
                    "columns": [column.name for column in columns],
                    "unit": columns[0].unit,
                    "unit_from": columns[0].unit_from,
                    "by": "DUT" if reported else "instrument",
                    "samples": len(columns[0].value),
                }
            )
    return rows


def _families(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with all alarms in one, and all switches."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        stem, dot, _ = row["key"].partition(".")
        name = f"{stem}.*" if dot else stem
        known = found.setdefault((name, row["by"]), {**row, "key": name, "columns": []})
        known["columns"] = [*known["columns"], *row["columns"]]
    return list(found.values())


def print_mapping(log: ForeignLog) -> None:
    """Show what was read as what."""
    from bench.foreign_log.log import listed

    table = Table(
        "key", "columns", "unit", "unit by", "said by", "samples", title=escape(f"{log.path} as read")
    )
    for row in _families(mapping_rows(log)):
        shown = escape(listed(row["columns"]))
        table.add_row(row["key"], shown, row["unit"], row["unit_from"], row["by"], str(row["samples"]))
    console().print(table)


def print_json(result: dict[str, Any]) -> None:
    """Print a result; what is not finite is null, as JSON has no word for it."""
    print(json.dumps(_finite(result), indent=1, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flag_rows(flags: Sequence[Flag]) -> list[dict[str, Any]]:
    """Flags for machines; the time is null where a flag is about the whole log."""
    return [{"kind": f.kind, "t_s": f.t_s, "line": f.line or None, "text": f.text} for f in flags]


def print_flags(flags: Sequence[Flag]) -> None:
    """Show flags on standard error, where they are seen when the output goes to a file too."""
    for flag in flags:
        typer.echo(f"flag {flag}", err=True)
