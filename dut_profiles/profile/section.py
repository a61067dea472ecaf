"""What every section of a profile is made of: strict, frozen, and no key that nobody knows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PathName = Literal["charge", "discharge"]
SwitchName = Literal["main_minus", "main_plus", "precharge", "charge", "pyro"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Source = Annotated[str, Field(min_length=4)]


class Section(BaseModel):
    # Strict: TOML has types, so a quoted number or a true in the place of a number is a mistake.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
