"""Contactors and pyro switch: coils, armatures, welds, and what an opening contact interrupts."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.plant.layout import (
    ARC_J,
    ARMATURE,
    CHARGE,
    CHARGER_A,
    CHARGER_LIMIT_A,
    CLOSED,
    COIL,
    CONTACT_S,
    DAMAGED,
    F_PRECHARGE_OPEN,
    F_SUPPLY_OPEN,
    F_WELD,
    IN_SUPPLY_V,
    K_BREAK_A,
    K_CLOSING_S,
    K_INDUCTANCE_H,
    K_OPENING_S,
    K_PYRO_S,
    K_SUPPLY_DROPOUT_V,
    MAIN_A,
    MAIN_MINUS,
    MAIN_PLUS,
    PRECHARGE,
    PYRO,
    PYRO_S,
    WELDED,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@njit  # type: ignore[untyped-decorator]
def is_supplied(constant: Floats, fault: Bools, state: Floats) -> bool:
    """Whether coils, fan and heater have power: the wire is whole, and the auxiliary supply is up."""
    return not fault[F_SUPPLY_OPEN] and state[IN_SUPPLY_V] >= constant[K_SUPPLY_DROPOUT_V]


@njit  # type: ignore[untyped-decorator]
def operate_switches(constant: Floats, switch: Bools, fault: Bools, state: Floats) -> None:
    """Main contacts follow armatures, welds and bridges, and interrupt what no longer has a path.

    A contact opened above its rating welds for good.
    """
    for k in range(5):
        closed = switch[ARMATURE, k]
        if k != PYRO:
            closed = closed or switch[WELDED, k] or fault[F_WELD + k]
            if switch[CLOSED, k] and not closed:
                current = abs(state[MAIN_A])
                if k == MAIN_MINUS:
                    current = abs(state[CHARGER_A] - state[MAIN_A])
                elif k == CHARGE:
                    current = abs(state[CHARGER_A])
                elif k == PRECHARGE and switch[CLOSED, MAIN_PLUS]:
                    current = 0.0
                if current > constant[K_BREAK_A]:
                    state[DAMAGED + k] += 1.0
                    switch[WELDED, k] = True
                    closed = True
        switch[CLOSED, k] = closed

    stack = switch[CLOSED, MAIN_MINUS] and switch[CLOSED, PYRO]
    branch = switch[CLOSED, MAIN_PLUS] or (switch[CLOSED, PRECHARGE] and not fault[F_PRECHARGE_OPEN])
    if not (switch[CLOSED, CHARGE] and (stack or branch)):
        state[CHARGER_A] = state[CHARGER_LIMIT_A] = 0.0
    if not (stack and branch):
        # Charger to bus past the open stack: both have their other pole on HV-.
        past_a = 0.0 if stack else state[CHARGER_A]
        if past_a == 0.0:
            state[ARC_J] += 0.5 * constant[K_INDUCTANCE_H] * state[MAIN_A] ** 2
        state[MAIN_A] = past_a


@njit  # type: ignore[untyped-decorator]
def next_switching_s(constant: Floats, switch: Bools, supplied: bool, state: Floats) -> float:
    """Time to the next movement of an armature or of the pyro switch [s]."""
    due = 1e9
    for k in range(4):
        want = switch[COIL, k] and supplied
        if want != switch[ARMATURE, k]:
            delay = constant[K_CLOSING_S] if want else constant[K_OPENING_S]
            due = min(due, delay - state[CONTACT_S + k])
    if state[PYRO_S] >= 0.0 and switch[ARMATURE, PYRO]:
        due = min(due, constant[K_PYRO_S] - state[PYRO_S])
    return max(due, 1e-9)


@njit  # type: ignore[untyped-decorator]
def move_armatures(h: float, constant: Floats, switch: Bools, supplied: bool, state: Floats) -> None:
    """Let `h` [s] of coil time pass."""
    for k in range(4):
        want = switch[COIL, k] and supplied
        if want == switch[ARMATURE, k]:
            state[CONTACT_S + k] = 0.0
            continue
        state[CONTACT_S + k] += h
        if state[CONTACT_S + k] >= (constant[K_CLOSING_S] if want else constant[K_OPENING_S]) - 1e-10:
            switch[ARMATURE, k] = want
            state[CONTACT_S + k] = 0.0
    if state[PYRO_S] >= 0.0 and switch[ARMATURE, PYRO]:
        state[PYRO_S] += h
        if state[PYRO_S] >= constant[K_PYRO_S] - 1e-10:
            switch[ARMATURE, PYRO] = False
