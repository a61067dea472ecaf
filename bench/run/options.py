"""What a run was asked for, and whether it can be used: checked before anything is opened."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.emulated_bms.defects import Defect, known_defects
from bench.errors import DefectInvalid, InvalidInput
from bench.evidence import (
    Clause,
)
from bench.verdict import DecisionRule


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for, as text."""

    station: str
    dut: str
    seed: str
    defect: str
    defects_from: str
    rule: str
    results: Path
    requirements: Path
    sim: str = ""
    certify: bool = False


def chosen_defects(options: Options) -> list[Defect]:
    known = known_defects(options.defects_from)
    if not options.defect:
        return []
    if options.defect not in known:
        raise DefectInvalid(
            "--bench-defect", expected=f"one of {', '.join(sorted(known))}", found=options.defect
        )
    return [known[options.defect]]


def checked_seed(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise InvalidInput("--bench-seed", expected="a whole number from 0", found=repr(text))
    return int(text)


def checked_rule(text: str) -> DecisionRule:
    if text not in ("simple", "guarded"):
        raise InvalidInput("--bench-rule", expected="simple or guarded", found=repr(text))
    return cast("DecisionRule", text)


def named_clauses(path: Path, scenarios: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Clause, ...]:
    """Every clause that the scenarios name, with its title. A clause that is not in the file is an error."""
    if not path.is_file():
        raise InvalidInput("--bench-requirements", expected="a TOML file of clauses", found=str(path))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), expected="TOML", found=str(error)) from error
    named: dict[str, Clause] = {}
    for scenario, clauses in scenarios:
        for ref in clauses:
            row = table.get(ref)
            if not isinstance(row, dict):
                raise InvalidInput(
                    f"{path}: scenario {scenario}",
                    expected=f'a table ["{ref}"] with title and source',
                    found="none" if row is None else repr(row),
                )
            named[ref] = Clause(ref, str(row.get("title", "")), str(row.get("source", "unverified")))
    return tuple(named.values())


def make_folder(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            "--bench-results", expected="a folder that can be made", found=f"{error}"
        ) from error
