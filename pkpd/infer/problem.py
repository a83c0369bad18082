"""A question: model, evidence, priors; its log density on a standard normal scale."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.devices import jitted
from pkpd.dosing.events import Events
from pkpd.endpoints import label, log_alive, log_table
from pkpd.individuals import individualise, sample_patients
from pkpd.infer.arm import Arm, in_one_crowd, together
from pkpd.infer.levels import Level
from pkpd.infer.prior import Prior
from pkpd.likelihood.counts import log_joint_counts, log_product_counts
from pkpd.likelihood.reports import AbstractReport, Look, Seen
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.response import Course
from pkpd.response.joint import joint_counts, marginals
from pkpd.simulation import courses, signals_along
from pkpd.solve import AbstractSolver, Multirate

Point = Float[Array, " params"]
ArmCounts = tuple[int, ...] | Int[Array, " endpoints"] | None


class Fact(NamedTuple):
    """A number of an arm's evidence: label, events of n or a value with its error, if it is a probability."""

    label: str
    events: int | None
    value: float | None
    se: float | None
    chance: bool


class Problem(eqx.Module):
    """Everything that a fit needs, resolved to numbers.

    A point `x` [params] is standard normal under the prior; `values(x)` are the parameters, and what the
    `levels` add: standard deviations between studies, and each study's deviation.
    `units` are those of parameters that may have any dimension.
    `joint` chooses the exact probability of an arm's counts, which share their patients, over the
    product of binomials.
    """

    model: Model
    arms: tuple[Arm, ...]
    patients: Patients
    solver: AbstractSolver = Multirate()
    priors: tuple[tuple[str, Prior], ...] = eqx.field(static=True, default=())
    units: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    origin: float = eqx.field(static=True, default=0.0)
    joint: bool = eqx.field(static=True, default=True)
    levels: tuple[Level, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        self.solver.check(self.patients)

    def crowd(self, count: int, seed: int) -> Patients:
        """Other virtual patients, in as many groups as the problem's."""
        return sample_patients(self.model, count, seed, self.patients.groups)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free numbers, paths where they are parameters, in the order of a point."""
        return tuple(path for path, _ in self.priors)

    def unit(self, path: str) -> str:
        """The unit of a parameter's values."""
        declared = self.model.declared.get(path)
        if declared is None:
            return "1"
        known = dict(self.units)
        return known.get(path, "") if declared.dimension == "*" else self.model.units.unit(declared.dimension)

    def values(self, x: Point) -> dict[str, Array]:
        """The free numbers at a point, in the model's units."""
        return {path: prior.natural(x[i]) for i, (path, prior) in enumerate(self.priors)}

    def at(self, x: Point) -> Model:
        """The typical model at a point, without the deviations of studies."""
        return self._typical(self.values(x))

    def in_arm(self, x: Point, arm: Arm) -> Model:
        """The model at a point as it is in an arm's study."""
        values = self.values(x)
        typical = self._typical(values)
        return typical.replace(self._shifted(values, typical, arm))

    def _typical(self, values: Mapping[str, Array]) -> Model:
        return self.model.replace({path: v for path, v in values.items() if path in self.model.declared})

    def _shifted(self, values: Mapping[str, Array], typical: Model, arm: Arm) -> dict[str, Array]:
        """The parameters by which an arm's study or histology differs."""
        found: dict[str, Array] = {}
        for level in self.levels:
            group = arm.study if level.by == "study" else arm.histology
            value = found.get(level.path, jnp.asarray(typical.get(level.path)))
            found[level.path] = level.shifted(value, values, group)
        return found

    def looks(self, arm: Arm) -> tuple[float, ...]:
        """When an arm's survival is looked at, for its own reports and for those that compare to it."""
        mine = [report.looks for report in arm.reports]
        mine += [
            report.looks
            for other in self.arms
            if other.study == arm.study
            for report in other.reports
            if report.against == arm.name
        ]
        return tuple(sorted({time for times in mine for time in times}))

    def seen(self, x: Point) -> list[Seen]:
        """What the model says of each arm, averaged over the virtual patients."""
        return [self._seen(*told) for told in zip(*self.lived(x), self.arms, strict=True)]

    def lived(self, x: Point) -> tuple[list[Model], list[Course]]:
        """Of each arm, its individualised patients and what the outcomes see of them."""
        values = self.values(x)
        typical = self._typical(values)
        shifted = [self._shifted(values, typical, arm) for arm in self.arms]
        found: dict[int, Course] = {}
        for places in together(self.arms, self.asked()):
            found |= zip(places, self._courses(typical, places, [shifted[i] for i in places]), strict=True)
        own = [individualise(typical.replace(values), self.patients) for values in shifted]
        return own, [found[place] for place in range(len(self.arms))]

    def asked(self) -> list[bool]:
        """Whether the evidence needs what the model says of each arm."""
        told = [(arm.study, report.against) for arm in self.arms if arm.told for report in arm.reports]
        return [arm.told or (arm.study, arm.name) in told for arm in self.arms]

    def _courses(
        self, typical: Model, places: Sequence[int], shifted: Sequence[Mapping[str, Array]]
    ) -> list[Course]:
        """What the outcomes see of individualised patients in arms that are computed together."""
        arms = [self.arms[place] for place in places]
        alive = {e.time for arm in arms for e in arm.endpoints if e.time is not None}
        looks = sorted(alive.union(*(self.looks(arm) for arm in arms)))

        def crowd(values: Mapping[str, Array], patients: Patients, events: Events) -> Course:
            own = individualise(typical.replace(values), patients)
            return courses(own, events, patients.count, self.origin, looks, self.solver)

        return in_one_crowd(crowd, self.patients, shifted, [arm.events for arm in arms])

    def _seen(self, own: Model, course: Course, arm: Arm) -> Seen:
        looks = self.looks(arm)
        table = log_table(own, course, arm.endpoints) if arm.endpoints else None
        wanted = [look for report in arm.reports for look in report.outputs]
        alive = log_alive(own, course, looks) if looks else jnp.zeros(0)
        return Seen(table, alive, self._means(own, arm, wanted), looks)

    def _means(self, own: Model, arm: Arm, wanted: Sequence[Look]) -> dict[Look, Array]:
        if not wanted:
            return {}
        times = np.array(sorted({self.origin + time for _, time in wanted}))
        count = self.patients.count
        states = self.solver.states(own, arm.events, times.tolist(), count)
        signals = signals_along(own, arm.events, times, states, count)
        return {
            (output, time): jnp.broadcast_to(signals[output], (len(times), count))[
                np.searchsorted(times, self.origin + time)
            ].mean()
            for output, time in wanted
        }

    def log_likelihood(self, x: Point) -> Float[Array, ""]:
        """Weighted sum over arms of the log probability of what they report."""
        return self.weighted(self.log_evidence(self.seen(x)))

    def weighted(self, by_arm: Sequence[Array]) -> Float[Array, ""]:
        """The same from that of each arm."""
        return sum((arm.weight * v for arm, v in zip(self.arms, by_arm, strict=True)), jnp.zeros(()))

    def log_evidence(
        self, seen: Sequence[Seen], counts: Sequence[ArmCounts] | None = None
    ) -> list[Float[Array, ""]]:
        """Log probability of what each arm reports, without its weight; zero where that is nothing or 0.

        `counts` by arm, which may be traced, stand for those of the arms.
        """
        known = [arm.counts for arm in self.arms] if counts is None else counts
        return [
            self._log_evidence(arm, own, mine, seen) if arm.told else jnp.zeros(())
            for arm, own, mine in zip(self.arms, known, seen, strict=True)
        ]

    def _log_evidence(
        self, arm: Arm, counts: ArmCounts, mine: Seen, seen: Sequence[Seen]
    ) -> Float[Array, ""]:
        rule = log_joint_counts if self.joint else log_product_counts
        total = jnp.zeros(())
        if counts is not None and mine.table is not None:
            total = total + rule(mine.table, joint_counts(arm.endpoints, counts), arm.n)
        for report in arm.reports:
            total = total + report.log_probability(mine, self._against(arm, report, seen), arm.n)
        return total

    def _against(self, arm: Arm, report: AbstractReport, seen: Sequence[Seen]) -> Seen | None:
        """The arm to which a report compares."""
        both = zip(self.arms, seen, strict=True)
        return next((s for a, s in both if (a.study, a.name) == (arm.study, report.against)), None)

    def log_density(self, x: Point) -> Float[Array, ""]:
        """Log posterior density on the standard normal scale, up to a constant."""
        return self.log_likelihood(x) - 0.5 * jnp.sum(x**2)

    def facts(self, arm: Arm) -> list[Fact]:
        """The numbers of an arm's evidence, those of its endpoints first."""
        counts = arm.counts or (None,) * len(arm.endpoints)
        found = [
            Fact(label(self.model, endpoint), count, None, None, True)
            for endpoint, count in zip(arm.endpoints, counts, strict=True)
        ]
        for report in arm.reports:
            mark = " (approximate)" if report.approximate else ""
            found += [Fact(t.label + mark, None, t.value, t.se, t.chance) for t in report.told()]
        return found

    def predictions(self, seen: Sequence[Seen]) -> list[Float[Array, " facts"]]:
        """What the model says instead of each number of each arm."""
        found = []
        for arm, mine in zip(self.arms, seen, strict=True):
            parts = [] if mine.table is None else [marginals(mine.table, arm.endpoints)]
            parts += [r.predicted(mine, self._against(arm, r, seen)) for r in arm.reports]
            found.append(jnp.concatenate([jnp.zeros(0), *parts]))
        return found


def compiled(problem: Problem, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(problem, x)` compiled as a function of patients and `x`; the doses stay concrete."""

    def call(patients: Patients, x: Array) -> Any:
        return function(eqx.tree_at(lambda p: p.patients, problem, patients), x)

    return jitted(call)


class Evaluated(NamedTuple):
    """At a point: the log likelihood, that of each arm without its weight, what is predicted by arm, and what
    the model says of each."""

    log_likelihood: Array
    by_arm: Array
    predictions: list[Array]
    seen: list[Seen]


Evaluate = Callable[[Patients, Point], Evaluated]


def evaluator(problem: Problem) -> Evaluate:
    """A compiled function of patients and point."""

    def evaluate(problem: Problem, x: Point) -> Evaluated:
        seen = problem.seen(x)
        by_arm = problem.log_evidence(seen)
        return Evaluated(problem.weighted(by_arm), jnp.stack(by_arm), problem.predictions(seen), seen)

    return compiled(problem, evaluate)


def free(priors: Mapping[str, Prior], levels: Sequence[Level] = ()) -> tuple[tuple[str, Prior], ...]:
    """Priors in a fixed order, those that levels add after those of parameters."""
    added = [item for level in levels for item in level.priors().items()]
    return tuple(sorted(priors.items())) + tuple(added)
