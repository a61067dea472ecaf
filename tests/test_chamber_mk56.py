"""Binder chambers: register sets, low word first, exceptions, rates that the driver keeps, damaged frames."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, WireError
from bench.wires.modbus_server import rtu
from bench.wires.twin import Reply
from instruments.chamber_mk56 import EXCHANGES, BinderChamber
from instruments.chamber_mk56_twin import BinderTwin, to_float, to_words
from tests.fake_terminals import FakeChamber
from tests.rig import Rig, rig

MINUTE = 60.0


def chamber(**options: object) -> Rig:
    return rig(BinderChamber, FakeChamber(), **options)


def device(**options: object) -> tuple[BinderTwin, Clock, FakeChamber]:
    clock, terminal = Clock(), FakeChamber()
    return BinderTwin(terminal, clock=clock, options=BinderChamber.Options(**options)), clock, terminal


def asks(twin: BinderTwin, pdu: str) -> str:
    """The PDU of the answer, in hexadecimal."""
    reply = twin.handle(rtu(1, bytes.fromhex(pdu)))
    assert reply is not None
    assert reply.data == rtu(1, reply.data[1:-2])
    return reply.data[1:-2].hex()


def sent(bench: Rig) -> list[str]:
    """The PDUs that the driver sent since the last call, in hexadecimal."""
    frames = bench.transcript.sent("role")
    bench.transcript.entries.clear()
    return [frame[1:-2].hex() for frame in frames]


def test_a_float_goes_low_word_first():
    # 25.5 is 0x41CC0000, -40 is 0xC2200000, 25.1 is 0x41C8CCCD.
    assert to_words(25.5) == [0x0000, 0x41CC]
    assert to_words(-40.0) == [0x0000, 0xC220]
    assert to_words(25.1) == [0xCCCD, 0x41C8]
    assert to_float([0xCCCD, 0x41C8]) == pytest.approx(25.1, abs=1e-5)


@given(st.floats(width=32))
def test_a_float_survives_its_registers(value: float):
    found = to_float(to_words(value))

    assert found == value or (math.isnan(found) and math.isnan(value))


def test_the_twin_answers_as_known():
    twin, _, _ = device()

    for exchange in EXCHANGES:
        reply = twin.handle(exchange.request)
        assert reply is not None
        if exchange.reply is not None:
            assert reply.data == exchange.reply, exchange.note


def test_the_driver_sends_as_known_to_an_mk56():
    bench = chamber()
    bench.driver.prepare()
    sent(bench)

    bench.driver.control(temperature_degc=32.0)
    started = sent(bench)
    bench.driver.off()

    assert started == [
        "0310040002",
        "10114c00020400004200",
        "0310b20002",
        "0312920001",
        "0611580000",
        "0312920001",
    ]
    assert sent(bench) == ["0312920001", "0611580002"]


def test_the_driver_sends_as_known_to_an_mk53():
    bench = chamber(model="mk53")
    bench.driver.prepare()
    sent(bench)

    bench.driver.control(temperature_degc=32.0)
    started = sent(bench)
    bench.driver.off()

    # Both set points as basil writes them, then the manual mode, 0x0800.
    assert started == [
        "0311a90002",
        "10158100020400004200",
        "10156f00020400004200",
        "0310770002",
        "031a220001",
        "061a220800",
        "031a220001",
    ]
    assert sent(bench) == ["061a220000"]
    assert bench.driver.is_off()


@pytest.mark.parametrize("model", ["mk56", "mk53"])
def test_the_air_comes_and_the_chamber_lets_go(model: str):
    bench = chamber(model=model)
    bench.driver.prepare()

    bench.driver.control(temperature_degc=40.0)
    bench.clock.sleep(0.1 * MINUTE)
    soon_degc = bench.terminal.air_degc
    bench.clock.sleep(40 * MINUTE)
    there_degc, measured_degc = bench.terminal.air_degc, bench.driver.measure()
    bench.driver.off()
    bench.clock.sleep(600 * MINUTE)

    assert 22.0 < soon_degc < 26.0
    assert there_degc == pytest.approx(40.0, abs=1.0)
    assert measured_degc == pytest.approx(there_degc, abs=1.0)
    assert bench.terminal.closed
    assert bench.terminal.air_degc == pytest.approx(22.0, abs=0.5)


def test_a_rate_is_kept_by_small_steps_and_ends_at_the_set_point():
    bench = chamber()
    bench.driver.prepare()

    bench.driver.control(temperature_degc=12.0, rate_k_per_min=1.0)
    bench.clock.sleep(5 * MINUTE)
    halfway_degc = bench.terminal.air_degc
    bench.clock.sleep(6 * MINUTE)
    sent(bench)
    bench.clock.sleep(20 * MINUTE)

    assert halfway_degc == pytest.approx(17.0, abs=1.2)
    assert bench.terminal.air_degc == pytest.approx(12.0, abs=1.0)
    assert sent(bench) == []  # the ramp is over: the driver is silent


def test_off_ends_the_ramp():
    bench = chamber()
    bench.driver.prepare()
    bench.driver.control(temperature_degc=60.0, rate_k_per_min=1.0)
    bench.clock.sleep(1 * MINUTE)

    bench.driver.off()
    sent(bench)
    bench.clock.sleep(5 * MINUTE)

    assert sent(bench) == []
    assert bench.driver.is_off()


def test_outside_its_limits_is_refused_before_anything_is_sent():
    bench = chamber(hottest_degc=85.0)
    bench.driver.prepare()
    sent(bench)

    for temperature_degc, rate in ((85.1, None), (-40.1, None), (30.0, 0.0), (30.0, -2.0)):
        with pytest.raises(InstrumentRefused, match="role refused"):
            bench.driver.control(temperature_degc=temperature_degc, rate_k_per_min=rate)

    assert sent(bench) == []


def test_the_driver_says_what_the_chamber_declined():
    bench = chamber()
    bench.driver.options = bench.settings.model_copy(update={"model": "mk53"})

    with pytest.raises(
        InstrumentRefused, match=r"read register 0x1a22 .* found 2, invalid parameter address"
    ):
        bench.driver.is_off()


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        ("10 10B2 0002 04 0000 4200", "9005"),  # the set point in force is read only
        ("10 1004 0002 04 0000 4200", "9005"),
        ("06 1292 0000", "8605"),
        ("10 114C 0002 04 0000 4396", "9003"),  # 300 degC
        ("10 114C 0002 04 0000 7FC0", "9003"),  # not a number
        ("10 114C 0001 02 0000", "9003"),
        ("03 1004 0003", "8302"),
        ("03 1A22 0001", "8302"),  # the mode of the other controller
        ("04 1004 0002", "8401"),
        ("01 0000 0001", "8101"),
    ],
)
def test_the_twin_declines_as_the_controller_does(request_pdu: str, answer: str):
    twin, _, _ = device()

    assert asks(twin, request_pdu) == answer


def test_an_mk53_has_no_program_to_run():
    twin, _, terminal = device(model="mk53")

    assert asks(twin, "06 1A22 0400") == "8604"
    assert not terminal.closed


def test_the_limiter_takes_the_power_away():
    bench = chamber(limiter_degc=40.0)
    bench.driver.prepare()

    bench.driver.control(temperature_degc=80.0)
    bench.clock.sleep(30 * MINUTE)

    assert bench.twin.inside.tripped
    assert bench.terminal.air_degc < 42.0


def test_a_wrong_check_or_address_gets_no_answer():
    twin, _, _ = device()
    frame = rtu(1, bytes.fromhex("0310040002"))

    assert twin.handle(frame[:-1] + bytes([frame[-1] ^ 1])) is None
    assert twin.handle(rtu(2, bytes.fromhex("0310040002"))) is None


@pytest.mark.parametrize(
    ("answer", "error", "what"),
    [
        (None, WireError, "found silence"),
        (Reply(rtu(1, bytes.fromhex("0304000042"))), FrameInvalid, "valid check"),
        (Reply(rtu(1, bytes.fromhex("030400007FC0"))), WireError, "expected a temperature as the actual"),
    ],
)
def test_strange_answers_are_told(answer: Reply | None, error: type[Exception], what: str):
    bench = chamber()
    bench.twin.handle = lambda _frame: answer

    with pytest.raises(error, match=what):
        bench.driver.measure()


@given(st.binary(max_size=40), st.sampled_from(["mk56", "mk53"]))
def test_no_frame_breaks_the_controller(data: bytes, model: str):
    twin, clock, _ = device(model=model)

    twin.handle(data)
    twin.handle(rtu(1, data))
    clock.sleep(1.0)
