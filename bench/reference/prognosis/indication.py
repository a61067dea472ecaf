"""Indication of a slow change: what a measured series keeps when all that is no fault is taken out.

A series ``y = X b + magnitude * growth(t - onset) + noise`` has unknown but constant b: an offset, a load
resistance, a sensitivity to temperature. Its *recursive residuals* (each block less its prediction from the
blocks before, scaled to the noise of one sample) are independent with the standard deviation of the noise,
however few blocks have been seen, so the run lengths of `run_length` hold without a separate learning phase.
The map from series to residuals is linear: what noise of another size would make of it is known too.

Source: Brown, Durbin, Evans, J. Royal Statistical Society B 37 (1975), 149-192, as cited by statsmodels
(`RecursiveLSResults.cusum`); the recursion is the standard one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.record import Floats
from bench.reference.prognosis.detection import Sides

#: Prior variance of each regressor's coefficient, in units of the noise of one sample: "nothing is known".
_DIFFUSE = 1e10
#: Onsets that are tried at a time; then finer ones around the best.
_ONSETS = 48


@dataclass(frozen=True, slots=True)
class Growth:
    """How a change of magnitude 1 grows from its onset on.

    Parameters
    ----------
    kind
        "step": 1 at once. "ramp": 1 per `unit_s`, levelling off with the time constant `tau_s`.
    unit_s
        Unit of time of a ramp's magnitude [s]: 3600 for "per hour".
    tau_s
        Time constant [s] with which a ramp ends at ``tau_s / unit_s``; inf for a straight one.
    gain
        Factor of each block, shape (blocks,); None: 1.
    """

    kind: Literal["step", "ramp"]
    unit_s: float = 1.0
    tau_s: float = np.inf
    gain: Floats | None = None

    def of(self, since_s: Floats) -> Floats:
        """Height at times since the onset [s], shape of `since_s` (blocks, onsets); 0 before it."""
        after = np.maximum(since_s, 0.0)
        if self.kind == "step":
            height = (since_s >= 0.0).astype(np.float64)
        elif np.isinf(self.tau_s):
            height = after / self.unit_s
        else:
            height = self.tau_s / self.unit_s * -np.expm1(-after / self.tau_s)
        return height if self.gain is None else height * self.gain[:, None]

    def until(self, last: int) -> Growth:
        """The same without the blocks after block `last`."""
        return self if self.gain is None else replace(self, gain=self.gain[: last + 1])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A change as fitted: block of its onset, magnitude, and what the fit rests on.

    The standard deviation of `magnitude` is the noise of one sample divided by the root of `energy`.
    """

    onset: int
    magnitude: float
    energy: float

    def uncertainty(self, sigma: float) -> float:
        """Expanded uncertainty (k = 2) of the magnitude for `sigma`, the noise of one sample."""
        return 2.0 * sigma / float(np.sqrt(self.energy)) if self.energy > 0.0 else np.inf


