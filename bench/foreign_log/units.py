"""Units of a foreign log: what each quantity may be written in, and what a column's name says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Quantity = Literal["time", "current", "voltage", "temperature", "fraction", "resistance", "number", "switch"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: value in the project's unit = `factor` * value as written + `offset`."""

    name: str
    factor: float = 1.0
    offset: float = 0.0


#: Units of each quantity; the first is the project's own, and the default.
UNITS: dict[Quantity, tuple[Unit, ...]] = {
    "time": (Unit("s"), Unit("ms", 1e-3), Unit("us", 1e-6), Unit("ns", 1e-9), Unit("min", 60.0),
             Unit("h", 3600.0), Unit("d", 86400.0)),
    "current": (Unit("A"), Unit("mA", 1e-3), Unit("uA", 1e-6), Unit("kA", 1e3)),
    "voltage": (Unit("V"), Unit("mV", 1e-3), Unit("uV", 1e-6), Unit("kV", 1e3)),
    "temperature": (Unit("degC"), Unit("K", 1.0, -273.15), Unit("degF", 5.0 / 9.0, -160.0 / 9.0)),
    "fraction": (Unit("1"), Unit("percent", 1e-2)),
    "resistance": (Unit("ohm"), Unit("kohm", 1e3), Unit("Mohm", 1e6)),
    "number": (Unit("1"),),
    "switch": (Unit("1"),),
}  # fmt: skip

#: Other spellings, as names of columns and rows of units have them.
_SPELLINGS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "µs": "us", "μs": "us",
    "minutes": "min", "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d",
    "amp": "A", "amps": "A", "ampere": "A", "volt": "V", "volts": "V", "µV": "uV", "µA": "uA",
    "C": "degC", "°C": "degC", "degc": "degC", "DegC": "degC", "deg C": "degC", "celsius": "degC",
    "Celsius": "degC", "℃": "degC", "F": "degF", "°F": "degF", "degf": "degF", "kelvin": "K", "degK": "K",
    "%": "percent", "pct": "percent", "Ohm": "ohm", "Ω": "ohm", "kOhm": "kohm", "kΩ": "kohm",
    "MOhm": "Mohm", "MΩ": "Mohm", "-": "1",
}  # fmt: skip
_KNOWN = {unit.name for units in UNITS.values() for unit in units} - {"1"}
#: The last word of a name: `cell_1_mV`, `Voltage (V)`, `Current [mA]`, `T/°C`.
_LAST_WORD = re.compile(r"(?:[_ /]|[(\[<])\s*([^\s_/()\[\]<>]+)\s*[)\]>]?\s*$")


def unit_named(text: str) -> str | None:
    """The unit that `text` spells, `[mV]` and `°C` included; None if it spells none that is known here."""
    bare = text.strip().strip("()[]<>").strip()
    bare = _SPELLINGS.get(bare, bare)
    return bare if bare in _KNOWN or bare == "1" else None


def unit_in_name(column: str) -> str | None:
    """The unit at the end of a column's name; None if there is none.

    A digit alone is a number of a cell, not a unit.
    """
    found = _LAST_WORD.search(column)
    unit = unit_named(found.group(1)) if found else None
    return None if unit == "1" else unit


def unit_of(quantity: Quantity, name: str) -> Unit | None:
    """The unit of `quantity` with this name or spelling; None if the quantity is not written in it."""
    wanted = unit_named(name)
    return next((unit for unit in UNITS[quantity] if unit.name == wanted), None)


def unit_names(quantity: Quantity) -> str:
    """Names of the units of a quantity, for a message."""
    return ", ".join(unit.name for unit in UNITS[quantity])
