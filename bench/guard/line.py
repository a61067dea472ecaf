"""The line between a run and its watchman, and the run's end of it.

A pair of sockets carries JSON objects, one per line; an empty line is a heartbeat. The run never waits for
the watchman to read a heartbeat, and never sends one from a thread of its own: who sends one has just done
something.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.clock import Clock
from bench.errors import NotReady, WireError
from bench.guard.report import of_json
from bench.station.safe_state import SafeReport

#: More heartbeats than one in so many seconds say nothing new [s].
BEAT_S = 0.05

#: How long a watchman may take to import everything and read its files [s]; a cold disk is slow.
_READY_WITHIN_S = 120.0

#: How long it may take to answer what needs no bench [s].
_ANSWERS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a watchman has to know.

    Parameters
    ----------
    station, dut
        Files of station and profile.
    pid
        The run.
    evidence
        The run's folder.
    addresses
        Role to address, for stand-ins that another process serves.
    lease
        File of the lease, or "".
    """

    station: str
    dut: str
    pid: int
    evidence: str
    addresses: dict[str, str] = field(default_factory=dict)
    lease: str = ""


class GuardLine:
    """The run's end.

    Attributes
    ----------
    lost
        Why nobody watches any more; "" while somebody does.
    listens_at
        Unix socket on which the watchman takes requests from others.
    """

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.lost, self.listens_at = "", ""
        self._line, self._process = line, process
        line.setblocking(False)
        self._answers = line.makefile("rb")
        self._clock = Clock(virtual=False)
        self._next_s = 0.0

    @classmethod
    def start(cls, orders: Orders, *, keep_open: Sequence[int] = ()) -> GuardLine:
        """Start a watchman and wait until it is ready.

        Parameters
        ----------
        orders
            Its orders.
        keep_open
            File descriptors that must not close while it lives: lifelines of processes it has to reach.

        Raises
        ------
        NotReady
            If it does not get ready; with what it says.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-P", "-m", "bench.guard", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *keep_open),
                start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        line = cls(ours, process)
        try:
            answer = line._ask("watch", _READY_WITHIN_S, **asdict(orders))
        except WireError as error:
            line.close()
            raise NotReady(f"the watchman did not get ready: {error}. Nothing was energised.") from error
        if "why" in answer:
            line.close()
            raise NotReady(f"the watchman did not get ready: {answer['why']} Nothing was energised.")
        line.listens_at = answer["listens_at"]
        return line

    @property
    def pid(self) -> int:
        """Of the watchman."""
        return self._process.pid

    def beat(self) -> None:
        """Say that the run has got on. Never waits and never raises; see `lost`."""
        now_s = self._clock.now_s
        if self.lost or now_s < self._next_s:
            return
        self._next_s = now_s + BEAT_S
        self._tell(b"\n")

    def announce_silence(self, longest_s: float) -> None:
        """Say that the run will not get on for up to `longest_s` [s] more than usual, until the next beat."""
        if not self.lost:
            self._tell(json.dumps({"do": "expect_silence", "longest_s": longest_s}).encode() + b"\n")
            self._next_s = 0.0

    def _tell(self, data: bytes) -> None:
        try:
            self._line.send(data)
        except BlockingIOError:
            pass  # it has enough unread heartbeats
        except OSError as error:
            self.lost = f"the watchman (process {self.pid}) is gone: {error}"

    def arm(self) -> None:
        """From now on, silence means that something is wrong. Raises `WireError` if nobody watches."""
        self._ask("arm", _ANSWERS_WITHIN_S)

    def disarm(self) -> None:
        """The bench is safe and somebody has seen it: silence means nothing any more."""
        self._ask("disarm", _ANSWERS_WITHIN_S)

    def make_safe(self, cause: str, within_s: float) -> SafeReport:
        """Let the watchman make the bench safe on its own connections, and the run live.

        Raises
        ------
        WireError
            If it does not answer in `within_s` [s] and some more.
        """
        answer = self._ask("make_safe", within_s + _ANSWERS_WITHIN_S, cause=cause)
        return of_json(answer["report"])

    def bye(self, unfinished: str = "") -> None:
        """End the watch, and the watchman. The lease is left to the run.

        Parameters
        ----------
        unfinished
            Why the run could not end its evidence; then the watchman tries.
        """
        with contextlib.suppress(WireError):
            self._ask("bye", _ANSWERS_WITHIN_S, unfinished=unfinished)
        self.close()

    def close(self) -> None:
        """Let go of the line and wait for the process."""
        with contextlib.suppress(OSError):
            self._answers.close()
            self._line.close()
        try:
            self._process.wait(_ANSWERS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, do: str, within_s: float, **more: object) -> Mapping[str, Any]:
        if self.lost:
            raise WireError(self.lost)
        try:
            self._line.settimeout(within_s)
            self._line.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
            answer = self._answers.readline()
            self._line.setblocking(False)
        except OSError as error:
            self.lost = f"the watchman (process {self.pid}) does not answer {do!r}: {error}"
            raise WireError(self.lost) from error
        if not answer:
            self.lost = f"the watchman (process {self.pid}) ended before it answered {do!r}"
            raise WireError(self.lost)
        found: dict[str, Any] = json.loads(answer)
        return found
