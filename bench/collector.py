"""What one scenario judged, collected while it runs: judgements, trips, plain assertions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bench.evidence import Trip
from bench.record import Record, Trace
from bench.reference import Explanation, Reference
from bench.verdict import DecisionRule, Judgement, Window, around, at_least, at_most
from dut_profiles.profile import Limit, Profile


class Collector:
    """Everything that a scenario judged so far."""

    def __init__(self, rule: DecisionRule = "simple") -> None:
        self.rule: DecisionRule = rule
        self.judgements: list[Judgement] = []
        self.findings: list[str] = []
        self.trips: list[Trip] = []
        self.checks: list[str] = []
        #: Called with each judgement as it is taken.
        self.observer: Callable[[Judgement], object] | None = None
        #: Called before something is computed that may take seconds, during which nothing else happens.
        self.about_to_compute: Callable[[], object] | None = None

    @property
    def judged(self) -> bool:
        """Whether anything was judged at all."""
        return bool(self.judgements or self.checks)

    def observe(self, judgement: Judgement) -> None:
        """Take one judgement of a window."""
        self.judgements.append(judgement)
        if self.observer is not None:
            self.observer(judgement)


class Judge:
    """Windows for what the reference model does not give: each `value in window` reaches the evidence.

    The limit must come from a standard, the profile or another instrument, and `reason` says which.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def at_most(self, limit: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0) -> Window:
        """Values up to `limit`."""
        return self._watched(at_most(limit, unit=unit, what=what, reason=reason, uncertainty=uncertainty))

    def at_least(
        self, limit: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0
    ) -> Window:
        """Values from `limit` on."""
        return self._watched(at_least(limit, unit=unit, what=what, reason=reason, uncertainty=uncertainty))

    def around(
        self, centre: float, tolerance: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0
    ) -> Window:
        """Values within `tolerance` of `centre`."""
        return self._watched(
            around(centre, tolerance, unit=unit, what=what, reason=reason, uncertainty=uncertainty)
        )

    def within(
        self, low: float, high: float, *, unit: str, what: str, reason: str, uncertainty: float = 0.0
    ) -> Window:
        """Values from `low` to `high`."""
        return self._watched(Window(low, high, unit, what, reason, uncertainty))

    def _watched(self, window: Window) -> Window:
        return replace(window, rule=self._collector.rule, observer=self._collector.observe)


class ObservedReference(Reference):
    """The reference model, telling the collector which trips were judged and what it could not explain."""

    def __init__(self, profile: Profile, record: Record, collector: Collector) -> None:
        super().__init__(profile, record, observer=collector.observe)
        self._collector = collector

    def trip_window(self, trace: Trace, limit: Limit | str, *, path_open: bool = True) -> Window:
        window = super().trip_window(trace, limit, path_open=path_open)
        limit = self._limit(limit)
        path = "charge_path" if "charge" in limit.opens else "discharge_path"
        return replace(window, observer=self._trip_of(window, trace, limit, path))

    def explains(self, record: Record | None = None) -> Explanation:
        if self._collector.about_to_compute is not None:
            self._collector.about_to_compute()
        explanation = super().explains(record)
        self._collector.findings += [str(finding) for finding in explanation]
        return explanation

    def _trip_of(self, window: Window, trace: Trace, limit: Limit, path: str) -> Callable[[Judgement], None]:
        # People think in delays, not in seconds since the bench was opened.
        onset_s = window.earliest - max(0.0, limit.delay_s - limit.delay_tolerance_s)

        def observe(judgement: Judgement) -> None:
            self._collector.observe(_counted_from(onset_s, judgement))
            name, _, rest = trace.name.partition("[")
            self._collector.trips.append(
                Trip(
                    what=window.what,
                    trace=name,
                    channel=int(rest.rstrip("]")) if rest else None,
                    limit=-limit.trip if limit.quantity == "discharge_current" else limit.trip,
                    earliest_s=window.earliest,
                    latest_s=window.latest,
                    response_s=judgement.measured,
                    tolerance=limit.tolerance,
                    path=path,
                )
            )

        return observe


def _counted_from(onset_s: float, judgement: Judgement) -> Judgement:
    """The same judgement with its times counted from `onset_s` [s], if that is a time."""
    if not math.isfinite(onset_s):
        return judgement
    return replace(
        judgement,
        what=f"{judgement.what}, after the limit was exceeded",
        measured=judgement.measured - onset_s,
        earliest=judgement.earliest - onset_s,
        latest=judgement.latest - onset_s,
        reason=f"{judgement.reason}; exceeded from {onset_s:.3f} s",
    )
