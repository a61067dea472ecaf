"""The watchman's process and the rescue, against stand-ins of a few lines behind real sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.clock import Clock
from bench.collector import Collector, ObservedReference
from bench.errors import BenchError, NotReady, StationInvalid, UnsafeState
from bench.evidence import EvidenceWriter, Journal, interruption, load
from bench.guard.lease import _born
from bench.guard.line import GuardLine, Orders
from bench.guard.rescue import Rescue
from bench.guard.watch import Watch, wants_watchman
from bench.station import Station
from bench.station.safe_state import SafeReport, SafeStep
from bench.station_file import StationFile, load_station
from dut_profiles.profile import load_profile
from tests import sample_evidence as sample

ROOT = Path(__file__).parents[1]
PROFILE = load_profile("hd_lfp_24s")
PATIENCE_S = 60.0

STATION = """
name  = "two_loads"
clock = "wall"
{more}
[dut]
address = "twin://dut"

[roles.charger]
driver  = "tests.guarded_drivers:Plain"
address = "socket://127.0.0.1:{charger}"
max_v   = 150.0
max_a   = 240.0

[roles.load]
driver  = "tests.guarded_drivers:Plain"
address = "socket://127.0.0.1:{load}"
max_v   = 150.0
max_a   = 240.0

[safe_state]
role_within_s = 1.5
within_s = 6.0

[lease]
folder = "{folder}"
"""


class Box:
    """An instrument that is on until it is told `off`; one thread, any number of clients, all heard in order.

    `deaf`: it takes connections and answers nobody. `stuck`: it stays on.
    """

    def __init__(self, name: str, heard: list[tuple[str, str]], *, deaf: bool = False, stuck: bool = False):
        self.name, self.on, self._heard = name, True, heard
        self._deaf, self._stuck = deaf, stuck
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", buffering=0) as line:
            for message in line:
                word = message.decode().strip()
                self._heard.append((self.name, word))
                if word == "off" and not self._stuck:
                    self.on = False
                if not self._deaf:
                    line.write({"state": b"on\n" if self.on else b"off\n"}.get(word, b"done\n"))


class Boxes:
    """A charger and a load, a station that has them, and the folder of a run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[tuple[str, str]] = []
        self.box: dict[str, Box] = {}
        self.lines: list[GuardLine] = []

    def station(self, more: str = "", **kinds: dict[str, bool]) -> StationFile:
        for name in ("charger", "load"):
            self.box[name] = Box(name, self.heard, **kinds.get(name, {}))
        ports = {name: box.port for name, box in self.box.items()}
        path = self.folder / "two_loads.toml"
        path.write_text(STATION.format(folder=self.folder / "leases", more=more, **ports), encoding="utf-8")
        return load_station(str(path))

    def rescued(self, file: StationFile) -> SafeReport:
        return Rescue(file, PROFILE).make_safe("a test")

    def orders(self, file: StationFile, pid: int | None = None) -> Orders:
        dut = ROOT / "dut_profiles/hd_lfp_24s.toml"
        return Orders(str(file.path), str(dut), pid or os.getpid(), str(self.folder / "run"))

    def watched(self, file: StationFile) -> GuardLine:
        line = GuardLine.start(self.orders(file))
        self.lines.append(line)
        return line

    def told(self, name: str) -> list[str]:
        return [word for role, word in self.heard if role == name]


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[Boxes]:
    made = Boxes(tmp_path)
    yield made
    for line in made.lines:
        line.bye()
    for box in made.box.values():
        box.close()


# -- rescue -------------------------------------------------------------------------------------------


def test_a_rescue_switches_off_in_order_and_reads_each_back(boxes: Boxes) -> None:
    report = boxes.rescued(boxes.station())

    assert report.confirmed, str(report)
    assert not boxes.box["charger"].on
    assert not boxes.box["load"].on
    changes = [(role, word) for role, word in boxes.heard if word in ("off", "state")]
    assert changes[:2] == [("charger", "off"), ("load", "off")]
    assert sorted(changes[2:]) == [("charger", "state"), ("load", "state")]
    assert [(step.role, step.action) for step in report.steps[:2]] == [("charger", "off"), ("load", "off")]


