"""What nobody on a rack can see: the true state of cells and circuit. For tests and bookkeeping only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.plant import layout as at
from bench.plant.arrays import Arrays
from bench.plant.spec import PlantSpec

Floats = NDArray[np.float64]


def _view(row: Floats) -> Floats:
    view = row.view()
    view.setflags(write=False)
    return view


class Truth:
    """Read-only views, valid after each step.

    Of every cell, shape (cells * parallel,), those of one group side by side: `soc`, `hysteresis`,
    `temperature_degc`, `emf_v`, `u_v` (3, cells * parallel) over the RC pairs, `r0_ohm`, `capacity_ah`,
    `cell_a`, `plated_ah`, `lost_ah`, `short_ohm`; `sei` and `anode`, shares that can still react. Of every
    group, shape (cells,): `cell_v` between its taps, `bleed_a`. `sensor_degc` (sensors,).
    """

    def __init__(self, arrays: Arrays, spec: PlantSpec) -> None:
        cell, group = arrays.cell, arrays.group
        self.soc = _view(cell[at.SOC])
        self.hysteresis = _view(cell[at.HYSTERESIS])
        self.temperature_degc = _view(cell[at.TEMPERATURE])
        self.cell_v = _view(group[at.CELL_V])
        self.emf_v = _view(cell[at.EMF])
        self.u_v = _view(cell[at.U1 : at.U3 + 1])
        self.r0_ohm = _view(cell[at.R0])
        self.bleed_a = _view(group[at.BLEED_A])
        self.sensor_degc = _view(arrays.sensor[at.SENSOR_DEGC])
        self.sei, self.anode = _view(cell[at.SEI]), _view(cell[at.ANODE])
        self._state, self._spec, self._arrays = arrays.state, spec, arrays

    @property
    def cell_a(self) -> Floats:
        """Current through each cell now [A], positive when it charges, shape (cells * parallel,)."""
        cell, group, parallel = self._arrays.cell, self._arrays.group, self._spec.parallel
        stack_a = self._state[at.CHARGER_A] - self._state[at.MAIN_A]
        group_a = np.where(self._arrays.group_flag[at.CONNECTED], 0.0, stack_a - group[at.SENSE_A])
        return np.asarray(cell[at.SHARE] * np.repeat(group_a, parallel) + cell[at.CIRCULATING_A])

    @property
    def capacity_ah(self) -> Floats:
        """Of each cell now [Ah], shape (cells * parallel,)."""
        return np.asarray(self._arrays.cell[at.CAPACITY_C] / 3600.0)

    @property
    def plated_ah(self) -> Floats:
        """Lithium plated on each anode that can still strip [Ah], shape (cells * parallel,)."""
        return np.asarray(self._arrays.cell[at.PLATED_C] / 3600.0)

    @property
    def lost_ah(self) -> Floats:
        """Capacity that each cell has lost to plating [Ah], shape (cells * parallel,)."""
        return np.asarray(self._arrays.cell[at.LOST_C] / 3600.0)

    @property
    def short_ohm(self) -> Floats:
        """Resistance of the short across each cell's electrodes [ohm], inf for none."""
        siemens = self._arrays.cell[at.SHORT_S] + self._arrays.cell[at.SEPARATOR_S]
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / siemens)

    @property
    def decomposition_j(self) -> float:
        """Heat that exothermal reactions have made since the start [J]; none of it was electrical."""
        return float(self._state[at.DECOMPOSITION_J])

    @property
    def peak_a(self) -> float:
        """Largest magnitude of the stack current since the start [A]."""
        return float(self._state[at.PEAK_A])

    @property
    def square_a2s(self) -> float:
        """Integral of the square of the stack current since the start [A2s]: what heats a fuse."""
        return float(self._state[at.SQUARE_A2S])

    @property
    def charge_ah(self) -> float:
        """Through the shunt since the start [Ah], positive when it charges."""
        return float(self._state[at.CHARGE_C]) / 3600.0

    @property
    def damaged(self) -> tuple[int, ...]:
        """Openings above the break rating, by switch in the order of `layout.SWITCHES`."""
        return tuple(int(count) for count in self._state[at.DAMAGED : at.DAMAGED + 5])

    @property
    def welded(self) -> tuple[bool, ...]:
        """Contacts that such an opening has welded for good."""
        return tuple(bool(weld) for weld in self._arrays.switch[at.WELDED])

    @property
    def precharge_j(self) -> float:
        """Heat made in the precharge resistor since the start [J]."""
        return float(self._state[at.PRECHARGE_J])

    @property
    def precharge_degc(self) -> float:
        """Temperature of the precharge resistor [°C]."""
        return float(self._state[at.PRECHARGE_DEGC])

    @property
    def coolant_degc(self) -> float:
        """Temperature of the coolant where it enters the cold plate [°C]."""
        return float(self._state[at.COOLANT_DEGC])

    @property
    def loop_ohm(self) -> float:
        """Resistance of stack, bars and main contactors as a short across the bus sees it [ohm]."""
        constant = self._arrays.constant
        fixed = constant[at.K_STACK_OHM] + constant[at.K_SHARED_OHM] + 2.0 * constant[at.K_CONTACT_OHM]
        return float(self._state[at.CELLS_OHM] + fixed)

    @property
    def energy_j(self) -> dict[str, float]:
        """Energy since the start [J], by where it went; `stored` is what is there now, `rc` what the RC pairs
        have taken in less what they gave back.

        charger + regen - load = chemical + cell_heat + bleed + circuit + arc + changes of stored and rc,
        while no cell is replaced. `cell_heat` has the reversible heat,
        `chemical` is without it and keeps what lost lithium has bound.
        """
        state, spec, cell = self._state, self._spec, self._arrays.cell
        stored = (
            spec.bus_capacitance_f * state[at.LINK_V] ** 2 + spec.bus_inductance_h * state[at.MAIN_A] ** 2
        )
        count = int(self._arrays.constant[at.K_PAIRS])
        u, ohm, tau_s = (cell[row : row + count] for row in (at.U1, at.R1, at.TAU1))
        pairs = u**2 * tau_s / ohm
        return {
            "charger": float(state[at.CHARGER_J]),
            "regen": float(state[at.REGEN_J]),
            "load": float(state[at.LOAD_J]),
            "chemical": float(state[at.CHEMICAL_J]),
            "cell_heat": float(state[at.CELL_HEAT_J]),
            "bleed": float(state[at.BLEED_J]),
            "circuit": float(state[at.CIRCUIT_J]),
            "arc": float(state[at.ARC_J]),
            "stored": 0.5 * float(stored),
            "rc": 0.5 * float(np.sum(pairs)) + float(state[at.PAIRS_J]),
        }
