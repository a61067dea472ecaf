"""The journal of the scenario that is under way: what would be lost if the run were killed now.

Every event, exchange and judgement becomes one JSON line, handed to the operating system in one write as it
happens. That survives the death of the process, however it dies; it does not survive a power cut or a kernel
that stops, for nothing is forced to the disk line by line. Samples that a driver holds in memory are not in
it. When the scenario has its files the journal is removed: all of it is in them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.evidence.json_file import plain
from bench.evidence.result import ScenarioResult
from bench.record import Event
from bench.verdict import Judgement, Verdict

#: Folder of journals below `evidence/`.
JOURNALS = "journal"

_EVENT, _JUDGEMENT = TypeAdapter(Event), TypeAdapter(Judgement)


class Journal:
    """A journal that grows.

    Parameters
    ----------
    path
        Where; must not exist.
    header
        The scenario: id, nodeid, title, clauses, parameters.

    Attributes
    ----------
    problem
        Why nothing is written any more; "" while all is well. Nobody who adds a line may be stopped by it:
        the line may be about energy that goes off.
    """

    def __init__(self, path: Path, header: Mapping[str, object]) -> None:
        self.path, self.problem, self._size = path, "", 0
        path.parent.mkdir(exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._add("scenario", header)

    def event(self, event: Event) -> None:
        """Something happened."""
        self._add("event", asdict(event))

    def judgement(self, judgement: Judgement) -> None:
        """Something was judged."""
        self._add("judgement", asdict(judgement))

    def exchange(self, t_s: float, role: str, direction: str, data: bytes) -> None:
        """Something crossed a wire."""
        self._add("exchange", {"t_s": t_s, "role": role, "direction": direction, "data": data})

    def close(self) -> None:
        """Write nothing any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """The scenario has its files."""
        self.close()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone
            self.path.parent.rmdir()

    def _add(self, kind: str, row: Mapping[str, object]) -> None:
        if self.problem or self._file < 0:
            return
        try:
            text = json.dumps(plain({"entry": kind, **row}), ensure_ascii=False)
            line = text.encode("utf-8", "surrogateescape") + b"\n"
            if os.write(self._file, line) != len(line):
                raise OSError("the disk took a part of a line")
        except (OSError, TypeError, ValueError) as error:
            self.problem = f"{self.path}: {error}"
            os.ftruncate(self._file, self._size)  # the last line stays a whole one
            return
        self._size += len(line)


@dataclass(slots=True)
class Story:
    """What a journal tells. `torn`: lines that are none, as the last may be after a power cut."""

    header: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    torn: int = 0

    @classmethod
    def read(cls, path: Path) -> Story:
        """Everything in a journal that can be read."""
        story = cls()
        for line in path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                story._take(row.pop("entry"), row)
            except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
                story.torn += 1
        return story

    def _take(self, kind: str, row: dict[str, Any]) -> None:
        match kind:
            case "scenario":
                self.header = row
            case "event":
                self.events.append(_EVENT.validate_python(row))
            case "judgement":
                self.judgements.append(_JUDGEMENT.validate_python(row))
            case "exchange":
                self.exchanges.append(row)

    def result(self, name: str, reason: str) -> ScenarioResult:
        """The scenario as far as it came: an error, because nobody knows how it would have ended."""
        header = self.header
        times_s = [event.t_s for event in self.events] + [row["t_s"] for row in self.exchanges]
        torn = f" ({self.torn} torn lines in its journal)" if self.torn else ""
        return ScenarioResult(
            id=str(header.get("id", name)),
            nodeid=str(header.get("nodeid", "")),
            title=str(header.get("title", "")),
            clauses=tuple(header.get("clauses", ())),
            hazard=str(header.get("id", name)).partition("-")[0],
            verdict=Verdict.ERROR,
            message=reason + torn,
            judgements=tuple(self.judgements),
            events=tuple(self.events),
            duration_s=max((float(t_s) for t_s in times_s), default=0.0),
            parameters=header.get("parameters", {}),
        )
