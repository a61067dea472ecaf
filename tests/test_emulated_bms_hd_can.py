"""Frames of the emulated BMS against docs/reference/hd_can.md, read bit by bit, and host commands."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.emulated_bms.frames import crc8
from tests.emulated_board import Board

MODES = {"standby": 1, "drive": 3, "charge": 4}


def bits(data: bytes, start: int, length: int, *, signed: bool = False) -> int:
    """A little-endian signal, by its start bit."""
    raw = int.from_bytes(data, "little") >> start & (1 << length) - 1
    return raw - (1 << length) if signed and raw >> length - 1 else raw


def crc_bit_by_bit(data: bytes) -> int:
    """CRC-8 SAE J1850 without a table."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def newest(board: Board, can_id: int, group: int | None = None) -> bytes:
    return next(
        data for i, data in reversed(board.frames) if i == can_id and (group is None or data[0] == group)
    )


def host_command(mode: int, counter: int, *, reset: bool = False, balancing: bool = True) -> bytes:
    head = bytes((mode | reset << 4 | balancing << 5, 0, 0, 0, 0, 0, counter << 4))
    return head + bytes((crc_bit_by_bit(bytes((0x00, 0x02)) + head),))


def test_the_check_value_of_the_crc_catalogue() -> None:
    assert crc8(b"123456789") == 0x4B


def test_a_whole_frame_by_hand() -> None:
    """Limits at 25 °C and 3.3 V: 140.0 A, 280.0 A, 140.0 A in steps of 0.5 A, 85.20 V in steps of 0.01 V."""
    board = Board()
    board.run(0.35)
    limits = newest(board, 0x302)
    counter = limits[6] >> 4

    # 280 = 0x118, 560 = 0x230, 280 = 0x118, 8520 = 0x2148: nibbles from bit 0 are 811 032 811 8412.
    assert limits[:6] == bytes.fromhex("18 01 23 18 81 14")
    assert limits[6] == 0x02 | counter << 4
    assert limits[7] == crc_bit_by_bit(bytes((0x02, 0x03)) + limits[:7])


def test_every_protected_frame_has_its_check_and_a_rolling_counter() -> None:
    board = Board()
    board.run(3.0)
    counters: dict[int, list[int]] = {}
    for can_id, data in board.frames:
        assert len(data) == 8
        assert data[7] == crc_bit_by_bit(bytes((can_id & 0xFF, can_id >> 8)) + data[:7])
        counters.setdefault(can_id, []).append(data[6] >> 4)

    assert set(counters) == {*range(0x300, 0x309), 0x310, 0x311}
    for values in counters.values():
        assert all((b - a) % 16 == 1 for a, b in pairwise(values))


def test_one_broadcast_per_100_ms_with_all_groups() -> None:
    board = Board()
    board.run(1.0)

    per_id = {can_id: sum(1 for i, _ in board.frames if i == can_id) for can_id in (0x300, 0x310, 0x311)}

    assert per_id == {0x300: 10, 0x310: 80, 0x311: 30}


