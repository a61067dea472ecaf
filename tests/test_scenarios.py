"""What every scenario has, whoever writes the next: a known hazard, a described clause, a title."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter

from reports.rows import HAZARDS
from tests.test_repository import ROOT, SCENARIOS

CLAUSES = tomllib.loads((ROOT / "test_suites/requirements.toml").read_text(encoding="utf-8"))

#: What `source` of a clause may say, see the head of the file.
SOURCES = {"public digest", "public article", "public data model", "vendor document", "unverified"}

#: Hazards that the suite covers today; the others of `HAZARDS` wait for their DUTs.
COVERED = {"M", "OV", "UV", "OC", "TH", "BA", "SE", "CT", "FI", "CM", "SY"}


def test_every_scenario_belongs_to_a_hazard_that_reports_can_name() -> None:
    assert {scenario.partition("-")[0] for _, _, scenario, _ in SCENARIOS} <= set(HAZARDS)


def test_every_hazard_has_at_least_two_scenarios() -> None:
    count = Counter(hazard for hazard, _, _ in {s.partition("-") for _, _, s, _ in SCENARIOS})

    assert {hazard: count[hazard] for hazard in COVERED if count[hazard] < 2} == {}


def test_a_file_holds_scenarios_of_few_hazards() -> None:
    """A reader finds a scenario by its hazard: no hazard is spread over more than two files."""
    files: dict[str, set[str]] = {}
    for path, _, scenario, _ in SCENARIOS:
        files.setdefault(scenario.partition("-")[0], set()).add(path.name)

    assert {hazard: sorted(names) for hazard, names in files.items() if len(names) > 2} == {}


def test_every_title_is_a_sentence_that_fits_a_line() -> None:
    titles = {node.name: (ast.get_docstring(node) or "").splitlines()[0:1] for _, node, _, _ in SCENARIOS}

    assert [name for name, title in titles.items() if not title or not title[0].endswith(".")] == []
    assert [name for name, title in titles.items() if title and not title[0][0].isupper()] == []


def test_every_clause_has_a_title_and_says_where_it_is_known_from() -> None:
    bad = {
        ref: row
        for ref, row in CLAUSES.items()
        if set(row) != {"title", "source"} or not row["title"].strip() or row["source"] not in SOURCES
    }

    assert bad == {}


def test_every_clause_is_there_for_a_scenario() -> None:
    used = {clause for *_, clauses in SCENARIOS for clause in clauses}

    assert sorted(set(CLAUSES) - used) == []