def test_the_station_states_the_order(boxes: Boxes) -> None:
    file = boxes.station()
    entry = file.safe_state.model_copy(update={"order": ("load", "charger")})

    boxes.rescued(file.model_copy(update={"safe_state": entry}))

    assert [role for role, word in boxes.heard if word == "off"] == ["load", "charger"]


def test_opening_says_nothing_that_could_energise_or_reset(boxes: Boxes) -> None:
    boxes.rescued(boxes.station())

    assert set(boxes.told("charger")) == {"off", "state", "measure"}


def test_one_that_does_not_answer_keeps_nobody_else_on(boxes: Boxes) -> None:
    report = boxes.rescued(boxes.station(charger={"deaf": True}))

    assert not boxes.box["load"].on
    assert not report.confirmed
    assert {step.role for step in report.steps if step.complaint} == {"charger"}
    assert str(report).startswith("NOT CONFIRMED, look: charger: off: WireError: charger: no answer to 'off'")


def test_one_that_never_comes_back_keeps_nobody_else_on(boxes: Boxes) -> None:
    path = boxes.station().path
    path.write_text(
        path.read_text().replace("tests.guarded_drivers:Plain", "tests.guarded_drivers:Hanging", 1)
    )

    report = boxes.rescued(load_station(str(path)))

    assert not boxes.box["load"].on
    assert str(report) == "NOT CONFIRMED, look: charger: off: no answer within 1.5 s"


def test_one_that_stays_on_is_named(boxes: Boxes) -> None:
    report = boxes.rescued(boxes.station(load={"stuck": True}))

    assert str(report) == ("NOT CONFIRMED, look: load: read back: UnsafeState: load says that it is still on")


def test_nobody_at_an_address_is_named(boxes: Boxes) -> None:
    path = boxes.station().path
    port = boxes.box["charger"].port
    path.write_text(path.read_text().replace(f"127.0.0.1:{port}", "127.0.0.1:1"))  # nobody listens there

    report = boxes.rescued(load_station(str(path)))

    assert not boxes.box["load"].on
    assert report.complaints[0].startswith(
        "charger: open: WireError: charger: expected an open serial port at"
    )


def test_nothing_is_confirmed_where_nothing_was_done() -> None:
    assert str(SafeReport("")) == "NOT CONFIRMED, look: nothing was done"


# -- the watchman -------------------------------------------------------------------------------------


def test_a_watchman_that_is_told_goodbye_leaves_nothing_behind(boxes: Boxes) -> None:
    line = boxes.watched(boxes.station())
    line.arm()
    for _ in range(1000):
        line.beat()
    line.disarm()
    line.bye()

    assert not Path(f"/proc/{line.pid}").exists()
    assert not Path(line.listens_at).parent.exists()
    assert boxes.heard == []
    assert boxes.box["charger"].on


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_what_stops_a_run_does_not_stop_its_watchman(boxes: Boxes, name: str) -> None:
    line = boxes.watched(boxes.station())

    os.kill(line.pid, getattr(signal, name))
    line.arm()
    line.disarm()

    assert os.getsid(line.pid) == line.pid != os.getsid(0)


