"""Verdicts, and the windows that measured values are held against.

`value in window` decides, and tells the window's observer what was decided, so a plain
`assert opened_s in window` reaches the evidence with its margin.

Decision rule (printed in every report): *simple acceptance* by default, the measured value against the
limit, ILAC-G8:09/2019 4.2.1; or *guarded acceptance*, the limit moved inwards by the expanded
uncertainty, 4.2.2. Windows from the reference model already carry the DUT's declared tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Literal

from bench.errors import Inconclusive

DecisionRule = Literal["simple", "guarded"]


class Verdict(StrEnum):
    """What was decided. The order is the severity: the worst wins.

    `SKIPPED`: the DUT does not declare what the scenario needs. A run of nothing else is not green.
    """

    SKIPPED = "skipped"
    PASS = "pass"  # noqa: S105
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    ERROR = "error"

    @property
    def severity(self) -> int:
        return list(Verdict).index(self)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of `verdicts`. Nothing judged is an error, never a pass."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.ERROR)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One measured value held against one window.

    `margin` is the distance to the nearest limit in `unit`: positive inside, negative outside, nan if the
    value never happened.
    """

    what: str
    measured: float
    earliest: float
    latest: float
    unit: str
    uncertainty: float
    margin: float
    verdict: Verdict
    reason: str

    @property
    def limit(self) -> float:
        """The nearest limit, in `unit`."""
        if math.isinf(self.earliest) or math.isnan(self.measured):
            return self.latest
        if math.isinf(self.latest):
            return self.earliest
        return min((self.earliest, self.latest), key=lambda edge: abs(self.measured - edge))

    def as_dict(self) -> dict[str, object]:
        """For JSON; infinities and nan become None."""
        row = asdict(self) | {"limit": self.limit, "verdict": str(self.verdict)}
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}


@dataclass(frozen=True, slots=True)
class Window:
    """A closed interval [earliest, latest] and the reason for it.

    Parameters
    ----------
    earliest, latest
        Edges in `unit`; -inf or inf where one side is free. `latest` nan: the stimulus never had to cause it.
    unit
        "s", "V", "A", "degC", "1", ...
    what
        What is being judged, for the report: "charge path opens".
    reason
        Where the edges come from: "cell_overvoltage at 3.600 V for 1.0 s".
    uncertainty
        Expanded uncertainty (k = 2) of the measured value, in `unit`.
    rule
        Decision rule, see the module.
    must
        False: it was permitted and never demanded, for the stimulus ended before the DUT was late. That it
        happened in the window is right, that it did not proves nothing.
    observer
        Called with each `Judgement`; the plugin puts its own there.
    """

    earliest: float
    latest: float
    unit: str = "s"
    what: str = ""
    reason: str = ""
    uncertainty: float = 0.0
    rule: DecisionRule = "simple"
    must: bool = True
    observer: Callable[[Judgement], None] | None = None

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"[{_shown(self.earliest, self.unit)}, {_shown(self.latest, self.unit)}]{reason}"

    def __contains__(self, value: float) -> bool:
        judgement = self.judge(float(value))
        if self.observer:
            self.observer(judgement)
        if judgement.verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(f"{self.what or 'value'}: {judgement.reason}")
        return judgement.verdict is Verdict.PASS

    def observed_by(self, observer: Callable[[Judgement], None], *, what: str | None = None) -> Window:
        """The same window with an observer (and a name for what it judges)."""
        return replace(self, observer=observer, what=self.what if what is None else what)

    def judge(self, value: float) -> Judgement:
        """Hold `value` against the window. nan ("never happened") is in no window."""
        guard = self.uncertainty if self.rule == "guarded" else 0.0
        low, high = self.earliest + guard, self.latest - guard
        margin = min(value - low, high - value)
        if math.isnan(self.latest) and value >= low:
            # Permitted from `earliest` on, never demanded: that it happened proves neither side.
            verdict, margin = Verdict.INCONCLUSIVE, math.nan
            reason = f"{value:.6g} {self.unit}: permitted, but nothing demanded it {self.reason}".rstrip()
        elif math.isnan(self.latest) and not math.isnan(value):
            verdict, margin = Verdict.FAIL, math.nan
            reason = f"{value:.6g} {self.unit}: happened although nothing called for it"
        elif math.isnan(self.latest) or (math.isnan(value) and not self.must):
            verdict, reason = (
                Verdict.INCONCLUSIVE,
                f"the stimulus never had to cause it {self.reason}".rstrip(),
            )
        elif math.isnan(value):
            verdict, reason = Verdict.FAIL, f"never happened; due in {self!r}"
        elif margin >= 0:
            verdict, reason = Verdict.PASS, self.reason
        else:
            side = "below" if value < low else "above"
            if self.unit == "s":
                side = "too early" if value < low else "too late"
            verdict, reason = Verdict.FAIL, f"{_shown(-margin, self.unit)} {side}; {self.reason}"
        return Judgement(
            self.what, value, self.earliest, self.latest, self.unit, self.uncertainty, margin, verdict, reason
        )


def at_most(limit: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0) -> Window:
    """Values up to and including `limit`."""
    return Window(-math.inf, limit, unit, what, reason, uncertainty)


def at_least(limit: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0) -> Window:
    """Values from `limit` on."""
    return Window(limit, math.inf, unit, what, reason, uncertainty)


def around(
    centre: float, tolerance: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0
) -> Window:
    """Values within `tolerance` of `centre`."""
    return Window(centre - tolerance, centre + tolerance, unit, what, reason, uncertainty)


def _shown(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return str(value)
    decimals = 6 if 0 < abs(value) < 0.1 else 3
    return f"{value:.{decimals}f} {unit}".strip()
