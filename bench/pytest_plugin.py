"""The pytest plugin: options, fixtures, verdicts, evidence.

A test marked with `bench.scenario.requirement` gets a station of its own, opened before and made safe after
it. What it judged, and everything that was measured and reported meanwhile, becomes evidence. An error of the
bench is shown as an error, never as a failure of the DUT; what was not judged is never green.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from bench.errors import BenchError, EnvelopeLeft, InvalidInput, NotApplicable, NotReady
from bench.verdict import Verdict

# pytest loads every installed plugin at every start: plant, BMS and drivers only when a scenario needs them.
if TYPE_CHECKING:
    from bench.clock import Clock
    from bench.collector import Collector, Judge, ObservedReference
    from bench.plan import Demand, Plan
    from bench.procedure import Bench
    from bench.record import Record
    from bench.run import Campaign, Options, Outcome
    from bench.stimulus import CellStimulus
    from dut_profiles.profile import Profile

_CAMPAIGN: pytest.StashKey[Campaign] = pytest.StashKey()
_OUTCOME: pytest.StashKey[Outcome] = pytest.StashKey()
_SIGNALS: pytest.StashKey[Signals] = pytest.StashKey()
_FAILED_SCENARIO_REPORTS: pytest.StashKey[int] = pytest.StashKey()

#: Exit codes of a run that was stopped; of a shell's, but for Ctrl-C, which pytest calls 2.
_EXIT_CODE_OF = {"SIGINT": 2, "SIGTERM": 143, "SIGHUP": 129}

_OPTIONS: dict[str, tuple[str, str]] = {
    "bench-station": ("emulated", "station: a name in bench/stations or a TOML file"),
    "bench-dut": ("hd_lfp_24s", "DUT profile: a name in dut_profiles or a TOML file"),
    "bench-seed": ("", "seed of spread, noise and errors of the emulated parts (default: the station's)"),
    "bench-defect": ("", "seed this defect into the emulated BMS"),
    "bench-defects-from": ("", "a Python file with further defects"),
    "bench-rule": ("simple", "decision rule: simple or guarded acceptance"),
    "bench-sim": ("", "manifest of a running `bmsbench sim` (default: a served station starts its own)"),
    "bench-results": ("results", "folder for results"),
    "bench-requirements": ("", "TOML file of clauses (default: requirements.toml beside the scenarios)"),
    "bench-plan": (
        "",
        "hold the worst case of each scenario against all ratings before anything is energised: alone, only "
        "that; =on, and run if it fits; =off (default: on, if anything of the station is real)",
    ),
    "bench-longest": ("", "leave out scenarios that take longer than that in their rehearsal [s]"),
    "bench-certify": (
        "",
        "certification run: starts only with real instruments, identified and calibrated, and a plan",
    ),
    "bench-rehearse": ("", "write what each scenario asks for into this file, on stand-ins only"),
}
#: Options that mean something without a value.
_ALONE = {"bench-plan": "only", "bench-certify": "yes"}
_CHOICES = {"bench-plan": ("on", "only", "off"), "bench-certify": ("yes", "no")}


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


class Hooks:
    """Hooks that a conftest.py may implement."""

    @pytest.hookspec
    def pytest_bench_sealed(self, run_folder: Path) -> None:
        """The evidence of a run is complete and sealed; render reports from it."""

    @pytest.hookspec
    def pytest_bench_planned(self, plan: Plan) -> None:
        """A plan was made; nothing is opened yet."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench", "bmsbench: test bench for battery management systems")
    for name, (default, text) in _OPTIONS.items():
        env = name.upper().replace("-", "_")
        shown = f" [default: {default}]" if default else ""
        alone = {"nargs": "?", "const": _ALONE[name]} if name in _ALONE else {}
        group.addoption(f"--{name}", default=None, help=f"{text}{shown}; environment {env}", **alone)
        parser.addini(name.replace("-", "_"), text, default=default)
    # pytest's own key, on by default here: a plain `assert` that holds has to reach the evidence anywhere.
    parser.addini("enable_assertion_pass_hook", "Tell plugins of assertions that hold.", "bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    # pytest 9 asks for this key, and keeps what it hears, before plugins can say what its default is.
    getattr(config, "_inicache", {}).pop("enable_assertion_pass_hook", None)
    config.addinivalue_line(
        "markers", "bench_scenario(id, clauses): a validation scenario and what it traces to"
    )
    config.addinivalue_line("markers", "bench_pack(**state): the pack that a scenario wants to find")
    for name, choices in _CHOICES.items():
        if (given := _option(config, name)) and given not in choices:
            # It may be a path that stood behind an option which was meant to stand alone.
            raise pytest.UsageError(
                f"--{name}: expected {' or '.join(choices)}, found {given!r}. Before other arguments, write "
                f"--{name}={_ALONE[name]}."
            )


def _option(config: pytest.Config, name: str) -> str:
    """Command line, then environment, then ini file, then default."""
    given = config.getoption(f"--{name}")
    if given is None:
        given = os.environ.get(name.upper().replace("-", "_"))
    return str(config.getini(name.replace("-", "_")) if given is None else given)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes longer than was asked for."""
    text = _option(config, "bench-longest")
    scenarios = _scenarios(items)
    if not text or not scenarios or _option(config, "bench-rehearse"):
        return
    from bench.plan.session import longest

    try:
        most_s = longest(text)
        durations = {demand.nodeid: demand.duration_s for demand in _demands(config, scenarios)}
    except BenchError as error:
        raise pytest.UsageError(f"{type(error).__name__}: {error}") from error
    left_out = [item for item in items if durations.get(item.nodeid, 0.0) > most_s]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _scenarios(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if item.get_closest_marker("bench_scenario")]


def _demands(config: pytest.Config, items: list[pytest.Item]) -> list[Demand]:
    """What each scenario asks for, rehearsed unless that is known."""
    from bench.plan import Scene
    from bench.plan.session import DECIDING, demands_of

    options = {name: _option(config, f"bench-{name}") for name in DECIDING}
    options["requirements"] = options["requirements"] or str(items[0].path.parent / "requirements.toml")
    return demands_of(
        [Scene(item.nodeid, _scenario_of(item)[0], item.path) for item in items],
        options,
        config=config,
        results=Path(_option(config, "bench-results")),
        tell=partial(_say, config),
    )


def _say(config: pytest.Config, text: str) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(text)


def _plan(config: pytest.Config, items: list[pytest.Item], campaign: Campaign) -> None:
    """Make the plan if one is wanted; end here if it does not fit, or if nothing else was asked for."""
    from bench.plan import make_plan
    from bench.plan.session import wanted
    from bench.plan.table import as_text, verdict

    choice = wanted(_option(config, "bench-plan"), campaign.file)
    campaign.plan_skipped = choice == "off"
    if choice in ("", "off"):
        return
    if hasattr(config, "workerinput"):
        raise InvalidInput("--bench-plan", expected="one process, without -n", found="a worker of xdist")
    try:
        plan = make_plan(campaign.file, campaign.profile, _demands(config, items))
    except NotReady as error:
        pytest.exit(f"{error} --bench-plan=off runs without a plan.", returncode=error.exit_code)
    config.hook.pytest_bench_planned(plan=plan)
    campaign.plan = plan.as_json()
    if choice == "only" or not plan.fits:
        _say(config, as_text(plan))
    _say(config, verdict(plan))
    if not plan.fits:
        pytest.exit("the plan exceeds ratings; nothing was energised", returncode=NotReady.exit_code)
    if choice == "only":
        pytest.exit("only the plan was asked for; nothing was energised", returncode=0)


def _campaign(config: pytest.Config, options: Options, items: list[pytest.Item]) -> Campaign:
    from bench.run import Campaign

    command_line = " ".join(map(str, config.invocation_params.args))
    scenarios = [_scenario_of(item) for item in items]
    if out := _option(config, "bench-rehearse"):
        from bench.plan import Rehearsal

        return Rehearsal(Path(out), options, scenarios, command_line=command_line)
    campaign = Campaign(options, scenarios, command_line=command_line)
    _plan(config, items, campaign)
    return campaign


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Read station, profile and defects once, before the first scenario."""
    items = _scenarios(session.items)
    if not items or session.config.option.collectonly:
        return
    from bench.run import Options

    config = session.config
    options = Options(
        station=_option(config, "bench-station"),
        dut=_option(config, "bench-dut"),
        seed=_option(config, "bench-seed"),
        defect=_option(config, "bench-defect"),
        defects_from=_option(config, "bench-defects-from"),
        rule=_option(config, "bench-rule"),
        results=Path(_option(config, "bench-results")),
        sim=_option(config, "bench-sim"),
        certify=_option(config, "bench-certify") == "yes",
        requirements=Path(
            _option(config, "bench-requirements") or items[0].path.parent / "requirements.toml"
        ),
    )
    try:
        campaign = _campaign(config, options, items)
    except BenchError as error:
        raise pytest.UsageError(f"{type(error).__name__}: {error}") from error
    _take_bench(config, campaign)
    _demand_certifiable(config, campaign)
    config.stash[_CAMPAIGN] = campaign
    if threading.current_thread() is threading.main_thread():
        config.stash[_SIGNALS] = Signals(campaign)


def _take_bench(config: pytest.Config, campaign: Campaign) -> None:
    """Lease and watchman, with the real standard error: the watchman keeps it when pytest is gone."""
    capture = config.pluginmanager.getplugin("capturemanager")
    try:
        with contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled():
            campaign.take_bench(lambda text: print(text, file=sys.stderr, flush=True))
    except BenchError as error:
        pytest.exit(f"{type(error).__name__}: {error}", returncode=error.exit_code)


def _demand_certifiable(config: pytest.Config, campaign: Campaign) -> None:
    """Every reason against a certification, once, before the first scenario."""
    try:
        campaign.demand_certifiable()
    except BenchError as error:
        _say(config, f"{type(error).__name__}: {error}")
        campaign.seal()
        pytest.exit("no certification; nothing was energised", returncode=error.exit_code)


def _scenario_of(item: pytest.Item) -> tuple[str, tuple[str, ...]]:
    marker = item.get_closest_marker("bench_scenario")
    assert marker is not None
    try:
        return str(marker.kwargs["id"]), tuple(marker.kwargs["clauses"])
    except KeyError as error:
        raise InvalidInput(
            item.nodeid,
            expected='@requirement("<clause>", scenario="<id>") of bench.scenario',
            found="a bare marker bench_scenario",
        ) from error


class Signals:
    """What stops a run from outside: all of it takes the same way out, through the teardown of the station.

    `by` is the first one that came, or 0. One that the parent ignores, as `nohup` does, stays ignored.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.by = 0
        self._campaign = campaign
        self._before = {
            number: signal.signal(number, self._stop)
            for name in _EXIT_CODE_OF
            if (number := getattr(signal, name, None)) and signal.getsignal(number) is not signal.SIG_IGN
        }

    @property
    def exit_code(self) -> int:
        """Of a run that such a signal ended; 0 if none did."""
        return _EXIT_CODE_OF[signal.Signals(self.by).name] if self.by else 0

    def restore(self) -> None:
        """Let the ones before have them again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.by = self.by or number
        name = signal.Signals(number).name
        if not self._campaign.stop(name):
            raise KeyboardInterrupt(name)


# -- fixtures -----------------------------------------------------------------------------------------


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The bench with its DUT, open and prepared; energy off and read back as off afterwards."""
    from bench.procedure import Bench
    from bench.rack import PackState

    campaign = request.config.stash.get(_CAMPAIGN, None)
    outcome = request.node.stash.get(_OUTCOME, None)
    if campaign is None or outcome is None:
        raise pytest.UsageError("the fixture 'bench' is for tests marked with bench.scenario.requirement")
    marker = request.node.get_closest_marker("bench_pack")
    pack = PackState(**(marker.kwargs if marker else {}))
    with campaign.open_station(outcome, pack) as station:
        outcome.start_s = station.clock.now_s
        yield Bench(station, known_soc=pack.soc if marker and pack.known_soc is None else None)


@pytest.fixture
def collector(request: pytest.FixtureRequest, bench: Bench) -> Collector:
    """What the scenario judged."""
    return request.node.stash[_OUTCOME].collector  # type: ignore[no-any-return]


@pytest.fixture
def reference(bench: Bench, collector: Collector) -> ObservedReference:
    """The reference model for this DUT, on this record."""
    from bench.collector import ObservedReference

    return ObservedReference(bench.profile, bench.record, collector)


@pytest.fixture
def judge(collector: Collector) -> Judge:
    """Windows whose judgements reach the evidence."""
    from bench.collector import Judge

    return Judge(collector)


@pytest.fixture
def record(bench: Bench) -> Record:
    """What was measured and reported."""
    return bench.record


@pytest.fixture
def clock(bench: Bench) -> Clock:
    """Bench time."""
    return bench.clock


@pytest.fixture
def cells(bench: Bench) -> CellStimulus:
    """The cell emulator."""
    return bench.cells


@pytest.fixture
def dut(bench: Bench) -> Any:
    """The DUT."""
    return bench.dut


@pytest.fixture
def profile(bench: Bench) -> Profile:
    """What the DUT's maker declares."""
    return bench.profile


# -- verdicts and evidence ----------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    campaign = item.config.stash.get(_CAMPAIGN, None)
    marker = item.get_closest_marker("bench_scenario")
    if campaign is None or marker is None:
        return (yield)
    from bench.collector import Collector
    from bench.run import Outcome

    scenario, clauses = _scenario_of(item)
    doc = ((getattr(item, "obj", None).__doc__ or "").strip() or item.name).splitlines()[0]
    outcome = Outcome(scenario, item.nodeid, doc, clauses, Collector(campaign.rule))
    outcome.parameters = _parameters(item)
    item.stash[_OUTCOME] = outcome
    try:
        return (yield)
    except BaseException as error:
        _make_safe_at_once(item, outcome, error)
        raise
    finally:
        line = campaign.finish(outcome)
        signals = item.config.stash.get(_SIGNALS, None)
        if campaign.broken or (signals and signals.by):
            item.session.shouldstop = campaign.broken or "stopped from outside"
        reporter = item.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                reporter.ensure_newline()
                reporter.write_line(line)


def _make_safe_at_once(item: pytest.Item, outcome: Outcome, error: BaseException) -> None:
    """Whoever stops a run wants the energy off now, and to know whether it is: pytest tears down later."""
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    outcome.raised(BenchError(f"the run was stopped by {reason}"), during="call")
    try:
        item.ihook.pytest_runtest_teardown(item=item, nextitem=None)
    except BaseException as failed:
        outcome.raised(failed, during="teardown")


def _parameters(item: pytest.Item) -> dict[str, object]:
    marker = item.get_closest_marker("bench_pack")
    callspec = getattr(item, "callspec", None)
    return {**(marker.kwargs if marker else {}), **(callspec.params if callspec else {})}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    outcome = item.stash.get(_OUTCOME, None)
    if outcome is None:
        return report
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, NotApplicable):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, str(error))
        outcome.skip(str(error))
    elif error is not None and not isinstance(error, pytest.skip.Exception | KeyboardInterrupt):
        outcome.raised(error, during=call.when)
        if isinstance(error, EnvelopeLeft):
            item.session.shouldstop = str(error)
    elif isinstance(error, pytest.skip.Exception):
        outcome.skip(str(error))
    if call.when == "call" and report.passed:
        _demand_a_judgement(report, outcome)
    if report.failed:
        item.config.stash[_FAILED_SCENARIO_REPORTS] = item.config.stash.get(_FAILED_SCENARIO_REPORTS, 0) + 1
    report.bench_verdict = str(outcome.verdict)
    return report


