"""Coordinates in which each of many data sets is easy: standard about a point of its own."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.infer.batch import CONVERGED, Climbed, Density, climb_many
from pkpd.infer.coordinates import Coordinates
from pkpd.infer.items import Item

FLAT = 0.1  # no direction is standardised as if it had less curvature


class Lane(NamedTuple):
    """An item, the point about which its coordinates are, and what makes them standard there."""

    item: Item
    start: Array
    spread: Array

    def point(self, z: Array) -> Array:
        """The point of standardised coordinates."""
        return self.start + self.spread @ z


def at_origin(items: Item, count: int, size: int) -> Lane:
    """Lanes of so many items about the origin, of coordinates as they are."""
    return Lane(items, jnp.zeros((count, size)), jnp.broadcast_to(jnp.eye(size), (count, size, size)))


def of_coordinates(density: Density, coordinates: Coordinates) -> Density:
    """The density of coordinates, from that of the points."""

    def found(item: Item, z: Array) -> Array:
        return density(item, coordinates.point(z)) + coordinates.log_jacobian(z)

    return found


def climbed(density: Density, lanes: Lane, width: int, most: int = 200) -> Climbed:
    """The climb of each lane from its start, in its coordinates."""

    def inside(lane: Lane, z: Array) -> Array:
        return density(lane.item, lane.point(z))

    return climb_many(inside, jnp.zeros_like(lanes.start), lanes, width=width, most=most)


def led(density: Density, lanes: Lane) -> Lane:
    """Lanes about where the climb of another density ends, which is alike and cheap, by its curvature.

    Where that climb does not converge a lane stays where it is.
    """
    found = climbed(density, lanes, width=len(lanes.start))
    ends = jax.vmap(Lane.point)(lanes, found.points)
    ends = jnp.where((found.status == CONVERGED)[:, None], ends, lanes.start)
    curved = jax.vmap(lambda item, x: jax.hessian(lambda y: -density(item, y))(x))(lanes.item, ends)
    return Lane(lanes.item, ends, jax.vmap(standard)(curved))


def standard(
    curvature: Float[Array, "params params"], flattest: float = FLAT
) -> Float[Array, "params params"]:
    """A matrix whose product with standard normal numbers has the covariance of a curvature.

    By Cholesky's factors, of which no pivot is below `flattest`, and without LAPACK: jaxlib 0.10 lends each
    call of it for many matrices to the threads that run programs and waits for one, which two programs at
    once may have between them.
    """
    places = jnp.arange(len(curvature))

    def column(j: Array, lower: Array) -> Array:
        rest = curvature[:, j] - lower @ lower[j]
        pivot = jnp.sqrt(jnp.maximum(rest[j], flattest))
        below = jnp.where(places > j, rest / pivot, 0.0)
        return lower.at[:, j].set(jnp.where(places == j, pivot, below))

    lower = jax.lax.fori_loop(0, len(places), column, jnp.zeros_like(curvature))

    def row(i: Array, inverse: Array) -> Array:
        return inverse.at[i].set(((places == i) - lower[i] @ inverse) / lower[i, i])

    return jax.lax.fori_loop(0, len(places), row, jnp.zeros_like(curvature)).T
