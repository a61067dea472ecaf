"""Proposals: entries of a station file for what was found, with what only a person knows left open."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from bench.bringup.probes import Answer
from bench.bringup.recognition import Known
from bench.station.drivers import CEILINGS

#: The second of a kind is called so; further ones get a number.
_SECOND = {"charger": "regen"}
_SERIAL = re.compile(r"(?:serial(?: number)?|\bid) ([\w-]+)", re.IGNORECASE)
_FIRMWARE = re.compile(r"firmware ([\w.-]+)", re.IGNORECASE)
#: Ceiling to what a person has to think of.
_CEILINGS = {
    "max_v": "[V] what wires, fuses and cells stand",
    "max_a": "[A] what wires, fuses and cells stand",
    "min_degc": "[°C] what the DUT stands",
    "max_degc": "[°C] what the DUT stands",
}


def proposals(answers: Iterable[Answer]) -> list[tuple[str, str]]:
    """Role and entry, as TOML, for each answer that a driver is known for."""
    found: list[tuple[str, str]] = []
    for answer in answers:
        if answer.drivers:
            role = _free(answer.drivers[0].kind, [name for name, _ in found])
            found.append((role, entry(role, answer)))
    return found


def _free(kind: str, taken: list[str]) -> str:
    """A name for one more role of a kind."""
    wanted = [kind, *([_SECOND[kind]] if kind in _SECOND else [])]
    numbered = (f"{kind}_{number}" for number in range(2, len(taken) + 3))
    return next(name for name in [*wanted, *numbered] if name not in taken)


def entry(role: str, answer: Answer) -> str:
    """One table `[roles.<role>]`."""
    known, others = answer.drivers[0], answer.drivers[1:]
    serial, firmware = identified(answer.identity)
    lines = [f"# {answer.identity}", f"# weakest exchange of its driver: {known.label}"]
    if known.is_nameless:
        lines.append("# recognized by its registers only: another device with the same ones looks the same")
    if others:
        lines.append(f"# as well: {', '.join(other.name for other in others)}")
    lines += [f"[roles.{role}]", f'driver   = "{known.name}"', f'address  = "{answer.address}"']
    lines += [f'serial   = "{serial}"'] if serial else []
    lines += [f'firmware = "{firmware}"'] if firmware else []
    lines.append('# calibration = { due = ?, certificate = "?" }')
    lines += [f"# {key} = ?   # {_CEILINGS[key]}" for key in _ceilings(known)]
    lines += ["poll_s   = 1.0"] if hasattr(known.driver, "poll") else []
    return "\n".join([*lines, *_options(role, known)]) + "\n"


def identified(identity: str) -> tuple[str, str]:
    """Serial number and firmware, as far as an identity tells them; a serial number of zeros tells none."""
    fields = [field.strip() for field in identity.split(",")]
    serial, firmware = "", ""
    if (found := _SERIAL.search(identity)) is not None:
        serial = found[1]
    elif len(fields) >= 4:  # maker, model, serial number, firmware: IEEE 488.2, 10.14
        serial, firmware = fields[2], fields[3]
    if (found := _FIRMWARE.search(identity)) is not None:
        firmware = found[1]
    return serial if serial.strip("0") else "", firmware


def _ceilings(known: Known) -> list[str]:
    """Ceilings that the role must have, and those that the driver asks for."""
    wanted = inspect.signature(known.driver).parameters
    return [key for key in _CEILINGS if key in CEILINGS.get(known.kind, ()) or key in wanted]


def _options(role: str, known: Known) -> list[str]:
    """The table of options, where some have no default."""
    fields = known.driver.Options.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    if not required:
        return []
    return ["", f"# [roles.{role}.options]", *(f"# {name} = ?" for name in required)]
