"""A run's side of being watched: the bench is leased, the watchman posted, and each scenario under guard.

What a scenario does (clock jobs, exchanges, events, judgements) is what the watchman hears. Nothing that
happens on the way to the safe state may be stopped by the guard, so its own troubles are told by a clock job
of the scenario, and by nobody once the station has begun to close.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError, StationInvalid, UnsafeState, WireError
from bench.evidence import Journal
from bench.guard.lease import Lease, LeaseFile, bench_name, lease_folder, lease_for
from bench.guard.line import GuardLine, Orders
from bench.guard.rescue import Rescue
from bench.record import Event
from bench.station import SafeReport, Station
from bench.station_file import StationFile
from bench.verdict import Judgement
from bench.wires.transcript import Entry
from dut_profiles.profile import Profile

#: How often the clock tells that time still passes in the run [s of the wall clock].
BEAT_EVERY_S = 0.2

#: How long a lease lasts that no watchman renews [min]: a day, or until its process ends.
_UNRENEWED_MIN = 24 * 60.0

#: How long holding a record against the reference may take before it counts as silence [s]: an hour of a
#: large pack takes some seconds. Longer than instruments' own watchdogs wait, so energy goes off meanwhile.
COMPUTES_WITHIN_S = 60.0

#: After everything else that is due at the same instant.
_ORDER_BEAT = 90

#: The kernel looks for a victim when memory runs out: rather the run than its watchman. Of -1000 to 1000.
_OOM_SCORE = "300"


def wants_watchman(file: StationFile) -> bool:
    """Whether a run on this station is watched: on a wall clock, unless the station says otherwise.

    Raises
    ------
    StationInvalid
        If it asks for a watchman where there is nothing that one could reach.
    """
    outside = [name for name, entry in file.roles.items() if not entry.is_twin]
    if file.guard.enabled and not outside:
        raise StationInvalid(
            f"{file.path}: [guard] enabled",
            expected="an instrument outside the run, for a watchman to reach",
            found="stand-ins only, which end with the run",
        )
    wanted = file.clock == "wall" if file.guard.enabled is None else file.guard.enabled
    return wanted and bool(outside)


class Guard:
    """One bench in the hands of one run.

    Parameters
    ----------
    file, profile
        Station and DUT.
    addresses
        Role to address, for stand-ins that another process serves.

    Attributes
    ----------
    line
        To the watchman; None if the station wants none.
    """

    def __init__(self, file: StationFile, profile: Profile, addresses: Mapping[str, str]) -> None:
        self.file, self.profile, self.addresses = file, profile, dict(addresses)
        self.line: GuardLine | None = None
        self._oom_score = ""
        self._lease: Lease | None = None
        self._lease_file = LeaseFile(lease_folder(file), bench_name(file, addresses))

    def take_bench(self, say: Callable[[str], object]) -> None:
        """Take the lease. A bench that somebody left behind is made safe first.

        Raises
        ------
        NotReady
            If somebody uses the bench.
        UnsafeState
            If it was left behind, and could not be made safe.
        """
        renewed = wants_watchman(self.file)
        lease = lease_for(self.file, self.addresses, minutes=None if renewed else _UNRENEWED_MIN)
        left = self._lease_file.take(lease)
        self._lease = lease
        if left is None:
            return
        say(f"bmsbench: station {self.file.name} was left behind by {left}; making it safe first")
        addresses = {**left.addresses, **self.addresses}
        rescue = Rescue(self.file, self.profile, addresses=addresses, tell=lambda step: say(f"  {step}"))
        report = rescue.make_safe(f"left behind by {left}")
        say(f"bmsbench: {report}")
        if not report.confirmed:
            # The lease stays, and is stale as soon as this process ends: the next one has to do the same.
            self._lease = None
            raise UnsafeState(f"station {self.file.name} was left behind by {left}. {report}")

    def post_watchman(self, dut: Path, evidence: Path, keep_open: Sequence[int] = ()) -> None:
        """Start the watchman, if this station wants one; raises `NotReady` if it does not get ready.

        Parameters
        ----------
        dut
            File of the profile.
        evidence
            The run's folder.
        keep_open
            File descriptors for it to hold open.
        """
        if not wants_watchman(self.file):
            return
        orders = Orders(
            station=os.fspath(self.file.path.resolve()),
            dut=os.fspath(dut.resolve()),
            pid=os.getpid(),
            evidence=os.fspath(evidence.resolve()),
            addresses=self.addresses,
            lease=os.fspath(self._lease_file.path.resolve()) if self._lease else "",
        )
        self.line = GuardLine.start(orders, keep_open=keep_open)
        self._oom_score = _set_oom_score(_OOM_SCORE)

    def leave(self, unfinished: str = "", *, safe: bool = True) -> None:
        """Give the bench back and let the watchman go.

        Parameters
        ----------
        unfinished
            Why the evidence has no end; the watchman then tries to give it one.
        safe
            False: the bench was not seen to be off. Its lease stays, so that whoever comes next looks first.
        """
        if self.line is not None:
            self.line.bye(unfinished)
            self.line = None
            _set_oom_score(self._oom_score)
        if self._lease is not None and safe:
            self._lease_file.release(self._lease)
        self._lease = None


class Watch:
    """One scenario under guard: armed before its station opens, until that has read everything back.

    Parameters
    ----------
    line
        To the watchman.
    station
        Not open yet.
    journal
        Of the scenario.

    Attributes
    ----------
    stopped_by
        Set to say that the run is to stop: it does at the next beat, which is never in the middle of an
        exchange. An instrument whose answer nobody has read is slower to switch off.
    closing
        Whether the station is about to make the bench safe: nothing may interrupt it.
    report
        What the watchman's own attempt came to, if it was needed.
    """

    def __init__(self, line: GuardLine, station: Station, journal: Journal) -> None:
        self.closing, self.stopped_by = False, ""
        self.report: SafeReport | None = None
        self._line, self._station, self._journal = line, station, journal
        self._beating = False

    @property
    def beating(self) -> bool:
        """Whether the next beat will come, if the scenario gets on."""
        return self._beating and not self.closing

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Enter before the station opens, leave after it has closed."""
        station, line = self._station, self._line
        station.transcript.observe(self._exchange)
        station.record.observer = self._event
        station.clock.every(
            BEAT_EVERY_S * station.clock.speed, self._look, name="heartbeat", order=_ORDER_BEAT
        )
        line.arm()
        self._beating = True
        try:
            yield
        except BaseException as error:
            if station.safe_report is None or station.safe_report.complaints:
                self._second_attempt(error)
            raise
        finally:
            self._beating = False
            with contextlib.suppress(WireError):
                line.disarm()
            self.closing = False

    def judged(self, judgement: Judgement) -> None:
        """The scenario judged something."""
        self._journal.judgement(judgement)
        self._line.beat()

    def computes(self) -> None:
        """The scenario is about to hold its record against the reference, and will be silent meanwhile."""
        self._line.announce_silence(COMPUTES_WITHIN_S)

    @property
    def trouble(self) -> str:
        """Why this run must not go on; "" if it may."""
        if self._journal.problem:
            return f"evidence cannot be written: {self._journal.problem}"
        return self._line.lost

    def _exchange(self, entry: Entry) -> None:
        self._journal.exchange(entry.t_s, entry.role, entry.direction, entry.data)
        self._line.beat()

    def _event(self, event: Event) -> None:
        self._journal.event(event)
        self._line.beat()
        self.closing = self.closing or event.kind == "end"

    def _look(self) -> None:
        self._line.beat()
        if self.closing:
            return
        if self.stopped_by:
            raise KeyboardInterrupt(self.stopped_by)
        if self.trouble:
            raise BenchError(f"{self.trouble}. The run stops, and makes the bench safe.")

    def _second_attempt(self, error: BaseException) -> None:
        """The station's own wires may be what is broken: the watchman has others."""
        entry = self._station.file.safe_state
        try:
            self.report = self._line.make_safe(f"the run could not: {error}", entry.within_s)
        except WireError as gone:
            error.add_note(f"The watchman could not try it: {gone}")
            return
        said = f"{error} The watchman, on connections of its own: {self.report}."
        raise (BenchError if self.report.confirmed else UnsafeState)(said) from error


def _set_oom_score(score: str) -> str:
    """Set this process's share in the kernel's choice, where there is such a thing; what it was."""
    try:
        path = Path("/proc/self/oom_score_adj")
        before = path.read_text(encoding="ascii").strip()
        if score:
            path.write_text(score, encoding="ascii")
    except OSError:
        return ""
    return before
