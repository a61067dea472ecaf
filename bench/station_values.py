"""Values of a station file that the DUT decides: `cells = "$pack.cells"`.

An emulated rack is as large as the pack that it emulates. A string that starts with `$` is looked up in the
profile; `$sense_wires` gives a fault box of 32 relays one for each sense wire, both ends always among them;
`$scanned_pack` wires a scanner to every cell, a thermocouple on each cell that carries a sensor, and the
pack's three voltages.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from bench.errors import StationInvalid
from dut_profiles.profile import Profile

#: Values that the profile does not have, and that are made from it.
SPECIAL = ("$sense_wires", "$scanned_pack")
RELAYS = 32
#: Channels for voltages on a multiplexer card of a scanner; its slots count from 1.
CARD_CHANNELS = 20


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
    if name == "scanned_pack":
        return _scanned_pack(profile)
    try:
        return reduce(getattr, name.split("."), profile)
    except AttributeError as error:
        known = f"{', '.join(SPECIAL)} or a value of the profile such as $pack.cells"
        raise StationInvalid(where, expected=known, found=repr(value)) from error


def _scanned_pack(profile: Profile) -> dict[int, str]:
    """Channel (slot x 100 + number) to point."""
    points = [f"cell_v[{cell}]" for cell in range(profile.pack.cells)]
    points += [f"temperature_degc[{cell}]" for cell in profile.pack.sensor_cells]
    points += ["pack_v", "link_v", "charger_v"]
    return {100 * (k // CARD_CHANNELS + 1) + k % CARD_CHANNELS + 1: point for k, point in enumerate(points)}


def _sense_wires(wires: int) -> dict[str, int]:
    chosen = [*range(min(wires, RELAYS) - 1), wires - 1]
    return {f"open_sense_wire_{wire}": relay for relay, wire in enumerate(chosen)}
