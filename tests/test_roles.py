"""The conformance kit: what every driver of a role keeps, on its twin and a fake terminal.

One table row per role. A new driver is found by its file name and meets the kit without an edit here; a new
role adds a `Kit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bench.errors import InstrumentRefused
from instruments import roles, supply_rp7900
from instruments.supply_rp7900 import Rp7900, Rp7900Twin
from tests.drivers import Found, drivers, rig_of
from tests.rig import Rig

FOUND = drivers()
EVERY = pytest.mark.parametrize("found", FOUND, ids=str)


@dataclass(frozen=True)
class Kit:
    """What the common checks need to know of a role.

    Parameters
    ----------
    protocol
        Of `instruments.roles`.
    act
        Do what the role is for.
    acts
        Whether the terminal shows that it was done.
    too_much
        Calls that must be refused.
    obeys_physics
        The role's own check: what it measures is the terminal's truth, not its set point.
    """

    protocol: type
    act: Callable[[Any], None]
    acts: Callable[[Rig], bool]
    too_much: tuple[Callable[[Any], None], ...]
    obeys_physics: Callable[[Rig], None]


def _supply_obeys(bench: Rig) -> None:
    bench.terminal.emf_v, bench.terminal.ohm = 80.0, 0.1
    # Constant current: 20 A into 80 V behind 0.1 ohm is 82 V, whatever voltage is set.
    bench.driver.source(voltage_v=95.0, current_a=20.0)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((82.0, 20.0), rel=0.01)
    # Constant voltage: 3 V across 0.1 ohm is 30 A, whatever limit is set.
    bench.driver.source(voltage_v=83.0, current_a=90.0)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((83.0, 30.0), rel=0.02)
    # A battery above the set voltage takes nothing.
    bench.terminal.emf_v = 90.0
    bench.clock.sleep(0.5)
    assert bench.driver.measure()[1] == pytest.approx(0.0, abs=0.5)


def _load_obeys(bench: Rig) -> None:
    bench.terminal.emf_v, bench.terminal.ohm = 80.0, 0.1
    bench.driver.sink(current_a=50.0)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((75.0, 50.0), rel=0.02)
    # A dead bus gives nothing.
    bench.terminal.emf_v = 0.0
    bench.clock.sleep(0.5)
    assert bench.driver.measure()[1] == pytest.approx(0.0, abs=1.0)


def _cells_obey(bench: Rig) -> None:
    bench.driver.set(voltage_v=3.6, cell=7)
    bench.clock.sleep(0.5)
    seen_v = bench.driver.traces()["cell_v"].last
    assert seen_v.shape == (bench.driver.cells,)
    assert seen_v[7] == pytest.approx(3.6, abs=0.01)
    # Somebody bleeds the cells: 3.6 V into 10 ohm is 0.36 A out of the channel.
    bench.terminal.cells.ohm = 10.0
    bench.clock.sleep(0.5)
    seen_a = bench.driver.traces()["cell_a"].last
    assert seen_a[7] == pytest.approx(0.36, abs=0.01)
    assert seen_a[6] == pytest.approx(0.0, abs=0.01)


def _thermistors_obey(bench: Rig) -> None:
    bench.driver.set(temperature_degc=25.0)
    bench.clock.sleep(0.5)
    # 10 kohm at 25 degC below a 10 kohm pull-up is half of 5 V.
    assert bench.terminal.actual_voltage_v == pytest.approx(np.full(bench.driver.sensors, 2.5), abs=0.02)
    bench.driver.set(temperature_degc=60.0, sensor=3)
    bench.clock.sleep(0.5)
    assert bench.terminal.actual_voltage_v[3] < 2.0  # hotter is less resistance
    assert bench.driver.traces()["temperature_degc"].last[3] == pytest.approx(60.0, abs=0.5)


def _faults_obey(bench: Rig) -> None:
    first, second = bench.driver.faults[:2]
    bench.driver.insert(first)
    bench.driver.insert(second)
    bench.driver.remove(first)
    bench.clock.sleep(0.5)
    assert not bench.terminal.active(first)
    assert bench.terminal.active(second)


def _meter_obeys(bench: Rig) -> None:
    bench.driver.arm(level_a=500.0, duration_s=0.02)
    bench.clock.sleep(1.0)
    assert not bench.driver.captured()
    bench.terminal.happen(t_s=0.4, peak_a=2000.0)
    assert bench.driver.captured()
    trace = bench.driver.traces()["capture_a"]
    assert trace.t_s[0] == pytest.approx(0.4, abs=1e-3)
    assert trace.value[0] == pytest.approx(-2000.0, rel=0.01)  # discharge is negative


KITS = {
    "supply": Kit(
        roles.Supply,
        lambda driver: driver.source(voltage_v=85.0, current_a=10.0),
        lambda bench: bench.terminal.actual_current_a > 5.0,
        (
            lambda driver: driver.source(voltage_v=100.1, current_a=1.0),
            lambda driver: driver.source(voltage_v=10.0, current_a=100.1),
        ),
        _supply_obeys,
    ),
    "load": Kit(
        roles.Load,
        lambda driver: driver.sink(current_a=10.0),
        lambda bench: bench.terminal.actual_current_a > 5.0,
        (lambda driver: driver.sink(current_a=100.1), lambda driver: driver.sink(current_a=-1.0)),
        _load_obeys,
    ),
    "cells": Kit(
        roles.CellEmulator,
        lambda driver: driver.set(voltage_v=3.4),
        lambda bench: bool(bench.terminal.cells.connected.all()),
        (
            lambda driver: driver.set(voltage_v=5.1),
            lambda driver: driver.set(voltage_v=3.0, cell=driver.cells),
        ),
        _cells_obey,
    ),
    "thermistors": Kit(
        roles.Thermistors,
        lambda driver: driver.set(temperature_degc=40.0),
        lambda bench: bool(bench.terminal.connected.all()),
        (lambda driver: driver.set(temperature_degc=20.0, sensor=driver.sensors),),
        _thermistors_obey,
    ),
    "faultbox": Kit(
        roles.FaultBox,
        lambda driver: driver.insert(driver.faults[0]),
        lambda bench: bench.terminal.active(bench.driver.faults[0]),
        (lambda driver: driver.insert("no_such_fault"),),
        _faults_obey,
    ),
    "meter": Kit(
        roles.Meter,
        lambda driver: driver.arm(level_a=500.0, duration_s=0.02),
        lambda bench: bench.terminal.armed is not None,
        (lambda driver: driver.arm(level_a=1e6, duration_s=0.02),),
        _meter_obeys,
    ),
}


def prepared(found: Found) -> Rig:
    bench = rig_of(found)
    bench.driver.prepare()
    bench.clock.sleep(0.2)
    return bench


def test_there_is_a_driver_for_every_role_that_visa_serves():
    assert {"supply", "load", "meter"} <= {found.role for found in FOUND}


@EVERY
def test_the_driver_satisfies_its_role_and_says_what_watches_it(found: Found):
    bench = rig_of(found)

    assert isinstance(bench.driver, KITS[found.role].protocol)
    assert found.driver.transport in ("visa", "serial", "modbus", "can")
    assert isinstance(getattr(found.driver, "watchdog", "none"), str)


@EVERY
def test_it_says_who_it_is(found: Found):
    assert len(rig_of(found).driver.identity()) > 3


@EVERY
def test_prepare_leaves_it_off(found: Found):
    bench = prepared(found)

    assert bench.driver.is_off()


@EVERY
def test_prepare_switches_off_what_somebody_left_on(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench.driver)
    bench.clock.sleep(0.2)

    bench.driver.prepare()

    assert bench.driver.is_off()


@EVERY
def test_it_acts_and_is_then_not_off(found: Found):
    kit, bench = KITS[found.role], prepared(found)

    kit.act(bench.driver)
    bench.clock.sleep(0.2)

    assert kit.acts(bench)
    assert not bench.driver.is_off()


@EVERY
def test_off_can_be_said_any_number_of_times_and_is_read_back(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench.driver)
    bench.clock.sleep(0.2)

    for _ in range(3):
        bench.driver.off()
    bench.clock.sleep(0.2)

    assert bench.driver.is_off()


@EVERY
def test_it_works_again_after_off(found: Found):
    kit, bench = KITS[found.role], prepared(found)

    for _ in range(2):
        kit.act(bench.driver)
        bench.clock.sleep(0.2)
        assert kit.acts(bench)
        bench.driver.off()
        bench.clock.sleep(0.2)
        assert bench.driver.is_off()


@EVERY
def test_too_much_is_refused_and_changes_nothing(found: Found):
    bench = prepared(found)

    for ask in KITS[found.role].too_much:
        with pytest.raises(InstrumentRefused, match="role"):
            ask(bench.driver)

    assert bench.driver.is_off()


@EVERY
def test_what_it_measures_is_the_terminals_truth(found: Found):
    KITS[found.role].obeys_physics(prepared(found))


@EVERY
def test_traces_have_their_own_origin_and_rising_time(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench.driver)
    if hasattr(bench.driver, "poll"):
        bench.clock.every(0.2, bench.driver.poll, name="poll")

    bench.clock.sleep(1.1)

    for name, trace in bench.driver.traces().items():
        assert trace.name == name
        assert trace.origin.source == "role"
        assert (np.diff(trace.t_s) > 0).all()
        assert trace.value.shape[0] == len(trace)


@EVERY
def test_the_same_seed_gives_the_same_bytes_at_the_same_times(found: Found):
    transcripts = []
    for _ in range(2):
        bench = prepared(found)
        KITS[found.role].act(bench.driver)
        bench.clock.sleep(0.3)
        bench.driver.off()
        transcripts.append(list(bench.transcript))

    assert transcripts[0] == transcripts[1]
    assert transcripts[0]


def test_the_kit_catches_a_twin_that_echoes_its_set_point():
    class Echo(Rp7900Twin):
        def measure_voltage(self) -> str:
            return f"{self._scpi.settings['voltage_v']:+.8E}"

        def measure_current(self) -> str:
            return f"{self._scpi.settings['limit_a']:+.8E}"

    class Believer(Rp7900):
        twin = Echo

    bench = prepared(Found("supply", Believer, supply_rp7900))

    with pytest.raises(AssertionError):
        KITS["supply"].obeys_physics(bench)
