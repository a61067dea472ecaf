"""Alarms that no limit stands behind: when what was measured, or what was done, gives cause for them."""

from __future__ import annotations

import numpy as np

from bench.record import Floats
from bench.reference.intervals import inside, nothing, runs, sliding, touches, union
from bench.reference.observed import Observed
from bench.reference.story import BOOT_S, RECOVERY_S
from bench.reference.thermal import runaway_signature

#: Faults (by the start of their names) that give cause for an alarm.
FAULTS_BEHIND: dict[str, tuple[str, ...]] = {
    "open_sense_wire": ("open_sense_wire", "series_sense_wire"),
    "sum_of_cells": ("open_sense_wire", "series_sense_wire"),
    "frozen_cell": ("open_sense_wire", "series_sense_wire"),
    "afe_fault": ("afe",),
    "thermistor_fault": ("ntc_",),
    "current_sensor": ("current_sensor", "short_circuit"),
    "contactor_feedback": ("feedback_", "weld_", "short_circuit"),
    "contactor_weld": ("weld_", "feedback_"),
    "precharge_failed": ("precharge", "weld_", "feedback_", "short_circuit"),
    "hvil_open": ("hvil",),
    "cooling_failure": ("fan_", "heater_"),
    "memory_fault": ("memory",),
    "supply_undervoltage": ("dut_supply",),
    "balancing_fault": ("balancing", "bleed", "open_sense_wire", "series_sense_wire"),
    "current_on_open_path": ("weld_", "feedback_"),
}
#: Rules that may open a path by themselves.
OPENING = ("sum_of_cells", "frozen_cell", "thermal_runaway", "current_on_open_path")
#: An opening may come this long [s] before its alarm is seen, project default.
_BEFORE_REPORT_S = 1.0


def causes(observed: Observed, alarm: str) -> Floats:
    """When there is cause for `alarm`, which is not that of a limit, shape (intervals, 2) [s].

    A cause stays one for `story.RECOVERY_S` after it has gone. An alarm that this module does not know has
    cause while any fault is in.
    """
    story = observed.story
    stems = FAULTS_BEHIND.get(alarm)
    parts = [story.dark]
    if stems:
        parts.append(story.faulty(*stems))
        # A fault whose name says nothing may be behind any of them.
        parts += [story.faulty(fault.name) for fault in story.faults if "all" in fault.blinds]
    match alarm:
        case "host_timeout":
            parts.append(union(story.silent + np.array([0.0, RECOVERY_S])))
        case "host_frame_rejected":
            parts.append(np.array([(t, t + RECOVERY_S) for t in story.host_s]).reshape(-1, 2))
        case "sum_of_cells" | "frozen_cell" | "thermal_runaway" | "current_on_open_path" | "precharge_failed":
            parts.append(_MEASURED[alarm](observed))
        case _ if stems is None:
            parts.append(story.faulty())
    return union(*parts)


def opening_reasons(observed: Observed) -> Floats:
    """When one of the plausibility rules may open a path: measurements give cause, and the DUT reports it.

    A cause alone is not enough: cells that an emulator holds still for a minute would excuse every opening.
    """
    parts = [nothing()]
    for alarm in OPENING:
        trace = observed.traces.get(f"dut.alarm.{alarm}")
        if trace is None or not np.any(trace.value >= 0.5):
            continue
        first, last = runs(trace.value >= 0.5)
        reported = np.column_stack((trace.t_s[first] - _BEFORE_REPORT_S, trace.t_s[last]))
        cause = causes(observed, alarm)
        parts.append(reported[touches(cause, reported[:, 0], reported[:, 1])])
    return union(*parts)


def sum_of_cells(observed: Observed) -> Floats:
    """When the measured cells may differ from the measured pack by more than `sum_of_cells_fraction`.

    The DUT may be off by its declared cell tolerance times the cells, and by its pack tolerance.
    """
    cells, pack = observed.traces.get("cell_v"), observed.traces.get("pack_v")
    if cells is None or pack is None or cells.value.ndim != 2:
        return nothing()
    profile = observed.profile
    total = cells.value.sum(axis=1)
    low, high = sliding(pack.t_s, pack.value, cells.t_s, cells.t_s)
    apart = np.fmax(np.abs(total - low), np.abs(total - high))
    tolerance = (
        profile.measurement.cell_tolerance_v * cells.value.shape[1]
        + profile.measurement.pack_tolerance_fraction * np.abs(high)
        + cells.uncertainty * cells.value.shape[1]
        + pack.uncertainty
    )
    with np.errstate(invalid="ignore"):
        differs = apart > profile.plausibility.sum_of_cells_fraction * np.abs(low) - tolerance
    return _spans(cells.t_s, differs)


