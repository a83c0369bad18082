"""What is maximised of an outcome's probability, which is known under some draws of the posterior."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

Draws = Float[np.ndarray, " draws"]


@dataclass(frozen=True)
class Goal:
    """The `mean` over draws, the quantile at a `level`, or the share of draws that `exceed` a level.

    For search the share is smoothed by a normal kernel of a `width`: `mean Phi((v - level) / width)`.
    """

    kind: Literal["mean", "quantile", "exceed"] = "mean"
    level: float = 0.0
    width: float = 0.0

    def score(self, values: Draws) -> float:
        """What a search compares."""
        if self.kind == "mean":
            return float(values.mean())
        if self.kind == "quantile":
            return float(np.quantile(values, self.level))
        return float(norm.cdf(self._away(values)).mean())

    def value(self, values: Draws) -> float:
        """What is told: the score, but the share of draws as it is."""
        return float((values > self.level).mean()) if self.kind == "exceed" else self.score(values)

    def weights(self, values: Draws) -> Draws:
        """The slope of the score by each draw's value."""
        count = len(values)
        if self.kind == "mean":
            return np.full(count, 1.0 / count)
        if self.kind == "exceed":
            return norm.pdf(self._away(values)) / (self._width * count)
        place = self.level * (count - 1)
        order, below = np.argsort(values, kind="stable"), int(np.floor(place))
        found = np.zeros(count)
        found[order[below]] += 1.0 - (place - below)
        found[order[min(below + 1, count - 1)]] += place - below
        return found

    @property
    def _width(self) -> float:
        return max(self.width, 1e-9)

    def _away(self, values: Draws) -> Draws:
        return (values - self.level) / self._width

    @property
    def words(self) -> str:
        """What the value is, for people."""
        if self.kind == "mean":
            return "posterior mean"
        if self.kind == "quantile":
            return f"{100.0 * self.level:g} % quantile of the posterior"
        return f"posterior probability of more than {100.0 * self.level:g} %"


def smoothing(values: Draws) -> float:
    """The width for shares: half of Silverman's `1.06 s n^(-1/5)`."""
    return 0.53 * float(np.std(values)) * len(values) ** -0.2
