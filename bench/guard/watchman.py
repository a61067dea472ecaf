"""The watchman: a process beside a run that makes the bench safe when the run cannot.

It hears heartbeats that the run sends as it gets on. While *armed*, silence, the end of the line or a request
makes it take over: it ends the run, for a process that hangs must not fight over energised instruments and
holds their ports; makes the bench safe on connections of its own; says so; and seals the evidence.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.errors import BenchError
from bench.evidence import seal_interrupted
from bench.evidence.json_file import to_json
from bench.guard.lease import Lease, LeaseFile
from bench.guard.line import Orders
from bench.guard.report import as_json
from bench.guard.rescue import Rescue, preload
from bench.station.drivers import load_driver
from bench.station.safe_state import SafeReport, SafeStep
from bench.station_file import load_station
from dut_profiles.profile import load_profile

#: How long a killed run may take to be gone [s]: the kernel first closes what it had open.
_DIES_WITHIN_S = 2.0

_LOOK_S = 0.005

#: A socket's name has 107 bytes on Linux and 103 on macOS; this leaves room for the rest of it.
_LONGEST_BASE = 80


class Watchman:
    """One watchman for one run.

    Parameters
    ----------
    line
        The line to the run.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line, self._pending = line, b""
        self._clock = Clock(virtual=False)
        self._armed, self._ended = False, False
        self._heard_s, self._silence_s = 0.0, 0.0
        self._last_report: SafeReport | None = None
        self._lease: Lease | None = None
        self._renew_s = 0.0

    def run(self) -> int:
        """Watch until the run says goodbye or has to be replaced; the exit code."""
        try:
            self._take_orders()
            folder = _socket_folder()
        except (BenchError, OSError) as error:
            self._answer(why=f"{type(error).__name__}: {error}")
            return 1
        try:
            return self._watch(folder / "line")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # -- hearing ------------------------------------------------------------------------------------------

    def _take_orders(self) -> None:
        while b"\n" not in self._pending:
            data = self._line.recv(65536)
            if not data:
                raise OSError("the run ended before it gave orders")
            self._pending += data
        text, _, self._pending = self._pending.partition(b"\n")
        row = json.loads(text)
        row.pop("do")
        self.orders = orders = Orders(**row)
        self.file, self.profile = load_station(orders.station), load_profile(orders.dut)
        preload(self.file, self.profile, orders.addresses)
        self._known = set(sys.modules)
        if orders.lease:
            path = Path(orders.lease)
            self._lease_file = LeaseFile(path.parent, path.stem)
            self._lease = self._lease_file.read()

    def _watch(self, path: Path) -> int:
        with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(path))
            listener.listen()
            selector.register(self._line, selectors.EVENT_READ, self._hear)
            selector.register(listener, selectors.EVENT_READ, lambda: self._attend(listener))
            if self._lease is not None:
                self._lease = self._lease_file.renew(
                    self._lease, self.file.lease.minutes, watchman=os.fspath(path)
                )
            self._answer(listens_at=os.fspath(path))
            self._heard_s, self._silence_s = self._clock.now_s, self.file.guard.silence_s
            while not self._ended:
                # What has arrived is heard before silence is judged: this process may have been held up too.
                for key, _ in selector.select(self._patience_s()):
                    key.data()
                    if self._ended:
                        break
                else:
                    self._look_at_the_time()
        report = self._last_report
        return 0 if report is None or report.confirmed else 50

    def _patience_s(self) -> float:
        waits = [1.0]
        if self._armed:
            waits.append(self._heard_s + self._silence_s - self._clock.now_s)
        return max(0.0, min(waits))

    def _look_at_the_time(self) -> None:
        now_s = self._clock.now_s
        silent_s = now_s - self._heard_s
        if self._armed and silent_s >= self._silence_s:
            self._take_over(f"no sign of life from the run for {silent_s:.1f} s", lost_s=silent_s)
        elif self._lease is not None and now_s >= self._renew_s:
            minutes = self.file.lease.minutes
            self._renew_s = now_s + minutes * 60.0 / 4
            with contextlib.suppress(OSError):  # a full disk is no reason to stop watching
                self._lease = self._lease_file.renew(self._lease, minutes)
                if self._lease is None:
                    self._say("the lease of this bench is in other hands; the run is told to stop")
                    self._ended = True  # the run sees that nobody watches it, and stops

    def _hear(self) -> None:
        try:
            data = self._line.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._line_ended()
            return
        self._heard_s, self._silence_s = self._clock.now_s, self.file.guard.silence_s
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line and not self._ended:
                try:
                    order = json.loads(line)
                except ValueError:
                    continue  # cut off, because the line was full
                self._obey(**order)

    def _obey(self, do: str, **more: Any) -> None:
        match do:
            case "arm":
                self._armed = True
                self._answer()
            case "disarm":
                self._armed = False
                self._answer()
            case "expect_silence":
                self._silence_s += float(more["longest_s"])
            case "make_safe":
                report = self._rescue([], more["cause"])
                self._answer(report=as_json(report))
                # What the run did meanwhile was to wait.
                self._heard_s = self._clock.now_s
            case "bye":
                if more["unfinished"]:
                    self._seal(more["unfinished"], None)
                self._answer()
                self._ended = True

    def _line_ended(self) -> None:
        if self._armed:
            self._take_over("the run ended without a word while the bench was in its hands")
            return
        # The bench is off and was seen to be off. Only the evidence was left without an end.
        self._seal("the run ended without a word, between two scenarios, with the bench off", None)
        if self._last_report is None or self._last_report.confirmed:
            self._release()
        self._ended = True

    def _attend(self, listener: socket.socket) -> None:
        """Somebody pressed the button."""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(1.0)
            try:
                request = json.loads(connection.makefile("rb").readline())
                who = str(request["who"])
            except (OSError, ValueError, KeyError, TypeError):
                return

            def tell(row: dict[str, Any]) -> None:
                with contextlib.suppress(OSError):
                    connection.sendall(json.dumps(row).encode() + b"\n")

            report = self._take_over(f"asked to by {who}", tell=lambda step: tell({"step": str(step)}))
            tell({"report": as_json(report)})

    # -- taking over --------------------------------------------------------------------------------------

    def _take_over(
        self, cause: str, *, lost_s: float = 0.0, tell: Callable[[SafeStep], object] | None = None
    ) -> SafeReport:
        """End the run, make the bench safe, say so, seal the evidence, give the bench back."""
        self._ended = True
        began_s = self._clock.now_s
        self._say(f"taking over from process {self.orders.pid}: {cause}")
        killed = self._end_the_run()
        if tell is not None:
            tell(killed)
        report = self._rescue([killed], cause, lost_s=lost_s + self._clock.now_s - began_s, tell=tell)
        self._say(str(report))
        self._seal(f"{cause}; watchman: {report}", report)
        if report.confirmed:
            self._release()
        return report

    def _end_the_run(self) -> SafeStep:
        """Kill the run, whose process is the parent of this one as long as it lives."""
        began_s, pid = self._clock.now_s, self.orders.pid
        if os.getppid() != pid:
            return SafeStep("run", "was gone already", 0.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        gone = self._clock.until(lambda: os.getppid() != pid, timeout_s=_DIES_WITHIN_S, step_s=_LOOK_S)
        complaint = "" if gone else f"process {pid} is still there {_DIES_WITHIN_S:g} s after SIGKILL"
        return SafeStep("run", "kill", self._clock.now_s - began_s, complaint)

    def _rescue(
        self,
        earlier: list[SafeStep],
        cause: str,
        *,
        lost_s: float = 0.0,
        tell: Callable[[SafeStep], object] | None = None,
    ) -> SafeReport:
        rescue = Rescue(self.file, self.profile, addresses=self.orders.addresses, tell=tell)
        self._last_report = report = rescue.make_safe(cause, earlier=earlier, lost_s=lost_s)
        return report

    def _seal(self, reason: str, report: SafeReport | None) -> None:
        """End the evidence; if that cannot be written, at least keep the report somewhere else."""
        guard: dict[str, bytes] = {}
        if report is not None:
            late = sorted(set(sys.modules) - self._known)
            about = {"watched_by": self._watchdogs(), "imported_late": late}
            guard["guard.json"] = to_json({**as_json(report), **about})
        try:
            seal_interrupted(Path(self.orders.evidence), reason, guard)
        except (OSError, ValueError, BenchError) as error:
            self._say(f"the evidence in {self.orders.evidence} could not be sealed: {error}")
            self._keep_elsewhere(reason, guard)
            return
        self._say(f"evidence sealed as interrupted: {self.orders.evidence}")

    def _keep_elsewhere(self, reason: str, guard: dict[str, bytes]) -> None:
        try:
            folder = Path(tempfile.mkdtemp(prefix="bmsbench-interrupted-"))
            about = {"evidence": self.orders.evidence, "interrupted": reason}
            (folder / "interrupted.json").write_bytes(to_json(about))
            for name, data in guard.items():
                (folder / name).write_bytes(data)
        except OSError as error:
            self._say(f"nor anything anywhere else: {error}")
            return
        self._say(f"kept instead: {folder}")

    def _watchdogs(self) -> dict[str, str]:
        """What watches each instrument from its own side."""
        where = str(self.file.path)
        found = {name: load_driver(where, role.driver) for name, role in self.file.roles.items()}
        return {name: str(getattr(driver, "watchdog", "unknown")) for name, driver in found.items()}

    def _release(self) -> None:
        if self._lease is not None:
            self._lease_file.release(self._lease)

    # -- speaking -----------------------------------------------------------------------------------------

    def _answer(self, **row: object) -> None:
        with contextlib.suppress(OSError):
            self._line.sendall(json.dumps(row).encode() + b"\n")

    def _say(self, text: str) -> None:
        # The terminal may be gone.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"bmsbench watchman: {text}\n")
            sys.stderr.flush()


def _socket_folder() -> Path:
    """A new folder for this user alone, with a name that is short enough for a Unix socket in it."""
    usual = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108  (mkdtemp)
    for base in usual:
        if base and len(base) <= _LONGEST_BASE and os.access(base, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="bmsbench-", dir=base))
    raise OSError(
        f"expected a folder for a socket among {', '.join(filter(None, usual))}, found none to write"
    )
