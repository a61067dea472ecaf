"""Ranges as a SCPI parameter: the smallest that holds what is asked for."""

from __future__ import annotations

import pytest

from instruments.ranges import ranges_of
from instruments.scpi_status import ScpiError

VOLTS = ranges_of("V", (0.1, 1.0, 10.0), 1.0)


@pytest.mark.parametrize(
    ("text", "range_v"),
    [("0", 0.1), ("0.1", 0.1), ("0.10001", 1.0), ("9.9 V", 10.0), ("1 mV", 0.1), ("MIN", 0.1), ("DEF", 1.0)],
)
def test_the_smallest_range_that_holds_is_taken(text: str, range_v: float):
    assert VOLTS.read(text, None) == range_v


@pytest.mark.parametrize(("text", "code"), [("10.1", -222), ("-1", -222), ("1 A", -131), ("wide", -104)])
def test_what_no_range_holds_is_declined(text: str, code: int):
    with pytest.raises(ScpiError) as declined:
        VOLTS.read(text, None)

    assert declined.value.code == code


def test_limits_that_are_asked_for_are_ranges():
    assert [VOLTS.bound(word, None) for word in ("MIN", "MAX", "DEF")] == [0.1, 10.0, 1.0]


def test_some_lists_of_values_have_a_lowest():
    cycles = ranges_of("", (0.02, 1.0, 10.0), 10.0, lowest=0.02)

    assert cycles.read("0.02", None) == 0.02
    with pytest.raises(ScpiError):
        cycles.read("0.01", None)
