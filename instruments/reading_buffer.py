"""Reading buffer of a Keithley twin: readings with the instrument's own time stamps, printed by element."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ReadingBuffer:
    """Readings [V] of one buffer and when they were taken [ns of the instrument's clock]."""

    def __init__(self) -> None:
        self.points = 100_000
        self.clear()

    def __len__(self) -> int:
        return len(self._text)

    def clear(self) -> None:
        """Forget the readings; the size stays."""
        self.start_ns, self.period_ns = 0, 0.0
        self._text: list[str] = []

    def fill(self, start_ns: int, period_ns: float, readings_v: NDArray[np.float64]) -> None:
        """Take over readings [V], shape (time,), the first at `start_ns`; what does not fit is lost."""
        self.start_ns, self.period_ns = start_ns, period_ns
        self._text = [f"{reading:.8E}" for reading in readings_v[: self.points]]

    def element(self, name: str, index: int) -> str:
        """One element of one reading: READing, RELative, SEConds or FRACtional."""
        if name == "READ":
            return self._text[index]
        after_ns = round(index * self.period_ns)
        if name == "REL":
            return f"{after_ns * 1e-9:.9f}"
        seconds, left_ns = divmod(self.start_ns + after_ns, 1_000_000_000)
        return str(seconds) if name == "SEC" else f"{left_ns * 1e-9:.9f}"

    def rows(self, start: int, end: int, elements: list[str]) -> str:
        """The `elements` of readings `start` to `end - 1`, comma separated, reading by reading."""
        if elements == ["READ"]:
            return ",".join(self._text[start:end])
        return ",".join(self.element(name, index) for index in range(start, end) for name in elements)
