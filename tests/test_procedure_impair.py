"""What only an emulated pack can suffer: a scenario asks for it by name, and the record says so."""

import pytest

from bench.errors import InvalidInput, NotApplicable
from bench.procedure import Bench
from bench.station import Station
from bench.station_file import load_station
from dut_profiles.profile import load_profile


@pytest.fixture
def station():
    station = Station(load_station("emulated"), load_profile("hd_lfp_24s"))
    station.open()
    yield station
    station.close()


def test_a_soft_short_drains_its_cell_and_no_other(station):
    bench = Bench(station)
    truth = station.rack.plant.truth
    before = truth.soc.copy()

    bench.impair("internal_short_ohm", 0.5, cell=3)
    bench.wait(60.0)

    # 3.3 V over 0.5 ohm for a minute out of 280 Ah: 4e-4
    lost = before - truth.soc
    assert lost[3] == pytest.approx(3.3 / 0.5 / 60.0 / 280.0, rel=0.05)
    assert abs(lost[[k for k in range(24) if k != 3]]).max() < 1e-6
    (noted,) = [event for event in station.record.events if "internal_short_ohm" in event.text]
    assert noted.kind == "stimulus"
    assert noted.data["cell"] == 3


def test_a_condition_that_nobody_knows_names_those_that_exist(station):
    with pytest.raises(InvalidInput, match=r"one of .*joint_ohm.*found 'mood'"):
        Bench(station).impair("mood", 1.0, cell=0)


def test_a_real_pack_cannot_be_impaired(station, monkeypatch):
    monkeypatch.setattr(station, "rack", None)

    with pytest.raises(NotApplicable, match="emulated pack only"):
        Bench(station).impair("joint_ohm", 0.001, cell=0)
