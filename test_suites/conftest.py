"""Where a scenario starts from: a pack in the middle of everything, and the mode it needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.procedure import Bench

#: Far from every limit of an LFP cell, and from the start of balancing.
MID_V = 3.30
MID_DEGC = 25.0


def _to_the_middle(bench: Bench) -> None:
    """Whatever stands in for cells and sensors; a pack on a cycler is used as it is found."""
    if bench.has("cells"):
        bench.cells.set(voltage_v=MID_V)
    if bench.has("thermistors"):
        bench.set_temperature(MID_DEGC)


@pytest.fixture
def calm(bench: Bench) -> Bench:
    """All cells and sensors in the middle, the host talking, the DUT in standby."""
    _to_the_middle(bench)
    bench.wait(0.5)
    bench.start()
    bench.mode("standby")
    return bench


@pytest.fixture
def charging(calm: Bench) -> Bench:
    """Charging at a fifth of the greatest charge current."""
    calm.mode("charge")
    calm.charge(0.2 * calm.profile.pack.max_charge_a)
    calm.wait(1.0)
    return calm


@pytest.fixture
def driving(calm: Bench) -> Bench:
    """In drive, drawing a fifth of the greatest discharge current."""
    calm.mode("drive")
    calm.discharge(0.2 * calm.profile.pack.max_discharge_a)
    calm.wait(1.0)
    return calm


@pytest.fixture
def recover(bench: Bench) -> Callable[[str], None]:
    """After a trip: everything back to the middle, fault reset, and the mode taken up again."""

    def back(mode: str) -> None:
        bench.rest()
        _to_the_middle(bench)
        bench.wait(3.0)
        bench.reset_fault()
        bench.mode("standby")
        if mode != "standby":
            bench.mode(mode)

    return back
