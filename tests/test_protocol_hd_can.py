"""The hd_can codec against its reference page, against cantools and against its own inverse."""

from __future__ import annotations

import contextlib
import json
import math

import cantools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import FrameInvalid
from dut_profiles.protocols import hd_can
from dut_profiles.protocols.exchange import Exchange
from dut_profiles.protocols.signals import Layout, words


def crc8_bitwise(data: bytes) -> int:
    """CRC-8 SAE J1850 by its definition, one bit at a time."""
    register = 0xFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register << 1 ^ (0x1D if register & 0x80 else 0)) & 0xFF
    return register ^ 0xFF


def test_the_bitwise_crc_gives_the_published_check_value():
    # Check value of CRC-8/SAE-J1850 in the catalogue of parametrised CRC algorithms.
    assert crc8_bitwise(b"123456789") == 0x4B


@given(can_id=st.integers(0, 0x7FF), data=st.binary(min_size=8, max_size=8))
def test_crc_follows_its_definition_over_identifier_and_seven_bytes(can_id, data):
    expected = crc8_bitwise(bytes((can_id & 0xFF, can_id >> 8)) + data[:7])

    assert hd_can.crc(can_id, data) == expected
    whole = data[:7] + bytes((expected,))
    assert hd_can.crc_matches(np.array([can_id], np.uint16), words([whole])).tolist() == [True]
    wrong = data[:7] + bytes((expected ^ 1,))
    assert hd_can.crc_matches(np.array([can_id], np.uint16), words([wrong])).tolist() == [False]


@pytest.mark.parametrize("exchange", hd_can.EXCHANGES, ids=lambda e: f"{e.can_id:03X}-{e.told.hex()}")
def test_decode_reads_the_frames_of_the_reference_page(exchange: Exchange):
    told = hd_can.decode(exchange.told, can_id=exchange.can_id)

    for key, expected in exchange.means:
        assert told[key] == pytest.approx(expected) if isinstance(expected, float) else told[key] == expected


def test_the_database_has_the_alarms_in_the_order_of_the_table():
    alarms = hd_can.database().get_message_by_frame_id(0x303)

    assert [s.name for s in alarms.signals if s.name not in ("counter", "crc")] == list(hd_can.ALARMS)
    assert [alarms.get_signal_by_name(name).start for name in hd_can.ALARMS] == list(range(38))
    assert hd_can.ALARMS.index("short_circuit") == 10
    assert hd_can.ALARMS.index("open_sense_wire") == 20
    assert hd_can.ALARMS.index("host_frame_rejected") == 30


@pytest.mark.parametrize(
    ("message", "signal", "start", "length", "signed", "scale"),
    [
        ("PackState", "soc", 16, 10, False, 0.1),
        ("PackState", "soh", 26, 10, False, 0.1),
        ("PackState", "fault_index", 36, 8, False, 1),
        ("PackState", "discharge_allowed", 14, 1, False, 1),
        ("PackValues", "current", 16, 20, True, 0.01),
        ("PackValues", "link_v", 36, 16, False, 0.01),
        ("Limits", "regen_limit", 24, 12, False, 0.5),
        ("CellExtremes", "min_index", 34, 8, False, 1),
        ("TemperatureExtremes", "board", 40, 12, True, 0.1),
        ("Insulation", "charger_v", 32, 16, False, 0.01),
        ("Power", "charge_10s", 16, 16, False, 10),
        ("Counters", "discharged", 34, 18, False, 1),
        ("LogEntry", "time", 16, 48, False, 1),
        ("LogEntry", "current", 16, 24, True, 0.01),
    ],
)
def test_signals_are_where_the_reference_page_puts_them(message, signal, start, length, signed, scale):
    found = hd_can.database().get_message_by_name(message).get_signal_by_name(signal)

    assert (found.start, found.length, found.is_signed, found.scale) == (start, length, signed, scale)


