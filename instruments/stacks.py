"""Several cell emulators on one stack: which cells each of them feeds, and all of them as one emulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from bench.clock import Clock
from bench.errors import BenchError, InstrumentRefused, StationInvalid
from bench.record import Origin, Trace
from instruments.broadcast import Growing
from instruments.roles import CellEmulator, FaultBox
from instruments.terminals import Bools, CellTerminals, Floats

#: A part that has not reported for so many of its periods makes no more rows.
_MOST_PERIODS = 3.0
_JOINED = ("cell_v", "cell_a")


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


@runtime_checkable
class Part(CellEmulator, Protocol):
    """A cell emulator that knows which cells of a longer stack it feeds."""

    first_cell: int
    """Cell of the stack, from 0, that its first channel feeds."""
    max_v: float
    """What it refuses to exceed [V]."""


class StackedCells:
    """Cell emulators as one `roles.CellEmulator` over all cells, and a `roles.FaultBox` with all faults.

    A row of `cell_v` and `cell_a` has the newest sample of each part that is not later than its stamp. There
    is a row at every stamp of every part, so that none is delayed by another; but only up to the time by
    which all of them have reported, and none while one of them is silent.

    Parameters
    ----------
    parts
        Role to driver, in any order; together they feed every cell from 0 on, once.
    clock
        For the times in messages.
    role
        Of the whole, in messages and as origin of the joined traces.

    Raises
    ------
    StationInvalid
        If cells are left out or fed twice.
    """

    watchdog = "as its parts'"

    def __init__(self, parts: Mapping[str, Part], *, clock: Clock, role: str) -> None:
        self.parts = dict(sorted(parts.items(), key=lambda item: item[1].first_cell))
        self._clock, self._role = clock, role
        self.cells = 0
        for name, part in self.parts.items():
            if part.first_cell != self.cells:
                raise StationInvalid(
                    f"[roles.{name}.options] first_cell",
                    expected=f"{self.cells}, so that every cell of the stack is fed once",
                    found=str(part.first_cell),
                )
            self.cells += part.cells
        self.first_cell = 0
        self.max_v = min(part.max_v for part in self.parts.values())
        #: What was last put on each cell [V]; nan: its channel is off.
        self._held_v = [math.nan] * self.cells
        self._t_s = {name: Growing(0) for name in _JOINED}
        self._rows = {name: Growing(self.cells) for name in _JOINED}

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults of all parts that have some."""
        return tuple(fault for box in self._boxes() for fault in box.faults)

    def identity(self) -> str:
        return "; ".join(f"{name}: {part.identity()}" for name, part in self.parts.items())

    def prepare(self) -> None:
        self._held_v = [math.nan] * self.cells
        for part in self.parts.values():
            part.prepare()

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        if cell is not None:
            if not 0 <= cell < self.cells or not isinstance(voltage_v, (int, float)):
                raise self._refusal(
                    f"cell {cell} to {voltage_v}", f"one voltage on one of 0 to {self.cells - 1}"
                )
            wanted = list(self._held_v)
            wanted[cell] = float(voltage_v)
            part = next(p for p in self.parts.values() if p.first_cell <= cell < p.first_cell + p.cells)
            self._must_fit([float(voltage_v)])
            part.set(voltage_v=float(voltage_v), cell=cell - part.first_cell)
        else:
            wanted = (
                [float(voltage_v)] * self.cells
                if isinstance(voltage_v, (int, float))
                else [float(volts) for volts in voltage_v]
            )
            if len(wanted) != self.cells:
                raise self._refusal(f"{len(wanted)} voltages", f"{self.cells}, one for each cell")
            self._must_fit(wanted)
            for part in self.parts.values():
                part.set(voltage_v=wanted[part.first_cell : part.first_cell + part.cells])
        self._held_v = wanted

    def off(self) -> None:
        """All parts; what one of them cannot do does not keep the others from it."""
        self._held_v = [math.nan] * self.cells
        self._each(lambda part: part.off())

    def is_off(self) -> bool:
        """Whether all parts are."""
        return all(part.is_off() for part in self.parts.values())

    def insert(self, fault: str) -> None:
        """As the part does, with the channels of all parts off meanwhile and on again afterwards."""
        box = self._box(fault)
        self._at_rest(lambda: box.insert(fault))

    def remove(self, fault: str) -> None:
        """As `insert`."""
        box = self._box(fault)
        self._at_rest(lambda: box.remove(fault))

    def traces(self) -> dict[str, Trace]:
        found: dict[str, Trace] = {}
        of_parts = [part.traces() for part in self.parts.values()]
        for traces in of_parts:
            found.update({name: trace for name, trace in traces.items() if name not in _JOINED})
        for name in _JOINED:
            pieces = [traces[name] for traces in of_parts if name in traces]
            if len(pieces) == len(of_parts):
                self._join(name, pieces)
                if len(self._t_s[name]):
                    found[name] = Trace(
                        name,
                        pieces[0].unit,
                        self._t_s[name].view(),
                        self._rows[name].view(),
                        Origin("measured", self._role),
                        max(piece.uncertainty for piece in pieces),
                    )
        return found

    def _join(self, name: str, pieces: list[Trace]) -> None:
        """Add the rows between what was joined before and the time by which all parts have reported."""
        known_s = self._t_s[name].view()
        after_s = float(known_s[-1]) if len(known_s) else -math.inf
        until_s = min(float(piece.t_s[-1]) for piece in pieces)
        since_s = max(float(piece.t_s[0]) for piece in pieces)
        new = [
            piece.t_s[
                np.searchsorted(piece.t_s, after_s, side="right") : np.searchsorted(
                    piece.t_s, until_s, side="right"
                )
            ]
            for piece in pieces
        ]
        t_s = np.unique(np.concatenate(new))
        t_s = t_s[t_s >= since_s]
        fresh = np.ones(len(t_s), dtype=bool)
        columns = []
        for piece in pieces:
            newest = np.searchsorted(piece.t_s, t_s, side="right") - 1
            fresh &= t_s - piece.t_s[newest] <= _MOST_PERIODS * _period_s(piece)
            columns.append(piece.value[newest])
        self._t_s[name].append(t_s[fresh])
        self._rows[name].append(np.concatenate(columns, axis=1)[fresh])

    def _at_rest(self, act: Callable[[], object]) -> None:
        """Do something with every channel of the stack off, and put back what was on them.

        Also if it is refused, for then nothing has changed. After any other error the stack stays off.
        """
        held_v = list(self._held_v)
        if not all(math.isnan(volts) for volts in held_v):
            # Without `disconnect` there are no faults that `off` would take out.
            self._each(lambda part: getattr(part, "disconnect", part.off)())
        try:
            act()
        except InstrumentRefused:
            self._restore(held_v)
            raise
        self._restore(held_v)

    def _restore(self, held_v: list[float]) -> None:
        for part in self.parts.values():
            own_v = held_v[part.first_cell : part.first_cell + part.cells]
            if not any(math.isnan(volts) for volts in own_v):
                part.set(voltage_v=own_v)
                continue
            for k, volts in enumerate(own_v):
                if not math.isnan(volts):
                    part.set(voltage_v=volts, cell=k)

    def _each(self, act: Callable[[Part], object]) -> None:
        errors: list[BenchError] = []
        for part in self.parts.values():
            try:
                act(part)
            except BenchError as error:
                errors.append(error)
        if errors:
            for other in errors[1:]:
                errors[0].add_note(str(other))
            raise errors[0]

    def _boxes(self) -> list[FaultBox]:
        return [part for part in self.parts.values() if isinstance(part, FaultBox)]

    def _box(self, fault: str) -> FaultBox:
        for box in self._boxes():
            if fault in box.faults:
                return box
        raise self._refusal(repr(fault), f"one of {', '.join(self.faults) or 'no faults at all'}")

    def _must_fit(self, volts: list[float]) -> None:
        for value in volts:
            if not 0.0 <= value <= self.max_v:
                raise self._refusal(
                    f"{value:g} V", f"0 to {self.max_v:g} V, the least of all parts; nothing was sent"
                )

    def _refusal(self, asked: str, expected: str) -> InstrumentRefused:
        return InstrumentRefused(
            f"{self._role} refused {asked} at {self._clock.now_s:.3f} s: expected {expected}."
        )


def _period_s(trace: Trace) -> float:
    """Time from one sample to the next, as it usually is lately [s]."""
    return float(np.median(np.diff(trace.t_s[-50:]))) if len(trace) > 1 else math.inf
