"""Candidate trials: what they may observe under each draw of a posterior."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from pkpd.devices import in_threads, usable_cores
from pkpd.dosing.events import Events
from pkpd.endpoints import log_table
from pkpd.explore.information import Outlook, gaussian_gain
from pkpd.infer.arm import Arm
from pkpd.infer.predict import extended, typical, with_arms
from pkpd.infer.problem import Problem, compiled
from pkpd.likelihood.distribution import all_counts, chances, counted, covariances, some_counts
from pkpd.response.joint import Endpoint

Say = Callable[[str, float], None]
Endpoints = tuple[Endpoint, ...]
Tables = Float[np.ndarray, "draws deviations *axes"]

STUDY = "a new study"
SUMMED = 8_000  # combinations of counts that are summed over; of more, some are drawn
HELD = 32_000_000  # likelihoods in memory
SAMPLES = 4_000  # data that are drawn
STEP = 1e-3  # of a derivative, on the prior's standard normal scale
NEVER = 1e-14  # data that are less probable than this are left out of sums
_AT_ONCE = 16  # points to a thread between two reports of progress


class TrialArm(NamedTuple):
    """An arm of a trial: its regimen as text, what is counted, of how many patients."""

    regimen: str
    endpoints: Endpoints
    n: int


class Trial(NamedTuple):
    """A candidate: the arms of one new study."""

    name: str
    arms: tuple[TrialArm, ...]

    def of_size(self, n: int) -> "Trial":
        """The same trial with `n` patients in its first arm, the others in proportion."""
        sizes = [max(1, round(arm.n * n / self.arms[0].n)) for arm in self.arms]
        arms = zip(self.arms, sizes, strict=True)
        return Trial(self.name, tuple(arm._replace(n=size) for arm, size in arms))


class Course(NamedTuple):
    """Doses, and each set of endpoints whose joint table is wanted of them."""

    events: Events
    wanted: tuple[Endpoints, ...]

    def as_arm(self, study: str, name: str) -> Arm:
        """An arm that looks at patients whenever one of the endpoints does."""
        endpoints = dict.fromkeys(e for told in self.wanted for e in told)
        return Arm(self.events, study, name, 1, tuple(endpoints), None)


def study_of(problem: Problem, courses: Sequence[Course], study: str) -> Problem:
    """A problem whose arms are those of one study that gives some courses."""
    arms = [course.as_arm(study, f"course {i}") for i, course in enumerate(courses)]
    return with_arms(problem, arms)


def tables_along(
    problem: Problem, courses: Sequence[Course], points: np.ndarray, say: Say | None = None
) -> list[list[np.ndarray]]:
    """Of each course the tables [points, *axes] of each set of endpoints; `problem` is `study_of` them."""

    def tables(problem: Problem, x: Any) -> list[list[Any]]:
        own = zip(courses, *problem.lived(x), strict=True)
        return [[jnp.exp(log_table(model, course, e)) for e in told.wanted] for told, model, course in own]

    program = partial(compiled(problem, tables), problem.patients)
    found: list[Any] = []
    for rows in np.array_split(np.arange(len(points)), -(-len(points) // (usable_cores() * _AT_ONCE))):
        if say:
            say(f"draw {rows[0] + 1} of {len(points)}", rows[0] / len(points))
        found += in_threads(lambda x: program(jnp.asarray(x)), points[rows])
    return [
        [np.stack([np.asarray(row[i][k]) for row in found]) for k in range(len(course.wanted))]
        for i, course in enumerate(courses)
    ]


class Seen(NamedTuple):
    """What the model says of arms, by regimen and endpoints: under the draws, in a new study and in a typical
    one, at the mode, and how chances change there with each parameter, those of the fit before a new study's
    deviations."""

    tables: Mapping[tuple[str, Endpoints], Tables]
    typical: Mapping[tuple[str, Endpoints], Float[np.ndarray, "draws *axes"]]
    at_mode: Mapping[tuple[str, Endpoints], Float[np.ndarray, "one *axes"]]
    slopes: Mapping[tuple[str, Endpoints], Float[np.ndarray, "counts params"]]

    def outlook(self, trial: Trial, seed: int) -> Outlook:
        """The counts that a trial may give; draws of counts are repeatable."""
        return outlook_of([(self.tables[arm.regimen, arm.endpoints], arm.n) for arm in trial.arms], seed)

    def shape(self, arm: TrialArm) -> tuple[int, ...]:
        """The shape of an arm's table."""
        return self.at_mode[arm.regimen, arm.endpoints].shape[1:]

    def expected(self, arm: TrialArm) -> Float[np.ndarray, " counts"]:
        """The probability of what each count counts, over the draws."""
        return chances(_flat(self.tables[arm.regimen, arm.endpoints])).mean(axis=0)

    def linear_gain(self, trial: Trial, covariance: Float[np.ndarray, "params params"]) -> float:
        """The gain were counts normal, and linear in normal parameters of this covariance about the mode."""
        told = [arm for arm in trial.arms if arm.n]
        sizes = [self.slopes[arm.regimen, arm.endpoints].shape[0] for arm in told]
        if not told:
            return 0.0
        slopes = np.concatenate([self.slopes[arm.regimen, arm.endpoints] for arm in told])
        noise, start = np.zeros((len(slopes), len(slopes))), 0
        for arm, size in zip(told, sizes, strict=True):
            place = slice(start, start + size)
            noise[place, place] = covariances(self.at_mode[arm.regimen, arm.endpoints])[0] / arm.n
            start += size
        known = len(covariance)
        deviations = slopes[:, known:]
        return gaussian_gain(slopes[:, :known], noise + deviations @ deviations.T, covariance)


