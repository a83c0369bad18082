"""What is maximised over the range of one or two variables, and where the evidence stands there."""

from typing import Any

import numpy as np

from pkpd.explore.space import Point
from pkpd.explore.trials import Trial, Trials
from pkpd.explore.vary import NEAR, Variable
from pkpd.infer.problem import Problem

PLACES = 9  # along each variable
_SHOWN = ("amount", "doses")  # fields by which an arm of the evidence has a place


def surface_of(trials: Trials, problem: Problem, best: Trial) -> dict[str, Any]:
    """Scores over a grid of the first two variables that are single numbers, the others as at the best.

    `axes` have a name, a unit and values; `score` has a row for each value of the last axis; `kept` tells
    where all limits are; `seen` are places of arms of the evidence, where the variables have such.
    """
    space = trials.space
    dims = [int(np.sum(space.sizes[:k])) for k, n in enumerate(space.sizes) if n == 1][:2]
    ticks = [_ticks(trials, dim) for dim in dims]
    grid = np.meshgrid(*ticks)
    points = [_at(best.point, dims, place) for place in zip(*(axis.ravel() for axis in grid), strict=True)]
    found = {tuple(np.round(t.point, 9)): t for t in trials.ask(points, whole=True)}
    told = [found.get(tuple(np.round(point, 9))) for point in points]
    shape = grid[0].shape if dims else ()
    owners = [space.owners[dim] for dim in dims]
    return {
        "axes": [
            {"name": v.name, "unit": v.full_unit or v.field, "values": t.tolist()}
            for v, t in zip(owners, ticks, strict=True)
        ],
        "score": np.array([np.nan if t is None else t.score for t in told]).reshape(shape).tolist(),
        "kept": np.array([t is not None and t.kept for t in told]).reshape(shape).tolist(),
        "best": [float(best.point[dim]) for dim in dims],
        "seen": _seen(trials, problem, owners),
    }


def _ticks(trials: Trials, dim: int) -> Point:
    """Values along a variable, on its steps."""
    space = trials.space
    low, high, step = space.low[dim], space.high[dim], space.step[dim]
    if np.isnan(step):
        return np.linspace(low, high, PLACES)
    count = int(np.floor((high - low) / step + NEAR))
    return low + step * np.unique(np.round(np.linspace(0, count, min(count + 1, PLACES))))


def _at(point: Point, dims: list[int], place: tuple[float, ...]) -> Point:
    new = point.copy()
    new[dims] = place
    return new


def _seen(trials: Trials, problem: Problem, owners: list[Variable]) -> list[list[float]]:
    """Where arms that were fitted stand: the amount and the number of a drug's doses."""
    if not all(v.field in _SHOWN for v in owners):
        return []
    space, places = trials.space, []
    shares = dict(zip(space.owners, space.shares, strict=True))
    for arm in problem.arms if owners else ():
        doses = zip(arm.events.route, np.asarray(arm.events.amount).tolist(), strict=True)
        given = [(drug, amount) for (drug, _), amount in doses]
        place = []
        for v in owners:
            mine = [amount for drug, amount in given if drug == v.drug]
            place.append(max(mine, default=0.0) / shares[v] if v.field == "amount" else float(len(mine)))
        if arm.told and place not in places:
            places.append(place)
    return places
