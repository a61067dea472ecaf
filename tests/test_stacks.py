"""Several cell emulators as one: which cells, honest stamps, refusals, faults with the stack at rest."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.plant import Plant, PlantSpec
from bench.record import Origin, Trace
from bench.wires.can import CanHub
from bench.wires.transcript import Transcript
from bench.wires.twin import face_of
from instruments import roles
from instruments.cells_bs1200 import Bs1200
from instruments.cells_n83624 import N83624
from instruments.cells_n83624_modbus import N83624Modbus
from instruments.stacks import StackedCells
from tests.fake_terminals import FakeCells, FakeMeter
from tests.rig import WIRES, Rig

CELLS = 32


def part(driver: Any, terminal: Any, clock: Clock, seed: int, **options: object) -> Any:
    """A driver on its own wire and twin, on a clock and cells that it shares with others."""
    settings = driver.Options(**options)
    twin = driver.twin(terminal, clock=clock, options=settings, seed=seed)
    face = face_of(twin, getattr(driver, "face", ""))
    bench = Rig(clock, Transcript(), terminal, twin, None, 5.0, 0.5, settings)
    if driver.transport == "can":
        bench.hub = CanHub(clock, settings.bitrate)
        face.attach(bench.hub)
    wire = WIRES[driver.transport](driver, face, bench)
    return driver(wire, clock=clock, role="role", max_v=5.0, max_a=0.5, options=settings)


def stack(lower: Any, upper: Any, first: int, *, cells: FakeCells | None = None) -> Any:
    """Two emulators on 32 cells, the second from `first` on, prepared."""
    clock = Clock()
    terminal = SimpleNamespace(cells=cells or FakeCells(np.full(CELLS, 3.3)), meter=FakeMeter())
    joined = StackedCells(
        {
            "cells_upper": part(upper, terminal, clock, 2, cells=CELLS - first, first_cell=first),
            "cells_lower": part(lower, terminal, clock, 1, cells=first),
        },
        clock=clock,
        role="cells",
    )
    joined.prepare()
    return SimpleNamespace(clock=clock, cells=terminal.cells, driver=joined)


PAIRS = pytest.mark.parametrize(
    ("lower", "upper", "first"),
    [(N83624, N83624, 24), (Bs1200, Bs1200, 16), (N83624, N83624Modbus, 16), (Bs1200, N83624, 12)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)


@PAIRS
def test_two_emulators_are_one_of_32_cells(lower: Any, upper: Any, first: int):
    bench = stack(lower, upper, first)
    wanted = [3.0 + 0.01 * k for k in range(CELLS)]

    bench.driver.set(voltage_v=wanted)
    bench.clock.sleep(0.5)
    traces = bench.driver.traces()

    assert isinstance(bench.driver, roles.CellEmulator)
    assert isinstance(bench.driver, roles.FaultBox)
    assert bench.driver.cells == CELLS
    assert bench.cells.voltage_v == pytest.approx(wanted, abs=2e-3)
    assert traces["cell_v"].value.shape[1] == traces["cell_a"].value.shape[1] == CELLS
    assert traces["cell_v"].last == pytest.approx(wanted, abs=4e-3)
    assert traces["cell_a"].last == pytest.approx(np.array(wanted) / 1000.0, abs=6e-3)
    assert (np.diff(traces["cell_v"].t_s) > 0).all()
    assert str(traces["cell_v"].origin) == "measured by cells"


@PAIRS
def test_one_cell_is_found_in_its_part_and_off_is_off_everywhere(lower: Any, upper: Any, first: int):
    bench = stack(lower, upper, first)

    bench.driver.set(voltage_v=3.6, cell=first)
    bench.driver.set(voltage_v=3.5, cell=first - 1)
    bench.clock.sleep(0.1)
    assert np.flatnonzero(bench.cells.connected).tolist() == [first - 1, first]
    assert bench.cells.voltage_v[first - 1 : first + 1] == pytest.approx([3.5, 3.6], abs=2e-3)
    assert not bench.driver.is_off()

    bench.driver.off()
    bench.clock.sleep(0.1)
    assert bench.driver.is_off()
    assert not bench.cells.connected.any()


def test_what_does_not_fit_is_refused_before_any_part_is_told():
    bench = stack(N83624, N83624, 24)

    for ask in (
        {"voltage_v": [3.3] * 31 + [5.1]},
        {"voltage_v": [3.3] * 31},
        {"voltage_v": 3.3, "cell": 32},
        {"voltage_v": -0.1},
    ):
        with pytest.raises(InstrumentRefused, match="cells refused"):
            bench.driver.set(**ask)

    assert not bench.cells.connected.any()


@pytest.mark.parametrize(("first_cells", "expected"), [((0, 20), "16"), ((0, 8), "16"), ((1, 17), "0")])
def test_every_cell_is_fed_once(first_cells: tuple[int, int], expected: str):
    parts = {
        f"cells_{k}": SimpleNamespace(first_cell=f, cells=16, max_v=5.0) for k, f in enumerate(first_cells)
    }

    with pytest.raises(StationInvalid, match=f"first_cell: expected {expected}, so that every cell"):
        StackedCells(parts, clock=Clock(), role="cells")


def test_identity_names_every_part():
    identity = stack(N83624, Bs1200, 16).driver.identity()

    assert (
        identity
        == "cells_lower: NGI,N83624,0,V1.00; cells_upper: Bloomy BS1200 box 1 (fans ok), box 2 (fans ok)"
    )


def test_one_part_that_cannot_switch_off_does_not_keep_the_other_on():
    bench = stack(N83624, N83624, 24)
    bench.driver.set(voltage_v=3.3)

    def broken() -> None:
        raise WireError("cells_lower: no answer")

    bench.driver.parts["cells_lower"].off = broken
    with pytest.raises(WireError, match="cells_lower: no answer"):
        bench.driver.off()

    assert bench.cells.connected.tolist() == [True] * 24 + [False] * 8


# Rows.


class Told:
    """A part whose traces a test writes."""

    max_v = 5.0

    def __init__(self, first_cell: int, cells: int = 1) -> None:
        self.first_cell, self.cells = first_cell, cells
        self.rows: list[tuple[float, float]] = []

    def traces(self) -> dict[str, Trace]:
        t_s, volts = (np.array(column) for column in zip(*self.rows, strict=True))
        value = np.repeat(volts[:, np.newaxis], self.cells, axis=1)
        return {"cell_v": Trace("cell_v", "V", t_s, value, Origin("measured", "x"), 0.001 * self.cells)}


def rows_of(*parts: Told) -> tuple[list[float], list[list[float]]]:
    driver = StackedCells({str(k): p for k, p in enumerate(parts)}, clock=Clock(), role="cells")
    trace = driver.traces()["cell_v"]
    return trace.t_s.tolist(), trace.value.tolist()


def test_a_row_has_what_was_known_at_its_stamp_and_nothing_from_later():
    slow, quick = Told(0), Told(1)
    slow.rows = [(0.0, 3.0), (1.0, 3.1), (2.0, 3.2)]
    quick.rows = [(0.4, 4.0), (0.9, 4.1), (1.4, 4.2), (1.9, 4.3), (2.4, 4.4)]

    t_s, rows = rows_of(slow, quick)

    # From the time at which both have a sample to the time by which both have reported.
    assert t_s == [0.4, 0.9, 1.0, 1.4, 1.9, 2.0]
    assert rows == [[3.0, 4.0], [3.0, 4.1], [3.1, 4.1], [3.1, 4.2], [3.1, 4.3], [3.2, 4.3]]


def test_a_part_that_falls_silent_makes_no_rows_until_it_speaks_again():
    steady, lame = Told(0), Told(1)
    steady.rows = [(0.1 * k, 3.0) for k in range(101)]
    lame.rows = [(0.1 * k, 4.0) for k in range(40)] + [(0.1 * k, 5.0) for k in range(80, 101)]

    t_s, rows = rows_of(steady, lame)

    # Last heard at 3.9 s: three of its periods later it counts as silent.
    assert not [t for t in t_s if 4.25 < t < 7.95]
    assert [row[1] for t, row in zip(t_s, rows, strict=True) if t > 7.95] == [5.0] * 21


def test_rows_that_were_handed_out_stay_and_new_ones_follow_them():
    first, second = Told(0), Told(1)
    first.rows, second.rows = [(0.0, 3.0), (1.0, 3.1)], [(0.5, 4.0)]
    driver = StackedCells({"a": first, "b": second}, clock=Clock(), role="cells")
    before = driver.traces()["cell_v"]
    assert before.t_s.tolist() == [0.5]

    first.rows.append((2.0, 3.2))
    second.rows += [(1.5, 4.1), (2.5, 4.2)]
    after = driver.traces()["cell_v"]

    assert after.t_s.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert after.value.tolist() == [[3.0, 4.0], [3.1, 4.0], [3.1, 4.1], [3.2, 4.1]]
    assert before.value.tolist() == [[3.0, 4.0]]
    assert after.uncertainty == 0.001


# Faults.


def test_a_fault_goes_in_with_every_channel_of_the_stack_off_together():
    bench = stack(N83624, N83624, 24)
    bench.driver.set(voltage_v=[3.0 + 0.01 * k for k in range(CELLS)])
    seen: list[tuple[int, int]] = []
    bench.clock.every(
        0.001,
        lambda: seen.append((int(bench.cells.connected[:24].sum()), int(bench.cells.connected[24:].sum()))),
        name="watch",
        order=99,
    )

    bench.driver.insert("channel_reverse_26")
    bench.driver.insert("channel_short_3")
    bench.clock.sleep(0.3)

    assert bench.cells.actual_voltage_v[26] == pytest.approx(-3.26, abs=2e-3)
    assert bench.cells.actual_voltage_v[3] == 0.0
    assert np.delete(bench.cells.actual_voltage_v, [3, 26]) == pytest.approx(
        np.delete(3.0 + 0.01 * np.arange(CELLS), [3, 26]), abs=2e-3
    )
    # No channel was ever off alone: parts switch as a whole, one right after the other.
    assert set(seen) <= {(24, 8), (0, 8), (24, 0), (0, 0)}
    assert (0, 0) in seen
    assert bench.driver.traces()["fault.channel_reverse_26"].last == 1.0

    bench.driver.remove("channel_reverse_26")
    bench.clock.sleep(0.3)
    assert bench.cells.actual_voltage_v[26] == pytest.approx(3.26, abs=2e-3)
    assert bench.cells.actual_voltage_v[3] == 0.0


def test_a_fault_of_no_part_is_refused_by_name():
    bench = stack(N83624, Bs1200, 16)

    assert len(bench.driver.faults) == 3 * 16
    with pytest.raises(
        InstrumentRefused, match=r"refused 'channel_open_20' .* channel_open_0, channel_open_1"
    ):
        bench.driver.insert("channel_open_20")


def test_a_refused_fault_leaves_the_stack_as_it_was():
    bench = stack(N83624, N83624, 24)
    bench.driver.set(voltage_v=3.4)
    bench.driver.set(voltage_v=3.5, cell=30)
    bench.driver.insert("channel_open_3")

    with pytest.raises(InstrumentRefused, match="no other fault of channel 4"):
        bench.driver.insert("channel_short_3")

    assert bench.cells.connected.all()
    assert bench.cells.voltage_v[29:31] == pytest.approx([3.4, 3.5], abs=2e-3)


def test_after_a_broken_wire_the_stack_stays_off():
    bench = stack(N83624, N83624, 24)
    bench.driver.set(voltage_v=3.4)

    def broken(fault: str) -> None:
        raise WireError(f"no answer to {fault}")

    bench.driver.parts["cells_lower"].insert = broken
    with pytest.raises(WireError):
        bench.driver.insert("channel_open_3")

    assert not bench.cells.connected.any()


def test_on_the_plant_an_opened_channel_floats_and_a_reversed_one_is_negative():
    clock, plant = Clock(), Plant(PlantSpec(cells=CELLS))
    clock.every(0.01, lambda: plant.step(0.01), name="plant", order=-100)
    cells = plant.terminal("cells")
    driver = StackedCells(
        {
            "cells_1": part(N83624, cells, clock, 1, cells=24),
            "cells_2": part(N83624, cells, clock, 2, cells=8, first_cell=24),
        },
        clock=clock,
        role="cells",
    )
    driver.prepare()
    driver.set(voltage_v=3.7)
    clock.sleep(0.3)

    driver.insert("channel_reverse_30")
    driver.insert("channel_open_5")
    clock.sleep(3.0)

    assert plant.port.cell_v[30] == pytest.approx(-3.7, abs=2e-3)
    # More than three time constants of 0.94 s from what the cell had.
    assert 0.0 < plant.port.cell_v[5] < 3.7 * math.exp(-3.0)
    assert np.delete(plant.port.cell_v, [5, 30]) == pytest.approx([3.7] * 30, abs=2e-3)
    assert driver.traces()["cell_v"].last[30] == pytest.approx(-3.7, abs=4e-3)

    driver.off()
    clock.sleep(0.1)
    assert driver.is_off()
    assert plant.port.cell_v == pytest.approx(plant.truth.cell_v)
