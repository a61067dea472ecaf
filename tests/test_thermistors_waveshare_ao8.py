"""Waveshare analog outputs as thermistors: printed frames, the divider by hand, hand-over, several units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.wires.modbus_server import rtu
from bench.wires.twin import Reply
from instruments.accuracy import Accuracy, Band
from instruments.thermistors_waveshare_ao8 import (
    EXCHANGES,
    WaveshareAo8,
    input_temperature_degc,
    input_voltage_v,
)
from instruments.thermistors_waveshare_ao8_twin import WaveshareAo8Twin
from tests.fake_terminals import FakeNtcs
from tests.rig import Rig, rig

NTC = {"r25_ohm": 10_000.0, "beta_k": 3435.0, "pullup_ohm": 10_000.0, "reference_v": 5.0}
OPTIONS = WaveshareAo8.Options(sensors=8, **NTC)


NO_ERROR = {"output_v": Accuracy("V", (Band(10.0, 0.0, 0.0),), "for tests of scale", "unverified")}


class ExactTwin(WaveshareAo8Twin):
    accuracy = NO_ERROR


class Exact(WaveshareAo8):
    """Outputs without errors, so that a millivolt is a millivolt."""

    twin = ExactTwin


def units(*, sensors: int = 8, inputs: int = 8, driver: type = Exact, **options: object) -> Rig:
    return rig(
        driver,
        FakeNtcs(np.full(inputs, 2.5)),
        max_v=5.0,
        **{"sensors": sensors, **NTC, **options},
    )


def test_the_divider_by_hand():
    # 0 degC: R = 10 k exp(3435 (1/273.15 - 1/298.15)) = 10 k exp(1.05446) = 28.704 k; 5 V x 28.704 / 38.704
    assert float(input_voltage_v(25.0, OPTIONS)) == pytest.approx(2.5)
    assert float(input_voltage_v(0.0, OPTIONS)) == pytest.approx(3.70815, abs=1e-4)
    # 60 degC: R = 10 k exp(3435 (1/333.15 - 1/298.15)) = 10 k exp(-1.21036) = 2.9809 k; 5 V x 0.22964
    assert float(input_voltage_v(60.0, OPTIONS)) == pytest.approx(1.14819, abs=1e-4)


@given(st.floats(-60.0, 150.0))
def test_temperature_is_the_inverse_of_voltage(temperature_degc: float):
    voltage_v = input_voltage_v(temperature_degc, OPTIONS)

    assert float(input_temperature_degc(voltage_v, OPTIONS)) == pytest.approx(temperature_degc, abs=1e-6)


def test_the_twin_answers_as_printed():
    twin = units().twin

    for exchange in EXCHANGES:
        reply = twin.handle(exchange.request)

        assert reply is not None
        assert exchange.reply is None or reply.data == exchange.reply


def test_the_driver_sends_as_printed():
    # 1 V on channel 1 is 5 V R / (R + 10 k): R = 2500 ohm.
    temperature_degc = 1.0 / (1.0 / 298.15 + math.log(0.25) / 3435.0) - 273.15
    bench = units()

    bench.driver.set(temperature_degc=temperature_degc, sensor=0)
    bench.driver.set(temperature_degc=temperature_degc)

    sent = bench.transcript.sent("role")
    assert sent[0] == EXCHANGES[0].request
    assert sent[2] == EXCHANGES[3].request
    assert sent[3] == EXCHANGES[4].request
    assert bench.transcript.entries[-1].data == EXCHANGES[4].reply


def test_all_inputs_are_driven_and_handed_back():
    bench = units()

    bench.driver.set(temperature_degc=25.0)
    driven = bench.terminal.connected.copy(), bench.terminal.actual_voltage_v.copy()
    bench.driver.off()

    assert driven[0].all()
    assert driven[1] == pytest.approx([2.5] * 8)
    assert not bench.terminal.connected.any()
    assert bench.driver.is_off()
    assert np.isnan(bench.driver.traces()["temperature_degc"].last).all()


def test_one_input_leaves_the_others_to_the_packs_sensors():
    bench = units()

    bench.driver.set(temperature_degc=60.0, sensor=3)

    assert bench.terminal.connected.tolist() == [k == 3 for k in range(8)]
    assert bench.terminal.voltage_v[3] == pytest.approx(1.148)
    seen = bench.driver.traces()["temperature_degc"].last
    assert seen[3] == pytest.approx(60.0, abs=0.05)
    assert np.isnan(np.delete(seen, 3)).all()
    assert not bench.driver.is_off()


def test_several_units_share_the_line():
    bench = units(sensors=11, inputs=12, device_ids=[1, 7])

    bench.driver.set(temperature_degc=[10.0 + k for k in range(11)])
    bench.driver.set(temperature_degc=-20.0, sensor=9)

    assert bench.terminal.connected.tolist() == [True] * 11 + [False]
    seen = bench.driver.traces()["temperature_degc"].last
    assert seen == pytest.approx([10, 11, 12, 13, 14, 15, 16, 17, 18, -20, 20], abs=0.05)
    addressed = [data[0] for data in bench.transcript.sent("role")]
    assert addressed == [1, 7, 1, 7, 7, 1, 7]
    assert bench.driver.identity().endswith("address 1 version 1.00, address 7 version 1.00")


def test_an_exchange_takes_its_time_on_the_line():
    bench = units(delay_s=0.005)

    bench.driver.set(temperature_degc=25.0, sensor=0)

    # write 8 and 8 characters, read 8 and 21, each frame with 3.5 of silence, 10 bits at 9600 bit/s
    line_s = (8 + 8 + 8 + 21 + 4 * 3.5) * 10 / 9600
    assert bench.clock.now_s == pytest.approx(line_s + 2 * 0.005)


def test_a_step_stands_where_it_was_acknowledged_and_holds():
    bench = units()
    bench.driver.set(temperature_degc=25.0)
    bench.clock.sleep(2.0)
    before_s = bench.clock.now_s
    bench.driver.set(temperature_degc=55.0)
    after_s = bench.clock.now_s
    bench.clock.sleep(1.0)

    trace = bench.driver.traces()["temperature_degc"].channel(0)

    assert before_s < trace.first(lambda value: value > 40.0) < after_s
    assert trace.period_s == pytest.approx(0.1)
    assert trace.value[0] == pytest.approx(25.0, abs=0.02)
    assert (np.diff(trace.t_s) > 0).all()
    assert trace.t_s[-1] > after_s + 0.9


def test_outputs_err_within_the_declared_accuracy():
    bench = units(driver=WaveshareAo8)
    bench.driver.set(temperature_degc=0.0)

    error_v = bench.terminal.voltage_v - 3.708

    # 0.02 % of 10 V
    assert np.abs(error_v).max() <= 0.002
    assert error_v.std() > 0.0002
    # 2 mV and half a step of 1 mV, rectangular, k = 2: 2.38 mV; at 60 degC 27.4 mV per kelvin
    assert bench.driver.traces()["temperature_degc"].uncertainty == pytest.approx(0.087, abs=0.006)


def test_what_the_divider_or_the_station_forbids_is_refused():
    bench = rig(WaveshareAo8, FakeNtcs(np.full(8, 2.5)), max_v=4.0, sensors=8, **NTC)

    with pytest.raises(InstrumentRefused, match=r"role refused -20 °C \(4\.\d+ V\) .* 0\.02 to 4 V"):
        bench.driver.set(temperature_degc=-20.0)
    with pytest.raises(InstrumentRefused, match="refused 400 °C"):
        bench.driver.set(temperature_degc=400.0, sensor=0)
    with pytest.raises(InstrumentRefused, match="refused nan °C"):
        bench.driver.set(temperature_degc=math.nan)
    with pytest.raises(InstrumentRefused, match="sensor 8"):
        bench.driver.set(temperature_degc=20.0, sensor=8)
    with pytest.raises(InstrumentRefused, match="2 temperatures"):
        bench.driver.set(temperature_degc=[20.0, 21.0])
    assert not bench.transcript.sent("role")


def test_the_twin_declines_what_the_module_declines():
    twin = units().twin

    def answer(pdu: str) -> str:
        reply = twin.handle(rtu(1, bytes.fromhex(pdu)))
        assert reply is not None
        return reply.data[1:-2].hex()

    assert answer("06 0000 2711") == "8603"  # 10001 mV
    assert answer("06 0008 0001") == "8602"
    assert answer("03 0007 0002") == "8302"
    assert answer("04 0000 0001") == "8402"
    assert answer("05 0000 FF00") == "8502"
    assert answer("03 2000 0001") == "03020001"


def test_an_output_that_does_not_take_its_value_is_told():
    bench = units()
    bench.twin.read = lambda *_: [0] * 8

    with pytest.raises(WireError, match="to read back, found"):
        bench.driver.set(temperature_degc=25.0)


def test_a_unit_that_is_not_there_is_told():
    bench = units(sensors=10, inputs=16, device_ids=[1, 2])
    bench.twin._server.device_ids = (1,)

    with pytest.raises(WireError, match="expected device 2 to answer"):
        bench.driver.prepare()


def test_as_many_units_as_the_sensors_need():
    assert [WaveshareAo8.Options(sensors=n, **NTC).device_ids for n in (8, 9, 17)] == [
        (1,),
        (1, 2),
        (1, 2, 3),
    ]


def test_impossible_options_are_told():
    with pytest.raises(StationInvalid, match=r"at least 0\.0005 A"):
        rig(WaveshareAo8, FakeNtcs(np.full(8, 2.5)), max_a=1e-4, sensors=8, **NTC)
    with pytest.raises(ValueError, match="8 sensors for each"):
        WaveshareAo8.Options(sensors=9, device_ids=[1], **NTC)
    with pytest.raises(ValueError, match="different device_ids"):
        WaveshareAo8.Options(sensors=9, device_ids=[1, 1], **NTC)
    with pytest.raises(StationInvalid, match="at most 4 sensors"):
        units(inputs=4)


def test_while_an_acknowledgement_is_late_nobody_knows_what_the_dut_sees(monkeypatch: pytest.MonkeyPatch):
    bench = units()
    bench.driver.set(temperature_degc=25.0)
    bench.clock.sleep(1.0)
    answer, start_s = bench.twin.handle, bench.clock.now_s

    def late(message: bytes) -> Reply | None:
        reply = answer(message)
        return None if reply is None else Reply(reply.data, reply.delay_s + 0.3)

    with monkeypatch.context() as held_up:
        held_up.setattr(bench.twin, "handle", late)
        bench.driver.set(temperature_degc=40.0, sensor=2)

    trace = bench.driver.traces()["temperature_degc"].between(start_s, bench.clock.now_s)
    unknown = np.isnan(trace.value)
    assert unknown[:, 2].any()
    assert not np.delete(unknown, 2, axis=1).any()
    assert trace.value[-1, 2] == pytest.approx(40.0, abs=0.5)
