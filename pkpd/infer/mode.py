"""The most probable point, from many starts at once."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.devices import in_threads
from pkpd.infer.problem import Point, Problem, compiled
from pkpd.population import Patients

Gradient = Callable[[Point], tuple[Array, Array]]


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


def climb(gradient: Gradient, starts: Float[Array, "starts params"], max_steps: int = 200) -> Climb:
    """BFGS from each start with one compiled gradient; a start that fails is reported, not raised.

    The first step is at most one prior standard deviation, because far from the mode the density
    is so steep that a longer one can land where the counts are impossible.
    Each start runs by itself: on a CPU a batch waits for its slowest lane and compiles longer.
    """
    found = in_threads(lambda start: ascend(gradient, np.asarray(start), max_steps), starts)
    return Climb(*(np.array(column) for column in zip(*found, strict=True)))


def ascend(
    gradient: Gradient, start: np.ndarray, max_steps: int = 200
) -> tuple[np.ndarray, float, int, bool]:
    """Where BFGS ends from one start, the log density there, steps, and whether it is flat there."""
    from scipy.optimize import minimize

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = gradient(jnp.asarray(x))
        if not np.isfinite(float(value)):
            return 1e10, np.zeros_like(x)
        return -float(value), -np.asarray(slope)

    point, steps, flat = start, 0, False
    for _ in range(3):
        steep = max(1.0, float(np.linalg.norm(objective(point)[1])))
        options = {"gtol": 1e-4, "maxiter": max_steps, "hess_inv0": np.eye(len(start)) / steep}
        done = minimize(objective, point, jac=True, method="BFGS", options=options)
        point, steps = done.x, steps + int(done.nit)
        flat = float(np.max(np.abs(done.jac))) < 1e-2 and float(done.fun) < 1e9
        if flat:
            break
    return point, -objective(point)[0], steps, flat


def gradient_of(problem: Problem) -> Callable[[Patients, Point], tuple[Array, Array]]:
    """A compiled function of patients and point for the log density and its gradient."""
    return compiled(problem, lambda problem, x: jax.value_and_grad(problem.log_density)(x))


def hessian(gradient: Gradient, point: Point, step: float = 1e-4) -> np.ndarray:
    """Minus the second derivatives, by central differences of the exact gradient."""
    shifts = step * np.eye(len(point))
    slopes = in_threads(lambda shift: gradient(point + shift)[1], [*shifts, *-shifts])
    above, below = np.split(np.array(slopes), 2)
    matrix = (below - above) / (2 * step)
    return (matrix + matrix.T) / 2


def polish(gradient: Gradient, start: np.ndarray, rounds: int = 10) -> Mode:
    """Newton steps by the curvature of a point that is nearly the mode, each accepted only if it climbs."""
    point = jnp.asarray(start)
    value, slope = gradient(point)
    curvature = hessian(gradient, point)
    moved, rounds = False, rounds if np.linalg.eigvalsh(curvature)[0] > 0 else 0
    for _ in range(rounds):
        if float(jnp.max(jnp.abs(slope))) < 1e-7:
            break
        trial = point + jnp.linalg.solve(jnp.asarray(curvature), slope)
        new, new_slope = gradient(trial)
        if not new >= value - 1e-9:
            break
        point, value, slope, moved = trial, new, new_slope, True
    curvature = hessian(gradient, point) if moved else curvature
    return Mode(np.asarray(point), float(value), float(jnp.max(jnp.abs(slope))), curvature)
