"""The base of outcomes: what is recorded of a patient who lives long enough."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar
from pkpd.quadrature import nodes_of
from pkpd.response.quadrature import integrals

Path = Float[Array, "times patients"]


class Course(eqx.Module):
    """What an outcome sees of the patients: wired outputs along the times since the origin.

    The course is cut into cells at `edges`, which are concrete; `times` are the first edge and the nodes of
    all cells, the last of which are edges too. `paths[port]` [times, patients]; `treated` is the time from
    the origin to the end of dosing, `block` are 28 days in the unit of the times.
    """

    edges: Float[np.ndarray, " edges"]
    paths: dict[str, Path]
    treated: Scalar
    block: float = eqx.field(static=True, default=28.0)

    @property
    def times(self) -> Float[np.ndarray, " times"]:
        """Where the paths are known."""
        return np.concatenate([self.edges[:1], nodes_of(self.edges).ravel()])

    def at(self, port: str, times: Sequence[float]) -> Float[Array, "wanted patients"]:
        """A path at some of the times, read at once: each reading costs a gradient the size of the path."""
        rows = np.searchsorted(self.times, np.asarray(times) - 1e-9 * self.block)
        return self.paths[port][rows]

    def row(self, time: Scalar) -> Array:
        """The place of a time among the times, else of the next, else of the last."""
        place = jnp.searchsorted(jnp.asarray(self.times), time - 1e-9 * self.block)
        return jnp.clip(place, 0, len(self.times) - 1)

    def integral(self, port: str) -> Path:
        """Cumulative integral of a path."""
        return integrals(self.edges, self.paths[port])


class AbstractOutcome(eqx.Module):
    """An outcome layer: parameters as fields, inputs wired to outputs of the model."""

    inputs: ClassVar[Mapping[str, Port]] = {}

    @property
    def times(self) -> tuple[float, ...]:
        """Times since the origin at which the inputs must be known exactly."""
        return ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Inputs that must be wired with these parameters, although they have a default."""
        return ()


class AbstractRecord(AbstractOutcome):
    """An outcome that happens or not, and that needs the patient to be alive when it is recorded.

    Where more is told of a patient than yes or no, `kinds` names what excludes each other; `whole` are
    those that together are the outcome itself.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[tuple[str, ...]] = ()

    def log_recorded(self, course: Course) -> Float[Array, "2 recorded patients"]:
        """Log probability that the outcome is not, and that it is, recorded by each of `recorded_at`.

        Given survival. Both are stated, because neither can be had from the other where it is close to one.
        """
        raise NotImplementedError

    def log_kinds(self, course: Course) -> Float[Array, "kinds recorded patients"]:
        """Log probability of none of the `kinds`, and of each, by each of `recorded_at`. Given survival."""
        raise NotImplementedError

    @property
    def recorded_at(self) -> tuple[float, ...]:
        """Times since the origin at which the outcome can be recorded, ascending."""
        raise NotImplementedError


class AbstractSurvival(AbstractOutcome):
    """Survival: states what each cell adds to the cumulative hazard, from which all else follows."""

    def hazard_steps(self, course: Course) -> Float[Array, "cells patients"]:
        """Integral of the hazard over each cell of the course."""
        raise NotImplementedError

    def cumulative_hazard(self, course: Course) -> Float[Array, "edges patients"]:
        """Cumulative hazard at the course's edges."""
        steps = self.hazard_steps(course)
        return jnp.concatenate([jnp.zeros_like(steps[:1]), jnp.cumsum(steps, 0)])
