"""Making a station safe on connections of one's own: after a crash, or from the panic button.

Every role has a thread and a clock of its own, so an instrument that does not answer holds up nobody for
longer than `role_within_s`, and several such hold up no longer than one. The order is the station's; nothing
here energises or resets anything.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import can
import pyvisa

from bench.clock import Clock
from bench.dut import open_dut
from bench.errors import BenchError
from bench.station.drivers import check_drivers
from bench.station.opening import Opener, close_wire
from bench.station.safe_state import (
    OPENS_WITHIN_S,
    SafeReport,
    SafeStep,
    closed_contacts,
    demand_no_current,
    demand_off,
    order_of,
    readings_of,
)
from bench.station_file import StationFile
from bench.wires.can import CanHub, TwinBus
from bench.wires.serial import open_serial
from bench.wires.transcript import Transcript
from dut_profiles.profile import Profile
from instruments import roles

#: How long the thread of a role may outlast the time given to it before nobody waits for it any more [s].
_GRACE_S = 0.05


@dataclass(slots=True)
class _Line:
    """What one thread does, and how far it is."""

    role: str
    doing: str = "open"
    #: Set when the thread has done, or failed to do, that part of its work.
    is_off: threading.Event = field(default_factory=threading.Event)
    is_read: threading.Event = field(default_factory=threading.Event)
    readings: dict[str, float] = field(default_factory=dict)
    failed: bool = False


class Rescue:
    """Makes one station safe, once.

    Parameters
    ----------
    file, profile
        Station and DUT.
    addresses
        Role, and "dut", to address, for stand-ins that another process serves.
    tell
        Called with each step as it ends, from several threads, one at a time.
    """

    def __init__(
        self,
        file: StationFile,
        profile: Profile,
        *,
        addresses: Mapping[str, str] | None = None,
        tell: Callable[[SafeStep], object] | None = None,
    ) -> None:
        self.file, self.profile, self._addresses = file, profile, dict(addresses or {})
        self._tell, self._lock = tell, threading.Lock()
        self._clock = Clock(virtual=False)
        self._report = SafeReport("")
        self._over = False
        self._energy_is_off = threading.Event()

    def make_safe(self, cause: str, *, earlier: Sequence[SafeStep] = (), lost_s: float = 0.0) -> SafeReport:
        """Switch everything off, in order, and read back that it is.

        Parameters
        ----------
        cause
            Why.
        earlier
            Steps that were done before this, such as ending the run.
        lost_s
            Time [s] from the cause to now.
        """
        self._clock = Clock(virtual=False)
        report = self._report = SafeReport(cause, list(earlier))
        entry = self.file.safe_state
        reachable = {name: role for name, role in self.file.roles.items() if not role.is_twin}
        lines = [_Line(name) for name in order_of(reachable, entry)]
        for place, line in enumerate(lines):
            self._start(line.role, partial(self._serve, line, lines[:place]))
        self._wait([line.is_off for line in lines], until_s=entry.role_within_s)
        dut = _Line("dut")
        if not self.file.dut.is_twin:
            self._start("dut", partial(self._ask_dut, dut))
            dut_until_s = self._clock.now_s + entry.role_within_s + OPENS_WITHIN_S
            self._wait([dut.is_off], until_s=min(dut_until_s, entry.within_s))
        self._energy_is_off.set()
        patience_s = self._clock.now_s + entry.role_within_s + entry.rest_within_s
        self._wait([line.is_read for line in lines], until_s=min(patience_s, entry.within_s))
        self._finish(lines, dut)
        report.took_s = lost_s + self._clock.now_s
        return report

    # -- in the thread of one role ------------------------------------------------------------------------

    def _serve(self, line: _Line, ahead: Sequence[_Line]) -> None:
        clock, entry = Clock(virtual=False), self.file.safe_state
        opener = self._opener(clock)
        wire: Any = None
        instrument: roles.Instrument | None = None

        def open_role() -> None:
            nonlocal wire, instrument
            wire, instrument = opener.role(line.role)

        try:
            if not self._step(line, "open", open_role, quiet=True) or instrument is None:
                return
            self._wait([other.is_off for other in ahead], until_s=entry.role_within_s)
            switched_off = self._step(line, "off", instrument.off)
            line.is_off.set()
            self._energy_is_off.wait(entry.within_s)
            read_back = self._step(line, "read back", partial(demand_off, line.role, instrument))
            if line.role == "cells" and switched_off and read_back:
                self._step(line, "pack current", partial(demand_no_current, instrument, clock, entry))
            self._step(line, "measure", partial(self._measure, line, instrument), quiet=True)
        finally:
            line.is_off.set()
            line.is_read.set()
            _let_go(wire)

    def _measure(self, line: _Line, instrument: roles.Instrument) -> None:
        line.readings.update(readings_of(line.role, instrument))

    def _ask_dut(self, line: _Line) -> None:
        clock = Clock(virtual=False)
        opener = self._opener(clock)
        wire: Any = None

        def standby() -> None:
            nonlocal wire
            wire, dut = opener.dut()
            dut.request("standby")
            dut.start()
            clock.sleep(OPENS_WITHIN_S)
            dut.stop()

        try:
            # Whether it answered decides nothing yet: its contacts do, where somebody measures them.
            self._step(line, "standby", standby, counts=False)
        finally:
            line.is_off.set()
            _let_go(wire)

    def _opener(self, clock: Clock) -> Opener:
        return Opener(
            self.file, self.profile, clock=clock, transcript=Transcript(), addresses=self._addresses
        )

    def _step(
        self, line: _Line, action: str, run: Callable[[], object], *, quiet: bool = False, counts: bool = True
    ) -> bool:
        """Do one step and note what came of it; `quiet`: only if it failed. Whether it succeeded."""
        line.doing, complaint = action, ""
        try:
            run()
        except BaseException as error:  # a thread has nobody above it
            complaint = f"{type(error).__name__}: {error}"
        if complaint and not counts:
            line.failed, line.doing = True, complaint
            self._note(line.role, f"{action}, in vain ({complaint})")
        elif complaint or not quiet:
            self._note(line.role, action, complaint)
        return not complaint

    # -- in the thread of the caller -----------------------------------------------------------------------

    def _start(self, name: str, run: Callable[[], None]) -> None:
        # A daemon, because a wire that never returns must not keep the process.
        threading.Thread(target=run, name=f"rescue {name}", daemon=True).start()

    def _wait(self, events: Sequence[threading.Event], *, until_s: float) -> None:
        """Until all of `events` have come, or this rescue is `until_s` [s] old."""
        for event in events:
            event.wait(max(0.0, until_s - self._clock.now_s) + _GRACE_S)

    def _note(self, role: str, action: str, complaint: str = "") -> None:
        with self._lock:
            if self._over:
                return  # the report is out; what comes now, comes too late
            step = SafeStep(role, action, self._clock.now_s, complaint)
            self._report.steps.append(step)
            if self._tell is not None:
                self._tell(step)

    def _finish(self, lines: Sequence[_Line], dut: _Line) -> None:
        """Name who did not answer, and settle whether the DUT has let go."""
        report = self._report
        for line in lines:
            if not line.is_read.is_set():
                bound_s = self.file.safe_state.role_within_s
                self._note(line.role, line.doing, f"no answer within {bound_s:g} s")
            report.readings.update(line.readings)
        if not self.file.dut.is_twin and not dut.is_off.is_set():
            dut.failed, dut.doing = True, "no answer in time"
        closed = closed_contacts(report.readings)
        if dut.failed and closed != []:
            seen = f"{', '.join(closed)} still closed" if closed else "nobody measures its contacts"
            self._note("dut", "standby", f"{dut.doing}, and {seen}")
        with self._lock:
            self._over = True


def _let_go(wire: Any) -> None:
    """Close a wire, if there is one; whether that succeeds makes no difference to safety."""
    if wire is not None:
        with contextlib.suppress(Exception):
            close_wire(wire)


def preload(file: StationFile, profile: Profile, addresses: Mapping[str, str]) -> None:
    """Import everything that a rescue of this station needs, now: later there may be no memory for it.

    Raises
    ------
    StationInvalid, ProfileInvalid
        If a driver, or the DUT's dialect, cannot be found.
    """
    check_drivers(file, profile)
    pyvisa.ResourceManager("@py")
    _rehearse_dut(profile)
    import_module("encodings.idna")  # Python's, at the first connection by name
    for name, entry in file.connected().items():
        address = addresses.get(name, "") if entry.is_served else entry.address
        scheme = address.partition("://")[0]
        if address.startswith("can:"):
            interface = address.split(":")[1]
            import_module(can.interfaces.BACKENDS[interface][0])
        elif "://" in address and find_spec(f"serial.urlhandler.protocol_{scheme}"):
            import_module(f"serial.urlhandler.protocol_{scheme}")


def _rehearse_dut(profile: Profile) -> None:
    """Talk to a DUT that is not there, in virtual time: what its dialect loads when used is then loaded."""
    clock, bitrate = Clock(), int(profile.communication.bitrate)
    if profile.communication.transport == "can":
        wire: Any = TwinBus(CanHub(clock, bitrate), "host")
    else:
        wire = open_serial(
            "twin://dut", baud=bitrate, clock=clock, role="dut", transcript=Transcript(), twin=_Nobody()
        )
    dut = open_dut(profile, wire, clock=clock)
    with contextlib.suppress(BenchError):
        dut.request("standby")
        dut.start()


class _Nobody:
    """The far end of a line that leads nowhere."""

    def handle(self, message: bytes) -> None:
        """Hear nothing."""
