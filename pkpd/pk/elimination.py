"""Elimination that is not a constant clearance."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values, saturation
from pkpd.parameters import Scalar, parameter


class TargetMediated(Component):
    """Receptor-mediated clearance in quasi-steady state.

    `occupancy = c / (kss + c)` and `clearance = kint r / (kss + c)`, where `r` is the amount of
    receptor, `kss = (koff + kint) / kon` and the complex is internalised at the rate `kint`.

    References: Gibiansky L, et al. J Pharmacokinet Pharmacodyn 2008;35:573-591, doi
    10.1007/s10928-008-9102-8.
    """

    kint: Scalar = parameter("internalisation rate", "1/time")
    kss: Scalar = parameter("quasi-steady-state constant", "amount/volume")
    inputs = {"c": Port("amount/volume"), "r": Port("amount")}
    outputs = {"clearance": "volume/time", "occupancy": "1"}
    direct = ("c", "r")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        free = 1.0 / (self.kss + u["c"])
        return {"clearance": self.kint * u["r"] * free, "occupancy": u["c"] * free}


class MichaelisMenten(Component):
    """Saturable elimination: `clearance = vmax / (km + c)`, beside the linear `cl` of the disposition.

    References: Wagner JG. J Pharmacokinet Biopharm 1973;1:103-121, doi 10.1007/BF01059625.
    """

    vmax: Scalar = parameter("largest rate of elimination", "amount/time", "nonnegative")
    km: Scalar = parameter("concentration of half of it", "amount/volume")
    inputs = {"c": Port("amount/volume")}
    outputs = {"clearance": "volume/time"}
    direct = ("c",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"clearance": self.vmax / (self.km + u["c"])}


class TimeVarying(Component):
    """Clearance that drifts over a treatment: `factor = exp(emax s^hill / (t50^hill + s^hill))`.

    `s` is the time since the first dose; a negative `emax` is a fall.

    References: Bajaj G, et al. CPT Pharmacometrics Syst Pharmacol 2017;6:58-66, doi 10.1002/psp4.12143.
    """

    emax: Scalar = parameter("largest change of the logarithm", "1", "real")
    t50: Scalar = parameter("time of half of it", "time")
    hill: Scalar = parameter("Hill coefficient", "1", default=1.0)
    inputs = {"since": Port("time")}
    outputs = {"factor": "1"}
    direct = ("since",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"factor": jnp.exp(self.emax * saturation(u["since"] / self.t50, self.hill))}
