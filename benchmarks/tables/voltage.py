"""Voltage of the plant against measured cells: the shipped cell files, and cross-validated refits.

Root mean square over a whole log, driven by its current and temperature alone, on logs that were not fitted
to unless the row says so. LG HG2: SOC is 1 less the counter over the C/20 capacity. The refits are those of
`fit_measured_cells.py` with other logs; what they find is not shipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import fit_measured_cells as fits
import matplotlib as mpl
import measured_cells as measured
import numpy as np

from bench.cells import CellFile, load_cell
from bench.fit.cell_fit import Fit, fit_cell
from bench.fit.error import error_v
from bench.fit.log import Log
from bench.fit.write import SMALL_CELL, About, cell_toml
from tables.table import Row, Table

mpl.use("Agg")
import matplotlib.pyplot as plt

HG2_GOAL_MV = {25: 8.0, 40: 8.0, 0: 25.0, -10: 40.0}
LFP_GOAL_MV = 7.0
#: Other ways to part the drive cycles of the LG HG2: name, fitted, tested.
AT_25 = ("US06_1s", "LA92_1s", "Mixed1_1s", "Mixed2_1s")
COLDER_AND_WARMER = ((40, "US06_1s"), (0, "US06_1s"), (-10, "US06_1s"))
HG2_SPLITS: tuple[tuple[str, fits.Cases, fits.Cases], ...] = tuple(
    (
        "one left out at 25 degC",
        (*((25, cycle) for cycle in AT_25 if cycle != left_out), *COLDER_AND_WARMER),
        ((25, left_out),),
    )
    for left_out in AT_25[:3]
)
#: What the counter may have missed: of 0, 15 and 30 mA the fitted logs are given back best near this.
HG2_OFFSET_A = -0.017


def tables(data: Path, plots: Path) -> list[Table]:
    """The shipped files first, then the refits; one plot for each shipped file."""
    shipped = [_shipped_hg2(name, data, plots) for name in ("lg_hg2_3ah_high_load", "lg_hg2_3ah")]
    return [*shipped, _refitted_hg2(data), _lfp(data, plots), _others(data, plots)]


def _row(
    case: str, cell: CellFile, log: Log, fitted: str, *, goal: float = math.nan, from_s: float = 0.0
) -> Row:
    error = 1e3 * error_v(cell, log)[log.t_s - log.t_s[0] >= from_s]
    note = f"max {np.abs(error).max():.0f} mV, mean {error.mean():+.1f} mV"
    return Row(case, fitted, log.name, float(np.sqrt(np.mean(error**2))), goal, note)


def _as_cell(fit: Fit, capacity_ah: float) -> CellFile:
    """A cell file of a refit, read as a shipped one is."""
    about = About("refit", "NMC", capacity_ah, 3.6, "cross-validation", SMALL_CELL, {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "refit.toml"
        path.write_text(cell_toml(fit, about), encoding="utf-8")
        load_cell.cache_clear()
        return load_cell(str(path))


def _shipped_hg2(name: str, data: Path, plots: Path) -> Table:
    cell = load_cell(name)
    table = Table(f"LG HG2, shipped file {name}, whole cycles", "mV")
    # The file itself says what it was fitted on: a goal is for logs that it has not seen.
    fitted = cell.fit[0].fitted
    logs = [measured.hg2(data, *case) for case in sorted({*fits.HG2_GENTLE, *fits.HG2_GENTLE_TESTED})]
    tested = [log for log in logs if log.name not in fitted]
    for log in (*tested, *(log for log in logs if log.name in fitted)):
        seen = log.name in fitted
        goal = math.nan if seen else HG2_GOAL_MV[int(log.name.split()[0])]
        table.rows.append(_row("fitted" if seen else "tested", cell, log, _brief(fitted), goal=goal))
    _plot(plots / f"voltage_{name}.png", cell, tested)
    return table


def _refitted_hg2(data: Path) -> Table:
    table = Table("LG HG2, refits: other splits, and one with a current offset", "mV")
    for name, fitted, tested in HG2_SPLITS:
        cell = _as_cell(fits.fit_hg2(data, fitted), measured.HG2_AH[25])
        for degc, cycle in tested:
            log = measured.hg2(data, degc, cycle)
            table.rows.append(_row(name, cell, log, _named(fitted), goal=HG2_GOAL_MV[degc]))
    cell = _as_cell(fits.fit_hg2(data, fits.HG2_GENTLE, offset_a=HG2_OFFSET_A), measured.HG2_AH[25])
    for degc, cycle in fits.HG2_GENTLE_TESTED:
        log = measured.hg2(data, degc, cycle, current_offset_a=HG2_OFFSET_A)
        case = f"{1e3 * HG2_OFFSET_A:.0f} mA added to the current"
        table.rows.append(_row(case, cell, log, _named(fits.HG2_GENTLE)))
    return table


def _brief(names: Sequence[str]) -> str:
    return ", ".join(names).replace(" degC", "")


def _named(cases: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{degc} {cycle.removesuffix('_1s')}" for degc, cycle in cases)


def _lfp(data: Path, plots: Path) -> Table:
    log, cell = measured.lfp(data), load_cell("lfp_1p2ah")
    table = Table("1.2 Ah LFP in its flat zone, 25 degC, driven from hour 0 on", "mV")
    rest = replace(log, name="hours 5 to 25")
    table.rows.append(
        _row("shipped", cell, rest, "first 5 h, OCV", goal=LFP_GOAL_MV, from_s=fits.LFP_FITTED_S)
    )
    table.rows.append(_row("shipped", cell, log.part(0.0, fits.LFP_FITTED_S), "first 5 h, OCV"))
    ten_h = 2 * fits.LFP_FITTED_S
    more = fit_cell([log.part(0.0, ten_h)], measured.lfp_ocv(data), weights=fits.OF_RESTED_OCV)
    late = replace(log, name="hours 10 to 25")
    table.rows.append(_row("refit", _as_cell(more, measured.LFP_AH), late, "first 10 h, OCV", from_s=ten_h))
    _plot(plots / "voltage_lfp_1p2ah.png", cell, [log])
    return table


def _others(data: Path, plots: Path) -> Table:
    table = Table("A123 26650 LFP and Nissan Leaf, shipped files", "mV")
    cell = load_cell("a123_2ah_lfp")
    logs = [measured.a123(data, degc) for degc in measured.A123_FILES]
    for degc, log in zip(measured.A123_FILES, logs, strict=True):
        case = "fitted" if degc in fits.A123_FITTED else "tested: temperature between"
        table.rows.append(_row(case, cell, log, "-15, 25, 45 degC dynamic, C/30"))
    _plot(plots / "voltage_a123.png", cell, logs)
    cell, fitted = load_cell("leaf_33ah"), "HPPC 10 and 25 degC, 3C"
    for degc in (10, 25):
        table.rows.append(_row("fitted", cell, measured.leaf_hppc(data, degc), fitted))
    fast, plain = (measured.leaf_discharge(data, rate) for rate in ("3C", "1C"))
    table.rows.append(_row("fitted", cell, fast, fitted))
    table.rows.append(_row("tested", cell, plain, fitted))
    _plot(plots / "voltage_leaf.png", cell, [fast, plain])
    return table


def _plot(path: Path, cell: CellFile, logs: Sequence[Log]) -> None:
    figure, rows = plt.subplots(len(logs), 2, figsize=(13, 2.6 * len(logs)), squeeze=False)
    for (left, right), log in zip(rows, logs, strict=True):
        error, hours = error_v(cell, log), (log.t_s - log.t_s[0]) / 3600.0
        left.plot(hours, log.voltage_v, lw=0.6, label="measured")
        left.plot(hours, log.voltage_v + error, lw=0.6, label="plant")
        left.set(title=f"{cell.name}: {log.name}", ylabel="V", xlabel="h")
        left.legend(loc="lower left")
        right.plot(hours, 1e3 * error, lw=0.5, color="tab:red")
        right.axhline(0.0, color="black", lw=0.5)
        right.set(ylabel="plant less measured [mV]", xlabel="h")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
