"""The best schedule under limits, under a posterior: what it is, what decides it, and how sure that is."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import Regimen
from pkpd.endpoints import label, outcome_names
from pkpd.explore.chances import Chances, thinned
from pkpd.explore.exposed import Exposed
from pkpd.explore.goal import Goal, smoothing
from pkpd.explore.limits import Limit, check_together, read_limit
from pkpd.explore.pareto import front_of
from pkpd.explore.quantities import Quantity, outcome_of, read_quantity
from pkpd.explore.search import Found, Say, Search, Settings
from pkpd.explore.space import Space, space_of
from pkpd.explore.standing import decided_by, evidence_of, flatness, stopped_by
from pkpd.explore.surface import surface_of
from pkpd.explore.trials import Trial, Trials
from pkpd.infer.problem import Problem
from pkpd.model import Model
from pkpd.response import AbstractRecord
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind, scaling

LEVELS = 5  # of a quantity at which a front is searched for


@dataclass(frozen=True)
class Asked:
    """What is asked, as texts: the base, what varies, what is maximised, limits.

    `quantile` or `exceed` stand for the posterior mean; `pareto` is the quantity against which the front is
    searched for at `levels`, none of which asks for the schedules that were tried anyway; a `surface` is over
    the first two variables.
    """

    regimen: str
    vary: tuple[str, ...]
    maximise: str
    limits: tuple[str, ...] = ()
    quantile: float | None = None
    exceed: float | None = None
    pareto: str = ""
    levels: int = 0
    surface: bool = False


@dataclass(frozen=True)
class Question:
    """What is asked, resolved against a model."""

    base: Regimen
    space: Space
    endpoint: Endpoint
    limits: tuple[Limit, ...]
    goal: Goal
    against: Quantity


def read_question(problem: Problem, asked: Asked, draws: int, caps: Sequence[Limit] = ()) -> Question:
    """The question, with caps among its limits; raises `InputError` with every fault."""
    model, found = problem.model, Findings()
    base = _base(model, asked.regimen, found)
    endpoint = outcome_of(model, " ".join(asked.maximise.split()))
    if endpoint is None:
        hint = did_you_mean(asked.maximise, outcome_names(model)) if model.outcomes else ""
        found.add("--maximise", "must be an outcome of the model", asked.maximise, hint)
    space = None if base is None else space_of(model, base, asked.vary, found)
    limits = [read_limit(model, text, found) for text in asked.limits]
    goal = _goal(asked, draws, found)
    against = _against(model, asked.pareto, space, [x for x in limits if x is not None], found)
    if base is not None and endpoint is not None and space is not None:
        _check_horizon(problem, space, endpoint, found)
    kept = [limit for limit in limits if limit is not None]
    check_together([*kept, *caps], found)
    found.raise_if_any()
    assert base is not None
    assert endpoint is not None
    assert space is not None
    assert against is not None
    return Question(base, space, endpoint, (*kept, *caps), goal, against)


def _base(model: Model, text: str, found: Findings) -> Regimen | None:
    try:
        base = Regimen.parse(text)
        for name in scaling(model, base):
            found.add("--regimen", f"must not depend on {name}, which differs between virtual patients", text)
        bind(model, base)
    except InputError as error:
        found.adopt(error)
        return None
    return base


def _goal(asked: Asked, draws: int, found: Findings) -> Goal:
    for name, value in (("--quantile", asked.quantile), ("--exceed", asked.exceed)):
        if value is not None and not 0.0 < value < 1.0:
            found.add(name, "must lie between 0 and 1", value)
        if value is not None and draws < 2:
            found.add(name, "must go with a fit, whose posterior has draws", value)
    if asked.quantile is not None and asked.exceed is not None:
        found.add("--exceed", "must not go with --quantile", asked.exceed)
    if asked.quantile is not None:
        return Goal("quantile", asked.quantile)
    return Goal() if asked.exceed is None else Goal("exceed", asked.exceed)


def _against(
    model: Model, text: str, space: Space | None, limits: Sequence[Limit], found: Findings
) -> Quantity | None:
    """That of the front: as asked, else the first limit's, else the total of what varies first."""
    if text:
        return read_quantity(model, text, "--pareto", found)
    first = next((x.quantity for x in limits if x.quantity.kind != "outcome"), None)
    if first is not None or space is None:
        return first
    drug = space.variables[0].drug
    quantity = read_quantity(model, f"{drug}.total", "--pareto", found)
    unit = next((d.unit for d in space.base.doses if d.drug == drug), model.units.amount)
    return None if quantity is None else quantity.in_unit(model, unit)


def _check_horizon(problem: Problem, space: Space, endpoint: Endpoint, found: Findings) -> None:
    """Whether doses come before the outcome is last looked at."""
    model, day = problem.model, problem.model.units.day
    part = model.outcomes.get(endpoint.outcome)
    last = endpoint.time if endpoint.time is not None else None
    if last is None and isinstance(part, AbstractRecord):
        last = max(part.recorded_at, default=0.0)
    last = problem.origin + (last or 0.0)
    for place, point in (("--regimen", None), ("--vary", space.high)):
        try:
            regimen = space.base if point is None else space.regimen(space.snapped(point))
        except InputError:
            continue
        latest = max(bind(model, regimen).nominal, default=0.0)
        if latest >= last > 0.0:
            told = f"{label(model, endpoint)} is last looked at on day {last / day:g}"
            found.add(place, f"must give its last dose before then: {told}", f"day {latest / day:g}")
            return