def frozen_cell(observed: Observed) -> Floats:
    """When a cell's voltage stood still for `frozen_cell_s`, so that a DUT may take it for frozen."""
    cells = observed.traces.get("cell_v")
    if cells is None:
        return nothing()
    span_s = observed.profile.plausibility.frozen_cell_s * 0.9
    if cells.t_s[-1] - cells.t_s[0] < span_s:
        return nothing()
    # Looked at once in a second: what stands still for a minute does so at these times too.
    step = max(1, round(1.0 / max(observed.period_s("cell_v"), 1e-3)))
    t_s, value = cells.t_s[::step], cells.value[::step]
    value = value if value.ndim == 2 else value[:, None]
    low, high = sliding(t_s, value, t_s - span_s, t_s)
    still = np.any(high - low <= 2.0 * observed.profile.measurement.cell_tolerance_v, axis=1)
    still &= t_s - t_s[0] >= span_s
    return _spans(t_s, still)


def current_on_open_path(observed: Observed) -> Floats:
    """When current may flow although both paths are open."""
    current = observed.traces.get("current_a")
    paths = [observed.traces.get(f"{path}_path") for path in ("charge", "discharge")]
    if current is None or any(path is None for path in paths):
        return nothing()
    declared = observed.profile.measurement
    floor_a = max(current.uncertainty, declared.current_tolerance_a)
    flows = np.abs(current.value) > floor_a
    opened = np.ones(len(current), dtype=np.bool_)
    for path in paths:
        if path is not None:
            index = np.clip(np.searchsorted(path.t_s, current.t_s, side="right") - 1, 0, len(path) - 1)
            opened &= path.value[index] < 0.5
    first, last = runs(flows & opened)
    # The last sample of a current that is being cut off lies on the open side: that is no cause.
    long = current.t_s[last] - current.t_s[first] >= 5.0 * observed.period_s("current_a")
    return union(np.column_stack((current.t_s[first], current.t_s[last] + RECOVERY_S))[long])


def precharge_failed(observed: Observed) -> Floats:
    """When a precharge ran for about as long as it may without the main contactor closing after it."""
    precharge = observed.traces.get("switch.precharge")
    if precharge is None:
        return nothing()
    first, last = runs(precharge.value >= 0.5)
    start, end = precharge.t_s[first], precharge.t_s[last]
    long = end - start >= 0.8 * observed.profile.precharge.timeout_s
    return union(np.column_stack((start, np.full_like(start, np.inf)))[long])


def _spans(t_s: Floats, mask: np.ndarray) -> Floats:
    first, last = runs(mask)
    return union(np.column_stack((t_s[first], t_s[last] + RECOVERY_S)))


def settling(observed: Observed) -> Floats:
    """The time after the DUT's first report in which its alarms still show what was before."""
    return np.array([[-np.inf, observed.awake_s + BOOT_S]])


def certain_sum_of_cells(observed: Observed) -> Floats:
    """When the DUT must have reported `sum_of_cells`, shape (intervals, 2) [s]."""
    cells, pack = observed.traces.get("cell_v"), observed.traces.get("pack_v")
    if cells is None or pack is None or cells.value.ndim != 2:
        return nothing()
    profile = observed.profile
    total = cells.value.sum(axis=1)
    low, high = sliding(pack.t_s, pack.value, cells.t_s, cells.t_s)
    tolerance = (
        (profile.measurement.cell_tolerance_v + cells.uncertainty) * cells.value.shape[1]
        + profile.measurement.pack_tolerance_fraction * np.abs(high)
        + pack.uncertainty
    )
    apart = np.minimum(np.abs(total - low), np.abs(total - high))
    with np.errstate(invalid="ignore"):
        differs = apart > profile.plausibility.sum_of_cells_fraction * np.abs(high) + tolerance
    differs &= ~inside(observed.story.blind("cell_voltage"), cells.t_s)
    first, last = runs(differs)
    due = cells.t_s[first] + profile.plausibility.sum_of_cells_s
    return union(np.column_stack((due, cells.t_s[last])))


_MEASURED = {
    "sum_of_cells": sum_of_cells,
    "frozen_cell": frozen_cell,
    "thermal_runaway": runaway_signature,
    "current_on_open_path": current_on_open_path,
    "precharge_failed": precharge_failed,
}
