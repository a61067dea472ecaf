"""What survives a power cut: charge, counters, latched faults and the event log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event with its freeze frame: what the firmware knew when it happened."""

    code: int
    index: int
    level: int
    kind: int
    stamp_ms: int
    current_ma: int
    pack_mv: int
    soc_permille: int
    highest_mv: int
    lowest_mv: int
    highest_index: int
    lowest_index: int
    hottest_ddegc: int
    coldest_ddegc: int
    feedback: int
    state: int


class EventLog:
    """A ring of the newest `entries` events, oldest first; appending is one assignment, so none is torn."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.total = 0
        self._ring: list[LogEntry] = []

    def __repr__(self) -> str:
        return f"EventLog({len(self)} of {self.entries} kept, {self.total} written)"

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[LogEntry]:
        if len(self._ring) < self.entries:
            return iter(list(self._ring))
        start = self.total % self.entries
        return iter(self._ring[start:] + self._ring[:start])

    def append(self, entry: LogEntry) -> None:
        """Store one event; when the ring is full the oldest goes."""
        if len(self._ring) < self.entries:
            self._ring.append(entry)
        else:
            self._ring[self.total % self.entries] = entry
        self.total += 1

    def clear(self) -> None:
        """Forget all events. Nothing in the sound firmware does."""
        self._ring.clear()
        self.total = 0


@dataclass
class Memory:
    """Non-volatile memory. Hand the same object to the next `EmulatedBms` to reboot the same device.

    Attributes
    ----------
    charge_mams
        Charge in the pack [mA ms]; None before commissioning.
    capacity_mah
        Estimated capacity [mAh].
    charged_mams, discharged_mams
        Throughput [mA ms], never falling.
    latched
        Latched protections and the cell or sensor of each.
    log
        Event log; None until a BMS has made it as long as its profile says.
    """

    charge_mams: int | None = None
    capacity_mah: int = 0
    charged_mams: int = 0
    discharged_mams: int = 0
    latched: dict[str, int] = field(default_factory=dict)
    log: EventLog | None = None
    checksum: int | None = None

    def seal(self) -> None:
        """Store the checksum over everything but the log."""
        self.checksum = self._sum()

    def intact(self) -> bool:
        """Whether the checksum still fits; a blank memory is intact."""
        return self.checksum is None or self.checksum == self._sum()

    def _sum(self) -> int:
        content = (
            self.charge_mams,
            self.capacity_mah,
            self.charged_mams,
            self.discharged_mams,
            sorted(self.latched.items()),
        )
        return crc32(repr(content).encode())
