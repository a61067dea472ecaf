"""slcan: a CAN adapter on a serial port in text, as CANable and LAWICEL adapters speak it.

`S`, `O`, `L`, `C`, `t`, `T`, `r`, `R`, `F`, `V`, `N`; each is answered with CR, or with BEL if it was
declined. An adapter set to another bit rate than the bus hears nothing and is not heard. A remote frame is
taken and ends here, for no node would answer it. Left out: bit timing registers, acceptance filters, polling,
time stamps, CAN FD.

Source of commands and answers: MatthewKuKanich/CAN_Commander, canHacker/docs/en/protocol.md. What a bit of
`F` means, and what `V` and `N` tell: unverified.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from bench.clock import Clock
from bench.doors.can_tap import MOST_FRAMES, CanTap
from bench.doors.line import Outlet, Talk
from bench.doors.pty_line import PtyLine
from bench.wires.can_hub import EXTENDED, ID_MASK, STANDARD_MAX, CanHub, Frame

_CR, _BEL = b"\r", b"\a"
#: [bit/s] of S0 to S8; S7 is 800 kbit/s in the adapter and 750 kbit/s in python-can.
_BIT_RATES = ({10_000}, {20_000}, {50_000}, {100_000}, {125_000}, {250_000}, {500_000}, {750_000, 800_000},
              {1_000_000})  # fmt: skip
_FRAME = re.compile(rb"(?:[tr]([0-7][0-9A-Fa-f]{2})|[TR]([01][0-9A-Fa-f]{7}))([0-8])((?:[0-9A-Fa-f]{2})*)")
_LONGEST_COMMAND = 64
#: Status bits, unverified: frames were lost since the last look; errors on the bus.
_OVERRUN, _BUS_ERROR = 0x08, 0x80
_VERSION, _NUMBER = b"V1013", b"NA123"


class SlcanDoor(PtyLine):
    """An adapter on a serial port, with a hub at its other end.

    Parameters
    ----------
    hub
        The bus.
    clock
        The hub's: a wall clock.
    folder, name
        The port is the symbolic link `<folder>/<name>`; without a folder the terminal itself.
    most_frames
        How many may wait for the client.
    """

    def __init__(
        self,
        hub: CanHub,
        *,
        clock: Clock,
        folder: Path | None = None,
        name: str = "slcan",
        most_frames: int = MOST_FRAMES,
    ) -> None:
        super().__init__(cast(Any, hub), clock=clock, folder=folder, name=name)
        self._most_frames = most_frames
        self._lost = 0
        self._tap: CanTap | None = None

    @property
    def lost(self) -> int:
        """Frames that the client was too slow for, so far."""
        return self._lost + (self._tap.lost if self._tap is not None else 0)

    def talk(self, outlet: Outlet) -> Talk:
        return _SlcanTalk(self, outlet)

    def resource_name(self, path: str) -> str:
        return f"can:slcan:{path}"

    @property
    def hub(self) -> CanHub:
        """The bus behind the door."""
        return cast(CanHub, self.attendant.twin)

    def tap(self, outlet: Outlet) -> CanTap:
        """A place on the bus for the adapter."""
        self._tap = CanTap(self.hub, "slcan", outlet=outlet, encode=_frame, most_frames=self._most_frames)
        return self._tap

    def leave(self, tap: CanTap) -> None:
        """The channel is closed."""
        self._tap = None
        self._lost += tap.lost
        tap.close()


class _SlcanTalk(Talk):
    def __init__(self, door: SlcanDoor, outlet: Outlet) -> None:
        self._door, self._outlet = door, outlet
        self._received = b""
        self._bit_rates: set[int] = set()
        self._open = self._listens_only = False
        self._tap: CanTap | None = None
        self._lost_told = 0
        self._commands: dict[bytes, Callable[[bytes], bytes]] = {
            b"S": self._set_bit_rate,
            b"O": self._start,
            b"L": self._start,
            b"C": self._stop,
            b"F": self._flags,
            b"V": lambda command: _VERSION + _CR if command == b"V" else _BEL,
            b"N": lambda command: _NUMBER + _CR if command == b"N" else _BEL,
            **dict.fromkeys((b"t", b"T", b"r", b"R"), self._send),
        }

    def received(self, data: bytes) -> None:
        *commands, rest = (self._received + data).split(_CR)
        self._received = rest[: _LONGEST_COMMAND + 1]
        for command in commands:
            obey = self._commands.get(command[:1])
            # python-can ends some commands with an empty one, which is declined as any other unknown.
            self._outlet.send(_BEL if obey is None else obey(command))

    def forget(self) -> None:
        self._received = b""

    def writable(self) -> None:
        if self._tap is not None:
            self._tap.flush()

    def end(self) -> None:
        self._open = False
        if self._tap is not None:
            self._door.leave(self._tap)
            self._tap = None

    def _set_bit_rate(self, command: bytes) -> bytes:
        if self._open or not re.fullmatch(rb"S[0-8]", command):
            return _BEL
        self._bit_rates = _BIT_RATES[int(command[1:])]
        return _CR

    def _start(self, command: bytes) -> bytes:
        if self._open or not self._bit_rates or command not in (b"O", b"L"):
            return _BEL
        self._open, self._listens_only, self._lost_told = True, command == b"L", 0
        if self._door.hub.bitrate in self._bit_rates:
            self._tap = self._door.tap(self._outlet)
        return _CR

    def _stop(self, command: bytes) -> bytes:
        if not self._open or command != b"C":
            return _BEL
        self.end()
        return _CR

    def _flags(self, command: bytes) -> bytes:
        if not self._open or command != b"F":
            return _BEL
        flags = _BUS_ERROR
        if self._tap is not None:
            flags = _OVERRUN if self._tap.lost > self._lost_told else 0
            self._lost_told = self._tap.lost
        return b"F%02X" % flags + _CR

    def _send(self, command: bytes) -> bytes:
        found = _FRAME.fullmatch(command)
        remote = command[:1] in (b"r", b"R")
        if found is None or not self._open or self._listens_only:
            return _BEL
        standard, extended, length, digits = found.groups()
        if len(digits) != (0 if remote else 2 * int(length)):
            return _BEL
        if self._tap is not None and not remote:
            can_id = int(standard or extended, 16)
            marked = can_id | EXTENDED if extended and can_id <= STANDARD_MAX else can_id
            self._tap.send(marked, bytes.fromhex(digits.decode()))
        return _CR


def _frame(frame: Frame) -> bytes:
    _, can_id, data = frame
    name = f"T{can_id & ID_MASK:08X}" if can_id > STANDARD_MAX else f"t{can_id:03X}"
    return f"{name}{len(data)}{data.hex().upper()}\r".encode()
