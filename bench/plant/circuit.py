"""The power circuit: precharge, link bus, short circuit, charger, regen source and load, in exact steps.

How long a step may be is decided here. A step that would leave the line of a source or load is halved until
it does not, and what moves faster than a tick is stepped finely, so the result does not depend on the tick.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    ABOVE,
    ABOVE_S,
    ARMATURE,
    BRANCH_OHM,
    CAPTURE,
    CHARGE,
    CHARGER_A,
    CHARGER_AIM_A,
    CHARGER_LIMIT_A,
    CLOSED,
    COIL,
    F_CURRENT_SENSOR_OPEN,
    F_PRECHARGE_OPEN,
    F_SHORT_CIRCUIT,
    IN_CHARGER_A,
    IN_CHARGER_ON,
    IN_DELAY_S,
    IN_LOAD_A,
    IN_LOAD_ON,
    IN_LOAD_SLEW,
    IN_REGEN_A,
    IN_REGEN_ON,
    K_CONTACT_OHM,
    K_PRECHARGE_OHM,
    K_SHARED_OHM,
    K_SOURCE_LAG_S,
    K_STACK_OHM,
    LINK_V,
    LOAD_AIM_A,
    LOAD_LIMIT_A,
    LOOP,
    MAIN_A,
    MAIN_MINUS,
    MAIN_PLUS,
    ON_BUS,
    ON_STACK,
    PRECHARGE,
    PYRO,
    PYRO_S,
    REGEN_AIM_A,
    REGEN_LIMIT_A,
    RESISTOR_SHARE,
    SHARED_OHM,
    TRIPPED,
)
from bench.plant.steps import AT_ONCE_A_PER_S, accept_step, try_step
from bench.plant.switches import is_supplied, move_armatures, next_switching_s, operate_switches
from bench.plant.triggers import compare, record

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FINE_S = 20e-6  # step while something is faster than a tick
FLOOR_S = 1e-6  # no step is halved below this
ACTIVE_S = 1e-3  # while stepping finely, the cells are updated this often
PRECHARGING_S = 0.01  # keeps the heat of the precharge resistor right in long steps
SWING_A = 2.0  # a current further than this from its steady value is stepped finely
LINE_A = 0.05  # a source or load may leave its line by this much in one step
SNAP_A = 0.02  # a limit this near to where it is heading has arrived
NEVER_S = 1e-12


@njit  # type: ignore[untyped-decorator]
def connect(cells_ohm: float, constant: Floats, switch: Bools, fault: Bools, state: Floats) -> None:
    """Work out from the main contacts what is connected to what."""
    contact = constant[K_CONTACT_OHM]
    stack = switch[CLOSED, MAIN_MINUS] and switch[CLOSED, PYRO]
    siemens = share = 0.0
    if switch[CLOSED, MAIN_PLUS]:
        siemens += 1.0 / contact
    if switch[CLOSED, PRECHARGE] and not fault[F_PRECHARGE_OPEN]:
        share = 1.0 / (constant[K_PRECHARGE_OHM] + contact)
        siemens += share
        share /= siemens
    branch = siemens > 0.0
    state[BRANCH_OHM] = 1.0 / siemens if branch else 0.0
    state[RESISTOR_SHARE] = share
    state[SHARED_OHM] = cells_ohm + constant[K_STACK_OHM] + constant[K_SHARED_OHM] + contact
    state[LOOP] = 1.0 if stack and branch else 0.0
    state[ON_STACK] = 1.0 if stack and switch[CLOSED, CHARGE] else 0.0
    state[ON_BUS] = 1.0 if not stack and branch and switch[CLOSED, CHARGE] else 0.0


@njit  # type: ignore[untyped-decorator]
def aim(state: Floats) -> bool:
    """Where the current limits of sources and load are heading; whether one of the sources is under way."""
    fed = state[ON_STACK] != 0.0 or state[ON_BUS] != 0.0
    state[CHARGER_AIM_A] = state[IN_CHARGER_A] if state[IN_CHARGER_ON] != 0.0 and fed else 0.0
    state[REGEN_AIM_A] = state[IN_REGEN_A] if state[IN_REGEN_ON] != 0.0 else 0.0
    state[LOAD_AIM_A] = state[IN_LOAD_A] if state[IN_LOAD_ON] != 0.0 else 0.0
    if abs(state[CHARGER_AIM_A] - state[CHARGER_LIMIT_A]) < SNAP_A:
        state[CHARGER_LIMIT_A] = state[CHARGER_AIM_A]
    if abs(state[REGEN_AIM_A] - state[REGEN_LIMIT_A]) < SNAP_A:
        state[REGEN_LIMIT_A] = state[REGEN_AIM_A]
    charger_moves: bool = state[CHARGER_AIM_A] != state[CHARGER_LIMIT_A]
    regen_moves: bool = state[REGEN_AIM_A] != state[REGEN_LIMIT_A]
    return charger_moves or regen_moves


@njit  # type: ignore[untyped-decorator]
def is_fast(switch: Bools, fault: Bools, state: Floats) -> bool:
    """Whether something is under way that is timed finer than a tick."""
    if state[ABOVE] != 0.0 or state[CAPTURE] == 2.0:
        return True
    if state[PYRO_S] >= 0.0 and switch[ARMATURE, PYRO]:
        return True
    return bool(fault[F_SHORT_CIRCUIT]) and (state[LOOP] != 0.0 or abs(state[LINK_V]) > 0.5)


@njit  # type: ignore[untyped-decorator]
def advance_circuit(
    emf_v: float,
    cells_ohm: float,
    horizon_s: float,
    start_s: float,
    constant: Floats,
    switch: Bools,
    fault: Bools,
    state: Floats,
    capture: Floats,
) -> tuple[float, float, float]:
    """Advance the circuit by at most `horizon_s`, with the cells' EMF and resistance held.

    Returns the time taken [s], and the mean and mean square of the stack current over it [A, A²], positive
    when it charges. Less than the horizon is taken while currents move fast, so that the cells follow.
    """
    supplied = is_supplied(constant, fault, state)
    sensed = 0.0 if fault[F_CURRENT_SENSOR_OPEN] else 1.0
    if switch[COIL, PYRO] and supplied and state[PYRO_S] < 0.0:
        state[PYRO_S] = 0.0

    limit, elapsed, charge, square = horizon_s, 0.0, 0.0, 0.0
    while elapsed < limit - NEVER_S:
        operate_switches(constant, switch, fault, state)
        connect(cells_ohm, constant, switch, fault, state)
        moving = aim(state)
        fine = is_fast(switch, fault, state)
        h = min(limit - elapsed, next_switching_s(constant, switch, supplied, state))
        if state[ABOVE] != 0.0 and state[TRIPPED] == 0.0:
            h = min(h, max(state[IN_DELAY_S] - state[ABOVE_S], 1e-9))
        if moving:
            h = min(h, 0.1 * constant[K_SOURCE_LAG_S])
        if state[LOAD_AIM_A] != state[LOAD_LIMIT_A] and state[IN_LOAD_SLEW] < AT_ONCE_A_PER_S:
            h = min(h, max(SWING_A / max(state[IN_LOAD_SLEW], 1e-6), FINE_S))
        if fine:
            h = min(h, FINE_S)
        elif state[RESISTOR_SHARE] > 0.5:
            h = min(h, PRECHARGING_S)

        error, swing = try_step(h, emf_v, constant, fault, state)
        if swing > SWING_A and h > FINE_S:
            fine = True
            h = FINE_S
            error, swing = try_step(h, emf_v, constant, fault, state)
        while error > LINE_A and h > FLOOR_S:
            h = max(0.5 * h, FLOOR_S)
            error, swing = try_step(h, emf_v, constant, fault, state)

        before_a = state[CHARGER_A] - state[MAIN_A]
        mean_a, mean_square = accept_step(h, emf_v, constant, fault, state)
        after_a = state[CHARGER_A] - state[MAIN_A]
        charge += mean_a * h
        square += mean_square * h
        elapsed += h
        move_armatures(h, constant, switch, supplied, state)
        compare(-before_a * sensed, -after_a * sensed, h, start_s + elapsed, supplied, state)
        record(before_a, after_a, h, start_s + elapsed, state, capture)
        if fine or moving:
            limit = min(limit, max(elapsed, ACTIVE_S))
    return elapsed, charge / elapsed, square / elapsed
