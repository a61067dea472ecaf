"""A rack brought up: wires that lead elsewhere are named, what was on is off, findings come at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.bringup.checking import Checked, check
from bench.bringup.drill import energise, told
from bench.bringup.eyes import scanners_of, taps
from bench.bringup.mapping import Arrival, arrivals, swapped
from bench.bringup.polarity import check_polarity
from bench.bringup.rows import Row
from bench.bringup.served import bench_of
from bench.bringup.wiring import _cells_compared, check_wiring
from bench.emulated_bms import readings
from bench.station import SafeReport
from bench.station.safe_state import SafeStep
from dut_profiles.profile import load_profile

SHIPPED = (Path(__file__).parents[1] / "bench/stations/emulated.toml").read_text(encoding="utf-8")
CELLS = "instruments.cells_bs1200:Bs1200"
CHARGER = "instruments.supply_rp7900:Rp7900"
SENSORS = "instruments.thermistors_waveshare_ao8:WaveshareAo8"

Check = Callable[..., Checked]


@pytest.fixture
def station(tmp_path: Path) -> Callable[..., str]:
    """The path of the shipped station with some text replaced, each piece once."""

    def write(*replaced: tuple[str, str]) -> str:
        text = SHIPPED
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def checked(station: Callable[..., str]) -> Check:
    """A check of such a station."""

    def run(
        *replaced: tuple[str, str], dut: str = "hd_lfp_24s", wiring: bool = False, drill: bool = False
    ) -> Checked:
        with bench_of(station(*replaced), dut) as bench:
            return check(bench, wiring=wiring, drill=drill)

    return run


def found(checked: Checked) -> list[str]:
    return [row.found for row in checked.findings]


def row_of(rows: list[Row], where: str, what: str) -> Row:
    (row,) = [row for row in rows if (row.where, row.what) == (where, what)]
    return row


# -- where channels arrive ------------------------------------------------------------------------------


def harness(matrix: np.ndarray, *, least: float = -np.inf) -> list[Arrival]:
    """Three channels of 1 V over 0.5 V through a harness, seen by one who reads nothing below `least`."""
    out = np.zeros(3)

    def move(channel: int | None) -> None:
        out[:] = [1.0 if k == channel else 0.5 for k in range(3)]

    def look() -> np.ndarray:
        seen = matrix @ out
        return np.where(seen < least, np.nan, seen)

    return arrivals(look, move, channels=3, step=0.5)


def test_a_straight_harness_is_right() -> None:
    assert all(arrival.is_right for arrival in harness(np.eye(3)))


def test_a_swap_is_a_pair_of_channels_each_in_the_place_of_the_other() -> None:
    arrived = harness(np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]))

    assert [list(arrival.shows) for arrival in arrived] == [[0], [2], [1]]
    assert swapped(arrived) == [(1, 2)]


def test_a_rotation_is_no_swap() -> None:
    arrived = harness(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]))

    assert [arrival.told("cell", "V") for arrival in arrived] == [
        "arrives as cell 1",
        "arrives as cell 2",
        "arrives as cell 0",
    ]
    assert swapped(arrived) == []


def test_a_reversed_channel_is_told_where_negative_voltages_are_read() -> None:
    arrived = harness(np.diag([1.0, -1.0, 1.0]))

    assert arrived[1].shows == {1: -1.0}
    assert arrived[1].told("cell", "V") == "arrives reversed"


@pytest.mark.parametrize(
    ("matrix", "least", "words"),
    [
        (np.diag([1.0, -1.0, 1.0]), 0.0, "nothing is reported for cell 1; the channel is reversed or open"),
        (np.diag([1.0, 0.0, 1.0]), -1.0, "cell 1 stays at 0.000 V; the channel is reversed or open"),
    ],
)
def test_a_channel_that_does_not_arrive_is_told_with_what_is_there(
    matrix: np.ndarray, least: float, words: str
) -> None:
    assert harness(matrix, least=least)[1].told("cell", "V") == f"does not arrive: {words}"


def test_half_a_step_is_not_yet_seen_and_a_little_more_is() -> None:
    assert harness(np.diag([1.0, 0.49, 1.0]))[1].shows == {}
    assert list(harness(np.diag([1.0, 0.51, 1.0]))[1].shows) == [1]


def test_what_is_late_is_looked_at_again_before_it_is_called_wrong() -> None:
    out, seen = np.zeros(2), np.zeros(2)

    def move(channel: int | None) -> None:
        out[:] = [1.0 if k == channel else 0.5 for k in range(2)]

    def look() -> np.ndarray:
        late = seen.copy()
        seen[:] = out
        return late

    move(None)
    look()
    assert all(arrival.is_right for arrival in arrivals(look, move, channels=2, step=0.5))


# -- wiring of a bench ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dut", ["hd_lfp_24s", "hd_lfp_24s_daly", "hd_lfp_32s"])
def test_the_shipped_bench_is_wired_right(checked: Check, dut: str) -> None:
    done = checked(dut=dut, wiring=True)

    assert (done.exit_code, found(done)) == (0, [])
    cells = 32 if dut == "hd_lfp_32s" else 24
    assert row_of(done.rows, "cells", "order and polarity").found == f"{cells} of {cells} on their own cell"
    assert row_of(done.rows, "charger", "polarity by cells").mark == "ok"
    assert row_of(done.rows, "load", "polarity by load's own reading").mark == "ok"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (
            "SwappedCells",
            [
                "channel 7 arrives as cell 8; swapped with channel 8",
                "channel 8 arrives as cell 7; swapped with channel 7",
            ],
        ),
        (
            "ReversedCell",
            ["channel 3 does not arrive: cell 3 stays at 0.000 V; the channel is reversed or open"],
        ),
        (
            "SwappedWires",
            ["channel 5 arrives as cells 4 and 6; the two sense wires of cell 5 are swapped"],
        ),
    ],
)
def test_a_miswired_cell_is_named(checked: Check, driver: str, words: list[str]) -> None:
    done = checked((CELLS, f"tests.miswired:{driver}"), wiring=True)

    assert done.exit_code == 40
    assert found(done) == words


def test_a_channel_without_a_wire_leaves_what_is_there(checked: Check) -> None:
    (words,) = found(checked((CELLS, "tests.miswired:DeadCells"), wiring=True))

    assert words.startswith("channel 11 does not arrive: cell 11 stays at 3.")
    assert words.endswith("which no channel makes; it is open")


def test_swapped_thermistors_are_named(checked: Check) -> None:
    assert found(checked((SENSORS, "tests.miswired:SwappedSensors"), wiring=True)) == [
        "channel 1 arrives as sensor 6; swapped with channel 6",
        "channel 6 arrives as sensor 1; swapped with channel 1",
    ]


def test_a_meter_on_the_wrong_way_round_is_found(checked: Check) -> None:
    right = 'trace = "charger_v", scale = 40.0'
    done = checked((right, right.replace("40.0", "-40.0")), wiring=True)

    assert [(row.where, row.what) for row in done.findings] == [("charger", "polarity by cells")]


def test_a_dut_that_reports_nothing_so_low_is_tried_higher_and_that_is_told(
    checked: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "_LOWEST_CELL_MV", 400)
    done = checked(wiring=True)

    told_low = [row for row in done.rows if row.what == "lowest voltage"]
    assert [row.expected for row in told_low] == ["0.04 V on every cell", "0.15 V on every cell"]
    assert {row.found for row in told_low} == {"the DUT does not report so low a voltage"}
    assert row_of(done.rows, "cells", "order and polarity").expected.startswith("1 V in turn over 0.5 V")
    assert done.exit_code == 0


def test_a_dut_that_never_reports_a_cell_cannot_be_checked_by_it(
    checked: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "_LOWEST_CELL_MV", 3000)
    (words,) = found(checked(wiring=True))

    assert words == "the DUT reports it at none of 0.04 V, 0.15 V, 0.5 V, 1 V"


def test_nothing_is_put_on_a_port_that_stands_under_voltage(station: Callable[..., str]) -> None:
    with bench_of(station(), "hd_lfp_24s") as bench, bench.station() as opened:
        opened.role("regen").source(voltage_v=30.0, current_a=1.0)
        opened.clock.sleep(1.0)
        row = next(row for row in check_polarity(opened) if row.where == "regen")

    assert row.mark == "wrong"
    assert "before anything was switched on" in row.found


def test_a_wiring_check_leaves_every_source_and_channel_off(station: Callable[..., str]) -> None:
    with bench_of(station(), "hd_lfp_24s") as bench, bench.station() as opened:
        check_wiring(opened)
        check_polarity(opened)
        off = {name: opened.role(name).is_off() for name in opened.instruments}

    assert off == dict.fromkeys(off, True)


def test_no_cell_ever_sees_more_than_a_low_level_while_its_wiring_is_unknown(
    station: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driven: list[float] = []
    with bench_of(station(), "hd_lfp_24s") as bench, bench.station() as opened:
        gate, plain = opened.role("cells"), opened.role("cells").set
        monkeypatch.setattr(
            gate, "set", lambda **asked: (driven.append(np.max(asked["voltage_v"])), plain(**asked))
        )
        check_wiring(opened)

    assert max(driven) == 0.08


class Scanned:
    """A station with one scanner, as far as its eyes look."""

    def __init__(self, cells: int) -> None:
        self.by_role: dict[str, object] = {}
        self.profile = type("Profile", (), {"pack": type("Pack", (), {"cells": cells})})


def test_a_board_is_followed_before_the_pack_model_drives_it() -> None:
    with bench_of("emulated_board", "hd_lfp_24s") as bench:
        done = check(bench, wiring=True, drill=True)

    assert (done.exit_code, found(done)) == (0, [])
    assert row_of(done.rows, "cells", "order and polarity").expected.startswith("0.08 V in turn")
    assert row_of(done.rows, "charger", "polarity").found == "computed by the pack model: it has no wires"


def test_the_cells_of_a_whole_pack_are_held_against_a_scanner() -> None:
    with bench_of("emulated_cycler", "hd_lfp_24s") as bench:
        done = check(bench, wiring=True)

    row = row_of(done.rows, "cells", "order")
    assert (done.exit_code, found(done)) == (0, [])
    assert row.expected == "scanner and the DUT within 0.01 V"
    # Equal cells prove no order, and that is said.
    assert row.mark == "note"
    assert "pairs of cells are too alike to tell their order" in row.found


class Seen:
    """Somebody who sees what he is given."""

    def __init__(self, name: str, volts: list[float]) -> None:
        self.name, self._volts = name, np.array(volts)

    def look(self) -> np.ndarray:
        return self._volts


def test_cells_that_differ_between_scanner_and_dut_are_named() -> None:
    profile = load_profile("hd_lfp_24s")  # 5 mV: two who may both be wrong by that are 10 mV apart
    eyes = [Seen("scanner", [3.0, 3.1, 3.2]), Seen("the DUT", [3.0, 3.2, 3.1])]
    rows = _cells_compared(eyes, profile)
    same = _cells_compared([eyes[0], Seen("the DUT", [3.009, 3.091, 3.2])], profile)

    assert [row.what for row in rows if row.mark == "wrong"] == ["cell 1", "cell 2"]
    assert [row.mark for row in same] == ["ok"]


def test_a_scanner_sees_the_cells_that_it_is_wired_to() -> None:
    class Taps:
        def scan(self) -> dict[str, float]:
            return {"cell_v[0]": 0.08, "cell_v[2]": 0.04, "pack_v": 1.0}

        def identity(self) -> str: ...
        def prepare(self) -> None: ...
        def off(self) -> None: ...
        def is_off(self) -> bool: ...
        def traces(self) -> dict: ...

    bench = Scanned(cells=3)
    bench.by_role = {"scanner": Taps()}
    (eyes,) = scanners_of(bench)  # type: ignore[arg-type]

    np.testing.assert_equal(eyes.look(), [0.08, np.nan, 0.04])
    assert eyes.name == "scanner"
    assert taps({"temperature_degc[3]": 25.0, "cell_v[12]": 3.3}) == {12: 3.3}


# -- instruments ----------------------------------------------------------------------------------------


def test_every_finding_comes_at_once(checked: Check) -> None:
    done = checked(
        ('address = "twin://charger"', 'address = "twin://charger"\nserial = "MY777"'),
        (
            'address = "twin://load"',
            'address = "twin://load"\nfirmware = "9.9"\n'
            'calibration = { due = 2020-01-31, certificate = "K-1" }',
        ),
        wiring=True,
        drill=True,
    )

    assert done.exit_code == 40
    assert [(row.where, row.what) for row in done.findings] == [
        ("charger", "serial"),
        ("load", "firmware"),
        ("load", "calibration"),
    ]
    assert "2020-01-31 (certificate K-1)" in found(done)[2]
    not_done = [row.where for row in done.rows if row.found == "not done, because of what was found before"]
    assert not_done == ["wiring", "drill"]


def test_calibration_holds_on_its_last_day(checked: Check) -> None:
    # Virtual time begins on 2026-01-01.
    address = 'address = "twin://meter"'

    def with_due(day: str) -> Checked:
        return checked((address, f'{address}\ncalibration = {{ due = {day}, certificate = "K-1" }}'))

    assert with_due("2026-01-01").exit_code == 0
    assert with_due("2025-12-31").exit_code == 40


def test_what_the_harness_does_not_stand_is_found(checked: Check) -> None:
    done = checked(("[roles.charger]", "[ratings]\nharness_v = 120.0\nharness_a = 300.0\n[roles.charger]"))

    assert [str(row) for row in done.findings] == [
        f"{role}: max_v: expected at most what the harness stands, 120 V, found 150 V"
        for role in ("charger", "regen", "load")
    ]
    assert row_of(done.rows, "load", "max_a").mark == "note"


def test_a_ceiling_above_the_rating_is_noted_and_no_finding(checked: Check) -> None:
    done = checked(("max_v   = 150.0", "max_v   = 170.0"))

    assert row_of(done.rows, "charger", "max_v").found == "170 V; the rating holds"
    assert done.exit_code == 0


def test_too_few_channels_for_the_dut_are_found(checked: Check) -> None:
    done = checked(('cells          = "$pack.cells"', "cells          = 12"))

    assert [str(row) for row in done.findings] == ["cells: cells: expected 24, as HD-LFP-24S has, found 12"]


def test_roles_show_label_watchdog_ceilings_and_ratings(checked: Check) -> None:
    charger = checked().roles[0]

    assert (charger.role, charger.address, charger.label) == ("charger", "twin://charger", "unverified")
    assert charger.ceilings == {"max_v": 150.0, "max_a": 240.0}
    assert charger.ratings == {"rated_v": 160.0, "rated_a": 250.0, "rated_w": 20000.0}
    assert charger.watchdog.startswith("instrument: ")


# -- drill ----------------------------------------------------------------------------------------------


def test_the_drill_energises_and_then_it_is_dead_as_the_plant_knows(station: Callable[..., str]) -> None:
    with bench_of(station(), "hd_lfp_24s") as bench:
        with bench.station() as opened:
            rows = energise(opened)
            assert opened.rack is not None
            plant = opened.rack.plant
            on = [plant.terminal(name).enabled for name in ("charger", "regen", "load")]
            connected = int(plant.terminal("cells").connected.sum())
        report = opened.safe_report

    assert on == [True, True, True]
    assert connected == 24
    assert {row.mark for row in rows} == {"ok"}
    assert [plant.terminal(name).enabled for name in ("charger", "regen", "load")] == [False] * 3
    assert not plant.terminal("cells").connected.any()
    assert report is not None
    assert told(report).found.startswith("safe after 0.")
    assert told(report).found.endswith(", read back")


def test_a_source_that_does_not_come_up_proves_no_safe_state(
    checked: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instruments.supply_rp7900.Rp7900.source", lambda self, **asked: None)
    done = checked(drill=True)

    (row,) = [row for row in done.findings if row.where == "charger"]
    assert (row.what, row.expected) == ("energised", "5 V")
    assert abs(float(row.found.removesuffix(" V"))) < 0.1


@pytest.mark.parametrize("driver", ["Stuck", "Refusing"])
def test_what_cannot_be_made_safe_is_told_and_is_the_worst(checked: Check, driver: str) -> None:
    done = checked((CHARGER, f"tests.faulty_drivers:{driver}"), drill=True)

    assert done.exit_code == 50
    assert "charger: " in done.unsafe


def test_a_report_that_is_not_confirmed_is_a_finding() -> None:
    report = SafeReport("drill", [SafeStep("charger", "off", 0.1, "cable is out")])

    assert told(report).mark == "wrong"
    assert "charger: off: cable is out" in told(report).found
