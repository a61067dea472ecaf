"""`bmsbench check`: rows that say what was expected and found, exit codes, JSON; stand-ins and real ports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_calls import Said, caller

SHIPPED = (Path(__file__).parents[1] / "bench/stations/emulated.toml").read_text(encoding="utf-8")
NEEDS_PTY = pytest.mark.skipif(sys.platform == "win32", reason="the loopback station has pseudo terminals")

Call = Callable[..., Said]


@pytest.fixture
def bmsbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    return caller(monkeypatch, capfd, tmp_path)


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str, str], str]:
    """A copy of the shipped station with one text replaced."""

    def write(old: str, new: str) -> str:
        assert old in SHIPPED
        path = tmp_path / "mine.toml"
        path.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("station", [(), ("emulated",), ("--station", "emulated")])
def test_the_station_is_an_argument_an_option_or_the_emulated_one(
    bmsbench: Call, station: tuple[str, ...]
) -> None:
    said = bmsbench("check", *station, "--json")

    assert said.code == 0
    assert (said.shown["station"], said.shown["dut"], said.shown["ready"]) == ("emulated", "HD-LFP-24S", True)
    assert [role["role"] for role in said.shown["roles"]][:3] == ["charger", "regen", "load"]
    assert all(role["identity"] for role in said.shown["roles"])
    assert said.err == ""


def test_the_tables_name_label_watchdog_and_ceilings(bmsbench: Call) -> None:
    said = bmsbench("check")

    assert said.code == 0
    assert "150 V, 240 A" in said.out
    assert "public driver" in said.out
    assert "state standby" in said.out
    assert said.out.rstrip().endswith("ready")


def test_a_wrong_serial_and_an_overdue_calibration_are_both_told(bmsbench: Call, mine) -> None:
    address = 'address = "twin://charger"'
    more = '\nserial = "Z-1"\ncalibration = { due = 2020-01-31, certificate = "K-1" }'
    said = bmsbench("check", mine(address, address + more), "--wiring", "--drill")

    serial, calibration = said.err.splitlines()
    assert said.code == 40
    assert serial.startswith("NotReady: charger: serial: expected 'Z-1', found identity 'Keysight")
    assert calibration.startswith(
        "NotReady: charger: calibration: expected due 2026-01-01 or later, found 2020"
    )
    assert "not ready: 2 findings" in said.out
    assert "Traceback" not in said.err


def test_a_swap_is_told_by_wiring_and_not_before(bmsbench: Call, mine) -> None:
    path = mine("instruments.cells_bs1200:Bs1200", "tests.miswired:SwappedCells")

    assert bmsbench("check", path).code == 0
    said = bmsbench("check", path, "--wiring")
    assert said.code == 40
    assert "channel 7 arrives as cell 8; swapped with channel 8." in said.err


def test_the_drill_says_how_long_it_took(bmsbench: Call) -> None:
    said = bmsbench("check", "--drill", "--json")
    safe = next(row for row in said.shown["rows"] if row["what"] == "safe state")

    assert said.code == 0
    assert safe["found"].startswith("safe after ")
    assert safe["found"].endswith("read back")


def test_a_bench_that_stays_on_is_unsafe(bmsbench: Call, mine) -> None:
    said = bmsbench("check", mine("instruments.supply_rp7900:Rp7900", "tests.faulty_drivers:Stuck"))

    assert said.code == 50
    assert "UnsafeState: " in said.err
    assert "charger says that it is still on" in said.err
    assert "NOT SAFE, look" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nope",), "StationInvalid: station: expected a TOML file or one of: emulated"),
        (("--dut", "nope"), "ProfileInvalid: DUT profile: expected a TOML file or one of: hd_lfp_24s"),
    ],
)
def test_what_cannot_be_read_is_one_line(bmsbench: Call, arguments: tuple[str, ...], told: str) -> None:
    said = bmsbench("check", *arguments)

    assert said.code == 4
    assert said.out == ""
    assert said.err.startswith(told)
    assert len(said.err.strip().splitlines()) == 1


@NEEDS_PTY
def test_a_bench_behind_real_ports_is_checked_wired_and_drilled(
    bmsbench: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said = bmsbench("check", "loopback", "--wiring", "--drill", "--json")

    assert said.code == 0, said.err
    found = {(row["where"], row["what"]): row["found"] for row in said.shown["rows"]}
    assert found["cells", "order and polarity"] == "24 of 24 on their own cell"
    assert found["thermistors", "order"] == "8 of 8 on their own sensor"
    assert found["drill", "safe state"].startswith("safe after ")
    assert found["drill", "safe state by the watchman"].startswith("safe after ")
    assert "contactors open" in found["drill", "safe state by the watchman"]
    assert said.shown["roles"][0]["address"].startswith("TCPIP::127.0.0.1::hislip0")
