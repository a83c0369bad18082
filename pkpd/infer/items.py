"""Data sets of one problem: what each of many fits has of its own."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.checks import Findings
from pkpd.infer.problem import Point, Problem
from pkpd.likelihood.reports import Seen
from pkpd.response.joint import categories

See = Callable[[Point], list[Seen]]


class Item(eqx.Module):
    """The counts of each arm [endpoints], zeros where it has none, where the prior is centred [params], and
    the weights of arms [arms]. Many items are one whose leaves have them first."""

    counts: tuple[Int[Array, "*items _endpoints"], ...]
    centre: Float[Array, "*items params"]
    weights: Float[Array, "*items arms"]


def own_item(problem: Problem) -> Item:
    """The problem's own data."""
    counts = tuple(jnp.asarray(arm.counts or (0,) * len(arm.endpoints), int) for arm in problem.arms)
    return Item(counts, jnp.zeros(len(problem.priors)), jnp.asarray(weights_of(problem)))


def weights_of(problem: Problem) -> np.ndarray:
    """The weight of each arm, zero where it tells nothing."""
    return np.array([arm.weight if arm.told else 0.0 for arm in problem.arms])


def check_redrawable(problem: Problem) -> None:
    """Raises `InputError` where an arm reports something that cannot be redrawn."""
    found = Findings()
    for arm in problem.arms:
        if arm.told and arm.reports:
            rule = "must report counts only: curves, medians, ratios and means are not redrawn"
            labels = ", ".join(told.label for report in arm.reports for told in report.told())
            found.add(f"{arm.study}/{arm.name}", rule, labels)
    found.raise_if_any()


def log_likelihood_of(problem: Problem, item: Item, seen: list[Seen]) -> Float[Array, ""]:
    """Weighted log probability of an item's counts."""
    known = [c if arm.counts is not None else None for arm, c in zip(problem.arms, item.counts, strict=True)]
    by_arm = problem.log_evidence(seen, known)
    terms = [item.weights[k] * v for k, v in enumerate(by_arm) if problem.arms[k].told]
    return sum(terms, jnp.zeros(()))


def log_density_of(problem: Problem, see: See | None = None) -> Callable[[Item, Point], Float[Array, ""]]:
    """An item's log posterior density at a point, up to a constant, by what `see` says of the arms there.

    Default: what the problem's model says.
    """
    look = see or problem.seen

    def log_density(item: Item, x: Point) -> Float[Array, ""]:
        return log_likelihood_of(problem, item, look(x)) - 0.5 * jnp.sum((x - item.centre) ** 2)

    return log_density


def drawn(problem: Problem, seen: list[Seen], key: Array) -> tuple[Int[Array, " endpoints"], ...]:
    """Counts of new patients of each arm, of whom the model says what is `seen`."""
    return tuple(
        _drawn(problem, place, mine, jax.random.fold_in(key, place)) for place, mine in enumerate(seen)
    )


def _drawn(problem: Problem, place: int, mine: Seen, key: Array) -> Int[Array, " endpoints"]:
    arm = problem.arms[place]
    if mine.table is None:
        return jnp.zeros(0, int)
    cells = jax.random.categorical(key, mine.table.ravel(), shape=(arm.n,))
    where = jnp.unravel_index(cells, mine.table.shape)
    return jnp.stack([(where[axis] == k).sum() for axis, k in categories(arm.endpoints)])
