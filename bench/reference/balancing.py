"""Which cells must, may and must not bleed, and how much.

The DUT compares cells that it measures within `cell_tolerance_v` each, so a spread is known to it within
twice that (plus twice the bench's uncertainty), and a voltage within once. Bleeding is measured at the cell
emulator (`cell_a`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.record import Floats, Trace
from bench.reference.findings import Finding
from bench.reference.intervals import Mask, held, inside, runs, sliding, union
from bench.reference.observed import TASK_S, Observed, report_age_s
from bench.verdict import Window, around
from dut_profiles.profile import Balancing, Profile

#: A channel bleeds if it carries more than this share of the declared current, project default.
BLEEDS_FRACTION = 0.5
#: `dut.state` as in docs/reference/hd_can.md, and the mode of `balancing.modes` that it belongs to.
STATE_MODES = {1: "standby", 2: "drive", 3: "drive", 4: "charge"}


@dataclass(frozen=True, slots=True)
class Permission:
    """What balancing asks of each cell at each time; all masks have shape (time, cells).

    What is neither in `must` nor in `must_not` may bleed.
    """

    t_s: Floats
    must: Mask
    may: Mask

    @property
    def must_not(self) -> Mask:
        """Cells that must not bleed."""
        return ~self.may


def bleed_current_window(profile: Profile, cell_v: float, *, uncertainty_a: float = 0.0) -> Window:
    """Bleed current [A] of one channel, a resistor: ``current_a * cell_v / nominal_cell_v``."""
    declared = profile.balancing
    expected_a = declared.current_a * cell_v / declared.nominal_cell_v
    return around(
        expected_a,
        expected_a * declared.current_tolerance_fraction + uncertainty_a,
        unit="A",
        what="bleed current",
        reason=f"balancing.current_a at {cell_v:.3f} V",
    )


def permission(observed: Observed) -> Permission | None:
    """Work out who must and may bleed at each sample of the measured cells; None if no cell was measured.

    ``may``: at or above `start_v`; spread to the lowest cell has reached `start_spread_v` and not surely
    fallen to `stop_spread_v` since; a permitted mode; not too hot; little current unless charging. Each
    judged with its tolerance in the DUT's favour. ``must``: all of it with the tolerance against the DUT, and
    balancing enabled.
    """
    cells = observed.traces.get("cell_v")
    if cells is None or cells.value.ndim != 2:
        return None
    declared = observed.profile.balancing
    band_v = observed.profile.measurement.cell_tolerance_v + cells.uncertainty
    lowest = np.fmin.reduce(cells.value, axis=1)[:, None]
    spread = cells.value - lowest
    started = spread >= declared.start_spread_v - 2.0 * band_v
    stopped = spread < declared.stop_spread_v - 2.0 * band_v
    may = held(started, stopped) & (cells.value >= declared.start_v - band_v)
    may |= np.isnan(cells.value)
    surely = (spread >= declared.start_spread_v + 2.0 * band_v) & (cells.value >= declared.start_v + band_v)
    common_may, common_must = _conditions(observed, declared, cells.t_s)
    return Permission(cells.t_s, surely & common_must[:, None], may & common_may[:, None])


def judge_balancing(observed: Observed) -> list[Finding]:
    """Judge the measured bleed currents: where, when, how many, how much; and the flags that are reported."""
    bled, asked = observed.traces.get("cell_a"), permission(observed)
    if bled is None or asked is None or bled.value.ndim != 2 or bled.value.shape[1] != asked.may.shape[1]:
        return []
    declared = observed.profile.balancing
    on = bled.value > BLEEDS_FRACTION * declared.current_a + bled.uncertainty
    excused = inside(
        union(observed.story.dark, observed.story.faulty("open_sense", "series_sense")), bled.t_s
    )
    on &= ~excused[:, None]
    found = _forbidden(observed, bled, on, asked)
    found += _too_many(observed, bled, on)
    found += _wrong_current(observed, bled, on)
    found += _not_bled(observed, bled, on, asked)
    return found + _misreported(observed, bled, on)


def _conditions(observed: Observed, declared: Balancing, t_s: Floats) -> tuple[Mask, Mask]:
    """Conditions on all cells: they may bleed; nothing certainly speaks against it. Shape (time,) each."""
    profile, story = observed.profile, observed.story
    may, must = np.ones(len(t_s), dtype=np.bool_), np.ones(len(t_s), dtype=np.bool_)
    state = _newest(observed.traces.get("dut.state"), t_s)
    asked = _mode_numbers(observed, t_s)
    reported_ok = np.isin(state, [n for n, mode in STATE_MODES.items() if mode in declared.modes])
    asked_ok = np.isin(asked, [n for n, mode in STATE_MODES.items() if mode in declared.modes])
    # A mode takes time to follow: either may still be the old one. Fault and lock never bleed.
    known_state, known_mode = np.isfinite(state), np.isfinite(asked)
    may &= np.where(
        known_state, reported_ok | (known_mode & asked_ok & ~np.isin(state, (5, 6))), asked_ok | ~known_mode
    )
    must &= known_state & reported_ok & (~known_mode | asked_ok)
    heat = observed.extremes("temperature_degc")
    if heat is not None:
        slack_k = profile.measurement.temperature_tolerance_k + heat.uncertainty
        low, high = sliding(heat.t_s, heat.high, t_s, t_s)
        may &= ~(low > declared.max_temperature_degc + slack_k)
        must &= high < declared.max_temperature_degc - slack_k
    current = observed.traces.get("current_a")
    if current is not None:
        slack_a = profile.measurement.current_tolerance_a + current.uncertainty
        low, high = sliding(current.t_s, current.value, t_s, t_s)
        charging = (state == 4) | (asked == 4)
        may &= ~(np.fmax(low, -high) > declared.max_current_a + slack_a) | charging
        must &= (np.fmax(np.abs(low), np.abs(high)) < declared.max_current_a - slack_a) | (state == 4)
    enabled = np.zeros(len(t_s), dtype=np.bool_)
    for start_s, on in story.balancing:
        enabled[t_s >= start_s] = on
    return may, must & enabled & ~_anything_on(observed, t_s)


def _anything_on(observed: Observed, t_s: Floats) -> Mask:
    """Whether any alarm is reported or any fault is in."""
    mask = inside(union(observed.story.dark, observed.story.faulty()), t_s)
    for name, trace in observed.traces.items():
        if name.startswith("dut.alarm.") and np.any(trace.value >= 0.5):
            mask |= _newest(trace, t_s) >= 0.5
    return mask


def _newest(trace: Trace | None, t_s: Floats) -> Floats:
    """Newest sample of a (time,) trace at each time; nan before the first."""
    if trace is None:
        return np.full(len(t_s), np.nan)
    index = np.searchsorted(trace.t_s, t_s, side="right") - 1
    found: Floats = np.where(index >= 0, trace.value[np.maximum(index, 0)], np.nan)
    return found


def _mode_numbers(observed: Observed, t_s: Floats) -> Floats:
    """The mode last asked for as a state number, shape (time,); nan before any."""
    number = {"standby": 1.0, "drive": 3.0, "charge": 4.0}
    found = np.full(len(t_s), np.nan)
    for start_s, mode in observed.story.modes:
        found[t_s >= start_s] = number[mode]
    return found


def _forbidden(observed: Observed, bled: Trace, on: Mask, asked: Permission) -> list[Finding]:
    """Cells that bleed although they might not at any time in the last `reaction_s`."""
    cells = np.flatnonzero(on.any(axis=0))
    if not len(cells):
        return []
    delay_s = observed.profile.balancing.reaction_s + observed.period_s("cell_v") + TASK_S
    _, allowed = sliding(asked.t_s, asked.may[:, cells].astype(np.float64), bled.t_s - delay_s, bled.t_s)
    wrong = on[:, cells] & (allowed < 0.5)
    found = []
    for column, cell in enumerate(cells):
        first, last = runs(wrong[:, column])
        if len(first):
            t_s, end_s = bled.t_s[first[0]], bled.t_s[last[-1]]
            seen = f"{bled.value[first[0], cell]:.3f} A, until {end_s:.3f} s"
            found.append(Finding(float(t_s), "forbidden", "balancing", f"cell {cell} not to bleed", seen))
    return found


def _too_many(observed: Observed, bled: Trace, on: Mask) -> list[Finding]:
    channels = observed.profile.balancing.max_channels
    first, last = runs(on.sum(axis=1) > channels)
    # One sample may catch the change from one half of the channels to the other.
    long = last > first
    if not np.any(long):
        return []
    k = int(first[long][0])
    seen = f"{int(on[k].sum())} at once"
    return [
        Finding(
            float(bled.t_s[k]), "forbidden", "balancing.max_channels", f"{channels} channels at most", seen
        )
    ]


def _wrong_current(observed: Observed, bled: Trace, on: Mask) -> list[Finding]:
    """Median bleed current of each cell against the declared one at its voltage."""
    cells_v = observed.traces["cell_v"]
    found = []
    for cell in np.flatnonzero(on.sum(axis=0) >= 3):
        mine = on[:, cell]
        index = np.clip(np.searchsorted(cells_v.t_s, bled.t_s[mine], side="right") - 1, 0, None)
        cell_v = float(np.nanmedian(cells_v.value[index, cell]))
        current_a = float(np.median(bled.value[mine, cell]))
        window = bleed_current_window(observed.profile, cell_v, uncertainty_a=bled.uncertainty)
        if np.isfinite(cell_v) and not window.earliest <= current_a <= window.latest:
            t_s = float(bled.t_s[np.argmax(mine)])
            found.append(
                Finding(
                    t_s,
                    "inaccurate",
                    "balancing.current_a",
                    f"cell {cell} in {window!r}",
                    f"{current_a:.4f} A",
                )
            )
    return found


def _not_bled(observed: Observed, bled: Trace, on: Mask, asked: Permission) -> list[Finding]:
    """Cells that had to bleed for twice `reaction_s` and never did; only if all of them fit the channels."""
    declared = observed.profile.balancing
    fits = asked.may.sum(axis=1) <= declared.max_channels
    must = asked.must & fits[:, None]
    found = []
    for cell in np.flatnonzero(must.any(axis=0)):
        first, last = runs(must[:, cell])
        for a, b in zip(asked.t_s[first], asked.t_s[last], strict=True):
            part = (bled.t_s >= a) & (bled.t_s <= b)
            if b - a < 2.0 * declared.reaction_s or not np.any(part) or np.any(on[part, cell]):
                continue
            expected = f"cell {cell} to bleed within {declared.reaction_s:g} s"
            found.append(
                Finding(float(a + declared.reaction_s), "missed", "balancing", expected, "no bleed current")
            )
            break
    return found


def _misreported(observed: Observed, bled: Trace, on: Mask) -> list[Finding]:
    """A flag `dut.bleeds` that no current follows, or a current that no flag shows, for `reaction_s`."""
    flags = observed.traces.get("dut.bleeds")
    if flags is None or flags.value.shape[1:] != bled.value.shape[1:]:
        return []
    span_s = observed.profile.balancing.reaction_s + report_age_s(observed.profile, 0.0)
    excused = inside(union(observed.story.dark, observed.story.faulty()), flags.t_s)
    judged = (flags.t_s - span_s >= bled.t_s[0]) & (flags.t_s <= bled.t_s[-1]) & ~excused
    cells = np.flatnonzero(on.any(axis=0) | (flags.value >= 0.5).any(axis=0))
    if not len(cells):
        return []
    flagged_low, flagged_high = sliding(flags.t_s, flags.value[:, cells], flags.t_s - span_s, flags.t_s)
    # Bleeding pauses for measurements and for the other half of the cells: 40 % of the time is enough.
    share = _share(bled.t_s, on[:, cells], flags.t_s - span_s, flags.t_s)
    _, on_high = sliding(bled.t_s, on[:, cells].astype(np.float64), flags.t_s - span_s, flags.t_s)
    found = []
    for column, cell in enumerate(cells):
        for wrong, seen in (
            ((flagged_low[:, column] >= 0.5) & (on_high[:, column] < 0.5), "reported, and no current flows"),
            ((flagged_high[:, column] < 0.5) & (share[:, column] >= 0.4), "not reported, and current flows"),
        ):
            hits = np.flatnonzero(wrong & judged)
            if len(hits):
                t_s = float(flags.t_s[hits[0]])
                found.append(Finding(t_s, "inaccurate", "dut.bleeds", f"cell {cell} as measured", seen))
    return found


def _share(t_s: Floats, on: Mask, start_s: Floats, end_s: Floats) -> Floats:
    """Share of the samples in [start, end] that are on, shape (spans, columns)."""
    total = np.zeros((len(t_s) + 1, on.shape[1]))
    total[1:] = np.cumsum(on, axis=0)
    first = np.searchsorted(t_s, start_s, side="left")
    last = np.searchsorted(t_s, end_s, side="right")
    found: Floats = (total[last] - total[first]) / np.maximum(last - first, 1)[:, None]
    return found
