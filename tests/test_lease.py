"""Two runs on one bench: the second is told who has it, and a bench left behind is made safe first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.errors import NotReady, UnsafeState
from bench.guard.button import press
from bench.guard.lease import Lease, LeaseFile, _born, bench_name, lease_folder, lease_for, leases_of
from bench.guard.rescue import Rescue
from bench.guard.watch import Guard, wants_watchman
from bench.station import SafeReport
from bench.station.safe_state import SafeStep
from bench.station_file import StationFile, load_station
from dut_profiles.profile import load_profile

PROFILE = load_profile("hd_lfp_24s")

#: Port 1 of this machine: nobody listens there.
STATION = """
name  = "shared"
clock = "wall"
{more}
[dut]
address = "can:socketcand:can0?host=127.0.0.1&port=1"

[roles.charger]
driver  = "instruments.supply_rp7900:Rp7900"
address = "TCPIP::127.0.0.1::1::SOCKET"
max_v   = 150.0
max_a   = 240.0

[lease]
folder = "{folder}"
"""


@pytest.fixture
def file(tmp_path: Path) -> StationFile:
    return station(tmp_path)


def station(tmp_path: Path, more: str = "") -> StationFile:
    path = tmp_path / "shared.toml"
    path.write_text(STATION.format(folder=tmp_path / "leases", more=more), encoding="utf-8")
    return load_station(str(path))


def leases(file: StationFile) -> LeaseFile:
    return LeaseFile(lease_folder(file), bench_name(file, {}))


@pytest.fixture
def elsewhere() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host, which lives until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate(timeout=60)


def held_by(file: StationFile, pid: int, **changes: object) -> Lease:
    return replace(lease_for(file, {}), pid=pid, born=_born(pid), holder="anna", **changes)  # type: ignore[arg-type]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def test_the_second_is_told_who_where_since_when_until_when_and_what_to_do(
    file: StationFile, elsewhere: subprocess.Popen[bytes]
) -> None:
    held = held_by(
        file, elsewhere.pid, host=os.uname().nodename,
        since_utc="2026-11-21T10:02:03+00:00", until_utc="2999-01-01T10:04:03+00:00",
    )  # fmt: skip
    leases(file).take(held)

    with pytest.raises(NotReady) as caught:
        leases(file).take(lease_for(file, {}))

    assert caught.value.exit_code == 40
    assert str(caught.value) == (
        f"station shared is in use by anna on {os.uname().nodename} (process {elsewhere.pid}), since "
        "2026-11-21 10:02:03 UTC, until 2999-01-01 10:04:03 UTC; it renews that while it runs. Nothing was "
        f"opened. Wait until it ends; if its bench has to go off now: bmsbench safe {file.path}. "
        f"(The lease: {leases(file).path})"
    )
    assert leases(file).read() == held


def test_a_lease_is_given_back(file: StationFile) -> None:
    lease = lease_for(file, {})

    assert leases(file).take(lease) is None
    assert [found.token for found in leases_of(file)] == [lease.token]
    leases(file).release(lease)

    assert leases(file).read() is None


def test_only_its_holder_gives_a_lease_back_or_renews_it(file: StationFile) -> None:
    held = lease_for(file, {})
    leases(file).take(held)
    another = lease_for(file, {})

    leases(file).release(another)

    assert leases(file).renew(another, 5.0) is None
    assert leases(file).read() == held


def test_a_renewed_lease_lasts_longer(file: StationFile) -> None:
    held = lease_for(file, {}, minutes=1.0)
    leases(file).take(held)

    renewed = leases(file).renew(held, 60.0)

    assert renewed is not None
    assert renewed == leases(file).read()
    assert datetime.fromisoformat(renewed.until_utc) - datetime.fromisoformat(held.until_utc) > timedelta(
        minutes=58
    )


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({}, False),
        ({"until_utc": "2020-01-01T00:00:00+00:00"}, True),
        ({"host": "another"}, False),
        ({"host": "another", "until_utc": "2020-01-01T00:00:00+00:00"}, True),
        ({"born": "another start of a process with this number"}, True),
    ],
    ids=["alive", "expired", "elsewhere", "elsewhere and expired", "number used again"],
)
def test_who_is_taken_for_gone(file: StationFile, changes: dict[str, str], stale: bool) -> None:
    assert replace(lease_for(file, {}), **changes).is_stale is stale  # type: ignore[arg-type]


def test_a_process_that_ended_holds_nothing(file: StationFile) -> None:
    assert held_by(file, dead_pid()).is_stale


def test_of_two_newcomers_one_gets_it(file: StationFile) -> None:
    leases(file).take(held_by(file, dead_pid()))

    stale = leases(file).take(lease_for(file, {}))
    with pytest.raises(NotReady):
        leases(file).take(lease_for(file, {}))

    assert stale is not None
    assert stale.holder == "anna"


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "leases").write_text("a file")
    file = station(tmp_path)

    with pytest.raises(NotReady, match=r"expected a folder for leases at .*leases, found .*\[lease\] folder"):
        leases(file).take(lease_for(file, {}))


def test_what_is_no_lease_is_not_overwritten(file: StationFile) -> None:
    leases(file).path.parent.mkdir()
    leases(file).path.write_text("{}")

    with pytest.raises(NotReady, match=r"expected a lease in .*shared.json, found something else"):
        leases(file).take(lease_for(file, {}))
    assert leases(file).path.read_text() == "{}"


def test_the_default_folder_is_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    file = load_station("emulated")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert lease_folder(file) == Path("/somewhere/bmsbench/leases")

    monkeypatch.delenv("XDG_STATE_HOME")
    assert lease_folder(file) == Path.home() / ".local/state/bmsbench/leases"


def test_a_served_station_is_as_many_benches_as_it_has_sims() -> None:
    file = load_station("loopback")

    assert bench_name(file, {"charger": "a"}) == bench_name(file, {"charger": "a"})
    assert bench_name(file, {"charger": "a"}) != bench_name(file, {"charger": "b"})


# -- a bench that was left behind ---------------------------------------------------------------------


def test_a_bench_left_behind_is_made_safe_before_anything_else(
    file: StationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases(file).take(held_by(file, dead_pid()))
    causes: list[str] = []

    def make_safe(_: Rescue, cause: str) -> SafeReport:
        causes.append(cause)
        return SafeReport(cause, [SafeStep("charger", "off", 0.1)], took_s=0.1)

    monkeypatch.setattr(Rescue, "make_safe", make_safe)
    said: list[str] = []
    guard = Guard(file, PROFILE, {})
    guard.take_bench(said.append)

    held = leases(file).read()
    assert held is not None
    assert held.pid == os.getpid()
    assert causes[0].startswith("left behind by anna on ")
    assert said[0].endswith("; making it safe first")
    assert said[1] == "bmsbench: safe after 0.10 s"
    guard.leave()
    assert leases(file).read() is None


def test_one_that_cannot_be_made_safe_is_not_used_and_the_next_has_to_look_again(file: StationFile) -> None:
    leases(file).take(held_by(file, dead_pid()))
    said: list[str] = []

    with pytest.raises(
        UnsafeState, match=r"left behind by anna .* NOT CONFIRMED, look: charger: open: "
    ) as caught:
        Guard(file, PROFILE, {}).take_bench(said.append)

    assert caught.value.exit_code == 50
    assert any("charger: open: WireError" in line for line in said)
    held = leases(file).read()
    assert held is not None
    assert held.pid == os.getpid()  # stale as soon as this process ends


def test_the_button_frees_a_stale_lease_only_if_the_bench_is_safe(
    file: StationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases(file).take(held_by(file, dead_pid()))
    said: list[str] = []

    assert press(file, PROFILE, None, said.append)["confirmed"] is False
    assert leases(file).read() is not None

    off = SafeReport("", [SafeStep("charger", "off", 0.1)], took_s=0.1)
    monkeypatch.setattr(Rescue, "make_safe", lambda *_: off)
    assert press(file, PROFILE, None, said.append)["confirmed"] is True
    assert leases(file).read() is None


def test_the_button_says_that_it_cannot_end_a_run_elsewhere(file: StationFile) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    leases(file).take(replace(lease_for(file, {}), host="another", until_utc=until))
    said: list[str] = []

    press(file, PROFILE, None, said.append)

    assert "its run cannot be ended from here: it may switch on again, stop it" in said
    assert leases(file).read() is not None


@pytest.mark.parametrize(
    ("more", "wanted"),
    [("", True), ("[guard]\nenabled = false\n", False), ("[guard]\nenabled = true\n", True)],
)
def test_a_wall_clock_wants_a_watchman_unless_the_station_says_otherwise(
    tmp_path: Path, more: str, wanted: bool
) -> None:
    assert wants_watchman(station(tmp_path, more)) is wanted
