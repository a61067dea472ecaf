"""The VISA wire: time, silence, isolation, the transcript, and real sockets."""

from __future__ import annotations

import socket
import threading

import pytest
import pyvisa

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.transcript import Transcript
from bench.wires.twin import Reply
from bench.wires.visa import open_visa


class Parrot:
    """Answers a query with its own name and text after a delay; says nothing to anything else."""

    def __init__(self, name: str = "parrot", delay_s: float = 0.0) -> None:
        self.name, self.delay_s = name, delay_s
        self.heard: list[bytes] = []

    def handle(self, message: bytes) -> Reply | None:
        self.heard.append(message)
        if not message.endswith(b"?"):
            return None
        return Reply(self.name.encode() + b" " + message + b"\n", self.delay_s)


def opened(twin: Parrot, clock: Clock, **options: object) -> pyvisa.resources.MessageBasedResource:
    options = {"role": "r", "transcript": Transcript(), **options}
    return open_visa("twin://r", clock=clock, twin=twin, **options)  # type: ignore[arg-type]


def test_query_is_pyvisas_own_and_takes_the_twins_time():
    clock = Clock()
    wire = opened(Parrot(delay_s=0.025), clock, probe=None)

    answer = wire.query("MEAS?")

    assert isinstance(wire, pyvisa.resources.MessageBasedResource)
    assert answer == "parrot MEAS?"
    assert clock.now_s == pytest.approx(0.025)


def test_opening_asks_who_is_there():
    twin = Parrot()

    opened(twin, Clock())

    assert twin.heard == [b"*IDN?"]


def test_jobs_run_while_an_answer_is_awaited():
    clock, ticks = Clock(), []
    wire = opened(Parrot(delay_s=0.055), clock, probe=None)
    clock.every(0.01, lambda: ticks.append(clock.now_s), name="tick")

    wire.query("MEAS?")

    assert len(ticks) == 5


def test_silence_takes_the_timeout_and_is_a_visa_error():
    clock = Clock()
    wire = opened(Parrot(), clock, timeout_s=1.5)

    with pytest.raises(pyvisa.errors.VisaIOError) as caught:
        wire.read()

    assert caught.value.error_code == pyvisa.constants.StatusCode.error_timeout
    assert clock.now_s == pytest.approx(1.5)


def test_an_answer_later_than_the_timeout_comes_late_not_never():
    clock = Clock()
    wire = opened(Parrot(delay_s=3.0), clock, probe=None)

    with pytest.raises(pyvisa.errors.VisaIOError):
        wire.query("SLOW?")

    assert wire.read() == "parrot SLOW?"
    assert clock.now_s == pytest.approx(3.0)


def test_answers_queue_in_order_and_add_their_times():
    clock = Clock()
    wire = opened(Parrot(delay_s=0.1), clock, probe=None)

    wire.write("A?")
    wire.write("B?")

    assert [wire.read(), wire.read()] == ["parrot A?", "parrot B?"]
    assert clock.now_s == pytest.approx(0.2)


def test_a_message_without_line_feed_is_not_yet_a_message():
    twin = Parrot()
    wire = opened(twin, Clock(), probe=None)

    wire.write_raw(b"*ID")
    assert twin.heard == []
    wire.write_raw(b"N?\r\nB?\n")

    assert twin.heard == [b"*IDN?", b"B?"]


def test_long_answers_survive_small_chunks():
    twin = Parrot("x" * 1000)
    wire = opened(twin, Clock())
    wire.chunk_size = 7

    assert wire.query("A?") == "x" * 1000 + " A?"


def test_several_racks_in_one_process_do_not_meet():
    wires = [opened(Parrot(f"twin{index}"), Clock()) for index in range(8)]

    answers = [wire.query("A?") for wire in wires]

    assert answers == [f"twin{index} A?" for index in range(8)]


def test_the_transcript_has_every_byte_with_its_time():
    clock, transcript = Clock(), Transcript()
    wire = opened(Parrot(delay_s=0.5), clock, role="charger", transcript=transcript, probe=None)

    wire.write("OUTP OFF")
    wire.query("OUTP?")

    assert [tuple(entry) for entry in transcript.entries] == [
        (0.0, "charger", ">", b"OUTP OFF\n"),
        (0.0, "charger", ">", b"OUTP?\n"),
        (0.5, "charger", "<", b"parrot OUTP?\n"),
    ]
    assert transcript.sent("charger") == [b"OUTP OFF\n", b"OUTP?\n"]
    assert transcript.of("load") == []


def test_a_twin_that_never_answers_is_a_wire_error_at_opening():
    class Deaf:
        def handle(self, message: bytes) -> None:
            return None

    with pytest.raises(WireError, match=r"charger \(twin://c\) did not answer '\*IDN\?' within 0.5 s"):
        open_visa(
            "twin://c", clock=Clock(), role="charger", transcript=Transcript(), twin=Deaf(), timeout_s=0.5
        )


def test_a_twin_address_without_a_twin_is_an_invalid_station():
    with pytest.raises(StationInvalid, match=r"roles.charger"):
        open_visa("twin://c", clock=Clock(), role="charger", transcript=Transcript())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("TCPIP::127.0.0.1::{}::SOCKET", "did not answer .* refused"),
        ("TCPIP::127.0.0.1::hislip0,{}::INSTR", "could not be opened .* VI_ERROR_RSRC_NFOUND"),
        ("TCPIP::127.0.0.1,{}::inst0::INSTR", "could not be opened .* refused"),
    ],
    ids=["socket", "HiSLIP", "VXI-11"],
)
def test_a_closed_port_is_one_clear_error(address: str, message: str):
    address = address.format(closed_port())

    with pytest.raises(WireError, match=message):
        open_visa(address, clock=Clock(virtual=False), role="load", transcript=Transcript(), timeout_s=0.2)


def test_a_twin_that_is_broken_is_not_a_broken_link():
    class Broken:
        def handle(self, message: bytes) -> None:
            raise NotImplementedError("the twin forgot something")

    with pytest.raises(NotImplementedError, match="the twin forgot something"):
        opened(Broken(), Clock())  # type: ignore[arg-type]


def test_a_real_socket_speaks_the_same_and_does_not_wait_for_nagle():
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                if line.endswith(b"?\n"):
                    stream.write(b"server " + line)
                    stream.flush()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    transcript = Transcript()
    address = f"TCPIP::127.0.0.1::{server.getsockname()[1]}::SOCKET"
    wire = open_visa(address, clock=Clock(virtual=False), role="load", transcript=transcript)

    interface = wire.visalib.sessions[wire.session].interface
    assert wire.query("A?") == "server A?"
    assert interface.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert [entry.data for entry in transcript] == [b"*IDN?\n", b"server *IDN?\n", b"A?\n", b"server A?\n"]
    wire.close()
    thread.join(2)
    server.close()
