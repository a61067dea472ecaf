"""`bmsbench discover`: who answers is named by its driver's own data, and the entry can be pasted."""

from __future__ import annotations

import socket
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import can
import pytest
from pyvisa.constants import InterfaceType
from pyvisa_py.sessions import Session
from serial.tools import list_ports

from bench.bringup import listing
from bench.bringup.probes import Answer, probe
from bench.bringup.proposal import entry, identified, proposals
from bench.bringup.recognition import known_drivers, those_for
from bench.errors import InvalidInput
from bench.sim import SimClient
from bench.station import Station
from bench.station_file import load_station
from dut_profiles.profile import load_profile
from instruments.cells_bs1200 import Bs1200
from tests.cli_calls import Said, caller
from tests.drivers import Found, drivers, rig_of

#: Drivers over a wire on which nobody says who he is unless he is told to speak: CAN without broadcasts.
MUTE = {"N83624Can"}
#: Modules whose drivers take the place of none of the roles that a station has to name.
ROLES = {"supply", "load", "cells", "thermistors", "faultbox", "meter", "voltmeter", "scanner", "chamber"}
NEEDS_PTY = pytest.mark.skipif(sys.platform == "win32", reason="the loopback station has pseudo terminals")

Call = Callable[..., Said]


@pytest.fixture
def bmsbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    return caller(monkeypatch, capfd, tmp_path)


@pytest.fixture(scope="module")
def sim() -> Iterator[SimClient]:
    client = SimClient.start("loopback", "hd_lfp_24s")
    yield client
    client.close()


def known(name: str):
    (found,) = [driver for driver in known_drivers() if driver.driver.__name__ == name]
    return found


# -- data in the drivers --------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [f for f in drivers() if hasattr(f.driver, "idn")], ids=str)
def test_a_driver_recognizes_its_own_stand_in_and_nobody_elses_name(found: Found) -> None:
    identity = rig_of(found).driver.identity()
    names = {driver.name for driver in those_for(identity, [found.driver.transport])}
    own = f"{found.module.__name__}:{found.driver.__name__}"

    assert own in names
    named = {name for name in names if not known(name.partition(":")[2]).is_nameless}
    same_device = {name for name in named if name.partition("_")[2] == own.partition("_")[2]}
    assert named - same_device <= {own}


def test_every_driver_can_be_recognized_or_it_is_known_why_not() -> None:
    silent = {f.driver.__name__ for f in drivers() if f.role in ROLES and not hasattr(f.driver, "idn")}

    # One that inherits its words has its base's; one that joins several has no wire of its own.
    assert silent <= MUTE


def test_words_must_all_occur_in_any_case() -> None:
    rp7900 = known("Rp7900")

    assert rp7900.matches("KEYSIGHT TECHNOLOGIES,RP7936A,MY1,B.03")
    assert not rp7900.matches("Keysight Technologies,34461A,MY1,A.02")
    assert not rp7900.matches("Somebody,RP7936A,1,1")
    assert not rp7900.matches("")


def test_of_several_words_one_is_enough() -> None:
    scanner = known("Daq970a")

    assert scanner.matches("HEWLETT-PACKARD,34970A,0,13-2-2")
    assert scanner.matches("Keysight Technologies,DAQ970A,MY00000000,A.01.00")


def test_boxes_are_recognized_by_what_they_publish() -> None:
    status, cells = bytes(4), bytes(8)
    sent = [(0x101, status), (0x121, cells), (0x102, status), (0x122, cells), (0x103, status)]

    # Box 3 publishes no cells, so what has its identifier may be somebody else.
    assert Bs1200.heard(sent) == "Bloomy BS1200 box 1, box 2"
    assert Bs1200.heard([(0x301, cells)]) == ""


# -- entries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("Keysight Technologies,RP7936A,MY12345678,B.03.02.1232", ("MY12345678", "B.03.02.1232")),
        ("Chroma,63224A-150-2000,00000000,01.00", ("", "01.00")),
        ("Numato Lab 32 channel USB relay, id 00000017, firmware 00000008", ("00000017", "00000008")),
        ("Bloomy BS1200 box 1, box 2", ("", "")),
        ("EA GmbH, PSB 10200-420, 2120440001, KE 3.10, HMI 4.09, DR 1.0.7", ("2120440001", "KE 3.10")),
    ],
)
def test_serial_number_and_firmware_come_out_of_an_identity(identity: str, expected: tuple[str, str]) -> None:
    assert identified(identity) == expected


def test_an_entry_can_be_pasted_and_leaves_the_ceilings_open() -> None:
    identity = "Keysight Technologies,RP7936A,MY12345678,B.03.02.1232"
    text = entry("charger", Answer("TCPIP::h::5025::SOCKET", identity, (known("Rp7900"),)))

    assert tomllib.loads(text)["roles"]["charger"] == {
        "driver": "instruments.supply_rp7900:Rp7900",
        "address": "TCPIP::h::5025::SOCKET",
        "serial": "MY12345678",
        "firmware": "B.03.02.1232",
        "poll_s": 1.0,
    }
    assert "# max_v = ?   # [V]" in text
    assert "# max_a = ?   # [A]" in text
    assert "# weakest exchange of its driver: unverified" in text


def test_what_the_options_demand_is_left_open_too() -> None:
    text = entry("faults", Answer("/dev/ttyACM0", "Numato Lab ...", (known("NumatoRelays"),)))

    assert "# [roles.faults.options]\n# relays = ?\n" in text


