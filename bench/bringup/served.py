"""Stations for the verbs that bring a bench up: real, emulated in this process, or served by a sim."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.rack import PackState
from bench.sim import SimClient
from bench.station import Station, check_drivers
from bench.station_file import StationFile, load_station
from dut_profiles.profile import Profile, load_profile


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench of which stations are opened, one after the other.

    Parameters
    ----------
    file, profile
        Station and DUT.
    sim
        Serves the stand-ins behind real ports; None if the station has none.
    soc
        State of charge of an emulated pack, 0..1.
    """

    file: StationFile
    profile: Profile
    sim: SimClient | None = None
    soc: float = 0.5

    @property
    def addresses(self) -> dict[str, str]:
        """Role, or "dut", to address, for stand-ins that a sim serves."""
        return self.sim.addresses if self.sim else {}

    def station(self, *, bare: bool = False) -> Station:
        """A station that is not open yet, `bare` as it says; an emulated bench begins with a fresh pack."""
        pack = PackState(soc=self.soc)
        station = Station(self.file, self.profile, pack=pack, addresses=self.addresses, bare=bare)
        if self.sim is not None:
            self.sim.power_cycle(station.clock, seed=self.file.seed, pack=pack)
        return station


@contextmanager
def bench_of(station: str, dut: str, *, manifest: str = "", soc: float = 0.5) -> Iterator[Bench]:
    """The bench of a station file and a profile; a sim that had to be started for it ends with the context.

    Parameters
    ----------
    station, dut
        By name or path.
    manifest
        Of a sim that runs; "": start one where the station needs it.
    soc
        As for `Bench`.

    Raises
    ------
    InvalidInput
        If one of the files cannot be used.
    """
    file, profile = load_station(station), load_profile(dut)
    check_drivers(file, profile)
    sim = SimClient.of_station(file, dut, manifest=manifest)
    try:
        yield Bench(file, profile, sim, soc)
    finally:
        if sim is not None:
            sim.close()
