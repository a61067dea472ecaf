"""A station: instruments and DUT opened in order, closed in reverse, energy off first and read back.

Half-open is closed too. Identity and calibration are looked at before anything is energised. Between a
scenario and each driver stands the envelope of the station.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from bench.clock import Clock
from bench.dut import Dut
from bench.emulated_bms.defects import Defect
from bench.envelope import Envelope
from bench.errors import BenchError, NotReady, StationInvalid, UnsafeState, WireError
from bench.pack_model import PackModel
from bench.plant.conditions import Conditions
from bench.rack import ORDER_POLL, PackState, Rack
from bench.record import Record, Trace
from bench.station.drivers import kind_of
from bench.station.fitness import demand_certifiable, identity_doubts, standing_doubts
from bench.station.joined import joined
from bench.station.opening import Opener, close_wire
from bench.station.safe_state import (
    OPENS_WITHIN_S,
    SafeReport,
    SafeStep,
    attempt,
    demand_no_current,
    demand_off,
    order_of,
)
from bench.station_file import RoleEntry, StationFile
from bench.wires.can import Frame, write_blf
from bench.wires.transcript import Transcript
from dut_profiles.profile import Profile
from instruments import roles
from instruments.stacks import Part, StackedCells


class Station:
    """One bench with its DUT, for one test.

    Parameters
    ----------
    file
        The station as read and checked.
    profile
        The DUT.
    seed
        For the emulated parts; a real bench has none.
    pack
        The pack that the scenario wants to find.
    defects
        Seeded into an emulated BMS.
    addresses
        Role (and "dut") to address, for stand-ins that a child process serves.
    certify
        Open only what a certification may rest on. Else what speaks against one is kept in `doubts`.
    rehearse
        The envelope notes what it would refuse and lets it pass; every part is emulated.
    bare
        Open without what drives by itself: the pack model stands still, the DUT is not fed.

    Raises
    ------
    StationInvalid
        If a rehearsal would reach something real, defects are to be seeded into a real DUT, or a driver
        cannot be loaded.
    """

    def __init__(
        self,
        file: StationFile,
        profile: Profile,
        *,
        seed: int | None = None,
        pack: PackState | None = None,
        defects: Sequence[Defect] = (),
        addresses: Mapping[str, str] | None = None,
        certify: bool = False,
        rehearse: bool = False,
        bare: bool = False,
    ) -> None:
        if rehearse:
            check_rehearsal(file)
        self.file, self.profile = file, profile
        self.clock = Clock(virtual=file.clock == "virtual", speed=file.speed)
        self.transcript = Transcript()
        self.instruments: dict[str, roles.Instrument] = {}
        self.identities: dict[str, str] = {}
        #: What speaks against a certification, in words.
        self.doubts: list[str] = []
        self._certify, self._bare = certify, bare
        self.envelope = Envelope(file, clock=self.clock, enforce=not rehearse)
        self.rack: Rack | None = None
        self._seed = file.seed if seed is None else seed
        check_defects(file, defects)
        pack = pack or PackState()
        if any(entry.is_twin and not entry.is_model for entry in file.connected().values()):
            board = file.model is not None
            self.rack = Rack(profile, self.clock, seed=self._seed, pack=pack, defects=defects, board=board)
        #: The pack around a board that has none.
        self.model: PackModel | None = None
        if file.model is not None:
            self.model = PackModel(file.model, profile, self.clock, pack=pack, seed=self._seed)
        self._dut: Dut | None = None
        self._wires: list[tuple[str, Any]] = []
        self._addresses = dict(addresses or {})
        self._stack: StackedCells | None = None
        self._closed = False
        #: What had come in when the wires were let go of: afterwards nobody can be asked.
        self._final_traces: dict[str, Trace] | None = None
        self._final_frames: list[Frame] | None = None
        #: What making safe came to, once closed.
        self.safe_report: SafeReport | None = None
        self.record = Record([self], now_s=lambda: self.clock.now_s)

    def __enter__(self) -> Station:
        try:
            self.open()
        except BaseException as error:
            # Nothing was energised yet: what stopped the opening is the news, not what could not be closed.
            try:
                self.close()
            except UnsafeState as unsafe:
                error.add_note(str(unsafe))
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dut(self) -> Dut:
        """The DUT, once open."""
        if self._dut is None:
            raise NotReady(f"station {self.file.name}: the DUT is not open")
        return self._dut

    def role(self, name: str) -> Any:
        """The driver of a role.

        Raises
        ------
        NotReady
            If the station has no such role.
        """
        if name not in self.by_role:
            raise NotReady(
                f"station {self.file.name} ({self.file.path}): expected [roles.{name}] with a driver, "
                f"found roles {', '.join(self.file.roles)}."
            )
        held = self.model.role(name) if self.model is not None else None
        return self.by_role[name] if held is None else held

    @property
    def by_role(self) -> Mapping[str, roles.Instrument]:
        """Every role and who fills it; several cell emulators together fill `cells`."""
        return self.instruments if self._stack is None else {**self.instruments, "cells": self._stack}

    def _apart(self) -> list[roles.Instrument]:
        """Everybody who measures or acts for himself: a stack of cell emulators in the place of its parts."""
        parts = () if self._stack is None else tuple(self._stack.parts)
        return [driver for name, driver in self.by_role.items() if name not in parts]

    @property
    def conditions(self) -> Conditions | None:
        """What can be set inside the cells, past any instrument; None where the cells are real."""
        holder = self.model or self.rack
        return None if holder is None else holder.conditions

    def fault_box(self, fault: str) -> roles.FaultBox:
        """The box that holds `fault`. Raises `NotReady` if none does."""
        boxes = [box for box in self._apart() if isinstance(box, roles.FaultBox)]
        for box in boxes:
            if fault in box.faults:
                return box
        known = ", ".join(name for box in boxes for name in box.faults) or "none"
        raise NotReady(f"station {self.file.name}: expected a fault box with {fault!r}, found {known}.")

    def traces(self) -> dict[str, Trace]:
        """What every instrument measured and the DUT reported, by standard name."""
        if self._final_traces is not None:
            return self._final_traces
        found: dict[str, Trace] = {}
        for source in [*self._apart(), self._dut]:
            if source is not None:
                found.update(source.traces())
        return {**found, **joined(found, self.profile)}

    def open(self) -> None:
        """Open, identify and prepare every instrument, then reach the DUT.

        Raises
        ------
        NotReady
            Nobody answers at an address, too few channels for the DUT; for a certification also every doubt
            about identity and calibration, all at once.
        """
        opener = self.identify()
        if self._certify:
            demand_certifiable(self.file, self.doubts)
        self._check_size()
        for instrument in self.instruments.values():
            instrument.prepare()
        for name, entry in self.file.roles.items():
            poll = getattr(self.instruments[name], "poll", None)
            if poll is not None and entry.poll_s is not None:
                run = partial(self._poll, poll)
                self.clock.every(entry.poll_s, run, name=f"poll {name}", order=ORDER_POLL)
        self.envelope.watch()
        if self.model is not None and not self._bare:
            self.model.connect(self.by_role)
            self.model.start()
        if not self._bare:
            self.feed_dut()
        wire, self._dut = opener.dut()
        self._wires.append(("dut", wire))

    def _poll(self, poll: Callable[[], object]) -> None:
        """Let an instrument measure. While the bench is made safe, its trouble must not stop the others."""
        try:
            poll()
        except BenchError:
            if not self._closed:
                raise

    def feed_dut(self) -> None:
        """Give the DUT its own supply, if the station says that this is the bench's to do."""
        dut = self.file.dut
        if dut.supply_v is not None and dut.supply_a is not None:
            self.instruments["auxiliary"].source(  # type: ignore[attr-defined]  # the file was checked
                voltage_v=dut.supply_v, current_a=dut.supply_a
            )
            self.record.note("power", "DUT fed by the bench", on=True)

    def identify(self) -> Opener:
        """Open every instrument and ask it who it is; nothing is prepared. What is doubtful goes to `doubts`.

        Raises
        ------
        NotReady
            Nobody answers at an address. For a certification, that is one doubt among others.
        """
        opener = Opener(
            self.file,
            self.profile,
            clock=self.clock,
            transcript=self.transcript,
            rack=self.rack,
            seed=self._seed,
            addresses=self._addresses,
            model=self.model,
        )
        self.doubts = standing_doubts(self.file, self.clock.utc.date())
        for name, entry in self.file.roles.items():
            try:
                wire, driver = opener.role(name)
                self._wires.append((name, wire))
                self.instruments[name] = self.envelope.around(name, driver)
                self._check_identity(name, entry)
            except WireError as error:
                if not self._certify:
                    raise NotReady(
                        f"station {self.file.name} ({self.file.path}): {error} Nothing was energised."
                    ) from error
                self.doubts.append(f"[roles.{name}] at {entry.address}: {error}")
        parts = {name: driver for name, driver in self.instruments.items() if kind_of(name) == "cells"}
        if len(parts) > 1 and len(parts) == sum(kind_of(name) == "cells" for name in self.file.roles):
            self._stack = StackedCells(cast("dict[str, Part]", parts), clock=self.clock, role="cells")
        return opener

    def close(self) -> None:
        """Take energy away, read back that it is gone, let go of the wires. One failure never stops the rest.

        A second call does nothing: then the wires are in other hands.

        Raises
        ------
        UnsafeState
            If an instrument could not be switched off, is not read back as off, or current still flows.
        """
        if self._closed:
            return
        self._closed = True
        if not self.clock.virtual:
            self._note_lateness()
        # What follows is the bench's doing: who judges the traces later must stop here.
        self.record.note("end", "bench switches off")
        if self.model is not None:
            self.model.stop()
            self.record.note("model", self.model.account())
        self.safe_report = report = self.make_safe("the scenario ended")
        attempt(self._keep_what_came)
        for _, wire in self._wires:
            # Whether it succeeds makes no difference to safety.
            attempt(partial(close_wire, wire))
        if report.complaints:
            raise UnsafeState(
                f"station {self.file.name} at {self.clock.now_s:.3f} s: " + "; ".join(report.complaints)
            )

    def abandon(self) -> None:
        """Let go of the wires and leave everything as it is, as a run that dies does.

        For a drill: whoever calls this has somebody else make the bench safe.
        """
        self._closed = True
        for _, wire in self._wires:
            attempt(partial(close_wire, wire))

    def _note_lateness(self) -> None:
        """How punctual this host was: stamps of its own are no better than that."""
        late = self.clock.lateness_s()
        self.record.note(
            "clock",
            f"{late.jobs} jobs ran {late.median_s * 1e3:.2f} ms late (median), {late.p999_s * 1e3:.1f} ms "
            f"(99.9 %), {late.largest_s * 1e3:.1f} ms at most",
            p999_s=late.p999_s,
            largest_s=late.largest_s,
        )

    def _keep_what_came(self) -> None:
        self._final_traces, self._final_frames = self.traces(), self._frames()

    def _frames(self) -> list[Frame]:
        if self._final_frames is not None:
            return self._final_frames
        return self._dut.frames() if self._dut is not None else []

    def make_safe(self, cause: str) -> SafeReport:
        """Take energy away and read back that it is gone; the wires stay open. It never raises."""
        self.envelope.unwatch()
        clock, entry = self.clock, self.file.safe_state
        report, began_s = SafeReport(cause), clock.now_s

        def step(role: str, action: str, run: Callable[[], object]) -> None:
            complaint = attempt(run)
            report.steps.append(SafeStep(role, action, clock.now_s - began_s, complaint))

        names = order_of(self.instruments, entry)
        for name in names:
            step(name, "off", self.instruments[name].off)
        if self._dut is not None:
            step("dut", "standby", partial(self._dut.request, "standby"))
            step("dut", "time to open", partial(clock.sleep, OPENS_WITHIN_S))
            step("dut", "stop", self._dut.stop)
        for name in names:
            step(name, "read back", partial(demand_off, name, self.instruments[name]))
        if (meter := self._measuring("current_a")) is not None and not report.complaints:
            step("pack", "current", partial(demand_no_current, meter, clock, entry))
        report.took_s = clock.now_s - began_s
        return report

    def _measuring(self, trace: str) -> roles.Instrument | None:
        """An instrument that measures `trace`; None if none does."""
        return next((found for found in self._apart() if trace in found.traces()), None)

    def _check_size(self) -> None:
        """As many channels as the DUT has cells, as many thermistors as it has sensors."""
        pack = self.profile.pack
        sizes = (("cells", "cells", pack.cells), ("thermistors", "sensors", pack.sensors))
        for kind, attribute, needed in sizes:
            found = getattr(self.by_role.get(kind), attribute, needed)
            if found != needed:
                raise NotReady(
                    f"{self.file.path}: [roles.{kind}.options] {attribute}: expected {needed}, as "
                    f"{self.profile.identity.model} has, found {found}. Nothing was energised."
                )

    def _check_identity(self, name: str, entry: RoleEntry) -> None:
        identity = self.identities[name] = self.instruments[name].identity()
        self.doubts += identity_doubts(name, entry, identity)

    def can_log(self) -> bytes | None:
        """The DUT's bus as BLF; None if it is not on CAN."""
        frames = self._frames()
        if not frames:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return write_blf(Path(folder) / "dut.blf", frames, self.clock.epoch).read_bytes()


def check_defects(file: StationFile, defects: Sequence[Defect]) -> None:
    """Refuse to seed a defect into a real DUT. Raises `StationInvalid`."""
    if defects and not file.dut.is_emulated:
        raise StationInvalid(
            f"{file.path}: [dut] address",
            expected=f"an emulated BMS, for the defect {defects[0].name} goes into one",
            found=repr(file.dut.address),
        )


def check_rehearsal(file: StationFile) -> None:
    """Refuse to rehearse on anything but stand-ins in this process. Raises `StationInvalid`."""
    if real := [name for name, entry in file.connected().items() if not entry.is_twin]:
        raise StationInvalid(
            f"{file.path}: [{real[0]}] address",
            expected="twin://<terminal>, for a rehearsal",
            found=repr(file.connected()[real[0]].address),
        )
