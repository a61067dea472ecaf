"""Limits: at which level of which quantity the DUT acts, how late, and what it opens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dut_profiles.profile.section import NotNegative, PathName, Positive, Section, Source


class _Limit(Section):
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
