"""A pack of the plant that is made to carry a limit for its horizon, and what its cells did meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.cells import load_cell
from bench.plant import Plant, PlantSpec
from bench.reference.estimators.power import Bounds, PowerLimits, power_limits
from bench.reference.estimators.states import CellStates

CELLS = 24
STEP_S = 0.1
MAIN_MINUS, MAIN_PLUS, CHARGE = 0, 1, 3
#: Charge and discharge of each cell file: 4C, so that the current is seldom what binds.
BOUNDS = {
    "lfp_280ah": (Bounds(3.60, 1120.0, 1.0, 0.0, 55.0), Bounds(2.50, 1120.0, 0.0, -20.0, 60.0)),
    "nmc_58ah": (Bounds(4.20, 232.0, 1.0, 0.0, 55.0), Bounds(2.80, 232.0, 0.0, -20.0, 60.0)),
}


def spread_pack(cell: str, soc: float, degc: float, seed: int = 0) -> PlantSpec:
    """24 rested cells with a spread (SOC 0.5 %, capacity 2 %, resistance 5 %), and a weak one among them."""
    rng = np.random.default_rng(seed)
    fade, growth = 0.02 * rng.random(CELLS), 0.05 * rng.standard_normal(CELLS)
    fade[7], growth[7] = 0.15, 0.40
    of_cell = np.clip(soc + 0.005 * rng.standard_normal(CELLS), 0.005, 0.995)
    return PlantSpec(
        cells=CELLS,
        cell=cell,
        soc_per_cell=tuple(of_cell.tolist()),
        temperature_degc=degc,
        ambient_degc=degc,
        capacity_fade=tuple(fade.tolist()),
        resistance_growth=tuple(growth.tolist()),
        # A cell that plates lithium holds its voltage down by up to 10 mV: no model of voltages should count
        # on it, and a maker's charge limit keeps clear of it.
        plating_c_rate=1e3,
    )


def limits_of(spec: PlantSpec, **uncertainty: float) -> tuple[PowerLimits, ...]:
    """Limits by the reference model, told what the pack truly is."""
    charge, discharge = BOUNDS[spec.cell]
    cells = CellStates(
        soc=np.array(spec.soc_per_cell),
        temperature_degc=spec.temperature_degc,
        capacity_ah=load_cell(spec.cell).capacity_ah * (1.0 - np.array(spec.capacity_fade)),
        resistance_factor=1.0 + np.array(spec.resistance_growth),
        branch=spec.hysteresis,
        **uncertainty,
    )
    return power_limits(load_cell(spec.cell), cells, charge=charge, discharge=discharge)


@dataclass(frozen=True, slots=True)
class Excess:
    """How far the worst cell left each bound; negative: none did."""

    voltage_v: float
    soc: float
    temperature_k: float
    current_fraction: float

    @property
    def left(self) -> bool:
        """Whether any bound was left."""
        return max(self.voltage_v, self.soc, self.temperature_k, self.current_fraction) > 0.0


def commanded(
    spec: PlantSpec,
    one: PowerLimits,
    *,
    current_a: float | None = None,
    power_w: float | None = None,
) -> Excess:
    """Let the pack carry a current, or a power of all cells, for as long and in the way that `one` is."""
    plant, charging = Plant(spec), one.direction == "charge"
    bounds = BOUNDS[spec.cell][0 if charging else 1]
    plant.port.coil[[MAIN_MINUS, CHARGE if charging else MAIN_PLUS]] = True
    plant.step(0.5)
    source, load = plant.terminal("charger"), plant.terminal("load")
    source.voltage_v = 1000.0
    sign, truth, worst = 1.0 if charging else -1.0, plant.truth, np.full(4, -np.inf)
    for _ in range(round(one.horizon_s / STEP_S)):
        flowing_a = abs(float(truth.cell_a.mean()))
        asked_a = current_a if power_w is None else power_w / _cells_v(plant, sign, flowing_a, power_w)
        for terminal in (source, load):
            terminal.current_a = asked_a
        source.enabled, load.enabled = charging, not charging
        plant.step(STEP_S)
        volts = float((sign * truth.cell_v).max() - sign * bounds.voltage_v)
        soc = float((sign * truth.soc).max() - sign * bounds.soc)
        hot = float(truth.temperature_degc.max() - bounds.hottest_degc)
        worst = np.maximum(worst, [volts, soc, hot, asked_a / bounds.current_a - 1.0])
    return Excess(*worst)


def _cells_v(plant: Plant, sign: float, flowing_a: float, power_w: float) -> float:
    """Voltage of all cells [V] at the current that gives the power, from what flows now."""
    volts, ohm = float(plant.truth.cell_v.sum()), float(plant.truth.r0_ohm.sum())
    emf = volts - sign * flowing_a * ohm
    return 0.5 * (emf + np.sqrt(max(emf * emf + 4.0 * sign * ohm * power_w, 0.0)))
