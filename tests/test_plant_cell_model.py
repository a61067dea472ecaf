"""The equations of one cell, by hand: tables, pairs, charge transfer, entropy, hysteresis; and `simulate`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cells import cell_names, load_cell
from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec
from bench.plant.simulate import simulate
from tests.made_cells import CAPACITY_AH, R0_OHM, R1_OHM, TAU1_S, write_cell

KELVIN = 273.15


@pytest.mark.parametrize("name", cell_names())
def test_the_kernel_has_the_files_values_at_the_files_points(name):
    file = load_cell(name)
    for i, degc in enumerate(file.r0.temperature_degc):
        if -40.0 <= degc <= 100.0:
            for j, soc in enumerate(file.r0.soc):
                plant = Plant(PlantSpec(cells=1, cell=name, soc=float(soc), temperature_degc=float(degc)))
                assert plant.truth.r0_ohm[0] == pytest.approx(file.r0.ohm[i, j], rel=1e-9)


@pytest.mark.parametrize("name", cell_names())
def test_the_polarisation_at_the_files_points_is_the_files(name):
    file = load_cell(name)
    pair = file.rc[-1]
    for i, degc in enumerate(pair.temperature_degc):
        if not -40.0 <= degc <= 100.0:
            continue
        soc = float(pair.soc[len(pair.soc) // 2])
        plant = Plant(
            PlantSpec(cells=1, cell=name, soc=soc, temperature_degc=float(degc), ambient_degc=float(degc))
        )
        plant.port.coil[[0, 3]] = True
        plant.step(0.1)
        charger = plant.terminal("charger")
        charger.enabled, charger.voltage_v, charger.current_a = True, 10.0, 0.1 * file.capacity_ah
        start_c = plant.truth.charge_ah * 3600.0
        plant.step(5.0)

        # A pair takes 1 - exp(-t / tau) of R i; the charger is there after 1 ms of lag
        taken = 1.0 - math.exp(-5.0 / pair.tau_s[i])
        ohm, through_a = pair.ohm[i, len(pair.soc) // 2], 0.1 * file.capacity_ah
        if pair.linear_a is not None:
            through_a = pair.linear_a[i] * math.asinh(through_a / pair.linear_a[i])
        assert plant.truth.charge_ah * 3600.0 > start_c
        assert plant.truth.u_v[len(file.rc) - 1, 0] == pytest.approx(ohm * through_a * taken, rel=2e-3)


def test_between_and_beyond_two_temperatures_the_arrhenius_law_holds():
    file = load_cell("lfp_280ah")
    r0, degc = file.r0.ohm[:, 0], file.r0.temperature_degc

    def law(at: float, low: int) -> float:
        x = [1.0 / (t + KELVIN) for t in (degc[low], degc[low + 1], at)]
        return float(r0[low] * (r0[low + 1] / r0[low]) ** ((x[2] - x[0]) / (x[1] - x[0])))

    for at, low in ((17.5, 4), (-38.0, 0), (70.0, 6)):
        plant = Plant(PlantSpec(cells=1, soc=0.0, temperature_degc=at))
        assert plant.truth.r0_ohm[0] == pytest.approx(law(at, low), rel=1e-9)
    hottest = Plant(PlantSpec(cells=1, soc=0.0, temperature_degc=400.0)).truth.r0_ohm[0]
    assert hottest == pytest.approx(law(100.0, 6), rel=1e-9)


def test_the_steady_voltage_of_the_first_pair_is_an_inverse_hyperbolic_sine(tmp_path):
    file = load_cell(write_cell(tmp_path, linear_a=5.0))
    t_s = np.arange(0.0, 100.0)

    found = simulate(file, t_s, np.full(100, 10.0), temperature_degc=25.0, soc=0.5)

    # 99 s at 10 A: 2.75 % of 10 Ah at 1 V per unit of SOC; 5 A asinh(2) = 7.218 A through 20 mohm
    u1_v = R1_OHM * 7.218 * (1.0 - math.exp(-99.0 / TAU1_S))
    assert found.end_voltage_v[-1] == pytest.approx(3.5 + 0.0275 + R0_OHM * 10.0 + u1_v, abs=1e-5)


def test_the_charge_transfer_current_grows_with_the_capacity(tmp_path):
    path = write_cell(tmp_path, linear_a=5.0)
    plant = Plant(PlantSpec(cells=1, cell=path, capacity_ah=2 * CAPACITY_AH))
    plant.port.coil[[0, 3]] = True
    charger = plant.terminal("charger")
    charger.enabled, charger.voltage_v, charger.current_a = True, 10.0, 20.0
    plant.step(200.0)

    # Twice the cell at twice the current has the same voltages
    assert plant.truth.u_v[0, 0] == pytest.approx(R1_OHM * 7.218, rel=1e-3)


def test_a_small_current_does_not_see_charge_transfer(tmp_path):
    t_s, current_a = np.arange(0.0, 60.0), np.full(60, 0.01)
    with_it = simulate(
        load_cell(write_cell(tmp_path, linear_a=5.0)), t_s, current_a, temperature_degc=25.0, soc=0.5
    )
    (tmp_path / "plain").mkdir()
    plain = simulate(
        load_cell(write_cell(tmp_path / "plain")), t_s, current_a, temperature_degc=25.0, soc=0.5
    )

    assert with_it.voltage_v == pytest.approx(plain.voltage_v, abs=1e-9)


def test_three_pairs_add_up(tmp_path):
    file = load_cell(write_cell(tmp_path, more_pairs=((5e-3, 40.0), (2e-3, 300.0))))

    found = simulate(file, [0.0, 50.0], [0.0, -4.0], temperature_degc=25.0, soc=0.5)

    pairs = ((R1_OHM, TAU1_S), (5e-3, 40.0), (2e-3, 300.0))
    dropped = 4.0 * (R0_OHM + sum(ohm * (1 - math.exp(-50.0 / tau_s)) for ohm, tau_s in pairs))
    assert found.end_voltage_v[-1] == pytest.approx(3.5 - 50.0 * 4.0 / 36_000.0 - dropped, abs=1e-6)


def test_entropy_moves_the_voltage_with_temperature_and_takes_or_gives_heat(tmp_path):
    file = load_cell(write_cell(tmp_path, v_per_k=0.2e-3))
    t_s = np.array([0.0, 1.0])
    rest = simulate(file, t_s, np.zeros(2), temperature_degc=45.0, soc=0.5)
    charge = simulate(file, t_s, np.full(2, 0.5), temperature_degc=45.0, soc=0.5)
    discharge = simulate(file, t_s, np.full(2, -0.5), temperature_degc=45.0, soc=0.5)

    # 20 K x 0.2 mV/K; 0.5 A x 318.15 K x 0.2 mV/K = 31.8 mW, and 2.5 mW in R0, a few in the pair
    assert rest.end_voltage_v[-1] == pytest.approx(3.504, abs=1e-9)
    assert 0.5 * (charge.heat_w[1] - discharge.heat_w[1]) == pytest.approx(0.031815, rel=1e-3)
    assert 0.5 * (charge.heat_w[1] + discharge.heat_w[1]) == pytest.approx(R0_OHM * 0.25, rel=0.1)


@pytest.mark.parametrize(
    "extra", [{}, {"v_per_k": 0.3e-3}, {"linear_a": 5.0}, {"more_pairs": ((4e-3, 60.0),)}]
)
def test_energy_balances_whatever_the_file_has(tmp_path, extra):
    path = write_cell(tmp_path, half_v=0.01, **extra)
    plant = Plant(PlantSpec(cells=4, cell=path, temperature_degc=10.0))
    plant.port.coil[[0, 1, 3]] = True
    plant.step(0.1)
    before = plant.truth.energy_j
    charger, load = plant.terminal("charger"), plant.terminal("load")
    charger.enabled, charger.voltage_v, charger.current_a = True, 40.0, 8.0
    plant.step(300.0)
    charger.enabled = False
    load.enabled, load.current_a = True, 12.0
    plant.step(300.0)
    load.enabled = False
    plant.step(100.0)

    change = {key: value - before[key] for key, value in plant.truth.energy_j.items()}
    came = change.pop("charger") + change.pop("regen") - change.pop("load")
    assert change["cell_heat"] > 500.0
    # The circuit holds the cells' EMF for 0.1 s: 0.05 s x 4 cells x 12 A x 0.4 V of change, and as much again
    assert came == pytest.approx(sum(change.values()), abs=2.0)


@given(st.lists(st.floats(-30.0, 30.0), min_size=2, max_size=20), st.floats(-20.0, 50.0))
def test_a_simulated_cell_counts_its_charge(current_a, degc):
    file = load_cell("lfp_280ah")
    t_s = 7.0 * np.arange(len(current_a))

    found = simulate(file, t_s, current_a, temperature_degc=degc, soc=0.5)

    moved_ah = sum(current_a[1:]) * 7.0 / 3600.0
    assert found.soc[-1] == pytest.approx(0.5 + moved_ah / 280.0, abs=1e-12)
    assert (np.abs(found.hysteresis) <= 1.0).all()


def test_a_simulated_cell_is_the_plants_cell():
    t_s = np.arange(0.0, 61.0)
    plant = Plant(PlantSpec(cells=1, soc=0.7, hysteresis=-0.5))
    plant.port.coil[[0, 1]] = True
    plant.step(0.1)
    load = plant.terminal("load")
    load.enabled, load.current_a, load.slew_a_per_s = True, 100.0, math.inf
    plant.step(60.0)

    current_a = np.where(t_s > 0.0, -100.0, 0.0)
    # Warmed by some 0.05 K in a minute
    found = simulate(load_cell("lfp_280ah"), t_s, current_a, temperature_degc=25.0, soc=0.7, hysteresis=-0.5)
    assert found.end_voltage_v[-1] == pytest.approx(plant.truth.cell_v[0], abs=0.2e-3)
    assert found.soc[-1] == pytest.approx(plant.truth.soc[0], abs=1e-6)


def test_a_sample_is_the_mean_over_its_interval(tmp_path):
    file = load_cell(write_cell(tmp_path))

    found = simulate(file, [0.0, 30.0], [0.0, 5.0], temperature_degc=25.0, soc=0.5)

    # Mean of 1 - exp(-t / 10 s) over 30 s is 1 - (1 - exp(-3)) / 3; SOC rises by 0.417 % to the end
    mean_v = 3.5 + 0.5 * 150.0 / 36_000.0 + 5.0 * (R0_OHM + R1_OHM * (1 - (1 - math.exp(-3.0)) / 3.0))
    assert found.voltage_v[1] == pytest.approx(mean_v, abs=1e-6)
    assert found.voltage_v[0] == 3.5


@pytest.mark.parametrize(
    ("t_s", "current_a", "degc", "message"),
    [
        ([0.0, 1.0], [0.0], 25.0, "of one shape"),
        ([0.0, 0.0], [0.0, 1.0], 25.0, "strictly rising"),
        ([0.0, 1.0], [0.0, math.nan], 25.0, "finite"),
        ([0.0, 1.0], [0.0, 1.0], [25.0, 25.0, 25.0], "temperature_degc: expected one or 2"),
    ],
)
def test_a_profile_that_is_none_is_refused(t_s, current_a, degc, message):
    with pytest.raises(InvalidInput, match=message):
        simulate(load_cell("lfp_280ah"), t_s, current_a, temperature_degc=degc, soc=0.5)
