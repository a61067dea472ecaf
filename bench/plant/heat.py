"""Heat: cells, air or coolant, heater, thermistors, electronics board. Stepped every SLOW_STEP_S."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    BLEED_A,
    BOARD_DEGC,
    COOLANT_DEGC,
    F_FAN_STOPPED,
    F_HEATER_STUCK,
    FAN_RPM,
    HEAT_J,
    IN_AMBIENT_DEGC,
    IN_FAN,
    IN_HEATER,
    K_AMBIENT_W,
    K_BLEED_OHM,
    K_BOARD_K_PER_W,
    K_BOARD_LAG_S,
    K_COOLANT_J,
    K_COOLANT_W,
    K_FAN_LAG_S,
    K_FAN_RPM,
    K_FAN_W,
    K_HEAT_CAPACITY,
    K_HEATER_W,
    K_NEIGHBOUR_W,
    K_NTC_BETA,
    K_NTC_R25,
    K_PLATE_W,
    K_RADIATOR_W,
    K_SENSOR_LAG_S,
    SENSOR_CELL,
    SENSOR_DEGC,
    SENSOR_OHM,
    TEMPERATURE,
)
from bench.plant.switches import is_supplied

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
def heater_on(constant: Floats, fault: Bools, state: Floats) -> bool:
    """Whether the heater heats: commanded and supplied, or stuck."""
    asked: bool = state[IN_HEATER] != 0.0 and is_supplied(constant, fault, state)
    return fault[F_HEATER_STUCK] or asked


@njit  # type: ignore[untyped-decorator]
def turn_cooler(h: float, constant: Floats, fault: Bools, state: Floats) -> float:
    """Let fan or pump follow its command; its speed as a share of full speed."""
    running = state[IN_FAN] if is_supplied(constant, fault, state) and not fault[F_FAN_STOPPED] else 0.0
    target_rpm = constant[K_FAN_RPM] * min(max(running, 0.0), 1.0)
    state[FAN_RPM] = target_rpm + (state[FAN_RPM] - target_rpm) * math.exp(-h / constant[K_FAN_LAG_S])
    share: float = state[FAN_RPM] / constant[K_FAN_RPM]
    return share


@njit  # type: ignore[untyped-decorator]
def cool_by_plate(h: float, speed: float, cell: Floats, constant: Floats, state: Floats) -> None:
    """Take heat out of the cells into the coolant, which warms on its way, and from there to the radiator.

    A cell and the coolant that passes it are a heat exchanger with one still side: over the cell the coolant
    nears the cell's temperature by 1 - exp(-plate / carried).
    """
    carried = constant[K_COOLANT_W] * speed
    if constant[K_PLATE_W] == 0.0 or carried < 1e-6 * constant[K_PLATE_W]:
        return
    nears = -math.expm1(-constant[K_PLATE_W] / carried)
    passing = state[COOLANT_DEGC]
    for k in range(cell.shape[1]):
        flow_w = carried * nears * (cell[TEMPERATURE, k] - passing)
        cell[HEAT_J, k] -= h * flow_w
        passing += flow_w / carried
    radiated_w = constant[K_RADIATOR_W] * speed * (state[COOLANT_DEGC] - state[IN_AMBIENT_DEGC])
    gained_w = carried * (passing - state[COOLANT_DEGC])
    state[COOLANT_DEGC] += h * (gained_w - radiated_w) / constant[K_COOLANT_J]


@njit  # type: ignore[untyped-decorator]
def conduct(h: float, speed: float, cell: Floats, constant: Floats, fault: Bools, state: Floats) -> None:
    """Bring the heat of the last step into the cells; conduction between neighbours, heater, air.

    The cells stand in one row, group after group. Explicit in the conductances: heat capacity over
    conductance is some 1000 s, the step 0.1 s.
    """
    cells = cell.shape[1]
    ambient, neighbour = state[IN_AMBIENT_DEGC], constant[K_NEIGHBOUR_W]
    air_w = constant[K_AMBIENT_W] + (constant[K_FAN_W] * speed if constant[K_PLATE_W] == 0.0 else 0.0)
    heater_j = h * constant[K_HEATER_W] / cells if heater_on(constant, fault, state) else 0.0
    below = cell[TEMPERATURE, 0]
    for k in range(cells):
        here = cell[TEMPERATURE, k]
        above = cell[TEMPERATURE, k + 1] if k + 1 < cells else here
        flow_w = neighbour * (below + above - 2.0 * here) + air_w * (ambient - here)
        cell[TEMPERATURE, k] = here + (cell[HEAT_J, k] + heater_j + h * flow_w) / constant[K_HEAT_CAPACITY]
        cell[HEAT_J, k] = 0.0
        below = here


@njit  # type: ignore[untyped-decorator]
def warm_sensors(h: float, cell: Floats, sensor: Floats, constant: Floats) -> None:
    """Let each thermistor follow the cell that it is glued to."""
    follow = math.exp(-h / constant[K_SENSOR_LAG_S])
    for j in range(sensor.shape[1]):
        here = cell[TEMPERATURE, int(sensor[SENSOR_CELL, j])]
        sensor[SENSOR_DEGC, j] = here + (sensor[SENSOR_DEGC, j] - here) * follow
        sensor[SENSOR_OHM, j] = thermistor_ohm(
            sensor[SENSOR_DEGC, j], constant[K_NTC_R25], constant[K_NTC_BETA]
        )


@njit  # type: ignore[untyped-decorator]
def advance_heat(
    h: float, cell: Floats, group: Floats, sensor: Floats, constant: Floats, fault: Bools, state: Floats
) -> None:
    """Let `h` [s] pass: heat made in the cells since the last call, cooling, conduction, board, sensors."""
    speed = turn_cooler(h, constant, fault, state)
    cool_by_plate(h, speed, cell, constant, state)
    conduct(h, speed, cell, constant, fault, state)
    bleed_w = 0.0
    for g in range(group.shape[1]):
        bleed_w += constant[K_BLEED_OHM] * group[BLEED_A, g] ** 2
    board = state[IN_AMBIENT_DEGC] + constant[K_BOARD_K_PER_W] * bleed_w
    state[BOARD_DEGC] = board + (state[BOARD_DEGC] - board) * math.exp(-h / constant[K_BOARD_LAG_S])
    warm_sensors(h, cell, sensor, constant)
