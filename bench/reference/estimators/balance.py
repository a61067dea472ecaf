"""Balancing: which cell gives how many ampere-hours, when, and what it costs.

Cells are balanced when all reach the target (full, for a top balance) at the same moment of a common charge:
each then lacks as many ampere-hours as every other. Passive balancing takes them out of the cells that lack
least; active balancing moves them. A transfer is taken to happen at one voltage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InvalidInput
from bench.reference.estimators.cell import CellModel

Floats = NDArray[np.float64]
Topology = Literal["cell_to_pack", "cell_to_cell"]

#: An estimate of SOC that is worse than this is none to balance by, project default.
MOST_UNCERTAINTY = 0.02
#: Ampere-hours that are none.
_NOTHING_AH = 1e-12
#: Schedules longer than this have too short a slot, or too little current.
_MOST_SLOTS = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """Charge to take out of each cell [Ah], shape (cells,) each; 0 where the SOC is not known.

    Parameters
    ----------
    expected_ah
        By the estimates.
    sure_ah, most_ah
        What is right at the least and at the most, whatever the true SOC and capacity are.
    lacking_ah
        What each cell lacks to the target; nan where not known.
    """

    expected_ah: Floats
    sure_ah: Floats
    most_ah: Floats
    lacking_ah: Floats


@dataclass(frozen=True, slots=True)
class Passive:
    """Bleed resistors.

    Parameters
    ----------
    bleed_a
        Current of one channel [A].
    channels
        How many may be on at once.
    odd_even
        Whether odd and even cells take turns, slot by slot, as neighbours share a sense wire.
    duty
        Part of the time that a channel may be on; the rest is for measuring.
    heat_w
        What the board may turn into heat.
    """

    bleed_a: float
    channels: int
    odd_even: bool = False
    duty: float = 1.0
    heat_w: float = np.inf

    def __post_init__(self) -> None:
        _expect("Passive.bleed_a", "a positive number", self.bleed_a > 0.0, self.bleed_a)
        _expect("Passive.channels", "one at least", self.channels >= 1, self.channels)
        _expect("Passive.duty", "above 0, at most 1", 0.0 < self.duty <= 1.0, self.duty)
        _expect("Passive.heat_w", "a positive number", self.heat_w > 0.0, self.heat_w)


@dataclass(frozen=True, slots=True)
class Active:
    """Converters that move charge.

    Parameters
    ----------
    topology
        Out of a cell into the whole string, or into one other cell.
    current_a
        Greatest current out of one cell [A].
    efficiency
        Part of the charge that arrives.
    transfers
        How many may run at once.
    """

    topology: Topology
    current_a: float
    efficiency: float
    transfers: int = 1

    def __post_init__(self) -> None:
        known = self.topology in ("cell_to_pack", "cell_to_cell")
        _expect("Active.topology", "cell_to_pack or cell_to_cell", known, self.topology)
        _expect("Active.current_a", "a positive number", self.current_a > 0.0, self.current_a)
        _expect("Active.efficiency", "above 0, at most 1", 0.0 < self.efficiency <= 1.0, self.efficiency)
        _expect("Active.transfers", "one at least", self.transfers >= 1, self.transfers)


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What happens in each slot of `slot_s`.

    Parameters
    ----------
    on_s
        How long each cell bleeds or gives in each slot [s], shape (slots, cells).
    change_ah
        What each cell gains [Ah] in each slot, negative where it loses, shape (slots, cells).
    lost_wh
        Energy that becomes heat.
    """

    slot_s: float
    on_s: Floats
    change_ah: Floats
    lost_wh: float

    @property
    def time_s(self) -> float:
        """When the last cell is done [s]; 0 if there is nothing to do."""
        slots = len(self.on_s)
        return (slots - 1) * self.slot_s + float(self.on_s[-1].max()) if slots else 0.0

    def converged_s(self, lacking_ah: ArrayLike, *, within_ah: float) -> float:
        """End of the slot after which no cell lacks more than `within_ah` more than another; nan if never."""
        lacking = np.asarray(lacking_ah, dtype=np.float64)
        after = lacking - np.concatenate((np.zeros((1, len(lacking))), np.cumsum(self.change_ah, axis=0)))
        close = np.flatnonzero(np.ptp(after, axis=1) <= within_ah)
        return float(close[0]) * self.slot_s if close.size else float("nan")


