"""A whole check: instruments, then wiring and drill where asked for; every finding at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bench.bringup.drill import energise, told
from bench.bringup.inspection import RoleShown, inspect
from bench.bringup.polarity import check_polarity
from bench.bringup.rows import Row, wrong
from bench.bringup.served import Bench
from bench.bringup.wiring import check_wiring
from bench.errors import BenchError, NotReady, UnsafeState, WireError
from bench.station import SafeReport, Station

if TYPE_CHECKING:
    from bench.guard.line import GuardLine


@dataclass(slots=True)
class Checked:
    """What a check came to.

    Parameters
    ----------
    station, dut
        Names.
    roles
        Each instrument as it is known without energy.
    rows
        Everything that was looked at.
    unsafe
        What could not be switched off or read back, in words.
    """

    station: str
    dut: str
    roles: list[RoleShown] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    unsafe: str = ""

    @property
    def findings(self) -> list[Row]:
        """What is wrong."""
        return wrong(self.rows)

    @property
    def exit_code(self) -> int:
        """0: fit to run; else that of what is worst."""
        if self.unsafe:
            return UnsafeState.exit_code
        return NotReady.exit_code if self.findings else 0


def check(bench: Bench, *, wiring: bool = False, drill: bool = False) -> Checked:
    """Check a bench. Nothing is prepared before every instrument is the one that the station file means.

    Parameters
    ----------
    bench
        Of what.
    wiring
        Follow every channel to where it arrives, at millivolts.
    drill
        Then switch a little on, and make safe.
    """
    checked = Checked(bench.file.name, bench.profile.identity.model)
    checked.roles, checked.rows = inspect(bench.station(), bench.addresses)
    stages: list[tuple[str, Callable[[Station], list[Row]]]] = [
        ("wiring", _follow) if wiring else ("telemetry", _talk)
    ]
    if drill:
        stages.append(("drill", partial(energise, wired=wiring)))
    for name, work in stages:
        if checked.findings or checked.unsafe:
            found = "not done, because of what was found before"
            checked.rows.append(Row(name, "", "a bench without findings", found, "note"))
            continue
        report = _opened(bench, name, work, checked)
        if name == "drill" and report is not None:
            checked.rows.append(told(report))
    if drill and bench.line is not None and not (checked.findings or checked.unsafe):
        _drill_watchman(bench, bench.line, checked, wired=wiring)
    bench.unsafe = bool(checked.unsafe)
    return checked


def _drill_watchman(bench: Bench, line: GuardLine, checked: Checked, *, wired: bool) -> None:
    """Energise once more and let go of everything, as a run that dies does: the watchman makes it safe."""
    station = bench.station(bare=True)
    try:
        with bench.watched(station), station:
            checked.rows += wrong(energise(station, wired=wired))
            station.abandon()
            checked.unsafe = _saved(line, bench.file.safe_state.within_s, checked)
    except UnsafeState as error:
        checked.unsafe = str(error)
    except BenchError as error:
        checked.rows.append(_broke("drill", error))


def _saved(line: GuardLine, within_s: float, checked: Checked) -> str:
    """Have the watchman make the bench safe; why it is not, or ""."""
    try:
        report = line.make_safe("a drill: the run let go of everything", within_s)
    except WireError as error:
        return f"the watchman did not answer: {error}"
    checked.rows.append(told(report, "safe state by the watchman"))
    return "" if report.confirmed else str(report)


def _opened(
    bench: Bench, name: str, work: Callable[[Station], list[Row]], checked: Checked
) -> SafeReport | None:
    """Do one stage on an open station and make it safe; what making safe came to."""
    station = bench.station(bare=True)
    try:
        with bench.watched(station), station:
            try:
                checked.rows += work(station)
            except BenchError as error:
                checked.rows.append(_broke(name, error))
    except UnsafeState as error:
        checked.unsafe = str(error)
    except BenchError as error:  # it did not open
        checked.rows.append(_broke(name, error))
        checked.unsafe = "; ".join(getattr(error, "__notes__", ()))
    return station.safe_report


def _broke(name: str, error: BenchError) -> Row:
    return Row(name, "the bench", "no error", f"{type(error).__name__}: {error}", "wrong")


def _talk(station: Station) -> list[Row]:
    """Whether the DUT answers. It need not: something of the bench may have to power it first."""
    if station.file.dut.supply_v is not None:
        found = "not asked: the bench feeds it, and without cells it would lock"
        return [Row("dut", "telemetry", "an answer", found, "note")]
    try:
        station.dut.start()
    except WireError as error:
        return [Row("dut", "telemetry", "an answer", str(error), "note")]
    return [Row("dut", "telemetry", "an answer", f"state {station.dut.state()}")]


def _follow(station: Station) -> list[Row]:
    return check_wiring(station) + check_polarity(station)
