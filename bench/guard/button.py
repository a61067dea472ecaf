"""The panic button: a station made safe by whoever asks, whether or not a run holds it.

If a watchman of a run on this host watches the bench, it is asked, for it ends the run first. Else this
process does it on connections of its own.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import InvalidInput, StationInvalid
from bench.guard.lease import Lease, LeaseFile, bench_name, lease_folder, leases_of
from bench.station_file import StationFile
from dut_profiles.profile import Profile


def press(
    file: StationFile,
    profile: Profile,
    addresses: Mapping[str, str] | None,
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Make a station safe now; what came of it, as `bench.guard.report.as_json` has it.

    Parameters
    ----------
    file, profile
        Station and DUT.
    addresses
        Role to address, for stand-ins that another process serves; None: as the lease of the station says.
    say
        Told what is done, step by step.

    Raises
    ------
    StationInvalid
        If all of the station lives inside a run.
    InvalidInput
        If nobody says where its stand-ins are.
    """
    if all(entry.is_twin for entry in file.roles.values()):
        raise StationInvalid(
            f"{file.path}: address",
            expected="an instrument outside a run, to be made safe",
            found="stand-ins only, which end with the run",
        )
    if addresses is None:
        addresses = _leased_addresses(file) if file.is_served else {}
    leases = LeaseFile(lease_folder(file), bench_name(file, addresses))
    lease = leases.read()
    if lease is not None:
        say(f"held by {lease}")
        if lease.is_here and lease.watchman and (report := _ask_watchman(lease, say)):
            return report
        if not lease.is_stale:
            say("its run cannot be ended from here: it may switch on again, stop it")
    # Asking a watchman did not need any of it, and it takes a second.
    from bench.guard.report import as_json
    from bench.guard.rescue import Rescue

    rescue = Rescue(file, profile, addresses=addresses, tell=lambda step: say(str(step)))
    own = rescue.make_safe(f"asked to by {_who()}")
    if lease is not None and lease.is_stale and own.confirmed:
        leases.release(lease)
    return as_json(own)


def _leased_addresses(file: StationFile) -> Mapping[str, str]:
    leases = leases_of(file)
    if len(leases) != 1:
        raise InvalidInput(
            f"{file.path}: address",
            expected="--sim or BENCH_SIM, a file that `bmsbench sim --json` wrote, or one run that holds it",
            found=f"{len(leases)} runs that hold such a station" if leases else "neither",
        )
    return leases[0].addresses


def _ask_watchman(lease: Lease, say: Callable[[str], object]) -> dict[str, Any] | None:
    """Let the watchman of the run take over; None if there is none any more."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(lease.watchman)
            line.sendall(json.dumps({"who": _who()}).encode() + b"\n")
            with line.makefile("rb") as answers:
                for text in answers:
                    row: dict[str, Any] = json.loads(text)
                    if "report" in row:
                        report: dict[str, Any] = row["report"]
                        return report
                    say(f"watchman: {row['step']}")
        except OSError:
            pass
    say("its watchman does not answer; going on without it")
    return None


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name} (process {os.getpid()})"
