"""Probes: what answers at one address. They ask who is there, and change nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pyvisa

from bench.bringup.recognition import Known, known_drivers, those_for
from bench.clock import Clock
from bench.errors import BenchError, InvalidInput
from bench.station.opening import close_wire
from bench.wires.can import drain, open_can
from bench.wires.modbus import open_modbus
from bench.wires.modbus_server import Framing
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.visa import open_visa

#: How long an answer may take [s]. Some instruments think for a second about their name.
ANSWER_S = 1.0
#: Ceilings for asking only [V], [A], [°C]: within what any wiring and any instrument allows.
_CEILINGS = {"max_v": 1.0, "max_a": 1.0, "min_degc": 10.0, "max_degc": 40.0}
#: Speeds at which a serial SCPI instrument is tried [bit/s].
_SCPI_BAUDS = (9600, 115200)
_CAN_BITRATE = 500_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one address.

    Parameters
    ----------
    address
        As a station file has it.
    identity
        What answered said of itself; "" if nothing did.
    drivers
        Those that are for it.
    remark
        Why nobody is known there, or what else there is to say.
    """

    address: str
    identity: str = ""
    drivers: tuple[Known, ...] = ()
    remark: str = ""


def probe(address: str, *, listen_s: float = 2.0) -> Answer:
    """Ask who is at `address`, as its form demands; on CAN, listen only.

    Raises
    ------
    InvalidInput
        If the address has no form that is known.
    """
    if address.startswith("can:"):
        return _can(address, listen_s)
    if address.startswith(("tcp://", "rtu+tcp://")):
        framing = "tcp" if address.startswith("tcp://") else "rtu"
        return _first(address, [_asker(address, known) for known in _modbus(framing)])
    if "::" in address:
        return _visa(address)
    if address.startswith(("socket://", "/", "COM")):
        return _serial(address)
    raise InvalidInput(
        "address",
        expected="a VISA name, a serial device, socket://<host>:<port>, tcp://<host>:<port> or "
        "can:<interface>:<channel>",
        found=repr(address),
    )


# -- message by message ---------------------------------------------------------------------------------


def _visa(address: str) -> Answer:
    try:
        identity = _idn(address)
    except BenchError as error:
        return Answer(address, remark=str(error))
    return _named(address, identity, ("visa",))


def _idn(address: str) -> str:
    clock, transcript = Clock(virtual=False), Transcript()
    wire = open_visa(address, clock=clock, role="discover", transcript=transcript, timeout_s=ANSWER_S)
    try:
        return str(wire.query("*IDN?")).strip()
    finally:
        with suppress(pyvisa.errors.VisaIOError, OSError):
            wire.close()


def _serial(address: str) -> Answer:
    """Text first: a module that speaks text may take a binary frame for half a command."""
    askers = [_asker(address, known) for known in known_drivers() if known.transport == "serial"]
    if "://" not in address:
        askers += [partial(_serial_scpi, address, baud) for baud in _SCPI_BAUDS]
        askers += [_asker(address, known) for known in _modbus("rtu")]
    return _first(address, askers)


def _serial_scpi(address: str, baud: int) -> Answer:
    clock, transcript = Clock(virtual=False), Transcript()
    port = open_serial(
        address, baud=baud, clock=clock, role="discover", transcript=transcript, timeout_s=ANSWER_S
    )
    try:
        port.write(b"*IDN?\n")
        said = port.read_until(b"\n").decode("ascii", "replace").strip()
    finally:
        port.close()
    if said.count(",") < 3:  # maker, model, serial number, firmware: IEEE 488.2, 10.14
        return Answer(address, remark=f"answers {said!r}" if said else "")
    return _named(f"ASRL{address.removeprefix('COM')}::INSTR", said, ("visa",))


# -- by a driver's own question -------------------------------------------------------------------------


def _modbus(framing: str) -> list[Known]:
    return [
        known
        for known in known_drivers()
        if known.transport == "modbus" and getattr(known.driver, "framing", "rtu") == framing
    ]


