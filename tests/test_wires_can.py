"""The CAN wire: arbitration, time on the wire, python-can's calls in bench time, real adapters, logs."""

from __future__ import annotations

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock
from bench.errors import StationInvalid, WireError
from bench.wires.can import EXTENDED, CanHub, TwinBus, drain, frame_bits, open_can, send, write_blf
from bench.wires.transcript import Transcript

#: 8 data bytes, 11-bit identifier: 44 + 64 + 3 bits and round(98 / 30) = 3 stuff bits.
FULL_FRAME_BITS = 114


def opened(hub: CanHub, transcript: Transcript | None = None, role: str = "host") -> TwinBus:
    bus = open_can(
        f"twin://{role}",
        bitrate=hub.bitrate,
        clock=hub.clock,
        role=role,
        transcript=Transcript() if transcript is None else transcript,
        hub=hub,
    )
    assert isinstance(bus, TwinBus)
    return bus


def test_a_frame_takes_its_bits():
    assert frame_bits(8, extended=False) == FULL_FRAME_BITS
    assert frame_bits(0, extended=False) == 44 + 3 + 1
    assert frame_bits(8, extended=True) == 64 + 64 + 3 + 4


def test_a_frame_arrives_when_it_has_left_the_wire_and_not_before():
    hub = CanHub(Clock(), 1_000_000)
    bus, node = opened(hub), hub.attach("node")

    node.send(0x123, bytes(8))

    assert bus.drain() == []
    hub.clock.sleep(113e-6)
    assert bus.drain() == []
    hub.clock.sleep(1e-6)
    assert bus.drain() == [(pytest.approx(114e-6), 0x123, bytes(8))]
    assert bus.drain() == []


def test_the_lowest_identifier_of_all_that_wait_goes_first():
    clock = Clock()
    hub = CanHub(clock, 500_000)
    bus, a, b = opened(hub), hub.attach("a"), hub.attach("b")

    a.send_batch([(0x300, bytes(8)), (0x200, bytes(8)), (0x100, bytes(8))])
    clock.sleep(300e-6)  # 0x100 ended at 228 us, 0x200 is on the wire and cannot be pre-empted
    b.send(0x050, b"\x01")
    clock.sleep(0.01)

    assert [can_id for _, can_id, _ in bus.drain()] == [0x100, 0x200, 0x050, 0x300]


def test_a_standard_frame_wins_over_an_extended_one_with_the_same_first_11_bits():
    hub = CanHub(Clock(), 250_000)
    bus, node = opened(hub), hub.attach("node")

    node.send_batch([(0x100 << 18, b""), (0x100, b""), (0xFF << 18 | 5, b"")])
    hub.clock.sleep(0.01)

    assert [can_id for _, can_id, _ in bus.drain()] == [0xFF << 18 | 5, 0x100, 0x100 << 18]


def test_a_sender_does_not_hear_itself_and_a_filter_keeps_the_rest_out():
    hub = CanHub(Clock(), 1_000_000)
    heard: list[int] = []
    hub.attach("picky", lambda _t, can_id, _d: heard.append(can_id), accepts={0x10})
    bus = opened(hub)

    send(bus, [(0x10, b"a"), (0x11, b"b")])
    hub.clock.sleep(0.001)

    assert heard == [0x10]
    assert bus.drain() == []


def test_a_listener_is_called_at_the_end_of_the_frame_and_may_answer():
    clock = Clock()
    hub = CanHub(clock, 1_000_000)
    called_at: list[float] = []

    def answer(t_s: float, can_id: int, data: bytes) -> None:
        called_at.append(clock.now_s)
        assert t_s == pytest.approx(clock.now_s)
        node.send(can_id + 1, data)

    node = hub.attach("node", answer)
    bus = opened(hub)

    send(bus, [(0x10, bytes(8)), (0x20, bytes(8))])
    clock.sleep(0.01)

    assert called_at == [pytest.approx(114e-6), pytest.approx(228e-6)]
    assert [(can_id, round(t_s * 1e6)) for t_s, can_id, _ in bus.drain()] == [(0x11, 342), (0x21, 456)]


def test_recv_waits_in_bench_time():
    clock = Clock()
    hub = CanHub(clock, 1_000_000)
    bus, node = opened(hub), hub.attach("node")
    clock.every(0.1, lambda: node.send(0x321, b"\x01\x02"), name="cyclic")

    message = bus.recv(1.0)

    assert message is not None
    assert message.arbitration_id == 0x321
    assert bytes(message.data) == b"\x01\x02"
    assert not message.is_extended_id
    # 44 + 16 + 3 + round(50 / 30) = 65 bits
    assert message.timestamp - clock.epoch.timestamp() == pytest.approx(0.100065, abs=1e-6)
    assert clock.now_s == pytest.approx(0.100065, abs=1e-3)


def test_silence_costs_the_timeout_in_bench_time():
    clock = Clock()
    bus = opened(CanHub(clock, 500_000))

    assert bus.recv(0) is None
    assert clock.now_s == 0.0
    assert bus.recv(2.5) is None
    assert clock.now_s == pytest.approx(2.5)
    with pytest.raises(WireError, match="silence for 60 s"):
        bus.recv()


def test_recv_and_drain_do_not_lose_each_others_frames():
    hub = CanHub(Clock(), 1_000_000)
    bus, node = opened(hub), hub.attach("node")
    node.send_batch([(1, b""), (2, b""), (3, b"")])
    hub.clock.sleep(0.01)

    first = bus.recv(0)
    rest = bus.drain()

    assert first is not None
    assert [first.arbitration_id, *(can_id for _, can_id, _ in rest)] == [1, 2, 3]


