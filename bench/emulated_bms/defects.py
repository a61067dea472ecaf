"""The catalogue of defects that the emulated BMS can be given: each one mutation of the sound firmware.

Ids are those of the project's defect list, where it has one; `_small` is near what a bench can resolve,
`_gross` is not. Everything is done through the names of docs/how-to/add-defect.md, as a defect of a user's
own would be.
"""

from __future__ import annotations

from pathlib import Path

from bench.emulated_bms import defects_of_function as function
from bench.emulated_bms import defects_of_sensing as sensing
from bench.emulated_bms.defect import Defect, SeededDefect, load_defects_from

__all__ = ["CATALOGUE", "Defect", "SeededDefect", "known_defects", "load_defects_from"]

CATALOGUE: dict[str, SeededDefect] = {
    defect.name: defect for defect in sorted((*sensing.DEFECTS, *function.DEFECTS), key=lambda d: d.name)
}


def known_defects(defects_from: str = "") -> dict[str, Defect]:
    """The project's own defects and those of a file, by name.

    Raises
    ------
    DefectInvalid
        If the file cannot be used.
    """
    found: dict[str, Defect] = dict(CATALOGUE)
    if defects_from:
        found |= load_defects_from(Path(defects_from))
    return found
