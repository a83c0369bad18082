"""Probabilities of outcomes under many schedules and draws, by few compiled programs.

Schedules whose doses fall mostly at the same times share a layout, with a place for each dose of any of them:
what is not given is absent. A program is compiled for a layout, not for a schedule.
"""

import copy
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from pkpd.devices import in_threads, jitted, usable_cores
from pkpd.dosing.events import Events
from pkpd.endpoints import log_table
from pkpd.individuals import individualise
from pkpd.infer.arm import Arm
from pkpd.infer.predict import extended, typical, with_arms
from pkpd.infer.problem import Problem
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.response.joint import Endpoint, marginals
from pkpd.simulation import courses
from pkpd.solve import AbstractSolver

MOST = 1.5  # places of a layout for each dose of the largest schedule in it
CALLS = 4  # to a core, into which the draws of a schedule are cut
STUDY = "another"  # a study of which nothing is known

Slot = tuple[float, float, tuple[str, str], int]


class Slopes(NamedTuple):
    """Probabilities [draws, endpoints], and slopes by the amount of each dose [draws, endpoints, doses]."""

    values: np.ndarray
    slopes: np.ndarray


def slots_of(events: Events) -> list[Slot]:
    """Where each dose stands: time, duration, route, and which such dose it is."""
    seen: Counter[Any] = Counter()
    found = []
    for what in zip(events.nominal, events.lasting, events.route, strict=True):
        found.append((*what, seen[what]))
        seen[what] += 1
    return found


@dataclass
class Layout:
    """Places for the doses of some schedules, which end at `end` at the latest."""

    slots: tuple[Slot, ...]
    end: float
    programs: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def holds(self, slots: Iterable[Slot]) -> bool:
        """Whether there is a place for each dose."""
        return set(slots) <= set(self.slots)

    def events(self, amount: Array, given: Array) -> Events:
        """The doses in their places."""
        time, lasting, route, _ = zip(*self.slots, strict=True) if self.slots else ((),) * 4
        with jax.ensure_compile_time_eval():
            when, long = jnp.asarray(time, float), jnp.asarray(lasting, float)
        return Events(when, amount, long, tuple(route), tuple(lasting), tuple(time), self.end, given)


def layouts_of(courses: Sequence[Events]) -> list[Layout]:
    """Few layouts with places for the doses of all courses, none much larger than a course in it."""
    found: list[tuple[set[Slot], int, float]] = []
    for slots, end in sorted({(tuple(slots_of(c)), c.end) for c in courses}, key=lambda x: -len(x[0])):
        for i, (have, largest, last) in enumerate(found):
            union = have | set(slots)
            if len(union) <= MOST * largest:
                found[i] = union, largest, max(last, end)
                break
        else:
            found.append((set(slots), max(len(slots), 1), end))
    return [Layout(tuple(sorted(have)), end) for have, _, end in found]


