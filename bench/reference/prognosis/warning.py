"""What a predictive warning is held against: what the maker declares, what is due, how warnings are judged.

When something is due is worked out in `due`; here are the words for it, and the judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import poisson

from bench.errors import InvalidInput
from bench.reference.prognosis.detection import FALSE_ALARM_S
from bench.verdict import Window

Kind = Literal["hit", "early", "late", "missed", "false", "undemanded"]


@dataclass(frozen=True, slots=True)
class Sensing:
    """Noise of one sample, standard deviation: as the DUT's maker declares it, and that of the bench.

    It includes quantisation. Where a maker declares a bound only, a third of it is the project default.
    """

    dut_sigma: float
    bench_sigma: float

    def __post_init__(self) -> None:
        for name, given in (("dut_sigma", self.dut_sigma), ("bench_sigma", self.bench_sigma)):
            if not (np.isfinite(given) and given > 0.0):
                raise InvalidInput(f"sensing: {name}", expected="above 0", found=f"{given:g}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is abnormal, and how sure a warning has to be.

    Parameters
    ----------
    abnormal
        Magnitude from which on a warning is demanded, in the unit of the phenomenon, above 0.
    tolerated
        Magnitude up to which a warning is a false alarm: normal ageing, spread.
    false_alarm_s
        Mean time between false alarms of this phenomenon on one pack [s].
    could, must
        Probabilities of detection that make *earliest* and *latest*.
    report_s
        Longest time [s] from the DUT's decision to its report.
    """

    abnormal: float
    tolerated: float
    false_alarm_s: float = FALSE_ALARM_S
    could: float = 0.01
    must: float = 0.99
    report_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerated < self.abnormal < np.inf:
            raise InvalidInput(
                "rule: tolerated",
                expected=f"0 to below abnormal ({self.abnormal:g})",
                found=f"{self.tolerated:g}",
            )
        if not 0.0 < self.could < self.must < 1.0:
            raise InvalidInput(
                "rule: could, must", expected="0 < could < must < 1", found=f"{self.could:g}, {self.must:g}"
            )

        if not (0.0 < self.false_alarm_s < np.inf and 0.0 <= self.report_s < np.inf):
            raise InvalidInput(
                "rule: false_alarm_s, report_s",
                expected="above 0 s, and 0 s or more",
                found=f"{self.false_alarm_s:g} s, {self.report_s:g} s",
            )

    @property
    def convincing(self) -> float:
        """Estimated magnitude from which on a sound DUT warns: half way between tolerated and abnormal."""
        return 0.5 * (self.tolerated + self.abnormal)


@dataclass(frozen=True, slots=True)
class Due:
    """One phenomenon on one cell or sensor (-1: the pack), and when it must be warned of.

    `window` is [earliest, latest] in bench time [s]. If the indication permits a warning and demands none,
    its `must` is False and its end is that of the record.
    """

    phenomenon: str
    channel: int
    onset_s: float
    until_s: float
    magnitude: float
    uncertainty: float
    unit: str
    window: Window

    @property
    def demanded(self) -> bool:
        """Whether a warning must come."""
        return self.window.must


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of a DUT: when (nan: never), and of which cell or sensor; -1: none named, or the pack."""

    t_s: float
    channel: int = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one warning was, or that one is missing (`t_s` nan).

    "undemanded": no warning, and none was demanded. `due` is None for a false alarm.
    """

    kind: Kind
    channel: int
    t_s: float
    due: Due | None


def judge(dues: Sequence[Due], warnings: Sequence[Warned]) -> tuple[Outcome, ...]:
    """Hold warnings against what was due: one outcome for each due, one for each warning without.

    Of the warnings that name a due's channel (or none) from its onset on, the first counts: *early* before
    the window, *hit* in it, *late* after it. Repeats of it are not judged. A warning that belongs to no due
    is a false alarm; "missed" is a demanded warning that never came. One at nan is none.
    """
    found, used = [], set()
    warnings = [warned for warned in warnings if np.isfinite(warned.t_s)]
    for due in dues:
        mine = [
            (warned.t_s, index)
            for index, warned in enumerate(warnings)
            if warned.channel == due.channel or -1 in (warned.channel, due.channel)
            if due.onset_s <= warned.t_s <= max(due.until_s, due.window.latest)
        ]
        used |= {index for _, index in mine}
        if not mine:
            kind: Kind = "missed" if due.demanded else "undemanded"
            found.append(Outcome(kind, due.channel, np.nan, due))
            continue
        t_s = min(mine)[0]
        if t_s < due.window.earliest:
            kind = "early"
        else:
            kind = "late" if due.demanded and t_s > due.window.latest else "hit"
        found.append(Outcome(kind, due.channel, t_s, due))
    found += [
        Outcome("false", warned.channel, warned.t_s, None)
        for index, warned in enumerate(warnings)
        if index not in used
    ]
    return tuple(found)


def allowed_false_alarms(*, duration_s: float, false_alarm_s: float, confidence: float = 0.95) -> int:
    """Return how many false alarms a sound DUT stays at or below with `confidence` in `duration_s` [s]."""
    if not (0.0 <= duration_s < np.inf and 0.0 < false_alarm_s < np.inf and 0.0 < confidence < 1.0):
        found = f"{duration_s:g} s, {false_alarm_s:g} s and {confidence:g}"
        expected = "duration_s 0 or more, false_alarm_s above 0, confidence between 0 and 1"
        raise InvalidInput("allowed false alarms", expected=expected, found=found)
    return int(poisson.ppf(confidence, duration_s / false_alarm_s))
