"""Doors that pass bytes: serial ports and plain TCP, reached by pyserial and bare sockets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from bench.clock import Clock
from bench.doors.stream_door import PtyDoor, StreamDoor
from bench.errors import WireError
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from bench.wires.twin import MessageTwin, Reply
from instruments.faultbox_numato import NumatoRelays
from instruments.faultbox_numato_twin import NumatoOptions, NumatoTwin
from tests.door_thread import GIVE_UP_S, DoorThread, connected, read_exactly
from tests.fake_terminals import FakeFaults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")


class Lines:
    """Answers each line in capitals; keeps a beginning."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self._received = b""

    def handle(self, message: bytes) -> Reply | None:
        *lines, self._received = (self._received + message).split(b"\n")
        told = b"".join(line.upper() + b"\n" for line in lines)
        return Reply(told, self.delay_s) if told else None


class Telnet:
    """Greets each client with a number of its own, and knows each by it."""

    def __init__(self) -> None:
        self.clients = 0

    def session(self) -> Session:
        self.clients += 1
        return Session(self.clients)

    def handle(self, message: bytes) -> Reply | None:
        raise AssertionError("only sessions are asked")


class Session(Lines):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def greet(self) -> bytes:
        return f"login {self.number}: ".encode()


@pytest.fixture
def loop() -> Iterator[DoorThread]:
    loop = DoorThread(Clock(virtual=False))
    yield loop
    loop.close()


def port(address: str, clock: Clock, timeout_s: float = GIVE_UP_S) -> serial.SerialBase:
    return open_serial(
        address, baud=9600, clock=clock, role="r", transcript=Transcript(), timeout_s=timeout_s
    )


@pytest.fixture(params=["tcp", "pty", "linked pty"])
def stream(request, loop, tmp_path):
    """A door with `Lines` behind it, of each kind."""
    if request.param == "tcp":
        return loop.opened(StreamDoor(Lines(), clock=loop.clock))
    folder = tmp_path / "ports" if request.param == "linked pty" else None
    return loop.opened(PtyDoor(Lines(), clock=loop.clock, folder=folder, name="faults"))


def test_pyserial_reaches_a_twin_through_a_door(loop, stream):
    client = port(stream.address, loop.clock)
    client.write(b"relay ")
    client.write(b"on\nver\n")

    assert client.read_until(b"\n") == b"RELAY ON\n"
    assert client.read_until(b"\n") == b"VER\n"
    client.close()


def test_a_line_is_opened_again_after_it_was_closed(loop, stream):
    for word in (b"one\n", b"two\n"):
        client = port(stream.address, loop.clock)
        client.write(word)
        assert client.read_until(b"\n") == word.upper()
        client.close()


def test_a_pulled_cable_is_a_black_hole_and_a_plugged_one_starts_anew(loop, stream):
    client = port(stream.address, loop.clock, timeout_s=0.2)
    loop.call(stream.pull)
    client.write(b"lost\n")
    assert client.read(1) == b""

    loop.call(stream.plug)
    client.timeout = GIVE_UP_S
    client.write(b"found\n")
    assert client.read_until(b"\n") == b"FOUND\n"
    client.close()


def test_another_twin_takes_the_place_behind_a_door(loop, stream):
    client = port(stream.address, loop.clock, timeout_s=0.2)
    client.write(b"half a li")
    assert client.read(1) == b""

    class Other(Lines):
        def handle(self, message: bytes) -> Reply | None:
            return Reply(b"other " + message)

    loop.call(stream.serve, Other())
    client.close()
    client = port(stream.address, loop.clock)
    client.write(b"x")

    assert client.read(7) == b"other x"
    client.close()


def test_a_closed_door_refuses_and_an_opened_one_has_the_same_address(loop, stream):
    address = stream.address
    client = port(address, loop.clock, timeout_s=1.0)
    client.write(b"here\n")
    client.read_until(b"\n")
    loop.call(stream.close)
    loop.call(stream.close)

    def ask() -> None:
        # A connection that was dropped may take one more write.
        for _ in range(10):
            client.write(b"x\n")
            client.read(1)

    with pytest.raises(WireError, match="expected an open line"):
        ask()
    if not address.startswith("socket"):
        with pytest.raises(WireError, match="expected an open line"):
            client.reset_input_buffer()
    client.close()
    with pytest.raises(WireError, match=f"expected an open serial port at {address}"):
        port(address, loop.clock)

    loop.wait(stream.open())
    if not address.startswith("/dev/pts/"):
        assert stream.address == address
    client = port(stream.address, loop.clock)
    client.write(b"back\n")
    assert client.read_until(b"\n") == b"BACK\n"
    client.close()


