"""A station: instruments and DUT opened in order, closed in reverse, energy off first and read back.

Half-open is closed too. Identity and calibration are checked before anything is energised.
"""

from __future__ import annotations

import importlib
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from bench.clock import Clock
from bench.dut import Dut, open_dut
from bench.emulated_bms.defects import Defect
from bench.errors import NotReady, StationInvalid, UnsafeState, WireError
from bench.rack import ORDER_POLL, PackState, Rack
from bench.record import Record, Trace
from bench.station_file import EXPECTED_OF, DutEntry, RoleEntry, StationFile
from bench.station_values import resolved
from bench.toml_file import explained
from bench.wires.can import CanHub, open_can, write_blf
from bench.wires.modbus import open_modbus
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.visa import open_visa
from dut_profiles.profile import Profile
from instruments import roles

#: What a role has to be. Several fault boxes may share the work: `faults`, `faults_power`, ...
ROLE_KINDS: dict[str, type] = {
    "charger": roles.Supply,
    "regen": roles.Supply,
    "load": roles.Load,
    "cells": roles.CellEmulator,
    "thermistors": roles.Thermistors,
    "faults": roles.FaultBox,
    "meter": roles.Meter,
    "voltmeter": roles.Voltmeter,
    "scanner": roles.Scanner,
    "chamber": roles.Chamber,
    "auxiliary": roles.Supply,
}

#: Energy first: sources, then loads, then what could still feed the DUT. Its own supply is the last, so that
#: it sees and logs how it was switched off.
CLOSING_ORDER = (
    *("charger", "regen", "load", "faults", "cells", "thermistors"),
    *("chamber", "meter", "voltmeter", "scanner", "auxiliary"),
)

#: What a DUT that was asked for standby has before the host falls silent [s]; project default.
OPENS_WITHIN_S = 0.5

