"""The whole fit, from logs and a first open-circuit voltage to tables; axes and guesses are chosen here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import InvalidInput
from bench.fit.axes import GRID_SOC, KELVIN, Axes, Floats
from bench.fit.log import Log, checked
from bench.fit.ocv import FirstOcv
from bench.fit.solve import DEFAULT, Weights, solve

#: Points of the tables over SOC, project default: closer at low SOC, where cells change fastest.
R0_SOC = np.array([0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
RC_SOC = np.array([0, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6,
                   0.7, 0.8, 0.9, 0.95, 1])  # fmt: skip
HALF_SOC = np.array([0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7,
                     0.75, 0.8, 0.85, 0.9, 0.95, 1])  # fmt: skip
ENTROPY_SOC = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
#: First time constants [s] for two and for three pairs.
FIRST_TAU_S = {2: (5.0, 200.0), 3: (2.0, 40.0, 600.0)}
#: First resistances over that which the steps of the current show: R0, then the pairs.
FIRST_SHARES = (1.0, 0.5, 0.6, 0.7)
#: First linear currents of the pairs over the capacity [1/h].
FIRST_LINEAR_C = {1: 1.0, 2: 1.0, 3: 0.1}
#: Logs whose mean temperatures are this close [K] share one row of the tables.
SAME_TEMPERATURE_K = 4.0


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit found: where the tables have points, the OCV it began with, the vector of unknowns."""

    axes: Axes
    base_v: Floats
    unknowns: Floats

    def __repr__(self) -> str:
        return f"Fit({len(self.axes.temperature_degc)} temperatures, {self.axes.unknowns} unknowns)"


def fit_cell(
    logs: Sequence[Log],
    ocv: FirstOcv,
    *,
    pairs: int = 3,
    bent: tuple[int, ...] = (1, 3),
    temperatures_degc: Sequence[float] | None = None,
    weights: Weights = DEFAULT,
    every: int = 4,
) -> Fit:
    """Return the tables that give back all `logs` best.

    Parameters
    ----------
    logs
        Each with the state it began in; slow ones with a small `weight`.
    temperatures_degc
        Rows of the tables; None: one for each group of logs that are equally warm.
    bent
        Numbers of the pairs, from 1, that leave Ohm's law at large currents: the fast one, as charge transfer
        does, and the slow one, because the polarisation of a nearly empty cell hardly grows with the current.
    every
        Only each so many samples of a long log are compared; all are simulated.

    Raises
    ------
    InvalidInput
        A log that cannot be used, or a number of pairs that is not 2 or 3.
    """
    if pairs not in FIRST_TAU_S:
        raise InvalidInput("pairs", expected="2 or 3", found=str(pairs))
    if not logs:
        raise InvalidInput("fit", expected="one log at least", found="none")
    for log in logs:
        checked(log)
    rows = _rows(logs) if temperatures_degc is None else np.array(temperatures_degc, dtype=np.float64)
    axes = _axes(logs, rows, pairs, bent)
    guess = _guess(logs, axes, ocv)
    return Fit(axes, ocv.mean_v, solve(logs, axes, ocv.mean_v, guess, weights=weights, every=every))


def _rows(logs: Sequence[Log]) -> Floats:
    """Mean temperatures of groups of logs [°C], rounded to whole degrees."""
    means = sorted(float(np.mean(log.temperature_degc)) for log in logs)
    groups = [[means[0]]]
    for mean in means[1:]:
        if mean - groups[-1][0] > SAME_TEMPERATURE_K:
            groups.append([])
        groups[-1].append(mean)
    return np.round([np.mean(group) for group in groups])


def _axes(logs: Sequence[Log], rows: Floats, pairs: int, bent: tuple[int, ...]) -> Axes:
    """Points of the tables: resistances only where a log has been, or the next point beyond."""
    least = min(float(log.soc_trace.min()) for log in logs)
    most = max(float(log.soc_trace.max()) for log in logs)
    rc_soc = _visited(RC_SOC, least, most)
    return Axes(
        temperature_degc=rows,
        ocv_soc=np.concatenate([GRID_SOC[:20:2], GRID_SOC[20::5]]),
        half_soc=HALF_SOC,
        entropy_soc=ENTROPY_SOC if len(rows) > 1 else np.array([]),
        r0_soc=_visited(R0_SOC, least, most),
        rc_soc=(rc_soc,) * pairs,
        bent=tuple(k for k in bent if k <= pairs),
    )


def _visited(nodes: Floats, least: float, most: float) -> Floats:
    first = max(int(np.searchsorted(nodes, least, side="right")) - 1, 0)
    last = min(int(np.searchsorted(nodes, most, side="left")), len(nodes) - 1)
    return nodes[first : last + 1]


def _guess(logs: Sequence[Log], axes: Axes, ocv: FirstOcv) -> Floats:
    """First unknowns: resistances from steps of the current, warmer rows with less of it."""
    cold = np.exp(3000.0 * (1.0 / (axes.temperature_degc + KELVIN) - 1.0 / (25.0 + KELVIN)))
    slopes = [_step_ohm(log) for log in logs]
    warm = [
        float(np.exp(3000.0 / (np.mean(log.temperature_degc) + KELVIN) - 3000.0 / 298.15)) for log in logs
    ]
    ohm = float(np.median([slope / factor for slope, factor in zip(slopes, warm, strict=True)]))
    capacity_ah = float(np.median([log.capacity_ah for log in logs]))
    blocks: dict[str, Floats] = {
        "mean": np.zeros(1),
        "half": np.log(np.interp(axes.half_soc, GRID_SOC, ocv.half_v)),
        "entropy": np.zeros(len(axes.entropy_soc)),
        "rate": np.log([8.0]),
        "r0": np.log(FIRST_SHARES[0] * ohm * np.sqrt(cold))[:, None],
    }
    for k, tau_s in enumerate(FIRST_TAU_S[len(axes.rc_soc)], 1):
        blocks[f"r{k}"] = np.log(FIRST_SHARES[k] * ohm * cold)[:, None]
        blocks[f"tau{k}"] = np.log([tau_s])
        if k in axes.bent:
            blocks[f"linear{k}"] = np.log(FIRST_LINEAR_C[k] * capacity_ah / cold)
    return axes.join(blocks)


def _step_ohm(log: Log) -> float:
    steps = np.diff(log.current_a)
    return max(float(steps @ np.diff(log.voltage_v)) / max(float(steps @ steps), 1e-12), 1e-6)
