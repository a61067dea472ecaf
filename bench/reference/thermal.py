"""Temperatures: hottest, coldest, rate of rise, and the signature of a thermal runaway."""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Trace
from bench.reference.intervals import nothing, runs, sliding, union
from bench.reference.observed import Observed

#: A sensor that rises this fast [K/s] over `RUNAWAY_SPAN_S` may be taken for a runaway, project default: two
#: seconds of the 1 K/s of the scenario.
RUNAWAY_K_PER_S = 0.2
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
    hot = _moved(heat, RUNAWAY_K_PER_S * RUNAWAY_SPAN_S, upwards=True)
    if not len(hot):
        return nothing()
    fell = _moved(cells, RUNAWAY_DROP_V, upwards=False)
    both = [(max(a, c), min(b, d) + _AFTER_S) for a, b in hot for c, d in fell if max(a, c) <= min(b, d)]
    return union(np.array(both, dtype=np.float64).reshape(-1, 2))


def _moved(trace: Trace, by: float, *, upwards: bool) -> Floats:
    """When any channel had moved `by` within `RUNAWAY_SPAN_S`, and `RUNAWAY_SPAN_S` after that."""
    # Five looks in a second are enough for what takes ten.
    step = max(1, round(0.2 / max(trace.period_s, 1e-3))) if len(trace) > 1 else 1
    t_s, value = trace.t_s[::step], trace.value[::step]
    value = value if value.ndim == 2 else value[:, None]
    if not np.any(np.fmax.reduce(value, axis=0) - np.fmin.reduce(value, axis=0) >= by):
        return nothing()
    # Channels may not have been measured from the start on.
    low, _ = sliding(t_s, np.where(np.isnan(value), np.inf, value), t_s - RUNAWAY_SPAN_S, t_s)
    _, high = sliding(t_s, np.where(np.isnan(value), -np.inf, value), t_s - RUNAWAY_SPAN_S, t_s)
    change = value - low if upwards else high - value
    first, last = runs(np.fmax.reduce(change, axis=1) >= by)
    return union(np.column_stack((t_s[first], t_s[last] + RUNAWAY_SPAN_S)))
