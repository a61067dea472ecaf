"""Stations for the verbs that bring a bench up: real, emulated in this process, or served by a sim."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UnsafeState, WireError
from bench.rack import PackState
from bench.sim import SimClient
from bench.station import Station, check_drivers
from bench.station_file import StationFile, load_station
from dut_profiles.profile import Profile, find_profile, load_profile

if TYPE_CHECKING:
    from bench.guard.line import GuardLine


#: How often a watched station says that it gets on [s of the wall clock]; after all else that is due then.
_BEAT_S, _ORDER_BEAT = 0.2, 90


@dataclass(slots=True)
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
    line
        To the watchman; None if nobody watches.

    Attributes
    ----------
    unsafe
        Whether something was not seen to be off: then the bench is left as one that was left behind.
    """

    file: StationFile
    profile: Profile
    sim: SimClient | None = None
    soc: float = 0.5
    line: GuardLine | None = None
    unsafe: bool = False

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
    def watched(self, station: Station) -> Iterator[None]:
        """Enter before a station opens, leave after it has closed. If it falls silent, the watchman acts."""
        line = self.line
        if line is None:
            yield
            return
        station.transcript.observe(lambda _: line.beat())
        period_s = _BEAT_S * station.clock.speed
        station.clock.every(period_s, line.beat, name="heartbeat", order=_ORDER_BEAT)
        line.arm()
        try:
            yield
        finally:
            with suppress(WireError):
                line.disarm()


@contextmanager
def bench_of(station: str, dut: str, *, manifest: str = "", soc: float = 0.5) -> Iterator[Bench]:
    """The bench of a station file and a profile, leased and watched as for a run.

    A sim that had to be started for it ends with the context.

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
    bench = Bench(file, profile, sim, soc)
    try:
        with _guarded(bench, dut):
            yield bench
    finally:
        if sim is not None:
            sim.close()


@contextmanager
def _guarded(bench: Bench, dut: str) -> Iterator[None]:
    """Lease and watchman. A bench whose parts all live in this process needs neither."""
    if all(entry.is_twin for entry in bench.file.connected().values()):
        yield
        return
    from bench.guard.watch import Guard  # POSIX only, as real benches are

    guard = Guard(bench.file, bench.profile, bench.addresses)
    with tempfile.TemporaryDirectory(prefix="bmsbench-bringup-") as folder:
        try:
            guard.take_bench(lambda text: print(text, file=sys.stderr, flush=True))
            lifeline = bench.sim.lifeline if bench.sim is not None else None
            guard.post_watchman(find_profile(dut), Path(folder), [] if lifeline is None else [lifeline])
            bench.line = guard.line
            yield
        except UnsafeState:
            bench.unsafe = True
            raise
        finally:
            bench.line = None
            guard.leave(safe=not bench.unsafe)
