"""Doors on a CAN hub, reached by python-can's socketcand and slcan clients, through `open_can` and bare."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import can
import numpy as np
import pytest

from bench.clock import Clock
from bench.doors.slcan import SlcanDoor
from bench.doors.socketcand import SocketcandDoor
from bench.errors import StationInvalid, WireError
from bench.wires.can import EXTENDED, CanHub, drain, open_can, send
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from instruments.cells_bs1200 import Bs1200
from instruments.cells_bs1200_frames import Bs1200Options
from instruments.cells_bs1200_twin import Bs1200Twin
from tests.door_thread import GIVE_UP_S, DoorThread
from tests.fake_terminals import FakeCells, FakeMeter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")

BITRATE = 1_000_000


class Node:
    """A node of the hub that keeps what it hears and tells when that is enough."""

    def __init__(self, hub: CanHub) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self._enough, self._number = threading.Event(), 0
        self._node = hub.attach("node", self._on_frame)
        self.send, self.send_batch = self._node.send, self._node.send_batch

    def wait(self, number: int) -> list[tuple[int, bytes]]:
        """The frames, when there are `number` of them."""
        self._enough.clear()
        self._number = number
        assert len(self.heard) >= number or self._enough.wait(GIVE_UP_S), f"{len(self.heard)} of {number}"
        return self.heard

    def _on_frame(self, _t_s: float, can_id: int, data: bytes) -> None:
        self.heard.append((can_id, data))
        if self._number and len(self.heard) >= self._number:
            self._enough.set()


@pytest.fixture
def loop() -> Iterator[DoorThread]:
    loop = DoorThread(Clock(virtual=False))
    yield loop
    loop.close()


@pytest.fixture
def hub(loop) -> CanHub:
    return CanHub(loop.clock, BITRATE)


@pytest.fixture
def node(loop, hub) -> Node:
    return loop.call(Node, hub)


@pytest.fixture
def socketcand(loop, hub):
    return loop.opened(SocketcandDoor(hub, clock=loop.clock))


@pytest.fixture
def slcan(loop, hub, tmp_path):
    return loop.opened(SlcanDoor(hub, clock=loop.clock, folder=tmp_path))


@pytest.fixture(params=["socketcand", "slcan"])
def door(request):
    return request.getfixturevalue(request.param)


def opened(door, clock: Clock) -> can.BusABC:
    return open_can(door.address, bitrate=BITRATE, clock=clock, role="dut", transcript=Transcript())


def listening(loop: DoorThread, hub: CanHub, nodes: int) -> None:
    """Wait until the hub has that many nodes: python-can does not wait for an adapter's answer."""
    loop.until(lambda: len(hub._nodes) >= nodes)


def received(bus: can.BusABC, number: int) -> list[tuple[int, bool, bytes]]:
    """`number` frames that a client receives."""
    found: list[tuple[int, bool, bytes]] = []
    while len(found) < number:
        message = bus.recv(GIVE_UP_S)
        if message is None:
            break
        found.append((message.arbitration_id, message.is_extended_id, bytes(message.data)))
    return found


def use_up(bus: can.BusABC, clock: Clock) -> None:
    """Use a bus until it breaks."""
    while True:
        send(bus, [(0x10, b"x")])
        drain(bus, clock)


FRAMES = [(0x123, b"\x01\x0a\xff"), (0x7FF, b""), (0x18FF50E5, bytes(range(8))), (0x10 | EXTENDED, b""),
          (0x000, b"\x00")]  # fmt: skip


def test_frames_of_every_form_reach_the_hub_and_are_in_it_as_sent(loop, hub, node, door):
    with opened(door, loop.clock) as bus:
        for n, frame in enumerate(FRAMES, start=1):
            send(bus, [frame])
            node.wait(n)

        assert node.heard == FRAMES


def test_frames_of_every_form_reach_the_client_in_the_hubs_order(loop, hub, node, door):
    with opened(door, loop.clock) as bus:
        listening(loop, hub, 2)
        loop.call(node.send_batch, FRAMES)

        # By priority: of the extended ones by their first 11 bits, 0x18FF50E5 >> 18 is 0x63F.
        assert received(bus, 5) == [
            (0x000, False, b"\x00"),
            (0x10, True, b""),
            (0x123, False, b"\x01\x0a\xff"),
            (0x18FF50E5, True, bytes(range(8))),
            (0x7FF, False, b""),
        ]


def test_stamps_of_socketcand_are_bench_time(loop, hub, node, socketcand):
    with opened(socketcand, loop.clock) as bus:
        listening(loop, hub, 2)
        sent_s = loop.call(lambda: (loop.clock.now_s, node.send(0x10, bytes(8)))[0])
        message = bus.recv(GIVE_UP_S)

    # 114 bits at 1 Mbit/s after it was sent, whenever it was read; the text has microseconds.
    taken_s = message.timestamp - loop.clock.epoch.timestamp() - sent_s
    assert 113e-6 < taken_s < 0.01


