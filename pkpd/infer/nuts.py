"""The posterior by the No-U-Turn sampler, whitened at the mode."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS

from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem


class Draws(NamedTuple):
    """Points [chains, draws, params], log densities, divergences, leapfrog steps, energies."""

    points: np.ndarray
    log_density: np.ndarray
    diverging: np.ndarray
    steps: np.ndarray
    energy: np.ndarray


def sample(
    problem: Problem, mode: Mode, chains: int = 4, warmup: int = 500, draws: int = 500, seed: int = 0
) -> Draws:
    """Samples `log_density` in coordinates in which the posterior at the mode is standard normal.

    Chains start from the normal approximation and run in parallel where there is a device for each.

    References: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623.
    """
    spread = jnp.asarray(np.linalg.cholesky(np.linalg.inv(mode.hessian)))
    centre = jnp.asarray(mode.point)

    def potential(u: jax.Array) -> jax.Array:
        return -problem.log_density(centre + spread @ u)

    kernel = NUTS(
        potential_fn=potential,
        dense_mass=False,
        adapt_mass_matrix=True,
        target_accept_prob=0.85,
        max_tree_depth=8,
        step_size=0.5,
    )
    method = "parallel" if jax.local_device_count() >= chains else "sequential"
    key, first = jax.random.split(jax.random.key(seed))
    start = jax.random.normal(first, (chains, len(mode.point)))
    run = MCMC(
        kernel,
        num_warmup=warmup,
        num_samples=draws,
        num_chains=chains,
        chain_method=method,
        progress_bar=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.run(
            key,
            init_params=start if chains > 1 else start[0],
            extra_fields=("diverging", "num_steps", "energy", "potential_energy"),
        )
    white = np.asarray(run.get_samples(group_by_chain=True))
    extra = {k: np.asarray(v) for k, v in run.get_extra_fields(group_by_chain=True).items()}
    points = np.asarray(centre) + white @ np.asarray(spread).T
    return Draws(points, -extra["potential_energy"], extra["diverging"], extra["num_steps"], extra["energy"])
