"""Write the evidence of one run, and read it back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import EvidenceInvalid
from bench.evidence.chain import (
    CHAIN,
    GENESIS,
    SCHEMA,
    SEAL,
    Seal,
    chain_entry,
    evidence_folder,
    read_chain,
    verify,
)
from bench.evidence.json_file import checked, plain, read_json, to_json
from bench.evidence.result import RunInfo, ScenarioResult
from bench.evidence.traces import TraceFile, pack_traces
from bench.record import Trace

RUN = "run.json"

#: Ending of a file that is about to replace another one.
PART = ".part"


class EvidenceWriter:
    """Write the evidence of one run, file by file; never change one.

    Parameters
    ----------
    folder
        Run folder; `evidence/` is made in it and must not exist.
    run
        Goes to `run.json` now, so that a broken run can be recognised, and into the chain at the seal.
    profile_text, station_text
        The two files as they were read.

    Raises
    ------
    EvidenceInvalid
        If the folder holds evidence already.
    """

    def __init__(self, folder: Path, run: RunInfo, profile_text: str, station_text: str) -> None:
        self.folder = Path(folder) / "evidence"
        if self.folder.exists():
            raise EvidenceInvalid(str(self.folder), expected="a new folder", found="one that exists")
        self.folder.mkdir(parents=True)
        self._run = to_json({"schema": SCHEMA} | asdict(run))
        self._entries, self._head, self._sealed = 0, GENESIS, False
        self._write(RUN, self._run)
        self.add("profile.toml", profile_text.encode())
        self.add("station.toml", station_text.encode())

    @classmethod
    def resume(cls, root: Path) -> EvidenceWriter:
        """Go on with the evidence in the folder `root`, whose writer is gone and has not sealed it.

        A last line of the chain that was cut off while it was written is taken back: its file is then one
        that was never chained.

        Raises
        ------
        EvidenceInvalid
            If its chain is broken elsewhere.
        """
        chain = root / CHAIN
        if chain.is_file() and (whole := chain.read_bytes().rpartition(b"\n")) and whole[2]:
            os.truncate(chain, len(whole[0]) + len(whole[1]))
        entries = read_chain(root) if chain.is_file() else []
        writer = cls.__new__(cls)
        writer.folder, writer._sealed = root, False
        writer._run = (root / RUN).read_bytes()
        writer._entries, writer._head = len(entries), entries[-1]["hash"] if entries else GENESIS
        return writer

    def describe(self, run: RunInfo) -> None:
        """Say more about the run than was known at its start: who answered at which address."""
        self._replace_run(to_json({"schema": SCHEMA} | asdict(run)))

    def interrupted(self, reason: str) -> None:
        """Write into `run.json` that the run ended before its time, and why."""
        self._replace_run(to_json(json.loads(self._run) | {"interrupted": reason}))

    def _replace_run(self, data: bytes) -> None:
        # Not in the chain before the seal, so it may be replaced until then; never seen half written.
        part = self.folder / (RUN + PART)
        part.unlink(missing_ok=True)
        self._write(part.name, data)
        part.replace(self.folder / RUN)
        self._run = data

    def scenario(
        self,
        result: ScenarioResult,
        traces: Mapping[str, Trace] | None = None,
        exchanges: Iterable[Mapping[str, object]] = (),
        can_frames: bytes | Path | None = None,
    ) -> str:
        """Store one scenario; return the name under which its files are found.

        Parameters
        ----------
        result
            What was judged.
        traces
            Measured, reported and commanded traces by standard name.
        exchanges
            One mapping per exchange with an instrument or the DUT; bytes are written as hexadecimal digits.
        can_frames
            A BLF log of the bus, as bytes or as a file to copy.
        """
        name = self.free_name(result.id)
        if traces:
            self.add(f"traces/{name}.npz", pack_traces(traces))
        lines = [json.dumps(plain(row), sort_keys=True, ensure_ascii=False) for row in exchanges]
        if lines:
            self.add(f"exchanges/{name}.jsonl", ("\n".join(lines) + "\n").encode())
        if can_frames is not None:
            data = can_frames if isinstance(can_frames, bytes) else can_frames.read_bytes()
            self.add(f"can/{name}.blf", data)
        # Last: a scenario that is listed has all its files.
        self.add(f"scenarios/{name}.json", to_json(asdict(result)))
        return name

    def attach(self, name: str, data: bytes) -> str:
        """Store any other file of the run; return its path below `evidence/`."""
        file = f"attachments/{_stem(name)}"
        self.add(file, data)
        return file

    def seal(self) -> Seal:
        """End the chain. Nothing can be added afterwards."""
        self._chain(RUN, self._run)
        seal = Seal(self._entries, self._head)
        self._write(SEAL, to_json(asdict(seal)))
        self._sealed = True
        return seal

    def free_name(self, scenario: str) -> str:
        """The name under which the next result of a scenario will be found."""
        stem = _stem(scenario)
        count = 1
        while (
            self.folder / f"scenarios/{(name := stem if count == 1 else f'{stem}-{count}')}.json"
        ).exists():
            count += 1
        return name

    def add(self, file: str, data: bytes) -> None:
        """Store a file below `evidence/` and chain it."""
        self._write(file, data)
        self._chain(file, data)

    def take(self, path: Path) -> None:
        """Chain a file that is there already."""
        self._chain(path.relative_to(self.folder).as_posix(), path.read_bytes())

    def _write(self, file: str, data: bytes) -> None:
        if self._sealed:
            raise EvidenceInvalid(str(self.folder), expected="open evidence", found=f"a seal before {file}")
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        try:
            target = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise EvidenceInvalid(str(path), expected="a name not used yet", found="a file") from error
        with target:
            try:
                _write_all(target, data)
            except OSError:
                path.unlink()  # a full disk: half a file is none
                raise

    def _chain(self, file: str, data: bytes) -> None:
        if self._sealed:
            raise EvidenceInvalid(str(self.folder), expected="open evidence", found=f"a seal before {file}")
        entry = chain_entry(self._entries + 1, file, hashlib.sha256(data).hexdigest(), self._head)
        with (self.folder / CHAIN).open("ab", buffering=0) as target:
            size = target.tell()
            try:
                _write_all(target, json.dumps(entry).encode() + b"\n")
            except OSError:
                target.truncate(size)  # as if this file had not been tried
                raise
        self._entries += 1
        self._head = entry["hash"]


def _write_all(target: io.FileIO, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += target.write(data[written:])


@dataclass(frozen=True, slots=True)
class Scenario:
    """One stored scenario: its result, and its files when they are asked for.

    `derived` is for readers that compute the same thing from it twice, such as two reports with one figure.
    """

    name: str
    result: ScenarioResult
    folder: Path
    derived: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def traces(self) -> TraceFile:
        """Measured and reported traces by name, read lazily."""
        return TraceFile(self._file(f"traces/{self.name}.npz"))

    @property
    def exchanges_file(self) -> Path | None:
        """JSON lines of every exchange, if any was stored."""
        return self._file(f"exchanges/{self.name}.jsonl")

    @property
    def can_file(self) -> Path | None:
        """BLF log of the bus, if one was stored."""
        return self._file(f"can/{self.name}.blf")

    def exchanges(self) -> Iterator[dict[str, Any]]:
        """Every exchange, in order."""
        if self.exchanges_file:
            for line in self.exchanges_file.read_text(encoding="utf-8").splitlines():
                yield json.loads(line)

    def _file(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sealed evidence that was found intact. `folder` is its `evidence/` folder."""

    folder: Path
    run: RunInfo
    seal: Seal
    profile_text: str
    station_text: str
    scenarios: tuple[Scenario, ...]


def load(folder: Path | str) -> Evidence:
    """Verify the evidence in a run folder (or its `evidence/` folder) and read it; traces stay on disk.

    Raises
    ------
    EvidenceInvalid
        See `verify`; or a file is of another version.
    """
    root = evidence_folder(folder)
    seal = verify(root)
    raw = json.loads((root / RUN).read_bytes())
    if raw.pop("schema", None) != SCHEMA:
        raise EvidenceInvalid(str(root / RUN), expected=f"schema {SCHEMA}", found="another version")
    files = [entry["file"] for entry in read_chain(root)]
    scenarios = tuple(
        Scenario(Path(file).stem, read_json(ScenarioResult, root / file), root)
        for file in files
        if file.startswith("scenarios/")
    )
    return Evidence(
        root,
        checked(RunInfo, raw, root / RUN),
        seal,
        (root / "profile.toml").read_bytes().decode(),
        (root / "station.toml").read_bytes().decode(),
        scenarios,
    )


def _stem(name: str) -> str:
    """A file name that every system takes: letters, digits, `.`, `-` and `_`."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._") or "unnamed"
