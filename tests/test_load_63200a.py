"""Chroma 63200A: exact bytes, a battery that sags, ranges, protections that latch."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused, NotReady
from bench.wires.twin import Reply
from instruments.load_63200a import Load63200A
from tests.fake_terminals import FakeLoad
from tests.rig import Rig, rig


@pytest.fixture
def bench() -> Rig:
    made = rig(Load63200A, FakeLoad(emf_v=80.0, ohm=0.02), max_a=1500.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def test_prepare_leaves_the_input_off_and_reads_everything_back():
    made = rig(Load63200A, FakeLoad(), slew_a_per_us=2.5)

    made.sent()
    made.driver.prepare()

    assert [line for line in made.sent() if line != "SYST:ERR?"] == [
        "*OPC?",
        "*RST",
        "*CLS",
        "LOAD 0",
        "LOAD:PROT:CLE",
        "MODE CCH",
        "MODE?",
        "CURR:STAT:L1 0.000",
        "CURR:STAT:L1?",
        "CURR:STAT:RISE 2.5000",
        "CURR:STAT:RISE?",
        "CURR:STAT:FALL 2.5000",
        "CURR:STAT:FALL?",
        "LOAD:SHOR 0",
        "LOAD:SHOR?",
        "LOAD?",
    ]
    assert made.driver.is_off()


def test_sink_sends_the_level_before_it_switches_on(bench: Rig):
    bench.sent()

    bench.driver.sink(current_a=280.0)

    assert bench.sent() == ["CURR:STAT:L1 280.000", "SYST:ERR?", "LOAD 1", "SYST:ERR?", "STAT:CHAN:COND?"]


def test_current_flows_and_the_battery_sags(bench: Rig):
    bench.driver.sink(current_a=200.0)

    # 80 V less 200 A x 0.02 ohm
    assert bench.driver.measure() == pytest.approx((76.0, 200.0), abs=0.3)


def test_a_dead_bus_gives_nothing_whatever_is_set(bench: Rig):
    bench.terminal.emf_v = 0.0

    bench.driver.sink(current_a=200.0)

    assert bench.driver.measure() == pytest.approx((0.0, 0.0), abs=0.4)


def test_sink_before_prepare_is_refused():
    made = rig(Load63200A, FakeLoad())

    with pytest.raises(NotReady):
        made.driver.sink(current_a=1.0)
    assert not made.terminal.enabled


@pytest.mark.parametrize("amps", [1500.001, -0.001, float("nan")])
def test_the_station_refuses_before_anything_is_sent(bench: Rig, amps: float):
    bench.sent()

    with pytest.raises(InstrumentRefused, match="nothing was sent"):
        bench.driver.sink(current_a=amps)

    assert bench.sent() == []


def test_the_instruments_own_refusal_is_quoted():
    made = rig(Load63200A, FakeLoad(), max_a=5000.0)
    made.driver.prepare()

    with pytest.raises(InstrumentRefused, match=r'"CURR:STAT:L1 2000.100".*-222,"Data out of range"'):
        made.driver.sink(current_a=2000.1)


def test_over_power_trips_latches_and_needs_clearing(bench: Rig):
    bench.driver.sink(current_a=320.0)  # 73.6 V x 320 A = 23.6 kW
    bench.clock.sleep(0.05)
    assert bench.terminal.enabled

    bench.driver.sink(current_a=360.0)  # 72.8 V x 360 A = 26.2 kW, above 105 % of 24 kW
    bench.clock.sleep(0.05)

    assert not bench.terminal.enabled
    assert bench.driver.tripped() == ("OPP",)
    assert bench.driver.is_off()
    with pytest.raises(InstrumentRefused):
        bench.driver.sink(current_a=10.0)
    bench.driver.prepare()
    bench.driver.sink(current_a=10.0)
    assert bench.terminal.enabled


def test_over_voltage_trips_even_with_the_input_off(bench: Rig):
    bench.terminal.emf_v = 160.0

    bench.clock.sleep(0.02)

    assert bench.driver.tripped() == ("OVP",)


def test_the_range_letter_limits_the_level(bench: Rig):
    bench.twin.handle(b"CURR:STAT:L1 500")
    bench.twin.handle(b"MODE CCM")

    assert ask(bench, "CURR:STAT:L1?") == "200.0000"
    bench.twin.handle(b"CURR:STAT:L1 201")
    assert ask(bench, "SYST:ERR?") == '-222,"Data out of range"'


def test_fetch_repeats_what_measure_saw(bench: Rig):
    measured = ask(bench, "MEAS:VOLT?")
    bench.terminal.emf_v = 60.0

    assert ask(bench, "FETC:VOLT?") == measured
    assert float(ask(bench, "MEAS:VOLT?")) == pytest.approx(60.0, abs=0.1)


def test_slew_reaches_a_terminal_that_has_one():
    terminal = FakeLoad()
    terminal.slew_a_per_s = float("inf")  # type: ignore[attr-defined]

    rig(Load63200A, terminal, slew_a_per_us=2.0).driver.prepare()

    assert terminal.slew_a_per_s == pytest.approx(2e6)  # type: ignore[attr-defined]


def test_poll_makes_traces(bench: Rig):
    bench.driver.sink(current_a=100.0)
    bench.clock.every(0.1, bench.driver.poll, name="poll")

    bench.clock.sleep(0.55)

    traces = bench.driver.traces()
    assert sorted(traces) == ["role.current_a", "role.voltage_v"]
    assert len(traces["role.current_a"]) == 5
    assert str(traces["role.current_a"].origin) == "measured by role"
    assert traces["role.voltage_v"].last == pytest.approx(78.0, abs=0.1)
