"""Duties: the vehicle model by hand, and the stored files against it."""

import numpy as np
import pytest

from bench.errors import InvalidInput
from benchmarks.vehicle_duty import Truck, duty, main
from dut_profiles.profile import load_profile
from test_suites.duties import load_duty
from tests.measured import measured

PARTS = {
    "hhddt_cruise_power": ("hhddt_cruise.csv", []),
    "longhaul_grade_power": ("longhaul.csv", ["--part", "5700:6000", "--part", "21740:22040"]),
}


def constant(speed_mps: float, grade: float) -> np.ndarray:
    t_s = np.arange(4.0)
    return duty(t_s, np.full(4, speed_mps), np.full(4, grade), Truck(), 0.0, 3.0)


def test_power_at_constant_speed_on_the_level():
    # rolling 36000 kg x 9.80665 x 0.0055 = 1941.7167 N; drag 0.5 x 1.2 x 5.4 x 20² = 1296 N
    # (3237.7167 N x 20 m/s) / 0.9 + 6000 W = 77949.26 W, over 16 packs
    assert constant(20.0, 0.0) == pytest.approx(-4871.829, abs=0.001)


def test_climbing_is_cut_at_the_drive_limit():
    assert constant(25.0, 0.03) == pytest.approx(-(300_000 + 6_000) / 16)


def test_downhill_at_constant_speed_charges_the_pack():
    # 3 %: sin 0.0299865, cos 0.9995503; (10586.460 - 1940.843 - 0.6 x 5.4 x 15²) N x 15 m/s x 0.8
    weight_n = 36_000 * 9.80665
    slope_n = weight_n * (np.sin(np.arctan(0.03)) - 0.0055 * np.cos(np.arctan(0.03)))
    into_w = (slope_n - 0.6 * 5.4 * 225.0) * 15.0 * 0.8 - 6_000.0
    assert into_w == pytest.approx(88_999.0, abs=5.0)

    assert constant(15.0, -0.03) == pytest.approx(into_w / 16)


def test_regeneration_is_limited_and_fades_out_before_standstill():
    assert constant(30.0, -0.06) == pytest.approx(9_200.0)
    assert constant(1.0, -0.06) == pytest.approx(-6_000.0 / 16)


def test_a_standing_truck_takes_its_auxiliaries():
    assert constant(0.0, 0.0) == pytest.approx(-375.0)


def test_a_part_outside_the_cycle_is_refused():
    with pytest.raises(ValueError, match="expected a part of 0 to 3 s"):
        duty(np.arange(4.0), np.zeros(4), np.zeros(4), Truck(), 1.0, 9.0)


@pytest.mark.parametrize("name", PARTS)
def test_stored_duty_stays_inside_the_pack(name):
    pack = load_profile("hd_lfp_24s").pack
    t_s, power_w = load_duty(name)

    assert np.array_equal(t_s, np.arange(len(t_s)))
    # 72 V: 3.0 V per cell, below what the pack shows under load; 81.6 V: 3.4 V per cell, charging.
    assert power_w.min() / 72.0 > -pack.max_discharge_a
    assert power_w.max() / 72.0 < pack.max_charge_a
    assert 0.5 * pack.max_discharge_a < -power_w.min() / pack.nominal_v


@pytest.mark.parametrize("name", PARTS)
def test_stored_duty_is_what_the_model_makes_of_the_cycle(name, tmp_path):
    cycle, parts = PARTS[name]
    main([str(measured(f"speed_cycles/{cycle}")), str(tmp_path / "again.csv"), *parts])

    again = np.loadtxt(tmp_path / "again.csv", delimiter=",", comments=("#", "t_s"))
    assert np.array_equal(again, np.column_stack(load_duty(name)))


def test_an_unknown_duty_names_the_known_ones():
    with pytest.raises(InvalidInput, match="hhddt_cruise_power, longhaul_grade_power"):
        load_duty("moon")
