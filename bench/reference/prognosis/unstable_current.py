"""The current ripples or chatters although the load did not ask for it.

In each window the variance of what was not asked for is held against what is nominal: ripple of the machine
and noise of the sensor. If the current that was asked for is known, its difference counts, and the time just
after a step is left out. If not, each triple of samples gives how far its middle lies off the line between
its neighbours: ramps vanish, a single load step touches one triple and is cut to three sigma, chatter moves
them all. How much they show of a chatter depends on its frequency: nothing of a slow one, and of one from
sample to sample the square of `_MOST_BEND` times its own.

The cube root of a variance ratio is about normal, so the run lengths of `run_length` hold.
Source: E. B. Wilson, M. M. Hilferty, Proc. National Academy of Sciences 17 (1931), 684-688, as cited by the
R package fastmatrix (`wilson.hilferty`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtr

from bench.errors import Inconclusive, InvalidInput
from bench.record import Floats
from bench.reference.prognosis.detection import FALSE_ALARM_S, Cusum, design_cusum
from bench.reference.prognosis.due import EAGER, episodes
from bench.reference.prognosis.run_length import alarm_probability
from bench.reference.prognosis.samples import block_means, checked, effective_samples, neighbours_alike
from bench.reference.prognosis.warning import Due, Rule, Sensing, Warned
from bench.verdict import Window

#: Ripple above the nominal one, rms in A, project default: abnormal, and still tolerated.
RULE = Rule(abnormal=5.0, tolerated=2.0, false_alarm_s=FALSE_ALARM_S)
#: A triple counts at most as this many sigma.
_CUT = 3.0
#: Largest factor from the amplitude of a chatter to the bend of a triple: (1 + 1) / sqrt(1.5).
_MOST_BEND = 2.0 / np.sqrt(1.5)
#: Triples of a window that may be load steps and do not count for the magnitude, project default.
_STEPS = 2


@dataclass(frozen=True, slots=True)
class Ripple:
    """Variance of the current that nobody asked for, in windows.

    Parameters
    ----------
    t_s
        End of each window [s], shape (windows,); `window_s` is its length.
    square_a2
        Mean square that alarms [A^2], shape (windows,); nan where there were too few samples.
    size_a2
        Mean square that gives the magnitude [A^2], shape (windows,).
    freedom
        Independent samples behind it, shape (windows,).
    nominal_a
        Ripple that belongs to the machine, rms [A].
    cut
        A sample of `square_a2` counts at most as this many squared sigma; inf: it is not cut.
    least_share
        Share of `size_a2` above the nominal that is ripple for certain.
    """

    t_s: Floats
    window_s: float
    square_a2: Floats
    size_a2: Floats
    freedom: Floats
    nominal_a: float
    cut: float = np.inf
    least_share: float = 1.0

    def standardised(self, *, sigma_a: float, square_a2: Floats | None = None) -> Floats:
        """Mean 0 and standard deviation 1 while the ripple is nominal and a sensor of `sigma_a` [A] looks."""
        square = self.square_a2 if square_a2 is None else square_a2
        part = 2.0 / (9.0 * self.freedom)
        found: Floats = (np.cbrt(square / (self.nominal_a**2 + sigma_a**2)) - (1.0 - part)) / np.sqrt(part)
        return found


def ripple(
    *,
    t_s: ArrayLike,
    current_a: ArrayLike,
    asked_a: ArrayLike | None = None,
    nominal_a: float,
    sensor_sigma_a: float,
    window_s: float = 10.0,
    settle_s: float = 1.0,
    step_a: float = 5.0,
    correlation_s: float = 0.0,
) -> Ripple:
    """Return how much of the current nobody asked for.

    Parameters
    ----------
    t_s, current_a
        Bench time [s] and pack current [A], shapes (time,).
    asked_a
        Current that the load or charger was asked for [A], shape (time,); None: not known.
    nominal_a
        Ripple that belongs to the machine, rms [A].
    sensor_sigma_a
        Noise of the sensor behind `current_a`, standard deviation [A].
    window_s
        Length of a window [s].
    settle_s, step_a
        Samples within `settle_s` [s] after a change of `asked_a` by more than `step_a` [A] do not count.
    correlation_s
        Correlation time of nominal ripple and noise [s].
    """
    where = "unstable current"
    for name, given in (("nominal_a", nominal_a), ("sensor_sigma_a", sensor_sigma_a)):
        if not (np.isfinite(given) and given >= 0.0):
            raise InvalidInput(f"{where}: {name}", expected="0 or above", found=f"{given:g}")
    times, (current,) = checked(where, t_s, ("current_a", current_a))
    period_s = float(np.median(np.diff(times)))
    if asked_a is None and len(times) < 3:
        raise InvalidInput(f"{where}: t_s", expected="three times or more", found=f"{len(times)}")
    if asked_a is None:
        level = np.hypot(nominal_a, sensor_sigma_a)
        times, whole = _triples(times, current)
        square, period_s, lost = np.minimum(whole, (_CUT * level) ** 2), 3.0 * period_s, 0.0
        size = _without_steps(times, whole, window_s)
    else:
        _, (asked,) = checked(where, t_s, ("asked_a", asked_a))
        apart = np.where(_after_step(times, asked, step_a, settle_s), np.nan, current - asked)
        mean = block_means(t_s=times, value=apart, block_s=window_s)
        number = np.searchsorted(mean.t_s - window_s, times + 1e-9, side="right") - 1
        square, lost = (apart - mean.value[number, 0]) ** 2, 1.0
        size = None
    blocks = block_means(t_s=times, value=square, block_s=window_s)
    count = blocks.count[:, 0]
    phi = neighbours_alike(correlation_s=correlation_s, period_s=period_s)
    # The squares of a correlated series are correlated with the square of its coefficient.
    freedom = np.maximum(effective_samples(count - lost, phi=phi * phi), 1.0)
    mean_square = blocks.value[:, 0] * count / np.maximum(count - lost, 1.0)
    if size is None:
        return Ripple(blocks.t_s, window_s, mean_square, mean_square, freedom, nominal_a)
    return Ripple(
        blocks.t_s,
        window_s,
        mean_square,
        size,
        freedom,
        nominal_a,
        cut=_CUT**2,
        least_share=float(_MOST_BEND**-2),
    )


def _triples(times: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Time and square of how far each triple's middle lies off the line, both (triples,)."""
    count = len(times) // 3
    rows = current[: 3 * count].reshape(count, 3)
    bend = (rows[:, 1] - 0.5 * (rows[:, 0] + rows[:, 2])) / np.sqrt(1.5)
    return times[1 : 3 * count : 3], bend**2


