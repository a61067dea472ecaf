"""The serial wire: line time, time-outs, the transcript, real ports."""

from __future__ import annotations

import os
import pty
import tty

import pytest
import serial

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.serial import TwinSerial, open_serial
from bench.wires.transcript import Transcript
from bench.wires.twin import Reply


class Shouter:
    """Repeats in capitals; does not answer to a full stop."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.heard: list[bytes] = []

    def handle(self, message: bytes) -> Reply | None:
        self.heard.append(message)
        return None if message.endswith(b".") else Reply(message.upper(), self.delay_s)


def opened(
    twin: Shouter, clock: Clock, transcript: Transcript | None = None, **options: object
) -> TwinSerial:
    log = Transcript() if transcript is None else transcript
    port = open_serial(
        "twin://shouter",
        **{"baud": 9600, "clock": clock, "role": "r", "transcript": log, "twin": twin, **options},
    )
    assert isinstance(port, TwinSerial)
    return port


def test_a_character_takes_ten_bits_each_way_and_the_twin_its_time():
    clock = Clock()
    port = opened(Shouter(delay_s=0.010), clock)

    port.write(b"abcdef")
    sent_s = clock.now_s
    answer = port.read(6)

    assert answer == b"ABCDEF"
    assert sent_s == pytest.approx(6 * 10 / 9600)
    assert clock.now_s == pytest.approx(2 * 6 * 10 / 9600 + 0.010)


def test_the_twin_acts_when_the_last_bit_is_in():
    clock = Clock()

    class Watch(Shouter):
        def handle(self, message: bytes) -> Reply | None:
            assert clock.now_s == pytest.approx(len(message) * 10 / 1200)
            return super().handle(message)

    opened(Watch(), clock, baud=1200).write(b"abc")


def test_silence_takes_the_timeout():
    clock = Clock()
    port = opened(Shouter(), clock, timeout_s=0.5)

    port.write(b".")
    before_s = clock.now_s

    assert port.read(3) == b""
    assert clock.now_s - before_s == pytest.approx(0.5)


def test_a_short_answer_is_returned_short_after_the_timeout():
    clock = Clock()
    port = opened(Shouter(), clock, timeout_s=0.5)

    port.write(b"abc")

    assert port.read(10) == b"ABC"
    assert clock.now_s == pytest.approx(0.5 + 3 * 10 / 9600)


def test_what_is_too_late_for_one_read_comes_with_the_next():
    clock = Clock()
    port = opened(Shouter(delay_s=0.3), clock, timeout_s=0.2)
    port.write(b"a")

    assert port.read(1) == b""
    assert port.read(1) == b"A"


def test_read_until_stops_at_the_terminator():
    clock = Clock()
    port = opened(Shouter(), clock)
    port.write(b"one>two>")

    assert port.read_until(b">") == b"ONE>"
    assert port.in_waiting == 0
    clock.sleep(1.0)
    assert port.in_waiting == 4
    port.reset_input_buffer()
    assert port.in_waiting == 0


def test_bytes_nobody_asked_for_arrive_too():
    clock = Clock()
    port = opened(Shouter(), clock)
    clock.after(0.1, lambda: port.feed(b"boot"), name="boot text")

    assert port.read(4) == b"boot"
    assert clock.now_s == pytest.approx(0.1 + 4 * 10 / 9600, abs=2e-3)


def test_line_settings_apply_to_the_next_character():
    clock = Clock()
    port = opened(Shouter(), clock)

    port.baudrate = 1200
    port.rts = port.dtr = False
    port.write(b"abcd")

    assert clock.now_s == pytest.approx(4 * 10 / 1200)


def test_both_directions_are_in_the_transcript():
    clock, transcript = Clock(), Transcript()
    port = opened(Shouter(), clock, transcript)

    port.write(b"hi>")
    port.read_until(b">")

    assert [(e.direction, e.data, round(e.t_s, 6)) for e in transcript] == [
        (">", b"hi>", 0.0),
        ("<", b"HI>", 0.00625),
    ]


def test_a_closed_port_is_told():
    port = opened(Shouter(), Clock())
    port.close()

    with pytest.raises(WireError, match="expected an open line"):
        port.write(b"x")


def test_a_port_that_is_not_there_is_told():
    with pytest.raises(WireError, match=r"faults: expected an open serial port at /dev/nosuch"):
        open_serial("/dev/nosuch", baud=9600, clock=Clock(), role="faults", transcript=Transcript())
    with pytest.raises(StationInvalid, match="a twin for it"):
        open_serial("twin://x", baud=9600, clock=Clock(), role="faults", transcript=Transcript())


def test_a_real_port_has_the_same_calls():
    master, slave = pty.openpty()
    tty.setraw(master)
    transcript = Transcript()
    clock = Clock(virtual=False)
    port = open_serial(
        os.ttyname(slave), baud=9600, clock=clock, role="r", transcript=transcript, timeout_s=0.2
    )
    os.write(master, b"ok\n\r>more")

    port.write(b"relay on 0\r")

    assert isinstance(port, serial.Serial)
    assert os.read(master, 100) == b"relay on 0\r"
    assert port.read_until(b">") == b"ok\n\r>"
    assert port.read(4) == b"more"
    assert [(e.direction, e.data) for e in transcript] == [
        (">", b"relay on 0\r"),
        ("<", b"ok\n\r>"),
        ("<", b"more"),
    ]
    port.close()
    os.close(master)
    os.close(slave)
