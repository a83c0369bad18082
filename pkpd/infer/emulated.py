"""The posterior by a sampler that moves on an emulator and asks the model once a move.

A few steps of the No-U-Turn sampler on the emulator's density leave that density as it is, and are as
probable there as back. They are a proposal, accepted with probability `min(1, exp(D(new) - D(old)))`, where D
is the model's log likelihood minus the emulator's: the chain is that of the model's posterior, whatever the
emulator. A poor one is seen in few accepted proposals and small effective sample sizes.

References: Liu JS. Monte Carlo Strategies in Scientific Computing. Springer 2001, section 9.4.3; Christen JA,
Fox C. J Comput Graph Stat 2005;14:795-810, doi 10.1198/106186005X76983; Rasmussen CE. Bayesian Statistics
2003;7:651-659.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer.hmc import HMCState

from pkpd.devices import in_threads
from pkpd.infer.coordinates import coordinates_of
from pkpd.infer.diagnostics import Draws, pareto_k
from pkpd.infer.emulator import Emulator, learn, to_numbers
from pkpd.infer.keep import Keep, Nowhere, same_density
from pkpd.infer.laplace import TRUSTED, Normal
from pkpd.infer.nuts import BLOCK, LogDensity, kernel_of, potential_of, sample, whitening
from pkpd.infer.predict import thin
from pkpd.infer.problem import Evaluate, Problem, evaluator
from pkpd.infer.settings import Settings

Progress = Callable[[str, float], None]

WIDER = 1.2  # first examples are spread so many times as wide as the normal approximation
TRIES = 3  # of an emulator that cannot be trusted
ROUNDS = 2  # then examples come from the emulator's posterior, in so many rounds
MOVES = 3  # steps on the emulator for each question to the model
CAREFUL = 0.95  # of steps are accepted on the emulator, where they cost little
SHOWN = 7  # arrays that a block shows
SETTLE = 100  # iterations in which the chains leave the emulator's posterior for the model's


class Emulation(NamedTuple):
    """How well an emulator did: examples it learnt from, what half of its errors in the log likelihood are
    below, how many of its proposals were accepted, and the Pareto k of the ratio of the two densities, which
    is trusted below 0.7."""

    examples: int
    error: float
    accepted: float
    pareto_k: float

    @classmethod
    def of(cls, examples: int, accepted: np.ndarray, gain: np.ndarray) -> "Emulation":
        """From which proposals were accepted, and by how much the model's log likelihood exceeds there."""
        gain = gain[np.isfinite(gain)]
        error = float(np.median(np.abs(gain - np.median(gain))))
        return cls(examples, error, float(accepted.mean()), pareto_k(gain))


class Examples(NamedTuple):
    """Points [examples, params], and what the model says of each arm there [examples, numbers]."""

    points: np.ndarray
    seen: list[np.ndarray]


