"""The keys by which a column is mapped: `t=t_s,i=i_A,v=cell_*_mV,alarm.*=flag_*`.

A key is a short name (t, i, v, T) or the standard name of a trace, see docs/reference/record.md. A star on
the right stands for the number of a cell or sensor, or for a name if there is a star on the left too.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.errors import InvalidInput
from bench.foreign_log.units import Quantity


@dataclass(frozen=True, slots=True)
class Key:
    """What a column may be mapped to.

    Parameters
    ----------
    quantity
        Decides the units.
    trace
        Standard name of the trace; "" for the time.
    many
        Whether there may be one column for each cell or sensor.
    """

    quantity: Quantity
    trace: str
    many: bool = False


KEYS: dict[str, Key] = {
    "t": Key("time", ""),
    "i": Key("current", "current_a"),
    "v": Key("voltage", "cell_v", many=True),
    "T": Key("temperature", "temperature_degc", many=True),
    "soc": Key("fraction", "soc"),
    "soh": Key("fraction", "soh"),
    "pack_v": Key("voltage", "pack_v"),
    "link_v": Key("voltage", "link_v"),
    "charger_v": Key("voltage", "charger_v"),
    "cell_a": Key("current", "cell_a", many=True),
    "charge_path": Key("switch", "charge_path"),
    "discharge_path": Key("switch", "discharge_path"),
    "bleeds": Key("switch", "bleeds", many=True),
    "state": Key("number", "state"),
    "charge_limit_a": Key("current", "charge_limit_a"),
    "discharge_limit_a": Key("current", "discharge_limit_a"),
    "regen_limit_a": Key("current", "regen_limit_a"),
    "insulation_ohm": Key("resistance", "insulation_ohm"),
    "insulation_ohm_per_v": Key("resistance", "insulation_ohm_per_v"),
    "capture_a": Key("current", "capture_a"),
    "fan_rpm": Key("number", "fan_rpm"),
    "heater": Key("switch", "heater"),
}
#: Families of keys, all of switches: `alarm.cell_overvoltage`, `switch.main_plus`.
FAMILIES = ("alarm.", "switch.")

_NUMBERED = re.compile(r"^([A-Za-z_]+?)(\d+)$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One `key=column` of a mapping. `index`: of the cell or sensor; None if the key has none."""

    key: str
    index: int | None
    column: str

    def __str__(self) -> str:
        return f"{self.key}{'' if self.index is None else self.index}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which columns are what, in which unit and sign.

    Parameters
    ----------
    columns
        As asked for; patterns are not resolved yet.
    units
        Unit of each key, as stated.
    insisted
        Keys whose stated unit holds even where the name of a column says another one.
    discharge_positive
        The log counts current positive when it discharges.
    current_offset_a
        Added to the current [A] as written, before its sign is turned.
    option
        The option that it was read from, for messages.
    """

    columns: tuple[Wanted, ...]
    units: dict[str, str]
    insisted: frozenset[str] = frozenset()
    discharge_positive: bool = False
    current_offset_a: float = 0.0
    option: str = "--columns"


def key_of(name: str) -> Key | None:
    """The key with this name, of a family too; None if there is none."""
    if name.startswith(FAMILIES) and not name.endswith("."):
        return Key("switch", name)
    return KEYS.get(name)


def read_mapping(
    columns: str,
    units: str = "",
    *,
    discharge_positive: bool = False,
    current_offset_a: float = 0.0,
    option: str = "--columns",
) -> Mapping:
    """Read `t=t_s,i=i_A` and `t=ms,i==mA`.

    Raises
    ------
    InvalidInput
        An unknown key, a key given twice, anything but `key=column`, or an offset that is no number.
    """
    if not math.isfinite(current_offset_a):
        raise InvalidInput("--current-offset", expected="a number of ampere", found=f"{current_offset_a:g}")
    wanted = tuple(_wanted(key, column, option) for key, column in _pairs(columns, option))
    twice = [str(key) for key, count in Counter(map(str, wanted)).items() if count > 1]
    if twice:
        raise InvalidInput(option, expected="each key once", found=f"{twice[0]} twice")
    stated: dict[str, str] = {}
    insisted = set()
    for key, unit in _pairs(units, "--units"):
        if key_of(key) is None:
            raise InvalidInput("--units", expected=f"key=unit with a key of {_known_keys()}", found=repr(key))
        if unit.startswith("="):
            insisted.add(key)
        stated[key] = unit.removeprefix("=")
    return Mapping(wanted, stated, frozenset(insisted), discharge_positive, current_offset_a, option)


def _pairs(text: str, option: str) -> list[tuple[str, str]]:
    try:
        fields = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise InvalidInput(option, expected="key=column,key=column,...", found=repr(text)) from error
    pairs = []
    for field in fields:
        key, equals, column = (part.strip() for part in field.partition("="))
        if not field.strip():
            continue
        if not (key and equals and column):
            expected = "key=column,key=column,..., such as t=time_s,i=current_A,v=cell_*_mV"
            raise InvalidInput(option, expected=expected, found=repr(field))
        pairs.append((key, column))
    return pairs


def _wanted(key: str, column: str, option: str) -> Wanted:
    if key_of(key) is not None:
        return Wanted(key, None, column)
    numbered = _NUMBERED.match(key)
    if numbered and (known := KEYS.get(numbered.group(1))) and known.many:
        return Wanted(numbered.group(1), int(numbered.group(2)), column)
    close = difflib.get_close_matches(key, KEYS, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InvalidInput(option, expected=f"a key of {_known_keys()}", found=repr(key) + hint)


def _known_keys() -> str:
    return f"{', '.join(KEYS)}, v0 to vN, T0 to TN, alarm.<name>, switch.<name>"


def resolve(wanted: Sequence[Wanted], names: Sequence[str], where: str, option: str) -> list[Wanted]:
    """Put the names of real columns in the place of patterns, one entry for each column.

    Raises
    ------
    InvalidInput
        A column is not there, a pattern matches nothing, or numbers of cells are missing or doubled.
    """
    found: list[Wanted] = []
    for entry in wanted:
        if entry.column in names:
            found.append(entry)
        elif entry.column.count("*") == 1:
            found += _expanded(entry, names, where, option)
        else:
            raise _absent(entry, names, where, option)
    _demand_all_numbers(found, where, option)
    return found


def matches(wanted: Sequence[Wanted], names: Sequence[str]) -> int:
    """How many of the wanted columns or patterns these names satisfy."""
    return sum(
        entry.column in names or (entry.column.count("*") == 1 and bool(_hits(entry.column, names)))
        for entry in wanted
    )


def _hits(pattern: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Columns that the pattern matches, and what stands in the place of its star."""
    left, right = pattern.split("*")
    size = len(left) + len(right)
    fitting = [n for n in names if len(n) > size and n.startswith(left) and n.endswith(right)]
    return [(name, name[len(left) : len(name) - len(right)]) for name in fitting]


