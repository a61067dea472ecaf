"""The cells whose ageing is known: published constants, put into the form of `bench.plant.ageing.laws`.

Constants and equations: BLAST-Lite 1.1.1 (NREL, github.com/NREL/BLAST-Lite, BSD-3-Clause), in the file named
at each law. BLAST walks the same trajectories in explicit Euler steps of a day; here they are exact.
"""

from __future__ import annotations

import numpy as np

from bench.errors import InvalidInput
from bench.plant.ageing.laws import GAS_CONSTANT_J_PER_MOL_K, ZERO_DEGC_K, Array, Law, Mode, Stress

SECONDS_PER_DAY = 86400.0
#: The NMC laws are written in T over this, and in the anode potential over its value near half charge.
NMC_REFERENCE_K, NMC_REFERENCE_V = ZERO_DEGC_K + 35.0, 0.123


def _t(stress: Stress) -> Array:
    return stress.temperature_k / NMC_REFERENCE_K


def _u(stress: Stress) -> Array:
    return stress.anode_v / NMC_REFERENCE_V


def _lfp_calendar(stress: Stress) -> Array:
    k: Array = 8.37e4 * np.exp((-5.21e3 - 3.56e3 * stress.anode_v) / stress.temperature_k)
    return k


def _lfp_cycling(stress: Stress) -> Array:
    load = 4.38e-8 + 1.55e-8 * stress.depth + 1.68e-7 * stress.rate_c
    k: Array = load * (np.exp(2.19e3 / stress.temperature_k) + np.exp(-1.55e5 / stress.temperature_k))
    return k


def _sony_calendar(stress: Stress) -> Array:
    arrhenius = np.exp(-71827 / GAS_CONSTANT_J_PER_MOL_K * (1 / stress.temperature_k - 1 / 298.15))
    k: Array = 3.4194e-10 * SECONDS_PER_DAY * arrhenius * (1.5604 - 3.3903 * (stress.soc - 0.5) ** 3)
    return k


def _sony_cycling(stress: Stress) -> Array:
    # Falls with the rate and would turn negative above 1.05 C; Mode.rate keeps it at zero there.
    return (0.0021 - 0.002 * stress.rate_c) * (0.91882 + 6.8477 * (stress.depth - 0.5) ** 3)


def _b1_calendar(stress: Stress) -> Array:
    k: Array = 36.2 * np.exp(-4.4 * np.cbrt(_u(stress)) / _t(stress) ** 3)
    return k


def _b1_cycling(stress: Stress) -> Array:
    k: Array = 0.844 * (stress.depth**2 * _t(stress) ** 3 * np.sqrt(stress.rate_c)) ** 0.458
    return k


def _a_calendar(stress: Stress) -> Array:
    k: Array = 8.71e-7 * np.exp(10 * _t(stress) ** 3 / np.cbrt(_u(stress)))
    return k


def _a_cycling(stress: Stress) -> Array:
    t, root = _t(stress), np.sqrt(stress.depth)
    k: Array = np.abs(
        0.0267
        + 1.64 * t**3 * root
        + 0.011 * np.exp(stress.rate_c**2 / np.sqrt(t))
        - 0.44 * np.exp(root * t**2 * np.sqrt(stress.rate_c))
    )
    return k


def _kokam_calendar(stress: Stress) -> Array:
    k: Array = 2.66e7 * np.exp((-17.8 - 5.21 * _u(stress)) / _t(stress))
    return k


def _kokam_cycling(stress: Stress) -> Array:
    k: Array = 3.80e3 * np.exp(-18.4 / _t(stress) + 1.04 * np.exp(stress.depth**2))
    return k


def _kokam_material(stress: Stress) -> Array:
    # The cycles at which it gives way; fewer in the cold. At least 100 of them (project default).
    cycles = 1e4 + 153 * (stress.temperature_k - ZERO_DEGC_K - 55) * stress.depth * stress.soc_mean / 0.6
    k: Array = np.maximum(cycles, 100.0) ** -10.0
    return k


def _kokam_calendar_film(stress: Stress) -> Array:
    return 0.0570 * _kokam_calendar(stress)


