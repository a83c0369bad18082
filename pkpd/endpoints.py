"""What is counted of patients: the endpoints of a model and their joint tables."""

import re
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from pkpd.checks import did_you_mean, fail
from pkpd.dosing.terms import hours
from pkpd.model import Model
from pkpd.response import AbstractRecord, AbstractSurvival, Course
from pkpd.response.joint import (
    Axis,
    Endpoint,
    LogByLife,
    LogLives,
    alive_by_life,
    axes_of,
    by_life,
    cuts_of,
    log_lives,
    merged,
)
from pkpd.response.joint import log_table as joint_table


def own_course(course: Course, name: str) -> Course:
    """What one outcome sees of a course, its ports without its name."""
    prefix = f"{name}."
    own = {key.removeprefix(prefix): path for key, path in course.paths.items() if key.startswith(prefix)}
    return Course(course.edges, own, course.treated, course.block)


def model_endpoints(model: Model) -> list[Endpoint]:
    """An endpoint for each outcome that is recorded, and for each of its kinds."""
    found = []
    for name, part in model.outcomes.items():
        if isinstance(part, AbstractRecord):
            found += [Endpoint(name), *(Endpoint(name, kinds=(kind,)) for kind in part.kinds)]
    return found


def lives_and_events(
    model: Model, course: Course, endpoints: Sequence[Endpoint]
) -> tuple[LogLives, list[LogByLife]]:
    """Lifetimes, and the endpoints' axes given the lifetime, in log probability, for individualised patients.

    Raises `InputError` where endpoints of one outcome do not exclude each other.
    """
    cuts = cuts_of([t for endpoint in endpoints for t in _looks(model, endpoint)])
    patients = _patients(course)
    lives = log_lives(_hazard_steps(model, course, cuts, patients))
    found = []
    for axis in axes_of(endpoints):
        if axis.time is not None:
            found.append(alive_by_life(cuts, axis.time, patients))
            continue
        part = _record(model, axis.outcome)
        recorded = _recorded(part, own_course(course, axis.outcome), axis)
        wide = jnp.broadcast_to(recorded, (*recorded.shape[:-1], patients))
        found.append(by_life(cuts, part.recorded_at, wide))
    return lives, found


def log_alive(model: Model, course: Course, times: Sequence[float] | np.ndarray) -> Float[Array, " times"]:
    """Log of the survival of randomly drawn patients at some edges of the course.

    `S(t) = mean over patients of exp(-H(t))`, from `1 - S` where it is the smaller, so that neither the first
    deaths nor the last survivors are lost. `times` are since the origin; the course has those for which it
    was built as edges. Raises `InputError` for a time that is not one.
    """
    wanted = np.asarray(times, float)
    away = np.abs(wanted[:, None] - course.edges).min(axis=1)
    if np.any(away > 1e-9 * course.block):
        raise fail("times", "must be edges of the course", wanted[away > 1e-9 * course.block].tolist())
    cuts = cuts_of(wanted.tolist())
    patients = _patients(course)
    steps = _hazard_steps(model, course, cuts, patients)
    hazard = jnp.concatenate([jnp.zeros((1, patients)), jnp.cumsum(steps, axis=0)])
    hazard = hazard[np.searchsorted(cuts, wanted)]
    dead = -jnp.mean(jnp.expm1(-hazard), axis=1)
    few = dead < 0.5
    alive = logsumexp(-hazard, axis=1) - np.log(patients)
    return jnp.where(few, jnp.log1p(-jnp.where(few, dead, 0.0)), alive)


def _patients(course: Course) -> int:
    return next(iter(course.paths.values())).shape[1]


def _record(model: Model, outcome: str) -> AbstractRecord:
    part = model.outcomes[outcome]
    assert isinstance(part, AbstractRecord)
    return part


def _looks(model: Model, endpoint: Endpoint) -> Sequence[float]:
    """When it is decided whether an endpoint can be met."""
    return _record(model, endpoint.outcome).recorded_at if endpoint.time is None else (endpoint.time,)


