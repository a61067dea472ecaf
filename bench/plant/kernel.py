"""The kernel: one compiled call per plant step, however long the step and whatever happens in it.

Inside, the circuit takes what it needs (a whole tick at rest, 20 µs in a short circuit), the cells follow
in steps of at most SLOW_STEP_S, heat and resistances follow every SLOW_STEP_S.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.abuse import advance_abuse
from bench.plant.cells import advance_cells
from bench.plant.circuit import NEVER_S, advance_circuit
from bench.plant.degradation import advance_degradation
from bench.plant.groups import join_groups, sum_stack, terminal_voltages
from bench.plant.heat import SLOW_STEP_S, advance_heat, heater_on
from bench.plant.layout import (
    ARMATURE,
    BOARD_DEGC,
    CAPTURE,
    CELLS_EMF_V,
    CELLS_OHM,
    CHARGE_C,
    CHARGER_A,
    CHARGER_V,
    F_CURRENT_SENSOR_OPEN,
    F_FEEDBACK_CLOSED,
    F_FEEDBACK_OPEN,
    F_HVIL_OPEN,
    F_SUPPLY_OPEN,
    F_WELD,
    FAN_RPM,
    FEEDBACK,
    IN_SUPPLY_V,
    K_STACK_OHM,
    LINK_V,
    LOAD_A,
    MAIN_A,
    OUT_BOARD_DEGC,
    OUT_CAPTURE,
    OUT_CHARGER_A,
    OUT_CHARGER_V,
    OUT_CURRENT_A,
    OUT_FAN_RPM,
    OUT_HEATER_ON,
    OUT_HVIL,
    OUT_LINK_V,
    OUT_LOAD_A,
    OUT_PACK_V,
    OUT_REGEN_A,
    OUT_REGEN_V,
    OUT_SHUNT_A,
    OUT_SHUNT_MEAN_A,
    OUT_SUPPLY_V,
    OUT_TRIP_S,
    OUT_TRIPPED,
    POLARISES_PER_S,
    PYRO,
    REGEN_A,
    SLOW_S,
    TICK_C,
    TRIP_S,
    TRIPPED,
    WELDED,
)
from bench.plant.switches import operate_switches
from bench.plant.tables import refresh_resistances
from bench.plant.wiring import advance_taps, thermistor_inputs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: While the cells' voltages are held over a step, they may polarise by this share of R0 times the current.
HELD_SHARE = 0.5
SHORTEST_S = 1e-3

#: Modules whose functions are compiled into the kernel.
COMPILED = (
    "layout",
    "exact",
    "tables",
    "groups",
    "cells",
    "degradation",
    "abuse",
    "switches",
    "triggers",
    "steps",
    "circuit",
    "heat",
    "wiring",
    "kernel",
    "simulate",
)


@njit  # type: ignore[untyped-decorator]
def stack_current(state: Floats) -> float:
    """Through the shunt [A], positive when it charges."""
    current: float = state[CHARGER_A] - state[MAIN_A]
    return current


@njit  # type: ignore[untyped-decorator]
def publish(
    dt_s: float,
    now_a: float,
    constant: Floats,
    switch: Bools,
    fault: Bools,
    state: Floats,
) -> None:
    """What the port and the terminals show after the step."""
    for k in range(5):
        contact = switch[ARMATURE, k]
        if k != PYRO:
            contact = contact or switch[WELDED, k] or fault[F_WELD + k]
        switch[FEEDBACK, k] = (contact and not fault[F_FEEDBACK_OPEN + k]) or fault[F_FEEDBACK_CLOSED + k]
    sensed = 0.0 if fault[F_CURRENT_SENSOR_OPEN] else 1.0
    state[OUT_BOARD_DEGC] = state[BOARD_DEGC]
    state[OUT_SHUNT_A] = sensed * now_a
    state[OUT_SHUNT_MEAN_A] = sensed * state[TICK_C] / dt_s if dt_s > 0.0 else 0.0
    state[OUT_PACK_V] = state[CELLS_EMF_V] + (state[CELLS_OHM] + constant[K_STACK_OHM]) * now_a
    state[OUT_LINK_V] = state[LINK_V]
    state[OUT_CHARGER_V] = state[CHARGER_V]
    state[OUT_HVIL] = 0.0 if fault[F_HVIL_OPEN] else 1.0
    state[OUT_SUPPLY_V] = 0.0 if fault[F_SUPPLY_OPEN] else state[IN_SUPPLY_V]
    state[OUT_FAN_RPM] = state[FAN_RPM]
    state[OUT_TRIPPED] = state[TRIPPED]
    state[OUT_TRIP_S] = state[TRIP_S]
    state[OUT_CHARGER_A] = state[CHARGER_A]
    state[OUT_REGEN_V] = state[LINK_V]
    state[OUT_REGEN_A] = state[REGEN_A]
    state[OUT_LOAD_A] = state[LOAD_A]
    state[OUT_CURRENT_A] = now_a
    state[OUT_HEATER_ON] = 1.0 if heater_on(constant, fault, state) else 0.0
    state[OUT_CAPTURE] = state[CAPTURE]


@njit  # type: ignore[untyped-decorator]
def longest_step_s(left: float, state: Floats) -> float:
    """How far the circuit may go with the cells' voltages held, in equal steps to the next slow step [s].

    A held EMF answers a current one step late. Where R / tau of the pairs is large against R0, as in the deep
    cold, a parallel cell or a voltage source would then swing up without end.
    """
    slow = SLOW_STEP_S - state[SLOW_S]
    allowed = max(HELD_SHARE / state[POLARISES_PER_S], SHORTEST_S)
    if slow > allowed:
        slow /= math.ceil(slow / allowed - 1e-9)
    step: float = min(left, slow)
    return step


def fingerprint() -> str:
    """Digest of the sources that are compiled into the kernel."""
    digest = hashlib.sha256()
    for name in COMPILED:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


def _compile(fingerprint: str) -> Callable[..., None]:
    """Compile `advance`.

    Numba keys its cache on this file and on what the function closes over, not on the modules it calls. The
    fingerprint is closed over, so a change in any of them is compiled and not run from a stale cache.
    """

    @njit(cache=True)  # type: ignore[untyped-decorator]
    def advance(
        dt_s: float,
        start_s: float,
        constant: Floats,
        ocv: Floats,
        ohm: Floats,
        axis: Floats,
        cell: Floats,
        group: Floats,
        group_flag: Bools,
        tap: Floats,
        sensor: Floats,
        sensor_connected: Bools,
        switch: Bools,
        fault: Bools,
        state: Floats,
        capture: Floats,
    ) -> None:
        if len(fingerprint) == 0:
            return
        left = dt_s
        state[TICK_C] = 0.0
        join_groups(cell, group, state)
        while left > NEVER_S:
            horizon = longest_step_s(left, state)
            sum_stack(group, group_flag, state)
            taken, mean_a, square = advance_circuit(
                state[CELLS_EMF_V],
                state[CELLS_OHM],
                horizon,
                start_s + dt_s - left,
                constant,
                switch,
                fault,
                state,
                capture,
            )
            operate_switches(constant, switch, fault, state)
            advance_cells(taken, mean_a, square, cell, group, group_flag, ocv, constant, state)
            join_groups(cell, group, state)
            terminal_voltages(stack_current(state), group)
            advance_taps(taken, group, group_flag, tap, constant, fault, state)
            state[TICK_C] += mean_a * taken
            state[CHARGE_C] += mean_a * taken
            left -= taken
            state[SLOW_S] += taken
            if state[SLOW_S] > SLOW_STEP_S - 1e-9:
                advance_degradation(state[SLOW_S], cell, ocv, constant, state)
                advance_abuse(state[SLOW_S], cell, constant, state)
                advance_heat(state[SLOW_S], cell, group, sensor, constant, fault, state)
                refresh_resistances(cell, ohm, axis, state)
                join_groups(cell, group, state)
                state[SLOW_S] = 0.0
        sum_stack(group, group_flag, state)
        thermistor_inputs(sensor, sensor_connected, group.shape[1] + 1, constant, fault)
        publish(dt_s, stack_current(state), constant, switch, fault, state)

    compiled: Callable[..., None] = advance
    return compiled


advance = _compile(fingerprint())
