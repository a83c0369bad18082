"""Effects that come after their cause and outlast it."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values, numbered
from pkpd.parameters import Scalar, count, parameter


class Memory(Component):
    """What an excess leaves behind: `value' = excess - kmem value`; `kmem = 0` is the integral."""

    kmem: Scalar = parameter("rate of forgetting", "1/time", "nonnegative")
    states = ("value",)
    inputs = {"excess": Port("1")}
    outputs = {"value": "time"}
    linear = ("excess",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"value": u["excess"] - self.kmem * x["value"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"value": x["value"]}


class EffectCompartment(Component):
    """A site of effect that follows the blood: `c_site' = ke0 (c - c_site)`.

    References: Sheiner LB, et al. Clin Pharmacol Ther 1979;25:358-371, doi 10.1002/cpt1979253358.
    """

    ke0: Scalar = parameter("rate at which site and blood come together", "1/time")
    states = ("effect",)
    inputs = {"c": Port("amount/volume")}
    outputs = {"c": "amount/volume"}
    linear = ("c",)
    scale = "fast"

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": self.ke0 * (u["c"] - x["effect"])}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"c": x["effect"]}


class TransitChain(Component):
    """An effect that passes through equal stages, `stages` of them and `mtt` in all.

    `stage1' = (effect - stage1) stages / mtt`, and each stage follows the one before it in the same way.

    References: Mager DE, Jusko WJ. Clin Pharmacol Ther 2001;70:210-216, doi 10.1067/mcp.2001.118244.
    """

    mtt: Scalar = parameter("mean transit time", "time")
    stages: int = count("stages", default=3)
    inputs = {"effect": Port("1")}
    outputs = {"effect": "1"}
    linear = ("effect",)

    @property
    def states(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return numbered("stage", self.stages)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        rate = self.stages / jnp.asarray(self.mtt)
        before = [u["effect"], *(x[s] for s in self.states)]
        return {s: rate * (b - x[s]) for s, b in zip(self.states, before, strict=False)}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": x[self.states[-1]]}