#: After everything is off, the pack current must have died away [A], within [s].
REST_CURRENT_A, REST_WITHIN_S = 2.0, 2.0


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

    Raises
    ------
    StationInvalid
        If defects are to be seeded into a real DUT, or a driver cannot be loaded.
    """

    def __init__(
        self,
        file: StationFile,
        profile: Profile,
        *,
        seed: int | None = None,
        pack: PackState | None = None,
        defects: Sequence[Defect] = (),
    ) -> None:
        self.file, self.profile = file, profile
        self.clock = Clock(virtual=file.clock == "virtual")
        self.transcript = Transcript()
        self.instruments: dict[str, roles.Instrument] = {}
        self.identities: dict[str, str] = {}
        self.rack: Rack | None = None
        self._seed = file.seed if seed is None else seed
        check_defects(file, defects)
        if any(entry.is_twin for entry in file.connected().values()):
            self.rack = Rack(profile, self.clock, seed=self._seed, pack=pack or PackState(), defects=defects)
        self._dut: Dut | None = None
        self._wires: list[tuple[str, Any]] = []
        self._closed = False
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
        if name not in self.instruments:
            raise NotReady(
                f"station {self.file.name} ({self.file.path}): expected [roles.{name}] with a driver, "
                f"found roles {', '.join(self.file.roles)}."
            )
        return self.instruments[name]

    def fault_box(self, fault: str) -> roles.FaultBox:
        """The box that holds `fault`. Raises `NotReady` if none does."""
        boxes = [box for box in self.instruments.values() if isinstance(box, roles.FaultBox)]
        for box in boxes:
            if fault in box.faults:
                return box
        known = ", ".join(name for box in boxes for name in box.faults) or "none"
        raise NotReady(f"station {self.file.name}: expected a fault box with {fault!r}, found {known}.")

    def traces(self) -> dict[str, Trace]:
        """What every instrument measured and the DUT reported, by standard name."""
        found: dict[str, Trace] = {}
        for source in [*self.instruments.values(), self._dut]:
            if source is not None:
                found.update(source.traces())
        return found

    def open(self) -> None:
        """Open, identify and prepare every instrument, then reach the DUT.

        Raises
        ------
        NotReady
            Nobody answers at an address, wrong identity, calibration overdue, too few channels for the DUT.
        """
        for name, entry in self.file.roles.items():
            self._check_calibration(name, entry)
        try:
            for name, entry in self.file.roles.items():
                self.instruments[name] = self._open_role(name, entry)
                self._check_identity(name, entry)
        except WireError as error:
            raise NotReady(
                f"station {self.file.name} ({self.file.path}): {error} Nothing was energised."
            ) from error
        self._check_size()
        for instrument in self.instruments.values():
            instrument.prepare()
        for name, entry in self.file.roles.items():
            poll = getattr(self.instruments[name], "poll", None)
            if poll is not None and entry.poll_s is not None:
                self.clock.every(entry.poll_s, poll, name=f"poll {name}", order=ORDER_POLL)
        self._dut = self._open_dut(self.file.dut)

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
        # What follows is the bench's doing: who judges the traces later must stop here.
        self.record.note("end", "bench switches off")
        complaints: list[str] = []
        names = sorted(self.instruments, key=lambda name: CLOSING_ORDER.index(_kind_name(name)))
        for name in names:
            complaints += _try(f"{name}: off", self.instruments[name].off)
        if self._dut is not None:
            complaints += _try("dut: standby", lambda: self.dut.request("standby"))
            complaints += _try("dut: time to open", lambda: self.clock.sleep(OPENS_WITHIN_S))
            complaints += _try("dut: stop", self._dut.stop)
        for name in names:
            complaints += _try(
                f"{name}: read back", lambda name=name: _demand_off(name, self.instruments[name])
            )
        if "cells" in self.instruments and not complaints:
            complaints += _try("pack current", self._demand_no_current)
        for _, wire in self._wires:
            # python-can says shutdown. Whether it succeeds makes no difference to safety.
            _try("", getattr(wire, "shutdown", None) or wire.close)
        if complaints:
            raise UnsafeState(
                f"station {self.file.name} at {self.clock.now_s:.3f} s: " + "; ".join(complaints)
            )

    def _demand_no_current(self) -> None:
        """Another instrument than the sources must see that no current flows."""

        def dead() -> bool:
            traces = self.instruments["cells"].traces()
            return "current_a" not in traces or abs(float(traces["current_a"].last)) < REST_CURRENT_A

        if not self.clock.until(dead, timeout_s=REST_WITHIN_S, step_s=0.05):
            raise UnsafeState(
                f"expected less than {REST_CURRENT_A} A, still {self.record.current_a.last:.1f} A"
            )

    def _check_size(self) -> None:
        """As many channels as the DUT has cells, as many thermistors as it has sensors."""
        pack = self.profile.pack
        sizes = (("cells", "cells", pack.cells), ("thermistors", "sensors", pack.sensors))
        for kind, attribute, needed in sizes:
            found = getattr(self.instruments.get(kind), attribute, needed)
            if found != needed:
                raise NotReady(
                    f"{self.file.path}: [roles.{kind}.options] {attribute}: expected {needed}, as "
                    f"{self.profile.identity.model} has, found {found}. Nothing was energised."
                )

    def _check_calibration(self, name: str, entry: RoleEntry) -> None:
        if entry.calibration and entry.calibration.due < self.clock.utc.date():
            raise NotReady(
                f"[roles.{name}] calibration: expected a date not before {self.clock.utc.date()}, "
                f"found {entry.calibration.due} (certificate {entry.calibration.certificate})."
            )

    def _check_identity(self, name: str, entry: RoleEntry) -> None:
        identity = self.identities[name] = self.instruments[name].identity()
        if entry.serial and entry.serial not in identity:
            raise NotReady(
                f"[roles.{name}] at {entry.address}: expected serial {entry.serial!r}, "
                f"found identity {identity!r}. Nothing was energised."
            )

    def _open_role(self, name: str, entry: RoleEntry) -> roles.Instrument:
        driver, options = checked_driver(self.file, name, self.profile)
        twin = None
        if entry.is_twin and self.rack is not None:
            where = f"{self.file.path}: [roles.{name}] address"
            terminal = self.rack.terminal(where, entry.address.removeprefix("twin://"))
            twin = driver.twin(terminal, clock=self.clock, options=options, seed=self._seed_of(name))
        wire = self._open_wire(name, entry, driver.transport, twin, options)
        self._wires.append((name, wire))
        instrument = driver(
            wire, clock=self.clock, role=name, max_v=entry.max_v, max_a=entry.max_a, options=options
        )
        kind = ROLE_KINDS[_kind_name(name)]
        if not isinstance(instrument, kind):
            raise StationInvalid(
                f"{self.file.path}: [roles.{name}] driver",
                expected=f"a {kind.__name__}, as every {_kind_name(name)} is",
                found=f"{entry.driver}, which is none",
            )
        return cast("roles.Instrument", instrument)

    def _open_wire(self, name: str, entry: RoleEntry, transport: str, twin: Any, options: Any) -> Any:
        common: dict[str, Any] = {
            "clock": self.clock,
            "role": name,
            "transcript": self.transcript,
            "twin": twin,
        }
        match transport:
            case "visa":
                return open_visa(entry.address, **common)
            case "serial":
                return open_serial(entry.address, baud=options.baud, **common)
            case "modbus":
                return open_modbus(entry.address, baud=options.baud, **common)
            case "can":
                return self._open_can(name, entry, twin, options.bitrate)
        raise StationInvalid(
            f"{self.file.path}: [roles.{name}] driver",
            expected="a transport visa, serial, modbus or can",
            found=transport,
        )

    def _open_can(self, name: str, entry: RoleEntry, twin: Any, bitrate: int) -> Any:
        hub = None
        if twin is not None:
            hub = CanHub(self.clock, bitrate)
            twin.attach(hub)
        return open_can(
            entry.address, bitrate=bitrate, clock=self.clock, role=name, transcript=self.transcript, hub=hub
        )

    def _seed_of(self, role: str) -> int:
        """A seed of its own for each twin: equal instruments must not err alike."""
        return zlib.crc32(f"{self._seed} {role}".encode())

    def can_log(self) -> bytes | None:
        """The DUT's bus as BLF; None if it is not on CAN."""
        frames = self._dut.frames() if self._dut is not None else []
        if not frames:
            return None
        with tempfile.TemporaryDirectory() as folder:
            return write_blf(Path(folder) / "dut.blf", frames, self.clock.epoch).read_bytes()

    def _open_dut(self, entry: DutEntry) -> Dut:
        link = self.profile.communication
        if entry.is_twin and self.rack is not None:
            wire = self.rack.dut_wire(self.transcript)
        elif link.transport == "can":
            wire = open_can(
                entry.address,
                bitrate=int(link.bitrate),
                clock=self.clock,
                role="dut",
                transcript=self.transcript,
            )
        else:
            wire = open_serial(
                entry.address,
                baud=int(link.bitrate),
                clock=self.clock,
                role="dut",
                transcript=self.transcript,
            )
        self._wires.append(("dut", wire))
        return open_dut(self.profile, wire, clock=self.clock)


