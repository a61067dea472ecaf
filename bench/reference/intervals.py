"""Sets of time intervals, as sorted, disjoint arrays of shape (intervals, 2) [s], closed on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.record import Floats

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

#: Slack [s] for times that are equal on paper: bench time is kept in integer nanoseconds.
EPSILON_S = 1e-9


def nothing() -> Floats:
    """The empty set."""
    return np.empty((0, 2))


def runs(mask: Mask) -> tuple[Indices, Indices]:
    """First and last index of each run of True in `mask` (time,), shapes (runs,), (runs,)."""
    padded = np.zeros(len(mask) + 2, dtype=np.int8)
    padded[1:-1] = mask
    step = np.diff(padded)
    return np.flatnonzero(step == 1), np.flatnonzero(step == -1) - 1


def bridged(t_s: Floats, mask: Mask, dip_s: float) -> Mask:
    """`mask` (time,) with every run of False that was seen for less than `dip_s` [s] filled in.

    Only dips between two True samples are filled: what came before the first sample is not known.
    """
    first, last = runs(~mask)
    inner = (first > 0) & (last < len(mask) - 1)
    short = inner & (t_s[last] - t_s[first] < dip_s - EPSILON_S) if len(first) else inner
    filled = mask.copy()
    for a, b in zip(first[short], last[short], strict=True):
        filled[a : b + 1] = True
    return filled


def union(*sets: Floats) -> Floats:
    """All times that lie in any of `sets`, each (intervals, 2) and not necessarily sorted."""
    every = np.concatenate([nothing(), *sets])
    every = every[every[:, 1] >= every[:, 0]]
    if not len(every):
        return nothing()
    every = every[np.argsort(every[:, 0], kind="stable")]
    reach = np.maximum.accumulate(every[:, 1])
    starts = np.flatnonzero(np.concatenate(([True], every[1:, 0] > reach[:-1])))
    ends = np.append(starts[1:] - 1, len(every) - 1)
    return np.column_stack((every[starts, 0], reach[ends]))


def grown(intervals: Floats, before_s: float, after_s: float) -> Floats:
    """`intervals`, each longer by `before_s` [s] at its start and `after_s` [s] at its end, merged."""
    return union(intervals + np.array([-before_s, after_s]))


def without(intervals: Floats, holes: Floats) -> Floats:
    """`intervals` less the inside of `holes`; both sorted and disjoint."""
    left = intervals
    for start, end in holes:
        before = np.column_stack((left[:, 0], np.minimum(left[:, 1], start)))
        after = np.column_stack((np.maximum(left[:, 0], end), left[:, 1]))
        left = union(before, after)
    return left


def inside(intervals: Floats, t_s: Floats) -> Mask:
    """Whether each time of `t_s` (time,) lies in `intervals` (sorted, disjoint)."""
    if not len(intervals):
        return np.zeros(np.shape(t_s), dtype=np.bool_)
    index = np.searchsorted(intervals[:, 0], t_s + EPSILON_S, side="right") - 1
    found: Mask = (index >= 0) & (t_s <= intervals[np.maximum(index, 0), 1] + EPSILON_S)
    return found


def held(start: Mask, stop: Mask) -> Mask:
    """Set-and-reset, shape (time,) or (time, channels): on from `start` until `stop`; off at first."""
    index = np.arange(1, len(start) + 1).reshape(-1, *[1] * (start.ndim - 1))
    last_start = np.maximum.accumulate(np.where(start, index, 0), axis=0)
    last_stop = np.maximum.accumulate(np.where(stop, index, 0), axis=0)
    found: Mask = last_start > last_stop
    return found


def touches(intervals: Floats, start_s: Floats, end_s: Floats) -> Mask:
    """Whether any of `intervals` (sorted, disjoint) meets each [start_s, end_s] (times,)."""
    begun = np.searchsorted(intervals[:, 0], end_s + EPSILON_S, side="right")
    over = np.searchsorted(intervals[:, 1], start_s - EPSILON_S, side="left")
    found: Mask = begun > over
    return found


def sliding(t_s: Floats, value: Floats, start_s: Floats, end_s: Floats) -> tuple[Floats, Floats]:
    """Least and greatest value that a sampled signal may have had in each [start_s, end_s].

    The signal is taken to stay between two neighbouring samples, so the last sample before and the first
    after the interval count too. nan if any of these samples is nan, or if the interval lies before the first
    sample; of an interval that lies partly outside, the part inside counts.

    Parameters
    ----------
    t_s, value
        Sampled signal, shapes (time,) and (time,) or (time, channels).
    start_s, end_s
        Intervals [s], shape (intervals,).

    Returns
    -------
    tuple
        Two arrays of shape (intervals,) or (intervals, channels).
    """
    count = len(t_s)
    first = np.clip(np.searchsorted(t_s, start_s + EPSILON_S, side="right") - 1, 0, count - 1)
    after = np.clip(np.searchsorted(t_s, end_s - EPSILON_S, side="left"), 0, count - 1) + 1
    edges = np.column_stack((first, np.maximum(after, first + 1))).ravel()
    # reduceat needs every index below the length: one more row that no interval reaches.
    padded = np.concatenate((value, value[-1:]))
    low: Floats = np.minimum.reduceat(padded, edges, axis=0)[::2]
    high: Floats = np.maximum.reduceat(padded, edges, axis=0)[::2]
    unseen = end_s < t_s[0]
    low[unseen] = np.nan
    high[unseen] = np.nan
    return low, high
