"""plots/: one figure per trip (stimulus, window, response) and one overview per scenario.

Three columns stay apart by colour: *measured* by an instrument blue, *reported* by the DUT orange,
*expected* from the reference green, with the limit in red. Figures are made without pyplot: no global state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.evidence import Evidence, Scenario, Trip
from bench.record import Floats, Trace
from reports.drawing import (
    EXPECTED,
    LIMIT,
    MEASURED,
    MEASURED_LINE,
    REPORTED_LINE,
    STYLE,
    dress,
    open_closed,
    quantity,
    svg_bytes,
    thinned,
)
from reports.overview import overview_svg
from reports.rows import REPORTED, measured_trace, reported_response_s, reported_trace


def render(evidence: Evidence, out: Path) -> Path:
    """Write every figure of a run as SVG into `out/plots` and return that folder."""
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in evidence.scenarios:
        for name, picture in pictures(scenario):
            (folder / f"{name}.svg").write_bytes(picture)
    return folder


def pictures(scenario: Scenario) -> Iterator[tuple[str, bytes]]:
    """Every figure of one scenario: name without suffix, and SVG bytes."""
    for number, trip in enumerate(scenario.result.trips, start=1):
        if (picture := trip_svg(scenario, trip)) is not None:
            yield f"{scenario.name}_trip{number}", picture
    if len(scenario.traces):
        yield f"{scenario.name}_overview", overview_svg(scenario)


def trip_svg(scenario: Scenario, trip: Trip) -> bytes | None:
    """Return one trip as SVG, zoomed to the event; None if the measured signal was not stored.

    Above: the measured and the reported signal, limit with tolerance band. Below: the measured and the
    reported state of the path. Both: the permitted window.
    """
    key = ("trip_svg", trip)
    if key not in scenario.derived:
        scenario.derived[key] = _trip_svg(scenario, trip)
    picture: bytes | None = scenario.derived[key]
    return picture


def _trip_svg(scenario: Scenario, trip: Trip) -> bytes | None:
    signal = measured_trace(scenario, trip)
    if signal is None or not len(signal):
        return None
    view = _zoom(signal, trip, reported_response_s(scenario, trip))
    reported = reported_trace(scenario, trip)
    with mpl.rc_context(STYLE | {"svg.hashsalt": f"{scenario.name}/{trip.what}"}):
        figure = Figure(figsize=(7.0, 3.7))
        # Fixed margins: a layout engine would draw every figure twice.
        figure.subplots_adjust(left=0.095, right=0.79, top=0.93, bottom=0.12, hspace=0.09)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.set_title(f"{scenario.result.id}: {trip.what} ({signal.name})", loc="left")
        _limit(upper, trip)
        if reported is not None:
            _signal(upper, reported, view, REPORTED_LINE)
        _signal(upper, signal, view, MEASURED_LINE)
        upper.set_ylabel(quantity(signal))
        _path(lower, scenario, trip, view)
        for axes in (upper, lower):
            _window(axes, trip, view)
            dress(axes)
            axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False)
        lower.set_xlim(0 if view.zero_s else view.start_s, float(view.axis(view.end_s)))
        lower.set_xlabel(view.label)
        return svg_bytes(figure)


@dataclass(frozen=True, slots=True)
class _View:
    """The stretch of bench time [s] in view, and the numbers on its axis: short circuits are read in µs."""

    start_s: float
    end_s: float

    @property
    def scale(self) -> float:
        span_s = self.end_s - self.start_s
        return 1e6 if span_s < 5e-3 else 1e3 if span_s < 0.5 else 1.0

    @property
    def zero_s(self) -> float:
        return self.start_s if self.scale > 1 else 0.0

    @property
    def label(self) -> str:
        unit = {1.0: "s", 1e3: "ms", 1e6: "µs"}[self.scale]
        return f"bench time after {self.zero_s:.6f} s [{unit}]" if self.zero_s else f"bench time [{unit}]"

    def axis(self, t_s: Floats | float) -> Floats:
        return (np.asarray(t_s, dtype=np.float64) - self.zero_s) * self.scale


def _zoom(signal: Trace, trip: Trip, reported_s: float) -> _View:
    """What shows the crossing, the window and the response, with some room."""
    first_s, last_s = float(signal.t_s[0]), float(signal.t_s[-1])
    marks = [trip.earliest_s, trip.latest_s, trip.response_s, reported_s, _crossing_s(signal, trip)]
    inside = [mark for mark in marks if math.isfinite(mark) and first_s <= mark <= last_s]
    if not inside:
        return _View(first_s, last_s)
    room = 0.3 * max(max(inside) - min(inside), 5 * signal.period_s if len(signal) > 1 else 1.0)
    return _View(max(first_s, min(inside) - room), min(last_s, max(inside) + room))


def _crossing_s(signal: Trace, trip: Trip) -> float:
    """When the signal first crosses the limit [s], from whichever side it starts; nan if never."""
    value = signal.value if signal.value.ndim == 1 else signal.value[:, 0]
    above = value > trip.limit
    changes = np.flatnonzero(above[1:] != above[:-1])
    return float(signal.t_s[changes[0] + 1]) if changes.size else math.nan


def _limit(axes: Axes, trip: Trip) -> None:
    axes.axhline(trip.limit, color=LIMIT, linewidth=1, linestyle="--", label="limit")
    if trip.tolerance > 0:
        low, high = trip.limit - trip.tolerance, trip.limit + trip.tolerance
        axes.axhspan(low, high, color=LIMIT, alpha=0.12, linewidth=0, label="its tolerance")


def _window(axes: Axes, trip: Trip, view: _View) -> None:
    """Shade the permitted window and mark the measured response."""
    if not math.isnan(trip.earliest_s) and not math.isnan(trip.latest_s):
        low_s, high_s = np.clip((trip.earliest_s, trip.latest_s), view.start_s, view.end_s)
        low, high = float(view.axis(float(low_s))), float(view.axis(float(high_s)))
        axes.axvspan(low, high, color=EXPECTED, alpha=0.18, linewidth=0, label="expected window")
    if math.isfinite(trip.response_s):
        at = float(view.axis(trip.response_s))
        axes.axvline(at, color=MEASURED, linewidth=1, linestyle=":", label="measured response")


def _path(axes: Axes, scenario: Scenario, trip: Trip, view: _View) -> None:
    """Draw the measured and the reported state of the path that had to act."""
    traces = scenario.traces
    for name, style in ((REPORTED + trip.path, REPORTED_LINE), (trip.path, MEASURED_LINE)):
        if trip.path and name in traces:
            _signal(axes, traces[name], view, style | {"drawstyle": "steps-post"})
    open_closed(axes)
    axes.set_ylabel(trip.path.replace("_", " "))


def _signal(axes: Axes, trace: Trace, view: _View, style: dict[str, Any]) -> None:
    """Draw the part of a trace in view, with one sample either side so that lines reach the edges."""
    first, last = np.searchsorted(trace.t_s, (view.start_s, view.end_s))
    part = slice(max(0, int(first) - 1), int(last) + 1)
    value = trace.value[part] if trace.value.ndim == 1 else trace.value[part, 0]
    t_s, value = thinned(trace.t_s[part], value)
    label = f"{trace.origin.kind}, {trace.origin.source}"
    axes.plot(view.axis(t_s), value, label=label, **style)
