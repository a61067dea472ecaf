"""Reported values against measured ones, within the accuracy that the DUT declares.

A report may be one sample plus one broadcast old, so it must lie between the least and the greatest value
measured over that age, widened by declared accuracy plus the bench's uncertainty. That holds while the
quantity changes too; nothing needs to be settled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.record import Floats, Trace
from bench.reference.findings import Finding
from bench.reference.intervals import inside, runs, sliding, union
from bench.reference.observed import Observed, blur_s, followed, report_age_s
from bench.reference.plausibility import settling
from dut_profiles.profile import Profile

#: A value may be reported as not available for this long [s] without a fault, project default.
UNAVAILABLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How one reported quantity is judged.

    `tolerance` gives the declared accuracy at each value; `sampling_s` how often the DUT looks; `quantity`
    names what a wiring fault may falsify.
    """

    trace: str
    unit: str
    protection: str
    quantity: str
    sampling_s: Callable[[Profile], float]
    tolerance: Callable[[Profile, Floats], Floats]


def _pack_tolerance(profile: Profile, value: Floats) -> Floats:
    # Declared of the pack voltage: near an empty bus the fraction is one of the nominal value.
    return profile.measurement.pack_tolerance_fraction * np.maximum(np.abs(value), profile.pack.nominal_v)


def _current_tolerance(profile: Profile, value: Floats) -> Floats:
    declared = profile.measurement
    return declared.current_tolerance_a + declared.current_tolerance_fraction * np.abs(value)


ACCURACIES = (
    Accuracy(
        "cell_v",
        "V",
        "measurement.cell_tolerance_v",
        "cell_voltage",
        lambda profile: profile.measurement.cell_period_s,
        lambda profile, value: np.full_like(value, profile.measurement.cell_tolerance_v),
    ),
    Accuracy(
        "temperature_degc",
        "degC",
        "measurement.temperature_tolerance_k",
        "temperature",
        lambda profile: profile.measurement.temperature_period_s,
        lambda profile, value: np.full_like(value, profile.measurement.temperature_tolerance_k),
    ),
    Accuracy(
        "current_a",
        "A",
        "measurement.current_tolerance_a",
        "charge_current",
        lambda profile: profile.measurement.current_period_s,
        _current_tolerance,
    ),
    Accuracy(
        "pack_v",
        "V",
        "measurement.pack_tolerance_fraction",
        "cell_voltage",
        lambda profile: profile.measurement.cell_period_s,
        _pack_tolerance,
    ),
    Accuracy(
        "link_v",
        "V",
        "measurement.pack_tolerance_fraction",
        "link_voltage",
        lambda profile: profile.measurement.cell_period_s,
        _pack_tolerance,
    ),
    Accuracy(
        "charger_v",
        "V",
        "measurement.pack_tolerance_fraction",
        "link_voltage",
        lambda profile: profile.measurement.cell_period_s,
        _pack_tolerance,
    ),
)


def judge_reported(observed: Observed) -> list[Finding]:
    """Judge every reported quantity that was measured too."""
    found: list[Finding] = []
    for accuracy in ACCURACIES:
        measured = observed.traces.get(accuracy.trace)
        reported = observed.traces.get(f"dut.{accuracy.trace}")
        if measured is None or reported is None or measured.value.ndim != reported.value.ndim:
            continue
        if measured.value.shape[1:] != reported.value.shape[1:]:
            seen = f"{reported.value.shape[1:]} channels"
            expected = f"{measured.value.shape[1:]} channels"
            found.append(Finding(float(reported.t_s[0]), "inaccurate", reported.name, expected, seen))
            continue
        found += _compare(observed, accuracy, measured, reported)
    return found + _insulation(observed)


def _compare(observed: Observed, accuracy: Accuracy, measured: Trace, reported: Trace) -> list[Finding]:
    profile = observed.profile
    age_s = report_age_s(profile, accuracy.sampling_s(profile))
    blur = blur_s(measured, age_s)
    low, high = sliding(measured.t_s, measured.value, reported.t_s - age_s - blur, reported.t_s + blur)
    # A meter and a DUT never sample at the same instant.
    slack = (
        np.maximum(accuracy.tolerance(profile, low), accuracy.tolerance(profile, high)) + measured.uncertainty
    )
    excused = inside(union(observed.story.blind(accuracy.quantity), settling(observed)), reported.t_s)
    # A DUT may have looked before the bench did, or after it stopped.
    period_s = measured.period_s if len(measured) > 1 else 0.0
    covered = (reported.t_s - age_s >= measured.t_s[0]) & (reported.t_s <= measured.t_s[-1] + period_s)
    judged = covered & ~excused & followed(observed, measured, reported.t_s, age_s)
    with np.errstate(invalid="ignore"):
        over, under = reported.value - (high + slack), (low - slack) - reported.value
        off = np.fmax(over, under)
        steady = (high - low <= slack) | (blur == 0.0)
    off = np.where(_rows(judged, off) & steady, off, -np.inf)
    missing = np.isnan(reported.value) & np.isfinite(low) & _rows(judged, off)
    return _worst(accuracy, reported, low, high, slack, off) + _unavailable(reported, missing)


