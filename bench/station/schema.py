"""The JSON schema of station files, for editors: keys, what they mean, and the options of every driver.

It is written from the models that read a station, with every driver of `instruments` and of the pack model; a
driver of somebody's own package keeps its options open. The file `bench/stations/station.schema.json` is what
this makes; `python -m bench.station.schema` writes it anew.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import bench.pack_model
import instruments
from bench.station_file import STATION_DIR, StationFile
from bench.station_values import SPECIAL

SCHEMA_FILE = STATION_DIR / "station.schema.json"

#: What may stand in the place of any value of an option: it is looked up in the profile of the DUT.
_LOOKED_UP = {
    "type": "string",
    "pattern": r"^\$[a-z_.0-9]+$",
    "description": f"a value of the DUT's profile such as $pack.cells, or one of {', '.join(SPECIAL)}",
}
_PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", re.MULTILINE | re.DOTALL)


def station_schema() -> dict[str, Any]:
    """The schema of a station file, as JSON objects."""
    schema = StationFile.model_json_schema()
    schema["properties"].pop("path", None)
    definitions = schema["$defs"]
    drivers = _drivers()
    role = definitions["RoleEntry"]
    role["properties"]["driver"]["examples"] = sorted(drivers)
    role["allOf"] = [_options_of(name, driver, definitions) for name, driver in sorted(drivers.items())]
    schema["properties"]["$schema"] = {"type": "string"}
    untitled: dict[str, Any] = _without_titles(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A station of bmsbench",
        **untitled,
    }


def schema_text() -> str:
    """The schema as it is shipped."""
    return json.dumps(station_schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _without_titles(part: Any) -> Any:
    """The same without pydantic's titles, which only repeat the keys. A key called "title" is a table."""
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if key != "title" or not isinstance(value, str)}
        return {key: _without_titles(value) for key, value in kept.items()}
    return [_without_titles(value) for value in part] if isinstance(part, list) else part


def _drivers() -> dict[str, Any]:
    """Every driver there is, by the name under which a station file knows it."""
    found = {}
    modules: list[ModuleType] = [bench.pack_model]
    modules += [
        importlib.import_module(f"instruments.{info.name}")
        for info in pkgutil.iter_modules(instruments.__path__)
    ]
    for module in modules:
        for name, member in inspect.getmembers(module, inspect.isclass):
            own = member.__module__.startswith(module.__name__)
            if own and all(hasattr(member, constant) for constant in ("transport", "twin", "Options")):
                found[f"{module.__name__}:{name}"] = member
    return found


def _options_of(name: str, driver: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """If a role names this driver, its options are those of the driver."""
    model: type[BaseModel] = driver.Options
    options = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(options.pop("$defs", {}))
    described = _described(model)
    for key, value in options.get("properties", {}).items():
        value.setdefault("description", described.get(key, described[""]))
        options["properties"][key] = {
            "description": value.pop("description"),
            "anyOf": [value, _LOOKED_UP],
        }
    key = f"{model.__module__}.{model.__name__}"
    definitions[key] = options
    then: dict[str, Any] = {"properties": {"options": {"$ref": f"#/$defs/{key}"}}}
    if options.get("required"):
        then["required"] = ["options"]
    return {"if": {"properties": {"driver": {"const": name}}, "required": ["driver"]}, "then": then}


def _described(model: type[BaseModel]) -> dict[str, str]:
    """What docstrings of a model and of those it is made from say of each parameter; "": of all of them."""
    about, _, _ = inspect.cleandoc(model.__doc__ or "").partition("\n\nParameters\n")
    found: dict[str, str] = {"": " ".join(about.split())}
    for kind in reversed(model.__mro__):
        section = _PARAMETERS.search(inspect.cleandoc(kind.__doc__ or "")) if kind is not BaseModel else None
        names: list[str] = []
        for line in section[1].splitlines() if section else ():
            if line and not line.startswith(" "):
                names = [name.strip() for name in line.split(",")]
            elif line.strip():
                for name in names:
                    found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return found


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
