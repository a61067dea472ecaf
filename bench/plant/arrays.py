"""The arrays of one plant, allocated and filled from its spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.cells import CellFile, load_cell
from bench.errors import InvalidInput
from bench.plant import layout as at
from bench.plant.abuse import COLLAPSED_OVER_R0
from bench.plant.cells import REFERENCE_DEGC, REVERSED_V
from bench.plant.degradation import MONTH_S
from bench.plant.groups import join_groups
from bench.plant.heat import thermistor_ohm
from bench.plant.spec import Outlier, PlantSpec
from bench.plant.tables import cell_tables, refresh_resistances

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Everything that the kernel works on, in the rows and slots of `layout`."""

    constant: Floats
    ocv: Floats
    ohm: Floats
    axis: Floats
    cell: Floats
    group: Floats
    group_flag: Bools
    tap: Floats
    sensor: Floats
    sensor_connected: Bools
    switch: Bools
    state: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CellParameters:
    """What the cells of one pack are, each array shape (cells,), those of one group side by side.

    Parameters
    ----------
    capacity_ah
        Present capacity, with spread and fade.
    resistance_factor
        Multiplies every resistance of the file; with scale, spread and growth.
    soc, temperature_degc
        At the start.
    leak_a
        Self-discharge at 25 °C [A].
    """

    capacity_ah: Floats
    resistance_factor: Floats
    soc: Floats
    temperature_degc: Floats
    leak_a: Floats


def draw_cells(spec: PlantSpec, file: CellFile) -> CellParameters:
    """The cells of one pack: cell file, scale, spread from the spec's seed, ageing.

    The four quantities are drawn in a fixed order, so that one spread does not change the draw of another.
    """
    rng = np.random.default_rng(spec.seed)
    draws = rng.standard_normal((4, spec.cells * spec.parallel))
    capacity_ah = file.capacity_ah if spec.capacity_ah is None else spec.capacity_ah
    soc = spec.each_cell(spec.soc if spec.soc_per_cell is None else spec.soc_per_cell)
    per_month = np.full(spec.cells * spec.parallel, spec.self_discharge_per_month)
    drawn = CellParameters(
        capacity_ah=capacity_ah
        * np.maximum(1.0 + spec.capacity_spread * draws[0], 0.05)
        * (1.0 - spec.each_cell(spec.capacity_fade)),
        resistance_factor=file.capacity_ah
        / capacity_ah
        * np.maximum(1.0 + spec.resistance_spread * draws[1], 0.05)
        * (1.0 + spec.each_cell(spec.resistance_growth)),
        soc=soc + spec.soc_spread * draws[2],
        temperature_degc=spec.temperature_degc + spec.temperature_spread_k * draws[3],
        leak_a=per_month,
    )
    for outlier in spec.outliers:
        _set_apart(drawn, outlier, outlier.cell * spec.parallel + outlier.member)
    drawn.leak_a[:] *= 3600.0 * drawn.capacity_ah / MONTH_S
    return drawn


def _set_apart(cells: CellParameters, outlier: Outlier, k: int) -> None:
    cells.capacity_ah[k] *= 1.0 - outlier.capacity_fade
    cells.resistance_factor[k] *= 1.0 + outlier.resistance_growth
    cells.temperature_degc[k] += outlier.warmer_k
    if outlier.soc is not None:
        cells.soc[k] = outlier.soc
    if outlier.self_discharge_per_month is not None:
        cells.leak_a[k] = outlier.self_discharge_per_month


def cell_rows(file: CellFile, cells: CellParameters, hysteresis: float) -> Floats:
    """The rows of `cell` before the first look-up, shape (CELL_ROWS, cells): at rest."""
    cell = np.zeros((at.CELL_ROWS, len(cells.soc)))
    cell[at.CAPACITY_C] = 3600.0 * cells.capacity_ah
    cell[at.R_FACTOR] = cells.resistance_factor
    cell[at.SOC] = cells.soc
    cell[at.HYSTERESIS] = hysteresis
    cell[at.TEMPERATURE] = cells.temperature_degc
    cell[at.LEAK_A] = cells.leak_a
    cell[at.BONDED] = cell[at.SHARE] = cell[at.SEI] = cell[at.ANODE] = 1.0
    cell[at.EMF] = open_circuit_v(file, cells.soc, hysteresis, cells.temperature_degc)
    return cell


