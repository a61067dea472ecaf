"""Protections: one object per alarm, which debounces one value and says when to act.

What a protection looks at, compares and counts are plain attributes, so that each can be replaced alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import INVALID, NO_INDEX
from bench.emulated_bms.parameters import LimitParameters

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms


def no_index() -> int:
    """For protections of no particular cell or sensor."""
    return NO_INDEX


class Protection:
    """Watches one value against one limit.

    Attributes
    ----------
    limit
        Its parameters (mutable).
    enabled
        A protection that is not enabled does nothing.
    value_of
        The value that is compared; None while it is not available, which holds everything.
    index_of
        The cell or sensor that a trip is about.
    exceeds
        Whether a value is beyond the trip level.
    clears
        Whether a value is back at the release level.
    debounce
        `(beyond, step_ms) -> trip now`; counts in `bms.counters[name]`.
    tripped, index
        State.
    """

    def __init__(
        self,
        bms: EmulatedBms,
        limit: LimitParameters,
        value_of: Callable[[], int | None],
        index_of: Callable[[], int] = no_index,
    ) -> None:
        self._bms = bms
        self._counters = bms.counters
        self.name = limit.name
        self.limit = limit
        self.enabled = True
        self.tripped = False
        self.index = NO_INDEX
        self.release_ms = 0
        self.value_of = value_of
        self.index_of = index_of
        above = limit.side == "above"
        self.exceeds: Callable[[int], bool] = self._above if above else self._below
        self.clears: Callable[[int], bool] = self._above_clears if above else self._below_clears
        self.debounce: Callable[[bool, int], bool] = self._debounce
        self._counters[self.name] = 0

    def __repr__(self) -> str:
        state = "tripped" if self.tripped else f"{self._counters[self.name]} ms"
        return f"Protection({self.name}, trip={self.limit.trip}, {state})"

    @property
    def latched(self) -> bool:
        """Whether it stays tripped until it is reset."""
        return self.limit.latched

    def check(self, step_ms: int) -> None:
        """Look at the value once; the last look was `step_ms` ago."""
        if not self.enabled:
            return
        value = self.value_of()
        if value is None:
            return
        if self.tripped:
            self._watch_release(value, step_ms)
            return
        beyond = self.exceeds(value)
        if (beyond or self._counters[self.name]) and self.debounce(beyond, step_ms):
            self._bms.trip(self, self.index_of())

    def cause_is_gone(self) -> bool:
        """Whether a reset may clear it now."""
        value = self.value_of()
        return value is not None and not self.exceeds(value)

    def reset(self) -> None:
        """Forget everything (restart)."""
        self.tripped, self.index, self.release_ms = False, NO_INDEX, 0
        self._counters[self.name] = 0

    def _watch_release(self, value: int, step_ms: int) -> None:
        if self.limit.latched:
            return
        if not self.clears(value):
            self.release_ms = 0
            return
        self.release_ms += step_ms
        if self.release_ms > self.limit.release_delay_ms:
            self._bms.release(self)

    def _debounce(self, beyond: bool, step_ms: int) -> bool:
        if not beyond:
            self._counters[self.name] = 0
            return False
        # The first sample beyond opens the interval, so the delay is over one sample after `delay_ms` is
        # counted.
        self._counters[self.name] += step_ms
        return self._counters[self.name] > self.limit.delay_ms

    def _above(self, value: int) -> bool:
        return value >= self.limit.trip

    def _below(self, value: int) -> bool:
        return value <= self.limit.trip

    def _above_clears(self, value: int) -> bool:
        release = self.limit.release
        return value <= release if release is not None else value < self.limit.trip

    def _below_clears(self, value: int) -> bool:
        release = self.limit.release
        return value >= release if release is not None else value > self.limit.trip


def protections_of(bms: EmulatedBms) -> dict[str, Protection]:
    """One protection for each limit of `bms.parameters.limits`, with what it looks at."""
    seen, diagnosis = bms.seen, bms.diagnosis
    readings, host = bms.readings, bms.host

    def ohm_per_v() -> int | None:
        volts = readings.pack_mv.value // 1000
        return min(bms.insulation_ohm) // volts if volts > 0 else None

    def farthest() -> int:
        over, under = seen.highest_mv - seen.mean_mv, seen.mean_mv - seen.lowest_mv
        return seen.highest_index if over >= under else seen.lowest_index

    def far_sensor() -> int:
        over, under = seen.hottest_ddegc - seen.mean_ddegc, seen.mean_ddegc - seen.coldest_ddegc
        return seen.hottest_index if over >= under else seen.coldest_index

    def lost_cells() -> int:
        return seen.lost_cells - len(bms.open_wire.masked)

    def first_lost_cell() -> int:
        cell_mv, masked = readings.cell_mv.value, bms.open_wire.masked
        return next((k for k, mv in enumerate(cell_mv) if mv == INVALID and k not in masked), NO_INDEX)

    by_quantity: dict[tuple[str, str], tuple[Callable[[], int | None], Callable[[], int]]] = {
        ("cell_voltage", "above"): (lambda: _or_none(seen.highest_mv), lambda: seen.highest_index),
        ("cell_voltage", "below"): (lambda: _or_none(seen.lowest_mv), lambda: seen.lowest_index),
        ("charge_current", "above"): (lambda: readings.current_ma.value, no_index),
        ("discharge_current", "above"): (lambda: -readings.current_ma.value, no_index),
        ("temperature", "above"): (lambda: _or_none(seen.hottest_ddegc), lambda: seen.hottest_index),
        ("temperature", "below"): (lambda: _or_none(seen.coldest_ddegc), lambda: seen.coldest_index),
        ("temperature_spread", "above"): (
            lambda: seen.hottest_ddegc - seen.coldest_ddegc,
            far_sensor,
        ),
        ("cell_spread", "above"): (lambda: seen.highest_mv - seen.lowest_mv, farthest),
        ("insulation", "below"): (ohm_per_v, no_index),
    }
    special: dict[str, tuple[Callable[[], int | None], Callable[[], int]]] = {
        "short_circuit": (lambda: int(readings.comparator.value), no_index),
        # The topmost wire has no cell above it: the cell below is named.
        "open_sense_wire": (
            lambda: len(bms.open_wire.open_taps),
            lambda: min(bms.open_wire.open_taps[0], bms.cells - 1),
        ),
        "thermistor_fault": (
            lambda: seen.lost_sensors,
            lambda: _first_lost(readings.temperature_ddegc.value),
        ),
        "sum_of_cells": (diagnosis.sum_of_cells, no_index),
        "frozen_cell": (lambda: len(diagnosis.frozen), lambda: diagnosis.frozen[0]),
        "current_sensor": (lambda: int(diagnosis.current_lost), no_index),
        "contactor_feedback": (lambda: len(diagnosis.not_closed), lambda: diagnosis.not_closed[0]),
        "contactor_weld": (lambda: len(diagnosis.not_opened), lambda: diagnosis.not_opened[0]),
        "precharge_failed": (lambda: int(bms.sequence.precharge_failed), no_index),
        "hvil_open": (lambda: 0 if readings.hvil.value else 1, no_index),
        "host_timeout": (lambda: host.silent_ms, no_index),
        "host_frame_rejected": (lambda: int(host.rejected_ms > 0), no_index),
        "cooling_failure": (lambda: int(bms.thermal.fan_is_slow()), no_index),
        "memory_fault": (lambda: int(bms.memory_broken), no_index),
        "afe_fault": (lost_cells, first_lost_cell),
        "supply_undervoltage": (lambda: readings.supply_mv.value, no_index),
        "thermal_runaway": (lambda: int(bms.thermal.runaway), lambda: bms.thermal.runaway_sensor),
        "balancing_fault": (
            lambda: int(readings.board_ddegc.value >= bms.parameters.balancing.max_board_ddegc),
            no_index,
        ),
        "current_on_open_path": (diagnosis.current_on_open_path, no_index),
    }
    protections = {}
    for name, limit in bms.parameters.limits.items():
        if name in special:
            value_of, index_of = special[name]
        else:
            value_of, index_of = by_quantity[bms.quantities[name], limit.side]
        protections[name] = Protection(bms, limit, value_of, index_of)
    return protections


def _or_none(value: int) -> int | None:
    return None if value == INVALID else value


def _first_lost(values: list[int]) -> int:
    return values.index(INVALID) if INVALID in values else NO_INDEX
