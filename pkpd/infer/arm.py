"""Arms of trials, and which of them one program computes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from pkpd.dosing.events import Events, aligned
from pkpd.likelihood.reports import AbstractReport
from pkpd.population import Patients
from pkpd.response import Course
from pkpd.response.joint import Endpoint

FEW = 1.5  # times the dose times of an arm are those of the arms with which it is computed, at most


class Arm(eqx.Module):
    """One arm: its doses, how many of `n` patients had each endpoint (None: to be predicted), and what it
    reports besides."""

    events: Events
    study: str = eqx.field(static=True)
    name: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    endpoints: tuple[Endpoint, ...] = eqx.field(static=True)
    counts: tuple[int, ...] | None = eqx.field(static=True)
    weight: float = eqx.field(static=True, default=1.0)
    reports: tuple[AbstractReport, ...] = eqx.field(static=True, default=())
    histology: str = eqx.field(static=True, default="")

    @property
    def told(self) -> bool:
        """Whether the arm tells anything that is counted with a weight."""
        return self.weight > 0.0 and (self.counts is not None or bool(self.reports))


def together(arms: Sequence[Arm], asked: Sequence[bool]) -> list[list[int]]:
    """Places of arms that are worth computing as one: their doses end together and fall mostly alike.

    Arms that are `asked` for stay apart from others, which a gradient leaves out.
    """
    groups: list[list[int]] = []
    for place in range(len(arms)):
        for group in groups:
            if asked[place] == asked[group[0]] and _alike([arms[i].events for i in (*group, place)]):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def _alike(courses: Sequence[Events]) -> bool:
    times = [set(course.nominal) for course in courses]
    plain = all(course.fixed and not course.by_patient for course in courses)
    return (
        plain
        and len({course.end for course in courses}) == 1
        and len(set().union(*times)) <= FEW * min(map(len, times))
    )


def side_by_side(values: Sequence[Array], groups: int = 1) -> Array:
    """Values of the patients of some arms [..., patients] as those of one crowd: in each group of patients
    the arms stand one after the other."""
    *rest, count = values[0].shape
    parts = [v.reshape(*rest, groups, count // groups) for v in values]
    return jnp.concatenate(parts, axis=-1).reshape(*rest, len(values) * count)


def apart(values: Array, arms: int, groups: int = 1) -> list[Array]:
    """The values of each arm's patients, from those of one crowd [..., patients]."""
    *rest, count = values.shape
    parts = values.reshape(*rest, groups, arms, count // (groups * arms))
    return [parts[..., i, :].reshape(*rest, count // arms) for i in range(arms)]


def in_one_crowd(
    courses: Callable[[Mapping[str, Array], Patients, Events], Course],
    patients: Patients,
    shifted: Sequence[Mapping[str, Array]],
    events: Sequence[Events],
) -> list[Course]:
    """The courses of the same patients in some arms, which differ in `shifted` parameters and in doses.

    `courses` computes them for one crowd that has the patients of each arm.
    """
    if len(events) == 1:
        return [courses(shifted[0], patients, events[0])]
    arms, count, groups = len(events), patients.count, patients.groups

    def wide(values: Sequence[Array]) -> Array:
        return side_by_side([jnp.broadcast_to(v[..., None], (*v.shape, count)) for v in values], groups)

    crowd = jax.tree.map(lambda v: side_by_side([v] * arms, groups), patients)
    crowd = dataclasses.replace(crowd, count=arms * count)
    same = aligned(events)
    amount, given = [e.amount for e in same], [e.given for e in same if e.given is not None]
    doses = dataclasses.replace(same[0], amount=wide(amount), given=wide(given))
    values = {path: wide([each[path] for each in shifted]) for path in shifted[0]}
    found = courses(values, crowd, doses)
    paths = {port: apart(v, arms, groups) for port, v in found.paths.items()}
    return [dataclasses.replace(found, paths={port: v[i] for port, v in paths.items()}) for i in range(arms)]
