"""The racks that are shipped as examples: drivers are there, nobody is called, stand-ins can rehearse."""

from __future__ import annotations

import re

import pytest

from bench.plan.rehearsal import rehearsal_of
from bench.procedure import Bench
from bench.station import Station, check_drivers
from bench.station_file import STATION_DIR, RoleEntry, StationFile, load_station
from dut_profiles.profile import load_profile

EXAMPLES = pytest.mark.parametrize(
    ("name", "dut"), [("rack_example_24s", "hd_lfp_24s"), ("rack_example_32s", "hd_lfp_32s")]
)


@EXAMPLES
def test_every_driver_is_found_and_takes_its_options(name: str, dut: str) -> None:
    check_drivers(load_station(name), load_profile(dut))


@EXAMPLES
def test_an_example_reaches_nobody(name: str, dut: str) -> None:
    # 192.0.2.0/24 is TEST-NET-1 of RFC 5737, for documentation.
    text = (STATION_DIR / f"{name}.toml").read_text(encoding="utf-8")

    found = re.findall(r"\d+\.\d+\.\d+\.\d+", text)

    assert found
    assert [address for address in found if not address.startswith("192.0.2.")] == []


@EXAMPLES
def test_stand_ins_rehearse_an_example_to_its_end(name: str, dut: str) -> None:
    profile = load_profile(dut)
    with Station(rehearsal_of(load_station(name)), profile, rehearse=True) as station:
        bench = Bench(station)
        bench.cells.set(voltage_v=3.30)
        bench.set_temperature(25.0)
        bench.wait(0.5)
        bench.start()
        bench.mode("charge")
        bench.charge(20.0)
        bench.wait(3.0)

        record = bench.record
        assert record.cell_v.value.shape[1] == profile.pack.cells
        assert record.cell_v.last == pytest.approx([3.30] * profile.pack.cells, abs=0.01)
        assert float(record.current_a.last) == pytest.approx(20.0, abs=1.5)
        assert record.charge_path.closed
        assert not bench.dut.alarms()

    assert station.safe_report is not None
    assert station.safe_report.confirmed


def test_the_first_example_explains_every_key_once() -> None:
    text = (STATION_DIR / "rack_example_24s.toml").read_text(encoding="utf-8")
    written = {line.partition("=")[0].strip() for line in text.splitlines() if "=" in line and line[0] != "#"}

    # A board's own table has an example of its own: emulated_board.
    assert set(RoleEntry.model_fields) - {"options"} <= written
    top = {key for key in StationFile.model_fields if key not in ("path", "model", "speed", "dut", "roles")}
    tables = set(re.findall(r"^\[([a-z_]+)[\].]", text, re.MULTILINE))
    assert top <= written | tables
    for table in ("safe_state", "guard", "ratings"):
        kind = StationFile.model_fields[table].annotation
        assert set(kind.model_fields) <= written, table  # type: ignore[union-attr]


def test_two_cell_emulators_fill_one_role() -> None:
    profile = load_profile("hd_lfp_32s")
    with Station(rehearsal_of(load_station("rack_example_32s")), profile, rehearse=True) as station:
        cells = station.role("cells")
        cells.set(voltage_v=3.2)
        cells.set(voltage_v=3.4, cell=30)
        station.clock.sleep(1.0)

        last = station.record.cell_v.last

    assert (cells.cells, station.record.cell_v.origin.source) == (32, "cells")
    assert last[30] == pytest.approx(3.4, abs=0.01)
    assert last[[0, 23, 24, 31]] == pytest.approx([3.2] * 4, abs=0.01)
