"""Numbers and text as a page prints them."""

from __future__ import annotations

import math
import re

from bench.verdict import Judgement

#: What Typst's embedded fonts lack. Found by asking for a PDF/A, which refuses a missing glyph.
_NO_GLYPH = re.compile(
    "[^\n\t\u0020-\u007e\u00a0-\u024f\u0384-\u038a\u038e-\u03a1\u03a3-\u04ff"
    "\u200b\u2010-\u2027\u2030-\u2040\u2080-\u208e\u20ac\u2103\u2122\u2126\u2190-\u22ff]"
)

NEVER = "never"


def printable(value: object) -> object:
    """The same JSON, with every character that the fonts lack written as its code: "\\u6f22"."""
    match value:
        case str():
            return _NO_GLYPH.sub(lambda found: found.group().encode("unicode_escape").decode(), value)
        case dict():
            return {key: printable(item) for key, item in value.items()}
        case list() | tuple():
            return [printable(item) for item in value]
    return value


def number(value: float, decimals: int) -> str:
    """`value` with a true minus sign; "never" for nan, which stands for what did not happen."""
    if math.isnan(value):
        return NEVER
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:.{decimals}f}".replace("-", "−")


def or_dash(value: float, decimals: int) -> str:
    """`value`, or a dash for nan where that means "not known" rather than "never"."""
    return "–" if math.isnan(value) else number(value, decimals)


def decimals_for(uncertainty: float, *values: float) -> int:
    """Decimals to print: down to the second digit of the uncertainty, else three digits."""
    if uncertainty > 0 and math.isfinite(uncertainty):
        return min(6, max(0, 1 - math.floor(math.log10(uncertainty))))
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    return min(6, max(0, 2 - math.floor(math.log10(min(sizes))))) if sizes else 0


def expected(judgement: Judgement, decimals: int) -> str:
    """The window of a judgement in words: "6.400 to 7.720", "≤ 3.65"."""
    low, high = judgement.earliest, judgement.latest
    if math.isnan(high):
        return "not called for"
    if math.isinf(low):
        return f"≤ {number(high, decimals)}"
    if math.isinf(high):
        return f"≥ {number(low, decimals)}"
    return number(low, decimals) if low == high else f"{number(low, decimals)} to {number(high, decimals)}"


def decimals_of(judgement: Judgement) -> int:
    """Decimals to print for a judgement."""
    return decimals_for(judgement.uncertainty, judgement.earliest, judgement.latest)
