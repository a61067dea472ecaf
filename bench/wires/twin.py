"""What a wire needs of a twin: bytes in, bytes out after a time.

A twin that speaks in messages (SCPI, Modbus, a serial telegram) implements `MessageTwin`. A twin that
broadcasts, as on CAN, is a clock job instead and is described with its wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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
    """The device side of a wire that carries messages."""

    def handle(self, message: bytes) -> Reply | None:
        """Act on one complete message, without its terminator on wires that have one; None: no answer.

        Never raises for bytes that a real partner would survive.
        """
        ...
