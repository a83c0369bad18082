"""Posteriors of many data sets of one problem as one batch of chains.

What a model says of an arm does not depend on the counts, so that one emulator moves the chains of all data
sets; the model accepts or rejects where they are moved to, as in `pkpd.infer.emulated`. While it moves them
the counts of an arm are taken for independent, because their joint probability for counts that are not known
when the program is compiled costs a hundred times what the emulator does.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.infer.hmc import HMCState

from pkpd.infer.batch import Density
from pkpd.infer.emulated import CAREFUL, MOVES, SETTLE
from pkpd.infer.emulator import Emulator
from pkpd.infer.items import Item, log_density_of, log_likelihood_of
from pkpd.infer.lanes import Lane, at_origin, led, of_coordinates
from pkpd.infer.nuts import kernel_of
from pkpd.infer.problem import Problem


class Chains(NamedTuple):
    """Of each item [items, chains, draws, ...]: points [params], the log likelihood there, what the model
    predicts for the arms, the share of a proposal that diverged, whether it was accepted, and the energy."""

    points: Array
    log_likelihood: Array
    predictions: Array
    diverging: Array
    accepted: Array
    energy: Array


class _Here(NamedTuple):
    """Where a chain is: the sampler's state, the model's log likelihood and its excess over the emulator's,
    and what the model predicts."""

    state: HMCState
    log_likelihood: Array
    gain: Array
    predictions: Array


def sample_many(
    problem: Problem, emulator: Emulator, items: Item, keys: Array, chains: int, warmup: int, draws: int
) -> Chains:
    """Draws of the posterior of each item; `keys` are one for each.

    Chains begin about the mode of the emulator's posterior. `warmup` are iterations on the emulator only.
    """
    lanes = led(_moving(problem, emulator), at_origin(items, len(keys), len(problem.priors)))

    def one(lane: Lane, key: Array) -> Chains:
        each = jax.random.split(key, chains)
        return jax.vmap(lambda k: _chain(problem, emulator, lane, k, warmup, draws))(each)

    return jax.vmap(one)(lanes, keys)


def _chain(problem: Problem, emulator: Emulator, lane: Lane, key: Array, warmup: int, draws: int) -> Chains:
    density = _moving(problem, emulator)
    first, settling, moving = jax.random.split(key, 3)
    kernel = kernel_of(lambda u: -density(lane.item, lane.point(u)), CAREFUL)

    def point(state: HMCState) -> Array:
        return emulator.coordinates.point(lane.point(state.z))

    def iterate(state: HMCState, _: None) -> tuple[HMCState, Array]:
        state = kernel.sample(state, (), {})
        return state, state.diverging

    def here(state: HMCState) -> _Here:
        x = point(state)
        seen = problem.seen(x)
        told = log_likelihood_of(problem, lane.item, seen)
        gain = told - log_likelihood_of(_apart(problem), lane.item, emulator.seen(x))
        gain = jnp.where(jnp.isfinite(gain), gain, -jnp.inf)
        return _Here(state, told, gain, jnp.concatenate(problem.predictions(seen)))

    def move(now: _Here, chance: Array) -> tuple[_Here, tuple[Any, ...]]:
        state, diverging = jax.lax.scan(iterate, now.state, None, length=MOVES)
        new = here(state)
        accepted = jnp.log(chance) < new.gain - now.gain
        stay = {name: getattr(now.state, name) for name in ("z", "z_grad", "potential_energy")}
        rejected = now._replace(state=state._replace(**stay))
        then = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, rejected)
        energy = state.energy - state.potential_energy + then.state.potential_energy - then.gain
        shown = (
            point(then.state),
            then.log_likelihood,
            then.predictions,
            diverging.mean(),
            accepted,
            energy,
        )
        return then, shown

    state = kernel.init(settling, warmup, jax.random.normal(first, lane.start.shape))
    state, _ = jax.lax.scan(iterate, state, None, length=warmup)
    chances = jax.random.uniform(moving, (SETTLE + draws,))
    _, shown = jax.lax.scan(move, here(state), chances)
    return Chains(*(v[SETTLE:] for v in shown))


def _apart(problem: Problem) -> Problem:
    """The problem with the counts of an arm taken for independent."""
    return dataclasses.replace(problem, joint=False)


def _moving(problem: Problem, emulator: Emulator) -> Density:
    """The density of coordinates by which chains are moved."""
    return of_coordinates(log_density_of(_apart(problem), emulator.seen), emulator.coordinates)
