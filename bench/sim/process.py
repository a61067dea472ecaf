"""The process that serves a rack: paces its clock, answers its control line, ends cleanly.

The control line is TCP, one JSON object per line in each direction. It stands for what a person does at a
rack: another pack on the bench (`power_cycle`), a cable out (`pull`, `plug`), an instrument without mains
(`kill`, `revive`), a flaw inside a cell (`condition`); and it tells the plant's `truth`, for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.clock import Clock
from bench.emulated_bms.defects import Defect, known_defects
from bench.errors import BenchError, DefectInvalid, InvalidInput
from bench.rack import PackState
from bench.sim.manifest import Manifest
from bench.sim.racks import ServedRack, truth_of
from bench.station_file import StationFile
from dut_profiles.profile import Profile

PACK = TypeAdapter(PackState)

#: From how far behind the wall clock on somebody should know [s].
_BEHIND_S = 2.0

#: How long the loop may look away from the clock when no job is due [s].
_LOOK_S = 0.05


async def serve(
    file: StationFile,
    profile: Profile,
    *,
    announce: Callable[[Manifest], object],
    speed: float = 1.0,
    host: str = "127.0.0.1",
    real_ports: bool = False,
    every_connector: bool = False,
    lifeline: int | None = None,
) -> None:
    """Serve a station until SIGINT, SIGTERM, or the end of the lifeline.

    Parameters
    ----------
    file, profile
        Station and DUT.
    announce
        Called once, when every door is open.
    speed
        Bench seconds per second.
    host, real_ports, every_connector
        As for `ServedRack`.
    lifeline
        A file descriptor whose other end the parent holds: when it is closed, nobody needs this any more.

    Raises
    ------
    OSError
        If a port is taken or not permitted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    clock = Clock(virtual=False, speed=speed, paced=True)
    with tempfile.TemporaryDirectory(prefix="bmsbench-sim-") as folder:
        served = ServedRack(
            file,
            profile,
            clock=clock,
            folder=Path(folder),
            host=host,
            real_ports=real_ports,
            every_connector=every_connector,
        )
        try:
            await served.start()
            control = await asyncio.start_server(Control(served).attend, host, 0)
            async with control:
                port = control.sockets[0].getsockname()[1]
                announce(_manifest(served, f"{host}:{port}"))
                await _pace(clock, stop)
        finally:
            served.close()


async def _pace(clock: Clock, stop: asyncio.Event) -> None:
    """Run the jobs of `clock` when they are due, until `stop`. What a job raises ends the sim."""
    loop, broken = asyncio.get_running_loop(), list[BaseException]()
    told = False

    def turn() -> None:
        nonlocal told
        try:
            clock.catch_up()
        except Exception as error:
            broken.append(error)
            stop.set()
        else:
            if clock.behind_s > _BEHIND_S and not told:
                told = True
                print(
                    f"bmsbench sim: this machine cannot keep a speed of {clock.speed:g}: it is "
                    f"{clock.behind_s:.1f} s behind; bench time passes more slowly than it should",
                    file=sys.stderr,
                    flush=True,
                )
            loop.call_later(min(_LOOK_S, clock.next_due_s()), turn)

    turn()
    await stop.wait()
    if broken:
        raise broken[0]


def _manifest(served: ServedRack, control: str) -> Manifest:
    addresses: dict[str, str] = {}
    connectors: dict[str, str] = {}
    for role, face, address in served.addresses():
        if role in addresses:
            connectors[f"{role}/{face or 'portmapper'}"] = address
        else:
            addresses[role] = address
    return Manifest(
        served.file.name, served.profile.identity.model, os.getpid(), control, addresses, connectors
    )


class Control:
    """The control line: requests by name."""

    def __init__(self, served: ServedRack) -> None:
        self._served = served

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError, ValueError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = request.pop("do")
            verbs: dict[str, Callable[..., Any]] = {
                "power_cycle": self.power_cycle,
                "truth": self.truth,
                "pull": self.pull,
                "plug": self.plug,
                "kill": self.kill,
                "revive": self.revive,
                "condition": self.condition,
            }
            found = verbs[verb](**request)
            if asyncio.iscoroutine(found):
                found = await found
        except BenchError as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, TypeError, KeyError, AttributeError, OSError, ValidationError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error} in {line[:200]!r}"}
        return {"ok": True, **(found or {})}

    def power_cycle(
        self,
        *,
        pack: dict[str, Any],
        seed: int,
        epoch: str,
        began_ns: int,
        speed: float,
        defects: list[str],
        defects_from: str = "",
    ) -> None:
        """Another pack on the bench, and the time of who asks: 0 was at `began_ns`, calendar `epoch`."""
        state = PACK.validate_json(json.dumps(pack))
        chosen = _defects(defects, defects_from)
        self._served.clock.restart(epoch=datetime.fromisoformat(epoch), began_ns=began_ns, speed=speed)
        self._served.power_cycle(state, seed, chosen)

    def truth(self) -> dict[str, Any]:
        """What the plant knows."""
        self._served.clock.catch_up()
        assert self._served.rack is not None
        return {"truth": truth_of(self._served.rack)}

    def pull(self, *, role: str) -> None:
        """Take the cable of one role out."""
        for door in self._served.doors_of(role):
            door.pull()

    def plug(self, *, role: str) -> None:
        """Put it back in."""
        for door in self._served.doors_of(role):
            door.plug()

    def kill(self, *, role: str) -> None:
        """End the stand-in's ports, as if its mains had failed; what it feeds stays as it was."""
        for door in self._served.doors_of(role):
            door.close()

    async def revive(self, *, role: str) -> None:
        """Open its ports again."""
        for door in self._served.doors_of(role):
            await door.open()

    def condition(self, *, name: str, value: float, cell: int) -> None:
        """Make something inside one cell wrong, as `bench.plant.conditions` names it."""
        assert self._served.rack is not None
        self._served.rack.conditions.set(name, value, group=cell)


def _defects(names: list[str], defects_from: str) -> list[Defect]:
    known = known_defects(defects_from)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DefectInvalid("defects", expected=f"some of {', '.join(sorted(known))}", found=unknown[0])
    return [known[name] for name in names]


def check_speed(speed: float) -> float:
    """`speed`, if a sim can run at it. Raises `InvalidInput` otherwise."""
    if not 0.0 < speed <= 100.0:
        raise InvalidInput("--speed", expected="a factor above 0 and up to 100", found=f"{speed:g}")
    return speed
