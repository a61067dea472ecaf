"""The plant as an object: constructed cheaply, alone in the world, the same twice."""

import math
from pathlib import Path

import numpy as np
import pytest

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.plant import Plant, PlantSpec, kernel
from tests.measured import measured

SPEC = PlantSpec(cells=24, soc_spread=0.01, resistance_spread=0.05, sensor_cells=(0, 11, 23), seed=5)


def drive(plant: Plant):
    """A short drive that touches most of the plant; yields after every step."""
    plant.port.coil[[0, 2]] = True
    for k in range(120):
        if k == 60:
            plant.port.coil[1] = True
            plant.terminal("load").enabled, plant.terminal("load").current_a = True, 250.0
        if k == 80:
            plant.port.bleed[::2] = True
            plant.terminal("faults").set("open_sense_wire_7", True)
        if k == 100:
            plant.port.comparator_threshold_a, plant.port.comparator_delay_s = 2000.0, 300e-6
            plant.terminal("faults").set("short_circuit", True)
        plant.step(0.01)
        yield plant.port.cell_v.tolist(), plant.port.shunt_a, plant.port.link_v, plant.port.ntc_v.tolist()


def test_the_same_plant_twice_is_the_same():
    assert list(drive(Plant(SPEC))) == list(drive(Plant(SPEC)))


def test_two_plants_do_not_influence_each_other():
    alone = list(drive(Plant(SPEC)))

    both = [pair[0] for pair in zip(drive(Plant(SPEC)), drive(Plant(PlantSpec(cells=9))), strict=True)]

    assert both == alone


def test_arrays_of_the_port_stay_the_same_objects():
    plant = Plant(SPEC)
    before = {name: id(value) for name, value in vars(plant.port).items() if isinstance(value, np.ndarray)}
    list(drive(plant))

    after = {name: id(value) for name, value in vars(plant.port).items() if isinstance(value, np.ndarray)}
    assert before == after
    assert set(before) == {"cell_v", "ntc_v", "feedback", "coil", "bleed", "insulation_ohm"}
    assert plant.terminal("cells") is plant.terminal("cells")


def test_a_new_plant_shows_its_state_before_the_first_step():
    plant = Plant(SPEC)

    assert plant.time_s == 0.0
    assert plant.port.pack_v == pytest.approx(plant.port.cell_v.sum())
    assert plant.port.feedback.tolist() == [False, False, False, False, True]
    assert plant.port.hvil_closed
    assert plant.port.supply_v == 24.0
    assert math.isnan(plant.port.comparator_trip_s)


@pytest.mark.parametrize("dt_s", [0.0, -0.01, math.nan, math.inf])
def test_time_only_goes_forward(dt_s):
    with pytest.raises(ValueError, match="above 0 s"):
        Plant(SPEC).step(dt_s)


def test_time_adds_up_exactly():
    plant = Plant(PlantSpec(cells=1))
    for _ in range(1000):
        plant.step(0.001)

    assert plant.time_s == 1.0


def test_the_truth_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        Plant(SPEC).truth.soc[0] = 1.0


def test_every_compiled_module_counts_for_the_cache():
    folder = Path(kernel.__file__).parent
    compiled = {path.stem for path in folder.glob("*.py") if "@njit" in path.read_text(encoding="utf-8")}

    # `layout` has no function of its own; its numbers are compiled in
    assert set(kernel.COMPILED) == compiled | {"layout"}


def test_an_unknown_cell_names_those_that_exist():
    with pytest.raises(InvalidInput, match=r"one of: .*lfp_280ah.*nmc_58ah"):
        Plant(PlantSpec(cell="lead_acid"))


def table(name: str):
    return np.genfromtxt(measured(name), delimiter=",", names=True)


@pytest.mark.parametrize(
    ("script", "column", "branch"), [("s1", "ah_discharged", 0), ("s3", "ah_charged", 1)]
)
def test_the_lfp_branches_are_those_of_the_measurement(script, column, branch):
    measured = table(f"a123_lfp/ocv_P25_{script}.csv")
    measured = measured[measured["step"] == 2]
    share = measured[column] / measured[column][-1]
    soc = 1.0 - share if branch == 0 else share
    ocv = load_cell("lfp_280ah").ocv
    error_v = np.interp(soc, ocv.soc, (ocv.discharge_v, ocv.charge_v)[branch]) - measured["v_V"]

    inner = error_v[(soc > 0.02) & (soc < 0.98)]
    # 2.4 mV rms, nearly all of it the polarisation of C/30 that was taken off; 0.5 mV around that
    assert np.sqrt(np.mean(inner**2)) < 3e-3
    assert inner.std() < 0.6e-3


def test_the_lfp_charge_branch_agrees_with_another_maker():
    measured = table("lfp_flatzone_1p2ah/ocv_25degC.csv")
    inner = measured[(measured["soc"] > 0.1) & (measured["soc"] < 0.95)]
    ocv = load_cell("lfp_280ah").ocv
    error_v = np.interp(inner["soc"], ocv.soc, ocv.charge_v) - inner["ocv_charge_V"]

    assert np.sqrt(np.mean(error_v**2)) < 10e-3  # 7.6 mV


def test_the_nmc_tables_are_those_of_the_measurement():
    measured = table("cell_tables/nmc_58ah_calb_3rc.csv")
    at_25 = measured[measured["temp_C"] == 25]
    cell = load_cell("nmc_58ah")
    error_v = np.interp(at_25["soc"], cell.ocv.soc, cell.ocv.discharge_v) - at_25["ocv_V"]
    r0 = cell.r0.ohm[list(cell.r0.temperature_degc).index(25.0)]

    assert np.sqrt(np.mean(error_v**2)) < 0.2e-3
    assert np.interp(at_25["soc"], cell.r0.soc, r0) == pytest.approx(at_25["r0_mohm"] * 1e-3, rel=1e-3)
    # All that the three RC pairs drop in the end, the two drop too
    inner = at_25[(at_25["soc"] > 0.05) & (at_25["soc"] < 0.95)]
    total = sum(inner[f"r{k}_mohm"].mean() for k in (1, 2, 3)) * 1e-3
    dropped = sum(pair.ohm[list(pair.temperature_degc).index(25.0), 0] for pair in cell.rc)
    assert dropped == pytest.approx(total, rel=1e-3)
