"""NGI N83624: word order, identifiers and lists by hand; outputs, protections, programs, fault relays."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid
from bench.fault_rules import FaultRules, Live
from bench.station_file import FaultRulesEntry
from instruments import roles
from instruments.cells_n83624 import N83624, commands, header
from instruments.cells_n83624_can import EXCHANGES as CAN_EXCHANGES
from instruments.cells_n83624_can import N83624Can
from instruments.cells_n83624_can_frames import can_id
from instruments.cells_n83624_modbus import EXCHANGES as MODBUS_EXCHANGES
from instruments.cells_n83624_modbus import N83624Modbus
from instruments.cells_n83624_modbus_map import value, words
from instruments.cells_n83624_programs import sequence
from instruments.cells_n83624_twin import N83624Twin
from tests.fake_terminals import FakeCells
from tests.rig import Rig, rig

ALL = ",".join(str(k) for k in range(1, 25))


def unit(
    driver: type = N83624, *, stack: int = 24, ohm: float = 1000.0, max_a: float = 1.0, **options: object
) -> Rig:
    return rig(driver, FakeCells(np.full(stack, 3.3), ohm), max_v=5.0, max_a=max_a, **options)


def ready(driver: type = N83624, **options: object) -> Rig:
    bench = unit(driver, **options)
    bench.driver.prepare()
    bench.transcript.entries.clear()
    return bench


def say(bench: Rig, message: str, face: str = "scpi") -> str:
    reply = bench.twin.faces[face].handle(message.encode())
    return "" if reply is None else reply.data.decode().removesuffix("\r\n")


# By hand.


def test_the_low_word_goes_first():
    # The guide's own example: 0x12345678 goes as 56 78 12 34.
    assert struct.pack(">2H", *words(0x12345678, "u32")) == bytes.fromhex("56781234")
    # 3.7 in single precision is 0x406CCCCD.
    assert words(3.7, "f32") == [0xCCCD, 0x406C]
    assert value([0xCCCD, 0x406C], "f32") == pytest.approx(3.7)
    assert value([0x5678, 0x1234], "u32") == 0x12345678


@given(st.floats(width=32, allow_nan=False))
def test_a_value_survives_its_registers(number: float):
    assert value(words(number, "f32"), "f32") == number


def test_identifiers_have_direction_channel_and_register():
    assert can_id(3, 20) == 0x0003_0014
    assert can_id(24, 113) == 0x0018_0071
    assert can_id(5, 10, unit=2) == 0x001D_000A  # 24 + 5 = 29
    assert can_id(3, 3, from_unit=True) == 0x1003_0003


def test_equal_values_share_one_command_and_its_list():
    order = ("source_v", (1, 2, 3), [3.7, 3.6, 3.7])

    assert commands(order) == ["SOUR:VOLT 3.7 (@1,3)", "SOUR:VOLT 3.6 (@2)"]
    assert [header(name) for name in ("on", "relay", "sampling", "state", "ovp_v", "opp_mw")] == [
        "OUTP:ONOFF",
        "FAUL:SIMU",
        "MEAS:CAPR",
        "OUTP:STAT",
        "PRO:VOLT",
        "PRO:POWE",
    ]


# SCPI.


def test_all_channels_are_set_and_switched_on_by_one_message():
    bench = ready()

    bench.driver.set(voltage_v=3.7)

    assert bench.sent() == [
        f"SOUR:VOLT 3.7 (@{ALL});:OUTP:ONOFF 1 (@{ALL})",
        f"SOUR:VOLT? (@{ALL});:OUTP:ONOFF? (@{ALL})",
    ]
    assert bench.terminal.connected.all()
    assert bench.terminal.voltage_v == pytest.approx([3.7] * 24, abs=1e-3)


def test_off_is_one_order_to_all_24_channels_whatever_is_in_use():
    bench = ready(cells=16, stack=16)
    bench.driver.set(voltage_v=3.7)
    bench.transcript.entries.clear()

    bench.driver.off()

    assert bench.sent()[0] == f"OUTP:ONOFF 0 (@{ALL})"
    assert not bench.terminal.connected.any()


def test_prepare_limits_and_protects_before_anything_is_on():
    bench = ready(max_a=0.5)

    assert say(bench, "SOUR5:OUTCURR?;:PRO5:VOLT?;:OUTP5:MODE?;:MEAS5:CAPR?") == "500;5.25;0;0"
    assert say(bench, "PRO5:CURR?;POWE?;:SOUR5:RANG?") == "0;0;0"


def test_what_the_public_driver_sends_is_understood():
    # ami3go/NGI-N83624-Battery-simulator, ngi_n83624/commands.py: every builder, for channels 1 to 3.
    bench = unit()
    sent = [
        *("*IDN?", "*OPC?", "SOUR:VOLT 3.7(@1,2,3)", "SOUR2:VOLT 3.8", "SOUR:OUTCURR 1000(@1,2,3)"),
        *("SOUR2:OUTCURR 1", "SOUR:RANG 0 (@1,2,3)", "SOUR:RANG 2 (@1,2,3)", "SOUR:RANG 3 (@1,2,3)"),
        *("CHAR:VOLT 3.7(@1,2)", "CHAR:OUTCURR 50(@1,2)", "CHAR:OUTCURR? (@1,2)", "CHAR:R 0.5(@1,2)"),
        *("CHAR:ECHO:VOLT? (@1,2)", "CHAR:ECHO:Q? (@1,2)", "OUTP:MODE 1 (@1,2)", "OUTP:MODE 3 (@1,2)"),
        *("OUTP:MODE 128 (@1,2)", "OUTP:MODE 0 (@1,2)", "OUTP:MODE? (@1,2)", "OUTP:ONOFF 1 (@1,2,3)"),
        *("OUTP:ONOFF? (@1,2)", "MEAS:CURR? (@1,2,3)", "MEAS:VOLT? (@1,2,3)", "MEAS:POW? (@1,2)"),
        *("MEAS:TEMP? (@1,2)", "MEAS:MAH? (@1)", "MEAS:R? (@1)", "MEAS:CAPR 0 (@1)", "MEAS:CAPR 2 (@1)"),
        *("SEQ:EDIT:FILE 2(@1,2)", "SEQ:EDIT:LENG 3(@1,2)", "SEQ:EDIT:STEP 1(@1,2)", "SEQ1:EDIT:CYC 2"),
        *("SEQ:EDIT:VOLT 3.3(@1,2)", "SEQ:EDIT:OUTCURR 100(@1)", "SEQ1:EDIT:R 0.2", "SEQ1:EDIT:RUNT 5"),
        *("SEQ1:EDIT:LINKS -1", "SEQ1:EDIT:LINKE -1", "SEQ1:EDIT:LINKC 0", "SEQ1:RUN:FILE 2"),
        *("SEQ:RUN:STEP? (@1)", "SEQ:RUN:T? (@1)", "OUTP:ONOFF 0 (@1,2,3)", "FAULt:SIMUlate 0 (@1,2,3)"),
    ]

    for message in sent:
        answer = say(bench, message)
        assert bool(answer) == ("?" in message), message
        assert say(bench, "SYST:ERR?") == '0,"No error"', message

    assert say(bench, "SOUR:VOLT?(@1,2,3)") == "3.7,3.8,3.7"
    assert len(say(bench, f"MEAS:VOLT? (@{ALL})").split(",")) == 24


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("SOUR25:VOLT 1", "-114"),
        ("SOUR:VOLT 1(@0)", "-222"),
        ("SOUR:VOLT 1(@1:25)", "-222"),
        ("SOUR:VOLT 1 @(1)", "-104"),
        ("SOUR1:VOLT 6.001", "-222"),
        ("SOUR1:RANG 1", "-224"),
        ("OUTP1:MODE 2", "-224"),
        ("FAUL1:SIMU 2", "-224"),
        ("SOUR1:VOLT", "-109"),
        ("SOUR1:VOLTA 1", "-113"),
        ("MEAS1:VOLT 1", "-116"),
    ],
)
def test_what_the_unit_declines(message: str, code: str):
    bench = unit()

    say(bench, message)

    assert say(bench, "SYST:ERR?").partition(",")[0] == code
    assert say(bench, "SOUR1:VOLT?") == "0"


def test_a_channels_own_port_is_that_channel_and_quicker():
    bench = unit()

    say(bench, "SOUR:VOLT 3.5", face="scpi:7")
    say(bench, "SOUR7:OUTCURR 800", face="scpi:7")
    say(bench, "SOUR1:VOLT 1", face="scpi:7")

    assert say(bench, "SOUR:VOLT?(@6,7,8)") == "0,3.5,0"
    assert say(bench, "SOUR:OUTCURR?", face="scpi:7") == "800"
    assert say(bench, "SYST:ERR?", face="scpi:7").startswith("-114")
    bench.clock.sleep(1.0)
    own = bench.twin.faces["scpi:7"].handle(b"MEAS:VOLT?").delay_s
    bench.clock.sleep(1.0)
    assert own < bench.twin.handle(b"MEAS7:VOLT?").delay_s / 4


# Outputs.


def test_readings_are_the_cells_own_where_a_channel_is_off():
    bench = ready()
    bench.terminal.emf_v[:] = np.linspace(3.0, 3.46, 24)
    bench.clock.sleep(0.2)
    bench.driver.poll()

    assert bench.driver.traces()["cell_v"].last == pytest.approx(np.linspace(3.0, 3.46, 24), abs=1.5e-3)


def test_a_channel_folds_back_at_its_limit():
    bench = ready(ohm=4.0, max_a=0.4)

    bench.driver.set(voltage_v=3.2)
    bench.clock.sleep(0.3)

    # 0.4 A through 4 ohm
    assert bench.driver.traces()["cell_a"].last == pytest.approx([0.4] * 24, abs=0.006)
    assert bench.terminal.voltage_v == pytest.approx([1.6] * 24)


def test_charge_mode_drops_over_its_resistance():
    bench = unit(ohm=2.0)
    for message in ("OUTP1:MODE 1", "CHAR1:VOLT 5", "CHAR1:OUTCURR 5000", "CHAR1:R 100", "OUTP1:ONOFF 1"):
        say(bench, message)

    bench.clock.sleep(0.3)

    # 5 V over 2 ohm and 0.1 ohm: 2.381 A, 4.762 V
    assert bench.terminal.voltage_v[0] == pytest.approx(4.762, abs=2e-3)
    assert float(say(bench, "MEAS1:CURR?")) == pytest.approx(2381.0, abs=7.0)


def test_the_low_range_limits_and_is_reported():
    bench = unit(ohm=1000.0)
    for message in ("SOUR1:VOLT 3", "SOUR1:OUTCURR 1000", "SOUR1:RANG 2", "OUTP1:ONOFF 1"):
        say(bench, message)
    bench.clock.sleep(0.3)

    # 1 mA, the project's full scale of the low range, through 1 kohm; bits 16 to 18 say 2.
    assert bench.terminal.voltage_v[0] == pytest.approx(1.0)
    assert int(say(bench, "OUTP1:STAT?")) == 1 | 2 << 16
    say(bench, "SOUR1:RANG 0")
    bench.clock.sleep(0.3)
    assert bench.terminal.voltage_v[0] == pytest.approx(3.0, abs=1e-3)
    assert int(say(bench, "OUTP1:STAT?")) == 1


@pytest.mark.parametrize(("protect", "bit"), [("PRO1:VOLT {}", 2), ("PRO1:CURR {}", 4), ("PRO1:POWE {}", 8)])
def test_protections_trip_above_their_value_and_not_below(protect: str, bit: int):
    # 3 V over 10 ohm: 300 mA, 900 mW; 1 % to both sides.
    true = {2: 3.0, 4: 300.0, 8: 900.0}[bit]
    for factor, trips in ((1.01, False), (0.99, True)):
        bench = unit(ohm=10.0)
        for message in (protect.format(true * factor), "SOUR1:VOLT 3", "SOUR1:OUTCURR 1000", "OUTP1:ONOFF 1"):
            say(bench, message)
        bench.clock.sleep(0.05)

        assert bool(bench.terminal.connected[0]) != trips
        assert int(say(bench, "OUTP1:STAT?")) == (bit if trips else 1)
        assert int(say(bench, "OUTP1:EVEN?")) & bit == (bit if trips else 0)
        assert not int(say(bench, "OUTP1:EVEN?")) & bit


def test_a_reading_is_as_old_as_the_sampling_rate_lets_it_be():
    bench = unit()
    say(bench, "MEAS1:CAPR 2")
    bench.clock.sleep(0.485)  # sampled at 0.48 s, next at 0.96 s
    bench.terminal.emf_v[0] = 3.9

    bench.clock.sleep(0.4)
    assert float(say(bench, "MEAS1:VOLT?")) == pytest.approx(3.3, abs=2e-3)
    bench.clock.sleep(0.1)
    assert float(say(bench, "MEAS1:VOLT?")) == pytest.approx(3.9, abs=2e-3)


# Programs.


def sequenced(bench: Rig, *steps: tuple[float, float], cycles: int = 1, **last: int) -> None:
    say(bench, f"OUTP1:MODE 128;:SEQ1:EDIT:FILE 1;LENG {len(steps)};CYC {cycles}")
    for k, (voltage_v, duration_s) in enumerate(steps, start=1):
        say(bench, f"SEQ1:EDIT:STEP {k};VOLT {voltage_v};OUTCURR 2000;R 0;RUNT {duration_s}")
    for name, number in last.items():
        say(bench, f"SEQ1:EDIT:{name} {number}")
    say(bench, "SEQ1:RUN:FILE 1;:OUTP1:ONOFF 1")


def test_the_guides_sequence_runs_by_itself():
    bench = unit()
    sequenced(bench, (1.0, 5.0), (2.0, 10.0), (3.0, 20.0))
    start_ns, seen = bench.clock.now_ns, []

    for until_s in (0.1, 4.99, 5.01, 14.99, 15.01, 34.99, 40.0):
        bench.clock.sleep_until(start_ns + round(until_s * 1e9))
        seen.append((round(float(bench.terminal.voltage_v[0]), 1), say(bench, "SEQ1:RUN:STEP?")))

    assert seen == [(1.0, "1"), (1.0, "1"), (2.0, "2"), (2.0, "2"), (3.0, "3"), (3.0, "3"), (3.0, "3")]
    assert float(say(bench, "SEQ1:RUN:T?")) == pytest.approx(40.0, abs=0.2)


def test_a_sequence_repeats_its_file_and_its_links():
    steps = [{"duration_s": 1.0, "link_start": -1, "link_end": -1, "link_cycles": 0} for _ in range(3)]
    steps[1] |= {"link_start": 1, "link_end": 2, "link_cycles": 2}

    order = list(sequence(steps, cycles=2))

    once = [0, 1, 0, 1, 0, 1, 2]
    assert order == [(0, k) for k in once] + [(1, k) for k in once]
    assert list(sequence([{**step, "duration_s": 0.0} for step in steps], cycles=5)) == []


def test_switching_off_ends_a_sequence():
    bench = unit()
    sequenced(bench, (1.0, 1.0), (2.0, 1.0))

    bench.clock.sleep(0.5)
    say(bench, "OUTP1:ONOFF 0")
    bench.clock.sleep(2.0)

    assert say(bench, "SEQ1:RUN:STEP?") == "1"
    assert not bench.terminal.connected[0]


def test_a_discharge_goes_down_its_table_by_what_flows_out():
    # 5 V over 5 ohm is 1 A: 100 mAh, the difference of the first two steps, take 360 s; then 4 V, 0.8 A, and
    # 80 mAh take 360 s again.
    bench = unit(ohm=5.0)
    say(bench, "OUTP1:MODE 3;:SOC1:EDIT:LENG 3;SVOL 4.8")
    for k, (capacity_mah, voltage_v) in enumerate(((1000, 5.0), (900, 4.0), (820, 3.0)), start=1):
        say(bench, f"SOC1:EDIT:STEP {k};Q {capacity_mah};VOLT {voltage_v};OUTCURR 2000;R 0")
    say(bench, "OUTP1:ONOFF 1")

    bench.clock.sleep(355.0)
    assert say(bench, "SOC1:RUN:STEP?;:SOC1:OPEN:VOLT?") == "1;5"
    assert float(say(bench, "SOC1:RUN:Q?")) == pytest.approx(1000 - 355 / 3.6, abs=0.2)
    bench.clock.sleep(10.0)
    assert say(bench, "SOC1:RUN:STEP?;:SOC1:OPEN:VOLT?") == "2;4"
    bench.clock.sleep(350.0)
    assert say(bench, "SOC1:RUN:STEP?") == "2"
    bench.clock.sleep(15.0)
    assert say(bench, "SOC1:RUN:STEP?") == "3"
    assert bench.terminal.voltage_v[0] == pytest.approx(3.0, abs=1e-3)


# Fault relays.


def test_the_relays_refuse_a_live_port_and_another_mode_by_a_bit():
    bench = unit()
    say(bench, "SOUR1:VOLT 3;:SOUR1:OUTCURR 100;:OUTP1:ONOFF 1")

    say(bench, "FAUL1:SIMU 8")
    assert say(bench, "FAUL1:SIMU?") == "0"
    assert int(say(bench, "OUTP1:EVEN?")) == 1 | 32

    say(bench, "OUTP1:ONOFF 0;:FAUL1:SIMU 8")  # the port still holds some of its voltage
    assert int(say(bench, "OUTP1:EVEN?")) & 32
    bench.clock.sleep(0.3)
    say(bench, "FAUL1:SIMU 8")
    assert say(bench, "FAUL1:SIMU?") == "8"

    say(bench, "OUTP2:MODE 1;:FAUL2:SIMU 1")
    assert say(bench, "FAUL2:SIMU?") == "0"
    assert int(say(bench, "OUTP2:EVEN?")) == 64


@pytest.mark.parametrize("driver", [N83624, N83624Modbus])
@pytest.mark.parametrize(("kind", "seen_v"), [("open", 0.0), ("short", 0.0), ("reverse", -3.7)])
def test_a_fault_is_put_into_one_channel_with_the_whole_unit_off(driver: type, kind: str, seen_v: float):
    bench = ready(driver)
    bench.driver.set(voltage_v=3.7)
    lonely: list[int] = []
    bench.clock.every(
        0.001, lambda: lonely.append(int(bench.terminal.connected.sum())), name="watch", order=99
    )

    bench.driver.insert(f"channel_{kind}_3")
    bench.clock.sleep(0.3)

    assert bench.terminal.actual_voltage_v[3] == pytest.approx(seen_v, abs=2e-3)
    assert np.delete(bench.terminal.actual_voltage_v, 3) == pytest.approx([3.7] * 23, abs=2e-3)
    assert bench.terminal.connected.all()
    assert 0 in lonely
    if driver is N83624:  # Modbus has no order to all: its channels follow each other
        assert set(lonely) == {0, 24}
    assert bench.driver.traces()[f"fault.channel_{kind}_3"].last == 1.0

    bench.driver.remove(f"channel_{kind}_3")
    bench.clock.sleep(0.3)
    assert bench.terminal.actual_voltage_v == pytest.approx([3.7] * 24, abs=2e-3)
    assert bench.driver.traces()[f"fault.channel_{kind}_3"].last == 0.0


def test_a_fault_goes_in_while_the_unit_is_off_and_leaves_it_off():
    bench = ready()

    bench.driver.insert("channel_reverse_0")

    assert not bench.terminal.connected.any()
    assert not bench.driver.is_off()  # a fault relay is set


def test_off_takes_every_fault_out_also_those_of_another():
    bench = ready()
    bench.driver.set(voltage_v=3.7)
    bench.driver.insert("channel_open_2")
    bench.driver.insert("channel_short_5")

    rescuer = bench.another()
    rescuer.off()

    assert rescuer.is_off()
    assert bench.driver.is_off()
    assert say(bench, f"FAUL:SIMU?(@{ALL})") == ",".join(["0"] * 24)


def test_one_fault_per_channel_and_none_that_does_not_exist():
    bench = ready(cells=8, stack=32, first_cell=24)
    assert bench.driver.faults[0] == "channel_open_24"
    assert bench.driver.faults[-1] == "channel_reverse_31"

    bench.driver.insert("channel_open_26")

    with pytest.raises(InstrumentRefused, match=r"insert channel_short_26 .* no other fault of channel 3"):
        bench.driver.insert("channel_short_26")
    with pytest.raises(InstrumentRefused, match="as channel_open_24"):
        bench.driver.insert("channel_open_3")
    assert bench.terminal.opened.sum() == 0  # the output is off: the cell is sensed


def test_a_relay_that_does_not_move_is_told():
    bench = ready(discharge_s=0.0)
    bench.driver.set(voltage_v=3.7)

    with pytest.raises(
        InstrumentRefused, match=r"role took relay otherwise .* voltage or current at its port"
    ):
        bench.driver.insert("channel_short_3")

    assert bench.driver.tripped() == {3: "voltage or current at the port of a fault relay"}


@pytest.mark.parametrize(("options", "objects"), [({}, True), ({"hot_switching": True}, False)])
def test_the_benchs_rules_let_a_live_unit_switch_itself_only_if_it_says_so(
    options: dict[str, bool], objects: bool
):
    live = Live(lambda _: 0.0, lambda: 80.0, lambda: True)
    rules = FaultRules(FaultRulesEntry(), rest_current_a=2.0, live=live)

    found = rules.objection("channel_open_3", "cells", unit(**options).driver, inserting=True)

    assert ("must not leave a live stack" in found) == objects


def test_it_is_both_roles():
    bench = unit()

    assert isinstance(bench.driver, roles.CellEmulator)
    assert isinstance(bench.driver, roles.FaultBox)
    assert unit(N83624Can).driver.faults == ()


# Modbus.


def test_modbus_frames_of_the_table_in_their_order():
    bench = unit()

    for exchange in MODBUS_EXCHANGES:
        assert bench.twin.faces["modbus"].handle(exchange.request).data == exchange.reply, exchange.note

    assert bench.terminal.voltage_v[2] == pytest.approx(3.7, abs=1e-3)
    assert bench.terminal.connected.tolist() == [k == 2 for k in range(24)]


def test_the_driver_sends_the_printed_frames():
    bench = unit(N83624Modbus)

    bench.driver.set(voltage_v=3.7, cell=2)

    sent = [data[6:] for data in bench.transcript.sent("role")]
    assert sent[0] == MODBUS_EXCHANGES[0].request[6:]
    assert MODBUS_EXCHANGES[3].request[6:] in sent


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("0001 0000 0009 03 10 0028 0001 02 406C", 3),
        ("0001 0000 000B 03 10 0028 0002 04 0000 40E0", 3),  # 7 V
        ("0001 0000 000B 03 10 0028 0002 04 0000 7FC0", 3),  # not a number
        ("0001 0000 000B 03 10 0006 0002 04 0000 0000", 2),  # measured voltage
        ("0001 0000 000B 03 10 0016 0002 04 0002 0000", 3),  # mode 2
        ("0001 0000 0006 03 06 0028 0001", 1),
    ],
)
def test_what_the_registers_decline(frame: str, code: int):
    bench = unit()
    message = bytes.fromhex(frame)

    reply = bench.twin.faces["modbus"].handle(message).data

    assert reply == message[:4] + bytes((0, 3, 3, message[7] | 0x80, code))
    assert bench.twin.faces["modbus"].handle(bytes.fromhex("0001000000061903 00020002")) is None  # unit 25


# CAN.


def test_can_frames_of_the_table_are_obeyed():
    bench = unit(N83624Can)
    host = bench.hub.attach("host")

    for exchange in CAN_EXCHANGES:
        frame_id, _, content = exchange.request.decode().partition("#")
        host.send(int(frame_id, 16), bytes.fromhex(content))
    bench.clock.sleep(0.25)
    bench.hub.settle()

    assert bench.terminal.voltage_v[2] == pytest.approx(3.7, abs=1e-3)
    assert say(bench, "SOUR3:OUTCURR?;:CFG3:UPT?") == "1000;100"
    uploads = {frame_id: data for _, frame_id, data in host.inbox}
    assert set(uploads) == {0x1003_0001, 0x1003_0003, 0x1003_0005}
    volt, milliampere = struct.unpack("<ii", uploads[0x1003_0003])
    assert volt == pytest.approx(370_000, abs=200)  # 1e-5 V
    assert milliampere == pytest.approx(370_000, abs=400_000)  # 3.7 mA over 1 kohm, 1e-5 mA, +- 2.5 mA
    assert struct.unpack_from("<I", uploads[0x1003_0001]) == (1,)


def test_the_can_driver_sends_the_printed_frames():
    bench = unit(N83624Can)

    bench.driver.set(voltage_v=3.7, cell=2)

    assert bench.sent() == ["00030014#20753800", "0003000A#01000000"]


def test_uploads_become_rows_of_the_period_that_was_ordered():
    bench = ready(N83624Can, sample_s=0.2)
    bench.driver.set(voltage_v=3.5)

    bench.clock.sleep(2.0)
    trace = bench.driver.traces()["cell_v"]

    assert trace.period_s == pytest.approx(0.2, abs=1e-3)
    assert trace.last == pytest.approx([3.5] * 24, abs=2e-3)


def test_a_damaged_or_immoderate_frame_is_ignored():
    bench = unit(N83624Can)
    host = bench.hub.attach("host")

    host.send(can_id(3, 20), b"\x00\x01")
    host.send(can_id(3, 20), struct.pack("<I", 7_000_000))
    host.send(can_id(3, 10), struct.pack("<I", 2))
    bench.clock.sleep(0.01)

    assert not bench.terminal.connected.any()
    assert say(bench, "SOUR3:VOLT?") == "0"


@given(st.lists(st.binary(max_size=24), max_size=8), st.lists(st.binary(max_size=8), max_size=8))
def test_registers_and_frames_survive_any_bytes(messages: list[bytes], contents: list[bytes]):
    bench = unit()
    modbus, can = bench.twin.faces["modbus"], bench.twin.faces["can"]

    for message in messages:
        modbus.handle(message)
        # The same as the body of a frame that is addressed to channel 3.
        modbus.handle(struct.pack(">HHHB", 1, 0, len(message) + 1, 3) + message)
    for content in contents:
        for register in (10, 20, 21, 113):
            can.receive(0.0, can_id(3, register), content)
    bench.clock.sleep(0.05)

    assert 0.0 <= float(say(bench, "SOUR3:VOLT?")) <= 6.0


def test_the_connectors_are_one_device():
    bench = ready()
    bench.driver.set(voltage_v=3.6)

    frame = bytes.fromhex("0001 0000 0006 05 03 0028 0002")
    assert bench.twin.faces["modbus"].handle(frame).data[-4:] == struct.pack(">2H", *words(3.6, "f32"))
    assert say(bench, "SOUR:VOLT?", face="scpi:5") == "3.6"
    bench.twin.faces["can"].receive(0.0, can_id(5, 10), bytes(4))
    assert say(bench, "OUTP5:ONOFF?") == "0"


def test_a_stack_that_ends_before_the_channels_is_told():
    with pytest.raises(StationInvalid, match="cells 24 to 47"):
        N83624Twin(FakeCells(np.full(32, 3.3)), clock=Clock(), options=N83624.Options(first_cell=24))
