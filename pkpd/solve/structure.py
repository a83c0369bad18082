"""Which state's derivative depends on which state, found on the model itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.devices import float64
from pkpd.model import Model

STILL = 1e-10  # a change that is rounding
PROBES = 256  # where nothing may happen: some terms act above a threshold or part of the day only


@dataclass(frozen=True)
class Block:
    """States that must be solved together, what acts on them, and the components that this needs."""

    states: tuple[str, ...]
    owners: frozenset[str]
    needs: frozenset[str]
    coupled: frozenset[tuple[str, str]]
    inflows: frozenset[tuple[str, str]]
    filters: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """The states that are not filters."""
        return tuple(s for s in self.states if s not in self.filters)


@dataclass(frozen=True)
class Structure:
    """Blocks in an order in which each can be solved.

    `cascade` are fast, linear and depend on nothing else, and amounts go to and fro in them, while none comes
    from elsewhere: they have an exact flow. `fast` are the other fast blocks. `slow` are the rest. `sources`
    are pairs of an output and a state that it depends on. `together` gives the blocks of some states when all
    of them are solved together.
    """

    cascade: tuple[Block, ...]
    fast: tuple[Block, ...]
    slow: tuple[Block, ...]
    sources: frozenset[tuple[str, str]]
    together: Callable[[frozenset[str]], tuple[Block, ...]]


@lru_cache(maxsize=64)
def _structure(key: "_Key") -> Structure:
    with jax.ensure_compile_time_eval():
        return _analyse(key.model)


class _Key:
    """Hash of what fixes the structure: component types, wires and which parameters are infinite, which drops
    their terms; no other values."""

    def __init__(self, model: Model):
        leaves, tree = jax.tree.flatten(model)
        endless = tuple(isinstance(v, float) and np.isinf(v) for v in leaves)
        fill = np.where(endless, np.inf, np.linspace(0.31, 0.77, len(leaves)))
        self.model = jax.tree.unflatten(tree, fill.tolist())
        parts = tuple((n, type(c), c.states) for n, c in model.components.items())
        self._id = (parts, model.wires, endless)

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._id == other._id


def structure(model: Model) -> Structure:
    """The blocks of a model; cached per structure."""
    return _structure(_Key(model))


def resting(model: Model, entered: frozenset[str]) -> frozenset[str]:
    """States that stay where they start, whatever the parameters, when doses enter none but some states."""
    return _resting(_Key(model), entered)


@lru_cache(maxsize=64)
def _resting(key: "_Key", entered: frozenset[str]) -> frozenset[str]:
    """Those that move at no time while parameters and the other states have any values, small and large."""
    with jax.ensure_compile_time_eval(), float64():
        leaves, tree = jax.tree.flatten(key.model)
        scatter = np.random.default_rng(0)
        spread = 10.0 ** scatter.uniform(-2.0, 2.0, (len(leaves), PROBES))
        model = jax.tree.unflatten(tree, [v * jnp.asarray(w) for v, w in zip(leaves, spread, strict=True)])
        away = jnp.asarray(10.0 ** scatter.uniform(-3.0, 3.0, (1 + len(model.states), PROBES)))
        initial = {s: jnp.asarray(v, float) for s, v in model.initial().items()}
        rest = frozenset(model.states) - entered
        while True:
            values = {
                s: v if s in rest else v + w for (s, v), w in zip(initial.items(), away[1:], strict=True)
            }
            change = model.derivative(values, _ticks(model, away[0]))
            share = {s: jnp.max(jnp.abs(change[s]) / (1.0 + jnp.abs(initial[s]))) for s in rest}
            moving = {s for s, v in share.items() if not float(v) <= STILL}
            if not moving:
                return rest
            rest -= moving


def _ticks(model: Model, time: jax.Array) -> dict[str, jax.Array]:
    """A time that is not special, and one since the first dose of each drug."""
    return {"time": 0.4 + time} | {f"{d.name}.since": 0.3 + time for d in model.drugs}


def _analyse(model: Model) -> Structure:
    states = model.states
    flat = jnp.linspace(0.35, 0.9, len(states))

    def rates(values: jax.Array, time: jax.Array) -> jax.Array:
        change = model.derivative(dict(zip(states, values, strict=True)), _ticks(model, time))
        return jnp.stack([jnp.asarray(change[s], float) for s in states])

    def signals(values: jax.Array, time: jax.Array) -> jax.Array:
        found = model.signals(dict(zip(states, values, strict=True)), _ticks(model, time))
        return jnp.stack([jnp.asarray(found[s], float) for s in model.outputs])

    def at_two_points(function: Callable) -> list[np.ndarray]:
        points = ((flat, jnp.zeros(())), (flat * 1.7 + 0.1, jnp.ones(())))
        return [np.asarray(jax.jacfwd(function)(*point)) for point in points]

    def alone(time: jax.Array) -> jax.Array:
        return rates(jnp.zeros(len(states)), time)

    times = jnp.linspace(0.0, 10.0, PROBES)
    made = np.abs(np.asarray(jax.vmap(alone)(times))).max(axis=0, initial=0.0) > 0.0
    here, there = at_two_points(rates)
    depends, curved = (here != 0) | (there != 0), here != there
    follows = np.logical_or(*(v != 0 for v in at_two_points(signals)))
    sources = frozenset((model.outputs[i], states[j]) for i, j in np.argwhere(follows))
    scale = {f"{n}.{s}": part.scale for n, part in model.components.items() for s in part.states}
    halves = {kind: [i for i, s in enumerate(states) if scale[s] == kind] for kind in ("fast", "slow")}
    blocks = {kind: _blocks(model, states, depends, curved, members) for kind, members in halves.items()}
    exact: list[Block] = []
    for block in blocks["fast"]:
        own = {s for b in exact for s in b.states} | set(block.states)
        rows = [states.index(s) for s in block.states]
        closed = {s for _, s in block.inflows} <= own and not (curved[rows].any() or made[rows].any())
        if closed and _exchanges(here[np.ix_(rows, rows)]):
            exact.append(block)
    rest = tuple(b for b in blocks["fast"] if b not in exact)

    @lru_cache(maxsize=16)
    def together(names: frozenset[str]) -> tuple[Block, ...]:
        return _blocks(model, states, depends, curved, [i for i, s in enumerate(states) if s in names])

    return Structure(tuple(exact), rest, blocks["slow"], sources, together)


def _exchanges(rates: np.ndarray) -> bool:
    """Whether up to three states only give amounts to each other, to and fro along a tree."""
    between = rates - np.diag(np.diag(rates))
    given = between > 0.0
    tree = np.array_equal(given, given.T) and int(given.sum()) == 2 * (len(rates) - 1)
    return len(rates) <= 3 and tree and bool(np.all(between >= 0.0))


def _blocks(
    model: Model, states: tuple[str, ...], depends: np.ndarray, curved: np.ndarray, members: list[int]
) -> tuple[Block, ...]:
    from scipy.sparse.csgraph import connected_components

    if not members:
        return ()
    inner = depends[np.ix_(members, members)]
    count, label = connected_components(inner, directed=True, connection="strong")
    groups = [[members[i] for i in np.flatnonzero(label == k)] for k in range(count)]
    ordered: list[list[int]] = []
    while groups:
        done = {i for group in ordered for i in group}
        rest = {i for group in groups for i in group}
        ready = [g for g in groups if not any(depends[i, j] for i in g for j in rest - set(g) - done)]
        ordered += ready
        groups = [g for g in groups if g not in ready]
    return tuple(_block(model, states, depends, curved, group) for group in ordered)


def _block(
    model: Model, states: tuple[str, ...], depends: np.ndarray, curved: np.ndarray, group: list[int]
) -> Block:
    names = tuple(states[i] for i in group)
    coupled = frozenset((states[i], states[j]) for i in group for j in group if depends[i, j])
    inflows = frozenset((states[i], states[j]) for i in group for j in np.flatnonzero(depends[i]))
    owners = frozenset(n.rpartition(".")[0] for n in names)
    filters = tuple(states[i] for i in _filters(depends, curved, group))
    return Block(names, owners, _ancestors(model, owners), coupled, inflows, filters)


def _filters(depends: np.ndarray, curved: np.ndarray, group: list[int]) -> list[int]:
    """States that decay at a constant rate, in an order in which each follows from those before it and the
    rest of the group."""
    chosen: list[int] = []
    for i in (i for i in group if not curved[i, i]):
        later = [j for j in chosen if depends[j, i]]
        earlier = [j for j in chosen if depends[i, j]]
        first = min((chosen.index(j) for j in later), default=len(chosen))
        if all(chosen.index(j) < first for j in earlier):
            chosen.insert(first, i)
    return chosen


def _ancestors(model: Model, owners: frozenset[str]) -> frozenset[str]:
    """The components whose outputs are needed to evaluate the derivatives of `owners`."""
    wires: Mapping[tuple[str, str], tuple[str, ...]] = {(o, p): s for o, p, s in model.wires}
    needed, todo = set(owners), [(owner, port) for owner in owners for port in model.components[owner].inputs]
    while todo:
        for source in wires.get(todo.pop(), ()):
            name = source.rpartition(".")[0]
            if name in model.components and name not in needed:
                needed.add(name)
                todo += [(name, port) for port in model.components[name].direct]
    return frozenset(needed)
