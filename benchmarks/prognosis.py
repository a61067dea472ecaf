"""Print false-alarm rates and detection delays of the prognosis part of the reference model.

    python benchmarks/prognosis.py [--hours 4000] [--packs 60] [--only charts,correlation,packs]

First the charts alone, computed against simulated. Then each phenomenon on synthetic packs of 24 cells with
5 mV, 0.5 K, 2 % and 0.5 A of noise: false alarms of a sound DUT over at least 1000 pack-hours, its delay
against the magnitude of a fault, and how its warnings fall into the windows that the bench makes from its own
measurement, which has a fifth of that noise. Everything is seeded.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.signal import lfilter

from bench.reference.prognosis import (
    Due,
    Rule,
    Sensing,
    Warned,
    due_windows,
    imbalance_growth,
    judge,
    local_heating,
    resistance_growth,
    unstable_current,
    voltage_drift,
    warnings_of,
)
from bench.reference.prognosis.detection import Cusum, Ewma
from bench.reference.prognosis.due import chart_for
from bench.reference.prognosis.indication import Indication
from bench.reference.prognosis.run_length import both_sides, cusum_threshold, ewma_width, siegmund_arl
from bench.reference.prognosis.samples import block_means, prewhitened

HOUR_S, DAY_S = 3600.0, 86_400.0
CELLS, SENSORS = 24, 8
CONSOLE = Console(width=150)


# ------------------------------------------------------------------------------------------------ charts


def simulated_arl(chart: Cusum | Ewma, shift: float, rng: np.random.Generator) -> tuple[float, float]:
    """Mean run length by simulation, and its standard error."""
    arl = chart.arl(shift)
    if shift == 0.0:
        # Run lengths are about exponential and the chart starts again: the rate of alarms is their inverse.
        hits = chart.alarms(rng.normal(0.0, 1.0, (3000, 3000)))
        return hits.size / hits.sum(), hits.size / hits.sum() ** 1.5
    hits = chart.alarms(rng.normal(shift, 1.0, (int(15.0 * arl) + 10, 2000)))
    assert hits.any(axis=0).all()
    runs = hits.argmax(axis=0) + 1.0
    return float(runs.mean()), float(runs.std() / np.sqrt(len(runs)))


def charts() -> None:
    rng = np.random.default_rng(1)
    table = Table(
        "chart",
        "shift [sigma]",
        "ARL computed",
        "Siegmund",
        "ARL simulated",
        "std. error",
        title="Run lengths [samples]",
    )
    for k in (0.25, 0.5, 1.0):
        chart = Cusum(k, cusum_threshold(k=k, arl0=2000.0))
        for shift in (0.0, 0.5, 1.0, 2.0, 3.0):
            mean, error = simulated_arl(chart, shift, rng)
            up, down = (siegmund_arl(k=k, h=chart.h, mean=sign * shift) for sign in (1.0, -1.0))
            table.add_row(
                f"CUSUM k {k:g} h {chart.h:.3f}", f"{shift:g}", f"{chart.arl(shift):.2f}",
                f"{both_sides(up, down):.2f}", f"{mean:.2f}", f"{error:.2f}",
            )  # fmt: skip
    for weight in (0.1, 0.25):
        ewma = Ewma(weight, ewma_width(weight=weight, arl0=1000.0))
        for shift in (0.0, 0.5, 1.0, 2.0, 3.0):
            mean, error = simulated_arl(ewma, shift, rng)
            table.add_row(
                f"EWMA {weight:g} width {ewma.width:.3f}", f"{shift:g}", f"{ewma.arl(shift):.2f}", "",
                f"{mean:.2f}", f"{error:.2f}",
            )  # fmt: skip
    CONSOLE.print(table)


def correlation() -> None:
    """False alarms of one chart on correlated noise, raw, in blocks and whitened, over those stated."""
    rng = np.random.default_rng(6)
    table = Table(
        "correlation time [samples]",
        "raw",
        "whitened",
        *(f"blocks of {times} times that" for times in (3, 10, 30)),
        title="False alarms on correlated noise, over the stated rate",
    )
    chart = Cusum(0.5, cusum_threshold(k=0.5, arl0=400.0))
    for tau in (1.0, 4.0, 10.0):
        phi = float(np.exp(-1.0 / tau))
        raw = lfilter([np.sqrt(1.0 - phi * phi)], [1.0, -phi], rng.normal(size=(60_000, 300)), axis=0)[1000:]
        found = [chart.alarms(raw[:3000]), chart.alarms(prewhitened(raw[:3000], phi=phi))]
        for times in (3, 10, 30):
            blocks = block_means(t_s=np.arange(float(len(raw))), value=raw, block_s=round(times * tau))
            found.append(chart.alarms(blocks.value * blocks.weight(correlation_s=tau, period_s=1.0)))
        table.add_row(f"{tau:g}", *(f"{200.0 * hits.sum() / hits.size:.2f}" for hits in found))
    CONSOLE.print(table)


# ------------------------------------------------------------------------------------------------ packs


@dataclass(frozen=True)
class Case:
    """One phenomenon: how to make a pack, indication of it, and what to try."""

    name: str
    unit: str
    scale: float
    rule: Rule
    sensing: Sensing
    onset_s: float
    hours: float
    magnitudes: tuple[float, ...]
    make: Callable[[np.random.Generator, float, float], Indication]


def after(t_s: np.ndarray, onset_s: float) -> np.ndarray:
    return np.maximum(t_s - onset_s, 0.0)


def drift(rng: np.random.Generator, sigma: float, magnitude: float) -> Indication:
    t_s = np.arange(0.0, 48 * HOUR_S, 10.0)
    current_a = np.where((t_s // 7200).astype(int) % 2 == 0, 0.0, 20.0)
    cell_v = 3.3 + rng.normal(0.0, 2e-3, CELLS) + current_a[:, None] * (1e-3 + rng.normal(0.0, 2e-5, CELLS))
    cell_v += rng.normal(0.0, sigma, cell_v.shape)
    cell_v[:, 7] -= magnitude / HOUR_S * after(t_s, 24 * HOUR_S)
    return voltage_drift.drift_indication(t_s=t_s, current_a=current_a, cell_v=cell_v)


def heating(rng: np.random.Generator, sigma: float, magnitude: float) -> Indication:
    return heated(rng, rng.normal(0.0, sigma, (11_520, SENSORS)), magnitude)


def heating_in_slow_noise(rng: np.random.Generator, sigma: float, magnitude: float) -> Indication:
    phi = float(np.exp(-5.0 / local_heating.CORRELATION_S))
    noise = rng.normal(0.0, sigma * np.sqrt(1.0 - phi * phi), (11_520 + 200, SENSORS))
    return heated(rng, lfilter([1.0], [1.0, -phi], noise, axis=0)[200:], magnitude)


def heated(rng: np.random.Generator, noise: np.ndarray, magnitude: float) -> Indication:
    """A day's swing and a duty of 150 A for half an hour in 90 minutes, seen every 5 s for 16 h."""
    t_s = np.arange(len(noise)) * 5.0
    current_a = np.where((t_s // 1800).astype(int) % 3 == 1, -150.0, 0.0)
    heat = local_heating.lagged(t_s=t_s, value=(current_a / 150.0) ** 2, lag_s=900.0, start=0.0)
    day = 5.0 * np.sin(2.0 * np.pi * t_s / DAY_S)[:, None] * rng.normal(1.0, 0.03, SENSORS)
    degc = 20.0 + day + heat[:, None] * rng.normal(10.0, 1.5, SENSORS) + noise
    degc[:, 2] += magnitude / 60.0 * 1800.0 * -np.expm1(-after(t_s, 10 * HOUR_S) / 1800.0)
    return local_heating.heating_indication(t_s=t_s, current_a=current_a, temperature_degc=degc)


def resistance(rng: np.random.Generator, sigma: float, magnitude: float) -> Indication:
    t_s = np.arange(120) * DAY_S
    degc = 15.0 + 10.0 * np.sin(np.arange(120) / 20.0)
    ohm = (
        1e-3 * np.exp(3800.0 * (1.0 / (degc + 273.15) - 1.0 / 298.15))[:, None] * rng.normal(1.0, 0.07, CELLS)
    )
    ohm = ohm * np.exp(rng.normal(0.0, sigma, (120, CELLS)))
    ohm[:, 5] *= np.exp(magnitude * after(t_s, 60 * DAY_S) / DAY_S)
    return resistance_growth.cell_indication(t_s=t_s, resistance_ohm=ohm, temperature_degc=degc)


def imbalance(rng: np.random.Generator, sigma: float, magnitude: float) -> Indication:
    t_s = np.arange(80 * 24) * HOUR_S
    place = rng.uniform(-0.01, 0.01, CELLS)
    place[4] = -0.012
    soc = 0.6 + place + rng.normal(0.0, sigma, (len(t_s), CELLS))
    soc[:, 4] -= magnitude * after(t_s, 30 * DAY_S) / DAY_S
    return imbalance_growth.spread_indication(t_s=t_s, level=soc, unit="1")


def current(rng: np.random.Generator, sigma: float, magnitude: float) -> unstable_current.Ripple:
    t_s = np.arange(0.0, 2 * HOUR_S, 0.1)
    asked_a = np.where((t_s // 60).astype(int) % 2 == 0, 0.0, -100.0)
    current_a = asked_a + rng.normal(0.0, 1.0, len(t_s)) + rng.normal(0.0, sigma, len(t_s))
    during = (t_s >= 3600.0) & (t_s < 4200.0)
    current_a[during] += magnitude * np.sqrt(2.0) * np.sin(2.0 * np.pi * 1.7 * t_s[during])
    return unstable_current.ripple(
        t_s=t_s, current_a=current_a, asked_a=asked_a, nominal_a=1.0, sensor_sigma_a=sigma
    )


CASES = (
    Case("voltage drift", "mV/h", 1e3, voltage_drift.RULE, Sensing(5e-3, 1e-3), 24 * HOUR_S, 48,
         (0.3e-3, 0.6e-3, 1e-3, 2e-3, 5e-3), drift),
    Case("local heating", "K/min", 1.0, local_heating.RULE, Sensing(0.5, 0.1), 10 * HOUR_S, 16,
         (0.1, 0.25, 0.5, 1.0, 2.0), heating),
    Case("local heating, noise of 60 s", "K/min", 1.0, local_heating.RULE, Sensing(0.5, 0.1), 10 * HOUR_S, 16,
         (0.25, 1.0), heating_in_slow_noise),
    Case("resistance growth", "%/d", 1e2, resistance_growth.RULE, Sensing(0.02, 0.004), 60 * DAY_S, 120 * 24,
         (0.002, 0.006, 0.01, 0.02, 0.05), resistance),
    Case("imbalance growth", "%/d", 1e2, imbalance_growth.RULE, Sensing(0.02, 0.004), 30 * DAY_S, 80 * 24,
         (1e-3, 2.5e-3, 5e-3, 1e-2, 2e-2), imbalance),
)  # fmt: skip


def false_alarms(case: Case, hours: float) -> tuple[int, int, float, float]:
    """Alarms of the chart, warnings, hours looked at, and alarms expected, with the DUT's noise.

    For the alarms the rate is raised to one in the length of a pack, so that there is something to count; the
    warnings are those at the rate of the rule.
    """
    often = replace(case.rule, false_alarm_s=case.hours * HOUR_S)
    rng = np.random.default_rng(2)
    packs = int(np.ceil(hours / case.hours))
    packs = max(packs, 40)
    alarms = warned = 0
    looked_s = 0.0
    for _ in range(packs):
        indication = case.make(rng, case.sensing.dut_sigma, 0.0)
        chart = chart_for(indication, sigma=case.sensing.dut_sigma, rule=often)
        residual = indication.residuals()
        alarms += int(chart.alarms(residual / case.sensing.dut_sigma).sum())
        looked_s += np.isfinite(residual).any(axis=1).sum() * indication.block_s
        warned += len(warnings_of(indication, sigma=case.sensing.dut_sigma, rule=case.rule))
    return alarms, warned, packs * case.hours, looked_s / often.false_alarm_s


def outcomes(case: Case, magnitude: float, packs: int) -> tuple[list[float], Counter[str], list[Due]]:
    """Delays of a sound DUT [s], what its warnings are in the bench's windows, and those windows."""
    rng = np.random.default_rng(3)
    delays, kinds, dues = [], Counter[str](), []
    for _ in range(packs):
        found = due_windows(
            case.make(rng, case.sensing.bench_sigma, magnitude), sensing=case.sensing, rule=case.rule
        )
        warnings = warnings_of(
            case.make(rng, case.sensing.dut_sigma, magnitude), sigma=case.sensing.dut_sigma, rule=case.rule
        )
        tell(found, warnings, case.onset_s, delays, kinds, dues)
    return delays, kinds, dues


def tell(
    found: tuple[Due, ...],
    warnings: tuple[Warned, ...],
    onset_s: float,
    delays: list[float],
    kinds: Counter[str],
    dues: list[Due],
) -> None:
    for outcome in judge(found, warnings):
        kinds[outcome.kind] += 1
        if outcome.due is not None:
            dues.append(outcome.due)
            delays.append(outcome.t_s - onset_s)


def shown(seconds: np.ndarray | list[float], unit_s: float) -> str:
    known = np.asarray(seconds)[np.isfinite(seconds)]
    if not known.size:
        return "-"
    low, middle, high = np.quantile(known / unit_s, (0.01, 0.5, 0.99))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def rows(
    table: Table,
    name: str,
    unit_s: float,
    label: str,
    onset_s: float,
    found: tuple[list[float], Counter[str], list[Due]],
) -> None:
    delays, kinds, dues = found
    demanded = [due for due in dues if due.demanded]
    early = [due.window.earliest - onset_s for due in dues]
    late = [due.window.latest - onset_s for due in demanded]
    table.add_row(
        name, label, shown(delays, unit_s), shown(early, unit_s), shown(late, unit_s),
        f"{len(demanded)}/{len(dues)}", ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())),
    )  # fmt: skip


def packs(hours: float, count: int) -> None:
    table = Table(
        "phenomenon",
        "pack-hours",
        "alarms of charts set to one per pack",
        "expected",
        "warnings at the default rate",
        title="Sound packs",
    )
    delay = Table(
        "phenomenon",
        "fault",
        "delay: median (1 to 99 %)",
        "earliest",
        "latest",
        "demanded",
        "outcomes",
        title="Faults: times from the onset",
    )
    for case in CASES:
        alarms, warned, looked, expected = false_alarms(case, hours)
        table.add_row(
            case.name, f"{looked:.0f}", str(alarms), f"{expected:.1f} +- {np.sqrt(expected):.1f}", str(warned)
        )
        unit_s = DAY_S if case.hours > 1000 else (60.0 if "heat" in case.name else HOUR_S)
        name = f"{case.name} [{'d' if unit_s == DAY_S else 'min' if unit_s == 60.0 else 'h'}]"
        for magnitude in case.magnitudes:
            label = f"{case.scale * magnitude:g} {case.unit}"
            rows(delay, name, unit_s, label, case.onset_s, outcomes(case, magnitude, count))
    chatter(table, delay, hours, count)
    CONSOLE.print(table)
    CONSOLE.print(delay)


def chatter(table: Table, delay: Table, hours: float, count: int) -> None:
    rule, sensing = unstable_current.RULE, Sensing(0.5, 0.1)
    often = replace(rule, false_alarm_s=2 * HOUR_S)
    rng = np.random.default_rng(4)
    looked = max(int(np.ceil(min(hours, 1000.0) / 2)), 40)
    alarms = warned = 0
    for _ in range(looked):
        seen = current(rng, sensing.dut_sigma, 0.0)
        chart = unstable_current.chart_for(seen, sigma_a=sensing.dut_sigma, rule=often)
        alarms += int(chart.alarms(seen.standardised(sigma_a=sensing.dut_sigma)[:, None]).sum())
        warned += len(unstable_current.warnings_of(seen, sigma_a=sensing.dut_sigma, rule=rule))
    table.add_row(
        "unstable current", f"{2 * looked}", str(alarms), f"{looked} +- {np.sqrt(looked):.1f}", str(warned)
    )
    for magnitude in (3.0, 4.5, 6.0, 10.0, 30.0):
        delays, kinds, dues = [], Counter[str](), []
        for _ in range(count):
            found = unstable_current.due_windows(
                current(rng, sensing.bench_sigma, magnitude), sensing=sensing, rule=rule
            )
            warnings = unstable_current.warnings_of(
                current(rng, sensing.dut_sigma, magnitude), sigma_a=sensing.dut_sigma, rule=rule
            )
            tell(found, warnings, 3600.0, delays, kinds, dues)
        rows(delay, "unstable current [s]", 1.0, f"{magnitude:g} A rms", 3600.0, (delays, kinds, dues))


def main() -> None:
    parser = argparse.ArgumentParser(description="False-alarm rates and delays of the prognosis.")
    parser.add_argument("--hours", type=float, default=4000.0, help="pack-hours without a fault, at least")
    parser.add_argument("--packs", type=int, default=60, help="packs for each fault")
    parser.add_argument("--only", default="charts,correlation,packs")
    given = parser.parse_args()
    if "charts" in given.only:
        charts()
    if "correlation" in given.only:
        correlation()
    if "packs" in given.only:
        packs(given.hours, given.packs)


if __name__ == "__main__":
    main()
