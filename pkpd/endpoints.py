"""What is counted of patients: the endpoints of a model and their joint tables."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.model import Model
from pkpd.response import AbstractRecord, AbstractSurvival, Course
from pkpd.response.joint import (
    Endpoint,
    LogByLife,
    LogLives,
    alive_by_life,
    by_life,
    cuts_of,
    log_lives,
    split,
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
            found += [Endpoint(name), *(Endpoint(name, kind=kind) for kind in part.kinds)]
    return found


def lives_and_events(
    model: Model, course: Course, endpoints: Sequence[Endpoint]
) -> tuple[LogLives, list[LogByLife], tuple[int, ...]]:
    """Lifetimes, and endpoints given the lifetime, in log probability, for individualised patients.

    Endpoints of one outcome make one group, with an axis each; the last result is the place of each
    endpoint among the axes of all groups.
    """
    groups: dict[tuple[str, float | None], list[int]] = {}
    for place, endpoint in enumerate(endpoints):
        groups.setdefault((endpoint.outcome, endpoint.time), []).append(place)
    cuts = cuts_of([t for endpoint in endpoints for t in _looks(model, endpoint)])
    patients = next(iter(course.paths.values())).shape[1]
    lives = log_lives(_hazard_steps(model, course, cuts, patients))
    found = []
    for (outcome, time), places in groups.items():
        if time is not None:
            found.append(alive_by_life(cuts, time, patients))
            continue
        part = _record(model, outcome)
        recorded = _recorded(part, own_course(course, outcome), [endpoints[place].kind for place in places])
        wide = jnp.broadcast_to(recorded, (*recorded.shape[:-1], patients))
        found.append(by_life(cuts, part.recorded_at, wide))
    order = [place for places in groups.values() for place in places]
    return lives, found, tuple(order.index(place) for place in range(len(order)))


def _record(model: Model, outcome: str) -> AbstractRecord:
    part = model.outcomes[outcome]
    assert isinstance(part, AbstractRecord)
    return part


def _looks(model: Model, endpoint: Endpoint) -> Sequence[float]:
    """When it is decided whether an endpoint can be met."""
    return _record(model, endpoint.outcome).recorded_at if endpoint.time is None else (endpoint.time,)


def _recorded(part: AbstractRecord, course: Course, kinds: Sequence[str]) -> Array:
    """Log probabilities of all combinations of endpoints of one outcome, by each time of recording."""
    if list(kinds) == [""]:
        return part.log_recorded(course)
    members = [{part.kinds.index(k) + 1 for k in ((kind,) if kind else part.whole)} for kind in kinds]
    return split(part.log_kinds(course), members)


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


def log_table(model: Model, course: Course, endpoints: Sequence[Endpoint]) -> Float[Array, "*outcomes"]:
    """Joint log probabilities of the endpoints of a randomly drawn patient, shape (2,) * K."""
    lives, groups, order = lives_and_events(model, course, endpoints)
    return jnp.transpose(joint_table(lives, groups), order)


def probabilities(
    model: Model, course: Course, endpoints: Sequence[Endpoint]
) -> dict[str, Float[Array, " patients"]]:
    """Each patient's probability of each endpoint."""
    found = {}
    for endpoint in endpoints:
        lives, (event,), _ = lives_and_events(model, course, [endpoint])
        found[label(model, endpoint)] = jnp.sum(jnp.exp(lives + event[1]), axis=0)
    return found


def label(model: Model, endpoint: Endpoint) -> str:
    """The endpoint's name in tables, for instance `alive(365 d)`."""
    if endpoint.time is None:
        return endpoint.kind or endpoint.outcome
    return f"{endpoint.outcome}({endpoint.time / model.units.day:g} d)"
