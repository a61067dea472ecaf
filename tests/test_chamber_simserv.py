"""SIMSERV chamber: printed exchanges, air that takes its time, limiter, programs, codes, damaged answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import FrameInvalid, InstrumentRefused, WireError
from bench.wires.twin import Reply
from instruments.chamber_simserv import EXCHANGES, SimservChamber
from instruments.chamber_simserv_twin import SimservTwin
from tests.fake_terminals import FakeChamber
from tests.rig import Rig, rig

MINUTE = 60.0


def chamber(**options: object) -> Rig:
    return rig(SimservChamber, FakeChamber(), **options)


def device(**options: object) -> tuple[SimservTwin, Clock, FakeChamber]:
    clock, terminal = Clock(), FakeChamber()
    return SimservTwin(terminal, clock=clock, options=SimservChamber.Options(**options)), clock, terminal


def says(twin: SimservTwin, text: str) -> str:
    """The answer to a command, both with | for 0xB6."""
    reply = twin.handle(text.replace("|", "\xb6").encode("latin-1") + b"\r")
    assert reply is not None
    assert reply.data.endswith(b"\r\n")
    return reply.data[:-2].decode("latin-1").replace("\xb6", "|")


def sent(bench: Rig) -> list[str]:
    data = bench.transcript.sent("role")
    bench.transcript.entries.clear()
    return [part.decode("latin-1").replace("\xb6", "|").removesuffix("\r") for part in data]


def test_the_twin_answers_as_known():
    twin, _, _ = device()

    for exchange in EXCHANGES:
        reply = twin.handle(exchange.request)
        assert reply is not None
        if exchange.reply is not None:
            assert reply.data == exchange.reply, exchange


def test_the_driver_sends_as_known():
    bench = chamber()
    bench.driver.prepare()
    sent(bench)

    bench.driver.control(temperature_degc=32.0, rate_k_per_min=2.0)
    started = sent(bench)
    bench.driver.off()

    assert started == [
        "11068|1|1|2.00",
        "11066|1|1",
        "11072|1|1|2.00",
        "11070|1|1",
        "11001|1|1|32.00",
        "11002|1|1",
        "14001|1|1|1",
        "10012|1|1",
    ]
    assert sent(bench) == ["14001|1|1|0", "10012|1|1"]


def test_what_the_driver_sends_is_in_the_table():
    bench = chamber()

    bench.driver.prepare()
    bench.driver.identity()
    bench.driver.control(temperature_degc=32.0, rate_k_per_min=2.0)
    bench.driver.poll()
    bench.driver.off()

    known = {exchange.request.partition(b"\xb6")[0].decode() for exchange in EXCHANGES}
    assert {command.partition("|")[0] for command in sent(bench)} <= known


def test_identity():
    assert chamber().driver.identity() == "Weiss/Vötsch LabEvent T/210/70/5"


def test_the_air_follows_the_gradient_and_not_the_set_point():
    bench = chamber()
    bench.driver.prepare()

    bench.driver.control(temperature_degc=62.0, rate_k_per_min=4.0)
    bench.clock.sleep(0.1 * MINUTE)
    at_once = bench.terminal.air_degc
    bench.clock.sleep(4.9 * MINUTE)
    halfway = bench.terminal.air_degc

    assert at_once == pytest.approx(22.2, abs=0.4)
    # 5 min at 4 K/min from 22 degC are 42 degC; a controller lags a little.
    assert halfway == pytest.approx(42.0, abs=2.0)


def test_the_power_is_finite_whatever_gradient_is_asked():
    bench = chamber(gradient_k_per_min=60.0)
    bench.driver.prepare()

    bench.driver.control(temperature_degc=-40.0)
    bench.clock.sleep(2 * MINUTE)

    # 2 kW out of 17.5 kJ/K are at most 6.9 K/min once the walls follow; the air alone leads by 2 kW / 60 W/K.
    assert -25.0 < bench.terminal.air_degc < 10.0
    assert bench.driver.measure() == pytest.approx(bench.terminal.air_degc, abs=3.0)


def test_the_pack_stays_in_when_the_chamber_is_switched_off_and_the_air_drifts_to_the_room():
    bench = chamber()
    bench.driver.prepare()
    assert not bench.terminal.closed
    bench.driver.control(temperature_degc=60.0)
    bench.clock.sleep(30 * MINUTE)

    bench.driver.off()
    bench.clock.sleep(30 * MINUTE)
    later_degc = bench.terminal.air_degc
    bench.clock.sleep(600 * MINUTE)

    assert bench.terminal.closed
    assert 30.0 < later_degc < 55.0
    assert bench.terminal.air_degc == pytest.approx(22.0, abs=0.5)


def test_the_sensor_errs_within_its_accuracy():
    bench = chamber()
    bench.driver.prepare()
    bench.driver.control(temperature_degc=60.0)
    bench.clock.sleep(60 * MINUTE)

    readings = [bench.driver.measure() for _ in range(50)]

    assert len(set(readings)) > 5
    assert max(abs(reading - bench.terminal.air_degc) for reading in readings) <= 0.5 + 0.01


def test_the_limiter_takes_the_power_away_and_the_driver_says_why_it_cannot_start():
    bench = chamber(limiter_degc=40.0)
    bench.driver.prepare()

    bench.driver.control(temperature_degc=80.0)
    bench.clock.sleep(20 * MINUTE)
    air_degc = bench.terminal.air_degc

    assert air_degc < 41.5
    assert says(bench.twin, "10012|1|1") == "1|9"  # idle, and an alarm
    assert bench.driver.alarmed()
    assert bench.driver.is_off()
    with pytest.raises(InstrumentRefused, match=r"role refused to start .*'Temperature limiter'"):
        bench.driver.control(temperature_degc=30.0)
    bench.clock.sleep(30 * MINUTE)
    bench.driver.prepare()
    bench.driver.control(temperature_degc=30.0)
    assert not bench.driver.is_off()


def test_a_warning_shows_in_the_status_before_the_limiter_trips():
    twin, clock, _ = device(hottest_degc=40.0, limiter_degc=44.0)

    says(twin, "11001|1|1|40")
    says(twin, "14001|1|1|1")
    twin.inside.target_degc = 43.0  # beyond what it would take
    clock.sleep(20 * MINUTE)

    assert says(twin, "10012|1|1") == "1|7"
    assert says(twin, "17009|1|2") == "1|1"
    assert says(twin, "17005|1|2") == "1|2"


def test_outside_its_limits_is_refused_before_anything_is_sent():
    bench = chamber(hottest_degc=85.0)
    bench.driver.prepare()
    sent(bench)

    for temperature_degc, rate in ((85.1, None), (-40.1, None), (30.0, 0.0), (30.0, -1.0)):
        with pytest.raises(InstrumentRefused, match="role refused"):
            bench.driver.control(temperature_degc=temperature_degc, rate_k_per_min=rate)
    bench.driver.control(temperature_degc=85.0)

    assert sent(bench)[0] == "11068|1|1|5.00"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("", "-1"),
        ("11004", "-2"),
        ("11004|x|1", "-3"),
        ("11004|2|1", "-4"),
        ("99999|1", "-5"),
        ("11001|1|1", "-6"),
        ("11001|1|1|hot", "-6"),
        ("11001|1|1|200", "-6"),
        ("11001|1|1|nan", "-6"),
        ("11068|1|1|0", "-6"),
        ("14001|1|1|2", "-6"),
        ("11004|1|2", "-8"),
        ("19014|1|1|1", "-8"),
    ],
)
def test_the_twin_declines_with_the_codes_of_the_server(command: str, code: str):
    twin, _, _ = device()

    assert says(twin, command) == code


def test_what_public_drivers_ask_is_answered():
    twin, _, _ = device()

    # basil: output n + 1, its name under n.
    assert says(twin, "14010|1|4") == "1|Compressed air"
    assert says(twin, "14001|1|5|1") == "1"
    assert says(twin, "14003|1|5") == "1|1"
    # A delimiter before the number, as one driver sends it.
    assert says(twin, "|10012|1") == "1|1"
    assert says(twin, "11018|1") == "1|1"
    assert says(twin, "11023|1|1") == "1|\xb0C"
    assert says(twin, "19204|1") == "1|0"


def test_a_program_ramps_runs_pauses_and_ends():
    twin, clock, terminal = device(
        programs=[{"name": "Cycle", "ramps": [[42.0, 10.0], [42.0, 5.0], [22.0, 10.0]]}]
    )

    started = says(twin, "19014|1|1|2")
    clock.sleep(5 * MINUTE)
    halfway = float(says(twin, "11002|1|1").split("|")[1])
    states = [says(twin, "19210|1"), says(twin, "19204|1"), says(twin, "19031|1|1")]
    says(twin, "19209|1|2")
    clock.sleep(10 * MINUTE)
    paused = float(says(twin, "11002|1|1").split("|")[1])
    says(twin, "19209|1|4")
    clock.sleep(25 * MINUTE)
    done = says(twin, "19006|1")
    running = says(twin, "10012|1|1")
    clock.sleep(25 * MINUTE)

    assert started == "1"
    assert states == ["1|1", "1|1", "1|Cycle"]
    assert halfway == pytest.approx(32.0, abs=0.5)
    assert paused == pytest.approx(halfway, abs=0.1)
    assert (done, running) == ("1|1|0", "1|3")
    assert says(twin, "10012|1|1") == "1|1"
    assert terminal.closed


def test_off_ends_a_program_too():
    bench = chamber(programs=[{"name": "Hold", "ramps": [[60.0, 600.0]]}])
    bench.driver.prepare()
    says(bench.twin, "19014|1|1|1")
    assert not bench.driver.is_off()

    bench.driver.off()

    assert bench.driver.is_off()


def test_two_clients_cut_their_commands_as_they_like():
    twin, _, _ = device()
    first, second = twin.session(), twin.session()

    first.handle(b"99997\xb6")
    other = second.handle(b"10012\xb61\r")
    reply = first.handle(b"1\xb61\r10012\xb61\r")

    assert other is not None
    assert other.data == b"1\xb61\r\n"
    assert reply is not None
    assert reply.data == b"1\xb6LabEvent T/210/70/5\r\n1\xb61\r\n"


@pytest.mark.parametrize(
    ("answer", "error", "what"),
    [
        (b"", WireError, "found silence"),
        (b"1\xb61", FrameInvalid, "CR LF at the end"),
        (b"1\xb6hot\r\n", FrameInvalid, "a number as the answer"),
        (b"1\r\n", FrameInvalid, "a value as the answer"),
        (b"?\r\n", FrameInvalid, "a code as the answer"),
        (b"-8\r\n", InstrumentRefused, "not there to read"),
    ],
)
def test_strange_answers_are_told(answer: bytes, error: type[Exception], what: str):
    bench = chamber()
    bench.twin.handle = lambda _message: Reply(answer)

    with pytest.raises(error, match=what):
        bench.driver.measure()


@given(st.binary(max_size=80))
def test_no_bytes_break_the_server(data: bytes):
    twin, clock, _ = device()

    twin.handle(data)
    twin.handle(b"11001\xb61\xb61\xb6" + data + b"\r")
    twin.handle(b"14001\xb61\xb6" + data + b"\r")
    clock.sleep(1.0)

    assert says(twin, "99997|1|1") == "1|LabEvent T/210/70/5"