def _recorded(part: AbstractRecord, course: Course, axis: Axis) -> Array:
    """Log probabilities of the categories of an axis, by each time of recording."""
    if axis.members == ((),):
        return part.log_recorded(course)
    members = [[part.kinds.index(kind) + 1 for kind in kinds or part.whole] for kinds in axis.members]
    told = [kind for member in members for kind in member]
    if len(set(told)) < len(told):
        rule = f"must exclude each other where they are of one outcome, {axis.outcome}"
        raise fail("endpoints", rule, axis.members)
    return merged(part.log_kinds(course), members)


def _hazard_steps(model: Model, course: Course, cuts: Sequence[float], patients: int) -> Array:
    """What the hazard adds between the cuts; nothing where the model has no survival."""
    for name, part in model.outcomes.items():
        if isinstance(part, AbstractSurvival):
            steps = part.hazard_steps(own_course(course, name))
            rows = jnp.searchsorted(jnp.asarray(course.edges), jnp.asarray(cuts) - 1e-9)
            place = jnp.arange(len(steps))[None]
            between = (place >= rows[:-1, None]) & (place < rows[1:, None])
            return jnp.broadcast_to(jnp.where(between, 1.0, 0.0) @ steps, (len(cuts) - 1, patients))
    return jnp.zeros((len(cuts) - 1, patients))


def survives(model: Model) -> bool:
    """Whether a model says how long patients live."""
    return any(isinstance(part, AbstractSurvival) for part in model.outcomes.values())


def log_table(model: Model, course: Course, endpoints: Sequence[Endpoint]) -> Float[Array, "*axes"]:
    """Joint log probabilities of the endpoints of a randomly drawn patient; its axes are `axes_of` them."""
    return joint_table(*lives_and_events(model, course, endpoints))


def probabilities(
    model: Model, course: Course, endpoints: Sequence[Endpoint]
) -> dict[str, Float[Array, " patients"]]:
    """Each patient's probability of each endpoint."""
    found = {}
    for endpoint in endpoints:
        lives, (event,) = lives_and_events(model, course, [endpoint])
        found[label(model, endpoint)] = jnp.sum(jnp.exp(lives + event[1]), axis=0)
    return found


def endpoint_of(model: Model, name: str) -> Endpoint:
    """The endpoint that a name of tables stands for: an outcome, some of its kinds, or `alive(90 d)`.

    Raises `InputError` where the model has none of that name.
    """
    known = {label(model, endpoint): endpoint for endpoint in model_endpoints(model)}
    when = re.fullmatch(r"alive\(\s*(.+?)\s*\)", name)
    if when and survives(model):
        return Endpoint("alive", hours(when[1]) * model.units.day / 24.0)
    if name in known:
        return known[name]
    kinds = tuple(name.split("+"))
    owner = next((e.outcome for e in known.values() if e.kinds == kinds[:1]), "")
    part = model.outcomes.get(owner)
    if isinstance(part, AbstractRecord) and set(kinds) <= set(part.kinds):
        return Endpoint(owner, kinds=kinds)
    raise fail("outcome", "must be an outcome of the model", name, did_you_mean(name, outcome_names(model)))


def outcome_names(model: Model) -> list[str]:
    """What can be asked of a model's outcomes."""
    names = [label(model, endpoint) for endpoint in model_endpoints(model)]
    return [*names, *(["alive(365 d)"] if survives(model) else [])]


def label(model: Model, endpoint: Endpoint) -> str:
    """The endpoint's name in tables, for instance `alive(365 d)` or `cr+pr+sd`."""
    if endpoint.time is not None:
        return f"{endpoint.outcome}({endpoint.time / model.units.day:g} d)"
    part = model.outcomes.get(endpoint.outcome)
    whole = isinstance(part, AbstractRecord) and {*endpoint.kinds} == {*part.whole}
    return endpoint.outcome if whole else "+".join(endpoint.kinds) or endpoint.outcome
