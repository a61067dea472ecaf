"""The arrays of one plant, allocated and filled from its spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.plant import layout as at
from bench.plant.cells import CellParameters, refresh_resistances, resistance_tables
from bench.plant.heat import thermistor_ohm
from bench.plant.presets import CellPreset, load_preset
from bench.plant.spec import PlantSpec

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Everything that the kernel works on, in the rows and slots of `layout`."""

    constant: Floats
    ocv: Floats
    r0_table: Floats
    rc_table: Floats
    cell: Floats
    cell_flag: Bools
    tap: Floats
    sensor: Floats
    sensor_connected: Bools
    switch: Bools
    state: Floats


def draw_cells(spec: PlantSpec, preset: CellPreset) -> CellParameters:
    """The cells of one pack: preset, scale, spread from the spec's seed, ageing.

    The four quantities are drawn in a fixed order, so that one spread does not change the draw of another.
    """
    rng = np.random.default_rng(spec.seed)
    draws = rng.standard_normal((4, spec.cells))
    capacity_ah = preset.capacity_ah if spec.capacity_ah is None else spec.capacity_ah
    soc = np.full(spec.cells, spec.soc) if spec.soc_per_cell is None else np.array(spec.soc_per_cell)
    return CellParameters(
        capacity_ah=capacity_ah
        * np.maximum(1.0 + spec.capacity_spread * draws[0], 0.05)
        * (1.0 - np.asarray(spec.capacity_fade)),
        resistance_factor=preset.capacity_ah
        / capacity_ah
        * np.maximum(1.0 + spec.resistance_spread * draws[1], 0.05)
        * (1.0 + np.asarray(spec.resistance_growth)),
        soc=soc + spec.soc_spread * draws[2],
        temperature_degc=spec.temperature_degc + spec.temperature_spread_k * draws[3],
    )


def allocate(spec: PlantSpec) -> Arrays:
    """Arrays of a pack at rest: contactors open, pyro switch intact, bus and charge port dead."""
    preset = load_preset(spec.preset)
    cells = draw_cells(spec, preset)
    r0_table, rc_table = resistance_tables(preset)
    state = np.zeros(at.STATE_SIZE)
    state[at.PYRO_S] = -1.0
    state[at.TRIP_S] = np.nan
    state[at.BOARD_DEGC] = state[at.PRECHARGE_DEGC] = spec.ambient_degc
    switch = np.zeros((at.SWITCH_ROWS, len(at.SWITCHES)), dtype=np.bool_)
    switch[at.ARMATURE, at.PYRO] = switch[at.CLOSED, at.PYRO] = True

    cell = np.zeros((at.CELL_ROWS, spec.cells))
    cell[at.CAPACITY_C] = 3600.0 * cells.capacity_ah
    cell[at.R_FACTOR] = cells.resistance_factor
    cell[at.SOC] = cells.soc
    cell[at.HYSTERESIS] = spec.hysteresis
    cell[at.TEMPERATURE] = cells.temperature_degc
    refresh_resistances(cell, r0_table, rc_table, state)
    ocv = np.array([preset.mean_v, preset.half_v])
    cell[at.EMF] = open_circuit_v(cells.soc, np.full(spec.cells, spec.hysteresis), preset)
    cell[at.CELL_V] = cell[at.AFE_V] = cell[at.EMF]

    sensor = np.zeros((at.SENSOR_ROWS, spec.sensors))
    sensor[at.SENSOR_CELL] = spec.sensor_cells
    for j, k in enumerate(spec.sensor_cells):
        degc = float(cells.temperature_degc[k])
        sensor[at.SENSOR_DEGC, j] = degc
        sensor[at.SENSOR_OHM, j] = thermistor_ohm(degc, spec.thermistor_r25_ohm, spec.thermistor_beta_k)
    return Arrays(
        constant=_constants(spec, preset),
        ocv=ocv,
        r0_table=r0_table,
        rc_table=rc_table,
        cell=cell,
        cell_flag=np.zeros((at.CELL_FLAG_ROWS, spec.cells), dtype=np.bool_),
        tap=np.zeros((at.TAP_ROWS, spec.cells + 1)),
        sensor=sensor,
        sensor_connected=np.zeros(spec.sensors, dtype=np.bool_),
        switch=switch,
        state=state,
    )


