"""Whatever ends a run while its charger pushes 20 A: energy off, read back, evidence to the last event.

Each case is a run of its own process against a sim; what is true in the end is asked of the sim's plant,
before which no driver and no instrument stands. Nothing here sleeps: processes end, pipes close, and the
sim answers.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.clock import Clock
from bench.evidence import Evidence, load
from bench.sim import SimClient
from bench.verdict import Verdict
from tests.child_signals import as_from_a_terminal
from tests.tiny_suites import CLAUSES, runs_in, scenario

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, pseudo terminals")

ROOT = Path(__file__).parents[1]
LOOPBACK = (ROOT / "bench/stations/loopback.toml").read_text(encoding="utf-8")

#: Long enough for any machine; nothing waits for it to pass.
PATIENCE_S = 120.0

#: Below the pack current that counts as dead in the station file [A].
DEAD_A = 2.0

#: Silence for which a run is taken for dead in the cases that are about silence [s].
SILENCE_S = 3.0

HEAD = """
import json, os, resource, signal, sys
import pytest
from bench.scenario import requirement
from bench.sim import Manifest, SimClient
from pathlib import Path

def sim():
    return SimClient(Manifest.of_file(Path(os.environ["BENCH_SIM"])))

def tell(word):
    print(word, json.dumps(sim().truth()), flush=True)

@pytest.fixture
def aftermath():
    yield
    tell("AFTER")

def energise(bench):
    bench.cells.set(voltage_v=3.3)
    bench.dut.start()
    assert bench.dut.wait_for("standby", 30.0)
    bench.dut.request("charge")
    assert bench.dut.wait_for("charge", 30.0)
    bench.charge(20.0)
    assert bench.clock.until(lambda: bench.charger.measure()[1] > 19.0, timeout_s=5.0)
    bench.record.note("last", "the last event")
    tell("ENERGISED")
"""

ENERGISED = "energise(bench)\n"


@dataclass
class Ended:
    """A run that is over, and so is its watchman."""

    code: int
    out: str
    err: str
    evidence: Evidence
    truth: dict[str, Any]

    def told(self, word: str) -> list[dict[str, Any]]:
        """What the plant knew each time the suite said `word`."""
        return [
            json.loads(line.partition(word)[2]) for line in self.out.splitlines() if line.startswith(word)
        ]

    @property
    def guard(self) -> dict[str, Any]:
        """What the watchman found."""
        found: dict[str, Any] = json.loads((self.evidence.folder / "guard.json").read_text())
        return found


class Bench:
    """A sim, and runs against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        station = folder / "loopback.toml"
        station.write_text(self._text(""), encoding="utf-8")
        self.sim = SimClient.start(str(station), "hd_lfp_24s")
        self.manifest = folder / "sim.json"
        self.manifest.write_text(self.sim.manifest.to_json() + "\n")

    def _text(self, more: str) -> str:
        # The charger's own watchdog: long for a run that is slow, short for a test that waits for it.
        options = "[roles.charger.options]\n"
        assert LOOPBACK.count(options) == 1
        return LOOPBACK.replace(options, f"{options}watchdog_s = 6\n") + more

    def start(self, folder: Path, *sources: str, more: str = "") -> subprocess.Popen[str]:
        """Start a run."""
        (folder / "test_tiny.py").write_text(HEAD + "".join(sources), encoding="utf-8")
        (folder / "requirements.toml").write_text(CLAUSES, encoding="utf-8")
        (folder / "rack.toml").write_text(self._text(more), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", "--rootdir=.", ".",
             "--bench-station=rack.toml"],
            cwd=folder, env=self.environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, bufsize=1, preexec_fn=as_from_a_terminal,
        )  # fmt: skip

    def environment(self, folder: Path) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("BENCH_")},
            "PYTHONPATH": str(ROOT),
            "BENCH_SIM": str(self.manifest),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def end(self, folder: Path, run: subprocess.Popen[str], said: str = "") -> Ended:
        """Wait until the run and everybody who holds its standard error have ended."""
        try:
            out, err = run.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            run.kill()  # its ports are the next run's
            raise
        runs = runs_in(folder / "results")
        assert len(runs) == 1, said + out + err
        return Ended(run.returncode, said + out, err, load(runs[0]), self.sim.truth())

    def whole(self, folder: Path, *sources: str, more: str = "") -> Ended:
        """A run that nobody disturbs from outside."""
        return self.end(folder, self.start(folder, *sources, more=more))

    def disturbed(
        self, folder: Path, disturb: Callable[[subprocess.Popen[str]], object], *, more: str = ""
    ) -> Ended:
        """A run that is disturbed as soon as the current flows."""
        run = self.start(folder, charging("bench.wait(3600.0)"), more=more)
        said = read_to(run, "ENERGISED")
        disturb(run)
        return self.end(folder, run, said)