def _asker(address: str, known: Known) -> partial[Answer]:
    return partial(_ask, address, known)


def _ask(address: str, known: Known) -> Answer:
    """Let a driver ask for the identity as it always does."""
    clock, transcript = Clock(virtual=False), Transcript()
    options = known.driver.Options.model_validate(getattr(known.driver, "idn_options", {}))
    common: dict[str, Any] = {"clock": clock, "role": "discover", "transcript": transcript}
    baud = getattr(options, "baud", 9600)
    if known.transport == "serial":
        wire: Any = open_serial(address, baud=baud, timeout_s=ANSWER_S, **common)
    else:
        framing: Framing = getattr(known.driver, "framing", "rtu")
        wire = open_modbus(address, baud=baud, framing=framing, timeout_s=ANSWER_S, **common)
    wanted = inspect.signature(known.driver).parameters
    ceilings = {key: value for key, value in _CEILINGS.items() if key in wanted}
    try:
        driver = known.driver(wire, clock=clock, role="discover", options=options, **ceilings)
        identity = driver.identity()
    except BenchError:
        came = b"".join(entry.data for entry in transcript if entry.direction == "<")
        return Answer(address, remark=f"answers {came[:40]!r}" if came else "")
    finally:
        close_wire(wire)
    return Answer(address, identity, (known,)) if known.matches(identity) else Answer(address)


def _first(address: str, askers: Iterable[partial[Answer]]) -> Answer:
    """The first that knows who is there; several nameless ones that fit are all told."""
    remark, nameless = "", Answer(address)
    for ask in askers:
        try:
            answer = ask()
        except BenchError as error:  # it cannot be opened: the others cannot either
            return Answer(address, remark=str(error))
        if answer.drivers and not answer.drivers[0].is_nameless:
            return answer
        if answer.drivers:
            same = (*nameless.drivers, *answer.drivers)
            nameless = Answer(address, nameless.identity or answer.identity, same)
        elif answer.identity:
            return answer
        remark = remark or answer.remark
    return nameless if nameless.drivers else Answer(address, remark=remark or "nobody answered")


def _named(address: str, identity: str, transports: tuple[str, ...]) -> Answer:
    drivers = tuple(those_for(identity, transports))
    return Answer(address, identity, drivers, "" if drivers else "no driver knows it")


# -- listening --------------------------------------------------------------------------------------------


def _can(address: str, listen_s: float) -> Answer:
    """Take what is sent for a while. Nothing is sent, but an adapter acknowledges, as every node does."""
    clock, transcript = Clock(virtual=False), Transcript()
    bare, bitrate = _bitrate_of(address)
    try:
        bus = open_can(bare, bitrate=bitrate, clock=clock, role="discover", transcript=transcript)
    except BenchError as error:
        return Answer(address, remark=str(error))
    try:
        clock.sleep(listen_s)
        frames = [(can_id, data) for _, can_id, data in drain(bus, clock)]
    except BenchError as error:
        return Answer(address, remark=str(error))
    finally:
        bus.shutdown()
    for known in known_drivers():
        if known.transport == "can" and (identity := known.heard(frames)):
            return Answer(bare, identity, (known,))
    if not frames:
        return Answer(bare, remark=f"nobody sent anything in {listen_s:g} s")
    shown = ", ".join(f"{can_id:#x}" for can_id in sorted({can_id for can_id, _ in frames})[:8])
    return Answer(bare, remark=f"{len(frames)} frames of no instrument that is known, from {shown}: the DUT?")


def _bitrate_of(address: str) -> tuple[str, int]:
    """An address without `bitrate=`, and that bit rate [bit/s]."""
    bare, _, query = address.partition("?")
    options = dict(parse_qsl(query))
    text = options.pop("bitrate", str(_CAN_BITRATE))
    if not text.isdigit():
        raise InvalidInput(address, expected="bitrate=<bit/s>", found=repr(text))
    return f"{bare}?{urlencode(options)}" if options else bare, int(text)
