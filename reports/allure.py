"""allure-results/: what Allure makes its page from, one result per stored scenario.

*failed* means that the DUT is wrong. *broken* means that the bench could not tell: an error, or an
inconclusive result, which categories keep apart. Identifiers are derived from the seal and the scenario,
so the same evidence gives the same files.
"""

from __future__ import annotations

import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5

import attr
from allure_commons.model2 import (
    Attachment,
    Label,
    Link,
    Parameter,
    StatusDetails,
    TestResult,
    TestStepResult,
)
from allure_commons.types import LabelType, LinkType, Severity

from bench.clock import VIRTUAL_EPOCH
from bench.evidence import Evidence, RunInfo, Scenario
from bench.verdict import Judgement, Verdict
from reports.plots import pictures
from reports.rows import hazard_name, standard_of

#: What `render` writes. A module with this constant is a report.
OUTPUT = "allure-results"

_STATUS = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.ERROR: "broken",
    Verdict.INCONCLUSIVE: "broken",
    Verdict.SKIPPED: "skipped",
}
_CATEGORIES = [
    {"name": "The DUT is wrong", "matchedStatuses": ["failed"]},
    {"name": "Inconclusive", "matchedStatuses": ["broken"], "messageRegex": "(?s)inconclusive.*"},
    {"name": "The bench broke", "matchedStatuses": ["broken"], "messageRegex": "(?s)(?!inconclusive).*"},
]


def render(evidence: Evidence, out: Path) -> Path:
    """Write the result files into `out/allure-results`, made anew, and return that folder."""
    folder = out / OUTPUT
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    namespace = uuid5(NAMESPACE_URL, f"bmsbench:{evidence.seal.head}")
    start = _epoch(evidence.run)
    for scenario in evidence.scenarios:
        result = _result(evidence, scenario, start, namespace)
        result.attachments = _attachments(scenario, folder, namespace)
        _write(folder / f"{result.uuid}-result.json", attr.asdict(result, filter=_is_set))
        start += timedelta(seconds=scenario.result.duration_s)
    _write(folder / "categories.json", _CATEGORIES)
    (folder / "environment.properties").write_bytes(_environment(evidence).encode())
    return folder


def _result(evidence: Evidence, scenario: Scenario, start: datetime, namespace: UUID) -> TestResult:
    found, run = scenario.result, evidence.run
    module, _, name = found.nodeid.partition("::")
    same: list[object] = [found.id, found.nodeid, sorted(found.parameters.items())]
    result = TestResult(
        uuid=str(uuid5(namespace, scenario.name)),
        # The history follows a scenario of one DUT model from run to run, whatever the firmware.
        # Results that differ in nothing are counted: Allure would take them for retries and hide all but one.
        historyId=_identifier(run.dut.vendor, run.dut.model, *same, _repeats(evidence, scenario, same)),
        testCaseId=_identifier(found.nodeid),
        fullName=found.nodeid,
        name=f"{found.id}: {found.title}",
        titlePath=[hazard_name(found.hazard)],
        status=_STATUS[found.verdict],
        stage="finished",
        description=_description(scenario),
        start=_ms(start),
        stop=_ms(start + timedelta(seconds=found.duration_s)),
    )
    if found.verdict is not Verdict.PASS:
        prefix = "inconclusive: " if found.verdict is Verdict.INCONCLUSIVE else ""
        trace = "\n".join([*map(_sentence, found.judgements), *found.findings])
        result.statusDetails = StatusDetails(message=prefix + found.message, trace=trace)
    result.labels = _labels(scenario, run, module, name)
    # A standard has no public address; the name is what is read, and Allure wants some address.
    result.links = [
        Link(type=LinkType.TEST_CASE, name=ref, url=f"urn:clause:{quote(ref)}") for ref in found.clauses
    ]
    result.parameters = _parameters(scenario, run)
    result.steps = _steps(scenario, start)
    return result


def _repeats(evidence: Evidence, scenario: Scenario, same: list[object]) -> int:
    """How many results of this run before `scenario` have the same id, test and parameters."""
    earlier = itertools.takewhile(lambda other: other is not scenario, evidence.scenarios)
    keys = ([r.id, r.nodeid, sorted(r.parameters.items())] for r in (s.result for s in earlier))
    return sum(key == same for key in keys)


def _labels(scenario: Scenario, run: RunInfo, module: str, name: str) -> list[Label]:
    found = scenario.result
    epics = dict.fromkeys(standard_of(ref) for ref in found.clauses)
    # A protection that is missing or late may harm somebody; whatever else was judged is a function.
    severity = Severity.CRITICAL if found.trips else Severity.NORMAL
    return [
        *(Label(LabelType.EPIC, epic) for epic in epics),
        Label(LabelType.PARENT_SUITE, f"{run.dut.vendor} {run.dut.model}"),
        Label(LabelType.SUITE, hazard_name(found.hazard)),
        Label(LabelType.SUB_SUITE, found.id),
        Label(LabelType.FEATURE, hazard_name(found.hazard)),
        Label(LabelType.STORY, found.id),
        Label(LabelType.SEVERITY, severity.value),
        Label("testMethod", name),
        Label("package", module.removesuffix(".py").replace("/", ".")),
        Label(LabelType.HOST, run.station.name),
        Label(LabelType.FRAMEWORK, "bmsbench"),
        Label(LabelType.LANGUAGE, "python"),
        *(Label(LabelType.TAG, ref) for ref in found.clauses),
    ]


