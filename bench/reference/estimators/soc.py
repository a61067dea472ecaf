"""State of charge from measured current, voltage and temperature: an estimate, and a bound that is meant.

Coulombs are counted with the capacity that the temperature leaves; voltage corrects the count as far as the
cell file can be believed. For a verdict, `bench.reference.soc` counts alone: it owes nothing to a cell model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.cells import CellFile
from bench.errors import InvalidInput
from bench.reference.estimators.bank import ModelDoubt, Offset, seed
from bench.reference.estimators.cell import CellModel
from bench.reference.estimators.filter import OUTPUTS, run_bank
from bench.reference.estimators.gate import ocv_trusted, steep
from bench.reference.estimators.samples import Log, between, check_log, look_up, soc_grid

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DOUBT = ModelDoubt()
#: How many standard deviations `initial_soc_uncertainty` stands for; less than 2, since it is mostly a guess.
INITIAL_SDS = 1.5
#: What flows so long after the start tells how the cell may have been used before it.
USUAL_S = 1200.0


@dataclass(frozen=True, slots=True)
class SocTrack:
    """SOC over time with the bound that is to hold the truth in 95 % of the time; all shape (time,).

    Parameters
    ----------
    t_s
        As given [s].
    soc, lower, upper
        State of charge 0..1 of the capacity that is usable at the temperature.
    current_offset_a, current_offset_uncertainty_a
        What the measured current shows too much [A], and its expanded uncertainty (95 %).
    resistance_factor, resistance_factor_uncertainty
        Ohmic resistance over that of the cell file at the measured temperature, and its expanded uncertainty.
        That a cell is warmer inside than its case is not in it: see `ModelDoubt.core_k`.
    capacity_factor, capacity_factor_uncertainty
        Capacity over the one that was given, and its expanded uncertainty. Worth something only if `doubt`
        leaves the capacity open.
    beyond
        The estimate lay outside 0..1 and was held to it: full or empty, or the capacity is wrong.
    bridged
        Current or voltage was not measured, or there was a gap before the sample.
    ocv_trusted
        Settled at rest on a steep piece of the open-circuit curve: SOC here needs no dynamic model.
    """

    t_s: Floats
    soc: Floats
    lower: Floats
    upper: Floats
    current_offset_a: Floats
    current_offset_uncertainty_a: Floats
    resistance_factor: Floats
    resistance_factor_uncertainty: Floats
    capacity_factor: Floats
    capacity_factor_uncertainty: Floats
    beyond: Flags
    bridged: Flags
    ocv_trusted: Flags

    def __repr__(self) -> str:
        last = f"{self.soc[-1]:.3f} in {self.lower[-1]:.3f}..{self.upper[-1]:.3f}"
        return f"SocTrack({len(self.t_s)} samples, {self.t_s[-1] - self.t_s[0]:g} s, last {last})"


def estimate_soc(
    t_s: ArrayLike,
    current_a: ArrayLike,
    voltage_v: ArrayLike,
    temperature_degc: ArrayLike,
    cell: CellFile,
    *,
    capacity_ah: float | None = None,
    initial_soc: float | None = None,
    initial_soc_uncertainty: float = 0.3,
    current_offset_bound_a: float | None = None,
    voltage_uncertainty_v: float = 0.005,
    doubt: ModelDoubt = DOUBT,
) -> SocTrack:
    """Estimate the state of charge of one cell, and how far it may be off.

    Parameters
    ----------
    t_s, current_a, voltage_v
        Time [s], current [A] (positive charges), voltage of the cell [V], shape (time,); nan where nothing
        was measured.
    temperature_degc
        Cell temperature [°C], one number or shape (time,).
    cell
        Tables of the cell type.
    capacity_ah
        Present capacity at 25 °C [Ah]; default: that of the type. The cell file says what the cold leaves.
    initial_soc, initial_soc_uncertainty
        SOC at the first sample as somebody says, and about how far that may be off, 0..1. Default: unknown.
    current_offset_bound_a
        The measured current may show up to this too much or too little [A] (95 %); default: capacity / 10 h.
    voltage_uncertainty_v
        Noise of one voltage [V], one standard deviation.
    doubt
        How wrong the cell file may be.

    Raises
    ------
    InvalidInput
        If time does not rise, shapes differ, or an argument cannot be true.
    """
    model = CellModel(cell, capacity_ah=cell.capacity_ah if capacity_ah is None else capacity_ah)
    bound_a = model.capacity_ah / 10.0 if current_offset_bound_a is None else current_offset_bound_a
    _expect("capacity_ah", "above 0", model.capacity_ah, 1e-6, 1e6)
    _expect("initial_soc", "0 to 1", 0.5 if initial_soc is None else initial_soc, 0.0, 1.0)
    _expect("initial_soc_uncertainty", "above 0 to 1", initial_soc_uncertainty, 1e-6, 1.0)
    _expect("current_offset_bound_a", "0 or more", bound_a, 0.0, 1e6)
    _expect("voltage_uncertainty_v", "above 0 to 1 V", voltage_uncertainty_v, 1e-9, 1.0)
    log = check_log(t_s, current_a, voltage_v, temperature_degc, capacity_ah=model.capacity_ah)
    known = (initial_soc, initial_soc_uncertainty / INITIAL_SDS)
    out = _filtered(log, model, doubt, known, bound_a, voltage_uncertainty_v)
    soc = np.clip(out[:, 0], 0.0, 1.0)
    # The state is what a charge moves, 1 / capacity.
    factor = 1.0 / np.maximum(1.0 + out[:, 7], 0.1)
    return SocTrack(
        t_s=log.t_s,
        soc=soc,
        lower=np.clip(out[:, 1], 0.0, 1.0),
        upper=np.clip(out[:, 2], 0.0, 1.0),
        current_offset_a=out[:, 3],
        current_offset_uncertainty_a=2.0 * out[:, 4],
        resistance_factor=1.0 + out[:, 5],
        resistance_factor_uncertainty=2.0 * out[:, 6],
        capacity_factor=factor,
        capacity_factor_uncertainty=2.0 * factor**2 * out[:, 8],
        beyond=out[:, 0] != soc,
        bridged=log.bridged,
        ocv_trusted=ocv_trusted(log.t_s, log.current_a, soc, model, doubt_v=doubt.curve_v),
    )


def _filtered(
    log: Log,
    model: CellModel,
    doubt: ModelDoubt,
    known: tuple[float | None, float],
    offset_bound_a: float,
    voltage_sd_v: float,
) -> Floats:
    """Run a bank over each piece of the log, the next one from where the last one ended; (time, OUTPUTS)."""
    noise_v = np.hypot(voltage_sd_v, doubt.loaded_v / np.sqrt(np.maximum(log.step_s, 1e-3)))
    open_ = np.ones(len(soc_grid()))
    if doubt.least_slope_v > 0.0:
        open_ = steep(model, soc_grid(), doubt_v=doubt.least_slope_v, within=1.0).astype(np.float64)
    samples, curves = look_up(log, model, noise_v, open_)
    out = np.zeros((len(log.t_s), OUTPUTS))
    starts = log.starts(model.capacity_ah)
    initial_soc, initial_sd = known
    offset = Offset(0.0, doubt.no_offset_per_h * model.capacity_ah, 0.5 * offset_bound_a)
    for first, end in zip(starts, [*starts[1:], len(out)], strict=True):
        piece, piece_t = between(samples, first, end), log.t_s[first:end] - log.t_s[first]
        x, p, log_weight = seed(
            model,
            doubt,
            initial_soc=initial_soc,
            initial_sd=initial_sd,
            offset=offset,
            temperature_degc=float(log.temperature_degc[first]),
            usual_a=piece.transferred_a[piece_t < USUAL_S].mean(axis=0),
        )
        run_bank(
            x,
            p,
            log_weight,
            piece,
            curves,
            doubt.for_filters(model, float(log.temperature_degc[first])),
            out[first:end],
        )
        if end < len(out):
            initial_soc = float(np.clip(out[end - 1, 0], 0.0, 1.0))
            unknown = log.current_sd_a[end] * log.step_s[end] / 3600.0 / model.capacity_ah
            initial_sd = float(np.hypot(0.25 * (out[end - 1, 2] - out[end - 1, 1]), min(unknown, 0.5)))
            offset = Offset(float(out[end - 1, 3]), float(out[end - 1, 4]), 0.5 * offset_bound_a)
    return out


def _expect(name: str, expected: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # nan is refused too
        raise InvalidInput(name, expected=expected, found=f"{value:g}")