def _worst(
    accuracy: Accuracy, reported: Trace, low: Floats, high: Floats, slack: Floats, off: Floats
) -> list[Finding]:
    """One finding per channel: when it was first off, and by how much at worst."""
    off = np.nan_to_num(off, nan=-np.inf)
    columns = off if off.ndim == 2 else off[:, None]
    value, least, most, width = (x if x.ndim == 2 else x[:, None] for x in (reported.value, low, high, slack))
    found = []
    for channel in np.flatnonzero((columns > 1e-9).any(axis=0)):
        wrong = columns[:, channel] > 1e-9
        k, worst = int(np.argmax(wrong)), int(np.argmax(columns[:, channel]))
        name = f"{reported.name}[{channel}]" if off.ndim == 2 else reported.name
        unit = accuracy.unit
        expected = (
            f"{name} from {least[k, channel] - width[k, channel]:.4g} to "
            f"{most[k, channel] + width[k, channel]:.4g} {unit}"
        )
        worst_off = f"{columns[worst, channel]:.3g} {unit} outside at worst"
        seen = f"{value[k, channel]:.4g} {unit} ({int(wrong.sum())} reports, {worst_off})"
        found.append(Finding(float(reported.t_s[k]), "inaccurate", accuracy.protection, expected, seen))
    return found


def _unavailable(reported: Trace, missing: np.ndarray) -> list[Finding]:
    columns = missing if missing.ndim == 2 else missing[:, None]
    found = []
    for channel in np.flatnonzero(columns.any(axis=0)):
        first, last = runs(columns[:, channel])
        long = reported.t_s[last] - reported.t_s[first] > UNAVAILABLE_S
        if np.any(long):
            t_s = float(reported.t_s[first[long][0]])
            name = f"{reported.name}[{channel}]" if missing.ndim == 2 else reported.name
            found.append(Finding(t_s, "missed", name, "a value, as it was there to measure", "not available"))
    return found


def _insulation(observed: Observed) -> list[Finding]:
    """The lower resistance within `insulation_tolerance_fraction`, `measuring_s` after a change."""
    inserted, reported = (
        observed.traces.get("insulation_ohm_per_v"),
        observed.traces.get("dut.insulation_ohm"),
    )
    pack = observed.traces.get("pack_v")
    if inserted is None or reported is None or pack is None:
        return []
    profile = observed.profile
    value = reported.value if reported.value.ndim == 1 else np.fmin.reduce(reported.value, axis=1)
    age_s = report_age_s(profile, profile.insulation.measuring_s)
    low, high = sliding(inserted.t_s, inserted.value, reported.t_s - age_s, reported.t_s)
    pack_low, pack_high = sliding(pack.t_s, pack.value, reported.t_s - age_s, reported.t_s)
    share = profile.measurement.insulation_tolerance_fraction
    with np.errstate(invalid="ignore"):
        least, most = low * pack_low * (1.0 - share), high * pack_high * (1.0 + share)
        wrong = ((value < least) | (value > most)) & np.isfinite(most) & np.isfinite(least)
        wrong &= high * pack_high < MEASURABLE_OHM
    wrong &= ~inside(union(observed.story.dark, settling(observed)), reported.t_s)
    if not np.any(wrong):
        return []
    k = int(np.argmax(wrong))
    expected = f"dut.insulation_ohm from {least[k]:.4g} to {most[k]:.4g} ohm"
    seen = f"{value[k]:.4g} ohm ({int(wrong.sum())} reports)"
    return [
        Finding(
            float(reported.t_s[k]), "inaccurate", "measurement.insulation_tolerance_fraction", expected, seen
        )
    ]


#: Highest resistance [ohm] that is judged: the end of the range that scenario M-08 sweeps.
MEASURABLE_OHM = 5.0e6


def _rows(mask: np.ndarray, like: Floats) -> np.ndarray:
    """A (time,) mask in the shape of `like`, (time,) or (time, channels)."""
    return mask if like.ndim == 1 else np.broadcast_to(mask[:, None], like.shape)
