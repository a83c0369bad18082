"""Blood cells that a drug keeps from growing."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Myelosuppression(Component):
    """Proliferating cells, three stages of maturation and circulating cells that feed back.

    `prol' = ktr prol ((1 - effect) (base / circ)^gamma - 1)`, `transit1' = ktr (prol - transit1)`, and so on
    to `circ' = ktr (transit3 - circ)`, with `ktr = 4 / mtt`; all at `base` without effect.

    References: Friberg LE, et al. J Clin Oncol 2002;20:4713-4721, doi 10.1200/JCO.2002.02.140.
    """

    base: Scalar = parameter("cells without effect", "*")
    mtt: Scalar = parameter("mean transit time", "time")
    gamma: Scalar = parameter("exponent of the feedback", "1", "nonnegative")
    states = ("prol", "transit1", "transit2", "transit3", "circ")
    inputs = {"effect": Port("1")}
    outputs = {"level": "*", "excess": "1"}
    linear = ("effect",)

    def initial(self) -> dict[str, Scalar]:
        return {state: jnp.asarray(self.base) for state in self.states}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        ktr = 4.0 / jnp.asarray(self.mtt)
        feedback = (self.base / x["circ"]) ** self.gamma
        change = {"prol": ktr * x["prol"] * ((1.0 - u["effect"]) * feedback - 1.0)}
        for before, state in zip(self.states, self.states[1:], strict=False):
            change[state] = ktr * (x[before] - x[state])
        return change

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"level": x["circ"], "excess": x["circ"] / self.base - 1.0}
