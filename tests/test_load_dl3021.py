"""Rigol DL3021: exact bytes, 200 W at 80 V, lists and transients that keep time, protections, battery."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused, NotReady
from bench.wires.twin import Reply
from instruments.load_63200a_twin import Load63200AOptions, Load63200ATwin
from instruments.load_dl3021 import Dl3021
from instruments.roles import Step
from tests.fake_terminals import FakeLoad
from tests.rig import Rig, rig


@pytest.fixture
def bench() -> Rig:
    """A battery of 80 V behind 0.1 ohm; the station allows 10 A."""
    made = rig(Dl3021, FakeLoad(emf_v=80.0, ohm=0.1), max_a=10.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def error(bench: Rig) -> str:
    return ask(bench, "SYST:ERR?")


def test_prepare_chooses_range_and_limits_and_reads_them_back():
    made = rig(Dl3021, FakeLoad(), max_v=100.0, max_a=2.0, slew_a_per_us=0.25)

    made.driver.prepare()

    assert [line for line in made.sent() if line != "SYST:ERR?"][1:] == [  # the first opens the wire
        "*OPC?",
        "*RST",
        "*CLS",
        "INP 0",
        "FUNC CURR",
        "FUNC?",
        "FUNC:MODE FIX",
        "FUNC:MODE?",
        "CURR:RANG 40",
        "CURR:RANG?",
        "CURR:LEV:IMM 0.0000",
        "CURR:LEV:IMM?",
        "CURR:SLEW:BOTH 0.250",
        "CURR:SLEW:BOTH?",
        "CURR:VLIM 105.000",
        "CURR:VLIM?",
        "CURR:ILIM 2.1000",
        "CURR:ILIM?",
        "INP?",
    ]


def test_the_station_file_finds_its_serial_number():
    made = rig(Dl3021, FakeLoad(), serial="DL3A213700642")

    assert made.driver.identity() == "RIGOL TECHNOLOGIES,DL3021,DL3A213700642,00.01.05.00.01"


def test_current_flows_and_the_battery_sags(bench: Rig):
    bench.driver.sink(current_a=2.0)

    # 80 V less 2 A x 0.1 ohm; 0.05 % of reading and 0.02 % of 150 V are 0.07 V, 0.05 % of 40 A are 20 mA.
    assert bench.driver.measure() == pytest.approx((79.8, 2.0), abs=0.07)


def test_at_80_v_it_draws_two_and_a_half_amperes_and_says_so(bench: Rig):
    bench.driver.sink(current_a=2.49)

    with pytest.raises(InstrumentRefused, match=r"200 W of this load allow: 2\.5\d A at the 7\d\.\d\d V"):
        bench.driver.sink(current_a=2.55)
    with pytest.raises(InstrumentRefused, match=r"200 W of this load"):
        bench.driver.arm([Step(1.0, 0.1), Step(5.0, 0.1)])

    bench.terminal.emf_v = 15.0
    bench.driver.sink(current_a=9.0)
    assert bench.terminal.actual_current_a == pytest.approx(9.0, rel=0.01)


def test_over_power_that_comes_later_switches_it_off(bench: Rig):
    bench.terminal.emf_v = 20.0
    bench.driver.sink(current_a=9.0)  # 172 W

    bench.terminal.emf_v = 23.9  # 23 V x 9 A = 207 W, within 105 %
    bench.clock.sleep(0.1)
    assert bench.terminal.enabled
    bench.terminal.emf_v = 24.5  # 23.6 V x 9 A = 212 W
    bench.clock.sleep(0.1)

    assert not bench.terminal.enabled
    assert bench.driver.tripped() == ("OPP",)
    assert bench.driver.is_off()


def test_over_voltage_follows_what_the_station_allows(bench: Rig):
    bench.driver.sink(current_a=1.0)
    bench.terminal.emf_v = 105.0  # 104.9 V: below 105 % of 100 V
    bench.clock.sleep(0.1)
    assert bench.driver.tripped() == ()

    bench.terminal.emf_v = 105.2
    bench.clock.sleep(0.1)

    assert bench.driver.tripped() == ("OVP",)
    assert not bench.terminal.enabled


def test_over_current_follows_its_limit(bench: Rig):
    bench.terminal.emf_v = 5.0
    bench.twin.handle(b"CURR:LEV:IMM 10.45;:INP ON")
    bench.clock.sleep(0.1)
    assert bench.driver.tripped() == ()

    bench.twin.handle(b"CURR:LEV:IMM 10.55")  # 105 % of 10 A are 10.5 A
    bench.clock.sleep(0.1)

    assert bench.driver.tripped() == ("OCP",)
    assert ask(bench, "INP?") == "0"


def test_switching_on_against_a_protection_is_refused(bench: Rig):
    bench.terminal.emf_v = 110.0

    with pytest.raises(InstrumentRefused, match=r"keeps its input off .* OVP"):
        bench.driver.sink(current_a=0.5)

    assert bench.driver.is_off()


def test_it_works_again_when_the_cause_has_gone(bench: Rig):
    bench.terminal.emf_v = 110.0
    bench.clock.sleep(0.1)
    assert bench.driver.tripped() == ("OVP",)

    bench.terminal.emf_v = 80.0
    bench.driver.sink(current_a=1.0)

    assert bench.terminal.actual_current_a == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("amps", [10.001, -0.001, float("nan")])
def test_the_station_refuses_before_anything_is_sent(bench: Rig, amps: float):
    bench.sent()

    with pytest.raises(InstrumentRefused, match="nothing was sent"):
        bench.driver.sink(current_a=amps)

    assert bench.sent() == []


def test_nothing_is_drawn_before_prepare():
    made = rig(Dl3021, FakeLoad())

    with pytest.raises(NotReady):
        made.driver.sink(current_a=1.0)
    with pytest.raises(NotReady):
        made.driver.fire()


def test_arming_writes_a_list_that_ends_with_the_input_off(bench: Rig):
    bench.sent()

    bench.driver.arm([Step(1.0, 0.25), Step(0.5, 0.1)])

    sent = [line for line in bench.sent() if line != "SYST:ERR?"]
    assert sent[1:] == [  # the first reads the voltage
        "INP 0",
        "FUNC:MODE LIST",
        "LIST:MODE CC",
        "LIST:RANG 40",
        "LIST:COUN 1",
        "LIST:END OFF",
        "LIST:STEP 2",
        "LIST:LEV 0,1.0000",
        "LIST:WID 0,0.250000",
        "LIST:SLEW 0,0.500",
        "LIST:LEV 1,0.5000",
        "LIST:WID 1,0.100000",
        "LIST:SLEW 1,0.500",
        "TRIG:SOUR BUS",
        "FUNC:MODE?",
        "LIST:STEP?",
        "TRIG:SOUR?",
    ]


def test_a_list_of_many_levels_takes_its_own_time(bench: Rig):
    bench.driver.arm([Step(0.1 * step, 0.05) for step in range(1, 21)])  # 0.1 to 2.0 A in one second

    bench.driver.fire()
    bench.clock.sleep(0.525)

    assert bench.terminal.actual_current_a == pytest.approx(1.1, rel=0.01)  # the eleventh
    assert not bench.driver.fired()
    bench.clock.sleep(0.5)
    assert bench.driver.fired()


def test_a_list_may_hold_its_last_level(bench: Rig):
    bench.driver.arm([Step(1.0, 0.1), Step(0.5, 0.1)])
    bench.twin.handle(b"LIST:END LAST")

    bench.driver.fire()
    bench.clock.sleep(5.0)

    assert not bench.driver.fired()
    assert bench.terminal.actual_current_a == pytest.approx(0.5, rel=0.01)


def test_a_list_that_a_protection_ends_is_no_success(bench: Rig):
    bench.driver.arm([Step(2.0, 5.0)])
    bench.driver.fire()
    bench.clock.sleep(0.5)

    bench.terminal.emf_v = 106.0
    bench.clock.sleep(0.5)

    with pytest.raises(InstrumentRefused, match=r"before its time.*OVP"):
        bench.driver.fired()


def transient(bench: Rig, pattern: str, widths: str) -> None:
    bench.twin.handle(f"CURR:TRAN:MODE {pattern};ALEV 0.5;BLEV 2;{widths}".encode())
    bench.twin.handle(b"TRAN:STAT 1;:TRIG:SOUR BUS;:INP 1")
    assert error(bench) == '0,"No error"'


def test_a_pulse_follows_each_trigger(bench: Rig):
    transient(bench, "PULS", "AWID 0.1;BWID 0.2")
    assert bench.terminal.actual_current_a == pytest.approx(0.5, rel=0.01)

    for _ in range(2):
        bench.twin.handle(b"TRIG")
        bench.clock.sleep(0.19)
        assert bench.terminal.actual_current_a == pytest.approx(2.0, rel=0.01)
        bench.clock.sleep(0.02)
        assert bench.terminal.actual_current_a == pytest.approx(0.5, rel=0.01)


def test_toggle_changes_the_level_at_each_trigger(bench: Rig):
    transient(bench, "TOGG", "AWID 0.1;BWID 0.2")

    seen = []
    for _ in range(3):
        bench.twin.handle(b"*TRG")
        bench.clock.sleep(1.0)
        seen.append(bench.terminal.actual_current_a)

    assert seen == pytest.approx([2.0, 0.5, 2.0], rel=0.01)


@pytest.mark.parametrize("widths", ["AWID 0.1;BWID 0.3", "FREQ 2.5;ADUT 25", "PER 0.4;ADUT 25"])
def test_continuous_goes_on_by_width_or_by_period_and_duty(bench: Rig, widths: str):
    transient(bench, "CONT", widths)

    bench.clock.sleep(40.05)  # a hundred periods and 50 ms of level A
    assert bench.terminal.actual_current_a == pytest.approx(0.5, rel=0.01)
    bench.clock.sleep(0.1)
    assert bench.terminal.actual_current_a == pytest.approx(2.0, rel=0.01)


def test_a_trigger_that_is_not_from_the_bus_is_ignored(bench: Rig):
    bench.twin.handle(b"TRIG:SOUR MAN;:INP 1;:TRIG")

    assert error(bench) == '-211,"Trigger ignored"'


def test_a_trigger_from_the_bus_switches_the_transient_and_the_input_on(bench: Rig):
    bench.twin.handle(b"CURR:TRAN:MODE TOGG;ALEV 1;BLEV 2;:TRAN 0;:INP 0;:TRIG:SOUR BUS;:TRIG")

    assert error(bench).startswith("0,")
    assert ask(bench, "INP?;:TRAN?") == "1;1"
    assert bench.terminal.current_a == pytest.approx(1.0, rel=0.01)


def test_a_range_of_resistance_holds_the_level_or_is_refused(bench: Rig):
    bench.twin.handle(b"RES 100;:RES:RANG 15")
    assert error(bench) == '-221,"Settings conflict"'
    assert ask(bench, "RES:RANG?") == "15000"

    bench.twin.handle(b"RES 10;:RES:RANG 15")
    assert error(bench).startswith("0,")
    assert ask(bench, "RES:RANG?") == "15"


@pytest.mark.parametrize(
    ("setting", "regulation"),
    [("OCP:ISET 0.5", "OCP"), ("OPP:PSET 1", "OPP"), ("WAV:TIM ADD", "WAV"), ("OCP:RANG 4", "OCP")],
)
def test_a_setting_of_a_test_selects_it_and_switches_off(bench: Rig, setting: str, regulation: str):
    bench.twin.handle(b"INP 1")

    bench.twin.handle(setting.encode())

    assert ask(bench, "FUNC:MODE?") == regulation
    assert ask(bench, "INP?") == "0"


@pytest.mark.parametrize(
    ("setting", "amperes"),
    [
        ("FUNC RES;:RES 79.9", 1.0),  # 80 V / (79.9 + 0.1) ohm
        ("FUNC POW;:POW 79.9", 1.0),  # 80 V - 1 A x 0.1 ohm = 79.9 V
        ("FUNC VOLT;:VOLT 79.9", 1.0),
    ],
)
def test_resistance_power_and_voltage_are_held(bench: Rig, setting: str, amperes: float):
    bench.twin.handle(setting.encode())
    bench.twin.handle(b"INP 1")

    bench.clock.sleep(1.0)

    assert error(bench) == '0,"No error"'
    assert bench.terminal.actual_current_a == pytest.approx(amperes, rel=0.01)


def test_it_waits_for_the_starting_voltage(bench: Rig):
    bench.twin.handle(b"CURR:VON 50;:CURR 1;:INP 1")
    bench.terminal.emf_v = 40.0
    bench.clock.sleep(0.1)
    assert bench.terminal.actual_current_a == 0.0

    bench.terminal.emf_v = 60.0
    bench.clock.sleep(0.1)

    assert bench.terminal.actual_current_a == pytest.approx(1.0, rel=0.01)


def test_the_range_limits_the_level(bench: Rig):
    bench.twin.handle(b"CURR 10;:CURR:RANG 3")

    assert ask(bench, "CURR:RANG?") == "4"
    assert ask(bench, "CURR?") == "4.0000"
    bench.twin.handle(b"CURR 4.1")
    assert error(bench) == '-222,"Data out of range"'


@pytest.mark.parametrize(
    ("stop", "seconds"),
    [
        ("BATT:VEN 1;VST 76", 40.0),  # 80 V - 0.1 V/s - 0.2 V is 76 V or less after 38 s
        ("BATT:CEN 1;CST 0.01", 18.0),  # 0.01 Ah at 2 A
        ("BATT:TEN 1;TIM 30", 30.0),
    ],
)
def test_a_battery_is_discharged_until_what_stops_it(bench: Rig, stop: str, seconds: float):
    bench.twin.handle(f"FUNC:MODE BATT;:BATT 2;:{stop};:INP 1".encode())
    assert error(bench) == '0,"No error"'

    def empty() -> None:
        bench.terminal.emf_v -= 0.1

    bench.clock.every(1.0, empty, name="empty")
    bench.clock.sleep(seconds - 3.0)
    assert ask(bench, "INP?") == "1"
    bench.clock.sleep(4.0)

    assert ask(bench, "INP?") == "0"
    # 2 A for that long; 1 s is 0.00056 Ah.
    assert float(ask(bench, "MEAS:CAP?")) == pytest.approx(2.0 * seconds / 3600.0, abs=0.0013)
    assert float(ask(bench, "MEAS:WATT?")) == pytest.approx(2.0 * seconds / 3600.0 * 78.5, rel=0.07)


def test_the_short_circuit_is_a_key_and_no_command(bench: Rig):
    bench.twin.handle(b"INP:SHOR 1")
    assert error(bench) == '-113,"Undefined header"'
    bench.terminal.emf_v, bench.terminal.ohm = 2.0, 0.01
    bench.twin.handle(b"CURR:ILIM 70;:INP 1")

    bench.twin.handle(b":SYST:KEY 33")
    assert bench.terminal.actual_current_a == pytest.approx(40.0, rel=0.001)
    bench.twin.handle(b":SYST:KEY 33")
    assert bench.terminal.actual_current_a == 0.0


@pytest.mark.parametrize("test", ["OCP", "OPP"])
def test_the_protection_tests_are_not_run(bench: Rig, test: str):
    bench.twin.handle(f"FUNC:MODE {test};:INP 1".encode())

    assert error(bench) == '-221,"Settings conflict"'
    assert ask(bench, "INP?") == "0"


def test_an_idle_load_leaves_the_terminal_to_the_one_that_draws(bench: Rig):
    other = Load63200ATwin(bench.terminal, clock=bench.clock, options=Load63200AOptions())

    other.handle(b"MODE CCH;:CURR:STAT:L1 20;:LOAD ON")
    bench.clock.sleep(1.0)
    assert bench.terminal.actual_current_a == pytest.approx(20.0, rel=0.01)

    other.handle(b"LOAD OFF")
    bench.twin.handle(b"CURR:RANG 40;:CURR 2;:INP 1")
    bench.clock.sleep(1.0)
    assert bench.terminal.actual_current_a == pytest.approx(2.0, rel=0.01)


def test_poll_makes_traces(bench: Rig):
    bench.driver.sink(current_a=1.0)
    bench.clock.every(0.1, bench.driver.poll, name="poll")

    bench.clock.sleep(0.55)

    traces = bench.driver.traces()
    assert sorted(traces) == ["role.current_a", "role.voltage_v"]
    assert len(traces["role.current_a"]) == 5
    assert traces["role.voltage_v"].last == pytest.approx(79.9, abs=0.07)
