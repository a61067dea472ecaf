"""Extremes of the newest samples: worked out once per sampling, used by everybody."""

from __future__ import annotations

from bench.emulated_bms.alarms import INVALID, NO_INDEX


class Seen:
    """Highest, lowest, sum and mean of the valid cells; hottest and coldest of the valid sensors.

    All are `INVALID` (index `NO_INDEX`) while nothing is valid.
    """

    __slots__ = (
        "coldest_ddegc", "coldest_index", "highest_index", "highest_mv", "hottest_ddegc", "hottest_index",
        "lost_cells", "lost_sensors", "lowest_index", "lowest_mv", "mean_ddegc", "mean_mv", "sum_mv",
    )  # fmt: skip

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As after power-up: nothing sampled yet."""
        self.highest_mv = self.lowest_mv = self.mean_mv = INVALID
        self.highest_index = self.lowest_index = NO_INDEX
        self.hottest_ddegc = self.coldest_ddegc = self.mean_ddegc = INVALID
        self.hottest_index = self.coldest_index = NO_INDEX
        self.sum_mv = 0
        self.lost_cells = self.lost_sensors = 0

    def cells(self, cell_mv: list[int]) -> None:
        """Take in a sample of all cells [mV], (cells,)."""
        lowest = min(cell_mv)
        if lowest == INVALID:
            valid = [v for v in cell_mv if v != INVALID]
            self.lost_cells = len(cell_mv) - len(valid)
            if not valid:
                self.highest_mv = self.lowest_mv = self.mean_mv = INVALID
                self.highest_index = self.lowest_index = NO_INDEX
                return
            lowest = min(valid)
        else:
            valid = cell_mv
            self.lost_cells = 0
        highest = max(cell_mv)
        self.highest_mv, self.highest_index = highest, cell_mv.index(highest)
        self.lowest_mv, self.lowest_index = lowest, cell_mv.index(lowest)
        self.sum_mv = sum(valid)
        self.mean_mv = self.sum_mv // len(valid)

    def temperatures(self, ddegc: list[int]) -> None:
        """Take in a sample of all sensors [0.1 °C], (sensors,)."""
        valid = [t for t in ddegc if t != INVALID]
        self.lost_sensors = len(ddegc) - len(valid)
        if not valid:
            self.hottest_ddegc = self.coldest_ddegc = INVALID
            self.hottest_index = self.coldest_index = NO_INDEX
            return
        self.hottest_ddegc, self.coldest_ddegc = max(valid), min(valid)
        self.mean_ddegc = sum(valid) // len(valid)
        self.hottest_index = ddegc.index(self.hottest_ddegc)
        self.coldest_index = ddegc.index(self.coldest_ddegc)
