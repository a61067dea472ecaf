"""Inspection: each instrument of a station held against the station file. Nothing is prepared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench.bringup.rows import Row, judged
from bench.errors import BenchError
from bench.station import Station
from bench.station.drivers import checked_driver, kind_of
from bench.station.fitness import UNCALIBRATED
from bench.station.opening import Opener, close_wire
from bench.station_file import RatingsEntry, RoleEntry
from dut_profiles.profile import Profile
from instruments.exchange import weakest_label

#: Roles whose output goes through the power harness.
_POWER = ("charger", "regen", "load")


@dataclass(frozen=True, slots=True)
class RoleShown:
    """What is known of one role without energy.

    Parameters
    ----------
    role, driver, address
        As in the station file.
    identity
        What the instrument said of itself; "" if nothing came.
    label
        The weakest label of its driver's exchanges.
    watchdog
        What happens when the bench falls silent.
    ceilings, ratings
        What the bench allows, what the instrument can: `max_v`, `rated_v`, ... in SI units.
    """

    role: str
    driver: str
    address: str
    identity: str
    label: str
    watchdog: str
    ceilings: dict[str, float]
    ratings: dict[str, float]


def inspect(station: Station, addresses: Mapping[str, str]) -> tuple[list[RoleShown], list[Row]]:
    """Open every instrument, ask who it is, and let go again; what is wrong with one keeps no other back."""
    opener = Opener(
        station.file,
        station.profile,
        clock=station.clock,
        transcript=station.transcript,
        rack=station.rack,
        seed=station.file.seed,
        addresses=addresses,
        model=station.model,
    )
    shown, rows, wires = [], [], []
    for name, entry in station.file.roles.items():
        identity = ""
        try:
            wire, driver = opener.role(name)
            wires.append(wire)
            identity = driver.identity()
        except BenchError as error:
            rows.append(Row(name, "identity", f"an answer from {opener.address(name)}", str(error), "wrong"))
        else:
            rows.append(Row(name, "identity", "an answer", identity))
            rows += _stated(name, entry, identity)
            if sum(kind_of(other) == kind_of(name) for other in station.file.roles) == 1:
                rows += _size(name, driver, station.profile)
        rows += _calibration(name, entry, station.clock.utc.date())
        role = _shown(station, name, opener.address(name), identity)
        rows += _ceilings(role, station.file.ratings)
        shown.append(role)
    for wire in wires:
        with suppress(BenchError, OSError):
            close_wire(wire)
    return shown, rows


def _shown(station: Station, name: str, address: str, identity: str) -> RoleShown:
    entry = station.file.roles[name]
    driver, options = checked_driver(station.file, name, station.profile)
    exchanges = getattr(import_module(driver.__module__), "EXCHANGES", ())
    face = getattr(driver, "face", "")
    ceilings = {key: getattr(entry, key) for key in ("max_v", "max_a", "max_w", "min_degc", "max_degc")}
    return RoleShown(
        role=name,
        driver=entry.driver,
        address=address,
        identity=identity,
        label=weakest_label(e for e in exchanges if e.face in ("", face)),
        watchdog=getattr(driver, "watchdog", "not stated"),
        ceilings={key: value for key, value in ceilings.items() if value is not None},
        ratings=_ratings(options),
    )


def _ratings(options: Any) -> dict[str, float]:
    """Ratings out of a driver's options, those of all parallel units together."""
    found = {}
    for key, whole in (("rated_v", "rated_v"), ("rated_a", "total_a"), ("rated_w", "total_w")):
        value = getattr(options, whole, getattr(options, key, None))
        if isinstance(value, int | float):
            found[key] = float(value)
    return found


def _stated(name: str, entry: RoleEntry, identity: str) -> list[Row]:
    """Serial number and firmware, where the station file states them."""
    return [
        Row(name, key, repr(expected), f"identity {identity!r}", judged(expected in identity))
        for key, expected in (("serial", entry.serial), ("firmware", entry.firmware))
        if expected
    ]


def _calibration(name: str, entry: RoleEntry, today: dt.date) -> list[Row]:
    calibration = entry.calibration
    if calibration:
        found = f"{calibration.due} (certificate {calibration.certificate})"
        ok = calibration.due >= today
        return [Row(name, "calibration", f"due {today} or later", found, judged(ok))]
    if entry.is_emulated or kind_of(name) in UNCALIBRATED:
        return []
    return [Row(name, "calibration", "a due date and a certificate, to certify", "none", "note")]


def _size(name: str, driver: Any, profile: Profile) -> list[Row]:
    """As many channels as the DUT has cells, as many thermistors as it has sensors."""
    pack = profile.pack
    sizes = {"cells": ("cells", pack.cells), "thermistors": ("sensors", pack.sensors)}
    if name not in sizes:
        return []
    attribute, needed = sizes[name]
    found = getattr(driver, attribute, needed)
    expected = f"{needed}, as {profile.identity.model} has"
    return [Row(name, attribute, expected, str(found), judged(found == needed))]


def _ceilings(role: RoleShown, harness: RatingsEntry) -> list[Row]:
    """Ceilings against the rating of the instrument (a note: the less of both holds) and of the harness."""
    rows = []
    for key, rated in role.ratings.items():
        ceiling = role.ceilings.get(key.replace("rated", "max"))
        unit = key[-1].upper()
        if ceiling is not None and ceiling > rated:
            expected, found = f"at most its rating, {rated:g} {unit}", f"{ceiling:g} {unit}; the rating holds"
            rows.append(Row(role.role, key.replace("rated", "max"), expected, found, "note"))
    if kind_of(role.role) not in _POWER:
        return rows
    for key, bound, mark in (("max_v", harness.harness_v, "wrong"), ("max_a", harness.harness_a, "note")):
        ceiling, unit = role.ceilings.get(key), key[-1].upper()
        if bound is not None and ceiling is not None and ceiling > bound:
            more = "" if mark == "wrong" else "; no longer than fuse and harness stand it"
            expected = f"at most what the harness stands, {bound:g} {unit}"
            rows.append(Row(role.role, key, expected, f"{ceiling:g} {unit}{more}", mark))  # type: ignore[arg-type]
    return rows
