"""python-can's bus object on a `CanHub`: `recv` lets bench time pass, `send_periodic` is a clock job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import can
from can.broadcastmanager import CyclicSendTaskABC, ModifiableCyclicTaskABC, RestartableCyclicTaskABC

from bench.clock import Job
from bench.errors import WireError
from bench.wires.can_hub import EXTENDED, ID_MASK, STANDARD_MAX, CanHub, Frame

#: Virtual seconds after which `recv(None)` gives up on a silent bus, which would else hang for ever.
_SILENCE_S = 60.0
#: How often a waiting `recv` looks at an idle bus [ns]; stamps are exact whatever it is.
_LOOK_NS = 1_000_000


def can_id_of(message: can.Message) -> int:
    """The identifier as frames carry it."""
    can_id = message.arbitration_id
    return can_id | EXTENDED if message.is_extended_id and can_id <= STANDARD_MAX else can_id


def message_of(frame: Frame, epoch: datetime) -> can.Message:
    """The frame as python-can's message; its time stamp is calendar time."""
    t_s, can_id, data = frame
    return can.Message(
        timestamp=epoch.timestamp() + t_s,
        arbitration_id=can_id & ID_MASK,
        is_extended_id=can_id > STANDARD_MAX,
        data=data,
    )


class TwinBus(can.BusABC):
    """A python-can bus on a hub, in bench time.

    `recv(timeout)` lets bench time pass until a frame is there; `send_periodic` becomes a clock job.
    """

    def __init__(self, hub: CanHub, name: str) -> None:
        super().__init__(channel=name)
        self.channel_info = f"{name} on a CAN hub at {hub.bitrate} bit/s"
        self.hub = hub
        self._node = hub.attach(name)
        self._ready: deque[Frame] = deque()

    def __del__(self) -> None:
        """Nothing to close, so python-can's complaint about a forgotten shutdown does not apply."""

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Queue a frame; it leaves when the bus is free."""
        self._node.send(can_id_of(msg), bytes(msg.data))

    def drain(self) -> list[Frame]:
        """Everything that arrived since the last look, oldest first."""
        self.hub.settle()
        inbox = self._node.inbox
        frames = list(self._ready)
        self._ready.clear()
        # The hub decides when a frame starts; at most the last one is still on the wire.
        in_flight = bool(inbox) and inbox[-1][0] > self.hub.clock.now_s
        arrived = len(inbox) - in_flight
        frames += inbox[:arrived]
        del inbox[:arrived]
        return frames if self.filters is None else [frame for frame in frames if self._passes(frame)]

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """Wait at most `timeout` [s] of bench time for a frame; None if there was none.

        Raises
        ------
        WireError
            Without a timeout, if the bus is silent for a minute.
        """
        clock = self.hub.clock
        end_ns = clock.now_ns + round((_SILENCE_S if timeout is None else timeout) * 1e9)
        while True:
            self._ready.extend(self.drain())
            if self._ready:
                return message_of(self._ready.popleft(), clock.epoch)
            if clock.now_ns >= end_ns:
                break
            look_ns = self.hub.idle_at_ns or clock.now_ns + _LOOK_NS
            clock.sleep_until(min(end_ns, look_ns))
        if timeout is None:
            raise WireError(
                f"{self.channel_info}: expected a frame, found silence for {_SILENCE_S:g} s "
                f"at {clock.now_s:.3f} s."
            )
        return None

    def _passes(self, frame: Frame) -> bool:
        return self._matches_filters(message_of(frame, self.hub.clock.epoch))

    def _send_periodic_internal(
        self,
        msgs: Sequence[can.Message] | can.Message,
        period: float,
        duration: float | None = None,
        autostart: bool = True,
        modifier_callback: Callable[[can.Message], None] | None = None,
    ) -> CyclicSendTaskABC:
        task = ClockTask(self, msgs, period, duration, modifier_callback)
        if autostart:
            task.start()
        return task


class ClockTask(ModifiableCyclicTaskABC, RestartableCyclicTaskABC):
    """Frames sent by a clock job, one at a time in turn."""

    def __init__(
        self,
        bus: TwinBus,
        messages: Sequence[can.Message] | can.Message,
        period: float,
        duration: float | None,
        modifier: Callable[[can.Message], None] | None,
    ) -> None:
        super().__init__(messages, period)
        self._bus, self._duration, self._modifier = bus, duration, modifier
        self._job: Job | None = None
        self._next, self._end_ns = 0, 0

    def start(self) -> None:
        """Send the first frame now, then one every period."""
        self.stop()
        clock = self._bus.hub.clock
        self._end_ns = clock.now_ns + round((self._duration or 0.0) * 1e9)
        name = f"cyclic frame {self.arbitration_id:#x}"
        self._job = clock.every(self.period, self._send, name=name, first_s=0.0)

    def stop(self) -> None:
        """Send no more."""
        if self._job is not None:
            self._job.cancel()

    def _send(self) -> None:
        if self._duration is not None and self._bus.hub.clock.now_ns >= self._end_ns:
            self.stop()
            return
        message = self.messages[self._next]
        self._next = (self._next + 1) % len(self.messages)
        if self._modifier is not None:
            self._modifier(message)
        self._bus.send(message)