def allocate(spec: PlantSpec) -> Arrays:
    """Arrays of a pack at rest: contactors open, pyro switch intact, bus and charge port dead.

    Raises
    ------
    InvalidInput
        If the cell file is none, or is without a cold plate that the spec asks for.
    """
    file = load_cell(spec.cell)
    if spec.coolant_w_per_k > 0.0 and file.thermal.plate_w_per_k == 0.0:
        found = f"{file.name}, whose plate_w_per_k is 0"
        raise InvalidInput("PlantSpec.coolant_w_per_k", expected="cells on a cold plate", found=found)
    cells = draw_cells(spec, file)
    ohm, axis = cell_tables(file, capacity_scale=capacity_scale(spec, file))
    state = np.zeros(at.STATE_SIZE)
    state[at.PYRO_S] = -1.0
    state[at.TRIP_S] = np.nan
    for slot in (at.BOARD_DEGC, at.PRECHARGE_DEGC, at.COOLANT_DEGC):
        state[slot] = spec.ambient_degc
    state[at.SPLIT] = 1.0 if spec.parallel > 1 else 0.0
    switch = np.zeros((at.SWITCH_ROWS, len(at.SWITCHES)), dtype=np.bool_)
    switch[at.ARMATURE, at.PYRO] = switch[at.CLOSED, at.PYRO] = True

    cell = cell_rows(file, cells, spec.hysteresis)
    refresh_resistances(cell, ohm, axis, state)
    group = np.zeros((at.GROUP_ROWS, spec.cells))
    join_groups(cell, group, state)
    group[at.CELL_V] = group[at.AFE_V] = group[at.GROUP_EMF]

    sensor = np.zeros((at.SENSOR_ROWS, spec.sensors))
    sensor[at.SENSOR_CELL] = spec.sensor_cells
    sensor[at.SENSOR_CELL] *= spec.parallel
    for j, k in enumerate(spec.sensor_cells):
        degc = float(cells.temperature_degc[k * spec.parallel])
        sensor[at.SENSOR_DEGC, j] = degc
        sensor[at.SENSOR_OHM, j] = thermistor_ohm(degc, spec.thermistor_r25_ohm, spec.thermistor_beta_k)
    return Arrays(
        constant=_constants(spec, file, ohm, axis),
        ocv=np.array([file.ocv.mean_v, file.ocv.half_v]),
        ohm=ohm,
        axis=axis,
        cell=cell,
        group=group,
        group_flag=np.zeros((at.GROUP_FLAG_ROWS, spec.cells), dtype=np.bool_),
        tap=np.zeros((at.TAP_ROWS, spec.cells + 1)),
        sensor=sensor,
        sensor_connected=np.zeros(spec.sensors, dtype=np.bool_),
        switch=switch,
        state=state,
    )


def open_circuit_v(file: CellFile, soc: Floats, hysteresis: float, temperature_degc: Floats) -> Floats:
    """Open-circuit voltage [V] at `soc` and `temperature_degc` [°C], all shape (cells,)."""
    ocv, entropy = file.ocv, file.entropy
    mean = np.interp(soc, ocv.soc, ocv.mean_v)
    mean += ocv.overcharge_v_per_soc * np.maximum(soc - 1.0, 0.0)
    mean += ocv.overdischarge_v_per_soc * np.minimum(soc, 0.0)
    found = np.maximum(mean, REVERSED_V) + hysteresis * np.interp(soc, ocv.soc, ocv.half_v)
    if entropy is not None:
        found += np.interp(soc, entropy.soc, entropy.v_per_k) * (temperature_degc - REFERENCE_DEGC)
    return np.asarray(found)


def capacity_scale(spec: PlantSpec, file: CellFile) -> float:
    """How many times larger than the file's the cells of a pack are."""
    return 1.0 if spec.capacity_ah is None else spec.capacity_ah / file.capacity_ah


def cell_constants(file: CellFile) -> dict[int, float]:
    """The slots of `constant` that the cells' electrical model needs."""
    return {
        at.K_OVER_V: file.ocv.overcharge_v_per_soc,
        at.K_UNDER_V: file.ocv.overdischarge_v_per_soc,
        at.K_HYSTERESIS_RATE: file.hysteresis.rate,
        at.K_PAIRS: len(file.rc),
    }


def middle_r0_ohm(ohm: Floats, axis: Floats) -> float:
    """R0 of the file at 25 °C and SOC 0.5 [ohm]."""
    probe = np.zeros((at.CELL_ROWS, 1))
    probe[at.R_FACTOR], probe[at.SOC], probe[at.TEMPERATURE] = 1.0, 0.5, REFERENCE_DEGC
    refresh_resistances(probe, ohm, axis, np.zeros(at.STATE_SIZE))
    return float(probe[at.R0, 0])


def _constants(spec: PlantSpec, file: CellFile, ohm: Floats, axis: Floats) -> Floats:
    scale, thermal = capacity_scale(spec, file), file.thermal
    values = cell_constants(file) | {
        at.K_PLATING_A: spec.plating_c_rate * file.capacity_ah * scale,
        at.K_COLLAPSED_OHM: COLLAPSED_OVER_R0 * middle_r0_ohm(ohm, axis),
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
        at.K_SUPPLY_DROPOUT_V: spec.supply_dropout_v,
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
        at.K_HEAT_CAPACITY: thermal.heat_capacity_j_per_k * scale,
        at.K_NEIGHBOUR_W: thermal.neighbour_w_per_k * scale,
        at.K_AMBIENT_W: thermal.ambient_w_per_k * scale,
        at.K_FAN_W: thermal.fan_w_per_k * scale,
        at.K_PLATE_W: thermal.plate_w_per_k * scale if spec.coolant_w_per_k > 0.0 else 0.0,
        at.K_COOLANT_W: spec.coolant_w_per_k,
        at.K_COOLANT_J: spec.coolant_j_per_k,
        at.K_RADIATOR_W: spec.radiator_w_per_k,
    }
    return np.array([values[slot] for slot in range(at.CONSTANTS)])