def test_two_clients_get_their_own_answers(loop):
    door = loop.opened(StreamDoor(Telnet(), clock=loop.clock))
    with connected(door.address) as a, connected(door.address) as b:
        assert (read_exactly(a, 9), read_exactly(b, 9)) == (b"login 1: ", b"login 2: ")
        # Each session keeps a beginning of its own.
        a.sendall(b"from a")
        b.sendall(b"from b\n")
        assert read_exactly(b, 7) == b"FROM B\n"
        a.sendall(b"\n")
        assert read_exactly(a, 7) == b"FROM A\n"


def test_who_connects_while_the_cable_is_out_is_greeted_when_it_is_back(loop):
    door = loop.opened(StreamDoor(Telnet(), clock=loop.clock))
    loop.call(door.pull)
    with connected(door.address) as client:
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)

        loop.call(door.plug)
        client.settimeout(GIVE_UP_S)
        assert read_exactly(client, 9) == b"login 1: "


def test_answers_keep_their_order_though_the_first_takes_longer(loop):
    class Slow(Lines):
        def handle(self, message: bytes) -> Reply | None:
            return Reply(message, 0.1 if message == b"slow" else 0.0)

    door = loop.opened(StreamDoor(Slow(), clock=loop.clock))
    with connected(door.address) as client:
        client.sendall(b"slow")
        loop.until(lambda: any(len(each._talk._answers._replies) for each in door.clients))
        client.sendall(b"quick")

        assert read_exactly(client, 9) == b"slowquick"


def test_a_line_with_a_speed_takes_bench_time_both_ways(loop, tmp_path):
    # 10 bits a character: 30 characters there and 30 back at 1200 bit/s take half a second, whoever hurries.
    door = loop.opened(PtyDoor(Lines(), clock=loop.clock, folder=tmp_path, baud=1200))
    client = port(door.address, loop.clock)
    start_s = loop.clock.now_s

    client.write(b"x" * 29 + b"\n")

    assert client.read_until(b"\n") == b"X" * 29 + b"\n"
    assert loop.clock.now_s - start_s >= 0.5
    client.close()


def test_a_pseudo_terminal_tolerates_modem_lines_and_keeps_every_byte(loop, tmp_path):
    class Echo:
        def handle(self, message: bytes) -> Reply | None:
            return Reply(message)

    door = loop.opened(PtyDoor(Echo(), clock=loop.clock, folder=tmp_path, name="echo"))
    client = port(door.address, loop.clock)
    client.rts = client.dtr = True
    client.rts = client.dtr = False
    everything = bytes(range(256))

    client.write(everything)

    assert Path(door.address) == tmp_path / "echo"
    assert client.read(256) == everything
    client.close()


def test_an_old_link_is_replaced_and_a_file_is_not(loop, tmp_path):
    (tmp_path / "old").symlink_to("/dev/pts/nosuch")
    (tmp_path / "file").write_text("mine")

    door = loop.opened(PtyDoor(Lines(), clock=loop.clock, folder=tmp_path, name="old"))
    assert os.readlink(door.address).startswith("/dev/")
    loop.call(door.close)
    assert not (tmp_path / "old").is_symlink()
    with pytest.raises(FileExistsError, match="found a file"):
        loop.wait(PtyDoor(Lines(), clock=loop.clock, folder=tmp_path, name="file").open())


def test_the_relay_driver_works_through_a_pseudo_terminal(loop, tmp_path):
    options = NumatoOptions(relays={"open_sense_wire": 10})
    terminal = FakeFaults(("open_sense_wire",))
    twin = NumatoTwin(terminal, clock=loop.clock, options=options)
    door = loop.opened(PtyDoor(twin, clock=loop.clock, folder=tmp_path, name="faults"))
    clock = Clock(virtual=False)
    wire = port(door.address, clock)
    driver = NumatoRelays(wire, clock=clock, role="faults", max_v=100.0, max_a=5.0, options=options)

    driver.prepare()
    driver.insert("open_sense_wire")
    # What has been read back has been switched; the contact moves within `travel_s`, which has passed.
    assert loop.call(terminal.active, "open_sense_wire")
    driver.off()

    assert driver.is_off()
    wire.close()


def test_a_message_twin_is_all_that_a_door_needs():
    assert isinstance(Lines(), MessageTwin)
    assert isinstance(Session(1), MessageTwin)
