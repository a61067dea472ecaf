"""The pack model of a board station: steps on the clock, follows contactors, drives instruments."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bench.clock import Clock, Job
from bench.errors import NotReady, StationInvalid
from bench.pack_model.held import HeldCells, HeldThermistors
from bench.pack_model.power import ModelLine
from bench.plant.conditions import Conditions
from bench.plant.layout import SWITCHES
from bench.plant.plant import Plant
from bench.rack import PackState, plant_spec
from bench.station_file import MODEL_TERMINALS, ModelEntry
from dut_profiles.profile import Profile

#: After twins and broadcasts of the same instant, before polls.
ORDER_MODEL = 40
#: How long the first reading of the contactors may take [s]; project default.
CONTACTS_S = 2.0
#: What is read has moved already: a contact of the model follows without a delay of its own [s].
AT_ONCE_S = 1e-4
#: Smallest change of the current that is worth a message [A]; project default.
CLOSEST_A = 0.02
#: A step of the current that cells answer at once [A]; project default.
STEP_A = 5.0


class PackModel:
    """The pack around a BMS board, computed by the bench.

    Instruments read the relays that stand in for the board's contactors; the model's contactors follow at
    once. It knows nothing else of the board.

    Parameters
    ----------
    entry
        The `[model]` table.
    profile
        What pack the board is made for.
    clock
        Bench time.
    pack
        The pack that a scenario wants to find.
    seed
        Of the spread of its cells; not that of an emulated board.

    Attributes
    ----------
    plant
        The pack.
    latest_s
        Worst delay of a step on a wall clock [s].
    """

    def __init__(
        self, entry: ModelEntry, profile: Profile, clock: Clock, *, pack: PackState, seed: int
    ) -> None:
        self.entry, self._profile, self._clock = entry, profile, clock
        self._seed = zlib.crc32(f"{seed} pack model".encode())
        spec = plant_spec(profile, pack, self._seed)
        self.plant = Plant(replace(spec, contactor_closing_s=AT_ONCE_S, contactor_opening_s=AT_ONCE_S))
        self.latest_s = 0.0
        self.steps = 0
        self.cells: HeldCells | None = None
        self.thermistors: HeldThermistors | None = None
        self._shunt: Any = None
        self._shown_a = math.nan
        self._contacts: Any = None
        self._started_s = math.nan
        self._followed: list[tuple[int, str]] = []
        self._jobs: list[Job] = []

    @property
    def conditions(self) -> Conditions:
        """What can be wrong inside the model's cells."""
        return self.plant.conditions

    @property
    def overruns(self) -> int:
        """Steps that were left out because the one before had not ended."""
        return self._jobs[0].overruns if self._jobs else 0

    def line(self, where: str, name: str) -> ModelLine[Any]:
        """What stands in the place of a wire for `model://<name>`; `where` says who asks.

        Raises
        ------
        StationInvalid
            If the model has no such terminal.
        """
        if name not in MODEL_TERMINALS:
            expected = f"model:// and one of {', '.join(MODEL_TERMINALS)}"
            raise StationInvalid(where, expected=expected, found=f"'model://{name}'")
        return ModelLine(self.plant.terminal(name), self.identity())

    def identity(self) -> str:
        """What the model is."""
        pack = self._profile.pack
        return f"pack model {pack.cells}S {pack.cell}, {pack.capacity_ah:g} Ah, seed {self._seed}"

    def connect(self, instruments: Mapping[str, Any]) -> None:
        """Take the instruments that show the model to the board, and the one that reads its contactors."""
        self.cells = HeldCells(instruments["cells"])
        self.thermistors = (
            HeldThermistors(instruments["thermistors"]) if "thermistors" in instruments else None
        )
        self._shunt, self._contacts = instruments["shunt"], instruments[self.entry.contactors]
        self._followed = [(k, f"switch.{name}") for k, name in enumerate(SWITCHES) if name != "pyro"]

    def start(self) -> None:
        """Show the model as it is, then step it from now on.

        Raises
        ------
        NotReady
            If nobody reads one of the board's contactors.
        """
        entry, clock = self.entry, self._clock
        clock.until(self._contacts_are_read, timeout_s=CONTACTS_S)
        self._check_contacts()
        self._started_s = clock.now_s - self.plant.time_s
        self._show_current()
        self._show_cells()
        self._show_temperatures()
        periods = (
            (entry.step_s, self._step, "pack model"),
            (entry.cells_s, self._show_cells, "pack model: cells"),
            (entry.temperatures_s, self._show_temperatures, "pack model: temperatures"),
        )
        self._jobs = [
            clock.every(period_s, run, name=name, order=ORDER_MODEL + k)
            for k, (period_s, run, name) in enumerate(periods)
        ]

    def stop(self) -> None:
        """Step and drive no more; what instruments hold, they hold."""
        for job in self._jobs:
            job.cancel()

    def role(self, name: str) -> Any:
        """What a scenario holds in the place of the role `name`; None if that is the driver itself."""
        return {"cells": self.cells, "thermistors": self.thermistors}.get(name)

    def account(self) -> str:
        """How punctual the model was, in words."""
        return (
            f"pack model: {self.steps} steps of {self.entry.step_s * 1e3:g} ms, {self.overruns} left out, at "
            f"most {self.latest_s * 1e3:.1f} ms late"
        )

    def _step(self) -> None:
        job, clock = self._jobs[0], self._clock
        self.latest_s = max(self.latest_s, (clock.now_ns - job.due_ns + job.period_ns) * 1e-9)
        # A step that comes late is as long as it is late: the model keeps bench time.
        elapsed_s = clock.now_s - self._started_s - self.plant.time_s
        coil = self.plant.port.coil
        for k, name in self._followed:
            coil[k] = self._is_closed(name)
        if elapsed_s > 0.0:
            self.plant.step(elapsed_s)
        self.steps += 1
        self._show_current()

    def _contacts_are_read(self) -> bool:
        return not any(math.isnan(self._read(name)) for _, name in self._followed)

    def _check_contacts(self) -> None:
        if missing := [name for _, name in self._followed if math.isnan(self._read(name))]:
            raise NotReady(
                f"[model] contactors: expected [roles.{self.entry.contactors}] to read {', '.join(missing)} "
                f"within {CONTACTS_S:g} s, found nothing. Nothing was energised."
            )

    def _read(self, name: str) -> float:
        """State of a contact as an instrument read it last; nan if it never did."""
        newest = getattr(self._contacts, "newest", None)
        if newest is not None:
            try:
                return float(newest(name))
            except KeyError:
                return math.nan
        trace = self._contacts.traces().get(name)
        return math.nan if trace is None or not len(trace) else float(trace.last)

    def _is_closed(self, name: str) -> bool:
        return self._read(name) >= 0.5

    def _show_current(self) -> None:
        current_a = self.plant.terminal("meter").current_a
        if not abs(current_a - self._shown_a) < CLOSEST_A:
            most_a = float(self._shunt.range_a)
            self._shunt.set(current_a=min(max(current_a, -most_a), most_a))
            stepped, self._shown_a = abs(current_a - self._shown_a) > STEP_A, current_a
            if stepped:
                # A board compares how cells answer a current: they must not answer late.
                self._show_cells()

    def _show_cells(self) -> None:
        if self.cells is not None:
            self.cells.follow(np.asarray(self.plant.truth.cell_v))

    def _show_temperatures(self) -> None:
        if self.thermistors is not None:
            self.thermistors.follow(np.asarray(self.plant.truth.sensor_degc))
