"""Stimuli on the cells: what the cell emulator is told, step by step, and what is noted in the record."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.clock import Clock
from bench.record import Record
from bench.stimulus import RAMP_STEP_S, CellStimulus

CELLS = 4


class Told:
    """A cell emulator that remembers what it was told, and when."""

    cells = CELLS

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls: list[tuple[float, Any, int | None]] = []
        self.disconnected = 0

    def set(self, *, voltage_v: Any, cell: int | None = None) -> None:
        self.calls.append((self._clock.now_s, voltage_v, cell))

    def off(self) -> None:
        self.disconnected += 1


class Rig:
    def __init__(self) -> None:
        self.clock = Clock()
        self.driver = Told(self.clock)
        self.record = Record([], now_s=lambda: self.clock.now_s)
        self.cells = CellStimulus(self.driver, self.clock, self.record)  # type: ignore[arg-type]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.record.events]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_one_voltage_goes_to_all_cells(rig: Rig) -> None:
    rig.cells.set(voltage_v=3.3)

    assert rig.driver.calls == [(0.0, 3.3, None)]
    assert rig.cells.voltage_v == [3.3] * CELLS
    assert rig.notes == ["all cells to 3.3000 V"]


def test_one_cell_can_be_moved_alone(rig: Rig) -> None:
    rig.cells.set(voltage_v=3.3)
    rig.cells[2].set(voltage_v=3.6)

    assert rig.driver.calls[-1] == (0.0, 3.6, 2)
    assert rig.cells.voltage_v == [3.3, 3.3, 3.6, 3.3]
    assert rig.notes[-1] == "cell 2 to 3.6000 V"


def test_a_pattern_has_one_voltage_per_cell(rig: Rig) -> None:
    rig.cells.set(voltage_v=[3.1, 3.2, 3.3, 3.4])

    assert rig.cells.voltage_v == [3.1, 3.2, 3.3, 3.4]


@pytest.mark.parametrize(
    ("voltage_v", "cell", "told"),
    [
        ([3.3] * 3, None, r"expected one per cell \(4\), found 3 voltages"),
        ([3.3] * 4, 1, "expected a single one for cell 1, found 4 voltages"),
    ],
)
def test_a_wrong_number_of_voltages_is_told_and_nothing_moves(
    rig: Rig, voltage_v: list[float], cell: int | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        rig.cells.set(voltage_v=voltage_v, cell=cell)

    assert rig.driver.calls == []


@pytest.mark.parametrize("cell", [-1, CELLS])
def test_a_cell_that_is_not_there_is_told(rig: Rig, cell: int) -> None:
    with pytest.raises(IndexError, match=f"cell {cell}: the emulator has cells 0 to 3"):
        rig.cells[cell]


def test_a_ramp_takes_its_time_and_ends_exactly(rig: Rig) -> None:
    rig.cells.set(voltage_v=3.3)
    rig.cells[1].ramp(to_v=3.4, rate_v_per_s=0.1)

    steps = rig.driver.calls[1:]
    # 0.1 V at 0.1 V/s in steps of 50 ms: twenty steps of 5 mV, the first after one step.
    assert [t_s for t_s, _, _ in steps] == pytest.approx([RAMP_STEP_S * k for k in range(1, 21)])
    assert [v for _, v, _ in steps] == pytest.approx([3.3 + 0.005 * k for k in range(1, 21)])
    assert {cell for *_, cell in steps} == {1}
    assert rig.cells.voltage_v == [3.3, pytest.approx(3.4, abs=1e-12), 3.3, 3.3]
    assert rig.notes[-1] == "cell 1 ramps to 3.4000 V at 100 mV/s"


def test_a_ramp_of_all_brings_every_cell_to_the_end_at_the_same_time(rig: Rig) -> None:
    rig.cells.set(voltage_v=[3.0, 3.1, 3.2, 3.6])
    rig.cells.ramp(to_v=3.5, rate_v_per_s=0.5)

    last_t_s, last_v, cell = rig.driver.calls[-1]
    assert last_t_s == pytest.approx(1.0)  # the farthest, 0.5 V, decides
    assert last_v == pytest.approx([3.5] * CELLS)
    assert cell is None
    halfway = next(v for t_s, v, _ in rig.driver.calls if t_s == pytest.approx(0.5))
    assert halfway == pytest.approx([3.25, 3.3, 3.35, 3.55])


def test_a_ramp_downwards_goes_down(rig: Rig) -> None:
    rig.cells.set(voltage_v=3.3)
    rig.cells.ramp(to_v=3.2, rate_v_per_s=0.2)

    assert [v[0] for _, v, _ in rig.driver.calls[1:]] == sorted(
        (v[0] for _, v, _ in rig.driver.calls[1:]), reverse=True
    )
    assert rig.clock.now_s == pytest.approx(0.5)


def test_a_ramp_from_nowhere_is_told(rig: Rig) -> None:
    with pytest.raises(ValueError, match="expected a voltage to start from, found none: set cell 0 first"):
        rig.cells[0].ramp(to_v=3.4, rate_v_per_s=0.1)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan])
def test_a_rate_that_leads_nowhere_is_told(rig: Rig, rate: float) -> None:
    rig.cells.set(voltage_v=3.3)

    with pytest.raises(ValueError, match="expected a rate above 0 V/s"):
        rig.cells.ramp(to_v=3.4, rate_v_per_s=rate)


def test_after_off_nothing_is_known_of_the_cells(rig: Rig) -> None:
    rig.cells.set(voltage_v=3.3)
    rig.cells.off()

    assert rig.driver.disconnected == 1
    assert all(math.isnan(v) for v in rig.cells.voltage_v)
