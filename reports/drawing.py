"""How figures look: colours, line styles, axes, and few enough points to draw."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bench.record import Floats, Trace
from reports.rows import REPORTED

MEASURED, REPORTED_COLOUR, EXPECTED, LIMIT = "#1f4e9c", "#d9730d", "#2f8f4e", "#b3261e"

# The reported line lies wide and light under the measured one, so that both are seen where they agree.
MEASURED_LINE: dict[str, Any] = {"color": MEASURED, "linewidth": 1.1, "zorder": 3}
REPORTED_LINE: dict[str, Any] = {
    "color": REPORTED_COLOUR, "linewidth": 3, "alpha": 0.55, "drawstyle": "steps-post",
}  # fmt: skip

#: Settings of matplotlib for every figure. Glyphs become outlines, so no viewer needs the font; a dollar
#: sign in a message is no formula.
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "legend.fontsize": 7.5,
    "svg.fonttype": "path",
    "text.parse_math": False,
}  # fmt: skip

#: Samples drawn per line; the extremes of each stretch are kept, so no peak is lost from the picture.
DRAWN = 1200

_UNITS = {"degC": "°C", "ohm": "Ω", "ohm/V": "Ω/V", "1": ""}
_SUFFIXES = ("_v", "_a", "_degc", "_ohm", "_ah", "_s", "_k")


def unit_name(unit: str) -> str:
    """A unit as it is printed; "" for plain numbers and states."""
    return _UNITS.get(unit, unit)


def thinned(t_s: Floats, value: Floats, limit: int = DRAWN) -> tuple[Floats, Floats]:
    """The samples to draw: all if there are few, else the lowest and highest of each stretch in time order.

    Parameters
    ----------
    t_s, value
        Times [s] and values, shape (time,).
    limit
        About how many samples to keep.
    """
    if len(t_s) <= limit:
        return t_s, value
    stretch = math.ceil(2 * len(t_s) / limit)
    whole = len(t_s) // stretch * stretch
    parts = value[:whole].reshape(-1, stretch)
    low = np.argmin(np.where(np.isnan(parts), np.inf, parts), axis=1)
    high = np.argmax(np.where(np.isnan(parts), -np.inf, parts), axis=1)
    offset = np.arange(len(parts)) * stretch
    kept: NDArray[np.intp] = np.unique(
        np.concatenate([[0], offset + low, offset + high, np.arange(whole, len(t_s)), [len(t_s) - 1]])
    )
    return t_s[kept], value[kept]


def dress(axes: Axes) -> None:
    """Grid, frame and few ticks: each tick costs as much time as a line."""
    axes.grid(alpha=0.25, linewidth=0.5)
    if axes.get_autoscaley_on():
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.spines[["top", "right"]].set_visible(False)


def open_closed(axes: Axes) -> None:
    """Make the value axis that of a state."""
    axes.set_ylim(-0.2, 1.2)
    axes.set_yticks([0, 1], ["open", "closed"])


def quantity(trace: Trace) -> str:
    """Name and unit of a trace for an axis: "cell [7] [V]"."""
    unit = unit_name(trace.unit)
    name = trace.name.removeprefix(REPORTED)
    for suffix in _SUFFIXES:
        name = name.replace(f"{suffix}[", " [", 1) if "[" in name else name.removesuffix(suffix)
    name = name.replace("_", " ")
    return f"{name} [{unit}]" if unit else name


def svg_bytes(figure: Figure) -> bytes:
    """A figure as SVG without a date; set `svg.hashsalt` to make its identifiers repeat."""
    FigureCanvasSVG(figure)
    target = io.BytesIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()
