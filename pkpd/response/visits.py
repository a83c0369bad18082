"""Tumour response assessed at visits."""

from functools import reduce
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response.joint import log1m_exp, log_total
from pkpd.response.outcome import AbstractRecord, Course

Sizes = Float[Array, "visits patients"]
Sides = Float[Array, "visits nodes patients"]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
_NEVER = -1e30  # stands for log 0 within a recursion, because the gradient of a sum of zeros is none


class WHOResponse(AbstractRecord):
    """Best response by the WHO rule: partial or complete response, confirmed at two consecutive visits.

    A visit counts when the measured size is at or below `shrinkage` of the measured baseline (an
    area of 50 % is a diameter of 70.7 %); two consecutive ones at least `confirmation` apart are a
    response, unless the disease progressed before (size at `growth` times its nadir). The response is
    complete when the sum of diameters of both is also at or below `detection`. Without a response the
    disease is progressive if it progressed by the first visit that is not before `confirmation`, else
    stable; who dies before the first visit is none of the four.

    Sizes are measured with a log-normal error `sigma`; the error of the baseline is shared by all
    visits and integrated by Gauss-Hermite quadrature, the visits by an exact recursion. Progression
    compares the latent size with the latent nadir through the same error, so that everything is smooth.

    References: Miller AB, et al. Cancer 1981;47:207-214.
    """

    sigma: Scalar = parameter("SD of the log of a measured size", "1")
    shrinkage: Scalar = parameter(
        "relative size that counts as a response", "1", "unit", default=0.7071067811865476
    )
    growth: Scalar = parameter(
        "size relative to the nadir that is progression", "1", default=1.118033988749895
    )
    detection: Scalar = parameter(
        "sum of diameters that cannot be seen any more; 0: no response is complete",
        "length",
        "nonnegative",
        default=0.0,
    )
    visits: tuple[float, ...] = eqx.field(static=True, kw_only=True)
    confirmation: float = eqx.field(static=True, kw_only=True)
    inputs: ClassVar = {"log_ratio": Port("1"), "size": Port("length", 1.0)}
    kinds: ClassVar = ("cr", "pr", "sd", "pd")
    whole: ClassVar = ("cr", "pr")

    @property
    def times(self) -> tuple[float, ...]:
        return self.visits

    @property
    def recorded_at(self) -> tuple[float, ...]:
        return self.visits

    @property
    def needs(self) -> tuple[str, ...]:
        return ("size",) if self.detection > 0.0 else ()

    def log_recorded(self, course: Course) -> Float[Array, "2 recorded patients"]:
        sizes = self._at_visits(course, "log_ratio")
        margin = self._margin(sizes)
        below, above = log_ndtr(margin), log_ndtr(-margin)
        stable, progressed = self._progress(sizes)
        never = jnp.full_like(below[0], -jnp.inf)
        last_below, last_above = below[0], above[0] + stable[0]
        lost = above[0] + progressed[0]
        confirmed, reached = [jnp.stack([jnp.zeros_like(never), never])], None
        for k in range(1, len(self.visits)):
            free = jnp.logaddexp(last_above, last_below)
            still = free
            if self._apart(k):
                now = last_below + below[k]
                reached = now if reached is None else jnp.logaddexp(reached, now)
                still = last_above
            lost = jnp.logaddexp(lost, free + above[k] + progressed[k])
            last_below, last_above = still + below[k], free + above[k] + stable[k]
            missed = jnp.logaddexp(lost, jnp.logaddexp(last_below, last_above))
            confirmed.append(
                jnp.stack([missed, jnp.full_like(missed, -jnp.inf) if reached is None else reached])
            )
        return _over_baseline(jnp.stack(confirmed, axis=1))

    def log_kinds(self, course: Course) -> Float[Array, "5 recorded patients"]:
        sizes = self._at_visits(course, "log_ratio")
        margin = self._margin(sizes)
        above, (partial, complete) = log_ndtr(-margin), self._seen(margin, self._at_visits(course, "size"))
        stable, progressed = self._progress(sizes)
        never = jnp.full_like(margin[0], _NEVER)
        # Without a response, by the size at the last visit; lost to progression, early and late.
        large, seen, gone = above[0] + stable[0], partial[0], complete[0]
        pd, late = above[0] + progressed[0], never
        # In response: by the size at the last visit, after progression, complete.
        pr_seen = pr_gone = pr_lost = cr = never
        found = [jnp.stack([never, cr, never, _sum(large, seen, gone), pd])]
        for k in range(1, len(self.visits)):
            free, held = _sum(large, seen, gone), _sum(pr_seen, pr_gone)
            lost = free + above[k] + progressed[k]
            early = self.visits[k - 1] < self.confirmation
            pd, late = (_sum(pd, lost), late) if early else (pd, _sum(late, lost))
            pr_lost = _sum(pr_lost, held + above[k] + progressed[k])
            kept = held + _sum(above[k] + stable[k], partial[k])
            if self._apart(k):
                cr = _sum(cr, _sum(gone, pr_gone) + complete[k])
                pr_gone = _sum(seen, pr_seen) + complete[k]
                pr_seen, first = _sum(kept, _sum(seen, gone) + partial[k]), large
            else:
                pr_gone, pr_seen, first = held + complete[k], kept, free
            large, seen, gone = free + above[k] + stable[k], first + partial[k], first + complete[k]
            pr, sd = _sum(pr_seen, pr_gone, pr_lost), _sum(large, seen, gone, late)
            found.append(jnp.stack([never, cr, pr, sd, pd]))
        chances = jnp.stack(found, axis=1)
        return _over_baseline(jnp.where(chances > _NEVER / 2, chances, -jnp.inf))

    def _at_visits(self, course: Course, port: str) -> Sizes:
        return course.at(port, self.visits)

    def _apart(self, k: int) -> bool:
        """Whether visit `k` can confirm the one before."""
        return self.visits[k] - self.visits[k - 1] >= self.confirmation

    def _margin(self, sizes: Sizes) -> Sides:
        """By how many standard deviations sizes are below the limit of a response."""
        baseline = self.sigma * jnp.asarray(_NODES)[:, None]
        return (jnp.log(self.shrinkage) - sizes[:, None, :] + baseline) / self.sigma

    def _progress(self, sizes: Sizes) -> tuple[Sides, Sides]:
        """Log probabilities not to have progressed, and to have."""
        room = (jnp.log(self.growth) - _above_nadir(sizes))[:, None, :] / (self.sigma * np.sqrt(2.0))
        return log_ndtr(room), log_ndtr(-room)

    def _seen(self, margin: Sides, diameters: Sizes) -> tuple[Sides, Sides]:
        """Log probabilities to be measured below the limit of a response and to be seen, or not."""
        some = jnp.asarray(self.detection > 0.0)
        limit = jnp.log(jnp.where(some, self.detection, 1.0))
        lower = jnp.minimum((limit - jnp.log(diameters))[:, None, :] / self.sigma, margin)
        low, high = (log_ndtr(lower), log_ndtr(margin)), (log_ndtr(-margin), log_ndtr(-lower))
        left, right = (b + log1m_exp(jnp.minimum(a - b, 0.0)) for a, b in (low, high))
        between = jnp.where(lower > 0.0, right, left)
        return jnp.where(some, between, low[1]), jnp.where(some, low[0], _NEVER)


def _sum(*log_probabilities: Array) -> Array:
    return reduce(jnp.logaddexp, log_probabilities)


def _over_baseline(log_probability: Float[Array, "kinds visits nodes patients"]) -> Array:
    weighted = log_probability + _LOG_WEIGHTS[:, None]
    return log_total(weighted, axis=-2)


def _above_nadir(sizes: Sizes) -> Sizes:
    nadir, found = jnp.zeros_like(sizes[0]), []
    for size in sizes:
        found.append(size - nadir)
        nadir = jnp.minimum(nadir, size)
    return jnp.stack(found)
