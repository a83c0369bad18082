"""Tumour response assessed at visits."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, logsumexp
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response.outcome import AbstractRecord, Course

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())


class WHOResponse(AbstractRecord):
    """Partial or complete response by the WHO rule, confirmed at two consecutive visits.

    A visit counts when the measured size is at or below `shrinkage` of the measured baseline (an
    area of 50 % is a diameter of 70.7 %); two consecutive ones at least `confirmation` apart are a
    response, unless the disease progressed before (size at `growth` times its nadir). Sizes are
    measured with a log-normal error `sigma`; the error of the baseline is shared by all visits and
    integrated by Gauss-Hermite quadrature, the visits by an exact recursion. Progression compares
    the latent size with the latent nadir through the same error, so that everything is smooth.

    References: Miller AB, et al. Cancer 1981;47:207-214.
    """

    sigma: Scalar = parameter("SD of the log of a measured size", "1")
    shrinkage: Scalar = parameter(
        "relative size that counts as a response", "1", "unit", default=0.7071067811865476
    )
    growth: Scalar = parameter(
        "size relative to the nadir that is progression", "1", default=1.118033988749895
    )
    visits: tuple[float, ...] = eqx.field(static=True, kw_only=True)
    confirmation: float = eqx.field(static=True, kw_only=True)
    inputs: ClassVar = {"log_ratio": Port("1")}

    @property
    def times(self) -> tuple[float, ...]:
        return self.visits

    @property
    def recorded_at(self) -> tuple[float, ...]:
        return self.visits

    def log_recorded(self, course: Course) -> Float[Array, "2 recorded patients"]:
        sizes = jnp.stack([course.at("log_ratio", t) for t in self.visits])
        return self.log_confirmed(sizes, jnp.log(self.shrinkage))

    def log_confirmed(
        self, sizes: Float[Array, "visits patients"], threshold: Scalar
    ) -> Float[Array, "2 visits patients"]:
        """Log probability that a size below `threshold` (log) is not, and is, confirmed by each visit."""
        baseline = self.sigma * jnp.asarray(_NODES)[:, None]
        margin = (threshold - sizes[:, None, :] + baseline) / self.sigma
        below, above = log_ndtr(margin), log_ndtr(-margin)
        room = (jnp.log(self.growth) - _above_nadir(sizes))[:, None, :] / (self.sigma * np.sqrt(2.0))
        stable, progressed = log_ndtr(room), log_ndtr(-room)
        never = jnp.full(sizes.shape[1:], -jnp.inf)
        last_below, last_above = below[0], above[0] + stable[0]
        lost = above[0] + progressed[0]
        confirmed, reached = [jnp.stack([jnp.zeros_like(never), never])], None
        for k in range(1, len(self.visits)):
            free = jnp.logaddexp(last_above, last_below)
            still = free
            if self.visits[k] - self.visits[k - 1] >= self.confirmation:
                now = last_below + below[k]
                reached = now if reached is None else jnp.logaddexp(reached, now)
                still = last_above
            lost = jnp.logaddexp(lost, free + above[k] + progressed[k])
            last_below, last_above = still + below[k], free + above[k] + stable[k]
            missed = jnp.logaddexp(lost, jnp.logaddexp(last_below, last_above))
            both = [missed, jnp.full_like(missed, -jnp.inf) if reached is None else reached]
            confirmed.append(jnp.stack([_over_baseline(v) for v in both]))
        return jnp.stack(confirmed, axis=1)


def _over_baseline(log_probability: Float[Array, "nodes patients"]) -> Float[Array, " patients"]:
    return logsumexp(log_probability + _LOG_WEIGHTS[:, None], axis=0)


def _above_nadir(sizes: Float[Array, "visits patients"]) -> Float[Array, "visits patients"]:
    nadir, found = jnp.zeros_like(sizes[0]), []
    for size in sizes:
        found.append(size - nadir)
        nadir = jnp.minimum(nadir, size)
    return jnp.stack(found)
