"""Outcomes of other people's models, without kinetics."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.nn import log_sigmoid
from jax.scipy.special import log_ndtr

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter
from pkpd.response import AbstractRecord
from pkpd.response.joint import log1m_exp
from pkpd.solve import AbstractSolver
from pkpd.solve.solver import Along


class Still(AbstractSolver):
    """Solves nothing: these models have outcomes alone."""

    def along(self, model, events, times, patients):
        return Along(np.asarray(times), {}, {})


class Logistic(AbstractRecord):
    """`logit p = b0 + d treated`: what is given is told by how long it lasts."""

    b0: Scalar = parameter("logit without treatment", "1", "real")
    d: Scalar = parameter("log odds ratio of one unit", "1", "real")
    inputs: ClassVar = {"nothing": Port("1", 0.0)}

    @property
    def recorded_at(self):
        return (0.0,)

    def log_recorded(self, course):
        x = jnp.broadcast_to(self.b0 + self.d * course.treated, course.paths["nothing"].shape[1:])
        return jnp.stack([log_sigmoid(-x), log_sigmoid(x)])[:, None]


class Ordered(AbstractRecord):
    """At least category c: `Phi(b0 + d_k - z_c)` under treatment k."""

    b0: Scalar = parameter("place without treatment", "1", "real")
    z75: Scalar = parameter("from the first cut to the second", "1")
    z90: Scalar = parameter("from the second cut to the third", "1")
    d1: Scalar = parameter("shift", "1", "real")
    d2: Scalar = parameter("shift", "1", "real")
    d3: Scalar = parameter("shift", "1", "real")
    d4: Scalar = parameter("shift", "1", "real")
    d5: Scalar = parameter("shift", "1", "real")
    d6: Scalar = parameter("shift", "1", "real")
    d7: Scalar = parameter("shift", "1", "real")
    inputs: ClassVar = {"nothing": Port("1", 0.0)}
    kinds: ClassVar = ("pasi50", "pasi75", "pasi90")
    whole: ClassVar = ("pasi50", "pasi75", "pasi90")

    @property
    def recorded_at(self):
        return (0.0,)

    def log_kinds(self, course):
        shifts = jnp.stack([jnp.zeros(()), *(getattr(self, f"d{k}") for k in range(1, 8))])
        place = self.b0 + shifts @ (jnp.arange(8) == course.treated)
        cuts = place - jnp.stack([jnp.zeros(()), self.z75, self.z75 + self.z90])
        at_least = log_ndtr(cuts)
        between = at_least[:-1] + log1m_exp(at_least[1:] - at_least[:-1])
        chances = jnp.concatenate([log_ndtr(-cuts[:1]), between, at_least[-1:]])
        return jnp.broadcast_to(chances[:, None, None], (4, 1, course.paths["nothing"].shape[1]))
