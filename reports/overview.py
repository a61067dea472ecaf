"""The overview of one scenario: its main traces over its whole time."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.evidence import Scenario
from bench.record import Trace
from reports.drawing import (
    MEASURED_LINE,
    REPORTED_LINE,
    STYLE,
    dress,
    open_closed,
    quantity,
    svg_bytes,
    thinned,
)
from reports.rows import REPORTED

#: Traces in one overview; all of them are in the evidence.
PANELS = 5

#: What is shown first, after the signals of the scenario's own trips.
_FIRST = ("cell_v", "current_a", "temperature_degc", "charge_path", "discharge_path")


def overview_svg(scenario: Scenario) -> bytes:
    """Return the main measured traces of a scenario over its whole time as SVG, reported ones behind them."""
    traces = scenario.traces
    shown = _shown(scenario)
    with mpl.rc_context(STYLE | {"svg.hashsalt": scenario.name}):
        height = 0.8 + 1.1 * len(shown)
        figure = Figure(figsize=(7.0, height))
        figure.subplots_adjust(left=0.13, right=0.98, top=1 - 0.3 / height, bottom=0.45 / height, hspace=0.14)
        grid = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(grid, shown, strict=True):
            for other, style in ((REPORTED + name, REPORTED_LINE), (name, MEASURED_LINE)):
                if other in traces:
                    _lines(axes, traces[other], style)
            if name.endswith("_path"):
                open_closed(axes)
            axes.set_ylabel(quantity(traces[name]).replace(" ", "\n"))
            axes.yaxis.set_label_coords(-0.095, 0.5)
            dress(axes)
        grid[0].set_title(f"{scenario.result.id}: measured (blue) and reported (orange)", loc="left")
        grid[-1].set_xlabel("bench time [s]")
        return svg_bytes(figure)


def _shown(scenario: Scenario) -> list[str]:
    """The measured traces to show, the most telling first; reported ones only if nothing was measured."""
    names = list(scenario.traces)
    measured = [name for name in names if not name.startswith(REPORTED)]
    wanted = [name for trip in scenario.result.trips for name in (trip.trace, trip.path)]
    order = dict.fromkeys([*wanted, *_FIRST, *(measured or names)])
    shown = [name for name in order if name in (measured or names)][:PANELS]
    return sorted(shown, key=lambda name: name.endswith("_path"))


def _lines(axes: Axes, trace: Trace, style: dict[str, Any]) -> None:
    """Draw every channel; of many, the highest and the lowest at each time."""
    if not len(trace):
        return
    columns = trace.value.reshape(len(trace), -1)
    if columns.shape[1] > 4:
        columns = np.column_stack([np.fmin.reduce(columns, axis=1), np.fmax.reduce(columns, axis=1)])
    if trace.name.endswith("_path"):
        style = style | {"drawstyle": "steps-post"}
    for column in columns.T:
        axes.plot(*thinned(trace.t_s, column), **style)
