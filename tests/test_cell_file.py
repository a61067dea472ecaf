"""Cell files: what ships loads, what cannot be used says where and why."""

import numpy as np
import pytest

from bench.cells import CELL_DIR, cell_names, load_cell
from bench.errors import InvalidInput

SOURCE = (CELL_DIR / "lfp_280ah.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_file_that_ships_loads_and_is_called_as_its_file(name):
    cell = load_cell(name)

    assert cell.name == name
    assert np.all(np.diff(cell.ocv.discharge_v) > 0), "a discharge branch falls with the charge left"


def test_the_branches_lie_about_their_mean():
    ocv = load_cell("lfp_280ah").ocv

    assert ocv.mean_v + ocv.half_v == pytest.approx(ocv.charge_v)
    assert ocv.mean_v - ocv.half_v == pytest.approx(ocv.discharge_v)


def test_a_cell_cannot_be_changed():
    cell = load_cell("lfp_280ah")

    with pytest.raises(ValueError, match="frozen"):
        cell.capacity_ah = 1.0
    with pytest.raises(ValueError, match="read-only"):
        cell.r0.ohm[0, 0] = 0.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate = 30.0", 'rate = "30"', r"\[hysteresis.rate\]: expected a valid number, found '30'"),
        ("ohm = [[0.0002934]", "ohm = [[0.0002934, 1]", r"\[rc.0.ohm\]: expected a table of numbers"),
        ("[hysteresis]", "[hysterese]", r"\[hysterese\]: expected one of the keys schema, name"),
        ("soc = [0.5]", "soc = [0.5, 0.4]", r"\[rc.0\]: expected soc in one row, strictly rising"),
        ("soc = [0.5]", "soc = [50.0]", r"\[rc.0\]: expected soc from 0 to 1, found \[50.\]"),
        (
            "[-30, -20, -10, 0, 10, 25, 40, 55]",
            "[243, 253, 263, 273, 283, 298, 313, 328]",
            r"\[r0\]: expected temperature_degc from -100 to 200, found \[243",
        ),
        ("soc = [0.5]", "soc = [0.4, 0.5]", r"\[rc.0\]: expected ohm of shape \(8, 2\), found \(8, 1\)"),
        (
            "capacity_ah = 280.0",
            "capacity_ah = -1.0",
            r"\[capacity_ah\]: expected greater than 0, found -1",
        ),
        ("  0, 0.01, 0.02,", "  0, 0.011, 0.02,", r"\[ocv\]: expected soc uniform from 0 to 1"),
        ("  2.3189,", "  1.3189,", r"\[ocv\]: expected charge_v nowhere below discharge_v, found a crossing"),
        ("  2.3189,", "  nan,", r"\[ocv.charge_v\]: expected finite numbers"),
        ("bmsbench-cell/1", "bmsbench-cell/0", r"\[schema\]: expected 'bmsbench-cell/1'"),
        ("[thermal]", "[thermal", "expected TOML"),
    ],
)
def test_a_cell_file_that_does_not_load_says_where_and_what(old, new, said, tmp_path):
    assert old in SOURCE
    path = tmp_path / "cell.toml"
    path.write_text(SOURCE.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(InvalidInput, match=said):
        load_cell(str(path))


def test_an_unknown_cell_names_the_known_ones():
    with pytest.raises(InvalidInput, match=r"one of: .*lfp_280ah.*found 'moon'"):
        load_cell("moon")
