"""State of health on measured cells: pulses (PulseBat), partial discharge (CALCE), resistance (Leaf).

Every figure is about cells that nothing was learnt from, unless its row says otherwise. All rows of a
held-out cell are held out together. A "level" of PulseBat is the charge put in since empty as a share of
*nominal* capacity (3 minutes at 1 C for each 5 %, says the readme of its repository), which a bench counts
without knowing the capacity. `soc_actual` is not used: as a share of the true capacity it would tell the
answer (in these files it equals the level within 0.0002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.estimators.capacity import Piece, from_piece
from bench.reference.estimators.charge_window import (
    WindowRelation,
    capacity_from_window,
    learn_relation,
    window_charge,
)
from bench.reference.estimators.pulses import (
    FEATURES,
    WITHOUT_CONTACT,
    by_cell,
    choose,
    learn,
    predict,
    pulse_features,
)
from bench.reference.estimators.resistance import StepRules, activation_energy, find_steps
from bench.reference.estimators.rest import soc_at_rest
from tables.table import Row, Table

mpl.use("Agg")
import matplotlib.pyplot as plt

PULSES = {"NMC": ("nmc_21ah_pulse5s.csv", 1.0), "LFP": ("lfp_35ah_pulse5s.csv", 2.5)}
#: Feature tables that `choose` may pick from, on the reference cells of each fold.
CANDIDATES = (("rest_v",), WITHOUT_CONTACT, FEATURES[:5], FEATURES)
#: The cells of CALCE hold 1.1 Ah nominally and were discharged at 1 C.
NOMINAL_AH, CALCE_A = 1.1, -1.1
#: Windows [V] of a discharge; the first is the one that both cells have.
WINDOWS = ((3.8, 3.4), (3.8, 3.5), (3.9, 3.6), (3.7, 3.5), (3.8, 3.6), (3.6, 3.4), (3.9, 3.7))


@dataclass(frozen=True, slots=True)
class Fold:
    """Errors and bounds of held-out rows, shape (rows,), as fractions of nominal capacity."""

    truth: Floats
    error: Floats
    bound: Floats

    @property
    def rmse_percent(self) -> float:
        return 100.0 * float(np.sqrt(np.mean(self.error**2)))

    @property
    def covered(self) -> str:
        """How often the bound of 95 % held."""
        held = np.abs(self.error) <= self.bound
        half = 100.0 * float(np.median(self.bound))
        return f"bound held {held.sum()}/{len(held)} ({held.mean():.0%}), half of them below {half:.1f} %"


def tables(data: Path, plots: Path) -> list[Table]:
    """All tables, and a plot for each group."""
    pulses, pieces = _pulses(data / "pulsebat", plots), _pieces(data / "pulsebat")
    return [*pulses, pieces, *_windows(data / "calce_cs2", plots), _leaf(data, plots)]


@dataclass(frozen=True, slots=True)
class Pulses:
    """Rows of one file: features by name, charge put in since empty over nominal, SOH and cell."""

    features: Floats
    level: Floats
    soh: Floats
    cell: np.ndarray

    def at(self, levels: Floats) -> Pulses:
        kept = np.isin(self.level, levels)
        return Pulses(self.features[kept], self.level[kept], self.soh[kept], self.cell[kept])

    def side_by_side(self, names: tuple[str, ...]) -> tuple[Floats, Floats, np.ndarray]:
        """Features of all levels of each cell in one row, its SOH, and the cells."""
        rows, cells = by_cell(self.only(names), self.level, self.cell)
        return rows, np.array([self.soh[self.cell == cell][0] for cell in cells]), cells

    def only(self, names: tuple[str, ...]) -> Floats:
        return self.features[:, [FEATURES.index(name) for name in names]]


def _read(file: Path) -> Pulses:
    table = np.genfromtxt(file, delimiter=",", names=True)
    volts = np.column_stack([table[f"U{k}"] for k in range(1, 22)])
    level = table["soc_percent_of_nominal"] / 100.0
    return Pulses(pulse_features(volts), level, table["soh"], table["cell_no"].astype(int))


def _held_out(candidates: list[Floats], soh: Floats, cell: np.ndarray, *, nonlinear: bool = False) -> Fold:
    """Leave one cell out; with several candidates the reference cells choose among them."""
    error, bound = np.empty(len(soh)), np.empty(len(soh))
    for one in np.unique(cell):
        test = cell == one
        rest = [table[~test] for table in candidates]
        k = choose(rest, soh[~test], cell[~test], nonlinear=nonlinear) if len(rest) > 1 else 0
        model = learn(rest[k], soh[~test], cell[~test], nonlinear=nonlinear)
        found = predict(model, candidates[k][test])
        error[test], bound[test] = found.soh - soh[test], found.bound
    return Fold(soh, error, bound)


def _pulses(folder: Path, plots: Path) -> list[Table]:
    found, figure = [], plt.figure(figsize=(12, 9))
    for k, (name, (file, goal)) in enumerate(PULSES.items()):
        pulses = _read(folder / file)
        table, several, single = _pulse_table(name, pulses, goal)
        found.append(table)
        _against_truth(figure.add_subplot(2, 2, 2 * k + 1), f"{name}, 5 levels of 30 to 50 %", several)
        axes = figure.add_subplot(2, 2, 2 * k + 2)
        axes.bar([f"{100 * level:.0f}" for level in single], [fold.rmse_percent for fold in single.values()])
        axes.axhline(goal, color="black", linestyle="--")
        axes.set(
            title=f"{name}, one level only", xlabel="charge since empty [% of nominal]", ylabel="RMSE [%]"
        )
    figure.tight_layout()
    figure.savefig(plots / "soh_pulses.png", dpi=110)
    plt.close(figure)
    return found


class PulseTable:
    """Collects the rows of one chemistry."""

    def __init__(self, name: str, pulses: Pulses, goal: float) -> None:
        self.pulses, self.goal = pulses, goal
        self.cells = len(np.unique(pulses.cell))
        title = f"SOH of {self.cells} retired {name} cells from 5 s pulses, one cell held out at a time"
        self.table = Table(title, "% RMSE")

    def add(self, case: str, fold: Fold, *, judged: bool = False, note: str = "") -> None:
        """`judged`: the row is held to the goal; else the note says how it stands to it."""
        within = "within" if fold.rmse_percent <= self.goal else "BEYOND"
        text = f"{note}{fold.covered}" + ("" if judged else f"; {within} {self.goal:g} %")
        goal = self.goal if judged else math.nan
        known = f"{self.cells - 1} cells"
        self.table.rows.append(Row(case, known, f"{self.cells} cells", fold.rmse_percent, goal, text))

    def add_mean_only(self) -> None:
        """What saying the mean of all other cells would come to: what the pulses have to beat."""
        _, soh, _ = self.pulses.side_by_side(("rest_v",))
        error = (soh - soh.mean()) * len(soh) / (len(soh) - 1)
        bound = np.full(len(soh), 1.96 * float(soh.std()))
        note = f"SOH {soh.min():.3f} to {soh.max():.3f}, {np.sum(soh > 0.95)} cells above 0.95; "
        self.add("no pulse, mean of the other cells", Fold(soh, error, bound), note=note)

    def add_per_cell(self, case: str, levels: Floats, *, judged: bool) -> Fold:
        part = self.pulses.at(levels)
        rows, soh, cell = part.side_by_side(WITHOUT_CONTACT)
        fold = _held_out([rows], soh, cell)
        aged = soh < 0.95
        note = ""
        if aged.sum() < 5:
            note = "aged cells: " + ", ".join(f"{100 * x:+.1f} %" for x in fold.error[aged]) + "; "
            sound = 100 * float(np.sqrt(np.mean(fold.error[~aged] ** 2)))
            note += f"RMSE of the others {sound:.2f} %; "
        self.add(f"per cell, {case}", fold, judged=judged, note=note)
        chosen = [part.side_by_side(names)[0] for names in CANDIDATES]
        self.add("  as above, features chosen inside each fold", _held_out(chosen, soh, cell))
        return fold

    def add_per_row(self) -> dict[float, Fold]:
        single = {}
        for level in np.unique(self.pulses.level):
            part = self.pulses.at(np.array([level]))
            single[float(level)] = _held_out([part.only(WITHOUT_CONTACT)], part.soh, part.cell)
            self.add(f"per row, at the known level of {100 * level:.0f} %", single[float(level)])
        columns = [[getattr(fold, name) for fold in single.values()] for name in ("truth", "error", "bound")]
        self.add("per row, levels known, all rows", Fold(*map(np.concatenate, columns)))
        return single

    def add_unknown(self) -> None:
        one = self.pulses
        rows = _held_out([one.only(WITHOUT_CONTACT)], one.soh, one.cell, nonlinear=True)
        self.add("per row, level not known, all rows", rows)
        levels = np.unique(one.level)
        parts = [one.at(levels[k : k + 5]).side_by_side(WITHOUT_CONTACT) for k in range(len(levels) - 4)]
        table, soh, cell = (np.concatenate([part[k] for part in parts]) for k in range(3))
        fold = _held_out([table], soh, cell, nonlinear=True)
        self.add("per cell, 5 levels 5 % apart, start not known", fold)


def _pulse_table(name: str, pulses: Pulses, goal: float) -> tuple[Table, Fold, dict[float, Fold]]:
    found, levels = PulseTable(name, pulses, goal), np.unique(pulses.level)
    found.add_mean_only()
    found.add_per_cell("10 levels, 5 to 50 %", levels, judged=True)
    several = found.add_per_cell("5 levels, 30 to 50 %", levels[5:], judged=True)
    found.add_per_cell("5 levels, 5 to 25 %", levels[:5], judged=False)
    single = found.add_per_row()
    found.add_unknown()
    return found.table, several, single


def _pieces(folder: Path) -> Table:
    """Charge between two rests of a cell, with the SOC of each from the rest voltages of all other cells."""
    table = Table("PulseBat: capacity from the charge between two rests of 10 minutes", "% RMSE")
    for name, (file, _) in PULSES.items():
        pulses = _read(folder / file)
        for low, high in ((0.10, 0.45), (0.15, 0.40), (0.20, 0.35)):
            found = [_one_piece(pulses, cell, low, high) for cell in np.unique(pulses.cell)]
            kept = np.array([one for one in found if one is not None]).reshape(-1, 3)
            refused = f"{len(found) - len(kept)} of {len(found)} cells refused; "
            case, known = f"{name}, from {100 * low:.0f} to {100 * high:.0f} %", f"{len(found) - 1} cells"
            if len(kept):
                fold = Fold(*kept.T)
                tested = f"{len(kept)} cells"
                table.rows.append(Row(case, known, tested, fold.rmse_percent, note=refused + fold.covered))
            else:
                table.rows.append(Row(case, known, "none", math.nan, note=refused + "the curve is too flat"))
    return table


def _one_piece(pulses: Pulses, cell: int, low: float, high: float) -> tuple[float, float, float] | None:
    """SOH, its error and its bound; None if the estimator refuses."""
    rest_v = {one: pulses.features[pulses.cell == one, 0] for one in np.unique(pulses.cell)}
    soh = {one: float(pulses.soh[pulses.cell == one][0]) for one in rest_v}
    levels, grid = np.unique(pulses.level), np.linspace(0.052, 0.495, 180)
    # Of the other cells capacity is known, so a level is a true SOC.
    curves = np.array([np.interp(grid, levels / soh[one], rest_v[one]) for one in rest_v if one != cell])
    table_v = np.maximum.accumulate(np.median(curves, axis=0))
    apart_v = float(np.quantile(np.abs(curves - table_v), 0.9))
    at = [int(np.argmin(np.abs(levels - level))) for level in (low, high)]
    try:
        ends = [soc_at_rest(float(rest_v[cell][k]), apart_v, grid, table_v) for k in at]
        moved, doubt = ends[1][0] - ends[0][0], ends[1][1] + ends[0][1]
        # Charge in shares of nominal, so the capacity is an SOH; the cycler is taken to be right to 0.1 %.
        found = from_piece(Piece(high - low, 0.001, moved, doubt))
    except InvalidInput:
        return None
    return soh[cell], found.capacity_ah - soh[cell], found.bound_ah


def _against_truth(axes: plt.Axes, title: str, fold: Fold) -> None:
    low, high = float(fold.truth.min()) - 0.03, float(fold.truth.max()) + 0.03
    axes.plot([low, high], [low, high], color="black", linewidth=0.8)
    axes.errorbar(fold.truth, fold.truth + fold.error, fold.bound, fmt="o", capsize=2, markersize=4)
    axes.set(title=f"{title}: {fold.rmse_percent:.2f} %", xlabel="measured SOH", ylabel="from pulses")


def _windows(folder: Path, plots: Path) -> list[Table]:
    cycles = {name: _cycles(folder / f"{name}_cycles.csv") for name in ("CS2_35", "CS2_37")}
    across = Table("CALCE CS2: capacity from the charge between 3.8 and 3.4 V, 1 C", "% of nominal, RMSE")
    figure, axes = plt.subplots(1, 3, figsize=(16, 5))
    relations: dict[str, WindowRelation] = {}
    for axis, (known, new) in zip(axes, (("CS2_35", "CS2_37"), ("CS2_37", "CS2_35")), strict=False):
        relations[known] = learn_relation(*cycles[known], CALCE_A)
        charge, truth = cycles[new]
        found = capacity_from_window(relations[known], charge, CALCE_A)
        kept = np.isfinite(found.capacity_ah)
        fold = Fold(truth[kept], found.capacity_ah[kept] - truth[kept], found.bound_ah[kept])
        note = _left_out_note(relations[known], charge, truth, kept)
        across.rows.append(Row("all cycles, table of the source", known, new, *_of_nominal(fold, 2.0, note)))
        axis.plot(truth, found.capacity_ah, ".", markersize=3)
        axis.plot([0.2, 1.15], [0.2, 1.15], color="black", linewidth=0.8)
        axis.set(title=f"{known} to {new}", xlabel="measured [Ah]", ylabel="from 3.8 to 3.4 V [Ah]")
    curves = _curves(folder / "CS2_35_selected_cycles.csv")
    own = capacity_from_window(relations["CS2_37"], curves.charge_ah[:, 0], CALCE_A)
    kept = np.isfinite(own.capacity_ah)
    fold = Fold(curves.truth_ah[kept], (own.capacity_ah - curves.truth_ah)[kept], own.bound_ah[kept])
    note = f"{kept.sum()} of {len(kept)} curves, charge by window_charge; "
    across.rows.append(Row("raw curves", "CS2_37", "CS2_35", *_of_nominal(fold, 2.0, note)))
    small = _small_windows(curves)
    axes[2].barh([row.case for row in small.rows], [row.value for row in small.rows])
    axes[2].set(title="windows, raw curves, one curve left out", xlabel="RMSE [% of nominal]")
    figure.tight_layout()
    figure.savefig(plots / "soh_windows.png", dpi=110)
    plt.close(figure)
    return [across, small]


def _of_nominal(fold: Fold, goal: float, note: str) -> tuple[float, float, str]:
    share = Fold(fold.truth / NOMINAL_AH, fold.error / NOMINAL_AH, fold.bound / NOMINAL_AH)
    worst = 100.0 * float(np.abs(share.error).max())
    return share.rmse_percent, goal, f"{note}worst {worst:.1f} %; {share.covered}"


def _left_out_note(relation: WindowRelation, charge: Floats, truth: Floats, kept: np.ndarray) -> str:
    """How many rows are refused, by a rule that needs no truth, and what they would have been."""
    order = relation.polynomial.degree()
    if kept.all():
        return f"order {order}; no row left out; "
    every = 100.0 * float(np.sqrt(np.mean((relation.polynomial(charge) - truth) ** 2))) / NOMINAL_AH
    refused = f"{np.sum(~kept)} of {len(kept)} rows refused (charge outside what was learnt)"
    return f"order {order}; {refused}, {every:.2f} % with them; "


def _cycles(file: Path) -> tuple[Floats, Floats]:
    """Charge of the window and capacity [Ah] of every cycle."""
    table = np.genfromtxt(file, delimiter=",", names=True)
    return table["partial_capacity_3p8_3p4_V_Ah"], table["discharge_capacity_Ah"]


@dataclass(frozen=True, slots=True)
class Curves:
    """Charge of each window, shape (curves, windows), and of the whole discharge, shape (curves,) [Ah]."""

    charge_ah: Floats
    truth_ah: Floats


def _curves(file: Path) -> Curves:
    """Discharge curves of a cell; a curve that comes twice (same charge to 0.1 mAh) counts once."""
    table = np.genfromtxt(file, delimiter=",", names=True, dtype=None, encoding="utf-8")
    charges, truths = [], []
    for date in dict.fromkeys(table["file_date"]):
        cycle = table[table["file_date"] == date]
        # The discharge is step 7; the sample before it is at rest and begins the window. Some workbooks
        # repeat a time stamp at a step.
        rows = np.flatnonzero(cycle["step"] == 7)
        part = cycle[np.concatenate(([rows[0] - 1], rows))]
        part = part[np.concatenate(([True], np.diff(part["t_s"]) > 0.0))]
        log = part["t_s"], -part["i_A"], part["v_V"]
        charges.append([
            window_charge(*log, from_v=a, to_v=b, max_gap_s=60.0).charge_ah for a, b in WINDOWS
        ])  # fmt: skip
        truths.append(float(np.trapezoid(part["i_A"][1:], part["t_s"][1:])) / 3600.0)
    _, first = np.unique(np.round(truths, 4), return_index=True)
    first = np.sort(first)
    return Curves(np.array(charges)[first], np.array(truths)[first])


def _small_windows(curves: Curves) -> Table:
    title = "CALCE CS2_35: smaller windows of the raw curves, one curve left out (the SAME cell)"
    table = Table(title, "% of nominal, RMSE")
    for k, (from_v, to_v) in enumerate(WINDOWS):
        # Old cells drop below 3.9 V as soon as the current is on: they have no charge for that window.
        run = np.isfinite(curves.charge_ah[:, k])
        charge, truth = curves.charge_ah[run, k], curves.truth_ah[run]
        capacity, bound = np.full((2, len(truth)), np.nan)
        for out in range(len(truth)):
            rest = np.arange(len(truth)) != out
            relation = learn_relation(charge[rest], truth[rest], CALCE_A)
            found = capacity_from_window(relation, charge[out : out + 1], CALCE_A)
            capacity[out], bound[out] = found.capacity_ah[0], found.bound_ah[0]
        kept = np.isfinite(capacity)
        fold = Fold(truth[kept], (capacity - truth)[kept], bound[kept])
        share = 100.0 * float(np.median(charge / truth))
        note = f"{kept.sum()} of {len(run)} curves; median {share:.0f} % of the whole discharge; "
        value, goal, text = _of_nominal(fold, math.nan, note)
        known = f"{len(truth) - 1} curves"
        table.rows.append(Row(f"{from_v:g} to {to_v:g} V", known, "CS2_35", value, goal, text))
    return table


def _leaf(data: Path, plots: Path) -> Table:
    """The end of a discharge pulse against the end of the charge pulse after it, and the Arrhenius slope."""
    table = Table("Leaf cell, HPPC: resistance over 1 s from steps of 30 and 32 A", "% difference")
    figure, axes = plt.subplots(figsize=(8, 5))
    means = {}
    for degc in (10, 25):
        log = np.genfromtxt(
            data / f"leaf_33ah/hppc_{degc}degC.csv", delimiter=",", names=True, usecols=("t_s", "i_A", "v_V")
        )  # fmt: skip
        # Pulses are thinned to 10 s between them, and at 1 s inside.
        rules = StepRules(2.0, 1e-3, before_s=5.0, pulse_s=9.0, max_gap_s=11.0)
        good, bad = find_steps(log["t_s"], -log["i_A"], log["v_V"], rules)
        alike = [step for step in good if step.interval_s > 0.9]
        # Up by 30 A: the discharge pulse ends. Down by 32 A: the charge pulse gives way to a discharge.
        up = np.array([step.ohmic_ohm for step in alike if step.step_a > 0.0])
        down = np.array([step.ohmic_ohm for step in alike if step.step_a < 0.0])
        means[degc] = float(np.median(np.concatenate((up, down))))
        differ = 100.0 * abs(float(np.median(up) / np.median(down)) - 1.0)
        reasons = ", ".join(sorted({one.reason for one in bad}))
        note = f"{1e3 * means[degc]:.2f} mohm; {len(good)} steps used, {len(bad)} not ({reasons})"
        case = f"end of discharge pulse against end of charge pulse, {degc} degC"
        table.rows.append(Row(case, "none", "leaf", differ, note=note))
        axes.errorbar(
            [step.t_s / 3600.0 for step in alike], [1e3 * step.ohmic_ohm for step in alike],
            [2e3 * step.ohmic_uncertainty_ohm for step in alike], fmt="o", label=f"{degc} degC",
        )  # fmt: skip
    energy_ev = activation_energy(np.array([means[10], means[25]]), np.array([10.0, 25.0]))
    note = "in eV, not %; two temperatures, one cell"
    table.rows.append(Row("activation energy of the 1 s resistance", "leaf", "leaf", energy_ev, note=note))
    axes.set(xlabel="time in the test [h]", ylabel="resistance over 1 s [mohm], bars 95 %")
    axes.legend()
    figure.savefig(plots / "soh_leaf.png", dpi=110)
    plt.close(figure)
    return table
