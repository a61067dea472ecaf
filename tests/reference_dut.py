"""A synthetic DUT for the tests of the reference: it samples, debounces, opens and reports.

Written from the profile alone, apart from both the emulated BMS and the reference, so that they share no
mistake. Its errors are drawn at random inside what the profile declares; a defect is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dut_profiles.profile import DeratingTable, Limit, Profile
from tests.reference_records import Story

Floats = NDArray[np.float64]
STEP_S = 0.01


@dataclass
class Stimulus:
    """What is true at each 10 ms; `current_a` flows only through closed paths."""

    cell_v: Floats
    temperature_degc: Floats
    current_a: Floats


@dataclass
class Defects:
    """What is wrong with this one; the default is a sound DUT."""

    trip_offset: dict[str, float] = field(default_factory=dict)
    delay_factor: dict[str, float] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    blind_cell: int | None = None
    leaky: bool = False
    unlatched: bool = False
    silent_alarms: set[str] = field(default_factory=set)
    stuck_alarms: set[str] = field(default_factory=set)
    opens_without_cause_s: float | None = None
    cell_offset_v: float = 0.0
    limit_factor: float = 1.0
    waits: bool = True
    swapped_cells: bool = False


def calm(profile: Profile, duration_s: float, current_a: float = 40.0) -> Stimulus:
    """Cells in the middle, 25 °C, a steady current."""
    count = round(duration_s / STEP_S) + 1
    return Stimulus(
        np.full((count, profile.pack.cells), 3.30) + 0.001 * np.arange(profile.pack.cells),
        np.full((count, profile.pack.sensors), 25.0),
        np.full(count, current_a),
    )


class _Watch:
    """One protection."""

    def __init__(self, profile: Profile, limit: Limit, defects: Defects) -> None:
        self.limit, self.defects = limit, defects
        self.trip = limit.trip + defects.trip_offset.get(limit.name, 0.0)
        self.delay_s = limit.delay_s * defects.delay_factor.get(limit.name, 1.0)
        self.release = limit.trip if limit.release is None else limit.release
        measurement = profile.measurement
        self.period_s = {
            "cell_voltage": measurement.cell_period_s,
            "cell_spread": measurement.cell_period_s,
            "temperature": measurement.temperature_period_s,
            "temperature_spread": measurement.temperature_period_s,
        }.get(limit.quantity, measurement.current_period_s)
        self.counted_s = self.clear_s = 0.0
        self.tripped = False

    def look(self, cell_v: Floats, temperature_degc: Floats, current_a: float) -> None:
        """One sample."""
        value = self._value(cell_v, temperature_degc, current_a)
        sign = 1.0 if self.limit.side == "above" else -1.0
        if self.tripped:
            inside = (
                sign * value <= sign * self.release
                if self.limit.release is not None
                else sign * value < sign * self.trip
            )
            self.clear_s = self.clear_s + self.period_s if inside else 0.0
            free = not self.limit.latched or self.defects.unlatched
            if free and self.clear_s > min(self.limit.delay_s, 1.0):
                self.tripped, self.counted_s, self.clear_s = False, 0.0, 0.0
            return
        if sign * value >= sign * self.trip:
            self.counted_s += self.period_s
            self.tripped = self.counted_s > self.delay_s + 1e-9
        elif not self.defects.leaky:
            self.counted_s = 0.0

    def _value(self, cell_v: Floats, temperature_degc: Floats, current_a: float) -> float:
        above = self.limit.side == "above"
        match self.limit.quantity:
            case "cell_voltage":
                return float(cell_v.max() if above else cell_v.min())
            case "cell_spread":
                return float(cell_v.max() - cell_v.min())
            case "temperature":
                return float(temperature_degc.max() if above else temperature_degc.min())
            case "temperature_spread":
                return float(temperature_degc.max() - temperature_degc.min())
            case "charge_current":
                return current_a
            case "discharge_current":
                return -current_a
            case _:
                return float("inf")


def run(profile: Profile, stimulus: Stimulus, *, seed: int = 0, defects: Defects | None = None) -> Story:
    """Let the DUT live through `stimulus` in charge mode, both paths closed; return the record's story."""
    defects, rng = defects or Defects(), np.random.default_rng(seed)
    count, declared = len(stimulus.current_a), profile.measurement
    story = Story(profile, (count - 1) * STEP_S, STEP_S)
    cell_error = (
        rng.uniform(-0.8, 0.8, profile.pack.cells) * declared.cell_tolerance_v + defects.cell_offset_v
    )
    heat_error = rng.uniform(-0.45, 0.45, profile.pack.sensors) * declared.temperature_tolerance_k
    current_error = rng.uniform(-0.9, 0.9) * declared.current_tolerance_a
    watches = [
        _Watch(profile, limit, defects)
        for limit in profile.limits.values()
        if limit.name not in defects.disabled
        and limit.name != "short_circuit"
        and limit.quantity != "insulation"
    ]
    phase = int(rng.integers(0, 10))
    opening_s = rng.uniform(0.3, 0.95) * profile.switches.opening_s
    closed = {"charge": True, "discharge": True}
    asked: dict[str, float] = {}
    opened_at: dict[str, float] = {}
    shed_a = profile.switches.zero_current_fraction * profile.pack.max_discharge_a
    paths = {name: np.zeros(count) for name in closed}
    current = np.zeros(count)
    seen_v, seen_degc = stimulus.cell_v[0] + cell_error, stimulus.temperature_degc[0] + heat_error
    reports: dict[str, list[object]] = {}
    times: list[float] = []
    for k in range(count):
        t_s = k * STEP_S
        flows = closed["charge"] if stimulus.current_a[k] > 0 else closed["discharge"]
        current[k] = stimulus.current_a[k] if flows else 0.0
        for name in paths:
            paths[name][k] = closed[name]
        if (k + phase) % 5 == 0:
            seen_v = np.round(stimulus.cell_v[k] + cell_error, 3)
            if defects.blind_cell is not None:
                seen_v[defects.blind_cell] = seen_v.mean()
        if (k + phase) % 10 == 0:
            seen_degc = np.round(stimulus.temperature_degc[k] + heat_error, 1)
        seen_a = current[k] + current_error
        for watch in watches:
            if (k + phase) % round(watch.period_s / STEP_S) == 0:
                watch.look(seen_v, seen_degc, seen_a)
        for name in closed:
            levels = [w.limit.level for w in watches if w.tripped and name in w.limit.opens]
            forced = defects.opens_without_cause_s is not None and t_s >= defects.opens_without_cause_s
            if (levels or forced) and closed[name]:
                asked.setdefault(name, t_s)
                wait_s = profile.switches.zero_current_wait_s if max(levels, default=2) == 2 else 0.0
                waited = t_s - asked[name] >= wait_s - 1e-9 or abs(seen_a) < shed_a or not defects.waits
                if waited:
                    opened_at.setdefault(name, t_s)
                    if t_s - opened_at[name] >= opening_s:
                        closed[name] = False
            elif not levels and not forced:
                asked.pop(name, None)
                if not closed[name] and name == "charge" and t_s - opened_at.get(name, t_s) > 1.0:
                    closed[name] = True
                    opened_at.pop(name)
        if (k + phase) % 10 == 3:
            times.append(t_s + 0.004)
            _report(profile, reports, watches, defects, seen_v, seen_degc, seen_a)
    story.measure("cell_v", _noisy(rng, stimulus.cell_v, 0.001), uncertainty=0.001)
    story.measure("cell_a", np.zeros_like(stimulus.cell_v))
    story.measure("temperature_degc", _noisy(rng, stimulus.temperature_degc, 0.1), uncertainty=0.1)
    story.measure("current_a", _noisy(rng, current, 0.2), uncertainty=0.2)
    for name, value in paths.items():
        story.measure(f"{name}_path", value)
    story.start_reports(np.array(times))
    for name, values in reports.items():
        story.report(name, np.array(values, dtype=np.float64))
    return story


