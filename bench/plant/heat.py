"""Heat: cells, coolant, heater, thermistors, electronics board. Stepped every SLOW_STEP_S."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    BLEED_A,
    BOARD_DEGC,
    F_FAN_STOPPED,
    F_HEATER_STUCK,
    F_SUPPLY_OPEN,
    FAN_RPM,
    HEAT_J,
    IN_AMBIENT_DEGC,
    IN_FAN,
    IN_HEATER,
    K_AMBIENT_W,
    K_BLEED_OHM,
    K_BOARD_K_PER_W,
    K_BOARD_LAG_S,
    K_FAN_LAG_S,
    K_FAN_RPM,
    K_FAN_W,
    K_HEAT_CAPACITY,
    K_HEATER_W,
    K_NEIGHBOUR_W,
    K_NTC_BETA,
    K_NTC_R25,
    K_SENSOR_LAG_S,
    SENSOR_CELL,
    SENSOR_DEGC,
    SENSOR_OHM,
    TEMPERATURE,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SLOW_STEP_S = 0.1
KELVIN = 273.15
T25_K = 298.15


@njit  # type: ignore[untyped-decorator]
def thermistor_ohm(temperature_degc: float, r25_ohm: float, beta_k: float) -> float:
    """Beta equation of an NTC [ohm]."""
    return r25_ohm * math.exp(beta_k * (1.0 / (temperature_degc + KELVIN) - 1.0 / T25_K))


@njit  # type: ignore[untyped-decorator]
def heater_on(fault: Bools, state: Floats) -> bool:
    """Whether the heater heats: commanded and supplied, or stuck."""
    return fault[F_HEATER_STUCK] or (state[IN_HEATER] != 0.0 and not fault[F_SUPPLY_OPEN])


@njit  # type: ignore[untyped-decorator]
def advance_heat(
    h: float, cell: Floats, group: Floats, sensor: Floats, constant: Floats, fault: Bools, state: Floats
) -> None:
    """Let `h` [s] pass: heat made in the cells since the last call, conduction, cooling, sensors.

    The cells stand in one row, group after group. Explicit in the conductances: heat capacity over
    conductance is some 1000 s, the step 0.1 s.
    """
    cells = cell.shape[1]
    ambient = state[IN_AMBIENT_DEGC]
    running = state[IN_FAN] if not (fault[F_FAN_STOPPED] or fault[F_SUPPLY_OPEN]) else 0.0
    target_rpm = constant[K_FAN_RPM] * min(max(running, 0.0), 1.0)
    state[FAN_RPM] = target_rpm + (state[FAN_RPM] - target_rpm) * math.exp(-h / constant[K_FAN_LAG_S])
    surface_w = constant[K_AMBIENT_W] + constant[K_FAN_W] * state[FAN_RPM] / constant[K_FAN_RPM]
    heater_j = h * constant[K_HEATER_W] / cells if heater_on(fault, state) else 0.0
    neighbour = constant[K_NEIGHBOUR_W]

    below = cell[TEMPERATURE, 0]
    bleed_w = 0.0
    for k in range(cells):
        here = cell[TEMPERATURE, k]
        above = cell[TEMPERATURE, k + 1] if k + 1 < cells else here
        flow_w = neighbour * (below + above - 2.0 * here) + surface_w * (ambient - here)
        cell[TEMPERATURE, k] = here + (cell[HEAT_J, k] + heater_j + h * flow_w) / constant[K_HEAT_CAPACITY]
        cell[HEAT_J, k] = 0.0
        below = here
    for g in range(group.shape[1]):
        bleed_w += constant[K_BLEED_OHM] * group[BLEED_A, g] ** 2

    board = ambient + constant[K_BOARD_K_PER_W] * bleed_w
    state[BOARD_DEGC] = board + (state[BOARD_DEGC] - board) * math.exp(-h / constant[K_BOARD_LAG_S])
    follow = math.exp(-h / constant[K_SENSOR_LAG_S])
    for j in range(sensor.shape[1]):
        here = cell[TEMPERATURE, int(sensor[SENSOR_CELL, j])]
        sensor[SENSOR_DEGC, j] = here + (sensor[SENSOR_DEGC, j] - here) * follow
        sensor[SENSOR_OHM, j] = thermistor_ohm(
            sensor[SENSOR_DEGC, j], constant[K_NTC_R25], constant[K_NTC_BETA]
        )
