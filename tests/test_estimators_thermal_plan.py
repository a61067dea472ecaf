"""The thermal plan: what a map permits and demands, by hand, and the judgement of fan and heater."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InvalidInput, ProfileInvalid
from bench.reference.estimators.thermal_plan import (
    extent_of,
    heating_rate_k_per_s,
    hot_spot,
    permitted_fraction,
    thermal_plan,
    time_to_limit_s,
)
from bench.reference.explain import explain
from dut_profiles.profile import PROFILE_DIR, load_profile
from tests.reference_records import MEASURED, quiet, toggled

PROFILE = load_profile("hd_lfp_24s")
SENSORS = PROFILE.pack.sensors


def uniform(*degc, sensors=SENSORS):
    """Times and a map in which every sensor shows `degc`, one sample a second."""
    return np.arange(len(degc), dtype=float), np.repeat(np.array(degc, float)[:, None], sensors, axis=1)


@pytest.mark.parametrize(
    ("degc", "charge", "discharge"),
    [
        (25.0, 1.0, 1.0),
        (-1.0, 0.0, 0.57),  # 0.30 at -10 to 0.60 at 0 degC
        (7.5, 0.35, 0.9),  # 0.20 at 5 to 0.50 at 10; 0.60 at 0 to 1.00 at 10
        (42.0, 0.9, 1.0),  # 1.00 at 40 to 0.75 at 45
        (52.5, 0.25, 0.6),  # 0.50 at 50 to 0 at 55; 0.80 at 50 to 0.40 at 55
    ],
)
def test_currents_follow_the_tables(degc, charge, discharge):
    plan = thermal_plan(PROFILE, *uniform(degc))

    assert plan.charge_fraction[:, 0] == pytest.approx([charge, charge])
    assert plan.discharge_fraction[:, 0] == pytest.approx([discharge, discharge])


def test_the_coldest_and_the_hottest_sensor_decide_not_the_mean():
    t_s, degc = uniform(25.0)
    degc[0, 2], degc[0, 5] = 5.0, 45.0

    plan = thermal_plan(PROFILE, t_s, degc)

    assert plan.charge_fraction[:, 0] == pytest.approx([0.2, 0.2]), "cold table at 5 °C, hot one says 0.75"
    assert plan.hot_spot.spread_k[0] == pytest.approx(40.0)
    assert plan.hot_spot.above_median_k[0] == pytest.approx(20.0)
    assert plan.hot_spot.sensor[0] == 5


def test_an_uncertainty_opens_the_answer_to_both_sides():
    """42 ± 1 °C: 0.95 at 41, 0.85 at 43."""
    plan = thermal_plan(PROFILE, *uniform(42.0), uncertainty_k=1.0)

    assert plan.charge_fraction[:, 0] == pytest.approx([0.85, 0.95])


def test_a_sensor_that_is_not_measured_may_be_anywhere():
    t_s, degc = uniform(25.0)
    degc[0, 3] = np.nan

    plan = thermal_plan(PROFILE, t_s, degc)

    assert plan.charge_fraction[:, 0] == pytest.approx([0.0, 1.0])
    assert plan.cooling.permitted[0]
    assert not plan.cooling.due[0]


def test_the_tables_over_cell_voltage_count_if_the_voltages_are_given():
    plan = thermal_plan(PROFILE, *uniform(25.0, 25.0), cell_v=([3.0, 2.7], [3.5, 3.3]))

    # 3.50 V is half way from 3.45 V (1) to 3.55 V (0); 2.70 V half way from 2.60 V (0) to 2.80 V (1).
    assert plan.charge_fraction[0] == pytest.approx([0.5, 1.0])
    assert plan.discharge_fraction[0] == pytest.approx([1.0, 0.5])


def test_cooling_is_due_above_one_temperature_until_below_another():
    """On 35, off 33, each ± 1 K: due from 36 down to 34, permitted from 34 down to 32."""
    plan = thermal_plan(PROFILE, *uniform(25.0, 33.9, 34.0, 35.9, 36.0, 34.0, 33.9, 32.0, 31.9, 33.9))

    assert list(plan.cooling.due) == [False] * 4 + [True, True] + [False] * 4
    assert list(plan.cooling.permitted) == [False, False, True, True, True, True, True, True, False, False]


def test_a_fan_may_have_been_running_before_the_first_look():
    plan = thermal_plan(PROFILE, *uniform(33.0, 31.9))

    assert list(plan.cooling.permitted) == [True, False]


def test_air_hotter_than_the_pack_makes_no_cooling_due():
    assert thermal_plan(PROFILE, *uniform(40.0), ambient_degc=20.0).cooling.due[0]
    assert not thermal_plan(PROFILE, *uniform(40.0), ambient_degc=45.0).cooling.due[0]


def test_heating_is_due_before_a_cold_charge_and_only_in_use():
    """On 5, off 10, each ± 1 K: due from 4 up to 9, permitted from 6 up to 11."""
    degc = uniform(25.0, 6.0, 4.0, 8.9, 9.0, 11.0, 11.1)

    used, idle = thermal_plan(PROFILE, *degc), thermal_plan(PROFILE, *degc, in_use=False)

    assert list(used.heating.due) == [False, False, True, True, False, False, False]
    assert list(used.heating.permitted) == [False, True, True, True, True, True, False]
    assert not idle.heating.due.any()
    assert not idle.heating.permitted.any()


def test_a_pack_with_a_hot_sensor_is_not_heated():
    t_s, degc = uniform(2.0, 2.0, 2.0)
    degc[:, 1] = [28.0, 30.0, 31.5]

    plan = thermal_plan(PROFILE, t_s, degc)

    assert list(plan.heating.due) == [True, False, False], "no sensor above 30 ± 1 °C"
    assert list(plan.heating.permitted) == [True, True, False]


def test_the_present_heating_says_when_a_limit_is_reached():
    """0.02 K/s from 40 °C: 55 °C in 750 s; with a time constant of 1500 s in 1500 ln 2 s."""
    t_s = np.arange(0.0, 101.0)
    degc = np.column_stack((40.0 - 0.02 * (100.0 - t_s), np.full(101, 30.0)))

    straight = time_to_limit_s(t_s, degc, 55.0)[-1]
    bent = time_to_limit_s(t_s, degc, 55.0, time_constant_s=1500.0)[-1]
    never = time_to_limit_s(t_s, degc, 55.0, time_constant_s=700.0)[-1]

    assert heating_rate_k_per_s(t_s, degc)[-1] == pytest.approx([0.02, 0.0], abs=1e-12)
    assert straight == pytest.approx(750.0)
    assert bent == pytest.approx(1500.0 * math.log(2.0))
    assert never == math.inf, "40 °C and 0.02 K/s times 700 s are 54 °C"


def test_a_limit_that_is_reached_is_now_and_one_sample_says_nothing():
    t_s, degc = uniform(56.0, 56.0)

    assert list(time_to_limit_s(t_s, degc, 55.0)) == [0.0, 0.0]
    assert math.isnan(time_to_limit_s(*uniform(20.0), 55.0)[0])


def test_a_plan_knows_the_limit_of_each_direction():
    t_s = np.arange(0.0, 61.0)
    degc = np.repeat((40.0 + 0.01 * (t_s - 60.0))[:, None], SENSORS, axis=1)

    plan = thermal_plan(PROFILE, t_s, degc)

    assert plan.time_to_charge_limit_s[-1] == pytest.approx(1500.0), "15 K to 55 °C at 0.01 K/s"
    assert plan.time_to_discharge_limit_s[-1] == pytest.approx(2000.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(-25.0, 25.0), st.floats(0.0, 20.0), st.floats(0.0, 3.0))
def test_colder_never_raises_a_charge_limit_below_the_knee(degc, colder, doubt):
    warm, cold = (
        permitted_fraction(PROFILE.derating.charge, extent_of(np.full((1, 2), t), doubt))
        for t in (degc, degc - colder)
    )

    assert (cold <= warm + 1e-12).all()
    assert (warm[0] <= warm[1]).all()


def test_a_map_that_does_not_fit_its_times_is_refused():
    with pytest.raises(InvalidInput, match=r"map_degc: expected shape \(2, sensors\), found shape \(1, 8\)"):
        thermal_plan(PROFILE, [0.0, 1.0], np.zeros((1, 8)))
    with pytest.raises(InvalidInput, match="t_s: expected rising times"):
        thermal_plan(PROFILE, [1.0, 1.0], np.zeros((2, 8)))


def test_of_one_sensor_no_spread_is_told():
    found = hot_spot(np.array([[20.0, np.nan], [np.nan, np.nan]]))

    assert np.isnan(found.spread_k).all()
    assert list(found.sensor) == [0, -1]


def story_at(degc, *, fan_rpm, heater, state=4.0):
    """A quiet bench at one temperature, with what fan and heater did over time."""
    story = quiet(PROFILE, 20.0)
    count = len(story.t_s)
    story.measure("temperature_degc", np.full((count, SENSORS), degc))
    story.report("temperature_degc", np.full((len(story.report_s), SENSORS), degc))
    story.report("state", state)
    story.measure("fan_rpm", fan_rpm(story.t_s) if callable(fan_rpm) else fan_rpm, uncertainty=20.0)
    story.measure("heater", heater(story.t_s) if callable(heater) else heater)
    return story


def thermal_findings(story, profile=PROFILE):
    found = explain(story.record(), profile)
    return [f for f in found if f.protection.startswith("thermal_management")], found


@pytest.mark.parametrize(
    ("degc", "fan_rpm", "heater", "state"),
    [(25.0, 0.0, 0.0, 4.0), (38.0, 900.0, 0.0, 4.0), (2.0, 0.0, 1.0, 3.0), (2.0, 0.0, 0.0, 1.0)],
)
def test_a_sound_fan_and_heater_are_explained(degc, fan_rpm, heater, state):
    wrong, found = thermal_findings(story_at(degc, fan_rpm=fan_rpm, heater=heater, state=state))

    assert wrong == []
    assert {"cooling", "heating"} <= set(found.judged)


@pytest.mark.parametrize(
    ("degc", "fan_rpm", "heater", "state", "kind", "rule"),
    [
        (38.0, 0.0, 0.0, 4.0, "missed", "cooling"),
        (25.0, 900.0, 0.0, 4.0, "spurious", "cooling"),
        (25.0, 0.0, 1.0, 4.0, "forbidden", "heating"),
        (2.0, 0.0, 1.0, 1.0, "forbidden", "heating"),
        (2.0, 0.0, 0.0, 4.0, "missed", "heating"),
    ],
)
def test_a_fan_or_heater_that_does_the_wrong_thing_is_found(degc, fan_rpm, heater, state, kind, rule):
    wrong, _ = thermal_findings(story_at(degc, fan_rpm=fan_rpm, heater=heater, state=state))

    assert [(one.kind, one.protection) for one in wrong] == [(kind, f"thermal_management.{rule}")]


def test_a_fan_may_take_its_reaction_time_and_no_more():
    """Hot from 5 s on; reaction 3 s."""

    def story(starts_s):
        made = story_at(25.0, fan_rpm=lambda t: 900.0 * toggled(t, (starts_s,), False), heater=0.0)
        degc = np.where(made.t_s < 5.0, 25.0, 38.0)
        made.measure("temperature_degc", np.repeat(degc[:, None], SENSORS, axis=1))
        return made

    assert thermal_findings(story(7.9))[0] == []
    assert [one.t_s for one in thermal_findings(story(9.0))[0]] == [pytest.approx(8.05, abs=0.05)]


def test_a_fan_that_a_fault_stops_is_not_the_fault_of_the_dut():
    story = story_at(38.0, fan_rpm=0.0, heater=0.0)
    story.note(0.0, "fault", fault="fan_stopped", active=True)

    assert thermal_findings(story)[0] == []


def test_without_a_declaration_nothing_is_judged():
    silent = PROFILE.model_copy(update={"thermal_management": None})

    wrong, found = thermal_findings(story_at(38.0, fan_rpm=0.0, heater=1.0), silent)

    assert wrong == []
    assert "cooling, heating: the profile declares no thermal_management" in found.undecided
    assert thermal_plan(silent, *uniform(38.0)).cooling is None


def test_a_fan_that_nobody_measured_is_undecided():
    story = story_at(38.0, fan_rpm=0.0, heater=0.0)
    del story.traces["fan_rpm"]

    wrong, found = thermal_findings(story)

    assert wrong == []
    assert "cooling: fan_rpm is not in the record" in found.undecided


def test_an_uncertain_sensor_near_the_level_obliges_to_nothing():
    story = story_at(36.5, fan_rpm=0.0, heater=0.0)
    trace = story.traces["temperature_degc"]
    story.traces["temperature_degc"] = replace(trace, uncertainty=0.6, origin=MEASURED)

    assert thermal_findings(story)[0] == []


def test_thresholds_out_of_order_do_not_load(tmp_path):
    text = (PROFILE_DIR / "hd_lfp_24s.toml").read_text(encoding="utf-8")
    file = tmp_path / "crossed.toml"
    file.write_text(text.replace("cooling_off_degc     = 33.0", "cooling_off_degc = 36.0"), encoding="utf-8")

    with pytest.raises(ProfileInvalid, match=r"thermal_management\]: .*cooling_on_degc, found 5 10 36 35"):
        load_profile(str(file))