@pytest.mark.parametrize(("kind", "number"), [("socketcand", 5000), ("slcan", 1000)])
def test_no_frame_is_lost_and_none_overtakes_another(loop, hub, node, request, kind, number):
    door = request.getfixturevalue(kind)
    frames = [(0x321, n.to_bytes(8, "big")) for n in range(number)]
    with opened(door, loop.clock) as bus:
        listening(loop, hub, 2)
        loop.call(node.send_batch, frames)
        assert received(bus, number) == [(0x321, False, data) for _, data in frames]

        send(bus, frames)
        assert node.wait(number) == frames

    assert door.lost == 0


def test_a_slcan_client_drains_all_though_answers_come_between_frames(loop, hub, node, slcan):
    with opened(slcan, loop.clock) as bus:
        listening(loop, hub, 2)
        found = []
        for n in range(20):
            send(bus, [(0x100, bytes([n]))])
            node.wait(n + 1)
            loop.call(node.send, 0x200, bytes([n]))
            while not (new := drain(bus, loop.clock)):
                pass
            found += new

        assert [(can_id, data) for _, can_id, data in found] == [(0x200, bytes([n])) for n in range(20)]


def test_nobody_hears_himself_but_everybody_the_others(loop, hub, node, socketcand, slcan):
    with (
        opened(socketcand, loop.clock) as a,
        opened(socketcand, loop.clock) as b,
        opened(slcan, loop.clock) as c,
    ):
        listening(loop, hub, 4)
        send(a, [(0x0A, b"a")])
        assert received(b, 1) == received(c, 1) == [(0x0A, False, b"a")]
        send(c, [(0x0C, b"c")])

        # What `a` sent first would be the first that it hears.
        assert received(a, 1) == received(b, 1) == [(0x0C, False, b"c")]
        assert node.wait(2) == [(0x0A, b"a"), (0x0C, b"c")]


def test_a_driver_moves_cells_and_reads_them_back_through_a_door(loop, hub, door):
    options = Bs1200Options(boxes=(1,), cells=12)
    terminal = SimpleNamespace(cells=FakeCells(np.full(12, 3.3)), meter=FakeMeter())
    twin = loop.call(lambda: Bs1200Twin(terminal, clock=loop.clock, options=options))
    loop.call(twin.attach, hub)
    clock = Clock(virtual=False)
    with opened(door, clock) as bus:
        driver = Bs1200(bus, clock=clock, role="cells", max_v=5.0, max_a=1.0, options=options)
        driver.prepare()
        driver.set(voltage_v=3.7, cell=5)

        assert clock.until(lambda: driver.traces()["cell_v"].last[5] > 3.6, timeout_s=GIVE_UP_S)
        assert loop.call(lambda: terminal.cells.voltage_v[5]) == pytest.approx(3.7, abs=0.01)
        driver.off()
        assert driver.is_off()
        assert loop.call(lambda: terminal.cells.connected.any()) == np.False_


def test_a_client_that_does_not_read_loses_the_oldest_frames_and_blocks_nobody():
    """In virtual time, so that how much is lost does not depend on the machine."""
    loop = DoorThread(Clock())
    hub = CanHub(loop.clock, BITRATE)
    door = loop.opened(SocketcandDoor(hub, clock=loop.clock, most_frames=100))
    node = loop.call(Node, hub)
    host, port = door.host, door.port
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, port))
        slow.settimeout(GIVE_UP_S)
        slow.sendall(b"< open can0 >< rawmode >")
        assert until(slow, b"< hi >< ok >< ok >").endswith(b"< ok >")
        held = next(iter(door.clients))
        held.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        loop.call(held._talk._tap.release)

        for first in range(0, 20_000, 1000):
            loop.call(node.send_batch, [(0x10, n.to_bytes(4, "big")) for n in range(first, first + 1000)])
            loop.call(loop.clock.sleep, 0.1)
        lost = door.lost

        # The hub went on. Lost is what came between frames that are under way and the latest ones.
        assert loop.call(lambda: hub.idle_at_ns) is None
        assert 10_000 < lost < 20_000
        text = until(slow, b"%08x >" % 19_999)
        numbers = [int(part.split()[3], 16) for part in text.decode().split("<") if "frame" in part]
        assert len(numbers) == 20_000 - lost
        assert numbers == sorted(set(numbers))
        assert numbers[-100:] == list(range(19_900, 20_000))
    loop.close()


