"""Where doses that are repeated for ever lead nonlinear states: a fixed point of the map over an interval."""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import optimistix as optx
from jax import Array

from pkpd.model import Model
from pkpd.solve.solver import Repeated, clock

State = dict[str, Array]
FIRST = 3  # intervals that Newton's method starts after
MOST_STEPS = 50


class Tolerance(NamedTuple):
    """Of the integrator, and how many steps it may take."""

    rtol: float
    atol: float
    max_steps: int


def settled(model: Model, state: str, dose: Repeated, tolerance: Tolerance) -> State:
    """By how much the states have moved from their start, just before the last dose of an endless series.

    Doses and parameters have the same shape [...], and so has the result; NaN where nothing settles.
    """
    shape = dose.interval.shape
    told = dose.interval, dose.lag, dose.amount, dose.rate, dose.duration
    numbers = [jnp.broadcast_to(jnp.asarray(v, float), shape).ravel() for v in told]
    if dose.endless is not None:
        numbers.append(jnp.broadcast_to(dose.endless, shape).ravel())
    leaves, tree = jax.tree.flatten(model)
    own = [jnp.broadcast_to(jnp.asarray(v, float), shape).ravel() for v in leaves]

    def one(column: tuple[list[Array], list[Array]]) -> State:
        own, numbers = column
        interval, lag, amount, rate, duration = numbers[:5]
        endless = None if dose.endless is None else numbers[5]
        this = Repeated(interval, lag, amount, rate, duration, dose.earlier, endless)
        return _settled(jax.tree.unflatten(tree, own), state, this, tolerance)

    found = jax.lax.map(one, (own, numbers))
    return {s: v.reshape(shape) for s, v in found.items()}


def _settled(model: Model, state: str, dose: Repeated, tolerance: Tolerance) -> State:
    start = {s: jnp.asarray(v, float) for s, v in model.initial().items()}
    forever = {drug.name: jnp.full((), -jnp.inf) for drug in model.drugs}

    def rates(y: State, flow: Array, model: Model) -> State:
        change = model.derivative(y, clock(jnp.zeros(()), forever))
        return {s: jnp.asarray(change[s]) + (flow if s == state else 0.0) for s in y}

    def moved(y: State, given: tuple[Model, Repeated]) -> State:
        model, dose = given
        after = _over_interval(rates, y, state, model, dose, tolerance)
        gap = {s: after[s] - y[s] for s in y}
        if dose.endless is None:
            return gap
        still = rates(y, dose.rate, model)
        return {s: jnp.where(dose.endless, still[s], v) for s, v in gap.items()}

    near = start
    for _ in range(FIRST):
        near = _over_interval(rates, near, state, model, dose, tolerance)
    solver = optx.Newton(rtol=10.0 * tolerance.rtol, atol=10.0 * tolerance.atol)
    given = (model, dose)
    solution = optx.root_find(moved, solver, near, given, max_steps=MOST_STEPS, throw=False)
    good = solution.result == optx.RESULTS.successful
    return {s: jnp.where(good, solution.value[s] - start[s], jnp.nan) for s in start}


def _over_interval(
    rates: Any, y: State, state: str, model: Model, dose: Repeated, tolerance: Tolerance
) -> State:
    """States an interval later: from one record to where the next would be."""
    whole, rest = jnp.floor(dose.duration / dose.interval), jnp.mod(dose.duration, dose.interval)
    begin = jnp.mod(dose.lag, dose.interval)
    end = jnp.mod(begin + rest, dose.interval)
    edges = jnp.stack(
        [jnp.zeros_like(begin), jnp.minimum(begin, end), jnp.maximum(begin, end), dose.interval]
    )
    for k in range(3):
        since = jnp.mod((edges[k] + edges[k + 1]) / 2.0 - begin, dose.interval)
        flow = dose.rate * (whole + jnp.where(since < rest, 1.0, 0.0))
        felt = jnp.where((edges[k] == begin) & (k == jnp.argmax(edges[:3] == begin)), dose.amount, 0.0)
        y = y | {state: y[state] + felt}
        y = _integrated(rates, y, edges[k + 1] - edges[k], (flow, model), tolerance)
    return y


def _integrated(rates: Any, y: State, length: Array, given: Any, tolerance: Tolerance) -> State:
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, given: rates(y, *given)),
        diffrax.Kvaerno5(),
        t0=0.0,
        t1=jnp.maximum(length, 1e-14),
        dt0=None,
        y0=y,
        args=given,
        stepsize_controller=diffrax.PIDController(tolerance.rtol, tolerance.atol),
        adjoint=diffrax.DirectAdjoint(),
        max_steps=tolerance.max_steps,
        throw=False,
    )
    assert solution.ys is not None
    return jax.tree.map(lambda v, a: jnp.where(length > 0.0, v[-1], a), solution.ys, y)
