"""The one judgement of a whole record: is everything in it what a sound BMS does?"""

from __future__ import annotations

from bench.errors import Inconclusive
from bench.record import Record
from bench.reference.alarms import judge_alarms
from bench.reference.balancing import judge_balancing
from bench.reference.broadcast import judge_broadcast
from bench.reference.cases import PREFIX, Case, cases_of
from bench.reference.communication import judge_refresh, judge_silence
from bench.reference.derating import judge_limits
from bench.reference.findings import Explanation, Finding
from bench.reference.interruptions import judge_interruptions
from bench.reference.observed import TRACE_OF, Observed
from bench.reference.paths import judge_paths
from bench.reference.precharge import judge_precharge
from bench.reference.reported import ACCURACIES, judge_reported
from bench.reference.soc import judge_soc
from bench.reference.thermal_management import NEEDS as THERMAL_NEEDS
from bench.reference.thermal_management import judge_thermal_management
from dut_profiles.profile import Profile

#: Rules beside the limits, and the traces without which they cannot be judged.
NEEDS: dict[str, tuple[str, ...]] = {
    "precharge": ("switch.main_plus", "switch.precharge"),
    "balancing": ("cell_v", "cell_a"),
    "soc": ("dut.soc",),
    "derating.charge": ("dut.charge_limit_a",),
    "derating.discharge": ("dut.discharge_limit_a",),
    **{f"dut.{accuracy.trace}": (accuracy.trace, f"dut.{accuracy.trace}") for accuracy in ACCURACIES},
}


def explain(record: Record, profile: Profile) -> Explanation:
    """Hold everything that was measured and reported against what the profile permits and demands.

    Each opening needs a cause and each demand an answer; each alarm needs a cause and each certain trip an
    alarm; broadcast limits, bleeding, fan and heater, precharge, reported values and SOC stay within their
    bounds, and the broadcast agrees with itself.

    Raises
    ------
    Inconclusive
        If the record holds nothing that any rule could be judged by.
    """
    observed = Observed(record, profile)
    cases = cases_of(observed)
    judged, undecided = _coverage(observed, cases)
    if not judged:
        raise Inconclusive(f"nothing in the record can be judged: {'; '.join(undecided) or 'it is empty'}")
    found: list[Finding] = []
    found += judge_paths(observed, cases)
    found += judge_interruptions(observed, cases)
    found += judge_alarms(observed, cases)
    found += judge_limits(observed, cases)
    found += judge_balancing(observed)
    found += judge_thermal_management(observed)
    found += judge_precharge(observed)
    found += judge_reported(observed)
    found += judge_soc(observed)
    found += judge_refresh(observed)
    found += judge_silence(observed)
    found += judge_broadcast(observed, cases)
    ordered = sorted(found, key=lambda finding: (finding.t_s, finding.protection, finding.kind))
    return Explanation(tuple(ordered), tuple(judged), tuple(undecided))


def _coverage(observed: Observed, cases: list[Case]) -> tuple[list[str], list[str]]:
    """Which rules had enough to decide on, and why the others had not."""
    judged, undecided = [], []
    for case in cases:
        limit = case.limit
        answers = [f"{path}_path" for path in limit.opens] + [PREFIX + case.alarm]
        answered = any(name in observed.traces for name in answers)
        if case.seen and answered:
            judged.append(limit.name)
        elif not case.seen:
            undecided.append(f"{limit.name}: {TRACE_OF[limit.quantity]} was not measured")
        else:
            undecided.append(f"{limit.name}: none of {', '.join(answers)} is in the record")
    declares_heat = observed.profile.thermal_management is not None
    for rule, names in (NEEDS | (THERMAL_NEEDS if declares_heat else {})).items():
        missing = [name for name in names if name not in observed.traces]
        if missing:
            undecided.append(f"{rule}: {', '.join(missing)} is not in the record")
        else:
            judged.append(rule)
    if not declares_heat:
        undecided.append("cooling, heating: the profile declares no thermal_management")
    return judged, undecided
