"""NGI N83624: the time it takes, for what it answers and for what it only does."""

from __future__ import annotations

import numpy as np
import pytest

from instruments.cells_n83624 import N83624
from tests.fake_terminals import FakeCells
from tests.rig import Rig, rig


def unit(latency_s: float) -> Rig:
    return rig(N83624, FakeCells(np.full(24, 3.3), 0.01), max_v=5.0, max_a=1.0, latency_s=latency_s)


def test_the_unit_is_slow_and_a_reset_takes_ten_seconds():
    bench = unit(0.05)

    assert bench.twin.handle(b"*IDN?").delay_s == pytest.approx(0.05)
    bench.twin.handle(b"SOUR1:VOLT 3")
    bench.twin.handle(b"SOUR2:VOLT 3")
    # The two commands before it are still being done.
    assert bench.twin.handle(b"SOUR1:VOLT?").delay_s == pytest.approx(0.15)
    bench.clock.sleep(1.0)
    bench.twin.handle(b"*RST")
    reply = bench.twin.handle(b"SOUR1:VOLT?")
    assert reply.data == b"0\r\n"
    assert reply.delay_s == pytest.approx(10.0)


def test_a_flood_of_messages_does_not_keep_it_busy_for_long():
    bench = unit(0.05)

    for _ in range(5000):
        bench.twin.handle(b"NONSENSE")

    assert bench.twin.handle(b"*IDN?").delay_s == pytest.approx(100 * 0.05 + 0.05)
