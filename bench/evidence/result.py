"""What a run is and what a scenario found: the values that evidence stores. No files here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.record import Event
from bench.verdict import DecisionRule, Judgement, Verdict


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """One instrument of the station. `label`: how well its weakest exchange is known.

    `watchdog`: what happens at the instrument when the bench falls silent, in the words of its driver.
    `twin`: software answers in its place, whatever the address says (a twin served over TCP has a real one).
    """

    role: str
    driver: str
    address: str
    identity: str
    label: str = "unverified"
    calibration: str = ""
    twin: bool = False
    watchdog: str = ""


@dataclass(frozen=True, slots=True)
class StationInfo:
    """The bench: its name, its clock ("virtual" or "wall") and its instruments."""

    name: str
    clock: str
    roles: tuple[RoleInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class DutInfo:
    """The device under test, its profile file and that file's SHA-256."""

    vendor: str
    model: str
    hardware: str
    firmware: str
    serial: str
    emulated: bool
    profile: str
    profile_sha256: str


@dataclass(frozen=True, slots=True)
class Clause:
    """A requirement that scenarios trace to. `label`: where its text is known from, or "unverified"."""

    ref: str
    title: str = ""
    label: str = "unverified"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Who ran what, when and with which bench. `defect`: seeded into an emulated DUT, else None.

    `interrupted`: why the run ended before its time and was sealed by somebody else; "" if it ended itself.
    `kind`: a certification starts only if nothing speaks against it; `doubts` are what did, in words.
    """

    run: str
    started_utc: str
    bmsbench_version: str
    python: str
    platform: str
    seed: int
    decision_rule: DecisionRule
    station: StationInfo
    dut: DutInfo
    defect: str | None = None
    command_line: str = ""
    clauses: tuple[Clause, ...] = ()
    interrupted: str = ""
    kind: Literal["certification", "development"] = "development"
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trip:
    """One protection that was exercised, as a plot needs it.

    Parameters
    ----------
    what
        "charge path opens".
    trace, channel
        The measured signal: a name of the scenario's traces, and its channel (None: scalar, or all).
    limit, tolerance
        Trip level and its declared tolerance, in the unit of the trace.
    earliest_s, latest_s
        Window [s] in which the DUT must act.
    response_s
        When it did [s], measured; nan: never.
    path
        Trace of the measured state that answered ("charge_path"), or "".
    """

    what: str
    trace: str
    channel: int | None
    limit: float
    earliest_s: float
    latest_s: float
    response_s: float
    tolerance: float = 0.0
    path: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What one test found out. `start_s` and `duration_s` are bench time [s]."""

    id: str
    nodeid: str
    title: str
    clauses: tuple[str, ...]
    hazard: str
    verdict: Verdict
    message: str = ""
    judgements: tuple[Judgement, ...] = ()
    findings: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    start_s: float = 0.0
    duration_s: float = 0.0
    parameters: Mapping[str, object] = field(default_factory=dict)
    trips: tuple[Trip, ...] = ()

    @property
    def headline(self) -> Judgement | None:
        """The judgement that stands for all: worst verdict, then smallest relative margin.

        None if nothing was judged, or if the scenario ended worse than any of its judgements: then no
        number explains the verdict, and `message` does.
        """
        found = headline(self.judgements)
        return found if found and found.verdict.severity >= self.verdict.severity else None


def headline(judgements: Iterable[Judgement]) -> Judgement | None:
    """The one of `judgements` with the worst verdict, then the smallest relative margin."""
    return min(judgements, key=lambda j: (-j.verdict.severity, relative_margin(j)), default=None)


def relative_margin(judgement: Judgement) -> float:
    """Margin as a fraction of half the window, or of the only limit; -inf for a value that never happened.

    A window without width ("exactly 1", "no findings") has no distance to speak of: inf, so that of two
    judgements with one verdict the one with a real margin is shown.
    """
    if math.isnan(judgement.margin):
        return -math.inf
    half = (judgement.latest - judgement.earliest) / 2
    scale = half if math.isfinite(half) else abs(judgement.limit)
    if scale > 0 and math.isfinite(scale):
        return judgement.margin / scale
    return math.inf
