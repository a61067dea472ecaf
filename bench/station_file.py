"""Station files: one bench as one TOML file, read and checked before anything is opened."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import StationInvalid
from bench.toml_file import explained, find_toml, read_toml

STATION_DIR = Path(__file__).parent / "stations"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Calibration(_Section):
    """Until when the instrument may be believed, and who says so."""

    due: dt.date
    certificate: str


class _Connected(_Section):
    """Whatever has an address."""

    address: str = Field(min_length=1)

    @property
    def is_twin(self) -> bool:
        """Whether a stand-in in this process answers there."""
        return self.address.startswith("twin://")


class RoleEntry(_Connected):
    """One instrument of the station.

    `address` is what the wire library takes (`TCPIP::192.168.0.21::5025::SOCKET`, `/dev/ttyUSB0`,
    `tcp://host:502`, `can:<interface>:<channel>`), or `twin://<terminal>` for its stand-in.
    """

    driver: str = Field(pattern=r"^[\w.]+:\w+$", description="module:Class")
    serial: str | None = Field(default=None, description="must occur in the identity before energy")
    calibration: Calibration | None = None
    max_v: Annotated[float, Field(gt=0)] = Field(description="the bench refuses more [V]")
    max_a: Annotated[float, Field(gt=0)] = Field(description="the bench refuses more [A]")
    poll_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="period of its measurements [s]"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="checked by the driver")


class DutEntry(_Connected):
    """Where the DUT is connected; its protocol and speed are in the profile."""


class StationFile(_Section):
    """One bench."""

    name: str
    clock: Literal["virtual", "wall"]
    seed: int = 0
    dut: DutEntry
    roles: dict[str, RoleEntry]
    path: Path = Field(default=Path(), exclude=True)

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
    real = [name for name, entry in station.connected().items() if not entry.is_twin]
    if station.clock == "virtual" and real:
        raise StationInvalid(
            f"{path}: clock",
            expected='"wall", because a real instrument does not follow virtual time',
            found=f'"virtual" with real addresses for {", ".join(real)}',
        )
    return station


_ADDRESS = "a VISA name, a serial device, tcp://<host>:<port>, can:<interface>:<channel> or twin://<terminal>"
#: What some keys should hold, in words.
EXPECTED_OF = {"address": _ADDRESS, "driver": 'a driver as "module:Class"'}
