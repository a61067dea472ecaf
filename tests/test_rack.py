"""The emulated rack makes the pack that a scenario asks for."""

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InvalidInput
from bench.plant import Outlier
from bench.plant.ageing import Usage
from bench.rack import PackState, Rack
from dut_profiles.profile import load_profile


def rack(**state: object) -> Rack:
    return Rack(load_profile("hd_lfp_24s"), Clock(), seed=3, pack=PackState(**state))


def test_a_pack_is_as_old_as_the_scenario_asks():
    duty = Usage(temperature_degc=30.0, full_cycles_per_day=1.0)
    new, old = rack(), rack(years=5.0, usage=duty)

    left = old.plant.truth.capacity_ah / new.plant.truth.capacity_ah
    grown = old.plant.truth.r0_ohm / new.plant.truth.r0_ohm

    assert new.plant.truth.capacity_ah.mean() > 270.0, "280 Ah, spread by 0.7 %"
    assert np.all(left < 0.97), "five years of a cycle a day leave their mark on every cell"
    assert np.all(left > 0.70), "and are not the end of an LFP cell"
    assert np.all(grown > 1.0)


def test_cells_in_the_middle_that_are_warmer_grow_older():
    even, map_ = rack(years=5.0), rack(years=5.0, warmer_inside_k=10.0)

    older = even.plant.truth.capacity_ah - map_.plant.truth.capacity_ah

    assert older[11] > 0.5, "10 K on the middle for five years cost ampere-hours"
    assert abs(older[0]) < 1e-9, "and nothing at the ends"


def test_a_scenario_can_name_one_cell_that_differs():
    weak = Outlier(cell=7, capacity_fade=0.3, resistance_growth=1.0, self_discharge_per_month=0.1)
    even, odd = rack().plant.truth, rack(outliers=(weak,)).plant.truth
    others = [cell for cell in range(24) if cell != 7]

    assert odd.capacity_ah[7] == 0.7 * even.capacity_ah[7]
    assert odd.r0_ohm[7] == 2.0 * even.r0_ohm[7]
    assert np.array_equal(odd.capacity_ah[others], even.capacity_ah[others])


def test_what_is_wrong_inside_a_cell_is_set_by_name_and_reaches_the_bms():
    clock = Clock()
    bench = Rack(load_profile("hd_lfp_24s"), clock, seed=3, pack=PackState())
    clock.sleep(1.0)
    sound_v = float(bench.plant.port.cell_v[7])

    assert "internal_short_ohm" in bench.conditions.names
    bench.conditions.set("internal_short_ohm", 0.01, group=7)
    clock.sleep(1.0)

    # 10 mohm across 3.3 V: some 325 A through 150 µohm and a little of the pairs
    assert 0.04 < sound_v - bench.plant.port.cell_v[7] < 0.08


def test_an_outlier_of_an_old_pack_is_worse_than_its_age():
    weak = Outlier(cell=7, capacity_fade=0.3, resistance_growth=1.0)
    old, odd = rack(years=5.0).plant.truth, rack(years=5.0, outliers=(weak,)).plant.truth
    others = [cell for cell in range(24) if cell != 7]

    assert odd.capacity_ah[7] == pytest.approx(0.7 * old.capacity_ah[7])
    assert odd.r0_ohm[7] == pytest.approx(2.0 * old.r0_ohm[7])
    assert np.array_equal(odd.capacity_ah[others], old.capacity_ah[others])


def test_a_cell_that_the_pack_does_not_have_is_refused():
    with pytest.raises(InvalidInput, match=r"soc_of_cell: expected cells below 24, found \[24\]"):
        rack(soc_of_cell=((24, 0.2),))
