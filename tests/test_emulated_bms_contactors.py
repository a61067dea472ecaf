"""Contactors of the emulated BMS: order, precharge, shedding, break rating, feedback, HVIL, host, supply."""

from __future__ import annotations

import pytest

from bench.emulated_bms.memory import Memory
from tests.emulated_board import CHARGE, MAIN_MINUS, MAIN_PLUS, PRECHARGE, PYRO, Board


def ready() -> Board:
    board = Board()
    board.run(0.5)
    board.bms.command(mode="standby")
    return board


def coils(board: Board, duration_s: float) -> list[tuple[int, ...]]:
    """The closed coils at each change, for a while."""
    seen = [tuple(board.port.coil.nonzero()[0].tolist())]
    for _ in range(round(duration_s * 100)):
        board.run(0.01)
        now = tuple(board.port.coil.nonzero()[0].tolist())
        if now != seen[-1]:
            seen.append(now)
    return seen


def test_drive_closes_minus_then_precharge_then_plus() -> None:
    board = ready()
    board.bms.command(mode="drive")

    order = coils(board, 3.0)

    assert order == [
        (),
        (MAIN_MINUS,),
        (MAIN_MINUS, PRECHARGE),
        (MAIN_MINUS, MAIN_PLUS, PRECHARGE),
        (MAIN_MINUS, MAIN_PLUS),
    ]


def test_charge_closes_the_charge_contactor_last_and_keeps_discharge_available() -> None:
    board = ready()
    board.bms.command(mode="charge")

    assert coils(board, 3.0)[-2:] == [(MAIN_MINUS, MAIN_PLUS), (MAIN_MINUS, MAIN_PLUS, CHARGE)]


def test_main_plus_closes_only_near_the_pack_voltage() -> None:
    board = ready()
    board.bms.command(mode="drive")

    board.until(lambda: bool(board.port.coil[MAIN_PLUS]), 3.0)

    assert board.port.link_v >= 0.94 * board.port.pack_v


def test_a_precharge_that_never_ends_is_tried_three_times_and_given_up() -> None:
    board = ready()
    board.held_feedback[PRECHARGE] = False
    board.bms.parameters.limits["contactor_feedback"].delay_ms = 10**9
    board.bms.command(mode="drive")

    starts = [c for c in coils(board, 12.0) if c == (MAIN_MINUS, PRECHARGE)]

    assert len(starts) == 3
    assert board.bms.alarms >= {"precharge_failed"}
    assert not board.port.coil.any()
    board.bms.command(mode="standby")
    board.bms.command(mode="drive")
    board.run(2.0)
    assert not board.port.coil.any()


def test_a_bus_that_rises_before_precharge_means_a_weld() -> None:
    board = ready()
    board.bms.command(mode="drive")
    board.until(lambda: bool(board.port.coil[MAIN_MINUS]), 1.0)
    board.run(0.02)

    for _ in range(20):
        board.port.link_v = board.port.pack_v
        board.run(0.01)

    assert "contactor_weld" in board.bms.alarms
    assert not board.port.coil.any()


def test_a_level_2_opening_asks_for_zero_current_and_waits_for_it() -> None:
    board = Board()
    board.closed("drive")
    board.set_current(-100.0)
    board.run(0.1)
    board.port.hvil_closed = False

    board.until(lambda: "hvil_open" in board.bms.alarms, 0.3)
    assert board.bms.derating.discharge_ma == 0
    assert board.port.coil[MAIN_PLUS]
    board.run(0.1)
    board.set_current(-5.0)
    assert board.until(lambda: not board.port.coil[MAIN_PLUS], 0.3) <= 0.02


def test_a_machine_that_does_not_let_go_is_opened_after_the_wait() -> None:
    board = Board()
    board.closed("drive")
    board.set_current(-100.0)
    board.run(0.1)
    board.port.hvil_closed = False

    board.until(lambda: "hvil_open" in board.bms.alarms, 0.3)

    assert board.until(lambda: not board.port.coil[MAIN_PLUS], 0.5) == pytest.approx(0.2, abs=0.02)


def test_a_level_3_opening_does_not_wait() -> None:
    board = Board()
    board.closed("drive")
    board.set_current(-900.0)

    board.until(lambda: "discharge_overcurrent_3" in board.bms.alarms, 0.3)

    assert board.until(lambda: not board.port.coil[MAIN_PLUS], 0.3) <= 0.01


