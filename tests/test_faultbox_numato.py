"""Numato relay module: printed text, contacts that take time, rival faults, damaged answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, StationInvalid, WireError
from bench.wires.twin import Reply
from instruments.faultbox_numato import EXCHANGES, NumatoRelays
from instruments.faultbox_numato_twin import NumatoTwin
from tests.fake_terminals import FakeFaults
from tests.rig import Rig, rig

RELAYS = {"open_sense_wire_0": 0, "open_sense_wire_1": 10, "short_circuit": 31, "hvil_open": 5}
RIVALS = [["open_sense_wire_0", "open_sense_wire_1"]]


def module(**options: object) -> Rig:
    return rig(
        NumatoRelays,
        FakeFaults(),
        max_v=60.0,
        max_a=5.0,
        **{"relays": RELAYS, "exclusive": RIVALS, **options},
    )


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.request.decode().strip())
def test_the_twin_answers_as_known(exchange):
    reply = module().twin.handle(exchange.request)

    assert reply is not None
    assert reply.data == exchange.reply


def test_the_driver_sends_as_known():
    bench = module()

    bench.driver.prepare()
    bench.driver.insert("open_sense_wire_0")
    bench.driver.remove("open_sense_wire_0")
    bench.driver.insert("open_sense_wire_1")
    bench.driver.insert("short_circuit")
    bench.driver.is_off()
    bench.driver.identity()

    assert bench.sent() == [
        "",
        "relay writeall 00000000",
        "relay on 0",
        "relay read 0",
        "relay off 0",
        "relay read 0",
        "relay on A",
        "relay read A",
        "relay on V",
        "relay read V",
        "relay readall",
        "ver",
        "id get",
    ]


def test_a_fault_goes_in_and_out_and_is_traced():
    bench = module()
    bench.driver.prepare()

    bench.driver.insert("short_circuit")
    inserted = bench.terminal.active("short_circuit")
    bench.clock.sleep(1.0)
    bench.driver.remove("short_circuit")

    assert inserted
    assert not bench.terminal.active("short_circuit")
    trace = bench.driver.traces()["fault.short_circuit"]
    assert trace.value.tolist() == [0.0, 1.0, 0.0]
    assert trace.t_s[2] - trace.t_s[1] > 1.0
    assert str(trace.origin) == "measured by role"


def test_a_contact_takes_its_time():
    clock = Clock()
    terminal = FakeFaults()
    twin = NumatoTwin(terminal, clock=clock, options=NumatoRelays.Options(relays=RELAYS, travel_s=0.01))

    twin.handle(b"relay on 5\r")
    clock.sleep(0.005)
    before = terminal.active("hvil_open")
    clock.sleep(0.006)
    after = terminal.active("hvil_open")
    twin.handle(b"relay off 5\r")
    clock.sleep(0.011)

    assert (before, after, terminal.active("hvil_open")) == (False, True, False)


def test_a_pulse_shorter_than_the_travel_moves_nothing():
    clock = Clock()
    terminal = FakeFaults()
    twin = NumatoTwin(terminal, clock=clock, options=NumatoRelays.Options(relays=RELAYS))

    twin.handle(b"relay on 5\rrelay off 5\r")
    clock.sleep(0.1)

    assert not terminal.active("hvil_open")


def test_a_rival_is_refused_until_the_first_is_out():
    bench = module()
    bench.driver.prepare()
    bench.driver.insert("open_sense_wire_0")

    with pytest.raises(InstrumentRefused, match="open_sense_wire_0 is in, and its relay shares a wire"):
        bench.driver.insert("open_sense_wire_1")
    bench.driver.insert("hvil_open")
    bench.driver.remove("open_sense_wire_0")
    bench.driver.insert("open_sense_wire_1")

    assert bench.terminal.inserted == {"hvil_open", "open_sense_wire_1"}


def test_the_wiring_breaks_before_it_makes_whatever_is_sent():
    clock = Clock()
    terminal = FakeFaults()
    twin = NumatoTwin(terminal, clock=clock, options=NumatoRelays.Options(relays=RELAYS, exclusive=RIVALS))
    together = []
    clock.every(0.001, lambda: together.append(len(terminal.inserted)), name="watch")

    twin.handle(b"relay on 0\r")
    clock.sleep(0.05)
    reply = twin.handle(b"relay on A\rrelay read A\r")
    clock.sleep(0.05)
    held = set(terminal.inserted)
    twin.handle(b"relay off 0\r")
    clock.sleep(0.05)

    assert reply is not None
    assert b"\n\ron\n\r" in reply.data  # the module knows its coil, not the contact
    assert held == {"open_sense_wire_0"}
    assert terminal.inserted == {"open_sense_wire_1"}
    assert max(together) == 1


def test_off_opens_all_relays_and_is_off_reads_all_of_them_back():
    bench = module()
    bench.driver.prepare()
    bench.driver.insert("hvil_open")
    assert not bench.driver.is_off()

    bench.driver.off()

    assert bench.driver.is_off()
    assert bench.terminal.inserted == set()
    bench.twin.handle(b"relay on 7\r")  # a relay without a fault
    assert not bench.driver.is_off()


def test_prepare_clears_what_stands_in_the_command_line():
    bench = module()
    bench.twin.handle(b"relay o")

    bench.driver.prepare()

    assert bench.driver.is_off()


def test_identity():
    assert module().driver.identity() == "Numato Lab 32 channel USB relay, id 00000000, firmware 00000008"


def test_an_unknown_fault_is_refused():
    with pytest.raises(InstrumentRefused, match="role has no relay for 'weld_charge'"):
        module().driver.insert("weld_charge")


@pytest.mark.parametrize(
    ("answer", "error", "what"),
    [
        (b"", WireError, "found silence"),
        (b"relay on 0\n\r", FrameInvalid, "a prompt at the end"),
        (b"relay 0n 0\n\r>", FrameInvalid, "repeated"),
        (b"relay on 0\n\rbusy\n\r>", FrameInvalid, "nothing but the prompt"),
    ],
)
def test_strange_answers_are_told(answer: bytes, error: type[Exception], what: str):
    bench = module()
    bench.twin.handle = lambda _message: Reply(answer)

    with pytest.raises(error, match=what):
        bench.driver.insert("open_sense_wire_0")


def test_a_relay_that_does_not_follow_is_told():
    bench = module()
    bench.twin._switch = lambda _coils: None

    with pytest.raises(WireError, match="expected the relay of hvil_open to read back on, found 'off'"):
        bench.driver.insert("hvil_open")


@given(st.binary(max_size=60))
def test_no_bytes_break_the_module(data: bytes):
    clock = Clock()
    twin = NumatoTwin(FakeFaults(), clock=clock, options=NumatoRelays.Options(relays=RELAYS))

    twin.handle(data)
    twin.handle(b"relay " + data + b"\r")
    clock.sleep(0.1)


def test_impossible_wiring_is_told():
    with pytest.raises(StationInvalid, match="at most 2 A, the rating of a contact"):
        module(contact_a=2.0)
    with pytest.raises(ValueError, match="of its own"):
        NumatoRelays.Options(relays={"a": 1, "b": 1})
    with pytest.raises(ValueError, match="relay of 0 to 7"):
        NumatoRelays.Options(relays={"a": 8}, channels=8)
    with pytest.raises(ValueError, match="found \\['c'\\]"):
        NumatoRelays.Options(relays={"a": 1}, exclusive=[["a", "c"]])
    with pytest.raises(StationInvalid, match="weld_charge"):
        module(relays={"weld_charge": 1}, exclusive=[])
