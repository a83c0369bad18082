"""Drugs whose target takes a share of them that counts."""

import jax.numpy as jnp

from pkpd.component import Values
from pkpd.parameters import Scalar, parameter
from pkpd.pk.disposition import TwoCompartment


class TargetBound(TwoCompartment):
    """Two compartments and a target that binds the drug in quasi-steady state; `central` is free drug.

    The central amount is `vc (C + RC)`, `R` the target, free and bound, and `RC = R C / (kss + C)` what is
    bound:
    `A' = rate - (cl factor + clearance) C - kint RC vc - q (C - P / vp)`, `P' = q (C - P / vp)` and
    `R' = kdeg (r0 - R) - (kint - kdeg) RC`, with `kss = (koff + kint) / kon`.

    References: Gibiansky L, et al. J Pharmacokinet Pharmacodyn 2008;35:573-591, doi
    10.1007/s10928-008-9102-8.
    """

    kss: Scalar = parameter("quasi-steady-state constant", "amount/volume")
    kint: Scalar = parameter("rate at which bound target is taken in", "1/time", "nonnegative")
    kdeg: Scalar = parameter("rate at which free target is lost", "1/time")
    r0: Scalar = parameter("target without drug", "amount/volume", "nonnegative")
    states = ("central_amount", "peripheral1_amount", "target")
    outputs = {"central": "amount/volume", "total": "amount/volume", "target": "amount/volume", "bound": "1"}

    def initial(self) -> dict[str, Scalar]:
        return {**super().initial(), "target": jnp.asarray(self.r0)}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        bound = x["target"] * self.output(x, u)["bound"]
        change = super().derivative(x, u)
        taken_in = self.kint * bound
        change["central_amount"] = change["central_amount"] - taken_in * self.vc
        change["target"] = self.kdeg * (self.r0 - x["target"]) - (taken_in - self.kdeg * bound)
        return change

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        total = x["central_amount"] * (1.0 / self.vc)
        free = free_of(total, x["target"], self.kss)
        return {"central": free, "total": total, "target": x["target"], "bound": free / (self.kss + free)}


def free_of(total: Scalar, target: Scalar, kss: Scalar) -> Scalar:
    """The positive root of `C^2 - b C - kss total` with `b = total - target - kss`, small ones exact."""
    b = total - target - kss
    product = kss * total
    root = jnp.sqrt(b * b + 4.0 * product)
    above = b > 0.0
    return jnp.where(above, 0.5 * (root + b), 2.0 * product / jnp.where(above, 1.0, root - b))
