"""Leases: who uses a shared bench, since when, until when; as one file per bench, in a folder of the lab.

A lease is renewed while its run lives. One that is not is *stale*: its time is over, or its process, on this
host, is gone. Then nobody knows what is still switched on, so a stale lease changes hands only through a
rescue. Needs a file system with `flock`, which a folder on one host always is.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.errors import NotReady
from bench.station_file import STATION_DIR, StationFile


@dataclass(frozen=True, slots=True)
class Lease:
    """One bench in one hand.

    Parameters
    ----------
    bench
        Name of the station; with a mark of the addresses if other processes serve it.
    station
        What a command line takes for it: its name, or its file.
    holder, host, pid, born
        Who holds it, where, and in which process; `born` tells it from a later one with its number.
    since_utc, until_utc
        ISO dates.
    addresses
        Role to address, for stand-ins that another process serves.
    watchman
        Unix socket on which the run's watchman takes requests; "" if there is none.
    token
        Tells this lease from every other.
    """

    bench: str
    station: str
    holder: str
    host: str
    pid: int
    born: str
    since_utc: str
    until_utc: str
    addresses: dict[str, str] = field(default_factory=dict)
    watchman: str = ""
    token: str = ""

    @property
    def is_here(self) -> bool:
        """Whether its process runs, or ran, on this host."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether its process is there, as far as can be told from here."""
        return not self.is_here or _born(self.pid) == self.born != ""

    @property
    def is_stale(self) -> bool:
        """Whether nobody renews it any more."""
        return datetime.now(UTC) > datetime.fromisoformat(self.until_utc) or not self.is_alive

    def __str__(self) -> str:
        since, until = (
            datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")
            for text in (self.since_utc, self.until_utc)
        )
        return f"{self.holder} on {self.host} (process {self.pid}), since {since} UTC, until {until} UTC"


def lease_for(file: StationFile, addresses: Mapping[str, str], *, minutes: float | None = None) -> Lease:
    """A lease of a bench for this process, from now on, for `minutes` [min]; default: the station's."""
    minutes = file.lease.minutes if minutes is None else minutes
    now, pid = datetime.now(UTC), os.getpid()
    return Lease(
        bench=bench_name(file, addresses),
        station=file.path.stem if file.path.parent == STATION_DIR else str(file.path),
        holder=_user(),
        host=socket.gethostname(),
        pid=pid,
        born=_born(pid),
        since_utc=now.isoformat(timespec="seconds"),
        until_utc=(now + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
        addresses=dict(addresses),
        token=uuid.uuid4().hex,
    )


def bench_name(file: StationFile, addresses: Mapping[str, str]) -> str:
    """What is leased: a real bench is one, of served ones there are as many as there are sims."""
    if not file.is_served:
        return file.name
    mark = hashlib.sha256(json.dumps(dict(addresses), sort_keys=True).encode()).hexdigest()[:8]
    return f"{file.name}-{mark}"


def lease_folder(file: StationFile) -> Path:
    """Where leases of this station are: what it says, or below the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return (file.lease.folder or Path(state) / "bmsbench" / "leases").expanduser()


class LeaseFile:
    """The file that says who holds one bench.

    Parameters
    ----------
    folder
        Of the lab's leases; made if it is not there.
    bench
        See `bench_name`.
    """

    def __init__(self, folder: Path, bench: str) -> None:
        self.path = folder / f"{bench}.json"

    def read(self) -> Lease | None:
        """Who holds it; None if nobody does."""
        try:
            return Lease(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise NotReady(
                f"expected a lease in {self.path}, found something else ({error}). Nothing was opened. "
                "See that the bench is off, then remove the file."
            ) from error

    def take(self, lease: Lease) -> Lease | None:
        """Put `lease` in; return the stale one that was there, whose bench has to be made safe first.

        Raises
        ------
        NotReady
            If somebody holds it, or the folder cannot be used.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                held = self.read()
                if held is not None and not held.is_stale:
                    raise NotReady(_in_use(held, self.path))
                self._write(lease)
        except OSError as error:
            raise NotReady(
                f"expected a folder for leases at {self.path.parent}, found {error}. Nothing was opened. "
                "[lease] folder of the station says where it is."
            ) from error
        return held

    def renew(self, lease: Lease, minutes: float, **changes: str) -> Lease | None:
        """Let `lease` last for `minutes` [min] from now; None if it is in other hands by now."""
        until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds")
        renewed = replace(lease, until_utc=until, **changes)  # type: ignore[arg-type]  # texts all
        with self._alone():
            held = self.read()
            if held is None or held.token != lease.token:
                return None
            self._write(renewed)
        return renewed

    def release(self, lease: Lease) -> None:
        """Give the bench back, if it is still in this hand."""
        with contextlib.suppress(OSError, NotReady), self._alone():
            held = self.read()
            if held is not None and held.token == lease.token:
                self.path.unlink()

    def _write(self, lease: Lease) -> None:
        # In one step, so that nobody reads a half: made beside it with O_EXCL, then moved over it.
        part = self.path.with_suffix(f".{lease.token}")
        with part.open("x", encoding="utf-8") as target:
            json.dump(asdict(lease), target, indent=1)
        part.replace(self.path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process from looking and writing at the same time."""
        with self.path.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def leases_of(file: StationFile) -> list[Lease]:
    """Every lease of a station and of its sims."""
    paths = sorted(lease_folder(file).glob(f"{file.name}*.json"))
    found = (LeaseFile(path.parent, path.stem).read() for path in paths)
    return [
        lease
        for lease in found
        if lease is not None and lease.bench in (file.name, bench_name(file, lease.addresses))
    ]


def _in_use(held: Lease, path: Path) -> str:
    return (
        f"station {held.bench} is in use by {held}; it renews that while it runs. Nothing was opened. Wait "
        f"until it ends; if its bench has to go off now: bmsbench safe {held.station}. (The lease: {path})"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return f"user {os.getuid()}"


def _born(pid: int) -> str:
    """When a process on this host began, in words of its system; "" if there is none, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as source:
            fields = source.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if os.path.isdir("/proc/self") or not _exists(pid) else "alive"
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
