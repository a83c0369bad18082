"""Levels: by how much studies, or histologies, differ in a parameter."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import jax.numpy as jnp
from jax.scipy.special import expit, logit
from jaxtyping import Array, Float

from pkpd.infer.prior import Prior
from pkpd.parameters import Scalar

By = Literal["study", "histology"]
Scale = Literal["log", "logit", "own"]
STANDARD = Prior("normal", 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Level:
    """How the groups of arms, `by` study or by histology, deviate from the typical value of a parameter.

    Group g deviates by `sd z_g` on a `scale`; `z_g` is standard normal (non-centred). Where groups are
    `pooled` their `sd` is half-normal(`spread`) and estimated; else it is `spread`, and nothing is shared. A
    `reference` group does not deviate.
    """

    path: str
    by: By
    groups: tuple[str, ...]
    spread: float
    pooled: bool = True
    reference: str = ""
    scale: Scale = "log"

    @property
    def sd(self) -> str:
        """The name of the standard deviation between groups."""
        return f"{self.path}.{self.by}_sd"

    def effect(self, group: str) -> str:
        """The name of a group's `z`."""
        return f"{self.path}[{group}]"

    @property
    def effects(self) -> tuple[str, ...]:
        """The names of all groups' `z`."""
        return tuple(self.effect(group) for group in self.groups if not self._typical(group))

    def _typical(self, group: str) -> bool:
        return bool(self.reference) and group == self.reference

    def priors(self) -> dict[str, Prior]:
        """The priors of what the level adds to a problem."""
        found = dict.fromkeys(self.effects, STANDARD)
        return {self.sd: Prior("halfnormal", self.spread), **found} if self.pooled else found

    def with_groups(self, groups: Iterable[str]) -> "Level":
        """The same level with groups that it may not have yet."""
        return dataclasses.replace(self, groups=tuple(dict.fromkeys((*self.groups, *groups))))

    def shifted(self, value: Scalar, values: Mapping[str, Array], group: str) -> Float[Array, ""]:
        """A parameter's value in a group."""
        if self._typical(group):
            return jnp.asarray(value)
        shift = self.shift(values, group)
        if self.scale == "log":
            return jnp.asarray(value * jnp.exp(shift))
        return expit(logit(value) + shift) if self.scale == "logit" else jnp.asarray(value + shift)

    def shift(self, values: Mapping[str, Array], group: str) -> Float[Array, ""]:
        """By how much a group deviates, on the scale of the deviation."""
        if self._typical(group):
            return jnp.zeros(())
        return (values[self.sd] if self.pooled else self.spread) * values[self.effect(group)]
