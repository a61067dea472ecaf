"""Broadcast frames gathered into growing arrays: raw when they come, decoded when somebody looks.

One table joins the frames of one publishing cycle into rows (the cells of a box come in three frames, those
of a pack in six). A row has the stamp of its first frame, the one nearest to the moment of sampling.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.record import Floats, Origin, Trace

Raw = NDArray[np.uint16]


class Growing:
    """Rows of floats that are only added to; what was handed out stays as it was."""

    def __init__(self, columns: int) -> None:
        self._rows: Floats = np.empty((64, columns) if columns else 64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, rows: Floats) -> None:
        """Add `rows`, shape (rows,) or (rows, columns)."""
        needed = self._length + len(rows)
        if needed > len(self._rows):
            bigger = np.empty((max(needed, 2 * len(self._rows)), *self._rows.shape[1:]))
            bigger[: self._length] = self._rows[: self._length]
            self._rows = bigger
        self._rows[self._length : needed] = rows
        self._length = needed

    def view(self) -> Floats:
        """Everything so far, without a copy."""
        view: Floats = self._rows[: self._length]
        view.flags.writeable = False
        return view


@dataclass(slots=True)
class Signal:
    """What is decoded from the rows of one table.

    Parameters
    ----------
    name, unit, uncertainty
        Of the trace.
    decode
        From raw rows, shape (rows, columns of the table), to values, shape (rows,) or (rows, channels).
    channels
        0 for a scalar.
    """

    name: str
    unit: str
    decode: Callable[[Raw], Floats]
    uncertainty: float = 0.0
    channels: int = 0
    values: Growing = field(init=False)

    def __post_init__(self) -> None:
        self.values = Growing(self.channels)


class FrameTable:
    """Rows from the frames of several identifiers.

    Parameters
    ----------
    can_ids
        Identifiers in the order of the columns. The lowest one starts a row.
    words
        How many little-endian 16-bit words of each frame are kept.
    signals
        What is decoded.
    """

    def __init__(self, can_ids: Sequence[int], words: int, signals: Sequence[Signal]) -> None:
        self.can_ids, self.words, self.signals = tuple(can_ids), words, tuple(signals)
        self._first = self.can_ids.index(min(can_ids))
        self._stamps = [array("d") for _ in can_ids]
        self._raw = [bytearray() for _ in can_ids]
        self._column = {can_id: k for k, can_id in enumerate(can_ids)}
        self._t_s = Growing(0)

    def append(self, t_s: float, can_id: int, data: bytes) -> None:
        """Keep one frame. A single byte counts as a word; a frame that is too short is left out."""
        size = 2 * self.words
        data = data + b"\0" if len(data) == 1 else data
        if len(data) >= size:
            column = self._column[can_id]
            self._stamps[column].append(t_s)
            self._raw[column] += data[:size]

    def traces(self, origin: Origin, *, window_s: float) -> dict[str, Trace]:
        """Decode what is new, and give every signal as a trace.

        Parameters
        ----------
        origin
            Of the traces.
        window_s
            The frames of one row come within this time [s]; without one of them there is no row.
        """
        self._gather(window_s)
        if not len(self._t_s):
            return {}
        t_s = self._t_s.view()
        return {
            signal.name: Trace(
                signal.name, signal.unit, t_s, signal.values.view(), origin, signal.uncertainty
            )
            for signal in self.signals
        }

    def newest(self, name: str) -> float:
        """The newest value of a scalar signal of a table with one identifier, decoded alone; nan if none.

        Raises
        ------
        KeyError
            If the table has no such signal.
        """
        signal = next((signal for signal in self.signals if signal.name == name), None)
        if signal is None or len(self.can_ids) != 1:
            raise KeyError(name)
        if raw := self._raw[0][-2 * self.words :]:
            row = np.frombuffer(bytes(raw), dtype="<u2").reshape(1, self.words)
            return float(signal.decode(row)[0])
        return float(signal.values.view()[-1]) if len(signal.values) else float("nan")

    def _gather(self, window_s: float) -> None:
        if not self._stamps[self._first]:
            return
        stamps = [np.array(column) for column in self._stamps]
        raw = [np.frombuffer(bytes(r), dtype="<u2").reshape(-1, self.words) for r in self._raw]
        start_s = stamps[self._first]
        if len(stamps) == 1:
            self._add(start_s, raw[0])
            self._forget(np.inf)
            return
        newest_s = max(column[-1] for column in stamps if len(column))
        picks, complete = [], np.ones(len(start_s), dtype=bool)
        for column in stamps:
            pick = column.searchsorted(start_s)
            found = np.append(column, np.inf)[pick]
            complete &= found <= start_s + window_s
            picks.append(pick)
        # A row that lacks a frame may still get it, until its window is over.
        waiting = ~complete & (start_s + window_s >= newest_s)
        ready = int(waiting.argmax()) if waiting.any() else len(start_s)
        rows = complete[:ready].nonzero()[0]
        if rows.size:
            self._add(
                start_s[rows],
                np.concatenate([r[p[rows]] for r, p in zip(raw, picks, strict=True)], axis=1),
            )
        # Frames come in the order of time: what is older than the next row's first is in no row.
        self._forget(float(start_s[ready]) if ready < len(start_s) else np.inf)

    def _add(self, t_s: Floats, raw: Raw) -> None:
        self._t_s.append(t_s)
        for signal in self.signals:
            signal.values.append(signal.decode(raw))

    def _forget(self, before_s: float) -> None:
        for stamps, raw in zip(self._stamps, self._raw, strict=True):
            gone = bisect_left(stamps, before_s)
            del stamps[:gone]
            del raw[: gone * 2 * self.words]