def test_above_the_break_rating_the_pyro_goes_first() -> None:
    board = Board()
    board.closed("drive")
    board.set_current(-1700.0)

    board.until(lambda: bool(board.port.coil[PYRO]), 0.3)
    assert board.port.coil[MAIN_PLUS]
    board.run(0.05)
    assert abs(board.port.shunt_a) == 0.0
    assert not board.port.coil[MAIN_PLUS]


def test_main_minus_follows_the_path_contactors() -> None:
    board = Board()
    board.closed("drive")
    board.bms.command(mode="standby")

    assert coils(board, 1.0) == [(MAIN_MINUS, MAIN_PLUS), (MAIN_MINUS,), ()]
    assert board.bms.state.name == "STANDBY"


@pytest.mark.parametrize("switch", [MAIN_MINUS, MAIN_PLUS])
def test_a_contact_that_stays_closed_is_a_weld_and_the_next_close_is_refused(switch: int) -> None:
    board = Board()
    board.closed("drive")
    board.held_feedback[switch] = True
    board.bms.command(mode="standby")
    board.run(1.0)
    assert board.bms.alarms == {"contactor_weld"}
    assert board.bms.protections["contactor_weld"].index == switch

    board.bms.command(mode="drive", reset_fault=True)
    board.run(2.0)
    assert not board.port.coil.any()


def test_a_broken_auxiliary_wire_is_found_and_opens() -> None:
    board = Board()
    board.closed("drive")
    board.held_feedback[MAIN_PLUS] = False

    at_s = board.until(lambda: "contactor_feedback" in board.bms.alarms, 1.0)

    assert 0.3 <= at_s <= 0.35
    board.run(0.5)
    assert not board.port.coil.any()


def test_current_without_a_closed_path_is_reported() -> None:
    board = ready()
    board.sheds = False
    board.set_current(-20.0)

    at_s = board.until(lambda: "current_on_open_path" in board.bms.alarms, 1.0)

    assert 0.4 <= at_s <= 0.45


def test_regeneration_into_a_full_pack_is_stopped() -> None:
    board = Board()
    board.closed("drive")
    board.set_cells(3.62, 4)
    board.run(1.5)
    assert board.bms.derating.regen_ma == 0
    assert board.port.coil[MAIN_PLUS]

    board.set_current(+60.0)
    board.run(1.0)

    assert "current_on_open_path" in board.bms.alarms
    assert not board.port.coil[MAIN_PLUS]


def test_a_fault_is_not_left_by_the_standing_request() -> None:
    board = Board()
    board.closed("drive")
    board.port.hvil_closed = False
    board.run(1.0)
    board.port.hvil_closed = True
    for _ in range(50):
        board.bms.command(mode="drive")
        board.run(0.1)

    assert board.bms.state.name == "STANDBY"
    assert not board.port.coil.any()


def test_a_reboot_does_not_close_for_a_standing_request() -> None:
    board = Board()
    board.run(0.5)
    for _ in range(20):
        board.bms.command(mode="drive")
        board.run(0.1)

    assert board.bms.state.name == "STANDBY"


def test_a_supply_dip_drops_every_coil_and_the_memory_survives() -> None:
    memory = Memory()
    board = Board(memory=memory, soc=0.62, rtc_ms=5_000)
    board.closed("drive")
    board.set_current(-140.0)
    board.run(60.0)
    soc = board.bms.estimator.soc_permille
    board.port.supply_v = 7.0
    board.run(0.1)
    assert not board.port.coil.any()
    assert board.bms.state.name == "OFF"
    sent = len(board.frames)
    board.run(1.0)
    assert len(board.frames) == sent

    board.port.supply_v = 24.0
    board.run(0.5)

    assert board.bms.state.name == "STANDBY"
    assert abs(board.bms.estimator.soc_permille - soc) <= 1
    # Commissioned at 0.62; 140 A for a minute of 280 Ah is 0.83 %.
    assert soc == pytest.approx(612, abs=2)
    codes = [(e.code, e.stamp_ms) for e in memory.log or ()]
    assert [code for code, _ in codes[-4:]] == [34, 0xF3, 0xF0, 0xF1]
    assert codes[-1][1] - codes[0][1] > 60_000


def test_a_broken_memory_refuses_to_close() -> None:
    first = Board()
    first.run(1.5)
    first.bms.memory.charge_mams = 1
    again = Board(memory=first.bms.memory)
    again.run(1.0)
    assert again.bms.alarms == {"memory_fault"}

    again.bms.command(mode="standby")
    again.bms.command(mode="drive")
    again.run(2.0)
    assert not again.port.coil.any()
    again.bms.reset_faults()
    assert not again.bms.alarms
