"""Fault relays: what each carries, when it may move, and which never come together."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import SimpleNamespace

import pytest

from bench.errors import InstrumentRefused
from bench.fault_rules import KINDS, FaultRules, Live
from bench.plant.faults import fault_slots
from bench.procedure import Bench
from bench.station import Station
from bench.station_file import FaultRulesEntry, load_station
from dut_profiles.profile import load_profile

REST_A = 2.0
PLAIN = SimpleNamespace(options=SimpleNamespace(hot_switching=False, contact_v=30.0, contact_a=7.0))
RATED = SimpleNamespace(hot_switching=True, contact_v=100.0, contact_a=20.0)


@dataclass
class Now:
    """What the bench measures at the moment."""

    current_a: float = 0.0
    pack_v: float = 80.0
    channels_on: bool = True


def rules(now: Now, **entry: object) -> FaultRules:
    live = Live(lambda _: now.current_a, lambda: now.pack_v, lambda: now.channels_on)
    return FaultRules(FaultRulesEntry.model_validate(entry), rest_current_a=REST_A, live=live)


def test_every_fault_of_the_plant_is_named_by_one_kind() -> None:
    for fault in fault_slots(cells=24, sensors=8):
        fitting = [kind for pattern, kind in KINDS if fnmatchcase(fault, pattern)]
        assert len(fitting) == 1, fault


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("insulation_positive_30k", "ground"),
        ("open_sense_wire_24", "sense"),
        ("ntc_short_5", "sense"),
        ("hvil_open", "signal"),
        ("weld_main_plus", "power"),
        ("short_circuit", "power"),
        ("channel_reverse_7", "channel"),
        ("something_new", "power"),  # what nobody knows is allowed the least
    ],
)
def test_the_name_says_what_the_relay_carries(fault: str, kind: str) -> None:
    assert rules(Now()).kind_of(fault) == kind


def test_the_station_has_the_last_word_on_a_kind() -> None:
    found = rules(Now(), kinds={"leak_*": "ground", "weld_main_plus": "signal"})

    assert found.kind_of("leak_to_frame") == "ground"
    assert found.kind_of("weld_main_plus") == "signal"
    assert found.kind_of("weld_main_minus") == "power"


# -- one fault to ground ------------------------------------------------------------------------------


def test_a_second_fault_to_ground_is_refused_wherever_its_relay_is() -> None:
    found = rules(Now())
    found.moved("insulation_positive_30k", "faults_a", inserted=True)

    told = found.objection("insulation_negative_5k", "faults_b", PLAIN, inserting=True)
    again = found.objection("insulation_positive_30k", "faults_a", PLAIN, inserting=True)
    found.moved("insulation_positive_30k", "faults_a", inserted=False)

    assert told.startswith("insulation_positive_30k is in at faults_a, and two faults to ground")
    assert again == ""  # a repeated order changes nothing
    assert found.objection("insulation_negative_5k", "faults_b", PLAIN, inserting=True) == ""


def test_a_box_that_let_go_of_everything_has_nothing_in() -> None:
    found = rules(Now())
    found.moved("insulation_positive_30k", "faults_a", inserted=True)
    found.moved("hvil_open", "faults_b", inserted=True)

    found.all_out("faults_a")

    assert found.inserted == ("hvil_open",)


# -- under load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("inserting", [True, False], ids=["in", "out"])
@pytest.mark.parametrize(("current_a", "moves"), [(0.0, True), (2.0, True), (-2.01, False), (56.0, False)])
def test_a_power_relay_moves_without_current_only(current_a: float, moves: bool, inserting: bool) -> None:
    told = rules(Now(current_a)).objection("weld_main_plus", "faults", PLAIN, inserting=inserting)

    assert (told == "") == moves
    if not moves:
        assert f"{abs(current_a):.1f} A flow, expected at most 2 A ([safe_state] rest_current_a)" in told
        assert "[roles.faults.options] hot_switching is false" in told


def test_current_that_nobody_measures_is_not_none() -> None:
    told = rules(Now(float("nan"))).objection("weld_main_plus", "faults", PLAIN, inserting=True)

    assert told.startswith("an unknown current flows")


@pytest.mark.parametrize("fault", ["open_sense_wire_3", "ntc_open_2", "hvil_open", "insulation_negative_5k"])
def test_what_carries_no_pack_current_moves_under_load(fault: str) -> None:
    assert rules(Now(280.0)).objection(fault, "faults", PLAIN, inserting=True) == ""


@pytest.mark.parametrize(
    ("current_a", "pack_v", "moves"),
    [(20.0, 100.0, True), (20.1, 80.0, False), (10.0, 100.1, False), (10.0, float("nan"), False)],
)
def test_a_rated_contact_moves_under_load_within_its_rating(
    current_a: float, pack_v: float, moves: bool
) -> None:
    told = rules(Now(current_a, pack_v)).objection("weld_main_plus", "faults", RATED, inserting=False)

    assert (told == "") == moves
    if not moves:
        assert "expected at most 20 A at 100 V, the rating of a contact" in told


# -- the cell emulator --------------------------------------------------------------------------------


def test_one_channel_does_not_leave_a_live_stack() -> None:
    now = Now(channels_on=True)
    found = rules(now)

    told = found.objection("channel_open_3", "cells", PLAIN, inserting=True)
    now.channels_on = False

    assert "one of them must not leave a live stack ([roles.cells.options] hot_switching is false)" in told
    assert found.objection("channel_open_3", "cells", PLAIN, inserting=True) == ""


def test_an_emulator_that_is_built_for_it_switches_live_channels() -> None:
    assert rules(Now(channels_on=True)).objection("channel_open_3", "cells", RATED, inserting=True) == ""


# -- break before make --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("ntc_open_2", "ntc_short_2", False),
        ("ntc_open_2", "ntc_short_3", True),
        ("open_sense_wire_4", "series_sense_wire_4", False),
        ("open_sense_wire_4", "open_sense_wire_5", True),
        ("feedback_open_charge", "feedback_closed_charge", False),
        ("channel_short_1", "channel_reverse_1", False),
        ("mine", "yours", False),
        ("mine", "hvil_open", True),
    ],
)
def test_faults_on_one_wire_never_overlap(one: str, other: str, together: bool) -> None:
    found = rules(
        Now(channels_on=False), exclusive=[["mine", "yours"]], kinds={"mine": "signal", "yours": "signal"}
    )
    found.moved(one, "faults_a", inserted=True)

    told = found.objection(other, "faults_b", PLAIN, inserting=True)

    assert (told == "") == together
    if not together:
        assert "on the same wire: break before make" in told


# -- on a bench ---------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Bench:
    with Station(load_station("emulated"), load_profile("hd_lfp_24s")) as station:
        yield Bench(station)


def fault_relays(bench: Bench) -> int:
    """How many messages went to the box that has the system's faults."""
    return len(list(bench.station.transcript.sent("faults_system")))


