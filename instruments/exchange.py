"""Exchanges: requests and replies as a document prints them, the arbiter between a driver and its twin.

Each instrument module has a tuple `EXCHANGES`. The driver and the twin are each checked against it, never
against each other, so one misreading of a manual cannot hide in both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Label = Literal["manual", "capture", "public driver", "unverified"]

#: From the best known to the least.
LABELS: tuple[Label, ...] = get_args(Label)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what is answered to it.

    Parameters
    ----------
    request
        Bytes from the bench, without the terminator of a message-based wire.
    reply
        Bytes of the answer, likewise; None if there is none, or if the source prints none.
    source
        Where it is printed: document, revision, page; or repository and file.
    label
        How well it is known: "manual", "capture", "public driver", or "unverified": nobody has seen a source.
    note
        What must hold for the reply to be that one; what differs between firmware versions.
    face
        Connector of the instrument at which this is said, as in the driver's `face`; "" if it has but one.
    """

    request: bytes
    reply: bytes | None
    source: str
    label: Label
    note: str = ""
    face: str = ""


def weakest_label(exchanges: Iterable[Exchange]) -> Label:
    """The label of the least well known exchange; "unverified" if there is none at all."""
    return max((exchange.label for exchange in exchanges), key=LABELS.index, default="unverified")
