"""Other people's clients on the stand-ins: their drivers over real ports, and what the plant says came of it.

None of them is needed for the project; each test is skipped where its client is not installed.
`docs/how-to/try-other-clients.md` says how to get them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from bench.clock import Clock
from bench.sim import SimClient

PATIENCE_S = 20.0


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a client is not installed."""
    return pytest.mark.skipif(
        find_spec(package) is None, reason=f"{package} is not installed; see docs/how-to/try-other-clients.md"
    )


pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the showcase has pseudo terminals"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def sim() -> Iterator[SimClient]:
    client = SimClient.start("showcase", "hd_lfp_24s")
    yield client
    client.close()


@pytest.fixture
def showcase(sim: SimClient) -> SimClient:
    """The showcase with a pack nobody has touched."""
    sim.power_cycle(Clock(virtual=False), seed=7)
    return sim


def truth_when(sim: SimClient, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the plant says once `condition` holds of it, or in the end."""
    clock = Clock(virtual=False)
    clock.until(lambda: condition(sim.truth()), timeout_s=PATIENCE_S, step_s=0.05)
    return sim.truth()


def port_of(address: str) -> int:
    """The port in an address of the manifest."""
    found = re.search(r"(?:hislip0,|port=|127\.0\.0\.1[:,]{1,2})(\d+)", address)
    assert found is not None, address
    return int(found[1])


def visa_config(address: str) -> Any:
    return import_module("instro.lib.transports.visa").VisaConfig(address, visa_backend="@py")


# instro: a supply with two quadrants, and a load on its terminal.


@pytest.fixture
def psb(showcase: SimClient) -> Iterator[Any]:
    """A PSB 10000 in the hands of instro, at 24 V and up to 10 A."""
    driver = import_module("instro.psu.drivers.ea_psb10000")
    device = driver.EAPSB10000Visa(visa_config(showcase.addresses["charger_psb10000"]))
    device.source.open()
    device.source.set_current_limit(10.0, 1)
    device.source.set_voltage(24.0, 1)
    device.source.output_enable(True, 1)
    yield device.source
    device.source.output_enable(False, 1)
    device.source.close()


@needs("instro")
def test_a_load_of_instro_draws_from_a_supply_of_instro(showcase: SimClient, psb: Any):
    eload = import_module("instro.eload.drivers.rigol_dl30xx")
    mode = import_module("instro.eload.types").LoadMode.CC
    load = eload.RigolDL30xx(visa_config(showcase.addresses["load_dl3021"]))
    load.open()

    load.set_mode(mode, 1)
    load.set_range(mode, 4.0, 1)
    load.set_level(mode, 2.5, 1, None)
    load.output_enable(True, 1)
    truth = truth_when(showcase, lambda truth: truth["load"]["current_a"] > 2.4)

    assert truth["load"]["current_a"] == pytest.approx(2.5, rel=0.01)
    assert truth["regen"]["current_a"] == pytest.approx(2.5, rel=0.01)
    assert truth["regen"]["voltage_v"] == pytest.approx(24.0, rel=0.01)
    assert load.get_current(1) == pytest.approx(truth["load"]["current_a"], rel=0.01)
    assert psb.get_current(1) == pytest.approx(truth["regen"]["current_a"], abs=0.5)
    load.output_enable(False, 1)
    load.close()


@needs("instro")
def test_instro_sees_what_the_instruments_refuse(showcase: SimClient, psb: Any):
    with pytest.raises(RuntimeError, match="reported error: -222"):
        psb.set_voltage(500.0, 1)

    load = import_module("instro.eload.drivers.rigol_dl30xx").RigolDL30xx(
        visa_config(showcase.addresses["load_dl3021"])
    )
    load.open()
    with pytest.raises(RuntimeError, match="reported error: -222"):
        load.set_cc_params(range=1e6)
    load.close()


@needs("instro")
def test_a_dp832_of_instro_feeds_the_board(showcase: SimClient):
    driver = import_module("instro.psu.drivers.rigol_dp800")
    supply = driver.RigolDP800(visa_config(showcase.addresses["auxiliary_dp832"]))
    supply.open()

    supply.set_current_limit(2.0, 1)
    supply.set_voltage(12.0, 1)
    supply.output_enable(True, 1)
    truth = truth_when(showcase, lambda truth: truth["auxiliary"]["voltage_v"] > 11.0)

    assert truth["auxiliary"]["voltage_v"] == pytest.approx(12.0, rel=0.01)
    assert supply.get_operating_mode(1).name == "CONSTANT_VOLTAGE"
    supply.output_enable(False, 1)
    supply.close()
    assert not showcase.truth()["auxiliary"]["enabled"]


# QCoDeS.


@needs("qcodes")
def test_a_34461a_of_qcodes_reads_the_pack(showcase: SimClient):
    drivers = import_module("qcodes.instrument_drivers.Keysight")
    meter = drivers.Keysight34461A("meter", showcase.addresses["voltmeter_34461a"], visalib="@py")

    meter.range(100.0)
    meter.NPLC(1)

    assert meter.volt() == pytest.approx(showcase.truth()["pack"]["voltage_v"], rel=1e-3)
    assert meter.error() == (0, "No error")
    meter.close()


@needs("qcodes")
def test_a_dp832_of_qcodes_feeds_the_board(showcase: SimClient):
    drivers = import_module("qcodes.instrument_drivers.rigol")
    address = showcase.addresses["auxiliary_dp832"]
    # A plain socket says nothing of the end of an answer: QCoDeS has to be told.
    supply = drivers.RigolDP832("supply", address, visalib="@py", terminator="\n")

    supply.ch1.set_voltage(13.5)
    supply.ch1.set_current(2.0)
    supply.ch1.state("on")
    truth = truth_when(showcase, lambda truth: truth["auxiliary"]["voltage_v"] > 13.0)

    assert truth["auxiliary"]["voltage_v"] == pytest.approx(13.5, rel=0.01)
    assert supply.ch1.mode() == "ConstantVoltage"
    supply.ch1.state("off")
    supply.close()


# pymeasure: its own test with a DMM6500, as far as the stand-in has the inputs.


@needs("pymeasure")
def test_a_dmm6500_of_pymeasure_keeps_what_its_test_with_a_device_found(showcase: SimClient):
    driver = import_module("pymeasure.instruments.keithley")
    meter = driver.KeithleyDMM6500(showcase.addresses["meter_dmm6500"], visa_library="@py")
    meter.reset()

    meter.mode = "voltage"
    for aperture, kept in (("MIN", 8.33e-6), ("MAX", 0.25), ("DEF", 0.0166667), (16e-3, 16e-3)):
        meter.aperture = aperture
        assert meter.aperture == kept
    for asked, kept in (("MIN", 0.1), ("MAX", 1000), ("DEF", 1000)):
        meter.range = asked
        assert meter.range == kept
    meter.trigger_single_autozero()
    assert meter.autozero_enabled is False
    meter.measure_voltage(1.0)

    assert meter.check_errors() == []
    # No current in the transducer, at 1 mV/A: only the offset of the meter.
    assert meter.voltage == pytest.approx(1e-3 * showcase.truth()["pack"]["current_a"], abs=1e-4)


# What puts faults in.


@needs("numato_eth")
def test_relays_of_numato_eth_put_faults_in(showcase: SimClient, monkeypatch: pytest.MonkeyPatch):
    numato = import_module("numato_eth.eth")
    telnet, port = numato.telnetlib.Telnet, port_of(showcase.addresses["faults_ethernet"])
    # It knows only port 23.
    monkeypatch.setattr(numato.telnetlib, "Telnet", lambda host: telnet(host, port, timeout=PATIENCE_S))
    module = numato.Eth_Module(numberRelays=16, deviceIP="127.0.0.1", username="admin", password="admin")

    module.relay_on(0)
    assert truth_when(showcase, lambda truth: bool(truth["faults"]))["faults"] == ["hvil_open"]
    module.relay_writeall("0000")

    assert truth_when(showcase, lambda truth: not truth["faults"])["faults"] == []


@needs("pyModbusTCP")
def test_coils_of_pymodbustcp_put_faults_in(showcase: SimClient):
    client = import_module("pyModbusTCP.client").ModbusClient(
        "127.0.0.1", port_of(showcase.addresses["faults_coils"]), unit_id=1, timeout=PATIENCE_S
    )

    assert client.write_multiple_coils(0, [False, True])
    assert truth_when(showcase, lambda truth: bool(truth["faults"]))["faults"] == ["fan_stopped"]
    assert client.read_holding_registers(0, 1) is None
    assert client.last_except == 1  # illegal function


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
def test_mbpoll_puts_a_fault_in(showcase: SimClient):
    port = str(port_of(showcase.addresses["faults_coils"]))

    command = ["mbpoll", "-m", "tcp", "-p", port, "-a", "1", "-0", "-r", "0", "-t", "0", "127.0.0.1", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert truth_when(showcase, lambda truth: bool(truth["faults"]))["faults"] == ["hvil_open"]


# Cells and chambers.


@needs("bs1200")
def test_cells_of_bloomys_driver_are_connected(showcase: SimClient, monkeypatch: pytest.MonkeyPatch):
    driver = import_module("bs1200.driver")
    daemon = import_module("can.interfaces.socketcand").SocketCanDaemonBus
    port = port_of(showcase.addresses["cells_bs1200"])

    class Bus(daemon):  # type: ignore[misc]
        """What stands in for the PEAK adapter that the driver insists on."""

        def __init__(self, **_: Any) -> None:
            super().__init__(channel="can0", host="127.0.0.1", port=port)

        def status_is_ok(self) -> bool:
            return True

    monkeypatch.setattr(driver.pcan, "PcanBus", Bus)
    box = driver.BS1200([1, 2])

    box.set_V_all(1, 3.5)
    box.set_I_all(1, 0.1, 0.1)
    box.cell_enable_all(1, True)

    assert truth_when(showcase, lambda truth: truth["cells_connected"] == 12)["cells_connected"] == 12
    clock = Clock(virtual=False)
    assert clock.until(
        lambda: abs(box.readback_cell_V(1, 12) - 3.5) < 0.01, timeout_s=PATIENCE_S, step_s=0.05
    )
    box.cell_enable_all(1, False)
    box.notifier.stop()
    box.close()


@needs("daqmon")
def test_a_34970a_of_daqmon_scans_cells_and_pack(showcase: SimClient):
    driver = import_module("daqmon.instrument")
    (kind,) = {
        made for made in vars(driver).values() if isinstance(made, type) and hasattr(made, "fetch_data")
    }
    port = showcase.addresses["scanner_34970a"].removeprefix("ASRL").removesuffix("::INSTR")
    scanner = kind(port, 9600, timeout=PATIENCE_S)
    scanner.open()
    scanner.reset()

    scanner.configure_dc_voltage([101, 102, 103])
    scanner.set_scan_list([101, 102, 103])
    scanner.enable_channel_in_readings()
    readings = scanner.query_readings_with_channels("READ?")

    pack_v = showcase.truth()["pack"]["voltage_v"]
    assert [channel for _, channel in readings] == [101, 102, 103]
    assert readings[2][0] == pytest.approx(pack_v, rel=1e-3)
    assert readings[0][0] == pytest.approx(pack_v / 24, rel=0.02)
    scanner.close()


@needs("basil")
def test_a_labevent_of_basil_takes_the_pack_in_and_warms_it(showcase: SimClient):
    layer, driver = import_module("basil.TL.Socket"), import_module("basil.HL.weiss_labevent")
    wire = layer.Socket(
        {
            "name": "wire",
            "init": {
                "address": "127.0.0.1",
                "port": port_of(showcase.addresses["chamber_labevent"]),
                "read_termination": "\r\n",
                "write_termination": "\r",
            },
        }
    )
    wire.init()
    chamber = driver.weissLabEvent(wire, {"name": "chamber", "init": {}})
    chamber.init()

    chamber.set_temperature(60.0)
    chamber.start_manual_mode()
    truth = truth_when(showcase, lambda truth: truth["chamber"]["air_degc"] > 25.1)

    assert truth["chamber"]["closed"]
    assert truth["chamber"]["air_degc"] > 25.1
    assert chamber.get_status().startswith("3")
    assert chamber.get_temperature() == pytest.approx(showcase.truth()["chamber"]["air_degc"], abs=1.0)
    chamber.stop_manual_mode()


@needs("minimalmodbus")
def test_an_mk56_of_minimalmodbus_keeps_its_set_point(showcase: SimClient):
    library = import_module("minimalmodbus")
    chamber = library.Instrument(showcase.addresses["chamber_mk56"], 1)
    chamber.serial.baudrate, chamber.serial.timeout = 9600, PATIENCE_S
    order = library.BYTEORDER_LITTLE_SWAP  # low word first

    assert chamber.read_float(0x1004, byteorder=order) == pytest.approx(
        showcase.truth()["chamber"]["air_degc"], abs=1.0
    )
    chamber.write_float(0x114C, 35.0, byteorder=order)
    assert chamber.read_float(0x10B2, byteorder=order) == 35.0
    with pytest.raises(library.IllegalRequestError):
        chamber.read_register(0x7000)
    chamber.serial.close()


# VXI-11 by somebody else.


@needs("vxi11")
def test_python_vxi11_talks_to_a_dl3021(showcase: SimClient):
    library = import_module("vxi11.vxi11")
    load = library.Instrument("127.0.0.1", "inst0")
    # It would ask a port mapper at 111; told the port, it goes there.
    load.client = library.CoreClient("127.0.0.1", port_of(showcase.addresses["load_dl3021"]))

    assert load.ask("*IDN?").startswith("RIGOL TECHNOLOGIES,DL3021")
    load.write("FUNC RES")
    assert load.ask("FUNC?") == "CR"
    assert load.read_stb() & 4 == 0
    load.write("NONSENSE")
    assert load.read_stb() & 4  # an error waits
    load.clear()
    assert load.ask("SYST:ERR?").startswith("-113,")
    load.close()
