"""A BS1200's analog outputs as a shunt: bytes, signs, and what a box without power is."""

from __future__ import annotations

import pytest

from bench.errors import InstrumentRefused
from instruments.shunt_bs1200 import Bs1200Shunt
from tests.fake_terminals import FakeShunt
from tests.rig import Rig, rig


@pytest.fixture
def bench() -> Rig:
    made = rig(Bs1200Shunt, FakeShunt(), max_a=1000.0, box=3, shunt_ohm=50e-6, divider=50.0)
    made.driver.prepare()
    made.clock.sleep(0.1)
    return made


def sent_to(bench: Rig, can_id: int) -> list[bytes]:
    """Data of the frames with that identifier, of everybody who is on the bus."""
    found = []
    assert bench.hub is not None
    bench.hub.attach("listener", lambda _t_s, seen, data: found.append(data) if seen == can_id else None)
    return found


def test_charge_is_on_the_first_output_and_discharge_on_the_second(bench: Rig) -> None:
    heard = sent_to(bench, 0x223)

    # 100 A in 50 µohm are 5 mV; times 50 are 0.25 V, 2500 counts of 0.1 mV: 0x09C4, low byte first.
    bench.driver.set(current_a=100.0)
    bench.driver.set(current_a=-100.0)
    bench.driver.off()
    bench.clock.sleep(0.1)

    assert heard == [
        bytes.fromhex("c409000000000000"),
        bytes.fromhex("0000c40900000000"),
        bytes(8),
    ]


def test_a_box_that_nobody_has_told_anything_is_a_shunt_without_current() -> None:
    terminal = FakeShunt()

    made = rig(Bs1200Shunt, terminal, max_a=1000.0)
    made.clock.sleep(0.1)

    assert (terminal.connected, terminal.actual_voltage_v) == (True, 0.0)


def test_who_has_just_come_does_not_know_whether_it_is_off(bench: Rig) -> None:
    bench.driver.set(current_a=50.0)
    newcomer = bench.another()

    assert not newcomer.is_off()
    newcomer.off()
    bench.clock.sleep(0.1)

    assert newcomer.is_off()
    assert bench.driver.is_off()


@pytest.mark.parametrize(("max_a", "range_a"), [(600.0, 600.0), (5000.0, 2000.0)])
def test_the_range_is_the_least_of_station_and_full_scale(max_a: float, range_a: float) -> None:
    # 5 V at the output are 0.1 V at the shunt, 2000 A.
    driver = rig(Bs1200Shunt, FakeShunt(), max_a=max_a).driver

    assert driver.range_a == pytest.approx(range_a)
    driver.set(current_a=range_a)
    with pytest.raises(InstrumentRefused, match="role refused"):
        driver.set(current_a=range_a + 1.0)


def test_the_trace_is_commanded_in_steps_of_the_output(bench: Rig) -> None:
    bench.clock.sleep(0.1)
    bench.driver.set(current_a=-10.03)

    trace = bench.driver.traces()["role.current_a"]

    assert trace.origin.kind == "commanded"
    # 0.1 mV over 50 are 2 µV at 50 µohm: 0.04 A.
    assert float(trace.last) == pytest.approx(-10.04)
