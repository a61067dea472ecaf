"""What keeps a run from being a certification: doubts about instruments, in words.

A run for development goes on with them, and says so in its evidence; a certification run does not start.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from bench.errors import NotReady
from bench.station.drivers import kind_of
from bench.station_file import RoleEntry, StationFile

#: Roles that neither measure nor make a value: nothing about them can be calibrated.
UNCALIBRATED = ("faults",)


def standing_doubts(file: StationFile, today: dt.date) -> list[str]:
    """What the station file alone says: emulated parts, and calibrations that are missing or overdue."""
    doubts = []
    # What the bench computes makes no value of its own: the instruments that show it do.
    connected = {name: entry for name, entry in file.connected().items() if not entry.is_model}
    if emulated := [name for name, entry in connected.items() if entry.is_emulated]:
        doubts.append(f"emulated, not real: {', '.join(emulated)}.")
    for name, entry in file.roles.items():
        calibration = entry.calibration
        if calibration and calibration.due < today:
            doubts.append(
                f"[roles.{name}] calibration: expected a date not before {today}, found {calibration.due} "
                f"(certificate {calibration.certificate})."
            )
        elif not calibration and not entry.is_emulated and kind_of(name) not in UNCALIBRATED:
            doubts.append(f"[roles.{name}] calibration: expected a due date and a certificate, found none.")
    return doubts


def identity_doubts(name: str, entry: RoleEntry, identity: str) -> list[str]:
    """What an instrument said of itself that is not what the station file expects."""
    return [
        f"[roles.{name}] at {entry.address}: expected {key} {expected!r}, found identity {identity!r}."
        for key, expected in (("serial", entry.serial), ("firmware", entry.firmware))
        if expected and expected not in identity
    ]


def demand_certifiable(file: StationFile, doubts: Sequence[str]) -> None:
    """Let no certification run start in doubt. Raises `NotReady` with every doubt."""
    if doubts:
        raise NotReady(
            f"station {file.name} ({file.path}) is not fit for a certification run:\n"
            + "\n".join(f"  - {doubt}" for doubt in doubts)
            + "\nNothing was energised."
        )
