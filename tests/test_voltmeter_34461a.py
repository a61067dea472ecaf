"""Keysight 34461A: exact bytes, ranges and overload, time of an integration, triggers, shunt and divider."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bench.errors import NotReady, StationInvalid
from bench.wires.twin import Reply
from instruments.voltmeter_34461a import Dmm34461A
from tests.fake_terminals import FakeMeter
from tests.rig import Rig, rig


def meter(**options: object) -> Rig:
    made = rig(Dmm34461A, FakeMeter(pack_v=80.0), max_v=100.0, max_a=500.0, **options)
    made.driver.prepare()
    return made


@pytest.fixture
def bench() -> Rig:
    return meter()


def answer(bench: Rig, message: str) -> Reply:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply


def ask(bench: Rig, message: str) -> str:
    return answer(bench, message).data.decode().strip()


def test_prepare_sets_function_range_and_integration():
    made = rig(Dmm34461A, FakeMeter(), range_v=100.0, nplc=10)

    made.driver.prepare()

    assert [line for line in made.sent() if line != "SYST:ERR?"][1:] == [  # the first opens the wire
        "ABOR",
        "*RST",
        "*CLS",
        'FUNC "VOLT"',
        "FUNC?",
        "VOLT:DC:RANG 1.000000e+02",
        "VOLT:DC:NPLC 10.0000",
        "VOLT:DC:NPLC?",
    ]


def test_a_reading_is_one_query(bench: Rig):
    bench.sent()

    value = bench.driver.measure()

    assert bench.sent() == ["READ?"]
    # 45 ppm of 80 V and 6 ppm of 100 V are 4.2 mV.
    assert value == pytest.approx(80.0, abs=0.0042)


def test_the_trace_has_the_name_of_the_point_and_an_uncertainty(bench: Rig):
    start_s = bench.clock.now_s
    bench.clock.every(0.5, bench.driver.poll, name="poll")

    bench.clock.sleep(2.1)

    (name,) = bench.driver.traces()
    trace = bench.driver.traces()[name]
    assert (name, trace.unit, str(trace.origin)) == ("pack_v", "V", "measured by role")
    # Stamped in the middle of 1 / 50 s.
    assert trace.t_s - start_s == pytest.approx([0.51, 1.01, 1.51, 2.01])
    # 2 x (45 ppm x 100 V + 6 ppm x 100 V) / sqrt(3)
    assert trace.uncertainty == pytest.approx(0.00589, rel=0.01)


@pytest.mark.parametrize(
    ("nplc", "line_hz", "seconds"),
    [(0.02, 50, 0.0008), (1, 50, 0.04), (1, 60, 2 / 60), (10, 50, 0.4), (100, 50, 4.0)],
)
def test_an_integration_takes_its_time_and_the_automatic_zero_as_long(
    nplc: float, line_hz: int, seconds: float
):
    bench = meter(nplc=nplc, line_hz=line_hz, latency_s=0.0)

    before_s = bench.clock.now_s
    bench.driver.measure()

    assert bench.clock.now_s - before_s == pytest.approx(seconds, rel=1e-6)
    bench.twin.handle(b"VOLT:ZERO:AUTO OFF")
    assert answer(bench, "READ?").delay_s == pytest.approx(seconds / 2)


@pytest.mark.parametrize(
    ("volts", "is_overload"), [(11.99, False), (12.01, True), (-11.99, False), (-12.01, True)]
)
def test_beyond_120_percent_of_a_fixed_range_is_overload(volts: float, is_overload: bool):
    bench = meter(range_v=10.0)
    bench.terminal.pack_v = volts

    assert np.isnan(bench.driver.measure()) == is_overload
    raw = float(ask(bench, "READ?"))
    assert abs(raw) == 9.9e37 if is_overload else raw == pytest.approx(volts, abs=0.001)
    assert np.sign(raw) == np.sign(volts)


@pytest.mark.parametrize(
    ("volts", "range_v"), [(0.05, 0.1), (0.119, 0.1), (0.5, 1), (11.0, 10), (80, 100), (500, 1000)]
)
def test_autorange_takes_the_smallest_range_that_holds(bench: Rig, volts: float, range_v: float):
    bench.terminal.pack_v = volts

    bench.driver.measure()

    assert float(ask(bench, "VOLT:RANG?")) == pytest.approx(range_v)
    assert ask(bench, "VOLT:RANG:AUTO?") == "1"


def test_a_shunt_makes_volts_a_current():
    # 50 mV at 500 A: 10,000 A/V.
    bench = meter(point="current_a", scale=10_000.0, scale_accuracy=0.001, range_v=0.1)
    bench.terminal.current_a = -300.0

    # -30 mV on the 100 mV range: 50 ppm of reading and 3.5 uV are 5 uV, or 0.05 A.
    assert bench.driver.measure() == pytest.approx(-300.0, abs=0.05)
    assert float(ask(bench, "READ?")) == pytest.approx(-0.03, abs=5e-6)
    bench.driver.poll()
    trace = bench.driver.traces()["current_a"]
    assert trace.unit == "A"
    # The shunt: 2 / sqrt(3) x 0.1 % of 500 A is 0.577 A; the meter adds 0.07 A.
    assert trace.uncertainty == pytest.approx(0.582, abs=0.005)


def test_a_divider_makes_a_high_voltage_small():
    bench = meter(scale=100.0)
    bench.terminal.pack_v = 750.0

    assert bench.driver.measure() == pytest.approx(750.0, abs=0.05)
    assert float(ask(bench, "READ?")) == pytest.approx(7.5, abs=0.0005)


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(StationInvalid, match="point"):
        meter(point="cell_v")
    with pytest.raises(StationInvalid, match="point"):
        meter(point="switch.main_plus")
    with pytest.raises(StationInvalid, match="thermocouples"):
        meter(point="temperature_degc[2]")
    with pytest.raises(ValidationError, match="found 0"):
        meter(scale=0.0)
    with pytest.raises(ValidationError, match=r"expected 0\.02, 0\.2, 1, 10, 100, found 5"):
        meter(nplc=5)


def test_a_reading_before_prepare_is_refused():
    with pytest.raises(NotReady):
        rig(Dmm34461A, FakeMeter()).driver.measure()


def test_readings_that_nobody_waits_for_are_taken_by_its_own_clock(bench: Rig):
    bench.twin.handle(b"VOLT:ZERO:AUTO OFF;:SAMP:COUN 5;:INIT")  # 5 x 20 ms
    assert ask(bench, "STAT:OPER:COND?") == "16"

    for volts in (10.0, 20.0, 30.0, 40.0, 50.0):
        bench.terminal.pack_v = volts
        bench.clock.sleep(0.02)

    assert ask(bench, "STAT:OPER:COND?") == "0"
    assert ask(bench, "DATA:POIN?") == "+5"
    readings = [float(text) for text in ask(bench, "FETC?").split(",")]
    assert readings == pytest.approx([10.0, 20.0, 30.0, 40.0, 50.0], rel=1e-3)


def test_fetch_waits_for_what_is_not_there_yet(bench: Rig):
    bench.twin.handle(b"VOLT:ZERO:AUTO OFF;:SAMP:COUN 5;:INIT")
    bench.clock.sleep(0.05)  # two of five

    reply = answer(bench, "FETC?")

    assert reply.data.count(b",") == 4
    assert reply.delay_s == pytest.approx(0.06, abs=0.002)


def test_a_bus_trigger_starts_the_readings(bench: Rig):
    bench.twin.handle(b"TRIG:SOUR BUS;COUN 2;:INIT")
    bench.clock.sleep(1.0)
    assert ask(bench, "STAT:OPER:COND?") == "32"
    assert not bench.driver.is_off()
    assert ask(bench, "DATA:POIN?") == "+0"

    for _ in range(2):
        bench.twin.handle(b"*TRG")
        bench.clock.sleep(0.1)

    assert ask(bench, "DATA:POIN?") == "+2"
    bench.twin.handle(b"*TRG")
    assert ask(bench, "SYST:ERR?") == '-211,"Trigger ignored"'


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (["TRIG:SOUR BUS", "READ?"], '-214,"Trigger deadlock"'),
        (["FETC?"], '-230,"Data corrupt or stale"'),
        (["TRIG:SOUR BUS", "INIT", "INIT"], '-213,"Init ignored"'),
        (["SAMP:COUN 10001", "READ?"], '-225,"Out of memory"'),
        (["DATA:REM? 1"], '-222,"Data out of range"'),
        (["VOLT:RANG 1001"], '-222,"Data out of range"'),
        (['FUNC "WATT"'], '-224,"Illegal parameter value"'),
        (["VOLT:NPLC 0.01"], '-222,"Data out of range"'),
        (["FREQ:NPLC 1"], '-113,"Undefined header"'),
    ],
)
def test_it_declines_what_the_real_one_declines(bench: Rig, messages: list[str], error: str):
    for message in messages:
        bench.twin.handle(message.encode())

    assert ask(bench, "SYST:ERR?") == error


def test_readings_leave_the_memory_as_a_block(bench: Rig):
    bench.twin.handle(b"SAMP:COUN 3")
    ask(bench, "READ?")

    block = ask(bench, "R? 2")

    assert block.startswith("#231+")  # 2 x 15 characters and a comma
    assert len(block) == 4 + 31
    assert ask(bench, "DATA:POIN?") == "+1"


def test_resolution_and_integration_are_two_names_of_one_thing(bench: Rig):
    bench.twin.handle(b"VOLT:DC:RANG 10;:VOLT:DC:NPLC 0.2")
    assert float(ask(bench, "VOLT:DC:RES?")) == pytest.approx(1e-4)  # 10 ppm of 10 V

    bench.twin.handle(b"VOLT:DC:RES 1e-5")

    assert float(ask(bench, "VOLT:DC:NPLC?")) == 10.0


def test_configure_brings_back_the_defaults(bench: Rig):
    bench.twin.handle(b"VOLT:NPLC 0.02;:SAMP:COUN 7;:TRIG:SOUR BUS")

    bench.twin.handle(b"CONF:VOLT:DC 10,3e-5")

    assert ask(bench, "CONF?") == '"VOLT +1.00000000E+01,+3.00000000E-05"'
    assert ask(bench, "SAMP:COUN?;:TRIG:SOUR?") == "1;IMM"
    assert float(ask(bench, "VOLT:NPLC?")) == 1.0


@pytest.mark.parametrize(
    ("function", "value"),
    [("RES", 9.9e37), ("DIOD", 9.9e37), ("CURR:DC", 0.0), ("VOLT:AC", 0.0), ("FREQ", 0.0)],
)
def test_only_the_voltage_input_is_connected(bench: Rig, function: str, value: float):
    assert float(ask(bench, f"MEAS:{function}?")) == value


def test_the_station_file_finds_its_serial_number():
    made = rig(Dmm34461A, FakeMeter(), serial="MY53201234")

    assert made.driver.identity().split(",")[:3] == ["Keysight Technologies", "34461A", "MY53201234"]
