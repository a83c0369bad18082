"""What the body makes itself, by the clock."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Circadian(Component):
    """Production that swings about a mean: `rate = mean (1 + amplitude cos(2 pi (t - peak) / period))`.

    References: Chakraborty A, Krzyzanski W, Jusko WJ. J Pharmacokinet Biopharm 1999;27:23-43, doi
    10.1023/A:1020678628317.
    """

    mean: Scalar = parameter("mean rate", "amount/time", "nonnegative")
    amplitude: Scalar = parameter("swing as a share of the mean", "1", "unit")
    peak: Scalar = parameter("time of the peak", "time", "nonnegative")
    period: Scalar = parameter("period", "time")
    inputs = {"time": Port("time")}
    outputs = {"rate": "amount/time"}
    direct = ("time",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.mean * (1.0 + self.amplitude * _swing(self, u["time"]))}


class ClippedCircadian(Component):
    """Production in a `share` of the period about the peak only.

    `rate = top max(0, (cos(2 pi (t - peak) / period) - c) / (1 - c))` with `c = cos(pi share)`.

    References: Chakraborty A, Krzyzanski W, Jusko WJ. J Pharmacokinet Biopharm 1999;27:23-43, doi
    10.1023/A:1020678628317.
    """

    top: Scalar = parameter("rate at the peak", "amount/time", "nonnegative")
    share: Scalar = parameter("share of the period with production", "1", "unit")
    peak: Scalar = parameter("time of the peak", "time", "nonnegative")
    period: Scalar = parameter("period", "time")
    inputs = {"time": Port("time")}
    outputs = {"rate": "amount/time"}
    direct = ("time",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        least = jnp.cos(jnp.pi * jnp.asarray(self.share))
        above = jnp.maximum(_swing(self, u["time"]) - least, 0.0)
        return {"rate": self.top * above / jnp.where(least < 1.0, 1.0 - least, 1.0)}


def _swing(part: Circadian | ClippedCircadian, time: Scalar) -> Scalar:
    return jnp.cos(2.0 * jnp.pi * (time - part.peak) / part.period)
