"""What a cell file may hold, and how it is read.

Resistances, time constants and linear currents are given at some temperatures; between and
beyond them the Arrhenius law through the two nearest holds (the logarithm is straight in 1/T), along SOC the
straight line, beyond the ends of the SOC axis the end value.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from bench.errors import InvalidInput
from bench.toml_file import explained, find_toml, read_toml

CELL_DIR = Path(__file__).parent
COLDEST_DEGC, HOTTEST_DEGC = -100.0, 200.0  # of any table; outside, the unit is another


def _array(given: object) -> NDArray[np.float64]:
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a table of numbers, all rows of one length|{str(given)[:60]}") from error
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"finite numbers, one at least|{str(given)[:60]}")
    array.setflags(write=False)
    return array


Floats = Annotated[
    NDArray[np.float64],
    BeforeValidator(_array),
    PlainSerializer(lambda array: array.tolist()),
    WithJsonSchema({"type": "array"}),
]
Source = Annotated[str, Field(min_length=4)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


def _expect(what: str, holds: bool, found: object) -> None:
    if not holds:
        raise ValueError(f"{what}|{found}")


def _rising(name: str, axis: NDArray[np.float64], *, low: float, high: float) -> None:
    _expect(f"{name} in one row, strictly rising", axis.ndim == 1 and bool((np.diff(axis) > 0).all()), axis)
    # A percentage or a kelvin would load and be wrong by little enough not to be seen.
    _expect(f"{name} from {low:g} to {high:g}", bool(low <= axis[0] and axis[-1] <= high), axis)


class OpenCircuit(_Table):
    """Open-circuit voltage at 25 °C, both branches; `soc` is uniform from 0 to 1, shape (points,)."""

    soc: Floats
    discharge_v: Floats
    charge_v: Floats
    overcharge_v_per_soc: Positive = Field(description="slope of both branches above SOC 1 [V]")
    overdischarge_v_per_soc: Positive = Field(description="slope of both branches below SOC 0 [V]")
    source: Source

    @model_validator(mode="after")
    def _branches_fit(self) -> Self:
        soc = self.soc
        uniform = soc.ndim == 1 and len(soc) > 1 and soc[0] == 0.0 and soc[-1] == 1.0
        uniform = uniform and bool(np.allclose(np.diff(soc), soc[1] - soc[0]))
        _expect("soc uniform from 0 to 1", uniform, soc)
        shapes = (self.discharge_v.shape, self.charge_v.shape)
        _expect(f"branches of {len(soc)} points", shapes == (soc.shape, soc.shape), shapes)
        crossing = bool((self.charge_v < self.discharge_v).any())
        _expect("charge_v nowhere below discharge_v", not crossing, "a crossing")
        return self

    @property
    def mean_v(self) -> NDArray[np.float64]:
        """Half way between the branches [V], shape (points,)."""
        return 0.5 * (self.charge_v + self.discharge_v)

    @property
    def half_v(self) -> NDArray[np.float64]:
        """Half the distance of the branches [V], shape (points,)."""
        return 0.5 * (self.charge_v - self.discharge_v)


class Hysteresis(_Table):
    """How fast the open-circuit voltage changes branch: by 1 - exp(-rate * charge moved / capacity)."""

    rate: Positive
    source: Source


class Entropy(_Table):
    """Entropic coefficient dU/dT [V/K] over SOC, both shape (points,)."""

    soc: Floats
    v_per_k: Floats
    source: Source

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _rising("soc", self.soc, low=0.0, high=1.0)
        _expect(f"v_per_k of {len(self.soc)} points", self.v_per_k.shape == self.soc.shape, self.v_per_k)
        return self


class UsableCapacity(_Table):
    """Capacity that a slow discharge delivers at each temperature, as a fraction of that at 25 °C."""

    temperature_degc: Floats
    fraction: Floats
    source: Source

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _rising("temperature_degc", self.temperature_degc, low=COLDEST_DEGC, high=HOTTEST_DEGC)
        shape = self.temperature_degc.shape
        _expect(
            f"fraction of {len(self.temperature_degc)} points", self.fraction.shape == shape, self.fraction
        )
        _expect("fraction above 0", bool((self.fraction > 0).all()), self.fraction)
        return self


class Resistance(_Table):
    """Resistance [ohm] over temperature and SOC, `ohm` shape (temperatures, points of soc)."""

    temperature_degc: Floats
    soc: Floats
    ohm: Floats
    source: Source

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _rising("temperature_degc", self.temperature_degc, low=COLDEST_DEGC, high=HOTTEST_DEGC)
        _rising("soc", self.soc, low=0.0, high=1.0)
        shape = (len(self.temperature_degc), len(self.soc))
        _expect(f"ohm of shape {shape}", self.ohm.shape == shape, self.ohm.shape)
        _expect("ohm above 0", bool((self.ohm > 0).all()), self.ohm.min())
        return self


class Pair(Resistance):
    """One RC pair; `tau_s` [s] has one value for each temperature, and so has `linear_a` [A].

    With `linear_a` the pair leaves Ohm's law at large currents, as charge transfer does (Butler-Volmer): it
    nears ``R * i0 * asinh(i / i0)`` at a current i, with i0 = `linear_a`. i0 grows with the size of the cell.
    """

    tau_s: Floats
    linear_a: Floats | None = None

    @model_validator(mode="after")
    def _time_constants_fit(self) -> Self:
        shape = self.temperature_degc.shape
        _expect(f"tau_s of {shape[0]} points", self.tau_s.shape == shape, self.tau_s.shape)
        _expect("tau_s above 0", bool((self.tau_s > 0).all()), self.tau_s.min())
        if self.linear_a is not None:
            _expect(f"linear_a of {shape[0]} points", self.linear_a.shape == shape, self.linear_a.shape)
            _expect("linear_a above 0", bool((self.linear_a > 0).all()), self.linear_a.min())
        return self


class Thermal(_Table):
    """One cell as one thermal node."""

    heat_capacity_j_per_k: Positive
    neighbour_w_per_k: NotNegative = Field(description="to each neighbour")
    ambient_w_per_k: NotNegative = Field(description="to still air")
    fan_w_per_k: NotNegative = Field(description="what forced air at full speed adds")
    plate_w_per_k: NotNegative = Field(default=0.0, description="to a liquid-cooled plate")
    source: Source


class FitError(_Table):
    """How well the tables give back one measurement: root mean square of the voltage error."""

    fitted: list[str] = Field(description="measurements that the tables were computed from")
    tested: str = Field(description="measurement that the figure is about")
    rms_mv: NotNegative
    max_mv: NotNegative


class CellFile(_Table):
    """One cell type as made. What one cell of a pack deviates from it, and how it aged, is the pack's."""

    schema_: Literal["bmsbench-cell/1"] = Field(alias="schema")
    name: str
    chemistry: Literal["LFP", "NMC", "NCA", "LMO", "LCO"]
    capacity_ah: Positive = Field(description="at 25 °C, slow discharge")
    nominal_v: Positive
    source: Source
    ocv: OpenCircuit
    hysteresis: Hysteresis
    entropy: Entropy | None = None
    usable: UsableCapacity | None = None
    r0: Resistance
    rc: list[Pair] = Field(min_length=1, max_length=3, description="fastest first")
    thermal: Thermal
    fit: list[FitError] = Field(default_factory=list)

    def __repr__(self) -> str:
        return f"CellFile({self.name}, {self.chemistry}, {self.capacity_ah:g} Ah)"

    def __str__(self) -> str:
        return repr(self)

    def __hash__(self) -> int:
        return hash((self.name, self.source))


def cell_names() -> tuple[str, ...]:
    """The cell files that ship."""
    return tuple(sorted(path.stem for path in CELL_DIR.glob("*.toml")))


@lru_cache(maxsize=16)
def load_cell(name_or_file: str) -> CellFile:
    """Read a cell file by its name in this folder, or by the path of a TOML file.

    Raises
    ------
    InvalidInput
        Names the file, the key, what was expected and what was found.
    """
    path = find_toml("cell file", name_or_file, CELL_DIR, InvalidInput)
    raw: dict[str, Any] = read_toml(path, InvalidInput)
    try:
        return CellFile.model_validate(raw)
    except ValidationError as error:
        raise explained(str(path), error, CellFile, InvalidInput) from error
