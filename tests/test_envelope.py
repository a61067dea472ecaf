"""The envelope: each limit of a station on both sides, and what happens when a measurement leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.clock import Clock
from bench.envelope import Envelope, energy_wh
from bench.envelope.gates import gate_class
from bench.errors import EnvelopeLeft, InstrumentRefused
from bench.procedure import Bench
from bench.record import Origin, Trace
from bench.station import Station
from bench.station_file import RoleEntry, StationFile, load_station
from dut_profiles.profile import load_profile
from instruments import roles
from tests.drivers import drivers, rig_of
from tests.tiny_suites import clean_environment, run, scenario

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "bench/stations/emulated.toml").read_text(encoding="utf-8")
PROFILE = load_profile("hd_lfp_24s")
nan = float("nan")


class Recorded:
    """A driver of a role that notes what reaches it."""

    def __init__(self, *traces: Trace) -> None:
        self.calls: list[tuple[str, dict[str, object]]] = []
        self.found = {trace.name: trace for trace in traces}
        self.fails = ""

    def identity(self) -> str:
        return "Recorded"

    def prepare(self) -> None: ...

    def off(self) -> None:
        if self.fails:
            raise RuntimeError(self.fails)
        self.calls.append(("off", {}))

    def is_off(self) -> bool:
        return True

    def traces(self) -> dict[str, Trace]:
        return self.found

    def set_publish_period(self, period_s: float) -> str:
        return f"every {period_s:g} s"


class Supply(Recorded):
    def source(self, *, voltage_v: float, current_a: float) -> None:
        self.calls.append(("source", {"voltage_v": voltage_v, "current_a": current_a}))

    def measure(self) -> tuple[float, float]:
        return 80.0, 20.0


class Load(Recorded):
    def sink(self, *, current_a: float) -> None:
        self.calls.append(("sink", {"current_a": current_a}))

    def measure(self) -> tuple[float, float]:
        return 80.0, 20.0


class ArmedLoad(Load):
    def arm(self, steps: list[roles.Step]) -> None:
        self.calls.append(("arm", {"steps": steps}))

    def fire(self) -> None:
        self.calls.append(("fire", {}))

    def fired(self) -> bool:
        return True


class Cells(Recorded):
    cells = 3

    def set(self, *, voltage_v: object, cell: int | None = None) -> None:
        self.calls.append(("set", {"voltage_v": voltage_v, "cell": cell}))


class CellsWithRelays(Cells):
    faults = ("channel_open_0",)

    def insert(self, fault: str) -> None:
        self.calls.append(("insert", {"fault": fault}))

    def remove(self, fault: str) -> None:
        self.calls.append(("remove", {"fault": fault}))


class Chamber(Recorded):
    def control(self, *, temperature_degc: float, rate_k_per_min: float | None = None) -> None:
        self.calls.append(("control", {"temperature_degc": temperature_degc}))

    def measure(self) -> float:
        return 25.0


class Scanner(Recorded):
    def scan(self) -> dict[str, float]:
        return {}


class Shunt(Recorded):
    range_a = 1000.0

    def set(self, *, current_a: float) -> None:
        self.calls.append(("set", {"current_a": current_a}))


class Thermistors(Recorded):
    sensors = 2

    def set(self, *, temperature_degc: object, sensor: int | None = None) -> None:
        self.calls.append(("set", {"temperature_degc": temperature_degc}))


def trace(name: str, unit: str, *values: object, every_s: float = 1.0) -> Trace:
    t_s = np.arange(1, len(values) + 1) * every_s
    role = "cells" if name.startswith("cell_") else name.partition(".")[0]
    return Trace(name, unit, t_s, np.array(values, dtype=float), Origin("measured", role))


def envelope(enforce: bool = True, **entries: dict[str, float]) -> Envelope:
    found = {
        role: RoleEntry(driver="m:C", address="twin://x", **limits)  # type: ignore[arg-type]
        for role, limits in entries.items()
    }
    file = StationFile(
        name="bench", clock="virtual", dut={"address": "twin://dut"}, roles=found, path=Path("s.toml")
    )  # type: ignore[arg-type]
    return Envelope(file, clock=Clock(), enforce=enforce)


# -- before a command is sent -------------------------------------------------------------------------


def source(voltage_v: float, current_a: float) -> Callable[..., object]:
    """Ask for these; nan stands for the value under test."""
    return lambda gate, x: gate.source(
        voltage_v=x if voltage_v != voltage_v else voltage_v,
        current_a=x if current_a != current_a else current_a,
    )


def control(gate: Any, x: float) -> None:
    gate.control(temperature_degc=x)


COMMANDS: dict[str, tuple[str, type[Recorded], dict[str, float], Callable[..., object], float, float]] = {
    # role, driver, limits, verb, the last value that is allowed, the first that is not
    "voltage": ("charger", Supply, {"max_v": 100.0}, source(nan, 1.0), 100.0, 100.1),
    "current": ("charger", Supply, {"max_a": 50.0}, source(1.0, nan), 50.0, 50.1),
    "power": ("charger", Supply, {"max_w": 800.0}, source(80.0, nan), 10.0, 10.1),
    "load": ("load", Load, {"max_a": 50.0}, lambda g, x: g.sink(current_a=x), 50.0, 50.1),
    "armed": (
        "load", ArmedLoad, {"max_a": 50.0},
        lambda g, x: g.arm([roles.Step(1.0, 0.1), roles.Step(x, 0.1)]), 50.0, 50.1,
    ),
    "shunt": ("shunt", Shunt, {"max_a": 500.0}, lambda g, x: g.set(current_a=x), -500.0, -500.1),
    "cell": ("cells", Cells, {"max_v": 5.0}, lambda g, x: g.set(voltage_v=x, cell=1), 5.0, 5.01),
    "cells": ("cells", Cells, {"max_v": 5.0}, lambda g, x: g.set(voltage_v=[3.0, x, 3.0]), 5.0, 5.01),
    "hot": ("chamber", Chamber, {"max_degc": 60.0}, control, 60.0, 60.1),
    "cold": ("chamber", Chamber, {"min_degc": -20.0}, control, -20.0, -20.1),
    "sensor": (
        "thermistors", Thermistors, {"max_degc": 60.0},
        lambda g, x: g.set(temperature_degc=[25.0, x]), 60.0, 60.1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_reaches_the_driver_up_to_the_limit_and_not_beyond(what: str) -> None:
    role, kind, limits, verb, allowed, refused = COMMANDS[what]
    found = envelope(**{role: limits})
    driver = kind()
    gate = found.around(role, driver)

    verb(gate, allowed)
    with pytest.raises(InstrumentRefused) as caught:
        verb(gate, refused)

    assert len(driver.calls) == 1
    (key,) = limits
    assert str(caught.value).startswith(f"{role} refused ")
    assert f"{key} of [roles.{role}] in s.toml; nothing was sent." in str(caught.value)
    assert " at 0.000 s: it is " in str(caught.value)
    assert f"{limits[key]:g} " in str(caught.value)


@pytest.mark.parametrize("what", COMMANDS)
def test_what_is_no_number_lies_within_no_limit(what: str) -> None:
    role, kind, limits, verb, _, _ = COMMANDS[what]
    driver = kind()

    with pytest.raises(InstrumentRefused):
        verb(envelope(**{role: limits}).around(role, driver), nan)

    assert driver.calls == []


def test_the_power_of_a_load_is_its_current_at_the_voltage_it_measured() -> None:
    driver = Load(trace("load.voltage_v", "V", 80.0))
    gate = envelope(load={"max_w": 800.0}).around("load", driver)

    gate.sink(current_a=10.0)
    with pytest.raises(InstrumentRefused, match="power_w 808 W"):
        gate.sink(current_a=10.1)


def test_without_a_limit_everything_passes() -> None:
    driver = Supply()
    envelope(charger={}).around("charger", driver).source(voltage_v=1e6, current_a=1e6)

    assert len(driver.calls) == 1


# -- what stands in the place of a driver -------------------------------------------------------------

KINDS = (
    roles.Supply, roles.Load, roles.ArmedLoad, roles.CellEmulator, roles.Thermistors, roles.ShuntSimulator,
    roles.FaultBox, roles.Meter, roles.Scanner, roles.Chamber, roles.Voltmeter,
)  # fmt: skip


def verbs_of(kind: type) -> set[str]:
    """What a protocol asks for."""
    bases = [base for base in kind.__mro__ if getattr(base, "_is_protocol", False)]
    names = {name for base in bases for name in (*vars(base), *vars(base).get("__annotations__", {}))}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("found", drivers(), ids=str)
def test_a_gate_fills_the_roles_of_its_driver_and_no_other(found: object) -> None:
    driver = rig_of(found).driver  # type: ignore[arg-type]
    gate = envelope(role={}).around("role", driver)

    for kind in KINDS:
        assert isinstance(gate, kind) == isinstance(driver, kind), kind.__name__
        # Protocols look at what a class has, and later Pythons do so without asking `__getattr__`.
        if isinstance(driver, kind):
            assert [name for name in verbs_of(kind) if not hasattr(type(gate), name)] == []


def test_a_driver_of_two_roles_is_held_in_both() -> None:
    found = envelope(cells={"max_v": 5.0})
    driver = CellsWithRelays()
    gate = found.around("cells", driver)

    gate.insert("channel_open_0")
    gate.set(voltage_v=3.0)
    with pytest.raises(InstrumentRefused, match="live stack"):
        gate.remove("channel_open_0")
    gate.off()
    gate.remove("channel_open_0")

    assert [name for name, _ in driver.calls] == ["insert", "set", "off", "remove"]
    assert gate_class(driver) is not gate_class(Cells())


def test_whatever_else_a_driver_has_passes_through() -> None:
    gate = envelope(cells={}).around("cells", Cells())

    assert gate.set_publish_period(0.5) == "every 0.5 s"
    assert getattr(gate, "poll", None) is None
    assert repr(gate) == "Cells as cells, within the envelope"
    with pytest.raises(AttributeError, match="mood"):
        gate.mood  # noqa: B018


# -- after a measurement ------------------------------------------------------------------------------


def test_energy_is_the_area_under_the_measured_power() -> None:
    # 0 to 3600 W over an hour is half of 3600 Wh, then an hour of 3600 W.
    assert energy_wh(np.array([0.0, 3600.0, 7200.0]), np.array([0.0, 3600.0, 3600.0])) == pytest.approx(
        5400.0
    )


def guarded(**limits: dict[str, float]) -> tuple[Envelope, dict[str, Recorded]]:
    """A charger that gives 80 V and 90 A for three seconds, with other instruments beside it."""
    found = envelope(**{"charger": {}, "regen": {}, "load": {}, "cells": {}, "scanner": {}, **limits})
    made: dict[str, Recorded] = {
        "charger": Supply(
            trace("charger.voltage_v", "V", 80.0, 80.0, 80.0),
            trace("charger.current_a", "A", 90.0, 90.0, 90.0),
        ),
        "regen": Supply(),
        "load": Load(),
        "cells": Cells(
            trace("cell_v", "V", [3.0, 3.0], [3.0, 3.0]), trace("cell_a", "A", [0.1, 0.1], [0.1, 0.1])
        ),
        "scanner": Scanner(
            trace("temperature_degc[0]", "degC", 40.0), trace("temperature_degc[1]", "degC", 55.0)
        ),
    }
    for role, driver in made.items():
        found.around(role, driver)
    return found, made


#: 80 V, 90 A over the 2 s between the first and the last sample is 4 Wh; two cells 0.6 W for 1 s.
MEASURED = {
    "energy": ("charger", {"max_wh": 4.001}, {"max_wh": 3.999}, "4 Wh went through it"),
    "power": ("charger", {"max_w": 7200.0}, {"max_w": 7199.0}, "7200 W measured"),
    "cells": ("cells", {"max_wh": 0.6 / 3599}, {"max_wh": 0.6 / 3601}, "0.0001667 Wh went through it"),
    "temperature": ("scanner", {"max_degc": 55.0}, {"max_degc": 54.9}, "temperature_degc[1] is 55.0 degC"),
}


@pytest.mark.parametrize("what", MEASURED)
def test_a_measurement_beyond_the_envelope_switches_the_sources_and_its_instrument_off(what: str) -> None:
    role, within, beyond, said = MEASURED[what]
    found, made = guarded(**{role: within})
    found.look()
    assert not any(driver.calls for driver in made.values())

    found, made = guarded(**{role: beyond})
    with pytest.raises(EnvelopeLeft) as caught:
        found.look()

    (key,) = beyond
    assert str(caught.value).startswith(f"{role}: {said} at 0.000 s, above ")
    assert f"{key} of [roles.{role}] in s.toml" in str(caught.value)
    assert {name for name, driver in made.items() if driver.calls} == {"charger", "regen", "load", role}


def test_after_that_nothing_is_energised_any_more() -> None:
    found, made = guarded(charger={"max_wh": 1.0})
    with pytest.raises(EnvelopeLeft):
        found.look()
    gate = found.around("regen", made["regen"])

    with pytest.raises(InstrumentRefused, match=r"regen refused at .*the envelope was left: charger: 4 Wh"):
        gate.source(voltage_v=1.0, current_a=1.0)
    gate.off()
    found.look()  # once is enough

    assert [name for name, _ in made["regen"].calls] == ["off", "off"]


def test_one_source_that_stays_on_keeps_no_other_from_going_off() -> None:
    found, made = guarded(charger={"max_wh": 1.0})
    made["charger"].fails = "cable is out"

    with pytest.raises(EnvelopeLeft, match="charger could not be switched off: RuntimeError: cable is out"):
        found.look()

    assert made["regen"].calls
    assert made["load"].calls


def test_what_a_chamber_or_thermistor_is_told_to_make_is_no_measurement() -> None:
    found = envelope(chamber={"max_degc": 60.0}, thermistors={"max_degc": 60.0})
    hot = trace("chamber_degc", "degC", 70.0)
    found.around("chamber", Chamber(hot))
    found.around("thermistors", Thermistors(hot))

    found.look()

    assert found.left == ""


# -- rehearsing ---------------------------------------------------------------------------------------


def test_a_rehearsal_notes_the_extremes_and_lets_everything_pass() -> None:
    found = envelope(enforce=False, charger={"max_v": 10.0, "max_wh": 1.0}, faults={})
    driver = Supply()
    gate = found.around("charger", driver)

    gate.source(voltage_v=96.0, current_a=5.0)
    gate.source(voltage_v=20.0, current_a=30.0)

    assert len(driver.calls) == 2
    voltage = found.commanded["charger", "voltage_v"]
    assert (voltage.lowest, voltage.highest) == (20.0, 96.0)
    assert found.commanded["charger", "power_w"].highest == 600.0  # 20 V, 30 A


# -- on a bench ---------------------------------------------------------------------------------------


def test_energy_that_a_scenario_may_not_use_ends_it_with_everything_off(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        SHIPPED.replace("max_a   = 240.0\n", "max_a   = 240.0\nmax_wh  = 20.0\n", 1), encoding="utf-8"
    )
    with Station(load_station(str(path)), PROFILE) as station:
        bench = Bench(station)
        bench.cells.set(voltage_v=3.3)
        bench.start()
        bench.mode("charge")
        bench.charge(100.0)
        began_s = bench.now_s

        with pytest.raises(EnvelopeLeft, match=r"charger: 2[012]\.\d+ Wh went through it at "):
            bench.wait(60.0)

        assert station.rack is not None
        plant = station.rack.plant
        # 100 A at 79 to 83 V are 8 kW: 20 Wh in 9 s, give or take a poll before and one after.
        assert 8.0 < bench.now_s - began_s < 11.5
        assert not plant.terminal("charger").enabled
        bench.wait(0.1)
        assert abs(plant.terminal("meter").current_a) < 0.5


def test_a_bench_that_is_being_made_safe_is_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        SHIPPED.replace("max_a   = 240.0\n", "max_a   = 240.0\nmax_wh  = 1000.0\n", 1), encoding="utf-8"
    )
    station = Station(load_station(str(path)), PROFILE)
    with station:
        bench = Bench(station)
        bench.wait(1.0)
        # The last reading that was beyond the envelope comes in while the bench is being switched off.
        monkeypatch.setattr(station.envelope, "_measured_beyond", lambda role, traces: f"{role}: too much.")

    assert station.safe_report is not None
    assert station.safe_report.confirmed
    assert station.envelope.left == ""


LEAVES = """
from bench.errors import EnvelopeLeft
raise EnvelopeLeft("charger: 9 Wh went through it.")
"""


def test_a_run_ends_where_the_envelope_was_left(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_environment(monkeypatch)
    done = run(pytester, scenario(LEAVES), scenario("assert 1 == 1", name="xx_02", number="XX-02"))

    assert done.exit_code == 41
    assert done.messages == ["EnvelopeLeft: charger: 9 Wh went through it."]  # the second was not run
