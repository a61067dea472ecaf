"""What is known of the cells of one string, and the worst that it may mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.reference.estimators.response import Start, Tables

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellStates:
    """What is known of each cell of one string; a number stands for all cells.

    Uncertainties are bounds (k = 2 or what is guaranteed), to both sides.

    Parameters
    ----------
    soc, temperature_degc
        Shape (cells,).
    overvoltage_v
        Voltage of each RC pair [V], shape (pairs, cells); None: the cells have rested.
    capacity_ah
        Present capacity [Ah]; None: that of the cell file.
    resistance_factor
        Multiplies every resistance of the cell file.
    branch
        Hysteresis branch, -1 discharge to +1 charge.
    size
        How many times as heavy as the cell of the file: 2 for two in parallel. Ageing does not change it.
    soc_uncertainty, resistance_uncertainty
        Of SOC (absolute) and of the resistances (relative).
    voltage_uncertainty_v, temperature_uncertainty_k, branch_uncertainty
        Of the voltage that the model gives [V], of the temperature [K], of the branch.
    """

    soc: ArrayLike
    temperature_degc: ArrayLike
    overvoltage_v: ArrayLike | None = None
    capacity_ah: ArrayLike | None = None
    resistance_factor: ArrayLike = 1.0
    branch: ArrayLike = 0.0
    size: ArrayLike = 1.0
    soc_uncertainty: ArrayLike = 0.0
    resistance_uncertainty: ArrayLike = 0.0
    voltage_uncertainty_v: ArrayLike = 0.0
    temperature_uncertainty_k: ArrayLike = 0.0
    branch_uncertainty: ArrayLike = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """`CellStates` as arrays of shape (cells,); `overvoltage_v` (pairs, cells)."""

    soc: Floats
    temperature_degc: Floats
    overvoltage_v: Floats
    capacity_ah: Floats
    resistance_factor: Floats
    branch: Floats
    size: Floats
    soc_uncertainty: Floats
    resistance_uncertainty: Floats
    voltage_uncertainty_v: Floats
    temperature_uncertainty_k: Floats
    branch_uncertainty: Floats

    @classmethod
    def of(cls, file: CellFile, cells: CellStates) -> Known:
        count, pairs = np.size(cells.soc), len(file.rc)
        given = {name: getattr(cells, name) for name in cls.__dataclass_fields__}
        if given["capacity_ah"] is None:
            given["capacity_ah"] = file.capacity_ah
        if given["overvoltage_v"] is None:
            given["overvoltage_v"] = 0.0
        known = {
            name: _array(name, value, (pairs, count) if name == "overvoltage_v" else (count,))
            for name, value in given.items()
        }
        for name in ("capacity_ah", "resistance_factor", "size"):
            _expect(name, "positive numbers", bool((known[name] > 0.0).all()), given[name])
        for name in (name for name in known if "uncertainty" in name):
            _expect(name, "no negative number", bool((known[name] >= 0.0).all()), given[name])
        relative = known["resistance_uncertainty"]
        _expect("resistance_uncertainty", "numbers below 1", bool((relative < 1.0).all()), relative)
        return cls(**known)


def _array(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    try:
        array = np.broadcast_to(np.asarray(given, dtype=np.float64), shape)
    except ValueError as error:
        raise InvalidInput(f"CellStates.{name}", expected=f"shape {shape}", found=str(error)) from error
    _expect(name, "finite numbers", bool(np.isfinite(array).all()), given)
    return array


def _expect(name: str, expected: str, holds: bool, found: object) -> None:
    if not holds:
        raise InvalidInput(f"CellStates.{name}", expected=expected, found=f"{found}"[:80])


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Three hypotheses, each for all horizons: as estimated, worst for the cells, worst for the current.

    `warmer_k`: how much hotter than in `start` a cell may be; `driver`: see `response.answer`.
    """

    start: Start
    warmer_k: Floats
    driver: NDArray[np.intp]


def hypotheses(tables: Tables, known: Known, direction: int, horizons: Floats) -> Rows:
    count = len(horizons)
    estimated = _hypothesis(tables, known, direction, horizons, 0)
    worst = _hypothesis(tables, known, direction, horizons, +1)
    # A power makes the most current where the voltage is lowest: for a charge that is the other extreme.
    lowest = _hypothesis(tables, known, direction, horizons, -1 if direction > 0 else +1)
    start = Start(
        **{
            name: np.concatenate(
                [getattr(part, name) for part in (estimated, worst, lowest)],
                axis=1 if name in ("overvoltage_v", "factor") else 0,
            )
            for name in Start.__dataclass_fields__
        }
    )
    warmer = np.broadcast_to(2.0 * known.temperature_uncertainty_k, (count, len(known.soc)))
    driver = np.concatenate((np.arange(count), np.tile(np.arange(2 * count, 3 * count), 2)))
    return Rows(start, np.concatenate((0.0 * warmer, warmer, warmer)), driver)


def _hypothesis(tables: Tables, known: Known, direction: int, horizons: Floats, worse: int) -> Start:
    """The state that puts the voltage farthest (`worse` +1), least far (-1) or where it is expected (0)."""
    towards = worse * direction
    band = known.soc_uncertainty
    degc = known.temperature_degc - worse * known.temperature_uncertainty_k
    factor = known.resistance_factor * (1.0 + worse * known.resistance_uncertainty)
    factors = np.repeat(factor[None], 1 + tables.pairs, axis=0)
    soc = known.soc + towards * band
    if worse and bool((band > 0.0).any()):
        least, most = tables.extremes_within(known.soc - band, known.soc + band, degc)
        # Nowhere in the band is the resistance farther off than this, and it moves on from there.
        factors = factors * (most if worse > 0 else least) / tables.resistances(tables.at(soc, degc))
    branch = np.clip(known.branch + towards * known.branch_uncertainty, -1.0, 1.0)
    shape = (len(horizons), len(soc))

    def over(value: Floats) -> Floats:
        return np.broadcast_to(value[..., None, :], (*value.shape[:-1], *shape)).copy()

    return Start(
        soc=over(soc),
        temperature_degc=over(degc),
        branch=over(branch),
        overvoltage_v=over(known.overvoltage_v),
        capacity_ah=over(known.capacity_ah),
        factor=over(factors),
        shift_v=over(towards * known.voltage_uncertainty_v),
        size=over(known.size),
        horizon_s=horizons[:, None],
    )
