"""The posterior by the No-U-Turn sampler, in coordinates whitened by the normal approximation."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpyro.infer import NUTS

from pkpd.devices import compile_options
from pkpd.infer.diagnostics import Draws
from pkpd.infer.laplace import Normal
from pkpd.infer.problem import Problem

BLOCK = 50


def sample(
    problem: Problem,
    normal: Normal,
    chains: int = 4,
    warmup: int = 500,
    draws: int = 500,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Draws:
    """Samples the posterior in coordinates in which its normal approximation is standard normal.

    Chains start from the normal approximation and are spread over the devices that there are.

    References: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623.
    """
    say = progress or (lambda message, share: None)
    spread, centre = jnp.asarray(normal.spread()), jnp.asarray(normal.top.point)

    def potential(u: jax.Array) -> jax.Array:
        z = centre + spread @ u
        return -problem.log_density(normal.coordinates.point(z)) - normal.coordinates.log_jacobian(z)

    kernel = NUTS(potential_fn=potential, target_accept_prob=0.85, max_tree_depth=8, step_size=0.5)

    def begin(start: tuple[jax.Array, jax.Array]) -> Any:
        return kernel.init(start[0], warmup, start[1])

    def advance(state: Any) -> tuple[Any, tuple[jax.Array, ...]]:
        def iterate(state: Any, _: None) -> tuple[Any, tuple[jax.Array, ...]]:
            state = kernel.sample(state, (), {})
            return state, (state.z, state.potential_energy, state.diverging, state.num_steps, state.energy)

        return jax.lax.scan(iterate, state, None, length=BLOCK)

    key, first = jax.random.split(jax.random.key(seed))
    starts = (jax.random.split(key, chains), jax.random.normal(first, (chains, len(centre))))
    state, run = _over_chains(begin, chains)(starts), _over_chains(advance, chains)
    blocks, total = [], warmup + draws
    for done in range(0, total, BLOCK):
        message = f"sampling the posterior: {done} of {total} iterations in each of {chains} chains"
        say(message, done / total)
        state, found = run(state)
        blocks.append([np.asarray(v) for v in found])
    white, energy, diverging, steps, total_energy = (
        np.concatenate(v, axis=1)[:, warmup:total] for v in zip(*blocks, strict=True)
    )
    points = normal.points(np.asarray(centre) + white @ np.asarray(spread).T)
    return Draws(points, -energy, diverging, steps, total_energy)


def _over_chains(function: Callable[[Any], Any], chains: int) -> Callable[[Any], Any]:
    """`function` of one chain, compiled for the leading axis of `chains`; one after the other on a device."""
    devices = math.gcd(len(jax.local_devices()), chains)
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("chains",))
    split = PartitionSpec("chains")
    spread = jax.shard_map(
        lambda x: jax.lax.map(function, x), mesh=mesh, in_specs=(split,), out_specs=split, check_vma=False
    )
    return jax.jit(spread, compiler_options=compile_options())
