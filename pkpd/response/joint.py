"""Outcomes of one patient together: they share the lifetime."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

LogLives = Float[Array, "lives patients"]
LogByLife = Float[Array, "*endpoints lives patients"]

_NEVER = np.array([0.0, -np.inf])


@dataclass(frozen=True)
class Endpoint:
    """What is counted in an arm: an outcome of the model, or one of its kinds, or `alive` at `time`."""

    outcome: str
    time: float | None = None
    kind: str = ""


def cuts_of(times: Sequence[float]) -> tuple[float, ...]:
    """The start and the distinct later times; a lifetime ends between two of them or after the last."""
    return (0.0, *sorted({t for t in times if t > 0.0}))


def log_lives(step: Float[Array, "intervals patients"]) -> LogLives:
    """Log probability to die between successive cuts, and after the last, of what the hazard adds in between.

    A step that is far below the hazard before it still counts: a difference of the two would lose it.
    """
    hazard = jnp.concatenate([jnp.zeros_like(step[:1]), jnp.cumsum(step, axis=0)])
    return jnp.concatenate([-hazard[:-1] + log1m_exp(-step), -hazard[-1:]])


def log1m_exp(x: Array) -> Array:
    """`log(1 - exp(x))` for `x <= 0`, with a finite gradient at both ends."""
    tiny = x > -1e-300
    near = jnp.where(tiny, -1.0, jnp.maximum(x, -0.6931471805599453))
    far = jnp.minimum(x, -0.6931471805599453)
    value = jnp.where(x > -0.6931471805599453, jnp.log(-jnp.expm1(near)), jnp.log1p(-jnp.exp(far)))
    return jnp.where(tiny, -jnp.inf, value)


def log_total(terms: Array, axis: int | tuple[int, ...]) -> Array:
    """Log of a sum of probabilities, of which all may be zero; then its slope is zero too, in either mode."""
    some = jnp.isfinite(terms)
    none = ~some.any(axis=axis, keepdims=True)
    found = logsumexp(jnp.where(none, 0.0, terms), axis=axis, where=some | none)
    return jnp.where(jnp.squeeze(none, axis), -jnp.inf, found)


def by_life(
    cuts: Sequence[float],
    recorded_at: Sequence[float],
    log_recorded: Float[Array, "*outcomes recorded patients"],
) -> LogByLife:
    """Log probability of what was recorded, given a life that ends after each cut: nothing at first."""
    shape = log_recorded.shape
    flat = log_recorded.reshape(-1, *shape[-2:])
    never = np.full((len(flat), 1, shape[-1]), -np.inf)
    never[0] = 0.0
    reached = [sum(t <= cut for t in recorded_at) for cut in cuts]
    found = jnp.concatenate([jnp.asarray(never), flat], axis=1)[:, jnp.asarray(reached)]
    return found.reshape(*shape[:-2], *found.shape[1:])


def split(log_kinds: Float[Array, "kinds recorded patients"], members: Sequence[set[int]]) -> Array:
    """Log probabilities of all combinations of endpoints, each a set of the kinds, shape (2,) * K + ...

    Kinds exclude each other, so that most combinations are impossible.
    """
    cells = []
    for cell in product((False, True), repeat=len(members)):
        held = [row for k, row in enumerate(log_kinds) if tuple(k in member for member in members) == cell]
        rows = jnp.stack([*held, jnp.full_like(log_kinds[0], -jnp.inf)])
        cells.append(log_total(rows, axis=0))
    return jnp.stack(cells).reshape((2,) * len(members) + log_kinds.shape[1:])


def alive_by_life(cuts: Sequence[float], time: float, patients: int) -> LogByLife:
    """Certain for lives that end after `time`, impossible for the others."""
    lives = jnp.where(jnp.asarray(cuts) >= time, _NEVER[::-1, None], _NEVER[:, None])
    return jnp.broadcast_to(lives[..., None], (2, len(cuts), patients))


def log_table(
    lives: LogLives, groups: Sequence[Float[Array, "... lives patients"]]
) -> Float[Array, "*outcomes"]:
    """Log probabilities of all combinations of endpoints, averaged over patients, shape (2,) * K.

    Given the lifetime a patient's groups of endpoints are independent; over lifetimes and patients they
    are not. The axes are those of the groups, in order.
    """
    cells = lives - jnp.log(lives.shape[1])
    for group in groups:
        axes = tuple(range(cells.ndim - 2, cells.ndim + group.ndim - 4))
        cells = jnp.expand_dims(cells, axes) + group
    return log_total(cells, axis=(-2, -1))
