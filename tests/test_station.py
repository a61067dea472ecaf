"""A station: opened in order, checked before energy, made safe whatever happens, as the plant proves."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import BenchError, NotReady, StationInvalid, UnsafeState, WireError
from bench.procedure import Bench
from bench.station import CLOSING_ORDER, ROLE_KINDS, Station, check_drivers
from bench.station.fitness import standing_doubts
from bench.station.opening import Opener
from bench.station_file import Calibration, StationFile, load_station
from dut_profiles.profile import load_profile
from instruments.supply_rp7900 import Rp7900
from tests.child_signals import as_from_a_terminal
from tests.tiny_suites import HEAD, runs_in, scenario

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "bench/stations/emulated.toml").read_text(encoding="utf-8")
PROFILE = load_profile("hd_lfp_24s")

Make = Callable[..., Station]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station from the shipped file with some text replaced, each piece once."""

    def station(*replaced: tuple[str, str], certify: bool = False) -> Station:
        text = SHIPPED
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return Station(load_station(str(path)), PROFILE, certify=certify)

    return station


def charger(driver: str) -> tuple[str, str]:
    return "instruments.supply_rp7900:Rp7900", f"tests.faulty_drivers:{driver}"


def charging(station: Station) -> Bench:
    """Let 20 A flow into the pack."""
    bench = Bench(station)
    bench.cells.set(voltage_v=3.3)
    bench.start()
    bench.mode("charge")
    bench.charge(20.0)
    bench.wait(1.0)
    assert plant_current_a(station) > 19.0
    return bench


def plant_current_a(station: Station) -> float:
    assert station.rack is not None
    return float(station.rack.plant.terminal("meter").current_a)


def assert_dead(station: Station) -> None:
    """Nothing is energised or connected, as the plant knows it."""
    assert station.rack is not None
    plant = station.rack.plant
    for name in ("charger", "regen"):
        assert not plant.terminal(name).enabled
        assert abs(plant.terminal(name).actual_current_a) < 0.01
    assert not plant.terminal("load").enabled
    assert not plant.terminal("cells").connected.any()
    assert not plant.terminal("thermistors").connected.any()
    faults = plant.terminal("faults")
    assert [name for name in faults.names if faults.active(name)] == []
    assert abs(plant_current_a(station)) < 0.5


# -- opening ------------------------------------------------------------------------------------------


