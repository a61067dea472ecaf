"""The judgement of whole records: a sound DUT is explained, and each defect is named with what it did."""

import math

import numpy as np
import pytest

from bench.errors import Inconclusive
from bench.record import Record, Trace
from bench.reference import Reference
from dut_profiles.profile import load_profile
from tests.reference_dut import Defects, Stimulus, calm, run
from tests.reference_records import Story, quiet, with_cell

PROFILE = load_profile("hd_lfp_24s")
REFERENCE = Reference(PROFILE)


def findings(story: Story) -> list[str]:
    return [str(finding) for finding in REFERENCE.explains(story.record())]


def one_cell(voltage_v: float, *, start_s: float = 5.0, until_s: float = math.inf, cell: int = 4) -> Stimulus:
    stimulus = calm(PROFILE, 20.0)
    t_s = np.arange(len(stimulus.current_a)) * 0.01
    stimulus.cell_v[(t_s >= start_s) & (t_s < until_s), cell] = voltage_v
    return stimulus


def walk(seed: int) -> Stimulus:
    """Pulses of cells, sensors and current near every limit, of lengths near every delay."""
    rng = np.random.default_rng([seed, 1])
    stimulus = calm(PROFILE, 30.0)
    t_s = np.arange(len(stimulus.current_a)) * 0.01

    def pulse(levels: list[float], lengths_s: list[float]) -> tuple[np.ndarray, float]:
        start_s = rng.uniform(2.0, 22.0)
        return (t_s >= start_s) & (t_s < start_s + rng.choice(lengths_s)), float(rng.choice(levels))

    for _ in range(rng.integers(1, 4)):
        when, cell_v = pulse(
            [3.545, 3.552, 3.58, 3.597, 3.602, 3.62, 3.76, 2.79, 2.51, 2.495, 2.3, 1.4],
            [0.3, 0.6, 0.95, 1.05, 1.2, 6.0],
        )
        stimulus.cell_v[when, rng.integers(PROFILE.pack.cells)] = cell_v
    for _ in range(rng.integers(0, 3)):
        when, degc = pulse(
            [54.5, 55.5, 56.0, 61.0, 76.0, -1.5, -0.5, 1.0, -21.0, 40.0, 47.0, 36.0, 12.0],
            [0.5, 1.9, 2.1, 3.0, 8.0],
        )
        stimulus.temperature_degc[when, rng.integers(PROFILE.pack.sensors)] = degc
    for _ in range(rng.integers(0, 3)):
        when, current_a = pulse(
            [159.5, 162.0, 165.0, -300.0, -310.0, -315.0, -418.0, -425.0, -690.0, -710.0, 100.0],
            [0.05, 0.2, 0.95, 1.1, 2.0, 12.0],
        )
        stimulus.current_a[when] = current_a
    return stimulus


@pytest.mark.parametrize("seed", range(25))
def test_a_sound_dut_is_explained_whatever_happens_to_it(seed):
    explanation = REFERENCE.explains(run(PROFILE, walk(seed), seed=seed).record())

    assert explanation
    assert "cell_overvoltage" in explanation.judged


@pytest.mark.parametrize("name", ["hd_lfp_32s", "hd_lfp_24s_daly"])
def test_a_sound_dut_of_another_profile_is_explained(name):
    profile = load_profile(name)
    stimulus = calm(profile, 20.0)
    stimulus.cell_v[500:900, -1] = profile.limit("cell_overvoltage").trip + 0.03
    stimulus.temperature_degc[1000:, -1] = profile.limit("charge_overtemperature").trip + 2.0

    assert Reference(profile).explains(run(profile, stimulus).record())


def test_the_walks_make_a_sound_dut_act():
    records = [run(PROFILE, walk(seed), seed=seed).record() for seed in range(25)]

    openings = sum(r.charge_path.opened for r in records), sum(r.discharge_path.opened for r in records)

    assert min(openings) >= 5


