"""Evidence: the append-only, hash-chained file set of one run. Every report is a function of it.

    <run folder>/evidence/
        profile.toml  station.toml       as they were read
        scenarios/<id>[-k].json          what was judged, with every judgement, event and parameter
        traces/<id>[-k].npz              what was measured and reported, float64, see `bench.evidence.traces`
        exchanges/<id>[-k].jsonl         what the drivers said and heard
        can/<id>[-k].blf                 the bus
        attachments/<name>               anything else
        journal/<id>[-k].jsonl           of the scenario under way; stays only if the run was killed in it
        guard.json                       how the watchman made the bench safe, if it had to
        leftover/<name>                  what was half written when the run was killed
        run.json                         who, when, with what: the only file that knows the wall clock
        chain.jsonl                      one line per file: its SHA-256, chained to the line before
        seal.json                        the last hash of the chain; nothing may follow

`run.json` is chained last, so two virtual runs with one seed agree in every file and chain line before it.
A chain shows what was altered, unless all of it was made anew: keep the seal's hash somewhere else too
(the certificate prints it), and hand it to `verify`.
"""

from __future__ import annotations

from bench.evidence.chain import SCHEMA, Seal, verify
from bench.evidence.interrupted import interruption, seal_interrupted
from bench.evidence.journal import Journal
from bench.evidence.result import (
    Clause,
    DutInfo,
    RoleInfo,
    RunInfo,
    ScenarioResult,
    StationInfo,
    Trip,
    headline,
    relative_margin,
)
from bench.evidence.store import Evidence, EvidenceWriter, Scenario, load
from bench.evidence.traces import TraceFile

__all__ = [
    "SCHEMA",
    "Clause",
    "DutInfo",
    "Evidence",
    "EvidenceWriter",
    "Journal",
    "RoleInfo",
    "RunInfo",
    "Scenario",
    "ScenarioResult",
    "Seal",
    "StationInfo",
    "TraceFile",
    "Trip",
    "headline",
    "interruption",
    "load",
    "relative_margin",
    "seal_interrupted",
    "verify",
]
