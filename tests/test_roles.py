"""The conformance kit: what every driver of a role keeps, on its twin and a fake terminal.

One table row per role. A new driver is found by its file name and meets the kit without an edit here; a new
role adds a `Kit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from bench.errors import InstrumentRefused, WireError
from bench.wires.twin import Reply
from instruments import roles, supply_rp7900
from instruments.exchange import LABELS
from instruments.supply_rp7900 import Rp7900, Rp7900Twin
from tests.drivers import Found, drivers, rig_of
from tests.rig import Rig

FOUND = drivers()
EVERY = pytest.mark.parametrize("found", FOUND, ids=str)

#: Instruments that only look: nothing about them can be on.
PASSIVE = ("voltmeter", "scanner")
ACTING = pytest.mark.parametrize("found", [found for found in FOUND if found.role not in PASSIVE], ids=str)
#: On CAN nobody asks and nobody answers.
ANSWERING = pytest.mark.parametrize(
    "found", [found for found in FOUND if found.driver.transport != "can"], ids=str
)
SCPI = pytest.mark.parametrize(
    "found", [found for found in FOUND if found.driver.transport == "visa"], ids=str
)
#: Loads that keep time by themselves.
ARMED = pytest.mark.parametrize(
    "found", [found for found in FOUND if found.role == "load" and hasattr(found.driver, "arm")], ids=str
)


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
    act: Callable[[Rig], object]
    acts: Callable[[Rig], bool]
    too_much: tuple[Callable[[Rig], object], ...]
    obeys_physics: Callable[[Rig], None]


def _supply_obeys(bench: Rig) -> None:
    # In shares of the rig's limits v and a: a battery of 0.8 v behind 0.1 v/a.
    v, a = bench.max_v, bench.max_a
    bench.terminal.emf_v, bench.terminal.ohm = 0.8 * v, 0.1 * v / a
    # Constant current: 0.2 a across 0.1 v/a is 0.02 v, whatever voltage is set.
    bench.driver.source(voltage_v=0.95 * v, current_a=0.2 * a)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((0.82 * v, 0.2 * a), rel=0.01)
    # Constant voltage: 0.03 v across 0.1 v/a is 0.3 a, whatever limit is set.
    bench.driver.source(voltage_v=0.83 * v, current_a=0.9 * a)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((0.83 * v, 0.3 * a), rel=0.02)
    # A battery above the set voltage takes nothing.
    bench.terminal.emf_v = 0.9 * v
    bench.clock.sleep(0.5)
    assert bench.driver.measure()[1] == pytest.approx(0.0, abs=0.005 * a)


def _load_obeys(bench: Rig) -> None:
    # In shares of the rig's limits: 0.5 a out of 0.8 v behind 0.1 v/a is 0.05 v less.
    v, a = bench.max_v, bench.max_a
    bench.terminal.emf_v, bench.terminal.ohm = 0.8 * v, 0.1 * v / a
    bench.driver.sink(current_a=0.5 * a)
    bench.clock.sleep(0.5)
    assert bench.driver.measure() == pytest.approx((0.75 * v, 0.5 * a), rel=0.02)
    # A dead bus gives nothing.
    bench.terminal.emf_v = 0.0
    bench.clock.sleep(0.5)
    assert bench.driver.measure()[1] == pytest.approx(0.0, abs=0.01 * a)


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


def _shunt_obeys(bench: Rig) -> None:
    # 100 A in a shunt of 50 µohm are 5 mV; discharge is negative.
    for current_a in (100.0, -200.0, 0.0):
        bench.driver.set(current_a=current_a)
        bench.clock.sleep(0.1)
        assert bench.terminal.actual_voltage_v == pytest.approx(50e-6 * current_a, rel=0.002, abs=20e-6)


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


def _auxiliary_obeys(bench: Rig) -> None:
    # A DUT of 6 W: 0.5 A at 12 V, whatever limit is set.
    bench.terminal.demand_w = 6.0
    bench.driver.source(voltage_v=12.0, current_a=2.0)
    bench.clock.sleep(1.0)
    assert bench.driver.measure() == pytest.approx((12.0, 0.5), rel=0.02, abs=0.02)
    # A DUT that wants more than the limit breaks the voltage down.
    bench.terminal.demand_w = 36.0
    bench.clock.sleep(1.0)
    assert bench.driver.measure()[0] == pytest.approx(0.0, abs=0.1)


def _voltmeter_obeys(bench: Rig) -> None:
    for pack_v in (80.0, 0.0, 96.5):
        bench.terminal.pack_v = pack_v
        assert bench.driver.measure() == pytest.approx(pack_v, abs=0.02)


def _scanner_obeys(bench: Rig) -> None:
    bench.terminal.cells.emf_v[23] = 3.456
    bench.terminal.thermocouples.temperature_degc[5] = 61.0
    seen = bench.driver.scan()
    assert seen["cell_v[0]"] == pytest.approx(3.2, abs=0.002)
    assert seen["cell_v[23]"] == pytest.approx(3.456, abs=0.002)
    assert seen["pack_v"] == pytest.approx(80.0, abs=0.05)
    assert seen["temperature_degc[5]"] == pytest.approx(61.0, abs=2.0)


def _chamber_obeys(bench: Rig) -> None:
    assert bench.driver.measure() == pytest.approx(22.0, abs=1.0)
    # 10 K at 2 K/min are five minutes: half of it after two and a half, give or take the controller.
    bench.driver.control(temperature_degc=32.0, rate_k_per_min=2.0)
    bench.clock.sleep(150.0)
    assert 24.0 < bench.driver.measure() < 29.5
    bench.clock.sleep(1200.0)
    assert bench.driver.measure() == pytest.approx(32.0, abs=1.0)
    assert bench.terminal.air_degc == pytest.approx(32.0, abs=1.0)


def _look(bench: Rig) -> bool:
    raise AssertionError("a passive instrument has nothing to do")


KITS = {
    "supply": Kit(
        roles.Supply,
        lambda bench: bench.driver.source(voltage_v=0.85 * bench.max_v, current_a=0.1 * bench.max_a),
        lambda bench: bench.terminal.actual_current_a > 0.05 * bench.max_a,
        (
            lambda bench: bench.driver.source(voltage_v=1.001 * bench.max_v, current_a=0.01 * bench.max_a),
            lambda bench: bench.driver.source(voltage_v=0.1 * bench.max_v, current_a=1.001 * bench.max_a),
            lambda bench: bench.driver.source(voltage_v=-0.1, current_a=0.01 * bench.max_a),
        ),
        _supply_obeys,
    ),
    "load": Kit(
        roles.Load,
        lambda bench: bench.driver.sink(current_a=0.1 * bench.max_a),
        lambda bench: bench.terminal.actual_current_a > 0.05 * bench.max_a,
        (
            lambda bench: bench.driver.sink(current_a=1.001 * bench.max_a),
            lambda bench: bench.driver.sink(current_a=-0.01 * bench.max_a),
        ),
        _load_obeys,
    ),
    "cells": Kit(
        roles.CellEmulator,
        lambda bench: bench.driver.set(voltage_v=3.4),
        lambda bench: bool(bench.terminal.cells.connected.all()),
        (
            lambda bench: bench.driver.set(voltage_v=5.1),
            lambda bench: bench.driver.set(voltage_v=3.0, cell=bench.driver.cells),
        ),
        _cells_obey,
    ),
    "thermistors": Kit(
        roles.Thermistors,
        lambda bench: bench.driver.set(temperature_degc=40.0),
        lambda bench: bool(bench.terminal.connected.all()),
        (lambda bench: bench.driver.set(temperature_degc=20.0, sensor=bench.driver.sensors),),
        _thermistors_obey,
    ),
    "shunt": Kit(
        roles.ShuntSimulator,
        lambda bench: bench.driver.set(current_a=-0.5 * bench.driver.range_a),
        lambda bench: bench.terminal.actual_voltage_v < 0.0,
        (
            lambda bench: bench.driver.set(current_a=1.001 * bench.driver.range_a),
            lambda bench: bench.driver.set(current_a=-1.001 * bench.driver.range_a),
        ),
        _shunt_obeys,
    ),
    "faultbox": Kit(
        roles.FaultBox,
        lambda bench: bench.driver.insert(bench.driver.faults[0]),
        lambda bench: bench.terminal.active(bench.driver.faults[0]),
        (lambda bench: bench.driver.insert("no_such_fault"),),
        _faults_obey,
    ),
    "meter": Kit(
        roles.Meter,
        lambda bench: bench.driver.arm(level_a=500.0, duration_s=0.02),
        lambda bench: bench.terminal.armed is not None,
        (lambda bench: bench.driver.arm(level_a=1e6, duration_s=0.02),),
        _meter_obeys,
    ),
    "auxiliary": Kit(
        roles.Supply,
        lambda bench: bench.driver.source(voltage_v=12.0, current_a=2.0),
        lambda bench: bench.terminal.actual_voltage_v > 6.0,
        (
            lambda bench: bench.driver.source(voltage_v=1.01 * bench.max_v, current_a=0.1),
            lambda bench: bench.driver.source(voltage_v=5.0, current_a=1.01 * bench.max_a),
        ),
        _auxiliary_obeys,
    ),
    "voltmeter": Kit(roles.Voltmeter, _look, _look, (), _voltmeter_obeys),
    "scanner": Kit(roles.Scanner, _look, _look, (), _scanner_obeys),
    "chamber": Kit(
        roles.Chamber,
        lambda bench: bench.driver.control(temperature_degc=45.0),
        lambda bench: bool(bench.terminal.closed) and bench.terminal.air_degc > 22.0,
        (
            lambda bench: bench.driver.control(temperature_degc=400.0),
            lambda bench: bench.driver.control(temperature_degc=-273.0),
        ),
        _chamber_obeys,
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


@ACTING
def test_prepare_switches_off_what_somebody_left_on(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench)
    bench.clock.sleep(0.2)

    bench.driver.prepare()

    assert bench.driver.is_off()


@ACTING
def test_it_acts_and_is_then_not_off(found: Found):
    kit, bench = KITS[found.role], prepared(found)

    kit.act(bench)
    bench.clock.sleep(0.2)

    assert kit.acts(bench)
    assert not bench.driver.is_off()


@ACTING
def test_off_can_be_said_any_number_of_times_and_is_read_back(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench)
    bench.clock.sleep(0.2)

    for _ in range(3):
        bench.driver.off()
    bench.clock.sleep(0.2)

    assert bench.driver.is_off()


@ACTING
def test_it_works_again_after_off(found: Found):
    kit, bench = KITS[found.role], prepared(found)

    for _ in range(2):
        kit.act(bench)
        bench.clock.sleep(0.2)
        assert kit.acts(bench)
        bench.driver.off()
        bench.clock.sleep(0.2)
        assert bench.driver.is_off()


@ACTING
def test_too_much_is_refused_and_changes_nothing(found: Found):
    bench = prepared(found)

    for ask in KITS[found.role].too_much:
        with pytest.raises(InstrumentRefused, match="role"):
            ask(bench)

    assert bench.driver.is_off()


@EVERY
def test_what_it_measures_is_the_terminals_truth(found: Found):
    KITS[found.role].obeys_physics(prepared(found))


@ACTING
def test_traces_have_their_own_origin_and_rising_time(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench)
    if hasattr(bench.driver, "poll"):
        bench.clock.every(0.2, bench.driver.poll, name="poll")

    bench.clock.sleep(1.1)

    for name, trace in bench.driver.traces().items():
        assert trace.name == name
        assert trace.origin.source == "role"
        assert (np.diff(trace.t_s) > 0).all()
        assert trace.value.shape[0] == len(trace)


@ACTING
def test_the_same_seed_gives_the_same_bytes_at_the_same_times(found: Found):
    transcripts = []
    for _ in range(2):
        bench = prepared(found)
        KITS[found.role].act(bench)
        bench.clock.sleep(0.3)
        bench.driver.off()
        transcripts.append(list(bench.transcript))

    assert transcripts[0] == transcripts[1]
    assert transcripts[0]


@ACTING
def test_off_works_for_who_has_just_come_in_beside_another(found: Found):
    bench = prepared(found)
    KITS[found.role].act(bench)
    bench.clock.sleep(0.2)

    rescuer = bench.another()
    rescuer.off()
    bench.clock.sleep(0.2)

    assert rescuer.is_off()
    assert bench.driver.is_off()


@ANSWERING
def test_silence_is_an_error_of_the_bench_and_passes(found: Found, monkeypatch: pytest.MonkeyPatch):
    bench = prepared(found)

    with monkeypatch.context() as mute:
        mute.setattr(bench.face, "handle", lambda message: None)
        with pytest.raises(WireError, match="role"):
            bench.driver.is_off()

    assert bench.driver.is_off()


@ANSWERING
def test_half_a_reply_is_an_error_of_the_bench_and_does_not_spoil_the_next(
    found: Found, monkeypatch: pytest.MonkeyPatch
):
    bench = prepared(found)
    answer = bench.face.handle

    def half(message: bytes) -> Reply | None:
        reply = answer(message)
        return None if reply is None else Reply(reply.data[: len(reply.data) // 2], reply.delay_s)

    with monkeypatch.context() as cut:
        cut.setattr(bench.face, "handle", half)
        with pytest.raises(WireError, match="role"):
            bench.driver.is_off()

    bench.clock.sleep(0.1)
    assert bench.driver.is_off()
    assert len(bench.driver.identity()) > 3


@SCPI
def test_prepare_empties_the_error_queue_that_somebody_left(found: Found):
    bench = rig_of(found)
    bench.face.handle(b"NONSENSE 1")
    bench.face.handle(b"MORE:NONSENSE 2")

    bench.driver.prepare()

    error = bench.face.handle(b"SYST:ERR?").data
    assert error.lstrip(b"+").startswith(b"0"), error


def watch(bench: Rig) -> list[tuple[float, float]]:
    """Time [s] and current [A] at the terminal, every ms from now on."""
    seen: list[tuple[float, float]] = []
    bench.clock.every(
        1e-3, lambda: seen.append((bench.clock.now_s, bench.terminal.actual_current_a)), name="see", order=99
    )
    return seen


@ARMED
def test_an_armed_sequence_runs_by_the_loads_own_clock(found: Found):
    bench = prepared(found)
    a = bench.max_a
    steps = [roles.Step(0.5 * a, 0.25), roles.Step(0.2 * a, 0.1)] * 3

    bench.driver.arm(steps)
    seen = watch(bench)
    bench.clock.sleep(0.5)

    assert isinstance(bench.driver, roles.ArmedLoad)
    assert not any(current_a for _, current_a in seen)  # armed is not fired
    assert bench.driver.is_off()

    bench.driver.fire()
    sent = len(bench.transcript.sent("role"))
    bench.clock.sleep(1.5)

    assert len(bench.transcript.sent("role")) == sent  # the host did nothing
    t_s, current_a = np.array(seen).T
    changes = np.flatnonzero(np.diff(np.round(current_a / a, 1))) + 1
    # A twin's current is within 1 %, each edge within the 1 ms between two looks.
    assert current_a[changes] == pytest.approx([0.5 * a, 0.2 * a] * 3 + [0.0], rel=0.01)
    assert np.diff(t_s[changes]) == pytest.approx([0.25, 0.1] * 3, abs=1.1e-3)
    # 3 x (0.5 x 0.25 s + 0.2 x 0.1 s) = 0.435 s of the full current.
    assert current_a.sum() * 1e-3 == pytest.approx(0.435 * a, rel=0.01)
    assert bench.driver.fired()
    assert bench.driver.is_off()


@ARMED
def test_off_stops_an_armed_sequence_and_sink_works_after_it(found: Found):
    bench = prepared(found)
    a = bench.max_a
    bench.driver.arm([roles.Step(0.5 * a, 2.0)])
    bench.driver.fire()
    bench.clock.sleep(0.2)
    assert not bench.driver.fired()

    bench.driver.off()
    bench.clock.sleep(3.0)

    assert bench.driver.is_off()
    bench.driver.sink(current_a=0.1 * a)
    assert bench.terminal.actual_current_a == pytest.approx(0.1 * a, rel=0.01)


@ARMED
@pytest.mark.parametrize(
    "steps",
    [
        [],
        [(1.001, 0.1)],
        [(-0.01, 0.1)],
        [(0.1, 0.0)],
        [(0.1, 1e9)],
        [(0.1, float("nan"))],
        [(0.1, 0.1), (0.2, 0.1)] * 100_000,
    ],
    ids=["none", "too much", "negative", "too short", "too long", "no time", "too many"],
)
def test_a_sequence_that_the_load_cannot_do_is_refused(found: Found, steps: list[tuple[float, float]]):
    bench = prepared(found)

    with pytest.raises(InstrumentRefused, match=r"role.*nothing was sent"):
        bench.driver.arm([roles.Step(share * bench.max_a, duration_s) for share, duration_s in steps])

    assert bench.driver.is_off()


@pytest.mark.parametrize("found", [found for found in FOUND if found.role != "faultbox"], ids=str)
def test_its_accuracy_is_data_with_a_source(found: Found):
    table = found.module.ACCURACY

    assert table
    for accuracy in table.values():
        assert accuracy.bands
        assert len(accuracy.source) > 3
        assert accuracy.label in LABELS


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
