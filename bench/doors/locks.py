"""Who may talk to an instrument: the locks of HiSLIP and VXI-11.

One holder alone, or several that know one key, or both: then one of the several has it alone for a while.
Source: the lock tables of IVI-6.1 as the public server tridentsx/hislip, server/locks.go, cites them (Table
22: what a request gets in each state). VXI-11 has the exclusive lock only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum


class Grant(Enum):
    """What came of a request for a lock."""

    GRANTED = "granted"
    HELD = "held by somebody else"
    NONSENSE = "waiting would not help: the asker has it, or has the other kind"


class Locks:
    """The locks of one instrument. A holder is any object with an identity."""

    def __init__(self) -> None:
        self.exclusive: object | None = None
        self.shared: set[object] = set()
        self._key = ""
        self._waiting: list[Wait] = []

    @property
    def holders(self) -> int:
        """How many hold a lock; who holds both counts once."""
        return len(self.shared | ({self.exclusive} - {None}))

    def bars(self, asker: object) -> bool:
        """Whether `asker` has to keep quiet, because others hold a lock."""
        if self.exclusive is not None:
            return self.exclusive is not asker
        return bool(self.shared) and asker not in self.shared

    def request(self, asker: object, key: str = "") -> Grant:
        """Take the exclusive lock, or with a key the shared one, if it is free now."""
        if key:
            return self._request_shared(asker, key)
        if self.exclusive is asker:
            return Grant.NONSENSE
        if self.exclusive is not None or (self.shared and asker not in self.shared):
            return Grant.HELD
        self.exclusive = asker
        return Grant.GRANTED

    def _request_shared(self, asker: object, key: str) -> Grant:
        if asker in self.shared or self.exclusive is asker:
            return Grant.NONSENSE
        if self.shared and key != self._key:
            return Grant.HELD
        if not self.shared and self.exclusive is not None:
            return Grant.HELD
        self._key = key
        self.shared.add(asker)
        return Grant.GRANTED

    def release(self, holder: object) -> str | None:
        """Give back one lock, the exclusive one first: "exclusive", "shared", or None if there was none."""
        if self.exclusive is holder:
            self.exclusive, released = None, "exclusive"
        elif holder in self.shared:
            self.shared.remove(holder)
            released = "shared"
        else:
            return None
        self._changed()
        return released

    def forget(self, holder: object) -> None:
        """Give back all that `holder` has, and end what it waits for: its connection is gone."""
        for wait in [wait for wait in self._waiting if wait.asker is holder]:
            wait.cancel()
        while self.release(holder):
            pass

    def wait(
        self, asker: object, attempt: Callable[[], bool], timeout_s: float, then: Callable[[bool], object]
    ) -> None:
        """Call `then(True)` once `attempt()` succeeds, `then(False)` if it did not within `timeout_s` [s].

        `attempt` is made now and after every change of the locks, in the order of those who wait. The time
        is that of the client, so it passes on the wall clock.
        """
        if attempt():
            then(True)
            self._changed()
        elif timeout_s <= 0.0:
            then(False)
        else:
            self._waiting.append(Wait(self._waiting, asker, attempt, timeout_s, then))

    def _changed(self) -> None:
        moved = True
        while moved:  # who got one of several places may make way for the next
            moved = False
            for wait in list(self._waiting):
                if wait in self._waiting and wait.attempt():
                    wait.end(True)
                    moved = True


class Wait:
    """One who waits for a lock."""

    def __init__(
        self,
        waiting: list[Wait],
        asker: object,
        attempt: Callable[[], bool],
        timeout_s: float,
        then: Callable[[bool], object],
    ) -> None:
        self.asker, self.attempt = asker, attempt
        self._waiting, self._then = waiting, then
        self._timer: asyncio.TimerHandle | None = None
        if timeout_s < math.inf:
            self._timer = asyncio.get_running_loop().call_later(timeout_s, self.end, False)

    def cancel(self) -> None:
        """Wait no longer, and tell nobody."""
        self._waiting.remove(self)
        if self._timer is not None:
            self._timer.cancel()

    def end(self, granted: bool) -> None:
        """Wait no longer, and say how it ended."""
        self.cancel()
        self._then(granted)
