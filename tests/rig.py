"""One driver, its wire, its twin and a fake terminal on one virtual clock.

`OPENERS` has one function per transport; a new transport adds its own, and the conformance kit of
`test_roles.py` runs with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.clock import Clock
from bench.wires.can import CanHub, open_can
from bench.wires.modbus import open_modbus
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.visa import open_visa


@dataclass
class Rig:
    """What a test of one instrument needs."""

    clock: Clock
    transcript: Transcript
    terminal: Any
    twin: Any
    driver: Any

    def sent(self) -> list[str]:
        """What the driver sent since the last call, without terminators."""
        lines = [data.decode().strip() for data in self.transcript.sent("role")]
        self.transcript.entries.clear()
        return lines


def call_with(function: Callable[..., Any], *args: Any, **offered: Any) -> Any:
    """Call `function` with those keyword arguments that it has."""
    known = inspect.signature(function).parameters
    return function(*args, **{name: value for name, value in offered.items() if name in known})


def _visa(driver: Any, terminal: Any, options: Any, clock: Clock, transcript: Transcript) -> tuple[Any, Any]:
    twin = call_with(driver.twin, terminal, clock=clock, options=options, seed=1)
    return twin, open_visa("twin://role", clock=clock, role="role", transcript=transcript, twin=twin)


def _can(driver: Any, terminal: Any, options: Any, clock: Clock, transcript: Transcript) -> tuple[Any, Any]:
    twin = call_with(driver.twin, terminal, clock=clock, options=options, seed=1)
    hub = CanHub(clock, options.bitrate)
    twin.attach(hub)
    wire = open_can(
        "twin://role", bitrate=options.bitrate, clock=clock, role="role", transcript=transcript, hub=hub
    )
    return twin, wire


def _serial(
    driver: Any, terminal: Any, options: Any, clock: Clock, transcript: Transcript
) -> tuple[Any, Any]:
    twin = call_with(driver.twin, terminal, clock=clock, options=options, seed=1)
    wire = open_serial(
        "twin://role", baud=options.baud, clock=clock, role="role", transcript=transcript, twin=twin
    )
    return twin, wire


def _modbus(
    driver: Any, terminal: Any, options: Any, clock: Clock, transcript: Transcript
) -> tuple[Any, Any]:
    twin = call_with(driver.twin, terminal, clock=clock, options=options, seed=1)
    wire = open_modbus(
        "twin://role", baud=options.baud, clock=clock, role="role", transcript=transcript, twin=twin
    )
    return twin, wire


#: Transport to a function of driver class, terminal, options, clock and transcript: twin and wire.
OPENERS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "visa": _visa,
    "can": _can,
    "serial": _serial,
    "modbus": _modbus,
}


def rig(driver: Any, terminal: Any, *, max_v: float = 100.0, max_a: float = 100.0, **options: Any) -> Rig:
    """Driver class and terminal, connected through the twin over the driver's transport."""
    clock, transcript = Clock(), Transcript()
    settings = driver.Options(**options)
    twin, wire = OPENERS[driver.transport](driver, terminal, settings, clock, transcript)
    made = call_with(driver, wire, clock=clock, role="role", max_v=max_v, max_a=max_a, options=settings)
    return Rig(clock, transcript, terminal, twin, made)
