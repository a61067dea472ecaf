"""A door of SCPI and clients in a hurry: many messages at once, and more than the instrument can answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bench.doors import tcp_door
from bench.doors.socket_door import SocketDoor
from tests.door_loop import Box, DoorLoop, receive


@pytest.fixture
def loop() -> Iterator[DoorLoop]:
    with DoorLoop() as loop:
        yield loop


def served(loop: DoorLoop, twin: Box) -> Any:
    return loop.open(SocketDoor(twin, clock=loop.clock))


def answered(loop: DoorLoop, door: Any) -> str:
    """What a new client hears."""
    return str(loop.client(door.address).query("*IDN?"))


def test_many_messages_at_once_are_all_answered_though_the_client_closes_its_half(loop: DoorLoop):
    door = served(loop, Box())
    connection = loop.connect(door.port)

    connection.sendall(b"VOLT 2\n" * 500 + b"*IDN?\n" * 500 + b"VOLT 3\n" * 500)
    connection.shutdown(socket.SHUT_WR)

    answer = b"Maker,Box,1,2.0\n"
    assert receive(connection, 501 * len(answer)) == answer * 500  # and then the end


def test_a_busy_instrument_takes_in_no_more_than_it_can_answer(loop: DoorLoop):
    twin = Box(delay_s=1000.0)
    door = served(loop, twin)
    hasty = loop.connect(door.port)

    hasty.sendall(b"*IDN?\n" * 5000)
    loop.until(lambda: len(twin.heard) >= 100)
    twin.delay_s = 0.0

    assert answered(loop, door) == "Maker,Box,1,2.0"
    assert len(twin.heard) == 100 + 1


def test_what_a_hasty_client_sends_does_not_pile_up_while_it_gets_answers(loop: DoorLoop):
    twin = Box(delay_s=0.001)
    door = served(loop, twin)
    hasty = loop.connect(door.port)
    hasty.settimeout(0.2)

    with pytest.raises(TimeoutError):  # it is told to wait long before this has gone
        hasty.sendall(b"*IDN?\n" * 10_000_000)
    (client,) = door.clients

    assert loop.do(lambda: len(client.inbox)) < 2 * tcp_door._MOST_HELD
    assert answered(loop, door) == "Maker,Box,1,2.0"
