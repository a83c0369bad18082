"""A question: model, evidence, priors; its log density on a standard normal scale."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.devices import compile_options
from pkpd.dosing.events import Events
from pkpd.endpoints import log_table
from pkpd.infer.prior import Prior
from pkpd.likelihood.counts import log_joint_counts, log_product_counts
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.response import Course
from pkpd.response.joint import Endpoint, joint_counts, marginals
from pkpd.simulation import courses, individualise, sample_patients
from pkpd.solve import AbstractSolver, Multirate

Point = Float[Array, " params"]


class Arm(eqx.Module):
    """One arm: its doses, and how many of `n` patients had each endpoint (None: to be predicted)."""

    events: Events
    study: str = eqx.field(static=True)
    name: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    endpoints: tuple[Endpoint, ...] = eqx.field(static=True)
    counts: tuple[int, ...] | None = eqx.field(static=True)
    weight: float = eqx.field(static=True, default=1.0)


class Problem(eqx.Module):
    """Everything that a fit needs, resolved to numbers.

    A point `x` [params] is standard normal under the prior; `values(x)` are the parameters.
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

    def __check_init__(self) -> None:
        self.solver.check(self.patients)

    def crowd(self, count: int, seed: int) -> Patients:
        """Other virtual patients, in as many groups as the problem's."""
        return sample_patients(self.model, count, seed, self.patients.groups)

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the free parameters, in the order of a point."""
        return tuple(path for path, _ in self.priors)

    def unit(self, path: str) -> str:
        """The unit of a parameter's values."""
        known, dimension = dict(self.units), self.model.declared[path].dimension
        return known.get(path, "") if dimension == "*" else self.model.units.unit(dimension)

    def values(self, x: Point) -> dict[str, Array]:
        """The free parameters at a point, in the model's units."""
        return {path: prior.natural(x[i]) for i, (path, prior) in enumerate(self.priors)}

    def at(self, x: Point) -> Model:
        """The model at a point."""
        return self.model.replace(self.values(x))

    def course(self, model: Model, events: Events, endpoints: Sequence[Endpoint]) -> Course:
        """What the outcomes see of the virtual patients of an arm."""
        alive = [e.time for e in endpoints if e.time is not None]
        own = individualise(model, self.patients)
        return courses(own, events, self.patients.count, self.origin, alive, self.solver)

    def log_tables(self, x: Point, arms: Sequence[Arm] | None = None) -> list[Float[Array, "..."]]:
        """Log outcome table of each arm, averaged over the virtual patients."""
        model = self.at(x)
        own = individualise(model, self.patients)
        return [
            log_table(own, self.course(model, arm.events, arm.endpoints), arm.endpoints)
            for arm in (self.arms if arms is None else arms)
        ]

    def log_likelihood(self, x: Point) -> Float[Array, ""]:
        """Weighted sum over arms of the log probability of their counts."""
        return self.log_likelihood_of(self.log_tables(x))

    def log_likelihood_of(self, tables: Sequence[Float[Array, "..."]]) -> Float[Array, ""]:
        """The same from the log outcome tables of the arms."""
        rule = log_joint_counts if self.joint else log_product_counts
        total = jnp.zeros(())
        for arm, table in zip(self.arms, tables, strict=True):
            if arm.counts is not None and arm.weight > 0.0:
                total = total + arm.weight * rule(table, joint_counts(arm.endpoints, arm.counts), arm.n)
        return total

    def log_density(self, x: Point) -> Float[Array, ""]:
        """Log posterior density on the standard normal scale, up to a constant."""
        return self.log_likelihood(x) - 0.5 * jnp.sum(x**2)

    def probabilities(self, x: Point, arms: Sequence[Arm] | None = None) -> list[Float[Array, " endpoints"]]:
        """Marginal probability of each endpoint of each arm."""
        chosen = self.arms if arms is None else arms
        tables = self.log_tables(x, chosen)
        return [marginals(table, arm.endpoints) for table, arm in zip(tables, chosen, strict=True)]


def compiled(problem: Problem, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(problem, x)` compiled as a function of patients and `x`; the doses stay concrete."""

    def call(patients: Patients, x: Array) -> Any:
        return function(eqx.tree_at(lambda p: p.patients, problem, patients), x)

    return jax.jit(call, compiler_options=compile_options())


Evaluate = Callable[[Patients, Point], tuple[Array, list[Array]]]


def evaluator(problem: Problem) -> Evaluate:
    """A compiled function of patients and point: log likelihood, and the endpoints' probabilities by arm."""

    def evaluate(problem: Problem, x: Point) -> tuple[Array, list[Array]]:
        tables = problem.log_tables(x)
        pairs = zip(tables, problem.arms, strict=True)
        return problem.log_likelihood_of(tables), [marginals(table, arm.endpoints) for table, arm in pairs]

    return compiled(problem, evaluate)


def free(priors: Mapping[str, Prior]) -> tuple[tuple[str, Prior], ...]:
    """Priors in a fixed order."""
    return tuple(sorted(priors.items()))
