"""Normal approximations of the posteriors of many data sets, and what weighs their draws."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, log_density_of, log_likelihood_of
from pkpd.infer.lanes import Lane, at_origin, climbed, led, of_coordinates, standard
from pkpd.infer.problem import Problem

STEP = 1e-4  # of the differences of the gradient
FLAT = 1e-2  # least curvature


class Normals(NamedTuple):
    """Of each item [items, draws, ...]: points [params], the log likelihood there, what the model predicts
    for the arms, log weights that make the draws the posterior's; and the status of the climb [items]."""

    points: Array
    log_likelihood: Array
    predictions: Array
    log_weights: Array
    status: Array


def approximate_many(
    problem: Problem, emulator: Emulator, items: Item, keys: Array, draws: int, width: int
) -> Normals:
    """Draws of the normal approximation at each item's mode, in the emulator's coordinates.

    The emulator leads the climbs, of which `width` are computed at once; mode and curvature are the model's.
    """
    coordinates = emulator.coordinates
    density = of_coordinates(log_density_of(problem), coordinates)
    alike = of_coordinates(log_density_of(problem, emulator.seen), coordinates)
    begun = led(alike, at_origin(items, len(keys), len(problem.priors)))
    found = climbed(density, begun, width)
    tops = jax.vmap(Lane.point)(begun, found.points)
    slope = jax.vmap(jax.grad(density, argnums=1))
    shifts = STEP * jnp.eye(tops.shape[1])
    around = jax.lax.map(lambda h: slope(items, tops + h), jnp.concatenate([shifts, -shifts]))
    above, below = jnp.split(around, 2)
    curved = jnp.moveaxis(below - above, 0, 1) / (2 * STEP)
    curved = 0.5 * (curved + jnp.swapaxes(curved, 1, 2))
    lanes = Lane(items, tops, jax.vmap(lambda matrix: standard(matrix, FLAT))(curved))
    numbers = jax.vmap(lambda key: jax.random.normal(key, (draws, tops.shape[1])))(keys)

    def told(lane: Lane, u: Array) -> tuple[Array, ...]:
        z = lane.point(u)
        x = coordinates.point(z)
        seen = problem.seen(x)
        likely = log_likelihood_of(problem, lane.item, seen)
        weight = likely - 0.5 * jnp.sum((x - lane.item.centre) ** 2) + coordinates.log_jacobian(z)
        return x, likely, jnp.concatenate(problem.predictions(seen)), weight + 0.5 * jnp.sum(u**2)

    shown = jax.lax.map(lambda u: jax.vmap(told)(lanes, u), jnp.moveaxis(numbers, 1, 0))
    points, likely, predictions, weights = (jnp.moveaxis(v, 0, 1) for v in shown)
    return Normals(points, likely, predictions, weights, found.status)