def read_to(run: subprocess.Popen[str], word: str) -> str:
    """Standard output of a run up to the line that starts with `word`."""
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        said += line
        if line.startswith(word):
            return said
    raise AssertionError(f"it ended before {word}:\n{said}\n{run.stderr.read() if run.stderr else ''}")


def charging(body: str, *, name: str = "xx_01", number: str = "XX-01", arguments: str = "bench") -> str:
    return scenario(ENERGISED + body, name=name, number=number, arguments=arguments)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("sim"))
    yield made
    process = made.sim.process
    made.sim.close()
    assert process is not None
    process.wait(PATIENCE_S)


def assert_dead(truth: dict[str, Any], *, but: tuple[str, ...] = ()) -> None:
    """Nothing is energised or connected, as the plant knows it."""
    assert {name: truth[name]["enabled"] for name in ("charger", "regen", "load") if name not in but} == {
        name: False for name in ("charger", "regen", "load") if name not in but
    }
    assert abs(truth["pack"]["current_a"]) < DEAD_A
    assert truth["contacts_closed"][:4] == [False] * 4
    assert truth["cells_connected"] == 0
    assert truth["faults"] == []


def assert_was_energised(ended: Ended) -> None:
    found = ended.told("ENERGISED")
    assert found
    for truth in found:
        assert truth["charger"]["enabled"]
        assert truth["pack"]["current_a"] > 19.0


def assert_tells_to_the_last_event(ended: Ended) -> None:
    """The evidence was found intact when it was loaded; here: it is complete."""
    for stored in ended.evidence.scenarios:
        assert "the last event" in [event.text for event in stored.result.events]
        assert any(row["role"] == "charger" for row in stored.exchanges())


def assert_rescued(ended: Ended, cause: str) -> None:
    """The watchman took over, and all of it was confirmed."""
    assert_was_energised(ended)
    assert_dead(ended.truth)
    assert ended.code == -signal.SIGKILL
    guard = ended.guard
    assert guard["confirmed"]
    assert [step["complaint"] for step in guard["steps"] if step["complaint"]] == []
    assert cause in guard["cause"]
    assert math.isfinite(guard["took_s"])
    assert {step["role"] for step in guard["steps"] if step["action"] == "read back"} >= {"charger", "load"}
    assert abs(guard["readings"]["cells.current_a"]) < DEAD_A
    assert guard["watched_by"]["charger"].startswith("instrument: output off")
    assert guard["imported_late"] == []
    assert f"bmsbench watchman: {guard['sentence']}" in ended.err
    assert guard["sentence"].startswith("safe after ")
    assert cause in ended.evidence.run.interrupted
    assert [stored.result.verdict for stored in ended.evidence.scenarios] == [Verdict.ERROR]
    assert cause in ended.evidence.scenarios[0].result.message
    assert_tells_to_the_last_event(ended)


# -- the run makes its bench safe itself --------------------------------------------------------------

