"""python-can's socketcand and slcan clients, with what they leave to chance made certain.

Their bytes are python-can's own. Put right here: what they do when nobody listens, when a bus is busy while
they open, and when the far end goes away.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from typing import Any

import can
from can.interfaces.slcan import slcanBus
from can.interfaces.socketcand import SocketCanDaemonBus

#: How long [s] a socketcand server may take to accept, and to answer each word of the greeting.
_GREETING_S = 5.0
_LONGEST_WORD = 200


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record of the socketcand client says what no exception does.

    It warns of each message that came in two pieces, which is how TCP works, and logs what it raises.
    """
    return not record.getMessage().startswith(("Got incomplete message", "Failed to receive"))


class SocketcandBus(SocketCanDaemonBus):
    """A socketcand client that refuses at once, opens on a busy bus, and tells when the server is gone.

    Parameters
    ----------
    channel
        As the server names it.
    host, port
        Of the server.
    options
        python-can's.

    Raises
    ------
    OSError
        If nobody listens.
    can.CanError
        If the server does not answer as one, or does not have the channel.
    """

    def __init__(self, channel: str, host: str, port: int, **options: Any) -> None:
        logging.getLogger(SocketCanDaemonBus.__module__).addFilter(_is_news)
        # python-can would try for 10 s without a pause, and log each attempt.
        socket.create_connection((host, port), _GREETING_S).close()
        tuned = {"tcp_tune": os.name != "nt", **options}
        try:
            super().__init__(channel, host, port, **tuned)  # type: ignore[no-untyped-call]  # python-can leaves this interface untyped
        except BaseException:
            self._line.close()
            raise

    @property
    def _line(self) -> socket.socket:
        """The client's socket, which it keeps to itself."""
        line: socket.socket = vars(self)["_SocketCanDaemonBus__socket"]
        return line

    def _expect_msg(self, msg: str) -> None:
        """Read one message; python-can would take a frame behind it for a part of it."""
        text = b""
        while not text.endswith(b">") and len(text) < _LONGEST_WORD:
            ready, _, _ = select.select([self._line], [], [], _GREETING_S)
            byte = self._line.recv(1) if ready else b""
            if not byte:
                why = "the end of the connection" if ready else f"silence for {_GREETING_S:g} s"
                raise can.CanInitializationError(
                    f"expected {msg!r}, found {text.decode('latin-1')!r} and {why}"
                )
            text += byte
        if text != msg.encode():
            raise can.CanInitializationError(f"expected {msg!r}, found {text.decode('latin-1')!r}")

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        try:
            message, filtered = super()._recv_internal(timeout)  # type: ignore[no-untyped-call]
        except can.CanError as error:
            # Its text carries a traceback.
            raise can.CanOperationError(str(error.__cause__)) from error
        if message is None and self._has_ended():
            # python-can takes the end of the connection for silence, for ever.
            raise can.CanOperationError("the server closed the connection")
        return message, filtered

    def _has_ended(self) -> bool:
        ready, _, _ = select.select([self._line], [], [], 0)
        return bool(ready) and not self._line.recv(1, socket.MSG_PEEK)

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Send one frame."""
        try:
            super().send(msg, timeout)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise can.CanOperationError(str(error)) from error


class SlcanBus(slcanBus):
    """An slcan client that waits for no boot loader where there is none, and closes in any case.

    Parameters
    ----------
    channel
        Serial port, as pyserial names it.
    bitrate
        [bit/s].
    options
        python-can's.
    """

    def __init__(self, channel: str, bitrate: int, **options: Any) -> None:
        if os.path.realpath(channel).startswith("/dev/pts/"):
            # python-can waits two seconds for adapters that restart when their port is opened.
            options = {"sleep_after_open": 0, **options}
        super().__init__(channel, bitrate=bitrate, **options)

    @property
    def has_more(self) -> bool:
        """Whether more has arrived though `recv(0)` gave nothing: an answer came between frames."""
        with can.exceptions.error_check("Could not read from serial device"):
            return bool(self.serialPortOrig.in_waiting)

    def shutdown(self) -> None:
        """Close the channel, if the adapter is still there, and the port."""
        if not self._is_shutdown:
            try:
                super().shutdown()
            except can.CanError:
                self.serialPortOrig.close()
