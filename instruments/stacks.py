"""Several cell emulators on one stack: which cells each of them feeds, and all of them as one emulator."""

from __future__ import annotations

from bench.errors import StationInvalid
from instruments.terminals import Bools, CellTerminals, Floats


class Section:
    """Neighbouring cells of a stack, as terminals of their own. See `instruments.terminals.CellTerminals`."""

    def __init__(self, stack: CellTerminals, part: slice) -> None:
        self._stack, self._part = stack, part
        self.connected: Bools = stack.connected[part]
        self.opened: Bools = stack.opened[part]
        self.voltage_v: Floats = stack.voltage_v[part]

    @property
    def actual_voltage_v(self) -> Floats:
        return self._stack.actual_voltage_v[self._part]

    @property
    def actual_current_a(self) -> Floats:
        return self._stack.actual_current_a[self._part]


def section(stack: CellTerminals, *, first: int, cells: int) -> Section:
    """The terminals of `cells` cells from `first` on, counted from 0 at the bottom of `stack`.

    Raises
    ------
    StationInvalid
        If the stack ends before.
    """
    count = len(stack.connected)
    if first + cells > count:
        raise StationInvalid(
            "options of a cell emulator, first_cell and cells",
            expected=f"cells of the {count} that the stack has",
            found=f"cells {first} to {first + cells - 1}",
        )
    return Section(stack, slice(first, first + cells))
