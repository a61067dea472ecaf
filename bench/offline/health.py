"""Capacity and resistance of a cell, as far as one log tells them; what it does not tell has its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.offline.cell_log import CellLog
from bench.record import Floats
from bench.reference.estimators.bank import ModelDoubt
from bench.reference.estimators.capacity import Capacity, Piece, combine, from_piece, piece
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.gate import SETTLED_S, rested_s
from bench.reference.estimators.resistance import (
    Resistance,
    Step,
    StepRules,
    find_steps,
    growth,
    mean_resistance,
)
from bench.reference.estimators.rest import soc_at_rest
from bench.reference.estimators.soc import SocTrack

#: Standard deviation of one sample of voltage [V], project default.
VOLTAGE_NOISE_V = 0.0005
#: A step of current counts from this fraction of the capacity per hour on, project default.
LEAST_STEP_PER_H = 0.2
#: Periods between two samples that a pulse may miss, project default.
_MISSED = 2.5
_PULSE_S = 10.0
#: Fewest steps of a restless current that are worth a resistance, and how wrong all of them may be in the
#: same way, one standard deviation: project defaults. Against its cell file, drive cycles of an LG HG2 gave
#: 3 to 14 % too little from means of 1 s, and 25 % from samples of 0.1 s.
RESTLESS_STEPS, RESTLESS = 100, 0.15
#: What a run that looks for resistance and capacity leaves open of them, one standard deviation each; the
#: largest bound, relative, that is worth telling; and how much wider than 95 % of the filters the bound is:
#: errors of a cell file are alike from one sample to the next. Project defaults.
USE_DOUBT, MOST_BOUND, ALIKE = ModelDoubt(capacity=0.15, resistance=0.3), 0.2, 1.5
#: A sample, the SOC that is known there, and how wrong it may be.
_Known = tuple[int, float, float]


@dataclass(frozen=True, slots=True)
class Pulses:
    """Resistance from steps of the current, at the SOC and temperature of the log.

    Parameters
    ----------
    ohmic, interval_s
        What the voltage does between two samples [ohm], and the longest distance of them [s].
    pulse, pulse_s
        What it does in `pulse_s`; None and nan where the current was never steady for so long.
    grown
        `pulse`, or else `ohmic`, over that of the cell file, 1 as new; with the doubt of the cell file.
    soc_low, soc_high, coldest_degc, hottest_degc
        Where the steps were.
    """

    ohmic: Resistance
    interval_s: float
    pulse: Resistance | None
    pulse_s: float
    grown: Resistance
    soc_low: float
    soc_high: float
    coldest_degc: float
    hottest_degc: float


def pulses(
    log: CellLog, track: SocTrack, model: CellModel, use: Callable[[], SocTrack] | None = None
) -> Pulses:
    """Resistance from the steps of the current: steady ones, or else very many that are not.

    Parameters
    ----------
    use
        Gives the track of a run with `USE_DOUBT`, which tells of a restless current what its steps do not.

    Raises
    ------
    InvalidInput
        If neither are there; tells how many were not good and why. If the voltage falls as the current rises.
    """
    period_s = float(np.median(np.diff(log.t_s)))
    rules = StepRules(
        least_step_a=LEAST_STEP_PER_H * model.capacity_ah,
        voltage_noise_v=VOLTAGE_NOISE_V,
        before_s=max(5.0, 3.0 * period_s),
        pulse_s=max(_PULSE_S, 3.0 * period_s),
        max_gap_s=_MISSED * period_s,
    )
    good, bad = find_steps(log.t_s, log.current_a, log.voltage_v, rules, log.temperature_degc)
    if not good:
        restless = _restless(log, track, model, rules)
        if restless is not None:
            better = None if use is None else growth_from_use(log, use(), model)
            return restless if better is None else replace(restless, grown=better)
        why = ", ".join(sorted({one.reason for one in bad})) or "the current hardly changes"
        raise InvalidInput(
            "resistance",
            expected=f"a step of {rules.least_step_a:g} A, steady before and for {rules.pulse_s:g} s after",
            found=f"{len(bad)} steps that are not ({why})",
        )
    ohmic = mean_resistance(good, "ohmic")
    if min(ohmic.resistance_ohm, mean_resistance(good, "pulse").resistance_ohm) <= 0.0:
        raise _falling(ohmic.resistance_ohm, len(good))
    soc = np.interp([one.t_s for one in good], track.t_s, track.soc)
    degc = np.array([one.temperature_degc for one in good])
    return Pulses(
        ohmic=ohmic,
        interval_s=max(one.interval_s for one in good),
        pulse=mean_resistance(good, "pulse"),
        pulse_s=rules.pulse_s,
        grown=_grown(good, soc, model, rules.pulse_s),
        soc_low=float(soc.min()),
        soc_high=float(soc.max()),
        coldest_degc=float(degc.min()),
        hottest_degc=float(degc.max()),
    )


def _restless(log: CellLog, track: SocTrack, model: CellModel, rules: StepRules) -> Pulses | None:
    """Resistance between two samples from every step of a current that is never steady, as in a drive cycle.

    What came before a step goes on behind it, now up and now down, and scatters. That current and voltage are
    not sampled at one instant, or are means, does not scatter; so `RESTLESS` comes on top.
    """
    step_a, step_v, step_s = np.diff(log.current_a), np.diff(log.voltage_v), np.diff(log.t_s)
    used = np.isfinite(step_v) & (np.abs(step_a) >= rules.least_step_a) & (step_s <= rules.max_gap_s)
    if used.sum() < RESTLESS_STEPS:
        return None
    di, dv = step_a[used], step_v[used]
    ohm = float(di @ dv / (di @ di))
    if ohm <= 0.0:
        raise _falling(ohm, len(di))
    scatter_ohm = float(np.sqrt((dv - ohm * di) @ (dv - ohm * di) / (len(di) - 1) / (di @ di)))
    uncertainty_ohm = float(np.hypot(scatter_ohm, RESTLESS * ohm))
    soc, degc = track.soc[1:][used], log.temperature_degc[1:][used]
    interval_s, grid = float(np.median(step_s[used])), np.linspace(0.0, 1.0, 101)
    step_typical_a = float(np.sqrt(np.mean(di**2)))
    table_ohm = model_pulse_ohm(model, grid, float(degc.mean()), step_typical_a, interval_s)
    ratio = ohm / float(np.average(np.interp(soc, grid, table_ohm), weights=di**2))
    doubt = float(np.hypot(uncertainty_ohm / ohm, ModelDoubt().resistance))
    return Pulses(
        ohmic=Resistance(ohm, uncertainty_ohm, len(di)),
        interval_s=interval_s,
        pulse=None,
        pulse_s=np.nan,
        grown=Resistance(ratio, abs(ratio) * doubt, len(di)),
        soc_low=float(soc.min()),
        soc_high=float(soc.max()),
        coldest_degc=float(degc.min()),
        hottest_degc=float(degc.max()),
    )


def _falling(ohm: float, steps: int) -> InvalidInput:
    return InvalidInput(
        "resistance",
        expected="a voltage that rises with the current",
        found=f"{1e3 * ohm:.3g} mΩ from {steps} steps; is the sign of the current right?",
    )


def growth_from_use(log: CellLog, use: SocTrack, model: CellModel) -> Resistance | None:
    """Ohmic resistance over that of the cell file, as the filters found it in use; None if they did not."""
    bound = ALIKE * float(use.resistance_factor_uncertainty[-1])
    if bound > MOST_BOUND:
        return None
    factor = float(use.resistance_factor[-1])
    degc = float(np.nanmean(log.temperature_degc))
    # How much warmer the cell is inside than its case, nobody measured.
    core = replace(USE_DOUBT, resistance=0.0).of_resistance(model, degc)
    return Resistance(
        factor, float(np.hypot(0.5 * bound, core * factor)), int(np.isfinite(log.voltage_v).sum())
    )


def capacity_from_use(use: SocTrack, capacity_ah: float) -> Capacity:
    """Capacity as the filters found it in use, where voltage tells at both ends how far the SOC moved.

    Parameters
    ----------
    use
        Track of a run with `USE_DOUBT`.
    capacity_ah
        With which it was made [Ah].

    Raises
    ------
    InvalidInput
        If the use left it open.
    """
    bound = ALIKE * float(use.capacity_factor_uncertainty[-1])
    if bound > MOST_BOUND:
        raise InvalidInput(
            "capacity",
            expected=f"use that tells it within {100 * MOST_BOUND:.0f} %",
            found=f"{100 * bound:.0f} %; the SOC must move farther, where voltage tells it",
        )
    return Capacity(
        float(use.capacity_factor[-1]) * capacity_ah, 0.5 * bound * capacity_ah, bound * capacity_ah
    )


def _grown(steps: list[Step], soc: Floats, model: CellModel, pulse_s: float) -> Resistance:
    """Resistance over that of the cell file at the SOC, temperature and current of each step."""
    grid = np.linspace(0.0, 1.0, 101)
    ratios = []
    for one, at in zip(steps, soc, strict=True):
        new_ohm = model_pulse_ohm(model, grid, one.temperature_degc, one.step_a, pulse_s)
        ratio = growth(Resistance(one.pulse_ohm, one.pulse_uncertainty_ohm), float(at), grid, new_ohm)
        ratios.append(
            replace(one, pulse_ohm=ratio.resistance_ohm, pulse_uncertainty_ohm=ratio.uncertainty_ohm)
        )
    mean = mean_resistance(ratios, "pulse")
    # The cell file is wrong in the same way for every step, so its doubt does not shrink with their number.
    by_file = ModelDoubt().resistance * mean.resistance_ohm
    return Resistance(mean.resistance_ohm, float(np.hypot(mean.uncertainty_ohm, by_file)), mean.steps)


def model_pulse_ohm(
    model: CellModel, soc: Floats, temperature_degc: float, current_a: float, pulse_s: float
) -> Floats:
    """Resistance of the cell file `pulse_s` after a step [ohm].

    Ohmic, each RC pair as far as it got, and how far the charge moved the open-circuit voltage.
    """
    moved = pulse_s / 3600.0 / float(model.usable_ah(temperature_degc))
    ohm = model.r0_ohm(soc, temperature_degc) + moved * model.slope_v(np.clip(soc, 0.01, 0.99))
    for k in range(model.pairs):
        pair_ohm, tau_s = model.pair(k, soc, temperature_degc)
        share = float(model.transferred_a(k, current_a, temperature_degc)) / current_a
        ohm = ohm + share * pair_ohm * (1.0 - np.exp(-pulse_s / tau_s))
    return ohm


def capacity(
    log: CellLog, file: CellFile, track: SocTrack, *, initial: tuple[float, float] | None, max_gap_s: float
) -> Capacity:
    """Capacity from the charge between rests, whose SOC follows from the open-circuit curve.

    Parameters
    ----------
    initial
        SOC at the first sample and its bound, if both were stated; it counts as one more known SOC.
    max_gap_s
        Longest step between samples that charge is counted across [s].

    Raises
    ------
    InvalidInput
        If there are no two known SOC that surely differ, or the current has gaps between them.
    """
    model = CellModel(file)
    known = _rests(log, file, model)
    if initial is not None:
        known = [(0, *initial), *known]
    if len(known) < 2:
        raise InvalidInput(
            "capacity",
            expected=f"two rests of {SETTLED_S / 60.0:g} min, or one and a stated initial SOC",
            found=f"{len(known)}",
        )
    # Offset of the current: nobody knows its sign before, so all of it counts as doubt.
    offset_a = float(np.abs(track.current_offset_a[-1]) + track.current_offset_uncertainty_a[-1])
    pieces = [_piece(log, a, b, offset_a, max_gap_s) for a, b in _pairs(known)]
    sure = [one for one in pieces if abs(one.soc_change) > 2.0 * one.soc_bound]
    if not sure:
        best = max(pieces, key=lambda one: abs(one.soc_change) - one.soc_bound)
        raise InvalidInput(
            "capacity",
            expected="an SOC that moves by more than twice its bound between two rests",
            found=f"{best.soc_change:+.3f} within {best.soc_bound:.3f} at best",
        )
    singles = [from_piece(one) for one in sure]
    if len(singles) == 1:
        return singles[0]
    # Offset and open-circuit curve are wrong in the same way for every piece: many are no better than one.
    alike = min(one.bound_ah / one.capacity_ah for one in singles)
    return combine(sure, shared_fraction=min(alike, 0.99))


def _piece(log: CellLog, start: _Known, end: _Known, offset_a: float, max_gap_s: float) -> Piece:
    part = slice(start[0], end[0] + 1)
    return piece(
        log.t_s[part],
        log.current_a[part],
        start[1],
        end[1],
        soc_start_bound=start[2],
        soc_end_bound=end[2],
        current_offset_a=offset_a,
        max_gap_s=max_gap_s,
    )


def _pairs(known: list[_Known]) -> list[tuple[_Known, _Known]]:
    """From one turning point of SOC to the next: neighbours would share each rest, and its error."""
    soc = np.array([entry[1] for entry in known])
    turns = np.flatnonzero(np.diff(np.sign(np.diff(soc))) != 0) + 1
    ends = [0, *turns.tolist(), len(known) - 1]
    return [(known[a], known[b]) for a, b in pairwise(ends) if b > a]


def _rests(log: CellLog, file: CellFile, model: CellModel) -> list[_Known]:
    """Last sample of each settled rest, the SOC that its voltage tells, and how wrong that may be."""
    doubt = ModelDoubt()
    current_a = np.where(np.isfinite(log.current_a), log.current_a, np.inf)
    settled = rested_s(log.t_s, current_a, capacity_ah=model.capacity_ah) >= SETTLED_S
    settled &= np.isfinite(log.voltage_v)
    ends = np.flatnonzero(settled & ~np.append(settled[1:], False))
    found = []
    for k in ends.tolist():
        voltage_v = float(log.voltage_v[k])
        half_v = float(model.hysteresis_half_v(model.soc_at(voltage_v)))
        bound_v = 2.0 * float(np.hypot(doubt.curve_v, VOLTAGE_NOISE_V)) + half_v
        try:
            soc, bound = soc_at_rest(voltage_v, bound_v, file.ocv.soc, np.maximum.accumulate(file.ocv.mean_v))
        except InvalidInput:
            continue  # outside the table: a rest that tells nothing
        found.append((k, min(max(soc, 0.0), 1.0), bound))
    return found