def test_each_cell_is_in_its_own_slot() -> None:
    board = Board()
    for cell in range(24):
        board.set_cells(3.0 + 0.01 * cell, cell)
    board.run(0.3)

    for cell in range(24):
        data = newest(board, 0x310, cell // 3)
        assert bits(data, 8 + 13 * (cell % 3), 13) == pytest.approx(3000 + 10 * cell, abs=4)


def test_each_sensor_is_in_its_own_slot_and_cold_is_negative() -> None:
    board = Board()
    for sensor in range(8):
        board.set_temperature(-20.0 + 5.0 * sensor, sensor)
    board.run(0.4)

    for sensor in range(8):
        data = newest(board, 0x311, sensor // 3)
        value = bits(data, 8 + 12 * (sensor % 3), 12, signed=True)
        assert value == pytest.approx(-200 + 50 * sensor, abs=8)
    # Nine slots for eight sensors.
    assert bits(newest(board, 0x311, 2), 32, 12) == 0x800
    extremes = newest(board, 0x305)
    assert (bits(extremes, 12, 8), bits(extremes, 32, 8)) == (7, 0)
    assert bits(extremes, 40, 12, signed=True) == 300


def test_pack_values_and_state() -> None:
    board = Board(soc=0.5)
    board.closed("drive")
    board.set_current(-123.45)
    board.run(0.3)
    values, state = newest(board, 0x301), newest(board, 0x300)

    assert bits(values, 0, 16) == pytest.approx(7920, rel=0.01)
    assert bits(values, 16, 20, signed=True) == pytest.approx(-12345, abs=160)
    assert bits(values, 36, 16) == pytest.approx(7920, rel=0.01)
    assert bits(state, 0, 4) == 3
    # main_minus, main_plus closed; precharge, charge open; pyro intact; HVIL closed; both allowed.
    assert bits(state, 4, 5) == 0b00011
    assert bits(state, 12, 3) == 0b111
    assert bits(state, 16, 10) == pytest.approx(500, abs=1)
    assert bits(state, 26, 10) == 1000
    assert bits(state, 36, 8) == 0xFF


def test_alarms_and_the_index_of_the_newest_trip() -> None:
    board = Board()
    board.closed("charge")
    board.set_cells(3.65, 17)
    board.run(1.5)

    assert bits(newest(board, 0x303), 0, 52) == 0b11
    state = newest(board, 0x300)
    assert bits(state, 36, 8) == 17
    assert bits(state, 13, 2) == 0b10
    assert bits(newest(board, 0x302), 0, 12) == 0


def test_what_is_not_available_is_sent_as_such() -> None:
    board = Board()
    board.port.ntc_v[4] = 5.0
    board.port.cell_v[:] = 3.3
    board.open_tap = 10
    board.run(2.5)

    assert bits(newest(board, 0x311, 1), 8 + 12, 12) == 0x800
    # Tap 10 lies between cells 9 and 10.
    assert bits(newest(board, 0x310, 3), 8, 13) == 0x1FFF
    assert bits(newest(board, 0x310, 3), 21, 13) == 0x1FFF
    assert bits(newest(board, 0x310, 3), 34, 13) == pytest.approx(3300, abs=4)


def test_host_commands_move_the_bms() -> None:
    board = Board()
    board.run(0.5)
    for counter in range(30):
        board.bms.receive(0x200, host_command(MODES["standby" if counter < 3 else "drive"], counter % 16))
        board.run(0.1)

    assert board.bms.state.name == "DRIVE"
    assert not board.bms.alarms


def spoiled(kind: str, counter: int) -> bytes:
    good = host_command(MODES["drive"], counter)
    if kind == "crc":
        return good[:7] + bytes((good[7] ^ 1,))
    if kind == "counter":
        return host_command(MODES["drive"], 2)
    if kind == "mode":
        return host_command(2, counter)
    return good[:6]


@pytest.mark.parametrize("kind", ["crc", "counter", "mode", "length"])
def test_a_command_that_cannot_be_believed_is_not_used(kind: str) -> None:
    board = Board()
    board.run(0.5)
    for counter in range(3):
        board.bms.receive(0x200, host_command(MODES["standby"], counter))
        board.run(0.1)

    for counter in range(3, 6):
        board.bms.receive(0x200, spoiled(kind, counter))
        board.run(0.1)

    assert board.bms.state.name == "STANDBY"
    assert board.bms.alarms == {"host_frame_rejected"}


def test_a_silent_host_opens_both_paths_after_its_timeout() -> None:
    board = Board()
    board.run(0.5)
    for counter in range(40):
        board.bms.receive(0x200, host_command(MODES["standby" if counter < 3 else "charge"], counter % 16))
        board.run(0.1)
    assert board.bms.state.name == "CHARGE"

    # 0.1 s of silence have passed in the loop already.
    at_s = 0.1 + board.until(lambda: "host_timeout" in board.bms.alarms, 2.0)
    board.run(0.5)

    assert 1.0 <= at_s <= 1.05
    assert not board.port.coil.any()
    board.bms.receive(0x200, host_command(MODES["standby"], 15))
    board.run(0.2)
    assert not board.bms.alarms


def test_a_held_reset_bit_resets_once() -> None:
    board = Board()
    board.run(0.5)
    resets: list[int] = []
    board.bms.reset_faults = lambda: resets.append(board.now_ms)
    for counter in range(10):
        board.bms.receive(0x200, host_command(1, counter, reset=2 <= counter < 7))
        board.run(0.1)

    assert len(resets) == 1


def read_log(board: Board, first: int, number: int) -> dict[int, dict[int, bytes]]:
    """The parts of each entry that come back."""
    board.frames.clear()
    board.bms.receive(0x202, bytes((first, number, 0, 0, 0, 0, 0, 0)))
    board.run(2.0)
    entries: dict[int, dict[int, bytes]] = {}
    for can_id, data in board.frames:
        if can_id == 0x320:
            entries.setdefault(data[1], {})[data[0]] = data[2:]
    return entries


def test_a_trip_is_logged_with_the_values_of_the_trip() -> None:
    board = Board(rtc_ms=1_000_000)
    board.closed("charge")
    board.set_current(100.0)
    board.set_cells(3.62, 17)
    board.until(lambda: "cell_overvoltage" in board.bms.alarms, 2.0)
    at_ms = 1_000_000 + board.now_ms
    board.run(2.0)
    assert board.port.shunt_a == 0.0 or not board.port.coil[3]
    board.set_cells(3.3)
    kept = len(board.bms.log)

    entries = read_log(board, 0, 40)
    entry = next(parts for parts in entries.values() if parts[0][2] == 1 and parts[0][5] == 0)

    assert all(set(parts) == {0, 1, 2, 3, 4} for parts in entries.values())
    assert bits(entry[0], 0, 16) == kept
    assert tuple(entry[0][2:]) == (1, 17, 2, 0)
    assert int.from_bytes(entry[1], "little") == at_ms
    assert bits(entry[2], 0, 24, signed=True) == pytest.approx(10_000, abs=130)
    assert bits(entry[2], 24, 16) == pytest.approx((23 * 330 + 362), rel=0.01)
    assert entry[2][5] == 100
    assert bits(entry[3], 0, 16) == pytest.approx(3620, abs=4)
    assert entry[3][4] == 17
    assert bits(entry[4], 0, 16, signed=True) == pytest.approx(250, abs=8)
    assert entry[4][4:] == bytes((0b1011, 4))


def test_a_full_log_drops_the_oldest_and_counts_right() -> None:
    board = Board()
    board.run(0.5)
    for k in range(300):
        board.bms.record(0xF1, level=k % 3)
    assert len(board.bms.log) == 256

    board.bms.record(0xF2)
    entries = read_log(board, 250, 10)

    assert sorted(entries) == [250, 251, 252, 253, 254, 255]
    assert entries[255][0][2] == 0xF2
    assert bits(entries[255][0], 0, 16) == 256
    assert board.bms.log.total == len(board.bms.log) + 303 - 256


def test_a_power_cut_while_reading_tears_nothing() -> None:
    board = Board()
    board.run(0.5)
    for _ in range(20):
        board.bms.record(0xF1)
    board.bms.receive(0x202, bytes((0, 20, 0, 0, 0, 0, 0, 0)))
    board.run(0.03)
    board.port.supply_v = 0.0
    board.run(0.2)
    board.port.supply_v = 24.0
    board.run(0.5)

    log = list(board.bms.log)

    assert [entry.code for entry in log[-4:]] == [34, 0xF3, 0xF0, 0xF1]
    assert [entry.stamp_ms for entry in log] == sorted(entry.stamp_ms for entry in log)


def test_the_service_reset_needs_its_key() -> None:
    board = Board()
    board.closed("charge")
    board.set_cells(3.80, 2)
    board.run(0.5)
    board.set_cells(3.3, 2)
    board.run(3.0)

    board.bms.receive(0x203, bytes.fromhex("B51E5E471CE00F02"))
    board.run(0.1)
    assert board.bms.state.name == "LOCKED"
    board.bms.receive(0x203, bytes.fromhex("B51E5E471CE00F01"))
    board.run(0.1)
    assert board.bms.state.name == "STANDBY"


def test_a_filter_may_hold_a_frame_back() -> None:
    board = Board()
    board.bms.frames.filter(lambda can_id, data: None if can_id == 0x303 else data)
    board.run(0.5)

    assert not any(can_id == 0x303 for can_id, _ in board.frames)
