"""Keysight RP7900: exact bytes, compliance, protections that trip and latch, a watchdog on bench time."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused, NotReady, WireError
from bench.wires.twin import Reply
from instruments.supply_rp7900 import Rp7900
from tests.fake_terminals import FakeSource
from tests.rig import Rig, rig

OV, OC, OVER_POWER, LIM_POSITIVE, PROT = 1, 2, 8, 128, 2048


@pytest.fixture
def bench() -> Rig:
    made = rig(Rp7900, FakeSource(emf_v=80.0, ohm=0.1), max_v=100.0, max_a=120.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def tell(bench: Rig, message: str) -> None:
    assert bench.twin.handle(message.encode()) is None


def test_identity_is_a_keysight_rp79(bench: Rig):
    maker, model, *rest = bench.driver.identity().split(",")

    assert "keysight" in maker.lower()
    assert model.startswith("RP79")
    assert len(rest) == 2


def test_prepare_arms_and_reads_back_in_this_order():
    made = rig(Rp7900, FakeSource(), max_v=50.0, watchdog_s=600)

    made.sent()
    made.driver.prepare()

    assert [line for line in made.sent() if line != "SYST:ERR?"] == [
        "*OPC?",
        "*RST",
        "*CLS",
        "OUTP:STAT 0",
        "OUTP:PROT:CLE",
        "SOUR:FUNC VOLT",
        "SOUR:VOLT:LEV 0.000",
        "SOUR:VOLT:LEV?",
        "SOUR:CURR:LIM 0.000",
        "SOUR:CURR:LIM?",
        "CURR:LIM:NEG 0",
        "CURR:LIM:NEG?",
        "VOLT:PROT 52.500",
        "SOUR:VOLT:PROT?",
        "SOUR:CURR:PROT:STATE 0",
        "SOUR:CURR:PROT:STATE?",
        "OUTP:PROT:WDOG:DEL 600",
        "OUTP:PROT:WDOG:DEL?",
        "OUTP:PROT:WDOG ON",
        "OUTP:PROT:WDOG?",
        "OUTP:STAT?",
    ]


def test_source_sends_the_limit_first_and_asks_for_errors_after_each(bench: Rig):
    bench.sent()

    bench.driver.source(voltage_v=85.2, current_a=40.0)

    assert bench.sent() == [
        "SOUR:CURR:LIM 40.000",
        "SYST:ERR?",
        "SOUR:VOLT:LEV 85.200",
        "SYST:ERR?",
        "OUTP:STAT 1",
        "SYST:ERR?",
        "STAT:QUES1:COND?",
        "STAT:QUES2:COND?",
    ]


def test_constant_voltage_and_constant_current_follow_the_battery(bench: Rig):
    # 85 V on 80 V behind 0.1 ohm would be 50 A.
    bench.driver.source(voltage_v=85.0, current_a=60.0)
    assert bench.driver.measure() == pytest.approx((85.0, 50.0), abs=0.3)
    assert ask(bench, "STAT:OPER:COND?") == "1"

    bench.driver.source(voltage_v=85.0, current_a=20.0)
    assert bench.driver.measure() == pytest.approx((82.0, 20.0), abs=0.1)
    assert ask(bench, "STAT:OPER:COND?") == "2"
    assert int(ask(bench, "STAT:QUES1:COND?")) == LIM_POSITIVE


def test_a_full_battery_takes_no_current_whatever_is_set(bench: Rig):
    bench.terminal.emf_v = 90.0

    bench.driver.source(voltage_v=85.0, current_a=60.0)

    assert bench.driver.measure() == pytest.approx((90.0, 0.0), abs=0.1)


def test_source_before_prepare_is_refused():
    made = rig(Rp7900, FakeSource())

    with pytest.raises(NotReady, match="protection is not armed"):
        made.driver.source(voltage_v=1.0, current_a=1.0)
    assert not made.terminal.enabled


@pytest.mark.parametrize(
    ("volts", "amps"), [(100.001, 1.0), (1.0, 120.001), (-0.001, 1.0), (1.0, -1.0), (float("nan"), 1.0)]
)
def test_the_station_refuses_before_anything_is_sent(bench: Rig, volts: float, amps: float):
    bench.sent()

    with pytest.raises(InstrumentRefused, match=r"\[roles.role\] allows; nothing was sent"):
        bench.driver.source(voltage_v=volts, current_a=amps)

    assert bench.sent() == []
    assert not bench.terminal.enabled


def test_the_instruments_own_refusal_is_quoted():
    # The station allows more than the unit is rated for: 102 % of 125 A.
    made = rig(Rp7900, FakeSource(), max_a=500.0)
    made.driver.prepare()

    with pytest.raises(InstrumentRefused) as caught:
        made.driver.source(voltage_v=50.0, current_a=127.6)

    assert 'role refused "SOUR:CURR:LIM 127.600" at 0.0' in str(caught.value)
    assert '-222,"Data out of range"' in str(caught.value)
    made.driver.source(voltage_v=50.0, current_a=127.5)


def test_parallel_units_add_their_current():
    made = rig(Rp7900, FakeSource(), max_a=500.0, parallel_units=2)
    made.driver.prepare()

    made.driver.source(voltage_v=90.0, current_a=200.0)

    assert made.driver.measure()[1] == pytest.approx(100.0, rel=0.01)


def test_over_voltage_protection_trips_latches_and_restores(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.terminal.emf_v = 104.9
    bench.clock.sleep(0.05)
    assert bench.terminal.enabled  # armed at 1.05 x 100 V

    bench.terminal.emf_v = 105.1
    bench.clock.sleep(0.05)

    assert not bench.terminal.enabled
    assert bench.driver.tripped() == ("OV",)
    assert ask(bench, "OUTP?") == "1"  # the programmed state is not changed
    bench.terminal.emf_v = 80.0
    with pytest.raises(InstrumentRefused, match="OV latched"):
        bench.driver.source(voltage_v=85.0, current_a=20.0)
    assert not bench.terminal.enabled

    tell(bench, "OUTP:PROT:CLE")
    bench.clock.sleep(0.02)
    assert bench.terminal.enabled  # as before the fault (guide, p. 226)
    bench.driver.off()
    bench.driver.prepare()
    assert bench.driver.is_off()


def test_the_watchdog_switches_off_though_nobody_talks(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    bench.clock.sleep(9.95)
    assert bench.terminal.enabled
    bench.clock.sleep(0.1)

    assert not bench.terminal.enabled
    assert bench.driver.tripped() == ("PROT",)
    assert int(ask(bench, "STAT:QUES1?")) & PROT


def test_any_message_feeds_the_watchdog_understood_or_not(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    for message in ("*OPC?", "NONSENSE", "MEAS:VOLT?"):
        bench.clock.sleep(9.0)
        bench.twin.handle(message.encode())

    assert bench.terminal.enabled


def test_over_current_protection_trips_in_constant_current_after_its_delay(bench: Rig):
    tell(bench, "CURR:PROT:STAT ON;DEL 0.1")
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    bench.clock.sleep(0.09)
    assert bench.terminal.enabled
    bench.clock.sleep(0.05)

    assert bench.driver.tripped() == ("OC",)
    assert not bench.terminal.enabled


def test_over_power_trips(bench: Rig):
    bench.terminal.ohm = 0.01

    bench.driver.source(voltage_v=99.0, current_a=120.0)  # 81.2 V x 120 A = 9.7 kW
    bench.clock.sleep(0.05)
    assert bench.driver.tripped() == ()
    bench.terminal.emf_v = 95.0  # 11.5 kW
    bench.clock.sleep(0.05)

    assert bench.driver.tripped() == ("CP+",)


def test_under_voltage_protection_waits_for_its_delay(bench: Rig):
    tell(bench, "VOLT:PROT:LOW 60;LOW:DEL 0.2;STAT ON")
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    bench.terminal.emf_v = 40.0
    bench.clock.sleep(0.15)
    assert bench.terminal.enabled
    bench.clock.sleep(0.1)

    assert bench.driver.tripped() == ("UV",)


def test_slew_limits_the_rise(bench: Rig):
    bench.terminal.emf_v = 0.0
    bench.terminal.ohm = 1000.0
    tell(bench, "VOLT:SLEW 50")

    bench.driver.source(voltage_v=90.0, current_a=20.0)
    start_v = bench.terminal.actual_voltage_v
    bench.clock.sleep(1.0)

    assert bench.terminal.actual_voltage_v - start_v == pytest.approx(50.0, rel=0.02)


def test_changing_priority_switches_off_and_forgets_the_set_values(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    tell(bench, "FUNC CURR")

    assert not bench.terminal.enabled
    assert ask(bench, "OUTP?;:FUNC?;:VOLT?") == "0;CURR;+0.00000000E+00"
    assert ask(bench, "OUTP:PROT:WDOG?;:OUTP:PROT:WDOG:DEL?") == "1;10"


def test_current_priority_holds_the_current_up_to_the_voltage_limit(bench: Rig):
    tell(bench, "FUNC CURR;:CURR 30;:VOLT:LIM 95;:OUTP 1")
    assert bench.driver.measure() == pytest.approx((83.0, 30.0), abs=0.2)

    # 100 A across 0.1 ohm would be 90 V; the limit is 85 V, that leaves 50 A.
    tell(bench, "CURR 100;:VOLT:LIM 85")

    assert bench.driver.measure() == pytest.approx((85.0, 50.0), abs=0.5)


def test_the_output_resistance_takes_voltage_off_with_current(bench: Rig):
    # 85 V behind 0.1 ohm of the unit and 0.1 ohm of the battery of 80 V: 25 A, 82.5 V.
    tell(bench, "VOLT:RES 0.1;RES:STAT 1")
    bench.driver.source(voltage_v=85.0, current_a=60.0)

    bench.clock.sleep(1.0)

    assert bench.driver.measure() == pytest.approx((82.5, 25.0), abs=0.3)
    tell(bench, "VOLT:RES:STAT 0")
    bench.clock.sleep(1.0)
    assert bench.driver.measure()[0] == pytest.approx(85.0, abs=0.1)


def test_the_temperature_margin_falls_with_power(bench: Rig):
    idle_k = float(ask(bench, "OUTP:PROT:TEMP:MARG?"))

    bench.driver.source(voltage_v=85.0, current_a=20.0)  # 82 V x 20 A of 10 kW: 0.164 of 35 K

    assert float(ask(bench, "OUTP:PROT:TEMP:MARG?")) == pytest.approx(idle_k - 5.74, abs=0.1)


def test_it_draws_from_a_terminal_that_can_be_drawn_from():
    class Both(FakeSource):
        sink_current_a = 0.0

    made = rig(Rp7900, Both(), max_v=100.0)
    made.driver.prepare()
    assert made.terminal.sink_current_a == 0.0

    tell(made, "CURR:LIM:NEG -25")

    assert made.terminal.sink_current_a == pytest.approx(25.0, rel=1e-3)


def test_an_enabled_protection_asks_for_service(bench: Rig):
    tell(bench, "STAT:QUES1:ENAB 1;:*SRE 8")
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.terminal.emf_v = 120.0

    bench.clock.sleep(0.05)

    assert int(ask(bench, "*STB?")) & 0b1001000 == 0b1001000
    assert int(ask(bench, "STAT:QUES1:EVEN?")) == OV | LIM_POSITIVE
    assert int(ask(bench, "*STB?")) & 0b1001000 == 0


def test_preset_lets_every_rise_pass(bench: Rig):
    tell(bench, "STAT:OPER:PTR 0;ENAB 7;:STAT:PRES")

    assert ask(bench, "STAT:OPER:PTR?;ENAB?;NTR?") == "65535;0;0"


def test_fetch_repeats_the_last_acquisition(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    measured = ask(bench, "MEAS:VOLT?")
    bench.terminal.emf_v = 70.0

    assert ask(bench, "FETC:VOLT?") == measured


def test_the_serial_number_is_the_one_of_the_station_file():
    made = rig(Rp7900, FakeSource(), serial="MY59003109")

    assert made.driver.identity().split(",")[2] == "MY59003109"


def test_a_measurement_takes_its_aperture(bench: Rig):
    start_s = bench.clock.now_s

    bench.driver.measure()

    assert bench.clock.now_s - start_s == pytest.approx(2 * 0.02 + 0.001)


def test_readings_err_within_the_declared_accuracy_and_repeat_from_the_seed():
    readings = []
    for _ in range(2):
        made = rig(Rp7900, FakeSource(emf_v=80.0))
        readings.append([made.driver.measure()[0] for _ in range(50)])

    assert readings[0] == readings[1]
    assert len(set(readings[0])) > 40
    assert max(abs(volts - 80.0) for volts in readings[0]) < 2.5e-4 * 80.0 + 0.02


def test_poll_makes_traces_with_origin_and_uncertainty(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.clock.every(0.1, bench.driver.poll, name="poll")

    bench.clock.sleep(1.0)

    traces = bench.driver.traces()
    assert sorted(traces) == ["role.current_a", "role.voltage_v"]
    current = traces["role.current_a"]
    assert len(current) == 10
    assert current.period_s == pytest.approx(0.1)
    assert str(current.origin) == "measured by role"
    # (0.1 % of 120 A + 0.08 % of 125 A) x 2 / sqrt(3)
    assert current.uncertainty == pytest.approx(0.254, abs=0.001)
    assert current.always(lambda amps: abs(amps - 20.0) < 0.2)


def test_a_poll_that_falls_into_another_measurement_is_left_out(bench: Rig):
    bench.clock.every(0.011, bench.driver.poll, name="poll")

    voltage_v, _ = bench.driver.measure()

    assert voltage_v == pytest.approx(80.0, abs=0.1)


def test_a_command_into_an_awaited_answer_is_an_error_not_a_mixup(bench: Rig):
    failures = []

    def interrupt() -> None:
        try:
            bench.driver.source(voltage_v=85.0, current_a=20.0)
        except WireError as error:
            failures.append(str(error))

    bench.clock.every(0.02, interrupt, name="interrupt")
    bench.driver.measure()

    assert "while an answer is awaited" in failures[0]


def test_off_removes_the_current_at_once_and_is_read_back(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    assert not bench.driver.is_off()

    bench.driver.off()
    bench.driver.off()

    assert bench.driver.is_off()
    assert bench.terminal.actual_current_a == 0.0


def test_off_gets_through_while_another_answer_is_awaited(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.clock.every(0.02, bench.driver.off, name="panic")

    bench.driver.measure()

    assert not bench.terminal.enabled


def test_a_late_answer_is_not_taken_for_the_next_one(bench: Rig):
    handle = bench.twin.handle
    bench.twin.handle = lambda message: Reply(b"late\n", 2.05)
    with pytest.raises(WireError, match="no answer"):
        bench.driver.identity()
    bench.twin.handle = handle

    assert bench.driver.identity().startswith("Keysight")


def test_off_is_not_believed_while_current_flows(bench: Rig):
    class Stuck(FakeSource):
        actual_current_a = 5.0  # a relay that does not open

    bench.driver.off()
    bench.twin.terminal = Stuck()

    assert not bench.driver.is_off()
