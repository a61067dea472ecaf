"""What the firmware finds on its board: the inputs it may sample and the outputs it may drive.

The plant offers an object of this shape and is not imported here. Arrays are allocated once and stay the
same objects for life, so the firmware may keep references to them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Index order of coils and of auxiliary contacts.
SWITCHES = ("main_minus", "main_plus", "precharge", "charge", "pyro")
MAIN_MINUS, MAIN_PLUS, PRECHARGE, CHARGE, PYRO = range(5)


class Port(Protocol):
    """Pins of the battery electronics.

    Inputs: `cell_v` (cells,) [V] at the AFE, `ntc_v` (sensors,) [V], `board_degc`, `shunt_a` [A] now and
    `shunt_mean_a` [A] over the last step (both positive when charging), `pack_v`, `link_v`, `charger_v` [V],
    `feedback` (5,) auxiliary contacts in the order of `SWITCHES` (pyro: True = intact), `hvil_closed`,
    `insulation_ohm` (2,) positive and negative rail to chassis, `supply_v`, `fan_rpm`, `comparator_tripped`.

    Outputs: `coil` (5,) in the order of `SWITCHES` (pyro: True fires), `bleed` (cells,), `fan` 0..1,
    `heater`, `open_wire_current` -1, 0 or +1 (AFE pulls all taps down, not, up), `comparator_threshold_a`
    [A] (magnitude of the discharge current), `comparator_delay_s`, `comparator_reset`. The comparator is
    hardware: when it trips it fires the pyro switch by itself.
    """

    cell_v: NDArray[np.float64]
    ntc_v: NDArray[np.float64]
    board_degc: float
    shunt_a: float
    shunt_mean_a: float
    pack_v: float
    link_v: float
    charger_v: float
    feedback: NDArray[np.bool_]
    hvil_closed: bool
    insulation_ohm: NDArray[np.float64]
    supply_v: float
    fan_rpm: float
    comparator_tripped: bool

    coil: NDArray[np.bool_]
    bleed: NDArray[np.bool_]
    fan: float
    heater: bool
    open_wire_current: int
    comparator_threshold_a: float
    comparator_delay_s: float
    comparator_reset: bool
