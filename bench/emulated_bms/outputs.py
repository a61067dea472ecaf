"""Everything that the firmware drives, by name."""

from __future__ import annotations

import math

from bench.emulated_bms.board import Port
from bench.emulated_bms.hooks import Named, Output


class Outputs(Named):
    """`coil` (5,), `bleed` (cells,), `fan` [permille], `heater`, `open_wire_current` (-1, 0, 1), `comparator`
    (threshold [mA], delay [µs]) and `comparator_reset`. Filters of an output see every write to it.
    """

    def __init__(self, port: Port, cells: int) -> None:
        self._port = port
        self.coil = Output("coil", self._drive_coil, [False] * 5)
        self.bleed = Output("bleed", self._drive_bleed, [False] * cells)
        self.fan = Output("fan", self._drive_fan, 0)
        self.heater = Output("heater", self._drive_heater, False)
        self.open_wire_current = Output("open_wire_current", self._drive_open_wire, 0)
        self.comparator = Output("comparator", self._drive_comparator, (2**31, 0))
        self.comparator_reset = Output("comparator_reset", self._drive_comparator_reset, False)

    def all_off(self) -> None:
        """No power, no drive: pins fall to their rest level, whatever the filters say."""
        off = {self.coil: [False] * 5, self.bleed: [False] * len(self.bleed.value)}
        for output, value in off.items():
            output.value = value
            output.drive(value)
        self.fan.value, self.heater.value, self.open_wire_current.value = 0, False, 0
        self._drive_fan(0)
        self._drive_heater(False)
        self._drive_open_wire(0)

    def _drive_coil(self, coil: list[bool]) -> None:
        self._port.coil[:] = coil

    def _drive_bleed(self, bleed: list[bool]) -> None:
        self._port.bleed[:] = bleed

    def _drive_fan(self, permille: int) -> None:
        self._port.fan = permille / 1000.0

    def _drive_heater(self, heater: bool) -> None:
        self._port.heater = heater

    def _drive_open_wire(self, direction: int) -> None:
        self._port.open_wire_current = direction

    def _drive_comparator(self, registers: tuple[int, int]) -> None:
        threshold_ma, delay_us = registers
        self._port.comparator_threshold_a = math.inf if threshold_ma >= 2**31 else threshold_ma / 1000.0
        self._port.comparator_delay_s = delay_us / 1e6

    def _drive_comparator_reset(self, reset: bool) -> None:
        self._port.comparator_reset = reset