def check_defects(file: StationFile, defects: Sequence[Defect]) -> None:
    """Refuse to seed a defect into a real DUT. Raises `StationInvalid`."""
    if defects and not file.dut.is_twin:
        raise StationInvalid(
            f"{file.path}: [dut] address",
            expected=f"twin://dut, for the defect {defects[0].name} goes into an emulated BMS",
            found=repr(file.dut.address),
        )


def check_drivers(file: StationFile, profile: Profile) -> None:
    """Find every role's driver and check its options, before anything is opened.

    Raises
    ------
    StationInvalid
        A role that no test knows, a driver that cannot be loaded, an option that it does not have.
    """
    for name in file.roles:
        checked_driver(file, name, profile)


def checked_driver(file: StationFile, name: str, profile: Profile) -> tuple[Any, Any]:
    """The driver class of a role, and its options with the values of `profile` put in."""
    entry = file.roles[name]
    if _kind_name(name) not in ROLE_KINDS:
        raise StationInvalid(
            f"{file.path}: [roles.{name}]",
            expected=f"a role {', '.join(ROLE_KINDS)} (or one of these with an ending, as faults_power)",
            found=repr(name),
        )
    driver = load_driver(f"{file.path}: [roles.{name}] driver", entry.driver)
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


def _kind_name(role: str) -> str:
    return next((kind for kind in ROLE_KINDS if role == kind or role.startswith(f"{kind}_")), role)


def _demand_off(name: str, instrument: roles.Instrument) -> None:
    if not instrument.is_off():
        raise UnsafeState(f"{name} says that it is still on")


def _try(what: str, action: Any) -> list[str]:
    """Run one step of making safe; whatever goes wrong in it must not keep the others from running."""
    for _ in range(2):
        try:
            action()
        except KeyboardInterrupt:
            continue  # an impatient second Ctrl-C must not leave the bench on: the step is done again
        except Exception as error:
            return [f"{what}: {type(error).__name__}: {error}"]
        return []
    return [f"{what}: interrupted twice"]
