"""Many refits of a problem to data redrawn from its fitted model: how far an estimate may be off.

Each replicate draws the counts of new patients from the model at the mode, and where its prior is centred
from the prior about the mode. Both are data of the estimate: with redrawn counts and the prior left where it
is, a parameter of which the data say little would hardly move, and its spread be falsely narrow. Where the
log density is quadratic the modes of replicates are draws of the posterior.

An arm whose likelihood is raised to a weight w between 0 and 1 must be as uncertain as w times its patients,
but the slope of w times a redrawn log likelihood varies w times less than that. The slope at the mode of
sqrt(w - w^2) times that of a second draw moves the centre of the prior by the rest.

References: Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, section 6.5;
Bardsley JM, Solonen A, Haario H, Laine M. SIAM J Sci Comput 2014;36:A1895-A1910, doi 10.1137/140964023.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.devices import in_threads
from pkpd.infer.batch import Climbed, Density
from pkpd.infer.coordinates import Coordinates, coordinates_of
from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, check_redrawable, drawn, log_density_of, log_likelihood_of, weights_of
from pkpd.infer.lanes import Lane, climbed, led, standard
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem, compiled
from pkpd.likelihood.reports import Seen

STEP = 1e-4  # of the differences by which tables are followed along the parameters

Refit = Callable[[Int[Array, " items"]], Climbed]


def refitter(problem: Problem, mode: Mode, seed: int, emulator: Emulator | None = None) -> Refit:
    """A compiled function that refits the replicates of some numbers, each the same whatever the others are.

    With an emulator a climb begins where the emulator's ends, in coordinates that are standard there.
    Raises `InputError` where an arm reports something that cannot be redrawn.
    """
    check_redrawable(problem)
    seen, slopes = _followed(problem, mode.point)
    coordinates = emulator.coordinates if emulator else coordinates_of(problem, seed)
    top, turned = _turned(coordinates, mode)

    def refit(problem: Problem, numbers: Array) -> Climbed:
        items = jax.vmap(partial(replicate, problem, jnp.asarray(mode.point), seen, slopes, seed))(numbers)

        def lane(item: Item) -> Lane:
            slope = _slope(problem, item, seen, slopes) + item.centre - mode.point
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


def replicate(
    problem: Problem,
    centre: Float[Array, " params"],
    seen: list[Seen],
    slopes: list[Seen],
    seed: int,
    number: Int[Array, ""],
) -> Item:
    """The replicate of a number: redrawn counts, and a prior whose centre is drawn about the mode.

    `seen` is what the model says at the mode, `slopes` how that changes along the parameters.
    """
    counts, prior, rest = jax.random.split(jax.random.fold_in(jax.random.key(seed), number), 3)
    weights = weights_of(problem)
    item = Item(
        drawn(problem, seen, counts),
        centre + jax.random.normal(prior, centre.shape),
        jnp.asarray(weights),
    )
    if np.isin(weights, (0.0, 1.0)).all():
        return item
    more = Item(drawn(problem, seen, rest), centre, jnp.asarray(np.sqrt(weights - weights**2)))
    return Item(item.counts, item.centre + _slope(problem, more, seen, slopes), item.weights)


def _slope(problem: Problem, item: Item, seen: list[Seen], slopes: list[Seen]) -> Float[Array, " params"]:
    """The gradient at the mode of an item's weighted log likelihood."""
    by_seen = jax.grad(lambda now: log_likelihood_of(problem, item, now))(seen)
    pairs = zip(jax.tree.leaves(by_seen), jax.tree.leaves(slopes), strict=True)
    return sum((jnp.tensordot(slope, along, slope.ndim) for slope, along in pairs), jnp.zeros(()))


def _followed(problem: Problem, point: np.ndarray) -> tuple[list[Seen], list[Seen]]:
    """What the model says of each arm at a point, and its slope along each parameter, which is last."""
    look = partial(compiled(problem, lambda problem, x: problem.seen(x)), problem.patients)
    shifts = STEP * np.eye(len(point))
    seen, *moved = in_threads(lambda x: look(jnp.asarray(x)), [point, *(point + shifts), *(point - shifts)])

    def slope(*leaves: Array) -> Array:
        above, below = np.split(np.array(leaves), 2)
        with np.errstate(invalid="ignore"):
            along = (above - below) / (2 * STEP)
        return jnp.moveaxis(jnp.asarray(np.where(np.isfinite(along), along, 0.0)), 0, -1)

    return seen, jax.tree.map(slope, *moved)
