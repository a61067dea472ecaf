"""The schema that editors read: current, true of every shipped station, and complete."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench.station.schema import SCHEMA_FILE, schema_text, station_schema
from bench.station_file import STATION_DIR, RoleEntry, StationFile
from tests.drivers import drivers

SHIPPED = sorted(STATION_DIR.glob("*.toml"))
SCHEMA = station_schema()


def complaints(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """What of a TOML value the schema does not take: the part of JSON schema that pydantic writes."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        tries = [complaints(value, one, where) for one in schema["anyOf"]]
        return [] if any(found == [] for found in tries) else min(tries, key=len)
    found = [said for part in schema.get("allOf", ()) for said in conditional(value, part, where)]
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    kinds = {"object": dict, "array": list, "string": (str, dt.date), "boolean": bool, "null": type(None)}
    kinds |= {"integer": int, "number": (int, float)}
    kind = schema.get("type")
    if kind and (
        not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))
    ):
        return [*found, f"{where}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        found += table(value, schema, where)
    if isinstance(value, list):
        items = schema.get("items", {})
        found += [said for k, item in enumerate(value) for said in complaints(item, items, f"{where}[{k}]")]
    return found


def conditional(value: Any, part: dict[str, Any], where: str) -> list[str]:
    applies = not complaints(value, part["if"], where)
    return complaints(value, part["then"], where) if applies else []


def table(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, inner in value.items():
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        if key in known:
            found += complaints(inner, known[key], f"{where}.{key}")
        elif more is False:
            found.append(f"{where}.{key} is unknown")
        elif isinstance(more, dict):
            found += complaints(inner, more, f"{where}.{key}")
    return found


def test_the_shipped_schema_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "an option or a driver has changed: write the schema anew with `python -m bench.station.schema`"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_station_names_the_schema_and_fits_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.splitlines()[0] == f"#:schema {SCHEMA_FILE.name}"
    assert complaints(tomllib.loads(text), SCHEMA) == []


def test_every_driver_is_offered_with_its_options() -> None:
    offered = {part["if"]["properties"]["driver"]["const"] for part in SCHEMA["$defs"]["RoleEntry"]["allOf"]}

    names = {f"{found.module.__name__}:{found.driver.__name__}" for found in drivers()}
    assert offered == names | {"bench.pack_model:ModelSource", "bench.pack_model:ModelLoad"}


def test_every_key_has_a_description() -> None:
    undescribed = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        if name.startswith(("instruments.", "bench."))
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]

    assert undescribed == []
    assert set(SCHEMA["properties"]) >= set(StationFile.model_fields) - {"path"}
    assert set(SCHEMA["$defs"]["RoleEntry"]["properties"]) == set(RoleEntry.model_fields)


MISTAKES = {
    "a key that no role has": ("max_a   = 240.0", "max_A   = 240.0", ".roles.charger.max_A is unknown"),
    "an option of another driver": (
        "parallel_units = 2",
        "publish_s = 2",
        ".roles.charger.options.publish_s is unknown",
    ),
    "a word for a number": (
        "max_v   = 150.0",
        'max_v   = "high"',
        ".roles.charger.max_v: 'high' is no number",
    ),
    "a clock that there is none of": ('clock = "virtual"', 'clock = "atomic"', ".clock: 'atomic' is none of"),
    "a value that is looked up, misspelt": (
        '"$pack.cells"',
        '"pack.cells"',
        ".roles.cells.options.cells: 'pack.cells'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_an_editor_sees_a_mistake(mistake: str) -> None:
    there, instead, said = MISTAKES[mistake]
    text = (STATION_DIR / "emulated.toml").read_text(encoding="utf-8")
    assert there in text

    found = complaints(tomllib.loads(text.replace(there, instead, 1)), SCHEMA)

    assert any(said in complaint for complaint in found), found


def test_a_driver_of_somebody_else_keeps_its_options_open() -> None:
    file = {
        "name": "mine",
        "clock": "wall",
        "dut": {"address": "can:socketcan:can0"},
        "roles": {
            "charger": {"driver": "mine.supply:Own", "address": "COM3", "options": {"anything": [1, "two"]}}
        },
    }

    assert complaints(file, SCHEMA) == []


def test_the_schema_is_json_that_names_its_dialect() -> None:
    assert json.loads(schema_text())["$schema"] == "https://json-schema.org/draft/2020-12/schema"
