"""When a voltage may speak about SOC: after a rest, and where the open-circuit curve is steep enough.

`estimate_soc` uses the slope gate inside its filters; rest needs no gate there, since a filter follows what
is left of the polarisation. `ocv_trusted` is the plain rule, for a reader who wants SOC from a voltage alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.reference.estimators.cell import CellModel

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Project default: a cell rests below capacity / 50, and its voltage has settled after half an hour.
REST_FRACTION_PER_H = 0.02
SETTLED_S = 1800.0
#: Project default: SOC over which the slope is averaged. A steep step narrower than the doubt of SOC is a
#: landmark only to one who already knows where he is.
SLOPE_WIDTH = 0.1


def rested_s(t_s: Floats, current_a: Floats, *, capacity_ah: float) -> Floats:
    """Time since the cell last carried current [s], shape (time,); 0 while it does.

    Parameters
    ----------
    t_s, current_a
        Time [s] and current [A], shape (time,). A current that is nan may have flowed: no rest.
    capacity_ah
        A current below `REST_FRACTION_PER_H` of it per hour is rest.
    """
    busy = ~(np.abs(current_a) < REST_FRACTION_PER_H * capacity_ah)
    last = np.maximum.accumulate(np.where(busy, np.arange(len(t_s)), -1))
    since: Floats = t_s - np.where(last < 0, t_s[0], t_s[np.maximum(last, 0)])
    return since


def steep(model: CellModel, soc: ArrayLike, *, doubt_v: float, within: float = 0.1) -> Flags:
    """Whether the open-circuit curve tells SOC to `within` although its voltage is known to `doubt_v` only.

    Parameters
    ----------
    soc
        State of charge, any shape.
    doubt_v
        How far the curve may be off [V]; half the distance of the hysteresis branches comes on top where
        nobody knows the branch, so give it in.
    """
    z = np.clip(np.asarray(soc, dtype=np.float64), 0.5 * SLOPE_WIDTH, 1.0 - 0.5 * SLOPE_WIDTH)
    found: Flags = np.abs(model.slope_v(z, width=SLOPE_WIDTH)) * within >= doubt_v
    return found


def flat_share(model: CellModel, *, doubt_v: float) -> float:
    """Part of the range from 10 to 90 % SOC in which the curve does not tell SOC to 5 %, 0..1."""
    soc = np.linspace(0.1, 0.9, 81)
    return float(np.mean(~steep(model, soc, doubt_v=doubt_v, within=0.05)))


def ocv_trusted(
    t_s: Floats, current_a: Floats, soc: Floats, model: CellModel, *, doubt_v: float, within: float = 0.05
) -> Flags:
    """Whether SOC may be read off the open-circuit curve, shape (time,): settled, and on a steep piece."""
    settled = rested_s(t_s, current_a, capacity_ah=model.capacity_ah) >= SETTLED_S
    half_v = model.hysteresis_half_v(np.clip(soc, 0.0, 1.0))
    on_steep = np.abs(model.slope_v(np.clip(soc, 0.05, 0.95), width=SLOPE_WIDTH)) * within
    found: Flags = settled & (on_steep >= doubt_v + half_v)
    return found
