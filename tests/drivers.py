"""Every driver there is, found by looking, with the terminal that its role acts on.

A module `instruments/<role>_<series>.py` holds a driver: a class with `transport`, `twin` and `Options`. A
new one is found without an edit here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import instruments
from tests.fake_terminals import (
    FakeAuxiliary,
    FakeCells,
    FakeChamber,
    FakeFaults,
    FakeLoad,
    FakeMeter,
    FakeNtcs,
    FakeShunt,
    FakeSource,
    FakeThermocouples,
)
from tests.rig import Rig, rig

CELLS, SENSORS = 24, 8


@dataclass(frozen=True)
class Found:
    """A driver class, its role and its module."""

    role: str
    driver: Any
    module: ModuleType

    def __str__(self) -> str:
        return f"{self.role}-{self.driver.__name__}"


def _cells() -> Any:
    cells = FakeCells(np.linspace(3.2, 3.3, CELLS))
    return SimpleNamespace(cells=cells, meter=FakeMeter(current_a=12.0), faults=FakeFaults())


def _measured() -> Any:
    return SimpleNamespace(
        cells=FakeCells(np.linspace(3.2, 3.3, CELLS)),
        meter=FakeMeter(current_a=12.0),
        thermocouples=FakeThermocouples(np.linspace(20.0, 43.0, CELLS)),
        auxiliary=FakeAuxiliary(),
    )


#: File prefix to a function that makes the terminal of that role.
TERMINALS: dict[str, Callable[[], Any]] = {
    "supply": FakeSource,
    "load": FakeLoad,
    "cells": _cells,
    "thermistors": lambda: FakeNtcs(np.full(SENSORS, 2.5)),
    "shunt": FakeShunt,
    "faultbox": FakeFaults,
    "meter": FakeMeter,
    "auxiliary": FakeAuxiliary,
    "chamber": FakeChamber,
    "voltmeter": FakeMeter,
    "scanner": _measured,
}

#: What a driver needs beyond its defaults to meet that terminal, as far as its options have such a key.
OPTIONS: dict[str, dict[str, Any]] = {
    "cells": {"boxes": [1, 2], "cells": CELLS},
    "thermistors": {
        "sensors": SENSORS,
        "r25_ohm": 10_000.0,
        "beta_k": 3435.0,
        "pullup_ohm": 10_000.0,
        "reference_v": 5.0,
    },
    "faultbox": {"relays": {"open_sense_wire_0": 0, "open_sense_wire_1": 1, "hvil_open": 5}},
    "voltmeter": {"point": "pack_v"},
    "scanner": {
        "channels": {"101": "cell_v[0]", "102": "cell_v[23]", "103": "pack_v", "104": "temperature_degc[5]"}
    },
}

#: Station limits [V], [A] for a rig of that role.
LIMITS: dict[str, tuple[float, float]] = {
    "cells": (5.0, 0.5),
    "shunt": (5.0, 1000.0),
    "faultbox": (60.0, 5.0),
    "meter": (10.0, 4000.0),
    "auxiliary": (24.0, 2.5),
    "voltmeter": (300.0, 3.0),
    "scanner": (300.0, 1.0),
}


def modules() -> list[ModuleType]:
    """Every module of the package `instruments`."""
    return [
        importlib.import_module(f"instruments.{info.name}")
        for info in pkgutil.iter_modules(instruments.__path__)
    ]


def drivers() -> list[Found]:
    """Every driver, by module name."""
    found = []
    for module in modules():
        prefix = module.__name__.removeprefix("instruments.").partition("_")[0]
        for _, member in inspect.getmembers(module, inspect.isclass):
            is_driver = all(hasattr(member, name) for name in ("transport", "twin", "Options"))
            if is_driver and member.__module__ == module.__name__:
                found.append(Found(prefix, member, module))
    return found


def rig_of(found: Found) -> Rig:
    """The driver on its twin on the fake terminal of its role, not yet prepared."""
    known = found.driver.Options.model_fields
    options = {key: value for key, value in OPTIONS.get(found.role, {}).items() if key in known}
    max_v, max_a = _within_rating(found.driver.Options(**options), *LIMITS.get(found.role, (100.0, 100.0)))
    return rig(found.driver, TERMINALS[found.role](), max_v=max_v, max_a=max_a, **options)


def _within_rating(options: Any, max_v: float, max_a: float) -> tuple[float, float]:
    """The limits of the rig, lower where the instrument is rated for less."""
    max_v = min(max_v, getattr(options, "rated_v", max_v))
    max_a = min(max_a, getattr(options, "rated_a", max_a))
    return max_v, min(max_a, getattr(options, "rated_w", np.inf) / max_v)
