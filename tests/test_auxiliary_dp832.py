"""Rigol DP832 at the DUT: both dialects, trips that latch, readings that are older than they look."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.errors import InstrumentRefused, NotReady
from bench.wires.twin import Reply
from instruments.auxiliary_dp832 import Dp832
from tests.fake_terminals import FakeAuxiliary
from tests.rig import Rig, rig

CC, CV, OVP, OCP = 1, 2, 4, 8


@pytest.fixture
def bench() -> Rig:
    made = rig(Dp832, FakeAuxiliary(demand_w=6.0), max_v=24.0, max_a=2.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def tell(bench: Rig, message: str) -> None:
    assert bench.twin.handle(message.encode()) is None


# Driver.


def test_prepare_touches_its_own_channel_only():
    made = rig(Dp832, FakeAuxiliary(), max_v=24.0, max_a=2.0, channel=2)
    tell(made, "APPL CH1,5,1;:OUTP CH1,ON")

    made.sent()
    made.driver.prepare()

    assert [line for line in made.sent() if line != "SYST:ERR?"] == [
        "*CLS",
        "OUTP CH2,OFF",
        "OUTP:OVP:CLEAR CH2",
        "OUTP:OCP:CLEAR CH2",
        "SOUR2:VOLT 0.000",
        "SOUR2:VOLT?",
        "SOUR2:CURR 0.000",
        "SOUR2:CURR?",
        "SOUR2:VOLT:PROT 26.400",
        "SOUR2:VOLT:PROT:LEV?",
        "SOUR2:CURR:PROT 2.200",
        "SOUR2:CURR:PROT:LEV?",
        "SOUR2:VOLT:PROT:STAT ON",
        "SOUR2:VOLT:PROT:STAT?",
        "SOUR2:CURR:PROT:STAT ON",
        "SOUR2:CURR:PROT:STAT?",
        "OUTP? CH2",
    ]
    assert ask(made, "OUTP? CH1;:SOUR1:VOLT?") == "ON;5.000"


def test_source_sends_the_limit_before_the_voltage(bench: Rig):
    bench.sent()

    bench.driver.source(voltage_v=12.0, current_a=1.5)

    assert [line for line in bench.sent() if line != "SYST:ERR?"] == [
        "OUTP:OVP:QUES? CH1",
        "OUTP:OCP:QUES? CH1",
        "SOUR1:CURR 1.500",
        "SOUR1:VOLT 12.000",
        "OUTP CH1,ON",
    ]


def test_source_before_prepare_is_refused():
    made = rig(Dp832, FakeAuxiliary())

    with pytest.raises(NotReady, match="protection is not armed"):
        made.driver.source(voltage_v=12.0, current_a=1.0)


def test_the_dut_hangs_on_it_from_the_beginning_and_is_dark_when_off(bench: Rig):
    assert bench.terminal.connected
    assert bench.terminal.actual_voltage_v == 0.0

    bench.driver.source(voltage_v=24.0, current_a=1.0)
    assert bench.terminal.actual_voltage_v == pytest.approx(24.0, rel=1e-3)

    bench.driver.off()
    assert bench.terminal.connected
    assert bench.terminal.actual_voltage_v == 0.0


def test_measure_waits_until_the_reading_cannot_be_older_than_the_change(bench: Rig):
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    changed_s = bench.clock.now_s

    # What is shown is still the reading from before.
    assert float(ask(bench, "MEAS:VOLT? CH1")) < 0.05
    voltage_v, current_a = bench.driver.measure()

    assert bench.clock.now_s >= changed_s + 0.5
    assert (voltage_v, current_a) == pytest.approx((12.0, 0.5), abs=0.02)
    # Nothing has changed since: no reason to wait again.
    before_s = bench.clock.now_s
    bench.driver.measure()
    assert bench.clock.now_s - before_s < 0.1


def test_polls_note_each_reading_once_in_the_middle_of_its_time(bench: Rig):
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    on_s = bench.clock.now_s
    bench.clock.every(0.1, bench.driver.poll, name="poll")

    bench.clock.sleep(3.0)

    trace = bench.driver.traces()["role.voltage_v"]
    assert len(trace) == 6  # after 0.5, 1.0 ... 3.0 s
    assert trace.t_s[0] >= on_s + 0.25
    assert trace.value == pytest.approx([12.0] * 6, abs=0.02)
    # (0.05 % of 24 V + 0.033 % of 30 V) x 2 / sqrt(3)
    assert trace.uncertainty == pytest.approx(0.0253, abs=1e-4)


def test_a_relay_that_does_not_open_is_not_off(bench: Rig):
    class Stuck(FakeAuxiliary):
        actual_voltage_v = 12.0
        actual_current_a = 0.001  # asleep

    bench.twin.terminal = Stuck()
    bench.driver.off()

    assert not bench.driver.is_off()


def test_the_units_own_refusal_is_quoted():
    made = rig(Dp832, FakeAuxiliary(), max_v=100.0, max_a=100.0, channel=3)
    made.driver.prepare()

    made.driver.source(voltage_v=5.3, current_a=3.2)
    with pytest.raises(InstrumentRefused, match=r'refused "SOUR3:VOLT 5\.301".*-222,"Data out of range"'):
        made.driver.source(voltage_v=5.301, current_a=3.2)


# Device.


def test_both_dialects_are_live_at_once(bench: Rig):
    tell(bench, ":INSTrument:NSELect 2; :SOURce:VOLTage:LEVel:IMMediate:AMPLitude 9.5")
    tell(bench, ":SOUR3:VOLT 3.3")
    tell(bench, ":INSTrument:NSELect 2; :OUTPut:STATe on")

    assert ask(bench, ":SOUR2:VOLT?;:VOLT?;:SOUR3:VOLT?;:SOUR1:VOLT?") == "9.500;9.500;3.300;0.000"
    assert ask(bench, "OUTP? CH2;:OUTP?;:OUTP? CH3") == "ON;ON;OFF"
    assert ask(bench, "INST:NSEL?;:INST?") == "2;CH2:30V/3A"


def test_apply_sets_both_and_selects(bench: Rig):
    tell(bench, "APPL CH3,3.3,0.5")
    tell(bench, "APPL 5.0,1.5")

    assert ask(bench, "APPL? CH3;:APPL?;:INST:NSEL?") == "CH3:5V/3A,5.000,1.500;CH3:5V/3A,5.000,1.500;3"
    tell(bench, "APPL CH1,12,9")
    assert ask(bench, "SYST:ERR?") == '-222,"Data out of range"'
    assert ask(bench, "APPL? CH1") == "CH1:30V/3A,0.000,0.000"


def test_limits_are_answered(bench: Rig):
    assert ask(bench, "SOUR1:VOLT? MAX;:SOUR3:VOLT? MAX;:SOUR2:CURR? MIN") == "32.000;5.300;0.000"
    assert ask(bench, "SOUR3:VOLT:PROT? MAX;:SOUR1:CURR:PROT? MIN") == "5.500;0.001"


def test_open_channels_hold_their_voltage_without_current(bench: Rig):
    tell(bench, "APPL CH2,9,1;:OUTP CH2,ON;:APPL CH3,3.3,1")
    bench.clock.sleep(0.5)

    volts, amps, watts = (float(value) for value in ask(bench, "MEAS:ALL? CH2").split(","))
    assert (volts, amps) == pytest.approx((9.0, 0.0), abs=0.02)
    assert watts == pytest.approx(volts * amps, abs=1e-3)
    assert float(ask(bench, "MEAS:VOLT? CH3")) == pytest.approx(0.0, abs=0.02)  # set, but not on


def test_readings_are_refreshed_two_and_a_half_times_a_second(bench: Rig):
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    seen = []
    bench.clock.every(0.02, lambda: seen.append(ask(bench, "MEAS:VOLT? CH1")), name="look")

    bench.clock.sleep(4.0)

    changes = sum(a != b for a, b in pairwise(seen))
    assert 9 <= changes <= 10


@pytest.mark.parametrize(("name", "tripping"), [("OVP", "SOUR1:VOLT 13"), ("OCP", None)])
def test_protections_trip_latch_and_are_cleared(bench: Rig, name: str, tripping: str | None):
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    tell(bench, "SOUR1:VOLT:PROT 12.5;:SOUR1:CURR:PROT 0.6")
    bench.clock.sleep(0.1)
    assert bench.terminal.enabled  # 12.0 V is below 12.5 V, 0.5 A below 0.6 A

    if tripping:
        tell(bench, tripping)
    else:
        bench.terminal.demand_w = 7.3  # 0.608 A
    bench.clock.sleep(0.1)

    assert not bench.terminal.enabled
    assert ask(bench, f"OUTP? CH1;:OUTP:{name}:QUES? CH1") == "OFF;YES"
    assert int(ask(bench, "STAT:QUES:INST:ISUM1:COND?")) == {"OVP": OVP, "OCP": OCP}[name]
    assert bench.driver.tripped() == (name,)
    with pytest.raises(InstrumentRefused, match=rf"channel 1 off.*{name} latched"):
        bench.driver.source(voltage_v=12.0, current_a=2.0)
    tell(bench, "OUTP CH1,ON")
    assert ask(bench, "SYST:ERR?") == '-221,"Settings conflict"'

    tell(bench, f"OUTP:{name}:CLEAR CH1")
    assert not bench.terminal.enabled  # cleared is not on
    bench.terminal.demand_w = 6.0
    bench.driver.prepare()
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    bench.clock.sleep(0.1)
    assert bench.terminal.enabled


def test_a_protection_that_is_not_armed_does_nothing(bench: Rig):
    bench.driver.source(voltage_v=12.0, current_a=2.0)

    tell(bench, "OUTP:OVP CH1,OFF;:OUTP:OVP:VAL CH1,10")
    bench.clock.sleep(0.1)

    assert bench.terminal.enabled
    assert ask(bench, "OUTP:OVP? CH1;:OUTP:OVP:VAL? CH1;:OUTP:OVP:QUES?") == "OFF;10.000;NO"


def test_mode_tells_voltage_from_current(bench: Rig):
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    assert ask(bench, "OUTP:MODE? CH1") == "CV"
    assert int(ask(bench, "STAT:QUES:INST:ISUM1:COND?")) == CV

    bench.terminal.demand_w = 36.0  # more than 2 A: the voltage breaks down
    bench.clock.sleep(0.1)

    assert ask(bench, "OUTP:MODE? CH1;:OUTP:CVCC? CH1") == "CC;CC"
    assert int(ask(bench, "STAT:QUES:INST:ISUM1:COND?")) == CC
    tell(bench, "OUTP CH1,OFF")
    assert ask(bench, "OUTP:MODE? CH1;:STAT:QUES:INST:ISUM1:COND?") == "CV;0"


@pytest.mark.parametrize(
    ("message", "error"),
    [("SOUR4:VOLT 1", -114), ("OUTP CH4,ON", -224), ("OUTP:SENS CH1,ON", -221), ("SOUR1:VOLT 32.001", -222)],
)
def test_what_this_model_does_not_have_is_declined(bench: Rig, message: str, error: int):
    tell(bench, message)

    assert ask(bench, ":SYST:ERR?").startswith(f"{error},")
    assert ask(bench, ":OUTP:SENS? CH1") == "NONE"


def test_the_serial_number_is_the_one_of_the_station_file():
    made = rig(Dp832, FakeAuxiliary(), serial="DP8C123456789")

    assert made.driver.identity() == "RIGOL TECHNOLOGIES,DP832,DP8C123456789,00.01.14"
