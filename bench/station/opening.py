"""Opening one role: its wire, with a real instrument or a stand-in at the end, and its driver."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, cast

from bench.clock import Clock
from bench.dut import Dut, open_dut
from bench.errors import StationInvalid
from bench.pack_model import PackModel
from bench.rack import Rack
from bench.station.drivers import ROLE_KINDS, ceilings_for, checked_driver, kind_of
from bench.station_file import StationFile
from bench.wires.can import CanHub, open_can
from bench.wires.modbus import open_modbus
from bench.wires.modbus_server import Framing
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.twin import face_of
from bench.wires.visa import open_visa
from dut_profiles.profile import Profile
from instruments import roles


class Opener:
    """Opens roles of one station, each on a wire of its own.

    Parameters
    ----------
    file, profile
        Station and DUT.
    clock
        Of drivers and wires.
    transcript
        Takes what crosses the wires.
    rack
        Where stand-ins in this process are wired; None if the station has none.
    seed
        Of their errors.
    addresses
        Role to address, for stand-ins that a child process serves.
    model
        The pack around a board that has none.
    """

    def __init__(
        self,
        file: StationFile,
        profile: Profile,
        *,
        clock: Clock,
        transcript: Transcript,
        rack: Rack | None = None,
        seed: int = 0,
        addresses: Mapping[str, str] | None = None,
        model: PackModel | None = None,
    ) -> None:
        self.file, self.profile, self.clock, self.transcript = file, profile, clock, transcript
        self.model, self.rack, self.seed, self.addresses = model, rack, seed, dict(addresses or {})

    def address(self, name: str) -> str:
        """Where the wire of a role, or of "dut", leads.

        Raises
        ------
        StationInvalid
            If a child process should serve it, and nobody said where.
        """
        entry = self.file.connected()[name]
        if entry.is_served and name not in self.addresses:
            raise StationInvalid(
                f"{self.file.path}: [{name}] address",
                expected="a running `bmsbench sim` that serves it",
                found="none",
            )
        return self.addresses[name] if entry.is_served else entry.address

    def role(self, name: str) -> tuple[Any, roles.Instrument]:
        """The open wire of a role and its driver.

        Raises
        ------
        WireError
            If nobody answers there.
        StationInvalid
            If the driver is not what the role has to be.
        """
        entry = self.file.roles[name]
        driver, options = checked_driver(self.file, name, self.profile)
        face, hub = None, None
        if entry.is_twin and not entry.is_model and self.rack is not None:
            twin = make_twin(self.file, name, self.profile, self.rack, self.clock, self.seed)
            face = face_of(twin, getattr(driver, "face", ""))
            if driver.transport == "can":
                hub = CanHub(self.clock, options.bitrate)
                face.attach(hub)
        wire = self._wire(name, driver, options, face, hub)
        try:
            instrument = driver(
                wire, clock=self.clock, role=name, options=options, **ceilings_for(driver, entry)
            )
            kind = ROLE_KINDS[kind_of(name)]
            if not isinstance(instrument, kind):
                raise StationInvalid(
                    f"{self.file.path}: [roles.{name}] driver",
                    expected=f"a {kind.__name__}, as every {kind_of(name)} is",
                    found=f"{entry.driver}, which is none",
                )
        except BaseException:
            close_wire(wire)
            raise
        return wire, cast("roles.Instrument", instrument)

    def _wire(self, name: str, driver: Any, options: Any, face: Any, hub: CanHub | None) -> Any:
        address = self.address(name)
        common: dict[str, Any] = {"clock": self.clock, "role": name, "transcript": self.transcript}
        baud = getattr(options, "baud", 9600)
        match driver.transport:
            case "visa":
                return open_visa(address, twin=face, **common)
            case "serial":
                return open_serial(address, baud=baud, twin=face, **common)
            case "modbus":
                framing: Framing = getattr(driver, "framing", "rtu")
                return open_modbus(address, baud=baud, framing=framing, twin=face, **common)
            case "can":
                return open_can(address, bitrate=options.bitrate, hub=hub, **common)
            case "model" if self.model is not None:
                entry = self.file.roles[name]
                return self.model.line(f"{self.file.path}: [roles.{name}] address", entry.terminal)
        raise StationInvalid(
            f"{self.file.path}: [roles.{name}] driver",
            expected="a transport visa, serial, modbus or can",
            found=driver.transport,
        )

    def dut(self) -> tuple[Any, Dut]:
        """The open wire of the DUT, and the DUT as its protocol shows it."""
        link = self.profile.communication
        if self.file.dut.is_twin and self.rack is not None:
            wire = self.rack.dut_wire(self.transcript)
        elif link.transport == "can":
            wire = open_can(
                self.address("dut"),
                bitrate=int(link.bitrate),
                clock=self.clock,
                role="dut",
                transcript=self.transcript,
            )
        else:
            wire = open_serial(
                self.address("dut"),
                baud=int(link.bitrate),
                clock=self.clock,
                role="dut",
                transcript=self.transcript,
            )
        return wire, open_dut(self.profile, wire, clock=self.clock)


def make_twin(file: StationFile, name: str, profile: Profile, rack: Rack, clock: Clock, seed: int) -> Any:
    """The stand-in of a role, wired to the terminals of `rack` that its address names.

    Every role gets a seed of its own: equal instruments must not err alike.
    """
    driver, options = checked_driver(file, name, profile)
    where = f"{file.path}: [roles.{name}] address"
    terminal = rack.terminal(where, file.roles[name].terminal)
    own_seed = zlib.crc32(f"{seed} {name}".encode())
    return driver.twin(terminal, clock=clock, options=options, seed=own_seed)


def close_wire(wire: Any) -> None:
    """Let go of a wire. python-can says shutdown."""
    (getattr(wire, "shutdown", None) or wire.close)()
