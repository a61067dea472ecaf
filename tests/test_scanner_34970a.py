"""34970A scanner: what is sent, scans in time, units and ranges, thermocouples, relays, public drivers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.wires.twin import Reply
from instruments import roles
from instruments.scanner_34970a import Daq970a
from instruments.scanner_34970a_channels import uncertainty_v
from instruments.scanner_34970a_twin import Daq970aTwin
from tests.fake_terminals import FakeCells, FakeFaults, FakeMeter, FakeThermocouples
from tests.rig import Rig, rig

CHANNELS = {"101": "cell_v[0]", "102": "cell_v[2]", "103": "pack_v", "104": "temperature_degc[1]"}
RELAYS = {"open_sense_wire_0": 201, "open_sense_wire_1": 202, "hvil_open": 220}
#: A channel at 1 period of 50 Hz: 15 ms of relays, 20 ms and as much for zero, 2 ms.
CHANNEL_S = 0.057


def terminal() -> SimpleNamespace:
    return SimpleNamespace(
        cells=FakeCells(np.array([3.2, 3.3, 3.4])),
        meter=FakeMeter(current_a=12.0, pack_v=80.0),
        thermocouples=FakeThermocouples(np.array([20.0, 35.0, 50.0])),
        faults=FakeFaults(),
    )


def scanner(**options: object) -> Rig:
    given = {"channels": CHANNELS, **options}
    return rig(Daq970a, terminal(), max_v=100.0, max_a=1.0, **given)


def device(**options: object) -> tuple[Daq970aTwin, Clock, SimpleNamespace]:
    clock, behind = Clock(), terminal()
    given = Daq970a.Options(**{"channels": CHANNELS, **options})
    return Daq970aTwin(behind, clock=clock, options=given), clock, behind


def says(twin: Daq970aTwin, message: str) -> str:
    reply = twin.handle(message.encode())
    return "" if reply is None else reply.data.decode().strip()


def test_the_driver_sets_every_channel_up_and_reads_the_scan_list_back():
    bench = scanner(relays=RELAYS)

    bench.driver.prepare()

    assert [line for line in bench.sent() if line != "SYST:ERR?"] == [
        "*IDN?",
        "*CLS",
        "ABOR",
        "*RST",
        "CONF:VOLT:DC 10,(@101,102)",
        "VOLT:DC:NPLC 1,(@101,102)",
        "CONF:VOLT:DC 100,(@103)",
        "VOLT:DC:NPLC 1,(@103)",
        "CONF:TEMP TC,K,(@104)",
        "TEMP:NPLC 1,(@104)",
        "TEMP:TRAN:TC:RJUN:TYPE INT,(@104)",
        "ROUT:SCAN (@101,102,103,104)",
        "TRIG:SOUR IMM",
        "TRIG:COUN 1",
        "FORM:READ:CHAN ON",
        "FORM:READ:TIME ON",
        "FORM:READ:TIME:TYPE REL",
        "FORM:READ:UNIT OFF",
        "FORM:READ:ALAR OFF",
        "ROUT:SCAN?",
    ]


def test_a_scan_gives_each_point_its_value_and_its_own_time():
    bench = scanner()
    bench.driver.prepare()
    start_s = bench.clock.now_s

    found = bench.driver.scan()

    assert found["cell_v[2]"] == pytest.approx(3.4, abs=0.0004)
    assert found["pack_v"] == pytest.approx(80.0, abs=0.006)
    assert found["temperature_degc[1]"] == pytest.approx(35.0, abs=1.0)
    traces = bench.driver.traces()
    times_s = [float(traces[CHANNELS[number]].t_s[0]) - start_s for number in ("101", "102", "103", "104")]
    # One after the other, 57 ms apart; stamps have whole milliseconds, and INIT takes one or two.
    assert np.diff(times_s) == pytest.approx(np.full(3, CHANNEL_S), abs=0.0011)
    assert times_s[0] == pytest.approx(CHANNEL_S, abs=0.004)


def test_a_channel_sees_the_pack_at_its_own_turn_and_not_at_the_start():
    bench = scanner()
    bench.driver.prepare()
    # Channel 103 is measured after three turns, 171 ms; the pack falls after 150.
    bench.clock.after(0.15, lambda: setattr(bench.terminal.meter, "pack_v", 20.0), name="fall")

    found = bench.driver.scan()

    assert found["pack_v"] == pytest.approx(20.0, abs=0.006)


@pytest.mark.parametrize(("nplc", "per_second"), [(0.02, 57.5), (1.0, 17.5), (10.0, 2.4)])
def test_a_scan_takes_the_time_of_its_relays_and_its_integration(nplc: float, per_second: float):
    channels = {str(number): f"cell_v[{number - 101}]" for number in range(101, 104)}
    bench = scanner(channels=channels, nplc=nplc)
    bench.driver.prepare()

    bench.driver.scan()

    times_s = [float(trace.t_s[0]) for trace in bench.driver.traces().values()]
    assert 2.0 / (max(times_s) - min(times_s)) == pytest.approx(per_second, rel=0.06)


def test_polling_scans_on_and_on_without_waiting():
    bench = scanner()
    bench.driver.prepare()

    bench.clock.every(0.1, bench.driver.poll, name="poll")
    bench.clock.sleep(3.05)

    trace = bench.driver.traces()["cell_v[0]"]
    # A scan takes 228 ms, so every third poll finds one done.
    assert len(trace) in (9, 10)
    assert np.diff(trace.t_s) == pytest.approx(np.full(len(trace) - 1, 0.3), abs=0.011)


def test_all_cells_make_one_trace_and_some_make_one_each():
    channels = {"103": "cell_v[2]", "101": "cell_v[0]", "102": "cell_v[1]"}
    whole, part = scanner(channels=channels, cells=3), scanner(channels=channels, cells=4)

    for bench in (whole, part):
        bench.driver.prepare()
        bench.driver.scan()

    assert set(whole.driver.traces()) == {"cell_v"}
    assert whole.driver.traces()["cell_v"].value == pytest.approx(np.array([[3.2, 3.3, 3.4]]), abs=0.0004)
    assert set(part.driver.traces()) == {"cell_v[0]", "cell_v[1]", "cell_v[2]"}


def test_a_divider_and_a_shunt_are_taken_back():
    channels = {
        "101": {"point": "pack_v", "scale": 10.0},
        "102": {"point": "current_a", "scale": 1000.0},
    }
    bench = scanner(channels=channels)
    bench.driver.prepare()

    found = bench.driver.scan()

    assert found["pack_v"] == pytest.approx(80.0, abs=0.02)
    assert found["current_a"] == pytest.approx(12.0, abs=0.05)  # 12 mV at the shunt
    assert bench.driver.traces()["current_a"].unit == "A"
    # 10 V range for 100 V / 10, ten times the error of the reading.
    assert bench.driver.traces()["pack_v"].uncertainty == pytest.approx(10.0 * uncertainty_v(10.0, 1.0, 10.0))


def test_the_uncertainty_is_that_of_the_specifications():
    # 10 V range, 1 year: 0.0035 % of 9 V and 0.0005 % of 10 V are 365 uV (the specifications' own example);
    # at one period 0.001 % of range of noise come on top: 465 uV, times 2 / sqrt(3).
    assert uncertainty_v(10.0, 1.0, 9.0) == pytest.approx(465e-6 * 2.0 / 3.0**0.5)
    assert uncertainty_v(10.0, 10.0, 9.0) == pytest.approx(365e-6 * 2.0 / 3.0**0.5)


def test_readings_err_within_the_specifications():
    bench = scanner(nplc=10.0)
    bench.driver.prepare()

    found = [bench.driver.scan() for _ in range(30)]

    volts = np.array([scan["cell_v[2]"] for scan in found])
    degc = np.array([scan["temperature_degc[1]"] for scan in found])
    assert np.abs(volts - 3.4).max() <= 3.5e-5 * 3.4 + 5e-5
    assert volts.std() > 0
    assert np.abs(degc - 35.0).max() <= 1.0
    assert abs(degc.mean() - 35.0) > 3 * degc.std() / 30**0.5  # the reference junction's error stays


def test_too_much_for_the_range_is_no_value():
    bench = scanner()
    bench.driver.prepare()
    bench.terminal.meter.pack_v = 125.0

    assert np.isnan(bench.driver.scan()["pack_v"])


def test_off_ends_a_scan_and_opens_the_relays():
    bench = scanner(relays=RELAYS)
    bench.driver.prepare()
    bench.driver.insert("hvil_open")
    bench.driver.poll()
    running = not bench.driver.is_off()

    bench.driver.off()

    assert running
    assert bench.driver.is_off()
    assert bench.terminal.faults.inserted == set()


def test_polling_does_not_start_a_scan_after_off():
    bench = scanner()
    bench.driver.prepare()
    bench.clock.every(0.1, bench.driver.poll, name="poll")
    bench.clock.sleep(0.5)

    bench.driver.off()
    bench.clock.sleep(1.0)
    off = bench.driver.is_off()
    bench.driver.scan()
    bench.clock.sleep(0.2)

    assert off
    assert not bench.driver.is_off()


def test_a_rescuer_is_not_kept_off_by_errors_that_somebody_left():
    bench = scanner(relays=RELAYS)
    bench.driver.prepare()
    bench.driver.insert("hvil_open")
    bench.twin.handle(b"NONSENSE")

    rescuer = bench.another()
    rescuer.off()

    assert rescuer.is_off()
    assert bench.terminal.faults.inserted == set()


def test_relays_of_a_card_insert_faults():
    bench = scanner(relays=RELAYS, exclusive=[["open_sense_wire_0", "open_sense_wire_1"]])
    bench.driver.prepare()
    bench.sent()

    bench.driver.insert("open_sense_wire_0")
    sent = [line for line in bench.sent() if line != "SYST:ERR?"]
    inserted = set(bench.terminal.faults.inserted)
    with pytest.raises(InstrumentRefused, match="shares a wire"):
        bench.driver.insert("open_sense_wire_1")
    bench.driver.remove("open_sense_wire_0")

    assert isinstance(bench.driver, roles.FaultBox)
    assert bench.driver.faults == tuple(RELAYS)
    assert sent == ["ROUT:CLOS (@201)", "ROUT:CLOS? (@201)"]
    assert inserted == {"open_sense_wire_0"}
    assert bench.driver.traces()["fault.open_sense_wire_0"].value.tolist() == [0.0, 1.0, 0.0]


def test_what_the_mainframe_declines_is_told_in_its_words():
    bench = scanner(relays=RELAYS)
    bench.twin.switches.remove(201)

    with pytest.raises(InstrumentRefused, match=r"role refused .*-222"):
        bench.driver.insert("open_sense_wire_0")


def test_readings_of_other_channels_are_not_taken():
    bench = scanner()
    bench.driver.prepare()
    bench.driver.poll()
    bench.clock.sleep(1.0)
    plain = bench.twin.handle

    def shifted(message: bytes) -> Reply | None:
        reply = plain(message)
        assert reply is not None or b"?" not in message
        return Reply(reply.data.replace(b",104", b",105")) if reply is not None else None

    bench.twin.handle = shifted
    with pytest.raises(WireError, match="channels"):
        bench.driver.poll()


def test_a_meter_that_never_measures_is_told():
    bench = scanner()
    bench.driver.prepare()
    bench.twin._scan._begin_sweep = lambda: None

    with pytest.raises(WireError, match=r"expected 4 readings within .* found 0"):
        bench.driver.scan()


def test_a_timed_scan_fills_the_memory_as_a_public_logger_wants_it():
    twin, clock, _ = device()
    for message in (
        "*RST",
        "CONF:VOLT:DC DEF,(@101)",
        "VOLT:DC:NPLC 1.0,(@101)",
        "CONF:TEMP TC,K,1,DEF,(@104)",  # as other drivers write it: always 1, then the resolution
        "CONF:TEMP TC,K,(@104)",
        "TEMP:NPLC 1.0,(@104)",
        "TEMP:TRAN:TC:RJUN:TYPE FIX,(@104)",
        "TEMP:TRAN:TC:RJUN:FIX 25.000,(@104)",
        "ROUT:CHAN:DELAY 0.100,(@104)",
        "ROUT:SCAN (@101,104)",
        "TRIG:SOURCE TIMER",
        "TRIG:TIMER 2.000",
        "TRIG:COUNT INF",
        "FORM:READ:CHAN ON",
        "INIT",
    ):
        assert says(twin, message + ";*OPC?") == "1", message
    assert says(twin, "SYST:ERR?") == '+0,"No error"'

    clock.sleep(7.0)
    points = says(twin, "DATA:POIN?")
    fields = says(twin, "DATA:REM? 8").split(",")
    says(twin, "ABOR")
    clock.sleep(7.0)

    assert points == "+8"
    assert fields[1::2] == ["101", "104"] * 4
    assert float(fields[0]) == pytest.approx(3.2, abs=0.001)
    # A fixed reference of 25 degC, and terminals within half a kelvin of it.
    assert float(fields[2]) == pytest.approx(35.0, abs=1.5)
    assert says(twin, "DATA:POIN?") == "+0"
    assert says(twin, "TRIG:COUNT?") == "+9.90000000E+37"
    assert says(twin, "ROUT:CHAN:DELAY? (@104)") == "+1.00000000E-01"
    assert says(twin, "TEMP:TRAN:TC:RJUN:FIX? (@104)") == "+2.50000000E+01"


def test_readings_show_units_times_channels_and_alarms_as_they_are_asked_for():
    twin, clock, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101);:CALC:LIM:UPP 3,(@101);:CALC:LIM:UPP:STAT ON,(@101)")
    says(twin, "FORM:READ:UNIT ON;TIME ON;CHAN ON;ALAR ON")

    says(twin, "INIT")
    clock.sleep(0.2)
    relative = says(twin, "FETC?")
    says(twin, "FORM:READ:TIME:TYPE ABS")
    absolute = says(twin, "FETC?")

    value, stamp, channel, alarm = relative.split(",")
    assert value.endswith(" VDC")
    assert float(value.split()[0]) == pytest.approx(3.2, abs=0.001)
    assert (stamp, channel, alarm) == ("00000000.057", "101", "2")
    assert absolute.split(",")[1:7] == ["2026", "01", "01", "00", "00", "00.057"]


def test_read_is_answered_when_the_scan_would_be_over():
    twin, _, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101,102)")

    reply = twin.handle(b"READ?")

    assert reply is not None
    assert reply.delay_s == pytest.approx(2 * CHANNEL_S + 0.002, abs=0.001)
    assert [float(text) for text in reply.data.split(b",")] == pytest.approx([3.2, 3.4], abs=0.001)


def test_fetch_waits_for_the_rest_of_a_running_scan_and_keeps_its_times():
    twin, clock, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101,102);:TRIG:SOUR TIM;TIM 2;COUN 3;:FORM:READ:TIME ON;:INIT")
    clock.sleep(2.08)  # in the second sweep, its first channel is done

    reply = twin.handle(b"FETC?")

    assert reply is not None
    stamps = [float(text) for text in reply.data.split(b",")[1::2]]
    sweep = np.array([CHANNEL_S, 2 * CHANNEL_S])
    assert stamps == pytest.approx([*sweep, *(sweep + 2.0), *(sweep + 4.0)], abs=0.0006)
    assert reply.delay_s == pytest.approx(4.0 + 2 * CHANNEL_S - 2.08 + 0.002, abs=0.001)
    assert says(twin, "STAT:OPER:COND?") == "0"


def test_fetch_does_not_wait_for_triggers():
    twin, clock, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101,102);:TRIG:SOUR BUS;COUN 2;:INIT;*TRG")
    clock.sleep(0.07)

    readings = says(twin, "FETC?").split(",")
    says(twin, "*TRG")
    clock.sleep(1.0)

    assert len(readings) == 2
    assert says(twin, "DATA:POIN?") == "+4"


def test_a_bus_trigger_makes_one_sweep_each():
    twin, clock, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101);:TRIG:SOUR BUS;COUN 2;:INIT")

    clock.sleep(1.0)
    before = says(twin, "DATA:POIN?")
    says(twin, "*TRG")
    clock.sleep(1.0)
    after = says(twin, "DATA:POIN?")
    says(twin, "*TRG")
    clock.sleep(1.0)
    says(twin, "*TRG")

    assert (before, after, says(twin, "DATA:POIN?")) == ("+0", "+1", "+2")
    assert says(twin, "SYST:ERR?").startswith("-211")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("ROUT:SCAN (@199)", "-222"),
        ("ROUT:SCAN 101", "-171"),
        ("ROUT:CLOS (@320)", "-222"),
        ("CONF:VOLT:DC 1000,(@101)", "-222"),
        ("VOLT:DC:NPLC 1", "+0"),  # without a list: the scan list, here empty
        ("DATA:REM? 1", "-222"),
        ("FETC?", "-230"),
        ("INIT", "-221"),
        ("SOUR:VOLT 13,(@304)", "-222"),
        ("TRIG:COUN 0", "-222"),
        ("ROUT:MON (@101,102)", "-222"),
    ],
)
def test_what_does_not_fit_is_declined(message: str, error: str):
    twin, _, _ = device()

    says(twin, message)

    assert says(twin, "SYST:ERR?").startswith(error)


def test_a_running_scan_is_not_disturbed():
    twin, _, _ = device()
    says(twin, "CONF:VOLT:DC 10,(@101);:TRIG:SOUR TIM;COUN INF;:INIT")

    errors = []
    for message in ("INIT", "ROUT:SCAN (@102)", "TRIG:TIM 5", "CONF:VOLT:DC 10,(@102)", "ROUT:CLOS (@101)"):
        says(twin, message)
        errors.append(says(twin, "SYST:ERR?").split(",")[0])

    assert errors == ["-213", "-221", "-221", "-221", "-221"]


def test_the_rest_of_what_public_drivers_say():
    twin, clock, _ = device(relays=RELAYS)

    assert says(twin, "SYST:CTYP? 100;CTYP? 200;CTYP? 300").split(";") == [
        "HEWLETT-PACKARD,34901A,0,2.3",
        "HEWLETT-PACKARD,34903A,0,2.3",
        "HEWLETT-PACKARD,34907A,0,2.3",
    ]
    says(twin, "SOUR:VOLT 5,(@304,305)")
    assert says(twin, "SOUR:VOLT? (@304)") == "+5.00000000E+00"
    says(twin, "CONF:VOLT:DC 10,0.0001(@101)")  # a list glued to the value
    assert says(twin, "VOLT:NPLC? (@101)") == "+2.00000000E-01"
    says(twin, "SENS:VOLT:DC:NPLC 10,(@101)")
    says(twin, "ROUT:MON (@101)")
    assert float(says(twin, "ROUT:MON:DATA?")) == pytest.approx(3.2, abs=0.001)
    assert says(twin, "ROUT:MON?") == "#16(@101)"
    says(twin, "INIT")
    clock.sleep(1.0)
    assert says(twin, "R? 5").startswith("#215+3.")
    assert says(twin, "R?") == "#10"
    says(twin, "ROUT:CLOS (@210);OPEN (@210)")
    assert float(says(twin, "MEAS:VOLT:DC? 10,(@102)")) == pytest.approx(3.4, abs=0.001)
    assert says(twin, "ROUT:SCAN?") == "#16(@102)"
    assert says(twin, "SYST:ERR?") == '+0,"No error"'


def test_a_serial_interface_ends_its_lines_with_cr_lf():
    twin, _, _ = device(interface="rs232")

    reply = twin.handle(b"*IDN?")

    assert reply is not None
    assert reply.data == b"HEWLETT-PACKARD,34970A,0,13-2-2\r\n"


def test_impossible_wiring_is_told():
    for options, what in (
        ({"channels": {"101": "voltage"}}, "a point cell_v"),
        ({"channels": {"123": "pack_v"}}, "a multiplexer channel such as 101, found 123"),
        ({"channels": {"401": "pack_v"}}, "found 401"),
        ({"channels": {"101": "pack_v", "102": "pack_v"}}, "each point on one channel"),
        ({"relays": {"hvil_open": 221}}, "a relay channel such as 201 for hvil_open, found 221"),
        ({"channels": {"101": "pack_v"}, "relays": {"hvil_open": 101}}, "found 10"),
        ({"channels": {"101": "pack_v"}, "cards": {1: "34907A"}}, "found 101"),
    ):
        with pytest.raises(ValueError, match=what):
            Daq970a.Options(**options)
    with pytest.raises(StationInvalid, match="channel 101: expected a cell from 0 to 2"):
        scanner(channels={"101": "cell_v[3]"})
    with pytest.raises(StationInvalid, match="at most 300 V, the rating of an input"):
        rig(Daq970a, terminal(), max_v=400.0, max_a=1.0, channels=CHANNELS)
    with pytest.raises(StationInvalid, match="at most 1 A, the rating of a contact"):
        rig(Daq970a, terminal(), max_v=60.0, max_a=2.0, relays=RELAYS)
