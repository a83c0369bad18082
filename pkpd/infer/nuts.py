"""The posterior by the No-U-Turn sampler, in coordinates whitened by the normal approximation."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS

from pkpd.infer.diagnostics import Draws
from pkpd.infer.laplace import Normal
from pkpd.infer.problem import Problem


def sample(
    problem: Problem, normal: Normal, chains: int = 4, warmup: int = 500, draws: int = 500, seed: int = 0
) -> Draws:
    """Samples the posterior in coordinates in which its normal approximation is standard normal.

    Chains start from the normal approximation and run in parallel where there is a device for each.

    References: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623.
    """
    spread, centre = jnp.asarray(normal.spread()), jnp.asarray(normal.top.point)

    def potential(u: jax.Array) -> jax.Array:
        z = centre + spread @ u
        return -problem.log_density(normal.coordinates.point(z)) - normal.coordinates.log_jacobian(z)

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
    start = jax.random.normal(first, (chains, len(centre)))
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
    points = normal.points(np.asarray(centre) + white @ np.asarray(spread).T)
    return Draws(points, -extra["potential_energy"], extra["diverging"], extra["num_steps"], extra["energy"])
