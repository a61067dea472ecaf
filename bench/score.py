"""The score: which seeded defects the suite catches, and that it finds nothing in the sound BMS.

Each candidate is a run of its own in a process of its own, so that nothing is shared between them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.emulated_bms.defects import known_defects
from bench.errors import BenchError, DefectInvalid
from bench.evidence import Evidence, load
from bench.verdict import Verdict, worst
from dut_profiles.profile import find_profile

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Row:
    """What the suite made of one candidate.

    `verdict`: "caught" or "missed" for a defect, "sound" or "finding" for the sound BMS, "error" if the bench
    broke. `scenarios`: the ids that failed.
    """

    name: str
    verdict: str
    scenarios: tuple[str, ...]
    expected: tuple[str, ...] = ()

    def line(self) -> str:
        """For progress."""
        return f"{self.verdict:<8} {self.name:<48} {', '.join(self.scenarios)}"


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    arguments: tuple[str, ...]
    expected: tuple[str, ...] = ()
    sound: bool = False


class Scorer:
    """Runs the suite against candidates, `jobs` at a time.

    Parameters
    ----------
    dut
        Profile name or file.
    defects_from
        A Python file with further defects, or "".
    listed
        Run only the scenarios that a defect names as its catchers.
    jobs
        Processes side by side.
    """

    def __init__(self, *, dut: str, defects_from: str, listed: bool, jobs: int) -> None:
        self._dut, self._defects_from, self._listed, self._jobs = dut, defects_from, listed, jobs
        self._known = known_defects(defects_from)
        find_profile(dut)  # once and now, not in each candidate

    def run(self, *, only: Sequence[str], seeds: int) -> Iterator[Row]:
        """One row per defect and per seed of the sound BMS, as they are done.

        Raises
        ------
        DefectInvalid
            If `only` names a defect that does not exist.
        """
        unknown = [name for name in only if name not in self._known]
        if unknown:
            raise DefectInvalid(
                "--only", expected=f"one of {', '.join(sorted(self._known))}", found=unknown[0]
            )
        candidates = [
            _Candidate(f"sound, seed {seed}", (f"--bench-seed={seed}",), sound=True)
            for seed in range(1, seeds + 1)
        ]
        for name in only or self._known:
            defect = self._known[name]
            expected = tuple(getattr(defect, "caught_by", ()))
            arguments: tuple[str, ...] = (
                f"--bench-defect={name}",
                f"--bench-defects-from={self._defects_from}",
            )
            if self._listed and expected:
                arguments += ("-k", " or ".join(scenario.replace("-", "_") for scenario in expected))
            candidates.append(_Candidate(name, arguments, expected))
        pool = ThreadPoolExecutor(self._jobs)
        try:
            for future in as_completed([pool.submit(self._score, candidate) for candidate in candidates]):
                yield future.result()
        finally:
            # Whoever stops early, by an error or by Ctrl-C, does not wait for those that have not begun.
            pool.shutdown(cancel_futures=True)

    def _score(self, candidate: _Candidate) -> Row:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                *(sys.executable, "-m", "pytest", str(ROOT / "test_suites"), "-q", "-p", "no:cacheprovider"),
                *(f"--bench-dut={self._dut}", f"--bench-results={folder}", *candidate.arguments),
            ]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
            runs = [path for path in Path(folder).iterdir() if path.is_dir() and not path.is_symlink()]
            if len(runs) != 1:
                said = " ".join((done.stderr or done.stdout)[-500:].split())
                raise BenchError(
                    f"score of {candidate.name}: expected evidence of one run, found {len(runs)}; "
                    f"pytest ended with {done.returncode} and said: {said}"
                )
            verdicts = _worst_by_id(load(runs[0]))
        failed = tuple(sorted(name for name, verdict in verdicts.items() if verdict is Verdict.FAIL))
        broken = tuple(sorted(name for name, verdict in verdicts.items() if verdict is Verdict.ERROR))
        if candidate.sound:
            unclear = [name for name, verdict in verdicts.items() if verdict is Verdict.INCONCLUSIVE]
            bad = tuple(sorted({*failed, *broken, *unclear}))
            return Row(candidate.name, "finding" if bad else "sound", bad)
        if failed:
            return Row(candidate.name, "caught", failed, candidate.expected)
        return Row(candidate.name, "error" if broken else "missed", broken, candidate.expected)


def _worst_by_id(evidence: Evidence) -> dict[str, Verdict]:
    """One verdict per scenario id, which may have run with several parameters."""
    found: dict[str, list[Verdict]] = {}
    for scenario in evidence.scenarios:
        found.setdefault(scenario.result.id, []).append(scenario.result.verdict)
    return {name: worst(verdicts) for name, verdicts in found.items()}


def score_rows(rows: Sequence[Row]) -> dict[str, object]:
    """The score as one JSON-ready table."""
    sound = [row for row in rows if row.verdict in ("sound", "finding")]
    defects = [row for row in rows if row not in sound]
    caught = [row for row in defects if row.verdict == "caught"]
    findings = sum(len(row.scenarios) for row in sound)
    return {
        "defects": len(defects),
        "caught": len(caught),
        "missed": [row.name for row in defects if row.verdict != "caught"],
        "sound_runs": len(sound),
        "false_findings": findings,
        "green": bool(rows) and len(caught) == len(defects) and not findings,
        "rows": [asdict(row) for row in sorted(rows, key=lambda row: row.name)],
    }
