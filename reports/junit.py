"""junit.xml: the results in the form that CI servers read.

fail is a `<failure>`, the DUT is wrong. error is an `<error>`, the bench could not tell. inconclusive is an
`<error type="inconclusive">`: JUnit has no word for it, and a `<skipped>` would be shown green.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as Xml

from bench.evidence import Evidence, ScenarioResult
from bench.verdict import Judgement, Verdict
from reports.rows import hazard_name

#: What `render` writes. A module with this constant is a report.
OUTPUT = "junit.xml"

#: Characters that XML 1.0 cannot hold, section 2.2.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(evidence: Evidence, out: Path) -> Path:
    """Write `junit.xml` into the folder `out` and return its path: one test case per stored result."""
    results = [scenario.result for scenario in evidence.scenarios]
    root = Xml.Element("testsuites", _totals(results) | {"name": "bmsbench"})
    for hazard in dict.fromkeys(result.hazard for result in results):
        members = [result for result in results if result.hazard == hazard]
        suite = Xml.SubElement(root, "testsuite", {"name": _text(hazard_name(hazard))} | _totals(members))
        suite.set("timestamp", evidence.run.started_utc)
        _properties(suite, _run_properties(evidence))
        for result in members:
            _case(suite, result)
    out.mkdir(parents=True, exist_ok=True)
    path = out / OUTPUT
    Xml.indent(root)
    path.write_bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def _case(suite: Xml.Element, result: ScenarioResult) -> None:
    module, _, name = result.nodeid.partition("::")
    case = Xml.SubElement(suite, "testcase", {
        "classname": _text(module.removesuffix(".py").replace("/", ".")),
        "name": _text(f"{result.id} {name}"),
        "time": f"{result.duration_s:.3f}",
    })  # fmt: skip
    judgement = result.headline
    found = [("scenario", result.id), ("title", result.title), ("verdict", str(result.verdict))]
    found += [("clause", clause) for clause in result.clauses]
    found += [(f"parameter.{key}", str(value)) for key, value in sorted(result.parameters.items())]
    if judgement:
        found += [("measured", f"{judgement.measured:g} {judgement.unit}".strip())]
        found += [("limit", f"{judgement.limit:g} {judgement.unit}".strip())]
        found += [("margin", f"{judgement.margin:g} {judgement.unit}".strip())]
    _properties(case, found)
    kinds = {Verdict.FAIL: ("failure", "fail"), Verdict.ERROR: ("error", "error")}
    kinds |= {Verdict.INCONCLUSIVE: ("error", "inconclusive"), Verdict.SKIPPED: ("skipped", "skipped")}
    if result.verdict in kinds:
        tag, kind = kinds[result.verdict]
        prefix = "inconclusive: " if result.verdict is Verdict.INCONCLUSIVE else ""
        outcome = Xml.SubElement(case, tag, {"type": kind, "message": _text(prefix + result.message)})
        outcome.text = _text("\n".join([*map(_line, result.judgements), *result.findings]))


def _line(judgement: Judgement) -> str:
    return (
        f"{judgement.verdict}: {judgement.what} measured {judgement.measured:g} {judgement.unit}, "
        f"expected [{judgement.earliest:g}, {judgement.latest:g}] {judgement.unit}; {judgement.reason}"
    )


def _run_properties(evidence: Evidence) -> list[tuple[str, str]]:
    run = evidence.run
    dut = f"{run.dut.vendor} {run.dut.model} {run.dut.serial} (firmware {run.dut.firmware})"
    return [
        ("run", run.run), ("station", run.station.name), ("clock", run.station.clock), ("dut", dut),
        ("dut.emulated", str(run.dut.emulated).lower()), ("seed", str(run.seed)),
        ("defect", run.defect or "none"),
        ("decision_rule", run.decision_rule), ("seal", evidence.seal.head),
    ]  # fmt: skip


def _properties(parent: Xml.Element, found: Iterable[tuple[str, str]]) -> None:
    group = Xml.SubElement(parent, "properties")
    for name, value in found:
        Xml.SubElement(group, "property", {"name": _text(name), "value": _text(value)})


def _totals(results: list[ScenarioResult]) -> dict[str, str]:
    verdicts = [result.verdict for result in results]
    return {
        "tests": str(len(results)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.ERROR) + verdicts.count(Verdict.INCONCLUSIVE)),
        "skipped": str(verdicts.count(Verdict.SKIPPED)),
        "time": f"{sum(result.duration_s for result in results):.3f}",
    }


def _text(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
