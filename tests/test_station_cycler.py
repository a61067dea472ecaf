"""The cycler station: current through the pack's own cells, everything measured by scanners and meters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.errors import NotApplicable
from bench.procedure import Bench
from bench.rack import PackState
from bench.record import Origin, Trace
from bench.reference import Reference
from bench.reference.observed import Observed, blur_s, followed
from bench.station import Station
from bench.station.joined import joined
from bench.station_file import load_station
from bench.station_values import resolved
from dut_profiles.profile import load_profile
from tests.reference_records import Story, quiet

PROFILE = load_profile("hd_lfp_24s")
MEASURED = Origin("measured", "scanner")


@pytest.fixture(scope="module")
def charging() -> Iterator[Bench]:
    """Charging at 100 A, after half a minute of it."""
    with Station(load_station("emulated_cycler"), PROFILE, pack=PackState(soc=0.5)) as station:
        bench = Bench(station)
        bench.start()
        bench.mode("charge")
        bench.charge(100.0)
        bench.wait(30.0)
        yield bench


def test_the_current_flows_through_the_packs_own_cells(charging: Bench) -> None:
    assert charging.station.rack is not None
    truth = charging.station.rack.plant.truth

    assert truth.cell_a == pytest.approx(np.full(24, 100.0), abs=0.5)
    current = charging.record.current_a
    assert current.origin.source == "voltmeter"
    assert float(current.last) == pytest.approx(100.0, abs=0.5)
    assert charging.dut.telemetry().current_a == pytest.approx(100.0, abs=1.5)


def test_cells_sensors_and_paths_come_from_whoever_measures_them(charging: Bench) -> None:
    assert charging.station.rack is not None
    truth, record = charging.station.rack.plant.truth, charging.record

    assert record.cell_v.value.shape[1] == 24
    assert record.cell_v.last == pytest.approx(truth.cell_v, abs=0.005)
    # A thermocouple of the scanner is good for ±1 K and its junction.
    own_degc = truth.temperature_degc[PROFILE.pack.sensor_cells]
    assert record.temperature_degc.last == pytest.approx(own_degc, abs=2.0)
    assert record.cell_v.origin == record.temperature_degc.origin == MEASURED
    assert (record.charge_path.closed, record["switch.precharge"].last) == (True, 0.0)
    assert record.charge_path.trace.origin.source == "scanner_contacts"


def test_a_scan_is_slow_and_says_so(charging: Bench) -> None:
    # 24 cells, 8 thermocouples and 3 voltages at some 20 ms each.
    assert 0.5 < charging.record.cell_v.period_s < 1.5
    assert charging.record.charge_path.trace.period_s < 0.1
    assert charging.record.current_a.period_s < 0.1


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda bench: bench.cells, "this station has no cell emulator"),
        (lambda bench: bench.meter, "this station has no digitizer on the pack current"),
        (lambda bench: bench.set_temperature(25.0), "this station has no thermistor simulator"),
        (lambda bench: bench.insert("ntc_open_2"), "this station has no relay for the fault ntc_open_2"),
    ],
)
def test_what_the_station_lacks_is_said_and_nothing_is_noted(charging: Bench, ask, reason: str) -> None:
    before = len(charging.record.events)

    with pytest.raises(NotApplicable, match=f"^{reason}$"):
        ask(charging)

    faults = [event for event in charging.record.events[before:] if event.kind == "fault"]
    assert faults == []


def test_publishing_cannot_be_slowed_where_nobody_publishes(charging: Bench) -> None:
    charging.publish_every(1.0)

    assert charging.record.current_a.period_s < 0.1


def test_it_is_made_safe_on_what_the_voltmeter_sees() -> None:
    with Station(load_station("emulated_cycler"), PROFILE) as station:
        bench = Bench(station)
        bench.start()
        bench.mode("charge")
        bench.charge(50.0)
        bench.wait(2.0)

    assert station.safe_report is not None
    assert station.safe_report.confirmed
    assert ("pack", "current") in [(step.role, step.action) for step in station.safe_report.steps]
    assert station.rack is not None
    assert np.abs(station.rack.plant.truth.cell_a).max() < 0.01


def test_a_scanned_pack_has_taps_then_thermocouples_then_voltages() -> None:
    wired = resolved("here", {"channels": "$scanned_pack"}, PROFILE)["channels"]

    assert len(wired) == 24 + 8 + 3
    assert (wired[101], wired[120], wired[201]) == ("cell_v[0]", "cell_v[19]", "cell_v[20]")
    # Sensors are on cells 0, 3, ...; four cells are left for card 2.
    assert (wired[205], wired[206]) == ("temperature_degc[0]", "temperature_degc[3]")
    assert (wired[213], wired[215]) == ("pack_v", "charger_v")


# -- joined traces --------------------------------------------------------------------------------------


def trace(name: str, t_s: list[float], value: list[float], unit: str = "V") -> Trace:
    return Trace(name, unit, np.array(t_s), np.array(value), MEASURED, 0.001)


def test_cells_of_a_scan_make_rows_at_its_middle() -> None:
    found = {
        f"cell_v[{k}]": trace(f"cell_v[{k}]", [0.1 * k, 10.0 + 0.1 * k], [3.0 + 0.01 * k, 3.5])
        for k in range(24)
    }

    made = joined(found, PROFILE)["cell_v"]

    assert made.t_s == pytest.approx([1.15, 11.15])
    assert made.value[0] == pytest.approx(3.0 + 0.01 * np.arange(24))
    assert (made.uncertainty, made.unit) == (0.001, "V")


def test_a_path_is_closed_when_all_its_contacts_were_when_last_read() -> None:
    found = {
        "switch.main_minus": trace("switch.main_minus", [1.0, 2.0, 3.0], [0.0, 1.0, 1.0], "1"),
        "switch.charge": trace("switch.charge", [1.5, 2.5, 3.5], [1.0, 1.0, 0.0], "1"),
    }

    made = joined(found, PROFILE)

    assert list(made) == ["charge_path"]
    path = made["charge_path"]
    assert path.t_s.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    # Before its first reading nobody knows the charge contact.
    assert np.isnan(path.value[0])
    assert path.value[1:].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_what_somebody_measures_as_a_whole_is_not_put_together() -> None:
    whole = trace("charge_path", [0.0], [1.0], "1")
    found = {
        "charge_path": whole,
        "switch.main_minus": trace("switch.main_minus", [1.0], [0.0], "1"),
        "switch.charge": trace("switch.charge", [1.0], [0.0], "1"),
    }

    assert joined(found, PROFILE) == {}


# -- how the oracle takes a slow scan -------------------------------------------------------------------


def scanned(story: Story, *, every_s: float) -> Story:
    """The same record with cells scanned every `every_s` [s]."""
    cells = story.traces["cell_v"]
    step = round(every_s / story.period_s)
    story.traces["cell_v"] = replace(cells, t_s=cells.t_s[::step], value=cells.value[::step])
    return story


def sagging(story: Story, start_s: float, end_s: float) -> Story:
    """The DUT says that all cells sag by 80 mV between these times [s], between two scans."""
    said = story.traces["dut.cell_v"]
    value = said.value.copy()
    value[(said.t_s >= start_s) & (said.t_s <= end_s)] -= 0.08
    story.traces["dut.cell_v"] = replace(said, value=value)
    return story


def inaccurate_cells(story: Story) -> list[str]:
    return [str(f) for f in Reference(PROFILE).explains(story.record()) if "dut.cell_v[" in str(f)]


def test_what_a_slow_scan_missed_is_excused_by_the_current_that_did_it() -> None:
    story = sagging(scanned(quiet(PROFILE), every_s=2.0), 10.3, 11.5)
    assert inaccurate_cells(story)

    current = story.traces["current_a"]
    pulse = np.where((current.t_s > 10.2) & (current.t_s < 11.4), -280.0, current.value)
    story.traces["current_a"] = replace(current, value=pulse)

    assert inaccurate_cells(story) == []


def test_a_slow_scan_still_finds_a_wrong_report_at_rest() -> None:
    assert inaccurate_cells(scanned(quiet(PROFILE), every_s=2.0)) == []
    assert len(inaccurate_cells(sagging(scanned(quiet(PROFILE), every_s=2.0), 5.0, 15.0))) == 24


def test_a_bus_that_nobody_measured_when_plus_closed_is_not_judged() -> None:
    story = quiet(PROFILE)
    t_s = story.t_s
    for name, closes_s in (("main_minus", 5.0), ("precharge", 5.2), ("main_plus", 6.0)):
        story.measure(f"switch.{name}", np.where(t_s >= closes_s, 1.0, 0.0))
    story.measure("link_v", np.where(t_s >= 5.9, 0.2, 0.0) * story.traces["pack_v"].value)
    wrong = [str(f) for f in Reference(PROFILE).explains(story.record()) if "done_fraction" in str(f)]
    assert len(wrong) == 1

    # The last turn of the scan was half a second before.
    link = story.traces["link_v"]
    story.traces["link_v"] = link.between(0.0, 5.5)

    assert not [f for f in Reference(PROFILE).explains(story.record()) if "done_fraction" in str(f)]


def test_a_fast_measurement_is_taken_as_it_is() -> None:
    story = quiet(PROFILE)
    observed = Observed(story.record(), PROFILE)
    cells = observed.traces["cell_v"]

    assert blur_s(cells, age_s=0.15) == 0.0
    assert followed(observed, cells, np.array([3.0, 4.0]), 0.15).all()
    assert blur_s(replace(cells, t_s=cells.t_s[::75], value=cells.value[::75]), 0.15) == pytest.approx(0.75)
