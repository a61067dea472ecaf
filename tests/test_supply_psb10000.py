"""EA PSB 10000: one owner of remote control, alarms that latch, monitored silence, two connectors."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused, NotReady
from bench.wires.modbus import open_modbus
from bench.wires.twin import Reply
from instruments.supply_psb10000 import Psb10000
from instruments.supply_psb10000_modbus import Psb10000Modbus
from tests.fake_terminals import FakeSource
from tests.rig import Rig, rig

OVP, OCP, OPP, UVD, REMOTE, ON = 1, 2, 4, 32, 1 << 10, 1 << 11
TIMED_OUT, CV, CC, CP, SINKING = 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 12
ALARMS = (
    ";:".join(f"SYST:ALAR:COUN:{name}?" for name in ("OVOL", "OCUR", "OPOW", "OTEM")) + ";:STAT:QUES:COND?"
)


class FakeBoth(FakeSource):
    """A battery that can be drawn from, too."""

    sink_current_a = 0.0

    @property
    def actual_current_a(self) -> float:
        if not self.enabled:
            return 0.0
        wanted_a = (self.voltage_v - self.emf_v) / self.ohm
        return min(max(wanted_a, -self.sink_current_a), self.current_a)


@pytest.fixture
def bench() -> Rig:
    made = rig(Psb10000, FakeSource(emf_v=80.0, ohm=0.1), max_v=100.0, max_a=100.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def tell(bench: Rig, message: str) -> None:
    assert bench.twin.handle(message.encode()) is None


def modbus_driver(bench: Rig) -> Psb10000Modbus:
    """A Modbus client of the same unit."""
    wire = open_modbus(
        "twin://role",
        clock=bench.clock,
        role="rescue",
        transcript=bench.transcript,
        twin=bench.twin.faces["modbus"],
        framing="tcp",
    )
    return Psb10000Modbus(
        wire, clock=bench.clock, role="rescue", max_v=100.0, max_a=100.0, options=bench.settings
    )


# SCPI, driver.


def test_prepare_takes_the_lock_and_reads_everything_back():
    made = rig(Psb10000, FakeSource(), max_v=100.0, max_a=100.0, monitoring_s=20)

    made.sent()
    made.driver.prepare()

    limits = "VOLT:LIM:LOW", "CURR:LIM:LOW", "SINK:CURR:LIM:LOW"
    zeros = *limits, "VOLT", "CURR", "SINK:CURR", "SINK:POW", "POW"
    values = {
        "VOLT:LIM:HIGH": "100.000",
        "CURR:LIM:HIGH": "100.000",
        "POW:LIM:HIGH": "10000.000",
        "POW": "10000.000",
        "VOLT:PROT": "105.000",
        "CURR:PROT": "110.000",
        "POW:PROT": "11000.000",
    }
    assert [line for line in made.sent() if line != "SYST:ERR?"] == [
        "SYST:LOCK ON",
        "SYST:LOCK:OWN?",
        "OUTP OFF",
        "SYST:NOM:VOLT?",
        "SYST:NOM:CURR?",
        "POW:STAG:AFT:REM OFF",
        "POW:STAG:AFT:REM?",
        "SYST:CONF:OUTP:REST OFF",
        "SYST:CONF:OUTP:REST?",
        *(line for name in zeros for line in (f"{name} 0.000", f"{name}?")),
        *(line for name, value in values.items() for line in (f"{name} {value}", f"{name}?")),
        "SYST:COMM:MON:TIME 20",
        "SYST:COMM:MON:TIME?",
        "SYST:COMM:MON:ACT ON",
        "SYST:COMM:MON:ACT?",
        "OUTP?",
        ALARMS,
    ]


def test_prepare_gets_out_of_limits_that_somebody_left():
    made = rig(Psb10000, FakeSource(), max_v=100.0, max_a=100.0)
    for left in (
        "SYST:LOCK ON",
        "VOLT 40",
        "VOLT:LIM:LOW 30",
        "VOLT:LIM:HIGH 41",
        "CURR 60",
        "CURR:LIM:LOW 50",
    ):
        tell(made, left)
    assert ask(made, "SYST:ERR?") == '0,"No error"'

    made.driver.prepare()

    assert ask(made, "VOLT?;:VOLT:LIM:LOW?;:VOLT:LIM:HIGH?") == "0.00 V;0.00 V;100.00 V"


def test_source_looks_for_alarms_before_it_sets_anything(bench: Rig):
    bench.sent()

    bench.driver.source(voltage_v=85.2, current_a=40.0)

    assert bench.sent() == [
        ALARMS,
        "CURR 40.000",
        "SYST:ERR?",
        "VOLT 85.200",
        "SYST:ERR?",
        "OUTP ON",
        "SYST:ERR?",
        ALARMS,
    ]


def test_source_before_prepare_is_refused():
    made = rig(Psb10000, FakeSource())

    with pytest.raises(NotReady, match="protection is not armed"):
        made.driver.source(voltage_v=1.0, current_a=1.0)


def test_the_other_spelling_of_the_monitoring_time_is_tried(monkeypatch: pytest.MonkeyPatch):
    made = rig(Psb10000, FakeSource())
    handle = made.twin.handle
    monkeypatch.setattr(made.twin, "handle", lambda data: handle(data.replace(b"MON:TIME", b"MON:NONE")))

    made.driver.prepare()

    assert made.twin.settings["monitoring_s"] == 10
    assert "SYST:COMM:MON:TIM 10" in made.sent()


def test_a_unit_of_another_rating_is_refused():
    made = rig(Psb10000, FakeSource())
    made.twin.nominal["V"] = 80.0

    with pytest.raises(
        InstrumentRefused, match=r"expected 200\.0 as the answer to 'SYST:NOM:VOLT\?'.*80\.00 V"
    ):
        made.driver.prepare()


def test_the_units_own_refusal_is_quoted():
    # The station allows more than the unit is rated for; its limits then stand at the rating.
    made = rig(Psb10000, FakeSource(), max_v=500.0)
    made.driver.prepare()

    with pytest.raises(InstrumentRefused, match=r'role refused "VOLT 205\.000".*-222,"Data out of range"'):
        made.driver.source(voltage_v=205.0, current_a=1.0)


# SCPI, remote control.


def test_nothing_can_be_set_without_remote_control():
    made = rig(Psb10000, FakeSource())

    assert ask(made, "SYST:LOCK:OWN?;:OUTP?;:VOLT?") == "NONE;OFF;0.00 V"
    for refused in ("VOLT 10", "OUTP OFF", "SYST:COMM:MON:ACT ON", "POW:STAG:AFT:REM OFF"):
        tell(made, refused)
        assert ask(made, "SYST:ERR?") == '-201,"Invalid while in local"'

    tell(made, "SYST:LOCK 1;:VOLT 10")
    assert ask(made, "SYST:LOCK:OWN?;:VOLT?;:SYST:ERR?") == 'REMOTE;10.00 V;0,"No error"'


def test_who_is_at_the_panel_keeps_remote_control_away(bench: Rig):
    tell(bench, "SYST:LOCK OFF")
    bench.twin.local = True

    assert ask(bench, "SYST:LOCK:OWN?") == "LOCAL"
    with pytest.raises(InstrumentRefused, match=r"SYST:LOCK ON.*-221.*the panel has the unit.*REM-SB"):
        bench.driver.off()


def test_leaving_remote_control_does_what_is_set(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    tell(bench, "SYST:LOCK OFF")
    assert not bench.terminal.enabled  # as prepare() set it

    bench.driver.prepare()
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    tell(bench, "POW:STAG:AFT:REM AUTO;:SYST:LOCK OFF")
    assert bench.terminal.enabled


def test_a_second_scpi_session_is_the_same_owner(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    rescuer = bench.another()

    rescuer.off()

    assert not bench.terminal.enabled
    assert rescuer.is_off()


def test_silence_switches_off_and_gives_remote_control_back(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    bench.clock.sleep(9.9)
    assert bench.terminal.enabled
    bench.clock.sleep(0.2)

    assert not bench.terminal.enabled
    assert ask(bench, "SYST:LOCK:OWN?") == "NONE"
    assert int(ask(bench, "STAT:OPER:COND?")) & TIMED_OUT
    with pytest.raises(InstrumentRefused, match="Invalid while in local"):
        bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.driver.prepare()
    assert not int(ask(bench, "STAT:OPER:COND?")) & TIMED_OUT


def test_polls_keep_it_on(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.clock.every(5.0, bench.driver.poll, name="poll")

    bench.clock.sleep(60.0)

    assert bench.terminal.enabled
    assert len(bench.driver.traces()["role.current_a"]) == 12


def test_a_modbus_rescuer_is_told_who_has_it_and_monitoring_saves(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    rescuer = modbus_driver(bench)

    with pytest.raises(
        InstrumentRefused, match=r"rescue refused.*402.*a SCPI session\?.*interface monitoring"
    ):
        rescuer.off()
    assert bench.terminal.enabled
    # What the rescuer says does not count: it is not the owner.
    bench.clock.every(1.0, rescuer.is_off, name="look")
    bench.clock.sleep(10.1)

    assert rescuer.is_off()
    rescuer.off()
    assert ask(bench, "SYST:LOCK:OWN?") == "REMOTE"
    with pytest.raises(InstrumentRefused, match=r"a Modbus client\?"):
        bench.driver.off()


# The device.


def test_quantities_are_answered_with_their_unit(bench: Rig):
    bench.driver.source(voltage_v=48.123, current_a=20.0)
    tell(bench, "SINK:POW 0.5kW")

    assert ask(bench, "VOLT?;:CURR?;:SINK:POW?") == "48.12 V;20.00 A;500.0 W"
    assert ask(bench, "VOLT? MAX;:VOLT:PROT? MAX") == "100.00 V;220.00 V"
    volts, amps, watts = ask(bench, "MEAS:ARR?").split(", ")
    assert (volts[-2:], amps[-2:], watts[-2:]) == (" V", " A", " W")
    assert float(volts[:-2]) == pytest.approx(80.0, abs=0.1)


def test_constant_voltage_current_and_power(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=60.0)
    assert bench.driver.measure() == pytest.approx((85.0, 50.0), abs=0.5)
    assert int(ask(bench, "STAT:OPER:COND?")) == CV

    bench.driver.source(voltage_v=85.0, current_a=20.0)
    assert bench.driver.measure() == pytest.approx((82.0, 20.0), abs=0.4)
    assert int(ask(bench, "STAT:OPER:COND?")) == CC

    # 10 A at 81 V.
    tell(bench, "POW 810")
    bench.clock.sleep(0.2)
    volts, amps = bench.driver.measure()
    assert volts * amps == pytest.approx(810.0, rel=0.02)
    assert int(ask(bench, "STAT:OPER:COND?")) == CP


def test_a_set_value_outside_its_limits_is_refused_and_a_limit_cannot_exclude_one(bench: Rig):
    tell(bench, "VOLT 100")
    assert ask(bench, "SYST:ERR?") == '0,"No error"'
    for refused in (
        "VOLT 100.01",
        "VOLT:LIM:HIGH 99",
        "VOLT:LIM:LOW 100.5",
        "VOLT:LIM:HIGH 204.1",
        "VOLT:PROT 221",
    ):
        tell(bench, refused)
        assert ask(bench, "SYST:ERR?") == '-222,"Data out of range"'

    tell(bench, "VOLT:LIM:LOW 100;:VOLT 99.9")
    assert ask(bench, "SYST:ERR?") == '-222,"Data out of range"'


def test_over_voltage_latches_until_it_is_acknowledged(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.terminal.emf_v = 104.9
    bench.clock.sleep(0.05)
    assert bench.terminal.enabled  # armed at 1.05 x 100 V

    bench.terminal.emf_v = 105.1
    bench.clock.sleep(0.05)

    assert not bench.terminal.enabled
    assert int(ask(bench, "STAT:QUES:COND?")) == OVP | REMOTE
    assert bench.driver.tripped() == ("OVP",)
    tell(bench, "SYST:LOCK ON;:OUTP ON")
    assert ask(bench, "SYST:ERR?") == '-221,"Settings conflict"'
    # Reading the queue acknowledges only when the cause is gone.
    assert int(ask(bench, "STAT:QUES:COND?")) & OVP
    bench.terminal.emf_v = 80.0
    ask(bench, "SYST:ERR?")
    assert not int(ask(bench, "STAT:QUES:COND?")) & OVP


def test_an_alarm_is_not_forgotten_when_the_driver_itself_acknowledges_it(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.terminal.emf_v = 106.0
    bench.clock.sleep(0.05)
    bench.terminal.emf_v = 80.0

    bench.driver.off()  # reads the error queue

    assert not int(ask(bench, "STAT:QUES:COND?")) & OVP
    assert bench.driver.tripped() == ("OVP",)
    with pytest.raises(InstrumentRefused, match=r"alarm OVP since prepare\(\)"):
        bench.driver.source(voltage_v=85.0, current_a=20.0)
    bench.driver.prepare()
    assert bench.driver.tripped() == ()
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    assert bench.terminal.enabled


@pytest.mark.parametrize(
    ("threshold", "below", "above", "bit"),
    [("CURR:PROT 30", 29.7, 30.3, OCP), ("POW:PROT 2400", 29.0, 29.4, OPP)],
)
def test_over_current_and_over_power_trip_above_their_threshold(
    bench: Rig, threshold: str, below: float, above: float, bit: int
):
    # A stiff battery of 82 V: 29.0 A are 2378 W, 29.4 A are 2411 W.
    bench.terminal.emf_v, bench.terminal.ohm = 82.0, 1e-4
    tell(bench, threshold)
    bench.driver.source(voltage_v=99.0, current_a=below)
    bench.clock.sleep(0.1)
    assert bench.terminal.enabled

    tell(bench, f"CURR {above}")
    bench.clock.sleep(0.1)

    assert not bench.terminal.enabled
    assert int(ask(bench, "STAT:QUES:COND?")) & (OVP | OCP | OPP) == bit


def test_supervision_warns_or_switches_off_as_chosen(bench: Rig):
    tell(bench, "SYST:CONF:UVD 60;:SYST:CONF:UVD:ACT SIGNAL")
    bench.driver.source(voltage_v=85.0, current_a=20.0)

    bench.terminal.emf_v = 40.0
    bench.clock.sleep(0.05)
    assert int(ask(bench, "STAT:QUES:COND?")) == UVD | REMOTE | ON

    tell(bench, "SYST:CONF:UVD:ACT ALARM")
    bench.clock.sleep(0.05)
    assert not bench.terminal.enabled
    assert bench.driver.tripped() == ("UVD",)


def test_it_draws_where_the_terminal_lets_it():
    made = rig(Psb10000, FakeBoth(emf_v=80.0, ohm=0.1), max_v=100.0)
    made.driver.prepare()
    tell(made, "SINK:POW 2000;:SINK:CURR 30")

    made.driver.source(voltage_v=75.0, current_a=10.0)
    made.clock.sleep(0.1)

    # 2000 W of 77.4 V are 25.8 A, less than the 30 A set; the current is negative into the unit.
    volts, amps = made.driver.measure()
    assert volts * amps == pytest.approx(-2000.0, rel=0.02)
    assert amps == pytest.approx(-25.8, abs=0.6)
    assert int(ask(made, "STAT:OPER:COND?")) & SINKING
    tell(made, "SINK:CURR 20;:SINK:CURR:PROT 19")
    made.clock.sleep(0.1)
    assert int(ask(made, "STAT:QUES:COND?")) & OCP


def test_in_resistance_mode_the_sink_holds_its_resistance():
    made = rig(Psb10000, FakeBoth(emf_v=80.0, ohm=0.1), max_v=100.0)
    made.driver.prepare()
    tell(made, "SINK:POW 30000;:SINK:CURR 420;:SINK:RES 8;:SYST:CONF:MODE UIR")

    made.driver.source(voltage_v=10.0, current_a=10.0)
    made.clock.sleep(0.1)

    volts, amps = made.driver.measure()
    assert volts / -amps == pytest.approx(8.0, rel=0.02)


def test_resistances_stay_in_the_range_of_the_unit(bench: Rig):
    tell(bench, "SINK:RES 0.01")
    assert ask(bench, "SYST:ERR?").startswith("-222,")

    tell(bench, "SINK:RES:LIM:HIGH 10;:SINK:RES 11")

    assert ask(bench, "SYST:ERR?").startswith("-222,")
    assert float(ask(bench, "SYST:NOM:RES:MAX?").removesuffix(" Ohm")) == pytest.approx(
        60 * 200 / 420, abs=1e-3
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("SYST:CONF:CONT:SPE", ("SLOW", "FAST", "NORM")),
        ("SYST:CONF:SEMIF47", ("ENABLE", "DISABLE")),
        ("SYST:CONF:ANAL:PIN14", ("OVP/OPP", "ALL")),
        ("SYST:CONF:ANAL:REMSB:LEV", ("INVERTED", "NORMAL")),
        ("SYST:COMM:LAN:KEEP", ("ON", "OFF")),
        ("SYST:COMM:TIME", ("100", "5")),
    ],
)
def test_what_is_in_the_menu_is_kept(bench: Rig, header: str, words: tuple[str, ...]):
    for word in words:
        tell(bench, f"{header} {word}")
        assert ask(bench, f"{header}?") == word


def test_modbus_can_be_switched_off(bench: Rig):
    read_class = bytes.fromhex("0001 0000 0006 01 03 0000 0001")
    assert bench.twin.faces["modbus"].handle(read_class) is not None

    tell(bench, "SYST:COMM:PROT:MODB DISABLE")

    assert bench.twin.faces["modbus"].handle(read_class) is None


def test_sink_values_are_kept_where_the_terminal_cannot_be_drawn_from(bench: Rig):
    tell(bench, "SINK:CURR 30;:SINK:POW 1000")

    bench.driver.source(voltage_v=75.0, current_a=10.0)

    assert ask(bench, "SINK:CURR?") == "30.00 A"
    assert bench.driver.measure()[1] == pytest.approx(0.0, abs=0.3)


def test_reset_takes_remote_control_switches_off_and_keeps_set_values(bench: Rig):
    bench.driver.source(voltage_v=85.0, current_a=20.0)
    tell(bench, "SYST:LOCK OFF")

    tell(bench, "*RST")

    assert ask(bench, "SYST:LOCK:OWN?;:OUTP?;:VOLT?") == "REMOTE;OFF;85.00 V"


def test_errors_are_worded_as_the_family_words_them(bench: Rig):
    for message in ("NONSENSE 1", "VOLT abc", "VOLT"):
        tell(bench, message)

    assert ask(bench, "SYST:ERR:ALL?") == (
        '-100,"Command unknown", -220,"Parameter error", -220,"Parameter error"'
    )
    assert ask(bench, "SYST:ERR:ALL?") == '0,"No error"'


def test_the_identity_has_the_serial_number_and_the_users_text(bench: Rig):
    made = rig(Psb10000, FakeSource(), serial="1234567890")
    tell(made, 'SYST:LOCK ON;:SYST:CONF:USER:TEXT "rack 3"')

    maker, model, serial, firmware, text = made.driver.identity().split(", ")

    assert maker.startswith("EA Elektro-Automatik")
    assert (model, serial, text) == ("PSB 10200-420", "1234567890", "rack 3")
    assert firmware.startswith("KE ")


def test_readings_err_within_the_declared_accuracy(bench: Rig):
    readings = [bench.driver.measure()[0] for _ in range(50)]

    # 0.02 % of 80 V and 0.03 % of 200 V, and half a digit of 0.01 V.
    assert max(abs(volts - 80.0) for volts in readings) < 0.016 + 0.06 + 0.005
    assert len(set(readings)) > 5
