"""From raw samples to blocks that are about independent: gaps, missing values, correlated noise.

Charts count samples, and their false-alarm rate holds for independent ones. Measured noise is correlated, so
samples are gathered to means over blocks that are long against the correlation time, and a block counts as
the number of independent samples that would have the same variance of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InvalidInput
from bench.record import Floats
from bench.reference.intervals import Mask, sliding

#: A block with less than this share of its usual number of samples is left out, project default.
LEAST_SHARE = 0.5
#: Columns that a pack has one of.
_OF_THE_PACK = ("current_a", "asked_a", "ocv_slope_v")


@dataclass(frozen=True, slots=True)
class Blocks:
    """Means over blocks of equal length.

    Parameters
    ----------
    t_s
        End of each block that holds a sample [s], shape (blocks,), strictly rising. Gaps have no block.
    value
        Means, shape (blocks, channels); nan where a channel has too few valid samples.
    count
        Valid samples, shape (blocks, channels).
    block_s
        Length of a block [s].
    """

    t_s: Floats
    value: Floats
    count: Floats
    block_s: float

    def weight(self, *, correlation_s: float, period_s: float) -> Floats:
        """Root of the number of independent samples in each block, shape (blocks, channels); nan as `value`.

        The noise of a mean over many blocks is that of one sample divided by this and by the root of their
        number. A chart adds up blocks, and neighbouring blocks of correlated noise are correlated: so it is
        that limit which counts, and not the smaller noise of a single block.
        """
        phi = neighbours_alike(correlation_s=correlation_s, period_s=period_s)
        found = np.sqrt(self.count * (1.0 - phi) / (1.0 + phi))
        return np.asarray(np.where(np.isfinite(self.value), found, np.nan))


def checked(where: str, t_s: ArrayLike, *columns: tuple[str, ArrayLike]) -> tuple[Floats, tuple[Floats, ...]]:
    """Return times and columns as float arrays, or say what is wrong with them.

    Raises
    ------
    InvalidInput
        If time is not finite and strictly rising, a column has another number of rows, or a quantity of the
        whole pack has several columns.
    """
    times = np.asarray(t_s, dtype=np.float64)
    if times.ndim != 1 or len(times) < 2:
        raise InvalidInput(f"{where}: t_s", expected="two times or more in one row", found=f"{times.shape}")
    if not np.isfinite(times).all():
        raise InvalidInput(f"{where}: t_s", expected="finite times", found="nan or inf")
    if (np.diff(times) <= 0.0).any():
        index = int(np.argmax(np.diff(times) <= 0.0))
        raise InvalidInput(
            f"{where}: t_s",
            expected="strictly rising times",
            found=f"{times[index + 1]:g} s after {times[index]:g} s",
        )
    arrays = []
    for name, column in columns:
        array = np.asarray(column, dtype=np.float64)
        if array.ndim not in (1, 2) or len(array) != len(times):
            raise InvalidInput(f"{where}: {name}", expected=f"{len(times)} rows", found=f"{array.shape}")
        if name in _OF_THE_PACK and array.ndim == 2:
            raise InvalidInput(f"{where}: {name}", expected="one for the pack", found=f"{array.shape}")
        arrays.append(array)
    return times, tuple(arrays)


def above_zero(where: str, **given: float) -> None:
    """Refuse what has to be above 0 and is not, or is nan."""
    for name, value in given.items():
        if not value > 0.0:
            raise InvalidInput(f"{where}: {name}", expected="above 0", found=f"{value:g}")


def for_each(where: str, name: str, given: Floats, shape: tuple[int, ...]) -> Floats:
    """Return `given` (time,) or (time, channels) as one column for each channel."""
    columns = given if given.ndim == 2 else given[:, None]
    if columns.shape[1] not in (1, shape[1]):
        expected = f"1 or {shape[1]} columns"
        raise InvalidInput(f"{where}: {name}", expected=expected, found=f"{given.shape}")
    return np.broadcast_to(columns, shape)


def neighbours_alike(*, correlation_s: float, period_s: float) -> float:
    """Return the correlation of two neighbouring samples; 0 for a correlation time of 0."""
    if not correlation_s >= 0.0:
        raise InvalidInput("noise: correlation_s", expected="0 s or more", found=f"{correlation_s:g} s")
    return float(np.exp(-period_s / correlation_s)) if correlation_s > 0.0 else 0.0


def effective_samples(count: ArrayLike, *, phi: float) -> Floats:
    """Return how many independent samples have the same variance of the mean as `count` correlated ones.

    For a first-order autoregression with coefficient `phi` between neighbours; exact for each count:
    ``n / (1 + 2 sum_{j<n} (1 - j / n) phi^j)``, about ``n (1 - phi) / (1 + phi)`` for many.

    Source: the variance of the mean of a stationary series, derived here; standard, unverified source.
    """
    if not 0.0 <= phi < 1.0:
        raise InvalidInput("effective_samples: phi", expected="0 to below 1", found=f"{phi:g}")
    n = np.asarray(count, dtype=np.float64)
    many = np.maximum(n, 1.0)
    factor = (1.0 + phi) / (1.0 - phi) - 2.0 * phi * (1.0 - phi**many) / (many * (1.0 - phi) ** 2)
    return np.asarray(n / factor)


def prewhitened(value: ArrayLike, *, phi: float) -> Floats:
    """Return the innovations ``(x_i - phi x_{i-1}) / sqrt(1 - phi^2)`` along the first axis.

    They are independent, and have the standard deviation of `value`, if that is a first-order autoregression
    around 0. The first, and each one after a nan, is nan. A step of 1 in the mean becomes one of
    ``sqrt((1 - phi) / (1 + phi))`` from the second sample on.
    """
    if not 0.0 <= phi < 1.0:
        raise InvalidInput("prewhitened: phi", expected="0 to below 1", found=f"{phi:g}")
    x = np.asarray(value, dtype=np.float64)
    found = np.full_like(x, np.nan)
    found[1:] = (x[1:] - phi * x[:-1]) / np.sqrt(1.0 - phi * phi)
    return found


def block_means(*, t_s: Floats, value: Floats, valid: Mask | None = None, block_s: float) -> Blocks:
    """Return means over blocks of `block_s` [s] from the first time on.

    Parameters
    ----------
    t_s
        Times [s], shape (time,), strictly rising.
    value
        Shape (time,) or (time, channels); nan is left out.
    valid
        Samples to use, shape (time,); None: all of them.
    """
    above_zero("block_means", block_s=block_s)
    columns = value if value.ndim == 2 else value[:, None]
    use = np.isfinite(columns)
    if valid is not None:
        chosen = np.asarray(valid, dtype=np.bool_)
        if chosen.shape != t_s.shape:
            expected = f"one for each of {len(t_s)} samples"
            raise InvalidInput("block_means: valid", expected=expected, found=f"{chosen.shape}")
        use &= chosen[:, None]
    number = np.floor((t_s - t_s[0]) / block_s + 1e-9).astype(np.int64)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    count = np.add.reduceat(use.astype(np.float64), first, axis=0)
    total = np.add.reduceat(np.where(use, columns, 0.0), first, axis=0)
    usual = max(1.0, block_s / float(np.median(np.diff(t_s))))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count >= LEAST_SHARE * min(usual, float(count.max())), total / count, np.nan)
    return Blocks(t_s[0] + (number[first] + 1) * block_s, mean, count, block_s)


def steady(*, t_s: Floats, value: Floats, span_s: float, within: float) -> Mask:
    """Where `value` (time,) has stayed within a band of twice `within` for the last `span_s` [s].

    The first `span_s` of a record do not count: what was before is not known. nan is not steady.
    """
    low, high = sliding(t_s, value, t_s - span_s, t_s)
    with np.errstate(invalid="ignore"):
        still: Mask = (high - low <= 2.0 * within) & (t_s - t_s[0] >= span_s)
    return still


def without_outliers(
    value: Floats, *, weight: Floats | None = None, neighbours: int = 3, spread: float = 5.0
) -> Floats:
    """Return `value` (time, channels) with nan for what lies far from the median around it.

    Far is more than `spread` times the scaled median absolute deviation of the `neighbours` on each side, or
    the usual one of the series where these agree by chance. A lasting step or a trend stays. Deviations are
    multiplied by `weight`, shape (time, channels), so that an uncertain value may lie further off.

    Source: the Hampel identifier, standard, unverified source.
    """
    factor = np.ones_like(value) if weight is None else weight
    around, factors = _neighbourhood(value, neighbours), _neighbourhood(factor, neighbours)
    known = np.isfinite(around).any(axis=-1, keepdims=True)
    middle = np.nanmedian(np.where(known, around, 0.0), axis=-1)
    deviation = np.where(known, np.abs(around - middle[..., None]) * factors, 0.0)
    scale = 1.4826 * np.nanmedian(deviation, axis=-1)
    usual = np.median(scale, axis=0, keepdims=True)
    with np.errstate(invalid="ignore"):
        far = np.abs(value - middle) * factor > spread * np.maximum(scale, usual)
    return np.where(far, np.nan, value)


def _neighbourhood(value: Floats, neighbours: int) -> Floats:
    """Each value with its neighbours on both sides, shape (time, channels, 2 neighbours + 1); nan outside."""
    padded = np.pad(value, ((neighbours, neighbours), (0, 0)), constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * neighbours + 1, axis=0)


def apart_from_median(value: Floats, explained_by: Floats | None = None) -> Floats:
    """Return each channel less the median of all at that time, shape of `value` (time, channels).

    Each channel's usual distance is taken off before the median and left in the result, so that a channel
    which is missing for a while does not move the median of the others, and one that leaves the others passes
    a narrow crowd and not a wide one: a median moves by one rank. With `explained_by`, shape (time, causes),
    the distance has a part in proportion to each cause, as of a cell with more resistance.

    nan where the channel, or all but one of them, is not measured. The median of n cells with equal noise has
    the covariance 1/n with each, so the noise of the difference is that of one cell to some percent.
    """
    few = np.isfinite(value).sum(axis=1) < 2
    apart = value - _median_of_rows(value, few)
    caused = np.zeros_like(apart) if explained_by is None else _in_proportion(apart, explained_by)
    apart = apart - caused
    seen = np.isfinite(apart).any(axis=0)
    usual = caused + np.nanmedian(np.where(seen, apart, 0.0), axis=0)
    found: Floats = value - _median_of_rows(value - usual, few)
    return found


def _in_proportion(apart: Floats, causes: Floats) -> Floats:
    """Part of each channel (time, channels) that follows `causes` (time, causes), by least squares."""
    rows = np.asarray(np.isfinite(causes).all(axis=1))
    design = np.where(rows[:, None], causes, 0.0)
    design = design - design[rows].mean(axis=0) if rows.any() else design
    found = np.zeros_like(apart)
    for channel in range(apart.shape[1]):
        use = rows & np.isfinite(apart[:, channel])
        if use.any():
            series = apart[use, channel] - apart[use, channel].mean()
            found[:, channel] = design @ np.linalg.lstsq(design[use], series, rcond=None)[0]
    return found


def _median_of_rows(value: Floats, few: Mask) -> Floats:
    median = np.nanmedian(np.where(few[:, None], 0.0, value), axis=1)
    return np.asarray(np.where(few, np.nan, median)[:, None])
