"""One cell through a measured current: the plant's own cell equations without the pack around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.plant import layout as at
from bench.plant.arrays import CellParameters, cell_constants, cell_rows
from bench.plant.cells import advance_cells
from bench.plant.kernel import fingerprint
from bench.plant.layout import CELL_HEAT_J, EMF, HYSTERESIS, R0, SOC, TEMPERATURE
from bench.plant.tables import cell_tables, refresh_resistances

Floats = NDArray[np.float64]

LONGEST_STEP_S = 0.1  # as the plant: resistances are held no longer


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """What a cell did, each array shape (samples,).

    Parameters
    ----------
    voltage_v
        Terminal voltage, mean over the interval that ends at each stamp [V].
    end_voltage_v
        Terminal voltage at each stamp, under the current of the interval that ends there [V].
    soc, hysteresis
        At each stamp.
    heat_w
        Heat made in the cell, mean over the interval [W]; in the first sample 0.
    """

    voltage_v: Floats
    end_voltage_v: Floats
    soc: Floats
    hysteresis: Floats
    heat_w: Floats


def simulate(
    cell: CellFile,
    t_s: ArrayLike,
    current_a: ArrayLike,
    *,
    temperature_degc: ArrayLike,
    soc: float,
    hysteresis: float = 0.0,
    capacity_ah: float | None = None,
    resistance_factor: float = 1.0,
) -> Simulated:
    """Take one cell through `current_a` at given temperatures.

    Samples are means over the interval that ends at their stamp, as a cycler's block means are; the current
    is held over it. The first sample has no interval: no time passes before it. The cell starts rested.

    Parameters
    ----------
    cell
        The cell type.
    t_s, current_a
        Stamps [s], rising, and current [A], positive when it charges, both shape (samples,).
    temperature_degc
        Of the cell [°C], one for all or one per sample.
    soc, hysteresis
        At the first stamp; hysteresis -1 discharge branch .. +1 charge branch.
    capacity_ah
        Of this cell [Ah]; None: as in the file. It does not scale the resistances.
    resistance_factor
        Multiplies every resistance.

    Raises
    ------
    InvalidInput
        If the arrays do not fit each other, are not finite, or time does not rise.
    """
    stamp, current = np.asarray(t_s, dtype=np.float64), np.asarray(current_a, dtype=np.float64)
    if stamp.ndim != 1 or len(stamp) == 0 or current.shape != stamp.shape:
        found = f"shapes {stamp.shape} and {current.shape}"
        raise InvalidInput("simulate", expected="t_s and current_a of one shape (samples,)", found=found)
    degc = np.ascontiguousarray(_one_or_each("temperature_degc", temperature_degc, len(stamp)))
    if not (np.isfinite(stamp).all() and np.isfinite(current).all() and np.isfinite(degc).all()):
        raise InvalidInput("simulate", expected="finite numbers", found="a gap (nan or infinite)")
    if (np.diff(stamp) <= 0.0).any():
        first = int(np.argmax(np.diff(stamp) <= 0.0)) + 1
        raise InvalidInput("simulate: t_s", expected="strictly rising", found=f"{stamp[first]} at [{first}]")
    one = CellParameters(
        capacity_ah=np.array([cell.capacity_ah if capacity_ah is None else capacity_ah]),
        resistance_factor=np.array([resistance_factor]),
        soc=np.array([soc]),
        temperature_degc=degc[:1],
        leak_a=np.zeros(1),
    )
    constant, slots = np.zeros(at.CONSTANTS), cell_constants(cell)
    constant[list(slots)] = list(slots.values())
    ohm, axis = cell_tables(cell)
    ocv = np.array([cell.ocv.mean_v, cell.ocv.half_v])
    out = np.zeros((5, len(stamp)))
    follow(
        stamp,
        np.ascontiguousarray(current),
        degc,
        ocv,
        ohm,
        axis,
        cell_rows(cell, one, hysteresis),
        constant,
        out,
    )
    return Simulated(*out)


def _one_or_each(name: str, value: ArrayLike, count: int) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (count,)):
        raise InvalidInput(f"simulate: {name}", expected=f"one or {count}", found=f"shape {array.shape}")
    return np.broadcast_to(array, (count,))


def _compile(digest: str) -> Callable[..., None]:
    """Compile `follow`; see `kernel` for why the digest is closed over."""

    @njit(cache=True)  # type: ignore[untyped-decorator]
    def follow(
        t_s: Floats,
        current_a: Floats,
        degc: Floats,
        ocv: Floats,
        ohm: Floats,
        axis: Floats,
        cell: Floats,
        constant: Floats,
        out: Floats,
    ) -> None:
        if len(digest) == 0:
            return
        group = np.zeros((at.GROUP_ROWS, 1))
        group_flag = np.zeros((at.GROUP_FLAG_ROWS, 1), dtype=np.bool_)
        state = np.zeros(at.STATE_SIZE)
        refresh_resistances(cell, ohm, axis, state)
        for n in range(len(t_s)):
            i = current_a[n]
            cell[TEMPERATURE, 0] = degc[n]
            interval = t_s[n] - t_s[n - 1] if n > 0 else 0.0
            steps = int(np.ceil(interval / LONGEST_STEP_S - 1e-9))
            before_j, volt_seconds = state[CELL_HEAT_J], 0.0
            refresh_resistances(cell, ohm, axis, state)
            v = cell[EMF, 0] + cell[R0, 0] * i
            for _ in range(steps):
                h = interval / steps
                advance_cells(h, i, i * i, cell, group, group_flag, ocv, constant, state)
                refresh_resistances(cell, ohm, axis, state)
                after = cell[EMF, 0] + cell[R0, 0] * i
                volt_seconds += 0.5 * (v + after) * h
                v = after
            out[0, n] = volt_seconds / interval if steps > 0 else v
            out[1, n] = v
            out[2, n], out[3, n] = cell[SOC, 0], cell[HYSTERESIS, 0]
            out[4, n] = (state[CELL_HEAT_J] - before_j) / interval if steps > 0 else 0.0

    compiled: Callable[..., None] = follow
    return compiled


follow = _compile(fingerprint())
