"""A plan as tables, for people."""

from __future__ import annotations

import math
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.plan.plan import Plan
from bench.plan.ratings import Rating


def as_text(plan: Plan, *, width: int = 140, colour: bool = False) -> str:
    """What each place has to stand at its worst, what exceeds it, and what is not known."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colour, highlight=False)
    console.print(_worst(plan))
    if plan.excesses:
        console.print(_excesses(plan))
    for title, lines in (
        ("Not rehearsed to the end", plan.remarks),
        ("Not applicable here", plan.not_applicable),
        ("Not stated, so not judged", plan.missing),
    ):
        if lines:
            console.print(f"{title}:")
            for line in lines:
                console.print(f"  {line}", markup=False, soft_wrap=True)
    return out.getvalue()


def verdict(plan: Plan) -> str:
    """The plan in one line."""
    count, longest = len(plan.demands), max((d.duration_s for d in plan.demands), default=0.0)
    total = sum(demand.duration_s for demand in plan.demands)
    said = (
        f"plan: {count} scenarios on {plan.station} with {plan.dut}, {total:.0f} s (longest {longest:.0f} s)"
    )
    if plan.fits:
        return f"{said}: nothing exceeds a rating"
    beyond = len(plan.excesses)
    return f"{said}: {beyond} figure{'s' if beyond > 1 else ''} beyond a rating"


def _worst(plan: Plan) -> Table:
    table = Table(title=f"What {plan.station} has to stand with {plan.dut}")
    for name in ("where", "what"):
        table.add_column(name)
    for name in ("worst", "allowed"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("in scenario")
    for (where, what), (figure, demand) in sorted(plan.worst.items()):
        tightest = _tightest(plan.ratings, where, what)
        beyond = tightest is not None and tightest.exceeded_by(figure.value)
        value = f"[bold red]{_number(figure.value)}[/]" if beyond else _number(figure.value)
        at = "" if math.isnan(figure.t_s) else f" at {figure.t_s:.1f} s"
        allowed = "" if tightest is None else _number(tightest.limit)
        table.add_row(where, what, value, allowed, figure.unit, f"{demand.id}{at}")
    return table


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _tightest(ratings: tuple[Rating, ...], where: str, what: str) -> Rating | None:
    found = [rating for rating in ratings if (rating.where, rating.what) == (where, what)]
    if not found:
        return None
    return max(found, key=lambda r: r.limit) if found[0].lower else min(found, key=lambda r: r.limit)


def _excesses(plan: Plan) -> Table:
    table = Table(title="What exceeds what", title_style="bold red")
    for name in ("scenario", "where", "what", "asked", "allowed", "stated as"):
        table.add_column(name, overflow="fold")
    for excess in plan.excesses:
        at = "" if math.isnan(excess.t_s) else f" at {excess.t_s:.1f} s"
        name = excess.nodeid.rpartition("::")[2]
        row = (name, excess.where, excess.what, f"{excess.found}{at}", excess.limit, excess.key)
        table.add_row(*map(escape, row))
    return table
