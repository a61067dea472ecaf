"""A log made fit for the filters: checked, holes bridged, what follows from temperature looked up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InvalidInput
from bench.reference.estimators.cell import REFERENCE_DEGC, CellModel
from bench.reference.estimators.filter import PAIRS, Curves, Samples

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Project defaults. A step this many times the usual one, and this long, is a gap: who knows what flowed.
GAP_STEPS, GAP_S = 10.0, 60.0
#: What may have flowed where nothing was measured, one standard deviation, in capacities per hour.
UNKNOWN_PER_H = 1.0 / 3.0
#: A gap of more than this SOC (one standard deviation) makes the filters start anew behind it.
LOST_SOC = 0.08
#: Noise of the mean current between two samples: part of its value; half its jump too if steps are longer
#: than FINE_S.
CURRENT_NOISE, FINE_S = 0.01, 1.5
SOC_FIRST, SOC_LAST, SOC_STEP = -0.2, 1.2, 0.005
COLDEST_DEGC, HOTTEST_DEGC = -60.0, 120.0


@dataclass(frozen=True, slots=True)
class Log:
    """A checked log, all shape (time,); `bridged` where the current was not measured or voltage is missing.

    `current_sd_a` is the standard deviation of the mean current since the sample before.
    """

    t_s: Floats
    current_a: Floats
    current_sd_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    step_s: Floats
    bridged: Flags

    def starts(self, capacity_ah: float) -> NDArray[np.int64]:
        """First sample of each piece that no large gap interrupts, shape (pieces,)."""
        unknown = np.where(self.bridged, self.current_sd_a * self.step_s / 3600.0 / capacity_ah, 0.0)
        return np.concatenate(([0], np.flatnonzero(unknown > LOST_SOC)))


def check_log(
    t_s: ArrayLike,
    current_a: ArrayLike,
    voltage_v: ArrayLike,
    temperature_degc: ArrayLike,
    *,
    capacity_ah: float,
) -> Log:
    """Check a log and bridge its holes.

    Parameters
    ----------
    t_s, current_a, voltage_v
        Time [s], current [A] (positive charges), voltage [V], shape (time,); nan where nothing was measured.
    temperature_degc
        Cell temperature [°C], one number or shape (time,); holes are filled from both sides.

    Raises
    ------
    InvalidInput
        If shapes differ, time does not rise, or values cannot be true.
    """
    t = _array("t_s", t_s)
    if len(t) < 2 or not np.isfinite(t).all():
        raise InvalidInput("t_s", expected="two times [s] at least, all finite", found=_shown(t))
    current, voltage = _array("current_a", current_a, t), _array("voltage_v", voltage_v, t)
    step = np.diff(t, prepend=t[0])
    if (step[1:] <= 0).any():
        k = int(np.argmax(step[1:] <= 0)) + 1
        found = f"{t[k]:g} s after {t[k - 1]:g} s (sample {k})"
        raise InvalidInput("t_s", expected="rising times", found=found)
    gap = step > max(GAP_STEPS * float(np.median(step[1:])), GAP_S)
    missing = ~np.isfinite(current)
    unknown_a = UNKNOWN_PER_H * capacity_ah
    held = np.where(gap, 0.0, _filled(t, current))
    jump = 0.5 * np.abs(np.diff(held, prepend=held[0])) * (step > FINE_S)
    sd = np.where(gap | missing, unknown_a, np.hypot(CURRENT_NOISE * held, jump))
    bridged = gap | missing | ~np.isfinite(voltage)
    return Log(t, held, sd, voltage, _temperature(t, temperature_degc), step, bridged)


def look_up(log: Log, model: CellModel, voltage_sd_v: Floats, open_: Floats) -> tuple[Samples, Curves]:
    """Samples and curves as the compiled filters take them.

    Parameters
    ----------
    log
        What was measured.
    voltage_sd_v
        Noise that a filter assumes for each voltage [V], shape (time,).
    open_
        1 where the slope gate is open, on the grid of `soc_grid`.
    """
    degc = log.temperature_degc
    levels = max(2, int(np.ceil(np.ptp(degc))) + 1)
    grid, level = soc_grid(), np.linspace(degc.min() - 1e-6, degc.max() + 1e-6, levels)
    inside, at = np.meshgrid(np.clip(grid, 0.0, 1.0), level)
    pair_ohm = np.full((PAIRS, *inside.shape), 1e-9)
    decay = np.zeros((len(degc), PAIRS))
    for k in range(model.pairs):
        pair_ohm[k] = model.pair(k, inside, at)[0]
        decay[:, k] = np.exp(-log.step_s / model.pair(k, 0.5, degc)[1])
    place = (degc - level[0]) / (level[1] - level[0])
    row = np.clip(place.astype(np.int64), 0, levels - 2)
    transferred, linear = np.zeros((len(degc), PAIRS)), np.full((len(degc), PAIRS), np.inf)
    for k in range(model.pairs):
        transferred[:, k] = model.transferred_a(k, log.current_a, degc)
        linear[:, k] = model.linear_a(k, degc)
    samples = Samples(
        step_s=log.step_s,
        current_a=log.current_a,
        current_sd_a=log.current_sd_a,
        voltage_v=log.voltage_v,
        voltage_sd_v=voltage_sd_v,
        warmth_k=degc - REFERENCE_DEGC,
        row=row,
        part=place - row,
        capacity_as=3600.0 * model.usable_ah(degc),
        transferred_a=transferred,
        linear_a=linear,
        decay=decay,
        measured=np.isfinite(log.voltage_v),
    )
    curves = Curves(
        soc_first=SOC_FIRST,
        soc_step=SOC_STEP,
        mean_v=model.open_circuit_v(grid),
        half_v=model.hysteresis_half_v(grid),
        entropy_v_per_k=model.entropy_v_per_k(grid),
        hysteresis_rate=float(model.file.hysteresis.rate),
        r0_ohm=model.r0_ohm(inside, at),
        pair_ohm=pair_ohm,
        open_=open_,
    )
    return samples, curves


def between(samples: Samples, first: int, end: int) -> Samples:
    """The samples `first` to before `end`."""
    return samples._replace(**{name: array[first:end] for name, array in samples._asdict().items()})


def soc_grid() -> Floats:
    """The grid of SOC on which curves are looked up, shape (socs,)."""
    return np.linspace(SOC_FIRST, SOC_LAST, round((SOC_LAST - SOC_FIRST) / SOC_STEP) + 1)


def _array(name: str, given: ArrayLike, like: Floats | None = None) -> Floats:
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(name, expected="numbers, shape (time,)", found=str(given)[:60]) from error
    expected = array.shape if like is None and array.ndim == 1 else (None if like is None else like.shape)
    if array.shape != expected:
        shape = "(time,)" if expected is None else f"{expected} as t_s has"
        raise InvalidInput(name, expected=f"shape {shape}", found=f"shape {array.shape}")
    return np.where(np.isinf(array), np.nan, array)


def _temperature(t: Floats, given: ArrayLike) -> Floats:
    degc = np.asarray(given, dtype=np.float64)
    degc = _array("temperature_degc", np.full(t.shape, degc) if degc.ndim == 0 else degc, t)
    if not np.isfinite(degc).any():
        raise InvalidInput("temperature_degc", expected="one temperature at least", found="nan only")
    if np.nanmin(degc) < COLDEST_DEGC or np.nanmax(degc) > HOTTEST_DEGC:
        found = f"{np.nanmin(degc):g} to {np.nanmax(degc):g}"
        raise InvalidInput(
            "temperature_degc", expected=f"{COLDEST_DEGC:g} to {HOTTEST_DEGC:g} °C", found=found
        )
    known = np.isfinite(degc)
    return np.asarray(np.interp(t, t[known], degc[known]))


def _filled(t: Floats, value: Floats) -> Floats:
    """Hold the last measured value over holes; 0 before the first."""
    last = np.maximum.accumulate(np.where(np.isfinite(value), np.arange(len(value)), -1))
    return np.where(last < 0, 0.0, value[np.maximum(last, 0)])


def _shown(array: Floats) -> str:
    return f"{len(array)} values, {int((~np.isfinite(array)).sum())} of them not finite"
