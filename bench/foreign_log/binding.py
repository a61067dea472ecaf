"""Which unit a column is read in, and who says so; what contradicts itself is refused."""

from __future__ import annotations

from bench.errors import InvalidInput
from bench.foreign_log.keys import Mapping, Wanted
from bench.foreign_log.table import RawColumn
from bench.foreign_log.units import UNITS, Quantity, Unit, unit_in_name, unit_named, unit_names, unit_of

#: Quantities that have a unit to be wrong about.
_WITHOUT_UNIT = ("number", "switch")


def unit_for(
    wanted: Wanted, quantity: Quantity, mapping: Mapping, raw: RawColumn, where: str
) -> tuple[Unit, str]:
    """The unit of a column, and who says so: "stated", "name", "file" or "default".

    Stated comes first, then the file itself and the column's name, which must not contradict each other.

    Raises
    ------
    InvalidInput
        An unknown unit, or two that contradict each other.
    """
    if quantity in _WITHOUT_UNIT:
        return UNITS[quantity][0], "default"
    hints = {"name": unit_in_name(raw.name), "file": unit_named(raw.unit) if raw.unit else None}
    said = {who: name for who, name in hints.items() if name is not None}
    stated = mapping.units.get(str(wanted), mapping.units.get(wanted.key))
    at = f"{where}, column {raw.name!r}"
    if stated is not None:
        unit = unit_of(quantity, stated)
        if unit is None:
            raise InvalidInput(
                f"--units {wanted}", expected=f"one of {unit_names(quantity)}", found=repr(stated)
            )
        other = next((who for who, name in said.items() if name != unit.name), None)
        if other and not mapping.insisted & {str(wanted), wanted.key}:
            raise InvalidInput(
                at,
                expected=f"{unit.name}, as --units states for {wanted}",
                found=f"{said[other]!r} by its {other}; --units {wanted}=={unit.name} insists",
            )
        return unit, "stated"
    return _agreed(wanted, quantity, said, at)


def _agreed(wanted: Wanted, quantity: Quantity, said: dict[str, str], at: str) -> tuple[Unit, str]:
    names = list(dict.fromkeys(said.values()))
    default = UNITS[quantity][0]
    if not names:
        return default, "default"
    unit = unit_of(quantity, names[0])
    if unit is None or len(names) > 1:
        found = " and ".join(f"{name!r} by its {who}" for who, name in said.items())
        raise InvalidInput(
            at,
            expected=f"one unit of {quantity} for {wanted} ({unit_names(quantity)})",
            found=f"{found}; map another column, or insist with --units {wanted}=={default.name} (two =)",
        )
    return unit, next(iter(said))
