"""Modbus relay modules: whole frames of both framings, coils beyond the module, rivals, one board."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import InstrumentRefused, StationInvalid, WireError
from bench.wires.modbus_server import rtu
from instruments.faultbox_modbus_coils import EXCHANGES, ModbusCoils, ModbusCoilsRtu
from instruments.faultbox_modbus_coils_twin import ModbusCoilsTwin
from tests.fake_terminals import FakeFaults
from tests.rig import Rig, rig

RELAYS = {"open_sense_wire_0": 0, "open_sense_wire_1": 1, "short_circuit": 7, "hvil_open": 5}
RIVALS = [["open_sense_wire_0", "open_sense_wire_1"]]


def module(driver: type = ModbusCoils, **options: object) -> Rig:
    given = {"relays": RELAYS, "exclusive": RIVALS, **options}
    return rig(driver, FakeFaults(), max_v=60.0, max_a=5.0, **given)


@pytest.mark.parametrize("face", ["tcp", "rtu"])
def test_the_twin_answers_as_known(face: str):
    twin = module().twin

    for exchange in EXCHANGES:
        if exchange.face == face:
            assert twin.faces[face].handle(exchange.request).data == exchange.reply, exchange


def test_the_driver_sends_as_known_over_tcp():
    bench = module()

    bench.driver.is_off()
    bench.driver.insert("hvil_open")
    bench.driver.remove("hvil_open")
    bench.driver.off()

    # Without the transaction, which only counts: length 6 or 8, unit 1, function, address, value.
    assert [frame[4:].hex() for frame in bench.transcript.sent("role")] == [
        "0006010100000008",
        "000601050005ff00",
        "0006010100000008",
        "0006010500050000",
        "0006010100000008",
        "0008010f000000080100",
    ]


def test_the_driver_sends_whole_rtu_frames():
    bench = module(ModbusCoilsRtu)

    bench.driver.insert("open_sense_wire_0")

    sent = [frame.hex() for frame in bench.transcript.sent("role")]
    # Device 1, function 5, coil 0 on; CRC by polynomial 0xA001. Then eight coils are read.
    assert sent == ["01050000ff008c3a", rtu(1, bytes.fromhex("0100000008")).hex()]


def test_both_connectors_are_one_board():
    clock, terminal = Clock(), FakeFaults()
    twin = ModbusCoilsTwin(terminal, clock=clock, options=ModbusCoils.Options(relays=RELAYS))

    twin.faces["rtu"].handle(rtu(1, bytes.fromhex("050005ff00")))
    clock.sleep(0.1)
    reply = twin.faces["tcp"].handle(bytes.fromhex("000100000006010100000008"))

    assert terminal.inserted == {"hvil_open"}
    assert reply is not None
    assert reply.data[-1] == 0x20


def test_a_fault_goes_in_and_out_and_is_traced():
    bench = module()
    bench.driver.prepare()

    bench.driver.insert("short_circuit")
    inserted = bench.terminal.active("short_circuit")
    bench.clock.sleep(1.0)
    bench.driver.remove("short_circuit")

    assert inserted
    assert bench.terminal.inserted == set()
    assert bench.driver.traces()["fault.short_circuit"].value.tolist() == [0.0, 1.0, 0.0]


def test_a_rival_is_refused_until_the_first_is_out():
    bench = module()
    bench.driver.insert("open_sense_wire_0")

    with pytest.raises(InstrumentRefused, match="open_sense_wire_0 is in, and its relay shares a wire"):
        bench.driver.insert("open_sense_wire_1")

    assert bench.terminal.inserted == {"open_sense_wire_0"}


def test_a_coil_that_the_module_does_not_have_is_refused_by_it():
    bench = module()
    bench.driver.options = bench.settings.model_copy(update={"coils": 16})

    with pytest.raises(InstrumentRefused, match=r"role refused to read 16 coils .* illegal data address"):
        bench.driver.is_off()


def test_a_relay_that_does_not_follow_is_told():
    bench = module()
    bench.twin.write = lambda *_: None

    with pytest.raises(WireError, match="expected the relay of hvil_open to read back on, found 'off'"):
        bench.driver.insert("hvil_open")


def test_its_options_say_what_a_contact_stands():
    options = module(hot_switching=True).driver.options

    assert (options.hot_switching, options.contact_v, options.contact_a) == (True, 30.0, 10.0)
    assert not ModbusCoils.Options(relays=RELAYS).hot_switching


def test_impossible_wiring_is_told():
    with pytest.raises(StationInvalid, match="at most 2 A, the rating of a contact"):
        module(contact_a=2.0)
    with pytest.raises(ValueError, match="relay of 0 to 7"):
        ModbusCoils.Options(relays={"a": 8})
    with pytest.raises(StationInvalid, match="weld_charge"):
        module(relays={"weld_charge": 1}, exclusive=[])


@given(st.sampled_from(["tcp", "rtu"]), st.binary(max_size=40))
def test_no_bytes_break_the_module(face: str, data: bytes):
    clock = Clock()
    twin = ModbusCoilsTwin(FakeFaults(), clock=clock, options=ModbusCoils.Options(relays=RELAYS))

    twin.faces[face].handle(data)
    twin.faces[face].handle(
        rtu(1, data) if face == "rtu" else b"\0\1\0\0" + bytes([0, len(data) + 1, 1]) + data
    )
    clock.sleep(0.1)
