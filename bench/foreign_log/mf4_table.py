"""Open a measurement file of ASAM MDF (MF4, older MDF) by asammdf, an optional dependency."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bench.errors import InvalidInput
from bench.foreign_log.table import Flag, RawColumn

if TYPE_CHECKING:
    from asammdf import MDF

SUFFIXES = (".mf4", ".mdf", ".mf3")
#: How such a file begins, whatever its name: as asammdf writes it, and as a logger leaves it that lost power.
MAGIC = (b"MDF     ", b"UnFinMF ")


class Mf4Table:
    """A measurement file: channels by name, each with its own time base.

    A name that several groups have is asked for as `name@group`.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._stream, self._file = _opened(path)
        self._places: dict[str, tuple[int, int]] = {}
        masters = set(self._file.masters_db.items())
        places_of = self._file.channels_db
        #: Names of the time bases.
        self.clocks = {name for name, places in places_of.items() if set(places) <= masters}
        for name, places in places_of.items():
            kept = [place for place in places if place not in masters]
            for place in kept:
                self._places[name if len(kept) == 1 else f"{name}@{place[0]}"] = place

    @property
    def names(self) -> Sequence[str]:
        """Every channel that is not a time base."""
        return list(self._places)

    @property
    def decimal_comma(self) -> bool:
        """Text of a channel is written with points."""
        return False

    def read(self, names: Sequence[str]) -> tuple[list[RawColumn], list[Flag]]:
        """Read these channels at once, each with its own times.

        Raises
        ------
        InvalidInput
            A channel that holds neither numbers nor text, one per sample.
        """
        if not names:
            return [], []
        # `select` reads each group once; `get` in a loop would read it again for every channel.
        asked: list[Any] = [(None, *self._places[name]) for name in names]
        try:
            signals = self._file.select(asked)
        except Exception as error:  # asammdf raises whatever its parser of damaged blocks meets
            raise _damaged(self.path, error) from error
        return [self._column(name, signal) for name, signal in zip(names, signals, strict=True)], []

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._stream.close()

    def _column(self, name: str, signal: Any) -> RawColumn:
        samples = np.asarray(signal.samples)
        where = f"{self.path}, channel {name!r}"
        if samples.ndim != 1:
            raise InvalidInput(where, expected="one value per sample", found=f"shape {samples.shape}")
        cells: Any
        if samples.dtype.kind == "S":
            cells = [cell.decode("utf-8", "replace").strip("\0 ") for cell in samples]
        elif samples.dtype.kind in "fiub":
            cells = samples.astype(np.float64)
            if signal.invalidation_bits is not None:
                cells = np.where(np.asarray(signal.invalidation_bits, dtype=bool), np.nan, cells)
        else:
            raise InvalidInput(where, expected="numbers or text", found=f"samples of type {samples.dtype}")
        line = np.arange(1, len(samples) + 1, dtype=np.int64)
        t_s = np.asarray(signal.timestamps, dtype=np.float64)
        return RawColumn(name, str(signal.unit or "").strip(), cells, line, t_s)


def is_mf4(path: Path) -> bool:
    """Whether a file is one by its name or by its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(8) in MAGIC
    except OSError:
        return False


def _opened(path: Path) -> tuple[BinaryIO, MDF]:
    try:
        from asammdf import MDF
    except ImportError as error:
        raise InvalidInput(
            str(path),
            expected="asammdf, to read MF4 and MDF files: pip install bmsbench[mf4]",
            found="it is not installed",
        ) from error
    try:
        # Given a path, asammdf opens it for writing too. Nobody writes into a log.
        stream = path.open("rb")
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise InvalidInput(str(path), expected="a log that can be read", found=found) from error
    with _silent_ruins():
        try:
            return stream, MDF(stream)
        except Exception as error:  # asammdf raises whatever its parser of damaged blocks meets
            refusal = _damaged(str(path), error)
        # The ruin is part of a cycle: it goes now, while nobody listens.
        gc.collect()
    stream.close()
    raise refusal


@contextmanager
def _silent_ruins() -> Iterator[None]:
    """Let a half-built `MDF` go without a word: its `__del__` stumbles over what was never built."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = before


def _damaged(path: str, error: Exception) -> InvalidInput:
    said = " ".join(str(error).split())[:120]
    return InvalidInput(path, expected="an intact MDF file", found=f"{type(error).__name__}: {said}")
