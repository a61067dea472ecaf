"""The `hd_can` front end: what is broadcast every 100 ms, and the read-out of the event log.

Layout: docs/reference/hd_can.md. Signals are shifted into one integer of 52 bits, bit 0 first.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import ALARM_BIT, INVALID
from bench.emulated_bms.memory import LogEntry

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

PACK_STATE, PACK_VALUES, LIMITS, ALARM_FLAGS, CELL_EXTREMES = 0x300, 0x301, 0x302, 0x303, 0x304
TEMPERATURE_EXTREMES, INSULATION, POWER, COUNTERS = 0x305, 0x306, 0x307, 0x308
CELL_VOLTAGES, CELL_TEMPERATURES, LOG_ENTRY = 0x310, 0x311, 0x320

#: Entries sent per tick while a read-out is under way: half the bus at 500 kbit/s.
_ENTRIES_PER_TICK = 2


class HdCan:
    """Builds the frames of one BMS.

    Attributes
    ----------
    queue
        Log entries that are still to be sent, each with how many are kept and its number.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.queue: deque[tuple[int, int, LogEntry]] = deque()
        self._groups = [
            (group, [c for c in range(3 * group, 3 * group + 3) if c < bms.cells])
            for group in range((bms.cells + 2) // 3)
        ]

    def forget(self) -> None:
        """As after power-up."""
        self.queue.clear()

    def broadcast(self) -> None:
        """All periodic frames."""
        protect = self._bms.frames.protect
        protect(PACK_STATE, self.pack_state())
        protect(PACK_VALUES, self.pack_values())
        protect(LIMITS, self.limits())
        protect(ALARM_FLAGS, self.alarm_flags())
        protect(CELL_EXTREMES, self.cell_extremes())
        protect(TEMPERATURE_EXTREMES, self.temperature_extremes())
        protect(INSULATION, self.insulation())
        protect(POWER, self.power())
        protect(COUNTERS, self.counters())
        self.send_cells()
        self.send_temperatures()

    def pack_state(self) -> int:
        """PackState."""
        bms, feedback = self._bms, self._bms.readings.feedback.value
        return (
            int(bms.state)
            | feedback[0] << 4
            | feedback[1] << 5
            | feedback[2] << 6
            | feedback[3] << 7
            | (not feedback[4]) << 8
            | (bms.outputs.fan.value > 0) << 9
            | bool(bms.outputs.heater.value) << 10
            | bool(bms.balancing.bleeding) << 11
            | bool(bms.readings.hvil.value) << 12
            | bms.charge_allowed << 13
            | bms.discharge_allowed << 14
            | _clipped(bms.estimator.soc_permille, 0x3FE) << 16
            | _clipped(bms.estimator.soh_permille, 0x3FE) << 26
            | (bms.fault_index & 0xFF) << 36
        )

    def pack_values(self) -> int:
        """PackValues."""
        readings = self._bms.readings
        current = max(-0x7FFFF, min(0x7FFFF, _tenth(readings.current_ma.value)))
        return (
            _centivolt(readings.pack_mv.value)
            | (current & 0xFFFFF) << 16
            | _centivolt(readings.link_mv.value) << 36
        )

    def limits(self) -> int:
        """Limits: rounded down, so that what is promised can be kept."""
        derating = self._bms.derating
        return (
            _clipped(derating.charge_ma // 500, 0xFFE)
            | _clipped(derating.discharge_ma // 500, 0xFFE) << 12
            | _clipped(derating.regen_ma // 500, 0xFFE) << 24
            | _centivolt(self._bms.parameters.derating.charge_mv) << 36
        )

    def alarm_flags(self) -> int:
        """Alarms."""
        flags = 0
        for name in self._bms.alarms:
            bit = ALARM_BIT.get(name)
            if bit is not None:
                flags |= 1 << bit
        return flags

    def cell_extremes(self) -> int:
        """CellExtremes."""
        seen = self._bms.seen
        return (
            _cell(seen.highest_mv)
            | (seen.highest_index & 0xFF) << 13
            | _cell(seen.lowest_mv) << 21
            | (seen.lowest_index & 0xFF) << 34
        )

    def temperature_extremes(self) -> int:
        """TemperatureExtremes."""
        seen = self._bms.seen
        return (
            _temperature(seen.hottest_ddegc)
            | (seen.hottest_index & 0xFF) << 12
            | _temperature(seen.coldest_ddegc) << 20
            | (seen.coldest_index & 0xFF) << 32
            | _temperature(self._bms.readings.board_ddegc.value) << 40
        )

    def insulation(self) -> int:
        """Insulation."""
        positive, negative = self._bms.insulation_ohm
        return (
            _clipped(positive // 100, 0xFFFE)
            | _clipped(negative // 100, 0xFFFE) << 16
            | _centivolt(self._bms.readings.charger_mv.value) << 32
        )

    def power(self) -> int:
        """Power."""
        estimator = self._bms.estimator
        return (
            _clipped(estimator.discharge_10s_w // 10, 0xFFFE)
            | _clipped(estimator.charge_10s_w // 10, 0xFFFE) << 16
            | _clipped(estimator.remaining_mah // 100, 0xFFFE) << 32
        )

    def counters(self) -> int:
        """Counters."""
        estimator = self._bms.estimator
        return (
            _clipped(estimator.cycles_tenths, 0xFFFF)
            | _clipped(estimator.charged_mams // 3_600_000_000, 0x3FFFF) << 16
            | _clipped(estimator.discharged_mams // 3_600_000_000, 0x3FFFF) << 34
        )

    def send_cells(self) -> None:
        """All groups of CellVoltages."""
        bms = self._bms
        cell_mv, bleed, protect = bms.readings.cell_mv.value, bms.outputs.bleed.value, bms.frames.protect
        for group, cells in self._groups:
            payload = group
            for slot in range(3):
                if slot < len(cells):
                    mv = cell_mv[cells[slot]]
                    payload |= (mv if 0 <= mv < 0x1FFF else _cell(mv)) << 8 + 13 * slot
                    if bleed[cells[slot]]:
                        payload |= 1 << 47 + slot
                else:
                    payload |= 0x1FFF << 8 + 13 * slot
            protect(CELL_VOLTAGES, payload)

    def send_temperatures(self) -> None:
        """All groups of CellTemperatures."""
        values, protect = self._bms.readings.temperature_ddegc.value, self._bms.frames.protect
        for group in range((len(values) + 2) // 3):
            payload = group
            for slot in range(3):
                j = 3 * group + slot
                payload |= _temperature(values[j] if j < len(values) else INVALID) << 8 + 12 * slot
            protect(CELL_TEMPERATURES, payload)

    def request_log(self, first: int, number: int) -> None:
        """Queue `number` entries from `first` (0 = oldest kept), as they are now."""
        log = list(self._bms.log)
        for k in range(first, min(first + number, len(log), 256)):
            self.queue.append((len(log), k, log[k]))

    def answer(self) -> None:
        """Every 10 ms: send on what is queued."""
        for _ in range(min(_ENTRIES_PER_TICK, len(self.queue))):
            kept, number, entry = self.queue.popleft()
            for part, content in enumerate(log_parts(kept, entry)):
                self._bms.frames.put(LOG_ENTRY, bytes((part, number)) + content)


def log_parts(kept: int, entry: LogEntry) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """The five times 6 bytes of one log entry."""
    centiampere = max(-0x7FFFFF, min(0x7FFFFF, _tenth(entry.current_ma)))
    return (
        struct.pack("<HBBBB", kept, entry.code, entry.index & 0xFF, entry.level, entry.kind),
        entry.stamp_ms.to_bytes(6, "little"),
        (centiampere & 0xFFFFFF).to_bytes(3, "little")
        + struct.pack("<HB", _centivolt(entry.pack_mv), min(200, (entry.soc_permille + 2) // 5)),
        struct.pack(
            "<HHBB",
            _logged(entry.highest_mv),
            _logged(entry.lowest_mv),
            entry.highest_index & 0xFF,
            entry.lowest_index & 0xFF,
        ),
        struct.pack("<hhBB", entry.hottest_ddegc, entry.coldest_ddegc, entry.feedback, entry.state),
    )


def _clipped(value: int, most: int) -> int:
    return 0 if value < 0 else min(value, most)


def _tenth(value: int) -> int:
    """Round to a tenth, halves away from zero, so that both signs are alike."""
    return (value + 5) // 10 if value >= 0 else -((5 - value) // 10)


def _centivolt(mv: int) -> int:
    return 0xFFFF if mv == INVALID else _clipped(_tenth(mv), 0xFFFE)


def _cell(mv: int) -> int:
    return 0x1FFF if mv == INVALID else _clipped(mv, 0x1FFE)


def _logged(mv: int) -> int:
    return 0xFFFF if mv == INVALID else _clipped(mv, 0xFFFE)


def _temperature(ddegc: int) -> int:
    return 0x800 if ddegc == INVALID else max(-0x7FF, min(0x7FF, ddegc)) & 0xFFF