OVERVOLTAGE = "cell_overvoltage (above 3.6 V for 1 s)"
LOCK = "cell_overvoltage_lock (above 3.75 V for 0.3 s)"
CALM = calm(PROFILE, 15.0)
#: What is done to the DUT, what is wrong with it, and what the reference must say.
NAMED = [
    (
        one_cell(3.63),
        Defects(disabled={"cell_overvoltage"}),
        f"missed {OVERVOLTAGE}: expected charge path open by 6.4",
    ),
    (
        one_cell(3.63),
        Defects(delay_factor={"cell_overvoltage": 1.5}),
        f"late {OVERVOLTAGE}: expected charge path open by",
    ),
    (
        one_cell(3.63),
        Defects(delay_factor={"cell_overvoltage": 0.0}),
        f"early {OVERVOLTAGE}: expected not before 5.890",
    ),
    (
        one_cell(3.63),
        Defects(waits=False),
        "early switches.zero_current_wait_s: expected charge path to wait for less",
    ),
    (
        one_cell(3.63),
        Defects(silent_alarms={"cell_overvoltage"}),
        f"missed {OVERVOLTAGE}: expected cell_overvoltage rep",
    ),
    (one_cell(3.63), Defects(blind_cell=4), f"missed {OVERVOLTAGE}"),
    (one_cell(3.63, until_s=9.0), Defects(stuck_alarms={"cell_overvoltage"}), f"late {OVERVOLTAGE}"),
    (
        one_cell(3.58),
        Defects(trip_offset={"cell_overvoltage": -0.1}),
        "spurious charge path: expected closed: no limit",
    ),
    (one_cell(3.62), Defects(trip_offset={"cell_overvoltage": 0.1}), f"missed {OVERVOLTAGE}"),
    (
        one_cell(3.80, until_s=9.0),
        Defects(unlatched=True),
        f"forbidden {LOCK}: expected charge path open: latched and",
    ),
    (
        one_cell(2.40),
        Defects(disabled={"cell_undervoltage"}),
        "missed cell_undervoltage (below 2.5 V for 1 s): expected d",
    ),
    (CALM, Defects(opens_without_cause_s=8.0), "spurious discharge path: expected closed"),
    (
        CALM,
        Defects(stuck_alarms={"temperature_spread"}),
        "late temperature_spread (above 10 K for 5 s): expected tempe",
    ),
    (
        CALM,
        Defects(cell_offset_v=0.012),
        "inaccurate measurement.cell_tolerance_v: expected dut.cell_v[0] from 3.29",
    ),
    (
        CALM,
        Defects(limit_factor=1.2),
        "inaccurate derating.charge: expected dut.charge_limit_a at most 147.0 A; saw 168.0",
    ),
    (
        CALM,
        Defects(limit_factor=0.8),
        "inaccurate derating.charge: expected dut.charge_limit_a at least 133.0 A; saw 112.",
    ),
    (
        one_cell(3.40, until_s=9.0, cell=2),
        Defects(swapped_cells=True),
        "cell_tolerance_v: expected dut.cell_v[2] from",
    ),
]


@pytest.mark.parametrize(("stimulus", "defects", "text"), NAMED, ids=range(len(NAMED)))
def test_a_defect_is_named_with_what_it_did(stimulus, defects, text):
    found = findings(run(PROFILE, stimulus, seed=3, defects=defects))

    assert any(text in line for line in found), "\n".join(found)
    assert findings(run(PROFILE, stimulus, seed=3)) == []


def test_a_counter_that_never_resets_is_found():
    stimulus = calm(PROFILE, 20.0)
    for start in range(400, 1400, 120):
        stimulus.cell_v[start : start + 60, 4] = 3.63

    assert findings(run(PROFILE, stimulus)) == []
    assert any(
        "early cell_overvoltage" in line
        for line in findings(run(PROFILE, stimulus, defects=Defects(leaky=True)))
    )