def test_cyclic_messages_say_so_in_the_database():
    not_cyclic = {m.name for m in hd_can.database().messages if m.cycle_time != 100}

    assert not_cyclic == {"LogRequest", "ServiceReset", "LogEntry"}


def test_all_groups_of_a_multiplexed_message_have_the_layout_of_the_first():
    for can_id, stem in ((hd_can.CELL_VOLTAGES, "cell"), (hd_can.CELL_TEMPERATURES, "sensor")):
        fields = hd_can.messages()[can_id].fields
        groups = max(max(field.mux) for field in fields.values() if field.mux) + 1
        for group in range(groups):
            for slot in range(3):
                first, here = fields[f"{stem}_{slot}"], fields[f"{stem}_{3 * group + slot}"]
                assert here.mux == {group}
                assert (here.shift, here.length, here.scale, here.sna) == (
                    first.shift, first.length, first.scale, first.sna,
                )  # fmt: skip


def assert_like_cantools(message, data: bytes) -> None:
    expected = message.decode(data, decode_choices=False)
    layout, word = Layout.of(message), int.from_bytes(data, "little")
    found = layout.decode(words([data]), expected)
    for name, value in expected.items():
        raw = message.get_signal_by_name(name).conversion.numeric_scaled_to_raw(value)
        if layout.fields[name].sna is not None and raw == layout.fields[name].sna:
            assert math.isnan(found[name][0])
            assert math.isnan(layout.fields[name].value(word))
        else:
            assert found[name][0] == pytest.approx(value, rel=1e-12)
            assert layout.fields[name].value(word) == pytest.approx(value, rel=1e-12)


@settings(max_examples=150)
@given(can_id=st.sampled_from(sorted(hd_can.messages())), data=st.binary(min_size=8, max_size=8))
def test_the_array_decoder_agrees_with_cantools(can_id, data):
    message = hd_can.database().get_message_by_frame_id(can_id)
    if message.is_multiplexed():
        groups = {0x310: 16, 0x311: 8, 0x320: 5}[can_id]
        data = bytes((data[0] % groups,)) + data[1:]

    assert_like_cantools(message, data)


MOTOROLA = """VERSION ""
NS_ :
BS_:
BU_: A
BO_ 592 Cells: 8 A
 SG_ mux M : 7|8@0+ (1,0) [0|0] "" A
 SG_ low m0 : 15|13@0+ (1,0) [0|0] "mV" A
 SG_ high m0 : 18|13@0- (0.5,-3) [0|0] "mV" A
 SG_ other m1 : 15|32@0- (0.001,0) [0|0] "A" A
"""


@given(group=st.integers(0, 1), rest=st.binary(min_size=7, max_size=7))
def test_the_array_decoder_knows_motorola_signals_too(group, rest):
    message = cantools.database.load_string(MOTOROLA, "dbc").messages[0]

    assert_like_cantools(message, bytes((group,)) + rest)


def test_an_array_decoder_leaves_out_what_a_frame_does_not_carry():
    layout = hd_can.messages()[hd_can.CELL_VOLTAGES]
    frames = [hd_can.build(0x310, {"group": g, f"cell_{3 * g}": 3300 + g}, counter=0) for g in (0, 5)]

    found = layout.decode(words(frames), ["cell_0", "cell_15"])

    assert found["cell_0"][0] == 3300
    assert math.isnan(found["cell_0"][1])
    assert found["cell_15"][1] == 3305


@st.composite
def messages(draw):
    can_id = draw(st.sampled_from(sorted(set(hd_can.messages()) - {hd_can.SERVICE_RESET})))
    layout = hd_can.messages()[can_id]
    group = None
    if layout.multiplexor:
        group = draw(st.sampled_from(sorted({g for f in layout.fields.values() if f.mux for g in f.mux})))
    values = {}
    for field in layout.fields.values():
        if field.name in ("counter", "crc") or (field.mux and group not in field.mux):
            continue
        low = -(1 << field.length - 1) if field.signed else 0
        raw = draw(st.integers(low, low + (1 << field.length) - 1))
        values[field.name] = None if raw == field.sna else raw * field.scale
    if layout.multiplexor:
        values[layout.multiplexor.name] = group
    return can_id, values, draw(st.integers(0, 15)) if hd_can.is_protected(can_id) else None


