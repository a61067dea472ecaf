"""The Daly A5 codec against captured frames, against hand-computed bytes and against its own inverse."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import FrameInvalid
from dut_profiles.protocols import daly_data
from dut_profiles.protocols import daly_uart_a5 as daly
from dut_profiles.protocols.daly_uart_a5 import Frame, Stream

VECTORS = Path(__file__).parents[2] / "shared" / "vectors" / "daly_uart_a5.json"

#: Key of a vector: our key, what to multiply it by, half the resolution of the wire.
KEYS = {
    "command": ("command", 1, 0),
    "pack_voltage_V": ("pack_voltage_v", 1, 0.05),
    "acquisition_voltage_V": ("acquisition_voltage_v", 1, 0.05),
    "current_raw_A": ("current_a", -1, 0.05),  # as printed upstream: a discharge is positive
    "soc_pct": ("soc", 100, 0.05),
    "max_temp_C": ("max_temperature_degc", 1, 0.5),
    "max_temp_index": ("max_temperature_number", 1, 0),
    "min_temp_C": ("min_temperature_degc", 1, 0.5),
    "min_temp_index": ("min_temperature_number", 1, 0),
    "mode": ("mode", 1, 0),
    "charge_fet": ("charge_fet", 1, 0),
    "discharge_fet": ("discharge_fet", 1, 0),
    "bms_life": ("bms_life", 1, 0),
    "remaining_Ah": ("remaining_ah", 1, 0.0005),
    "frame_count": ("frames", 1, 0),
    "cell_slots": ("cell_slots", 1, 0),
    "cell_voltages_V": ("cell_voltages_v", 1, 0.0005),
    "temps_C": ("temperatures_degc", 1, 0.5),
}


def vectors():
    if not VECTORS.is_file():
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=f"no vectors at {VECTORS}"))]
    frames = json.loads(VECTORS.read_text())["frames"]
    return [pytest.param(frame, id=frame["id"]) for frame in frames]


@pytest.mark.parametrize("vector", vectors())
def test_decode_reads_the_public_vectors(vector):
    data = bytes.fromhex(vector["hex"])
    if vector.get("valid") is False:
        with pytest.raises(FrameInvalid):
            daly.decode(data)
        return

    told = daly.decode(data)

    assert told["direction"] == vector["direction"]
    assert b"".join(bytes(frame) for frame in daly.parse_all(data)) == data
    for theirs, expected in vector["expected"].items():
        ours, factor, tolerance = KEYS[theirs]
        found = told[ours]
        if isinstance(expected, list):
            assert [factor * value for value in found] == pytest.approx(expected, abs=tolerance)
        else:
            assert factor * found == pytest.approx(float(expected), abs=tolerance + 1e-9)


@pytest.mark.parametrize("exchange", daly.EXCHANGES, ids=lambda e: e.told[:13].hex())
def test_decode_reads_the_frames_of_public_drivers(exchange):
    told = daly.decode(exchange.told)

    for key, expected in exchange.means:
        assert (
            told[key] == pytest.approx(expected, abs=1e-9)
            if isinstance(expected, float)
            else told[key] == expected
        )


def test_requests_have_the_bytes_that_public_clients_send():
    assert daly.request(0x90).hex() == "a540900800000000000000007d"
    assert daly.request(0x94, fill=0xAA).hex() == "a5409408aaaaaaaaaaaaaaaad1"
    assert daly.request(0x95, host=daly.HOST_BLUETOOTH).hex() == "a58095080000000000000000c2"
    assert daly.request(0xD9, {"discharge_fet": True}).hex() == "a540d9080100000000000000c7"
    assert daly.request(0xDA, {"charge_fet": False}).hex() == "a540da080000000000000000c7"
    # 80.0 % is 800 = 0x0320 in d6 and d7; the sum is 0xA5 + 0x40 + 0x21 + 0x08 + 0x03 + 0x20 = 0x131.
    assert daly.request(0x21, {"soc": 0.8}).hex() == "a5402108000000000000032031"
    assert daly.request(0x00).hex() == "a54000080000000000000000ed"


def test_current_is_positive_when_it_charges():
    # 12.5 A of charge is 30000 - 125 = 29875 = 0x74B3 on the wire.
    data = daly.reply(0x90, {"pack_voltage_v": 79.2, "current_a": 12.5, "soc": 0.5})

    assert data[4:12].hex(" ") == "03 18 00 00 74 b3 01 f4"
    assert daly.decode(data)["current_a"] == 12.5
    assert daly.decode(daly.reply(0x90, {"current_a": -280.0}))["current_a"] == -280.0


@pytest.mark.parametrize(
    ("byte", "bit", "name"),
    [
        (0, 0, "cell_overvoltage_1"), (0, 3, "cell_undervoltage_2"), (0, 5, "pack_overvoltage_2"),
        (1, 0, "charge_overtemperature_1"), (1, 3, "charge_undertemperature_2"),
        (1, 5, "discharge_overtemperature_2"), (1, 7, "discharge_undertemperature_2"),
        (2, 1, "charge_overcurrent_2"), (2, 2, "discharge_overcurrent_1"), (2, 6, "soc_low_1"),
        (3, 0, "cell_difference_1"), (3, 3, "temperature_difference_2"),
        (4, 0, "charge_mos_overtemperature"), (4, 5, "discharge_mos_stuck_closed"),
        (5, 0, "afe_fault"), (5, 1, "cell_wire_lost"), (5, 2, "cell_sensor_fault"), (5, 3, "eeprom_fault"),
        (5, 4, "rtc_fault"), (5, 5, "precharge_failed"), (5, 7, "internal_communication"),
        (6, 0, "current_module"), (6, 2, "short_circuit"), (6, 3, "undervoltage_forbids_charge"),
    ],
)  # fmt: skip
def test_alarm_bits_are_where_the_table_of_the_maker_has_them(byte, bit, name):
    data = bytearray(8)
    data[byte] = 1 << bit

    told = daly.decode(bytes(Frame(1, 0x98, bytes(data))))

    assert told["alarms"] == [name]
    assert len(daly_data.ALARMS) == 56


def test_all_fields_of_a_settings_reply_are_read():
    told = daly.decode(bytes.fromhex("A5 01 50 08 00 04 45 C0 00 00 0C 80 93"))
    assert (told["rated_capacity_ah"], told["rated_cell_voltage_v"]) == (280.0, 3.2)
    # 3.55, 3.60, 2.80, 2.50 V: 0x0DDE 0x0E10 0x0AF0 0x09C4
    levels = daly.decode(bytes(Frame(1, 0x59, bytes.fromhex("0DDE0E100AF009C4"))))
    assert levels["cell_overvoltage_2_v"] == 3.6
    assert levels["cell_undervoltage_1_v"] == 2.8
    # 300 A of discharge is 33000 = 0x80E8, 150 A of charge is 28500 = 0x6F54
    currents = daly.decode(bytes(Frame(1, 0x5B, bytes.fromhex("80E880E86F546F54"))))
    assert currents["discharge_overcurrent_1_a"] == 300.0
    assert currents["charge_overcurrent_2_a"] == 150.0


def test_balancing_bits_count_cells_from_the_lowest_bit():
    told = daly.decode(bytes(Frame(1, 0x97, bytes((0x01, 0x80, 0x01, 0, 0, 0x80, 0, 0)))))

    assert [cell for cell, bleeds in enumerate(told["bleeds"]) if bleeds] == [0, 15, 16, 47]


def test_both_kinds_of_firmware_give_the_same_cells():
    cells = [3.3 + 0.001 * cell for cell in range(24)]

    short = daly.replies(0x95, daly_data.pack_cells(cells))
    long = daly.replies(0x95, daly_data.pack_cells(cells, frames=16))

    assert (len(short), len(long)) == (8 * 13, 16 * 13)
    assert daly.decode(short)["cell_voltages_v"] == daly.decode(long)["cell_voltages_v"]
    assert daly.decode(short)["cell_voltages_v"] == pytest.approx(cells)


def test_a_dead_last_cell_is_kept_if_the_number_of_cells_is_known():
    data = daly_data.pack_cells([3.3, 3.3, 3.3, 0.0], frames=16)

    assert daly_data.cell_voltages(data, cells=4) == [3.3, 3.3, 3.3, 0.0]
    assert daly_data.cell_voltages(data) == [3.3, 3.3, 3.3]
    with pytest.raises(FrameInvalid, match="49 values"):
        daly_data.cell_voltages(data, cells=49)


@pytest.mark.parametrize("numbers", [(1, 3), (2, 1), (1, 1), (0, 1), (16, 17), (255,)])
def test_a_missing_or_disordered_frame_of_a_list_is_rejected(numbers):
    frames = b"".join(bytes(Frame(1, 0x95, bytes((n, 13, 0, 13, 0, 13, 0, 0)))) for n in numbers)

    with pytest.raises(FrameInvalid, match="follow each other"):
        daly.decode(frames)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ("a5019008021400007545037888", "checksum 0x89"),
        ("a50190080214000075450378", "13 bytes"),
        ("a501900802140000754503788900", "13 bytes"),
        ("a6019008021400007545037889", "A5"),
        ("a5019007021400007545037888", "08"),
        ("a5009008021400007545037888", "address"),
        ("", "at least one"),
    ],
)
def test_wrong_frames_are_rejected(frame, complaint):
    with pytest.raises(FrameInvalid, match=complaint):
        daly.decode(bytes.fromhex(frame))


frames = st.builds(Frame, st.integers(1, 0xBF), st.integers(0, 255), st.binary(min_size=8, max_size=8))


@given(frames)
def test_parse_undoes_build(frame):
    assert daly.parse(daly.build(frame)) == frame


@given(command=st.sampled_from(sorted(daly_data.FIELDS)), data=st.data())
def test_values_survive_the_wire_within_half_a_resolution(command, data):
    values = {}
    for field in daly_data.FIELDS[command]:
        raw = data.draw(st.integers(0, 1 if field.scale == 0 else (1 << 8 * field.size) - 1))
        values[field.name] = bool(raw) if field.scale == 0 else (raw - field.bias) * field.scale

    found = daly.values(daly.parse(daly.reply(command, values)))

    for field in daly_data.FIELDS[command]:
        assert found[field.name] == pytest.approx(values[field.name], abs=abs(field.scale) / 2 + 1e-6)


@settings(max_examples=40)
@given(cells=st.lists(st.floats(0, 5), min_size=1, max_size=48), all_slots=st.booleans())
def test_cells_survive_the_wire(cells, all_slots):
    data = daly_data.pack_cells(cells, frames=16 if all_slots else None)

    assert daly_data.cell_voltages(data, cells=len(cells)) == pytest.approx(cells, abs=0.0005001)


@settings(max_examples=40)
@given(degc=st.lists(st.floats(-40, 215), min_size=1, max_size=16))
def test_temperatures_survive_the_wire(degc):
    data = daly_data.pack_temperatures(degc)

    assert daly_data.temperatures(data, sensors=len(degc)) == pytest.approx(degc, abs=0.5)


@settings(max_examples=30)
@given(st.sets(st.integers(0, 55)), st.integers(0, 255))
def test_bits_survive_the_wire(bits, code):
    data = daly_data.pack_bits(bits, code=code)

    assert daly_data.set_bits(data) == sorted(bits)
    assert data[7] == code


@settings(max_examples=60)
@given(st.binary(max_size=40) | st.lists(frames, max_size=4).map(lambda few: b"".join(map(bytes, few))))
def test_decode_raises_nothing_but_its_own_error(data):
    with contextlib.suppress(FrameInvalid):
        json.dumps(daly.decode(data), allow_nan=False)


garbage = st.binary(max_size=8)


@settings(max_examples=60)
@given(parts=st.lists(st.tuples(garbage, frames), min_size=1, max_size=5), cuts=st.lists(st.integers(1, 20)))
def test_a_stream_finds_every_frame_in_fragments_and_garbage(parts, cuts):
    # Garbage that begins a frame of its own by chance is somebody else's problem: no start byte in it.
    data = b"".join(junk.replace(b"\xa5", b"\x5a") + bytes(frame) for junk, frame in parts)
    stream, found = Stream(), []

    for cut in cuts:
        found += stream.feed(data[:cut])
        data = data[cut:]
    found += stream.feed(data)

    assert found == [frame for _, frame in parts]
    assert stream.skipped == sum(len(junk) for junk, _ in parts)


def test_a_false_start_in_front_does_not_eat_a_good_frame():
    good = daly.reply(0x90, {"soc": 0.5})
    stream = Stream()

    assert stream.feed(b"\xa5\x01\xa5" + good) == [daly.parse(good)]
    assert stream.skipped == 3


def test_a_frame_behind_a_truncated_one_is_found():
    # mpp-solar issue 516: a reader with a fixed wait sees a fragment, the rest comes with the next reply.
    first, second = daly.reply(0x90, {"soc": 0.5}), daly.reply(0x93, {"mode": 1})
    stream = Stream()

    assert stream.feed(first[:7]) == []
    assert stream.feed(second) == [daly.parse(second)]
