"""Time to death."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response.crossing import first_rise, integral_by_parts
from pkpd.response.outcome import AbstractSurvival, Course, Path
from pkpd.response.quadrature import weights_in
from pkpd.response.summary import summarise


class AbstractHazard(AbstractSurvival):
    """A baseline hazard whose log is shifted by tumour size and by what the effectors leave behind.

    `h(t) = h0(t) exp(b_size (T(min(t, freeze))/T0 - 1) - b_effect m(t) - b_direct d)` with the relative size
    at most `size_cap`, `m` the chosen `summary` of the effector excess and
    `h0(t) = power scale^power t^(power-1) exp(tilt(t))`.

    References: Zecchin C, et al. Br J Clin Pharmacol 2016;82:717-727, doi 10.1111/bcp.12994
    (size term); Hansson EK, et al. CPT Pharmacometrics Syst Pharmacol 2013;2:e84,
    doi 10.1038/psp.2013.61 (Weibull baseline).
    """

    scale: Scalar = parameter("scale of the baseline hazard", "1/time")
    b_size: Scalar = parameter("log-hazard per unit of relative tumour size", "1", "real", default=0.0)
    b_effect: Scalar = parameter(
        "fall of the log-hazard per unit of effector summary",
        "1",
        "real",
        default=0.0,
        multiplies="memory",
    )
    b_direct: Scalar = parameter("fall of the log-hazard per unit of direct effect", "1", "real", default=0.0)
    size_cap: Scalar = parameter(
        "largest relative tumour size that still raises the hazard", "1", default=10.0
    )
    freeze: float = eqx.field(static=True, kw_only=True)
    summary: str = eqx.field(static=True, kw_only=True, default="memory")
    inputs: ClassVar = {
        "log_ratio": Port("1", 0.0),
        "excess": Port("1", 0.0),
        "memory": Port("time", 0.0),
        "direct": Port("1", 0.0),
    }

    @property
    def power(self) -> Scalar:
        """Of time in the cumulative hazard at its start."""
        return 1.0

    def tilt(self, time: Array) -> Array | float:
        """Log of the baseline hazard over that of the power law."""
        return 0.0

    @property
    def times(self) -> tuple[float, ...]:
        return (self.freeze,)

    def hazard_steps(self, course: Course) -> Float[Array, "cells patients"]:
        size, shift = self._log_size(course), self._shift(course)
        base = weights_in(course.edges, self.power)
        ratio = self._ratio(size, shift)[1:].reshape(*base.shape, -1)
        steps = (base[:, :, None] * ratio).sum(1)
        rise = first_rise(size, jnp.log(self.size_cap))
        whole = integral_by_parts(course.edges, self.power, rise, self._ratio, size, shift)
        here = rise.found[None] & (jnp.arange(len(steps))[:, None] == rise.cell[None])
        found = jnp.where(here, whole[None], steps)
        some = jnp.where(
            found < 0.0, 0.0, found
        )  # cubics through the nodes of a hazard that leaps can fall below 0
        return self.scale**self.power * some  # finite slope in scale at 0

    def _ratio(self, log_size: Array, shift: Array) -> Array:
        """The hazard over the power law."""
        size = jnp.exp(jnp.minimum(log_size, jnp.log(self.size_cap)))
        return jnp.exp(self.b_size * (size - 1.0) - shift)

    def _log_size(self, course: Course) -> Path:
        """Log of the relative size, which stays once it is frozen."""
        path, frozen = course.paths["log_ratio"], course.row(self.freeze)
        return jnp.where((jnp.arange(len(path)) <= frozen)[:, None], path, path[frozen])

    def _shift(self, course: Course) -> Path:
        """By how much the treatment, and the baseline, lower the log of the hazard."""
        effect = summarise(self.summary, course)
        tilt = jnp.asarray(self.tilt(jnp.asarray(course.times)[:, None]))
        return self.b_effect * effect + self.b_direct * course.paths["direct"] - tilt


class ExponentialSurvival(AbstractHazard):
    """A constant baseline hazard: `h0 = scale`."""


class AbstractShaped(AbstractSurvival):
    """The numbers of a hazard that begins as a power of time."""

    scale: Scalar = parameter("scale of the baseline hazard", "1/time")
    shape: Scalar = parameter("shape", "1")


class WeibullSurvival(AbstractHazard, AbstractShaped):
    """`h0(t) = shape scale^shape t^(shape-1)`."""

    @property
    def power(self) -> Scalar:
        return self.shape


class LogLogisticSurvival(AbstractHazard, AbstractShaped):
    """`h0(t) = shape scale^shape t^(shape-1) / (1 + (scale t)^shape)`; half are alive at `1 / scale`.

    References: Bennett S. J R Stat Soc C 1983;32:165-171, doi 10.2307/2347295.
    """

    @property
    def power(self) -> Scalar:
        return self.shape

    def tilt(self, time: Array) -> Array | float:
        given = time > 0.0
        risen = jnp.where(given, (self.scale * jnp.where(given, time, 1.0)) ** self.shape, 0.0)
        return -jnp.log1p(risen)


class GompertzSurvival(AbstractHazard):
    """`h0(t) = scale exp(growth t)`; a negative growth leaves some alive for ever.

    References: Gompertz B. Philos Trans R Soc Lond 1825;115:513-583, doi 10.1098/rstl.1825.0026.
    """

    growth: Scalar = parameter("rate at which the log of the hazard grows", "1/time", "real")

    def tilt(self, time: Array) -> Array | float:
        return self.growth * time