def _without_steps(times: Floats, square: Floats, window_s: float) -> Floats:
    """Mean of `square` (triples,) in each window, without its `_STEPS` largest, shape (windows,)."""
    number = np.floor((times - times[0]) / window_s + 1e-9).astype(np.int64)
    order = np.lexsort((-np.nan_to_num(square), number))
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    small = np.where(place >= _STEPS, square[order], np.nan)
    known = np.isfinite(small)
    count = np.add.reduceat(known.astype(np.float64), first)
    total = np.add.reduceat(np.where(known, small, 0.0), first)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))


def _after_step(times: Floats, asked: Floats, step_a: float, settle_s: float) -> np.ndarray:
    steps = times[1:][np.abs(np.diff(asked)) > step_a]
    last = np.searchsorted(steps, times + 1e-9, side="right") - 1
    since = (
        times - np.append(steps, -np.inf)[np.maximum(last, 0)] if len(steps) else np.full(len(times), np.inf)
    )
    found: np.ndarray = (last >= 0) & (since <= settle_s)
    return found


def chart_for(ripple: Ripple, *, sigma_a: float, rule: Rule, scale: float = 1.0) -> Cusum:
    """Return the chart made for `scale` times the abnormal ripple with a sensor of `sigma_a` [A]."""
    if not np.isfinite(ripple.square_a2).any():
        raise Inconclusive(f"unstable current: {len(ripple.t_s)} windows, and nothing in them to judge")
    freedom = float(np.nanmedian(ripple.freedom))
    part = 2.0 / (9.0 * freedom)
    ratio = 1.0 + (scale * rule.abnormal) ** 2 / (ripple.nominal_a**2 + sigma_a**2)
    mean = float(np.clip((np.cbrt(ratio) - 1.0) * (1.0 - part) / np.sqrt(part), 0.25, 4.0))
    shift = 2.0 ** (round(4.0 * np.log2(mean)) / 4.0)
    return design_cusum(shift=shift, period_s=ripple.window_s, sides="up", false_alarm_s=rule.false_alarm_s)


def warnings_of(ripple: Ripple, *, sigma_a: float, rule: Rule) -> tuple[Warned, ...]:
    """Return the warnings that a sound DUT with the sensor noise `sigma_a` [A] gives: one per excursion."""
    chart = chart_for(ripple, sigma_a=sigma_a, rule=rule)
    statistic = chart.upper(ripple.standardised(sigma_a=sigma_a)[:, None])[:, 0]
    found = []
    for first, alarm, last in episodes(statistic, chart.h):
        onset = _onset(statistic, first, alarm)
        for index in range(alarm, last + 1):
            if _excess_a(ripple, onset, index, sigma_a)[1] >= rule.convincing:
                found.append(Warned(float(ripple.t_s[index])))
                break
    return tuple(found)


