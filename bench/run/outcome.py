"""What came of one scenario: verdict, message and everything that was judged."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bench.collector import Collector
from bench.errors import BenchError, Inconclusive
from bench.evidence import ScenarioResult
from bench.reference import Reference
from bench.station import Station
from bench.verdict import Verdict, worst


@dataclass(slots=True)
class Outcome:
    """What came of one scenario, while it is coming."""

    id: str
    nodeid: str
    title: str
    clauses: tuple[str, ...]
    collector: Collector
    parameters: dict[str, object] = field(default_factory=dict)
    station: Station | None = None
    start_s: float = 0.0
    message: str = ""
    exit_code: int = 0
    _raised: list[Verdict] = field(default_factory=list)
    _skipped: bool = False

    def raised(self, error: BaseException, *, during: str) -> None:
        """Take what setup, the test or teardown raised. Only the test itself can find the DUT wrong."""
        if isinstance(error, BaseExceptionGroup):  # several fixtures failed to tear down
            for part in error.exceptions:
                self.raised(part, during=during)
            return
        match error:
            case Inconclusive():
                verdict = Verdict.FAIL if self._unexplained() else Verdict.INCONCLUSIVE
            case AssertionError() | pytest.fail.Exception() if during == "call" and not _of_the_bench(error):
                verdict = Verdict.FAIL
            case _:
                verdict = Verdict.ERROR
        if isinstance(error, BenchError):
            self.exit_code = max(self.exit_code, error.exit_code)
        kind = "" if verdict is Verdict.FAIL else f"{type(error).__name__}: "
        text = f"{kind}{error}".strip() or type(error).__name__
        if verdict is Verdict.FAIL and isinstance(error, Inconclusive):
            text = f"{self.collector.findings[-1]} ({error})"
        if verdict.severity >= self.verdict.severity or not self.message:
            self.message = text
        self._raised.append(verdict)

    def _unexplained(self) -> bool:
        """Whether the DUT did wrong before the scenario gave up, which then is its own doing."""
        if self.station is None:
            return False
        try:
            found = Reference(self.station.profile).explains(self.station.record)
        except (Inconclusive, BenchError):
            return False
        self.collector.findings += [str(finding) for finding in found]
        return bool(len(found))

    def skip(self, reason: str) -> None:
        """The scenario does not apply to this DUT."""
        self._skipped, self.message = True, reason

    @property
    def verdict(self) -> Verdict:
        """The worst of what was judged and what was raised."""
        judged = [judgement.verdict for judgement in self.collector.judgements]
        if not judged and self.collector.checks:
            judged = [Verdict.PASS]
        found = [*judged, *self._raised]
        # A scenario that gave up is no pass, and what it had found wrong by then stays found.
        if self._skipped and all(verdict is Verdict.PASS for verdict in found):
            return Verdict.SKIPPED
        return worst(found)

    @property
    def judged_wrong(self) -> str:
        """The first thing that was judged and found outside its window, in words."""
        wrong = (j for j in self.collector.judgements if j.verdict is Verdict.FAIL)
        return next((f"{j.what}: {j.measured:.6g} {j.unit}; {j.reason}" for j in wrong), "").replace(
            ": nan s;", ":"
        )

    def result(self) -> ScenarioResult:
        """For the evidence."""
        station, collector = self.station, self.collector
        message = self.message
        if self.verdict is Verdict.FAIL:
            # What was judged says it better than pytest's account of the expression.
            found = collector.findings
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            message = f"{found[0]}{more}" if found else self.judged_wrong or message.split("\n +", 1)[0]
        return ScenarioResult(
            id=self.id,
            nodeid=self.nodeid,
            title=self.title,
            clauses=self.clauses,
            hazard=self.id.partition("-")[0],
            verdict=self.verdict,
            message=message,
            judgements=tuple(collector.judgements),
            findings=tuple(collector.findings),
            events=tuple(station.record.events) if station else (),
            start_s=self.start_s,
            duration_s=station.clock.now_s - self.start_s if station else 0.0,
            parameters=self.parameters,
            trips=tuple(collector.trips),
        )


def _of_the_bench(error: BaseException) -> bool:
    """Whether an assertion of the bench's own code failed: that says nothing about the DUT."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("bench", "instruments", "dut_profiles")
