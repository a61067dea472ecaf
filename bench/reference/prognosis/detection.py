"""Detection of a change of the mean, with a stated rate of false alarms and a known delay.

A `Cusum` is designed for the shift that it has to find and for the mean time between its false alarms; an
`Ewma` is here to compare. Both take standardised values (mean 0, standard deviation 1 while nothing is
wrong) that are about independent: see `samples` for correlated noise. A nan is skipped: the chart stands
still, and only valid samples are counted.

Source: standard CUSUM and EWMA charts; run lengths as in `run_length`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.intervals import Mask
from bench.reference.prognosis.run_length import (
    both_sides,
    cusum_arl,
    cusum_threshold,
    ewma_arl,
    ewma_width,
)

Sides = Literal["up", "down", "both"]
#: Hours between two false alarms of one phenomenon over all cells or sensors of a pack, project default.
FALSE_ALARM_S = 10_000.0 * 3600.0


@dataclass(frozen=True, slots=True)
class Cusum:
    """A CUSUM chart: alarm when ``S = max(0, S + x - k)`` reaches `h`, or its mirror image does.

    Parameters
    ----------
    k
        Reference value in sigma: half the shift that it is made for.
    h
        Threshold in sigma.
    sides
        Which change alarms.
    """

    k: float
    h: float
    sides: Sides = "both"

    def arl(self, shift: float = 0.0) -> float:
        """Mean run length [samples] with a mean of `shift` [sigma] from the start; ARL0 at 0, else ARL1."""
        up = cusum_arl(k=self.k, h=self.h, mean=shift)
        down = cusum_arl(k=self.k, h=self.h, mean=-shift)
        return {"up": up, "down": down, "both": both_sides(up, down)}[self.sides]

    def upper(self, value: Floats) -> Floats:
        """Statistic of the upper side, held at `h` at most, shape of `value` (time, channels)."""
        found = np.empty_like(value)
        state = np.zeros(value.shape[1:])
        for index, step in enumerate(np.where(np.isfinite(value), value - self.k, 0.0)):
            state = np.minimum(np.maximum(state + step, 0.0), self.h)
            found[index] = state
        return found

    def signed(self, value: Floats) -> Floats:
        """Statistic of the side that stands higher, negative for the lower one, shape of `value`."""
        up = self.upper(value) if self.sides != "down" else np.zeros_like(value)
        down = self.upper(-value) if self.sides != "up" else np.zeros_like(value)
        return np.where(up >= down, up, -down)

    def alarms(self, value: Floats) -> Mask:
        """Samples at which it alarms, shape of `value` (time, channels); it starts again after each alarm."""
        found = np.zeros(value.shape, dtype=np.bool_)
        signs = [sign for sign, side in ((1.0, "up"), (-1.0, "down")) if self.sides in (side, "both")]
        states = [np.zeros(value.shape[1:]) for _ in signs]
        clean = np.where(np.isfinite(value), value, 0.0)
        valid = np.isfinite(value)
        for index in range(len(value)):
            hit = np.zeros(value.shape[1:], dtype=np.bool_)
            for side, sign in enumerate(signs):
                step = np.where(valid[index], sign * clean[index] - self.k, 0.0)
                states[side] = np.maximum(states[side] + step, 0.0)
                hit |= states[side] >= self.h
            found[index] = hit
            states = [np.where(hit, 0.0, state) for state in states]
        return found


@dataclass(frozen=True, slots=True)
class Ewma:
    """A two-sided EWMA chart: alarm when ``Z = (1 - weight) Z + weight x`` leaves its limits.

    The limits are `width` times the asymptotic standard deviation of Z.
    """

    weight: float
    width: float

    def arl(self, shift: float = 0.0) -> float:
        """Mean run length [samples] with a mean of `shift` [sigma] from the start."""
        return ewma_arl(weight=self.weight, width=self.width, mean=shift)

    def alarms(self, value: Floats) -> Mask:
        """Samples at which it alarms, shape of `value` (time, channels); it starts again after each alarm."""
        limit = self.width * np.sqrt(self.weight / (2.0 - self.weight))
        found = np.zeros(value.shape, dtype=np.bool_)
        state = np.zeros(value.shape[1:])
        for index, sample in enumerate(value):
            moved = (1.0 - self.weight) * state + self.weight * sample
            state = np.where(np.isfinite(sample), moved, state)
            found[index] = (np.abs(state) > limit) & np.isfinite(sample)
            state = np.where(found[index], 0.0, state)
        return found


def samples_between_false_alarms(
    *, false_alarm_s: float, period_s: float, channels: int = 1, sides: Sides = "both"
) -> float:
    """Return the ARL0 that each one-sided chart needs, so that all together keep the stated rate.

    Rates of alarm add over channels and sides; correlation between channels only lowers the sum's spread.
    """
    for name, given in (("false_alarm_s", false_alarm_s), ("period_s", period_s), ("channels", channels)):
        if not (np.isfinite(given) and given > 0):
            raise InvalidInput(f"design of a chart: {name}", expected="above 0", found=f"{given:g}")
    return channels * (2 if sides == "both" else 1) * false_alarm_s / period_s


def design_cusum(
    *,
    shift: float,
    period_s: float,
    channels: int = 1,
    sides: Sides = "both",
    false_alarm_s: float = FALSE_ALARM_S,
) -> Cusum:
    """Return the CUSUM made for a change of the mean by `shift` [sigma] with a stated false-alarm rate.

    Parameters
    ----------
    shift
        Change of the mean that it is made for [sigma of one sample]; smaller ones are found later.
    period_s
        Time between two samples [s].
    channels
        Charts that run side by side and share the rate of false alarms.
    false_alarm_s
        Mean time between false alarms over all channels and both sides [s of valid samples].
    """
    arl0 = samples_between_false_alarms(
        false_alarm_s=false_alarm_s, period_s=period_s, channels=channels, sides=sides
    )
    k = 0.5 * shift
    return Cusum(k, cusum_threshold(k=k, arl0=arl0), sides)


def design_ewma(
    *, weight: float, period_s: float, channels: int = 1, false_alarm_s: float = FALSE_ALARM_S
) -> Ewma:
    """Return the two-sided EWMA with a stated false-alarm rate; arguments as in `design_cusum`."""
    arl0 = 0.5 * samples_between_false_alarms(
        false_alarm_s=false_alarm_s, period_s=period_s, channels=channels, sides="both"
    )
    return Ewma(weight, ewma_width(weight=weight, arl0=arl0))