def test_filters_hold_in_recv_and_drain():
    hub = CanHub(Clock(), 1_000_000)
    bus, node = opened(hub), hub.attach("node")
    bus.set_filters([{"can_id": 0x100, "can_mask": 0x700, "extended": False}])

    node.send_batch([(0x0FF, b""), (0x123, b""), (0x200, b"")])
    hub.clock.sleep(0.01)

    assert [can_id for _, can_id, _ in bus.drain()] == [0x123]


def test_periodic_frames_follow_the_clock():
    clock = Clock()
    hub = CanHub(clock, 1_000_000)
    bus, listener = opened(hub), opened(hub, role="listener")

    task = bus.send_periodic(can.Message(arbitration_id=0x42, is_extended_id=False, data=b"\x01"), 0.05)
    clock.sleep(0.199)
    task.modify_data(can.Message(arbitration_id=0x42, is_extended_id=False, data=b"\x02"))
    clock.sleep(0.05)
    task.stop()
    clock.sleep(1.0)

    assert [(round(t_s, 3), data) for t_s, _, data in listener.drain()] == [
        (0.0, b"\x01"),
        (0.05, b"\x01"),
        (0.1, b"\x01"),
        (0.15, b"\x01"),
        (0.2, b"\x02"),
    ]


def test_a_periodic_frame_of_limited_duration_ends():
    clock = Clock()
    hub = CanHub(clock, 1_000_000)
    bus, listener = opened(hub), opened(hub, role="listener")

    bus.send_periodic(can.Message(arbitration_id=1, data=b""), 0.1, duration=0.35)
    clock.sleep(2.0)

    assert len(listener.drain()) == 4
    bus.shutdown()


def test_what_is_sent_is_in_the_transcript():
    hub = CanHub(Clock(), 1_000_000)
    transcript = Transcript()

    send(opened(hub, transcript), [(0x541, b"\x01"), (0x18FF50E5, b"")])

    assert transcript.sent("host") == [b"541#01", b"18FF50E5#"]


@given(st.lists(st.tuples(st.integers(0, 0x1FFFFFFF), st.binary(max_size=8)), max_size=12))
def test_every_frame_arrives_once_with_ascending_stamps(frames: list[tuple[int, bytes]]):
    hub = CanHub(Clock(), 500_000)
    bus, node = opened(hub), hub.attach("node")

    node.send_batch(frames)
    hub.clock.sleep(0.1)
    found = bus.drain()

    assert sorted((can_id, data) for _, can_id, data in found) == sorted(frames)
    stamps = [t_s for t_s, _, _ in found]
    assert stamps == sorted(set(stamps))


def test_more_than_8_bytes_is_not_classic_can():
    hub = CanHub(Clock(), 1_000_000)

    with pytest.raises(ValueError, match="expected 0 to 8 bytes, found 9"):
        hub.attach("node").send(0x1, bytes(9))


def test_a_blf_log_keeps_time_identifier_and_data(tmp_path):
    clock = Clock()
    frames = [(0.5, 0x123, b"\x01\x02"), (0.750125, 0x18FF50E5, b""), (1.0, 0x10 | EXTENDED, b"x")]

    path = write_blf(tmp_path / "log.blf", frames, clock.epoch)

    with can.BLFReader(path) as reader:
        found = list(reader)
    assert [(m.arbitration_id, m.is_extended_id, bytes(m.data)) for m in found] == [
        (0x123, False, b"\x01\x02"),
        (0x18FF50E5, True, b""),
        (0x10, True, b"x"),
    ]
    assert [m.timestamp - clock.epoch.timestamp() for m in found] == pytest.approx(
        [0.5, 0.750125, 1.0], abs=2e-6
    )


def test_real_interfaces_give_the_same_frames():
    clock = Clock(virtual=False)
    options = {"bitrate": 500_000, "clock": clock, "transcript": Transcript()}
    with (
        open_can("can:virtual:bench-test", role="a", **options) as a,
        open_can("can:virtual:bench-test", role="b", **options) as b,
    ):
        send(a, [(0x123, b"\x01"), (0x18FF50E5, b"\x02")])
        a.send(can.Message(arbitration_id=1, is_remote_frame=True))

        found = drain(b, clock)

    assert [(can_id, data) for _, can_id, data in found] == [(0x123, b"\x01"), (0x18FF50E5, b"\x02")]
    assert all(0.0 <= t_s <= clock.now_s for t_s, _, _ in found)


def test_stamps_from_power_up_are_aligned_with_bench_time():
    clock = Clock()
    clock.sleep(100.0)

    class PowerUpStamps:
        def __init__(self, *stamps_s: float) -> None:
            self.waiting = [can.Message(timestamp=t_s, arbitration_id=1) for t_s in stamps_s]

        def recv(self, _timeout: float) -> can.Message | None:
            return self.waiting.pop(0) if self.waiting else None

    found = drain(PowerUpStamps(7.25, 7.5), clock)  # type: ignore[arg-type]

    assert [t_s for t_s, _, _ in found] == pytest.approx([100.0, 100.25], abs=1e-6)


@pytest.mark.parametrize("address", ["can:virtual", "can", "socketcan:can0", "can::x"])
def test_another_form_of_address_is_told(address: str):
    with pytest.raises(StationInvalid, match="can:<interface>:<channel>"):
        open_can(address, bitrate=1, clock=Clock(), role="cells", transcript=Transcript())


def test_an_adapter_that_is_not_there_is_told():
    with pytest.raises(WireError, match=r"cells: expected an open CAN channel at can:nosuch:0"):
        open_can("can:nosuch:0", bitrate=500_000, clock=Clock(), role="cells", transcript=Transcript())


def test_a_twin_address_needs_a_hub():
    with pytest.raises(StationInvalid, match="a hub"):
        open_can("twin://cells", bitrate=1, clock=Clock(), role="cells", transcript=Transcript())
