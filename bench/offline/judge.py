"""A foreign log held against a profile by the reference model, stretch by stretch between its gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import Inconclusive
from bench.foreign_log import Flag, ForeignLog
from bench.foreign_log.record import records_of, traces_of
from bench.record import Event
from bench.reference import Finding, Reference
from dut_profiles.profile import Profile


@dataclass(frozen=True, slots=True)
class LogJudgement:
    """What a profile says to a log.

    Parameters
    ----------
    findings
        What a sound DUT would not have done.
    judged
        Rules that had enough to decide on in one stretch at least.
    undecided
        Rules that had not in any, with the reason.
    stretches
        Into how many pieces gaps cut the log.
    flags
        What was noticed when columns were put together.
    """

    findings: tuple[Finding, ...]
    judged: tuple[str, ...]
    undecided: tuple[str, ...]
    stretches: int
    flags: tuple[Flag, ...]

    @property
    def verdict(self) -> Literal["pass", "fail", "inconclusive"]:
        """Nothing judged is never a pass."""
        if self.findings:
            return "fail"
        return "pass" if self.judged else "inconclusive"


def judge_log(
    log: ForeignLog,
    profile: Profile,
    *,
    uncertainty: Mapping[str, float],
    events: Sequence[Event] = (),
) -> LogJudgement:
    """Judge every stretch of a log that no gap interrupts.

    Parameters
    ----------
    log
        Measured and reported columns, checked.
    uncertainty
        Expanded uncertainty (k = 2) of one measured sample by key (`v`, `i`, `T`), in V, A, K.
    events
        What was done to the DUT.

    Raises
    ------
    InvalidInput
        If the log has more cells or sensors than the profile.
    """
    pack = profile.pack
    channels = {"v": pack.cells, "cell_a": pack.cells, "bleeds": pack.cells, "T": pack.sensors}
    traces, flags = traces_of(log, channels=channels, uncertainty=uncertainty)
    records = records_of(log, traces, events)
    findings: list[Finding] = []
    judged: dict[str, None] = {}
    undecided: dict[str, None] = {}
    for record in records:
        try:
            explanation = Reference(profile).explains(record)
        except Inconclusive as reason:
            # One reason for each rule, behind the word that nothing was judged.
            reasons = str(reason).partition(": ")[2].split("; ")
            undecided |= dict.fromkeys(reasons)
            continue
        findings += explanation.findings
        judged |= dict.fromkeys(explanation.judged)
        undecided |= dict.fromkeys(explanation.undecided)
    never = tuple(reason for reason in undecided if reason.partition(":")[0] not in judged)
    return LogJudgement(tuple(findings), tuple(judged), never, len(records), tuple(flags))
