"""Compute the cell files `lfp_280ah` and `nmc_58ah` from measured cell data.

    python benchmarks/fit_cells.py <data folder> [<output folder>]

The data folder holds the tables that each cell file's `source` names; it is not in the repository, only the
computed tables are. What is fitted, and how:

lfp_280ah
    OCV: A123 26650, C/30 discharge and charge at 25 °C, each branch against its own state of charge; the
    ohmic and RC drop of C/30 is taken off. R0 over SOC: first sample of the 0.5C charge and discharge pulses
    of PulseBat's 35 Ah cells, as a shape normalised at 50 %. R0, R1, R2, tau over temperature: linear least
    squares on the A123 dynamic tests at -15, 5, 25 and 45 °C over a grid of (tau1, tau2) with tau2 <= 160 s
    (300 s fits 0.1 mV better and is not resolved by a drive cycle), then an Arrhenius law through the four.
    Magnitude: one factor, so that R0(50 %, 25 °C) is the class value below.
nmc_58ah
    OCV: C/20 discharge branch of CALB L148N58A, monotone cubic (PCHIP) between its points; R0 as tabulated;
    three RC pairs reduced to two by least squares on the response to a 600 s current step, on the mean over
    SOC.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KELVIN = 273.15
GAS_CONSTANT = 8.314462618  # J/(mol K)
#: R0 of a new 280 Ah LFP cell at 50 % and 25 °C. Project default: 32 of them in a 5 mΩ short give 11.2 mΩ.
LFP_CLASS_R0_OHM = 150e-6
LFP_CLASS_AH = 280.0
GRID_SOC = np.linspace(0.0, 1.0, 101)
GRID_DEGC = np.array([-30.0, -20.0, -10.0, 0.0, 10.0, 25.0, 40.0, 55.0])


def read(path: Path) -> NDArray[np.void]:
    """One CSV file as a structured array."""
    return np.genfromtxt(path, delimiter=",", names=True)


def pchip(x: Floats, y: Floats, at: Floats) -> Floats:
    """Monotone cubic interpolation (Fritsch and Butland slopes) of `y(x)`, shape (points,), at `at`."""
    step, secant = np.diff(x), np.diff(y) / np.diff(x)
    slope = np.empty_like(y)
    inner = secant[:-1] * secant[1:] > 0
    w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    with np.errstate(divide="ignore"):
        harmonic = (w1 + w2) / (w1 / secant[:-1] + w2 / secant[1:])
    slope[1:-1] = np.where(inner, harmonic, 0.0)
    slope[0], slope[-1] = secant[0], secant[-1]
    k = np.clip(np.searchsorted(x, at) - 1, 0, len(step) - 1)
    t = (at - x[k]) / step[k]
    return (
        y[k] * (1 + 2 * t) * (1 - t) ** 2
        + step[k] * slope[k] * t * (1 - t) ** 2
        + y[k + 1] * t**2 * (3 - 2 * t)
        + step[k] * slope[k + 1] * t**2 * (t - 1)
    )


def a123_branch(folder: Path, script: str, column: str) -> tuple[Floats, Floats]:
    """SOC and voltage of a C/30 branch at 25 °C, each shape (samples,), SOC rising."""
    table = read(folder / "a123_lfp" / f"ocv_P25_{script}.csv")
    table = table[table["step"] == 2]
    share = table[column] / table[column][-1]
    soc = 1.0 - share if column == "ah_discharged" else share
    order = np.argsort(soc, kind="stable")
    soc, voltage = soc[order], table["v_V"][order]
    keep = np.concatenate([[True], np.diff(soc) > 0])
    return soc[keep], voltage[keep]


def lowpass(t_s: Floats, current_a: Floats, tau_s: float) -> Floats:
    """Response of a unit RC pair to `current_a`, shape (samples,), exact for a held current."""
    decay = np.exp(-np.clip(np.diff(t_s), 0.0, None) / tau_s)
    out = np.zeros_like(current_a)
    for k, a in enumerate(decay):
        out[k + 1] = a * out[k] + (1.0 - a) * current_a[k + 1]
    return out


def a123_dynamic(folder: Path, name: str) -> tuple[float, float, float, float, float]:
    """R0, R1, tau1, R2, tau2 of one dynamic test [ohm, s], by least squares with an offset per 5 % of SOC."""
    table = read(folder / "a123_lfp" / f"dyn_{name}_s1.csv")
    table = table[(table["t_s"] > 1900) & (table["t_s"] < 30000)]
    net_ah = table["ah_discharged"] - table["ah_charged"]
    bins = np.digitize(net_ah, np.arange(net_ah.min(), net_ah.max(), 0.1))
    offsets = (bins[:, None] == np.unique(bins)[None, :]).astype(np.float64)
    charge_a = -table["i_A"]
    best: tuple[float, tuple[float, float, float, float, float]] = (np.inf, (0.0, 0.0, 0.0, 0.0, 0.0))
    for tau1 in (3.0, 5.0, 8.0, 12.0, 20.0):
        for tau2 in (40.0, 80.0, 160.0):
            columns = np.column_stack(
                [
                    charge_a,
                    lowpass(table["t_s"], charge_a, tau1),
                    lowpass(table["t_s"], charge_a, tau2),
                    offsets,
                ]
            )
            found, *_ = np.linalg.lstsq(columns, table["v_V"], rcond=None)
            if (found[:3] <= 0).any():
                continue
            rms = float(np.sqrt(np.mean((columns @ found - table["v_V"]) ** 2)))
            if rms < best[0]:
                best = (rms, (found[0], found[1], tau1, found[2], tau2))
    print(f"  a123 dyn {name}: rms {best[0] * 1e3:.2f} mV, R0 R1 tau1 R2 tau2 = {np.round(best[1], 5)}")
    return best[1]


def arrhenius(temperature_degc: Floats, value: Floats) -> tuple[float, float]:
    """Value at 25 °C and activation energy [J/mol] of `value = v25 exp(Ea/R (1/T - 1/T25))`."""
    x = 1.0 / (temperature_degc + KELVIN) - 1.0 / (25.0 + KELVIN)
    slope, intercept = np.polyfit(x, np.log(value), 1)
    return float(np.exp(intercept)), float(slope * GAS_CONSTANT)


def over_temperature(value_25: float, energy_j_per_mol: float, temperature_degc: Floats) -> Floats:
    """The Arrhenius law on a grid of temperatures."""
    x = 1.0 / (temperature_degc + KELVIN) - 1.0 / (25.0 + KELVIN)
    grown: Floats = value_25 * np.exp(energy_j_per_mol / GAS_CONSTANT * x)
    return grown


def two_of_three(resistance: Floats, tau_s: Floats) -> tuple[float, float, float, float]:
    """R1, tau1, R2, tau2 whose 600 s step response is nearest to three pairs; total resistance is kept."""
    t = np.concatenate([np.arange(0.0, 30.0, 0.5), np.arange(30.0, 600.0, 5.0)])
    target = np.sum(resistance * (1.0 - np.exp(-t[:, None] / tau_s)), axis=1)
    total = resistance.sum()
    best = (np.inf, 0.0, 0.0, 0.0)
    for tau1 in np.geomspace(1.0, 15.0, 60):
        for tau2 in np.geomspace(20.0, 200.0, 60):
            fast, slow = 1.0 - np.exp(-t / tau1), 1.0 - np.exp(-t / tau2)
            r1 = float(np.dot(fast - slow, target - total * slow) / np.dot(fast - slow, fast - slow))
            error = float(np.sqrt(np.mean((r1 * fast + (total - r1) * slow - target) ** 2)))
            if error < best[0] and 0 < r1 < total:
                best = (error, float(tau1), float(tau2), r1)
    print(f"  3 RC to 2 RC: rms {best[0] / total * 100:.2f} % of the total resistance")
    return best[3], best[1], float(total - best[3]), best[2]


def numbers(values: Floats, digits: int) -> str:
    """A TOML array, on one line up to twelve values, else ten to a line."""
    text = [f"{v:.{digits}g}" if digits < 6 else f"{v:.4f}" for v in values]
    if len(text) <= 12:
        return "[" + ", ".join(text) + "]"
    lines = [", ".join(text[k : k + 10]) for k in range(0, len(text), 10)]
    return "[\n  " + ",\n  ".join(lines) + ",\n]"


def file_text(header: str, ocv: str, r0: tuple[Floats, Floats, Floats, str], rc: str, thermal: str) -> str:
    """The cell file, section by section."""
    soc, degc, table, source = r0
    rows = ",\n  ".join(numbers(row, 4) for row in table)
    return (
        "# Computed by benchmarks/fit_cells.py; edit that, not this.\n"
        f'schema = "bmsbench-cell/1"\n{header}\n[ocv]\n{ocv}\n'
        f'[hysteresis]\nrate = 30.0\nsource = "project default"\n\n[r0]\n'
        f"soc = {numbers(soc, 4)}\ntemperature_degc = {numbers(degc, 4)}\n"
        f"# one row per temperature\nohm = [\n  {rows},\n]\n"
        f'source = "{source}"\n\n{rc}\n[thermal]\n{thermal}'
    )


def rc_text(degc: Floats, ohm: Floats, tau_s: Floats, source: str) -> str:
    """The table of one RC pair, alike at every SOC."""
    rows = ", ".join(f"[{value:.4g}]" for value in ohm)
    return (
        f"[[rc]]\ntemperature_degc = {numbers(degc, 4)}\nsoc = [0.5]\nohm = [{rows}]\n"
        f'tau_s = {numbers(tau_s, 4)}\nsource = "{source}"\n'
    )


def fit_lfp(folder: Path) -> str:
    """Cell file `lfp_280ah`."""
    names, degc = ("N15", "P05", "P25", "P45"), np.array([-15.0, 5.0, 25.0, 45.0])
    found = np.array([a123_dynamic(folder, name) for name in names])
    (r0_25, r0_ea), (r1_25, r1_ea), (r2_25, r2_ea) = (arrhenius(degc, found[:, k]) for k in (0, 1, 3))
    print(f"  activation energies [kJ/mol]: {r0_ea / 1e3:.1f} {r1_ea / 1e3:.1f} {r2_ea / 1e3:.1f}")

    slow_a = 2.06 / 30.0
    drop_v = slow_a * (r0_25 + r1_25 + r2_25)
    down = np.interp(GRID_SOC, *a123_branch(folder, "s1", "ah_discharged")) + drop_v
    up = np.interp(GRID_SOC, *a123_branch(folder, "s3", "ah_charged")) - drop_v
    # Both branches end at the cycler's cut-off, so they meet there; they never cross.
    up = np.maximum(up, down)

    pulses = read(folder / "pulsebat" / "lfp_35ah_pulse5s.csv")
    soc_percent = np.unique(pulses["soc_percent_of_nominal"])
    shape = np.array(
        [
            np.median(
                (pulses["U2"] - pulses["U1"] + pulses["U5"] - pulses["U6"])[
                    pulses["soc_percent_of_nominal"] == s
                ]
            )
            for s in soc_percent
        ]
    )
    at = np.linspace(0.0, 1.0, 11)
    shape = np.interp(at, soc_percent / 100.0, shape / np.interp(50.0, soc_percent, shape))
    r0 = over_temperature(LFP_CLASS_R0_OHM, r0_ea, GRID_DEGC)[:, None] * shape[None, :]

    pairs = []
    for part_25, energy, column in ((r1_25, r1_ea, 2), (r2_25, r2_ea, 4)):
        ohm = over_temperature(LFP_CLASS_R0_OHM * part_25 / r0_25, energy, GRID_DEGC)
        source = (
            "A123 26650 dynamic tests at -15, 5, 25, 45 degC, 2 RC least squares, ratio to R0 kept; "
            f"Arrhenius {energy / 1e3:.1f} kJ/mol"
        )
        pairs.append(rc_text(GRID_DEGC, ohm, np.interp(GRID_DEGC, degc, found[:, column]), source))
    header = (
        'name = "lfp_280ah"\nchemistry = "LFP"\ncapacity_ah = 280.0\nnominal_v = 3.2\n'
        'source = "computed from A123 26650 and PulseBat measurements, scaled to the 280 Ah class; '
        'each table says how"\n'
    )
    ocv = (
        f"soc = {numbers(GRID_SOC, 4)}\ndischarge_v = {numbers(down, 6)}\ncharge_v = {numbers(up, 6)}\n"
        "overcharge_v_per_soc = 12.0\noverdischarge_v_per_soc = 30.0\n"
        'source = "A123 26650 OCV tests at C/30 and 25 degC, ESC toolbox of G. Plett '
        "(batterysim/esctoolbox-python, MIT), C/30 polarisation taken off; slopes outside 0..1: "
        'project default"\n'
    )
    r0_source = (
        "shape over SOC: PulseBat retired 35 Ah LFP, 0.5C pulses (MIT), held beyond 5..50 %; over "
        f"temperature: A123 dynamic tests, Arrhenius {r0_ea / 1e3:.1f} kJ/mol; magnitude: 0.15 mOhm at "
        "50 %, 25 degC, project default for a new 280 Ah cell"
    )
    thermal = (
        "heat_capacity_j_per_k = 5400.0\nneighbour_w_per_k = 3.0\nambient_w_per_k = 0.35\nfan_w_per_k = 1.4\n"
        "plate_w_per_k = 6.0\n"
        'source = "project default: 5.4 kg prismatic cell at 1000 J/(kg K); still air; fan at full speed; '
        'bottom plate of 0.0125 m2 at 500 W/(m2 K)"\n'
    )
    return file_text(header, ocv, (at, GRID_DEGC, r0, r0_source), "\n".join(pairs), thermal)


def fit_nmc(folder: Path) -> str:
    """Cell file `nmc_58ah`."""
    table = read(folder / "cell_tables" / "nmc_58ah_calb_3rc.csv")
    degc = np.unique(table["temp_C"])
    at = np.linspace(0.0, 1.0, 11)
    r0_rows, pairs = [], []
    for t in degc:
        part = np.sort(table[table["temp_C"] == t], order="soc")
        r0_rows.append(np.interp(at, part["soc"], part["r0_mohm"]) * 1e-3)
        inner = part[(part["soc"] > 0.05) & (part["soc"] < 0.95)]
        ohm = np.array([inner[f"r{k}_mohm"].mean() for k in (1, 2, 3)]) * 1e-3
        tau = np.array([inner[f"tau{k}_s"].mean() for k in (1, 2, 3)])
        pairs.append(two_of_three(ohm, tau))
    measured = np.array(r0_rows)
    _, energy = arrhenius(degc, measured.mean(axis=1))
    print(f"  activation energy {energy / 1e3:.1f} kJ/mol")
    grid = np.array([-30.0, -20.0, -10.0, 0.0, 10.0, 25.0, 40.0, 55.0])

    def spread(values: Floats) -> Floats:
        """Tabulated between 10 and 40 °C, the Arrhenius law of R0 from the nearest end outside."""
        inside = np.array([np.interp(grid, degc, column) for column in np.atleast_2d(values.T)]).T
        low, high = over_temperature(1.0, energy, grid), over_temperature(1.0, energy, np.clip(grid, 10, 40))
        return inside * (low / high)[:, None]

    r0 = spread(measured)
    fitted = np.array(pairs)
    ohms = spread(fitted[:, (0, 2)])
    part = np.sort(table[table["temp_C"] == 25.0], order="soc")
    down = pchip(part["soc"], part["ocv_V"], GRID_SOC)
    half_v = 0.004
    up = down + 2 * half_v * np.clip(np.minimum(GRID_SOC, 1 - GRID_SOC) / 0.05, 0.0, 1.0)
    origin = (
        "CALB L148N58A 58 Ah NMC811, cell 59294 "
        "(GitHub birol91/calb-3rc-param-extraction, values transcribed)"
    )
    rc = "\n".join(
        rc_text(
            grid,
            ohms[:, k],
            np.interp(grid, degc, fitted[:, 2 * k + 1]),
            f"{origin}; 3 RC pairs reduced to 2 on a 600 s step, mean over SOC",
        )
        for k in (0, 1)
    )
    header = (
        'name = "nmc_58ah"\nchemistry = "NMC"\ncapacity_ah = 58.0\nnominal_v = 3.65\n'
        'source = "CALB L148N58A 58 Ah NMC811; each table says how"\n'
    )
    ocv = (
        f"soc = {numbers(GRID_SOC, 4)}\ndischarge_v = {numbers(down, 6)}\ncharge_v = {numbers(up, 6)}\n"
        "overcharge_v_per_soc = 3.0\noverdischarge_v_per_soc = 40.0\n"
        f'source = "{origin}: C/20 discharge at 25 degC, PCHIP; charge branch 8 mV above, slopes outside '
        '0..1: project default"\n'
    )
    thermal = (
        "heat_capacity_j_per_k = 926.0\nneighbour_w_per_k = 1.0\nambient_w_per_k = 0.12\nfan_w_per_k = 0.5\n"
        "plate_w_per_k = 2.0\n"
        'source = "0.926 kg (same table) at 1000 J/(kg K), project default; still air, fan and plate '
        '(0.004 m2 at 500 W/(m2 K)) too"\n'
    )
    r0_source = f"{origin}; outside 10..40 degC Arrhenius {energy / 1e3:.1f} kJ/mol"
    return file_text(header, ocv, (at, grid, r0, r0_source), rc, thermal)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compute lfp_280ah and nmc_58ah.")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=Path("bench/cells"))
    given = parser.parse_args()
    for name, fit in (("lfp_280ah", fit_lfp), ("nmc_58ah", fit_nmc)):
        print(name)
        (given.output / f"{name}.toml").write_text(fit(given.data), encoding="utf-8")


if __name__ == "__main__":
    main()
