"""The port: what a BMS board is wired to. A BMS reads and drives these attributes, nothing else."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Port:
    """Inputs and outputs of the BMS, each an attribute. Arrays are the same objects for life.

    Inputs of the BMS, valid after each plant step:

    `cell_v` (cells,) at the front-end inputs [V]; `ntc_v` (sensors,) at the thermistor inputs [V];
    `board_degc`; `shunt_a` now and `shunt_mean_a` over the last step [A], positive when it charges;
    `pack_v` at the stack, `link_v`, `charger_v` [V]; `feedback` (5,) auxiliary contacts in the order of
    `layout.SWITCHES`, pyro: intact; `hvil_closed`; `insulation_ohm` (2,) of the positive and the negative
    rail to chassis; `supply_v`; `fan_rpm`; `comparator_tripped` (latched) and `comparator_trip_s` in plant
    time.

    Outputs of the BMS, read at each plant step:

    `coil` (5,) bool, `coil[4]` fires the pyro switch; `bleed` (cells,) bool; `fan` 0..1; `heater`;
    `open_wire_current` -1 pull-down, 0 off, +1 pull-up of every tap; `comparator_threshold_a` magnitude of
    the discharge current, inf for off; `comparator_delay_s`; `comparator_reset` clears the latch while it
    is set.
    """

    def __init__(
        self,
        *,
        cell_v: Floats,
        ntc_v: Floats,
        feedback: Bools,
        coil: Bools,
        bleed: Bools,
        insulation_ohm: Floats,
    ) -> None:
        self.cell_v, self.ntc_v, self.feedback = cell_v, ntc_v, feedback
        self.coil, self.bleed, self.insulation_ohm = coil, bleed, insulation_ohm
        self.board_degc = math.nan
        self.shunt_a = self.shunt_mean_a = 0.0
        self.pack_v = self.link_v = self.charger_v = 0.0
        self.hvil_closed = True
        self.supply_v = self.fan_rpm = 0.0
        self.comparator_tripped = False
        self.comparator_trip_s = math.nan

        self.fan = 0.0
        self.heater = False
        self.open_wire_current = 0
        self.comparator_threshold_a = math.inf
        self.comparator_delay_s = 0.0
        self.comparator_reset = False

    def __repr__(self) -> str:
        closed = "".join("1" if contact else "0" for contact in self.feedback)
        return f"Port(pack={self.pack_v:.2f} V, shunt={self.shunt_a:.2f} A, feedback={closed})"