def test_instruments_are_opened_in_the_order_of_the_file_and_all_identified_before_one_is_prepared(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    station = make()
    opened, identified = Opener.role, station._check_identity

    def open_role(self: Opener, name: str) -> Any:
        steps.append(f"open {name}")
        return opened(self, name)

    def check_identity(name: str, entry: Any) -> None:
        steps.append(f"identify {name}")
        identified(name, entry)

    prepare = Rp7900.prepare

    def prepared(self: Rp7900) -> None:
        steps.append("prepare")
        prepare(self)

    monkeypatch.setattr(Opener, "role", open_role)
    monkeypatch.setattr(station, "_check_identity", check_identity)
    monkeypatch.setattr(Rp7900, "prepare", prepared)
    with station:
        expected = [f"{verb} {name}" for name in station.file.roles for verb in ("open", "identify")]

    assert steps == [*expected, "prepare", "prepare"]  # charger and regeneration


def test_energy_is_counted_from_polls_so_a_bound_on_it_asks_for_a_period(make: Make) -> None:
    file = make(("max_a   = 240.0\npoll_s  = 1.0", "max_a   = 240.0\nmax_wh  = 50.0")).file

    with pytest.raises(StationInvalid, match=r"\[roles.charger\] poll_s: expected a period, for max_wh"):
        check_drivers(file, PROFILE)


def test_a_rehearsal_never_reaches_a_real_address(make: Make) -> None:
    with pytest.raises(StationInvalid, match=r"\[charger\] address: expected twin://.*, for a rehearsal"):
        Station(real(make().file), PROFILE, rehearse=True)


def test_opening_energises_nothing(make: Make) -> None:
    with make() as station:
        assert_dead(station)
        sent = [entry.data for entry in station.transcript if entry.direction == ">"]

    assert b"OUTP:STAT 1" not in b"".join(bytes(data) for data in sent)


WRONG_SERIAL = ('address = "twin://load"', 'address = "twin://load"\nserial  = "L-9"')


def test_a_certification_prepares_nothing_with_the_wrong_instrument(make: Make) -> None:
    station = make(charger("Untouchable"), WRONG_SERIAL, certify=True)

    with pytest.raises(NotReady) as caught:
        station.open()

    assert "\n  - [roles.load] at twin://load: expected serial 'L-9', found identity " in str(caught.value)
    assert str(caught.value).endswith("Nothing was energised.")
    assert_dead(station)


def test_a_certification_is_told_every_doubt_at_once(make: Make) -> None:
    due = 'calibration = { due = 2025-12-31, certificate = "K-1" }'
    station = make(
        WRONG_SERIAL,
        ('address = "twin://charger"', f'address = "twin://charger"\n{due}'),
        ('address = "twin://meter"', 'address = "twin://meter"\nfirmware = "9.9.9"'),
        certify=True,
    )

    with pytest.raises(NotReady) as caught, station:
        pass

    told = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    expected = (
        "emulated, not real: charger, regen, load, ",
        "[roles.charger] calibration: expected a date not before 2026-01-01, found 2025-12-31 (certificate K",
        "[roles.load] at twin://load: expected serial 'L-9', found identity ",
        "[roles.meter] at twin://meter: expected firmware '9.9.9', found identity ",
    )
    assert len(told) == len(expected)
    for line, start in zip(told, expected, strict=True):
        assert line.startswith(f"  - {start}")


def test_any_other_run_goes_on_and_keeps_what_speaks_against_a_certification(make: Make) -> None:
    with make(WRONG_SERIAL) as station:
        assert [doubt.partition(":")[0] for doubt in station.doubts] == [
            "emulated, not real",
            "[roles.load] at twin",
        ]
        charging(station)


def real(file: StationFile, *uncalibrated: str) -> StationFile:
    """The same station with real addresses, calibrated to the end of March 2027 but for some."""
    calibration = Calibration(due=dt.date(2027, 3, 31), certificate="K-1")
    roles = {
        name: entry.model_copy(
            update={"address": "COM3", "calibration": None if name in uncalibrated else calibration}
        )
        for name, entry in file.roles.items()
    }
    dut = file.dut.model_copy(update={"address": "can:pcan:PCAN_USBBUS1"})
    return file.model_copy(update={"clock": "wall", "roles": roles, "dut": dut})


def test_a_real_instrument_without_calibration_is_in_doubt_and_a_relay_box_is_not(make: Make) -> None:
    file = real(make().file, "charger", "thermistors", "faults_wires", "faults_system")

    doubts = standing_doubts(file, dt.date(2027, 3, 31))

    assert doubts == [
        f"[roles.{role}] calibration: expected a due date and a certificate, found none."
        for role in ("charger", "thermistors")
    ]
    overdue = standing_doubts(file, dt.date(2027, 4, 1))
    assert (
        len([doubt for doubt in overdue if "found 2027-03-31 (certificate K-1)" in doubt])
        == len(file.roles) - 4
    )


def test_half_open_is_closed_too(make: Make) -> None:
    station = make(("instruments.meter_dmm6500:Dmm6500", "instruments.supply_rp7900:Rp7900"))

    with pytest.raises(StationInvalid), station:
        raise AssertionError("unreachable: it did not open")
    switched_off = [
        entry.role
        for entry in station.transcript
        if entry.direction == ">" and b"OUTP:STAT 0" in bytes(entry.data)
    ]

    assert {"charger", "regen"} <= set(switched_off)
    assert_dead(station)


def test_what_stopped_the_opening_is_the_news_although_closing_fails_too(make: Make) -> None:
    station = make(charger("Refusing"), WRONG_SERIAL, certify=True)

    with pytest.raises(NotReady) as caught, station:
        pass

    assert any("cable is out" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(("due", "doubts"), [("2026-01-01", 1), ("2025-12-31", 2)])
def test_calibration_lasts_until_the_end_of_its_last_day(make: Make, due: str, doubts: int) -> None:
    address = 'address = "twin://charger"'
    station = make((address, f'{address}\ncalibration = {{ due = {due}, certificate = "K-1" }}'))

    with station:
        assert len(station.doubts) == doubts


def test_nobody_at_an_address_is_one_doubt_among_others_for_a_certification(make: Make) -> None:
    address = "TCPIP::127.0.0.1::1::SOCKET"
    station = make(
        ("twin://charger", address), ('clock = "virtual"', 'clock = "wall"'), WRONG_SERIAL, certify=True
    )

    with pytest.raises(NotReady) as caught, station:
        pass

    told = str(caught.value)
    assert f"\n  - [roles.charger] at {address}: " in told
    assert "refused" in told
    assert "\n  - [roles.charger] calibration: expected a due date and a certificate, found none." in told
    assert "\n  - [roles.load] at twin://load: expected serial 'L-9'" in told


def test_nobody_at_an_address_is_not_ready_and_says_which_and_where(make: Make) -> None:
    # Port 1 of this machine: nobody listens there.
    address = "TCPIP::127.0.0.1::1::SOCKET"
    station = make(("twin://charger", address), ('clock = "virtual"', 'clock = "wall"'))

    with pytest.raises(NotReady) as caught:
        station.open()

    message = str(caught.value)
    for part in ("mine.toml", f"charger ({address})", "refused", "Is it on", "Nothing was energised."):
        assert part in message


AT_OPENING = {
    "size": (
        'cells          = "$pack.cells"',
        "cells = 23",
        NotReady,
        "[roles.cells.options] cells: expected 24, as HD-LFP-24S has, found 23.",
    ),
    "terminal": (
        '"twin://charger"',
        '"twin://chrger"',
        StationInvalid,
        "[roles.charger] address: expected twin:// and a terminal of the plant, found twin://chrger (",
    ),
    "kind": (
        "instruments.supply_rp7900:Rp7900",
        "instruments.load_63200a:Load63200A",
        StationInvalid,
        "[roles.charger] driver: expected a Supply, as every charger is, found instruments.load_63200a:",
    ),
}


@pytest.mark.parametrize(("old", "new", "kind", "told"), AT_OPENING.values(), ids=AT_OPENING)
def test_what_shows_only_while_opening_is_told_with_its_place(
    make: Make, old: str, new: str, kind: type[BenchError], told: str
) -> None:
    options = [(old, new)]
    if "63200" in new:
        options.append(("parallel_units = 2", "parallel_units = 5"))
    station = make(*options)

    with pytest.raises(kind) as caught, station:
        pass

    assert told in str(caught.value)
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Rp7900\"", "Rp79\"", "[roles.charger] driver: expected a driver as \"module:Class\", found"),
        ("instruments.supply_rp7900:", "instruments.nope:", "No module named 'instruments.nope'"),
        ("instruments.supply_rp7900:Rp7900", "tests.faulty_drivers:NoDriver", "NoDriver' without transport"),
        ("parallel_units", "paralel_units", "expected one of the keys model, "),
        ('"$pack.cells"', '"$pack.cels"', "a value of the profile such as $pack.cells, found '$pack.cels'"),
    ],
)  # fmt: skip
def test_drivers_and_options_are_checked_before_anything_opens(
    make: Make, old: str, new: str, told: str
) -> None:
    with pytest.raises(StationInvalid) as caught:
        check_drivers(make((old, new)).file, PROFILE)

    assert told in str(caught.value)
    assert str(caught.value).count("mine.toml") == 1


