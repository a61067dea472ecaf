"""The limits of the reference model, commanded on the plant: no cell leaves its bounds, and 5 % more does.

Reference and plant have their own equations for the same cell files; they meet here only.
"""

import numpy as np
import pytest

from tests.commanded_pack import BOUNDS, commanded, limits_of, spread_pack

#: What the two models may differ by, told to the reference as an uncertainty; benchmarks/power.py prints by
#: how much they do over a larger grid.
DIFFERENCE_V = 0.003
PACKS = [
    ("lfp_280ah", 0.50, -10.0),
    ("lfp_280ah", 0.05, 25.0),
    ("lfp_280ah", 0.96, 5.0),
    ("lfp_280ah", 0.96, 45.0),
    ("nmc_58ah", 0.96, -10.0),
    ("nmc_58ah", 0.50, 25.0),
    ("nmc_58ah", 0.05, 5.0),
    ("nmc_58ah", 0.05, 45.0),
]


@pytest.mark.parametrize(("cell", "soc", "degc"), PACKS)
def test_a_pack_carries_its_limits_and_not_5_percent_more(cell, soc, degc):
    spec = spread_pack(cell, soc, degc)

    for one in limits_of(spec, voltage_uncertainty_v=DIFFERENCE_V):
        for kind, guaranteed, expected in (
            ("current_a", one.guaranteed_a, one.expected_a),
            ("power_w", one.guaranteed_w, one.expected_w),
        ):
            carried = commanded(spec, one, **{kind: guaranteed.value})
            more = commanded(spec, one, **{kind: 1.05 * expected.value})
            what = f"{one.direction} {one.horizon_s:g} s {kind} {guaranteed}"
            assert max(carried.voltage_v, carried.soc) <= 0.0, what
            assert carried.current_fraction < 1e-5, what
            if expected.bound != "temperature":
                assert more.left or expected.value == 0.0, what


def test_the_weak_cell_is_the_one_that_binds():
    spec = spread_pack("lfp_280ah", 0.5, -10.0)

    discharge = [one for one in limits_of(spec) if one.direction == "discharge"]

    assert [(one.expected_a.cell, one.expected_a.bound) for one in discharge] == [(7, "voltage")] * 3


def test_a_pack_too_cold_to_charge_is_not_charged_at_all():
    charge = limits_of(spread_pack("lfp_280ah", 0.5, -10.0))[0]

    assert (charge.expected_a.value, charge.expected_a.bound) == (0.0, "temperature")


def test_a_pack_that_is_nearly_too_hot_stops_where_its_cells_reach_the_limit(monkeypatch):
    """0.05 K below the hottest temperature: what the weak cell makes of heat in 30 s is what binds."""
    up, down = BOUNDS["nmc_58ah"]
    narrow = type(down)(down.voltage_v, down.current_a, down.soc, down.coldest_degc, 40.05)
    monkeypatch.setitem(BOUNDS, "nmc_58ah", (up, narrow))
    spec = spread_pack("nmc_58ah", 0.5, 40.0)
    one = limits_of(spec)[-1]

    carried = commanded(spec, one, current_a=one.guaranteed_a.value)
    more = commanded(spec, one, current_a=1.05 * one.guaranteed_a.value)

    assert (one.horizon_s, one.direction) == (30.0, "discharge")
    assert (one.guaranteed_a.cell, one.guaranteed_a.bound) == (7, "temperature")
    assert -0.003 < carried.temperature_k <= 0.0
    assert np.isfinite(more.temperature_k)
    assert more.temperature_k > 0.0
