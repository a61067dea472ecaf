"""`bmsbench panel`: a bench by hand. Ceilings hold, a mistake ends nothing, every end makes it safe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bringup.panel import Panel, Shown
from bench.bringup.served import bench_of
from bench.errors import WireError
from bench.sim import SimClient
from bench.station import Station

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "bench/stations/emulated.toml").read_text(encoding="utf-8")
NEEDS_PTY = pytest.mark.skipif(sys.platform == "win32", reason="the loopback station has pseudo terminals")


class Hand:
    """A panel on the emulated bench, and what it said."""

    def __init__(self, station: Station) -> None:
        self.said: list[str | Shown] = []
        self.station, self.panel = station, Panel(station, self.said.append)

    def __call__(self, line: str) -> str:
        """Give a command; the last thing that was said, as text."""
        assert self.panel.obey(line)
        last = self.said[-1]
        return last if isinstance(last, str) else "\n".join(" | ".join(row) for row in last.rows)

    def terminal(self, name: str):
        assert self.station.rack is not None
        return self.station.rack.plant.terminal(name)

    @property
    def energised(self) -> bool:
        sources = [self.terminal(name).enabled for name in ("charger", "regen", "load")]
        return any(sources) or bool(self.terminal("cells").connected.any())


@pytest.fixture
def hand() -> Iterator[Hand]:
    with bench_of("emulated", "hd_lfp_24s") as bench, bench.station() as station:
        made = Hand(station)
        made.panel.greet()
        yield made


# -- commands ---------------------------------------------------------------------------------------------


def test_the_panel_opens_with_everything_off_and_a_dut_that_answers(hand: Hand) -> None:
    assert "the DUT answers: standby" in hand.said
    assert not hand.energised


def test_a_charge_is_set_up_by_hand_and_current_flows(hand: Hand) -> None:
    hand("cells 3.3")
    assert hand("mode charge") == "asked for charge: the DUT is in charge, alarms: none"
    said = hand("charger 90 20")

    assert hand.terminal("meter").current_a == pytest.approx(20.0, rel=0.02)
    voltage, current = said.partition("; ")[2].split(", ")
    assert float(current.removesuffix(" A")) == pytest.approx(20.0, rel=0.02)
    assert voltage.endswith(" V")
    assert said.startswith("charger: 90 V, at most 20 A; ")


def test_one_cell_and_one_sensor_are_set_and_the_dut_says_so(hand: Hand) -> None:
    hand("cells 3.3")
    hand("cell 7 3.45")
    hand("sensors 25")
    hand("sensor 2 33")
    rows = dict(row.split(" | ", 1) for row in hand("dut").splitlines())

    cells = rows["cells 0 to ..."].removesuffix(" V").split()
    sensors = rows["sensors 0 to ..."].removesuffix(" °C").split()
    assert float(cells[7]) == pytest.approx(3.45, abs=0.005)
    assert float(cells[8]) == pytest.approx(3.30, abs=0.005)
    assert float(sensors[2]) == pytest.approx(33.0, abs=2.0)
    assert (rows["state"], rows["alarms"]) == ("standby", "none")


def test_show_has_a_row_for_every_role_with_state_setting_measurement_and_ceilings(hand: Hand) -> None:
    hand("charger 50 1")
    hand("show")
    shown = hand.said[-1]

    assert isinstance(shown, Shown)
    rows = {row[0]: row[1:] for row in shown.rows}
    assert set(rows) == set(hand.station.instruments)
    state, setting, measured, ceilings = rows["charger"]
    assert (state, setting, ceilings) == ("ON", "50 V, at most 1 A", "150 V, 240 A")
    assert measured.startswith(("50.0", "49.9"))
    assert rows["load"][0] == "off"


def test_a_fault_goes_in_and_out_by_its_name(hand: Hand) -> None:
    assert hand("insert hvil_open") == "hvil_open is in"
    assert hand.terminal("faults").active("hvil_open")
    assert "in: hvil_open" in hand("show")
    assert hand("remove hvil_open") == "hvil_open is out"
    assert not hand.terminal("faults").active("hvil_open")


def test_wait_lets_bench_time_pass(hand: Hand) -> None:
    before_s = hand.station.clock.now_s
    hand("wait 2")

    assert hand.station.clock.now_s == pytest.approx(before_s + 2.0)


def test_off_switches_one_role_off_and_leaves_the_others(hand: Hand) -> None:
    hand("charger 50 1")
    hand("regen 50 1")

    assert hand("off charger") == "charger: off, read back"
    assert not hand.terminal("charger").enabled
    assert hand.terminal("regen").enabled


@pytest.mark.parametrize("command", ["safe", "off"])
def test_everything_is_off_after_safe_and_the_panel_goes_on(hand: Hand, command: str) -> None:
    hand("cells 3.3")
    hand("charger 50 1")
    said = hand(command)

    assert said.startswith("safe after ")
    assert said.endswith(", read back")
    assert not hand.energised
    assert "50" in hand("charger 50 1")
    assert hand.energised


def test_on_a_board_the_model_keeps_the_cells_when_the_hand_lets_go() -> None:
    with bench_of("emulated_board", "hd_lfp_24s") as bench, bench.station() as station:
        hand = Hand(station)
        hand.panel.greet()
        hand("cell 7 3.45")

        assert hand("off cells") == "cells: handed back to the pack model, which stays on"
        assert hand("safe").startswith("safe after ")


def test_help_names_every_command_and_the_sources_of_this_station(hand: Hand) -> None:
    text = hand("help")

    for usage in ("charger <V> <A>", "load <A>", "cell <number> <V>", "mode <mode>", "wait <s>", "quit"):
        assert usage in text


def test_quit_is_the_only_command_that_ends_it(hand: Hand) -> None:
    assert not hand.panel.obey("quit")
    assert hand.panel.obey("wait 0")


# -- what goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("charger 151 1", "InstrumentRefused: charger refused voltage_v 151 V"),
        ("charger 50 241", "InstrumentRefused: charger refused current_a 241 A"),
        ("cells 5.1", "InstrumentRefused: cells refused voltage_v 5.1 V"),
        ("cell 24 3.3", "InstrumentRefused: cells refused cell 24"),
        ("charger", "InvalidInput: charger: expected 'charger <V> <A>', found 0 values."),
        ("charger 50 1 2", "InvalidInput: charger: expected 'charger <V> <A>', found 3 values."),
        ("charger x 1", "InvalidInput: charger: expected a number, found 'x'."),
        ("charger nan 1", "InvalidInput: charger: expected a number, found 'nan'."),
        ("cell -1 3.3", "InvalidInput: cell: expected a number, counted from 0, found '-1'."),
        ("wait -1", "InvalidInput: wait: expected 0 to 3600 s, found -1."),
        ("mode fly", "InvalidInput: mode: expected one of standby, drive, charge, found 'fly'."),
        ("insert nope", "NotReady: station emulated: expected a fault box with 'nope'"),
        ("chamber 45", "NotReady: station emulated"),
        ("off nobody", "NotReady: station emulated"),
        ("frobnicate", "InvalidInput: command: expected one of charger, regen, load, show"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_energised(hand: Hand, line: str, told: str) -> None:
    assert hand(line).startswith(told)
    assert not hand.energised


@pytest.mark.parametrize("error", [WireError("cable is out"), RuntimeError("a mistake")])
def test_an_instrument_that_breaks_ends_no_panel(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: object, **asked: float) -> None:
        raise error

    monkeypatch.setattr("instruments.supply_rp7900.Rp7900.source", fail)

    assert hand("charger 50 1").startswith(f"{type(error).__name__}: {error}")
    assert hand("load 0").startswith("load: draws 0 A")


def test_an_instrument_that_does_not_answer_is_a_row_of_its_own(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: object) -> bool:
        raise WireError("cable is out")

    monkeypatch.setattr("instruments.load_63200a.Load63200A.is_off", silent)
    rows = {row.split(" | ")[0]: row for row in hand("show").splitlines()}

    assert "? |  | WireError: cable is out" in rows["load"]
    assert "off" in rows["charger"]
    monkeypatch.undo()


def test_an_envelope_that_is_left_while_waiting_is_told_and_the_sources_are_off(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    # 90 V x 20 A for 2 s are 1 Wh.
    path.write_text(SHIPPED.replace("max_a   = 240.0", "max_a   = 240.0\nmax_wh  = 0.5", 1), encoding="utf-8")
    with bench_of(str(path), "hd_lfp_24s") as bench, bench.station() as station:
        hand = Hand(station)
        hand.panel.greet()
        for line in ("cells 3.3", "mode charge", "charger 90 20"):
            hand(line)
        said = hand("wait 5")

        assert said.startswith("EnvelopeLeft: charger: ")
        assert not hand.terminal("charger").enabled
        assert hand("charger 50 1").startswith("InstrumentRefused: charger refused")


# -- as a program -----------------------------------------------------------------------------------------


def panel(*arguments: str, said: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "panel", *arguments],
        cwd=ROOT, input=said, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("end", ["quit\n", "exit", ""])
def test_a_pipe_is_a_hand_too_and_its_end_makes_safe(end: str) -> None:
    done = panel(said=f"cells 3.3\n\ncharger 50 1\nnonsense\nshow\n{end}")

    assert done.returncode == 0, done.stderr
    assert "> charger 50 1" in done.stdout
    assert "InvalidInput: command" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("safe after ")
    assert done.stdout.rstrip().endswith("read back")
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_a_bench_that_stays_on_is_unsafe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.replace("instruments.supply_rp7900:Rp7900", "tests.faulty_drivers:Stuck", 1))
    done = panel(str(path), said="quit\n")

    assert done.returncode == 50
    assert "NOT CONFIRMED, look" in done.stdout
    assert "UnsafeState" in done.stderr


@pytest.fixture(scope="module")
def sim() -> Iterator[SimClient]:
    client = SimClient.start("loopback", "hd_lfp_24s")
    yield client
    client.close()


def charging(sim: SimClient, folder: Path) -> subprocess.Popen[str]:
    """A panel on a served bench that has just switched its charger on."""
    manifest = folder / "sim.json"
    manifest.write_text(sim.manifest.to_json(), encoding="utf-8")
    own = {"BENCH_SIM": str(manifest), "XDG_STATE_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "bench", "panel", "loopback"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **own},
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("cells 3.3\ncharger 50 1\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.startswith("charger: 50 V"):
            break
    return child


@NEEDS_PTY
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_panel_leaves_nothing_on(sim: SimClient, tmp_path: Path, how: signal.Signals) -> None:
    child = charging(sim, tmp_path)
    energised = sim.truth()
    child.send_signal(how)
    rest, _ = child.communicate(timeout=60)
    after = sim.truth()

    assert energised["charger"]["enabled"]
    assert energised["cells_connected"] == 24
    assert child.returncode == 0
    assert "safe after " in rest
    assert not after["charger"]["enabled"]
    assert after["cells_connected"] == 0


@NEEDS_PTY
def test_the_watchman_makes_safe_what_a_killed_panel_leaves(sim: SimClient, tmp_path: Path) -> None:
    child = charging(sim, tmp_path)
    energised = sim.truth()
    child.kill()
    # Until nobody holds the other end any more: the watchman has the panel's standard error.
    rest, _ = child.communicate(timeout=60)
    after = sim.truth()

    assert energised["charger"]["enabled"]
    assert "bmsbench watchman: safe after " in rest
    assert not after["charger"]["enabled"]
    assert after["cells_connected"] == 0


@NEEDS_PTY
def test_a_bench_in_use_is_not_opened_a_second_time(sim: SimClient, tmp_path: Path) -> None:
    child = charging(sim, tmp_path)
    second = subprocess.run(
        [sys.executable, "-m", "bench", "check", "loopback", "--sim", str(tmp_path / "sim.json")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    child.communicate("quit\n", timeout=60)

    assert second.returncode == 40
    assert "NotReady" in second.stderr
    assert child.returncode == 0


@NEEDS_PTY
def test_a_panel_charges_through_real_ports(sim: SimClient, tmp_path: Path) -> None:
    manifest = tmp_path / "sim.json"
    manifest.write_text(sim.manifest.to_json(), encoding="utf-8")
    done = panel(
        "loopback", "--sim", str(manifest),
        said="cells 3.3\nsensors 25\nmode charge\ncharger 90 10\nwait 1\nshow\nquit\n",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "asked for charge: the DUT is in charge, alarms: none" in done.stdout
    assert "pack 10." in done.stdout.replace("\n", " ") or "pack 9." in done.stdout.replace("\n", " ")
    assert "safe after " in done.stdout