def due_windows(ripple: Ripple, *, sensing: Sensing, rule: Rule) -> tuple[Due, ...]:
    """Return what is due from what the bench measured; the unit of magnitudes is A rms above the nominal.

    Parameters
    ----------
    ripple
        From the bench's measurement.
    sensing
        Noise of the current sensors [A].
    rule
        What is abnormal, rms [A].
    """
    chart = chart_for(ripple, sigma_a=sensing.bench_sigma, rule=rule)
    statistic = chart.upper(ripple.standardised(sigma_a=sensing.bench_sigma)[:, None])[:, 0]
    found = []
    for first, alarm, last in episodes(statistic, chart.h):
        onset = _onset(statistic, first, alarm)
        # The statistic comes down long after the ripple: its highest point is where that ended.
        standardised = ripple.standardised(sigma_a=sensing.bench_sigma)[alarm : last + 1]
        over = np.flatnonzero(standardised > 2.0 * chart.k)
        end = alarm + int(over[-1]) if over.size else alarm
        weak, best, strong = _excess_a(ripple, onset, end, sensing.bench_sigma)
        due = _due(ripple, onset, end, (weak, best, strong), sensing.dut_sigma, rule)
        found += [due] if due else []
    return tuple(found)


def _onset(statistic: Floats, first: int, alarm: int) -> int:
    zeros = np.flatnonzero(statistic[first:alarm] <= 0.0)
    return first + int(zeros[-1]) + 1 if zeros.size else first


def _excess_a(ripple: Ripple, onset: int, last: int, sigma_a: float) -> tuple[float, float, float]:
    """Ripple above the nominal over windows `onset` to `last` [A rms]: least (k = 2), best, greatest."""
    square, freedom = ripple.size_a2[onset : last + 1], ripple.freedom[onset : last + 1]
    use = np.isfinite(square)
    total = float(freedom[use].sum())
    mean = float((square[use] * freedom[use]).sum() / total) if total else 0.0
    level = ripple.nominal_a**2 + sigma_a**2
    spread = 2.0 * np.sqrt(2.0 / total) if total else np.inf
    low, high = mean * (1.0 - spread), mean * (1.0 + spread)
    least, best, most = np.sqrt(np.maximum(np.array([low, mean, high]) - level, 0.0))
    return float(least * np.sqrt(ripple.least_share)), float(best), float(most)


def _due(
    ripple: Ripple, onset: int, last: int, excess_a: tuple[float, float, float], sigma_a: float, rule: Rule
) -> Due | None:
    weak, best, strong = excess_a
    if strong <= rule.tolerated:
        return None
    start_s = float(ripple.t_s[onset] - ripple.window_s)
    part = slice(onset, last + 1)
    charts = [chart_for(ripple, sigma_a=sigma_a, rule=rule, scale=scale) for scale in EAGER]
    early = [_alarmed(ripple, part, strong, sigma_a, chart, steady=True) for chart in charts]
    hits = np.flatnonzero(np.max(early, axis=0) >= rule.could)
    if not hits.size:
        return None
    earliest_s = float(ripple.t_s[onset + hits[0]] - ripple.window_s)
    latest_s = np.nan
    if weak >= rule.abnormal:
        alarmed = _alarmed(
            ripple, part, weak, sigma_a, chart_for(ripple, sigma_a=sigma_a, rule=rule), steady=False
        )
        surely = np.flatnonzero(alarmed >= rule.must)
        if surely.size:
            latest_s = float(ripple.t_s[onset + surely[0]] + ripple.window_s + rule.report_s)
    demanded = bool(np.isfinite(latest_s))
    # A chart needs a window or two more to come down, and may still alarm.
    end_s = float(ripple.t_s[last]) + 2.0 * ripple.window_s + rule.report_s
    reason = f"{best:.3g} A rms above nominal since {start_s:.0f} s, abnormal from {rule.abnormal:.3g} A"
    window = Window(
        max(start_s, earliest_s), latest_s if demanded else end_s, "s", "unstable current warning", reason,
        must=demanded,
    )  # fmt: skip
    slack = 0.5 * (strong - weak)
    return Due("unstable current", -1, start_s, end_s, best, slack, "A", window)


def _alarmed(
    ripple: Ripple, part: slice, excess_a: float, sigma_a: float, chart: Cusum, *, steady: bool
) -> Floats:
    """Probability that a DUT's chart alarms on a ripple of `excess_a` [A rms], beyond its false alarms."""
    level = ripple.nominal_a**2 + sigma_a**2
    ratio = float(np.cbrt(_kept(1.0 + excess_a**2 / level, ripple.cut)))
    share = 2.0 / (9.0 * ripple.freedom[part])
    mean = (ratio - 1.0) * (1.0 - share) / np.sqrt(share)
    mean = np.where(np.isfinite(ripple.square_a2[part]), mean, np.nan)
    spread = np.full(len(mean), ratio)
    alarmed = alarm_probability(k=chart.k, h=chart.h, mean=mean, sigma=spread, steady=steady)
    if not steady:
        return alarmed
    return alarmed - alarm_probability(k=chart.k, h=chart.h, mean=0.0 * mean, steady=True)


def _kept(ratio: float, cut: float) -> float:
    """Mean of ``min(b^2, cut)`` for a normal b of variance `ratio`."""
    if np.isinf(cut):
        return ratio
    tail = 1.0 - chdtr(1, cut / ratio)
    return float(ratio * chdtr(3, cut / ratio) + cut * tail)
