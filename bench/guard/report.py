"""What a rescue came to, as JSON: in the evidence, on the lines between processes, on the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.station.safe_state import SafeReport, SafeStep


def as_json(report: SafeReport) -> dict[str, Any]:
    """Everything in a report, and its sentence."""
    return {**asdict(report), "confirmed": report.confirmed, "sentence": str(report)}


def of_json(row: dict[str, Any]) -> SafeReport:
    """The report that `as_json` wrote."""
    steps = [SafeStep(**step) for step in row["steps"]]
    return SafeReport(row["cause"], steps, row["readings"], float(row["took_s"]))
