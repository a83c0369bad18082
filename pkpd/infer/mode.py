"""The most probable point, from many starts at once."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from pkpd.infer.problem import Point, Problem, compiled
from pkpd.population import Patients

LogDensity = Callable[[Point], Float[Array, ""]]


class Climb(NamedTuple):
    """Where each start ended: points [starts, params], log densities, steps, whether it converged."""

    points: np.ndarray
    log_density: np.ndarray
    steps: np.ndarray
    converged: np.ndarray


class Mode(NamedTuple):
    """The best point, its log density, the gradient's largest component and minus the Hessian there."""

    point: np.ndarray
    log_density: float
    gradient: float
    hessian: np.ndarray


def prior_starts(problem: Problem, count: int, seed: int) -> Float[Array, "starts params"]:
    """Starts drawn from the prior."""
    return jax.random.normal(jax.random.key(seed), (count, len(problem.priors)))


def climb(problem: Problem, starts: Float[Array, "starts params"], max_steps: int = 200) -> Climb:
    """BFGS from all starts as one batch; a start that fails is reported, not raised."""
    solver = optx.BFGS(rtol=1e-7, atol=1e-7)

    def run(problem: Problem, starts: Array) -> tuple[Array, ...]:
        def one(start: Array) -> tuple[Array, ...]:
            found = optx.minimise(
                lambda x, _: -problem.log_density(x), solver, start, max_steps=max_steps, throw=False
            )
            done = found.result == optx.RESULTS.successful
            return found.value, problem.log_density(found.value), found.stats["num_steps"], done

        return jax.vmap(one)(starts)

    return Climb(*(np.asarray(v) for v in compiled(problem, run)(problem.patients, starts)))


def gradient_of(problem: Problem) -> Callable[[Patients, Point], tuple[Array, Array]]:
    """A compiled function of patients and point for the log density and its gradient."""
    return compiled(problem, lambda problem, x: jax.value_and_grad(problem.log_density)(x))


def hessian(gradient: Callable[[Point], tuple[Array, Array]], point: Point, step: float = 1e-4) -> np.ndarray:
    """Minus the second derivatives, by central differences of the exact gradient."""
    size = len(point)
    rows = []
    for i in range(size):
        shift = step * np.eye(size)[i]
        rows.append(
            (np.asarray(gradient(point - shift)[1]) - np.asarray(gradient(point + shift)[1])) / (2 * step)
        )
    matrix = np.stack(rows)
    return (matrix + matrix.T) / 2


def polish(problem: Problem, start: np.ndarray, rounds: int = 3) -> Mode:
    """Newton steps from a point that is nearly the mode, each accepted only if it climbs."""
    gradient = partial(gradient_of(problem), problem.patients)
    point = jnp.asarray(start)
    value, slope = gradient(point)
    curvature = hessian(gradient, point)
    for _ in range(rounds):
        if float(jnp.max(jnp.abs(slope))) < 1e-7 or np.linalg.eigvalsh(curvature)[0] <= 0:
            break
        trial = point + jnp.linalg.solve(jnp.asarray(curvature), slope)
        new, new_slope = gradient(trial)
        if not new >= value - 1e-9:
            break
        point, value, slope = trial, new, new_slope
        curvature = hessian(gradient, point)
    return Mode(np.asarray(point), float(value), float(jnp.max(jnp.abs(slope))), curvature)
