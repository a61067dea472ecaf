"""Program messages on a byte stream: SCPI over a serial port. LF ends a message, a CR before it is noise."""

from __future__ import annotations

from bench.doors.tcp_door import LONGEST_MESSAGE
from bench.wires.twin import MessageTwin, Reply


class LineMessages:
    """Cuts a stream into messages for a twin that wants them whole. A `MessageTwin` for a stream's door."""

    def __init__(self, twin: MessageTwin) -> None:
        self._twin = twin
        self._line = bytearray()

    def handle(self, message: bytes) -> Reply | None:
        """Hand over every message that `message` completes; their answers in one, due when the last is."""
        self._line += message
        data, delay_s = b"", 0.0
        while (end := self._line.find(b"\n")) >= 0:
            reply = self._twin.handle(bytes(self._line[:end]).removesuffix(b"\r"))
            del self._line[: end + 1]
            if reply is not None:
                data, delay_s = data + reply.data, delay_s + reply.delay_s
        if len(self._line) > LONGEST_MESSAGE:
            self._line.clear()
        return Reply(data, delay_s) if data else None
