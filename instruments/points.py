"""Points of the bench that a measuring instrument can be wired to, by the name of the trace they give.

A scanner's channel, or a voltmeter, is wired to one of them in the station file. The twin reads the plant
through the same name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bench.errors import StationInvalid

#: Main contacts in the order of a meter terminal.
SWITCHES = ("main_minus", "main_plus", "precharge", "charge", "pyro")
#: Name of a point to its unit; `[k]` counts cells from 0. Unit "1" is a state: whoever reads it as a voltage,
#: such as that of an auxiliary contact, has to say where half of it is.
UNITS = {
    "cell_v": "V",
    "temperature_degc": "degC",
    "pack_v": "V",
    "link_v": "V",
    "charger_v": "V",
    "supply_v": "V",
    "current_a": "A",
    **{f"switch.{switch}": "1" for switch in SWITCHES},
}
_NAME = re.compile(r"([\w.]+?)(?:\[(\d+)\])?\Z")
_OF_CELL = {"cell_v", "temperature_degc"}


def split(where: str, point: str) -> tuple[str, int | None]:
    """Name and cell of a point: `cell_v[3]` is ("cell_v", 3), `pack_v` is ("pack_v", None).

    Raises
    ------
    StationInvalid
        If there is no such point; `where` names file and key.
    """
    match = _NAME.match(point)
    name, cell = (match[1], match[2]) if match else ("", None)
    if name not in UNITS or (name in _OF_CELL) != (cell is not None):
        known = ", ".join(f"{name}[k]" if name in _OF_CELL else name for name in UNITS)
        raise StationInvalid(where, expected=f"a point {known}", found=repr(point))
    return name, None if cell is None else int(cell)


def probe(where: str, terminal: Any, point: str) -> Callable[[], float]:
    """What reads `point` of the plant now, for a twin.

    Parameters
    ----------
    where
        For messages.
    terminal
        Has what its points need of `cells`, `thermocouples`, `meter` and `auxiliary`, as in
        `instruments.terminals`; a station file joins them: `twin://cells+meter`. A plain meter serves too.
    point
        As `split` takes it.

    Raises
    ------
    StationInvalid
        If there is no such point, or the terminal does not lead to it.
    """
    name, cell = split(where, point)
    kind, _, switch = name.partition(".")
    if kind == "switch":
        meter, index = getattr(terminal, "meter", terminal), SWITCHES.index(switch)
        if not hasattr(meter, "switch_closed"):
            raise StationInvalid(where, expected=f"a terminal with 'meter' for {point}", found="none")
        return lambda: float(meter.switch_closed[index])
    needed, attribute = {
        "cell_v": ("cells", "actual_voltage_v"),
        "temperature_degc": ("thermocouples", "temperature_degc"),
        "supply_v": ("auxiliary", "actual_voltage_v"),
    }.get(name, ("meter", name))
    source = getattr(terminal, needed, terminal)
    if not hasattr(source, attribute):
        raise StationInvalid(where, expected=f"a terminal with {needed!r} for {point}", found="none")
    if cell is None:
        return lambda: float(getattr(source, attribute))
    count = len(getattr(source, attribute))
    if cell >= count:
        raise StationInvalid(where, expected=f"a cell from 0 to {count - 1}", found=repr(point))
    return lambda: float(getattr(source, attribute)[cell])