def test_a_watchman_needs_nothing_more_when_it_is_ready(boxes: Boxes) -> None:
    """Nothing is imported in a rescue: then there may be no memory and no disk."""
    file = boxes.station()
    program = (
        "import sys; from bench.guard.rescue import Rescue, preload\n"
        "from bench.station_file import load_station; from dut_profiles.profile import load_profile\n"
        "import bench.guard.watchman\n"
        "file, profile = load_station(sys.argv[1]), load_profile('hd_lfp_24s')\n"
        "preload(file, profile, {}); before = set(sys.modules)\n"
        "assert Rescue(file, profile).make_safe('x').confirmed\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file.path)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip

    assert done.stdout == "[]\n"


def test_a_run_with_broken_wires_is_helped_and_lives(boxes: Boxes) -> None:
    line = boxes.watched(boxes.station())
    line.arm()

    report = line.make_safe("the run could not", 6.0)

    assert report.confirmed
    assert report.cause == "the run could not"
    assert not boxes.box["charger"].on
    line.disarm()


def test_a_watchman_that_cannot_get_ready_says_why(boxes: Boxes) -> None:
    file = boxes.station()
    orders = Orders(str(file.path), str(boxes.folder / "none.toml"), os.getpid(), str(boxes.folder))

    with pytest.raises(NotReady, match=r"the watchman did not get ready: ProfileInvalid: .*none\.toml"):
        GuardLine.start(orders)


def test_heartbeats_never_wait_and_never_raise(boxes: Boxes) -> None:
    line = boxes.watched(boxes.station())
    os.kill(line.pid, signal.SIGSTOP)
    try:
        line._clock = _Racing()  # type: ignore[assignment]
        for _ in range(1_000_000):
            line.beat()
        assert line.lost == ""
    finally:
        os.kill(line.pid, signal.SIGKILL)
        os.kill(line.pid, signal.SIGCONT)
    Clock(virtual=False).until(lambda: bool(line.beat() or line.lost), timeout_s=PATIENCE_S)

    assert line.lost.startswith(f"the watchman (process {line.pid}) is gone: ")
    line.beat()


class _Racing:
    """A clock that is a second further at each look."""

    def __init__(self) -> None:
        self._now_s = 0.0

    @property
    def now_s(self) -> float:
        self._now_s += 1.0
        return self._now_s


RUN = """
import json, os, sys
from bench.guard.lease import _born
from bench.guard.line import GuardLine, Orders
orders = Orders(**{**json.loads(sys.argv[1]), "pid": os.getpid()})
line = GuardLine.start(orders)
state = sys.argv[2]
if state == "computing":
    line.arm()
    line.announce_silence(3600.0)
elif state != "ready":
    line.arm()
if state == "disarmed":
    line.disarm()
print(line.pid, flush=True)
sys.stdin.readline()
"""


def run_of(
    boxes: Boxes, file: StationFile, state: str, reader: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A process that has a watchman and does nothing more; its watchman is in that state."""
    orders = json.dumps({"station": str(file.path), "dut": str(ROOT / "dut_profiles/hd_lfp_24s.toml"),
                         "evidence": str(boxes.folder / "run")})  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", RUN, orders, state], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=reader, text=True,
    )  # fmt: skip


def half_a_run(folder: Path) -> Journal:
    writer = EvidenceWriter(folder / "run", sample.run_info(), sample.PROFILE, sample.STATION)
    journal = Journal(
        writer.folder / "journal/XX-01.jsonl", {"id": "XX-01", "title": "t", "clauses": ("X 1",)}
    )
    journal.exchange(1.0, "charger", ">", b"on")
    return journal


def ended(run: subprocess.Popen[str]) -> str:
    """What the run and its watchman said on standard error, which both hold until they end."""
    assert run.stderr is not None
    said = run.stderr.read()
    run.wait(PATIENCE_S)
    return said


def started(run: subprocess.Popen[str]) -> int:
    """Number of the watchman's process."""
    assert run.stdout is not None
    return int(run.stdout.readline())


def test_the_end_of_an_armed_run_is_a_takeover(boxes: Boxes) -> None:
    file = boxes.station()
    half_a_run(boxes.folder)
    run = run_of(boxes, file, "armed")
    watchman = started(run)
    run.kill()
    said = ended(run)

    assert f"bmsbench watchman: taking over from process {run.pid}: the run ended without a word" in said
    assert "bmsbench watchman: safe after " in said
    assert not boxes.box["charger"].on
    guard = json.loads((boxes.folder / "run/evidence/guard.json").read_text())
    assert guard["confirmed"] is True
    # The line ends a moment before the process is gone: the watchman may find either.
    assert guard["steps"][0]["action"] in ("was gone already", "kill")
    assert guard["watched_by"] == {"charger": "none: a test", "load": "none: a test"}
    assert load(boxes.folder / "run").scenarios[0].result.message.startswith("the run ended without a word")
    assert Clock(virtual=False).until(lambda: not _born(watchman), timeout_s=PATIENCE_S)


def test_silence_ends_an_armed_run(boxes: Boxes) -> None:
    file = boxes.station(more="[guard]\nsilence_s = 0.5\n")
    half_a_run(boxes.folder)
    run = run_of(boxes, file, "armed")  # it waits for a line that never comes, and sends no heartbeat
    said = ended(run)

    assert run.returncode == -signal.SIGKILL
    assert "no sign of life from the run for 0." in said
    assert not boxes.box["load"].on


def test_an_announced_silence_is_none_and_the_next_beat_ends_it(boxes: Boxes) -> None:
    file = boxes.station(more="[guard]\nsilence_s = 0.5\n")
    half_a_run(boxes.folder)
    computing, silent = run_of(boxes, file, "computing"), run_of(boxes, file, "armed")
    started(computing)
    ended(silent)  # both are silent; one has said so
    assert computing.poll() is None
    computing.kill()
    said = ended(computing)

    assert "the run ended without a word" in said
    assert "no sign of life" not in said


def test_a_run_that_ends_between_two_scenarios_gets_its_evidence_sealed_and_nothing_more(
    boxes: Boxes,
) -> None:
    file = boxes.station()
    half_a_run(boxes.folder).remove()
    run = run_of(boxes, file, "disarmed")
    started(run)
    run.kill()
    said = ended(run)

    assert boxes.heard == []
    assert "evidence sealed as interrupted" in said
    assert "between two scenarios" in interruption(boxes.folder / "run")


def test_evidence_that_cannot_be_written_is_kept_elsewhere_and_told(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = boxes.folder / "temporary"
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    run = run_of(boxes, boxes.station(), "armed")  # and there is no folder of a run
    started(run)
    run.kill()
    said = ended(run)

    assert "could not be sealed" in said
    (kept,) = elsewhere.glob("bmsbench-interrupted-*")
    assert f"bmsbench watchman: kept instead: {kept}" in said
    assert json.loads((kept / "guard.json").read_text())["confirmed"] is True
    assert (
        "the run ended without a word" in json.loads((kept / "interrupted.json").read_text())["interrupted"]
    )


def test_the_run_is_a_likelier_victim_of_the_kernel_than_its_watchman(boxes: Boxes) -> None:
    from bench.guard.watch import Guard

    file = boxes.station()
    before = Path("/proc/self/oom_score_adj").read_text()
    guard = Guard(file, PROFILE, {})
    guard.post_watchman(ROOT / "dut_profiles/hd_lfp_24s.toml", boxes.folder / "run")
    assert guard.line is not None
    scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in ("self", guard.line.pid)]
    guard.leave()

    assert scores[0] > scores[1]
    assert Path("/proc/self/oom_score_adj").read_text() == before


# -- the run's side of it -----------------------------------------------------------------------------


class FakeLine:
    """A line that notes what it is told."""

    def __init__(self, report: SafeReport | None = None) -> None:
        self.lost, self.did, self._report = (
            "",
            [],
            report or SafeReport("", [SafeStep("x", "off", 0.0)], took_s=0.1),
        )

    did: list[str]

    def beat(self) -> None:
        self.did.append("beat")

    def announce_silence(self, longest_s: float) -> None:
        self.did.append("announce")

    def arm(self) -> None:
        self.did.append("arm")

    def disarm(self) -> None:
        self.did.append("disarm")

    def make_safe(self, cause: str, within_s: float) -> SafeReport:
        self.did.append("make_safe")
        return self._report


@pytest.fixture
def station() -> Station:
    return Station(load_station("emulated"), PROFILE)


def watch(station: Station, line: FakeLine, folder: Path) -> Watch:
    return Watch(line, station, Journal(folder / "journal/x.jsonl", {"id": "XX-01"}))  # type: ignore[arg-type]


def test_a_watchman_is_armed_before_the_first_byte_and_until_all_is_read_back(
    station: Station, tmp_path: Path
) -> None:
    line = FakeLine()
    with watch(station, line, tmp_path).armed(), station:
        assert line.did[0] == "arm"
        assert "disarm" not in line.did
        before = line.did.count("beat")
        station.clock.sleep(1.0)
        assert line.did.count("beat") >= before + 5

    assert line.did[-1] == "disarm"
    assert station.safe_report is not None
    assert station.safe_report.confirmed


def test_the_reference_says_that_it_computes_before_it_does(station: Station, tmp_path: Path) -> None:
    line = FakeLine()
    made, collector = watch(station, line, tmp_path), Collector()
    collector.about_to_compute = made.computes
    with made.armed(), station:
        station.clock.sleep(0.5)
        before = len(line.did)
        ObservedReference(PROFILE, station.record, collector).explains()

    assert line.did[before] == "announce"


@pytest.mark.parametrize("what", ["watchman", "disk"])
def test_trouble_stops_the_scenario_and_nothing_that_makes_it_safe(
    station: Station, tmp_path: Path, what: str
) -> None:
    line = FakeLine()
    made = watch(station, line, tmp_path)
    with pytest.raises(BenchError, match="The run stops, and makes"), made.armed(), station:  # noqa: PT012
        if what == "disk":
            made._journal.problem = "no space left"
        else:
            line.lost = "the watchman is gone"
        station.clock.sleep(1.0)

    assert station.safe_report is not None
    assert station.safe_report.confirmed


def test_a_stop_waits_for_the_end_of_an_exchange(station: Station, tmp_path: Path) -> None:
    made = watch(station, FakeLine(), tmp_path)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), made.armed(), station:  # noqa: PT012
        made.stopped_by = "SIGTERM"
        station.instruments["charger"].measure()  # type: ignore[attr-defined]
        station.clock.sleep(1.0)

    assert station.safe_report is not None
    assert station.safe_report.confirmed


@pytest.mark.parametrize("helped", [True, False])
def test_what_the_run_cannot_confirm_the_watchman_tries(
    station: Station, tmp_path: Path, helped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = SafeReport("", [SafeStep("charger", "off", 0.0, "" if helped else "silent")], took_s=0.1)
    made = watch(station, FakeLine(report), tmp_path)
    with pytest.raises(BenchError) as caught, made.armed(), station:
        monkeypatch.setattr(station.instruments["meter"], "is_off", lambda: False)

    assert isinstance(caught.value, UnsafeState) is not helped
    assert "meter says that it is still on" in str(caught.value)
    assert f"The watchman, on connections of its own: {report}" in str(caught.value)


def test_a_watchman_for_stand_ins_inside_the_run_is_refused(tmp_path: Path) -> None:
    text = (ROOT / "bench/stations/emulated.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[dut]", "[guard]\nenabled = true\n\n[dut]", 1), encoding="utf-8")

    with pytest.raises(StationInvalid, match=r"\[guard\] enabled: expected an instrument outside the run"):
        wants_watchman(load_station(str(path)))
    assert wants_watchman(load_station("emulated")) is False
    assert wants_watchman(load_station("loopback")) is True


def test_a_request_that_is_none_changes_nothing(boxes: Boxes) -> None:
    line = boxes.watched(boxes.station())
    for words in (b"hello\n", b"{}\n", b"[]\n", b""):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(line.listens_at)
            caller.sendall(words)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(10) == b""
    line.arm()
    line.disarm()

    assert boxes.heard == []
