"""The emulated rack behind doors: one plant, one BMS, a stand-in per role, each at its connectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.doors.door import Door
from bench.doors.hislip import HislipDoor
from bench.doors.line_messages import LineMessages
from bench.doors.modbus_rtu import ModbusRtuDoor, ModbusRtuTcpDoor
from bench.doors.modbus_tcp import ModbusTcpDoor
from bench.doors.portmapper import Portmapper
from bench.doors.slcan import SlcanDoor
from bench.doors.socket_door import SocketDoor
from bench.doors.socketcand import SocketcandDoor
from bench.doors.stream_door import PtyDoor, StreamDoor
from bench.doors.vxi11 import Vxi11Door
from bench.emulated_bms.defects import Defect
from bench.errors import StationInvalid
from bench.rack import PackState, Rack
from bench.station.drivers import checked_driver
from bench.station.opening import make_twin
from bench.station_file import StationFile
from bench.wires.can import CanHub
from bench.wires.twin import face_of
from dut_profiles.profile import Profile

#: Doors that listen on TCP, and the port that real devices have there unless the driver says otherwise.
_TCP: dict[str, tuple[Callable[..., Door], int]] = {
    "socket": (SocketDoor, 5025),
    "hislip": (HislipDoor, 4880),
    "vxi11": (Vxi11Door, 0),
    "tcp": (StreamDoor, 23),
    "modbus": (ModbusTcpDoor, 502),
    "rtutcp": (ModbusRtuTcpDoor, 502),
    "socketcand": (SocketcandDoor, 29536),
}
#: Doors whose port differs from maker to maker: a driver may name it as `port`.
_OF_DRIVER = ("socket", "tcp")
#: Doors that are pseudo terminals.
_PTY = ("pty", "rtu", "slcan")
DOORS = (*_TCP, *_PTY)

#: Which doors suit what a driver speaks.
_SUITS = {
    "visa": ("socket", "hislip", "vxi11", "pty"),
    "serial": ("pty", "tcp"),
    "modbus": ("modbus", "rtu", "rtutcp"),
    "can": ("socketcand", "slcan"),
}
#: Through which door a further connector of a box is served, by the start of its name.
_OF_FACE = {"scpi": "socket", "modbus": "modbus", "can": "socketcand"}


def _plain(twin: Any, face: str, clock: Clock) -> Any:
    """A door that hands messages to a stand-in."""
    return face_of(twin, face)


def _by_line(twin: Any, face: str, clock: Clock) -> Any:
    """SCPI on a serial port, which has no messages of its own."""
    return LineMessages(face_of(twin, face))


def _on_bus(twin: Any, face: str, clock: Clock) -> CanHub:
    """A door of a CAN bus; the DUT brings its own."""
    if isinstance(twin, CanHub):
        return twin
    answers = face_of(twin, face)
    hub = CanHub(clock, getattr(answers, "bitrate", None) or twin.options.bitrate)
    answers.attach(hub)
    return hub


@dataclass(slots=True)
class Served:
    """One connector: of which role, which face of its stand-in, which door, and what is `behind` it."""

    role: str
    face: str
    door: Door
    behind: Callable[[Any, str, Clock], Any] = _plain

    @property
    def address(self) -> str:
        """What a client writes."""
        return f"ASRL{self.door.address}::INSTR" if self.behind is _by_line else self.door.address


class ServedRack:
    """A rack that can be power-cycled into another state while its doors stay where they are.

    Parameters
    ----------
    file, profile
        Station and DUT.
    clock
        A wall clock; its jobs are this rack's.
    folder
        For the links to pseudo terminals.
    host
        Address to listen at.
    real_ports
        Listen where the real devices do, each role on a loopback address of its own (127.0.0.2, ...).
    every_connector
        Also serve the connectors that the station does not use.

    Raises
    ------
    StationInvalid
        If a role has no `sim+<door>://` address, or a door that does not suit its driver.
    """

    def __init__(
        self,
        file: StationFile,
        profile: Profile,
        *,
        clock: Clock,
        folder: Path,
        host: str = "127.0.0.1",
        real_ports: bool = False,
        every_connector: bool = False,
    ) -> None:
        self.file, self.profile, self.clock, self._folder = file, profile, clock, folder
        self._host, self._real_ports, self._every_connector = host, real_ports, every_connector
        self.rack: Rack | None = None
        self.connectors: list[Served] = []

    async def start(self) -> None:
        """Build the rack in its usual state and open every door.

        Raises
        ------
        OSError
            If a port is taken or not permitted.
        """
        twins = self._build(PackState(), self.file.seed, ())
        for number, (name, entry) in enumerate(self.file.roles.items()):
            if entry.is_model:
                continue
            driver, options = checked_driver(self.file, name, self.profile)
            face = getattr(driver, "face", "")
            door = self._door_of(name, driver.transport)
            host = f"127.0.0.{number + 2}" if self._real_ports else self._host
            port = self._port(driver, door)
            baud = getattr(options, "baud", 9600)
            await self._open(
                name, face, door, twins[name], host=host, port=port, baud=baud, transport=driver.transport
            )
            if self._every_connector:
                for other in getattr(twins[name], "faces", {}):
                    natural = _OF_FACE.get(other.partition(":")[0])
                    if other != face and natural:
                        await self._open(
                            name, other, natural, twins[name], host=host, port=0, baud=baud, transport=natural
                        )
        await self._open_dut(twins["dut"])

    def power_cycle(self, pack: PackState, seed: int, defects: Sequence[Defect]) -> None:
        """Begin again with another pack at bench time 0; every client is dropped."""
        twins = self._build(pack, seed, defects)
        for connector in self.connectors:
            connector.door.serve(connector.behind(twins[connector.role], connector.face, self.clock))

    def close(self) -> None:
        """Close every door."""
        for connector in self.connectors:
            connector.door.close()

    def doors_of(self, role: str) -> list[Door]:
        """Every door of a role. Raises `KeyError` if it has none."""
        found = [connector.door for connector in self.connectors if connector.role == role]
        if not found:
            raise KeyError(role)
        return found

    def addresses(self) -> Iterator[tuple[str, str, str]]:
        """Role, connector and address of each door, the one that the station uses first."""
        return ((c.role, c.face, c.address) for c in self.connectors)

    def _build(self, pack: PackState, seed: int, defects: Sequence[Defect]) -> dict[str, Any]:
        board = self.file.model is not None
        self.rack = rack = Rack(self.profile, self.clock, seed=seed, pack=pack, defects=defects, board=board)
        twins = {
            name: make_twin(self.file, name, self.profile, rack, self.clock, seed)
            for name, entry in self.file.roles.items()
            if not entry.is_model
        }
        return {**twins, "dut": rack.dut_partner()}

    def _door_of(self, name: str, transport: str) -> str:
        entry = self.file.connected()[name]
        where = f"{self.file.path}: [{'dut' if name == 'dut' else f'roles.{name}'}] address"
        if not entry.is_served:
            raise StationInvalid(where, expected="sim+<door>://<terminal>", found=repr(entry.address))
        if entry.door not in _SUITS[transport]:
            suits = ", ".join(_SUITS[transport])
            raise StationInvalid(
                where, expected=f"a door {suits}, as a {transport} driver needs", found=repr(entry.door)
            )
        return entry.door

    async def _open_dut(self, partner: Any) -> None:
        link = self.profile.communication
        door = self._door_of("dut", "can" if link.transport == "can" else "serial")
        host = f"127.0.0.{len(self.file.roles) + 2}" if self._real_ports else self._host
        port = _TCP[door][1] if door in _TCP and self._real_ports else 0
        transport = "can" if link.transport == "can" else "serial"
        await self._open(
            "dut", "", door, partner, host=host, port=port, baud=int(link.bitrate), transport=transport
        )

    async def _open(
        self,
        role: str,
        face: str,
        door: str,
        twin: Any,
        *,
        host: str,
        port: int,
        baud: int,
        transport: str,
    ) -> None:
        how = _by_line if door in _PTY and transport == "visa" else _on_bus if transport == "can" else _plain
        behind = how(twin, face, self.clock)
        made: Door
        if door in _TCP:
            made = _TCP[door][0](behind, clock=self.clock, host=host, port=port)
        else:
            made = self._pty(door, behind, f"{role}-{face}".rstrip("-").replace(":", "-"), baud)
        await made.open()
        self.connectors.append(Served(role, face, made, how))
        if self._real_ports and isinstance(made, Vxi11Door):
            mapper = Portmapper(made, host=host)
            await mapper.open()
            self.connectors.append(Served(role, face, mapper))

    def _port(self, driver: Any, door: str) -> int:
        """Where the real device listens, if that is asked for; 0: any free port."""
        if not self._real_ports or door not in _TCP:
            return 0
        usual = _TCP[door][1]
        return int(getattr(driver, "port", usual)) if door in _OF_DRIVER else usual

    def _pty(self, door: str, behind: Any, name: str, baud: int) -> Door:
        if door == "slcan":
            return SlcanDoor(behind, clock=self.clock, folder=self._folder, name=name)
        if door == "rtu":
            return ModbusRtuDoor(behind, clock=self.clock, folder=self._folder, name=name, baud=baud)
        return PtyDoor(behind, clock=self.clock, folder=self._folder, name=name, baud=baud)


def truth_of(rack: Rack) -> dict[str, Any]:
    """What the plant knows and no instrument may: for tests of the safe state."""
    plant = rack.plant
    found: dict[str, Any] = {}
    fed = () if plant.spec.board else ("charger", "regen", "load")
    for name in (*fed, "auxiliary"):
        terminal = plant.terminal(name)
        found[name] = {
            "enabled": bool(terminal.enabled),
            "voltage_v": float(terminal.actual_voltage_v),
            "current_a": float(terminal.actual_current_a),
        }
    meter, cells, faults = plant.terminal("meter"), plant.terminal("cells"), plant.terminal("faults")
    found["pack"] = {"current_a": float(meter.current_a), "voltage_v": float(meter.pack_v)}
    found["contacts_closed"] = [bool(closed) for closed in meter.switch_closed]
    found["cells_connected"] = int(cells.connected.sum())
    found["faults"] = [name for name in faults.names if faults.active(name)]
    if not plant.spec.board:
        chamber = plant.terminal("chamber")
        found["chamber"] = {"closed": bool(chamber.closed), "air_degc": float(chamber.air_degc)}
    found["heater_on"] = bool(meter.heater_on)
    with suppress(AttributeError):
        found["time_s"] = rack.clock.now_s
    return found
