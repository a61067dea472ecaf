"""certificate.pdf: what was judged, with which bench, by which rule, and what that does not prove.

The page design is in `certificate.typ`; this module only prepares its data. Typst compiles it offline with
its own embedded fonts, so the same evidence gives the same bytes on every machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import typst

from bench.evidence import Clause, Evidence, Scenario, Trip
from bench.verdict import DecisionRule, Judgement, Verdict
from reports.drawing import unit_name
from reports.numbers import decimals_for, decimals_of, expected, number, or_dash, printable
from reports.plots import trip_svg
from reports.rows import (
    Row,
    counts,
    measured_trace,
    reported_response_s,
    reported_trace,
    rows,
    run_verdict,
    standard_of,
    value_at,
)

#: What `render` writes. A module with this constant is a report.
OUTPUT = "certificate.pdf"

#: The decision rule in words; numbers of false acceptance as in ILAC-G8:09/2019.
RULES: dict[DecisionRule, str] = {
    "simple": (
        "Simple acceptance, ILAC-G8:09/2019, 4.2.1: a measured value passes if it lies inside its limits; "
        "the measurement uncertainty is stated and not added. The risk of a false acceptance is at most 50 % "
        "for a value at the limit."
    ),
    "guarded": (
        "Binary statement with guard band, ILAC-G8:09/2019, 4.2.2: each limit is moved inwards by the "
        "expanded uncertainty U (k = 2), and a measured value passes if it lies inside the limits so moved. "
        "The risk of a false acceptance is below 2.5 %."
    ),
}

#: For the archive, and for readers who cannot see it.
STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]


def render(evidence: Evidence, out: Path) -> Path:
    """Write `certificate.pdf` into the folder `out` and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / OUTPUT
    template = resources.files("reports").joinpath("certificate.typ").read_bytes()
    compiler = typst.Compiler(template, ignore_system_fonts=True)
    text = json.dumps(printable(certificate_data(evidence)), ensure_ascii=False, allow_nan=False)
    # The date inside the PDF is that of the run: a clock here would make each rendering another one.
    started = datetime.fromisoformat(evidence.run.started_utc).astimezone(UTC)
    pdf = compiler.compile(
        format="pdf", sys_inputs={"data": text}, timestamp=started, pdf_standards=STANDARDS
    )
    assert isinstance(pdf, bytes)
    path.write_bytes(pdf)
    return path


def certificate_data(evidence: Evidence) -> dict[str, object]:
    """Everything that the certificate prints, as JSON; every number is text already."""
    run, found = evidence.run, rows(evidence)
    drawn = list(_trips(found))
    return {
        "run": asdict(run),
        "verdict": str(run_verdict(evidence)),
        "counts": counts(found),
        "doubts": _doubts(run.doubts),
        "rule": RULES[run.decision_rule],
        "twins": [r.role for r in run.station.roles if r.twin or r.address.startswith("twin://")],
        "rows": [_row(row) for row in found],
        "groups": _groups(found, run.clauses),
        "trips": drawn,
        "trips_total": sum(len(s.result.trips) for row in found for s in row.scenarios),
        "uncertainties": _uncertainties(found),
        "not_judged": _not_judged(found, run.clauses),
        "findings": [
            {"id": row.id, "text": text}
            for row in found
            for text in dict.fromkeys(text for s in row.scenarios for text in s.result.findings)
        ],
        "seal": asdict(evidence.seal),
    }


def _doubts(doubts: Iterable[str]) -> list[str]:
    """What a certification run would not have started with. Emulated parts have notes of their own."""
    return [doubt for doubt in doubts if not doubt.startswith("emulated, ")]


def _row(row: Row) -> dict[str, object]:
    judgement = row.judgement
    cells = dict.fromkeys(("what", "expected", "measured", "reported", "margin", "unit", "uncertainty"), "–")
    if judgement:
        decimals = decimals_of(judgement)
        cells = {
            "what": judgement.what,
            "expected": expected(judgement, decimals),
            "measured": number(judgement.measured, decimals),
            "reported": or_dash(row.reported, decimals),
            "margin": or_dash(judgement.margin, decimals),
            "unit": unit_name(judgement.unit),
            "uncertainty": number(judgement.uncertainty, decimals) if judgement.uncertainty else "–",
        }
    return cells | {
        "id": row.id,
        "title": row.title,
        "hazard": row.hazard,
        "clauses": list(row.clauses),
        "verdict": str(row.verdict),
        "message": "" if row.verdict is Verdict.PASS else row.message,
        "results": len(row.scenarios),
    }


