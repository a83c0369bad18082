"""Doses that depend on the patient: rules that a clinic follows at its visits, and what is then given."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import Findings, did_you_mean
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.endpoints import own_course
from pkpd.individuals import individualise
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.population import Patients, typical_patient
from pkpd.response import AbstractSurvival
from pkpd.simulation import bind, chosen_solver, courses, simulate
from pkpd.solve import AbstractSolver

RELATIVE = ("", "start", "lowest")
UNTIL = ("next visit", "end")


class Rule(eqx.Module):
    """Doses of some `drugs` (default: all) are given by a `factor`, 0 for held, from a visit on at which an
    `output` is at or `above` a limit, or at or `below` one.

    The limit is in the model's unit of the output; or it is a multiple of the output at the `start`, time 0,
    or of the `lowest` of the start and all visits so far, this one included. Doses at the visit itself are
    already changed, `until` the `next visit`, where the rule is asked again, or for good (`end`). Where
    several rules are met the smallest factor counts. With a `width`, in the unit of the limit, the rule is
    met by a share that rises smoothly around the limit, so that there is a slope in what the output depends
    on.
    """

    output: str = eqx.field(static=True)
    above: Scalar | None = None
    below: Scalar | None = None
    relative: str = eqx.field(static=True, default="")
    factor: Scalar = 0.0
    until: str = eqx.field(static=True, default="next visit")
    drugs: tuple[str, ...] = eqx.field(static=True, default=())
    width: float = eqx.field(static=True, default=0.0)

    def met(self, path: Float[Array, "looks patients"]) -> Float[Array, " patients"]:
        """By what share the rule is met, from the output at the start and all visits so far."""
        bases = {"": jnp.ones_like(path[0]), "start": path[0], "lowest": jnp.min(path, axis=0)}
        value = path[-1] / bases[self.relative]
        excess = value - self.above if self.above is not None else self.limit - value
        return jax.nn.sigmoid(excess / self.width) if self.width else jnp.where(excess >= 0.0, 1.0, 0.0)

    @property
    def limit(self) -> Scalar:
        """The number that the output is compared with."""
        return next(v for v in (self.above, self.below, jnp.nan) if v is not None)

    def concerns(self, drug: str) -> bool:
        """Whether the rule is about a drug."""
        return not self.drugs or drug in self.drugs


class Followed(eqx.Module):
    """The doses that patients get under rules, and the factors [visits, drugs, patients] from each visit on.

    `events` go wherever a regimen goes.
    """

    events: Events
    factor: Float[Array, "visits drugs patients"]
    visits: tuple[float, ...] = eqx.field(static=True)
    drugs: tuple[str, ...] = eqx.field(static=True)

    def shares(self, alive: Float[Array, "visits patients"] | None = None) -> dict[str, Array]:
        """The share of patients, or of those `alive`, whose doses are `held`, `reduced` [visits, drugs]."""
        weight = jnp.ones(self.factor.shape[::2]) if alive is None else alive
        weight = weight[:, None] / weight.sum(axis=1)[:, None, None]
        cases = {"held": self.factor == 0.0, "reduced": (self.factor > 0.0) & (self.factor < 1.0)}
        return {name: jnp.sum(jnp.where(v, weight, 0.0), axis=2) for name, v in cases.items()}


class Given(eqx.Module):
    """What a patient may expect to get: the number of `doses` and the `amount` of each drug, in the model's
    unit, each dose counted by the probability to be `alive` when the plan has it.
    """

    doses: dict[str, Float[Array, " patients"]]
    amount: dict[str, Float[Array, " patients"]]
    alive: Float[Array, "doses patients"]


def follow(
    model: Model,
    regimen: Regimen | Events | str,
    rules: Sequence[Rule],
    visits: Sequence[float],
    patients: Patients | None = None,
    *,
    solver: AbstractSolver | None = None,
) -> Followed:
    """The doses that patients (default: the typical one) get when a clinic follows rules.

    At each of the `visits`, in the model's unit of time, the course so far decides the doses from then on: as
    many simulations as visits, all by one program. Rules act on every patient as if he lived: what he would
    get after his death changes none of his outcomes, and `given` counts doses by the probability to live.
    Pure JAX in parameters and schedule: with rules that have no `width` the slope is that of each patient's
    own doses, right where nobody stands at a limit.
    Raises `InputError` with all faults: an output that the model has not, a drug that is not given, a visit
    after the last dose, rules that contradict each other.
    """
    patients = patients or typical_patient()
    events = regimen if isinstance(regimen, Events) else bind(model, regimen, patients.covariates)
    drugs = tuple(dict.fromkeys(drug for drug, _ in events.route))
    visits = tuple(map(float, visits))
    check_rules(model, events, rules, visits)
    outputs = sorted({rule.output for rule in rules})
    place = np.array([drugs.index(drug) for drug, _ in events.route])
    nominal = np.array(events.nominal)
    lasting = jnp.array([rule.until == "end" for rule in rules])[:, None]
    share = jnp.zeros((len(rules), patients.count))
    multiple = jnp.ones((len(events), patients.count))
    found = []
    for k, visit in enumerate(visits):
        current = _multiplied(events, multiple)
        looks = (0.0, *visits)
        seen = simulate(
            model, current, looks, patients, outputs=outputs, solver=solver, outcomes=False
        ).outputs
        if not k:
            _check_start(rules, seen)
        met = jnp.stack([rule.met(seen[rule.output][: k + 2]) for rule in rules])
        share = jnp.where(lasting, jnp.maximum(share, met), met)
        found.append(jnp.stack([_factor(rules, share, drug) for drug in drugs]))
        multiple = jnp.where((nominal >= visit)[:, None], found[-1][place], multiple)
    return Followed(_multiplied(events, multiple), jnp.stack(found), visits, drugs)


def given(
    model: Model,
    events: Events,
    patients: Patients | None = None,
    *,
    origin: float = 0.0,
    solver: AbstractSolver | None = None,
) -> Given:
    """What patients (default: the typical one) may expect to get of the doses of a course.

    A dose that is not given or has no amount does not count, one after death counts by the probability to be
    alive then: survival from the `origin` on, where the model has one, under these very doses.
    """
    patients = patients or typical_patient()
    alive = alive_at(model, events, patients, events.nominal, origin=origin, solver=solver)
    amount = jnp.broadcast_to(_columns(events.amount), alive.shape)
    none = amount == 0.0 if events.given is None else (amount == 0.0) | ~_columns(events.given)
    names = np.array([drug for drug, _ in events.route])
    each = {drug: jnp.asarray(names == drug)[:, None] for drug in dict.fromkeys(names.tolist())}
    taken, got = jnp.where(none, 0.0, alive), jnp.where(none, 0.0, alive * amount)
    return Given(
        {drug: jnp.where(mine, taken, 0.0).sum(0) for drug, mine in each.items()},
        {drug: jnp.where(mine, got, 0.0).sum(0) for drug, mine in each.items()},
        alive,
    )


def alive_at(
    model: Model,
    events: Events,
    patients: Patients,
    times: Sequence[float],
    *,
    origin: float = 0.0,
    solver: AbstractSolver | None = None,
) -> Float[Array, "times patients"]:
    """Each patient's probability to be alive at some times; 1 before the origin and without survival."""
    solver = solver or chosen_solver(model, patients)
    times = tuple(map(float, times))
    if max(times, default=origin) <= origin or not _survival(model):
        return jnp.ones((len(times), patients.count))
    return _alive(model, events, patients, times, origin, solver, solver.by_plan and events.fixed)


