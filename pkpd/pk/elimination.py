"""Elimination that is not a constant clearance."""

from pkpd.component import Component, Port, Values
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
