"""Types of SCPI parameters: what a client may write, what a query answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from instruments.scpi_status import ScpiError

_MULTIPLIERS = {"": 1.0, "U": 1e-6, "M": 1e-3, "K": 1e3, "MA": 1e6}
_LIST = re.compile(r"\(@\s*(\d{1,9}(?:\s*[,:]\s*\d{1,9})*)\s*\)\Z")
_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:E[+-]?\d+)?)\s*([A-Z%/]*)\Z")


def forms(mnemonic: str) -> tuple[str, str]:
    """Short and long form of `VOLTage`, in capitals; nothing between them is legal."""
    return "".join(letter for letter in mnemonic if not letter.islower()), mnemonic.upper()


class Style(Protocol):
    """How an instrument prints values."""

    @property
    def number(self) -> Callable[[float], str]:
        """A real number."""
        ...

    @property
    def off_on(self) -> tuple[str, str]:
        """A truth value."""
        ...


class Parameter(Protocol):
    """A type of parameter: reads text that a client sent, writes what a query answers."""

    def read(self, text: str, twin: Any) -> Any:
        """The value that `text` means. Raises `ScpiError`."""
        ...

    def write(self, value: Any, style: Style) -> str:
        """`value` as the instrument prints it."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number in `unit`, from `minimum` to `maximum`; either may be the name of an attribute of the twin."""

    unit: str
    minimum: float | str
    maximum: float | str
    default: float | str = 0.0
    integer: bool = False

    def bound(self, which: str, twin: Any) -> float:
        """MINimum, MAXimum or DEFault, as it is now."""
        limit = {"MIN": self.minimum, "MAX": self.maximum, "DEF": self.default}[which]
        return float(getattr(twin, limit) if isinstance(limit, str) else limit)

    def read(self, text: str, twin: Any) -> float:
        word = text.upper()
        for name in ("MINimum", "MAXimum", "DEFault"):
            if word in forms(name):
                return self.bound(word[:3], twin)
        match = _NUMBER.match(word)
        if match is None:
            raise ScpiError(-104)
        value = float(match[1]) * self._multiplier(match[2])
        # The guard lets 0.1 A pass a limit that the arithmetic left at 0.0999999.
        lowest, highest = self.bound("MIN", twin), self.bound("MAX", twin)
        guard = 1e-9 * max(abs(lowest), abs(highest))
        if not lowest - guard <= value <= highest + guard:
            raise ScpiError(-222)
        return float(round(value)) if self.integer else value

    def write(self, value: float, style: Style) -> str:
        return str(round(value)) if self.integer else style.number(value)

    def _multiplier(self, suffix: str) -> float:
        if not suffix:
            return 1.0
        unit = self.unit.upper()
        multiplier = _MULTIPLIERS.get(suffix.removesuffix(unit))
        if multiplier is None or not suffix.endswith(unit):
            raise ScpiError(-131)
        # M is milli, except where IEEE 488.2 says mega.
        return 1e6 if suffix in ("MHZ", "MOHM") else multiplier


@dataclass(frozen=True, slots=True)
class Boolean:
    """ON, OFF or a number; anything that does not round to 0 is ON."""

    default: bool = False

    def read(self, text: str, twin: Any) -> bool:
        word = text.upper()
        if word in ("ON", "OFF"):
            return word == "ON"
        match = _NUMBER.match(word)
        if match is None or match[2]:
            raise ScpiError(-224)
        return abs(float(match[1])) >= 0.5

    def write(self, value: bool, style: Style) -> str:
        return style.off_on[value]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words, kept in short form."""

    words: tuple[str, ...]
    default: str = ""

    def read(self, text: str, twin: Any) -> str:
        for word in self.words:
            if text.upper() in forms(word):
                return forms(word)[0]
        raise ScpiError(-224)

    def write(self, value: str, style: Style) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Channel:
    """`CH2`: one of `count` channels. Left out, it is the twin's `selected_channel`."""

    count: int
    prefix: str = "CH"

    def names(self, text: str) -> bool:
        """Whether `text` is meant as a channel, there or not."""
        return text.upper().startswith(self.prefix) and text[len(self.prefix) :].isdecimal()

    def read(self, text: str, twin: Any) -> int:
        if not text:
            return int(twin.selected_channel)
        if not self.names(text) or not 1 <= int(text[len(self.prefix) :][:4]) <= self.count:
            raise ScpiError(-224)
        return int(text[len(self.prefix) :])

    def write(self, value: int, style: Style) -> str:
        return f"{self.prefix}{value}"


@dataclass(frozen=True, slots=True)
class ChannelList:
    """A list of channels, `(@1,3:5)`: those of `channels`, or of the twin's attribute of that name.

    A range takes in every channel there is between its ends, backwards if the first is the higher one.
    """

    channels: Sequence[int] | str

    def read(self, text: str, twin: Any) -> tuple[int, ...]:
        match = _LIST.match(text)
        if match is None:
            raise ScpiError(-171)
        known: Sequence[int] = (
            getattr(twin, self.channels) if isinstance(self.channels, str) else self.channels
        )
        found: list[int] = []
        for part in match[1].split(","):
            ends = [int(end) for end in part.split(":")]
            if len(ends) > 2:
                raise ScpiError(-171)
            if not set(ends) <= set(known):
                raise ScpiError(-222)
            between = [channel for channel in known if min(ends) <= channel <= max(ends)]
            found += between if ends[0] <= ends[-1] else between[::-1]
        return tuple(found)

    def write(self, value: Sequence[int], style: Style) -> str:
        return f"(@{','.join(map(str, value))})"


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted string."""

    default: str = ""

    def read(self, text: str, twin: Any) -> str:
        if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
            raise ScpiError(-104)
        return text[1:-1]

    def write(self, value: str, style: Style) -> str:
        return f'"{value}"'
