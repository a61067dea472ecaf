"""When a limit may stand tripped, and when it must: trips held until release or reset.

Two bounds of one set-and-reset element. *Possible* is set by an opportunity and cleared when the signal has
surely been inside the release level for long enough. *Certain* is set by an obligation and cleared at once
when the signal may be inside. A release may be debounced for as long as a trip (the profile declares no
release delay).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.record import Floats
from bench.reference.intervals import Mask, nothing, runs, union
from bench.reference.limits import Bounds, Signal, maybe_inside, surely_inside


def released_s(signal: Signal, limits: Bounds) -> Floats:
    """Intervals in which a DUT has released for certain, shape (intervals, 2) [s].

    From ``delay + delay tolerance + sampling period`` after the signal came inside ``release - tolerance -
    U`` for good.
    """
    first, last = runs(surely_inside(signal, limits, limits.release))
    if not len(first):
        return nothing()
    start, end = signal.t_s[first] + limits.decided_s, signal.t_s[last]
    return np.column_stack((start, end))[start <= end]


def possible_states(
    signal: Signal,
    limits: Bounds,
    trips: Floats,
    *,
    resets_s: Sequence[float] | None = None,
    tripped_before: bool = True,
) -> Floats:
    """Intervals in which the limit may stand tripped, shape (intervals, 2) [s].

    Parameters
    ----------
    signal, limits
        As in `limits.opportunities`.
    trips
        Opportunities, shape (intervals, 2) [s], sorted.
    resets_s
        For a latched limit: times [s] at which it may have been reset with effect. None: not latched.
    tripped_before
        Whether it may stand tripped from before the first sample.
    """
    sets = trips
    if tripped_before:
        sets = union(trips, np.array([[-np.inf, signal.t_s[0]]]))
    if not len(sets):
        return nothing()
    clear = released_s(signal, limits)
    held = _next_start(clear, sets[:, 1])
    if resets_s is not None:
        times = np.sort(np.asarray(resets_s, dtype=np.float64))
        reset = np.append(times, np.inf)[np.searchsorted(times, held, side="left")]
        # Without a reset it stays; a reset takes effect within the delay and one sample.
        held = np.where(np.isfinite(held), reset + limits.decided_s, np.inf)
    return union(np.column_stack((sets[:, 0], held)))


def certain_states(
    signal: Signal,
    limits: Bounds,
    duties: list[tuple[int, Floats]],
    *,
    resets_s: Sequence[float] | None = None,
) -> Floats:
    """Intervals in which the limit must stand tripped, shape (intervals, 2) [s].

    Parameters
    ----------
    duties
        As `limits.obligations` returns them.
    resets_s
        For a latched limit: times [s] of anything that may reset it. None: not latched.
    """
    found = [nothing()]
    for channel, intervals in duties:
        if resets_s is None:
            inside = maybe_inside(signal, limits, limits.release, channel)
            held = _last_before(signal.t_s, inside, intervals[:, 1])
        else:
            times = np.append(np.sort(np.asarray(resets_s, dtype=np.float64)), np.inf)
            held = times[np.searchsorted(times[:-1], intervals[:, 1], side="left")]
        found.append(np.column_stack((intervals[:, 0], held)))
    return union(*found)


def _next_start(clear: Floats, after_s: Floats) -> Floats:
    """First time not before each `after_s` that lies in `clear`; inf if there is none."""
    index = np.searchsorted(clear[:, 1], after_s, side="left") if len(clear) else np.zeros(len(after_s), int)
    starts = np.append(clear[:, 0], np.inf)
    found: Floats = np.maximum(starts[index], after_s)
    return found


def _last_before(t_s: Floats, stop: Mask, after_s: Floats) -> Floats:
    """Time of the last sample before the first one later than each `after_s` at which `stop` holds."""
    hits = np.append(np.flatnonzero(stop), len(t_s))
    index = hits[np.searchsorted(hits, np.searchsorted(t_s, after_s, side="right"))]
    found: Floats = t_s[np.maximum(index - 1, 0)]
    return found
