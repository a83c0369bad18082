"""Many climbs of one shape at once: starts, replicates, simulated data sets, prior scenarios.

A lane climbs for one item. When it ends it takes the next item that waits, so that no lane idles while there
are items; when none wait, the lanes that still climb are computed alone, `width` at a time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, Int

Density = Callable[[Any, Float[Array, " params"]], Float[Array, ""]]

CONVERGED, UNFINISHED, IMPOSSIBLE = range(3)
STATUSES = ("converged", "too many steps", "impossible at the start")


class Climbed(NamedTuple):
    """Where each item's climb ended: points [items, params], log densities, the gradient's largest component,
    how often the density was asked, and a status, the place in `STATUSES`."""

    points: Float[Array, "items params"]
    log_density: Float[Array, " items"]
    gradient: Float[Array, " items"]
    asked: Int[Array, " items"]
    status: Int[Array, " items"]


class _Seen(NamedTuple):
    """A point at which the density was asked, minus the density, and minus its slope."""

    point: Array
    cost: Array
    slope: Array


class _Lanes(NamedTuple):
    """What each lane climbs for, whether it does, where it is, the solver's state, and how often it asked."""

    item: Array
    busy: Array
    point: Array
    state: Any
    asked: Array


def climb_many(
    density: Density,
    starts: Float[Array, "items params"],
    items: Any,
    *,
    lanes: int = 64,
    width: int = 1,
    gradient: float = 2e-4,
    most: int = 200,
) -> Climbed:
    """BFGS from a start for each item until no component of the gradient exceeds `gradient`.

    `density(item, point)` is climbed in standardised coordinates: the first step is as if its curvature were
    one. Leaves of `items` have the items first. `width` lanes are computed at once, the others after them: on
    a CPU as many as fill its vectors, on a GPU as many as fill the device. `most` is how often an item may
    ask. An item's climb does not depend on the others.
    """
    lanes = min(lanes, -(-len(starts) // width) * width)
    climber = _Climber(density, optx.BFGS(rtol=0.0, atol=0.0), gradient, most)
    return climber.run(jnp.asarray(starts), items, -(-lanes // width) * width, width)


@jax.custom_jvp
def _known(point: Array, cost: Array, slope: Array) -> Array:
    """The cost at a point, whose slope is known."""
    return cost


@_known.defjvp
def _(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    return primals[1], primals[2] @ tangents[0]


class _Climber(NamedTuple):
    """The density, the solver, and when a climb ends."""

    density: Density
    solver: optx.AbstractMinimiser
    gradient: float
    most: int

    def cost(self, point: Array, item: Any) -> tuple[Array, _Seen]:
        """Minus the density with its slope, by one pass forwards and one back."""
        fixed = jax.lax.stop_gradient(point)
        cost, slope = jax.value_and_grad(lambda x: -self.density(item, x))(fixed)
        cost = jnp.where(jnp.isfinite(cost) & jnp.isfinite(slope).all(), cost, jnp.inf)
        return _known(point, cost, slope), _Seen(fixed, cost, slope)

    def begun(self, start: Array, item: Any) -> Any:
        """The solver's state before it has asked."""
        told, seen = jax.eval_shape(self.cost, start, item)
        return self.solver.init(self.cost, start, item, {}, told, seen, frozenset())

    def step(self, point: Array, state: Any, item: Any) -> tuple[Array, Any, _Seen]:
        """Asks once; tells of the point before the last that was accepted, so an end is seen a step late."""
        return self.solver.step(self.cost, point, item, {}, state, frozenset())

    def run(self, starts: Array, items: Any, lanes: int, width: int) -> Climbed:
        """All items through so many lanes."""
        count = len(starts)

        def of(places: Array) -> tuple[Array, Any]:
            safe = jnp.minimum(places, count - 1)
            return starts[safe], jax.tree.map(lambda leaf: jnp.asarray(leaf)[safe], items)

        begin, step = jax.vmap(self.begun), jax.vmap(self.step)
        refill = _refill(of, begin, count)
        dump = jnp.zeros(count + 1)
        found = Climbed(
            jnp.zeros((count + 1, starts.shape[1])), dump, dump, dump.astype(int), dump.astype(int)
        )
        first = jnp.arange(lanes)
        point, item = of(first)
        start = _Lanes(first, first < count, point, begin(point, item), jnp.zeros(lanes, int))

        def again(carry: tuple[_Lanes, Array, Climbed]) -> Array:
            return carry[0].busy.any()

        def advance(carry: tuple[_Lanes, Array, Climbed]) -> tuple[_Lanes, Array, Climbed]:
            now, waiting, found = carry
            order = jnp.argsort(~now.busy, stable=True).reshape(-1, width)

            def several(k: Array, both: tuple[_Lanes, Climbed]) -> tuple[_Lanes, Climbed]:
                mine = jax.tree.map(lambda leaf: leaf[order[k]], both[0])
                point, state, seen = step(mine.point, mine.state, of(mine.item)[1])
                mine, ended = self.judged(mine._replace(point=point, state=state), seen)
                places = jnp.where(ended >= 0, mine.item, count)
                kept = jax.tree.map(lambda all_, own: all_.at[order[k]].set(own), both[0], mine)
                told = Climbed(seen.point, -seen.cost, jnp.abs(seen.slope).max(-1), mine.asked, ended)
                return kept, jax.tree.map(lambda all_, own: all_.at[places].set(own), both[1], told)

            groups = -(-now.busy.sum() // width)
            now, found = jax.lax.fori_loop(0, groups, several, (now, found))
            now, waiting = refill(now, waiting)
            return now, waiting, found

        *_, found = jax.lax.while_loop(again, advance, (start, jnp.asarray(lanes), found))
        return jax.tree.map(lambda leaf: leaf[:-1], found)

    def judged(self, lanes: _Lanes, seen: _Seen) -> tuple[_Lanes, Array]:
        """The lanes with those that ended at rest, and how they did, -1 where they did not."""
        asked = lanes.asked + lanes.busy
        flat = jnp.abs(seen.slope).max(-1) <= self.gradient
        impossible = ~jnp.isfinite(seen.cost)
        rules = [~lanes.busy, impossible, flat, asked >= self.most]
        ended = jnp.select(rules, [-1, IMPOSSIBLE, CONVERGED, UNFINISHED], -1)
        return lanes._replace(asked=asked, busy=lanes.busy & (ended < 0)), ended


def _refill(of: Callable[..., Any], begin: Callable[..., Any], count: int) -> Callable[..., Any]:
    """What gives lanes at rest the items that wait."""

    def refill(lanes: _Lanes, waiting: Array) -> tuple[_Lanes, Array]:
        rest = ~lanes.busy
        places = waiting + jnp.cumsum(rest) - 1
        new = rest & (places < count)
        point, item = of(places)

        def pick(fresh: Array, old: Array) -> Array:
            return jnp.where(new.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)

        fresh = _Lanes(places, new, point, begin(point, item), jnp.zeros_like(lanes.asked))
        return jax.tree.map(pick, fresh, lanes), waiting + new.sum()

    return refill
