"""The plan: what a rehearsal notices, what it is held against, and what a run makes of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.clock import Clock
from bench.errors import InvalidInput
from bench.plan import Demand, Figure, RehearsalCache, make_plan, rehearsal_of
from bench.plan.cache import FILE
from bench.plan.observer import Observer
from bench.plan.session import longest, wanted
from bench.plan.table import as_text, verdict
from bench.procedure import Bench
from bench.rack import PackState, Rack
from bench.station import Station
from bench.station_file import RatingsEntry, StationFile, load_station
from dut_profiles.profile import load_profile
from tests.tiny_suites import clean_environment, run, runs_in, scenario

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "bench/stations/emulated.toml").read_text(encoding="utf-8")
PROFILE = load_profile("hd_lfp_24s")
EMULATED = load_station("emulated")
nan = math.nan


def rated(**ratings: float) -> StationFile:
    return EMULATED.model_copy(update={"ratings": RatingsEntry(**ratings)})


def demand(*figures: Figure, **changes: object) -> Demand:
    return replace(Demand("test_x.py::test_one", "XX-01", 12.0, figures), **changes)  # type: ignore[arg-type]


# -- the stand-ins ------------------------------------------------------------------------------------


def real() -> StationFile:
    """The shipped station with real addresses; nobody is there."""
    roles = {
        name: entry.model_copy(update={"address": f"TCPIP::192.0.2.{number}::5025::SOCKET"})
        for number, (name, entry) in enumerate(EMULATED.roles.items(), start=1)
    }
    dut = EMULATED.dut.model_copy(update={"address": "can:pcan:PCAN_USBBUS1"})
    return EMULATED.model_copy(update={"clock": "wall", "roles": roles, "dut": dut})


def test_a_rehearsal_has_a_stand_in_at_every_address_and_keeps_the_rest() -> None:
    twin = rehearsal_of(real())

    assert twin.clock == "virtual"
    assert twin.dut == EMULATED.dut
    # The shipped station has a stand-in of each kind where it belongs, and the same options and ceilings.
    assert twin.roles == EMULATED.roles


def test_a_served_stand_in_stays_at_its_terminal() -> None:
    served = EMULATED.roles["cells"].model_copy(update={"address": "sim+socketcand://cells+meter"})
    file = EMULATED.model_copy(update={"roles": {**EMULATED.roles, "cells": served}})

    assert rehearsal_of(file).roles["cells"].address == "twin://cells+meter"


# -- what a rehearsal notices -------------------------------------------------------------------------


@pytest.fixture
def observed() -> tuple[Bench, Observer]:
    """A bench that charges with 100 A, behind a fuse of 80 A."""
    file = rated(fuse_a=80.0)
    with Station(file, PROFILE, rehearse=True) as station:
        assert station.rack is not None
        bench = Bench(station)
        bench.cells.set(voltage_v=3.3)
        bench.start()
        bench.mode("charge")
        observer = Observer(station.rack, station.clock, file)
        bench.charge(100.0)
        yield bench, observer


def worst(observer: Observer) -> dict[tuple[str, str], float]:
    return {(figure.where, figure.what): figure.value for figure in observer.figures()}


def test_what_a_current_does_to_cable_and_fuse_follows_from_its_square(
    observed: tuple[Bench, Observer],
) -> None:
    bench, observer = observed
    bench.wait(30.0)

    found = worst(observer)

    # A body with 60 s: 100^2 (1 - e^(-30/60)). A fuse that carries 80 A: (100^2 - 80^2) A2 for 30 s.
    assert found["harness", "thermal current"] == pytest.approx(100 * math.sqrt(1 - math.exp(-0.5)), rel=0.01)
    assert found["fuse", "overload"] == pytest.approx(3600.0 * 30.0, rel=0.01)
    assert found["charger", "highest reached current"] == pytest.approx(100.0, rel=0.002)
    assert found["charger", "energy"] == pytest.approx(
        found["charger", "highest reached power"] * 30 / 3600, rel=0.02
    )
    assert ("contactors", "interrupted current") not in found


def test_a_fuse_forgets_what_it_had_time_to_give_away(observed: tuple[Bench, Observer]) -> None:
    bench, observer = observed
    bench.wait(10.0)
    bench.rest()
    bench.wait(30.0)
    bench.charge(100.0)
    bench.wait(10.0)

    assert worst(observer)["fuse", "overload"] == pytest.approx(3600.0 * 10.0, rel=0.02)


def test_a_contactor_that_opens_under_load_interrupts_what_flowed(observed: tuple[Bench, Observer]) -> None:
    bench, observer = observed
    bench.wait(2.0)
    bench.cut_power()
    bench.wait(1.0)

    assert worst(observer)["contactors", "interrupted current"] == pytest.approx(100.0, rel=0.01)


def test_a_voltmeter_at_a_supply_neither_feeds_nor_loads_it() -> None:
    clock = Clock()
    there = EMULATED.roles["meter"].model_copy(update={"address": "twin://charger"})
    file = EMULATED.model_copy(update={"roles": {**EMULATED.roles, "voltmeter": there}})
    observer = Observer(Rack(PROFILE, clock, seed=1, pack=PackState()), clock, file)
    clock.sleep(0.1)

    places = {figure.where for figure in observer.figures()}
    assert {"charger", "regen", "load"} <= places
    assert "voltmeter" not in places


# -- what it is held against --------------------------------------------------------------------------

HELD = {
    "envelope": (Figure("charger", "highest commanded voltage", "V", 0.0), 150.0, "max_v of [roles.charger]"),
    "rating": (
        Figure("charger", "highest reached current", "A", 0.0), 240.0, "max_a of [roles.charger]",
    ),
    "parallel units": (
        Figure("charger", "highest reached power", "W", 0.0), 20_000.0, "total_w of [roles.charger.options]",
    ),
    "cable": (Figure("harness", "thermal current", "A", 0.0), 300.0, "harness_a of [ratings]"),
    "insulation": (Figure("harness", "voltage", "V", 0.0), 110.0, "harness_v of [ratings]"),
    "fuse": (Figure("fuse", "overload", "A2s", 0.0), 5000.0, "fuse_i2t_a2s of [ratings]"),
    "contactors": (
        Figure("contactors", "interrupted current", "A", 0.0), 1500.0,
        "switches.break_rating_a of HD-LFP-24S",
    ),
    "input": (
        Figure("cells", "highest commanded voltage", "V", 0.0), 5.0, "absolute_maximum.cell_v of HD-LFP-24S",
    ),
}  # fmt: skip
WIRED = {"harness_v": 110.0, "harness_a": 300.0, "fuse_a": 400.0, "fuse_i2t_a2s": 5000.0}


@pytest.mark.parametrize("what", HELD)
def test_a_figure_may_reach_its_rating_and_not_exceed_it(what: str) -> None:
    figure, limit, key = HELD[what]
    file = rated(**WIRED)

    at = make_plan(file, PROFILE, [demand(replace(figure, value=limit))])
    above = make_plan(file, PROFILE, [demand(replace(figure, value=limit * 1.001, t_s=3.5))])

    assert at.fits
    assert not above.fits
    assert key in [excess.key for excess in above.excesses]
    excess = above.excesses[0]
    assert (excess.scenario, excess.where, excess.what, excess.t_s) == (
        "XX-01",
        figure.where,
        figure.what,
        3.5,
    )


def chambered() -> StationFile:
    chamber = EMULATED.roles["meter"].model_copy(update={"min_degc": -20.0, "max_degc": 60.0})
    return EMULATED.model_copy(update={"roles": {**EMULATED.roles, "chamber": chamber}})


@pytest.mark.parametrize(
    ("what", "value", "fits"),
    [
        ("lowest commanded temperature", -20.0, True),
        ("lowest commanded temperature", -20.1, False),
        ("highest commanded temperature", 60.0, True),
        ("highest commanded temperature", 60.1, False),
    ],
)
def test_a_chamber_has_a_lowest_temperature_too(what: str, value: float, fits: bool) -> None:
    plan = make_plan(chambered(), PROFILE, [demand(Figure("chamber", what, "degC", value))])

    assert plan.fits == fits


def test_a_relay_that_the_rules_would_not_move_does_not_fit() -> None:
    said = "faults_system refused to insert weld_main_plus at 5.500 s: 56.0 A flow. Nothing was sent."

    plan = make_plan(EMULATED, PROFILE, [demand(objections=(said,))])

    (excess,) = plan.excesses
    assert (excess.where, excess.what) == ("faults_system", "fault relay")
    assert excess.found.startswith("insert weld_main_plus at 5.500 s")


def test_what_is_not_stated_and_what_was_not_rehearsed_is_said() -> None:
    ended = "rehearsed up to 7.5 s only, error: InstrumentRefused: load refused [roles.load]"

    absent = demand(remark="this station has no relay for flood", applies=False, id="XX-02")
    plan = make_plan(rated(harness_v=100.0), PROFILE, [demand(remark=ended), absent])
    text = as_text(plan)

    assert plan.missing == ("[ratings] harness_a", "[ratings] fuse_a", "[ratings] fuse_i2t_a2s")
    assert plan.remarks == [f"XX-01 (test_x.py::test_one): {ended}"]
    assert plan.not_applicable == ["XX-02 (test_x.py::test_one): this station has no relay for flood"]
    for line in (*plan.remarks, *plan.not_applicable):
        assert line in text
    assert "[ratings] fuse_i2t_a2s" in text


def test_the_plan_tells_the_worst_of_each_place_with_its_scenario() -> None:
    first = demand(Figure("charger", "highest commanded current", "A", 50.0, 2.0))
    second = replace(
        demand(Figure("charger", "highest commanded current", "A", 241.0, 3.0)), id="XX-02", duration_s=30.0
    )

    plan = make_plan(EMULATED, PROFILE, [first, second])
    document = json.loads(plan.as_json())

    assert [(row["value"], row["scenario"]) for row in document["worst"]] == [(241.0, "XX-02")]
    assert document["fits"] is False
    assert document["excesses"][0]["key"] == "max_a of [roles.charger]"
    assert [row["duration_s"] for row in document["scenarios"]] == [12.0, 30.0]
    assert verdict(plan) == (
        "plan: 2 scenarios on emulated with HD-LFP-24S, 42 s (longest 30 s): 1 figure beyond a rating"
    )
    assert "max_a of [roles.charger]" in as_text(plan)


# -- remembered ---------------------------------------------------------------------------------------


def test_a_rehearsal_is_remembered_until_something_changes_that_it_depends_on(tmp_path: Path) -> None:
    suite = tmp_path / "test_x.py"
    suite.write_text("1")
    station = tmp_path / "station.toml"
    station.write_text("a")
    known = demand(Figure("charger", "energy", "Wh", 3.0, nan))
    RehearsalCache(tmp_path, [station, "seed=7"]).keep(suite, [known])

    def again(*circumstances: Path | str) -> dict[str, Demand]:
        return RehearsalCache(tmp_path, circumstances).known(suite)

    found = again(station, "seed=7")[known.nodeid]
    assert (found.duration_s, found.figures[0].value) == (12.0, 3.0)
    assert again(station, "seed=8") == {}
    station.write_text("b")
    assert again(station, "seed=7") == {}
    station.write_text("a")
    (tmp_path / "conftest.py").write_text("")
    assert again(station, "seed=7") == {}
    (tmp_path / "conftest.py").unlink()
    suite.write_text("2")
    assert again(station, "seed=7") == {}
    suite.write_text("1")
    assert again(station, "seed=7")


@pytest.mark.parametrize("content", ["", "{", '{"a": {"b": {"nodeid": 1}}}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    suite = tmp_path / "test_x.py"
    suite.write_text("1")

    assert RehearsalCache(tmp_path, []).known(suite) == {}


# -- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "station", "found"),
    [("", EMULATED, ""), ("", real(), "on"), ("off", real(), "off"), ("only", EMULATED, "only")],
)
def test_a_plan_is_made_where_something_is_real_or_somebody_asks(
    choice: str, station: StationFile, found: str
) -> None:
    assert wanted(choice, station) == found


def test_an_option_that_ate_the_next_argument_says_so() -> None:
    with pytest.raises(InvalidInput, match=r"--bench-plan: expected .*, found 'test_suites'"):
        wanted("test_suites", EMULATED)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan"])
def test_the_longest_is_a_positive_number(text: str) -> None:
    with pytest.raises(InvalidInput, match="--bench-longest"):
        longest(text)


# -- in a run -----------------------------------------------------------------------------------------

CHARGES = """
bench.cells.set(voltage_v=3.3)
bench.start()
bench.mode("charge")
bench.charge(100.0)
bench.wait(5.0)
assert bench.record.charge_path.closed
"""
BRIEF = "bench.wait(1.0)\nassert 1 == 1"


def charging(name: str = "xx_01") -> str:
    return scenario(CHARGES, name=name, number=name.upper().replace("_", "-"), arguments="bench")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_environment(monkeypatch)


def station_file(folder: Path, *replaced: tuple[str, str]) -> str:
    """The shipped station with some text replaced, each piece once; an option that names it."""
    text = SHIPPED
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return "--bench-station=mine.toml"


#: Port 1 of this machine: nobody listens there.
REAL = (("twin://charger", "TCPIP::127.0.0.1::1::SOCKET"), ('clock = "virtual"', 'clock = "wall"'))


def test_only_a_plan_opens_nothing_and_is_made_once(pytester: pytest.Pytester) -> None:
    first = run(pytester, charging(), options=("--bench-plan",))
    second = run(pytester, charging(), options=("--bench-plan",))

    assert (first.exit_code, first.evidence) == (0, None)
    assert "rehearsing 1 of 1 scenarios" in first.text
    assert "highest commanded current" in first.text
    assert "plan: 1 scenarios on emulated with HD-LFP-24S" in first.text
    assert ": nothing exceeds a rating" in first.text
    assert (second.exit_code, second.evidence) == (0, None)
    assert "rehearsing" not in second.text
    assert "highest commanded current" in second.text


def test_a_real_bench_is_planned_first_and_not_touched_if_the_plan_does_not_fit(
    pytester: pytest.Pytester,
) -> None:
    option = station_file(pytester.path, *REAL, ("max_a   = 240.0", "max_a   = 90.0"))
    done = run(pytester, charging(), options=(option,))

    # Would it have been opened, nobody had answered: another sentence.
    assert done.exit_code == 40
    assert done.evidence is None
    assert "max_a of [roles.charger]" in done.text
    assert "100 A" in done.text
    assert "the plan exceeds ratings; nothing was energised" in done.text
    assert runs_in(pytester.path / "results") == []


def test_what_takes_longer_than_wanted_is_left_out(pytester: pytest.Pytester) -> None:
    brief = scenario(BRIEF, name="xx_02", number="XX-02", arguments="bench")
    done = run(pytester, charging(), brief, options=("--bench-longest=5",))

    assert done.exit_code == 0
    assert done.evidence is not None
    assert [found.result.id for found in done.evidence.scenarios] == ["XX-02"]
    assert "1 deselected" in done.text


def test_a_rehearsal_that_cannot_be_made_is_told_and_stops_the_run(pytester: pytest.Pytester) -> None:
    ends = scenario("import os\nos._exit(7)", arguments="bench")
    done = run(pytester, ends, options=("--bench-plan=on",))

    assert done.exit_code == 40
    assert "expected a rehearsal of 1 scenarios, found none of test_tiny.py::test_xx_01" in done.text
    assert "--bench-plan=off runs without a plan." in done.text
