"""The catalogue of seeded defects, the loader of foreign ones, and the page about what they reach."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest

from bench.emulated_bms.defects import CATALOGUE, load_defects_from
from bench.errors import DefectInvalid
from tests.emulated_board import Board

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "add-defect.md"
NAMES = re.findall(r"^\| `(bms\.[^`]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def example(tmp_path: Path) -> Path:
    """The example file of the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = tmp_path / "my_defects.py"
    path.write_text(code, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_name_exists_on_a_live_bms(name: str) -> None:
    board = Board()
    board.run(0.3)

    assert eval(name, {"bms": board.bms}) is not NotImplemented


def test_the_page_documents_every_reading_output_and_task() -> None:
    bms = Board().bms
    expected = {f'bms.readings["{name}"]' for name in bms.readings}
    expected |= {f'bms.outputs["{name}"]' for name in bms.outputs}
    expected |= {f'bms.tasks["{name}"]' for name in bms.tasks}

    assert expected <= set(NAMES)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_catalogue_defect_applies_and_the_bms_runs_on(name: str) -> None:
    defect = CATALOGUE[name]
    board = Board()

    defect.apply(board.bms)
    board.closed("charge")
    board.set_current(50.0)
    board.run(2.0)
    board.bms.power_down()
    board.bms.power_up()
    board.run(0.5)

    assert defect.name == name
    assert defect.description.endswith(".")
    assert defect.caught_by


def test_defects_of_one_bms_do_not_leak_into_another() -> None:
    spoiled, sound = Board(), Board()

    for defect in CATALOGUE.values():
        defect.apply(spoiled.bms)

    assert sound.bms.parameters.limits["cell_overvoltage"].trip == 3600
    assert not sound.bms.readings.cell_mv.filters


def overvoltage_opens_after(board: Board, cell: int, voltage_v: float) -> float:
    """Time [s] from a step of one cell to the command that opens the charge contactor; nan: never."""
    board.closed("charge")
    board.set_cells(voltage_v, cell)
    return board.until(lambda: not board.port.coil[3], 3.0)


@pytest.mark.parametrize(
    ("name", "cell", "voltage_v"),
    [
        ("D01_overvoltage_threshold_small", 0, 3.607),
        ("D01_overvoltage_threshold_gross", 0, 3.68),
        ("D12_second_module_blind", 20, 3.65),
        ("D13_last_cell_blind", 23, 3.65),
        ("D34_channel_stuck", 5, 3.65),
        ("D69_does_not_open_in_charge", 2, 3.65),
    ],
)
def test_a_defect_of_overvoltage_keeps_the_charge_path_closed(name: str, cell: int, voltage_v: float) -> None:
    sound, spoiled = Board(), Board()
    CATALOGUE[name].apply(spoiled.bms)

    assert 1.0 <= overvoltage_opens_after(sound, cell, voltage_v) <= 1.1
    assert math.isnan(overvoltage_opens_after(spoiled, cell, voltage_v))


def test_no_debounce_acts_at_once() -> None:
    board = Board()
    CATALOGUE["D06_no_debounce"].apply(board.bms)

    assert overvoltage_opens_after(board, 4, 3.65) < 0.2


def test_the_wrong_cell_bleeds() -> None:
    board = Board()
    CATALOGUE["D48_wrong_cell_bleeds"].apply(board.bms)
    board.set_cells(3.42)
    board.set_cells(3.45, 6)
    board.run(3.0)

    assert list(board.port.bleed.nonzero()[0]) == [7]


def test_the_example_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    defects = load_defects_from(example(tmp_path))
    slow, low = Board(), Board()

    defects["slow_overvoltage"].apply(slow.bms)
    defects["cell_3_reads_30_mv_low"].apply(low.bms)
    low.run(1.0)

    assert list(defects) == ["slow_overvoltage", "cell_3_reads_30_mv_low", "stuck_counter"]
    assert 1.5 <= overvoltage_opens_after(slow, 0, 3.65) <= 1.6
    assert low.bms.readings.cell_mv.value[3] == pytest.approx(3270, abs=4)


def test_a_stuck_counter_repeats_with_a_good_check(tmp_path: Path) -> None:
    board = Board()
    load_defects_from(example(tmp_path))["stuck_counter"].apply(board.bms)
    board.run(1.0)

    assert {data[6] >> 4 for can_id, data in board.frames if can_id == 0x301} == {0}
    assert len({data[6] >> 4 for can_id, data in board.frames if can_id == 0x300}) == 10


def test_classes_without_arguments_are_defects_too(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "class Blind:\n    name = 'blind'\n    description = 'Sees nothing.'\n"
        "    def apply(self, bms):\n        bms.protections['cell_overvoltage'].enabled = False\n"
    )
    before = list(sys.path), set(sys.modules)

    found = load_defects_from(path)

    assert list(found) == ["blind"]
    assert (list(sys.path), set(sys.modules)) == before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = 1\n", "at least one object"),
        ("def broken(:\n", "a file that runs"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("class D:\n    name = 'd'\n    description = 'x'\nd = D()\n", "a method apply"),
        ("class D:\n    name = 'd'\n    def apply(self, bms): ...\nd = D()\n", "a text as description"),
        (
            "class D:\n    name = 'd'\n    description = 'x'\n    def apply(self, bms): ...\n"
            "a, b = D(), D()\n",
            "each name",
        ),
        ("class D:\n    def __init__(self, x): ...\n    def apply(self, bms): ...\n", "needs no arguments"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)

    with pytest.raises(DefectInvalid, match=complaint):
        load_defects_from(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DefectInvalid, match="no such file"):
        load_defects_from(tmp_path / "nowhere.py")
