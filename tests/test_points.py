"""Points of the bench by name: what a scanner's channel or a voltmeter is wired to."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.errors import StationInvalid
from instruments.points import probe, split
from tests.fake_terminals import FakeAuxiliary, FakeCells, FakeMeter, FakeThermocouples

TERMINAL = SimpleNamespace(
    cells=FakeCells(np.array([3.2, 3.3])),
    meter=FakeMeter(current_a=-12.0, pack_v=6.5),
    thermocouples=FakeThermocouples(np.array([21.0, 34.0])),
    auxiliary=FakeAuxiliary(connected=True, enabled=True, voltage_v=12.0, current_a=2.0),
)


@pytest.mark.parametrize(
    ("point", "value"),
    [
        ("cell_v[1]", 3.3),
        ("temperature_degc[0]", 21.0),
        ("pack_v", 6.5),
        ("current_a", -12.0),
        ("supply_v", 12.0),
        ("switch.main_minus", 0.0),
    ],
)
def test_a_probe_reads_the_terminal_it_is_wired_to(point, value):
    assert probe("here", TERMINAL, point)() == value


def test_a_probe_reads_the_present():
    read = probe("here", TERMINAL.meter, "link_v")
    assert read() == 0.0

    TERMINAL.meter.link_v = 81.5

    assert read() == 81.5


def test_a_switch_is_one_where_its_contact_is_closed():
    read = probe("here", TERMINAL, "switch.charge")

    TERMINAL.meter.switch_closed[3] = True

    assert read() == 1.0
    assert probe("here", TERMINAL.meter, "switch.charge")() == 1.0
    assert probe("here", TERMINAL.meter, "switch.main_plus")() == 0.0


@pytest.mark.parametrize(
    "point",
    [
        "switch",
        "switch.pedal",
        "switch.charge[0]",
        "cell_v",
        "pack_v[0]",
        "cell_v[-1]",
        "cell_v[x]",
        "nothing",
        "",
        "cell_v[1]x",
    ],
)
def test_what_is_no_point_is_refused_with_the_list_of_points(point):
    with pytest.raises(StationInvalid, match=r"station.toml: expected a point cell_v\[k\]"):
        split("station.toml", point)


def test_a_cell_that_the_pack_does_not_have_is_refused():
    with pytest.raises(StationInvalid, match="a cell from 0 to 1"):
        probe("station.toml", TERMINAL, "cell_v[2]")


def test_a_terminal_that_does_not_lead_there_is_refused():
    with pytest.raises(StationInvalid, match="thermocouples"):
        probe("station.toml", TERMINAL.meter, "temperature_degc[0]")