@settings(max_examples=100)
@given(messages())
def test_parse_undoes_build(message):
    can_id, values, counter = message

    found = hd_can.parse(can_id, hd_can.build(can_id, values, counter=counter))

    assert found.counter == counter
    assert set(found.values) == set(values)
    for name, value in values.items():
        assert found.values[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))


@settings(max_examples=150)
@given(
    can_id=st.integers(0, 0x7FF) | st.sampled_from(sorted(hd_can.messages())),
    data=st.binary(max_size=10),
    mend=st.booleans(),
)
def test_parse_and_decode_raise_nothing_but_their_own_error(can_id, data, mend):
    if mend:
        data = hd_can.protect(can_id, data.ljust(8, b"\0"), 3)
    with contextlib.suppress(FrameInvalid):
        hd_can.parse(can_id, data)
    with contextlib.suppress(FrameInvalid):
        json.dumps(hd_can.decode(data, can_id=can_id), allow_nan=False)


def test_a_frame_with_one_flipped_bit_is_rejected():
    good = hd_can.host_command("charge", counter=3)

    for bit in range(64):
        bad = (int.from_bytes(good, "little") ^ 1 << bit).to_bytes(8, "little")
        with pytest.raises(FrameInvalid, match="crc"):
            hd_can.parse(0x200, bad)


def test_decode_without_an_identifier_asks_for_it():
    with pytest.raises(FrameInvalid, match="--id"):
        hd_can.decode(bytes(8))


def test_values_that_do_not_fit_are_refused_with_their_range():
    with pytest.raises(FrameInvalid, match=r"pack_v from 0 to 655\.35 V"):
        hd_can.build(0x301, {"pack_v": 700.0}, counter=0)
    with pytest.raises(FrameInvalid, match="no counter"):
        hd_can.build(0x202, {"first": 1}, counter=0)
    with pytest.raises(FrameInvalid, match="speed"):
        hd_can.build(0x301, {"speed": 1}, counter=0)


def test_five_parts_make_one_log_entry():
    parts = [
        hd_can.build(0x320, {"entry": 7, "part": part} | values)
        for part, values in enumerate(
            (
                {"kept": 9, "code": 1, "index": None, "level": 2, "kind": 0},
                {"time": 86_400_000},
                {"current": -12.5, "pack_v": 79.2, "soc": 50},
                {"highest": 3601, "lowest": 3300, "highest_index": 4},
                {"hottest": 31.5, "coldest": -3.5, "main_minus": 1, "state": 4},
            )
        )
    ]

    entry = hd_can.log_entry(parts[::-1])

    assert (entry["code"], entry["index"], entry["time"], entry["current"]) == (1, None, 86_400_000, -12.5)
    assert (entry["highest"], entry["coldest"], entry["main_minus"], entry["main_plus"]) == (3601, -3.5, 1, 0)
    with pytest.raises(FrameInvalid, match="parts 0 to 4"):
        hd_can.log_entry(parts[:4])
    with pytest.raises(FrameInvalid, match="parts 0 to 4"):
        hd_can.log_entry([])


def test_host_frames_have_hand_computed_bytes():
    assert hd_can.host_command("drive", counter=5).hex(" ") == "23 00 00 00 00 00 50 94"
    assert hd_can.log_request(first=255, number=1).hex(" ") == "ff 01 00 00 00 00 00 00"
    assert hd_can.SERVICE_KEY.hex(" ") == "b5 1e 5e 47 1c e0 0f 01"
