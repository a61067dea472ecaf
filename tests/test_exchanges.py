"""Driver and twin are each held against EXCHANGES, the bytes of documents; never against each other.

For SCPI: the twin takes every request in the order of the table without an error and answers as printed, and
the driver sends no header that the table does not hold. Other transports are checked beside their drivers.
Where an instrument has several connectors, each driver is held against the exchanges of its own.
"""

from __future__ import annotations

import re
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruments.exchange import LABELS, Exchange, weakest_label
from instruments.scpi import expand
from tests.drivers import Found, drivers, modules, rig_of
from tests.test_roles import KITS, prepared

TABLES = [module for module in modules() if hasattr(module, "EXCHANGES")]
SCPI = [found for found in drivers() if found.driver.transport == "visa"]


def face_of_driver(driver: type) -> str:
    """Name of the connector that `driver` uses, "" if the instrument has but one."""
    return getattr(driver, "face", "")


def table_of(found: Found) -> list[Exchange]:
    """The exchanges at the connector of that driver."""
    face = face_of_driver(found.driver)
    return [exchange for exchange in found.module.EXCHANGES if exchange.face == face]


def test_the_weakest_label_is_that_of_the_least_known_exchange():
    known = Exchange(b"A", None, "a guide, p. 1", "manual")
    guessed = Exchange(b"B", None, "no source seen", "unverified")

    assert weakest_label([known]) == "manual"
    assert weakest_label([known, guessed]) == "unverified"
    assert weakest_label([]) == "unverified"


@pytest.mark.parametrize("found", drivers(), ids=str)
def test_every_driver_has_a_table(found: Found):
    assert table_of(found)


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__)
def test_every_exchange_belongs_to_a_driver(module: ModuleType):
    faces = {face_of_driver(found.driver) for found in drivers() if found.module is module}

    assert {exchange.face for exchange in module.EXCHANGES} <= faces


@pytest.mark.parametrize("module", TABLES, ids=lambda module: module.__name__)
def test_every_exchange_names_its_source_and_label(module: ModuleType):
    for exchange in module.EXCHANGES:
        assert exchange.request
        assert len(exchange.source) > 3
        assert exchange.label in LABELS
        # "no source seen" is the honest form; it is never better than unverified.
        assert exchange.source != "no source seen" or exchange.label == "unverified"


@pytest.mark.parametrize("found", SCPI, ids=str)
def test_the_twin_takes_every_request_and_answers_as_printed(found: Found):
    face = rig_of(found).face

    for exchange in table_of(found):
        reply = face.handle(exchange.request)

        assert (reply is not None) == (b"?" in exchange.request), exchange
        if exchange.reply is not None:
            assert reply.data.rstrip(b"\r\n") == exchange.reply
        error = face.handle(b"SYST:ERR?").data
        assert re.match(rb"\+?0\b", error), (exchange, error)


@pytest.mark.parametrize("found", SCPI, ids=str)
def test_the_driver_sends_no_header_that_the_table_does_not_hold(found: Found):
    bench = prepared(found)
    bench.driver.identity()
    KITS[found.role].obeys_physics(bench)
    if hasattr(bench.driver, "poll"):
        bench.driver.poll()
    bench.driver.off()
    bench.driver.is_off()

    known = {header for exchange in table_of(found) for header in headers(exchange.request)}
    sent = {header for data in bench.transcript.sent("role") for header in headers(data)}

    assert sent <= known
    assert len(sent) > 5


@pytest.mark.parametrize("found", SCPI, ids=str)
@given(data=st.data())
def test_the_twin_survives_any_message_and_stays_sane(found: Found, data: st.DataObject):
    face = rig_of(found).face
    commands = face.ieee488.dialect.commands
    spelled = [spelling.replace("#", "2") for row in commands for spelling in expand(row.header)]
    argument = st.one_of(
        st.sampled_from(
            ["1", "-1e9", "MAX", "ON", '"defbuffer1"', "ATR", "SEC", "VOLT", "1e400", "(@1)", "#0"]
        ),
        st.text(max_size=8),
    )
    unit = st.builds(
        lambda header, mark, rest: f"{header}{mark} {','.join(rest)}",
        st.sampled_from(spelled),
        st.sampled_from(["", "?"]),
        st.lists(argument, max_size=4),
    )

    for message in data.draw(st.lists(st.lists(unit, max_size=3).map(";".join), max_size=5)):
        reply = face.handle(message.encode())
        assert reply is None or (reply.data.endswith(b"\n") and reply.delay_s >= 0)

    assert face.handle(b"*CLS;*OPC?").data.rstrip(b"\r\n") == b"1"


def headers(message: bytes) -> list[str]:
    """The headers of a program message, as spelled."""
    return [unit.split()[0].lstrip(":") for unit in message.decode().split(";")]
