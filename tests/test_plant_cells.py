"""The cells of the plant: bookkeeping of charge, branches, ageing, spread, and what lies outside 0..1."""

import math

import numpy as np
import pytest

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec

MAIN_MINUS, MAIN_PLUS, PRECHARGE, CHARGE, PYRO = range(5)


def charging(current_a: float, **spec: object) -> Plant:
    """A plant that is charged with `current_a`, far from the charger's voltage."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[MAIN_MINUS, CHARGE]] = True
    plant.step(0.1)
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 10.0 * plant.spec.cells, current_a
    return plant


def discharging(current_a: float, **spec: object) -> Plant:
    """A plant that a load draws `current_a` from."""
    plant = Plant(PlantSpec(**spec))
    plant.port.coil[[MAIN_MINUS, MAIN_PLUS]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a = True, current_a
    return plant


def test_ten_ampere_hours_are_ten_ampere_hours():
    plant = charging(100.0)
    counted_c = 0.0
    for _ in range(3600):
        plant.step(0.1)
        counted_c += plant.port.shunt_mean_a * 0.1

    # 360 s at 100 A, less 1 ms of lag
    assert counted_c == pytest.approx(36_000.0 - 0.1, abs=0.05)
    assert plant.truth.soc == pytest.approx(np.full(24, 0.5 + counted_c / 3600.0 / 280.0), abs=1e-9)
    assert plant.truth.charge_ah == pytest.approx(counted_c / 3600.0, rel=1e-9)


@pytest.mark.parametrize("cells", [1, 2, 16, 240])
def test_the_sum_of_the_cells_and_their_joints_is_the_stack(cells):
    plant = discharging(100.0, cells=cells, soc_spread=0.02, resistance_spread=0.05)
    plant.step(1.0)

    joints_v = (cells - 1) * 20e-6 * plant.port.shunt_a
    assert plant.port.pack_v == pytest.approx(plant.port.cell_v.sum() + joints_v, rel=1e-8)
    # stack to bus: shunt, pyro switch and bars 0.36 mohm, two contactors 0.2 mohm
    # The circuit holds the cells' EMF over one inner step (0.1 s): under 0.1 mV per cell at this current.
    bus_v = plant.port.pack_v + 0.76e-3 * plant.port.shunt_a
    assert plant.port.link_v == pytest.approx(bus_v, abs=1e-4 * cells)


@pytest.mark.parametrize("cells", range(1, 241, 17))
def test_any_number_of_cells_is_a_pack(cells):
    plant = Plant(PlantSpec(cells=cells, sensor_cells=(0, cells - 1)))
    plant.step(0.01)

    assert plant.port.cell_v.shape == plant.port.bleed.shape == (cells,)
    assert plant.port.pack_v == pytest.approx(3.308 * cells, rel=1e-3)


def test_a_current_step_shows_r0_at_once_and_the_rest_with_time():
    plant = Plant(PlantSpec(cells=1))
    plant.port.coil[[MAIN_MINUS, MAIN_PLUS]] = True
    plant.step(0.1)
    rest_v = float(plant.port.cell_v[0])
    load = plant.terminal("load")
    load.enabled, load.current_a = True, 100.0

    plant.step(0.05)  # one cell hardly damps the bus: it rings for some 20 ms
    at_once_v = rest_v - float(plant.port.cell_v[0])
    plant.step(60.0)
    later_v = rest_v - float(plant.port.cell_v[0])

    polarised_v = 0.0
    for pair in load_cell("lfp_280ah").rc:
        at_25 = list(pair.temperature_degc).index(25.0)
        polarised_v += 100.0 * pair.ohm[at_25, 0] * (1 - math.exp(-60.0 / pair.tau_s[at_25]))
    assert at_once_v == pytest.approx(100.0 * 150e-6, rel=0.03)
    # 100 A x 60 s is 0.6 % of the capacity: OCV and branch move by some 3 mV as well
    assert later_v - at_once_v == pytest.approx(polarised_v, abs=5e-3)


def test_rest_after_charge_lies_above_rest_after_discharge():
    def rested(plant: Plant, soc: float) -> float:
        while (plant.truth.soc[0] - soc) * plant.port.shunt_a < 0.0 or plant.port.shunt_a == 0.0:
            plant.step(1.0)
        for name in ("charger", "load"):
            plant.terminal(name).enabled = False
        for _ in range(60):
            plant.step(60.0)
        return float(plant.port.cell_v[0])

    down_v = rested(discharging(280.0, cells=2, soc=0.8), 0.6)
    up_v = rested(charging(280.0, cells=2, soc=0.4), 0.6)

    # The A123 branches lie 33 mV apart at 60 %
    assert up_v - down_v == pytest.approx(0.033, abs=0.004)


def test_an_overcharged_cell_rises_steeply_and_is_not_clamped():
    plant = charging(140.0, cells=1, soc=0.999)
    for _ in range(300):
        plant.step(0.1)

    assert plant.truth.soc[0] == pytest.approx(0.999 + 140.0 * 30.0 / 3600.0 / 280.0, abs=1e-5)
    # 0.317 % above full at 12 V per unit of SOC is 38 mV above the last point of the curve
    assert plant.truth.emf_v[0] - plant.truth.u_v[:, 0].sum() == pytest.approx(3.628, abs=0.01)


def test_an_overdischarged_cell_falls_and_reverses():
    plant = discharging(140.0, cells=4, soc_per_cell=(0.5, 0.01, 0.5, 0.5))
    for _ in range(1800):
        plant.step(0.1)

    assert plant.truth.soc[1] < -0.01
    assert plant.port.cell_v[1] < 2.0
    for _ in range(6000):
        plant.step(0.1)
    assert -2.0 < plant.port.cell_v[1] < 0.0


def test_ageing_takes_capacity_and_adds_resistance():
    new, old = (
        Plant(PlantSpec(cells=2)),
        Plant(PlantSpec(cells=2, capacity_fade=(0.2, 0.0), resistance_growth=0.5)),
    )

    assert old.truth.capacity_ah == pytest.approx([224.0, 280.0])
    assert old.truth.r0_ohm == pytest.approx(1.5 * new.truth.r0_ohm)


def test_a_smaller_capacity_scales_resistance_and_heat():
    plant = Plant(PlantSpec(cells=1, capacity_ah=140.0))

    assert plant.truth.r0_ohm[0] == pytest.approx(300e-6, rel=1e-3)
    plant.conditions.set("heater_w", 27.0, group=0)
    plant.step(100.0)
    # Half of 5400 J/K, less 0.175 W/K of air for 50 s K
    assert plant.truth.temperature_degc[0] - 25.0 == pytest.approx((2700.0 - 8.75) / 2700.0, rel=1e-3)


def test_resistance_falls_with_temperature_as_its_arrhenius_law_says():
    cold, warm = (Plant(PlantSpec(cells=1, temperature_degc=t)).truth.r0_ohm[0] for t in (0.0, 40.0))

    # 23.1 kJ/mol between 273.15 K and 313.15 K: exp(23100 / 8.314 x 4.676e-4) = 3.67
    assert cold / warm == pytest.approx(3.67, rel=0.02)


def test_the_spread_is_a_function_of_the_seed():
    spec = PlantSpec(cells=200, capacity_spread=0.01, soc_spread=0.02, temperature_spread_k=1.0, seed=3)
    one, same, other = (
        Plant(spec).truth,
        Plant(spec).truth,
        Plant(PlantSpec(cells=200, soc_spread=0.02)).truth,
    )

    assert (one.capacity_ah == same.capacity_ah).all()
    assert (one.soc != other.soc).all()
    assert one.capacity_ah.std() / 280.0 == pytest.approx(0.01, rel=0.2)
    assert one.soc.std() == pytest.approx(0.02, rel=0.2)
    assert one.temperature_degc.std() == pytest.approx(1.0, rel=0.2)


def test_a_replaced_cell_rests_and_holds_the_channels_voltage():
    plant = charging(100.0, cells=4)
    cells = plant.terminal("cells")
    cells.connected[1], cells.voltage_v[1] = True, 3.65
    for _ in range(100):
        plant.step(0.1)

    assert plant.truth.soc[1] == 0.5
    assert plant.truth.soc[0] > 0.5009
    assert plant.port.cell_v[1] == pytest.approx(3.65, abs=1e-6)
    joints_v = 3 * 20e-6 * plant.port.shunt_a
    assert plant.port.pack_v == pytest.approx(plant.port.cell_v.sum() + joints_v, abs=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cells": 0}, "PlantSpec.cells: expected 1 to 240"),
        ({"cells": 241}, "PlantSpec.cells"),
        ({"cells": 4, "sensor_cells": (4,)}, "sensor_cells: expected indices below 4"),
        ({"cells": 4, "soc_per_cell": (0.5,)}, "soc_per_cell: expected 4 values"),
        ({"short_ohm": 0.0}, "short_ohm: expected a positive number"),
        ({"soc": math.nan}, "soc: expected a finite number"),
        ({"capacity_ah": -1.0}, "capacity_ah: expected positive"),
        ({"bleed_current_a": 0.0}, "bleed_current_a"),
        ({"capacity_fade": 1.0}, "capacity_fade: expected above -inf and below 1, found 1.0"),
        ({"cells": 2, "capacity_fade": (0.1, math.nan)}, "capacity_fade"),
        ({"resistance_growth": -1.0}, "resistance_growth: expected above -1"),
        ({"cells": 2, "soc_per_cell": (0.5, math.nan)}, "soc_per_cell"),
        ({"temperature_degc": -300.0}, "temperature_degc: expected above -273.15"),
        ({"soc_spread": -0.1}, "soc_spread: expected 0 or above"),
        ({"heater_w": -1.0}, "heater_w: expected 0 or above"),
    ],
)
def test_a_spec_that_is_no_pack_is_refused(spec, message):
    with pytest.raises(InvalidInput, match=message):
        PlantSpec(**spec)


def test_a_cell_that_starts_reversed_shows_what_it_shows_later():
    plant = Plant(PlantSpec(cells=2, soc_per_cell=(-0.5, 0.5)))
    at_first_v = plant.port.cell_v.copy()
    plant.step(0.1)

    # Driven backwards, a cell ends at -1.5 V
    assert at_first_v == pytest.approx([-1.5, plant.port.cell_v[1]])
    assert plant.port.cell_v[0] == pytest.approx(-1.5)
