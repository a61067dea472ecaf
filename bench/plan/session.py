"""Planning inside a pytest session: whether a plan is wanted, and what each scenario asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bench.errors import InvalidInput
from bench.plan.cache import RehearsalCache, source_of
from bench.plan.demand import Demand
from bench.plan.rehearsal import Scene, rehearse
from bench.station_file import StationFile, find_station, load_station
from dut_profiles.profile import find_profile

#: What --bench-plan may say.
CHOICES = ("", "on", "only", "off")

#: Options of the plugin that change what a scenario asks for; the others do not reach a rehearsal.
DECIDING = ("station", "dut", "seed", "defect", "defects-from", "requirements")


def wanted(choice: str, file: StationFile) -> str:
    """What to do about a plan: "on", "only", "off", or "" because nothing real is asked for anything.

    Raises
    ------
    InvalidInput
        If the option says something else.
    """
    if choice not in CHOICES:
        raise InvalidInput(
            "--bench-plan", expected="nothing after it, =on, =only or =off", found=repr(choice)
        )
    if choice:
        return choice
    return "on" if any(not entry.is_emulated for entry in file.connected().values()) else ""


def longest(text: str) -> float:
    """Seconds after --bench-longest. Raises `InvalidInput` if it is no positive number."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not found > 0.0:
        raise InvalidInput("--bench-longest", expected="a positive number of seconds", found=repr(text))
    return found


def demands_of(
    scenes: Sequence[Scene],
    options: Mapping[str, str],
    *,
    config: pytest.Config,
    results: Path,
    tell: Callable[[str], object],
) -> list[Demand]:
    """What each scenario asks for: from the cache, or rehearsed now.

    Parameters
    ----------
    scenes
        The scenarios.
    options
        Values of the plugin's options by name, without `bench-`.
    config
        Of the session.
    results
        Folder in which rehearsals are remembered.
    tell
        Says what is going on.

    Raises
    ------
    NotReady
        If a rehearsal could not be made.
    """
    cache = RehearsalCache(results, _circumstances(options))
    known = {path: cache.known(path) for path in {scene.path for scene in scenes}}
    new = [scene for scene in scenes if scene.nodeid not in known[scene.path]]
    if new:
        tell(f"bmsbench: rehearsing {len(new)} of {len(scenes)} scenarios on stand-ins, in virtual time")
        given = {name: options[name] for name in DECIDING if options[name]}
        found = rehearse(new, given, pytest_options=_of_pytest(config), folder=config.invocation_params.dir)
        for path in {scene.path for scene in new}:
            ids = {scene.nodeid for scene in new if scene.path == path}
            cache.keep(path, [demand for demand in found if demand.nodeid in ids])
            known[path] |= {demand.nodeid: demand for demand in found}
    return [known[scene.path][scene.nodeid] for scene in scenes]


def _circumstances(options: Mapping[str, str]) -> list[Path | str]:
    file = load_station(options["station"])
    found: list[Path | str] = [find_station(options["station"]), find_profile(options["dut"])]
    found += [f"{name}={options[name]}" for name in ("seed", "defect")]
    if options["defects-from"]:
        found.append(Path(options["defects-from"]))
    for entry in file.roles.values():
        if (source := source_of(entry.driver.partition(":")[0])) is not None:
            found.append(source)
    return found


def _of_pytest(config: pytest.Config) -> list[str]:
    """How the session found its configuration, for another one that shall find the same."""
    found = [f"--rootdir={config.rootpath}", f"--import-mode={config.getoption('importmode')}"]
    if config.inipath is not None:
        found += ["-c", os.fspath(config.inipath)]
    if config.pluginmanager.hasplugin("xdist"):
        found += ["-n", "0"]
    return found
