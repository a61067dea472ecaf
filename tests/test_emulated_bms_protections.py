"""Protections of the emulated BMS: each acts in its window, holds below it, lets go where it should."""

from __future__ import annotations

import math

import pytest

from dut_profiles.profile import load_profile
from tests.emulated_board import Board

PROFILE = load_profile("hd_lfp_24s")


def stimulate(board: Board, name: str, value: float, where: int) -> None:
    """Put `value` (in the unit of the limit) where the limit `name` looks."""
    match PROFILE.limit(name).quantity:
        case "cell_voltage":
            board.set_cells(value, where)
        case "cell_spread":
            board.set_cells(3.3 + value, where)
        case "charge_current":
            board.set_current(value)
        case "discharge_current":
            board.set_current(-value)
        case "temperature":
            board.set_temperature(value, where % PROFILE.pack.sensors)
        case "temperature_spread":
            board.set_temperature(25.0 + value, where % PROFILE.pack.sensors)
        case "insulation":
            board.port.insulation_ohm[where % 2] = value * board.port.pack_v


def beyond(name: str, tolerances: float) -> float:
    """The trip level, moved outwards by so many tolerances."""
    limit = PROFILE.limit(name)
    return limit.trip + (1 if limit.side == "above" else -1) * tolerances * limit.tolerance


def busy(name: str) -> Board:
    """A BMS in charge, or in drive for limits of the discharge current, under way for a while."""
    board = Board()
    discharge = PROFILE.limit(name).quantity == "discharge_current"
    board.closed("drive" if discharge else "charge")
    return board


def tripped(board: Board, name: str) -> bool:
    return board.bms.protections[name].tripped


# The short circuit is the comparator's, and has its own test.
NAMES = [name for name in PROFILE.limits if name != "short_circuit"]


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_trips_within_its_window(name: str) -> None:
    limit = PROFILE.limit(name)
    board = busy(name)
    sampling_s = PROFILE.insulation.measuring_s if limit.quantity == "insulation" else 0.1

    stimulate(board, name, beyond(name, 1.5), 5)
    at_s = board.until(lambda: tripped(board, name), limit.delay_s + sampling_s + 1.0)

    latest_s = limit.delay_s + limit.delay_tolerance_s + sampling_s
    assert limit.delay_s - limit.delay_tolerance_s <= at_s <= latest_s
    assert name in board.bms.alarms


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_holds_just_inside_its_tolerance(name: str) -> None:
    board = busy(name)

    # Two tolerances inside: beyond what the converters of any board may add.
    stimulate(board, name, beyond(name, -2.0), 5)
    board.run(PROFILE.limit(name).delay_s * 2 + 1.0)

    assert not tripped(board, name)


@pytest.mark.parametrize("name", ["cell_overvoltage", "cell_undervoltage", "cell_overvoltage_lock"])
@pytest.mark.parametrize("cell", [0, 11, 12, 23])
def test_every_cell_is_watched_and_named(name: str, cell: int) -> None:
    board = busy(name)

    stimulate(board, name, beyond(name, 4.0), cell)
    board.run(1.5)

    assert tripped(board, name)
    assert board.bms.protections[name].index == cell


@pytest.mark.parametrize("sensor", range(8))
def test_every_sensor_is_watched_and_named(sensor: int) -> None:
    board = busy("charge_overtemperature")

    board.set_temperature(57.0, sensor)
    board.run(2.5)

    assert board.bms.protections["charge_overtemperature"].index == sensor
    assert board.bms.fault_index == sensor
    assert not board.port.coil[3]
    assert board.port.coil[1]


@pytest.mark.parametrize("pulse_s", [0.5, 0.9])
def test_a_pulse_shorter_than_the_delay_is_forgotten(pulse_s: float) -> None:
    board = busy("cell_overvoltage")

    for _ in range(4):
        board.set_cells(3.65, 3)
        board.run(pulse_s)
        board.set_cells(3.40, 3)
        board.run(0.2)

    assert not tripped(board, "cell_overvoltage")


