"""What a model says of arms, learnt from examples by small neural networks.

An emulator only proposes: what it gets wrong costs time and nothing else (`pkpd.infer.emulated`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from pkpd.devices import in_threads
from pkpd.infer.arm import Arm
from pkpd.infer.coordinates import Coordinates
from pkpd.infer.problem import Point, Problem
from pkpd.likelihood.reports import Seen

RARE = 1e-6  # probabilities far below it are all the same to the emulator
WIDTH, DEPTH = 48, 2
DECAY = 0.1  # weight of the squared weights, beside the sum of squared errors
STEPS = 1000


class Network(eqx.Module):
    """A network and a linear map beside it, both from standardised inputs to standardised outputs."""

    inner: eqx.nn.MLP
    linear: Float[Array, "outputs inputs"]

    def __call__(self, v: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self.inner(v) + self.linear @ v


class Scale(eqx.Module):
    """Mean and standard deviation of numbers, by which they are standardised."""

    mean: Float[Array, " numbers"]
    spread: Float[Array, " numbers"]

    @classmethod
    def of(cls, numbers: Float[np.ndarray, "examples numbers"]) -> "Scale":
        """Those of examples; a number that is the same in all is left as it is."""
        spread = numbers.std(axis=0)
        spread = np.where(spread > 1e-9 * (1.0 + np.abs(numbers.mean(axis=0))), spread, 1.0)
        return cls(jnp.asarray(numbers.mean(axis=0)), jnp.asarray(spread))

    def standard(self, numbers: Array) -> Array:
        """Numbers on the standard scale."""
        return (numbers - self.mean) / self.spread

    def natural(self, numbers: Array) -> Array:
        """Numbers that are on the standard scale."""
        return self.mean + self.spread * numbers


class Learnt(eqx.Module):
    """A network of one arm with the scales of what it takes and gives."""

    network: Network
    taken: Scale
    given: Scale

    def __call__(self, v: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        return self.given.natural(self.network(self.taken.standard(v)))


@dataclass(frozen=True)
class Emulator:
    """A problem whose `seen` is what networks say, one for each arm that the evidence asks for."""

    problem: Problem
    coordinates: Coordinates
    arms: Sequence[Learnt | None]
    shape: Sequence[Seen]

    def log_likelihood(self, x: Point) -> Float[Array, ""]:
        """The problem's log likelihood of what the networks say."""
        return self.problem.weighted(self.problem.log_evidence(self.seen(x)))

    def seen(self, x: Point) -> list[Seen]:
        """What the networks say of each arm."""
        return [self._seen(x, place) for place in range(len(self.arms))]

    def _seen(self, x: Point, place: int) -> Seen:
        learnt, arm, shape = self.arms[place], self.problem.arms[place], self.shape[place]
        if learnt is None:
            return shape
        return from_numbers(learnt(inputs(self.problem, self.coordinates, x, arm)), shape)


def inputs(problem: Problem, coordinates: Coordinates, x: Point, arm: Arm) -> Float[Array, " inputs"]:
    """What decides an arm: the coordinates of the parameters, and by how much its study differs."""
    z, values = coordinates.inverse(x), problem.values(x)
    own = [i for i, name in enumerate(problem.names) if name in problem.model.declared]
    groups = [arm.study if level.by == "study" else arm.histology for level in problem.levels]
    shifts = [level.shift(values, group) for level, group in zip(problem.levels, groups, strict=True)]
    return jnp.concatenate([z[np.array(own)], jnp.array(shifts)])


def to_numbers(seen: Seen) -> Float[Array, " numbers"]:
    """What a model says of an arm as numbers that change smoothly."""
    table = None if seen.table is None else jnp.logaddexp(seen.table, math.log(RARE))
    hazard = jnp.log(RARE - jnp.diff(seen.log_alive, prepend=0.0))
    return ravel_pytree((table, hazard, seen.means))[0]


def from_numbers(numbers: Float[Array, " numbers"], like: Seen) -> Seen:
    """What a model says of an arm from its numbers: the table sums to one, and survival only falls.

    `like` has the shapes.
    """
    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape), (like.table, like.log_alive, like.means))
    table, hazard, means = ravel_pytree(blank)[1](numbers)
    table = None if table is None else table - logsumexp(table)
    return Seen(table, -jnp.cumsum(jnp.exp(hazard)), means, like.looks)


def learn(
    problem: Problem,
    coordinates: Coordinates,
    points: Float[np.ndarray, "examples params"],
    seen: Sequence[Float[np.ndarray, "examples numbers"]],
    seed: int = 0,
) -> Emulator:
    """The emulator that comes closest to examples: points, and for each arm the numbers seen there."""
    shape, asked = jax.eval_shape(problem.seen, jnp.asarray(points[0])), problem.asked()

    def arm(place: int) -> Learnt | None:
        if not asked[place]:
            return None
        taken = jax.vmap(lambda x: inputs(problem, coordinates, x, problem.arms[place]))(jnp.asarray(points))
        return _learnt(np.asarray(taken), seen[place], seed + place)

    return Emulator(problem, coordinates, in_threads(arm, range(len(problem.arms))), shape)


def _learnt(taken: np.ndarray, given: np.ndarray, seed: int) -> Learnt:
    from scipy.optimize import minimize

    scales = Scale.of(taken), Scale.of(given)
    pairs = tuple(scale.standard(jnp.asarray(v)) for scale, v in zip(scales, (taken, given), strict=True))
    network = _blank(taken.shape[1], given.shape[1], seed)
    start, unravel = ravel_pytree(eqx.filter(network, eqx.is_array))
    static = eqx.filter(network, eqx.is_array, inverse=True)
    slope = _slope(lambda v: eqx.combine(unravel(v), static), len(taken))

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = slope(jnp.asarray(v), *pairs)
        return float(value), np.asarray(gradient)

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS}
    found = minimize(objective, np.asarray(start), jac=True, method="L-BFGS-B", options=options).x
    return Learnt(eqx.combine(unravel(jnp.asarray(found)), static), *scales)


def _blank(taken: int, given: int, seed: int) -> Network:
    inner = eqx.nn.MLP(taken, given, WIDTH, DEPTH, activation=jnp.tanh, key=jax.random.key(seed))
    return Network(inner, jnp.zeros((given, taken)))


def _slope(network: Callable[[Array], Network], examples: int) -> Callable[..., Any]:
    """The compiled mean squared error of weights, with their decay, and its gradient."""

    def loss(v: Array, taken: Array, given: Array) -> Array:
        error = jax.vmap(network(v))(taken) - given
        decay = sum((jnp.sum(layer.weight**2) for layer in network(v).inner.layers), jnp.zeros(()))
        return jnp.mean(error**2) + DECAY * decay / examples

    return jax.jit(jax.value_and_grad(loss))