def until(line: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = line.recv(65_536)
        assert piece, f"closed after {data[-100:]!r}"
        data += piece
    return data


def test_a_pulled_cable_loses_frames_both_ways(loop, hub, node, door):
    with opened(door, loop.clock) as bus:
        listening(loop, hub, 2)
        loop.call(door.pull)
        loop.call(node.send, 0x10, b"lost")
        send(bus, [(0x20, b"lost")])
        assert bus.recv(0.2) is None

        loop.call(door.plug)
        loop.call(node.send, 0x10, b"found")
        assert received(bus, 1) == [(0x10, False, b"found")]
        send(bus, [(0x20, b"found")])
        assert node.wait(1) == [(0x20, b"found")]


def test_a_client_of_the_last_hub_is_told_and_the_next_one_reaches_the_new_hub(loop, hub, node, socketcand):
    bus = opened(socketcand, loop.clock)
    other_hub = CanHub(loop.clock, BITRATE)
    other = loop.call(Node, other_hub)
    loop.call(socketcand.serve, other_hub)

    with pytest.raises(WireError, match="the server closed the connection"):
        use_up(bus, loop.clock)
    bus.shutdown()
    with opened(socketcand, loop.clock) as bus:
        send(bus, [(0x10, b"new")])
        assert other.wait(1) == [(0x10, b"new")]
    assert node.heard == []
    assert len(hub._nodes) == 1


def test_an_adapter_on_another_hub_has_to_be_opened_again(loop, hub, node, slcan):
    with opened(slcan, loop.clock) as bus:
        listening(loop, hub, 2)
        other_hub = CanHub(loop.clock, BITRATE)
        other = loop.call(Node, other_hub)
        loop.call(slcan.serve, other_hub)
        assert len(hub._nodes) == 1
    with opened(slcan, loop.clock) as bus:
        send(bus, [(0x10, b"new")])
        assert other.wait(1) == [(0x10, b"new")]


def test_a_closed_door_refuses_and_works_again_when_it_is_open(loop, hub, node, door):
    bus = opened(door, loop.clock)
    listening(loop, hub, 2)
    loop.call(door.close)

    with pytest.raises(WireError):
        use_up(bus, loop.clock)
    bus.shutdown()
    with pytest.raises(WireError, match=r"dut: expected an open CAN channel at can:"):
        opened(door, loop.clock)
    address = door.address
    loop.wait(door.open())
    assert door.address == address
    with opened(door, loop.clock) as bus:
        send(bus, [(0x11, b"again")])
        assert node.wait(1)[-1] == (0x11, b"again")


def test_opening_and_closing_leaves_no_word_in_the_log(loop, hub, node, door, caplog):
    with caplog.at_level(logging.WARNING), opened(door, loop.clock) as bus:
        listening(loop, hub, 2)
        loop.call(node.send_batch, [(0x321, n.to_bytes(8, "big")) for n in range(500)])
        received(bus, 500)

    assert [record.getMessage() for record in caplog.records if record.name.startswith("can")] == []
    loop.until(lambda: len(hub._nodes) == 1)


def test_bare_python_can_reaches_both_doors(loop, hub, node, socketcand, slcan):
    a = can.Bus(interface="socketcand", channel="can0", host=socketcand.host, port=socketcand.port)
    b = can.Bus(interface="slcan", channel=slcan.address.removeprefix("can:slcan:"), bitrate=BITRATE,
                sleep_after_open=0)  # fmt: skip
    try:
        listening(loop, hub, 3)
        assert b.get_version(GIVE_UP_S) == (10, 13)
        assert b.get_serial_number(GIVE_UP_S) == "A123"
        a.send(can.Message(arbitration_id=0x55, is_extended_id=False, data=b"hello"))
        assert received(b, 1) == [(0x55, False, b"hello")]
        loop.call(node.send, 0x66, b"")
        assert received(a, 1) == received(b, 1) == [(0x66, False, b"")]
    finally:
        a.shutdown()
        b.shutdown()


def test_a_client_on_a_busy_bus_opens_all_the_same(loop, hub, node, socketcand):
    """Frames right behind the last answer of the greeting are none of it."""
    loop.call(lambda: loop.clock.every(0.001, lambda: node.send(0x10, bytes(8)), name="busy"))
    for _ in range(5):
        with opened(socketcand, loop.clock) as bus:
            assert received(bus, 1) == [(0x10, False, bytes(8))]


def test_a_channel_that_is_not_served_is_told(loop, socketcand):
    with pytest.raises(WireError, match="could not open bus"):
        open_can(
            socketcand.address.replace("can0", "can7"), bitrate=BITRATE, clock=loop.clock, role="dut",
            transcript=Transcript(),
        )  # fmt: skip
    with pytest.raises(StationInvalid, match=r"can:socketcand:can0\?host=<host>&port=<port>"):
        open_can(
            "can:socketcand:can0", bitrate=BITRATE, clock=loop.clock, role="dut", transcript=Transcript()
        )


def test_a_server_that_is_silent_or_another_one_is_told(monkeypatch):
    monkeypatch.setattr("bench.wires.can_adapters._GREETING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"can:socketcand:can0?host=127.0.0.1&port={listener.getsockname()[1]}"
        with pytest.raises(WireError, match=r"expected '< hi >', found '' and silence for 0.2 s"):
            open_can(address, bitrate=BITRATE, clock=Clock(), role="dut", transcript=Transcript())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"< echo >", b"< error unknown command >"),
        (b"< open can0 >< echo >", b"< ok >< echo >"),
        (b"< open can0 >< rawmode >< rawmode >< echo >", b"< ok >< ok >< ok >< echo >"),
        (b"<open can0>noise<  rawmode  >< dance >", b"< ok >< ok >< error unknown command >"),
        (b"< open can0 >< subscribe 0 0 123 >", b"< ok >< error unknown command >"),
        # Not well formed, and not answered: too many bytes, too few, no number, too large.
        (b"< open can0 >< rawmode >< send 10 1 1 2 >< send 10 2 1 >< send x 0 >< send 800 0 >"
         b"< send 10 9 1 2 3 4 5 6 7 8 9 >< send >< send 10 1 1ff >< echo >", b"< ok >< ok >< echo >"),
    ],
)  # fmt: skip
def test_the_words_of_socketcand(loop, hub, node, socketcand, said, told):
    with socket.create_connection((socketcand.host, socketcand.port), GIVE_UP_S) as line:
        for n in range(0, len(said), 7):
            line.sendall(said[n : n + 7])

        assert until(line, told) == b"< hi >" + told
    assert node.heard == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("V|N", "V1013|NA123|"),
        ("O", "!"),
        ("S8|O|O|S6|C|C", "||!!|!"),
        ("S9|S|Q|", "!!!!"),
        ("t1230|S8|O|t1230|t12320102|T1FFFFFFF0|r1234|R000000100", "!|||||||"),
        ("S8|O|t800|t12390|t1232010|t12|T200000000|t123101x|t1231|r12310", "||!!!!!!!!"),
        ("S8|L|t1230", "||!"),
        ("S6|O|F|t1230", "||F80||"),
        ("S8|O|F|C|F", "||F00||!"),
        ("x" * 100 + "|V", "!V1013|"),
    ],
)
def test_the_words_of_slcan(loop, slcan, said, told):
    """`|` stands for CR, `!` for BEL."""
    path = slcan.address.removeprefix("can:slcan:")
    port = open_serial(
        path, baud=115_200, clock=loop.clock, role="r", transcript=Transcript(), timeout_s=GIVE_UP_S
    )

    port.write(said.replace("|", "\r").encode() + b"\r")

    assert port.read(len(told)).decode().replace("\r", "|").replace("\a", "!") == told
    port.close()