def test_the_explanation_reads_as_a_list():
    story = run(PROFILE, one_cell(3.63), seed=3, defects=Defects(waits=False))

    explanation = REFERENCE.explains(story.record())

    assert not explanation
    assert len(explanation) == 1
    assert repr(explanation).startswith("1 not explained:\n  6.0")
    assert [finding.kind for finding in explanation] == ["early"]
    assert "explained (" in repr(REFERENCE.explains(quiet(PROFILE).record()))


def test_an_empty_record_is_inconclusive():
    with pytest.raises(Inconclusive, match=r"nothing in the record can be judged: .*cell_v was not measured"):
        REFERENCE.explains(Record())


def test_absent_traces_are_named_and_the_rest_is_judged():
    story = run(PROFILE, one_cell(3.63), seed=3, defects=Defects(disabled={"cell_overvoltage"}))
    for name in ("temperature_degc", "current_a", "cell_a"):
        del story.traces[name]

    explanation = REFERENCE.explains(story.record())

    assert "charge_overtemperature: temperature_degc was not measured" in explanation.undecided
    assert "balancing: cell_a is not in the record" in explanation.undecided
    assert [finding.kind for finding in explanation] == ["missed"]


def test_gaps_in_every_trace_find_nothing_in_a_sound_dut():
    story = run(PROFILE, one_cell(3.63), seed=3)
    for name, old in list(story.traces.items()):
        value = old.value.copy()
        value[len(value) // 3 : len(value) // 3 + 5] = np.nan
        story.traces[name] = Trace(name, old.unit, old.t_s, value, old.origin, old.uncertainty)

    assert findings(story) == []


def test_slowly_sampled_cells_find_nothing_in_a_sound_dut_and_still_a_missed_trip():
    for defects, kinds in ((None, set()), (Defects(disabled={"cell_overvoltage"}), {"missed"})):
        story = run(PROFILE, one_cell(3.63), seed=3, defects=defects)
        old = story.traces["cell_v"]
        story.traces["cell_v"] = Trace(
            "cell_v", "V", old.t_s[::100], old.value[::100], old.origin, old.uncertainty
        )

        assert {finding.kind for finding in REFERENCE.explains(story.record())} == kinds


def test_the_dut_s_own_report_may_permit_but_never_excuses_an_opening_without_it():
    hot = calm(PROFILE, 20.0)
    hot.temperature_degc[500:, 2] = 57.0
    unseen = run(PROFILE, hot, seed=3)
    del unseen.traces["temperature_degc"]
    cold = run(PROFILE, calm(PROFILE, 20.0), seed=3, defects=Defects(opens_without_cause_s=8.0))
    del cold.traces["temperature_degc"]

    assert findings(unseen) == []
    assert any("spurious charge path" in line for line in findings(cold))


def opened_at(time_s: float, *events: tuple[float, str, dict[str, object]]) -> list[str]:
    """Findings of a quiet record in which both paths open at `time_s`."""
    story = quiet(PROFILE)
    story.path("charge", time_s)
    story.path("discharge", time_s)
    for t_s, kind, data in events:
        story.note(t_s, kind, **data)
    return [line for line in findings(story) if "path opened" in line]


def test_events_explain_openings():
    assert len(opened_at(8.0)) == 2
    assert opened_at(8.0, (7.0, "mode", {"mode": "standby"})) == []
    assert len(opened_at(8.0, (4.0, "mode", {"mode": "charge"}))) == 2
    assert opened_at(8.0, (7.5, "power", {"on": False})) == []
    assert opened_at(8.0, (7.5, "fault", {"fault": "hvil_open", "active": True})) == []
    assert len(opened_at(8.0, (7.5, "fault", {"fault": "fan_stopped", "active": True}))) == 2
    assert opened_at(8.0, (6.9, "host", {"talking": False})) == []
    assert len(opened_at(8.0, (7.5, "host", {"talking": False}))) == 2


def test_standby_must_open_the_paths():
    story = quiet(PROFILE)
    story.note(8.0, "mode", mode="standby")

    assert findings(story)[0] == (
        "10.000 s missed mode: expected charge path open 2 s after standby; saw still closed"
    )


def test_a_silent_host_must_be_noticed():
    silent = quiet(PROFILE)
    silent.note(8.0, "host", talking=False)
    noticed = quiet(PROFILE)
    noticed.note(8.0, "host", talking=False)
    noticed.alarm("host_timeout", 9.05)

    assert [line for line in findings(silent) if "host" in line] == [
        "9.430 s missed host_timeout: expected reported by 9.430 s; saw never reported"
    ]
    assert [line for line in findings(noticed) if "host" in line] == []


def test_an_alarm_that_no_limit_stands_behind_needs_a_cause():
    alone, caused = quiet(PROFILE), quiet(PROFILE)
    for story in (alone, caused):
        story.alarm("hvil_open", 9.0)
    caused.note(8.9, "fault", fault="hvil_open", active=True)

    assert findings(alone) == [
        "9.053 s spurious hvil_open: expected hvil_open not reported; saw reported at 9.053 s"
    ]
    assert findings(caused) == []


def test_a_broadcast_that_pauses_is_stale():
    story = quiet(PROFILE)
    old = story.traces["dut.current_a"]
    keep = (old.t_s < 8.0) | (old.t_s > 8.5)
    story.traces["dut.current_a"] = Trace(old.name, "A", old.t_s[keep], old.value[keep], old.origin)

    assert [line for line in findings(story) if "period_s" in line] == [
        "7.953 s late communication.period_s: expected dut.current_a every 0.1 s; "
        "saw nothing for 0.600 s (1 such gaps)"
    ]


def test_contactors_may_not_break_more_than_they_are_rated_for():
    story = quiet(PROFILE)
    current = np.full(len(story.t_s), -100.0)
    current[800:806] = -1900.0
    story.measure("current_a", current)
    story.measure("switch.main_plus", np.where(story.t_s >= 8.05, 0.0, 1.0))

    assert any(
        "forbidden switches.break_rating_a: expected main_plus opens at 1500 A at most; saw 1900 A" in line
        for line in findings(story)
    )

    story.measure("switch.pyro", np.where(story.t_s >= 8.03, 0.0, 1.0))
    assert not any("break_rating" in line for line in findings(story))


def test_a_capture_shows_a_short_circuit_that_was_ended_too_late():
    for flows_s, late in ((0.0004, False), (0.005, True)):
        story = quiet(PROFILE)
        t_s = 8.0 + np.arange(4000) * 5e-6
        value = np.where((t_s >= 8.001) & (t_s < 8.001 + flows_s), -3000.0, 0.0)
        story.traces["capture_a"] = Trace("capture_a", "A", t_s, value, story.traces["current_a"].origin)

        assert any("late short_circuit" in line for line in findings(story)) == late


def test_a_known_soc_is_held_against_the_counted_current():
    story = quiet(PROFILE, 60.0)
    story.note(0.0, "soc", soc=0.5, uncertainty=0.005)
    drifted = quiet(PROFILE, 60.0)
    drifted.note(0.0, "soc", soc=0.6, uncertainty=0.005)
    jumped = quiet(PROFILE, 60.0)
    jumped.report("soc", np.where(jumped.report_s > 30.0, 0.53, 0.5))

    assert findings(story) == []
    assert any("inaccurate soc.error_bound: expected 0.600 +- 0.050" in line for line in findings(drifted))
    assert any(
        "inaccurate soc.jump_bound_per_s: expected a change of 2.0% in 1 s at most; saw 3.0%" in line
        for line in findings(jumped)
    )


def test_one_cell_stepped_by_hand():
    story = quiet(PROFILE)
    with_cell(story, 3, 5.0, 3.52, 9.0)

    # 0.22 V above the others: beyond no limit, and derating begins at 3.45 V
    assert [line for line in findings(story) if "derating" not in line] == []
    assert any(
        "derating.charge: expected dut.charge_limit_a at most 56.0 A; saw 140.0 A" in line
        for line in findings(story)
    )
