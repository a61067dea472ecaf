"""Ohmic and pulse resistance of a cell from the current steps found in a log, and how far it has grown.

A step is used only if everything around it is as it should be: steady current before and after, samples close
together, a voltage answer well above the noise, a voltage at rest that hardly moves. What is not used is
returned with its reason. The ohmic value is what the voltage does between the last sample before and the
first after, so it holds what charge transfer does in that time; its sampling interval is returned with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.errors import InvalidInput
from bench.record import Floats

BOLTZMANN_EV_PER_K = 8.617333262e-5
REFERENCE_DEGC = 25.0
_ZERO_DEGC_K = 273.15
#: Activation energy of the resistance [eV] and how wrong it may be: project default, to be replaced by that
#: of the cell under test (see `activation_energy`).
ACTIVATION_EV, ACTIVATION_BOUND_EV = 0.30, 0.15

Reason = Literal["short", "gap", "unsteady", "noise", "moving"]


@dataclass(frozen=True, slots=True)
class StepRules:
    """When a current step is good for a resistance.

    Parameters
    ----------
    least_step_a
        Smallest change of current [A] that is a step.
    voltage_noise_v
        Standard deviation of one voltage sample [V].
    before_s, pulse_s
        How long the current must have been steady before, and must stay steady after [s]. The pulse
        resistance is taken at `pulse_s`.
    max_gap_s
        Longest step between two samples [s].
    steady_fraction
        By how much of the step the current may wander before and after it, project default.
    least_ratio
        Voltage answer over its standard uncertainty, at least, project default: 5 % uncertainty.
    moving_fraction
        Largest share of the answer that the drift before it would explain, project default.
    """

    least_step_a: float
    voltage_noise_v: float
    before_s: float = 5.0
    pulse_s: float = 10.0
    max_gap_s: float = 1.5
    steady_fraction: float = 0.05
    least_ratio: float = 20.0
    moving_fraction: float = 0.2


@dataclass(frozen=True, slots=True)
class Step:
    """One current step and what the voltage did.

    Parameters
    ----------
    t_s, interval_s
        Time of the last sample before [s], and from there to the first after [s].
    step_a
        Current after less before [A].
    ohmic_ohm, pulse_ohm
        Resistance over `interval_s`, and at `pulse_s` after the step [ohm].
    ohmic_uncertainty_ohm, pulse_uncertainty_ohm
        Standard uncertainties [ohm], from noise and from the drift before the step.
    temperature_degc
        At the step [degC]; nan if it was not measured.
    """

    t_s: float
    interval_s: float
    step_a: float
    ohmic_ohm: float
    ohmic_uncertainty_ohm: float
    pulse_ohm: float
    pulse_uncertainty_ohm: float
    temperature_degc: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """A step that says nothing, at `t_s` [s], and why: short, gap, unsteady, noise or moving."""

    t_s: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Resistance:
    """A resistance [ohm] with its standard uncertainty [ohm], from how many steps."""

    resistance_ohm: float
    uncertainty_ohm: float
    steps: int = 1

    @property
    def bound_ohm(self) -> float:
        """Half width [ohm] that holds the truth with about 95 %."""
        return 2.0 * self.uncertainty_ohm


def find_steps(
    t_s: Floats,
    current_a: Floats,
    voltage_v: Floats,
    rules: StepRules,
    temperature_degc: Floats | None = None,
) -> tuple[list[Step], list[Rejected]]:
    """Find the current steps of a log and take the resistance of each good one.

    Parameters
    ----------
    t_s, current_a, voltage_v, temperature_degc
        Times [s], strictly increasing, current [A], voltage [V] and temperature [degC], shape (time,).
        Samples that are nan in current or voltage count as a gap.
    rules
        What makes a step good.

    Returns
    -------
    tuple
        Good steps and rejected ones, each in the order of time.

    Raises
    ------
    InvalidInput
        If shapes differ or time does not increase.
    """
    heat = np.full(len(t_s), np.nan) if temperature_degc is None else temperature_degc
    columns = [np.asarray(column, dtype=np.float64) for column in (t_s, current_a, voltage_v, heat)]
    shapes = [column.shape for column in columns]
    if len(set(shapes)) > 1 or columns[0].ndim != 1:
        found = ", ".join(map(str, shapes))
        raise InvalidInput("resistance log", expected="arrays of one length, shape (time,)", found=found)
    log = np.array(columns)
    log = log[:, np.isfinite(log[:3]).all(axis=0)]
    if np.any(np.diff(log[0]) <= 0.0):
        at = float(log[0, int(np.argmin(np.diff(log[0])))])
        raise InvalidInput("resistance log", expected="strictly increasing time", found=f"a step at {at:g} s")
    good: list[Step] = []
    bad: list[Rejected] = []
    for k in np.flatnonzero(np.abs(np.diff(log[1])) >= rules.least_step_a):
        answer = _answer(log, int(k), rules)
        if isinstance(answer, Step):
            good.append(answer)
        else:
            bad.append(Rejected(float(log[0, k]), answer))
    return good, bad


def _answer(log: Floats, k: int, rules: StepRules) -> Step | Reason:
    """The step between samples k and k + 1, or why it is not used."""
    t_s, current_a, voltage_v, heat = log
    start = int(np.searchsorted(t_s, t_s[k] - rules.before_s, side="left"))
    stop = int(np.searchsorted(t_s, t_s[k] + rules.pulse_s, side="left"))
    if t_s[0] > t_s[k] - rules.before_s + rules.max_gap_s or stop >= len(t_s) or k - start < 2:
        return "short"
    if np.diff(t_s[start : stop + 1]).max() > rules.max_gap_s:
        return "gap"
    before, after = current_a[start : k + 1], current_a[k + 1 : stop + 1]
    step_a = float(after.mean() - before.mean())
    wander_a = max(float(np.ptp(before)), float(np.ptp(after)))
    if wander_a > rules.steady_fraction * abs(step_a):
        return "unsteady"
    since = t_s[start : k + 1] - t_s[k]
    slope, level_v, slope_u, level_u = _line(since, voltage_v[start : k + 1], rules.voltage_noise_v)
    interval_s, pulse_s = float(t_s[k + 1] - t_s[k]), float(t_s[stop] - t_s[k])
    ohmic_v = voltage_v[k + 1] - level_v - slope * interval_s
    pulse_v = voltage_v[stop] - level_v - slope * pulse_s
    # A drift before the step is relaxation: it will not go on as a line. Half of it may be wrong.
    ohmic_u = float(np.hypot(np.hypot(level_u, rules.voltage_noise_v), _drift(slope, slope_u, interval_s)))
    pulse_u = float(np.hypot(np.hypot(level_u, rules.voltage_noise_v), _drift(slope, slope_u, pulse_s)))
    if abs(ohmic_v) < rules.least_ratio * np.hypot(level_u, rules.voltage_noise_v):
        return "noise"
    if abs(slope) * pulse_s > rules.moving_fraction * abs(pulse_v):
        return "moving"
    return Step(
        t_s=float(t_s[k]),
        interval_s=interval_s,
        step_a=step_a,
        ohmic_ohm=float(ohmic_v) / step_a,
        ohmic_uncertainty_ohm=ohmic_u / abs(step_a),
        pulse_ohm=float(pulse_v) / step_a,
        pulse_uncertainty_ohm=pulse_u / abs(step_a),
        temperature_degc=float(heat[k]),
    )


def _drift(slope: float, slope_u: float, span_s: float) -> float:
    return float(np.hypot(0.5 * slope, slope_u)) * span_s


def _line(x: Floats, y: Floats, noise: float) -> tuple[float, float, float, float]:
    """Slope and value at 0 of the straight line through noisy points, and their standard uncertainties."""
    middle = x.mean()
    spread = float(np.sum((x - middle) ** 2))
    slope = float(np.sum((x - middle) * y)) / spread
    slope_u = noise / spread**0.5
    return (
        slope,
        float(y.mean() - slope * middle),
        slope_u,
        float(np.hypot(noise / len(x) ** 0.5, slope_u * middle)),
    )


def mean_resistance(steps: list[Step], kind: Literal["ohmic", "pulse"] = "ohmic") -> Resistance:
    """One resistance of many steps at like SOC and temperature: least squares of dV over dI.

    Each step counts by ``dI² / u(dV)²``, as in a line through the origin. Where the steps scatter more than
    they say, the uncertainty is widened by as much. Ohmic values are alike only for like `interval_s`.

    Raises
    ------
    InvalidInput
        If there is no step.
    """
    if not steps:
        raise InvalidInput("resistance", expected="one good step or more", found="none")
    pairs = [
        (one.ohmic_ohm, one.ohmic_uncertainty_ohm)
        if kind == "ohmic"
        else (one.pulse_ohm, one.pulse_uncertainty_ohm)
        for one in steps
    ]
    value, uncertainty = np.array(pairs).T
    weight = 1.0 / np.maximum(uncertainty, 1e-12) ** 2
    mean = float(weight @ value / weight.sum())
    birge = float(weight @ (value - mean) ** 2) / (len(steps) - 1) if len(steps) > 1 else 1.0
    return Resistance(mean, float((max(1.0, birge) / weight.sum()) ** 0.5), len(steps))


def at_25_degc(
    measured: Resistance,
    temperature_degc: float,
    *,
    activation_ev: float = ACTIVATION_EV,
    activation_bound_ev: float = ACTIVATION_BOUND_EV,
    temperature_bound_k: float = 1.0,
) -> Resistance:
    """What a resistance at `temperature_degc` [degC] would be at 25 degC, by Arrhenius.

    ``R25 = R exp(E/k (1/298.15 K - 1/T))``. The farther from 25 degC, the more the doubt about E counts.

    Raises
    ------
    InvalidInput
        If the temperature is nan or below absolute zero, or the resistance is not above 0.
    """
    if not measured.resistance_ohm > 0.0:
        raise InvalidInput("resistance", expected="above 0 ohm", found=f"{measured.resistance_ohm:g} ohm")
    if not temperature_degc > -_ZERO_DEGC_K:
        found = f"{temperature_degc:g} degC"
        raise InvalidInput("resistance", expected="a measured temperature", found=found)
    kelvin = temperature_degc + _ZERO_DEGC_K
    inverse = 1.0 / (REFERENCE_DEGC + _ZERO_DEGC_K) - 1.0 / kelvin
    value = measured.resistance_ohm * float(np.exp(activation_ev / BOLTZMANN_EV_PER_K * inverse))
    by_energy = activation_bound_ev * inverse / BOLTZMANN_EV_PER_K / 3.0**0.5
    by_heat = activation_ev / BOLTZMANN_EV_PER_K / kelvin**2 * temperature_bound_k / 3.0**0.5
    relative = np.array([measured.uncertainty_ohm / measured.resistance_ohm, by_energy, by_heat])
    return Resistance(value, value * float(np.linalg.norm(relative)), measured.steps)


def activation_energy(resistance_ohm: Floats, temperature_degc: Floats) -> float:
    """Activation energy [eV] from resistances at two temperatures or more, shape (points,), same SOC and age.

    Raises
    ------
    InvalidInput
        If there are fewer than two different temperatures, one is nan, or a resistance is not above 0.
    """
    kelvin = np.asarray(temperature_degc, dtype=np.float64) + _ZERO_DEGC_K
    value = np.asarray(resistance_ohm, dtype=np.float64)
    measured = bool((value > 0.0).all() and (kelvin > 0.0).all())
    if value.shape != kelvin.shape or len(np.unique(kelvin)) < 2 or not measured:
        expected = "two temperatures or more, resistances above 0"
        raise InvalidInput("activation energy", expected=expected, found=f"{value} at {temperature_degc}")
    return float(np.polyfit(1.0 / kelvin, np.log(value), 1)[0]) * BOLTZMANN_EV_PER_K


def growth(
    now: Resistance,
    soc: float,
    reference_soc: Floats,
    reference_ohm: Floats,
    reference_bound_ohm: float = 0.0,
) -> Resistance:
    """Resistance over that of the new cell at the same SOC, with uncertainty; 1 is as new, unit 1.

    Both must be of one kind (ohmic or pulse of one length) and one temperature.

    Parameters
    ----------
    soc
        At which `now` was taken, 0..1.
    reference_soc, reference_ohm, reference_bound_ohm
        Of the new cell, shape (points,), SOC increasing; and how wrong it may be [ohm].

    Raises
    ------
    InvalidInput
        If the reference does not increase in SOC, or a resistance is not above 0; if `soc` is outside the
        reference: it is not continued.
    """
    axis, new = np.asarray(reference_soc, dtype=np.float64), np.asarray(reference_ohm, dtype=np.float64)
    sound = axis.ndim == 1 and axis.shape == new.shape and len(axis) > 0
    if not (sound and (np.diff(axis) > 0.0).all() and (new > 0.0).all() and now.resistance_ohm > 0.0):
        expected = "a reference of increasing SOC, resistances above 0"
        found = f"SOC {axis}, {new} ohm, now {now.resistance_ohm:g} ohm"
        raise InvalidInput("resistance growth", expected=expected, found=found)
    if not axis[0] <= soc <= axis[-1]:
        expected = f"SOC of {axis[0]:g} to {axis[-1]:g}"
        raise InvalidInput("resistance growth", expected=expected, found=f"{soc:g}")
    new_ohm = float(np.interp(soc, axis, new))
    ratio = now.resistance_ohm / new_ohm
    relative = np.hypot(now.uncertainty_ohm / now.resistance_ohm, reference_bound_ohm / new_ohm / 3.0**0.5)
    return Resistance(ratio, float(ratio * relative), now.steps)
