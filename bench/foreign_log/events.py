"""What was done to the DUT while a foreign log ran: mode requests, faults, resets, from a file of events."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from bench.errors import InvalidInput
from bench.record import Event

_FORM = '{"t_s": 4.5, "kind": "mode", "mode": "charge"}'


def read_events(path: Path) -> list[Event]:
    """Read events, one JSON object in each line, or those of a scenario of sealed evidence.

    `t_s` is in the time of the log. Kinds and their data are those of docs/reference/record.md; the data may
    stand beside `kind` or in an object `data`.

    Raises
    ------
    InvalidInput
        Names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            str(path), expected="a file of events that can be read", found=str(error)
        ) from error
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("events"), list):
        return [_event(row, f"{path}, event {k}") for k, row in enumerate(whole["events"], 1)]
    lines = ((k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip())
    return [_event(_object(line, f"{path}:{k}"), f"{path}:{k}") for k, line in lines]


def _object(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidInput(where, expected=f"a JSON object such as {_FORM}", found=repr(line[:60])) from error


def _event(row: Any, where: str) -> Event:
    if not isinstance(row, dict):
        raise InvalidInput(where, expected=f"a JSON object such as {_FORM}", found=repr(row)[:60])
    t_s, kind = row.get("t_s"), row.get("kind")
    if isinstance(t_s, bool) or not isinstance(t_s, int | float) or not math.isfinite(t_s):
        raise InvalidInput(
            where, expected='"t_s", a number of seconds in the time of the log', found=repr(t_s)
        )
    if not isinstance(kind, str) or not kind:
        raise InvalidInput(
            where, expected='"kind", such as mode, fault, power, host or reset', found=repr(kind)
        )
    inner = row.get("data")
    data = (
        inner
        if isinstance(inner, dict)
        else {k: v for k, v in row.items() if k not in ("t_s", "kind", "text")}
    )
    return Event(float(t_s), kind, str(row.get("text", kind)), data)
