"""Many refits of a problem, each to an item of its own, from about the mode of the problem's own data."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.devices import in_threads
from pkpd.infer.batch import Climbed, Density
from pkpd.infer.coordinates import Coordinates, coordinates_of
from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, log_density_of, log_likelihood_of
from pkpd.infer.lanes import Lane, climbed, led, standard
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem, compiled
from pkpd.likelihood.reports import Seen

STEP = 1e-4  # of the differences by which tables are followed along the parameters


class Around(NamedTuple):
    """A mode, what the model says of each arm there, and its slope along each parameter, which is last."""

    mode: Mode
    seen: list[Seen]
    slopes: list[Seen]


Make = Callable[[Problem, Around, Int[Array, ""]], Item]  # the item of a number
Refit = Callable[[Int[Array, " items"]], Climbed]


def refitter(problem: Problem, mode: Mode, make: Make, seed: int, emulator: Emulator | None = None) -> Refit:
    """A compiled function that refits the items of some numbers, each the same whatever the others are.

    A climb begins a Newton step from the mode; with an emulator where the emulator's ends, in coordinates
    that are standard there.
    """
    around = around_of(problem, mode)
    coordinates = emulator.coordinates if emulator else coordinates_of(problem, seed)
    top, turned = _turned(coordinates, mode)

    def refit(problem: Problem, numbers: Array) -> Climbed:
        items = jax.vmap(partial(make, problem, around))(numbers)

        def lane(item: Item) -> Lane:
            slope = slope_of(problem, item, around) + item.centre - mode.point
            spread = standard(turned.T @ mode.hessian @ turned)
            return Lane(item, top + spread @ (spread.T @ (turned.T @ slope)), spread)

        def inside(density: Density) -> Density:
            return lambda item, z: density(item, coordinates.point(z))

        lanes = jax.vmap(lane)(items)
        if emulator is not None:
            lanes = led(inside(log_density_of(problem, emulator.seen)), lanes)
        found = climbed(inside(log_density_of(problem)), lanes, width=1)
        ends = jax.vmap(lambda lane, z: coordinates.point(lane.point(z)))(lanes, found.points)
        return found._replace(points=ends)

    return partial(compiled(problem, refit), problem.patients)


def _turned(coordinates: Coordinates, mode: Mode) -> tuple[Array, Array]:
    """The coordinates of the mode, and how points follow coordinates there."""
    top = coordinates.inverse(jnp.asarray(mode.point))
    return top, jax.jacfwd(coordinates.point)(top)


def slope_of(problem: Problem, item: Item, around: Around) -> Float[Array, " params"]:
    """The gradient at the mode of an item's weighted log likelihood."""
    by_seen = jax.grad(lambda now: log_likelihood_of(problem, item, now))(around.seen)
    pairs = zip(jax.tree.leaves(by_seen), jax.tree.leaves(around.slopes), strict=True)
    return sum((jnp.tensordot(slope, along, slope.ndim) for slope, along in pairs), jnp.zeros(()))


def around_of(problem: Problem, mode: Mode) -> Around:
    """What there is to know about a mode."""
    point = mode.point
    look = partial(compiled(problem, lambda problem, x: problem.seen(x)), problem.patients)
    shifts = STEP * np.eye(len(point))
    seen, *moved = in_threads(lambda x: look(jnp.asarray(x)), [point, *(point + shifts), *(point - shifts)])

    def slope(*leaves: Array) -> Array:
        above, below = np.split(np.array(leaves), 2)
        with np.errstate(invalid="ignore"):
            along = (above - below) / (2 * STEP)
        return jnp.moveaxis(jnp.asarray(np.where(np.isfinite(along), along, 0.0)), 0, -1)

    return Around(mode, seen, jax.tree.map(slope, *moved))
