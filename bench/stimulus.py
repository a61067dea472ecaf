"""Stimuli on the cells: steps, ramps and holds, one cell or all."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.clock import Clock
from bench.record import Record
from instruments.roles import CellEmulator

#: Longest step of a ramp. With the 10 ms broadcast of an emulator, the reading follows within two of them.
RAMP_STEP_S = 0.05


class CellStimulus:
    """The cell emulator as a test uses it: `cells.set(voltage_v=3.3)`, `cells[7].ramp(to_v=3.65, ...)`.

    Cells that no test touched are held at what was last set for all.
    """

    def __init__(self, driver: CellEmulator, clock: Clock, record: Record) -> None:
        self._driver, self._clock, self._record = driver, clock, record
        self.voltage_v = [float("nan")] * driver.cells

    def __len__(self) -> int:
        return self._driver.cells

    def __getitem__(self, cell: int) -> OneCell:
        if not 0 <= cell < len(self):
            raise IndexError(f"cell {cell}: the emulator has cells 0 to {len(self) - 1}")
        return OneCell(self, cell)

    def set(self, *, voltage_v: float | list[float], cell: int | None = None) -> None:
        """Put `voltage_v` [V] on one cell, or on all (one value or one per cell)."""
        values = voltage_v if isinstance(voltage_v, list) else [voltage_v] * len(self)
        if len(values) != len(self) or (cell is not None and isinstance(voltage_v, list)):
            wanted = f"one per cell ({len(self)})" if cell is None else f"a single one for cell {cell}"
            raise ValueError(f"cells.set: expected {wanted}, found {len(values)} voltages")
        self._driver.set(voltage_v=voltage_v, cell=cell)
        if cell is not None:
            self.voltage_v[cell] = float(values[cell])
        else:
            self.voltage_v = [float(value) for value in values]
        where = "all cells" if cell is None else f"cell {cell}"
        shown = f"{voltage_v:.4f} V" if isinstance(voltage_v, int | float) else "a pattern"
        self._record.note("stimulus", f"{where} to {shown}", cell=cell)

    def ramp(self, *, to_v: float, rate_v_per_s: float, cell: int | None = None) -> None:
        """Move one cell, or all together, from where they are to `to_v` [V] at `rate_v_per_s` [V/s]."""
        where = "all cells" if cell is None else f"cell {cell}"
        start = list(self.voltage_v)
        moved = range(len(self)) if cell is None else (cell,)
        if any(math.isnan(start[index]) for index in moved):
            raise ValueError(f"cells.ramp: expected a voltage to start from, found none: set {where} first")
        if not rate_v_per_s > 0.0:
            raise ValueError(f"cells.ramp: expected a rate above 0 V/s, found {rate_v_per_s:g}")
        longest_v = max(abs(to_v - start[index]) for index in moved)
        steps = max(1, round(longest_v / rate_v_per_s / RAMP_STEP_S))
        self._record.note(
            "stimulus", f"{where} ramps to {to_v:.4f} V at {rate_v_per_s * 1e3:g} mV/s", cell=cell
        )
        for step in range(1, steps + 1):
            self._clock.sleep(RAMP_STEP_S)
            if cell is None:
                values = [v + (to_v - v) * step / steps for v in start]
                self._driver.set(voltage_v=values)
            else:
                values = list(start)
                values[cell] += (to_v - start[cell]) * step / steps
                self._driver.set(voltage_v=values[cell], cell=cell)
            self.voltage_v = values

    def off(self) -> None:
        """Disconnect all channels: the pack's own cells are sensed."""
        self._driver.off()
        self.voltage_v = [float("nan")] * len(self)
        self._record.note("stimulus", "cell emulator off")


@dataclass(frozen=True, slots=True)
class OneCell:
    """One channel, index from 0."""

    cells: CellStimulus
    index: int

    def set(self, *, voltage_v: float) -> None:
        """Step to `voltage_v` [V]."""
        self.cells.set(voltage_v=voltage_v, cell=self.index)

    def ramp(self, *, to_v: float, rate_v_per_s: float) -> None:
        """Ramp to `to_v` [V] at `rate_v_per_s` [V/s]."""
        self.cells.ramp(to_v=to_v, rate_v_per_s=rate_v_per_s, cell=self.index)
