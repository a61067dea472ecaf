"""Recognition: which driver is for an instrument, by what it says of itself. The data stand in the drivers.

A driver that can be recognized has `idn`: words that all occur in its identity, upper or lower case, one of
several where they are separated by `|`. Beside it there may be

- `idn_options`: what its options demand, as far as they have no default; asking for an identity only reads;
- `nameless = True`: the device has no name to ask for, only its registers answer. Another one with the same
  registers looks the same;
- `heard(frames)`: for CAN, where nothing is asked: the identity from what the device sends by itself, or "".
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import instruments
from bench.station.drivers import ROLE_KINDS
from instruments.exchange import weakest_label


@dataclass(frozen=True, slots=True)
class Known:
    """A driver that can be recognized."""

    driver: Any
    module: str

    @property
    def name(self) -> str:
        """As a station file names it."""
        return f"{self.module}:{self.driver.__name__}"

    @property
    def kind(self) -> str:
        """The role that it is for, by the prefix of its module."""
        return KINDS[self.module.rpartition(".")[2].partition("_")[0]]

    @property
    def transport(self) -> str:
        """How it is reached."""
        return str(self.driver.transport)

    @property
    def is_nameless(self) -> bool:
        """Whether only its registers speak for it."""
        return bool(getattr(self.driver, "nameless", False))

    @property
    def label(self) -> str:
        """The weakest label of its exchanges at this connector."""
        exchanges = getattr(importlib.import_module(self.module), "EXCHANGES", ())
        face = getattr(self.driver, "face", "")
        return weakest_label(exchange for exchange in exchanges if exchange.face in ("", face))

    def matches(self, identity: str) -> bool:
        """Whether `identity` is that of an instrument that this driver is for."""
        said = identity.lower()
        return bool(said) and all(
            any(word in said for word in words.lower().split("|")) for words in self.driver.idn
        )

    def heard(self, frames: Sequence[tuple[int, bytes]]) -> str:
        """The identity of what sends `frames` (identifier, data); "" if it is something else."""
        hear = getattr(self.driver, "heard", None)
        return str(hear(frames)) if hear is not None else ""


#: Prefix of a module to the role that its drivers are for.
KINDS = {
    "supply": "charger",
    "load": "load",
    "cells": "cells",
    "thermistors": "thermistors",
    "faultbox": "faults",
    "meter": "meter",
    "voltmeter": "voltmeter",
    "scanner": "scanner",
    "chamber": "chamber",
    "auxiliary": "auxiliary",
}
assert set(KINDS.values()) <= set(ROLE_KINDS)


@cache
def known_drivers() -> tuple[Known, ...]:
    """Every driver with `idn` in the package `instruments`, by module; those that say a name come first."""
    found = []
    for info in pkgutil.iter_modules(instruments.__path__):
        if info.name.partition("_")[0] not in KINDS:
            continue
        module = importlib.import_module(f"instruments.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            own = member.__module__ == module.__name__
            if own and all(hasattr(member, name) for name in ("transport", "twin", "Options", "idn")):
                found.append(Known(member, module.__name__))
    return tuple(sorted(found, key=lambda known: known.is_nameless))


def those_for(identity: str, transports: Iterable[str]) -> list[Known]:
    """The drivers for an instrument with that identity, over one of `transports`."""
    over = set(transports)
    return [known for known in known_drivers() if known.transport in over and known.matches(identity)]
