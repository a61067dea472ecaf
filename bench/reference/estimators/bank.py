"""The starts of the bank: where SOC and offset of the current may be, and what else may be wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.filter import (
    CAPACITY_ERROR,
    CURVE_V,
    HYSTERESIS,
    KNOTS,
    OFFSET_A,
    PAIR,
    PAIR_ERROR,
    PAIRS,
    PASSING_V,
    R0_ERROR,
    SOC,
    STATES,
    Doubts,
)
from bench.reference.estimators.gate import flat_share

Floats = NDArray[np.float64]

#: Project defaults: SOC of the starts, their standard deviation, and that of a start that was given.
STARTS, START_SD, GIVEN_SD = np.linspace(0.05, 0.95, 10), 0.05, 0.005
#: Part of the weight that goes evenly to all starts, however far from the given one.
ANYWHERE = 0.1


@dataclass(frozen=True, slots=True)
class ModelDoubt:
    """How wrong a cell file and a log may be, one standard deviation each. All project defaults.

    Parameters
    ----------
    curve_v, curve_soc, curve_branches
        Error of the open-circuit curve: in voltage [V], in SOC, and as a part of half the distance between
        the branches (the hysteresis law is the weakest part of a cell file). Combined as squares.
    curve_length
        SOC over which that error is alike.
    curve_walk_v
        What the curve's error grows by in an hour [V], as the root of time.
    hysteresis
        How far the branch strays from its law, of 1 from mean to charge branch.
    resistance, core_k, resistance_walk
        Relative error of ohmic and of RC resistances; how much warmer than its case a cell may be [K], which
        adds what the file says a kelvin does; and change over one full charge moved, as a part of both.
    capacity
        Relative error of the capacity.
    passing_v, passing_fraction, passing_s
        Voltage error that comes and goes: at least [V], as a part of the polarisation, and for how long [s].
    loaded_v
        What one second of voltage is worth under load [V]; longer steps are worth more, as the root.
    given, offset_weight
        Weight of "the initial SOC that was given is right"; of no, of a small and of any current offset.
    preference
        On a flat curve, the estimate (not the bound) takes the given SOC and no offset for so much likelier.
    evidence
        What a likelihood counts for the bound, 0..1: errors of a model are alike from one sample to the next.
    no_offset_per_h, small_offset_per_h, offset_walk_per_h
        Offset that still counts as none, or as small, and walk of it in an hour, in capacities per hour.
    least_slope_v
        Slope of the curve [V per unit of SOC] below which voltage corrects neither SOC nor offset.
    """

    curve_v: float = 0.008
    curve_soc: float = 0.012
    curve_branches: float = 0.3
    curve_length: float = 0.12
    curve_walk_v: float = 0.003
    hysteresis: float = 0.2
    resistance: float = 0.15
    resistance_walk: float = 0.2
    core_k: float = 3.0
    capacity: float = 0.025
    passing_v: float = 0.005
    passing_fraction: float = 0.1
    passing_s: float = 600.0
    loaded_v: float = 0.08
    given: float = 0.5
    before_per_h: float = 0.1
    preference: float = 1e4
    evidence: float = 0.3
    offset_weight: tuple[float, float, float] = (0.05, 0.1, 0.85)
    no_offset_per_h: float = 1.0 / 10000.0
    small_offset_per_h: float = 1.0 / 250.0
    offset_walk_per_h: float = 1.0 / 20000.0
    least_slope_v: float = 0.0

    def curve_covariance(self, model: CellModel) -> Floats:
        """Covariance of the curve's error at the knots [V²], shape (KNOTS, KNOTS)."""
        knots = np.linspace(0.0, 1.0, KNOTS)
        slope = np.abs(model.slope_v(np.clip(knots, 0.02, 0.98), width=0.04))
        branches = self.curve_branches * model.hysteresis_half_v(knots)
        sd = np.sqrt(self.curve_v**2 + (self.curve_soc * slope) ** 2 + branches**2)
        return sd[:, None] * sd * self._alike() + 1e-10 * np.eye(KNOTS)

    def for_filters(self, model: CellModel, temperature_degc: float) -> Doubts:
        """The part that the filters need while they run."""
        return Doubts(
            offset_walk_a=self.offset_walk_per_h * model.capacity_ah,
            resistance_walk=self.resistance_walk * self.of_resistance(model, temperature_degc),
            hysteresis=self.hysteresis,
            passing_v=self.passing_v,
            passing_fraction=self.passing_fraction,
            passing_s=self.passing_s,
            evidence=self.evidence,
            curve_walk=self.curve_walk_v**2 / 3600.0 * self._alike(),
        )

    def of_resistance(self, model: CellModel, temperature_degc: float) -> float:
        """Relative doubt of the resistances; more in the cold, where a few kelvin inside the cell matter."""
        warmer, colder = model.r0_ohm(0.5, [temperature_degc + 1.0, temperature_degc - 1.0])
        fast = model.pair(0, 0.5, [temperature_degc + 1.0, temperature_degc - 1.0])[0]
        per_k = max(abs(np.log(colder / warmer)), abs(np.log(fast[1] / fast[0]))) / 2.0
        return float(np.hypot(self.resistance, self.core_k * per_k))

    def _alike(self) -> Floats:
        """Correlation of the curve's error between knots: near ones alike, and a tenth common to all."""
        knots = np.linspace(0.0, 1.0, KNOTS)
        near = np.exp(-0.5 * ((knots[:, None] - knots) / self.curve_length) ** 2)
        found: Floats = 0.9 * near + 0.1
        return found


