"""A client's place on a CAN hub: its own node, and the frames of the others, in order and in batches.

Each client is a node of its own, so it does not hear itself and hears the other clients. Frames wait for a
slow client up to a limit; then the oldest are lost and counted, and the hub goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bench.doors.line import Outlet
from bench.wires.can_hub import CanHub, Frame

#: How often [s of the wall clock] the hub is looked at: frames are late by at most that, their stamps exact.
LOOK_S = 0.005
#: Frames that may wait for a client: more than a second of a full bus at 1 Mbit/s.
MOST_FRAMES = 10_000
#: Frames in one write.
_BATCH = 512


class CanTap:
    """One client's node, from now to `close`.

    Parameters
    ----------
    hub
        The bus.
    name
        For messages.
    outlet
        Where the frames go.
    encode
        A frame as the client reads it.
    most_frames
        How many may wait.
    """

    def __init__(
        self,
        hub: CanHub,
        name: str,
        *,
        outlet: Outlet,
        encode: Callable[[Frame], bytes],
        most_frames: int = MOST_FRAMES,
    ) -> None:
        self._hub, self._outlet, self._encode, self._most_frames = hub, outlet, encode, most_frames
        #: Frames that the client was too slow for.
        self.lost = 0
        self._held = False
        self._waiting: deque[Frame] = deque()
        self._node = hub.attach(name)
        # A virtual clock has no speed: there the period is in its own time.
        self._job = hub.clock.every(LOOK_S * hub.clock.speed, self._look, name=f"frames for {name}")

    def send(self, can_id: int, data: bytes) -> None:
        """Put a frame of the client on the bus."""
        self._hub.clock.catch_up()
        self._node.send(can_id, data)

    def hold(self) -> None:
        """Keep frames back until `release`."""
        self._held = True

    def release(self) -> None:
        """Send what has waited, and go on."""
        self._held = False
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it."""
        waiting = self._waiting
        while waiting and not self._held and not self._outlet.full:
            batch = [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
            self._outlet.send(b"".join(map(self._encode, batch)))

    def close(self) -> None:
        """Leave the bus. Any number of times."""
        self._job.cancel()
        self._waiting.clear()
        self._hub.detach(self._node)

    def _look(self) -> None:
        self._hub.settle()
        inbox = self._node.inbox
        if not inbox:
            return
        # The hub decides when a frame starts; at most the last one is still on the wire.
        arrived = len(inbox) - (inbox[-1][0] > self._hub.clock.now_s)
        self._waiting.extend(inbox[:arrived])
        del inbox[:arrived]
        self.flush()
        while len(self._waiting) > self._most_frames:
            self._waiting.popleft()
            self.lost += 1
