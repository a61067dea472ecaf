"""The VXI-11 door and the port mapper, byte by byte: hand-made calls over bare sockets.

Numbers as in pyvisa-py 0.8.1, pyvisa_py/protocols/vxi11.py and rpc.py. Not seen there, hence unverified:
error 11 for a link that asks for the lock it has, error 9 for a message that never ends.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyvisa_py.protocols import rpc as pyvisa_rpc

from bench.doors import rpc
from bench.doors.portmapper import Portmapper
from bench.doors.socket_door import SocketDoor
from bench.doors.vxi11 import Vxi11Door
from tests.door_loop import PATIENCE_S, Box, DoorLoop, closed_by_the_other_side, receive

CORE, ABORT, MAPPER = 0x0607AF, 0x0607B0, 100_000
END, TERMCHAR, WAIT = 8, 128, 1
LF = 10
MINUTE_MS = 60_000


def words(*values: int) -> bytes:
    return b"".join(struct.pack(">I", value) for value in values)


def opaque(data: bytes) -> bytes:
    return words(len(data)) + data + bytes(-len(data) % 4)


def call_of(
    procedure: int, arguments: bytes = b"", *, program=CORE, version=1, rpc_version=2, xid=77
) -> bytes:
    return words(xid, 0, rpc_version, program, version, procedure, 0, 0, 0, 0) + arguments


class Client:
    """One connection, one call at a time."""

    def __init__(self, loop: DoorLoop, port: int) -> None:
        self.connection = loop.connect(port)

    def send(self, record: bytes) -> None:
        self.connection.sendall(words(0x8000_0000 | len(record)) + record)

    def hear(self) -> bytes:
        """The next record."""
        (mark,) = struct.unpack(">I", receive(self.connection, 4))
        assert mark & 0x8000_0000
        return receive(self.connection, mark & 0x7FFF_FFFF)

    def result(self) -> bytes:
        """What the next accepted reply carries."""
        record = self.hear()
        assert record[:24] == words(77, 1, 0, 0, 0, 0)
        return record[24:]

    def call(self, procedure: int, arguments: bytes, program: int = CORE) -> bytes:
        self.send(call_of(procedure, arguments, program=program))
        return self.result()

    def link(self, device: bytes = b"inst0", wants_lock: int = 0) -> int:
        result = self.call(10, words(1, wants_lock, 0) + opaque(device))
        assert result[:4] == words(0)
        return int.from_bytes(result[4:8], "big")

    def write(self, link: int, data: bytes, flags: int = END) -> bytes:
        return self.call(11, words(link, 1000, 0, flags) + opaque(data))

    def read(
        self, link: int, size=1000, timeout_ms=MINUTE_MS, flags=0, termination=0
    ) -> tuple[int, int, bytes]:
        result = self.call(12, words(link, size, timeout_ms, 0, flags, termination))
        error, reason, length = struct.unpack(">III", result[:12])
        return error, reason, result[12 : 12 + length]


@pytest.fixture
def loop() -> Iterator[DoorLoop]:
    with DoorLoop() as loop:
        yield loop


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def door(loop: DoorLoop, box: Box) -> Vxi11Door:
    opened: Vxi11Door = loop.open(Vxi11Door(box, clock=loop.clock))
    return opened


@pytest.fixture
def client(loop: DoorLoop, door: Vxi11Door) -> Client:
    return Client(loop, door.port)


# Remote procedure calls.


def test_the_null_procedure_answers_nothing(client: Client):
    assert client.call(0, b"") == b""


@pytest.mark.parametrize(
    ("record", "reply"),
    [
        (call_of(10, program=4711), words(77, 1, 0, 0, 0, 1)),
        (call_of(10, version=2), words(77, 1, 0, 0, 0, 2, 1, 1)),
        (call_of(99), words(77, 1, 0, 0, 0, 3)),
        (call_of(11, words(1, 2)), words(77, 1, 0, 0, 0, 4)),
        (call_of(10, rpc_version=3), words(77, 1, 1, 0, 2, 2)),
    ],
    ids=["program", "version", "procedure", "arguments", "rpc version"],
)
def test_a_call_that_cannot_be_carried_out_says_why(client: Client, record: bytes, reply: bytes):
    client.send(record)

    assert client.hear() == reply
    assert client.call(0, b"") == b""


def test_a_record_may_come_in_fragments(client: Client):
    record = call_of(10, words(1, 0, 0) + opaque(b"inst0"))

    for start in range(0, len(record), 7):
        piece = record[start : start + 7]
        last = 0x8000_0000 if start + 7 >= len(record) else 0
        client.connection.sendall(words(last | len(piece)) + piece)

    assert client.result()[:4] == words(0)


def test_a_record_that_is_no_call_is_passed_over(client: Client):
    client.send(words(77, 1, 0, 0, 0, 0))
    client.send(b"abc")

    assert client.call(0, b"") == b""


def test_a_record_without_end_is_dropped_with_its_client(client: Client):
    client.connection.sendall(words(0xFFFF_FFFF))

    assert closed_by_the_other_side(client.connection)


@given(st.binary(max_size=80))
def test_no_record_breaks_the_reader(data: bytes):
    found = rpc.read_call(data, {CORE: 1})

    assert found is None or isinstance(found, bytes | rpc.Call)


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_what_is_packed_is_read(data: bytes, number: int):
    reader = rpc.Reader(rpc.opaque(data) + rpc.words(number))

    assert (reader.opaque(), reader.u32()) == (data, number)
    with pytest.raises(rpc.GarbageArguments):
        reader.u32()


# Links, messages and responses.


def test_a_link_tells_the_port_to_abort_and_the_largest_write(client: Client, door: Vxi11Door):
    result = client.call(10, words(1, 0, 0) + opaque(b"inst0"))

    assert result == words(0, 1, door.port, 16_384)


def test_an_unknown_device_is_not_accessible(client: Client):
    assert client.call(10, words(1, 0, 0) + opaque(b"inst7")) == words(3, 0, 0, 0)


def test_calls_on_a_link_that_is_gone_are_refused(client: Client):
    link = client.link()

    assert client.call(23, words(link)) == words(0)
    assert client.call(23, words(link)) == words(4)
    assert client.write(link, b"*IDN?") == words(4, 0)
    assert client.read(link) == (4, 0, b"")
    assert client.call(13, words(link, 0, 0, 0)) == words(4, 0)
    assert client.call(18, words(link, 0, 0)) == words(4)
    assert client.call(19, words(link)) == words(4)
    assert client.call(20, words(link, 1) + opaque(b"handle")) == words(4)


def test_end_or_a_line_feed_ends_a_message(client: Client, box: Box):
    link = client.link()

    assert client.write(link, b"VOLT ", flags=0) == words(0, 5)
    assert client.write(link, b"5\r\nVOLT 6\n*CL", flags=0) == words(0, 13)
    assert client.write(link, b"S") == words(0, 1)
    assert client.write(link, b"VOLT 7", flags=0) == words(0, 6)
    assert client.write(link, b"") == words(0, 0)

    assert box.heard == [b"VOLT 5", b"VOLT 6", b"*CLS", b"VOLT 7"]


def test_a_second_line_interrupts_the_response_to_the_first(client: Client):
    link = client.link()

    client.write(link, b"*IDN?\nSYST:ERR?")

    assert client.read(link) == (0, 4, b'-410,"Query INTERRUPTED"\n')


def test_the_beginning_of_a_message_ends_what_was_not_read(client: Client):
    link = client.link()
    client.write(link, b"VOLT?")

    client.write(link, b"*CL", flags=0)

    assert client.read(link, timeout_ms=1) == (15, 0, b"")


def test_a_write_larger_than_agreed_is_a_parameter_error(client: Client, box: Box):
    link = client.link()

    assert client.write(link, b"A" * 16_385) == words(5, 0)
    assert box.heard == []


def test_a_message_that_never_ends_is_forgotten(client: Client, box: Box):
    link = client.link()

    errors = [client.write(link, b"A" * 16_384, flags=0)[:4] for _ in range(65)]

    assert errors == [*64 * [words(0)], words(9)]
    client.write(link, b"*CLS")
    assert box.heard == [b"*CLS"]


def test_a_read_says_why_it_ended(client: Client):
    link = client.link()
    client.write(link, b"*IDN?")

    assert client.read(link, size=5) == (0, 1, b"Maker")
    assert client.read(link, flags=TERMCHAR, termination=ord(",")) == (0, 2, b",")
    assert client.read(link, size=4, flags=TERMCHAR, termination=ord(",")) == (0, 1 | 2, b"Box,")
    assert client.read(link, size=8, flags=TERMCHAR, termination=LF) == (0, 2 | 4, b"1,2.0\n")


def test_a_read_of_exactly_what_is_there_has_count_and_end(client: Client):
    link = client.link()
    client.write(link, b"VOLT?")

    assert client.read(link, size=6) == (0, 1 | 4, b"1.000\n")


def test_a_read_waits_for_an_answer_that_takes_its_time(client: Client, box: Box):
    box.delay_s = 0.03
    link = client.link()
    client.write(link, b"VOLT?")

    assert client.read(link) == (0, 4, b"1.000\n")


def test_a_read_that_waits_too_long_leaves_the_answer_for_the_next(client: Client, box: Box):
    box.delay_s = 0.1
    link = client.link()
    client.write(link, b"VOLT?")

    assert client.read(link, timeout_ms=1) == (15, 0, b"")
    assert client.read(link) == (0, 4, b"1.000\n")
    box.delay_s = 0.0
    client.write(link, b"SYST:ERR?")
    assert client.read(link)[2] == b'0,"No error"\n'


def test_calls_are_carried_out_one_after_the_other(client: Client, box: Box):
    box.delay_s = 0.02
    link = client.link()
    client.send(call_of(11, words(link, 0, 0, END) + opaque(b"VOLT?")))
    client.send(call_of(12, words(link, 100, MINUTE_MS, 0, 0, 0)))
    client.send(call_of(13, words(link, 0, 0, 0)))

    assert client.result() == words(0, 5)
    assert client.result() == words(0, 4) + opaque(b"1.000\n")
    assert client.result() == words(0, 0)


def test_an_abort_on_another_connection_ends_a_read(
    loop: DoorLoop, door: Vxi11Door, client: Client, box: Box
):
    box.delay_s = 3600.0
    link = client.link()
    client.write(link, b"VOLT?")
    client.send(call_of(12, words(link, 100, MINUTE_MS, 0, 0, 0)))
    abort = Client(loop, door.port)  # on a connection of its own
    loop.until(lambda: door.links[link].reader is not None)

    assert abort.call(1, words(link), program=ABORT) == words(0)
    assert abort.call(1, words(4711), program=ABORT) == words(4)

    assert client.result() == words(23, 0) + opaque(b"")


def test_a_client_that_leaves_while_it_waits_takes_its_link_along(
    loop: DoorLoop, door: Vxi11Door, client: Client
):
    link = client.link()
    client.send(call_of(12, words(link, 100, MINUTE_MS, 0, 0, 0)))
    loop.until(lambda: door.links[link].reader is not None)

    client.connection.close()

    loop.until(lambda: not door.links)
    assert Client(loop, door.port).link() != link


# Beside messages.


@pytest.mark.parametrize("procedure", [14, 15, 16, 17])
def test_trigger_clear_remote_and_local_succeed(client: Client, box: Box, procedure: int):
    link = client.link()

    assert client.call(procedure, words(link, 0, 0, 0)) == words(0)
    assert box.triggers == (procedure == 14)


def test_the_status_byte_shows_a_response_until_it_is_read(client: Client):
    link = client.link()
    client.write(link, b"VOLT?")

    assert client.call(13, words(link, 0, 0, 0)) == words(0, 16)
    client.read(link)
    assert client.call(13, words(link, 0, 0, 0)) == words(0, 0)


def test_what_is_left_out_says_so(client: Client):
    link = client.link()

    assert client.call(20, words(link, 1) + opaque(b"handle")) == words(0)  # accepted; nothing is ever sent
    assert client.call(22, words(link, 0, 0, 0, 1, 1, 1) + opaque(b"x")) == words(8) + opaque(b"")
    assert client.call(25, words(0x7F000001, 4000, 0x0607B1, 1, 0)) == words(8)
    assert client.call(26, b"") == words(6)


# Locks.


def test_a_lock_keeps_everything_of_other_links_out(client: Client):
    owner, other = client.link(), client.link()
    client.write(other, b"VOLT?")

    assert client.call(18, words(owner, 0, 0)) == words(0)

    assert client.call(18, words(owner, 0, 0)) == words(11)
    assert client.call(18, words(other, 0, 0)) == words(11)
    assert client.write(other, b"VOLT 9") == words(11, 0)
    assert client.read(other) == (11, 0, b"")
    assert client.call(13, words(other, 0, 0, 0)) == words(11, 0)
    assert client.call(15, words(other, 0, 0, 0)) == words(11)
    assert client.call(10, words(1, 1, 0) + opaque(b"inst0")) == words(11, 0, 0, 0)
    assert client.call(19, words(other)) == words(12)
    assert client.call(19, words(owner)) == words(0)
    assert client.read(other) == (0, 4, b"1.000\n")


def test_a_link_may_be_born_with_the_lock(client: Client):
    owner, other = client.link(wants_lock=1), client.link()

    assert client.call(18, words(other, 0, 0)) == words(11)
    assert client.call(23, words(owner)) == words(0)
    assert client.call(18, words(other, 0, 0)) == words(0)


def test_who_wants_to_wait_for_a_lock_may(loop: DoorLoop, door: Vxi11Door, client: Client):
    other = Client(loop, door.port)
    owner, waiting = client.link(wants_lock=1), other.link()

    assert other.call(18, words(waiting, WAIT, 20)) == words(11)  # not long enough
    other.send(call_of(11, words(waiting, 0, MINUTE_MS, WAIT | END) + opaque(b"VOLT 9")))
    assert client.call(19, words(owner)) == words(0)

    assert other.result() == words(0, 6)


# The port mapper.


@pytest.fixture
def mapper(loop: DoorLoop, door: Vxi11Door) -> Portmapper:
    opened: Portmapper = loop.open(Portmapper(door, port=0))
    return opened


def get_port(program=CORE, version=1, protocol=6) -> bytes:
    return call_of(3, words(program, version, protocol, 0), program=MAPPER, version=2)


def test_the_port_of_the_core_program_is_told_over_tcp_and_udp(
    loop: DoorLoop, door: Vxi11Door, mapper: Portmapper
):
    client = Client(loop, mapper.port)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.settimeout(PATIENCE_S)

    client.send(get_port())
    with datagrams:
        datagrams.sendto(get_port(), ("127.0.0.1", mapper.port))
        by_datagram = datagrams.recv(1000)

    assert client.hear() == by_datagram == words(77, 1, 0, 0, 0, 0, door.port)


@pytest.mark.parametrize(
    ("record", "reply"),
    [
        (get_port(program=4711), (0, 0)),
        (get_port(program=ABORT), (0, 0)),
        (get_port(protocol=17), (0, 0)),
        (call_of(0, program=MAPPER, version=2), (0,)),
        (call_of(3, words(1), program=MAPPER, version=2), (4,)),
        (call_of(1, program=MAPPER, version=2), (3,)),
        (call_of(3, program=MAPPER, version=4), (2, 2, 2)),
    ],
)
def test_the_mapper_knows_nothing_else(
    loop: DoorLoop, mapper: Portmapper, record: bytes, reply: tuple[int, ...]
):
    client = Client(loop, mapper.port)

    client.send(record)

    assert client.hear() == words(77, 1, 0, 0, 0, *reply)


def test_a_client_that_takes_no_port_finds_the_door(
    loop: DoorLoop, mapper: Portmapper, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pyvisa_rpc, "PMAP_PORT", mapper.port)

    wire = loop.client(mapper.address)

    assert mapper.address == "TCPIP::127.0.0.1::inst0::INSTR"
    assert wire.query("*IDN?") == "Maker,Box,1,2.0"


def test_a_mapper_that_may_not_listen_says_so_and_leaves_nothing_open(loop: DoorLoop, door: Vxi11Door):
    taken = loop.open(SocketDoor(Box(), clock=loop.clock)).port
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    half_taken = datagrams.getsockname()[1]

    with datagrams:
        for port in (taken, half_taken):
            with pytest.raises(OSError, match=r"(?i)address already in use"):
                loop.open(Portmapper(door, port=port))

    with pytest.raises(ConnectionRefusedError):
        loop.connect(half_taken)
