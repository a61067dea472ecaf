"""The sim: a station's stand-ins behind real ports, in a child process of its own."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.clock import Clock
from bench.emulated_bms.defects import CATALOGUE
from bench.errors import InvalidInput, NotReady
from bench.procedure import Bench
from bench.rack import PackState
from bench.sim import Manifest, SimClient
from bench.sim.process import check_speed
from bench.station import Station
from bench.station_file import load_station
from dut_profiles.profile import load_profile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the loopback station has pseudo terminals")

FILE = load_station("loopback")
PROFILE = load_profile("hd_lfp_24s")


@pytest.fixture(scope="module")
def sim() -> Iterator[SimClient]:
    client = SimClient.start("loopback", "hd_lfp_24s")
    yield client
    client.close()
    assert client.process is not None
    assert client.process.wait(timeout=30) == 0


@pytest.fixture
def station(sim: SimClient) -> Station:
    made = Station(FILE, PROFILE, addresses=sim.addresses)
    sim.power_cycle(made.clock, seed=7, pack=PackState(soc=0.6))
    return made


def test_every_role_and_the_dut_have_an_address_of_their_own(sim: SimClient):
    assert set(sim.addresses) == {*FILE.roles, "dut"}
    assert len(set(sim.addresses.values())) == len(sim.addresses)


def test_a_station_opens_over_real_ports_and_energises_nothing(sim: SimClient, station: Station):
    with station:
        assert "RP79" in station.identities["charger"]
        truth = sim.truth()

    assert not truth["charger"]["enabled"]
    assert not truth["load"]["enabled"]


def test_current_flows_in_the_child_is_measured_here_and_is_gone_after_close(
    sim: SimClient, station: Station
):
    with station:
        bench = Bench(station, known_soc=0.6)
        bench.start()
        bench.mode("charge")
        bench.charge(20.0)
        bench.wait(1.0)
        truth = sim.truth()
        measured_a = bench.charger.measure()[1]

    assert truth["charger"]["current_a"] == pytest.approx(20.0, rel=0.02)
    assert measured_a == pytest.approx(truth["charger"]["current_a"], rel=0.02)
    after = sim.truth()
    assert not after["charger"]["enabled"]
    assert abs(after["pack"]["current_a"]) < 0.5
    assert after["cells_connected"] == 0
    assert station.safe_report is not None
    assert station.safe_report.confirmed
    # What was measured stays readable when the wires are gone.
    assert station.traces()["charger.current_a"].value.max() == pytest.approx(20.0, rel=0.02)
    assert station.can_log() is not None


def test_a_power_cycle_puts_another_pack_on_the_bench(sim: SimClient):
    seen_v = []
    for soc in (0.2, 0.9):
        clock = Clock(virtual=False)
        sim.power_cycle(clock, seed=7, pack=PackState(soc=soc))
        seen_v.append(sim.truth()["pack"]["voltage_v"])

    assert seen_v[1] > seen_v[0] + 1.0


def test_both_processes_share_one_time(sim: SimClient):
    clock = Clock(virtual=False)

    sim.power_cycle(clock, seed=7)
    before_s = clock.now_s
    theirs_s = sim.truth()["time_s"]
    after_s = clock.now_s

    assert before_s <= theirs_s <= after_s


def test_a_killed_instrument_refuses_and_comes_back(sim: SimClient):
    sim.ask("kill", role="charger")
    station = Station(FILE, PROFILE, addresses=sim.addresses)
    with pytest.raises(NotReady, match="charger"):
        station.open()
    station.close()

    sim.ask("revive", role="charger")
    again = Station(FILE, PROFILE, addresses=sim.addresses)
    sim.power_cycle(again.clock, seed=7)
    with again:
        assert "RP79" in again.identities["charger"]


def test_a_defect_goes_into_the_served_bms(sim: SimClient):
    clock = Clock(virtual=False)

    with pytest.raises(NotReady, match="found no_such_defect"):
        sim.power_cycle(clock, seed=7, defects=["no_such_defect"])
    sim.power_cycle(clock, seed=7, defects=[next(iter(CATALOGUE))])
    assert sim.truth()["pack"]["voltage_v"] > 50.0


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"do": "nothing"}, "KeyError: 'nothing'"),
        ({"do": "pull", "role": "nobody"}, "KeyError: 'nobody'"),
        ({"do": "condition", "name": "nonsense", "value": 1.0, "cell": 0}, "nonsense"),
    ],
)
def test_the_control_line_says_what_it_does_not_know(sim: SimClient, request_, complaint):
    with pytest.raises(NotReady, match=complaint):
        sim.ask(**request_)


def test_a_manifest_is_one_line_of_json(sim: SimClient, tmp_path: Path):
    path = tmp_path / "sim.json"
    path.write_text(sim.manifest.to_json() + "\n", encoding="utf-8")

    assert "\n" not in sim.manifest.to_json()
    assert Manifest.of_file(path) == sim.manifest


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"station": "x"}', "[1]"])
def test_what_is_no_manifest_is_told(tmp_path: Path, text: str):
    path = tmp_path / "sim.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInput, match=r"sim\.json: expected the JSON that `bmsbench sim --json` prints"):
        Manifest.of_file(path)


def test_a_sim_that_has_ended_is_told():
    gone = Manifest("loopback", "HD-LFP-24S", 1, "127.0.0.1:1")

    with pytest.raises(NotReady, match=r"expected a sim at 127\.0\.0\.1:1 .* Start it with `bmsbench sim`"):
        SimClient(gone)


@pytest.mark.parametrize(
    ("station", "complaint"),
    [("emulated", r"\[roles.charger\] address: expected sim\+<door>://<terminal>"), ("none", "none")],
)
def test_a_station_that_cannot_be_served_is_told_and_ends(station: str, complaint: str):
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "sim", station, "--json"], capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 4
    assert ended.stdout == ""
    assert re.search(complaint, ended.stderr)


def test_the_speed_must_be_one_that_can_be_kept():
    with pytest.raises(InvalidInput, match="up to 100"):
        check_speed(1000.0)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not its child")
def test_the_sim_ends_with_its_parent():
    script = (
        "import os, sys\n"
        "from bench.sim import SimClient\n"
        "client = SimClient.start('loopback', 'hd_lfp_24s')\n"
        "print(client.manifest.to_json(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -9

    # Its lifeline is a pipe that the parent held: the child ends when that is closed.
    try:
        child = os.pidfd_open(json.loads(ended.stdout)["pid"])
    except ProcessLookupError:
        return
    assert select.select([child], [], [], 30.0)[0] == [child]
    os.close(child)
