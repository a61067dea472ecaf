"""The emulated BMS behind Daly A5: its bytes against captures, and the whole way from host to contactor."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.dut import open_dut
from bench.emulated_bms.bms import EmulatedBms
from bench.emulated_bms.daly_front import DalyFront
from bench.wires.serial import TwinSerial
from dut_profiles.profile import load_profile
from dut_profiles.protocols import daly_uart_a5 as daly
from tests.emulated_board import Board

PROFILE = load_profile("hd_lfp_24s_daly")


def reading(value):
    return SimpleNamespace(value=value)


@pytest.fixture
def bms():
    """What the 16-cell pack of jblance/mpp-solar's captures had to tell."""
    cells = [3325] + [3326] * 9 + [3324, 3326, 3326, 3327, 3326, 3324]
    return SimpleNamespace(
        powered=True,
        ready=True,
        cells=16,
        alarms=frozenset(),
        readings=SimpleNamespace(
            pack_mv=reading(53_200),
            charger_mv=reading(0),
            current_ma=reading(-2100),
            cell_mv=reading(cells),
            temperature_ddegc=reading([150]),
            feedback=reading([True, True, False, True, True]),
        ),
        seen=SimpleNamespace(
            highest_mv=3328, highest_index=14, lowest_mv=3326, lowest_index=0,
            hottest_ddegc=150, hottest_index=0, coldest_ddegc=150, coldest_index=0,
        ),
        estimator=SimpleNamespace(soc_permille=888, remaining_mah=248_640, cycles_tenths=31),
        outputs=SimpleNamespace(bleed=reading([False] * 16)),
    )  # fmt: skip


@pytest.fixture
def front(bms):
    return DalyFront(bms, all_slots=True)


def asked(front, command, **values) -> str:
    reply = front.handle(daly.request(command, values))
    assert reply is not None
    return reply.data.hex(" ").upper()


def captured(start: str) -> str:
    (found,) = [e.told.hex(" ").upper() for e in daly.EXCHANGES if e.told.hex(" ").upper().startswith(start)]
    return found


def test_pack_values_are_told_as_captured(front):
    assert asked(front, 0x90) == captured("A5 01 90 08 02 14")


@pytest.mark.parametrize("command", [0x91, 0x92])
def test_extremes_are_told_as_captured(front, command):
    # The capture ends with what was left in the buffer (FE 01 03 78); the fields before it count.
    told, expected = asked(front, command), captured(f"A5 01 {command:02X} 08")
    number = 6 if command == 0x91 else 4

    assert told[: 3 * (4 + number)] == expected[: 3 * (4 + number)]


def test_status_is_told_as_captured_up_to_the_reserved_byte(front):
    assert asked(front, 0x94)[:33] == captured("A5 01 94 08 10")[:33]


def test_switches_are_told_as_captured_but_for_the_sign_of_life(front, bms):
    told, expected = asked(front, 0x93), captured("A5 01 93 08 02")
    assert (told[:20], told[24:35]) == (expected[:20], expected[24:35])

    again = asked(front, 0x93)
    assert int(again[21:23], 16) == (int(told[21:23], 16) + 1) & 0xFF
    bms.readings.current_ma.value = 2100
    assert daly.decode(bytes.fromhex(asked(front, 0x93)))["mode_name"] == "charge"


def test_cells_are_told_in_16_frames_or_in_as_many_as_needed(front, bms):
    long = bytes.fromhex(asked(front, 0x95))
    short = bytes.fromhex(asked(DalyFront(bms), 0x95))

    assert (len(long), len(short)) == (16 * 13, 6 * 13)
    # First frame of jblance/mpp-solar's capture: 3.325, 3.326, 3.326 V, and 0x40 in the unused byte.
    assert long[:11].hex() == "a5019508010cfd0cfe0cfe"
    assert daly.decode(long)["cell_voltages_v"] == daly.decode(short)["cell_voltages_v"]


