"""Evidence as JSON: sorted keys, so equal values are equal bytes, and checked types on the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bench.errors import EvidenceInvalid

T = TypeVar("T")


def to_json(value: object) -> bytes:
    """Return `value` as an indented JSON document."""
    return (json.dumps(plain(value), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def plain(value: object) -> object:
    """Return the same in what JSON has; nan and the infinities become names that `float` reads back."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case set() | frozenset():
            return sorted((plain(item) for item in value), key=str)
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case Path():
            return value.as_posix()
        case Iterable():
            return [plain(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return plain(asdict(value))
    raise TypeError(f"expected a value that evidence can hold, found {type(value).__name__}: {value!r}")


def read_json(kind: type[T], path: Path) -> T:
    """Read a JSON file as a `kind`. Raises `EvidenceInvalid` if it is none."""
    try:
        raw = json.loads(path.read_bytes())
    except ValueError as error:
        raise EvidenceInvalid(str(path), expected="JSON", found=str(error)) from error
    return checked(kind, raw, path)


def checked(kind: type[T], raw: object, path: Path) -> T:
    """Make a `kind` of what came from JSON. Raises `EvidenceInvalid` naming the key in `path`."""
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise EvidenceInvalid(f"{path}: {key}", expected=first["msg"], found=repr(first["input"])) from error
