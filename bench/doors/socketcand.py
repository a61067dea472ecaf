"""socketcand: a CAN bus over TCP in text, as python-can's `socketcand` interface and other clients speak it.

Mode NO_BUS, mode RAW, `send` and `echo`. Left out: cyclic sending, subscriptions, ISO-TP, statistics, CAN FD,
remote frames (a client's `sendrtr` finds nobody who would answer) and the UDP beacon.

Source: linux-can/socketcand, doc/protocol.md, src/state_nobus.c, src/state_raw.c.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from bench.clock import Clock
from bench.doors.can_tap import MOST_FRAMES, CanTap
from bench.doors.line import LineTcpDoor, Outlet, Talk
from bench.wires.can_hub import EXTENDED, ID_MASK, STANDARD_MAX, CanHub, Frame

_OK, _UNKNOWN = b"< ok >", b"< error unknown command >"
_LONGEST_COMMAND = 200
#: No frame leaves for this long [s] after `< rawmode >`: python-can takes the answer and a frame that has
#: arrived behind it for one text, and gives up. Project default.
_PAUSE_S = 0.05


class SocketcandDoor(LineTcpDoor):
    """A socketcand server whose one channel is a hub.

    Parameters
    ----------
    hub
        The bus.
    clock
        The hub's: a wall clock, whose epoch the stamps count from.
    channel
        What clients open.
    host, port
        Where to listen; port 0: any free one.
    most_frames
        How many may wait for a client.
    """

    def __init__(
        self,
        hub: CanHub,
        *,
        clock: Clock,
        channel: str = "can0",
        host: str = "127.0.0.1",
        port: int = 0,
        most_frames: int = MOST_FRAMES,
    ) -> None:
        super().__init__(cast(Any, hub), clock=clock, host=host, port=port)
        self.channel = channel
        self._most_frames = most_frames
        self._named = self._lost = 0
        self._taps: set[CanTap] = set()

    @property
    def lost(self) -> int:
        """Frames that clients were too slow for, of all clients so far."""
        return self._lost + sum(tap.lost for tap in self._taps)

    def talk(self, outlet: Outlet) -> Talk:
        return _SocketcandTalk(self, outlet)

    def resource_name(self) -> str:
        return f"can:socketcand:{self.channel}?host={self.host}&port={self.port}"

    def tap(self, outlet: Outlet) -> CanTap:
        """A place on the bus for a client."""
        self._named += 1
        tap = CanTap(
            cast(CanHub, self.attendant.twin),
            f"{self.channel} client {self._named}",
            outlet=outlet,
            encode=self._frame,
            most_frames=self._most_frames,
        )
        self._taps.add(tap)
        return tap

    def leave(self, tap: CanTap) -> None:
        """A client is gone."""
        self._taps.discard(tap)
        self._lost += tap.lost
        tap.close()

    def _frame(self, frame: Frame) -> bytes:
        t_s, can_id, data = frame
        stamp_us = round((self.attendant.clock.epoch.timestamp() + t_s) * 1e6)
        name = f"{can_id & ID_MASK:08X}" if can_id > STANDARD_MAX else f"{can_id:03X}"
        # Without data there are two spaces, which python-can needs.
        return f"< frame {name} {stamp_us // 1_000_000}.{stamp_us % 1_000_000:06d} {data.hex()} >".encode()


class _SocketcandTalk(Talk):
    def __init__(self, door: SocketcandDoor, outlet: Outlet) -> None:
        self._door, self._outlet = door, outlet
        self._received = b""
        self._opened = False
        self._tap: CanTap | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._commands: dict[bytes, Callable[[list[bytes]], object]] = {
            b"rawmode": self._raw,
            b"echo": lambda _: self._outlet.send(b"< echo >"),
            b"send": self._send,
        }

    def begin(self) -> None:
        self._outlet.send(b"< hi >")

    def received(self, data: bytes) -> None:
        *commands, rest = (self._received + data).split(b">")
        self._received = rest if len(rest) <= _LONGEST_COMMAND else b""
        for command in commands:
            self._run(command.partition(b"<")[2].split())

    def forget(self) -> None:
        self._received = b""

    def writable(self) -> None:
        if self._tap is not None:
            self._tap.flush()

    def end(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._tap is not None:
            self._door.leave(self._tap)
            self._tap = None

    def _run(self, words: list[bytes]) -> None:
        if not self._opened:
            self._open(words)
        elif words and words[0] in self._commands:
            self._commands[words[0]](words[1:])
        else:
            self._outlet.send(_UNKNOWN)

    def _open(self, words: list[bytes]) -> None:
        if words == [b"open", self._door.channel.encode()]:
            self._opened = True
            self._outlet.send(_OK)
        elif words[:1] == [b"open"]:
            self._outlet.send(b"< error could not open bus >")
            self._outlet.drop()
        else:
            self._outlet.send(_UNKNOWN)

    def _raw(self, _: list[bytes]) -> None:
        if self._tap is None:
            self._tap = self._door.tap(self._outlet)
            self._tap.hold()
            self._pause = asyncio.get_running_loop().call_later(_PAUSE_S, self._tap.release)
        self._outlet.send(_OK)

    def _send(self, words: list[bytes]) -> None:
        """A frame; like the original, say nothing to one that is not well formed."""
        try:
            can_id, length, *data = [int(word, 16) for word in words]
            frame = bytes(data)
        except ValueError:
            return
        if self._tap is None or length > 8 or length != len(data):
            return
        if len(words[0]) == 8 and can_id <= ID_MASK:
            self._tap.send(can_id | EXTENDED if can_id <= STANDARD_MAX else can_id, frame)
        elif len(words[0]) <= 3 and can_id <= STANDARD_MAX:
            self._tap.send(can_id, frame)
