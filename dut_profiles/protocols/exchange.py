"""Frames as documents and captures print them: what a dialect's codec is checked against.

The same idea as in `instruments.exchange`, kept apart: protocols and instruments know nothing of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Label = Literal["manual", "capture", "public driver", "unverified"]

#: From the best known to the least.
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One frame from the host and what the DUT answers; either may be missing.

    Parameters
    ----------
    request
        Bytes from the host; b"" for what a DUT broadcasts, or where the source shows the reply only.
    reply
        Bytes of the DUT, all frames of it; None if there is none, or if the source prints none.
    source
        Where it is printed: document and section, or repository and file.
    label
        How well it is known: "manual", "capture", "public driver", or "unverified": nobody has seen a source.
    note
        What differs between firmware versions, or what is special about it.
    can_id
        Identifier of the frame on CAN; None on serial lines.
    means
        What `decode` must find in the frame that is there (the reply, if both are).
    """

    request: bytes
    reply: bytes | None
    source: str
    label: Label
    note: str = ""
    can_id: int | None = None
    means: tuple[tuple[str, object], ...] = ()

    @property
    def told(self) -> bytes:
        """The frame that `means` is about."""
        return self.request if self.reply is None else self.reply
