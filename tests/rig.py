"""One driver, its wire, its twin and a fake terminal on one virtual clock.

`WIRES` has one function per transport; a new transport adds its own, and the conformance kit of
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
from bench.wires.twin import face_of
from bench.wires.visa import open_visa


@dataclass
class Rig:
    """What a test of one instrument needs; `hub` is the bus of one on CAN, `face` what its wire ends at."""

    clock: Clock
    transcript: Transcript
    terminal: Any
    twin: Any
    driver: Any
    max_v: float
    max_a: float
    settings: Any
    hub: CanHub | None = None

    @property
    def face(self) -> Any:
        return face_of(self.twin, getattr(self.driver, "face", ""))

    def sent(self) -> list[str]:
        """What the driver sent since the last call, without terminators."""
        lines = [data.decode().strip() for data in self.transcript.sent("role")]
        self.transcript.entries.clear()
        return lines

    def another(self) -> Any:
        """A second driver on a connection of its own to the same instrument."""
        return _driver(type(self.driver), self)


def call_with(function: Callable[..., Any], *args: Any, **offered: Any) -> Any:
    """Call `function` with those keyword arguments that it has."""
    known = inspect.signature(function).parameters
    return function(*args, **{name: value for name, value in offered.items() if name in known})


def _visa(driver: Any, face: Any, rig: Rig) -> Any:
    return open_visa("twin://role", clock=rig.clock, role="role", transcript=rig.transcript, twin=face)


def _can(driver: Any, face: Any, rig: Rig) -> Any:
    return open_can(
        "twin://role",
        bitrate=rig.settings.bitrate,
        clock=rig.clock,
        role="role",
        transcript=rig.transcript,
        hub=rig.hub,
    )


def _serial(driver: Any, face: Any, rig: Rig) -> Any:
    baud = getattr(rig.settings, "baud", 9600)
    return open_serial(
        "twin://role", baud=baud, clock=rig.clock, role="role", transcript=rig.transcript, twin=face
    )


def _modbus(driver: Any, face: Any, rig: Rig) -> Any:
    return open_modbus(
        "twin://role",
        baud=getattr(rig.settings, "baud", 9600),
        framing=getattr(driver, "framing", "rtu"),
        clock=rig.clock,
        role="role",
        transcript=rig.transcript,
        twin=face,
    )


#: Transport to a function of driver class, what the wire ends at, and the rig: a wire.
WIRES: dict[str, Callable[..., Any]] = {"visa": _visa, "can": _can, "serial": _serial, "modbus": _modbus}


def _driver(driver: Any, rig: Rig) -> Any:
    face = face_of(rig.twin, getattr(driver, "face", ""))
    wire = WIRES[driver.transport](driver, face, rig)
    return call_with(
        driver,
        wire,
        clock=rig.clock,
        role="role",
        max_v=rig.max_v,
        max_a=rig.max_a,
        min_degc=-40.0,
        max_degc=130.0,
        options=rig.settings,
    )


def rig(driver: Any, terminal: Any, *, max_v: float = 100.0, max_a: float = 100.0, **options: Any) -> Rig:
    """Driver class and terminal, connected through the twin over the driver's transport."""
    clock, settings = Clock(), driver.Options(**options)
    twin = call_with(driver.twin, terminal, clock=clock, options=settings, seed=1)
    made = Rig(clock, Transcript(), terminal, twin, None, max_v, max_a, settings)
    if driver.transport == "can":
        made.hub = CanHub(clock, settings.bitrate)
        face_of(twin, getattr(driver, "face", "")).attach(made.hub)
    made.driver = _driver(driver, made)
    return made
