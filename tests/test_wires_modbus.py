"""The Modbus wire: pymodbus on twins, line time, errors; the device side against printed frames."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, StationInvalid, WireError
from bench.wires.modbus import open_modbus, raise_modbus_errors
from bench.wires.modbus_server import ILLEGAL_ADDRESS, ModbusServer, Refusal, Table, crc16
from bench.wires.transcript import Transcript
from bench.wires.twin import Reply


class Registers:
    """Ten cells in each table."""

    def __init__(self) -> None:
        self.cells: dict[Table, list[int]] = {
            "coil": [0] * 10,
            "discrete_input": [1, 0] * 5,
            "holding_register": list(range(100, 110)),
            "input_register": list(range(200, 210)),
        }

    def read(self, table: Table, _device_id: int, address: int, count: int) -> Sequence[int]:
        self._check(address, count)
        return self.cells[table][address : address + count]

    def write(self, table: Table, _device_id: int, address: int, values: Sequence[int]) -> None:
        self._check(address, len(values))
        self.cells[table][address : address + len(values)] = values

    def _check(self, address: int, count: int) -> None:
        if address + count > 10:
            raise Refusal(ILLEGAL_ADDRESS)


def opened(twin: object, clock: Clock, transcript: Transcript | None = None, **options: object):
    log = Transcript() if transcript is None else transcript
    return open_modbus(
        "twin://device", **{"clock": clock, "role": "r", "transcript": log, "twin": twin, **options}
    )


# Frames as the Waveshare wiki prints them for the Modbus RTU Analog Output 8CH (B).
@pytest.mark.parametrize(
    "frame",
    ["01 06 00 00 03 E8 89 74", "01 03 00 00 00 08 44 0C", "01 10 00 00 00 08 C1 CF", "01 85 03 02 91"],
)
def test_check_of_printed_frames(frame: str):
    data = bytes.fromhex(frame)

    assert crc16(data[:-2]) == data[-2:]


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("03 0001 0002", "03 04 0065 0066"),
        ("04 0000 0001", "04 02 00C8"),
        ("02 0000 000A", "02 02 55 01"),
        ("06 0001 0003", "06 0001 0003"),
        ("10 0001 0002 04 000A 0102", "10 0001 0002"),
        ("05 0003 FF00", "05 0003 FF00"),
        ("0F 0000 000A 02 CD 01", "0F 0000 000A"),
        ("03 0009 0002", "83 02"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007E", "83 03"),
        ("05 0003 1234", "85 03"),
        ("10 0001 0002 03 000A 01", "90 03"),
        ("2B 0E 01 00", "AB 01"),
    ],
)
def test_the_device_side_answers_each_function(request_: str, reply: str):
    server = ModbusServer(Registers(), framing="tcp")
    pdu = bytes.fromhex(request_)

    answer = server.handle(b"\x15\x01\x00\x00" + (len(pdu) + 1).to_bytes(2, "big") + b"\x01" + pdu)

    expected = bytes.fromhex(reply)
    assert answer is not None
    assert answer.data == b"\x15\x01\x00\x00" + (len(expected) + 1).to_bytes(2, "big") + b"\x01" + expected


def test_bits_are_numbered_from_the_low_end():
    registers = Registers()
    server = ModbusServer(registers, framing="rtu")
    frame = bytes.fromhex("01 0F 0000 000A 02 CD 01")

    server.handle(frame + crc16(frame))

    assert registers.cells["coil"] == [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]


@given(st.binary(max_size=40), st.booleans())
def test_no_bytes_break_the_device_side(data: bytes, with_check: bool):
    rtu, tcp = ModbusServer(Registers()), ModbusServer(Registers(), framing="tcp")

    rtu.handle(data + crc16(data) if with_check else data)
    tcp.handle(b"\x00\x01\x00\x00" + (len(data) + 1).to_bytes(2, "big") + b"\x01" + data)


def test_a_broadcast_acts_and_is_not_answered():
    registers = Registers()
    frame = bytes.fromhex("00 06 0000 0007")

    assert ModbusServer(registers, device_ids=(1, 2)).handle(frame + crc16(frame)) is None
    assert registers.cells["holding_register"][0] == 7


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_pymodbus_works_unchanged(framing: str):
    clock = Clock()
    client = opened(ModbusServer(Registers(), framing=framing), clock, framing=framing)

    client.write_registers(2, [7, 8], device_id=1)
    client.write_register(4, 9, device_id=1)
    client.write_coil(1, True, device_id=1)

    assert client.read_holding_registers(0, count=6, device_id=1).registers == [100, 101, 7, 8, 9, 105]
    assert client.read_input_registers(9, count=1, device_id=1).registers == [209]
    assert client.read_coils(0, count=3, device_id=1).bits[:3] == [False, True, False]


def test_an_rtu_exchange_takes_its_line_time():
    clock, transcript = Clock(), Transcript()
    client = opened(ModbusServer(Registers(), delay_s=0.020), clock, transcript, baud=9600)

    client.write_register(1, 3, device_id=1)

    # 8 characters and 3.5 of silence each way, 10 bits each at 9600 bit/s, and 20 ms in the device
    assert clock.now_s == pytest.approx(2 * 11.5 * 10 / 9600 + 0.020)
    assert [(e.direction, e.data[:6].hex()) for e in transcript] == [
        (">", "010600010003"),
        ("<", "010600010003"),
    ]


def test_an_address_that_nobody_answers_is_one_clear_error_after_the_timeout():
    clock = Clock()
    client = opened(ModbusServer(Registers()), clock, timeout_s=0.5, retries=2)

    with pytest.raises(WireError) as caught:
        client.read_holding_registers(0, count=1, device_id=9)

    assert not isinstance(caught.value, FrameInvalid)
    assert "r (twin://device): expected device 9 to answer function 3 at address 0" in str(caught.value)
    assert clock.now_s == pytest.approx(3 * 0.5 + 3 * 11.5 * 10 / 9600)


def test_silence_does_not_wear_the_client_out():
    client = opened(ModbusServer(Registers()), Clock())

    for _ in range(10):
        with pytest.raises(WireError):
            client.read_holding_registers(0, count=1, device_id=9)

    assert client.read_holding_registers(0, count=1, device_id=1).registers == [100]


def test_a_damaged_answer_is_told_apart_from_silence():
    class Noisy(ModbusServer):
        def handle(self, message: bytes) -> Reply | None:
            reply = super().handle(message)
            return None if reply is None else Reply(reply.data[:-1] + b"\x00")

    with pytest.raises(FrameInvalid, match=r"expected the answer of device 1 to function 3 .* valid check"):
        opened(Noisy(Registers()), Clock()).read_holding_registers(0, count=1, device_id=1)


def test_a_device_that_declines_is_told():
    clock = Clock()
    client = opened(ModbusServer(Registers()), clock)

    response = client.read_holding_registers(20, count=1, device_id=1)

    assert response.isError()
    with pytest.raises(InstrumentRefused, match=r"refused to read register 20 .* 2, illegal data address"):
        raise_modbus_errors(response, role="r", request="read register 20", clock=clock)


def test_a_real_network_device_has_the_same_calls():
    listener = socket.create_server(("127.0.0.1", 0))
    server = ModbusServer(Registers(), framing="tcp")

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while message := connection.recv(300):
                reply = server.handle(message)
                if reply is not None:
                    connection.sendall(reply.data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    transcript = Transcript()
    client = open_modbus(
        f"tcp://127.0.0.1:{listener.getsockname()[1]}",
        clock=Clock(virtual=False),
        role="r",
        transcript=transcript,
        timeout_s=0.2,
    )

    assert client.read_holding_registers(3, count=2, device_id=1).registers == [103, 104]
    assert len(transcript) == 2
    with pytest.raises(WireError, match="expected device 9 to answer"):
        client.read_holding_registers(3, count=2, device_id=9)
    client.close()
    thread.join(1.0)
    listener.close()


def test_what_cannot_be_opened_is_told():
    options = {"clock": Clock(), "role": "thermistors", "transcript": Transcript(), "timeout_s": 0.2}
    with pytest.raises(WireError, match="thermistors: expected a Modbus line at /dev/nosuch"):
        open_modbus("/dev/nosuch", **options)
    with pytest.raises(WireError, match=r"expected a Modbus line at tcp://127.0.0.1:1,"):
        open_modbus("tcp://127.0.0.1:1", **options)
    with pytest.raises(StationInvalid, match="tcp://<host>:<port>"):
        open_modbus("tcp://127.0.0.1:x", **options)
    with pytest.raises(StationInvalid, match="a twin for it"):
        open_modbus("twin://x", **options)