def open_circuit_v(soc: Floats, hysteresis: Floats, preset: CellPreset) -> Floats:
    """Open-circuit voltage [V] at `soc` and `hysteresis`, each shape (cells,)."""
    outside = preset.overcharge_v_per_soc * np.maximum(soc - 1.0, 0.0)
    outside += preset.overdischarge_v_per_soc * np.minimum(soc, 0.0)
    found: Floats = (
        np.interp(soc, preset.soc, preset.mean_v)
        + outside
        + hysteresis * np.interp(soc, preset.soc, preset.half_v)
    )
    return found


def _constants(spec: PlantSpec, preset: CellPreset) -> Floats:
    scale = 1.0 if spec.capacity_ah is None else spec.capacity_ah / preset.capacity_ah
    values = {
        at.K_STACK_OHM: spec.interconnect_ohm * max(spec.cells - 1, 0),
        at.K_SHARED_OHM: spec.shared_ohm,
        at.K_CONTACT_OHM: spec.contact_ohm,
        at.K_PRECHARGE_OHM: spec.precharge_resistor_ohm,
        # 100 W wire-wound class: about 50 J/K, 1 W/K (project default)
        at.K_PRECHARGE_J_PER_K: 50.0,
        at.K_PRECHARGE_W_PER_K: 1.0,
        at.K_INDUCTANCE_H: spec.bus_inductance_h,
        at.K_BUS_F: spec.bus_capacitance_f,
        at.K_BUS_LEAK_OHM: spec.bus_leak_ohm,
        at.K_SHORT_OHM: spec.short_ohm,
        at.K_SOURCE_OHM: spec.source_ohm,
        at.K_SOURCE_LAG_S: spec.source_lag_s,
        at.K_LOAD_KNEE_V: spec.load_knee_v,
        at.K_CLOSING_S: spec.contactor_closing_s,
        at.K_OPENING_S: spec.contactor_opening_s,
        at.K_BREAK_A: spec.break_rating_a,
        at.K_PYRO_S: spec.pyro_opening_s,
        at.K_BLEED_OHM: spec.bleed_ohm,
        at.K_WIRE_OHM: spec.sense_wire_ohm,
        at.K_CHANNEL_OHM: spec.channel_ohm,
        at.K_SUPPLY_V: spec.supply_v,
        at.K_FAN_RPM: spec.fan_rpm,
        at.K_FAN_LAG_S: spec.fan_lag_s,
        at.K_HEATER_W: spec.heater_w,
        at.K_BOARD_K_PER_W: spec.board_k_per_w,
        at.K_BOARD_LAG_S: spec.board_lag_s,
        at.K_SENSOR_LAG_S: spec.sensor_lag_s,
        at.K_NTC_R25: spec.thermistor_r25_ohm,
        at.K_NTC_BETA: spec.thermistor_beta_k,
        at.K_NTC_PULLUP: spec.thermistor_pullup_ohm,
        at.K_NTC_REFERENCE: spec.thermistor_reference_v,
        at.K_HEAT_CAPACITY: preset.heat_capacity_j_per_k * scale,
        at.K_NEIGHBOUR_W: preset.neighbour_w_per_k * scale,
        at.K_AMBIENT_W: preset.ambient_w_per_k * scale,
        at.K_FAN_W: preset.fan_w_per_k * scale,
        at.K_OVER_V: preset.overcharge_v_per_soc,
        at.K_UNDER_V: preset.overdischarge_v_per_soc,
        at.K_HYSTERESIS_RATE: preset.hysteresis_rate,
    }
    return np.array([values[slot] for slot in range(at.CONSTANTS)])
