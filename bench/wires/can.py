"""CAN: python-can's own objects on a bus in virtual time, and the same frames from a real adapter.

A `twin://` address opens a bus on a `CanHub`; `can:<interface>:<channel>` opens what python-can supports.
Frames are tuples `(t_s, can_id, data)` in bench time, see `can_hub`; a `can.Message` is made only for
who calls python-can's own `recv`. Received frames do not go into the transcript, they are too many for
it: keep what `drain` returns and write it with `write_blf`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import can

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.can_adapters import SlcanBus, SocketcandBus
from bench.wires.can_hub import EXTENDED, ID_MASK, STANDARD_MAX, CanHub, CanNode, Frame, frame_bits
from bench.wires.can_twin import TwinBus, can_id_of, message_of
from bench.wires.transcript import Transcript

__all__ = [
    "EXTENDED",
    "CanHub",
    "CanNode",
    "Frame",
    "TwinBus",
    "drain",
    "frame_bits",
    "open_can",
    "send",
    "write_blf",
]

#: A stamp further than this [s] from bench time counts from something else than 1970.
_FOREIGN_STAMP_S = 3600.0


def open_can(
    address: str,
    *,
    bitrate: int,
    clock: Clock,
    role: str,
    transcript: Transcript,
    hub: CanHub | None = None,
) -> can.BusABC:
    """Open `address` as a python-can bus.

    Parameters
    ----------
    address
        `can:<interface>:<channel>` with python-can's names, its options as in
        `can:socketcand:can0?host=127.0.0.1&port=29536`, `can:slcan:/dev/ttyACM0`; or `twin://<name>`.
    bitrate
        [bit/s]. A socketcand server has set it already.
    clock
        Bench time of the stamps.
    role
        For the transcript and for messages.
    transcript
        Takes what is sent, as `541#01`.
    hub
        The bus behind a `twin://` address.

    Raises
    ------
    WireError
        If the adapter cannot be opened.
    StationInvalid
        If the address has another form, or a `twin://` address comes without a hub.
    """
    if address.startswith("twin://"):
        if hub is None:
            raise StationInvalid(
                f"[roles.{role}] address", expected="a hub for it", found=f"only {address!r}"
            )
        bus: can.BusABC = TwinBus(hub, role)
    else:
        bus = _open_adapter(address, bitrate, role, clock)
    plain_send = bus.send

    def recorded_send(msg: can.Message, timeout: float | None = None) -> None:
        text = f"{msg.arbitration_id:0{8 if msg.is_extended_id else 3}X}#{bytes(msg.data).hex().upper()}"
        transcript.add(clock.now_s, role, ">", text.encode())
        try:
            plain_send(msg, timeout)
        except can.CanError as error:
            raise WireError(
                f"{role} ({address}) could not send {text} at {clock.now_s:.3f} s: {error}"
            ) from error

    # python-can has no hook for what is sent.
    bus.send = recorded_send  # type: ignore[method-assign]
    return bus


def _open_adapter(address: str, bitrate: int, role: str, clock: Clock) -> can.BusABC:
    scheme, _, rest = address.partition(":")
    interface, _, tail = rest.partition(":")
    channel, _, query = tail.partition("?")
    if scheme != "can" or not interface or not channel:
        raise StationInvalid(
            f"[roles.{role}] address",
            expected="can:<interface>:<channel> or twin://<name>",
            found=repr(address),
        )
    options: dict[str, Any] = {key: int(v) if v.isdigit() else v for key, v in parse_qsl(query)}
    if interface == "socketcand" and not {"host", "port"} <= set(options):
        raise StationInvalid(
            f"[roles.{role}] address",
            expected=f"can:socketcand:{channel}?host=<host>&port=<port>",
            found=repr(address),
        )
    try:
        if interface == "socketcand":
            return SocketcandBus(channel, **options)
        if interface == "slcan":
            return SlcanBus(channel, bitrate, **options)
        return can.Bus(interface=interface, channel=channel, bitrate=bitrate, **options)
    except (can.CanError, OSError, ImportError, ValueError, TypeError) as error:
        raise WireError(
            f"{role}: expected an open CAN channel at {address}, found {type(error).__name__}: {error} "
            f"at {clock.now_s:.3f} s. Is the adapter plugged in, or its server running, and its driver "
            "installed?"
        ) from error


def send(bus: can.BusABC, frames: Iterable[tuple[int, bytes]]) -> None:
    """Send frames `(can_id, data)` one after the other."""
    for can_id, data in frames:
        bus.send(
            can.Message(arbitration_id=can_id & ID_MASK, is_extended_id=can_id > STANDARD_MAX, data=data)
        )


def drain(bus: can.BusABC, clock: Clock) -> list[Frame]:
    """Everything that arrived on `bus` since the last look, stamped in bench time; never waits.

    Raises
    ------
    WireError
        If the adapter broke.
    """
    if isinstance(bus, TwinBus):
        return bus.drain()
    epoch_s = clock.epoch.timestamp()
    frames = []
    try:
        for message in _arrived(bus):
            if message.is_error_frame or message.is_remote_frame:
                continue
            t_s = message.timestamp - epoch_s
            frames.append((t_s + _stamp_offset_s(bus, t_s, clock), can_id_of(message), bytes(message.data)))
    except (can.CanError, OSError, ValueError) as error:
        raise WireError(f"{bus}: expected frames, found {error} at {clock.now_s:.3f} s.") from error
    return frames


def _arrived(bus: can.BusABC) -> Iterator[can.Message]:
    while True:
        message = bus.recv(0)
        if message is not None:
            yield message
        elif not (isinstance(bus, SlcanBus) and bus.has_more):
            return


def _stamp_offset_s(bus: can.BusABC, t_s: float, clock: Clock) -> float:
    """What to add to the stamps of this bus: one that counts from power-up is aligned at its first frame."""
    known: float | None = getattr(bus, "bench_offset_s", None)
    if known is None:
        known = clock.now_s - t_s if abs(clock.now_s - t_s) > _FOREIGN_STAMP_S else 0.0
        bus.bench_offset_s = known  # type: ignore[attr-defined]  # lives as long as the adapter it belongs to
    return known


def write_blf(path: Path, frames: Iterable[Frame], epoch: datetime) -> Path:
    """Write frames as a BLF log with calendar time; `epoch` is that of bench time 0."""
    with can.BLFWriter(path) as writer:
        for frame in frames:
            writer.on_message_received(message_of(frame, epoch))
    return path
