"""What a defect is, and how a file of them is read."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bench.errors import DefectInvalid

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


@runtime_checkable
class Defect(Protocol):
    """One thing that is wrong with a BMS. `caught_by` (scenario ids) is optional."""

    @property
    def name(self) -> str:
        """Unique; also what `--bench-defect` takes."""
        ...

    @property
    def description(self) -> str:
        """One sentence."""
        ...

    def apply(self, bms: EmulatedBms) -> None:
        """Change `bms`, once, before its first task."""
        ...


@dataclass(frozen=True, slots=True)
class SeededDefect:
    """A defect made of a function.

    Parameters
    ----------
    name, description
        As `Defect`.
    caught_by
        Ids of the scenarios that ought to find it.
    change
        Changes the BMS.
    """

    name: str
    description: str
    caught_by: tuple[str, ...]
    change: Callable[[EmulatedBms], None]

    def __repr__(self) -> str:
        return f"SeededDefect({self.name})"

    def apply(self, bms: EmulatedBms) -> None:
        """As `Defect.apply`."""
        self.change(bms)


def load_defects_from(path: Path) -> dict[str, Defect]:
    """The defects of a Python file, by name: objects, classes and collections of them at module level.

    The file is run in a module of its own; `sys.path` and `sys.modules` stay as they are.

    Parameters
    ----------
    path
        A file with objects (or classes without arguments, or lists, tuples, dicts of them) that have `name`,
        `description` and `apply(bms)`.

    Raises
    ------
    DefectInvalid
        If the file cannot be read or run, holds no defect, two of one name, or one that is incomplete.
    """
    found: dict[str, Defect] = {}
    for where, candidate in _candidates(_run(path)):
        defect = _checked(f"{path}: {where}", candidate)
        if found.get(defect.name, defect) is not defect:
            raise DefectInvalid(f"{path}: {where}", expected="each name once", found=f"{defect.name!r} again")
        found[defect.name] = defect
    if not found:
        raise DefectInvalid(
            str(path),
            expected="at least one object with name, description and apply(bms) at module level",
            found="none",
        )
    return found


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise DefectInvalid(str(path), expected="a Python file with defects", found="no such file")
    spec = importlib.util.spec_from_file_location(f"bmsbench_defects_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DefectInvalid(str(path), expected="a Python file with defects", found="another kind of file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DefectInvalid(
            str(path), expected="a file that runs", found=f"{type(error).__name__}: {error}"
        ) from error
    return module


def _candidates(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Module-level values that mean to be a defect, each once; imported classes left out."""
    seen: set[int] = set()
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        for part in _unpacked(value):
            if isinstance(part, type):
                own = part.__module__ == module.__name__ and _means_to_be_defect(part)
                if not own or _is_made_of(part, module):
                    continue
                part = _instance(name, part, module)
            if _means_to_be_defect(part) and id(part) not in seen:
                seen.add(id(part))
                yield name, part


def _unpacked(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return [value]


def _means_to_be_defect(value: object) -> bool:
    """A class or object with `apply`, or with the other two; modules and functions never are."""
    if isinstance(value, ModuleType) or (callable(value) and not isinstance(value, type)):
        return False
    return hasattr(value, "apply") or (hasattr(value, "name") and hasattr(value, "description"))


def _is_made_of(cls: type, module: ModuleType) -> bool:
    """Whether the file itself holds instances of this class: then the class is only their mould."""
    parts = (part for value in vars(module).values() for part in _unpacked(value))
    return any(isinstance(part, cls) for part in parts)


def _instance(name: str, cls: type, module: ModuleType) -> object:
    try:
        return cls()
    except TypeError as error:
        raise DefectInvalid(
            f"{module.__file__}: class {name}", expected="a class that needs no arguments", found=str(error)
        ) from error


def _checked(where: str, candidate: object) -> Defect:
    for attribute in ("name", "description"):
        text = getattr(candidate, attribute, None)
        if not isinstance(text, str) or not text.strip():
            raise DefectInvalid(where, expected=f"a text as {attribute}", found=repr(text))
    if not callable(getattr(candidate, "apply", None)):
        raise DefectInvalid(
            where, expected="a method apply(bms)", found=f"{type(candidate).__name__} without one"
        )
    assert isinstance(candidate, Defect)
    return candidate
