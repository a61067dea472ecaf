"""Values of a station file that the DUT decides: `cells = "$pack.cells"`.

An emulated rack is as large as the pack that it emulates. A string that starts with `$` is looked up in the
profile; `$sense_wires` gives a fault box of 32 relays one for each sense wire, both ends always among them.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from bench.errors import StationInvalid
from dut_profiles.profile import Profile

RELAYS = 32


def resolved(where: str, options: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """`options` with every `$` value looked up in `profile`.

    Raises
    ------
    StationInvalid
        If the profile has no such value; `where` names file and table.
    """
    return {key: _value(f"{where} {key}", value, profile) for key, value in options.items()}


def _value(where: str, value: Any, profile: Profile) -> Any:
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    name = value.removeprefix("$")
    if name == "sense_wires":
        return _sense_wires(profile.pack.cells + 1)
    try:
        return reduce(getattr, name.split("."), profile)
    except AttributeError as error:
        raise StationInvalid(
            where, expected="$sense_wires or a value of the profile such as $pack.cells", found=repr(value)
        ) from error


def _sense_wires(wires: int) -> dict[str, int]:
    chosen = [*range(min(wires, RELAYS) - 1), wires - 1]
    return {f"open_sense_wire_{wire}": relay for relay, wire in enumerate(chosen)}