def soc_from_rest(
    model: CellModel,
    voltage_v: ArrayLike,
    *,
    uncertainty_v: float,
    branch: float = 0.0,
    branch_uncertainty: float = 1.0,
    most_uncertainty: float = MOST_UNCERTAINTY,
) -> tuple[Floats, Floats]:
    """SOC of rested cells and its bound, both (cells,); nan where the curve is too flat to say.

    The bound comes from the inverse of the open-circuit voltage at both ends of what the voltage and the
    hysteresis branch may be, not from a slope at one point.

    Parameters
    ----------
    voltage_v, uncertainty_v
        Rested voltage of each cell, shape (cells,), and its bound [V].
    branch, branch_uncertainty
        Hysteresis branch, -1 to +1, and how far it may be off; default: anywhere.
    most_uncertainty
        A bound above this counts as not known.
    """
    volts = np.asarray(voltage_v, dtype=np.float64)
    # A cell on the charge branch shows a higher voltage than its SOC: the lowest SOC is there.
    low = model.soc_at(volts - uncertainty_v, branch=min(branch + branch_uncertainty, 1.0))
    high = model.soc_at(volts + uncertainty_v, branch=max(branch - branch_uncertainty, -1.0))
    bound = 0.5 * np.abs(high - low)
    known = np.isfinite(volts) & (bound <= most_uncertainty)
    return np.where(known, 0.5 * (high + low), np.nan), np.where(known, bound, np.nan)


def to_bleed_ah(
    soc: ArrayLike,
    capacity_ah: ArrayLike,
    *,
    target_soc: float = 1.0,
    soc_uncertainty: ArrayLike = 0.0,
    capacity_uncertainty: ArrayLike = 0.0,
) -> Amounts:
    """Charge to take out of each cell so that all reach `target_soc` together.

    Parameters
    ----------
    soc, capacity_ah
        Shape (cells,); a SOC of nan is not known: that cell gives nothing, and no other waits for it.
    soc_uncertainty, capacity_uncertainty
        Bounds, absolute and relative, shape (cells,) or one for all.

    Raises
    ------
    InvalidInput
        If a capacity is not positive, or an uncertainty negative.
    """
    z, capacity, z_off, q_off = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (soc, capacity_ah, soc_uncertainty, capacity_uncertainty))
    )
    _expect("capacity_ah", "positive numbers", bool((capacity > 0.0).all()), capacity)
    _expect("soc_uncertainty", "no negative number", not bool((z_off < 0.0).any()), z_off)
    _expect("capacity_uncertainty", "no negative number", not bool((q_off < 0.0).any()), q_off)
    lacking = (target_soc - z) * capacity
    off = capacity * (z_off + q_off * (np.abs(target_soc - z) + z_off))
    known = np.isfinite(lacking) & np.isfinite(off)
    middle, least, most = (np.where(known, x, -np.inf) for x in (lacking, lacking - off, lacking + off))
    expected = _above(middle, middle, known)
    return Amounts(
        expected,
        np.minimum(_above(least, most, known), expected),
        np.maximum(_above(most, least, known), expected),
        np.where(known, lacking, np.nan),
    )


def _above(others: Floats, own: Floats, known: NDArray[np.bool_]) -> Floats:
    """How much more the neediest of the others lacks than each cell itself; 0 if none does."""
    if np.count_nonzero(known) < 2:
        return np.zeros(len(own))
    second, first = np.partition(others, -2)[-2:]
    neediest = np.where(np.arange(len(own)) == int(np.argmax(others)), second, first)
    return np.where(known, np.maximum(neediest - np.where(known, own, 0.0), 0.0), 0.0)


def passive_schedule(
    bleed_ah: ArrayLike, cell_v: ArrayLike, how: Passive, *, slot_s: float = 60.0
) -> Schedule:
    """Which cell bleeds when: in each slot those that have most left, as many as channels and heat permit.

    Parameters
    ----------
    bleed_ah
        To take out of each cell [Ah], shape (cells,).
    cell_v
        Voltage of each cell while it bleeds [V], shape (cells,) or one for all.

    Raises
    ------
    InvalidInput
        If not even one channel keeps the heat limit, or the slots become too many.
    """
    left = np.array(bleed_ah, dtype=np.float64)
    _expect("bleed_ah", "no negative number", bool((left >= 0.0).all()), bleed_ah)
    _expect("slot_s", "a positive number", slot_s > 0.0, slot_s)
    power_w = how.bleed_a * np.broadcast_to(np.asarray(cell_v, dtype=np.float64), left.shape)
    enough = bool((power_w <= how.heat_w).all())
    _expect("Passive.heat_w", f"{power_w.max(initial=0.0):.3g} W for one channel", enough, how.heat_w)
    longest = left.max(initial=0.0) * 3600.0 / (how.bleed_a * how.duty * slot_s)
    _within_reason(longest * max(1.0, len(left) / how.channels))
    rows, turn = [], 0
    while (left > _NOTHING_AH).any():
        chosen = _chosen(left, power_w, how, turn)
        on_s = np.zeros_like(left)
        on_s[chosen] = np.minimum(slot_s * how.duty, left[chosen] * 3600.0 / how.bleed_a)
        left = np.maximum(left - on_s * how.bleed_a / 3600.0, 0.0)
        rows.append(on_s)
        turn += 1
    on = np.array(rows).reshape(-1, len(left))
    return Schedule(slot_s, on, -on * how.bleed_a / 3600.0, float((on * power_w).sum() / 3600.0))