def sample_emulated(
    problem: Problem,
    evaluate: Evaluate,
    normal: Normal,
    settings: Settings,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> tuple[Draws, Emulation]:
    """Learns an emulator from `settings.emulate` examples and samples the posterior with its help.

    `warmup` are iterations on the emulator only. Where the emulator cannot be trusted it learns from as many
    more examples as in its last round, at some of the draws, and all is sampled anew, `TRIES` times at most.
    What `keep` holds of the same sampling is gone on with.
    """
    say, keep = progress or (lambda message, share: None), keep or Nowhere()
    known = _examples(problem, evaluate, normal, settings, say, keep)
    turn = 0
    while True:
        emulator, tag = _learnt(problem, normal, settings, known), f"-again-{turn}" if turn else ""
        draws, emulation = sample_on(emulator, evaluate, normal, settings, say, keep, tag)
        if emulation.pareto_k < TRUSTED or turn + 1 == TRIES:
            return draws, emulation._replace(examples=settings.emulate + turn * (settings.emulate // 4))
        say("learning from more examples, because the emulator is off in the tails", 0.5)
        points, name = thin(draws.points, settings.emulate // 4), f"{_name(settings)}-more-{turn}"
        known.append(_asked_once(problem, evaluate, points, name, keep))
        turn += 1


def sample_on(
    emulator: Emulator,
    evaluate: Evaluate,
    normal: Normal,
    settings: Settings,
    progress: Progress | None = None,
    keep: Keep | None = None,
    turn: str = "",
) -> tuple[Draws, Emulation]:
    """Draws of the posterior of the emulator's problem; `keep` knows them by their `turn`."""
    say, keep = progress or (lambda message, share: None), keep or Nowhere()
    tag = f"emulated-{settings.chains}-{settings.warmup}-{settings.emulate}-{settings.seed}{turn}"
    centre, spread = whitening(normal, keep, tag)
    mover = _mover(emulator, evaluate, normal, (centre, spread), settings.warmup)
    white, density, diverging, steps, energy, accepted, gain = _run(mover, settings, say, keep, tag)
    draws = Draws(normal.points(centre + white @ spread.T), density, diverging, steps, energy)
    return draws, Emulation.of(settings.emulate, accepted, gain)


def taught(
    problem: Problem, evaluate: Evaluate, normal: Normal, settings: Settings, say: Progress, keep: Keep
) -> Emulator:
    """The emulator of a problem, from `settings.emulate` examples in rounds; `keep` holds them."""
    known = _examples(problem, evaluate, normal, settings, say, keep)
    return _learnt(problem, normal, settings, known)


def _learnt(problem: Problem, normal: Normal, settings: Settings, known: Sequence[Examples]) -> Emulator:
    points, *seen = (np.concatenate(v) for v in zip(*((e.points, *e.seen) for e in known), strict=True))
    return learn(problem, normal.coordinates, points, seen, settings.seed)


def _examples(
    problem: Problem, evaluate: Evaluate, normal: Normal, settings: Settings, say: Progress, keep: Keep
) -> list[Examples]:
    """What the emulator learns from, round by round."""
    sizes = [settings.emulate - ROUNDS * (settings.emulate // 4)] + ROUNDS * [settings.emulate // 4]
    known: list[Examples] = []
    for turn, size in enumerate(sizes):
        say(f"learning from {sum(sizes[: turn + 1])} examples", 0.5 * sum(sizes[:turn]) / settings.emulate)
        name = f"{_name(settings)}-{turn}"
        if kept := keep.read(name):
            known.append(Examples(kept[0], kept[1:]))
            continue
        emulator = _learnt(problem, normal, settings, known) if known else None
        points = _where(emulator, normal, settings, size, turn)
        known.append(_asked_once(problem, evaluate, points, name, keep))
    return known


def _name(settings: Settings) -> str:
    return f"emulate-{settings.emulate}-{settings.seed}"


def _asked_once(problem: Problem, evaluate: Evaluate, points: np.ndarray, name: str, keep: Keep) -> Examples:
    """What the model says at points, or what is kept of that."""
    if kept := keep.read(name):
        return Examples(kept[0], kept[1:])
    found = _asked(problem, evaluate, points)
    keep.write(name, [found.points, *found.seen])
    return found


def taught_about(
    problem: Problem,
    centre: Float[np.ndarray, " params"],
    spread: Float[np.ndarray, "params params"],
    count: int,
    seed: int,
    keep: Keep,
) -> Emulator:
    """The emulator of a problem, from examples about a point, somewhat wider than normal numbers times
    `spread`; `keep` holds what the model says there."""
    name = f"examples-{count}-{seed}"
    kept = keep.read(name)
    numbers = np.random.default_rng(seed).standard_normal((count, len(centre)))
    points = centre + WIDER * numbers @ spread.T
    examples = Examples(kept[0], kept[1:]) if kept else _asked(problem, evaluator(problem), points)
    if not kept:
        keep.write(name, [examples.points, *examples.seen])
    return learn(problem, coordinates_of(problem, seed), examples.points, examples.seen, seed)


def _where(
    emulator: Emulator | None, normal: Normal, settings: Settings, size: int, turn: int
) -> Float[np.ndarray, "examples params"]:
    """Where the model is asked: about the normal approximation at first, then in the emulator's posterior."""
    if emulator is None:
        centre = normal.top.point
        return normal.points(centre + WIDER * (normal.draw(size, settings.seed) - centre))
    draws, seed = -(-size // settings.chains), settings.seed + turn
    found = sample(_density(emulator), normal, settings.chains, settings.warmup, draws, seed)
    return thin(found.points, size)


def _density(emulator: Emulator) -> LogDensity:
    """The log posterior density with the emulator's likelihood."""
    return lambda x: emulator.log_likelihood(x) - 0.5 * jnp.sum(x**2)


def _asked(problem: Problem, evaluate: Evaluate, points: np.ndarray) -> Examples:
    """What the model says at points, those left out where it says nothing."""
    numbers = jax.jit(lambda seen: [to_numbers(arm) for arm in seen])
    rows = in_threads(lambda x: numbers(evaluate(problem.patients, jnp.asarray(x)).seen), points)
    seen = [np.array(arm) for arm in zip(*rows, strict=True)]
    known = np.all([np.isfinite(arm).all(axis=1) for arm in seen], axis=0)
    return Examples(points[known], [arm[known] for arm in seen])


class _Chain(NamedTuple):
    """Where a chain is, and the model's log likelihood minus the emulator's there."""

    state: HMCState
    gain: float


class _Mover(NamedTuple):
    """What moves a chain: its start on the emulator from a seed, a proposal with the share of its iterations
    that diverged and its steps, the same state on this emulator, and at standardised coordinates the gain and
    the log density."""

    settled: Callable[[int], HMCState]
    proposed: Callable[[HMCState], tuple[HMCState, Array, Array]]
    renewed: Callable[[HMCState], HMCState]
    gain: Callable[[Array], float]
    density: Callable[[Array], float]


def _mover(
    emulator: Emulator,
    evaluate: Evaluate,
    normal: Normal,
    whitened: tuple[np.ndarray, np.ndarray],
    warmup: int,
) -> _Mover:
    centre, spread = map(jnp.asarray, whitened)
    potential = potential_of(_density(emulator), normal, centre, spread)
    kernel = kernel_of(potential, CAREFUL)
    point = jax.jit(lambda u: normal.coordinates.point(centre + spread @ u))
    emulated = jax.jit(emulator.log_likelihood)

    def iterate(state: HMCState, _: None) -> tuple[HMCState, tuple[Array, Array]]:
        state = kernel.sample(state, (), {})
        return state, (state.diverging, state.num_steps)

    settle = jax.jit(lambda state: jax.lax.scan(iterate, state, None, length=warmup)[0])

    def settled(seed: int) -> HMCState:
        key, first = jax.random.split(jax.random.PRNGKey(seed))
        return settle(kernel.init(key, warmup, jax.random.normal(first, centre.shape)))

    @jax.jit
    def proposed(state: HMCState) -> tuple[HMCState, Array, Array]:
        state, (diverging, steps) = jax.lax.scan(iterate, state, None, length=MOVES)
        return state, diverging.mean(), steps.sum()

    @jax.jit
    def renewed(state: HMCState) -> HMCState:
        energy, slope = jax.value_and_grad(potential)(state.z)
        return state._replace(potential_energy=energy, z_grad=slope)

    def gain(u: Array) -> float:
        x = point(u)
        found = float(evaluate(emulator.problem.patients, x).log_likelihood) - float(emulated(x))
        return found if np.isfinite(found) else -np.inf

    energy = jax.jit(potential)
    return _Mover(settled, proposed, renewed, gain, lambda u: gain(u) - float(energy(u)))


def _run(mover: _Mover, settings: Settings, say: Progress, keep: Keep, tag: str) -> list[np.ndarray]:
    """What the blocks of all chains show [chains, iterations, ...], after they have settled.

    Raises `InputError` where what is kept is of another density.
    """
    total = SETTLE + settings.draws
    blocks: list[list[np.ndarray]] = []
    chains: list[_Chain] = []
    last: list[np.ndarray] = []
    for block in range(-(-total // BLOCK)):
        done = block * BLOCK
        say(f"sampling: {done} of {total} iterations in each chain", 0.5 + 0.5 * done / total)
        if kept := keep.read(f"{tag}-{block}"):
            blocks.append(kept[:SHOWN])
            last, chains = kept, []
            continue
        chains = chains or _begun(mover, settings, last)
        moved = in_threads(
            lambda i, block=block, chains=chains: _block(mover, chains[i], (settings.seed, i, block)),
            range(settings.chains),
            ready=True,
        )
        chains = [chain for chain, _ in moved]
        blocks.append([np.array(column) for column in zip(*(rows for _, rows in moved), strict=True)])
        keep.write(f"{tag}-{block}", [*blocks[-1], *_packed(chains)])
    if not chains:
        same_density(mover.density(jnp.asarray(last[0][0, -1])), float(last[1][0, -1]))
    return [np.concatenate(v, axis=1)[:, SETTLE:total] for v in zip(*blocks, strict=True)]


def _packed(chains: list[_Chain]) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in zip(*(jax.tree.leaves(c.state) for c in chains), strict=True)]


def _begun(mover: _Mover, settings: Settings, last: list[np.ndarray]) -> list[_Chain]:
    """Chains from the emulator's posterior, or from the end of the `last` block that is kept; after it all is
    compiled.

    Raises `InputError` where what is kept is of another density.
    """

    def begin(place: int) -> _Chain:
        if not last:
            state = mover.settled(settings.seed + place)
            mover.proposed(state)
            return _Chain(state, mover.gain(state.z))
        structure = jax.tree.structure(jax.eval_shape(lambda: mover.settled(0)))
        leaves = [jnp.asarray(leaf[place]) for leaf in last[SHOWN:]]
        then = jax.tree.unflatten(structure, leaves)
        state = mover.renewed(then)
        if np.isclose(state.potential_energy, then.potential_energy, rtol=1e-9):
            state = then
        mover.proposed(state)
        gain = mover.gain(state.z)
        same_density(gain - float(state.potential_energy), float(last[1][place, -1]))
        return _Chain(state, gain)

    return in_threads(begin, range(settings.chains))


def _block(mover: _Mover, chain: _Chain, seed: tuple[int, ...]) -> tuple[_Chain, list[np.ndarray]]:
    """A block of iterations: coordinates, log densities, shares that diverged, steps, energies, which
    proposals were accepted, and the gain at each."""
    rows = []
    for chance in np.random.default_rng(seed).uniform(size=BLOCK):
        state, diverging, steps = mover.proposed(chain.state)
        gain = mover.gain(state.z)
        accepted = bool(np.log(chance) < gain - chain.gain)
        if accepted:
            chain = _Chain(state, gain)
        else:
            here = {name: getattr(chain.state, name) for name in ("z", "z_grad", "potential_energy")}
            chain = chain._replace(state=state._replace(**here))
        density = chain.gain - float(chain.state.potential_energy)
        energy = float(state.energy - state.potential_energy) - density
        rows.append((chain.state.z, density, diverging, steps, energy, accepted, gain))
    return chain, [np.array(column) for column in zip(*rows, strict=True)]
