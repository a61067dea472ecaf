"""How long it takes from the end of a run, however it ends, until the bench is seen to be safe.

    python -m benchmarks.safe_state [--times N] [--only ROW ...]

Each row is one way to end a run on the loopback station while its charger pushes 20 A. *off*: until the plant
no longer sees the charger (asked every few milliseconds). *confirmed*: until everything was read back, by the
run itself or by the watchman. Wall time on this machine, without the time that processes take to start; a row
about silence contains the silence after which a run is taken for dead.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from timeit import default_timer
from typing import Any

from tests.test_safe_state_matrix import PATIENCE_S, WAIT_FOR_EVER, Bench, charging, read_to

SILENCE_S = 3.0
_SHORT_SILENCE = f"\n[guard]\nsilence_s = {SILENCE_S}\n"

#: A fixture of the tiny suite: says when the station has been closed, which is after its own teardown.
_AFTER = """
@pytest.fixture
def closed():
    yield
    print("CLOSED", flush=True)
"""


def _signal(name: str) -> Callable[[Bench, Path, subprocess.Popen[str]], object]:
    return lambda bench, folder, run: run.send_signal(getattr(signal, name))


def _press(bench: Bench, folder: Path, run: subprocess.Popen[str]) -> object:
    command = [sys.executable, "-m", "bench", "safe", "rack.toml"]
    return subprocess.Popen(  # noqa: S603  (our own program)
        command,
        cwd=folder,
        env=bench.environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _let_go(bench: Bench, folder: Path, run: subprocess.Popen[str]) -> object:
    return (folder / "go").write_text("go")


_GO = "bench.clock.until(Path('go').exists, timeout_s=60.0, step_s=0.005)\n"

#: Row to what the scenario does once current flows, what is done to it from outside, and more of the station.
ROWS: dict[str, tuple[str, Callable[[Bench, Path, subprocess.Popen[str]], object], str]] = {
    "normal end": (_GO + "assert 1 + 1 == 2", _let_go, ""),
    "failed test": (_GO + "assert 1 + 1 == 3", _let_go, ""),
    "exception in a driver": (_GO + "raise ZeroDivisionError('a mistake in the driver')", _let_go, ""),
    "SIGINT": ("bench.wait(3600.0)", _signal("SIGINT"), ""),
    "SIGTERM": ("bench.wait(3600.0)", _signal("SIGTERM"), ""),
    "SIGHUP": ("bench.wait(3600.0)", _signal("SIGHUP"), ""),
    "SIGKILL, out of memory": ("bench.wait(3600.0)", _signal("SIGKILL"), ""),
    f"SIGSTOP, {SILENCE_S:g} s of silence": ("bench.wait(3600.0)", _signal("SIGSTOP"), _SHORT_SILENCE),
    f"blocked in a read, {SILENCE_S:g} s of silence": (_GO + WAIT_FOR_EVER, _let_go, _SHORT_SILENCE),
    "panic button": ("bench.wait(3600.0)", _press, ""),
}


def once(bench: Bench, row: str) -> tuple[float, float]:
    """End one run; time to off and to confirmed [s]."""
    body, disturb, more = ROWS[row]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = _AFTER + charging(body, arguments="closed, bench")
        run = bench.start(folder, source, more=more)
        read_to(run, "ENERGISED")
        heard: dict[str, float] = {}
        listeners = [
            threading.Thread(target=_listen, args=(stream, word, heard))
            for stream, word in ((run.stdout, "CLOSED"), (run.stderr, "bmsbench watchman: safe after"))
        ]
        for listener in listeners:
            listener.start()
        start_s = default_timer()
        disturb(bench, folder, run)
        while (truth := bench.sim.truth())["charger"]["enabled"] or abs(truth["pack"]["current_a"]) > 2.0:
            if "blocked" in row and run.poll() is not None:
                bench.sim.ask("plug", role="meter")  # the cable that held the run up
            if default_timer() - start_s > PATIENCE_S:
                raise SystemExit(f"{row}: the charger is still on after {PATIENCE_S:g} s")
        off_s = default_timer() - start_s
        run.wait(PATIENCE_S)
        for listener in listeners:
            listener.join(PATIENCE_S)
        if not heard:
            raise SystemExit(f"{row}: nobody said that the bench is safe")
        return off_s, min(heard.values()) - start_s


def _listen(stream: Any, word: str, heard: dict[str, float]) -> None:
    for line in stream:
        if line.startswith(word):
            heard.setdefault(word, default_timer())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(ROWS), help="rows, by the start of their names")
    given = parser.parse_args()
    print(f"{given.times} times each, load {os.getloadavg()[0]:.1f}; seconds, median and worst")
    print(f"{'how the run ends':<34} {'off':>13} {'confirmed':>13}")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        for row in ROWS:
            if any(row.startswith(start) for start in given.only):
                times = [once(bench, row) for _ in range(given.times)]
                shown = (f"{statistics.median(v):.2f} {max(v):.2f}" for v in zip(*times, strict=True))
                print(f"{row:<34} {next(shown):>13} {next(shown):>13}", flush=True)
        bench.sim.close()


if __name__ == "__main__":
    main()