def test_temperatures_have_the_offset_of_the_wire(front, bms):
    # -40 °C is 0 on the wire, and so are a lost sensor and an unused slot.
    bms.readings.temperature_ddegc.value = [150, -400, 1754, -55, 4, -32768, 0, 251]
    data = bytes.fromhex(asked(front, 0x96))

    assert [list(data[at + 4 : at + 12]) for at in (0, 13)] == [
        [1, 55, 0, 215, 34, 40, 0, 40],
        [2, 65, 0, 0, 0, 0, 0, 0],
    ]


def test_current_of_charge_is_below_the_zero_of_the_wire(front, bms):
    bms.readings.current_ma.value = 12_500
    assert asked(front, 0x90)[24:29] == "74 B3"
    bms.readings.current_ma.value = -700_000
    assert asked(front, 0x90)[24:29] == "90 88"


@pytest.mark.parametrize(
    ("alarm", "data"),
    [
        ("cell_overvoltage_warning", "01"), ("cell_overvoltage", "02"), ("cell_undervoltage", "08"),
        ("charge_overtemperature", "00 02"), ("charge_undertemperature", "00 08"),
        ("discharge_overtemperature", "00 20"), ("discharge_undertemperature", "00 80"),
        ("charge_overcurrent", "00 00 02"), ("discharge_overcurrent_1", "00 00 04"),
        ("discharge_overcurrent_2", "00 00 08"), ("cell_imbalance", "00 00 00 01"),
        ("temperature_spread", "00 00 00 04"), ("afe_fault", "00 00 00 00 00 01"),
        ("open_sense_wire", "00 00 00 00 00 02"), ("thermistor_fault", "00 00 00 00 00 04"),
        ("memory_fault", "00 00 00 00 00 08"), ("precharge_failed", "00 00 00 00 00 20"),
        ("current_sensor", "00 00 00 00 00 00 01"), ("short_circuit", "00 00 00 00 00 00 04"),
    ],
)  # fmt: skip
def test_alarms_are_in_the_bits_of_the_makers_table(front, bms, alarm, data):
    bms.alarms = frozenset({alarm})

    assert bytes.fromhex(asked(front, 0x98))[4:12] == bytes.fromhex(data).ljust(8, b"\0")


def test_alarms_of_a_switch_say_which(front, bms):
    bms.alarms = frozenset({"contactor_weld"})
    bms.protections = {"contactor_weld": SimpleNamespace(index=3)}
    assert asked(front, 0x98)[24:26] == "10"
    bms.protections["contactor_weld"].index = 1
    assert asked(front, 0x98)[24:26] == "20"


def test_only_requests_to_this_board_are_answered(front, bms):
    assert front.handle(daly.request(0x90, host=0x80)) is not None
    assert front.handle(daly.request(0x90, host=0x41)) is None
    assert DalyFront(bms, board=2).handle(daly.request(0x90, host=0x41)).data[1] == 2
    assert front.handle(daly.request(0x42)) is None
    assert front.handle(daly.reply(0x90, {})) is None
    broken = bytearray(daly.request(0x90))
    broken[12] ^= 1
    assert front.handle(bytes(broken)) is None


def test_requests_may_come_in_pieces_and_behind_garbage(front):
    request = daly.request(0x90)

    assert front.handle(b"\xa5\x00\xff" + request[:5]) is None
    assert front.handle(request[5:]) is not None


@pytest.mark.parametrize("cut", range(1, 26))
def test_joined_requests_are_answered_alike_wherever_they_are_cut(front, cut):
    stream = daly.request(0x90) + daly.request(0x94)
    expected = asked(front, 0x90) + " " + asked(front, 0x94)

    told = [reply.data for piece in (stream[:cut], stream[cut:]) if (reply := front.handle(piece))]

    assert b"".join(told).hex(" ").upper() == expected


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_nothing_that_comes_breaks_it(pieces):
    front = DalyFront(EmulatedBms(PROFILE, Board().port))
    for piece in pieces:
        front.handle(piece)


