"""From unknowns to a cell file: tables of the fit as TOML that `bench.cells.load_cell` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import isotonic_regression

from bench.cells import load_cell
from bench.cells.cell_file import Entropy, FitError, Thermal
from bench.fit.axes import GRID_SOC, Axes, Floats, hat
from bench.fit.cell_fit import Fit
from bench.fit.error import fit_error
from bench.fit.log import Log


@dataclass(frozen=True, slots=True)
class About:
    """What a cell file says that no fit finds.

    Parameters
    ----------
    usable
        Slow-discharge capacity by temperature [°C] as a fraction of that at 25 °C; empty if not known.
    entropy
        dU/dT measured by heat; None: what the fit of the voltages found, if it looked for it.
    """

    name: str
    chemistry: str
    capacity_ah: float
    nominal_v: float
    source: str
    thermal: Thermal
    usable: dict[float, float]
    entropy: Entropy | None = None
    header: str = "Computed by `bmsbench fit-cell`; fit again rather than edit."


#: Where nobody has measured heat: a 0.05 kg cell at 1000 J/(kg K) in still air.
SMALL_CELL = Thermal(
    heat_capacity_j_per_k=50.0,
    neighbour_w_per_k=0.1,
    ambient_w_per_k=0.03,
    fan_w_per_k=0.1,
    source="project default, not measured: 0.05 kg at 1000 J/(kg K), still air",
)


def branches(fit: Fit) -> tuple[Floats, Floats]:
    """Open-circuit voltage while discharging and while charging on `GRID_SOC` [V]."""
    axes, unknowns = fit.axes, fit.unknowns
    below, above = hat(GRID_SOC, axes.ocv_soc)
    moved = axes.block(unknowns, "mean")
    mean_v = fit.base_v + (1 - above) * moved[below] + above * moved[below + 1]
    below, above = hat(GRID_SOC, axes.half_soc)
    half = np.exp(axes.block(unknowns, "half"))
    half_v = (1 - above) * half[below] + above * half[below + 1]
    return _rising(mean_v - half_v), _rising(mean_v + half_v)


def _rising(branch_v: Floats) -> Floats:
    """The rising curve next to `branch_v` in the least-squares sense; keeps one branch above the other."""
    slope_v = 2e-5 * np.arange(len(branch_v))
    rising_v: Floats = isotonic_regression(branch_v - slope_v).x + slope_v
    return rising_v


def cell_toml(fit: Fit, about: About, errors: Sequence[FitError] = ()) -> str:
    """The text of the cell file."""
    unknowns, axes = fit.unknowns, fit.axes
    source = f'source = "{about.source}"'
    discharge_v, charge_v = branches(fit)
    degc = f"temperature_degc = {_row(axes.temperature_degc, 4)}"
    parts = [
        f"# {about.header}",
        'schema = "bmsbench-cell/1"',
        f'name = "{about.name}"\nchemistry = "{about.chemistry}"',
        f"capacity_ah = {about.capacity_ah:.5g}\nnominal_v = {about.nominal_v:.4g}\n{source}",
        f"\n[ocv]\nsoc = {_wrapped(GRID_SOC, 4)}\ndischarge_v = {_wrapped(discharge_v, 7)}",
        f"charge_v = {_wrapped(charge_v, 7)}",
        "overcharge_v_per_soc = 12.0\noverdischarge_v_per_soc = 30.0",
        f'source = "{about.source}; slopes outside 0..1: project default"',
        f"\n[hysteresis]\nrate = {np.exp(axes.block(unknowns, 'rate')[0]):.4g}\n{source}",
    ]
    if (found := _entropy(unknowns, axes, about)) is not None:
        parts.append(
            f"\n[entropy]\nsoc = {_row(found.soc, 4)}\nv_per_k = {_row(found.v_per_k, 4)}\n"
            f'source = "{found.source}"'
        )
    if about.usable:
        at = sorted(about.usable)
        fractions = _row([about.usable[degrees] for degrees in at], 5)
        parts.append(f"\n[usable]\ntemperature_degc = {_row(at, 4)}\nfraction = {fractions}\n{source}")
    parts.append(f"\n[r0]\n{degc}\nsoc = {_row(axes.r0_soc, 4)}\n{_ohm(unknowns, axes, 'r0')}\n{source}")
    for k, soc in enumerate(axes.rc_soc, 1):
        tau = _row(np.exp(axes.block(unknowns, f"tau{k}")), 5)
        table = _ohm(unknowns, axes, f"r{k}")
        bend = _row(np.exp(axes.block(unknowns, f"linear{k}")), 4) if k in axes.bent else ""
        linear = f"linear_a = {bend}\n" if bend else ""
        parts.append(f"\n[[rc]]\n{degc}\nsoc = {_row(soc, 4)}\n{table}\ntau_s = {tau}\n{linear}{source}")
    thermal = [f"{key} = {value!r}" for key, value in about.thermal.model_dump(exclude={"source"}).items()]
    parts.append("\n".join(("\n[thermal]", *thermal, f'source = "{about.thermal.source}"')))
    return "\n".join((*parts, *(_error(error) for error in errors))) + "\n"


def _entropy(unknowns: Floats, axes: Axes, about: About) -> Entropy | None:
    if about.entropy is not None or not len(axes.entropy_soc):
        return about.entropy
    return Entropy(soc=axes.entropy_soc, v_per_k=axes.block(unknowns, "entropy"), source=about.source)


def _error(error: FitError) -> str:
    fitted = ", ".join(f'"{name}"' for name in error.fitted)
    return (
        f'\n[[fit]]\nfitted = [{fitted}]\ntested = "{error.tested}"\n'
        f"rms_mv = {error.rms_mv:.2f}\nmax_mv = {error.max_mv:.1f}"
    )


def _ohm(unknowns: Floats, axes: Axes, name: str) -> str:
    rows = np.exp(axes.block(unknowns, name))
    return "ohm = [\n" + "".join(f"  {_row(row, 4)},\n" for row in rows) + "]"


def _row(values: Sequence[float] | Floats, digits: int) -> str:
    return "[" + ", ".join(f"{value:.{digits}g}" for value in values) + "]"


def _wrapped(values: Floats, digits: int) -> str:
    rows = (values[k : k + 10] for k in range(0, len(values), 10))
    return "[\n" + "".join(f"  {', '.join(f'{v:.{digits}g}' for v in row)},\n" for row in rows) + "]"


def write_measured(
    path: Path,
    fit: Fit,
    about: About,
    fitted: Sequence[str],
    logs: Sequence[Log],
    starts_s: Sequence[float] | None = None,
) -> list[FitError]:
    """Write the cell file, measure its error on `logs` as it was written, and write it with the errors.

    Parameters
    ----------
    fitted
        What the tables were computed from, for the file.
    starts_s
        From when on the error of each log counts [s]; None: from its start.
    """
    path.write_text(cell_toml(fit, about), encoding="utf-8")
    load_cell.cache_clear()
    cell = load_cell(str(path))
    starts = [0.0] * len(logs) if starts_s is None else starts_s
    errors = [fit_error(cell, log, fitted, from_s=start) for log, start in zip(logs, starts, strict=True)]
    path.write_text(cell_toml(fit, about, errors), encoding="utf-8")
    load_cell.cache_clear()
    return errors
