"""`bmsbench panel`: a station by hand. Commands from the terminal or a pipe; every end makes it safe."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.program import STATION_HELP, DutOption, SimOption, StationOption, app

if TYPE_CHECKING:
    from bench.bringup.panel import Panel, Shown
    from bench.clock import Clock
    from bench.station import Station

#: Columns where nobody sees a terminal.
_WIDTH = 100
#: How often a waiting panel looks for a command [s].
_LOOK_S = 0.02


@app.command()
def panel(
    name: Annotated[str | None, typer.Argument(metavar="[STATION]", help=STATION_HELP)] = None,
    station: StationOption = "emulated",
    dut: DutOption = "hd_lfp_24s",
    soc: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of an emulated pack.")] = 0.5,
    sim: SimOption = "",
) -> None:
    """Show and set a station by hand: 'help' lists the commands. Reads a pipe as well as a terminal.

    'quit', the end of the input and Ctrl-C make the bench safe and read it back. Exit code 50: it could not.
    """
    from bench.bringup.panel import Panel
    from bench.bringup.served import bench_of

    show = _Screen()
    with bench_of(name or station, dut, manifest=sim, soc=soc) as bench:
        opened = bench.station()
        with _ended_by_signals(), contextlib.suppress(KeyboardInterrupt):
            try:
                with bench.watched(opened), opened:
                    made = Panel(opened, show)
                    made.greet()
                    _attend(made, opened, show)
            finally:
                _tell_end(opened, show)


def _attend(panel: Panel, station: Station, show: _Screen) -> None:
    """Commands until the last one; Ctrl-C is the last."""
    from bench.errors import BenchError

    lines = _Lines(sys.stdin.fileno())
    while True:
        try:
            show.prompt()
            line = lines.next(station.clock)
            if line is None:
                return
            show.echo(line)
            if line.strip() and not panel.obey(line):
                return
        except KeyboardInterrupt:
            show("interrupted: making safe")
            return
        except BenchError as error:  # the envelope, or an instrument that was polled, while nothing was asked
            show(f"{type(error).__name__}: {error}")


def _tell_end(station: Station, show: _Screen) -> None:
    report = station.safe_report
    if report is not None:
        show(f"{report}, read back" if report.confirmed else str(report))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A closed terminal and a polite kill end the panel as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class _Lines:
    """Lines of a file descriptor, read by a thread, so that bench time can pass while nobody types."""

    def __init__(self, descriptor: int) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # Not through sys.stdin: a thread that waits in it would hold its lock when the program ends.
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def next(self, clock: Clock) -> str | None:
        """The next line; None at the end of the input. Virtual time stands still meanwhile."""
        if not clock.virtual:
            # Polls, broadcasts and the host's telegrams go on.
            while not clock.until(lambda: not self._lines.empty(), timeout_s=60.0, step_s=_LOOK_S):
                pass
        return self._lines.get()

    def _read(self, descriptor: int) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := os.read(descriptor, 4096):
                *whole, pending = (pending + data).split(b"\n")
                for line in whole:
                    self._lines.put(line.decode("utf-8", "replace"))
        if pending:
            self._lines.put(pending.decode("utf-8", "replace"))
        self._lines.put(None)


class _Screen:
    """Shows lines and tables; repeats commands where nobody has typed them on this screen."""

    def __init__(self) -> None:
        self._console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
        self._typed = sys.stdin.isatty()

    def __call__(self, said: str | Shown) -> None:
        self._console.print(escape(said) if isinstance(said, str) else _table(said), highlight=False)

    def prompt(self) -> None:
        if self._typed:
            self._console.print("> ", end="", style="bold")

    def echo(self, line: str) -> None:
        if not self._typed:
            self._console.print(f"> {escape(line)}", style="bold", highlight=False)


def _table(shown: Shown) -> Table:
    table = Table(title=escape(shown.title), title_justify="left", show_header=any(shown.headings))
    for heading in shown.headings:
        table.add_column(heading, overflow="fold")
    for row in shown.rows:
        table.add_row(*(_styled(cell) for cell in row))
    return table


def _styled(cell: str) -> str:
    return {"ON": "[bold red]ON[/]", "?": "[bold red]?[/]", "off": "[green]off[/]"}.get(cell, escape(cell))
