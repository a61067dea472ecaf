"""Armed sequences of the load: their times are the load's, not the host's."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import InstrumentRefused
from bench.procedure import Bench
from bench.rack import PackState
from bench.station import Station
from bench.station_file import load_station
from dut_profiles.profile import load_profile
from instruments import roles
from instruments.roles import Step


@pytest.fixture
def bench():
    with Station(load_station("emulated"), load_profile("hd_lfp_24s"), pack=PackState(soc=0.6)) as station:
        driving = Bench(station, known_soc=0.6)
        driving.cells.set(voltage_v=3.3)
        driving.start()
        driving.mode("drive")
        yield driving


def test_an_armed_load_draws_its_steps_by_its_own_clock_and_then_nothing(bench: Bench):
    rack = bench.station.rack
    assert rack is not None
    seen: list[tuple[float, float]] = []
    terminal = rack.plant.terminal("load")
    bench.clock.every(0.001, lambda: seen.append((bench.now_s, terminal.current_a)), name="look")

    bench.draw(Step(200.0, 0.040), Step(50.0, 0.100))

    drawn = np.array([(t_s, current_a) for t_s, current_a in seen])
    above = drawn[drawn[:, 1] > 150.0, 0]
    assert above[-1] - above[0] == pytest.approx(0.040, abs=0.002)
    assert drawn[-1, 1] == 0.0 or not terminal.enabled
    note = bench.record.events[-1]
    assert "200 A for 0.04 s, 50 A for 0.1 s, by its own clock" in note.text


class HostLed:
    """A load that keeps no time."""

    def __init__(self, bench: Bench) -> None:
        self.said: list[tuple[float, float]] = []
        self._bench = bench

    def identity(self) -> str:
        return "a load"

    def prepare(self) -> None: ...

    def sink(self, *, current_a: float) -> None:
        self.said.append((self._bench.now_s, current_a))

    def measure(self) -> tuple[float, float]:
        return 0.0, 0.0

    def off(self) -> None:
        self.said.append((self._bench.now_s, 0.0))

    def is_off(self) -> bool:
        return True

    def traces(self) -> dict[str, object]:
        return {}


def test_any_other_load_is_led_by_the_host(bench: Bench):
    load = HostLed(bench)
    bench.station.instruments["load"] = load  # type: ignore[assignment]
    start_s = bench.now_s

    bench.draw(Step(200.0, 0.5), Step(50.0, 0.25))

    assert not isinstance(load, roles.ArmedLoad)
    assert [current_a for _, current_a in load.said] == [200.0, 50.0, 0.0]
    # Polls of other instruments hold the host up, and that is what arming avoids.
    elapsed_s = [t_s - start_s for t_s, _ in load.said]
    assert elapsed_s == pytest.approx([0.0, 0.5, 0.75], abs=0.1)


class Deaf(HostLed):
    """An armed load that never hears its trigger."""

    def arm(self, steps: object) -> None: ...

    def fire(self) -> None: ...

    def fired(self) -> bool:
        return False


def test_a_sequence_that_does_not_end_is_an_error_of_the_bench(bench: Bench):
    bench.station.instruments["load"] = Deaf(bench)  # type: ignore[assignment]

    with pytest.raises(InstrumentRefused, match=r"over within 2\.1 s, it is not"):
        bench.draw(Step(10.0, 0.1))
