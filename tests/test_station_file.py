"""Station files: each mistake is one sentence with file, key, expected and found."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import StationInvalid
from bench.station_file import STATION_DIR, find_station, load_station
from bench.station_values import resolved
from dut_profiles.profile import load_profile

GOOD = """
name = "mine"
clock = "virtual"
seed = 3

[dut]
address = "twin://dut"

[roles.charger]
driver = "instruments.supply_rp7900:Rp7900"
address = "twin://charger"
serial = "1234"
calibration = { due = 2027-03-31, certificate = "K-1" }
max_v = 150.0
max_a = 60.0
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_good_file_is_read_as_it_is_written(path: Path) -> None:
    path.write_text(GOOD)
    station = load_station(str(path))

    assert (station.name, station.clock, station.seed, station.path) == ("mine", "virtual", 3, path)
    charger = station.roles["charger"]
    assert (charger.max_v, charger.serial, charger.is_twin, charger.options) == (150.0, "1234", True, {})
    assert charger.calibration is not None
    assert charger.calibration.due.isoformat() == "2027-03-31"
    assert list(station.connected()) == ["charger", "dut"]


SHIPPED = sorted(path.stem for path in STATION_DIR.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_station_loads(name: str) -> None:
    assert load_station(name).name == name
    assert find_station(name).is_file()


ADDRESS = (
    "a VISA name, a serial device, tcp://<host>:<port>, can:<interface>:<channel>, twin://<terminal> "
    "or sim+<door>://<terminal>"
)
ROLE_KEYS = (
    "one of the keys address, driver, serial, firmware, calibration, max_v, max_a, max_w, max_wh, min_degc, "
    "max_degc, poll_s, options"
)
MISTAKES = {
    "no address": (
        'address = "twin://charger"\n',
        "",
        "[roles.charger.address]",
        ADDRESS,
        "nothing",
    ),
    "empty address": (
        '"twin://charger"',
        '""',
        "[roles.charger.address]",
        ADDRESS,
        "''",
    ),
    "no driver": (
        'driver = "instruments.supply_rp7900:Rp7900"\n',
        "",
        "[roles.charger.driver]",
        'a driver as "module:Class"',
        "nothing",
    ),
    "driver without class": (
        ":Rp7900",
        "",
        "[roles.charger.driver]",
        'a driver as "module:Class"',
        "'instruments.supply_rp7900'",
    ),
    "limit of zero": (
        "max_a = 60.0",
        "max_a = 0",
        "[roles.charger.max_a]",
        "greater than 0",
        "0",
    ),
    "limit as text": (
        "max_a = 60.0",
        'max_a = "x"',
        "[roles.charger.max_a]",
        "a valid number",
        "'x'",
    ),
    "no DUT": (
        '[dut]\naddress = "twin://dut"',
        "",
        "[dut]",
        "this key or table",
        "nothing",
    ),
    "clock": (
        '"virtual"',
        '"atomic"',
        "[clock]",
        "'virtual' or 'wall'",
        "'atomic'",
    ),
    "seed": (
        "seed = 3",
        "seed = 0.5",
        "[seed]",
        "a valid integer",
        "0.5",
    ),
    "misspelt key": (
        "max_v",
        "maxv",
        "[roles.charger.maxv]",
        ROLE_KEYS,
        "'maxv'",
    ),
    "misspelt key at the top": (
        "seed",
        "sed",
        "[sed]",
        "one of the keys name, clock, speed, seed, dut, roles, safe_state, guard, ratings, fault_rules, "
        "lease",
        "'sed'",
    ),
    "misspelt key of the DUT": (
        '[dut]\naddress = "twin://dut"',
        '[dut]\naddress = "twin://dut"\nbaud = 9600',
        "[dut.baud]",
        "one of the keys address",
        "'baud'",
    ),
    "calibration without certificate": (
        ', certificate = "K-1"',
        "",
        "[roles.charger.calibration.certificate]",
        "this key or table",
        "nothing",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_key_expected_and_found(path: Path, mistake: str) -> None:
    old, new, key, expected, found = MISTAKES[mistake]
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))

    with pytest.raises(StationInvalid) as caught:
        load_station(str(path))

    error = caught.value
    assert error.where == f"{path}: {key}"
    assert expected in error.expected
    assert error.found == found
    assert str(error) == f"{path}: {key}: expected {error.expected}, found {found}."


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00"], ids=["no TOML", "no text"])
def test_what_is_no_toml_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(StationInvalid, match=r"mine\.toml: expected TOML, found "):
        load_station(str(path))


def test_virtual_time_is_not_for_real_instruments(path: Path) -> None:
    path.write_text(GOOD.replace("twin://charger", "TCPIP::127.0.0.1::5025::SOCKET"))

    with pytest.raises(StationInvalid) as caught:
        load_station(str(path))

    assert 'clock: expected "wall"' in str(caught.value)
    assert 'found "virtual" with real ports for charger.' in str(caught.value)


@pytest.mark.parametrize("name", ["nope", "nope.toml", ".", ""])
def test_a_station_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(StationInvalid) as caught:
        find_station(name)

    assert str(caught.value) == (
        f"station: expected a TOML file or one of: {', '.join(SHIPPED)}, found {name!r}."
    )


def test_values_of_the_profile_are_put_in() -> None:
    profile = load_profile("hd_lfp_24s")
    options = resolved("here", {"cells": "$pack.cells", "model": "BS", "relays": "$sense_wires"}, profile)

    assert (options["cells"], options["model"]) == (24, "BS")
    # 24 cells in series have 25 sense wires; one relay each, in order.
    assert options["relays"] == {f"open_sense_wire_{wire}": wire for wire in range(25)}


def test_a_pack_with_more_wires_than_relays_keeps_both_ends() -> None:
    relays = resolved("here", {"relays": "$sense_wires"}, load_profile("hd_lfp_32s"))["relays"]

    assert sorted(relays.values()) == list(range(32))
    assert "open_sense_wire_0" in relays
    assert "open_sense_wire_32" in relays


@pytest.mark.parametrize("value", ["$pack.cels", "$", "$nothing"])
def test_a_value_that_the_profile_does_not_have_is_told(value: str) -> None:
    with pytest.raises(StationInvalid) as caught:
        resolved("mine.toml: [roles.cells.options]", {"cells": value}, load_profile("hd_lfp_24s"))

    assert str(caught.value) == (
        "mine.toml: [roles.cells.options] cells: expected $sense_wires, $scanned_pack or a value of the "
        f"profile such as $pack.cells, found {value!r}."
    )


SERVED = """
name  = "served"
clock = "wall"
speed = 4.0

[dut]
address = "sim+slcan://dut"

[roles.charger]
driver  = "instruments.supply_rp7900:Rp7900"
address = "sim+hislip://charger"
max_v   = 150.0
max_a   = 60.0

[roles.load]
driver  = "instruments.load_63200a:Load63200A"
address = "sim+socket://load"
max_v   = 150.0
max_a   = 60.0

[safe_state]
order    = ["load", "charger"]
within_s = 3.0
"""


def written(folder: Path, text: str) -> str:
    path = folder / "served.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_served_station_says_door_and_terminal(tmp_path: Path) -> None:
    station = load_station(written(tmp_path, SERVED))

    charger = station.roles["charger"]
    assert (charger.is_twin, charger.is_served, charger.is_emulated) == (False, True, True)
    assert (charger.door, charger.terminal) == ("hislip", "charger")
    assert station.is_served
    assert station.safe_state.order == ("load", "charger")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"sim+socket://load"', '"twin://load"', "one process holds the whole emulated rack"),
        ('"sim+socket://load"', '"TCPIP::192.0.2.1::5025::SOCKET"', "does not follow a fast clock"),
        ('clock = "wall"', 'clock = "virtual"', "does not follow virtual time"),
        ('["load", "charger"]', '["lod"]', "expected roles charger, load, found 'lod'"),
        ("speed = 4.0", "speed = 0", "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_told(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in SERVED

    with pytest.raises(StationInvalid, match=complaint):
        load_station(written(tmp_path, SERVED.replace(old, new)))
