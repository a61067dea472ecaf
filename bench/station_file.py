"""Station files: one bench as one TOML file, read and checked before anything is opened."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import StationInvalid
from bench.toml_file import explained, find_toml, read_toml

STATION_DIR = Path(__file__).parent / "stations"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Positive = Annotated[float, Field(gt=0)]


class Calibration(_Section):
    """Until when the instrument may be believed, and who says so."""

    due: dt.date = Field(description="the last day on which it holds")
    certificate: str = Field(description="number of the certificate")


class _Connected(_Section):
    """Whatever has an address."""

    address: str = Field(min_length=1, description="what the wire library takes; twin://; sim+<door>://")

    @property
    def is_twin(self) -> bool:
        """Whether nothing outside of this process is there: a stand-in, or the pack model."""
        return self.address.startswith("twin://") or self.is_model

    @property
    def is_served(self) -> bool:
        """Whether a stand-in in a child process answers there, through a real port."""
        return _SERVED.match(self.address) is not None

    @property
    def is_emulated(self) -> bool:
        """Whether a stand-in answers there, here or in a child process."""
        return self.is_twin or self.is_served

    @property
    def is_model(self) -> bool:
        """Whether the bench's own pack model is there, which stands in for no instrument."""
        return self.address.startswith("model://")

    @property
    def terminal(self) -> str:
        """Where in the emulated rack a stand-in is wired: `charger`, `cells+meter`."""
        return self.address.partition("://")[2]

    @property
    def door(self) -> str:
        """Through which kind of port a served stand-in is reached: `hislip`, `pty`, ..."""
        match = _SERVED.match(self.address)
        return match[1] if match else ""


class RoleEntry(_Connected):
    """One instrument of the station.

    `address` is what the wire library takes (`TCPIP::192.0.2.21::5025::SOCKET`, `/dev/ttyUSB0`,
    `tcp://host:502`, `can:<interface>:<channel>`), `twin://<terminal>` for its stand-in in this process, or
    `sim+<door>://<terminal>` for its stand-in in a child process, behind a real port. `model://<terminal>` is
    the bench's own pack model, around a board without a pack.
    """

    driver: str = Field(pattern=r"^[\w.]+:\w+$", description="module:Class")
    serial: str | None = Field(default=None, description="must occur in the identity before energy")
    firmware: str | None = Field(default=None, description="must occur in the identity before energy")
    calibration: Calibration | None = None
    max_v: Positive | None = Field(default=None, description="the bench refuses more [V]")
    max_a: Positive | None = Field(default=None, description="the bench refuses more [A]")
    max_w: Positive | None = Field(default=None, description="the bench refuses more [W]")
    max_wh: Positive | None = Field(
        default=None, description="energy through this instrument in one scenario; then it goes off [Wh]"
    )
    min_degc: float | None = Field(default=None, description="the bench refuses less [degC]")
    max_degc: float | None = Field(default=None, description="the bench refuses more [degC]")
    poll_s: Positive | None = Field(default=None, description="period of its measurements [s]")
    options: dict[str, Any] = Field(default_factory=dict, description="checked by the driver")


class DutEntry(_Connected):
    """Where the DUT is connected; its protocol and speed are in the profile."""

    supply_v: Positive | None = Field(
        default=None, description="what the role auxiliary feeds it with, once all else is prepared [V]"
    )
    supply_a: Positive | None = Field(default=None, description="and at most this current [A]")


class ModelEntry(_Section):
    """The pack around a board that has none: computed by the bench, shown through instruments.

    Cells, capacity and sensors are those of the DUT profile, the state of charge is the scenario's.
    """

    contactors: str = Field(
        default="cells", description="role whose inputs read the relays in the place of the contactors"
    )
    step_s: Positive = Field(default=0.01, description="step of the model, and of the shunt's signal [s]")
    cells_s: Positive = Field(default=0.05, description="how often cell voltages go out, at most [s]")
    temperatures_s: Positive = Field(default=1.0, description="how often temperatures go out, at most [s]")


#: What `model://` can lead to.
MODEL_TERMINALS = ("charger", "regen", "load")


class SafeStateEntry(_Section):
    """How this bench is made safe: in which order, how long it may take, what counts as dead."""

    order: tuple[str, ...] = Field(
        default=(), description="roles, first to last; those not named follow in the usual order"
    )
    within_s: Positive = Field(default=10.0, description="bound for all of it [s]")
    role_within_s: Positive = Field(default=2.0, description="bound for one instrument [s]")
    rest_current_a: Positive = Field(default=2.0, description="less than this is no pack current [A]")
    rest_within_s: Positive = Field(default=2.0, description="how long the current may take to die away [s]")


class GuardEntry(_Section):
    """The watchman: a second process that makes the bench safe when the run cannot."""

    enabled: bool | None = Field(default=None, description="default: on a wall clock, yes")
    silence_s: Positive = Field(
        default=5.0, description="a run that is silent for longer is taken for dead [s]"
    )


class RatingsEntry(_Section):
    """What the wiring between instruments and DUT stands; for the plan that is made before energy."""

    harness_v: Positive | None = None
    harness_a: Positive | None = Field(default=None, description="continuous [A]")
    fuse_a: Positive | None = Field(default=None, description="rated current of the main fuse [A]")
    fuse_i2t_a2s: Positive | None = Field(default=None, description="melting integral [A2s]")


#: What the relay of a fault carries: microamps of a measurement; a logic or auxiliary line; the pack voltage
#: through an insulation resistor; a channel of the cell emulator; pack current.
FaultKind = Literal["sense", "signal", "ground", "channel", "power"]


