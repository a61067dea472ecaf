"""Bloomy BS1200: exact frames, published counts by hand, wired signals, slew, limits, two boxes."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.record import Origin
from bench.wires.can import CanHub, TwinBus, open_can
from bench.wires.transcript import Transcript
from instruments.accuracy import Accuracy, Band
from instruments.broadcast import FrameTable, Signal
from instruments.cells_bs1200 import EXCHANGES, Bs1200
from instruments.cells_bs1200_twin import Bs1200Twin
from tests.fake_terminals import FakeCells, FakeMeter
from tests.rig import Rig, rig

WIRED = {
    "analog": [
        {"box": 1, "channel": 1, "trace": "current_a", "scale": 1200.0, "offset": -3000.0, "unit": "A"},
        {"box": 2, "channel": 5, "trace": "pack_v", "scale": 30.0},
    ],
    "digital": [
        {"box": 1, "bit": 0, "trace": "switch.main_minus"},
        {"box": 1, "bit": 1, "trace": "switch.charge"},
        {"box": 1, "bit": 7, "trace": "heater"},
    ],
    "charge_path": ["switch.main_minus", "switch.charge"],
}


NO_ERROR = {
    name: Accuracy(unit, (Band(5.0, 0.0, 0.0),), "for tests of scale", "unverified")
    for name, unit in (("cell_v", "V"), ("cell_a", "A"))
}


class ExactTwin(Bs1200Twin):
    accuracy = NO_ERROR


class Exact(Bs1200):
    """Boxes without errors, so that a count is a count."""

    twin = ExactTwin


def boxes(
    *,
    cells: int = 24,
    stack: int = 0,
    emf_v: float = 3.3,
    ohm: float = 1000.0,
    driver: type = Bs1200,
    **options: object,
) -> Rig:
    terminal = SimpleNamespace(cells=FakeCells(np.full(stack or cells, emf_v), ohm), meter=FakeMeter())
    return rig(driver, terminal, max_v=5.0, max_a=1.0, **{"cells": cells, **options})


def exact(**options: object) -> Rig:
    return boxes(driver=Exact, **options)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.request.decode())
def test_the_driver_sends_or_the_twin_obeys_what_is_known(exchange):
    bench = exact(cells=12, boxes=[1])
    can_id, _, data = exchange.request.decode().partition("#")

    bench.twin.receive(0.0, int(can_id, 16), bytes.fromhex(data))
    bench.clock.sleep(0.1)

    outputs = bench.terminal.cells
    expected = {
        "541#01": lambda: outputs.connected.all(),
        "501#8890": lambda: outputs.voltage_v == pytest.approx([3.7] * 12),
        "511#0210A4": lambda: outputs.voltage_v == pytest.approx([0, 0, 4.2, *[0] * 9]),
        "551#0201": lambda: outputs.connected.tolist() == [k == 2 for k in range(12)],
    }.get(exchange.request.decode(), lambda: True)
    assert expected()


def test_prepare_disconnects_and_limits():
    bench = boxes()
    bench.twin.receive(0.0, 0x541, b"\x01")

    bench.driver.prepare()

    assert bench.sent() == [
        "541#00",
        "542#00",
        "081#00",
        "401#030700",
        "201#0000",
        "481#88138813",
        "082#00",
        "402#030700",
        "202#0000",
        "482#88138813",
    ]
    assert not bench.terminal.cells.connected.any()


def test_all_cells_take_one_frame_for_each_box():
    bench = boxes()

    bench.driver.set(voltage_v=3.7)
    bench.clock.sleep(0.05)

    assert bench.sent() == ["501#8890", "541#01", "502#8890", "542#01"]
    assert bench.terminal.cells.connected.all()
    assert bench.terminal.cells.voltage_v == pytest.approx([3.7] * 24, abs=0.001)


def test_one_cell_of_the_second_box():
    bench = boxes()

    bench.driver.set(voltage_v=4.2, cell=14)
    bench.clock.sleep(0.05)

    assert bench.sent() == ["512#0210A4", "552#0201"]
    assert bench.terminal.cells.connected.tolist() == [k == 14 for k in range(24)]
    assert bench.terminal.cells.voltage_v[14] == pytest.approx(4.2, abs=0.001)


def test_a_voltage_for_each_cell():
    bench = exact()
    wanted = [3.0 + 0.01 * k for k in range(24)]

    bench.driver.set(voltage_v=wanted)
    bench.clock.sleep(0.1)

    assert bench.terminal.cells.voltage_v == pytest.approx(wanted)
    assert bench.driver.traces()["cell_v"].last == pytest.approx(wanted, abs=1e-4)


def test_fewer_cells_than_channels():
    bench = boxes(cells=14)

    bench.driver.set(voltage_v=[3.5] * 12 + [3.6, 3.7])
    bench.clock.sleep(0.05)

    assert bench.sent()[2:] == ["512#00A08C", "512#018890", "542#01"]
    assert bench.driver.traces()["cell_v"].value.shape[1] == 14


def test_readings_are_counts_of_the_package():
    # cell 3 at 3.65432 V: 36543 = 0x8EBF; 3.65432 V over 10 ohm: 365.432 mA = 32768 + 3654 = 0x8E46
    bench = exact(cells=12, boxes=[1], ohm=10.0)
    listener = bench.twin._node.hub.attach("listener")
    bench.terminal.cells.voltage_v[2] = 3.65432
    bench.terminal.cells.connected[2] = True

    bench.twin.publish()
    bench.clock.sleep(0.005)
    bench.twin._node.hub.settle()

    frames = {can_id: data for _, can_id, data in listener.inbox}
    assert frames[0x121] == struct.pack("<4H", 33000, 33000, 0x8EBF, 33000)
    assert frames[0x181] == struct.pack("<4H", 32768, 32768, 0x8E46, 32768)
    assert frames[0x101] == b"\x10\x19\x19\x19"
    assert sorted(frames) == [0x101, 0x121, 0x131, 0x141, 0x181, 0x191, 0x1A1, 0x281, 0x2A1, 0x2B1]


def test_traces_have_the_stamps_of_the_frames():
    bench = exact()

    bench.clock.sleep(1.0)
    trace = bench.driver.traces()["cell_v"]

    assert len(trace) == 99  # the frames of the 100th cycle are still on the wire
    assert trace.period_s == pytest.approx(0.01)
    # sampling instant, time on the wire, and the status frames that go before
    delay_s = trace.t_s - np.arange(1, 100) * 0.01
    assert (delay_s > 0.0).all()
    assert (delay_s < 0.5e-3).all()
    assert trace.value == pytest.approx(np.full((99, 24), 3.3), abs=1e-4)
    assert str(trace.origin) == "measured by role"


def test_wired_signals_become_traces():
    bench = exact(**WIRED)
    meter = bench.terminal.meter
    meter.current_a, meter.pack_v, meter.heater_on = -280.0, 79.2, True
    meter.switch_closed[:] = [True, False, False, False, True]

    bench.clock.sleep(0.1)
    meter.switch_closed[3] = True
    bench.clock.sleep(0.1)
    traces = bench.driver.traces()

    # 1200 A/V at 0.1 mV per count: 0.12 A; 30 V/V: 3 mV
    assert traces["current_a"].last == pytest.approx(-280.0, abs=0.06)
    assert traces["current_a"].unit == "A"
    assert traces["pack_v"].last == pytest.approx(79.2, abs=0.0015)
    assert set(traces["heater"].value) == {1.0}
    assert set(traces["switch.main_minus"].value) == {1.0}
    charge = traces["charge_path"]
    closed_s = charge.first(lambda value: value > 0.5)
    assert 0.1 < closed_s < 0.115
    assert (charge.value == traces["switch.charge"].value).all()


def test_readings_err_within_the_declared_accuracy_and_not_all_alike():
    bench = boxes()
    bench.driver.set(voltage_v=5.0)
    bench.clock.sleep(0.1)

    error_v = bench.driver.traces()["cell_v"].last - bench.terminal.cells.voltage_v
    output_error_v = bench.terminal.cells.voltage_v - 5.0

    for error in (error_v, output_error_v):
        assert np.abs(error).max() <= 0.001 + 0.5e-4  # 0.02 % of 5 V, and half a count
        assert error.std() > 0.0001


def test_outputs_slew():
    bench = exact(slew_v_per_s=10.0)
    bench.driver.set(voltage_v=3.0)
    bench.clock.sleep(0.5)
    bench.driver.set(voltage_v=3.4)
    bench.clock.sleep(0.0205)

    half_way = bench.terminal.cells.voltage_v.copy()
    bench.clock.sleep(0.05)

    assert half_way == pytest.approx([3.2] * 24, abs=0.021)
    assert bench.terminal.cells.voltage_v == pytest.approx([3.4] * 24)


def test_a_channel_connects_at_its_set_voltage():
    bench = exact(slew_v_per_s=1.0)

    bench.driver.set(voltage_v=3.4)
    bench.clock.sleep(0.002)

    assert bench.terminal.cells.connected.all()
    assert bench.terminal.cells.voltage_v == pytest.approx([3.4] * 24)


def test_a_channel_folds_back_at_its_current_limit():
    bench = exact(ohm=4.0, source_limit_a=0.4)
    bench.driver.prepare()

    bench.driver.set(voltage_v=3.2)
    bench.clock.sleep(0.1)
    limited_a = bench.driver.traces()["cell_a"].last
    bench.terminal.cells.ohm = 1000.0
    bench.clock.sleep(0.1)

    assert limited_a == pytest.approx([0.4] * 24, abs=2e-4)
    assert bench.terminal.cells.actual_voltage_v == pytest.approx([3.2] * 24)


def test_off_disconnects_and_is_read_back():
    bench = boxes()
    assert not bench.driver.is_off()
    bench.driver.set(voltage_v=3.3)
    bench.clock.sleep(0.05)
    assert not bench.driver.is_off()

    bench.driver.off()

    assert bench.driver.is_off()
    assert not bench.terminal.cells.connected.any()


def test_a_channel_that_still_feeds_is_not_off():
    bench = boxes(ohm=10.0)
    bench.driver.set(voltage_v=3.3)
    bench.driver.off()
    bench.clock.sleep(0.01)
    bench.terminal.cells.connected[5] = True

    assert not bench.driver.is_off()


def test_off_is_known_to_every_driver_on_the_bus_and_so_is_on_again():
    bench = boxes()
    rescuer = bench.another()
    bench.driver.set(voltage_v=3.3)
    bench.clock.sleep(0.01)

    rescuer.off()
    bench.clock.sleep(0.01)
    assert bench.driver.is_off()
    assert rescuer.is_off()

    bench.driver.set(voltage_v=3.3, cell=20)
    bench.clock.sleep(0.01)
    assert not rescuer.is_off()
    assert not bench.driver.is_off()


def test_one_box_that_was_not_told_is_enough_to_be_not_off():
    bench = boxes()
    stranger = bench.hub.attach("another host")
    bench.driver.off()

    stranger.send(0x552, b"\x03\x01")
    bench.clock.sleep(0.01)

    assert not bench.driver.is_off()


def test_boxes_feed_their_own_part_of_a_longer_stack_and_nothing_else():
    bench = exact(cells=16, stack=32, first_cell=16)

    bench.driver.set(voltage_v=3.6)
    bench.driver.set(voltage_v=3.7, cell=15)
    bench.clock.sleep(0.1)

    assert bench.terminal.cells.connected.tolist() == [False] * 16 + [True] * 16
    assert bench.terminal.cells.voltage_v[15:17] == pytest.approx([0.0, 3.6])
    assert bench.terminal.cells.voltage_v[31] == pytest.approx(3.7)
    assert bench.driver.traces()["cell_v"].last == pytest.approx([3.6] * 15 + [3.7])


def test_a_stack_that_ends_before_the_channels_is_told():
    with pytest.raises(StationInvalid, match="cells 16 to 31"):
        boxes(cells=16, stack=24, first_cell=16)


def test_three_boxes_feed_32_cells():
    bench = exact(cells=32)
    wanted = [3.0 + 0.01 * k for k in range(32)]

    bench.driver.set(voltage_v=wanted)
    bench.clock.sleep(0.1)
    trace = bench.driver.traces()["cell_v"]

    assert trace.last == pytest.approx(wanted, abs=1e-4)
    assert trace.value.shape[1] == 32
    assert bench.driver._boxes == (1, 2, 3)
    assert np.diff(trace.t_s) == pytest.approx(0.01, abs=1e-3)


def test_the_analog_outputs_of_the_package_are_kept():
    # PyPI bs1200 1.3.6, ao_set_1_2(1, 25000, 50000): 2.5 V and 5 V, padded to 8 bytes.
    bench = exact(cells=12)

    bench.twin.receive(0.0, 0x221, bytes.fromhex("A86150C300000000"))

    assert bench.twin.analog_out_v == [pytest.approx((2.5, 5.0))]


def test_nothing_auxiliary_happens_in_hil_mode_before_it_is_configured():
    bench = exact(cells=12)
    listener = bench.hub.attach("listener")

    bench.twin.receive(0.0, 0x081, b"\x01")
    bench.twin.receive(0.0, 0x201, b"\x01\x03")
    bench.twin.receive(0.0, 0x221, bytes.fromhex("A86150C300000000"))
    bench.clock.sleep(0.015)
    bench.hub.settle()
    in_hil = {can_id for _, can_id, _ in listener.inbox}
    bench.twin.receive(0.0, 0x081, b"\x00")
    bench.clock.sleep(0.02)
    bench.hub.settle()

    assert not in_hil & {0x281, 0x2A1, 0x2B1}
    assert bench.twin.analog_out_v == [(0.0, 0.0)]
    dio = [data for _, can_id, data in listener.inbox if can_id == 0x281]
    assert dio[-1] == b"\x00\x00"


def test_hil_mode_takes_half_floats_and_publishes_as_configured():
    bench = exact(cells=12, boxes=[1], **{k: [] for k in ("analog", "digital")})
    hub = bench.twin._node.hub
    listener = hub.attach("listener")

    bench.twin.receive(0.0, 0x401, b"\x00\x02\x00")
    bench.twin.receive(0.0, 0x081, b"\x01")
    bench.twin.receive(0.0, 0x0A1, bytes.fromhex("00430042003C0038"))
    bench.twin.receive(0.0, 0x401, b"\x00\x07\x00")  # not obeyed in HIL mode
    bench.clock.sleep(0.015)
    hub.settle()

    assert bench.terminal.cells.voltage_v[:5] == pytest.approx([3.5, 3.0, 1.0, 0.5, 0.0])
    published = {can_id for _, can_id, _ in listener.inbox}
    assert 0x2A1 in published
    assert not published & {0x281, 0x2B1}


def test_damaged_frames_and_absent_channels_are_ignored():
    bench = exact(cells=14)
    for can_id, data in (
        (0x501, b"\x00"),
        (0x511, b"\x0c\x10\xa4"),
        (0x512, b"\x02\x10\xa4"),
        (0x552, b"\xff\x01"),
    ):
        bench.twin.receive(0.0, can_id, data)
    bench.clock.sleep(0.01)

    assert not bench.terminal.cells.voltage_v.any()
    assert not bench.terminal.cells.connected.any()


def test_more_than_allowed_is_refused():
    bench = boxes()

    with pytest.raises(InstrumentRefused, match=r"refused 5.1 V at .* expected 0 to 5 V"):
        bench.driver.set(voltage_v=5.1)
    with pytest.raises(InstrumentRefused, match="cell 24"):
        bench.driver.set(voltage_v=3.0, cell=24)
    with pytest.raises(InstrumentRefused, match="2 voltages"):
        bench.driver.set(voltage_v=[3.0, 3.0])
    assert bench.sent() == []


def test_publishing_slower_makes_fewer_rows_and_loses_none():
    bench = exact(**WIRED)
    bench.clock.sleep(1.0)

    bench.driver.set_publish_period(0.1)
    bench.clock.sleep(10.05)
    traces = bench.driver.traces()

    assert len(traces["cell_v"]) == 100 + 100
    assert len(traces["charge_path"]) == 100 + 100
    assert (np.diff(traces["cell_v"].t_s) > 0).all()


def test_traces_grow_and_what_was_handed_out_stays():
    bench = exact()
    bench.clock.sleep(0.5)
    first = bench.driver.traces()["cell_v"]
    before = first.value.copy()

    bench.terminal.cells.emf_v[:] = 1.0
    bench.clock.sleep(3.0)
    second = bench.driver.traces()["cell_v"]

    assert (first.value == before).all()
    assert len(second) > len(first)
    assert (second.value[: len(first)] == before).all()


def test_identity_names_the_boxes_that_publish():
    assert boxes().driver.identity() == "Bloomy BS1200 box 1 (fans ok), box 2 (fans ok)"


def test_silence_is_told():
    clock = Clock()
    hub = CanHub(clock, 1_000_000)
    wire = open_can("twin://cells", bitrate=1, clock=clock, role="cells", transcript=Transcript(), hub=hub)
    driver = Bs1200(wire, clock=clock, role="cells", max_v=5.0, max_a=1.0)

    with pytest.raises(WireError, match="cells: expected the status of box 1, 2 to be published"):
        driver.identity()
    driver.off()
    with pytest.raises(WireError, match="cell currents"):
        driver.is_off()
    with pytest.raises(InstrumentRefused, match="Write_Period_ms"):
        driver.set_publish_period(0.1)
    assert isinstance(wire, TwinBus)


def test_a_lost_frame_costs_its_row_only():
    table = FrameTable([1, 2], 1, [Signal("x", "1", lambda raw: raw.astype(float), channels=2)])
    for k in range(4):
        table.append(k + 0.0, 1, bytes([k, 0]))
        if k != 1:
            table.append(k + 0.1, 2, bytes([k + 10, 0]))

    trace = table.traces(Origin("measured", "r"), window_s=0.5)["x"]

    assert trace.t_s.tolist() == [0.0, 2.0, 3.0]
    assert trace.value.tolist() == [[0, 10], [2, 12], [3, 13]]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"cells": 25, "boxes": [1, 2]}, "at least 25 channels"),
        ({"boxes": [1, 1]}, "different boxes"),
        ({"boxes": [1, 2], "digital": [{"box": 3, "bit": 0, "trace": "heater"}]}, "found box"),
        ({"charge_path": ["switch.charge"]}, "digital trace"),
        ({**WIRED, "digital": [{"box": 1, "bit": 0, "trace": "heater"}] * 2}, "once"),
    ],
)
def test_impossible_wiring_is_told(options: dict[str, object], what: str):
    with pytest.raises(ValueError, match=what):
        Bs1200.Options(**options)


@pytest.mark.parametrize(
    ("cells", "expected"), [(1, (1,)), (12, (1,)), (13, (1, 2)), (24, (1, 2)), (32, (1, 2, 3))]
)
def test_as_many_boxes_as_the_cells_need(cells: int, expected: tuple[int, ...]):
    assert Bs1200.Options(cells=cells).boxes == expected


def test_a_signal_that_the_meter_does_not_have_is_told():
    with pytest.raises(StationInvalid, match=r"'switch\.door'"):
        boxes(digital=[{"box": 1, "bit": 0, "trace": "switch.door"}])