def _noisy(rng: np.random.Generator, true: Floats, uncertainty: float) -> Floats:
    """What a bench with this expanded uncertainty reads."""
    return true + np.clip(rng.normal(0.0, uncertainty / 2.0, true.shape), -uncertainty, uncertainty)


def _report(
    profile: Profile,
    reports: dict[str, list[object]],
    watches: list[_Watch],
    defects: Defects,
    cell_v: Floats,
    temperature_degc: Floats,
    current_a: float,
) -> None:
    shown_v = cell_v.copy()
    if defects.swapped_cells:
        shown_v[[2, 3]] = shown_v[[3, 2]]
    reports.setdefault("cell_v", []).append(shown_v)
    reports.setdefault("temperature_degc", []).append(temperature_degc)
    reports.setdefault("current_a", []).append(current_a)
    reports.setdefault("state", []).append(4.0)
    # Two limits may share one alarm.
    alarms: dict[str, bool] = {}
    for watch in watches:
        name = watch.limit.alarm or watch.limit.name
        on = (watch.tripped and name not in defects.silent_alarms) or name in defects.stuck_alarms
        alarms[name] = alarms.get(name, False) or on
    for name, on in alarms.items():
        reports.setdefault(f"alarm.{name}", []).append(float(on))
    for direction, maximum_a in (
        ("charge", profile.pack.max_charge_a),
        ("discharge", profile.pack.max_discharge_a),
    ):
        tables = getattr(profile.derating, direction).values()
        share = min(_fraction(table, cell_v, temperature_degc) for table in tables)
        if any(watch.tripped and direction in watch.limit.opens for watch in watches):
            share = 0.0
        amps = np.floor(2.0 * share * maximum_a * defects.limit_factor) / 2.0
        reports.setdefault(f"{direction}_limit_a", []).append(amps)


def _fraction(table: DeratingTable, cell_v: Floats, temperature_degc: Floats) -> float:
    values = cell_v if table.cell_v is not None else temperature_degc
    x = values.min() if table.uses in ("coldest", "lowest") else values.max()
    return float(np.interp(x, table.axis, table.fraction))
