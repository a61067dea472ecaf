"""The profile of a device under test: limits, delays, tolerances and signals, each with its source.

A profile is what the maker declares. The reference model judges against it, drivers and suites read it,
and an emulated BMS is configured from it. It knows nothing of any of them.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import ProfileInvalid

PROFILE_DIR = Path(__file__).parent
SCHEMA = "bmsbench-profile/1"

PathName = Literal["charge", "discharge"]
SwitchName = Literal["main_minus", "main_plus", "precharge", "charge", "pyro"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Source = Annotated[str, Field(min_length=4)]


class _Section(BaseModel):
    # Strict: TOML has types, so a quoted number or a true in the place of a number is a mistake.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Identity(_Section):
    """Who made the DUT. Printed on the certificate."""

    vendor: str
    model: str
    hardware: str
    firmware: str
    serial: str = "unknown"
    source: Source


class Pack(_Section):
    """The pack: `cells` in series, one string."""

    cells: Annotated[int, Field(ge=1, le=240)]
    chemistry: Literal["LFP", "NMC"]
    cell_preset: str = Field(
        description="plant preset of the emulated pack: a file name in bench/plant/presets"
    )
    capacity_ah: Positive
    nominal_v: Positive
    upper_limit_charging_v: Positive = Field(
        description="per cell (ULCV); IEC 62619 8.2.2 is judged against it"
    )
    lower_limit_discharging_v: Positive = Field(description="per cell, declared by the cell maker")
    charge_v: Positive = Field(description="set voltage of the charger, whole pack")
    max_charge_a: Positive
    max_discharge_a: Positive
    sensor_cells: list[int] = Field(
        min_length=1, description="index (from 0) of the cell that carries sensor j"
    )
    source: Source

    @property
    def sensors(self) -> int:
        """Number of temperature sensors."""
        return len(self.sensor_cells)


class Thermistor(_Section):
    """NTC and its input: voltage = reference_v * R / (R + pullup_ohm), R by the beta equation."""

    r25_ohm: Positive
    beta_k: Positive
    pullup_ohm: Positive
    reference_v: Positive
    source: Source


class Measurement(_Section):
    """Declared accuracy of what the DUT reports, and how often it looks."""

    cell_tolerance_v: Positive
    pack_tolerance_fraction: Positive
    current_tolerance_a: Positive = Field(description="offset part")
    current_tolerance_fraction: NotNegative = Field(description="gain part")
    temperature_tolerance_k: Positive
    cell_period_s: Positive
    current_period_s: Positive
    temperature_period_s: Positive
    insulation_tolerance_fraction: Positive
    source: Source


class Switches(_Section):
    """Actuators: which switches make a path, and how long they take."""

    charge_path: list[SwitchName]
    discharge_path: list[SwitchName]
    closing_s: Positive
    opening_s: Positive = Field(description="longest time from command to open contacts")
    pyro_opening_s: Positive = Field(description="longest time from the fire command to no current")
    break_rating_a: Positive = Field(description="a contactor opened above this is damaged")
    zero_current_wait_s: NotNegative = Field(
        description="longest wait for the machine to shed its current before a level-2 opening"
    )
    zero_current_fraction: Fraction = Field(description="of max_discharge_a: counts as shed")
    feedback_timeout_s: Positive
    source: Source


class Precharge(_Section):
    """Bus precharge: order minus, precharge, plus."""

    resistor_ohm: Positive
    done_fraction: Fraction = Field(description="(pack - bus) / pack at which the main contactor may close")
    timeout_s: Positive
    tries: Annotated[int, Field(ge=1)]
    pause_s: NotNegative = Field(description="between tries")
    source: Source


class _Limit(_Section):
    side: Literal["above", "below"]
    level: Annotated[int, Field(ge=1, le=3)] = Field(description="1 warn and reduce, 2 protect, 3 lock")
    delay_s: NotNegative
    delay_tolerance_s: NotNegative
    opens: list[PathName] = Field(default_factory=list)
    latched: bool = False
    alarm: str = Field(default="", description="name in telemetry; default: the name of the limit")
    name: str = Field(default="", description="filled by the loader: the table's name")
    source: Source

    @property
    def trip(self) -> float:
        """Trip level in `unit`."""
        raise TypeError("a limit of no quantity")

    @model_validator(mode="after")
    def _release_lies_inside(self) -> _Limit:
        release = getattr(self, "release", None)
        if release is not None:
            inside = release < self.trip if self.side == "above" else release > self.trip
            if not inside:
                word = "below" if self.side == "above" else "above"
                raise ValueError(
                    f'release {word} the trip level {self.trip:g} (side = "{self.side}")|{release:g}'
                )
        return self


class CellVoltageLimit(_Limit):
    """On any cell's voltage."""

    quantity: Literal["cell_voltage"]
    trip_v: Positive
    trip_tolerance_v: NotNegative
    release_v: Positive | None = None

    unit: Literal["V"] = Field(default="V", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_v

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_v

    @property
    def release(self) -> float | None:
        return self.release_v


class CurrentLimit(_Limit):
    """On the magnitude of the pack current in one direction."""

    quantity: Literal["charge_current", "discharge_current"]
    trip_a: Positive
    trip_tolerance_a: NotNegative
    release_a: Positive | None = None

    unit: Literal["A"] = Field(default="A", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_a

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_a

    @property
    def release(self) -> float | None:
        return self.release_a


class TemperatureLimit(_Limit):
    """On any sensor's temperature."""

    quantity: Literal["temperature"]
    trip_degc: float
    trip_tolerance_k: NotNegative
    release_degc: float | None = None

    unit: Literal["degC"] = Field(default="degC", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_degc

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_k

    @property
    def release(self) -> float | None:
        return self.release_degc


class TemperatureSpreadLimit(_Limit):
    """On the hottest less the coldest sensor."""

    quantity: Literal["temperature_spread"]
    trip_k: Positive
    trip_tolerance_k: NotNegative
    release_k: NotNegative | None = None

    unit: Literal["K"] = Field(default="K", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_k

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_k

    @property
    def release(self) -> float | None:
        return self.release_k


class CellSpreadLimit(_Limit):
    """On the highest less the lowest cell voltage (imbalance)."""

    quantity: Literal["cell_spread"]
    trip_v: Positive
    trip_tolerance_v: NotNegative
    release_v: NotNegative | None = None

    unit: Literal["V"] = Field(default="V", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_v

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_v

    @property
    def release(self) -> float | None:
        return self.release_v


class InsulationLimit(_Limit):
    """On the lower of the two insulation resistances, per volt of pack voltage."""

    quantity: Literal["insulation"]
    trip_ohm_per_v: Positive
    trip_tolerance_ohm_per_v: NotNegative
    release_ohm_per_v: Positive | None = None

    unit: Literal["ohm/V"] = Field(default="ohm/V", exclude=True)

    @property
    def trip(self) -> float:
        return self.trip_ohm_per_v

    @property
    def tolerance(self) -> float:
        return self.trip_tolerance_ohm_per_v

    @property
    def release(self) -> float | None:
        return self.release_ohm_per_v


Limit = Annotated[
    CellVoltageLimit
    | CurrentLimit
    | TemperatureLimit
    | TemperatureSpreadLimit
    | CellSpreadLimit
    | InsulationLimit,
    Field(discriminator="quantity"),
]


class DeratingTable(_Section):
    """Permitted fraction of a maximum current over one axis; linear between points, held outside them."""

    temperature_degc: list[float] | None = None
    soc: list[Fraction] | None = None
    cell_v: list[Positive] | None = None
    fraction: list[Fraction]
    uses: Literal["hottest", "coldest", "highest", "lowest", "pack"]
    tolerance_fraction: Positive = Field(description="of the maximum current")
    source: Source

    @property
    def axis(self) -> list[float]:
        """The one axis that is given."""
        (axis,) = (a for a in (self.temperature_degc, self.soc, self.cell_v) if a is not None)
        return axis

    @model_validator(mode="after")
    def _one_rising_axis(self) -> DeratingTable:
        given = [a for a in (self.temperature_degc, self.soc, self.cell_v) if a is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one axis (temperature_degc, soc or cell_v)|{len(given)} of them")
        axis = given[0]
        if len(axis) != len(self.fraction) or any(b <= a for a, b in pairwise(axis)):
            raise ValueError(f"a strictly rising axis as long as fraction ({len(self.fraction)})|{axis}")
        return self


class Derating(_Section):
    """Tables whose lowest value limits the current in each direction."""

    charge: dict[str, DeratingTable]
    discharge: dict[str, DeratingTable]
    settle_s: Positive = Field(description="longest time from a step of the axis to the new broadcast limit")


class Balancing(_Section):
    """Passive balancing."""

    start_v: Positive = Field(description="no cell below this bleeds")
    start_spread_v: Positive = Field(description="a cell this far above the lowest starts to bleed")
    stop_spread_v: NotNegative
    current_a: Positive = Field(description="at nominal_cell_v")
    nominal_cell_v: Positive
    current_tolerance_fraction: Fraction
    max_channels: Annotated[int, Field(ge=1)] = Field(description="at the same time")
    max_temperature_degc: float
    reaction_s: Positive = Field(description="longest time from the condition to the first bleed")
    modes: list[Literal["standby", "charge", "drive"]] = Field(
        description="modes in which bleeding is permitted"
    )
    max_current_a: Positive = Field(description="pack current above which nothing bleeds while not charging")
    source: Source


class Soc(_Section):
    """State of charge."""

    error_bound: Fraction
    jump_bound_per_s: Fraction
    restored_within: Fraction = Field(description="after a power cut")
    converges_s: Positive = Field(description="from a wrong start, at rest where the OCV is informative")
    rest_s: Positive = Field(description="rest before an OCV correction")
    rest_current_a: Positive = Field(description="current below which the pack rests")
    flat_zone: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = Field(
        description="SOC range in which OCV must not be trusted"
    )
    source: Source


class Insulation(_Section):
    """Insulation monitoring."""

    measuring_s: Positive = Field(description="longest time from a change to the reported value")
    source: Source


class Plausibility(_Section):
    """Faults of sensors and wiring that the DUT must find, with the longest time it may take."""

    open_wire_s: Positive
    thermistor_s: Positive
    sum_of_cells_fraction: Fraction = Field(description="|sum of cells - pack voltage| / pack voltage")
    sum_of_cells_s: Positive
    frozen_cell_s: Positive
    current_sensor_s: Positive
    feedback_s: Positive
    source: Source


class Communication(_Section):
    """How to talk to the DUT."""

    protocol: str = Field(description="module name in dut_profiles/protocols")
    transport: Literal["can", "serial"]
    bitrate: Positive
    period_s: Positive = Field(description="of the broadcast, or of one polling round")
    period_tolerance_fraction: Fraction
    host_timeout_s: Positive | None = Field(
        default=None, description="DUT's reaction to a silent host; absent: it has none"
    )
    host_timeout_tolerance_s: NotNegative = 0.0
    source: Source


class Log(_Section):
    """Event log of the DUT."""

    entries: Annotated[int, Field(ge=1)]
    stamp_tolerance_s: Positive
    readable: bool = Field(description="whether the protocol can read it")
    source: Source


class Profile(_Section):
    """Everything that the maker of one DUT declares."""

    schema_: Literal["bmsbench-profile/1"] = Field(alias="schema")
    identity: Identity
    pack: Pack
    thermistor: Thermistor
    measurement: Measurement
    switches: Switches
    precharge: Precharge
    limits: dict[str, Limit]
    derating: Derating
    balancing: Balancing
    soc: Soc
    insulation: Insulation
    plausibility: Plausibility
    communication: Communication
    log: Log

    def limit(self, name: str) -> Limit:
        """The limit called `name`.

        Raises
        ------
        ProfileInvalid
            If the profile declares no such limit.
        """
        if name not in self.limits:
            raise ProfileInvalid(
                f"profile {self.identity.model}: limits.{name}",
                expected=f"one of {', '.join(self.limits)}",
                found="no such table",
            )
        return self.limits[name]

    @model_validator(mode="after")
    def _sensors_sit_on_cells(self) -> Profile:
        off = [cell for cell in self.pack.sensor_cells if not 0 <= cell < self.pack.cells]
        if off:
            raise ValueError(f"pack.sensor_cells from 0 to {self.pack.cells - 1}|{off}")
        return self


def find_profile(name_or_file: str) -> Path:
    """The TOML file of a profile, by name (a file in `dut_profiles/`) or by path.

    Raises
    ------
    ProfileInvalid
        If there is no such file; the message lists the names that exist.
    """
    given = Path(name_or_file)
    for candidate in (given, PROFILE_DIR / f"{name_or_file}.toml"):
        if candidate.suffix == ".toml" and candidate.is_file():
            return candidate
    known = ", ".join(sorted(path.stem for path in PROFILE_DIR.glob("*.toml")))
    raise ProfileInvalid("DUT profile", expected=f"a TOML file or one of: {known}", found=repr(name_or_file))


def load_profile(name_or_file: str) -> Profile:
    """Read and check a profile.

    Raises
    ------
    ProfileInvalid
        Names the file, the key, what was expected and what was found.
    """
    path = find_profile(name_or_file)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileInvalid(str(path), expected="TOML", found=str(error)) from error
    limits = raw.get("limits")
    for name, table in limits.items() if isinstance(limits, dict) else ():
        if isinstance(table, dict):
            table["name"] = name
            table.setdefault("alarm", name)
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise _explained(path, error, raw) from error


def _explained(path: Path, error: ValidationError, raw: dict[str, object]) -> ProfileInvalid:
    """The first complaint of pydantic in the bench's own form."""
    first = error.errors()[0]
    loc = first["loc"]
    if loc[:1] == ("limits",):
        loc = loc[:2] + loc[3:]  # loc[2] is the quantity that chose the kind of limit, not a key of the file
    key = ".".join(str(part) for part in loc)
    where = f"{path}: [{key}]" if key else str(path)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    match first["type"]:
        case "missing":
            return ProfileInvalid(where, expected="this key", found=f"nothing{_near(raw, loc)}{more}")
        case "extra_forbidden":
            return ProfileInvalid(
                where, expected="only known keys", found=f"an unknown key, value {first['input']!r}{more}"
            )
        case "union_tag_not_found" | "union_tag_invalid":
            table = first["input"]
            quantity = table.get("quantity", "nothing") if isinstance(table, dict) else table
            expected = str(first.get("ctx", {}).get("expected_tags", "a quantity"))
            return ProfileInvalid(f"{where} quantity", expected=expected, found=f"{quantity!r}{more}")
        case "value_error":
            expected, _, found = first["msg"].removeprefix("Value error, ").partition("|")
            return ProfileInvalid(where, expected=expected, found=f"{found}{more}")
        case _:
            expected = first["msg"].removeprefix("Input should be ")
            return ProfileInvalid(where, expected=expected, found=f"{first['input']!r}{more}")


def _near(raw: dict[str, object], loc: tuple[int | str, ...]) -> str:
    """Name a key that has the right word and another unit: `trip_mv` where `trip_v` was expected."""
    table: object = raw
    for part in loc[:-1]:
        if isinstance(table, dict) and part in table:
            table = table[part]
    stem = str(loc[-1]).rsplit("_", 1)[0]
    if not isinstance(table, dict):
        return ""
    near = [key for key in table if key.rsplit("_", 1)[0] == stem and key != loc[-1]]
    return f" (there is {', '.join(near)}: wrong unit?)" if near else ""