def test_a_dark_bms_says_nothing(front, bms):
    bms.powered = False
    assert front.handle(daly.request(0x90)) is None


@pytest.fixture
def board():
    board = Board()
    board.bms = EmulatedBms(PROFILE, board.port)
    board.run(1.0)
    return board


def test_settings_are_those_of_the_firmware(board):
    front = DalyFront(board.bms)

    def told(command):
        return daly.decode(bytes.fromhex(asked(front, command)))

    assert told(0x50)["rated_capacity_ah"] == 280.0
    assert told(0x50)["rated_cell_voltage_v"] == 3.2
    assert told(0x59)["cell_overvoltage_2_v"] == 3.6
    assert told(0x5A)["pack_overvoltage_2_v"] == 86.4
    assert told(0x5B)["discharge_overcurrent_1_a"] == 308.0
    assert told(0x5B)["charge_overcurrent_2_a"] == 161.0
    assert told(0x5E)["temperature_difference_1_k"] == 10
    assert told(0x5F)["balancing_start_voltage_v"] == 3.4
    board.bms.parameters.limits["cell_overvoltage"].trip = 3700
    assert told(0x59)["cell_overvoltage_2_v"] == 3.7


def test_a_profile_without_host_timeout_gives_a_bms_that_needs_no_host(board):
    board.run(3.0)

    assert board.bms.alarms == frozenset()
    assert board.bms.state.name == "STANDBY"


def test_switch_commands_move_contactors(board):
    front = DalyFront(board.bms)

    assert asked(front, 0xD9, discharge_fet=True)[12:14] == "01"
    board.run(4.0)
    assert board.bms.state.name == "DRIVE"
    assert daly.decode(bytes.fromhex(asked(front, 0x93)))["discharge_fet"] is True

    asked(front, 0xDA, charge_fet=True)
    board.run(4.0)
    assert board.bms.state.name == "CHARGE"

    asked(front, 0xD9, discharge_fet=False)
    asked(front, 0xDA, charge_fet=False)
    board.run(1.0)
    assert board.bms.state.name == "STANDBY"


def test_state_of_charge_can_be_set_and_a_restart_keeps_it(board):
    front = DalyFront(board.bms)

    asked(front, 0x21, soc=0.8)
    assert board.bms.estimator.soc_permille == 800
    asked(front, 0x00)
    assert board.bms.state.name == "OFF"
    assert front.handle(daly.request(0x90)) is None
    board.run(1.0)
    # The offset of the current sensor goes on counting meanwhile.
    assert board.bms.estimator.soc_permille == pytest.approx(800, abs=1)


def test_the_host_drives_the_emulated_bms_over_the_line(board):
    clock = Clock()
    clock.every(0.01, lambda: board.run(0.01), name="board", order=-100)
    line = TwinSerial(DalyFront(board.bms), clock=clock, role="dut", baudrate=9600)
    dut = open_dut(PROFILE, line, clock=clock)
    dut.start()

    dut.request("drive")
    assert dut.wait_for("drive", 8.0)
    board.set_cells(3.7, cell=5)
    clock.sleep(4.0)

    told = dut.telemetry()
    assert {"cell_overvoltage", "cell_overvoltage_warning"} <= dut.alarms()
    assert told.cell_v[5] == pytest.approx(3.7, abs=PROFILE.measurement.cell_tolerance_v)
    assert told.cell_v[4] == pytest.approx(3.3, abs=PROFILE.measurement.cell_tolerance_v)
    assert dut.traces()["dut.highest_cell_v"].last == pytest.approx(told.cell_v.max(), abs=0.005)
    assert told.temperature_degc == pytest.approx(25.0, abs=PROFILE.measurement.temperature_tolerance_k)

    dut.request("standby")
    dut.wait_for("fault", 4.0)
    assert not board.bms.readings.feedback.value[0]