def test_a_bench_refuses_before_anything_is_sent_and_takes_it_once_current_is_gone(bench: Bench) -> None:
    bench.cells.set(voltage_v=3.3)
    bench.start()
    bench.mode("drive")
    bench.discharge(56.0)
    bench.wait(1.0)
    before = fault_relays(bench)

    with pytest.raises(InstrumentRefused) as caught:
        bench.insert("weld_main_plus")
    after = fault_relays(bench)
    bench.rest()
    bench.insert("weld_main_plus")

    told = str(caught.value)
    assert told.startswith("faults_system refused to insert weld_main_plus at ")
    assert ": 56.0 A flow" in told or ": 55.9 A flow" in told
    assert told.endswith("Take the current away first. Nothing was sent.")
    assert after == before
    assert bench.station.rack is not None
    assert bench.station.rack.plant.terminal("faults").active("weld_main_plus")


def test_a_bench_keeps_the_ground_rule_over_its_boxes(bench: Bench) -> None:
    bench.insert("insulation_positive_30k")

    with pytest.raises(InstrumentRefused, match="insulation_positive_30k is in at faults_system"):
        bench.insert("insulation_negative_30k")
    bench.remove("insulation_positive_30k")
    bench.insert("insulation_negative_30k")

    assert bench.station.envelope.rules.inserted == ("insulation_negative_30k",)
