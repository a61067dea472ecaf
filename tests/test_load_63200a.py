"""Chroma 63200A: exact bytes, a battery that sags, ranges, protections that latch."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused, NotReady
from bench.wires.twin import Reply
from instruments.load_63200a import Load63200A
from instruments.roles import Step
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


@pytest.fixture
def ped_bench() -> Rig:
    """A 63206A as PythonEquipmentDrivers knows it, with a battery of 80 V behind 20 mohm."""
    made = rig(
        Load63200A,
        FakeLoad(emf_v=80.0, ohm=0.02),
        max_a=600.0,
        model="63206A-150-600",
        serial="632060001234",
        rated_a=600.0,
        rated_w=6000.0,
    )
    made.driver.prepare()
    return made


def test_its_identity_is_that_of_the_type_plate(ped_bench: Rig):
    assert ped_bench.driver.identity() == "Chroma,63206A-150-600,632060001234,01.00"


@pytest.mark.parametrize(
    "mode", ["CCL", "CCM", "CCH", "CRL", "CRH", "CVL", "CVH", "CPL", "CPH", "CCDL", "CCDH"]
)
def test_mode_and_range_are_one_word(ped_bench: Rig, mode: str):
    ped_bench.twin.handle(f"MODE {mode}".encode())

    assert ask(ped_bench, "MODE?") == mode
    assert ask(ped_bench, "SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize(("word", "state"), [("ON", "ON"), ("1", "ON"), ("OFF", "OFF"), ("0", "OFF")])
def test_load_takes_words_and_digits_and_answers_words(ped_bench: Rig, word: str, state: str):
    ped_bench.twin.handle(b"LOAD " + word.encode())

    assert ask(ped_bench, "LOAD?") == state


@pytest.mark.parametrize(
    ("setting", "amperes"),
    [
        ("MODE CRH;:RES:STAT:L1 3.98", 20.0),  # 80 V / (3.98 + 0.02) ohm
        ("MODE CPH;:POW:STAT:L1 1592", 20.0),  # 80 V - 20 A x 0.02 ohm = 79.6 V
        ("MODE CVH;:VOLT:STAT:L1 79.6", 20.0),
        ("MODE CVH;:VOLT:STAT:L1 70;:VOLT:STAT:ILIM 50", 50.0),  # 70 V would take 500 A
    ],
)
def test_resistance_power_and_voltage_are_held(ped_bench: Rig, setting: str, amperes: float):
    ped_bench.twin.handle(setting.encode())
    ped_bench.twin.handle(b"LOAD ON")

    ped_bench.clock.sleep(1.0)

    assert ask(ped_bench, "SYST:ERR?") == '0,"No error"'
    assert ped_bench.terminal.actual_current_a == pytest.approx(amperes, rel=0.01)


def test_changing_the_mode_switches_the_input_off(ped_bench: Rig):
    ped_bench.driver.sink(current_a=10.0)

    ped_bench.twin.handle(b"MODE CPH")

    assert ask(ped_bench, "LOAD?") == "OFF"
    assert ped_bench.terminal.actual_current_a == 0.0


def test_the_short_circuit_draws_the_rating(ped_bench: Rig):
    ped_bench.terminal.emf_v = 5.0
    ped_bench.terminal.ohm = 0.001

    ped_bench.twin.handle(b"LOAD:SHOR 1;:LOAD 1")

    assert ped_bench.terminal.actual_current_a == pytest.approx(600.0, rel=0.001)


def test_over_power_follows_the_rating_of_the_model(ped_bench: Rig):
    ped_bench.driver.sink(current_a=77.0)  # 78.5 V x 77 A = 6.04 kW, within 105 %
    ped_bench.clock.sleep(0.1)
    assert ped_bench.driver.tripped() == ()

    ped_bench.driver.sink(current_a=82.0)  # 78.4 V x 82 A = 6.43 kW
    ped_bench.clock.sleep(0.1)

    assert ped_bench.driver.tripped() == ("OPP",)


def test_over_temperature_latches_until_it_has_cooled_down():
    made = rig(
        Load63200A,
        FakeLoad(emf_v=80.0, ohm=1e-4),
        max_a=600.0,
        rated_a=600.0,
        rated_w=6000.0,
        ambient_degc=70.0,
    )
    made.driver.prepare()
    made.driver.sink(current_a=75.0)  # 6 kW: settles at 70 + 45 degC

    # 20 of 45 K are reached after 60 s x ln(45 / 25) = 35.3 s.
    made.clock.sleep(34.0)
    assert made.driver.tripped() == ()
    made.clock.sleep(3.0)

    assert made.driver.tripped() == ("OTP",)
    assert not made.terminal.enabled
    made.clock.sleep(5.0)
    made.twin.handle(b"LOAD:PROT:CLE;:LOAD ON")
    assert ask(made, "LOAD?") == "ON"
    assert ask(made, "STAT:CHAN:COND?") == "0"


def test_an_event_says_that_a_protection_tripped_and_is_read_once(ped_bench: Rig):
    ped_bench.terminal.emf_v = 160.0
    ped_bench.clock.sleep(0.05)
    ped_bench.terminal.emf_v = 80.0
    ped_bench.twin.handle(b"LOAD:PROT:CLE")

    assert ask(ped_bench, "STAT:CHAN:COND?") == "0"
    assert ask(ped_bench, "STAT:CHAN:EVEN?") == "2"  # bit 1
    assert ask(ped_bench, "STAT:CHAN:EVEN?") == "0"


def test_arming_sets_the_dynamic_mode_and_reads_it_back(ped_bench: Rig):
    ped_bench.sent()

    ped_bench.driver.arm([Step(50.0, 0.25), Step(20.0, 0.1)] * 3)

    assert [line for line in ped_bench.sent() if line != "SYST:ERR?"] == [
        "LOAD 0",
        "MODE CCDH",
        "MODE?",
        "CURR:DYN:L1 50.000",
        "CURR:DYN:L1?",
        "CURR:DYN:L2 20.000",
        "CURR:DYN:L2?",
        "CURR:DYN:T1 0.250000",
        "CURR:DYN:T1?",
        "CURR:DYN:T2 0.100000",
        "CURR:DYN:T2?",
        "CURR:DYN:RISE 1.0000",
        "CURR:DYN:RISE?",
        "CURR:DYN:FALL 1.0000",
        "CURR:DYN:FALL?",
        "CURR:DYN:REP 3",
        "CURR:DYN:REP?",
    ]


def test_three_levels_are_more_than_the_dynamic_mode_has(ped_bench: Rig):
    with pytest.raises(InstrumentRefused, match=r"expected one, or two in turn"):
        ped_bench.driver.arm([Step(10.0, 0.1), Step(20.0, 0.1), Step(30.0, 0.1)])


def test_a_sequence_that_a_protection_ends_is_no_success(ped_bench: Rig):
    ped_bench.driver.arm([Step(100.0, 5.0)])  # 7.8 kW
    ped_bench.driver.fire()

    ped_bench.clock.sleep(1.0)

    with pytest.raises(InstrumentRefused, match="OPP latched"):
        ped_bench.driver.fired()


def test_without_repeats_the_dynamic_mode_never_ends(ped_bench: Rig):
    ped_bench.twin.handle(b"MODE CCDH;:CURR:DYN:L1 30;L2 10;T1 0.2;T2 0.2;REP 0;:LOAD ON")

    ped_bench.clock.sleep(60.1)

    assert ped_bench.terminal.actual_current_a == pytest.approx(30.0, rel=0.01)
    ped_bench.clock.sleep(0.2)
    assert ped_bench.terminal.actual_current_a == pytest.approx(10.0, rel=0.01)


def test_fire_without_a_sequence_is_refused(ped_bench: Rig):
    with pytest.raises(NotReady, match="arm"):
        ped_bench.driver.fire()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *((f"CURR:STAT:L{level}", 12.5) for level in (1, 2)),
        *((f"CURR:DYN:L{level}", 12.5) for level in (1, 2)),
        *((f"CURR:DYN:T{level}", 0.05) for level in (1, 2)),
        *((f"CURR:DYN:{edge}", 0.5) for edge in ("RISE", "FALL")),
        *((f"RES:STAT:L{level}", 4.5) for level in (1, 2)),
        *((f"VOLT:STAT:L{level}", 48.0) for level in (1, 2)),
        ("VOLT:STAT:ILIM", 30.0),
        *((f"POW:STAT:L{level}", 250.0) for level in (1, 2)),
    ],
)
def test_what_pythonequipmentdrivers_sets_it_reads_back(ped_bench: Rig, header: str, value: float):
    ped_bench.twin.handle(f"{header} {value}".encode())

    assert float(ask(ped_bench, f"{header}?")) == value
    assert ask(ped_bench, "SYST:ERR?") == '0,"No error"'
