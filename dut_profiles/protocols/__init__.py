"""The dialects that DUTs speak: one module each, named as `communication.protocol` of a profile names it.

Each is a codec without I/O and without a clock, and has

* `decode(data, *, can_id=None)`: bytes to a JSON-ready dict, SI units, current positive when it charges;
* `EXCHANGES`: bytes from documents and captures that the codec is checked against.

Nothing is imported before a dialect is asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from bench.errors import InvalidInput
from dut_profiles.protocols.exchange import Exchange

#: Modules of this package that are no dialect.
_SHARED = frozenset({"__init__", "daly_data", "exchange", "signals"})


@runtime_checkable
class Dialect(Protocol):
    """What every module of this package has."""

    TITLE: str
    EXCHANGES: tuple[Exchange, ...]

    def decode(self, data: bytes, *, can_id: int | None = None) -> dict[str, object]:
        """Say what `data` means.

        Parameters
        ----------
        data
            Whole frames of a serial dialect, or the data field of one CAN frame.
        can_id
            Identifier of the CAN frame; None on serial lines.

        Raises
        ------
        FrameInvalid
            If the bytes are not frames of this dialect.
        """
        ...


def names() -> tuple[str, ...]:
    """The dialects there are, in alphabetical order; each is a file of this folder."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _SHARED))


def load(name: str) -> Dialect:
    """Import the dialect called `name`.

    Raises
    ------
    InvalidInput
        If there is no such dialect; the message lists those that exist.
    """
    if name not in names():
        raise InvalidInput("protocol", expected=f"one of {', '.join(names())}", found=repr(name))
    return cast(Dialect, import_module(f"{__name__}.{name}"))
