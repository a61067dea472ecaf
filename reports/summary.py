"""summary.json: the verdict of a run and of each scenario, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bench.evidence import Evidence
from reports.rows import Row, counts, finite, rows, run_verdict

#: What `render` writes. A module with this constant is a report.
OUTPUT = "summary.json"


def render(evidence: Evidence, out: Path) -> Path:
    """Write `summary.json` into the folder `out` and return its path.

    `run` says who, when and with what, and the hash of the seal; `counts` are scenario ids by verdict;
    `scenarios` has one entry per scenario id. Numbers that do not exist (never happened, one-sided window)
    are null.
    """
    found = rows(evidence)
    document = {
        "run": asdict(evidence.run) | {"seal": evidence.seal.head},
        "verdict": str(run_verdict(evidence)),
        "counts": counts(found),
        "scenarios": [_entry(row) for row in found],
    }
    out.mkdir(parents=True, exist_ok=True)
    path = out / OUTPUT
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_bytes(text.encode() + b"\n")
    return path


def _entry(row: Row) -> dict[str, object]:
    judgement = row.judgement
    return {
        "id": row.id,
        "title": row.title,
        "clauses": list(row.clauses),
        "verdict": str(row.verdict),
        "measured": finite(judgement.measured) if judgement else None,
        "limit": finite(judgement.limit) if judgement else None,
        "margin": finite(judgement.margin) if judgement else None,
        "unit": judgement.unit if judgement else None,
    }
