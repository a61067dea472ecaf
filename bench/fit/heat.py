"""Heat capacity, cooling and entropic coefficient of a cell from what its temperature did under load.

One thermal node: C dT/dt = i (v - U(soc)) + i T dU/dT(soc) + G (T_ambient - T), with i > 0 charging and U the
mean open-circuit voltage. A charge and a discharge of the same cell tell the irreversible heat, which is
the same in both, from the reversible, which changes sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.signal import lfilter

from bench.cells import CellFile
from bench.errors import InvalidInput

Floats = NDArray[np.float64]

KELVIN = 273.15
#: SOCs between which dU/dT is straight.
ENTROPY_SOC = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0])
#: Residual [K] that a coefficient of 1 mV/K counts as: holds dU/dT near zero where nothing is measured.
_PRIOR_K_PER_MV = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class ThermalLog:
    """One measurement on a uniform time base, all shapes (time,).

    Parameters
    ----------
    period_s
        Between two samples [s].
    current_a, voltage_v
        Positive when it charges; at the terminals.
    soc
        Counted from a known start, 0..1.
    cell_degc, ambient_degc
        Mean of what was measured on the cell; of its surroundings.
    """

    period_s: float
    current_a: Floats
    voltage_v: Floats
    soc: Floats
    cell_degc: Floats
    ambient_degc: Floats

    def __post_init__(self) -> None:
        columns = (self.current_a, self.voltage_v, self.soc, self.cell_degc, self.ambient_degc)
        lengths = {len(column) for column in columns}
        if len(lengths) != 1 or lengths == {0}:
            raise InvalidInput("thermal log", expected="columns of one length", found=str(sorted(lengths)))
        if not all(np.isfinite(column).all() for column in columns):
            raise InvalidInput("thermal log", expected="finite numbers", found="nan or inf")


@dataclass(frozen=True, slots=True, eq=False)
class HeatFit:
    """What was found, and how well it gives back the temperature that it was found from.

    Parameters
    ----------
    heat_capacity_j_per_k, ambient_w_per_k
        Of the one node, with whatever is clamped to the cell.
    entropy_soc, entropy_v_per_k
        dU/dT [V/K], both shape (points,).
    rms_k
        Root mean square of the temperature error over all logs.
    """

    heat_capacity_j_per_k: float
    ambient_w_per_k: float
    entropy_soc: Floats
    entropy_v_per_k: Floats
    rms_k: float


def fit_heat(logs: list[ThermalLog], cell: CellFile) -> HeatFit:
    """Least squares on the temperatures of all `logs`.

    Parameters
    ----------
    logs
        One or more; a charge and a discharge among them, or dU/dT stays where the prior holds it.
    cell
        Its open-circuit voltage is used, nothing else.

    Raises
    ------
    InvalidInput
        If there is no log, or no current in any.
    """
    if not logs or not any(np.any(log.current_a != 0.0) for log in logs):
        raise InvalidInput("fit of heat", expected="a log in which current flows", found=f"{len(logs)} logs")

    def residual(p: Floats) -> Floats:
        capacity, conductance = np.exp(p[0]), np.exp(p[1])
        errors = [
            warmed(log, cell, capacity, conductance, ENTROPY_SOC, p[2:] * 1e-3) - log.cell_degc
            for log in logs
        ]
        return np.concatenate([*errors, _PRIOR_K_PER_MV * np.sqrt(sum(map(len, errors))) * p[2:]])

    start = np.concatenate([np.log([cell.thermal.heat_capacity_j_per_k, 1.0]), np.zeros(len(ENTROPY_SOC))])
    found = least_squares(residual, start)
    errors = found.fun[: -len(ENTROPY_SOC)]
    return HeatFit(
        heat_capacity_j_per_k=float(np.exp(found.x[0])),
        ambient_w_per_k=float(np.exp(found.x[1])),
        entropy_soc=ENTROPY_SOC,
        entropy_v_per_k=found.x[2:] * 1e-3,
        rms_k=float(np.sqrt(np.mean(errors**2))),
    )


def warmed(
    log: ThermalLog,
    cell: CellFile,
    heat_capacity_j_per_k: float,
    ambient_w_per_k: float,
    entropy_soc: Floats,
    entropy_v_per_k: Floats,
) -> Floats:
    """Temperature [°C] that the node takes from its first measured one on, shape (time,)."""
    entropy = np.interp(log.soc, entropy_soc, entropy_v_per_k)
    open_v = np.interp(log.soc, cell.ocv.soc, cell.ocv.mean_v)
    # The measured temperature in the reversible heat: 1 K of error there is 0.3 % of it.
    heat_w = log.current_a * (log.voltage_v - open_v + (log.cell_degc + KELVIN) * entropy)
    decay = np.exp(-log.period_s * ambient_w_per_k / heat_capacity_j_per_k)
    towards = log.ambient_degc + heat_w / ambient_w_per_k
    start = log.cell_degc[0]
    found, _ = lfilter([1.0 - decay], [1.0, -decay], towards[1:], zi=[decay * start])
    return np.concatenate([[start], found])