@eqx.filter_jit
def _alive(
    model: Model,
    events: Events,
    patients: Patients,
    times: tuple[float, ...],
    origin: float,
    solver: AbstractSolver,
    plain: bool,
) -> Array:
    own, events = individualise(model, patients), events.planned() if plain else events
    since = np.maximum(np.array(times) - origin, 0.0)
    course = courses(own, events, patients.count, origin, sorted({*since.tolist()}), solver)
    name, part = next(iter(_survival(own).items()))
    hazard = part.cumulative_hazard(own_course(course, name))
    rows = np.searchsorted(course.edges, since - 1e-9 * course.block)
    return jnp.exp(-jnp.broadcast_to(hazard, (len(hazard), patients.count))[rows])


def _survival(model: Model) -> Mapping[str, AbstractSurvival]:
    return {name: part for name, part in model.outcomes.items() if isinstance(part, AbstractSurvival)}


def _multiplied(events: Events, multiple: Float[Array, "doses patients"]) -> Events:
    """The doses times a factor of each patient's own; one of no amount is not given."""
    planned = jnp.ones((len(events), 1), bool) if events.given is None else _columns(events.given)
    return dataclasses.replace(
        events, amount=_columns(events.amount) * multiple, given=planned & (multiple > 0.0)
    )


def _factor(rules: Sequence[Rule], share: Float[Array, "rules patients"], drug: str) -> Array:
    """The smallest factor of the rules about a drug."""
    mine = [1.0 - (1.0 - rule.factor) * share[i] for i, rule in enumerate(rules) if rule.concerns(drug)]
    return jnp.min(jnp.stack([jnp.ones(share.shape[1]), *mine]), axis=0)


