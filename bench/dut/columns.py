"""Growing traces that are filled many samples at a time, and handed out without copying."""

from __future__ import annotations

import numpy as np

from bench.record import Floats, Origin, Trace

_FIRST = 256
REPORTED = Origin("reported", "dut")


class Columns:
    """Samples of several quantities that come at the same times.

    Views into the buffer are handed out: what they show is never written again, so they stay true.

    Parameters
    ----------
    width
        Number of quantities.
    """

    def __init__(self, width: int) -> None:
        self._t_s = np.empty(_FIRST)
        self._value = np.empty((_FIRST, width))
        self._filled = 0

    def __len__(self) -> int:
        return self._filled

    @property
    def t_s(self) -> Floats:
        """Bench times [s], shape (time,)."""
        return self._t_s[: self._filled]

    @property
    def value(self) -> Floats:
        """Values, shape (time, width)."""
        return self._value[: self._filled]

    def extend(self, t_s: Floats, value: Floats) -> None:
        """Add samples, shapes (time,) and (time, width); those not later than the newest are dropped."""
        newest = self._t_s[self._filled - 1] if self._filled else -np.inf
        before = np.maximum.accumulate(np.concatenate(([newest], t_s)))[:-1]
        later = t_s > before
        if not later.all():
            t_s, value = t_s[later], value[later]
        end = self._filled + len(t_s)
        if end > len(self._t_s):
            self._grow(end)
        self._t_s[self._filled : end] = t_s
        self._value[self._filled : end] = value
        self._filled = end

    def last(self) -> Floats:
        """The newest sample, shape (width,); nan before the first."""
        if not self._filled:
            return np.full(self._value.shape[1], np.nan)
        newest: Floats = self._value[self._filled - 1]
        return newest

    def trace(self, name: str, unit: str, columns: int | slice) -> Trace:
        """One column as a trace (time,), or several as (time, columns)."""
        return Trace(name, unit, self.t_s, self.value[:, columns], REPORTED)

    def _grow(self, end: int) -> None:
        size = max(end, 2 * len(self._t_s))
        t_s, value = np.empty(size), np.empty((size, self._value.shape[1]))
        t_s[: self._filled], value[: self._filled] = self.t_s, self.value
        self._t_s, self._value = t_s, value
