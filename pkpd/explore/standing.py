"""How a best schedule stands: how flat what is maximised is about it, whether the evidence has seen such
doses, and which parameters decide what it gains."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pkpd.dosing import Regimen
from pkpd.explore.limits import Limit
from pkpd.explore.quantities import Quantity, of_amounts
from pkpd.explore.space import Point
from pkpd.explore.trials import Trial, Trials
from pkpd.infer.problem import Problem
from pkpd.simulation import bind

FALL = 0.01  # of the score at which it counts as fallen
PLACES = 8  # on each side of the best
MOST = 3  # parameters that are told


def flatness(trials: Trials, best: Trial) -> dict[str, dict[str, Any]]:
    """How far each variable can go before the score falls by a hundredth, the others as they are: `flat` from
    and to, limits aside, in the variable's unit; `edge` where the best is at the end of its range.

    Amounts of single doses go together, by a factor.
    """
    space, found = trials.space, {}
    ends = np.cumsum(space.sizes)
    for variable, end, size in zip(space.variables, ends, space.sizes, strict=True):
        dims = np.arange(end - size, end)
        sides = [_side(trials, best, dims, up) for up in (False, True)]
        low, high = (_reach(trials, best, side) for side in sides)
        here = best.point[dims]
        edge = bool(np.all(np.isclose(here, variable.low)) or np.all(np.isclose(here, variable.high)))
        found[variable.name] = {"flat": [low, high], "factor": size > 1, "edge": edge}
    return found


def _side(trials: Trials, best: Trial, dims: np.ndarray, up: bool) -> list[tuple[float, Point]]:
    """Values of a variable from that of the best to an end of its range, with their points."""
    space, dim = trials.space, dims[0]
    if len(dims) > 1:
        factors = np.linspace(1.0, 2.0 if up else 0.0, PLACES + 1)
        return [(float(f), _with(trials, best.point, dims, best.point[dims] * f)) for f in factors]
    end, here, step = (space.high if up else space.low)[dim], best.point[dim], space.step[dim]
    places = np.linspace(here, end, PLACES + 1)
    if not np.isnan(step):
        count = round(float(abs(end - here) / step))
        chosen = np.unique(np.round(np.linspace(0, count, min(count, PLACES) + 1)))
        places = here + np.sign(end - here) * step * chosen
    return [(float(v), _with(trials, best.point, dims, np.array([v]))) for v in places]


def _with(trials: Trials, point: Point, dims: np.ndarray, values: np.ndarray) -> Point:
    new = point.copy()
    new[dims] = np.clip(values, trials.space.low[dims], trials.space.high[dims])
    return new


def _reach(trials: Trials, best: Trial, side: list[tuple[float, Point]]) -> float:
    """The last value at which the score has not fallen, between those asked for on a straight line."""
    least = best.score - FALL * abs(best.score)
    last, score = side[0][0], best.score
    known = {tuple(np.round(t.point, 12)): t for t in trials.ask([p for _, p in side[1:]], whole=True)}
    for value, point in side[1:]:
        trial = known.get(tuple(np.round(point, 12)))
        if trial is None:
            continue
        if trial.score < least:
            return last + (value - last) * (score - least) / (score - trial.score)
        last, score = value, trial.score
    return last


def stopped_by(trials: Trials, best: Trial) -> list[Limit]:
    """The limits without which a step in one variable would be better."""
    space, step = trials.space, np.where(np.isnan(trials.space.step), 0.0, trials.space.step)
    near = [best.point + sign * step * unit for unit in np.eye(len(step)) for sign in (1.0, -1.0)]
    inside = [point for point in map(space.snapped, near) if np.any(point != best.point)]
    better = [trial for trial in trials.ask(inside, whole=True) if trial.score > best.score]
    broken = [
        limit
        for trial in better
        for limit in trials.limits
        if not limit.kept(trials.measured(limit.quantity, trial.events, trial.values))
    ]
    return list(dict.fromkeys(broken))


def evidence_of(problem: Problem, regimen: Regimen) -> dict[str, Any]:
    """Whether the arms of a fit have had as much of each drug, in a day and in all: between the least and the
    most of any, and nothing is inside where an arm had nothing. `seen` are the amounts of the arms."""
    model, events = problem.model, bind(problem.model, regimen)
    arms = [arm.events for arm in problem.arms if arm.told]
    rows = {}
    for dose in {dose.drug: dose for dose in regimen.doses}.values():
        for metric, hours in (("daily", 24.0), ("total", np.inf)):
            unit = f"{dose.unit}/{dose.per}" if dose.per else dose.unit
            name = f"{dose.drug}.{metric}"
            quantity = Quantity(name, "amount", drug=dose.drug, metric=metric, hours=hours).in_unit(
                model, unit
            )
            seen = sorted({float(f"{of_amounts(model, quantity, other):.9g}") for other in arms})
            value = of_amounts(model, quantity, events)
            inside = bool(seen) and seen[0] * (1.0 - 1e-6) <= value <= seen[-1] * (1.0 + 1e-6)
            rows[name] = {"value": value, "seen": seen, "unit": unit, "inside": inside}
    inside = bool(arms) and all(row["inside"] for row in rows.values())
    return {"arms": len(arms), "inside": inside, "amounts": rows}


def decided_by(
    problem: Problem, points: Float[np.ndarray, "draws params"], gains: Float[np.ndarray, " draws"]
) -> list[dict[str, Any]]:
    """The parameters with which what is gained goes together most over draws, with their correlation."""
    names = problem.names
    if len(gains) < 3 or not names or np.ptp(gains) == 0.0:
        return []
    columns = points[:, : len(names)]
    spread = columns.std(axis=0) * gains.std()
    centred = (columns - columns.mean(axis=0)).T @ (gains - gains.mean()) / len(gains)
    found = np.where(spread > 0.0, centred / np.where(spread > 0.0, spread, 1.0), 0.0)
    order = np.argsort(-np.abs(found))[:MOST]
    return [{"parameter": names[i], "correlation": float(found[i])} for i in order]