def test_overvoltage_lets_go_at_its_release_and_the_charge_path_closes_once() -> None:
    board = busy("cell_overvoltage")
    board.set_cells(3.65, 3)
    board.run(1.5)
    assert not board.port.coil[3]

    board.set_cells(3.46, 3)
    board.run(5.0)
    assert tripped(board, "cell_overvoltage")
    assert not board.port.coil[3]

    board.set_cells(3.44, 3)
    board.run(2.5)
    assert not tripped(board, "cell_overvoltage")
    assert board.port.coil[3]


def test_undervoltage_opens_discharge_only_and_never_closes_it_by_itself() -> None:
    board = busy("cell_undervoltage")
    board.set_cells(2.45, 8)
    board.run(1.5)
    assert list(board.port.coil[:4]) == [True, False, False, True]

    board.set_cells(3.1, 8)
    board.run(5.0)
    assert not tripped(board, "cell_undervoltage")
    assert not board.port.coil[1]

    board.bms.command(mode="standby")
    board.run(1.0)
    board.bms.command(mode="drive")
    board.run(3.0)
    assert board.port.coil[1]


def test_a_latched_fault_waits_for_its_reset() -> None:
    board = busy("discharge_overcurrent_2")
    board.set_current(-450.0)
    board.run(1.5)
    assert board.bms.state.name == "FAULT"

    board.run(10.0)
    assert tripped(board, "discharge_overcurrent_2")

    board.bms.command(mode="drive", reset_fault=True)
    board.run(0.5)
    assert board.bms.state.name == "STANDBY"
    assert not board.bms.alarms


def test_a_lock_ignores_the_users_reset_and_survives_a_reboot() -> None:
    board = busy("cell_overvoltage_lock")
    board.set_cells(3.80, 2)
    board.run(0.5)
    board.set_cells(3.30, 2)
    board.run(2.0)
    board.bms.reset_faults()
    assert board.bms.state.name == "LOCKED"

    again = Board(memory=board.bms.memory)
    again.run(1.0)
    assert again.bms.state.name == "LOCKED"
    again.bms.command(mode="standby")
    again.bms.command(mode="drive")
    again.run(2.0)
    assert not again.port.coil.any()

    again.bms.service_reset()
    again.run(0.1)
    assert again.bms.state.name == "STANDBY"


def test_a_service_reset_does_nothing_while_the_cause_is_there() -> None:
    board = busy("cell_overvoltage_lock")
    board.set_cells(3.80, 2)
    board.run(0.5)

    board.bms.service_reset()
    board.run(0.1)

    assert board.bms.state.name == "LOCKED"


def test_the_comparator_registers_come_from_the_profile() -> None:
    board = Board()
    board.run(0.1)

    assert board.port.comparator_threshold_a == 2000.0
    assert math.isclose(board.port.comparator_delay_s, 300e-6)


def test_a_tripped_comparator_locks() -> None:
    board = busy("short_circuit")

    board.port.comparator_tripped = True
    board.port.feedback[4] = False
    board.set_current(0.0)
    board.run(0.05)

    assert board.bms.alarms == {"short_circuit"}
    assert board.bms.state.name == "LOCKED"
    assert not board.port.coil[1]


def test_charging_current_while_driving_is_charge_overcurrent() -> None:
    board = Board()
    board.closed("drive")

    board.set_current(+170.0)
    board.run(1.2)

    assert tripped(board, "charge_overcurrent")
    assert not tripped(board, "discharge_overcurrent_1")


def test_a_warning_opens_nothing() -> None:
    board = busy("cell_overvoltage_warning")

    board.set_cells(3.57, 6)
    board.run(5.0)

    assert board.bms.alarms == {"cell_overvoltage_warning"}
    assert list(board.port.coil[:4]) == [True, True, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_every_board_keeps_the_trip_tolerance(seed: int) -> None:
    board = Board(seed=seed)
    board.closed("charge")
    tolerance_v = PROFILE.limit("cell_overvoltage").tolerance

    board.set_cells(3.60 - tolerance_v, 9)
    board.run(3.0)
    assert not tripped(board, "cell_overvoltage")
    board.set_cells(3.60 + tolerance_v, 9)
    board.run(1.1)
    assert tripped(board, "cell_overvoltage")