@dataclass(frozen=True, slots=True)
class Indication:
    """Blocks of one measured series per cell or sensor, and what would be a fault in them.

    Parameters
    ----------
    phenomenon, unit
        Its name, and the unit of a magnitude, e.g. "V/h".
    t_s
        End of each block [s], shape (blocks,), strictly rising; `block_s` is its length.
    value
        Series, shape (blocks, channels); nan where not measured.
    weight
        Root of the number of independent samples of each block, shape (blocks, channels).
    regressors
        What is no fault, shape (blocks, regressors); none of them: the series is 0 while nothing is wrong.
    growth
        The fault.
    rivals
        Changes that are another fault, or none: they are not it if one of them explains the series better.
    sides
        Direction of the fault.
    """

    phenomenon: str
    unit: str
    t_s: Floats
    block_s: float
    value: Floats
    weight: Floats
    regressors: Floats
    growth: Growth
    rivals: tuple[Growth, ...] = ()
    sides: Sides = "both"

    @property
    def channels(self) -> int:
        """Number of cells or sensors."""
        return int(self.value.shape[1])

    def residuals(self) -> Floats:
        """Recursive residuals, shape (blocks, channels): their noise is that of one sample."""
        return recursive_residuals(value=self.value, weight=self.weight, regressors=self.regressors)

    def responses(self, growth: Growth, onsets: np.ndarray, channel: int) -> Floats:
        """Residuals that a change of magnitude 1 leaves in one channel, shape (blocks, onsets)."""
        height = growth.of(self._since_s(onsets))
        weights = np.repeat(self._usable(channel)[:, None], len(onsets), axis=1)
        return recursive_residuals(value=height, weight=weights, regressors=self.regressors)

    def mature(self, growth: Growth, onset: int, channel: int) -> Floats:
        """As `responses` for one who had learned the regressors before the record, shape (blocks,)."""
        height: Floats = growth.of(self._since_s(np.array([onset])))[:, 0] * self.weight[:, channel]
        return height

    def _since_s(self, onsets: np.ndarray) -> Floats:
        # A block stands for its middle; a change begins at the start of a block.
        since: Floats = self.t_s[:, None] - self.t_s[None, onsets] + 0.5 * self.block_s
        return since

    def estimate(
        self, channel: int, *, first: int = 0, latest: int, last: int, growth: Growth | None = None
    ) -> tuple[Estimate, float]:
        """Fit a change that began in blocks `first` to `latest` to the blocks up to `last`.

        Recursive residuals are what the regressors leave, in other axes: so lengths and products are taken
        after one projection, without the recursion.

        Parameters
        ----------
        growth
            Another change than that of the indication; it may go either way.

        Returns
        -------
        tuple
            The best onset's estimate, and how much of the sum of squares it explains [squared unit of the
            residuals].
        """
        weight = self._usable(channel)[: last + 1]
        root = np.nan_to_num(weight)
        basis = _basis(np.nan_to_num(self.regressors[: last + 1]) * root[:, None])
        series = np.where(np.isfinite(weight), self.value[: last + 1, channel] * root, 0.0)
        series = series - basis @ (basis.T @ series)
        sides = self.sides if growth is None else "both"
        shape = (growth or self.growth).until(last)
        onsets = np.unique(np.linspace(first, latest, _ONSETS).astype(np.intp))
        while True:
            height = shape.of(self._since_s(onsets)[: last + 1]) * root[:, None]
            response = height - basis @ (basis.T @ height)
            energy = np.sum(response**2, axis=0)
            product = series @ response
            wanted = {"up": product > 0.0, "down": product < 0.0, "both": product != 0.0}[sides]
            # What the regressors explain but for rounding is no indication.
            wanted &= energy > 1e-9 * np.sum(height**2, axis=0)
            explained = np.where(wanted, product**2 / np.where(wanted, energy, 1.0), 0.0)
            best = int(np.argmax(explained))
            step = int(np.max(np.diff(onsets), initial=0))
            if step <= 1:
                break
            # Finer around the best of the coarse ones.
            low, high = max(first, int(onsets[best]) - step), min(latest, int(onsets[best]) + step)
            onsets = np.unique(np.linspace(low, high, _ONSETS).astype(np.intp))
        magnitude = product[best] / energy[best] if explained[best] > 0.0 else 0.0
        return Estimate(int(onsets[best]), float(magnitude), float(energy[best])), float(explained[best])

    def _usable(self, channel: int) -> Floats:
        """Weight of each block of one channel, shape (blocks,); nan where something is missing."""
        known = np.isfinite(self.value[:, channel]) & np.isfinite(self.regressors).all(axis=1)
        usable: Floats = np.where(known, self.weight[:, channel], np.nan)
        return usable


def _basis(columns: Floats) -> Floats:
    """Orthonormal basis of what `columns` (blocks, regressors) span, shape (blocks, rank)."""
    if not columns.shape[1]:
        return columns
    scale = np.abs(columns).max(axis=0)
    left, size, _ = np.linalg.svd(columns / np.where(scale > 0.0, scale, 1.0), full_matrices=False)
    basis: Floats = left[:, size > 1e-9 * max(float(size[0]), 1e-300)]
    return basis


def recursive_residuals(*, value: Floats, weight: Floats, regressors: Floats) -> Floats:
    """Return each block less its prediction from the blocks before, scaled to the noise of one sample.

    Parameters
    ----------
    value, weight
        Series and root of the independent samples of each block, shape (blocks, channels); where either is
        nan the block is skipped.
    regressors
        Shape (blocks, regressors), the same for all channels; a row with nan skips the block. A regressor
        that has been 0 so far is learned when it first moves, and that block is no indication.

    Returns
    -------
    Floats
        Shape (blocks, channels); nan where skipped.
    """
    blocks, channels = value.shape
    rows = np.asarray(np.isfinite(regressors).all(axis=1))
    usable = np.isfinite(value) & np.isfinite(weight) & rows[:, None]
    series = np.where(usable, value * weight, 0.0)
    if regressors.shape[1] == 0:
        return np.where(usable, series, np.nan)
    scale = np.nanmax(np.abs(regressors), axis=0, initial=0.0)
    design = np.nan_to_num(regressors / np.where(scale > 0.0, scale, 1.0))
    root = np.where(usable, weight, 0.0)
    count = design.shape[1]
    known = np.zeros((channels, count))
    spread = np.tile(np.eye(count) * _DIFFUSE, (channels, 1, 1))
    found = np.full((blocks, channels), np.nan)
    for index in range(blocks):
        row = design[index][None, :] * root[index][:, None]
        gain = np.einsum("cij,cj->ci", spread, row)
        variance = 1.0 + np.einsum("ci,ci->c", row, gain)
        error = series[index] - np.einsum("ci,ci->c", row, known)
        found[index] = error / np.sqrt(variance)
        gain_scaled = gain / variance[:, None]
        known += gain_scaled * error[:, None]
        spread -= gain_scaled[:, :, None] * gain[:, None, :]
    return np.where(usable, found, np.nan)