def _groups(found: list[Row], known: tuple[Clause, ...]) -> list[dict[str, object]]:
    """Clauses by standard, each with its scenarios. A clause that nobody vouches for is unverified."""
    by_ref = {clause.ref: clause for clause in known}
    refs = dict.fromkeys([clause.ref for clause in known] + [ref for row in found for ref in row.clauses])
    groups: dict[str, list[dict[str, object]]] = {}
    for ref in sorted(refs):
        clause = by_ref.get(ref, Clause(ref))
        tracing = [{"id": row.id, "verdict": str(row.verdict)} for row in found if ref in row.clauses]
        label = "unverified" if "unverified" in ref else clause.label
        entry: dict[str, object] = {"ref": ref, "title": clause.title, "label": label, "scenarios": tracing}
        groups.setdefault(standard_of(ref), []).append(entry)
    return [{"standard": standard, "clauses": clauses} for standard, clauses in groups.items()]


def _trips(found: list[Row]) -> Iterator[dict[str, object]]:
    """The trips to draw: of each scenario id those that did not pass, else the tightest one."""
    for row in found:
        pairs = [(scenario, trip) for scenario in row.scenarios for trip in scenario.result.trips]
        shown = [pair for pair in pairs if not _margin_s(pair[1]) >= 0]
        for scenario, trip in shown or sorted(pairs, key=lambda pair: _margin_s(pair[1]))[:1]:
            if (picture := trip_svg(scenario, trip)) is not None:
                yield _trip(scenario, trip, picture.decode())


def _trip(scenario: Scenario, trip: Trip, picture: str) -> dict[str, object]:
    measured, reported = measured_trace(scenario, trip), reported_trace(scenario, trip)
    assert measured is not None
    at_s = trip.response_s if math.isfinite(trip.response_s) else trip.latest_s
    moment = "at the response" if math.isfinite(trip.response_s) else "when the response was due"
    decimals = decimals_for(trip.tolerance or measured.uncertainty, trip.limit)
    tolerance = f" ± {number(trip.tolerance, decimals)}" if trip.tolerance else ""
    window = Judgement("", trip.response_s, trip.earliest_s, trip.latest_s, "s", 0.0, 0.0, Verdict.PASS, "")
    window_decimals = min(6, max(3, decimals_for(0.0, trip.latest_s - trip.earliest_s)))
    said_s, said = reported_response_s(scenario, trip), value_at(reported, at_s)
    return {
        "id": scenario.result.id,
        "name": scenario.name,
        "title": scenario.result.title,
        "parameters": ", ".join(f"{key} = {value}" for key, value in scenario.result.parameters.items()),
        "svg": picture,
        "lines": [
            [
                f"{measured.name} {moment} [{unit_name(measured.unit)}]",
                f"limit {number(trip.limit, decimals)}{tolerance}",
                or_dash(value_at(measured, at_s), decimals),
                or_dash(said, decimals),
            ],
            [
                f"{trip.what} [s]",
                expected(window, window_decimals),
                number(trip.response_s, window_decimals),
                number(said_s, window_decimals) if "dut." + trip.path in scenario.traces else "–",
            ],
        ],
    }


def _margin_s(trip: Trip) -> float:
    """Distance [s] of the response to the nearest edge of its window; nan if it never came."""
    return min(trip.response_s - trip.earliest_s, trip.latest_s - trip.response_s)


def _uncertainties(found: list[Row]) -> list[dict[str, str]]:
    """Largest expanded uncertainty of each kind of judged value for which one is declared."""
    largest: dict[tuple[str, str], tuple[float, list[str]]] = {}
    for row in found:
        for judgement in (j for scenario in row.scenarios for j in scenario.result.judgements):
            key = (judgement.what or "value", judgement.unit)
            most, ids = largest.get(key, (0.0, []))
            largest[key] = (max(most, judgement.uncertainty), ids if row.id in ids else [*ids, row.id])
    return [
        {
            "what": what,
            "unit": unit_name(unit),
            "uncertainty": number(most, decimals_for(most)),
            "ids": ", ".join(ids),
        }
        for (what, unit), (most, ids) in largest.items()
        if most
    ]


def _not_judged(found: list[Row], known: tuple[Clause, ...]) -> list[dict[str, str]]:
    """Scenarios without a decision, and clauses that no decided scenario traces to."""
    open_rows = [row for row in found if row.verdict not in (Verdict.PASS, Verdict.FAIL)]
    decided = {ref for row in found if row not in open_rows for ref in row.clauses}
    refs = dict.fromkeys([clause.ref for clause in known] + [ref for row in found for ref in row.clauses])
    missing = [ref for ref in refs if ref not in decided]
    return [{"what": row.id, "why": f"{row.verdict}: {row.message}"} for row in open_rows] + [
        {"what": ref, "why": "no scenario that traces to this clause was decided"} for ref in missing
    ]
