"""Outcomes of one patient together: they share the lifetime."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int

from pkpd.checks import fail

Whole = int | Int[Array, ""]
LogLives = Float[Array, "lives patients"]
LogByLife = Float[Array, "_categories lives patients"]

_NEVER = np.array([0.0, -np.inf])


@dataclass(frozen=True)
class Endpoint:
    """What is counted in an arm: an outcome of the model, or some of its kinds, or `alive` at `time`."""

    outcome: str
    time: float | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Axis:
    """An axis of the joint table: category 0 is none of the `members`, category k the k-th of them.

    The members are the kinds of endpoints of one outcome (at one time), which exclude each other.
    """

    outcome: str
    time: float | None
    members: tuple[tuple[str, ...], ...]


def axes_of(endpoints: Sequence[Endpoint]) -> tuple[Axis, ...]:
    """The axes of the joint table of some endpoints, in order of first appearance.

    Raises `InputError` where endpoints of one outcome do not exclude each other.
    """
    members: dict[tuple[str, float | None], list[tuple[str, ...]]] = {}
    for endpoint in endpoints:
        members.setdefault((endpoint.outcome, endpoint.time), []).append(endpoint.kinds)
    for (outcome, _), told in members.items():
        kinds = [kind for each in told for kind in (each or (outcome,))]
        if len(set(kinds)) < len(kinds):
            raise fail("endpoints", f"must exclude each other where they are of one outcome, {outcome}", told)
    return tuple(Axis(*key, tuple(told)) for key, told in members.items())


def categories(endpoints: Sequence[Endpoint]) -> tuple[tuple[int, int], ...]:
    """The axis of each endpoint, and its category there."""
    axes = axes_of(endpoints)
    place = {(axis.outcome, axis.time): k for k, axis in enumerate(axes)}
    own = [place[endpoint.outcome, endpoint.time] for endpoint in endpoints]
    return tuple((k, 1 + axes[k].members.index(e.kinds)) for k, e in zip(own, endpoints, strict=True))


def joint_counts(
    endpoints: Sequence[Endpoint], counts: Sequence[int] | Int[Array, " endpoints"]
) -> tuple[Whole | tuple[Whole, ...], ...]:
    """An arm's counts by axis: one count, or those of the categories 1, 2, ... where there are more.

    Those of an array, which may be traced, are its numbers.
    """
    by_axis: dict[int, list[Whole]] = {}
    for place, (axis, _) in enumerate(categories(endpoints)):
        by_axis.setdefault(axis, []).append(counts[place])
    return tuple(own[0] if len(own) == 1 else tuple(own) for own in by_axis.values())


def marginals(table: Float[Array, "*axes"], endpoints: Sequence[Endpoint]) -> Float[Array, " endpoints"]:
    """Probability of each endpoint from their joint log table."""
    cells = jnp.exp(table)
    return jnp.stack([jnp.sum(jnp.take(cells, k, axis=axis)) for axis, k in categories(endpoints)])


def cuts_of(times: Sequence[float]) -> tuple[float, ...]:
    """The start and the distinct later times; a lifetime ends between two of them or after the last."""
    return (0.0, *sorted({t for t in times if t > 0.0}))


def log_lives(step: Float[Array, "intervals patients"]) -> LogLives:
    """Log probability to die between successive cuts, and after the last, of what the hazard adds in between.

    A step that is far below the hazard before it still counts: a difference of the two would lose it.
    """
    hazard = jnp.concatenate([jnp.zeros((1, step.shape[1]), step.dtype), jnp.cumsum(step, axis=0)])
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
    log_recorded: Float[Array, "categories recorded patients"],
) -> LogByLife:
    """Log probability of what was recorded, given a life that ends after each cut: nothing at first."""
    never = np.full((len(log_recorded), 1, log_recorded.shape[-1]), -np.inf)
    never[0] = 0.0
    reached = [sum(t <= cut for t in recorded_at) for cut in cuts]
    return jnp.concatenate([jnp.asarray(never), log_recorded], axis=1)[:, jnp.asarray(reached)]


def merged(
    log_kinds: Float[Array, "kinds recorded patients"], members: Sequence[Sequence[int]]
) -> Float[Array, "categories recorded patients"]:
    """Log probabilities of categories, each of some of the kinds; category 0 has the kinds of no other."""
    rest = sorted({*range(len(log_kinds))} - {k for member in members for k in member})
    return jnp.stack([log_total(log_kinds[jnp.asarray(rows)], axis=0) for rows in (rest, *members)])


def alive_by_life(cuts: Sequence[float], time: float, patients: int) -> LogByLife:
    """Certain for lives that end after `time`, impossible for the others."""
    lives = jnp.where(jnp.asarray(cuts) >= time, _NEVER[::-1, None], _NEVER[:, None])
    return jnp.broadcast_to(lives[..., None], (2, len(cuts), patients))


def log_table(lives: LogLives, groups: Sequence[LogByLife]) -> Float[Array, "*axes"]:
    """Log probabilities of all combinations of the groups' categories, averaged over patients.

    Given the lifetime a patient's groups are independent; over lifetimes and patients they are not. The axes
    are the groups, in order.
    """
    cells = lives - jnp.log(lives.shape[1])
    for group in groups:
        cells = cells[..., None, :, :] + group
    return log_total(cells, axis=(-2, -1))
