"""Which driver a role of the station file names, and whether it can be that, before anything is opened."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from pydantic import ValidationError

from bench.errors import StationInvalid
from bench.station_file import EXPECTED_OF, RoleEntry, StationFile
from bench.station_values import resolved
from bench.toml_file import explained
from dut_profiles.profile import Profile
from instruments import roles

#: What a role has to be. Several may share the work of one kind: `faults`, `faults_power`, ...
ROLE_KINDS: dict[str, type] = {
    "charger": roles.Supply,
    "regen": roles.Supply,
    "load": roles.Load,
    "cells": roles.CellEmulator,
    "thermistors": roles.Thermistors,
    "shunt": roles.ShuntSimulator,
    "faults": roles.FaultBox,
    "meter": roles.Meter,
    "voltmeter": roles.Voltmeter,
    "scanner": roles.Scanner,
    "chamber": roles.Chamber,
    "auxiliary": roles.Supply,
}

#: Ceilings without which a role of that kind is not opened.
CEILINGS: dict[str, tuple[str, ...]] = {
    "charger": ("max_v", "max_a"),
    "regen": ("max_v", "max_a"),
    "load": ("max_v", "max_a"),
    "cells": ("max_v", "max_a"),
    "auxiliary": ("max_v", "max_a"),
    "shunt": ("max_a",),
    "chamber": ("min_degc", "max_degc"),
}

#: Keys of the station file that a driver may ask for in its constructor.
_HANDED_OVER = ("max_v", "max_a", "min_degc", "max_degc")


def kind_of(role: str) -> str:
    """The kind of a role: `faults` for `faults_power`; the role itself if it is of none."""
    return next((kind for kind in ROLE_KINDS if role == kind or role.startswith(f"{kind}_")), role)


def check_drivers(file: StationFile, profile: Profile) -> None:
    """Find every role's driver and check its options, before anything is opened.

    Raises
    ------
    StationInvalid
        A role that no test knows, a driver that cannot be loaded, an option that it does not have, a ceiling
        that is missing.
    """
    for name in file.roles:
        checked_driver(file, name, profile)


def checked_driver(file: StationFile, name: str, profile: Profile) -> tuple[Any, Any]:
    """The driver class of a role, and its options with the values of `profile` put in."""
    entry, kind = file.roles[name], kind_of(name)
    if kind not in ROLE_KINDS:
        raise StationInvalid(
            f"{file.path}: [roles.{name}]",
            expected=f"a role {', '.join(ROLE_KINDS)} (or one of these with an ending, as faults_power)",
            found=repr(name),
        )
    for ceiling in CEILINGS.get(kind, ()):
        if getattr(entry, ceiling) is None:
            raise StationInvalid(
                f"{file.path}: [roles.{name}] {ceiling}", expected=f"a limit for every {kind}", found="none"
            )
    driver = load_driver(f"{file.path}: [roles.{name}] driver", entry.driver)
    if entry.max_wh is not None and hasattr(driver, "poll") and entry.poll_s is None:
        raise StationInvalid(
            f"{file.path}: [roles.{name}] poll_s",
            expected="a period, for max_wh counts what is measured",
            found="none",
        )
    where = f"{file.path}: [roles.{name}.options]"
    try:
        return driver, driver.Options.model_validate(resolved(where, entry.options, profile))
    except ValidationError as error:
        raise explained(where, error, driver.Options, StationInvalid, EXPECTED_OF) from error


def load_driver(where: str, name: str) -> Any:
    """The driver class behind `module:Class`.

    Raises
    ------
    StationInvalid
        If the module or the class does not exist, or is no driver.
    """
    module, _, attribute = name.partition(":")
    try:
        driver = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise StationInvalid(
            where, expected='a driver as "module:Class"', found=f"{name!r} ({error})"
        ) from error
    missing = [constant for constant in ("transport", "twin", "Options") if not hasattr(driver, constant)]
    if missing:
        raise StationInvalid(
            where,
            expected="a driver with transport, twin and Options",
            found=f"{name!r} without {missing[0]}",
        )
    return driver


def ceilings_for(driver: Any, entry: RoleEntry) -> dict[str, float]:
    """The ceilings of a role that its driver wants to know; infinite where the file states none."""
    wanted = inspect.signature(driver).parameters
    found = {key: getattr(entry, key) for key in _HANDED_OVER if key in wanted}
    return {
        key: (float("-inf") if key.startswith("min") else float("inf")) if value is None else value
        for key, value in found.items()
    }
