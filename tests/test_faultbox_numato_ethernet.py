"""Numato Ethernet relay module: its login, several clients, damaged answers, a public driver's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, WireError
from bench.wires.twin import Reply
from instruments.faultbox_numato_ethernet import EXCHANGES, NumatoEthernetRelays
from instruments.faultbox_numato_ethernet_twin import NumatoEthernetTwin, Session
from tests.fake_terminals import FakeFaults
from tests.rig import Rig, rig

RELAYS = {"open_sense_wire_0": 0, "open_sense_wire_1": 10, "short_circuit": 15, "hvil_open": 5}


def module(**options: object) -> Rig:
    return rig(NumatoEthernetRelays, FakeFaults(), max_v=60.0, max_a=5.0, **{"relays": RELAYS, **options})


def board() -> tuple[NumatoEthernetTwin, Clock, FakeFaults]:
    clock, terminal = Clock(), FakeFaults()
    options = NumatoEthernetRelays.Options(relays=RELAYS)
    return NumatoEthernetTwin(terminal, clock=clock, options=options), clock, terminal


def says(session: Session, text: bytes) -> bytes:
    reply = session.handle(text)
    return b"" if reply is None else reply.data


def logged_in(twin: NumatoEthernetTwin) -> Session:
    session = twin.session()
    session.greet()
    says(session, b"admin\r\nadmin\r\n")
    return session


def test_a_session_answers_as_known():
    twin, _, _ = board()
    session = twin.session()

    assert session.greet().endswith(b"User Name: ")
    for exchange in EXCHANGES:
        assert says(session, exchange.request) == exchange.reply, exchange


def test_the_driver_sends_as_known():
    bench = module()

    bench.driver.prepare()
    bench.driver.insert("open_sense_wire_1")
    bench.driver.remove("open_sense_wire_1")
    bench.driver.is_off()
    bench.driver.identity()

    assert bench.sent() == [
        "",  # the line in process does not greet: an empty line asks for the prompt
        "admin",
        "admin",
        "relay writeall 0000",
        "relay on A",
        "relay read A",
        "relay off A",
        "relay read A",
        "relay readall",
        "ver",
        "id get",
    ]


def test_identity():
    identity = module().driver.identity()

    assert identity == "Numato Lab 16 channel Ethernet relay, id 00000000, firmware 00000005"


def test_a_greeting_that_waits_is_answered_without_an_empty_line():
    bench = module()
    bench.twin.session = lambda: bench.twin._implied
    bench.twin._implied = Session(bench.twin)
    wire = bench.driver._wire
    wire.feed(bench.twin._implied.greet())

    bench.driver.off()

    assert bench.sent() == ["admin", "admin", "relay writeall 0000"]


def test_a_module_that_takes_the_empty_line_for_a_user_name_is_logged_into_all_the_same():
    bench = module()
    denied = b"\r\nAccess denied\r\n\r\nUser Name: "
    replies = [b"Password: ", denied, b"Password: ", b"\r\nLogged in successfully\r\n>", b"0000\r\n>"]
    bench.twin.handle = lambda _message: Reply(replies.pop(0))

    assert bench.driver.is_off()
    assert bench.sent() == ["", "", "admin", "admin", "relay readall"]


@pytest.mark.parametrize(("key", "value"), [("user", "root"), ("password", "guess")])
def test_a_wrong_login_is_refused_and_said(key: str, value: str):
    bench = module()
    bench.driver.options = bench.settings.model_copy(update={key: value})

    with pytest.raises(
        InstrumentRefused, match=r"role refused the login .*Access denied.* Check \[roles\.role"
    ):
        bench.driver.off()

    bench.driver.options = bench.settings
    bench.driver.off()
    assert bench.driver.is_off()


def test_a_command_before_the_login_moves_nothing():
    twin, clock, terminal = board()
    session = twin.session()

    answers = [says(session, b"relay on 5\r\n"), says(session, b"relay on 5\r\n")]
    clock.sleep(0.1)

    assert answers[0] == b"Password: "
    assert b"denied" in answers[1]
    assert terminal.inserted == set()


def test_two_clients_have_one_board_and_a_login_each():
    twin, clock, terminal = board()
    first, second = logged_in(twin), twin.session()

    says(first, b"relay on 5\r\n")
    clock.sleep(0.1)

    assert terminal.inserted == {"hvil_open"}
    assert says(second, b"relay read 5\r\n") == b"Password: "
    assert says(logged_in(twin), b"relay readall\r\n") == b"0020\r\n>"


@pytest.mark.parametrize("end", [b"\r\n", b"\n\r", b"\r", b"\n"])
def test_every_line_end_that_public_drivers_send_is_one_line(end: bytes):
    twin, _, _ = board()
    session = twin.session()

    answer = says(session, b"admin" + end + b"admin" + end + b"relay read 5" + end + b"relay read 5" + end)

    assert answer == b"Password: \r\nLogged in successfully\r\n>off\r\n>off\r\n>"


def test_telnet_negotiation_is_no_text():
    twin, _, _ = board()
    session = twin.session()

    # DO suppress-go-ahead and WILL terminal-type, the second cut in two.
    says(session, b"\xff\xfd\x03admin\r\n\xff\xfb")
    answer = says(session, b"\x18admin\r\n")

    assert answer.endswith(b"successfully\r\n>")


def test_what_the_public_driver_asks_beside_relays_is_answered():
    twin, _, _ = board()
    session = logged_in(twin)

    assert says(session, b"usr get\r\n") == b"admin\r\n>"
    says(session, b"gpio iodir fe\r\n")
    says(session, b"gpio writeall 01\r\n")
    assert says(session, b"gpio read 0\r\n") == b"1\r\n>"
    assert says(session, b"gpio readall\r\n") == b"01\r\n>"
    assert says(session, b"adc read 3\r\n") == b"0000\r\n>"
    says(session, b"relay on F\r\n")
    says(session, b"reboot\r\n")
    assert says(session, b"relay readall\r\n") == b"0000\r\n>"


def test_a_changed_password_holds_for_the_next_client():
    twin, _, _ = board()
    says(logged_in(twin), b"pass set secret\r\n")

    assert b"denied" in says(twin.session(), b"admin\r\nadmin\r\n")
    assert b"successfully" in says(twin.session(), b"admin\r\nsecret\r\n")


@pytest.mark.parametrize(
    ("answer", "error", "what"),
    [
        (b"", WireError, "found silence"),
        (b"on\r\n", FrameInvalid, "a prompt at the end"),
        (b"busy\r\n>", FrameInvalid, "nothing but the prompt"),
    ],
)
def test_strange_answers_are_told(answer: bytes, error: type[Exception], what: str):
    bench = module()
    bench.driver.prepare()
    bench.twin.handle = lambda _message: Reply(answer)

    with pytest.raises(error, match=what):
        bench.driver.insert("open_sense_wire_0")


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_break_the_module(before: bytes, after: bytes):
    twin, clock, _ = board()

    says(twin.session(), before)
    says(logged_in(twin), b"relay " + after + b"\r\n")
    says(logged_in(twin), b"gpio " + after + b"\r\n")
    twin.handle(before)
    clock.sleep(0.1)
