"""When a predictive warning is due, and what a sound DUT would have warned of.

The bench measures the pack more closely than the DUT does. From what it measured it finds changes, estimates
their onset and magnitude, and works out what a chart in a DUT with the *declared* noise would have made of
them:

- *earliest*: the first time at which such a chart could have alarmed (with a probability of `could`, beyond
  its false alarms), for a DUT that had learned the pack before, and for charts made for half to twice the
  declared magnitude. Before that the indication could not justify a warning at the stated rate.
- *latest*: the first time by which the chart of the stated rate, started from nothing, has alarmed with the
  probability `must`; the magnitude must surely be what the maker declares abnormal.

Magnitudes are widened by their expanded uncertainty (k = 2): upwards for *earliest*, downwards for *latest*.
A warning without any of this is a false alarm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from bench.errors import Inconclusive
from bench.record import Floats
from bench.reference.prognosis.detection import Cusum, design_cusum
from bench.reference.prognosis.indication import Estimate, Growth, Indication
from bench.reference.prognosis.run_length import alarm_probability
from bench.reference.prognosis.warning import Due, Rule, Sensing, Warned
from bench.verdict import Window

#: Charts for this many times the declared magnitude count for *earliest*.
EAGER = (0.5, 1.0, 2.0)


def chart_for(indication: Indication, *, sigma: float, rule: Rule, scale: float = 1.0) -> Cusum:
    """Return the chart for `scale` times the abnormal magnitude, for a noise of `sigma`, at the stated rate.

    The shift it is made for is the mean of the standardised change over the time in which a likelihood ratio
    of the same rate decides: for a step the step itself, for a ramp what it has grown to.

    Raises
    ------
    Inconclusive
        If there is not one block that can be judged.
    """
    if not np.isfinite(indication.value).any():
        raise Inconclusive(
            f"{indication.phenomenon}: {len(indication.t_s)} blocks, and nothing in them to judge"
        )
    channel = int(np.argmax(np.isfinite(indication.weight).sum(axis=0)))
    weight = np.full(len(indication.t_s), np.nanmedian(indication.weight[:, channel]))
    since_s: Floats = (np.arange(len(weight), dtype=np.float64)[:, None] + 0.5) * indication.block_s
    gain = indication.growth.gain
    usual = 1.0 if gain is None else float(np.median(np.abs(gain[gain != 0.0]))) if gain.any() else 1.0
    height: Floats = usual * replace(indication.growth, gain=None).of(since_s)[:, 0]
    shift = np.abs(height) * weight * scale * rule.abnormal / sigma
    decisive = 2.0 * np.log(indication.channels * rule.false_alarm_s / indication.block_s)
    count = int(np.searchsorted(np.cumsum(shift**2), decisive)) + 1
    mean = float(np.clip(np.mean(shift[:count]), 0.25, 4.0))
    # Steps of a quarter octave: thresholds are kept, and a chart is not that sensitive to its design.
    rounded = 2.0 ** (round(4.0 * np.log2(mean)) / 4.0)
    return design_cusum(
        shift=rounded,
        period_s=indication.block_s,
        channels=indication.channels,
        sides=indication.sides,
        false_alarm_s=rule.false_alarm_s,
    )


def due_windows(indication: Indication, *, sensing: Sensing, rule: Rule) -> tuple[Due, ...]:
    """Return what is due from what the bench measured, sorted by onset.

    Parameters
    ----------
    indication
        From the bench's measurement.
    sensing
        Noise of one sample, in the unit of the series.
    rule
        What is abnormal.

    Raises
    ------
    Inconclusive
        If there is not one block that can be judged.
    """
    residual = indication.residuals()
    chart = chart_for(indication, sigma=sensing.bench_sigma, rule=rule)
    statistic = chart.signed(residual / sensing.bench_sigma)
    found = []
    for channel in np.flatnonzero((np.abs(statistic) >= chart.h).any(axis=0)):
        for estimate, last in changes(indication, int(channel), statistic[:, channel], chart.h):
            slack = estimate.uncertainty(sensing.bench_sigma)
            if abs(estimate.magnitude) + slack > rule.tolerated:
                due = _due(indication, int(channel), estimate, slack, last, sensing.dut_sigma, rule)
                found += [due] if due else []
    return tuple(sorted(found, key=lambda due: (due.onset_s, due.channel)))


def episodes(statistic: Floats, threshold: float) -> list[tuple[int, int, int]]:
    """First possible onset, alarm, and last block of each excursion of `statistic` (blocks,)."""
    found, first = [], 0
    while (hits := np.flatnonzero(np.abs(statistic[first:]) >= threshold)).size:
        alarm = first + int(hits[0])
        over = np.flatnonzero(statistic[alarm:] * np.sign(statistic[alarm]) <= 0.0)
        last = alarm + int(over[0]) if over.size else len(statistic) - 1
        found.append((first, alarm, last))
        first = last + 1
        if first >= len(statistic):
            break
    return found


def changes(
    indication: Indication, channel: int, statistic: Floats, threshold: float
) -> list[tuple[Estimate, int]]:
    """Return the changes in one channel, and the last block in which each is at work.

    A statistic may come down while a change goes on, where a regressor looks like it for a while. So an
    excursion that is best explained by a change since the one before it is that change, and not another.
    """
    found: list[tuple[Estimate, int]] = []
    begun, decided = 0, 0
    for first, alarm, last in episodes(statistic, threshold):
        if found:
            whole = genuine(indication, channel, first=begun, alarm=alarm, last=last)
            if whole and whole.onset <= decided and whole.magnitude * found[-1][0].magnitude > 0.0:
                found[-1] = whole, last
                continue
        estimate = genuine(indication, channel, first=first, alarm=alarm, last=last)
        if estimate:
            found.append((estimate, last))
            begun, decided = first, alarm
    return found


def genuine(
    indication: Indication, channel: int, *, first: int = 0, alarm: int, last: int
) -> Estimate | None:
    """Return the change in one channel, or None if one of its rivals explains it better."""
    estimate, explained = indication.estimate(channel, first=first, latest=alarm, last=last)
    for rival in indication.rivals:
        _, other = indication.estimate(channel, first=first, latest=alarm, last=last, growth=rival)
        if other >= explained:
            return None
    return estimate if estimate.magnitude else None


def _due(
    indication: Indication, channel: int, found: Estimate, slack: float, last: int, sigma: float, rule: Rule
) -> Due | None:
    start_s = indication.t_s[found.onset] - indication.block_s
    strong, weak = abs(found.magnitude) + slack, abs(found.magnitude) - slack
    earliest_s = _earliest_s(indication, channel, found.onset, last, strong / sigma, sigma, rule)
    if np.isnan(earliest_s):
        return None
    latest_s = np.nan
    if weak >= rule.abnormal:
        latest_s = _latest_s(indication, channel, found.onset, last, weak / sigma, sigma, rule)
    demanded = bool(np.isfinite(latest_s))
    end_s = float(indication.t_s[last])
    until_s = np.inf if last == len(indication.t_s) - 1 else end_s
    reason = (
        f"{indication.phenomenon} of {found.magnitude:.3g} +- {slack:.1g} {indication.unit} "
        f"since {start_s:.0f} s, abnormal from {rule.abnormal:.3g}"
    )
    window = Window(
        float(max(start_s, earliest_s)),
        latest_s if demanded else end_s,
        "s",
        f"{indication.phenomenon} warning",
        reason,
        must=demanded,
    )
    return Due(
        indication.phenomenon,
        channel,
        float(start_s),
        until_s,
        found.magnitude,
        slack,
        indication.unit,
        window,
    )


def _earliest_s(
    indication: Indication, channel: int, onset: int, last: int, ratio: float, sigma: float, rule: Rule
) -> float:
    """Start of the first block by whose end a chart could have alarmed [s]; nan if none could."""
    mean = np.abs(indication.mature(indication.growth, onset, channel)[onset : last + 1]) * ratio
    best = np.nan
    for scale in EAGER:
        chart = chart_for(indication, sigma=sigma, rule=rule, scale=scale)
        alarmed = alarm_probability(k=chart.k, h=chart.h, mean=mean, steady=True)
        idle = alarm_probability(k=chart.k, h=chart.h, mean=0.0 * mean, steady=True)
        hits = np.flatnonzero(alarmed - idle >= rule.could)
        if hits.size:
            # The DUT's blocks need not lie as the bench's do: a block earlier is as good.
            best = float(np.fmin(best, indication.t_s[onset + hits[0]] - indication.block_s))
    return best


def _latest_s(
    indication: Indication, channel: int, onset: int, last: int, ratio: float, sigma: float, rule: Rule
) -> float:
    """Time by which the chart has alarmed, the magnitude is clear and no rival fits [s]; nan if never."""
    response = indication.responses(indication.growth, np.array([onset]), channel)[onset : last + 1, 0]
    chart = chart_for(indication, sigma=sigma, rule=rule)
    alarmed = alarm_probability(k=chart.k, h=chart.h, mean=np.abs(response) * ratio, steady=False)
    energy = np.cumsum(np.nan_to_num(response) ** 2)
    clear = ndtr((ratio - rule.convincing / sigma) * np.sqrt(energy))
    told = np.ones_like(clear)
    for rival in indication.rivals:
        unlike = 1.0 - _likeness(indication, rival, onset, channel, response)
        told += ndtr(0.5 * ratio * np.sqrt(energy * unlike)) - 1.0
    # Not independent, so their failures are added.
    hits = np.flatnonzero(alarmed + clear + told - 2.0 >= rule.must)
    if not hits.size:
        return np.nan
    # One block for the DUT's own grid, and its report.
    return float(indication.t_s[onset + hits[0]] + indication.block_s + rule.report_s)


def _likeness(indication: Indication, rival: Growth, onset: int, channel: int, response: Floats) -> Floats:
    """Largest squared correlation of a rival's response with `response` by each block, shape (blocks,)."""
    count = len(response)
    onsets = onset + np.unique(np.linspace(0, count - 1, 32).astype(np.intp))
    other = np.nan_to_num(indication.responses(rival, onsets, channel)[onset : onset + count])
    own = np.nan_to_num(response)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        likeness = np.cumsum(own * other, axis=0) ** 2 / (
            np.cumsum(other**2, axis=0) * np.cumsum(own**2, axis=0)
        )
    best: Floats = np.clip(np.nan_to_num(likeness).max(axis=1), 0.0, 1.0)
    return best