def test_several_of_a_kind_get_names_of_their_own() -> None:
    answer = Answer("x", "y", (known("Rp7900"),))

    assert [name for name, _ in proposals([answer, answer, answer, answer])] == [
        "charger",
        "regen",
        "charger_2",
        "charger_3",
    ]


def test_a_device_without_a_name_is_told_as_such() -> None:
    text = entry("thermistors", Answer("/dev/ttyUSB0", "Waveshare ...", (known("WaveshareAo8"),)))

    assert "# recognized by its registers only" in text


# -- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1", "twin://charger", ""])
def test_an_address_without_a_known_form_is_told(address: str) -> None:
    with pytest.raises(InvalidInput, match="expected a VISA name, a serial device"):
        probe(address)


def test_a_bit_rate_that_is_none_is_told() -> None:
    with pytest.raises(InvalidInput, match="expected bitrate=<bit/s>, found 'fast'"):
        probe("can:socketcan:can0?bitrate=fast")


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    "form",
    [
        "TCPIP::127.0.0.1::{}::SOCKET",
        "tcp://127.0.0.1:{}",
        "socket://127.0.0.1:{}",
        "can:socketcand:can0?host=127.0.0.1&port={}",
    ],
)
def test_nobody_there_is_an_answer_and_no_error(form: str, closed_port: int) -> None:
    answer = probe(form.format(closed_port))

    assert (answer.identity, answer.drivers) == ("", ())
    assert answer.remark


def test_a_name_that_no_driver_knows_is_shown(closed_port: int) -> None:
    import threading

    def answer_once(server: socket.socket) -> None:
        line, _ = server.accept()
        with line:
            while line.recv(100):
                line.sendall(b"ACME,Toaster 3000,17,1.0\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_once, args=(server,))
        thread.start()
        answer = probe(f"TCPIP::127.0.0.1::{server.getsockname()[1]}::SOCKET")
        thread.join(30.0)

    assert answer.identity == "ACME,Toaster 3000,17,1.0"
    assert answer.remark == "no driver knows it"


# -- what is listed ---------------------------------------------------------------------------------------


def test_no_network_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[InterfaceType] = []

    def of(interface: InterfaceType):
        def list_resources() -> list[str]:
            asked.append(interface)
            return [f"{interface.name}::INSTR"]

        return (interface, "INSTR"), type("S", (), {"list_resources": staticmethod(list_resources)})

    sessions = [of(kind) for kind in (InterfaceType.usb, InterfaceType.tcpip, InterfaceType.asrl)]
    monkeypatch.setattr(Session, "iter_valid_session_classes", classmethod(lambda cls: iter(sessions)))

    assert listing.visa_names() == ["usb::INSTR"]
    assert asked == [InterfaceType.usb]


def test_adapters_are_listed_without_networks_and_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    def detect(interfaces: list[str]) -> list[dict[str, str]]:
        assert not {"virtual", "udp_multicast", "serial"} & set(interfaces)
        return [
            {"interface": "pcan", "channel": "PCAN_USBBUS1"},
            {"interface": "socketcan", "channel": "can0"},
        ]

    monkeypatch.setattr(can, "detect_available_configs", detect)

    assert listing.can_channels() == ["can:pcan:PCAN_USBBUS1", "can:socketcan:can0"]


def test_a_listed_adapter_is_not_opened_at_a_guessed_bit_rate(
    bmsbench: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(can, "detect_available_configs", lambda _: [{"interface": "pcan", "channel": "P1"}])
    monkeypatch.setattr(list_ports, "comports", list)
    monkeypatch.setattr(can, "Bus", lambda **_: pytest.fail("opened"))
    said = bmsbench("discover")

    assert said.code == 40
    assert "can:pcan:P1: an adapter; give it with its bit rate to listen: can:pcan:P1?bitrate=" in said.out


def test_an_address_that_cannot_be_one_is_one_line(bmsbench: Call) -> None:
    said = bmsbench("discover", "--only-given", "nonsense")

    assert said.code == 4
    assert said.err.startswith("InvalidInput: address: expected a VISA name")
    assert len(said.err.splitlines()) == 1


# -- on real ports ----------------------------------------------------------------------------------------


@NEEDS_PTY
def test_every_instrument_behind_a_real_port_is_found_and_its_entry_names_its_driver(
    bmsbench: Call, sim: SimClient
) -> None:
    roles = load_station("loopback").roles
    said = bmsbench("discover", "--only-given", "--json", *(sim.addresses[role] for role in roles))

    assert said.code == 0
    found = {row["address"]: row["drivers"] for row in said.shown["answers"]}
    for role, entry_ in roles.items():
        assert entry_.driver in found[sim.addresses[role]], role
    tables = [tomllib.loads(text)["roles"] for text in said.shown["roles"].values()]
    assert len(tables) == len(roles)


@NEEDS_PTY
def test_on_the_bus_of_the_dut_no_instrument_is_known(sim: SimClient) -> None:
    silent = probe(sim.addresses["dut"], listen_s=0.5)
    station = Station(load_station("loopback"), load_profile("hd_lfp_24s"), addresses=sim.addresses)
    sim.power_cycle(station.clock, seed=7)
    with station:  # which feeds the DUT
        answer = probe(sim.addresses["dut"], listen_s=1.0)

    assert silent.remark == "nobody sent anything in 0.5 s"
    assert (answer.identity, answer.drivers) == ("", ())
    assert "frames of no instrument that is known, from 0x300" in answer.remark
