"""CAN signals by whole arrays: a numpy decoder made from the signal definitions of a cantools database.

`cantools` decodes one frame at a time, which is right for a few and slow for the millions of a campaign.
Here a message becomes a table of shifts and masks over its data as 64-bit integers. What it leaves out:
floats on the bus, and multiplexors of multiplexors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import FrameInvalid

if TYPE_CHECKING:
    from cantools.database.can import Message

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

#: Name of the table entry that means "signal not available".
SNA = "SNA"


def words(data: Iterable[bytes]) -> Words:
    """Data fields as little-endian 64-bit integers, shape (frames,); short fields are padded with zeros."""
    joined = b"".join(field if len(field) == 8 else field[:8].ljust(8, b"\0") for field in data)
    return np.frombuffer(joined, dtype="<u8")


@dataclass(frozen=True, slots=True)
class Field:
    """One signal as shift, mask and line.

    Parameters
    ----------
    name, unit
        As in the database.
    shift, length
        Position of the least significant bit in the 64-bit word, and number of bits.
    signed, big_endian
        Two's complement; the word is to be read with its bytes reversed.
    scale, offset
        physical = raw * scale + offset.
    sna
        Raw value that means "not available", or None.
    mux
        Values of the multiplexor for which the signal is there; None: always.
    """

    name: str
    unit: str
    shift: int
    length: int
    signed: bool
    big_endian: bool
    scale: float
    offset: float
    sna: int | None
    mux: frozenset[int] | None

    def raw(self, word: int) -> int:
        """The integer on the wire, from a little-endian 64-bit `word`."""
        if self.big_endian:
            word = int.from_bytes(word.to_bytes(8, "little"), "big")
        found = (word >> self.shift) & ((1 << self.length) - 1)
        return found - (1 << self.length) if self.signed and found >> (self.length - 1) else found

    def value(self, word: int) -> float:
        """The physical value in one `word`; nan if not available."""
        raw = self.raw(word)
        # Ten digits: 247 * 0.1 is 24.7 here, not 24.700000000000003.
        return float("nan") if raw == self.sna else round(raw * self.scale + self.offset, 10)

    def values(self, data: Words) -> Floats:
        """The physical values in many words, shape (frames,); nan where not available."""
        if self.big_endian:
            data = data.byteswap()
        up = np.uint64(64 - self.length - self.shift)
        down = np.uint64(64 - self.length)
        top = data << up
        raw = (top.view(np.int64) >> down.astype(np.int64)) if self.signed else top >> down
        value: Floats = raw.astype(np.float64) * self.scale + self.offset
        if self.sna is not None:
            value[raw == self.sna] = np.nan
        return value

    def placed(self, value: float | None) -> int:
        """`value` at its place in a little-endian 64-bit word; None or nan: not available.

        Raises
        ------
        FrameInvalid
            If the value does not fit, or the signal has no way to say "not available".
        """
        missing = value is None or value != value
        raw = self.sna if missing or value is None else round((value - self.offset) / self.scale)
        low = -(1 << self.length - 1) if self.signed else 0
        high = low + (1 << self.length) - 1
        if raw is None or not low <= raw <= high:
            least, most = (edge * self.scale + self.offset for edge in (low, high))
            wanted = f"{self.name} from {least:g} to {most:g} {self.unit}".strip()
            raise FrameInvalid("CAN", b"", expected=wanted, found=str(value))
        word = (raw & ((1 << self.length) - 1)) << self.shift
        return int.from_bytes(word.to_bytes(8, "big"), "little") if self.big_endian else word


@dataclass(frozen=True, slots=True)
class Layout:
    """One message as a table of fields.

    Parameters
    ----------
    can_id, name, length
        As in the database; `length` in bytes.
    fields
        By signal name, in the order of the database.
    multiplexor
        The signal that says which others are there; None: all are.
    """

    can_id: int
    name: str
    length: int
    fields: Mapping[str, Field]
    multiplexor: Field | None

    @classmethod
    def of(cls, message: Message) -> Layout:
        """The layout of a cantools message."""
        fields = {signal.name: _field(signal) for signal in message.signals}
        multiplexor = next((fields[s.name] for s in message.signals if s.is_multiplexer), None)
        return cls(message.frame_id, message.name, message.length, fields, multiplexor)

    def present(self, word: int) -> list[Field]:
        """The fields that are in this `word`."""
        if self.multiplexor is None:
            return list(self.fields.values())
        group = self.multiplexor.raw(word)
        return [field for field in self.fields.values() if field.mux is None or group in field.mux]

    def decode(self, data: Words, wanted: Iterable[str] | None = None) -> dict[str, Floats]:
        """Physical values of the `wanted` signals (default: all), each of shape (frames,).

        nan where the signal is "not available", and in frames that do not carry it.
        """
        found = {}
        group = self.multiplexor.values(data) if self.multiplexor else np.zeros(len(data))
        for name in self.fields if wanted is None else wanted:
            field = self.fields[name]
            value = field.values(data)
            if field.mux is not None:
                value[~np.isin(group, list(field.mux))] = np.nan
            found[name] = value
        return found

    def encode(self, values: Mapping[str, float | None]) -> int:
        """A little-endian 64-bit word with `values` in it; signals that are not named are 0.

        Raises
        ------
        FrameInvalid
            If a value does not fit.
        """
        word = 0
        for name, value in values.items():
            word |= self.fields[name].placed(value)
        return word


def layouts(messages: Iterable[Message]) -> dict[int, Layout]:
    """The layouts of a database, by identifier."""
    return {message.frame_id: Layout.of(message) for message in messages}


def _field(signal: Any) -> Field:
    """A cantools signal as shift and mask."""
    big_endian = signal.byte_order == "big_endian"
    # A DBC names the most significant bit of a Motorola signal, counted down within its byte.
    from_top = 8 * (signal.start // 8) + 7 - signal.start % 8
    shift = 64 - from_top - signal.length if big_endian else signal.start
    sna = next((raw for raw, text in (signal.choices or {}).items() if str(text) == SNA), None)
    mux = None if signal.multiplexer_ids is None else frozenset(signal.multiplexer_ids)
    return Field(
        signal.name, signal.unit or "", shift, signal.length, signal.is_signed, big_endian,
        float(signal.scale), float(signal.offset), sna, mux,
    )  # fmt: skip