def _demand_a_judgement(report: pytest.TestReport, outcome: Outcome) -> None:
    """A test that returned has passed only if it judged something, and all of that was right."""
    if not outcome.collector.judged:
        report.outcome = "failed"
        report.longrepr = (
            f"{outcome.id}: the scenario judged nothing, so it proves nothing. "
            "Expected at least one `assert`, best `assert value in window`."
        )
        outcome.raised(BenchError(report.longrepr), during="call")
    elif outcome.verdict is Verdict.FAIL:
        report.outcome = "failed"
        report.longrepr = f"{outcome.id}: {outcome.judged_wrong} (judged, and not asserted)"


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    verdict = getattr(report, "bench_verdict", None)
    if verdict is None:
        return None
    if report.passed:
        # The plugin writes a line of its own for each scenario.
        return ("passed" if report.when == "call" else "", "", "")
    if report.skipped:
        return "skipped", "", ""
    category = {Verdict.INCONCLUSIVE: "inconclusive", Verdict.FAIL: "failed"}.get(Verdict(verdict), "error")
    return category, "", ""


def pytest_assertion_pass(item: pytest.Item, lineno: int, orig: str, expl: str) -> None:
    outcome = item.stash.get(_OUTCOME, None)
    if outcome is not None:
        outcome.collector.checks.append(orig)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    campaign = session.config.stash.get(_CAMPAIGN, None)
    if campaign is None:
        return
    folder = campaign.seal()
    session.exitstatus = _exit_status(session, exitstatus, campaign)
    if folder is not None:
        session.config.hook.pytest_bench_sealed(run_folder=folder)


def _exit_status(session: pytest.Session, pytest_says: int, campaign: Campaign) -> int:
    """The verdicts decide, unless somebody has something to say that they do not know."""
    campaign_says = campaign.exit_code()
    if campaign_says >= NotReady.exit_code:
        return campaign_says
    signals = session.config.stash.get(_SIGNALS, None)
    if signals is not None and signals.by:
        return signals.exit_code
    if campaign.broken:
        return BenchError.exit_code
    if pytest_says not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return pytest_says
    if session.testsfailed > session.config.stash.get(_FAILED_SCENARIO_REPORTS, 0):
        return int(pytest.ExitCode.TESTS_FAILED)  # something beside the scenarios failed
    return campaign_says


def pytest_unconfigure(config: pytest.Config) -> None:
    if _SIGNALS in config.stash:
        config.stash[_SIGNALS].restore()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    campaign = config.stash.get(_CAMPAIGN, None)
    if campaign is not None:
        terminalreporter.ensure_newline()
        terminalreporter.write_line(campaign.last_words())