def warnings_of(indication: Indication, *, sigma: float, rule: Rule) -> tuple[Warned, ...]:
    """Return the warnings that a sound DUT with the noise `sigma` gives, the first of each channel.

    The chart of the stated rate alarms, the change is not one of its rivals, and its magnitude is more than
    half way between tolerated and abnormal. This is the detector whose probability of detection makes `Due`.
    """
    residual = indication.residuals()
    chart = chart_for(indication, sigma=sigma, rule=rule)
    statistic = chart.signed(residual / sigma)
    found = []
    for channel in np.flatnonzero((np.abs(statistic) >= chart.h).any(axis=0)):
        for index in _looks(np.flatnonzero(np.abs(statistic[:, channel]) >= chart.h)):
            estimate = genuine(indication, int(channel), alarm=int(index), last=int(index))
            if estimate and abs(estimate.magnitude) >= rule.convincing:
                found.append(Warned(float(indication.t_s[index]), int(channel)))
                break
    return tuple(sorted(found, key=lambda warned: warned.t_s))


def _looks(hits: np.ndarray) -> np.ndarray:
    """Of the blocks with an alarm the first forty, and then some 3 % further each time: for speed."""
    steps = np.unique((40.0 * 1.03 ** np.arange(250)).astype(np.intp))
    chosen = np.concatenate((np.arange(40), steps))
    found: np.ndarray = hits[chosen[chosen < len(hits)]]
    return found
