"""Current limits that the BMS asks the machine and the charger to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID
from bench.emulated_bms.ocv import interpolate
from bench.emulated_bms.parameters import TableParameters

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


class Derating:
    """Runs every 100 ms.

    Attributes
    ----------
    charge_ma, discharge_ma, regen_ma
        Limits, not negative. Zero for a blocked direction, and while an axis is not available.
    axis_of
        Name in `uses` -> value on the axis of the table, `INVALID` if not available.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        seen = bms.seen
        self.axis_of = {
            "hottest": lambda: seen.hottest_ddegc,
            "coldest": lambda: seen.coldest_ddegc,
            "highest": lambda: seen.highest_mv,
            "lowest": lambda: seen.lowest_mv,
            "pack": lambda: bms.estimator.soc_permille,
        }
        self.forget()

    def forget(self) -> None:
        """As after power-up."""
        self.charge_ma = self.discharge_ma = self.regen_ma = 0

    def run(self) -> None:
        """Work out all limits."""
        bms, parameters = self._bms, self._bms.parameters.derating
        self.charge_ma = self.limited(parameters.max_charge_ma, parameters.charge, bms.charge_blocked)
        self.discharge_ma = self.limited(
            parameters.max_discharge_ma, parameters.discharge, bms.discharge_blocked
        )
        self.regen_ma = self.charge_ma

    def limited(self, maximum_ma: int, tables: dict[str, TableParameters], blocked: int) -> int:
        """`maximum_ma` times the lowest table value; 0 if the direction is blocked."""
        if blocked:
            return 0
        permille = 1000
        for table in tables.values():
            x = self.axis_of[table.uses]()
            permille = min(permille, 0 if x == INVALID else interpolate(x, table.axis, table.permille))
        return maximum_ma * permille // 1000
