"""Outcomes that are recorded once, as yes or no."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jax.scipy.special import logit
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response.outcome import AbstractRecord, Course
from pkpd.response.summary import summarise

LINKS = ("emax", "log_logit", "linear_logit")


class PerformanceStatus(AbstractRecord):
    """Performance status improved at `assessed`: `logit p = b0 + b_effect m + b_direct d`."""

    b0: Scalar = parameter("logit of improvement without treatment", "1", "real")
    b_effect: Scalar = parameter(
        "rise of the logit per unit of effector summary", "1", "real", multiplies="memory"
    )
    b_direct: Scalar = parameter("rise of the logit per unit of direct effect", "1", "real", default=0.0)
    assessed: float = eqx.field(static=True, kw_only=True)
    summary: str = eqx.field(static=True, kw_only=True, default="memory")
    inputs: ClassVar = {"excess": Port("1", 0.0), "memory": Port("time", 0.0), "direct": Port("1", 0.0)}

    @property
    def times(self) -> tuple[float, ...]:
        return (self.assessed,)

    @property
    def recorded_at(self) -> tuple[float, ...]:
        return (self.assessed,)

    def log_recorded(self, course: Course) -> Float[Array, "2 recorded patients"]:
        now = course.row(self.assessed)
        effect = summarise(self.summary, course)[now]
        return _from_logit(self.b0 + self.b_effect * effect + self.b_direct * course.paths["direct"][now])


class ExposureResponse(AbstractRecord):
    """An exposure linked straight to a probability, recorded at `assessed`.

    `x = exposure / reference`; `emax`: `background + (1 - background) emax x / (x50 + x)`;
    `log_logit`: the same with `emax x^slope / (x50^slope + x^slope)`, a logit that is linear in
    log exposure (emax = 1); `linear_logit`: `logit p = logit background + slope x`, which is
    unfit for extrapolation.
    """

    background: Scalar = parameter("probability without exposure", "1", "unit")
    reference: Scalar = parameter("exposure that counts as one", "*")
    emax: Scalar = parameter("largest probability", "1", "unit", default=1.0)
    x50: Scalar = parameter("relative exposure of half the effect", "1", default=1.0, divides="exposure")
    slope: Scalar = parameter("steepness", "1", "nonnegative", default=1.0)
    link: str = eqx.field(static=True, kw_only=True, default="emax")
    assessed: float = eqx.field(static=True, kw_only=True)
    inputs: ClassVar = {"exposure": Port("*")}

    @property
    def times(self) -> tuple[float, ...]:
        return (self.assessed,)

    @property
    def recorded_at(self) -> tuple[float, ...]:
        return (self.assessed,)

    def log_recorded(self, course: Course) -> Float[Array, "2 recorded patients"]:
        x = course.at("exposure", self.times)[0] / self.reference
        if self.link == "linear_logit":
            return _from_logit(logit(self.background) + self.slope * x)
        given = x > 0.0
        steep = self.slope if self.link == "log_logit" else 1.0
        power = jnp.where(given, (jnp.where(given, x, 1.0) / self.x50) ** steep, 0.0)
        rest = 1.0 - self.background
        happens = self.background + rest * self.emax * power / (1.0 + power)
        fails = rest * (1.0 + (1.0 - self.emax) * power) / (1.0 + power)
        return jnp.log(jnp.stack([fails, happens]))[:, None]


def _from_logit(x: Float[Array, " patients"]) -> Float[Array, "2 1 patients"]:
    return jnp.stack([log_sigmoid(-x), log_sigmoid(x)])[:, None]