def _kokam_cycling_film(stress: Stress) -> Array:
    return 4.87 * _kokam_cycling(stress)


#: Slope of the 5 s resistance at 1 C and half charge over 1 - capacity, of 26 retired 21 Ah NMC cells
#: (PulseBat, github.com/terencetaothucb/Pulse-Voltage-Response-Generation): r = 0.90, but only two of them
#: have lost more than 2 %. No law over time and throughput was found that holds for years.
NMC_RESISTANCE_PER_FADE = 2.6

LFP_250AH = Law(
    "lfp_250ah",
    "capacity: large prismatic LFP-graphite, > 250 Ah, doi:10.1016/j.est.2023.109042, lfp_gr_250AhPrismatic_"
    "2019.py; resistance: Sony/Murata 3 Ah, doi:10.1016/j.jpowsour.2019.227666, lfp_gr_SonyMurata3Ah_2018.py",
    (
        Mode("capacity", "days", 0.526, _lfp_calendar),
        Mode("capacity", "cycles", 0.828, _lfp_cycling),
        Mode("resistance", "days", 1.0, _sony_calendar),
        Mode("resistance", "cycles", 1.0, _sony_cycling, unit=100.0),
    ),
    (10.0, 45.0),
    (0.8, 1.0),
    0.65,
    1.0,
)
NMC_50AH_B1 = Law(
    "nmc_50ah_b1",
    "capacity: pouch NMC-graphite 'B1', 50 Ah, doi:10.1016/j.est.2023.109042, nmc_gr_50Ah_B1_2020.py; "
    "resistance: slope over the fade of retired cells, PulseBat",
    (
        Mode("capacity", "days", 0.708, _b1_calendar, unit=1e4),
        Mode("capacity", "cycles", 0.467, _b1_cycling, unit=1e5),
    ),
    (10.0, 45.0),
    (0.8, 1.0),
    1.75,
    1.75,
    resistance_per_fade=NMC_RESISTANCE_PER_FADE,
)
NMC_75AH_A = Law(
    "nmc_75ah_a",
    "capacity: pouch NMC-graphite 'A', 75 Ah, doi:10.1016/j.est.2023.109042, nmc_gr_75Ah_A_2019.py; "
    "resistance: slope over the fade of retired cells, PulseBat",
    (
        Mode("capacity", "days", 0.578, _a_calendar, unit=1e3),
        Mode("capacity", "cycles", 1.11, _a_cycling, unit=1e4),
    ),
    (10.0, 45.0),
    (0.8, 1.0),
    2.0,
    2.0,
    resistance_per_fade=NMC_RESISTANCE_PER_FADE,
)
#: The only one with a knee: active material gives way after thousands of cycles, earlier in the cold. Its
#: films grow with t^1.25, which over many years is far from anything tested.
NMC_75AH_KOKAM = Law(
    "nmc_75ah_kokam",
    "capacity and resistance: Kokam 75 Ah pouch NMC-graphite, nmc111_gr_Kokam75Ah_2017.py",
    (
        Mode("capacity", "days", 0.357, _kokam_calendar),
        Mode("capacity", "cycles", 0.778, _kokam_cycling),
        Mode("resistance", "days", 1.25, _kokam_calendar_film),
        Mode("resistance", "cycles", 0.712, _kokam_cycling_film),
        Mode("active_material", "cycles", 10.0, _kokam_material, saturates=True),
    ),
    (0.0, 45.0),
    (0.8, 1.0),
    1.0,
    1.0,
    cold_loss=False,
)

LAWS = {law.name: law for law in (LFP_250AH, NMC_50AH_B1, NMC_75AH_A, NMC_75AH_KOKAM)}
#: Which law a chemistry takes if none is named (project default).
BY_CHEMISTRY = {"LFP": LFP_250AH, "NMC": NMC_50AH_B1}


def law_for(chemistry: str) -> Law:
    """Return the law that a chemistry takes if none is named.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    law = BY_CHEMISTRY.get(chemistry)
    if law is None:
        known = ", ".join(BY_CHEMISTRY)
        raise InvalidInput("ageing", expected=f"a law, or cells of {known}", found=f"no law for {chemistry}")
    return law
