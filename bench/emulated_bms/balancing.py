"""Passive balancing, and the correction of readings that bleeding falsifies.

A bleed current drops voltage along the sense wires of its own cell and lifts the neighbours. Once a second
bleeding stops for one sample; the difference to the sample 10 ms after, when it is on again, is what the
bleeding falsifies, and is added to the readings until the next pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

#: A larger change of the current between the two samples of a pause spoils the comparison.
_STEADY_MA = 5000


class Balancing:
    """Chooses cells once a second and drives their bleed switches.

    Attributes
    ----------
    chosen
        Cells that are due to bleed, most charged first.
    bleeding
        Cells that bleed in this slot: of `chosen`, those of one parity while both parities have some.
    correction_mv
        Added to the readings while bleeding, (cells,).
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.enabled = True
        self.forget()

    def forget(self) -> None:
        """As after power-up: nothing bleeds."""
        self.chosen: list[int] = []
        self.bleeding: list[int] = []
        self.correction_mv = [0] * self._bms.cells
        self.odd_turn = False
        self._phase = "bleed"
        self._clean: list[int] = []
        self._clean_ma = 0

    def permitted(self) -> bool:
        """Whether anything may bleed now."""
        bms, parameters = self._bms, self._bms.parameters.balancing
        return (
            self.enabled
            and bms.state.name.lower() in parameters.modes
            and not bms.charge_blocked
            and not bms.discharge_blocked
            and bms.seen.hottest_ddegc != INVALID
            and bms.seen.hottest_ddegc < parameters.max_temperature_ddegc
            and not bms.protections["balancing_fault"].tripped
            and bms.readings.current_ma.value > -parameters.max_current_ma
            and (bms.state.name == "CHARGE" or bms.readings.current_ma.value < parameters.max_current_ma)
        )

    def choose(self) -> None:
        """Which cells are due, by the start and stop levels."""
        seen, parameters = self._bms.seen, self._bms.parameters.balancing
        if not self.permitted() or seen.lowest_mv == INVALID:
            self.chosen = []
            return
        start_mv = max(parameters.start_mv, seen.lowest_mv + parameters.start_spread_mv)
        stay_mv = max(parameters.start_mv, seen.lowest_mv + parameters.stop_spread_mv + 1)
        cell_mv, masked = self._bms.readings.cell_mv.value, self._bms.open_wire.masked
        due = [
            k
            for k, mv in enumerate(cell_mv)
            if mv >= (stay_mv if k in self.chosen else start_mv) and k not in masked
        ]
        self.chosen = sorted(due, key=lambda k: -cell_mv[k])

    def take_turns(self) -> None:
        """Odd and even cells in turn, because neighbours share a wire; never too many at once."""
        odd = [k for k in self.chosen if k % 2]
        even = [k for k in self.chosen if not k % 2]
        if odd and even:
            self.odd_turn = not self.odd_turn
            slot = odd if self.odd_turn else even
        else:
            slot = odd or even
        self.bleeding = slot[: self._bms.parameters.balancing.max_channels]

    @property
    def pausing(self) -> bool:
        """Whether a pause is under way: no other test may disturb the taps."""
        return self._phase in ("clean", "learn")

    def run_pause(self) -> None:
        """Every 10 ms, after the cells are sampled: move a pause on by one step."""
        if self._phase == "bleed":
            return
        if self._phase == "due":
            if self._bms.cells_are_fresh and not self._bms.open_wire.testing:
                self.drive([])
                self._phase = "clean"
            return
        if self._phase == "clean":
            self.choose()
            self.take_turns()
            self.start_slot()
            return
        self.learn(self._clean, self._bms.raw_cells())
        self._phase = "bleed"

    def run(self) -> None:
        """Every second: start a pause if something bleeds, else look whether something should."""
        if not self.permitted():
            self.stop()
        elif self.bleeding:
            self._phase = "due"
        elif not self._bms.open_wire.testing:
            self.choose()
            self.take_turns()
            if self.bleeding:
                self.start_slot()

    def start_slot(self) -> None:
        """Take the sample without bleeding, then let `bleeding` bleed."""
        self._clean = self._bms.raw_cells()
        self._clean_ma = self._bms.readings.current_ma.value
        self.drive(self.bleeding)
        self._phase = "learn" if self.bleeding else "bleed"

    def stop(self) -> None:
        """Bleed nothing, at once."""
        if self.bleeding or self.chosen:
            self.chosen, self.bleeding, self._phase = [], [], "bleed"
            self.drive([])

    def learn(self, clean_mv: list[int], bleeding_mv: list[int]) -> None:
        """What bleeding falsifies, from two samples 10 ms apart, (cells,) each."""
        if abs(self._bms.readings.current_ma.value - self._clean_ma) > _STEADY_MA:
            return
        most = self._bms.parameters.balancing.max_correction_mv
        self.correction_mv = [
            c - b if abs(c - b) <= most else 0 for c, b in zip(clean_mv, bleeding_mv, strict=True)
        ]

    def correct(self, cell_mv: list[int]) -> list[int]:
        """Readings [mV], (cells,), as they would be without bleeding."""
        if not self.bleeding or self.pausing:
            return cell_mv
        return [mv if mv == INVALID else mv + c for mv, c in zip(cell_mv, self.correction_mv, strict=True)]

    def drive(self, cells: list[int]) -> None:
        """Switch the bleed of `cells` on and all others off."""
        pattern = [False] * self._bms.cells
        for k in cells:
            pattern[k] = True
        self._bms.outputs.bleed.write(pattern)
