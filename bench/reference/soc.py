"""State of charge from nothing but the measured current: coulombs counted from a known start.

No cell model enters, so the estimate shares no assumption with the plant or with the DUT. Its bound grows
with time: ``soc0 uncertainty + (U_current * t + trapezoid error) / (3600 capacity) + |dSOC| * capacity
uncertainty``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.errors import Inconclusive
from bench.record import Floats, Record, Trace
from bench.reference.findings import Finding, Kind
from bench.reference.intervals import inside, sliding, union
from bench.reference.observed import Observed

#: Resolution of a reported SOC, project default: two steps of 0.1 %.
RESOLUTION = 0.002


@dataclass(frozen=True, slots=True)
class SocEstimate:
    """True SOC and the bound of its error, both shape (time,), 0..1; nan after a gap in the current."""

    t_s: Floats
    soc: Floats
    bound: Floats

    def at(self, t_s: Floats) -> tuple[Floats, Floats]:
        """SOC and bound at other times [s], linear in between; nan outside."""
        soc = np.interp(t_s, self.t_s, self.soc, left=np.nan, right=np.nan)
        return soc, np.interp(t_s, self.t_s, self.bound, left=np.nan, right=np.nan)


def soc_trace(
    record: Record,
    soc0: float,
    soc0_uncertainty: float,
    capacity_ah: float,
    *,
    capacity_uncertainty_fraction: float = 0.0,
    start_s: float | None = None,
) -> SocEstimate:
    """Count the measured current from a known start.

    Parameters
    ----------
    record
        With `current_a` [A], positive when it charges.
    soc0, soc0_uncertainty
        SOC at the start and its expanded uncertainty, 0..1.
    capacity_ah
        True capacity [Ah] of the pack under test.
    capacity_uncertainty_fraction
        Expanded relative uncertainty of the capacity.
    start_s
        Bench time [s] at which `soc0` held; default: the first sample.

    Raises
    ------
    Inconclusive
        If the record holds no measured current.
    """
    current = record.traces().get("current_a")
    if current is None or not len(current):
        raise Inconclusive("SOC: the record holds no measured current_a")
    return count(current, soc0, soc0_uncertainty, capacity_ah, capacity_uncertainty_fraction, start_s)


def count(
    current: Trace,
    soc0: float,
    soc0_uncertainty: float,
    capacity_ah: float,
    capacity_uncertainty_fraction: float = 0.0,
    start_s: float | None = None,
) -> SocEstimate:
    """As `soc_trace`, from the trace of the current. Trapezoids; their error is half of each step."""
    part = current if start_s is None else current.between(start_s, np.inf)
    if not len(part):
        raise Inconclusive(f"SOC: no current was measured after {start_s} s")
    step_s = np.diff(part.t_s)
    charge_ah = _summed(0.5 * (part.value[1:] + part.value[:-1]) * step_s) / 3600.0
    # Between two samples the current may have changed at any time: off by half the difference at most.
    wobble_ah = _summed(0.5 * np.abs(np.diff(part.value)) * step_s) / 3600.0
    drift_ah = part.uncertainty * (part.t_s - part.t_s[0]) / 3600.0
    change = charge_ah / capacity_ah
    bound = soc0_uncertainty + (drift_ah + wobble_ah) / capacity_ah
    return SocEstimate(part.t_s, soc0 + change, bound + np.abs(change) * capacity_uncertainty_fraction)


def soc_error(record: Record, estimate: SocEstimate) -> tuple[Floats, Floats]:
    """Reported less true SOC at each report, and the bound of the truth, both shape (time,).

    Raises
    ------
    Inconclusive
        If the DUT reports no SOC.
    """
    reported = record.traces().get("dut.soc")
    if reported is None or not len(reported):
        raise Inconclusive("SOC: the record holds no dut.soc")
    soc, bound = estimate.at(reported.t_s)
    return reported.value - np.clip(soc, 0.0, 1.0), bound


def jumps(reported: Trace, current: Trace | None, capacity_ah: float, span_s: float = 1.0) -> Floats:
    """Change of the reported SOC over `span_s` [s] beyond what the current explains, shape (time,), >= 0.

    For each report: the distance to the range that it had within the last `span_s`, less the SOC that the
    largest measured current moves in that time (all of it, if none was measured).
    """
    value = reported.value
    # The report itself lies in its own window, so both distances are at least 0.
    low, high = sliding(reported.t_s, value, np.maximum(reported.t_s - span_s, reported.t_s[0]), reported.t_s)
    apart = np.fmax(value - low, high - value)
    if current is None:
        return apart
    least, most = sliding(current.t_s, current.value, reported.t_s - span_s, reported.t_s)
    largest_a = np.nan_to_num(np.fmax(np.abs(least), np.abs(most)), nan=0.0) + current.uncertainty
    moved: Floats = np.maximum(apart - largest_a * span_s / 3600.0 / capacity_ah, 0.0)
    return moved


def judge_soc(observed: Observed) -> list[Finding]:
    """Range, jump bound, and, where a `soc` event says what was true, the error bound."""
    reported = observed.traces.get("dut.soc")
    if reported is None:
        return []
    declared, profile = observed.profile.soc, observed.profile
    found = []
    outside = (reported.value < 0.0) | (reported.value > 1.0)
    if np.any(outside):
        k = int(np.argmax(outside))
        found.append(
            _finding(reported.t_s[k], "inaccurate", "soc range", "0 to 1", f"{reported.value[k]:.3f}")
        )
    # The first reports after power-up restore what was stored: an error of it is not a jump.
    excused = union(observed.story.dark, observed.story.faulty())
    step = jumps(reported, observed.traces.get("current_a"), profile.pack.capacity_ah)
    wrong = (step > declared.jump_bound_per_s + RESOLUTION) & ~inside(excused, reported.t_s)
    if np.any(wrong):
        k = int(np.argmax(wrong))
        expected = f"a change of {declared.jump_bound_per_s:.1%} in 1 s at most"
        found.append(
            _finding(reported.t_s[k], "inaccurate", "soc.jump_bound_per_s", expected, f"{step[k]:.1%}")
        )
    return found + _errors(observed, reported)


def _errors(observed: Observed, reported: Trace) -> list[Finding]:
    current = observed.traces.get("current_a")
    if current is None:
        return []
    found = []
    for event in observed.known_soc:
        soc0 = float(event.data["soc"])  # type: ignore[arg-type]
        doubt = float(event.data.get("uncertainty", 0.01))  # type: ignore[arg-type]
        declared_ah = observed.profile.pack.capacity_ah
        capacity_ah = float(event.data.get("capacity_ah", declared_ah))  # type: ignore[arg-type]
        if event.t_s > current.t_s[-1]:
            continue
        truth = count(current, soc0, doubt, capacity_ah, 0.01, event.t_s)
        soc, bound = truth.at(reported.t_s)
        error = reported.value - np.clip(soc, 0.0, 1.0)
        limit = observed.profile.soc.error_bound
        wrong = np.abs(error) > limit + bound + RESOLUTION
        wrong &= ~inside(observed.story.dark, reported.t_s)
        if np.any(wrong):
            k = int(np.argmax(wrong))
            expected = f"{soc[k]:.3f} +- {limit:.3f} (known to {bound[k]:.3f})"
            found.append(
                _finding(
                    reported.t_s[k], "inaccurate", "soc.error_bound", expected, f"{reported.value[k]:.3f}"
                )
            )
    return found


def _finding(t_s: float, kind: Kind, protection: str, expected: str, seen: str) -> Finding:
    return Finding(float(t_s), kind, protection, expected, seen)


def _summed(parts: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(parts)))
