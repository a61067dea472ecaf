"""The board station: no energy anywhere, the model seen through instruments, safe afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.emulated_bms.defects import CATALOGUE
from bench.errors import StationInvalid
from bench.procedure import Bench
from bench.station import Station
from bench.station_file import load_station
from dut_profiles.profile import load_profile

PROFILE = load_profile("hd_lfp_24s")
SHIPPED = load_station("emulated_board")


@pytest.fixture(scope="module")
def driving() -> Iterator[Bench]:
    """In drive with 100 A drawn from the model."""
    with Station(SHIPPED, PROFILE) as station:
        bench = Bench(station)
        bench.cells.set(voltage_v=3.30)
        bench.set_temperature(25.0)
        bench.wait(0.5)
        bench.start()
        bench.mode("drive")
        bench.discharge(100.0)
        bench.wait(2.0)
        yield bench


def test_the_board_reports_a_current_and_no_energy_moves(driving: Bench) -> None:
    assert driving.station.rack is not None
    plant = driving.station.rack.plant

    assert driving.dut.telemetry().current_a == pytest.approx(-100.0, abs=1.5)
    assert driving.record.current_a.origin.kind == "measured"
    assert float(driving.record.current_a.last) == pytest.approx(-100.0, abs=1.0)
    assert np.abs(plant.truth.cell_a).max() == 0.0
    # 79 V on voltage inputs of 100 kohm.
    assert plant.truth.energy_j["charger"] == plant.truth.energy_j["load"] == 0.0
    assert plant.truth.energy_j["regen"] == plant.truth.energy_j["chemical"] == 0.0
    assert abs(plant.truth.charge_ah) < 1e-5


def test_what_the_model_computes_is_in_no_trace(driving: Bench) -> None:
    traces = driving.station.traces()

    assert not [name for name in traces if name.startswith(("load.", "charger.", "regen.", "model"))]
    assert traces["shunt.current_a"].origin.kind == "commanded"
    assert float(traces["shunt.current_a"].last) == pytest.approx(-100.0, abs=0.5)


def test_held_cells_stay_and_the_models_own_come_back(driving: Bench) -> None:
    held_v = driving.record.cell_v.last
    assert held_v == pytest.approx(np.full(24, 3.30), abs=0.002)

    driving.cells.off()
    driving.wait(0.3)

    assert driving.station.model is not None
    model_v = driving.station.model.plant.truth.cell_v
    assert driving.record.cell_v.last == pytest.approx(model_v, abs=0.002)
    driving.cells.set(voltage_v=3.30)


def test_it_is_made_safe_without_current_and_without_cells() -> None:
    with Station(SHIPPED, PROFILE) as station:
        bench = Bench(station)
        bench.cells.set(voltage_v=3.30)
        bench.wait(0.5)
        bench.start()
        bench.mode("charge")
        bench.charge(50.0)
        bench.wait(1.0)

    assert station.safe_report is not None
    assert station.safe_report.confirmed
    done = [step.role for step in station.safe_report.steps if step.action == "off"]
    assert done.index("charger") < done.index("shunt") < done.index("cells") < done.index("auxiliary")
    assert station.rack is not None
    plant = station.rack.plant
    assert plant.terminal("shunt").voltage_v == 0.0
    assert not plant.terminal("cells").connected.any()
    assert not plant.terminal("auxiliary").enabled
    assert any("pack model" in event.text for event in station.record.events if event.kind == "model")


def test_a_board_wakes_up_to_cells_that_are_there() -> None:
    with Station(SHIPPED, PROFILE) as station:
        bench = Bench(station)
        bench.start()

        # Nothing was set by a scenario: what it sees is the model's, and none of it alarms.
        assert not bench.dut.alarms()
        assert bench.dut.telemetry().cell_v == pytest.approx(station.record.cell_v.last, abs=0.005)


BROKEN = {
    "a model nobody can see": (
        "[roles.shunt",
        "[roles.millivolts",
        r"\[model\]: expected \[roles.shunt\]",
    ),
    "a power instrument at a board": (
        'address = "model://load"',
        'address = "twin://load"',
        r"\[roles.load\] address: expected model://load, for a board has no power path",
    ),
    "roles of a model that is not there": (
        '[model]\ncontactors = "cells" ',
        "",
        r"\[roles.charger\] address: expected a table \[model\] beside it",
    ),
    "a feed without its limit": (
        "supply_a = 3.0",
        "",
        r"\[dut\] supply_v: expected supply_a beside it",
    ),
}


@pytest.mark.parametrize("mistake", BROKEN, ids=str)
def test_a_mistake_in_a_board_station_is_one_sentence(mistake: str, tmp_path: Path) -> None:
    there, instead, said = BROKEN[mistake]
    text = SHIPPED.path.read_text(encoding="utf-8")
    assert there in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(there, instead), encoding="utf-8")

    with pytest.raises(StationInvalid, match=said):
        load_station(str(path))


@pytest.mark.parametrize(("defects", "opens"), [((), True), (("D87_charge_overcurrent_ignored",), False)])
def test_a_current_that_only_the_shunt_shows_is_what_a_sound_board_trips_on(
    defects: tuple[str, ...], opens: bool
) -> None:
    seeded = [CATALOGUE[name] for name in defects]
    with Station(SHIPPED, PROFILE, defects=seeded) as station:
        bench = Bench(station)
        bench.cells.set(voltage_v=3.30)
        bench.set_temperature(25.0)
        bench.wait(0.5)
        bench.start()
        bench.mode("charge")
        bench.charge(1.2 * PROFILE.pack.max_charge_a)
        bench.wait(3.0)

        assert bench.record.charge_path.opened is opens
