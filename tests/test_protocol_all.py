"""Every dialect in `dut_profiles/protocols`, found by its file: one kit for all of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import FrameInvalid, InvalidInput
from dut_profiles import protocols
from dut_profiles.profile import PROFILE_DIR, load_profile
from dut_profiles.protocols.exchange import LABELS

NAMES = protocols.names()
EXCHANGES = [
    pytest.param(name, exchange, id=f"{name}-{exchange.told[:8].hex()}")
    for name in NAMES
    for exchange in protocols.load(name).EXCHANGES
]


def test_the_package_imports_no_dialect_by_itself():
    code = """
import sys, dut_profiles.protocols as protocols
protocols.names()
print(*sorted(name for name in sys.modules if name.startswith("dut_profiles.protocols.")))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert found.split() == ["dut_profiles.protocols.exchange"]


def test_an_unknown_dialect_is_refused_with_those_that_exist():
    with pytest.raises(InvalidInput, match="hd_can"):
        protocols.load("../profile")


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_has_what_the_bench_asks_of_it(name):
    dialect = protocols.load(name)

    assert isinstance(dialect, protocols.Dialect)
    assert dialect.EXCHANGES
    assert find_spec(f"bench.dut.{name}"), "a dialect that no DUT can be reached with"


@pytest.mark.parametrize(("name", "exchange"), EXCHANGES)
def test_every_exchange_names_its_source_and_is_understood(name, exchange):
    assert exchange.label in LABELS
    assert len(exchange.source) > 3

    told = protocols.load(name).decode(exchange.told, can_id=exchange.can_id)

    for key, expected in exchange.means:
        found = told[key]
        assert found == (pytest.approx(expected, abs=1e-9) if isinstance(expected, float) else expected), key
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(("name", "exchange"), EXCHANGES)
def test_a_shorter_or_longer_frame_is_rejected(name, exchange):
    decode = protocols.load(name).decode

    for wrong in (exchange.told[:-1], exchange.told + b"\0", b""):
        with pytest.raises(FrameInvalid):
            decode(wrong, can_id=exchange.can_id)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100)
@given(data=st.binary(max_size=64), can_id=st.none() | st.integers(0, 0x1FFFFFFF))
def test_nothing_else_than_frame_invalid_leaves_a_decoder(name, data, can_id):
    with contextlib.suppress(FrameInvalid):
        protocols.load(name).decode(data, can_id=can_id)


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILE_DIR.glob("*.toml")))
def test_every_profile_speaks_a_dialect_that_there_is(profile):
    loaded = load_profile(profile)

    assert loaded.communication.protocol in NAMES
    assert loaded.pack.charge_v < loaded.pack.cells * loaded.pack.upper_limit_charging_v
    assert loaded.pack.nominal_v == pytest.approx(loaded.pack.cells * 3.2, rel=0.2)
