"""The DUT behind Daly A5, with a scripted Daly on a serial line in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.clock import Clock
from bench.dut import STATES, open_dut
from bench.errors import NotReady, WireError
from bench.wires.serial import TwinSerial
from bench.wires.twin import Reply
from dut_profiles.profile import load_profile
from dut_profiles.protocols import daly_data
from dut_profiles.protocols import daly_uart_a5 as daly

PROFILE = load_profile("hd_lfp_24s_daly")
CELLS, SENSORS = 24, 8


class ScriptedDaly:
    """Answers as the public drivers describe; `cell_frames` 16 is the firmware that sends every slot."""

    def __init__(self, *, cell_frames: int | None = None) -> None:
        self.cell_frames = cell_frames
        self.cells = [3.3 + 0.001 * cell for cell in range(CELLS)]
        self.degc = [20.0 + sensor for sensor in range(SENSORS)]
        self.pack = {"pack_voltage_v": 79.2, "current_a": -12.5, "soc": 0.5}
        self.mos = {
            "mode": 2,
            "charge_fet": False,
            "discharge_fet": False,
            "bms_life": 7,
            "remaining_ah": 140.0,
        }
        self.status = {"cells": CELLS, "temperature_sensors": SENSORS}
        self.range = {"max_cell_voltage_v": 3.323, "max_cell_number": 24, "min_cell_voltage_v": 3.3}
        self.degc_range = {
            "max_temperature_degc": 27,
            "max_temperature_number": 8,
            "min_temperature_degc": 20,
        }
        self.bleeding: set[int] = {2, 23}
        self.alarms: set[str] = set()
        self.asked: list[int] = []
        self.mute: set[int] = set()
        self.drop = 0
        self.noise = b""
        self.echo = False

    def handle(self, message: bytes) -> Reply | None:
        frame = daly.parse(message)
        self.asked.append(frame.command)
        if self.drop:
            self.drop -= 1
            return None
        told = b"" if frame.command in self.mute else self.answer(frame)
        told = (message if self.echo else b"") + self.noise + told
        return Reply(told, 0.01) if told else None

    def answer(self, frame: daly.Frame) -> bytes:
        match frame.command:
            case 0x90:
                return daly.reply(0x90, self.pack)
            case 0x91:
                return daly.reply(0x91, self.range)
            case 0x92:
                return daly.reply(0x92, self.degc_range)
            case 0x93:
                return daly.reply(0x93, self.mos)
            case 0x94:
                return daly.reply(0x94, self.status)
            case 0x95:
                return daly.replies(0x95, daly_data.pack_cells(self.cells, frames=self.cell_frames))
            case 0x96:
                return daly.replies(0x96, daly_data.pack_temperatures(self.degc))
            case 0x97:
                return daly.replies(0x97, [daly_data.pack_bits(self.bleeding)])
            case 0x98:
                bits = {daly_data.ALARMS.index(name) for name in self.alarms}
                return daly.replies(0x98, [daly_data.pack_bits(bits)])
            case 0x00:
                return bytes(daly.Frame(1, 0x00, frame.data))
            case 0xD9 | 0xDA:
                values = daly.values(frame)
                self.mos |= values
                return daly.reply(frame.command, values)
        return b""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bms():
    return ScriptedDaly()


@pytest.fixture
def dut(bms, clock):
    return open_dut(PROFILE, TwinSerial(bms, clock=clock, role="dut", baudrate=9600), clock=clock)


def test_telemetry_is_in_si_units_with_charging_positive(dut, clock):
    dut.start()
    clock.sleep(1.0)

    told = dut.telemetry()

    assert told.cell_v == pytest.approx(np.array([3.300 + 0.001 * cell for cell in range(CELLS)]))
    assert told.temperature_degc == pytest.approx(20.0 + np.arange(SENSORS))
    assert np.flatnonzero(told.bleeds).tolist() == [2, 23]
    assert (told.pack_v, told.current_a, told.soc) == pytest.approx((79.2, -12.5, 0.5))
    assert told.state == "standby"
    assert told.age_s < 1.1
    assert math.isnan(told.charge_limit_a)
    assert math.isnan(told.soh)
    assert np.isnan(told.insulation_ohm).all()


def test_the_current_on_the_wire_has_the_other_sign(dut, bms, clock):
    dut.start()
    clock.sleep(1.0)
    # 12.5 A of discharge is 30125 = 0x75AD on the wire.
    assert bms.answer(daly.Frame(0x40, 0x90))[8:10].hex() == "75ad"
    assert dut.traces()["dut.current_a"].last == -12.5


@pytest.mark.parametrize("cell_frames", [None, 16])
def test_both_kinds_of_firmware_are_understood(clock, cell_frames):
    bms = ScriptedDaly(cell_frames=cell_frames)
    dut = open_dut(PROFILE, TwinSerial(bms, clock=clock, role="dut", baudrate=9600), clock=clock)

    dut.start()
    clock.sleep(5.0)

    cells = dut.traces()["dut.cell_v"]
    assert cells.value.shape == (len(cells), CELLS)
    # 16 frames need 0.22 s of line, so every second round is skipped.
    assert cells.period_s == pytest.approx(0.5 if cell_frames is None else 1.0, abs=0.02)
    assert dut.line.unanswered == 0


def test_a_round_fits_into_its_period(dut, bms, clock):
    dut.start()
    clock.sleep(0.5)
    bms.asked.clear()

    clock.sleep(20.0)

    assert bms.asked.count(0x90) == 20 / PROFILE.communication.period_s
    assert bms.asked.count(0x96) == bms.asked.count(0x97) == 10 / PROFILE.communication.period_s
    assert dut.traces()["dut.alarm.cell_overvoltage"].period_s == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("mode", "switches", "state"),
    [
        ("drive", (False, True), "drive"),
        ("charge", (True, True), "charge"),
        ("standby", (False, False), "standby"),
    ],
)
def test_modes_are_pairs_of_switches(dut, bms, clock, mode, switches, state):
    dut.start()
    clock.sleep(1.0)

    dut.request(mode)

    assert dut.wait_for(state, 3.0)
    assert (bms.mos["charge_fet"], bms.mos["discharge_fet"]) == switches


def test_a_mode_is_asked_for_until_it_is_acknowledged(dut, bms, clock):
    dut.start()
    clock.sleep(0.95)
    bms.drop = 6

    dut.request("charge")

    assert dut.wait_for("charge", 6.0)
    assert dut.line.unanswered > 0


def test_no_other_mode_is_asked_for_on_the_way():
    # Between the two commands of a change the pair must be that of the old or of the new mode.
    pairs = {"standby": {(0, 0)}, "drive": {(0, 1)}, "charge": {(1, 1), (1, 0)}}
    from bench.dut.daly_uart_a5 import _MODES

    for old in pairs:
        for new, commands in _MODES.items():
            charge, discharge = {"standby": (0, 0), "drive": (0, 1), "charge": (1, 1)}[old]
            for command, on in commands:
                charge, discharge = (on, discharge) if command == 0xDA else (charge, on)
                assert (charge, discharge) in pairs[old] | pairs[new], (old, new)


def test_alarms_have_the_names_of_the_project(dut, bms, clock):
    dut.start()
    bms.alarms = {"cell_overvoltage_1", "cell_overvoltage_2", "cell_wire_lost", "soc_low_1"}
    clock.sleep(2.0)

    assert dut.alarms() == {"cell_overvoltage_warning", "cell_overvoltage", "open_sense_wire", "soc_low_1"}
    assert dut.state() == "fault"
    assert dut.traces()["dut.alarm.open_sense_wire"].last == 1.0
    assert dut.traces()["dut.state"].last == STATES.index("fault")

    bms.alarms = {"cell_overvoltage_1"}
    clock.sleep(2.0)
    assert dut.state() == "standby"


def test_the_cell_or_sensor_of_an_alarm_is_the_one_that_is_extreme_when_it_comes(dut, bms, clock):
    dut.start()
    clock.sleep(1.0)
    assert math.isnan(dut.telemetry().fault_index)

    bms.alarms = {"cell_overvoltage_2"}
    clock.sleep(1.0)
    assert dut.telemetry().fault_index == 23
    bms.range["max_cell_number"] = 1
    bms.alarms = {"cell_overvoltage_2", "charge_overtemperature_2"}
    clock.sleep(1.0)
    assert dut.telemetry().fault_index == 7

    bms.alarms = set()
    clock.sleep(1.0)
    assert math.isnan(dut.telemetry().fault_index)
    assert {23.0, 7.0} <= set(dut.traces()["dut.fault_index"].value.tolist())


def test_what_cannot_be_read_is_not_a_number(dut, bms, clock):
    bms.cells[7], bms.degc[2] = 0.0, -40.0
    bms.alarms = {"cell_wire_lost"}
    dut.start()
    clock.sleep(1.5)

    told = dut.telemetry()

    assert np.flatnonzero(np.isnan(told.cell_v)).tolist() == [7]
    assert np.flatnonzero(np.isnan(told.temperature_degc)).tolist() == [2]
    assert told.fault_index == 7


def test_a_reset_is_a_restart(dut, bms, clock):
    dut.start()
    clock.sleep(1.0)
    dut.reset_fault()
    clock.sleep(0.6)

    assert 0x00 in bms.asked


def test_noise_and_echoes_do_not_disturb(dut, bms, clock):
    bms.noise, bms.echo = b"\x00\xa5\xa5\x13", True
    dut.start()
    clock.sleep(5.0)

    assert dut.telemetry().pack_v == pytest.approx(79.2)
    assert dut.line.unanswered == 0


def test_a_lost_answer_is_asked_for_again(dut, bms, clock):
    dut.start()
    clock.sleep(0.9)
    bms.drop = 1
    clock.sleep(2.0)

    assert dut.line.unanswered == 0


def test_a_value_that_is_not_answered_any_more_ages(dut, bms, clock):
    dut.start()
    clock.sleep(1.0)
    bms.mute = {0x90}
    number = len(dut.traces()["dut.pack_v"])
    clock.sleep(5.0)

    assert len(dut.traces()["dut.pack_v"]) <= number + 1
    assert dut.line.unanswered > 0
    bms.mute = set(range(256))
    clock.sleep(5.0)
    assert dut.state() == "silent"
    assert dut.telemetry().age_s > 4.0


def test_a_stopped_host_asks_nothing(dut, bms, clock):
    dut.start()
    clock.sleep(2.0)
    dut.stop()
    clock.sleep(0.5)
    asked = len(bms.asked)
    clock.sleep(5.0)
    assert len(bms.asked) == asked

    dut.start()
    clock.sleep(1.0)
    assert len(bms.asked) > asked


def test_an_address_that_nobody_answers_is_a_wire_error(dut, bms, clock):
    bms.mute = set(range(256))

    with pytest.raises(WireError, match="an address that nobody answers"):
        dut.start()

    assert clock.now_s == pytest.approx(2.2, abs=0.5)


def test_another_pack_than_the_profile_is_not_ready(dut, bms):
    bms.status = {"cells": 16, "temperature_sensors": 4}

    with pytest.raises(NotReady, match="expected 24 cells, 8 sensors, found 16, 4"):
        dut.start()


def test_what_the_dialect_cannot_do_is_refused(dut):
    assert dut.features == {"mode", "reset", "bleed_flags", "cell_extremes"}
    for ask in (dut.read_log, dut.service_reset):
        with pytest.raises(NotReady, match="daly_uart_a5"):
            ask()
    assert dut.frames() == []


def test_a_captured_session_with_another_pack_is_told_apart(clock):
    """The 16-cell pack that mpp-solar recorded, at a port where a 24-cell pack is expected."""
    captured = {frame.told[2]: frame.told for frame in daly.EXCHANGES if frame.reply}

    class Recorded:
        def handle(self, message: bytes) -> Reply | None:
            told = captured.get(message[2])
            return Reply(told, 0.01) if told else None

    dut = open_dut(PROFILE, TwinSerial(Recorded(), clock=clock, role="dut", baudrate=9600), clock=clock)

    with pytest.raises(NotReady):
        dut.start()


def test_profile_of_the_dialect_is_the_same_pack():
    other = load_profile("hd_lfp_24s")

    assert PROFILE.pack == other.pack
    assert PROFILE.communication.transport == "serial"
    assert PROFILE.communication.bitrate == 9600
    assert not PROFILE.log.readable
