"""The chain of evidence: one line per file with its SHA-256, chained to the line before, and a seal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import EvidenceInvalid
from bench.evidence.json_file import read_json

SCHEMA = "bmsbench-evidence/1"
CHAIN, SEAL = "chain.jsonl", "seal.json"

#: What the first line is chained to.
GENESIS = hashlib.sha256(SCHEMA.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of a chain: how many entries it has and the hash of the last one."""

    entries: int
    head: str
    schema: str = SCHEMA


def verify(folder: Path | str, *, head: str | None = None) -> Seal:
    """Check that evidence is complete, unaltered and sealed; return its seal.

    Parameters
    ----------
    folder
        A run folder or its `evidence/` folder.
    head
        The seal's hash as it was noted elsewhere, if it was.

    Raises
    ------
    EvidenceInvalid
        The chain is broken, the seal is missing or another one, a file is missing, altered or not in the
        chain. The message names the file, and the expected and found hashes.
    """
    root = evidence_folder(folder)
    entries = read_chain(root)
    if not (root / SEAL).is_file():
        raise EvidenceInvalid(str(root), expected=f"a sealed run ({SEAL})", found="no seal: it never ended")
    seal = read_json(Seal, root / SEAL)
    last = entries[-1]["hash"] if entries else GENESIS
    if (seal.entries, seal.head) != (len(entries), last):
        raise EvidenceInvalid(
            str(root / SEAL),
            expected=f"{len(entries)} entries ending in {last}",
            found=f"{seal.entries} entries ending in {seal.head}",
        )
    if head is not None and head != seal.head:
        raise EvidenceInvalid(str(root / SEAL), expected=f"the noted seal {head}", found=seal.head)
    chained = {entry["file"]: entry["sha256"] for entry in entries}
    for file, expected in chained.items():
        found = _digest(root / file)
        if found != expected:
            raise EvidenceInvalid(str(root / file), expected=f"SHA-256 {expected}", found=found)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_dir() and name not in chained and name not in (CHAIN, SEAL):
            raise EvidenceInvalid(str(path), expected="only files of the chain", found="an extra file")
    return seal


def read_chain(root: Path) -> list[dict[str, Any]]:
    """Return every entry of the chain, each checked against the one before."""
    path = root / CHAIN
    if not path.is_file():
        raise EvidenceInvalid(str(path), expected="evidence with a chain", found="no such file")
    entries: list[dict[str, Any]] = []
    files: set[str] = set()
    previous = GENESIS
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found = json.loads(line)
            file, sha256 = str(found["file"]), str(found["sha256"])
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceInvalid(f"{path}, line {number}", expected="an entry", found=line[:80]) from error
        expected = chain_entry(number, file, sha256, previous)
        if found != expected:
            key = next((key for key in expected if found.get(key) != expected[key]), "seq")
            raise EvidenceInvalid(
                f"{path}, line {number} ({file})",
                expected=f"an unbroken chain with {key} {expected[key]}",
                found=str(found.get(key)) if found.keys() == expected.keys() else f"keys {', '.join(found)}",
            )
        if ".." in Path(file).parts or Path(file).is_absolute() or file in files:
            raise EvidenceInvalid(f"{path}, line {number}", expected="a new file below it", found=file)
        entries.append(found)
        files.add(file)
        previous = found["hash"]
    return entries


def chain_entry(seq: int, file: str, sha256: str, previous: str) -> dict[str, Any]:
    """Return one line of the chain."""
    text = f"{seq}\n{file}\n{sha256}\n{previous}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"seq": seq, "file": file, "sha256": sha256, "previous": previous, "hash": digest}


def _digest(path: Path) -> str:
    if not path.is_file():
        return "no such file"
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def evidence_folder(folder: Path | str) -> Path:
    """Return the `evidence/` folder of a run folder, or `folder` itself."""
    inner = Path(folder) / "evidence"
    return inner if inner.is_dir() else Path(folder)
