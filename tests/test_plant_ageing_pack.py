"""A pack that is made older: the same each time, warmer cells first, on top of what it brings along."""

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import InvalidInput
from bench.plant import Plant
from bench.plant.ageing import LAWS, Usage, Wear, aged, warmer_inside, worn
from bench.plant.spec import PlantSpec

#: One cycle of 80 % a day from 90 % down, four hours at the bottom.
CYCLED = Usage(full_cycles_per_day=0.8, depth=0.8, soc_high=0.9, rest_low=4 / 20.4)


def test_aged_packs_come_out_the_same_for_the_same_seed():
    pack = PlantSpec(cells=24, cell="lfp_280ah")
    one, same, other = (aged(pack, CYCLED, years=5.0, seed=seed) for seed in (3, 3, 4))

    assert one == same
    assert one.capacity_fade != other.capacity_fade
    assert len(one.capacity_fade) == len(one.resistance_growth) == 24
    assert all(0.05 < fade < 0.10 for fade in one.capacity_fade)


def test_without_spread_all_cells_are_alike():
    pack = aged(PlantSpec(cells=8), CYCLED, years=2.0, spread=0.0)

    assert len(set(pack.capacity_fade)) == 1


def test_warm_inner_cells_age_faster():
    pack = PlantSpec(cells=9, cell="nmc_58ah")
    old = aged(pack, CYCLED, years=5.0, warmer_k=warmer_inside(9, by_k=8.0), spread=0.0)
    fade = np.array(old.capacity_fade)

    assert np.all(np.diff(fade[:5]) > 0)
    assert fade == pytest.approx(fade[::-1])
    hot = aged(replace(pack, cells=1), replace(CYCLED, temperature_degc=33.0), years=5.0, spread=0.0)
    assert fade[4] == pytest.approx(hot.capacity_fade[0])


def test_new_ageing_comes_on_top_of_what_the_pack_has():
    pack = PlantSpec(cells=4, capacity_fade=0.1, resistance_growth=0.2)
    wear = Wear.fresh(LAWS["lfp_250ah"], 4, seed=2).after(CYCLED, years=1.0)
    old = worn(pack, wear)

    assert 1 - np.array(old.capacity_fade) == pytest.approx(0.9 * wear.capacity)
    assert 1 + np.array(old.resistance_growth) == pytest.approx(1.2 * wear.resistance)
    assert replace(old, capacity_fade=0.1, resistance_growth=0.2) == pack


def test_a_pack_that_would_be_worn_out_is_refused():
    hot = Usage(60.0, soc_high=1.0)

    with pytest.raises(InvalidInput, match=r"cell 0 below it after \d+\.\d years"):
        aged(PlantSpec(cells=1, cell="nmc_58ah"), hot, years=30.0, spread=0.0)


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        ({"years": -1.0}, "years"),
        ({"years": float("inf")}, "years"),
        ({"years": 1.0, "warmer_k": [1.0, 2.0]}, "warmer_k"),
        ({"years": 1.0, "warmer_k": float("nan")}, "warmer_k"),
        ({"years": 1.0, "spread": 0.5}, "spread"),
    ],
)
def test_ageing_refuses_what_makes_no_sense(arguments, about):
    with pytest.raises(InvalidInput, match=about):
        aged(PlantSpec(cells=4), CYCLED, **arguments)


def test_wear_of_another_pack_is_refused():
    with pytest.raises(InvalidInput, match="wear of 4 cells"):
        worn(PlantSpec(cells=4), Wear.fresh(LAWS["lfp_250ah"], 5))


def test_cells_in_parallel_age_one_by_one():
    pack = PlantSpec(cells=3, parallel=2, capacity_fade=(0.1, 0.2, 0.3))
    old = aged(pack, CYCLED, years=1.0, warmer_k=[0.0, 0.0, 10.0], spread=0.0)
    kept = 1 - np.array(old.capacity_fade)

    assert kept.shape == (6,)
    assert kept[:4] / [0.9, 0.9, 0.8, 0.8] == pytest.approx([kept[0] / 0.9] * 4)
    assert kept[4:] / 0.7 == pytest.approx([kept[4] / 0.7] * 2)
    assert kept[4] / 0.7 < kept[0] / 0.9


def test_a_law_can_be_named():
    pack = PlantSpec(cells=2, cell="nmc_58ah")
    by_chemistry, named = (
        aged(pack, CYCLED, years=1.0, spread=0.0, law=law) for law in (None, LAWS["nmc_75ah_a"])
    )

    # BLAST-Lite 1.1.1 prints 0.94067 and 0.97456 after a year of this at 25 degC.
    assert by_chemistry.capacity_fade[0] == pytest.approx(1 - 0.94067, abs=0.003)
    assert named.capacity_fade[0] == pytest.approx(1 - 0.97456, abs=0.003)


def test_a_plant_made_from_an_aged_pack_holds_less_and_resists_more():
    pack = PlantSpec(cells=3)
    old = aged(pack, CYCLED, years=5.0, seed=1)
    new_plant, old_plant = Plant(pack), Plant(old)

    kept, grown = 1 - np.array(old.capacity_fade), 1 + np.array(old.resistance_growth)
    assert old_plant.truth.capacity_ah == pytest.approx(new_plant.truth.capacity_ah * kept)
    assert old_plant.truth.r0_ohm == pytest.approx(new_plant.truth.r0_ohm * grown)


def test_how_fast_a_cell_ages_has_nothing_to_do_with_how_large_it_was_made():
    pack = PlantSpec(cells=200, capacity_spread=0.01, seed=5)
    made = Plant(pack).truth.capacity_ah
    fade = np.array(aged(pack, CYCLED, years=2.0, seed=5).capacity_fade)

    # Of 200 independent pairs, the correlation scatters by 0.07
    assert abs(np.corrcoef(made, fade)[0, 1]) < 0.25
