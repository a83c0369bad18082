"""One linearly implicit Runge-Kutta step of a model for whole batches of patients."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import optimization_barrier as barrier

from pkpd.component import Values
from pkpd.model import Model
from pkpd.solve.structure import System

State = dict[str, Array]

# The method RODASP: order 4, L-stable, stiffly accurate, order 4 also where the inflow varies with time.
# Steinebach G. Order-reduction of ROW-methods for DAEs and method of lines applications. TH Darmstadt 1995.
# Hairer E, Wanner G. Solving Ordinary Differential Equations II. Springer 1996, section IV.7, for its form.
GAMMA = 0.25
NODES = (0.0, 0.75, 0.21, 0.63, 1.0, 1.0)
_DRIFT = (0.25, -0.5, -0.023504, -0.0362, 0.0, 0.0)
_LAST = (-7.170454962423024, -4.741636671481785, -16.31002631330971, -1.062004044111401)
_STATES = (
    (),
    (3.0,),
    (1.831036793486759, 0.4955183967433795),
    (2.304376582692669, -0.05249275245743001, -1.176798761832782),
    _LAST,
    (*_LAST, 1.0),
)
_END = (*_LAST, 1.0, 1.0)
_MEMORY = (
    (),
    (-12.0,),
    (-8.791795173947035, -2.207865586973518),
    (10.81793056857153, 6.780270611428266, 19.53485944642410),
    (34.19095006749676, 15.49671153725963, 54.74760875964130, 14.16005392148534),
    (34.62605830930532, 15.30084976114473, 56.99955578662667, 18.40807009793095, -5.714285714285717),
)
_INSIDE = (
    (25.09876703708589, 11.62013104361867, 28.49148307714626, -5.664021568594133, 0.0),
    (1.638054557396973, -0.7373619806678748, 8.477918219238990, 15.99253148779520, -1.882352941176471),
)


class Given(NamedTuple):
    """States that a step does not solve for, at each of `NODES`, and their slopes at its start."""

    stages: Sequence[State]
    slope: State


class Step(NamedTuple):
    """States at both ends of a step, and how they bend in between."""

    start: State
    end: State
    bend: tuple[State, State]

    def at(self, share: float) -> State:
        """States inside the step, to order 3."""
        rest = 1.0 - share
        first, second = self.bend
        return {
            s: rest * self.start[s] + share * (v + rest * (first[s] + share * second[s]))
            for s, v in self.end.items()
        }


def step(
    model: Model,
    system: System,
    y: State,
    given: Given,
    length: Array,
    ticks: Callable[[Array], Values],
    rate: Values,
) -> Step:
    """Steps the states of `system` from `y`; the Jacobian is exact, so nothing is iterated.

    Barriers keep the compiler from computing a stage again wherever it is used.

    `ticks` are the clock signals at an offset, `rate` the constant inflow by state.
    """

    def flow(own: State, known: State, offset: Array) -> State:
        change = model.derivative({**y, **known, **own}, ticks(offset), system.owners, system.needs)
        return {s: jnp.asarray(change[s] + rate[s] if s in rate else change[s]) for s in system.states}

    own, zero = {s: y[s] for s in system.states}, jnp.zeros_like(length)
    first = given.stages[0]
    _, drift = jax.jvp(
        lambda known, offset: flow(own, known, offset), (first, zero), (given.slope, jnp.ones_like(length))
    )
    solve = _solver(lambda part: flow({**own, **part}, first, zero), own, system, GAMMA * length)
    shifts: list[State] = []
    for i, node in enumerate(NODES):
        slope = flow(_sum(own, _STATES[i], shifts), given.stages[i], node * length)
        right = {s: GAMMA * length * v for s, v in slope.items()}
        if _DRIFT[i]:
            right = {s: v + GAMMA * _DRIFT[i] * length**2 * drift[s] for s, v in right.items()}
        right = _sum(right, [GAMMA * c for c in _MEMORY[i]], shifts)
        shifts.append(barrier(dict(zip(own, solve(barrier(list(right.values()))), strict=True))))
    still = dict.fromkeys(own, zero)
    bend = tuple(_sum(still, weights, shifts[:-1]) for weights in _INSIDE)
    return Step(own, _sum(own, _END, shifts), (bend[0], bend[1]))


def _sum(y: State, weights: Sequence[float], shifts: Sequence[State]) -> State:
    for weight, shift in zip(weights, shifts, strict=True):
        if weight:
            y = {s: y[s] + weight * shift[s] for s in y}
    return y


def _solver(
    flow: Callable[[State], State], own: State, system: System, scaled: Array
) -> Callable[[list[Array]], list[Array]]:
    """Solves with `I - scaled J`, eliminated once; J by forward mode, structural zeros left out."""
    place = {s: i for i, s in enumerate(system.states)}
    matrix: list[list[Array | None]] = [[None] * len(place) for _ in place]
    for group in system.columns:
        part = {s: own[s] for s in group}
        _, column = jax.jvp(flow, (part,), ({s: jnp.ones_like(v) for s, v in part.items()},))
        for target, source in system.entries:
            if source in group:
                matrix[place[target]][place[source]] = -scaled * column[target]
    for i, row in enumerate(matrix):
        entry = row[i]
        row[i] = jnp.ones_like(scaled) if entry is None else 1.0 + entry
    factors = barrier(_factorise(matrix))
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
