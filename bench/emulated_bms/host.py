"""What the host says: its commands by frame, its silence, and frames that are not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import MODES
from bench.emulated_bms.frames import protected_crc

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

HOST_COMMAND, LOG_REQUEST, SERVICE_RESET = 0x200, 0x202, 0x203
_SERVICE_KEY = bytes.fromhex("B51E5E471CE00F01")
_MODE_OF = {int(state): name for name, state in MODES.items()}


class Host:
    """Receives.

    Attributes
    ----------
    heard
        Whether a good command came since power-up; silence counts only after that.
    silent_ms
        Time since the last good command; 0 while the host is not watched.
    rejected_ms
        Time left for which a rejected frame keeps its alarm.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.forget()

    def forget(self) -> None:
        """As after power-up."""
        self.heard = False
        self.silent_ms = 0
        self.rejected_ms = 0
        self._counter = -1
        self._reset_held = False

    def tick(self) -> None:
        """Every 10 ms."""
        if self.heard and self._bms.parameters.host.watched:
            self.silent_ms += 10
        if self.rejected_ms:
            self.rejected_ms -= 10

    def receive(self, can_id: int, data: bytes) -> None:
        """One frame of the bus; others than the host's are not for this device."""
        if can_id == HOST_COMMAND:
            self.receive_command(data)
        elif can_id == LOG_REQUEST and len(data) == 8:
            self._bms.front_end.request_log(data[0], data[1])
        elif can_id == SERVICE_RESET and data == _SERVICE_KEY:
            self._bms.service_reset()

    def receive_command(self, data: bytes) -> None:
        """Check one HostCommand and use it, or reject it."""
        if not self.believes(data):
            self.rejected_ms = self._bms.parameters.diagnosis.rejected_hold_ms
            return
        self._counter = data[6] >> 4
        self.heard = True
        self.silent_ms = 0
        reset = bool(data[0] & 0x10)
        pressed, self._reset_held = reset and not self._reset_held, reset
        self._bms.command(
            mode=_MODE_OF[data[0] & 0x0F], reset_fault=pressed, balancing_enable=bool(data[0] & 0x20)
        )

    def believes(self, data: bytes) -> bool:
        """Whether length, check, counter and mode are right."""
        return (
            len(data) == 8
            and data[7] == protected_crc(HOST_COMMAND, data)
            and data[6] >> 4 != self._counter
            and data[0] & 0x0F in _MODE_OF
        )
