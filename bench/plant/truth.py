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
    """Read-only views, valid after each step. Arrays have shape (cells,) unless said.

    `soc`, `hysteresis`, `temperature_degc`, `cell_v` (terminals) and `emf_v` [V], `u1_v`, `u2_v`, `r0_ohm`,
    `capacity_ah`, `bleed_a`; `sensor_degc` (sensors,).
    """

    def __init__(self, arrays: Arrays, spec: PlantSpec) -> None:
        cell = arrays.cell
        self.soc = _view(cell[at.SOC])
        self.hysteresis = _view(cell[at.HYSTERESIS])
        self.temperature_degc = _view(cell[at.TEMPERATURE])
        self.cell_v = _view(cell[at.CELL_V])
        self.emf_v = _view(cell[at.EMF])
        self.u1_v, self.u2_v = _view(cell[at.U1]), _view(cell[at.U2])
        self.r0_ohm = _view(cell[at.R0])
        self.bleed_a = _view(cell[at.BLEED_A])
        self.sensor_degc = _view(arrays.sensor[at.SENSOR_DEGC])
        self.capacity_ah = _view(cell[at.CAPACITY_C] / 3600.0)
        self._state, self._spec, self._arrays = arrays.state, spec, arrays

    @property
    def peak_a(self) -> float:
        """Largest magnitude of the stack current since the start [A]."""
        return float(self._state[at.PEAK_A])

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
    def loop_ohm(self) -> float:
        """Resistance of stack, bars and main contactors as a short across the bus sees it [ohm]."""
        constant = self._arrays.constant
        fixed = constant[at.K_STACK_OHM] + constant[at.K_SHARED_OHM] + 2.0 * constant[at.K_CONTACT_OHM]
        return float(self._state[at.CELLS_OHM] + fixed)

    @property
    def energy_j(self) -> dict[str, float]:
        """Energy since the start [J], by where it went; `stored` and `rc` are what is there now.

        charger + regen - load = chemical + cell_heat + bleed + circuit + arc + changes of stored and rc,
        while no cell is replaced.
        """
        state, spec, cell = self._state, self._spec, self._arrays.cell
        stored = (
            spec.bus_capacitance_f * state[at.LINK_V] ** 2 + spec.bus_inductance_h * state[at.MAIN_A] ** 2
        )
        pairs = (
            cell[at.U1] ** 2 * cell[at.TAU1] / cell[at.R1] + cell[at.U2] ** 2 * cell[at.TAU2] / cell[at.R2]
        )
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
            "rc": 0.5 * float(np.sum(pairs)),
        }
