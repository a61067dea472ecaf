"""Profiles: what loads, what does not, and how the loader says so."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ProfileInvalid
from dut_profiles.profile import PROFILE_DIR, find_profile, load_profile

SOURCE = (PROFILE_DIR / "hd_lfp_24s.toml").read_text(encoding="utf-8")
PROFILES = sorted(path.stem for path in PROFILE_DIR.glob("*.toml"))


@pytest.fixture
def edited(tmp_path):
    """Load the reference profile with one piece of text replaced."""

    def load(old: str, new: str):
        assert old in SOURCE
        file = tmp_path / "edited.toml"
        file.write_text(SOURCE.replace(old, new, 1), encoding="utf-8")
        return load_profile(str(file))

    return load


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_loads_and_is_consistent(name):
    profile = load_profile(name)
    pack = profile.pack

    low, high = pack.lower_limit_discharging_v, pack.upper_limit_charging_v
    assert pack.cells * low < pack.nominal_v < pack.cells * high
    assert pack.nominal_v < pack.charge_v <= pack.cells * high
    assert set(profile.switches.charge_path) & set(profile.switches.discharge_path)
    for limit_name, limit in profile.limits.items():
        assert limit.name == limit_name
        assert limit.delay_tolerance_s <= limit.delay_s
        assert (limit.level == 1) == (not limit.opens), limit_name


@pytest.mark.parametrize("name", PROFILES)
def test_protection_acts_before_the_cell_leaves_its_region(name):
    """IEC 62619:2022 8.2.2: charging ends before any cell exceeds the upper limit charging voltage."""
    profile = load_profile(name)
    limit = profile.limit("cell_overvoltage")

    assert limit.trip + limit.tolerance < profile.pack.upper_limit_charging_v
    assert "charge" in limit.opens


def test_values_of_the_reference_profile():
    profile = load_profile("hd_lfp_24s")
    limit = profile.limit("cell_overvoltage")

    assert (profile.pack.cells, profile.pack.sensors, profile.pack.capacity_ah) == (24, 8, 280.0)
    assert (limit.trip, limit.tolerance, limit.release, limit.unit) == (3.6, 0.005, 3.45, "V")
    assert limit.alarm == "cell_overvoltage"


def test_all_kinds_of_limit_speak_of_trip_tolerance_release_and_unit():
    limits = load_profile("hd_lfp_24s").limits
    kinds = {limit.quantity: limit for limit in limits.values()}

    assert {kind: limit.unit for kind, limit in kinds.items()} == {
        "cell_voltage": "V",
        "charge_current": "A",
        "discharge_current": "A",
        "temperature": "degC",
        "temperature_spread": "K",
        "cell_spread": "V",
        "insulation": "ohm/V",
    }
    spread = kinds["temperature_spread"]
    assert (spread.trip, spread.tolerance, spread.release) == (10.0, 2.0, 7.0)
    assert kinds["cell_spread"].release == 0.2
    assert limits["insulation_fault"].trip == 120.0


def test_fan_and_heater_may_be_declared_or_not(edited):
    start = SOURCE.index("[thermal_management]")
    section = SOURCE[start : SOURCE.index("[soc]", start)]

    declared = load_profile("hd_lfp_24s").thermal_management

    assert (declared.cooling_on_degc, declared.cooling_off_degc) == (35.0, 33.0)
    assert (declared.heating_on_degc, declared.heating_off_degc) == (5.0, 10.0)
    assert declared.heating_modes == ["charge", "drive"]
    assert edited(section, "").thermal_management is None


def test_a_profile_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_profile("hd_lfp_24s").pack.cells = 12


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trip_v = 3.55", "trip_mv = 3550.0", r"warning.trip_v\]: .*there is trip_mv: wrong unit"),
        ("trip_v = 3.55", "trip_v = true", r"trip_v\]: expected a valid number, found True"),
        ("trip_v = 3.55", 'trip_v = "3.55"', r"trip_v\]: expected a valid number, found '3.55'"),
        ("trip_v = 3.55", "trip_v = nan", r"trip_v\]: expected a finite number, found nan"),
        ("trip_v = 3.55", "trip_v = -3.55", r"trip_v\]: expected greater than 0, found -3.55"),
        ("release_v = 3.50", "release_v = 3.55", r"expected release below the trip level 3.55 .*found 3.55"),
        ("release_v = 2.90", "release_v = 2.80", r"expected release above the trip level 2.8 "),
        ("measuring_s = 5.0", "measuring_s = 0", r"\[insulation.measuring_s\]: expected greater than 0"),
        ('quantity = "temperature_spread"', 'quantity = "speed"', r"_spread\] quantity: .*'speed'"),
        ('quantity = "temperature_spread"', "", r"temperature_spread\] quantity: .*found 'nothing'"),
        ("trip_k = 10.0", "trip_k = 0", r"\[limits.temperature_spread.trip_k\]"),
        ("cells                     = 24", "cells = 20", r"sensor_cells from 0 to 19, found \[20, 23\]"),
        ("cell_v   = [3.45, 3.55]", "cell_v = [3.55, 3.45]", "expected a strictly rising axis"),
        ("cell_v   = [3.45, 3.55]", "cell_v = [3.45, 3.55]\nsoc = [0.0, 1.0]", "expected exactly one axis"),
        ('source   = "project default: reference', 'source = ""\n#', r"\[identity.source\]"),
        ("[log]", "[logg]", r"\[log\]: expected this key"),
        ("[log]", "[log]\nsize = 1", r"\[log.size\]: expected only known keys, .* value 1"),
        ('schema = "bmsbench-profile/1"', 'schema = "bmsbench-profile/9"', r"\[schema\]: .*found 'bmsben"),
        ("[log]", "[log", "expected TOML"),
    ],
)  # fmt: skip
def test_a_profile_that_does_not_load_says_where_what_and_what_else(edited, old, new, said):
    with pytest.raises(ProfileInvalid, match=said):
        edited(old, new)


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(ProfileInvalid, match=r"one of: .*hd_lfp_24s.*found 'moon'"):
        find_profile("moon")


def test_an_unknown_limit_names_the_declared_ones():
    with pytest.raises(ProfileInvalid, match=r"limits\.moon: expected one of cell_overvoltage_warning, "):
        load_profile("hd_lfp_24s").limit("moon")


def test_a_profile_of_ones_own_loads_by_path(edited):
    profile = edited('serial   = "EMU-24S-0001"', 'serial = "B-7"')

    assert profile.identity.serial == "B-7"


KEYS = [line.split("=")[0].strip() for line in SOURCE.splitlines() if "=" in line and line[0].isalpha()]
VALUES = st.sampled_from(
    ["0", "-1", "1e308", "inf", "true", '""', '"x"', "[]", "[1, 2]", "{}", "2026-01-01", "{a = 1}"]
)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, len(KEYS) - 1), value=VALUES)
def test_any_wrong_value_loads_or_is_explained(position, value, tmp_path_factory):
    lines = SOURCE.splitlines()
    numbers = [i for i, line in enumerate(lines) if "=" in line and line[0].isalpha()]
    lines[numbers[position]] = f"{KEYS[position]} = {value}"
    file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    file.write_text("\n".join(lines), encoding="utf-8")

    try:
        load_profile(str(file))
    except ProfileInvalid as error:
        explained = error
    else:
        return

    assert explained.expected
    assert explained.where.startswith(str(file))


@pytest.mark.parametrize("text", ["limits = 3", "", "schema = 1", "[limits]\na = 3"])
def test_a_file_of_something_else_is_explained(tmp_path, text):
    tomllib.loads(text)
    file = tmp_path / "other.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ProfileInvalid, match="expected"):
        load_profile(str(file))
