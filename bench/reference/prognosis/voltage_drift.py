"""One cell drifts away from the pack's median: self-discharge, or a soft short inside the cell.

A drift grows with time whatever the load does. What does not is taken out: an offset of the sense input, a
difference of load resistance (proportional to the current) and, if the slope of the OCV is given, a constant
difference of state of charge (proportional to that slope). What begins later and stays as it is, an offset or
a resistance, is no drift either: if it explains a cell better, no warning is due.

Without the OCV slope only blocks at about the same state of charge are comparable; where the OCV is flat, a
leak hides until the cell leaves the plateau.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.reference.prognosis.indication import Growth, Indication
from bench.reference.prognosis.samples import apart_from_median, block_means, checked, steady
from bench.reference.prognosis.warning import Rule

#: Project default, in V/h: 12 mV in a day; up to 2.4 mV in a day is nobody's concern.
RULE = Rule(abnormal=0.5e-3, tolerated=0.1e-3)
#: The same in 1/h of state of charge, for indication with an OCV slope: 2.4 % in a day, project default.
SOC_RULE = Rule(abnormal=1e-3, tolerated=0.2e-3)
#: Length of a block [s], project default.
BLOCK_S = 600.0


def drift_indication(
    *,
    t_s: ArrayLike,
    current_a: ArrayLike,
    cell_v: ArrayLike,
    ocv_slope_v: ArrayLike | None = None,
    block_s: float = BLOCK_S,
    settle_s: float = 300.0,
    steady_a: float = 1.0,
    correlation_s: float = 0.0,
) -> Indication:
    """Return the drift of each cell from the median of all, in blocks of steady current.

    Parameters
    ----------
    t_s
        Bench time [s], shape (time,).
    current_a
        Pack current [A], shape (time,), positive when it charges.
    cell_v
        Cell voltages [V], shape (time, cells); nan where not measured.
    ocv_slope_v
        Slope of the OCV at the pack's state of charge [V per unit of state of charge], shape (time,). With it
        the magnitude is in 1/h of state of charge, without it in V/h.
    block_s
        Length of a block [s].
    settle_s, steady_a
        A sample counts if the current stayed within a band of twice `steady_a` [A] for `settle_s` [s].
    correlation_s
        Correlation time of the noise of a cell's measurement [s]; 0: independent samples.

    Raises
    ------
    InvalidInput
        If time does not rise, shapes differ, or there are fewer than three cells.
    """
    times, (current, cells) = checked("voltage drift", t_s, ("current_a", current_a), ("cell_v", cell_v))
    if cells.ndim != 2 or cells.shape[1] < 3:
        raise InvalidInput(
            "voltage drift: cell_v", expected="(time, 3 cells or more)", found=f"{cells.shape}"
        )
    valid = steady(t_s=times, value=current, span_s=settle_s, within=steady_a)
    causes = current[:, None]
    if ocv_slope_v is not None:
        _, (slope,) = checked("voltage drift", t_s, ("ocv_slope_v", ocv_slope_v))
        causes = np.column_stack((current, slope))
    apart = block_means(t_s=times, value=apart_from_median(cells, causes), valid=valid, block_s=block_s)
    columns = block_means(t_s=times, value=causes, valid=valid, block_s=block_s).value
    gain = None if ocv_slope_v is None else np.nan_to_num(columns[:, 1])
    return Indication(
        phenomenon="voltage drift",
        unit="V/h" if gain is None else "1/h",
        t_s=apart.t_s,
        block_s=block_s,
        # Once more: a cell that has left the others moves the median of noisy samples for all of them.
        value=apart_from_median(apart.value, columns),
        weight=apart.weight(correlation_s=correlation_s, period_s=float(np.median(np.diff(times)))),
        regressors=np.column_stack((np.ones(len(columns)), columns)),
        growth=Growth("ramp", unit_s=3600.0, gain=gain),
        rivals=(Growth("step"), Growth("step", gain=np.nan_to_num(columns[:, 0]))),
    )


def leak_a(*, drift_v_per_h: float, ocv_slope_v: float, capacity_ah: float) -> float:
    """Return the current [A] that leaks in a cell which drifts by `drift_v_per_h` at this OCV slope.

    Negative drift (falling) is a positive leak: ``leak = -drift / slope * capacity``.
    """
    if not ocv_slope_v > 0.0:
        raise InvalidInput("leak_a: ocv_slope_v", expected="above 0", found=f"{ocv_slope_v:g}")
    return -drift_v_per_h / ocv_slope_v * capacity_ah
