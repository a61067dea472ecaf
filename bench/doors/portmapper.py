"""A port mapper for one VXI-11 door: tells clients that take no port where the core program is.

Version 2, GETPORT only. Port 111 needs a privilege and may be taken by the system's own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench.doors import rpc, vxi11
from bench.doors.tcp_door import TcpClient, TcpDoor

_PROGRAM, _VERSION = 100_000, 2
_NULL, _GET_PORT = 0, 3
_TCP = 6


class Portmapper(TcpDoor):
    """Answers GETPORT over TCP and UDP; its cable is the door's.

    Parameters
    ----------
    door
        Whose port it tells. Open it first.
    host, port
        Where to listen. Clients ask at 111.
    """

    def __init__(self, door: vxi11.Vxi11Door, *, host: str = "127.0.0.1", port: int = 111) -> None:
        super().__init__(door.attendant.twin, clock=door.attendant.clock, host=host, port=port)
        self.attendant = door.attendant
        self._door = door
        self._datagrams: asyncio.DatagramTransport | None = None

    def client(self) -> TcpClient:
        return _StreamClient(self)

    def resource_name(self) -> str:
        return f"TCPIP::{self.host}::{vxi11.DEVICE}::INSTR"

    async def open(self) -> None:
        await super().open()
        if self._datagrams is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self.host, self.port)
            )
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    def answer(self, record: bytes) -> bytes | None:
        """The reply to one call; None if it is none."""
        call = rpc.read_call(record, {_PROGRAM: _VERSION})
        if not isinstance(call, rpc.Call):
            return call
        if call.procedure == _NULL:
            return rpc.accepted(call.transaction, b"")
        if call.procedure != _GET_PORT:
            return rpc.unavailable(call.transaction, rpc.PROCEDURE_UNAVAILABLE)
        try:
            wanted = tuple(call.arguments.u32() for _ in ("program", "version", "protocol"))
        except rpc.GarbageArguments:
            return rpc.unavailable(call.transaction, rpc.GARBAGE_ARGUMENTS)
        # 0: not here. Only the core program is to be found; the abort port comes with the link.
        port = self._door.port if wanted == (vxi11.CORE_PROGRAM, vxi11.VERSION, _TCP) else 0
        return rpc.accepted(call.transaction, rpc.words(port))


class _StreamClient(rpc.RpcClient):
    def __init__(self, mapper: Portmapper) -> None:
        super().__init__(mapper)
        self._mapper = mapper

    def record(self, record: bytes) -> None:
        if (answer := self._mapper.answer(record)) is not None:
            self.reply(answer)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, mapper: Portmapper) -> None:
        self._mapper = mapper

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._mapper.attendant.plugged and (answer := self._mapper.answer(data)) is not None:
            self._transport.sendto(answer, addr)
