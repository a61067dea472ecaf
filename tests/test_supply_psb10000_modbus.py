"""EA PSB 10000 over Modbus: registers and coils, scale and sign, and one unit behind both connectors."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from bench.errors import InstrumentRefused
from instruments.supply_psb10000 import Psb10000
from instruments.supply_psb10000_modbus import EXCHANGES, Psb10000Modbus
from tests.fake_terminals import FakeSource
from tests.rig import Rig, rig
from tests.test_supply_psb10000 import FakeBoth, modbus_driver, tell

DEVICE_FAILURE, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 4, 2, 3


@pytest.fixture
def bench() -> Rig:
    made = rig(Psb10000, FakeSource(emf_v=80.0, ohm=0.1), max_v=100.0, max_a=100.0)
    made.driver.prepare()
    return made


@pytest.fixture
def by_registers() -> Rig:
    made = rig(Psb10000Modbus, FakeSource(emf_v=80.0, ohm=0.1), max_v=100.0, max_a=210.0)
    made.driver.prepare()
    return made


def frame(bench: Rig, pdu: str, unit_id: int = 1) -> bytes:
    """The answer's function and data to a request's."""
    data = bytes.fromhex(pdu)
    request = struct.pack(">HHHB", 7, 0, len(data) + 1, unit_id) + data
    reply = bench.twin.faces["modbus"].handle(request)
    assert reply is not None
    assert reply.data[:4] == b"\x00\x07\x00\x00"
    assert reply.data[6] == unit_id
    return reply.data[7:]


def test_the_registers_take_and_answer_every_exchange():
    face = rig(Psb10000Modbus, FakeSource()).face

    for exchange in EXCHANGES:
        reply = face.handle(exchange.request)

        assert reply is not None, exchange
        assert reply.data[7] == exchange.request[7], exchange  # no exception
        if exchange.reply is not None:
            assert reply.data == exchange.reply, exchange


def test_source_writes_counts_of_nominal(by_registers: Rig):
    by_registers.transcript.entries.clear()

    by_registers.driver.source(voltage_v=100.0, current_a=105.0)

    sent = [data[7:].hex(" ", 1) for data in by_registers.transcript.sent("role")]
    # 105 of 420 A is 25 %: 13107 = 0x3333. 100 of 200 V is 50 %: 26214 = 0x6666.
    assert sent == [
        "06 01 f5 33 33",
        "03 01 f5 00 01",
        "06 01 f4 66 66",
        "03 01 f4 00 01",
        "03 01 f9 00 05",
        "05 01 95 ff 00",
        "03 01 f9 00 05",
    ]
    # (100 - 80) V across 0.1 ohm would be 200 A.
    assert by_registers.driver.measure() == pytest.approx((90.5, 105.0), abs=0.5)


def test_both_connectors_are_one_unit(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    # 85 of 200 V: 22282 = 0x570A.
    assert frame(bench, "03 01F4 0001") == bytes.fromhex("03 02 570A")
    assert frame(bench, "01 0192 0001") == bytes.fromhex("01 01 01")
    state = int.from_bytes(frame(bench, "03 01F9 0002")[2:], "big")
    assert state & (1 << 7 | 1 << 11 | 3 << 9) == 1 << 7 | 1 << 11 | 2 << 9  # on, remote, constant current


def test_unit_0_is_answered_too(bench: Rig):
    assert frame(bench, "03 01F4 0001", unit_id=0) == bytes.fromhex("03 02 0000")


def test_a_client_without_remote_control_may_read_but_not_write(bench: Rig):
    for refused in ("06 01F4 0000", "05 0195 0000", "05 019B FF00", "10 01F4 0001 02 0000", "05 0192 FF00"):
        answer = frame(bench, refused)
        assert answer == bytes([int(refused[:2], 16) | 0x80, DEVICE_FAILURE]), refused
    assert frame(bench, "03 01F4 0001")[0] == 3


@pytest.mark.parametrize(("count", "taken"), [(0, True), (53477, True), (53478, False), (65535, False)])
def test_set_values_end_at_102_percent(count: int, taken: bool):
    made = rig(Psb10000Modbus, FakeSource())
    frame(made, "05 0192 FF00")

    answer = frame(made, f"06 01F4 {count:04X}")

    assert answer == (bytes.fromhex(f"06 01F4 {count:04X}") if taken else bytes([0x86, ILLEGAL_VALUE]))


@pytest.mark.parametrize(("count", "taken"), [(57671, True), (57672, False)])
def test_thresholds_end_at_110_percent(count: int, taken: bool):
    made = rig(Psb10000Modbus, FakeSource())
    frame(made, "05 0192 FF00")

    assert frame(made, f"06 022C {count:04X}")[0] == (0x06 if taken else 0x86)


def test_the_whole_rating_can_be_prepared_for():
    made = rig(Psb10000Modbus, FakeSource(), max_v=500.0, max_a=1000.0)

    made.driver.prepare()

    assert made.twin.settings["power_trip"] == pytest.approx(33_000.0)
    assert made.driver.is_off()


def test_a_limit_set_in_volts_is_reached_in_counts():
    made = rig(Psb10000, FakeSource(), max_v=58.4)
    made.driver.prepare()
    tell(made, "SYST:LOCK OFF")
    frame(made, "05 0192 FF00")

    # 58.4 V are 15308.98 counts: the next whole one is a little more than the limit.
    assert frame(made, "06 01F4 3BCD") == bytes.fromhex("06 01F4 3BCD")
    assert frame(made, "06 01F4 3BCE") == bytes([0x86, ILLEGAL_VALUE])


def test_several_registers_are_written_all_or_none(by_registers: Rig):
    # 500 to 502: the power is more than its limit.
    answer = frame(by_registers, "10 01F4 0003 06 1000 1000 FFFF")

    assert answer == bytes([0x90, ILLEGAL_VALUE])
    assert frame(by_registers, "03 01F4 0002") == bytes.fromhex("03 04 0000 0000")


def test_registers_that_do_not_exist_are_declined(bench: Rig):
    assert frame(bench, "03 0064 0001") == bytes([0x83, ILLEGAL_ADDRESS])
    assert frame(bench, "04 01F4 0001") == bytes([0x84, ILLEGAL_ADDRESS])
    assert frame(bench, "01 01F4 0001") == bytes([0x81, ILLEGAL_ADDRESS])


def test_the_current_is_signed_by_the_state():
    made = rig(Psb10000Modbus, FakeBoth(emf_v=80.0, ohm=0.1), max_v=100.0)
    made.driver.prepare()
    made.twin.settings.update(sink_current_a=20.0, sink_power_w=5000.0)

    made.driver.source(voltage_v=70.0, current_a=10.0)

    assert made.driver.measure() == pytest.approx((78.0, -20.0), abs=0.5)


def test_an_alarm_is_seen_and_acknowledged_over_registers(by_registers: Rig):
    by_registers.driver.source(voltage_v=85.0, current_a=20.0)
    by_registers.terminal.emf_v = 106.0
    by_registers.clock.sleep(0.05)
    by_registers.terminal.emf_v = 80.0

    assert by_registers.driver.tripped() == ("alarm",)
    assert not by_registers.terminal.enabled
    with pytest.raises(InstrumentRefused, match="expected no alarm"):
        by_registers.driver.source(voltage_v=85.0, current_a=20.0)

    by_registers.driver.prepare()
    assert by_registers.driver.tripped() == ()


def test_registers_of_another_rating_are_refused():
    made = rig(Psb10000, FakeSource())
    other: Any = made.settings.model_copy(update={"rated_v": 80.0})
    made.settings = other

    with pytest.raises(InstrumentRefused, match=r"rated \(80\.0, 420\.0, 30000\.0\) V, A, W, found \(200\.0"):
        modbus_driver(made).prepare()


def test_the_identity_is_read_from_text_registers(by_registers: Rig):
    maker, model, serial, *firmware = by_registers.driver.identity().split(", ")

    assert maker == "EA Elektro-Automatik GmbH & Co. KG"
    assert (model, serial) == ("PSB 10200-420", "2120440001")
    assert firmware == ["KE 3.10", "HMI 4.09", "DR 1.0.7"]
