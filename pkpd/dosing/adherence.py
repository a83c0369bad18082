"""Doses that patients miss, take late or take no more: patterns, drawn once, weighted when habits change."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float

from pkpd.checks import Findings, did_you_mean, fail
from pkpd.dosing.events import Events
from pkpd.parameters import Scalar

LONGEST = 5.0  # times the mean delay: the exponential is cut off there
BEFORE_NEXT = 0.9  # of the time to the next dose of the drug, by which a late one has been taken
_LEAVES, _TAKES, _DELAYS = 0, 1, 2

ByDrug = Scalar | Mapping[str, Scalar]


class Habit(NamedTuple):
    """How the doses of one drug are taken, as in `Adherence`."""

    taken: Scalar
    after_missed: Scalar
    late: Scalar


class Adherence(eqx.Module):
    """How patients take the doses of a plan.

    The next dose of a drug is taken with the probability `taken` after one that was taken, and `after_missed`
    after one that was missed (by default the same: independent doses); the first counts as after one taken.
    A dose taken is late by an exponential time of the mean `late`, cut off at five times that and shortly
    before the next dose of the drug. With the hazard `dropout`, from the first dose of the plan on, a patient
    leaves and takes nothing more. Times are in the model's unit. All but `dropout` may be stated by drug;
    a drug that is not named is then taken as planned.

    References: Girard P, et al. Stat Med 1998;17:2313-2333,
    doi 10.1002/(SICI)1097-0258(19981030)17:20<2313::AID-SIM935>3.0.CO;2-P.
    """

    taken: ByDrug = 1.0
    after_missed: ByDrug | None = None
    late: ByDrug = 0.0
    dropout: Scalar = 0.0

    def of(self, drug: str) -> Habit:
        """The habit of one drug."""
        taken = _own(self.taken, drug, 1.0)
        after = taken if self.after_missed is None else _own(self.after_missed, drug, taken)
        return Habit(taken, after, _own(self.late, drug, 0.0))


class Patterns(eqx.Module):
    """What each patient does with the doses `planned`, drawn under the adherence `drawn`.

    `taken` and `before` [doses, patients] tell whether a dose is taken and whether that of the same drug
    before it was, as long as the patient has not `left` [patients]; `quantile` [doses, patients] is by how
    many mean delays it is late and `room` [doses] how late it may be.
    """

    planned: Events
    drawn: Adherence
    taken: Bool[Array, "doses patients"]
    before: Bool[Array, "doses patients"]
    quantile: Float[Array, "doses patients"]
    left: Float[Array, " patients"]
    room: Float[np.ndarray, " doses"]
    latest: float = eqx.field(static=True)

    @property
    def counted(self) -> Bool[Array, "doses patients"]:
        """Doses of the plan before a patient leaves."""
        return _planned(self.planned) & (_times(self.planned)[:, None] < self.left)

    def events(self, adherence: Adherence | None = None) -> Events:
        """The doses that are given, late by what the adherence (default: the one drawn) says.

        Raises `InputError` where doses are to be late and those drawn were not.
        """
        given = self.taken & self.counted
        amount = jnp.where(given, _columns(self.planned.amount), 0.0)
        found = dataclasses.replace(self.planned, amount=amount, given=given)
        habits = self.drawn if adherence is None else adherence
        if not self.latest:
            if any(not _is(habits.of(drug).late, 0.0) for drug, _ in self.planned.route):
                raise fail("late", "must be 0 where the patterns were drawn with doses on time")
            return found
        mean = _by_dose(self.planned, habits, "late")
        delay = jnp.minimum(mean * self.quantile, self.room[:, None])
        time = _columns(self.planned.time) + delay
        return dataclasses.replace(found, time=time, late=self.planned.late + self.latest)

    def weight(self, adherence: Adherence) -> Float[Array, " patients"]:
        """How much likelier each patient's pattern is than under the adherence drawn: `P / P_drawn`.

        1 where the two are the same; its slope is then the score of the pattern. So the mean of a weight
        times an outcome is the expectation under any adherence near the one drawn, and its slope that of the
        expectation, whether doses are few or many. What is certain under the adherence drawn (a probability
        of 0 or 1, no drop-out) says nothing of others: there the slope is not that of the expectation.
        """
        ratio = self._likely(adherence) / self._likely(self.drawn)
        stays, stayed = adherence.dropout, self.drawn.dropout
        first, last = _span(self.planned)
        leaves = self.left < last
        rate = jnp.where(leaves, stays / jnp.where(leaves, stayed, 1.0), 1.0)
        return (
            jnp.prod(ratio, axis=0)
            * rate
            * jnp.exp((stayed - stays) * (jnp.minimum(self.left, last) - first))
        )

    def mean(self, values: Float[Array, " patients"], adherence: Adherence) -> Float[Array, ""]:
        """The expectation of an outcome of patients [patients] under an adherence near the one drawn.

        `mean(w (y - b)) + b` with the weights `w` and `b` the mean of `y`, which takes most of the noise off
        its slope.
        """
        centre = jnp.mean(values)
        return jnp.mean(self.weight(adherence) * (values - centre)) + centre

    def _likely(self, adherence: Adherence) -> Array:
        """Probability of what happened with each dose, given the one before [doses, patients]."""
        after_taken, after_missed = (
            _by_dose(self.planned, adherence, name) for name in ("taken", "after_missed")
        )
        chance = jnp.where(self.before, after_taken, after_missed)
        return jnp.where(self.counted, jnp.where(self.taken, chance, 1.0 - chance), 1.0)


def draw_patterns(events: Events, adherence: Adherence, patients: int, seed: int = 0) -> Patterns:
    """Patterns of so many patients under an adherence.

    The same seed gives the nth dose of a drug the same luck in each patient, whatever the plan and the
    adherence (common random numbers). Raises `InputError` with all faults of the adherence: probabilities
    outside 0 to 1, negative times or hazards, drugs that are not given.
    """
    _check(events, adherence, patients, seed)
    adherence = jax.tree.map(stop_gradient, adherence)
    key = jax.random.key(seed)
    shape = len(events), patients
    taken, before, quantile = jnp.ones(shape, bool), jnp.ones(shape, bool), jnp.zeros(shape)
    room, latest = np.full(len(events), np.inf), 0.0
    for drug, doses in _by_drug(events).items():
        own, habit = jax.random.fold_in(key, crc32(drug.encode())), adherence.of(drug)
        told, was = _chain(habit, _luck(own, _TAKES, len(doses), patients), _planned(events)[doses])
        taken, before = taken.at[doses].set(told), before.at[doses].set(was)
        chance = _luck(own, _DELAYS, len(doses), patients)
        quantile = quantile.at[doses].set(-jnp.log1p(chance * np.expm1(-LONGEST)))
        room[doses] = BEFORE_NEXT * _gaps(np.array(events.nominal)[doses])
        latest = max(latest, float(np.minimum(room[doses], LONGEST * float(habit.late)).max()))
    first, last = _span(events)
    leaves = jnp.asarray(adherence.dropout) > 0.0
    chance = jax.random.uniform(jax.random.fold_in(key, _LEAVES), (patients,), minval=1e-12)
    left = first - jnp.log(chance) / jnp.where(leaves, adherence.dropout, 1.0)
    left = jnp.where(leaves & (left < last), left, jnp.inf)
    return Patterns(events, adherence, taken, before, quantile, left, room, latest)


def chances(events: Events, adherence: Adherence) -> Float[Array, " doses"]:
    """The probability that each dose of a plan is given to a patient who lives.

    Exact: `q' = q taken + (1 - q) after_missed` from dose to dose of a drug, `q = 1` before the first, times
    the probability not to have dropped out. Raises `InputError` unless the plan gives all the same doses.
    """
    if events.given is not None and events.given.ndim == 2:
        raise fail("events", "must be a plan that gives all patients the same doses")
    found = jnp.zeros(len(events))
    for drug, doses in _by_drug(events).items():
        habit, planned = adherence.of(drug), _planned(events)[doses, 0]

        def step(chance: Array, planned: Array, habit: Habit = habit) -> tuple[Array, Array]:
            new = chance * habit.taken + (1.0 - chance) * habit.after_missed
            return jnp.where(planned, new, chance), jnp.where(planned, new, 0.0)

        found = found.at[doses].set(jax.lax.scan(step, jnp.ones(()), planned)[1])
    return found * jnp.exp(-adherence.dropout * (_times(events) - _span(events)[0]))


def _chain(habit: Habit, luck: Array, planned: Array) -> tuple[Array, Array]:
    """Which doses of a drug are taken, and whether the one before each was [doses, patients]."""

    def step(before: Array, x: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        luck, planned = x
        taken = luck < jnp.where(before, habit.taken, habit.after_missed)
        return jnp.where(planned, taken, before), (taken, before)

    first = jnp.ones(luck.shape[1], bool)
    return jax.lax.scan(step, first, (luck, jnp.broadcast_to(planned, luck.shape)))[1]


def _luck(key: Array, use: int, doses: int, patients: int) -> Float[Array, "doses patients"]:
    """Uniform numbers of the first, second ... dose."""
    own = jax.random.fold_in(key, use)
    keys = jax.vmap(lambda n: jax.random.fold_in(own, n))(jnp.arange(doses))
    return jax.vmap(lambda k: jax.random.uniform(k, (patients,)))(keys)


def _gaps(times: np.ndarray) -> np.ndarray:
    """Time to the next dose; that of the last dose as before it, without end where there is one time only."""
    distinct = np.unique(times)
    if len(distinct) < 2:
        return np.full(len(times), np.inf)
    gaps = np.append(np.diff(distinct), distinct[-1] - distinct[-2])
    return gaps[np.searchsorted(distinct, times)]


def _by_drug(events: Events) -> dict[str, np.ndarray]:
    """Places of the doses of each drug, in time order."""
    order = np.argsort(np.array(events.nominal), kind="stable")
    names = [drug for drug, _ in events.route]
    return {drug: np.array([i for i in order if names[i] == drug]) for drug in dict.fromkeys(names)}


def _by_dose(events: Events, adherence: Adherence, name: str) -> Float[Array, "doses 1"]:
    each = [getattr(adherence.of(drug), name) for drug, _ in events.route]
    return jnp.asarray(each, float).reshape(-1, 1)


def _own(value: ByDrug, drug: str, default: Scalar) -> Scalar:
    return value.get(drug, default) if isinstance(value, Mapping) else value


def _columns(v: Array) -> Array:
    return v if v.ndim == 2 else v[:, None]


def _planned(events: Events) -> Array:
    """Which doses the plan gives [doses, patients or 1]."""
    return jnp.ones((len(events), 1), bool) if events.given is None else _columns(events.given)


def _times(events: Events) -> Array:
    return jnp.asarray(events.nominal, float)


def _span(events: Events) -> tuple[float, float]:
    """The first and the last dose of the plan."""
    return (min(events.nominal), max(events.nominal)) if len(events) else (0.0, 0.0)


def _is(value: Scalar, number: float) -> bool:
    """Whether it is this number, and that is known before a program runs."""
    try:
        return float(value) == number
    except jax.errors.ConcretizationTypeError:
        return False


def _check(events: Events, adherence: Adherence, patients: int, seed: int) -> None:
    findings, drugs = Findings(), {drug for drug, _ in events.route}
    if patients < 1:
        findings.add("patients", "must be at least 1", patients)
    if seed < 0:
        findings.add("seed", "must not be negative", seed)
    for name in ("taken", "after_missed", "late", "dropout"):
        value = getattr(adherence, name)
        for drug, number in (value if isinstance(value, Mapping) else {"": value}).items():
            place = f"{name}.{drug}" if drug else name
            if drug and drug not in drugs:
                findings.add(place, "must be of a drug that is given", drug, did_you_mean(drug, drugs))
            _check_number(place, name, number, findings)
    findings.raise_if_any()


def _check_number(place: str, name: str, number: Scalar | None, findings: Findings) -> None:
    try:
        value = 1.0 if number is None else float(number)
    except jax.errors.ConcretizationTypeError:
        if name == "late":
            findings.add(
                place, "must be a number where patterns are drawn, because it lays out a solver's grid"
            )
        return
    if name in ("taken", "after_missed") and not 0.0 <= value <= 1.0:
        findings.add(place, "must lie between 0 and 1", value)
    elif not 0.0 <= value < np.inf:
        findings.add(place, "must be a finite number that is not negative", value)
