"""Time to death."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response.outcome import AbstractSurvival, Course, Path
from pkpd.response.summary import summarise


class WeibullSurvival(AbstractSurvival):
    """Weibull baseline, log-hazard shifted by tumour size and by what the effectors leave behind.

    `h(t) = shape scale^shape t^(shape-1) exp(b_size (T(min(t, freeze))/T0 - 1) - b_effect m(t) - b_direct d)`
    with the relative size at most `size_cap` and `m` the chosen `summary` of the effector excess.

    References: Zecchin C, et al. Br J Clin Pharmacol 2016;82:717-727, doi 10.1111/bcp.12994
    (size term); Hansson EK, et al. CPT Pharmacometrics Syst Pharmacol 2013;2:e84,
    doi 10.1038/psp.2013.61 (Weibull baseline).
    """

    scale: Scalar = parameter("Weibull scale", "1/time")
    shape: Scalar = parameter("Weibull shape", "1")
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
    def times(self) -> tuple[float, ...]:
        return (self.freeze,)

    def hazard_steps(self, course: Course) -> Float[Array, "intervals patients"]:
        hazard = jnp.exp(self.log_ratio(course))
        base = self.scale**self.shape * course.times**self.shape  # apart: the slope in scale is finite at 0
        return jnp.diff(base)[:, None] * (hazard[1:] + hazard[:-1]) / 2

    def log_ratio(self, course: Course) -> Path:
        """Log of the hazard over its baseline along the course."""
        frozen = course.row(self.freeze)
        path = course.paths["log_ratio"]
        path = jnp.where((jnp.arange(len(path)) <= frozen)[:, None], path, path[frozen])
        size = jnp.exp(jnp.minimum(path, jnp.log(self.size_cap)))
        effect = summarise(self.summary, course)
        shift = self.b_size * (size - 1.0) - self.b_effect * effect
        return shift - self.b_direct * course.paths["direct"]
