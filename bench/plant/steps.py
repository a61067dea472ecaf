"""One exact step of the power circuit: tried, looked at, then accepted and booked.

Between two switching events the circuit is linear: branch current and bus voltage follow x' = A x + b.
Sources and load are lines cut off at their limits; a step uses the lines that hold at its start.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.exact import exact_step, lag_mean, mean_product, source_error, source_line
from bench.plant.layout import (
    BRANCH_OHM,
    CHARGER_A,
    CHARGER_AIM_A,
    CHARGER_J,
    CHARGER_LIMIT_A,
    CHARGER_P,
    CHARGER_Q,
    CHARGER_V,
    CIRCUIT_J,
    F_SHORT_CIRCUIT,
    IN_AMBIENT_DEGC,
    IN_CHARGER_ON,
    IN_CHARGER_V,
    IN_LOAD_SLEW,
    IN_REGEN_V,
    K_BUS_F,
    K_BUS_LEAK_OHM,
    K_CONTACT_OHM,
    K_INDUCTANCE_H,
    K_LOAD_KNEE_V,
    K_PRECHARGE_J_PER_K,
    K_PRECHARGE_OHM,
    K_PRECHARGE_W_PER_K,
    K_SHARED_OHM,
    K_SHORT_OHM,
    K_SOURCE_LAG_S,
    K_SOURCE_OHM,
    K_STACK_OHM,
    LINK_V,
    LOAD_A,
    LOAD_AIM_A,
    LOAD_J,
    LOAD_LIMIT_A,
    LOAD_P,
    LOAD_Q,
    LOOP,
    MAIN_A,
    ON_BUS,
    ON_STACK,
    PEAK_A,
    PRECHARGE_DEGC,
    PRECHARGE_J,
    REGEN_A,
    REGEN_AIM_A,
    REGEN_J,
    REGEN_LIMIT_A,
    REGEN_P,
    REGEN_Q,
    RESISTOR_SHARE,
    SHARED_OHM,
    SQUARE_A2S,
    TRY_CHARGER_A,
    TRY_I,
    TRY_LOAD_A,
    TRY_MEAN_I,
    TRY_MEAN_V,
    TRY_REGEN_A,
    TRY_START_I,
    TRY_V,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

AT_ONCE_A_PER_S = 1e9  # a load that slews faster than this steps
CHARGER_FALL_S = 0.05  # an idle charger's output discharges with this time constant


@njit  # type: ignore[untyped-decorator]
def load_after(h: float, state: Floats) -> float:
    """The load's current limit after `h` [s] of slewing."""
    slew, target, now = float(state[IN_LOAD_SLEW]), float(state[LOAD_AIM_A]), float(state[LOAD_LIMIT_A])
    if slew >= AT_ONCE_A_PER_S:
        return target
    return now + min(max(target - now, -slew * h), slew * h)


@njit  # type: ignore[untyped-decorator]
def try_step(h: float, emf_v: float, constant: Floats, fault: Bools, state: Floats) -> tuple[float, float]:
    """One exact step of `h` [s] on the lines that hold at its start.

    Returns how far a source or load ends from its true characteristic [A], and how far the circuit was from
    its steady state at the start [A].
    """
    lag, source, knee = constant[K_SOURCE_LAG_S], constant[K_SOURCE_OHM], constant[K_LOAD_KNEE_V]
    inductance, bus = constant[K_INDUCTANCE_H], constant[K_BUS_F]
    shared, branch_ohm = state[SHARED_OHM], state[BRANCH_OHM]
    on_stack, on_bus = state[ON_STACK] != 0.0, state[ON_BUS] != 0.0
    i0, v0 = state[MAIN_A], state[LINK_V]
    state[TRY_CHARGER_A], charger_a = lag_mean(state[CHARGER_LIMIT_A], state[CHARGER_AIM_A], h / lag)
    state[TRY_REGEN_A], regen_a = lag_mean(state[REGEN_LIMIT_A], state[REGEN_AIM_A], h / lag)
    load_end = load_after(h, state)
    load_a = load_end
    if state[IN_LOAD_SLEW] < AT_ONCE_A_PER_S:
        load_a = 0.5 * (load_end + state[LOAD_LIMIT_A])
    state[TRY_LOAD_A] = load_end

    # The bus: currents into it are push - pull * v.
    regen_p, regen_q = source_line(state[IN_REGEN_V], source, regen_a, v0)
    load_p, load_q = (load_a, 0.0) if v0 >= knee else (0.0, load_a / knee)
    push = regen_p - load_p
    pull = 1.0 / constant[K_BUS_LEAK_OHM] + regen_q + load_q
    if fault[F_SHORT_CIRCUIT]:
        pull += 1.0 / constant[K_SHORT_OHM]
    # The charger: p + q i on the stack (i the branch current), p - q v on the bus.
    charger_p = charger_q = 0.0
    charger_ohm = source + constant[K_CONTACT_OHM] + (shared if on_stack else branch_ohm)
    if on_stack:
        charger_p, line_q = source_line(state[IN_CHARGER_V], charger_ohm, charger_a, emf_v - shared * i0)
        charger_p -= line_q * emf_v
        charger_q = line_q * shared
    elif on_bus:
        charger_p, charger_q = source_line(state[IN_CHARGER_V], charger_ohm, charger_a, v0)
        push += charger_p
        pull += charger_q

    swing = start_i = i1 = i_mean = 0.0
    if state[LOOP] != 0.0:
        damping = shared * (1.0 - charger_q) + branch_ohm
        drive = emf_v + shared * charger_p
        i1, v1, i_mean, v_mean, steady_i, steady_v = exact_step(
            -damping / inductance,
            -1.0 / inductance,
            1.0 / bus,
            -pull / bus,
            drive / inductance,
            push / bus,
            i0,
            v0,
            h,
        )
        surge = math.sqrt(inductance / bus)
        swing = max(abs(i0 - steady_i), abs(v0 - steady_v) / max(surge, damping))
        start_i = i0
        if damping > 10.0 * surge:
            # The precharge branch: its current follows the bus voltage within nanoseconds, and never rings.
            swing = 0.0
            start_i = (drive - v0) / damping
    else:
        v1, v_mean = lag_mean(v0, push / pull, h * pull / bus)

    error = source_error(state[IN_REGEN_V], source, regen_a, v1, regen_p, regen_q)
    error = max(error, abs(load_a * min(v1 / knee, 1.0) - (load_p + load_q * v1)))
    if on_stack:
        true_a = min(max((state[IN_CHARGER_V] - emf_v + shared * i1) / charger_ohm, 0.0), charger_a)
        error = max(error, abs(true_a - (charger_p + charger_q * i1)))
    elif on_bus:
        away = source_error(state[IN_CHARGER_V], charger_ohm, charger_a, v1, charger_p, charger_q)
        error = max(error, away)
    state[TRY_START_I], state[TRY_I], state[TRY_MEAN_I] = start_i, i1, i_mean
    state[TRY_V], state[TRY_MEAN_V] = v1, v_mean
    state[CHARGER_P], state[CHARGER_Q] = charger_p, charger_q
    state[REGEN_P], state[REGEN_Q] = regen_p, regen_q
    state[LOAD_P], state[LOAD_Q] = load_p, load_q
    return error, swing


