"""Sense wires, front-end inputs, cell-emulator channels, thermistor inputs, and their faults.

n cells have n + 1 taps. Each tap reaches the front end through its wire; the front end puts a capacitor and
a high resistance between neighbouring inputs, a small bias current into each, the bleed resistor of a cell
between its two inputs, and, for the open-wire test, a current into or out of all of them. A sound wire
hides all of this but the drop of the bleed current. An open one leaves its input to float on it: slowly at
rest, at once under the test current, which pulls the input towards a neighbour until the protection diode
between them conducts. So with pull-up the cell above the open tap reads near zero and the one below it near
double; with pull-down the other way round. The ends differ: the front end is supplied from the stack's
ends, so an open top tap goes to zero with pull-down only, an open bottom tap with pull-up only.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    AFE_V,
    BLEED,
    BLEED_A,
    BLEED_J,
    CELL_V,
    CHANNEL_A,
    CHANNEL_SET_V,
    CHANNEL_V,
    CONNECTED,
    F_TAPS,
    IN_OPEN_WIRE,
    K_BLEED_OHM,
    K_CHANNEL_OHM,
    K_NTC_BETA,
    K_NTC_PULLUP,
    K_NTC_R25,
    K_NTC_REFERENCE,
    K_WIRE_OHM,
    OPENED,
    SENSE_A,
    SENSOR_OHM,
    SENSOR_SET_V,
    SENSOR_V,
    TAP_C,
    TAP_D,
    TAP_G,
    TAP_P,
    TAP_X,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Front end, all project defaults of the usual order: filter capacitor and input resistance between inputs,
# bias and test currents per input, protection diode.
FILTER_F = 47e-9
INPUT_OHM = 20e6
BIAS_A = 0.05e-6
TEST_A = 100e-6
DIODE_S = 1.0
SERIES_FAULT_OHM = 1000.0
OPEN_S = 1e-12  # conductance of an open wire
OFFSET_FAULT_K = 10.0
T25_K = 298.15


@njit  # type: ignore[untyped-decorator]
def at_rest(group: Floats, group_flag: Bools, fault: Bools, state: Floats) -> bool:
    """Whether no input carries a current worth solving for."""
    cells = group.shape[1]
    if state[IN_OPEN_WIRE] != 0.0:
        return False
    for k in range(cells):
        if group_flag[BLEED, k]:
            return False
    return not fault[F_TAPS : F_TAPS + 2 * (cells + 1)].any()


@njit  # type: ignore[untyped-decorator]
def advance_taps(
    h: float,
    group: Floats,
    group_flag: Bools,
    tap: Floats,
    constant: Floats,
    fault: Bools,
    state: Floats,
) -> None:
    """Front-end voltages, bleed and sense currents after `h` [s]; implicit in the filter capacitors."""
    cells = group.shape[1]
    for k in range(cells):
        if group_flag[CONNECTED, k]:
            if group_flag[OPENED, k]:
                group[CELL_V, k] = _floating(h, group[CHANNEL_V, k], group_flag[BLEED, k], constant, state)
            else:
                group[CELL_V, k] = group[CHANNEL_SET_V, k] - constant[K_CHANNEL_OHM] * group[SENSE_A, k]
    if at_rest(group, group_flag, fault, state):
        for k in range(cells):
            group[AFE_V, k] = group[CELL_V, k]
            group[SENSE_A, k] = group[BLEED_A, k] = 0.0
    else:
        _place_sources(group, tap, constant, fault)
        _solve_with_diodes(h, group, group_flag, tap, constant, fault, state)
        _share_currents(h, group, group_flag, tap, constant, state)
    for k in range(cells):
        connected = group_flag[CONNECTED, k] and not group_flag[OPENED, k]
        # Its sense pair is at the tap, so with the channel off it reads the cell that is there.
        group[CHANNEL_V, k] = group[CELL_V, k]
        group[CHANNEL_A, k] = group[SENSE_A, k] if connected else 0.0


@njit  # type: ignore[untyped-decorator]
def _floating(h: float, tap_v: float, bleed: bool, constant: Floats, state: Floats) -> float:
    """Between two taps that an open channel left alone: the filter capacitor empties into what is there.

    The part of the stack above hangs on nothing else, so a test current discharges it whichever way it flows.
    """
    load_s = 1.0 / INPUT_OHM
    if bleed:
        load_s += 1.0 / constant[K_BLEED_OHM]
    tap_v *= math.exp(-h * load_s / FILTER_F)
    test_v = abs(state[IN_OPEN_WIRE]) * TEST_A * h / FILTER_F
    floating_v: float = max(0.0, tap_v - test_v) if tap_v > 0.0 else min(0.0, tap_v + test_v)
    return floating_v


@njit  # type: ignore[untyped-decorator]
def _place_sources(group: Floats, tap: Floats, constant: Floats, fault: Bools) -> None:
    taps = group.shape[1] + 1
    potential = 0.0
    for k in range(taps):
        tap[TAP_P, k] = potential
        if k + 1 < taps:
            potential += group[CELL_V, k]
        ohm = constant[K_WIRE_OHM]
        if fault[F_TAPS + taps + k]:
            ohm += SERIES_FAULT_OHM
        tap[TAP_G, k] = OPEN_S if fault[F_TAPS + k] else 1.0 / ohm


@njit  # type: ignore[untyped-decorator]
def _solve_with_diodes(
    h: float,
    group: Floats,
    group_flag: Bools,
    tap: Floats,
    constant: Floats,
    fault: Bools,
    state: Floats,
) -> None:
    # BLEED_A holds each diode's conductance meanwhile; it is overwritten with the current afterwards.
    cells = group.shape[1]
    taps = cells + 1
    for k in range(cells):
        group[BLEED_A, k] = 0.0
    top = bottom = 0.0
    _eliminate(h, group, group_flag, tap, constant, state, top, bottom)
    for _ in range(4):
        changed = False
        for k in range(cells):
            wires = fault[F_TAPS + k] or fault[F_TAPS + k + 1]
            wires = wires or fault[F_TAPS + taps + k] or fault[F_TAPS + taps + k + 1]
            across = tap[TAP_X, k + 1] - tap[TAP_X, k]
            if wires and across < -1e-6 and group[BLEED_A, k] == 0.0:
                group[BLEED_A, k] = DIODE_S
                changed = True
        if top == 0.0 and fault[F_TAPS + cells] and tap[TAP_X, cells] > tap[TAP_P, cells] + 1e-6:
            top = DIODE_S
            changed = True
        if bottom == 0.0 and fault[F_TAPS] and tap[TAP_X, 0] < tap[TAP_P, 0] - 1e-6:
            bottom = DIODE_S
            changed = True
        if not changed:
            break
        _eliminate(h, group, group_flag, tap, constant, state, top, bottom)


@njit  # type: ignore[untyped-decorator]
def _link(h: float, k: int, group: Floats, group_flag: Bools, constant: Floats) -> float:
    """Conductance between inputs k and k + 1 [S], the capacitor as its implicit equivalent."""
    conductance: float = 1.0 / INPUT_OHM + FILTER_F / h + group[BLEED_A, k]
    if group_flag[BLEED, k]:
        conductance += 1.0 / constant[K_BLEED_OHM]
    return conductance


@njit  # type: ignore[untyped-decorator]
def _eliminate(
    h: float,
    group: Floats,
    group_flag: Bools,
    tap: Floats,
    constant: Floats,
    state: Floats,
    top_s: float,
    bottom_s: float,
) -> None:
    """Node voltages of the ladder by elimination of its tridiagonal system."""
    taps = tap.shape[1]
    drive = state[IN_OPEN_WIRE] * TEST_A - BIAS_A
    below = 0.0
    for k in range(taps):
        above = _link(h, k, group, group_flag, constant) if k + 1 < taps else 0.0
        diagonal = tap[TAP_G, k] + below + above
        right = tap[TAP_G, k] * tap[TAP_P, k] + drive
        if k == 0:
            diagonal += bottom_s
            right += bottom_s * tap[TAP_P, 0]
        if k == taps - 1:
            diagonal += top_s
            right += top_s * tap[TAP_P, k]
        if k > 0:
            right += FILTER_F / h * group[AFE_V, k - 1]
        if k + 1 < taps:
            right -= FILTER_F / h * group[AFE_V, k]
        if k > 0:
            diagonal -= below * tap[TAP_C, k - 1]
            right += below * tap[TAP_D, k - 1]
        tap[TAP_C, k] = above / diagonal
        tap[TAP_D, k] = right / diagonal
        below = above
    tap[TAP_X, taps - 1] = tap[TAP_D, taps - 1]
    for k in range(taps - 2, -1, -1):
        tap[TAP_X, k] = tap[TAP_D, k] + tap[TAP_C, k] * tap[TAP_X, k + 1]


@njit  # type: ignore[untyped-decorator]
def _share_currents(
    h: float, group: Floats, group_flag: Bools, tap: Floats, constant: Floats, state: Floats
) -> None:
    """A cell carries what leaves through all taps above it."""
    above_a = bleed_j = 0.0
    for k in range(group.shape[1] - 1, -1, -1):
        above_a += tap[TAP_G, k + 1] * (tap[TAP_P, k + 1] - tap[TAP_X, k + 1])
        group[SENSE_A, k] = above_a
        group[AFE_V, k] = tap[TAP_X, k + 1] - tap[TAP_X, k]
        group[BLEED_A, k] = group[AFE_V, k] / constant[K_BLEED_OHM] if group_flag[BLEED, k] else 0.0
        bleed_j += h * group[CELL_V, k] * above_a
    state[BLEED_J] += bleed_j


@njit  # type: ignore[untyped-decorator]
def thermistor_inputs(sensor: Floats, connected: Bools, taps: int, constant: Floats, fault: Bools) -> None:
    """Voltages at the thermistor inputs; a driven input is driven through the fault box."""
    sensors = sensor.shape[1]
    pullup, reference = constant[K_NTC_PULLUP], constant[K_NTC_REFERENCE]
    base = F_TAPS + 2 * taps
    for j in range(sensors):
        ohm = sensor[SENSOR_OHM, j]
        driven = connected[j]
        if driven:
            part = min(max(sensor[SENSOR_SET_V, j] / reference, 1e-6), 1.0 - 1e-6)
            ohm = pullup * part / (1.0 - part)
        if fault[base + 2 * sensors + j]:
            kelvin = 1.0 / (1.0 / T25_K + math.log(ohm / constant[K_NTC_R25]) / constant[K_NTC_BETA])
            ohm *= math.exp(constant[K_NTC_BETA] * (1.0 / (kelvin + OFFSET_FAULT_K) - 1.0 / kelvin))
        elif driven:
            sensor[SENSOR_V, j] = sensor[SENSOR_SET_V, j]
        if not driven or fault[base + 2 * sensors + j]:
            sensor[SENSOR_V, j] = reference * ohm / (ohm + pullup)
        if fault[base + j]:
            sensor[SENSOR_V, j] = reference
        if fault[base + sensors + j]:
            sensor[SENSOR_V, j] = 0.0