def test_a_role_that_no_test_knows_is_refused(make: Make) -> None:
    file = make(
        ("[roles.charger]", "[roles.chager]"), ("[roles.charger.options]", "[roles.chager.options]")
    ).file

    with pytest.raises(StationInvalid, match=r"\[roles.chager\]: expected a role charger, .*found 'chager'"):
        check_drivers(file, PROFILE)


def test_asking_for_a_role_or_a_fault_that_is_not_there_names_what_is(make: Make) -> None:
    with make() as station:
        with pytest.raises(
            NotReady, match=r"expected \[roles.chamber\] with a driver, found roles charger, "
        ):
            station.role("chamber")
        with pytest.raises(NotReady, match="expected a fault box with 'flood', found open_sense_wire_0, "):
            station.fault_box("flood")


# -- closing ------------------------------------------------------------------------------------------


def test_closing_a_bench_in_full_action_leaves_it_dead(make: Make) -> None:
    station = make()
    with station:
        bench = charging(station)
        bench.discharge(30.0)
        bench.set_temperature(40.0)
        bench.insert("insulation_negative_30k")
        bench.wait(0.2)

    assert_dead(station)


def test_energy_goes_first_in_the_declared_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    station = make()
    with station:
        for name, instrument in station.instruments.items():

            def off(name: str = name, plain: Callable[[], None] = instrument.off) -> None:
                order.append(name)
                plain()

            monkeypatch.setattr(instrument, "off", off)

    kinds = [next(kind for kind in CLOSING_ORDER if name.startswith(kind)) for name in order]
    assert len(order) == len(station.file.roles)
    assert kinds == sorted(kinds, key=CLOSING_ORDER.index)
    assert kinds[:3] == ["charger", "regen", "load"]
    assert set(CLOSING_ORDER) == set(ROLE_KINDS)


