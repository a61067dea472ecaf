"""The pack model: what it shows follows what it computes, what a scenario holds stays, contacts are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.clock import Clock
from bench.errors import InstrumentRefused, NotReady, StationInvalid
from bench.pack_model import HeldCells, ModelLoad, ModelSource, PackModel
from bench.rack import PackState
from bench.record import Origin, Samples, Trace
from bench.station_file import ModelEntry
from dut_profiles.profile import load_profile

PROFILE = load_profile("hd_lfp_24s")


class Emulator:
    """Cells that write down what they were told, with contacts that a test closes."""

    def __init__(self, contacts: Sequence[str] = ("main_minus", "main_plus", "precharge", "charge")) -> None:
        self.cells = 24
        self.told: list[list[float]] = []
        self.offs = 0
        self.closed = dict.fromkeys((f"switch.{name}" for name in contacts), 0.0)

    def set(self, *, voltage_v: float | Sequence[float], cell: int | None = None) -> None:
        assert cell is None or isinstance(voltage_v, float)
        self.told.append([voltage_v] if isinstance(voltage_v, float) else list(voltage_v))

    def off(self) -> None:
        self.offs += 1

    def newest(self, name: str) -> float:
        return self.closed[name]


class Shunt:
    range_a = 1000.0

    def __init__(self) -> None:
        self.told: list[float] = []

    def set(self, *, current_a: float) -> None:
        self.told.append(current_a)


class Bench:
    """A running model with its instruments."""

    def __init__(self, **entry: float) -> None:
        self.clock, self.cells, self.shunt = Clock(), Emulator(), Shunt()
        self.model = PackModel(ModelEntry(**entry), PROFILE, self.clock, pack=PackState(soc=0.6), seed=7)
        self.model.connect({"cells": self.cells, "shunt": self.shunt})
        self.model.start()

    def source(self) -> ModelSource:
        line = self.model.line("here", "charger")
        return ModelSource(line, clock=self.clock, role="charger", max_v=120.0, max_a=100.0)

    def load(self) -> ModelLoad:
        line = self.model.line("here", "load")
        return ModelLoad(line, clock=self.clock, role="load", max_v=120.0, max_a=300.0)

    def close(self, *contacts: str) -> None:
        for name in self.cells.closed:
            self.cells.closed[name] = float(name.removeprefix("switch.") in contacts)
        self.clock.sleep(0.1)


def test_a_source_meets_open_contacts_first_and_then_the_pack() -> None:
    bench = Bench()
    charger = bench.source()

    charger.source(voltage_v=100.0, current_a=50.0)
    bench.clock.sleep(0.2)
    assert bench.shunt.told == [0.0]

    bench.close("main_minus", "charge")
    assert bench.shunt.told[-1] == pytest.approx(50.0, abs=0.05)
    assert charger.measure()[1] == pytest.approx(50.0, abs=0.05)

    bench.close()
    assert bench.shunt.told[-1] == pytest.approx(0.0, abs=0.05)


def test_a_load_discharges_and_the_cells_sag_at_once() -> None:
    bench = Bench()
    load = bench.load()
    bench.close("main_minus", "precharge")
    bench.clock.sleep(1.0)
    bench.close("main_minus", "main_plus")
    rest_v = np.array(bench.cells.told[-1])

    load.sink(current_a=280.0)
    bench.clock.sleep(0.02)

    assert bench.shunt.told[-1] == pytest.approx(-280.0, abs=1.0)
    # The cell file has some 0.2 mohm for a cell of 280 Ah: 280 A are tens of millivolts, at once.
    assert (rest_v - np.array(bench.cells.told[-1]) > 0.02).all()


def test_a_role_of_the_model_keeps_its_ceilings_and_is_off_when_told() -> None:
    bench = Bench()
    charger, load = bench.source(), bench.load()

    for ask in (
        lambda: charger.source(voltage_v=121.0, current_a=1.0),
        lambda: charger.source(voltage_v=80.0, current_a=100.1),
        lambda: charger.source(voltage_v=float("nan"), current_a=1.0),
        lambda: load.sink(current_a=-1.0),
    ):
        with pytest.raises(InstrumentRefused, match="the model was told nothing"):
            ask()
    assert charger.is_off()
    assert load.is_off()

    charger.source(voltage_v=80.0, current_a=1.0)
    load.sink(current_a=1.0)
    assert not charger.is_off()
    assert not load.is_off()
    charger.off()
    load.off()
    assert charger.is_off()
    assert load.is_off()
    assert charger.traces() == load.traces() == {}


def test_what_a_scenario_holds_stays_and_the_rest_follows_the_model() -> None:
    bench = Bench()
    held = bench.model.role("cells")
    assert isinstance(held, HeldCells)
    own_v = bench.cells.told[-1][5]

    held.set(voltage_v=3.6, cell=4)
    bench.source().source(voltage_v=100.0, current_a=100.0)
    bench.close("main_minus", "charge")

    last = bench.cells.told[-1]
    assert last[4] == 3.6
    assert last[5] > own_v + 0.005


def test_off_hands_back_to_the_model_and_leaves_the_instrument_on() -> None:
    bench = Bench()
    held = bench.model.role("cells")
    model_v = bench.cells.told[-1]
    held.set(voltage_v=3.0)

    held.off()
    bench.clock.sleep(0.1)

    assert bench.cells.told[-1] == pytest.approx(model_v, abs=0.001)
    assert bench.cells.offs == 0


def test_a_model_at_rest_sends_nothing() -> None:
    bench = Bench()
    bench.clock.sleep(1.0)
    before = len(bench.cells.told), len(bench.shunt.told)

    bench.clock.sleep(5.0)

    assert (len(bench.cells.told), len(bench.shunt.told)) == before


def test_the_model_does_not_cut_in_while_a_scenario_talks() -> None:
    bench = Bench()
    held = bench.model.role("cells")
    sent = len(bench.cells.told)

    with held.talking():
        held.follow(np.full(24, 3.9))
    assert len(bench.cells.told) == sent

    held.follow(np.full(24, 3.9))
    assert len(bench.cells.told) == sent + 1


def test_cells_go_out_no_oftener_than_the_instrument_can() -> None:
    bench = Bench(cells_s=0.5)
    bench.close("main_minus", "charge")
    bench.source().source(voltage_v=100.0, current_a=100.0)
    bench.clock.sleep(1.0)  # the step itself goes out at once
    before = len(bench.cells.told)

    bench.clock.sleep(60.0)

    assert 1 <= len(bench.cells.told) - before <= 120


def test_a_current_beyond_the_shunt_saturates() -> None:
    bench = Bench()
    bench.shunt.range_a = 20.0
    bench.close("main_minus", "charge")

    bench.source().source(voltage_v=100.0, current_a=100.0)
    bench.clock.sleep(0.1)

    assert bench.shunt.told[-1] == 20.0


def test_a_contact_that_nobody_reads_is_named_before_anything_is_shown() -> None:
    clock = Clock()
    model = PackModel(ModelEntry(), PROFILE, clock, pack=PackState(), seed=1)
    blind = Emulator(contacts=("main_minus", "main_plus"))
    shunt = Shunt()
    model.connect({"cells": blind, "shunt": shunt})

    with pytest.raises(NotReady, match=r"to read switch\.precharge, switch\.charge within 2 s"):
        model.start()
    assert (blind.told, shunt.told) == ([], [])


def test_contacts_may_be_read_by_a_role_that_only_keeps_traces() -> None:
    class Scanner:
        def __init__(self) -> None:
            self.samples = {
                name: Samples(f"switch.{name}", "1", Origin("measured", "scanner"))
                for name in ("main_minus", "main_plus", "precharge", "charge")
            }

        def traces(self) -> dict[str, Trace]:
            return {f"switch.{name}": samples.trace() for name, samples in self.samples.items()}

    scanner, clock, shunt = Scanner(), Clock(), Shunt()
    for name, samples in scanner.samples.items():
        samples.append(0.0, float(name in ("main_minus", "charge")))
    model = PackModel(ModelEntry(contactors="scanner"), PROFILE, clock, pack=PackState(), seed=1)
    model.connect({"cells": Emulator(), "shunt": shunt, "scanner": scanner})
    model.start()

    charger = ModelSource(model.line("", "charger"), clock=clock, role="charger", max_v=120.0, max_a=100.0)
    charger.source(voltage_v=100.0, current_a=30.0)
    clock.sleep(0.2)

    assert shunt.told[-1] == pytest.approx(30.0, abs=0.05)


def test_only_power_terminals_of_the_model_can_be_reached() -> None:
    bench = Bench()

    with pytest.raises(
        StationInvalid, match=r"model:// and one of charger, regen, load, found 'model://faults'"
    ):
        bench.model.line("board.toml: [roles.charger] address", "faults")


def test_the_account_says_how_punctual_the_model_was() -> None:
    bench = Bench()
    bench.clock.sleep(1.0)
    bench.model.stop()
    bench.clock.sleep(1.0)

    assert bench.model.account() == ("pack model: 100 steps of 10 ms, 0 left out, at most 0.0 ms late")


def test_a_step_after_a_slow_exchange_is_as_long_as_the_ones_left_out() -> None:
    bench = Bench()

    class SlowShunt(Shunt):
        def set(self, *, current_a: float) -> None:
            super().set(current_a=current_a)
            bench.clock.sleep(0.035)

    bench.model._shunt = SlowShunt()
    bench.close("main_minus", "charge")
    bench.source().source(voltage_v=100.0, current_a=30.0)

    bench.clock.sleep(0.9)

    # Told twice at least: the current rises within the lag of the source.
    assert bench.model.overruns >= 3
    assert bench.model.plant.time_s == pytest.approx(1.0, abs=1e-9)