def _chosen(left: Floats, power_w: Floats, how: Passive, turn: int) -> NDArray[np.intp]:
    """Cells of one slot, those with most left first."""
    waiting = left > _NOTHING_AH
    if how.odd_even:
        half = np.arange(len(left)) % 2 == turn % 2
        # The turn of a half that is done already goes to the other.
        waiting = waiting & half if (waiting & half).any() else waiting & ~half
    order = np.argsort(np.where(waiting, -left, np.inf), kind="stable")[: np.count_nonzero(waiting)]
    cool = np.cumsum(power_w[order]) <= how.heat_w
    return order[cool][: how.channels]


def active_change_ah(lacking_ah: ArrayLike, how: Active) -> Floats:
    """What each cell gains in all [Ah] so that all lack the same, negative where it gives; shape (cells,)."""
    lacking = np.asarray(lacking_ah, dtype=np.float64)
    _expect("lacking_ah", "finite numbers", bool(np.isfinite(lacking).all()), lacking)
    if how.topology == "cell_to_pack":
        given = lacking.max() - lacking
        gained: Floats = how.efficiency * given.sum() / len(lacking) - given
        return gained
    # Too much is given below the common level and too little above it: straight in between the cells.
    levels = np.sort(lacking)
    over = how.efficiency * np.maximum(levels[:, None] - lacking, 0.0).sum(axis=1)
    over -= np.maximum(lacking - levels[:, None], 0.0).sum(axis=1)
    return lacking - float(np.interp(0.0, over, levels))


def active_schedule(lacking_ah: ArrayLike, how: Active, *, cell_v: float, slot_s: float = 60.0) -> Schedule:
    """Which cell gives when: in each slot those that have most to give, to those that lack most.

    Parameters
    ----------
    lacking_ah
        What each cell lacks to the target [Ah], shape (cells,).
    cell_v
        Mean cell voltage [V], for the energy.
    """
    change = active_change_ah(lacking_ah, how)
    _expect("slot_s", "a positive number", slot_s > 0.0, slot_s)
    to_pack = how.topology == "cell_to_pack"
    lacking = np.asarray(lacking_ah, dtype=np.float64)
    give = lacking.max() - lacking if to_pack else np.maximum(-change, 0.0)
    take = np.maximum(change, 0.0)
    most_ah = how.current_a * slot_s / 3600.0
    _within_reason(give.sum() / most_ah + len(give))
    times, changes, moved_ah = [], [], 0.0
    while (give > 1e-9).any() and (to_pack or (take > 1e-9).any()):
        on_s, gained = np.zeros_like(give), np.zeros_like(give)
        givers = np.argsort(-give, kind="stable")[: how.transfers]
        takers = np.argsort(-take, kind="stable")[: how.transfers]
        for giver, taker in zip(givers, takers, strict=True):
            most = give[giver] if to_pack else min(give[giver], take[taker] / how.efficiency)
            out = min(most_ah, max(most, 0.0))
            give[giver] -= out
            gained[giver] -= out
            arrived = how.efficiency * out
            if to_pack:
                gained += arrived / len(give)
            else:
                take[taker] -= arrived
                gained[taker] += arrived
            on_s[giver] = out * 3600.0 / how.current_a
            moved_ah += out
        times.append(on_s)
        changes.append(gained)
    lost_wh = (1.0 - how.efficiency) * moved_ah * cell_v
    shape = (-1, len(give))
    return Schedule(slot_s, np.array(times).reshape(shape), np.array(changes).reshape(shape), lost_wh)


def _within_reason(slots: float) -> None:
    _expect("slot_s", f"long enough for at most {_MOST_SLOTS} slots", slots <= _MOST_SLOTS, f"{slots:.3g}")


def _expect(where: str, expected: str, holds: bool, found: object) -> None:
    if not holds:
        raise InvalidInput(where, expected=expected, found=f"{found}"[:80])