def _parameters(scenario: Scenario, run: RunInfo) -> list[Parameter]:
    """The scenario's own parameters make its history; those of the run must not split it."""
    own = [Parameter(name=key, value=str(value)) for key, value in sorted(scenario.result.parameters.items())]
    dut = f"{run.dut.model} {run.dut.serial}, firmware {run.dut.firmware}"
    of_run = {"station": run.station.name, "dut": dut, "seed": run.seed, "defect": run.defect or "none"}
    return own + [Parameter(name=key, value=str(value), excluded=True) for key, value in of_run.items()]


def _steps(scenario: Scenario, start: datetime) -> list[TestStepResult]:
    """Every event at its time, then every judgement, then what was found beside them."""
    found = scenario.result
    end = start + timedelta(seconds=found.duration_s)
    steps = []
    for event in sorted(found.events, key=lambda event: event.t_s):
        at = _ms(min(end, max(start, start + timedelta(seconds=event.t_s - found.start_s))))
        step = TestStepResult(name=f"{event.t_s:.3f} s  {event.kind}: {event.text}", status="passed")
        step.start = step.stop = at
        step.parameters = [Parameter(name=key, value=str(value)) for key, value in sorted(event.data.items())]
        steps.append(step)
    for judgement in found.judgements:
        step = TestStepResult(name=_sentence(judgement), status=_STATUS[judgement.verdict])
        step.start = step.stop = _ms(end)
        if judgement.verdict is not Verdict.PASS:
            step.statusDetails = StatusDetails(message=judgement.reason)
        steps.append(step)
    for finding in found.findings:
        steps.append(TestStepResult(name=finding, status="failed", start=_ms(end), stop=_ms(end)))
    return steps


def _attachments(scenario: Scenario, folder: Path, namespace: UUID) -> list[Attachment]:
    attached = []

    def attach(name: str, data: bytes, kind: str, suffix: str) -> None:
        source = f"{uuid5(namespace, f'{scenario.name}/{name}')}-attachment.{suffix}"
        (folder / source).write_bytes(data)
        attached.append(Attachment(name=name, source=source, type=kind))

    for name, picture in pictures(scenario):
        attach(name, picture, "image/svg+xml", "svg")
    if scenario.exchanges_file:
        attach("exchanges with the instruments", scenario.exchanges_file.read_bytes(), "text/plain", "jsonl")
    if scenario.can_file:
        attach("CAN log", scenario.can_file.read_bytes(), "application/octet-stream", "blf")
    return attached


def _sentence(judgement: Judgement) -> str:
    return (
        f"{judgement.what or 'value'}: measured {judgement.measured:g} {judgement.unit}, "
        f"expected {judgement.earliest:g} to {judgement.latest:g} {judgement.unit}, "
        f"margin {judgement.margin:g} {judgement.unit}: {judgement.verdict}"
    )


def _description(scenario: Scenario) -> str:
    found = scenario.result
    lines = [found.title, "", f"Clauses (BMS-function part only): {', '.join(found.clauses) or 'none'}."]
    return "\n".join(lines)


def _environment(evidence: Evidence) -> str:
    run = evidence.run
    pairs = {
        "Run": run.run,
        "Started": run.started_utc,
        "DUT": f"{run.dut.vendor} {run.dut.model} {run.dut.hardware}",
        "DUT.serial": run.dut.serial,
        "DUT.firmware": run.dut.firmware,
        "DUT.emulated": str(run.dut.emulated).lower(),
        "Profile": f"{run.dut.profile} SHA-256 {run.dut.profile_sha256}",
        "Station": f"{run.station.name}, {run.station.clock} clock",
        "Seed": str(run.seed),
        "Defect": run.defect or "none",
        "Decision rule": f"{run.decision_rule} acceptance",
        "bmsbench": run.bmsbench_version,
        "Python": run.python,
        "Platform": run.platform,
        "Evidence seal": evidence.seal.head,
    }
    # Java properties: a blank ends a key, and ISO 8859-1 is all that old readers take.
    return "".join(
        f"{key.replace(' ', '.')}={value.encode('ascii', 'backslashreplace').decode()}\n"
        for key, value in pairs.items()
    )


def _epoch(run: RunInfo) -> datetime:
    """Calendar time of the first scenario: the wall clock's start, or the epoch of every virtual run."""
    if run.station.clock == "virtual":
        return VIRTUAL_EPOCH
    return datetime.fromisoformat(run.started_utc).astimezone(UTC)


def _identifier(*parts: object) -> str:
    return uuid5(NAMESPACE_URL, "\n".join(map(str, parts))).hex


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _is_set(_: object, value: object) -> bool:
    return bool(value) or value is False or value == 0


def _write(path: Path, value: object) -> None:
    path.write_bytes(json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")
