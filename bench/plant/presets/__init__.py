"""Cell presets: one TOML file per cell type, computed from measured data, each table with its source.

A preset is the cell type as made. What one cell of a pack deviates from it, and how it aged, is in
`bench.plant.cells`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidInput

Floats = NDArray[np.float64]

PRESET_DIR = Path(__file__).parent
SCHEMA = "bmsbench-cell-preset/1"


@dataclass(frozen=True, slots=True, eq=False)
class CellPreset:
    """One cell type.

    Parameters
    ----------
    name, chemistry
        File name and chemistry ("LFP", "NMC").
    capacity_ah, nominal_v
        Of the cell type.
    soc, discharge_v, charge_v
        Open-circuit voltage [V] of the two branches over `soc`, each shape (points,); `soc` is uniform from
        0 to 1.
    overcharge_v_per_soc, overdischarge_v_per_soc
        Slope [V] of both branches above 1 and below 0.
    hysteresis_rate
        Ampere-hours, in units of the capacity, in which the hysteresis changes branch by 1 - 1/e, inverted.
    r0_soc, r0_temperature_degc, r0_ohm
        Ohmic resistance [ohm], shape (temperatures, points of r0_soc).
    rc_temperature_degc, rc_ohm, rc_tau_s
        The two RC pairs, shapes (temperatures,), (2, temperatures), (2, temperatures).
    heat_capacity_j_per_k, neighbour_w_per_k, ambient_w_per_k, fan_w_per_k
        Of one cell: heat capacity, conductance to each neighbour, to still air, and what a fan at full
        speed adds.
    sources
        Origin of each table, by its name in the file.
    """

    name: str
    chemistry: str
    capacity_ah: float
    nominal_v: float
    soc: Floats
    discharge_v: Floats
    charge_v: Floats
    overcharge_v_per_soc: float
    overdischarge_v_per_soc: float
    hysteresis_rate: float
    r0_soc: Floats
    r0_temperature_degc: Floats
    r0_ohm: Floats
    rc_temperature_degc: Floats
    rc_ohm: Floats
    rc_tau_s: Floats
    heat_capacity_j_per_k: float
    neighbour_w_per_k: float
    ambient_w_per_k: float
    fan_w_per_k: float
    sources: dict[str, str]

    def __repr__(self) -> str:
        return f"CellPreset({self.name}, {self.chemistry}, {self.capacity_ah:g} Ah)"

    @property
    def mean_v(self) -> Floats:
        """Open-circuit voltage [V] half way between the branches, shape (points,)."""
        return 0.5 * (self.charge_v + self.discharge_v)

    @property
    def half_v(self) -> Floats:
        """Half the distance of the branches [V], shape (points,)."""
        return 0.5 * (self.charge_v - self.discharge_v)


def preset_names() -> tuple[str, ...]:
    """The presets that ship."""
    return tuple(sorted(path.stem for path in PRESET_DIR.glob("*.toml")))


@lru_cache(maxsize=16)
def load_preset(name: str) -> CellPreset:
    """Read a preset by its name (or by the path of a TOML file of the same form).

    Raises
    ------
    InvalidInput
        If there is no such preset, or a table of it cannot be used.
    """
    path = Path(name) if name.endswith(".toml") else PRESET_DIR / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(preset_names())
        raise InvalidInput("cell preset", expected=f"a TOML file or one of: {known}", found=repr(name))
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    if table.get("schema") != SCHEMA:
        raise InvalidInput(path.name, expected=f'schema = "{SCHEMA}"', found=repr(table.get("schema")))
    try:
        preset = _built(table)
    except KeyError as missing:
        raise InvalidInput(path.name, expected=f"the key {missing}", found="none") from missing
    _check(path.name, preset)
    return preset


def _built(table: dict[str, Any]) -> CellPreset:
    ocv, r0, rc1, rc2, thermal = (table[key] for key in ("ocv", "r0", "rc1", "rc2", "thermal"))
    if rc1["temperature_degc"] != rc2["temperature_degc"]:
        raise InvalidInput(table["name"], expected="one temperature axis for rc1 and rc2", found="two")
    return CellPreset(
        name=table["name"],
        chemistry=table["chemistry"],
        capacity_ah=table["capacity_ah"],
        nominal_v=table["nominal_v"],
        soc=_frozen(ocv["soc"]),
        discharge_v=_frozen(ocv["discharge_v"]),
        charge_v=_frozen(ocv["charge_v"]),
        overcharge_v_per_soc=ocv["overcharge_v_per_soc"],
        overdischarge_v_per_soc=ocv["overdischarge_v_per_soc"],
        hysteresis_rate=ocv["hysteresis_rate"],
        r0_soc=_frozen(r0["soc"]),
        r0_temperature_degc=_frozen(r0["temperature_degc"]),
        r0_ohm=_frozen(r0["ohm"]),
        rc_temperature_degc=_frozen(rc1["temperature_degc"]),
        rc_ohm=_frozen([rc1["ohm"], rc2["ohm"]]),
        rc_tau_s=_frozen([rc1["tau_s"], rc2["tau_s"]]),
        heat_capacity_j_per_k=thermal["heat_capacity_j_per_k"],
        neighbour_w_per_k=thermal["neighbour_w_per_k"],
        ambient_w_per_k=thermal["ambient_w_per_k"],
        fan_w_per_k=thermal["fan_w_per_k"],
        sources={key: table[key]["source"] for key in ("ocv", "r0", "rc1", "rc2", "thermal")},
    )


def _check(name: str, preset: CellPreset) -> None:
    soc = preset.soc
    uniform = len(soc) > 1 and soc[0] == 0.0 and soc[-1] == 1.0 and np.allclose(np.diff(soc), soc[1])
    if not uniform:
        raise InvalidInput(name, expected="ocv.soc uniform from 0 to 1", found=f"{soc[:3]} ... {soc[-1:]}")
    for branch in ("discharge_v", "charge_v"):
        if getattr(preset, branch).shape != soc.shape:
            raise InvalidInput(
                name, expected=f"ocv.{branch} of {len(soc)} points", found=str(getattr(preset, branch).shape)
            )
    if (preset.charge_v < preset.discharge_v).any():
        raise InvalidInput(name, expected="ocv.charge_v nowhere below discharge_v", found="a crossing")
    shape = (len(preset.r0_temperature_degc), len(preset.r0_soc))
    if preset.r0_ohm.shape != shape or (preset.r0_ohm <= 0).any():
        raise InvalidInput(name, expected=f"r0.ohm positive, shape {shape}", found=str(preset.r0_ohm.shape))
    shape = (2, len(preset.rc_temperature_degc))
    if preset.rc_ohm.shape != shape or preset.rc_tau_s.shape != shape:
        raise InvalidInput(name, expected=f"rc tables of shape {shape}", found=str(preset.rc_ohm.shape))


def _frozen(values: object) -> Floats:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
