"""Profiles as TOML files: find one, read it, and say what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from bench.errors import ProfileInvalid
from bench.toml_file import find_toml, read_toml
from dut_profiles.profile.document import Profile

PROFILE_DIR = Path(__file__).parents[1]


def find_profile(name_or_file: str) -> Path:
    """The TOML file of a profile, by name (a file in `dut_profiles/`) or by path.

    Raises
    ------
    ProfileInvalid
        If there is no such file; the message lists the names that exist.
    """
    return find_toml("DUT profile", name_or_file, PROFILE_DIR, ProfileInvalid)


def load_profile(name_or_file: str) -> Profile:
    """Read and check a profile.

    Raises
    ------
    ProfileInvalid
        Names the file, the key, what was expected and what was found.
    """
    path = find_profile(name_or_file)
    raw = read_toml(path, ProfileInvalid)
    limits = raw.get("limits")
    for name, table in limits.items() if isinstance(limits, dict) else ():
        if isinstance(table, dict):
            table["name"] = name
            table.setdefault("alarm", name)
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise _explained(path, error, raw) from error


def _explained(path: Path, error: ValidationError, raw: dict[str, object]) -> ProfileInvalid:
    """The first complaint of pydantic in the bench's own form."""
    first = error.errors()[0]
    loc = first["loc"]
    if loc[:1] == ("limits",):
        loc = loc[:2] + loc[3:]  # loc[2] is the quantity that chose the kind of limit, not a key of the file
    key = ".".join(str(part) for part in loc)
    where = f"{path}: [{key}]" if key else str(path)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    match first["type"]:
        case "missing":
            return ProfileInvalid(where, expected="this key", found=f"nothing{_near(raw, loc)}{more}")
        case "extra_forbidden":
            return ProfileInvalid(
                where, expected="only known keys", found=f"an unknown key, value {first['input']!r}{more}"
            )
        case "union_tag_not_found" | "union_tag_invalid":
            table = first["input"]
            quantity = table.get("quantity", "nothing") if isinstance(table, dict) else table
            expected = str(first.get("ctx", {}).get("expected_tags", "a quantity"))
            return ProfileInvalid(f"{where} quantity", expected=expected, found=f"{quantity!r}{more}")
        case "value_error":
            expected, _, found = first["msg"].removeprefix("Value error, ").partition("|")
            return ProfileInvalid(where, expected=expected, found=f"{found}{more}")
        case _:
            expected = first["msg"].removeprefix("Input should be ")
            return ProfileInvalid(where, expected=expected, found=f"{first['input']!r}{more}")


def _near(raw: dict[str, object], loc: tuple[int | str, ...]) -> str:
    """Name a key that has the right word and another unit: `trip_mv` where `trip_v` was expected."""
    table: object = raw
    for part in loc[:-1]:
        if isinstance(table, dict) and part in table:
            table = table[part]
    stem = str(loc[-1]).rsplit("_", 1)[0]
    if not isinstance(table, dict):
        return ""
    near = [key for key in table if key.rsplit("_", 1)[0] == stem and key != loc[-1]]
    return f" (there is {', '.join(near)}: wrong unit?)" if near else ""