def test_an_instrument_that_says_it_is_still_on_is_an_unsafe_state(make: Make) -> None:
    station = make(charger("Stuck"))
    station.open()

    with pytest.raises(
        UnsafeState, match="charger: read back: UnsafeState: charger says that it is still on"
    ):
        station.close()


def test_one_that_cannot_be_switched_off_keeps_no_other_from_it(make: Make) -> None:
    station = make(charger("Refusing"))
    station.open()
    bench = Bench(station)
    bench.cells.set(voltage_v=3.3)
    bench.set_temperature(40.0)
    bench.insert("hvil_open")

    with pytest.raises(UnsafeState, match="charger: off: RuntimeError: cable is out"):
        station.close()

    assert_dead(station)


def test_current_that_still_flows_is_seen_by_another_instrument(make: Make) -> None:
    station = make(charger("Forgetful"))
    station.open()
    charging(station)
    # A host that keeps talking and never asks for standby: the DUT has no reason to open.
    station.dut.request = lambda mode: None  # type: ignore[method-assign]
    station.dut.stop = lambda: None  # type: ignore[method-assign]

    with pytest.raises(
        UnsafeState, match=r"pack: current: UnsafeState: expected less than 2 A, still (19|20)\."
    ):
        station.close()


def test_an_impatient_second_ctrl_c_does_not_leave_an_instrument_on(make: Make) -> None:
    station = make()
    station.open()
    charging(station)
    instrument = station.instruments["charger"]
    plain, calls = instrument.off, []

    def off() -> None:
        calls.append(station.clock.now_s)
        if len(calls) == 1:
            raise KeyboardInterrupt
        plain()

    instrument.off = off  # type: ignore[method-assign]
    station.close()

    assert len(calls) == 2
    assert_dead(station)


def test_closing_again_does_nothing(make: Make) -> None:
    station = make()
    with station:
        pass
    before = len(list(station.transcript))

    station.close()

    assert len(list(station.transcript)) == before


