"""Search for open sense wires with the pull currents of the AFE.

All taps are pulled up, sampled, pulled down, sampled. The lower tap of cell k is open if the cell reads much
less with the pull up than with the pull down; the topmost tap is open if the topmost cell reads much more.
Ordinary samples lie between the two, with the pulls off, so nothing else in the firmware ever sees a pulled
reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


class OpenWireTest:
    """Runs every `open_wire_period_ms`, twice in a row when it finds something, and at once after a jump.

    Attributes
    ----------
    open_taps
        Indices of the open taps: tap k is below cell k, tap `cells` is above the last.
    masked
        Cells next to them, whose readings are not available.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.forget()

    def forget(self) -> None:
        """As after power-up."""
        self.open_taps: list[int] = []
        self.masked: tuple[int, ...] = ()
        self.suspects: list[int] = []
        self.clean_tests = 0
        self.wait_ms = 200
        self.pulling_ms = 0
        self._phase = "idle"
        self._up: list[int] = []

    def hurry(self) -> None:
        """Test as soon as possible: a reading jumped."""
        self.wait_ms = 0

    @property
    def testing(self) -> bool:
        """Whether a test is under way."""
        return self._phase != "idle"

    def run(self) -> None:
        """One tick of 10 ms, after the cells were sampled in this tick if they are due."""
        if self._phase == "idle":
            self.wait_ms -= 10
            if self.wait_ms > 0 or not self._bms.cells_are_fresh or self._bms.balancing.pausing:
                return
            self._pull(1)
            self._phase = "up"
            return
        if self._phase == "between":
            if self._bms.cells_are_fresh:
                self._pull(-1)
                self._phase = "down"
            return
        self.pulling_ms += 10
        if self.pulling_ms < self._bms.parameters.diagnosis.open_wire_settle_ms:
            return
        sampled = self._bms.raw_cells()
        self._pull(0)
        if self._phase == "up":
            self._up = sampled
            self._phase = "between"
            return
        self._phase = "idle"
        self.wait_ms = self._bms.parameters.diagnosis.open_wire_period_ms
        self.conclude(self.open_between(self._up, sampled))

    def open_between(self, up: list[int], down: list[int]) -> list[int]:
        """Open taps from the two samples [mV], (cells,) each."""
        threshold = self._bms.parameters.diagnosis.open_wire_mv
        last = len(up) - 1
        taps = [k for k in range(last + 1) if up[k] - down[k] < -threshold]
        if last not in taps and up[last] - down[last] > threshold:
            taps.append(last + 1)
        return taps

    def conclude(self, taps: list[int]) -> None:
        """Believe a result that came twice; believe a repair after several clean tests."""
        if taps:
            self.clean_tests = 0
            new = [tap for tap in taps if tap in self.suspects and tap not in self.open_taps]
            self.open_taps = sorted(self.open_taps + new)
            if any(tap not in self.open_taps for tap in taps):
                self.hurry()
        elif self.open_taps:
            self.clean_tests += 1
            if self.clean_tests >= self._bms.parameters.diagnosis.open_wire_clean:
                self.open_taps = []
        self.suspects = taps
        self.masked = self.cells_at(self.open_taps)

    def cells_at(self, taps: list[int]) -> tuple[int, ...]:
        """Cells that hang on any of `taps`."""
        cells = self._bms.cells
        return tuple(sorted({c for tap in taps for c in (tap - 1, tap) if 0 <= c < cells}))

    def _pull(self, direction: int) -> None:
        self.pulling_ms = 0
        self._bms.outputs.open_wire_current.write(direction)
