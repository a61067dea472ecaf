"""Cell files made for tests: straight and round, so that expected values can be worked out by hand."""

import json
from pathlib import Path

#: What every made cell has: 10 Ah, OCV from 3.0 to 4.0 V, no hysteresis, R0 10 mohm, R1 20 mohm with 10 s.
CAPACITY_AH, R0_OHM, R1_OHM, TAU1_S = 10.0, 10e-3, 20e-3, 10.0
HEAT_CAPACITY_J_PER_K = 200.0
_SOURCE = "made for this test"


def write_cell(
    folder: Path,
    *,
    half_v: float = 0.0,
    more_pairs: tuple[tuple[float, float], ...] = (),
    linear_a: float | None = None,
    v_per_k: float | None = None,
    neighbour_w_per_k: float = 0.0,
    chemistry: str = "NMC",
) -> str:
    """Write a made cell into `folder` and return its path; `more_pairs` are (ohm, tau_s)."""
    sections = {
        "ocv": {
            "soc": [0.0, 0.5, 1.0],
            "discharge_v": [3.0 - half_v, 3.5 - half_v, 4.0 - half_v],
            "charge_v": [3.0 + half_v, 3.5 + half_v, 4.0 + half_v],
            "overcharge_v_per_soc": 5.0,
            "overdischarge_v_per_soc": 30.0,
        },
        "hysteresis": {"rate": 30.0},
        "r0": {"temperature_degc": [25.0], "soc": [0.5], "ohm": [[R0_OHM]]},
        "thermal": {
            "heat_capacity_j_per_k": HEAT_CAPACITY_J_PER_K,
            "neighbour_w_per_k": neighbour_w_per_k,
            "ambient_w_per_k": 0.0,
            "fan_w_per_k": 0.0,
        },
    }
    if v_per_k is not None:
        sections["entropy"] = {"soc": [0.0, 1.0], "v_per_k": [v_per_k, v_per_k]}
    lines = [
        'schema = "bmsbench-cell/1"',
        'name = "made"',
        f'chemistry = "{chemistry}"',
        f"capacity_ah = {CAPACITY_AH}",
        "nominal_v = 3.5",
        f'source = "{_SOURCE}"',
    ]
    for name, table in sections.items():
        lines += ["", f"[{name}]", *_keys(table)]
    for k, (ohm, tau_s) in enumerate(((R1_OHM, TAU1_S), *more_pairs)):
        pair = {"temperature_degc": [25.0], "soc": [0.5], "ohm": [[ohm]], "tau_s": [tau_s]}
        if k == 0 and linear_a is not None:
            pair["linear_a"] = [linear_a]
        lines += ["", "[[rc]]", *_keys(pair)]
    path = folder / "made.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def _keys(table: dict[str, object]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in (table | {"source": _SOURCE}).items()]
