"""The DUT behind hd_can, with a scripted BMS on a CAN bus in virtual time."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import can
import numpy as np
import pytest

from bench.clock import Clock
from bench.dut import FEATURES, open_dut
from bench.dut.columns import Columns
from bench.dut.frame_log import FrameLog
from bench.errors import ProfileInvalid, WireError
from bench.wires.can import CanHub, TwinBus
from dut_profiles.profile import load_profile
from dut_profiles.protocols import hd_can

PROFILE = load_profile("hd_lfp_24s")
CELLS, SENSORS = 24, 8


class ScriptedBms:
    """Broadcasts what `values` says, by the reference page; keeps what the host sends."""

    def __init__(self, hub: CanHub) -> None:
        self.clock = hub.clock
        self.node = hub.attach("bms", self.receive)
        self.values: dict[int, dict[str, float | None]] = {
            0x300: {"state": 1, "soc": 50.0, "soh": 99.0, "fault_index": None, "hvil_closed": 1},
            0x301: {"pack_v": 79.2, "current": -12.5, "link_v": 0.5},
            0x302: {"charge_limit": 140.0, "discharge_limit": 280.0, "regen_limit": 100.5, "charge_v": 85.2},
            0x303: {},
            0x304: {"max": 3310, "max_index": 3, "min": 3290, "min_index": 5},
            0x306: {"positive": 1000.0, "negative": None},
        }
        self.cell_mv: list[float | None] = [3300.0 + cell for cell in range(CELLS)]
        self.bleeding = {2}
        self.degc: list[float | None] = [20.0 + sensor for sensor in range(SENSORS)]
        self.counter: dict[int, int] = {}
        self.heard: list[tuple[float, int, bytes]] = []
        self.entries: list[dict[str, float | None]] = []
        self.lose_once: set[tuple[int, int]] = set()
        self.job = self.clock.every(0.1, self.broadcast, name="bms", first_s=0.03)

    def frame(self, can_id, values):
        counter = self.counter[can_id] = (self.counter.get(can_id, -1) + 1) & 0xF
        return can_id, hd_can.build(can_id, values, counter=counter)

    def broadcast(self) -> None:
        frames = [self.frame(can_id, values) for can_id, values in self.values.items()]
        for group in range(CELLS // 3):
            cells = range(3 * group, 3 * group + 3)
            values = {f"cell_{cell}": self.cell_mv[cell] for cell in cells}
            values |= {f"cell_{cell}_bleeds": cell in self.bleeding for cell in cells}
            frames.append(self.frame(0x310, {"group": group, **values}))
        for group in range(3):
            values = {f"sensor_{s}": self.degc[s] for s in range(3 * group, min(3 * group + 3, SENSORS))}
            frames.append(self.frame(0x311, {"group": group, **values}))
        self.node.send_batch(frames)

    def receive(self, t_s, can_id, data) -> None:
        self.heard.append((t_s, can_id, data))
        if can_id == 0x202:
            for number in range(data[0], min(data[0] + data[1], len(self.entries))):
                self.send_entry(number)

    def send_entry(self, number: int) -> None:
        parts = (
            ("kept", "code", "index", "level", "kind"),
            ("time",),
            ("current", "pack_v", "soc"),
            ("highest", "lowest", "highest_index", "lowest_index"),
            ("hottest", "coldest", "main_minus", "main_plus", "precharge", "charge", "state"),
        )
        entry = {"kept": len(self.entries), **self.entries[number]}
        for part, names in enumerate(parts):
            if (number, part) in self.lose_once:
                self.lose_once.discard((number, part))
                continue
            values = {name: entry.get(name, 0) for name in names}
            self.node.send(0x320, hd_can.build(0x320, {"part": part, "entry": number & 0xFF, **values}))

    def commands(self):
        return [(t_s, hd_can.parse(0x200, data)) for t_s, can_id, data in self.heard if can_id == 0x200]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hub(clock):
    return CanHub(clock, bitrate=500_000)


@pytest.fixture
def bms(hub):
    return ScriptedBms(hub)


@pytest.fixture
def dut(hub, bms, clock):
    return open_dut(PROFILE, TwinBus(hub, "dut"), clock=clock)


def test_telemetry_is_in_si_units_with_charging_positive(dut, clock):
    dut.start()
    clock.sleep(0.25)

    told = dut.telemetry()

    assert told.cell_v == pytest.approx(np.array([3.300 + 0.001 * cell for cell in range(CELLS)]))
    assert told.temperature_degc == pytest.approx(20.0 + np.arange(SENSORS))
    assert np.flatnonzero(told.bleeds).tolist() == [2]
    assert (told.pack_v, told.current_a, told.link_v) == pytest.approx((79.2, -12.5, 0.5))
    assert (told.soc, told.soh) == pytest.approx((0.5, 0.99))
    assert (told.charge_limit_a, told.discharge_limit_a, told.regen_limit_a) == (140.0, 280.0, 100.5)
    assert told.insulation_ohm[0] == pytest.approx(1e6)
    assert math.isnan(told.insulation_ohm[1])
    assert math.isnan(told.fault_index)
    assert told.state == "standby"
    assert told.switches == dict.fromkeys(("main_minus", "main_plus", "precharge", "charge"), False) | {
        "pyro": True
    }
    assert told.alarms == frozenset()
    # Broadcasts at 0.03, 0.13 and 0.23 s; PackState is the first frame of each, of 114 bits.
    assert told.t_s == pytest.approx(0.230228, abs=1e-6)
    assert told.age_s == pytest.approx(clock.now_s - told.t_s)
    assert dut.features == FEATURES


def test_before_anything_came_telemetry_says_so(dut):
    told = dut.telemetry()

    assert told.state == "silent"
    assert math.isinf(told.age_s)
    assert np.isnan(told.cell_v).all()
    assert told.cell_v.shape == (CELLS,)
    assert dut.traces() == {}
    assert dut.frames() == []


def test_an_address_that_nobody_answers_is_a_wire_error(hub, clock):
    dut = open_dut(PROFILE, TwinBus(hub, "dut"), clock=clock)

    with pytest.raises(WireError, match="an address that nobody answers"):
        dut.start()

    assert clock.now_s == pytest.approx(2.0)


def test_the_host_commands_every_100_ms_with_a_rising_counter(dut, bms, clock):
    dut.start()
    dut.request("drive")
    clock.sleep(1.0)

    commands = bms.commands()

    assert [command.values["mode"] for _, command in commands[-5:]] == [3] * 5
    counters = np.array([command.counter for _, command in commands])
    assert np.diff(counters).tolist() == [1] * (len(commands) - 1)
    assert np.diff([t_s for t_s, _ in commands]) == pytest.approx(0.1, abs=1e-3)


def test_a_stopped_host_is_silent_and_still_hears(dut, bms, clock):
    dut.start()
    dut.stop()
    clock.sleep(0.01)
    heard = len(bms.heard)

    clock.sleep(1.0)

    assert len(bms.heard) == heard
    assert dut.telemetry().age_s < 0.11
    dut.start()
    clock.sleep(0.2)
    assert len(bms.heard) > heard


def test_host_faults_reach_the_wire(dut, bms, clock):
    dut.start()
    dut.host_fault = "frozen_counter"
    clock.sleep(0.5)
    assert len({command.counter for _, command in bms.commands()[-4:]}) == 1

    dut.host_fault = "wrong_crc"
    clock.sleep(0.2)
    data = bms.heard[-1][2]
    assert data[7] == hd_can.crc(0x200, data) ^ 0xFF


def test_resets_and_raw_frames_reach_the_wire(dut, bms, clock):
    dut.start()
    dut.reset_fault()
    dut.service_reset()
    clock.sleep(1.0)

    asked = [command.values["reset_fault"] for _, command in bms.commands()]
    assert sum(asked) == 3
    assert (0x203, bytes.fromhex("B51E5E471CE00F01")) in [(can_id, data) for _, can_id, data in bms.heard]
    dut.send_raw(0x7FF, b"\x01\x02")
    clock.sleep(0.01)
    assert bms.heard[-1][1:] == (0x7FF, b"\x01\x02")


def test_waiting_for_a_state_ends_when_it_is_reported(dut, bms, clock):
    dut.start()
    clock.after(0.5, lambda: bms.values[0x300].update(state=3), name="script")

    assert dut.wait_for("drive", 2.0)
    assert clock.now_s < 0.8
    assert not dut.wait_for("locked", 0.3)


def test_a_dut_that_stops_talking_is_silent_after_five_periods(dut, bms, clock):
    dut.start()
    bms.job.cancel()

    clock.sleep(0.4)
    assert dut.state() == "standby"
    clock.sleep(0.2)
    assert dut.state() == "silent"


def test_frames_with_a_wrong_check_or_an_old_counter_are_counted_and_not_used(dut, bms, clock):
    dut.start()
    clock.sleep(0.2)
    good = hd_can.build(0x300, {"state": 4}, counter=bms.counter[0x300])
    fresh = hd_can.build(0x300, {"state": 5}, counter=bms.counter[0x300] + 1 & 0xF)
    bms.node.send(0x300, good)
    bms.node.send(0x300, fresh[:7] + bytes((fresh[7] ^ 1,)))
    bms.node.send(0x300, fresh[:7])
    clock.sleep(0.01)

    assert dut.state() == "standby"
    assert (dut.log.repeated, dut.log.wrong_crc) == (1, 2)
    assert 5 not in dut.traces()["dut.state"].value


def test_lost_frames_are_counted(dut, bms, clock):
    dut.start()
    bms.counter[0x301] += 3
    clock.sleep(0.3)
    dut.telemetry()

    assert dut.log.lost == 3


def test_traces_are_complete_and_stamped_on_arrival(dut, bms, clock):
    dut.start()
    clock.sleep(1.0)
    bms.values[0x303] = {"cell_overvoltage": 1, "hvil_open": 1}
    bms.cell_mv[23] = None
    clock.sleep(1.0)

    traces = dut.traces()

    cells = traces["dut.cell_v"]
    assert cells.value.shape == (len(cells), CELLS)
    assert cells.unit == "V"
    assert str(cells.origin) == "reported by dut"
    assert cells.period_s == pytest.approx(0.1, abs=1e-6)
    assert math.isnan(cells.last[23])
    # Complete with the eighth group, the 14th frame of 114 bits at 500 kbit/s.
    assert cells.t_s[0] == pytest.approx(0.03 + 14 * 0.000228, abs=1e-6)
    assert traces["dut.temperature_degc"].value.shape[1] == SENSORS
    assert traces["dut.bleeds"].last.tolist() == [cell == 2 for cell in range(CELLS)]
    assert traces["dut.alarm.cell_overvoltage"].first(lambda on: on > 0.5) == pytest.approx(1.13, abs=0.11)
    assert not traces["dut.alarm.short_circuit"].ever(lambda on: on > 0.5)
    assert traces["dut.charge_limit_a"].unit == "A"
    assert traces["dut.insulation_ohm"].value.shape[1] == 2
    assert dut.alarms() == {"cell_overvoltage", "hvil_open"}


def test_traces_that_were_handed_out_do_not_change(dut, clock):
    dut.start()
    clock.sleep(1.0)
    before = dut.traces()["dut.pack_v"]
    copy = before.value.copy()

    clock.sleep(60.0)
    after = dut.traces()["dut.pack_v"]

    assert len(before) == len(copy)
    assert before.value == pytest.approx(copy)
    assert len(after) > len(before) + 500


def test_a_broadcast_with_a_missing_group_gives_no_sample(dut, bms, clock):
    dut.start()
    clock.sleep(0.5)
    number = len(dut.traces()["dut.cell_v"])
    groups = [g for g in range(8) if g != 4]
    bms.node.send_batch([bms.frame(0x310, {"group": g}) for g in groups])
    clock.sleep(0.03)
    assert len(dut.traces()["dut.cell_v"]) == number

    clock.sleep(1.0)

    assert len(dut.traces()["dut.cell_v"]) == number + 10
    assert dut.traces()["dut.cell_v"].value.min() == 3.3


def entry(number: int) -> dict[str, float | None]:
    return {
        "code": 1, "index": 7, "level": 2, "kind": 0, "time": 1000 * number + 250, "current": 50.0,
        "pack_v": 86.1, "soc": 99.5, "highest": 3601, "lowest": 3400, "highest_index": 7, "lowest_index": 1,
        "hottest": 31.5,
        "coldest": -2.5, "main_minus": 1, "charge": 1, "state": 4,
    }  # fmt: skip


def test_the_log_is_read_whole_with_its_freeze_frames(dut, bms):
    bms.entries = [entry(number) for number in range(256)]
    bms.entries[0] = {**entry(0), "code": 0xF0, "index": None, "kind": 2, "level": 0}
    dut.start()

    log = dut.read_log()

    assert [e.number for e in log] == list(range(256))
    assert (log[0].code, log[0].index, log[0].kind) == ("power_up", None, "other")
    last = log[255]
    assert (last.code, last.index, last.level, last.kind, last.state) == (
        "cell_overvoltage",
        7,
        2,
        "trip",
        "charge",
    )
    assert last.t_s == pytest.approx(255.25)
    assert last.t_utc == datetime(2026, 1, 1, 0, 4, 15, 250_000, tzinfo=UTC)
    assert (last.current_a, last.pack_v, last.soc) == pytest.approx((50.0, 86.1, 0.995))
    assert (last.highest_cell_v, last.lowest_cell_v, last.highest_cell, last.lowest_cell) == (
        3.601,
        3.4,
        7,
        1,
    )
    assert (last.hottest_degc, last.coldest_degc) == pytest.approx((31.5, -2.5))
    assert last.switches == {"main_minus": True, "main_plus": False, "precharge": False, "charge": True}


def test_a_lost_part_of_the_log_is_asked_for_again(dut, bms):
    bms.entries = [entry(number) for number in range(20)]
    bms.lose_once = {(17, 3)}
    dut.start()

    assert len(dut.read_log()) == 20


def test_an_empty_log_is_no_error(dut):
    dut.start()

    assert dut.read_log() == []


def test_entries_that_never_come_are_a_wire_error(dut, bms, monkeypatch):
    bms.entries = [entry(number) for number in range(5)]
    whole = bms.send_entry
    monkeypatch.setattr(bms, "send_entry", lambda number: None if number == 3 else whole(number))
    dut.start()

    with pytest.raises(WireError, match=r"entries \[3\] did not come"):
        dut.read_log()


def test_frames_hold_both_directions_in_order(dut, clock):
    dut.start()
    clock.sleep(0.5)

    frames = dut.frames()

    assert {can_id for _, can_id, _ in frames} >= {0x200, 0x300, 0x310}
    times = [t_s for t_s, _, _ in frames]
    assert times == sorted(times)
    state = next(data for _, can_id, data in frames if can_id == 0x300)
    assert hd_can.parse(0x300, state).values["soc"] == pytest.approx(50.0)


def test_python_cans_own_bus_will_do(clock):
    with (
        can.Bus(interface="virtual", channel="hd") as wire,
        can.Bus(interface="virtual", channel="hd") as bms,
    ):
        dut = open_dut(PROFILE, wire, clock=clock)

        def answer() -> None:
            message = bms.recv(0)
            if message is not None:
                data = hd_can.build(0x300, {"state": 1}, counter=message.data[6] >> 4)
                bms.send(can.Message(arbitration_id=0x300, data=data, is_extended_id=False))

        clock.every(0.01, answer, name="bms")
        dut.start()

        assert dut.state() == "standby"


def test_the_log_of_frames_agrees_with_one_frame_at_a_time():
    rng = np.random.default_rng(3)
    frames, expected, counters = [], [], {}
    for step in range(5000):
        can_id = int(rng.choice([0x300, 0x301, 0x310, 0x320, 0x123, 0x18FF0001]))
        data = rng.bytes(8)
        if can_id in (0x300, 0x301, 0x310):
            counter = (counters.get(can_id, 0) + int(rng.integers(0, 3))) & 0xF
            data = hd_can.protect(can_id, data, counter)
            if rng.random() < 0.1:
                data = data[:7] + bytes((data[7] ^ 0x40,))
            elif counters.get(can_id) != counter:
                counters[can_id] = counter
                expected.append((step, can_id, data))
        frames.append((float(step), can_id, data))

    log = FrameLog()
    for start in range(0, 5000, 37):
        log.add(frames[start : start + 37])
        if start % 2:
            log.look()
    chunks = log.fresh()

    found = [
        (t_s, can_id, word.to_bytes(8, "little"))
        for chunk in chunks
        for t_s, can_id, word, good in zip(
            chunk.t_s, chunk.can_id, chunk.data.tolist(), chunk.good, strict=True
        )
        if good
    ]
    assert found == expected
    assert log.frames() == frames
    assert {can_id: at for can_id, (at, _) in log.newest.items()} == {
        can_id: step for step, can_id, _ in expected
    }


def test_columns_drop_what_is_not_later():
    columns = Columns(1)
    columns.extend(np.array([1.0, 1.0, 0.5, 2.0]), np.array([[1.0], [2.0], [3.0], [4.0]]))
    columns.extend(np.array([2.0, 3.0]), np.array([[5.0], [6.0]]))

    assert columns.t_s.tolist() == [1.0, 2.0, 3.0]
    assert columns.value[:, 0].tolist() == [1.0, 4.0, 6.0]


def test_an_unknown_dialect_is_refused_with_those_that_exist(clock):
    link = PROFILE.communication.model_copy(update={"protocol": "morse"})
    profile = PROFILE.model_copy(update={"communication": link})

    with pytest.raises(ProfileInvalid, match="hd_can"):
        open_dut(profile, None, clock=clock)
