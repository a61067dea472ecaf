"""Conditions: what is wrong inside the cells of an emulated pack.

No instrument can do this to a real pack, so no terminal reaches it and no station file names it. A scenario
for emulated stations takes it from the rack: `rack.conditions`.
"""

from __future__ import annotations

from bench.errors import InvalidInput
from bench.plant import layout as at
from bench.plant.arrays import Arrays
from bench.plant.spec import PlantSpec


class Conditions:
    """What can be set inside the cells, at any time.

    `group` is a place in the series string (what a BMS calls a cell), `member` one of its parallel cells.
    """

    def __init__(self, arrays: Arrays, spec: PlantSpec) -> None:
        self._arrays, self._spec = arrays, spec

    def break_bond(self, *, group: int, member: int, broken: bool = True) -> None:
        """Open (or mend) the bond or fuse that joins one cell to its group.

        Raises
        ------
        InvalidInput
            If there is no such cell, or it is the last one that holds its group together.
        """
        cell, bonded = self._index(group, member), self._arrays.cell[at.BONDED]
        first = group * self._spec.parallel
        members = bonded[first : first + self._spec.parallel]
        if broken and members.sum() - bonded[cell] < 1.0:
            found = f"member {member} of group {group} is the last"
            raise InvalidInput("break_bond", expected="a group that keeps one cell at least", found=found)
        bonded[cell] = 0.0 if broken else 1.0

    def _index(self, group: int, member: int) -> int:
        spec = self._spec
        if not (0 <= group < spec.cells and 0 <= member < spec.parallel):
            raise InvalidInput(
                "conditions",
                expected=f"group below {spec.cells}, member below {spec.parallel}",
                found=f"group {group}, member {member}",
            )
        return group * spec.parallel + member
