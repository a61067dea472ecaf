"""Doors that carry SCPI, as clients with real libraries find them: pyvisa over loopback, and bare sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import pyvisa
from pyvisa.constants import ResourceAttribute, StatusCode

from bench.clock import Clock
from bench.doors import tcp_door
from bench.doors.door import Attendant
from bench.doors.hislip import HislipDoor
from bench.doors.socket_door import SocketDoor
from bench.doors.tcp_door import LONGEST_MESSAGE, TcpClient
from bench.doors.vxi11 import Vxi11Door
from bench.errors import WireError
from bench.wires.twin import Ieee488
from instruments.load_63200a_twin import Load63200AOptions, Load63200ATwin
from instruments.meter_dmm6500_twin import Dmm6500Options, Dmm6500Twin
from instruments.supply_rp7900_twin import Rp7900Options, Rp7900Twin
from tests.door_loop import Box, DoorLoop, closed_by_the_other_side, receive
from tests.fake_terminals import FakeLoad, FakeMeter, FakeSource

WITH_STATUS = pytest.mark.parametrize("kind", [HislipDoor, Vxi11Door])
EVERY_KIND = pytest.mark.parametrize("kind", [SocketDoor, HislipDoor, Vxi11Door])
NO_ERROR = '0,"No error"'


@pytest.fixture
def loop() -> Iterator[DoorLoop]:
    with DoorLoop() as loop:
        yield loop


def served(loop: DoorLoop, kind: Any, twin: Any) -> Any:
    return loop.open(kind(twin, clock=loop.clock))


def answered(loop: DoorLoop, door: Any) -> str:
    """What a new client hears."""
    return str(loop.client(door.address).query("*IDN?"))


@EVERY_KIND
def test_opening_asks_who_is_there_and_gets_an_answer(loop: DoorLoop, kind: Any):
    twin = Box()
    door = served(loop, kind, twin)

    wire = loop.client(door.address, probe="*IDN?")

    assert twin.heard == [b"*IDN?"]
    assert wire.query("*IDN?") == "Maker,Box,1,2.0"


@EVERY_KIND
def test_what_is_written_is_read_back(loop: DoorLoop, kind: Any):
    wire = loop.client(served(loop, kind, Box()).address)

    wire.write("VOLT 12.5")
    wire.write("VOLT?")

    assert wire.read() == "12.500"


@EVERY_KIND
def test_long_messages_come_whole_both_ways(loop: DoorLoop, kind: Any):
    twin = Box()
    wire = loop.client(served(loop, kind, twin).address)
    text = "0123456789" * 10_000

    wire.write(f'DISP:TEXT "{text}"')

    assert wire.query("DISP:TEXT?") == f'"{text}"'
    assert len(twin.heard) == 2


def test_hislip_keeps_to_the_clients_largest_message(loop: DoorLoop):
    wire = loop.client(served(loop, HislipDoor, Box()).address)
    wire.set_visa_attribute(ResourceAttribute.tcpip_hislip_max_message_kb, 1)
    text = "abc" * 30_000

    wire.write(f'DISP:TEXT "{text}"')

    assert wire.query("DISP:TEXT?") == f'"{text}"'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@EVERY_KIND
def test_a_carriage_return_before_the_line_feed_belongs_to_the_end(loop: DoorLoop, kind: Any, end: str):
    twin = Box()
    wire = loop.client(served(loop, kind, twin).address)

    wire.write_raw(f"VOLT 3{end}".encode())
    wire.query("*IDN?")

    assert twin.heard == [b"VOLT 3", b"*IDN?"]


# Beside messages.


@WITH_STATUS
def test_the_status_byte_tells_of_errors_and_of_a_message_to_read(loop: DoorLoop, kind: Any):
    wire = loop.client(served(loop, kind, Box()).address)
    wire.write("NONSENSE")
    wire.write("VOLT?")
    wire.read()
    wire.write("VOLT?")

    # HiSLIP asks on another connection, which may be faster than the query.
    polls = [wire.read_stb()]
    while polls[-1] != 4 + 16 and len(polls) < 1000:
        polls.append(wire.read_stb())
    wire.read()

    assert polls[-1] == 4 + 16  # error queue, message available
    assert wire.read_stb() == 4


@WITH_STATUS
def test_a_twin_with_nothing_beside_messages_has_a_message_to_read_and_no_more(loop: DoorLoop, kind: Any):
    class Plain:
        def __init__(self) -> None:
            self.handle = Box().handle

    wire = loop.client(served(loop, kind, Plain()).address)
    wire.query("*IDN?")

    wire.clear()

    assert wire.read_stb() == 0
    assert wire.query("VOLT?") == "1.000"


@WITH_STATUS
def test_clear_forgets_an_answer_that_is_not_yet_out(loop: DoorLoop, kind: Any):
    twin = Box(delay_s=3600.0)
    wire = loop.client(served(loop, kind, twin).address)
    wire.write("VOLT?")

    wire.clear()

    twin.delay_s = 0.0
    assert wire.query("SYST:ERR?") == NO_ERROR


@WITH_STATUS
def test_trigger_reaches_the_twin(loop: DoorLoop, kind: Any):
    twin = Box()
    wire = loop.client(served(loop, kind, twin).address)

    if kind is HislipDoor:  # pyvisa-py has it, but not under pyvisa's name
        wire.visalib.sessions[wire.session].interface.trigger()
    else:
        wire.assert_trigger()

    assert wire.query("SYST:ERR?") == NO_ERROR
    assert twin.triggers == 1


@WITH_STATUS
def test_a_message_before_the_answer_was_read_interrupts_it(loop: DoorLoop, kind: Any):
    wire = loop.client(served(loop, kind, Box()).address)

    wire.write("VOLT?")
    wire.write("*IDN?")

    assert wire.read() == "Maker,Box,1,2.0"
    assert wire.query("SYST:ERR?") == '-410,"Query INTERRUPTED"'


def test_reading_though_nothing_was_asked_is_an_error_of_the_query(loop: DoorLoop):
    wire = loop.client(served(loop, Vxi11Door, Box()).address)
    wire.timeout = 20

    with pytest.raises(pyvisa.errors.VisaIOError) as caught:
        wire.read()

    wire.timeout = 20_000
    assert caught.value.error_code == StatusCode.error_timeout
    assert wire.query("SYST:ERR?") == '-420,"Query UNTERMINATED"'


@pytest.mark.parametrize(
    "twin",
    [
        lambda clock: Rp7900Twin(FakeSource(), clock=clock, options=Rp7900Options()),
        lambda clock: Load63200ATwin(FakeLoad(), clock=clock, options=Load63200AOptions()),
        lambda clock: Dmm6500Twin(FakeMeter(), clock=clock, options=Dmm6500Options()),
    ],
    ids=["RP7900", "63200A", "DMM6500"],
)
def test_twins_of_instruments_have_a_status_byte(loop: DoorLoop, twin: Any):
    served_twin = twin(loop.clock)
    wire = loop.client(served(loop, Vxi11Door, served_twin).address)

    wire.query("*IDN?")
    wire.write("NONSENSE")

    assert isinstance(served_twin.ieee488, Ieee488)
    assert wire.read_stb() == 4


# Several clients.


@EVERY_KIND
def test_two_clients_at_once_each_get_their_own_answers(loop: DoorLoop, kind: Any):
    door = served(loop, kind, Box())
    first, second = loop.client(door.address), loop.client(door.address)

    first.write("*IDN?")
    second.write("VOLT 7;VOLT?")

    assert second.read() == "7.000"
    assert first.read() == "Maker,Box,1,2.0"
    assert first.query("VOLT?") == "7.000"


def test_a_vxi11_lock_denies_the_other_client(loop: DoorLoop):
    door = served(loop, Vxi11Door, Box())
    first, second = loop.client(door.address), loop.client(door.address)
    first.lock_excl()

    with pytest.raises(pyvisa.errors.VisaIOError) as denied:
        second.lock_excl()
    with pytest.raises(pyvisa.errors.VisaIOError):
        second.write("VOLT 9")

    assert denied.value.error_code == StatusCode.error_resource_locked
    assert first.query("VOLT?") == "1.000"
    first.unlock()
    assert second.query("VOLT?") == "1.000"


def test_a_hislip_lock_denies_the_other_client_until_it_is_released(loop: DoorLoop):
    door = served(loop, HislipDoor, Box())
    first, second = (loop.client(door.address) for _ in range(2))
    first_link, second_link = (wire.visalib.sessions[wire.session].interface for wire in (first, second))
    first.write("VOLT 2")

    assert first_link.async_lock_request(0.0) == "success"
    assert second_link.async_lock_request(0.0) == "failure"
    assert second_link.async_lock_info() == 1
    second.write("VOLT 9;VOLT?")  # waits at the door
    assert first.query("VOLT?") == "2.000"
    assert first_link.async_lock_release() == "success"

    assert second.read() == "9.000"


@pytest.mark.parametrize("kind", [HislipDoor, Vxi11Door])
def test_the_lock_of_a_client_that_is_gone_is_free(loop: DoorLoop, kind: Any):
    door = served(loop, kind, Box())
    gone = loop.client(door.address)
    link = gone.visalib.sessions[gone.session].interface
    if kind is HislipDoor:
        link.async_lock_request(0.0)
    else:
        gone.lock_excl()
    (link._sync if kind is HislipDoor else link.sock).shutdown(socket.SHUT_RDWR)

    assert answered(loop, door) == "Maker,Box,1,2.0"


# What goes wrong on a line.


@pytest.mark.parametrize(
    ("kind", "half"),
    [
        (SocketDoor, b"VOLT 5"),
        (HislipDoor, b"HS\x00\x00\x01\x00xx\x00\x00"),
        (Vxi11Door, b"\x80\x00\x00\x40\x00\x00\x00\x01"),
    ],
)
def test_half_a_message_and_a_disconnect_leave_the_others_alone(loop: DoorLoop, kind: Any, half: bytes):
    twin = Box()
    door = served(loop, kind, twin)
    other = loop.client(door.address)
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(half)

    assert other.query("VOLT?") == "1.000"
    assert twin.heard == [b"VOLT?"]


@EVERY_KIND
@pytest.mark.parametrize("garbage", [bytes(range(256)) * 8, b"\xff" * 5000, b"\n" * 500, b"HS" * 4000])
def test_garbage_does_not_kill_the_door(loop: DoorLoop, kind: Any, garbage: bytes):
    door = served(loop, kind, Box())
    other = loop.client(door.address)
    connection = loop.connect(door.port)

    connection.sendall(garbage)
    connection.shutdown(socket.SHUT_WR)
    assert closed_by_the_other_side(connection)

    assert other.query("*IDN?") == "Maker,Box,1,2.0"
    assert answered(loop, door) == "Maker,Box,1,2.0"


def test_a_message_without_an_end_is_dropped_with_its_client(loop: DoorLoop):
    twin = Box()
    door = served(loop, SocketDoor, twin)
    connection = loop.connect(door.port)

    try:
        for _ in range(2 * LONGEST_MESSAGE // 65_536):
            connection.sendall(b"A" * 65_536)
    except ConnectionError:
        pass

    assert closed_by_the_other_side(connection)
    assert answered(loop, door) == "Maker,Box,1,2.0"
    assert twin.heard == [b"*IDN?"]


def test_a_client_that_closes_its_half_still_gets_its_answer(loop: DoorLoop):
    door = served(loop, SocketDoor, Box(delay_s=0.02))
    connection = loop.connect(door.port)

    connection.sendall(b"*IDN?\n")
    connection.shutdown(socket.SHUT_WR)

    assert receive(connection, 100) == b"Maker,Box,1,2.0\n"  # and then the end


def test_a_client_that_does_not_read_is_not_heard_until_it_does(loop: DoorLoop):
    twin = Box()
    door = served(loop, SocketDoor, twin)
    other = loop.client(door.address)
    connection, text, queries = loop.connect(door.port), b"x" * 2000, 10_000

    connection.sendall(b'DISP:TEXT "' + text + b'"\n' + b"DISP:TEXT?\n" * queries)
    heard = -1
    while heard != (heard := twin.heard.count(b"DISP:TEXT?")):  # until it stays as it is
        for _ in range(20):
            assert other.query("*IDN?") == "Maker,Box,1,2.0"

    assert heard < queries
    answer = b'"' + text + b'"\n'
    assert receive(connection, queries * len(answer)) == answer * queries


@EVERY_KIND
def test_silence_takes_the_timeout(loop: DoorLoop, kind: Any):
    wire = loop.client(served(loop, kind, Box()).address, timeout_s=0.05)
    wire.write("VOLT 5")

    with pytest.raises(pyvisa.errors.VisaIOError) as caught:
        wire.read()

    assert caught.value.error_code == StatusCode.error_timeout


@EVERY_KIND
def test_a_pulled_cable_is_silence_and_what_was_sent_into_it_is_lost(loop: DoorLoop, kind: Any):
    twin = Box()
    door = served(loop, kind, twin)
    wire = loop.client(door.address)
    wire.query("*IDN?")

    loop.do(door.pull)
    wire.timeout = 50
    with pytest.raises(pyvisa.errors.VisaIOError):
        wire.query("VOLT?")
    loop.do(door.plug)

    wire.timeout = 20_000
    assert wire.query("SYST:ERR?") == NO_ERROR
    assert twin.heard == [b"*IDN?", b"SYST:ERR?"]


def test_half_a_message_sent_into_a_pulled_cable_does_not_appear_later(loop: DoorLoop):
    twin = Box()
    door = served(loop, SocketDoor, twin)
    connection = loop.connect(door.port)
    loop.until(lambda: bool(door.clients))

    connection.sendall(b"VOLT 5;")
    loop.do(door.pull)
    connection.sendall(b"VOLT 6;")
    loop.do(door.plug)
    connection.sendall(b"*IDN?\n")

    assert receive(connection, 16) == b"Maker,Box,1,2.0\n"
    assert twin.heard == [b"*IDN?"]


def test_nobody_new_is_answered_while_the_cable_is_out(loop: DoorLoop):
    twin = Box()
    door = served(loop, SocketDoor, twin)
    loop.do(door.pull)

    with pytest.raises(WireError, match=r"did not answer '\*IDN\?' within 0.05 s"):
        loop.client(door.address, timeout_s=0.05, probe="*IDN?")

    assert twin.heard == []


@EVERY_KIND
def test_an_answer_that_falls_due_while_the_cable_is_out_is_lost(loop: DoorLoop, kind: Any):
    twin = Box(delay_s=0.05)
    door = served(loop, kind, twin)
    wire = loop.client(door.address)
    wire.write("VOLT?")
    loop.until(lambda: bool(twin.heard))

    loop.do(door.pull)
    wire.timeout = 100
    with pytest.raises(pyvisa.errors.VisaIOError):
        wire.read()
    loop.do(door.plug)

    twin.delay_s, wire.timeout = 0.0, 20_000
    assert wire.query("*IDN?") == "Maker,Box,1,2.0"


@EVERY_KIND
def test_the_next_twin_answers_new_clients_and_the_old_ones_are_dropped(loop: DoorLoop, kind: Any):
    door = served(loop, kind, Box("Maker,First,1,1"))
    old = loop.client(door.address)
    old.query("*IDN?")
    old.timeout = 50

    loop.do(lambda: door.serve(Box("Maker,Second,1,1")))

    assert answered(loop, door) == "Maker,Second,1,1"
    with pytest.raises((pyvisa.errors.VisaIOError, OSError)):
        old.query("*IDN?")


@EVERY_KIND
def test_a_closed_door_refuses_and_opens_again_at_the_same_address(loop: DoorLoop, kind: Any):
    door = served(loop, kind, Box())
    address = door.address

    loop.do(door.close)
    loop.do(door.close)
    with pytest.raises(ConnectionRefusedError):
        loop.connect(door.port)
    with pytest.raises(WireError, match=r"box \(TCPIP::127.0.0.1"):
        loop.client(address, timeout_s=0.2, probe="*IDN?")
    loop.wait(door.open())

    assert door.address == address
    assert answered(loop, door) == "Maker,Box,1,2.0"


def test_a_port_that_is_taken_says_so(loop: DoorLoop):
    door = served(loop, SocketDoor, Box())

    with pytest.raises(OSError, match="address already in use"):
        loop.open(SocketDoor(Box(), clock=loop.clock, port=door.port))


def test_a_device_that_does_not_exist_is_a_wire_error(loop: DoorLoop):
    port = served(loop, Vxi11Door, Box()).port

    with pytest.raises(WireError, match="could not be opened"):
        loop.client(f"TCPIP::127.0.0.1,{port}::inst7::INSTR")


# Time.


@EVERY_KIND
def test_an_answer_comes_after_its_time(loop: DoorLoop, kind: Any):
    wire = loop.client(served(loop, kind, Box(delay_s=0.05)).address)
    asked_s = loop.clock.now_s

    wire.query("VOLT?")

    assert loop.clock.now_s - asked_s >= 0.05


def test_a_late_answer_is_not_overtaken(loop: DoorLoop):
    class Hurried(Box):
        """Slow for the first answer only."""

        def handle(self, message: bytes) -> Any:
            reply = super().handle(message)
            self.delay_s = 0.0
            return reply

    connection = loop.connect(served(loop, SocketDoor, Hurried(delay_s=0.05)).port)

    connection.sendall(b"*IDN?\nVOLT?\nVOLT? MAX\n")

    assert receive(connection, 29) == b"Maker,Box,1,2.0\n1.000\n60.000\n"


def test_an_instrument_answers_one_question_after_the_other(loop: DoorLoop):
    connection = loop.connect(served(loop, SocketDoor, Box(delay_s=0.03)).port)
    asked_s = loop.clock.now_s

    connection.sendall(b"VOLT?\nVOLT?\n")

    assert receive(connection, 12) == b"1.000\n1.000\n"
    assert loop.clock.now_s - asked_s >= 0.06


def test_in_a_fast_bench_a_slow_answer_comes_soon(loop: DoorLoop):
    clock = Clock(virtual=False, speed=1000.0)
    door = loop.open(SocketDoor(Box(delay_s=60.0), clock=clock))
    asked_s = clock.now_s

    assert loop.client(door.address).query("*IDN?") == "Maker,Box,1,2.0"  # within 20 s of the wall clock
    assert clock.now_s - asked_s >= 60.0


def test_jobs_that_are_due_run_before_the_twin_hears_a_message(loop: DoorLoop):
    attendant = Attendant(twin := Box(), clock := Clock(virtual=False))
    order: list[str] = []
    clock.after(0.0, lambda: order.append("job"), name="plant")
    twin.handle = lambda message: order.append(message.decode())  # type: ignore[method-assign]

    attendant.ask(b"VOLT?")

    assert order == ["job", "VOLT?"]


# Nagle's algorithm: counted, not timed.


def test_the_client_that_the_bench_opens_does_not_wait_for_acknowledgements(loop: DoorLoop):
    wire = loop.client(served(loop, SocketDoor, Box()).address, probe="*IDN?")

    interface = wire.visalib.sessions[wire.session].interface

    assert interface.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux can be told not to delay")
@EVERY_KIND
def test_every_receive_is_acknowledged_at_once(loop: DoorLoop, kind: Any, monkeypatch: pytest.MonkeyPatch):
    # given a door that writes down what happens on its connections
    events: list[str] = []
    states: list[int] = []

    def acknowledge(connection: socket.socket) -> None:
        original(connection)
        events.append("acknowledge")
        states.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))

    def received(self: TcpClient, data: bytes) -> None:
        events.append("receive")
        data_received(self, data)

    original, data_received = tcp_door.acknowledge_at_once, TcpClient.data_received
    monkeypatch.setattr(tcp_door, "acknowledge_at_once", acknowledge)
    monkeypatch.setattr(TcpClient, "data_received", received)
    door = served(loop, kind, Box())
    wire = loop.client(door.address)

    # when a client writes and asks, which is where the delay would be
    for _ in range(50):
        wire.write("VOLT 5")
        wire.query("VOLT?")

    # then the kernel was told after each receive, and says so; and answers do not wait either
    assert events.count("receive") >= 50
    assert all(pair == ("receive", "acknowledge") for pair in [*pairwise(events)][::2])
    assert len(events) == 2 * events.count("receive")
    assert all(states)
    connections = loop.do(lambda: [client.connection for client in door.clients])
    assert connections
    assert all(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for c in connections)
