"""TOML files that people write: read them, and say in the bench's own words what is wrong with one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bench.errors import InvalidInput


def read_toml(path: Path, refusal: type[InvalidInput]) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    refusal
        If it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refusal(str(path), expected="TOML", found=str(error)) from error


def find_toml(what: str, name_or_file: str, folder: Path, refusal: type[InvalidInput]) -> Path:
    """The TOML file called `name_or_file`: a path, or a name in `folder`.

    Raises
    ------
    refusal
        If there is no such file; the message lists the names that exist.
    """
    for candidate in (Path(name_or_file), folder / f"{name_or_file}.toml"):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate
    known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise refusal(what, expected=f"a TOML file or one of: {known}", found=repr(name_or_file))


def explained(
    where: str,
    error: ValidationError,
    model: type[BaseModel],
    refusal: type[InvalidInput],
    expected_of: Mapping[str, str] = MappingProxyType({}),
) -> InvalidInput:
    """The first complaint of pydantic about `model` in the bench's own form: file, key, expected, found.

    An unknown key goes before a missing one: most often it is the missing one, misspelt. `expected_of` says
    in better words than pydantic's what a key should hold.
    """
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    last = str(first["loc"][-1]) if first["loc"] else ""
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    match first["type"]:
        case "missing":
            expected, found = expected_of.get(last, "this key or table"), "nothing"
        case "extra_forbidden":
            known = ", ".join(_keys_beside(model, first["loc"]))
            expected, found = f"one of the keys {known}", repr(last)
        case "value_error":
            expected, _, found = first["msg"].removeprefix("Value error, ").partition("|")
        case _:
            wanted = first["msg"].removeprefix("Input should be ")
            expected, found = expected_of.get(last, wanted), repr(first["input"])
    return refusal(f"{where}: [{key}]" if key else where, expected=expected, found=found + more)


def _keys_beside(model: Any, loc: Sequence[int | str]) -> list[str]:
    """The keys that the table holding the last of `loc` may have."""
    for part in loc[:-1]:
        fields = getattr(model, "model_fields", {})
        # A table of tables, or a list of them: any key leads to the one kind that it holds.
        inner = [kind for kind in get_args(model) if kind not in (str, Ellipsis)]
        model = fields[part].annotation if part in fields else next(iter(inner), None)
    fields = getattr(model, "model_fields", {})
    return [field.alias or name for name, field in fields.items() if not field.exclude]