@njit  # type: ignore[untyped-decorator]
def accept_step(h: float, emf_v: float, constant: Floats, fault: Bools, state: Floats) -> tuple[float, float]:
    """Make the tried step true and book its energy; return mean and mean square of the stack current."""
    contact, branch_ohm, shared = constant[K_CONTACT_OHM], state[BRANCH_OHM], state[SHARED_OHM]
    i0, i_mean, i1 = state[TRY_START_I], state[TRY_MEAN_I], state[TRY_I]
    v0, v_mean, v1 = state[LINK_V], state[TRY_MEAN_V], state[TRY_V]
    p, q = state[CHARGER_P], state[CHARGER_Q]
    if state[ON_BUS] != 0.0:
        c0, c_mean, c1 = p - q * v0, p - q * v_mean, p - q * v1
        i0, i_mean, i1 = c0, c_mean, c1
    else:
        c0, c_mean, c1 = p + q * i0, p + q * i_mean, p + q * i1
    s0, s_mean, s1 = c0 - i0, c_mean - i_mean, c1 - i1
    square_s = mean_product(s0, s_mean, s1, s0, s_mean, s1)
    square_i = mean_product(i0, i_mean, i1, i0, i_mean, i1)
    square_c = mean_product(c0, c_mean, c1, c0, c_mean, c1)
    square_v = mean_product(v0, v_mean, v1, v0, v_mean, v1)

    if state[ON_STACK] != 0.0:
        state[CHARGER_V] = emf_v + shared * s1 + contact * c1
        inner_w = emf_v * c_mean + shared * mean_product(c0, c_mean, c1, s0, s_mean, s1)
        state[CHARGER_J] += h * (inner_w + contact * square_c)
    elif state[ON_BUS] != 0.0:
        state[CHARGER_V] = v1 + (contact + branch_ohm) * c1
        inner_w = mean_product(c0, c_mean, c1, v0, v_mean, v1)
        state[CHARGER_J] += h * (inner_w + (contact + branch_ohm) * square_c)
    else:
        idle_v = state[IN_CHARGER_V] if state[IN_CHARGER_ON] != 0.0 else 0.0
        idle_s = constant[K_SOURCE_LAG_S] if idle_v > state[CHARGER_V] else CHARGER_FALL_S
        state[CHARGER_V] = idle_v + (state[CHARGER_V] - idle_v) * math.exp(-h / idle_s)
    state[REGEN_A] = max(state[REGEN_P] - state[REGEN_Q] * v1, 0.0)
    state[LOAD_A] = state[TRY_LOAD_A] * min(max(v1 / constant[K_LOAD_KNEE_V], 0.0), 1.0)
    state[REGEN_J] += h * (state[REGEN_P] * v_mean - state[REGEN_Q] * square_v)
    state[LOAD_J] += h * (state[LOAD_P] * v_mean + state[LOAD_Q] * square_v)
    across_s = 1.0 / constant[K_BUS_LEAK_OHM]
    if fault[F_SHORT_CIRCUIT]:
        across_s += 1.0 / constant[K_SHORT_OHM]
    bars = constant[K_STACK_OHM] + constant[K_SHARED_OHM] + contact
    lost_w = bars * square_s + branch_ohm * square_i + contact * square_c + across_s * square_v
    state[CIRCUIT_J] += h * lost_w
    heat_w = constant[K_PRECHARGE_OHM] * state[RESISTOR_SHARE] ** 2 * square_i
    cooled_w = constant[K_PRECHARGE_W_PER_K] * (state[PRECHARGE_DEGC] - state[IN_AMBIENT_DEGC])
    state[PRECHARGE_J] += h * heat_w
    state[PRECHARGE_DEGC] += h * (heat_w - cooled_w) / constant[K_PRECHARGE_J_PER_K]

    state[MAIN_A], state[LINK_V], state[CHARGER_A] = i1, v1, c1
    state[CHARGER_LIMIT_A], state[REGEN_LIMIT_A] = state[TRY_CHARGER_A], state[TRY_REGEN_A]
    state[LOAD_LIMIT_A] = state[TRY_LOAD_A]
    state[PEAK_A] = max(state[PEAK_A], abs(s1))
    state[SQUARE_A2S] += h * square_s
    return s_mean, square_s
