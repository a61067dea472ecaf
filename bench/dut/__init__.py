"""The device under test as a test sees it: what it reports, in SI units, and what a host may ask of it.

One module per dialect, named like the module in `dut_profiles.protocols`, each with a function `connect`.
A test asks `dut.features` before it relies on what a dialect may lack.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.clock import Clock
from bench.dut.api import FEATURES, STATES, Dut, LogEntry, Mode, Telemetry
from bench.errors import ProfileInvalid
from dut_profiles import protocols
from dut_profiles.profile import Profile

__all__ = ["FEATURES", "STATES", "Dut", "LogEntry", "Mode", "Telemetry", "open_dut"]


def open_dut(profile: Profile, wire: Any, *, clock: Clock) -> Dut:
    """The DUT of `profile` at the far end of `wire`; nothing is sent before its `start`.

    Parameters
    ----------
    profile
        Says the dialect: `communication.protocol`.
    wire
        python-can's bus object or pyserial's port object, real or twin.
    clock
        Whose time the host's messages follow.

    Raises
    ------
    ProfileInvalid
        If no module speaks that dialect.
    """
    name = profile.communication.protocol
    known = [known for known in protocols.names() if find_spec(f"{__name__}.{known}")]
    if name not in known:
        where = f"profile {profile.identity.model}: communication.protocol"
        raise ProfileInvalid(where, expected=f"one of {', '.join(known)}", found=repr(name))
    dut: Dut = import_module(f"{__name__}.{name}").connect(profile, wire, clock)
    return dut
