"""How far cells have aged, and what one more stretch of a life does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.errors import InvalidInput
from bench.plant.ageing.laws import Array, Law
from bench.plant.ageing.usage import Usage

DAYS_PER_YEAR = 365.0
#: Longest time for which depth and throughput are held while the capacity falls (project default). One day
#: instead changes the capacity after five years by 0.02 % at most.
STEP_DAYS = 30.0
#: A cell below this is outside anything that the laws were made for (project default).
WORN_OUT = 0.3
#: Standard deviation of the speed of ageing over cells. Source: BLAST-Lite 1.1.1, blast/utils/functions.py,
#: default of `simulate_battery_life_distribution`, which looks at three of them to either side as we do.
SPEED_SPREAD, SPREAD_LIMIT = 0.15, 3.0
SPEED_STREAM = 1


@dataclass(frozen=True, slots=True)
class Wear:
    """How far each cell has aged, and how fast it does: what one stretch of a life hands to the next.

    Each mode's clock is a plain sum over what came, so a mode does not mind the order. The sum of all
    does, slightly: a worn cell is cycled deeper.

    Parameters
    ----------
    law
        Which all stretches follow.
    speed
        Of each cell over the law's, shape (cells,).
    clocks
        Of the law's modes, shape (modes, cells).
    """

    law: Law
    speed: Array
    clocks: Array

    @classmethod
    def fresh(cls, law: Law, cells: int, *, spread: float = SPEED_SPREAD, seed: int = 0) -> Wear:
        """Return new cells whose speeds of ageing are drawn from `seed`, normal, cut off at three sigma."""
        _expect("spread", "0 up to 0.33", spread, 0 <= spread < 1 / SPREAD_LIMIT, where="Wear.fresh")
        _expect("cells", "1 or more", cells, cells >= 1, where="Wear.fresh")
        # Of a stream of its own: with a pack of the same seed, its larger cells would be those that age fast.
        rng = np.random.default_rng((seed, SPEED_STREAM))
        drawn = np.clip(rng.standard_normal(cells), -SPREAD_LIMIT, SPREAD_LIMIT)
        return cls(law, 1 + spread * drawn, np.zeros((len(law.modes), cells)))

    @property
    def capacity(self) -> Array:
        """Of each cell over that when new, shape (cells,)."""
        return self.law.capacity(self.clocks)

    @property
    def resistance(self) -> Array:
        """Of each cell over that when new, shape (cells,)."""
        return self.law.resistance(self.clocks)

    def after(self, usage: Usage, *, years: float, warmer_k: npt.ArrayLike = 0.0) -> Wear:
        """Return the wear after `years` more of a usage.

        Parameters
        ----------
        usage
            Which stays the same all the time.
        years
            Of 365 days.
        warmer_k
            By how much each cell is warmer than the usage says, one number or shape (cells,).

        Raises
        ------
        InvalidInput
            If a cell is worn out before the end (30 % of its capacity left), or an argument makes no sense.
        """
        _expect("years", "0 or more", years, math.isfinite(years) and years >= 0, where="Wear.after")
        map_k = _per_cell(warmer_k, self.speed.size)
        wear, steps = self, math.ceil(years * DAYS_PER_YEAR / STEP_DAYS - 1e-9)
        for step in range(steps):
            wear = wear._step(usage, years * DAYS_PER_YEAR / steps, map_k)
            worst = int(np.argmin(wear.capacity))
            if wear.capacity[worst] < WORN_OUT:
                gone = f"cell {worst} below it after {years * (step + 1) / steps:.1f} years"
                raise InvalidInput("Wear.after", expected=f"cells above {WORN_OUT:.0%} capacity", found=gone)
        return wear

    def _step(self, usage: Usage, days: float, warmer_k: Array) -> Wear:
        stress, cycles = usage.stress(self.capacity, warmer_k)
        passed = {"days": np.full(cycles.shape, days), "cycles": cycles * days}
        x = np.stack([passed[mode.over] for mode in self.law.modes])
        return replace(self, clocks=self.clocks + self.law.rates(stress) * x * self.speed)


def _per_cell(value: npt.ArrayLike, cells: int) -> Array:
    values = np.asarray(value, dtype=np.float64)
    fits = values.shape in ((), (cells,)) and bool(np.isfinite(values).all())
    _expect("warmer_k", f"one finite number or {cells}", value, fits, where="Wear.after")
    return np.broadcast_to(values, (cells,))


def _expect(name: str, expected: str, found: object, holds: bool, *, where: str) -> None:
    if not holds:
        raise InvalidInput(f"{where}: {name}", expected=expected, found=str(found))
