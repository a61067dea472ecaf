"""The plan of a run: what each scenario will ask of the bench, held against every rating before energy.

Each scenario is rehearsed in virtual time on stand-ins of the very same station. `rehearsal` does that in a
process of its own, `observer` and `demand` say what was asked, `ratings` what may be, `plan` compares them,
`cache` keeps rehearsals that are still true.
"""

from bench.plan.cache import RehearsalCache
from bench.plan.demand import Demand, Figure
from bench.plan.plan import Excess, Plan, make_plan
from bench.plan.ratings import Rating, ratings_of
from bench.plan.rehearsal import Rehearsal, Scene, rehearsal_of, rehearse

__all__ = [
    "Demand",
    "Excess",
    "Figure",
    "Plan",
    "Rating",
    "Rehearsal",
    "RehearsalCache",
    "Scene",
    "make_plan",
    "ratings_of",
    "rehearsal_of",
    "rehearse",
]
