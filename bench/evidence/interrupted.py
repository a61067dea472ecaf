"""The end of evidence that nobody ended: the run was killed, and somebody else seals what it left.

The scenario that was under way becomes an *error* with the events, judgements and exchanges of its journal.
Files that were half written stay, under `leftover/`: evidence takes nothing away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.evidence.chain import CHAIN, SEAL, Seal, evidence_folder, read_chain
from bench.evidence.journal import JOURNALS, Story
from bench.evidence.json_file import read_json, to_json
from bench.evidence.store import PART, RUN, EvidenceWriter

LEFTOVER = "leftover"


def seal_interrupted(folder: Path, reason: str, files: Mapping[str, bytes] | None = None) -> Seal:
    """Seal the evidence of a run that ended before its time; return the seal.

    Parameters
    ----------
    folder
        The run's folder.
    reason
        Why it ended. Goes to `run.json`, and to the scenario that was under way.
    files
        Name below `evidence/` to content, added first: what the watchman found.

    Raises
    ------
    EvidenceInvalid
        If the chain is broken: it was altered, and is no evidence.
    OSError
        If it cannot be written. What is there stays as it is, and this can be tried again.
    """
    root = evidence_folder(folder)
    if (root / SEAL).is_file():
        return read_json(Seal, root / SEAL)
    writer = EvidenceWriter.resume(root)
    for name, data in (files or {}).items():
        if not (root / name).exists():
            writer.add(name, data)
    _set_leftovers_aside(writer)
    for path in sorted(root.glob(f"{JOURNALS}/*.jsonl")):
        _end_scenario(writer, path, reason)
    writer.interrupted(reason)
    return writer.seal()


def interruption(folder: Path) -> str:
    """Why a run ended before its time, from its evidence; "" if it ended itself."""
    return str(json.loads((evidence_folder(folder) / RUN).read_bytes()).get("interrupted", ""))


def _set_leftovers_aside(writer: EvidenceWriter) -> None:
    """Whatever was being written when it ended gets a place where nobody takes it for whole."""
    root = writer.folder
    chained = {entry["file"] for entry in read_chain(root)}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        if name in chained or name in (RUN, CHAIN, SEAL) or name.startswith(f"{JOURNALS}/"):
            continue
        if name.endswith(PART):  # the run's file, about to be replaced by the same with more in it
            path.unlink()
        elif not name.startswith(f"{LEFTOVER}/"):
            aside = root / LEFTOVER / name.replace("/", "_")
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
            writer.take(aside)
        else:
            writer.take(path)


def _end_scenario(writer: EvidenceWriter, journal: Path, reason: str) -> None:
    """The journal joins the chain, and what it tells becomes the files of a scenario.

    If this was tried before, some of it is there already.
    """
    root, name = writer.folder, journal.stem
    chained = {entry["file"] for entry in read_chain(root)}
    if f"{JOURNALS}/{name}.jsonl" not in chained:
        writer.take(journal)
    if f"scenarios/{name}.json" in chained:  # it had ended; only its journal was not yet removed
        return
    story = Story.read(journal)
    if story.exchanges and f"exchanges/{name}.jsonl" not in chained:
        lines = (json.dumps(row, sort_keys=True, ensure_ascii=False) for row in story.exchanges)
        writer.add(f"exchanges/{name}.jsonl", ("\n".join(lines) + "\n").encode())
    writer.add(f"scenarios/{name}.json", to_json(story.result(name, reason)))
