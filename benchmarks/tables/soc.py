"""SOC: the estimator on measured cycles, from wrong starts, with noise and an offset that nobody told.

Truth is the cycler's own counter from a full charge. Counting alone, from the same start with the same
current, is given beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.signal import lfilter

from bench.cells import CellFile, load_cell
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.soc import SocTrack, estimate_soc
from tables.table import Row, Table

Floats = NDArray[np.float64]

#: Capacity at C/20 at each temperature [Ah]; the cell aged over the campaign, so each is known to about 2 %.
LG_AH = {"25degC": 2.7807, "40degC": 2.6899, "0degC": 2.5986, "n10degC": 2.5637}
LG_CYCLES = ("25degC_LA92", "25degC_Mixed1", "25degC_Mixed2", "25degC_US06", "40degC_Mixed1", "40degC_US06",
             "0degC_LA92", "0degC_US06", "n10degC_Mixed1", "n10degC_US06")  # fmt: skip
#: What a user knows of the cell: its capacity at 25 °C.
LG_KNOWN_AH, LG_OFFSET_A = 2.78, 0.2
#: SOC where a run starts, and what is said of it less what is true.
BEGINS, WRONG = (0.9, 0.7, 0.5), (-0.3, 0.0, 0.3)
VOLTAGE_NOISE_V, CURRENT_NOISE_A = 0.003, 0.02
SETTLED_S = 600.0
MEAN_GOAL = {"25degC": 1.0, "40degC": 1.0, "0degC": 2.0, "n10degC": np.nan}
WORST_GOAL = {"25degC": 2.5, "40degC": 2.5, "0degC": np.nan, "n10degC": np.nan}
#: Per cent of the time that the truth may lie outside the bound, in any one log.
OUTSIDE_GOAL = 5.0

FLAT = "lfp_flatzone_1p2ah/flatzone_25degC.csv"
FLAT_AH, FLAT_GOAL, FLAT_OFFSET_A = 1.2, 2.0, 0.08
A123_DEGC = {"N15": -15.0, "P05": 5.0, "P25": 25.0, "P45": 45.0}


@dataclass(frozen=True, slots=True)
class Run:
    """One start: errors of the estimate and of counting [%] once there was time to settle, shape (time,)."""

    label: str
    soc: Floats
    error: Floats
    counted: Floats
    held: NDArray[np.bool_]
    half_width: float

    @property
    def rms(self) -> float:
        """Root mean square error of the estimate."""
        return float(np.sqrt(np.mean(self.error**2)))


@dataclass(frozen=True, slots=True)
class Log:
    """A measured log with its truth; current positive when it charges."""

    t_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc: Floats

    def every(self, count: int) -> Log:
        """The same, each `count`th sample, with the mean current since the one before."""
        charge = np.concatenate(
            ([0.0], np.cumsum(self.current_a * np.diff(self.t_s, prepend=self.t_s[0]))[1:])
        )
        t = self.t_s[::count]
        mean = np.diff(charge[::count], prepend=0.0) / np.maximum(np.diff(t, prepend=t[0]), 1e-9)
        return Log(t, mean, self.voltage_v[::count], self.temperature_degc[::count], self.soc[::count])


def tables(data: Path, plots: Path) -> list[Table]:
    """Return errors and bounds: LG HG2 unseen and all, with a poor cell file too, LFP flat zone, A123."""
    cell = load_cell("lg_hg2_3ah")
    runs = {name: _all_starts(read_lg(data, f"{name}_1s"), cell, LG_KNOWN_AH) for name in LG_CYCLES}
    drive = _drive_cycles(cell, runs, plots)
    return [_unseen(cell, runs), drive, _poor_file(data), _flat_zone(data, plots), _a123(data)]


def read_lg(data: Path, name: str) -> Log:
    """One LG HG2 log; `name` as in "25degC_US06_1s"."""
    t, discharge_a, volts, degc, drawn_ah = np.genfromtxt(
        data / "lg_hg2" / f"{name}.csv", delimiter=",", skip_header=1, unpack=True
    )
    return Log(t, -discharge_a, volts, degc, 1.0 - drawn_ah / LG_AH[name.split("_")[0]])


def run(
    log: Log, cell: CellFile, begin: float, wrong: float, offset_a: float, capacity_ah: float, label: str = ""
) -> Run:
    """Start at `begin` [SOC] with noise and an offset, and measure what comes of it."""
    first = int(np.argmax(log.soc <= begin))
    t, soc = log.t_s[first:] - log.t_s[first], log.soc[first:]
    rng = np.random.default_rng(first)
    current = log.current_a[first:] + offset_a + rng.normal(0.0, CURRENT_NOISE_A, len(t))
    volts = log.voltage_v[first:] + rng.normal(0.0, VOLTAGE_NOISE_V, len(t))
    said = float(np.clip(soc[0] + wrong, 0.0, 1.0))
    track = estimate_soc(
        t, current, volts, log.temperature_degc[first:], cell, capacity_ah=capacity_ah, initial_soc=said
    )
    counted = said + np.cumsum(current * np.diff(t, prepend=0.0)) / 3600.0 / capacity_ah
    label = label or f"from {begin:.0%}, said {100 * wrong:+.0f} %, {offset_a:+.2f} A"
    return measured(label, track, soc, counted, t >= SETTLED_S)


def measured(label: str, track: SocTrack, soc: Floats, counted: Floats, settled: NDArray[np.bool_]) -> Run:
    """Hold an estimate against the truth, shape (time,), where it is `settled`."""
    held = (track.lower <= soc) & (soc <= track.upper)
    return Run(
        label,
        soc[settled],
        100.0 * (track.soc - soc)[settled],
        100.0 * (counted - soc)[settled],
        held[settled],
        float(50.0 * (track.upper - track.lower)[settled].mean()),
    )


def _all_starts(log: Log, cell: CellFile, capacity_ah: float) -> list[Run]:
    return [
        run(log, cell, begin, wrong, offset_a, capacity_ah)
        for begin in BEGINS
        for wrong in WRONG
        for offset_a in (-LG_OFFSET_A, LG_OFFSET_A)
    ]


def _mean(runs: list[Run]) -> float:
    return float(np.mean([one.rms for one in runs]))


def _coverage(runs: list[Run]) -> float:
    return 100.0 * float(np.mean([one.held.mean() for one in runs]))


def _title(name: str) -> str:
    """A log as cell files name it: "-10 degC US06" for "n10degC_US06"."""
    warmth, cycle = name.split("_")
    return f"{warmth.replace('degC', ' degC').replace('n', '-')} {cycle}"


def _fitted(cell: CellFile) -> set[str]:
    return set(cell.fit[0].fitted) if cell.fit else set()


def _unseen(cell: CellFile, runs: dict[str, list[Run]]) -> Table:
    """What counts, over the logs that the cell file was not fitted on."""
    table = Table("SOC, LG HG2: logs that are not in the fit, 18 starts each as below", "% SOC")
    for case, warmths, goals in (("10 to 40 degC", ("25degC", "40degC"), (1.0, 2.5, 2.5)),
                                 ("0 degC", ("0degC",), (2.0, np.nan, 2.5))):  # fmt: skip
        names = [name for name in runs if name.split("_")[0] in warmths and _title(name) not in _fitted(cell)]
        every = [one for name in names for one in runs[name]]
        outside = {name: 100.0 - _coverage(runs[name]) for name in names}
        worst, farthest = max(every, key=lambda one: one.rms), max(every, key=_largest)
        leaky = max(names, key=outside.__getitem__)
        share = f"per cent of the time; all logs {np.mean(list(outside.values())):.1f}; worst {_title(leaky)}"
        for what, value, goal, note in (
            ("mean RMSE", _mean(every), goals[0], ""),
            ("worst start's RMSE", worst.rms, goals[1], worst.label),
            (f"largest error after {SETTLED_S:g} s", _largest(farthest), goals[2], farthest.label),
            ("truth outside the bound, worst log", outside[leaky], OUTSIDE_GOAL, share),
        ):
            tested = ", ".join(_title(name) for name in names)
            table.rows.append(Row(f"{case}: {what}", "other logs", tested, value, goal, note))
    return table


def _largest(one: Run) -> float:
    return float(np.abs(one.error).max())


def _drive_cycles(cell: CellFile, all_runs: dict[str, list[Run]], plots: Path) -> Table:
    fitted = _fitted(cell)
    table = Table(
        f"SOC, LG HG2: starts at {BEGINS}, said wrong by {WRONG}, offset +-{LG_OFFSET_A} A, "
        f"{1e3 * VOLTAGE_NOISE_V:g} mV and {1e3 * CURRENT_NOISE_A:g} mA noise, after {SETTLED_S:g} s",
        "% SOC",
    )
    figure = Figure(figsize=(16, 18), layout="constrained")
    for axes, name in zip(figure.subplots(5, 2).ravel(), LG_CYCLES, strict=True):
        warmth, runs, title = name.split("_")[0], all_runs[name], _title(name)
        own = "this log among others" if title in fitted else "other logs"
        worst = max(runs, key=_largest)
        counting = float(np.mean([np.sqrt(np.mean(one.counted**2)) for one in runs]))
        width = float(np.mean([one.half_width for one in runs]))
        note = f"bound +-{width:.1f} holds {_coverage(runs):.1f} %; counting alone {counting:.0f}"
        table.rows.extend([
            Row(f"{title}: mean RMSE", own, title, _mean(runs), MEAN_GOAL[warmth], note),
            Row(f"{title}: largest error", own, title, _largest(worst), WORST_GOAL[warmth],
                f"{worst.label}; worst RMSE {max(one.rms for one in runs):.2f}"),
        ])  # fmt: skip
        for one in runs:
            axes.plot(one.soc, one.error, linewidth=0.7)
        axes.set(title=title, xlabel="true SOC", ylabel="error [%]", ylim=(-8, 8))
        axes.invert_xaxis()
        axes.grid(visible=True)
    figure.savefig(plots / "soc_lg_hg2.png", dpi=70)
    return table


def _poor_file(data: Path) -> Table:
    """The same with what a user may bring: wrong resistance, wrong capacity, other sampling."""
    cell = load_cell("lg_hg2_3ah")
    more = cell.model_copy(
        update={
            "r0": cell.r0.model_copy(update={"ohm": 1.3 * cell.r0.ohm}),
            "rc": [pair.model_copy(update={"ohm": 1.3 * pair.ohm}) for pair in cell.rc],
        }
    )
    table = Table(
        "SOC, LG HG2: mean RMSE over the same starts with a poor cell file, and other sampling", "% SOC"
    )
    for name in ("25degC_Mixed2_1s", "40degC_Mixed1_1s"):
        log = read_lg(data, name)
        cases = {
            "as it is": (log, cell, LG_KNOWN_AH),
            "resistances +30 %": (log, more, LG_KNOWN_AH),
            "capacity +5 %": (log, cell, 1.05 * LG_KNOWN_AH),
            "capacity -5 %": (log, cell, 0.95 * LG_KNOWN_AH),
            "sampled each 10 s": (log.every(10), cell, LG_KNOWN_AH),
        }
        for case, given in cases.items():
            runs = _all_starts(*given)
            worst = max(_largest(one) for one in runs)
            note = f"largest {worst:.1f}; bound holds {_coverage(runs):.1f} %"
            table.rows.append(Row(f"{name}: {case}", "see above", name, _mean(runs), note=note))
    runs = [
        run(read_lg(data, "25degC_US06_native"), cell, 0.7, wrong, LG_OFFSET_A, LG_KNOWN_AH)
        for wrong in WRONG
    ]
    table.rows.append(Row("25degC_US06 at 0.1 s", "see above", "from 70 %", _mean(runs)))
    return table


def _flat_zone(data: Path, plots: Path) -> Table:
    """25 h between 20 and 80 % SOC. With a right start the whole time counts."""
    t, discharge_a, volts, reference = np.genfromtxt(data / FLAT, delimiter=",", skip_header=1, unpack=True)
    cell, current = load_cell("lfp_1p2ah"), -discharge_a
    counted = reference[0] + np.cumsum(current * np.diff(t, prepend=0.0)) / 3600.0 / FLAT_AH
    table = Table("SOC, LFP 1.2 Ah, 25 h in the flat zone: largest error", "% SOC")
    figure = Figure(figsize=(16, 10), layout="constrained")
    left, right = figure.subplots(2, 1)
    for wrong, offset_a in ((0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.3, 0.0), (-0.3, 0.0),
                            (0.0, FLAT_OFFSET_A), (0.0, -FLAT_OFFSET_A), (0.3, FLAT_OFFSET_A)):  # fmt: skip
        said = float(np.clip(reference[0] + wrong, 0.0, 1.0))
        track = estimate_soc(t, current + offset_a, volts, 25.0, cell, capacity_ah=FLAT_AH, initial_soc=said)
        alone = counted + said - reference[0] + offset_a * (t - t[0]) / 3600.0 / FLAT_AH
        right_start = wrong == 0.0 and offset_a == 0.0
        settled = t >= (0.0 if right_start else SETTLED_S)
        label = f"said {said:.2f} for {reference[0]:.2f}, {offset_a:+.2f} A"
        for name, truth in (("reference", reference), ("counting", counted)):
            one = measured(label, track, truth, alone, settled)
            bound = f"bound +-{one.half_width:.1f} holds {100.0 * one.held.mean():.0f} %"
            alone_by = f"counting alone {np.abs(one.counted).max():.1f}"
            note = f"RMSE {one.rms:.2f}, end {one.error[-1]:+.1f}; {bound}; {alone_by}"
            goal = FLAT_GOAL if right_start else np.nan
            largest = float(np.abs(one.error).max())
            table.rows.append(Row(f"{label}, against {name}", "first 5 h", "25.3 h", largest, goal, note))
        axes = left if offset_a == 0.0 else right
        (line,) = axes.plot(t / 3600.0, 100.0 * (track.soc - reference), label=label)
        thin, low, high = slice(None, None, 60), track.lower - reference, track.upper - reference
        axes.fill_between(
            t[thin] / 3600.0, 100.0 * low[thin], 100.0 * high[thin], color=line.get_color(), alpha=0.12
        )
    for axes in (left, right):
        axes.plot(t / 3600.0, 100.0 * (counted - reference), "k--", label="counting")
        axes.set(xlabel="h", ylabel="SOC less the authors' reference [%]", ylim=(-30, 30))
        axes.legend()
        axes.grid(visible=True)
    figure.savefig(plots / "soc_lfp_flat_zone.png", dpi=70)
    table.rows.extend(_landmarks(t, volts - _polarised_v(t, current, cell), counted))
    return table


def _polarised_v(t: Floats, current_a: Floats, cell: CellFile) -> Floats:
    """Ohmic and RC voltage at one resistance each, that at 50 % SOC; sampled at 1 s."""
    model = CellModel(cell)
    found: Floats = model.r0_ohm(0.5, 25.0) * current_a
    for k in range(model.pairs):
        ohm, tau_s = model.pair(k, 0.5, 25.0)
        keep = float(np.exp(-np.median(np.diff(t)) / tau_s))
        found = found + lfilter([1.0 - keep], [1.0, -keep], ohm * model.transferred_a(k, current_a, 25.0))
    return found


def _landmarks(t: Floats, volts: Floats, counted: Floats) -> list[Row]:
    """How far the voltage step near 72 % moved on the counted axis from pass to pass."""
    smooth = np.convolve(volts, np.ones(600) / 600.0, "same")
    axis = np.arange(0.64, 0.78, 0.002)
    passes = {"charge": ((0.3, 2.75), (5.6, 8.05), (10.3, 12.2), (17.4, 22.1)),
              "discharge": ((2.9, 5.3), (8.3, 10.0), (12.5, 17.1), (22.4, 25.2))}  # fmt: skip
    rows = []
    for direction, hours in passes.items():
        first = None
        for begin, end in hours:
            part = (t > 3600.0 * begin) & (t < 3600.0 * end)
            order = np.argsort(counted[part])
            soc, curve = counted[part][order], smooth[part][order]
            if first is None:
                first = np.interp(axis, soc, curve)
                continue
            shifts = np.arange(-0.1, 0.1001, 0.002)
            # A constant voltage between the passes (another mean current) is no shift of the step.
            misfit = [float(np.std(np.interp(axis - shift, soc, curve) - first)) for shift in shifts]
            best = int(np.argmin(misfit))
            note = f"misfit {1e3 * misfit[best]:.1f} mV; truth above counting, since the first pass"
            case = f"step near 72 %, {direction} at {0.5 * (begin + end):.1f} h"
            rows.append(Row(case, "first pass", "step alone", 100.0 * float(shifts[best]), note=note))
    return rows


def _a123(data: Path) -> Table:
    """Dynamic tests from full to empty at four temperatures, started in mid-cycle."""
    cell = load_cell("a123_2ah_lfp")
    table = Table(
        "SOC, A123 26650 LFP dynamic tests: mean RMSE, said wrong by -30, 0, 30 %, no offset", "% SOC"
    )
    for name, degc in A123_DEGC.items():
        t, _, discharge_a, volts, charged, discharged = np.genfromtxt(
            data / f"a123_lfp/dyn_{name}_s1.csv", delimiter=",", skip_header=1, unpack=True
        )
        soc = 1.0 - (discharged - charged) / cell.capacity_ah
        log = Log(t, -discharge_a, volts, np.full(len(t), degc), soc)
        for begin in (0.9, 0.6):
            runs = [run(log, cell, begin, wrong, 0.0, cell.capacity_ah) for wrong in WRONG]
            each = ", ".join(f"{one.rms:.1f}" for one in runs)
            note = f"each {each}; bound holds {_coverage(runs):.0f} %"
            table.rows.append(
                Row(f"{degc:g} degC from {begin:.0%}", "see the cell file", name, _mean(runs), note=note)
            )
    return table
