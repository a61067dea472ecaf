"""What a machine asks of its pack over the years, as the laws of ageing want to know it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from bench.errors import InvalidInput
from bench.plant.ageing.laws import ZERO_DEGC_K, Array, Law, Stress

SWEEP = (np.arange(48) + 0.5) / 48  # of the SOC window; fine enough for the steps of the anode potential


@dataclass(frozen=True, slots=True)
class Usage:
    """What a machine asks of its pack, day after day, as long as the pack can give it.

    The ampere-hours stay when the capacity falls, so the cycles grow deeper, downwards from `soc_high`. A
    pack that is empty before waits there, until the hours of the cycle are over.

    Parameters
    ----------
    temperature_degc
        Of the cells [°C]: one number, or pairs of temperature and share of the time.
    full_cycles_per_day
        Throughput: ampere-hours discharged per day over the capacity when new. 0 is storage.
    depth, soc_high
        Of one cycle when new, and where it begins and where the pack waits.
    rest_low
        Share of the resting time spent at the low end: 0 if charged at once, 1 if charged just before use.
    charge_rate_c, discharge_rate_c
        Currents over the capacity when new [1/h]. They set the hours of cycling, the first also the loss
        in the cold.
    mean_rate_c
        What the laws take as mean |current|. None: over the whole day with its rests, as BLAST does; the
        mean while current flows is the harsher reading.
    """

    temperature_degc: float | tuple[tuple[float, float], ...] = 25.0
    full_cycles_per_day: float = 0.8
    depth: float = 0.8
    soc_high: float = 0.9
    rest_low: float = 0.0
    charge_rate_c: float = 0.4
    discharge_rate_c: float = 0.5
    mean_rate_c: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name != "temperature_degc":
                _expect(field.name, "a finite number", value, math.isfinite(value))
        expected = "-60 to 90 degC, or pairs of such a temperature and a share, which sum up to 1"
        _expect("temperature_degc", expected, self.temperature_degc, _are_shares(self.temperatures))
        _expect("soc_high", "0 to 1", self.soc_high, 0 <= self.soc_high <= 1)
        _expect("full_cycles_per_day", "0 or more", self.full_cycles_per_day, self.full_cycles_per_day >= 0)
        _expect("depth", f"above 0, up to soc_high {self.soc_high}", self.depth, self._depth_fits())
        _expect("rest_low", "0 to 1", self.rest_low, 0 <= self.rest_low <= 1)
        rates = (self.charge_rate_c, self.discharge_rate_c)
        _expect("charge_rate_c, discharge_rate_c", "positive numbers", rates, min(rates) > 0)
        hours = self.hours_of_cycling
        _expect("full_cycles_per_day", "cycles that fit into 24 h", f"{hours:.1f} h", hours <= 24)
        mean = self.mean_rate_c
        _expect("mean_rate_c", "0 or more, or none", mean, mean is None or mean >= 0)

    def _depth_fits(self) -> bool:
        return self.full_cycles_per_day == 0 or 0 < self.depth <= self.soc_high + 1e-12

    @property
    def temperatures(self) -> tuple[tuple[float, float], ...]:
        """Pairs of temperature [°C] and share of the time."""
        given = self.temperature_degc
        return ((given, 1.0),) if isinstance(given, int | float) else tuple(given)

    @property
    def hours_of_cycling(self) -> float:
        """Hours a day in which current flows."""
        return self.full_cycles_per_day * (1 / self.charge_rate_c + 1 / self.discharge_rate_c)

    def beyond(self, law: Law) -> tuple[str, ...]:
        """Return which of the conditions lie outside the tests that `law` was fitted on."""
        low, high = law.temperature_range_degc
        cycles = self.full_cycles_per_day > 0
        outside = {
            "temperature_degc": any(not low <= degc <= high for degc, share in self.temperatures if share),
            "depth": cycles and not law.depth_range[0] <= self.depth <= law.depth_range[1],
            "charge_rate_c": cycles and self.charge_rate_c > law.charge_limit_c,
            "discharge_rate_c": cycles and self.discharge_rate_c > law.discharge_limit_c,
        }
        return tuple(name for name, is_outside in outside.items() if is_outside)

    def stress(self, capacity: Array, warmer_k: Array) -> tuple[Stress, Array]:
        """Return the stress on cells and their full cycles per day.

        Parameters
        ----------
        capacity
            Of each cell over that when new, shape (cells,).
        warmer_k
            By how much each cell is warmer than `temperature_degc`, shape (cells,).

        Returns
        -------
        tuple
            The stress, and the throughput over the capacity when new per day, shape (cells,).
        """
        temperature, temperature_share = np.asarray(self.temperatures, dtype=np.float64).T
        swing = self.depth if self.full_cycles_per_day else 0.0
        given = np.minimum(1.0, self.soc_high * capacity / max(swing, 1e-9))
        depth, cycles = given * swing / capacity, given * self.full_cycles_per_day
        rate_c = 2 * cycles / 24 if self.mean_rate_c is None else np.full(capacity.shape, self.mean_rate_c)
        below = depth[:, None, None] * np.append(SWEEP, [0.0, 1.0])
        stress = Stress(
            temperature_k=temperature[None, :, None] + warmer_k[:, None, None] + ZERO_DEGC_K,
            temperature_share=temperature_share,
            soc=self.soc_high - below,
            soc_share=self._shares(given),
            depth=depth[:, None, None],
            rate_c=rate_c[:, None, None],
            charge_rate_c=self.charge_rate_c,
        )
        return stress, cycles

    def _shares(self, given: Array) -> Array:
        """Shares of the time along the sweep, at the top and at the bottom, shape (cells, samples)."""
        planned = self.hours_of_cycling / 24
        moving = planned * given
        top = np.full(given.shape, (1 - planned) * (1 - self.rest_low))
        sweep = np.repeat(moving[:, None] / SWEEP.size, SWEEP.size, axis=1)
        return np.column_stack((sweep, top, 1 - moving - top))


def _are_shares(temperatures: tuple[tuple[float, float], ...]) -> bool:
    pairs = [tuple(pair) for pair in temperatures]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        return False
    whole = math.isclose(sum(share for _, share in pairs), 1.0, abs_tol=1e-6)
    return whole and all(-60 <= degc <= 90 and share >= 0 for degc, share in pairs)


def _expect(name: str, expected: str, found: object, holds: bool) -> None:
    if not holds:
        raise InvalidInput(f"Usage.{name}", expected=expected, found=str(found))