BREAK_THE_DRIVER = """
from instruments.supply_rp7900 import Rp7900
def measure(self):
    raise ZeroDivisionError("a mistake in the driver")
Rp7900.measure, Rp7900.plain = measure, Rp7900.measure
bench.charger.measure()
"""
JUDGE = 'assert 1.0 in judge.at_most(2.0, unit="V", what="a voltage", reason="clause 1")'
FILL_THE_MEMORY = """
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + 64_000_000, before[1]))
try:
    hoard = [bytearray(1_000_000) for _ in range(100_000)]
finally:
    resource.setrlimit(resource.RLIMIT_AS, before)
"""


def test_normal_end_failed_test_mistake_in_a_driver_and_no_memory(bench: Bench, tmp_path: Path) -> None:
    with_aftermath = "aftermath, bench, judge"
    ended = bench.whole(
        tmp_path,
        charging(JUDGE, name="xx_01", number="XX-01", arguments=with_aftermath),
        charging("assert 1 + 1 == 3", name="xx_02", number="XX-02", arguments=with_aftermath),
        charging(FILL_THE_MEMORY, name="xx_03", number="XX-03", arguments=with_aftermath),
        charging(BREAK_THE_DRIVER, name="xx_04", number="XX-04", arguments=with_aftermath),
    )

    assert ended.code == 1, ended.out + ended.err
    assert len(ended.told("ENERGISED")) == len(ended.told("AFTER")) == 4
    assert_was_energised(ended)
    for truth in ended.told("AFTER"):
        assert_dead(truth)
    results = [stored.result for stored in ended.evidence.scenarios]
    assert [result.verdict for result in results] == [
        Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.ERROR,
    ]  # fmt: skip
    assert "MemoryError" in results[2].message
    # The broken driver could not read back; the watchman's could.
    assert "The watchman, on connections of its own: safe after" in results[3].message
    assert (ended.evidence.folder / "attachments/guard-4.json").is_file()
    assert ended.evidence.run.interrupted == ""
    assert not (ended.evidence.folder / "journal").exists()
    assert list((tmp_path / "state/bmsbench/leases").glob("*.json")) == []
    assert_tells_to_the_last_event(ended)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 2), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_takes_the_way_through_the_safe_state(
    bench: Bench, tmp_path: Path, name: str, code: int
) -> None:
    ended = bench.disturbed(tmp_path, lambda run: run.send_signal(getattr(signal, name)))

    assert ended.code == code, ended.out + ended.err
    assert_was_energised(ended)
    assert_dead(ended.truth)
    assert f"the run was stopped by KeyboardInterrupt: {name}" in ended.evidence.scenarios[0].result.message
    assert ended.evidence.run.interrupted == ""
    assert_tells_to_the_last_event(ended)


def test_a_full_disk_stops_the_run_after_it_made_the_bench_safe(bench: Bench, tmp_path: Path) -> None:
    fill = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\nbench.wait(3600.0)"
    second = charging("assert 1 + 1 == 2", name="xx_02", number="XX-02")
    ended = bench.whole(tmp_path, charging(fill, arguments="aftermath, bench"), second)

    assert ended.code == 3, ended.out + ended.err
    assert_was_energised(ended)
    assert len(ended.told("ENERGISED")) == 1
    (after,) = ended.told("AFTER")
    assert_dead(after)
    # The watchman has room, and gives the evidence an end.
    assert "evidence could not be written" in ended.evidence.run.interrupted
    assert [stored.result.id for stored in ended.evidence.scenarios] == ["XX-01"]
    assert_tells_to_the_last_event(ended)


