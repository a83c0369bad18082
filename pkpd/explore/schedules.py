"""What schedules do under a posterior: outcomes of virtual patients, exposures of the typical one."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events, aligned
from pkpd.endpoints import endpoint_of, label, survives
from pkpd.explore.chances import Chances
from pkpd.exposures import exposure
from pkpd.infer.problem import Problem
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.records.evidence import bound
from pkpd.response import AbstractRecord
from pkpd.response.joint import Endpoint

Say = Callable[[str, float], None]
METRICS = ("auc", "cmax")
YEAR = 365.0
_NAME = re.compile(r"[^\s=,;][^=,;]{0,39}")


class Schedule(NamedTuple):
    """A regimen under a name, and its doses in the model's units."""

    name: str
    regimen: Regimen
    events: Events


def read_schedules(
    model: Model, texts: Mapping[str, str], named: Mapping[str, str], findings: Findings
) -> list[Schedule]:
    """Schedules of regimens as text or by a name that the question gives; faults go to `findings`."""
    found = []
    for name, text in texts.items():
        place = f"regimen {name}"
        if not _NAME.fullmatch(name):
            findings.add(place, "must be named in at most 40 characters without = , or ;", name)
        if " " not in text.strip() and text.strip() not in ("none", *named):
            rule = "must be a regimen, or the name of one of the fit's"
            findings.add(place, rule, text, did_you_mean(text, named))
            continue
        told = named.get(text.strip(), text)
        if (events := bound(model, place, told, findings)) is not None:
            found.append(Schedule(name, Regimen.parse(told), events))
    return found


def read_outcomes(model: Model, names: Sequence[str], findings: Findings) -> list[Endpoint]:
    """Outcomes by name; by default each that is recorded, and to be alive at one year."""
    if not names:
        recorded = [name for name, part in model.outcomes.items() if isinstance(part, AbstractRecord)]
        names = [*recorded, *([f"alive({YEAR:g} d)"] if survives(model) else [])]
    found = []
    for name in names:
        try:
            found.append(endpoint_of(model, name))
        except InputError as error:
            findings.adopt(error)
    return found


def check_horizon(
    problem: Problem, schedules: Sequence[Schedule], endpoints: Sequence[Endpoint], findings: Findings
) -> None:
    """Doses after the last time at which an outcome looks at patients are faults: they change nothing."""
    looks = [e.time for e in endpoints if e.time is not None]
    looks += [t for e in endpoints if e.time is None for t in problem.model.outcomes[e.outcome].times]
    horizon = problem.origin + max(looks, default=np.inf)
    for schedule in schedules:
        last = max(schedule.events.nominal, default=0.0)
        if last > horizon:
            rule = (
                f"must not give doses after {horizon:g} {problem.model.units.time}, the last outcome's time"
            )
            hint = "Ask for a later outcome, such as alive(2000 d)."
            findings.add(f"regimen {schedule.name}", rule, f"{last:g}", hint)


def outcomes_along(
    problem: Problem,
    schedules: Sequence[Schedule],
    endpoints: Sequence[Endpoint],
    draws: Float[np.ndarray, "draws params"],
    *,
    seed: int | None = None,
    say: Say | None = None,
) -> Float[np.ndarray, "draws schedules outcomes"]:
    """Probabilities of outcomes of a randomly drawn patient, under each draw and schedule.

    All schedules have the same patients and draws, so that differences are paired; studies as in `Chances`.
    """
    chances, found = Chances(problem, draws, endpoints, seed), []
    chances.foresee([s.events for s in schedules])
    for k, schedule in enumerate(schedules):
        if say:
            say(schedule.name, k / len(schedules))
        found.append(chances.values([schedule.events])[0])
    return np.stack(found, axis=1)


def names_of(model: Model, endpoints: Sequence[Endpoint]) -> list[str]:
    """Outcomes by name."""
    return [label(model, endpoint) for endpoint in endpoints]


class Exposed(NamedTuple):
    """A metric of a drug's concentration over the course, of the typical patient, and its unit."""

    values: Float[np.ndarray, "draws schedules"]
    unit: str


def exposures_along(
    problem: Problem, courses: Sequence[Events], draws: Float[np.ndarray, "draws params"]
) -> dict[str, dict[str, Exposed]]:
    """`auc` and `cmax` over the whole course, by drug, where any of the courses gives it."""
    if not any(len(events) for events in courses):
        return {}
    end = max(events.end for events in courses)
    same = aligned([dataclasses.replace(events, end=end) for events in courses])
    count, times = len(draws), len(courses)
    values = jax.vmap(problem.values)(jnp.asarray(draws))
    crowd = {path: jnp.repeat(v, times) for path, v in values.items() if path in problem.model.declared}
    doses = dataclasses.replace(
        same[0],
        amount=jnp.tile(jnp.stack([e.amount for e in same], axis=1), count),
        given=jnp.tile(jnp.stack([jnp.asarray(e.given) for e in same], axis=1), count),
    )
    model, people, found = problem.model.replace(crowd), Patients({}, count * times), {}
    last = end + 7.0 * model.units.day
    for drug in sorted({drug for drug, _ in doses.route}):
        told = exposure(model, doses, f"{drug}.central", people, quantities=METRICS, edges=[0.0, last])
        units = dict(told.units)
        found[drug] = {q: Exposed(np.asarray(told.total[q]).reshape(count, times), units[q]) for q in METRICS}
    return found
