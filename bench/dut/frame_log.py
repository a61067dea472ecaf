"""Every frame that a broadcasting DUT sent: cheap to fill, checked when somebody looks.

Frames wait as the wire gave them. When they are asked for, check and counter of all that waited are judged in
one pass over arrays; a frame with a wrong check or a repeated counter is counted and not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.record import Floats
from dut_profiles.protocols import hd_can
from dut_profiles.protocols.signals import Words, words

Frame = tuple[float, int, bytes]

#: Frames that may wait: bounds the memory of a long run, and is large enough for arrays to pay.
WAITING = 4096
_STANDARD = 0x800
_NEVER = 0xFF


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames in the order of arrival, shape (frames,) each; `good` ones may be believed."""

    t_s: Floats
    can_id: NDArray[np.uint32]
    length: NDArray[np.uint8]
    data: Words
    good: NDArray[np.bool_]


class FrameLog:
    """The frames of one DUT.

    Attributes
    ----------
    wrong_crc, repeated, lost
        Frames with a wrong check or length, with the counter of the one before, and missing in between.
    newest
        The newest good frame of each identifier: time [s] and data as a 64-bit integer.
    """

    def __init__(self) -> None:
        self.wrong_crc = self.repeated = self.lost = 0
        self.newest: dict[int, tuple[float, int]] = {}
        self._waiting: list[Frame] = []
        self._chunks: list[Chunk] = []
        self._fresh: list[Chunk] = []
        self._counter = np.full(_STANDARD, _NEVER, dtype=np.uint8)
        self._known = np.zeros(_STANDARD, dtype=np.bool_)
        self._known[[can_id for can_id in hd_can.messages() if hd_can.is_protected(can_id)]] = True

    def add(self, frames: Iterable[Frame]) -> None:
        """Take frames in."""
        self._waiting += frames
        if len(self._waiting) > WAITING:
            self.look()

    def look(self) -> None:
        """Judge the frames that waited."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        t_s, can_id, data = zip(*waiting, strict=True)
        chunk = self._judged(
            np.array(t_s),
            np.array(can_id, np.uint32),
            np.array([len(d) for d in data], np.uint8),
            words(data),
        )
        self._chunks.append(chunk)
        self._fresh.append(chunk)
        good = chunk.good
        self.newest.update(
            zip(
                chunk.can_id[good].tolist(),
                zip(chunk.t_s[good].tolist(), chunk.data[good].tolist(), strict=True),
                strict=True,
            )
        )

    def fresh(self) -> list[Chunk]:
        """The chunks since the last call."""
        self.look()
        fresh, self._fresh = self._fresh, []
        return fresh

    def frames(self) -> list[Frame]:
        """Every frame, good or not, as it came."""
        self.look()
        return [
            (t_s, can_id, word.to_bytes(8, "little")[:length])
            for chunk in self._chunks
            for t_s, can_id, length, word in zip(
                chunk.t_s.tolist(),
                chunk.can_id.tolist(),
                chunk.length.tolist(),
                chunk.data.tolist(),
                strict=True,
            )
        ]

    def _judged(
        self, t_s: Floats, can_id: NDArray[np.uint32], length: NDArray[np.uint8], data: Words
    ) -> Chunk:
        ours = can_id < _STANDARD
        ours[ours] = self._known[can_id[ours]]
        good = ours & (length == 8) & hd_can.crc_matches((can_id % _STANDARD).astype(np.uint16), data)
        self.wrong_crc += int(np.count_nonzero(ours & ~good))
        if good.any():
            self._judge_counters(can_id, data, good)
        return Chunk(t_s, can_id, length, data, good)

    def _judge_counters(self, can_id: NDArray[np.uint32], data: Words, good: NDArray[np.bool_]) -> None:
        """Take repeated frames out of `good`, and remember the newest counter of each identifier."""
        where = np.flatnonzero(good)
        where = where[np.argsort(can_id[where], kind="stable")]
        counter, identifier = hd_can.counters(data[where]), can_id[where]
        first = np.concatenate(([True], identifier[1:] != identifier[:-1]))
        before = np.concatenate(([_NEVER], counter[:-1])).astype(np.uint8)
        before[first] = self._counter[identifier[first]]
        last = np.concatenate((first[1:], [True]))
        self._counter[identifier[last]] = counter[last]
        repeated = counter == before
        step = (counter - before - 1) & 0xF
        self.lost += int(step[~repeated & (before != _NEVER)].sum(dtype=np.int64))
        self.repeated += int(np.count_nonzero(repeated))
        good[where[repeated]] = False
