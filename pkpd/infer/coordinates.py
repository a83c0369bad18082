"""Coordinates in which a posterior is easier: slopes by their effect under the regimens of the trial.

An outcome that knows a slope only through its product with a driver (kill rate times effector excess),
or a scale only through its quotient (exposure over the exposure of half the effect), leaves a curved
ridge between the slope and all that decides the driver. Stating the slope by the size of
its effect straightens the ridge. The driver's size is approximated by a quadratic function of the other
parameters; the map is exact whatever the approximation, and so is the posterior.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.individuals import individualise
from pkpd.infer.arm import Arm
from pkpd.infer.mode import Gradient
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Point, Problem, compiled
from pkpd.response import AbstractRecord
from pkpd.simulation import inputs_along

POINTS = 512
PATIENTS = 32
TIMES = 12
LARGEST = 8.0


class Coordinates(eqx.Module):
    """A map between points `x` and coordinates `z`, both [params].

    `slopes` are the places of the parameters that `z` states by their effect; `linear` and `square`
    give the log size of their drivers (of one over them, for a scale), relative to that at the centre of
    the prior.
    """

    linear: Float[Array, "slopes params"]
    square: Float[Array, "slopes params params"]
    slopes: tuple[int, ...] = eqx.field(static=True)
    priors: tuple[Prior, ...] = eqx.field(static=True)

    def log_size(self, z: Point) -> Float[Array, " slopes"]:
        """Log size of the drivers; it does not depend on the slopes, and cannot overflow."""
        found = self.linear @ z + jnp.einsum("kij,i,j->k", self.square, z, z)
        return LARGEST * jnp.tanh(found / LARGEST)

    def point(self, z: Point) -> Point:
        """The point that belongs to coordinates."""
        return self._scaled(z, -self.log_size(z))

    def inverse(self, x: Point) -> Point:
        """The coordinates of a point."""
        return self._scaled(x, self.log_size(x))

    def log_jacobian(self, z: Point) -> Float[Array, ""]:
        """Log of the determinant of the derivative of `point`."""
        normal = [prior.family == "normal" for prior in self.priors]
        return -jnp.sum(jnp.where(jnp.asarray(normal, bool), self.log_size(z), 0.0))

    def _scaled(self, v: Point, log_factor: Float[Array, " slopes"]) -> Point:
        for place, prior, shift in zip(self.slopes, self.priors, log_factor, strict=True):
            if prior.family == "normal":
                slope = prior.natural(v[place]) * jnp.exp(shift)
                v = v.at[place].set((slope - prior.centre) / prior.spread)
            else:
                v = v.at[place].add(shift / prior.spread)
        return v

    def gradient(self, gradient: Gradient) -> Gradient:
        """Log density of the coordinates and its gradient, from those of the point."""

        @jax.jit
        def pull(z: Point, slope: Array) -> Array:
            return jax.vjp(self.point, z)[1](slope)[0] + jax.grad(self.log_jacobian)(z)

        def found(z: Point) -> tuple[Array, Array]:
            value, slope = gradient(self.point(z))
            return value + self.log_jacobian(z), pull(z, slope)

        return found


def coordinates_of(problem: Problem, seed: int = 0) -> Coordinates:
    """Coordinates with the effects of those free parameters that multiply or divide an input."""
    ports = _ports(problem)
    size = len(problem.priors)
    if not ports:
        return Coordinates(jnp.zeros((0, size)), jnp.zeros((0, size, size)), (), ())
    points = np.random.default_rng(seed).standard_normal((POINTS, size))
    powers = [-1.0 if problem.model.declared[problem.names[i]].divides else 1.0 for i in ports]
    sizes = _log_sizes(problem, list(ports.values()), points, seed) * np.array(powers)
    declared = problem.model.declared  # drivers are the typical model's, which knows no deviations
    others = [i for i, name in enumerate(problem.names) if i not in ports and name in declared]
    linear, square = _quadratic(points[:, others], sizes)
    full = np.zeros((len(ports), size, size))
    full[np.ix_(range(len(ports)), others, others)] = square
    wide = np.zeros((len(ports), size))
    wide[:, others] = linear
    return Coordinates(jnp.asarray(wide), jnp.asarray(full), *scaled(problem))


def scaled(problem: Problem) -> tuple[tuple[int, ...], tuple[Prior, ...]]:
    """Places of the parameters that coordinates state by their effect, and their priors."""
    places = tuple(_ports(problem))
    return places, tuple(problem.priors[place][1] for place in places)


def _ports(problem: Problem) -> dict[int, tuple[str, str]]:
    """Input ports by the place of the free parameter that scales them, where they are wired."""
    wired = {(owner, port) for owner, port, _ in problem.model.wires}
    declared, found = problem.model.declared, {}
    for place, (path, prior) in enumerate(problem.priors):
        if path not in declared:
            continue
        port = (path.rpartition(".")[0], declared[path].multiplies or declared[path].divides)
        if port in wired and prior.family in ("normal", "lognormal"):
            found[place] = port
    return found


def _log_sizes(
    problem: Problem, ports: Sequence[tuple[str, str]], points: np.ndarray, seed: int
) -> Float[np.ndarray, "points ports"]:
    """Log of the drivers' means over treated arms, a few patients and the time the owner looks at."""
    groups = problem.patients.groups
    patients = problem.crowd(groups * max(1, PATIENTS // groups), seed)
    small = eqx.tree_at(lambda p: p.patients, problem, patients)
    treated = [arm for arm in problem.arms if len(arm.events.nominal)]

    def sizes(problem: Problem, x: Point) -> Array:
        own = individualise(problem.at(x), problem.patients)
        total = jnp.zeros(len(ports))
        for arm in treated:
            ends = [problem.origin + _horizon(problem, arm, owner) for owner, _ in ports]
            looks = [np.linspace(problem.origin, end, TIMES + 1)[1:] for end in ends]
            times = np.unique(np.concatenate(looks))
            paths = inputs_along(own, arm.events, patients.count, ports, times.tolist(), problem.solver)
            rows = [np.searchsorted(times, look) for look in looks]
            means = [jnp.mean(jnp.abs(path[row])) for path, row in zip(paths, rows, strict=True)]
            total = total + jnp.stack(means)
        return jnp.log(jnp.maximum(total, 1e-12))

    run = compiled(small, lambda p, xs: jax.lax.map(lambda x: sizes(p, x), xs))
    return np.asarray(run(patients, jnp.asarray(points)))


def _horizon(problem: Problem, arm: Arm, owner: str) -> float:
    """Until when the owner of a port acts on the arm's endpoints, since the origin."""
    outcomes = problem.model.outcomes
    if owner in outcomes and isinstance(outcomes[owner], AbstractRecord):
        return max(outcomes[owner].times)
    alive = [e.time for e in arm.endpoints if e.time is not None]
    if owner in outcomes and alive:
        return max(alive)
    return max([t for part in outcomes.values() for t in part.times] + [arm.events.end])


def _quadratic(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear and symmetric quadratic coefficients by least squares, lightly damped."""
    size = points.shape[1]
    upper = np.triu_indices(size)
    features = np.hstack([points, points[:, upper[0]] * points[:, upper[1]], np.ones((len(points), 1))])
    known = np.isfinite(values).all(axis=1)
    features, values = features[known], values[known]
    weights = np.linalg.solve(
        features.T @ features + 1e-3 * len(features) * np.eye(features.shape[1]), features.T @ values
    )
    square = np.zeros((values.shape[1], size, size))
    square[:, upper[0], upper[1]] = weights[size:-1].T
    return weights[:size].T, (square + square.transpose(0, 2, 1)) / 2