@pytest.mark.parametrize("what", ["pull", "kill"], ids=["cable pulled", "instrument without mains"])
def test_one_instrument_that_is_gone_keeps_no_other_from_going_off(
    bench: Bench, tmp_path: Path, what: str
) -> None:
    try:
        ended = bench.disturbed(tmp_path, lambda _: bench.sim.ask(what, role="charger"))
        # What nobody can reach watches itself.
        own_watchdog = Clock(virtual=False).until(
            lambda: not bench.sim.truth()["charger"]["enabled"], timeout_s=PATIENCE_S, step_s=0.1
        )
    finally:
        bench.sim.ask("plug" if what == "pull" else "revive", role="charger")

    assert ended.code == 50, ended.out + ended.err
    assert_was_energised(ended)
    assert_dead(ended.truth, but=("charger",))
    assert own_watchdog
    message = ended.evidence.scenarios[0].result.message
    assert "The watchman, on connections of its own: NOT CONFIRMED, look: charger: open: " in message
    assert "regen: " not in message
    assert_tells_to_the_last_event(ended)
    # Nobody saw it off: whoever comes next has to look first.
    assert len(list((tmp_path / "state/bmsbench/leases").glob("*.json"))) == 1


def test_a_run_that_lost_its_watchman_stops_and_makes_the_bench_safe(bench: Bench, tmp_path: Path) -> None:
    def kill_watchman(run: subprocess.Popen[str]) -> None:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        named = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
        (watchman,) = (pid for pid, command in named.items() if "bench.guard" in command)
        os.kill(int(watchman), signal.SIGKILL)

    ended = bench.disturbed(tmp_path, kill_watchman)

    assert ended.code == 3, ended.out + ended.err
    assert_was_energised(ended)
    assert_dead(ended.truth)
    assert "is gone" in ended.evidence.scenarios[0].result.message
    assert_tells_to_the_last_event(ended)


# -- the watchman does it -----------------------------------------------------------------------------


def test_a_killed_run_is_rescued(bench: Bench, tmp_path: Path) -> None:
    """`kill -9`, and what the kernel does when memory runs out."""
    ended = bench.disturbed(tmp_path, lambda run: run.kill())

    assert_rescued(ended, "the run ended without a word")


def test_a_stopped_run_is_ended_and_rescued(bench: Bench, tmp_path: Path) -> None:
    ended = bench.disturbed(
        tmp_path,
        lambda run: run.send_signal(signal.SIGSTOP),
        more=f"\n[guard]\nsilence_s = {SILENCE_S}\n",
    )

    assert_rescued(ended, f"no sign of life from the run for {SILENCE_S:.1f}")
    assert ended.guard["took_s"] > SILENCE_S


WAIT_FOR_EVER = """
(wire,) = [wire for name, wire in bench.station._wires if name == "meter"]
wire.timeout = 3_600_000
sim().ask("pull", role="meter")
wire.query("*IDN?")
"""


def test_a_run_that_waits_for_ever_for_an_answer_is_ended_and_rescued(bench: Bench, tmp_path: Path) -> None:
    run = bench.start(tmp_path, charging(WAIT_FOR_EVER), more=f"\n[guard]\nsilence_s = {SILENCE_S}\n")
    said = read_to(run, "ENERGISED")
    # The meter measures; it holds no energy. Its cable comes back when the run is gone.
    run.wait(PATIENCE_S)
    bench.sim.ask("plug", role="meter")
    ended = bench.end(tmp_path, run, said)

    assert ended.code == -signal.SIGKILL
    assert_was_energised(ended)
    assert_dead(ended.truth)
    assert "no sign of life from the run" in ended.guard["cause"]
    assert_tells_to_the_last_event(ended)


def test_the_panic_button_ends_a_run_and_shows_what_its_watchman_found(bench: Bench, tmp_path: Path) -> None:
    pressed: list[subprocess.CompletedProcess[str]] = []

    def press(_: subprocess.Popen[str]) -> None:
        command = [sys.executable, "-m", "bench", "safe", "rack.toml"]
        given = {"env": bench.environment(tmp_path), "capture_output": True, "text": True}
        pressed.append(subprocess.run(command, cwd=tmp_path, timeout=PATIENCE_S, check=False, **given))

    ended = bench.disturbed(tmp_path, press)

    assert_rescued(ended, "asked to by ")
    (done,) = pressed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "watchman: run: kill: done\n" in done.stdout
    assert "watchman: charger: off: done\n" in done.stdout
    assert done.stdout.splitlines()[-1] == ended.guard["sentence"]
