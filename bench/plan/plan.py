"""A plan: the demands of all scenarios against all ratings, as table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bench.evidence.json_file import plain
from bench.plan.demand import Demand, Figure
from bench.plan.ratings import Rating, missing_ratings, ratings_of
from bench.station_file import StationFile
from dut_profiles.profile import Profile


@dataclass(frozen=True, slots=True)
class Excess:
    """One scenario that asks more of one place than that stands."""

    scenario: str
    nodeid: str
    where: str
    what: str
    found: str
    limit: str
    key: str
    t_s: float

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.where}: {self.what} {self.found} at {self.t_s:.3f} s, allowed "
            f"{self.limit} ({self.key})"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will ask of its bench.

    Parameters
    ----------
    station, dut
        Name and model.
    demands
        Of each scenario.
    excesses
        What exceeds what.
    ratings
        What they were held against.
    missing
        Ratings that nobody stated: nothing was held against them.
    """

    station: str
    dut: str
    demands: tuple[Demand, ...]
    excesses: tuple[Excess, ...]
    ratings: tuple[Rating, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether nothing exceeds anything."""
        return not self.excesses

    @property
    def remarks(self) -> list[str]:
        """What could not be rehearsed, or not to its end."""
        return [_remark(demand) for demand in self.demands if demand.remark and demand.applies]

    @property
    def not_applicable(self) -> list[str]:
        """What does not apply to this DUT on this station, and why."""
        return [_remark(demand) for demand in self.demands if not demand.applies]

    @property
    def worst(self) -> dict[tuple[str, str], tuple[Figure, Demand]]:
        """Each figure at its worst over all scenarios, and the scenario."""
        found: dict[tuple[str, str], tuple[Figure, Demand]] = {}
        for demand in self.demands:
            for figure in demand.figures:
                key = (figure.where, figure.what)
                sign = -1.0 if figure.what.startswith("lowest") else 1.0
                if key not in found or sign * figure.value > sign * found[key][0].value:
                    found[key] = (figure, demand)
        return found

    def as_json(self) -> str:
        """Everything, for programs."""
        document = {
            "station": self.station,
            "dut": self.dut,
            "fits": self.fits,
            "excesses": [asdict(excess) for excess in self.excesses],
            "worst": [
                asdict(figure) | {"scenario": demand.id, "nodeid": demand.nodeid}
                for figure, demand in self.worst.values()
            ],
            "not_rehearsed": self.remarks,
            "not_applicable": self.not_applicable,
            "ratings": [asdict(rating) for rating in self.ratings],
            "ratings_missing": list(self.missing),
            "scenarios": [asdict(demand) for demand in self.demands],
        }
        return json.dumps(plain(document), indent=1, ensure_ascii=False)


def _remark(demand: Demand) -> str:
    return f"{demand.id} ({demand.nodeid}): {demand.remark}"


def make_plan(file: StationFile, profile: Profile, demands: Sequence[Demand]) -> Plan:
    """Hold the demands against every rating of the bench and its DUT."""
    ratings = tuple(ratings_of(file, profile))
    excesses = [excess for demand in demands for excess in _excesses(demand, ratings)]
    missing = tuple(missing_ratings(file, profile))
    return Plan(file.name, profile.identity.model, tuple(demands), tuple(excesses), ratings, missing)


def _excesses(demand: Demand, ratings: Iterable[Rating]) -> list[Excess]:
    found = []
    for rating in ratings:
        for figure in demand.figures:
            if (figure.where, figure.what) != (rating.where, rating.what):
                continue
            if rating.exceeded_by(figure.value):
                value, limit = (f"{number:.6g} {figure.unit}" for number in (figure.value, rating.limit))
                found.append(_excess(demand, figure.where, figure.what, value, limit, rating.key, figure.t_s))
    for objection in demand.objections:
        role, _, rest = objection.partition(" refused to ")
        found.append(_excess(demand, role, "fault relay", rest, "", "rules for fault relays", float("nan")))
    return found


def _excess(demand: Demand, where: str, what: str, found: str, limit: str, key: str, t_s: float) -> Excess:
    return Excess(demand.id, demand.nodeid, where, what, found, limit, key, t_s)
