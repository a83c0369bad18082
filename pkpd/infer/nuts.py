"""The posterior by the No-U-Turn sampler, in coordinates whitened by the normal approximation."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpyro.infer import NUTS

from pkpd.devices import jitted
from pkpd.infer.diagnostics import Draws
from pkpd.infer.keep import Keep, Nowhere, same_density
from pkpd.infer.laplace import Normal
from pkpd.infer.problem import Point

LogDensity = Callable[[Point], jax.Array]

BLOCK = 50
SEEN = 5  # arrays that a block shows


def sample(
    log_density: LogDensity,
    normal: Normal,
    chains: int = 4,
    warmup: int = 500,
    draws: int = 500,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
    keep: Keep | None = None,
) -> Draws:
    """Samples the density of points in coordinates in which its normal approximation is standard normal.

    Chains start from the normal approximation and are spread over the devices that there are. What `keep`
    holds of the same sampling is gone on with, in the coordinates that it began with; raises `InputError`
    where it is of another density.

    References: Hoffman MD, Gelman A. J Mach Learn Res 2014;15:1593-1623.
    """
    say, total = progress or (lambda message, share: None), warmup + draws
    keep = keep or Nowhere()
    centre, spread = map(jnp.asarray, whitening(normal, keep, f"{chains}-{warmup}-{seed}"))

    potential = potential_of(log_density, normal, centre, spread)

    def tell(done: int) -> None:
        message = f"sampling the posterior: {done} of {total} iterations in each of {chains} chains"
        say(message, done / total)

    blocks = []
    tell(0)
    for found in _blocks(potential, (chains, len(centre)), warmup, seed, keep):
        blocks.append(found)
        done = min(BLOCK * len(blocks), total)
        tell(done)
        if done == total:
            break
    white, energy, diverging, steps, total_energy = (
        np.concatenate(v, axis=1)[:, warmup:total] for v in zip(*blocks, strict=True)
    )
    points = normal.points(np.asarray(centre) + white @ np.asarray(spread).T)
    return Draws(points, -energy, diverging, steps, total_energy)


def potential_of(
    log_density: LogDensity, normal: Normal, centre: jax.Array, spread: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    """Minus the log density of the numbers `u` that lie at the coordinates `centre + spread u`."""

    def potential(u: jax.Array) -> jax.Array:
        z = centre + spread @ u
        return -log_density(normal.coordinates.point(z)) - normal.coordinates.log_jacobian(z)

    return potential


def kernel_of(potential: Callable[[jax.Array], jax.Array], accepted: float = 0.85) -> NUTS:
    """The sampler's kernel, whose steps are such that a share of them is `accepted`."""
    return NUTS(potential_fn=potential, target_accept_prob=accepted, max_tree_depth=8, step_size=0.5)


def whitening(normal: Normal, keep: Keep, name: str) -> list[np.ndarray]:
    """Centre and spread of the sampling that is kept, or of the normal approximation."""
    found = keep.read(f"{name}-coordinates")
    if found is None:
        found = [np.asarray(normal.top.point), np.asarray(normal.spread())]
        keep.write(f"{name}-coordinates", found)
    return found


def _blocks(
    potential: Callable[[jax.Array], jax.Array], shape: tuple[int, int], warmup: int, seed: int, keep: Keep
) -> Iterator[list[np.ndarray]]:
    """Blocks of iterations without end: what they show [chains, iterations, ...]."""
    kernel = kernel_of(potential)

    def begin(start: tuple[jax.Array, jax.Array]) -> Any:
        return kernel.init(start[0], warmup, start[1])

    def advance(state: Any) -> tuple[Any, tuple[jax.Array, ...]]:
        def iterate(state: Any, _: None) -> tuple[Any, tuple[jax.Array, ...]]:
            state = kernel.sample(state, (), {})
            return state, (state.z, state.potential_energy, state.diverging, state.num_steps, state.energy)

        return jax.lax.scan(iterate, state, None, length=BLOCK)

    key, first = jax.random.split(jax.random.PRNGKey(seed))
    starts = (jax.random.split(key, shape[0]), jax.random.normal(first, shape))
    state, run = _over_chains(begin, shape[0])(starts), _over_chains(advance, shape[0])
    structure, resumed = jax.tree.structure(state), False
    for block in itertools.count():
        name = f"{shape[0]}-{warmup}-{seed}-{block}"
        if kept := keep.read(name):
            found, state = kept[:SEEN], jax.tree.unflatten(structure, kept[SEEN:])
            if not resumed:
                same_density(-float(jax.jit(potential)(state.z[0])), -float(state.potential_energy[0]))
            resumed = True
        else:
            state, seen = run(state)
            found = [np.asarray(v) for v in seen]
            keep.write(name, [*found, *map(np.asarray, jax.tree.leaves(state))])
        yield found


def _over_chains(function: Callable[[Any], Any], chains: int) -> Callable[[Any], Any]:
    """`function` of one chain, compiled for the leading axis of `chains`; one after the other on a device."""
    devices = math.gcd(len(jax.local_devices()), chains)
    mesh = Mesh(np.array(jax.local_devices()[:devices]), ("chains",))
    split = PartitionSpec("chains")
    spread = jax.shard_map(
        lambda x: jax.lax.map(function, x), mesh=mesh, in_specs=(split,), out_specs=split, check_vma=False
    )
    return jitted(spread)
