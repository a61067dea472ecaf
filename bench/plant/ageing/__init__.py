"""Age a pack: from years of a duty to the capacity and resistance of each cell, as a plant is made with.

    old = aged(PlantSpec(cells=24), Usage(temperature_degc=30.0), years=5.0, seed=1)

Left out, because no law was found that could be checked: growth of the self-discharge, swelling, gas, and a
knee in LFP cells. `usage` says what a duty is, `laws` what a law is, `cells` has the
published constants, and `wear` keeps count.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bench.cells import load_cell
from bench.errors import InvalidInput
from bench.plant.ageing.cells import LAWS, law_for
from bench.plant.ageing.laws import Array, Law
from bench.plant.ageing.usage import Usage
from bench.plant.ageing.wear import SPEED_SPREAD, Wear
from bench.plant.spec import PlantSpec

__all__ = ["LAWS", "Law", "Usage", "Wear", "aged", "law_for", "warmer_inside", "worn"]


def warmer_inside(cells: int, *, by_k: float) -> Array:
    """Return a temperature map of a row of cells, `by_k` in the middle and 0 at both ends, shape (cells,).

    A parabola, as a row with even heat that is cooled at its ends has (project default).
    """
    place = np.linspace(-1.0, 1.0, cells) if cells > 1 else np.zeros(1)
    return by_k * (1 - place**2)


def worn(spec: PlantSpec, wear: Wear) -> PlantSpec:
    """Return the pack with its cells as worn as `wear`, on top of any ageing that `spec` brings along.

    Raises
    ------
    InvalidInput
        If `wear` has another number of cells.
    """
    cells = spec.cells * spec.parallel
    if wear.speed.size != cells:
        raise InvalidInput("worn", expected=f"wear of {cells} cells", found=f"of {wear.speed.size}")
    fade = 1 - (1 - spec.each_cell(spec.capacity_fade)) * wear.capacity
    growth = (1 + spec.each_cell(spec.resistance_growth)) * wear.resistance - 1
    return replace(spec, capacity_fade=tuple(fade.tolist()), resistance_growth=tuple(growth.tolist()))


def aged(
    spec: PlantSpec,
    usage: Usage,
    *,
    years: float,
    seed: int = 0,
    law: Law | None = None,
    warmer_k: npt.ArrayLike = 0.0,
    spread: float = SPEED_SPREAD,
) -> PlantSpec:
    """Return this pack, `years` on.

    For a life of several stretches, take `Wear.fresh`, `Wear.after` once for each, and `worn`.

    Parameters
    ----------
    spec
        The pack. Fade and growth that it already has stay, and the new ones come on top.
    usage, years
        What it went through, and for how long.
    seed, spread
        Of the draw of each cell's speed of ageing; 0 for equal cells.
    law
        None: by the chemistry in the cell file, see `law_for`.
    warmer_k
        By how much each cell is warmer than the usage says [K]: one number, one per group or one per cell.

    Returns
    -------
    PlantSpec
        With `capacity_fade` and `resistance_growth`, one number per cell, (cells * parallel,).

    Raises
    ------
    InvalidInput
        If no law is known for the cells, an argument makes no sense, or a cell is worn out before.
    """
    chosen = law or law_for(load_cell(spec.cell).chemistry)
    warmer = np.asarray(warmer_k, dtype=np.float64)
    if warmer.shape == (spec.cells,):
        warmer = np.repeat(warmer, spec.parallel)
    wear = Wear.fresh(chosen, spec.cells * spec.parallel, spread=spread, seed=seed)
    return worn(spec, wear.after(usage, years=years, warmer_k=warmer))
