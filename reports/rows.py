"""What every report shows of a run: one row per scenario id, the reported value beside the measured one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from bench.evidence import Evidence, Scenario, Trip, headline
from bench.record import Path as CurrentPath
from bench.record import Trace
from bench.verdict import Judgement, Verdict, worst

#: Verdicts in the order in which reports name them.
VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.SKIPPED)

#: Hazard groups by the first part of a scenario id.
HAZARDS = {
    "M": "Measurement",
    "OV": "Overcharge",
    "UV": "Over-discharge",
    "OC": "Over-current and short circuit",
    "TH": "Temperature",
    "BA": "Balancing",
    "SE": "State estimation",
    "CT": "Contactors, precharge, interlock, insulation",
    "FI": "Sensor and wiring faults",
    "CM": "Communication",
    "SY": "Supply, reset, memory, log, timing",
    "SC": "Smart cells",
    "PP": "Passport and second life",
}

#: Prefix of the traces that the DUT itself reported.
REPORTED = "dut."


@dataclass(frozen=True, slots=True)
class Row:
    """All results of one scenario id: the worst verdict, and the number that explains it."""

    id: str
    title: str
    hazard: str
    clauses: tuple[str, ...]
    verdict: Verdict
    judgement: Judgement | None
    reported: float
    message: str
    scenarios: tuple[Scenario, ...]


def rows(evidence: Evidence) -> list[Row]:
    """One row per scenario id, in the order in which the ids first ran."""
    found: dict[str, list[Scenario]] = {}
    for scenario in evidence.scenarios:
        found.setdefault(scenario.result.id, []).append(scenario)
    return [_row(scenarios) for scenarios in found.values()]


def run_verdict(evidence: Evidence) -> Verdict:
    """The worst verdict of the run. One that judged nothing, skipped everything or was killed is an error."""
    if evidence.run.interrupted:
        return Verdict.ERROR
    found = worst(scenario.result.verdict for scenario in evidence.scenarios)
    return Verdict.ERROR if found is Verdict.SKIPPED else found


def hazard_name(hazard: str) -> str:
    """The name of a hazard group; what is no known code stays as it is."""
    return HAZARDS.get(hazard, hazard)


def counts(found: list[Row]) -> dict[str, int]:
    """Number of rows by verdict, every verdict named."""
    return {str(verdict): sum(row.verdict is verdict for row in found) for verdict in VERDICTS}


def finite(value: float) -> float | None:
    """`value`, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def measured_trace(scenario: Scenario, trip: Trip) -> Trace | None:
    """The measured signal of a trip, one channel of it; None if it was not stored."""
    return _trace(scenario, trip.trace, _channel(scenario, trip))


def reported_trace(scenario: Scenario, trip: Trip) -> Trace | None:
    """The same signal as the DUT reported it; None if it does not."""
    return _trace(scenario, REPORTED + trip.trace, _channel(scenario, trip))


def reported_response_s(scenario: Scenario, trip: Trip) -> float:
    """Time [s] at which the DUT's own telemetry first says that the path is open; nan if it never does.

    Openings before the window belong to another event, so the first one from `earliest_s` on is preferred.
    """
    trace = _trace(scenario, REPORTED + trip.path, None) if trip.path else None
    if trace is None or len(trace) < 2:
        return math.nan
    openings = CurrentPath(trace).openings_s
    later = openings[openings >= trip.earliest_s] if math.isfinite(trip.earliest_s) else openings
    chosen = later if later.size else openings
    return float(chosen[0]) if chosen.size else math.nan


def value_at(trace: Trace | None, t_s: float) -> float:
    """Newest scalar sample of `trace` not later than `t_s` [s]; nan if there is none."""
    if trace is None or math.isnan(t_s):
        return math.nan
    sample = np.asarray(trace.at(t_s))
    return float(sample) if sample.ndim == 0 else math.nan


def _row(scenarios: list[Scenario]) -> Row:
    results = [scenario.result for scenario in scenarios]
    verdict = worst(result.verdict for result in results)
    deciding = [scenario for scenario in scenarios if scenario.result.verdict is verdict]
    judgement = headline(j for scenario in deciding if (j := scenario.result.headline) is not None)
    shown = next((s for s in deciding if judgement and judgement is s.result.headline), deciding[0])
    return Row(
        id=results[0].id,
        title=results[0].title,
        hazard=hazard_name(results[0].hazard),
        clauses=tuple(dict.fromkeys(clause for result in results for clause in result.clauses)),
        verdict=verdict,
        judgement=judgement,
        reported=_reported(shown, judgement),
        message=shown.result.message,
        scenarios=tuple(scenarios),
    )


def _reported(scenario: Scenario, judgement: Judgement | None) -> float:
    """The DUT's own account of the judged response, where the judgement is about the time of a trip."""
    if judgement is None or judgement.unit != "s":
        return math.nan
    for trip in scenario.result.trips:
        same = trip.response_s == judgement.measured
        never = math.isnan(trip.response_s) and math.isnan(judgement.measured)
        if (same or never) and (not trip.what or trip.what == judgement.what or same):
            return reported_response_s(scenario, trip)
    return math.nan


def _channel(scenario: Scenario, trip: Trip) -> int | None:
    """The channel of a trip's signal; if it names none of many, the one that moved most."""
    trace = scenario.traces.get(trip.trace)
    if trip.channel is not None or trace is None or trace.value.ndim == 1 or not trace.value.size:
        return trip.channel
    moved = np.fmax.reduce(trace.value) - np.fmin.reduce(trace.value)
    return int(np.argmax(np.nan_to_num(moved, nan=-1.0)))


def _trace(scenario: Scenario, name: str, channel: int | None) -> Trace | None:
    traces = scenario.traces
    if name not in traces:
        return None
    trace = traces[name]
    if channel is None or trace.value.ndim == 1:
        return trace
    return trace.channel(channel) if channel < trace.value.shape[1] else None


def standard_of(ref: str) -> str:
    """The standard of a clause reference: "IEC 62619:2022" of "IEC 62619:2022 8.2.2".

    The first word with a number of two digits or more ends the name of the standard.
    """
    words = ref.removesuffix("(unverified)").split()
    last = next((k for k, word in enumerate(words) if re.search(r"\d\d", word)), len(words))
    return " ".join(words[: last + 1])