def test_an_adapter_with_another_bit_rate_hears_nothing_and_is_not_heard(loop, hub, node, slcan):
    with open_can(
        slcan.address, bitrate=500_000, clock=loop.clock, role="dut", transcript=Transcript()
    ) as bus:
        send(bus, [(0x10, b"x")])
        loop.call(node.send, 0x20, b"y")

        assert bus.recv(0.2) is None
    assert node.heard == []


def test_a_lost_frame_is_told_by_the_adapters_status(loop, hub, tmp_path):
    node = loop.call(Node, hub)
    door = loop.opened(SlcanDoor(hub, clock=loop.clock, folder=tmp_path, most_frames=10))
    port = open_serial(
        os.fspath(tmp_path / "slcan"), baud=115_200, clock=loop.clock, role="r", transcript=Transcript(),
        timeout_s=GIVE_UP_S,
    )  # fmt: skip
    port.write(b"S8\rO\r")
    assert port.read(2) == b"\r\r"
    sent = 0

    # Until the kernel's buffer, the door's and the queue are full, however much that is.
    while not loop.call(lambda: door.lost):
        loop.call(node.send_batch, [(0x10, n.to_bytes(8, "big")) for n in range(sent, sent + 100)])
        sent += 100
        loop.call(loop.clock.sleep, 0.02)
    kept = sent - loop.call(lambda: door.lost)

    # 22 characters each: the kind, 3 digits of identifier, length, 16 digits of data, CR.
    assert len(port.read(22 * kept)) == 22 * kept
    port.write(b"F\rF\r")
    assert port.read(8) == b"F08\rF00\r"
    port.close()