def _expanded(entry: Wanted, names: Sequence[str], where: str, option: str) -> list[Wanted]:
    hits = _hits(entry.column, names)
    if entry.key.endswith(".*"):
        named = [Wanted(entry.key[:-1] + star, None, name) for name, star in hits]
        if not named:
            raise _absent(entry, names, where, option)
        return named
    known = key_of(entry.key)
    if entry.index is not None or known is None or not known.many:
        raise InvalidInput(
            f"{where}, {option}", expected=f"one column for {entry}", found=f"the pattern {entry.column!r}"
        )
    numbers = sorted((int(star), name) for name, star in hits if star.isascii() and star.isdigit())
    if not numbers:
        raise _absent(entry, names, where, option)
    _demand_no_holes([number for number, _ in numbers], entry, where, option)
    return [Wanted(entry.key, number - numbers[0][0], name) for number, name in numbers]


def _demand_no_holes(numbers: list[int], entry: Wanted, where: str, option: str) -> None:
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise InvalidInput(
                f"{where}, {option} {entry.key}={entry.column}",
                expected=f"numbers without holes or doubles from {numbers[0]} to {numbers[-1]}",
                found=f"{after} after {before}; name the columns one by one ({entry.key}0=..., "
                f"{entry.key}1=...) if that is right",
            )
    if numbers[0] > 1:
        raise InvalidInput(
            f"{where}, {option} {entry.key}={entry.column}",
            expected="numbers from 0 or 1 on",
            found=f"{numbers[0]} as the first; name the columns one by one if that is right",
        )


def _demand_all_numbers(found: list[Wanted], where: str, option: str) -> None:
    for key in {entry.key for entry in found if entry.index is not None}:
        have = sorted(entry.index for entry in found if entry.key == key and entry.index is not None)
        missing = sorted(set(range(len(have))) - set(have))
        if missing or any(entry.key == key and entry.index is None for entry in found):
            what = f"{key}{missing[0]} missing" if missing else f"{key} and {key}{have[0]} together"
            raise InvalidInput(f"{where}, {option}", expected=f"{key}0 to {key}{have[-1]}", found=what)


def _absent(entry: Wanted, names: Sequence[str], where: str, option: str) -> InvalidInput:
    close = difflib.get_close_matches(entry.column, names, 1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    doubled = [name for name in names if name.startswith(f"{entry.column}@")]
    if doubled:
        hint = f"; several groups have one, name it {' or '.join(doubled[:4])}"
    if any(name.lower() == entry.column.lower() for name in names):
        hint = "; upper and lower case count" + hint
    shown = ", ".join(repr(name[:40]) for name in names[:12]) + (", ..." if len(names) > 12 else "")
    what = "a column that fits" if "*" in entry.column else "a column"
    return InvalidInput(
        f"{where}, {option}",
        expected=f"{what} {entry.column!r} for {entry}",
        found=f"{shown or 'no columns'}{hint}",
    )
