"""What the body makes itself, by the clock."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class AbstractClock(Component):
    """A rate by the time of day.

    References: Chakraborty A, Krzyzanski W, Jusko WJ. J Pharmacokinet Biopharm 1999;27:23-43, doi
    10.1023/A:1020678628317.
    """

    peak: Scalar = parameter("time of the peak", "time", "nonnegative")
    period: Scalar = parameter("period", "time")
    inputs = {"time": Port("time")}
    outputs = {"rate": "amount/time"}
    direct = ("time",)

    def swing(self, time: Scalar) -> Scalar:
        """`cos(2 pi (t - peak) / period)`."""
        return jnp.cos(2.0 * jnp.pi * (time - self.peak) / self.period)


class Circadian(AbstractClock):
    """Production that swings about a mean: `rate = mean (1 + amplitude cos(2 pi (t - peak) / period))`."""

    mean: Scalar = parameter("mean rate", "amount/time", "nonnegative")
    amplitude: Scalar = parameter("swing as a share of the mean", "1", "unit")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.mean * (1.0 + self.amplitude * self.swing(u["time"]))}


class ClippedCircadian(AbstractClock):
    """Production in a `share` of the period about the peak only.

    `rate = top max(0, (cos(2 pi (t - peak) / period) - c) / (1 - c))` with `c = cos(pi share)`.
    """

    top: Scalar = parameter("rate at the peak", "amount/time", "nonnegative")
    share: Scalar = parameter("share of the period with production", "1", "unit")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        least = jnp.cos(jnp.pi * jnp.asarray(self.share))
        above = jnp.maximum(self.swing(u["time"]) - least, 0.0)
        return {"rate": self.top * above / jnp.where(least < 1.0, 1.0 - least, 1.0)}
