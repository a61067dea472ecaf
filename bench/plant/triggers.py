"""What watches the pack current inside a step: the short-circuit comparator and the armed capture."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    ABOVE,
    ABOVE_S,
    CAPTURE,
    CAPTURE_COUNT,
    CAPTURE_LEVEL_A,
    CAPTURE_PERIOD_S,
    CAPTURE_T0_S,
    IN_DELAY_S,
    IN_RESET,
    IN_THRESHOLD_A,
    PYRO_S,
    TRIP_S,
    TRIPPED,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit  # type: ignore[untyped-decorator]
def compare(before_a: float, after_a: float, h: float, end_s: float, supplied: bool, state: Floats) -> None:
    """The short-circuit comparator on the shunt: level, delay, latch; it fires the pyro switch by itself."""
    dead = state[IN_RESET] != 0.0 or not supplied
    if dead or after_a < state[IN_THRESHOLD_A]:
        state[ABOVE] = 0.0
        if dead:
            state[TRIPPED] = 0.0
        return
    if state[TRIPPED] != 0.0:
        return
    if state[ABOVE] == 0.0:
        state[ABOVE] = 1.0
        rise = after_a - before_a
        share = (after_a - state[IN_THRESHOLD_A]) / rise if rise > 0.0 else 1.0
        state[ABOVE_S] = h * min(share, 1.0)
    else:
        state[ABOVE_S] += h
    over = state[ABOVE_S] - state[IN_DELAY_S]
    if over >= -1e-10:
        state[TRIPPED] = 1.0
        state[TRIP_S] = end_s - over
        if state[PYRO_S] < 0.0:
            state[PYRO_S] = max(over, 0.0)


@njit  # type: ignore[untyped-decorator]
def record(before_a: float, after_a: float, h: float, end_s: float, state: Floats, capture: Floats) -> None:
    """Trigger and fill the meter's capture, linear between the ends of this step."""
    if state[CAPTURE] == 1.0 and abs(after_a) >= state[CAPTURE_LEVEL_A]:
        rise = abs(after_a) - abs(before_a)
        share = (abs(after_a) - state[CAPTURE_LEVEL_A]) / rise if rise > 0.0 else 1.0
        state[CAPTURE_T0_S] = end_s - h * min(share, 1.0)
        state[CAPTURE] = 2.0
        state[CAPTURE_COUNT] = 0.0
    if state[CAPTURE] != 2.0:
        return
    count = int(state[CAPTURE_COUNT])
    while count < capture.shape[0]:
        ago = end_s - (state[CAPTURE_T0_S] + count * state[CAPTURE_PERIOD_S])
        if ago < 0.0:
            break
        capture[count] = after_a + (before_a - after_a) * min(ago / h, 1.0)
        count += 1
    state[CAPTURE_COUNT] = count
    if count >= capture.shape[0]:
        state[CAPTURE] = 3.0
