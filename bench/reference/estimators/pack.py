"""State of charge of cells in series: the emptiest ends a discharge, the fullest ends a charge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.soc import SocTrack, estimate_soc

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PackSoc:
    """What a pack of cells in series can still give and take; shape (time,), bounds as those of the cells.

    Parameters
    ----------
    soc, lower, upper
        What can be discharged, as a part of what can be discharged and charged together, 0..1.
    discharge_ah, charge_ah
        What the pack gives until its emptiest cell is empty, and takes until its fullest is full [Ah].
    emptiest, fullest
        Which cell that is, counted from 0: the one with the least charge left, or the least room [Ah]. With
        unequal capacities this is not the one with the lowest or highest SOC.
    """

    soc: Floats
    lower: Floats
    upper: Floats
    discharge_ah: Floats
    charge_ah: Floats
    emptiest: NDArray[np.intp]
    fullest: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class PackTrack:
    """SOC of each cell, shape (time, cells), and of the pack; `current_offset_a` is the cells' median."""

    t_s: Floats
    soc: Floats
    lower: Floats
    upper: Floats
    current_offset_a: Floats
    pack: PackSoc
    cells: tuple[SocTrack, ...]


def pack_soc(soc: Floats, lower: Floats, upper: Floats, capacity_ah: ArrayLike) -> PackSoc:
    """Combine cells in series into a pack.

    Parameters
    ----------
    soc, lower, upper
        Of each cell, 0..1, shape (time, cells).
    capacity_ah
        Usable capacity of each cell [Ah], any shape that broadcasts to (time, cells).
    """
    capacity = np.broadcast_to(np.asarray(capacity_ah, dtype=np.float64), soc.shape)
    left, room = soc * capacity, (1.0 - soc) * capacity
    return PackSoc(
        soc=_share(soc, capacity),
        lower=_share(lower, capacity),
        upper=_share(upper, capacity),
        discharge_ah=left.min(axis=1),
        charge_ah=room.min(axis=1),
        emptiest=left.argmin(axis=1),
        fullest=room.argmin(axis=1),
    )


def estimate_pack_soc(
    t_s: ArrayLike,
    current_a: ArrayLike,
    cell_v: ArrayLike,
    temperature_degc: ArrayLike,
    cell: CellFile,
    *,
    capacity_ah: ArrayLike | None = None,
    initial_soc: float | None = None,
    initial_soc_uncertainty: float = 0.3,
    current_offset_bound_a: float | None = None,
) -> PackTrack:
    """Estimate each cell of a series pack by `estimate_soc`, and from them the pack.

    Parameters
    ----------
    t_s, current_a
        Time [s] and pack current [A] (positive charges), shape (time,).
    cell_v
        Cell voltages [V], shape (time, cells).
    temperature_degc
        One number, shape (time,) or (time, cells) [°C].
    capacity_ah
        Present capacity at 25 °C [Ah], one number or shape (cells,); default: that of the type.
    initial_soc, initial_soc_uncertainty, current_offset_bound_a
        As for `estimate_soc`, for all cells alike.

    Raises
    ------
    InvalidInput
        As `estimate_soc`, or if `cell_v` is not (time, cells).
    """
    volts = np.asarray(cell_v, dtype=np.float64)
    count = np.size(np.asarray(t_s))
    if volts.ndim != 2 or len(volts) != count or not volts.shape[1]:
        raise InvalidInput("cell_v", expected=f"shape ({count}, cells)", found=f"shape {volts.shape}")
    cells = volts.shape[1]
    degc = np.asarray(temperature_degc, dtype=np.float64)
    degc = np.broadcast_to(degc[:, None] if degc.ndim == 1 else degc, volts.shape)
    given = np.asarray(cell.capacity_ah if capacity_ah is None else capacity_ah, dtype=np.float64)
    if given.shape not in ((), (cells,)):
        raise InvalidInput("capacity_ah", expected=f"one number or {cells}", found=f"shape {given.shape}")
    capacity = np.broadcast_to(given, cells)
    tracks = tuple(
        estimate_soc(
            t_s,
            current_a,
            volts[:, n],
            degc[:, n],
            cell,
            capacity_ah=float(capacity[n]),
            initial_soc=initial_soc,
            initial_soc_uncertainty=initial_soc_uncertainty,
            current_offset_bound_a=current_offset_bound_a,
        )
        for n in range(cells)
    )
    soc, lower, upper, offset = (
        np.stack([getattr(track, name) for track in tracks], axis=1)
        for name in ("soc", "lower", "upper", "current_offset_a")
    )
    usable = CellModel(cell).usable_ah(degc) / cell.capacity_ah * capacity
    return PackTrack(
        t_s=tracks[0].t_s,
        soc=soc,
        lower=lower,
        upper=upper,
        current_offset_a=np.median(offset, axis=1),
        pack=pack_soc(soc, lower, upper, usable),
        cells=tracks,
    )


def _share(soc: Floats, capacity_ah: Floats) -> Floats:
    """Dischargeable part of all that can be moved; rises with each cell's SOC, so bounds stay bounds."""
    left = (soc * capacity_ah).min(axis=1)
    room = ((1.0 - soc) * capacity_ah).min(axis=1)
    found: Floats = left / (left + room)
    return found
