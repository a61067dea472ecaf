"""Temperatures: hottest, coldest, rate of rise, and the signature of a thermal runaway."""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Trace
from bench.reference.intervals import nothing, runs, sliding, union
from bench.reference.observed import Observed

#: A sensor that rises this fast [K/s] may be taken for a runaway, project default: half of the 1 K/s of the
#: scenario.
RUNAWAY_K_PER_S = 0.5
#: Fall of a cell's voltage [V] that goes with it, project default.
RUNAWAY_DROP_V = 0.05
#: Time [s] over which rise and fall are looked at, project default.
RUNAWAY_SPAN_S = 10.0
#: How long [s] after the signature it still explains a reaction, project default.
_AFTER_S = 10.0


def rate_k_per_s(trace: Trace, span_s: float = RUNAWAY_SPAN_S) -> Floats:
    """Fastest rise over the sensors, as the mean slope over the last `span_s` [s], shape (time,) [K/s].

    nan at samples where no sensor was measured.
    """
    value = trace.value if trace.value.ndim == 2 else trace.value[:, None]
    low, _ = sliding(trace.t_s, value, trace.t_s - span_s, trace.t_s)
    rise = np.fmax.reduce(value - low, axis=1)
    since = np.maximum(np.minimum(trace.t_s - trace.t_s[0], span_s), np.finfo(float).eps)
    rate: Floats = np.where(trace.t_s > trace.t_s[0], rise / since, 0.0)
    return rate


def runaway_signature(observed: Observed) -> Floats:
    """When a thermal runaway may be suspected, shape (intervals, 2) [s].

    A sensor rose by `RUNAWAY_K_PER_S` over `RUNAWAY_SPAN_S` (or by as much as that in one step), and a cell
    fell by `RUNAWAY_DROP_V` in the same time.
    """
    heat, cells = observed.traces.get("temperature_degc"), observed.traces.get("cell_v")
    if heat is None or cells is None:
        return nothing()
    value = heat.value if heat.value.ndim == 2 else heat.value[:, None]
    low, _ = sliding(heat.t_s, value, heat.t_s - RUNAWAY_SPAN_S, heat.t_s)
    hot = np.fmax.reduce(value - low, axis=1) >= RUNAWAY_K_PER_S * RUNAWAY_SPAN_S
    if not np.any(hot):
        return nothing()
    times = heat.t_s[hot]
    window = cells.between(float(times[0]) - 2 * RUNAWAY_SPAN_S, float(times[-1]) + RUNAWAY_SPAN_S)
    if not len(window):
        return nothing()
    cell_v = window.value if window.value.ndim == 2 else window.value[:, None]
    _, high = sliding(window.t_s, cell_v, window.t_s - RUNAWAY_SPAN_S, window.t_s)
    fell = np.fmax.reduce(high - cell_v, axis=1) >= RUNAWAY_DROP_V
    hot_spans = _spans(heat.t_s, hot, RUNAWAY_SPAN_S)
    fell_spans = _spans(window.t_s, fell, RUNAWAY_SPAN_S)
    both = [
        (max(a, c), min(b, d) + _AFTER_S)
        for a, b in hot_spans
        for c, d in fell_spans
        if max(a, c) <= min(b, d)
    ]
    return union(np.array(both, dtype=np.float64).reshape(-1, 2))


def _spans(t_s: Floats, mask: np.ndarray, after_s: float) -> Floats:
    first, last = runs(mask)
    return union(np.column_stack((t_s[first], t_s[last] + after_s)))