def test_closing_lets_go_of_every_wire(make: Make) -> None:
    station = make()
    with station:
        roles = [name for name, _ in station._wires]
    lines = [wire for _, wire in station._wires if hasattr(wire, "is_open")]

    assert roles == [*station.file.roles, "dut"]
    assert lines
    assert not any(line.is_open for line in lines if isinstance(line.is_open, bool))


def test_two_stations_live_side_by_side(make: Make) -> None:
    with make() as one, make() as other:
        Bench(one).cells.set(voltage_v=3.4)
        Bench(other).cells.set(voltage_v=3.2)
        for station in (one, other):
            station.clock.sleep(0.5)

        assert np.nanmean(one.record.cell_v.value[-1]) == pytest.approx(3.4, abs=0.005)
        assert np.nanmean(other.record.cell_v.value[-1]) == pytest.approx(3.2, abs=0.005)
    assert isinstance(one.clock, Clock)
    assert one.clock is not other.clock


# -- a run that is stopped from outside ---------------------------------------------------------------

WAITS = """
import os, signal
bench.cells.set(voltage_v=3.3)
bench.start()
bench.mode("charge")
bench.charge(20.0)
bench.wait(1.0)
terminal = bench.station.rack.plant.terminal("charger")
assert terminal.enabled and terminal.actual_current_a > 19.0
plain = bench.station.close
def close():
    plain()
    print("AFTER", terminal.enabled, round(terminal.actual_current_a, 3), flush=True)
bench.station.close = close
os.kill(os.getpid(), signal.{signal})
bench.wait(3600.0)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_energy_is_off_after_a_signal(tmp_path: Path, name: str) -> None:
    (tmp_path / "test_tiny.py").write_text(
        HEAD + scenario(WAITS.format(signal=name), arguments="bench"), encoding="utf-8"
    )
    (tmp_path / "requirements.toml").write_text('["X 1"]\ntitle = "t"\nsource = "unverified"\n')
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--rootdir=.", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=120, check=False, preexec_fn=as_from_a_terminal,
    )  # fmt: skip

    assert "AFTER False 0.0" in done.stdout, done.stdout + done.stderr
    assert done.returncode == {"SIGINT": 2, "SIGTERM": 143}[name]
    assert "1 error" in done.stdout
    assert len(runs_in(tmp_path / "results")) == 1
    assert (runs_in(tmp_path / "results")[0] / "evidence/seal.json").is_file()


def test_a_source_without_a_ceiling_is_not_opened(make: Make) -> None:
    station = make(("max_a   = 240.0\n", ""))

    with pytest.raises(StationInvalid, match=r"\[roles.charger\] max_a: expected a limit for every charger"):
        check_drivers(station.file, PROFILE)


def test_the_station_states_the_order_in_which_energy_goes_off(make: Make) -> None:
    station = make(("[dut]\naddress", '[safe_state]\norder = ["load", "regen"]\n\n[dut]\naddress'))
    with station:
        pass

    assert station.safe_report is not None
    off = [step.role for step in station.safe_report.steps if step.action == "off"]
    assert off[:3] == ["load", "regen", "charger"]
    assert station.safe_report.confirmed


class Chatty(Rp7900):
    """Cannot be measured any more once it is told to go off."""

    gone = False

    def poll(self) -> None:
        if self.gone:
            raise WireError("charger: nobody answers")
        super().poll()

    def off(self) -> None:
        super().off()
        self.gone = True


def test_a_poll_that_fails_while_the_bench_is_made_safe_stops_nobody(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faulty_drivers.Stuck", Chatty)
    station = make(charger("Stuck"), ("poll_s  = 1.0", "poll_s  = 0.01"))
    station.open()
    charging(station)

    station.close()

    assert station.safe_report is not None
    assert station.safe_report.confirmed
