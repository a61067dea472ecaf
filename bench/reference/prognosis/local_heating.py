"""One sensor warms faster than its neighbours and the current explain.

Each sensor is held against a thermal model, if one is given, or else against the median of all. What belongs
to its place is learned: an offset, a share of the heat that the current makes (its square, through
first-order lags) and a lag behind the pack's common temperature. So a hot ambient, a load step and a sensor
at the edge of the pack are no indication. A reading that jumps and stays is a fault of the sensor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.prognosis.indication import Growth, Indication
from bench.reference.prognosis.samples import above_zero, apart_from_median, block_means, checked, for_each
from bench.reference.prognosis.warning import Rule

#: Initial rate of the excess, in K/min, project default.
RULE = Rule(abnormal=0.2, tolerated=0.05)
#: Time constants that together come near any heat path of a pack [s], project default.
LAGS_S = (300.0, 900.0, 2700.0, 8100.0)
#: Correlation time [s], project default. Noise of a sensor is faster; what the lags leave of a pack's heat is
#: not, and must not be averaged away as if it were noise.
CORRELATION_S = 60.0
#: Time constant with which a local excess levels off [s], project default.
EXCESS_S = 1800.0


def heating_indication(
    *,
    t_s: ArrayLike,
    current_a: ArrayLike,
    temperature_degc: ArrayLike,
    model_degc: ArrayLike | None = None,
    block_s: float = 60.0,
    lags_s: tuple[float, ...] = LAGS_S,
    excess_s: float = EXCESS_S,
    correlation_s: float = CORRELATION_S,
) -> Indication:
    """Return the excess of each sensor, in blocks.

    Parameters
    ----------
    t_s
        Bench time [s], shape (time,).
    current_a
        Pack current [A], shape (time,).
    temperature_degc
        Shape (time, sensors) [degC]; nan where not measured.
    model_degc
        What a thermal model expects, shape (time, sensors) [degC]; None: the median of the sensors, of which
        there must then be three.
    block_s
        Length of a block [s].
    lags_s
        Time constants of the heat that the current makes, and of the lag behind the common temperature [s].
    excess_s
        Time constant with which a local excess levels off [s]; inf: it does not.
    correlation_s
        Correlation time of a sensor's noise [s].
    """
    where = "local heating"
    times, (current, degc) = checked(
        where, t_s, ("current_a", current_a), ("temperature_degc", temperature_degc)
    )
    above_zero(where, excess_s=excess_s, **{f"lags_s[{k}]": lag_s for k, lag_s in enumerate(lags_s)})
    degc = degc if degc.ndim == 2 else degc[:, None]
    if model_degc is not None:
        _, (model,) = checked(where, t_s, ("model_degc", model_degc))
        excess = degc - for_each(where, "model_degc", model, degc.shape)
    elif degc.shape[1] < 3:
        raise InvalidInput(f"{where}: temperature_degc", expected="3 sensors or more, or a model",
                           found=f"{degc.shape[1]} without a model")  # fmt: skip
    else:
        excess = apart_from_median(degc)
    blocks = block_means(t_s=times, value=excess, block_s=block_s)
    # Once more: a sensor that has left the others moves the median of noisy samples for all of them.
    value = blocks.value if model_degc is not None else apart_from_median(blocks.value)
    heat = block_means(t_s=times, value=current**2, block_s=block_s).value[:, 0]
    known = np.asarray(np.isfinite(degc).any(axis=1))
    common = np.where(known, np.nanmedian(np.where(known[:, None], degc, 0.0), axis=1), np.nan)
    common = block_means(t_s=times, value=common, block_s=block_s).value[:, 0]
    columns = [np.ones(len(heat))]
    for lag_s in lags_s:
        columns.append(lagged(t_s=blocks.t_s, value=heat, lag_s=lag_s, start=0.0))
        columns.append(common - lagged(t_s=blocks.t_s, value=common, lag_s=lag_s, start=np.nan))
    return Indication(
        phenomenon="local heating",
        unit="K/min",
        t_s=blocks.t_s,
        block_s=block_s,
        value=value,
        weight=blocks.weight(correlation_s=correlation_s, period_s=float(np.median(np.diff(times)))),
        regressors=np.column_stack(columns),
        growth=Growth("ramp", unit_s=60.0, tau_s=excess_s),
        rivals=(Growth("step"),),
        sides="up",
    )


def lagged(*, t_s: Floats, value: Floats, lag_s: float, start: float) -> Floats:
    """Return `value` (blocks,) through a first-order lag; exact for a value that is constant in each block.

    It begins at `start`, or at the first value if that is nan. A nan is held through: the last output stays,
    and the step after it counts for the time that has passed.
    """
    found = np.empty_like(value)
    valid = np.flatnonzero(np.isfinite(value))
    state = float(value[valid[0]]) if np.isnan(start) and valid.size else start
    step_s = np.diff(t_s, prepend=t_s[0] - float(np.min(np.diff(t_s), initial=lag_s)))
    for index, sample in enumerate(value):
        if np.isfinite(sample):
            state += (sample - state) * -np.expm1(-step_s[index] / lag_s)
        found[index] = state
    return found
