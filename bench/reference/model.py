"""The reference: from the measured stimulus and the declared profile to the permitted responses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bench.errors import Inconclusive
from bench.record import Record, Trace
from bench.reference import balancing, communication, derating, precharge, soc
from bench.reference.explain import explain
from bench.reference.findings import Explanation
from bench.reference.hysteresis import released_s
from bench.reference.limits import (
    Bounds,
    Signal,
    begun_s,
    bounds,
    demanded,
    obligations,
    opportunities,
    signal_of,
)
from bench.reference.observed import TASK_S, Observed
from bench.verdict import Judgement, Window
from dut_profiles.profile import Limit, Profile


class Reference:
    """What a BMS with this profile may and must do.

    Parameters
    ----------
    profile
        What the DUT's maker declares.
    record
        The record of the running test, for the verbs that need more than one trace.
    observer
        Told of every judgement that a window of this reference takes part in.
    """

    def __init__(
        self,
        profile: Profile,
        record: Record | None = None,
        observer: Callable[[Judgement], None] | None = None,
    ) -> None:
        self.profile, self.record, self._observer = profile, record, observer

    def __repr__(self) -> str:
        return f"Reference({self.profile.identity.model})"

    def trip_window(self, trace: Trace, limit: Limit | str, *, path_open: bool = True) -> Window:
        """Return the times at which a BMS may open its path for `limit`.

        Earliest: the trace may have been beyond ``trip - tolerance - U`` (from just after the last sample
        that was not) for ``delay - delay tolerance``. Latest: it was beyond ``trip + tolerance + U`` for
        ``delay + delay tolerance``, plus the DUT's sampling period, plus zero-current wait (level 2) and
        opening time, plus one sample of the bench. The first such episodes of the trace count.

        Parameters
        ----------
        trace
            Measured quantity, shape (time,) or (time, channels): any channel may trip.
        limit
            A limit of the profile, or its name.
        path_open
            True: the contacts are open (actuator time included). False: the decision only.

        Returns
        -------
        Window
            [earliest, latest] in bench time [s]. `must` is False if the stimulus ended before a trip was due
            (the DUT may have ended it by acting), `latest` nan if it was never surely beyond, `earliest` inf
            if a trip was never even permitted.

        Raises
        ------
        Inconclusive
            If the trace holds no measured value.
        """
        limit = self._limit(limit)
        signal, levels = signal_of(trace, limit), bounds(self.profile, limit)
        extra_s = levels.actuator_s if path_open else 0.0
        what = f"{' and '.join(limit.opens) or 'no'} path opens" if path_open else f"{limit.name} is decided"
        return self._trip(signal, levels, limit, extra_s + self._bench_s(signal, limit), what)

    def alarm_window(self, trace: Trace, limit: Limit | str) -> Window:
        """Return the times at which the alarm of `limit` may first be seen reported.

        As `trip_window` without the actuator; latest plus one broadcast as late as declared, one task and one
        sample of the bench.
        """
        limit = self._limit(limit)
        signal, levels = signal_of(trace, limit), bounds(self.profile, limit)
        name = limit.alarm or limit.name
        return self._trip(
            signal, levels, limit, levels.report_s + TASK_S + signal.period_s, f"{name} reported"
        )

    def release_window(self, trace: Trace, limit: Limit | str) -> Window:
        """Return the times at which the alarm of `limit` may be seen cleared after its first certain trip.

        Earliest: the trace may have been inside ``release`` (by tolerance and U in the DUT's favour). Latest:
        it was surely inside for as long as a trip may take, plus sampling, broadcast, task and one sample of
        the bench. A latched limit is never released by itself: [inf, nan].
        """
        limit = self._limit(limit)
        signal, levels = signal_of(trace, limit), bounds(self.profile, limit)
        reason = f"{limit.name} released at {levels.release * signal_sign(limit):g} {limit.unit}"
        what = f"{limit.alarm or limit.name} cleared"
        due = demanded(obligations(signal, levels))
        if limit.latched or not len(due):
            why = "latched: only a reset clears it" if limit.latched else "the stimulus never had to trip"
            return self._window(math.inf, math.nan, what, f"{limit.name}: {why}")
        tripped_s = due[0, 0]
        # All channels that tripped must be inside: `permit` is the one that is farthest out.
        maybe = signal.permit <= levels.release + levels.tolerance + signal.uncertainty
        maybe &= signal.t_s > due[0, 1]
        first = np.flatnonzero(maybe)
        # It came inside at some time after the sample before.
        earliest = float(signal.t_s[max(first[0] - 1, 0)]) if len(first) else math.inf
        sure = released_s(signal, levels)
        sure = sure[sure[:, 1] >= tripped_s] if len(sure) else sure
        sure = sure[sure[:, 0] > due[0, 1]] if len(sure) else sure
        report_s = levels.report_s + TASK_S + signal.period_s
        latest = float(sure[0, 0]) + report_s if len(sure) else math.nan
        return self._window(earliest, latest, what, reason)

    def holds(self, record: Record | Trace, limit: Limit | str) -> bool:
        """Whether a BMS must *not* act on `limit`: nowhere in the record was it beyond for long enough.

        Raises
        ------
        Inconclusive
            If the quantity was not measured.
        """
        limit = self._limit(limit)
        if isinstance(record, Trace):
            return not len(opportunities(signal_of(record, limit), bounds(self.profile, limit)))
        observed = Observed(record, self.profile)
        signal = observed.signal(limit)
        if signal is None or not np.isfinite(signal.columns).any():
            raise Inconclusive(f"{limit.name}: its quantity was not measured")
        return not len(opportunities(signal, observed.bounds(limit)))

    def faulty_index(self, trace: Trace, limit: Limit | str) -> set[int]:
        """Channels that a BMS may name as the cause of `limit`: beyond it, maybe, for long enough."""
        limit = self._limit(limit)
        signal, levels = signal_of(trace, limit), bounds(self.profile, limit)
        level = levels.trip - levels.tolerance - signal.uncertainty
        named = set()
        for channel in np.flatnonzero(signal.peaks() >= level):
            row = signal.rows(int(channel))
            alone = Signal(signal.t_s, row, signal.columns, signal.sign, signal.uncertainty, signal.period_s)
            if len(opportunities(alone, levels)):
                named.add(int(channel))
        return named

    def charge_limit_window(self, t_s: float, record: Record | None = None) -> Window:
        """Permitted broadcast charge current [A] at bench time `t_s` [s], see `derating`."""
        observed = Observed(self._record(record), self.profile)
        return self._seen(derating.limit_window(observed, "charge", t_s))

    def discharge_limit_window(self, t_s: float, record: Record | None = None) -> Window:
        """Permitted broadcast discharge current [A] at bench time `t_s` [s], see `derating`."""
        observed = Observed(self._record(record), self.profile)
        return self._seen(derating.limit_window(observed, "discharge", t_s))

    def bleed_current_window(self, cell_v: float, *, uncertainty_a: float = 0.0) -> Window:
        """Permitted bleed current [A] of one channel at `cell_v` [V]."""
        return self._seen(balancing.bleed_current_window(self.profile, cell_v, uncertainty_a=uncertainty_a))

    def timeout_window(self, silent_s: float, *, path_open: bool = True) -> Window:
        """When the DUT must react to a host whose last message came at `silent_s` [s]."""
        return self._seen(communication.timeout_window(self.profile, silent_s, actuator=path_open))

    def bus_window(self, pack_v: float, *, uncertainty_v: float = 0.0) -> Window:
        """Bus voltage [V] at which main plus may close on a pack of `pack_v` [V]."""
        return self._seen(precharge.bus_window(self.profile, pack_v, uncertainty_v=uncertainty_v))

    def soc_error(
        self,
        record: Record | None = None,
        *,
        soc_0: float,
        soc_0_uncertainty: float = 0.0,
        capacity_ah: float | None = None,
    ) -> Trace:
        """Reported less true SOC at each report, by counting the measured current from `soc_0`.

        Parameters
        ----------
        soc_0, soc_0_uncertainty
            True SOC at the first sample of `current_a`, 0..1, and its expanded uncertainty.
        capacity_ah
            True capacity [Ah]; default: the declared one.

        Returns
        -------
        Trace
            `soc_error`, 0..1; its uncertainty is the largest bound of the true SOC in the record.

        Raises
        ------
        Inconclusive
            If the current was not measured, or the DUT reports no SOC.
        """
        chosen = self._record(record)
        capacity_ah = capacity_ah or self.profile.pack.capacity_ah
        truth = soc.soc_trace(chosen, soc_0, soc_0_uncertainty, capacity_ah)
        error, bound = soc.soc_error(chosen, truth)
        reported = chosen["dut.soc"]
        worst = float(np.nanmax(bound, initial=0.0))
        return Trace("soc_error", "1", reported.t_s, error, reported.origin, worst)

    def explains(self, record: Record | None = None) -> Explanation:
        """Whether everything in the record is what a sound BMS does; the explanation is true if so.

        Raises
        ------
        Inconclusive
            If the record holds nothing that can be judged.
        """
        return explain(self._record(record), self.profile)

    def _limit(self, limit: Limit | str) -> Limit:
        return self.profile.limit(limit) if isinstance(limit, str) else limit

    def _record(self, record: Record | None) -> Record:
        chosen = record or self.record
        if chosen is None:
            raise Inconclusive("the reference was given no record")
        return chosen

    def _bench_s(self, signal: Signal, limit: Limit) -> float:
        """Sampling period [s] of the bench: of the trace, or of a path it opens if that is slower."""
        periods = [signal.period_s]
        traces = self.record.traces() if self.record is not None else {}
        for path in limit.opens:
            trace = traces.get(f"{path}_path")
            if trace is not None and len(trace) > 1:
                periods.append(trace.period_s)
        return max(periods)

    def _trip(self, signal: Signal, levels: Bounds, limit: Limit, extra_s: float, what: str) -> Window:
        may, must = opportunities(signal, levels), demanded(obligations(signal, levels))
        earliest = float(may[0, 0]) if len(may) else math.inf
        due_s = math.nan
        if len(must):
            due_s = float(must[0, 0])
        elif len(may):
            # A DUT that acts ends the stimulus, so its latest time counts from the start of the excess.
            due_s = begun_s(signal, levels, may[0]) + levels.decided_s
        reason = f"{limit.name} at {limit.trip:g} {limit.unit} for {limit.delay_s:g} s"
        return replace(self._window(earliest, due_s + extra_s, what, reason), must=bool(len(must)))

    def _window(self, earliest: float, latest: float, what: str, reason: str) -> Window:
        return self._seen(Window(earliest, latest, "s", what, reason))

    def _seen(self, window: Window) -> Window:
        return window.observed_by(self._observer) if self._observer else window


def signal_sign(limit: Limit) -> float:
    """Undo the mirroring of a level."""
    return 1.0 if limit.side == "above" else -1.0
