"""Modbus doors, TCP and RTU, reached by pymodbus, mbpoll and bare sockets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from bench.clock import Clock
from bench.doors.modbus_rtu import ModbusRtuDoor, ModbusRtuTcpDoor, RtuCutter, request_length, silence_of
from bench.doors.modbus_tcp import ModbusTcpDoor
from bench.errors import WireError
from bench.wires.modbus import open_modbus
from bench.wires.modbus_server import ILLEGAL_ADDRESS, ModbusServer, Refusal, Table, rtu
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from tests.door_thread import GIVE_UP_S, DoorThread, connected, read_exactly

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")


class Registers:
    """Ten holding registers per device."""

    def __init__(self, first: int = 100) -> None:
        self.cells = list(range(first, first + 10))

    def read(self, _table: Table, _device_id: int, address: int, count: int) -> Sequence[int]:
        self._check(address, count)
        return self.cells[address : address + count]

    def write(self, _table: Table, _device_id: int, address: int, values: Sequence[int]) -> None:
        self._check(address, len(values))
        self.cells[address : address + len(values)] = values

    def _check(self, address: int, count: int) -> None:
        if address + count > len(self.cells):
            raise Refusal(ILLEGAL_ADDRESS)


@pytest.fixture
def loop() -> Iterator[DoorThread]:
    loop = DoorThread(Clock(virtual=False))
    yield loop
    loop.close()


def port(address: str, clock: Clock, timeout_s: float = GIVE_UP_S) -> serial.SerialBase:
    return open_serial(
        address, baud=9600, clock=clock, role="r", transcript=Transcript(), timeout_s=timeout_s
    )


def modbus(address: str, clock: Clock, **options: object):
    given = {"clock": clock, "role": "r", "transcript": Transcript(), "baud": 115_200, "timeout_s": GIVE_UP_S}
    return open_modbus(address, **{**given, **options})


@pytest.fixture
def registers() -> Registers:
    return Registers()


@pytest.fixture
def tcp_door(loop, registers):
    return loop.opened(ModbusTcpDoor(ModbusServer(registers, framing="tcp"), clock=loop.clock))


def mbap(transaction: int, pdu: str, *, device_id: int = 1, protocol: int = 0) -> bytes:
    data = bytes.fromhex(pdu)
    return b"".join(
        (transaction.to_bytes(2, "big"), protocol.to_bytes(2, "big"), (len(data) + 1).to_bytes(2, "big"),
         bytes([device_id]), data)
    )  # fmt: skip


def test_pymodbus_reads_writes_and_is_declined_over_tcp(loop, tcp_door, registers):
    client = modbus(tcp_door.address, loop.clock)

    client.write_registers(2, [7, 8], device_id=1)

    assert client.read_holding_registers(1, count=3, device_id=1).registers == [101, 7, 8]
    assert loop.call(lambda: registers.cells[2:4]) == [7, 8]
    assert client.read_holding_registers(9, count=2, device_id=1).exception_code == ILLEGAL_ADDRESS
    client.close()


def test_bare_pymodbus_reaches_the_door_too(tcp_door):
    host, _, number = tcp_door.address.removeprefix("tcp://").partition(":")
    client = ModbusTcpClient(host, port=int(number), timeout=GIVE_UP_S)
    assert client.connect()

    assert client.read_holding_registers(0, count=2, device_id=1).registers == [100, 101]
    client.close()


def test_a_foreign_unit_gets_silence(loop, tcp_door):
    client = modbus(tcp_door.address, loop.clock, timeout_s=0.2)

    with pytest.raises(WireError, match="expected device 9 to answer function 3"):
        client.read_holding_registers(0, count=1, device_id=9)
    client.close()


@given(cuts=st.lists(st.integers(0, 36), max_size=6))
def test_requests_cut_anywhere_and_joined_are_answered_alike_over_tcp(cuts: list[int]):
    """Through the talk itself: the kernel would join what a client cuts."""
    sent: list[bytes] = []
    talk = ModbusTcpDoor(ModbusServer(Registers(), framing="tcp"), clock=Clock()).talk(Recorder(sent))
    stream = mbap(1, "03 0000 0001") + mbap(2, "06 0001 0009") + mbap(3, "03 0001 0001")
    bounds = [0, *sorted(cuts), len(stream)]

    for start, end in pairwise(bounds):
        talk.received(stream[start:end])

    assert sent == [mbap(1, "03 02 0064"), mbap(2, "06 0001 0009"), mbap(3, "03 02 0009")]


class Recorder:
    """An outlet that keeps what is sent."""

    def __init__(self, sent: list[bytes]) -> None:
        self.sent, self.full, self.dropped = sent, False, False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def drop(self) -> None:
        self.dropped = True


def test_several_clients_at_once_each_get_their_transactions(tcp_door):
    with connected(tcp_door.address) as a, connected(tcp_door.address) as b:
        a.sendall(mbap(0xA1, "03 0000 0001") + mbap(0xA2, "03 0001 0001")[:5])
        b.sendall(mbap(0xB1, "03 0002 0001"))
        assert read_exactly(b, 11) == mbap(0xB1, "03 02 0066")
        a.sendall(mbap(0xA2, "03 0001 0001")[5:])

        assert read_exactly(a, 22) == mbap(0xA1, "03 02 0064") + mbap(0xA2, "03 02 0065")


@pytest.mark.parametrize(
    "wrong",
    [mbap(1, "03 0000 0001", protocol=1), b"\0\1\0\0\0\1\1", b"\0\1\0\0\xff\xff\1", b"GET / HTTP/1.1\r\n"],
)
def test_who_does_not_speak_modbus_is_dropped(tcp_door, wrong):
    with connected(tcp_door.address) as stranger, connected(tcp_door.address) as friend:
        stranger.sendall(wrong)
        try:
            end = stranger.recv(1)
        except ConnectionResetError:
            end = b""
        assert end == b""

        friend.sendall(mbap(1, "03 0000 0001"))
        assert read_exactly(friend, 11) == mbap(1, "03 02 0064")


def test_a_modbus_door_is_pulled_plugged_and_given_another_twin(loop, tcp_door):
    client = modbus(tcp_door.address, loop.clock, timeout_s=0.2)
    loop.call(tcp_door.pull)
    with pytest.raises(WireError, match="found silence"):
        client.read_holding_registers(0, count=1, device_id=1)
    client.close()

    loop.call(tcp_door.plug)
    loop.call(tcp_door.serve, ModbusServer(Registers(first=500), framing="tcp"))
    client = modbus(tcp_door.address, loop.clock)
    assert client.read_holding_registers(0, count=1, device_id=1).registers == [500]
    client.close()

    loop.call(tcp_door.close)
    with pytest.raises(WireError, match="expected a Modbus line at tcp://"):
        modbus(tcp_door.address, loop.clock, timeout_s=1.0)


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
def test_mbpoll_reads_and_writes(tcp_door, registers):
    host, _, number = tcp_door.address.removeprefix("tcp://").partition(":")

    def mbpoll(*arguments: str) -> str:
        # Register numbers count from 1 unless told otherwise (-0).
        command = ["mbpoll", "-0", "-1", "-m", "tcp", "-p", number, "-a", "1", "-r", "3", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIVE_UP_S, check=True)
        return done.stdout

    assert "[3]: \t103" in mbpoll("-c", "2", host)
    assert "Written 1 references." in mbpoll(host, "77")
    assert "[3]: \t77" in mbpoll("-c", "1", host)


# Modbus RTU


@pytest.fixture(params=["pty", "tcp"])
def rtu_door(request, loop, registers, tmp_path):
    server = ModbusServer(registers)
    if request.param == "pty":
        return loop.opened(ModbusRtuDoor(server, clock=loop.clock, folder=tmp_path, baud=115_200))
    return loop.opened(ModbusRtuTcpDoor(server, clock=loop.clock, baud=115_200))


def test_pymodbus_reads_writes_and_is_declined_over_rtu(loop, rtu_door, registers):
    client = modbus(rtu_door.address, loop.clock)

    client.write_registers(2, [7, 8], device_id=1)
    client.write_register(4, 9, device_id=1)

    assert client.read_holding_registers(1, count=4, device_id=1).registers == [101, 7, 8, 9]
    assert loop.call(lambda: registers.cells[2:5]) == [7, 8, 9]
    assert client.read_holding_registers(9, count=2, device_id=1).exception_code == ILLEGAL_ADDRESS
    assert client.readwrite_registers(
        read_address=0, read_count=1, write_address=0, values=[1], device_id=1
    ).isError()
    client.close()


def test_bare_pymodbus_reaches_the_serial_line_too(loop, tmp_path):
    door = loop.opened(ModbusRtuDoor(ModbusServer(Registers()), clock=loop.clock, folder=tmp_path))
    client = ModbusSerialClient(door.address, baudrate=9600, timeout=GIVE_UP_S)
    assert client.connect()

    assert client.read_holding_registers(0, count=2, device_id=1).registers == [100, 101]
    client.close()


def test_an_unknown_function_ends_with_silence_and_is_declined(loop, rtu_door):
    client = port(rtu_door.address.replace("rtu+tcp", "socket"), loop.clock)

    client.write(rtu(1, bytes.fromhex("65 0102")))

    assert client.read(5) == rtu(1, bytes.fromhex("E5 01"))
    client.close()


def test_a_damaged_request_is_not_answered_and_the_next_one_is(loop, rtu_door):
    line = port(rtu_door.address.replace("rtu+tcp", "socket"), loop.clock, timeout_s=0.2)
    damaged = bytearray(rtu(1, bytes.fromhex("03 0000 0001")))
    damaged[-1] ^= 0x01

    line.write(bytes(damaged))
    # The time-out of a host is much longer than the silence that ends a frame.
    assert line.read(1) == b""
    line.timeout = GIVE_UP_S
    line.write(rtu(1, bytes.fromhex("03 0001 0001")))

    assert line.read(7) == rtu(1, bytes.fromhex("03 02 0065"))
    line.close()


def test_a_foreign_device_on_the_line_gets_silence(loop, rtu_door):
    client = modbus(rtu_door.address, loop.clock, timeout_s=0.2)

    with pytest.raises(WireError, match="expected device 9 to answer function 3"):
        client.read_holding_registers(0, count=1, device_id=9)
    client.close()


def test_a_serial_line_is_pulled_plugged_given_another_twin_and_closed(loop, rtu_door):
    client = modbus(rtu_door.address, loop.clock, timeout_s=0.2)
    loop.call(rtu_door.pull)
    with pytest.raises(WireError, match="found silence"):
        client.read_holding_registers(0, count=1, device_id=1)
    client.close()

    loop.call(rtu_door.plug)
    loop.call(rtu_door.serve, ModbusServer(Registers(first=500)))
    client = modbus(rtu_door.address, loop.clock)
    assert client.read_holding_registers(0, count=1, device_id=1).registers == [500]

    loop.call(rtu_door.close)
    with pytest.raises(WireError):
        client.read_holding_registers(0, count=1, device_id=1)
    client.close()
    with pytest.raises(WireError, match="expected a Modbus line at"):
        modbus(rtu_door.address, loop.clock, timeout_s=1.0)


def requests_of_pymodbus() -> list[bytes]:
    """A request of each function that pymodbus can write, as it writes it."""
    sent: list[bytes] = []

    class Writing(ModbusSerialClient):
        def execute(self, _no_response_expected, request):
            sent.append(FramerRTU(DecodePDU(False)).buildFrame(request))

    client = Writing("nosuch")
    for read in (client.read_coils, client.read_discrete_inputs,
                 client.read_holding_registers, client.read_input_registers):  # fmt: skip
        read(5, count=3, device_id=1)
    client.write_coil(1, True, device_id=2)
    client.write_register(1, 513, device_id=2)
    client.read_exception_status(device_id=3)
    client.diag_query_data(b"\x12\x34", device_id=3)
    client.diag_get_comm_event_counter(device_id=3)
    client.diag_get_comm_event_log(device_id=3)
    client.write_coils(0, [True] * 11, device_id=4)
    client.write_registers(0, [1, 2, 3], device_id=4)
    client.report_device_id(device_id=5)
    client.mask_write_register(address=1, and_mask=2, or_mask=3, device_id=5)
    client.readwrite_registers(read_address=1, read_count=2, write_address=3, values=[4, 5], device_id=5)
    client.read_fifo_queue(address=7, device_id=6)
    client.read_device_information(read_code=1, object_id=0, device_id=6)
    return sent


REQUESTS = requests_of_pymodbus()


@pytest.mark.parametrize("frame", REQUESTS, ids=[f"function {frame[1]}" for frame in REQUESTS])
def test_a_request_ends_where_pymodbus_ends_it(frame):
    assert request_length(frame) == len(frame)
    # Never too short a length from a beginning, or a frame would be cut in two.
    assert {request_length(frame[:n]) for n in range(len(frame))} <= {None, len(frame)}


@given(st.lists(st.sampled_from(REQUESTS), max_size=4), st.lists(st.integers(0, 80), max_size=6))
def test_joined_and_cut_requests_come_out_whole(frames: list[bytes], cuts: list[int]):
    stream = b"".join(frames)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    cutter = RtuCutter()

    found = [frame for start, end in pairwise(bounds) for frame in cutter.feed(stream[start:end])]

    assert found == frames
    assert not cutter.waits_for_silence


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_after_any_bytes_and_silence_a_request_is_found(pieces: list[bytes]):
    cutter = RtuCutter()
    for piece in pieces:
        cutter.feed(piece)
    cutter.silence()

    assert cutter.feed(REQUESTS[0]) == [REQUESTS[0]]


def test_damage_is_counted_and_what_follows_without_silence_is_not_believed():
    cutter = RtuCutter()
    damaged = REQUESTS[0][:-1] + bytes([REQUESTS[0][-1] ^ 1])

    assert cutter.feed(damaged + REQUESTS[1]) == []
    assert cutter.feed(REQUESTS[1]) == []
    assert cutter.silence() == []
    assert cutter.damaged == 1
    assert cutter.feed(REQUESTS[1][:5]) == []
    assert cutter.silence() == []
    assert cutter.damaged == 2


def test_silence_is_three_and_a_half_characters_but_not_shorter_than_a_process_may_be_silent():
    assert silence_of(1200) == pytest.approx(3.5 * 10 / 1200)
    assert silence_of(115_200) == 0.02


def test_many_requests_of_two_threads_get_their_own_answers(loop, tcp_door):
    wrong: list[object] = []

    def ask(register: int) -> None:
        client = modbus(tcp_door.address, loop.clock)
        for _ in range(100):
            found = client.read_holding_registers(register, count=1, device_id=1).registers
            if found != [100 + register]:
                wrong.append(found)
        client.close()

    threads = [threading.Thread(target=ask, args=(register,)) for register in (3, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GIVE_UP_S)

    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
