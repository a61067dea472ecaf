"""What one pack is: plain numbers, each with a default, so that a plant needs nothing else to be made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput
from bench.plant.heat import SLOW_STEP_S

MAX_CELLS = 240
MAX_PARALLEL = 100
#: Above and below which a value makes no cell.
_RANGES = (
    ("capacity_fade", -math.inf, 1.0),
    ("resistance_growth", -1.0, math.inf),
    ("soc_per_cell", -math.inf, math.inf),
    ("temperature_degc", -273.15, math.inf),
    ("ambient_degc", -273.15, math.inf),
)


@dataclass(frozen=True, slots=True)
class Outlier:
    """One cell that differs from all others, on top of spread and ageing of the pack.

    Parameters
    ----------
    cell, member
        Its group, counted from 0, and its place in it.
    capacity_fade, resistance_growth
        Its capacity times 1 - fade, its resistance times 1 + growth.
    soc
        Its state of charge at the start; None: as the others.
    warmer_k
        By how much it is warmer at the start [K].
    self_discharge_per_month
        Share of its capacity at 25 °C; None: as the others.
    """

    cell: int
    member: int = 0
    capacity_fade: float = 0.0
    resistance_growth: float = 0.0
    soc: float | None = None
    warmer_k: float = 0.0
    self_discharge_per_month: float | None = None


@dataclass(frozen=True, slots=True)
class PlantSpec:
    """A pack and its surroundings. Defaults without another source are project defaults.

    Parameters
    ----------
    cells, parallel, cell, capacity_ah
        `cells` groups in series, each of `parallel` cells of the file `cell` (a name in `bench.cells` or a
        path), each scaled to `capacity_ah` (None: as in the file). Resistance scales with the inverse, heat
        capacity, conductances and charge-transfer current with the capacity.
    soc, soc_per_cell, hysteresis
        State of charge of all, or of each cell (or group); branch at the start, -1 discharge .. +1 charge.
    temperature_degc, ambient_degc
        Of the cells at the start, of the surroundings [°C].
    capacity_spread, resistance_spread, soc_spread, temperature_spread_k, seed
        Standard deviation over the cells: relative, relative, absolute, kelvin; drawn from `seed`.
    capacity_fade, resistance_growth
        Ageing, one number for all or one per cell (or group): capacity times 1 - fade, resistance times
        1 + growth.
    outliers
        Single cells that differ; see `Outlier`.
    self_discharge_per_month
        Share of its capacity that a cell at 25 °C loses in a month by itself.
    plating_c_rate
        Charge current over the capacity as made [1/h] above which a cell plates lithium, at 25 °C, low SOC.
    sensor_cells
        Group that carries sensor j, on its first cell.
    thermistor_r25_ohm, thermistor_beta_k, thermistor_pullup_ohm, thermistor_reference_v
        NTC and its divider: voltage = reference * R / (R + pullup).
    sensor_lag_s
        Time constant of a sensor glued to its cell.
    precharge_resistor_ohm, bus_capacitance_f, bus_leak_ohm, bus_inductance_h, short_ohm
        The link bus; the inductance is that of the whole loop.
    interconnect_ohm, shared_ohm, contact_ohm
        Per joint between cells; shunt, pyro switch and bars; each contactor.
    source_ohm, source_lag_s, load_knee_v
        Charger and regen source: output resistance (cable), lag of the current limit; load: lowest working
        voltage.
    contactor_closing_s, contactor_opening_s, break_rating_a, pyro_opening_s
        Times from coil to contact; current above which an opening contact welds; time from firing to
        interruption.
    bleed_current_a, nominal_cell_v
        The bleed resistor carries the one at the other.
    sense_wire_ohm, channel_ohm
        Each sense wire with its filter resistor; output of a cell-emulator channel.
    insulation_positive_ohm, insulation_negative_ohm
        Rails to chassis, sound.
    supply_v, supply_dropout_v, supply_w, coil_w
        Auxiliary supply of the BMS; below the dropout coils, fan and heater have no power; what the
        electronics and each energised coil draw from it.
    fan_rpm, fan_lag_s, heater_w, board_k_per_w, board_lag_s
        Fan at full speed; heater power into all cells; electronics board over the bleed power.
    coolant_w_per_k, coolant_j_per_k, radiator_w_per_k
        Liquid cooling, if the first is above 0: heat that the coolant carries at full flow (mass flow times
        specific heat), heat capacity of the loop, radiator to the surroundings at full flow. The cells touch
        the cold plate with the `plate_w_per_k` of their file, one after the other along the flow; the BMS
        drives the pump as it would drive a fan.
    board, shunt_ohm
        True: there is no pack, only the board of a BMS on instruments, see `bench.plant.board`; and the shunt
        that it is made for.
    """

    cells: int = 24
    parallel: int = 1
    cell: str = "lfp_280ah"
    capacity_ah: float | None = None
    soc: float = 0.5
    soc_per_cell: tuple[float, ...] | None = None
    hysteresis: float = 0.0
    temperature_degc: float = 25.0
    ambient_degc: float = 25.0
    capacity_spread: float = 0.0
    resistance_spread: float = 0.0
    soc_spread: float = 0.0
    temperature_spread_k: float = 0.0
    seed: int = 0
    capacity_fade: float | tuple[float, ...] = 0.0
    resistance_growth: float | tuple[float, ...] = 0.0
    outliers: tuple[Outlier, ...] = ()
    self_discharge_per_month: float = 0.0
    plating_c_rate: float = 3.0
    sensor_cells: tuple[int, ...] = (0,)
    thermistor_r25_ohm: float = 10e3
    thermistor_beta_k: float = 3435.0
    thermistor_pullup_ohm: float = 10e3
    thermistor_reference_v: float = 5.0
    sensor_lag_s: float = 3.0
    precharge_resistor_ohm: float = 50.0
    bus_capacitance_f: float = 2e-3
    bus_leak_ohm: float = 20e3
    bus_inductance_h: float = 2.5e-6
    short_ohm: float = 5e-3
    interconnect_ohm: float = 20e-6
    shared_ohm: float = 0.36e-3
    contact_ohm: float = 0.2e-3
    source_ohm: float = 1e-3
    source_lag_s: float = 1e-3
    load_knee_v: float = 1.0
    contactor_closing_s: float = 0.025
    contactor_opening_s: float = 0.015
    break_rating_a: float = 1500.0
    pyro_opening_s: float = 50e-6
    bleed_current_a: float = 0.2
    nominal_cell_v: float = 3.4
    sense_wire_ohm: float = 0.05
    channel_ohm: float = 5e-3
    insulation_positive_ohm: float = 5e6
    insulation_negative_ohm: float = 5e6
    supply_v: float = 24.0
    supply_dropout_v: float = 8.0
    supply_w: float = 6.0
    coil_w: float = 12.0
    fan_rpm: float = 3000.0
    fan_lag_s: float = 0.5
    heater_w: float = 400.0
    board_k_per_w: float = 3.0
    board_lag_s: float = 60.0
    coolant_w_per_k: float = 0.0
    coolant_j_per_k: float = 20e3
    radiator_w_per_k: float = 80.0
    board: bool = False
    shunt_ohm: float = 50e-6

    def __post_init__(self) -> None:
        _expect("cells", f"1 to {MAX_CELLS}", self.cells, 1 <= self.cells <= MAX_CELLS)
        _expect("parallel", f"1 to {MAX_PARALLEL}", self.parallel, 1 <= self.parallel <= MAX_PARALLEL)
        on_cells = all(0 <= cell < self.cells for cell in self.sensor_cells)
        _expect("sensor_cells", f"indices below {self.cells}", self.sensor_cells, on_cells)
        for name in ("soc_per_cell", "capacity_fade", "resistance_growth"):
            value = getattr(self, name)
            if isinstance(value, tuple):
                counts = sorted({self.cells, self.cells * self.parallel})
                expected = " or ".join(str(count) for count in counts)
                _expect(name, f"{expected} values", f"{len(value)}", len(value) in counts)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float):
                _expect(field.name, "a finite number", value, math.isfinite(value))
                if field.name.endswith(("_ohm", "_h", "_f", "_lag_s", "_closing_s", "_opening_s", "_beta_k")):
                    _expect(field.name, "a positive number", value, value > 0)
        for name in ("bleed_current_a", "nominal_cell_v", "load_knee_v", "thermistor_reference_v", "fan_rpm"):
            _expect(name, "a positive number", getattr(self, name), getattr(self, name) > 0)
        _expect("coolant_w_per_k", "0 or above", self.coolant_w_per_k, self.coolant_w_per_k >= 0)
        for name in ("coolant_j_per_k", "radiator_w_per_k"):
            _expect(name, "a positive number", getattr(self, name), getattr(self, name) > 0)
        # A loop that turns over within a step of the heat could not be followed.
        carried = self.coolant_w_per_k + self.radiator_w_per_k
        light = self.coolant_w_per_k > 0 and self.coolant_j_per_k < SLOW_STEP_S * carried
        expected = f"at least {SLOW_STEP_S:g} s of coolant_w_per_k + radiator_w_per_k"
        _expect("coolant_j_per_k", expected, self.coolant_j_per_k, not light)
        _expect("plating_c_rate", "a positive number", self.plating_c_rate, self.plating_c_rate > 0)
        self._check_damage()
        self._check_cells()
        _expect("capacity_ah", "positive", self.capacity_ah, self.capacity_ah is None or self.capacity_ah > 0)

    @property
    def sensors(self) -> int:
        """Number of thermistors."""
        return len(self.sensor_cells)

    def _check_cells(self) -> None:
        for name, above, below in _RANGES:
            values = np.asarray(getattr(self, name) if getattr(self, name) is not None else 0.0)
            inside = bool((np.isfinite(values) & (values > above) & (values < below)).all())
            expected = f"above {above:g}" + (f" and below {below:g}" if math.isfinite(below) else "")
            _expect(name, expected, getattr(self, name), inside)
        for name in (
            "capacity_spread",
            "resistance_spread",
            "soc_spread",
            "temperature_spread_k",
            "heater_w",
        ):
            _expect(name, "0 or above", getattr(self, name), getattr(self, name) >= 0)

    def _check_damage(self) -> None:
        for outlier in self.outliers:
            inside = 0 <= outlier.cell < self.cells and 0 <= outlier.member < self.parallel
            found = f"cell {outlier.cell}, member {outlier.member}"
            _expect("outliers", f"cell below {self.cells}, member below {self.parallel}", found, inside)
            numbers = (outlier.capacity_fade, outlier.resistance_growth, outlier.warmer_k, outlier.soc or 0.0)
            _expect("outliers", "finite numbers", outlier, all(math.isfinite(value) for value in numbers))
            worn = outlier.capacity_fade < 1.0 and outlier.resistance_growth > -1.0
            _expect("outliers", "capacity_fade below 1, resistance_growth above -1", outlier, worn)
        rates = [self.self_discharge_per_month]
        rates += [o.self_discharge_per_month for o in self.outliers if o.self_discharge_per_month is not None]
        for rate in rates:
            _expect("self_discharge_per_month", "0 to 1", rate, 0.0 <= rate <= 1.0)

    def each_cell(self, value: float | tuple[float, ...]) -> NDArray[np.float64]:
        """`value` for every cell, shape (cells * parallel,), of a number, one per group or one per cell."""
        given = np.asarray(value, dtype=np.float64)
        if given.ndim == 1 and len(given) == self.cells:
            given = np.repeat(given, self.parallel)
        return np.broadcast_to(given, (self.cells * self.parallel,))

    @property
    def bleed_ohm(self) -> float:
        """Bleed resistor of each cell [ohm]."""
        return self.nominal_cell_v / self.bleed_current_a


def _expect(name: str, expected: str, found: object, holds: bool) -> None:
    if not holds:
        raise InvalidInput(f"PlantSpec.{name}", expected=expected, found=repr(found))
