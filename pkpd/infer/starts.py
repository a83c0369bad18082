"""Climbs of one problem from many starts drawn from its prior: whether they end at one mode."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pkpd.infer.batch import Climbed
from pkpd.infer.emulator import Emulator
from pkpd.infer.items import log_density_of, own_item
from pkpd.infer.lanes import Lane, climbed, standard
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem, compiled
from pkpd.infer.refit import Refit

MOST = 600  # questions of a climb that begins far away


def climbs(problem: Problem, mode: Mode, seed: int, emulator: Emulator | None = None) -> Refit:
    """A compiled function that climbs from the starts of some numbers, each the same whatever the others are.

    Coordinates are standard at the mode. An emulator, which is of the mode's surroundings, does not lead.
    """

    def climb(problem: Problem, numbers: Array) -> Climbed:
        key, size = jax.random.key(seed), mode.point.shape
        begin = jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number), size))(numbers)
        items, spread = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (len(numbers), *leaf.shape)),
            (own_item(problem), standard(jnp.asarray(mode.hessian))),
        )
        lanes = Lane(items, begin, spread)
        found = climbed(log_density_of(problem), lanes, width=1, most=MOST)
        return found._replace(points=jax.vmap(Lane.point)(lanes, found.points))

    return partial(compiled(problem, climb), problem.patients)
