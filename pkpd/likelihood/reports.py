"""What an arm reports besides counts: a survival curve, its median, a hazard ratio, a mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.likelihood.means import log_mean
from pkpd.likelihood.survival import cox_log_ratio, log_hazard_ratio, log_kaplan_meier, log_median

Look = tuple[str, float]  # an output of the model and when it is looked at


class Seen(eqx.Module):
    """What a model says of an arm, averaged over patients: the joint log table of its endpoints, the log
    of survival at `looks` [looks], and means of outputs."""

    table: Float[Array, "..."] | None
    log_alive: Float[Array, " looks"]
    means: dict[Look, Float[Array, ""]]
    looks: tuple[float, ...] = eqx.field(static=True)

    def log_alive_at(self, times: Sequence[float]) -> Float[Array, " times"]:
        """Log survival at some of the looks."""
        return self.log_alive[np.searchsorted(self.looks, np.asarray(times) * (1.0 - 1e-12))]


class Told(NamedTuple):
    """One number of a report: its label, the number, its standard error, whether it is a probability."""

    label: str
    value: float
    se: float | None
    chance: bool


@dataclass(frozen=True)
class AbstractReport:
    """Times are in the model's unit; `day` is a day in it."""

    approximate: ClassVar[bool] = False
    day: float

    @property
    def against(self) -> str:
        """The arm of the study to which this one is compared."""
        return ""

    @property
    def looks(self) -> tuple[float, ...]:
        """When survival is looked at, in this arm and in the one to which it is compared."""
        return ()

    @property
    def outputs(self) -> tuple[Look, ...]:
        """Outputs whose means are wanted."""
        return ()

    def told(self) -> list[Told]:
        """The numbers of the report."""
        raise NotImplementedError

    def predicted(self, seen: Seen, other: Seen | None) -> Float[Array, " numbers"]:
        """What the model says instead of each number."""
        raise NotImplementedError

    def log_probability(self, seen: Seen, other: Seen | None, n: int) -> Float[Array, ""]:
        """Log probability, or density, of the report of `n` patients."""
        raise NotImplementedError

    def _alive(self, time: float) -> str:
        return f"alive({time / self.day:g} d)"


@dataclass(frozen=True)
class KaplanMeier(AbstractReport):
    """Points of a Kaplan-Meier curve, with how many are at risk at each."""

    times: tuple[float, ...]
    survival: tuple[float, ...]
    at_risk: tuple[int, ...]

    @property
    def looks(self) -> tuple[float, ...]:
        return self.times

    def told(self) -> list[Told]:
        points = zip(self.times, self.survival, strict=True)
        return [Told(f"{self._alive(time)}, curve", alive, None, True) for time, alive in points]

    def predicted(self, seen: Seen, other: Seen | None) -> Float[Array, " numbers"]:
        return jnp.exp(seen.log_alive_at(self.times))

    def log_probability(self, seen: Seen, other: Seen | None, n: int) -> Float[Array, ""]:
        at_risk = tuple(map(float, self.at_risk))
        return log_kaplan_meier(seen.log_alive_at(self.times), self.survival, at_risk, n)


@dataclass(frozen=True)
class MedianSurvival(AbstractReport):
    """A median survival that was printed for what lies between `low` and `high`, as if all were followed."""

    approximate: ClassVar[bool] = True
    low: float
    high: float

    @property
    def looks(self) -> tuple[float, ...]:
        return self.low, 0.5 * (self.low + self.high), self.high

    def told(self) -> list[Told]:
        return [Told(f"{self._alive(self.looks[1])}, median", 0.5, None, True)]

    def predicted(self, seen: Seen, other: Seen | None) -> Float[Array, " numbers"]:
        return jnp.exp(seen.log_alive_at(self.looks[1:2]))

    def log_probability(self, seen: Seen, other: Seen | None, n: int) -> Float[Array, ""]:
        low, high = seen.log_alive_at((self.low, self.high))
        return log_median(low, high, n)


@dataclass(frozen=True)
class HazardRatio(AbstractReport):
    """A hazard ratio over another arm's, with the standard error of its log, by Cox's estimand over the
    follow-up `times`; `share` of the patients of both are this arm's."""

    approximate: ClassVar[bool] = True
    arm: str
    ratio: float
    se: float
    share: float
    times: tuple[float, ...]

    @property
    def against(self) -> str:
        return self.arm

    @property
    def looks(self) -> tuple[float, ...]:
        return self.times

    def told(self) -> list[Told]:
        return [Told(f"hazard ratio to {self.arm}", self.ratio, self.ratio * self.se, False)]

    def predicted(self, seen: Seen, other: Seen | None) -> Float[Array, " numbers"]:
        return jnp.exp(self._log_ratio(seen, other))[None]

    def log_probability(self, seen: Seen, other: Seen | None, n: int) -> Float[Array, ""]:
        return log_hazard_ratio(self._log_ratio(seen, other), self.ratio, self.se)

    def _log_ratio(self, seen: Seen, other: Seen | None) -> Float[Array, ""]:
        assert other is not None
        mine, theirs = (each.log_alive_at(self.times) for each in (seen, other))
        return cox_log_ratio(mine, theirs, self.share)


@dataclass(frozen=True)
class Mean(AbstractReport):
    """A mean of an output over the arm's patients at a time, with its standard error."""

    output: str
    time: float
    value: float
    se: float

    @property
    def outputs(self) -> tuple[Look, ...]:
        return ((self.output, self.time),)

    def told(self) -> list[Told]:
        return [Told(f"mean {self.output}({self.time / self.day:g} d)", self.value, self.se, False)]

    def predicted(self, seen: Seen, other: Seen | None) -> Float[Array, " numbers"]:
        return seen.means[self.output, self.time][None]

    def log_probability(self, seen: Seen, other: Seen | None, n: int) -> Float[Array, ""]:
        return log_mean(seen.means[self.output, self.time], self.value, self.se)
