"""What may be asked of a bench: envelope, instruments, wiring, fuse and DUT, each with where it is stated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.station.drivers import checked_driver, kind_of
from bench.station_file import StationFile
from dut_profiles.profile import Profile


@dataclass(frozen=True, slots=True)
class Rating:
    """A limit on one figure.

    Parameters
    ----------
    where, what
        As in `Figure`.
    limit
        In the unit of the figure.
    key
        Where it is stated: `max_v of [roles.charger]`.
    lower
        Whether the figure must not be below it, instead of above.
    """

    where: str
    what: str
    limit: float
    key: str
    lower: bool = False

    def exceeded_by(self, value: float) -> bool:
        """Whether a figure is beyond it."""
        return value < self.limit if self.lower else value > self.limit


#: Key of a role in the station file to the figures that it bounds.
_OF_ROLE = {
    "max_v": ("highest commanded voltage", "highest reached voltage"),
    "max_a": ("highest commanded current", "highest reached current"),
    "max_w": ("highest commanded power", "highest reached power"),
    "max_wh": ("energy",),
    "max_degc": ("highest commanded temperature", "highest measured temperature"),
    "min_degc": ("lowest commanded temperature",),
}
#: Ratings of an instrument, the total of parallel units before that of one, to the figures they bound. The
#: product of a voltage and a current limit is no power that it has to give: only what was reached counts.
_OF_INSTRUMENT = (
    (("rated_v",), ("highest commanded voltage", "highest reached voltage")),
    (("total_a", "rated_a"), ("highest commanded current", "highest reached current")),
    (("total_w", "rated_w"), ("highest reached power",)),
)


#: Ratings that are not stated are not judged; these are asked for.
WIRING = ("harness_v", "harness_a", "fuse_a", "fuse_i2t_a2s")


def ratings_of(file: StationFile, profile: Profile) -> list[Rating]:
    """Every rating of a bench with its DUT."""
    return [*_of_roles(file, profile), *_of_wiring(file), *_of_dut(file, profile)]


def missing_ratings(file: StationFile, profile: Profile) -> list[str]:
    """What nobody has stated, and what therefore nothing was held against."""
    missing = [f"[ratings] {key}" for key in WIRING if getattr(file.ratings, key) is None]
    if profile.absolute_maximum is None:
        missing.append(f"[absolute_maximum] of {profile.identity.model}")
    return missing


def _of_roles(file: StationFile, profile: Profile) -> Iterator[Rating]:
    for role, entry in file.roles.items():
        for key, figures in _OF_ROLE.items():
            limit = getattr(entry, key)
            for what in figures if limit is not None else ():
                yield Rating(role, what, limit, f"{key} of [roles.{role}]", lower=key.startswith("min"))
        _, options = checked_driver(file, role, profile)
        for names, figures in _OF_INSTRUMENT:
            name = next((name for name in names if hasattr(options, name)), None)
            for what in figures if name is not None else ():
                limit = float(getattr(options, str(name)))
                yield Rating(role, what, limit, f"{name} of [roles.{role}.options]")


def _of_wiring(file: StationFile) -> Iterator[Rating]:
    for key, where, what in (
        ("harness_v", "harness", "voltage"),
        ("harness_a", "harness", "thermal current"),
        ("fuse_i2t_a2s", "fuse", "overload"),
    ):
        limit = getattr(file.ratings, key)
        if limit is not None:
            yield Rating(where, what, limit, f"{key} of [ratings]")


def _of_dut(file: StationFile, profile: Profile) -> Iterator[Rating]:
    model = profile.identity.model
    rating_a = profile.switches.break_rating_a
    yield Rating("contactors", "interrupted current", rating_a, f"switches.break_rating_a of {model}")
    most = profile.absolute_maximum
    if most is None:
        return
    of = f"of {model}"
    if most.pack_v is not None:
        yield Rating("harness", "voltage", most.pack_v, f"absolute_maximum.pack_v {of}")
    for role in file.roles:
        if kind_of(role) == "cells" and most.cell_v is not None:
            yield Rating(role, "highest commanded voltage", most.cell_v, f"absolute_maximum.cell_v {of}")
        if kind_of(role) != "chamber":
            continue
        if most.max_degc is not None:
            key = f"absolute_maximum.max_degc {of}"
            yield Rating(role, "highest commanded temperature", most.max_degc, key)
        if most.min_degc is not None:
            key = f"absolute_maximum.min_degc {of}"
            yield Rating(role, "lowest commanded temperature", most.min_degc, key, lower=True)
