"""Ageing against printed runs of BLAST-Lite, its published constants worked out by hand, and common sense."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput
from bench.plant.ageing.cells import LAWS, law_for
from bench.plant.ageing.usage import Usage
from bench.plant.ageing.wear import Wear
from tests.measured import measured

BLAST_NAMES = {
    "Lfp_Gr_250AhPrismatic": "lfp_250ah",
    "NMC_Gr_75Ah_A": "nmc_75ah_a",
    "NMC_Gr_50Ah_B1": "nmc_50ah_b1",
}
#: BLAST steps a day at a time with Euler's rule; the exact trajectory may differ by this much.
TOLERANCE = 0.003

#: One cycle of 80 % a day from 90 % down, four hours at the bottom; and lying still.
CYCLED = Usage(full_cycles_per_day=0.8, depth=0.8, soc_high=0.9, rest_low=4 / 20.4)
STORED = Usage(full_cycles_per_day=0.0, soc_high=0.5)

LAW_NAMES = sorted(LAWS)
TEMPERATURES = st.floats(-10.0, 45.0)


def life(name: str, usage: Usage, years: float, **others) -> Wear:
    return Wear.fresh(LAWS[name], 1, spread=0.0).after(usage, years=years, **others)


def capacity(name: str, usage: Usage, years: float) -> float:
    return float(life(name, usage, years).capacity[0])


def test_stored_lfp_fades_as_worked_out_by_hand():
    # Anode at half charge, x = 0.39425: 0.6379 - 0.0418 + 0.1978 - 0.6875 + 0.0169 = 0.1233 V.
    # k = 8.37e4 exp(-5210 / 298.15) exp(-3560 x 0.1233 / 298.15) = 4.946e-4; 365^0.526 = 22.27.
    assert capacity("lfp_250ah", STORED, 1.0) == pytest.approx(1 - 4.946e-4 * 22.27, abs=2e-5)


def test_stored_lfp_grows_in_resistance_as_worked_out_by_hand():
    # 3.4194e-10 per second x 31.536e6 s x 1.5604 = 0.016827 a year
    assert life("lfp_250ah", STORED, 5.0).resistance[0] == pytest.approx(1 + 5 * 0.016827, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "temperature_degc", "soc", "after_1_year", "after_5_years"),
    [
        ("lfp_250ah", 25.0, 0.5, 0.98896, 0.97430),
        ("lfp_250ah", 45.0, 1.0, 0.94509, 0.87217),
        ("lfp_250ah", 0.0, 1.0, 0.99685, 0.99266),
        ("nmc_50ah_b1", 25.0, 0.5, 0.97308, 0.91597),
        ("nmc_50ah_b1", 45.0, 1.0, 0.90041, 0.68918),
        ("nmc_75ah_a", 25.0, 0.5, 0.99585, 0.98949),
        ("nmc_75ah_a", 45.0, 1.0, 0.88383, 0.70595),
        ("nmc_75ah_kokam", 25.0, 0.5, 0.9899, 0.9820),
        ("nmc_75ah_kokam", 45.0, 0.5, 0.9547, 0.9197),
    ],
)
def test_stored_cells_keep_the_capacity_that_blast_prints(
    name, temperature_degc, soc, after_1_year, after_5_years
):
    # Printed by BLAST-Lite 1.1.1, simulate_battery_life with constant SOC and temperature.
    usage = replace(STORED, temperature_degc=temperature_degc, soc_high=soc)

    assert capacity(name, usage, 1.0) == pytest.approx(after_1_year, abs=5e-4)
    assert capacity(name, usage, 5.0) == pytest.approx(after_5_years, abs=5e-4)


@pytest.mark.parametrize(
    ("temperature_degc", "usage", "years", "expected_capacity", "expected_resistance"),
    [
        (5.0, CYCLED, 5.0, 0.9762, 1.6053),
        (25.0, CYCLED, 1.0, 0.9520, 1.4238),
        (25.0, CYCLED, 5.0, 0.8843, 3.9907),
        (45.0, CYCLED, 2.0, 0.7302, 4.9227),
        (25.0, STORED, 5.0, 0.9820, 1.8375),
    ],
)
def test_kokam_cells_age_as_blast_prints(
    temperature_degc, usage, years, expected_capacity, expected_resistance
):
    # Printed by BLAST-Lite 1.1.1, Nmc111_Gr_Kokam75Ah_Battery, the same day repeated.
    wear = life("nmc_75ah_kokam", replace(usage, temperature_degc=temperature_degc), years)

    assert wear.capacity[0] == pytest.approx(expected_capacity, abs=1e-3)
    assert wear.resistance[0] == pytest.approx(expected_resistance, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "temperature_degc", "years", "expected"),
    [
        ("lfp_250ah", 15.0, 10, 0.87618),
        ("lfp_250ah", 25.0, 5, 0.92560),
        ("lfp_250ah", 45.0, 10, 0.81330),
        ("nmc_50ah_b1", 25.0, 5, 0.83929),
        ("nmc_50ah_b1", 45.0, 10, 0.55175),
        ("nmc_75ah_a", 25.0, 5, 0.87581),
    ],
)
def test_cycled_cells_keep_the_capacity_that_blast_prints(name, temperature_degc, years, expected):
    # BLAST-Lite 1.1.1, one 80 % cycle a day below 90 %.
    usage = replace(CYCLED, temperature_degc=temperature_degc)

    assert capacity(name, usage, years) == pytest.approx(expected, abs=TOLERANCE)


def test_every_curve_of_the_blast_table_is_met():
    with measured("cell_tables/blast_life.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wears: dict[tuple, tuple[float, Wear]] = {}
    for row in rows:
        depth, years = float(row["dod"]), float(row["years"])
        case = (row["model"], float(row["temp_C"]), depth, float(row["soc_high"]))
        usage = Usage(case[1], depth, depth, case[3], rest_low=4 / (24 - 4.5 * depth))
        before, wear = wears.get(case, (0.0, Wear.fresh(LAWS[BLAST_NAMES[case[0]]], 1, spread=0.0)))
        wears[case] = years, wear.after(usage, years=years - before)

        assert wears[case][1].capacity[0] == pytest.approx(float(row["capacity_rel"]), abs=TOLERANCE), row

    assert len(wears) == 12


@pytest.mark.parametrize("name", LAW_NAMES)
def test_no_time_is_no_ageing(name):
    fresh = life(name, CYCLED, 0.0)

    assert fresh.capacity[0] == 1.0
    assert fresh.resistance[0] == pytest.approx(1.0, abs=1e-12)


def test_storage_ages_with_about_the_root_of_time():
    one, four = (1 - capacity("lfp_250ah", STORED, years) for years in (1.0, 4.0))

    assert four / one == pytest.approx(4**0.526, rel=1e-9)
    assert four / one == pytest.approx(2.0, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(LAW_NAMES), cool=TEMPERATURES, by_k=st.floats(0.5, 5.0), soc=st.floats(0.05, 1.0))
def test_warm_storage_costs_more(name, cool, by_k, soc):
    usages = [Usage(degc, full_cycles_per_day=0.0, soc_high=soc) for degc in (cool, cool + by_k)]
    cooler, warmer = (life(name, usage, 2.0) for usage in usages)

    assert warmer.capacity[0] < cooler.capacity[0]
    assert warmer.resistance[0] > cooler.resistance[0]


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(LAW_NAMES), degc=TEMPERATURES, years=st.floats(0.1, 2.0), more=st.floats(0.1, 2.0)
)
def test_longer_use_costs_more(name, degc, years, more):
    usage = replace(CYCLED, temperature_degc=degc)
    before = life(name, usage, years)
    after = before.after(usage, years=more)

    assert after.capacity[0] < before.capacity[0]
    assert after.resistance[0] > before.resistance[0]


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(LAW_NAMES), degc=TEMPERATURES, cycles=st.floats(0.1, 2.0), more=st.floats(0.1, 1.0)
)
def test_more_throughput_in_the_same_time_costs_more(name, degc, cycles, more):
    # Fast enough that the time at each SOC stays nearly the same; a cell with two or three cycles a day
    # would else spend much less time full, which may well make up for the cycles.
    quick = replace(CYCLED, temperature_degc=degc, charge_rate_c=50.0, discharge_rate_c=50.0, mean_rate_c=0.1)
    usages = [replace(quick, full_cycles_per_day=day) for day in (cycles, cycles + more)]
    law = replace(LAWS[name], cold_loss=False)
    less, much = (Wear.fresh(law, 1, spread=0.0).after(usage, years=1.0) for usage in usages)

    assert much.capacity[0] < less.capacity[0]
    assert much.resistance[0] > less.resistance[0]


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(LAW_NAMES), at=st.floats(0.01, 2.99))
def test_a_life_in_two_parts_is_the_same_life(name, at):
    whole = life(name, CYCLED, 3.0)
    parts = life(name, CYCLED, at).after(CYCLED, years=3.0 - at)

    # The depth of the cycles follows the capacity in steps of 30 days, so not to the last digit.
    assert parts.capacity == pytest.approx(whole.capacity, abs=1e-4)
    assert parts.resistance == pytest.approx(whole.resistance, rel=1e-3)


@pytest.mark.parametrize("name", LAW_NAMES)
def test_the_order_of_seasons_does_not_matter_in_storage(name):
    warm, cool = (replace(STORED, temperature_degc=degc) for degc in (35.0, 5.0))
    mixed = replace(STORED, temperature_degc=((35.0, 0.25), (5.0, 0.75)))

    warm_first = life(name, warm, 1.0).after(cool, years=3.0)
    cool_first = life(name, cool, 3.0).after(warm, years=1.0)

    assert warm_first.capacity == pytest.approx(cool_first.capacity, rel=1e-12)
    assert life(name, mixed, 4.0).capacity == pytest.approx(cool_first.capacity, rel=1e-12)
    assert life(name, mixed, 4.0).resistance == pytest.approx(cool_first.resistance, rel=1e-12)


def test_the_order_matters_a_little_when_worn_cells_are_cycled_deeper():
    hot = replace(STORED, temperature_degc=45.0, soc_high=1.0)
    shallow = Usage(full_cycles_per_day=0.5, depth=0.5, soc_high=0.9)
    cycled_worn = life("nmc_50ah_b1", hot, 3.0).after(shallow, years=3.0)
    cycled_fresh = life("nmc_50ah_b1", shallow, 3.0).after(hot, years=3.0)

    difference = cycled_fresh.capacity[0] - cycled_worn.capacity[0]
    assert 0.0 < difference < 0.02


def test_a_worn_cell_is_cycled_deeper_and_gives_what_it_has():
    stress, cycles = CYCLED.stress(np.array([1.0, 0.9, 0.45]), np.zeros(3))

    assert stress.depth.ravel() == pytest.approx([0.8, 0.8 / 0.9, 0.9])
    assert cycles == pytest.approx([0.8, 0.8, 0.9 * 0.45])
    assert stress.soc_share.sum(axis=1) == pytest.approx(1.0)
    assert stress.soc.min() == pytest.approx(0.0, abs=1e-12)


def test_charging_in_the_cold_costs_more_the_faster_it_is():
    gentle, brisk = (
        Usage(-10.0, charge_rate_c=rate, discharge_rate_c=1.0, mean_rate_c=0.1) for rate in (0.2, 1.0)
    )
    without = replace(LAWS["lfp_250ah"], cold_loss=False)
    plain = Wear.fresh(without, 1, spread=0.0).after(brisk, years=1.0)

    # exp(48260 / 8.3144 x (1/263.15 - 1/283.15) x 1 C) = 4.75 times the loss by cycling, at 0.2 C 1.366 times
    lost = without.modes[1].extent(plain.clocks[1])[0]
    for usage, factor in ((brisk, 4.75), (gentle, 1.366)):
        cold = life("lfp_250ah", usage, 1.0)
        assert LAWS["lfp_250ah"].modes[1].extent(cold.clocks[1])[0] == pytest.approx(factor * lost, rel=0.02)


def test_cold_loss_begins_below_the_coldest_test():
    at_the_edge = replace(CYCLED, temperature_degc=10.0)
    without = Wear.fresh(replace(LAWS["lfp_250ah"], cold_loss=False), 1, spread=0.0)

    assert capacity("lfp_250ah", at_the_edge, 1.0) == without.after(at_the_edge, years=1.0).capacity[0]


def test_a_kokam_cell_falls_over_its_knee_and_earlier_in_the_cold():
    def cycles_to_the_knee(degc: float) -> float:
        law, wear = LAWS["nmc_75ah_kokam"], Wear.fresh(LAWS["nmc_75ah_kokam"], 1, spread=0.0)
        usage = Usage(degc, full_cycles_per_day=4.0, depth=0.8, charge_rate_c=1.0, discharge_rate_c=1.0)
        stress, _ = usage.stress(wear.capacity, np.zeros(1))
        return float(1 / law.rates(stress)[4][0])

    # 1e4 + 153 (T - 55) 0.8 x mean SOC / 0.6. Four full cycles a day at 1 C: 8 h moving around 0.5, 16 h
    # at 0.9, so the mean is 0.7667: 5308 at 25 degC, 3744 at 15 degC.
    assert cycles_to_the_knee(25.0) == pytest.approx(5308, abs=5)
    assert cycles_to_the_knee(15.0) == pytest.approx(3744, abs=5)


def test_past_the_knee_capacity_falls_faster():
    usage = Usage(5.0, full_cycles_per_day=4.0, depth=0.8, charge_rate_c=1.0, discharge_rate_c=1.0)
    wears = [life("nmc_75ah_kokam", usage, years) for years in (0.5, 1.0, 1.25)]
    early, middle, late = (float(wear.capacity[0]) for wear in wears)

    assert (middle - late) / 0.25 > 3 * (early - middle) / 0.5
    assert wears[2].resistance[0] > wears[1].resistance[0]


def test_the_mean_rate_while_current_flows_is_harsher():
    flowing = replace(CYCLED, mean_rate_c=0.45)

    assert capacity("lfp_250ah", flowing, 5.0) < capacity("lfp_250ah", CYCLED, 5.0) - 0.02


def test_the_speed_of_ageing_scatters_as_asked_for():
    wear = Wear.fresh(LAWS["lfp_250ah"], 20_000, spread=0.15, seed=1)

    assert wear.speed.mean() == pytest.approx(1.0, abs=0.005)
    assert wear.speed.std() == pytest.approx(0.15, abs=0.003)
    assert wear.speed.min() >= 1 - 3 * 0.15 - 1e-12
    assert wear.speed.max() <= 1 + 3 * 0.15 + 1e-12


def test_a_fast_cell_is_a_cell_with_more_time():
    fresh = Wear.fresh(LAWS["nmc_50ah_b1"], 1, spread=0.0)
    fast = replace(fresh, speed=np.array([1.2])).after(STORED, years=5.0)

    assert fast.capacity == pytest.approx(fresh.after(STORED, years=6.0).capacity, rel=1e-9)


def test_resistance_of_nmc_follows_its_fade():
    wear = life("nmc_50ah_b1", CYCLED, 5.0)

    assert wear.resistance - 1 == pytest.approx(2.6 * (1 - wear.capacity))


@pytest.mark.parametrize(("chemistry", "name"), [("LFP", "lfp_250ah"), ("NMC", "nmc_50ah_b1")])
def test_a_cell_takes_the_law_of_its_chemistry(chemistry, name):
    assert law_for(chemistry).name == name


def test_conditions_outside_the_tests_are_named():
    law = LAWS["lfp_250ah"]

    assert replace(CYCLED, temperature_degc=10.0).beyond(law) == ()
    rough = Usage(((5.0, 0.5), (25.0, 0.5)), depth=0.5, charge_rate_c=0.7, discharge_rate_c=1.1)
    assert rough.beyond(law) == ("temperature_degc", "depth", "charge_rate_c", "discharge_rate_c")


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ({"temperature_degc": 120.0}, "temperature_degc"),
        ({"temperature_degc": ((20.0, 0.5), (30.0, 0.6))}, "sum up to 1"),
        ({"temperature_degc": ()}, "temperature_degc"),
        ({"temperature_degc": ((20.0,), (30.0,))}, "temperature_degc"),
        ({"temperature_degc": float("nan")}, "temperature_degc"),
        ({"depth": 0.95}, "depth"),
        ({"depth": 0.0}, "depth"),
        ({"soc_high": 1.2}, "soc_high"),
        ({"rest_low": -0.1}, "rest_low"),
        ({"charge_rate_c": 0.0}, "charge_rate_c"),
        ({"full_cycles_per_day": -1.0}, "full_cycles_per_day"),
        ({"full_cycles_per_day": 9.0}, "40.5 h"),
        ({"mean_rate_c": -0.1}, "mean_rate_c"),
        ({"soc_high": float("nan")}, "finite"),
    ],
)
def test_a_usage_that_makes_no_sense_is_refused(wrong, about):
    with pytest.raises(InvalidInput, match=about):
        Usage(**wrong)


def test_an_unknown_chemistry_is_refused():
    with pytest.raises(InvalidInput, match="no law for LTO"):
        law_for("LTO")