def _columns(v: Array) -> Array:
    return v if v.ndim == 2 else v[:, None]


def check_rules(model: Model, events: Events, rules: Sequence[Rule], visits: Sequence[float]) -> None:
    """Raises `InputError` with every fault of rules and visits, as `follow` does."""
    findings, drugs = Findings(), tuple(dict.fromkeys(drug for drug, _ in events.route))
    if not rules:
        findings.add("rules", "must be at least one")
    if not drugs:
        findings.add("regimen", "must give something where rules are followed")
    for i, rule in enumerate(rules, 1):
        _check_rule(f"rule {i}", rule, model, drugs, findings)
    _check_visits(visits, max(events.nominal, default=0.0), model, findings)
    for (i, rule), (j, other) in permutations(enumerate(rules, 1), 2):
        both = _idle(rule, other) and _idle(other, rule)
        if _idle(rule, other) and (i > j or not both):
            hint = "A rule on the same must be stricter where its limit is further out."
            findings.add(
                f"rule {i}", f"must not contradict rule {j}, which leaves it nothing to do", hint=hint
            )
    findings.raise_if_any()


def _check_rule(place: str, rule: Rule, model: Model, drugs: Sequence[str], findings: Findings) -> None:
    if rule.output not in model.outputs:
        hint = did_you_mean(rule.output, model.outputs)
        findings.add(f"{place}.output", "must be an output of the model", rule.output, hint)
    if (rule.above is None) == (rule.below is None):
        findings.add(place, "must have either `above` or `below`")
    for drug in (drug for drug in rule.drugs if drug not in drugs):
        findings.add(f"{place}.drugs", "must be given", drug, did_you_mean(drug, drugs))
    for name, options in (("relative", RELATIVE), ("until", UNTIL)):
        if getattr(rule, name) not in options:
            known = ", ".join(f'"{option}"' for option in options if option)
            findings.add(f"{place}.{name}", f"must be one of {known}", getattr(rule, name))
    if not _number(rule.factor, 0.0) >= 0.0 or not _number(rule.factor, 0.0) < 1.0:
        findings.add(f"{place}.factor", "must be at least 0 (held) and below 1", _number(rule.factor))
    if not 0.0 <= rule.width < np.inf:
        findings.add(f"{place}.width", "must be a finite number that is not negative", rule.width)


def _check_visits(visits: Sequence[float], last: float, model: Model, findings: Findings) -> None:
    unit = model.units.time
    if not visits:
        findings.add("visits", "must be at least one")
    if any(b <= a for a, b in pairwise(visits)):
        findings.add("visits", "must ascend", list(visits))
    for visit in visits:
        if not 0.0 <= visit <= last + 1e-9 * model.units.day:
            rule = f"must lie within the course: from 0 to the last dose, {last:g} {unit}"
            findings.add("visits", rule, visit)


def _check_start(rules: Sequence[Rule], seen: Mapping[str, Array]) -> None:
    """Nothing is a multiple of zero."""
    findings = Findings()
    for i, rule in enumerate(rules, 1):
        if rule.relative and not _number(seen[rule.output][0].min(), 1.0) > 0.0:
            told = f"must not be relative: {rule.output} is not positive at the start"
            findings.add(f"rule {i}.relative", told, rule.relative)
    findings.raise_if_any()


def _idle(rule: Rule, other: Rule) -> bool:
    """Whether another rule is met whenever this one is, and then allows no more for as long."""
    sides = [(r.output, r.relative, r.above is None) for r in (rule, other)]
    own, wide = _number(rule.limit), _number(other.limit)
    covered = not other.drugs or (rule.drugs and {*rule.drugs} <= {*other.drugs})
    contained = wide <= own if rule.above is not None else wide >= own
    lasts = other.until == "end" or rule.until == "next visit"
    no_more = _number(other.factor) <= _number(rule.factor)
    return bool(sides[0] == sides[1] and covered and contained and lasts and no_more)


def _number(value: Scalar, traced: float = np.nan) -> float:
    """The number, or what stands for it where it is traced."""
    try:
        return float(value)
    except jax.errors.ConcretizationTypeError:
        return traced
