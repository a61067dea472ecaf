"""Rehearsing: the selected scenarios on stand-ins of their station, in virtual time, in another process.

Another process, because a suite may keep what it imported and opened, and because the station that is meant
must not be within reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.errors import NotReady
from bench.evidence.json_file import to_json
from bench.plan.demand import (
    Demand,
    Figure,
    commanded_figures,
    power_figures,
    temperature_figures,
)
from bench.plan.observer import Observer
from bench.rack import PackState
from bench.run import Campaign, Outcome
from bench.station import Station
from bench.station.drivers import kind_of
from bench.station_file import StationFile
from bench.verdict import Verdict

#: Kind of role to the place of the emulated rack where its stand-in is wired.
TERMINALS = {
    "charger": "charger",
    "regen": "regen",
    "load": "load",
    "cells": "cells+meter",
    "thermistors": "thermistors",
    "shunt": "shunt",
    "faults": "faults",
    "meter": "meter",
    "voltmeter": "cells+meter+thermocouples+auxiliary",
    "scanner": "cells+meter+thermocouples+auxiliary",
    "chamber": "chamber",
    "auxiliary": "auxiliary",
}

_DEMAND = TypeAdapter(Demand)


@dataclass(frozen=True, slots=True)
class Scene:
    """A scenario to rehearse: its test id, its scenario id, and how pytest is told to run it."""

    nodeid: str
    id: str
    path: Path

    @property
    def argument(self) -> str:
        """What pytest is told, wherever it runs."""
        return f"{self.path}::{self.nodeid.partition('::')[2]}"


def rehearsal_of(file: StationFile) -> StationFile:
    """The same station with a stand-in at every address, in virtual time; a pack model stays what it is."""
    roles = {
        name: entry
        if entry.is_twin
        else entry.model_copy(
            update={"address": f"twin://{entry.terminal if entry.is_served else TERMINALS[kind_of(name)]}"}
        )
        for name, entry in file.roles.items()
    }
    dut = file.dut.model_copy(update={"address": "twin://dut"})
    return file.model_copy(update={"clock": "virtual", "speed": 1.0, "roles": roles, "dut": dut})


class Rehearsal(Campaign):
    """A campaign that opens stand-ins only, and writes down what each scenario asked of them."""

    def __init__(self, out: Path, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.file = rehearsal_of(self.file)
        self._out = out
        self._observer: Observer | None = None

    def station(self, pack: PackState) -> Station:
        station = Station(
            self.file, self.profile, seed=self.seed, pack=pack, defects=self.defects, rehearse=True
        )
        # A board has no power path: what it asks for is what is commanded.
        if station.rack is not None and not any(entry.is_model for entry in self.file.roles.values()):
            self._observer = Observer(station.rack, station.clock, self.file)
        return station

    def demand_certifiable(self) -> None:
        """A rehearsal certifies nothing, whatever the run that it is for."""

    def finish(self, outcome: Outcome) -> str:
        demand = self._demand(outcome)
        self._observer = None
        with self._out.open("ab") as file:
            file.write(to_json(demand).replace(b"\n", b" ") + b"\n")
        return f"{demand.id}: {demand.duration_s:.1f} s {demand.remark}"

    def seal(self) -> Path | None:
        return None

    def _demand(self, outcome: Outcome) -> Demand:
        station, observer = outcome.station, self._observer
        figures: list[Figure] = []
        if station is not None:
            traces = station.traces()
            figures = [*(observer.figures() if observer else ()), *commanded_figures(station.envelope)]
            for role in self.file.roles:
                if kind_of(role) == "cells":
                    figures += power_figures(role, traces)
                if kind_of(role) not in ("thermistors", "chamber"):
                    figures += temperature_figures(role, traces)
        return Demand(
            nodeid=outcome.nodeid,
            id=outcome.id,
            duration_s=station.clock.now_s if station is not None else 0.0,
            figures=tuple(figures),
            objections=tuple(station.envelope.objections) if station is not None else (),
            remark=_remark(outcome),
            applies=outcome.verdict is not Verdict.SKIPPED,
        )


def _remark(outcome: Outcome) -> str:
    """Why the rehearsal says less than the scenario may ask."""
    match outcome.verdict:
        case Verdict.PASS:
            return ""
        case Verdict.SKIPPED:
            return outcome.message
    first = outcome.message.split("\n", 1)[0]
    if outcome.station is None:
        return f"not rehearsed, {outcome.verdict}: {first}"
    return f"rehearsed up to {outcome.station.clock.now_s:.1f} s only, {outcome.verdict}: {first}"


def rehearse(
    scenes: Sequence[Scene], options: dict[str, str], *, pytest_options: Sequence[str], folder: Path
) -> list[Demand]:
    """Rehearse scenarios in other processes; their demands, in the same order.

    Parameters
    ----------
    scenes
        What to rehearse.
    options
        Options of the plugin by name: station, dut, seed, ...
    pytest_options
        How pytest finds its configuration.
    folder
        To work in: that of the run.

    Raises
    ------
    NotReady
        If a process ended without having said something of each scenario.
    """
    processes = max(1, min(os.cpu_count() or 1, 4, len(scenes) // 4))
    with tempfile.TemporaryDirectory() as work:
        running = [
            _Part(list(scenes[k::processes]), Path(work) / str(k), options, pytest_options, folder)
            for k in range(processes)
        ]
        try:
            found = {demand.nodeid: demand for part in running for demand in part.demands()}
        finally:
            for part in running:
                part.process.kill()
                part.process.wait()
    return [found[scene.nodeid] for scene in scenes]


class _Part:
    """One process that rehearses some of the scenarios."""

    def __init__(
        self,
        scenes: Sequence[Scene],
        work: Path,
        options: dict[str, str],
        pytest_options: Sequence[str],
        folder: Path,
    ) -> None:
        work.mkdir()
        self._scenes, self._out, self._said = scenes, work / "demands.jsonl", work / "output.txt"
        arguments = work / "arguments.txt"
        arguments.write_text("\n".join(scene.argument for scene in scenes), encoding="utf-8")
        given = {**options, "results": str(work / "results"), "rehearse": str(self._out)}
        command = [
            *(sys.executable, "-m", "pytest", f"@{arguments}", "-q", "-p", "no:cacheprovider"),
            *pytest_options,
            *(f"--bench-{name}={value}" for name, value in given.items()),
        ]
        # What this process can import, that one can.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(  # noqa: S603  (this interpreter, our own arguments)
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def demands(self) -> list[Demand]:
        """Wait for the process and read what it wrote."""
        self.process.wait()
        lines = self._out.read_bytes().splitlines() if self._out.exists() else []
        found = [_DEMAND.validate_json(line) for line in lines]
        missing = {scene.nodeid for scene in self._scenes} - {demand.nodeid for demand in found}
        if missing:
            said = self._said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
            raise NotReady(
                f"plan: expected a rehearsal of {len(self._scenes)} scenarios, found none of "
                f"{sorted(missing)[0]}. The process said: " + " | ".join(said)
            )
        return found