def see(
    problem: Problem,
    courses: Mapping[str, Course],
    draws: Float[np.ndarray, "draws params"],
    mode: Float[np.ndarray, " params"],
    deviations: int,
    seed: int,
    say: Say | None = None,
) -> Seen:
    """What the model says of courses in a new study, of which each draw has several deviations."""
    study = study_of(problem, list(courses.values()), STUDY)
    many = extended(study, np.repeat(draws, deviations, axis=0), seed)
    centre = typical(study, mode)
    steps = STEP * np.eye(len(centre))
    middle = np.stack([typical(study, x) for x in draws]) if deviations > 1 else many[:0]
    points = np.concatenate([many, middle, centre[None], centre + steps, centre - steps])
    found = tables_along(study, list(courses.values()), points, say)
    tables, usual, at_mode, slopes = {}, {}, {}, {}
    for (regimen, course), told in zip(courses.items(), found, strict=True):
        for endpoints, table in zip(course.wanted, told, strict=True):
            key = regimen, endpoints
            new, middling, rest = np.split(table, np.cumsum([len(many), len(middle)]))
            usual[key] = middling if deviations > 1 else new
            tables[key] = new.reshape(len(draws), deviations, *table.shape[1:])
            at_mode[key] = rest[:1]
            up, down = np.split(chances(rest[1:]), 2)
            slopes[key] = ((up - down) / (2.0 * STEP)).T
    return Seen(tables, usual, at_mode, slopes)


def outlook_of(arms: Sequence[tuple[Tables, int]], seed: int) -> Outlook:
    """The counts that arms with these tables and numbers of patients may give.

    All of them where they are few, else some that are drawn: as many from each draw.
    """
    draws, several = arms[0][0].shape[:2]
    size = np.prod([float(n + 1) ** len(counted(table.shape[2:])) for table, n in arms])
    flat = [(_flat(table), n) for table, n in arms]
    if size <= SUMMED and size * draws * several <= HELD:
        found, mass = _all(flat)
        return Outlook(found.reshape(draws, several, -1), mass)
    repeats = -(-SAMPLES // draws)
    source = np.arange(repeats) * several // repeats
    found = _some(flat, (np.arange(draws)[:, None] * several + source).ravel(), seed)
    data = found.shape[1]
    return Outlook(found.reshape(draws, several, data), np.full(data, 1.0 / data), np.tile(source, draws))


def _all(arms: Sequence[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihoods [points, data] and probabilities of all combinations of counts that may be."""
    found = np.ones((len(arms[0][0]), 1))
    for tables, n in arms:
        each = all_counts(tables, n).reshape(len(tables), 1, -1)
        found = (found[:, :, None] * each).reshape(len(tables), -1)
    mass = found.mean(axis=0)
    kept = mass > NEVER
    return np.log(np.maximum(found[:, kept], 1e-300)), mass[kept]


def _some(
    arms: Sequence[tuple[np.ndarray, int]], source: Int[np.ndarray, " data"], seed: int
) -> Float[np.ndarray, "points data"]:
    """Log likelihoods of counts that are drawn from some of the points."""
    points = len(arms[0][0])
    total = np.zeros((points, len(source)))
    for place, (tables, n) in enumerate(arms):
        counts = _drawn(tables[source], n, np.random.default_rng([seed, place]))
        parts = np.array_split(tables, min(points, 4 * usable_cores()))
        chunks = in_threads(lambda part, n=n, y=counts: some_counts(part, n, y), parts, ready=True)
        total += np.log(np.maximum(np.concatenate(chunks), 1e-300))
    return total


def _drawn(tables: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Counts [points, counts] of n patients from each table."""
    shape = tables.shape[1:]
    cells = tables.reshape(len(tables), -1)
    patients = rng.multinomial(n, cells / cells.sum(axis=1, keepdims=True)).reshape(len(tables), *shape)
    axes = range(len(shape))
    margins = [patients.sum(axis=tuple(1 + k for k in axes if k != axis)) for axis in axes]
    return np.stack([margins[axis][:, category] for axis, category in counted(shape)], axis=1)


def _flat(tables: Tables) -> np.ndarray:
    return tables.reshape(-1, *tables.shape[2:])
