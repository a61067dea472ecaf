"""What a wire needs of a twin: bytes in, bytes out after a time.

A twin that speaks in messages (SCPI, Modbus, a serial telegram) implements `MessageTwin`. A twin that
broadcasts, as on CAN, has `attach(hub)` instead and is described with its wire.

One box may have several connectors. Its twin then has `faces`, a dictionary from the name of a connector to
what answers there (a `MessageTwin`, or something with `attach`); a driver names its own with `face`. All
faces of one twin are one device: what one of them is told, the others know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Reply:
    """What a twin answers.

    Parameters
    ----------
    data
        All bytes of the answer, terminators included.
    delay_s
        Bench time [s] from the end of the request to the end of the answer: parsing, integration, line time.
        Serial and Modbus wires know the line time themselves and add it.
    """

    data: bytes
    delay_s: float = 0.0


@runtime_checkable
class MessageTwin(Protocol):
    """The device side of a wire that carries messages.

    On VISA a message is one program message without its terminator, on Modbus one frame. On a serial or
    plain TCP line there are no messages: `handle` gets bytes as they arrive, cut anywhere, and keeps what is
    not yet whole.
    """

    def handle(self, message: bytes) -> Reply | None:
        """Act on one message; None: no answer.

        Never raises for bytes that a real partner would survive.
        """
        ...


@runtime_checkable
class Ieee488(Protocol):
    """What HiSLIP, VXI-11 and GPIB carry beside messages. A twin that has it offers it as `ieee488`."""

    def status_byte(self, *, message_available: bool) -> int:
        """The status byte, as a serial poll reads it: bit 6 is the request for service."""
        ...

    def device_clear(self) -> None:
        """Forget a message that is half in and answers that are not yet out; settings stay."""
        ...

    def trigger(self) -> None:
        """Group execute trigger: what `*TRG` does."""
        ...

    def query_error(self, code: int) -> None:
        """The exchange of messages broke: -410 a response was not read, -420 there was none to read."""
        ...


def face_of(twin: Any, face: str) -> Any:
    """What answers at the connector `face` of a twin; the twin itself if it has but one ("").

    Raises
    ------
    KeyError
        If the twin has no such connector.
    """
    faces: dict[str, Any] = getattr(twin, "faces", {"": twin})
    return faces[face]
