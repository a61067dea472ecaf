"""Accuracy of instruments as data: hand-computed limits, and twins that stay inside them."""

import math

import numpy as np
import pytest

from bench.errors import InvalidInput
from instruments.accuracy import Accuracy, Band, Deviation

# Made up: 10 V and 100 V ranges, two calibration intervals.
VOLTS = Accuracy(
    "V",
    (
        Band(10.0, of_reading=20e-6, of_range=5e-6, within_days=90),
        Band(10.0, of_reading=35e-6, of_range=5e-6),
        Band(100.0, of_reading=45e-6, of_range=6e-6),
    ),
    source="made up for this test",
    label="unverified",
    of_reading_per_k=5e-6,
    of_range_per_k=1e-6,
)


def test_the_limit_is_of_reading_plus_of_range():
    assert VOLTS.limit(5.0) == pytest.approx(35e-6 * 5.0 + 5e-6 * 10.0)
    assert VOLTS.limit(-5.0) == VOLTS.limit(5.0)


def test_a_fresh_calibration_gives_the_shorter_interval():
    assert VOLTS.limit(5.0, days=90) == pytest.approx(20e-6 * 5.0 + 5e-6 * 10.0)
    assert VOLTS.limit(5.0, days=91) == VOLTS.limit(5.0)


def test_the_smallest_range_that_holds_the_value_is_taken_unless_one_is_named():
    assert VOLTS.limit(12.0) == pytest.approx(35e-6 * 12.0 + 5e-6 * 10.0)  # 20 % over range
    assert VOLTS.limit(12.1) == pytest.approx(45e-6 * 12.1 + 6e-6 * 100.0)
    assert VOLTS.limit(5.0, full_scale=100.0) == pytest.approx(45e-6 * 5.0 + 6e-6 * 100.0)


@pytest.mark.parametrize(("ambient_degc", "kelvin"), [(18.0, 0), (28.0, 0), (16.0, 2), (31.0, 3)])
def test_each_kelvin_outside_adds_the_temperature_coefficient(ambient_degc, kelvin):
    expected = (35e-6 + kelvin * 5e-6) * 5.0 + (5e-6 + kelvin * 1e-6) * 10.0

    assert VOLTS.limit(5.0, ambient_degc=ambient_degc) == pytest.approx(expected)


def test_the_uncertainty_is_that_of_a_rectangular_distribution():
    assert VOLTS.uncertainty(5.0) == pytest.approx(2.0 * 225e-6 / math.sqrt(3.0))


@pytest.mark.parametrize("asked", [{"value": 121.0}, {"value": 5.0, "days": 366}])
def test_what_the_table_does_not_say_is_refused(asked):
    with pytest.raises(InvalidInput, match="for 365 d"):
        VOLTS.limit(**asked)


def test_a_twin_errs_within_its_table_and_not_all_twins_alike():
    errors = []
    for seed in range(200):
        deviation = Deviation.within(VOLTS, np.random.default_rng(seed), full_scale=10.0)
        errors += [deviation.read(value) - value for value in (-10.0, 0.0, 5.0, 10.0)]
        assert all(
            abs(deviation.read(value) - value) <= VOLTS.limit(value, full_scale=10.0)
            for value in (-10.0, 0.0, 10.0)
        )

    assert max(map(abs, errors)) > 0.3 * VOLTS.limit(10.0)
    assert len(set(errors)) == len(errors)
