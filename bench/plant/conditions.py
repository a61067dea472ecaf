"""Conditions: what is wrong inside the cells of an emulated pack, set by name at any time.

No instrument can do this to a real pack, so no terminal reaches it and no station file names it. A scenario
for emulated stations takes it from the rack: `rack.conditions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import InvalidInput
from bench.plant import layout as at
from bench.plant.arrays import Arrays
from bench.plant.degradation import MONTH_S
from bench.plant.spec import PlantSpec

Write = Callable[[Arrays, int, int, float], None]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that can be set: its range, what it is on a sound cell, and how it is written."""

    lowest: float
    highest: float
    sound: float
    write: Write


def _short(arrays: Arrays, _group: int, cell: int, ohm: float) -> None:
    arrays.cell[at.SHORT_S, cell] = 0.0 if math.isinf(ohm) else 1.0 / ohm
    arrays.state[at.SPLIT] = 1.0


def _leak(arrays: Arrays, _group: int, cell: int, per_month: float) -> None:
    arrays.cell[at.LEAK_A, cell] = per_month * arrays.cell[at.CAPACITY_C, cell] / MONTH_S


def _joint(arrays: Arrays, group: int, _cell: int, ohm: float) -> None:
    arrays.group[at.JOINT_OHM, group] = ohm


def _heater(arrays: Arrays, _group: int, cell: int, power_w: float) -> None:
    arrays.cell[at.HEATER_W, cell] = power_w


def _bond(arrays: Arrays, group: int, cell: int, is_open: float) -> None:
    if is_open not in (0.0, 1.0):
        raise InvalidInput("condition bond_open", expected="0 or 1", found=f"{is_open}")
    parallel = arrays.cell.shape[1] // arrays.group.shape[1]
    bonded = arrays.cell[at.BONDED]
    others = bonded[group * parallel : (group + 1) * parallel].sum() - bonded[cell]
    if is_open and others < 1.0:
        found = f"the last cell of group {group}"
        raise InvalidInput("bond_open", expected="a group that keeps one cell at least", found=found)
    bonded[cell] = 0.0 if is_open else 1.0


#: Name, and unit in the name. Ranges are those in which the laws make sense.
CONDITIONS = {
    "internal_short_ohm": Condition(1e-4, math.inf, math.inf, _short),
    "self_discharge_per_month": Condition(0.0, 1.0, 0.0, _leak),
    "joint_ohm": Condition(0.0, 0.1, 0.0, _joint),
    "heater_w": Condition(0.0, 20e3, 0.0, _heater),
    "bond_open": Condition(0.0, 1.0, 0.0, _bond),
}


class Conditions:
    """What can be set inside the cells; `names` lists it.

    A group is a place in the series string (what a BMS calls a cell), a member one of its parallel cells. The
    joint of a group is the one above it. `docs/reference/plant.md`, "Fault physics", has the laws.
    """

    names = tuple(CONDITIONS)

    def __init__(self, arrays: Arrays, spec: PlantSpec) -> None:
        self._arrays, self._spec = arrays, spec

    def set(self, name: str, value: float, *, group: int, member: int = 0) -> None:
        """Make one cell, or the joint above its group, so from now on.

        Raises
        ------
        InvalidInput
            If there is no such condition or cell, the value is out of its range, or the bond is the last.
        """
        condition, cell = self._condition(name), self._cell(group, member)
        if not condition.lowest <= value <= condition.highest:
            expected = f"{condition.lowest:g} to {condition.highest:g}"
            raise InvalidInput(f"condition {name}", expected=expected, found=f"{value}")
        condition.write(self._arrays, group, cell, float(value))

    def clear(self, name: str, *, group: int, member: int = 0) -> None:
        """Make it sound again; what it has done to the cell until now stays."""
        self.set(name, self._condition(name).sound, group=group, member=member)

    def _condition(self, name: str) -> Condition:
        if name not in CONDITIONS:
            raise InvalidInput("condition", expected=f"one of {', '.join(CONDITIONS)}", found=repr(name))
        return CONDITIONS[name]

    def _cell(self, group: int, member: int) -> int:
        spec = self._spec
        if not (0 <= group < spec.cells and 0 <= member < spec.parallel):
            expected = f"group below {spec.cells}, member below {spec.parallel}"
            raise InvalidInput("condition", expected=expected, found=f"group {group}, member {member}")
        return group * spec.parallel + member
