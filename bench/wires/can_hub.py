"""The copper of a CAN bus in virtual time: frames wait for it, and each takes its bits' time.

The lowest identifier goes first. Classic CAN only, and no error frames: what fails here
fails in a node. A frame is a tuple `(t_s, can_id, data)`; its stamp is the bench time [s] at which it had
left the wire. Identifiers are as python-can's, with bit 31 set in an extended one that would fit in 11 bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from bench.clock import Clock, Job

Frame = tuple[float, int, bytes]
OnFrame = Callable[[float, int, bytes], object]

#: Marks an extended identifier of at most 11 significant bits, which would else read as a standard one.
EXTENDED = 0x8000_0000
STANDARD_MAX = 0x7FF
ID_MASK = 0x1FFF_FFFF


def frame_bits(data_bytes: int, *, extended: bool) -> int:
    """Length of a data frame on the wire [bit], interframe space and average stuffing included.

    A classic frame has 44 bits and 8 per data byte (64 with a 29-bit identifier) and is followed by 3 of
    interframe space; 34 (54) of them and the data are stuffed. Random bits need one stuff bit in 30: five
    equal ones take 31 tosses of a fair coin, and the stuff bit is the first toss of the next five.
    """
    fixed, stuffed = (64, 54) if extended else (44, 34)
    return fixed + 3 + 8 * data_bytes + round((stuffed + 8 * data_bytes) / 30)


def is_extended(can_id: int) -> bool:
    return can_id > STANDARD_MAX


def _priority(can_id: int) -> int:
    """Arbitration: lower wins; the base 11 bits first, then a standard frame over an extended one."""
    if not is_extended(can_id):
        return can_id << 19
    can_id &= ID_MASK
    return (can_id >> 18) << 19 | 1 << 18 | can_id & 0x3FFFF


@dataclass(slots=True)
class _Route:
    """What the hub knows of one identifier from one sender: priority, time on the wire, who hears it."""

    priority: int
    duration_ns: tuple[int, ...]
    inboxes: list[list[Frame]]
    calls: list[OnFrame]


class CanNode:
    """One controller on a hub. Made by `CanHub.attach`."""

    def __init__(self, hub: CanHub, name: str, on_frame: OnFrame | None, accepts: Collection[int] | None):
        self.hub, self.name, self.on_frame, self.accepts = hub, name, on_frame, accepts
        self.inbox: list[Frame] = []
        self.routes: dict[int, _Route] = {}

    def __repr__(self) -> str:
        return f"CanNode({self.name})"

    def send(self, can_id: int, data: bytes) -> None:
        """Queue one frame."""
        self.hub.send(self, ((can_id, data),))

    def send_batch(self, frames: Iterable[tuple[int, bytes]]) -> None:
        """Queue several frames at this instant; the hub sends them by priority."""
        self.hub.send(self, frames)


class CanHub:
    """A CAN bus in bench time.

    Parameters
    ----------
    clock
        Whose time passes on the wire.
    bitrate
        [bit/s].
    """

    def __init__(self, clock: Clock, bitrate: int) -> None:
        self.clock, self.bitrate = clock, bitrate
        #: Settings that a node takes over its service port, not over the bus: name to setter.
        self.service_ports: dict[str, Callable[[float], None]] = {}
        bit_ns = 1_000_000_000 / bitrate
        self._durations = [
            tuple(round(frame_bits(n, extended=extended) * bit_ns) for n in range(9))
            for extended in (False, True)
        ]
        self._nodes: list[CanNode] = []
        # Sorted descending: the winner (lowest number, then longest in the queue) is popped from the end.
        self._pending: list[tuple[int, int, _Route, int, bytes]] = []
        self._sequence = 0
        self._free_ns = 0
        self._due: deque[tuple[int, OnFrame, Frame]] = deque()
        self._calls_owed = 0
        self._pump_job: Job | None = None

    def attach(
        self, name: str, on_frame: OnFrame | None = None, *, accepts: Collection[int] | None = None
    ) -> CanNode:
        """Connect a node.

        Parameters
        ----------
        name
            For messages.
        on_frame
            Called with `(t_s, can_id, data)` when a frame of another node has left the wire. None: the node
            has an inbox that its owner empties.
        accepts
            Acceptance filter: the identifiers that it wants to hear; None: all.
        """
        node = CanNode(self, name, on_frame, accepts)
        self._nodes.append(node)
        for other in self._nodes:
            other.routes.clear()
        return node

    def detach(self, node: CanNode) -> None:
        """Disconnect `node`, which hears nothing any more; what it has queued is still sent. Repeatable."""
        if node in self._nodes:
            self._nodes.remove(node)
            for other in self._nodes:
                other.routes.clear()

    def send(self, node: CanNode, frames: Iterable[tuple[int, bytes]]) -> None:
        """Queue `frames` of `node` at this instant.

        Raises
        ------
        ValueError
            If a frame has more than 8 bytes.
        """
        now_ns = self.clock.now_ns
        self._run_to(now_ns - 1)
        pending, routes = self._pending, node.routes
        if not pending and self._free_ns < now_ns:
            self._free_ns = now_ns
        sequence = self._sequence
        calls = 0
        for can_id, data in frames:
            route = routes.get(can_id) or self._route(node, can_id)
            if len(data) > 8:
                raise ValueError(
                    f"CAN frame {can_id:#x} of {node.name}: expected 0 to 8 bytes, found {len(data)}"
                )
            sequence += 1
            calls += len(route.calls)
            pending.append((route.priority, sequence, route, can_id, data))
        self._sequence = sequence
        pending.sort(reverse=True)
        if calls:
            self._calls_owed += calls
            self._schedule_pump()

    def settle(self) -> None:
        """Put every frame that started by now into the inboxes; the last of them may still be on the wire."""
        self._run_to(self.clock.now_ns)

    @property
    def idle_at_ns(self) -> int | None:
        """When the frame on the wire ends [ns], or None if nothing is queued or in flight."""
        busy = self._pending or self._free_ns > self.clock.now_ns
        return self._free_ns if busy else None

    def _route(self, node: CanNode, can_id: int) -> _Route:
        hears = [
            other
            for other in self._nodes
            if other is not node and (other.accepts is None or can_id in other.accepts)
        ]
        route = _Route(
            _priority(can_id),
            self._durations[is_extended(can_id)],
            [other.inbox for other in hears if other.on_frame is None],
            [other.on_frame for other in hears if other.on_frame is not None],
        )
        node.routes[can_id] = route
        return route

    def _run_to(self, until_ns: int) -> None:
        """Send what starts not later than `until_ns`."""
        pending, free_ns = self._pending, self._free_ns
        while pending and free_ns <= until_ns:
            _, _, route, can_id, data = pending.pop()
            free_ns += route.duration_ns[len(data)]
            frame = (free_ns / 1e9, can_id, data)
            for inbox in route.inboxes:
                inbox.append(frame)
            for call in route.calls:
                self._due.append((free_ns, call, frame))
        self._free_ns = free_ns

    def _schedule_pump(self) -> None:
        if self._pump_job is None or self._pump_job.cancelled:
            at_ns = self._due[0][0] if self._due else self._free_ns
            self._pump_job = self.clock.after((at_ns - self.clock.now_ns) / 1e9, self._pump, name="CAN hub")

    def _pump(self) -> None:
        now_ns = self.clock.now_ns
        self._run_to(now_ns)
        while self._due and self._due[0][0] <= now_ns:
            _, call, frame = self._due.popleft()
            self._calls_owed -= 1
            call(*frame)
        if self._calls_owed:
            self._schedule_pump()
