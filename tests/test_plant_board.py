"""A board without a pack: inputs are what instruments hold, and nothing in it can move energy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.plant import Plant, PlantSpec

SPEC = PlantSpec(
    cells=4, board=True, sensor_cells=(0, 2), bus_capacitance_f=10e-6, bus_leak_ohm=100e3, shunt_ohm=50e-6
)


@pytest.fixture
def board() -> Plant:
    """A board with 3.3 V on every cell and 2.5 V on every thermistor input."""
    plant = Plant(SPEC)
    cells, thermistors = plant.terminal("cells"), plant.terminal("thermistors")
    cells.connected[:], cells.voltage_v[:] = True, 3.3
    thermistors.connected[:], thermistors.voltage_v[:] = True, 2.5
    plant.terminal("shunt").connected = True
    plant.step(0.01)
    return plant


def test_behind_inputs_that_nobody_holds_is_nothing() -> None:
    plant = Plant(SPEC)

    plant.step(0.1)

    assert plant.port.cell_v == pytest.approx(np.zeros(4))
    assert plant.port.ntc_v == pytest.approx(np.full(2, 5.0))  # the pull-up alone
    assert (plant.port.pack_v, plant.port.shunt_a) == (0.0, 0.0)


def test_a_cell_that_is_let_go_of_floats_to_nothing_and_the_others_stay(board: Plant) -> None:
    board.terminal("cells").connected[1] = False

    for _ in range(1000):
        board.step(0.01)

    # 47 nF into 20 Mohm: ten seconds are ten time constants.
    assert board.port.cell_v == pytest.approx([3.3, 0.0, 3.3, 3.3], abs=0.001)


def test_the_board_sees_a_current_that_does_not_flow(board: Plant) -> None:
    board.terminal("shunt").voltage_v = -5e-3
    board.port.coil[:2] = True

    for _ in range(100):
        board.step(0.01)

    assert board.port.shunt_a == board.port.shunt_mean_a == pytest.approx(-100.0)
    assert board.terminal("meter").current_a == pytest.approx(-100.0)
    # Only the voltage inputs hang on the stack: 13.2 V over 100 kohm, behind 10 µF.
    assert abs(board.truth.cell_a).max() == 0.0
    assert board.truth.energy_j["charger"] == board.truth.energy_j["chemical"] == 0.0
    assert board.truth.charge_ah == pytest.approx(0.0, abs=1e-6)


def test_the_bench_and_the_board_see_the_contacts_of_the_relays(board: Plant) -> None:
    board.port.coil[0] = True

    board.step(0.01)

    # A relay needs 25 ms to close.
    assert board.terminal("meter").switch_closed.tolist() == [False, False, False, False, True]
    board.step(0.05)
    assert board.terminal("meter").switch_closed.tolist() == [True, False, False, False, True]
    assert board.port.feedback.tolist() == [True, False, False, False, True]


def test_a_broken_shunt_wire_is_a_current_of_zero(board: Plant) -> None:
    board.terminal("shunt").voltage_v = 5e-3
    board.terminal("faults").set("current_sensor_open", True)

    board.step(0.01)

    assert board.port.shunt_a == 0.0
    assert board.terminal("meter").current_a == pytest.approx(100.0)


@pytest.mark.parametrize(("current_a", "trips"), [(-2999.0, False), (-3001.0, True), (3001.0, False)])
def test_the_comparator_watches_the_signal(board: Plant, current_a: float, trips: bool) -> None:
    board.port.comparator_threshold_a, board.port.comparator_delay_s = 3000.0, 100e-6
    board.step(0.01)
    began_s = board.time_s

    board.terminal("shunt").voltage_v = current_a * 50e-6
    board.step(0.01)
    board.step(0.01)

    assert board.port.comparator_tripped is trips
    expected_s = began_s + 100e-6 if trips else math.nan
    assert board.port.comparator_trip_s == pytest.approx(expected_s, nan_ok=True)
    assert board.port.feedback[4] == (not trips)  # it fires the pyro switch by itself


def test_the_comparator_stays_tripped_until_it_is_reset(board: Plant) -> None:
    board.port.comparator_threshold_a = 100.0
    board.terminal("shunt").voltage_v = -0.01
    board.step(0.01)
    board.terminal("shunt").voltage_v = 0.0
    board.step(0.01)
    assert board.port.comparator_tripped

    board.port.comparator_reset = True
    board.step(0.01)

    assert not board.port.comparator_tripped


def test_there_is_no_power_path_to_be_wired_to(board: Plant) -> None:
    for name in ("charger", "regen", "load", "chamber", "thermocouples"):
        with pytest.raises(KeyError, match="cells, thermistors, faults, meter, auxiliary, shunt"):
            board.terminal(name)
