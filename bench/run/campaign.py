"""A run: its scenarios one after the other, under guard, their evidence written and sealed."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import platform
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import bench
from bench.errors import BenchError, Inconclusive, UnsafeState
from bench.evidence import (
    DutInfo,
    EvidenceWriter,
    Journal,
    RoleInfo,
    RunInfo,
    ScenarioResult,
    StationInfo,
    headline,
)
from bench.evidence.journal import JOURNALS
from bench.evidence.json_file import to_json
from bench.rack import PackState
from bench.run.options import Options, checked_rule, checked_seed, chosen_defects, make_folder, named_clauses
from bench.run.outcome import Outcome
from bench.sim import SimClient
from bench.station import SafeReport, Station, check_defects, check_drivers
from bench.station.drivers import load_driver
from bench.station.fitness import demand_certifiable, standing_doubts
from bench.station_file import load_station
from bench.verdict import Verdict, worst
from dut_profiles.profile import find_profile, load_profile
from instruments.exchange import weakest_label

if TYPE_CHECKING:
    from bench.guard.watch import Guard, Watch


class Campaign:
    """One run of a suite.

    Raises
    ------
    InvalidInput
        If station, profile, defect, rule, seed or requirements cannot be used. Nothing is opened by then.
    """

    def __init__(
        self, options: Options, scenarios: Sequence[tuple[str, tuple[str, ...]]], *, command_line: str
    ) -> None:
        self.file = load_station(options.station)
        self.profile = load_profile(options.dut)
        check_drivers(self.file, self.profile)
        self.seed = checked_seed(options.seed, self.file.seed)
        self.defects = chosen_defects(options)
        check_defects(self.file, self.defects)
        self.rule = checked_rule(options.rule)
        self.clauses = named_clauses(options.requirements, scenarios)
        make_folder(options.results)
        self.options, self.total = options, len(scenarios)
        self.outcomes: list[tuple[Verdict, int]] = []
        self.virtual_s = 0.0
        self._command_line = command_line
        self.sim: SimClient | None = None
        #: The plan as JSON, if one was made; and whether one was declined.
        self.plan, self.plan_skipped = "", False
        #: Why this run must not go on; "" if it may.
        self.broken = ""
        self._guard: Guard | None = None
        self._watch: Watch | None = None
        self._journal: Journal | None = None
        self._unsealed = ""
        self._writer: EvidenceWriter | None = None
        self._folder: Path | None = None
        self._run, self._started_utc = "", ""

    def take_bench(self, say: Callable[[str], object]) -> None:
        """Take the bench for this run and post its watchman, before anything is opened; say what is found.

        A bench whose parts all live in this process needs neither.

        Raises
        ------
        NotReady
            If somebody else has it, or the watchman does not get ready.
        UnsafeState
            If it was left behind and cannot be made safe.
        """
        if not any(not entry.is_twin for entry in self.file.roles.values()):
            return
        from bench.guard.watch import Guard  # POSIX only, as real benches are

        sim = self._running_sim()
        guard = Guard(self.file, self.profile, sim.addresses if sim else {})
        try:
            guard.take_bench(say)
            lifeline = [] if sim is None or sim.lifeline is None else [sim.lifeline]
            guard.post_watchman(find_profile(self.options.dut), self._new_folder(), lifeline)
            if guard.line is not None:
                self._open_writer(None)
        except BaseException:
            guard.leave("the run did not begin")
            if sim is not None:
                sim.close()
            raise
        self._guard = guard

    @contextlib.contextmanager
    def open_station(self, outcome: Outcome, pack: PackState) -> Iterator[Station]:
        """An open station for one scenario, under guard where the bench has one; safe afterwards."""
        outcome.station = station = self.station(pack)
        line = self._guard.line if self._guard else None
        if line is None:
            with station:
                yield station
            return
        from bench.guard.watch import Watch

        self._watch = watch = Watch(line, station, self._new_journal(outcome))
        outcome.collector.observer, outcome.collector.about_to_compute = watch.judged, watch.computes
        try:
            with watch.armed(), station:
                yield station
        except UnsafeState as unsafe:
            self.broken = str(unsafe)
            raise
        finally:
            self.broken = self.broken or watch.trouble
            if watch.report is not None:
                self._attach_report(watch.report)

    def stop(self, by: str) -> bool:
        """Stop the scenario under way for a signal: whether that is taken care of, and the caller is done.

        While a station makes its bench safe nothing interrupts it. Before, a scenario under guard stops at
        its next beat; who asks again has waited for that.
        """
        watch = self._watch
        if watch is None or not (watch.closing or (watch.beating and not watch.stopped_by)):
            return False
        watch.stopped_by = by
        return True

    def _new_journal(self, outcome: Outcome) -> Journal:
        writer = self._open_writer(None)
        name = writer.free_name(outcome.id)
        header: dict[str, object] = {"id": outcome.id, "nodeid": outcome.nodeid, "title": outcome.title}
        header |= {"clauses": outcome.clauses, "parameters": outcome.parameters}
        try:
            self._journal = Journal(writer.folder / JOURNALS / f"{name}.jsonl", header)
        except OSError as error:
            self.broken = f"evidence cannot be written: {error}"
            raise BenchError(self.broken) from error
        return self._journal

    def _attach_report(self, report: SafeReport) -> None:
        from bench.guard.report import as_json

        number = len(self.outcomes) + 1
        with contextlib.suppress(OSError):  # the disk is full: the report is in the message of the scenario
            self._open_writer(None).attach(f"guard-{number}.json", to_json(as_json(report)))

    def demand_certifiable(self) -> None:
        """For a certification: ask every instrument who it is, and let nothing start in doubt.

        Raises
        ------
        NotReady
            With every doubt at once. Nothing was energised.
        UnsafeState
            If an instrument that was only asked for its name is not off.
        """
        if not self.options.certify:
            return
        station = None
        if not self.file.is_served:  # its parts are stand-ins, whoever they say they are
            station = self.station(PackState())
            try:
                station.identify()
            finally:
                station.close()
        demand_certifiable(self.file, self._doubts(station))

    def _doubts(self, station: Station | None) -> tuple[str, ...]:
        """What keeps this run from being a certification."""
        asked = () if self.options.certify else ("no certification was asked for (--bench-certify).",)
        skipped = ("the plan was skipped (--bench-plan=off).",) if self.plan_skipped else ()
        today = datetime.now(UTC).date()
        found = station.doubts if station is not None else standing_doubts(self.file, today)
        return (*asked, *skipped, *found)

    def station(self, pack: PackState) -> Station:
        """A station for one scenario, not open yet."""
        sim = self._running_sim()
        station = Station(
            self.file,
            self.profile,
            seed=self.seed,
            pack=pack,
            defects=self.defects,
            addresses=sim.addresses if sim else None,
            certify=self.options.certify,
        )
        if sim is not None:
            sim.power_cycle(
                station.clock,
                seed=self.seed,
                pack=pack,
                defects=[defect.name for defect in self.defects],
                defects_from=self.options.defects_from,
            )
        return station

    def _running_sim(self) -> SimClient | None:
        """The sim that serves this station, started when it is first needed; None if it needs none."""
        if self.sim is None:
            self.sim = SimClient.of_station(self.file, self.options.dut, manifest=self.options.sim)
        return self.sim

    def finish(self, outcome: Outcome) -> str:
        """Store what came of a scenario; return a line that says so."""
        result = outcome.result()
        station = outcome.station
        rows: list[dict[str, object]] = []
        if station is not None:
            rows = [
                {"t_s": entry.t_s, "role": entry.role, "direction": entry.direction, "data": entry.data}
                for entry in station.transcript
            ]
        try:
            writer = self._open_writer(station)
            if (
                self._journal is not None
                and station is not None
                and len(station.identities) == len(self.file.roles)
            ):
                writer.describe(self._info(station))
            writer.scenario(
                result,
                station.traces() if station else {},
                rows,
                station.can_log() if station else None,
            )
            if self._journal is not None:
                self._journal.remove()
        except OSError as error:
            self.broken = self._unsealed = f"evidence could not be written: {error}"
            result = replace(result, verdict=Verdict.ERROR, message=self.broken)
        self._journal = None
        self.outcomes.append((result.verdict, outcome.exit_code))
        self.virtual_s += result.duration_s
        return self._line(result)

    def _line(self, result: ScenarioResult) -> str:
        counts = Counter(verdict for verdict, _ in self.outcomes)
        shown = ", ".join(f"{count} {verdict}" for verdict in Verdict if (count := counts[verdict]))
        best = headline(result.judgements)
        margin = ""
        if best is not None and math.isfinite(best.margin):
            margin = f"margin {best.margin:+.4g} {best.unit}"
        number = f"[{len(self.outcomes):>{len(str(self.total))}}/{self.total}]"
        line = (
            f"{number} {result.id:<6} {result.verdict:<12} {result.duration_s:8.1f} s  {margin:<24} "
            f"{result.title[:60]:<60} | {shown}, {self.virtual_s:.0f} s simulated"
        )
        return line if result.verdict in (Verdict.PASS,) else f"{line}\n        {result.message[:300]}"

    def seal(self) -> Path | None:
        """End the evidence, and give the bench back; return the run's folder, or None if nothing ran."""
        if self._writer is not None and not self._unsealed:
            try:
                self._writer.seal()
                _point_latest_to(self._writer.folder.parent)
            except OSError as error:
                self.broken = self._unsealed = f"evidence could not be sealed: {error}"
        if self._guard is not None:
            unsafe = any(code == UnsafeState.exit_code for _, code in self.outcomes)
            self._guard.leave(self._unsealed, safe=not unsafe)
        if self.sim is not None:
            self.sim.close()
        return None if self._unsealed or self._writer is None else self._folder

    def exit_code(self) -> int:
        """0 only if something was judged and all of it passed; see the README for the others."""
        verdicts = [verdict for verdict, _ in self.outcomes]
        broken = max((code for _, code in self.outcomes), default=0)
        if broken >= 40:
            return broken
        if Verdict.FAIL in verdicts or Verdict.ERROR in verdicts:
            return 1
        if Verdict.INCONCLUSIVE in verdicts:
            return Inconclusive.exit_code
        return 0 if Verdict.PASS in verdicts else 5

    def last_words(self) -> str:
        """The verdict of the run and where its evidence is."""
        counts = Counter(verdict for verdict, _ in self.outcomes)
        shown = ", ".join(f"{count} {verdict}" for verdict in Verdict if (count := counts[verdict]))
        overall = worst(verdict for verdict, _ in self.outcomes)
        return f"bmsbench: {overall}: {shown or 'nothing judged'}; evidence in {self._folder or 'no folder'}"

    def _new_folder(self) -> Path:
        """The folder of this run, not made yet."""
        if self._folder is None:
            now = datetime.now(UTC)
            serial = "".join(c if c.isalnum() or c in "-." else "_" for c in self.profile.identity.serial)
            self._run, self._started_utc = uuid.uuid4().hex[:8], now.isoformat(timespec="seconds")
            self._folder = self.options.results / f"{now:%Y%m%dT%H%M%SZ}_{self._run}_{serial}"
        return self._folder

    def _open_writer(self, station: Station | None) -> EvidenceWriter:
        """The writer of this run. Made at the first scenario, when the identities are known, or earlier."""
        if self._writer is None:
            folder, profile_path = self._new_folder(), find_profile(self.options.dut)
            profile_text = profile_path.read_text(encoding="utf-8")
            station_text = self.file.path.read_text(encoding="utf-8")
            self._writer = EvidenceWriter(folder, self._info(station), profile_text, station_text)
            if self.plan:
                self._writer.attach("plan.json", self.plan.encode())
        return self._writer

    def _info(self, station: Station | None) -> RunInfo:
        profile_path = find_profile(self.options.dut)
        return RunInfo(
            run=self._run,
            started_utc=self._started_utc,
            bmsbench_version=bench.__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            seed=self.seed,
            decision_rule=self.rule,
            station=self._station_info(station),
            dut=self._dut_info(profile_path, profile_path.read_text(encoding="utf-8")),
            defect=self.defects[0].name if self.defects else None,
            command_line=self._command_line,
            clauses=self.clauses,
            kind="certification" if self.options.certify else "development",
            doubts=self._doubts(station),
        )

    def _station_info(self, station: Station | None) -> StationInfo:
        identities = station.identities if station else {}
        roles = []
        for name, entry in self.file.roles.items():
            module = import_module(entry.driver.partition(":")[0])
            calibration = entry.calibration
            roles.append(
                RoleInfo(
                    role=name,
                    driver=entry.driver,
                    address=entry.address,
                    identity=identities.get(name, "not asked"),
                    label=weakest_label(getattr(module, "EXCHANGES", ())),
                    calibration=f"{calibration.certificate}, due {calibration.due}" if calibration else "",
                    watchdog=str(getattr(load_driver(entry.driver, entry.driver), "watchdog", "")),
                )
            )
        return StationInfo(self.file.name, self.file.clock, tuple(roles))

    def _dut_info(self, path: Path, text: str) -> DutInfo:
        identity = asdict_identity(self.profile.identity)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return DutInfo(
            **identity, emulated=self.file.dut.is_emulated, profile=path.name, profile_sha256=digest
        )


def asdict_identity(identity: object) -> dict[str, str]:
    """Vendor, model, hardware, firmware and serial number of a profile."""
    return {key: getattr(identity, key) for key in ("vendor", "model", "hardware", "firmware", "serial")}


def _point_latest_to(folder: Path) -> None:
    latest = folder.parent / "latest"
    try:
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name, target_is_directory=True)
    except OSError:
        # Windows without the right to make links: a text file says it too.
        (folder.parent / "latest.txt").write_text(folder.name + os.linesep, encoding="utf-8")
