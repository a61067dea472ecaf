"""How to talk to the DUT, and what it remembers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dut_profiles.profile.section import Fraction, NotNegative, Positive, Section, Source


class Communication(Section):
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


class Log(Section):
    """Event log of the DUT."""

    entries: Annotated[int, Field(ge=1)]
    stamp_tolerance_s: Positive
    readable: bool = Field(description="whether the protocol can read it")
    source: Source
