"""Station files: one bench as one TOML file, read and checked before anything is opened."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import StationInvalid

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
    for candidate in (Path(name_or_file), STATION_DIR / f"{name_or_file}.toml"):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate
    known = ", ".join(sorted(path.stem for path in STATION_DIR.glob("*.toml")))
    raise StationInvalid("station", expected=f"a TOML file or one of: {known}", found=repr(name_or_file))


def load_station(name_or_file: str) -> StationFile:
    """Read and check a station file.

    Raises
    ------
    StationInvalid
        Names the file, the key, what was expected and what was found.
    """
    path = find_station(name_or_file)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StationInvalid(str(path), expected="TOML", found=str(error)) from error
    try:
        station = StationFile.model_validate({**raw, "path": path})
    except ValidationError as error:
        raise explained(str(path), error, StationFile) from error
    real = [name for name, entry in station.connected().items() if not entry.is_twin]
    if station.clock == "virtual" and real:
        raise StationInvalid(
            f"{path}: clock",
            expected='"wall", because a real instrument does not follow virtual time',
            found=f'"virtual" with real addresses for {", ".join(real)}',
        )
    return station


_ADDRESS = "a VISA name, a serial device, tcp://<host>:<port>, can:<interface>:<channel> or twin://<terminal>"
_EXPECTED = {"address": _ADDRESS, "driver": 'a driver as "module:Class"'}


def explained(where: str, error: ValidationError, model: type[BaseModel]) -> StationInvalid:
    """The first complaint of pydantic about `model` in the bench's own form: file, key, expected, found.

    An unknown key goes before a missing one: most often it is the missing one, misspelt.
    """
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    last = str(first["loc"][-1]) if first["loc"] else ""
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    match first["type"]:
        case "missing":
            expected, found = _EXPECTED.get(last, "this key or table"), "nothing"
        case "extra_forbidden":
            known = ", ".join(_keys_beside(model, first["loc"]))
            expected, found = f"one of the keys {known}", repr(last)
        case _:
            wanted = first["msg"].removeprefix("Input should be ")
            expected, found = _EXPECTED.get(last, wanted), repr(first["input"])
    return StationInvalid(f"{where}: [{key}]", expected=expected, found=found + more)


def _keys_beside(model: Any, loc: Sequence[int | str]) -> list[str]:
    """The keys that the table holding the last of `loc` may have."""
    for part in loc[:-1]:
        fields = getattr(model, "model_fields", {})
        # A table of tables, or a list of them: any key leads to the one kind that it holds.
        inner = [kind for kind in get_args(model) if kind not in (str, Ellipsis)]
        model = fields[part].annotation if part in fields else next(iter(inner), None)
    fields = getattr(model, "model_fields", {})
    return [name for name, field in fields.items() if not field.exclude]