class FaultRulesEntry(_Section):
    """Rules for fault relays, where the name of a fault does not say enough."""

    kinds: dict[str, FaultKind] = Field(
        default_factory=dict, description="name of a fault, or a pattern with *, to what its relay carries"
    )
    exclusive: tuple[tuple[str, ...], ...] = Field(
        default=(), description="groups of faults, over all boxes, of which at most one may be in"
    )


class LeaseEntry(_Section):
    """Who may use a shared bench, and where that is written down."""

    folder: Path | None = Field(default=None, description="default: below the user's state folder")
    minutes: Positive = Field(default=2.0, description="a lease that is not renewed for longer is stale")


class StationFile(_Section):
    """One bench."""

    name: str = Field(pattern=r"^[\w.-]+$")
    clock: Literal["virtual", "wall"]
    speed: Positive = Field(default=1.0, description="bench seconds per second, if all of it is emulated")
    seed: int = 0
    dut: DutEntry
    roles: dict[str, RoleEntry]
    safe_state: SafeStateEntry = SafeStateEntry()
    guard: GuardEntry = GuardEntry()
    ratings: RatingsEntry = RatingsEntry()
    fault_rules: FaultRulesEntry = FaultRulesEntry()
    lease: LeaseEntry = LeaseEntry()
    model: ModelEntry | None = Field(
        default=None, description="for a board without a pack: the pack that the bench computes"
    )
    path: Path = Field(default=Path(), exclude=True)

    @property
    def is_served(self) -> bool:
        """Whether a child process has to serve it."""
        return any(entry.is_served for entry in self.connected().values())

    def connected(self) -> dict[str, _Connected]:
        """Every instrument by role, and the DUT."""
        return {**self.roles, "dut": self.dut}


def find_station(name_or_file: str) -> Path:
    """The TOML file of a station, by name (a file in `bench/stations/`) or by path.

    Raises
    ------
    StationInvalid
        If there is no such file; the message lists the names that exist.
    """
    return find_toml("station", name_or_file, STATION_DIR, StationInvalid)


def load_station(name_or_file: str) -> StationFile:
    """Read and check a station file.

    Raises
    ------
    StationInvalid
        Names the file, the key, what was expected and what was found.
    """
    path = find_station(name_or_file)
    try:
        station = StationFile.model_validate({**read_toml(path, StationInvalid), "path": path})
    except ValidationError as error:
        raise explained(str(path), error, StationFile, StationInvalid, EXPECTED_OF) from error
    _check(station)
    return station


def _check(station: StationFile) -> None:
    """What one key alone cannot say wrong."""
    path, entries = station.path, station.connected()
    ported = [name for name, entry in entries.items() if not entry.is_twin]
    if station.clock == "virtual" and ported:
        raise StationInvalid(
            f"{path}: clock",
            expected='"wall", because a real port does not follow virtual time',
            found=f'"virtual" with real ports for {", ".join(ported)}',
        )
    twins = [name for name, entry in entries.items() if entry.is_twin and not entry.is_model]
    if station.is_served and twins:
        raise StationInvalid(
            f"{path}: [roles.{twins[0]}] address",
            expected="sim+<door>://<terminal>, as the others: one process holds the whole emulated rack",
            found=repr(entries[twins[0]].address),
        )
    real = [name for name, entry in entries.items() if not entry.is_emulated]
    if station.speed != 1.0 and real:
        raise StationInvalid(
            f"{path}: speed",
            expected="1, because a real instrument does not follow a fast clock",
            found=f"{station.speed:g} with real addresses for {', '.join(real)}",
        )
    _check_model(station)
    if station.dut.supply_v is not None and ("auxiliary" not in station.roles or not station.dut.supply_a):
        raise StationInvalid(
            f"{path}: [dut] supply_v",
            expected="supply_a beside it, and [roles.auxiliary] to feed it",
            found=f"supply_a {station.dut.supply_a}, roles {', '.join(station.roles)}",
        )
    if unknown := [name for name in station.safe_state.order if name not in station.roles]:
        raise StationInvalid(
            f"{path}: [safe_state] order",
            expected=f"roles {', '.join(station.roles)}",
            found=repr(unknown[0]),
        )


def _check_model(station: StationFile) -> None:
    """A model needs what shows it to the board, and only with a model can a role act on it."""
    path, model = station.path, station.model
    if model is None:
        if acting := [name for name, entry in station.roles.items() if entry.is_model]:
            raise StationInvalid(
                f"{path}: [roles.{acting[0]}] address",
                expected="a table [model] beside it",
                found=repr(station.roles[acting[0]].address),
            )
        return
    there = {*station.roles, *(name.partition("_")[0] for name in station.roles)}
    if missing := [name for name in ("cells", "shunt", model.contactors) if name not in there]:
        raise StationInvalid(
            f"{path}: [model]",
            expected=f"[roles.{missing[0]}], through which the board sees the model and is seen",
            found=f"roles {', '.join(station.roles)}",
        )
    powered = [name for name in MODEL_TERMINALS if name in station.roles and not station.roles[name].is_model]
    if powered:
        raise StationInvalid(
            f"{path}: [roles.{powered[0]}] address",
            expected=f"model://{powered[0]}, for a board has no power path",
            found=repr(station.roles[powered[0]].address),
        )


_SERVED = re.compile(r"sim\+([a-z0-9]+)://")

_ADDRESS = (
    "a VISA name, a serial device, tcp://<host>:<port>, can:<interface>:<channel>, twin://<terminal> "
    "or sim+<door>://<terminal>"
)
#: What some keys should hold, in words.
EXPECTED_OF = {"address": _ADDRESS, "driver": 'a driver as "module:Class"'}