@dataclass(frozen=True, slots=True)
class Offset:
    """What is known of the current's offset [A] before the first sample: about `value_a`, or anything."""

    value_a: float
    sd_a: float
    any_sd_a: float


def seed(
    model: CellModel,
    doubt: ModelDoubt,
    *,
    initial_soc: float | None,
    initial_sd: float,
    offset: Offset,
    temperature_degc: float,
    usual_a: Floats,
) -> tuple[Floats, Floats, Floats]:
    """States, covariances and logarithms of the weights of a fresh bank.

    Each SOC of `STARTS`, and the given one, comes twice: with the offset that is known, and with any.

    Parameters
    ----------
    initial_soc, initial_sd
        SOC that somebody states and its standard deviation, or None.
    offset
        What is known of the offset.
    temperature_degc
        At the start [°C].
    usual_a
        Mean current of the use that follows, as each RC pair transfers it [A], shape (PAIRS,).

    Returns
    -------
    tuple
        Shapes (filters, STATES), (filters, STATES, STATES), (filters,).
    """
    soc, sd, weight = _starts(initial_soc, initial_sd, doubt.given)
    offset_sd = np.array(
        [offset.sd_a, max(offset.sd_a, doubt.small_offset_per_h * model.capacity_ah), offset.any_sd_a]
    )
    count, offsets = len(soc), len(offset_sd)
    x, p = np.zeros((offsets * count, STATES)), np.zeros((offsets * count, STATES, STATES))
    x[:, SOC] = np.tile(soc, offsets)
    p[:, SOC, SOC] = np.tile(sd, offsets) ** 2
    x[: 2 * count, OFFSET_A] = offset.value_a
    p[:, OFFSET_A, OFFSET_A] = np.repeat(offset_sd, count) ** 2
    for k in range(model.pairs):
        ohm, _ = model.pair(k, np.clip(x[:, SOC], 0.0, 1.0), temperature_degc)
        # The cell comes out of a rest, or of a use like the one that follows.
        little_a = float(model.transferred_a(k, doubt.before_per_h * model.capacity_ah, temperature_degc))
        x[:, PAIR + k] = 0.5 * usual_a[k] * ohm
        p[:, PAIR + k, PAIR + k] = ((0.5 * usual_a[k]) ** 2 + little_a**2) * ohm**2
    p[:, HYSTERESIS, HYSTERESIS] = 0.7**2
    resistances = slice(R0_ERROR, PAIR_ERROR + PAIRS)
    p[:, resistances, resistances] = doubt.of_resistance(model, temperature_degc) ** 2 * (
        0.6 + 0.4 * np.eye(1 + PAIRS)
    )
    p[:, CAPACITY_ERROR, CAPACITY_ERROR] = doubt.capacity**2
    p[:, PASSING_V, PASSING_V] = doubt.passing_v**2
    p[:, CURVE_V:, CURVE_V:] = doubt.curve_covariance(model)
    # On a flat curve likelihoods are made of the errors of the model: what somebody says stands for longer.
    preference = doubt.preference ** min(1.0, 2.0 * flat_share(model, doubt_v=doubt.curve_v))
    believed = np.outer(doubt.offset_weight, weight)
    chosen = believed.copy()
    chosen[0] *= preference
    if initial_soc is not None:
        chosen[:, 0] *= preference
    return x, p, np.log(np.array([chosen.ravel(), believed.ravel()]))


def _starts(initial_soc: float | None, initial_sd: float, given: float) -> tuple[Floats, Floats, Floats]:
    """SOC, standard deviation and weight of the starts, shape (starts,); the given one first."""
    even = np.full(len(STARTS), 1.0 / len(STARTS))
    if initial_soc is None:
        return STARTS, np.full(len(STARTS), START_SD), even
    near = np.exp(-0.5 * ((STARTS - initial_soc) / max(initial_sd, START_SD)) ** 2)
    weight = (1.0 - ANYWHERE) * near / near.sum() + ANYWHERE * even
    soc = np.concatenate(([initial_soc], STARTS))
    sd = np.concatenate(([min(GIVEN_SD, initial_sd)], np.full(len(STARTS), START_SD)))
    return soc, sd, np.concatenate(([given], (1.0 - given) * weight))
