"""scipy's LSODA on the model's own derivative, one patient after the other, restarted at each dose."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.solver import clock, first_dose, jumps_of


def states(model: Model, events: Events, times: Sequence[float], patients: int, rtol: float) -> dict:
    """States [times, patients] of an individualised model; the derivative is compiled once."""
    leaves, tree = jax.tree.flatten(model)
    names = model.states

    @jax.jit
    def field(t: jax.Array, y: jax.Array, own: list, since: dict) -> jax.Array:
        part = jax.tree.unflatten(tree, own)
        change = part.derivative(dict(zip(names, y, strict=True)), clock(t, since))
        return jnp.stack([jnp.asarray(change[s], float) for s in names])

    found = np.zeros((len(names), len(times), patients))
    for i in range(patients):
        own = [v[i] if jnp.ndim(v) else v for v in leaves]
        part = jax.tree.unflatten(tree, own)
        jumps = jumps_of(part, events, 1)
        since = {drug: v[0] for drug, v in first_dose(part, jumps).items()}
        found[:, :, i] = _patient(part, jumps, times, rtol, lambda t, y, o=own, s=since: field(t, y, o, s))
    return {s: found[k] for k, s in enumerate(names)}


def _patient(model: Model, jumps, times: Sequence[float], rtol: float, field) -> np.ndarray:
    """States [states, times] of one patient."""
    names = list(model.states)
    y = np.array([float(v) for v in model.initial().values()])
    entry = [(float(t), names.index(s), float(a)) for t, s, a in _entries(jumps)]
    wanted = sorted(set(times))
    marks = sorted({0.0, *wanted, *(t for t, _, _ in entry if t < wanted[-1])})
    rows = {0.0: y.copy()}
    for begin, end in pairwise(marks):
        for t, state, amount in entry:
            if t == begin:
                y[state] += amount
        solution = solve_ivp(field, (begin, end), y, "LSODA", rtol=rtol, atol=rtol * 1e-3)
        y = solution.y[:, -1].copy()
        rows[end] = y.copy()
    return np.array([rows[t] for t in times]).T


def _entries(jumps) -> list:
    return [(jumps.time[j, 0], s, jumps.amount[j, 0]) for j, s in enumerate(jumps.state)]
