"""The air in a chamber: heat balances by hand, finite power, gradients, the limiter."""

from __future__ import annotations

import math

import pytest

from bench.clock import Clock
from instruments.accuracy import Accuracy, Band
from instruments.chamber_air import ChamberAir, ChamberInside
from tests.fake_terminals import FakeChamber

AIR = ChamberAir()
ACCURACY = Accuracy("degC", (Band(200.0, 0.0, 0.0025),), "made up for this test", "unverified")


def chamber(**start: float) -> tuple[ChamberInside, Clock, FakeChamber]:
    clock, terminal = Clock(), FakeChamber(**start)
    return ChamberInside(terminal, clock=clock, air=AIR, accuracy=ACCURACY, seed=3), clock, terminal


def test_an_idle_chamber_drifts_to_the_room_with_the_time_constant_of_its_walls():
    _, clock, terminal = chamber(room_degc=22.0, air_degc=62.0)

    # Together 17.5 kJ/K behind 4 W/K: 4375 s. After one of them 40 K have become 40 / e = 14.7 K.
    clock.sleep(17_500.0 / 4.0)

    assert terminal.air_degc == pytest.approx(22.0 + 40.0 / math.e, abs=0.5)
    assert not terminal.closed


def test_full_heating_warms_air_and_walls_at_the_rate_that_its_power_gives():
    inside, clock, terminal = chamber()
    inside.target_degc = 180.0
    inside.start()

    clock.sleep(300.0)
    early_degc = terminal.air_degc
    clock.sleep(60.0)

    # 2500 W less the leak, 4 W/K across some 30 K of wall, into 17.5 kJ/K for a minute: 8.2 K.
    assert terminal.air_degc - early_degc == pytest.approx(8.2, abs=0.4)


def test_the_refrigeration_weakens_with_the_cold():
    assert AIR.most_cooling_w(60.0) == 2000.0
    assert AIR.most_cooling_w(20.0) == 2000.0
    assert AIR.most_cooling_w(-25.0) == pytest.approx(1300.0)
    assert AIR.most_cooling_w(-70.0) == pytest.approx(600.0)
    assert AIR.most_cooling_w(-90.0) == pytest.approx(600.0)


def test_each_direction_has_its_gradient():
    inside, clock, _ = chamber()
    inside.up_k_per_min, inside.down_k_per_min = 6.0, 3.0
    inside.start()

    inside.target_degc = 82.0
    clock.sleep(60.0)
    up_degc = inside.wanted_degc
    inside.target_degc = -40.0
    clock.sleep(60.0)

    assert up_degc == pytest.approx(28.0, abs=0.01)
    assert inside.wanted_degc == pytest.approx(25.0, abs=0.01)


def test_the_controller_settles_without_a_rest():
    inside, clock, terminal = chamber()
    inside.target_degc = -30.0
    inside.start()

    clock.sleep(3 * 3600.0)

    assert terminal.air_degc == pytest.approx(-30.0, abs=0.05)


def test_a_tripped_limiter_keeps_the_power_away_until_it_is_reset():
    inside, clock, terminal = chamber()
    inside.limiter_degc, inside.target_degc = 60.0, 100.0
    inside.start()
    clock.sleep(1200.0)
    hottest_degc = terminal.air_degc

    inside.start()
    started = inside.running
    clock.sleep(3600.0)
    reset = inside.reset_limiter()
    inside.start()

    assert hottest_degc < 62.0
    assert (inside.tripped, started, reset) == (False, False, True)
    assert inside.running


def test_a_limiter_that_is_still_hot_does_not_reset():
    inside, clock, _ = chamber(air_degc=80.0)
    inside.limiter_degc = 60.0
    clock.sleep(1.0)

    assert inside.tripped
    assert not inside.reset_limiter()


def test_an_idle_chamber_leaves_the_air_to_the_one_that_runs():
    one, clock, terminal = chamber()
    ChamberInside(terminal, clock=clock, air=AIR, accuracy=ACCURACY, seed=4)
    one.target_degc = 60.0

    one.start()
    clock.sleep(1800.0)

    assert terminal.air_degc == pytest.approx(60.0, abs=1.0)