def chances_for(
    problem: Problem, points: Float[np.ndarray, "draws params"], question: Question, draws: int
) -> Chances:
    """Probabilities of what a question asks, under up to `draws` of the points."""
    told = [x.quantity.endpoint for x in question.limits if x.quantity.endpoint is not None]
    return Chances(problem, thinned(points, draws), tuple(dict.fromkeys([question.endpoint, *told])))


def optimise(
    chances: Chances,
    points: Float[np.ndarray, "draws params"],
    question: Question,
    settings: Settings,
    say: Say,
    levels: int = 0,
    surface: bool = False,
) -> dict[str, Any]:
    """The best schedule of a question, in plain JSON.

    The search uses the draws of `chances`, and what is told of the best and of the base all `points`; always
    the same virtual patients. A front is searched for at so many `levels`. Raises `InputError` where no
    schedule keeps to the limits, and where what is maximised does not depend on what varies.
    """
    problem, space = chances.fitted, question.space
    chances.foresee([bind(problem.model, space.regimen(point)) for point in space.timetables()])
    exposed = Exposed(chances)
    asked = question.goal, question.endpoint, question.limits
    trials = _widened(Trials(problem.model, space, *asked, chances, exposed))
    found = Search(trials, settings, say).run()
    front = front_of(trials, found.best, question.against, levels, settings, say)
    if surface:
        say("the surface", 0.95)
    drawn = {"surface": surface_of(trials, problem, found.best)} if surface else {}
    say("the answer under all draws", 0.98)
    return report(problem, trials, question, found, front, chances.under(points)) | drawn


def _widened(trials: Trials) -> Trials:
    """With the width for shares that the base's draws have."""
    if trials.goal.kind != "exceed":
        return trials
    (base,) = trials.ask([trials.space.snapped(trials.space.start)], whole=True)
    assert base.values is not None
    goal = dataclasses.replace(trials.goal, width=smoothing(base.values[:, trials.place(None)]))
    return dataclasses.replace(trials, goal=goal, known={})


def report(
    problem: Problem,
    trials: Trials,
    question: Question,
    found: Found,
    front: Sequence[Mapping[str, Any]],
    final: Chances,
) -> dict[str, Any]:
    """What is told of the best schedule, in plain JSON."""
    model, best = problem.model, found.best
    events = [best.events, bind(model, question.base)]
    values = final.values(events)
    place = trials.place(None)
    mine, base = values[0][:, place], values[1][:, place]
    stopped = stopped_by(trials, best)
    constraints = [_constraint(trials, limit, best, values[0], limit in stopped) for limit in question.limits]
    flat = flatness(trials, best)
    content = {
        "status": "converged" if found.converged else "not converged",
        "regimen": str(best.regimen),
        "objective": {"outcome": label(model, question.endpoint), "what": question.goal.words},
        "value": question.goal.value(mine),
        **_spread(mine),
        "varied": {k: {"value": v, **flat.get(k, {})} for k, v in trials.space.said(best.point).items()},
        "base": {"regimen": str(question.base), "value": question.goal.value(base), **_spread(base)},
        "gain": {"mean": float((mine - base).mean()), **_spread(mine - base)},
        "better": float((mine > base).mean()),
        "constraints": constraints,
        "evidence": evidence_of(problem, best.regimen),
        "decided_by": decided_by(problem, final.points, mine - base if np.any(mine != base) else mine),
        "pareto": list(front),
        "starts": found.ends,
        "tried": len(trials.known),
        "evaluations": dict(trials.chances.asked),
        "patients": final.patients.count,
        "draws": final.draws,
    }
    return content | {
        "headline": _headline(constraints),
        "units": {v.name: _unit(v) for v in trials.space.variables},
    }


def _unit(variable: Any) -> str:
    if variable.full_unit:
        return variable.full_unit
    return {"doses": "1", "days": f"of {variable.of}"}.get(variable.field, "h")


def _spread(values: np.ndarray) -> dict[str, float | None]:
    if len(values) < 2:
        return {"lo95": None, "hi95": None}
    low, high = np.quantile(values, [0.025, 0.975])
    return {"lo95": float(low), "hi95": float(high)}


def _constraint(trials: Trials, limit: Limit, best: Trial, values: np.ndarray, stops: bool) -> dict[str, Any]:
    value = trials.measured(limit.quantity, best.events, best.values)
    final = trials.measured(limit.quantity, best.events, values)
    cap = {"source": limit.source, "at": limit.at, "why": limit.why} if limit.source else {}
    return {
        "limit": str(limit),
        "quantity": limit.quantity.name,
        "sign": limit.sign,
        "bound": limit.value,
        "unit": limit.quantity.unit,
        "value": final,
        "binds": stops or limit.binds(value),
        "cap": bool(limit.source),
        **cap,
    }


def _headline(constraints: Sequence[Mapping[str, Any]]) -> str:
    """A cap that binds comes first, then another limit."""
    binding = sorted((c for c in constraints if c["binds"]), key=lambda c: not c["cap"])
    if not binding:
        return ""
    first = binding[0]
    if first["cap"]:
        return f"A cap decides: {first['limit']} ({first['source']} {first['at']})"
    return f"A limit decides: {first['limit']}"
