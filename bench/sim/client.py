"""Starting a sim as a child process, and talking to its control line."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.errors import NotReady, WireError
from bench.rack import PackState
from bench.sim.manifest import Manifest
from bench.sim.process import PACK
from bench.station_file import StationFile

#: How long the control line may take for an answer [s]: a power cycle builds a pack.
_ANSWERS_WITHIN_S = 60.0


class SimClient:
    """A sim that runs, and how to ask it.

    Parameters
    ----------
    manifest
        What it serves, and where.
    process
        The child, if this client started it.
    lifeline
        File descriptor that keeps it alive: when every copy of it is closed, the sim ends. Whoever has to
        reach the sim after the run has died, as the watchman has, inherits a copy.
    """

    def __init__(
        self, manifest: Manifest, process: subprocess.Popen[str] | None = None, lifeline: int | None = None
    ) -> None:
        self.manifest, self.process, self.lifeline = manifest, process, lifeline
        host, _, port = manifest.control.rpartition(":")
        try:
            self._line = socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S)
        except (OSError, ValueError) as error:
            self.close()
            raise NotReady(
                f"expected a sim at {manifest.control} (process {manifest.pid}), found {error}. "
                "Has it ended? Start it with `bmsbench sim`."
            ) from error
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._line.makefile("rb")

    @classmethod
    def start(cls, station: str, dut: str, *, speed: float = 1.0) -> SimClient:
        """Start a sim for a station and a DUT and wait until it serves.

        Raises
        ------
        NotReady
            If it ends instead; with what it said.
        """
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "bench", "sim", station, "--dut", dut, "--json"]
        command += ["--speed", f"{speed:g}", "--lifeline", str(ours)]
        process = subprocess.Popen(  # noqa: S603  (our own program)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=(ours,),
            start_new_session=True,  # Ctrl-C at the run's terminal is not for the instruments
            text=True,
        )
        os.close(ours)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            os.close(theirs)
            raise NotReady(
                f"station {station}: expected its sim to serve, found that it ended with {process.wait()}."
            )
        return cls(Manifest.of_json(line, "bmsbench sim"), process, theirs)

    @classmethod
    def of_station(cls, file: StationFile, dut: str, *, manifest: str = "") -> SimClient | None:
        """The sim that serves a station: the one that runs, if a manifest names it, else one started here.

        Parameters
        ----------
        file
            Station. One that needs no sim gets None.
        dut
            Profile, by name or path.
        manifest
            File that `bmsbench sim --json` wrote; "": start a sim, which ends with this client.
        """
        if not file.is_served:
            return None
        if manifest:
            return cls(Manifest.of_file(Path(manifest)))
        return cls.start(str(file.path), dut, speed=file.speed)

    @property
    def addresses(self) -> dict[str, str]:
        """Role, or "dut", to where its stand-in listens."""
        return self.manifest.addresses

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request on the control line and return the answer.

        Raises
        ------
        NotReady
            If the sim declines.
        WireError
            If it does not answer.
        """
        try:
            self._line.sendall(json.dumps({"do": do, **request}).encode() + b"\n")
            line = self._answers.readline()
        except OSError as error:
            raise WireError(f"sim at {self.manifest.control}: no answer to {do!r}: {error}") from error
        if not line:
            raise WireError(f"sim at {self.manifest.control}: it ended before it answered {do!r}")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise NotReady(f"sim at {self.manifest.control} declined {do!r}: {answer['error']}")
        return answer

    def power_cycle(
        self,
        clock: Clock,
        *,
        seed: int,
        pack: PackState | None = None,
        defects: Sequence[str] = (),
        defects_from: str = "",
    ) -> None:
        """Put another pack on the bench and let the rack's time be that of `clock`."""
        self.ask(
            "power_cycle",
            pack=json.loads(PACK.dump_json(pack or PackState())),
            seed=seed,
            epoch=clock.epoch.isoformat(),
            began_ns=clock.began_ns,
            speed=clock.speed,
            defects=list(defects),
            defects_from=str(Path(defects_from).resolve()) if defects_from else "",
        )

    def truth(self) -> dict[str, Any]:
        """What the plant knows now; see `bench.sim.racks.truth_of`."""
        truth: dict[str, Any] = self.ask("truth")["truth"]
        return truth

    def close(self) -> None:
        """Let go; a sim that this client started ends."""
        with contextlib.suppress(AttributeError, OSError):
            self._answers.close()
            self._line.close()
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None
        if self.process is not None:
            assert self.process.stdout is not None
            self.process.stdout.close()