def thinned(points: Float[np.ndarray, "draws params"], count: int) -> Float[np.ndarray, "kept params"]:
    """At most `count` evenly spaced points, which may have no entries."""
    kept = min(count, len(points))
    return points[np.arange(kept) * len(points) // kept]


class Chances:
    """Probabilities of endpoints under draws of a posterior, for any schedule of its model.

    `points` [draws, params] are those of the fit; a schedule is given in a typical study or, with a `seed`,
    in one that each draw draws anew, the same for all schedules. Outcomes are averages over the `patients`,
    the same for all schedules and draws.
    """

    def __init__(
        self,
        problem: Problem,
        points: Float[np.ndarray, "draws params"],
        endpoints: Sequence[Endpoint],
        seed: int | None = None,
    ):
        nothing = jnp.zeros(0)
        none = Events(nothing, nothing, nothing, (), (), ())
        self.arm = Arm(none, STUDY, "", 1, tuple(endpoints), None)
        self.fitted, self.seed = problem, seed
        self.problem = with_arms(problem, [self.arm])
        self.points = self._in_problem(points)
        self.size = max(1, math.ceil(len(points) / (CALLS * usable_cores())))
        self.endpoints = tuple(endpoints)
        self.layouts: list[Layout] = []
        self.asked = {"values": 0, "slopes": 0}

    def under(self, points: Float[np.ndarray, "draws params"]) -> "Chances":
        """The same under other draws, with the programs that there are."""
        other = copy.copy(self)
        other.points = self._in_problem(points)
        return other

    def _in_problem(self, points: Float[np.ndarray, "draws params"]) -> np.ndarray:
        if self.seed is not None:
            return extended(self.problem, points, self.seed)
        return np.stack([typical(self.problem, point) for point in points])

    @property
    def draws(self) -> int:
        """How many draws there are."""
        return len(self.points)

    @property
    def patients(self) -> Patients:
        """The virtual patients."""
        return self.problem.patients

    def foresee(self, courses: Sequence[Events]) -> None:
        """Makes layouts for schedules that may be asked for."""
        self.layouts += layouts_of([c for c in courses if self._layout(c) is None])

    def values(self, courses: Sequence[Events]) -> Float[np.ndarray, "schedules draws endpoints"]:
        """Probabilities under some schedules."""
        self.foresee(courses)
        placed = [self._placed(course) for course in courses]
        chunks = self._chunks()
        tasks = [(*where, chunk) for where in placed for chunk in chunks]
        self.asked["values"] += len(courses) * self.draws
        by_layout = dict.fromkeys(id(layout) for layout, *_ in tasks)
        found: list[Any] = [None] * len(tasks)
        for key in by_layout:
            own = [i for i, task in enumerate(tasks) if id(task[0]) == key]
            ready = "values" in tasks[own[0]][0].programs
            done = in_threads(lambda i: self._run("values", *tasks[i]), own, ready)
            for i, one in zip(own, done, strict=True):
                found[i] = np.asarray(one)
        shape = (len(courses), -1, len(self.endpoints))
        return (
            np.concatenate(found).reshape(shape)[:, : self.draws] if found else np.zeros((0, self.draws, 1))
        )

    def slopes(self, course: Events, ends: Sequence[int] | None = None) -> Slopes:
        """Probabilities under a schedule and their slopes by the amount of each dose, of some endpoints."""
        self.foresee([course])
        ends = tuple(range(len(self.endpoints)) if ends is None else ends)
        layout, amount, given, treated = self._placed(course)
        kind = f"slopes {ends}"
        ready = kind in layout.programs
        run = [(layout, amount, given, treated, chunk) for chunk in self._chunks()]
        self.asked["slopes"] += self.draws
        done = in_threads(lambda task: self._run(kind, *task, ends=ends), run, ready)
        places = [layout.slots.index(slot) for slot in slots_of(course)]
        values, slopes = (np.concatenate([np.asarray(one[k]) for one in done])[: self.draws] for k in (0, 1))
        return Slopes(values, slopes[..., places])

    def _chunks(self) -> np.ndarray:
        """Draws in calls of one size [calls, draws, params], the last filled up with copies."""
        calls = math.ceil(self.draws / self.size)
        rows = np.minimum(np.arange(calls * self.size), self.draws - 1)
        return self.points[rows].reshape(calls, self.size, self.points.shape[1])

    def _layout(self, course: Events) -> Layout | None:
        slots = slots_of(course)
        fits = [x for x in self.layouts if x.end >= course.end and x.holds(slots)]
        return min(fits, key=lambda x: len(x.slots), default=None)

    def _placed(self, course: Events) -> tuple[Layout, np.ndarray, np.ndarray, float]:
        """The layout of a course; amounts, whether they are given, and the end of its treatment."""
        layout = self._layout(course)
        assert layout is not None
        places = [layout.slots.index(slot) for slot in slots_of(course)]
        amount, given = np.zeros(len(layout.slots)), np.zeros(len(layout.slots), bool)
        amount[places], given[places] = np.asarray(course.amount), True
        return layout, amount, given, course.end

    def _run(
        self,
        kind: str,
        layout: Layout,
        amount: np.ndarray,
        given: np.ndarray,
        treated: float,
        points: np.ndarray,
        ends: Sequence[int] = (),
    ) -> Any:
        if kind not in layout.programs:
            layout.programs[kind] = self._program(layout, tuple(ends))
        return layout.programs[kind](self.patients, amount, given, treated, points)

    def _program(self, layout: Layout, ends: tuple[int, ...]) -> Callable[..., Any]:
        """A compiled function of patients, doses in their places, end of treatment and draws: probabilities,
        or those of some `ends` and their slopes."""
        problem, arm, endpoints = self.problem, self.arm, self.endpoints

        def one(patients: Patients, amount: Array, given: Array, treated: Array, x: Array) -> Array:
            model = problem.in_arm(x, arm)
            chosen = [endpoints[i] for i in ends] if ends else endpoints
            doses = layout.events(amount, given)
            return chances(model, doses, patients, chosen, problem.origin, problem.solver, treated)

        def sloped(patients: Patients, amount: Array, given: Array, treated: Array, x: Array) -> Any:
            values, back = jax.vjp(lambda a: one(patients, a, given, treated, x), amount)
            return values, jax.vmap(lambda unit: back(unit)[0])(jnp.eye(len(values)))

        def every(patients: Patients, amount: Array, given: Array, treated: Array, points: Array) -> Any:
            single = sloped if ends else one
            return jax.lax.map(lambda x: single(patients, amount, given, treated, x), points)

        return jitted(every)


def chances(
    model: Model,
    events: Events,
    patients: Patients,
    endpoints: Sequence[Endpoint],
    origin: float,
    solver: AbstractSolver,
    treated: Array | float | None = None,
) -> Float[Array, " endpoints"]:
    """Probability of each endpoint, averaged over virtual patients, where treatment ends at `treated`.

    Pure JAX in the model, in amounts and in times of doses.
    """
    own = individualise(model, patients)
    looks = sorted({e.time for e in endpoints if e.time is not None})
    course = courses(own, events, patients.count, origin, looks, solver)
    if treated is not None:
        course = dataclasses.replace(course, treated=jnp.asarray(treated - origin, float))
    return jnp.stack([marginals(log_table(own, course, [e]), [e])[0] for e in endpoints])
