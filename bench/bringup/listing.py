"""Listing: what the libraries see without anything being opened. No network is searched.

pyvisa-py would broadcast on every network of this computer to list TCP/IP instruments, and python-can lists
buses that are multicast groups; both are left out. What stands on a network is given by its address.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import can
import pyvisa
from pyvisa.constants import InterfaceType
from pyvisa_py.sessions import Session
from serial.tools import list_ports

#: Interfaces of python-can that are no adapter: in process, a network, every serial port once more.
_NO_ADAPTER = ("virtual", "udp_multicast", "serial")
#: The network, and serial ports, which are listed by pyserial.
_NOT_BY_VISA = (InterfaceType.tcpip, InterfaceType.asrl)


def visa_names() -> list[str]:
    """USB and GPIB instruments, as far as their libraries are installed."""
    pyvisa.ResourceManager("@py")  # its sessions are registered with it
    names: set[str] = set()
    for (interface, _), session in Session.iter_valid_session_classes():
        if interface in _NOT_BY_VISA or "prlgx" in str(interface):
            continue
        try:
            names.update(session.list_resources())
        except Exception as error:  # a library without its device, in whatever words
            logging.getLogger(__name__).debug("%s lists nothing: %s", session, error)
    return sorted(names)


def serial_ports() -> list[str]:
    """Serial devices."""
    return sorted(port.device for port in list_ports.comports())


def can_channels() -> list[str]:
    """CAN adapters as `can:<interface>:<channel>`."""
    with _without_chatter("can"):
        interfaces = [name for name in can.interfaces.BACKENDS if name not in _NO_ADAPTER]
        found = can.detect_available_configs(interfaces)
    return sorted({f"can:{config['interface']}:{config['channel']}" for config in found})


@contextmanager
def _without_chatter(name: str) -> Iterator[None]:
    """python-can warns of every adapter whose library is not installed."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
