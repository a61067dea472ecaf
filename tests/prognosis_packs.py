"""Synthetic packs for the tests of prognosis: closed formulas with seeded noise, sound or with one fault."""

import numpy as np

from bench.reference.prognosis import Sensing

HOUR_S, DAY_S = 3600.0, 86_400.0
CELLS, SENSORS = 24, 8

#: A DUT with 5 mV, 0.5 K, 2 % and 0.5 A of noise, and a bench that is five times better.
CELL_V = Sensing(dut_sigma=5e-3, bench_sigma=1e-3)
DEGC = Sensing(dut_sigma=0.5, bench_sigma=0.1)
RELATIVE = Sensing(dut_sigma=0.02, bench_sigma=0.004)
SOC = Sensing(dut_sigma=0.02, bench_sigma=0.004)
AMPERE = Sensing(dut_sigma=0.5, bench_sigma=0.1)


def after(t_s: np.ndarray, onset_s: float) -> np.ndarray:
    """Time since the onset [s], 0 before it."""
    return np.maximum(t_s - onset_s, 0.0)


def voltages(*, seed=1, hours=48, sigma=1e-3, rate_v_per_h=0.0, onset_h=24.0, cell=7, period_s=10.0):
    """Cells at rest and under 20 A, two hours each; offsets of 2 mV and 20 µΩ (1 sigma) between them."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0.0, hours * HOUR_S, period_s)
    current_a = np.where((t_s // 7200).astype(int) % 2 == 0, 0.0, 20.0)
    ohm = 1e-3 + rng.normal(0.0, 2e-5, CELLS)
    cell_v = 3.3 + rng.normal(0.0, 2e-3, CELLS) + current_a[:, None] * ohm
    cell_v += rng.normal(0.0, sigma, cell_v.shape)
    cell_v[:, cell] -= rate_v_per_h / HOUR_S * after(t_s, onset_h * HOUR_S)
    return {"t_s": t_s, "current_a": current_a, "cell_v": cell_v}


def temperatures(
    *, seed=1, hours=16, sigma=0.1, rate_k_per_min=0.0, onset_h=10.0, sensor=2, ambient_degc=20.0
):
    """Sensors through a day and a duty of 150 A for half an hour in 90 minutes; 10 K +- 1.5 K of own heat."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0.0, hours * HOUR_S, 5.0)
    current_a = np.where((t_s // 1800).astype(int) % 3 == 1, -150.0, 0.0)
    heat = np.empty_like(t_s)
    state = 0.0
    for index, power in enumerate((current_a / 150.0) ** 2):
        state += (power - state) * (1.0 - np.exp(-5.0 / 900.0))
        heat[index] = state
    day = 5.0 * np.sin(2.0 * np.pi * t_s / DAY_S)[:, None] * rng.normal(1.0, 0.03, SENSORS)
    degc = ambient_degc + day + heat[:, None] * rng.normal(10.0, 1.5, SENSORS)
    degc += rng.normal(0.0, sigma, degc.shape)
    degc[:, sensor] += rate_k_per_min / 60.0 * 1800.0 * -np.expm1(-after(t_s, onset_h * HOUR_S) / 1800.0)
    return {"t_s": t_s, "current_a": current_a, "temperature_degc": degc}


def resistances(*, seed=1, days=120, sigma=0.004, per_day=0.0, pack_per_day=0.0, onset_d=60.0, cell=5):
    """One estimate a day, cells of 1 mΩ +- 7 %, seasons of 15 +- 10 °C; Arrhenius with 3800 K, not 3600 K."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(days) * DAY_S
    degc = 15.0 + 10.0 * np.sin(np.arange(days) / 20.0)
    warmth = np.exp(3800.0 * (1.0 / (degc + 273.15) - 1.0 / 298.15))
    ohm = (
        1e-3 * warmth[:, None] * rng.normal(1.0, 0.07, CELLS) * np.exp(rng.normal(0.0, sigma, (days, CELLS)))
    )
    since_d = after(t_s, onset_d * DAY_S) / DAY_S
    ohm *= np.exp(pack_per_day * since_d)[:, None]
    ohm[:, cell] *= np.exp(per_day * since_d)
    return {"t_s": t_s, "resistance_ohm": ohm, "temperature_degc": degc}


def levels(*, seed=1, days=80, sigma=0.004, per_day=0.0, onset_d=30.0, cell=4):
    """State of charge once an hour, cells within +- 1 %, the one that may fall lowest already."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(days * 24) * HOUR_S
    place = rng.uniform(-0.01, 0.01, CELLS)
    place[cell] = -0.012
    soc = 0.6 + place + rng.normal(0.0, sigma, (len(t_s), CELLS))
    soc[:, cell] -= per_day * after(t_s, onset_d * DAY_S) / DAY_S
    return {"t_s": t_s, "level": soc, "unit": "1"}


def currents(*, seed=1, sigma=0.1, chatter_a=0.0, hertz=1.7, start_s=900.0, end_s=1200.0, length_s=1800.0):
    """Steps of 100 A once a minute with 1 A of nominal ripple; a sine of `chatter_a` rms for a while."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0.0, length_s, 0.1)
    asked_a = np.where((t_s // 60).astype(int) % 2 == 0, 0.0, -100.0)
    current_a = asked_a + rng.normal(0.0, 1.0, len(t_s)) + rng.normal(0.0, sigma, len(t_s))
    during = (t_s >= start_s) & (t_s < end_s)
    current_a[during] += chatter_a * np.sqrt(2.0) * np.sin(2.0 * np.pi * hertz * t_s[during])
    return {"t_s": t_s, "current_a": current_a, "asked_a": asked_a}
