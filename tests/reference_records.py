"""Records made by hand: a quiet bench, and a synthetic DUT that answers as the profile says.

The DUT here is a list of times, not a model: a test says when paths and alarms change, and the reference must
agree or object.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.record import Event, Origin, Record, Trace
from dut_profiles.profile import Profile

MEASURED, REPORTED = Origin("measured", "bench"), Origin("reported", "dut")
Floats = NDArray[np.float64]

UNITS = {
    "cell_v": "V",
    "temperature_degc": "degC",
    "current_a": "A",
    "pack_v": "V",
    "link_v": "V",
    "cell_a": "A",
}


@dataclass
class Story:
    """Everything that goes into one record; `record()` makes it."""

    profile: Profile
    duration_s: float = 20.0
    period_s: float = 0.01
    traces: dict[str, Trace] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def t_s(self) -> Floats:
        """Times of the measured samples [s]."""
        return np.arange(round(self.duration_s / self.period_s) + 1) * self.period_s

    reports_s: Floats | None = None

    @property
    def report_s(self) -> Floats:
        """Times of the reports [s], one broadcast apart, off the measured grid."""
        if self.reports_s is not None:
            return self.reports_s
        return np.arange(0.053, self.duration_s, self.profile.communication.period_s)

    def start_reports(self, t_s: Floats) -> None:
        """Report at these times [s] from now on."""
        self.reports_s = t_s

    def measure(self, name: str, value: Floats | float, *, uncertainty: float = 0.0) -> None:
        """Add a measured trace on the common grid."""
        t_s = self.t_s
        full = np.broadcast_to(value, t_s.shape if np.ndim(value) == 0 else np.shape(value))
        self.traces[name] = Trace(
            name, UNITS.get(name, "1"), t_s, np.array(full, float), MEASURED, uncertainty
        )

    def report(self, name: str, value: Floats | float) -> None:
        """Add a reported trace."""
        t_s = self.report_s
        full = np.broadcast_to(value, t_s.shape if np.ndim(value) == 0 else np.shape(value))
        self.traces[f"dut.{name}"] = Trace(
            f"dut.{name}", UNITS.get(name, "1"), t_s, np.array(full, float), REPORTED
        )

    def path(self, name: str, *changes_s: float, closed: bool = True) -> None:
        """A measured path that starts `closed` and changes at each of `changes_s`."""
        self.measure(f"{name}_path", toggled(self.t_s, changes_s, closed))

    def alarm(self, name: str, *changes_s: float, on: bool = False) -> None:
        """A reported alarm that starts `on` and changes at each of `changes_s`."""
        self.report(f"alarm.{name}", toggled(self.report_s, changes_s, on))

    def note(self, t_s: float, kind: str, **data: object) -> None:
        """Add an event."""
        self.events.append(Event(t_s, kind, kind, data))

    def record(self) -> Record:
        """The record."""
        record = Record([_Source(self.traces)])
        record.events.extend(self.events)
        return record


class _Source:
    def __init__(self, traces: dict[str, Trace]) -> None:
        self._traces = traces

    def traces(self) -> dict[str, Trace]:
        return self._traces


def toggled(t_s: Floats, changes_s: tuple[float, ...], start: bool) -> Floats:
    """0 or 1 at each time: `start`, turned over at each change."""
    flips = np.searchsorted(np.sort(np.asarray(changes_s, float)), t_s + 1e-9, side="right")
    value: Floats = (flips % 2 == (0 if start else 1)).astype(np.float64)
    return value


def quiet(profile: Profile, duration_s: float = 20.0, *, period_s: float = 0.01) -> Story:
    """A charging pack at rest conditions, told by a DUT that reports everything truly and no alarm."""
    story = Story(profile, duration_s, period_s)
    count, cells, sensors = len(story.t_s), profile.pack.cells, profile.pack.sensors
    story.measure("cell_v", np.full((count, cells), 3.30))
    story.measure("cell_a", np.zeros((count, cells)))
    story.measure("temperature_degc", np.full((count, sensors), 25.0))
    story.measure("current_a", 40.0)
    story.measure("pack_v", 3.30 * cells)
    story.measure("link_v", 3.30 * cells)
    story.path("charge")
    story.path("discharge")
    for name in ("main_minus", "main_plus", "charge", "pyro"):
        story.measure(f"switch.{name}", 1.0)
    story.measure("switch.precharge", 0.0)
    reports = len(story.report_s)
    story.report("cell_v", np.full((reports, cells), 3.30))
    story.report("bleeds", np.zeros((reports, cells)))
    story.report("temperature_degc", np.full((reports, sensors), 25.0))
    story.report("current_a", 40.0)
    story.report("pack_v", 3.30 * cells)
    story.report("link_v", 3.30 * cells)
    story.report("soc", 0.5)
    story.report("state", 4.0)
    story.report("charge_limit_a", profile.pack.max_charge_a)
    story.report("discharge_limit_a", profile.pack.max_discharge_a)
    story.report("regen_limit_a", profile.pack.max_charge_a)
    for limit in profile.limits.values():
        story.alarm(limit.alarm or limit.name)
    for alarm in (
        "sum_of_cells",
        "frozen_cell",
        "thermal_runaway",
        "host_timeout",
        "hvil_open",
        "contactor_weld",
    ):
        story.alarm(alarm)
    return story


def with_cell(story: Story, cell: int, start_s: float, voltage_v: float, end_s: float = np.inf) -> None:
    """Step one cell to `voltage_v` from `start_s` to `end_s`, and let the DUT report it."""
    for name, t_s in (("cell_v", story.t_s), ("dut.cell_v", story.report_s)):
        value = story.traces[name].value.copy()
        value[(t_s >= start_s - 1e-9) & (t_s < end_s - 1e-9), cell] = voltage_v
        old = story.traces[name]
        story.traces[name] = Trace(old.name, old.unit, old.t_s, value, old.origin, old.uncertainty)
