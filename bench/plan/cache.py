"""Rehearsals that are still true: kept by what they depend on, in one file of the results folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.evidence.json_file import plain
from bench.plan.demand import Demand

FILE = "rehearsals.json"
#: Suite files with their circumstances that are remembered; the oldest goes first. Project default.
KEPT = 200

_ROOT = Path(__file__).parents[2]
_SOURCES = ("bench", "instruments", "dut_profiles")
_STORED: TypeAdapter[dict[str, dict[str, Demand]]] = TypeAdapter(dict[str, dict[str, Demand]])


class RehearsalCache:
    """Demands by test, as long as nothing changes that they depend on.

    Parameters
    ----------
    folder
        The results folder.
    circumstances
        Files and texts on which every rehearsal of this run depends: station, profile, seed, drivers.
    """

    def __init__(self, folder: Path, circumstances: Iterable[Path | str]) -> None:
        self._path = folder / FILE
        digest = hashlib.sha256(_of_sources().encode())
        for item in circumstances:
            digest.update(item.read_bytes() if isinstance(item, Path) else item.encode())
            digest.update(b"\0")
        self._circumstances = digest.hexdigest()

    def known(self, suite: Path) -> dict[str, Demand]:
        """The demands of the tests in one suite file, by test id; empty if it was not rehearsed like this."""
        return self._stored().get(self._key(suite), {})

    def keep(self, suite: Path, demands: Sequence[Demand]) -> None:
        """Remember the demands of tests in one suite file, beside those that are known."""
        stored, key = self._stored(), self._key(suite)
        entry = stored.pop(key, {}) | {demand.nodeid: demand for demand in demands}
        newest = dict([*stored.items(), (key, entry)][-KEPT:])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: another process may read it meanwhile.
        half = self._path.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(plain(_STORED.dump_python(newest))), encoding="utf-8")
        half.replace(self._path)

    def _stored(self) -> dict[str, dict[str, Demand]]:
        try:
            return _STORED.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}  # none yet, or one of another version: rehearse again

    def _key(self, suite: Path) -> str:
        digest = hashlib.sha256(self._circumstances.encode())
        digest.update(suite.read_bytes())
        for folder in suite.parents:
            if (conftest := folder / "conftest.py").is_file():
                digest.update(os.fsencode(conftest) + b"\0" + conftest.read_bytes())
        return digest.hexdigest()


def source_of(module: str) -> Path | None:
    """The file of a module that is not the project's own; None if there is none."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return None if path.is_relative_to(_ROOT) else path


@cache
def _of_sources() -> str:
    """The bench itself: another plant or driver makes another rehearsal."""
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".toml", ".csv"):
                digest.update(str(path.relative_to(_ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
