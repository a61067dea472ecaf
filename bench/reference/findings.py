"""What the reference found: a list, and whether it is empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["missed", "spurious", "late", "early", "inaccurate", "forbidden"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a sound BMS would not have done.

    Parameters
    ----------
    t_s
        Bench time [s] at which it shows.
    kind
        *missed* had to happen and did not; *late*, *early* happened outside its window; *spurious* happened
        without cause; *inaccurate* a reported value is off; *forbidden* must never be.
    protection
        Limit, table or rule of the profile that it is judged by.
    expected, seen
        What would have been right, and what the record shows.
    """

    t_s: float
    kind: Kind
    protection: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.t_s:.3f} s {self.kind} {self.protection}: expected {self.expected}; saw {self.seen}"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Whether everything in a record is what a sound BMS does.

    True if nothing was found. `judged` names the rules that had enough to decide on, `undecided` those that
    had not, with the reason.
    """

    findings: tuple[Finding, ...]
    judged: tuple[str, ...]
    undecided: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.findings

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        if not self.findings:
            return f"explained ({len(self.judged)} rules judged, {len(self.undecided)} undecided)"
        lines = "\n  ".join(str(finding) for finding in self.findings)
        return f"{len(self.findings)} not explained:\n  {lines}"
