"""One implicit Runge-Kutta step of a model, block by block, for whole batches of patients."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from pkpd.component import Values
from pkpd.model import Model
from pkpd.solve.structure import Block

State = dict[str, Array]

# SDIRK of order 3 with 3 stages, L-stable and stiffly accurate.
# Alexander R. SIAM J Numer Anal 1977;14:1006-1021, doi 10.1137/0714068.
GAMMA = 0.43586652150845967
_B1 = -1.5 * GAMMA**2 + 4.0 * GAMMA - 0.25
_B2 = 1.5 * GAMMA**2 - 5.0 * GAMMA + 1.25
NODES = (GAMMA, (1.0 + GAMMA) / 2.0, 1.0)
WEIGHTS = (_B1, _B2, GAMMA)
_EARLIER = ((), ((1.0 - GAMMA) / 2.0,), (_B1, _B2))


def step(
    model: Model,
    blocks: tuple[Block, ...],
    y: State,
    slope: State,
    length: Array,
    ticks: Callable[[Array], Values],
    known: Sequence[State],
    rate: Values,
    newton: int = 2,
) -> tuple[list[State], State]:
    """States at the three stages (the last one is the end of the step) and the slope at the end.

    Blocks are solved in turn; a state that a block needs before its turn is predicted by `slope`,
    the slope at the end of the step before. `known` gives states that are known, by stage, `ticks` the
    clock signals at an offset, `rate` the inflow by state; other states stay as they are.
    """
    slopes: list[State] = []
    stages: list[State] = []
    scaled = GAMMA * length
    for node, earlier, given in zip(NODES, _EARLIER, known, strict=True):
        clock = ticks(node * length)
        base = y | given
        for s in slope:
            for weight, before in zip(earlier, slopes, strict=True):
                base[s] = base[s] + length * weight * before[s]
        values = base | {s: base[s] + scaled * slope[s] for s in slope}
        here: State = {}
        for block in blocks:
            solved = _stage(model, block, base, values, slope, scaled, clock, rate, newton)
            here |= solved
            values |= {s: base[s] + scaled * solved[s] for s in solved}
        slope = here
        slopes.append(here)
        stages.append(values)
    return stages, slope


def _stage(
    model: Model,
    block: Block,
    base: State,
    values: State,
    guess: State,
    scaled: Array,
    clock: Values,
    rate: Values,
    newton: int,
) -> State:
    """Slopes `k = f(base + scaled k)` of a block; differentiated by the implicit-function rule."""

    def flow(own: State) -> State:
        change = model.derivative({**values, **own}, clock, block.owners, block.needs)
        return {s: jnp.asarray(change[s] + rate[s] if s in rate else change[s]) for s in block.states}

    def at(slope: State) -> State:
        return {s: base[s] + scaled * slope[s] for s in block.states}

    slope = {s: stop_gradient(guess[s]) for s in block.states}
    solve = None
    for _ in range(1 if block.linear else newton):
        here = {s: stop_gradient(v) for s, v in at(slope).items()}
        solve = _solver(flow, here, block, scaled)
        slope = {s: stop_gradient(v) for s, v in _update(flow(here), slope, solve, block).items()}
    assert solve is not None
    return _update(flow(at(slope)), slope, solve, block)


def _update(change: State, slope: State, solve: Callable[[list[Array]], list[Array]], block: Block) -> State:
    shift = solve([change[s] - slope[s] for s in block.states])
    return {s: slope[s] + d for s, d in zip(block.states, shift, strict=True)}


def _solver(
    flow: Callable[[State], State], values: State, block: Block, scaled: Array
) -> Callable[[list[Array]], list[Array]]:
    """Solves with `I - scaled J`, eliminated once; J by forward mode, structural zeros left out."""
    matrix: list[list[Array | None]] = [[None] * len(block.states) for _ in block.states]
    for j, source in enumerate(block.states):
        tangent = {s: jnp.ones_like(v) if s == source else jnp.zeros_like(v) for s, v in values.items()}
        _, column = jax.jvp(flow, (values,), (tangent,))
        for i, target in enumerate(block.states):
            if (target, source) in block.coupled:
                matrix[i][j] = -scaled * column[target]
        own = matrix[j][j]
        matrix[j][j] = jnp.ones_like(scaled) if own is None else 1.0 + own
    factors = _factorise([[None if v is None else stop_gradient(v) for v in row] for row in matrix])
    return lambda right: _substitute(factors, right)


def _factorise(lu: list[list[Array | None]]) -> list[list[Array | None]]:
    for k in range(len(lu)):
        lu[k][k] = 1.0 / lu[k][k]  # pyright: ignore[reportOperatorIssue]
        for i in range(k + 1, len(lu)):
            if lu[i][k] is not None:
                _eliminate(lu, i, k)
    return lu


def _eliminate(lu: list[list[Array | None]], i: int, k: int) -> None:
    entry, inverse = lu[i][k], lu[k][k]
    assert entry is not None
    assert inverse is not None
    ratio = lu[i][k] = entry * inverse
    for j in range(k + 1, len(lu)):
        upper, old = lu[k][j], lu[i][j]
        if upper is not None:
            lu[i][j] = -ratio * upper if old is None else old - ratio * upper


def _substitute(lu: list[list[Array | None]], right: list[Array]) -> list[Array]:
    x = list(right)
    for i in range(len(lu)):
        for k in range(i):
            entry = lu[i][k]
            x[i] = x[i] if entry is None else x[i] - entry * x[k]
    for i in reversed(range(len(lu))):
        for k in range(i + 1, len(lu)):
            entry = lu[i][k]
            x[i] = x[i] if entry is None else x[i] - entry * x[k]
        inverse = lu[i][i]
        assert inverse is not None
        x[i] = x[i] * inverse
    return x
