"""A serial port on a pseudo terminal: the device's end of a cable that needs no cable. POSIX only.

What makes terminals is imported when one is opened, so that this module can be imported anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.doors.door import Attendant
from bench.doors.line import Outlet, Talk
from bench.wires.twin import MessageTwin

#: Waiting for a client that does not read [byte]; what comes on top is lost.
_MOST_BYTES = 65_536


class PtyLine(ABC):
    """A `Door` on a pseudo terminal in raw mode with a `Talk` behind it; its `Outlet`.

    It cannot tell whether a client has it open, as a device cannot at the end of a serial cable: one talk
    lasts from `open` to `close` or `serve`, whoever comes and goes.

    Parameters
    ----------
    twin
        Who answers.
    clock
        A wall clock; see `Attendant`.
    folder, name
        The path is the symbolic link `<folder>/<name>`. Without a folder it is the terminal itself,
        another one after each `open`.
    """

    def __init__(self, twin: MessageTwin, *, clock: Clock, folder: Path | None, name: str) -> None:
        self.attendant = Attendant(twin, clock)
        self.address = ""
        self.full = False
        self._link = None if folder is None else folder / name
        self._device = self._far_end = -1
        self._waiting = bytearray()
        self._talk: Talk | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address if self._device >= 0 else 'closed'})"

    @abstractmethod
    def talk(self, outlet: Outlet) -> Talk:
        """What serves the line."""

    def resource_name(self, path: str) -> str:
        """What a client writes to get to `path`."""
        return path

    async def open(self) -> None:
        """Make the terminal. Raises `OSError` if there are none here, or a file is where the link goes."""
        if self._device >= 0:
            return
        try:
            import tty
        except ImportError as error:
            raise OSError(
                f"expected pseudo terminals for the serial door {self._link or ''}, found a system without. "
                "Serve this twin over TCP."
            ) from error
        if self._link is not None and self._link.exists() and not self._link.is_symlink():
            raise FileExistsError(f"expected nothing or an old link at {self._link}, found a file or folder")
        # The far end stays open here: else the device reads an error as soon as a client has closed it.
        self._device, self._far_end = os.openpty()
        tty.setraw(self._far_end)
        os.set_blocking(self._device, False)
        path = os.ttyname(self._far_end)
        if self._link is not None:
            self._link.parent.mkdir(parents=True, exist_ok=True)
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(path)
        self.address = self.resource_name(str(self._link or path))
        asyncio.get_running_loop().add_reader(self._device, self._readable)
        self._start_talk()

    def close(self) -> None:
        """As a device that is pulled out of its port: clients read an error. Any number of times."""
        self._end_talk()
        if self._device < 0:
            return
        if self._link is not None:
            with contextlib.suppress(OSError):
                if os.readlink(self._link) == os.ttyname(self._far_end):
                    self._link.unlink()
        asyncio.get_running_loop().remove_reader(self._device)
        os.close(self._far_end)
        os.close(self._device)
        self._device = self._far_end = -1

    def pull(self) -> None:
        """The cable is out: nothing gets through."""
        self.attendant.plugged = False
        if self._talk is not None:
            self._talk.forget()

    def plug(self) -> None:
        """The cable is back; what was sent meanwhile is lost."""
        self._discard_received()
        self.attendant.plugged = True

    def serve(self, twin: Any) -> None:
        """Put another twin behind the door; what is buffered either way is discarded."""
        self._end_talk()
        self.attendant.twin = twin
        if self._device >= 0:
            import termios

            self._discard_received()
            termios.tcflush(self._far_end, termios.TCIOFLUSH)
            self._start_talk()

    def drop(self) -> None:  # noqa: B027  (not for a subclass to fill in)
        """Nobody can be dropped from a serial line."""

    def send(self, data: bytes) -> None:
        """Send `data`, unless nobody takes it."""
        if self.attendant.plugged and not self.full and self._device >= 0:
            self._waiting += data
            self._write()

    def _start_talk(self) -> None:
        self._talk = self.talk(self)
        if self.attendant.plugged:
            self._talk.begin()

    def _end_talk(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.end()
        self._waiting.clear()
        self.full = False
        if self._device >= 0:
            asyncio.get_running_loop().remove_writer(self._device)

    def _readable(self) -> None:
        data = self._read()
        if data and self.attendant.plugged and self._talk is not None:
            self._talk.received(data)

    def _discard_received(self) -> None:
        while self._device >= 0 and self._read():
            pass

    def _read(self) -> bytes:
        try:
            return os.read(self._device, _MOST_BYTES)
        except BlockingIOError:
            return b""

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                del self._waiting[: os.write(self._device, self._waiting)]
        except BlockingIOError:
            # Once full, it has room again when all is out.
            self.full = self.full or len(self._waiting) >= _MOST_BYTES
            loop.add_writer(self._device, self._write)
            return
        loop.remove_writer(self._device)
        was_full, self.full = self.full, False
        if was_full and self._talk is not None:
            self._talk.writable()
