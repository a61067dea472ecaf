"""Functions of the emulated BMS: balancing, wiring diagnosis, derating, thermal, state of charge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.emulated_bms.ocv import interpolate
from bench.emulated_bms.parameters import parameters_of
from dut_profiles.profile import load_profile
from tests.emulated_board import Board, ntc_volts


def balancing(*, cells: dict[int, float], rest_v: float = 3.42) -> Board:
    board = Board()
    board.bleed_drop_v = 0.02
    board.set_cells(rest_v)
    for cell, voltage_v in cells.items():
        board.set_cells(voltage_v, cell)
    board.run(3.5)
    return board


def bleeding(board: Board) -> list[int]:
    return [int(k) for k in board.port.bleed.nonzero()[0]]


def test_only_the_high_cell_bleeds_nearly_all_the_time() -> None:
    board = balancing(cells={6: 3.45})
    seen = []
    for _ in range(500):
        board.run(0.01)
        seen.append(bleeding(board))

    assert {tuple(k) for k in seen} == {(), (6,)}
    assert seen.count([6]) >= 0.95 * len(seen)


def test_readings_are_not_falsified_by_bleeding() -> None:
    board = balancing(cells={6: 3.45})
    readings = []
    for _ in range(300):
        board.run(0.01)
        readings.append(board.bms.readings.cell_mv.value[6])

    # Without correction it would read 20 mV less while bleeding.
    assert min(readings) >= 3446
    assert max(readings) <= 3454


def test_odd_and_even_cells_take_turns() -> None:
    board = balancing(cells={3: 3.45, 8: 3.45, 9: 3.45})
    seen = set()
    for _ in range(300):
        board.run(0.01)
        seen.add(tuple(bleeding(board)))

    assert seen == {(), (8,), (3, 9)}


def test_no_more_channels_than_declared() -> None:
    board = Board()
    board.bms.parameters.balancing.max_channels = 4
    board.set_cells(3.45)
    board.set_cells(3.42, 0)
    most = 0
    for _ in range(500):
        board.run(0.01)
        most = max(most, len(bleeding(board)))

    assert most == 4


def test_bleeding_starts_at_its_spread_and_ends_at_another() -> None:
    board = balancing(cells={6: 3.42 + 0.010})
    assert not bleeding(board)

    board.set_cells(3.42 + 0.022, 6)
    board.run(2.0)
    assert bleeding(board) == [6]

    board.set_cells(3.42 + 0.010, 6)
    board.run(3.05)
    assert bleeding(board) == [6]

    board.set_cells(3.42 + 0.001, 6)
    board.run(3.05)
    assert not bleeding(board)


@pytest.mark.parametrize("why", ["low", "drive", "hot", "fault", "current", "host"])
def test_nothing_bleeds_where_it_may_not(why: str) -> None:
    board = Board()
    board.set_cells(3.42 if why != "low" else 3.35)
    board.set_cells(3.45 if why != "low" else 3.39, 6)
    if why == "drive":
        board.closed("drive")
    board.run(3.0)
    if why == "hot":
        board.set_temperature(51.0, 2)
    if why == "fault":
        board.port.hvil_closed = False
    if why == "current":
        board.sheds = False
        board.set_current(-12.0)
        board.bms.protections["current_on_open_path"].enabled = False
    if why == "host":
        board.bms.command(mode="standby", balancing_enable=False)
    board.run(1.1)

    assert not bleeding(board)


@pytest.mark.parametrize("tap", [0, 1, 12, 23, 24])
def test_an_open_sense_wire_is_found_and_named(tap: int) -> None:
    board = Board()
    board.closed("drive")
    board.run(1.0)
    board.open_tap = tap

    at_s = board.until(lambda: "open_sense_wire" in board.bms.alarms, 3.0)
    board.run(0.5)

    assert at_s <= 2.0
    assert board.bms.open_wire.open_taps == [tap]
    # Named by the cell above it; the topmost wire by the cell below.
    assert board.bms.fault_index == min(tap, 23)
    assert board.bms.alarms == {"open_sense_wire"}
    assert not board.port.coil.any()


def test_a_step_of_a_cell_during_the_test_is_not_an_open_wire() -> None:
    for delay in range(0, 120, 10):
        board = Board()
        board.run(1.0 + delay / 1000)
        board.set_cells(3.30 - 0.5, 23)
        board.set_cells(3.30 + 0.25, 5)
        board.run(1.5)

        assert not board.bms.open_wire.open_taps


def test_a_repaired_wire_is_believed_and_the_fault_waits_for_its_reset() -> None:
    board = Board()
    board.open_tap = 5
    board.run(2.5)
    board.open_tap = None
    board.run(5.0)
    assert board.bms.alarms == {"open_sense_wire"}
    assert board.bms.open_wire.masked == ()

    board.bms.reset_faults()

    assert not board.bms.alarms


@pytest.mark.parametrize("volts", [5.0, 0.0])
def test_a_lost_thermistor_is_found_within_a_second(volts: float) -> None:
    board = Board()
    board.run(1.0)
    board.port.ntc_v[6] = volts

    assert board.until(lambda: "thermistor_fault" in board.bms.alarms, 2.0) <= 1.0
    assert board.bms.fault_index == 6


def test_a_pack_voltage_that_does_not_fit_is_found() -> None:
    board = Board()
    board.run(1.0)
    board.bms.readings.pack_mv.filter(lambda mv: mv * 97 // 100)

    assert 1.0 <= board.until(lambda: "sum_of_cells" in board.bms.alarms, 3.0) <= 2.0


def test_a_frozen_cell_is_found_and_a_sound_pack_at_rest_is_not() -> None:
    board = Board()
    board.run(70.0)
    assert not board.bms.alarms

    board.bms.readings.cell_mv.filter(lambda cell_mv: [*cell_mv[:9], 3300, *cell_mv[10:]])
    at_s = board.until(lambda: "frozen_cell" in board.bms.alarms, 70.0)

    assert at_s <= 60.0
    assert board.bms.fault_index == 9


def respond(board: Board, current_a: float) -> None:
    """Load step of a pack with 0.36 mOhm per cell."""
    board.set_cells(3.3 + current_a * 0.36e-3)
    board.set_current(current_a)


def test_a_current_sensor_that_goes_dead_under_load_is_found() -> None:
    board = Board()
    board.closed("drive")
    respond(board, -100.0)
    board.run(2.0)
    board.set_current(0.0)

    assert board.until(lambda: "current_sensor" in board.bms.alarms, 2.0) <= 1.0


def test_a_load_that_is_switched_off_is_no_dead_sensor() -> None:
    board = Board()
    board.closed("drive")
    for current_a in (-100.0, 0.0, -200.0, 0.0, -50.0, 0.0):
        respond(board, current_a)
        board.run(1.0)

    assert not board.bms.alarms


def test_cells_that_never_respond_raise_nothing() -> None:
    board = Board()
    board.closed("drive")
    for current_a in (-100.0, 0.0, -200.0, 0.0, -50.0, 0.0):
        board.set_current(current_a)
        board.run(1.0)

    assert not board.bms.alarms


@pytest.mark.parametrize(
    ("degc", "charge_a", "discharge_a"),
    # Half way between the profile's points: at 47.5 °C 0.75 to 0.50 for charge, 1.00 to 0.80 for discharge.
    [(25.0, 140.0, 280.0), (47.5, 87.5, 252.0), (52.5, 35.0, 168.0), (7.5, 49.0, 252.0), (-10.0, 0.0, 84.0)],
)
def test_limits_follow_the_derating_tables(degc: float, charge_a: float, discharge_a: float) -> None:
    board = Board()
    board.set_temperature(degc)
    board.run(0.5)

    assert board.bms.derating.charge_ma / 1000 == pytest.approx(charge_a, abs=0.05 * 140.0)
    assert board.bms.derating.discharge_ma / 1000 == pytest.approx(discharge_a, abs=0.05 * 280.0)


def test_the_charge_limit_is_zero_where_the_warning_begins() -> None:
    board = Board()
    board.closed("charge")
    board.set_cells(3.50, 3)
    board.run(0.3)
    assert board.bms.derating.charge_ma == pytest.approx(70_000, abs=7_000)

    board.set_cells(3.553, 3)
    board.run(0.3)
    assert board.bms.derating.charge_ma == 0


def test_interpolation_rounds_and_holds() -> None:
    assert [interpolate(x, [0, 10], [0, 100]) for x in (-5, 0, 3, 10, 99)] == [0, 0, 30, 100, 100]
    assert interpolate(5, [0, 10], [1000, 0]) == 500


def test_a_fan_that_does_not_turn_is_reported() -> None:
    board = Board()
    board.set_temperature(42.0)
    board.run(2.0)
    assert board.port.fan > 0.3

    board.run(3.0)
    assert board.bms.alarms == {"cooling_failure"}
    board.port.fan_rpm = 3000.0
    board.run(2.0)
    assert not board.bms.alarms


def test_a_cold_pack_in_use_is_heated_until_it_is_warm_enough() -> None:
    board = Board()
    board.closed("drive")
    board.set_temperature(2.0)
    board.run(2.0)
    assert board.port.heater
    board.set_temperature(12.0)
    board.run(2.0)
    assert not board.port.heater


def test_fan_and_heater_follow_what_a_profile_declares() -> None:
    sound = load_profile("hd_lfp_24s")
    declared = sound.thermal_management.model_copy(
        update={
            "cooling_on_degc": 45.0,
            "cooling_off_degc": 40.0,
            "heating_on_degc": -5.0,
            "heating_hottest_degc": None,
            "heating_modes": ["charge"],
        }
    )

    thermal = parameters_of(sound.model_copy(update={"thermal_management": declared})).thermal
    silent = parameters_of(sound.model_copy(update={"thermal_management": None})).thermal

    assert (thermal.fan_start_ddegc, thermal.fan_full_ddegc, thermal.fan_hysteresis_ddegc) == (450, 550, 50)
    assert (thermal.heater_on_ddegc, thermal.heater_off_ddegc) == (-50, 100)
    assert thermal.heater_hottest_ddegc > 1500
    assert thermal.heater_modes == {"charge"}
    assert silent == parameters_of(sound).thermal, "what the shipped profiles declare is the default"


@pytest.mark.parametrize(("cell_v", "expected"), [(2.6, True), (3.3, False)])
def test_runaway_is_a_rise_together_with_a_falling_cell(cell_v: float, expected: bool) -> None:
    board = Board()
    board.closed("drive")
    board.set_cells(cell_v, 7)
    for tick in range(600):
        board.port.ntc_v[2] = ntc_volts(board.profile, 25.0 + 0.012 * tick)
        board.run(0.01)

    assert ("thermal_runaway" in board.bms.alarms) is expected
    assert (board.bms.state.name == "LOCKED") is expected


def test_charge_is_counted_within_the_accuracy_of_the_shunt() -> None:
    board = Board(soc=0.8)
    board.closed("drive")
    board.set_current(-140.0)
    board.run(360.0)

    # 14 Ah of 280 Ah are 5 %.
    estimator = board.bms.estimator
    assert estimator.soc_permille == pytest.approx(750, abs=1)
    assert estimator.discharged_mams / 3.6e9 == pytest.approx(14.0, abs=0.1)
    assert estimator.remaining_mah == pytest.approx(210_000, abs=300)


def second_by_second(board: Board, duration_s: int) -> list[int]:
    """Pass rest hours quickly: the task of one second alone, as the ticks would run it."""
    seen = []
    for _ in range(duration_s):
        board.bms.estimator.run()
        seen.append(board.bms.estimator.soc_permille)
    return seen


def test_a_wrong_start_converges_after_a_rest_without_a_jump() -> None:
    board = Board(soc=0.30)
    # The OCV table has 3167 mV at 10 % after discharging.
    board.set_cells(3.167)
    board.run(1.0)

    soc = second_by_second(board, 900)

    assert soc[590] == 300
    assert soc[-1] == pytest.approx(100, abs=10)
    assert max(abs(np.diff(soc))) <= 20


def test_a_rest_in_the_flat_zone_corrects_nothing() -> None:
    board = Board(soc=0.40)
    board.set_cells(3.31)
    board.run(1.0)

    assert set(second_by_second(board, 2000)) == {400}


def test_a_tapered_charge_anchors_full() -> None:
    board = Board(soc=0.95)
    board.closed("charge")
    board.set_cells(3.54)
    board.set_current(8.0)
    board.run(0.2)

    assert second_by_second(board, 60)[-1] == 1000


def test_two_anchors_give_the_capacity() -> None:
    board = Board(soc=1.0)
    board.run(0.5)
    estimator = board.bms.estimator
    estimator.set_target(1000)
    # A pack of 224 Ah (80 %) is empty after 201.6 Ah, at 10 %.
    estimator.charge_mams -= round(201.6 * 3.6e9)
    estimator.set_target(100)

    # Half the way from 280 Ah to 224 Ah.
    assert estimator.capacity_mah == pytest.approx(252_000, abs=100)
    assert estimator.soh_permille == pytest.approx(900, abs=1)


def test_promised_power_falls_with_cold_and_with_a_weak_cell() -> None:
    board = Board()
    board.run(1.5)
    warm = board.bms.estimator.discharge_10s_w
    board.set_temperature(-5.0)
    board.run(1.5)
    cold = board.bms.estimator.discharge_10s_w
    board.set_cells(2.75, 4)
    board.run(1.5)

    assert warm > cold > board.bms.estimator.discharge_10s_w > 0


def test_converters_stay_inside_the_declared_accuracy() -> None:
    for seed in range(10):
        board = Board(seed=seed)
        board.set_cells(3.65)
        board.run(0.5)
        cell_mv = np.array(board.bms.readings.cell_mv.value)
        assert np.abs(cell_mv - 3650).max() <= 5
        board.sheds = False
        board.set_current(-250.0)
        board.run(0.1)
        assert abs(board.bms.readings.current_ma.value + 250_000) <= 1000 + 0.005 * 250_000
        assert np.abs(np.array(board.bms.readings.temperature_ddegc.value) - 250).max() <= 10


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = Board(seed=4), Board(seed=4), Board(seed=5)
    for board in (first, again, other):
        board.run(2.0)

    assert first.frames == again.frames
    assert first.frames != other.frames


@pytest.mark.parametrize("volts", [math.nan, -1.0])
def test_an_input_that_no_cell_can_have_is_not_available(volts: float) -> None:
    board = Board()
    board.set_cells(volts, 3)
    board.run(1.5)

    assert board.bms.readings.cell_mv.value[3] == -32768
    assert "afe_fault" in board.bms.alarms
    assert board.bms.protections["afe_fault"].index == 3
    assert "cell_undervoltage_lock" not in board.bms.alarms
