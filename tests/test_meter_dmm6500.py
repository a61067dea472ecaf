"""Keithley DMM6500: exact bytes, a capture placed in bench time by its own clock, sign and scale."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import InstrumentRefused
from bench.wires.twin import Reply
from instruments.meter_dmm6500 import ACCURACY, Dmm6500
from tests.fake_terminals import FakeMeter
from tests.rig import Rig, rig


@pytest.fixture
def bench() -> Rig:
    made = rig(Dmm6500, FakeMeter(), max_a=4000.0)
    made.driver.prepare()
    return made


def ask(bench: Rig, message: str) -> str:
    reply: Reply | None = bench.twin.handle(message.encode())
    assert reply is not None, message
    return reply.data.decode().strip()


def test_arming_sets_window_buffer_and_trigger_model(bench: Rig):
    bench.sent()

    bench.driver.arm(level_a=1000.0, duration_s=0.05)

    assert [line for line in bench.sent() if line != "SYST:ERR?"] == [
        "ABOR",
        'READ:DIG? "defbuffer2", SEC, FRAC, READ',
        "DIG:VOLT:ATR:MODE WIND",
        "DIG:VOLT:ATR:WIND:LEV:HIGH 1",  # 1000 A x 1 mV/A
        "DIG:VOLT:ATR:WIND:LEV:LOW -1",
        "DIG:VOLT:ATR:WIND:DIR LEAV",
        'TRAC:POIN 5000, "defbuffer1"',  # 0.05 s x 100 kHz
        'TRIG:LOAD "Empty"',
        'TRIG:BLOC:BUFF:CLEAR 1, "defbuffer1"',
        "TRIG:BLOC:WAIT 2, ATR",
        'TRIG:BLOC:MDIG 3, "defbuffer1", 5000',
        "INIT",
    ]
    assert bench.terminal.armed == pytest.approx((1000.0, 0.05, 100_000.0))


def test_nothing_is_captured_until_the_level_is_crossed(bench: Rig):
    bench.driver.arm(level_a=1000.0, duration_s=0.05)

    bench.clock.sleep(10.0)

    assert not bench.driver.captured()
    assert not bench.driver.is_off()
    assert ask(bench, "TRIG:STAT?") == "WAITING;WAITING;2"
    assert "capture_a" not in bench.driver.traces()


def test_a_capture_comes_back_with_sign_scale_and_time(bench: Rig):
    bench.clock.sleep(3.0)
    bench.driver.arm(level_a=1000.0, duration_s=0.05)
    bench.clock.sleep(1.0)

    bench.terminal.happen(t_s=3.5, peak_a=2000.0)
    assert bench.driver.captured()

    trace = bench.driver.traces()["capture_a"]
    assert len(trace) == 5000
    assert trace.unit == "A"
    # The instrument's real-time clock is seconds off; the reading taken while arming removes that.
    assert trace.t_s[0] == pytest.approx(3.5, abs=2e-6)
    assert trace.period_s == pytest.approx(1e-5)
    assert trace.value[0] == pytest.approx(-2000.0, abs=2e-3 * 2000 + 1.0)
    assert trace.value[1000] == pytest.approx(-2000.0 / np.e, abs=5.0)
    assert bench.driver.captured()  # stays true
    assert bench.driver.is_off()


def test_a_long_capture_is_fetched_in_parts(bench: Rig):
    bench.driver.arm(level_a=500.0, duration_s=0.25)
    bench.terminal.happen(t_s=0.1, peak_a=800.0)
    bench.sent()

    assert bench.driver.captured()

    fetched = [line for line in bench.sent() if line.endswith("READ")]
    assert fetched == [
        'TRAC:DATA? 1, 10000, "defbuffer1", READ',
        'TRAC:DATA? 10001, 20000, "defbuffer1", READ',
        'TRAC:DATA? 20001, 25000, "defbuffer1", READ',
    ]
    assert len(bench.driver.traces()["capture_a"]) == 25_000


def test_what_is_beyond_the_range_is_not_a_number():
    made = rig(Dmm6500, FakeMeter(), max_a=4000.0)
    made.driver.prepare()
    made.driver.arm(level_a=1000.0, duration_s=0.05)

    made.terminal.happen(t_s=0.1, peak_a=15_000.0)  # 15 V on the 10 V range
    made.driver.captured()

    value = made.driver.traces()["capture_a"].value
    assert np.isnan(value[0])
    assert not np.isnan(value[-1])


def test_arming_again_forgets_the_last_capture(bench: Rig):
    bench.driver.arm(level_a=1000.0, duration_s=0.05)
    bench.terminal.happen(t_s=0.1, peak_a=2000.0)
    assert bench.driver.captured()

    bench.driver.arm(level_a=1000.0, duration_s=0.05)

    assert not bench.driver.captured()
    assert "capture_a" not in bench.driver.traces()


@pytest.mark.parametrize("level_a", [0.0, -5.0, 4000.1, float("nan")])
def test_levels_that_cannot_be_seen_are_refused(bench: Rig, level_a: float):
    bench.sent()

    with pytest.raises(InstrumentRefused, match="nothing was sent"):
        bench.driver.arm(level_a=level_a, duration_s=0.05)

    assert bench.sent() == []


def test_off_disarms(bench: Rig):
    bench.driver.arm(level_a=1000.0, duration_s=0.05)

    bench.driver.off()
    bench.driver.off()

    assert bench.driver.is_off()
    assert not bench.driver.captured()


def test_polling_reads_the_current_with_its_sign(bench: Rig):
    bench.terminal.current_a = -150.0
    bench.clock.every(0.1, bench.driver.poll, name="poll")

    bench.clock.sleep(0.55)

    trace = bench.driver.traces()["role.current_a"]
    assert len(trace) == 5
    assert trace.always(lambda amps: abs(amps + 150.0) < 1.5)


def test_polling_leaves_an_armed_capture_alone(bench: Rig):
    bench.driver.arm(level_a=1000.0, duration_s=0.05)
    bench.sent()

    bench.driver.poll()

    assert bench.sent() == []


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("INIT", -200),
        ("DIG:VOLT:ATR:WIND:LEV:HIGH -1", -221),
        ('TRIG:LOAD "SortBinning"', -224),
        ('TRAC:POIN 5, "defbuffer1"', -222),
        ('TRAC:POIN 50, "mine"', -224),
        ('DIG:FUNC "CURR"', -224),
    ],
)
def test_the_twin_declines_what_it_cannot_do(bench: Rig, message: str, error: int):
    bench.twin.handle(message.encode())

    assert ask(bench, "SYST:ERR?").startswith(f"{error},")


def test_an_empty_buffer_has_no_data(bench: Rig):
    assert bench.twin.handle(b'TRAC:DATA? 1, 1, "defbuffer1", READ') is None
    assert ask(bench, "SYST:ERR?").startswith("-222,")


def test_a_voltage_of_10_v_is_as_accurate_as_its_calibration_manual_says():
    # DMM6500-905-01 Rev. A, p. 2-4: 9.99970 to 10.00030 V after one year.
    assert ACCURACY["voltage_v"].limit(10.0) == pytest.approx(0.0003)


def test_the_uncertainty_is_that_of_transducer_and_digitizer():
    made = rig(Dmm6500, FakeMeter(), max_a=4000.0, transducer_accuracy=1e-3)

    made.driver.prepare()
    made.driver.arm(level_a=1000.0, duration_s=0.05)
    made.terminal.happen(t_s=0.1, peak_a=2000.0)
    made.driver.captured()

    # Limits: 4 V x 0.05 % + 10 V x 0.01 % = 3 mV = 3 A; 4000 A x 0.1 % = 4 A; both by 2 / sqrt(3).
    assert made.driver.traces()["capture_a"].uncertainty == pytest.approx(5.0 * 2.0 / np.sqrt(3.0))


def test_an_instrument_that_speaks_another_language_is_refused(bench: Rig):
    bench.twin.handle(b"*LANG TSP")

    with pytest.raises(InstrumentRefused, match=r"expected SCPI .*'TSP'"):
        bench.driver.prepare()


def test_as_a_multimeter_it_reads_the_transducer(bench: Rig):
    bench.terminal.current_a = -150.0  # 1 mV/A

    assert float(ask(bench, "MEAS:VOLT:DC?")) == pytest.approx(-0.15, abs=2e-4)
    assert ask(bench, "SENS:VOLT:RANG?") == "1"
    bench.twin.handle(b"VOLT:RANG 0.1")
    assert float(ask(bench, "READ?")) == -9.9e37
    assert ask(bench, "VOLT:RANG:AUTO?") == "0"


def test_an_offset_is_taken_off_and_averaging_takes_time(bench: Rig):
    bench.terminal.current_a = 2000.0
    bench.twin.handle(b":SENS:VOLT:REL:ACQ;:VOLT:DC:NPLC 1;:VOLT:DC:AZER 0")
    bench.terminal.current_a = 2500.0

    assert float(ask(bench, "READ?")) == pytest.approx(0.5, abs=0.002)
    one = bench.twin.handle(b"READ?")
    bench.twin.handle(b"VOLT:DC:AVER:COUN 5;:VOLT:DC:AVER:STAT 1")
    five = bench.twin.handle(b"READ?")
    assert five.delay_s - one.delay_s == pytest.approx(4 / 60, rel=1e-6)


def test_readings_fill_the_buffer(bench: Rig):
    bench.twin.handle(b"SENS:COUN 3")

    ask(bench, "READ?")

    assert ask(bench, "TRAC:ACT:STAR?;END?") == "1;3"
    assert len(ask(bench, "TRAC:DATA? 1, 3").split(",")) == 3
    bench.twin.handle(b"TRAC:CLE")
    assert ask(bench, "TRAC:ACT:STAR?;END?") == "0;0"


@pytest.mark.parametrize(
    "function", ["VOLT:DC", "CURR:AC", "FRES", "TEMP", "PER:VOLT", "VOLT:DC:RAT", "CONT"]
)
def test_functions_are_answered_as_public_drivers_parse_them(bench: Rig, function: str):
    bench.twin.handle(f"SENS:FUNC '{function}'".encode())

    assert ask(bench, "SENS:FUNC?") == function
    assert ask(bench, "SYST:ERR?").startswith("0,")


@pytest.mark.parametrize(
    ("function", "value"), [("RES", 9.9e37), ("DIOD", 9.9e37), ("CURR:DC", 0.0), ("VOLT:AC", 0.0)]
)
def test_only_the_voltage_input_is_connected(bench: Rig, function: str, value: float):
    assert float(ask(bench, f"MEAS:{function}?")) == value


@pytest.mark.parametrize(("line_hz", "most"), [(50, 12), (60, 15)])
def test_integration_goes_as_far_as_the_mains_let_it(line_hz: int, most: int):
    made = rig(Dmm6500, FakeMeter(), line_hz=line_hz)

    made.twin.handle(f"VOLT:NPLC {most}".encode())
    assert ask(made, "SYST:ERR?").startswith("0,")
    made.twin.handle(f"VOLT:NPLC {most + 0.1}".encode())
    assert ask(made, "SYST:ERR?").startswith("-222,")


def test_aperture_and_cycles_are_two_names_of_one_thing(bench: Rig):
    bench.twin.handle(b"VOLT:NPLC 5")
    assert float(ask(bench, "VOLT:DC:APER?")) == pytest.approx(0.0833333)  # 5 / 60 Hz

    bench.twin.handle(b"VOLT:DC:APER 0.0166667")

    assert float(ask(bench, "VOLT:NPLC?")) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("line_hz", "least", "most", "usual"),
    [(60, "8.33e-06", "0.25", "0.0166667"), (50, "1e-05", "0.24", "0.02")],
)
def test_apertures_go_as_far_as_the_mains_let_them(line_hz: int, least: str, most: str, usual: str):
    made = rig(Dmm6500, FakeMeter(), line_hz=line_hz)

    for word, expected in (("MIN", least), ("MAX", most), ("DEF", usual)):
        made.twin.handle(f"VOLT:DC:APER {word}".encode())
        assert ask(made, "VOLT:DC:APER?") == expected


def test_a_single_automatic_zero_is_the_last(bench: Rig):
    bench.twin.handle(b"VOLT:DC:AZER 1;:AZER:ONCE")

    assert ask(bench, "VOLT:DC:AZER?") == "0"


@pytest.mark.parametrize(
    ("asked", "kept"), [("inf", "0"), ("0", "0"), ("9999", "9999"), ("maximum", "100000000")]
)
def test_a_scan_may_go_on_until_it_is_aborted(bench: Rig, asked: str, kept: str):
    bench.twin.handle(f"ROUT:SCAN:COUN:SCAN {asked}".encode())

    assert ask(bench, "ROUT:SCAN:COUN:SCAN?") == kept
    assert ask(bench, "SYST:ERR?").startswith("0,")


def test_its_clock_can_be_set(bench: Rig):
    bench.twin.handle(b":SYST:TIME 2026, 11, 21, 8, 30, 0")

    bench.clock.sleep(60.0)

    assert ask(bench, ":SYST:TIME? 1") == "Sat Nov 21 08:31:00 2026"
    bench.twin.handle(b":SYST:TIME 2026, 13, 21, 8, 30, 0")
    assert ask(bench, "SYST:ERR?").startswith("-224,")


def test_each_timer_has_settings_of_its_own(bench: Rig):
    bench.twin.handle(b"TRIG:TIM2:DEL 0.5;STAR:STIM TIM1")

    assert ask(bench, "TRIG:TIM2:DEL?;:TRIG:TIM3:DEL?") == "0.5;0"
    assert ask(bench, "TRIG:TIM2:STAR:STIM?;:TRIG:TIM3:STAR:STIM?") == "TIM1;NONE"
    bench.twin.handle(b"TRIG:TIM5:DEL 1")
    assert ask(bench, "SYST:ERR?").startswith("-114,")


def test_the_station_file_finds_its_serial_number():
    made = rig(Dmm6500, FakeMeter(), serial="04412345")

    assert made.driver.identity() == "KEITHLEY INSTRUMENTS,MODEL DMM6500,04412345,1.7.12b"
